/* The pages of the shadow page tables: where they lie, how they are found, when they are reused. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "mm/shadow.h"
#include "fake_phys.h"
#include "mm/pool.h"

#define START 0x200000ull
#define PAGES 40u /* that the tests use at most */

static struct shadow shadow;

static void init(u64 bytes) { shadow_init(&shadow, START, START + bytes); }

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    init(64 * PAGE_SIZE);
    assert_true(shadow.count >= PAGES);
    return 0;
}

static void fill_with(u32 index, u8 byte) { memset(shadow_table(&shadow, index), byte, PAGE_SIZE); }

static void assert_filled_with(u32 index, u8 byte)
{
    const u8 *bytes = (const u8 *)shadow_table(&shadow, index);

    for (u32 i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(bytes[i], byte);
}

/* Pages that are all written to disturb neither each other nor what is known of them. */
static void pages_lie_apart_within_the_region(void **state)
{
    static const u64 odd[] = {0, 8, 0x800, 0xff8};

    (void)state;
    for (u32 i = 0; i < 60; i++) {
        u64 bytes = (4 + i) * PAGE_SIZE + odd[i % ARRAY_SIZE(odd)];
        u64 end = START + bytes;

        fake_phys_reset();
        memset(pool_va(START), 0xee, bytes); /* nothing is taken for zero */
        fake_put64(end, 0x1234);
        fake_put64(START - 8, 0x5678);
        init(bytes);
        assert_true(shadow.count >= 1 && shadow.count + 3 >= bytes / PAGE_SIZE * 9 / 10);
        for (u32 n = 1; n <= shadow.count; n++) {
            u32 index = shadow_new(&shadow, n << 12, 1, 0, 0);
            u64 pa = shadow_address(&shadow, index);

            assert_int_equal(index, n);
            assert_true(pa % PAGE_SIZE == 0 && pa >= START && pa + PAGE_SIZE <= end);
            assert_int_equal(shadow_index(&shadow, pa), index);
            assert_filled_with(index, 0);
            fill_with(index, (u8)n);
        }
        assert_int_equal(shadow_take(&shadow), 0);
        assert_int_equal(shadow.in_use, shadow.count);
        for (u32 n = 1; n <= shadow.count; n++) {
            assert_filled_with(n, (u8)n);
            assert_int_equal(shadow_find(&shadow, n << 12, 1, 0, 0), n);
        }
        assert_int_equal(fake_get64(end), 0x1234);
        assert_int_equal(fake_get64(START - 8), 0x5678);
    }
}

static void a_page_is_found_by_all_of_its_key(void **state)
{
    static const struct key {
        u64 source;
        u32 level, role;
        u64 leaf;
    } keys[] = {
        {0x1000, 1, 0, 0}, {0x1000, 2, 0, 0}, {0x1000, 2, SHADOW_ACCESSED_DIRTY, 0},
        {0x2000, 1, 0, 0}, {0x1000, 4, 0, 0}, {0x1000, 2, SHADOW_DIRECT, 0xb7},
        {0, 1, 0, 0},      {0, 2, 0, 0},      {0x1000, 2, SHADOW_DIRECT, 0xb5},
    };
    u32 index[ARRAY_SIZE(keys)];

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct key *key = &keys[i];

        assert_int_equal(shadow_find(&shadow, key->source, key->level, key->role, key->leaf), 0);
        index[i] = shadow_new(&shadow, key->source, key->level, key->role, key->leaf);
        assert_true(index[i]);
        for (u32 k = 0; k <= i; k++)
            assert_int_equal(
                shadow_find(&shadow, keys[k].source, keys[k].level, keys[k].role, keys[k].leaf),
                index[k]);
    }
    for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct shadow_page *page = shadow_page(&shadow, index[i]);

        assert_int_equal(page->source, keys[i].source);
        assert_int_equal(page->level, keys[i].level);
        assert_int_equal(page->role, keys[i].role);
        assert_int_equal(page->leaf, keys[i].leaf);
        assert_int_equal(page->links, 0);
        assert_false(page->stale || page->settled || page->protected || page->retired);
    }
}

/* Every page with a source is come to once, and no other. */
static void all_pages_of_a_source_are_come_to(void **state)
{
    (void)state;
    for (u32 i = 0; i < 30; i++)
        assert_true(shadow_new(&shadow, (1 + i % 3) << 12, 1 + i / 3, 0, 0));
    for (u64 source = 0; source <= 4; source++) {
        u32 levels = 0;

        for (u32 i = shadow_first(&shadow, source << 12); i;
             i = shadow_next(&shadow, i, source << 12)) {
            assert_int_equal(shadow_page(&shadow, i)->source, source << 12);
            assert_false(levels & BIT(shadow_page(&shadow, i)->level));
            levels |= BIT(shadow_page(&shadow, i)->level);
        }
        assert_int_equal(levels, source >= 1 && source <= 3 ? 0x7fe : 0);
    }
}

static void a_page_given_back_comes_again_zeroed(void **state)
{
    u32 first, index;

    (void)state;
    first = shadow_take(&shadow);
    fill_with(first, 0xff);
    shadow_page(&shadow, first)->links = 7;
    shadow_give(&shadow, first);
    assert_int_equal(shadow.in_use, 0);
    index = shadow_take(&shadow);
    assert_int_equal(index, first);
    assert_filled_with(index, 0);
    assert_int_equal(shadow_page(&shadow, index)->links, 0);
    assert_int_equal(shadow_first(&shadow, 0), 0); /* known to nobody */
}

/* Not found from then on, left as it is for those that walk it, and free after the wait. */
static void a_retired_page_is_reused_after_its_wait(void **state)
{
    u32 index[3], others[2];

    (void)state;
    init(6 * PAGE_SIZE);
    while (shadow.untouched + 2 <= shadow.count) /* leave three */
        assert_true(shadow_take(&shadow));
    for (u32 i = 0; i < 2; i++) {
        index[i] = shadow_new(&shadow, 0x1000, 1 + i, 0, 0);
        assert_true(index[i]);
        fill_with(index[i], 0x55);
    }
    shadow_set_stale(&shadow, index[0], true);
    shadow_retire(&shadow, index[0]);
    assert_true(shadow_page(&shadow, index[0])->retired);
    assert_false(shadow_page(&shadow, index[0])->stale);
    assert_int_equal(shadow.stale, 0);
    assert_int_equal(shadow_find(&shadow, 0x1000, 1, 0, 0), 0);
    assert_int_equal(shadow_first(&shadow, 0x1000), index[1]);
    assert_int_equal(shadow_take(&shadow), 0);
    shadow_start_waiting(&shadow, 77);
    assert_int_equal(shadow.waiting_epoch, 77);
    assert_int_equal(shadow_take(&shadow), 0);
    assert_filled_with(index[0], 0x55);
    shadow_retire(&shadow, index[1]); /* this one has only begun to wait */
    shadow_free_waiting(&shadow);
    others[0] = shadow_new(&shadow, 0x3000, 1, 0, 0);
    assert_int_equal(others[0], index[0]);
    assert_int_equal(shadow_take(&shadow), 0);
    assert_false(shadow_page(&shadow, others[0])->retired);
    shadow_start_waiting(&shadow, 78);
    shadow_free_waiting(&shadow);
    others[1] = shadow_take(&shadow);
    assert_int_equal(others[1], index[1]);
}

/* ---- At random, against a plain model ---- */

enum place { NOWHERE, TAKEN, KNOWN, UNLINKED, WAITING };

static struct known {
    enum place place;
    u64 source;
    u32 level;
    bool stale;
} model[PAGES * 2];

static u32 length(u32 first)
{
    u32 count = 0;

    for (u32 i = first; i; i = shadow_page(&shadow, i)->next)
        assert_true(++count <= shadow.count);
    return count;
}

static u32 count_of(enum place place)
{
    u32 count = 0;

    for (u32 i = 1; i <= shadow.count; i++)
        count += model[i].place == place;
    return count;
}

static void check_stale(void)
{
    u32 count = 0, before = 0;

    for (u32 i = shadow.stale; i; i = shadow_page(&shadow, i)->stale_next) {
        assert_true(++count <= shadow.count);
        assert_true(shadow_page(&shadow, i)->stale);
        assert_int_equal(shadow_page(&shadow, i)->stale_prev, before);
        assert_int_equal(model[i].place, KNOWN);
        before = i;
    }
    for (u32 i = 1; i <= shadow.count; i++)
        count -= model[i].place == KNOWN && model[i].stale;
    assert_int_equal(count, 0);
}

static void check_all(void)
{
    assert_int_equal(shadow.in_use, shadow.count - count_of(NOWHERE) - count_of(UNLINKED) -
                                        count_of(WAITING));
    assert_int_equal(length(shadow.unlinked), count_of(UNLINKED));
    assert_int_equal(length(shadow.waiting), count_of(WAITING));
    assert_int_equal(length(shadow.free) + shadow.count + 1 - shadow.untouched, count_of(NOWHERE));
    check_stale();
    for (u32 i = 1; i <= shadow.count; i++)
        if (model[i].place == KNOWN)
            assert_int_equal(shadow_find(&shadow, model[i].source, model[i].level, 0, 0), i);
}

static void add(void)
{
    u64 source = fake_below(12) << 12;
    u32 level = 1 + (u32)fake_below(5), index;

    if (fake_below(4) == 0) {
        index = shadow_take(&shadow);
        if (index)
            model[index] = (struct known){.place = TAKEN};
    } else if (!shadow_find(&shadow, source, level, 0, 0)) {
        index = shadow_new(&shadow, source, level, 0, 0);
        if (index)
            model[index] = (struct known){.place = KNOWN, .source = source, .level = level};
    } else {
        return;
    }
    if (!index)
        assert_int_equal(count_of(NOWHERE), 0);
}

static void change(u32 index)
{
    if (model[index].place == TAKEN && fake_below(2)) {
        shadow_give(&shadow, index);
        model[index].place = NOWHERE;
    } else if (model[index].place == KNOWN && fake_below(3) == 0) {
        shadow_retire(&shadow, index);
        model[index].place = UNLINKED;
    } else if (model[index].place == KNOWN) {
        model[index].stale = fake_below(2);
        shadow_set_stale(&shadow, index, model[index].stale);
    }
}

static void wait_or_free(void)
{
    bool waits = shadow.waiting;

    if (waits)
        shadow_free_waiting(&shadow);
    else
        shadow_start_waiting(&shadow, 1);
    for (u32 i = 1; i <= shadow.count; i++)
        if (model[i].place == (waits ? WAITING : UNLINKED))
            model[i].place = waits ? NOWHERE : WAITING;
}

static void every_page_is_in_one_place(void **state)
{
    (void)state;
    memset(model, 0, sizeof(model));
    assert_true(shadow.count < ARRAY_SIZE(model));
    for (u32 step = 0; step < 5000; step++) {
        switch (fake_below(8)) {
        case 0:
        case 1:
        case 2: add(); break;
        case 3: wait_or_free(); break;
        default: change(1 + (u32)fake_below(shadow.count));
        }
        check_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_lie_apart_within_the_region, setup),
        cmocka_unit_test_setup(a_page_is_found_by_all_of_its_key, setup),
        cmocka_unit_test_setup(all_pages_of_a_source_are_come_to, setup),
        cmocka_unit_test_setup(a_page_given_back_comes_again_zeroed, setup),
        cmocka_unit_test_setup(a_retired_page_is_reused_after_its_wait, setup),
        cmocka_unit_test_setup(every_page_is_in_one_place, setup),
    };

    return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
