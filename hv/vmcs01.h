/* vmcs01: the VMCS that runs L1. */
#ifndef PLASTRON_HV_VMCS01_H
#define PLASTRON_HV_VMCS01_H

#include "boot_info.h"
#include "cpu.h"

/* Computes the control words and allocates the bitmaps that all cores share; false without memory.
 */
bool vmcs01_init_shared(void);

/* What L1 is offered, once, with any VMCS current: it tells which fields the processor has. */
void vmcs01_compute_offer(void);

/* Fills the current, cleared VMCS so that its guest continues where the call says, with the
   state that this core has now but for what `segments` captured before L0 loaded its own. */
void vmcs01_init(struct cpu *cpu, const struct l0_call *call, const struct segments *segments,
                 u64 cr0, u64 cr4, u64 efer);

/* The fields every VMCS of L0 has alike: host state and what never changes. */
void vmcs_init_host(struct cpu *cpu);

/* All segment registers of the guest, but for the descriptor tables. */
void vmcs01_write_segments(const struct segment segment[SEG_COUNT]);

/*
 * CET state stays in its registers while L0 runs, which makes no use of it. The next entry loads it
 * from the current VMCS all the same; those behind it must not: SSP may have got a value since that
 * an entry refuses, as in compatibility mode one above 4 GiB.
 */
void vmcs_load_cet_once(struct cpu *cpu);
void vmcs_cet_loaded(struct cpu *cpu);

/* L1's own cached translations go, as at a change of its CR3. */
void vmcs01_flush_translations(void);

/* CR0 and CR4 as L1 reads them. */
u64 vmcs01_cr0(void);
u64 vmcs01_cr4(void);

/*
 * Which bits of CR0 and CR4 L0 keeps for itself: those fixed in VMX operation. An unrestricted
 * guest may clear PE and PG, but not L1 once it is in VMX operation itself.
 */
void vmcs01_set_cr_masks(bool vmxon);

#endif
