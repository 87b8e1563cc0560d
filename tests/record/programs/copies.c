/* Copies by the C library, one kind for each name on the command line: each is
 * one call of kernel(), with buffers by symbol.  */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))
#define ROWS 40
#define ROW 52 /* of `in`; between two of them `out` has 4 bytes of another tensor */
#define OUT_ROW (ROW + 4)

unsigned char in[ROWS * ROW];
unsigned char out[ROWS * OUT_ROW];

/* The compiler knows none of these: they are always called. */
void *(*volatile to_memcpy)(void *, const void *, size_t) = memcpy;
void *(*volatile to_memmove)(void *, const void *, size_t) = memmove;
void *(*volatile to_memset)(void *, int, size_t) = memset;

static const char *what;

static int is(const char *name) { return strcmp(what, name) == 0; }

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
void *mempcpy(void *, const void *, size_t);

/* Rows of `in` between bytes of something else: TFLM's concatenation. */
KEEP static void concat(void)
{
    for (int row = 0; row < ROWS; row++) {
        memcpy(out + row * OUT_ROW, in + row * ROW, ROW); /* the copy that decides */
        for (volatile unsigned char *p = out + row * OUT_ROW + ROW; p < out + (row + 1) * OUT_ROW;)
            *p++ = 1;
    }
}

KEEP static void touch_after(void) { ((volatile unsigned char *)in)[1]; }

static unsigned char *page;

static void allow(int number)
{
    (void)number;
    ((volatile unsigned char *)in)[7];
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

#ifdef OWN
/* A kernel library's own: known by its name like the C library's. */
KEEP void *own_copy(void *to, const void *from, size_t n) __asm__("__memcpy_avx_unaligned");
void *own_copy(void *to, const void *from, size_t n)
{
    for (volatile unsigned char *t = to; n--;) *t++ = *(const unsigned char *)from++;
    return to;
}
#endif

void *kernel(void)
{
    if (is("concat")) concat();
    if (is("memcpy")) memcpy(out, in, sizeof in);
    if (is("memmove")) memmove(out, in, sizeof in);
    if (is("memset")) memset(out, 3, sizeof out);
    if (is("mempcpy")) mempcpy(out, in, sizeof in);
    if (is("bcopy")) bcopy(in, out, sizeof in);
    if (is("bzero")) bzero(out, sizeof out);
    if (is("explicit_bzero")) explicit_bzero(out, sizeof out);
    if (is("memcpy_chk")) __memcpy_chk(out, in, sizeof in, sizeof out);
    if (is("memmove_chk")) __memmove_chk(out, in, sizeof in, sizeof out);
    if (is("memset_chk")) __memset_chk(out, 3, sizeof out, sizeof out);
    if (is("nothing")) to_memcpy(out, in, 0);
    if (is("overlapping")) to_memcpy(in + 1, in, 100);
    if (is("after")) {
        to_memcpy(out, in, 16);
        touch_after();
    }
    if (is("not deciding")) {
        to_memcpy(out, in, 16);
        for (volatile unsigned char *p = out; p < out + sizeof out;) *p++ = 1;
        ((volatile unsigned char *)in)[0];
    }
    if (is("faulting")) {
        page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        signal(SIGSEGV, allow);
        to_memcpy(page, in, 64);
    }
#ifdef OWN
    if (is("own")) own_copy(out, in, 8);
#endif
    if (is("tail")) return to_memcpy(out, in, sizeof in);
    if (is("tail set")) return to_memset(out, 1, sizeof out);
    return to_memmove == NULL ? out : NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        what = argv[i];
        kernel();
    }
    return 0;
}
