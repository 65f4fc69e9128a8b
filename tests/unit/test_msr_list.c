/* The MSR areas of VM entries and exits: what of L1's memory is read and written, how often, and
   which entry fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "hv/l0.h"
#include "hv/log.h"
#include "hv/msr.h"
#include "mm/phys.h"
#include "vmx.h"
#include "vmx/msr_list.h"
#include "x86.h"

#define AREA  0x7fc0ull   /* crosses a page after its fourth entry */
#define PLAIN 0xc0000082u /* MSRs of no special meaning here: up to PLAIN + 0xff */
#define WRONG (PLAIN + 0x80)

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

static u64 msrs[256]; /* from PLAIN on */
static u32 written, apic_base;

void record_deviation(const char *text) { (void)text; }

void log_print(u32 level, const char *format, ...)
{
    (void)level;
    (void)format;
}

bool msr_read(u32 msr, u64 *value)
{
    if (msr == WRONG || msr - PLAIN >= ARRAY_SIZE(msrs))
        return false;
    *value = msrs[msr - PLAIN];
    return true;
}

bool msr_write(u32 msr, u64 value)
{
    if (msr == WRONG || msr - PLAIN >= ARRAY_SIZE(msrs))
        return false;
    msrs[msr - PLAIN] = value;
    written++;
    return true;
}

bool fake_rdmsr(u32 msr, u64 *value)
{
    assert_int_equal(msr, MSR_IA32_APIC_BASE);
    *value = apic_base;
    return true;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    assert_int_equal(msr, MSR_IA32_DEBUGCTL);
    return !(value >> 32);
}

static void put(u32 n, u32 index, u32 reserved, u64 value)
{
    fake_put32(AREA + 16 * n, index);
    fake_put32(AREA + 16 * n + 4, reserved);
    fake_put64(AREA + 16 * n + 8, value);
}

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    memset(msrs, 0, sizeof(msrs));
    memset(&l0, 0, sizeof(l0));
    l0.hw.linear_bits = 48;
    written = apic_base = 0;
    for (u32 i = 0; i < 8; i++)
        put(i, PLAIN + i, 0, 0x1000 + i);
    fake_bytes = 0;
    return 0;
}

static void each_entry_is_loaded_once(void **state)
{
    (void)state;
    assert_int_equal(msr_list_load(AREA, 8), 0);
    assert_int_equal(fake_bytes, 8 * 16);
    assert_int_equal(written, 8);
    for (u32 i = 0; i < 8; i++)
        assert_int_equal(msrs[i], 0x1000 + i);
    assert_int_equal(msr_list_load(0, 0), 0);
}

static void each_entry_is_stored_once(void **state)
{
    (void)state;
    for (u32 i = 0; i < 8; i++)
        msrs[i] = 0xabcd000000000000 + i;
    assert_true(msr_list_store(AREA, 8));
    assert_int_equal(fake_bytes, 8 * (16 + 8));
    for (u32 i = 0; i < 8; i++) {
        assert_int_equal(fake_get32(AREA + 16 * i), PLAIN + i);
        assert_int_equal(fake_get64(AREA + 16 * i + 8), 0xabcd000000000000 + i);
    }
    assert_true(msr_list_store(0, 0));
}

/* What no area may name, or what the MSR does not take: SDM vol. 3, "Loading MSRs". */
static void the_first_bad_entry_ends_it(void **state)
{
    static const struct {
        u32 index, reserved, apic_base;
        u64 value;
        bool load_only;
    } rows[] = {
        {WRONG, 0, 0, 0, false},
        {PLAIN, 1, 0, 0, false},
        {MSR_IA32_SMM_MONITOR_CTL, 0, 0, 0, false},
        {0x808, 0, APIC_BASE_X2APIC, 0, false},
        {0x8ff, 0, APIC_BASE_X2APIC, 0, false},
        {MSR_IA32_FS_BASE, 0, 0, 0, true},
        {MSR_IA32_GS_BASE, 0, 0, 0, true},
        {MSR_IA32_BIOS_UPDT_TRIG, 0, 0, 0, false},
        {MSR_IA32_EFER, 0, 0, BIT64(9), true},
        {MSR_IA32_PAT, 0, 0, 2, true},
        {MSR_IA32_DEBUGCTL, 0, 0, BIT64(32), true},
        {MSR_IA32_SYSENTER_ESP, 0, 0, BIT64(47), true},
        {MSR_IA32_SYSENTER_EIP, 0, 0, BIT64(63), true},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        for (u32 n = 0; n < 8; n++) {
            setup(state);
            apic_base = rows[i].apic_base;
            put(n, rows[i].index, rows[i].reserved, rows[i].value);
            assert_int_equal(msr_list_load(AREA, 8), n + 1);
            assert_int_equal(written, n);
            assert_int_equal(msr_list_store(AREA, 8), rows[i].load_only);
        }
}

/* VM entry takes these from the VMCS: the registers are L0's now. */
static void some_msrs_live_in_the_VMCS(void **state)
{
    static const struct {
        u32 index;
        enum vmcs_field field;
        u64 value;
    } rows[] = {
        {MSR_IA32_EFER, GUEST_IA32_EFER, EFER_NXE | EFER_SCE},
        {MSR_IA32_PAT, GUEST_IA32_PAT, 0x0007040600070406},
        {MSR_IA32_SYSENTER_CS, GUEST_SYSENTER_CS, 0x10},
        {MSR_IA32_SYSENTER_ESP, GUEST_SYSENTER_ESP, 0xffff800000000000},
        {MSR_IA32_SYSENTER_EIP, GUEST_SYSENTER_EIP, 0x7fffffffffff},
        {MSR_IA32_DEBUGCTL, GUEST_IA32_DEBUGCTL, 3},
    };

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        put(0, rows[i].index, 0, rows[i].value);
        assert_int_equal(msr_list_load(AREA, 1), 0);
        assert_int_equal(fake_vmcs[rows[i].field], rows[i].value);
        put(0, rows[i].index, 0, 0);
        assert_true(msr_list_store(AREA, 1));
        assert_int_equal(fake_get64(AREA + 8), rows[i].value);
    }
    assert_int_equal(written, 0);
    fake_vmcs[GUEST_CR0] = CR0_PG; /* LME stays while paging is on */
    put(0, MSR_IA32_EFER, 0, EFER_LME);
    assert_int_equal(msr_list_load(AREA, 1), 1);
    put(0, MSR_IA32_FS_BASE, 0, 0);
    put(1, MSR_IA32_GS_BASE, 0, 0);
    fake_vmcs[GUEST_FS_BASE] = 0x1234;
    fake_vmcs[GUEST_GS_BASE] = 0x5678;
    assert_true(msr_list_store(AREA, 2));
    assert_int_equal(fake_get64(AREA + 8), 0x1234);
    assert_int_equal(fake_get64(AREA + 24), 0x5678);
}

/* As many as IA32_VMX_MISC recommends; and none that L1 has no memory for. */
static void areas_end(void **state)
{
    (void)state;
    for (u32 i = 0; i < 1025; i++)
        put(i, PLAIN, 0, i);
    assert_int_equal(msr_list_load(AREA, 512), 0);
    assert_int_equal(msr_list_load(AREA, 513), 513);
    assert_true(msr_list_store(AREA, 512));
    assert_false(msr_list_store(AREA, 513));
    l0.caps.misc = 1ull << VMX_MISC_MAX_MSR_SHIFT;
    assert_int_equal(msr_list_load(AREA, 1024), 0);
    assert_int_equal(msr_list_load(AREA, ~0u), 1025);
    fake_phys_hide(AREA, PAGE_SIZE);
    assert_int_equal(msr_list_load(AREA, 1), 1);
    assert_false(msr_list_store(AREA, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_entry_is_loaded_once, setup),
        cmocka_unit_test_setup(each_entry_is_stored_once, setup),
        cmocka_unit_test_setup(the_first_bad_entry_ends_it, setup),
        cmocka_unit_test_setup(some_msrs_live_in_the_VMCS, setup),
        cmocka_unit_test_setup(areas_end, setup),
    };

    return cmocka_run_group_tests_name("msr_list", tests, NULL, NULL);
}
