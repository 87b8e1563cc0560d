/* dm.h: what the parts of the diagmem tool know of each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * The way an access takes:
 *
 *   instrumented code --(DmRecord)--> dm_records[] --drain--> event columns --> stream
 *                                                        \--> summary cells --> stream
 *
 * dm_instrument.c  appends one 8-byte record per access, inline, without a call
 * dm_skip.c        groups of accesses that need no record
 * dm_window.c      opens and closes windows; sets the page map that lets
 *                  accesses through only near buffers and only in a window
 * dm_buffers.c     where the buffers lie when a window opens
 * dm_copies.c      memcpy and its kin, whose order nobody promises
 * dm_heap.c        the client's malloc, so that heap blocks can be named
 * dm_sites.c       instructions, and classes = instruction x span
 * dm_events.c      event mode: exact filter, columns, blocks
 * dm_summary.c     summary mode: first and last load and store of each byte
 * dm_values.c      the value of each access, for checking the tool
 * dm_stream.c      frames and JSON to the recorder
 * dm_main.c        options, life cycle, client requests, system calls
 */
#ifndef DM_H
#define DM_H

#include "pub_tool_basics.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_mallocfree.h"
#include "pub_tool_tooliface.h"
#include "pub_tool_vki.h"
#include "pub_tool_xarray.h"

#define DM_VERSION "0.1.0"
#define DM_PROTOCOL 1

/* ---- records: what instrumented code appends ---- */

/* address << DM_SITE_BITS | site.  User addresses of every 64-bit platform
 * Valgrind runs on fit 47 bits; a buffer beyond that is refused. */
typedef ULong DmRecord;
#define DM_SITE_BITS 17
#define DM_SITE_MASK ((1u << DM_SITE_BITS) - 1)
#define DM_ADDRESS_END (1ULL << (64 - DM_SITE_BITS))

/* A record buffer that stays in the second-level cache, and room behind its
 * end for the most that one superblock can append. */
#define DM_RECORDS 32768
#define DM_RECORDS_SLACK 4096

/* One byte for each of 65536 pages, addresses folded onto it: sizeof(DmRecord)
 * where a buffer of the open window may be touched, else 0.  The appended
 * record stays only where that byte moves the cursor past it.  A false hit
 * costs time, never truth: draining filters exactly. */
#define DM_PAGE_SHIFT 12
#define DM_PAGES 65536

/* Accesses up to this size may begin on the page before a buffer's first. */
#define DM_REACH 64

extern UChar dm_page_map[DM_PAGES];
extern DmRecord dm_records[DM_RECORDS + DM_RECORDS_SLACK];
extern DmRecord* dm_cursor;
/* A window by function call may end when the stack pointer rises above this. */
extern Addr dm_exit_sp;

/* ---- options ---- */

typedef enum { DM_EVENTS, DM_SUMMARY } DmMode;

typedef struct {
   const HChar* stream;
   DmMode mode;
   Bool all;            /* every access, not only those in buffers */
   ULong narrow_ticks;  /* from so many events on a summary counts in 64 bits */
   Bool whole_program;  /* one window from start to end */
   Bool values;         /* what each access loaded or stored, too */
   Bool raw_copies;     /* memcpy and its kin by their own accesses */
   XArray* functions;   /* of const HChar*: patterns */
   XArray* watched;     /* of const HChar*: names of buffers; empty: all */
   XArray* places;      /* of DmObjectPlace: functions by object and offset */
} DmOptions;

extern DmOptions dm_options;
/* False in a forked child, and in a program that such a child starts. */
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
   UInt last_buffer; /* the buffer it touched ... */
   UInt only_in;     /* ... which in window `only_in` - 1 no other overlaps */
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

/* An address as the object's own symbol table counts. */
typedef struct {
   const HChar* object; /* path, file name or soname */
   Addr offset;
   Addr resolved; /* 0 while the object is not mapped */
} DmObjectPlace;

typedef struct {
   const HChar* name;
   const HChar* reason;
} DmMissing;

void dm_buffers_init(void);
Bool dm_buffer_option(const HChar* text);
void dm_buffer_declare(const HChar* name, UWord role, Addr start, SizeT size);
Bool dm_buffer_forget(const HChar* name);
/* Where every declared buffer lies now: fills arrays of DmBuffer, DmMissing. */
void dm_buffers_resolve(ThreadId tid, XArray* buffers, XArray* missing);
Bool dm_parse_object_place(const HChar* text, DmObjectPlace* place);
Bool dm_resolve_object_place(DmObjectPlace* place);
/* Integer argument n, from 0, of a function that has just been entered. */
Bool dm_argument(ThreadId tid, UInt n, Addr* value);

/* ---- the client's heap ---- */

void dm_heap_init(void);
Bool dm_heap_block(SizeT size, UWord order, Addr* start, const HChar** reason);

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
   Bool by_request;
   UInt depth; /* of begin requests */
   Addr entry_sp, entry_link;
   ULong events, stores;
   ThreadId events_tid;  /* who made the first event */
   Bool several_threads; /* others did too */
   XArray* buffers; /* of DmBuffer, by start */
   XArray* missing; /* of DmMissing */
   DmBuffer* buffer; /* the first of `buffers`, as an array */
   UInt n_buffers;
   DmSpan* spans;
   UInt n_spans;
} DmWindow;

extern DmWindow dm_window;

void dm_window_init(void);
Bool dm_watches_functions(void);
const HChar* dm_window_function(Addr pc); /* NULL: not an entry to watch */
void dm_window_buffer_declared(const HChar* name, UWord role, Addr start, SizeT size);
void dm_window_begin_request(ThreadId tid, const HChar* name);
Bool dm_window_end_request(void);
void dm_window_begin_program(void);
void dm_window_cut(const HChar* why);
void dm_window_forked(void);
void dm_window_touched(void); /* the thread of the records made an event */
UInt dm_window_total(void);
/* Where the function that has just been entered will return to. */
Addr dm_return_address(ThreadId tid, Addr sp);
/* Is that another stack than the one that a call was made on? */
Bool dm_on_other_stack(ThreadId tid, Addr sp, Addr entry_sp);
/* Called from translated code. */
VG_REGPARM(2) void dm_window_enter(Addr entry, const HChar* name);
VG_REGPARM(1) void dm_window_run_into(const HChar* name);
VG_REGPARM(2) void dm_window_check_exit(Addr sp, Addr target);
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

/* ---- library copies ---- */

typedef struct DmCopyFunction DmCopyFunction;

/* The window's thread is inside a copy: its accesses do not count. */
extern Bool dm_copying;
const DmCopyFunction* dm_copy_function(Addr pc); /* NULL: not the entry of one */
void dm_copy_over(void);
Bool dm_copy_goes_on(ThreadId tid, Addr sp, Addr target);
/* Called from translated code. */
VG_REGPARM(2) void dm_copy_enter(Addr entry, const DmCopyFunction* function);

/* ---- draining the records ---- */

extern ThreadId dm_records_tid;

void dm_drain(void);
/* An access that someone made for the program: the kernel, or our realloc. */
void dm_access_for(ThreadId tid, DmKind kind, Addr addr, SizeT size);
void dm_bulk_at(Addr pc, DmKind kind, Addr addr, SizeT size);
/* A record of more than DM_REACH bytes (the processor's state, say), which may
 * touch several spans. */
void dm_bulk_record(DmRecord record);
void dm_events_init(void);
void dm_events_window_opened(void);
void dm_events_flush(void);
void dm_events_consume(const DmRecord* from, const DmRecord* to);
void dm_events_bulk(UInt site, DmSpan* span, Addr addr, SizeT size);
void dm_summary_window_opened(void);
void dm_summary_window_closed(void);
void dm_summary_consume(const DmRecord* from, const DmRecord* to);
void dm_summary_bulk(UInt site, DmSpan* span, Addr addr, SizeT size);

/* ---- instrumentation ---- */

/* Accesses are recorded only once armed; every translation made before must go. */
extern Bool dm_armed;
void dm_arm(void);

/* Accesses of a superblock at constant distances from what one register held
 * at its start. */
typedef struct {
   Int root;      /* the register's place in the guest state */
   Word from, to; /* the bytes touched, from that value on */
   UInt n;        /* 0: recorded after all */
} DmGroup;

#define DM_MAX_GROUPS 6

typedef struct {
   DmGroup groups[DM_MAX_GROUPS];
   UInt n;
   UChar* group; /* for each statement: its group + 1, or 0; NULL: there are none */
} DmSkips;

/* Where the superblock starts that must be translated again before it goes on. */
extern Addr dm_translate_anew;
void dm_skip_init(void);
void dm_skip_find(const IRSB* in, Int first, Addr start, DmSkips* skips);
void dm_skip_done(DmSkips* skips);
VG_REGPARM(3) void dm_skip_near_buffer(Addr from, Addr to, Addr start);

IRSB* dm_instrument(VgCallbackClosure* closure, IRSB* in,
                    const VexGuestLayout* layout, const VexGuestExtents* vge,
                    const VexArchInfo* archinfo, IRType guest_word, IRType host_word);

/* ---- values ---- */

/* Where translated code puts what the access before a call has moved. */
extern UChar dm_value[DM_REACH];
void dm_values_window_opened(void);
void dm_values_window_closed(void);
void dm_values_of_memory(Addr addr, SizeT size);
/* Called from translated code. */
void dm_values_take(void);
void dm_values_take_memory(void);

/* ---- the stream to the recorder ---- */

typedef enum { DM_META = 1, DM_EVENT_BLOCK = 2, DM_SUMMARY_PART = 3, DM_VALUES = 4 } DmFrameType;

Bool dm_stream_open(const HChar* path);
void dm_stream_close(void);
void dm_stream_frame(DmFrameType type, ULong bytes);
void dm_stream_bytes(const void* data, ULong bytes);

void dm_json_begin(const HChar* type);
void dm_json_text(const HChar* key, const HChar* value);
void dm_json_number(const HChar* key, ULong value);
void dm_json_open(const HChar* key, HChar bracket);
void dm_json_close(HChar bracket);
void dm_json_send(void);

/* Stop the run: the recorder gets the message, and so does the terminal. */
__attribute__((noreturn, format(printf, 1, 2))) void dm_fail(const HChar* format, ...);

#endif /* DM_H */
