/* dm_events.c: event mode, from records to blocks of columns.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Draining filters exactly, numbers the events and takes them apart: one
 * column of classes for all, and for each span a column of address
 * differences, because what a kernel does to one buffer repeats itself and what
 * it does to all of them does not.  An EVENTS frame is
 *
 *   u32 events, u32 segments, u32 spans, u32 sizes, u8 class_bytes, u8 0[7]
 *   segments x { u32 window, u32 thread, u64 first_tick, u32 events, u32 0 }
 *   spans    x { u32 events, u32 delta_bytes, u64 alignment }
 *   events   x class                     unsigned, class_bytes each
 *   for each span, its events x delta    signed, delta_bytes each
 *   sizes    x u64                       for events of classes of size 0
 *
 * A segment is a run of events of one window and one thread.  Deltas start
 * anew in each: the first is the distance from the span's start.  `alignment`
 * is the bitwise or of all distances from the span's start and all sizes: its
 * lowest set bit divides every one of them.
 */
#include "dm_core.h"

/* A block is sent when another full record buffer might not fit. */
#define BLOCK_EVENTS (1u << 17)
#define MAX_SEGMENTS 65536

typedef struct { UInt events, segments, spans, sizes; UChar class_bytes, zero[7]; } BlockHead;
typedef struct { UInt window, thread; ULong first_tick; UInt events, zero; } Segment;
typedef struct { UInt events, delta_bytes; ULong alignment; } ColumnHead;

/* The column of the span of that number, whatever window it belongs to. */
typedef struct {
   UChar* data;
   SizeT used, room; /* in bytes */
   UInt delta_bytes;
   ULong alignment;
} Column;

static UInt* classes;
static UInt n_events;
static Segment* segments;
static UInt n_segments;
static Column* columns;
static UInt n_columns;
static ULong* sizes;
static UInt n_sizes, sizes_room;

/* Accesses in one range of the first or second of at most two narrow spans.  A record's
 * distance (dm_key) from the range's start lies below `limit`; 0: nothing is known of the
 * site. */
typedef struct {
   ULong key;
   ULong limit;
   UInt bias; /* from the span's start to the range's */
   UInt class;
   UShort step[2]; /* by how much the two columns grow: 1 and 0, or 0 and 1 */
   UChar size[2];  /* the same times the access's size */
   UShort store;
} Known;

static Known known[DM_SITE_MASK + 1];
static UInt known_sites[DM_SITE_MASK + 1];
static UInt n_known;
static Bool two_narrow; /* the open window's spans, or it has one */

static void forget(void)
{
   while (n_known > 0) known[known_sites[--n_known]].limit = 0;
}

/* The site's next accesses are likely in the same buffer. */
static void remember(UInt site, const DmSite* s, const DmSpan* span, Addr addr)
{
   Known* k = &known[site];
   UInt index = (UInt)(span - dm_window.spans);
   Addr start = span->start, end = span->end;
   if (span->gaps) {
      const DmBuffer* b = dm_buffer_of(span, addr, s->size);
      if (!b) return;
      start = b->start;
      end = b->end;
   }
   if (end - start < s->size) return;
   if (!k->limit) known_sites[n_known++] = site;
   k->key = dm_key(site, start);
   k->limit = (ULong)(end - start - s->size + 1) << DM_SITE_BITS;
   k->bias = (UInt)(start - span->start);
   k->class = s->last_class;
   k->step[index] = 1;
   k->step[!index] = 0;
   k->size[index] = (UChar)s->size;
   k->size[!index] = 0;
   k->store = s->store;
}

void dm_events_init(void)
{
   classes = dm_alloc("dm.classes", BLOCK_EVENTS * sizeof *classes);
   segments = dm_alloc("dm.segments", MAX_SEGMENTS * sizeof *segments);
}

void dm_events_window_opened(void)
{
   UInt i;
   Bool fits = True;
   forget();
   two_narrow = dm_window.n_spans == 1 || dm_window.n_spans == 2;
   for (i = 0; i < dm_window.n_spans; i++) {
      DmSpan* s = &dm_window.spans[i];
      s->wide = s->end - s->start >= (1u << 30);
      if (s->wide) two_narrow = False;
      if (i < n_columns && columns[i].delta_bytes != (s->wide ? 8 : 4)) fits = False;
   }
   /* A column has one width throughout a block. */
   if (!fits) dm_events_flush();
   if (dm_window.n_spans > n_columns) {
      columns = dm_resize("dm.columns", columns, dm_window.n_spans * sizeof *columns);
      dm_memset(columns + n_columns, 0, (dm_window.n_spans - n_columns) * sizeof *columns);
      n_columns = dm_window.n_spans;
   }
   for (i = 0; i < dm_window.n_spans; i++)
      columns[i].delta_bytes = dm_window.spans[i].wide ? 8 : 4;
}

/* The segment that the next events of this window and thread belong to. */
static Segment* segment(void)
{
   Segment* last = n_segments ? &segments[n_segments - 1] : NULL;
   UInt i;
   if (last && last->window == dm_window.index && last->thread == dm_records_tid) return last;
   if (n_segments == MAX_SEGMENTS) dm_events_flush();
   last = &segments[n_segments++];
   last->window = dm_window.index;
   last->thread = dm_records_tid;
   last->first_tick = dm_window.events;
   last->events = last->zero = 0;
   for (i = 0; i < dm_window.n_spans; i++)
      dm_window.spans[i].last = dm_window.spans[i].start;
   return last;
}

/* Class numbers in as few bytes as they need; elsewhere, so that the compiler may
 * take many at a time. */
static const void* narrowed(UInt width)
{
   static UChar bytes[BLOCK_EVENTS];
   static UShort words[BLOCK_EVENTS];
   const UInt* from = classes;
   UInt i;
   if (width == 1) {
      for (i = 0; i < n_events; i++) bytes[i] = (UChar)from[i];
      return bytes;
   }
   if (width == 2) {
      for (i = 0; i < n_events; i++) words[i] = (UShort)from[i];
      return words;
   }
   return classes;
}

void dm_events_flush(void)
{
   UInt i, n = dm_class_count();
   UInt width = n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4;
   BlockHead head = { n_events, n_segments, n_columns, n_sizes, (UChar)width, { 0 } };
   ULong bytes = sizeof head + n_segments * sizeof(Segment) + n_columns * sizeof(ColumnHead)
                 + (ULong)n_events * width + n_sizes * sizeof *sizes;
   if (n_events == 0) {
      n_segments = 0;
      return;
   }
   for (i = 0; i < n_columns; i++) bytes += columns[i].used;

   dm_stream_frame(DM_EVENT_BLOCK, bytes);
   dm_stream_bytes(&head, sizeof head);
   dm_stream_bytes(segments, n_segments * sizeof(Segment));
   for (i = 0; i < n_columns; i++) {
      const Column* c = &columns[i];
      UInt each = c->delta_bytes;
      ColumnHead h = { (UInt)(c->used / each), each, c->alignment };
      dm_stream_bytes(&h, sizeof h);
   }
   dm_stream_bytes(narrowed(width), (ULong)n_events * width);
   for (i = 0; i < n_columns; i++) {
      dm_stream_bytes(columns[i].data, columns[i].used);
      columns[i].used = 0;
      columns[i].alignment = 0;
   }
   dm_stream_bytes(sizes, n_sizes * sizeof *sizes);
   n_events = n_segments = n_sizes = 0;
}

/* Room for `n` more events in every column and one behind them, and the spans set to write
 * there. */
static Segment* begin_batch(UInt n)
{
   Segment* seg;
   UInt i;
   if (n_events + n > BLOCK_EVENTS) dm_events_flush();
   seg = segment();
   for (i = 0; i < dm_window.n_spans; i++) {
      Column* c = &columns[i];
      DmSpan* s = &dm_window.spans[i];
      SizeT more = ((SizeT)n + 1) * c->delta_bytes;
      if (c->room - c->used < more) {
         c->room = 2 * c->room + more;
         c->data = dm_resize("dm.column", c->data, c->room);
      }
      s->at = c->data + c->used;
      s->alignment = c->alignment;
   }
   return seg;
}

static void end_batch(Segment* seg, UInt before)
{
   UInt i, n = n_events - before;
   for (i = 0; i < dm_window.n_spans; i++) {
      columns[i].used = (SizeT)(dm_window.spans[i].at - columns[i].data);
      columns[i].alignment = dm_window.spans[i].alignment;
   }
   seg->events += n;
   dm_window.events += n;
}

static inline void append(UInt* class, UInt site, DmSite* s, DmSpan* span, Addr addr, SizeT size)
{
   UInt index = (UInt)(span - dm_window.spans);
   *class = LIKELY(s->last_span == index) ? s->last_class : dm_class(site, index);
   if (LIKELY(!span->wide)) {
      *(Int*)span->at = (Int)dm_span_step(span, addr, size);
      span->at += sizeof(Int);
   } else {
      *(Long*)span->at = dm_span_step(span, addr, size);
      span->at += sizeof(Long);
   }
}

/* Take records up to the end or to one that is no ordinary access; answers which. */
static const DmRecord* consume_batch(const DmRecord* from, const DmRecord* to)
{
   const DmRecord* r;
   Segment* seg = begin_batch((UInt)(to - from));
   UInt before = n_events;
   UInt* class = classes + n_events;
   ULong stores = 0;
   for (r = from; r < to; r++) {
      UInt site = (UInt)*r & DM_SITE_MASK;
      DmSite* s = &dm_sites[site];
      Addr addr = (Addr)(*r >> DM_SITE_BITS);
      DmSpan* span;
      if (UNLIKELY(s->size > DM_REACH)) break;
      span = dm_span_of_site(s, addr);
      if (!span) continue;
      append(class++, site, s, span, addr, s->size);
      stores += s->store;
   }
   n_events = (UInt)(class - classes);
   dm_window.stores += stores;
   end_batch(seg, before);
   return r;
}

/* Distances from the span's start, put at its column's end up to `end`, into differences. */
static void finish_column(DmSpan* span, const UInt* end, UInt sizes_of_all)
{
   UInt* at = (UInt*)span->at;
   UInt all = sizes_of_all, i, before, n = (UInt)(end - at);
   if (n == 0) return;
   before = (UInt)(span->last - span->start);
   span->last = span->start + at[n - 1];
   for (i = 0; i < n; i++) all |= at[i];
   for (i = n - 1; i > 0; i--) at[i] -= at[i - 1];
   at[0] -= before;
   span->alignment |= all;
   span->at += n * sizeof *at;
}

/* The same for a window of one or two narrow spans.  A known access goes into both columns
 * and moves one of them on: no branch depends on which.  Distances become differences in a
 * second pass, which the compiler does several at a time. */
static const DmRecord* consume_narrow(const DmRecord* from, const DmRecord* to)
{
   static UInt nowhere[DM_RECORDS + DM_RECORDS_SLACK + 1];
   const DmRecord* r = from;
   Segment* seg = begin_batch((UInt)(to - from));
   UInt before = n_events;
   UInt* class = classes + n_events;
   ULong stores = 0;
   DmSpan* const first = &dm_window.spans[0];
   DmSpan* const second = dm_window.n_spans > 1 ? first + 1 : NULL;
   while (r < to) {
      UInt* first_at = (UInt*)first->at;
      UInt* second_at = second ? (UInt*)second->at : nowhere;
      UInt first_sizes = 0, second_sizes = 0;
      DmSpan* span = NULL;
      for (; r < to; r++) {
         UInt site = (UInt)*r & DM_SITE_MASK;
         const Known* k = &known[site];
         ULong distance = *r - k->key;
         if (UNLIKELY(distance >= k->limit)) {
            DmSite* s = &dm_sites[site];
            if (UNLIKELY(s->size > DM_REACH)) break;
            span = dm_span_of_site(s, (Addr)(*r >> DM_SITE_BITS));
            if (span) break;
            continue;
         }
         *class++ = k->class;
         *first_at = *second_at = (UInt)(distance >> DM_SITE_BITS) + k->bias;
         first_at += k->step[0];
         second_at += k->step[1];
         first_sizes |= k->size[0];
         second_sizes |= k->size[1];
         stores += k->store;
      }
      finish_column(first, first_at, first_sizes);
      if (second) finish_column(second, second_at, second_sizes);
      if (!span) break;
      UInt site = (UInt)*r & DM_SITE_MASK;
      DmSite* s = &dm_sites[site];
      Addr addr = (Addr)(*r++ >> DM_SITE_BITS);
      append(class++, site, s, span, addr, s->size);
      stores += s->store;
      remember(site, s, span, addr);
   }
   n_events = (UInt)(class - classes);
   dm_window.stores += stores;
   end_batch(seg, before);
   return r;
}

void dm_events_consume(const DmRecord* from, const DmRecord* to)
{
   while (from < to) {
      from = two_narrow ? consume_narrow(from, to) : consume_batch(from, to);
      if (from < to) dm_bulk_record(*from++);
   }
}

void dm_events_bulk(UInt site, DmSpan* span, Addr addr, SizeT size)
{
   Segment* seg = begin_batch(1);
   DmSite* s = &dm_sites[site];
   if (n_sizes == sizes_room) {
      sizes_room = sizes_room ? 2 * sizes_room : 64;
      sizes = dm_resize("dm.sizes", sizes, sizes_room * sizeof *sizes);
   }
   sizes[n_sizes++] = size;
   append(&classes[n_events], site, s, span, addr, size);
   n_events++;
   dm_window.stores += s->store;
   end_batch(seg, n_events - 1);
}

/* ---- events without a record ---- */

DmDirect dm_direct;

void dm_direct_begin(void)
{
   begin_batch(DM_RECORDS);
   dm_direct.at = classes + n_events;
   dm_direct.end = dm_direct.at + DM_RECORDS;
   dm_direct.stores = 0;
}

void dm_direct_end(void)
{
   UInt before = n_events;
   if (!dm_direct.at) return;
   n_events = (UInt)(dm_direct.at - classes);
   dm_direct.at = dm_direct.end = NULL;
   if (n_events == before) return;
   dm_window.stores += dm_direct.stores;
   end_batch(segment(), before);
   dm_touched();
}
