/* dm_frame.c: accesses to the stack frame, which need no record.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Most accesses of a compiled kernel are spills, at a constant distance from
 * the stack pointer, and hardly ever does a buffer lie there.  A superblock
 * with several of them asks once, at its start, whether a buffer of the open
 * window is near, and then records none of them.  The first time the answer is
 * yes, all translations are thrown away and made anew without this shortcut.
 */
#include "dm.h"
#include "pub_tool_guest.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

/* Fewer accesses than this are not worth the question. */
#define WORTH_ASKING 3
/* The question looks at the first and the last page of a range; a wider one
 * could hide a buffer between them. */
#define MAX_RANGE (1 << DM_PAGE_SHIFT)

Bool dm_stack_watched;

/* Distances from the stack pointer at the superblock's start. */
typedef struct {
   Bool known;
   Word offset;
} Distance;

static Distance distance_of(const Distance* temps, const IRExpr* e)
{
   Distance none = { False, 0 };
   return e->tag == Iex_RdTmp ? temps[e->Iex.RdTmp.tmp] : none;
}

static Bool constant(const IRExpr* e, Word* value)
{
   *value = 0;
   if (e->tag != Iex_Const) return False;
   if (e->Iex.Const.con->tag == Ico_U64)
      *value = (Word)e->Iex.Const.con->Ico.U64;
   else if (e->Iex.Const.con->tag == Ico_U32)
      *value = (Word)(Int)e->Iex.Const.con->Ico.U32;
   else
      return False;
   return True;
}

/* What a temporary becomes, `sp` being the stack pointer at this point. */
static Distance assigned(const Distance* temps, const IRExpr* data, Distance sp, Int offset_sp)
{
   Distance d = { False, 0 };
   Word c;
   switch (data->tag) {
      case Iex_Get: return data->Iex.Get.offset == offset_sp ? sp : d;
      case Iex_RdTmp: return distance_of(temps, data);
      case Iex_Binop: {
         IROp op = data->Iex.Binop.op;
         Bool minus = op == Iop_Sub64 || op == Iop_Sub32;
         if (!minus && op != Iop_Add64 && op != Iop_Add32) return d;
         if (!constant(data->Iex.Binop.arg2, &c)) return d;
         d = distance_of(temps, data->Iex.Binop.arg1);
         d.offset += minus ? -c : c;
         return d;
      }
      default: return d;
   }
}

/* The address and size of a plain load or store, or NULL. */
static const IRExpr* plain_access(const IRTypeEnv* env, const IRStmt* st, UInt* size)
{
   IRType wide, type;
   switch (st->tag) {
      case Ist_WrTmp:
         if (st->Ist.WrTmp.data->tag != Iex_Load) return NULL;
         *size = (UInt)sizeofIRType(st->Ist.WrTmp.data->Iex.Load.ty);
         return st->Ist.WrTmp.data->Iex.Load.addr;
      case Ist_Store:
         *size = (UInt)sizeofIRType(typeOfIRExpr(env, st->Ist.Store.data));
         return st->Ist.Store.addr;
      case Ist_StoreG:
         *size = (UInt)sizeofIRType(typeOfIRExpr(env, st->Ist.StoreG.details->data));
         return st->Ist.StoreG.details->addr;
      case Ist_LoadG:
         typeOfIRLoadGOp(st->Ist.LoadG.details->cvt, &wide, &type);
         *size = (UInt)sizeofIRType(type);
         return st->Ist.LoadG.details->addr;
      default: return NULL;
   }
}

DmFrame dm_frame_find(const IRSB* in, Int first, Int offset_sp)
{
   DmFrame frame = { NULL, 0, 0, 0 };
   Int n_temps = in->tyenv->types_used, i;
   Distance* temps = VG_(calloc)("dm.frame", n_temps + 1, sizeof *temps);
   Distance sp = { True, 0 };
   UInt size;

   frame.skip = VG_(calloc)("dm.frame", in->stmts_used + 1, sizeof *frame.skip);
   for (i = first; i < in->stmts_used; i++) {
      const IRStmt* st = in->stmts[i];
      const IRExpr* addr = plain_access(in->tyenv, st, &size);
      Distance d = { False, 0 };
      if (addr) d = distance_of(temps, addr);
      if (d.known) {
         if (frame.n == 0 || d.offset < frame.from) frame.from = d.offset;
         if (frame.n == 0 || d.offset + (Word)size > frame.to) frame.to = d.offset + (Word)size;
         frame.skip[i] = True;
         frame.n++;
      }
      if (st->tag == Ist_WrTmp)
         temps[st->Ist.WrTmp.tmp] = assigned(temps, st->Ist.WrTmp.data, sp, offset_sp);
      if (st->tag == Ist_Put && st->Ist.Put.offset == offset_sp)
         sp = distance_of(temps, st->Ist.Put.data);
      /* A helper of Valgrind's may write the guest's registers. */
      if (st->tag == Ist_PutI || (st->tag == Ist_Dirty && st->Ist.Dirty.details->nFxState))
         sp.known = False;
   }
   VG_(free)(temps);
   if (frame.n < WORTH_ASKING || frame.to - frame.from > MAX_RANGE) {
      VG_(free)(frame.skip);
      frame.skip = NULL;
   }
   return frame;
}

VG_REGPARM(2) void dm_frame_near_buffer(Addr from, Addr to)
{
   ThreadId tid = VG_(get_running_tid)();
   Addr start = 0, everything = ~(Addr)0 >> 1;
   if (!dm_window.open || !dm_span_of(from, to - from, 0)) return;
   dm_stack_watched = True;
   VG_(set_shadow_regs_area)(tid, 0, offsetof(VexGuestArchState, guest_CMSTART), sizeof start,
                             (const UChar*)&start);
   VG_(set_shadow_regs_area)(tid, 0, offsetof(VexGuestArchState, guest_CMLEN),
                             sizeof everything, (const UChar*)&everything);
}
