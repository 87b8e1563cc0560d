/* Client requests: windows, nested begins, buffers inside buffers, forgetting.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "diagmem.h"

#include <string.h>

static volatile int arena[64];

static void touch(int from, int to)
{
    for (int i = from; i < to; i++) arena[i] = arena[i] + 1;
}

/* Accesses at constant distances from the stack pointer, some to a buffer. */
static void frame(void)
{
    volatile int other[4], local[4];
    for (int i = 0; i < 2; i++) { /* the second time translated code is there */
        DIAGMEM_BUFFER("local", DIAGMEM_OTHER, &local, sizeof local);
        DIAGMEM_WINDOW_BEGIN("frame");
        local[0] = 1;
        local[1] = 2;
        local[2] = 3;
        other[0] = local[0];
        other[1] = local[1];
        local[3] = other[0];
        DIAGMEM_WINDOW_END();
    }
    DIAGMEM_FORGET("local");
}

/* One loop over memory of which a part is a buffer: it comes near, and goes. */
static volatile int memory[16384];

static void walk(void)
{
    DIAGMEM_BUFFER("part", DIAGMEM_OTHER, &memory[8000], 100 * sizeof memory[0]);
    DIAGMEM_WINDOW_BEGIN("walk");
    for (volatile int *p = memory; p < memory + 16384; p += 4) {
        p[0] = 1;
        p[1] = 2;
        p[2] = p[0];
        p[3] = p[1];
    }
    DIAGMEM_WINDOW_END();
    DIAGMEM_FORGET("part");
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
    DIAGMEM_FORGET("tensor");
    frame();
    walk();
    return 0;
}
