/*
 * VMCS shadowing: the fields of the current vmcs12 that L1 reads and writes without an exit, in a
 * hardware shadow VMCS. SDM vol. 3, "VMCS Shadowing". All functions leave vmcs01 current.
 */
#ifndef PLASTRON_VMX_SHADOW_VMCS_H
#define PLASTRON_VMX_SHADOW_VMCS_H

#include "../hv/cpu.h"

/* Once, when it is known which fields exist. Clears the bits of those that do not exit; 4 KiB each,
   all ones before. */
void shadow_vmcs_init(u8 *vmread_bitmap, u8 *vmwrite_bitmap);

/* vmcs12 to shadow VMCS, and what L1 may have written back again. */
void shadow_vmcs_load(struct cpu *cpu, const struct vmcs02 *slot);
void shadow_vmcs_store(struct cpu *cpu, const struct vmcs02 *slot);

/* Whether L1 reads the field without an exit, on a processor with VMCS shadowing; and writes it. */
bool shadow_vmcs_has(u32 encoding);
bool shadow_vmcs_writes(u32 encoding);

#endif
