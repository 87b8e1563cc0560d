/* dm_process.c: which process of a run records, and what the others leave behind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcproc.h"

/* For the recorder: a line more in a file beside the stream. */
static void note(const HChar* what, const HChar* text)
{
   HChar path[4096];
   Int fd;
   VG_(snprintf)(path, sizeof path, "%s.%s", dm_asked.stream, what);
   fd = VG_(fd_open)(path, VKI_O_WRONLY | VKI_O_CREAT | VKI_O_APPEND, 0600);
   if (fd < 0) return;
   VG_(write)(fd, text, (Int)VG_(strlen)(text));
   VG_(write)(fd, "\n", 1);
   VG_(close)(fd);
}

/* The client's file, by its path where it can be told. */
static const HChar* program_path(void)
{
   static HChar name[4096];
   static Addr starts[256];
   const Int room = sizeof starts / sizeof *starts;
   Int i, n = VG_(am_get_segment_starts)(SkFileC, starts, room);
   VG_(client_fname)(name, sizeof name, True);
   for (i = 0; i < n && i < room; i++) {
      const HChar* file = VG_(am_get_filename)(VG_(am_find_nsegment)(starts[i]));
      if (file && VG_STREQ(VG_(basename)(file), name)) return file;
   }
   return name;
}

static Bool is_recorders(const HChar* stream)
{
   struct vg_stat file;
   return !sr_isError(VG_(stat)(stream, &file)) && VKI_S_ISFIFO(file.mode);
}

/* The first process of a run records; it goes on doing so when it executes
 * another program.  A child of it does not: the number beside the stream says
 * whose the stream is.  What a child executes is written down, so that the
 * recorder can name it.  Beside a plain file or a device, given by hand, nothing
 * is left. */
Bool dm_stream_is_ours(void)
{
   HChar path[4096], text[4096];
   Int fd;
   Int pid = VG_(getpid)();
   if (!is_recorders(dm_asked.stream)) return True;
   VG_(snprintf)(path, sizeof path, "%s.pid", dm_asked.stream);
   fd = VG_(fd_open)(path, VKI_O_RDONLY, 0);
   if (fd < 0) {
      fd = VG_(fd_open)(path, VKI_O_WRONLY | VKI_O_CREAT | VKI_O_EXCL, 0600);
      if (fd < 0) return True;
      VG_(sprintf)(text, "%d", pid);
      VG_(write)(fd, text, (Int)VG_(strlen)(text));
      VG_(close)(fd);
      return True;
   }
   Int n = VG_(read)(fd, text, 31);
   VG_(close)(fd);
   text[n > 0 ? n : 0] = 0;
   if (VG_(strtoll10)(text, NULL) == pid) return True;

   note("children", program_path());
   return False;
}

Bool dm_forked;

/* A forked child is about to call a function that was asked for. */
void dm_forked_call(const DmEntry* entry)
{
   static Bool noted = False;
   if (!dm_forked || noted || entry->is_ifunc || !is_recorders(dm_asked.stream)) return;
   noted = True;
   note("forked", entry->name);
}
