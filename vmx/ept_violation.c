#include "ept_violation.h"

#include "check.h"
#include "l2_exit.h"
#include "vmcs02.h"
#include "../hv/ept01_demand.h"
#include "../hv/exit.h"
#include "../hv/hidden.h"
#include "../hv/inject.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"

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

static enum ept02_result fill(struct cpu *cpu, u64 key, u64 ngpa, u64 qualification,
                              struct ept12_translation *walk)
{
    struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    struct ept12_log log = {
        .enabled = vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_PML,
        .page = vmcs12->pml_address,
        .index = vmcs12->guest_pml_index,
    };
    enum ept02_result result =
        ept02_fill(&cpu->nested.ept02, key, ngpa, rights_needed(key, qualification), &log, walk);

    vmcs12->guest_pml_index = log.index;
    return result;
}

void l2_ept_violation(struct cpu *cpu)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    u64 qualification = vmread(EXIT_QUALIFICATION);
    u64 ngpa = vmread(GUEST_PHYSICAL_ADDRESS);
    u64 key = vmcs02_ept_key(vmcs12);
    struct ept12_translation walk;

    if (!key) {
        exit_ept_violation(cpu);
        return;
    }
    switch (fill(cpu, key, ngpa, qualification, &walk)) {
    case EPT02_VIOLATION:
        l2_exit_to_l1(cpu, EXIT_REASON_EPT_VIOLATION, qualification12(qualification, walk.rights));
        return;
    case EPT02_MISCONFIGURED: l2_exit_to_l1(cpu, EXIT_REASON_EPT_MISCONFIG, 0); return;
    case EPT02_LOG_FULL:
        l2_exit_to_l1(cpu, EXIT_REASON_PML_FULL, qualification & EPT_VIOLATION_NMI_UNBLOCKED);
        return;
    case EPT02_UNMAPPED:
        if (ept01_demand(cpu, ept12_address(&walk, ngpa)))
            break;
        __attribute__((fallthrough));
    case EPT02_HIDDEN:
        hidden_step_l2(cpu, ngpa, ept12_address(&walk, ngpa), qualification & EPT_VIOLATION_WRITE);
        break;
    case EPT02_FILLED: break;
    }
    vmcs02_load_ept(cpu, vmcs12);
    reinject_interrupted_event(qualification & EPT_VIOLATION_NMI_UNBLOCKED);
}
