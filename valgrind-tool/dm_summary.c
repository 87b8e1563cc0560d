/* dm_summary.c: summary mode, four ticks for each cell of each buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * A cell is the largest power of two of bytes that every access so far has
 * touched whole: all its bytes share one history, so nothing is lost against
 * one cell a byte, and a float tensor needs a quarter of the memory.  The
 * first access that would split a cell refines the whole buffer.
 *
 * When a window closes, each buffer gives a SUMMARY frame:
 *
 *   u32 window, u32 buffer, u32 cell_bytes, u32 kinds, u64 cells
 *   if kinds & 1: cells x { u64 first load, u64 last load }
 *   if kinds & 2: cells x { u64 first store, u64 last store }
 *
 * each a tick + 1, or 0 for never.
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"

#define MAX_CELL_SHIFT 6

static DmCell* new_cells(SizeT n)
{
   /* Zeroed by the kernel, and only where touched. */
   DmCell* cells = VG_(am_shadow_alloc)(n * sizeof(DmCell));
   if (!cells) dm_fail("out of memory for the %lu cells of a summary", n);
   return cells;
}

static void drop_cells(DmCell* cells, SizeT n)
{
   SizeT page = VKI_PAGE_SIZE;
   if (cells) VG_(am_munmap_valgrind)((Addr)cells, (n * sizeof(DmCell) + page - 1) / page * page);
}

/* The largest cell that has an edge wherever `bits` has a bit set. */
static UInt shift_of(SizeT bits)
{
   UInt shift = 0;
   while (shift < MAX_CELL_SHIFT && !(bits >> shift & 1)) shift++;
   return shift;
}

void dm_summary_window_opened(void)
{
   UInt i;
   for (i = 0; i < dm_window.n_buffers; i++) {
      DmBuffer* b = &dm_window.buffer[i];
      b->cell_shift = shift_of(b->end - b->start);
      b->n_cells = (b->end - b->start) >> b->cell_shift;
   }
}

static DmCell* split(DmCell* old, SizeT n, SizeT each)
{
   DmCell* cells;
   SizeT i, j;
   if (!old) return NULL;
   cells = new_cells(n * each);
   for (i = 0; i < n; i++)
      if (old[i].first)
         for (j = 0; j < each; j++) cells[i * each + j] = old[i];
   drop_cells(old, n);
   return cells;
}

/* Make cells so small that `bits`, an offset or a length, falls on an edge. */
static __attribute__((noinline)) void refine(DmBuffer* b, SizeT bits)
{
   UInt shift = shift_of(bits);
   SizeT each = (SizeT)1 << (b->cell_shift - shift);
   b->cells[0] = split(b->cells[0], b->n_cells, each);
   b->cells[1] = split(b->cells[1], b->n_cells, each);
   b->n_cells *= each;
   b->cell_shift = shift;
}

static inline void touch(DmBuffer* b, Addr addr, SizeT size, Bool store, ULong stamp)
{
   Addr lo = addr > b->start ? addr : b->start;
   Addr hi = addr + size < b->end ? addr + size : b->end;
   DmCell* c;
   const DmCell* end;
   if (UNLIKELY(lo >= hi)) return;
   if (UNLIKELY(((lo - b->start) | (hi - lo)) & (((SizeT)1 << b->cell_shift) - 1)))
      refine(b, (lo - b->start) | (hi - lo));
   if (UNLIKELY(!b->cells[store])) b->cells[store] = new_cells(b->n_cells);
   c = b->cells[store] + ((lo - b->start) >> b->cell_shift);
   end = c + ((hi - lo) >> b->cell_shift);
   do {
      if (!c->first) c->first = stamp;
      c->last = stamp;
   } while (++c < end);
}

static inline void touch_all(const DmSpan* span, Addr addr, SizeT size, Bool store, ULong stamp)
{
   UInt i;
   for (i = 0; i < span->n_buffers; i++)
      touch(&dm_window.buffer[span->first_buffer + i], addr, size, store, stamp);
}

void dm_summary_consume(const DmRecord* from, const DmRecord* to)
{
   const DmRecord* r;
   ULong events = dm_window.events, stores = dm_window.stores;
   for (r = from; r < to; r++) {
      DmSite* s = &dm_sites[*r & DM_SITE_MASK];
      Addr addr = (Addr)(*r >> DM_SITE_BITS);
      const DmSpan* span = dm_span_of_site(s, addr);
      if (!span) continue;
      s->last_span = (UInt)(span - dm_window.spans);
      events++;
      stores += s->store;
      if (LIKELY(span->n_buffers == 1))
         touch(&dm_window.buffer[span->first_buffer], addr, s->size, s->store, events);
      else
         touch_all(span, addr, s->size, s->store, events);
   }
   dm_window.events = events;
   dm_window.stores = stores;
}

void dm_summary_bulk(UInt site, DmSpan* span, Addr addr, SizeT size)
{
   Bool store = dm_sites[site].store;
   dm_window.stores += store;
   touch_all(span, addr, size, store, ++dm_window.events);
}

void dm_summary_window_closed(void)
{
   UInt i, k;
   for (i = 0; i < dm_window.n_buffers; i++) {
      DmBuffer* b = &dm_window.buffer[i];
      UInt kinds = (b->cells[0] ? 1 : 0) | (b->cells[1] ? 2 : 0);
      SizeT column = b->n_cells * sizeof(DmCell);
      struct { UInt window, buffer, cell_bytes, kinds; ULong cells; } head
         = { dm_window.index, i, 1u << b->cell_shift, kinds, b->n_cells };
      dm_stream_frame(DM_FRAME_SUMMARY,
                      sizeof head + ((kinds & 1) + (kinds >> 1)) * (ULong)column);
      dm_stream_bytes(&head, sizeof head);
      for (k = 0; k < 2; k++) {
         if (b->cells[k]) dm_stream_bytes(b->cells[k], column);
         drop_cells(b->cells[k], b->n_cells);
         b->cells[k] = NULL;
      }
   }
}
