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

#define dm_alloc VG_(malloc)
#define dm_resize VG_(realloc)
#define dm_release VG_(free)
#define dm_memset VG_(memset)
#define dm_sprintf VG_(sprintf)
#define dm_vsnprintf VG_(vsnprintf)

/* Zeroed pages, NULL where there are none; for tables as long as a buffer. */
void* dm_pages(SizeT bytes);
void dm_pages_free(void* pages, SizeT bytes);

#endif /* DM_PORT_H */
