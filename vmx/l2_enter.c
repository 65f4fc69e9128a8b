#include "l2.h"

#include "check.h"
#include "ept_violation.h"
#include "instructions.h"
#include "l2_exit.h"
#include "msr_list.h"
#include "slots.h"
#include "vmcs02.h"
#include "../hv/epoch.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/trap.h"
#include "../hv/vmcs.h"
#include "../hv/vmcs01.h"
#include "../mm/ept02.h"

/* Primary controls that L1 may set and clear as it likes: no check looks at them. */
static u32 free_controls(void)
{
    u64 allowed = l0.caps.true_proc;

    return CPU_BASED_VIRTUAL_INTR_PENDING & (u32)(allowed >> 32) & ~(u32)allowed;
}

/* What the checks of controls look at of what lives in vmcs02. */
static void refresh_controls(struct vmcs12 *vmcs12)
{
    u32 info = (u32)vmread_basic(VM_ENTRY_INTR_INFO_FIELD);

    /* Without the feature there need not be such a field. */
    if (vmcs12->cpu_based_vm_exec_control & (l0.caps.true_proc >> 32) & CPU_BASED_TPR_SHADOW)
        vmcs12->tpr_threshold = vmread32(TPR_THRESHOLD);
    vmcs12->vm_entry_intr_info_field = info;
    if (!(info & INTR_INFO_VALID_MASK))
        return;
    vmcs12->vm_entry_exception_error_code = (u32)vmread_basic(VM_ENTRY_EXCEPTION_ERROR_CODE);
    vmcs12->vm_entry_instruction_len = (u32)vmread_basic(VM_ENTRY_INSTRUCTION_LEN);
    vmcs12->guest_cr0 = vmread_basic(GUEST_CR0);
}

/* What forget_logged(), load_guest_msrs(), flush_shared_vpid() and shadow12_load() are for. */
static bool is_plain_entry(const struct vmcs12 *vmcs12)
{
    return vmcs02_has_own_vpid(vmcs12) &&
           !(vmcs12->vm_entry_controls & VM_ENTRY_LOAD_PERF_GLOBAL_CTRL) &&
           !vmcs12->vm_entry_msr_load_count &&
           !(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_SHADOW_VMCS);
}

#define EXIT_LOADS (VM_EXIT_LOAD_IA32_PAT | VM_EXIT_HOST_ADDR_SPACE_SIZE)
#define EXIT_RARE                                                                                  \
    (VM_EXIT_SAVE_IA32_EFER | VM_EXIT_SAVE_IA32_PAT | VM_EXIT_SAVE_PERF_GLOBAL_CTRL |              \
     VM_EXIT_LOAD_PERF_GLOBAL_CTRL | VM_EXIT_CLEAR_UINV | VM_EXIT_LOAD_IA32_PKRS |                 \
     VM_EXIT_LOAD_CET_STATE)

/* Nothing but IA32_EFER is left over of L2, and nothing rare is saved or loaded. */
static bool is_plain_exit(const struct vmcs12 *vmcs12)
{
    return (vmcs12->vm_exit_controls & (EXIT_LOADS | EXIT_RARE)) == EXIT_LOADS &&
           (vmcs12->pin_based_vm_exec_control & PIN_BASED_VIRTUAL_NMIS) &&
           !(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) &&
           !vmcs12->vm_exit_msr_store_count && !vmcs12->vm_exit_msr_load_count;
}

static __attribute__((noinline)) enum vm_instruction_error check_all(struct vmcs02 *slot,
                                                                     bool l1_long_mode)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    enum vm_instruction_error error = check_controls(vmcs12, &l0.caps);

    if (!error)
        error = check_host_state(vmcs12, &l0.caps, l1_long_mode);
    slot->checked = !error;
    slot->checked_proc = vmcs12->cpu_based_vm_exec_control;
    slot->plain_entry = is_plain_entry(vmcs12);
    slot->plain_exit = slot->plain_entry && is_plain_exit(vmcs12);
    return error;
}

/* What was valid and has not been written since is not looked at again. */
static inline enum vm_instruction_error check_controls_and_host(struct vmcs02 *slot,
                                                                bool l1_long_mode)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    u32 changed = vmcs12->cpu_based_vm_exec_control ^ slot->checked_proc;
    enum vm_instruction_error error;

    refresh_controls(slot->vmcs12);
    if (!slot->checked || (changed & ~free_controls()))
        return check_all(slot, l1_long_mode);
    error = check_frequent_controls(vmcs12, &l0.caps);
    if (!error && !host_mode_valid(vmcs12, l1_long_mode))
        error = VMXERR_ENTRY_INVALID_HOST_STATE_FIELD;
    return error;
}

/* SDM vol. 3, "Basic VM-Entry Checks". */
static enum vm_instruction_error check_basics(const struct vmcs12 *vmcs12, bool launch)
{
    if (vmread_basic(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_MOV_SS)
        return VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS;
    if (launch == !vmcs12->launch_state)
        return VMXERR_NONE;
    return launch ? VMXERR_VMLAUNCH_NONCLEAR_VMCS : VMXERR_VMRESUME_NONLAUNCHED_VMCS;
}

/* L0 loads this one, not vmcs02; whether that is to be is a control, not guest state. */
static bool perf_global_refused(const struct vmcs12 *vmcs12)
{
    return (vmcs12->vm_entry_controls & VM_ENTRY_LOAD_PERF_GLOBAL_CTRL) &&
           (vmcs12->guest_ia32_perf_global_ctrl & l0.caps.perf_global_reserved);
}

/* L2 may exit to L1 before the processor has checked its state. */
static bool exits_at_once(const struct cpu *cpu) { return cpu->init_pending || cpu->nmi_waiting; }

/*
 * Guest state that L1 has not written since it was last checked is the processor's to check:
 * vmcs02 holds just that, and its answer reaches L1. Not so where it is not asked first, where MSRs
 * are loaded before, where it allows what L1 is not offered, and where vmcs02 needs PDPTEs from
 * memory.
 */
static bool check_guest(struct cpu *cpu, struct vmcs02 *slot, u64 pdpte[4], u64 *qualification)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!slot->guest_dirty && !exits_at_once(cpu) && !vmcs12->vm_entry_msr_load_count &&
        !vmcs02_uses_pae(vmcs12) && !slot->newer_pdptes &&
        vmcs12->vmcs_link_pointer == NO_ADDRESS && !(vmread_basic(GUEST_CR4) & l0.hidden_cr4) &&
        !perf_global_refused(vmcs12))
        return true;
    vmcs02_save_guest(slot);
    return check_guest_state(vmcs12, &l0.caps, slot->vmcs12_pa, pdpte, qualification);
}

/* The last part of VM entry, with vmcs02 current. 0, or the number of the failing MSR. */
static u64 load_guest_msrs(const struct vmcs12 *vmcs12)
{
    if (vmcs12->vm_entry_controls & VM_ENTRY_LOAD_PERF_GLOBAL_CTRL)
        wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, vmcs12->guest_ia32_perf_global_ctrl);
    return msr_list_load(vmcs12->vm_entry_msr_load_addr, vmcs12->vm_entry_msr_load_count);
}

/* An L2 that shares L1's VPID, see vmcs02: nothing of L1's may be left when it starts. */
static void flush_shared_vpid(const struct vmcs12 *vmcs12)
{
    if ((vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_VPID) && !vmcs02_has_own_vpid(vmcs12))
        vmcs01_flush_translations();
}

/*
 * Without VPIDs an entry empties the translation caches, and with them what EPT02 stands for: pages
 * whose dirty flag L1 has cleared are logged anew, INVEPT or not.
 */
static void forget_logged(struct cpu *cpu, const struct vmcs12 *vmcs12)
{
    u32 secondary = vmcs12_secondary(vmcs12);

    if (!(secondary & SECONDARY_EXEC_ENABLE_PML) || (secondary & SECONDARY_EXEC_ENABLE_VPID))
        return;
    cpu->nested.invept = true;
    vmcs02_flush_eptp12(vmcs12->ept_pointer);
}

/* What L1 has changed in its EPTs is seen from this entry on, where it is seen on a processor that
   fills its caches anew. */
static void follow_invept(struct cpu *cpu)
{
    if (!cpu->nested.invept)
        return;
    cpu->nested.invept = false;
    ept02_sync(&l0.ept02);
}

/* SDM vol. 3, "VM Entries", in its order. vmcs02 is current. */
static void enter(struct cpu *cpu, struct vmcs02 *slot, const struct l1_state *l1)
{
    u64 pdpte[4] = {0};
    u64 failure;

    if (!check_guest(cpu, slot, pdpte, &failure)) {
        l2_entry_failed(cpu, EXIT_REASON_INVALID_STATE, failure);
        return;
    }
    if (!slot->plain_entry)
        forget_logged(cpu, slot->vmcs12);
    follow_invept(cpu);
    /* A core that waits for a SIPI walks nothing, and does not exit when it is asked to. */
    epoch_set_walking(cpu, vmread_basic(GUEST_ACTIVITY_STATE) != ACTIVITY_WAIT_FOR_SIPI);
    vmcs02_load(cpu, slot, l1, pdpte);
    cpu->in_l2 = true;
    if (cpu->walks_ept02)
        l2_fill_missing(cpu);
    if (!slot->plain_entry) {
        failure = load_guest_msrs(slot->vmcs12);
        if (failure) {
            l2_entry_failed(cpu, EXIT_REASON_MSR_LOAD_FAIL, failure);
            return;
        }
        flush_shared_vpid(slot->vmcs12);
    }
    if (cpu->init_pending)
        l2_pending_init(cpu);
}

void l2_enter(struct cpu *cpu, bool launch)
{
    struct vmcs02 *slot = cpu->nested.current;
    enum vm_instruction_error error = check_basics(slot->vmcs12, launch);
    struct l1_state l1;

    if (error) {
        vm_fail(cpu, error);
        return;
    }
    slots_release(cpu, slot->vmcs12->vmcs_link_pointer);
    l1 = vmcs02_read_l1_state(slot->vmcs12);
    vmcs02_enter(slot);
    error = check_controls_and_host(slot, l1.efer & EFER_LMA);
    if (!error) {
        enter(cpu, slot, &l1);
        return;
    }
    vmcs02_leave(cpu, slot);
    vm_fail(cpu, error);
}
