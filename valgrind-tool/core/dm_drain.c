/* dm_drain.c: from records to events or a summary.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm_core.h"

DmOptions dm_options = { DM_EVENTS, False, 0xffffffffu };
Bool dm_recording = True;
ThreadId dm_records_tid;
DmRecord dm_records[DM_RECORDS + DM_RECORDS_SLACK];
DmRecord* dm_cursor = dm_records;

void dm_touched(void)
{
   if (dm_window.events_tid == 0)
      dm_window.events_tid = dm_records_tid;
   else if (dm_window.events_tid != dm_records_tid)
      dm_window.several_threads = True;
}

void dm_drain(void)
{
   dm_direct_end();
   if (dm_window.open && dm_recording && dm_records_count()) {
      ULong before = dm_window.events;
      if (dm_options.mode == DM_SUMMARY)
         dm_summary_consume(dm_records, dm_cursor);
      else
         dm_events_consume(dm_records, dm_cursor);
      if (dm_window.events > before) dm_touched();
   }
   dm_cursor = dm_records;
}

/* An access that may be longer than the gaps between spans: an event in each
 * span that it touches, clipped to it. */
static void bulk(UInt site, Addr addr, SizeT size)
{
   UInt i = 0;
   DmSpan* span;
   while ((span = dm_span_of(addr, size, i))) {
      Addr from = addr > span->start ? addr : span->start;
      Addr to = addr + size < span->end ? addr + size : span->end;
      if (dm_options.mode == DM_SUMMARY) {
         dm_summary_bulk(site, span, from, to - from);
      } else {
         dm_events_bulk(site, span, from, to - from);
         dm_bulk_made(from, to - from);
      }
      i = (UInt)(span - dm_window.spans) + 1;
      dm_touched();
   }
}

void dm_bulk_at(Addr pc, DmKind kind, Addr addr, SizeT size)
{
   bulk(dm_site(pc, kind, 0), addr, size);
}

void dm_bulk_record(DmRecord record)
{
   const DmSite* s = &dm_sites[record & DM_SITE_MASK];
   dm_bulk_at(s->pc, s->kind, (Addr)(record >> DM_SITE_BITS), s->size);
}
