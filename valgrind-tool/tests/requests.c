/* Client requests: windows, nested begins, buffers inside buffers, forgetting.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "diagmem.h"

#include <string.h>

static volatile int arena[64];

static void touch(int from, int to)
{
    for (int i = from; i < to; i++) arena[i] = arena[i] + 1;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "plain";
    if (DIAGMEM_RUNNING() != (strcmp(mode, "native") != 0)) return 4;
    if (!strcmp(mode, "zero")) DIAGMEM_BUFFER("none", DIAGMEM_OTHER, &arena, 0);
    if (!strcmp(mode, "role")) DIAGMEM_BUFFER("odd", 77, &arena, 4);
    if (!strcmp(mode, "end")) DIAGMEM_WINDOW_END();

    DIAGMEM_BUFFER("arena", DIAGMEM_ARENA, &arena, sizeof arena);
    DIAGMEM_BUFFER("tensor", DIAGMEM_INPUT, &arena[8], 8 * sizeof arena[0]);
    touch(0, 64); /* outside every window */
    DIAGMEM_WINDOW_BEGIN("first");
    DIAGMEM_WINDOW_BEGIN("nested");
    touch(0, 16);
    DIAGMEM_WINDOW_END();
    touch(16, 20); /* still inside the outermost */
    if (!strcmp(mode, "move")) DIAGMEM_BUFFER("tensor", DIAGMEM_INPUT, &arena[9], 4);
    DIAGMEM_WINDOW_END();

    DIAGMEM_FORGET("arena");
    DIAGMEM_WINDOW_BEGIN("second");
    touch(0, 64);
    DIAGMEM_WINDOW_END();
    return 0;
}
