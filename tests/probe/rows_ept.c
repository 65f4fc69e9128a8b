/* EPT violations and misconfigurations, and what they say. */
#include "ept_rows.h"

static const char *const accesses[] = {
    "read spare",  "write spare",       "rmw spare",          "locked spare",
    "fetch spare", "read across spare", "write across spare", "read across into spare",
    "push spare",  "movs to spare"};

static bool start(enum guest_mode mode, const char *name, const char *code)
{
    return ept_row("ept", mode, name, code);
}

static void finish(u32 steps)
{
    if (controls_offered()) {
        guest_follow(steps);
        row_end();
    }
}

/* All eight permissions of a page, and of the page after it, against all ways to reach it. */
static void permission_rows(enum guest_mode mode)
{
    char name[32];

    for (u32 rights = 0; rights < 8; rights++)
        for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
            format_text(name, sizeof(name), "rights %u", rights);
            if (start(mode, name, accesses[i])) {
                *SPARE_ENTRY = (*SPARE_ENTRY & ~EPT_RWX) | rights;
                finish(1);
            }
        }
}

struct entry_case {
    const char *name;
    u64 clear, set;
};

/* Leaf entries, SDM vol. 3, 29.3.3.1. */
static const struct entry_case leaf_cases[] = {
    {"zero", ~0ull, 0},
    {"type uc", EPT_MEMORY_TYPE, 0},
    {"type 1", EPT_MEMORY_TYPE, 1 << 3},
    {"type 2", EPT_MEMORY_TYPE, 2 << 3},
    {"type 3", EPT_MEMORY_TYPE, 3 << 3},
    {"type 4", EPT_MEMORY_TYPE, 4 << 3},
    {"type 5", EPT_MEMORY_TYPE, 5 << 3},
    {"type 7", EPT_MEMORY_TYPE, 7 << 3},
    {"ignore pat", 0, EPT_IGNORE_PAT},
    {"bit 7", 0, BIT64(7)},
    {"accessed", 0, EPT_ACCESSED},
    {"dirty", 0, EPT_DIRTY},
    {"bit 10", 0, BIT64(10)},
    {"bit 11", 0, BIT64(11)},
    {"bit 51", 0, BIT64(51)},
    {"bit 52", 0, BIT64(52)},
    {"bit 62", 0, BIT64(62)},
    {"bit 63", 0, BIT64(63)},
    {"write only", EPT_RWX, EPT_WRITE},
    {"write and execute", EPT_RWX, EPT_WRITE | EPT_EXEC},
    {"execute only", EPT_RWX, EPT_EXEC},
    {"no rights, type 2", EPT_RWX | EPT_MEMORY_TYPE, 2 << 3},
    {"no rights, bit 51", EPT_RWX, BIT64(51)},
};

/* Entries that point to a table. */
static const struct entry_case table_cases[] = {
    {"zero", ~0ull, 0},
    {"no read", EPT_READ, 0},
    {"read only", EPT_RWX, EPT_READ},
    {"no execute", EPT_EXEC, 0},
    {"execute only", EPT_RWX, EPT_EXEC},
    {"bit 3", 0, BIT64(3)},
    {"bit 6", 0, BIT64(6)},
    {"bit 8", 0, BIT64(8)},
    {"bit 51", 0, BIT64(51)},
    {"bit 63", 0, BIT64(63)},
};

static const char *const few_accesses[] = {"read spare", "write spare", "fetch spare"};

static void change(u64 *entry, const struct entry_case *what)
{
    *entry = (*entry & ~what->clear) | what->set;
}

static void leaf_rows(void)
{
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(leaf_cases); i++)
        for (u32 j = 0; j < ARRAY_SIZE(few_accesses); j++) {
            format_text(name, sizeof(name), "leaf %s", leaf_cases[i].name);
            if (start(GUEST_64, name, few_accesses[j])) {
                change(SPARE_ENTRY, &leaf_cases[i]);
                finish(1);
            }
        }
    if (start(GUEST_64, "leaf beyond maxphyaddr", "read spare")) {
        *SPARE_ENTRY |= BIT64(physical_bits);
        finish(1);
    }
}

/* The second and third level are the code's too, so what breaks there breaks the first fetch. */
static void table_rows(void)
{
    static const struct {
        const char *name;
        u32 page;
    } levels[] = {{"pml4", PAGE_EPT_PML4}, {"pdpt", PAGE_EPT_PDPT}, {"pd", PAGE_EPT_PD}};
    char name[48];

    for (u32 level = 0; level < ARRAY_SIZE(levels); level++)
        for (u32 i = 0; i < ARRAY_SIZE(table_cases); i++) {
            format_text(name, sizeof(name), "%s %s", levels[level].name, table_cases[i].name);
            if (start(GUEST_64, name, "read spare")) {
                change((u64 *)arena_page(levels[level].page), &table_cases[i]);
                finish(1);
            }
            if (start(GUEST_FLAT, name, "read spare")) {
                change((u64 *)arena_page(levels[level].page), &table_cases[i]);
                finish(1);
            }
        }
    if (start(GUEST_64, "pml4 bit 7", "nop")) {
        *(u64 *)arena_page(PAGE_EPT_PML4) |= BIT64(7);
        finish(1);
    }
}

/* ---- large pages: the guest's memory once more, at 2 MiB and 1 GiB */

static void large_rows(void)
{
    static const struct entry_case cases[] = {
        {"plain", 0, 0},
        {"bit 12", 0, BIT64(12)},
        {"bit 20", 0, BIT64(20)},
        {"bit 29", 0, BIT64(29)},
        {"type 2", EPT_MEMORY_TYPE, 2 << 3},
        {"read only", EPT_RWX, EPT_READ},
    };
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        /* Guest-physical 2 MiB on, mapped to the arena's own 2 MiB. */
        format_text(name, sizeof(name), "2m page %s", cases[i].name);
        if (start(GUEST_64, name, "read spare")) {
            u64 *entry = (u64 *)arena_page(PAGE_EPT_PD) + 1;

            *entry = (u64)arena | EPT_RWX | EPT_WB_BITS | EPT_LARGE;
            change(entry, &cases[i]);
            *guest_pte(L2_SPARE) =
                (SIZE_2M + PAGE_SCRATCH * PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
            *(u64 *)(arena_page(PAGE_SCRATCH) + 0x10) = 0xabcdef;
            finish(1);
        }
        format_text(name, sizeof(name), "1g page %s", cases[i].name);
        if (start(GUEST_64, name, "read spare") && row_needs(FEATURE_EPT_1G)) {
            u64 *entry = (u64 *)arena_page(PAGE_EPT_PDPT) + 1;
            u64 offset = ((u64)arena & (SIZE_1G - 1)) + PAGE_SCRATCH * PAGE_SIZE;

            *entry = ((u64)arena & ~(SIZE_1G - 1)) | EPT_RWX | EPT_WB_BITS | EPT_LARGE;
            change(entry, &cases[i]);
            *guest_pte(L2_SPARE) = (SIZE_1G + offset) | PTE_P | PTE_W | PTE_A | PTE_D;
            *(u64 *)(arena_page(PAGE_SCRATCH) + 0x10) = 0xfedcba;
            guest_run(true);
            /* The guest-physical address is the arena's, so it is not said. */
            say("exit %lu", vm_read(VM_EXIT_REASON));
            if (vm_read(VM_EXIT_REASON) == EXIT_REASON_VMCALL)
                say(" rax=%lx", exec.gpr[RAX]);
            row_end();
        }
    }
}

/* ---- the guest's own paging structures in pages that EPT protects */

static const struct {
    const char *name;
    u32 gpa;
} structures[] = {{"root", L2_ROOT}, {"pdpt", L2_PDPT}, {"pd", L2_PD}, {"pt", L2_PT}};

static void walk_rows(void)
{
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(structures); i++)
        for (u32 rights = 0; rights < 8; rights++) {
            format_text(name, sizeof(name), "guest %s in rights %u", structures[i].name, rights);
            if (start(GUEST_64, name, "read spare")) {
                *ept_entry(structures[i].gpa) = (*ept_entry(structures[i].gpa) & ~EPT_RWX) | rights;
                finish(1);
            }
            if (structures[i].gpa != L2_PDPT && start(GUEST_PAE, name, "read spare")) {
                *ept_entry(structures[i].gpa) = (*ept_entry(structures[i].gpa) & ~EPT_RWX) | rights;
                finish(1);
            }
        }
}

/* The processor sets accessed and dirty bits in pages that may only be read. */
static void guest_dirty_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(few_accesses); i++) {
        if (start(GUEST_64, "guest accessed bit in a read-only page", few_accesses[i])) {
            *guest_pte(L2_SPARE) &= ~(PTE_A | PTE_D);
            *ept_entry(L2_PT) &= ~EPT_WRITE;
            finish(1);
        }
        if (start(GUEST_64, "guest dirty bit in a read-only page", few_accesses[i])) {
            *guest_pte(L2_SPARE) &= ~PTE_D;
            *ept_entry(L2_PT) &= ~EPT_WRITE;
            finish(1);
        }
        if (start(GUEST_64, "guest accessed bits are set", few_accesses[i])) {
            *guest_pte(L2_SPARE) &= ~(PTE_A | PTE_D);
            guest_follow(1);
            say(" pte %lx", *guest_pte(L2_SPARE) & (u64)(PTE_A | PTE_D));
            row_end();
        }
    }
}

/* ---- a violation while an event is delivered: vectoring information, and delivery in the end */

struct delivery_case {
    const char *name;
    const char *code;
    enum guest_mode mode;
    u32 absent; /* the guest-physical page that is missing */
    struct edit edits[10];
};

#define INJECT(info)   SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | (info))
#define LENGTH(length) SET(VM_ENTRY_INSTRUCTION_LEN, length)
#define STACK          0x2000
/* What IRET pops: to VMCALL at 0x1800. */
#define IRET_FRAME                                                                                 \
    MEMORY(0x1800, 0xf4c1010f), SET(GUEST_RSP, 0x2800), MEMORY(0x2800, 0x1800),                    \
        MEMORY(0x2808, L2_SEL_KERNEL), MEMORY(0x2810, 2), MEMORY(0x2818, L2_STACK_TOP),            \
        MEMORY(0x2820, L2_SEL_DATA)

static const struct delivery_case deliveries[] = {
    {"int, idt absent", "int 0x30", GUEST_64, L2_IDT, {}},
    {"int, stack absent", "int 0x30", GUEST_64, STACK, {}},
    {"int, gdt absent", "int 0x30", GUEST_64, L2_GDT, {}},
    {"int, handler absent", "int 0x30", GUEST_64, L2_HANDLERS, {}},
    {"int, tss absent", "int 0x30", GUEST_64_USER, L2_TSS, {}},
    {"int3, idt absent", "int3", GUEST_64, L2_IDT, {}},
    {"int3, stack absent", "int3", GUEST_64, STACK, {}},
    {"int1, stack absent", "int1", GUEST_64, STACK, {}},
    {"ud, idt absent", "ud2", GUEST_64, L2_IDT, {}},
    {"ud, stack absent", "ud2", GUEST_64, STACK, {}},
    {"gp, stack absent", "general protection", GUEST_64, STACK, {}},
    {"pf, idt absent", "read absent", GUEST_64, L2_IDT, {MEMORY(L2_PT + 8 * 0x30, 0)}},
    {"pf, stack absent", "write absent", GUEST_64, STACK, {MEMORY(L2_PT + 8 * 0x30, 0)}},
    {"single step, stack absent", "nops", GUEST_64, STACK, {OR(GUEST_RFLAGS, RFLAGS_TF)}},
    {"injected interrupt, stack absent",
     "nop",
     GUEST_64,
     STACK,
     {OR(GUEST_RFLAGS, RFLAGS_IF), INJECT(INTR_TYPE_EXT_INTR | 0x50)}},
    {"injected nmi, stack absent", "nop", GUEST_64, STACK, {INJECT(INTR_TYPE_NMI | 2)}},
    {"injected nmi, virtual nmis, stack absent",
     "nop",
     GUEST_64,
     STACK,
     {INJECT(INTR_TYPE_NMI | 2), PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    {"injected gp, stack absent",
     "nop",
     GUEST_64,
     STACK,
     {INJECT(INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK | 13),
      SET(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x18)}},
    {"injected soft int, stack absent",
     "nop",
     GUEST_64,
     STACK,
     {INJECT(INTR_TYPE_SOFT_INTR | 0x30), LENGTH(2)}},
    {"injected int3, idt absent",
     "nop",
     GUEST_64,
     L2_IDT,
     {INJECT(INTR_TYPE_SOFT_EXCEPTION | 3), LENGTH(1)}},
    {"injected int1, idt absent",
     "nop",
     GUEST_64,
     L2_IDT,
     {INJECT(INTR_TYPE_PRIV_SW_EXCEPTION | 1), LENGTH(1)}},
    {"int, idt absent, 32", "int 0x30", GUEST_PAE, L2_IDT, {}},
    {"int, stack absent, 32", "int 0x30", GUEST_PAE, STACK, {}},
    {"ud, gdt absent, 32", "ud2", GUEST_PAE, L2_GDT, {}},
    {"injected soft int, stack absent, 32",
     "nop",
     GUEST_PAE,
     STACK,
     {INJECT(INTR_TYPE_SOFT_INTR | 0x30), LENGTH(2)}},
    {"int, ivt absent, real", "int 0x30", GUEST_REAL, 0, {}},
    {"int, stack absent, real", "int 0x30", GUEST_REAL, STACK, {}},
    {"injected interrupt, ivt absent, real",
     "nop",
     GUEST_REAL,
     0,
     {OR(GUEST_RFLAGS, RFLAGS_IF), INJECT(INTR_TYPE_EXT_INTR | 0x50)}},
    {"injected soft int, stack absent, real",
     "nop",
     GUEST_REAL,
     STACK,
     {INJECT(INTR_TYPE_SOFT_INTR | 0x30), LENGTH(2)}},
    {"iret, stack absent", "iret", GUEST_64, STACK, {IRET_FRAME}},
    {"iret with nmi blocking, stack absent",
     "iret",
     GUEST_64,
     STACK,
     {IRET_FRAME, SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
    {"iret with virtual nmi blocking, stack absent",
     "iret",
     GUEST_64,
     STACK,
     {IRET_FRAME, SET(GUEST_INTERRUPTIBILITY_INFO, 8),
      PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
};

/* What a hypervisor does with vectoring information: inject it again. */
static void reinject(void)
{
    u32 info = (u32)vm_read(IDT_VECTORING_INFO_FIELD);

    if (!(info & INTR_INFO_VALID_MASK))
        return;
    vm_write(VM_ENTRY_INTR_INFO_FIELD, info);
    vm_write(VM_ENTRY_EXCEPTION_ERROR_CODE, vm_read(IDT_VECTORING_ERROR_CODE));
    vm_write(VM_ENTRY_INSTRUCTION_LEN, vm_read(VM_EXIT_INSTRUCTION_LEN));
    if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI)
        field_clear(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI);
}

static void delivery_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(deliveries); i++) {
        const struct delivery_case *what = &deliveries[i];
        u64 entry;

        if (!start(what->mode, what->name, what->code))
            continue;
        for (u32 j = 0; j < ARRAY_SIZE(what->edits); j++)
            edit_apply(&what->edits[j]);
        if (!controls_offered())
            continue;
        entry = *ept_entry(what->absent);
        *ept_entry(what->absent) = 0;
        guest_run(true);
        say_exec();
        *ept_entry(what->absent) = entry;
        flush_ept();
        if (exec.end == EXEC_EXITED && vm_read(VM_EXIT_REASON) == EXIT_REASON_EPT_VIOLATION) {
            reinject();
            guest_run(false);
            say(" | ");
            say_exec();
            say(" rsp %lx", vm_read(GUEST_RSP));
        }
        row_end();
    }
}

/* Bits 9 to 11 of the qualification: user, writable and executable by the guest's own tables. */
static void advanced_rows(void)
{
    static const struct {
        const char *name;
        enum guest_mode mode;
        u64 clear, set;
    } cases[] = {
        {"supervisor", GUEST_64, PTE_U, 0},
        {"user", GUEST_64_USER, 0, 0},
        {"read-only", GUEST_64_USER, PTE_W, 0},
        {"no execute", GUEST_64, 0, PTE_NX},
    };

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[32];

        format_text(name, sizeof(name), "advanced %s", cases[i].name);
        if (!start(cases[i].mode, name, "read spare"))
            continue;
        if (!row_needs(FEATURE_EPT_ADVANCED_EXIT_INFO))
            continue;
        *guest_pte(L2_SPARE) = (*guest_pte(L2_SPARE) & ~cases[i].clear) | cases[i].set;
        *SPARE_ENTRY = 0;
        guest_run(true);
        say("reason %lu qualification %lx", vm_read(VM_EXIT_REASON), vm_read(EXIT_QUALIFICATION));
        row_end();
    }
}

/* ---- changes, and INVEPT */

static void change_rows(void)
{
    if (start(GUEST_64, "page taken away, invept", "read spare twice")) {
        guest_follow(1);
        *SPARE_ENTRY = 0;
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        guest_run(false);
        say(" | ");
        say_exec();
        row_end();
    }
    if (start(GUEST_64, "page given", "read spare")) {
        u64 entry = *SPARE_ENTRY;

        *SPARE_ENTRY = 0;
        guest_follow(1);
        *SPARE_ENTRY = entry;
        guest_run(false);
        say(" | ");
        say_exec();
        row_end();
    }
    if (start(GUEST_64, "write given after read", "rmw spare")) {
        *SPARE_ENTRY &= ~EPT_WRITE;
        guest_follow(1);
        *SPARE_ENTRY |= EPT_WRITE;
        guest_run(false);
        say(" | ");
        say_exec();
        row_end();
    }
    if (start(GUEST_64, "page exchanged, invept", "read spare")) {
        *(u32 *)guest_memory(L2_SPARE + 0x10) = 0x11;
        *(u32 *)guest_memory(L2_SPARE + 0x1010) = 0x22;
        guest_follow(1);
        say(" rax=%lx", exec.gpr[RAX]);
        *SPARE_ENTRY = *ept_entry(L2_SPARE + 0x1000);
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        guest_run(false);
        say(" | ");
        say_exec();
        say(" rax=%lx", exec.gpr[RAX]);
        row_end();
    }
    if (start(GUEST_64, "two ept pointers", "read spare")) {
        *(u32 *)guest_memory(L2_SPARE + 0x10) = 0x11;
        *(u32 *)guest_memory(L2_SPARE + 0x1010) = 0x22;
        *ept2_entry(L2_SPARE) = *ept_entry(L2_SPARE + 0x1000);
        for (u32 i = 0; i < 4; i++) {
            u32 root = i & 1 ? PAGE_EPT2_PML4 : PAGE_EPT_PML4;

            vm_write(EPT_POINTER, arena_address(root) | EPTP_WALK_LENGTH_4 | MT_WB);
            vm_write(GUEST_RIP, guest_entry);
            guest_run(i == 0);
            say_exec();
            say(" rax=%lx | ", exec.gpr[RAX]);
        }
        row_end();
    }
    if (start(GUEST_64, "table exchanged, invept", "read spare")) {
        *(u32 *)guest_memory(L2_SPARE + 0x10) = 0x11;
        *(u32 *)guest_memory(L2_SPARE + 0x1010) = 0x22;
        *ept2_entry(L2_SPARE) = *ept_entry(L2_SPARE + 0x1000);
        guest_follow(1);
        say(" rax=%lx", exec.gpr[RAX]);
        *(u64 *)arena_page(PAGE_EPT_PD) = arena_address(PAGE_EPT2_PT) | EPT_RWX;
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        guest_run(false);
        say(" | ");
        say_exec();
        say(" rax=%lx", exec.gpr[RAX]);
        row_end();
    }
    if (start(GUEST_64, "page writes its own entry", "write spare")) {
        *SPARE_ENTRY = arena_address(PAGE_EPT_PT) | EPT_RWX | EPT_WB_BITS;
        exec.gpr[RAX] = 0;
        finish(1);
    }
}

void rows_ept(void)
{
    permission_rows(GUEST_64);
    permission_rows(GUEST_PAE);
    leaf_rows();
    table_rows();
    large_rows();
    walk_rows();
    guest_dirty_rows();
    delivery_rows();
    advanced_rows();
    change_rows();
}
