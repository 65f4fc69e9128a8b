/* mm/ept12.c: the walk of an EPT against a second one. */
#include "fuzz.h"

#include "mm/ept12.h"
#include "x86.h"

/* Entries that are valid more often than not; few of them large pages. */
static u64 entry_at(u64 pa)
{
    u64 random = mix(memory_seed(), pa);
    u64 entry = random & 0x000000fffffff000ull;
    u64 kind = random >> 56;

    if (kind & 1)
        entry &= ~(BIT64(30) - 1); /* could be a large page's */
    if (kind & 2)
        entry |= MT_WB << EPT_MEMORY_TYPE_SHIFT;
    if ((kind & 0xc) == 0xc)
        entry |= EPT_LARGE;
    if ((kind & 0x70) == 0x70)
        return random;
    return entry | (kind & 0x70 ? EPT_RWX : random >> 40 & 7);
}

/* SDM vol. 3, "EPT Translation Mechanism" and "EPT Misconfigurations", for one entry. */
struct model {
    enum ept12_result result;
    u64 rights, address, type;
    u32 level;
    bool ignore_pat;
};

static bool is_type(u64 type)
{
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

/* With mode-based execute control bit 10 is another right, and part of what makes an entry present.
 */
static struct model model_walk(u64 eptp, u64 ngpa, const struct ept12_caps *caps)
{
    u64 all = eptp & EPT12_MODE_BASED ? 0x407 : 7;
    struct model m = {.rights = all, .level = (u32)(eptp >> 3 & 7) + 1};
    u64 beyond = 0x000fffffffffffffull & ~((1ull << caps->physical_bits) - 1);
    u64 table = eptp & 0x000ffffffffff000ull;

    for (;; m.level--) {
        u32 shift = 12 + 9 * (m.level - 1);
        u64 entry = memory_get(table + 8 * (ngpa >> shift & 511));
        bool leaf = m.level == 1 || (m.level == 2 && caps->has_2m && entry & 0x80) ||
                    (m.level == 3 && caps->has_1g && entry & 0x80);
        u64 zero = beyond | (leaf ? (1ull << shift) - 0x1000 : 0xf8);

        m.rights &= entry;
        if ((entry & all) == 0) {
            m.result = EPT12_VIOLATION;
            return m;
        }
        m.result = EPT12_MISCONFIGURED;
        if ((entry & 3) == 2 || (!(entry & 1) && !caps->execute_only) || entry & zero ||
            (leaf && !is_type(entry >> 3 & 7)))
            return m;
        if (leaf) {
            m.result = EPT12_TRANSLATED;
            m.address = (entry & 0x000ffffffffff000ull) | (ngpa & ((1ull << shift) - 1));
            m.type = entry >> 3 & 7;
            m.ignore_pat = entry & 0x40;
            return m;
        }
        table = entry & 0x000ffffffffff000ull;
    }
}

/* Accessed and dirty flags, and the log. SDM vol. 3, "Accessed and Dirty Flags for EPT" and
   "Page-Modification Logging". */
static void check_flags(u64 eptp, u64 ngpa, struct ept12_translation *walk, struct input *in)
{
    u8 kinds = take8(in);
    bool write = kinds & 1, was_dirty, full, due = false;
    struct ept12_log log = {.enabled = kinds & 2, .page = 0xfffff0000000, .index = take16(in)};
    u16 index = log.index;
    u32 levels = (u32)(eptp >> 3 & 7) + 1;

    if (kinds & 4)
        log.index = index = index & 511;
    was_dirty = walk->path[walk->level - 1].entry >> 9 & 1;
    for (u32 level = walk->level; level <= levels; level++)
        due |= !(walk->path[level - 1].entry >> 8 & 1);
    due |= write && !was_dirty;
    full = eptp & EPTP_AD && due && log.enabled && index > 511;
    switch (ept12_set_flags(eptp, ngpa, write, &log, walk)) {
    case EPT12_TRANSLATED: DEMAND(!full); break;
    case EPT12_LOG_FULL: DEMAND(full && memory_total_writes() == 0); return;
    case EPT12_CHANGED: /* a table that names itself: the entry was its own upper one */ return;
    default: DEMAND(false);
    }
    if (!(eptp & EPTP_AD)) {
        DEMAND(memory_total_writes() == 0 && log.index == index);
        return;
    }
    for (u32 level = walk->level; level <= levels; level++)
        DEMAND(memory_get(walk->path[level - 1].pa) >> 8 & 1);
    DEMAND(!write || memory_get(walk->path[walk->level - 1].pa) >> 9 & 1);
    if (log.enabled && write && !was_dirty) {
        DEMAND(log.index == (u16)(index - 1));
        DEMAND(memory_get(log.page + 8 * index) == (ngpa & ~0xfffull));
    } else {
        DEMAND(log.index == index);
    }
}

/* Each entry on the way but the last names a table; the last maps a page if the walk translated. */
static void check_entries(u64 eptp, const struct ept12_translation *walk,
                          const struct ept12_caps *caps, enum ept12_result result)
{
    for (u32 level = (u32)(eptp >> 3 & 7) + 1; level > walk->level; level--)
        DEMAND(!ept12_is_page(walk->path[level - 1].entry, level, caps));
    if (result != EPT12_VIOLATION)
        DEMAND(ept12_is_page(walk->path[walk->level - 1].entry, walk->level, caps) ==
               (result == EPT12_TRANSLATED));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    u8 kinds = take8(&in);
    const struct ept12_caps caps = {
        .physical_bits = 36 + (kinds & 15),
        .execute_only = kinds & 16,
        .has_1g = kinds & 32,
        .has_2m = kinds & 64,
    };
    u64 eptp = (take64(&in) & 0x000000fffffff000ull) | (kinds & 128 ? 4ull : 3ull) << 3 | MT_WB;
    u8 more = take8(&in);
    u64 ngpa = take64(&in) & (BIT64(kinds & 128 ? 57 : 48) - 1);
    struct ept12_translation walk;
    struct model model;
    enum ept12_result result;

    eptp |= (more & 1 ? EPTP_AD : 0) | (more & 2 ? EPT12_MODE_BASED : 0);
    memory_word = entry_at;
    memory_reset(take64(&in));
    while (!is_empty(&in) && in.end - in.at > 16) { /* entries on the way, by hand */
        u64 pa = take64(&in) & 0x000000fffffffff8ull;

        memory_put(pa, take64(&in));
    }
    result = ept12_walk(eptp, ngpa, &caps, &walk);
    DEMAND(memory_total_writes() == 0);
    DEMAND(memory_total_reads() <= 5);
    model = model_walk(eptp, ngpa, &caps);
    DEMAND(result == model.result && walk.level == model.level);
    check_entries(eptp, &walk, &caps, result);
    if (result == EPT12_TRANSLATED) {
        DEMAND(walk.rights == model.rights && walk.memory_type == model.type);
        DEMAND(walk.ignore_pat == model.ignore_pat);
        DEMAND(ept12_address(&walk, ngpa) == model.address);
        DEMAND(walk.size_shift == 12 + 9 * (walk.level - 1));
        check_flags(eptp, ngpa, &walk, &in);
    } else {
        DEMAND(walk.rights == 0);
    }
    return 0;
}
