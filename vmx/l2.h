/* L2's life: entered by L1's VMLAUNCH or VMRESUME, left by exits that are L1's or L0's. */
#ifndef PLASTRON_VMX_L2_H
#define PLASTRON_VMX_L2_H

#include "../hv/cpu.h"

/* VMLAUNCH or VMRESUME with a current VMCS, at CPL 0 in VMX operation. SDM vol. 3, "VM Entries".
   Afterwards vmcs02 is current and L2 runs next, or vmcs01 and L1 has its failure. */
void l2_enter(struct cpu *cpu, bool launch);

/* An exit of L2, or a failed entry, with vmcs02 current. */
void l2_exit(struct cpu *cpu, u32 reason);

/* The processor refused vmcs02 with VMfail and this number. */
void l2_entry_vmfail(struct cpu *cpu, u64 error);

/* The next entry of vmcs02 is a VMRESUME. */
bool l2_launched(const struct cpu *cpu);

/* An NMI came while L0 ran on behalf of L2. True if it is an exit to L1, which it has now or,
   if an event has to be delivered first, will have soon. */
bool l2_nmi_exits(struct cpu *cpu);

/* L1 set the monitor trap flag of L2. */
bool l2_wants_mtf(const struct cpu *cpu);

#endif
