/*
 * The vmcs12s that are active on a core: which one is current, and their vmcs02s. vmcs01 is the
 * current hardware VMCS in every call.
 */
#ifndef PLASTRON_VMX_SLOTS_H
#define PLASTRON_VMX_SLOTS_H

#include "capabilities.h"
#include "../hv/cpu.h"

/* A new slot in that area, for a hardware VMCS and an MSR bitmap. */
void slots_add(struct cpu *cpu, struct vmcs02_area *area, u64 pa, u64 msr_bitmap_pa);

/* VMPTRLD of a region with that valid revision, the shadow indicator included: takes a slot,
   a new one if a page is to be had for it, or else the one used longest ago, which is written back.
 */
void slots_make_current(struct cpu *cpu, u64 vmcs12_pa, u32 revision);

/* VMCLEAR: the data go to L1's memory, launch state clear; not current any more. */
void slots_clear(struct cpu *cpu, u64 vmcs12_pa);

/* The data of a vmcs12 that is not current go to L1's memory, if they are not there. */
void slots_release(struct cpu *cpu, u64 vmcs12_pa);

/* All data go to L1's memory, all slots are free. */
void slots_flush_all(struct cpu *cpu);

/* Lets L1's VMREAD and VMWRITE reach the current vmcs12's vmcs02, or none. */
void slots_show_current(struct cpu *cpu);

/* VMREAD and VMWRITE of a field that L1 is offered, which is known by field_lookup(). */
u64 slots_read_field(struct cpu *cpu, struct vmcs02 *slot, u32 encoding,
                     const struct field_info *field);
void slots_write_field(struct cpu *cpu, struct vmcs02 *slot, u32 encoding,
                       const struct field_info *field, u64 value);

#endif
