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
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

#define NO_EXIT (~(Addr)0)

Addr dm_exit_sp = NO_EXIT;
DmCall dm_call;

static XArray* buffers; /* of DmBuffer, by start */
static XArray* missing; /* of DmMissing */

/* The call of an IFUNC, which picks a function. */
static struct {
   const DmEntry* by; /* NULL: none is being called */
   ThreadId tid;
   Addr sp, link;
} picking;

void dm_window_init(void)
{
   buffers = VG_(newXA)(VG_(malloc), "dm.buffers", VG_(free), sizeof(DmBuffer));
   missing = VG_(newXA)(VG_(malloc), "dm.missing", VG_(free), sizeof(DmMissing));
}

static void* first_of(XArray* array)
{
   return VG_(sizeXA)(array) ? VG_(indexXA)(array, 0) : NULL;
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

void dm_watch_exits(void)
{
   Addr sp = NO_EXIT;
   if (dm_window.open && !dm_call.by_request) sp = dm_call.entry_sp - 1;
   if (picking.by && picking.sp - 1 < sp) sp = picking.sp - 1;
   if (dm_copying && dm_copy_sp - 1 < sp) sp = dm_copy_sp - 1;
   dm_exit_sp = sp;
}

void dm_window_closed(void)
{
   dm_watch_exits();
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
   VG_(memset)(dm_line_map, 0, DM_LINES);
   dm_window.open = False;
   dm_copying = False;
   picking.by = NULL;
   dm_exit_sp = NO_EXIT;
   dm_cursor = dm_records;
}

/* ---- IFUNCs: the call that picks the function ---- */

static void begin_picking(ThreadId tid, Addr sp, const DmEntry* by)
{
   if (picking.by) return;
   picking.by = by;
   picking.tid = tid;
   picking.sp = sp;
   picking.link = dm_return_address(tid, sp);
   dm_watch_exits();
}

/* The call is over, with its result where the calling convention puts it. */
static void end_picking(Bool returned)
{
   const DmEntry* by = picking.by;
   picking.by = NULL;
   dm_watch_exits();
   if (returned) dm_function_picked(by, dm_result(picking.tid));
}

/* ---- calls of functions ---- */

/* For the recorder, which warns of several functions of one name. */
static void announce(DmEntry* e)
{
   if (e->announced) return;
   e->announced = True;
   dm_json_begin("entry");
   dm_json_text("symbol", e->symbol);
   dm_json_text("function", e->name);
   dm_json_text("object", e->object);
   dm_json_number("offset", e->offset);
   dm_json_send();
}

VG_REGPARM(1) void dm_window_enter(DmEntry* entry)
{
   ThreadId tid = VG_(get_running_tid)();
   Addr sp = VG_(get_SP)(tid);
   if (!dm_recording) {
      dm_forked_call(entry);
      return;
   }
   if (entry->is_ifunc) {
      begin_picking(tid, sp, entry);
      return;
   }
   if (dm_window.open && dm_window.tid != tid) return;
   if (dm_window.open) {
      /* A call inside the window, unless the window's own call is gone. */
      if (dm_call.by_request || sp <= dm_call.entry_sp
          || dm_on_other_stack(tid, sp, dm_call.entry_sp))
         return;
      close_window("left without a trace");
   }
   announce(entry);
   open_window(tid, entry->name);
   dm_call.by_request = False;
   dm_call.entry_sp = sp;
   dm_call.entry_link = dm_return_address(tid, sp);
   dm_watch_exits();
}

VG_REGPARM(1) void dm_window_run_into(const DmEntry* entry)
{
   if (!dm_recording || dm_window.open) return;
   dm_fail("the program runs straight into %s from the code before it, where its arguments "
           "cannot be told; trace the function that it comes from", entry->name);
}

VG_REGPARM(2) void dm_window_check_exit(Addr sp, Addr target)
{
   ThreadId tid = VG_(get_running_tid)();
   Bool back = (target & ~(Addr)1) == (dm_call.entry_link & ~(Addr)1);
   if (dm_copy_goes_on(tid, sp, target)) return;
   if (picking.by && tid == picking.tid && sp >= picking.sp
       && !dm_on_other_stack(tid, sp, picking.sp))
      end_picking((target & ~(Addr)1) == (picking.link & ~(Addr)1));
   if (!dm_window.open || dm_call.by_request || tid != dm_window.tid) return;
   /* With a link register the stack pointer only comes back to where it was. */
   if (sp < dm_call.entry_sp) return;
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
