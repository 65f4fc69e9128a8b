/* VMX instructions executed by the probe itself: every fault and every VMfail. */
#include "probe.h"

/* The memory operand of each instruction: what it does there, and what makes it valid. */
struct memory_instruction {
    const char *name;
    enum vmx_state state;
    u64 rax;
    bool writes;
    u32 size;
};

static const struct memory_instruction memory_instructions[] = {
    {"vmxon", STATE_OFF, 0, false, 8},
    {"vmclear", STATE_VMCS, 0, false, 8},
    {"vmptrld", STATE_VMCS, 0, false, 8},
    {"vmptrst", STATE_VMCS, 0, true, 8},
    {"vmread-mem", STATE_VMCS, GUEST_RIP, true, 8},
    {"vmwrite-mem", STATE_VMCS, GUEST_RIP, false, 8},
    {"invept", STATE_VMCS, INVEPT_ALL_CONTEXT, false, 16},
    {"invvpid", STATE_VMCS, INVVPID_ALL_CONTEXT, false, 16},
};

static bool instruction_offered(const struct memory_instruction *instruction)
{
    if (text_equal(instruction->name, "invept"))
        return row_needs(FEATURE_EPT);
    if (text_equal(instruction->name, "invvpid"))
        return row_needs(FEATURE_VPID);
    return true;
}

/* A valid operand at an address. */
static void put_operand(const struct memory_instruction *instruction, void *at)
{
    u64 value = 0x1122334455667788;

    if (text_equal(instruction->name, "vmxon"))
        value = arena_address(PAGE_VMXON);
    else if (text_equal(instruction->name, "vmclear") || text_equal(instruction->name, "vmptrld"))
        value = arena_address(PAGE_VMCS2);
    else if (instruction->size == 16)
        value = 0;
    memset(at, 0, instruction->size);
    memcpy(at, &value, 8);
}

static void say_memory(const struct memory_instruction *instruction, const void *at)
{
    u64 value;

    memcpy(&value, at, 8);
    if (instruction->writes)
        say(" stored %p", (void *)value);
}

/* ---- what the page of the operand can be */

struct page_case {
    const char *name;
    u64 first, second; /* entries of two pages in sequence; the operand is at offset */
    u32 offset;
    u64 cr0_off, cr4_on;
};

#define PTE_NORMAL (PTE_P | PTE_W | PTE_A | PTE_D)

static const struct page_case page_cases[] = {
    {"present", PTE_NORMAL, PTE_NORMAL, 0x100, 0, 0},
    {"not-present", 0, PTE_NORMAL, 0x100, 0, 0},
    {"read-only", PTE_P | PTE_A, PTE_NORMAL, 0x100, 0, 0},
    {"read-only-wp0", PTE_P | PTE_A, PTE_NORMAL, 0x100, CR0_WP, 0},
    {"reserved-bit", PTE_NORMAL | BIT64(51), PTE_NORMAL, 0x100, 0, 0},
    {"no-execute", PTE_NORMAL | PTE_NX, PTE_NORMAL, 0x100, 0, 0},
    {"user-page", PTE_NORMAL | PTE_U, PTE_NORMAL, 0x100, 0, 0},
    {"smap", PTE_NORMAL | PTE_U, PTE_NORMAL, 0x100, 0, CR4_SMAP},
    {"crossing", PTE_NORMAL, PTE_NORMAL, 0xffc, 0, 0},
    {"crossing-second-absent", PTE_NORMAL, 0, 0xffc, 0, 0},
    {"crossing-second-read-only", PTE_NORMAL, PTE_P | PTE_A, 0xffc, 0, 0},
    {"crossing-first-absent", 0, PTE_NORMAL, 0xffc, 0, 0},
    {"crossing-both-absent", 0, 0, 0xfff, 0, 0},
    {"last-bytes", PTE_NORMAL, 0, 0xff0, 0, 0},
    {"not-accessed", PTE_P | PTE_W, PTE_P | PTE_W, 0xff8, 0, 0},
};

static void memory_page_rows(const struct memory_instruction *instruction)
{
    for (u32 i = 0; i < ARRAY_SIZE(page_cases); i++) {
        const struct page_case *page = &page_cases[i];
        u8 *operand = arena_page(PAGE_WINDOW_DATA) + page->offset;

        if (!row(instruction->state, "op.%s.%s", instruction->name, page->name))
            continue;
        if (!instruction_offered(instruction))
            continue;
        if (page->cr4_on & ~read_msr(MSR_IA32_VMX_CR4_FIXED1)) {
            row_skip("smap");
            continue;
        }
        put_operand(instruction, operand);
        if (instruction->rax == GUEST_RIP)
            vm_write(GUEST_RIP, 0x8877665544332211);
        window_set(0, page->first);
        window_set(1, page->second);
        write_cr0(standard_cr0 & ~page->cr0_off);
        write_cr4(standard_cr4 | page->cr4_on);
        exec.gpr[RAX] = instruction->rax;
        exec.gpr[RCX] = WINDOW_BASE + page->offset;
        exec_code(instruction->name);
        say_exec();
        say_memory(instruction, operand);
        if (text_equal(page->name, "not-accessed"))
            say(" pte %lx %lx", window_bits(0), window_bits(1));
        row_end();
    }
}

/* ---- how the operand's address is formed */

struct address_case {
    const char *name; /* and prefix of the code's name */
    const char *prefix;
    u64 fs, gs;
    u64 rbp, rcx, rdx, r9, r12, r13;
};

#define HERE               (WINDOW_BASE + 0x800)
#define NOT_CANONICAL      0x0000800000000000ull
#define NOT_CANONICAL_HIGH 0xffff7ffffffffff0ull

static const struct address_case address_cases[] = {
    {.name = "fs-base", .prefix = "fs:", .fs = WINDOW_BASE, .rcx = 0x800},
    {.name = "gs-base", .prefix = "gs:", .gs = WINDOW_BASE + 0x1000, .rcx = -0x800ull},
    {.name = "es-no-base", .prefix = "es:", .rcx = HERE},
    {.name = "ss-rbp", .prefix = "ss:", .rbp = HERE},
    {.name = "index-scale", .prefix = "index:", .rcx = WINDOW_BASE, .rdx = 0x7f0 / 8},
    {.name = "disp8", .prefix = "disp8:", .r13 = HERE + 0x10},
    {.name = "r12-r9", .prefix = "r12:", .r12 = WINDOW_BASE + 0x7fc, .r9 = 1},
    {.name = "index-only", .prefix = "index-only:", .rdx = (HERE - 0x1000) / 2},
    {.name = "non-canonical", .prefix = "", .rcx = NOT_CANONICAL},
    {.name = "non-canonical-high", .prefix = "", .rcx = NOT_CANONICAL_HIGH},
    {.name = "non-canonical-ss", .prefix = "ss:", .rbp = NOT_CANONICAL},
    {.name = "non-canonical-fs", .prefix = "fs:", .fs = 0x00007ffffffff000, .rcx = 0x2000},
    {.name = "non-canonical-gs", .prefix = "gs:", .gs = 0x00007ffffffff000, .rcx = 0x2000},
    {.name = "into-non-canonical", .prefix = "", .rcx = 0x00007ffffffffffc},
    {.name = "wrap", .prefix = "", .rcx = -4ull},
};

static void memory_address_rows(const struct memory_instruction *instruction)
{
    for (u32 i = 0; i < ARRAY_SIZE(address_cases); i++) {
        const struct address_case *address = &address_cases[i];
        u8 *operand = arena_page(PAGE_WINDOW_DATA) + 0x800;
        char code[32];

        if (!row(instruction->state, "op.%s.%s", instruction->name, address->name))
            continue;
        if (!instruction_offered(instruction))
            continue;
        put_operand(instruction, operand);
        if (instruction->rax == GUEST_RIP)
            vm_write(GUEST_RIP, 0x8877665544332211);
        write_msr(MSR_IA32_FS_BASE, address->fs);
        write_msr(MSR_IA32_GS_BASE, address->gs);
        exec.gpr[RAX] = instruction->rax;
        exec.gpr[RBP] = address->rbp;
        exec.gpr[RCX] = address->rcx;
        exec.gpr[RDX] = address->rdx;
        exec.gpr[R9] = address->r9;
        exec.gpr[R12] = address->r12;
        exec.gpr[R13] = address->r13;
        format_text(code, sizeof(code), "%s%s", address->prefix, instruction->name);
        exec_code(code);
        say_exec();
        say_memory(instruction, operand);
        row_end();
    }
}

/* A 32-bit address wraps and is zero-extended: it reaches the arena, below 4 GiB. */
static void memory_address32_row(const struct memory_instruction *instruction)
{
    u8 *operand = arena_page(PAGE_WINDOW_DATA) + 0x800;
    char code[32];

    if (!row(instruction->state, "op.%s.address32", instruction->name) ||
        !instruction_offered(instruction))
        return;
    put_operand(instruction, operand);
    if (instruction->rax == GUEST_RIP)
        vm_write(GUEST_RIP, 0x8877665544332211);
    exec.gpr[RAX] = instruction->rax;
    exec.gpr[RCX] = (u64)operand | 0xabcdef0000000000;
    format_text(code, sizeof(code), "addr32:%s", instruction->name);
    exec_code(code);
    say_exec();
    say_memory(instruction, operand);
    row_end();
}

/* ---- where each instruction may not be executed at all */

struct any_instruction {
    const char *name;
    u64 rax;
    u32 needs; /* a feature plus one, or none */
};

static const struct any_instruction all_instructions[] = {
    {"vmxon", 0, 0},
    {"vmxoff", 0, 0},
    {"vmclear", 0, 0},
    {"vmptrld", 0, 0},
    {"vmptrst", 0, 0},
    {"vmlaunch", 0, 0},
    {"vmresume", 0, 0},
    {"vmcall", 0, 0},
    {"vmread", GUEST_RIP, 0},
    {"vmwrite", GUEST_RIP, 0},
    {"vmread-mem", GUEST_RIP, 0},
    {"vmwrite-mem", GUEST_RIP, 0},
    {"invept", INVEPT_ALL_CONTEXT, FEATURE_EPT + 1},
    {"invvpid", INVVPID_ALL_CONTEXT, FEATURE_VPID + 1},
};

static bool any_row(const struct any_instruction *instruction, enum vmx_state state,
                    const char *how)
{
    if (!row(state, "op.%s.%s", instruction->name, how))
        return false;
    if (instruction->needs && !row_needs(instruction->needs - 1))
        return false;
    exec.gpr[RAX] = instruction->rax;
    exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
    exec.gpr[RDX] = 0x1234;
    memset(arena_page(PAGE_SCRATCH), 0, PAGE_SIZE);
    *(u64 *)arena_page(PAGE_SCRATCH) = arena_address(PAGE_VMCS2);
    return true;
}

static void say_and_end(void)
{
    say_exec();
    row_end();
}

static void mode_rows(const struct any_instruction *instruction)
{
    char code[32];

    if (any_row(instruction, STATE_OFF, "no-vmxe")) {
        write_cr4(standard_cr4 & ~CR4_VMXE);
        exec_code(instruction->name);
        say_and_end();
    }
    if (!text_equal(instruction->name, "vmxon") &&
        any_row(instruction, STATE_OFF, "outside-vmx-operation")) {
        exec_code(instruction->name);
        say_and_end();
    }
    /* Bochs does not survive VMCALL in root operation: it is one of the attacks. */
    if (!text_equal(instruction->name, "vmcall") &&
        any_row(instruction, STATE_VMCS, "empty-vmcs")) {
        exec_code(instruction->name);
        say_and_end();
    }
    format_text(code, sizeof(code), "user %s", instruction->name);
    if (any_row(instruction, STATE_VMCS, "cpl3")) {
        exec_user(code);
        say_and_end();
    }
    if (any_row(instruction, STATE_VMCS, "cpl3-bad-address")) {
        exec.gpr[RCX] = NOT_CANONICAL;
        exec_user(code);
        say_and_end();
    }
    if (any_row(instruction, STATE_OFF, "cpl3-outside-vmx-operation")) {
        exec_user(code);
        say_and_end();
    }
    if (any_row(instruction, STATE_OFF, "cpl3-no-vmxe")) {
        write_cr4(standard_cr4 & ~CR4_VMXE);
        exec_user(code);
        say_and_end();
    }
    format_text(code, sizeof(code), "compat %s", instruction->name);
    if (any_row(instruction, STATE_VMCS, "compat")) {
        exec_compat(code);
        say_and_end();
    }
    if (any_row(instruction, STATE_VMCS, "compat-cpl3")) {
        exec_user32(code);
        say_and_end();
    }
    if (any_row(instruction, STATE_OFF, "compat-outside-vmx-operation")) {
        exec_compat(code);
        say_and_end();
    }
    if (!text_equal(instruction->name, "vmxoff") && !text_equal(instruction->name, "vmxon") &&
        any_row(instruction, STATE_ROOT, "no-current-vmcs")) {
        if (text_equal(instruction->name, "vmclear") || text_equal(instruction->name, "vmptrld"))
            *(u64 *)arena_page(PAGE_SCRATCH) = 1;
        exec_code(instruction->name);
        say_and_end();
    }
}

/* ---- pointer operands: VMXON, VMCLEAR, VMPTRLD */

struct pointer_case {
    const char *name;
    u32 page;   /* of the arena; its address is the operand */
    u64 add;    /* added to the address */
    u32 change; /* xor-ed into the region's revision id */
};

static const struct pointer_case pointer_cases[] = {
    {"good", PAGE_VMCS2, 0, 0},
    {"misaligned-1", PAGE_VMCS2, 1, 0},
    {"misaligned-800", PAGE_VMCS2, 0x800, 0},
    {"revision-plus-1", PAGE_VMCS2, 0, 1},
    {"revision-bit-30", PAGE_VMCS2, 0, BIT(30)},
    {"shadow-indicator", PAGE_VMCS2, 0, BIT(31)},
    {"vmxon-region", PAGE_VMXON, 0, 0},
    {"vmxon-region-bad-revision", PAGE_VMXON, 0, 5},
    {"vmxon-region-misaligned", PAGE_VMXON, 8, 0},
    {"current-vmcs", PAGE_VMCS, 0, 0},
    {"bit-63", PAGE_VMCS2, BIT64(63), 0},
    {"bit-62-misaligned", PAGE_VMCS2, BIT64(62) + 1, 0},
};

static void pointer_row(const char *code, enum vmx_state state, const struct pointer_case *pointer)
{
    static const char *const states[] = {".outside", ".no-current", ""};

    if (!row(state, "pointer.%s.%s%s", code, pointer->name, states[state]))
        return;
    *(u32 *)arena_page(pointer->page) ^= pointer->change;
    *(u64 *)arena_page(PAGE_SCRATCH) = arena_address(pointer->page) + pointer->add;
    exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
    exec_code(code);
    say_exec();
    if (state != STATE_OFF)
        say(" current %p", (void *)vm_current());
    row_end();
}

/* An address one bit beyond what the processor has. */
static void pointer_beyond_rows(const char *code, enum vmx_state state)
{
    for (u32 bit = 0; bit < 64 - physical_bits; bit += 7) {
        if (!row(state, "pointer.%s.beyond-maxphyaddr-plus-%u", code, bit))
            continue;
        *(u64 *)arena_page(PAGE_SCRATCH) = arena_address(PAGE_VMCS2) | BIT64(physical_bits + bit);
        exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
        exec_code(code);
        say_and_end();
    }
}

/* More than any cache of them holds. */
#define MANY 150u

static void many_vmcss(void)
{
    for (u32 i = 0; i < MANY; i++) {
        u64 address = free_base + i * PAGE_SIZE;

        memset((void *)address, 0, PAGE_SIZE);
        *(u32 *)address = (u32)(vmx_basic & VMX_BASIC_REVISION);
        vm_clear(address);
        vm_load(address);
        vm_write(GUEST_RSP, i + 100);
        vm_write(CR3_TARGET_COUNT, i % 4);
    }
    for (u32 i = 0; i < MANY; i += 13) {
        vm_load(free_base + i * PAGE_SIZE);
        say("%lu %lu, ", vm_read(GUEST_RSP), vm_read(CR3_TARGET_COUNT));
    }
    for (u32 i = 0; i < MANY; i++)
        vm_clear(free_base + i * PAGE_SIZE);
    row_end();
}

static void pointer_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(pointer_cases); i++) {
        pointer_row("vmxon", STATE_OFF, &pointer_cases[i]);
        pointer_row("vmxon", STATE_VMCS, &pointer_cases[i]);
        pointer_row("vmclear", STATE_VMCS, &pointer_cases[i]);
        pointer_row("vmclear", STATE_ROOT, &pointer_cases[i]);
        pointer_row("vmptrld", STATE_VMCS, &pointer_cases[i]);
        pointer_row("vmptrld", STATE_ROOT, &pointer_cases[i]);
    }
    pointer_beyond_rows("vmxon", STATE_OFF);
    pointer_beyond_rows("vmclear", STATE_VMCS);
    pointer_beyond_rows("vmptrld", STATE_VMCS);
}

/* ---- VMXON and the control registers */

static void vmxon_register_row(const char *name, u64 cr0_off, u64 cr0_on, u64 cr4_on)
{
    if (!row(STATE_OFF, "vmxon.%s", name))
        return;
    write_cr0((standard_cr0 & ~cr0_off) | cr0_on);
    write_cr4(standard_cr4 | cr4_on);
    *(u64 *)arena_page(PAGE_SCRATCH) = arena_address(PAGE_VMXON);
    exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
    exec_code("vmxon");
    say_and_end();
}

/* CR0.PG and PE can't be off in 64-bit mode, so NE is what VMXON can find wrong. */
static void vmxon_register_rows(void)
{
    vmxon_register_row("cr0-ne-off", CR0_NE, 0, 0);
    vmxon_register_row("cr0-ts-em", 0, CR0_TS | CR0_EM, 0);
    vmxon_register_row("cr0-cd", 0, CR0_CD, 0);
    vmxon_register_row("cr0-cd-nw", 0, CR0_CD | CR0_NW, 0);
    vmxon_register_row("cr0-wp-off", CR0_WP, 0, 0);
    vmxon_register_row("cr0-am", 0, CR0_AM, 0);
    vmxon_register_row("cr4-pge-pse", 0, 0, CR4_PGE | CR4_PSE);
}

/* ---- launch state and current VMCS */

static void say_run(const char *code)
{
    exec_code(code);
    say_exec();
}

static void launch_rows(void)
{
    if (row(STATE_VMCS, "launch.resume-of-clear")) {
        guest_setup(GUEST_64, 0);
        say_run("vmresume");
        row_end();
    }
    if (row(STATE_VMCS, "launch.twice")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        say_run("vmlaunch");
        say(" | ");
        say_run("vmlaunch");
        say(" | ");
        guest_skip();
        say_run("vmresume");
        row_end();
    }
    if (row(STATE_VMCS, "launch.clear-and-again")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        say_run("vmlaunch");
        vm_clear(arena_address(PAGE_VMCS));
        vm_load(arena_address(PAGE_VMCS));
        say(" | ");
        say_run("vmresume");
        say(" | ");
        say_run("vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.clear-leaves-none-current")) {
        guest_setup(GUEST_64, 0);
        say_vmfail(vm_clear(arena_address(PAGE_VMCS)));
        say(" current %p | ", (void *)vm_current());
        say_run("vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.clear-other-keeps-current")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        say_vmfail(vm_clear(arena_address(PAGE_VMCS2)));
        say(" current %p | ", (void *)vm_current());
        say_run("vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.failed-stays-clear")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(HOST_CR4, 0);
        say_run("vmlaunch");
        say(" | ");
        vm_write(HOST_CR4, standard_cr4);
        say_run("vmresume");
        say(" | ");
        say_run("vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.guest-state-failure-stays-clear")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(GUEST_RFLAGS, 0);
        say_run("vmlaunch");
        say(" | ");
        vm_write(GUEST_RFLAGS, RFLAGS_FIXED);
        say_run("vmresume");
        say(" | ");
        say_run("vmlaunch");
        row_end();
    }
}

static void shadow_row(const char *code)
{
    if (!row(STATE_VMCS, "shadow.%s", code))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("nop");
    say_run(code);
    row_end();
}

/* Which of two failures wins. SDM vol. 3, VMLAUNCH/VMRESUME pseudo-code. */
static void precedence_rows(void)
{
    if (row(STATE_VMCS, "shadow.mov-ss vmresume of clear")) {
        guest_setup(GUEST_64, 0);
        say_run("mov-ss vmresume");
        row_end();
    }
    if (row(STATE_VMCS, "shadow.mov-ss vmlaunch with bad controls")) {
        guest_setup(GUEST_64, 0);
        vm_write(PIN_BASED_VM_EXEC_CONTROL, 0);
        say_run("mov-ss vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.bad-controls-and-host")) {
        guest_setup(GUEST_64, 0);
        vm_write(PIN_BASED_VM_EXEC_CONTROL, 0);
        vm_write(HOST_CR4, 0);
        say_run("vmlaunch");
        row_end();
    }
    if (row(STATE_VMCS, "launch.resume-of-clear-with-bad-controls")) {
        guest_setup(GUEST_64, 0);
        vm_write(PIN_BASED_VM_EXEC_CONTROL, 0);
        say_run("vmresume");
        row_end();
    }
}

/* ---- VMREAD and VMWRITE operands */

static void field_row(const char *code, u64 field)
{
    if (!row(STATE_VMCS, "field.%s.%lx", code, field))
        return;
    exec.gpr[RAX] = field;
    exec.gpr[RDX] = 0x1234;
    say_run(code);
    row_end();
}

static void field_rows(void)
{
    static const u64 fields[] = {
        0x681f,     0x4001, 0x0801,     0x1000,         0x10000,
        0x80000000, 0x6836, 0x4c02,     0x0c0e,         0x4830,
        0x7fff,     0x8000, 0xffffffff, 0x10000681eull, 0xffffffffull << 32,
        ~0ull,      0x2fff, 0x6fff,
    };

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        field_row("vmread", fields[i]);
        field_row("vmwrite", fields[i]);
    }
}

static void register_rows(void)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8",
                                        "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    struct exec before;
    char code[32];

    for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
        format_text(code, sizeof(code), "vmread to %s", names[i]);
        if (row(STATE_VMCS, "register.%s", code)) {
            vm_write(GUEST_RIP, 0x13579bdf02468ace);
            before = exec;
            say_run(code);
            say_changed_registers(&before);
            row_end();
        }
        format_text(code, sizeof(code), "vmwrite from %s", names[i]);
        if (row(STATE_VMCS, "register.%s", code)) {
            say_run(code);
            say(" field %lx", vm_read(GUEST_RIP));
            row_end();
        }
    }
    if (row(STATE_VMCS, "register.vmread to rsp")) {
        vm_write(GUEST_RIP, 0x13579bdf02468ace);
        exec.gpr[RAX] = GUEST_RIP;
        say_run("vmread to rsp");
        say(" rcx=%lx", exec.gpr[RCX]);
        row_end();
    }
    if (row(STATE_VMCS, "register.vmwrite from rsp")) {
        exec.gpr[RAX] = GUEST_RSP;
        say_run("vmwrite from rsp");
        say(" right %u", vm_read(GUEST_RSP) == exec.stack - 8);
        row_end();
    }
}

/* VMX instructions set the arithmetic flags, all of them, and leave the others. */
static void flag_rows(void)
{
    static const char *const codes[] = {"vmread", "vmwrite", "vmptrst", "vmptrld"};
    static const struct {
        const char *name;
        u64 rflags;
    } flags[] = {
        {"all-set",
         RFLAGS_FIXED | RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF},
        {"df-ac", RFLAGS_FIXED | RFLAGS_DF | RFLAGS_AC},
    };

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        for (u32 j = 0; j < ARRAY_SIZE(flags); j++)
            for (u32 bad = 0; bad < 2; bad++) {
                if (!row(STATE_VMCS, "flags.%s.%s%s", codes[i], flags[j].name, bad ? ".fail" : ""))
                    continue;
                *(u64 *)arena_page(PAGE_SCRATCH) = arena_address(PAGE_VMCS2) + bad;
                exec.gpr[RAX] = bad ? 0x6836 : GUEST_RIP;
                exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
                exec.rflags = flags[j].rflags;
                exec_code(codes[i]);
                say("rflags %lx ", exec.rflags);
                say_and_end();
            }
}

/* ---- INVEPT, INVVPID */

struct invalidation {
    const char *name;
    u64 type;
    u64 low, high;
};

static const struct invalidation invept_cases[] = {
    {"type-0", 0, 0, 0},
    {"type-1", 1, EPTP_WALK_LENGTH_4 | MT_WB, 0},
    {"type-1-zero", 1, 0, 0},
    {"type-1-bad-memory-type", 1, EPTP_WALK_LENGTH_4 | 3, 0},
    {"type-1-bad-walk", 1, MT_WB | 1 << 3, 0},
    {"type-1-reserved-bit-7", 1, EPTP_WALK_LENGTH_4 | MT_WB | BIT64(7), 0},
    {"type-1-beyond", 1, EPTP_WALK_LENGTH_4 | MT_WB | BIT64(52), 0},
    {"type-1-high-qword", 1, EPTP_WALK_LENGTH_4 | MT_WB, 1},
    {"type-2", 2, 0, 0},
    {"type-2-garbage", 2, ~0ull, 0},
    {"type-2-high-qword", 2, 0, ~0ull},
    {"type-3", 3, 0, 0},
    {"type-4", 4, 0, 0},
    {"type-bit-32", BIT64(32) | 2, 0, 0},
    {"type-all-ones", ~0ull, 0, 0},
};

static const struct invalidation invvpid_cases[] = {
    {"type-0", 0, 7, 0x1000},
    {"type-0-vpid-0", 0, 0, 0x1000},
    {"type-0-non-canonical", 0, 7, NOT_CANONICAL},
    {"type-0-reserved", 0, 7 | BIT64(16), 0x1000},
    {"type-0-reserved-63", 0, 7 | BIT64(63), 0x1000},
    {"type-1", 1, 7, 0},
    {"type-1-vpid-0", 1, 0, 0},
    {"type-1-reserved", 1, 7 | BIT64(20), 0},
    {"type-1-address", 1, 7, NOT_CANONICAL},
    {"type-2", 2, 0, 0},
    {"type-2-vpid", 2, 9, 0},
    {"type-2-reserved", 2, BIT64(17), 0},
    {"type-2-address", 2, 0, NOT_CANONICAL},
    {"type-3", 3, 7, 0},
    {"type-3-vpid-0", 3, 0, 0},
    {"type-3-reserved", 3, 7 | BIT64(40), 0},
    {"type-4", 4, 0, 0},
    {"type-bit-32", BIT64(32) | 2, 0, 0},
    {"type-all-ones", ~0ull, 0, 0},
};

static void invalidation_row(const char *code, enum feature needs, const struct invalidation *what,
                             enum vmx_state state)
{
    u64 operand[2] = {what->low, what->high};

    if (!row(state, "%s.%s%s", code, what->name, state == STATE_ROOT ? ".no-current" : "") ||
        !row_needs(needs))
        return;
    if (needs == FEATURE_VPID && what->type == INVVPID_INDIVIDUAL_ADDRESS)
        row_uses(FEATURE_BIT(FEATURE_INVVPID_ADDRESS));
    if (needs == FEATURE_VPID && what->type == INVVPID_SINGLE_RETAINING_GLOBALS)
        row_uses(FEATURE_BIT(FEATURE_INVVPID_RETAIN_GLOBALS));
    memcpy(arena_page(PAGE_SCRATCH), operand, sizeof(operand));
    exec.gpr[RAX] = what->type;
    exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
    exec_code(code);
    say_and_end();
}

static void invalidation_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(invept_cases); i++) {
        invalidation_row("invept", FEATURE_EPT, &invept_cases[i], STATE_VMCS);
        invalidation_row("invept", FEATURE_EPT, &invept_cases[i], STATE_ROOT);
    }
    for (u32 i = 0; i < ARRAY_SIZE(invvpid_cases); i++) {
        invalidation_row("invvpid", FEATURE_VPID, &invvpid_cases[i], STATE_VMCS);
        invalidation_row("invvpid", FEATURE_VPID, &invvpid_cases[i], STATE_ROOT);
    }
}

/* ---- VMXOFF, and VMXON again */

static void off_rows(void)
{
    if (row(STATE_VMCS, "vmxoff.twice")) {
        say_run("vmxoff");
        say(" | ");
        say_run("vmxoff");
        row_end();
    }
    if (row(STATE_VMCS, "vmxoff.forgets-current")) {
        say_run("vmxoff");
        say(" | ");
        say_vmfail(vm_on(arena_address(PAGE_VMXON)));
        say(" current %p", (void *)vm_current());
        row_end();
    }
    if (row(STATE_VMCS, "vmxon.other-region-after-off")) {
        say_run("vmxoff");
        say(" | ");
        say_vmfail(vm_on(arena_address(PAGE_VMCS2)));
        say(" | ");
        say_vmfail(vm_load(arena_address(PAGE_VMXON)));
        say(" | ");
        say_vmfail(vm_load(arena_address(PAGE_VMCS2)));
        row_end();
    }
    if (row(STATE_VMCS, "error-number-is-sticky")) {
        vm_load(arena_address(PAGE_VMCS2) + 1);
        say("%lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_load(arena_address(PAGE_VMCS));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_clear(arena_address(PAGE_VMXON));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_write(VM_INSTRUCTION_ERROR, 0);
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        row_end();
    }
    if (row(STATE_VMCS, "error-number-is-per-vmcs")) {
        vm_load(arena_address(PAGE_VMCS2) + 1);
        say("%lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_load(arena_address(PAGE_VMCS2));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        vm_load(arena_address(PAGE_VMCS));
        say(" %lu", vm_read(VM_INSTRUCTION_ERROR));
        row_end();
    }
    if (row(STATE_VMCS, "vmclear.keeps-fields")) {
        vm_write(GUEST_RSP, 0x123456789abcdef0);
        vm_write(TSC_OFFSET, 0xfedcba9876543210);
        vm_clear(arena_address(PAGE_VMCS));
        vm_load(arena_address(PAGE_VMCS));
        say("%lx %lx", vm_read(GUEST_RSP), vm_read(TSC_OFFSET));
        row_end();
    }
    if (row(STATE_VMCS, "vmptrld.two-vmcs-apart")) {
        vm_write(GUEST_RSP, 1);
        vm_load(arena_address(PAGE_VMCS2));
        vm_write(GUEST_RSP, 2);
        vm_load(arena_address(PAGE_VMCS));
        say("%lx", vm_read(GUEST_RSP));
        vm_load(arena_address(PAGE_VMCS2));
        say(" %lx", vm_read(GUEST_RSP));
        row_end();
    }
    if (row(STATE_VMCS, "vmptrld.many") && free_size >= MANY * PAGE_SIZE)
        many_vmcss();
}

void rows_instructions(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(memory_instructions); i++) {
        memory_page_rows(&memory_instructions[i]);
        memory_address_rows(&memory_instructions[i]);
        memory_address32_row(&memory_instructions[i]);
    }
    for (u32 i = 0; i < ARRAY_SIZE(all_instructions); i++)
        mode_rows(&all_instructions[i]);
    pointer_rows();
    vmxon_register_rows();
    launch_rows();
    shadow_row("mov-ss vmlaunch");
    shadow_row("pop-ss-like vmlaunch nop");
    precedence_rows();
    field_rows();
    register_rows();
    flag_rows();
    invalidation_rows();
    off_rows();
}
