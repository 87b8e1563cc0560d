/* dm.h: what the parts of the plugin know of each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * ../valgrind-tool/core/  what becomes of a record: events, summary, stream
 * dm_qemu.h    QEMU's plugin interface
 * dm_plugin.c  life cycle; what is looked at in translated code
 * dm_config.c  what to watch
 * dm_flow.c    which instructions call and return
 * dm_calls.c   a shadow call stack: windows and copies begin and end by it
 * dm_port.c    what the core asks of a recorder
 */
#ifndef DM_H
#define DM_H

#include "dm_core.h"

/* ---- what to watch ---- */

typedef enum { DM_AT_FUNCTION, DM_AT_COPY, DM_AT_FAULT } DmPlaceKind;

/* An address where something begins when control gets there. */
typedef struct {
   Addr address;
   DmPlaceKind kind;
   const HChar* name;    /* of the function or the fault */
   DmKind load, store;   /* of the copy; DM_LOAD: it reads nothing */
} DmPlace;

typedef struct {
   DmBuffer* buffers;
   UInt n_buffers;
} DmWatched;

typedef struct {
   const HChar* stream;
   int ring_fd;
   SizeT ring_bytes;     /* 0: no ring */
   const HChar* machine; /* as the reader calls it */
   Bool whole_program;
   Bool relocated;       /* addresses count from where the program was loaded */
   Addr code_start;      /* of the program file's code */
   Addr bias;            /* from the file's addresses to those in memory */
   DmPlace* places;
   UInt n_places;
   DmWatched* watched;   /* of the first window, of the second, ... */
   UInt n_watched;       /* at least 1; the last is that of all later windows, too */
} DmConfig;

extern DmConfig dm_config;

void dm_config_read(const HChar* path);
/* What is watched lies that much higher than the file says. */
void dm_config_move(Addr bias);
/* The buffers of the window of that number. */
const DmWatched* dm_config_watched(UInt window);
/* What begins at that address: from this number on, dm_config.n_places if nothing. */
UInt dm_config_place(Addr address, UInt from);

/* ---- the code ---- */

typedef enum { DM_GOES_ON, DM_CALLS, DM_JUMPS_ANYWHERE } DmFlow;

/* Does the instruction call, or jump to a computed address, as returns do? */
DmFlow dm_flow(const void* code, SizeT size, Bool only_thumb);

/* ---- calls ---- */

/* Called from translated code, in this order within a block. */
void dm_on_block(unsigned vcpu, void* start);
void dm_on_place(unsigned vcpu, void* place);
void dm_on_call(unsigned vcpu, void* next);
void dm_on_jump(unsigned vcpu, void* unused);

/* Where the last block began. */
extern Addr dm_block;

/* Records are full, or something is about to happen. */
void dm_flush_records(void);
/* The next window begins here. */
void dm_calls_window(const HChar* name);
void dm_calls_over(void);

Bool dm_stream_open(void);

/* Of the window opened last, in the upper half. */
extern ULong dm_window_key;

#endif /* DM_H */
