/* Mode-based execute control: XS and XU in EPT entries. SDM vol. 3, "EPT Translation Mechanism". */
#include "ept_rows.h"

#define RIGHTS (EPT_RWX | EPT_EXEC_USER)

static bool start(enum guest_mode mode, const char *name, const char *code)
{
    if (!ept_row("mbec", mode, name, code) || !row_needs(FEATURE_MODE_BASED_EXECUTE))
        return false;
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
    *ept_pml4() |= EPT_EXEC_USER;
    *ept_pdpt() |= EPT_EXEC_USER;
    *ept_pd() |= EPT_EXEC_USER;
    for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
        *ept_entry(gpa) |= EPT_EXEC_USER;
    return true;
}

static void finish(void)
{
    if (controls_offered()) {
        guest_follow(1);
        row_end();
    }
}

/* As in "rights r-xu". */
static u64 name_rights(char *name, size_t size, const char *what, u32 n)
{
    format_text(name, size, "%s %c%c%c%c", what, n & 1 ? 'r' : '-', n & 2 ? 'w' : '-',
                n & 4 ? 'x' : '-', n & 8 ? 'u' : '-');
    return (n & EPT_RWX) | (n & 8 ? EPT_EXEC_USER : 0);
}

static void change_rights(u64 *entry, u64 rights) { *entry = (*entry & ~RIGHTS) | rights; }

/* In the guest's own tables a page is a supervisor's if one of these bits is clear. */
static void make_supervisor(u32 gva) { *guest_pte(gva) &= ~(u64)PTE_U; }

static void permission_rows(void)
{
    static const char *const codes[] = {"read spare", "write spare", "fetch spare",
                                        "movs to spare"};
    static const enum guest_mode others[] = {GUEST_PAE, GUEST_COMPAT, GUEST_FLAT, GUEST_64_USER,
                                             GUEST_32_USER};
    char name[48];

    for (u32 n = 0; n < 16; n++) {
        for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
            u64 rights = name_rights(name, sizeof(name), "rights", n);

            if (start(GUEST_64, name, codes[i])) {
                change_rights(SPARE_ENTRY, rights);
                finish();
            }
        }
        for (u32 m = 0; m < ARRAY_SIZE(others); m++) {
            u64 rights = name_rights(name, sizeof(name), "rights", n);

            if (start(others[m], name, "fetch spare")) {
                change_rights(SPARE_ENTRY, rights);
                finish();
            }
        }
        for (u32 m = 0; m < 2; m++) {
            u64 rights = name_rights(name, sizeof(name), "supervisor page, rights", n);

            if (start(m ? GUEST_PAE : GUEST_64, name, "fetch spare")) {
                make_supervisor(L2_SPARE);
                change_rights(SPARE_ENTRY, rights);
                finish();
            }
        }
    }
}

/* U/S is the AND of all levels of the guest's paging. */
static void user_bit_rows(void)
{
    static const struct {
        const char *name;
        u32 gpa;
    } levels[] = {{"pml4", L2_ROOT}, {"pdpt", L2_PDPT}, {"pd", L2_PD}};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(levels); i++)
        for (u32 n = 0; n < 2; n++) {
            format_text(name, sizeof(name), "user bit clear in %s, %s", levels[i].name,
                        n ? "xu only" : "xs only");
            if (start(GUEST_64, name, "nop")) {
                *(u64 *)guest_memory(levels[i].gpa) &= ~(u64)PTE_U;
                change_rights(ept_entry(L2_CODE),
                              EPT_READ | EPT_WRITE | (n ? EPT_EXEC_USER : EPT_EXEC));
                finish();
            }
        }
}

/* A table's rights bound those of all below it; the guest's code is below it too. */
static void table_rows(void)
{
    const struct {
        const char *name;
        u64 *entry;
    } tables[] = {{"pml4", ept_pml4()}, {"pdpt", ept_pdpt()}, {"pd", ept_pd()}};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(tables); i++)
        for (u32 n = 0; n < 16; n++)
            for (u32 user = 0; user < 2; user++) {
                u64 rights = name_rights(name, sizeof(name), tables[i].name, n);

                if (start(user ? GUEST_64_USER : GUEST_FLAT, name, "nop")) {
                    change_rights(tables[i].entry, rights);
                    finish();
                }
            }
}

static void large_rows(void)
{
    char name[48];

    for (u32 level = 2; level <= 3; level++)
        for (u32 n = 0; n < 16; n++) {
            u64 rights = name_rights(name, sizeof(name), level == 2 ? "2m page" : "1g page", n);

            if (!start(GUEST_64, name, "fetch spare") || (level == 3 && !row_needs(FEATURE_EPT_1G)))
                continue;
            memcpy(arena_page(PAGE_SCRATCH), guest_memory(L2_SPARE), PAGE_SIZE);
            change_rights(ept_large_page(level), rights);
            guest_run(true);
            /* The guest-physical address is the arena's in part, so it is not said. */
            say("exit %lu qual %lx", vm_read(VM_EXIT_REASON),
                vm_read(VM_EXIT_REASON) == EXIT_REASON_EPT_VIOLATION
                    ? vm_read(EXIT_QUALIFICATION) & 0xfff
                    : 0);
            row_end();
        }
}

static void delivery_rows(void)
{
    static const char *const codes[] = {"int 0x30", "ud2"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        for (u32 n = 0; n < 2; n++) {
            if (start(GUEST_64, n ? "handlers xu only" : "handlers xs only", codes[i])) {
                change_rights(ept_entry(L2_HANDLERS),
                              EPT_READ | EPT_WRITE | (n ? EPT_EXEC_USER : EPT_EXEC));
                finish();
            }
            if (start(GUEST_64, n ? "supervisor handlers xu only" : "supervisor handlers xs only",
                      codes[i])) {
                make_supervisor(L2_HANDLERS);
                change_rights(ept_entry(L2_HANDLERS),
                              EPT_READ | EPT_WRITE | (n ? EPT_EXEC_USER : EPT_EXEC));
                finish();
            }
        }
}

/* Bit 10 means nothing while the control is off. */
static void control_rows(void)
{
    static const char *const codes[] = {"read spare", "fetch spare"};
    char name[48];

    for (u32 n = 0; n < 16; n++)
        for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
            u64 rights = name_rights(name, sizeof(name), "control off, rights", n);

            if (start(GUEST_64, name, codes[i])) {
                field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
                change_rights(SPARE_ENTRY, rights);
                finish();
            }
        }
    for (u32 n = 0; n < 16; n++) {
        u64 rights = name_rights(name, sizeof(name), "on, off and on, rights", n);

        if (!start(GUEST_64, name, "fetch spare"))
            continue;
        change_rights(SPARE_ENTRY, rights);
        guest_follow(1);
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
        flush_ept();
        guest_again();
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
        flush_ept();
        guest_again();
        row_end();
    }
    if (start(GUEST_64, "without ept", "nop")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
        finish();
    }
}

/* INVEPT reaches what was filled in with the control and without. */
static void change_rows(void)
{
    for (u32 n = 0; n < 2; n++)
        if (start(GUEST_64, n ? "xu taken away, invept" : "page taken away, invept",
                  "fetch spare")) {
            struct invept_operand operand = {vm_read(EPT_POINTER), 0};
            u64 type = INVEPT_SINGLE_CONTEXT;

            guest_follow(1);
            change_rights(SPARE_ENTRY, n ? EPT_RWX : 0);
            __asm__ volatile("invept %1, %0" ::"r"(type), "m"(operand) : "memory", "cc");
            guest_again();
            row_end();
        }
}

static void flag_rows(void)
{
    static const char *const codes[] = {"read spare", "write spare", "fetch spare"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        if (start(GUEST_64, "accessed and dirty flags", codes[i]) &&
            row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
            field_set(EPT_POINTER, EPTP_AD);
            guest_follow(1);
            say_ept_flags();
            row_end();
        }
}

void rows_mbec(void)
{
    permission_rows();
    user_bit_rows();
    table_rows();
    large_rows();
    delivery_rows();
    control_rows();
    change_rows();
    flag_rows();
}
