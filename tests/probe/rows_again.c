/* A second entry with the same VMCS, of which something has changed since the first. */
#include "guest_rows.h"

static bool start(enum guest_mode mode, u32 flags, const char *name)
{
    if (!row(STATE_VMCS, "again.%s", name) || !mode_offered(mode, flags))
        return false;
    guest_setup(mode, flags);
    guest_code("cpuid");
    return true;
}

static void first(void)
{
    guest_run(true);
    say_exec();
    say(" | ");
}

static void second(void)
{
    vm_write(GUEST_RIP, guest_entry);
    guest_run(false);
    say_exec();
}

/* One field bad, and good again. */
static void field_row(const char *name, u32 field, u64 bad)
{
    u64 good;

    if (!start(GUEST_64, 0, name))
        return;
    good = vm_read(field);
    first();
    vm_write(field, bad);
    second();
    say(" | ");
    vm_write(field, good);
    second();
    row_end();
}

static void perf_global_row(void)
{
    if (!start(GUEST_64, 0, "perf global, its control later"))
        return;
    vm_write(GUEST_IA32_PERF_GLOBAL_CTRL, BIT64(63));
    first();
    field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_PERF_GLOBAL_CTRL);
    if (!controls_offered())
        return;
    second();
    row_end();
}

/* PDPTEs that an exit has saved are there, whatever the controls say when they are read. */
static void pdptes_row(void)
{
    static const u32 fields[] = {GUEST_PDPTR0, GUEST_PDPTR1, GUEST_PDPTR2, GUEST_PDPTR3};
    u64 primary, before[ARRAY_SIZE(fields)];
    u32 kept = 0;

    if (!start(GUEST_PAE, WITH_EPT, "pdptes, without secondary controls"))
        return;
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        before[i] = vm_read(fields[i]);
    first();
    primary = vm_read(CPU_BASED_VM_EXEC_CONTROL);
    vm_write(CPU_BASED_VM_EXEC_CONTROL, primary & ~(u64)CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
    vm_clear(arena_address(PAGE_VMCS));
    vm_load(arena_address(PAGE_VMCS));
    vm_write(CPU_BASED_VM_EXEC_CONTROL, primary);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        kept += vm_read(fields[i]) == before[i];
    say("%u kept", kept);
    row_end();
}

void rows_again(void)
{
    field_row("pin controls", PIN_BASED_VM_EXEC_CONTROL, 0);
    field_row("primary controls", CPU_BASED_VM_EXEC_CONTROL, 0);
    field_row("exit controls", VM_EXIT_CONTROLS, 0);
    field_row("entry controls", VM_ENTRY_CONTROLS, 0);
    field_row("cr3 targets", CR3_TARGET_COUNT, 300);
    field_row("host rip", HOST_RIP, BIT64(63));
    field_row("host cr4", HOST_CR4, 0);
    field_row("host fs base", HOST_FS_BASE, BIT64(63));
    field_row("host gs base", HOST_GS_BASE, BIT64(63));
    field_row("host tr selector", HOST_TR_SELECTOR, 0);
    field_row("event", VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | 0x7000);
    field_row("guest rflags", GUEST_RFLAGS, 0);
    field_row("guest cr0", GUEST_CR0, 0);
    field_row("guest activity", GUEST_ACTIVITY_STATE, 77);
    field_row("guest cs access rights", GUEST_CS_AR_BYTES, 0);
    field_row("link pointer", VMCS_LINK_POINTER, 0x10);
    perf_global_row();
    pdptes_row();
}
