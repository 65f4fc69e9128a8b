#include "shadow12.h"

#include "bitmaps.h"
#include "capabilities.h"
#include "check.h"
#include "vmcs02.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/panic.h"
#include "../hv/vmcs.h"
#include "../mm/phys.h"

#define ENCODINGS 0x8000u /* that the bitmaps cover; others always exit */

static const u16 encodings[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

/* Those of them that exist for L1. */
static u16 reachable[ARRAY_SIZE(encodings)];
static u32 reachable_count;

void shadow12_init(u8 *absent)
{
    for (u32 i = 0; i < ARRAY_SIZE(encodings); i++) {
        u32 encoding = encodings[i];

        if (!field_exists(&l0.caps, encoding))
            continue;
        reachable[reachable_count++] = (u16)encoding;
        absent[encoding / 8] &= (u8)~BIT(encoding % 8);
        if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64)
            absent[encoding / 8] &= (u8)~BIT(encoding % 8 + 1);
    }
}

static bool uses_shadow(const struct vmcs12 *vmcs12)
{
    return vmcs12_secondary(vmcs12) & SECONDARY_EXEC_SHADOW_VMCS;
}

u64 shadow12_link(const struct cpu *cpu, const struct vmcs02 *slot)
{
    bool linked = uses_shadow(slot->vmcs12) && slot->vmcs12->vmcs_link_pointer != NO_ADDRESS;

    return linked ? cpu->nested.shadow_pa : NO_ADDRESS;
}

static u64 field_size(const struct field_info *field)
{
    switch (field->width) {
    case VMCS_WIDTH_16: return sizeof(u16);
    case VMCS_WIDTH_32: return sizeof(u32);
    default: return sizeof(u64);
    }
}

/* Between the current VMCS and the shadow VMCS in L1's memory. */
static void move_in(u64 link, u32 encoding)
{
    const struct field_info *field = field_lookup(encoding);
    u64 value = 0;

    phys_read(&value, link + field->offset, field_size(field));
    vmwrite(encoding, value);
}

static void move_out(u64 link, u32 encoding)
{
    const struct field_info *field = field_lookup(encoding);
    u64 value = vmread(encoding);

    phys_write(link + field->offset, &value, field_size(field));
}

/* Where a failing VMREAD or VMWRITE leaves its error number is the processor's to know. */
static bool is_error(u32 encoding) { return encoding == VM_INSTRUCTION_ERROR; }

static void merge_bitmap(u64 merged_pa, u64 bitmap12)
{
    u64 *merged = pool_va(merged_pa);

    phys_read(merged, bitmap12, PAGE_SIZE);
    bitmap_merge(merged, pool_va(l0.absent_fields));
}

void shadow12_load(struct cpu *cpu, const struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    const u8 *reads = pool_va(cpu->nested.vmread_bitmap_pa);
    const u8 *writes = pool_va(cpu->nested.vmwrite_bitmap_pa);

    if (!uses_shadow(vmcs12))
        return;
    merge_bitmap(cpu->nested.vmread_bitmap_pa, vmcs12->vmread_bitmap);
    merge_bitmap(cpu->nested.vmwrite_bitmap_pa, vmcs12->vmwrite_bitmap);
    if (vmcs12->vmcs_link_pointer == NO_ADDRESS)
        return;
    vmcs_switch(cpu->nested.shadow_pa);
    for (u32 i = 0; i < reachable_count; i++)
        if (bitmap_lets_field(reads, reachable[i]) || bitmap_lets_field(writes, reachable[i]) ||
            is_error(reachable[i]))
            move_in(vmcs12->vmcs_link_pointer, reachable[i]);
    /* L2 sees the region's data, and this brings them there. */
    vmcs_clear(cpu->nested.shadow_pa);
    vmcs_switch(slot->pa);
}

void shadow12_store(struct cpu *cpu, const struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    const u8 *writes = pool_va(cpu->nested.vmwrite_bitmap_pa);

    if (!uses_shadow(vmcs12) || vmcs12->vmcs_link_pointer == NO_ADDRESS)
        return;
    vmcs_switch(cpu->nested.shadow_pa);
    for (u32 i = 0; i < reachable_count; i++)
        if (bitmap_lets_field(writes, reachable[i]) || is_error(reachable[i]))
            move_out(vmcs12->vmcs_link_pointer, reachable[i]);
    vmcs_switch(slot->pa);
}

/*
 * What L0 added to L1's bitmaps are the fields that do not exist for L1: there L1's own bit
 * decides. Any other exit is due to L1's bit, as it was when L2 was entered.
 */
bool shadow12_exits_to_l1(const struct vmcs12 *vmcs12, u64 encoding, bool write)
{
    u64 bitmap = write ? vmcs12->vmwrite_bitmap : vmcs12->vmread_bitmap;
    u8 byte;

    if (!uses_shadow(vmcs12) || encoding >= ENCODINGS ||
        !bitmap_test(pool_va(l0.absent_fields), (u32)encoding))
        return true;
    phys_read(&byte, bitmap + encoding / 8, sizeof(byte));
    return bitmap_test(&byte, encoding % 8);
}
