/* Two windows of a Linux program: single bytes and a library copy. */
#include <string.h>

volatile unsigned char x[64];
volatile unsigned char y[64];

__attribute__((noinline, noclone)) void kernel(void)
{
    for (int i = 0; i < 4; i++)
        y[i] = x[i];
    memcpy((void *)(y + 32), (void *)(x + 32), 16);
}

int main(void)
{
    kernel();
    kernel();
    return 0;
}
