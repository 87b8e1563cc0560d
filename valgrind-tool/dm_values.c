/* dm_values.c: what each access loaded or stored, so that the reader can check
 * that no store was missed or invented.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * A mode for checking the tool itself, slow.  The events are those of the
 * ordinary path; beside each goes its value, which for loads and stores of the
 * program's own comes from the intermediate code (what was loaded into the
 * temporary, what the store was given), not from memory: a store that is recorded
 * where none happened would otherwise look right.  Records are drained after every
 * access, so that the value and the event that came of it meet.
 *
 * A VALUES frame is u32 window, u32 part, u32 buffer, u32 0 and bytes:
 *
 *   part 0   what the buffer held when the window opened
 *   part 1   the values of the next events, one after the other; buffer is 0
 *   part 2   what the buffer held when the window closed
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"

#define ROOM (1u << 16)

typedef enum { OPENING, EVENTS, CLOSING } Part;

UChar dm_value[DM_REACH] __attribute__((aligned(64)));

static UChar* pending;
static UInt n_pending;

static void send(Part part, UInt buffer, const void* data, SizeT bytes)
{
   struct { UInt window, part, buffer, zero; } head = { dm_window.index, part, buffer, 0 };
   dm_stream_frame(DM_VALUES, sizeof head + bytes);
   dm_stream_bytes(&head, sizeof head);
   dm_stream_bytes(data, bytes);
}

static void flush(void)
{
   if (n_pending) send(EVENTS, 0, pending, n_pending);
   n_pending = 0;
}

static void append(const void* value, SizeT size)
{
   if (!pending) pending = VG_(malloc)("dm.values", ROOM);
   if (n_pending + size > ROOM) flush();
   if (size > ROOM) {
      send(EVENTS, 0, value, size);
      return;
   }
   VG_(memcpy)(pending + n_pending, value, size);
   n_pending += (UInt)size;
}

static void send_buffers(Part part)
{
   UInt i;
   for (i = 0; i < dm_window.n_buffers; i++) {
      const DmBuffer* b = &dm_window.buffer[i];
      SizeT size = b->end - b->start;
      /* A heap block may be gone when the window closes. */
      if (VG_(am_is_valid_for_client)(b->start, size, VKI_PROT_READ))
         send(part, i, (const void*)b->start, size);
   }
}

void dm_values_window_opened(void) { send_buffers(OPENING); }

void dm_values_window_closed(void)
{
   flush();
   send_buffers(CLOSING);
}

void dm_bulk_made(Addr addr, SizeT size)
{
   if (dm_asked.values) append((const void*)addr, size);
}

/* One access may have left a record: make an event of it. */
static Bool took_one(Addr* addr, SizeT* size)
{
   ULong before = dm_window.events;
   DmRecord record;
   if (dm_cursor == dm_records) return False;
   record = dm_cursor[-1];
   dm_drain();
   *addr = (Addr)(record >> DM_SITE_BITS);
   *size = dm_sites[record & DM_SITE_MASK].size;
   /* Long ones come from memory, span by span: dm_events_bulk. */
   return dm_window.events > before && *size <= DM_REACH;
}

void dm_values_take(void)
{
   Addr addr;
   SizeT size;
   if (took_one(&addr, &size)) append(dm_value, size);
}

void dm_values_take_memory(void)
{
   Addr addr;
   SizeT size;
   if (took_one(&addr, &size)) append((const void*)addr, size);
}
