/* Protection keys of supervisor pages: IA32_PKRS, checked and loaded by VM entries, saved and
   loaded by VM exits. SDM vol. 3, "VM Entries", "VM Exits". */
#include "guest_rows.h"

#define L1_PKRS     0x55550000u
#define KEY         3u
#define PTE_KEY     ((u64)KEY << 59)
#define NO_ACCESS   BIT(2 * KEY)
#define NO_WRITE    BIT(2 * KEY + 1)
#define LOAD(value) ENTRY(VM_ENTRY_LOAD_IA32_PKRS), SET(GUEST_IA32_PKRS, value)
#define HOST(value) EXIT(VM_EXIT_LOAD_IA32_PKRS), SET(HOST_IA32_PKRS, value)
#define MSRS        PROC(CPU_BASED_USE_MSR_BITMAPS)
#define READ        REG(RCX, MSR_IA32_PKRS), MSRS
#define WRITE(low)  REG(RCX, MSR_IA32_PKRS), REG(RAX, low), REG(RDX, 0), MSRS
#define FAULTS      OR(EXCEPTION_BITMAP, BIT(VECTOR_PF))

static void say_own(void)
{
    say("; l1 has %lx", read_msr(MSR_IA32_PKRS));
    write_msr(MSR_IA32_PKRS, 0);
}

static void check_rows(void)
{
    char text[64];

    for (u32 bit = 0; bit < 64; bit++) {
        const struct guest_row rows[] = {
            {.name = text, .code = "nop", .edits = {LOAD(BIT64(bit))}},
            {.name = text, .code = "nop", .edits = {HOST(BIT64(bit))}},
            {.name = text, .code = "nop", .edits = {SET(GUEST_IA32_PKRS, BIT64(bit))}},
            {.name = text, .code = "nop", .edits = {SET(HOST_IA32_PKRS, BIT64(bit))}},
        };
        static const char *const names[] = {"guest", "host", "guest unused", "host unused"};

        for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
            struct guest_row what = rows[i];

            what.flags = PLAIN_ONLY;
            what.finish = say_own;
            format_text(text, sizeof(text), "%s bit %u", names[i], bit);
            guest_rows("pkrs", &what, 1);
        }
    }
}

static const struct guest_row value_rows[] = {
    {.name = "inherited",
     .code = "rdmsr",
     .edits = {READ, SET(GUEST_IA32_PKRS, 4)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "loaded", .code = "rdmsr", .edits = {READ, LOAD(4)}, .show = {GUEST_IA32_PKRS}},
    {.name = "loaded and written",
     .code = "wrmsr",
     .edits = {WRITE(0x30), LOAD(4)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "inherited and written",
     .code = "wrmsr",
     .edits = {WRITE(0x30)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "host", .code = "rdmsr", .edits = {READ, HOST(0xc0)}, .show = {GUEST_IA32_PKRS}},
    {.name = "both, written",
     .code = "wrmsr",
     .edits = {WRITE(0x30), LOAD(4), HOST(0xc0)},
     .show = {GUEST_IA32_PKRS, HOST_IA32_PKRS}},
    {.name = "both, entered twice",
     .code = "cpuid",
     .steps = 2,
     .edits = {LOAD(4), HOST(0xc0)},
     .show = {GUEST_IA32_PKRS}},
    {.name = "host, failed entry",
     .code = "nop",
     .edits = {LOAD(4), HOST(0xc0), SET(GUEST_RFLAGS, 0)},
     .show = {GUEST_IA32_PKRS}},
};

static void set_own(void) { write_msr(MSR_IA32_PKRS, L1_PKRS); }

static void value_rows_run(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(value_rows); i++) {
        struct guest_row what = value_rows[i];

        what.prepare = set_own;
        what.finish = say_own;
        guest_rows("pkrs", &what, 1);
    }
}

static void area_row(const char *name, u64 value, bool control)
{
    struct vmx_msr_entry *load = (struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD);
    struct vmx_msr_entry *store = (struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_STORE);
    struct vmx_msr_entry *back = (struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_LOAD);

    if (!row(STATE_VMCS, "pkrs.areas %s%s", name, control ? ", controls too" : ""))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("rdmsr");
    set_own();
    *load = (struct vmx_msr_entry){.index = MSR_IA32_PKRS, .value = value};
    *store = (struct vmx_msr_entry){.index = MSR_IA32_PKRS};
    *back = (struct vmx_msr_entry){.index = MSR_IA32_PKRS, .value = 0x300};
    vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
    vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
    vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
    field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
    if (control) {
        field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_IA32_PKRS);
        field_set(VM_EXIT_CONTROLS, VM_EXIT_LOAD_IA32_PKRS);
    }
    exec.gpr[RCX] = MSR_IA32_PKRS;
    guest_run(true);
    say_exec();
    say(" l2 read %x stored %lx", (u32)exec.gpr[RAX], store->value);
    say_own();
    row_end();
}

/* ---- at work */

/* Bochs tells supervisor pages by the entries above the last one. */
static void key_page(void)
{
    *(u64 *)guest_memory(L2_PD) &= ~PTE_U;
    *guest_pte(L2_SPARE) |= PTE_KEY;
    field_set(GUEST_CR4, CR4_PKS);
    vm_write(CR4_READ_SHADOW, vm_read(GUEST_CR4));
}

static const struct guest_row use_rows[] = {
    {.name = "read", .code = "read spare", .edits = {FAULTS, LOAD(NO_ACCESS)}},
    {.name = "read, not to be written", .code = "read spare", .edits = {FAULTS, LOAD(NO_WRITE)}},
    {.name = "write", .code = "write spare", .edits = {FAULTS, LOAD(NO_ACCESS)}},
    {.name = "write, not to be written", .code = "write spare", .edits = {FAULTS, LOAD(NO_WRITE)}},
    {.name = "write, allowed",
     .code = "write spare",
     .edits = {FAULTS, LOAD(~(NO_ACCESS | NO_WRITE))}},
};

/* L1's own keys, for its code and for an operand that an L0 writes. */
static void own_rows(void)
{
    u64 *window = (u64 *)probe_cr3 + (WINDOW_BASE >> 39 & 0x1ff);
    static const struct {
        const char *name;
        u32 pkrs;
    } keys[] = {{"no access", NO_ACCESS}, {"no write", NO_WRITE}, {"all", 0}};
    static const char *const codes[] = {"vmread-mem", "vmptrst"};

    for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
        for (u32 j = 0; j < ARRAY_SIZE(codes); j++) {
            if (!row(STATE_VMCS, "pkrs.l1 %s %s", codes[j], keys[i].name))
                continue;
            *window &= ~PTE_U;
            window_set(0, PTE_P | PTE_W | PTE_A | PTE_D | PTE_KEY);
            write_cr4(standard_cr4 | CR4_PKS);
            write_msr(MSR_IA32_PKRS, keys[i].pkrs);
            exec_clear();
            exec.gpr[RAX] = GUEST_RIP;
            exec.gpr[RCX] = WINDOW_BASE;
            exec_code(codes[j]);
            write_msr(MSR_IA32_PKRS, 0);
            write_cr4(standard_cr4);
            *window |= PTE_U;
            say_exec();
            row_end();
        }
}

void rows_pkrs(void)
{
    static const enum feature needed[] = {FEATURE_ENTRY_LOAD_PKRS, FEATURE_EXIT_LOAD_PKRS};

    for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
        if (!feature_offered(needed[i])) {
            if (row(STATE_OFF, "pkrs.state"))
                row_needs(needed[i]);
            return;
        }
    check_rows();
    value_rows_run();
    for (u32 control = 0; control < 2; control++) {
        area_row("valid", 0x30, control);
        area_row("invalid", BIT64(32), control);
    }
    for (u32 i = 0; i < ARRAY_SIZE(use_rows); i++) {
        struct guest_row what = use_rows[i];

        what.prepare = key_page;
        what.finish = say_own;
        guest_rows("pkrs", &what, 1);
    }
    own_rows();
}
