/* CET state: checked and loaded by VM entries, saved and loaded by VM exits; and shadow stacks and
   indirect-branch tracking at work in L1 and L2. SDM vol. 3, "VM Entries", "VM Exits". */
#include "guest_rows.h"

#define NON_CANONICAL      0x0000800000000000ull
#define CET_SH_STK         BIT64(0)
#define CET_ENDBR          BIT64(2)
#define SHADOW_STACK       L2_SPARE /* its page, read-only and dirty */
#define SHADOW_STACK_START (SHADOW_STACK + 0x800u)
#define FAR_DATA           (L2_SPARE + 3 * (u32)PAGE_SIZE)

#define L1_S_CET     0x10000ull
#define L1_SSP_TABLE 0x20000ull

#define LOAD ENTRY(VM_ENTRY_LOAD_CET_STATE)
#define HOST EXIT(VM_EXIT_LOAD_CET_STATE)
#define MSRS PROC(CPU_BASED_USE_MSR_BITMAPS)
#define GUEST_CET(cet, ssp, table)                                                                 \
    SET(GUEST_IA32_S_CET, cet), SET(GUEST_SSP, ssp), SET(GUEST_INTR_SSP_TABLE, table)
#define HOST_CET(cet, ssp, table)                                                                  \
    SET(HOST_IA32_S_CET, cet), SET(HOST_SSP, ssp), SET(HOST_INTR_SSP_TABLE, table)
#define READ(msr)         REG(RCX, msr), MSRS
#define WRITE(msr, value) REG(RCX, msr), REG(RAX, value), REG(RDX, 0), MSRS

/* ---- L1's own values */

static void set_own(void)
{
    write_msr(MSR_IA32_S_CET, L1_S_CET);
    write_msr(MSR_IA32_INTERRUPT_SSP_TABLE, L1_SSP_TABLE);
}

static void say_own(void)
{
    say("; l1 has %lx %lx", read_msr(MSR_IA32_S_CET), read_msr(MSR_IA32_INTERRUPT_SSP_TABLE));
    exec_clear();
    exec_code("read ssp");
    say(" ssp %lx", exec.gpr[RAX]);
    write_msr(MSR_IA32_S_CET, 0);
    write_msr(MSR_IA32_INTERRUPT_SSP_TABLE, 0);
}

/* ---- checks */

static const u64 s_cet_values[] = {
    0,     1,     2,      4,          8,         0x10,           0x20,          0x40,
    0x80,  0x100, 0x200,  0x400,      0x800,     0xc00,          0xc3f,         0x43f,
    0x83f, 0xfff, 0x1000, 0x80000000, BIT64(32), 0x7ffffffff000, NON_CANONICAL, 0xffff800000000000,
};
static const u64 ssp_values[] = {
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    0xfffffffc,
    BIT64(32),
    0x7ffffffffff8,
    NON_CANONICAL,
    0xffff800000000000,
    BIT64(63),
};

static const struct {
    const char *name;
    u32 field;
    const u64 *values;
    u32 count;
    struct edit control;
    u32 modes;
} checks[] = {
    {"guest s_cet", GUEST_IA32_S_CET, s_cet_values, ARRAY_SIZE(s_cet_values), LOAD, M64 | M32},
    {"guest ssp", GUEST_SSP, ssp_values, ARRAY_SIZE(ssp_values), LOAD,
     M64 | M32 | BIT(GUEST_COMPAT)},
    {"guest ssp table", GUEST_INTR_SSP_TABLE, ssp_values, ARRAY_SIZE(ssp_values), LOAD, M64 | M32},
    {"host s_cet", HOST_IA32_S_CET, s_cet_values, ARRAY_SIZE(s_cet_values), HOST, M64},
    {"host ssp", HOST_SSP, ssp_values, ARRAY_SIZE(ssp_values), HOST, M64},
    {"host ssp table", HOST_INTR_SSP_TABLE, ssp_values, ARRAY_SIZE(ssp_values), HOST, M64},
};

static void check_rows(void)
{
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(checks); i++)
        for (u32 j = 0; j < checks[i].count; j++) {
            struct edit value = SET(checks[i].field, checks[i].values[j]);
            struct guest_row what = {
                .name = text,
                .code = "nop",
                .modes = checks[i].modes,
                .flags = PLAIN_ONLY,
                .edits = {value, checks[i].control},
            };

            format_text(text, sizeof(text), "%s %lx", checks[i].name, checks[i].values[j]);
            guest_rows("cet", &what, 1);
            format_text(text, sizeof(text), "%s %lx unused", checks[i].name, checks[i].values[j]);
            what.edits[1].what = EDIT_NONE;
            what.modes = M64;
            guest_rows("cet", &what, 1);
        }
}

/* ---- what L2 and L1 find */

#define ALL_GUEST GUEST_IA32_S_CET, GUEST_SSP, GUEST_INTR_SSP_TABLE

static const struct guest_row value_rows[] = {
    {.name = "inherited",
     .code = "rdmsr",
     .edits = {READ(MSR_IA32_S_CET), GUEST_CET(4, 0x3000, 0x9000)},
     .show = {ALL_GUEST}},
    {.name = "loaded",
     .code = "rdmsr",
     .edits = {LOAD, READ(MSR_IA32_S_CET), GUEST_CET(4, 0x3004, 0x9000)},
     .show = {ALL_GUEST}},
    {.name = "loaded table",
     .code = "rdmsr",
     .edits = {LOAD, READ(MSR_IA32_INTERRUPT_SSP_TABLE), GUEST_CET(4, 0x3004, 0x9000)},
     .show = {ALL_GUEST}},
    {.name = "loaded and written",
     .code = "wrmsr",
     .edits = {LOAD, WRITE(MSR_IA32_S_CET, 0x20), GUEST_CET(4, 0x3004, 0x9000)},
     .show = {ALL_GUEST}},
    {.name = "inherited and written",
     .code = "wrmsr",
     .edits = {WRITE(MSR_IA32_S_CET, 0x20)},
     .show = {ALL_GUEST}},
    {.name = "host",
     .code = "rdmsr",
     .edits = {HOST, READ(MSR_IA32_S_CET), HOST_CET(8, 0x12348, 0x7000)},
     .show = {ALL_GUEST}},
    {.name = "both, written",
     .code = "wrmsr",
     .edits = {LOAD, HOST, WRITE(MSR_IA32_S_CET, 0x20), SET(GUEST_SSP, 0x3004),
               SET(HOST_SSP, 0x7fff00004448)},
     .show = {ALL_GUEST}},
    {.name = "both, entered twice",
     .code = "cpuid",
     .steps = 2,
     .edits = {LOAD, HOST, GUEST_CET(4, 0x3004, 0x9000), HOST_CET(8, 0x5550, 0x6000)},
     .show = {ALL_GUEST}},
    {.name = "host, failed entry",
     .code = "nop",
     .edits = {LOAD, HOST, GUEST_CET(4, 0x3004, 0x9000), HOST_CET(8, 0x5550, 0x6000),
               SET(GUEST_RFLAGS, 0)},
     .show = {ALL_GUEST}},
};

static void value_rows_run(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(value_rows); i++) {
        struct guest_row what = value_rows[i];

        what.prepare = set_own;
        what.finish = say_own;
        guest_rows("cet", &what, 1);
    }
}

/* ---- MSR areas that load the same registers */

static void put_entry(u32 page, u32 index, u64 value)
{
    *(struct vmx_msr_entry *)arena_page(page) =
        (struct vmx_msr_entry){.index = index, .value = value};
}

static void area_row(const char *name, u32 msr, u64 value, u64 exit_value, bool control)
{
    if (!row(STATE_VMCS, "cet.areas %s%s", name, control ? ", controls too" : ""))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("rdmsr");
    set_own();
    put_entry(PAGE_MSR_ENTRY_LOAD, msr, value);
    put_entry(PAGE_MSR_EXIT_STORE, msr, 0);
    put_entry(PAGE_MSR_EXIT_LOAD, msr, exit_value);
    vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
    vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
    vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
    field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
    if (control) {
        field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_CET_STATE);
        field_set(VM_EXIT_CONTROLS, VM_EXIT_LOAD_CET_STATE);
    }
    exec.gpr[RCX] = msr;
    guest_run(true);
    say_exec();
    say(" l2 read %x stored %lx", (u32)exec.gpr[RAX],
        ((struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_STORE))->value);
    say_own();
    row_end();
}

static void area_rows(void)
{
    for (u32 control = 0; control < 2; control++) {
        area_row("s_cet", MSR_IA32_S_CET, 0x11000, 0x22000, control);
        area_row("ssp table", MSR_IA32_INTERRUPT_SSP_TABLE, 0x33000, 0x44000, control);
        area_row("s_cet invalid", MSR_IA32_S_CET, 0x40, 0x22000, control);
        area_row("ssp table not canonical", MSR_IA32_INTERRUPT_SSP_TABLE, BIT64(63), 0x44000,
                 control);
    }
}

/* ---- at work */

static void shadow_stack_page(void)
{
    *guest_pte(SHADOW_STACK) &= ~(PTE_W | PTE_U);
    field_set(GUEST_CR4, CR4_CET);
    vm_write(CR4_READ_SHADOW, vm_read(GUEST_CR4));
}

/* A code segment that is not 64-bit, in the place of the LDT's descriptor. */
static void compatibility_segment(void)
{
    ((u64 *)guest_memory(L2_GDT))[L2_SEL_LDT / 8] = 0x00cf9b000000ffff;
}

#define STACK LOAD, SET(GUEST_IA32_S_CET, CET_SH_STK), SET(GUEST_SSP, SHADOW_STACK_START)
#define IBT   LOAD, SET(GUEST_IA32_S_CET, CET_ENDBR)

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
    {.name = "exit inside a call",
     .code = "cet call cpuid",
     .modes = M64 | M32,
     .steps = 4,
     .prepare = shadow_stack_page,
     .edits = {STACK},
     .show = {GUEST_SSP}},
    {.name = "no shadow-stack page",
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
    /* An SSP that no entry takes in this mode, when an L0 has to fill a table in. */
    {.name = "compatibility mode with ssp above 4g",
     .code = "to compatibility mode",
     .prepare = compatibility_segment,
     .edits = {LOAD, SET(GUEST_SSP, 0x7fff00004448), REG(RDI, FAR_DATA)},
     .show = {GUEST_SSP}},
    {.name = "cr4.cet without wp",
     .code = "nop",
     .edits = {OR(GUEST_CR4, CR4_CET), CLEAR(GUEST_CR0, CR0_WP)}},
};

/* L1 comes out of the exit on a shadow stack, and has an exit of its own inside a call. */
static void own_stack_row(void)
{
    if (!row(STATE_VMCS, "cet.l1 on a shadow stack"))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("nop");
    window_set(0, PTE_P | PTE_A | PTE_D);
    field_set(VM_EXIT_CONTROLS, VM_EXIT_LOAD_CET_STATE);
    field_set(HOST_CR4, CR4_CET);
    vm_write(HOST_IA32_S_CET, CET_SH_STK);
    vm_write(HOST_SSP, WINDOW_BASE + 0x800);
    vm_write(HOST_RIP, (u64)vm_exit_on_shadow_stack);
    guest_run(true);
    say_exec();
    say(" ssp %lx, on it %lx", shadow_stack_after,
        *(u64 *)(WINDOW_BASE + 0x7f8) - (u64)vm_exit_on_shadow_stack);
    write_msr(MSR_IA32_S_CET, 0);
    row_end();
}

void rows_cet(void)
{
    static const enum feature needed[] = {FEATURE_ENTRY_LOAD_CET, FEATURE_EXIT_LOAD_CET};

    for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
        if (!feature_offered(needed[i])) {
            if (row(STATE_OFF, "cet.state"))
                row_needs(needed[i]);
            return;
        }
    check_rows();
    value_rows_run();
    area_rows();
    guest_rows("cet", use_rows, ARRAY_SIZE(use_rows));
    own_stack_row();
}
