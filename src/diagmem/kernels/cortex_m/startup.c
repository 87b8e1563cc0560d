/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026, the diagmem authors
 *
 * startup.c: from reset to the driver's main on a Cortex-M in QEMU.
 *
 * QEMU loads all of the image to where it runs, so only the .bss is cleared.
 * Files and the exit code go through semihosting, by newlib's rdimon library.
 */
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define CPACR_FPU_AND_MVE (0xfu << 20)
#define SYS_EXIT_EXTENDED 0x20
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

extern char stack_top[], bss_start[], bss_end[];

int main(int argc, char **argv);
void initialise_monitor_handles(void);
void __libc_init_array(void);
void _init(void);
void _fini(void);
void dm_reset(void);

/* What __libc_init_array calls besides the constructors. */
void _init(void)
{
}

void _fini(void)
{
}

/* newlib's own needs a posix_memalign that it does not have. */
void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

static void dm_fault(void)
{
    static const uint32_t exit_block[] = {ADP_STOPPED_APPLICATION_EXIT, FAULT_EXIT_CODE};
    register uint32_t operation __asm__("r0") = SYS_EXIT_EXTENDED;
    register const uint32_t *block __asm__("r1") = exit_block;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(block) : "memory");
    for (;;) {
    }
}

void dm_reset(void)
{
    static char *arguments[] = {"driver", CASES_FILE, RESULTS_FILE, NULL};
    CPACR |= CPACR_FPU_AND_MVE;
    __asm__ volatile("dsb\n\tisb");
    for (char *byte = bss_start; byte < bss_end; byte++)
        *byte = 0;
    initialise_monitor_handles();
    __libc_init_array();
    exit(main(3, arguments));
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, dm_reset, dm_fault, dm_fault, dm_fault, dm_fault, dm_fault, dm_fault,
    NULL,      NULL,  NULL,  dm_fault, dm_fault, NULL,  dm_fault, dm_fault,
};
