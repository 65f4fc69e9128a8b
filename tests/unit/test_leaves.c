/* hv/leaves.c: what L1 can ask by CPUID, and what it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/l0.h"
#include "hv/leaves.h"
#include "plastron_version.h"
#include "skylake.h"

#define SUBLEAVES 0x20000u /* all that any leaf has, and as many more */

struct l0 l0;
u32 cpu_count;

static struct cpu core;

/* A processor that has nothing but what the SDM says is always there. */
static const struct vmx_caps oldest = {
    .basic = 0x0058100000000001,
    .pin = 0x0000001f00000016,
    .proc = 0x77fbfffe0401e172,
    .exit = 0x0003efff00036dff,
    .entry = 0x00001fff000011ff,
};

static void offer(const struct vmx_caps *hw, feature_set mask)
{
    l0.hw = *hw;
    l0.boot.config.mask = mask;
    capabilities_compute(&l0.caps, &l0.hw, mask);
}

static int setup(void **state)
{
    (void)state;
    memset(&l0, 0, sizeof(l0));
    memset(&core, 0, sizeof(core));
    l0.boot.config.stats = l0.boot.config.nested = true;
    cpu_count = 3;
    offer(&skylake, 0);
    return 0;
}

static void assert_leaf(u32 leaf, u32 subleaf, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
    struct cpuid_result r = plastron_leaf(&core, leaf, subleaf);

    if (r.eax != eax || r.ebx != ebx || r.ecx != ecx || r.edx != edx)
        fail_msg("leaf %#x.%#x: %#x %#x %#x %#x, wanted %#x %#x %#x %#x", leaf, subleaf, r.eax,
                 r.ebx, r.ecx, r.edx, eax, ebx, ecx, edx);
}

static void assert_signature(u32 highest)
{
    struct cpuid_result r = plastron_leaf(&core, 0x40000000, 0);
    char name[13] = "";

    memcpy(name, &r.ebx, 4);
    memcpy(name + 4, &r.ecx, 4);
    memcpy(name + 8, &r.edx, 4);
    assert_string_equal(name, "PlastronVMM");
    assert_int_equal(r.eax, highest);
    assert_leaf(0x40000000, 7, r.eax, r.ebx, r.ecx, r.edx);
}

static void signature_names_highest_leaf(void **state)
{
    (void)state;
    assert_signature(0x40000006);
}

/* ---- one leaf after the other ---- */

static void features(void **state)
{
    (void)state;
    assert_leaf(0x40000001, 0, 1, 0, 0, 0);
    l0.boot.config.nested = false;
    assert_leaf(0x40000001, 0, 0, 0, 0, 0);
}

static void exits_by_level_and_reason(void **state)
{
    (void)state;
    for (u32 i = 0; i < EXIT_REASON_COUNT; i++) {
        core.exits_l1[i] = 0x100000000ull * (i + 1) + i + 7;
        core.exits_l2[i] = 0x100000000ull * (i + 501) + i + 907;
    }
    for (u32 i = 0; i < EXIT_REASON_COUNT; i++) {
        assert_leaf(0x40000002, i, i + 7, 0, 0, i + 1);
        assert_leaf(0x40000002, i | 0x10000, i + 907, 0, 0, i + 501);
    }
}

static void exits_beyond_the_last_reason(void **state)
{
    static const u32 beyond[] = {
        EXIT_REASON_COUNT, EXIT_REASON_COUNT + 1, 0xffff, 0x20000, 0x8000000a, ~0x10000u};

    (void)state;
    memset(core.exits_l1, 0xee, sizeof(core.exits_l1));
    memset(core.exits_l2, 0xee, sizeof(core.exits_l2));
    for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
        assert_leaf(0x40000002, beyond[i], 0, 0, 0, 0);
        assert_leaf(0x40000002, beyond[i] | 0x10000, 0, 0, 0, 0);
    }
}

static void shadow(void **state)
{
    (void)state;
    l0.ept02.shadow.count = 1280;
    l0.ept02.shadow.in_use = 77;
    l0.ept02.given = 5;
    l0.ept02.reclaimed = 0x100000003ull;
    l0.ept02.tables = 11;
    l0.ept02.reads = 22;
    l0.ept02.changes = 33;
    l0.ept02.protections = 0xffffffffull;
    assert_leaf(0x40000003, 0, 1280, 77, 5, 3);
    assert_leaf(0x40000003, 1, 11, 22, 33, 0xffffffff);
    assert_leaf(0x40000003, 2, 0, 0, 0, 0);
    assert_leaf(0x40000003, 0xffffffff, 0, 0, 0, 0);
}

static void version_and_cores(void **state)
{
    struct cpuid_result r = plastron_leaf(&core, 0x40000004, 0);
    char text[64];

    (void)state;
    snprintf(text, sizeof(text), "%u.%u.%u", r.eax, r.ebx, r.ecx);
    assert_string_equal(text, PLASTRON_VERSION);
    assert_int_equal(r.edx, 3);
}

static void hidden_accesses(void **state)
{
    (void)state;
    core.hidden_reads = 0x0000000500000007;
    core.hidden_writes = 0x0000000900000003;
    assert_leaf(0x40000005, 0, 7, 5, 3, 9);
}

/* ---- the features of VMX ---- */

static feature_set vmx(u32 which)
{
    struct cpuid_result r = plastron_leaf(&core, 0x40000006, which);

    return (feature_set)r.edx << 96 | (feature_set)r.ecx << 64 | (feature_set)r.ebx << 32 | r.eax;
}

static void assert_sets(feature_set offered, feature_set masked, feature_set missing)
{
    assert_true(vmx(0) == offered);
    assert_true(vmx(1) == masked);
    assert_true(vmx(2) == missing);
    assert_true(vmx(3) == 0);
    assert_true(vmx(0xffffffff) == 0);
}

#define ALL (~(feature_set)0 >> (128 - FEATURE_COUNT))

/* Every feature masked, one by one: what needs it is neither offered nor masked nor missing. */
static void vmx_features_masked(void **state)
{
    feature_set has = l0.caps.offered;

    (void)state;
    assert_true(has && has != ALL);
    assert_sets(has, 0, ALL & ~has);
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        offer(&skylake, FEATURE_BIT(i));
        assert_sets(l0.caps.offered, FEATURE_BIT(i), ALL & ~has);
        assert_true(!(vmx(0) & FEATURE_BIT(i)));
    }
    offer(&skylake, FEATURE_BIT(FEATURE_EPT));
    assert_true(!((vmx(0) | vmx(1) | vmx(2)) & FEATURE_BIT(FEATURE_UNRESTRICTED_GUEST)));
}

static void vmx_features_of_an_old_processor(void **state)
{
    (void)state;
    offer(&oldest, 0);
    assert_true(vmx(2) & FEATURE_BIT(FEATURE_EPT));
    assert_true(vmx(2) & FEATURE_BIT(FEATURE_PML));
    assert_true(vmx(0) & FEATURE_BIT(FEATURE_HLT_EXITING));
    assert_true((vmx(0) | vmx(2)) == ALL && !(vmx(0) & vmx(2)));
}

static void vmx_features_without_nesting(void **state)
{
    feature_set missing = ALL & ~l0.caps.offered;

    (void)state;
    l0.boot.config.nested = false;
    assert_sets(0, 0, missing);
}

/* ---- what nobody gets ---- */

static void assert_zero(u32 leaf)
{
    for (u32 subleaf = 0; subleaf < SUBLEAVES; subleaf++)
        assert_leaf(leaf, subleaf, 0, 0, 0, 0);
    assert_leaf(leaf, 0xffffffff, 0, 0, 0, 0);
}

static void unknown_leaves_are_zero(void **state)
{
    static const u32 unknown[] = {0x40000007, 0x40000008, 0x40000100, 0x40001000, 0x4000ffff};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        assert_zero(unknown[i]);
}

/* All of L0 is 0xa5, so that what leaks shows. */
static void poison(void)
{
    memset(&l0, 0xa5, sizeof(l0));
    memset(&core, 0xa5, sizeof(core));
    l0.boot.config.nested = true;
}

static void stats_off_hides_all_but_the_signature(void **state)
{
    (void)state;
    poison();
    l0.boot.config.stats = false;
    assert_signature(0x40000000);
    for (u32 leaf = 0x40000001; leaf <= 0x40000010; leaf++)
        assert_zero(leaf);
    assert_zero(0x4000ffff);
}

static bool leaks(u32 leaf, u32 subleaf)
{
    struct cpuid_result r = plastron_leaf(&core, leaf, subleaf);

    return r.eax == 0xa5a5a5a5 || r.ebx == 0xa5a5a5a5 || r.ecx == 0xa5a5a5a5 || r.edx == 0xa5a5a5a5;
}

/* What is documented is given other values: nothing else of L0 comes out. */
static void nothing_else_of_l0_comes_out(void **state)
{
    (void)state;
    poison();
    l0.boot.config.stats = true;
    offer(&skylake, 0);
    memset(core.exits_l1, 1, sizeof(core.exits_l1));
    memset(core.exits_l2, 2, sizeof(core.exits_l2));
    core.hidden_reads = core.hidden_writes = 3;
    l0.ept02.shadow.count = l0.ept02.shadow.in_use = l0.ept02.given = 4;
    l0.ept02.tables = l0.ept02.reads = l0.ept02.changes = l0.ept02.protections = 5;
    l0.ept02.reclaimed = 6;
    for (u32 leaf = 0x40000000; leaf <= 0x40000010; leaf++)
        for (u32 subleaf = 0; subleaf < SUBLEAVES; subleaf++)
            if (leaks(leaf, subleaf))
                fail_msg("leaf %#x.%#x", leaf, subleaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(signature_names_highest_leaf, setup),
        cmocka_unit_test_setup(features, setup),
        cmocka_unit_test_setup(exits_by_level_and_reason, setup),
        cmocka_unit_test_setup(exits_beyond_the_last_reason, setup),
        cmocka_unit_test_setup(shadow, setup),
        cmocka_unit_test_setup(version_and_cores, setup),
        cmocka_unit_test_setup(hidden_accesses, setup),
        cmocka_unit_test_setup(vmx_features_masked, setup),
        cmocka_unit_test_setup(vmx_features_of_an_old_processor, setup),
        cmocka_unit_test_setup(vmx_features_without_nesting, setup),
        cmocka_unit_test_setup(unknown_leaves_are_zero, setup),
        cmocka_unit_test_setup(stats_off_hides_all_but_the_signature, setup),
        cmocka_unit_test_setup(nothing_else_of_l0_comes_out, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
