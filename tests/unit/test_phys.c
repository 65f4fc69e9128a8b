/*
 * L1's memory as L0 reads and writes it for L1: what is not L1's reads as ones and takes no writes,
 * each write is told to EPT02 first, and aligned words are read and written whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "hv/l0.h"
#include "mm/phys.h"

#define LOW_PAGES  8u
#define HIDDEN     (3 * PAGE_SIZE) /* two pages */
#define LOW_TOP    (LOW_PAGES * PAGE_SIZE)
#define HIGH       (4 * SIZE_1G)
#define HIGH_PAGES 2u

struct l0 l0;

static u8 low[LOW_PAGES * PAGE_SIZE], high[HIGH_PAGES * PAGE_SIZE];
static u64 told[4]; /* pages that EPT02 was told of */
static u32 told_count;

void *pool_va(u64 pa)
{
    if (pa < sizeof(low))
        return low + pa;
    assert_in_range(pa, HIGH, HIGH + sizeof(high) - 1);
    return high + (pa - HIGH);
}

bool ept02_source_written(struct ept02 *ept, u64 pa)
{
    assert_ptr_equal(ept, &l0.ept02);
    assert_true(told_count < ARRAY_SIZE(told));
    told[told_count++] = align_down(pa, PAGE_SIZE);
    return false;
}

/* ---- Copying as the slowest processor does, with others looking on ---- */

static void (*on_byte)(void);

void *__wrap_memcpy(void *to, const void *from, size_t len);

void *__wrap_memcpy(void *to, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        *((u8 *)to + i) = *((const u8 *)from + i);
        if (on_byte)
            on_byte();
    }
    return to;
}

static int setup(void **state)
{
    (void)state;
    for (u32 i = 0; i < sizeof(low); i++)
        low[i] = (u8)(i % 251);
    for (u32 i = 0; i < sizeof(high); i++)
        high[i] = (u8)(i % 241);
    l0.boot.region_base = HIDDEN;
    l0.boot.region_size = 2 * PAGE_SIZE;
    l0.boot.low_ram_top = LOW_TOP;
    l0.boot.ram_top = HIGH + sizeof(high);
    told_count = 0;
    on_byte = NULL;
    return 0;
}

/* NULL: not L1's memory. */
static u8 *model(u64 pa)
{
    if (pa < LOW_TOP && !(pa >= HIDDEN && pa < HIDDEN + 2 * PAGE_SIZE))
        return &low[pa];
    return pa >= HIGH && pa < HIGH + sizeof(high) ? &high[pa - HIGH] : NULL;
}

/* Starts at and around each border: L0's memory, the devices, the end. */
static const u64 borders[] = {PAGE_SIZE, HIDDEN, HIDDEN + PAGE_SIZE,   HIDDEN + 2 * PAGE_SIZE,
                              LOW_TOP,   HIGH,   HIGH + 2 * PAGE_SIZE, BIT64(52)};

static void reads_show_L1s_memory_and_else_ones(void **state)
{
    u8 bytes[24];

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(borders); i++)
        for (u64 pa = borders[i] - 20; pa < borders[i] + 8; pa++)
            for (u64 len = 1; len <= sizeof(bytes); len++) {
                phys_read(bytes, pa, len);
                for (u64 n = 0; n < len; n++)
                    assert_int_equal(bytes[n], model(pa + n) ? *model(pa + n) : 0xff);
            }
    phys_read(bytes, 0, 0);
}

static void words_are_read_in_the_same_way(void **state)
{
    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(borders); i++)
        for (u64 pa = borders[i] - 16; pa < borders[i] + 16; pa += 4) {
            u64 wide = ~0ull;
            u32 narrow = ~0u;

            if (model(pa))
                memcpy(&narrow, model(pa), 4);
            assert_int_equal(phys_read32(pa), narrow);
            if (pa % 8)
                continue;
            if (model(pa))
                memcpy(&wide, model(pa), 8);
            assert_int_equal(phys_read64(pa), wide);
        }
}

static void writes_change_L1s_memory_only(void **state)
{
    static u8 before[sizeof(low)];
    u8 bytes[24];

    memset(bytes, 0xee, sizeof(bytes));
    for (u32 i = 0; i < ARRAY_SIZE(borders); i++)
        for (u64 pa = borders[i] - 20; pa < borders[i] + 8; pa++)
            for (u64 len = 1; len <= sizeof(bytes); len++) {
                u32 pages = 0;

                setup(state);
                memcpy(before, low, sizeof(low));
                phys_write(pa, bytes, len);
                for (u64 n = 0; n < len; n++)
                    if (model(pa + n))
                        assert_int_equal(*model(pa + n), 0xee);
                assert_memory_equal(low + HIDDEN, before + HIDDEN, 2 * PAGE_SIZE);
                for (u64 page = align_down(pa, PAGE_SIZE); page < pa + len; page += PAGE_SIZE)
                    if (model(page))
                        assert_int_equal(told[pages++], page);
                assert_int_equal(told_count, pages);
            }
}

static void flags_are_set_if_nothing_changed(void **state)
{
    u64 wide, other = HIGH + 0x40;
    u32 narrow;

    (void)state;
    wide = phys_read64(other);
    assert_false(phys_set_bits64(other, wide ^ 1, 0x100));
    assert_int_equal(phys_read64(other), wide);
    assert_true(phys_set_bits64(other, wide, BIT64(63) | 2));
    assert_int_equal(phys_read64(other), wide | BIT64(63) | 2);
    assert_int_equal(told_count, 2);
    narrow = phys_read32(4);
    assert_false(phys_set_bits32(4, narrow ^ 1, 0x100));
    assert_true(phys_set_bits32(4, narrow, 0x80000000));
    assert_int_equal(phys_read32(4), narrow | 0x80000000);
    assert_int_equal(told_count, 4);
    wide = phys_read64(8);
    assert_true(phys_set_flags(8, wide, 0x300)); /* EPT02 has them already */
    assert_int_equal(phys_read64(8), wide | 0x300);
    assert_int_equal(told_count, 4);
    assert_false(phys_set_bits64(HIDDEN, ~0ull, 0x100));
    assert_false(phys_set_bits32(HIDDEN, ~0u, 0x100));
    assert_false(phys_set_flags(HIDDEN, ~0ull, 0x100));
    assert_false(phys_set_bits64(SIZE_1G, ~0ull, 0x100)); /* a device */
}

/* SDM vol. 3, "Guaranteed Atomic Operations". */
#define WORD_AT 0x1008u

static u64 word_old, word_new;
static u32 word_len;

static void see_it_whole(void)
{
    u64 now = 0;

    for (u32 i = 0; i < word_len; i++)
        now |= (u64)low[WORD_AT + i] << 8 * i;
    assert_true(now == word_old || now == word_new);
}

static void change_it(void)
{
    for (u32 i = 0; i < word_len; i++)
        low[WORD_AT + i] = (u8)(word_new >> 8 * i);
}

static void aligned_words_are_whole(void **state)
{
    for (word_len = 2; word_len <= 8; word_len *= 2) {
        u64 bytes = 0;

        word_new = 0x1122334455667788 & (~0ull >> (64 - 8 * word_len));
        setup(state);
        phys_read(&word_old, WORD_AT, word_len);
        word_old &= ~0ull >> (64 - 8 * word_len);
        bytes = word_new;
        on_byte = see_it_whole; /* another core, while L0 writes */
        phys_write(WORD_AT, &bytes, word_len);
        on_byte = NULL;
        assert_memory_equal(low + WORD_AT, &bytes, word_len);
        setup(state);
        bytes = 0;
        on_byte = change_it; /* and while it reads */
        phys_read(&bytes, WORD_AT, word_len);
        on_byte = NULL;
        assert_true(bytes == word_old || bytes == word_new);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_show_L1s_memory_and_else_ones, setup),
        cmocka_unit_test_setup(words_are_read_in_the_same_way, setup),
        cmocka_unit_test_setup(writes_change_L1s_memory_only, setup),
        cmocka_unit_test_setup(flags_are_set_if_nothing_changed, setup),
        cmocka_unit_test_setup(aligned_words_are_whole, setup),
    };

    return cmocka_run_group_tests_name("phys", tests, NULL, NULL);
}
