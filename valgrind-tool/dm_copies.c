/* dm_copies.c: the C library's copies, which have no order of their own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * In which order memcpy touches its bytes is the library's choice, and what runs
 * on the board has another library.  So a call of it in a window counts as what
 * is promised and nothing more:
 *
 *   memcpy    all bytes are written when it begins, all are read when it ends
 *   memmove   all are read, then all are written
 *   memset    all are written
 *
 * one event each, and the accesses inside are left out until the call returns.
 *
 * A copy is known by the name at its entry.  glibc's own carry none of use (what
 * runs is picked at run time, and one address serves as memcpy and as memmove),
 * so the recorder preloads dm_preload.c, whose functions take every call that
 * goes through a dynamic symbol.
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

#define NONE 0xff

/* Which of a function's arguments, from 0, say what. */
struct DmCopyFunction {
   const HChar* name;
   DmKind load, store; /* DM_LOAD: it reads nothing */
   UChar to, from, bytes;
   Bool picked; /* in glibc's own libc.so the name is that of a function that
                   picks the copy for this processor */
};

static const DmCopyFunction functions[] = {
   { "memcpy", DM_MEMCPY_LOAD, DM_MEMCPY_STORE, 0, 1, 2, True },
   { "mempcpy", DM_MEMCPY_LOAD, DM_MEMCPY_STORE, 0, 1, 2, True },
   { "memmove", DM_MEMMOVE_LOAD, DM_MEMMOVE_STORE, 0, 1, 2, True },
   { "bcopy", DM_MEMMOVE_LOAD, DM_MEMMOVE_STORE, 1, 0, 2, False },
   { "memset", DM_LOAD, DM_MEMSET_STORE, 0, NONE, 2, True },
   { "bzero", DM_LOAD, DM_MEMSET_STORE, 0, NONE, 1, False },
   { "explicit_bzero", DM_LOAD, DM_MEMSET_STORE, 0, NONE, 1, False },
};

Addr dm_copy_sp;
static Addr copy_link;

/* ---- by name ---- */

static Bool begins(const HChar* text, const HChar* with)
{
   return VG_(strncmp)(text, with, VG_(strlen)(with)) == 0;
}

/* __memmove_avx_unaligned_erms: what a static glibc has for one processor. */
static Bool is_variant(const HChar* rest)
{
   static const HChar* const sets[] = { "_sse", "_ssse", "_avx", "_evex", "_erms", "_generic" };
   UInt i;
   for (i = 0; i < sizeof sets / sizeof *sets; i++)
      if (begins(rest, sets[i])) return True;
   return False;
}

static const DmCopyFunction* by_name(const HChar* name, Bool in_libc)
{
   const HChar* base = name;
   UInt i;
   while (*base == '_') base++;
   for (i = 0; i < sizeof functions / sizeof *functions; i++) {
      const DmCopyFunction* f = &functions[i];
      const HChar* rest = base + VG_(strlen)(f->name);
      if (!begins(base, f->name)) continue;
      if (begins(rest, "_chk")) rest += 4;
      if (!*rest) return in_libc && f->picked ? NULL : f;
      if (!begins(name, "__") || !is_variant(rest)) continue;
      /* One address is both: take what promises less. */
      return f->load == DM_MEMMOVE_LOAD ? &functions[0] : f;
   }
   return NULL;
}

static Bool in_libc(Addr pc)
{
   const DebugInfo* di = VG_(find_DebugInfo)(VG_(current_DiEpoch)(), pc);
   const HChar* file = di ? VG_(DebugInfo_get_filename)(di) : NULL;
   const HChar* base = file ? VG_(strrchr)(file, '/') : NULL;
   return base && (begins(base, "/libc.so") || begins(base, "/libc-2"));
}

const DmCopyFunction* dm_copy_function(Addr pc)
{
   const HChar* name;
   if (dm_asked.raw_copies) return NULL;
   if (!VG_(get_fnname_if_entry)(VG_(current_DiEpoch)(), pc, &name)) return NULL;
   return by_name(name, in_libc(pc));
}

/* ---- in a window ---- */

static Bool mapped(Addr addr, SizeT size, UInt protection)
{
   return addr + size >= addr && VG_(am_is_valid_for_client)(addr, size, protection);
}

/* Where the copy is asked for: inside the instruction that calls it. */
static Addr asked_at(Addr entry, Addr sp)
{
   Bool tail_call = !dm_call.by_request && sp == dm_call.entry_sp;
   return tail_call ? entry : copy_link - 1;
}

VG_REGPARM(2) void dm_copy_enter(Addr entry, const DmCopyFunction* f)
{
   ThreadId tid = VG_(get_running_tid)();
   Addr sp = VG_(get_SP)(tid), to = 0, from = 0, bytes = 0, pc;
   /* Another thread's copies stay as they are: what it touches lets nothing
      overlap anyway. */
   if (!dm_recording || !dm_window.open || dm_window.tid != tid || dm_copying) return;
   if (!dm_argument(tid, f->to, &to) || !dm_argument(tid, f->bytes, &bytes) || bytes == 0
       || !mapped(to, bytes, VKI_PROT_WRITE))
      return;
   if (f->from != NONE
       && (!dm_argument(tid, f->from, &from) || !mapped(from, bytes, VKI_PROT_READ)))
      return;

   dm_drain();
   dm_copy_sp = sp;
   copy_link = dm_return_address(tid, sp);
   pc = asked_at(entry, sp);
   switch (f->store) {
      case DM_MEMCPY_STORE:
         /* Onto itself nothing is promised; what it reads was there before. */
         if (dm_touches(from, from + bytes, to, bytes)) dm_bulk_at(pc, f->load, from, bytes);
         dm_bulk_at(pc, f->store, to, bytes);
         dm_bulk_at(pc, f->load, from, bytes);
         break;
      case DM_MEMMOVE_STORE: dm_bulk_at(pc, f->load, from, bytes); /* fall through */
      default: dm_bulk_at(pc, f->store, to, bytes);
   }
   dm_copying = True;
   dm_watch_exits();
}

/* What was recorded inside goes; from here on accesses count again. */
void dm_copy_over(void)
{
   if (!dm_copying) return;
   dm_drain();
   dm_copying = False;
   dm_watch_exits();
}

Bool dm_copy_goes_on(ThreadId tid, Addr sp, Addr target)
{
   Bool back = (target & ~(Addr)1) == (copy_link & ~(Addr)1);
   if (!dm_copying || tid != dm_window.tid) return False;
   if (sp < dm_copy_sp) return True;
   if (!back && (sp == dm_copy_sp || dm_on_other_stack(tid, sp, dm_copy_sp))) return True;
   dm_copy_over();
   return False;
}
