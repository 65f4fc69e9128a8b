/* Exits of L2 that L1 gets. */
#ifndef PLASTRON_VMX_L2_EXIT_H
#define PLASTRON_VMX_L2_EXIT_H

#include "../hv/cpu.h"

/* The exit reaches L1 as it is. Afterwards vmcs01 is current. */
void l2_pass_on(struct cpu *cpu, u32 reason);

/* The exit reaches L1, with the information that the processor left in vmcs02 but for reason and
   qualification. Afterwards vmcs01 is current. */
void l2_exit_to_l1(struct cpu *cpu, u32 reason, u64 qualification);

/* The same for an event: with VM-exit interruption information and error code. */
void l2_exit_event_to_l1(struct cpu *cpu, u32 intr_info, u32 error_code);

/* An INIT that L1's VMX root operation had blocked: an exit as soon as L2 runs, but after the
   delivery of an event that L1 injects. */
void l2_pending_init(struct cpu *cpu);

/* A VM entry failed during or after loading guest state; vmcs01 or vmcs02 is current. SDM vol. 3,
   "VM-Entry Failures During or After Loading Guest State". */
void l2_entry_failed(struct cpu *cpu, u32 reason, u64 qualification);

#endif
