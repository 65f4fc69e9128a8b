/* The way of a VM exit through L0. */
#ifndef PLASTRON_HV_EXIT_H
#define PLASTRON_HV_EXIT_H

#include "cpu.h"
#include "types.h"

/* From hv/exit.asm. Each returns whether the VMCS to enter is launched. */
u64 exit_handle(struct cpu *cpu);
u64 exit_nmi(struct cpu *cpu);          /* an NMI was caught on the way to the entry */
u64 exit_entry_failed(struct cpu *cpu); /* VMLAUNCH or VMRESUME failed */

/* The last steps before a VM entry, once more: what they decide may have changed. And all of an
   exit of L2 that the monitor has taken. Each returns the same. */
u64 exit_prepare(struct cpu *cpu);
u64 exit_taken(struct cpu *cpu, u32 reason);

/* Handlers of exits by L1: hv/exit_*.c and vmx/instructions.c. */
void exit_cpuid(struct cpu *cpu);
void exit_cr_access(struct cpu *cpu);
void exit_rdmsr(struct cpu *cpu);
void exit_wrmsr(struct cpu *cpu);
void exit_init(struct cpu *cpu);
void exit_sipi(struct cpu *cpu);
void exit_ept_violation(struct cpu *cpu);
void exit_xsetbv(struct cpu *cpu);
void exit_invd(struct cpu *cpu);
void exit_task_switch(struct cpu *cpu);
void exit_triple_fault(struct cpu *cpu);

/* RDMSR and WRMSR by the guest of the current VMCS, of an MSR that L0 owns: index in RCX. False:
   #GP(0) is due. */
bool emulate_rdmsr(struct cpu *cpu);
bool emulate_wrmsr(struct cpu *cpu);

/* INIT takes effect: as on the bare core, with the SDM's values. */
void init_reset(struct cpu *cpu);

/* Makes another core exit, by an INIT. */
void init_kick(struct cpu *other);

/* True if the INIT that made this core exit came from L0 itself and has done its work. */
bool init_was_kick(struct cpu *cpu);

#endif
