/* The firmware's memory map, and the region L0 gets of it. */
#ifndef PLASTRON_BOOT_MEMORY_H
#define PLASTRON_BOOT_MEMORY_H

#include "types.h"

struct memory_summary {
    u64 ram_bytes;   /* in RAM, without what is reserved */
    u64 ram_top;     /* as in struct boot_info */
    u64 low_ram_top; /* likewise */
};

/* False if the firmware does not give out its memory map. */
bool memory_summarize(struct memory_summary *summary);

/*
 * Reserves size bytes (a multiple of 2 MiB), 2-MiB-aligned, as high as possible, as
 * EfiReservedMemoryType, so that no later owner of the map touches them. Returns the physical
 * address; 0 if there is no such piece, and then *largest is the size of the largest one.
 */
u64 memory_reserve(u64 size, u64 *largest);

/* Pages for the loader's own use, 0 if there are none. */
u64 memory_allocate(u64 page_count);

/* Gives back bytes, a multiple of the page size, of memory_reserve() or memory_allocate(). */
void memory_free(u64 address, u64 bytes);

#endif
