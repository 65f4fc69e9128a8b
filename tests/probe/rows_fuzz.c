/*
 * VM entries with a few fields changed at random, each a row of its own, the same sequence from
 * the same seed. A long run (fuzz=N in probe.cfg) prints a hash for every hundred entries instead;
 * single=B then prints the entries of block B one by one.
 */
#include "guest_rows.h"

#define DEFAULT_ENTRIES 1000
#define BLOCK           100

static u64 state;

static u64 random_next(void)
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
        random_next();
}

static u32 random_below(u32 limit) { return (u32)((random_next() >> 32) % limit); }

/* How a field may be changed without leaving the probe's control. */
enum change {
    FLIP,    /* any bit */
    FLIP32,  /* any of the low 32 bits */
    VALUE,   /* an interesting value */
    ADDRESS, /* the low 12 bits and what lies beyond any physical address */
    RIGHTS,  /* a bit of access rights */
    FAILING, /* a host field: only what makes the entry fail */
    EVENT,   /* interruption information */
};

static const struct {
    u32 field;
    enum change change;
} targets[] = {
    {PIN_BASED_VM_EXEC_CONTROL, FLIP32},
    {CPU_BASED_VM_EXEC_CONTROL, FLIP32},
    {SECONDARY_VM_EXEC_CONTROL, FLIP32},
    {VM_EXIT_CONTROLS, FLIP32},
    {VM_ENTRY_CONTROLS, FLIP32},
    {EXCEPTION_BITMAP, FLIP32},
    {PAGE_FAULT_ERROR_CODE_MASK, FLIP32},
    {PAGE_FAULT_ERROR_CODE_MATCH, FLIP32},
    {CR3_TARGET_COUNT, FLIP32},
    {VM_ENTRY_INTR_INFO_FIELD, EVENT},
    {VM_ENTRY_EXCEPTION_ERROR_CODE, FLIP32},
    {VM_ENTRY_INSTRUCTION_LEN, VALUE},
    {TPR_THRESHOLD, FLIP32},
    {IO_BITMAP_A, ADDRESS},
    {IO_BITMAP_B, ADDRESS},
    {MSR_BITMAP, ADDRESS},
    {VIRTUAL_APIC_PAGE_ADDR, ADDRESS},
    {APIC_ACCESS_ADDR, ADDRESS},
    {EPT_POINTER, ADDRESS},
    {VM_EXIT_MSR_STORE_ADDR, ADDRESS},
    {VM_EXIT_MSR_LOAD_ADDR, ADDRESS},
    {VM_ENTRY_MSR_LOAD_ADDR, ADDRESS},
    {CR0_GUEST_HOST_MASK, FLIP},
    {CR4_GUEST_HOST_MASK, FLIP},
    {CR0_READ_SHADOW, FLIP},
    {CR4_READ_SHADOW, FLIP},
    {GUEST_CR0, FLIP},
    {GUEST_CR4, FLIP},
    {GUEST_CR3, ADDRESS},
    {GUEST_DR7, FLIP},
    {GUEST_RSP, VALUE},
    {GUEST_RIP, VALUE},
    {GUEST_RFLAGS, FLIP},
    {GUEST_RFLAGS, FLIP32},
    {GUEST_SYSENTER_ESP, VALUE},
    {GUEST_SYSENTER_EIP, VALUE},
    {GUEST_GDTR_BASE, VALUE},
    {GUEST_IDTR_BASE, VALUE},
    {GUEST_GDTR_LIMIT, FLIP32},
    {GUEST_IDTR_LIMIT, FLIP32},
    {GUEST_INTERRUPTIBILITY_INFO, FLIP32},
    {GUEST_IA32_DEBUGCTL, FLIP},
    {GUEST_IA32_EFER, FLIP},
    {GUEST_IA32_PAT, FLIP},
    {VMCS_LINK_POINTER, VALUE},
    {GUEST_ES_SELECTOR, FLIP32},
    {GUEST_ES_BASE, VALUE},
    {GUEST_ES_LIMIT, FLIP32},
    {GUEST_ES_AR_BYTES, RIGHTS},
    {GUEST_CS_SELECTOR, FLIP32},
    {GUEST_CS_BASE, VALUE},
    {GUEST_CS_LIMIT, FLIP32},
    {GUEST_CS_AR_BYTES, RIGHTS},
    {GUEST_SS_SELECTOR, FLIP32},
    {GUEST_SS_BASE, VALUE},
    {GUEST_SS_LIMIT, FLIP32},
    {GUEST_SS_AR_BYTES, RIGHTS},
    {GUEST_DS_SELECTOR, FLIP32},
    {GUEST_DS_BASE, VALUE},
    {GUEST_DS_LIMIT, FLIP32},
    {GUEST_DS_AR_BYTES, RIGHTS},
    {GUEST_FS_SELECTOR, FLIP32},
    {GUEST_FS_BASE, VALUE},
    {GUEST_FS_LIMIT, FLIP32},
    {GUEST_FS_AR_BYTES, RIGHTS},
    {GUEST_GS_SELECTOR, FLIP32},
    {GUEST_GS_BASE, VALUE},
    {GUEST_GS_LIMIT, FLIP32},
    {GUEST_GS_AR_BYTES, RIGHTS},
    {GUEST_LDTR_SELECTOR, FLIP32},
    {GUEST_LDTR_BASE, VALUE},
    {GUEST_LDTR_LIMIT, FLIP32},
    {GUEST_LDTR_AR_BYTES, RIGHTS},
    {GUEST_TR_SELECTOR, FLIP32},
    {GUEST_TR_BASE, VALUE},
    {GUEST_TR_LIMIT, FLIP32},
    {GUEST_TR_AR_BYTES, RIGHTS},
    {HOST_CR0, FAILING},
    {HOST_CR4, FAILING},
    {HOST_CR3, FAILING},
    {HOST_CS_SELECTOR, FAILING},
    {HOST_TR_SELECTOR, FAILING},
    {HOST_FS_BASE, FAILING},
    {HOST_GDTR_BASE, FAILING},
    {HOST_RIP, FAILING},
};

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
    0x7ff8,
    0xffff,
    0x10000,
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

static u64 changed(u64 value, enum change change)
{
    switch (change) {
    case FLIP: return value ^ BIT64(random_below(64));
    case FLIP32: return value ^ BIT64(random_below(32));
    case VALUE: return interesting[random_below(ARRAY_SIZE(interesting))];
    case ADDRESS:
        return value ^ (random_below(2) ? BIT64(random_below(12)) : BIT64(52 + random_below(12)));
    case RIGHTS: return value ^ BIT64(random_below(18));
    case FAILING: return value ^ BIT64(48 + random_below(15));
    case EVENT:
        return (random_below(8) ? INTR_INFO_VALID_MASK : 0) | random_below(8) << 8 |
               random_below(2) << 11 | (random_below(4) ? random_below(32) : random_below(256)) |
               (random_below(16) ? 0 : BIT(12 + random_below(19)));
    }
    return value;
}

/* What the guest executes: nothing whose result depends on the moment or on L0's memory. */
static const char *const codes[] = {
    "nop",          "nops",           "cpuid",        "hlt",          "invd",
    "wbinvd",       "pause",          "vmcall",       "ud2",          "int3",
    "int1",         "int 0x30",       "clts",         "invlpg",       "in al, imm",
    "out imm, al",  "mov xax, cr0",   "mov xax, cr4", "mov cr0, cr0", "mov cr4, cr4",
    "mov cr3, cr3", "smsw eax",       "vmlaunch",     "vmxoff",       "sti cpuid",
    "mov ss cpuid", "divide by zero", "fpu",          "vmptrst",
};

/*
 * Known emulator faults that would be found again and again: see exceptions.txt. None of them may
 * be what an entry is about.
 */
static bool hits_known_fault(void)
{
    u64 info = vm_read(VM_ENTRY_INTR_INFO_FIELD), pin = vm_read(PIN_BASED_VM_EXEC_CONTROL);
    bool tf = vm_read(GUEST_RFLAGS) & RFLAGS_TF, blocked = vm_read(GUEST_INTERRUPTIBILITY_INFO) & 3;

    if (vm_read(GUEST_RIP) == BIT64(63))
        return true;
    if (blocked && tf)
        return true; /* BS is not compared with TF */
    if (pin & PIN_BASED_POSTED_INTR)
        return true; /* without virtual-interrupt delivery */
    if (info & INTR_INFO_VALID_MASK && (info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_OTHER)
        return true;
    return (vm_read(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE) && !(vm_read(GUEST_CR0) & CR0_PG);
}

static const char *fuzz_code;
static u32 fuzz_fields[4], fuzz_field_count;

/* Features that are not offered are one failure only: not what the entries are about. */
static void limit_controls(void)
{
    static const u32 words[] = {PIN_BASED_VM_EXEC_CONTROL, CPU_BASED_VM_EXEC_CONTROL,
                                SECONDARY_VM_EXEC_CONTROL, VM_EXIT_CONTROLS, VM_ENTRY_CONTROLS};

    for (u32 i = 0; i < ARRAY_SIZE(words); i++)
        vm_write(words[i], vm_read(words[i]) & known_controls(words[i]));
    if (feature_offered(FEATURE_EPT))
        field_clear(EPT_POINTER, EPTP_AD);
}

/* Sets a random guest up; false if it should not be entered. */
static bool make_guest(void)
{
    static const enum guest_mode modes[] = {GUEST_64,   GUEST_64,  GUEST_COMPAT,  GUEST_PAE,
                                            GUEST_32,   GUEST_V86, GUEST_64_USER, GUEST_32_USER,
                                            GUEST_REAL, GUEST_FLAT};
    enum guest_mode mode = modes[random_below(ARRAY_SIZE(modes))];
    u32 flags = random_below(2) && feature_offered(FEATURE_EPT) ? WITH_EPT : 0;

    if (mode == GUEST_REAL || mode == GUEST_FLAT) {
        flags = WITH_EPT;
        if (!feature_offered(FEATURE_UNRESTRICTED_GUEST))
            return false;
    }
    guest_setup(mode, flags);
    fuzz_code = codes[random_below(ARRAY_SIZE(codes))];
    guest_code(fuzz_code);
    fuzz_field_count = 1 + random_below(ARRAY_SIZE(fuzz_fields));
    for (u32 i = 0; i < fuzz_field_count; i++) {
        u32 target = random_below(ARRAY_SIZE(targets));

        fuzz_fields[i] = targets[target].field;
        vm_write(fuzz_fields[i], changed(vm_read(fuzz_fields[i]), targets[target].change));
    }
    field_set(PIN_BASED_VM_EXEC_CONTROL, PIN_BASED_PREEMPTION_TIMER);
    vm_write(VMX_PREEMPTION_TIMER_VALUE, 20000);
    limit_controls();
    return !hits_known_fault();
}

static bool changed_field(u32 field)
{
    for (u32 i = 0; i < fuzz_field_count; i++)
        if (fuzz_fields[i] == field)
            return true;
    return false;
}

static void say_outcome(void)
{
    u32 reason = (u32)vm_read(VM_EXIT_REASON);

    /* Where the watchdog ends a loop depends on what else took time. */
    if (exec.end == EXEC_EXITED && reason == EXIT_REASON_PREEMPTION_TIMER)
        say("exit 52");
    /* Of several things wrong in the guest's state any may be found first. SDM vol. 3, 27.8. */
    else if (exec.end == EXEC_EXITED && changed_field(VMCS_LINK_POINTER) &&
             reason == (VMX_EXIT_REASONS_FAILED_VMENTRY | EXIT_REASON_INVALID_STATE))
        say("exit 33");
    else
        say_exec();
}

static void fuzz_entry(void)
{
    guest_run(true);
    say_outcome();
}

static void single_rows(u64 first, u64 count)
{
    for (u64 i = first; i < first + count; i++) {
        if (!row(STATE_VMCS, "fuzz.seed %lu entry %lu", config.seed, i))
            continue;
        random_seed(config.seed * 1000003 + i);
        if (!make_guest()) {
            say("not entered");
        } else {
            say("%s %s", guest_mode_names[guest_mode], fuzz_code);
            for (u32 j = 0; j < fuzz_field_count; j++)
                say(" %x", fuzz_fields[j]);
            say(": ");
            fuzz_entry();
        }
        row_end();
    }
}

static u64 hash_text(u64 hash, const char *text)
{
    while (*text)
        hash = (hash ^ (u8)*text++) * 0x100000001b3;
    return hash;
}

static void block_rows(u64 count)
{
    for (u64 block = 0; block < count / BLOCK; block++) {
        u64 hash = 0xcbf29ce484222325;

        for (u64 i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
            if (!row(STATE_VMCS, "fuzz.seed %lu block %lu", config.seed, block))
                return;
            random_seed(config.seed * 1000003 + i);
            if (make_guest())
                fuzz_entry();
            hash = hash_text(hash, line_text());
            line_clear();
        }
        say("%lx", hash);
        row_end();
    }
}

void rows_fuzz(void)
{
    if (!feature_offered(FEATURE_PREEMPTION_TIMER)) {
        if (row(STATE_OFF, "fuzz.all"))
            row_skip("preemption-timer");
        return;
    }
    for (u32 i = 0; i < config.single_count; i++)
        single_rows(config.single[i] * BLOCK, BLOCK);
    if (config.fuzz)
        block_rows(config.fuzz);
    else if (config.single_count == 0)
        single_rows(0, DEFAULT_ENTRIES);
}
