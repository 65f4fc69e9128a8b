/*
 * L1's sub-page-permission table (SPPT12), walked in software as the processor would walk it. SDM
 * vol. 3, "Sub-Page Write Permissions".
 */
#ifndef PLASTRON_MM_SPPT_H
#define PLASTRON_MM_SPPT_H

#include "types.h"

#define SPPT_VALID     1ull
#define SPPT_ADDR      0x000ffffffffff000ull
#define SPPT_LEVELS    4u
#define SUB_PAGE_SHIFT 7

enum sppt_result {
    SPPT_FOUND,
    SPPT_MISS,          /* an entry is not valid: exit reason 66 */
    SPPT_MISCONFIGURED, /* an entry has a reserved bit: the same, told apart by its qualification */
};

/* *permissions: every second bit, from 0 on, is that of a sub-page of 128 bytes. */
enum sppt_result sppt12_walk(u64 sppt, u64 ngpa, u32 physical_bits, u64 *permissions);

static inline bool sppt_allows(u64 permissions, u64 ngpa)
{
    return permissions >> 2 * (ngpa % PAGE_SIZE >> SUB_PAGE_SHIFT) & 1;
}

static inline u32 sppt_index(u64 ngpa, u32 level)
{
    return ngpa >> (PAGE_SHIFT + 9 * (level - 1)) & 511;
}

#endif
