#include "l2_exit.h"

#include "check.h"
#include "ept_violation.h"
#include "instructions.h"
#include "l1_host.h"
#include "l2.h"
#include "msr_list.h"
#include "operand.h"
#include "route.h"
#include "shadow12.h"
#include "shadow_vmcs.h"
#include "vmcs02.h"
#include "vmfunc.h"
#include "../hv/epoch.h"
#include "../hv/exit.h"
#include "../hv/hidden.h"
#include "../hv/inject.h"
#include "../hv/l0.h"
#include "../hv/log.h"
#include "../hv/panic.h"
#include "../hv/vmcs.h"

bool l2_launched(const struct cpu *cpu) { return cpu->nested.current->launched; }

bool l2_wants_mtf(const struct cpu *cpu)
{
    return cpu->nested.current->vmcs12->cpu_based_vm_exec_control & CPU_BASED_MONITOR_TRAP_FLAG;
}

/* L1 injected a pending MTF VM exit; the field is valid until L1 has an exit. */
static bool mtf_injected(const struct vmcs12 *vmcs12)
{
    return (vmcs12->vm_entry_intr_info_field & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
           (INTR_INFO_VALID_MASK | INTR_TYPE_OTHER);
}

/* SDM vol. 3, "Recording VM-Exit Information and Updating VM-Entry Control Fields". */
static void save_exit_information(struct vmcs12 *vmcs12, u32 reason, u64 qualification)
{
    vmcs12->vm_exit_reason = reason;
    vmcs12->exit_qualification = qualification;
    vmcs12->vm_exit_intr_info = (u32)vmread_basic(VM_EXIT_INTR_INFO);
    vmcs12->vm_exit_intr_error_code = (u32)vmread_basic(VM_EXIT_INTR_ERROR_CODE);
    vmcs12->idt_vectoring_info_field = (u32)vmread_basic(IDT_VECTORING_INFO_FIELD);
    vmcs12->idt_vectoring_error_code = (u32)vmread_basic(IDT_VECTORING_ERROR_CODE);
    vmcs12->vm_exit_instruction_len = (u32)vmread_basic(VM_EXIT_INSTRUCTION_LEN);
    vmcs12->vmx_instruction_info = (u32)vmread_basic(VMX_INSTRUCTION_INFO);
    vmcs12->guest_linear_address = vmread_basic(GUEST_LINEAR_ADDRESS);
    if (reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG)
        vmcs12->guest_physical_address = vmread(GUEST_PHYSICAL_ADDRESS);
    vmcs12->vm_entry_intr_info_field &= ~INTR_INFO_VALID_MASK;
}

static bool is_nmi_exit(const struct vmcs12 *vmcs12)
{
    return vmcs12->vm_exit_reason == EXIT_REASON_EXCEPTION_NMI &&
           (vmcs12->vm_exit_intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI;
}

/* A step over hidden memory is vmcs02's: it must not outlive L2's turn. vmcs02 is current. */
static void end_hidden_step(struct cpu *cpu)
{
    if (cpu->step & STEP_HIDDEN)
        hidden_step_end(cpu);
}

/* The guest part of vmcs12 is up to date; vmcs02 is current. */
static void leave_l2(struct cpu *cpu)
{
    struct vmcs02 *slot = cpu->nested.current;
    struct vmcs12 *vmcs12 = slot->vmcs12;
    struct l2_leftover leftover = l1_host_read_leftover(vmcs12);
    bool stored = msr_list_store(vmcs12->vm_exit_msr_store_addr, vmcs12->vm_exit_msr_store_count);

    end_hidden_step(cpu);
    shadow12_store(cpu, slot);
    vmcs12->launch_state = 1;
    leftover.nmi_blocked |= is_nmi_exit(vmcs12);
    vmcs_switch(cpu->vmcs01_pa);
    cpu->in_l2 = false;
    epoch_set_walking(cpu, false);
    if (stored)
        l1_host_load(cpu, slot, &leftover);
    else
        l1_host_abort(cpu, slot, VMX_ABORT_SAVE_GUEST_MSR_FAIL);
    shadow_vmcs_load(cpu, slot);
}

void l2_exit_to_l1(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct vmcs02 *slot = cpu->nested.current;

    vmcs02_save(slot);
    save_exit_information(slot->vmcs12, reason, qualification);
    leave_l2(cpu);
}

void l2_exit_event_to_l1(struct cpu *cpu, u32 intr_info, u32 error_code)
{
    struct vmcs02 *slot = cpu->nested.current;

    vmcs02_save(slot);
    save_exit_information(slot->vmcs12, EXIT_REASON_EXCEPTION_NMI, 0);
    slot->vmcs12->vm_exit_intr_info = intr_info;
    slot->vmcs12->vm_exit_intr_error_code = error_code;
    slot->vmcs12->idt_vectoring_info_field = 0; /* vmcs02 still has the last exit's */
    leave_l2(cpu);
}

/* L1's host state is loaded; the guest state in vmcs12 stays as it was, as does the rest. */
void l2_entry_failed(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct vmcs02 *slot = cpu->nested.current;
    struct l2_leftover leftover = {.efer = 0};

    if (cpu->in_l2) {
        leftover = l1_host_read_leftover(slot->vmcs12);
        if (slot->guest_stale)
            vmcs02_save_rare_guest(slot);
        leftover.nmi_blocking_is_l2s = leftover.nmi_blocked = false;
        vmcs_switch(cpu->vmcs01_pa);
        cpu->in_l2 = false;
        epoch_set_walking(cpu, false);
    }
    /* Nothing is loaded of guest state that is not valid, whoever has found it. */
    if (reason == EXIT_REASON_INVALID_STATE) {
        leftover.efer = vmread(GUEST_IA32_EFER);
        leftover.pat = vmread(GUEST_IA32_PAT);
    }
    slot->vmcs12->vm_exit_reason = reason | VMX_EXIT_REASONS_FAILED_VMENTRY;
    slot->vmcs12->exit_qualification = qualification;
    /* vmcs02 may hold what vmcs12 does not: load all of it again next time. */
    slot->controls_dirty = true;
    slot->guest_dirty = true;
    slot->guest_stale = false;
    l1_host_load(cpu, slot, &leftover);
    shadow_vmcs_load(cpu, slot);
}

static void step_over_event(struct cpu *cpu)
{
    set_monitor_trap(true);
    cpu->step |= STEP_EVENT;
}

void l2_pending_init(struct cpu *cpu)
{
    if (vmread(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK) {
        step_over_event(cpu);
        return;
    }
    cpu->init_pending = false;
    l2_exit_to_l1(cpu, EXIT_REASON_INIT, 0);
}

void l2_entry_vmfail(struct cpu *cpu, u64 error)
{
    log_warn_once("core %u: the processor refused vmcs02 with VM-instruction error %lu, which the "
                  "checks of vmcs12 did not foresee",
                  cpu->index, error);
    end_hidden_step(cpu);
    vmcs_switch(cpu->vmcs01_pa);
    cpu->in_l2 = false;
    epoch_set_walking(cpu, false);
    shadow_vmcs_load(cpu, cpu->nested.current);
    vm_fail(cpu, VMXERR_ENTRY_INVALID_CONTROL_FIELD);
}

/* #GP(0) in L2 for an instruction that L0 emulates: L1 may want to see it. */
static void l2_gp(struct cpu *cpu)
{
    vmcs_change(GUEST_RFLAGS, RFLAGS_RF, RFLAGS_RF);
    if (cpu->nested.current->vmcs12->exception_bitmap & BIT(VECTOR_GP))
        l2_exit_event_to_l1(cpu,
                            INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION |
                                INTR_INFO_DELIVER_CODE_MASK | VECTOR_GP,
                            0);
    else
        inject_gp();
}

static void handle_msr(struct cpu *cpu, u32 reason)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    bool write = reason == EXIT_REASON_MSR_WRITE;

    if (route_msr_to_l1(vmcs12, pool_va(l0.msr_bitmap01), (u32)cpu->gpr[RCX], write))
        l2_exit_to_l1(cpu, reason, vmread(EXIT_QUALIFICATION));
    else if (!(write ? emulate_wrmsr(cpu) : emulate_rdmsr(cpu)))
        l2_gp(cpu);
    else if (l2_wants_mtf(cpu))
        l2_exit_to_l1(cpu, EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}

static void handle_cr(struct cpu *cpu)
{
    u64 qualification = vmread(EXIT_QUALIFICATION);
    u32 reg = qualification >> 8 & 15;
    u64 value = reg == RSP ? vmread(GUEST_RSP) : cpu->gpr[reg];

    if (route_cr_to_l1(cpu->nested.current->vmcs12, qualification, value))
        l2_exit_to_l1(cpu, EXIT_REASON_CR_ACCESS, qualification);
    else
        l2_gp(cpu); /* a CR4 bit that is reserved for L1, too */
}

/* VMREAD or VMWRITE that fails, as the processor's would: SDM vol. 3, "VMX Instruction Reference".
   A memory operand is not looked at. The number goes to the current VMCS, which vmcs02 is. */
static void fail_field_access(struct cpu *cpu)
{
    if (AR_DPL(vmread32(GUEST_SS_AR_BYTES))) {
        l2_gp(cpu);
        return;
    }
    if (cpu->nested.current->vmcs12->vmcs_link_pointer == NO_ADDRESS) {
        vm_finish(RFLAGS_CF);
    } else {
        vmwrite(VM_INSTRUCTION_ERROR, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
        vm_finish(RFLAGS_ZF);
    }
    if (l2_wants_mtf(cpu))
        l2_exit_to_l1(cpu, EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}

static void handle_field_access(struct cpu *cpu, u32 reason)
{
    u64 encoding = operand_register(cpu, operand_decode(cpu).reg2);

    if (shadow12_exits_to_l1(cpu->nested.current->vmcs12, encoding, reason == EXIT_REASON_VMWRITE))
        l2_exit_to_l1(cpu, reason, vmread(EXIT_QUALIFICATION));
    else
        fail_field_access(cpu);
}

void l2_exit(struct cpu *cpu, u32 reason)
{
    u32 basic = reason & EXIT_REASON_BASIC_MASK;

    if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
        l2_entry_failed(cpu, basic, vmread(EXIT_QUALIFICATION));
        return;
    }
    if (basic < EXIT_REASON_COUNT)
        cpu->exits_l2[basic]++;
    cpu->nested.current->launched = true;
    switch (basic) {
    case EXIT_REASON_MSR_READ:
    case EXIT_REASON_MSR_WRITE: handle_msr(cpu, basic); break;
    case EXIT_REASON_CR_ACCESS: handle_cr(cpu); break;
    case EXIT_REASON_VMREAD:
    case EXIT_REASON_VMWRITE: handle_field_access(cpu, basic); break;
    case EXIT_REASON_EPT_VIOLATION: l2_ept_violation(cpu); break;
    case EXIT_REASON_VMFUNC: l2_vmfunc(cpu); break;
    case EXIT_REASON_EPT_MISCONFIG: panic("EPT02 is misconfigured"); break;
    case EXIT_REASON_INIT:
        if (!init_was_kick(cpu))
            l2_exit_to_l1(cpu, basic, vmread(EXIT_QUALIFICATION));
        break;
    case EXIT_REASON_MONITOR_TRAP_FLAG:
        if (l2_wants_mtf(cpu) || mtf_injected(cpu->nested.current->vmcs12))
            l2_exit_to_l1(cpu, basic, vmread(EXIT_QUALIFICATION));
        else if (cpu->init_pending)
            l2_pending_init(cpu);
        break;
    default: l2_exit_to_l1(cpu, basic, vmread(EXIT_QUALIFICATION)); break;
    }
}

/* Without virtual NMIs L2's blocking by NMI is the processor's. */
static bool l2_blocks_nmi(const struct vmcs12 *vmcs12)
{
    return !(vmcs12->pin_based_vm_exec_control & PIN_BASED_VIRTUAL_NMIS) &&
           (vmread(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI);
}

bool l2_nmi_exits(struct cpu *cpu)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;

    if (!(vmcs12->pin_based_vm_exec_control & PIN_BASED_NMI_EXITING))
        return false;
    if (vmread(GUEST_ACTIVITY_STATE) == ACTIVITY_WAIT_FOR_SIPI)
        return true;
    if ((vmread(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK) || l2_blocks_nmi(vmcs12)) {
        step_over_event(cpu);
        return true;
    }
    cpu->nmi_waiting = false;
    l2_exit_event_to_l1(cpu, INTR_INFO_VALID_MASK | INTR_TYPE_NMI | VECTOR_NMI, 0);
    return true;
}
