/* L0's own page tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/paging.h"
#include "x86.h"

#define POOL_START 0x100000ull
#define POOL_PAGES 2048u
#define REGION     0x40000000ull /* L0's memory, 2-MiB-aligned */
#define RAM_TOP    (5 * SIZE_1G)

static struct pool pool;
static struct paging paging;

/* text, rodata, data + bss; at consecutive physical addresses. */
static const struct paging_segment segments[] = {
    {L0_VIRT_BASE, L0_VIRT_BASE + 0x12000, REGION, false, true},
    {L0_VIRT_BASE + 0x12000, L0_VIRT_BASE + 0x15000, REGION + 0x12000, false, false},
    {L0_VIRT_BASE + 0x15000, L0_VIRT_BASE + 0x245000, REGION + 0x15000, true, false},
};

static struct paging_layout layout(bool has_1g)
{
    return (struct paging_layout){.segments = segments,
                                  .segment_count = ARRAY_SIZE(segments),
                                  .ram_top = RAM_TOP,
                                  .has_1g = has_1g};
}

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    pool_init(&pool, POOL_START, POOL_START + POOL_PAGES * PAGE_SIZE);
    return 0;
}

struct found {
    bool mapped;
    u64 pa;
    u32 flags;
    u32 level;
};

/* The processor's walk, written down once more: 4 levels, rights over all of them. */
static struct found walk(u64 va)
{
    u64 table = paging.root;
    bool writable = true, no_execute = false;

    for (u32 level = 4;; level--) {
        u32 shift = 12 + 9 * (level - 1);
        u64 entry = fake_get64(table + (va >> shift & 0x1ff) * 8);

        if (!(entry & PTE_P))
            return (struct found){.level = level};
        assert_false(entry & (PTE_U | PTE_PWT | PTE_PCD | PTE_G));
        assert_int_equal(entry >> 52 & 0x7ff, 0);
        assert_true(entry & PTE_A);
        writable = writable && (entry & PTE_W);
        no_execute = no_execute || (entry & PTE_NX);
        table = entry & PTE_ADDR;
        if (level > 1 && !(entry & PTE_PS))
            continue;
        assert_true(level == 1 ? !(entry & PTE_PS) : level <= 3);
        assert_int_equal(table & (BIT64(shift) - 1), 0);
        return (struct found){.mapped = true,
                              .pa = table | (va & (BIT64(shift) - 1)),
                              .flags =
                                  (writable ? PAGING_WRITE : 0) | (no_execute ? 0 : PAGING_EXEC),
                              .level = level};
    }
}

static void assert_mapped(u64 va, u64 pa, u32 flags)
{
    struct found found = walk(va);

    assert_true(found.mapped);
    assert_int_equal(found.pa, pa);
    assert_int_equal(found.flags, flags);
}

static void assert_unmapped(u64 va) { assert_false(walk(va).mapped); }

static void the_address_space_of_l0(void **state)
{
    (void)state;
    for (u32 has_1g = 0; has_1g < 2; has_1g++) {
        struct paging_layout wanted = layout(has_1g);

        setup(NULL);
        assert_true(paging_build(&paging, &pool, &wanted));
        for (u32 i = 0; i < ARRAY_SIZE(segments); i++) {
            const struct paging_segment *s = &segments[i];
            u32 flags = (s->writable ? PAGING_WRITE : 0) | (s->executable ? PAGING_EXEC : 0);

            for (u64 va = s->start; va < s->end; va += PAGE_SIZE) {
                u64 pa = s->pa + va - s->start;

                assert_mapped(va + 0x123, pa + 0x123, flags);
                assert_mapped(L0_DIRECT_BASE + pa, pa, s->writable ? PAGING_WRITE : 0);
            }
        }
        /* All the rest of memory: writable, never executable, in large pages. */
        for (u64 pa = 0; pa < RAM_TOP; pa += 0x1ff000) {
            u32 want = has_1g ? 3 : 2;

            if (pa >= REGION && pa < REGION + 0x15000)
                continue;
            assert_mapped(L0_DIRECT_BASE + pa, pa, PAGING_WRITE);
            if (pa >= REGION && pa < REGION + SIZE_1G)
                want = pa < REGION + SIZE_2M ? 1 : 2;
            assert_int_equal(walk(L0_DIRECT_BASE + pa).level, want);
        }
        assert_unmapped(L0_DIRECT_BASE + RAM_TOP);
        assert_unmapped(L0_DIRECT_BASE - 1);
        assert_unmapped(L0_VIRT_BASE - 1);
        assert_unmapped(L0_VIRT_BASE + 0x245000);
        assert_unmapped(0);
        assert_unmapped(0x7fffffffffff);
        /* root; direct map; its split; image: PDPT, PD, 2 PTs */
        assert_int_equal(pool.total_pages - pool.free_pages, 1 + 1 + 2 + 4 + (has_1g ? 0 : 4));
    }
}

/* W^X over everything that is mapped at all. */
static void nothing_is_both_writable_and_executable(void **state)
{
    struct paging_layout wanted = layout(true);
    u64 pages = 0;

    (void)state;
    assert_true(paging_build(&paging, &pool, &wanted));
    for (u64 i4 = 0; i4 < 512; i4++) {
        u64 e4 = fake_get64(paging.root + i4 * 8);

        for (u64 i3 = 0; (e4 & PTE_P) && i3 < 512; i3++) {
            u64 e3 = fake_get64((e4 & PTE_ADDR) + i3 * 8);

            for (u64 i2 = 0; (e3 & PTE_P) && i2 < 512; i2++) {
                u64 va = i4 << 39 | i3 << 30 | i2 << 21;
                struct found found;

                if (va >> 47)
                    va |= 0xffff000000000000;
                for (u32 i1 = 0; i1 < 512; i1++, va += PAGE_SIZE) {
                    found = walk(va);
                    if (!found.mapped && found.level > 1)
                        break;
                    if (!found.mapped)
                        continue;
                    pages++;
                    assert_true(found.flags != (PAGING_WRITE | PAGING_EXEC));
                    if (found.level > 1)
                        break;
                }
            }
        }
    }
    assert_true(pages > 0x245);
}

static void a_page_is_taken_out_of_a_large_one(void **state)
{
    struct paging_layout wanted = layout(true);
    u64 page = L0_DIRECT_BASE + 3 * SIZE_1G + 0x123000;

    (void)state;
    assert_true(paging_build(&paging, &pool, &wanted));
    assert_int_equal(walk(page).level, 3);
    assert_true(paging_unmap_page(&paging, page + 0x18));
    for (u64 va = page - 0x123000; va < page + SIZE_2M; va += PAGE_SIZE) {
        if (va == page)
            assert_unmapped(va);
        else
            assert_mapped(va, va - L0_DIRECT_BASE, PAGING_WRITE);
    }
    for (u64 va = page & ~(SIZE_1G - 1); va < page + SIZE_1G / 2; va += SIZE_2M)
        assert_mapped(va, va - L0_DIRECT_BASE, PAGING_WRITE);
    assert_int_equal(walk(page + SIZE_2M).level, 2);
    /* Mapped again as a whole: the tables stay, none is lost. */
    assert_true(paging_map(&paging, page - 0x123000, 3 * SIZE_1G, SIZE_2M, PAGING_WRITE));
    assert_mapped(page, page - L0_DIRECT_BASE, PAGING_WRITE);
    assert_int_equal(walk(page).level, 1);
    assert_true(paging_unmap_page(&paging, page)); /* again, and where nothing is */
    assert_true(paging_unmap_page(&paging, 0x123456000));
}

/* Any sizes and alignments, mapped over each other, against one array entry a page. */
#define WINDOW_PAGES 2048u
#define WINDOW       0xffffc00040000000ull

static void random_maps_match_a_model(void **state)
{
    static u64 model[WINDOW_PAGES]; /* pa | flags + 1, or 0 */

    (void)state;
    for (u32 round = 0; round < 60; round++) {
        memset(model, 0, sizeof(model));
        setup(NULL);
        fake_seed(round);
        assert_true(paging_init(&paging, &pool, true));
        for (u32 step = 0; step < 1 + round; step++) {
            u32 page = (u32)fake_below(WINDOW_PAGES);
            u32 pages = (u32)fake_below(WINDOW_PAGES - page) + 1;
            u64 pa = fake_below(0x100000) * PAGE_SIZE;
            u32 flags = (u32)fake_below(4);

            if (fake_below(3) == 0) {
                assert_true(paging_unmap_page(&paging, WINDOW + page * PAGE_SIZE));
                model[page] = 0;
                continue;
            }
            if (fake_below(2)) { /* fit for large pages */
                page &= ~511u;
                pa = align_down(pa, SIZE_2M);
            }
            assert_true(
                paging_map(&paging, WINDOW + page * PAGE_SIZE, pa, pages * PAGE_SIZE, flags));
            for (u32 i = 0; i < pages && page + i < WINDOW_PAGES; i++)
                model[page + i] = (pa + i * PAGE_SIZE) | (flags + 1);
        }
        for (u32 i = 0; i < WINDOW_PAGES; i++) {
            if (model[i])
                assert_mapped(WINDOW + i * PAGE_SIZE, model[i] & PTE_ADDR,
                              (u32)(model[i] & 0xfff) - 1);
            else
                assert_unmapped(WINDOW + i * PAGE_SIZE);
        }
    }
}

static void a_huge_map_is_in_huge_pages(void **state)
{
    (void)state;
    assert_true(paging_init(&paging, &pool, true));
    assert_true(paging_map(&paging, WINDOW - PAGE_SIZE, SIZE_1G - PAGE_SIZE,
                           2 * SIZE_1G + 2 * PAGE_SIZE, PAGING_WRITE));
    assert_int_equal(walk(WINDOW - PAGE_SIZE).level, 1);
    assert_int_equal(walk(WINDOW).level, 3);
    assert_int_equal(walk(WINDOW + SIZE_1G).level, 3);
    assert_int_equal(walk(WINDOW + 2 * SIZE_1G).level, 1);
    assert_mapped(WINDOW + SIZE_1G + 12345, 2 * SIZE_1G + 12345, PAGING_WRITE);
    /* Both addresses must fit. */
    assert_true(paging_map(&paging, WINDOW + 4 * SIZE_1G, PAGE_SIZE, SIZE_2M, PAGING_WRITE));
    assert_int_equal(walk(WINDOW + 4 * SIZE_1G).level, 1);
    assert_mapped(WINDOW + 4 * SIZE_1G, PAGE_SIZE, PAGING_WRITE);
}

/* Every size of pool: false until it suffices; and what was mapped is right all along. */
static void a_small_pool_is_reported(void **state)
{
    struct paging_layout wanted = layout(false);
    u64 page = L0_DIRECT_BASE + 3 * SIZE_1G;
    bool built = false;
    u64 needed = 0;

    (void)state;
    while (!built) {
        pool_init(&pool, POOL_START, POOL_START + needed * PAGE_SIZE);
        built = paging_build(&paging, &pool, &wanted);
        needed += !built;
    }
    assert_int_equal(pool.free_pages, 0);
    assert_false(paging_unmap_page(&paging, page));
    assert_mapped(page, 3 * SIZE_1G, PAGING_WRITE); /* still whole */
    assert_false(paging_map(&paging, WINDOW, 0, PAGE_SIZE, PAGING_WRITE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_address_space_of_l0, setup),
        cmocka_unit_test_setup(nothing_is_both_writable_and_executable, setup),
        cmocka_unit_test_setup(a_page_is_taken_out_of_a_large_one, setup),
        cmocka_unit_test_setup(random_maps_match_a_model, setup),
        cmocka_unit_test_setup(a_huge_map_is_in_huge_pages, setup),
        cmocka_unit_test_setup(a_small_pool_is_reported, setup),
    };

    return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
