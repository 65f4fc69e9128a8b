/*
 * Physical memory for the unit tests: mm/phys.h and pool_va() over an array at physical
 * address 0. What is hidden or beyond the array behaves as mm/phys.h says.
 */
#ifndef PLASTRON_TESTS_FAKE_PHYS_H
#define PLASTRON_TESTS_FAKE_PHYS_H

#include "types.h"

#define FAKE_PHYS_SIZE (128ull << 20)

/* All zero, nothing hidden, no hooks, counters 0. Call it first in each test. */
void fake_phys_reset(void);

void fake_phys_hide(u64 base, u64 size);

/* Straight access for the tests: not counted, no hooks, nothing hidden. */
u64 fake_get64(u64 pa);
void fake_put64(u64 pa, u64 value);
u32 fake_get32(u64 pa);
void fake_put32(u64 pa, u32 value);

/* Called after each phys_read32/64 (with its address) and before each phys_set_bits32/64. */
extern void (*fake_after_read)(u64 pa);
extern void (*fake_before_set)(u64 pa);

extern u64 fake_reads; /* phys_read32 and phys_read64 calls */
extern u64 fake_sets;  /* phys_set_bits calls that set something */
extern u64 fake_bytes; /* that phys_read and phys_write were asked for */

/* The same numbers in each run: splitmix64 from a seed. */
void fake_seed(u64 seed);
u64 fake_random(void);
static inline u64 fake_below(u64 bound) { return fake_random() % bound; }

#endif
