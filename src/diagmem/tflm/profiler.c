/* A profiler that TFLM's interpreter calls before and after each operator of a model.
 *
 * It gives each call a window and says where the tensors of that operator lie, so that
 * tensors which lived there before do not matter; and it takes the time.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "diagmem.h"

struct place {
    const char *name;
    int32_t role;
    const void *start;
    size_t bytes;
};

struct operator_call {
    const char *name;
    const struct place *places;
    size_t count;
    uint64_t nanoseconds;
};

struct profiler {
    /* What C++ calls through; it must come first. */
    const void *const *methods;
    struct operator_call *calls;
    size_t count;
    size_t next;
    /* The first call that was not the one expected here, from 1; 0: all were. */
    size_t strange;
    uint64_t began;
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void destroy(struct profiler *p)
{
    (void)p;
}

static uint32_t begin_event(struct profiler *p, const char *tag)
{
    size_t number = p->next++;
    if (number >= p->count || strcmp(tag, p->calls[number].name) != 0) {
        if (!p->strange)
            p->strange = number + 1;
        return UINT32_MAX;
    }
    const struct operator_call *call = &p->calls[number];
    for (size_t i = 0; i < call->count; i++) {
        const struct place *at = &call->places[i];
        DIAGMEM_BUFFER(at->name, at->role, at->start, at->bytes);
    }
    p->began = now();
    DIAGMEM_WINDOW_BEGIN(call->name);
    return (uint32_t)number;
}

static void end_event(struct profiler *p, uint32_t number)
{
    if (number >= p->count)
        return;
    DIAGMEM_WINDOW_END();
    struct operator_call *call = &p->calls[number];
    call->nanoseconds = now() - p->began;
    for (size_t i = 0; i < call->count; i++)
        DIAGMEM_FORGET(call->places[i].name);
}

/* Two destructors, as the C++ ABI of this platform has them, then the interface's own. */
static const void *const methods[] = {
    (const void *)destroy,
    (const void *)destroy,
    (const void *)begin_event,
    (const void *)end_event,
};

void empty_window(const char *name)
{
    DIAGMEM_WINDOW_BEGIN(name);
    DIAGMEM_WINDOW_END();
}

void start_profile(struct profiler *p)
{
    p->methods = methods;
    p->next = 0;
    p->strange = 0;
}
