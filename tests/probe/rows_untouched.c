/* Which of two failures wins, and everything else that an entry or exit leaves as it was. */
#include "guest_rows.h"

/* ---- two things wrong at once. SDM vol. 3, 27.1 to 27.4 */

#define BAD_CONTROL CLEAR(PIN_BASED_VM_EXEC_CONTROL, 0x16)
#define BAD_TARGETS SET(CR3_TARGET_COUNT, 300)
#define BAD_HOST    SET(HOST_CR4, 0)
#define BAD_RIP     SET(HOST_RIP, 0x8000000000000000)
#define BAD_GUEST   SET(GUEST_RFLAGS, 0)
#define BAD_LINK    SET(VMCS_LINK_POINTER, 0x10)
#define BAD_STATE   SET(GUEST_ACTIVITY_STATE, 77)
#define BAD_LIST    SET(VM_ENTRY_MSR_LOAD_COUNT, 1)
#define BAD_EVENT   SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | 0x7000)

static void put_bad_msr(void)
{
    *(struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD) =
        (struct vmx_msr_entry){MSR_IA32_FS_BASE, 0, 0};
}

static const struct guest_row order_rows[] = {
    {.name = "controls, host", .edits = {BAD_CONTROL, BAD_HOST}},
    {.name = "controls, guest", .edits = {BAD_CONTROL, BAD_GUEST}},
    {.name = "controls, host, guest, list", .edits = {BAD_CONTROL, BAD_HOST, BAD_GUEST, BAD_LIST}},
    {.name = "event, host", .edits = {BAD_EVENT, BAD_HOST}},
    {.name = "event, guest", .edits = {BAD_EVENT, BAD_GUEST}},
    {.name = "cr3 targets, host rip", .edits = {BAD_TARGETS, BAD_RIP}},
    {.name = "host, guest", .edits = {BAD_HOST, BAD_GUEST}},
    {.name = "host rip, guest", .edits = {BAD_RIP, BAD_GUEST}},
    {.name = "host, list", .edits = {BAD_HOST, BAD_LIST}},
    {.name = "guest, list", .edits = {BAD_GUEST, BAD_LIST}},
    {.name = "link, list", .edits = {BAD_LINK, BAD_LIST}},
    {.name = "state, list", .edits = {BAD_STATE, BAD_LIST}},
    {.name = "guest, link", .edits = {BAD_GUEST, BAD_LINK}},
    {.name = "guest, state", .edits = {BAD_GUEST, BAD_STATE}},
    {.name = "list alone", .edits = {BAD_LIST}},
};

static void order_all_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(order_rows); i++) {
        struct guest_row what = order_rows[i];

        what.code = "nop";
        what.prepare = put_bad_msr;
        guest_rows("order", &what, 1);
    }
}

/* ---- every field and every register that a row could change without being meant to */

#define FIELDS_MAX 256

static u64 fields_before[FIELDS_MAX];

static void note_fields(void)
{
    u32 encoding;

    for (u32 i = 0; i < FIELDS_MAX && field_at(i, &encoding); i++)
        fields_before[i] = encoding ? vm_read(encoding) : 0;
}

/* What an exit leaves undefined: SDM vol. 3, 28.2. */
static bool defined_after_exit(u32 encoding)
{
    switch (encoding) {
    case GUEST_LINEAR_ADDRESS:
    case GUEST_PHYSICAL_ADDRESS:
    case VMX_INSTRUCTION_INFO:
    case VM_EXIT_INSTRUCTION_LEN:
    case VM_EXIT_INTR_ERROR_CODE:
    case IDT_VECTORING_ERROR_CODE: return false;
    default: return !(encoding >= IO_RCX && encoding <= IO_RIP);
    }
}

static bool is_failed_entry(void)
{
    return exec.end == EXEC_RETURNED || vm_read(VM_EXIT_REASON) & VMX_EXIT_REASONS_FAILED_VMENTRY;
}

static void say_changed_fields(void)
{
    bool all = is_failed_entry();
    u32 encoding;

    for (u32 i = 0; i < FIELDS_MAX && field_at(i, &encoding); i++) {
        if (!encoding || (!all && !defined_after_exit(encoding)))
            continue;
        if (vm_read(encoding) != fields_before[i])
            say(" %x=%p", encoding, (void *)vm_read(encoding));
    }
}

struct registers {
    u64 cr0, cr2, cr3, cr4, dr7, efer, pat, debugctl, sysenter[3], fs, gs, kernel_gs, star, lstar;
    u64 gdt_base, idt_base;
    u16 gdt_limit, idt_limit, es, ss, ds, tr;
};

static void note_registers(struct registers *now)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) gdtr, idtr;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    __asm__ volatile("mov %%dr7, %0" : "=r"(now->dr7));
    __asm__ volatile("mov %%es, %0; mov %%ss, %1; mov %%ds, %2; str %3"
                     : "=r"(now->es), "=r"(now->ss), "=r"(now->ds), "=r"(now->tr));
    now->cr0 = read_cr0();
    now->cr2 = read_cr2();
    now->cr3 = read_cr3();
    now->cr4 = read_cr4();
    now->efer = read_msr(MSR_IA32_EFER);
    now->pat = read_msr(MSR_IA32_PAT);
    now->debugctl = read_msr(MSR_IA32_DEBUGCTL);
    now->sysenter[0] = read_msr(MSR_IA32_SYSENTER_CS);
    now->sysenter[1] = read_msr(MSR_IA32_SYSENTER_ESP);
    now->sysenter[2] = read_msr(MSR_IA32_SYSENTER_EIP);
    now->fs = read_msr(MSR_IA32_FS_BASE);
    now->gs = read_msr(MSR_IA32_GS_BASE);
    now->kernel_gs = read_msr(MSR_IA32_KERNEL_GS_BASE);
    now->star = read_msr(MSR_IA32_STAR);
    now->lstar = read_msr(MSR_IA32_LSTAR);
    now->gdt_base = gdtr.base;
    now->gdt_limit = gdtr.limit;
    now->idt_base = idtr.base;
    now->idt_limit = idtr.limit;
}

/* By their place in the structure: it is compared between runs, not read. */
static void say_changed_words(const struct registers *before, const struct registers *now)
{
    const u64 *old = (const u64 *)before, *new = (const u64 *)now;

    for (u32 i = 0; i < sizeof(*before) / 8; i++)
        if (old[i] != new[i])
            say(" r%u=%p", i, (void *)new[i]);
}

/* Values in the machine and in the host state that differ, so that a load shows. */
static void make_unlike(void)
{
    write_msr(MSR_IA32_SYSENTER_CS, 0x1111);
    write_msr(MSR_IA32_SYSENTER_ESP, 0x2222);
    write_msr(MSR_IA32_SYSENTER_EIP, 0x3333);
    write_msr(MSR_IA32_FS_BASE, 0x4444);
    write_msr(MSR_IA32_GS_BASE, 0x5555);
    __asm__ volatile("mov %0, %%dr7" ::"r"(0x700ull));
    __asm__ volatile("mov %0, %%cr2" ::"r"(0x6666ull));
    vm_write(HOST_FS_BASE, 0x7777);
    vm_write(HOST_IA32_SYSENTER_CS, 0x8888);
}

static void untouched_row(const struct guest_row *what, const char *code, bool launched)
{
    struct registers before = {0}, now = {0};
    struct exec registers;

    if (!row(STATE_VMCS, "untouched.%s", what->name))
        return;
    guest_setup(GUEST_64, what->flags & EPT_ONLY ? WITH_EPT : 0);
    for (u32 i = 0; i < ARRAY_SIZE(what->edits); i++)
        edit_apply(&what->edits[i]);
    if (!controls_offered())
        return;
    guest_code(what->code ? what->code : "nop");
    if (what->prepare)
        what->prepare();
    if (launched) {
        /* Leaves exit information behind, of an exit that has much of it. */
        u64 rflags = vm_read(GUEST_RFLAGS);

        vm_write(GUEST_RFLAGS, RFLAGS_FIXED);
        guest_run(true);
        vm_write(GUEST_RFLAGS, rflags);
        vm_write(GUEST_RIP, guest_entry);
    }
    make_unlike();
    note_fields();
    note_registers(&before);
    registers = exec;
    exec_code(code);
    note_registers(&now);
    say_exec();
    if (exec.end == EXEC_RETURNED)
        say_changed_registers(&registers);
    say_changed_fields();
    say_changed_words(&before, &now);
    row_end();
}

static const struct guest_row failure_rows[] = {
    {.name = "controls", .edits = {BAD_TARGETS}},
    {.name = "event", .edits = {BAD_EVENT}},
    {.name = "host", .edits = {BAD_HOST}},
    {.name = "host rip", .edits = {BAD_RIP}},
    {.name = "guest",
     .edits = {BAD_GUEST, SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | 0x202)}},
    {.name = "link", .edits = {BAD_LINK}},
    {.name = "state", .edits = {BAD_STATE}},
    {.name = "list", .edits = {BAD_LIST}, .prepare = put_bad_msr},
};

static const struct guest_row success_rows[] = {
    {.name = "vmcall", .code = "nop"},
    {.name = "cpuid", .code = "cpuid"},
    {.name = "hlt", .code = "hlt", .edits = {PROC(CPU_BASED_HLT_EXITING)}},
    {.name = "exception", .code = "ud2", .edits = {SET(EXCEPTION_BITMAP, BIT(VECTOR_UD))}},
    {.name = "page fault",
     .code = "read absent",
     .edits = {SET(EXCEPTION_BITMAP, BIT(VECTOR_PF)), MEMORY(L2_PT + 8 * 0x30, 0)}},
    {.name = "triple fault", .code = "ud2", .edits = {SET(GUEST_IDTR_LIMIT, 0)}},
    {.name = "timer",
     .code = "nop",
     .edits = {PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, 0)}},
    {.name = "mtf", .code = "nops", .edits = {PROC(CPU_BASED_MONITOR_TRAP_FLAG)}},
    {.name = "string output",
     .code = "outsb",
     .edits = {PROC(CPU_BASED_UNCOND_IO_EXITING), REG(RDX, 0x80), REG(RSI, 0x3000)}},
    {.name = "cr3 load", .code = "mov cr3, xax", .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING)}},
    {.name = "rdmsr", .code = "rdmsr", .edits = {REG(RCX, 0x174)}},
    {.name = "injected",
     .code = "nop",
     .edits = {SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | 6),
               SET(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x55), SET(VM_ENTRY_INSTRUCTION_LEN, 3)}},
    {.name = "interrupt window",
     .code = "nop",
     .edits = {OR(GUEST_RFLAGS, RFLAGS_IF), PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "segments loaded", .code = "load selectors"},
};

static void untouched_rows(void)
{
    struct guest_row what;
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(failure_rows); i++) {
        what = failure_rows[i];
        untouched_row(&what, "vmlaunch", false);
    }
    for (u32 i = 0; i < ARRAY_SIZE(success_rows); i++)
        for (u32 ept = 0; ept < 2; ept++) {
            what = success_rows[i];
            format_text(name, sizeof(name), "%s%s", what.name, ept ? ".ept" : "");
            what.name = name;
            what.flags = ept ? EPT_ONLY : 0;
            if (!ept || feature_offered(FEATURE_EPT))
                untouched_row(&what, "vmlaunch", false);
        }
    what = (struct guest_row){.name = "vmlaunch of launched",
                              .code = "outsb",
                              .edits = {PROC(CPU_BASED_UNCOND_IO_EXITING)}};
    untouched_row(&what, "vmlaunch", true);
    what = (struct guest_row){.name = "vmresume, bad guest",
                              .code = "outsb",
                              .edits = {PROC(CPU_BASED_UNCOND_IO_EXITING), BAD_GUEST}};
    untouched_row(&what, "vmresume", true);
    what = (struct guest_row){.name = "vmresume, bad link",
                              .code = "outsb",
                              .edits = {PROC(CPU_BASED_UNCOND_IO_EXITING)}};
    untouched_row(&what, "vmresume", true);
}

/* ---- the VM-instruction error stays until another takes its place */

static void error_rows(void)
{
    if (row(STATE_VMCS, "error.stays over success")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_load(arena_address(PAGE_VMCS2) + 1);
        say("%lu", vm_read(VM_INSTRUCTION_ERROR));
        guest_run(true);
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_write(GUEST_RFLAGS, 0);
        guest_run(false);
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_load(arena_address(PAGE_VMCS2));
        vm_load(arena_address(PAGE_VMCS));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        row_end();
    }
    if (row(STATE_VMCS, "error.each takes the last one's place")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_read(0x6836);
        say("%lu", vm_read(VM_INSTRUCTION_ERROR));
        guest_run(false);
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_write(HOST_CR4, 0);
        guest_run(true);
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_clear(arena_address(PAGE_VMXON));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_on(arena_address(PAGE_VMXON));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        row_end();
    }
}

void rows_untouched(void)
{
    order_all_rows();
    untouched_rows();
    error_rows();
}
