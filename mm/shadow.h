/*
 * The pages of the shadow page tables, and what each stands for. A shadow page mirrors one table of
 * L1's EPTs in one role: whoever comes to that table, by whatever EPTP, shares it. So the pages
 * form a graph, and each counts the entries that link it.
 *
 * Pages are known by their index; 0 is none. All functions want the owner's lock, but for those
 * from shadow_page() to shadow_index().
 *
 * Unlinked pages may still be walked: by the processor of a core that runs an L2, which caches the
 * tables it walks, or by L0 there. They are free once every such core has invalidated.
 */
#ifndef PLASTRON_MM_SHADOW_H
#define PLASTRON_MM_SHADOW_H

#include "boot_info.h"
#include "pool.h"
#include "types.h"
#include "../hv/spinlock.h"

/* What the mirrored entries mean besides what they say. */
#define SHADOW_ACCESSED_DIRTY BIT(0) /* EPTP12 enables these flags */
#define SHADOW_MODE_BASED     BIT(1) /* bit 10 is a right */
#define SHADOW_DIRECT         BIT(2) /* no table: divides the large page that begins at source */

struct shadow_page {
    u64 source; /* address of EPT12's table */
    u64 leaf;   /* DIRECT: what its entries have besides the address */
    u32 links;  /* entries of other shadow pages that name it */
    u32 parent; /* the page with that entry, if there is one and it is known */
    u32 next;   /* of those with the same hash of source, or in a list of pages to be reused */
    u32 stale_next, stale_prev; /* in the list of the pages to be read again */
    u16 parent_slot;
    u16 present; /* entries that are */
    u16 tables;  /* of these, those that link a page */
    u8 level;
    u8 role;
    bool stale;     /* in that list */
    bool settled;   /* L1 cannot write to the source without L0 */
    bool protected; /* the same as soon as all cores have passed protected_at */
    bool retired;   /* not linked any more */
    bool used;      /* filled since the last look at it for reuse */
    u8 patience;    /* reads without a change until it is protected, as a power of two */
    u8 quiet;       /* reads without a change so far */
    u64 protected_at;
    u64 users[MAX_CPUS / 64]; /* cores that have used it as a root: a bit each */
    struct spinlock lock;     /* of the table's entries */
};

struct shadow {
    u64 base;      /* physical address of page 1 */
    u32 count;     /* of pages */
    u32 in_use;    /* for a table; not those that are to be reused */
    u32 untouched; /* pages from here on were never used */
    u32 free;      /* list */
    u32 unlinked;  /* list, of those that do not wait yet */
    u32 waiting;   /* list, of those that cores may walk that are behind waiting_epoch */
    u32 stale;     /* list, of those to be read again */
    u64 waiting_epoch;
    struct shadow_page *pages;
    u32 *buckets;
    u32 bucket_mask;
};

/* Takes over [start, end): physical addresses. */
void shadow_init(struct shadow *shadow, u64 start, u64 end);

static inline struct shadow_page *shadow_page(const struct shadow *shadow, u32 index)
{
    return &shadow->pages[index];
}

static inline u64 shadow_address(const struct shadow *shadow, u32 index)
{
    return shadow->base + (index - 1) * PAGE_SIZE;
}

static inline u64 *shadow_table(const struct shadow *shadow, u32 index)
{
    return pool_va(shadow_address(shadow, index));
}

/* The index of the page at an address, which must be one's. */
static inline u32 shadow_index(const struct shadow *shadow, u64 pa)
{
    return (u32)((pa - shadow->base) / PAGE_SIZE) + 1;
}

/* The page that mirrors a source, or 0. */
u32 shadow_find(const struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf);
/* The first page with that source, the next one; 0 after the last. */
u32 shadow_first(const struct shadow *shadow, u64 source);
u32 shadow_next(const struct shadow *shadow, u32 index, u64 source);

/* A new page with all entries 0, known by find. 0 if there is no free page. */
u32 shadow_new(struct shadow *shadow, u64 source, u32 level, u32 role, u64 leaf);
/* A page for other purposes, known to nobody, or 0; and back, when nobody walks it. */
u32 shadow_take(struct shadow *shadow);
void shadow_give(struct shadow *shadow, u32 index);

/* The page is not found any more, and is to be reused. */
void shadow_retire(struct shadow *shadow, u32 index);
/* What was retired begins to wait for an epoch that no core has passed yet. */
void shadow_start_waiting(struct shadow *shadow, u64 epoch);
/* All cores that could walk what waits have passed waiting_epoch: it is free. */
void shadow_free_waiting(struct shadow *shadow);

/* In and out of the list of pages to be read again. */
void shadow_set_stale(struct shadow *shadow, u32 index, bool stale);

#endif
