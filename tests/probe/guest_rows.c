/* Runs tables of guest rows, in each of their modes, with and without EPT and VPID. */
#include "guest_rows.h"

/* Exits after which the guest goes on behind the instruction. */
static bool is_instruction(u32 reason)
{
    return (reason >= EXIT_REASON_CPUID && reason <= EXIT_REASON_MSR_WRITE) ||
           (reason >= EXIT_REASON_MWAIT_INSTRUCTION && reason != EXIT_REASON_MONITOR_TRAP_FLAG &&
            reason != EXIT_REASON_TPR_BELOW_THRESHOLD && reason != EXIT_REASON_APIC_ACCESS &&
            reason != EXIT_REASON_EPT_VIOLATION && reason != EXIT_REASON_EPT_MISCONFIG &&
            reason != EXIT_REASON_PREEMPTION_TIMER && reason != EXIT_REASON_APIC_WRITE);
}

void guest_follow(u32 steps)
{
    guest_run(true);
    for (;;) {
        u32 reason;

        say_exec();
        if (exec.end != EXEC_EXITED || --steps == 0)
            return;
        reason = (u32)vm_read(VM_EXIT_REASON);
        if (reason == EXIT_REASON_VMCALL || reason == EXIT_REASON_TRIPLE_FAULT ||
            reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
            return;
        if (is_instruction(reason))
            guest_skip();
        say(" | ");
        guest_run(false);
    }
}

/* Under the VMCS's own controls, as an L0's tables may depend on them, but with nothing happening.
 */
void guest_touch(void)
{
    static const struct {
        u32 field;
        u64 quiet;
    } fields[] = {
        {GUEST_RFLAGS, RFLAGS_FIXED}, {GUEST_INTERRUPTIBILITY_INFO, 0},
        {GUEST_ACTIVITY_STATE, 0},    {VM_ENTRY_INTR_INFO_FIELD, 0},
        {TPR_THRESHOLD, 0},
    };
    const u64 traps = CPU_BASED_MONITOR_TRAP_FLAG | CPU_BASED_VIRTUAL_INTR_PENDING |
                      CPU_BASED_VIRTUAL_NMI_PENDING;
    u64 pin = vm_read(PIN_BASED_VM_EXEC_CONTROL), proc = vm_read(CPU_BASED_VM_EXEC_CONTROL);
    u64 kept[ARRAY_SIZE(fields)];
    struct exec registers = exec;

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        kept[i] = vm_read(fields[i].field);
        vm_write(fields[i].field, fields[i].quiet);
    }
    field_clear(PIN_BASED_VM_EXEC_CONTROL, PIN_BASED_PREEMPTION_TIMER);
    field_clear(CPU_BASED_VM_EXEC_CONTROL, traps);
    guest_code("touch");
    guest_run(true);
    if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != EXIT_REASON_VMCALL)
        say("touching the guest's memory failed: exit %lu; ", vm_read(VM_EXIT_REASON));
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        vm_write(fields[i].field, kept[i]);
    vm_write(PIN_BASED_VM_EXEC_CONTROL, pin);
    vm_write(CPU_BASED_VM_EXEC_CONTROL, proc);
    vm_write(GUEST_RIP, guest_entry);
    exec = registers;
    /* To be launched again. */
    vm_clear(arena_address(PAGE_VMCS));
    vm_load(arena_address(PAGE_VMCS));
}

static void guest_row_run(const char *group, const struct guest_row *what, enum guest_mode mode,
                          u32 flags)
{
    const char *name = what->name ? what->name : what->code;
    const char *code = what->code ? what->code : what->name;
    struct exec before;

    if (!row(STATE_VMCS, "%s.%s.%s%s", group, name, guest_mode_names[mode],
             flags & WITH_EPT ? ".ept" : "") ||
        !mode_offered(mode, flags))
        return;
    guest_setup(mode, flags);
    for (u32 i = 0; i < ARRAY_SIZE(what->edits); i++)
        edit_apply(&what->edits[i]);
    if (!controls_offered())
        return;
    if (what->flags & TOUCHED)
        guest_touch();
    guest_code(code);
    if (what->prepare)
        what->prepare();
    before = exec;
    guest_follow(what->steps ? what->steps : 1);
    if (exec.end == EXEC_EXITED && !(what->flags & NO_REGISTERS))
        say_changed_registers(&before);
    for (u32 i = 0; i < ARRAY_SIZE(what->show) && what->show[i]; i++)
        say(" %x=%p", what->show[i], (void *)vm_read(what->show[i]));
    if (what->finish)
        what->finish();
    row_end();
}

void guest_rows(const char *group, const struct guest_row *rows, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        u32 modes = rows[i].modes ? rows[i].modes : M64;

        for (u32 mode = 0; mode < GUEST_MODES; mode++) {
            if (!(modes & BIT(mode)))
                continue;
            if (mode != GUEST_REAL && mode != GUEST_FLAT && !(rows[i].flags & EPT_ONLY))
                guest_row_run(group, &rows[i], mode, 0);
            if (!(rows[i].flags & PLAIN_ONLY))
                guest_row_run(group, &rows[i], mode,
                              WITH_EPT | (feature_offered(FEATURE_VPID) ? WITH_VPID : 0));
        }
    }
}
