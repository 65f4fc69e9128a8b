/*
 * Bitmaps in which a 1 means a VM exit, a page each: for RDMSR and WRMSR, for VMREAD, for VMWRITE.
 * Pure functions.
 */
#ifndef PLASTRON_VMX_BITMAPS_H
#define PLASTRON_VMX_BITMAPS_H

#include "types.h"

/* What exits for L1 or for L0: `merged` has L1's bits, and gets those of `own`. */
void bitmap_merge(u64 *merged, const u64 *own);

static inline bool bitmap_test(const u8 *bitmap, u32 bit) { return bitmap[bit / 8] >> bit % 8 & 1; }

/* Whether the bitmap for VMREAD or VMWRITE lets the field through, or either half of a 64-bit one.
   The encoding is the whole field's: an even number. */
bool bitmap_lets_field(const u8 *bitmap, u32 encoding);

#endif
