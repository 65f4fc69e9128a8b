/* VMCSs: vmcs, vmcs12. */
#include "guest_commands.h"
#include "monitor.h"
#include "say.h"
#include "../vmcs_names.h"

static bool parse_vmcs(const char *text, enum guest_vmcs *vmcs)
{
    if (text_equal(text, "01"))
        *vmcs = GUEST_VMCS01;
    else if (text_equal(text, "12"))
        *vmcs = GUEST_VMCS12;
    else if (text_equal(text, "02"))
        *vmcs = GUEST_VMCS02;
    else
        return false;
    return true;
}

static bool run_vmcs(struct cpu *cpu, const struct words *words)
{
    const char *pattern = words->count > 2 ? words->word[2] : "";
    enum guest_vmcs vmcs;
    bool any = false;

    if (words->count < 2 || words->count > 3 || !parse_vmcs(words->word[1], &vmcs))
        return false;
    if (vmcs != GUEST_VMCS01 && !demand_guest(cpu, 2))
        return true;
    for (u32 i = 0; i < vmcs_field_count; i++) {
        if (!text_pattern(vmcs_fields[i].name, pattern))
            continue;
        any = true;
        say_field(cpu, vmcs, vmcs_fields[i].encoding);
    }
    if (!any)
        say("no field has \"%s\" in its name\n", pattern);
    return true;
}

static const char *const vmcs_choices[] = {"01", "12", "02", NULL};

const struct command command_vmcs = {
    .name = "vmcs",
    .arguments = "01|12|02 [PATTERN]",
    .summary = "fields of a VMCS, with what they say in words",
    .details =
        "01: what runs L1. 12: the current VMCS of L1, as its VMREAD has it. 02: what runs it.\n"
        "PATTERN: a part of the fields' names, * for anything: vmcs 12 guest_cs, vmcs 02 *ctl*.\n",
    .place = THIS_CORE,
    .run = run_vmcs,
    .choices = vmcs_choices,
};

static void say_slots(struct cpu *cpu, void *argument)
{
    u32 *known = argument;

    for (u32 i = 0; i < cpu->nested.slot_count; i++) {
        const struct vmcs02 *slot = cpu->nested.slots[i];

        if (slot->vmcs12_pa == NO_ADDRESS)
            continue;
        ++*known;
        say("core %u  vmcs12 %#lx  %s%s  vmcs02 %s\n", cpu->index, slot->vmcs12_pa,
            slot->vmcs12->launch_state ? "launched" : "clear",
            slot == cpu->nested.current ? ", current" : "",
            slot->checked ? "ready" : "to be checked");
    }
    if (!cpu->nested.current)
        say("core %u  no current VMCS; VMX operation %s\n", cpu->index,
            cpu->nested.vmxon ? "on" : "off");
}

static bool run_vmcs12(struct cpu *none, const struct words *words)
{
    u32 known = 0;

    (void)none;
    if (words->count != 2 || !text_equal(words->word[1], "list"))
        return false;
    for (u32 i = 0; i < cpu_count; i++)
        monitor_run_on(i, say_slots, &known);
    say("%u known; one that L1 has cleared, or that was not used for long, is in L1's memory "
        "alone\n",
        known);
    return true;
}

static const char *const vmcs12_choices[] = {"list", NULL};

const struct command command_vmcs12 = {
    .name = "vmcs12",
    .arguments = "list",
    .summary = "every VMCS of L1 that a core knows, its launch state, the current one",
    .details = "",
    .place = ANY_CORE,
    .run = run_vmcs12,
    .choices = vmcs12_choices,
};
