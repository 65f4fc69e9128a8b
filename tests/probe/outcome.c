/* What came out of a row, in words: only what the SDM defines for the case at hand. */
#include "probe.h"

#define AR_L BIT(13)

static const char *const exception_names[] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
    "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

/* Exceptions that push an error code. */
#define WITH_ERROR_CODE                                                                            \
    (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17) | BIT(21))

static void say_vector(u64 vector)
{
    if (vector < ARRAY_SIZE(exception_names))
        say("%s", exception_names[vector]);
    else
        say("vector %lu", vector);
}

void say_fault(void)
{
    say_vector(exec.vector);
    if (exec.vector < 32 && (WITH_ERROR_CODE >> exec.vector & 1))
        say("(%lx)", exec.error);
    if (exec.vector == VECTOR_PF)
        say(" cr2 %p", (void *)exec.cr2);
    if (exec.rip - exec.code <= exec.code_length)
        say(" at +%lx", exec.rip - exec.code);
}

void say_vmfail(u8 status)
{
    exec.rflags = (status & 1 ? RFLAGS_CF : 0) | (status & 2 ? RFLAGS_ZF : 0);
    say_flags(exec.rflags);
}

/* VMX instructions clear all six arithmetic flags but the one that tells of the failure. */
void say_flags(u64 rflags)
{
    u64 other = rflags & (RFLAGS_PF | RFLAGS_AF | RFLAGS_SF | RFLAGS_OF);

    if (rflags & RFLAGS_CF)
        say("VMfailInvalid");
    else if (rflags & RFLAGS_ZF)
        say("VMfailValid %lu", vm_read(VM_INSTRUCTION_ERROR));
    else
        say("VMsucceed");
    if ((rflags & RFLAGS_CF && rflags & RFLAGS_ZF) || other)
        say(" flags %lx", rflags);
}

void say_exec(void)
{
    switch (exec.end) {
    case EXEC_RETURNED: say_flags(exec.rflags); break;
    case EXEC_FAULTED: say_fault(); break;
    case EXEC_EXITED: say_exit(); break;
    }
}

static bool guest_in_64bit_code(void)
{
    return (vm_read(GUEST_CS_AR_BYTES) & AR_L) &&
           (vm_read(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE);
}

/* The bits of the instruction information that are defined for this reason, SDM vol. 3, 28.2.5. */
u32 instruction_info_defined(u32 reason, u32 info)
{
    const u32 scaling = 3, reg1 = 0xf << 3, address_size = 7 << 7, is_register = BIT(10);
    const u32 operand_size = BIT(11), segment = 7 << 15, index = 0xf << 18, no_index = BIT(22);
    const u32 base = 0xf << 23, no_base = BIT(27), reg2 = 0xfu << 28, identity = 3 << 28;
    u32 memory = address_size | segment | no_index | no_base;

    if (!(info & no_index))
        memory |= scaling | index;
    if (!(info & no_base))
        memory |= base;
    switch (reason) {
    case EXIT_REASON_IO_INSTRUCTION: {
        u64 qualification = vm_read(EXIT_QUALIFICATION);

        if (!(qualification & BIT(4)))
            return 0;
        return qualification & BIT(3) ? address_size : address_size | segment;
    }
    case EXIT_REASON_INVEPT:
    case EXIT_REASON_INVVPID:
    case EXIT_REASON_INVPCID: return memory | is_register | reg2;
    case EXIT_REASON_GDTR_IDTR:
        if (guest_in_64bit_code())
            return memory | is_register | identity;
        return memory | is_register | operand_size | identity;
    case EXIT_REASON_LDTR_TR: return (info & is_register ? reg1 : memory) | is_register | identity;
    case EXIT_REASON_RDRAND:
    case EXIT_REASON_RDSEED:
    case EXIT_REASON_UMWAIT:
    case EXIT_REASON_TPAUSE: return reg1 | 3 << 11;
    case EXIT_REASON_VMCLEAR:
    case EXIT_REASON_VMPTRLD:
    case EXIT_REASON_VMPTRST:
    case EXIT_REASON_VMON:
    case EXIT_REASON_XSAVES:
    case EXIT_REASON_XRSTORS: return memory | is_register;
    case EXIT_REASON_VMREAD:
    case EXIT_REASON_VMWRITE: return (info & is_register ? reg1 : memory) | is_register | reg2;
    default: return 0;
    }
}

static bool is_software(u32 info)
{
    u32 type = info & INTR_INFO_INTR_TYPE_MASK;

    return (info & INTR_INFO_VALID_MASK) &&
           (type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
            type == INTR_TYPE_SOFT_EXCEPTION);
}

/* SDM vol. 3, 28.2.5: for which exits the instruction length is defined. */
bool length_defined(u32 reason)
{
    if (is_software((u32)vm_read(IDT_VECTORING_INFO_FIELD)))
        return true;
    switch (reason) {
    case EXIT_REASON_EXCEPTION_NMI: return is_software((u32)vm_read(VM_EXIT_INTR_INFO));
    case EXIT_REASON_TASK_SWITCH: {
        u64 qualification = vm_read(EXIT_QUALIFICATION);

        return qualification >> 30 != 3; /* CALL, IRET, JMP */
    }
    case EXIT_REASON_IO_INSTRUCTION:
    case EXIT_REASON_MSR_READ:
    case EXIT_REASON_MSR_WRITE:
    case EXIT_REASON_MWAIT_INSTRUCTION:
    case EXIT_REASON_MONITOR_INSTRUCTION:
    case EXIT_REASON_PAUSE_INSTRUCTION:
    case EXIT_REASON_GDTR_IDTR:
    case EXIT_REASON_LDTR_TR:
    case EXIT_REASON_INVEPT:
    case EXIT_REASON_RDTSCP:
    case EXIT_REASON_INVVPID:
    case EXIT_REASON_WBINVD:
    case EXIT_REASON_XSETBV:
    case EXIT_REASON_RDRAND:
    case EXIT_REASON_INVPCID:
    case EXIT_REASON_VMFUNC:
    case EXIT_REASON_RDSEED:
    case EXIT_REASON_XSAVES:
    case EXIT_REASON_XRSTORS:
    case EXIT_REASON_UMWAIT:
    case EXIT_REASON_TPAUSE: return true;
    default:
        return reason >= EXIT_REASON_CPUID && reason <= EXIT_REASON_DR_ACCESS &&
               reason != EXIT_REASON_RSM;
    }
}

static void say_event(const char *name, u32 info_field, u32 error_field)
{
    u32 info = (u32)vm_read(info_field);

    if (!(info & INTR_INFO_VALID_MASK))
        return;
    say(" %s %x", name, info);
    if (info & INTR_INFO_DELIVER_CODE_MASK)
        say(" err %x", (u32)vm_read(error_field));
}

/*
 * Where the guest stands: an offset from the code it was started at, or a handler of its IDT.
 */
static void say_rip(void)
{
    u64 rip = vm_read(GUEST_RIP) +
              (guest_mode == GUEST_REAL || guest_mode == GUEST_V86 ? vm_read(GUEST_CS_BASE) : 0);

    if (rip >= L2_HANDLERS && rip < L2_HANDLERS + 256 * L2_HANDLER_SIZE)
        say(" rip handler %lu", (rip - L2_HANDLERS) / L2_HANDLER_SIZE);
    else if (rip - guest_entry < PAGE_SIZE)
        say(" rip +%lx", rip - guest_entry);
    else
        say(" rip %lx", rip);
}

static void say_guest_state(void)
{
    u64 rflags = vm_read(GUEST_RFLAGS), pending = vm_read(GUEST_PENDING_DBG_EXCEPTIONS);
    u64 blocking = vm_read(GUEST_INTERRUPTIBILITY_INFO), activity = vm_read(GUEST_ACTIVITY_STATE);

    say_rip();
    if (rflags != RFLAGS_FIXED)
        say(" fl %lx", rflags);
    if (blocking)
        say(" block %lx", blocking);
    if (activity)
        say(" act %lx", activity);
    if (pending)
        say(" dbg %lx", pending);
}

/* Bit 6 of an EPT violation's qualification, defined with mode-based execute control, apart: Bochs
   has it wrong for some accesses. */
static bool mode_based_violation(u32 reason)
{
    return reason == EXIT_REASON_EPT_VIOLATION && feature_offered(FEATURE_MODE_BASED_EXECUTE) &&
           vm_read(SECONDARY_VM_EXEC_CONTROL) & SECONDARY_EXEC_MODE_BASED_EPT_EXEC;
}

/* Advanced VM-exit information is defined for the translation of a linear address's final one. */
u64 defined_qualification(u32 reason)
{
    const u64 translated = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
    u64 qualification = vm_read(EXIT_QUALIFICATION);

    if (reason == EXIT_REASON_EPT_VIOLATION && ((qualification & translated) != translated ||
                                                !feature_offered(FEATURE_EPT_ADVANCED_EXIT_INFO)))
        qualification &= ~EPT_VIOLATION_ADVANCED;
    if (mode_based_violation(reason))
        qualification &= ~(EPT_VIOLATION_EXEC_USER | EPT_VIOLATION_SHADOW_STACK);
    return qualification;
}

static void say_user_execute(u32 reason)
{
    if (mode_based_violation(reason))
        say(" xu %u", (u32)(vm_read(EXIT_QUALIFICATION) >> 6 & 1));
}

static bool qualification_defined(u32 reason) { return reason != EXIT_REASON_EPT_MISCONFIG; }

bool guest_linear_defined(u32 reason, u64 qualification)
{
    switch (reason) {
    case EXIT_REASON_EPT_VIOLATION: return qualification & EPT_VIOLATION_LINEAR_VALID;
    case EXIT_REASON_IO_INSTRUCTION: return qualification & BIT(4);
    case EXIT_REASON_CR_ACCESS:
        return (qualification & CONTROL_REG_ACCESS_TYPE) == 0x30 && qualification & BIT(6);
    default: return false;
    }
}

static void say_addresses(u32 reason)
{
    if (reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG)
        say(" gpa %p", (void *)vm_read(GUEST_PHYSICAL_ADDRESS));
    if (guest_linear_defined(reason, vm_read(EXIT_QUALIFICATION)))
        say(" gla %p", (void *)vm_read(GUEST_LINEAR_ADDRESS));
}

static void say_what(u32 reason)
{
    u32 info;

    if (qualification_defined(reason))
        say(" qual %p", (void *)defined_qualification(reason));
    say_user_execute(reason);
    say_addresses(reason);
    if (length_defined(reason))
        say(" len %lu", vm_read(VM_EXIT_INSTRUCTION_LEN));
    info = (u32)vm_read(VMX_INSTRUCTION_INFO);
    info &= instruction_info_defined(reason, info);
    if (info)
        say(" ii %x", info);
    say_event("intr", VM_EXIT_INTR_INFO, VM_EXIT_INTR_ERROR_CODE);
    say_event("idtv", IDT_VECTORING_INFO_FIELD, IDT_VECTORING_ERROR_CODE);
}

static void say_reason(u32 reason)
{
    say("exit %u", reason & EXIT_REASON_BASIC_MASK);
    if (reason & ~EXIT_REASON_BASIC_MASK)
        say("|%x", reason & ~EXIT_REASON_BASIC_MASK);
}

void say_exit(void)
{
    u32 reason = (u32)vm_read(VM_EXIT_REASON);

    say_reason(reason);
    if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
        /* Nothing else of the exit information is written. SDM vol. 3, 27.8. */
        say(" qual %p", (void *)vm_read(EXIT_QUALIFICATION));
        return;
    }
    say_what(reason & EXIT_REASON_BASIC_MASK);
    say_guest_state();
}

static const char *const register_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                             "r12", "r13", "r14", "r15"};

void say_changed_registers(const struct exec *before)
{
    for (u32 i = 0; i < ARRAY_SIZE(register_names); i++)
        if (i != RSP && exec.gpr[i] != before->gpr[i])
            say(" %s=%p", register_names[i], (void *)exec.gpr[i]);
}
