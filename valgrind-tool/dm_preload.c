/* dm_preload.c: memcpy and its kin under names that the tool can tell apart.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * Loaded before the program's libraries, so that calls through dynamic symbols
 * come here.  glibc's memcpy and memmove are one and the same code without a
 * name; these are not.  What they do inside is never recorded: see dm_copies.c.
 *
 * Compiled without builtins, or each would be made a call of itself.
 */
#include <stddef.h>

typedef unsigned char Byte;
typedef Byte Block __attribute__((vector_size(16), aligned(1), may_alias));

void* memcpy(void* to, const void* from, size_t bytes);
void* mempcpy(void* to, const void* from, size_t bytes);
void* __mempcpy(void* to, const void* from, size_t bytes) __attribute__((alias("mempcpy")));
void* memmove(void* to, const void* from, size_t bytes);
void bcopy(const void* from, void* to, size_t bytes);
void* memset(void* to, int value, size_t bytes);
void bzero(void* to, size_t bytes);
void __bzero(void* to, size_t bytes) __attribute__((alias("bzero")));
void explicit_bzero(void* to, size_t bytes) __attribute__((alias("bzero")));
void* __memcpy_chk(void* to, const void* from, size_t bytes, size_t room);
void* __mempcpy_chk(void* to, const void* from, size_t bytes, size_t room);
void* __memmove_chk(void* to, const void* from, size_t bytes, size_t room);
void* __memset_chk(void* to, int value, size_t bytes, size_t room);
void __explicit_bzero_chk(void* to, size_t bytes, size_t room);
void __chk_fail(void) __attribute__((weak, noreturn));

static inline void check(size_t bytes, size_t room)
{
   if (bytes <= room) return;
   if (__chk_fail) __chk_fail();
   __builtin_trap();
}

/* Right for ranges that overlap, too: each block is read before it is written. */
static inline void copy(Byte* to, const Byte* from, size_t bytes)
{
   size_t i = 0;
   if (to <= from || to >= from + bytes) {
      for (; i + sizeof(Block) <= bytes; i += sizeof(Block))
         *(Block*)(to + i) = *(const Block*)(from + i);
      for (; i < bytes; i++) to[i] = from[i];
   } else {
      for (i = bytes; i >= sizeof(Block); i -= sizeof(Block))
         *(Block*)(to + i - sizeof(Block)) = *(const Block*)(from + i - sizeof(Block));
      for (; i > 0; i--) to[i - 1] = from[i - 1];
   }
}

static inline void fill(Byte* to, Byte value, size_t bytes)
{
   const Block block = (Block){ 0 } + value;
   size_t i = 0;
   for (; i + sizeof(Block) <= bytes; i += sizeof(Block)) *(Block*)(to + i) = block;
   for (; i < bytes; i++) to[i] = value;
}

void* memcpy(void* to, const void* from, size_t bytes)
{
   copy(to, from, bytes);
   return to;
}

void* mempcpy(void* to, const void* from, size_t bytes)
{
   copy(to, from, bytes);
   return (Byte*)to + bytes;
}

void* memmove(void* to, const void* from, size_t bytes)
{
   copy(to, from, bytes);
   return to;
}

void bcopy(const void* from, void* to, size_t bytes) { copy(to, from, bytes); }

void* memset(void* to, int value, size_t bytes)
{
   fill(to, (Byte)value, bytes);
   return to;
}

void bzero(void* to, size_t bytes) { fill(to, 0, bytes); }


void* __memcpy_chk(void* to, const void* from, size_t bytes, size_t room)
{
   check(bytes, room);
   copy(to, from, bytes);
   return to;
}

void* __mempcpy_chk(void* to, const void* from, size_t bytes, size_t room)
{
   check(bytes, room);
   copy(to, from, bytes);
   return (Byte*)to + bytes;
}

void* __memmove_chk(void* to, const void* from, size_t bytes, size_t room)
{
   check(bytes, room);
   copy(to, from, bytes);
   return to;
}

void* __memset_chk(void* to, int value, size_t bytes, size_t room)
{
   check(bytes, room);
   fill(to, (Byte)value, bytes);
   return to;
}

void __explicit_bzero_chk(void* to, size_t bytes, size_t room)
{
   check(bytes, room);
   fill(to, 0, bytes);
}
