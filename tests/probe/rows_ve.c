/* Virtualization exceptions instead of EPT violations. SDM vol. 3, "Virtualization Exceptions". */
#include "ept_rows.h"

#define BUSY_OFFSET    4
#define AREA_SIZE      34u
#define FILLER         0x77
#define SPARE_IN_PD1   SIZE_2M /* guest-physical addresses whose tables are theirs alone */
#define SPARE_IN_PDPT1 SIZE_1G
#define SPARE_IN_PML41 (512 * SIZE_1G)

static const char *const accesses[] = {
    "read spare",    "write spare",           "rmw spare", "fetch spare", "push spare",
    "movs to spare", "read across into spare"};
static const char *const few[] = {"read spare", "write spare", "fetch spare"};

static bool start(enum guest_mode mode, const char *name, const char *code)
{
    if (!ept_row("ve", mode, name, code) || !row_needs(FEATURE_EPT_VIOLATION_VE))
        return false;
    memset(arena_page(PAGE_VE), FILLER, PAGE_SIZE);
    *(u32 *)(arena_page(PAGE_VE) + BUSY_OFFSET) = 0;
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_EPT_VIOLATION_VE);
    vm_write(VE_INFORMATION_ADDRESS, arena_address(PAGE_VE));
    vm_write(EPTP_INDEX, 0);
    return true;
}

/* The information area: reason, busy, qualification, linear and physical address, EPTP index. */
static void say_area(void)
{
    const u8 *area = arena_page(PAGE_VE);
    u64 qualification = *(const u64 *)(area + 8);

    say(" area");
    if (area[0] == FILLER) {
        say(" as before, busy %x", *(const u32 *)(area + BUSY_OFFSET));
        return;
    }
    say(" %x %x %lx", *(const u32 *)area, *(const u32 *)(area + BUSY_OFFSET), qualification);
    if (qualification & EPT_VIOLATION_LINEAR_VALID)
        say(" gla %lx", *(const u64 *)(area + 16));
    say(" gpa %lx index %x", *(const u64 *)(area + 24), *(const u16 *)(area + 32));
}

static void finish_after(u32 steps)
{
    if (!controls_offered())
        return;
    guest_follow(steps);
    say_area();
    row_end();
}

static void finish(void) { finish_after(1); }

static void access_rows(void)
{
    static const struct {
        const char *name;
        u64 rights, set;
    } leaves[] = {{"absent", 0, 0},
                  {"absent, suppressed", 0, EPT_SUPPRESS_VE},
                  {"read-only", EPT_READ, 0},
                  {"read-only, suppressed", EPT_READ, EPT_SUPPRESS_VE},
                  {"execute-only", EPT_EXEC, 0},
                  {"misconfigured", EPT_WRITE, 0}};
    static const enum guest_mode modes[] = {GUEST_64,   GUEST_PAE,     GUEST_32,
                                            GUEST_FLAT, GUEST_64_USER, GUEST_COMPAT};

    for (u32 m = 0; m < ARRAY_SIZE(modes); m++)
        for (u32 i = 0; i < ARRAY_SIZE(leaves); i++)
            for (u32 j = 0; j < ARRAY_SIZE(accesses); j++)
                if (start(modes[m], leaves[i].name, accesses[j])) {
                    *SPARE_ENTRY = (*SPARE_ENTRY & ~EPT_RWX) | leaves[i].rights | leaves[i].set;
                    finish();
                }
    /* Without protection there is no #VE. */
    if (start(GUEST_REAL, "ivt absent", "int 0x30")) {
        *ept_entry(0) = 0;
        finish();
    }
    if (start(GUEST_REAL, "code absent", "nop")) {
        *ept_entry(L2_CODE) = 0;
        finish();
    }
    if (start(GUEST_V86, "code absent", "nop")) {
        *ept_entry(L2_CODE) = 0;
        finish();
    }
}

/* Bit 63 in each entry on the way: it counts where the walk ends. */
static void suppress_rows(void)
{
    static const struct {
        const char *name;
        u64 gpa;
    } ends[] = {{"pml4", SPARE_IN_PML41}, {"pdpt", SPARE_IN_PDPT1}, {"pd", SPARE_IN_PD1}};
    char name[64];

    for (u32 end = 0; end < ARRAY_SIZE(ends); end++)
        for (u32 bits = 0; bits < 16; bits++) {
            u64 *const entries[] = {ept_pml4(), ept_pdpt(), ept_pd()};

            format_text(name, sizeof(name), "walk ends in %s, suppress %x", ends[end].name, bits);
            if (!start(GUEST_64, name, "read spare"))
                continue;
            *guest_pte(L2_SPARE) = ends[end].gpa | PTE_P | PTE_W | PTE_A | PTE_D;
            entries[end][1] = bits & 8 ? EPT_SUPPRESS_VE : 0;
            for (u32 level = 0; level < end; level++)
                entries[level][0] |= bits & BIT(level) ? EPT_SUPPRESS_VE : 0;
            finish();
        }
    for (u32 bits = 0; bits < 16; bits++) {
        u64 *const entries[] = {ept_pml4(), ept_pdpt(), ept_pd(), SPARE_ENTRY};

        format_text(name, sizeof(name), "page read-only, suppress %x", bits);
        if (!start(GUEST_64, name, "write spare"))
            continue;
        *SPARE_ENTRY &= ~EPT_WRITE;
        for (u32 level = 0; level < ARRAY_SIZE(entries); level++)
            *entries[level] |= bits & BIT(level) ? EPT_SUPPRESS_VE : 0;
        finish();
    }
    for (u32 level = 2; level <= 3; level++)
        for (u32 suppress = 0; suppress < 2; suppress++) {
            u64 *entry;

            format_text(name, sizeof(name), "large page %u%s", level,
                        suppress ? ", suppressed" : "");
            if (!start(GUEST_64, name, "write spare") || (level == 3 && !row_needs(FEATURE_EPT_1G)))
                continue;
            entry = ept_large_page(level);
            *entry = (*entry & ~EPT_WRITE) | (suppress ? EPT_SUPPRESS_VE : 0);
            guest_run(true);
            /* The guest-physical address is the arena's in part, so it is not said. */
            say("exit %lu busy %x", vm_read(VM_EXIT_REASON), ((u32 *)arena_page(PAGE_VE))[1]);
            row_end();
        }
}

/* The guest's paging structures: the linear address is that of the access. */
static void structure_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(few); i++)
        for (u32 flags = 0; flags < 2; flags++) {
            if (start(GUEST_64, flags ? "page table read-only, ept a/d" : "page table read-only",
                      few[i])) {
                if (flags && !row_needs(FEATURE_EPT_ACCESSED_DIRTY))
                    continue;
                if (flags)
                    field_set(EPT_POINTER, EPTP_AD);
                *guest_pte(L2_SPARE) = SIZE_2M | PTE_P | PTE_W;
                *ept_entry(L2_PT) &= ~EPT_WRITE;
                finish();
            }
        }
    if (start(GUEST_PAE, "pdptes absent", "mov cr3, cr3")) {
        vm_write(CR3_TARGET_COUNT, 1);
        vm_write(CR3_TARGET_VALUE0, vm_read(GUEST_CR3));
        *ept_entry(L2_ROOT) = 0;
        finish();
    }
}

static void busy_rows(void)
{
    static const u32 values[] = {1, 0x100, 0x80000000, 0xffffffff};
    char name[32];

    for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
        format_text(name, sizeof(name), "busy %x", values[i]);
        if (start(GUEST_64, name, "read spare")) {
            *(u32 *)(arena_page(PAGE_VE) + BUSY_OFFSET) = values[i];
            *SPARE_ENTRY = 0;
            finish();
        }
    }
    if (start(GUEST_64, "twice", "read spare")) {
        *SPARE_ENTRY = 0;
        guest_follow(1);
        say_area();
        guest_again();
        *(u32 *)(arena_page(PAGE_VE) + BUSY_OFFSET) = 0;
        guest_again();
        say_area();
        row_end();
    }
    if (start(GUEST_64, "no byte behind the area", "read spare")) {
        u32 changed = 0;

        *SPARE_ENTRY = 0;
        guest_run(true);
        for (u32 at = AREA_SIZE; at < PAGE_SIZE; at++)
            changed += arena_page(PAGE_VE)[at] != FILLER;
        say("exit %lu, %u bytes changed", vm_read(VM_EXIT_REASON), changed);
        row_end();
    }
    if (start(GUEST_64, "eptp index", "read spare")) {
        vm_write(EPTP_INDEX, 0x1234);
        *SPARE_ENTRY = 0;
        finish();
    }
}

#define INJECT(info)   SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | (info))
#define LENGTH(length) SET(VM_ENTRY_INSTRUCTION_LEN, length)
#define INTERCEPT      OR(EXCEPTION_BITMAP, BIT(20))
#define STACK          0x2000

struct delivery_case {
    const char *name;
    const char *code;
    enum guest_mode mode;
    u32 absent; /* a guest-physical page */
    u32 steps;
    struct edit edits[8];
};

static const struct delivery_case deliveries[] = {
    /* While an event is delivered there is no #VE. */
    {"int, idt absent", "int 0x30", GUEST_64, L2_IDT, 1, {}},
    {"int, stack absent", "int 0x30", GUEST_64, STACK, 1, {}},
    {"int, gdt absent", "int 0x30", GUEST_64, L2_GDT, 1, {}},
    {"int, tss absent", "int 0x30", GUEST_64_USER, L2_TSS, 1, {}},
    {"int3, stack absent", "int3", GUEST_64, STACK, 1, {}},
    {"int, idt absent, 32", "int 0x30", GUEST_PAE, L2_IDT, 1, {}},
    {"ud, gdt absent, 32", "ud2", GUEST_PAE, L2_GDT, 1, {}},
    {"injected interrupt, stack absent",
     "nop",
     GUEST_64,
     STACK,
     1,
     {OR(GUEST_RFLAGS, RFLAGS_IF), INJECT(INTR_TYPE_EXT_INTR | 0x50)}},
    {"injected nmi, stack absent", "nop", GUEST_64, STACK, 1, {INJECT(INTR_TYPE_NMI | 2)}},
    {"injected ve", "nop", GUEST_64, L2_SPARE, 1, {INJECT(INTR_TYPE_EXCEPTION | 20)}},
    {"injected ve, intercepted",
     "nop",
     GUEST_64,
     L2_SPARE,
     1,
     {INJECT(INTR_TYPE_EXCEPTION | 20), INTERCEPT}},
    /* The handler comes after the delivery. */
    {"int, handler absent", "int 0x30", GUEST_64, L2_HANDLERS, 1, {}},
    /* What the delivery of a #VE needs is absent. */
    {"code absent", "nop", GUEST_64, L2_CODE, 1, {}},
    {"idt absent", "read idt", GUEST_64, L2_IDT, 1, {}},
    {"no gate", "read spare", GUEST_64, L2_SPARE, 1, {SET(GUEST_IDTR_LIMIT, 20 * 16 - 1)}},
    {"no gate, 32", "read spare", GUEST_PAE, L2_SPARE, 1, {SET(GUEST_IDTR_LIMIT, 20 * 8 - 1)}},
    {"no gate, df intercepted",
     "read spare",
     GUEST_64,
     L2_SPARE,
     1,
     {SET(GUEST_IDTR_LIMIT, 20 * 16 - 1), OR(EXCEPTION_BITMAP, BIT(8))}},
    {"no gate, gp intercepted",
     "read spare",
     GUEST_64,
     L2_SPARE,
     1,
     {SET(GUEST_IDTR_LIMIT, 20 * 16 - 1), OR(EXCEPTION_BITMAP, BIT(13))}},
    {"no idt at all", "read spare", GUEST_64, L2_SPARE, 1, {SET(GUEST_IDTR_LIMIT, 0)}},
    {"gate not present", "read spare", GUEST_64, L2_SPARE, 1, {MEMORY(L2_IDT + 20 * 16 + 4, 0)}},
    {"task gate",
     "read spare",
     GUEST_PAE,
     L2_SPARE,
     1,
     {MEMORY(L2_IDT + 20 * 8, L2_SEL_TSS2 << 16), MEMORY(L2_IDT + 20 * 8 + 4, 0x8500)}},
    /* Intercepted. */
    {"intercepted", "read spare", GUEST_64, L2_SPARE, 1, {INTERCEPT}},
    {"intercepted, busy left", "write spare", GUEST_64, L2_SPARE, 1, {INTERCEPT}},
    {"intercepted, 32", "rmw spare", GUEST_PAE, L2_SPARE, 1, {INTERCEPT}},
    {"intercepted, other bits",
     "read spare",
     GUEST_64,
     L2_SPARE,
     1,
     {SET(EXCEPTION_BITMAP, ~BIT(20))}},
    {"intercepted, iret with nmi blocking",
     "iret",
     GUEST_64,
     L2_SPARE,
     1,
     {INTERCEPT, SET(GUEST_RSP, L2_SPARE + 0x800), SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
    {"intercepted, iret with virtual nmi blocking",
     "iret",
     GUEST_64,
     L2_SPARE,
     1,
     {INTERCEPT, SET(GUEST_RSP, L2_SPARE + 0x800), SET(GUEST_INTERRUPTIBILITY_INFO, 8),
      PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    {"iret with nmi blocking",
     "iret",
     GUEST_64_USER,
     L2_SPARE,
     1,
     {SET(GUEST_RSP, L2_SPARE + 0x800), SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
    {"iret with virtual nmi blocking",
     "iret",
     GUEST_64_USER,
     L2_SPARE,
     1,
     {SET(GUEST_RSP, L2_SPARE + 0x800), SET(GUEST_INTERRUPTIBILITY_INFO, 8),
      PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    /* The state that the handler finds. */
    {"blocking by sti", "sti, read spare", GUEST_64, L2_SPARE, 1, {}},
    {"blocking by mov ss", "mov ss, read spare", GUEST_64, L2_SPARE, 1, {}},
    {"blocking by sti, intercepted", "sti, read spare", GUEST_64, L2_SPARE, 1, {INTERCEPT}},
    {"single step", "read spare", GUEST_64, L2_SPARE, 1, {OR(GUEST_RFLAGS, RFLAGS_TF)}},
    {"rf clear", "read spare", GUEST_64, L2_SPARE, 1, {}},
    {"monitor trap flag", "read spare", GUEST_64, L2_SPARE, 3, {PROC(CPU_BASED_MONITOR_TRAP_FLAG)}},
    {"monitor trap flag, intercepted",
     "read spare",
     GUEST_64,
     L2_SPARE,
     1,
     {PROC(CPU_BASED_MONITOR_TRAP_FLAG), INTERCEPT}},
};

static void delivery_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(deliveries); i++) {
        const struct delivery_case *what = &deliveries[i];

        if (!start(what->mode, what->name, what->code))
            continue;
        *ept_entry(what->absent) = 0;
        for (u32 j = 0; j < ARRAY_SIZE(what->edits); j++)
            edit_apply(&what->edits[j]);
        if (!controls_offered())
            continue;
        guest_follow(what->steps);
        say_area();
        /* What the processor pushed: RFLAGS with RF. */
        if (vm_read(GUEST_RIP) >= L2_HANDLERS && what->mode == GUEST_64)
            say(" pushed flags %lx", *(u64 *)guest_memory((u32)vm_read(GUEST_RSP) + 16));
        row_end();
    }
}

static void control_rows(void)
{
    static const struct {
        const char *name;
        struct edit edit;
    } edits[] = {
        {"address bit 0", OR(VE_INFORMATION_ADDRESS, 1)},
        {"address bit 11", OR(VE_INFORMATION_ADDRESS, 0x800)},
        {"address beyond", BEYOND(VE_INFORMATION_ADDRESS)},
        {"address bit 63", OR(VE_INFORMATION_ADDRESS, BIT64(63))},
        {"address not used", CLEAR(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_EPT_VIOLATION_VE)},
    };

    for (u32 i = 0; i < ARRAY_SIZE(edits); i++)
        if (start(GUEST_64, edits[i].name, "read spare")) {
            if (edits[i].edit.what == EDIT_CLEAR)
                vm_write(VE_INFORMATION_ADDRESS, ~0ull);
            *SPARE_ENTRY = 0;
            edit_apply(&edits[i].edit);
            finish();
        }
    if (start(GUEST_64, "without ept", "nop")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_EPT_VIOLATION_VE);
        vm_write(VE_INFORMATION_ADDRESS, arena_address(PAGE_VE));
        finish();
    }
    for (u32 n = 0; n < 2; n++)
        if (start(GUEST_64, n ? "mode-based execute, user page" : "mode-based execute",
                  "fetch spare") &&
            row_needs(FEATURE_MODE_BASED_EXECUTE)) {
            field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
            *ept_pml4() |= EPT_EXEC_USER;
            *ept_pdpt() |= EPT_EXEC_USER;
            *ept_pd() |= EPT_EXEC_USER;
            for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
                *ept_entry(gpa) |= EPT_EXEC_USER;
            *SPARE_ENTRY &= ~(n ? EPT_EXEC_USER : EPT_EXEC);
            if (!n)
                *guest_pte(L2_SPARE) &= ~(u64)PTE_U;
            finish();
        }
}

void rows_ve(void)
{
    access_rows();
    suppress_rows();
    structure_rows();
    busy_rows();
    delivery_rows();
    control_rows();
}
