/*
 * Events that L0 gives to the guest of the current VMCS, L1 or L2, and the end of an emulated
 * instruction. SDM vol. 3, "Event Injection".
 */
#ifndef PLASTRON_HV_INJECT_H
#define PLASTRON_HV_INJECT_H

#include "cpu.h"
#include "types.h"
#include "vmx.h"
#include "x86.h"

/* The guest takes the fault instead of the instruction that exited. */
void inject_fault(u32 vector);
void inject_fault_code(u32 vector, u32 error_code);
static inline void inject_ud(void) { inject_fault(VECTOR_UD); }
static inline void inject_gp(void) { inject_fault_code(VECTOR_GP, 0); }
void inject_page_fault(u64 address, u32 error_code);

/* RIP past the instruction that exited, as if the guest had executed it: no more blocking by
   STI or MOV SS, and a single-step trap pending if RFLAGS.TF asks for it. The first also replaces
   the bits of mask in RFLAGS by those of flags. */
void skip_instruction_with_flags(u64 mask, u64 flags);
static inline void skip_instruction(void) { skip_instruction_with_flags(0, 0); }

/* The event whose delivery the exit interrupted is delivered again at the next entry. Also
   restores blocking by NMI if the exit hit an IRET that had just ended it. */
void reinject_interrupted_event(u64 nmi_unblocked);

/* The monitor trap flag of the current VMCS: an exit after one instruction or event. */
void set_monitor_trap(bool on);

/* An NMI that came while L0 ran, if any, is put into the guest of vmcs01 or vmcs02, at once or
   as soon as it can take it. */
void inject_waiting_nmi(struct cpu *cpu);

#endif
