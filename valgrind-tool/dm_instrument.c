/* dm_instrument.c: what is added to the program's code.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * After each access, in place and without a branch or a call:
 *
 *   *cursor = addr << SITE_BITS | site
 *   cursor += line_map[addr >> LINE_SHIFT & (LINES - 1)]     0 or 8
 *   dm_cursor = cursor
 *
 * The record is always written and stays only if the cursor moved past it.
 * The cursor lives in a temporary within a superblock, so that its chain of
 * additions does not go through memory, and is stored back after each access,
 * so that nothing is lost when a later one faults; the one that faults leaves
 * no record, since the program's handler may have it done again.  At the start
 * of a superblock a guarded call empties a buffer that is nearly full.
 *
 * Until the first window opens nothing of this is added, so that a program's
 * start (importing numpy, say) runs at the speed of --tool=none: the first call
 * of a traced function, or the first begin request, arms the tool and has every
 * translation made so far thrown away.
 *
 * An access that may not happen (guarded loads and stores, a failing compare
 * and swap or store-conditional) moves the cursor only when it does: a store
 * that never was would end the life of a value that is still there.
 */
#include "dm_code.h"

Bool dm_armed;

void dm_arm(void) { dm_armed = True; }

/* What an access moved, to where dm_values.c takes it from. */
static void value_of(Block* b, IRExpr* low, IRExpr* high, UInt size)
{
   if (!low) {
      guarded_call(b, NULL, "dm_values_take_memory", &dm_values_take_memory, mkIRExprVec_0(), 0);
   } else {
      add(b, IRStmt_Store(Iend_LE, word_const(b, (Addr)dm_value), low));
      if (high)
         add(b, IRStmt_Store(Iend_LE, word_const(b, (Addr)dm_value + size / 2), high));
      guarded_call(b, NULL, "dm_values_take", &dm_values_take, mkIRExprVec_0(), 0);
   }
   /* The records are drained. */
   b->cursor = IRTemp_INVALID;
}

typedef struct {
   IRExpr* low;  /* NULL: to be read from memory afterwards */
   IRExpr* high; /* the upper half, of double compare and swap */
} Value;

static void record(Block* b, DmKind kind, IRExpr* addr, UInt size, IRExpr* guard, Value value)
{
   append_record(b, kind, addr, size, guard);
   if (dm_asked.values) value_of(b, value.low, value.high, size);
}

static void empty_if_nearly_full(Block* b)
{
   IRExpr* limit = word_const(b, (Addr)(dm_records + DM_RECORDS));
   IRExpr* full = below(b, limit, load_word(b, &dm_cursor));
   guarded_call(b, full, "dm_drain", &dm_drain, mkIRExprVec_0(), 0);
}

static UInt size_of(IRType type) { return (UInt)sizeofIRType(type); }

static void load_guarded(Block* b, const IRLoadG* lg)
{
   IRType type = Ity_INVALID, wide = Ity_INVALID;
   typeOfIRLoadGOp(lg->cvt, &wide, &type);
   record(b, DM_LOAD, lg->addr, size_of(type), lg->guard, (Value){ IRExpr_RdTmp(lg->dst), NULL });
}

/* Memory that a helper of Valgrind's own reads or writes for the program. */
static void dirty(Block* b, const IRDirty* d)
{
   const Value in_memory = { NULL, NULL };
   IRExpr* guard = d->guard;
   if (d->mFx == Ifx_None) return;
   if (guard->tag == Iex_Const && guard->Iex.Const.con->Ico.U1) guard = NULL;
   if (d->mFx != Ifx_Write) record(b, DM_LOAD, d->mAddr, (UInt)d->mSize, guard, in_memory);
   if (d->mFx != Ifx_Read) record(b, DM_STORE, d->mAddr, (UInt)d->mSize, guard, in_memory);
}

static IRExpr* equal(Block* b, IRExpr* x, IRExpr* y)
{
   IROp op = Iop_INVALID;
   switch (typeOfIRExpr(b->out->tyenv, x)) {
      case Ity_I8: op = Iop_CasCmpEQ8; break;
      case Ity_I16: op = Iop_CasCmpEQ16; break;
      case Ity_I32: op = Iop_CasCmpEQ32; break;
      case Ity_I64: op = Iop_CasCmpEQ64; break;
      default: VG_(tool_panic)("diagmem: compare and swap of an unknown type");
   }
   return assign(b, Ity_I1, IRExpr_Binop(op, x, y));
}

static UInt cas_size(const Block* b, const IRCAS* cas)
{
   return size_of(typeOfIRExpr(b->out->tyenv, cas->expdLo)) * (cas->dataHi ? 2 : 1);
}

/* It stored if memory held what was expected. */
static void compare_and_swap(Block* b, const IRCAS* cas)
{
   Value old = { IRExpr_RdTmp(cas->oldLo), NULL };
   IRExpr* swapped = equal(b, IRExpr_RdTmp(cas->oldLo), cas->expdLo);
   if (cas->dataHi) {
      IRExpr* high = equal(b, IRExpr_RdTmp(cas->oldHi), cas->expdHi);
      swapped = assign(b, Ity_I1, IRExpr_Binop(Iop_And1, swapped, high));
      old.high = IRExpr_RdTmp(cas->oldHi);
   }
   record(b, DM_LOAD, cas->addr, cas_size(b, cas), NULL, old);
   record(b, DM_STORE, cas->addr, cas_size(b, cas), swapped,
          (Value){ cas->dataLo, cas->dataHi });
}

static void linked(Block* b, const IRStmt* st)
{
   IRTypeEnv* env = b->out->tyenv;
   if (!st->Ist.LLSC.storedata)
      record(b, DM_LOAD, st->Ist.LLSC.addr, size_of(typeOfIRTemp(env, st->Ist.LLSC.result)), NULL,
             (Value){ IRExpr_RdTmp(st->Ist.LLSC.result), NULL });
   else
      record(b, DM_STORE, st->Ist.LLSC.addr, size_of(typeOfIRExpr(env, st->Ist.LLSC.storedata)),
             IRExpr_RdTmp(st->Ist.LLSC.result), (Value){ st->Ist.LLSC.storedata, NULL });
}

static Addr address_of(const IRStmt* mark)
{
   return (Addr)(mark->Ist.IMark.addr + mark->Ist.IMark.delta);
}

static void copy_entry(Block* b)
{
   const DmCopyFunction* copy = dm_copy_function(b->pc);
   if (!copy) return;
   guarded_call(b, NULL, "dm_copy_enter", &dm_copy_enter,
                mkIRExprVec_2(word_const(b, b->pc), word_const(b, (Addr)copy)), 2);
   /* It drains the records. */
   b->cursor = IRTemp_INVALID;
}

static void instruction(Block* b, const IRStmt* st)
{
   const DmEntry* entry;
   b->pc = address_of(st);
   b->n_instructions++;
   entry = dm_watches_functions() ? dm_window_function(b->pc) : NULL;
   if (!entry) {
      if (b->n_instructions == 1) copy_entry(b);
      return;
   }
   if (b->n_instructions > 1) {
      /* Valgrind leaves out what it need not store between the instructions of
         a superblock: neither arguments nor stack pointer can be had here. */
      guarded_call(b, NULL, "dm_window_run_into", &dm_window_run_into,
                   mkIRExprVec_1(word_const(b, (Addr)entry)), 1);
      return;
   }
   guarded_call(b, NULL, "dm_window_enter", &dm_window_enter,
                mkIRExprVec_1(word_const(b, (Addr)entry)), 1);
   /* Opening a window drains the records. */
   b->cursor = IRTemp_INVALID;
}

/* Once, where control enters: is a buffer near the accesses to be skipped? */
static void ask_for_groups(Block* b, const VexGuestLayout* layout, const DmSkips* skips, Addr start)
{
   IRExpr* anew;
   UInt i, asked = 0;
   for (i = 0; i < skips->n; i++) {
      const DmGroup* g = &skips->groups[i];
      IRExpr *root, *from, *to, *near;
      if (g->n == 0) continue;
      root = assign(b, b->word, IRExpr_Get(g->root, b->word));
      from = word_op(b, Iop_Add64, Iop_Add32, root, word_const(b, (Addr)g->from));
      to = word_op(b, Iop_Add64, Iop_Add32, root, word_const(b, (Addr)g->to));
      near = on_page(b, from);
      /* Pages are marked from DM_REACH before a buffer on. */
      if (g->to - g->from > DM_REACH) {
         IRExpr* last = word_op(b, Iop_Sub64, Iop_Sub32, to, word_const(b, 1));
         near = word_op(b, Iop_Or64, Iop_Or32, near, on_page(b, last));
      }
      guarded_call(b, below(b, word_const(b, 0), near), "dm_skip_near_buffer",
                   &dm_skip_near_buffer, mkIRExprVec_3(from, to, word_const(b, start)), 3);
      asked++;
   }
   if (!asked) return;
   anew = IRExpr_Binop(b->word == Ity_I64 ? Iop_CmpEQ64 : Iop_CmpEQ32,
                       load_word(b, &dm_translate_anew), word_const(b, start));
   anew = assign(b, Ity_I1, anew);
   add(b, IRStmt_Exit(anew, Ijk_InvalICache,
                      b->word == Ity_I64 ? IRConst_U64(start) : IRConst_U32((UInt)start),
                      layout->offset_IP));
}

static void statement(Block* b, IRStmt* st)
{
   IRTypeEnv* env = b->out->tyenv;
   add(b, st);
   switch (st->tag) {
      case Ist_IMark: instruction(b, st); break;
      case Ist_NoOp:
      case Ist_AbiHint:
      case Ist_Put:
      case Ist_PutI:
      case Ist_MBE:
      case Ist_Exit: break;
      case Ist_WrTmp:
         if (st->Ist.WrTmp.data->tag == Iex_Load) {
            const IRExpr* load = st->Ist.WrTmp.data;
            record(b, DM_LOAD, load->Iex.Load.addr, size_of(load->Iex.Load.ty), NULL,
                   (Value){ IRExpr_RdTmp(st->Ist.WrTmp.tmp), NULL });
         }
         break;
      case Ist_Store:
         record(b, DM_STORE, st->Ist.Store.addr,
                size_of(typeOfIRExpr(env, st->Ist.Store.data)), NULL,
                (Value){ st->Ist.Store.data, NULL });
         break;
      case Ist_StoreG: {
         const IRStoreG* sg = st->Ist.StoreG.details;
         record(b, DM_STORE, sg->addr, size_of(typeOfIRExpr(env, sg->data)), sg->guard,
                (Value){ sg->data, NULL });
         break;
      }
      case Ist_LoadG: load_guarded(b, st->Ist.LoadG.details); break;
      case Ist_Dirty: dirty(b, st->Ist.Dirty.details); break;
      case Ist_CAS: compare_and_swap(b, st->Ist.CAS.details); break;
      case Ist_LLSC: linked(b, st); break;
      default:
         ppIRStmt(st);
         VG_(tool_panic)("diagmem: a kind of statement this Valgrind has and diagmem does "
                         "not know");
   }
}

/* Where control passes to a computed address, the window's call, or that of a
 * copy in it, may be over. */
static void check_exit(Block* b, const VexGuestLayout* layout)
{
   IRExpr* sp;
   IRExpr* over;
   if (b->out->next->tag == Iex_Const) return;
   if (!dm_watches_functions() && dm_asked.raw_copies) return;
   sp = assign(b, b->word, IRExpr_Get(layout->offset_SP, b->word));
   over = below(b, load_word(b, &dm_exit_sp), sp);
   guarded_call(b, over, "dm_window_check_exit", &dm_window_check_exit,
                mkIRExprVec_2(sp, b->out->next), 2);
}

/* End the superblock here: arm the tool, drop all translations, come back. */
static void arm_here(Block* b, const VexGuestLayout* layout, const IRStmt* mark)
{
   IRExpr* everything = word_const(b, ~(Addr)0 >> 1);
   guarded_call(b, NULL, "dm_arm", &dm_arm, mkIRExprVec_0(), 0);
   add(b, IRStmt_Put(offsetof(VexGuestArchState, guest_CMSTART), word_const(b, 0)));
   add(b, IRStmt_Put(offsetof(VexGuestArchState, guest_CMLEN), everything));
   b->out->next = word_const(b, (Addr)mark->Ist.IMark.addr);
   b->out->jumpkind = Ijk_InvalICache;
   b->out->offsIP = layout->offset_IP;
}

/* Before the first window: look only for the functions that open one.  Arming
 * waits for none of them but ends the superblock before its first instruction:
 * between two, Valgrind does not keep all registers where they would be found. */
static IRSB* unarmed(Block* b, IRSB* in, const VexGuestLayout* layout, Int first)
{
   Int i;
   if (!dm_watches_functions()) return in;
   for (i = first; i < in->stmts_used; i++) {
      const IRStmt* st = in->stmts[i];
      if (st->tag != Ist_IMark || !dm_window_function(address_of(st))) continue;
      arm_here(b, layout, in->stmts[first]);
      return b->out;
   }
   return in;
}

/* In a forked child: nothing, but what is called there may be worth a word. */
static IRSB* unrecorded(IRSB* in)
{
   Int i;
   for (i = 0; i < in->stmts_used && dm_forked && dm_watches_functions(); i++) {
      const IRStmt* st = in->stmts[i];
      const DmEntry* entry = st->tag == Ist_IMark ? dm_window_function(address_of(st)) : NULL;
      if (entry) dm_forked_call(entry);
   }
   return in;
}

IRSB* dm_instrument(VgCallbackClosure* closure, IRSB* in, const VexGuestLayout* layout,
                    const VexGuestExtents* vge, const VexArchInfo* archinfo,
                    IRType guest_word, IRType host_word)
{
   Block b = { deepCopyIRSBExceptStmts(in), guest_word, IRTemp_INVALID, 0, 0, 0 };
   DmSkips skips;
   Int i = 0, first, room, room_end;
   Addr start;
   if (guest_word != host_word) VG_(tool_panic)("diagmem: host and guest words differ");
   if (!dm_recording) return unrecorded(in);

   /* What precedes the first instruction is Valgrind's own preamble. */
   while (i < in->stmts_used && in->stmts[i]->tag != Ist_IMark) add(&b, in->stmts[i++]);
   if (!dm_armed) return unarmed(&b, in, layout, i);
   room = b.out->stmts_used;
   empty_if_nearly_full(&b);
   room_end = b.out->stmts_used;
   start = address_of(in->stmts[i]);
   dm_skip_find(in, i, start, &skips);
   for (first = i; i < in->stmts_used; i++) {
      IRStmt* st = in->stmts[i];
      if (skips.group && skips.group[i])
         add(&b, st);
      else
         statement(&b, st);
      /* The question comes after the first instruction's mark, the only place
         in a superblock where a window may open. */
      if (skips.group && i == first) ask_for_groups(&b, layout, &skips, start);
   }
   check_exit(&b, layout);
   dm_skip_done(&skips);
   /* A superblock that records nothing needs no room for it. */
   if (b.n_accesses == 0)
      for (i = room; i < room_end; i++) b.out->stmts[i] = IRStmt_NoOp();
   return b.out;
}
