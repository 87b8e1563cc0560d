/* dm.h: what the parts of the diagmem tool know of each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * core/            what is the same for whatever runs the program: dm_core.h
 * dm_instrument.c  appends one 8-byte record per access, inline, without a call
 * dm_skip.c        groups of accesses that need no record
 * dm_functions.c   which functions open a window
 * dm_window.c      opens and closes windows
 * dm_buffers.c     where the buffers lie when a window opens
 * dm_calls.c       arguments, results and return addresses
 * dm_copies.c      memcpy and its kin, whose order nobody promises
 * dm_heap.c        the client's malloc, so that heap blocks can be named
 * dm_values.c      the value of each access, for checking the tool
 * dm_process.c     which process of a run records
 * dm_port.c        what the core asks of Valgrind
 * dm_main.c        options, life cycle, client requests, system calls
 */
#ifndef DM_H
#define DM_H

#include "dm_core.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_tooliface.h"
#include "pub_tool_vki.h"
#include "pub_tool_xarray.h"

/* ---- options ---- */

typedef struct {
   const HChar* stream;
   Bool whole_program;  /* one window from start to end */
   Bool values;         /* what each access loaded or stored, too */
   Bool raw_copies;     /* memcpy and its kin by their own accesses */
   XArray* watched;     /* of const HChar*: names of buffers; empty: all */
} DmAsked;

extern DmAsked dm_asked;

/* ---- buffers ---- */

/* An address as the object's own symbol table counts. */
typedef struct {
   const HChar* object; /* path, file name or soname; NULL: `offset` is an address */
   Addr offset;
   Addr resolved; /* 0 while the object is not mapped */
} DmObjectPlace;

void dm_buffers_init(void);
Bool dm_buffer_option(const HChar* text);
void dm_buffer_declare(const HChar* name, UWord role, Addr start, SizeT size);
Bool dm_buffer_forget(const HChar* name);
/* Where every declared buffer lies now: fills arrays of DmBuffer, DmMissing. */
void dm_buffers_resolve(ThreadId tid, XArray* buffers, XArray* missing);
Bool dm_parse_object_place(const HChar* text, DmObjectPlace* place);
Bool dm_resolve_object_place(DmObjectPlace* place);
Bool dm_same_object(const DebugInfo* di, const HChar* object);
/* ---- the client's heap ---- */

void dm_heap_init(void);
Bool dm_heap_block(SizeT size, UWord order, Addr* start, const HChar** reason);

/* ---- calls ---- */

Bool dm_read_word(Addr from, Addr* word);
/* Integer argument n, from 0, of a function that has just been entered. */
Bool dm_argument(ThreadId tid, UInt n, Addr* value);
/* What a function that has just returned leaves as its result. */
Addr dm_result(ThreadId tid);
/* Where the function that has just been entered will return to. */
Addr dm_return_address(ThreadId tid, Addr sp);
/* Is that another stack than the one that a call was made on? */
Bool dm_on_other_stack(ThreadId tid, Addr sp, Addr entry_sp);

/* ---- functions ---- */

/* Where a function that was asked for begins; they are kept for ever. */
typedef struct {
   const HChar* symbol; /* empty: it has none */
   const HChar* object; /* its file; empty: in none */
   Addr offset;         /* in the object as its symbol table counts; else the address */
   const HChar* name;   /* of its windows: no other place has the same */
   Bool is_ifunc;       /* its code only picks the function that is called later */
   Bool announced;
} DmEntry;

void dm_functions_init(void);
void dm_function_option(const HChar* text);
Bool dm_function_at_option(const HChar* text);
Bool dm_watches_functions(void);
DmEntry* dm_window_function(Addr pc); /* NULL: not an entry to watch */
/* `by` is an IFUNC whose call has returned `pc`. */
void dm_function_picked(const DmEntry* by, Addr pc);

/* ---- processes ---- */

/* Does this one record?  The first of a run does, and goes on when it executes another
 * program; a child does not. */
Bool dm_stream_is_ours(void);
extern Bool dm_forked; /* this is a child, which is not recorded */
void dm_forked_call(const DmEntry* entry);

/* ---- windows ---- */

/* How the open window came to be. */
typedef struct {
   Bool by_request;
   UInt depth; /* of begin requests */
   Addr entry_sp, entry_link;
} DmCall;

extern DmCall dm_call;
/* A call that is watched (a window, a copy, an IFUNC) may be over when the stack
 * pointer rises above this; another thread's may make it low for nothing. */
extern Addr dm_exit_sp;
/* Such a call has begun, or is over. */
void dm_watch_exits(void);

void dm_window_init(void);
void dm_window_buffer_declared(const HChar* name, UWord role, Addr start, SizeT size);
void dm_window_begin_request(ThreadId tid, const HChar* name);
Bool dm_window_end_request(void);
void dm_window_begin_program(void);
void dm_window_cut(const HChar* why);
void dm_window_forked(void);
/* Called from translated code. */
VG_REGPARM(1) void dm_window_enter(DmEntry* entry);
VG_REGPARM(1) void dm_window_run_into(const DmEntry* entry);
VG_REGPARM(2) void dm_window_check_exit(Addr sp, Addr target);

/* ---- library copies ---- */

typedef struct DmCopyFunction DmCopyFunction;

/* The window's thread is inside a copy: its accesses do not count. */
extern Bool dm_copying;
extern Addr dm_copy_sp; /* at its entry */
const DmCopyFunction* dm_copy_function(Addr pc); /* NULL: not the entry of one */
void dm_copy_over(void);
Bool dm_copy_goes_on(ThreadId tid, Addr sp, Addr target);
/* Called from translated code. */
VG_REGPARM(2) void dm_copy_enter(Addr entry, const DmCopyFunction* function);

/* ---- other records ---- */

/* From here on records and events are that thread's. */
void dm_records_of(ThreadId tid);
/* An access that someone made for the program: the kernel, or our realloc. */
void dm_access_for(ThreadId tid, DmKind kind, Addr addr, SizeT size);

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
/* Called from translated code. */
void dm_values_take(void);
void dm_values_take_memory(void);

/* ---- the stream to the recorder ---- */

Bool dm_stream_open(const HChar* path);

#endif /* DM_H */
