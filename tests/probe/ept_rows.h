/* What the files of rows about EPT share. */
#ifndef EPT_ROWS_H
#define EPT_ROWS_H

#include "guest_rows.h"

#define EPT_WB_BITS (6ull << EPT_MEMORY_TYPE_SHIFT)
#define EPT_LEAF    (EPT_RWX | EPT_WB_BITS)
#define SPARE_ENTRY ept_entry(L2_SPARE)
#define EPT_GIB     0x40000000ull

/* Flags in the upper three levels, which cover all of the guest. */
static inline u64 *ept_pml4(void) { return (u64 *)arena_page(PAGE_EPT_PML4); }
static inline u64 *ept_pdpt(void) { return (u64 *)arena_page(PAGE_EPT_PDPT); }
static inline u64 *ept_pd(void) { return (u64 *)arena_page(PAGE_EPT_PD); }

/* Starts a row with a guest on EPT; false if it is not wanted, or not possible here. */
bool ept_row(const char *group, enum guest_mode mode, const char *name, const char *code);

/* Guest-virtual L2_SPARE in a large page of the guest-physical addresses from 2 MiB or 1 GiB on,
   which EPT maps with this entry: PAGE_SCRATCH is what the guest reaches. */
u64 *ept_large_page(u32 level);

/* Guest-virtual EPT_GIB and the GiB from there on are guest-physical, which EPT maps by this entry.
 */
void ept_gib(u64 entry);

/* Pages that L0's shadow page tables take. */
u64 shadow_in_use(void);

/* The accessed and dirty flags of all entries that have one. */
void say_ept_flags(void);

/* Runs on at the guest's entry, with what EPT says now. */
void guest_again(void);

#endif
