/*
 * L1's EPT (EPT01): the identity map of physical memory without what is L0's own, in the largest
 * pages, with the memory types of the MTRRs. SDM vol. 3, "The Extended Page Table Mechanism
 * (EPT)".
 *
 * One tree for all cores. The functions that change it are for one core at a time (callers
 * lock). Other cores may run on it meanwhile: an entry changes by one store, a table is complete
 * before it is linked, and what is mapped below top stays mapped to where it was.
 * ept01_lookup() below top needs no lock.
 */
#ifndef PLASTRON_MM_EPT01_H
#define PLASTRON_MM_EPT01_H

#include "memtype.h"
#include "pool.h"
#include "types.h"

#define EPT01_RESERVE 4 /* tables that one mapping on demand needs at most */

struct ept01_caps {
    u32 physical_bits; /* MAXPHYADDR */
    bool has_1g;       /* EPT_CAP_1G; 2-MiB pages are required */
    bool has_5_level;  /* EPT_CAP_5_LEVEL; used only if physical_bits > 48 */
};

struct ept01 {
    u64 root;   /* physical address of the top table */
    u32 levels; /* 4 or 5 */
    u32 address_bits;
    bool has_1g;
    u64 top;                      /* mapped from the start below here, on demand above */
    u64 hidden_base, hidden_size; /* never mapped; whole pages */
    struct pool *pool;
    const struct mtrr_state *mtrrs;
    bool dropped;               /* tables dropped, not yet given back: ept01_reclaim() */
    u32 reserved;               /* pages in reserve */
    u64 reserve[EPT01_RESERVE]; /* so that mapping on demand succeeds with an empty pool */
};

enum ept01_result {
    EPT01_MAPPED, /* mapped now, or was already; no INVEPT is needed */
    EPT01_HIDDEN, /* not memory of L1's: hidden, or beyond the physical addresses */
    EPT01_FLUSH,  /* all tables above top were dropped to make room: INVEPT on all cores, then
                     ept01_reclaim(), then map again, which will succeed */
};

/*
 * Builds the tree for [0, top), top rounded up to 1 GiB, without [hidden_base, + hidden_size).
 * Keeps the pool and the MTRR state, which the caller may change later: see ept01_retype().
 * False if the pool is too small; all is given back then.
 */
bool ept01_build(struct ept01 *ept, struct pool *pool, const struct mtrr_state *mtrrs, u64 top,
                 u64 hidden_base, u64 hidden_size, const struct ept01_caps *caps);

/* The EPT pointer for the VMCS: write-back tables, no accessed and dirty flags. */
u64 ept01_eptp(const struct ept01 *ept);

/* Maps the page around an address that faulted. */
enum ept01_result ept01_map_on_demand(struct ept01 *ept, u64 gpa);

/* Gives back what EPT01_FLUSH dropped, once no core can still walk it. */
void ept01_reclaim(struct ept01 *ept);

/*
 * Gives every page its type by the MTRR state as it is now, splitting pages where types meet.
 * Then INVEPT is due on all cores. False if the pool was too small for a split: that page is UC
 * as a whole, which is safe and slow, until the next time. Tables no longer needed stay.
 */
bool ept01_retype(struct ept01 *ept);

/*
 * The entry that maps gpa, and its level (1: 4K, 2: 2M, 3: 1G); false, with the level it ends
 * at, if there is none. The entry is read once.
 */
bool ept01_lookup(const struct ept01 *ept, u64 gpa, u64 *entry, u32 *level);

/* The entry for gpa allows writes; so does one that is missing. */
bool ept01_is_writable(const struct ept01 *ept, u64 gpa);

/*
 * Divides the page of 2 MiB or 1 GiB that maps gpa into smaller ones, in a table at the physical
 * address given, which is EPT01's from then on. Translations stay what they were: no INVEPT is due.
 * False, and the table is not used, if gpa is mapped by a 4-KiB page or not at all.
 */
bool ept01_split(struct ept01 *ept, u64 gpa, u64 table);

/* Allows or forbids writes to the 4-KiB page at gpa: the first takes effect at once, the second
   with an INVEPT on each core. False if gpa is not mapped by such a page. */
bool ept01_set_writable(struct ept01 *ept, u64 gpa, bool writable);

#endif
