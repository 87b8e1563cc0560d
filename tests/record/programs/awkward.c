/* Kernels in awkward company: threads, handlers, code that changes, memory that
 * is given back.  The first word chooses; kernel() is the window.  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

volatile int in[16];
volatile int out[16];
static volatile int elsewhere[16];
static const char *what;

static int is(const char *name) { return strcmp(what, name) == 0; }

/* ---- threads ---- */

static void *touches_out(void *unused)
{
    out[1] = 2;
    return unused;
}

static void *touches_elsewhere(void *unused)
{
    for (int i = 0; i < 16; i++) elsewhere[i]++;
    return unused;
}

static void beside(void *(*run)(void *))
{
    pthread_t thread;
    out[0] = in[0];
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    out[2] = in[2];
}

static void openmp(int threads)
{
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads)
#endif
    for (int i = 0; i < 16; i++) out[i] = in[i];
}

/* ---- signals and jumps ---- */

static sigjmp_buf back;

static void looks(int number) { out[number % 16] = in[3]; }
static void jumps(int number) { siglongjmp(back, number); }

static void interrupted(void (*handler)(int))
{
    signal(SIGUSR1, handler);
    out[0] = in[0];
    raise(SIGUSR1);
    out[1] = in[1];
}

static void jumps_inside(void)
{
    if (!sigsetjmp(back, 1)) interrupted(jumps);
    out[2] = in[2];
}

/* ---- code that changes ---- */

/* mov FROM(%rdi), %eax; mov %eax, TO(%rsi); ret */
static void write_code(unsigned char *at, unsigned char from, unsigned char to)
{
    const unsigned char code[] = { 0x8b, 0x47, from, 0x89, 0x46, to, 0xc3 };
    for (unsigned i = 0; i < sizeof code; i++) ((volatile unsigned char *)at)[i] = code[i];
}

static void made_code(void)
{
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*run)(volatile int *, volatile int *) = (void (*)(volatile int *, volatile int *))page;
    write_code(page, 0, 4);
    run(in, out);
    write_code(page, 8, 12);
    run(in, out);
}

/* ---- system calls ---- */

static void calls(void)
{
    int ends[2], sockets[2];
    struct iovec two[2] = { { (void *)in, 8 }, { (void *)(in + 4), 12 } };
    struct msghdr message = { .msg_iov = two, .msg_iovlen = 2 };
    if (pipe(ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) _exit(9);
    if (writev(ends[1], two, 2) != 20) _exit(9);
    if (read(ends[0], (void *)out, 20) != 20) _exit(9);
    if (sendmsg(sockets[0], &message, 0) != 20) _exit(9);
    two[0].iov_base = (void *)out;
    two[1].iov_base = (void *)(out + 8);
    if (readv(sockets[1], two, 2) != 20) _exit(9);
    if (getrandom((void *)(out + 12), 16, 0) != 16) _exit(9);
}

/* ---- the window ---- */

KEEP void kernel(volatile int *x, volatile int *y)
{
    if (is("thread")) beside(touches_out);
    else if (is("thread elsewhere")) beside(touches_elsewhere);
    else if (is("omp 1")) openmp(1);
    else if (is("omp 2")) openmp(2);
    else if (is("handler")) interrupted(looks);
    else if (is("jump out")) interrupted(jumps);
    else if (is("jump inside")) jumps_inside();
    else if (is("made code")) made_code();
    else if (is("calls")) calls();
    else if (is("nothing")) elsewhere[0]++;
    else y[0] = x[0];
}

static void *calls_kernel(void *unused)
{
    kernel(in, out);
    return unused;
}

/* The same block of memory, under one name after the other. */
static void reused(void)
{
    int *x = malloc(1000), *y = malloc(2000);
    kernel(x, y);
    free(x);
    int *again = malloc(1000);
    kernel(again, y);
    y = realloc(y, 3000);
    kernel(again, y);
    free(again);
    kernel(in, y);
}

static void plugins(char **paths)
{
    for (; *paths; paths++) {
        void *library = dlopen(*paths, RTLD_NOW);
        void (*run)(volatile int *, volatile int *) =
            (void (*)(volatile int *, volatile int *))dlsym(library, "plugin_kernel");
        run(in, out);
        dlclose(library);
    }
}

int main(int argc, char **argv)
{
    what = argv[1];
    if (argc > 2) plugins(argv + 2);
    else if (is("reused")) reused();
    else if (is("each thread")) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            pthread_create(&threads[i], NULL, calls_kernel, NULL);
            pthread_join(threads[i], NULL);
        }
    } else if (is("jump out")) {
        if (!sigsetjmp(back, 1)) kernel(in, out);
    } else
        kernel(in, out);
    return 0;
}
