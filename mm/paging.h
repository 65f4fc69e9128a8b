/*
 * L0's own page tables: 4-level, supervisor only, W^X as the callers ask. They are built while
 * L0 still runs on the loader's tables, or changed later by the one core that has them; flushing
 * TLBs is the caller's. SDM vol. 3, "4-Level Paging and 5-Level Paging".
 */
#ifndef PLASTRON_MM_PAGING_H
#define PLASTRON_MM_PAGING_H

#include "pool.h"
#include "types.h"

#define PAGING_READ  0u /* always allowed */
#define PAGING_WRITE BIT(0)
#define PAGING_EXEC  BIT(1)

struct paging {
    u64 root; /* physical address of the PML4 table, for CR3 */
    struct pool *pool;
    bool has_1g;
};

/* A piece of L0's image, page-aligned. */
struct paging_segment {
    u64 start, end; /* virtual addresses, from linker symbols */
    u64 pa;         /* where start is */
    bool writable, executable;
};

struct paging_layout {
    const struct paging_segment *segments;
    u32 segment_count;
    u64 ram_top; /* the direct map's end */
    bool has_1g; /* CPUID.80000001H:EDX[26] */
};

/* Every function that returns bool returns false when the pool is empty, if not said otherwise;
   the tables are usable, and what they were asked to map is mapped in part. */

/* Empty tables. */
bool paging_init(struct paging *paging, struct pool *pool, bool has_1g);

/*
 * L0's whole address space: the segments with their rights; [0, ram_top) at L0_DIRECT_BASE,
 * writable, not executable, in the largest pages, but read-only where a segment is.
 */
bool paging_build(struct paging *paging, struct pool *pool, const struct paging_layout *layout);

/*
 * Maps [va, va + size) to pa on, all three multiples of PAGE_SIZE, in the largest pages that the
 * addresses and the tables already there allow. Replaces what was mapped there.
 */
bool paging_map(struct paging *paging, u64 va, u64 pa, u64 size, u32 flags);

/* Unmaps the one page that contains va, splitting a larger one. True if none was mapped, too. */
bool paging_unmap_page(struct paging *paging, u64 va);

#endif
