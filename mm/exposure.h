/*
 * How many entries of EPT02 let L2 write to each page of L1's memory, and which pages are
 * write-protected in EPT01, for L0 to see what L1 writes there. A table of EPT12 that L2 can write
 * to must not count as unchanged because L1 did not write to it.
 */
#ifndef PLASTRON_MM_EXPOSURE_H
#define PLASTRON_MM_EXPOSURE_H

#include "types.h"

#define EXPOSURE_LEVELS 3 /* pages of 4 KiB, 2 MiB, 1 GiB */

/* A counter that is full stays so. */
struct exposure {
    u64 top;                     /* there are counters for the memory below */
    u8 *counts[EXPOSURE_LEVELS]; /* by page of that size */
    u64 *guards;                 /* a bit for each page of 4 KiB */
};

/* Bytes of counters and bits for [0, top), top a multiple of 1 GiB. */
u64 exposure_size(u64 top);

/* All zero, in the memory given. */
void exposure_init(struct exposure *exposure, u64 top, void *memory);

/* An entry of a level, with EPT_WRITE or without, has been added; or is about to be removed. True:
   it would let L2 write to a protected page. */
bool exposure_add(struct exposure *exposure, u64 entry, u32 level);
void exposure_remove(struct exposure *exposure, u64 entry, u32 level);

/* L2 can write to the 4-KiB page at gpa. */
bool exposure_any(const struct exposure *exposure, u64 gpa);

/* The 4-KiB page at gpa, below top, is protected, or not any more. */
void exposure_guard(struct exposure *exposure, u64 gpa, bool guard);

/* The same without adding it. */
bool exposure_hits_guard(const struct exposure *exposure, u64 entry, u32 level);

#endif
