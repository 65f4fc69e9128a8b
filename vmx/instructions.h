/* The VMX instructions as L1 executes them: handlers of their exits. SDM vol. 3, "VMX
   Instruction Reference"; each follows its "Operation" section. */
#ifndef PLASTRON_VMX_INSTRUCTIONS_H
#define PLASTRON_VMX_INSTRUCTIONS_H

#include "../hv/cpu.h"

void exit_vmxon(struct cpu *cpu);
void exit_vmxoff(struct cpu *cpu);
void exit_vmclear(struct cpu *cpu);
void exit_vmptrld(struct cpu *cpu);
void exit_vmptrst(struct cpu *cpu);
void exit_vmread(struct cpu *cpu);
void exit_vmwrite(struct cpu *cpu);
void exit_vmlaunch(struct cpu *cpu);
void exit_vmresume(struct cpu *cpu);
void exit_vmcall(struct cpu *cpu);
void exit_invept(struct cpu *cpu);
void exit_invvpid(struct cpu *cpu);

/* The instruction ends with these of the arithmetic flags. */
void vm_finish(u64 flags);

/* The instruction ends with VMfail with a number, which is VMfailInvalid without a current VMCS.
   SDM vol. 3, "Conventions". */
void vm_fail(struct cpu *cpu, enum vm_instruction_error error);

#endif
