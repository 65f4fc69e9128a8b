/*
 * Pages that are not there when L0 wants one in an exit: each allocation of a scenario fails in its
 * turn, by itself and with all that follow. Whatever fails, EPT01 and EPT02 map what they may, no
 * page is lost, and all goes on as soon as there are pages again.
 */
#include "ept02_model.h"
#include "pool_faults.h"

#include <stdio.h>

#include "mm/overlay.h"

#define PAGES    40u
#define TREES    3u /* of L1's, apart by 2 MiB so that EPT01 is divided for each */
#define LEAVES   4u /* of each tree, apart by 1 GiB */
#define ROOTS    24u
#define ROOTS12  (DATA + SIZE_2M)
#define FAR      0x8000000000ull /* beyond the memory */
#define FAR_1G   0x3000000000ull /* the same, and in one page */
#define LARGE_2M BIT64(40)
#define LARGE_1G BIT64(41)
#define DIVIDED  BIT64(42) /* 1 GiB with L0's memory in it */

static u64 trees[TREES], leaf_at[TREES][LEAVES];
static struct overlay overlay;
static u32 version; /* of the leaves */
static bool synced; /* EPT12 is as it was at the last sync */

static u64 leaf_ngpa(u32 leaf) { return NGPA + (u64)leaf * SIZE_1G; }

static u64 leaf_entry(u32 tree, u32 leaf)
{
    return (DATA + (version * 64 + tree * LEAVES + leaf) * PAGE_SIZE) | EPT_RWX | WB;
}

static void set_variable(u32 i, u64 base, u64 size, u64 type)
{
    mtrrs.base[i] = base | type;
    mtrrs.mask[i] = ((BIT64(BITS) - 1) & ~(size - 1)) | MTRR_PHYSMASK_VALID;
}

static void make_trees(void)
{
    for (u32 tree = 0; tree < TREES; tree++) {
        next_table = TABLES12 + tree * SIZE_2M;
        trees[tree] = new_table();
        for (u32 leaf = 0; leaf < LEAVES; leaf++)
            leaf_at[tree][leaf] = map12(trees[tree], leaf_ngpa(leaf), 1, leaf_entry(tree, leaf));
    }
    map12(trees[0], LARGE_2M, 2, 0x6000000 | EPT_LARGE | EPT_RWX | WB);
    map12(trees[0], LARGE_1G, 3, SIZE_1G | EPT_LARGE | EPT_RWX | WB);
    map12(trees[0], DIVIDED, 3, EPT_LARGE | EPT_READ | EPT_EXEC | WB);
    for (u32 i = 0; i < ROOTS; i++)
        fake_put64(slot(ROOTS12 + i * PAGE_SIZE, NGPA, 4), fake_get64(slot(trees[1], NGPA, 4)));
}

static void begin(void)
{
    pool_fails = NULL;
    start(PAGES);
    core_count = 2;
    mtrrs = (struct mtrr_state){.cap = 5, .def_type = MTRR_DEF_TYPE_ENABLE | MT_WB};
    overlay = (struct overlay){0};
    version = 0;
    synced = true;
    make_trees();
    pool_asked = pool_failed = 0;
}

/* ---- What holds at any time ---- */

static void check_translation(u32 core, u64 ngpa)
{
    struct walked w02 = walk_of_ept02(core, ngpa), w12;

    if (w02.verdict != ALLOWED)
        return;
    w12 = walk_of_ept12(cores[core].key, ngpa);
    assert_int_equal(w12.verdict, ALLOWED);
    assert_int_equal(w02.address, w12.address);
    assert_int_equal(w02.type, w12.type);
    assert_int_equal(w02.rights & ~w12.rights, 0);
}

static void check_translations(void)
{
    for (u32 core = 0; core < core_count; core++) {
        if (!cores[core].root || !synced)
            continue;
        for (u32 leaf = 0; leaf < LEAVES; leaf++)
            check_translation(core, leaf_ngpa(leaf));
        check_translation(core, LARGE_2M);
        check_translation(core, LARGE_1G);
        check_translation(core, DIVIDED);
        check_translation(core, DIVIDED + HIDDEN);
    }
}

/* After a fill, whether it had all its pages or not: a core that exits has invalidated. */
static void between(void)
{
    check_translations();
    all_catch_up();
}

/* The identity without L0's memory, each table in one place; a page whose table was not to be had
   is not cached. Its own tables are those of its pool. */
static u32 check_ept01(u64 table, u32 level, u64 base, bool types)
{
    const u64 *entries = pool_va(table);
    u32 own = table < EPT02_START;

    for (u64 i = 0; i < 512; i++) {
        u64 entry = entries[i], size = 1ull << (12 + 9 * (level - 1));
        u64 gpa = base + i * size;

        if (!(entry & EPT_RWX)) {
            assert_true(gpa >= RAM_TOP || ranges_overlap(gpa, size, HIDDEN, HIDDEN_SIZE));
        } else if (level == 1 || (entry & EPT_LARGE)) {
            int has = entry >> 3 & 7, type = types ? memtype_range(&mtrrs, gpa, size) : has;

            assert_int_equal(entry & EPT_ADDR, gpa);
            assert_false(ranges_overlap(gpa, size, HIDDEN, HIDDEN_SIZE));
            assert_true(has == type || (type == MEMTYPE_MIXED && has == MT_UC));
        } else {
            own += check_ept01(entry & EPT_ADDR, level - 1, gpa, types);
        }
    }
    return own;
}

static u32 overlay_tables(void)
{
    u32 count = 0;

    for (u32 i = 0; i < OVERLAY_TABLES; i++)
        count += overlay.tables[i] != 0;
    return count;
}

static void check_all(void)
{
    u64 used = ept01_pool.total_pages - ept01_pool.free_pages;

    check_translations();
    check_pages(overlay_tables(), 0);
    assert_int_equal(check_ept01(ept01.root, ept01.levels, 0, false) + ept01.reserved, used);
}

/* ---- The scenario: each step can be made again; false: not done for want of pages ---- */

static bool touch_all(u32 core)
{
    for (u32 leaf = 0; leaf < LEAVES; leaf++)
        if (touch_with(core, leaf_ngpa(leaf), EPT_READ | EPT_WRITE, between) != ALLOWED)
            return false;
    return true;
}

static bool fills(void)
{
    enter_l2(0, EPTP(trees[0]));
    enter_l2(1, EPTP(trees[1]));
    return touch_all(0) && touch_all(1);
}

static bool large_pages(void)
{
    enter_l2(0, EPTP(trees[0]));
    return touch_with(0, LARGE_2M, EPT_WRITE, between) == ALLOWED &&
           touch_with(0, LARGE_1G, EPT_WRITE, between) == ALLOWED &&
           touch_with(0, DIVIDED, EPT_READ, between) == ALLOWED &&
           touch_with(0, DIVIDED + HIDDEN + HIDDEN_SIZE, EPT_READ, between) == ALLOWED &&
           touch_with(0, DIVIDED + HIDDEN, EPT_READ, between) == HIDDEN_MEMORY;
}

static bool is_full(void) { return !ept.shadow.free && ept.shadow.untouched > ept.shadow.count; }

/* All tables settle, but if there is no page to divide EPT01 with: none is reclaimed for that. */
static bool quiet(void)
{
    for (u32 i = 0; i < 64 && ept.shadow.stale; i++) {
        sync_on(0);
        all_catch_up();
        check_translations();
    }
    return !ept.shadow.stale || is_full();
}

static bool change(void)
{
    version ^= 1;
    synced = false;
    for (u32 tree = 0; tree < TREES; tree++)
        for (u32 leaf = 0; leaf < LEAVES; leaf++) {
            ept02_source_written(&ept, leaf_at[tree][leaf]);
            fake_put64(leaf_at[tree][leaf], leaf_entry(tree, leaf));
        }
    synced = true;
    sync_on(0);
    all_catch_up();
    check_translations();
    return fills();
}

/* More roots than pages. */
static bool roots(void)
{
    for (u32 i = 0; i < ROOTS; i++) {
        enter_l2(0, EPTP(ROOTS12 + i * PAGE_SIZE) | (i & 1 ? EPT12_MODE_BASED : 0));
        if (touch_with(0, NGPA, EPT_READ, between) != ALLOWED)
            return false;
    }
    enter_l2(0, EPTP(trees[2]));
    return touch_all(0);
}

static u64 take(void) { return ept02_take_table(&ept); }

static u64 overlay_eptp;

static u64 read_overlay(u64 pa) { return fake_get64(pa); }

/* Two pages of hidden memory that L2 steps over. */
static bool steps(void)
{
    const u64 page = 0x6123000 | EPT_READ | WB;
    const struct overlay_page pages[] = {{NGPA, page}, {DIVIDED + HIDDEN, page}};
    struct walked w;
    u64 root = 0;

    enter_l2(0, EPTP(trees[0]));
    for (u32 i = 0; i < TRIES && !root; i++) {
        use(0, cores[0].key);
        if (cores[0].root != ept.empty)
            root = overlay_build(&overlay, shadow_address(&ept.shadow, cores[0].root), 4, pages, 2,
                                 take);
        if (!root)
            between();
    }
    if (!root)
        return false;
    overlay_eptp = EPTP(root);
    for (u32 i = 0; i < 2; i++) {
        w = processor_walk(overlay_eptp, false, pages[i].gpa, read_overlay);
        assert_int_equal(w.verdict, ALLOWED);
        assert_int_equal(align_down(w.address, PAGE_SIZE), page & EPT_ADDR);
    }
    for (u32 leaf = 1; leaf < LEAVES; leaf++) {
        w = processor_walk(overlay_eptp, false, leaf_ngpa(leaf), read_overlay);
        if (w.verdict == ALLOWED)
            assert_int_equal(w.address, walk_of_ept12(cores[0].key, leaf_ngpa(leaf)).address);
    }
    return true;
}

/* EPT01 has pages in reserve: its part never fails. */
static void demand(u64 gpa)
{
    enum ept01_result result = EPT01_FLUSH;
    u64 entry;
    u32 level;

    for (u32 i = 0; i < 2 && result == EPT01_FLUSH; i++) {
        if (ept01.dropped) {
            all_catch_up();
            ept01_reclaim(&ept01);
        }
        result = ept01_map_on_demand(&ept01, gpa);
    }
    assert_int_equal(result, EPT01_MAPPED);
    assert_true(ept01_lookup(&ept01, gpa, &entry, &level));
}

static bool demands(void)
{
    const u64 start = FAR + (mtrrs.base[0] & BIT64(38) ? 0 : BIT64(38));

    for (u32 i = 0; i < 3; i++)
        set_variable(i, start + i * BIT64(36) + PAGE_SIZE, PAGE_SIZE, MT_UC);
    ept01_retype(&ept01);
    for (u32 i = 0; i < 3; i++)
        demand(start + i * BIT64(36));
    check_ept01(ept01.root, ept01.levels, 0, true);
    return true;
}

static bool retypes(void)
{
    bool done;

    demand(FAR_1G);
    set_variable(3, FAR_1G + PAGE_SIZE, PAGE_SIZE, MT_WC);
    set_variable(4, FAR_1G + SIZE_2M, PAGE_SIZE, MT_UC);
    done = ept01_retype(&ept01);
    check_ept01(ept01.root, ept01.levels, 0, true);
    mtrrs.mask[3] = mtrrs.mask[4] = 0;
    assert_true(ept01_retype(&ept01)); /* needs no page */
    return done;
}

static const struct {
    const char *name;
    bool (*run)(void);
} scenario[] = {
    {"fills", fills},     {"large pages", large_pages},
    {"quiet", quiet},     {"change", change},
    {"demands", demands}, {"roots", roots},
    {"steps", steps},     {"retypes", retypes},
    {"quiet", quiet},     {"large pages", large_pages},
    {"change", change},   {"steps", steps},
    {"demands", demands}, {"fills", fills},
};

/* ---- Failures ---- */

static u64 failing_from, failing_to;

static bool fails_within(void) { return pool_asked >= failing_from && pool_asked <= failing_to; }

static bool (*scheme)(void);
static u64 seed;

/* Step by step; a step that could not be made for want of pages is made again with pages. */
static u32 run_scenario(void)
{
    u32 failed = 0;

    begin();
    fake_seed(seed);
    for (u32 i = 0; i < ARRAY_SIZE(scenario); i++) {
        bool done;

        pool_fails = scheme;
        done = scenario[i].run();
        if (!scheme || pool_failed) /* until then all is as without failures */
            check_all();
        if (done)
            continue;
        failed++;
        pool_fails = NULL;
        if (!scenario[i].run())
            fail_msg("%s: not with pages either", scenario[i].name);
        check_all();
    }
    return failed;
}

static u64 allocations(void)
{
    scheme = NULL;
    assert_int_equal(run_scenario(), 0);
    assert_true(ept.given >= TREES && ept.protections > 0 && ept.reclaimed > 0);
    return pool_asked;
}

/* L2 comes back, and finds a page then. But EPT01's types wait for the next MTRR to be written. */
static void each_allocation_fails_once(void **state)
{
    u64 count = allocations();

    (void)state;
    assert_true(count > 100);
    scheme = fails_within;
    for (failing_from = 1; failing_from <= count; failing_from++) {
        failing_to = failing_from;
        run_scenario();
    }
}

static void all_fail_from_each_one_on(void **state)
{
    u64 count = allocations();
    u32 failed = 0;

    (void)state;
    scheme = fails_within;
    failing_to = ~0ull;
    for (failing_from = 1; failing_from <= count; failing_from++)
        failed += run_scenario();
    assert_true(failed > count);
}

static u64 period;

static bool fails_periodically(void) { return pool_asked % period == 0; }

static bool fails_often(void) { return fake_below(period) != 0; }

static void every_nth_fails(void **state)
{
    (void)state;
    scheme = fails_periodically;
    for (period = 2; period < 24; period++)
        run_scenario();
}

static void most_fail_at_random(void **state)
{
    (void)state;
    scheme = fails_often;
    for (seed = 0; seed < 32; seed++) {
        period = 2 + seed % 4;
        run_scenario();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(all_fail_from_each_one_on),
        cmocka_unit_test(every_nth_fails),
        cmocka_unit_test(most_fail_at_random),
    };

    return cmocka_run_group_tests_name("pool_faults", tests, NULL, NULL);
}
