/* Memory types from the MTRRs. */
#include <setjmp.h>
#include <stdarg.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/memtype.h"

#define BITS    39u /* MAXPHYADDR */
#define CAP_ALL (MTRRCAP_FIXED | MTRRCAP_WC | 10)
#define DEF_ON  (MTRR_DEF_TYPE_ENABLE | MTRR_DEF_TYPE_FIXED)

static const u8 types[] = {MT_UC, MT_WC, MT_WT, MT_WP, MT_WB};

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    return 0;
}

static void set_variable(struct mtrr_state *mtrrs, u32 i, u64 base, u64 size, u64 type)
{
    mtrrs->base[i] = base | type;
    mtrrs->mask[i] = ((BIT64(BITS) - 1) & ~(size - 1)) | MTRR_PHYSMASK_VALID;
}

/* The SDM's rules, in the plainest form: one address, every range. */
static u32 model_type(const struct mtrr_state *mtrrs, u64 pa)
{
    bool uc = false, any = false, same = true, only_wt_wb = true;
    u64 first = 0;

    if (!(mtrrs->def_type >> 11 & 1))
        return MT_UC;
    if (pa < 0x100000 && (mtrrs->cap >> 8 & 1) && (mtrrs->def_type >> 10 & 1)) {
        u64 reg, byte;

        if (pa < 0x80000) {
            reg = 0;
            byte = pa >> 16;
        } else if (pa < 0xc0000) {
            reg = pa < 0xa0000 ? 1 : 2;
            byte = (pa & 0x1ffff) >> 14;
        } else {
            reg = 3 + ((pa - 0xc0000) >> 15);
            byte = (pa & 0x7fff) >> 12;
        }
        return (u8)(mtrrs->fixed[reg] >> byte * 8);
    }
    for (u32 i = 0; i < (mtrrs->cap & 0xff); i++) {
        u64 type = mtrrs->base[i] & 0xff, mask = mtrrs->mask[i] >> 12;

        if (!(mtrrs->mask[i] & 0x800) || (pa >> 12 & mask) != (mtrrs->base[i] >> 12 & mask))
            continue;
        uc = uc || type == MT_UC;
        only_wt_wb = only_wt_wb && (type == MT_WT || type == MT_WB);
        same = same && (!any || type == first);
        first = any ? first : type;
        any = true;
    }
    if (!any)
        return mtrrs->def_type & 0xff;
    if (uc)
        return MT_UC;
    if (same)
        return (u32)first;
    return only_wt_wb ? MT_WT : MT_UC;
}

static void off_means_uncacheable(void **state)
{
    struct mtrr_state mtrrs = {.cap = CAP_ALL, .def_type = MTRR_DEF_TYPE_FIXED | MT_WB};

    (void)state;
    set_variable(&mtrrs, 0, 0, SIZE_1G, MT_WB);
    assert_int_equal(memtype_range(&mtrrs, 0, PAGE_SIZE), MT_UC);
    assert_int_equal(memtype_range(&mtrrs, SIZE_1G, PAGE_SIZE), MT_UC);
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_1G), MT_UC);
}

static void fixed_ranges_have_their_addresses(void **state)
{
    struct mtrr_state mtrrs = {.cap = CAP_ALL, .def_type = DEF_ON | MT_WP};

    (void)state;
    for (u32 reg = 0; reg < MTRR_FIXED_COUNT; reg++) {
        for (u32 byte = 0; byte < 8; byte++) {
            u64 size = reg == 0 ? 0x10000 : reg < 3 ? 0x4000 : 0x1000;
            u64 base = reg == 0  ? 0
                       : reg < 3 ? 0x80000 + (reg - 1) * 0x20000
                                 : 0xc0000 + (reg - 3) * 0x8000ull;
            u64 start = base + byte * size;

            for (u32 i = 0; i < MTRR_FIXED_COUNT; i++)
                mtrrs.fixed[i] = 0x0606060606060606;
            mtrrs.fixed[reg] &= ~(0xffull << byte * 8);
            mtrrs.fixed[reg] |= (u64)MT_WC << byte * 8;
            for (u64 pa = 0; pa < 0x110000; pa += 0x1000) {
                u32 want = pa >= 0x100000                     ? MT_WP
                           : pa >= start && pa < start + size ? MT_WC
                                                              : MT_WB;
                assert_int_equal(memtype_range(&mtrrs, pa, PAGE_SIZE), want);
            }
            assert_int_equal(memtype_range(&mtrrs, start, size), MT_WC);
            assert_int_equal(memtype_range(&mtrrs, 0, 0x100000), MEMTYPE_MIXED);
        }
    }
    mtrrs.def_type &= ~MTRR_DEF_TYPE_FIXED;
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_2M), MT_WP);
    mtrrs.def_type |= MTRR_DEF_TYPE_FIXED;
    mtrrs.cap &= ~MTRRCAP_FIXED;
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_2M), MT_WP);
}

/* Every default with every three overlapping ranges. */
static void overlaps_follow_the_precedences(void **state)
{
    (void)state;
    for (u32 i = 0; i < 5 * 5 * 5 * 5 * 8; i++) {
        struct mtrr_state mtrrs = {.cap = CAP_ALL, .def_type = MTRR_DEF_TYPE_ENABLE | types[i % 5]};

        set_variable(&mtrrs, 0, 0x40000000, 0x40000000, types[i / 5 % 5]);
        set_variable(&mtrrs, 3, 0x40000000, 0x400000, types[i / 25 % 5]);
        set_variable(&mtrrs, 9, 0x40200000, 0x200000, types[i / 125 % 5]);
        mtrrs.mask[0] ^= i / 625 & 1 ? MTRR_PHYSMASK_VALID : 0;
        mtrrs.mask[3] ^= i / 625 & 2 ? MTRR_PHYSMASK_VALID : 0;
        mtrrs.mask[9] ^= i / 625 & 4 ? MTRR_PHYSMASK_VALID : 0;
        for (u64 pa = 0x3fe00000; pa <= 0x40600000; pa += 0x200000) {
            assert_int_equal(memtype_range(&mtrrs, pa, PAGE_SIZE), model_type(&mtrrs, pa));
            assert_int_equal(memtype_range(&mtrrs, pa, SIZE_2M), model_type(&mtrrs, pa));
        }
    }
}

/* Registers beyond MTRRCAP's count are not looked at. */
static void the_count_is_obeyed(void **state)
{
    struct mtrr_state mtrrs = {.cap = MTRRCAP_WC | 2, .def_type = MTRR_DEF_TYPE_ENABLE | MT_WB};

    (void)state;
    set_variable(&mtrrs, 2, 0, SIZE_1G, MT_UC);
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_1G), MT_WB);
    mtrrs.cap++;
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_1G), MT_UC);
    mtrrs.cap |= MTRRCAP_COUNT; /* more than the state holds: no overrun */
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_1G), MT_UC);
}

static int model_range(const struct mtrr_state *mtrrs, u64 pa, u64 size)
{
    u32 type = model_type(mtrrs, pa);

    for (u64 offset = 0; offset < size; offset += PAGE_SIZE)
        if (model_type(mtrrs, pa + offset) != type)
            return MEMTYPE_MIXED;
    return (int)type;
}

static void random_state(struct mtrr_state *mtrrs, u64 window, bool holes)
{
    *mtrrs = (struct mtrr_state){.cap = CAP_ALL, .def_type = DEF_ON | types[fake_below(5)]};
    if (fake_below(4) == 0)
        mtrrs->def_type &= ~MTRR_DEF_TYPE_FIXED;
    for (u32 i = 0; i < MTRR_FIXED_COUNT; i++)
        for (u32 byte = 0; byte < 64; byte += 8)
            mtrrs->fixed[i] |= (u64)(fake_below(3) ? MT_WB : types[fake_below(5)]) << byte;
    for (u32 i = 0; i < 10; i++) {
        u64 size = PAGE_SIZE << fake_below(14);

        if (fake_below(2))
            continue;
        set_variable(mtrrs, i, align_down(fake_below(window), size), size,
                     fake_below(2) ? mtrrs->def_type & 7 : types[fake_below(5)]);
        if (holes)
            mtrrs->mask[i] &= fake_random() | MTRR_PHYSMASK_VALID;
    }
}

static void ranges_equal_the_sum_of_their_pages(void **state)
{
    struct mtrr_state mtrrs;

    (void)state;
    for (u32 round = 0; round < 1500; round++) {
        u64 window = round & 1 ? 0x1000000 : 0x400000;

        random_state(&mtrrs, window, false);
        for (u32 i = 0; i < 8; i++) {
            u64 size = PAGE_SIZE << fake_below(11);
            u64 pa = align_down(fake_below(window), size);

            assert_int_equal(memtype_range(&mtrrs, pa, size), model_range(&mtrrs, pa, size));
            assert_int_equal(memtype_range(&mtrrs, pa, PAGE_SIZE), model_type(&mtrrs, pa));
        }
    }
}

/* Masks with holes: a page is always exact, a range exact or said to be mixed. */
static void masks_with_holes_are_never_taken_for_uniform(void **state)
{
    struct mtrr_state mtrrs;

    (void)state;
    for (u32 round = 0; round < 500; round++) {
        random_state(&mtrrs, 0x1000000, true);
        for (u32 i = 0; i < 8; i++) {
            u64 size = PAGE_SIZE << fake_below(10);
            u64 pa = align_down(fake_below(0x1000000), size);
            int got = memtype_range(&mtrrs, pa, size);

            if (size == PAGE_SIZE || got != MEMTYPE_MIXED)
                assert_int_equal(got, model_range(&mtrrs, pa, size));
        }
    }
}

/* A worst case that would cost 2^18 looks ends early. */
static void the_cost_of_holes_is_bounded(void **state)
{
    struct mtrr_state mtrrs = {.cap = CAP_ALL, .def_type = MTRR_DEF_TYPE_ENABLE | MT_UC};

    (void)state;
    mtrrs.base[0] = MT_WB;
    mtrrs.mask[0] = 0x1000 | MTRR_PHYSMASK_VALID;
    mtrrs.base[1] = 0x1000 | MT_WB;
    mtrrs.mask[1] = 0x1000 | MTRR_PHYSMASK_VALID;
    for (u32 i = 0; i < 1000; i++)
        assert_int_equal(memtype_range(&mtrrs, i * SIZE_1G, SIZE_1G), MEMTYPE_MIXED);
    assert_int_equal(memtype_range(&mtrrs, 0, 64 * PAGE_SIZE), MT_WB);
}

/* The usual layout of a PC: WB below 2 GiB and above 4 GiB, a UC hole between. */
static void large_ranges_without_a_boundary_are_uniform(void **state)
{
    struct mtrr_state mtrrs = {.cap = CAP_ALL, .def_type = DEF_ON | MT_WB};

    (void)state;
    for (u32 i = 0; i < MTRR_FIXED_COUNT; i++)
        mtrrs.fixed[i] = 0x0606060606060606;
    mtrrs.fixed[2] = 0; /* A0000 */
    set_variable(&mtrrs, 0, 0x80000000, 0x80000000, MT_UC);
    set_variable(&mtrrs, 1, 0x7f800000, 0x800000, MT_UC);
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_1G), MEMTYPE_MIXED);
    assert_int_equal(memtype_range(&mtrrs, 0, SIZE_2M), MEMTYPE_MIXED);
    assert_int_equal(memtype_range(&mtrrs, SIZE_2M, SIZE_2M), MT_WB);
    assert_int_equal(memtype_range(&mtrrs, SIZE_1G, SIZE_1G), MEMTYPE_MIXED);
    assert_int_equal(memtype_range(&mtrrs, 0x7f600000, SIZE_2M), MT_WB);
    assert_int_equal(memtype_range(&mtrrs, 0x7f800000, SIZE_2M), MT_UC);
    assert_int_equal(memtype_range(&mtrrs, 2 * SIZE_1G, SIZE_1G), MT_UC);
    assert_int_equal(memtype_range(&mtrrs, 4 * SIZE_1G, SIZE_1G), MT_WB);
}

static void registers_have_their_slots(void **state)
{
    struct mtrr_state mtrrs = {.cap = MTRRCAP_FIXED | 8};
    const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                         0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
    u32 found = 0;

    (void)state;
    for (u32 i = 0; i < MTRR_FIXED_COUNT; i++)
        assert_ptr_equal(memtype_msr(&mtrrs, fixed[i]), &mtrrs.fixed[i]);
    for (u32 i = 0; i < 8; i++) {
        assert_ptr_equal(memtype_msr(&mtrrs, 0x200 + 2 * i), &mtrrs.base[i]);
        assert_ptr_equal(memtype_msr(&mtrrs, 0x201 + 2 * i), &mtrrs.mask[i]);
    }
    assert_ptr_equal(memtype_msr(&mtrrs, 0xfe), &mtrrs.cap);
    assert_ptr_equal(memtype_msr(&mtrrs, 0x2ff), &mtrrs.def_type);
    for (u32 msr = 0; msr < 0x2000; msr++)
        found += memtype_msr(&mtrrs, msr) != NULL;
    assert_int_equal(found, 11 + 16 + 2);
    assert_null(memtype_msr(&mtrrs, 0xc0000201));
    mtrrs.cap = 0xff;
    assert_null(memtype_msr(&mtrrs, 0x250));
    assert_non_null(memtype_msr(&mtrrs, 0x21f));
    assert_null(memtype_msr(&mtrrs, 0x220));
}

static bool model_valid_type(u64 type)
{
    return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static void reserved_bits_and_types_are_refused(void **state)
{
    struct mtrr_state mtrrs = {.cap = CAP_ALL};

    (void)state;
    for (u64 type = 0; type < 256; type++) {
        bool valid = model_valid_type(type);

        assert_int_equal(memtype_write_valid(0x2ff, type | 0xc00, &mtrrs, BITS), valid);
        assert_int_equal(memtype_write_valid(0x200, type | 0x12345000, &mtrrs, BITS), valid);
        for (u32 byte = 0; byte < 64; byte += 8)
            assert_int_equal(
                memtype_write_valid(0x268, (0x0606060606060606 & ~(0xffull << byte)) | type << byte,
                                    &mtrrs, BITS),
                valid);
    }
    for (u32 bit = 8; bit < 64; bit++) {
        bool address = bit >= 12 && bit < BITS;

        assert_int_equal(memtype_write_valid(0x2ff, BIT64(bit), &mtrrs, BITS),
                         bit == 10 || bit == 11);
        assert_int_equal(memtype_write_valid(0x212, BIT64(bit), &mtrrs, BITS), address);
        assert_int_equal(memtype_write_valid(0x213, BIT64(bit), &mtrrs, BITS),
                         address || bit == 11);
    }
    for (u32 bit = 0; bit < 8; bit++)
        assert_false(memtype_write_valid(0x213, BIT64(bit), &mtrrs, BITS));
    assert_true(memtype_write_valid(0x201, 0x000ffffffffff800, &mtrrs, 52));
    assert_false(memtype_write_valid(0xfe, CAP_ALL, &mtrrs, BITS));
    assert_false(memtype_write_valid(0x214, 0, &mtrrs, BITS)); /* only ten pairs */
    assert_false(memtype_write_valid(0x251, 0, &mtrrs, BITS));
    mtrrs.cap = 10;
    assert_false(memtype_write_valid(0x250, 0, &mtrrs, BITS));     /* no fixed ones */
    assert_false(memtype_write_valid(0x200, MT_WC, &mtrrs, BITS)); /* no WC */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(off_means_uncacheable, setup),
        cmocka_unit_test_setup(fixed_ranges_have_their_addresses, setup),
        cmocka_unit_test_setup(overlaps_follow_the_precedences, setup),
        cmocka_unit_test_setup(the_count_is_obeyed, setup),
        cmocka_unit_test_setup(ranges_equal_the_sum_of_their_pages, setup),
        cmocka_unit_test_setup(masks_with_holes_are_never_taken_for_uniform, setup),
        cmocka_unit_test_setup(the_cost_of_holes_is_bounded, setup),
        cmocka_unit_test_setup(large_ranges_without_a_boundary_are_uniform, setup),
        cmocka_unit_test_setup(registers_have_their_slots, setup),
        cmocka_unit_test_setup(reserved_bits_and_types_are_refused, setup),
    };

    return cmocka_run_group_tests_name("memtype", tests, NULL, NULL);
}
