/* dm_code.h: building blocks of the code that dm_instrument.c adds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#ifndef DM_CODE_H
#define DM_CODE_H

#include "dm.h"
#include "pub_tool_guest.h"
#include "pub_tool_machine.h"

typedef struct {
   IRSB* out;
   IRType word;     /* the machine's word; host and guest are the same */
   IRTemp cursor;   /* IRTemp_INVALID until the first access */
   UInt n_accesses;
   UInt n_instructions;
   Addr pc;
} Block;

static void add(Block* b, IRStmt* st) { addStmtToIRSB(b->out, st); }

static IRExpr* word_const(const Block* b, Addr value)
{
   return b->word == Ity_I64 ? IRExpr_Const(IRConst_U64(value))
                             : IRExpr_Const(IRConst_U32((UInt)value));
}

static IRExpr* assign(Block* b, IRType type, IRExpr* value)
{
   IRTemp t = newIRTemp(b->out->tyenv, type);
   add(b, IRStmt_WrTmp(t, value));
   return IRExpr_RdTmp(t);
}

static IRExpr* word_op(Block* b, IROp op64, IROp op32, IRExpr* x, IRExpr* y)
{
   return assign(b, b->word, IRExpr_Binop(b->word == Ity_I64 ? op64 : op32, x, y));
}

static IRExpr* load_word(Block* b, const void* from)
{
#if defined(VG_LITTLEENDIAN)
   return assign(b, b->word, IRExpr_Load(Iend_LE, b->word, word_const(b, (Addr)from)));
#else
#error "the stream is little endian"
#endif
}

static IRExpr* imm8(UChar n) { return IRExpr_Const(IRConst_U8(n)); }

/* 0 or sizeof(DmRecord), as a word: is there a buffer in the part of the map that holds
 * `addr`? */
static IRExpr* gate(Block* b, IRExpr* addr, UChar shift, Addr n, const UChar* map)
{
   IRExpr* part = word_op(b, Iop_Shr64, Iop_Shr32, addr, imm8(shift));
   IRExpr* entry;
   part = word_op(b, Iop_And64, Iop_And32, part, word_const(b, n - 1));
   entry = word_op(b, Iop_Add64, Iop_Add32, part, word_const(b, (Addr)map));
   entry = assign(b, Ity_I8, IRExpr_Load(Iend_LE, Ity_I8, entry));
   return assign(b, b->word,
                 IRExpr_Unop(b->word == Ity_I64 ? Iop_8Uto64 : Iop_8Uto32, entry));
}

static IRExpr* on_line(Block* b, IRExpr* addr)
{
   return gate(b, addr, DM_LINE_SHIFT, DM_LINES, dm_line_map);
}

static IRExpr* on_page(Block* b, IRExpr* addr)
{
   return gate(b, addr, DM_PAGE_SHIFT, DM_PAGES, dm_page_map);
}

static void append_record(Block* b, DmKind kind, IRExpr* addr, UInt size, IRExpr* guard)
{
   UInt site = dm_site(b->pc, kind, size);
   IRExpr* wide = addr;
   IRExpr* rec;
   IRExpr* step;
   IRExpr* cursor;

   tl_assert(++b->n_accesses < DM_RECORDS_SLACK);
   cursor = b->cursor == IRTemp_INVALID ? load_word(b, &dm_cursor) : IRExpr_RdTmp(b->cursor);
   if (b->word == Ity_I32) wide = assign(b, Ity_I64, IRExpr_Unop(Iop_32Uto64, addr));
   rec = assign(b, Ity_I64, IRExpr_Binop(Iop_Shl64, wide, imm8(DM_SITE_BITS)));
   rec = assign(b, Ity_I64, IRExpr_Binop(Iop_Or64, rec, IRExpr_Const(IRConst_U64(site))));
   add(b, IRStmt_Store(Iend_LE, cursor, rec));

   step = on_line(b, addr);
   if (size > DM_REACH) {
      /* Long enough to begin well before a buffer: ask its last line too. */
      IRExpr* last = word_op(b, Iop_Add64, Iop_Add32, addr, word_const(b, size - 1));
      step = word_op(b, Iop_Or64, Iop_Or32, step, on_line(b, last));
   }
   if (guard) step = assign(b, b->word, IRExpr_ITE(guard, step, word_const(b, 0)));
   cursor = word_op(b, Iop_Add64, Iop_Add32, cursor, step);
   add(b, IRStmt_Store(Iend_LE, word_const(b, (Addr)&dm_cursor), cursor));
   b->cursor = cursor->Iex.RdTmp.tmp;
}

static void guarded_call(Block* b, IRExpr* guard, const HChar* name, void* function,
                         IRExpr** args, Int n_regparms)
{
   IRDirty* d = unsafeIRDirty_0_N(n_regparms, name, VG_(fnptr_to_fnentry)(function), args);
   if (guard) d->guard = guard;
   add(b, IRStmt_Dirty(d));
}

static IRExpr* below(Block* b, IRExpr* x, IRExpr* y)
{
   return assign(b, Ity_I1,
                 IRExpr_Binop(b->word == Ity_I64 ? Iop_CmpLT64U : Iop_CmpLT32U, x, y));
}

#endif /* DM_CODE_H */
