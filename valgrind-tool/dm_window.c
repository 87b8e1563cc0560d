/* dm_window.c: windows, and the gate that lets accesses through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * A window opens at the outermost call of a traced function, or by a client
 * request.  A call is over when its thread's stack pointer has risen above
 * where it was at entry (on machines with a link register: to where it was,
 * and control is back at the caller).  That holds for a plain return, for a
 * return from a tail-called function, for longjmp and for exceptions alike,
 * and it is looked at wherever control passes to a computed address, which is
 * the only way any of these can go.  A stack pointer on another stack (that of
 * a signal handler or of a coroutine) tells nothing: the call may go on.
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_guest.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

#define NO_EXIT (~(Addr)0)

/* Sorts of gap that are worth a span of their own: an access that begins
 * within this many bytes before a buffer may still reach into it. */
#define SPAN_GAP DM_REACH

Addr dm_exit_sp = NO_EXIT;
DmWindow dm_window;

static UInt n_windows;

void dm_window_init(void)
{
   dm_window.buffers = VG_(newXA)(VG_(malloc), "dm.buffers", VG_(free), sizeof(DmBuffer));
   dm_window.missing = VG_(newXA)(VG_(malloc), "dm.missing", VG_(free), sizeof(DmMissing));
}

UInt dm_window_total(void) { return n_windows; }

/* ---- which functions ---- */

Bool dm_watches_functions(void)
{
   return VG_(sizeXA)(dm_options.functions) + VG_(sizeXA)(dm_options.places) > 0;
}

/* A pattern means the whole demangled name, or the name up to its parameter
 * list: "ns::f" and "ns::f(int)" both find ns::f(int), "C::f" C::f() const. */
static Bool name_matches(const HChar* pattern, const HChar* name)
{
   static const HChar constant[] = " const";
   const SizeT n = sizeof constant - 1;
   HChar* plain;
   HChar* end;
   Int depth = 0;
   Bool found = VG_(string_match)(pattern, name);
   if (found) return True;
   plain = VG_(strdup)("dm.plain", name);
   end = plain + VG_(strlen)(plain);
   if ((SizeT)(end - plain) > n && VG_STREQ(end - n, constant)) end -= n;
   if (end > plain && end[-1] == ')') {
      do {
         end--;
         if (*end == ')') depth++;
         if (*end == '(') depth--;
      } while (depth && end > plain);
      *end = 0;
      found = VG_(string_match)(pattern, plain);
   }
   VG_(free)(plain);
   return found;
}

static Bool at_object_place(Addr pc)
{
   static UInt seen_epoch = 0;
   UInt epoch = VG_(current_DiEpoch)().n;
   Bool fresh = epoch != seen_epoch;
   Word i;
   Bool found = False;
   for (i = 0; i < VG_(sizeXA)(dm_options.places); i++) {
      DmObjectPlace* place = VG_(indexXA)(dm_options.places, i);
      if (fresh) dm_resolve_object_place(place);
      if (place->resolved == pc) found = True;
   }
   seen_epoch = epoch;
   return found;
}

const HChar* dm_window_function(Addr pc)
{
   const HChar* name;
   Bool named = VG_(get_fnname_if_entry)(VG_(current_DiEpoch)(), pc, &name);
   Word i;
   if (VG_(sizeXA)(dm_options.places) && at_object_place(pc)) {
      HChar address[32];
      VG_(sprintf)(address, "0x%lx", pc);
      return VG_(strdup)("dm.function", named ? name : address);
   }
   if (!named) return NULL;
   for (i = 0; i < VG_(sizeXA)(dm_options.functions); i++)
      if (name_matches(*(const HChar**)VG_(indexXA)(dm_options.functions, i), name))
         return VG_(strdup)("dm.function", name);
   return NULL;
}

/* ---- spans and the page map ---- */

static void map_span(const DmSpan* s, UChar value)
{
   Addr first = (s->start < DM_REACH ? 0 : s->start - DM_REACH) >> DM_PAGE_SHIFT;
   Addr last = (s->end - 1) >> DM_PAGE_SHIFT;
   Addr page;
   if (last - first >= DM_PAGES) {
      VG_(memset)(dm_page_map, value, DM_PAGES);
      return;
   }
   for (page = first; page <= last; page++) dm_page_map[page % DM_PAGES] = value;
}

static void map_window(UChar value)
{
   UInt i;
   for (i = 0; i < dm_window.n_spans; i++) map_span(&dm_window.spans[i], value);
}

static void make_spans(void)
{
   UInt n = dm_window.n_buffers, i;
   DmSpan* spans = VG_(malloc)("dm.spans", (n + 1) * sizeof *spans);
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

static void announce(void)
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
   for (i = 0; i < (UInt)VG_(sizeXA)(dm_window.missing); i++) {
      const DmMissing* m = VG_(indexXA)(dm_window.missing, (Word)i);
      dm_json_open(NULL, '{');
      dm_json_text("name", m->name);
      dm_json_text("reason", m->reason);
      dm_json_close('}');
   }
   dm_json_close(']');
   dm_json_send();
}

static void open_window(ThreadId tid, const HChar* function)
{
   dm_drain();
   dm_window.open = True;
   dm_window.index = n_windows++;
   dm_window.tid = tid;
   dm_window.function = function;
   dm_window.events = dm_window.stores = 0;
   dm_window.events_tid = VG_INVALID_THREADID;
   dm_window.several_threads = False;
   VG_(dropTailXA)(dm_window.buffers, VG_(sizeXA)(dm_window.buffers));
   VG_(dropTailXA)(dm_window.missing, VG_(sizeXA)(dm_window.missing));
   dm_buffers_resolve(tid, dm_window.buffers, dm_window.missing);
   dm_window.n_buffers = (UInt)VG_(sizeXA)(dm_window.buffers);
   dm_window.buffer = dm_window.n_buffers ? VG_(indexXA)(dm_window.buffers, 0) : NULL;
   make_spans();
   announce();
   if (dm_options.mode == DM_SUMMARY)
      dm_summary_window_opened();
   else
      dm_events_window_opened();
   if (dm_options.values) dm_values_window_opened();
   map_window(sizeof(DmRecord));
}

static void close_window(const HChar* how)
{
   dm_copy_over();
   dm_drain();
   map_window(0);
   dm_window.open = False;
   dm_exit_sp = NO_EXIT;
   if (dm_options.mode == DM_SUMMARY) dm_summary_window_closed();
   if (dm_options.values) dm_values_window_closed();
   dm_json_begin("window end");
   dm_json_number("index", dm_window.index);
   dm_json_text("end", how);
   dm_json_number("events", dm_window.events);
   dm_json_number("loads", dm_window.events - dm_window.stores);
   dm_json_number("stores", dm_window.stores);
   dm_json_number("several_threads", dm_window.several_threads);
   dm_json_send();
   VG_(free)(dm_window.spans);
   dm_window.spans = NULL;
   dm_window.n_spans = 0;
}

void dm_window_touched(void)
{
   if (dm_window.events_tid == VG_INVALID_THREADID)
      dm_window.events_tid = dm_records_tid;
   else if (dm_window.events_tid != dm_records_tid)
      dm_window.several_threads = True;
}

void dm_window_cut(const HChar* why)
{
   if (dm_window.open) close_window(why);
}

void dm_window_forked(void)
{
   VG_(memset)(dm_page_map, 0, DM_PAGES);
   dm_window.open = False;
   dm_copying = False;
   dm_exit_sp = NO_EXIT;
   dm_cursor = dm_records;
}

Addr dm_return_address(ThreadId tid, Addr sp)
{
   Addr link = 0;
#if defined(VGA_arm)
   VG_(get_shadow_regs_area)(tid, (UChar*)&link, 0,
                             offsetof(VexGuestArchState, guest_R14), sizeof link);
#elif defined(VGA_arm64)
   VG_(get_shadow_regs_area)(tid, (UChar*)&link, 0,
                             offsetof(VexGuestArchState, guest_X30), sizeof link);
#else
   if (VG_(am_is_valid_for_client)(sp, sizeof link, VKI_PROT_READ)) link = *(const Addr*)sp;
#endif
   return link;
}

static Bool on_alternate_stack(ThreadId tid, Addr sp)
{
   Addr low = VG_(thread_get_altstack_min)(tid);
   SizeT size = VG_(thread_get_altstack_size)(tid);
   return size && sp >= low && sp - low <= size;
}

Bool dm_on_other_stack(ThreadId tid, Addr sp, Addr entry_sp)
{
   return VG_(am_find_nsegment)(sp) != VG_(am_find_nsegment)(entry_sp)
          || (on_alternate_stack(tid, sp) && !on_alternate_stack(tid, entry_sp));
}

VG_REGPARM(2) void dm_window_enter(Addr entry, const HChar* name)
{
   ThreadId tid = VG_(get_running_tid)();
   Addr sp = VG_(get_SP)(tid);
   if (!dm_recording || (dm_window.open && dm_window.tid != tid)) return;
   if (dm_window.open) {
      /* A call inside the window, unless the window's own call is gone. */
      if (dm_window.by_request || sp <= dm_window.entry_sp
          || dm_on_other_stack(tid, sp, dm_window.entry_sp))
         return;
      close_window("left without a trace");
   }
   open_window(tid, name);
   dm_window.by_request = False;
   dm_window.entry_sp = sp;
   dm_window.entry_link = dm_return_address(tid, sp);
   /* With a link register the stack pointer only comes back to where it was. */
   dm_exit_sp = sp - 1;
}

VG_REGPARM(1) void dm_window_run_into(const HChar* name)
{
   if (!dm_recording || dm_window.open) return;
   dm_fail("the program runs straight into %s from the code before it, where its arguments "
           "cannot be told; trace the function that it comes from", name);
}

VG_REGPARM(2) void dm_window_check_exit(Addr sp, Addr target)
{
   ThreadId tid = VG_(get_running_tid)();
   Bool back = (target & ~(Addr)1) == (dm_window.entry_link & ~(Addr)1);
   if (dm_copy_goes_on(tid, sp, target) || sp <= dm_exit_sp) return;
   if (!dm_window.open || dm_window.by_request || tid != dm_window.tid) return;
   if (!back
       && (sp == dm_window.entry_sp || dm_on_other_stack(tid, sp, dm_window.entry_sp)))
      return;
   close_window(back ? "returned" : "left by a jump");
}

/* ---- client requests ---- */

void dm_window_begin_request(ThreadId tid, const HChar* name)
{
   static HChar* copy = NULL;
   if (dm_window.open) {
      dm_window.depth++;
      return;
   }
   VG_(free)(copy);
   copy = VG_(strdup)("dm.function", name);
   open_window(tid, copy);
   dm_window.by_request = True;
   dm_window.depth = 0;
}

Bool dm_window_end_request(void)
{
   if (!dm_window.open || !dm_window.by_request) return False;
   if (dm_options.whole_program && dm_window.depth == 1) return False;
   if (dm_window.depth > 0)
      dm_window.depth--;
   else
      close_window("requested");
   return True;
}

void dm_window_begin_program(void)
{
   open_window(1, "whole program");
   dm_window.by_request = True;
   dm_window.depth = 1; /* no request closes it */
}

static Bool lies_there(const HChar* name, Addr start, SizeT size)
{
   UInt i;
   for (i = 0; i < dm_window.n_buffers; i++) {
      const DmBuffer* b = &dm_window.buffer[i];
      if (VG_STREQ(b->name, name)) return b->start == start && b->end == start + size;
   }
   return False;
}

void dm_window_buffer_declared(const HChar* name, UWord role, Addr start, SizeT size)
{
   /* A window that is the whole program has the buffers known at its start. */
   if (dm_window.open && !dm_options.whole_program && !lies_there(name, start, size))
      dm_fail("buffer \"%s\" was declared or moved while window %u (%s) was open; "
              "declare buffers before the window begins",
              name, dm_window.index, dm_window.function);
   dm_buffer_declare(name, role, start, size);
}
