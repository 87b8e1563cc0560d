/* dm_calls.c: windows and library copies, by a shadow call stack.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Version 1 of QEMU's plugin interface reads no registers.  So each call pushes
 * where it will return to, and a jump to a computed address that lands on one of
 * these has returned from that call and from all later ones.  A window or a copy
 * is over when the stack is lower than at its entry: that is right for recursion,
 * for tail calls in and out, and for a longjmp out of the call, which shows when
 * a caller further out returns.
 *
 * What a copy reads and writes follows, for want of its arguments, from its own
 * accesses: the stretch of each span that they cover, once for loads and once for
 * stores.  These count as dm_copies.c of the Valgrind tool says.
 */
#include "dm.h"

/* Calls deeper than this end the run. */
#define DEPTH 4096

Addr dm_block;

static Addr returns[DEPTH];
static UInt depth;
static Bool called;  /* the last block ended with a call ... */
static Bool jumped;  /* ... or with a jump to a computed address */
static Bool by_call; /* this block was called */

static UInt window_depth;

typedef struct { Addr from, to; } Stretch;

static struct {
   Bool open;
   UInt depth;
   Addr pc;
   const DmPlace* place;
   Stretch* loads;  /* for each span of the window; empty where from == to */
   Stretch* stores;
} copy;

/* ---- copies ---- */

Bool dm_records_count(void) { return !copy.open; }

static void cover(Stretch* stretch, Addr addr, SizeT size)
{
   if (stretch->from == stretch->to) {
      stretch->from = addr;
      stretch->to = addr + size;
      return;
   }
   if (addr < stretch->from) stretch->from = addr;
   if (addr + size > stretch->to) stretch->to = addr + size;
}

static void collect(void)
{
   const DmRecord* r;
   for (r = dm_records; r < dm_cursor; r++) {
      const DmSite* s = &dm_sites[*r & DM_SITE_MASK];
      Addr addr = (Addr)(*r >> DM_SITE_BITS);
      const DmSpan* span = dm_span_of(addr, s->size, 0);
      if (span) cover(&(s->store ? copy.stores : copy.loads)[span - dm_window.spans], addr, s->size);
   }
}

void dm_flush_records(void)
{
   if (copy.open) collect();
   dm_drain();
}

static void open_copy(const DmPlace* place)
{
   SizeT bytes = dm_window.n_spans * sizeof(Stretch);
   if (!dm_window.open || copy.open || dm_options.all) return;
   dm_drain();
   copy.open = True;
   copy.depth = depth;
   copy.place = place;
   /* Inside the instruction that calls it; a tail call has none. */
   copy.pc = by_call && depth > 0 ? returns[depth - 1] - 1 : place->address;
   copy.loads = memset(dm_memory(copy.loads, bytes), 0, bytes);
   copy.stores = memset(dm_memory(copy.stores, bytes), 0, bytes);
}

static void count(DmKind kind, const Stretch* stretches)
{
   UInt i;
   for (i = 0; i < dm_window.n_spans; i++)
      if (stretches[i].from < stretches[i].to)
         dm_bulk_at(copy.pc, kind, stretches[i].from, stretches[i].to - stretches[i].from);
}

static Bool onto_itself(void)
{
   UInt i;
   for (i = 0; i < dm_window.n_spans; i++) {
      const Stretch* l = &copy.loads[i];
      const Stretch* s = &copy.stores[i];
      if (l->from < l->to && s->from < s->to && dm_touches(l->from, l->to, s->from, s->to - s->from))
         return True;
   }
   return False;
}

static void close_copy(void)
{
   const DmPlace* place = copy.place;
   dm_flush_records();
   copy.open = False;
   switch (place->store) {
      case DM_MEMCPY_STORE:
         /* Onto itself nothing is promised; what it reads was there before. */
         if (onto_itself()) count(place->load, copy.loads);
         count(place->store, copy.stores);
         count(place->load, copy.loads);
         break;
      case DM_MEMMOVE_STORE: count(place->load, copy.loads); /* fall through */
      default: count(place->store, copy.stores);
   }
}

/* ---- windows ---- */

static void close_window(const HChar* how)
{
   if (copy.open) close_copy();
   dm_window_close(how);
}

void dm_calls_window(const HChar* name)
{
   const DmWatched* of = dm_config_watched(dm_window_total());
   dm_window_open(1, name, of->buffers, of->n_buffers, NULL, 0);
   window_depth = depth;
}

static void fault(const DmPlace* place, Addr before)
{
   dm_json_begin("fault");
   dm_json_text("name", place->name);
   dm_json_number("offset", before - dm_config.bias);
   dm_json_send();
   dm_stream_close();
   dm_stop("the image faulted");
}

/* ---- control ---- */

static Addr block_before;

/* The stack from `to` on is gone. */
static void returned_to(UInt to)
{
   depth = to;
   if (copy.open && depth < copy.depth) close_copy();
   if (dm_window.open && !dm_config.whole_program && depth < window_depth)
      close_window(depth + 1 == window_depth ? "returned" : "left by a jump");
}

void dm_on_block(unsigned vcpu, void* start)
{
   Addr pc = (Addr)start;
   block_before = dm_block;
   dm_block = pc;
   by_call = called;
   if (called) {
      called = False;
      /* A call whose condition did not hold goes on behind it. */
      if (depth > 0 && returns[depth - 1] == pc) depth--;
   } else if (jumped) {
      UInt i = depth;
      jumped = False;
      while (i > 0 && returns[i - 1] != pc) i--;
      if (i > 0) returned_to(i - 1);
   }
}

void dm_on_call(unsigned vcpu, void* next)
{
   if (depth == DEPTH) dm_fail("calls are more than %u deep", DEPTH);
   returns[depth++] = (Addr)next;
   called = True;
}

void dm_on_jump(unsigned vcpu, void* unused) { jumped = True; }

void dm_on_place(unsigned vcpu, void* data)
{
   const DmPlace* place = data;
   if (!dm_recording) return;
   switch (place->kind) {
      case DM_AT_FUNCTION:
         if (!dm_window.open) dm_calls_window(place->name);
         break;
      case DM_AT_COPY: open_copy(place); break;
      case DM_AT_FAULT: fault(place, block_before);
   }
}

void dm_calls_over(void)
{
   if (dm_window.open)
      close_window(dm_config.whole_program ? "requested" : "the call did not return");
}
