/* Functions that the compiler turned into something else. */
volatile int in[16];
volatile int out[16];

/* One caller passes a constant: a copy of its own, without the argument. */
static __attribute__((noinline)) int specialised(volatile int *x, int scale, int unused)
{
    (void)unused;
    int sum = 0;
    for (int i = 0; i < 16; i++) sum += x[i] * scale;
    out[1] = sum;
    return sum;
}

/* Part of its callers. */
static inline __attribute__((always_inline)) void merged(int i) { out[i] = in[i]; }

__attribute__((noinline)) void layer(void) { merged(2); }

int main(void)
{
    layer();
    merged(3);
    return specialised(in, 3, 7) == 12345;
}
