/* qemu_plugin.c: the floor for a recorder in QEMU, as a plugin that does nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (c) 2026, the diagmem authors
 *
 * With -DCALLBACKS it asks for every access and does nothing with it: less than
 * that no plugin that looks at accesses can cost.
 */
#include "dm_qemu.h"

int qemu_plugin_version = 1;

#ifdef CALLBACKS
static void on_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void* data)
{
   (void)vcpu, (void)info, (void)address, (void)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb)
{
   size_t n = qemu_plugin_tb_n_insns(tb), i;
   (void)id;
   for (i = 0; i < n; i++)
      qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access,
                                       QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
}
#endif

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc, char** argv)
{
   (void)id, (void)info, (void)argc, (void)argv;
#ifdef CALLBACKS
   qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
#endif
   return 0;
}
