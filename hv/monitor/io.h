/* L1's and L2's accesses to the monitor's port, which exit. SDM vol. 3, "I/O-Bitmap Addresses". */
#ifndef PLASTRON_HV_MONITOR_IO_H
#define PLASTRON_HV_MONITOR_IO_H

#include "../cpu.h"

/* Makes the bitmaps that all cores share; false without memory. */
bool io_init_shared(void);

/* vmcs01, which is current, gets them. */
void io_start01(void);

/* Before an entry of L2: vmcs02, which is current, lets L2 at no port of L0's. */
void io_arm(struct cpu *cpu);

/* An IN or OUT by L1. */
void exit_io(struct cpu *cpu);

/* The same by L2: whether the exit is none that L1 wants. Then it is done, and L1 may get the exit
   behind it. */
bool io_is_own(const struct cpu *cpu);
void io_by_l2(struct cpu *cpu);

#endif
