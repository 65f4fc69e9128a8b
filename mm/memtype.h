/*
 * Memory types of physical addresses from the MTRRs. SDM vol. 3, "Memory Type Range Registers
 * (MTRRs)". Plain functions over a copy of the registers.
 */
#ifndef PLASTRON_MM_MEMTYPE_H
#define PLASTRON_MM_MEMTYPE_H

#include "types.h"
#include "x86.h"

#define MTRR_FIXED_COUNT  11
#define MTRR_VARIABLE_MAX 16 /* pairs kept; processors have 8 to 12 */

struct mtrr_state {
    u64 cap;                     /* IA32_MTRRCAP */
    u64 def_type;                /* IA32_MTRR_DEF_TYPE */
    u64 fixed[MTRR_FIXED_COUNT]; /* 64K at 0; 16K at 80000, A0000; 4K at C0000 ... F8000 */
    u64 base[MTRR_VARIABLE_MAX]; /* IA32_MTRR_PHYSBASEn */
    u64 mask[MTRR_VARIABLE_MAX]; /* IA32_MTRR_PHYSMASKn */
};

#define MEMTYPE_MIXED (-1)

/* The register's place in the state, or NULL if msr is no MTRR of this processor. */
u64 *memtype_msr(struct mtrr_state *state, u32 msr);

/*
 * True if WRMSR of value to the MTRR takes effect, false if it is #GP: reserved bits, reserved
 * types, the read-only IA32_MTRRCAP, a register that this processor has not.
 * physical_bits is MAXPHYADDR.
 */
bool memtype_write_valid(u32 msr, u64 value, const struct mtrr_state *state, u32 physical_bits);

/*
 * The type that all of [pa, pa + size) has, or MEMTYPE_MIXED; size is a power of two of at
 * least PAGE_SIZE, pa a multiple of it. MEMTYPE_MIXED too for a range cut up by masks with
 * holes into more pieces than it pays to look at; never for a single page.
 */
int memtype_range(const struct mtrr_state *state, u64 pa, u64 size);

#endif
