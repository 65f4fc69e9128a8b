#include "msr.h"

#include "insn.h"
#include "l0.h"
#include "log.h"
#include "trap.h"
#include "vmcs.h"
#include "x86.h"
#include "../mm/phys.h"

#define MSR_BITMAP_RANGE 0x2000u
#define MSR_BITMAP_WRITE 2048u /* bytes from a read bitmap to its write bitmap */

#define CATCH_READ BIT(0)
#define CATCH_WRITE BIT(1)
#define CATCH_BOTH (CATCH_READ | CATCH_WRITE)

/* Low MSRs (below 0x2000) that exit, and why. Above 0xc0000000 L0 owns none. */
static const struct {
    u32 first, last, catch;
} owned[] = {
    {MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE, CATCH_WRITE},   /* could be put over L0's memory */
    {MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL, CATCH_BOTH}, /* nested=off */
    {MSR_IA32_BIOS_UPDT_TRIG, MSR_IA32_BIOS_UPDT_TRIG, CATCH_WRITE},
    {MSR_IA32_SMM_MONITOR_CTL, MSR_IA32_SMM_MONITOR_CTL, CATCH_BOTH}, /* dual-monitor treatment */
    {MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, CATCH_BOTH},         /* XD, which L0 uses */
    {MSR_IA32_MTRR_PHYSBASE0, 0x21f, CATCH_WRITE},                    /* EPT's memory types */
    {MSR_IA32_MTRR_FIX64K_00000, MSR_IA32_MTRR_FIX64K_00000, CATCH_WRITE},
    {MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, CATCH_WRITE},
    {MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, CATCH_WRITE},
    {MSR_IA32_MTRR_DEF_TYPE, MSR_IA32_MTRR_DEF_TYPE, CATCH_WRITE},
    {MSR_IA32_PEBS_ENABLE, MSR_IA32_PEBS_ENABLE, CATCH_BOTH}, /* would write by L0's page tables */
    {MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2, CATCH_BOTH},
    {MSR_IA32_RTIT_OUTPUT_BASE, MSR_IA32_RTIT_ADDR3_B, CATCH_BOTH}, /* physical addresses */
    {MSR_IA32_HW_FEEDBACK_PTR, MSR_IA32_HW_FEEDBACK_CONFIG, CATCH_WRITE}, /* physical address */
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
        caps->basic,      caps->pin,        caps->proc,     caps->exit,       caps->entry,
        caps->misc,       caps->cr0_fixed0, caps->cr0_fixed1, caps->cr4_fixed0, caps->cr4_fixed1,
        caps->vmcs_enum,  caps->proc2,      caps->ept_vpid, caps->true_pin,   caps->true_proc,
        caps->true_exit,  caps->true_entry,
    };
    u32 index = msr - MSR_IA32_VMX_BASIC;

    if (!l0.boot.config.nested || index >= ARRAY_SIZE(values))
        return false;
    if (msr == MSR_IA32_VMX_PROCBASED_CTLS2 && !caps_offer(caps, FEATURE_SECONDARY_CONTROLS))
        return false;
    if (msr == MSR_IA32_VMX_EPT_VPID_CAP && !caps_offer(caps, FEATURE_EPT) &&
        !caps_offer(caps, FEATURE_VPID))
        return false;
    *value = values[index];
    return true;
}

bool msr_read(u32 msr, u64 *value)
{
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        *value = rdmsr(msr) & ~FEATURE_CONTROL_VMXON_IN_SMX;
        if (!l0.boot.config.nested)
            *value &= ~FEATURE_CONTROL_VMXON_ENABLED;
        return true;
    case MSR_IA32_MISC_ENABLE:
        if (!rdmsr_safe(msr, value))
            return false;
        *value |= MISC_ENABLE_PEBS_UNAVAILABLE;
        return true;
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_EXIT_CTLS2:
        return read_vmx_capability(msr, value);
    case MSR_IA32_SMM_MONITOR_CTL:
    case MSR_IA32_PEBS_ENABLE:
    case MSR_IA32_RTIT_OUTPUT_BASE ... MSR_IA32_RTIT_ADDR3_B:
        return false; /* their features are hidden */
    default:
        return rdmsr_safe(msr, value);
    }
}

static bool write_mtrr(u32 msr, u64 value)
{
    u64 *slot = memtype_msr(&l0.mtrr, msr);

    if (!slot || !memtype_write_valid(msr, value, &l0.mtrr, l0.hw.physical_bits) ||
        !wrmsr_safe(msr, value))
        return false;
    if (*slot == value)
        return true;
    spin_lock(&l0.ept01_lock);
    *slot = value;
    if (!ept01_retype(&l0.ept01))
        log_warn_once("no memory left to split EPT pages for an MTRR write (%#x = %#lx)", msr, value);
    l0.ept01_epoch++;
    spin_unlock(&l0.ept01_lock);
    return true;
}

/* The page that the local APIC or the hardware feedback interface is to use. */
static bool write_physical_pointer(u32 msr, u64 value)
{
    u64 page = value & PTE_ADDR & ((1ull << l0.hw.physical_bits) - 1);

    if (phys_is_hidden(page, PAGE_SIZE)) {
        log_warn_once("refused: WRMSR %#x = %#lx points at memory hidden from L1", msr, value);
        return false;
    }
    return wrmsr_safe(msr, value);
}

static bool write_misc_enable(u64 value)
{
    if (value & MISC_ENABLE_XD_DISABLE) {
        log_warn_once("deviation: L1 may not disable XD (IA32_MISC_ENABLE[34]); the bit stays 0");
        value &= ~MISC_ENABLE_XD_DISABLE;
    }
    return wrmsr_safe(MSR_IA32_MISC_ENABLE, value);
}

bool msr_write(u32 msr, u64 value)
{
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        return false; /* locked on every core before L1 ran */
    case MSR_IA32_APIC_BASE:
    case MSR_IA32_HW_FEEDBACK_PTR:
        return write_physical_pointer(msr, value);
    case MSR_IA32_BIOS_UPDT_TRIG:
        log_warn_once("deviation: a microcode update by L1 is ignored; let the firmware load it");
        return true;
    case MSR_IA32_MISC_ENABLE:
        return write_misc_enable(value);
    case MSR_IA32_MTRR_PHYSBASE0 ... 0x21f:
    case MSR_IA32_MTRR_FIX64K_00000:
    case MSR_IA32_MTRR_FIX16K_80000 ... MSR_IA32_MTRR_FIX16K_A0000:
    case MSR_IA32_MTRR_FIX4K_C0000 ... MSR_IA32_MTRR_FIX4K_F8000:
    case MSR_IA32_MTRR_DEF_TYPE:
        return write_mtrr(msr, value);
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_EXIT_CTLS2:
    case MSR_IA32_SMM_MONITOR_CTL:
    case MSR_IA32_PEBS_ENABLE:
    case MSR_IA32_RTIT_OUTPUT_BASE ... MSR_IA32_RTIT_ADDR3_B:
        return false;
    default:
        return wrmsr_safe(msr, value);
    }
}
