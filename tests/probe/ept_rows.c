/* Tools of the rows about EPT. */
#include "ept_rows.h"

#include "plastron_cpuid.h"

#define FLAGS_SHIFT 8
#define FLAGS       3ul /* accessed, dirty */

/* VMCALL at every offset that code jumps to. */
static void prepare_spare(void)
{
    static const u8 vmcall_hlt[] = {0x0f, 0x01, 0xc1, 0xf4};

    memcpy(guest_memory(L2_SPARE + 0x40), vmcall_hlt, sizeof(vmcall_hlt));
}

bool ept_row(const char *group, enum guest_mode mode, const char *name, const char *code)
{
    if (!row(STATE_VMCS, "%s.%s.%s.%s", group, name, code, guest_mode_names[mode]) ||
        !mode_offered(mode, WITH_EPT))
        return false;
    guest_setup(mode, WITH_EPT | (feature_offered(FEATURE_VPID) ? WITH_VPID : 0));
    guest_code(code);
    prepare_spare();
    return true;
}

u64 *ept_large_page(u32 level)
{
    u64 size = level == 2 ? SIZE_2M : SIZE_1G;
    u64 *entry = level == 2 ? &ept_pd()[1] : &ept_pdpt()[1];

    *entry = align_down((u64)arena, size) | EPT_RWX | EPT_WB_BITS | EPT_LARGE;
    *guest_pte(L2_SPARE) =
        (size + (arena_address(PAGE_SCRATCH) & (size - 1))) | PTE_P | PTE_W | PTE_A | PTE_D;
    return entry;
}

static void say_flags_of(const char *name, const u64 *entries, u32 count)
{
    bool said = false;

    for (u32 i = 0; i < count; i++)
        if (entries[i] >> FLAGS_SHIFT & FLAGS) {
            if (!said)
                say(" %s", name);
            said = true;
            say(" %x:%lu", i, entries[i] >> FLAGS_SHIFT & FLAGS);
        }
}

void say_ept_flags(void)
{
    say_flags_of("pml4", ept_pml4(), 2);
    say_flags_of("pdpt", ept_pdpt(), 2);
    say_flags_of("pd", ept_pd(), 2);
    say_flags_of("pt", ept_entry(0), L2_PAGES);
}

void guest_again(void)
{
    vm_write(GUEST_RIP, guest_entry);
    guest_run(false);
    say(" | ");
    say_exec();
}

void ept_gib(u64 entry)
{
    ((u64 *)guest_memory(L2_PDPT))[1] = EPT_GIB | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
    ept_pdpt()[1] = entry;
}

u64 shadow_in_use(void)
{
    u32 out[4];

    cpuid(CPUID_PLASTRON_SHADOW, 0, out);
    return out[1];
}
