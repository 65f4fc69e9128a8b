#include "bitmaps.h"

#include "vmcs_fields.h"

void bitmap_merge(u64 *merged, const u64 *own)
{
    for (u32 i = 0; i < PAGE_SIZE / sizeof(*merged); i++)
        merged[i] |= own[i];
}

bool bitmap_lets_field(const u8 *bitmap, u32 encoding)
{
    u32 accesses = VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64 ? 3 : 1;

    return ~(u32)bitmap[encoding / 8] >> encoding % 8 & accesses;
}
