#include "paging.h"
#include "boot_info.h"

/* Bits of a paging-structure entry: SDM volume 3, "4-Level Paging and 5-Level Paging". */
#define PTE_PRESENT   BIT64(0)
#define PTE_WRITABLE  BIT64(1)
#define PTE_PAGE_SIZE BIT64(7)

#define PML4_SHIFT            39
#define PDPT_SHIFT            30
#define PD_SHIFT              21
#define INDEX(address, shift) ((address) >> (shift) & (PAGE_TABLE_ENTRIES - 1))

/* Where each kind of table starts, in pages from the block's start, in the order they lie there. */
struct layout {
    u64 image_pdpt;
    u64 image_pd;
    u64 direct_pdpts;
    u64 direct_pds;
    u64 end;
};

static u64 divide_up(u64 value, u64 unit) { return (value + unit - 1) / unit; }

static struct layout lay_out(const struct paging_request *request)
{
    struct layout layout;

    layout.image_pdpt = request->cpu_count;
    layout.image_pd = layout.image_pdpt + 1;
    layout.direct_pdpts = layout.image_pd + 1;
    layout.direct_pds = layout.direct_pdpts + divide_up(request->ram_top, BIT64(PML4_SHIFT));
    layout.end = layout.direct_pds + (request->has_1g_pages ? 0 : request->ram_top / SIZE_1G);
    return layout;
}

u64 paging_page_count(const struct paging_request *request) { return lay_out(request).end; }

/* Fills count entries with successive pages of the given size, or with successive tables. */
static void fill(u64 *entries, u64 count, u64 physical, u64 step, u64 flags)
{
    for (u64 i = 0; i < count; i++)
        entries[i] = (physical + i * step) | PTE_PRESENT | PTE_WRITABLE | flags;
}

void paging_build(const struct paging_request *request, u64 *tables, u64 physical)
{
    struct layout layout = lay_out(request);
    u64 gigabytes = request->ram_top / SIZE_1G;

    __builtin_memset(tables, 0, layout.end * PAGE_SIZE);

    for (u32 cpu = 0; cpu < request->cpu_count; cpu++) {
        u64 *pml4 = tables + cpu * PAGE_TABLE_ENTRIES;

        fill(pml4 + INDEX(L0_VIRT_BASE, PML4_SHIFT), 1, physical + layout.image_pdpt * PAGE_SIZE, 0,
             0);
        fill(pml4 + INDEX(L0_DIRECT_BASE, PML4_SHIFT), layout.direct_pds - layout.direct_pdpts,
             physical + layout.direct_pdpts * PAGE_SIZE, PAGE_SIZE, 0);
    }

    fill(tables + layout.image_pdpt * PAGE_TABLE_ENTRIES + INDEX(L0_VIRT_BASE, PDPT_SHIFT), 1,
         physical + layout.image_pd * PAGE_SIZE, 0, 0);
    fill(tables + layout.image_pd * PAGE_TABLE_ENTRIES + INDEX(L0_VIRT_BASE, PD_SHIFT),
         divide_up(request->image_size, SIZE_2M), request->region_base, SIZE_2M, PTE_PAGE_SIZE);

    /* The direct map's tables of one kind lie behind each other, so each level is one long table.
     */
    if (request->has_1g_pages) {
        fill(tables + layout.direct_pdpts * PAGE_TABLE_ENTRIES, gigabytes, 0, SIZE_1G,
             PTE_PAGE_SIZE);
    } else {
        fill(tables + layout.direct_pdpts * PAGE_TABLE_ENTRIES, gigabytes,
             physical + layout.direct_pds * PAGE_SIZE, PAGE_SIZE, 0);
        fill(tables + layout.direct_pds * PAGE_TABLE_ENTRIES, gigabytes * PAGE_TABLE_ENTRIES, 0,
             SIZE_2M, PTE_PAGE_SIZE);
    }
}

void paging_copy_lower_half(u64 *pml4, const u64 *current)
{
    __builtin_memcpy(pml4, current, PAGE_TABLE_ENTRIES / 2 * sizeof(*pml4));
}
