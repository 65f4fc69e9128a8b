/* An L2: its memory, paging, descriptor tables and VMCS, in each mode a processor can be in. */
#include "probe.h"

const struct guest_area guest_area_default = {PAGE_GUEST, PAGE_EPT_PML4, PAGE_EPT2_PML4};
struct guest_area guest_area = {PAGE_GUEST, PAGE_EPT_PML4, PAGE_EPT2_PML4};
u32 guest_flags;
enum guest_mode guest_mode;
u64 guest_entry;

const char *const guest_mode_names[GUEST_MODES] = {
    "64", "compat", "pae", "32", "flat", "real", "v86", "64user", "32user",
};

#define PTE_GUEST     (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define APIC_PHYSICAL 0xfee00000ull
#define EPT_WB        (6ull << EPT_MEMORY_TYPE_SHIFT)
#define DR7_INIT      0x400
#define FAR_LIMIT     0xffffffffu

u8 *guest_memory(u32 gpa) { return arena_page(guest_area.memory) + gpa; }

static bool has_ept(void) { return guest_flags & WITH_EPT; }

/* What a guest-physical address is called in the guest's own page tables. */
static u64 guest_physical(u64 gpa)
{
    if (has_ept())
        return gpa;
    if (gpa == L2_APIC)
        return APIC_PHYSICAL;
    return (u64)guest_memory((u32)gpa);
}

static bool is_long(void)
{
    return guest_mode == GUEST_64 || guest_mode == GUEST_COMPAT || guest_mode == GUEST_64_USER;
}

static bool is_user(void) { return guest_mode == GUEST_64_USER || guest_mode == GUEST_32_USER; }

static bool is_real_like(void) { return guest_mode == GUEST_REAL || guest_mode == GUEST_V86; }

static bool has_paging(void) { return guest_mode != GUEST_FLAT && guest_mode != GUEST_REAL; }

static bool has_pae(void) { return has_paging() && guest_mode != GUEST_32; }

u64 *guest_pte(u32 gva) { return (u64 *)guest_memory(L2_PT) + (gva >> 12 & 0x1ff); }

u64 *ept_entry(u32 gpa) { return (u64 *)arena_page(guest_area.ept + 3) + (gpa >> 12); }

u64 *ept2_entry(u32 gpa) { return (u64 *)arena_page(guest_area.ept2 + 3) + (gpa >> 12); }

static void build_pae_tables(void)
{
    u64 *pt = (u64 *)guest_memory(L2_PT), *pd = (u64 *)guest_memory(L2_PD);

    for (u32 i = 0; i < L2_PAGES; i++)
        pt[i] = guest_physical(i * PAGE_SIZE) | PTE_GUEST;
    pt[L2_APIC >> 12] = guest_physical(L2_APIC) | PTE_GUEST | PTE_PCD;
    pd[0] = guest_physical(L2_PT) | PTE_P | PTE_W | PTE_U | PTE_A;
}

static void build_64_tables(void)
{
    u64 *pdpt = (u64 *)guest_memory(L2_PDPT);

    build_pae_tables();
    pdpt[0] = guest_physical(L2_PD) | PTE_P | PTE_W | PTE_U | PTE_A;
    *(u64 *)guest_memory(L2_ROOT) = guest_physical(L2_PDPT) | PTE_P | PTE_W | PTE_U | PTE_A;
    *(u64 *)guest_memory(L2_ROOT_B) = *(u64 *)guest_memory(L2_ROOT);
}

static void build_32_tables(void)
{
    u32 *pt = (u32 *)guest_memory(L2_PT);

    for (u32 i = 0; i < L2_PAGES; i++)
        pt[i] = (u32)(guest_physical(i * PAGE_SIZE) | PTE_GUEST);
    pt[L2_APIC >> 12] = (u32)(guest_physical(L2_APIC) | PTE_GUEST | PTE_PCD);
    *(u32 *)guest_memory(L2_ROOT) = (u32)(guest_physical(L2_PT) | PTE_P | PTE_W | PTE_U | PTE_A);
    *(u32 *)guest_memory(L2_ROOT_B) = *(u32 *)guest_memory(L2_ROOT);
}

static void build_paging(void)
{
    if (!has_paging())
        return;
    if (is_long()) {
        build_64_tables();
    } else if (has_pae()) {
        build_pae_tables();
        *(u64 *)guest_memory(L2_ROOT) = guest_physical(L2_PD) | PTE_P;
        *(u64 *)guest_memory(L2_ROOT_B) = *(u64 *)guest_memory(L2_ROOT);
    } else {
        build_32_tables();
    }
}

static u64 descriptor(u64 base, u64 limit, u64 access, u64 flags)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 0xf) << 48 |
           flags << 52 | (base >> 24 & 0xff) << 56;
}

static void build_gdt(void)
{
    u64 *gdt_entries = (u64 *)guest_memory(L2_GDT);
    u64 code_flags = guest_mode == GUEST_64 || guest_mode == GUEST_64_USER ? 0xa : 0xc;

    gdt_entries[L2_SEL_CODE / 8] = descriptor(0, 0xfffff, 0x9b, code_flags);
    gdt_entries[L2_SEL_DATA / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
    gdt_entries[L2_SEL_KERNEL / 8] = descriptor(0, 0xfffff, 0x9b, is_long() ? 0xa : 0xc);
    gdt_entries[L2_SEL_USER_CODE / 8] = descriptor(0, 0xfffff, 0xfb, code_flags);
    gdt_entries[L2_SEL_USER_DATA / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
    gdt_entries[L2_SEL_TSS / 8] = descriptor(L2_TSS, 0x67, 0x8b, 0);
    gdt_entries[L2_SEL_TSS2 / 8] = descriptor(L2_TSS2, 0x67, 0x89, 0);
    gdt_entries[L2_SEL_LDT / 8] = descriptor(L2_DATA, 0xff, 0x82, 0);
    gdt_entries[L2_SEL_TASK_GATE / 8] = (u64)L2_SEL_TSS2 << 16 | 0x85ull << 40;
}

/* Each vector's handler is a VMCALL at its own place, so that RIP tells which one was reached. */
static void build_handlers(void)
{
    static const u8 nop_vmcall_hlt[] = {0x90, 0x0f, 0x01, 0xc1, 0xf4};

    for (u32 vector = 0; vector < 256; vector++) {
        u8 *handler = guest_memory(L2_HANDLERS + vector * L2_HANDLER_SIZE);

        memcpy(handler, nop_vmcall_hlt, sizeof(nop_vmcall_hlt));
    }
}

static void build_idt(void)
{
    u64 code = is_long() ? L2_SEL_KERNEL : L2_SEL_CODE;

    for (u32 vector = 0; vector < 256; vector++) {
        u64 handler = L2_HANDLERS + vector * L2_HANDLER_SIZE;
        u64 gate = (handler & 0xffff) | code << 16 | 0xeeull << 40 | (handler >> 16) << 48;

        if (is_long())
            *(u64 *)guest_memory(L2_IDT + 16 * vector) = gate;
        else if (!is_real_like() || guest_mode == GUEST_V86)
            *(u64 *)guest_memory(L2_IDT + 8 * vector) = gate;
        if (guest_mode == GUEST_REAL)
            *(u32 *)guest_memory(4 * vector) =
                (u32)((L2_HANDLERS >> 4) << 16 | vector * L2_HANDLER_SIZE);
    }
}

static void build_tss(void)
{
    u8 *task = guest_memory(L2_TSS), *task2 = guest_memory(L2_TSS2);
    u64 stack = L2_STACK_TOP;

    if (is_long()) {
        memcpy(task + 4, &stack, 8);
        return;
    }
    *(u32 *)(task + 4) = L2_STACK_TOP;
    *(u32 *)(task + 8) = L2_SEL_DATA;
    *(u32 *)(task + 0x64) = 0x680000;
    *(u32 *)(task2 + 0x1c) = (u32)guest_physical(L2_ROOT);
    *(u32 *)(task2 + 0x20) = L2_HANDLERS;
    *(u32 *)(task2 + 0x24) = RFLAGS_FIXED;
    *(u32 *)(task2 + 0x38) = L2_STACK_TOP;
    for (u32 at = 0x48; at <= 0x5c; at += 4)
        *(u32 *)(task2 + at) = at == 0x4c ? L2_SEL_CODE : L2_SEL_DATA;
}

static void build_ept(u32 root)
{
    u64 *pml4 = (u64 *)arena_page(root), *pdpt = (u64 *)arena_page(root + 1);
    u64 *pd = (u64 *)arena_page(root + 2), *pt = (u64 *)arena_page(root + 3);

    memset(pml4, 0, 4 * PAGE_SIZE);
    pml4[0] = (u64)pdpt | EPT_RWX;
    pdpt[0] = (u64)pd | EPT_RWX;
    pd[0] = (u64)pt | EPT_RWX;
    for (u32 i = 0; i < L2_PAGES; i++)
        pt[i] = (u64)guest_memory(i * (u32)PAGE_SIZE) | EPT_RWX | EPT_WB;
    pt[L2_APIC >> 12] = APIC_PHYSICAL | EPT_RWX;
}

static void build_memory(void)
{
    memset(guest_memory(0), 0, L2_PAGES * PAGE_SIZE);
    build_paging();
    build_gdt();
    build_handlers();
    build_idt();
    build_tss();
    if (has_ept()) {
        build_ept(guest_area.ept);
        build_ept(guest_area.ept2);
    }
}

static void set_segment(u32 index, u64 selector, u64 base, u64 limit, u64 access)
{
    vm_write(GUEST_ES_SELECTOR + 2 * index, selector);
    vm_write(GUEST_ES_BASE + 2 * index, base);
    vm_write(GUEST_ES_LIMIT + 2 * index, limit);
    vm_write(GUEST_ES_AR_BYTES + 2 * index, access);
}

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR };

static void set_real_segments(void)
{
    u64 access = guest_mode == GUEST_V86 ? 0xf3 : 0x93;

    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        set_segment(i, 0, 0, 0xffff, access);
    set_segment(SEG_CS, L2_CODE >> 4, L2_CODE, 0xffff, guest_mode == GUEST_V86 ? 0xf3 : 0x9b);
}

static void set_protected_segments(void)
{
    u64 long_bits = guest_mode == GUEST_64 || guest_mode == GUEST_64_USER ? 0xa000 : 0xc000;
    u64 dpl = is_user() ? 0x60 : 0;

    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        set_segment(i, is_user() ? L2_SEL_USER_DATA : L2_SEL_DATA, 0, FAR_LIMIT, 0xc093 | dpl);
    set_segment(SEG_CS, is_user() ? L2_SEL_USER_CODE : L2_SEL_CODE, 0, FAR_LIMIT,
                0x9b | dpl | long_bits);
}

static void set_guest_segments(void)
{
    if (is_real_like())
        set_real_segments();
    else
        set_protected_segments();
    set_segment(SEG_LDTR, 0, 0, 0, AR_UNUSABLE_MASK);
    set_segment(SEG_TR, L2_SEL_TSS, L2_TSS, 0x67, 0x8b);
    vm_write(GUEST_GDTR_BASE, L2_GDT);
    vm_write(GUEST_GDTR_LIMIT, 0x7f);
    vm_write(GUEST_IDTR_BASE, guest_mode == GUEST_REAL ? 0 : L2_IDT);
    vm_write(GUEST_IDTR_LIMIT, is_long() ? 0xfff : guest_mode == GUEST_REAL ? 0x3ff : 0x7ff);
}

static void set_guest_registers(void)
{
    u64 cr0 = read_msr(MSR_IA32_VMX_CR0_FIXED0) | CR0_ET | CR0_NE;
    u64 cr4 = read_msr(MSR_IA32_VMX_CR4_FIXED0) | CR4_OSFXSR;

    cr0 &= ~(CR0_PE | CR0_PG);
    if (guest_mode != GUEST_REAL)
        cr0 |= CR0_PE;
    if (has_paging())
        cr0 |= CR0_PG | CR0_WP;
    if (has_pae())
        cr4 |= CR4_PAE;
    vm_write(GUEST_CR0, cr0);
    vm_write(GUEST_CR4, cr4);
    vm_write(GUEST_CR3, guest_physical(L2_ROOT));
    vm_write(CR0_READ_SHADOW, cr0);
    vm_write(CR4_READ_SHADOW, cr4);
    vm_write(CR0_GUEST_HOST_MASK, 0);
    vm_write(CR4_GUEST_HOST_MASK, 0);
    vm_write(GUEST_DR7, DR7_INIT);
    vm_write(GUEST_RFLAGS, RFLAGS_FIXED | (guest_mode == GUEST_V86 ? RFLAGS_VM | 3 << 12 : 0));
    vm_write(GUEST_RSP, is_user() ? L2_USER_STACK_TOP : L2_STACK_TOP);
    vm_write(GUEST_IA32_DEBUGCTL, 0);
    vm_write(GUEST_SYSENTER_CS, 0);
    vm_write(GUEST_SYSENTER_ESP, 0);
    vm_write(GUEST_SYSENTER_EIP, 0);
    vm_write(GUEST_INTERRUPTIBILITY_INFO, 0);
    vm_write(GUEST_ACTIVITY_STATE, 0);
    vm_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
    vm_write(VMCS_LINK_POINTER, ~0ull);
    guest_entry = L2_CODE;
    vm_write(GUEST_RIP, is_real_like() ? 0 : guest_entry);
}

/* PAE paging with EPT takes its four entries from the VMCS. SDM vol. 3, 27.3.2.4. */
static void set_guest_ept(void)
{
    bool pae = has_pae() && !is_long();

    if (!has_ept())
        return;
    vm_write(EPT_POINTER, arena_address(guest_area.ept) | EPTP_WALK_LENGTH_4 | MT_WB);
    vm_write(GUEST_PDPTR0, pae ? guest_physical(L2_PD) | PTE_P : 0);
    vm_write(GUEST_PDPTR1, 0);
    vm_write(GUEST_PDPTR2, 0);
    vm_write(GUEST_PDPTR3, 0);
}

static void set_controls(void)
{
    u32 secondary = proc2_caps.must;

    if (has_ept())
        secondary |= SECONDARY_EXEC_ENABLE_EPT;
    if (guest_flags & WITH_VPID)
        secondary |= SECONDARY_EXEC_ENABLE_VPID;
    if (guest_mode == GUEST_REAL || guest_mode == GUEST_FLAT)
        secondary |= SECONDARY_EXEC_UNRESTRICTED_GUEST;
    vm_write(PIN_BASED_VM_EXEC_CONTROL, pin_caps.must);
    vm_write(CPU_BASED_VM_EXEC_CONTROL,
             proc_caps.must | (secondary ? CPU_BASED_ACTIVATE_SECONDARY_CONTROLS : 0));
    if (proc_caps.may & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
        vm_write(SECONDARY_VM_EXEC_CONTROL, secondary);
    vm_write(VM_EXIT_CONTROLS, exit_caps.must | VM_EXIT_HOST_ADDR_SPACE_SIZE);
    vm_write(VM_ENTRY_CONTROLS, entry_caps.must | (is_long() ? VM_ENTRY_IA32E_MODE : 0));
    if (guest_flags & WITH_VPID)
        vm_write(VIRTUAL_PROCESSOR_ID, 7);
    vm_write(EXCEPTION_BITMAP, 0);
    vm_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
    vm_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vm_write(CR3_TARGET_COUNT, 0);
    vm_write(VM_EXIT_MSR_STORE_COUNT, 0);
    vm_write(VM_EXIT_MSR_LOAD_COUNT, 0);
    vm_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
    vm_write(VM_ENTRY_INTR_INFO_FIELD, 0);
    vm_write(VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
    vm_write(VM_ENTRY_INSTRUCTION_LEN, 0);
    vm_write(TSC_OFFSET, 0);
}

static void set_structures(void)
{
    for (u32 page = PAGE_MSR_BITMAP; page <= PAGE_POSTED; page++)
        memset(arena_page(page), 0, PAGE_SIZE);
    vm_write(IO_BITMAP_A, arena_address(PAGE_IO_BITMAP_A));
    vm_write(IO_BITMAP_B, arena_address(PAGE_IO_BITMAP_B));
    vm_write(MSR_BITMAP, arena_address(PAGE_MSR_BITMAP));
    vm_write(VM_EXIT_MSR_STORE_ADDR, arena_address(PAGE_MSR_EXIT_STORE));
    vm_write(VM_EXIT_MSR_LOAD_ADDR, arena_address(PAGE_MSR_EXIT_LOAD));
    vm_write(VM_ENTRY_MSR_LOAD_ADDR, arena_address(PAGE_MSR_ENTRY_LOAD));
    if (feature_offered(FEATURE_TPR_SHADOW)) {
        vm_write(VIRTUAL_APIC_PAGE_ADDR, arena_address(PAGE_VIRTUAL_APIC));
        vm_write(TPR_THRESHOLD, 0);
    }
    if (feature_offered(FEATURE_VMCS_SHADOWING)) {
        vm_write(VMREAD_BITMAP, arena_address(PAGE_VMREAD_BITMAP));
        vm_write(VMWRITE_BITMAP, arena_address(PAGE_VMWRITE_BITMAP));
    }
    if (feature_offered(FEATURE_APIC_ACCESSES))
        vm_write(APIC_ACCESS_ADDR, arena_address(PAGE_APIC_ACCESS));
}

static void set_host(void)
{
    vm_write(HOST_CR0, standard_cr0);
    vm_write(HOST_CR3, probe_cr3);
    vm_write(HOST_CR4, standard_cr4);
    for (u32 field = HOST_ES_SELECTOR; field <= HOST_GS_SELECTOR; field += 2)
        vm_write(field, field == HOST_CS_SELECTOR ? SEL_CODE64 : SEL_DATA);
    vm_write(HOST_TR_SELECTOR, SEL_TSS);
    vm_write(HOST_FS_BASE, 0);
    vm_write(HOST_GS_BASE, 0);
    vm_write(HOST_TR_BASE, (u64)tss);
    vm_write(HOST_GDTR_BASE, (u64)gdt);
    vm_write(HOST_IDTR_BASE, idt_address());
    vm_write(HOST_IA32_SYSENTER_CS, 0);
    vm_write(HOST_IA32_SYSENTER_ESP, 0);
    vm_write(HOST_IA32_SYSENTER_EIP, 0);
    vm_write(HOST_RSP, arena_address(PAGE_STACK32) + PAGE_SIZE);
    vm_write(HOST_RIP, (u64)vm_exit_entry);
}

void guest_setup(enum guest_mode mode, u32 flags)
{
    guest_mode = mode;
    guest_flags = flags;
    build_memory();
    set_controls();
    set_structures();
    set_guest_segments();
    set_guest_registers();
    set_guest_ept();
    set_host();
    flush_ept();
    flush_vpid();
}

static u64 code_bits(void)
{
    if (guest_mode == GUEST_64 || guest_mode == GUEST_64_USER)
        return 64;
    return is_real_like() ? 16 : 32;
}

void guest_code(const char *name)
{
    const struct code *code;
    char guest_name[64];

    format_text(guest_name, sizeof(guest_name), "g %s", name);
    code = find_code(guest_name, code_bits());
    memcpy(guest_memory(L2_CODE), code->start, code->length);
}

static bool any_entry(u32 page, u64 bits, u64 value)
{
    const u64 *entries = (const u64 *)arena_page(page);

    for (u32 i = 0; i < 512; i++)
        if ((entries[i] & bits) == value)
            return true;
    return false;
}

/* What the EPT in use has that a processor need not have. */
static feature_set ept_features(void)
{
    feature_set found = 0;

    if (!(vm_read(EPT_POINTER) & 7))
        found |= FEATURE_BIT(FEATURE_EPT_UC);
    if (any_entry(PAGE_EPT_PT, EPT_RWX, EPT_EXEC))
        found |= FEATURE_BIT(FEATURE_EPT_EXECUTE_ONLY);
    if (any_entry(PAGE_EPT_PD, PTE_PS | EPT_READ, PTE_PS | EPT_READ))
        found |= FEATURE_BIT(FEATURE_EPT_2M);
    if (any_entry(PAGE_EPT_PDPT, PTE_PS | EPT_READ, PTE_PS | EPT_READ))
        found |= FEATURE_BIT(FEATURE_EPT_1G);
    return found;
}

void guest_run(bool launch)
{
    row_uses(features_in_use() | (has_ept() ? ept_features() : 0));
    exec_code(launch ? "vmlaunch" : "vmresume");
}

void guest_skip(void)
{
    vm_write(GUEST_RIP, vm_read(GUEST_RIP) + vm_read(VM_EXIT_INSTRUCTION_LEN));
    vm_write(GUEST_INTERRUPTIBILITY_INFO,
             vm_read(GUEST_INTERRUPTIBILITY_INFO) &
                 ~(u64)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

void field_set(u32 field, u64 bits)
{
    vm_write(field, vm_read(field) | bits);
    if (field == SECONDARY_VM_EXEC_CONTROL)
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
}

void field_clear(u32 field, u64 bits) { vm_write(field, vm_read(field) & ~bits); }

static void set_bit(u8 *bitmap, u64 bit) { bitmap[bit / 8] |= (u8)(1 << bit % 8); }

void edit_apply(const struct edit *edit)
{
    u32 value = (u32)edit->value;

    switch (edit->what) {
    case EDIT_NONE: break;
    case EDIT_OR: field_set(edit->where, edit->value); break;
    case EDIT_CLEAR: field_clear(edit->where, edit->value); break;
    case EDIT_SET: vm_write(edit->where, edit->value); break;
    case EDIT_XOR: vm_write(edit->where, vm_read(edit->where) ^ edit->value); break;
    case EDIT_BEYOND: field_set(edit->where, BIT64(physical_bits)); break;
    case EDIT_BIT: set_bit(arena_page(edit->where), edit->value); break;
    case EDIT_FLIP: arena_page(edit->where)[edit->value / 8] ^= (u8)(1 << edit->value % 8); break;
    case EDIT_FILL: memset(arena_page(edit->where), (int)edit->value, PAGE_SIZE); break;
    case EDIT_MEMORY: memcpy(guest_memory(edit->where), &value, 4); break;
    case EDIT_REGISTER: exec.gpr[edit->where] = edit->value; break;
    }
}

bool controls_offered(void)
{
    static const u32 fields[] = {PIN_BASED_VM_EXEC_CONTROL, CPU_BASED_VM_EXEC_CONTROL,
                                 SECONDARY_VM_EXEC_CONTROL, VM_EXIT_CONTROLS, VM_ENTRY_CONTROLS};

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct control *caps = control_caps(fields[i]);
        u32 missing = (u32)vm_read(fields[i]) & ~caps->may;

        if (missing) {
            row_uses(features_of(fields[i], missing));
            row_skip(feature_name(fields[i], (u32)__builtin_ctz(missing)));
            return false;
        }
    }
    return true;
}

/* Whether the modes and flags alone are possible here; if not, ends the row as skipped. */
bool mode_offered(enum guest_mode mode, u32 flags)
{
    bool unrestricted = mode == GUEST_REAL || mode == GUEST_FLAT;

    if ((flags & WITH_EPT || unrestricted) && !row_needs(FEATURE_EPT))
        return false;
    if (unrestricted && !row_needs(FEATURE_UNRESTRICTED_GUEST))
        return false;
    return !(flags & WITH_VPID) || row_needs(FEATURE_VPID);
}
