/* VM-entry checks on the guest-state area but its segments, SDM vol. 3, 27.3.1. */
#include "guest_rows.h"

/* The entry with one field changed; valid states go on to the guest's VMCALL. */
static void guest_state_row(enum guest_mode mode, const char *what, u32 field, u64 value, u32 show)
{
    u32 flags = mode == GUEST_REAL || mode == GUEST_FLAT ? WITH_EPT : 0;

    if (!row(STATE_VMCS, "guest.%s.%s", guest_mode_names[mode], what) || !mode_offered(mode, flags))
        return;
    guest_setup(mode, flags);
    guest_code("nop");
    vm_write(field, value);
    guest_run(true);
    say_exec();
    if (show && exec.end == EXEC_EXITED)
        say(" %x=%p", show, (void *)vm_read(show));
    row_end();
}

static u64 normal_value(enum guest_mode mode, u32 field)
{
    bool unrestricted = mode == GUEST_REAL || mode == GUEST_FLAT;

    if (unrestricted && !feature_offered(FEATURE_UNRESTRICTED_GUEST))
        return 0;
    guest_setup(mode, unrestricted ? WITH_EPT : 0);
    return vm_read(field);
}

static void flip_rows(enum guest_mode mode, const char *name, u32 field, u64 bits)
{
    char text[64];

    for (u32 bit = 0; bit < 64; bit++) {
        u64 value;

        if (!(bits >> bit & 1))
            continue;
        format_text(text, sizeof(text), "%s bit %u", name, bit);
        /* A VMCS is needed to find the normal value. */
        if (!row(STATE_VMCS, "guest.%s.%s", guest_mode_names[mode], text))
            continue;
        value = normal_value(mode, field);
        guest_state_row(mode, text, field, value ^ BIT64(bit), field == GUEST_CR3 ? 0 : field);
    }
}

static void register_rows(void)
{
    static const enum guest_mode modes[] = {GUEST_64, GUEST_PAE, GUEST_V86, GUEST_REAL, GUEST_FLAT};

    for (u32 i = 0; i < ARRAY_SIZE(modes); i++) {
        flip_rows(modes[i], "cr0", GUEST_CR0, 0x1ffffffffull | BIT64(63));
        flip_rows(modes[i], "cr4", GUEST_CR4, 0x1ffffffffull | BIT64(63));
        flip_rows(modes[i], "rflags", GUEST_RFLAGS,
                  0x1fffffffffull & ~(u64)RFLAGS_TF & ~(modes[i] == GUEST_V86 ? 0x3000ull : 0));
    }
    flip_rows(GUEST_64, "cr3", GUEST_CR3, 0xfff | ~0ull << physical_bits);
    flip_rows(GUEST_64, "dr7", GUEST_DR7, 0xffff00000000fc00 | BIT64(32) | BIT64(33));
    flip_rows(GUEST_64, "debugctl", GUEST_IA32_DEBUGCTL, ~(u64)0xc3);
    flip_rows(GUEST_64, "rip", GUEST_RIP, ~0ull << 47);
    flip_rows(GUEST_PAE, "rip", GUEST_RIP, ~0ull << 32);
    flip_rows(GUEST_64, "gdtr limit", GUEST_GDTR_LIMIT, 0xffff0000);
    flip_rows(GUEST_64, "idtr limit", GUEST_IDTR_LIMIT, 0xffff0000);
    flip_rows(GUEST_64, "link pointer", VMCS_LINK_POINTER, ~0ull);
    flip_rows(GUEST_64, "blocking", GUEST_INTERRUPTIBILITY_INFO, 0xffffffff);
    flip_rows(GUEST_64, "activity", GUEST_ACTIVITY_STATE, 0xfffffff8);
    flip_rows(GUEST_64, "pending debug", GUEST_PENDING_DBG_EXCEPTIONS, ~0ull);
}

static void canonical_rows(void)
{
    static const struct {
        const char *name;
        u32 field;
    } fields[] = {
        {"rip", GUEST_RIP},
        {"gdtr base", GUEST_GDTR_BASE},
        {"idtr base", GUEST_IDTR_BASE},
        {"sysenter esp", GUEST_SYSENTER_ESP},
        {"sysenter eip", GUEST_SYSENTER_EIP},
        {"rsp", GUEST_RSP},
    };
    static const u64 values[] = {0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000,
                                 0xffff800000000000, 0x00000001ffffffff};
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        for (u32 j = 0; j < ARRAY_SIZE(values); j++) {
            format_text(text, sizeof(text), "%s %lx", fields[i].name, values[j]);
            guest_state_row(GUEST_64, text, fields[i].field, values[j], 0);
            guest_state_row(GUEST_PAE, text, fields[i].field, values[j], 0);
        }
    guest_state_row(GUEST_64, "gdtr limit 10000", GUEST_GDTR_LIMIT, 0x10000, 0);
    guest_state_row(GUEST_64, "gdtr limit 80000000", GUEST_GDTR_LIMIT, BIT(31), 0);
    guest_state_row(GUEST_64, "idtr limit 10000", GUEST_IDTR_LIMIT, 0x10000, 0);
    guest_state_row(GUEST_64, "idtr limit ffffffff", GUEST_IDTR_LIMIT, 0xffffffff, 0);
    guest_state_row(GUEST_64, "gdtr limit ffff", GUEST_GDTR_LIMIT, 0xffff, 0);
}

#define LOAD_EFER  ENTRY(VM_ENTRY_LOAD_IA32_EFER)
#define LOAD_PAT   ENTRY(VM_ENTRY_LOAD_IA32_PAT)
#define LONG_EFER  (EFER_LME | EFER_LMA)
#define LOAD_DEBUG ENTRY(VM_ENTRY_LOAD_DEBUG_CONTROLS)

static const struct guest_row msr_rows[] = {
    {.name = "efer long", .code = "nop", .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER)}},
    {.name = "efer long sce nx",
     .code = "nop",
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER | EFER_SCE | EFER_NXE)}},
    {.name = "efer zero", .code = "nop", .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, 0)}},
    {.name = "efer lma", .code = "nop", .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, EFER_LMA)}},
    {.name = "efer lme", .code = "nop", .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, EFER_LME)}},
    {.name = "efer bit 1",
     .code = "nop",
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER | 2)}},
    {.name = "efer bit 9",
     .code = "nop",
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER | 0x200)}},
    {.name = "efer bit 12",
     .code = "nop",
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER | 0x1000)}},
    {.name = "efer bit 63",
     .code = "nop",
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER | BIT64(63))}},
    {.name = "efer 32 zero",
     .code = "nop",
     .modes = M32,
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, 0)}},
    {.name = "efer 32 long",
     .code = "nop",
     .modes = M32,
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER)}},
    {.name = "efer 32 lme",
     .code = "nop",
     .modes = M32 | REAL,
     .edits = {LOAD_EFER, SET(GUEST_IA32_EFER, EFER_LME)}},
    {.name = "efer unused", .code = "nop", .edits = {SET(GUEST_IA32_EFER, ~0ull)}},
    {.name = "efer saved",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_SAVE_IA32_EFER), LOAD_EFER, SET(GUEST_IA32_EFER, LONG_EFER)},
     .show = {GUEST_IA32_EFER}},
    {.name = "efer saved, not loaded",
     .code = "nop",
     .modes = M64 | M32,
     .edits = {EXIT(VM_EXIT_SAVE_IA32_EFER), SET(GUEST_IA32_EFER, 0)},
     .show = {GUEST_IA32_EFER}},
    {.name = "pat good",
     .code = "nop",
     .edits = {LOAD_PAT, SET(GUEST_IA32_PAT, 0x0007040600070406)}},
    {.name = "pat all",
     .code = "nop",
     .edits = {LOAD_PAT, SET(GUEST_IA32_PAT, 0x0001040506070001)}},
    {.name = "pat type 2", .code = "nop", .edits = {LOAD_PAT, SET(GUEST_IA32_PAT, 2)}},
    {.name = "pat type 3 in 6",
     .code = "nop",
     .edits = {LOAD_PAT, SET(GUEST_IA32_PAT, 3ull << 48)}},
    {.name = "pat type 8 in 7",
     .code = "nop",
     .edits = {LOAD_PAT, SET(GUEST_IA32_PAT, 8ull << 56)}},
    {.name = "pat unused", .code = "nop", .edits = {SET(GUEST_IA32_PAT, ~0ull)}},
    {.name = "pat saved",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_SAVE_IA32_PAT), LOAD_PAT, SET(GUEST_IA32_PAT, 0x0001040506070001)},
     .show = {GUEST_IA32_PAT}},
    {.name = "perf global zero",
     .code = "nop",
     .edits = {ENTRY(VM_ENTRY_LOAD_PERF_GLOBAL_CTRL), SET(GUEST_IA32_PERF_GLOBAL_CTRL, 0)}},
    {.name = "perf global bit 63",
     .code = "nop",
     .edits = {ENTRY(VM_ENTRY_LOAD_PERF_GLOBAL_CTRL), SET(GUEST_IA32_PERF_GLOBAL_CTRL, BIT64(63))}},
    {.name = "save of perf global",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_SAVE_PERF_GLOBAL_CTRL), SET(GUEST_IA32_PERF_GLOBAL_CTRL, 1)},
     .show = {GUEST_IA32_PERF_GLOBAL_CTRL}},
    {.name = "no save of perf global",
     .code = "nop",
     .edits = {SET(GUEST_IA32_PERF_GLOBAL_CTRL, 1)},
     .show = {GUEST_IA32_PERF_GLOBAL_CTRL}},
    {.name = "dr7 loaded and saved",
     .code = "mov xax, dr7",
     .edits = {LOAD_DEBUG, EXIT(VM_EXIT_SAVE_DEBUG_CONTROLS), SET(GUEST_DR7, 0x500)},
     .show = {GUEST_DR7, GUEST_IA32_DEBUGCTL}},
    {.name = "ia32e with cr0.pg off",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_UNRESTRICTED_GUEST), CLEAR(GUEST_CR0, CR0_PG)}},
    {.name = "ia32e with cr4.pae off", .code = "nop", .edits = {CLEAR(GUEST_CR4, CR4_PAE)}},
    {.name = "pcide in 32 bits", .code = "nop", .modes = M32, .edits = {OR(GUEST_CR4, CR4_PCIDE)}},
    {.name = "pcide in 64 bits", .code = "nop", .edits = {OR(GUEST_CR4, CR4_PCIDE)}},
    {.name = "v86 with ia32e", .code = "nop", .edits = {OR(GUEST_RFLAGS, RFLAGS_VM)}},
    {.name = "pg without pe, unrestricted",
     .code = "nop",
     .modes = REAL,
     .edits = {OR(GUEST_CR0, CR0_PG)}},
    {.name = "rip bit 32 in 32 bits",
     .code = "nop",
     .modes = M32,
     .edits = {OR(GUEST_RIP, BIT64(32))}},
    {.name = "rip bit 32 in compat",
     .code = "nop",
     .modes = BIT(GUEST_COMPAT),
     .edits = {OR(GUEST_RIP, BIT64(32))}},
    {.name = "link pointer zero", .code = "nop", .edits = {SET(VMCS_LINK_POINTER, 0)}},
    {.name = "link pointer bit 0", .code = "nop", .edits = {SET(VMCS_LINK_POINTER, ~1ull)}},
    {.name = "link pointer misaligned", .code = "nop", .edits = {SET(VMCS_LINK_POINTER, 0x10)}},
    {.name = "link pointer beyond", .code = "nop", .edits = {SET(VMCS_LINK_POINTER, BIT64(55))}},
};

/* Each bit of an MSR that the entry loads, the other way. */
static void msr_bit_rows(const char *name, u32 field, u64 normal, u32 control)
{
    char text[64];

    for (u32 bit = 0; bit < 64; bit++) {
        struct guest_row what = {
            .name = text,
            .code = "nop",
            .flags = PLAIN_ONLY,
            .edits = {ENTRY(control), SET(field, normal ^ BIT64(bit))},
        };

        format_text(text, sizeof(text), "%s flip %u", name, bit);
        guest_rows("guest", &what, 1);
    }
}

static void msr_bits_rows(void)
{
    msr_bit_rows("pat", GUEST_IA32_PAT, 0x0007040600070406, VM_ENTRY_LOAD_IA32_PAT);
    msr_bit_rows("efer", GUEST_IA32_EFER, LONG_EFER, VM_ENTRY_LOAD_IA32_EFER);
    msr_bit_rows("perf global", GUEST_IA32_PERF_GLOBAL_CTRL, 0, VM_ENTRY_LOAD_PERF_GLOBAL_CTRL);
}

static void link_pointer_rows(void)
{
    static const struct {
        const char *name;
        u32 page;
    } targets[] = {
        {"the current vmcs", PAGE_VMCS}, {"another vmcs", PAGE_VMCS2}, {"data", PAGE_SCRATCH}};
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(targets); i++) {
        format_text(text, sizeof(text), "link pointer to %s", targets[i].name);
        guest_state_row(GUEST_64, text, VMCS_LINK_POINTER, arena_address(targets[i].page), 0);
    }
}

/* ---- non-register state, SDM vol. 3, 27.3.1.5 */

#define INJECT(info)    SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | (info))
#define BLOCK(bits)     SET(GUEST_INTERRUPTIBILITY_INFO, bits)
#define ACTIVITY(state) SET(GUEST_ACTIVITY_STATE, state)
#define IF_ON           OR(GUEST_RFLAGS, RFLAGS_IF)
#define TIMER           PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, 0)
#define PENDING(bits)   SET(GUEST_PENDING_DBG_EXCEPTIONS, bits)
#define NMI             (INTR_TYPE_NMI | VECTOR_NMI)
#define EXT             (INTR_TYPE_EXT_INTR | 0x50)

static const struct guest_row state_rows[] = {
    {.name = "activity 4", .code = "nop", .edits = {ACTIVITY(4)}},
    {.name = "activity ffffffff", .code = "nop", .edits = {ACTIVITY(0xffffffff)}},
    {.name = "hlt and timer", .code = "nop", .edits = {ACTIVITY(1), TIMER}},
    {.name = "hlt with if and timer", .code = "nop", .edits = {ACTIVITY(1), IF_ON, TIMER}},
    {.name = "hlt and external interrupt",
     .code = "nop",
     .edits = {ACTIVITY(1), IF_ON, INJECT(EXT)}},
    {.name = "hlt and nmi", .code = "nop", .edits = {ACTIVITY(1), INJECT(NMI)}},
    {.name = "hlt and debug exception",
     .code = "nop",
     .edits = {ACTIVITY(1), INJECT(INTR_TYPE_EXCEPTION | VECTOR_DB)}},
    {.name = "hlt and machine check",
     .code = "nop",
     .edits = {ACTIVITY(1), INJECT(INTR_TYPE_EXCEPTION | VECTOR_MC)}},
    {.name = "hlt and gp",
     .code = "nop",
     .edits = {ACTIVITY(1), INJECT(INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK | VECTOR_GP)}},
    {.name = "hlt and ud",
     .code = "nop",
     .edits = {ACTIVITY(1), INJECT(INTR_TYPE_EXCEPTION | VECTOR_UD)}},
    {.name = "hlt and software interrupt",
     .code = "nop",
     .edits = {ACTIVITY(1), INJECT(INTR_TYPE_SOFT_INTR | 0x30), SET(VM_ENTRY_INSTRUCTION_LEN, 2)}},
    {.name = "hlt with ss.dpl 3", .code = "nop", .modes = USER64, .edits = {ACTIVITY(1), TIMER}},
    {.name = "hlt with sti blocking",
     .code = "nop",
     .edits = {ACTIVITY(1), IF_ON, BLOCK(1), TIMER}},
    {.name = "hlt with mov-ss blocking", .code = "nop", .edits = {ACTIVITY(1), BLOCK(2), TIMER}},
    {.name = "shutdown and gp",
     .code = "nop",
     .edits = {ACTIVITY(2), INJECT(INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK | VECTOR_GP)}},
    {.name = "shutdown and external interrupt",
     .code = "nop",
     .edits = {ACTIVITY(2), IF_ON, INJECT(EXT)}},
    {.name = "shutdown and nmi", .code = "nop", .edits = {ACTIVITY(2), INJECT(NMI)}},
    {.name = "shutdown and machine check",
     .code = "nop",
     .edits = {ACTIVITY(2), INJECT(INTR_TYPE_EXCEPTION | VECTOR_MC)}},
    {.name = "shutdown with ss.dpl 3 and nmi",
     .code = "nop",
     .modes = USER64,
     .edits = {ACTIVITY(2), INJECT(NMI)}},
    {.name = "shutdown with mov-ss blocking",
     .code = "nop",
     .edits = {ACTIVITY(2), BLOCK(2), INJECT(NMI)}},
    {.name = "wait for sipi and nmi", .code = "nop", .edits = {ACTIVITY(3), INJECT(NMI)}},
    {.name = "wait for sipi and external interrupt",
     .code = "nop",
     .edits = {ACTIVITY(3), IF_ON, INJECT(EXT)}},
    {.name = "wait for sipi with mov-ss blocking", .code = "nop", .edits = {ACTIVITY(3), BLOCK(2)}},
    {.name = "blocking by sti", .code = "nop", .edits = {BLOCK(1), IF_ON}},
    {.name = "blocking by sti without if", .code = "nop", .edits = {BLOCK(1)}},
    {.name = "blocking by mov ss", .code = "nop", .edits = {BLOCK(2)}},
    {.name = "blocking by both", .code = "nop", .edits = {BLOCK(3), IF_ON}},
    {.name = "blocking by smi", .code = "nop", .edits = {BLOCK(4)}},
    {.name = "blocking by nmi", .code = "nop", .edits = {BLOCK(8)}},
    {.name = "blocking by nmi, virtual nmis",
     .code = "nop",
     .edits = {BLOCK(8), PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    {.name = "blocking by nmi and nmi", .code = "nop", .edits = {BLOCK(8), INJECT(NMI)}},
    {.name = "blocking by nmi and nmi, virtual nmis",
     .code = "nop",
     .edits = {BLOCK(8), INJECT(NMI), PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)}},
    {.name = "blocking by sti and external interrupt",
     .code = "nop",
     .edits = {BLOCK(1), IF_ON, INJECT(EXT)}},
    {.name = "blocking by mov ss and external interrupt",
     .code = "nop",
     .edits = {BLOCK(2), IF_ON, INJECT(EXT)}},
    {.name = "blocking by mov ss and nmi", .code = "nop", .edits = {BLOCK(2), INJECT(NMI)}},
    {.name = "blocking by sti and nmi", .code = "nop", .edits = {BLOCK(1), IF_ON, INJECT(NMI)}},
    {.name = "external interrupt without if", .code = "nop", .edits = {INJECT(EXT)}},
    {.name = "blocking bit 4", .code = "nop", .edits = {BLOCK(0x10)}},
    {.name = "blocking bit 5", .code = "nop", .edits = {BLOCK(0x20)}},
    {.name = "blocking bit 16", .code = "nop", .edits = {BLOCK(0x10000)}},
    {.name = "blocking bit 31", .code = "nop", .edits = {BLOCK(BIT(31))}},
    {.name = "pending bit 0", .code = "nop", .edits = {PENDING(1)}},
    {.name = "pending bit 3", .code = "nop", .edits = {PENDING(8)}},
    {.name = "pending bit 4", .code = "nop", .edits = {PENDING(0x10)}},
    {.name = "pending bit 11", .code = "nop", .edits = {PENDING(0x800)}},
    {.name = "pending bit 12", .code = "nop", .edits = {PENDING(0x1000)}},
    {.name = "pending bit 13", .code = "nop", .edits = {PENDING(0x2000)}},
    {.name = "pending bit 14", .code = "nop", .edits = {PENDING(0x4000)}},
    {.name = "pending bit 15", .code = "nop", .edits = {PENDING(0x8000)}},
    {.name = "pending bit 32", .code = "nop", .edits = {PENDING(BIT64(32))}},
    {.name = "pending bit 63", .code = "nop", .edits = {PENDING(BIT64(63))}},
    {.name = "pending bs, sti blocking, no tf",
     .code = "nop",
     .edits = {PENDING(0x4000), BLOCK(1), IF_ON}},
    {.name = "no pending bs, sti blocking, tf",
     .code = "nop",
     .edits = {PENDING(0), BLOCK(1), OR(GUEST_RFLAGS, RFLAGS_IF | RFLAGS_TF)}},
    {.name = "pending bs, sti blocking, tf",
     .code = "nop",
     .edits = {PENDING(0x4000), BLOCK(1), OR(GUEST_RFLAGS, RFLAGS_IF | RFLAGS_TF)}},
    {.name = "pending bs, mov-ss blocking, tf",
     .code = "nop",
     .edits = {PENDING(0x4000), BLOCK(2), OR(GUEST_RFLAGS, RFLAGS_TF)}},
    {.name = "no pending bs, mov-ss blocking, tf",
     .code = "nop",
     .edits = {BLOCK(2), OR(GUEST_RFLAGS, RFLAGS_TF)}},
    {.name = "pending bs, mov-ss blocking, tf, btf",
     .code = "nop",
     .edits = {PENDING(0x4000), BLOCK(2), OR(GUEST_RFLAGS, RFLAGS_TF), SET(GUEST_IA32_DEBUGCTL, 2),
               ENTRY(VM_ENTRY_LOAD_DEBUG_CONTROLS)}},
    {.name = "pending bs, hlt", .code = "nop", .edits = {PENDING(0x4000), ACTIVITY(1), TIMER}},
    {.name = "no pending bs, hlt, tf",
     .code = "nop",
     .edits = {ACTIVITY(1), OR(GUEST_RFLAGS, RFLAGS_TF), TIMER}},
    {.name = "tf", .code = "nop", .edits = {OR(GUEST_RFLAGS, RFLAGS_TF)}},
    {.name = "smbase", .code = "nop", .edits = {SET(GUEST_SMBASE, ~0u)}},
};

/* ---- PDPTEs, SDM vol. 3, 27.3.1.6 */

static const u64 pdpte_bits[] = {BIT64(1), BIT64(2), BIT64(3), BIT64(4),  BIT64(5),  BIT64(6),
                                 BIT64(7), BIT64(8), BIT64(9), BIT64(52), BIT64(62), BIT64(63)};

static void pdpte_row(const char *where, u32 index, u32 flags, bool present, u64 bits,
                      const char *name)
{
    u64 *entry = (u64 *)guest_memory(L2_ROOT) + index;

    if (!row(STATE_VMCS, "guest.pae.pdpte%u.%s.%s%s", index, where, name,
             present ? "" : " absent") ||
        !mode_offered(GUEST_PAE, flags))
        return;
    guest_setup(GUEST_PAE, flags);
    guest_code("nop");
    if (flags & WITH_EPT) {
        u32 field = GUEST_PDPTR0 + 2 * index;

        vm_write(field, index ? (present ? 1 : 0) | bits : vm_read(field) | bits);
    } else {
        *entry = index ? (present ? 1 : 0) | bits : *entry | bits;
    }
    guest_run(true);
    say_exec();
    row_end();
}

static void pdpte_rows(void)
{
    char name[32];

    for (u32 index = 0; index < 4; index++)
        for (u32 i = 0; i < ARRAY_SIZE(pdpte_bits); i++) {
            format_text(name, sizeof(name), "%lx", pdpte_bits[i]);
            pdpte_row("memory", index, 0, true, pdpte_bits[i], name);
            pdpte_row("vmcs", index, WITH_EPT, true, pdpte_bits[i], name);
            if (index) {
                pdpte_row("memory", index, 0, false, pdpte_bits[i], name);
                pdpte_row("vmcs", index, WITH_EPT, false, pdpte_bits[i], name);
            }
        }
}

/* ---- what a failed entry leaves as it was, SDM vol. 3, 27.8 */

static void untouched_rows(void)
{
    static const u32 fields[] = {VM_EXIT_INTR_INFO,
                                 IDT_VECTORING_INFO_FIELD,
                                 VM_EXIT_INSTRUCTION_LEN,
                                 VM_ENTRY_INTR_INFO_FIELD,
                                 GUEST_RIP,
                                 GUEST_RFLAGS,
                                 GUEST_INTERRUPTIBILITY_INFO,
                                 VM_INSTRUCTION_ERROR};

    if (!row(STATE_VMCS, "guest.failed entry leaves"))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("cpuid");
    guest_run(true);
    guest_skip();
    vm_write(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | NMI);
    vm_write(GUEST_RFLAGS, RFLAGS_FIXED | BIT64(3));
    guest_run(false);
    say_exec();
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        say(" %x=%lx", fields[i], vm_read(fields[i]));
    row_end();
}

void rows_guest_state(void)
{
    register_rows();
    canonical_rows();
    guest_rows("guest", msr_rows, ARRAY_SIZE(msr_rows));
    msr_bits_rows();
    link_pointer_rows();
    guest_rows("guest", state_rows, ARRAY_SIZE(state_rows));
    pdpte_rows();
    untouched_rows();
}
