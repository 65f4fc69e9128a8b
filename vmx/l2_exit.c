#include "l2_exit.h"

#include "capabilities.h"
#include "check.h"
#include "direct.h"
#include "ept_violation.h"
#include "instructions.h"
#include "l1_host.h"
#include "l2.h"
#include "msr_list.h"
#include "operand.h"
#include "route.h"
#include "shadow12.h"
#include "vmcs02.h"
#include "vmfunc.h"
#include "../hv/epoch.h"
#include "../hv/exit.h"
#include "../hv/hidden.h"
#include "../hv/inject.h"
#include "../hv/l0.h"
#include "../hv/log.h"
#include "../hv/panic.h"
#include "../hv/record.h"
#include "../hv/vmcs.h"
#include "../hv/vmcs01.h"

bool l2_launched(const struct cpu *cpu) { return cpu->nested.current->launched; }

bool l2_wants_mtf(const struct cpu *cpu)
{
    return cpu->nested.current->vmcs12->cpu_based_vm_exec_control & CPU_BASED_MONITOR_TRAP_FLAG;
}

/* L1 injected a pending MTF VM exit: vmcs12's copy is from the entry. */
static bool mtf_injected(const struct vmcs12 *vmcs12)
{
    return (vmcs12->vm_entry_intr_info_field & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
           (INTR_INFO_VALID_MASK | INTR_TYPE_OTHER);
}

/* What the exit left in vmcs02, if that is not where L1 finds it. */
static void save_exit_information(struct vmcs12 *vmcs12)
{
    if (l0.has_shadowing)
        return;
#define X(field, member) vmcs12->member = (__typeof__(vmcs12->member))vmread_basic(field);
    DIRECT_INFORMATION(X)
#undef X
}

/* Exit information that is L0's: SDM vol. 3, "Recording VM-Exit Information and Updating VM-Entry
   Control Fields". vmcs02 is current. */
static void record(struct vmcs02 *slot, enum vmcs_field field, u64 value)
{
    if (l0.has_shadowing)
        vmwrite_basic(field, value);
    else
        vmcs12_set(slot->vmcs12, field_lookup(field), false, value);
}

/* Of L2's EPT violations L1 sees the addresses of its own. */
static inline __attribute__((always_inline)) void settle_address(struct vmcs02 *slot, u32 reason)
{
    struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!slot->new_address)
        return;
    slot->new_address = false;
    if (reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG)
        vmcs12->guest_physical_address = vmread(GUEST_PHYSICAL_ADDRESS);
    else if (direct_has(GUEST_PHYSICAL_ADDRESS))
        vmwrite(GUEST_PHYSICAL_ADDRESS, vmcs12->guest_physical_address);
}

static bool is_nmi(u64 intr_info)
{
    return (intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI;
}

/* A step over hidden memory is vmcs02's: it must not outlive L2's turn. vmcs02 is current. */
static void end_hidden_step(struct cpu *cpu)
{
    if (cpu->step & STEP_HIDDEN)
        hidden_step_end(cpu);
}

/* vmcs02 loads CET state at the one entry that is not to come now. It is current. */
static void end_cet_load(struct cpu *cpu)
{
    if (cpu->loads_cet)
        vmcs_cet_loaded(cpu);
}

/* From vmcs02, in which L1 finds nothing of L0's, to vmcs01. */
static inline __attribute__((always_inline)) void return_to_l1(struct cpu *cpu, u32 reason)
{
    struct vmcs02 *slot = cpu->nested.current;

    settle_address(slot, reason);
    vmcs02_give_back(slot);
    slot->vmcs12->host_rsp = vmread_basic(HOST_RSP);
    vmcs02_leave(cpu, slot);
    cpu->in_l2 = false;
    epoch_set_walking(cpu, false);
}

/* The exit information is what L1 is to see; vmcs02 is current. */
static void leave_l2(struct cpu *cpu, u32 reason, bool nmi)
{
    struct vmcs02 *slot = cpu->nested.current;
    struct vmcs12 *vmcs12 = slot->vmcs12;
    struct l2_leftover leftover = {.efer = 0};
    bool stored = true;

    if (!slot->plain_exit) {
        leftover = l1_host_read_leftover(vmcs12);
        stored = msr_list_store(vmcs12->vm_exit_msr_store_addr, vmcs12->vm_exit_msr_store_count);
    } else if (!(vmcs12->vm_exit_controls & VM_EXIT_LOAD_IA32_EFER)) {
        leftover.efer = vmread_basic(GUEST_IA32_EFER);
    }
    leftover.nmi_blocked |= nmi;
    vmcs02_save(slot);
    end_hidden_step(cpu);
    if (!slot->plain_exit)
        shadow12_store(cpu, slot);
    vmcs12->launch_state = 1;
    return_to_l1(cpu, reason);
    if (stored)
        l1_host_load(cpu, slot, &leftover);
    else
        l1_host_abort(cpu, slot, VMX_ABORT_SAVE_GUEST_MSR_FAIL);
}

void l2_pass_on(struct cpu *cpu, u32 reason)
{
    save_exit_information(cpu->nested.current->vmcs12);
    leave_l2(cpu, reason,
             reason == EXIT_REASON_EXCEPTION_NMI && is_nmi(vmread_basic(VM_EXIT_INTR_INFO)));
}

void l2_exit_to_l1(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct vmcs02 *slot = cpu->nested.current;

    save_exit_information(slot->vmcs12);
    if ((vmread_basic(VM_EXIT_REASON) & EXIT_REASON_BASIC_MASK) != reason)
        record(slot, VM_EXIT_REASON, reason);
    record(slot, EXIT_QUALIFICATION, qualification);
    leave_l2(cpu, reason, false);
}

/* The last exit of L2 was another one, if it has run at all: vmcs02 still has its information. */
static void exit_by_l0(struct cpu *cpu, u32 reason, u32 intr_info, u32 error_code)
{
    struct vmcs02 *slot = cpu->nested.current;

    end_cet_load(cpu);
    save_exit_information(slot->vmcs12);
    record(slot, VM_EXIT_REASON, reason);
    record(slot, EXIT_QUALIFICATION, 0);
    record(slot, VM_EXIT_INTR_INFO, intr_info);
    record(slot, VM_EXIT_INTR_ERROR_CODE, error_code);
    record(slot, IDT_VECTORING_INFO_FIELD, 0);
    leave_l2(cpu, reason, is_nmi(intr_info));
}

void l2_exit_event_to_l1(struct cpu *cpu, u32 intr_info, u32 error_code)
{
    exit_by_l0(cpu, EXIT_REASON_EXCEPTION_NMI, intr_info, error_code);
}

/* What the MSR area put into vmcs02 was not there when the guest state was checked. */
static void forget_loaded_msrs(const struct vmcs12 *vmcs12)
{
    if (vmcs12->vm_entry_msr_load_count)
        direct_load(vmcs12);
}

/* An NMI that L0 was to inject into L2 comes after the entry that the processor has refused. */
static void keep_nmi(struct cpu *cpu)
{
    u64 info = vmread_basic(VM_ENTRY_INTR_INFO_FIELD);

    if (cpu->nested.current->event_borrowed && (info & INTR_INFO_VALID_MASK) && is_nmi(info))
        cpu->nmi_waiting = true;
}

/* L1's host state is loaded; the guest state in vmcs12 stays as it was, as does the rest. */
void l2_entry_failed(struct cpu *cpu, u32 reason, u64 qualification)
{
    struct vmcs02 *slot = cpu->nested.current;
    struct l2_leftover leftover = l1_host_read_leftover(slot->vmcs12);

    record_entry_failed(cpu, reason, qualification);
    leftover.nmi_blocking_is_l2s = leftover.nmi_blocked = false;
    end_cet_load(cpu);
    keep_nmi(cpu);
    forget_loaded_msrs(slot->vmcs12);
    record(slot, VM_EXIT_REASON, reason | VMX_EXIT_REASONS_FAILED_VMENTRY);
    record(slot, EXIT_QUALIFICATION, qualification);
    return_to_l1(cpu, reason);
    /* Nothing is loaded of guest state that nobody has found valid. */
    if (reason != EXIT_REASON_MSR_LOAD_FAIL) {
        leftover.efer = vmread(GUEST_IA32_EFER);
        leftover.pat = vmread(GUEST_IA32_PAT);
    }
    vmcs02_forget(slot);
    l1_host_load(cpu, slot, &leftover);
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
    exit_by_l0(cpu, EXIT_REASON_INIT, 0, 0);
}

void l2_entry_vmfail(struct cpu *cpu, u64 error)
{
    log_warn_once("core %u: the processor refused vmcs02 with VM-instruction error %lu, which the "
                  "checks of vmcs12 did not foresee",
                  cpu->index, error);
    end_hidden_step(cpu);
    end_cet_load(cpu);
    keep_nmi(cpu);
    forget_loaded_msrs(cpu->nested.current->vmcs12);
    vmcs02_forget(cpu->nested.current);
    return_to_l1(cpu, EXIT_REASON_INVALID_STATE);
    vm_fail(cpu, VMXERR_ENTRY_INVALID_CONTROL_FIELD);
}

/* #GP(0) in L2 for an instruction that L0 emulates: L1 may want to see it. */
static void l2_gp(struct cpu *cpu)
{
    vmcs_change(GUEST_RFLAGS, RFLAGS_RF, RFLAGS_RF);
    if (vmread(EXCEPTION_BITMAP) & BIT(VECTOR_GP)) {
        l2_exit_event_to_l1(cpu,
                            INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION |
                                INTR_INFO_DELIVER_CODE_MASK | VECTOR_GP,
                            0);
    } else {
        vmcs02_borrow_event(cpu->nested.current);
        inject_gp();
    }
}

static void handle_msr(struct cpu *cpu, u32 reason)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    bool write = reason == EXIT_REASON_MSR_WRITE;

    if (route_msr_to_l1(vmcs12, pool_va(l0.msr_bitmap01), (u32)cpu->gpr[RCX], write))
        l2_pass_on(cpu, reason);
    else if (!(write ? emulate_wrmsr(cpu) : emulate_rdmsr(cpu)))
        l2_gp(cpu);
    else if (l2_wants_mtf(cpu))
        l2_exit_to_l1(cpu, EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}

static void handle_cr(struct cpu *cpu)
{
    struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    u64 qualification = vmread(EXIT_QUALIFICATION);
    u32 reg = qualification >> 8 & 15;
    u64 value = reg == RSP ? vmread(GUEST_RSP) : cpu->gpr[reg];

    vmcs12->cr4_read_shadow = vmread(CR4_READ_SHADOW);
    if (route_cr_to_l1(vmcs12, qualification, value))
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
    struct vmx_operand operand = operand_decode_field(cpu);
    u64 encoding = operand_register(cpu, &operand, operand.reg2);

    if (shadow12_exits_to_l1(cpu->nested.current->vmcs12, encoding, reason == EXIT_REASON_VMWRITE))
        l2_pass_on(cpu, reason);
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
    case EXIT_REASON_EPT_VIOLATION:
        cpu->nested.current->new_address = true;
        l2_ept_violation(cpu);
        break;
    case EXIT_REASON_VMFUNC: l2_vmfunc(cpu); break;
    case EXIT_REASON_EPT_MISCONFIG: panic("EPT02 is misconfigured"); break;
    case EXIT_REASON_INIT:
        if (!init_was_kick(cpu))
            l2_pass_on(cpu, basic);
        else if (cpu->init_pending)
            l2_pending_init(cpu); /* the step over an event has ended without it */
        break;
    case EXIT_REASON_MONITOR_TRAP_FLAG:
        if (l2_wants_mtf(cpu) || mtf_injected(cpu->nested.current->vmcs12))
            l2_pass_on(cpu, basic);
        else if (cpu->init_pending)
            l2_pending_init(cpu);
        break;
    default: l2_pass_on(cpu, basic); break;
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

    if (!(vmcs12->pin_based_vm_exec_control & PIN_BASED_NMI_EXITING)) {
        vmcs02_borrow_event(cpu->nested.current);
        return false;
    }
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
