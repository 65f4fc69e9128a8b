/*
 * Registers and memory of a level of a core, for gdb: of L0, of the core's L1 or its L2. What is
 * asked of a thread (hv/monitor/gdb.h) is done on its core, which stands still; the functions are
 * those of struct gdb_backend.
 */
#ifndef PLASTRON_HV_MONITOR_LEVELS_H
#define PLASTRON_HV_MONITOR_LEVELS_H

#include "gdb.h"
#include "../cpu.h"
#include "../panic.h"

/* Where an exception of L0 stands, by core; NULL: none does. L0's registers are those of that
   place, else those that a core which stands still has noted. */
extern struct trap_frame *l0_frames[MAX_CPUS];

/* GS base of L0 is its struct cpu; EFER and FS base are not known. */
bool level_read_registers(u32 thread, struct gdb_registers *to);

/* Only general registers, RIP and RFLAGS: of the guest that runs, and but for RFLAGS of L0 where an
   exception stands. False: none was written. */
bool level_write_registers(u32 thread, const struct gdb_registers *from, u64 which);

/* At linear addresses of the level. Return the bytes done, up to the first that is not mapped, not
   writable, or hidden from the guest. */
u64 level_read_memory(u32 thread, u64 address, void *to, u64 len);
u64 level_write_memory(u32 thread, u64 address, const void *from, u64 len);

/* A byte of L0's memory; false if nothing is mapped there. */
bool l0_read_byte(u64 address, u8 *byte);

#endif
