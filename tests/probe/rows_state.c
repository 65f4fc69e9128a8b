/* State of newer processors that VM entries load and VM exits save, load or clear: CET, protection
   keys of supervisor pages, user interrupts, IA32_SPEC_CTRL, BNDCFGS, the save of
   IA32_PERF_GLOBAL_CTRL; and user wait and pause. SDM vol. 3, "VM Entries" and "VM Exits". */
#include "guest_rows.h"

#define NON_CANONICAL 0x0000800000000000ull
#define CET_SH_STK    BIT64(0)
#define CET_ENDBR     BIT64(2)

#define PTE_KEY(key)       ((u64)(key) << 59)
#define SHADOW_STACK       L2_SPARE /* its page, read-only and dirty */
#define SHADOW_STACK_START (SHADOW_STACK + 0x800u)

/* ---- L1's own values: what L2 inherits, and what is left in the registers */

#define L1_S_CET     0x10000ull
#define L1_SSP_TABLE 0x20000ull
#define L1_PKRS      0x55550000ull
#define L1_UINV      0x77ull

static const struct {
    const char *name;
    u32 msr;
    enum feature entry, exit; /* one of them says that the MSR exists */
    u64 value;
} msrs[] = {
    {"s_cet", MSR_IA32_S_CET, FEATURE_ENTRY_LOAD_CET, FEATURE_EXIT_LOAD_CET, L1_S_CET},
    {"ssp table", MSR_IA32_INTERRUPT_SSP_TABLE, FEATURE_ENTRY_LOAD_CET, FEATURE_EXIT_LOAD_CET,
     L1_SSP_TABLE},
    {"pkrs", MSR_IA32_PKRS, FEATURE_ENTRY_LOAD_PKRS, FEATURE_EXIT_LOAD_PKRS, L1_PKRS},
    {"uintr misc", MSR_IA32_UINTR_MISC, FEATURE_ENTRY_LOAD_UINV, FEATURE_CLEAR_UINV,
     L1_UINV << UINTR_MISC_UINV_SHIFT | 0x1234},
    {"spec ctrl", MSR_IA32_SPEC_CTRL, FEATURE_SPEC_CTRL_VIRTUALIZATION, FEATURE_EXIT_LOAD_SPEC_CTRL,
     1},
    {"bndcfgs", MSR_IA32_BNDCFGS, FEATURE_ENTRY_LOAD_BNDCFGS, FEATURE_CLEAR_BNDCFGS, 0},
};

static bool msr_exists(u32 i)
{
    return feature_offered(msrs[i].entry) || feature_offered(msrs[i].exit);
}

static void set_own(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
        if (msr_exists(i))
            write_msr(msrs[i].msr, msrs[i].value);
}

/* SSP can be read only with shadow stacks switched on. */
static u64 own_ssp(void)
{
    exec_clear();
    exec_code("read ssp");
    return exec.gpr[RAX];
}

static void say_own(void)
{
    say(" l1:");
    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
        if (msr_exists(i)) {
            say(" %s %lx", msrs[i].name, read_msr(msrs[i].msr));
            write_msr(msrs[i].msr, 0);
        }
    if (feature_offered(FEATURE_ENTRY_LOAD_CET))
        say(" ssp %lx", own_ssp());
}

/* ---- checks */

#define LOAD_CET     ENTRY(VM_ENTRY_LOAD_CET_STATE)
#define HOST_CET     EXIT(VM_EXIT_LOAD_CET_STATE)
#define LOAD_PKRS    ENTRY(VM_ENTRY_LOAD_IA32_PKRS)
#define HOST_PKRS    EXIT(VM_EXIT_LOAD_IA32_PKRS)
#define LOAD_UINV    ENTRY(VM_ENTRY_LOAD_UINV)
#define NO_UINV      EXIT(VM_EXIT_CLEAR_UINV)
#define LOAD_BNDCFGS ENTRY(VM_ENTRY_LOAD_BNDCFGS)
#define NO_BNDCFGS   EXIT(VM_EXIT_CLEAR_BNDCFGS)
#define HOST_SPEC    OR(SECONDARY_VM_EXIT_CONTROLS, VM_EXIT2_LOAD_IA32_SPEC_CTRL)
#define VIRTUAL_SPEC OR(TERTIARY_VM_EXEC_CONTROL, TERTIARY_EXEC_SPEC_CTRL_VIRTUALIZATION)
#define SAVE_PERF    EXIT(VM_EXIT_SAVE_PERF_GLOBAL_CTRL)
#define USER_WAIT    PROC2(SECONDARY_EXEC_USER_WAIT_PAUSE)
#define MSRS         PROC(CPU_BASED_USE_MSR_BITMAPS)
#define GUEST_CET(cet, ssp, table)                                                                 \
    SET(GUEST_IA32_S_CET, cet), SET(GUEST_SSP, ssp), SET(GUEST_INTR_SSP_TABLE, table)

/* One field with one value, loaded or not, in a mode of the guest. */
static void check_row(const char *name, enum guest_mode mode, struct edit control, u32 field,
                      u64 value)
{
    struct guest_row what = {.name = name, .code = "nop", .modes = BIT(mode), .flags = PLAIN_ONLY};
    char text[64];

    format_text(text, sizeof(text), "%s %lx%s", name, value, control.what ? "" : " unused");
    what.name = text;
    what.edits[0] = control;
    what.edits[1] = (struct edit){EDIT_SET, field, value};
    guest_rows("state", &what, 1);
}

static const u64 cet_values[] = {
    0,
    1,
    2,
    4,
    8,
    0x10,
    0x20,
    0x40,
    0x80,
    0x100,
    0x200,
    0x400,
    0x800,
    0xc00,
    0xc3f,
    0x1000,
    0x80000000,
    BIT64(32),
    0x7ffffffff000,
    NON_CANONICAL,
    0xffff800000000000,
    BIT64(63),
    BIT64(62) | 1,
};
static const u64 ssp_values[] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 8,
                                 0xfffffffc,
                                 BIT64(32),
                                 0x7ffffffffff8,
                                 NON_CANONICAL,
                                 0xffff800000000000,
                                 BIT64(63),
                                 0x5};
static const u64 wide_values[] = {0, 1, 0xffffffff, BIT64(32), BIT64(63), 0x1ff, 0x100, 0xff};
static const u64 address_values[] = {
    0, 1, 2, 3, 4, 0x800, 0x1000, 0x7ffffffff003, 0xffc, BIT64(63), BIT64(47), 0xffff800000000000};
static const u64 spec_values[] = {0,      1,       2,         4,         8,        0x10,  0x20,
                                  0x40,   0x80,    0x100,     0x200,     0x400,    0x5ff, 0x800,
                                  0x1000, BIT(16), BIT64(31), BIT64(32), BIT64(63)};

struct field_checks {
    const char *name;
    struct edit control;
    u32 field;
    const u64 *values;
    u32 count;
    bool guest;
};

#define CHECKS(name, control, field, values, guest)                                                \
    {                                                                                              \
        name, control, field, values, ARRAY_SIZE(values), guest                                    \
    }

static const struct field_checks field_checks[] = {
    CHECKS("guest s_cet", LOAD_CET, GUEST_IA32_S_CET, cet_values, true),
    CHECKS("guest ssp", LOAD_CET, GUEST_SSP, ssp_values, true),
    CHECKS("guest ssp table", LOAD_CET, GUEST_INTR_SSP_TABLE, ssp_values, true),
    CHECKS("host s_cet", HOST_CET, HOST_IA32_S_CET, cet_values, false),
    CHECKS("host ssp", HOST_CET, HOST_SSP, ssp_values, false),
    CHECKS("host ssp table", HOST_CET, HOST_INTR_SSP_TABLE, ssp_values, false),
    CHECKS("guest pkrs", LOAD_PKRS, GUEST_IA32_PKRS, wide_values, true),
    CHECKS("host pkrs", HOST_PKRS, HOST_IA32_PKRS, wide_values, false),
    CHECKS("guest uinv", LOAD_UINV, GUEST_UINV, wide_values, true),
    CHECKS("guest bndcfgs", LOAD_BNDCFGS, GUEST_IA32_BNDCFGS, address_values, true),
    CHECKS("host spec ctrl", HOST_SPEC, HOST_IA32_SPEC_CTRL, spec_values, false),
};

static bool field_exists(u32 field)
{
    bool carry, zero;
    u64 value;

    __asm__ volatile("vmread %3, %0"
                     : "=r"(value), "=@ccc"(carry), "=@ccz"(zero)
                     : "r"((u64)field));
    return !carry && !zero;
}

static void check_rows(void)
{
    static const u32 modes[] = {GUEST_64, GUEST_COMPAT, GUEST_PAE};

    for (u32 i = 0; i < ARRAY_SIZE(field_checks); i++) {
        const struct field_checks *checks = &field_checks[i];

        if (!row(STATE_VMCS, "state.%s", checks->name))
            continue;
        if (!field_exists(checks->field)) {
            row_skip("a feature that has this field");
            continue;
        }
        say("exists");
        row_end();
        for (u32 j = 0; j < checks->count; j++) {
            check_row(checks->name, GUEST_64, (struct edit){EDIT_NONE, 0, 0}, checks->field,
                      checks->values[j]);
            for (u32 k = 0; k < (checks->guest ? ARRAY_SIZE(modes) : 1); k++)
                check_row(checks->name, modes[k], checks->control, checks->field,
                          checks->values[j]);
        }
    }
}

/* ---- what L2 and L1 find */

#define READ(msr)         REG(RCX, msr), MSRS
#define WRITE(msr, value) REG(RCX, msr), REG(RAX, (u32)(value)), REG(RDX, (u64)(value) >> 32), MSRS

static const struct guest_row value_rows[] = {
    {.name = "cet inherited",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {READ(MSR_IA32_S_CET), SET(GUEST_IA32_S_CET, 4), SET(GUEST_SSP, 0x3000)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE}},
    {.name = "cet loaded",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_CET, READ(MSR_IA32_S_CET), GUEST_CET(4, 0x3004, 0x9000)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE}},
    {.name = "cet loaded table",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_CET, READ(MSR_IA32_INTERRUPT_SSP_TABLE), GUEST_CET(4, 0x3004, 0x9000)}},
    {.name = "cet written",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_CET, WRITE(MSR_IA32_S_CET, 0x20), GUEST_CET(4, 0x3004, 0x9000)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE}},
    {.name = "cet inherited and written",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {WRITE(MSR_IA32_S_CET, 0x20)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE}},
    {.name = "cet of the host",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {HOST_CET, READ(MSR_IA32_S_CET), SET(HOST_IA32_S_CET, 0x8), SET(HOST_SSP, 0x12348),
               SET(HOST_INTR_SSP_TABLE, 0x7000)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE}},
    {.name = "cet of both",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_CET, HOST_CET, WRITE(MSR_IA32_S_CET, 0x20), SET(GUEST_SSP, 0x3004),
               SET(HOST_SSP, 0x7fff00004448)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP, HOST_IA32_S_CET, HOST_SSP}},
    {.name = "cet loaded, twice",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .steps = 2,
     .edits = {LOAD_CET, HOST_CET, READ(MSR_IA32_S_CET), SET(GUEST_IA32_S_CET, 4),
               SET(GUEST_SSP, 0x3004), SET(HOST_SSP, 0x5550)},
     .show = {GUEST_IA32_S_CET, GUEST_SSP}},
    {.name = "pkrs inherited",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {READ(MSR_IA32_PKRS), SET(GUEST_IA32_PKRS, 4)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "pkrs loaded",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_PKRS, READ(MSR_IA32_PKRS), SET(GUEST_IA32_PKRS, 4)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "pkrs written",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_PKRS, WRITE(MSR_IA32_PKRS, 0x30), SET(GUEST_IA32_PKRS, 4)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "pkrs of the host",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {HOST_PKRS, READ(MSR_IA32_PKRS), SET(HOST_IA32_PKRS, 0xc0)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "pkrs of both",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_PKRS, HOST_PKRS, WRITE(MSR_IA32_PKRS, 0x30), SET(HOST_IA32_PKRS, 0xc0)},
     .show = {GUEST_IA32_PKRS, HOST_IA32_PKRS}},
    {.name = "uinv inherited",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {READ(MSR_IA32_UINTR_MISC), SET(GUEST_UINV, 4)},
     .show = {GUEST_UINV}},
    {.name = "uinv loaded",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_UINV, READ(MSR_IA32_UINTR_MISC), SET(GUEST_UINV, 0xee)},
     .show = {GUEST_UINV}},
    {.name = "uinv written",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {LOAD_UINV, WRITE(MSR_IA32_UINTR_MISC, 0xaa00000005), SET(GUEST_UINV, 0xee)},
     .show = {GUEST_UINV}},
    {.name = "uinv cleared",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {NO_UINV, READ(MSR_IA32_UINTR_MISC)},
     .show = {GUEST_UINV}},
    {.name = "uinv loaded and cleared",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {NO_UINV, LOAD_UINV, READ(MSR_IA32_UINTR_MISC), SET(GUEST_UINV, 0xee)},
     .show = {GUEST_UINV}},
    {.name = "bndcfgs loaded",
     .code = "rdmsr",
     .finish = say_own,
     .edits = {LOAD_BNDCFGS, READ(MSR_IA32_BNDCFGS), SET(GUEST_IA32_BNDCFGS, 0x7001)},
     .show = {GUEST_IA32_BNDCFGS}},
    {.name = "bndcfgs cleared",
     .code = "wrmsr",
     .finish = say_own,
     .edits = {NO_BNDCFGS, LOAD_BNDCFGS, WRITE(MSR_IA32_BNDCFGS, 0x8003)},
     .show = {GUEST_IA32_BNDCFGS}},
    {.name = "spec ctrl, read",
     .code = "rdmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {VIRTUAL_SPEC, READ(MSR_IA32_SPEC_CTRL), SET(IA32_SPEC_CTRL_SHADOW, 0x1234567887),
               SET(IA32_SPEC_CTRL_MASK, 1)},
     .show = {IA32_SPEC_CTRL_SHADOW, IA32_SPEC_CTRL_MASK}},
    {.name = "spec ctrl, written",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {VIRTUAL_SPEC, WRITE(MSR_IA32_SPEC_CTRL, 6), SET(IA32_SPEC_CTRL_SHADOW, 0),
               SET(IA32_SPEC_CTRL_MASK, 3)},
     .show = {IA32_SPEC_CTRL_SHADOW}},
    {.name = "spec ctrl, written all masked",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {VIRTUAL_SPEC, WRITE(MSR_IA32_SPEC_CTRL, 4), SET(IA32_SPEC_CTRL_SHADOW, 2),
               SET(IA32_SPEC_CTRL_MASK, ~0ull)},
     .show = {IA32_SPEC_CTRL_SHADOW}},
    {.name = "spec ctrl, written reserved",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {VIRTUAL_SPEC, WRITE(MSR_IA32_SPEC_CTRL, 0x200), SET(IA32_SPEC_CTRL_SHADOW, 2),
               SET(IA32_SPEC_CTRL_MASK, 0)},
     .show = {IA32_SPEC_CTRL_SHADOW}},
    {.name = "spec ctrl not virtual",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {WRITE(MSR_IA32_SPEC_CTRL, 4), SET(IA32_SPEC_CTRL_SHADOW, 2), HOST_SPEC,
               SET(HOST_IA32_SPEC_CTRL, 2)},
     .show = {IA32_SPEC_CTRL_SHADOW}},
    {.name = "spec ctrl of the host",
     .code = "wrmsr",
     .prepare = set_own,
     .finish = say_own,
     .edits = {VIRTUAL_SPEC, HOST_SPEC, WRITE(MSR_IA32_SPEC_CTRL, 4), SET(HOST_IA32_SPEC_CTRL, 2)},
     .show = {IA32_SPEC_CTRL_SHADOW, HOST_IA32_SPEC_CTRL}},
    {.name = "perf global saved",
     .code = "nop",
     .edits = {SAVE_PERF, SET(GUEST_IA32_PERF_GLOBAL_CTRL, 0)},
     .show = {GUEST_IA32_PERF_GLOBAL_CTRL}},
};

/* ---- in use */

static void shadow_stack_page(void)
{
    *guest_pte(SHADOW_STACK) &= ~PTE_W;
    *guest_pte(SHADOW_STACK) &= ~PTE_U;
    vm_write(GUEST_CR4, vm_read(GUEST_CR4) | CR4_CET);
    vm_write(CR4_READ_SHADOW, vm_read(GUEST_CR4));
}

static void key_page(void)
{
    *guest_pte(L2_SPARE) |= PTE_KEY(3);
    *guest_pte(L2_SPARE) &= ~PTE_U;
    vm_write(GUEST_CR4, vm_read(GUEST_CR4) | CR4_PKS);
}

#define STACK LOAD_CET, SET(GUEST_IA32_S_CET, CET_SH_STK), SET(GUEST_SSP, SHADOW_STACK_START)
#define IBT   LOAD_CET, SET(GUEST_IA32_S_CET, CET_ENDBR)
#define PKEY  LOAD_PKRS, SET(GUEST_IA32_PKRS, 3 << 6)

static const struct guest_row use_rows[] = {
    {.name = "call and ret",
     .code = "cet call",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK},
     .show = {GUEST_SSP}},
    {.name = "ret elsewhere",
     .code = "cet bad ret",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK},
     .show = {GUEST_SSP}},
    {.name = "ret elsewhere exits",
     .code = "cet bad ret",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK, OR(EXCEPTION_BITMAP, BIT(VECTOR_CP))},
     .show = {GUEST_SSP}},
    {.name = "call inside",
     .code = "cet call cpuid",
     .modes = M64 | M32,
     .steps = 4,
     .prepare = shadow_stack_page,
     .edits = {STACK},
     .show = {GUEST_SSP}},
    {.name = "shadow stack not there",
     .code = "cet call",
     .modes = M64 | M32,
     .edits = {STACK, OR(GUEST_CR4, CR4_CET)},
     .show = {GUEST_SSP}},
    {.name = "rdssp",
     .code = "rdssp",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK}},
    {.name = "rdssp without cr4.cet", .code = "rdssp", .modes = M64 | M32, .edits = {STACK}},
    {.name = "jump to endbr",
     .code = "cet jump endbr",
     .prepare = shadow_stack_page,
     .edits = {IBT},
     .show = {GUEST_IA32_S_CET}},
    {.name = "jump to nop",
     .code = "cet jump nop",
     .prepare = shadow_stack_page,
     .edits = {IBT},
     .show = {GUEST_IA32_S_CET}},
    {.name = "jump, mtf",
     .code = "cet jump endbr",
     .prepare = shadow_stack_page,
     .steps = 4,
     .edits = {IBT, PROC(CPU_BASED_MONITOR_TRAP_FLAG)},
     .show = {GUEST_IA32_S_CET}},
    {.name = "event on the shadow stack",
     .code = "int 0x30",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK},
     .show = {GUEST_SSP}},
    {.name = "injected event",
     .code = "nop",
     .modes = M64 | M32,
     .prepare = shadow_stack_page,
     .edits = {STACK, SET(VM_ENTRY_INTR_INFO_FIELD,
                          INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | VECTOR_UD)},
     .show = {GUEST_SSP}},
    {.name = "cet on without wp",
     .code = "nop",
     .edits = {OR(GUEST_CR4, CR4_CET), CLEAR(GUEST_CR0, CR0_WP)}},
    {.name = "key read",
     .code = "read spare",
     .prepare = key_page,
     .edits = {PKEY, OR(EXCEPTION_BITMAP, BIT(VECTOR_PF))}},
    {.name = "key read allowed",
     .code = "read spare",
     .prepare = key_page,
     .edits = {LOAD_PKRS, SET(GUEST_IA32_PKRS, 2 << 6), OR(EXCEPTION_BITMAP, BIT(VECTOR_PF))}},
    {.name = "key write",
     .code = "write spare",
     .prepare = key_page,
     .edits = {LOAD_PKRS, SET(GUEST_IA32_PKRS, 2 << 6), OR(EXCEPTION_BITMAP, BIT(VECTOR_PF))}},
};

/* ---- shadow stacks of the supervisor that EPT knows of */

static void ept_stack_row(const char *name, u64 clear, u64 set, u64 eptp_bits, const char *code)
{
    if (!row(STATE_VMCS, "state.ept stack, %s, %s", name, code) ||
        !row_needs(FEATURE_EPT_SHADOW_STACK) || !row_needs(FEATURE_ENTRY_LOAD_CET))
        return;
    if (eptp_bits & EPTP_AD && !row_needs(FEATURE_EPT_ACCESSED_DIRTY))
        return;
    guest_setup(GUEST_64, WITH_EPT);
    guest_code(code);
    shadow_stack_page();
    field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_CET_STATE);
    vm_write(GUEST_IA32_S_CET, CET_SH_STK);
    vm_write(GUEST_SSP, SHADOW_STACK_START);
    field_set(EPT_POINTER, eptp_bits);
    *ept_entry(SHADOW_STACK) = (*ept_entry(SHADOW_STACK) & ~clear) | set;
    guest_follow(2);
    say(" ssp %lx entry %lx", vm_read(GUEST_SSP),
        (u64)(*ept_entry(SHADOW_STACK) & (EPT_ACCESSED | EPT_DIRTY)));
    row_end();
}

static void ept_stack_rows(void)
{
    static const struct {
        const char *name;
        u64 clear, set;
    } pages[] = {
        {"as it is", 0, 0},
        {"marked", 0, EPT_SHADOW_STACK},
        {"read-only", EPT_WRITE, 0},
        {"read-only marked", EPT_WRITE, EPT_SHADOW_STACK},
        {"not executable marked", EPT_EXEC, EPT_SHADOW_STACK},
        {"execute-only marked", EPT_READ | EPT_WRITE, EPT_SHADOW_STACK},
        {"absent marked", EPT_RWX, EPT_SHADOW_STACK},
    };
    static const char *const codes[] = {"cet call", "rdssp", "read spare", "write spare",
                                        "int 0x30"};

    for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
        for (u32 j = 0; j < ARRAY_SIZE(codes); j++) {
            char name[48];

            ept_stack_row(pages[i].name, pages[i].clear, pages[i].set, EPTP_SHADOW_STACK, codes[j]);
            format_text(name, sizeof(name), "%s, not asked for", pages[i].name);
            ept_stack_row(name, pages[i].clear, pages[i].set, 0, codes[j]);
            format_text(name, sizeof(name), "%s, flags", pages[i].name);
            ept_stack_row(name, pages[i].clear, pages[i].set, EPTP_SHADOW_STACK | EPTP_AD,
                          codes[j]);
        }
}

/* ---- user wait and pause */

static const struct guest_row wait_rows[] = {
    {.name = "tpause",
     .modes = ALL_MODES,
     .edits = {USER_WAIT, REG(RCX, 0), REG(RAX, 0), REG(RDX, 0)}},
    {.name = "umwait",
     .modes = ALL_MODES,
     .edits = {USER_WAIT, REG(RCX, 1), REG(RAX, 0), REG(RDX, 0)}},
    {.name = "umonitor", .modes = M64 | M32 | USER64, .edits = {USER_WAIT, REG(RAX, L2_DATA)}},
    {.name = "tpause disabled", .code = "tpause", .modes = M64 | USER64 | M32},
    {.name = "umwait disabled", .code = "umwait", .modes = M64 | USER64 | M32},
    {.name = "umonitor disabled",
     .code = "umonitor",
     .modes = M64 | USER64,
     .edits = {REG(RAX, L2_DATA)}},
    {.name = "tpause exits",
     .code = "tpause",
     .modes = ALL_MODES,
     .edits = {USER_WAIT, PROC(CPU_BASED_RDTSC_EXITING), REG(RCX, 1)}},
    {.name = "umwait exits",
     .code = "umwait",
     .modes = ALL_MODES,
     .edits = {USER_WAIT, PROC(CPU_BASED_RDTSC_EXITING), REG(RCX, 1)}},
    {.name = "umwait edx exits",
     .code = "umwait edx",
     .edits = {USER_WAIT, PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "tpause disabled, rdtsc exiting",
     .code = "tpause",
     .edits = {PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "tpause of state 2",
     .code = "tpause",
     .edits = {USER_WAIT, REG(RCX, 2), REG(RAX, 0), REG(RDX, 0)}},
    {.name = "tpause of state 2 exits",
     .code = "tpause",
     .edits = {USER_WAIT, PROC(CPU_BASED_RDTSC_EXITING), REG(RCX, 2)}},
    {.name = "tpause with cr4.tsd",
     .code = "tpause",
     .modes = M64 | USER64,
     .edits = {USER_WAIT, PROC(CPU_BASED_RDTSC_EXITING), OR(GUEST_CR4, BIT64(2))}},
};

/* Rows without a control of the feature in their edits make sense only with it. */
static bool uses(const struct guest_row *what, const char *prefix, enum feature feature)
{
    return !text_starts(what->name ? what->name : what->code, prefix) || feature_offered(feature);
}

static void rows_if_offered(const char *group, const struct guest_row *rows, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (uses(&rows[i], "cet ", FEATURE_ENTRY_LOAD_CET) &&
            uses(&rows[i], "pkrs ", FEATURE_ENTRY_LOAD_PKRS) &&
            uses(&rows[i], "uinv ", FEATURE_ENTRY_LOAD_UINV) &&
            uses(&rows[i], "tpause ", FEATURE_USER_WAIT) &&
            uses(&rows[i], "umwait ", FEATURE_USER_WAIT) &&
            uses(&rows[i], "umonitor ", FEATURE_USER_WAIT) &&
            uses(&rows[i], "spec ctrl ", FEATURE_SPEC_CTRL_VIRTUALIZATION))
            guest_rows(group, &rows[i], 1);
}

/* ---- MSR areas that load the same registers */

static void put_entry(u32 page, u32 index, u64 value)
{
    struct vmx_msr_entry *entry = (struct vmx_msr_entry *)arena_page(page);

    *entry = (struct vmx_msr_entry){.index = index, .value = value};
}

static void area_row(u32 i, bool control)
{
    if (!row(STATE_VMCS, "state.areas %s%s", msrs[i].name, control ? ", controls too" : ""))
        return;
    if (!row_needs(msrs[i].entry) || !row_needs(msrs[i].exit))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("rdmsr");
    set_own();
    put_entry(PAGE_MSR_ENTRY_LOAD, msrs[i].msr,
              msrs[i].value ^ BIT64(i == 3   ? 33
                                    : i == 4 ? 1
                                             : 12));
    put_entry(PAGE_MSR_EXIT_STORE, msrs[i].msr, 0);
    put_entry(PAGE_MSR_EXIT_LOAD, msrs[i].msr,
              msrs[i].value ^ BIT64(i == 3   ? 34
                                    : i == 4 ? 2
                                             : 13));
    vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
    vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
    vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
    field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
    if (control) {
        field_set(VM_ENTRY_CONTROLS,
                  entry_caps.may & (VM_ENTRY_LOAD_CET_STATE | VM_ENTRY_LOAD_IA32_PKRS |
                                    VM_ENTRY_LOAD_UINV | VM_ENTRY_LOAD_BNDCFGS));
        field_set(VM_EXIT_CONTROLS,
                  exit_caps.may & (VM_EXIT_LOAD_CET_STATE | VM_EXIT_LOAD_IA32_PKRS |
                                   VM_EXIT_CLEAR_UINV | VM_EXIT_CLEAR_BNDCFGS));
    }
    exec.gpr[RCX] = msrs[i].msr;
    guest_run(true);
    say_exec();
    say(" l2 read %x:%x stored %lx;", (u32)exec.gpr[RDX], (u32)exec.gpr[RAX],
        ((struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_STORE))->value);
    say_own();
    row_end();
}

void rows_state(void)
{
    check_rows();
    rows_if_offered("state", value_rows, ARRAY_SIZE(value_rows));
    guest_rows("state", use_rows, ARRAY_SIZE(use_rows));
    ept_stack_rows();
    rows_if_offered("wait", wait_rows, ARRAY_SIZE(wait_rows));
    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
        area_row(i, false);
        area_row(i, true);
    }
}
