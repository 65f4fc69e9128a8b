/* The page pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/pool.h"

#define START 0x100000ull
#define PAGES 100u

static struct pool pool;

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    pool_init(&pool, START, START + PAGES * PAGE_SIZE);
    return 0;
}

static bool is_zero(u64 page)
{
    const u8 *bytes = pool_va(page);

    return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_SIZE - 1) == 0;
}

static void keeps_whole_pages_only(void **state)
{
    (void)state;
    pool_init(&pool, START + 1, START + 3 * PAGE_SIZE - 1);
    assert_int_equal(pool.total_pages, 1);
    assert_int_equal(pool_alloc(&pool), START + PAGE_SIZE);
    assert_int_equal(pool_alloc(&pool), 0);
    pool_init(&pool, START + 1, START + 2);
    assert_int_equal(pool.total_pages, 0);
    assert_int_equal(pool_alloc(&pool), 0);
    pool_init(&pool, 0, 3 * PAGE_SIZE);
    assert_int_equal(pool.total_pages, 2);
    assert_int_equal(pool_alloc(&pool), PAGE_SIZE);
}

static void gives_each_page_once_and_zeroed(void **state)
{
    bool seen[PAGES] = {false};

    (void)state;
    memset(pool_va(START), 0xa5, PAGES * PAGE_SIZE);
    for (u32 round = 0; round < 2; round++) {
        memset(seen, 0, sizeof(seen));
        for (u32 i = 0; i < PAGES; i++) {
            u64 page = pool_alloc(&pool);
            u64 index = (page - START) / PAGE_SIZE;

            assert_true(page >= START && index < PAGES && page % PAGE_SIZE == 0);
            assert_false(seen[index]);
            seen[index] = true;
            assert_true(is_zero(page));
            memset(pool_va(page), 0x5a, PAGE_SIZE);
            assert_int_equal(pool.free_pages, PAGES - i - 1);
        }
        assert_int_equal(pool_alloc(&pool), 0);
        for (u64 i = 0; i < PAGES; i++)
            assert_true(pool_free(&pool, START + i * PAGE_SIZE));
        assert_int_equal(pool.free_pages, PAGES);
    }
}

static void contiguous_pages_are_in_a_row(void **state)
{
    u64 first = pool_alloc(&pool);
    u64 run = pool_alloc_contiguous(&pool, 10);

    (void)state;
    assert_int_equal(run, first + PAGE_SIZE);
    assert_int_equal(pool.free_pages, PAGES - 11);
    assert_int_equal(pool_alloc_contiguous(&pool, PAGES - 10), 0);
    assert_int_equal(pool_alloc_contiguous(&pool, ~0ull), 0);
    assert_int_equal(pool_alloc_contiguous(&pool, 0), 0);
    assert_int_equal(pool.free_pages, PAGES - 11);
    assert_true(pool_alloc_contiguous(&pool, PAGES - 11) != 0);
    assert_int_equal(pool_alloc(&pool), 0);
    assert_true(pool_free(&pool, run + 3 * PAGE_SIZE));
    assert_int_equal(pool_alloc_contiguous(&pool, 1), 0); /* start-up memory is used up */
    assert_int_equal(pool_alloc(&pool), run + 3 * PAGE_SIZE);
}

static void refuses_pages_not_its_own(void **state)
{
    u64 page = pool_alloc(&pool);

    (void)state;
    assert_false(pool_free(&pool, page + 1));
    assert_false(pool_free(&pool, page + PAGE_SIZE)); /* never given out */
    assert_false(pool_free(&pool, START - PAGE_SIZE));
    assert_false(pool_free(&pool, START + PAGES * PAGE_SIZE));
    assert_false(pool_free(&pool, 0));
    assert_int_equal(pool.free_pages, PAGES - 1);
    assert_true(pool_free(&pool, page));
}

/* Whoever still walks a freed page as a table finds nothing new in it. */
static void a_freed_page_has_no_present_entry_more(void **state)
{
    u64 a = pool_alloc(&pool), b = pool_alloc(&pool);

    (void)state;
    fake_put64(b + 8, 0x1234007);
    pool_free(&pool, a);
    pool_free(&pool, b);
    assert_int_equal(fake_get64(b) & 0xfff, 0);
    assert_int_equal(fake_get64(b + 8), 0x1234007);
}

static void random_use_matches_a_model(void **state)
{
    bool used[PAGES] = {false};
    u64 free_pages = PAGES;

    (void)state;
    for (u32 step = 0; step < 20000; step++) {
        u64 index = fake_below(PAGES);
        u64 page = START + index * PAGE_SIZE;

        if (used[index]) {
            assert_true(pool_free(&pool, page));
            used[index] = false;
            free_pages++;
        } else if ((page = pool_alloc(&pool)) != 0) {
            index = (page - START) / PAGE_SIZE;
            assert_true(index < PAGES && !used[index]);
            assert_true(is_zero(page));
            memset(pool_va(page), 0xff, PAGE_SIZE);
            used[index] = true;
            free_pages--;
        } else {
            assert_int_equal(free_pages, 0);
        }
        assert_int_equal(pool.free_pages, free_pages);
        assert_int_equal(pool.total_pages, PAGES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keeps_whole_pages_only, setup),
        cmocka_unit_test_setup(gives_each_page_once_and_zeroed, setup),
        cmocka_unit_test_setup(contiguous_pages_are_in_a_row, setup),
        cmocka_unit_test_setup(refuses_pages_not_its_own, setup),
        cmocka_unit_test_setup(a_freed_page_has_no_present_entry_more, setup),
        cmocka_unit_test_setup(random_use_matches_a_model, setup),
    };

    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
