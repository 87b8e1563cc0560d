/* dm_port.h: the core's types and tools where QEMU runs the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#ifndef DM_PORT_H
#define DM_PORT_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char UChar;
typedef unsigned short UShort;
typedef int Int;
typedef unsigned int UInt;
typedef long long Long;
typedef unsigned long long ULong;
typedef unsigned long Addr; /* of the guest; all of them fit */
typedef unsigned long SizeT;
typedef char HChar;
typedef unsigned char Bool;
typedef UInt ThreadId;
#define True ((Bool)1)
#define False ((Bool)0)

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* What Valgrind accounts a block to is of no use here. */
#define dm_alloc(account, bytes) dm_resize(account, NULL, bytes)
#define dm_resize(account, block, bytes) dm_memory(block, bytes)
#define dm_release free
#define dm_memset memset
#define dm_sprintf sprintf
#define dm_vsnprintf vsnprintf

/* realloc that does not fail. */
void* dm_memory(void* block, SizeT bytes);
/* Zeroed pages, NULL where there are none; for tables as long as a buffer. */
void* dm_pages(SizeT bytes);
void dm_pages_free(void* pages, SizeT bytes);

#endif /* DM_PORT_H */
