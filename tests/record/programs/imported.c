/* A kernel between two functions that mark where it is over; main touches its
 * buffers, too.  */
#define KEEP __attribute__((noinline, noclone))

unsigned char in[7 * 11];
unsigned char out[7 * 13];

/* Rows of 11 to rows of 13, in two passes. */
KEEP void kernel(void)
{
    for (int row = 0; row < 7; row++)
        for (int i = 0; i < 13; i++) out[row * 13 + i] = in[row * 11 + i % 11];
    for (int row = 0; row < 7; row++) out[row * 13] += in[row * 11 + 3];
}

KEEP int after(void)
{
    int sum = 0;
    for (unsigned i = 0; i < sizeof out; i++) sum += out[i];
    return sum;
}

int main(void)
{
    int sum = 0;
    for (int call = 0; call < 3; call++) {
        for (unsigned i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i + call);
        kernel();
        sum += after();
    }
    return sum == 0;
}
