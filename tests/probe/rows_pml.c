/* Page-modification logging. SDM vol. 3, "Page-Modification Logging". */
#include "ept_rows.h"

#define LAST_INDEX 511u
#define UNTOUCHED  0x7777777777777777ull

static const char *const accesses[] = {"read spare",        "write spare",   "rmw spare",
                                       "locked spare",      "fetch spare",   "write across spare",
                                       "push spare",        "movs to spare", "int 0x30",
                                       "write spare, iret", "two writes"};

static bool start(enum guest_mode mode, const char *name, const char *code)
{
    if (!ept_row("pml", mode, name, code) || !row_needs(FEATURE_PML))
        return false;
    memset(arena_page(PAGE_PML), 0x77, PAGE_SIZE);
    field_set(EPT_POINTER, EPTP_AD);
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML);
    vm_write(PML_ADDRESS, arena_address(PAGE_PML));
    vm_write(GUEST_PML_INDEX, LAST_INDEX);
    return true;
}

/* The index, and every entry that was written, from the last to the first. */
static void say_log(void)
{
    const u64 *log = (const u64 *)arena_page(PAGE_PML);

    say(" index %lx log", vm_read(GUEST_PML_INDEX));
    for (u32 i = 512; i > 0; i--)
        if (log[i - 1] != UNTOUCHED)
            say(" %x:%lx", i - 1, log[i - 1]);
}

static void run(void)
{
    guest_follow(1);
    say_log();
    say_ept_flags();
}

static void finish(void)
{
    if (!controls_offered())
        return;
    run();
    row_end();
}

/* All of the guest's pages, but for one, have these flags already. */
static void preset(u64 flags, u32 but)
{
    *ept_pml4() |= EPT_ACCESSED;
    *ept_pdpt() |= EPT_ACCESSED;
    *ept_pd() |= EPT_ACCESSED;
    for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
        if (gpa != but)
            *ept_entry(gpa) |= flags;
}

static void access_rows(void)
{
    static const enum guest_mode modes[] = {GUEST_64, GUEST_PAE, GUEST_FLAT};

    for (u32 m = 0; m < ARRAY_SIZE(modes); m++)
        for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
            if (start(modes[m], "access", accesses[i]))
                finish();
            if (start(modes[m], "guest flags clear", accesses[i])) {
                *guest_pte(L2_SPARE) &= ~(PTE_A | PTE_D);
                finish();
            }
            if (start(modes[m], "all dirty but spare", accesses[i])) {
                preset(EPT_ACCESSED | EPT_DIRTY, L2_SPARE);
                finish();
            }
            if (start(modes[m], "all accessed", accesses[i])) {
                preset(EPT_ACCESSED, 0);
                finish();
            }
        }
}

/* Each index that the log can start at, so that it is full anywhere in the course of the code. */
static void index_rows(void)
{
    static const u32 indices[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 510, 512, 0x1ff0, 0x8000, 0xffff};
    char name[32];

    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++)
        for (u32 j = 0; j < ARRAY_SIZE(indices); j++) {
            format_text(name, sizeof(name), "index %x", indices[j]);
            if (start(GUEST_64, name, accesses[i])) {
                vm_write(GUEST_PML_INDEX, indices[j]);
                finish();
            }
            format_text(name, sizeof(name), "index %x, accessed", indices[j]);
            if (start(GUEST_64, name, accesses[i])) {
                vm_write(GUEST_PML_INDEX, indices[j]);
                preset(EPT_ACCESSED, 0);
                finish();
            }
        }
    /* Nothing becomes accessed or dirty, so that nothing looks at the index. */
    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++)
        if (start(GUEST_64, "index 512, nothing to set", accesses[i])) {
            vm_write(GUEST_PML_INDEX, 512);
            preset(EPT_ACCESSED | EPT_DIRTY, 0xfffff000);
            finish();
        }
    /* Without accessed and dirty flags there is no log. */
    if (start(GUEST_64, "index 512, flags not enabled", "write spare")) {
        field_clear(EPT_POINTER, EPTP_AD);
        vm_write(GUEST_PML_INDEX, 512);
        finish();
    }
}

/* What a hypervisor does about a full log: it empties it and goes on. */
static void emptied_rows(void)
{
    static const u32 indices[] = {0, 2, 3, 4, 5};
    char name[32];

    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++)
        for (u32 j = 0; j < ARRAY_SIZE(indices); j++) {
            format_text(name, sizeof(name), "full at %u, emptied", indices[j]);
            if (!start(GUEST_64, name, accesses[i]))
                continue;
            vm_write(GUEST_PML_INDEX, indices[j]);
            run();
            if (vm_read(VM_EXIT_REASON) == EXIT_REASON_PML_FULL) {
                vm_write(GUEST_PML_INDEX, LAST_INDEX);
                guest_run(false);
                say(" | ");
                say_exec();
                say_log();
            }
            row_end();
        }
}

/*
 * Without VPIDs, entries and exits empty the translation caches, so that flags are set and logged
 * anew although L1 executes no INVEPT.
 */
static void cleared_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
        if (!start(GUEST_64, "cleared without vpid", accesses[i]))
            continue;
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VPID);
        run();
        for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
            *ept_entry(gpa) &= ~EPT_DIRTY;
        guest_again();
        say_log();
        row_end();
    }
}

/* Full while an event is delivered. */
static void delivery_rows(void)
{
    static const struct {
        const char *name;
        const char *code;
        u32 index;
        struct edit edits[4];
    } deliveries[] = {
        {"injected interrupt",
         "nop",
         3,
         {OR(GUEST_RFLAGS, RFLAGS_IF),
          SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | 0x50)}},
        {"injected nmi",
         "nop",
         3,
         {SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_NMI | 2)}},
        {"injected gp",
         "nop",
         3,
         {SET(VM_ENTRY_INTR_INFO_FIELD,
              INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK | 13),
          SET(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x18)}},
        {"injected soft int",
         "nop",
         3,
         {SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_SOFT_INTR | 0x30),
          SET(VM_ENTRY_INSTRUCTION_LEN, 2)}},
        /* The descriptor's accessed bit is the last thing that the log has room for. */
        {"int, gdt written", "int 0x30", 4, {}},
        {"int3, gdt written", "int3", 4, {}},
        {"ud, gdt written", "ud2", 4, {}},
        {"iret with nmi blocking", "write spare, iret", 4, {SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
        {"iret with virtual nmi blocking",
         "write spare, iret",
         4,
         {SET(GUEST_INTERRUPTIBILITY_INFO, 8),
          PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    };

    for (u32 i = 0; i < ARRAY_SIZE(deliveries); i++) {
        if (!start(GUEST_64, deliveries[i].name, deliveries[i].code))
            continue;
        for (u32 j = 0; j < ARRAY_SIZE(deliveries[i].edits); j++)
            edit_apply(&deliveries[i].edits[j]);
        *(u64 *)guest_memory(L2_GDT + L2_SEL_KERNEL) &= ~BIT64(40);
        vm_write(GUEST_PML_INDEX, deliveries[i].index);
        finish();
    }
}

static void large_rows(void)
{
    char name[32];

    for (u32 level = 2; level <= 3; level++)
        for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
            format_text(name, sizeof(name), "large page %u", level);
            if (!start(GUEST_64, name, accesses[i]) || (level == 3 && !row_needs(FEATURE_EPT_1G)))
                continue;
            memcpy(arena_page(PAGE_SCRATCH), guest_memory(L2_SPARE), PAGE_SIZE);
            ept_large_page(level);
            guest_follow(1);
            /* The guest-physical address is the arena's in part, so only its kind is said. */
            say(" index %lx", vm_read(GUEST_PML_INDEX));
            for (u32 at = (u32)vm_read(GUEST_PML_INDEX) + 1; at < 512; at++) {
                u64 entry = ((u64 *)arena_page(PAGE_PML))[at];

                say(" %x:%s", at, entry < SIZE_2M ? "small" : entry & 0xfff ? "odd" : "large");
            }
            say_ept_flags();
            row_end();
        }
}

/* An access that is refused is not logged, whatever the index. */
static void refused_rows(void)
{
    static const u32 indices[] = {511, 4};
    char name[32];

    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++)
        for (u32 j = 0; j < ARRAY_SIZE(indices); j++) {
            format_text(name, sizeof(name), "refused, index %u", indices[j]);
            if (start(GUEST_64, name, accesses[i])) {
                *SPARE_ENTRY &= ~(EPT_WRITE | EPT_EXEC);
                vm_write(GUEST_PML_INDEX, indices[j]);
                finish();
            }
        }
}

static void control_rows(void)
{
    static const struct {
        const char *name;
        struct edit edit;
    } edits[] = {{"address bit 0", OR(PML_ADDRESS, 1)},
                 {"address bit 11", OR(PML_ADDRESS, 0x800)},
                 {"address beyond", BEYOND(PML_ADDRESS)},
                 {"address bit 63", OR(PML_ADDRESS, BIT64(63))},
                 {"address not used", CLEAR(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML)}};

    for (u32 i = 0; i < ARRAY_SIZE(edits); i++)
        if (start(GUEST_64, edits[i].name, "write spare")) {
            if (edits[i].edit.what == EDIT_CLEAR)
                vm_write(PML_ADDRESS, ~0ull);
            edit_apply(&edits[i].edit);
            finish();
        }
    if (start(GUEST_64, "without ept", "nop")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML);
        finish();
    }
    if (start(GUEST_64, "switched on later", "write spare")) {
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML);
        guest_follow(1);
        say_log();
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML);
        for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
            *ept_entry(gpa) &= ~EPT_DIRTY;
        flush_ept();
        guest_again();
        say_log();
        row_end();
    }
}

void rows_pml(void)
{
    access_rows();
    index_rows();
    emptied_rows();
    cleared_rows();
    delivery_rows();
    large_rows();
    refused_rows();
    control_rows();
}
