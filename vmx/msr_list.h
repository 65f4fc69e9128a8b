/*
 * The MSR areas of VM entries and exits, which L0 processes for L1. SDM vol. 3, "Loading MSRs",
 * "Saving MSRs". The current VMCS is that of the guest whose MSRs are meant.
 */
#ifndef PLASTRON_VMX_MSR_LIST_H
#define PLASTRON_VMX_MSR_LIST_H

#include "types.h"

/* Writes the MSRs of the area at pa. 0, or the number of the first entry that cannot be written,
   counted from 1. */
u64 msr_list_load(u64 pa, u32 count);

/* Reads the MSRs that the area names and stores their values there. False: VMX abort. */
bool msr_list_store(u64 pa, u32 count);

#endif
