#include "msr.h"

#include "cpu.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "record.h"
#include "trap.h"
#include "vmcs.h"
#include "x86.h"
#include "../mm/ept02.h"
#include "../mm/phys.h"

#define LEAF7_EBX_SGX    BIT(2)
#define MCG_CAP_LMCE     BIT64(27)
#define MSR_BITMAP_WRITE 2048u /* bytes from a read bitmap to its write bitmap */

/* Bases and masks: as many pairs as IA32_MTRRCAP can count that this knows of. */
#define MTRR_VARIABLE_LAST (MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_MAX - 1)

#define CATCH_READ  BIT(0)
#define CATCH_WRITE BIT(1)
#define CATCH_BOTH  (CATCH_READ | CATCH_WRITE)

/* Low MSRs (below 0x2000) that exit, and why. Above 0xc0000000 L0 owns none. */
static const struct {
    u32 first, last, catch;
} owned[] = {
    {MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, CATCH_BOTH}, /* physical addresses: see below */
    {MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE, CATCH_WRITE}, /* could be put over L0's memory */
    {MSR_MEMORY_CTRL, MSR_MEMORY_CTRL, CATCH_WRITE},       /* could make L0's locks fault */
    {MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL, CATCH_BOTH}, /* nested=off */
    {MSR_IA32_BIOS_UPDT_TRIG, MSR_IA32_BIOS_UPDT_TRIG, CATCH_WRITE},
    {MSR_IA32_SMM_MONITOR_CTL, MSR_IA32_SMM_MONITOR_CTL, CATCH_BOTH}, /* dual-monitor treatment */
    {MSR_IA32_CORE_CAPABILITIES, MSR_IA32_CORE_CAPABILITIES, CATCH_READ},
    {MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, CATCH_BOTH},  /* XD, which L0 uses */
    {MSR_IA32_MTRR_PHYSBASE0, MTRR_VARIABLE_LAST, CATCH_BOTH}, /* L1's EPT has the types */
    {MSR_IA32_MTRR_FIX64K_00000, MSR_IA32_MTRR_FIX64K_00000, CATCH_BOTH},
    {MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, CATCH_BOTH},
    {MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, CATCH_BOTH},
    {MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_MTRR_DEF_TYPE, CATCH_BOTH},
    /* PEBS would write by L0's page tables while L0 runs. */
    {MSR_IA32_PEBS_ENABLE, MSR_IA32_PEBS_ENABLE, CATCH_BOTH},
    {MSR_IA32_PEBS_BASE, MSR_IA32_PEBS_INDEX, CATCH_BOTH},
    {MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2, CATCH_BOTH},
    {MSR_IA32_RTIT_OUTPUT_BASE, MSR_IA32_RTIT_ADDR3_B, CATCH_BOTH}, /* physical addresses */
    {MSR_IA32_TME_CAPABILITY, MSR_IA32_TME_ACTIVATE, CATCH_WRITE},  /* aliases of L0's memory */
    {MSR_IA32_LBR_CTL, MSR_IA32_LBR_DEPTH, CATCH_BOTH},             /* would record L0's branches */
    {MSR_IA32_HW_FEEDBACK_PTR, MSR_IA32_HW_FEEDBACK_CONFIG, CATCH_BOTH}, /* physical address */
};

void msr_fill_bitmap(u8 *bitmap)
{
    for (u32 i = 0; i < ARRAY_SIZE(owned); i++)
        for (u32 msr = owned[i].first; msr <= owned[i].last; msr++) {
            if (owned[i].catch & CATCH_READ)
                bitmap[msr / 8] |= (u8)BIT(msr % 8);
            if (owned[i].catch & CATCH_WRITE)
                bitmap[MSR_BITMAP_WRITE + msr / 8] |= (u8)BIT(msr % 8);
        }
}

/* IA32_VMX_BASIC and its followers, as offered. */
static bool read_vmx_capability(u32 msr, u64 *value)
{
    const struct vmx_caps *caps = &l0.caps;
    const u64 values[] = {
        caps->basic,     caps->pin,        caps->proc,       caps->exit,       caps->entry,
        caps->misc,      caps->cr0_fixed0, caps->cr0_fixed1, caps->cr4_fixed0, caps->cr4_fixed1,
        caps->vmcs_enum, caps->proc2,      caps->ept_vpid,   caps->true_pin,   caps->true_proc,
        caps->true_exit, caps->true_entry, caps->vmfunc,
    };
    u32 index = msr - MSR_IA32_VMX_BASIC;

    if (!l0.boot.config.nested || index >= ARRAY_SIZE(values))
        return false;
    if (msr == MSR_IA32_VMX_PROCBASED_CTLS2 && !caps_offer(caps, FEATURE_SECONDARY_CONTROLS))
        return false;
    if (msr == MSR_IA32_VMX_EPT_VPID_CAP && !caps_offer(caps, FEATURE_EPT) &&
        !caps_offer(caps, FEATURE_VPID))
        return false;
    if (msr == MSR_IA32_VMX_VMFUNC && !caps_offer(caps, FEATURE_VMFUNC))
        return false;
    *value = values[index];
    return true;
}

/* L1's own MTRRs, if msr is one of this processor's, else NULL. */
static u64 *l1_mtrr(u32 msr) { return memtype_msr(&this_cpu()->mtrr, msr); }

static bool is_mtrr(u32 msr)
{
    return (msr >= MSR_IA32_MTRR_PHYSBASE0 && msr <= MTRR_VARIABLE_LAST) ||
           (msr >= MSR_IA32_MTRR_FIX64K_00000 && msr <= MSR_IA32_MTRR_FIX4K_F8000) ||
           msr == MSR_IA32_MTRR_DEF_TYPE;
}

/*
 * MSRs of a hypervisor below Plastron, such as KVM's clocks: they take physical addresses, and it
 * knows nothing of what is hidden from L1. Its CPUID leaves are not L1's either.
 */
static bool is_hypervisor_msr(u32 msr)
{
    bool paravirtual = msr >> 28 == 4 || msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_SYSTEM_TIME;

    return paravirtual && (cpuid(1, 0).ecx & BIT(31));
}

/*
 * IA32_FEATURE_CONTROL is there with any feature that it has a bit for: VMX, SGX, local machine
 * checks; SMX is hidden. SDM vol. 4, table of the architectural MSRs.
 */
static bool has_feature_control(void)
{
    u64 machine_check = 0;

    rdmsr_safe(MSR_IA32_MCG_CAP, &machine_check);
    return l0.boot.config.nested || (cpuid(7, 0).ebx & LEAF7_EBX_SGX) ||
           (machine_check & MCG_CAP_LMCE);
}

/* Belongs to a feature that is hidden from L1: the processor says #GP where it is missing. */
static bool is_hidden(u32 msr)
{
    switch (msr) {
    case MSR_IA32_SMM_MONITOR_CTL:
    case MSR_IA32_PEBS_ENABLE:
    case MSR_IA32_PEBS_BASE ... MSR_IA32_PEBS_INDEX:
    case MSR_IA32_RTIT_OUTPUT_BASE ... MSR_IA32_RTIT_ADDR3_B:
    case MSR_IA32_LBR_CTL ... MSR_IA32_LBR_DEPTH:
    case MSR_IA32_HW_FEEDBACK_PTR ... MSR_IA32_HW_FEEDBACK_CONFIG: return true;
    case MSR_IA32_FEATURE_CONTROL: return !has_feature_control();
    default: return is_hypervisor_msr(msr);
    }
}

static bool read_masked(u32 msr, u64 clear, u64 set, u64 *value)
{
    if (!rdmsr_safe(msr, value))
        return false;
    *value = (*value & ~clear) | set;
    return true;
}

bool msr_read(u32 msr, u64 *value)
{
    if (is_hidden(msr))
        return false;
    if (is_mtrr(msr) && l1_mtrr(msr)) {
        *value = *l1_mtrr(msr);
        return true;
    }
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        return read_masked(msr,
                           FEATURE_CONTROL_VMXON_IN_SMX |
                               (l0.boot.config.nested ? 0 : FEATURE_CONTROL_VMXON_ENABLED),
                           0, value);
    case MSR_IA32_CORE_CAPABILITIES:
        return read_masked(msr, CORE_CAPABILITIES_UC_LOCK_DISABLE, 0, value);
    case MSR_IA32_MISC_ENABLE: return read_masked(msr, 0, MISC_ENABLE_PEBS_UNAVAILABLE, value);
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_EXIT_CTLS2: return read_vmx_capability(msr, value);
    default: return rdmsr_safe(msr, value);
    }
}

/*
 * L1's MTRRs decide the types of its EPT, as they would without one. The processor's own are left
 * alone: with EPT they act on L0's accesses only. EPT01 follows the core that wrote last; an OS
 * keeps them alike on all.
 */
static bool write_mtrr(u32 msr, u64 value)
{
    u64 *own = l1_mtrr(msr), *shared = memtype_msr(&l0.mtrr, msr);

    if (!memtype_write_valid(msr, value, &this_cpu()->mtrr, l0.hw.physical_bits))
        return false;
    *own = value;
    spin_lock(&l0.ept01_lock);
    if (shared && *shared != value) {
        *shared = value;
        if (!ept01_retype(&l0.ept01))
            log_warn_once("no memory left to split EPT pages for an MTRR write (%#x = %#lx)", msr,
                          value);
        cores_new_epoch();
    }
    spin_unlock(&l0.ept01_lock);
    return true;
}

static bool write_apic_base(u64 value)
{
    u64 page = value & PTE_ADDR & (BIT64(l0.hw.physical_bits) - 1);

    if (phys_is_hidden(page, PAGE_SIZE)) {
        log_warn_once("refused: WRMSR IA32_APIC_BASE = %#lx points at hidden memory", value);
        return false;
    }
    return wrmsr_safe(MSR_IA32_APIC_BASE, value);
}

static bool write_misc_enable(u64 value)
{
    u64 now;

    if (!rdmsr_safe(MSR_IA32_MISC_ENABLE, &now))
        return false;
    if (value & MISC_ENABLE_XD_DISABLE) {
        deviation("L1 may not disable XD (IA32_MISC_ENABLE[34]); the bit stays 0");
        value &= ~MISC_ENABLE_XD_DISABLE;
    }
    /* Read-only, and shown set to L1. */
    value &= ~MISC_ENABLE_PEBS_UNAVAILABLE;
    return wrmsr_safe(MSR_IA32_MISC_ENABLE, value | (now & MISC_ENABLE_PEBS_UNAVAILABLE));
}

bool msr_write(u32 msr, u64 value)
{
    if (is_hidden(msr))
        return false;
    if (is_mtrr(msr) && l1_mtrr(msr))
        return write_mtrr(msr, value);
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL: return false; /* locked on every core before L1 ran */
    case MSR_IA32_TME_CAPABILITY ... MSR_IA32_TME_ACTIVATE:
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_EXIT_CTLS2: return false;
    case MSR_IA32_APIC_BASE: return write_apic_base(value);
    case MSR_MEMORY_CTRL: return !(value & MEMORY_CTRL_UC_LOCK_DISABLE) && wrmsr_safe(msr, value);
    case MSR_IA32_MISC_ENABLE: return write_misc_enable(value);
    case MSR_IA32_BIOS_UPDT_TRIG:
        deviation("a microcode update by L1 is ignored; let the firmware load it");
        return true;
    default: return wrmsr_safe(msr, value);
    }
}
