#include "operand.h"

#include "../hv/inject.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/trap.h"
#include "../hv/vmcs.h"
#include "../mm/walk.h"
#include "x86.h"

bool l1_in_64bit_code(void) { return vmread(GUEST_CS_AR_BYTES) & AR_L_MASK; }

struct vmx_operand operand_decode(struct cpu *cpu)
{
    struct vmx_operand operand;

    cpu->gpr[RSP] = vmread(GUEST_RSP);
    operand = decode_operand(vmread32(VMX_INSTRUCTION_INFO), vmread(EXIT_QUALIFICATION), cpu->gpr);
    operand.is_wide = l1_in_64bit_code();
    return operand;
}

struct vmx_operand operand_decode_field(struct cpu *cpu)
{
    u32 info = vmread32(VMX_INSTRUCTION_INFO);
    struct vmx_operand operand;

    if (!decode_is_register(info))
        return operand_decode(cpu);
    operand = decode_registers(info);
    operand.is_wide = l1_in_64bit_code();
    return operand;
}

u64 operand_register(const struct cpu *cpu, const struct vmx_operand *operand, u32 reg)
{
    u64 value = reg == RSP ? vmread(GUEST_RSP) : cpu->gpr[reg];

    return operand->is_wide ? value : (u32)value;
}

/* The linear address of a memory operand; false: #GP or #SS is set up. */
static bool operand_linear(const struct walk_context *context, const struct vmx_operand *operand,
                           u32 len, bool write, u64 *linear)
{
    u32 n = operand->segment;
    struct segment_state state = {.base = 0};
    const struct segment_access access = {
        .mode = operand->is_wide ? MODE_64BIT : MODE_PROTECTED, /* others are #UD before */
        .segment = (u8)n,
        .cr3 = context->cr3,
        .cr4 = context->cr4,
        .rflags = context->rflags,
        .write = write,
        .size = len,
        .offset = operand->offset,
    };
    u8 vector;

    /* 64-bit code has no more of segments than two bases. */
    if (!operand->is_wide || n >= SEGMENT_FS)
        state.base = vmread(GUEST_ES_BASE + 2 * n);
    if (!operand->is_wide) {
        state.limit = vmread32(GUEST_ES_LIMIT + 2 * n);
        state.ar = vmread32(GUEST_ES_AR_BYTES + 2 * n);
    }
    if (segment_to_linear(&state, &access, linear, &vector))
        return true;
    inject_fault_code(vector, 0);
    return false;
}

static u32 read_pkru(void)
{
    u32 value, high;

    __asm__ volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
    return value;
}

/* L1's paging as it is now. PKRU can be read only with CR4.PKE, which L0 does not need itself. */
struct walk_context l1_paging(void)
{
    struct walk_context context = {
        .cr0 = vmread(GUEST_CR0),
        .cr3 = vmread(GUEST_CR3),
        .cr4 = vmread(GUEST_CR4),
        .efer = vmread(GUEST_IA32_EFER),
        .rflags = vmread(GUEST_RFLAGS),
        .physical_bits = l0.hw.physical_bits,
        .has_1g = l0.has_1g,
        .cpl = AR_DPL(vmread32(GUEST_SS_AR_BYTES)),
    };
    u64 pkrs = 0;

    if (!(context.efer & EFER_LMA) && (context.cr4 & CR4_PAE) && (context.cr0 & CR0_PG))
        for (u32 i = 0; i < 4; i++)
            context.pdpte[i] = vmread(GUEST_PDPTR0 + 2 * i);
    if (context.cr4 & CR4_PKE) {
        u64 cr4 = read_cr4();

        write_cr4(cr4 | CR4_PKE);
        context.pkru = read_pkru();
        write_cr4(cr4);
    }
    if ((context.cr4 & CR4_PKS) && rdmsr_safe(MSR_IA32_PKRS, &pkrs))
        context.pkrs = (u32)pkrs;
    return context;
}

bool operand_read(const struct vmx_operand *operand, void *to, u32 len)
{
    struct walk_context context = l1_paging();
    struct walk_fault fault;
    u64 linear;

    if (!operand_linear(&context, operand, len, false, &linear))
        return false;
    if (walk_read(&context, linear, to, len, &fault))
        return true;
    inject_page_fault(fault.address, fault.error_code);
    return false;
}

bool operand_write(const struct vmx_operand *operand, const void *from, u32 len)
{
    struct walk_context context = l1_paging();
    struct walk_fault fault;
    u64 linear;

    if (!operand_linear(&context, operand, len, true, &linear))
        return false;
    if (walk_write(&context, linear, from, len, &fault))
        return true;
    inject_page_fault(fault.address, fault.error_code);
    return false;
}
