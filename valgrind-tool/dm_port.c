/* dm_port.c: Valgrind's side of what core/dm_core.h asks of a recorder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_machine.h"

DmAsked dm_asked;

/* ---- memory ---- */

static inline void* pages_of_pointer(void* pages) { return pages; }

static inline void* pages_of_result(SysRes result)
{
   return sr_isError(result) ? NULL : (void*)sr_Res(result);
}

void* dm_pages(SizeT bytes)
{
   /* Zeroed by the kernel, and only where touched.  Valgrind 3.19 returns the
      pointer, 3.24 a SysRes: take whichever the headers declare. */
   return _Generic(VG_(am_shadow_alloc)(bytes), void*: pages_of_pointer,
                   SysRes: pages_of_result)(VG_(am_shadow_alloc)(bytes));
}

void dm_pages_free(void* pages, SizeT bytes)
{
   SizeT page = VKI_PAGE_SIZE;
   VG_(am_munmap_valgrind)((Addr)pages, (bytes + page - 1) / page * page);
}

/* ---- the stream ---- */

static Int stream_fd = -1;

Bool dm_stream_open(const HChar* path)
{
   struct vki_rlimit limit;
   Int fd = VG_(fd_open)(path, VKI_O_WRONLY | VKI_O_CREAT, 0600);
   if (fd < 0) return False;
   /* Move it to the very end of the range that Valgrind keeps from the client,
      so that a program that closes "all" its descriptors leaves it alone. */
   if (VG_(getrlimit)(VKI_RLIMIT_NOFILE, &limit) == 0) {
      SysRes moved = VG_(dup2)(fd, (Int)limit.rlim_cur - 1);
      if (!sr_isError(moved)) {
         VG_(close)(fd);
         fd = (Int)sr_Res(moved);
      }
   }
   stream_fd = fd;
   return True;
}

void dm_stream_close(void)
{
   if (stream_fd >= 0) VG_(close)(stream_fd);
   stream_fd = -1;
}

void dm_stream_bytes(const void* data, ULong bytes)
{
   const UChar* at = data;
   while (bytes > 0 && stream_fd >= 0) {
      Int n = VG_(write)(stream_fd, at, bytes > (1 << 30) ? (1 << 30) : (Int)bytes);
      if (n == -VKI_EINTR) continue;
      if (n <= 0) {
         /* Nobody reads any more: running on would only waste time. */
         dm_stream_close();
         dm_recording = False;
         dm_stop("the recorder went away; stopping the program");
      }
      at += n;
      bytes -= n;
   }
}

void dm_stop(const HChar* message)
{
   VG_(umsg)("diagmem: %s\n", message);
   VG_(exit)(1);
}

/* ---- names ---- */

static UInt hashed(UInt h, const HChar* text)
{
   while (*text) h = (h ^ (UChar)*text++) * 16777619u;
   return h;
}

UInt dm_names_at(Addr pc)
{
   DiEpoch epoch = VG_(current_DiEpoch)();
   const DebugInfo* di = VG_(find_DebugInfo)(epoch, pc);
   const HChar* function;
   UInt h = 2166136261u;
   if (VG_(get_fnname)(epoch, pc, &function)) h = hashed(h, function);
   if (di) h = hashed(h, VG_(DebugInfo_get_filename)(di));
   return h | 1;
}

void dm_describe(Addr pc)
{
   DiEpoch epoch = VG_(current_DiEpoch)();
   DebugInfo* di = VG_(find_DebugInfo)(epoch, pc);
   const HChar* text;
   const HChar* dir;
   UInt line;
   if (VG_(get_fnname)(epoch, pc, &text)) dm_json_text("function", text);
   if (di) {
      dm_json_text("object", VG_(DebugInfo_get_filename)(di));
      dm_json_number("offset", pc - VG_(DebugInfo_get_text_bias)(di));
   }
   if (VG_(get_filename_linenum)(epoch, pc, &text, &dir, &line)) {
      dm_json_text("file", text);
      dm_json_text("directory", dir);
      dm_json_number("line", line);
   }
}

void dm_sites_ran_out(UInt limit)
{
   static Bool said = False;
   if (!said) VG_(umsg)("diagmem: more than %u accesses in the code; from here on events "
                        "do not say where in the program they come from\n", limit);
   said = True;
}

/* ---- records and events ---- */

Bool dm_copying;

/* Inside a copy that counts as a whole its own accesses do not. */
Bool dm_records_count(void) { return !(dm_copying && dm_records_tid == dm_window.tid); }

void dm_records_of(ThreadId tid)
{
   if (tid == dm_records_tid) return;
   dm_drain();
   dm_records_tid = tid;
}

void dm_access_for(ThreadId tid, DmKind kind, Addr addr, SizeT size)
{
   if (!dm_window.open || !dm_recording || size == 0) return;
   /* Another thread may have run while this one's system call was waiting. */
   dm_records_of(tid);
   dm_drain();
   if (addr + size < addr) size = ~addr;
   dm_bulk_at(VG_(get_IP)(tid), kind, addr, size);
}
