/* One kind of memory access each, between two stores to `area.marker`, so that
 * the same stretch can be found in any tracer's log.  SPDX: BSD-3-Clause */
#include <immintrin.h>
#include <stdint.h>

static struct {
    volatile int marker;
    int pad[15];
    __attribute__((aligned(64))) unsigned char in[4096];
    __attribute__((aligned(64))) unsigned char out[4096];
} area;

#define KEEP __attribute__((noinline, noclone))
#define N 64

static volatile int count = N;

static void scalar(void)
{
    const int32_t *in = (const int32_t *)area.in;
    int32_t *out = (int32_t *)area.out;
    for (int i = 0; i < count; i++) out[i] = in[i] + in[N - i];
}

static void modify(void)
{
    int32_t *out = (int32_t *)area.out;
    for (int i = 0; i < count; i++) __asm__ volatile("addl $3, %0" : "+m"(out[i]));
}

static void narrow(void)
{
    for (int i = 0; i < count; i++) {
        area.out[i] = area.in[2 * i];
        ((uint16_t *)(area.out + 512))[i] = ((const uint16_t *)(area.in + 1024))[i];
    }
}

static void unaligned(void)
{
    for (int i = 0; i < count; i++) {
        uint64_t v;
        __asm__ volatile("movq %1, %0" : "=r"(v) : "m"(area.in[9 * i + 1]));
        __asm__ volatile("movq %1, %0" : "=m"(area.out[9 * i + 3]) : "r"(v));
    }
}

static void x87(void)
{
    for (int i = 0; i < count; i++) {
        __asm__ volatile("fldt %0" : : "m"(area.in[16 * i]) : "st");
        __asm__ volatile("fstpt %0" : "=m"(area.out[16 * i]) : : "st");
    }
}

static void string_move(void)
{
    void *d = area.out + 5;
    const void *s = area.in + 3;
    long n = 100;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    n = 20;
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(7) : "memory");
}

static void vector128(void)
{
    for (int i = 0; i < 16; i++)
        _mm_storeu_si128((__m128i *)(area.out + 17 * i),
                         _mm_loadu_si128((const __m128i *)(area.in + 16 * i)));
}

static void non_temporal(void)
{
    for (int i = 0; i < 16; i++)
        _mm_stream_si128((__m128i *)(area.out + 16 * i),
                         _mm_load_si128((const __m128i *)(area.in + 16 * i)));
}

__attribute__((target("avx2"))) static void vector256(void)
{
    for (int i = 0; i < 16; i++)
        _mm256_storeu_si256((__m256i *)(area.out + 33 * i),
                            _mm256_loadu_si256((const __m256i *)(area.in + 32 * i)));
}

__attribute__((target("avx2"))) static void masked(void)
{
    const __m256i mask = _mm256_setr_epi32(-1, 0, -1, -1, 0, 0, -1, 0);
    for (int i = 0; i < 8; i++)
        _mm256_maskstore_epi32((int *)(area.out + 32 * i), mask,
                               _mm256_maskload_epi32((const int *)(area.in + 32 * i), mask));
}

/* Four of eight lanes, from all over the place. */
__attribute__((target("avx2"))) static void gathered(void)
{
    const __m256i mask = _mm256_setr_epi32(-1, 0, -1, -1, 0, 0, -1, 0);
    const __m256i index = _mm256_setr_epi32(60, 1, 7, 33, 2, 3, 0, 4);
    for (int i = 0; i < 8; i++)
        _mm256_storeu_si256((__m256i *)(area.out + 32 * i),
                            _mm256_mask_i32gather_epi32(_mm256_setzero_si256(),
                                                        (const int *)(area.in + 4 * i), index,
                                                        mask, 4));
}

/* From the end down. */
static void string_back(void)
{
    void *to = area.out + 31, *from = area.in + 31;
    long n = 32;
    __asm__ volatile("std\n\trep movsb\n\tcld"
                     : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
}

static void atomic(void)
{
    int32_t *out = (int32_t *)area.out;
    for (int i = 0; i < count; i++) {
        __atomic_fetch_add(&out[i], 2, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&out[i], 5, __ATOMIC_SEQ_CST);
    }
}

static volatile long zero;

__attribute__((target("cx16"))) static void wide_swap(void)
{
    for (int i = 0; i < 16; i++) ((volatile long *)area.out)[i] = zero;
    for (int i = 0; i < 8; i++)
        __asm__ volatile("lock cmpxchg16b %0"
                         : "+m"(area.out[16 * i])
                         : "a"(0L), "d"(0L), "b"(1L), "c"(2L)
                         : "memory", "cc");
}

/* Memory never holds what is expected, so nothing is swapped. */
static void failed_swap(void)
{
    int32_t *out = (int32_t *)area.out;
    for (int i = 0; i < 8; i++) {
        int32_t expected = out[i] + 1;
        __atomic_compare_exchange_n(&out[i], &expected, 7, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    }
}

static void state(void)
{
    __asm__ volatile("fxsave64 %0" : "=m"(area.out[0]) : : "memory");
    __asm__ volatile("fxrstor64 %0" : : "m"(area.out[0]) : "memory");
}

static void page_crossing(void)
{
    unsigned char *edge = (unsigned char *)(((uintptr_t)area.in + 4095) & ~(uintptr_t)4095);
    for (int i = 1; i < 8; i++) {
        uint64_t v;
        __asm__ volatile("movq %1, %0" : "=r"(v) : "m"(*(edge - i)));
        __asm__ volatile("movq %1, %0" : "=m"(*(edge - 8 + i)) : "r"(v));
    }
}

/* In the order of CASES in test_lackey.py. */
static const struct { const char *name; void (*run)(void); } cases[] = {
    {"scalar", scalar},         {"modify", modify},
    {"narrow", narrow},         {"unaligned", unaligned},
    {"x87", x87},               {"string_move", string_move},
    {"vector128", vector128},   {"non_temporal", non_temporal},
    {"vector256", vector256},   {"masked", masked},
    {"atomic", atomic},         {"wide_swap", wide_swap},
    {"state", state},           {"page_crossing", page_crossing},
    {"gathered", gathered},     {"string_back", string_back},
    {"failed_swap", failed_swap},
};

KEEP void window(void (*run)(void))
{
    area.marker = 1;
    run();
    area.marker = 2;
}

int main(void)
{
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) window(cases[i].run);
    return 0;
}
