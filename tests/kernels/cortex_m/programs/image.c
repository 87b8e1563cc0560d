/* Windows on a bare Cortex-M: accesses of every width, library copies, recursion
 * and a tail call; built with FAULT or HANG it ends so. */
#include <stdint.h>
#include <string.h>

#define APART __attribute__((noinline, noclone))
#define SYS_EXIT_EXTENDED 0x20
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

uint8_t x[64] __attribute__((aligned(8)));
uint8_t y[64] __attribute__((aligned(8)));
extern char stack_top[];
void reset(void);

APART void widths(void)
{
    register uint8_t *from __asm__("r0") = x;
    register uint8_t *to __asm__("r1") = y;
    __asm__ volatile("ldrb r2, [r0, #1]\n\t"
                     "strb r2, [r1, #2]\n\t"
                     "ldrh r2, [r0, #4]\n\t"
                     "strh r2, [r1, #6]\n\t"
                     "ldr r2, [r0, #9]\n\t"
                     "str r2, [r1, #13]\n\t"
                     "ldrd r2, r3, [r0, #16]\n\t"
                     "strd r2, r3, [r1, #24]\n\t"
                     "add r2, r0, #32\n\t"
                     "ldmia r2, {r3, r4, r5}\n\t"
                     "add r2, r1, #40\n\t"
                     "stmia r2, {r3, r4, r5}\n\t"
                     :
                     : "r"(from), "r"(to)
                     : "r2", "r3", "r4", "r5", "memory");
}

#if __ARM_FEATURE_MVE
/* Vectors whole, widening, of every second element, with some lanes off, and by offsets. */
APART void by_vectors(void)
{
    static const uint32_t words[4] = {12, 0, 8, 4};
    static const uint16_t halves[8] = {14, 2, 0, 4, 6, 12, 10, 8};
    register uint8_t *from __asm__("r0") = x;
    register uint8_t *to __asm__("r1") = y;
    register const uint32_t *by_word __asm__("r2") = words;
    register const uint16_t *by_half __asm__("r3") = halves;
    __asm__ volatile("vldrw.u32 q0, [r0]\n\t"
                     "vstrw.32 q0, [r1, #16]\n\t"
                     "vldrb.u32 q1, [r0, #20]\n\t"
                     "vstrb.32 q1, [r1, #40]\n\t"
                     "movs r4, #3\n\t"
                     "vctp.8 r4\n\t"
                     "vpstt\n\t"
                     "vldrbt.u8 q2, [r0, #24]\n\t"
                     "vstrbt.8 q2, [r1, #48]\n\t"
                     "vldrw.u32 q3, [r2]\n\t"
                     "vldrw.u32 q4, [r0, q3]\n\t"
                     "vstrw.32 q4, [r1, q3]\n\t"
                     "vldrh.u16 q5, [r3]\n\t"
                     "vldrh.u16 q6, [r0, q5]\n\t"
                     "vstrh.16 q6, [r1, q5]\n\t"
                     "vld20.8 {q0, q1}, [r0]\n\t"
                     "vld21.8 {q0, q1}, [r0]\n\t"
                     "vst20.8 {q0, q1}, [r1]\n\t"
                     "vst21.8 {q0, q1}, [r1]\n\t"
                     :
                     : "r"(from), "r"(to), "r"(by_word), "r"(by_half)
                     : "r4", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "memory");
}
#endif

APART void copies(void)
{
    memcpy(y + 1, x + 3, 20);
    memmove(x + 8, x + 4, 12);
    memset(y + 32, 7, 9);
}

APART void tail(int n)
{
    ((volatile uint8_t *)y)[n] = 1;
}

/* Its outermost call is one window, which ends where the tail call returns. */
APART void recursive(int n)
{
    ((volatile uint8_t *)x)[n];
    if (n > 0)
        recursive(n - 1);
    tail(n);
}

APART void never(void)
{
    __asm__ volatile("");
}

APART void after(void)
{
    ((volatile uint8_t *)y)[63] = 1;
}

APART void inside(void)
{
    ((volatile uint8_t *)y)[7] = 1;
}

/* The loop behind the call is run before anybody has called anything here, and its
 * stores are none of the call's. */
APART void around(void)
{
    register uint8_t *to __asm__("r4") = y;
    __asm__ volatile("movs r5, #2\n\t"
                     "1: movs r6, #3\n\t"
                     "cmp r5, #2\n\t"
                     "beq 2f\n\t"
                     "bl inside\n\t"
                     "2: strb r6, [r4, r6]\n\t"
                     "subs r6, #1\n\t"
                     "bne 2b\n\t"
                     "subs r5, #1\n\t"
                     "bne 1b\n\t"
                     :
                     : "r"(to)
                     : "r0", "r1", "r2", "r3", "r5", "r6", "ip", "lr", "cc", "memory");
}

static void leave(uint32_t exit_code)
{
    uint32_t block[] = {ADP_STOPPED_APPLICATION_EXIT, exit_code};
    register uint32_t operation __asm__("r0") = SYS_EXIT_EXTENDED;
    register uint32_t *argument __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
}

APART void go_wrong(void)
{
#ifdef FAULT
    __asm__ volatile("udf #0");
#endif
#ifdef HANG
    for (;;) {
    }
#endif
}

void reset(void)
{
    widths();
#if __ARM_FEATURE_MVE
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: coprocessors 10 and 11 */
    __asm__ volatile("dsb\n\tisb");
    by_vectors();
#endif
    after();
    copies();
    after();
    recursive(3);
    after();
    around();
    go_wrong();
    leave(0);
}

static void stuck(void)
{
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, reset, stuck, stuck, stuck, stuck, stuck, stuck,
};
