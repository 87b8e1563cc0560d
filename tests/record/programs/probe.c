/* Says which accesses it is about to make, and makes them: random ones, of every
 * width, over several buffers and their edges.  Arguments: a seed, how many.  */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP __attribute__((noinline, noclone))
#define AREA 16384

/* Buffers lie inside: adjacent, nested, and apart by less than an access. */
unsigned char area[AREA] __attribute__((aligned(4096)));

static uint64_t state;

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void load(volatile unsigned char *at, int size)
{
    switch (size) {
    case 1: __asm__ volatile("movb (%0), %%al" ::"r"(at) : "rax", "memory"); break;
    case 2: __asm__ volatile("movw (%0), %%ax" ::"r"(at) : "rax", "memory"); break;
    case 4: __asm__ volatile("movl (%0), %%eax" ::"r"(at) : "rax", "memory"); break;
    case 8: __asm__ volatile("movq (%0), %%rax" ::"r"(at) : "rax", "memory"); break;
    default: __asm__ volatile("movdqu (%0), %%xmm1" ::"r"(at) : "xmm1", "memory");
    }
}

static void store(volatile unsigned char *at, int size)
{
    uint64_t value = state;
    switch (size) {
    case 1: __asm__ volatile("movb %%al, (%0)" ::"r"(at), "a"(value) : "memory"); break;
    case 2: __asm__ volatile("movw %%ax, (%0)" ::"r"(at), "a"(value) : "memory"); break;
    case 4: __asm__ volatile("movl %%eax, (%0)" ::"r"(at), "a"(value) : "memory"); break;
    case 8: __asm__ volatile("movq %%rax, (%0)" ::"r"(at), "a"(value) : "memory"); break;
    default:
        __asm__ volatile("movq %1, %%xmm1\n\tpunpcklqdq %%xmm1, %%xmm1\n\tmovdqu %%xmm1, (%0)" ::
                             "r"(at), "r"(value) : "xmm1", "memory");
    }
}

static int count;

/* A run of accesses a stride apart, from one instruction, as a loop would. */
static void *batch(void *unused)
{
    for (int i = 0; i < count; i++) {
        int size = 1 << next(5), is_store = (int)next(2), times = 1 + (int)next(6);
        uint32_t at = next(AREA - 1024), stride = 1 + next(40);
        for (int j = 0; j < times; j++, at += stride) {
            printf("%c %u %d\n", is_store ? 'S' : 'L', at, size);
            if (is_store) store(area + at, size);
            else load(area + at, size);
        }
    }
    return unused;
}

KEEP void kernel(void)
{
    batch(NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, batch, NULL);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    state = (uint64_t)atoll(argv[1]);
    count = atoi(argv[2]);
    kernel();
    return 0;
}
