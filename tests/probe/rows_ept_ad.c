/* EPT's accessed and dirty flags: which entries have them after what. SDM vol. 3, "Accessed and
   Dirty Flags for EPT". */
#include "ept_rows.h"

static const char *const accesses[] = {
    "read spare",  "write spare",       "rmw spare",          "locked spare",
    "fetch spare", "read across spare", "write across spare", "read across into spare",
    "push spare",  "movs to spare",     "read spare twice"};

static const char *const few[] = {"read spare", "write spare", "fetch spare"};

static const enum guest_mode modes[] = {GUEST_64,   GUEST_COMPAT,  GUEST_PAE,    GUEST_32,
                                        GUEST_FLAT, GUEST_64_USER, GUEST_32_USER};

static bool start(enum guest_mode mode, const char *name, const char *code)
{
    if (!ept_row("ept-ad", mode, name, code) || !row_needs(FEATURE_EPT_ACCESSED_DIRTY))
        return false;
    field_set(EPT_POINTER, EPTP_AD);
    return true;
}

static void finish(void)
{
    if (!controls_offered())
        return;
    guest_follow(1);
    say_ept_flags();
    row_end();
}

/* Every kind of access; with the guest's own flags set before, and to be set. */
static void access_rows(void)
{
    for (u32 m = 0; m < ARRAY_SIZE(modes); m++)
        for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
            bool user = modes[m] == GUEST_64_USER || modes[m] == GUEST_32_USER;

            if (user && text_starts(accesses[i], "push"))
                continue;
            if (start(modes[m], "access", accesses[i]))
                finish();
            if (modes[m] == GUEST_FLAT || modes[m] == GUEST_32)
                continue;
            if (start(modes[m], "guest flags clear", accesses[i])) {
                *guest_pte(L2_SPARE) &= ~(PTE_A | PTE_D);
                finish();
            }
        }
    if (start(GUEST_REAL, "access", "nop"))
        finish();
    if (start(GUEST_V86, "access", "nop"))
        finish();
}

/* Flags that are there already, and bits that look like flags. */
static void preset_rows(void)
{
    static const struct {
        const char *name;
        u64 leaf, table;
    } presets[] = {{"leaf accessed", EPT_ACCESSED, 0},
                   {"leaf dirty", EPT_DIRTY, 0},
                   {"leaf accessed and dirty", EPT_ACCESSED | EPT_DIRTY, 0},
                   {"tables accessed", 0, EPT_ACCESSED},
                   {"tables dirty", 0, EPT_DIRTY},
                   {"all accessed", EPT_ACCESSED, EPT_ACCESSED}};

    for (u32 i = 0; i < ARRAY_SIZE(presets); i++)
        for (u32 j = 0; j < ARRAY_SIZE(few); j++)
            if (start(GUEST_64, presets[i].name, few[j])) {
                *SPARE_ENTRY |= presets[i].leaf;
                *ept_pml4() |= presets[i].table;
                *ept_pdpt() |= presets[i].table;
                *ept_pd() |= presets[i].table;
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
            finish();
        }
}

/* An access that is refused leaves no flag behind. */
static void refused_rows(void)
{
    static const struct {
        const char *name;
        u64 clear, set;
    } leaves[] = {{"read-only", EPT_WRITE | EPT_EXEC, 0},
                  {"execute-only", EPT_READ | EPT_WRITE, 0},
                  {"absent", ~0ull, 0},
                  {"misconfigured", EPT_READ | EPT_EXEC, 0},
                  {"reserved type", 0, 3 << 3}};

    for (u32 i = 0; i < ARRAY_SIZE(leaves); i++)
        for (u32 j = 0; j < ARRAY_SIZE(accesses); j++)
            if (start(GUEST_64, leaves[i].name, accesses[j])) {
                *SPARE_ENTRY = (*SPARE_ENTRY & ~leaves[i].clear) | leaves[i].set;
                finish();
            }
}

/* Accesses to the guest's paging structures are writes. */
static void structure_rows(void)
{
    static const struct {
        const char *name;
        u32 gpa;
    } structures[] = {{"root", L2_ROOT}, {"pdpt", L2_PDPT}, {"pd", L2_PD}, {"pt", L2_PT}};
    static const enum guest_mode paged[] = {GUEST_64, GUEST_PAE, GUEST_32};
    char name[48];

    for (u32 m = 0; m < ARRAY_SIZE(paged); m++)
        for (u32 i = 0; i < ARRAY_SIZE(structures); i++)
            for (u32 rights = 0; rights < 8; rights++) {
                format_text(name, sizeof(name), "guest %s in rights %u", structures[i].name,
                            rights);
                if (start(paged[m], name, "read spare")) {
                    *ept_entry(structures[i].gpa) =
                        (*ept_entry(structures[i].gpa) & ~EPT_RWX) | rights;
                    finish();
                }
            }
    /* The registers of PAE paging are loaded by reads. */
    if (start(GUEST_PAE, "pdptes loaded", "mov cr3, cr3")) {
        vm_write(CR3_TARGET_COUNT, 1);
        vm_write(CR3_TARGET_VALUE0, vm_read(GUEST_CR3));
        finish();
    }
    if (start(GUEST_PAE, "pdptes loaded from a read-only page", "mov cr3, cr3")) {
        vm_write(CR3_TARGET_COUNT, 1);
        vm_write(CR3_TARGET_VALUE0, vm_read(GUEST_CR3));
        *ept_entry(L2_ROOT) &= ~EPT_WRITE;
        finish();
    }
}

/* What an event's delivery reads and writes. */
static void delivery_rows(void)
{
    static const char *const codes[] = {"int 0x30", "ud2", "int3"};
    static const enum guest_mode idt_modes[] = {GUEST_64, GUEST_PAE, GUEST_REAL, GUEST_64_USER};

    for (u32 m = 0; m < ARRAY_SIZE(idt_modes); m++)
        for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
            if (start(idt_modes[m], "delivery", codes[i]))
                finish();
    if (start(GUEST_64, "injection", "nop")) {
        field_set(GUEST_RFLAGS, RFLAGS_IF);
        vm_write(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | 0x50);
        finish();
    }
}

static void clear_all_flags(void)
{
    *ept_pml4() &= ~(EPT_ACCESSED | EPT_DIRTY);
    *ept_pdpt() &= ~(EPT_ACCESSED | EPT_DIRTY);
    for (u32 i = 0; i < 2; i++)
        ept_pd()[i] &= ~(EPT_ACCESSED | EPT_DIRTY);
    for (u32 i = 0; i < L2_PAGES; i++)
        *ept_entry(i * (u32)PAGE_SIZE) &= ~(EPT_ACCESSED | EPT_DIRTY);
}

static void change_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++) {
        if (start(GUEST_64, "cleared, invept", accesses[i])) {
            guest_follow(1);
            clear_all_flags();
            flush_ept();
            guest_again();
            say_ept_flags();
            row_end();
        }
        if (start(GUEST_64, "enabled later", accesses[i])) {
            field_clear(EPT_POINTER, EPTP_AD);
            guest_follow(1);
            say_ept_flags();
            field_set(EPT_POINTER, EPTP_AD);
            flush_ept();
            guest_again();
            say_ept_flags();
            row_end();
        }
        if (start(GUEST_64, "disabled later", accesses[i])) {
            guest_follow(1);
            clear_all_flags();
            field_clear(EPT_POINTER, EPTP_AD);
            flush_ept();
            guest_again();
            say_ept_flags();
            row_end();
        }
    }
    if (start(GUEST_64, "read, then written", "read spare")) {
        guest_follow(1);
        say_ept_flags();
        guest_code("write spare");
        guest_again();
        say_ept_flags();
        row_end();
    }
    if (start(GUEST_64, "page writes its own entry", "write spare")) {
        *SPARE_ENTRY = arena_address(PAGE_EPT_PT) | EPT_RWX | EPT_WB_BITS;
        exec.gpr[RAX] = 0;
        finish();
    }
    if (start(GUEST_64, "one table at two levels", "write spare")) {
        /* Guest-physical 2 MiB: the directory is its own table, whose second entry is that one. */
        ept_pd()[1] = (u64)ept_pd() | EPT_RWX;
        *guest_pte(L2_SPARE) = (SIZE_2M + PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
        exec.gpr[RAX] = 0;
        guest_follow(1);
        say(" %lx", ept_pd()[1] >> 8 & 3);
        row_end();
    }
}

static void eptp_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(accesses); i++)
        if (ept_row("ept-ad", GUEST_64, "not enabled", accesses[i]))
            finish();
    if (ept_row("ept-ad", GUEST_64, "eptp bit 6", "nop")) {
        if (feature_offered(FEATURE_EPT_ACCESSED_DIRTY)) {
            row_skip("a processor without ept-accessed-dirty");
        } else {
            field_set(EPT_POINTER, EPTP_AD);
            finish();
        }
    }
}

void rows_ept_ad(void)
{
    access_rows();
    preset_rows();
    large_rows();
    refused_rows();
    structure_rows();
    delivery_rows();
    change_rows();
    eptp_rows();
}
