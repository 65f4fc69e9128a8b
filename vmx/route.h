/*
 * Whose is an exit of L2? vmcs02 intercepts what L1 wants and what L0 needs: where both can be
 * the cause, these say whether L1 would have had the exit on a processor. Plain functions.
 */
#ifndef PLASTRON_VMX_ROUTE_H
#define PLASTRON_VMX_ROUTE_H

#include "types.h"
#include "vmcs12.h"

/* RDMSR or WRMSR. SDM vol. 3, "MSR-Bitmap Address". Reads the bit in L1's memory, if the MSR is one
   that L0 intercepts by its own bitmap: any other exit is L1's. */
bool route_msr_to_l1(const struct vmcs12 *vmcs12, const u8 *own, u32 msr, bool write);

/* An access to a control register; value is what MOV to CR0 or CR4 writes. SDM vol. 3,
   "Instructions That Cause VM Exits Conditionally". */
bool route_cr_to_l1(const struct vmcs12 *vmcs12, u64 qualification, u64 value);

#endif
