/* dm_functions.c: which functions open a window.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Asked for by name, of any object or of one, by place in an object, or by
 * address.  Where a name is that of an IFUNC its code only picks the function
 * that later calls go to: what its call returns is looked for from then on
 * (dm_window.c).
 *
 * Two functions of one name (static ones of two files, say) are two: the second
 * that is met is called name@object+0xoffset.
 */
#include <elf.h>

#include "dm.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_seqmatch.h"

typedef struct {
   const HChar* object; /* path, file name or soname; NULL: any */
   const HChar* pattern;
} Named;

static XArray* names;   /* of Named */
static XArray* places;  /* of DmObjectPlace */
static XArray* entries; /* of DmEntry*, which translated code points to */

void dm_functions_init(void)
{
   names = VG_(newXA)(VG_(malloc), "dm.names", VG_(free), sizeof(Named));
   places = VG_(newXA)(VG_(malloc), "dm.places", VG_(free), sizeof(DmObjectPlace));
   entries = VG_(newXA)(VG_(malloc), "dm.entries", VG_(free), sizeof(DmEntry*));
}

/* [OBJECT:]PATTERN; the colons of C++ come in pairs, or in brackets. */
void dm_function_option(const HChar* text)
{
   Named named = { NULL, text };
   const HChar* colon = text;
   while (*colon && !VG_(strchr)(":(<[", *colon)) colon++;
   if (colon > text && colon[0] == ':' && colon[1] != ':') {
      HChar* object = VG_(strdup)("dm.names", text);
      object[colon - text] = 0;
      named.object = object;
      named.pattern = colon + 1;
   }
   VG_(addToXA)(names, &named);
}

/* OBJECT+0xOFFSET, or 0xADDRESS. */
Bool dm_function_at_option(const HChar* text)
{
   DmObjectPlace place = { NULL, 0, 0 };
   HChar* end;
   if (VG_(strncmp)(text, "0x", 2) == 0 && !VG_(strchr)(text, '+')) {
      place.offset = place.resolved = (Addr)VG_(strtoull16)(text, &end);
      if (*end) return False;
   } else if (!dm_parse_object_place(text, &place)) {
      return False;
   }
   VG_(addToXA)(places, &place);
   return True;
}

Bool dm_watches_functions(void) { return VG_(sizeXA)(names) + VG_(sizeXA)(places) > 0; }

/* ---- by name ---- */

static Bool is_word(HChar c)
{
   return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Where the parameter list of a demangled name begins; its end if it has none. */
static const HChar* parameters(const HChar* name)
{
   static const HChar constant[] = " const";
   const SizeT n = sizeof constant - 1;
   const HChar* end = name + VG_(strlen)(name);
   const HChar* p = end;
   Int depth = 0;
   if ((SizeT)(p - name) > n && VG_STREQ(p - n, constant)) p -= n;
   if (p == name || p[-1] != ')') return end;
   do {
      p--;
      if (*p == ')') depth++;
      if (*p == '(') depth--;
   } while (depth && p > name);
   return p;
}

/* Behind the return type that a template's demangled name begins with. */
static const HChar* without_return_type(const HChar* name, const HChar* end)
{
   static const HChar operator[] = "operator", thunk[] = "thunk to";
   const SizeT n = sizeof operator - 1, m = sizeof thunk - 1;
   const HChar* start = name;
   const HChar* p;
   Int depth = 0;
   for (p = name; p < end; p++) {
      /* From here on spaces and brackets are the operator's. */
      if (VG_(strncmp)(p, operator, n) == 0 && !is_word(p[n]) && (p == name || !is_word(p[-1])))
         break;
      if (VG_(strchr)("(<[{", *p)) depth++;
      if (VG_(strchr)(")]}", *p) || (*p == '>' && p[-1] != '-')) depth--;
      if (*p != ' ' || depth) continue;
      if ((SizeT)(p - name) >= m && VG_(strncmp)(p - m, thunk, m) == 0) return name;
      start = p + 1;
   }
   return start;
}

/* A pattern means the whole demangled name, or the name up to its parameter
 * list, either with or without a return type: "ns::f" and "ns::f(int)" both
 * find ns::f(int), "C::f" C::f() const, "f<int>" void f<int>(int). */
static Bool name_matches(const HChar* pattern, const HChar* name)
{
   const HChar* end = parameters(name);
   const HChar* start = without_return_type(name, end);
   HChar* plain = VG_(strdup)("dm.plain", name);
   Bool found;
   plain[end - name] = 0;
   found = VG_(string_match)(pattern, name) || VG_(string_match)(pattern, start)
           || VG_(string_match)(pattern, plain)
           || VG_(string_match)(pattern, plain + (start - name));
   VG_(free)(plain);
   return found;
}

static Bool by_name(const DebugInfo* di, const HChar* name)
{
   Word i;
   for (i = 0; i < VG_(sizeXA)(names); i++) {
      const Named* named = VG_(indexXA)(names, i);
      if (named->object && !(di && dm_same_object(di, named->object))) continue;
      if (name_matches(named->pattern, name)) return True;
   }
   return False;
}

/* ---- by place ---- */

static Bool by_place(Addr pc)
{
   static UInt seen_epoch = 0;
   UInt epoch = VG_(current_DiEpoch)().n;
   Bool fresh = epoch != seen_epoch;
   Word i;
   Bool found = False;
   for (i = 0; i < VG_(sizeXA)(places); i++) {
      DmObjectPlace* place = VG_(indexXA)(places, i);
      if (fresh) dm_resolve_object_place(place);
      if (place->resolved == pc) found = True;
   }
   seen_epoch = epoch;
   return found;
}

/* ---- IFUNCs ---- */

static Bool read_at(Int fd, ULong offset, void* to, Int bytes)
{
   return VG_(lseek)(fd, (Off64T)offset, VKI_SEEK_SET) >= 0 && VG_(read)(fd, to, bytes) == bytes;
}

#if VG_WORDSIZE == 8
typedef Elf64_Ehdr ElfHeader;
typedef Elf64_Shdr ElfSection;
typedef Elf64_Sym ElfSymbol;
#else
typedef Elf32_Ehdr ElfHeader;
typedef Elf32_Shdr ElfSection;
typedef Elf32_Sym ElfSymbol;
#endif

static Bool section_has_ifunc(Int fd, const ElfSection* section, Addr offset)
{
   static ElfSymbol symbols[1024];
   const ULong each = sizeof *symbols, room = sizeof symbols / sizeof *symbols;
   ULong at = 0, n = section->sh_size / each, i;
   for (; n > 0; n -= i, at += i * each) {
      ULong here = n < room ? n : room;
      if (!read_at(fd, section->sh_offset + at, symbols, (Int)(here * each))) return False;
      for (i = 0; i < here; i++)
         if (symbols[i].st_value == offset && (symbols[i].st_info & 15) == STT_GNU_IFUNC)
            return True;
   }
   return False;
}

/* Does the object's file say that a function is picked by the code there? */
static Bool is_ifunc(const HChar* file, Addr offset)
{
   ElfHeader header;
   ElfSection section;
   Bool found = False;
   UInt i;
   Int fd = VG_(fd_open)(file, VKI_O_RDONLY, 0);
   if (fd < 0) return False;
   if (read_at(fd, 0, &header, sizeof header))
      for (i = 0; i < header.e_shnum && !found; i++) {
         if (!read_at(fd, header.e_shoff + i * header.e_shentsize, &section, sizeof section)) break;
         if (section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM)
            found = section_has_ifunc(fd, &section, offset);
      }
   VG_(close)(fd);
   return found;
}

/* What an IFUNC's call has returned: a function to watch, by its place where it
 * is in an object's file. */
void dm_function_picked(const DmEntry* by, Addr pc)
{
   DebugInfo* di = VG_(find_DebugInfo)(VG_(current_DiEpoch)(), pc);
   DmObjectPlace place = { NULL, pc, pc };
   const HChar* name;
   if (di) {
      place.object = VG_(strdup)("dm.object", VG_(DebugInfo_get_filename)(di));
      place.offset = pc - VG_(DebugInfo_get_text_bias)(di);
   }
   VG_(addToXA)(places, &place);
   dm_json_begin("picked");
   dm_json_text("symbol", by->name);
   dm_json_text("function",
                VG_(get_fnname_if_entry)(VG_(current_DiEpoch)(), pc, &name) ? name : "");
   dm_json_text("object", place.object ? place.object : "");
   dm_json_number("offset", place.offset);
   dm_json_send();
}

/* ---- entries ---- */

static Bool same_place(const DmEntry* e, const HChar* object, Addr offset)
{
   return e->offset == offset && VG_STREQ(e->object, object);
}

/* Its own name; else where it lies. */
static const HChar* label(const HChar* name, const HChar* object, Addr offset, Bool alone)
{
   const HChar* file = *object ? VG_(basename)(object) : "";
   const HChar* plus = *object ? "+" : "";
   HChar* text = VG_(malloc)("dm.label", VG_(strlen)(name) + VG_(strlen)(file) + 32);
   if (*name && alone)
      VG_(strcpy)(text, name);
   else
      VG_(sprintf)(text, "%s%s%s%s0x%lx", name, *name ? "@" : "", file, plus, offset);
   return text;
}

static DmEntry* entry_of(const HChar* name, const DebugInfo* di, Addr pc)
{
   const HChar* object = di ? VG_(DebugInfo_get_filename)(di) : "";
   Addr offset = di ? pc - VG_(DebugInfo_get_text_bias)(di) : pc;
   Bool alone = True;
   DmEntry* e;
   Word i;
   for (i = 0; i < VG_(sizeXA)(entries); i++) {
      e = *(DmEntry**)VG_(indexXA)(entries, i);
      if (!VG_STREQ(e->symbol, name)) continue;
      if (same_place(e, object, offset)) return e;
      alone = False;
   }
   e = VG_(calloc)("dm.entry", 1, sizeof *e);
   e->symbol = VG_(strdup)("dm.entry", name);
   e->object = VG_(strdup)("dm.entry", object);
   e->offset = offset;
   e->name = label(name, object, offset, alone);
   e->is_ifunc = di && is_ifunc(object, offset);
   VG_(addToXA)(entries, &e);
   return e;
}

DmEntry* dm_window_function(Addr pc)
{
   DiEpoch epoch = VG_(current_DiEpoch)();
   const HChar* name;
   const DebugInfo* di;
   Bool named = VG_(get_fnname_if_entry)(epoch, pc, &name);
   Bool placed = VG_(sizeXA)(places) && by_place(pc);
   if (!named && !placed) return NULL;
   di = VG_(find_DebugInfo)(epoch, pc);
   if (!placed && !by_name(di, name)) return NULL;
   return entry_of(named ? name : "", di, pc);
}
