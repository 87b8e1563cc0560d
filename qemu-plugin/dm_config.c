/* dm_config.c: what to watch, one thing a line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 *   stream PATH                       where the frames go
 *   ring FD BYTES                     ... but for this memory, if there is some: dm_port.c
 *   machine NAME                      for the reader
 *   mode events|summary
 *   all                               accesses outside buffers, too
 *   whole-program                     one window from start to end
 *   relocated ADDRESS                 the program may lie anywhere; its file's code
 *                                     begins at this address
 *   function ADDRESS NAME             each outermost call is a window
 *   copy memcpy|memmove|memset ADDRESS
 *   fault ADDRESS NAME                control must not get there
 *   buffer NAME ROLE ADDRESS BYTES    in the order that dm_window_open wants
 *   next-window                       the buffers behind it are those of the next
 *                                     window; the last ones stay for all that follow
 *
 * Written by diagmem.record.qemu.  Addresses are hexadecimal, without Thumb bit.
 */
#include <errno.h>

#include "dm.h"

DmConfig dm_config;

static const HChar* copied(const HChar* text)
{
   SizeT bytes = strlen(text) + 1;
   return memcpy(dm_memory(NULL, bytes), text, bytes);
}

static void add_place(DmPlaceKind kind, Addr address, const HChar* name, DmKind load, DmKind store)
{
   DmPlace place = { address, kind, copied(name), load, store };
   dm_config.places
      = dm_memory(dm_config.places, (dm_config.n_places + 1) * sizeof *dm_config.places);
   dm_config.places[dm_config.n_places++] = place;
}

static Bool add_copy(const HChar* name, Addr address)
{
   if (strcmp(name, "memcpy") == 0)
      add_place(DM_AT_COPY, address, name, DM_MEMCPY_LOAD, DM_MEMCPY_STORE);
   else if (strcmp(name, "memmove") == 0)
      add_place(DM_AT_COPY, address, name, DM_MEMMOVE_LOAD, DM_MEMMOVE_STORE);
   else if (strcmp(name, "memset") == 0)
      add_place(DM_AT_COPY, address, name, DM_LOAD, DM_MEMSET_STORE);
   else
      return False;
   return True;
}

static void add_buffer(const HChar* name, const HChar* role, Addr start, SizeT bytes)
{
   DmBuffer buffer = { .name = copied(name), .role = copied(role), .start = start,
                       .end = start + bytes };
   DmWatched* of = &dm_config.watched[dm_config.n_watched - 1];
   of->buffers = dm_memory(of->buffers, (of->n_buffers + 1) * sizeof *of->buffers);
   of->buffers[of->n_buffers++] = buffer;
}

static void next_window(void)
{
   DmWatched none = { NULL, 0 };
   dm_config.watched
      = dm_memory(dm_config.watched, (dm_config.n_watched + 1) * sizeof *dm_config.watched);
   dm_config.watched[dm_config.n_watched++] = none;
}

const DmWatched* dm_config_watched(UInt window)
{
   UInt last = dm_config.n_watched - 1;
   return &dm_config.watched[window < last ? window : last];
}

static Bool read_line(const HChar* line)
{
   static HChar first[4096], second[64];
   Addr address;
   SizeT bytes;
   if (sscanf(line, "stream %4095[^\n]", first) == 1)
      dm_config.stream = copied(first);
   else if (sscanf(line, "ring %d %lu", &dm_config.ring_fd, &dm_config.ring_bytes) == 2)
      return True;
   else if (sscanf(line, "machine %4095s", first) == 1)
      dm_config.machine = copied(first);
   else if (strcmp(line, "mode events\n") == 0)
      dm_options.mode = DM_EVENTS;
   else if (strcmp(line, "mode summary\n") == 0)
      dm_options.mode = DM_SUMMARY;
   else if (strcmp(line, "all\n") == 0)
      dm_options.all = True;
   else if (strcmp(line, "whole-program\n") == 0)
      dm_config.whole_program = True;
   else if (sscanf(line, "relocated %lx", &dm_config.code_start) == 1)
      dm_config.relocated = True;
   else if (sscanf(line, "function %lx %4095[^\n]", &address, first) == 2)
      add_place(DM_AT_FUNCTION, address, first, DM_LOAD, DM_LOAD);
   else if (sscanf(line, "fault %lx %4095s", &address, first) == 2)
      add_place(DM_AT_FAULT, address, first, DM_LOAD, DM_LOAD);
   else if (sscanf(line, "copy %4095s %lx", first, &address) == 2)
      return add_copy(first, address);
   else if (sscanf(line, "buffer %4095s %63s %lx %lx", first, second, &address, &bytes) == 4)
      add_buffer(first, second, address, bytes);
   else if (strcmp(line, "next-window\n") == 0)
      next_window();
   else
      return False;
   return True;
}

void dm_config_read(const HChar* path)
{
   static HChar line[8192];
   FILE* file = fopen(path, "r");
   if (!file) dm_fail("cannot read %s: %s", path, strerror(errno));
   next_window();
   while (fgets(line, sizeof line, file))
      if (!read_line(line)) dm_fail("%s does not hold what this plugin expects: %s", path, line);
   fclose(file);
}

void dm_config_move(Addr bias)
{
   UInt i, w;
   dm_config.bias = bias;
   for (i = 0; i < dm_config.n_places; i++) dm_config.places[i].address += bias;
   for (w = 0; w < dm_config.n_watched; w++) {
      const DmWatched* of = &dm_config.watched[w];
      for (i = 0; i < of->n_buffers; i++) {
         of->buffers[i].start += bias;
         of->buffers[i].end += bias;
      }
   }
}

UInt dm_config_place(Addr address, UInt from)
{
   UInt i;
   for (i = from; i < dm_config.n_places && dm_config.places[i].address != address; i++) {}
   return i;
}
