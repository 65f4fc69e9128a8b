#include "inject.h"

#include "insn.h"
#include "vmcs.h"

#define PENDING_DEBUG_BS BIT64(14)
#define DEBUGCTL_BTF     BIT64(1)

/* A fault pushes RF = 1, so that the instruction can be run again past a breakpoint on it. SDM
   vol. 3, "Instruction-Breakpoint Exception Condition". */
void inject_fault(u32 vector)
{
    u32 number = vector & INTR_INFO_VECTOR_MASK;

    if (number != VECTOR_DB && number != VECTOR_DF)
        vmcs_change(GUEST_RFLAGS, RFLAGS_RF, RFLAGS_RF);
    vmwrite(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | vector);
}

void inject_fault_code(u32 vector, u32 error_code)
{
    /* In real mode exceptions have no error code. */
    if (!(vmread(GUEST_CR0) & CR0_PE)) {
        inject_fault(vector);
        return;
    }
    inject_fault(vector | INTR_INFO_DELIVER_CODE_MASK);
    vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, error_code);
}

void inject_page_fault(u64 address, u32 error_code)
{
    write_cr2(address);
    inject_fault_code(VECTOR_PF, error_code);
}

static bool guest_in_64bit_code(void) { return vmread(GUEST_CS_AR_BYTES) & AR_L_MASK; }

void skip_instruction_with_flags(u64 mask, u64 flags)
{
    u64 rip = vmread(GUEST_RIP);
    u64 next = rip + vmread(VM_EXIT_INSTRUCTION_LEN);
    u64 blocking = vmread(GUEST_INTERRUPTIBILITY_INFO);
    u64 before = vmread(GUEST_RFLAGS);
    u64 rflags = (before & ~mask & ~(u64)RFLAGS_RF) | flags;

    if ((rip ^ next) >> 32 && !guest_in_64bit_code())
        next = (u32)next;
    vmwrite(GUEST_RIP, next);
    if (blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
        vmwrite(GUEST_INTERRUPTIBILITY_INFO,
                blocking & ~(u64)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
    if (rflags != before)
        vmwrite(GUEST_RFLAGS, rflags);
    if ((rflags & RFLAGS_TF) && !(vmread(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF))
        vmwrite(GUEST_PENDING_DBG_EXCEPTIONS,
                vmread(GUEST_PENDING_DBG_EXCEPTIONS) | PENDING_DEBUG_BS);
}

static bool type_has_length(u32 info)
{
    u32 type = info & INTR_INFO_INTR_TYPE_MASK;

    return type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
           type == INTR_TYPE_SOFT_EXCEPTION;
}

void reinject_interrupted_event(u64 nmi_unblocked)
{
    u32 info = vmread32(IDT_VECTORING_INFO_FIELD);

    if (!(info & INTR_INFO_VALID_MASK)) {
        if (nmi_unblocked)
            vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI, INTERRUPTIBILITY_NMI);
        return;
    }
    info &= ~INTR_INFO_NMI_UNBLOCKED;
    /* The injection of an NMI sets the blocking itself and must not find it set. */
    if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI)
        vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI, 0);
    if (info & INTR_INFO_DELIVER_CODE_MASK)
        vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, vmread(IDT_VECTORING_ERROR_CODE));
    if (type_has_length(info))
        vmwrite(VM_ENTRY_INSTRUCTION_LEN, vmread(VM_EXIT_INSTRUCTION_LEN));
    vmwrite(VM_ENTRY_INTR_INFO_FIELD, info);
}

void set_monitor_trap(bool on)
{
    vmcs_change(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_MONITOR_TRAP_FLAG,
                on ? CPU_BASED_MONITOR_TRAP_FLAG : 0);
}

void inject_waiting_nmi(struct cpu *cpu)
{
    u64 blocking = vmread(GUEST_INTERRUPTIBILITY_INFO);
    bool event = vmread(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK;

    if (vmread(GUEST_ACTIVITY_STATE) == ACTIVITY_WAIT_FOR_SIPI)
        return; /* NMIs wait too */
    if (!event &&
        !(blocking & (INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_STI))) {
        vmwrite(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_NMI | VECTOR_NMI);
        cpu->nmi_waiting = false;
        return;
    }
    /* One instruction (or the delivery of the event) later there is another chance. */
    set_monitor_trap(true);
    cpu->step |= STEP_EVENT;
}
