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

/* The same by L2: false if the exit is L1's. Else it is done. */
bool io_by_l2(struct cpu *cpu);

#endif
