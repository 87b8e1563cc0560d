/* dm_sites.c: the instructions that touch memory, and their classes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * A site is one kind of access of one instruction; it gets its number when the
 * instruction is translated.  A class is a site that touched one span of the
 * open window; it gets its number, and its names are looked up, at its first
 * event, so that the thousands of sites that never come near a buffer cost
 * nothing.  Event columns hold class numbers.
 *
 * Where a library was unloaded another may come to lie: what is translated
 * there then gets sites of its own, once the older ones have been announced.
 */
#include "dm_core.h"

/* The last numbers are kept for sites without an address, shared by all
 * instructions of one kind and size: used when the others have run out. */
#define N_SHARED 1024
#define N_OWN (DM_SITE_MASK + 1 - N_SHARED)
#define N_BUCKETS 65536
#define NONE 0xffffffffu

DmSite dm_sites[DM_SITE_MASK + 1];

static UInt n_own;
static UInt n_shared;
static UInt n_classes;
static UInt bucket_head[N_BUCKETS];   /* site + 1; 0 ends */
static UInt bucket_next[DM_SITE_MASK + 1];
static UInt announced_as[DM_SITE_MASK + 1]; /* dm_names_at(), or 0: not yet */

static UInt bucket_of(Addr pc, DmKind kind, UInt size)
{
   ULong h = (ULong)pc * 0x9e3779b97f4a7c15ULL + size * 131u + kind;
   return (UInt)(h >> 40) % N_BUCKETS;
}

static Bool still_named(UInt site, Addr pc)
{
   return !pc || !announced_as[site] || announced_as[site] == dm_names_at(pc);
}

UInt dm_site(Addr pc, DmKind kind, UInt size)
{
   UInt bucket = bucket_of(pc, kind, size);
   UInt at;
   for (at = bucket_head[bucket]; at; at = bucket_next[at - 1]) {
      const DmSite* s = &dm_sites[at - 1];
      if (s->pc == pc && s->kind == kind && s->size == size && still_named(at - 1, pc))
         return at - 1;
   }
   if (pc && n_own == N_OWN) {
      dm_sites_ran_out(N_OWN);
      return dm_site(0, kind, size);
   }
   if (!pc && n_shared == N_SHARED) dm_fail("too many kinds of access");

   UInt site = pc ? n_own++ : N_OWN + n_shared++;
   DmSite* s = &dm_sites[site];
   s->pc = pc;
   s->size = size;
   s->kind = kind;
   s->store = kind == DM_STORE || kind == DM_SYSCALL_STORE || kind == DM_MEMCPY_STORE
              || kind == DM_MEMMOVE_STORE || kind == DM_MEMSET_STORE;
   s->last_span = NONE;
   s->last_buffer = NONE;
   bucket_next[site] = bucket_head[bucket];
   bucket_head[bucket] = site + 1;
   return site;
}

static void announce_site(UInt site)
{
   static const HChar* const kinds[] = {
      "load",         "store",       "syscall load",  "syscall store", "memcpy load",
      "memcpy store", "memmove load", "memmove store", "memset store",
   };
   const DmSite* s = &dm_sites[site];

   announced_as[site] = dm_names_at(s->pc);
   dm_json_begin("site");
   dm_json_number("site", site);
   dm_json_text("kind", kinds[s->kind]);
   dm_json_number("size", s->size);
   dm_json_number("pc", s->pc);
   if (s->pc) dm_describe(s->pc);
   dm_json_send();
}

UInt dm_class(UInt site, UInt span)
{
   DmSite* s = &dm_sites[site];
   DmClass* c;
   for (c = s->classes; c && c->span != span; c = c->next) {}
   if (!c) {
      if (!announced_as[site]) announce_site(site);
      c = dm_alloc("dm.class", sizeof *c);
      c->span = span;
      c->id = n_classes++;
      c->next = s->classes;
      s->classes = c;
      dm_json_begin("class");
      dm_json_number("class", c->id);
      dm_json_number("site", site);
      dm_json_number("span", span);
      dm_json_send();
   }
   s->last_span = span;
   s->last_class = c->id;
   return c->id;
}

UInt dm_class_count(void) { return n_classes; }
