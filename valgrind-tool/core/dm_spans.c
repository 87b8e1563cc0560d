/* dm_spans.c: the open window, and the page map that says where its buffers are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm_core.h"

/* Sorts of gap that are worth a span of their own: an access that begins
 * within this many bytes before a buffer may still reach into it. */
#define SPAN_GAP DM_REACH

DmWindow dm_window;
UChar dm_page_map[DM_PAGES];
UChar dm_line_map[DM_LINES];

static UInt n_windows;

UInt dm_window_total(void) { return n_windows; }

/* The `n` parts of a map, each of `1 << shift` bytes, onto which addresses are folded. */
static void map_span(UChar* map, Addr n, UInt shift, const DmSpan* s, UChar value)
{
   Addr first = (s->start < DM_REACH ? 0 : s->start - DM_REACH) >> shift;
   Addr last = (s->end - 1) >> shift;
   if (last - first >= n) {
      dm_memset(map, value, n);
   } else if (first % n <= last % n) {
      dm_memset(map + first % n, value, last - first + 1);
   } else {
      dm_memset(map + first % n, value, n - first % n);
      dm_memset(map, value, last % n + 1);
   }
}

static void map_window(UChar value)
{
   UInt i;
   for (i = 0; i < dm_window.n_spans; i++) {
      map_span(dm_page_map, DM_PAGES, DM_PAGE_SHIFT, &dm_window.spans[i], value);
      map_span(dm_line_map, DM_LINES, DM_LINE_SHIFT, &dm_window.spans[i], value);
   }
}

static void make_spans(void)
{
   UInt n = dm_window.n_buffers, i;
   DmSpan* spans = dm_alloc("dm.spans", (n + 1) * sizeof *spans);
   UInt n_spans = 0;
   for (i = 0; i < n; i++) {
      const DmBuffer* b = &dm_window.buffer[i];
      DmSpan* s = n_spans ? &spans[n_spans - 1] : NULL;
      if (!s || b->start > s->end + SPAN_GAP) {
         s = &spans[n_spans++];
         s->start = b->start;
         s->end = b->start;
         s->first_buffer = i;
         s->n_buffers = 0;
         s->gaps = False;
      }
      if (b->start > s->end) s->gaps = True;
      if (b->end > s->end) s->end = b->end;
      s->n_buffers++;
   }
   if (dm_options.all) {
      spans[0].start = 0;
      spans[0].end = (Addr)(DM_ADDRESS_END - 1);
      spans[0].first_buffer = 0;
      spans[0].n_buffers = n;
      spans[0].gaps = False;
      n_spans = 1;
   }
   dm_window.spans = spans;
   dm_window.n_spans = n_spans;
}

DmBuffer* dm_buffer_of(const DmSpan* span, Addr addr, SizeT size)
{
   UInt i;
   for (i = 0; i < span->n_buffers; i++) {
      DmBuffer* b = &dm_window.buffer[span->first_buffer + i];
      if (dm_touches(b->start, b->end, addr, size)) return b;
   }
   return NULL;
}

DmSpan* dm_span_of(Addr addr, SizeT size, UInt from)
{
   UInt i;
   for (i = from; i < dm_window.n_spans; i++) {
      DmSpan* s = &dm_window.spans[i];
      if (addr + size <= s->start) return NULL;
      if (addr < s->end && (!s->gaps || dm_buffer_of(s, addr, size))) return s;
   }
   return NULL;
}

/* ---- opening and closing ---- */

static void announce(const DmMissing* missing, UInt n_missing)
{
   UInt i;
   dm_json_begin("window");
   dm_json_number("index", dm_window.index);
   dm_json_text("function", dm_window.function);
   dm_json_number("thread", dm_window.tid);
   dm_json_open("buffers", '[');
   for (i = 0; i < dm_window.n_buffers; i++) {
      const DmBuffer* b = &dm_window.buffer[i];
      dm_json_open(NULL, '{');
      dm_json_text("name", b->name);
      dm_json_text("role", b->role);
      dm_json_number("address", b->start);
      dm_json_number("size", b->end - b->start);
      dm_json_close('}');
   }
   dm_json_close(']');
   dm_json_open("spans", '[');
   for (i = 0; i < dm_window.n_spans; i++) {
      dm_json_open(NULL, '[');
      dm_json_number(NULL, dm_window.spans[i].start);
      dm_json_number(NULL, dm_window.spans[i].end);
      dm_json_close(']');
   }
   dm_json_close(']');
   dm_json_open("missing", '[');
   for (i = 0; i < n_missing; i++) {
      dm_json_open(NULL, '{');
      dm_json_text("name", missing[i].name);
      dm_json_text("reason", missing[i].reason);
      dm_json_close('}');
   }
   dm_json_close(']');
   dm_json_send();
}

void dm_window_open(ThreadId tid, const HChar* function, DmBuffer* buffers, UInt n_buffers,
                    const DmMissing* missing, UInt n_missing)
{
   dm_drain();
   dm_window.open = True;
   dm_window.index = n_windows++;
   dm_window.tid = tid;
   dm_window.function = function;
   dm_window.events = dm_window.stores = 0;
   dm_window.events_tid = 0;
   dm_window.several_threads = False;
   dm_window.n_buffers = n_buffers;
   dm_window.buffer = buffers;
   make_spans();
   announce(missing, n_missing);
   if (dm_options.mode == DM_SUMMARY)
      dm_summary_window_opened();
   else
      dm_events_window_opened();
   dm_window_opened();
   map_window(sizeof(DmRecord));
}

void dm_window_close(const HChar* how)
{
   dm_drain();
   map_window(0);
   dm_window.open = False;
   if (dm_options.mode == DM_SUMMARY) dm_summary_window_closed();
   dm_window_closed();
   dm_json_begin("window end");
   dm_json_number("index", dm_window.index);
   dm_json_text("end", how);
   dm_json_number("events", dm_window.events);
   dm_json_number("loads", dm_window.events - dm_window.stores);
   dm_json_number("stores", dm_window.stores);
   dm_json_number("several_threads", dm_window.several_threads);
   dm_json_send();
   dm_release(dm_window.spans);
   dm_window.spans = NULL;
   dm_window.n_spans = 0;
}
