/*
 * VM entries with random state and random guests, see fuzz.h. A row is a block, and prints the hash
 * of all that came out of it; single=B prints the entries of block B one by one instead, alone or,
 * with fuzz=N, in its place among the others.
 */
#include "fuzz.h"
#include "guest_rows.h"

#define DEFAULT_ENTRIES 4000
#define BLOCK           500

static u64 state;
static u64 entered, exited; /* entries tried, and those after which a guest ran */

u64 fuzz_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

static void random_seed(u64 seed)
{
    state = seed * 0x9e3779b97f4a7c15 | 1;
    for (u32 i = 0; i < 8; i++)
        fuzz_random();
}

u32 fuzz_below(u32 limit) { return (u32)((fuzz_random() >> 32) % limit); }

static const u64 interesting[] = {
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    0xff,
    0xfff,
    0x1000,
    0x1001,
    0x3000,
    0x7ff8,
    0xffff,
    0x10000,
    0x20000,
    0x3ffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x7fffffffffff,
    0x800000000000,
    0xffff7fffffffffff,
    0xffff800000000000,
    0x8000000000000000,
    0xffffffffffffffff,
};

u64 fuzz_value(void) { return interesting[fuzz_below(ARRAY_SIZE(interesting))]; }

/* ---- the machine before a block, and where only a fresh start makes it the same again ---- */

static void reset_msrs(void)
{
    for (u32 i = 0; i < fuzz_msr_count; i++)
        if (fuzz_msrs[i] != MSR_IA32_EFER && fuzz_msrs[i] != MSR_IA32_PAT)
            write_msr(fuzz_msrs[i], 0);
}

static void reset_registers(void)
{
    static const struct {
        u16 fcw;
        u16 unused[11];
        u32 mxcsr;
        u32 registers[121];
    } __attribute__((aligned(16))) fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};
    u64 zero = 0, dr6 = 0xffff0ff0, dr7 = 0x400;

    exec_clear();
    __asm__ volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3" ::"r"(zero));
    __asm__ volatile("mov %0, %%dr6; mov %1, %%dr7" ::"r"(dr6), "r"(dr7));
    __asm__ volatile("mov %0, %%cr2; fxrstor %1" ::"r"(zero), "m"(fpu));
    port_write(0x80, 0);
}

static void make_region(u32 page, u32 revision)
{
    memset(arena_page(page), 0, PAGE_SIZE);
    *(u32 *)arena_page(page) = revision;
}

static void fresh_slots(void)
{
    u32 revision = (u32)(vmx_basic & VMX_BASIC_REVISION);

    for (u32 i = 0; i < FUZZ_SLOTS; i++) {
        make_region(PAGE_FUZZ_VMCS + i, revision);
        vm_clear(arena_address(PAGE_FUZZ_VMCS + i));
        fuzz_slots[i] = (struct fuzz_slot){.built = false};
    }
    make_region(PAGE_FUZZ_BAD_REVISION, revision + 1);
    for (u32 page = PAGE_MSR_BITMAP; page <= PAGE_POSTED; page++)
        memset(arena_page(page), 0, PAGE_SIZE);
    memset(arena_page(PAGE_PML), 0, PAGE_SIZE);
    /* Others' memory may be mapped to a guest. */
    memset(arena_page(PAGE_FUZZ_EPT), 0, 8 * FUZZ_EPT_SLOTS * PAGE_SIZE);
    memset(arena_page(PAGE_FUZZ_PLAIN), 0, (FUZZ_SLOTS - FUZZ_EPT_SLOTS) * L2_PAGES * PAGE_SIZE);
    memset(arena_page(PAGE_FUZZ_2M), 0, FUZZ_EPT_SLOTS * L2_PAGES * PAGE_SIZE);
    memset(arena_page(PAGE_FUZZ_VE), 0, PAGE_SIZE);
    memset(arena_page(PAGE_FUZZ_EPTP_LIST), 0, PAGE_SIZE);
    make_region(PAGE_SHADOW_VMCS, revision | BIT(31));
    vm_clear(arena_address(PAGE_SHADOW_VMCS));
}

static bool fresh_block(u64 block)
{
    if (!row(STATE_VMCS, "fuzz.seed %lu block %lu", config.seed, block))
        return false;
    reset_msrs();
    reset_registers();
    fresh_slots();
    return true;
}

/* ---- VMX instructions of L1 that change no guest ---- */

static u64 random_pointer(void)
{
    switch (fuzz_below(6)) {
    case 0: return fuzz_value() | 1;
    case 1: return arena_address(PAGE_VMXON);
    case 2: return arena_address(PAGE_FUZZ_BAD_REVISION);
    case 3: return arena_address(PAGE_FUZZ_VMCS) | BIT64(fuzz_below(12));
    case 4: return arena_address(PAGE_FUZZ_VMCS) | BIT64(52 + fuzz_below(12));
    default: return ~0ull;
    }
}

/* A field, or one that no processor has; not one whose value depends on the moment or the image. */
static u64 random_field(void)
{
    static const u16 fields[] = {
#define X(name, encoding, member, needs) encoding,
        VMCS12_FIELDS(X)
#undef X
    };
    u64 field = fields[fuzz_below(ARRAY_SIZE(fields))];

    if (VMCS_FIELD_TYPE(field) == VMCS_TYPE_READ_ONLY || field == VMX_PREEMPTION_TIMER_VALUE ||
        (VMCS_FIELD_TYPE(field) == VMCS_TYPE_HOST && VMCS_FIELD_WIDTH(field) == VMCS_WIDTH_NATURAL))
        field = GUEST_RSP;
    if (fuzz_one_in(8))
        field |= 1;
    return fuzz_one_in(8) ? field | BIT64(fuzz_one_in(2) ? 12 : 15 + fuzz_below(49)) : field;
}

static void run_instruction(const char *name)
{
    exec_code(name);
    if (exec.end == EXEC_FAULTED)
        fuzz_note("vector", exec.vector);
    else
        fuzz_note("flags", exec.rflags);
    if (exec.end == EXEC_RETURNED && exec.rflags & RFLAGS_ZF && vm_current() != ~0ull)
        fuzz_note("error", vm_read(VM_INSTRUCTION_ERROR));
    fuzz_note("rdx", exec.gpr[RDX]);
}

static void random_instruction(void)
{
    static const char *const names[] = {
        "vmread", "vmread",  "vmread-mem", "vmwrite", "vmclear",  "vmptrld",         "vmptrst",
        "invept", "invvpid", "vmxon",      "vmread",  "vmlaunch", "mov-ss vmlaunch",
    };
    const char *name = names[fuzz_below(ARRAY_SIZE(names))];
    u64 *operand = (u64 *)arena_page(PAGE_SCRATCH);

    exec_clear();
    exec.gpr[RCX] = (u64)operand;
    operand[0] = random_pointer();
    operand[1] = fuzz_one_in(2) ? 0 : fuzz_value();
    if (text_starts(name, "vmread")) {
        exec.gpr[RAX] = random_field();
    } else if (text_equal(name, "vmwrite")) {
        /* Only one that fails. */
        exec.gpr[RAX] = random_field() | 0x9000;
    } else if (text_starts(name, "inv")) {
        exec.gpr[RAX] = fuzz_below(8);
        if (fuzz_one_in(2))
            operand[0] = text_equal(name, "invept") ? vm_read(EPT_POINTER) : fuzz_below(8);
    } else if (text_equal(name, "vmlaunch")) {
        /* Of a VMCS that is launched. */
        if (vm_current() == ~0ull || !fuzz_slots[fuzz_slot].launched)
            return;
    }
    if (fuzz_shown)
        say(" %s", name);
    run_instruction(name);
    fuzz_note("to", operand[0]);
}

static void leave_and_enter_vmx(void)
{
    exec_clear();
    run_instruction("vmxoff");
    exec.gpr[RAX] = GUEST_RIP;
    run_instruction("vmread");
    fuzz_note("vmxon", vm_on(arena_address(PAGE_VMXON)));
    fuzz_note("current", vm_current());
    vm_load(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
}

/* ---- a step: VMCS, changes, entry ---- */

static void rebuild(void)
{
    vm_clear(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
    vm_load(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
    fuzz_make_guest();
    fuzz_slots[fuzz_slot].launched = false;
    fuzz_slots[fuzz_slot].failures = 0;
    if (fuzz_shown)
        say(" new %s slot %u", guest_mode_names[guest_mode], fuzz_slot);
}

static void choose_slot(void)
{
    fuzz_select(fuzz_below(FUZZ_SLOTS));
    vm_load(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
    if (!fuzz_slots[fuzz_slot].built)
        rebuild();
    else if (fuzz_shown)
        say(" slot %u", fuzz_slot);
    if (fuzz_one_in(16)) {
        vm_clear(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
        vm_load(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
        fuzz_slots[fuzz_slot].launched = false;
    }
}

static bool is_instruction(u32 reason)
{
    return (reason >= EXIT_REASON_CPUID && reason <= EXIT_REASON_MSR_WRITE) ||
           (reason >= EXIT_REASON_GDTR_IDTR && reason <= EXIT_REASON_LDTR_TR) ||
           (reason >= EXIT_REASON_INVEPT && reason != EXIT_REASON_PREEMPTION_TIMER &&
            reason != EXIT_REASON_APIC_WRITE);
}

/* What a hypervisor does after an exit, more or less. */
static void follow_up(void)
{
    u32 reason = (u32)vm_read(VM_EXIT_REASON), event = (u32)vm_read(IDT_VECTORING_INFO_FIELD);

    if (event & INTR_INFO_VALID_MASK && !fuzz_one_in(4)) {
        vm_write(VM_ENTRY_INTR_INFO_FIELD, event & ~INTR_INFO_NMI_UNBLOCKED);
        vm_write(VM_ENTRY_EXCEPTION_ERROR_CODE, vm_read(IDT_VECTORING_ERROR_CODE));
        vm_write(VM_ENTRY_INSTRUCTION_LEN, vm_read(VM_EXIT_INSTRUCTION_LEN));
    } else if (is_instruction(reason) && !fuzz_one_in(8)) {
        guest_skip();
    }
    if (reason == EXIT_REASON_VMCALL || reason == EXIT_REASON_TRIPLE_FAULT || fuzz_one_in(8)) {
        vm_write(GUEST_RIP, guest_mode == GUEST_REAL || guest_mode == GUEST_V86 ? 0 : guest_entry);
        vm_write(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
        fuzz_make_code();
    }
}

static void change(void)
{
    static const u8 counts[] = {0, 0, 0, 1, 1, 1, 2, 4};

    if (fuzz_one_in(4))
        fuzz_make_registers();
    if (fuzz_one_in(8))
        fuzz_change_memory();
    fuzz_change_fields(counts[fuzz_below(ARRAY_SIZE(counts))]);
}

static enum fuzz_end enter(void)
{
    struct fuzz_slot *slot = &fuzz_slots[fuzz_slot];
    bool launch = slot->launched == fuzz_one_in(32);
    enum fuzz_end end;

    entered++;
    /* A repeated instruction that is reached past its operands must not run on into the code. */
    exec.gpr[RCX] &= 15;
    exec.rflags = RFLAGS_FIXED;
    exec_code(launch ? "vmlaunch" : "vmresume");
    end = fuzz_note_entry();
    if (end != FUZZ_FAILED) {
        slot->launched = true;
        exited++;
    }
    return end;
}

/* False: the machine is no more the same everywhere, and has to start afresh. */
static bool step(void)
{
    enum fuzz_end end;

    if (!fuzz_slots[fuzz_slot].built || vm_current() == ~0ull || fuzz_one_in(10))
        choose_slot();
    else if (fuzz_one_in(64))
        rebuild();
    if (fuzz_one_in(12))
        random_instruction();
    if (fuzz_one_in(256))
        leave_and_enter_vmx();
    change();
    fuzz_contain();
    end = enter();
    if (end == FUZZ_WATCHDOG)
        return false;
    if (end == FUZZ_EXITED)
        follow_up();
    if (end == FUZZ_FAILED || fuzz_one_in(3))
        fuzz_undo();
    /* A guest that fails again without what was changed for it to fail is of no more use. */
    if (end != FUZZ_FAILED)
        fuzz_slots[fuzz_slot].failures = 0;
    else if (++fuzz_slots[fuzz_slot].failures == 3)
        rebuild();
    return true;
}

static void start_block(u64 block)
{
    random_seed(config.seed * 1000003 + block);
    fuzz_hash = 0;
    fuzz_slot = 0;
    fuzz_paging_changed = fuzz_ept_changed = false;
}

static void block_row(u64 block)
{
    start_block(block);
    if (!fresh_block(block))
        return;
    for (u32 i = 0; i < BLOCK; i++)
        if (!step() && !fresh_block(block))
            return;
    fuzz_note_memory();
    say("%lx", fuzz_hash);
    row_end();
    guest_area = guest_area_default;
}

/* Each entry in a line of its own. */
static void single_rows(u64 block)
{
    fuzz_shown = true;
    start_block(block);
    if (!fresh_block(block))
        return;
    for (u32 i = 0; i < BLOCK; i++) {
        bool same = step();

        format_text(row_name, sizeof(row_name), "fuzz.seed %lu block %lu entry %u", config.seed,
                    block, i);
        row_end();
        if (!same && !fresh_block(block))
            return;
    }
    fuzz_note_memory();
    format_text(row_name, sizeof(row_name), "fuzz.seed %lu block %lu memory", config.seed, block);
    row_end();
    fuzz_shown = false;
    guest_area = guest_area_default;
}

static bool is_single(u64 block)
{
    for (u32 i = 0; i < config.single_count; i++)
        if (config.single[i] == block)
            return true;
    return false;
}

void rows_fuzz(void)
{
    if (!feature_offered(FEATURE_PREEMPTION_TIMER)) {
        if (row(STATE_OFF, "fuzz.all"))
            row_skip("preemption-timer");
        return;
    }
    if (config.single_count && !config.fuzz) {
        for (u32 i = 0; i < config.single_count; i++)
            single_rows(config.single[i]);
        return;
    }
    for (u64 block = 0; block < (config.fuzz ? config.fuzz : DEFAULT_ENTRIES) / BLOCK; block++) {
        if (is_single(block))
            single_rows(block);
        else
            block_row(block);
    }
    if (!row(STATE_OFF, "fuzz.seed %lu entries", config.seed))
        return;
    say("%lu tried, %lu ran a guest", entered, exited);
    row_end();
}
