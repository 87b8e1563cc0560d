/* Client requests for a Python process, which has no other way to make them. */
#include <stddef.h>

#include "diagmem.h"

void declare_buffer(const char *name, int role, const void *start, size_t bytes)
{
    DIAGMEM_BUFFER(name, role, start, bytes);
}

void forget_buffer(const char *name)
{
    DIAGMEM_FORGET(name);
}

void begin_window(const char *name)
{
    DIAGMEM_WINDOW_BEGIN(name);
}

void end_window(void)
{
    DIAGMEM_WINDOW_END();
}
