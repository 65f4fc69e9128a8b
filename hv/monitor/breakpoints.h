/* Breakpoints in L0's code, for gdb: an INT3 in the place of an instruction's first byte, for all
   cores. To be changed while the cores stand still, by the one that has the monitor. */
#ifndef PLASTRON_HV_MONITOR_BREAKPOINTS_H
#define PLASTRON_HV_MONITOR_BREAKPOINTS_H

#include "types.h"

#define INT3 0xcc

/* As in struct gdb_backend. False: the address is not in L0's code, or in what a breakpoint itself
   runs, or there are 16 already. */
bool breakpoint_set(u64 address);
bool breakpoint_clear(u64 address);

void breakpoints_clear_all(void);

/* There is one at that address. */
bool breakpoint_is_at(u64 address);

#endif
