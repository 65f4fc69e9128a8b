/*
 * VMCS shadowing that L1 switches on for L2. L2's VMREAD and VMWRITE reach a hardware shadow VMCS:
 * it has the fields of L1's own shadow VMCS while L2 runs, those that the bitmaps let L2 reach.
 * Their values are only moved, never used. SDM vol. 3, "VMCS Types: Ordinary and Shadow".
 */
#ifndef PLASTRON_VMX_SHADOW12_H
#define PLASTRON_VMX_SHADOW12_H

#include "../hv/cpu.h"

/* Finds the fields that exist for L1, and clears their bits in the bitmap of those that do not, all
   ones before. */
void shadow12_init(u8 *absent);

/* At an entry: merges the bitmaps, loads the hardware shadow VMCS. vmcs02 is current before and
   after either call. */
void shadow12_load(struct cpu *cpu, const struct vmcs02 *slot);

/* At an exit to L1: what L2 wrote goes to L1's shadow VMCS. */
void shadow12_store(struct cpu *cpu, const struct vmcs02 *slot);

/* For VMCS_LINK_POINTER of vmcs02. */
u64 shadow12_link(const struct cpu *cpu, const struct vmcs02 *slot);

/* Whether L1 wants the exit that L2's VMREAD or VMWRITE of a field caused. */
bool shadow12_exits_to_l1(const struct vmcs12 *vmcs12, u64 encoding, bool write);

#endif
