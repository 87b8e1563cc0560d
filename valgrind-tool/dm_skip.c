/* dm_skip.c: groups of accesses that can be let off together.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Most accesses of a compiled kernel go neither to its input nor to its output
 * but to spills, at constant distances from the stack pointer, and to
 * parameters, at constant distances from some other register.  So a superblock
 * asks once for each such register, at its start, whether a buffer of the open
 * window is near any of the group, and records none of it.  If one is near, the
 * superblock is put on a list and translated anew, this time with a record for
 * each access; the answer comes before the first of them, so nothing is lost.
 */
#include "dm.h"
#include "pub_tool_guest.h"
#include "pub_tool_hashtable.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

/* Fewer accesses than this are not worth the question. */
#define WORTH_ASKING 2
/* The question looks at the first and the last page of a range; a wider one
 * could hide a buffer between them. */
#define MAX_RANGE (1 << DM_PAGE_SHIFT)
#define N_REGISTERS ((Int)(sizeof(VexGuestArchState) / sizeof(Addr)))

/* A value: what a register held at the superblock's start, and a constant. */
typedef struct {
   Bool known;
   Int root; /* the register's place in the guest state */
   Word offset;
} Value;

typedef struct {
   Value* temps;
   Value registers[sizeof(VexGuestArchState) / sizeof(Addr)];
} State;

Addr dm_translate_anew;

static VgHashTable* recorded_fully; /* of superblocks, by address */

void dm_skip_init(void) { recorded_fully = VG_(HT_construct)("dm.skip"); }

static const Value unknown = { False, 0, 0 };

static Value value_of(const State* s, const IRExpr* e)
{
   return e->tag == Iex_RdTmp ? s->temps[e->Iex.RdTmp.tmp] : unknown;
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

static Value assigned(const State* s, const IRExpr* data)
{
   Word c;
   Value v;
   switch (data->tag) {
      case Iex_Get:
         if (sizeofIRType(data->Iex.Get.ty) != sizeof(Addr)
             || data->Iex.Get.offset % (Int)sizeof(Addr))
            return unknown;
         return s->registers[data->Iex.Get.offset / (Int)sizeof(Addr)];
      case Iex_RdTmp: return value_of(s, data);
      case Iex_Binop: {
         IROp op = data->Iex.Binop.op;
         Bool minus = op == Iop_Sub64 || op == Iop_Sub32;
         if (!minus && op != Iop_Add64 && op != Iop_Add32) return unknown;
         if (!constant(data->Iex.Binop.arg2, &c)) return unknown;
         v = value_of(s, data->Iex.Binop.arg1);
         v.offset += minus ? -c : c;
         return v;
      }
      default: return unknown;
   }
}

static void forget_registers(State* s)
{
   Int i;
   for (i = 0; i < N_REGISTERS; i++) s->registers[i] = unknown;
}

static void put(State* s, const IRTypeEnv* env, Int offset, const IRExpr* data)
{
   Int word = (Int)sizeof(Addr), size = sizeofIRType(typeOfIRExpr(env, data));
   Int i, first = offset / word, last = (offset + size - 1) / word;
   for (i = first; i <= last && i < N_REGISTERS; i++) s->registers[i] = unknown;
   if (size == word && offset % word == 0 && first < N_REGISTERS)
      s->registers[first] = value_of(s, data);
}

/* What a statement does to temporaries and registers. */
static void follow(State* s, const IRTypeEnv* env, const IRStmt* st)
{
   switch (st->tag) {
      case Ist_WrTmp: s->temps[st->Ist.WrTmp.tmp] = assigned(s, st->Ist.WrTmp.data); break;
      case Ist_Put: put(s, env, st->Ist.Put.offset, st->Ist.Put.data); break;
      case Ist_PutI: forget_registers(s); break;
      case Ist_Dirty:
         /* A helper of Valgrind's may write the guest's registers. */
         if (st->Ist.Dirty.details->nFxState) forget_registers(s);
         break;
      default: break;
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

static DmGroup* group_of(DmSkips* skips, Int root)
{
   UInt i;
   for (i = 0; i < skips->n; i++)
      if (skips->groups[i].root == root) return &skips->groups[i];
   if (skips->n == DM_MAX_GROUPS) return NULL;
   skips->groups[skips->n].root = root;
   skips->groups[skips->n].n = 0;
   return &skips->groups[skips->n++];
}

static void add_access(DmSkips* skips, Int statement, Value v, UInt size)
{
   DmGroup* g = group_of(skips, v.root);
   if (!g) return;
   if (g->n == 0 || v.offset < g->from) g->from = v.offset;
   if (g->n == 0 || v.offset + (Word)size > g->to) g->to = v.offset + (Word)size;
   g->n++;
   skips->group[statement] = (UChar)(g - skips->groups + 1);
}

/* Groups that are not worth the question, or too wide for it, are recorded. */
static void drop_poor_groups(DmSkips* skips, Int n_statements)
{
   Int i;
   for (i = 0; i < n_statements; i++) {
      const DmGroup* g = skips->group[i] ? &skips->groups[skips->group[i] - 1] : NULL;
      if (g && (g->n < WORTH_ASKING || g->to - g->from > MAX_RANGE)) skips->group[i] = 0;
   }
   for (i = 0; i < (Int)skips->n; i++) {
      DmGroup* g = &skips->groups[i];
      if (g->n < WORTH_ASKING || g->to - g->from > MAX_RANGE) g->n = 0;
   }
}

void dm_skip_find(const IRSB* in, Int first, Addr start, DmSkips* skips)
{
   State* s;
   Int i;
   UInt size;
   skips->n = 0;
   skips->group = NULL;
   if (dm_options.all || VG_(HT_lookup)(recorded_fully, start)) return;

   s = VG_(calloc)("dm.skip", 1, sizeof *s);
   s->temps = VG_(calloc)("dm.skip", in->tyenv->types_used + 1, sizeof *s->temps);
   skips->group = VG_(calloc)("dm.skip", in->stmts_used + 1, sizeof *skips->group);
   for (i = 0; i < N_REGISTERS; i++) {
      s->registers[i].known = True;
      s->registers[i].root = i * (Int)sizeof(Addr);
   }
   for (i = first; i < in->stmts_used; i++) {
      const IRExpr* addr = plain_access(in->tyenv, in->stmts[i], &size);
      Value v = addr ? value_of(s, addr) : unknown;
      if (v.known) add_access(skips, i, v, size);
      follow(s, in->tyenv, in->stmts[i]);
   }
   drop_poor_groups(skips, in->stmts_used);
   VG_(free)(s->temps);
   VG_(free)(s);
}

void dm_skip_done(DmSkips* skips)
{
   if (skips->group) VG_(free)(skips->group);
}

VG_REGPARM(3) void dm_skip_near_buffer(Addr from, Addr to, Addr start)
{
   ThreadId tid = VG_(get_running_tid)();
   Addr one = 1;
   VgHashNode* node;
   if (!dm_window.open || !dm_span_of(from, to - from, 0)) return;
   if (!VG_(HT_lookup)(recorded_fully, start)) {
      node = VG_(malloc)("dm.skip", sizeof *node);
      node->key = start;
      VG_(HT_add_node)(recorded_fully, node);
   }
   VG_(set_shadow_regs_area)(tid, 0, offsetof(VexGuestArchState, guest_CMSTART), sizeof start,
                             (const UChar*)&start);
   VG_(set_shadow_regs_area)(tid, 0, offsetof(VexGuestArchState, guest_CMLEN), sizeof one,
                             (const UChar*)&one);
   dm_translate_anew = start;
}
