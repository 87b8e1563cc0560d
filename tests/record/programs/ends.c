/* Ways for a program to end inside its second window; the first one is whole. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

volatile int in[256];
volatile int out[256];
static const char *how = "";
static int calls;

KEEP void kernel(void)
{
    for (int i = 0; i < 256; i++) out[i] = in[i];
    if (calls++ == 0) return;
    if (!strcmp(how, "SIGSEGV")) *(volatile int *)8 = 1;
    if (!strcmp(how, "SIGABRT")) abort();
    if (!strcmp(how, "SIGKILL")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "SIGTERM")) kill(getpid(), SIGTERM);
    if (!strcmp(how, "exit")) exit(7);
    if (!strcmp(how, "_exit")) _exit(7);
    if (!strcmp(how, "unknown program")) {
        char *words[] = { "/dev/null", NULL };
        execv(words[0], words);
    }
    for (;;) { /* until somebody ends it */
        if (strcmp(how, "endless")) return;
        for (int i = 0; i < 256; i++) out[i] = in[i];
    }
}

int main(int argc, char **argv)
{
    kernel();
    if (argc > 1) how = argv[1];
    if (argc > 2) close(open(argv[2], O_CREAT | O_WRONLY, 0600)); /* "I am there" */
    kernel();
    return 0;
}
