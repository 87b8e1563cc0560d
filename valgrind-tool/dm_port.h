/* dm_port.h: the core's types and tools where Valgrind runs the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#ifndef DM_PORT_H
#define DM_PORT_H

#include "pub_tool_basics.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_mallocfree.h"
#include "valgrind.h" /* the core's version */

#define dm_alloc VG_(malloc)
#define dm_resize VG_(realloc)
#define dm_release VG_(free)
#define dm_memset VG_(memset)
#define dm_sprintf VG_(sprintf)
#define dm_vsnprintf VG_(vsnprintf)

/* Zeroed pages, NULL where there are none; for tables as long as a buffer. */
void* dm_pages(SizeT bytes);
void dm_pages_free(void* pages, SizeT bytes);

/* What differs between the releases of Valgrind, 3.19 to 3.27, is here and in
 * dm_pages(). */

/* From 3.22 on the malloc replacements also get the alignment that the program
   had asked for, before the core rounded it up. */
#if __VALGRIND_MAJOR__ == 3 && __VALGRIND_MINOR__ < 22
#define DM_ASKED_ALIGNMENT
#else
#define DM_ASKED_ALIGNMENT , SizeT asked
#endif

#endif /* DM_PORT_H */
