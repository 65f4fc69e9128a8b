#include "ept_violation.h"

#include "check.h"
#include "l2_exit.h"
#include "vmcs02.h"
#include "../hv/exit.h"
#include "../hv/hidden.h"
#include "../hv/inject.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"
#include "../mm/ept02.h"
#include "../mm/phys.h"

/* The exit qualification as EPT12 alone would have given it. SDM vol. 3, "Exit Qualification for
   EPT Violations". */
static u64 qualification12(u64 qualification, u64 rights)
{
    qualification &= ~(EPT_RWX << EPT_VIOLATION_RWX_SHIFT | EPT_VIOLATION_EXEC_USER);
    if (!caps_offer(&l0.caps, FEATURE_EPT_ADVANCED_EXIT_INFO))
        qualification &= ~EPT_VIOLATION_ADVANCED;
    if (rights & EPT_EXEC_USER)
        qualification |= EPT_VIOLATION_EXEC_USER;
    return qualification | (rights & EPT_RWX) << EPT_VIOLATION_RWX_SHIFT;
}

/* The rights that the access needs in the entries of EPT12. */
static u64 rights_needed(u64 key, u64 qualification)
{
    if ((qualification & EPT_VIOLATION_FETCH) && (qualification & EPT_VIOLATION_USER) &&
        (key & EPT12_MODE_BASED))
        return EPT_EXEC_USER;
    return qualification & EPT_RWX;
}

static enum ept02_result fill(struct cpu *cpu, u64 key, u64 ngpa, u64 access,
                              struct ept12_translation *walk)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    struct ept12_log log = {
        .enabled = vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_PML,
        .page = vmcs12->pml_address,
    };
    enum ept02_result result;

    if (log.enabled)
        log.index = (u16)vmread(GUEST_PML_INDEX);
    result =
        ept02_fill(&l0.ept02, cpu->nested.root, key, ngpa, access, &log, walk, &cpu->nested.gap);
    if (log.enabled)
        vmwrite(GUEST_PML_INDEX, log.index);
    return result;
}

/* SDM vol. 3, "Virtualization-Exception Information". */
struct ve_information {
    u32 reason;
    u32 busy;
    u64 qualification;
    u64 linear_address;
    u64 physical_address;
    u16 eptp_index;
} __attribute__((packed));

#define VE_BUSY 0xffffffffu

/* SDM vol. 3, "Convertible EPT Violations" and "Virtualization-Exception Information". */
static bool becomes_exception(const struct vmcs12 *vmcs12, const struct ept12_translation *walk)
{
    u64 busy = vmcs12->ve_information_address + offsetof(struct ve_information, busy);

    return (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_EPT_VIOLATION_VE) && walk->convertible &&
           (vmread(GUEST_CR0) & CR0_PE) &&
           !(vmread(IDT_VECTORING_INFO_FIELD) & INTR_INFO_VALID_MASK) && !phys_read32(busy);
}

static void save_ve_information(const struct vmcs12 *vmcs12, u64 qualification)
{
    const struct ve_information information = {
        .reason = EXIT_REASON_EPT_VIOLATION,
        .busy = VE_BUSY,
        .qualification = qualification,
        .linear_address = vmread(GUEST_LINEAR_ADDRESS),
        .physical_address = vmread(GUEST_PHYSICAL_ADDRESS),
        .eptp_index = vmcs12->eptp_index,
    };

    phys_write(vmcs12->ve_information_address, &information, sizeof(information));
}

/* SDM vol. 3, "Delivery of Virtualization Exceptions". */
static void deliver_ve(struct cpu *cpu, u64 qualification)
{
    u32 info = INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | VECTOR_VE;

    if (!(vmread(EXCEPTION_BITMAP) & BIT(VECTOR_VE))) {
        vmcs02_borrow_event(cpu->nested.current);
        inject_fault(VECTOR_VE);
        return;
    }
    if (qualification & EPT_VIOLATION_NMI_UNBLOCKED)
        info |= INTR_INFO_NMI_UNBLOCKED;
    l2_exit_event_to_l1(cpu, info, 0);
}

/* EPT12 does not allow the access. */
static void violation_of_ept12(struct cpu *cpu, const struct ept12_translation *walk, u64 ngpa,
                               u64 access, u64 qualification)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    u64 told = qualification12(qualification, walk->rights);

    if (!becomes_exception(vmcs12, walk)) {
        cpu->nested.missing_key = cpu->nested.current->ept_key;
        cpu->nested.missing = ngpa;
        cpu->nested.missing_access = access;
        if (told == qualification)
            l2_pass_on(cpu, EXIT_REASON_EPT_VIOLATION);
        else
            l2_exit_to_l1(cpu, EXIT_REASON_EPT_VIOLATION, told);
        return;
    }
    save_ve_information(vmcs12, told);
    deliver_ve(cpu, told);
}

void l2_fill_missing(struct cpu *cpu)
{
    struct nested *nested = &cpu->nested;

    if (!nested->missing_key)
        return;
    if (nested->missing_key == nested->root_key)
        ept02_prefill(&l0.ept02, nested->root, nested->missing_key, nested->missing,
                      nested->missing_access, &nested->gap);
    nested->missing_key = 0;
}

/* L0 delivers once more what the EPT violation has interrupted. */
static void lend_event(struct vmcs02 *slot)
{
    if (vmread(IDT_VECTORING_INFO_FIELD) & INTR_INFO_VALID_MASK)
        vmcs02_borrow_event(slot);
}

void l2_ept_violation(struct cpu *cpu)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    u64 qualification = vmread(EXIT_QUALIFICATION);
    u64 ngpa = vmread(GUEST_PHYSICAL_ADDRESS);
    u64 key = cpu->nested.current->ept_key, access;
    struct ept12_translation walk;

    if (!vmcs02_is_eptp12(key)) {
        lend_event(cpu->nested.current);
        exit_ept_violation(cpu);
        if (!(cpu->step & STEP_HIDDEN))
            vmcs02_reload_ept(cpu, vmcs12);
        return;
    }
    access = rights_needed(key, qualification);
    switch (fill(cpu, key, ngpa, access, &walk)) {
    case EPT02_VIOLATION: violation_of_ept12(cpu, &walk, ngpa, access, qualification); return;
    case EPT02_MISCONFIGURED: l2_exit_to_l1(cpu, EXIT_REASON_EPT_MISCONFIG, 0); return;
    case EPT02_LOG_FULL:
        l2_exit_to_l1(cpu, EXIT_REASON_PML_FULL, qualification & EPT_VIOLATION_NMI_UNBLOCKED);
        return;
    case EPT02_HIDDEN: hidden_step_l2(cpu, ngpa, qualification & EPT_VIOLATION_WRITE); break;
    case EPT02_FILLED: break;
    }
    vmcs02_reload_ept(cpu, vmcs12);
    lend_event(cpu->nested.current);
    reinject_interrupted_event(qualification & EPT_VIOLATION_NMI_UNBLOCKED);
}
