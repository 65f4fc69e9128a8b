/* VM-entry checks on the host-state area, SDM vol. 3, 27.2.2 to 27.2.4. */
#include "guest_rows.h"

static void host_row(const char *what, u32 field, u64 value)
{
    if (!row(STATE_VMCS, "host.%s", what))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("nop");
    vm_write(field, value);
    guest_run(true);
    say_exec();
    row_end();
}

/* Each bit of a register the other way; what the entry accepts, the exit loads. */
static void host_bit_rows(const char *name, u32 field, u64 normal, u64 bits)
{
    char text[64];

    for (u32 bit = 0; bit < 64; bit++) {
        if (!(bits >> bit & 1))
            continue;
        format_text(text, sizeof(text), "%s bit %u", name, bit);
        host_row(text, field, normal ^ BIT64(bit));
    }
}

static void host_selector_rows(void)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "tr"};
    static const u16 values[] = {0, 1, 2, 3, 4, 7};
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        for (u32 j = 0; j < ARRAY_SIZE(values); j++) {
            u16 base = values[j] ? (u16)(i == 1 ? SEL_CODE64 : i == 6 ? SEL_TSS : SEL_DATA) : 0;

            format_text(text, sizeof(text), "%s selector %x", names[i], base | values[j]);
            host_row(text, HOST_ES_SELECTOR + 2 * i, base | values[j]);
        }
}

static void host_canonical_rows(void)
{
    static const struct {
        const char *name;
        u32 field;
    } fields[] = {
        {"fs base", HOST_FS_BASE},
        {"gs base", HOST_GS_BASE},
        {"tr base", HOST_TR_BASE},
        {"gdtr base", HOST_GDTR_BASE},
        {"idtr base", HOST_IDTR_BASE},
        {"sysenter esp", HOST_IA32_SYSENTER_ESP},
        {"sysenter eip", HOST_IA32_SYSENTER_EIP},
        {"rip", HOST_RIP},
    };
    static const u64 values[] = {0x0000800000000000, 0xffff7fffffffffff, 0x8000000000000000,
                                 0x00ff000000000000};
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        for (u32 j = 0; j < ARRAY_SIZE(values); j++) {
            format_text(text, sizeof(text), "%s %lx", fields[i].name, values[j]);
            host_row(text, fields[i].field, values[j]);
        }
}

#define LOAD_EFER EXIT(VM_EXIT_LOAD_IA32_EFER)
#define LOAD_PAT  EXIT(VM_EXIT_LOAD_IA32_PAT)
#define GOOD_PAT  0x0007040600070406ull
#define GOOD_EFER (EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE)

static const struct guest_row msr_state_rows[] = {
    {.name = "efer good", .code = "nop", .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER)}},
    {.name = "efer lma only", .code = "nop", .edits = {LOAD_EFER, SET(HOST_IA32_EFER, EFER_LMA)}},
    {.name = "efer lme only", .code = "nop", .edits = {LOAD_EFER, SET(HOST_IA32_EFER, EFER_LME)}},
    {.name = "efer zero", .code = "nop", .edits = {LOAD_EFER, SET(HOST_IA32_EFER, 0)}},
    {.name = "efer bit 1", .code = "nop", .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER | 2)}},
    {.name = "efer bit 9",
     .code = "nop",
     .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER | 0x200)}},
    {.name = "efer bit 12",
     .code = "nop",
     .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER | 0x1000)}},
    {.name = "efer bit 32",
     .code = "nop",
     .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER | BIT64(32))}},
    {.name = "efer bit 63",
     .code = "nop",
     .edits = {LOAD_EFER, SET(HOST_IA32_EFER, GOOD_EFER | BIT64(63))}},
    {.name = "efer unused", .code = "nop", .edits = {SET(HOST_IA32_EFER, ~0ull)}},
    {.name = "pat good", .code = "nop", .edits = {LOAD_PAT, SET(HOST_IA32_PAT, GOOD_PAT)}},
    {.name = "pat type 2 in 0", .code = "nop", .edits = {LOAD_PAT, SET(HOST_IA32_PAT, 2)}},
    {.name = "pat type 3 in 7", .code = "nop", .edits = {LOAD_PAT, SET(HOST_IA32_PAT, 3ull << 56)}},
    {.name = "pat type 8 in 3", .code = "nop", .edits = {LOAD_PAT, SET(HOST_IA32_PAT, 8ull << 24)}},
    {.name = "pat type 80 in 5",
     .code = "nop",
     .edits = {LOAD_PAT, SET(HOST_IA32_PAT, 0x80ull << 40)}},
    {.name = "pat unused", .code = "nop", .edits = {SET(HOST_IA32_PAT, ~0ull)}},
    {.name = "perf global good",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_LOAD_PERF_GLOBAL_CTRL), SET(HOST_IA32_PERF_GLOBAL_CTRL, 0)}},
    {.name = "perf global bit 63",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_LOAD_PERF_GLOBAL_CTRL), SET(HOST_IA32_PERF_GLOBAL_CTRL, BIT64(63))}},
};

/* Each bit of an MSR that the exit loads, the other way. */
static void msr_bit_rows(const char *name, u32 field, u64 normal, u32 control)
{
    char text[64];

    for (u32 bit = 0; bit < 64; bit++) {
        struct guest_row what = {
            .name = text,
            .code = "nop",
            .flags = PLAIN_ONLY,
            .edits = {EXIT(control), SET(field, normal ^ BIT64(bit))},
        };

        format_text(text, sizeof(text), "%s flip %u", name, bit);
        guest_rows("host", &what, 1);
    }
}

/* What an exit loads into the host, read back afterwards. */
static void host_loaded_rows(void)
{
    if (row(STATE_VMCS, "host-loaded.segments and tables")) {
        struct {
            u16 limit;
            u64 base;
        } __attribute__((packed)) gdtr, idtr;
        u16 es, fs, tr, ldt;

        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(HOST_ES_SELECTOR, 0);
        vm_write(HOST_FS_SELECTOR, 0);
        vm_write(HOST_FS_BASE, 0x123456789abc);
        vm_write(HOST_GS_BASE, 0xffff800012345678);
        guest_run(true);
        __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
        __asm__ volatile("mov %%es, %0; mov %%fs, %1; str %2; sldt %3"
                         : "=r"(es), "=r"(fs), "=r"(tr), "=r"(ldt));
        say("gdt %x %u idt %x %u es %x fs %x tr %x ldt %x fsbase %lx gsbase %lx", gdtr.limit,
            gdtr.base == (u64)gdt, idtr.limit, idtr.base == idt_address(), es, fs, tr, ldt,
            read_msr(MSR_IA32_FS_BASE), read_msr(MSR_IA32_GS_BASE));
        row_end();
    }
    if (row(STATE_VMCS, "host-loaded.msrs")) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(HOST_IA32_SYSENTER_CS, 0x1234);
        vm_write(HOST_IA32_SYSENTER_ESP, 0xffff800000001111);
        vm_write(HOST_IA32_SYSENTER_EIP, 0x2222);
        guest_run(true);
        say("%lx %lx %lx efer %lx debugctl %lx", read_msr(MSR_IA32_SYSENTER_CS),
            read_msr(MSR_IA32_SYSENTER_ESP), read_msr(MSR_IA32_SYSENTER_EIP),
            read_msr(MSR_IA32_EFER), read_msr(MSR_IA32_DEBUGCTL));
        row_end();
    }
    if (row(STATE_VMCS, "host-loaded.registers")) {
        u64 dr7;

        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(GUEST_DR7, 0x700);
        vm_write(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_CF | RFLAGS_DF | RFLAGS_OF);
        vm_write(HOST_CR0, standard_cr0 | CR0_AM | CR0_TS);
        vm_write(HOST_CR4, standard_cr4 | CR4_PGE);
        guest_run(true);
        __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
        say("rflags %lx dr7 %lx cr0 %lx cr4 %lx cr3 %u", exec.rflags, dr7, read_cr0(), read_cr4(),
            read_cr3() == probe_cr3);
        row_end();
    }
    if (row(STATE_VMCS, "host-loaded.pat and efer") && row_needs(FEATURE_EXIT_LOAD_PAT) &&
        row_needs(FEATURE_EXIT_LOAD_EFER)) {
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        field_set(VM_EXIT_CONTROLS, VM_EXIT_LOAD_IA32_PAT | VM_EXIT_LOAD_IA32_EFER);
        vm_write(HOST_IA32_PAT, 0x0001040500010406);
        vm_write(HOST_IA32_EFER, EFER_LMA | EFER_LME);
        guest_run(true);
        say("pat %lx efer %lx", read_msr(MSR_IA32_PAT), read_msr(MSR_IA32_EFER));
        row_end();
    }
    if (row(STATE_VMCS, "host-loaded.dirty guest")) {
        /* What the guest leaves in MSRs that VMX saves and loads must not stay. */
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(GUEST_SYSENTER_CS, 0x55);
        vm_write(GUEST_FS_BASE, 0x1111);
        vm_write(GUEST_IA32_DEBUGCTL, 0);
        guest_run(true);
        say("%lx %lx", read_msr(MSR_IA32_SYSENTER_CS), read_msr(MSR_IA32_FS_BASE));
        row_end();
    }
}

void rows_host_state(void)
{
    host_bit_rows("cr0", HOST_CR0, standard_cr0, ~(u64)CR0_PG & 0xffffffff1fffffff);
    host_bit_rows("cr0", HOST_CR0, standard_cr0, CR0_PG);
    host_bit_rows("cr4", HOST_CR4, standard_cr4, ~(CR4_SMEP | CR4_SMAP | CR4_LA57));
    host_bit_rows("cr3", HOST_CR3, probe_cr3, ~0ull << physical_bits);
    host_selector_rows();
    host_canonical_rows();
    for (u32 i = 0; i < ARRAY_SIZE(msr_state_rows); i++) {
        struct guest_row what = msr_state_rows[i];

        what.flags |= PLAIN_ONLY;
        guest_rows("host", &what, 1);
    }
    msr_bit_rows("pat", HOST_IA32_PAT, GOOD_PAT, VM_EXIT_LOAD_IA32_PAT);
    msr_bit_rows("efer", HOST_IA32_EFER, GOOD_EFER, VM_EXIT_LOAD_IA32_EFER);
    msr_bit_rows("perf global", HOST_IA32_PERF_GLOBAL_CTRL, 0, VM_EXIT_LOAD_PERF_GLOBAL_CTRL);
    host_loaded_rows();
}
