/*
 * A task switch by L1, which always exits (SDM vol. 3, "Instructions That Cause VM Exits
 * Unconditionally") and exists outside IA-32e mode only: made here as the processor would have.
 */
#include "exit.h"

#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "record.h"
#include "task_switch.h"
#include "vmcs.h"
#include "vmcs01.h"
#include "x86.h"
#include "../vmx/operand.h"

#define DR6_BREAKPOINTS 0xfull
#define DR6_BS          BIT64(14) /* also of the pending debug exceptions */
#define DR6_BT          BIT64(15)
#define DR7_GD          BIT64(13)
#define DEBUGCTL_LBR    BIT64(0)
#define DEBUGCTL_BTF    BIT64(1)

static struct task_switch task_switch_request(void)
{
    u64 qualification = vmread(EXIT_QUALIFICATION);
    struct task_switch request = {
        .selector = (u16)(qualification & TASK_SWITCH_SELECTOR),
        .source = qualification >> TASK_SWITCH_SOURCE_SHIFT & 3,
        .caps = &l0.hw,
    };

    if (request.source != TASK_SWITCH_GATE)
        return request;
    request.event = vmread32(IDT_VECTORING_INFO_FIELD);
    if (!(request.event & INTR_INFO_VALID_MASK))
        request.event = 0;
    if (request.event & INTR_INFO_DELIVER_CODE_MASK)
        request.error_code = vmread32(IDT_VECTORING_ERROR_CODE);
    return request;
}

/* EIP and RF are in the VMCS as the old task's TSS is to have them (SDM vol. 3, "Saving RIP, RSP,
   RFLAGS, and SSP"), but for an instruction's EIP, which the VMCS has before it. */
static bool by_instruction(const struct task_switch *request)
{
    return request->source != TASK_SWITCH_GATE || event_is_software(request->event);
}

static struct task_state capture(const struct cpu *cpu)
{
    struct task_state state = {
        .eip = vmread32(GUEST_RIP),
        .eflags = vmread32(GUEST_RFLAGS),
        .dr7 = vmread(GUEST_DR7),
        .gdtr = {.base = vmread(GUEST_GDTR_BASE), .limit = (u16)vmread32(GUEST_GDTR_LIMIT)},
        .paging = l1_paging(),
    };

    for (u32 i = 0; i < ARRAY_SIZE(state.gpr); i++)
        state.gpr[i] = i == RSP ? vmread32(GUEST_RSP) : (u32)cpu->gpr[i];
    for (u32 i = 0; i < SEG_COUNT; i++)
        state.segment[i] = (struct segment){
            .selector = (u16)vmread(GUEST_ES_SELECTOR + 2 * i),
            .limit = vmread32(GUEST_ES_LIMIT + 2 * i),
            .ar = vmread32(GUEST_ES_AR_BYTES + 2 * i),
            .base = vmread(GUEST_ES_BASE + 2 * i),
        };
    return state;
}

/* A CR3 that stays the same invalidates nothing. SDM vol. 3, "Operations that Invalidate TLBs and
   Paging-Structure Caches". */
static void write_cr3_of_task(const struct walk_context *paging)
{
    if (paging->cr3 == vmread(GUEST_CR3))
        return;
    vmwrite(GUEST_CR3, paging->cr3);
    if ((paging->cr0 & CR0_PG) && (paging->cr4 & CR4_PAE))
        vmcs_write_pdptes(paging->pdpte);
    vmcs01_flush_translations();
}

static void write_state(struct cpu *cpu, const struct task_state *state)
{
    for (u32 i = 0; i < ARRAY_SIZE(state->gpr); i++)
        if (i != RSP)
            cpu->gpr[i] = state->gpr[i];
    vmwrite(GUEST_RSP, state->gpr[RSP]);
    vmwrite(GUEST_RIP, state->eip);
    vmwrite(GUEST_RFLAGS, state->eflags);
    vmwrite(GUEST_DR7, state->dr7);
    vmcs_change(GUEST_CR0, CR0_TS, CR0_TS);
    write_cr3_of_task(&state->paging);
    vmcs01_write_segments(state->segment);
    vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS, 0);
}

/* An IRET unblocks NMIs even if it faults; an NMI that a task gate takes blocks them. */
static void update_nmi_blocking(const struct task_switch *request)
{
    if (request->source == TASK_SWITCH_IRET)
        vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI, 0);
    else if ((request->event & INTR_INFO_VALID_MASK) &&
             (request->event & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI)
        vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI, INTERRUPTIBILITY_NMI);
}

/* In the context that RIP and the segments are of now: the old task's or the new one's. */
static void deliver_fault(struct cpu *cpu, u32 event, const struct task_fault *fault)
{
    u32 vector = combined_vector(event, fault->vector);

    if (fault->vector == VECTOR_PF)
        write_cr2(fault->address);
    if (vector == VECTOR_SHUTDOWN) {
        exit_triple_fault(cpu);
    } else if (vector == VECTOR_DF) {
        inject_fault_code(VECTOR_DF, 0);
    } else {
        vmcs_change(GUEST_RFLAGS, RFLAGS_RF, RFLAGS_RF);
        inject_fault_code(vector, fault->error_code);
    }
}

/* The T flag's #DB can't be made pending: it is injected, and takes along what is. VM entry then
   leaves to L0 what the exception does to the debug registers. */
static void deliver_task_trap(void)
{
    u64 pending = vmread(GUEST_PENDING_DBG_EXCEPTIONS) & (DR6_BREAKPOINTS | DR6_BS);

    write_dr6(read_dr6() | DR6_BT | pending);
    vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
    vmcs_change(GUEST_DR7, DR7_GD, 0);
    vmcs_change(GUEST_IA32_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF, 0);
    inject_fault(VECTOR_DB);
}

/* The old task's TF traps after CALL, JMP or IRET: a branch, so also with DEBUGCTL.BTF. */
static void finish(const struct task_switch *request, const struct task_result *result, bool step)
{
    if (step && request->source != TASK_SWITCH_GATE)
        vmcs_change(GUEST_PENDING_DBG_EXCEPTIONS, DR6_BS, DR6_BS);
    if (result->debug_trap)
        deliver_task_trap();
}

void exit_task_switch(struct cpu *cpu)
{
    const struct task_switch request = task_switch_request();
    struct task_state state = capture(cpu);
    const bool step = state.eflags & RFLAGS_TF;
    struct task_result result;

    if (state.paging.cr4 & CR4_CET)
        deviation("core %u: task switch by L1 with CR4.CET leaves SSP as it is", cpu->index);
    if (by_instruction(&request))
        state.eip += vmread32(VM_EXIT_INSTRUCTION_LEN);
    update_nmi_blocking(&request);
    vmwrite(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
    result = task_switch(&request, &state);
    if (result.switched)
        write_state(cpu, &state);
    if (result.faulted)
        deliver_fault(cpu, request.event, &result.fault);
    else
        finish(&request, &result, step);
}
