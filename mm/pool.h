/*
 * L0's page pool: the free pages of a physical range, one owner. Page tables, per-core memory
 * and shadow pages come from pools; nothing else in L0 allocates.
 *
 * Not locked: the owner locks it or is the only core to use it.
 */
#ifndef PLASTRON_MM_POOL_H
#define PLASTRON_MM_POOL_H

#include "boot_info.h"
#include "types.h"

struct pool {
    u64 start, end;  /* physical addresses, page-aligned; never contains page 0 */
    u64 untouched;   /* pages from here to end were never allocated */
    u64 freed;       /* first page of the list of freed pages, 0: none */
    u64 total_pages; /* of the range */
    u64 free_pages;  /* untouched and freed ones */
};

/* L0's address of physical memory: the direct map, or the fake of the unit tests. */
#if __STDC_HOSTED__
void *pool_va(u64 pa);
#else
static inline void *pool_va(u64 pa) { return (void *)(L0_DIRECT_BASE + pa); }
#endif

/* Takes over the whole pages within [start_pa, end_pa). Touches none of them. */
void pool_init(struct pool *pool, u64 start_pa, u64 end_pa);

/* A zeroed page's physical address, or 0 when the pool is empty. */
u64 pool_alloc(struct pool *pool);

/*
 * As many zeroed pages in a row, for start-up: taken only from memory never allocated before.
 * The first one's physical address, or 0 when there are not that many.
 */
u64 pool_alloc_contiguous(struct pool *pool, u64 pages);

/*
 * Gives a page back; false, and nothing happens, if pa is not a page the pool ever gave out.
 * The page's first 8 bytes become a page-aligned link at once: a core that still walks it as an
 * (extended) page table finds that entry not present, the others as they were.
 */
bool pool_free(struct pool *pool, u64 pa);

#endif
