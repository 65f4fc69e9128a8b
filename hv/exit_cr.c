/*
 * MOV to CR0 and CR4 by L1 where it touches a bit that VMX fixes or L0 hides: what the
 * processor checks and does outside VMX, or in L1's own VMX operation. SDM vol. 2, "MOV - Move
 * to/from Control Registers"; vol. 3, "Restrictions on VMX Operation".
 */
#include "exit.h"

#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "vmcs.h"
#include "vmcs01.h"
#include "x86.h"
#include "../vmx/check.h"

static bool in_long_mode(void) { return vmread(GUEST_IA32_EFER) & EFER_LMA; }

static bool uses_pae(u64 cr0, u64 cr4)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !in_long_mode();
}

/* The PDPTE registers, from memory; false: #GP. SDM vol. 3, "PDPTE Registers". */
static bool reload_pdptes(void)
{
    u64 pdpte[4];

    if (!load_pdptes(vmread(GUEST_CR3), &l0.hw, pdpte))
        return false;
    vmcs_write_pdptes(pdpte);
    return true;
}

static bool cr0_valid(const struct cpu *cpu, u64 cr0, u64 cr4)
{
    if (cr0 >> 32)
        return false;
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return false;
    if ((cr0 & CR0_NW) && !(cr0 & CR0_CD))
        return false;
    if (!(cr0 & CR0_WP) && (cr4 & CR4_CET))
        return false;
    return !cpu->nested.vmxon || (cr0 & l0.caps.cr0_fixed0) == l0.caps.cr0_fixed0;
}

/* Setting PG starts long mode if EFER.LME asks for it. SDM vol. 3, "Initializing IA-32e Mode". */
static bool start_long_mode(u64 cr4)
{
    u32 cs = vmread32(GUEST_CS_AR_BYTES);
    u32 tr = vmread32(GUEST_TR_AR_BYTES);

    if (!(cr4 & CR4_PAE) || (cs & AR_L_MASK) || (tr & AR_TYPE_MASK) == AR_TYPE_BUSY_16_TSS)
        return false;
    vmcs_change(GUEST_IA32_EFER, EFER_LMA, EFER_LMA);
    vmcs_change(VM_ENTRY_CONTROLS, VM_ENTRY_IA32E_MODE, VM_ENTRY_IA32E_MODE);
    return true;
}

static bool stop_long_mode(u64 cr4)
{
    if ((vmread(GUEST_CS_AR_BYTES) & AR_L_MASK) || (cr4 & CR4_PCIDE))
        return false;
    vmcs_change(GUEST_IA32_EFER, EFER_LMA, 0);
    vmcs_change(VM_ENTRY_CONTROLS, VM_ENTRY_IA32E_MODE, 0);
    return true;
}

static void write_guest_cr0(u64 cr0)
{
    vmwrite(CR0_READ_SHADOW, cr0);
    vmwrite(GUEST_CR0, cr0 | (l0.hw.cr0_fixed0 & ~(CR0_PE | CR0_PG)));
    /* VM entry does not load these two: they are L1's in the register itself. */
    write_cr0((read_cr0() & ~(CR0_CD | CR0_NW)) | (cr0 & (CR0_CD | CR0_NW)));
}

static bool mov_to_cr0(struct cpu *cpu, u64 cr0)
{
    u64 old = vmread(GUEST_CR0);
    u64 cr4 = vmread(GUEST_CR4);

    cr0 |= CR0_ET;
    cr0 &= ~0xffffffffull | l0.hw.cr0_fixed1; /* undefined bits are ignored */
    if (!cr0_valid(cpu, cr0, cr4))
        return false;
    if ((cr0 & ~old & CR0_PG) && (vmread(GUEST_IA32_EFER) & EFER_LME)) {
        if (!start_long_mode(cr4))
            return false;
    } else if ((old & ~cr0 & CR0_PG) && in_long_mode()) {
        if (!stop_long_mode(cr4))
            return false;
    }
    if (uses_pae(cr0, cr4) && ((cr0 ^ old) & (CR0_PG | CR0_CD | CR0_NW)) && !reload_pdptes())
        return false;
    write_guest_cr0(cr0);
    if ((cr0 ^ old) & (CR0_PG | CR0_WP))
        vmcs01_flush_translations();
    return true;
}

#define CR4_PAGING_BITS (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PCIDE)

static bool cr4_valid(const struct cpu *cpu, u64 cr4, u64 old)
{
    u64 allowed = l0.hw.cr4_fixed1 & ~l0.hidden_cr4;

    if (!l0.boot.config.nested)
        allowed &= ~CR4_VMXE;
    if (cr4 & ~allowed)
        return false;
    if (cpu->nested.vmxon && !(cr4 & CR4_VMXE))
        return false;
    if (in_long_mode() && (!(cr4 & CR4_PAE) || ((cr4 ^ old) & CR4_LA57)))
        return false;
    if ((cr4 & ~old & CR4_PCIDE) && (!in_long_mode() || (vmread(GUEST_CR3) & 0xfff)))
        return false;
    return !(cr4 & CR4_CET) || (vmread(GUEST_CR0) & CR0_WP);
}

static bool mov_to_cr4(const struct cpu *cpu, u64 cr4)
{
    u64 old = vmcs01_cr4();

    if (!cr4_valid(cpu, cr4, old))
        return false;
    if (uses_pae(vmread(GUEST_CR0), cr4) &&
        ((cr4 ^ old) & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) && !reload_pdptes())
        return false;
    vmwrite(CR4_READ_SHADOW, cr4);
    vmwrite(GUEST_CR4, cr4 | l0.hw.cr4_fixed0);
    if ((cr4 ^ old) & CR4_PAGING_BITS)
        vmcs01_flush_translations();
    return true;
}

/* LMSW changes PE (only to 1), MP, EM and TS; SDM vol. 2, "LMSW". */
static u64 lmsw_value(u64 qualification)
{
    u64 cr0 = vmcs01_cr0();
    u64 source = qualification >> LMSW_SOURCE_DATA_SHIFT & (CR0_PE | CR0_MP | CR0_EM | CR0_TS);

    return (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | source;
}

static u64 source_register(const struct cpu *cpu, u64 qualification)
{
    u32 reg = qualification >> 8 & 15;
    u64 value = reg == RSP ? vmread(GUEST_RSP) : cpu->gpr[reg];

    return vmread(GUEST_CS_AR_BYTES) & AR_L_MASK ? value : (u32)value;
}

void exit_cr_access(struct cpu *cpu)
{
    u64 qualification = vmread(EXIT_QUALIFICATION);
    enum cr_access_type type = (qualification & CONTROL_REG_ACCESS_TYPE) >> 4;
    bool done;

    if (type == CR_LMSW)
        done = mov_to_cr0(cpu, lmsw_value(qualification));
    else if ((qualification & CONTROL_REG_ACCESS_NUM) == 0)
        done = mov_to_cr0(cpu, source_register(cpu, qualification));
    else
        done = mov_to_cr4(cpu, source_register(cpu, qualification));
    if (done)
        skip_instruction();
    else
        inject_gp();
}
