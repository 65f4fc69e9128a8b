/* The walk of L1's EPT for L2, and what EPT02 makes of it. */
#include "ept12.h"

#include "phys.h"
#include "x86.h"

#define LEVELS_MAX             5
#define INDEX_BITS             9
#define INDEX_MASK             0x1ffull
#define EPTP_WALK_LENGTH_SHIFT 3
#define EPTP_WALK_LENGTH_MASK  7ull

static u32 level_shift(u32 level) { return PAGE_SHIFT + INDEX_BITS * (level - 1); }

static bool maps_page(u64 entry, u32 level, const struct ept12_caps *caps)
{
    if (level == 1)
        return true;
    if (!(entry & EPT_LARGE))
        return false;
    return (level == 2 && caps->has_2m) || (level == 3 && caps->has_1g);
}

/* Reserved bits of a present entry. SDM vol. 3, the formats of EPT paging-structure entries. */
static u64 reserved_bits(u32 level, bool page, const struct ept12_caps *caps)
{
    u64 beyond = EPT_ADDR & ~(BIT64(caps->physical_bits) - 1);

    if (!page) /* bit 7 of an entry that could have been a page is 0 then, or not supported */
        return beyond | EPT_MEMORY_TYPE | EPT_IGNORE_PAT | EPT_LARGE;
    return beyond | (EPT_ADDR & (BIT64(level_shift(level)) - 1));
}

/* SDM vol. 3, "EPT Misconfigurations". */
static bool misconfigured(u64 entry, u32 level, const struct ept12_caps *caps)
{
    bool page = maps_page(entry, level, caps);

    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return true;
    if (!(entry & EPT_READ) && !caps->execute_only)
        return true; /* present but not readable: it can be executed */
    if (entry & reserved_bits(level, page, caps))
        return true;
    return page && !memory_type_valid((entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT);
}

static u64 read_entry(u64 table, u64 ngpa, u32 level)
{
    return phys_read64(table + (ngpa >> level_shift(level) & INDEX_MASK) * sizeof(u64));
}

static void fill_page(struct ept12_translation *out, u64 entry)
{
    out->size_shift = level_shift(out->level);
    out->gpa = entry & EPT_ADDR;
    out->memory_type = (u32)((entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT);
    out->ignore_pat = entry & EPT_IGNORE_PAT;
}

enum ept12_result ept12_walk(u64 eptp12, u64 ngpa, const struct ept12_caps *caps,
                             struct ept12_translation *out)
{
    u64 table = eptp12 & EPT_ADDR;
    u64 rights = EPT_RWX;
    u64 entry;

    *out = (struct ept12_translation){0};
    out->level = (u32)(eptp12 >> EPTP_WALK_LENGTH_SHIFT & EPTP_WALK_LENGTH_MASK) + 1;
    if (out->level > LEVELS_MAX || ngpa >> level_shift(out->level + 1))
        return EPT12_VIOLATION; /* more address than the tables cover */
    for (;; out->level--) {
        entry = read_entry(table, ngpa, out->level);
        if (!(entry & EPT_RWX))
            return EPT12_VIOLATION;
        if (misconfigured(entry, out->level, caps))
            return EPT12_MISCONFIGURED;
        rights &= entry;
        if (maps_page(entry, out->level, caps))
            break;
        table = entry & EPT_ADDR;
    }
    fill_page(out, entry);
    out->rights = rights;
    return EPT12_TRANSLATED;
}

bool ept_compose(const struct ept12_translation *translation, u64 ngpa, u64 ept01_entry,
                 u32 ept01_level, u32 max_level, u64 *leaf, u32 *level)
{
    u64 rights = translation->rights & ept01_entry;
    u64 size;

    if (!rights)
        return false;
    *level = translation->level;
    if (ept01_level < *level)
        *level = ept01_level;
    if (max_level < *level)
        *level = max_level;
    size = BIT64(level_shift(*level));
    /*
     * The memory type is EPT12's alone. On the bare machine an access of L2 takes its type from
     * the EPT entry and L2's PAT; the MTRRs have no part in it (SDM vol. 3, "Memory Type Used
     * for Translated Guest-Physical Addresses"). EPT01's type only carries the MTRRs to L1's own
     * accesses, and does not limit what L1 says in its EPT.
     */
    *leaf = align_down(ept12_address(translation, ngpa), size) | rights;
    *leaf |= (u64)translation->memory_type << EPT_MEMORY_TYPE_SHIFT;
    if (translation->ignore_pat)
        *leaf |= EPT_IGNORE_PAT;
    if (*level > 1)
        *leaf |= EPT_LARGE;
    return true;
}
