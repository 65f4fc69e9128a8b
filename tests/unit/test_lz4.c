/* The decompression of L0's image. */
#include <setjmp.h>
#include <stdarg.h>

#include "types.h"
#include <cmocka.h>

#include "boot/lz4.h"

static u8 out[4096];

static void test_literals_alone(void **state)
{
    const u8 block[] = {0x50, 'h', 'e', 'l', 'l', 'o'};

    (void)state;
    assert_int_equal(lz4_decompress(block, sizeof(block), out, sizeof(out)), 5);
    assert_memory_equal(out, "hello", 5);
    assert_int_equal(lz4_decompress(block, sizeof(block), out, 5), 5);
    assert_int_equal(lz4_decompress(block, sizeof(block), out, 4), 0);
}

/* A match that reaches into what it makes, and one to the very first byte. */
static void test_matches(void **state)
{
    const u8 block[] = {0x13, 'a', 1, 0, 0x20, 'b', 'c', 10, 0, 0x10, 'd'};

    (void)state;
    assert_int_equal(lz4_decompress(block, sizeof(block), out, sizeof(out)), 15);
    assert_memory_equal(out, "aaaaaaaabcaaaad", 15);
}

/* Lengths that go on in further bytes: 15 + 255 + 4 literals, and a match of 15 + 255 + 0 + 4. */
static void test_long_lengths(void **state)
{
    u8 block[3 + 274 + 2 + 2 + 2];
    size_t at = 0;

    (void)state;
    block[at++] = 0xff;
    block[at++] = 255;
    block[at++] = 4;
    for (u32 i = 0; i < 274; i++)
        block[at++] = (u8)i;
    block[at++] = 1;
    block[at++] = 0;
    block[at++] = 255;
    block[at++] = 0;
    block[at++] = 0x10;
    block[at++] = 'x';
    assert_int_equal(at, sizeof(block));
    assert_int_equal(lz4_decompress(block, at, out, sizeof(out)), 274 + 274 + 1);
    for (u32 i = 0; i < 274; i++)
        assert_int_equal(out[i], (u8)i);
    for (u32 i = 274; i < 548; i++)
        assert_int_equal(out[i], (u8)273);
    assert_int_equal(out[548], 'x');
}

static void test_damaged(void **state)
{
    const u8 zero_offset[] = {0x14, 'a', 0, 0, 0x10, 'b'},
             before_start[] = {0x14, 'a', 2, 0, 0x10, 'b'};
    const u8 cut_literals[] = {0x50, 'h'}, cut_length[] = {0xf0, 255},
             cut_offset[] = {0x10, 'a', 1};
    const u8 no_last_literals[] = {0x14, 'a', 1, 0};

    (void)state;
    assert_int_equal(lz4_decompress(NULL, 0, out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(zero_offset, sizeof(zero_offset), out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(before_start, sizeof(before_start), out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(cut_literals, sizeof(cut_literals), out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(cut_length, sizeof(cut_length), out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(cut_offset, sizeof(cut_offset), out, sizeof(out)), 0);
    assert_int_equal(lz4_decompress(no_last_literals, sizeof(no_last_literals), out, sizeof(out)),
                     0);
    /* A match that does not fit. */
    assert_int_equal(lz4_decompress((const u8[]){0x1f, 'a', 1, 0, 255, 0, 0x10, 'b'}, 8, out, 100),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_alone),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_long_lengths),
        cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests_name("lz4", tests, NULL, NULL);
}
