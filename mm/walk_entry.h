/*
 * The formats of paging-structure entries, in every paging mode: what a walk of linear addresses
 * makes of them. Shared by the walk on behalf of a guest (mm/walk.c) and the one that only looks
 * (mm/inspect.c). SDM vol. 3, "Paging".
 */
#ifndef PLASTRON_MM_WALK_ENTRY_H
#define PLASTRON_MM_WALK_ENTRY_H

#include "walk.h"
#include "x86.h"

/* A walk has at most that many entries, and levels. */
#define WALK_LEVELS_MAX 5

/* 32-bit paging: bits 20:13 of a 4-MiB page's entry are address bits 39:32 (PSE-36). */
#define PSE36_SHIFT 13
#define PSE36_HIGH  0xffull
#define PSE_ADDR    0xffc00000ull
#define PTE32_ADDR  0xfffff000ull
#define PSE36_BITS  40u

enum paging_mode { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG };

/* One walk: what was read on the way, top level first. */
struct walk {
    const struct walk_context *context;
    enum paging_mode mode;
    u64 linear;
    u32 access;
    u32 level; /* of the entry read last; 1 is the lowest */
    u32 depth; /* entries read */
    u64 entry_pa[WALK_LEVELS_MAX];
    u64 entry[WALK_LEVELS_MAX];
    bool writable;   /* in all entries so far */
    bool user;       /* likewise */
    bool no_execute; /* in any */
    u32 key;         /* protection key of the page */
    u64 reserved;    /* bits that are in every entry, but with 32-bit paging */
    bool flags_set;  /* accessed in all entries so far, and dirty in that of a page to be written */
};

static inline enum paging_mode paging_mode(const struct walk_context *context)
{
    if (!(context->cr0 & CR0_PG))
        return PAGING_NONE;
    if (!(context->cr4 & CR4_PAE))
        return PAGING_32;
    return context->efer & EFER_LMA ? PAGING_LONG : PAGING_PAE;
}

/* NX is a right only in entries of 8 bytes and with EFER.NXE. */
static inline bool walk_has_nx(const struct walk *walk)
{
    return walk->mode != PAGING_32 && (walk->context->efer & EFER_NXE);
}

/* Bits low to high, both included; none if low > high. */
static inline u64 walk_bits(u32 low, u32 high)
{
    u64 below_high = high >= 63 ? ~0ull : BIT64(high + 1) - 1;

    return low > high ? 0 : below_high & ~(BIT64(low) - 1);
}

/* True if an entry of this level maps a page rather than naming a table. */
static inline bool walk_maps_page(const struct walk *walk, u64 entry)
{
    if (walk->level == 1)
        return true;
    if (!(entry & PTE_PS))
        return false;
    if (walk->mode == PAGING_32)
        return walk->context->cr4 & CR4_PSE;
    return walk->level == 2 || (walk->level == 3 && walk->context->has_1g);
}

/* Those of every entry of 8 bytes: beyond the physical addresses, and NX where it is no right. */
static inline u64 walk_reserved_always(const struct walk *walk)
{
    u64 reserved = walk_bits(walk->context->physical_bits, walk->mode == PAGING_PAE ? 62 : 51);

    return walk_has_nx(walk) ? reserved : reserved | PTE_NX;
}

/* Reserved bits of a present entry. SDM vol. 3, the formats of paging-structure entries. */
static inline u64 walk_reserved(const struct walk *walk, bool page)
{
    u32 physical_bits = walk->context->physical_bits;
    u64 reserved;

    if (walk->mode == PAGING_32) {
        if (!page || walk->level == 1)
            return 0;
        return walk_bits((physical_bits < PSE36_BITS ? physical_bits : PSE36_BITS) - 19, 21);
    }
    reserved = walk->reserved;
    if (walk->level > 2 && !page)
        reserved |= PTE_PS; /* only reached with PS set where no page can be */
    if (page && walk->level > 1)
        reserved |= walk_bits(13, 12 + 9 * (walk->level - 1) - 1); /* bit 12 is PAT */
    return reserved;
}

/* The table that the walk starts in, and its level, in walk->level; not with PAE paging. */
static inline u64 walk_root(struct walk *walk)
{
    const struct walk_context *context = walk->context;
    u64 address = context->cr3 & walk_bits(PAGE_SHIFT, context->physical_bits - 1);

    if (walk->mode == PAGING_32) {
        walk->level = 2;
        return context->cr3 & PTE32_ADDR;
    }
    walk->level = context->cr4 & CR4_LA57 ? 5 : 4;
    return address;
}

/* With PAE paging the table that the PDPTE register for the linear address names, if it is present:
   of level 2. */
static inline u64 walk_pdpte_table(const struct walk *walk, u64 pdpte)
{
    return pdpte & walk_bits(PAGE_SHIFT, walk->context->physical_bits - 1);
}

/* The address of the entry for the linear address in a table. */
static inline u64 walk_entry_address(const struct walk *walk, u64 table)
{
    bool narrow = walk->mode == PAGING_32;
    u32 index_bits = narrow ? 10 : 9;
    u64 index = walk->linear >> (PAGE_SHIFT + index_bits * (walk->level - 1));

    index &= BIT64(index_bits) - 1;
    return table + index * (narrow ? sizeof(u32) : sizeof(u64));
}

/* The table that an entry names. */
static inline u64 walk_table(const struct walk *walk, u64 entry)
{
    return entry & (walk->mode == PAGING_32 ? PTE32_ADDR : PTE_ADDR);
}

/* The address in the page that an entry maps. */
static inline u64 walk_page_address(const struct walk *walk, u64 entry)
{
    u64 offset_bits = PAGE_SHIFT + 9 * (walk->level - 1);
    u64 frame = entry & PTE_ADDR;

    if (walk->mode == PAGING_32) {
        if (walk->level == 1)
            return (entry & PTE32_ADDR) | (walk->linear & ~PAGE_MASK);
        frame = (entry & PSE_ADDR) | (entry >> PSE36_SHIFT & PSE36_HIGH) << 32;
        return frame | (walk->linear & ~PSE_ADDR & 0xffffffff);
    }
    return align_down(frame, BIT64(offset_bits)) | (walk->linear & (BIT64(offset_bits) - 1));
}

#endif
