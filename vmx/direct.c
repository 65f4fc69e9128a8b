#include "direct.h"

#include "capabilities.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"

enum direct {
#define X(field, member) DIRECT_##field,
    DIRECT_FIELDS(X)
#undef X
        DIRECT_COUNT
};

static bool present[DIRECT_COUNT];

void direct_init(void)
{
#define X(field, member) present[DIRECT_##field] = field_exists(&l0.caps, field);
    DIRECT_OFTEN(X)
    DIRECT_SELDOM(X)
#undef X
#define X(field, member)                                                                           \
    present[DIRECT_##field] = l0.has_shadowing && field_exists(&l0.caps, field);
    DIRECT_INFORMATION(X)
    DIRECT_ADDRESS(X)
#undef X
}

static void clear_bit(u8 *bitmap, u32 bit) { bitmap[bit / 8] &= (u8)~BIT(bit % 8); }

void direct_fill_bitmaps(u8 *vmread_bitmap, u8 *vmwrite_bitmap)
{
#define X(field, member)                                                                           \
    if (present[DIRECT_##field])                                                                   \
        clear_bit(vmread_bitmap, field);
    DIRECT_FIELDS(X)
#undef X
#define X(field, member)                                                                           \
    if (present[DIRECT_##field])                                                                   \
        clear_bit(vmwrite_bitmap, field);
    DIRECT_OFTEN(X)
#undef X
}

bool direct_has(u32 encoding)
{
    switch (encoding & ~1u) {
#define X(field, member)                                                                           \
    case field: return present[DIRECT_##field];
        DIRECT_FIELDS(X)
#undef X
    default: return false;
    }
}

bool direct_is_frequent(u32 encoding)
{
    switch (encoding & ~1u) {
#define X(field, member) case field:
        DIRECT_OFTEN(X)
#undef X
    case CPU_BASED_VM_EXEC_CONTROL: return true;
    default: return false;
    }
}

void direct_load(const struct vmcs12 *vmcs12)
{
#define X(field, member)                                                                           \
    if (present[DIRECT_##field])                                                                   \
        vmwrite_basic(field, vmcs12->member);
    DIRECT_FIELDS(X)
#undef X
}

void direct_save(struct vmcs12 *vmcs12)
{
#define X(field, member)                                                                           \
    if (present[DIRECT_##field])                                                                   \
        vmcs12->member = (__typeof__(vmcs12->member))vmread_basic(field);
    DIRECT_FIELDS(X)
#undef X
}
