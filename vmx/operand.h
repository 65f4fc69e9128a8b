/* Memory operands of VMX instructions that L1 executes: read and written through L1's own
   segmentation and paging, with the faults that the processor would give. */
#ifndef PLASTRON_VMX_OPERAND_H
#define PLASTRON_VMX_OPERAND_H

#include "decode.h"
#include "../hv/cpu.h"
#include "../mm/walk.h"

/* The operands of the instruction that exited; the second of VMREAD and VMWRITE, which may have
   registers alone. */
struct vmx_operand operand_decode(struct cpu *cpu);
struct vmx_operand operand_decode_field(struct cpu *cpu);

/* A register's value, at the width that VMX instructions have in the guest's mode. */
u64 operand_register(const struct cpu *cpu, const struct vmx_operand *operand, u32 reg);

/* Copies len bytes from or to the memory operand. False: the fault is set up for injection. */
bool operand_read(const struct vmx_operand *operand, void *to, u32 len);
bool operand_write(const struct vmx_operand *operand, const void *from, u32 len);

/* L1's paging as it is now; current is vmcs01. */
struct walk_context l1_paging(void);

/* The guest of the current VMCS executes 64-bit code. */
bool l1_in_64bit_code(void);

#endif
