/* dm_buffers.c: the buffers that were asked for, and where they lie.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * --buffer=NAME,ROLE,PLACE,bytes:B   with PLACE one of
 *
 *   address:0xA          at that address
 *   object:FILE+0xOFF    at that place of an object file, as its own symbol
 *                        table counts, wherever it was loaded
 *   arg:N                where integer argument N (from 0) of the traced
 *                        function points
 *   arg:N->OFF->OFF      where the pointer at argument + OFF points, and so on
 *   heap:BYTES#K+OFF     OFF into block K (from 0) of those that the program
 *                        allocated with exactly BYTES bytes
 *
 * A place is looked up each time a window opens, so buffers may move.  Client
 * requests declare buffers too; the later word for a name wins.
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_libcfile.h"

#define MAX_HOPS 8

typedef enum { AT_ADDRESS, AT_OBJECT, AT_ARGUMENT, AT_HEAP } PlaceKind;

typedef struct {
   const HChar* name;
   const HChar* role;
   PlaceKind kind;
   SizeT size;
   Addr address;
   DmObjectPlace object;
   UInt argument;
   UInt n_hops;
   Word hops[MAX_HOPS];
   SizeT block_size;
   UWord block_order;
   Word offset; /* added at the very end */
} Declared;

static XArray* declared; /* of Declared */

static const HChar* const role_names[]
   = { "input", "output", "weights", "scratch", "arena", "other", "inout" };
#define N_ROLES (sizeof role_names / sizeof *role_names)

void dm_buffers_init(void)
{
   declared = VG_(newXA)(VG_(malloc), "dm.declared", VG_(free), sizeof(Declared));
}

static Declared* find(const HChar* name)
{
   Word i;
   for (i = 0; i < VG_(sizeXA)(declared); i++) {
      Declared* d = VG_(indexXA)(declared, i);
      if (VG_STREQ(d->name, name)) return d;
   }
   return NULL;
}

/* ---- parsing ---- */

static Bool eat(const HChar** p, const HChar* word)
{
   SizeT n = VG_(strlen)(word);
   if (VG_(strncmp)(*p, word, n) != 0) return False;
   *p += n;
   return True;
}

static Bool eat_number(const HChar** p, UWord* value)
{
   HChar* end;
   ULong v = VG_(strncmp)(*p, "0x", 2) == 0 ? VG_(strtoull16)(*p, &end)
                                            : VG_(strtoull10)(*p, &end);
   if (end == *p) return False;
   *p = end;
   *value = (UWord)v;
   return True;
}

/* The text up to `stop`, copied. */
static const HChar* eat_text(const HChar** p, HChar stop)
{
   const HChar* end = VG_(strchr)(*p, stop);
   HChar* text;
   if (!end || end == *p) return NULL;
   text = VG_(malloc)("dm.text", end - *p + 1);
   VG_(memcpy)(text, *p, end - *p);
   text[end - *p] = 0;
   *p = end + 1;
   return text;
}

Bool dm_parse_object_place(const HChar* text, DmObjectPlace* place)
{
   const HChar* plus = VG_(strrchr)(text, '+');
   HChar* object;
   const HChar* p;
   UWord offset;
   if (!plus || plus == text) return False;
   p = plus + 1;
   if (!eat_number(&p, &offset) || *p) return False;
   object = VG_(strdup)("dm.object", text);
   object[plus - text] = 0;
   place->object = object;
   place->offset = offset;
   place->resolved = 0;
   return True;
}

static Bool parse_argument(const HChar** p, Declared* d)
{
   UWord n;
   if (!eat_number(p, &n)) return False;
   d->argument = (UInt)n;
   while (eat(p, "->")) {
      if (d->n_hops == MAX_HOPS || !eat_number(p, &n)) return False;
      d->hops[d->n_hops++] = (Word)n;
   }
   if (eat(p, "+")) {
      if (!eat_number(p, &n)) return False;
      d->offset = (Word)n;
   }
   return True;
}

static Bool parse_heap(const HChar** p, Declared* d)
{
   UWord n;
   if (!eat_number(p, &n)) return False;
   d->block_size = n;
   if (eat(p, "#") && !eat_number(p, &d->block_order)) return False;
   if (eat(p, "+")) {
      if (!eat_number(p, &n)) return False;
      d->offset = (Word)n;
   }
   return True;
}

static Bool parse_place(const HChar** p, Declared* d)
{
   const HChar* text;
   if (eat(p, "address:")) {
      d->kind = AT_ADDRESS;
      return eat_number(p, &d->address);
   }
   if (eat(p, "object:")) {
      /* The file name may hold anything but a comma. */
      d->kind = AT_OBJECT;
      text = eat_text(p, ',');
      if (!text) return False;
      (*p)--;
      return dm_parse_object_place(text, &d->object);
   }
   if (eat(p, "arg:")) {
      d->kind = AT_ARGUMENT;
      return parse_argument(p, d);
   }
   if (eat(p, "heap:")) {
      d->kind = AT_HEAP;
      return parse_heap(p, d);
   }
   return False;
}

Bool dm_buffer_option(const HChar* text)
{
   Declared d;
   UWord size;
   const HChar* p = text;
   SizeT i;
   VG_(memset)(&d, 0, sizeof d);
   d.name = eat_text(&p, ',');
   d.role = d.name ? eat_text(&p, ',') : NULL;
   if (!d.role || !parse_place(&p, &d) || !eat(&p, ",bytes:")) return False;
   if (!eat_number(&p, &size) || *p || size == 0 || find(d.name)) return False;
   for (i = 0; i < N_ROLES && !VG_STREQ(d.role, role_names[i]); i++) {}
   if (i == N_ROLES) return False;
   d.size = size;
   VG_(addToXA)(declared, &d);
   return True;
}

void dm_buffer_declare(const HChar* name, UWord role, Addr start, SizeT size)
{
   Declared* old = find(name);
   Declared d;
   VG_(memset)(&d, 0, sizeof d);
   d.name = old ? old->name : VG_(strdup)("dm.name", name);
   d.role = role_names[role];
   d.kind = AT_ADDRESS;
   d.address = start;
   d.size = size;
   if (old)
      *old = d;
   else
      VG_(addToXA)(declared, &d);
}

Bool dm_buffer_forget(const HChar* name)
{
   Declared* d = find(name);
   if (!d) return False;
   VG_(removeIndexXA)(declared, d - (Declared*)VG_(indexXA)(declared, 0));
   return True;
}

/* ---- looking up ---- */

Bool dm_same_object(const DebugInfo* di, const HChar* object)
{
   const HChar* path = VG_(DebugInfo_get_filename)(di);
   const HChar* soname = VG_(DebugInfo_get_soname)(di);
   if (!path) return False;
   return VG_STREQ(path, object) || VG_STREQ(VG_(basename)(path), object)
          || (soname && VG_STREQ(soname, object));
}

Bool dm_resolve_object_place(DmObjectPlace* place)
{
   const DebugInfo* di;
   if (!place->object) return True; /* an address */
   place->resolved = 0;
   for (di = VG_(next_DebugInfo)(NULL); di; di = VG_(next_DebugInfo)(di)) {
      if (!dm_same_object(di, place->object)) continue;
      place->resolved = place->offset + VG_(DebugInfo_get_text_bias)(di);
      return True;
   }
   return False;
}

static const HChar* follow(ThreadId tid, const Declared* d, Addr* start)
{
   UInt i;
   if (!dm_argument(tid, d->argument, start)) return "the argument cannot be read";
   for (i = 0; i < d->n_hops; i++)
      if (!dm_read_word(*start + d->hops[i], start)) return "a pointer on the way cannot be read";
   return NULL;
}

/* NULL, or why the buffer is not there. */
static const HChar* locate(ThreadId tid, const Declared* d, Addr* start)
{
   const HChar* reason = NULL;
   DmObjectPlace place = d->object;
   switch (d->kind) {
      case AT_ADDRESS: *start = d->address; break;
      case AT_OBJECT:
         if (!dm_resolve_object_place(&place)) return "its object file is not loaded";
         *start = place.resolved;
         break;
      case AT_ARGUMENT: reason = follow(tid, d, start); break;
      case AT_HEAP: dm_heap_block(d->block_size, d->block_order, start, &reason); break;
   }
   if (reason) return reason;
   *start += d->offset;
   if ((ULong)*start + d->size > DM_ADDRESS_END || *start + d->size < *start)
      return "its address is out of reach";
   if (!VG_(am_is_valid_for_client)(*start, d->size, VKI_PROT_NONE))
      return "no memory is mapped there";
   return NULL;
}

static Int by_start(const void* a, const void* b)
{
   const DmBuffer* x = a;
   const DmBuffer* y = b;
   if (x->start != y->start) return x->start < y->start ? -1 : 1;
   if (x->end != y->end) return x->end > y->end ? -1 : 1;
   return VG_(strcmp)(x->name, y->name);
}

static Bool watched(const HChar* name)
{
   Word i, n = VG_(sizeXA)(dm_asked.watched);
   for (i = 0; i < n; i++)
      if (VG_STREQ(*(const HChar**)VG_(indexXA)(dm_asked.watched, i), name)) return True;
   return n == 0;
}

void dm_buffers_resolve(ThreadId tid, XArray* buffers, XArray* missing)
{
   Word i;
   for (i = 0; i < VG_(sizeXA)(declared); i++) {
      const Declared* d = VG_(indexXA)(declared, i);
      Addr start = 0;
      const HChar* reason;
      if (!watched(d->name)) continue;
      reason = locate(tid, d, &start);
      if (reason) {
         DmMissing m = { d->name, reason };
         VG_(addToXA)(missing, &m);
      } else {
         DmBuffer b;
         VG_(memset)(&b, 0, sizeof b);
         b.name = d->name;
         b.role = d->role;
         b.start = start;
         b.end = start + d->size;
         VG_(addToXA)(buffers, &b);
      }
   }
   VG_(setCmpFnXA)(buffers, by_start);
   VG_(sortXA)(buffers);
}
