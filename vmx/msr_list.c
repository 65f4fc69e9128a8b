#include "msr_list.h"

#include "check.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/log.h"
#include "../hv/record.h"
#include "../hv/msr.h"
#include "../hv/trap.h"
#include "../hv/vmcs.h"
#include "../mm/phys.h"
#include "vmx.h"
#include "x86.h"

/* More entries than IA32_VMX_MISC recommends are an error of L1's, and not processed. */
static u32 max_entries(void)
{
    return 512 * ((u32)((l0.caps.misc & VMX_MISC_MAX_MSR) >> VMX_MISC_MAX_MSR_SHIFT) + 1);
}

static struct vmx_msr_entry read_entry(u64 pa)
{
    struct vmx_msr_entry entry;

    phys_read(&entry, pa, sizeof(entry));
    return entry;
}

static bool is_x2apic(u32 msr) { return msr >> 8 == MSR_X2APIC_FIRST >> 8; }

/* Not allowed in an area, whatever RDMSR and WRMSR would do. */
static bool is_forbidden(const struct vmx_msr_entry *entry)
{
    return entry->reserved || entry->index == MSR_IA32_SMM_MONITOR_CTL ||
           (is_x2apic(entry->index) && (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC));
}

/* What the next entry loads must be canonical for every processor: some go by the paging mode. */
static u32 linear_bits(void) { return vmread(GUEST_CR4) & CR4_LA57 ? l0.hw.linear_bits : 48; }

static bool canonical_field(enum vmcs_field field, u64 value)
{
    if (not_canonical(value, linear_bits()))
        return false;
    vmwrite(field, value);
    return true;
}

/* LMA and LME must stay what VM entry or exit made them while paging is on. */
static bool load_efer(u64 value)
{
    u64 old = vmread(GUEST_IA32_EFER);

    if (value & ~(u64)EFER_VALID)
        return false;
    if ((vmread(GUEST_CR0) & CR0_PG) && ((value ^ old) & EFER_LME))
        return false;
    vmwrite(GUEST_IA32_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
    return true;
}

/* LBR, BTF, TR, BTS, BTINT and BTS_OFF_*: every processor has them, and they act at once. */
#define DEBUGCTL_ACTIVE 0x7c3ull

/* The processor knows best which bits are reserved; L0 itself runs with the register clear. */
static bool load_debugctl(u64 value)
{
    if (!wrmsr_safe(MSR_IA32_DEBUGCTL, value & ~DEBUGCTL_ACTIVE))
        return false;
    wrmsr(MSR_IA32_DEBUGCTL, 0);
    vmwrite(GUEST_IA32_DEBUGCTL, value);
    return true;
}

/* Whether an entry takes the value, too. */
static bool entry_takes(u32 msr, u64 value)
{
    bool wide = vmread(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;

    return !not_canonical(value, linear_bits()) &&
           (wide || msr != MSR_IA32_S_CET || !(value >> 32));
}

/* The entry that is to come may load the register from the VMCS. */
static bool load_cet(enum vmcs_field field, u32 msr, u64 value)
{
    if (!msr_write(msr, value))
        return false;
    if (!(vmread(VM_ENTRY_CONTROLS) & VM_ENTRY_LOAD_CET_STATE))
        return true;
    if (!entry_takes(msr, value)) {
        deviation("an MSR area loads %#x with %#lx, which fails here", msr, value);
        return false;
    }
    vmwrite(field, value);
    return true;
}

/* The same: with that control it loads value into the field's part of the register. */
static bool load_both(u32 msr, u64 value, u32 control, enum vmcs_field field, u64 part)
{
    if (!msr_write(msr, value))
        return false;
    if (vmread(VM_ENTRY_CONTROLS) & control)
        vmwrite(field, part);
    return true;
}

/* Some MSRs live in the VMCS, where VM entry takes them from. */
static bool load_msr(u32 index, u64 value)
{
    switch (index) {
    case MSR_IA32_FS_BASE:
    case MSR_IA32_GS_BASE:
    case MSR_IA32_BIOS_UPDT_TRIG: return false;
    case MSR_IA32_EFER: return load_efer(value);
    case MSR_IA32_PAT:
        if (!pat_valid(value))
            return false;
        vmwrite(GUEST_IA32_PAT, value);
        return true;
    case MSR_IA32_DEBUGCTL: return load_debugctl(value);
    case MSR_IA32_SYSENTER_CS: vmwrite(GUEST_SYSENTER_CS, (u32)value); return true;
    case MSR_IA32_SYSENTER_ESP: return canonical_field(GUEST_SYSENTER_ESP, value);
    case MSR_IA32_SYSENTER_EIP: return canonical_field(GUEST_SYSENTER_EIP, value);
    case MSR_IA32_S_CET: return load_cet(GUEST_IA32_S_CET, index, value);
    case MSR_IA32_INTERRUPT_SSP_TABLE: return load_cet(GUEST_INTR_SSP_TABLE, index, value);
    case MSR_IA32_PKRS:
        return load_both(index, value, VM_ENTRY_LOAD_IA32_PKRS, GUEST_IA32_PKRS, value);
    case MSR_IA32_UINTR_MISC:
        return load_both(index, value, VM_ENTRY_LOAD_UINV, GUEST_UINV,
                         (value & UINTR_MISC_UINV) >> UINTR_MISC_UINV_SHIFT);
    default: return msr_write(index, value);
    }
}

static bool store_msr(u32 index, u64 *value)
{
    switch (index) {
    case MSR_IA32_FS_BASE: *value = vmread(GUEST_FS_BASE); return true;
    case MSR_IA32_GS_BASE: *value = vmread(GUEST_GS_BASE); return true;
    case MSR_IA32_EFER: *value = vmread(GUEST_IA32_EFER); return true;
    case MSR_IA32_PAT: *value = vmread(GUEST_IA32_PAT); return true;
    case MSR_IA32_DEBUGCTL: *value = vmread(GUEST_IA32_DEBUGCTL); return true;
    case MSR_IA32_SYSENTER_CS: *value = vmread(GUEST_SYSENTER_CS); return true;
    case MSR_IA32_SYSENTER_ESP: *value = vmread(GUEST_SYSENTER_ESP); return true;
    case MSR_IA32_SYSENTER_EIP: *value = vmread(GUEST_SYSENTER_EIP); return true;
    default: return msr_read(index, value);
    }
}

u64 msr_list_load(u64 pa, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct vmx_msr_entry entry;

        if (i == max_entries())
            return i + 1;
        entry = read_entry(pa + i * sizeof(entry));
        if (is_forbidden(&entry) || !load_msr(entry.index, entry.value))
            return i + 1;
    }
    return 0;
}

bool msr_list_store(u64 pa, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        u64 at = pa + i * sizeof(struct vmx_msr_entry);
        struct vmx_msr_entry entry;

        if (i == max_entries())
            return false;
        entry = read_entry(at);
        if (is_forbidden(&entry) || !store_msr(entry.index, &entry.value))
            return false;
        phys_write(at + offsetof(struct vmx_msr_entry, value), &entry.value, sizeof(entry.value));
    }
    return true;
}
