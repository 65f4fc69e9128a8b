/* L1's identity EPT. */
#include "ept01.h"

#include "lib.h"
#include "vmx.h"
#include "x86.h"

#define ENTRIES        512u
#define INDEX_BITS     9
#define LEVEL_4_BITS   48u
#define LEVEL_5_BITS   57u
#define PAGE_LEVEL_MAX 3u /* 1 GiB */

static u32 level_shift(u32 level) { return PAGE_SHIFT + INDEX_BITS * (level - 1); }

/* Bytes that one entry of a table at this level maps. */
static u64 level_size(u32 level) { return BIT64(level_shift(level)); }

/*
 * Entries are read by other cores, in software and by their page walks: each access is one
 * 64-bit load or store, and a table's contents are stored before the entry that names it.
 */
static u64 load(const u64 *slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }
static void store(u64 *slot, u64 entry) { __atomic_store_n(slot, entry, __ATOMIC_RELEASE); }

static u64 *table_at(u64 pa) { return pool_va(pa & EPT_ADDR); }

static bool is_present(u64 entry) { return entry & EPT_RWX; }

static bool is_page(u64 entry, u32 level) { return level == 1 || (entry & EPT_LARGE); }

static u64 table_entry(u64 table) { return table | EPT_RWX; }

static u64 page_entry(u64 gpa, u32 level, u64 type)
{
    return gpa | EPT_RWX | type << EPT_MEMORY_TYPE_SHIFT | (level > 1 ? EPT_LARGE : 0);
}

static bool hides_part(const struct ept01 *ept, u64 gpa, u64 size)
{
    return ranges_overlap(gpa, size, ept->hidden_base, ept->hidden_size);
}

static bool hides_all(const struct ept01 *ept, u64 gpa, u64 size)
{
    return gpa >= ept->hidden_base && gpa + size <= ept->hidden_base + ept->hidden_size;
}

/* The type of a page to be mapped at this level, or MEMTYPE_MIXED if it must be smaller. */
static int page_type(const struct ept01 *ept, u64 gpa, u32 level)
{
    if (level > PAGE_LEVEL_MAX || (level == PAGE_LEVEL_MAX && !ept->has_1g))
        return MEMTYPE_MIXED;
    if (hides_part(ept, gpa, level_size(level)))
        return MEMTYPE_MIXED;
    return memtype_range(ept->mtrrs, gpa, level_size(level));
}

/* Gives back a table of this level and those below it. No core may still walk them. */
static void free_table(struct ept01 *ept, u64 table, u32 level)
{
    u64 *slots = table_at(table);

    for (u32 i = 0; level > 1 && i < ENTRIES; i++)
        if (is_present(slots[i]) && !is_page(slots[i], level))
            free_table(ept, slots[i] & EPT_ADDR, level - 1);
    if (ept->reserved < EPT01_RESERVE)
        ept->reserve[ept->reserved++] = table;
    else
        pool_free(ept->pool, table);
}

static u64 build_table(struct ept01 *ept, u32 level, u64 base, u64 limit);

/* The entry for a slot of a table being built; *entry 0 if nothing is mapped there. */
static bool build_entry(struct ept01 *ept, u32 level, u64 gpa, u64 limit, u64 *entry)
{
    u64 size = level_size(level);
    u64 table;
    int type;

    *entry = 0;
    if (gpa >= limit || hides_all(ept, gpa, size))
        return true;
    type = page_type(ept, gpa, level);
    if (type != MEMTYPE_MIXED && gpa + size <= limit) {
        *entry = page_entry(gpa, level, (u64)type);
        return true;
    }
    table = build_table(ept, level - 1, gpa, limit);
    if (!table)
        return false;
    *entry = table_entry(table);
    return true;
}

/*
 * A table of this level for the addresses from base on, complete up to limit, with all below it;
 * 0 if the pool does not suffice. Nothing refers to it yet.
 */
static u64 build_table(struct ept01 *ept, u32 level, u64 base, u64 limit)
{
    u64 table = pool_alloc(ept->pool);
    u64 *slots;

    if (!table)
        return 0;
    slots = table_at(table);
    for (u32 i = 0; i < ENTRIES; i++) {
        if (!build_entry(ept, level, base + i * level_size(level), limit, &slots[i])) {
            free_table(ept, table, level);
            return 0;
        }
    }
    return table;
}

static bool fill_reserve(struct ept01 *ept)
{
    while (ept->reserved < EPT01_RESERVE) {
        u64 page = pool_alloc(ept->pool);

        if (!page)
            return false;
        ept->reserve[ept->reserved++] = page;
    }
    return true;
}

static void empty_reserve(struct ept01 *ept)
{
    while (ept->reserved > 0)
        pool_free(ept->pool, ept->reserve[--ept->reserved]);
}

bool ept01_build(struct ept01 *ept, struct pool *pool, const struct mtrr_state *mtrrs, u64 top,
                 u64 hidden_base, u64 hidden_size, const struct ept01_caps *caps)
{
    u64 hidden_end = align_up(hidden_base + hidden_size, PAGE_SIZE);
    u32 bits = LEVEL_4_BITS;

    memset(ept, 0, sizeof(*ept));
    ept->levels = 4;
    if (caps->has_5_level && caps->physical_bits > LEVEL_4_BITS) {
        ept->levels = 5;
        bits = LEVEL_5_BITS;
    }
    ept->address_bits = caps->physical_bits < bits ? caps->physical_bits : bits;
    ept->has_1g = caps->has_1g;
    ept->top = align_up(top, SIZE_1G);
    if (hidden_size) {
        ept->hidden_base = align_down(hidden_base, PAGE_SIZE);
        ept->hidden_size = hidden_end - ept->hidden_base;
    }
    ept->pool = pool;
    ept->mtrrs = mtrrs;
    if (fill_reserve(ept))
        ept->root = build_table(ept, ept->levels, 0, ept->top);
    if (!ept->root)
        empty_reserve(ept);
    return ept->root != 0;
}

u64 ept01_eptp(const struct ept01 *ept) { return ept->root | (u64)(ept->levels - 1) << 3 | MT_WB; }

/*
 * Visits the slots whose tables hold nothing below top: those are dropped and given back as a
 * whole. top is a multiple of 1 GiB, so below such a slot is a page or tables of demand's own.
 */
static void each_slot_above(struct ept01 *ept, u64 table, u32 level, u64 base,
                            void (*visit)(struct ept01 *, u64 *slot, u32 level))
{
    u64 *slots = table_at(table);
    u64 size = level_size(level);

    for (u32 i = 0; i < ENTRIES; i++) {
        u64 gpa = base + i * size;

        if (gpa + size <= ept->top)
            continue;
        if (gpa >= ept->top)
            visit(ept, &slots[i], level);
        else if (is_present(slots[i]) && !is_page(slots[i], level))
            each_slot_above(ept, slots[i] & EPT_ADDR, level - 1, gpa, visit);
    }
}

/*
 * Makes a slot that names a table not present. It keeps the table's address, which the processor
 * ignores, and the table stays as it is: other cores may be walking it until they have done an
 * INVEPT.
 */
static void drop_slot(struct ept01 *ept, u64 *slot, u32 level)
{
    (void)ept;
    if (is_present(*slot) && !is_page(*slot, level))
        store(slot, *slot & EPT_ADDR);
}

static void reclaim_slot(struct ept01 *ept, u64 *slot, u32 level)
{
    u64 table = *slot;

    if (table == 0 || is_present(table))
        return;
    store(slot, 0);
    free_table(ept, table, level - 1);
}

void ept01_reclaim(struct ept01 *ept)
{
    if (!ept->dropped)
        return;
    each_slot_above(ept, ept->root, ept->levels, 0, reclaim_slot);
    ept->dropped = false;
}

/* A zeroed table for mapping on demand, from the reserve if need be; 0 if there is none. */
static u64 demand_table(struct ept01 *ept)
{
    u64 table = pool_alloc(ept->pool);

    if (!table && ept->reserved > 0) {
        table = ept->reserve[--ept->reserved];
        memset(pool_va(table), 0, PAGE_SIZE);
    }
    return table;
}

enum ept01_result ept01_map_on_demand(struct ept01 *ept, u64 gpa)
{
    u64 table = ept->root;

    if (gpa >> ept->address_bits || hides_part(ept, align_down(gpa, PAGE_SIZE), PAGE_SIZE))
        return EPT01_HIDDEN;
    for (u32 level = ept->levels;; level--) {
        u64 base = align_down(gpa, level_size(level));
        u64 *slot = &table_at(table)[gpa >> level_shift(level) & (ENTRIES - 1)];
        int type;

        if (is_present(*slot)) {
            if (is_page(*slot, level))
                return EPT01_MAPPED;
            table = *slot & EPT_ADDR;
            continue;
        }
        if (*slot) /* dropped, but the cores have not all been told */
            return EPT01_FLUSH;
        type = page_type(ept, base, level);
        if (type != MEMTYPE_MIXED) {
            store(slot, page_entry(base, level, (u64)type));
            return EPT01_MAPPED;
        }
        table = demand_table(ept);
        if (!table)
            break;
        store(slot, table_entry(table));
    }
    each_slot_above(ept, ept->root, ept->levels, 0, drop_slot);
    ept->dropped = true;
    return EPT01_FLUSH;
}

/* Gives one page its type, in the tables of its own if it has become a mixed one. */
static bool retype_page(struct ept01 *ept, u64 *slot, u64 gpa, u32 level)
{
    int type = page_type(ept, gpa, level);
    u64 entry, table;

    if (type == MEMTYPE_MIXED) {
        table = build_table(ept, level - 1, gpa, gpa + level_size(level));
        entry = table ? table_entry(table) : page_entry(gpa, level, MT_UC);
    } else {
        entry = page_entry(gpa, level, (u64)type) & (*slot | ~EPT_WRITE);
    }
    if (entry != *slot)
        store(slot, entry);
    return type != MEMTYPE_MIXED || !is_page(entry, level);
}

static bool retype_table(struct ept01 *ept, u64 table, u32 level, u64 base)
{
    u64 *slots = table_at(table);
    bool done = true;

    for (u32 i = 0; i < ENTRIES; i++) {
        u64 gpa = base + i * level_size(level);

        if (!is_present(slots[i]))
            continue;
        if (is_page(slots[i], level))
            done = retype_page(ept, &slots[i], gpa, level) && done;
        else
            done = retype_table(ept, slots[i] & EPT_ADDR, level - 1, gpa) && done;
    }
    return done;
}

bool ept01_retype(struct ept01 *ept) { return retype_table(ept, ept->root, ept->levels, 0); }

/* The slot that maps gpa, and its entry as it was read; NULL if there is none. */
static u64 *find_slot(const struct ept01 *ept, u64 gpa, u64 *entry, u32 *level)
{
    u64 table = ept->root;

    *level = ept->levels;
    if (gpa >> (ept->levels == 5 ? LEVEL_5_BITS : LEVEL_4_BITS))
        return NULL;
    for (;; (*level)--) {
        u64 *slot = &table_at(table)[gpa >> level_shift(*level) & (ENTRIES - 1)];

        *entry = load(slot);
        if (!is_present(*entry))
            return NULL;
        if (is_page(*entry, *level))
            return slot;
        table = *entry & EPT_ADDR;
    }
}

bool ept01_lookup(const struct ept01 *ept, u64 gpa, u64 *entry, u32 *level)
{
    return find_slot(ept, gpa, entry, level) != NULL;
}

bool ept01_is_writable(const struct ept01 *ept, u64 gpa)
{
    u64 entry;
    u32 level;

    return !ept01_lookup(ept, gpa, &entry, &level) || (entry & EPT_WRITE);
}

bool ept01_split(struct ept01 *ept, u64 gpa, u64 table)
{
    u32 level;
    u64 entry, step;
    u64 *slot = find_slot(ept, gpa, &entry, &level), *slots = table_at(table);

    if (!slot || level == 1)
        return false;
    step = level_size(level - 1);
    for (u32 i = 0; i < ENTRIES; i++)
        slots[i] = (entry & ~(level == 2 ? EPT_LARGE : 0)) + i * step;
    store(slot, table_entry(table));
    return true;
}

bool ept01_set_writable(struct ept01 *ept, u64 gpa, bool writable)
{
    u64 entry;
    u32 level;
    u64 *slot = find_slot(ept, gpa, &entry, &level);

    if (!slot || level > 1)
        return false;
    store(slot, (entry & ~EPT_WRITE) | (writable ? EPT_WRITE : 0));
    return true;
}
