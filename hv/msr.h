/*
 * The MSRs that L0 owns: what L1 (or an L2 that L1 lets at them) reads and writes there, and
 * the bitmap that catches them. All others are L1's own and do not exit.
 */
#ifndef PLASTRON_HV_MSR_H
#define PLASTRON_HV_MSR_H

#include "types.h"

/* Sets the bits of an MSR bitmap (4 KiB, SDM vol. 3, "MSR-Bitmap Address") for L0's MSRs; the
   others stay as they are. */
void msr_fill_bitmap(u8 *bitmap);

/* RDMSR and WRMSR as L1 executes them, at CPL 0. False: #GP(0). */
bool msr_read(u32 msr, u64 *value);
bool msr_write(u32 msr, u64 value);

#endif
