/* dm_main.c: diagmem, a Valgrind tool that logs the loads and stores of
 * compiled kernels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * This program is free software; you can redistribute it and/or modify it
 * under the terms of the GNU General Public License as published by the Free
 * Software Foundation; either version 2 of the License, or (at your option)
 * any later version.  It comes without any warranty; see LICENSES/GPL-2.0-or-later.txt.
 *
 * Options: see print_usage below.  What goes to the stream: core/dm_stream.c,
 * core/dm_events.c, core/dm_summary.c.  The reader of it is diagmem.record.
 *
 * What is recorded: every load and store that Valgrind's intermediate code
 * shows, in program order, of which at least one byte lies in a buffer of the
 * open window; a modify is a load and then a store; a failed compare and swap
 * is a load only; memory that a system call reads or writes is one event with
 * its own size, and so is what realloc and calloc, which are ours here, copy
 * and clear; a library's copy in the window's thread is one event for each side
 * (dm_copies.c), not its own accesses.
 *
 * What is not:
 *  - a load whose value is never used, unless Valgrind is told to keep it
 *    (--vex-iropt-register-updates=allregs-at-mem-access);
 *  - instruction fetches, and what other processes do to shared memory;
 *  - a forked child, and programs that it starts.
 */
#include "dm.h"
#include "pub_tool_aspacemgr.h"
#include "pub_tool_debuginfo.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_machine.h"
#include "pub_tool_options.h"
#include "pub_tool_replacemalloc.h"
#include "pub_tool_threadstate.h"
#include "pub_tool_transtab.h"
#include "pub_tool_vkiscnums.h"

#include "diagmem.h"

/* ---- options ---- */

static Bool process_option(const HChar* arg)
{
   const HChar* text;
   Long narrow = 0;
   if (VG_STR_CLO(arg, "--stream", dm_asked.stream)) return True;
   if (VG_XACT_CLO(arg, "--mode=events", dm_options.mode, DM_EVENTS)) return True;
   if (VG_XACT_CLO(arg, "--mode=summary", dm_options.mode, DM_SUMMARY)) return True;
   if (VG_BINT_CLO(arg, "--narrow-ticks", narrow, 0, 0xffffffffLL)) {
      dm_options.narrow_ticks = (ULong)narrow;
      return True;
   }
   if (VG_BOOL_CLO(arg, "--all", dm_options.all)) return True;
   if (VG_BOOL_CLO(arg, "--whole-program", dm_asked.whole_program)) return True;
   if (VG_BOOL_CLO(arg, "--raw-copies", dm_asked.raw_copies)) return True;
   if (VG_BOOL_CLO(arg, "--values", dm_asked.values)) return True;
   if (VG_STR_CLO(arg, "--watch", text)) {
      VG_(addToXA)(dm_asked.watched, &text);
      return True;
   }
   if (VG_STR_CLO(arg, "--function", text)) {
      dm_function_option(text);
      return True;
   }
   if (VG_STR_CLO(arg, "--function-at", text)) {
      if (!dm_function_at_option(text))
         VG_(fmsg_bad_option)(arg, "expected OBJECT+0xOFFSET or 0xADDRESS\n");
      return True;
   }
   if (VG_STR_CLO(arg, "--buffer", text)) {
      if (!dm_buffer_option(text))
         VG_(fmsg_bad_option)(arg, "expected NAME,ROLE,PLACE,bytes:B with a new name\n");
      return True;
   }
   return VG_(replacement_malloc_process_cmd_line_option)(arg);
}

static void print_usage(void)
{
   VG_(printf)(
"    --stream=FILE             where the recorder reads [none: nothing is recorded]\n"
"    --mode=events|summary     every event, or first and last load and store of\n"
"                              each byte [events]\n"
"  windows (client requests work besides; see diagmem.h):\n"
"    --function=[OBJ:]PATTERN  a window for each outermost call of a function so\n"
"                              named (in that object file); * and ? match; may be\n"
"                              repeated [none]\n"
"    --function-at=OBJ+0xOFF|0xADDR   the same by place [none]\n"
"    --whole-program=no|yes    one window from start to end [no]\n"
"  buffers (client requests work besides):\n"
"    --buffer=NAME,ROLE,PLACE,bytes:B   may be repeated; PLACE is one of\n"
"                              address:0xA  object:FILE+0xOFF\n"
"                              arg:N[->OFF]...[+OFF]  heap:BYTES[#K][+OFF]\n"
"    --watch=NAME              of all buffers only those so named; may be repeated\n"
"    --all=no|yes              record accesses outside buffers too [no]\n"
"    --raw-copies=no|yes       memcpy, memmove, memset by their instructions [no]\n");
}

static void print_debug_usage(void)
{
   VG_(printf)(
"    --narrow-ticks=N          a summary counts in 32 bits up to N events [2^32-1]\n"
"    --values=no|yes           events with the values moved; implies --raw-copies=yes [no]\n");
}

static void hello(void)
{
   HChar program[4096];
   VG_(client_fname)(program, sizeof program, True);
   dm_json_begin("hello");
   dm_json_number("protocol", DM_PROTOCOL);
   dm_json_text("tool", "diagmem " DM_VERSION);
   dm_json_text("valgrind", DM_VALGRIND_VERSION);
   dm_json_text("platform", VG_PLATFORM);
   dm_json_number("word_bytes", sizeof(Addr));
   dm_json_number("pid", VG_(getpid)());
   dm_json_text("program", program);
   dm_json_text("mode", dm_options.mode == DM_SUMMARY ? "summary" : "events");
   dm_json_send();
}

static void post_clo_init(void)
{
   if (dm_options.all && dm_options.mode == DM_SUMMARY)
      VG_(fmsg_bad_option)("--all=yes", "goes with --mode=events\n");
   if (dm_asked.values && dm_options.mode == DM_SUMMARY)
      VG_(fmsg_bad_option)("--values=yes", "goes with --mode=events\n");
   /* A copy as a whole has no value before it is done. */
   if (dm_asked.values) dm_asked.raw_copies = True;
   /* A traced function or a copy must begin a superblock of its own, so that
      all its arguments are where the calling convention puts them. */
   if (dm_watches_functions() || !dm_asked.raw_copies)
      VG_(clo_vex_control).guest_chase = False;
   if (!dm_asked.stream || !dm_stream_is_ours()) {
      dm_recording = False;
      return;
   }
   if (!dm_stream_open(dm_asked.stream)) {
      VG_(umsg)("diagmem: cannot write to %s\n", dm_asked.stream);
      VG_(exit)(1);
   }
   if (dm_options.mode == DM_EVENTS) dm_events_init();
   hello();
}

/* ---- what the core tells us ---- */

static IRSB* instrument(VgCallbackClosure* closure, IRSB* in, const VexGuestLayout* layout,
                        const VexGuestExtents* vge, const VexArchInfo* archinfo,
                        IRType guest_word, IRType host_word)
{
   static Bool started = False;
   if (!started) {
      started = True;
      if (dm_asked.whole_program && dm_recording) {
         dm_arm();
         dm_window_begin_program();
      }
   }
   return dm_instrument(closure, in, layout, vge, archinfo, guest_word, host_word);
}

static void start_client_code(ThreadId tid, ULong blocks) { dm_records_of(tid); }

/* What a handler touches counts, whatever it interrupts. */
static void before_signal(ThreadId tid, Int number, Bool alternate_stack)
{
   if (tid == dm_window.tid) dm_copy_over();
}

static void thread_exit(ThreadId tid)
{
   if (dm_window.open && dm_window.tid == tid && !dm_call.by_request)
      dm_window_cut("the call did not return");
}

static void forked_child(ThreadId tid)
{
   if (!dm_recording) return;
   dm_recording = False;
   dm_forked = True;
   dm_stream_close();
   dm_window_forked();
}

static void mem_read(CorePart part, ThreadId tid, const HChar* what, Addr addr, SizeT size)
{
   if (part != Vg_CoreClientReq && part != Vg_CoreTranslate)
      dm_access_for(tid, DM_SYSCALL_LOAD, addr, size);
}

/* With its final zero; 0 if it cannot be read to its end. */
static SizeT text_size(Addr text)
{
   Addr at = text;
   do {
      if ((at == text || at % VKI_PAGE_SIZE == 0)
          && !VG_(am_is_valid_for_client)(at, 1, VKI_PROT_READ))
         return 0;
   } while (*(const HChar*)at++);
   return at - text;
}

static void text_read(CorePart part, ThreadId tid, const HChar* what, Addr addr)
{
   if (dm_window.open) mem_read(part, tid, what, addr, text_size(addr));
}

static void mem_write(CorePart part, ThreadId tid, Addr addr, SizeT size)
{
   if (part != Vg_CoreClientReq) dm_access_for(tid, DM_SYSCALL_STORE, addr, size);
}

/* The sites of events are named when they are drained: before that is gone. */
static void mem_unmapped(Addr addr, SizeT size) { dm_drain(); }

static void pre_syscall(ThreadId tid, UInt number, UWord* args, UInt n_args)
{
   struct vg_stat program;
   if (!dm_recording) return;
   if (number == __NR_execve) {
      /* A search along PATH tries many that are not there, or no programs. */
      if (!text_size(args[0]) || sr_isError(VG_(stat)((const HChar*)args[0], &program))) return;
      if (!VKI_S_ISREG(program.mode) || !(program.mode & 0111)) return;
#if defined(__NR_execveat)
   } else if (number == __NR_execveat) {
#endif
   } else {
      return;
   }
   /* If it works, nothing of this process is left. */
   dm_window_cut("the process executed another program");
   if (dm_options.mode == DM_EVENTS) dm_events_flush();
}

static void post_syscall(ThreadId tid, UInt number, UWord* args, UInt n_args, SysRes res) {}

static const HChar* name_given(UWord text)
{
   if (!text_size(text)) dm_fail("a client request names something by the bad pointer 0x%lx", text);
   return (const HChar*)text;
}

static void declare_buffer(const HChar* name, UWord role, Addr start, SizeT size)
{
   if (size == 0) dm_fail("buffer \"%s\" has no bytes", name);
   if (role > DIAGMEM_INOUT) dm_fail("buffer \"%s\" has the unknown role %lu", name, role);
   dm_window_buffer_declared(name, role, start, size);
}

static Bool client_request(ThreadId tid, UWord* arg, UWord* ret)
{
   if (!VG_IS_TOOL_USERREQ('D', 'M', arg[0])) return False;
   *ret = 0;
   if (!dm_recording) return True;
   switch (arg[0]) {
      case DM_USERREQ_RUNNING: *ret = 1; break;
      case DM_USERREQ_BUFFER:
         declare_buffer(name_given(arg[1]), arg[2], arg[3], arg[4]);
         break;
      case DM_USERREQ_FORGET: dm_buffer_forget(name_given(arg[1])); break;
      case DM_USERREQ_WINDOW_BEGIN:
         if (!dm_armed) {
            dm_arm();
            VG_(discard_translations_safely)(0, ~(SizeT)0 >> 1, "diagmem");
         }
         dm_window_begin_request(tid, name_given(arg[1]));
         break;
      case DM_USERREQ_WINDOW_END:
         if (!dm_window_end_request() && !dm_window.open)
            dm_fail("DIAGMEM_WINDOW_END without a DIAGMEM_WINDOW_BEGIN");
         break;
      default: return False;
   }
   return True;
}

/* If no window opened, the recorder wants to suggest names: say where from. */
static void announce_objects(void)
{
   const DebugInfo* di;
   dm_json_begin("objects");
   dm_json_open("paths", '[');
   for (di = VG_(next_DebugInfo)(NULL); di; di = VG_(next_DebugInfo)(di))
      if (VG_(DebugInfo_get_filename)(di)) dm_json_text(NULL, VG_(DebugInfo_get_filename)(di));
   dm_json_close(']');
   dm_json_send();
}

static void fini(Int exit_code)
{
   if (!dm_recording) return;
   dm_window_cut(dm_asked.whole_program ? "requested" : "the call did not return");
   if (dm_options.mode == DM_EVENTS) dm_events_flush();
   if (dm_window_total() == 0) announce_objects();
   dm_json_begin("end");
   dm_json_number("windows", dm_window_total());
   dm_json_send();
   dm_stream_close();
}

static void pre_clo_init(void)
{
   VG_(details_name)("diagmem");
   VG_(details_version)(DM_VERSION);
   VG_(details_description)("logs the loads and stores of compiled kernels");
   VG_(details_copyright_author)("Copyright (C) 2026, the diagmem authors.");
   VG_(details_bug_reports_to)("the diagmem authors");
   VG_(details_avg_translation_sizeB)(480);

   dm_asked.watched = VG_(newXA)(VG_(malloc), "dm.options", VG_(free), sizeof(HChar*));
   dm_buffers_init();
   dm_functions_init();
   dm_window_init();
   dm_heap_init();
   dm_skip_init();

   VG_(basic_tool_funcs)(post_clo_init, instrument, fini);
   VG_(needs_command_line_options)(process_option, print_usage, print_debug_usage);
   VG_(needs_client_requests)(client_request);
   VG_(needs_syscall_wrapper)(pre_syscall, post_syscall);
   VG_(track_start_client_code)(start_client_code);
   VG_(track_pre_deliver_signal)(before_signal);
   VG_(track_pre_thread_ll_exit)(thread_exit);
   VG_(track_pre_mem_read)(mem_read);
   VG_(track_pre_mem_read_asciiz)(text_read);
   VG_(track_post_mem_write)(mem_write);
   VG_(track_die_mem_munmap)(mem_unmapped);
   VG_(atfork)(NULL, NULL, forked_child);
}

VG_DETERMINE_INTERFACE_VERSION(pre_clo_init)
