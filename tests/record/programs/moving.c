/* Windows whose buffers lie elsewhere each time, walked by the same few instructions.
 *
 * usage: moving FILE   with a line for each window: a number of buffers and their starts and
 * ends in `area`, then a number of accesses, each "L|S SIZE AT"
 */
#include <stdint.h>
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>

#include "diagmem.h"

static unsigned char area[1 << 20] __attribute__((aligned(4096)));

static void __attribute__((noinline)) touch(char kind, int size, long at)
{
    volatile unsigned char *p = area + at;
    if (kind == 'L')
        switch (size) {
        case 1: (void)*p; break;
        case 2: (void)*(volatile uint16_t *)p; break;
        case 4: (void)*(volatile uint32_t *)p; break;
        default: (void)*(volatile uint64_t *)p; break;
        }
    else
        switch (size) {
        case 1: *p = 1; break;
        case 2: *(volatile uint16_t *)p = 1; break;
        case 4: *(volatile uint32_t *)p = 1; break;
        default: *(volatile uint64_t *)p = 1; break;
        }
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    static long kinds[1 << 16], sizes[1 << 16], places[1 << 16];
    char name[16], kind;
    int buffers, accesses, size;
    long start, end, at;
    int null = open("/dev/null", O_WRONLY);
    if (!file || null < 0)
        return 2;
    while (fscanf(file, "%d", &buffers) == 1) {
        for (int i = 0; i < buffers; i++) {
            if (fscanf(file, "%ld %ld", &start, &end) != 2)
                return 2;
            snprintf(name, sizeof name, "b%d", i);
            DIAGMEM_BUFFER(name, DIAGMEM_OTHER, area + start, (size_t)(end - start));
        }
        if (fscanf(file, "%d", &accesses) != 1)
            return 2;
        for (int i = 0; i < accesses; i++) {
            if (fscanf(file, " %c %d %ld", &kind, &size, &at) != 3)
                return 2;
            kinds[i] = kind, sizes[i] = size, places[i] = at;
        }
        DIAGMEM_WINDOW_BEGIN("walk");
        for (int i = 0; i < accesses; i++) {
            touch((char)kinds[i], (int)sizes[i], places[i]);
            /* What a system call reads has the records drained: each of these is a batch. */
            if (i % 100 == 99 && write(null, &kind, 1) != 1)
                return 2;
        }
        DIAGMEM_WINDOW_END();
        for (int i = 0; i < buffers; i++) {
            snprintf(name, sizeof name, "b%d", i);
            DIAGMEM_FORGET(name);
        }
    }
    return 0;
}
