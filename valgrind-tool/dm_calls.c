/* dm_calls.c: a call as the machine's calling convention has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_guest.h"
#include "pub_tool_machine.h"
#include "pub_tool_threadstate.h"

Bool dm_read_word(Addr from, Addr* word)
{
   if (!VG_(am_is_valid_for_client)(from, sizeof(Addr), VKI_PROT_READ)) return False;
   *word = *(const Addr*)from;
   return True;
}

static Addr guest_word(ThreadId tid, SizeT offset)
{
   Addr value;
   VG_(get_shadow_regs_area)(tid, (UChar*)&value, 0, (PtrdiffT)offset, sizeof value);
   return value;
}

Bool dm_argument(ThreadId tid, UInt n, Addr* value)
{
#define REG(name) offsetof(VexGuestArchState, guest_##name)
#if defined(VGA_amd64)
   static const SizeT regs[] = { REG(RDI), REG(RSI), REG(RDX), REG(RCX), REG(R8), REG(R9) };
   const UInt above_sp = 1; /* the return address */
#elif defined(VGA_arm64)
   static const SizeT regs[] = { REG(X0), REG(X1), REG(X2), REG(X3),
                                 REG(X4), REG(X5), REG(X6), REG(X7) };
   const UInt above_sp = 0;
#elif defined(VGA_arm)
   static const SizeT regs[] = { REG(R0), REG(R1), REG(R2), REG(R3) };
   const UInt above_sp = 0;
#elif defined(VGA_x86)
   static const SizeT regs[] = { 0 };
   const UInt above_sp = 1;
#else
#error "diagmem does not know this architecture's calling convention"
#endif
#undef REG
#if defined(VGA_x86)
   const UInt n_regs = 0;
#else
   const UInt n_regs = sizeof regs / sizeof *regs;
#endif
   if (n < n_regs) {
      *value = guest_word(tid, regs[n]);
      return True;
   }
   return dm_read_word(VG_(get_SP)(tid) + (n - n_regs + above_sp) * sizeof(Addr), value);
}

Addr dm_result(ThreadId tid)
{
#if defined(VGA_amd64)
   return guest_word(tid, offsetof(VexGuestArchState, guest_RAX));
#elif defined(VGA_arm64)
   return guest_word(tid, offsetof(VexGuestArchState, guest_X0));
#elif defined(VGA_arm)
   return guest_word(tid, offsetof(VexGuestArchState, guest_R0));
#else
   return guest_word(tid, offsetof(VexGuestArchState, guest_EAX));
#endif
}

Addr dm_return_address(ThreadId tid, Addr sp)
{
   Addr link = 0;
#if defined(VGA_arm)
   link = guest_word(tid, offsetof(VexGuestArchState, guest_R14));
#elif defined(VGA_arm64)
   link = guest_word(tid, offsetof(VexGuestArchState, guest_X30));
#else
   dm_read_word(sp, &link);
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
