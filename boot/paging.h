/*
 * The page tables on which the cores call L0, as include/boot_info.h describes them. Built of
 * large pages in one block of memory; no EFI.
 */
#ifndef PLASTRON_BOOT_PAGING_H
#define PLASTRON_BOOT_PAGING_H

#include "types.h"

#define PAGE_TABLE_ENTRIES 512

struct paging_request {
    u64 region_base; /* 2-MiB-aligned */
    u64 image_size;  /* at most 1 GiB */
    u64 ram_top;     /* 1-GiB-aligned, at most 64 TiB */
    u32 cpu_count;
    bool has_1g_pages; /* CPUID.80000001H:EDX.Page1GB[26] */
};

/* 4-KiB pages that the tables take. */
u64 paging_page_count(const struct paging_request *request);

/*
 * Builds the upper halves of cpu_count PML4 tables and all tables below them in
 * paging_page_count() pages at tables, whose physical address is physical. Core i's PML4 is page i
 * of them. The lower halves stay empty.
 */
void paging_build(const struct paging_request *request, u64 *tables, u64 physical);

/* Gives pml4 the lower half of current, so that what was mapped there stays mapped. */
void paging_copy_lower_half(u64 *pml4, const u64 *current);

#endif
