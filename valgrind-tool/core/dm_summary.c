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
 * When a window closes, each buffer gives SUMMARY frames, some cells in each:
 *
 *   u32 window, u32 buffer, u32 cell_bytes, u32 kinds
 *   u64 cells, u64 first_cell, u32 count, u32 tick_bytes
 *   if kinds & 1: count x { first load, last load }
 *   if kinds & 2: count x { first store, last store }
 *
 * each a tick + 1 of tick_bytes (4 or 8), or 0 for never.  `cells` is how many
 * the buffer has, `first_cell` which of them come here.  A buffer that was not
 * touched gives one frame with a count of 0.
 */
#include "dm_core.h"

#define MAX_CELL_SHIFT 6
#define FRAME_CELLS 65536

/* Are the open window's cells wide? */
static Bool wide;

/* Whole narrow cells of a buffer that shares no byte with another.  A record's distance
 * (dm_key), turned right by `turn` bits, is the number of its first cell if that is less
 * than `count`: what lies before the buffer, behind it or across cells comes out as a
 * number far above.  A count of 0: nothing is known of the site. */
typedef struct {
   ULong key;
   ULong count;
   DmNarrowCell* cells;
   UChar turn;
   UChar store;
   UShort more; /* cells of an access but one */
   UInt zero;
} Known;

static Known known[DM_SITE_MASK + 1];
static UInt known_sites[DM_SITE_MASK + 1];
static UInt n_known;

/* For each buffer of the window: does no other hold any of its bytes? */
static Bool* alone;
static UInt alone_room;

static void forget(void)
{
   while (n_known > 0) known[known_sites[--n_known]].count = 0;
}

/* The site's next accesses are likely in the same buffer. */
static void remember(UInt site, const DmSite* s, const DmBuffer* b)
{
   Known* k = &known[site];
   SizeT cell = (SizeT)1 << b->cell_shift, bytes = b->end - b->start;
   if (wide || s->size % cell || bytes < s->size || !b->cells[s->store]) return;
   if (!k->count) known_sites[n_known++] = site;
   k->key = dm_key(site, b->start);
   k->count = ((bytes - s->size) >> b->cell_shift) + 1;
   k->cells = b->cells[s->store];
   k->turn = (UChar)(DM_SITE_BITS + b->cell_shift);
   k->store = s->store;
   k->more = (UShort)((s->size >> b->cell_shift) - 1);
}

static inline ULong turned(ULong x, UInt by) { return x >> by | x << (64 - by); }

static SizeT cell_size(void) { return wide ? sizeof(DmWideCell) : sizeof(DmNarrowCell); }

static void* new_cells(SizeT n)
{
   void* cells = dm_pages(n * cell_size());
   if (!cells) dm_fail("out of memory for the %lu cells of a summary", n);
   return cells;
}

static void drop_cells(void* cells, SizeT n, SizeT each)
{
   if (cells) dm_pages_free(cells, n * each);
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
   UInt i, n = dm_window.n_buffers;
   Addr end = 0; /* of the buffers so far */
   wide = False;
   forget();
   if (n > alone_room) alone = dm_resize("dm.alone", alone, alone_room = n);
   for (i = 0; i < n; i++) {
      DmBuffer* b = &dm_window.buffer[i];
      alone[i] = b->start >= end && (i + 1 == n || b[1].start >= b->end);
      if (b->end > end) end = b->end;
      b->cell_shift = shift_of(b->end - b->start);
      b->n_cells = (b->end - b->start) >> b->cell_shift;
   }
}

/* The same history for each of the `each` parts of every cell. */
static void* split(void* cells, SizeT n, SizeT each)
{
   SizeT i, j;
   if (!cells) return NULL;
   void* parts = new_cells(n * each);
   for (i = 0; i < n; i++) {
      if (wide) {
         const DmWideCell* old = (DmWideCell*)cells + i;
         for (j = 0; j < each && old->first; j++) ((DmWideCell*)parts)[i * each + j] = *old;
      } else {
         const DmNarrowCell* old = (DmNarrowCell*)cells + i;
         for (j = 0; j < each && old->first; j++) ((DmNarrowCell*)parts)[i * each + j] = *old;
      }
   }
   drop_cells(cells, n, cell_size());
   return parts;
}

/* Make cells so small that `bits`, an offset or a length, falls on an edge. */
static __attribute__((noinline)) void refine(DmBuffer* b, SizeT bits)
{
   UInt shift = shift_of(bits);
   forget();
   SizeT each = (SizeT)1 << (b->cell_shift - shift);
   b->cells[0] = split(b->cells[0], b->n_cells, each);
   b->cells[1] = split(b->cells[1], b->n_cells, each);
   b->n_cells *= each;
   b->cell_shift = shift;
}

/* The next tick does not fit 32 bits any more. */
static __attribute__((noinline)) void widen(void)
{
   UInt i, k;
   SizeT j;
   wide = True;
   forget();
   for (i = 0; i < dm_window.n_buffers; i++) {
      DmBuffer* b = &dm_window.buffer[i];
      for (k = 0; k < 2; k++) {
         const DmNarrowCell* old = b->cells[k];
         if (!old) continue;
         DmWideCell* cells = new_cells(b->n_cells);
         for (j = 0; j < b->n_cells; j++)
            if (old[j].first) {
               cells[j].first = old[j].first;
               cells[j].last = old[j].last;
            }
         drop_cells(b->cells[k], b->n_cells, sizeof(DmNarrowCell));
         b->cells[k] = cells;
      }
   }
}

static inline void touch(DmBuffer* b, Addr addr, SizeT size, Bool store, ULong stamp)
{
   Addr lo = addr > b->start ? addr : b->start;
   Addr hi = addr + size < b->end ? addr + size : b->end;
   SizeT i, end;
   if (UNLIKELY(lo >= hi)) return;
   if (UNLIKELY(((lo - b->start) | (hi - lo)) & (((SizeT)1 << b->cell_shift) - 1)))
      refine(b, (lo - b->start) | (hi - lo));
   if (UNLIKELY(!b->cells[store])) b->cells[store] = new_cells(b->n_cells);
   i = (lo - b->start) >> b->cell_shift;
   end = (hi - b->start) >> b->cell_shift;
   if (LIKELY(!wide)) {
      DmNarrowCell* cells = b->cells[store];
      do {
         if (!cells[i].first) cells[i].first = (UInt)stamp;
         cells[i].last = (UInt)stamp;
      } while (++i < end);
   } else {
      DmWideCell* cells = b->cells[store];
      do {
         if (!cells[i].first) cells[i].first = stamp;
         cells[i].last = stamp;
      } while (++i < end);
   }
}

static inline void touch_all(const DmSpan* span, Addr addr, SizeT size, Bool store, ULong stamp)
{
   UInt i;
   for (i = 0; i < span->n_buffers; i++)
      touch(&dm_window.buffer[span->first_buffer + i], addr, size, store, stamp);
}

/* Room for as many more ticks? */
static void expect(ULong events)
{
   if (!wide && dm_window.events + events >= dm_options.narrow_ticks) widen();
}

/* Take records up to the end or to one that is no ordinary access; answers which. */
static const DmRecord* consume_batch(const DmRecord* from, const DmRecord* to)
{
   const DmRecord* r;
   ULong events = dm_window.events, stores = dm_window.stores;
   expect((ULong)(to - from));
   for (r = from; r < to; r++) {
      UInt site = (UInt)*r & DM_SITE_MASK;
      const Known* k = &known[site];
      ULong i = turned(*r - k->key, k->turn);
      if (LIKELY(i < k->count)) {
         DmNarrowCell* cell = k->cells + i;
         const DmNarrowCell* last = cell + k->more;
         UInt stamp = (UInt)++events;
         stores += k->store;
         do {
            if (UNLIKELY(!cell->first)) cell->first = stamp;
            cell->last = stamp;
         } while (UNLIKELY(++cell <= last));
      } else {
         DmSite* s = &dm_sites[site];
         Addr addr = (Addr)(*r >> DM_SITE_BITS);
         const DmSpan* span;
         const DmBuffer* b;
         if (UNLIKELY(s->size > DM_REACH)) break;
         span = dm_span_of_site(s, addr);
         if (!span) continue;
         s->last_span = (UInt)(span - dm_window.spans);
         events++;
         stores += s->store;
         touch_all(span, addr, s->size, s->store, events);
         b = dm_buffer_of(span, addr, s->size);
         if (b && alone[b - dm_window.buffer]) remember(site, s, b);
      }
   }
   dm_window.events = events;
   dm_window.stores = stores;
   return r;
}

void dm_summary_consume(const DmRecord* from, const DmRecord* to)
{
   while (from < to) {
      from = consume_batch(from, to);
      if (from < to) dm_bulk_record(*from++);
   }
}

void dm_summary_bulk(UInt site, DmSpan* span, Addr addr, SizeT size)
{
   DmSite* s = &dm_sites[site];
   Bool store = s->store;
   /* Which copies a window made is worth knowing; of other accesses it is not kept. */
   if (s->kind >= DM_MEMCPY_LOAD) {
      dm_class(site, (UInt)(span - dm_window.spans));
      if (s->told_in != dm_window.index + 1) {
         s->told_in = dm_window.index + 1;
         dm_json_begin("copy");
         dm_json_number("window", dm_window.index);
         dm_json_number("site", site);
         dm_json_send();
      }
   }
   expect(1);
   dm_window.stores += store;
   touch_all(span, addr, size, store, ++dm_window.events);
}

static void send(const DmBuffer* b, UInt number)
{
   UInt kinds = (b->cells[0] ? 1 : 0) | (b->cells[1] ? 2 : 0), k;
   SizeT each = cell_size(), from = 0;
   do {
      UInt n = b->n_cells - from < FRAME_CELLS ? (UInt)(b->n_cells - from) : FRAME_CELLS;
      if (!kinds) n = 0;
      struct {
         UInt window, buffer, cell_bytes, kinds;
         ULong cells, first_cell;
         UInt count, tick_bytes;
      } head = { dm_window.index, number, 1u << b->cell_shift, kinds,
                 b->n_cells,      from,   n,                   (UInt)each / 2 };
      dm_stream_frame(DM_SUMMARY_PART, sizeof head + ((kinds & 1) + (kinds >> 1)) * n * each);
      dm_stream_bytes(&head, sizeof head);
      for (k = 0; k < 2; k++)
         if (b->cells[k]) dm_stream_bytes((const UChar*)b->cells[k] + from * each, n * each);
      from += n;
   } while (from < b->n_cells && kinds);
}

void dm_summary_window_closed(void)
{
   UInt i, k;
   for (i = 0; i < dm_window.n_buffers; i++) {
      DmBuffer* b = &dm_window.buffer[i];
      send(b, i);
      for (k = 0; k < 2; k++) {
         drop_cells(b->cells[k], b->n_cells, cell_size());
         b->cells[k] = NULL;
      }
   }
}
