/* dm_plugin.c: diagmem, a QEMU plugin that logs the loads and stores of compiled
 * kernels on Arm.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * This program is free software; you can redistribute it and/or modify it
 * under the terms of the GNU General Public License as published by the Free
 * Software Foundation; either version 2 of the License, or (at your option)
 * any later version.  It comes without any warranty; see LICENSES/GPL-2.0-or-later.txt.
 *
 *     qemu-system-arm ... -plugin diagmem_qemu.so,config=FILE
 *
 * What FILE holds: dm_config.c.  What goes to the stream: dm_stream.c,
 * dm_events.c and dm_summary.c of ../valgrind-tool/core.
 *
 * What is recorded: every load and store of the guest's instructions, in program
 * order, of which at least one byte lies in a buffer of the open window, as QEMU
 * makes them: one access for each register of a load or store of several, eight
 * bytes for a double register of the floating-point unit; a store-exclusive is a
 * load and a store.
 *
 * What is not:
 *  - what the processor itself stacks when an exception is taken;
 *  - what semihosting (or, for a Linux program, the kernel) reads and writes;
 *  - instruction fetches, and what devices do.
 */
#include <pthread.h>

#include "dm.h"
#include "dm_qemu.h"

#ifndef DM_INTERFACE
#define DM_INTERFACE 1
#endif

int qemu_plugin_version = DM_INTERFACE;

static Bool only_thumb;

/* ---- accesses ---- */

/* An instruction and what its accesses have in common as long as they are alike:
 * direction, size and, in event mode, the buffer.  QEMU's description of an access
 * is opaque, but equal for equal accesses, so it is asked about only where it
 * changes. */
typedef struct {
   ULong key;      /* the window and QEMU's description; 0: to be looked up */
   Addr from;      /* accesses that begin in `from`, `bytes` long, ... */
   SizeT bytes;
   DmSpan* span;   /* ... are in this span and of this class */
   UInt class;
   UInt size;
   UInt site;
   Bool store;
   Addr pc;
} Instruction;

#define MAX_SIZE_SHIFT 4

static Instruction* instruction(Addr pc)
{
   Instruction* made = dm_memory(NULL, sizeof *made);
   memset(made, 0, sizeof *made);
   made->pc = pc;
   return made;
}

static void look_up(Instruction* i, qemu_plugin_meminfo_t info)
{
   UInt shift = qemu_plugin_mem_size_shift(info);
   if (shift > MAX_SIZE_SHIFT) dm_fail("an access of 2^%u bytes", shift);
   i->key = dm_window_key | info;
   i->bytes = 0;
   i->size = 1u << shift;
   i->store = qemu_plugin_mem_is_store(info);
   i->site = dm_site(i->pc, i->store ? DM_STORE : DM_LOAD, i->size);
}

/* After an event of the instruction at that address: the next ones there may be
 * written at once. */
static void stay_in(Instruction* i, Addr address)
{
   DmSite* site = &dm_sites[i->site];
   DmSpan* span = dm_span_of_site(site, address);
   Addr start, end;
   if (!span || span->wide) return;
   start = span->start;
   end = span->end;
   if (span->gaps) {
      const DmBuffer* b = dm_buffer_of(span, address, i->size);
      start = b->start;
      end = b->end;
   }
   i->from = start - (i->size - 1);
   i->bytes = end - i->from;
   i->span = span;
   i->class = dm_class(i->site, (UInt)(span - dm_window.spans));
   dm_direct_begin();
}

static __attribute__((noinline)) void by_record(Instruction* i, qemu_plugin_meminfo_t info,
                                                Addr address)
{
   if (i->key != (dm_window_key | info)) look_up(i, info);
   if (dm_direct.at && !dm_span_of_site(&dm_sites[i->site], address)) return;
   dm_direct_end();
   *dm_cursor++ = (DmRecord)address << DM_SITE_BITS | i->site;
   if (dm_options.mode == DM_EVENTS && dm_records_count()) {
      dm_drain();
      stay_in(i, address);
   } else if (dm_cursor == dm_records + DM_RECORDS) {
      dm_flush_records();
   }
}

static void on_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void* data)
{
   Instruction* i = data;
   UInt* at = dm_direct.at;
   if (LIKELY(address - i->from < i->bytes && i->key == (dm_window_key | info)
              && at != dm_direct.end)) {
      DmSpan* span = i->span;
      *at = i->class;
      dm_direct.at = at + 1;
      dm_direct.stores += i->store;
      /* Such a span is narrow. */
      *(Int*)span->at = (Int)dm_span_step(span, address, i->size);
      span->at += sizeof(Int);
   } else if (dm_page_map[address >> DM_PAGE_SHIFT & (DM_PAGES - 1)]) {
      by_record(i, info, address);
   }
}

/* ---- translation ---- */

static void watch(struct qemu_plugin_insn* insn)
{
   Addr pc = qemu_plugin_insn_vaddr(insn);
   SizeT size = qemu_plugin_insn_size(insn);
   UInt i = 0;
   for (i = dm_config_place(pc, 0); i < dm_config.n_places; i = dm_config_place(pc, i + 1))
      qemu_plugin_register_vcpu_insn_exec_cb(insn, dm_on_place, QEMU_PLUGIN_CB_NO_REGS,
                                             &dm_config.places[i]);
   switch (dm_flow(qemu_plugin_insn_data(insn), size, only_thumb)) {
      case DM_CALLS:
         qemu_plugin_register_vcpu_insn_exec_cb(insn, dm_on_call, QEMU_PLUGIN_CB_NO_REGS,
                                                (void*)(pc + size));
         break;
      case DM_JUMPS_ANYWHERE:
         qemu_plugin_register_vcpu_insn_exec_cb(insn, dm_on_jump, QEMU_PLUGIN_CB_NO_REGS, NULL);
         break;
      case DM_GOES_ON: break;
   }
   /* Asked for loads alone, QEMU 7.2 gives the stores, and for stores both. */
   qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                    instruction(pc));
}

static void start(void)
{
   if (dm_config.relocated) dm_config_move(qemu_plugin_start_code() - dm_config.code_start);
   if (dm_config.whole_program) dm_calls_window("whole program");
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb)
{
   static Bool started = False;
   SizeT n = qemu_plugin_tb_n_insns(tb), i;
   if (!started) {
      started = True;
      start();
   }
   qemu_plugin_register_vcpu_tb_exec_cb(tb, dm_on_block, QEMU_PLUGIN_CB_NO_REGS,
                                        (void*)qemu_plugin_tb_vaddr(tb));
   for (i = 0; i < n; i++) watch(qemu_plugin_tb_get_insn(tb, i));
}

/* ---- life cycle ---- */

static void processor_made(qemu_plugin_id_t id, unsigned vcpu)
{
   if (vcpu > 0 && dm_recording)
      dm_fail("the program runs on a second thread or processor, where no order can be told");
}

static void forked_child(void)
{
   dm_stream_close();
   dm_cursor = dm_records;
   memset(dm_page_map, 0, sizeof dm_page_map);
}

static void over(qemu_plugin_id_t id, void* unused)
{
   if (!dm_recording) return;
   dm_calls_over();
   if (dm_options.mode == DM_EVENTS) dm_events_flush();
   dm_json_begin("end");
   dm_json_number("windows", dm_window_total());
   dm_json_number("offset", dm_block - dm_config.bias);
   dm_json_send();
   dm_stream_close();
}

static void hello(const qemu_info_t* info)
{
   dm_json_begin("hello");
   dm_json_number("protocol", DM_PROTOCOL);
   dm_json_text("tool", "diagmem " DM_VERSION);
   dm_json_text("platform", dm_config.machine);
   dm_json_number("word_bytes", 4);
   dm_json_text("emulator", info->target_name);
   dm_json_text("mode", dm_options.mode == DM_SUMMARY ? "summary" : "events");
   dm_json_send();
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv)
{
   static const HChar config[] = "config=";
   if (info->version.min > DM_INTERFACE || info->version.cur < DM_INTERFACE) {
      fprintf(stderr, "diagmem: QEMU speaks plugin interface %d to %d, this plugin %d\n",
              info->version.min, info->version.cur, DM_INTERFACE);
      return 1;
   }
   if (strcmp(info->target_name, "arm") != 0) {
      fprintf(stderr, "diagmem: QEMU emulates %s, expected arm\n", info->target_name);
      return 1;
   }
   if (argc != 1 || strncmp(argv[0], config, sizeof config - 1) != 0) {
      fprintf(stderr, "diagmem: expected config=FILE\n");
      return 1;
   }
   dm_config_read(argv[0] + sizeof config - 1);
   if (!dm_config.stream || !dm_config.machine || !dm_stream_open()) {
      fprintf(stderr, "diagmem: cannot write to the stream\n");
      return 1;
   }
   only_thumb = info->system_emulation;
   dm_records_tid = 1;
   if (dm_options.mode == DM_EVENTS) dm_events_init();
   hello(info);
   pthread_atfork(NULL, NULL, forked_child);
   qemu_plugin_register_vcpu_init_cb(id, processor_made);
   qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
   qemu_plugin_register_atexit_cb(id, over, NULL);
   return 0;
}
