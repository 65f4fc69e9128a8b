/* The guests of the fuzzer: memory, EPT, MSR areas and bitmaps, and the VMCS they start with. */
#include "fuzz.h"

#define FIRST_FREE_PAGE (L2_USER_STACK_TOP / (u32)PAGE_SIZE + 1)

struct fuzz_slot fuzz_slots[FUZZ_SLOTS];
u32 fuzz_slot;

/* ---- MSR areas and bitmaps ---- */

static struct vmx_msr_entry *msr_area(u32 page) { return (struct vmx_msr_entry *)arena_page(page); }

static void make_msr_lists(void)
{
    static const u32 bad[] = {0x1234, 0x808, MSR_IA32_FS_BASE, MSR_IA32_GS_BASE};

    for (u32 i = 0; i < FUZZ_MSR_LIST_MAX; i++) {
        u32 index = fuzz_msrs[fuzz_below(fuzz_msr_count)];

        msr_area(PAGE_MSR_ENTRY_LOAD)[i] = (struct vmx_msr_entry){
            .index = fuzz_one_in(8) ? bad[fuzz_below(ARRAY_SIZE(bad))] : index,
            .reserved = fuzz_one_in(32),
            .value = fuzz_one_in(2) ? fuzz_value() : fuzz_below(16),
        };
        msr_area(PAGE_MSR_EXIT_STORE)[i] =
            (struct vmx_msr_entry){.index = fuzz_msrs[fuzz_below(fuzz_msr_count)]};
        /* These must not fail. */
        msr_area(PAGE_MSR_EXIT_LOAD)[i] = (struct vmx_msr_entry){
            .index = fuzz_one_in(2) ? MSR_IA32_KERNEL_GS_BASE : MSR_IA32_SYSENTER_CS,
            .value = fuzz_below(0x10000),
        };
    }
}

static void clear_bit(u8 *bitmap, u32 bit) { bitmap[bit / 8] &= (u8) ~(1 << bit % 8); }

/* Only what is harmless may get through. */
static void make_bitmaps(void)
{
    u8 *msrs = arena_page(PAGE_MSR_BITMAP), *low = arena_page(PAGE_IO_BITMAP_A);
    u8 *high = arena_page(PAGE_IO_BITMAP_B);

    memset(msrs, 0xff, PAGE_SIZE);
    memset(low, 0xff, PAGE_SIZE);
    memset(high, 0xff, PAGE_SIZE);
    for (u32 i = 0; i < fuzz_msr_count; i++) {
        u32 msr = fuzz_msrs[i] & 0x1fff;
        u8 *half = msrs + (fuzz_msrs[i] >> 31) * 1024;

        if (fuzz_one_in(2))
            clear_bit(half, msr);
        if (fuzz_one_in(2))
            clear_bit(half + 2048, msr);
    }
    if (fuzz_one_in(2))
        memset(low + 0x80 / 8, 0, 1);
    if (fuzz_one_in(2))
        clear_bit(low, 0xed);
    if (fuzz_one_in(2))
        clear_bit(high, 0x7fff);
}

static void make_virtual_apic(void)
{
    u8 *page = arena_page(PAGE_VIRTUAL_APIC);

    for (u32 i = 0; i < 8; i++)
        *(u32 *)(page + 16 * fuzz_below(64)) = (u32)fuzz_value();
    *(u32 *)(page + APIC_TPR) = fuzz_below(256);
}

/* What an L2 reads and writes of the shadow VMCS without an exit: half of the fields. */
static void make_field_bitmaps(void)
{
    u8 *reads = arena_page(PAGE_VMREAD_BITMAP), *writes = arena_page(PAGE_VMWRITE_BITMAP);

    memset(reads, fuzz_one_in(2) ? 0xff : (int)fuzz_below(256), PAGE_SIZE);
    memset(writes, fuzz_one_in(2) ? 0xff : (int)fuzz_below(256), PAGE_SIZE);
}

void fuzz_make_structures(void)
{
    make_field_bitmaps();
    memset(arena_page(PAGE_FUZZ_VE), 0, 64);
    make_msr_lists();
    make_bitmaps();
    make_virtual_apic();
}

/* ---- EPT ---- */

/* A bit of an EPT entry; not what makes it a large page, as Bochs takes bit 12 for one of a type.
 */
static u64 ept_bit(void)
{
    u32 bit = fuzz_one_in(2) ? fuzz_below(11) : 46 + fuzz_below(18);

    return BIT64(bit == 7 ? 11 : bit);
}

/* Known fault: Bochs ends when a guest fetches an instruction from its APIC-access page. */
static void keep_apic_from_fetches(void)
{
    *ept_entry(L2_APIC) &= ~(EPT_EXEC | EPT_EXEC_USER);
    *ept2_entry(L2_APIC) &= ~(EPT_EXEC | EPT_EXEC_USER);
}

/* An entry for one of the guest's pages: other rights, another page, what is reserved. */
void fuzz_change_ept_entry(void)
{
    static const u32 pages[] = {
        L2_DATA, L2_SPARE,    L2_SPARE + 0x1000, L2_STACK_TOP, L2_CODE,           L2_IDT,  L2_GDT,
        L2_TSS,  L2_HANDLERS, L2_DATA,           L2_SPARE,     L2_USER_STACK_TOP, L2_ROOT, L2_PT,
        L2_APIC};
    u64 *entry = ept_entry(pages[fuzz_below(ARRAY_SIZE(pages))]);

    switch (fuzz_below(4)) {
    case 0:
    case 1: *entry = (*entry & ~EPT_RWX) | fuzz_below(8); break;
    case 2: *entry ^= ept_bit(); break;
    default:
        *entry = (*entry & ~EPT_ADDR) |
                 arena_address(PAGE_FUZZ_2M + fuzz_below(L2_PAGES * FUZZ_EPT_SLOTS));
        break;
    }
    keep_apic_from_fetches();
}

/* Only the first slot's memory is where a 2-MiB page of it starts. */
static void use_large_page(void)
{
    u64 *pd = (u64 *)arena_page(guest_area.ept + 2);

    pd[0] = arena_address(PAGE_FUZZ_2M) | EPT_LARGE | MT_WB << EPT_MEMORY_TYPE_SHIFT |
            (fuzz_one_in(4) ? fuzz_below(8) : EPT_RWX);
}

static void change_upper_entry(void)
{
    u64 *entry = (u64 *)arena_page(guest_area.ept + fuzz_below(3));

    *entry ^= ept_bit();
}

static void change_ept(void)
{
    for (u32 i = fuzz_below(4); i; i--)
        fuzz_change_ept_entry();
    if (fuzz_slot == 0 && feature_offered(FEATURE_EPT_2M) && fuzz_one_in(4))
        use_large_page();
    else if (fuzz_one_in(12))
        change_upper_entry();
}

/* ---- a guest ---- */

static enum guest_mode random_mode(void)
{
    static const enum guest_mode modes[] = {GUEST_64,   GUEST_64,  GUEST_COMPAT,  GUEST_PAE,
                                            GUEST_32,   GUEST_V86, GUEST_64_USER, GUEST_32_USER,
                                            GUEST_REAL, GUEST_FLAT};
    bool unrestricted = fuzz_slot < FUZZ_EPT_SLOTS && feature_offered(FEATURE_UNRESTRICTED_GUEST);

    return modes[fuzz_below(ARRAY_SIZE(modes) - (unrestricted ? 0 : 2))];
}

static void select_area(void)
{
    if (fuzz_slot < FUZZ_EPT_SLOTS)
        guest_area =
            (struct guest_area){PAGE_FUZZ_2M + L2_PAGES * fuzz_slot, PAGE_FUZZ_EPT + 8 * fuzz_slot,
                                PAGE_FUZZ_EPT + 8 * fuzz_slot + 4};
    else
        guest_area.memory = PAGE_FUZZ_PLAIN + L2_PAGES * (fuzz_slot - FUZZ_EPT_SLOTS);
}

void fuzz_select(u32 slot)
{
    fuzz_slot = slot;
    guest_mode = fuzz_slots[slot].mode;
    guest_flags = fuzz_slots[slot].flags;
    select_area();
}

static void hide_page(u32 gva)
{
    if (guest_mode == GUEST_32)
        ((u32 *)guest_memory(L2_PT))[gva >> 12] = 0;
    else if (guest_mode != GUEST_REAL && guest_mode != GUEST_FLAT)
        *guest_pte(gva) = 0;
}

/*
 * The paging structures are not the guest's: what it wrote to them would be seen at once or later,
 * as the processor's caches are. Without EPT they, or what lies at 0 if they are taken for those of
 * another mode, would lead out of its memory.
 */
static void hide_paging(void)
{
    static const u32 hidden[] = {0, L2_ROOT, L2_PT, L2_PD, L2_PDPT, L2_ROOT_B};

    for (u32 i = 0; i < ARRAY_SIZE(hidden); i++)
        hide_page(hidden[i]);
}

/*
 * The page that a guest with EPT takes for its local APIC's. Others have none: they could fetch an
 * instruction from it.
 */
static void place_apic(void)
{
    *ept_entry(L2_APIC) = *ept2_entry(L2_APIC) =
        arena_address(PAGE_APIC_ACCESS) | EPT_READ | EPT_WRITE | MT_WB << EPT_MEMORY_TYPE_SHIFT;
}

u64 fuzz_other_eptp(u64 eptp) { return (eptp & ~EPT_ADDR) | arena_address(guest_area.ept2); }

/* VMFUNC with 0 stays where it is, with 1 goes to the other EPT; all else is refused. */
static void set_vm_functions(void)
{
    u64 *list = (u64 *)arena_page(PAGE_FUZZ_EPTP_LIST);
    u64 eptp = vm_read(EPT_POINTER);

    list[0] = eptp;
    list[1] = fuzz_other_eptp(eptp);
    list[2] = eptp | 0xf00;
    vm_write(EPTP_LIST_ADDRESS, arena_address(PAGE_FUZZ_EPTP_LIST));
    vm_write(VM_FUNCTION_CONTROL, fuzz_below(2));
    vm_write(VE_INFORMATION_ADDRESS, arena_address(PAGE_FUZZ_VE));
}

static void set_extra_fields(void)
{
    vm_write(VIRTUAL_PROCESSOR_ID, fuzz_slot + 1);
    vm_write(POSTED_INTR_DESC_ADDR, arena_address(PAGE_POSTED));
    vm_write(TSC_MULTIPLIER, BIT64(48));
    vm_write(PML_ADDRESS, arena_address(PAGE_PML));
    if (fuzz_one_in(2) && feature_offered(FEATURE_EPT_ACCESSED_DIRTY))
        vm_write(EPT_POINTER, vm_read(EPT_POINTER) | EPTP_AD);
    if (fuzz_has_ept())
        set_vm_functions();
    vm_write(GUEST_IA32_EFER,
             guest_mode == GUEST_64 || guest_mode == GUEST_64_USER || guest_mode == GUEST_COMPAT
                 ? EFER_LMA | EFER_LME | EFER_SCE
                 : 0);
    vm_write(GUEST_IA32_PAT, FUZZ_PAT);
    vm_write(HOST_IA32_EFER, EFER_LMA | EFER_LME | EFER_SCE | EFER_NXE);
    vm_write(HOST_IA32_PAT, FUZZ_PAT);
}

static void random_controls(void)
{
    static const u32 words[] = {PIN_BASED_VM_EXEC_CONTROL, CPU_BASED_VM_EXEC_CONTROL,
                                SECONDARY_VM_EXEC_CONTROL, VM_EXIT_CONTROLS, VM_ENTRY_CONTROLS};

    for (u32 i = fuzz_below(6); i; i--) {
        u32 word = words[fuzz_below(ARRAY_SIZE(words))];

        vm_write(word, vm_read(word) ^ fuzz_known_control(word));
    }
    if (fuzz_one_in(2))
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS & proc_caps.may);
}

void fuzz_make_guest(void)
{
    struct fuzz_slot *slot = &fuzz_slots[fuzz_slot];

    fuzz_select(fuzz_slot);
    slot->mode = random_mode();
    slot->flags = 0;
    if (fuzz_slot < FUZZ_EPT_SLOTS && feature_offered(FEATURE_EPT))
        slot->flags |= WITH_EPT;
    if (feature_offered(FEATURE_VPID) && fuzz_one_in(2))
        slot->flags |= WITH_VPID;
    guest_setup(slot->mode, slot->flags);
    memset(guest_memory(FIRST_FREE_PAGE << PAGE_SHIFT), 0xcc,
           (L2_PAGES - FIRST_FREE_PAGE) * PAGE_SIZE);
    hide_paging();
    if (fuzz_has_ept())
        place_apic();
    else
        hide_page(L2_APIC);
    fuzz_make_structures();
    set_extra_fields();
    random_controls();
    if (fuzz_has_ept() && fuzz_one_in(2))
        change_ept();
    fuzz_make_code();
    slot->built = true;
    slot->controls_changed = true;
    fuzz_paging_changed = true;
}
