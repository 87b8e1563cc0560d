/* dm_window.c: when windows open and close.
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
#include "pub_tool_seqmatch.h"
#include "pub_tool_threadstate.h"

#define NO_EXIT (~(Addr)0)

Addr dm_exit_sp = NO_EXIT;
DmCall dm_call;

static XArray* buffers; /* of DmBuffer, by start */
static XArray* missing; /* of DmMissing */

void dm_window_init(void)
{
   buffers = VG_(newXA)(VG_(malloc), "dm.buffers", VG_(free), sizeof(DmBuffer));
   missing = VG_(newXA)(VG_(malloc), "dm.missing", VG_(free), sizeof(DmMissing));
}

static void* first_of(XArray* array)
{
   return VG_(sizeXA)(array) ? VG_(indexXA)(array, 0) : NULL;
}

/* ---- which functions ---- */

Bool dm_watches_functions(void)
{
   return VG_(sizeXA)(dm_asked.functions) + VG_(sizeXA)(dm_asked.places) > 0;
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
   for (i = 0; i < VG_(sizeXA)(dm_asked.places); i++) {
      DmObjectPlace* place = VG_(indexXA)(dm_asked.places, i);
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
   if (VG_(sizeXA)(dm_asked.places) && at_object_place(pc)) {
      HChar address[32];
      VG_(sprintf)(address, "0x%lx", pc);
      return VG_(strdup)("dm.function", named ? name : address);
   }
   if (!named) return NULL;
   for (i = 0; i < VG_(sizeXA)(dm_asked.functions); i++)
      if (name_matches(*(const HChar**)VG_(indexXA)(dm_asked.functions, i), name))
         return VG_(strdup)("dm.function", name);
   return NULL;
}

/* ---- opening and closing ---- */

static void open_window(ThreadId tid, const HChar* function)
{
   VG_(dropTailXA)(buffers, VG_(sizeXA)(buffers));
   VG_(dropTailXA)(missing, VG_(sizeXA)(missing));
   dm_buffers_resolve(tid, buffers, missing);
   dm_window_open(tid, function, first_of(buffers), (UInt)VG_(sizeXA)(buffers),
                  first_of(missing), (UInt)VG_(sizeXA)(missing));
}

void dm_window_opened(void)
{
   if (dm_asked.values) dm_values_window_opened();
}

void dm_window_closed(void)
{
   dm_exit_sp = NO_EXIT;
   if (dm_asked.values) dm_values_window_closed();
}

static void close_window(const HChar* how)
{
   dm_copy_over();
   dm_window_close(how);
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
      if (dm_call.by_request || sp <= dm_call.entry_sp
          || dm_on_other_stack(tid, sp, dm_call.entry_sp))
         return;
      close_window("left without a trace");
   }
   open_window(tid, name);
   dm_call.by_request = False;
   dm_call.entry_sp = sp;
   dm_call.entry_link = dm_return_address(tid, sp);
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
   Bool back = (target & ~(Addr)1) == (dm_call.entry_link & ~(Addr)1);
   if (dm_copy_goes_on(tid, sp, target) || sp <= dm_exit_sp) return;
   if (!dm_window.open || dm_call.by_request || tid != dm_window.tid) return;
   if (!back
       && (sp == dm_call.entry_sp || dm_on_other_stack(tid, sp, dm_call.entry_sp)))
      return;
   close_window(back ? "returned" : "left by a jump");
}

/* ---- client requests ---- */

void dm_window_begin_request(ThreadId tid, const HChar* name)
{
   static HChar* copy = NULL;
   if (dm_window.open) {
      dm_call.depth++;
      return;
   }
   VG_(free)(copy);
   copy = VG_(strdup)("dm.function", name);
   open_window(tid, copy);
   dm_call.by_request = True;
   dm_call.depth = 0;
}

Bool dm_window_end_request(void)
{
   if (!dm_window.open || !dm_call.by_request) return False;
   if (dm_asked.whole_program && dm_call.depth == 1) return False;
   if (dm_call.depth > 0)
      dm_call.depth--;
   else
      close_window("requested");
   return True;
}

void dm_window_begin_program(void)
{
   open_window(1, "whole program");
   dm_call.by_request = True;
   dm_call.depth = 1; /* no request closes it */
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
   if (dm_window.open && !dm_asked.whole_program && !lies_there(name, start, size))
      dm_fail("buffer \"%s\" was declared or moved while window %u (%s) was open; "
              "declare buffers before the window begins",
              name, dm_window.index, dm_window.function);
   dm_buffer_declare(name, role, start, size);
}
