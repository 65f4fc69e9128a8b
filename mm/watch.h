/*
 * Pages of L1's memory that L0 keeps a copy of: bitmaps, merged with its own. A copy is made anew
 * until L1 has left the page alone for a few times; then the page is write-protected in EPT01, as
 * EPT12's tables are, and the copy stays as it is until L1 writes there.
 */
#ifndef PLASTRON_MM_WATCH_H
#define PLASTRON_MM_WATCH_H

#include "types.h"

struct ept02;

struct watch {
    u64 page;
    bool listed; /* there is a page */
    bool still;  /* L1 cannot write there without L0; read without the lock */
    bool protected;
    u8 quiet, patience; /* copies since then, and how many it takes, as a power of two */
    u64 protected_at;   /* all cores that have passed this epoch cannot write any more */
    struct watch *next;
};

/* Looks at a page that is not still: its copy is about to be made anew. */
void watch_look(struct ept02 *ept, struct watch *watch, u64 pa);

/* Whether the copy of the page at pa has to be made anew, if it was made the last time. A watch is
   one core's. */
static inline bool watch_changed(struct ept02 *ept, struct watch *watch, u64 pa)
{
    if (watch->page == pa && __atomic_load_n(&watch->still, __ATOMIC_ACQUIRE))
        return false;
    watch_look(ept, watch, pa);
    return true;
}

/* L1 is about to write to the page at pa. EPT02's lock is held. */
void watch_written(struct watch *first, u64 pa);

#endif
