#include "command.h"
#include "guest.h"
#include "say.h"
#include "x86.h"
#include "../l0.h"
#include "../../vmx/culprit.h"
#include "../../vmx/direct.h"

/* The field with that number in tables by FIELD_SLOT. */
static u32 field_of_slot(u32 slot)
{
    u32 width = slot / FIELD_INDEX_MAX / 4, type = slot / FIELD_INDEX_MAX % 4;

    return width << 13 | type << 10 | slot % FIELD_INDEX_MAX << 1;
}

/* The current vmcs12 with what lives in vmcs02. */
static void copy_vmcs12(struct cpu *cpu, struct vmcs12 *copy)
{
    *copy = *cpu->nested.current->vmcs12;
    for (u32 slot = 0; slot < FIELD_COUNT; slot++) {
        u32 encoding = field_of_slot(slot);

        if (direct_has(encoding))
            vmcs12_set(copy, field_lookup(encoding), false, l2_field(cpu, encoding));
    }
}

/* The copy is too large for L0's stack; one core has the monitor at a time. */
static void check(struct cpu *cpu)
{
    static struct vmcs12 copy;
    const struct vmcs02 *slot = cpu->nested.current;
    bool l1_long_mode = guest_field(cpu, 1, GUEST_IA32_EFER) & EFER_LMA;
    char text[CULPRIT_TEXT_SIZE];
    struct culprit culprit;

    copy_vmcs12(cpu, &copy);
    culprit_find(&copy, &l0.caps, l1_long_mode, slot->vmcs12_pa, &culprit);
    culprit_text(&culprit, text, sizeof(text));
    say("vmcs12 at %#lx, to be entered by %s\n%s", slot->vmcs12_pa,
        copy.launch_state ? "VMRESUME" : "VMLAUNCH", text);
}

static bool run(struct cpu *cpu, const struct words *words)
{
    if (words->count > 1)
        return false;
    if (cpu->nested.current)
        check(cpu);
    else
        say("no current VMCS: VM entry would fail with VMfailInvalid\n");
    return true;
}

const struct command command_check = {
    .name = "check",
    .arguments = "",
    .summary =
        "whether a VM entry of the current vmcs12 would succeed, and which field it would fail for",
    .details = "Makes the checks of a VM entry (SDM vol. 3, \"VM Entries\") on the current vmcs12 "
               "as it is now,\n"
               "and names the fields that they find wrong, the SDM's first check first. What the "
               "processor\n"
               "alone checks (vmx/check.h says what) is not looked at, nor the MSRs to load.\n",
    .place = THIS_CORE,
    .run = run,
};
