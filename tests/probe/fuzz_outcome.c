/* What came out of the fuzzer's VM entries: hashed, and printed where entries are looked at. */
#include "fuzz.h"

#define HASH_START 0xcbf29ce484222325
#define HASH_PRIME 0x100000001b3

u64 fuzz_hash;
bool fuzz_shown;

void fuzz_note(const char *name, u64 value)
{
    fuzz_hash = (fuzz_hash ^ value) * HASH_PRIME;
    fuzz_hash ^= fuzz_hash >> 29;
    if (fuzz_shown)
        say(" %s=%p", name, (void *)value);
}

static void note_field(const char *name, u32 field) { fuzz_note(name, vm_read(field)); }

static void note_event(const char *name, u32 info_field, u32 error_field)
{
    u64 info = vm_read(info_field);

    if (!(info & INTR_INFO_VALID_MASK))
        return;
    fuzz_note(name, info);
    if (info & INTR_INFO_DELIVER_CODE_MASK)
        note_field("err", error_field);
}

/*
 * Where it is defined, and not a stale displacement, which Bochs leaves there for instructions
 * that have no memory operand.
 */
static bool qualification_compared(u32 reason)
{
    switch (reason) {
    case EXIT_REASON_EPT_MISCONFIG: return false;
    case EXIT_REASON_VMREAD:
    case EXIT_REASON_VMWRITE:
    case EXIT_REASON_GDTR_IDTR:
    case EXIT_REASON_LDTR_TR: return !(vm_read(VMX_INSTRUCTION_INFO) & BIT(10));
    case EXIT_REASON_VMCALL:
    case EXIT_REASON_VMLAUNCH:
    case EXIT_REASON_VMRESUME:
    case EXIT_REASON_VMOFF: return false;
    default: return true;
    }
}

static void note_exit_information(u32 reason)
{
    u64 qualification = vm_read(EXIT_QUALIFICATION);
    u32 info = (u32)vm_read(VMX_INSTRUCTION_INFO);

    if (qualification_compared(reason))
        fuzz_note("qual", defined_qualification(reason));
    if (reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG)
        note_field("gpa", GUEST_PHYSICAL_ADDRESS);
    if (guest_linear_defined(reason, qualification))
        note_field("gla", GUEST_LINEAR_ADDRESS);
    if (length_defined(reason))
        note_field("len", VM_EXIT_INSTRUCTION_LEN);
    info &= instruction_info_defined(reason, info);
    if (info)
        fuzz_note("ii", info);
    note_event("intr", VM_EXIT_INTR_INFO, VM_EXIT_INTR_ERROR_CODE);
    note_event("idtv", IDT_VECTORING_INFO_FIELD, IDT_VECTORING_ERROR_CODE);
}

/* Fields that L1 reads without an exit where there is VMCS shadowing. */
static void note_hot_state(void)
{
    note_field("rip", GUEST_RIP);
    note_field("rsp", GUEST_RSP);
    note_field("fl", GUEST_RFLAGS);
    note_field("cr0", GUEST_CR0);
    note_field("cr3", GUEST_CR3);
    note_field("cr4", GUEST_CR4);
    note_field("block", GUEST_INTERRUPTIBILITY_INFO);
    note_field("act", GUEST_ACTIVITY_STATE);
    note_field("dbg", GUEST_PENDING_DBG_EXCEPTIONS);
    note_field("csar", GUEST_CS_AR_BYTES);
    note_field("ssar", GUEST_SS_AR_BYTES);
    note_field("event", VM_ENTRY_INTR_INFO_FIELD);
}

static const struct {
    const char *name;
    u32 field;
} rare_fields[] = {
#define X(name, encoding, member, needs) {#name, encoding},
    VMCS12_FIELDS(X)
#undef X
};

/* Not what measures time, and two MSRs that Bochs does not save: SDM vol. 3, 28.3.1. */
static bool is_compared(u32 field)
{
    return VMCS_FIELD_TYPE(field) == VMCS_TYPE_GUEST && field != VMX_PREEMPTION_TIMER_VALUE &&
           field != GUEST_IA32_DEBUGCTL && field != GUEST_IA32_PERF_GLOBAL_CTRL;
}

static bool is_pdpte(u32 field) { return field >= GUEST_PDPTR0 && field <= GUEST_PDPTR3; }

static bool guest_has_pdptes(void)
{
    return (vm_read(GUEST_CR0) & CR0_PG) && (vm_read(GUEST_CR4) & CR4_PAE) &&
           !(vm_read(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE) && guest_flags & WITH_EPT;
}

static void note_all_state(void)
{
    bool pdptes = guest_has_pdptes();

    for (u32 i = 0; i < ARRAY_SIZE(rare_fields); i++) {
        u32 field = rare_fields[i].field;

        if (is_compared(field) && (pdptes || !is_pdpte(field)))
            note_field(rare_fields[i].name, field);
    }
    note_field("entry", VM_ENTRY_CONTROLS);
}

static u64 read_dr(u32 n)
{
    u64 value = 0;

    switch (n) {
    case 0: __asm__ volatile("mov %%dr0, %0" : "=r"(value)); break;
    case 1: __asm__ volatile("mov %%dr1, %0" : "=r"(value)); break;
    case 2: __asm__ volatile("mov %%dr2, %0" : "=r"(value)); break;
    case 3: __asm__ volatile("mov %%dr3, %0" : "=r"(value)); break;
    case 6: __asm__ volatile("mov %%dr6, %0" : "=r"(value)); break;
    default: __asm__ volatile("mov %%dr7, %0" : "=r"(value)); break;
    }
    return value;
}

static u64 selector(u32 n)
{
    u64 value = 0;

    switch (n) {
    case 0: __asm__ volatile("mov %%es, %0" : "=r"(value)); break;
    case 1: __asm__ volatile("mov %%fs, %0" : "=r"(value)); break;
    case 2: __asm__ volatile("mov %%gs, %0" : "=r"(value)); break;
    default: __asm__ volatile("str %0" : "=r"(value)); break;
    }
    return value;
}

/* L1's own state after an exit. */
static void note_host(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) gdtr, idtr;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    fuzz_note("hgdt", gdtr.limit);
    fuzz_note("hidt", idtr.limit);
    fuzz_note("hfl", exec.rflags);
    fuzz_note("hrsp", exec.gpr[RSP]);
    fuzz_note("hcr0", read_cr0());
    fuzz_note("hcr2", read_cr2());
    fuzz_note("hcr4", read_cr4());
    for (u32 i = 0; i < 8; i++)
        if (i != 4 && i != 5)
            fuzz_note("hdr", read_dr(i));
    for (u32 i = 0; i < 4; i++)
        fuzz_note("hsel", selector(i));
    fuzz_note("hdebugctl", read_msr(MSR_IA32_DEBUGCTL));
    for (u32 i = 0; i < fuzz_msr_count; i++)
        fuzz_note("hmsr", read_msr(fuzz_msrs[i]));
}

static void note_registers(void)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        if (i != RSP)
            fuzz_note(names[i], exec.gpr[i]);
}

/* What the guest, or the delivery of an event, pushed. */
static void note_stack(void)
{
    u64 at = vm_read(GUEST_RSP) & ~7ull;

    for (u32 i = 0; i < 6 && at + 8 * i < L2_PAGES * PAGE_SIZE - 8; i++)
        fuzz_note("stack", *(u64 *)guest_memory((u32)at + 8 * i));
}

/* Of several things wrong in the guest's state any may be found first. SDM vol. 3, 27.8. */
static void note_failed_entry(u32 reason)
{
    if ((reason & EXIT_REASON_BASIC_MASK) != EXIT_REASON_INVALID_STATE ||
        vm_read(VMCS_LINK_POINTER) == ~0ull)
        note_field("qual", EXIT_QUALIFICATION);
    note_host();
}

static enum fuzz_end note_exit(void)
{
    u32 reason = (u32)vm_read(VM_EXIT_REASON);

    fuzz_note("exit", reason);
    if (reason == EXIT_REASON_PREEMPTION_TIMER)
        return FUZZ_WATCHDOG;
    if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
        note_failed_entry(reason);
        return FUZZ_FAILED;
    }
    note_exit_information(reason & EXIT_REASON_BASIC_MASK);
    note_hot_state();
    note_registers();
    note_stack();
    note_host();
    if (fuzz_one_in(24))
        note_all_state();
    return FUZZ_EXITED;
}

enum fuzz_end fuzz_note_entry(void)
{
    switch (exec.end) {
    case EXEC_EXITED: return note_exit();
    case EXEC_RETURNED:
        fuzz_note("flags", exec.rflags);
        if (exec.rflags & RFLAGS_ZF)
            note_field("error", VM_INSTRUCTION_ERROR);
        return FUZZ_FAILED;
    default:
        fuzz_note("vector", exec.vector);
        fuzz_note("code", exec.error);
        fuzz_note("cr2", exec.cr2);
        return FUZZ_FAILED;
    }
}

static u64 hash_page(u64 hash, const u64 *page)
{
#pragma GCC unroll 8
    for (u32 i = 0; i < PAGE_SIZE / sizeof(*page); i++)
        hash = (hash ^ page[i]) * HASH_PRIME;
    return hash;
}

void fuzz_note_memory(void)
{
    for (u32 slot = 0; slot < FUZZ_SLOTS; slot++) {
        if (!fuzz_slots[slot].built)
            continue;
        fuzz_select(slot);
        for (u32 i = 0; i < L2_PAGES; i++) {
            char name[16];

            format_text(name, sizeof(name), "m%u.%x", slot, i);
            fuzz_note(name, hash_page(HASH_START, (u64 *)guest_memory(i << PAGE_SHIFT)));
        }
    }
    for (u32 i = 0; i < 8 * FUZZ_EPT_SLOTS; i++)
        fuzz_note("ept", hash_page(HASH_START, (u64 *)arena_page(PAGE_FUZZ_EPT + i)));
    fuzz_note("ve", hash_page(HASH_START, (u64 *)arena_page(PAGE_FUZZ_VE)));
    fuzz_note("pml", hash_page(HASH_START, (u64 *)arena_page(PAGE_PML)));
    fuzz_note("vapic", hash_page(HASH_START, (u64 *)arena_page(PAGE_VIRTUAL_APIC)));
    fuzz_note("store", hash_page(HASH_START, (u64 *)arena_page(PAGE_MSR_EXIT_STORE)));
    fuzz_note("apic", hash_page(HASH_START, (u64 *)arena_page(PAGE_APIC_ACCESS)));
}
