#include "sppt.h"

#include "phys.h"

#define LEAF_RESERVED 0xaaaaaaaaaaaaaaaaull /* the odd bits */

enum sppt_result sppt12_walk(u64 sppt, u64 ngpa, u32 physical_bits, u64 *permissions)
{
    u64 reserved = ~(SPPT_ADDR & (BIT64(physical_bits) - 1)) & ~SPPT_VALID;
    u64 entry;

    for (u32 level = SPPT_LEVELS; level > 1; level--) {
        entry = phys_read64(sppt + sppt_index(ngpa, level) * sizeof(entry));
        if (!(entry & SPPT_VALID))
            return SPPT_MISS;
        if (entry & reserved)
            return SPPT_MISCONFIGURED;
        sppt = entry & SPPT_ADDR;
    }
    *permissions = phys_read64(sppt + sppt_index(ngpa, 1) * sizeof(entry));
    return *permissions & LEAF_RESERVED ? SPPT_MISCONFIGURED : SPPT_FOUND;
}
