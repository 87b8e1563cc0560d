/* dm_flow.c: Arm and Thumb instructions that call or return.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Encodings from the Arm architecture reference manuals (v7-M, v8-M, v7-A).
 * An instruction that is taken for a call by mistake leaves an entry on the
 * shadow stack that the next return removes; one that is taken for a jump to a
 * computed address costs a comparison.
 */
#include "dm.h"

static DmFlow thumb_16(UInt code)
{
   if ((code & 0xff80) == 0x4780) return DM_CALLS;          /* BLX Rm */
   if ((code & 0xff80) == 0x4700) return DM_JUMPS_ANYWHERE; /* BX Rm */
   if ((code & 0xff00) == 0xbd00) return DM_JUMPS_ANYWHERE; /* POP {..., PC} */
   if ((code & 0xff87) == 0x4687) return DM_JUMPS_ANYWHERE; /* MOV PC, Rm */
   if ((code & 0xff87) == 0x4487) return DM_JUMPS_ANYWHERE; /* ADD PC, Rm */
   return DM_GOES_ON;
}

static DmFlow thumb_32(UInt first, UInt second)
{
   if ((first & 0xf800) == 0xf000 && (second & 0xd000) == 0xd000) return DM_CALLS; /* BL */
   if ((first & 0xf800) == 0xf000 && (second & 0xd001) == 0xc000) return DM_CALLS; /* BLX */
   if ((first & 0xfe50) == 0xe810 && second & 0x8000) return DM_JUMPS_ANYWHERE;    /* LDM {PC} */
   if ((first & 0xff70) == 0xf850 && second >> 12 == 15) return DM_JUMPS_ANYWHERE; /* LDR PC */
   return DM_GOES_ON;
}

static DmFlow arm(UInt code)
{
   if ((code & 0xfe000000) == 0xfa000000) return DM_CALLS; /* BLX, to Thumb */
   if (code >> 28 == 15) return DM_GOES_ON;
   if ((code & 0x0f000000) == 0x0b000000) return DM_CALLS; /* BL */
   if ((code & 0x0ffffff0) == 0x012fff30) return DM_CALLS; /* BLX Rm */
   if ((code & 0x0ffffff0) == 0x012fff10) return DM_JUMPS_ANYWHERE; /* BX Rm */
   if ((code & 0x0e108000) == 0x08108000) return DM_JUMPS_ANYWHERE; /* LDM {..., PC} */
   if ((code & 0x0c10f000) == 0x0410f000) return DM_JUMPS_ANYWHERE; /* LDR PC */
   if ((code & 0x0c00f000) == 0x0000f000) return DM_JUMPS_ANYWHERE; /* MOV PC and the like */
   return DM_GOES_ON;
}

DmFlow dm_flow(const void* code, SizeT size, Bool only_thumb)
{
   const UChar* byte = code;
   UInt first = byte[0] | (UInt)byte[1] << 8, second;
   DmFlow flow;
   if (size == 2) return thumb_16(first);
   second = byte[2] | (UInt)byte[3] << 8;
   flow = thumb_32(first, second);
   /* Four bytes do not say which of the two they are. */
   return only_thumb || flow != DM_GOES_ON ? flow : arm(first | second << 16);
}
