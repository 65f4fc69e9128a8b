/* An EPT that differs from another one in a few pages: every translation is the other's but theirs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "mm/overlay.h"
#include "fake_phys.h"
#include "mm/pool.h"
#include "vmx.h"
#include "x86.h"

#define BASE_START 0x100000ull /* the other's tables */
#define BASE_END   0x400000ull
#define OWN_START  0x400000ull /* the overlay's */
#define MINE       (0xabc000ull | EPT_RWX | MT_WB << EPT_MEMORY_TYPE_SHIFT)

static struct pool base_pool, own_pool;
static struct overlay overlay;
static u64 root;
static u32 levels;
static u8 base_before[BASE_END - BASE_START];

static u64 alloc(void) { return pool_alloc(&own_pool); }

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    pool_init(&base_pool, BASE_START, BASE_END);
    pool_init(&own_pool, OWN_START, OWN_START + OVERLAY_TABLES * PAGE_SIZE);
    overlay = (struct overlay){0};
    levels = 4;
    root = pool_alloc(&base_pool);
    return 0;
}

static u32 shift_of(u32 level) { return 12 + 9 * (level - 1); }

static u64 slot(u64 table, u64 gpa, u32 level)
{
    return table + (gpa >> shift_of(level) & 511) * 8;
}

/* Maps a page of this level in the other EPT; the tables on the way have these rights. */
static void map(u64 gpa, u32 page_level, u64 entry, u64 link_rights)
{
    u64 table = root;

    for (u32 level = levels; level > page_level; level--) {
        u64 at = slot(table, gpa, level);

        if (fake_get64(at) & EPT_LARGE)
            return;
        if (!fake_get64(at))
            fake_put64(at, pool_alloc(&base_pool) | link_rights);
        table = fake_get64(at) & EPT_ADDR;
    }
    fake_put64(slot(table, gpa, page_level), entry | (page_level > 1 ? EPT_LARGE : 0));
}

/* What the processor makes of an address. */
struct found {
    bool present;
    u64 address, rights, attributes;
};

static struct found walk(u64 table, u64 gpa)
{
    struct found found = {.rights = EPT_RWX | EPT_EXEC_USER};

    for (u32 level = levels;; level--) {
        u64 entry = fake_get64(slot(table, gpa, level)), size = BIT64(shift_of(level));

        if (!(entry & (EPT_RWX | EPT_EXEC_USER)))
            return (struct found){0};
        found.rights &= entry;
        if (level == 1 || entry & EPT_LARGE) {
            found.present = true;
            assert_int_equal(entry & EPT_ADDR & (size - 1), 0);
            found.address = (entry & EPT_ADDR) | (gpa & (size - 1));
            found.attributes = entry & (EPT_MEMORY_TYPE | EPT_IGNORE_PAT);
            return found;
        }
        assert_int_equal(entry & (EPT_MEMORY_TYPE | EPT_IGNORE_PAT), 0);
        table = entry & EPT_ADDR;
    }
}

static void assert_same(u64 own, u64 gpa)
{
    struct found want = walk(root, gpa), got = walk(own, gpa);

    assert_int_equal(got.present, want.present);
    assert_int_equal(got.address, want.address);
    assert_int_equal(got.rights, want.rights);
    assert_int_equal(got.attributes, want.attributes);
}

static void assert_mine(u64 own, u64 gpa)
{
    struct found got = walk(own, gpa);

    assert_true(got.present);
    assert_int_equal(got.address, (MINE & EPT_ADDR) | (gpa & 0xfff));
    assert_int_equal(got.attributes, MINE & EPT_MEMORY_TYPE);
}

static u64 build(const struct overlay_page *pages, u32 count)
{
    return overlay_build(&overlay, root, levels, pages, count, alloc);
}

static void without_pages_it_is_the_other_one(void **state)
{
    u64 own;

    (void)state;
    map(0x12345000, 1, 0x777000 | EPT_RWX, EPT_RWX);
    own = build(NULL, 0);
    assert_int_equal(own, OWN_START);
    assert_same(own, 0x12345678);
    assert_same(own, 0x12346000);
    assert_int_equal(overlay.used, 1);
}

/* A page of each size under the one that differs, or nothing. */
static void what_lies_around_the_page_stays(void **state)
{
    (void)state;
    for (levels = 4; levels <= 5; levels++)
        for (u32 page_level = 0; page_level <= 3; page_level++) {
            u64 gpa = 0x7654321000, size = page_level ? BIT64(shift_of(page_level)) : 0;
            struct overlay_page page = {gpa | 0x123, MINE};
            u64 own;
            u32 saved = levels;

            setup(NULL);
            levels = saved;
            if (page_level)
                map(gpa, page_level, 0x40000000 | EPT_READ | EPT_EXEC | MT_WT << 3 | EPT_IGNORE_PAT,
                    EPT_RWX);
            own = build(&page, 1);
            assert_mine(own, gpa);
            assert_mine(own, gpa + 0xfff);
            assert_int_equal(walk(own, gpa).rights & EPT_RWX, EPT_RWX);
            for (u64 distance = PAGE_SIZE; distance < BIT64(40); distance *= 2) {
                assert_same(own, gpa + distance);
                assert_same(own, gpa - distance);
            }
            for (u64 at = align_down(gpa, size | 1); at < align_down(gpa, size | 1) + size;
                 at += PAGE_SIZE * 7)
                if (at >> 12 != gpa >> 12)
                    assert_same(own, at);
        }
}

/* Above a page that differs the rights are the other's. */
static void rights_on_the_way_stay(void **state)
{
    const struct overlay_page page = {0x1000, MINE};
    u64 own;

    (void)state;
    map(0x1000, 1, 0x777000 | EPT_RWX, EPT_READ | EPT_EXEC);
    map(0x2000, 1, 0x778000 | EPT_RWX, 0);
    own = build(&page, 1);
    assert_int_equal(walk(own, 0x1000).rights, EPT_READ | EPT_EXEC);
    assert_same(own, 0x2000);
}

/* As it is built again, it takes the same tables, and forgets what it was. */
static void tables_are_used_again(void **state)
{
    struct overlay_page page = {0x1000, MINE};
    u64 own, free_pages;

    (void)state;
    map(0x1000, 1, 0x777000 | EPT_RWX, EPT_RWX);
    own = build(&page, 1);
    assert_mine(own, 0x1000);
    free_pages = own_pool.free_pages;
    map(0x3000, 1, 0x779000 | EPT_READ, EPT_RWX); /* followed now */
    page.gpa = BIT64(45) + 0x5000;
    assert_int_equal(build(&page, 1), own);
    assert_int_equal(own_pool.free_pages, free_pages);
    assert_mine(own, BIT64(45) + 0x5000);
    assert_same(own, BIT64(45) + 0x6000);
    assert_same(own, 0x1000);
    assert_same(own, 0x3000);
}

/* Pages that share no table, on five levels. */
static void the_most_pages_fit(void **state)
{
    struct overlay_page pages[OVERLAY_PAGES];
    u64 own;

    (void)state;
    levels = 5;
    for (u32 i = 0; i < OVERLAY_PAGES; i++)
        pages[i] = (struct overlay_page){BIT64(48) * i, MINE};
    own = build(pages, OVERLAY_PAGES);
    assert_true(own);
    assert_int_equal(overlay.used, OVERLAY_TABLES);
    for (u32 i = 0; i < OVERLAY_PAGES; i++)
        assert_mine(own, pages[i].gpa);
}

/* With any number of tables it is built or not, and what was there is kept for the next time. */
static void want_of_memory_is_no_harm(void **state)
{
    const struct overlay_page pages[] = {{0, MINE}, {BIT64(40), MINE}};

    (void)state;
    for (u32 tables = 0; tables < 7; tables++) {
        pool_init(&own_pool, OWN_START, OWN_START + tables * PAGE_SIZE);
        overlay = (struct overlay){0};
        assert_int_equal(build(pages, 2), 0);
        assert_int_equal(own_pool.free_pages, 0);
        pool_init(&own_pool, OWN_START + tables * PAGE_SIZE, OWN_START + 7 * PAGE_SIZE);
        assert_true(build(pages, 2));
        assert_mine(overlay.tables[0], 0);
        assert_mine(overlay.tables[0], BIT64(40));
        assert_int_equal(own_pool.free_pages, 0);
    }
}

static u64 random_gpa(void)
{
    static const u8 shifts[] = {12, 13, 14, 20, 21, 22, 29, 30, 31, 38, 39, 40};
    u64 gpa = 0;

    for (u32 i = 0; i < 3; i++)
        gpa |= fake_below(3) << shifts[fake_below(ARRAY_SIZE(shifts))];
    return gpa;
}

static void random_base(void)
{
    for (u32 i = 0; i < 40; i++) {
        u32 level = 1 + (u32)fake_below(3);
        u64 gpa = align_down(random_gpa(), BIT64(shift_of(level)));

        if (walk(root, gpa).present)
            continue;
        map(gpa, level,
            align_down(fake_below(BIT64(38)), BIT64(shift_of(level))) | (1 + fake_below(7)) |
                fake_below(8) << 3 | (fake_below(2) ? EPT_IGNORE_PAT : 0),
            fake_below(4) ? EPT_RWX : EPT_READ | EPT_EXEC_USER);
    }
}

static bool is_among(const struct overlay_page *pages, u32 count, u64 gpa)
{
    for (u32 i = 0; i < count; i++)
        if (pages[i].gpa >> 12 == gpa >> 12)
            return true;
    return false;
}

/* Any tree, any pages; the other EPT is not touched. */
static void only_the_pages_differ(void **state)
{
    (void)state;
    for (u32 round = 0; round < 60; round++) {
        struct overlay_page pages[OVERLAY_PAGES];
        u32 count = (u32)fake_below(OVERLAY_PAGES + 1);
        u64 own;

        setup(NULL);
        fake_seed(round);
        levels = 4 + (round & 1);
        random_base();
        for (u32 i = 0; i < count; i++)
            pages[i] = (struct overlay_page){random_gpa() | fake_below(PAGE_SIZE), MINE};
        memcpy(base_before, pool_va(BASE_START), sizeof(base_before));
        for (u32 again = 0; again < 2; again++)
            own = build(pages, count);
        assert_memory_equal(base_before, pool_va(BASE_START), sizeof(base_before));
        for (u32 i = 0; i < 300; i++) {
            u64 gpa = i < count ? pages[i].gpa : random_gpa();

            if (is_among(pages, count, gpa))
                assert_mine(own, gpa);
            else
                assert_same(own, gpa);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_pages_it_is_the_other_one, setup),
        cmocka_unit_test_setup(what_lies_around_the_page_stays, setup),
        cmocka_unit_test_setup(rights_on_the_way_stay, setup),
        cmocka_unit_test_setup(tables_are_used_again, setup),
        cmocka_unit_test_setup(the_most_pages_fit, setup),
        cmocka_unit_test_setup(want_of_memory_is_no_harm, setup),
        cmocka_unit_test_setup(only_the_pages_differ, setup),
    };

    return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
