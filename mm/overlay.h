/*
 * An EPT that differs from another one in a few 4-KiB pages: the tables on the way to these are
 * copies, all others are the other's own. For one core at a time; it follows changes of the tables
 * that were copied only when it is built again.
 */
#ifndef PLASTRON_MM_OVERLAY_H
#define PLASTRON_MM_OVERLAY_H

#include "types.h"

#define OVERLAY_PAGES  9 /* that differ */
#define OVERLAY_TABLES (1 + OVERLAY_PAGES * 4)

struct overlay {
    u32 used;                   /* of these: */
    u64 tables[OVERLAY_TABLES]; /* physical addresses; 0: not there yet */
};

struct overlay_page {
    u64 gpa;   /* what is translated: any address in the page */
    u64 entry; /* the EPT's entry for it, with all its bits */
};

/*
 * Builds it over the tree with that root and number of levels, with tables from alloc(), a zeroed
 * page's physical address or 0, which stay in the structure for the next time. The root's address;
 * 0 if there was no page.
 */
u64 overlay_build(struct overlay *overlay, u64 root, u32 levels, const struct overlay_page *pages,
                  u32 count, u64 (*alloc)(void));

#endif
