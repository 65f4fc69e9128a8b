/* L0's own page tables. */
#include "paging.h"

#include "x86.h"

#define LEVELS         4u
#define PAGE_LEVEL_MAX 3u
#define ENTRIES        512u
#define INDEX_BITS     9

static u32 level_shift(u32 level) { return PAGE_SHIFT + INDEX_BITS * (level - 1); }
static u64 level_size(u32 level) { return BIT64(level_shift(level)); }

static u64 *slot_of(u64 table, u64 va, u32 level)
{
    u64 *slots = pool_va(table);

    return &slots[va >> level_shift(level) & (ENTRIES - 1)];
}

static bool is_page(u64 entry, u32 level) { return level == 1 || (entry & PTE_PS); }

/*
 * Accessed and dirty are set from the start, so that the processor never has to. The memory type
 * is write-back (PAT entry 0) everywhere: the MTRRs make device memory UC all the same (SDM
 * vol. 3, "Effective Page-Level Memory Types").
 */
static u64 page_entry(u64 pa, u32 level, u32 flags)
{
    u64 entry = pa | PTE_P | PTE_A | PTE_D;

    if (flags & PAGING_WRITE)
        entry |= PTE_W;
    if (!(flags & PAGING_EXEC))
        entry |= PTE_NX;
    if (level > 1)
        entry |= PTE_PS;
    return entry;
}

/* One store to a slot in use: the core may be running on these tables. */
static void set_slot(u64 *slot, u64 entry) { *(volatile u64 *)slot = entry; }

/* A table instead of a slot's page or nothing, with the same translations. 0: pool empty. */
static u64 split_slot(struct paging *paging, u64 *slot, u32 level)
{
    u64 table = pool_alloc(paging->pool);
    u64 entry = *slot;
    u64 *slots;

    if (!table)
        return 0;
    slots = pool_va(table);
    for (u32 i = 0; (entry & PTE_P) && i < ENTRIES; i++) {
        slots[i] = entry + i * level_size(level - 1);
        if (level - 1 == 1)
            slots[i] &= ~PTE_PS;
    }
    set_slot(slot, table | PTE_P | PTE_W | PTE_A);
    return table;
}

/* The table that a slot names, made if there is none. 0: pool empty. */
static u64 table_below(struct paging *paging, u64 *slot, u32 level)
{
    if ((*slot & PTE_P) && !is_page(*slot, level))
        return *slot & PTE_ADDR;
    return split_slot(paging, slot, level);
}

bool paging_init(struct paging *paging, struct pool *pool, bool has_1g)
{
    paging->pool = pool;
    paging->has_1g = has_1g;
    paging->root = pool_alloc(pool);
    return paging->root != 0;
}

/* True if a page of this level can stand in the slot for the start of the range. */
static bool page_fits(const struct paging *paging, u64 slot_entry, u32 level, u64 va, u64 pa,
                      u64 size)
{
    u64 page_size = level_size(level);

    if (level == 1)
        return true;
    if (level > PAGE_LEVEL_MAX || (level == PAGE_LEVEL_MAX && !paging->has_1g))
        return false;
    if ((slot_entry & PTE_P) && !is_page(slot_entry, level))
        return false; /* its table stays */
    return size >= page_size && (va | pa) % page_size == 0;
}

/* Maps the largest page possible at the start of a range; its size, or 0: pool empty. */
static u64 map_one(struct paging *paging, u64 va, u64 pa, u64 size, u32 flags)
{
    u64 table = paging->root;

    for (u32 level = LEVELS; table; level--) {
        u64 *slot = slot_of(table, va, level);

        if (page_fits(paging, *slot, level, va, pa, size)) {
            set_slot(slot, page_entry(pa, level, flags));
            return level_size(level);
        }
        table = table_below(paging, slot, level);
    }
    return 0;
}

bool paging_map(struct paging *paging, u64 va, u64 pa, u64 size, u32 flags)
{
    while (size > 0) {
        u64 mapped = map_one(paging, va, pa, size, flags);

        if (!mapped)
            return false;
        va += mapped;
        pa += mapped;
        size -= mapped;
    }
    return true;
}

bool paging_unmap_page(struct paging *paging, u64 va)
{
    u64 table = paging->root;

    for (u32 level = LEVELS; table; level--) {
        u64 *slot = slot_of(table, va, level);

        if (!(*slot & PTE_P))
            return true;
        if (level == 1) {
            set_slot(slot, 0);
            return true;
        }
        table = table_below(paging, slot, level);
    }
    return false;
}

static bool map_segment(struct paging *paging, const struct paging_segment *segment)
{
    u64 size = segment->end - segment->start;
    u32 flags = (segment->writable ? PAGING_WRITE : 0) | (segment->executable ? PAGING_EXEC : 0);

    if (!paging_map(paging, segment->start, segment->pa, size, flags))
        return false;
    if (segment->writable)
        return true;
    /* No second, writable way to text and constants. */
    return paging_map(paging, L0_DIRECT_BASE + segment->pa, segment->pa, size, PAGING_READ);
}

bool paging_build(struct paging *paging, struct pool *pool, const struct paging_layout *layout)
{
    if (!paging_init(paging, pool, layout->has_1g))
        return false;
    if (!paging_map(paging, L0_DIRECT_BASE, 0, layout->ram_top, PAGING_WRITE))
        return false;
    for (u32 i = 0; i < layout->segment_count; i++)
        if (!map_segment(paging, &layout->segments[i]))
            return false;
    return true;
}
