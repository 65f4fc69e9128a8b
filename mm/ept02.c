#include "ept02.h"

#include "phys.h"
#include "vmx.h"
#include "../hv/insn.h"
#include "../hv/l0.h"

/* One of these: an entry is present. Bit 10 is ignored without mode-based execute control. */
#define ALL_RIGHTS (EPT_RWX | EPT_EXEC_USER)

static u32 table_index(u64 ngpa, u32 level) { return ngpa >> (PAGE_SHIFT + 9 * (level - 1)) & 511; }

static bool is_table(u64 entry, u32 level)
{
    return level > 1 && (entry & ALL_RIGHTS) && !(entry & EPT_LARGE);
}

static bool is_identity(u64 key) { return (key & EPTP_MEMORY_TYPE) == EPT02_IDENTITY; }

/*
 * With EPT12's accessed and dirty flags enabled EPT02's are too, although nobody reads them: only
 * then does the processor treat accesses to L2's own paging structures as writes.
 */
static u64 hardware_eptp(const struct ept02_tree *tree)
{
    return tree->root | MT_WB | (tree->levels - 1) << 3 | (tree->eptp12 & EPTP_AD);
}

static void flush(const struct ept02_tree *tree)
{
    invept(INVEPT_SINGLE_CONTEXT, hardware_eptp(tree));
}

static struct ept02_tree *find_tree(struct ept02 *ept, u64 eptp12)
{
    for (u32 i = 0; i < EPT02_TREES; i++)
        if (ept->trees[i].root && ept->trees[i].eptp12 == eptp12)
            return &ept->trees[i];
    return NULL;
}

void ept02_init(struct ept02 *ept, u64 start, u64 end)
{
    ept->pool_start = start;
    ept->pool_end = end;
    pool_init(&ept->pool, start, end);
}

void ept02_invalidate_all(struct ept02 *ept)
{
    for (u32 i = 0; i < EPT02_TREES; i++)
        ept->trees[i].root = 0;
    pool_init(&ept->pool, ept->pool_start, ept->pool_end);
    invept(INVEPT_ALL_CONTEXT, 0);
}

static void free_tables(struct ept02 *ept, u64 table, u32 level)
{
    const u64 *entries = pool_va(table);

    for (u32 i = 0; i < 512; i++)
        if (is_table(entries[i], level))
            free_tables(ept, entries[i] & EPT_ADDR, level - 1);
    pool_free(&ept->pool, table);
}

static void drop_tree(struct ept02 *ept, struct ept02_tree *tree)
{
    free_tables(ept, tree->root, tree->levels);
    flush(tree);
    tree->root = 0;
}

void ept02_invalidate(struct ept02 *ept, u64 eptp12)
{
    for (u32 i = 0; i < EPT02_TREES; i++)
        if (ept->trees[i].root && ((ept->trees[i].eptp12 ^ eptp12) & EPT_ADDR) == 0)
            drop_tree(ept, &ept->trees[i]);
}

/* A free place, or that of the tree that was used longest ago. */
static struct ept02_tree *free_place(struct ept02 *ept)
{
    struct ept02_tree *oldest = &ept->trees[0];

    for (u32 i = 0; i < EPT02_TREES; i++) {
        if (!ept->trees[i].root)
            return &ept->trees[i];
        if (ept->trees[i].used < oldest->used)
            oldest = &ept->trees[i];
    }
    drop_tree(ept, oldest);
    return oldest;
}

static struct ept02_tree *get_tree(struct ept02 *ept, u64 eptp12)
{
    struct ept02_tree *tree = find_tree(ept, eptp12);

    if (!tree) {
        tree = free_place(ept);
        tree->root = pool_alloc(&ept->pool);
        if (!tree->root) {
            ept02_invalidate_all(ept);
            tree->root = pool_alloc(&ept->pool);
        }
        tree->eptp12 = eptp12;
        tree->levels = is_identity(eptp12) ? l0.ept01.levels : ept12_levels(eptp12);
    }
    tree->used = ++ept->clock;
    return tree;
}

u64 ept02_pointer(struct ept02 *ept, u64 eptp12) { return hardware_eptp(get_tree(ept, eptp12)); }

/*
 * The entry for ngpa at a level, making the tables above it; NULL if the pool is empty. A large
 * page in the way is replaced by a table.
 */
static u64 *entry_at(struct ept02 *ept, const struct ept02_tree *tree, u64 ngpa, u32 level)
{
    u64 *entry = pool_va(tree->root);

    for (u32 at = tree->levels;; at--) {
        entry += table_index(ngpa, at);
        if (at == level)
            return entry;
        if (!is_table(*entry, at)) {
            u64 table = pool_alloc(&ept->pool);
            bool was_leaf = *entry & ALL_RIGHTS;

            if (!table)
                return NULL;
            *entry = table | ALL_RIGHTS;
            if (was_leaf)
                flush(tree);
        }
        entry = pool_va(*entry & EPT_ADDR);
    }
}

void ept02_map(struct ept02 *ept, u64 eptp12, u64 ngpa, u64 leaf, u32 level)
{
    struct ept02_tree *tree = get_tree(ept, eptp12);
    u64 *entry = entry_at(ept, tree, ngpa, level);

    if (!entry) {
        ept02_invalidate_all(ept);
        tree = get_tree(ept, eptp12);
        entry = entry_at(ept, tree, ngpa, level);
    }
    if (is_table(*entry, level)) {
        free_tables(ept, *entry & EPT_ADDR, level - 1);
        *entry = 0;
        flush(tree);
    }
    *entry = leaf;
}

void ept02_unmap(struct ept02 *ept, u64 eptp12, u64 ngpa)
{
    struct ept02_tree *tree = find_tree(ept, eptp12);
    u64 *entry;

    if (!tree)
        return;
    entry = pool_va(tree->root);
    for (u32 level = tree->levels; level > 1; level--) {
        entry += table_index(ngpa, level);
        if (!is_table(*entry, level))
            return;
        entry = pool_va(*entry & EPT_ADDR);
    }
    entry[table_index(ngpa, 1)] = 0;
    flush(tree);
}

static u64 page_size(u32 level) { return 1ull << (PAGE_SHIFT + 9 * (level - 1)); }

/* What an EPT12 would say that allows all, has EPT01's types and pages, and 4-KiB pages around the
   APIC-access page. */
static void identity_walk(u64 key, u64 ngpa, struct ept12_translation *walk)
{
    u64 apic_page = key & EPT_ADDR;
    u64 entry = 0;
    u32 level = 1;

    if (!ept01_lookup(&l0.ept01, ngpa, &entry, &level))
        level = 1;
    while (level > 1 &&
           align_down(ngpa, page_size(level)) == align_down(apic_page, page_size(level)))
        level--;
    *walk = (struct ept12_translation){
        .gpa = align_down(ngpa, page_size(level)),
        .level = level,
        .size_shift = PAGE_SHIFT + 9 * (level - 1),
        .rights = EPT_RWX,
        .memory_type = (u32)(entry >> EPT_MEMORY_TYPE_SHIFT & 7),
    };
}

/* What EPT12 says of an access; if it allows it, with all that the access brings about there. */
static enum ept12_result access_ept12(u64 key, u64 ngpa, u64 access, struct ept12_log *log,
                                      struct ept12_translation *walk)
{
    const struct ept12_caps caps = {
        .physical_bits = l0.hw.physical_bits,
        .execute_only = caps_offer(&l0.caps, FEATURE_EPT_EXECUTE_ONLY),
        .has_1g = caps_offer(&l0.caps, FEATURE_EPT_1G),
        .has_2m = caps_offer(&l0.caps, FEATURE_EPT_2M),
    };
    enum ept12_result result;

    if (is_identity(key)) {
        identity_walk(key, ngpa, walk);
        return EPT12_TRANSLATED;
    }
    result = ept12_walk(key, ngpa, &caps, walk);
    if (result != EPT12_TRANSLATED)
        return result;
    if (access & ~walk->rights)
        return EPT12_VIOLATION;
    return ept12_set_flags(key, ngpa, access & EPT_WRITE, log, walk);
}

enum ept02_result ept02_fill(struct ept02 *ept, u64 eptp12, u64 ngpa, u64 access,
                             struct ept12_log *log, struct ept12_translation *walk)
{
    u64 entry, leaf;
    u32 ept01_level, level;

    switch (access_ept12(eptp12, ngpa, access, log, walk)) {
    case EPT12_TRANSLATED: break;
    case EPT12_VIOLATION: return EPT02_VIOLATION;
    case EPT12_MISCONFIGURED: return EPT02_MISCONFIGURED;
    case EPT12_LOG_FULL: return EPT02_LOG_FULL;
    case EPT12_CHANGED: return EPT02_FILLED; /* with nothing: L2 comes back at once */
    }
    if (phys_is_hidden(align_down(ept12_address(walk, ngpa), PAGE_SIZE), PAGE_SIZE))
        return EPT02_HIDDEN;
    if (!ept01_lookup(&l0.ept01, ept12_address(walk, ngpa), &entry, &ept01_level))
        return EPT02_UNMAPPED;
    if (!ept_compose(walk, ngpa, entry, ept01_level, l0.hw.ept_vpid & EPT_CAP_1G ? 3 : 2, &leaf,
                     &level))
        return EPT02_HIDDEN;
    ept02_map(ept, eptp12, ngpa, leaf, level);
    return EPT02_FILLED;
}
