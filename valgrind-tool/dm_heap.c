/* dm_heap.c: the client's malloc, so that a heap block can be named by its
 * size and its place in the order of allocation.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm.h"
#include "pub_tool_hashtable.h"
#include "pub_tool_replacemalloc.h"

/* Every block that lives, by address, and for the sizes that a --buffer asks
 * for the order in which blocks of that size came. */
typedef struct Block {
   struct Block* next;
   UWord start; /* the key */
   SizeT size;
   UWord order;
} Block;

typedef struct Count {
   struct Count* next;
   UWord size; /* the key */
   UWord n;
} Count;

static VgHashTable* blocks;
static VgHashTable* counts;

static void* allocate(ThreadId tid, SizeT size, SizeT align, Bool zero)
{
   void* p;
   Block* b;
   Count* c;
   if ((SSizeT)size < 0) return NULL;
   p = VG_(cli_malloc)(align, size);
   if (!p) return NULL;
   if (zero) {
      VG_(memset)(p, 0, size);
      dm_access_for(tid, DM_SYSCALL_STORE, (Addr)p, size);
   }

   c = VG_(HT_lookup)(counts, size);
   if (!c) {
      c = VG_(malloc)("dm.count", sizeof *c);
      c->size = size;
      c->n = 0;
      VG_(HT_add_node)(counts, c);
   }
   b = VG_(malloc)("dm.block", sizeof *b);
   b->start = (UWord)p;
   b->size = size;
   b->order = c->n++;
   VG_(HT_add_node)(blocks, b);
   return p;
}

static void release(void* p)
{
   Block* b = VG_(HT_remove)(blocks, (UWord)p);
   if (!b) return; /* not a block of ours: the C library would abort */
   VG_(free)(b);
   VG_(cli_free)(p);
}

static void* dm_malloc(ThreadId tid, SizeT n)
{
   return allocate(tid, n, VG_(clo_alignment), False);
}

static void* dm_memalign(ThreadId tid, SizeT align DM_ASKED_ALIGNMENT, SizeT n)
{
   return allocate(tid, n, align, False);
}

static void* dm_new_aligned(ThreadId tid, SizeT n, SizeT align DM_ASKED_ALIGNMENT)
{
   return allocate(tid, n, align, False);
}

static void* dm_calloc(ThreadId tid, SizeT n, SizeT each)
{
   if (each && n > (SizeT)-1 / each) return NULL;
   return allocate(tid, n * each, VG_(clo_alignment), True);
}

static void dm_free(ThreadId tid, void* p) { release(p); }

static void dm_delete_aligned(ThreadId tid, void* p, SizeT align) { release(p); }

static void* dm_realloc(ThreadId tid, void* p, SizeT n)
{
   Block* old = p ? VG_(HT_lookup)(blocks, (UWord)p) : NULL;
   void* fresh;
   if (p && !old) return NULL;
   if (p && n == 0) {
      release(p);
      return NULL;
   }
   fresh = allocate(tid, n, VG_(clo_alignment), False);
   if (fresh && old) {
      SizeT kept = old->size < n ? old->size : n;
      VG_(memcpy)(fresh, p, kept);
      dm_access_for(tid, DM_SYSCALL_LOAD, (Addr)p, kept);
      dm_access_for(tid, DM_SYSCALL_STORE, (Addr)fresh, kept);
      release(p);
   }
   return fresh;
}

static SizeT dm_usable_size(ThreadId tid, void* p)
{
   const Block* b = VG_(HT_lookup)(blocks, (UWord)p);
   return b ? b->size : 0;
}

void dm_heap_init(void)
{
   /* The red zone keeps blocks far enough apart for each to have a span of its
      own: their columns compress better, and filtering is faster. */
   blocks = VG_(HT_construct)("dm.blocks");
   counts = VG_(HT_construct)("dm.counts");
   VG_(needs_malloc_replacement)(dm_malloc, dm_malloc, dm_new_aligned, dm_malloc,
                                 dm_new_aligned, dm_memalign, dm_calloc, dm_free,
                                 dm_free, dm_delete_aligned, dm_free, dm_delete_aligned,
                                 dm_realloc, dm_usable_size, DM_REACH);
}

Bool dm_heap_block(SizeT size, UWord order, Addr* start, const HChar** reason)
{
   const Block* b;
   const Count* c = VG_(HT_lookup)(counts, size);
   *reason = c && c->n > order ? "that heap block has been freed"
                               : "no such heap block has been allocated yet";
   VG_(HT_ResetIter)(blocks);
   while ((b = VG_(HT_Next)(blocks))) {
      if (b->size != size || b->order != order) continue;
      *start = b->start;
      *reason = NULL;
      return True;
   }
   return False;
}
