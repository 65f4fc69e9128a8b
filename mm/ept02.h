/*
 * The EPTs that L2 runs on (EPT02): for each EPTP of L1 (EPTP12) a tree that holds what EPT12
 * and EPT01 both allow, filled as L2 touches memory, forgotten when L1 executes INVEPT, just as
 * a processor's translation cache.
 *
 * Each core has its own trees and its own pages for them, as each has its own caches: nothing is
 * locked, an INVEPT reaches as far as the architecture says, and a page can be reused at once.
 * When the pages run out all trees of the core are dropped and filled anew.
 */
#ifndef PLASTRON_MM_EPT02_H
#define PLASTRON_MM_EPT02_H

#include "ept12.h"
#include "pool.h"
#include "types.h"

#define EPT02_TREES 8

/*
 * The key of a tree is EPTP12, with EPT12_MODE_BASED if it is read so, or for an L2 without EPT
 * that has an APIC-access page, that page's address with this (as an EPTP it would have an invalid
 * memory type): such a tree maps what EPT01 maps, the APIC-access page and its neighbours in 4-KiB
 * pages.
 */
#define EPT02_IDENTITY 1ull

struct ept02_tree {
    u64 eptp12;
    u64 root; /* physical address of the top table; 0: the place is free */
    u32 levels;
    u64 used; /* value of ept02.clock when last looked up */
};

struct ept02 {
    struct pool pool;
    u64 pool_start, pool_end;
    struct ept02_tree trees[EPT02_TREES];
    u64 clock;
};

enum ept02_result {
    EPT02_FILLED,        /* L2 may try again, on the EPTP that ept02_pointer() now gives */
    EPT02_HIDDEN,        /* EPT12 allows it, but the memory is L0's */
    EPT02_UNMAPPED,      /* the same, but EPT01 has no entry yet: it is mapped on demand */
    EPT02_VIOLATION,     /* EPT12 does not allow it: exit reason 48 */
    EPT02_MISCONFIGURED, /* exit reason 49 */
    EPT02_LOG_FULL,      /* exit reason 62 */
};

/* Takes over [start, end) for the calling core's trees. */
void ept02_init(struct ept02 *ept, u64 start, u64 end);

/* The EPTP that stands for EPTP12 in vmcs02; makes an empty tree if there is none. */
u64 ept02_pointer(struct ept02 *ept, u64 eptp12);

/* Maps the page that L2 touched at ngpa for an access that needs the rights EPT_READ ... in
   `access`, and sets EPT12's accessed and dirty flags; a page that becomes dirty is logged. The
   walk of EPT12 is left in *walk. */
enum ept02_result ept02_fill(struct ept02 *ept, u64 eptp12, u64 ngpa, u64 access,
                             struct ept12_log *log, struct ept12_translation *walk);

/* Puts a leaf at a level, or takes the 4-KiB page's away again. */
void ept02_map(struct ept02 *ept, u64 eptp12, u64 ngpa, u64 leaf, u32 level);
void ept02_unmap(struct ept02 *ept, u64 eptp12, u64 ngpa);

/* INVEPT of one EPTP12, and of all. */
void ept02_invalidate(struct ept02 *ept, u64 eptp12);
void ept02_invalidate_all(struct ept02 *ept);

#endif
