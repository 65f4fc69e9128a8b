/* L1's and L2's accesses to the monitor's port, which exit. SDM vol. 3, "I/O-Bitmap Addresses". */
#ifndef PLASTRON_HV_MONITOR_IO_H
#define PLASTRON_HV_MONITOR_IO_H

#include "../cpu.h"

/* Makes the bitmaps of all vmcs01, after uart_init(); false without memory. */
bool io_init_shared(void);

/* vmcs01, which is current, gets them. */
void io_start01(void);

/* Before an entry of L2: vmcs02, which is current, has what L1 wants to exit, and the monitor's
   port. */
void io_arm(struct cpu *cpu);

/* Handles an exit by IN, OUT, INS or OUTS of L1. */
void exit_io(struct cpu *cpu);

/* The same of L2, with vmcs02 current. Whether L1 does not want the exit; then io_by_l2() handles
   it, and L2 runs next, or L1 if it asked for the monitor trap flag. */
bool io_is_own(const struct cpu *cpu);
void io_by_l2(struct cpu *cpu);

#endif
