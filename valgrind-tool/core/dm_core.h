/* dm_core.h: what recorders share, whatever runs the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * The way an access takes:
 *
 *   recorder --(DmRecord)--> dm_records[] --drain--> event columns --> stream
 *                                               \--> summary cells --> stream
 *
 * dm_spans.c    the open window, its buffers, the page map that tells where they are
 * dm_drain.c    records into events or a summary
 * dm_sites.c    instructions, and classes = instruction x span
 * dm_events.c   event mode: exact filter, columns, blocks
 * dm_summary.c  summary mode: first and last load and store of each byte
 * dm_stream.c   frames and JSON to the reader
 *
 * A recorder appends records, says when windows open and close, and has a
 * dm_port.h: types, memory, and the functions under "what a recorder provides".
 */
#ifndef DM_CORE_H
#define DM_CORE_H

#include "dm_port.h"

#define DM_VERSION "0.1.0"
#define DM_PROTOCOL 1

/* ---- records: one for each access ---- */

/* address << DM_SITE_BITS | site.  User addresses of every 64-bit platform
 * Valgrind runs on fit 47 bits; a buffer beyond that is refused. */
typedef ULong DmRecord;
#define DM_SITE_BITS 17
#define DM_SITE_MASK ((1u << DM_SITE_BITS) - 1)
#define DM_ADDRESS_END (1ULL << (64 - DM_SITE_BITS))

/* A record buffer that stays in the second-level cache, and room behind its
 * end for the most that is appended before the next look at the end. */
#define DM_RECORDS 32768
#define DM_RECORDS_SLACK 4096

/* One byte for each of 65536 pages, addresses folded onto it: sizeof(DmRecord)
 * where a buffer of the open window may be touched, else 0.  An appended
 * record stays only where that byte moves the cursor past it.  A false hit
 * costs time, never truth: draining filters exactly. */
#define DM_PAGE_SHIFT 12
#define DM_PAGES 65536

/* The same in steps of 256 bytes, for single accesses: what lies beside a buffer
 * (weights, spills, parameters) is on its pages but seldom on its lines. */
#define DM_LINE_SHIFT 8
#define DM_LINES (1 << 20)

/* Accesses up to this size may begin on the page or line before a buffer's first. */
#define DM_REACH 64

extern UChar dm_page_map[DM_PAGES];
extern UChar dm_line_map[DM_LINES];
extern DmRecord dm_records[DM_RECORDS + DM_RECORDS_SLACK];
extern DmRecord* dm_cursor;

/* ---- options ---- */

typedef enum { DM_EVENTS, DM_SUMMARY } DmMode;

typedef struct {
   DmMode mode;
   Bool all;            /* every access, not only those in buffers */
   ULong narrow_ticks;  /* from so many events on a summary counts in 64 bits */
} DmOptions;

extern DmOptions dm_options;
/* False where this process is none of the recorder's (a forked child, say). */
extern Bool dm_recording;

/* ---- sites and classes ---- */

typedef enum {
   DM_LOAD,
   DM_STORE,
   DM_SYSCALL_LOAD,
   DM_SYSCALL_STORE,
   DM_MEMCPY_LOAD,
   DM_MEMCPY_STORE,
   DM_MEMMOVE_LOAD,
   DM_MEMMOVE_STORE,
   DM_MEMSET_STORE
} DmKind;

typedef struct DmClass {
   struct DmClass* next;
   UInt span;
   UInt id;
} DmClass;

typedef struct {
   Addr pc;
   UInt size;  /* 0: varies, kept beside the event */
   UChar kind;
   Bool store;
   UInt last_span;   /* the class of this span ... */
   UInt last_class;  /* ... is this one */
   UInt last_buffer; /* the buffer it touched */
   UInt told_in;     /* a copy that window `told_in` - 1 of a summary made */
   DmClass* classes;
} DmSite;

extern DmSite dm_sites[DM_SITE_MASK + 1];

UInt dm_site(Addr pc, DmKind kind, UInt size);
UInt dm_class(UInt site, UInt span);
UInt dm_class_count(void);

/* ---- buffers ---- */

/* First and last tick + 1; 0 never.  Wide once a window has 2^32 events. */
typedef struct { UInt first, last; } DmNarrowCell;
typedef struct { ULong first, last; } DmWideCell;

/* A buffer as it lies in the open window. */
typedef struct {
   const HChar* name;
   const HChar* role;
   Addr start;
   Addr end;
   /* Summary mode: one cell for each `1 << cell_shift` bytes, of loads [0] and
      of stores [1]; NULL until there is one. */
   void* cells[2];
   SizeT n_cells;
   UInt cell_shift;
} DmBuffer;

typedef struct {
   const HChar* name;
   const HChar* reason;
} DmMissing;

/* ---- windows ---- */

/* Buffers that touch or nearly touch, as one range of addresses. */
typedef struct {
   Addr start, end;
   UInt first_buffer, n_buffers; /* in the window's sorted buffers */
   Bool gaps;                    /* holds bytes that are in no buffer */
   /* Event mode: the column of this span in the block being filled. */
   Addr last;        /* where the last event was */
   Addr alignment;   /* bitwise or of offsets and sizes */
   UInt wide;        /* deltas need 8 bytes, not 4 */
   UChar* at;        /* where the next delta goes */
} DmSpan;

typedef struct {
   Bool open;
   UInt index;
   ThreadId tid;
   const HChar* function;
   ULong events, stores;
   ThreadId events_tid;  /* who made the first event; 0: nobody did */
   Bool several_threads; /* others did too */
   DmBuffer* buffer;     /* by start */
   UInt n_buffers;
   DmSpan* spans;
   UInt n_spans;
} DmWindow;

extern DmWindow dm_window;

/* Buffers sorted by start, then the longer first, then by name; both arrays
 * stay the caller's and must last as long as the window. */
void dm_window_open(ThreadId tid, const HChar* function, DmBuffer* buffers, UInt n_buffers,
                    const DmMissing* missing, UInt n_missing);
void dm_window_close(const HChar* how);
UInt dm_window_total(void);
/* The span that [addr, addr + size) touches, from span `from` on, or NULL. */
DmSpan* dm_span_of(Addr addr, SizeT size, UInt from);
/* The buffer of a span that the access touches first, or NULL. */
DmBuffer* dm_buffer_of(const DmSpan* span, Addr addr, SizeT size);

static inline Bool dm_touches(Addr start, Addr end, Addr addr, SizeT size)
{
   return addr < end && addr + size > start;
}

/* The span for an access of a site, which mostly stays in one buffer. */
static inline DmSpan* dm_span_of_site(DmSite* s, Addr addr)
{
   if (LIKELY(s->last_span < dm_window.n_spans)) {
      DmSpan* span = &dm_window.spans[s->last_span];
      if (LIKELY(dm_touches(span->start, span->end, addr, s->size))) {
         const DmBuffer* b;
         if (LIKELY(!span->gaps)) return span;
         if (s->last_buffer < dm_window.n_buffers) {
            b = &dm_window.buffer[s->last_buffer];
            if (LIKELY(dm_touches(b->start, b->end, addr, s->size))) return span;
         }
         b = dm_buffer_of(span, addr, s->size);
         if (b) s->last_buffer = (UInt)(b - dm_window.buffer);
         return b ? span : NULL;
      }
   }
   return dm_span_of(addr, s->size, 0);
}

/* The span's next event is there: how far that is from the last one. */
static inline Long dm_span_step(DmSpan* span, Addr addr, SizeT size)
{
   Long delta = (Long)(addr - span->last);
   span->last = addr;
   span->alignment |= (addr - span->start) | size;
   return delta;
}

/* ---- draining the records ---- */

/* What nearly every record is: in the buffer that its site touched before, which no
 * record's slow path tells better.  `record - key` is its distance from the start of that
 * range, shifted as in a record.  Each mode keeps a table of these by site, with what it
 * needs besides, and forgets all whenever one could go stale: where a window opens, and
 * where cells change. */
static inline ULong dm_key(UInt site, Addr start) { return (ULong)start << DM_SITE_BITS | site; }

extern ThreadId dm_records_tid;

void dm_drain(void);
/* The thread of the records made an event. */
void dm_touched(void);
/* One event in each span that the access touches, at once. */
void dm_bulk_at(Addr pc, DmKind kind, Addr addr, SizeT size);
/* A record of more than DM_REACH bytes (the processor's state, say), which may
 * touch several spans. */
void dm_bulk_record(DmRecord record);

/* Events without a record: a recorder that knows the class and the span of an
 * access may write the event itself, at dm_direct.at, as long as that is not the
 * end.  Every drain ends it, so that records and such events keep their order. */
typedef struct {
   UInt* at;     /* where the next event's class goes; the span has the rest */
   UInt* end;    /* both NULL where no event may be written */
   ULong stores; /* among these events */
} DmDirect;

extern DmDirect dm_direct;

/* Only with no record left, in an open window, in event mode. */
void dm_direct_begin(void);
void dm_direct_end(void);

void dm_events_init(void);
void dm_events_window_opened(void);
void dm_events_flush(void);
void dm_events_consume(const DmRecord* from, const DmRecord* to);
void dm_events_bulk(UInt site, DmSpan* span, Addr addr, SizeT size);
void dm_summary_window_opened(void);
void dm_summary_window_closed(void);
void dm_summary_consume(const DmRecord* from, const DmRecord* to);
void dm_summary_bulk(UInt site, DmSpan* span, Addr addr, SizeT size);

/* ---- the stream to the reader ---- */

typedef enum { DM_META = 1, DM_EVENT_BLOCK = 2, DM_SUMMARY_PART = 3, DM_VALUES = 4 } DmFrameType;

void dm_stream_frame(DmFrameType type, ULong bytes);

void dm_json_begin(const HChar* type);
void dm_json_text(const HChar* key, const HChar* value);
void dm_json_number(const HChar* key, ULong value);
void dm_json_open(const HChar* key, HChar bracket);
void dm_json_close(HChar bracket);
void dm_json_send(void);

/* Stop the run: the reader gets the message, and so does the terminal. */
__attribute__((noreturn, format(printf, 1, 2))) void dm_fail(const HChar* format, ...);

/* ---- what a recorder provides ---- */

/* To the reader, all of it; does not return where nobody reads any more. */
void dm_stream_bytes(const void* data, ULong bytes);
void dm_stream_close(void);
/* The message on the terminal, and the end of this process. */
__attribute__((noreturn)) void dm_stop(const HChar* message);
/* May the accesses in dm_records become events? */
Bool dm_records_count(void);
/* A number for the function and file at an address; never 0. */
UInt dm_names_at(Addr pc);
/* Adds what is known of the place to the site's announcement. */
void dm_describe(Addr pc);
/* Numbers for instructions have run out. */
void dm_sites_ran_out(UInt limit);
/* A bulk event of that much memory was made. */
void dm_bulk_made(Addr addr, SizeT size);
/* The window is announced but has no event yet; it had its last one. */
void dm_window_opened(void);
void dm_window_closed(void);

#endif /* DM_CORE_H */
