#include "direct.h"

#include "capabilities.h"
#include "lib.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"

u8 direct_kind[FIELD_COUNT];

static void note(const u16 *fields, u32 count, u8 kind)
{
    for (u32 i = 0; i < count; i++)
        if (field_exists(&l0.caps, fields[i]))
            direct_kind[FIELD_SLOT(fields[i])] |= kind;
}

#define X(field, member) field,
static const u16 often[] = {DIRECT_OFTEN(X)};
static const u16 seldom[] = {DIRECT_SELDOM(X)};
static const u16 left_by_exits[] = {DIRECT_INFORMATION(X) DIRECT_ADDRESS(X)};
#undef X
static const u16 not_direct[] = {CPU_BASED_VM_EXEC_CONTROL}; /* but frequent */

void direct_init(void)
{
    memset(direct_kind, 0, sizeof(direct_kind));
    note(often, ARRAY_SIZE(often), DIRECT_LIVES_THERE | DIRECT_IS_FREQUENT);
    note(seldom, ARRAY_SIZE(seldom), DIRECT_LIVES_THERE);
    if (l0.has_shadowing)
        note(left_by_exits, ARRAY_SIZE(left_by_exits), DIRECT_LIVES_THERE);
    note(not_direct, ARRAY_SIZE(not_direct), DIRECT_IS_FREQUENT);
}

static void clear_bit(u8 *bitmap, u32 bit) { bitmap[bit / 8] &= (u8)~BIT(bit % 8); }

static void clear_bits(u8 *bitmap, const u16 *fields, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (direct_has(fields[i]))
            clear_bit(bitmap, fields[i]);
}

void direct_fill_bitmaps(u8 *vmread_bitmap, u8 *vmwrite_bitmap)
{
    clear_bits(vmread_bitmap, often, ARRAY_SIZE(often));
    clear_bits(vmread_bitmap, seldom, ARRAY_SIZE(seldom));
    clear_bits(vmread_bitmap, left_by_exits, ARRAY_SIZE(left_by_exits));
    clear_bits(vmwrite_bitmap, often, ARRAY_SIZE(often));
}

void direct_load(const struct vmcs12 *vmcs12)
{
#define X(field, member)                                                                           \
    if (direct_has(field))                                                                         \
        vmwrite_basic(field, vmcs12->member);
    DIRECT_FIELDS(X)
#undef X
}

void direct_save(struct vmcs12 *vmcs12)
{
#define X(field, member)                                                                           \
    if (direct_has(field))                                                                         \
        vmcs12->member = (__typeof__(vmcs12->member))vmread_basic(field);
    DIRECT_FIELDS(X)
#undef X
}
