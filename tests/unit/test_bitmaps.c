/* Bitmaps of exits: merging, and the bits of a VMCS field. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "vmcs_fields.h"
#include "vmx/bitmaps.h"

#define WORDS (PAGE_SIZE / sizeof(u64))

static void test_merge(void **state)
{
    u64 merged[WORDS + 1], own[WORDS];

    (void)state;
    for (u32 i = 0; i < WORDS; i++) {
        merged[i] = i * 0x9e3779b97f4a7c15;
        own[i] = ~(u64)i << i % 64;
    }
    merged[WORDS] = 0;
    bitmap_merge(merged, own);
    for (u32 i = 0; i < WORDS; i++)
        assert_int_equal(merged[i], i * 0x9e3779b97f4a7c15 | ~(u64)i << i % 64);
    assert_int_equal(merged[WORDS], 0);
}

static void test_each_bit(void **state)
{
    static u8 bitmap[PAGE_SIZE];

    (void)state;
    for (u32 bit = 0; bit < sizeof(bitmap) * 8; bit += 37) {
        memset(bitmap, 0, sizeof(bitmap));
        bitmap[bit / 8] = (u8)(1 << bit % 8);
        assert_true(bitmap_test(bitmap, bit));
        assert_false(bitmap_test(bitmap, bit ^ 1));
        assert_false(bitmap_test(bitmap, bit ^ 8));
        memset(bitmap, 0xff, sizeof(bitmap));
        bitmap[bit / 8] ^= (u8)(1 << bit % 8);
        assert_false(bitmap_test(bitmap, bit));
        assert_true(bitmap_test(bitmap, bit ^ 1));
    }
}

static void test_fields(void **state)
{
    static const u32 fields[] = {GUEST_ES_SELECTOR, TSC_OFFSET,  GUEST_IA32_DEBUGCTL,
                                 VM_EXIT_REASON,    HOST_RIP,    VIRTUAL_PROCESSOR_ID,
                                 IO_BITMAP_B,       GUEST_PDPTR3};
    static u8 bitmap[PAGE_SIZE];

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        u32 field = fields[i];

        memset(bitmap, 0, sizeof(bitmap));
        assert_true(bitmap_lets_field(bitmap, field));
        memset(bitmap, 0xff, sizeof(bitmap));
        assert_false(bitmap_lets_field(bitmap, field));
        bitmap[field / 8] = (u8) ~(1 << field % 8);
        assert_true(bitmap_lets_field(bitmap, field));
        /* The next bit is the upper half of a 64-bit field, and else no field's. */
        bitmap[field / 8] = (u8) ~(2 << field % 8);
        assert_int_equal(bitmap_lets_field(bitmap, field),
                         VMCS_FIELD_WIDTH(field) == VMCS_WIDTH_64);
        bitmap[field / 8] = (u8)(3 << field % 8);
        assert_false(bitmap_lets_field(bitmap, field));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_each_bit),
        cmocka_unit_test(test_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
