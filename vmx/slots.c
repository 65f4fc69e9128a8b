#include "slots.h"

#include "shadow_vmcs.h"
#include "vmcs02.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"
#include "../mm/phys.h"

static struct vmcs02 *find(struct cpu *cpu, u64 vmcs12_pa)
{
    for (u32 i = 0; i < VMCS02_SLOTS; i++)
        if (cpu->nested.slots[i].vmcs12_pa == vmcs12_pa)
            return &cpu->nested.slots[i];
    return NULL;
}

void slots_show_current(struct cpu *cpu)
{
    const struct vmcs02 *current = cpu->nested.current;

    if (!l0.has_shadowing)
        return;
    /* Outside VMX operation VMREAD and VMWRITE must exit, to be #UD. */
    vmcs_change(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS,
                cpu->nested.vmxon ? SECONDARY_EXEC_SHADOW_VMCS : 0);
    vmwrite(VMCS_LINK_POINTER, cpu->nested.vmxon && current ? current->shadow_pa : NO_ADDRESS);
}

void slots_refresh_guest(struct cpu *cpu, struct vmcs02 *slot)
{
    if (!slot->guest_stale)
        return;
    vmcs_switch(slot->pa);
    vmcs02_save_rare_guest(slot);
    vmcs_switch(cpu->vmcs01_pa);
    slot->guest_stale = false;
}

/* Makes vmcs12's copy complete. */
static void refresh_all(struct cpu *cpu, struct vmcs02 *slot)
{
    slots_refresh_guest(cpu, slot);
    if (slot == cpu->nested.current)
        shadow_vmcs_store(cpu, slot);
}

/* To L1's memory, but for the revision and the abort indicator, which are L1's. */
static void write_back(struct cpu *cpu, struct vmcs02 *slot)
{
    const u64 start = offsetof(struct vmcs12, launch_state);

    refresh_all(cpu, slot);
    phys_write(slot->vmcs12_pa + start, &slot->vmcs12->launch_state, sizeof(*slot->vmcs12) - start);
    slot->vmcs12_pa = NO_ADDRESS;
    if (slot == cpu->nested.current)
        cpu->nested.current = NULL;
}

static struct vmcs02 *free_slot(struct cpu *cpu)
{
    struct vmcs02 *oldest = NULL;

    for (u32 i = 0; i < VMCS02_SLOTS; i++) {
        struct vmcs02 *slot = &cpu->nested.slots[i];

        if (slot->vmcs12_pa == NO_ADDRESS)
            return slot;
        if (!oldest || slot->last_used < oldest->last_used)
            oldest = slot;
    }
    write_back(cpu, oldest);
    return oldest;
}

void slots_make_current(struct cpu *cpu, u64 vmcs12_pa, u32 revision)
{
    struct nested *nested = &cpu->nested;
    struct vmcs02 *slot = find(cpu, vmcs12_pa);

    if (nested->current && nested->current != slot)
        shadow_vmcs_store(cpu, nested->current);
    if (!slot) {
        slot = free_slot(cpu);
        slot->vmcs12_pa = vmcs12_pa;
        phys_read(slot->vmcs12, vmcs12_pa, sizeof(*slot->vmcs12));
        slot->vmcs12->revision_id = revision; /* as it was checked: L1 may have changed it */
        slot->controls_dirty = true;
        slot->guest_dirty = true;
        slot->guest_stale = false;
        slot->checked = false;
    }
    slot->last_used = ++nested->use_count;
    if (nested->current == slot)
        return;
    nested->current = slot;
    shadow_vmcs_load(cpu, slot);
    slots_show_current(cpu);
}

void slots_clear(struct cpu *cpu, u64 vmcs12_pa)
{
    struct vmcs02 *slot = find(cpu, vmcs12_pa);
    u32 clear = 0;

    if (!slot) {
        phys_write(vmcs12_pa + offsetof(struct vmcs12, launch_state), &clear, sizeof(clear));
        return;
    }
    slot->vmcs12->launch_state = 0;
    write_back(cpu, slot);
    slots_show_current(cpu);
}

void slots_release(struct cpu *cpu, u64 vmcs12_pa)
{
    struct vmcs02 *slot = vmcs12_pa == NO_ADDRESS ? NULL : find(cpu, vmcs12_pa);

    if (slot && slot != cpu->nested.current)
        write_back(cpu, slot);
}

void slots_flush_all(struct cpu *cpu)
{
    for (u32 i = 0; i < VMCS02_SLOTS; i++)
        if (cpu->nested.slots[i].vmcs12_pa != NO_ADDRESS)
            write_back(cpu, &cpu->nested.slots[i]);
}

void slots_refresh_field(struct cpu *cpu, struct vmcs02 *slot, u32 encoding)
{
    if (VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_GUEST && !shadow_vmcs_writes(encoding))
        slots_refresh_guest(cpu, slot);
    if (shadow_vmcs_has(encoding))
        shadow_vmcs_store(cpu, slot);
}

void slots_field_written(struct cpu *cpu, struct vmcs02 *slot, u32 encoding)
{
    if (!shadow_vmcs_writes(encoding)) {
        slot->guest_dirty |= VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_GUEST;
        slot->controls_dirty |= VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_CONTROL;
        slot->checked &= VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_GUEST;
    }
    if (shadow_vmcs_has(encoding))
        shadow_vmcs_load(cpu, slot);
}
