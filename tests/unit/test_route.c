/* Whose an exit of L2 is: vmx/route.c against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/phys.h"
#include "vmx.h"
#include "vmx/route.h"

#define BITMAP 0x5000u

static void set_bit(u32 byte, u32 bit)
{
    u8 value = (u8)(1u << bit);

    phys_write(BITMAP + byte, &value, 1);
}

static u8 own[PAGE_SIZE]; /* L0's */

/* L1's, and all of L0's bits are set. */
static void clear_bitmap(void)
{
    fake_phys_reset();
    memset(own, 0xff, sizeof(own));
}

static struct vmcs12 with_bitmap(void)
{
    return (struct vmcs12){.cpu_based_vm_exec_control = CPU_BASED_USE_MSR_BITMAPS,
                           .msr_bitmap = BITMAP};
}

static void test_msr_without_bitmap(void **state)
{
    struct vmcs12 vmcs12 = with_bitmap();

    (void)state;
    clear_bitmap();
    vmcs12.cpu_based_vm_exec_control = 0;
    assert_true(route_msr_to_l1(&vmcs12, own, 0x10, false));
}

/* Each MSR that a bitmap covers, each direction: its own bit decides and no other. */
static void test_msr_bits(void **state)
{
    static const u32 msrs[] = {0,      1,          7,          8,          0x3a,      0x480,
                               0x1fff, 0xc0000000, 0xc0000080, 0xc0000102, 0xc0001fff};
    struct vmcs12 vmcs12 = with_bitmap();

    (void)state;
    for (u32 write = 0; write < 2; write++)
        for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
            u32 low = msrs[i] & 0x1fff;

            clear_bitmap();
            assert_false(route_msr_to_l1(&vmcs12, own, msrs[i], write));
            set_bit((write ? 2048u : 0) + (msrs[i] >> 31 ? 1024u : 0) + low / 8, low % 8);
            for (u32 j = 0; j < ARRAY_SIZE(msrs); j++) {
                assert_int_equal(route_msr_to_l1(&vmcs12, own, msrs[j], write), i == j);
                assert_false(route_msr_to_l1(&vmcs12, own, msrs[j], !write));
            }
        }
}

static void test_msr_outside(void **state)
{
    static const u32 msrs[] = {0x2000, 0x40000000, 0xbfffffff, 0xc0002000, 0xffffffff};
    struct vmcs12 vmcs12 = with_bitmap();

    (void)state;
    clear_bitmap();
    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
        assert_true(route_msr_to_l1(&vmcs12, own, msrs[i], false));
}

/* L1 clears its bit while L2 is about to exit for it: the exit is L1's all the same, and L0 does
   not execute the instruction in its stead. */
static void test_msr_that_L0_has_no_part_in(void **state)
{
    static const u32 msrs[] = {0, 0x1b, 0x1fff, 0xc0000080, 0xc0000101, 0xc0001fff};
    struct vmcs12 vmcs12 = with_bitmap();

    (void)state;
    for (u32 write = 0; write < 2; write++)
        for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
            u32 low = msrs[i] & 0x1fff;
            u32 byte = (write ? 2048u : 0) + (msrs[i] >> 31 ? 1024u : 0) + low / 8;

            clear_bitmap();
            own[byte] &= (u8) ~(1u << low % 8);
            assert_true(route_msr_to_l1(&vmcs12, own, msrs[i], write));
            assert_false(route_msr_to_l1(&vmcs12, own, msrs[i], !write));
            assert_false(route_msr_to_l1(&vmcs12, own, msrs[i] ^ 1, write));
        }
}

static void test_cr4(void **state)
{
    struct vmcs12 vmcs12 = {.cr4_guest_host_mask = 0x2000, .cr4_read_shadow = 0x2000};

    (void)state;
    assert_false(route_cr_to_l1(&vmcs12, 4, 0x2000));
    assert_false(route_cr_to_l1(&vmcs12, 4, 0x6000)); /* L0's bit alone */
    assert_true(route_cr_to_l1(&vmcs12, 4, 0x4000));
    assert_true(route_cr_to_l1(&vmcs12, 0, 0));          /* CR0 */
    assert_true(route_cr_to_l1(&vmcs12, 4 | 1 << 4, 0)); /* MOV from CR4 */
    assert_true(route_cr_to_l1(&vmcs12, 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msr_without_bitmap),
        cmocka_unit_test(test_msr_bits),
        cmocka_unit_test(test_msr_outside),
        cmocka_unit_test(test_msr_that_L0_has_no_part_in),
        cmocka_unit_test(test_cr4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
