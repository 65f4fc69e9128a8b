/* Memory types from the MTRRs. */
#include "memtype.h"

#define FIXED_TOP         0x100000ull /* fixed ranges cover the first MiB */
#define FIXED_16K         0x80000ull  /* where the 16K ranges begin */
#define FIXED_4K          0xc0000ull  /* and the 4K ones */
#define DEF_TYPE_RESERVED (~(MTRR_DEF_TYPE_TYPE | MTRR_DEF_TYPE_FIXED | MTRR_DEF_TYPE_ENABLE))
#define BASE_RESERVED     0xf00ull /* bits 11:8 */
#define MASK_RESERVED     0x7ffull /* bits 10:0 */
#define PIECES_MAX                                                                                 \
    1024 /* pieces memtype_range looks at; no set of 16 ranges without                             \
            holes in their masks cuts a range into more */

static u32 variable_count(const struct mtrr_state *state)
{
    u64 count = state->cap & MTRRCAP_COUNT;

    return count < MTRR_VARIABLE_MAX ? (u32)count : MTRR_VARIABLE_MAX;
}

/* The fixed register's index for an MSR number, or -1. */
static int fixed_index(u32 msr)
{
    if (msr == MSR_IA32_MTRR_FIX64K_00000)
        return 0;
    if (msr == MSR_IA32_MTRR_FIX16K_80000 || msr == MSR_IA32_MTRR_FIX16K_A0000)
        return (int)(msr - MSR_IA32_MTRR_FIX16K_80000) + 1;
    if (msr >= MSR_IA32_MTRR_FIX4K_C0000 && msr <= MSR_IA32_MTRR_FIX4K_F8000)
        return (int)(msr - MSR_IA32_MTRR_FIX4K_C0000) + 3;
    return -1;
}

u64 *memtype_msr(struct mtrr_state *state, u32 msr)
{
    u32 variable = msr - MSR_IA32_MTRR_PHYSBASE0;
    int fixed = fixed_index(msr);

    if (msr == MSR_IA32_MTRRCAP)
        return &state->cap;
    if (msr == MSR_IA32_MTRR_DEF_TYPE)
        return &state->def_type;
    if (fixed >= 0)
        return state->cap & MTRRCAP_FIXED ? &state->fixed[fixed] : NULL;
    if (variable >= 2 * variable_count(state))
        return NULL;
    return variable & 1 ? &state->mask[variable / 2] : &state->base[variable / 2];
}

static bool type_valid(const struct mtrr_state *state, u64 type)
{
    return memory_type_valid(type) && (type != MT_WC || (state->cap & MTRRCAP_WC));
}

static bool fixed_valid(const struct mtrr_state *state, u64 value)
{
    for (u32 shift = 0; shift < 64; shift += 8)
        if (!type_valid(state, value >> shift & 0xff))
            return false;
    return true;
}

bool memtype_write_valid(u32 msr, u64 value, const struct mtrr_state *state, u32 physical_bits)
{
    u64 beyond = ~(BIT64(physical_bits) - 1);

    if (msr == MSR_IA32_MTRRCAP)
        return false;
    if (msr == MSR_IA32_MTRR_DEF_TYPE)
        return !(value & DEF_TYPE_RESERVED) && type_valid(state, value & MTRR_DEF_TYPE_TYPE);
    if (fixed_index(msr) >= 0)
        return (state->cap & MTRRCAP_FIXED) && fixed_valid(state, value);
    if (msr - MSR_IA32_MTRR_PHYSBASE0 >= 2 * variable_count(state))
        return false;
    if (msr & 1)
        return !(value & (beyond | MASK_RESERVED));
    return !(value & (beyond | BASE_RESERVED)) && type_valid(state, value & 0xff);
}

/* Bytes that one field of a fixed register covers at pa, which is below FIXED_TOP. */
static u64 fixed_granule(u64 pa)
{
    if (pa < FIXED_16K)
        return 0x10000;
    return pa < FIXED_4K ? 0x4000 : 0x1000;
}

static enum memory_type fixed_type(const struct mtrr_state *state, u64 pa)
{
    u64 field; /* counted through all 88 of them */

    if (pa < FIXED_16K)
        field = pa / 0x10000;
    else if (pa < FIXED_4K)
        field = 8 + (pa - FIXED_16K) / 0x4000;
    else
        field = 24 + (pa - FIXED_4K) / 0x1000;
    return (enum memory_type)(state->fixed[field / 8] >> (field % 8 * 8) & 0xff);
}

static bool fixed_enabled(const struct mtrr_state *state)
{
    return (state->cap & MTRRCAP_FIXED) && (state->def_type & MTRR_DEF_TYPE_FIXED);
}

/*
 * What overlapping ranges make of an address that one more range covers: UC wins, WT wins over
 * WB, equals stay, and every other pair is undefined. SDM vol. 3, "MTRR Precedences". UC is what
 * L0 takes for the undefined ones: safe for whatever is there.
 */
static int overlay(int so_far, int type)
{
    if (so_far == MEMTYPE_MIXED || so_far == type)
        return type;
    if ((so_far == MT_WT && type == MT_WB) || (so_far == MT_WB && type == MT_WT))
        return MT_WT;
    return MT_UC;
}

/*
 * The type of a piece by the variable ranges and the default type alone. False if a range covers
 * only a part of the piece and that may make a difference.
 */
static bool variable_type(const struct mtrr_state *state, u64 pa, u64 size, int *type)
{
    u32 count = variable_count(state);
    int covered = MEMTYPE_MIXED; /* none so far */
    u32 partial = 0;             /* set of the types that cover a part */

    for (u32 i = 0; i < count; i++) {
        u64 mask = state->mask[i] & PTE_ADDR;
        int range_type = (int)(state->base[i] & 7);

        if (!(state->mask[i] & MTRR_PHYSMASK_VALID))
            continue;
        if ((pa ^ state->base[i]) & mask & ~(size - 1))
            continue; /* nowhere in the piece */
        if (mask & (size - 1))
            partial |= BIT(range_type);
        else
            covered = overlay(covered, range_type);
    }
    *type = covered == MEMTYPE_MIXED ? (int)(state->def_type & 7) : covered;
    if (covered == MT_UC)
        return true;
    /* With nothing underneath, the default type is what the partial ranges may equal. */
    return (partial & ~BIT(*type)) == 0;
}

/* memtype_range() for one piece; *pieces is what is left of PIECES_MAX. */
static int piece_type(const struct mtrr_state *state, u64 pa, u64 size, u32 *pieces)
{
    int low, high;

    if (*pieces == 0)
        return MEMTYPE_MIXED;
    (*pieces)--;
    if (fixed_enabled(state) && pa < FIXED_TOP) {
        if (size <= fixed_granule(pa))
            return (int)fixed_type(state, pa);
    } else if (variable_type(state, pa, size, &low)) {
        return low;
    }
    low = piece_type(state, pa, size / 2, pieces);
    if (low == MEMTYPE_MIXED)
        return MEMTYPE_MIXED;
    high = piece_type(state, pa + size / 2, size / 2, pieces);
    return high == low ? low : MEMTYPE_MIXED;
}

int memtype_range(const struct mtrr_state *state, u64 pa, u64 size)
{
    u32 pieces = PIECES_MAX;

    if (!(state->def_type & MTRR_DEF_TYPE_ENABLE))
        return MT_UC;
    return piece_type(state, pa, size, &pieces);
}
