/* Sub-page write permissions. SDM vol. 3, "Sub-Page Write Permissions" and "SPP-Related Events". */
#include "ept_rows.h"

#define SUB_PAGE      128u
#define ALL_SUB_PAGES 0x5555555555555555ull
#define VALID         1ull

static u64 *sppt_entry(u32 level, u32 gpa)
{
    return (u64 *)arena_page(PAGE_SPPT + 4 - level) + (gpa >> (12 + 9 * (level - 1)) & 511);
}

static void build_sppt(u64 permissions)
{
    memset(arena_page(PAGE_SPPT), 0, 4 * PAGE_SIZE);
    for (u32 level = 4; level > 1; level--)
        *sppt_entry(level, L2_SPARE) = arena_address(PAGE_SPPT + 5 - level) | VALID;
    *sppt_entry(1, L2_SPARE) = permissions;
}

/* The spare page can be read and executed, and written where `permissions` say so. */
static bool start(const char *name, u64 permissions)
{
    if (!row(STATE_VMCS, "spp.%s", name) || !row_needs(FEATURE_SUB_PAGES))
        return false;
    build_sppt(permissions);
    guest_setup(GUEST_64, WITH_EPT);
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SPP);
    vm_write(SPP_TABLE_POINTER, arena_address(PAGE_SPPT));
    *ept_entry(L2_SPARE) = (*ept_entry(L2_SPARE) & ~EPT_WRITE) | EPT_SUB_PAGE;
    exec.gpr[RAX] = 0x12345678;
    exec.gpr[RDI] = L2_SPARE;
    return true;
}

static void run(const char *code)
{
    guest_code(code);
    guest_run(true);
    say_exec();
}

static void finish(void)
{
    say(" memory %x", *(u32 *)guest_memory(L2_SPARE));
    row_end();
}

static void simple_row(const char *name, u64 permissions, const char *code)
{
    if (start(name, permissions)) {
        run(code);
        finish();
    }
}

static void each_sub_page(void)
{
    char name[48];

    for (u32 i = 0; i < 32; i++)
        for (u32 j = 0; j < 4; j++) {
            u32 at = (i + j % 2) % 32 * SUB_PAGE + (j / 2 ? SUB_PAGE - 4 : 0);

            format_text(name, sizeof(name), "permission %u, write at %x", i, at);
            if (!start(name, BIT64(2 * i)))
                continue;
            exec.gpr[RDI] = L2_SPARE + at;
            run("write rdi");
            say(" memory %x", *(u32 *)guest_memory(L2_SPARE + at));
            row_end();
        }
}

/* ---- SPPT12: what is not valid, what is reserved */

static void table_rows(void)
{
    static const u32 bits[] = {1, 2, 8, 10, 11, 51, 52, 62, 63};
    char name[48];

    for (u32 level = 4; level > 1; level--) {
        format_text(name, sizeof(name), "level %u not valid", level);
        if (start(name, ALL_SUB_PAGES)) {
            *sppt_entry(level, L2_SPARE) &= ~VALID;
            run("write rdi");
            finish();
        }
        for (u32 i = 0; i < ARRAY_SIZE(bits); i++) {
            format_text(name, sizeof(name), "level %u bit %u", level, bits[i]);
            if (start(name, ALL_SUB_PAGES)) {
                *sppt_entry(level, L2_SPARE) |= BIT64(bits[i]);
                run("write rdi");
                finish();
            }
        }
    }
    for (u32 bit = 1; bit < 64; bit += 2) {
        format_text(name, sizeof(name), "level 1 bit %u", bit);
        simple_row(name, ALL_SUB_PAGES | BIT64(bit), "write rdi");
    }
}

/* ---- what is eligible */

static void eligible_rows(void)
{
    simple_row("read", 0, "read spare");
    simple_row("fetch", 0, "fetch spare");
    simple_row("rmw", ALL_SUB_PAGES, "rmw spare");
    simple_row("rmw forbidden", 0, "rmw spare");
    simple_row("movs", ALL_SUB_PAGES, "movs to spare");
    if (start("no sub-page bit", ALL_SUB_PAGES)) {
        *ept_entry(L2_SPARE) &= ~EPT_SUB_PAGE;
        run("write rdi");
        finish();
    }
    if (start("writable page", 0)) {
        *ept_entry(L2_SPARE) |= EPT_WRITE;
        run("write rdi");
        finish();
    }
    if (start("execute-only page", ALL_SUB_PAGES)) {
        *ept_entry(L2_SPARE) &= ~EPT_READ;
        run("write rdi");
        finish();
    }
    if (start("not writable above", ALL_SUB_PAGES)) {
        ((u64 *)arena_page(PAGE_EPT_PDPT))[0] &= ~EPT_WRITE;
        run("write rdi");
        finish();
    }
    if (start("control off", ALL_SUB_PAGES)) {
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SPP);
        run("write rdi");
        finish();
    }
    if (start("read, then written", ALL_SUB_PAGES)) {
        guest_code("read and write spare");
        guest_run(true);
        say_exec();
        finish();
    }
    if (start("page table of the guest", ALL_SUB_PAGES)) {
        *sppt_entry(1, L2_PT) = ALL_SUB_PAGES;
        *ept_entry(L2_PT) = (*ept_entry(L2_PT) & ~EPT_WRITE) | EPT_SUB_PAGE;
        *guest_pte(L2_SPARE) &= ~PTE_A;
        run("read spare");
        finish();
    }
    if (start("stack of an event", ALL_SUB_PAGES)) {
        *sppt_entry(1, L2_STACK_TOP) = 0;
        *ept_entry(L2_STACK_TOP) = (*ept_entry(L2_STACK_TOP) & ~EPT_WRITE) | EPT_SUB_PAGE;
        run("int 0x30");
        finish();
    }
    if (start("stack of an event, miss", ALL_SUB_PAGES)) {
        *sppt_entry(2, L2_STACK_TOP) = 0;
        *ept_entry(L2_STACK_TOP) = (*ept_entry(L2_STACK_TOP) & ~EPT_WRITE) | EPT_SUB_PAGE;
        run("int 0x30");
        finish();
    }
}

/* ---- accessed and dirty flags, changes with INVEPT */

static void flag_rows(void)
{
    static const u64 permissions[] = {0, ALL_SUB_PAGES};
    char name[48];

    for (u32 i = 0; i < 2; i++)
        for (u32 with_read = 0; with_read < 2; with_read++) {
            format_text(name, sizeof(name), "flags, %s, %s", with_read ? "read first" : "write",
                        i ? "allowed" : "forbidden");
            if (!start(name, permissions[i]) || !row_needs(FEATURE_EPT_ACCESSED_DIRTY))
                continue;
            field_set(EPT_POINTER, EPTP_AD);
            run(with_read ? "read and write spare" : "write rdi");
            say(" entry %lx", (u64)(*ept_entry(L2_SPARE) & (EPT_ACCESSED | EPT_DIRTY)));
            finish();
        }
}

static void change_rows(void)
{
    if (start("allowed later", 0)) {
        run("write rdi");
        *sppt_entry(1, L2_SPARE) = 1;
        flush_ept();
        say(" | ");
        guest_run(false);
        say_exec();
        finish();
    }
    if (start("filled in later", 0)) {
        *sppt_entry(3, L2_SPARE) = 0;
        run("write rdi");
        build_sppt(1);
        flush_ept();
        say(" | ");
        guest_run(false);
        say_exec();
        finish();
    }
    if (start("forbidden later", 1)) {
        run("write rdi");
        *sppt_entry(1, L2_SPARE) = 4;
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        exec.gpr[RAX] = 0x55;
        say(" | ");
        guest_run(false);
        say_exec();
        finish();
    }
    if (start("another table", 1)) {
        run("write rdi");
        memset(arena_page(PAGE_SPPT + 3), 0, PAGE_SIZE);
        vm_write(SPP_TABLE_POINTER, arena_address(PAGE_SPPT + 3));
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        exec.gpr[RAX] = 0x55;
        say(" | ");
        guest_run(false);
        say_exec();
        finish();
    }
}

static const struct guest_row control_rows[] = {
    {.name = "control",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, 0)}},
    {.name = "control without ept",
     .code = "nop",
     .flags = PLAIN_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, 0)}},
    {.name = "table misaligned",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, 0x1008)}},
    {.name = "table misaligned 800",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, 0x1800)}},
    {.name = "table beyond",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, 0), BEYOND(SPP_TABLE_POINTER)}},
    {.name = "table bit 63",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_SPP), SET(SPP_TABLE_POINTER, BIT64(63))}},
    {.name = "table unused",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {SET(SPP_TABLE_POINTER, ~0ull)}},
};

void rows_sub_pages(void)
{
    guest_rows("spp", control_rows, ARRAY_SIZE(control_rows));
    each_sub_page();
    table_rows();
    eligible_rows();
    flag_rows();
    change_rows();
}
