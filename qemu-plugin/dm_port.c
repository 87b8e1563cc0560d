/* dm_port.c: QEMU's side of what core/dm_core.h asks of a recorder.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * The reader has the program's file and finds names and lines itself, so sites
 * are announced by their address in that file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm.h"

/* ---- memory ---- */

void* dm_memory(void* block, SizeT bytes)
{
   void* memory = realloc(block, bytes ? bytes : 1);
   if (!memory) dm_stop("out of memory");
   return memory;
}

void* dm_pages(SizeT bytes)
{
   void* pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
   return pages == MAP_FAILED ? NULL : pages;
}

void dm_pages_free(void* pages, SizeT bytes) { munmap(pages, bytes); }

/* ---- the stream ---- */

static int stream_fd = -1;

/* Memory that the reader has too: its counter of bytes read in a cache line of its
 * own, then the ring.  The FIFO tells it how many more there are to read. */
#define RING_HEAD 64

static UChar* ring;
static SizeT ring_bytes;
static ULong written, announced;

static Bool open_ring(void)
{
   if (dm_config.ring_bytes == 0) return True;
   ring = mmap(NULL, RING_HEAD + dm_config.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
               dm_config.ring_fd, 0);
   close(dm_config.ring_fd);
   if (ring == MAP_FAILED) return False;
   ring_bytes = dm_config.ring_bytes;
   return True;
}

Bool dm_stream_open(void)
{
   stream_fd = open(dm_config.stream, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
   return stream_fd >= 0 && open_ring();
}

void dm_stream_close(void)
{
   if (stream_fd >= 0) close(stream_fd);
   stream_fd = -1;
   dm_recording = False;
}

static __attribute__((noreturn)) void nobody_reads(void)
{
   dm_stream_close();
   dm_stop("the recorder went away; stopping the program");
}

static void through_fifo(const void* data, ULong bytes)
{
   const UChar* at = data;
   while (bytes > 0 && stream_fd >= 0) {
      ssize_t n = write(stream_fd, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) nobody_reads();
      at += n;
      bytes -= (ULong)n;
   }
}

static void announce(void)
{
   ULong more = written - announced;
   announced = written;
   if (more > 0) through_fifo(&more, sizeof more);
}

/* Bytes that may be written now; at least one. */
static SizeT ring_room(void)
{
   struct pollfd reader = { stream_fd, 0, 0 };
   SizeT room;
   while ((room = ring_bytes - (written - __atomic_load_n((ULong*)ring, __ATOMIC_ACQUIRE))) == 0) {
      announce();
      if (poll(&reader, 1, 0) > 0) nobody_reads();
      usleep(50);
   }
   return room;
}

void dm_stream_bytes(const void* data, ULong bytes)
{
   const UChar* from = data;
   if (!ring) {
      through_fifo(data, bytes);
      return;
   }
   while (bytes > 0 && stream_fd >= 0) {
      SizeT n = ring_room(), at = written % ring_bytes;
      if (n > bytes) n = bytes;
      if (n > ring_bytes - at) n = ring_bytes - at;
      memcpy(ring + RING_HEAD + at, from, n);
      written += n;
      from += n;
      bytes -= n;
   }
   if (stream_fd >= 0) announce();
}

void dm_stop(const HChar* message)
{
   fprintf(stderr, "diagmem: %s\n", message);
   fflush(stderr);
   _exit(1);
}

/* ---- names ---- */

UInt dm_names_at(Addr pc) { return 1; }

void dm_describe(Addr pc) { dm_json_number("offset", pc - dm_config.bias); }

void dm_sites_ran_out(UInt limit)
{
   static Bool said = False;
   if (!said) fprintf(stderr, "diagmem: more than %u accesses in the code; from here on events do "
                              "not say where in the program they come from\n", limit);
   said = True;
}

void dm_bulk_made(Addr addr, SizeT size) {}

ULong dm_window_key;

void dm_window_opened(void)
{
   /* Never 0: windows are numbered from 0. */
   dm_window_key = ((ULong)dm_window.index + 1) << 32;
}

void dm_window_closed(void) {}
