/* The walk of L1's sub-page-permission table. */
#include <setjmp.h>
#include <stdarg.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/sppt.h"

#define ROOT         0x10000ull
#define TABLE(level) (ROOT + (SPPT_LEVELS - (level)) * PAGE_SIZE)
#define NGPA         0x123456789abcull
#define BITS         40u
#define LEAF         0x5555000011114444ull

static u64 slot(u32 level) { return TABLE(level) + sppt_index(NGPA, level) * 8; }

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    for (u32 level = SPPT_LEVELS; level > 1; level--)
        fake_put64(slot(level), TABLE(level - 1) | SPPT_VALID);
    fake_put64(slot(1), LEAF);
    return 0;
}

static enum sppt_result walk(u64 *permissions)
{
    return sppt12_walk(ROOT, NGPA, BITS, permissions);
}

static void finds(void **state)
{
    u64 permissions = 0;

    (void)state;
    assert_int_equal(walk(&permissions), SPPT_FOUND);
    assert_int_equal(permissions, LEAF);
    assert_int_equal(fake_reads, 4);
}

static void misses(void **state)
{
    u64 permissions;

    for (u32 level = SPPT_LEVELS; level > 1; level--) {
        setup(state);
        fake_put64(slot(level), ~SPPT_VALID);
        assert_int_equal(walk(&permissions), SPPT_MISS);
    }
}

static void each_reserved_bit(void **state)
{
    u64 permissions;

    for (u32 level = SPPT_LEVELS; level > 1; level--)
        for (u32 bit = 1; bit < 64; bit++) {
            bool reserved = bit < PAGE_SHIFT || bit >= BITS;

            setup(state);
            if (!reserved)
                continue;
            fake_put64(slot(level), fake_get64(slot(level)) | BIT64(bit));
            assert_int_equal(walk(&permissions), SPPT_MISCONFIGURED);
        }
    for (u32 bit = 0; bit < 64; bit++) {
        setup(state);
        fake_put64(slot(1), BIT64(bit));
        assert_int_equal(walk(&permissions), bit % 2 ? SPPT_MISCONFIGURED : SPPT_FOUND);
    }
}

static void hidden_tables_are_ones(void **state)
{
    u64 permissions;

    for (u32 level = 1; level <= SPPT_LEVELS; level++) {
        setup(state);
        fake_phys_hide(TABLE(level), PAGE_SIZE);
        assert_int_equal(walk(&permissions), SPPT_MISCONFIGURED);
    }
}

static void allows_by_sub_page(void **state)
{
    (void)state;
    for (u32 i = 0; i < 32; i++)
        for (u32 j = 0; j < 32; j++) {
            u64 permissions = BIT64(2 * i);

            assert_int_equal(sppt_allows(permissions, NGPA / PAGE_SIZE * PAGE_SIZE + j * 128),
                             i == j);
            assert_int_equal(sppt_allows(permissions, j * 128 + 127), i == j);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(finds, setup), cmocka_unit_test(misses),
        cmocka_unit_test(each_reserved_bit),  cmocka_unit_test(hidden_tables_are_ones),
        cmocka_unit_test(allows_by_sub_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
