/* The user-interrupt notification vector: checked and loaded by VM entries, saved and cleared by VM
   exits. SDM vol. 3, "VM Entries", "VM Exits". */
#include "guest_rows.h"

#define UITT      0x1234u /* the low half of IA32_UINTR_MISC */
#define UINV(v)   ((u64)(v) << UINTR_MISC_UINV_SHIFT | UITT)
#define LOAD(v)   ENTRY(VM_ENTRY_LOAD_UINV), SET(GUEST_UINV, v)
#define CLEARS    EXIT(VM_EXIT_CLEAR_UINV)
#define MSRS      PROC(CPU_BASED_USE_MSR_BITMAPS)
#define READ      REG(RCX, MSR_IA32_UINTR_MISC), MSRS
#define WRITE(v)  REG(RCX, MSR_IA32_UINTR_MISC), REG(RAX, UITT), REG(RDX, v), MSRS
#define L1_UINV   0x77u
#define AREA_UINV 0x99u

static void set_own(void) { write_msr(MSR_IA32_UINTR_MISC, UINV(L1_UINV)); }

static void say_own(void)
{
    say("; l1 has %lx", read_msr(MSR_IA32_UINTR_MISC));
    write_msr(MSR_IA32_UINTR_MISC, 0);
}

static const struct guest_row value_rows[] = {
    {.name = "inherited", .code = "rdmsr", .edits = {READ, SET(GUEST_UINV, 4)}},
    {.name = "loaded", .code = "rdmsr", .edits = {READ, LOAD(4)}},
    {.name = "loaded and written", .code = "wrmsr", .edits = {WRITE(0xaa), LOAD(4)}},
    {.name = "inherited and written", .code = "wrmsr", .edits = {WRITE(0xaa)}},
    {.name = "cleared", .code = "rdmsr", .edits = {READ, CLEARS}},
    {.name = "loaded and cleared", .code = "rdmsr", .edits = {READ, LOAD(4), CLEARS}},
    {.name = "loaded and cleared, entered twice",
     .code = "cpuid",
     .steps = 2,
     .edits = {LOAD(4), CLEARS}},
    {.name = "cleared, failed entry",
     .code = "nop",
     .edits = {LOAD(4), CLEARS, SET(GUEST_RFLAGS, 0)}},
};

static void value_row(struct guest_row what)
{
    what.prepare = set_own;
    what.finish = say_own;
    what.show[0] = GUEST_UINV;
    guest_rows("uinv", &what, 1);
}

static void check_rows(void)
{
    char text[64];

    for (u32 bit = 0; bit < 16; bit++) {
        struct guest_row what = {
            .name = text, .code = "nop", .flags = PLAIN_ONLY, .edits = {LOAD(BIT(bit))}};

        format_text(text, sizeof(text), "bit %u", bit);
        value_row(what);
        format_text(text, sizeof(text), "bit %u unused", bit);
        what.edits[0].what = EDIT_NONE;
        value_row(what);
    }
}

static void area_row(bool control)
{
    struct vmx_msr_entry *load = (struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD);
    struct vmx_msr_entry *store = (struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_STORE);

    if (!row(STATE_VMCS, "uinv.areas%s", control ? ", controls too" : ""))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("rdmsr");
    set_own();
    *load = (struct vmx_msr_entry){.index = MSR_IA32_UINTR_MISC, .value = UINV(AREA_UINV)};
    *store = (struct vmx_msr_entry){.index = MSR_IA32_UINTR_MISC};
    vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
    vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
    field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
    if (control) {
        field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_UINV);
        field_set(VM_EXIT_CONTROLS, VM_EXIT_CLEAR_UINV);
    }
    exec.gpr[RCX] = MSR_IA32_UINTR_MISC;
    guest_run(true);
    say_exec();
    say(" l2 read %x:%x stored %lx", (u32)exec.gpr[RDX], (u32)exec.gpr[RAX], store->value);
    say_own();
    row_end();
}

void rows_uinv(void)
{
    static const enum feature needed[] = {FEATURE_ENTRY_LOAD_UINV, FEATURE_CLEAR_UINV};

    for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
        if (!feature_offered(needed[i])) {
            if (row(STATE_OFF, "uinv.state"))
                row_needs(needed[i]);
            return;
        }
    check_rows();
    for (u32 i = 0; i < ARRAY_SIZE(value_rows); i++)
        value_row(value_rows[i]);
    area_row(false);
    area_row(true);
}
