/*
 * L1's identity EPT: what it maps, with which types and page sizes, and that L0's memory is never
 * in it. Every check walks the whole tree as the processor would.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "mm/ept01.h"
#include "fake_phys.h"
#include "vmx.h"
#include "x86.h"

#define BITS       40u
#define POOL_START 0x100000ull
#define POOL_PAGES 4096u
#define TOP_4G     (4 * SIZE_1G)

static struct ept01 ept;
static struct pool pool;
static struct mtrr_state mtrrs;
static struct ept01_caps caps;

static void set_variable(u32 i, u64 base, u64 size, u64 type)
{
    mtrrs.base[i] = base | type;
    mtrrs.mask[i] = ((BIT64(BITS) - 1) & ~(size - 1)) | MTRR_PHYSMASK_VALID;
}

/* A PC's: all WB but for the hole at A0000 and the one below 4 GiB. */
static void pc_mtrrs(void)
{
    mtrrs = (struct mtrr_state){.cap = MTRRCAP_FIXED | MTRRCAP_WC | 10,
                                .def_type = MTRR_DEF_TYPE_ENABLE | MTRR_DEF_TYPE_FIXED | MT_WB};
    for (u32 i = 0; i < MTRR_FIXED_COUNT; i++)
        mtrrs.fixed[i] = 0x0606060606060606;
    mtrrs.fixed[2] = 0;
    set_variable(0, 0xc0000000, 0x40000000, MT_UC);
}

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    pool_init(&pool, POOL_START, POOL_START + POOL_PAGES * PAGE_SIZE);
    caps = (struct ept01_caps){.physical_bits = BITS, .has_1g = true};
    pc_mtrrs();
    return 0;
}

static u64 size_of(u32 level) { return BIT64(12 + 9 * (level - 1)); }

/* ---- The whole tree, walked ---- */

struct tally {
    u64 mapped; /* bytes */
    u64 pages[6];
    u64 tables;
    bool types; /* check types too */
    bool largest;
};

static bool may_be_one_page(u64 gpa, u32 level)
{
    if (level > 3 || (level == 3 && !caps.has_1g))
        return false;
    if (ranges_overlap(gpa, size_of(level), ept.hidden_base, ept.hidden_size) && ept.hidden_size)
        return false;
    return memtype_range(&mtrrs, gpa, size_of(level)) != MEMTYPE_MIXED;
}

static void check_page(u64 entry, u64 gpa, u32 level, struct tally *tally)
{
    u64 size = size_of(level), type = entry >> 3 & 7;

    assert_true(level == 1 || level == 2 || (level == 3 && caps.has_1g));
    assert_int_equal(entry & EPT_ADDR, gpa); /* the identity, aligned */
    assert_int_equal(entry & ~(EPT_ADDR | EPT_MEMORY_TYPE | EPT_LARGE), EPT_RWX);
    assert_int_equal(entry >> 7 & 1, level > 1);
    assert_false(ept.hidden_size && ranges_overlap(gpa, size, ept.hidden_base, ept.hidden_size));
    assert_true(memory_type_valid(type));
    if (tally->types)
        assert_int_equal(memtype_range(&mtrrs, gpa, size), type);
    tally->mapped += size;
    tally->pages[level]++;
}

static void check_table(u64 table, u32 level, u64 base, struct tally *tally)
{
    u64 pages = tally->pages[level];

    assert_true(table >= POOL_START && table < POOL_START + POOL_PAGES * PAGE_SIZE);
    tally->tables++;
    for (u64 i = 0; i < 512; i++) {
        u64 entry = fake_get64(table + i * 8), gpa = base + i * size_of(level);

        if (!(entry & 7))
            continue;
        if (level == 1 || (entry & EPT_LARGE)) {
            check_page(entry, gpa, level, tally);
            continue;
        }
        assert_int_equal(entry & ~EPT_ADDR, EPT_RWX);
        check_table(entry & EPT_ADDR, level - 1, gpa, tally);
    }
    if (tally->largest && tally->pages[level] > pages && base + size_of(level + 1) <= ept.top)
        assert_false(may_be_one_page(base, level + 1));
}

static struct tally check_tree(bool types, bool largest)
{
    struct tally tally = {.types = types, .largest = largest};

    check_table(ept.root, ept.levels, 0, &tally);
    return tally;
}

/* All of the fixed part is there, so nothing in it faults but what is hidden. */
static void check_complete(const struct tally *tally)
{
    assert_int_equal(tally->mapped, ept.top - ept.hidden_size);
    assert_int_equal(tally->tables + EPT01_RESERVE, pool.total_pages - pool.free_pages);
}

static bool build(u64 top, u64 hidden_base, u64 hidden_size)
{
    return ept01_build(&ept, &pool, &mtrrs, top, hidden_base, hidden_size, &caps);
}

static void a_pc_is_mapped_in_few_pages(void **state)
{
    struct tally tally;

    (void)state;
    assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
    tally = check_tree(true, true);
    check_complete(&tally);
    assert_int_equal(tally.pages[3], 2);         /* the third and the fourth GiB */
    assert_int_equal(tally.pages[2], 511 + 504); /* around A0000, around L0 */
    assert_int_equal(tally.pages[1], 512);
    assert_int_equal(tally.tables, 1 + 1 + 2 + 1);
    assert_int_equal(ept01_eptp(&ept), ept.root | 0x1e);
    assert_int_equal(ept.levels, 4);
}

static void the_top_is_rounded_up(void **state)
{
    struct tally tally;

    (void)state;
    assert_true(build(TOP_4G + 1, 0x7f000000, 16 << 20));
    assert_int_equal(ept.top, TOP_4G + SIZE_1G);
    tally = check_tree(true, true);
    check_complete(&tally);
}

static void without_1g_pages_there_are_none(void **state)
{
    struct tally tally;

    (void)state;
    caps.has_1g = false;
    assert_true(build(TOP_4G, 0x40000000, SIZE_2M));
    tally = check_tree(true, true);
    check_complete(&tally);
    assert_int_equal(tally.pages[3], 0);
}

static void five_levels_only_where_needed(void **state)
{
    struct tally tally;

    (void)state;
    caps.has_5_level = true;
    assert_true(build(TOP_4G, 0x40000000, SIZE_2M));
    assert_int_equal(ept.levels, 4);
    caps.physical_bits = 52;
    setup(NULL);
    caps = (struct ept01_caps){.physical_bits = 52, .has_1g = true, .has_5_level = true};
    assert_true(build(TOP_4G, 0x40000000, SIZE_2M));
    assert_int_equal(ept.levels, 5);
    assert_int_equal(ept01_eptp(&ept), ept.root | 0x26);
    tally = check_tree(true, true);
    check_complete(&tally);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(51) + 5), EPT01_MAPPED);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(52)), EPT01_HIDDEN);
    check_tree(true, true);
    setup(NULL);
    caps.physical_bits = 52;
    assert_true(build(TOP_4G, 0, 0));
    assert_int_equal(ept.levels, 4);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(48) - 1), EPT01_MAPPED);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(48)), EPT01_HIDDEN);
}

/* Hidden memory of each size and place relative to the borders of 4K, 2M and 1G pages. */
static void hidden_memory_is_never_mapped(void **state)
{
    static const u64 borders[] = {0, SIZE_2M, 7 * SIZE_2M, SIZE_1G, 3 * SIZE_1G};
    static const u64 sizes[] = {
        1,           0x1000,  0x3000,           SIZE_2M - 0x1000, SIZE_2M, SIZE_2M + 0x1000,
        5 * SIZE_2M, SIZE_1G, SIZE_1G + SIZE_2M};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(borders) * ARRAY_SIZE(sizes) * 4; i++) {
        u64 base = borders[i % ARRAY_SIZE(borders)];
        u64 size = sizes[i / ARRAY_SIZE(borders) % ARRAY_SIZE(sizes)];
        u32 kind = i / (u32)(ARRAY_SIZE(borders) * ARRAY_SIZE(sizes));
        struct tally tally;

        if (kind == 1)
            base = base > size ? base - size : 0; /* ends at the border */
        if (kind == 2)
            base = base > 0x1000 ? base - 0x1000 : 0x1000; /* across it */
        if (kind == 3)
            base += fake_below(SIZE_2M); /* not aligned: whole pages are hidden */
        if (base + size > TOP_4G)
            continue;
        setup(NULL);
        caps.has_1g = i & 1;
        assert_true(build(TOP_4G, base, size));
        assert_true(ept.hidden_base <= base && ept.hidden_base + ept.hidden_size >= base + size);
        tally = check_tree(true, true);
        check_complete(&tally);
        /* Nor later. */
        for (u64 offset = 0; offset < size; offset += 1 + size / 3)
            assert_int_equal(ept01_map_on_demand(&ept, base + offset), EPT01_HIDDEN);
        set_variable(1, align_down(base, SIZE_2M), SIZE_2M, MT_WC);
        assert_true(ept01_retype(&ept));
        tally = check_tree(true, false);
        check_complete(&tally);
    }
}

static void random_mtrrs(u64 window)
{
    static const u8 types[] = {MT_UC, MT_WC, MT_WT, MT_WP, MT_WB};

    pc_mtrrs();
    mtrrs.def_type = (mtrrs.def_type & ~7ull) | types[fake_below(5)];
    if (fake_below(8) == 0)
        mtrrs.def_type &= ~MTRR_DEF_TYPE_ENABLE;
    for (u32 i = 0; i < 10; i++) {
        u64 size = PAGE_SIZE << fake_below(20);

        mtrrs.mask[i] = 0;
        if (fake_below(2))
            set_variable(i, align_down(fake_below(window), size), size, types[fake_below(5)]);
    }
}

static void types_follow_any_mtrrs(void **state)
{
    (void)state;
    for (u32 round = 0; round < 40; round++) {
        struct tally tally;

        pool_init(&pool, POOL_START, POOL_START + POOL_PAGES * PAGE_SIZE);
        caps.has_1g = round & 1;
        random_mtrrs(TOP_4G);
        assert_true(build(TOP_4G, fake_below(0xf00) << 20, (1 + fake_below(64)) << 20));
        tally = check_tree(true, true);
        check_complete(&tally);
        for (u32 again = 0; again < 6; again++) {
            random_mtrrs(TOP_4G);
            assert_true(ept01_retype(&ept));
            tally = check_tree(true, false);
            check_complete(&tally);
        }
    }
}

/* ---- The pool ---- */

/* A pool of any size: built in full or nothing taken. */
static void a_small_pool_is_refused_and_left_whole(void **state)
{
    bool built = false;

    (void)state;
    for (u32 pages = 0; !built; pages++) {
        struct tally tally;

        pool_init(&pool, POOL_START, POOL_START + pages * PAGE_SIZE);
        built = build(TOP_4G, 0x7f000000, 16 << 20);
        if (!built) {
            assert_int_equal(pool.free_pages, pages);
            assert_int_equal(ept.root, 0);
            continue;
        }
        tally = check_tree(true, true);
        check_complete(&tally);
        assert_int_equal(pool.free_pages, 0);
        assert_int_equal(pages, 5 + EPT01_RESERVE);
    }
}

/* With too small a pool a page of two types is UC, and right again as soon as it can be. */
static void retype_without_memory_is_uncacheable(void **state)
{
    struct tally tally;
    u64 entry;
    u32 level;

    (void)state;
    pool_init(&pool, POOL_START, POOL_START + (5 + EPT01_RESERVE) * PAGE_SIZE);
    assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
    set_variable(1, 0x80200000, 0x1000, MT_WC);
    assert_false(ept01_retype(&ept));
    tally = check_tree(false, false);
    check_complete(&tally);
    assert_true(ept01_lookup(&ept, 0x80000000, &entry, &level));
    assert_int_equal(entry, 0x80000000 | EPT_LARGE | EPT_RWX | MT_UC << 3);
    assert_true(ept01_lookup(&ept, 0x40000000, &entry, &level));
    assert_int_equal(entry >> 3 & 7, MT_WB); /* the others have theirs */
    mtrrs.mask[1] = 0;
    assert_true(ept01_retype(&ept));
    check_tree(true, true);
}

static void splits_that_fail_half_way_leak_nothing(void **state)
{
    (void)state;
    for (u32 spare = 0; spare < 4; spare++) {
        struct tally tally;

        setup(NULL);
        pool_init(&pool, POOL_START, POOL_START + (5 + EPT01_RESERVE + spare) * PAGE_SIZE);
        assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
        set_variable(1, 0x80200000, 0x1000, MT_WC); /* needs a directory and two tables */
        set_variable(2, 0x80400000, 0x1000, MT_WC);
        assert_int_equal(ept01_retype(&ept), spare == 3);
        tally = check_tree(spare == 3, false);
        check_complete(&tally);
        assert_int_equal(pool.free_pages, spare == 3 ? 0 : spare);
    }
}

/* ---- On demand ---- */

static void mapping_on_demand_takes_the_largest_page(void **state)
{
    u64 entry;
    u32 level;

    (void)state;
    set_variable(1, 0x8000000000, 0x1000, MT_UC);
    assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
    assert_false(ept01_lookup(&ept, TOP_4G, &entry, &level));
    assert_int_equal(ept01_map_on_demand(&ept, TOP_4G + 12345), EPT01_MAPPED);
    assert_true(ept01_lookup(&ept, TOP_4G, &entry, &level));
    assert_int_equal(level, 3);
    assert_int_equal(entry, TOP_4G | EPT_LARGE | EPT_RWX | MT_WB << 3);
    assert_int_equal(ept01_map_on_demand(&ept, 0x8000000000), EPT01_MAPPED);
    assert_true(ept01_lookup(&ept, 0x8000000fff, &entry, &level));
    assert_int_equal(level, 1);
    assert_int_equal(entry, 0x8000000000 | EPT_RWX | MT_UC << 3);
    assert_int_equal(ept01_map_on_demand(&ept, 0x8000001000), EPT01_MAPPED);
    assert_int_equal(ept01_map_on_demand(&ept, 0x8000200000), EPT01_MAPPED);
    assert_true(ept01_lookup(&ept, 0x8000200000, &entry, &level));
    assert_int_equal(level, 2);
    assert_int_equal(ept01_map_on_demand(&ept, 0x1000), EPT01_MAPPED); /* was already */
    assert_int_equal(ept01_map_on_demand(&ept, 0x7f000123), EPT01_HIDDEN);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(BITS) - 1), EPT01_MAPPED);
    assert_int_equal(ept01_map_on_demand(&ept, BIT64(BITS)), EPT01_HIDDEN);
    assert_int_equal(ept01_map_on_demand(&ept, ~0ull), EPT01_HIDDEN);
    check_tree(true, true);
    set_variable(1, 0x8000000000, 0x40000000, MT_WT); /* followed there too */
    assert_true(ept01_retype(&ept));
    check_tree(true, false);
    assert_true(ept01_lookup(&ept, 0x8000000fff, &entry, &level));
    assert_int_equal(entry, 0x8000000000 | EPT_RWX | MT_WT << 3);
}

/* The pool is used up, by others too: all that is above top goes, and comes back. */
static void mapping_on_demand_never_fails_for_want_of_memory(void **state)
{
    u32 flushes = 0;

    (void)state;
    for (u32 spare = 0; spare < 12; spare++) {
        setup(NULL);
        caps.has_1g = spare & 1;
        for (u32 i = 1; i < 10; i++)
            set_variable(i, i * 0x1000000000ull + 0x1000, 0x1000, MT_UC);
        pool_init(&pool, POOL_START,
                  POOL_START + ((caps.has_1g ? 5u : 7u) + EPT01_RESERVE + spare) * PAGE_SIZE);
        assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
        for (u32 i = 0; i < 1000; i++) {
            u64 gpa = fake_below(3) ? fake_below(BIT64(BITS))
                                    : (1 + fake_below(10)) * 0x1000000000 + fake_below(0x3000);
            enum ept01_result result = ept01_map_on_demand(&ept, gpa);
            struct tally tally;
            u64 entry;
            u32 level;

            if (gpa >= ept.hidden_base && gpa < ept.hidden_base + ept.hidden_size) {
                assert_int_equal(result, EPT01_HIDDEN);
                continue;
            }
            if (result == EPT01_FLUSH) {
                flushes++;
                if (flushes % 32 == 0) {
                    tally = check_tree(true, true);
                    assert_true(tally.mapped >= ept.top - ept.hidden_size);
                }
                /* Until the flush another core gets the same answer, or finds a page. */
                assert_int_equal(ept01_map_on_demand(&ept, gpa), EPT01_FLUSH);
                if (fake_below(2))
                    ept01_retype(&ept);
                ept01_reclaim(&ept);
                assert_true(ept.reserved == EPT01_RESERVE);
                result = ept01_map_on_demand(&ept, gpa);
            }
            assert_int_equal(result, EPT01_MAPPED);
            assert_true(ept01_lookup(&ept, gpa, &entry, &level));
            assert_int_equal((entry & EPT_ADDR) | (gpa & (size_of(level) - 1)), gpa);
            if (i % 200 == 0) {
                tally = check_tree(true, true);
                assert_int_equal(tally.tables + ept.reserved, pool.total_pages - pool.free_pages);
            }
        }
    }
    assert_true(flushes > 100);
}

/* What was dropped stays as it was until the flush: a core may be walking it. */
static void dropped_tables_stay_intact_until_reclaimed(void **state)
{
    u64 entry, before[512], table, others;
    u32 level;

    (void)state;
    pool_init(&pool, POOL_START, POOL_START + (5 + EPT01_RESERVE + 2) * PAGE_SIZE);
    assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
    others = pool_alloc(&pool); /* someone else's */
    assert_int_equal(ept01_map_on_demand(&ept, 0x8000000000), EPT01_MAPPED);
    table = fake_get64(ept.root + 8) & EPT_ADDR;
    memcpy(before, pool_va(table), PAGE_SIZE);
    for (u32 i = 1; i < 10; i++)
        set_variable(i, i * 0x1000000000ull + 0x1000, 0x1000, MT_UC);
    for (u32 i = 1; ept01_map_on_demand(&ept, i * 0x1000000000ull) != EPT01_FLUSH; i++)
        assert_true(i < 8);
    assert_false(ept01_lookup(&ept, 0x8000000000, &entry, &level));
    assert_memory_equal(before, pool_va(table), PAGE_SIZE);
    assert_true(pool_free(&pool, others)); /* room again, but the flush is still due */
    assert_int_equal(ept01_map_on_demand(&ept, 0x8040000000), EPT01_FLUSH);
    assert_memory_equal(before, pool_va(table), PAGE_SIZE);
    ept01_reclaim(&ept);
    assert_int_equal(fake_get64(ept.root + 8), 0);
    ept01_reclaim(&ept); /* nothing more to do */
}

/* ---- Lookup ---- */

static void lookup_finds_what_the_processor_would(void **state)
{
    (void)state;
    random_mtrrs(TOP_4G);
    assert_true(build(TOP_4G, 0x12345000, 0x777000));
    for (u32 i = 0; i < 100000; i++) {
        u64 gpa = i & 1 ? fake_below(TOP_4G) : 0x12200000 + fake_below(0xa00000);
        u64 entry = 0;
        u32 level = 0;
        bool hidden = gpa >= 0x12345000 && gpa < 0x12345000 + 0x777000;

        assert_int_equal(ept01_lookup(&ept, gpa, &entry, &level), !hidden);
        if (!hidden) {
            assert_int_equal(entry & EPT_ADDR, align_down(gpa, size_of(level)));
            assert_int_equal(entry >> 3 & 7,
                             memtype_range(&mtrrs, align_down(gpa, PAGE_SIZE), PAGE_SIZE));
        }
    }
    for (u32 n = 0; n < 64; n++) {
        u64 entry;
        u32 level;

        if (BIT64(n) >= TOP_4G)
            assert_false(ept01_lookup(&ept, BIT64(n), &entry, &level));
    }
}

/* ---- Division and protection ---- */

#define SAMPLES 20000u
#define HIDDEN  0x7f000000ull

static struct sample {
    u64 gpa, address, attributes;
    bool mapped, writable;
} samples[SAMPLES];

static struct sample look(u64 gpa)
{
    struct sample sample = {.gpa = gpa, .writable = ept01_is_writable(&ept, gpa)};
    u64 entry;
    u32 level;

    sample.mapped = ept01_lookup(&ept, gpa, &entry, &level);
    if (sample.mapped) {
        sample.address = (entry & EPT_ADDR) | (gpa & (size_of(level) - 1));
        sample.attributes = entry & ~(EPT_ADDR | EPT_LARGE | EPT_WRITE);
        assert_int_equal(entry & EPT_ADDR & (size_of(level) - 1), 0);
        assert_int_equal(entry >> 7 & 1, level > 1);
        assert_int_equal(entry >> 1 & 1, sample.writable);
    }
    return sample;
}

/* Many of them near the address. */
static void take_samples(u64 gpa)
{
    for (u32 i = 0; i < SAMPLES; i++) {
        u64 around = BIT64(12 + fake_below(20)), at = gpa + fake_below(2 * around) - around;

        samples[i] = look(i == 0 ? gpa : at < TOP_4G ? at : fake_below(TOP_4G + SIZE_1G));
    }
}

/* But for writes to the 4-KiB page that is protected. */
static void assert_samples_hold(u64 protected)
{
    for (u32 i = 0; i < SAMPLES; i++) {
        struct sample now = look(samples[i].gpa);

        assert_int_equal(now.mapped, samples[i].mapped);
        assert_int_equal(now.address, samples[i].address);
        assert_int_equal(now.attributes, samples[i].attributes);
        assert_int_equal(now.writable, now.gpa >> 12 != protected >> 12);
    }
}

static void split_keeps_every_translation(void **state)
{
    static const u64 places[] = {0x54321000, 0xc0000000, 0xffffffff, 0x7ee00000, 0x100000};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        u64 gpa = places[i], entry;
        u32 level, before;

        setup(NULL);
        assert_true(build(TOP_4G, HIDDEN, 16 << 20));
        take_samples(gpa);
        assert_true(ept01_lookup(&ept, gpa, &entry, &before));
        for (level = before; level > 1; level--) {
            assert_true(ept01_split(&ept, gpa, pool_alloc(&pool)));
            assert_true(ept01_lookup(&ept, gpa, &entry, &before));
            assert_int_equal(before, level - 1);
            assert_samples_hold(~0ull);
        }
        check_tree(true, false);
    }
}

/* Nor is the table that was offered touched. */
static void only_large_pages_are_split(void **state)
{
    static const u64 places[] = {0x1000, HIDDEN, TOP_4G, BIT64(48), BIT64(48) | 0x54321000, ~0ull};
    u64 table;

    (void)state;
    assert_true(build(TOP_4G, HIDDEN, 16 << 20));
    table = pool_alloc(&pool);
    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        assert_false(ept01_split(&ept, places[i], table));
        for (u32 n = 0; n < 512; n++)
            assert_int_equal(fake_get64(table + 8 * n), 0);
    }
    assert_true(pool_free(&pool, table));
    check_tree(true, true);
}

static void split_down(u64 gpa)
{
    while (ept01_split(&ept, gpa, pool_alloc(&pool)))
        ;
}

static void protection_hits_just_that_page(void **state)
{
    static const u64 places[] = {0x54321000, 0xc0000000, 0xfffff000, 0x7ee00000, 0x9f000};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        setup(NULL);
        assert_true(build(TOP_4G, HIDDEN, 16 << 20));
        split_down(places[i]);
        take_samples(places[i]);
        assert_true(ept01_set_writable(&ept, places[i] + 0x123, false));
        assert_false(ept01_is_writable(&ept, places[i] + 0xfff));
        assert_samples_hold(places[i]);
        assert_true(ept01_set_writable(&ept, places[i], false)); /* as before */
        assert_samples_hold(places[i]);
        assert_true(ept01_set_writable(&ept, places[i], true));
        assert_samples_hold(~0ull);
        check_tree(true, false);
    }
}

/* What has no 4-KiB page cannot be protected. */
static void only_small_pages_are_protected(void **state)
{
    static const u64 places[] = {0x54321000, HIDDEN, TOP_4G, BIT64(48) | 0x1000, ~0ull};

    (void)state;
    assert_true(build(TOP_4G, HIDDEN, 16 << 20));
    for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
        assert_false(ept01_set_writable(&ept, places[i], false));
        assert_true(ept01_is_writable(&ept, places[i]));
    }
    check_tree(true, true);
}

static void retype_keeps_a_protected_page_protected(void **state)
{
    u64 gpa = 0x54321000;

    (void)state;
    assert_true(build(TOP_4G, HIDDEN, 16 << 20));
    split_down(gpa);
    assert_true(ept01_set_writable(&ept, gpa, false));
    for (u32 round = 0; round < 20; round++) {
        u64 entry;
        u32 level;

        random_mtrrs(TOP_4G);
        assert_true(ept01_retype(&ept));
        assert_false(ept01_is_writable(&ept, gpa));
        assert_true(ept01_is_writable(&ept, gpa - PAGE_SIZE));
        assert_true(ept01_is_writable(&ept, gpa + PAGE_SIZE));
        assert_true(ept01_lookup(&ept, gpa, &entry, &level));
        assert_int_equal(entry >> 3 & 7, memtype_range(&mtrrs, gpa, PAGE_SIZE));
    }
    assert_true(ept01_set_writable(&ept, gpa, true));
    check_tree(true, false);
}

/* Another core runs on the tables while types change: nothing it was given goes away. */
static volatile bool stop_reader;
static u64 reader_bad, reader_looks;

static void *read_all_the_time(void *argument)
{
    u64 gpa = 0;

    (void)argument;
    while (!stop_reader) {
        u64 entry;
        u32 level;

        gpa = (gpa + 0x12345000) % TOP_4G;
        if (gpa >= 0x7f000000 && gpa < 0x80000000)
            continue;
        reader_looks++;
        if (!ept01_lookup(&ept, gpa, &entry, &level) ||
            (entry & EPT_ADDR) != align_down(gpa, size_of(level)))
            reader_bad++;
    }
    return NULL;
}

static void retype_is_safe_for_the_other_cores(void **state)
{
    pthread_t reader;

    (void)state;
    stop_reader = false;
    for (u32 round = 0; round < 10; round++) {
        setup(NULL);
        fake_seed(round);
        assert_true(build(TOP_4G, 0x7f000000, 16 << 20));
        stop_reader = false;
        assert_int_equal(pthread_create(&reader, NULL, read_all_the_time, NULL), 0);
        for (u32 i = 0; i < 10; i++) {
            random_mtrrs(TOP_4G);
            assert_true(ept01_retype(&ept));
        }
        stop_reader = true;
        pthread_join(reader, NULL);
        check_tree(true, false);
    }
    assert_int_equal(reader_bad, 0);
    assert_true(reader_looks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pc_is_mapped_in_few_pages, setup),
        cmocka_unit_test_setup(the_top_is_rounded_up, setup),
        cmocka_unit_test_setup(without_1g_pages_there_are_none, setup),
        cmocka_unit_test_setup(five_levels_only_where_needed, setup),
        cmocka_unit_test_setup(hidden_memory_is_never_mapped, setup),
        cmocka_unit_test_setup(types_follow_any_mtrrs, setup),
        cmocka_unit_test_setup(a_small_pool_is_refused_and_left_whole, setup),
        cmocka_unit_test_setup(retype_without_memory_is_uncacheable, setup),
        cmocka_unit_test_setup(splits_that_fail_half_way_leak_nothing, setup),
        cmocka_unit_test_setup(mapping_on_demand_takes_the_largest_page, setup),
        cmocka_unit_test_setup(mapping_on_demand_never_fails_for_want_of_memory, setup),
        cmocka_unit_test_setup(dropped_tables_stay_intact_until_reclaimed, setup),
        cmocka_unit_test_setup(lookup_finds_what_the_processor_would, setup),
        cmocka_unit_test_setup(split_keeps_every_translation, setup),
        cmocka_unit_test_setup(only_large_pages_are_split, setup),
        cmocka_unit_test_setup(protection_hits_just_that_page, setup),
        cmocka_unit_test_setup(only_small_pages_are_protected, setup),
        cmocka_unit_test_setup(retype_keeps_a_protected_page_protected, setup),
        cmocka_unit_test_setup(retype_is_safe_for_the_other_cores, setup),
    };

    return cmocka_run_group_tests_name("ept01", tests, NULL, NULL);
}
