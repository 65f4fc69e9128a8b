/*
 * What L1 may try against L0: rows that make sense under Plastron alone. L0's memory is found in
 * the EFI memory map; nothing of it may ever be seen or changed, and VMX works after each attempt.
 */
#include "guest_rows.h"

#define EPT_WB_BITS     (6ull << EPT_MEMORY_TYPE_SHIFT)
#define SIGNATURE_LEAF  0x40000000
#define DS_AREA         0x600
#define APIC_PHYSICAL   0xfee00000ull
#define IOAPIC_PHYSICAL 0xfec00000ull
#define FLASH_PHYSICAL  0xffc00000ull

static u64 target; /* the start of L0's memory */
static u64 target_size;

/* After every attack: an entry and an exit, as if nothing had been. */
static void say_sane(void)
{
    machine_fresh();
    exec_clear();
    exec_code("vmxoff");
    exec_clear();
    memset(arena_page(PAGE_VMXON), 0, PAGE_SIZE);
    memset(arena_page(PAGE_VMCS), 0, PAGE_SIZE);
    *(u32 *)arena_page(PAGE_VMXON) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    *(u32 *)arena_page(PAGE_VMCS) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    if (vm_on(arena_address(PAGE_VMXON)) || vm_clear(arena_address(PAGE_VMCS)) ||
        vm_load(arena_address(PAGE_VMCS))) {
        say(" BROKEN: VMXON, VMCLEAR or VMPTRLD fails");
        return;
    }
    guest_setup(GUEST_64, feature_offered(FEATURE_EPT) ? WITH_EPT : 0);
    guest_code("cpuid");
    guest_run(true);
    if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != EXIT_REASON_CPUID) {
        say(" BROKEN: ");
        say_exec();
    } else {
        say("; sane");
    }
}

static void end(void)
{
    say_sane();
    row_end();
}

static bool attack(enum vmx_state state, const char *name) { return row(state, "attack.%s", name); }

static void finding_rows(void)
{
    if (attack(STATE_OFF, "signature")) {
        u32 out[4];
        char text[13] = {0};

        cpuid(SIGNATURE_LEAF, 0, out);
        memcpy(text, &out[1], 4);
        memcpy(text + 4, &out[2], 4);
        memcpy(text + 8, &out[3], 4);
        say("%s", text);
        end();
    }
    if (attack(STATE_OFF, "reserved regions of 2 MiB")) {
        say("%u", hidden_count);
        end();
    }
}

/* ---- direct access */

static void say_value(void)
{
    if (exec.end == EXEC_FAULTED)
        say_fault();
    else
        say("%lx", exec.gpr[RAX]);
}

static void read_at(u64 address)
{
    exec_clear();
    exec.gpr[RCX] = address;
    exec_code("read rcx");
    say_value();
}

static void access_rows(void)
{
    static const struct {
        const char *name;
        u64 offset;
        bool from_end;
    } places[] = {{"start", 0, false},
                  {"start plus 8", 8, false},
                  {"second page", 0x1000, false},
                  {"half a mebibyte", 0x80000, false},
                  {"a mebibyte", 0x100000, false},
                  {"last bytes", 8, true},
                  {"last page", 0x1000, true}};

    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        u64 address = places[i].from_end ? target + target_size - places[i].offset
                                         : target + places[i].offset;

        if (row(STATE_OFF, "attack.read %s", places[i].name)) {
            read_at(address);
            end();
        }
        if (row(STATE_OFF, "attack.write %s", places[i].name)) {
            exec.gpr[RCX] = address;
            exec.gpr[RAX] = 0;
            exec_code("write rcx");
            if (exec.end == EXEC_FAULTED)
                say_fault();
            say(" ");
            read_at(address);
            end();
        }
    }
    if (attack(STATE_OFF, "read across the start")) {
        *(u32 *)arena_page(PAGE_SCRATCH) = 0;
        window_set(0, PTE_P | PTE_W);
        window_point(1, target, PTE_P | PTE_W);
        memset(arena_page(PAGE_WINDOW_DATA), 0x11, PAGE_SIZE);
        read_at(WINDOW_BASE + 0xffc);
        end();
    }
    if (attack(STATE_OFF, "write across the start")) {
        window_set(0, PTE_P | PTE_W);
        window_point(1, target, PTE_P | PTE_W);
        exec.gpr[RCX] = WINDOW_BASE + 0xffc;
        exec.gpr[RAX] = 0x2222222233333333;
        exec_code("write rcx");
        say("%x ", *(u32 *)(arena_page(PAGE_WINDOW_DATA) + 0xffc));
        read_at(WINDOW_BASE + 0xffc);
        end();
    }
    if (attack(STATE_OFF, "locked add")) {
        exec.gpr[RCX] = target;
        exec_code("locked add");
        say("%s ", exec.end == EXEC_FAULTED ? "fault" : "done");
        read_at(target);
        end();
    }
    if (attack(STATE_OFF, "copy out")) {
        exec.gpr[RSI] = target;
        exec.gpr[RDI] = arena_address(PAGE_SCRATCH);
        exec.gpr[RCX] = PAGE_SIZE / 8;
        memset(arena_page(PAGE_SCRATCH), 0, PAGE_SIZE);
        exec_code("rep movsq");
        say("%lx %lx", *(u64 *)arena_page(PAGE_SCRATCH), *(u64 *)(arena_page(PAGE_SCRATCH2) - 8));
        end();
    }
    if (attack(STATE_OFF, "copy in")) {
        exec.gpr[RDI] = target;
        exec.gpr[RSI] = arena_address(PAGE_SCRATCH);
        exec.gpr[RCX] = PAGE_SIZE / 8;
        memset(arena_page(PAGE_SCRATCH), 0, PAGE_SIZE);
        exec_code("rep movsq");
        read_at(target);
        end();
    }
    if (attack(STATE_OFF, "jump into it")) {
        exec.gpr[RCX] = target;
        exec_code("jmp rcx");
        say("%s", exec.end == EXEC_FAULTED && exec.vector == VECTOR_UD ? "#UD" : "other than #UD");
        end();
    }
    if (attack(STATE_OFF, "page table in it")) {
        window_table_at(target);
        read_at(WINDOW_BASE);
        end();
    }
}

/* Through the firmware's identity map every page of it, quickly. */
static void sweep_row(void)
{
    u64 different = 0;

    if (!attack(STATE_OFF, "every page of it"))
        return;
    for (u64 at = 0; at < target_size; at += PAGE_SIZE) {
        exec_clear();
        exec.gpr[RCX] = target + at + (at / PAGE_SIZE * 8 & 0xff8);
        exec_code("read rcx");
        if (exec.end != EXEC_RETURNED || exec.gpr[RAX] != ~0ull)
            different++;
    }
    say("%lu pages are not all ones", different);
    end();
}

/* ---- VMX instructions */

static void pointer_rows(void)
{
    static const struct {
        const char *name;
        u64 address; /* 0: L0's memory */
    } places[] = {{"l0", 0},
                  {"page 0", 0x1000000000000},
                  {"apic", APIC_PHYSICAL},
                  {"ioapic", IOAPIC_PHYSICAL},
                  {"flash", FLASH_PHYSICAL}};
    static const char *const codes[] = {"vmxon", "vmclear", "vmptrld"};

    for (u32 i = 0; i < ARRAY_SIZE(places); i++)
        for (u32 j = 0; j < ARRAY_SIZE(codes); j++) {
            u64 address = places[i].address ? places[i].address & 0xffffffff : target;

            if (!row(j ? STATE_VMCS : STATE_OFF, "attack.%s of %s", codes[j], places[i].name))
                continue;
            *(u64 *)arena_page(PAGE_SCRATCH) = address;
            exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
            exec_code(codes[j]);
            say_exec();
            end();
        }
}

/* The bare emulator does not survive this one. */
static void vmcall_row(void)
{
    if (!attack(STATE_VMCS, "vmcall in root operation"))
        return;
    exec_code("vmcall");
    say_exec();
    end();
}

static void operand_rows(void)
{
    static const struct {
        const char *code;
        enum vmx_state state;
        u64 rax;
    } operands[] = {{"vmxon", STATE_OFF, 0},
                    {"vmclear", STATE_VMCS, 0},
                    {"vmptrld", STATE_VMCS, 0},
                    {"vmptrst", STATE_VMCS, 0},
                    {"vmread-mem", STATE_VMCS, GUEST_RIP},
                    {"vmwrite-mem", STATE_VMCS, GUEST_RIP},
                    {"invept", STATE_VMCS, 1},
                    {"invvpid", STATE_VMCS, 1}};

    for (u32 i = 0; i < ARRAY_SIZE(operands); i++) {
        if (!row(operands[i].state, "attack.%s operand in l0", operands[i].code))
            continue;
        exec.gpr[RAX] = operands[i].rax;
        exec.gpr[RCX] = target + 0x100;
        exec_code(operands[i].code);
        say_exec();
        if (operands[i].rax == GUEST_RIP && operands[i].code[2] == 'w')
            say(" field %lx", vm_read(GUEST_RIP));
        say(" ");
        read_at(target + 0x100);
        end();
    }
}

/* ---- addresses in the VMCS */

static const struct {
    const char *name;
    u32 flags;
    u32 field;
    u64 bits; /* besides the address */
    const char *code;
    struct edit edits[4];
} pointers[] = {
    {"io bitmap a", 0, IO_BITMAP_A, 0, "in al, imm", {PROC(CPU_BASED_USE_IO_BITMAPS)}},
    {"io bitmap b",
     0,
     IO_BITMAP_B,
     0,
     "in al, dx",
     {PROC(CPU_BASED_USE_IO_BITMAPS), REG(RDX, 0x9000)}},
    {"msr bitmap", 0, MSR_BITMAP, 0, "rdmsr", {PROC(CPU_BASED_USE_MSR_BITMAPS), REG(RCX, 0x174)}},
    {"virtual apic, read",
     0,
     VIRTUAL_APIC_PAGE_ADDR,
     0,
     "mov rax, cr8",
     {PROC(CPU_BASED_TPR_SHADOW)}},
    {"virtual apic, written",
     0,
     VIRTUAL_APIC_PAGE_ADDR,
     0,
     "mov cr8, rax",
     {PROC(CPU_BASED_TPR_SHADOW), REG(RAX, 3)}},
    {"apic access, read",
     WITH_EPT,
     APIC_ACCESS_ADDR,
     0,
     "read spare",
     {PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)}},
    {"entry msr load", 0, VM_ENTRY_MSR_LOAD_ADDR, 0, "nop", {SET(VM_ENTRY_MSR_LOAD_COUNT, 1)}},
    {"exit msr store, not used", 0, VM_EXIT_MSR_STORE_ADDR, 0, "nop", {}},
    {"link pointer", 0, VMCS_LINK_POINTER, 0, "nop", {}},
    {"vmread bitmap",
     0,
     VMREAD_BITMAP,
     0,
     "vmread rax rbx",
     {PROC2(SECONDARY_EXEC_SHADOW_VMCS), REG(RBX, GUEST_RIP)}},
    {"vmwrite bitmap",
     0,
     VMWRITE_BITMAP,
     0,
     "vmwrite rcx rdx",
     {PROC2(SECONDARY_EXEC_SHADOW_VMCS), REG(RCX, GUEST_RIP)}},
    {"shadow vmcs", 0, VMCS_LINK_POINTER, 0, "nop", {PROC2(SECONDARY_EXEC_SHADOW_VMCS)}},
    {"ept root", WITH_EPT, EPT_POINTER, EPTP_WALK_LENGTH_4 | MT_WB, "nop", {}},
    {"posted descriptor",
     0,
     POSTED_INTR_DESC_ADDR,
     0,
     "interrupt to self",
     {PROC(CPU_BASED_TPR_SHADOW), PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY),
      PIN(PIN_BASED_EXT_INTR_MASK | PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT)}},
};

static void vmcs_pointer_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(pointers); i++) {
        if (!row(STATE_VMCS, "attack.vmcs %s in l0", pointers[i].name))
            continue;
        guest_setup(GUEST_64, pointers[i].flags);
        guest_code(pointers[i].code);
        for (u32 j = 0; j < ARRAY_SIZE(pointers[i].edits); j++)
            edit_apply(&pointers[i].edits[j]);
        vm_write(pointers[i].field, target | pointers[i].bits);
        if (pointers[i].field == POSTED_INTR_DESC_ADDR)
            vm_write(POSTED_INTR_NV, 0x55);
        if (pointers[i].field == APIC_ACCESS_ADDR)
            *ept_entry(L2_SPARE) = target | EPT_RWX | EPT_WB_BITS;
        if (!controls_offered())
            continue;
        guest_run(true);
        say_exec();
        say(" ");
        read_at(target);
        end();
    }
}

/* ---- VMCS shadowing for L2 */

static bool start_shadowing(const char *name, const char *code)
{
    if (!row(STATE_VMCS, "attack.shadow %s", name) || !row_needs(FEATURE_VMCS_SHADOWING))
        return false;
    memset(arena_page(PAGE_SHADOW_VMCS), 0, PAGE_SIZE);
    *(u32 *)arena_page(PAGE_SHADOW_VMCS) = (u32)(vmx_basic & VMX_BASIC_REVISION) | BIT(31);
    vm_clear(arena_address(PAGE_SHADOW_VMCS));
    guest_setup(GUEST_64, 0);
    guest_code(code);
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS);
    vm_write(VMCS_LINK_POINTER, arena_address(PAGE_SHADOW_VMCS));
    exec.gpr[RBX] = exec.gpr[RCX] = GUEST_RIP;
    exec.gpr[RDX] = target;
    return true;
}

static void run_shadowing(void)
{
    guest_run(true);
    say_exec();
}

static void shadowing_rows(void)
{
    if (start_shadowing("is the current vmcs", "nop")) {
        *(u32 *)arena_page(PAGE_VMCS) |= BIT(31);
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_VMCS));
        run_shadowing();
        end();
    }
    if (start_shadowing("is an active ordinary vmcs", "vmwrite rcx rdx")) {
        vm_load(arena_address(PAGE_VMCS2));
        vm_write(GUEST_RSP, 5);
        vm_load(arena_address(PAGE_VMCS));
        *(u32 *)arena_page(PAGE_VMCS2) |= BIT(31);
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_VMCS2));
        run_shadowing();
        vm_load(arena_address(PAGE_VMCS2));
        say(" rip is l0's address: %u, rsp %lx", vm_read(GUEST_RIP) == target, vm_read(GUEST_RSP));
        end();
    }
    if (start_shadowing("is full of ones", "vmread rax rbx")) {
        memset(arena_page(PAGE_SHADOW_VMCS) + 4, 0xff, PAGE_SIZE - 4);
        run_shadowing();
        say(" rax %lx", exec.gpr[RAX]);
        end();
    }
    if (start_shadowing("and bitmaps are one page", "vmwrite rcx rdx")) {
        vm_write(VMREAD_BITMAP, arena_address(PAGE_SHADOW_VMCS));
        vm_write(VMWRITE_BITMAP, arena_address(PAGE_SHADOW_VMCS));
        run_shadowing();
        end();
    }
    if (start_shadowing("has the msr-store area in it", "vmwrite rcx rdx")) {
        struct vmx_msr_entry *entries =
            (struct vmx_msr_entry *)(arena_page(PAGE_SHADOW_VMCS) + 0x100);

        for (u32 i = 0; i < 64; i++)
            entries[i].index = MSR_IA32_EFER;
        vm_write(VM_EXIT_MSR_STORE_ADDR, (u64)entries);
        vm_write(VM_EXIT_MSR_STORE_COUNT, 64);
        run_shadowing();
        end();
    }
}

static void count_rows(void)
{
    static const struct {
        const char *name;
        u32 field;
    } counts[] = {{"entry load", VM_ENTRY_MSR_LOAD_COUNT}, {"exit store", VM_EXIT_MSR_STORE_COUNT}};
    static const u32 values[] = {0xffffffff, 0x80000000, 0x10000000};

    for (u32 i = 0; i < ARRAY_SIZE(counts); i++)
        for (u32 j = 0; j < ARRAY_SIZE(values); j++) {
            if (!row(STATE_VMCS, "attack.%s count %x", counts[i].name, values[j]))
                continue;
            guest_setup(GUEST_64, 0);
            guest_code("nop");
            vm_write(counts[i].field, values[j]);
            if (counts[i].field == VM_ENTRY_MSR_LOAD_COUNT)
                ((struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD))->index = MSR_IA32_FS_BASE;
            else
                vm_write(GUEST_RFLAGS, 0);
            guest_run(true);
            say_exec();
            end();
        }
}

/* ---- EPT */

static bool start_ept(const char *name, const char *code)
{
    if (!row(STATE_VMCS, "attack.ept %s, %s", name, code) || !row_needs(FEATURE_EPT))
        return false;
    guest_setup(GUEST_64, WITH_EPT);
    guest_code(code);
    return true;
}

static void finish_ept(void)
{
    struct exec before = exec;

    guest_run(true);
    say_exec();
    if (exec.end == EXEC_EXITED)
        say_changed_registers(&before);
    say(" ");
    read_at(target + 0x10);
    end();
}

/* ---- what L0 writes on behalf of L2, or reads, when it fills EPT02 in */

static const struct place {
    const char *name;
    u64 address; /* 0: L0's memory */
} places[] = {
    {"l0", 0}, {"the apic", APIC_PHYSICAL}, {"flash", FLASH_PHYSICAL}, {"no ram", 1ull << 38}};

static u64 address_of(const struct place *place)
{
    return place->address ? place->address : target;
}

static void enable_pml(u64 page, u64 index)
{
    field_set(EPT_POINTER, EPTP_AD);
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_PML);
    vm_write(PML_ADDRESS, page);
    vm_write(GUEST_PML_INDEX, index);
}

static void enable_ve(u64 area)
{
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_EPT_VIOLATION_VE);
    vm_write(VE_INFORMATION_ADDRESS, area);
}

static void enable_vmfunc(u64 list)
{
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
    vm_write(VM_FUNCTION_CONTROL, VMFUNC_EPTP_SWITCHING);
    vm_write(EPTP_LIST_ADDRESS, list);
    exec.gpr[RAX] = 0;
}

static void structure_place_rows(const struct place *place)
{
    char name[48];

    format_text(name, sizeof(name), "pml in %s", place->name);
    if (start_ept(name, "write spare") && row_needs(FEATURE_PML)) {
        enable_pml(address_of(place), 511);
        guest_run(true);
        say_exec();
        say(" index %lx ", vm_read(GUEST_PML_INDEX));
        read_at(target + 511 * 8);
        end();
    }
    format_text(name, sizeof(name), "ve information in %s", place->name);
    if (start_ept(name, "read spare") && row_needs(FEATURE_EPT_VIOLATION_VE)) {
        enable_ve(address_of(place));
        *ept_entry(L2_SPARE) = 0;
        finish_ept();
    }
    format_text(name, sizeof(name), "eptp list in %s", place->name);
    if (start_ept(name, "vmfunc, read spare") && row_needs(FEATURE_EPTP_SWITCHING)) {
        enable_vmfunc(address_of(place));
        finish_ept();
    }
    format_text(name, sizeof(name), "eptp from the list in %s", place->name);
    if (start_ept(name, "vmfunc, read spare") && row_needs(FEATURE_EPTP_SWITCHING)) {
        enable_vmfunc(arena_address(PAGE_EPTP_LIST));
        *(u64 *)arena_page(PAGE_EPTP_LIST) = address_of(place) | EPTP_WALK_LENGTH_4 | MT_WB;
        exec.gpr[RCX] = 0;
        guest_run(true);
        say("exit %lu ", vm_read(VM_EXIT_REASON));
        read_at(target + 0x10);
        end();
    }
    format_text(name, sizeof(name), "accessed flags in %s", place->name);
    if (start_ept(name, "nop") && row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
        vm_write(EPT_POINTER, address_of(place) | EPTP_WALK_LENGTH_4 | MT_WB | EPTP_AD);
        guest_run(true);
        say("exit %lu ", vm_read(VM_EXIT_REASON));
        read_at(target);
        end();
    }
}

/* With flags, a log and rights of two modes, steps over hidden memory are what they were. */
static void hidden_page_rows(const char *code)
{
    if (start_ept("leaf to l0, a/d", code) && row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
        field_set(EPT_POINTER, EPTP_AD);
        *ept_entry(L2_SPARE) = target | EPT_RWX | EPT_WB_BITS;
        guest_run(true);
        say_exec();
        say(" flags %lx ", *ept_entry(L2_SPARE) >> 8 & 3);
        read_at(target + 0x10);
        end();
    }
    if (start_ept("leaf to l0, pml", code) && row_needs(FEATURE_PML)) {
        memset(arena_page(PAGE_PML), 0, PAGE_SIZE);
        enable_pml(arena_address(PAGE_PML), 511);
        *ept_entry(L2_SPARE) = target | EPT_RWX | EPT_WB_BITS;
        guest_run(true);
        say_exec();
        say(" index %lx ", vm_read(GUEST_PML_INDEX));
        read_at(target + 0x10);
        end();
    }
    if (start_ept("leaf to l0, mode-based execute", code) &&
        row_needs(FEATURE_MODE_BASED_EXECUTE)) {
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
        for (u32 page = PAGE_EPT_PML4; page < PAGE_EPT_PT; page++)
            *(u64 *)arena_page(page) |= EPT_EXEC_USER;
        for (u32 gpa = 0; gpa < L2_PAGES * PAGE_SIZE; gpa += (u32)PAGE_SIZE)
            *ept_entry(gpa) |= EPT_EXEC_USER;
        *ept_entry(L2_SPARE) = target | EPT_READ | EPT_WRITE | EPT_EXEC_USER | EPT_WB_BITS;
        finish_ept();
    }
}

/* An instruction that has read hidden memory and then is L1's: the step must end there. */
static void ended_step_rows(void)
{
    static const char *const ends[] = {"violation", "ve", "ve intercepted", "full log"};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(ends); i++) {
        u64 spare;

        format_text(name, sizeof(name), "step ended by %s", ends[i]);
        if (!start_ept(name, "movs to spare"))
            continue;
        if ((i == 1 || i == 2) && !row_needs(FEATURE_EPT_VIOLATION_VE))
            continue;
        if (i == 3 && !row_needs(FEATURE_PML))
            continue;
        *ept_entry(L2_DATA) = target | EPT_RWX | EPT_WB_BITS;
        memset(arena_page(PAGE_VE), 0, PAGE_SIZE);
        if (i == 1 || i == 2)
            enable_ve(arena_address(PAGE_VE));
        if (i == 2)
            vm_write(EXCEPTION_BITMAP, BIT(VECTOR_VE));
        spare = *ept_entry(L2_SPARE);
        if (i == 3)
            enable_pml(arena_address(PAGE_PML), 4);
        else
            *ept_entry(L2_SPARE) &= ~EPT_WRITE;
        guest_run(true);
        say_exec();
        say(" ");
        read_at(target + 0x10);
        say(" | ");
        /* L2 goes on, and copies what hidden memory reads as. */
        *ept_entry(L2_SPARE) = spare;
        if (i == 3)
            vm_write(GUEST_PML_INDEX, 511);
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        guest_run(false);
        say_exec();
        say(" copied %lx ", *(u64 *)guest_memory(L2_SPARE + 0xff8));
        read_at(target + 0x10);
        end();
    }
}

static void fill_rows(void)
{
    static const char *const codes[] = {"read spare",  "write spare", "rmw spare",
                                        "fetch spare", "push spare",  "movs to spare"};

    for (u32 i = 0; i < ARRAY_SIZE(places); i++)
        structure_place_rows(&places[i]);
    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        hidden_page_rows(codes[i]);
    if (start_ept("guest's page table in l0, a/d", "read spare") &&
        row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
        field_set(EPT_POINTER, EPTP_AD);
        *ept_entry(L2_PT) = target | EPT_RWX | EPT_WB_BITS;
        finish_ept();
    }
    if (start_ept("self-referencing tables, a/d", "read spare") &&
        row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
        u64 *table = (u64 *)arena_page(PAGE_EPT_PML4);

        field_set(EPT_POINTER, EPTP_AD);
        for (u32 i = 0; i < 512; i++)
            table[i] = (u64)table | EPT_RWX;
        guest_run(true);
        say("%s", exec.end == EXEC_EXITED ? "an exit" : "no exit");
        end();
    }
    ended_step_rows();
}

static void ept_rows(void)
{
    static const char *const codes[] = {"read spare",  "write spare", "rmw spare",
                                        "fetch spare", "push spare",  "movs to spare"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
        if (start_ept("leaf to l0", codes[i])) {
            *ept_entry(L2_SPARE) = target | EPT_RWX | EPT_WB_BITS;
            finish_ept();
        }
        if (start_ept("large leaf to l0", codes[i])) {
            ((u64 *)arena_page(PAGE_EPT_PD))[1] = target | EPT_RWX | EPT_WB_BITS | EPT_LARGE;
            *guest_pte(L2_SPARE) = SIZE_2M | PTE_P | PTE_W | PTE_A | PTE_D;
            finish_ept();
        }
        if (start_ept("1g leaf over l0", codes[i])) {
            ((u64 *)arena_page(PAGE_EPT_PDPT))[1] =
                (target & ~(SIZE_1G - 1)) | EPT_RWX | EPT_WB_BITS | EPT_LARGE;
            *guest_pte(L2_SPARE) =
                (SIZE_1G + (target & (SIZE_1G - 1))) | PTE_P | PTE_W | PTE_A | PTE_D;
            finish_ept();
        }
    }
    if (start_ept("table in l0", "read spare")) {
        ((u64 *)arena_page(PAGE_EPT_PD))[1] = target | EPT_RWX;
        *guest_pte(L2_SPARE) = SIZE_2M | PTE_P | PTE_W | PTE_A | PTE_D;
        finish_ept();
    }
    if (start_ept("guest's page table in l0", "read spare")) {
        *ept_entry(L2_PD) = target | EPT_RWX | EPT_WB_BITS;
        finish_ept();
    }
    if (start_ept("guest's idt in l0", "ud2")) {
        *ept_entry(L2_IDT) = target | EPT_RWX | EPT_WB_BITS;
        finish_ept();
    }
    if (start_ept("guest's stack in l0", "int 0x30")) {
        *ept_entry(0x2000) = target | EPT_RWX | EPT_WB_BITS;
        finish_ept();
    }
    if (start_ept("guest's code in l0", "nop")) {
        *ept_entry(L2_CODE) = target | EPT_RWX | EPT_WB_BITS;
        finish_ept();
    }
    if (start_ept("self-referencing tables", "read spare")) {
        u64 *table = (u64 *)arena_page(PAGE_EPT_PML4);

        for (u32 i = 0; i < 512; i++)
            table[i] = (u64)table | EPT_RWX;
        guest_run(true);
        say("%s", exec.end == EXEC_EXITED ? "an exit" : "no exit");
        end();
    }
    if (start_ept("root is the apic", "read spare")) {
        vm_write(EPT_POINTER, APIC_PHYSICAL | EPTP_WALK_LENGTH_4 | MT_WB);
        guest_run(true);
        say("%s", exec.end == EXEC_EXITED ? "an exit" : "no exit");
        end();
    }
    if (start_ept("root is flash", "read spare")) {
        vm_write(EPT_POINTER, FLASH_PHYSICAL | EPTP_WALK_LENGTH_4 | MT_WB);
        guest_run(true);
        say("%s", exec.end == EXEC_EXITED ? "an exit" : "no exit");
        end();
    }
    if (row(STATE_VMCS, "attack.paging of the guest leads to l0, no ept")) {
        guest_setup(GUEST_64, 0);
        guest_code("read spare");
        *guest_pte(L2_SPARE) = target | PTE_P | PTE_W | PTE_A | PTE_D;
        finish_ept();
    }
    if (row(STATE_VMCS, "attack.paging of the guest leads to l0, no ept, written")) {
        guest_setup(GUEST_64, 0);
        guest_code("write spare");
        *guest_pte(L2_SPARE) = target | PTE_P | PTE_W | PTE_A | PTE_D;
        finish_ept();
    }
    if (row(STATE_VMCS, "attack.cr3 of the guest in l0, no ept")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(GUEST_CR3, target);
        finish_ept();
    }
}

/* ---- many of them */

static u64 state = 0x123456789abcdef1;

static u64 random_next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

#define MANY 2000

/* A vmcs12 is L1's memory: while it is current, anything may be written there. */
static void garbage_rows(void)
{
    if (attack(STATE_VMCS, "garbage in the current vmcs, 2000 entries")) {
        for (u32 i = 0; i < MANY; i++) {
            u32 *region = (u32 *)arena_page(PAGE_VMCS);

            guest_setup(GUEST_64, 0);
            for (u32 j = 0; j < 1 + i % 16; j++)
                region[2 + random_next() % 254] = (u32)random_next();
            exec_clear();
            exec_code(i & 1 ? "vmlaunch" : "vmresume");
            vm_clear(arena_address(PAGE_VMCS));
            vm_load(arena_address(PAGE_VMCS));
        }
        say("survived");
        end();
    }
    if (attack(STATE_VMCS, "every field random, 2000 entries")) {
        for (u32 i = 0; i < MANY; i++) {
            static const u32 all[] = {
#define X(name, encoding, member, needs) encoding,
                VMCS12_FIELDS(X)
#undef X
            };

            for (u32 j = 0; j < ARRAY_SIZE(all); j++)
                vm_write(all[j], random_next());
            exec_clear();
            exec_code("vmlaunch");
        }
        say("survived");
        end();
    }
    if (attack(STATE_VMCS, "500 vmcs in l1's memory at once")) {
        for (u32 i = 0; i < 500; i++) {
            /* All of them in 128 pages: the same addresses come again with other content. */
            u32 page = PAGE_GUEST + i % 128;

            memset(arena_page(page), (int)random_next(), PAGE_SIZE);
            *(u32 *)arena_page(page) = (u32)(vmx_basic & VMX_BASIC_REVISION);
            exec_clear();
            if (i & 1)
                vm_clear(arena_address(page));
            vm_load(arena_address(page));
            vm_write(GUEST_RIP, i);
            exec_code("vmlaunch");
        }
        say("survived");
        end();
    }
    if (attack(STATE_VMCS, "vmcs page unmapped from l1 and used otherwise")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        guest_run(true);
        memset(arena_page(PAGE_VMCS), 0xff, PAGE_SIZE);
        guest_run(false);
        say("%s", exec.end == EXEC_EXITED ? "an exit" : "no exit");
        vm_clear(arena_address(PAGE_VMCS));
        end();
    }
}

#define ROOTS 3000

static u64 root(u32 i) { return free_base + i * PAGE_SIZE; }

/* More EPTs than L0 has pages for by default in a machine of 1 GiB: all of them work. */
static void roots_row(void)
{
    u32 runs = 0;

    if (!start_ept("3000 eptps, twice", "read spare") || free_size < ROOTS * PAGE_SIZE)
        return;
    for (u32 i = 0; i < 2 * ROOTS; i++) {
        u64 *table = (u64 *)root(i % ROOTS);

        memset(table, 0, PAGE_SIZE);
        table[0] = arena_address(PAGE_EPT_PDPT) | EPT_RWX;
        vm_write(EPT_POINTER, (u64)table | EPTP_WALK_LENGTH_4 | MT_WB);
        vm_write(GUEST_RIP, guest_entry);
        guest_run(i == 0);
        if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != EXIT_REASON_VMCALL)
            break;
        runs++;
    }
    say("%u", runs);
    end();
}

/* ---- MSRs */

/* Registers that hold physical addresses, or that L0 must own: written by L1, and by its L2. */
static const struct {
    u32 msr;
    u64 value; /* 0: the start of L0's memory */
} owned[] = {
    {MSR_IA32_APIC_BASE, 0},
    {MSR_IA32_FEATURE_CONTROL, 5},
    {MSR_IA32_VMX_BASIC, 1},
    {MSR_IA32_VMX_EPT_VPID_CAP, 1},
    {MSR_IA32_MTRR_DEF_TYPE, 2},
    {MSR_IA32_MTRR_DEF_TYPE, 0x1000},
    {MSR_IA32_SMRR_PHYSBASE, 0},
    {MSR_IA32_RTIT_OUTPUT_BASE, 0},
    {DS_AREA, 0},
    {MSR_IA32_PEBS_ENABLE, 1},
    {MSR_IA32_HW_FEEDBACK_PTR, 0},
    {MSR_IA32_BIOS_UPDT_TRIG, 0},
};

static u64 owned_value(u32 i) { return owned[i].value ? owned[i].value : target; }

static void l1_msr_rows(void)
{
    for (u32 i = 1; i < ARRAY_SIZE(owned); i++) {
        u64 value = owned_value(i);

        if (!row(STATE_OFF, "attack.l1 wrmsr %x.%u", owned[i].msr, i))
            continue;
        exec.gpr[RCX] = owned[i].msr;
        exec.gpr[RAX] = (u32)value;
        exec.gpr[RDX] = value >> 32;
        exec_code("wrmsr");
        if (exec.end == EXEC_FAULTED)
            say_fault();
        else
            say("ok");
        end();
    }
}

static void l2_msr_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(owned); i++) {
        u64 value = owned_value(i);

        if (!row(STATE_VMCS, "attack.l2 wrmsr %x.%u", owned[i].msr, i))
            continue;
        guest_setup(GUEST_64, 0);
        guest_code("wrmsr");
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
        exec.gpr[RCX] = owned[i].msr;
        exec.gpr[RAX] = (u32)value;
        exec.gpr[RDX] = value >> 32;
        guest_run(true);
        say_exec();
        say(" apic base %lx", read_msr(MSR_IA32_APIC_BASE));
        end();
    }
    if (attack(STATE_VMCS, "l2 rdmsr of vmx basic")) {
        guest_setup(GUEST_64, 0);
        guest_code("rdmsr");
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
        exec.gpr[RCX] = MSR_IA32_VMX_BASIC;
        guest_run(true);
        say_exec();
        say(" %s", (exec.gpr[RDX] << 32 | (u32)exec.gpr[RAX]) == vmx_basic ? "as l1 sees it"
                                                                           : "not as l1 sees it");
        end();
    }
    for (u32 i = 0; i < ARRAY_SIZE(owned); i++) {
        if (!row(STATE_VMCS, "attack.entry load of %x.%u", owned[i].msr, i))
            continue;
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        *(struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD) =
            (struct vmx_msr_entry){owned[i].msr, 0, owned_value(i)};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
        guest_run(true);
        say_exec();
        say(" apic base %lx", read_msr(MSR_IA32_APIC_BASE));
        end();
    }
}

static void msr_rows(void)
{
    for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_VMFUNC; msr++) {
        if (!row(STATE_OFF, "attack.wrmsr %x", msr))
            continue;
        exec.gpr[RCX] = msr;
        exec.gpr[RAX] = 0;
        exec.gpr[RDX] = 0;
        exec_code("wrmsr");
        if (exec.end == EXEC_FAULTED)
            say_fault();
        else
            say("ok");
        end();
    }
    l1_msr_rows();
    l2_msr_rows();
    /* The local APIC's page over L0's memory would hide that from L0 itself. */
    if (attack(STATE_OFF, "apic base in l0")) {
        u64 before = read_msr(MSR_IA32_APIC_BASE);
        u64 value = target | (before & 0xfff);

        exec.gpr[RCX] = MSR_IA32_APIC_BASE;
        exec.gpr[RAX] = (u32)value;
        exec.gpr[RDX] = value >> 32;
        exec_code("wrmsr");
        if (exec.end == EXEC_FAULTED) {
            say_fault();
        } else {
            say("%s", read_msr(MSR_IA32_APIC_BASE) == before ? "ignored" : "taken");
            write_msr(MSR_IA32_APIC_BASE, before);
        }
        end();
    }
    if (attack(STATE_OFF, "mtrr over l0")) {
        u32 last = MSR_IA32_MTRR_PHYSBASE0 + 2 * ((u32)(read_msr(MSR_IA32_MTRRCAP) & 0xff) - 1);

        write_msr(last, target);
        write_msr(last + 1, ((BIT64(physical_bits) - 1) & ~(SIZE_2M - 1)) | MTRR_PHYSMASK_VALID);
        read_at(target);
        write_msr(last + 1, 0);
        end();
    }
}

void rows_attack(void)
{
    if (hidden_count) {
        target = hidden_base[hidden_count - 1];
        target_size = hidden_size[hidden_count - 1];
    }
    finding_rows();
    if (!target)
        return;
    access_rows();
    sweep_row();
    pointer_rows();
    operand_rows();
    vmcall_row();
    vmcs_pointer_rows();
    shadowing_rows();
    count_rows();
    ept_rows();
    fill_rows();
    garbage_rows();
    roots_row();
    msr_rows();
}
