/*
 * Physical memory as L1 sees it, read and written by L0 on behalf of L1 or L2. What is hidden
 * from L1, or beyond the direct map, reads as all ones, and writes to it are dropped: the same
 * as an access by L1 itself. Every function takes any address; none can fault.
 */
#ifndef PLASTRON_MM_PHYS_H
#define PLASTRON_MM_PHYS_H

#include "types.h"

/* Reads are single accesses of that size: what they return is checked and used, never re-read.
   The address must be naturally aligned. */
u64 phys_read64(u64 pa);
u32 phys_read32(u64 pa);

/* The table of 512 entries at pa, a page's address, for reading; NULL where L1 has no memory. Each
   entry is read once, as above. */
const u64 *phys_table(u64 pa);

/* Sets bits in the aligned 64-bit or 32-bit word at pa, atomically, if it still equals old;
   false if it does not (or is hidden). For accessed and dirty flags. */
bool phys_set_bits64(u64 pa, u64 old, u64 bits);
bool phys_set_bits32(u64 pa, u32 old, u32 bits);
/* The same for EPT12's own flags, which EPT02 has already. */
bool phys_set_flags(u64 pa, u64 old, u64 bits);

/* Copies len bytes, which may cross pages; 2, 4 or 8 that are aligned in one access. */
void phys_read(void *to, u64 pa, u64 len);
void phys_write(u64 pa, const void *from, u64 len);

/* True if any byte of [pa, pa + len) is L0's own memory. */
bool phys_is_hidden(u64 pa, u64 len);

#endif
