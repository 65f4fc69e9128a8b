/*
 * Operands of VMX instructions, from the VM-exit instruction information and the exit
 * qualification, and the segmentation of their memory operand. Pure functions.
 */
#ifndef PLASTRON_VMX_DECODE_H
#define PLASTRON_VMX_DECODE_H

#include "types.h"

enum address_segment { SEGMENT_ES, SEGMENT_CS, SEGMENT_SS, SEGMENT_DS, SEGMENT_FS, SEGMENT_GS };

struct vmx_operand {
    bool is_register; /* VMREAD and VMWRITE only: reg, and not memory */
    u8 reg;           /* number of Reg1, the register operand */
    u8 reg2;          /* number of Reg2: the field of VMREAD and VMWRITE, the type of INVEPT and
                         INVVPID */
    u8 segment;       /* enum address_segment */
    bool is_wide;     /* 64-bit code: registers have 64 bits */
    u64 offset;       /* of the memory operand in its segment, cut to the address size */
};

/* VMREAD or VMWRITE without a memory operand, and its operands. info: the VM-exit instruction
   information. */
bool decode_is_register(u32 info);
struct vmx_operand decode_registers(u32 info);

/* displacement: the exit qualification (with RIP in it if RIP-relative). gpr by register number,
   so that gpr[4] is RSP. */
struct vmx_operand decode_operand(u32 info, u64 displacement, const u64 gpr[16]);

/* Protected mode without VM86; compatibility mode is the same. */
enum cpu_mode { MODE_REAL, MODE_V86, MODE_PROTECTED, MODE_64BIT };

/* A segment register as the VMCS has it. */
struct segment_state {
    u64 base;
    u32 limit;
    u32 ar;
    u16 selector;
};

struct segment_access {
    enum cpu_mode mode;
    u8 segment;           /* enum address_segment */
    u64 cr3, cr4, rflags; /* for MODE_64BIT, an access at CPL 0: LA57, LAM, LASS */
    bool write;
    u32 size; /* in bytes, not 0 */
    u64 offset;
};

/* True: *linear is the linear address. False: *vector is #GP or #SS, its error code 0. */
bool segment_to_linear(const struct segment_state *state, const struct segment_access *access,
                       u64 *linear, u8 *vector);

#endif
