#include "slots.h"

#include "capabilities.h"
#include "direct.h"
#include "vmcs02.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"
#include "../mm/phys.h"

static struct vmcs02 *find(struct cpu *cpu, u64 vmcs12_pa)
{
    struct nested *nested = &cpu->nested;
    u8 *hint = &nested->slot_hints[vmcs12_pa / PAGE_SIZE % VMCS02_HINTS];

    if (nested->slots[*hint]->vmcs12_pa == vmcs12_pa)
        return nested->slots[*hint];
    for (u32 i = 0; i < nested->slot_count; i++) {
        if (nested->slots[i]->vmcs12_pa != vmcs12_pa)
            continue;
        *hint = (u8)i;
        return nested->slots[i];
    }
    return NULL;
}

void slots_add(struct cpu *cpu, struct vmcs02_area *area, u64 pa, u64 msr_bitmap_pa)
{
    struct nested *nested = &cpu->nested;

    area->slot = (struct vmcs02){
        .vmcs12_pa = NO_ADDRESS,
        .vmcs12 = &area->vmcs12,
        .pa = pa,
        .msr_bitmap_pa = msr_bitmap_pa,
        .host = &area->host,
    };
    nested->slots[nested->slot_count++] = &area->slot;
}

/* With pages of the shadow page tables' budget, which the core keeps; NULL if there are none. */
static struct vmcs02 *new_slot(struct cpu *cpu)
{
    struct nested *nested = &cpu->nested;
    u64 pa;

    /* Pages that did not suffice for a slot are there at the next attempt. */
    while (nested->spare_count < ARRAY_SIZE(nested->spare_pages)) {
        pa = nested->slot_count < VMCS02_SLOTS_MAX ? ept02_give_page(&l0.ept02) : 0;
        if (!pa)
            return NULL;
        nested->spare_pages[nested->spare_count++] = pa;
    }
    nested->spare_count = 0;
    pa = nested->spare_pages[0];
    vmcs_init_region(pa, l0.has_shadowing);
    vmcs_clear(pa);
    slots_add(cpu, pool_va(nested->spare_pages[1]), pa, nested->spare_pages[2]);
    return nested->slots[nested->slot_count - 1];
}

void slots_show_current(struct cpu *cpu)
{
    const struct vmcs02 *current = cpu->nested.current;

    if (!l0.has_shadowing)
        return;
    /* Outside VMX operation VMREAD and VMWRITE must exit, to be #UD. */
    vmcs_change(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS,
                cpu->nested.vmxon ? SECONDARY_EXEC_SHADOW_VMCS : 0);
    vmwrite(VMCS_LINK_POINTER, cpu->nested.vmxon && current ? current->pa : NO_ADDRESS);
}

/* To L1's memory, but for the revision and the abort indicator, which are L1's. */
static void write_back(struct cpu *cpu, struct vmcs02 *slot)
{
    const u64 start = offsetof(struct vmcs12, launch_state);

    vmcs_switch(slot->pa);
    vmcs02_save_guest(slot);
    vmcs02_leave(cpu, slot);
    for (u32 i = 0; i < ARRAY_SIZE(slot->written); i++)
        ept02_set_written(&l0.ept02, &slot->written[i], 0);
    phys_write(slot->vmcs12_pa + start, &slot->vmcs12->launch_state, sizeof(*slot->vmcs12) - start);
    slot->vmcs12_pa = NO_ADDRESS;
    if (slot == cpu->nested.current)
        cpu->nested.current = NULL;
}

static struct vmcs02 *free_slot(struct cpu *cpu)
{
    struct vmcs02 *oldest = NULL, *new;

    for (u32 i = 0; i < cpu->nested.slot_count; i++) {
        struct vmcs02 *slot = cpu->nested.slots[i];

        if (slot->vmcs12_pa == NO_ADDRESS)
            return slot;
        if (!oldest || slot->last_used < oldest->last_used)
            oldest = slot;
    }
    new = new_slot(cpu);
    if (new)
        return new;
    write_back(cpu, oldest);
    return oldest;
}

void slots_make_current(struct cpu *cpu, u64 vmcs12_pa, u32 revision)
{
    struct nested *nested = &cpu->nested;
    struct vmcs02 *slot = find(cpu, vmcs12_pa);

    if (!slot) {
        slot = free_slot(cpu);
        slot->vmcs12_pa = vmcs12_pa;
        phys_read(slot->vmcs12, vmcs12_pa, sizeof(*slot->vmcs12));
        slot->vmcs12->revision_id = revision; /* as it was checked: L1 may have changed it */
        slot->controls_dirty = true;
        slot->guest_dirty = true;
        slot->host_dirty = true;
        slot->checked = false;
        vmcs02_take(cpu, slot);
    }
    slot->last_used = ++nested->use_count;
    if (nested->current == slot)
        return;
    nested->current = slot;
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
    for (u32 i = 0; i < cpu->nested.slot_count; i++)
        if (cpu->nested.slots[i]->vmcs12_pa != NO_ADDRESS)
            write_back(cpu, cpu->nested.slots[i]);
}

/* PDPTEs are vmcs12's, but for those that L2 has left: before the field is read or written. */
static void refresh_pdptes(struct cpu *cpu, struct vmcs02 *slot, u32 encoding)
{
    if (!slot->newer_pdptes || VMCS_FIELD_TYPE(encoding) != VMCS_TYPE_GUEST)
        return;
    vmcs_switch(slot->pa);
    vmcs02_save_pdptes(slot);
    vmcs02_leave(cpu, slot);
}

u64 slots_read_field(struct cpu *cpu, struct vmcs02 *slot, u32 encoding,
                     const struct field_info *field)
{
    u64 value;

    if (!direct_has(encoding)) {
        refresh_pdptes(cpu, slot, encoding);
        return vmcs12_get(slot->vmcs12, field, VMCS_FIELD_HIGH(encoding));
    }
    vmcs_switch(slot->pa);
    value = vmread(encoding);
    vmcs02_leave(cpu, slot);
    return value;
}

static void note_written(struct vmcs02 *slot, u32 encoding)
{
    u32 type = VMCS_FIELD_TYPE(encoding);

    if (direct_is_frequent(encoding))
        return;
    /* Which guest state is checked at all is said by these controls. */
    slot->guest_dirty |= type == VMCS_TYPE_GUEST || encoding == VM_ENTRY_CONTROLS;
    slot->host_dirty |= type != VMCS_TYPE_GUEST;
    slot->controls_dirty |= type == VMCS_TYPE_CONTROL;
    slot->checked &= type == VMCS_TYPE_GUEST;
}

void slots_write_field(struct cpu *cpu, struct vmcs02 *slot, u32 encoding,
                       const struct field_info *field, u64 value)
{
    refresh_pdptes(cpu, slot, encoding);
    vmcs12_set(slot->vmcs12, field, VMCS_FIELD_HIGH(encoding), value);
    note_written(slot, encoding);
    if (!direct_has(encoding))
        return;
    vmcs_switch(slot->pa);
    vmwrite(encoding, value);
    vmcs02_leave(cpu, slot);
}
