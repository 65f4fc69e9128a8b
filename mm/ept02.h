/*
 * The EPTs that L2 runs on (EPT02): what EPT12 and EPT01 both allow, filled as L2 touches memory.
 * A table of EPT02 mirrors a table of EPT12, entry by entry, so that trees share tables where
 * L1's do, and all cores share the trees. EPT01 is the identity without what is hidden: an entry
 * of EPT02 is EPT12's, or 0 if it has not been used, is not valid, or leads to hidden memory.
 *
 * L1 changes its tables in memory and says so by INVEPT, as to a processor that caches them. The
 * next VM entry's ept02_sync() then reads those tables again that may have changed: a table that
 * has stayed the same for a while is write-protected in EPT01, and is read again only after L1 has
 * written to it.
 */
#ifndef PLASTRON_MM_EPT02_H
#define PLASTRON_MM_EPT02_H

#include "ept01.h"
#include "ept12.h"
#include "exposure.h"
#include "shadow.h"
#include "types.h"
#include "watch.h"
#include "../hv/spinlock.h"

struct ept02 {
    struct spinlock lock; /* of all but the lowest tables' entries; comes before ept01_lock */
    struct shadow shadow;
    struct exposure exposure;
    struct ept12_caps caps;
    struct ept01 *ept01;
    struct spinlock *ept01_lock;
    u32 empty; /* a table without entries, a root for want of a better one */
    u32 hand;  /* of the clock that looks for pages to reuse */
    u32 given; /* pages that are EPT01's tables now */
    u32 lent;  /* and those that cores keep for their vmcs02s */
    u64 syncs_asked, syncs_done;
    u64 unlinked;          /* counts links that were taken away */
    struct watch *watches; /* list */
    /* Counters. */
    u64 tables, reads, changes, protections, reclaimed;
};

/*
 * Where EPT12 has no entry for an address of L2: the table of EPT02 for that, and what EPT12's
 * entries say on the way there. A core keeps it: other addresses of the same table come the same
 * way as long as no link was taken away and EPT12's entries stay. All zero: none.
 */
struct ept02_gap {
    u32 root, index;
    struct shadow_page *page; /* of that index: the table's */
    u64 *table;
    u32 level;
    u64 size;     /* of its pages */
    u32 shift;    /* it is for the addresses that have */
    u64 prefix;   /* this from that bit on */
    u64 unlinked; /* struct ept02's */
    u64 mask;     /* what counts in an entry of EPT12 that is a link */
    u64 address;  /* what differs between valid pages of the table: the bits of their address */
    u64 valid;    /* EPT12's last page there; 0: none yet */
    u32 links;
    struct {
        const u64 *entry12;
        u64 value;
    } link[EPT12_LEVELS_MAX - 1];
    const u64 *table12; /* EPT12's table */
};

enum ept02_result {
    EPT02_FILLED,        /* L2 may try again */
    EPT02_HIDDEN,        /* EPT12 allows it, but the memory is L0's */
    EPT02_VIOLATION,     /* EPT12 does not allow it: exit reason 48 */
    EPT02_MISCONFIGURED, /* exit reason 49 */
    EPT02_LOG_FULL,      /* exit reason 62 */
};

/* Takes over [start, end), for an L1 with memory below ram_top, a multiple of 1 GiB. */
void ept02_init(struct ept02 *ept, u64 start, u64 end, u64 ram_top, const struct ept12_caps *caps,
                struct ept01 *ept01, struct spinlock *ept01_lock);

/*
 * The root that stands for EPTP12 (with EPT12_MODE_BASED if it is read so), made if there is none.
 * It is put into *user, which is that core's, and stays as long as it stands there. With no page
 * left *user gets one without entries, at which L2 exits at once. A core that uses an EPTP12 for
 * the first time has nothing cached of it: ept02_sync() is due, and in this.
 */
void ept02_use_root(struct ept02 *ept, u64 eptp12, u32 core, u32 *user);

/* The hardware's EPTP for it. */
u64 ept02_pointer(const struct ept02 *ept, u64 eptp12, u32 root);

/*
 * Maps the page that L2 touched at ngpa for an access that needs the rights EPT_READ ... in
 * `access`, and those around it that EPT12 maps; and sets EPT12's accessed and dirty flags; a page
 * that becomes dirty is logged. The walk of EPT12 is left in *walk. FILLED may also mean that
 * nothing was, as L1 changes EPT12 or pages have run out: L2 comes back. *gap is this core's.
 */
enum ept02_result ept02_fill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access,
                             struct ept12_log *log, struct ept12_translation *walk,
                             struct ept02_gap *gap);

/* After a VIOLATION: maps the page before L2 touches it, if EPT12 has an entry by now, and L2 would
   see nothing of it. */
void ept02_prefill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access,
                   struct ept02_gap *gap);

/* A zeroed page's physical address, for an overlay; 0: not now, try again later. */
u64 ept02_take_table(struct ept02 *ept);

/* A zeroed page's physical address, for a core to keep. 0: none is free, or an eighth of all pages is
   kept so. */
u64 ept02_give_page(struct ept02 *ept);

/* A VM entry with nothing cached, as after INVEPT: what L1 has changed before is seen. */
void ept02_sync(struct ept02 *ept);

/* L1's memory at pa is about to be written: false if it was not protected. */
bool ept02_source_written(struct ept02 *ept, u64 pa);

/* Write-protects a page of L1's in EPT01, for all cores that pass the next epoch; false if that is
   not possible now. The lock is held. */
bool ept02_forbid_writes(struct ept02 *ept, u64 gpa);

/* The processor writes to the page of L1's at pa, by physical address, as long as this stands in
 *page; 0: to none. */
void ept02_set_written(struct ept02 *ept, u64 *page, u64 pa);

/* Calls flush() with the hardware's EPTP for each root that stands for an EPTP of L1's. */
void ept02_each_pointer(struct ept02 *ept, u64 eptp, void (*flush)(u64 pointer));

/* ---- What the cores' owner provides ---- */

/* From now on every core invalidates all, at its next exit or before it runs L2 again; the number
   of this, greater than all before. */
u64 cores_new_epoch(void);
/* All cores that run L2 have done so; if not, they are asked to exit. */
bool cores_passed(u64 epoch);
/* All cores but this one have. */
bool cores_caught_up(u64 epoch);
/* A core has this root in use. */
bool cores_use_root(u32 root);

#endif
