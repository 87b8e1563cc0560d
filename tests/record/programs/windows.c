/* Ways into and out of a traced function, and places for buffers to lie.
 * SPDX: BSD-3-Clause */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))
#define N 16

int in_static[N];
int out_static[N];
static jmp_buf back;

struct tensor { int64_t rank; int *data; };
struct context { int64_t flags; struct tensor *tensor; };

KEEP void copy(const int *in, int *out)
{
    for (int i = 0; i < N; i++) out[i] = in[i] + 1;
    __asm__ volatile("" ::: "memory");
}

KEEP void many(int a, int b, int c, int d, int e, int f, const int *in, int *out)
{
    for (int i = 0; i < N; i++) out[i] = in[i] + a + b + c + d + e + f;
    __asm__ volatile("" ::: "memory");
}

KEEP void pointed(const struct context *from, const struct context *to)
{
    const int *in = from->tensor->data;
    int *out = to->tensor->data;
    for (int i = 0; i < N; i++) out[i] = in[i] + 1;
    __asm__ volatile("" ::: "memory");
}

KEEP void jumps(const int *in, int *out)
{
    out[0] = in[0];
    longjmp(back, 1);
}

KEEP void leaves(const int *in, int *out)
{
    out[0] = in[0];
    exit(3);
}

KEEP void dies(const int *in, int *out)
{
    out[0] = in[0];
    raise(SIGKILL);
}

KEEP void recurse(const int *in, int *out, int n)
{
    out[n] = in[n];
    if (n > 0) recurse(in, out, n - 1);
    __asm__ volatile("" ::: "memory");
    out[n] += 1;
}

KEEP void tail(const int *in, int *out)
{
    out[0] = in[0];
    copy(in, out); /* a jump at -O2, so that copy returns in tail's stead */
}

KEEP void reads_file(int *in, int *out)
{
    int pipes[2];
    if (pipe(pipes)) exit(9);
    if (write(pipes[1], in, sizeof in_static) < 0) exit(9);
    if (read(pipes[0], out, sizeof out_static) < 0) exit(9);
}

static void handler(int number) { out_static[number % N] = in_static[0]; }

KEEP void interrupted(const int *in, int *out)
{
    out[0] = in[0];
    raise(SIGUSR1);
    out[1] = in[1];
}

static void on_other_stack(void)
{
    static char stack[65536];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    interrupted(in_static, out_static);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "copy";
    int *in = in_static, *out = out_static;
    if (!strcmp(mode, "copy")) copy(in, out);
    if (!strcmp(mode, "twice")) { copy(in, out); copy(out, in); }
    if (!strcmp(mode, "many")) many(1, 2, 3, 4, 5, 6, in, out);
    if (!strcmp(mode, "pointed")) {
        struct tensor a = { 1, in }, b = { 1, out };
        struct context x = { 0, &a }, y = { 0, &b };
        pointed(&x, &y);
    }
    if (!strcmp(mode, "heap")) {
        int *other = malloc(1000), *x = malloc(1000), *y = malloc(2000);
        __asm__ volatile("" : : "r"(other) : "memory"); /* or gcc drops the pair */
        free(other);
        copy(x + 2, y + 4);
    }
    if (!strcmp(mode, "stack")) {
        int x[N] = { 0 }, y[N];
        copy(x, y);
        printf("%d\n", y[0]);
    }
    if (!strcmp(mode, "jumps")) { if (!setjmp(back)) jumps(in, out); copy(in, out); }
    if (!strcmp(mode, "leaves")) leaves(in, out);
    if (!strcmp(mode, "endless")) for (;;) copy(in, out);
    if (!strcmp(mode, "dies")) dies(in, out);
    if (!strcmp(mode, "recurse")) recurse(in, out, 5);
    if (!strcmp(mode, "tail")) tail(in, out);
    if (!strcmp(mode, "reads_file")) reads_file(in, out);
    if (!strcmp(mode, "interrupted")) on_other_stack();
    if (!strcmp(mode, "many_windows")) for (int i = 0; i < 3000; i++) copy(in, out);
    if (!strcmp(mode, "forks")) {
        if (fork() == 0) { copy(in, out); copy(in, out); _exit(0); }
        wait(NULL);
        copy(in, out);
    }
    if (!strcmp(mode, "starts")) {
        if (fork() == 0) execl(argv[0], argv[0], "copy", (char *)NULL);
        wait(NULL);
    }
    if (!strcmp(mode, "goes_on")) {
        copy(in, out);
        execl(argv[0], argv[0], "twice", (char *)NULL);
    }
    if (!strcmp(mode, "becomes")) execl(argv[0], argv[0], "copy", (char *)NULL);
    return 0;
}
