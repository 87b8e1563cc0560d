/* Where events could be missed, invented or given to another: one window for
 * each word on the command line.  With -DPLUGIN=NAME: a library with one kernel.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "diagmem.h"

#ifdef PLUGIN
void PLUGIN(volatile int *p);
void PLUGIN(volatile int *p) { p[0] = 1; }
void (*plugin_kernel)(volatile int *) = PLUGIN;
#else

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

static volatile unsigned char area[4096];
static volatile int cells[16];

KEEP static void touch(volatile unsigned char *p)
{
    *p = 1;
    __asm__ volatile("" ::: "memory");
}

KEEP static void touch_too(volatile unsigned char *p)
{
    *p = 2;
    __asm__ volatile("" ::: "memory");
}

/* The same instruction goes to a buffer that lies alone, or not, and then to
 * one inside another, near a third. */
static void nested(int by_one_site)
{
    DIAGMEM_BUFFER("alone", DIAGMEM_INPUT, area + 512, 64);
    DIAGMEM_BUFFER("arena", DIAGMEM_ARENA, area + 1024, 256);
    DIAGMEM_BUFFER("tensor", DIAGMEM_INPUT, area + 1024 + 64, 64);
    DIAGMEM_BUFFER("near", DIAGMEM_OUTPUT, area + 1024 + 256 + 16, 64);
    DIAGMEM_WINDOW_BEGIN("nested");
    (by_one_site ? touch : touch_too)(area + 512);
    for (int i = 0; i < 8; i++) touch(area + 1024 + 70 + i);
    DIAGMEM_WINDOW_END();
}

static volatile int *page;

static void make_writable(int number)
{
    (void)number;
    mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
}

/* A store that faults and is done again is one store. */
static void fault(void)
{
    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, make_writable);
    DIAGMEM_BUFFER("page", DIAGMEM_OUTPUT, page, 4096);
    DIAGMEM_WINDOW_BEGIN("fault");
    page[3] = 1;
    DIAGMEM_WINDOW_END();
}

static int ends[2];

static void *reader(void *unused)
{
    if (read(ends[0], (void *)cells, 4) != 4) _exit(5);
    return unused;
}

/* A system call that waits while another thread touches the buffer. */
static void waiting(void)
{
    pthread_t thread;
    if (pipe(ends)) _exit(5);
    DIAGMEM_WINDOW_BEGIN("waiting");
    pthread_create(&thread, NULL, reader, NULL);
    usleep(100000);
    cells[1] = 1;
    if (write(ends[1], "word", 4) != 4) _exit(5);
    pthread_join(thread, NULL);
    DIAGMEM_WINDOW_END();
}

static void reallocated(void)
{
    char *volatile p = malloc(100);
    memset(p, 1, 100);
    DIAGMEM_BUFFER("block", DIAGMEM_INPUT, p, 100);
    DIAGMEM_WINDOW_BEGIN("realloc");
    p = realloc(p, 200);
    DIAGMEM_WINDOW_END();
}

static void not_executed(void)
{
    DIAGMEM_WINDOW_BEGIN("exec");
    cells[0] = 1;
    execl("/there/is/no/such/program", "program", (char *)NULL);
    cells[1] = 1;
    DIAGMEM_WINDOW_END();
}

/* Forgotten and declared again where it was: the next window has it. */
static void declared_again(void)
{
    DIAGMEM_WINDOW_BEGIN("before");
    DIAGMEM_FORGET("cells");
    DIAGMEM_BUFFER("cells", DIAGMEM_OTHER, &cells, sizeof cells);
    DIAGMEM_WINDOW_END();
    DIAGMEM_WINDOW_BEGIN("again");
    cells[0] = 1;
    DIAGMEM_WINDOW_END();
}

/* Two libraries, one after the other at the same place. */
static void plugin(const char *file)
{
    void *library = dlopen(file, RTLD_NOW);
    if (!library) _exit(5);
    DIAGMEM_WINDOW_BEGIN(file);
    (*(void (**)(volatile int *))dlsym(library, "plugin_kernel"))(cells);
    dlclose(library);
    DIAGMEM_WINDOW_END();
}

static ucontext_t caller, callee;

static void coroutine(void)
{
    cells[1] = 1;
    swapcontext(&callee, &caller);
}

/* For a while control is on a stack that lies above. */
KEEP void yields(void)
{
    cells[0] = 1;
    swapcontext(&caller, &callee);
    cells[2] = 1;
}

static void *run_yields(void *stack)
{
    getcontext(&callee);
    callee.uc_stack.ss_sp = stack;
    callee.uc_stack.ss_size = 65536;
    makecontext(&callee, coroutine, 0);
    yields();
    return NULL;
}

static void yielding(void)
{
    char stack[65536];
    pthread_t thread;
    pthread_create(&thread, NULL, run_yields, stack);
    pthread_join(thread, NULL);
}

#ifdef __x86_64__
/* No jump leads to `run_into`, and its argument was set just before. */
void runs(void);
__asm__(".text\n.type runs,@function\nruns: lea cells(%rip), %rdi\n.size runs, . - runs\n"
        ".type run_into,@function\nrun_into: mov (%rdi), %eax\nlea 4(%rdi), %rdi\nret\n"
        ".size run_into, . - run_into\n");
#else
static void runs(void) {}
#endif

int main(int argc, char **argv)
{
    DIAGMEM_BUFFER("cells", DIAGMEM_OTHER, &cells, sizeof cells);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "one-site")) nested(1);
        if (!strcmp(argv[i], "two-sites")) nested(0);
        if (!strcmp(argv[i], "fault")) fault();
        if (!strcmp(argv[i], "waiting")) waiting();
        if (!strcmp(argv[i], "realloc")) reallocated();
        if (!strcmp(argv[i], "exec")) not_executed();
        if (!strcmp(argv[i], "again")) declared_again();
        if (!strcmp(argv[i], "yields")) yielding();
        if (!strcmp(argv[i], "runs")) runs();
        if (!strcmp(argv[i], "pointer")) DIAGMEM_WINDOW_BEGIN((char *)16);
        if (strchr(argv[i], '/')) plugin(argv[i]);
    }
    return 0;
}
#endif
