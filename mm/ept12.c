/* The walk of L1's EPT for L2. */
#include "ept12.h"

#include "phys.h"
#include "x86.h"

#define LOG_ENTRIES 512
#define INDEX_BITS  9
#define INDEX_MASK  0x1ffull

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

/* SDM vol. 3, "EPT Misconfigurations". `page`: see maps_page(). */
static bool misconfigured(u64 entry, u32 level, bool page, const struct ept12_caps *caps)
{
    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return true;
    if (!(entry & EPT_READ) && !caps->execute_only)
        return true; /* present but not readable: it can be executed */
    if (entry & reserved_bits(level, page, caps))
        return true;
    return page && !memory_type_valid((entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT);
}

bool ept12_is_page(u64 entry, u32 level, const struct ept12_caps *caps)
{
    return maps_page(entry, level, caps) && !misconfigured(entry, level, true, caps);
}

static u64 entry_address(u64 table, u64 ngpa, u32 level)
{
    return table + (ngpa >> level_shift(level) & INDEX_MASK) * sizeof(u64);
}

u32 ept12_levels(u64 eptp12) { return (u32)((eptp12 & EPTP_WALK_LENGTH) >> 3) + 1; }

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
    u64 rights = EPT_RWX | (eptp12 & EPT12_MODE_BASED ? EPT_EXEC_USER : 0);
    u64 present = rights;
    u64 entry;
    bool page;

    out->level = ept12_levels(eptp12);
    out->rights = 0;
    out->convertible = false;
    if (out->level > EPT12_LEVELS_MAX || ngpa >> level_shift(out->level + 1))
        return EPT12_VIOLATION; /* more address than the tables cover */
    for (;; out->level--) {
        u64 pa = entry_address(table, ngpa, out->level);

        entry = phys_read64(pa);
        out->path[out->level - 1].pa = pa;
        out->path[out->level - 1].entry = entry;
        out->convertible = !(entry & EPT_SUPPRESS_VE);
        if (!(entry & present))
            return EPT12_VIOLATION;
        page = maps_page(entry, out->level, caps);
        if (misconfigured(entry, out->level, page, caps))
            return EPT12_MISCONFIGURED;
        rights &= entry;
        if (page)
            break;
        table = entry & EPT_ADDR;
    }
    fill_page(out, entry);
    out->rights = rights;
    return EPT12_TRANSLATED;
}

/* The flags that an access has to set in the entry of a level. */
static u64 flags_due(const struct ept12_translation *translation, u32 level, bool write)
{
    u64 flags = EPT_ACCESSED | (write && level == translation->level ? EPT_DIRTY : 0);

    return flags & ~translation->path[level - 1].entry;
}

static u64 any_flags_due(const struct ept12_translation *translation, u32 levels, bool write)
{
    u64 due = 0;

    for (u32 level = levels; level >= translation->level; level--)
        due |= flags_due(translation, level, write);
    return due;
}

bool ept12_has_flags(u64 eptp12, bool write, const struct ept12_translation *translation)
{
    return !(eptp12 & EPTP_AD) || !any_flags_due(translation, ept12_levels(eptp12), write);
}

static void log_page(struct ept12_log *log, u64 ngpa)
{
    u64 page = align_down(ngpa, PAGE_SIZE);

    phys_write(log->page + log->index * sizeof(page), &page, sizeof(page));
    log->index--;
}

enum ept12_result ept12_set_flags(u64 eptp12, u64 ngpa, bool write, struct ept12_log *log,
                                  struct ept12_translation *translation)
{
    u32 levels = ept12_levels(eptp12);
    u64 due;

    if (ept12_has_flags(eptp12, write, translation))
        return EPT12_TRANSLATED;
    due = any_flags_due(translation, levels, write);
    if (due && log->enabled && log->index >= LOG_ENTRIES)
        return EPT12_LOG_FULL;
    for (u32 level = levels; due && level >= translation->level; level--) {
        u64 flags = flags_due(translation, level, write);

        if (flags && !phys_set_flags(translation->path[level - 1].pa,
                                     translation->path[level - 1].entry, flags))
            return EPT12_CHANGED;
        translation->path[level - 1].entry |= flags;
    }
    if (log->enabled && (due & EPT_DIRTY))
        log_page(log, ngpa);
    return EPT12_TRANSLATED;
}
