/* Rows for vmx/check_host.c: each changes a valid vmcs12 and names the outcome. */
#include "frequent.h"

#define OK  VMXERR_NONE
#define BAD VMXERR_ENTRY_INVALID_HOST_STATE_FIELD

static bool l1_long_mode;

static s32 outcome(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    return (s32)check_host_state(v, caps, l1_long_mode);
}

#define LA57 C(linear_bits, 57), C(cr4_fixed1, ~0ull), VOR(host_cr4, CR4_LA57)
#define CET  VOR(EXIT, VM_EXIT_LOAD_CET_STATE)
#define PKRS VOR(EXIT, VM_EXIT_LOAD_IA32_PKRS)

static const struct row rows_64[] = {
    {"unchanged", BASE_64, OK, {}},
    {"PAE guest", BASE_PAE, OK, {}},
    {"real-mode guest", BASE_REAL, OK, {}},
    /* control registers */
    {"CR0.PE 0", BASE_64, BAD, {VCLR(host_cr0, CR0_PE)}},
    {"CR0.NE 0", BASE_64, BAD, {VCLR(host_cr0, CR0_NE)}},
    {"CR0.PG 0", BASE_64, BAD, {VCLR(host_cr0, CR0_PG)}},
    {"CR0 bit 32", BASE_64, BAD, {VOR(host_cr0, BIT64(32))}},
    {"CR0 bit 63", BASE_64, BAD, {VOR(host_cr0, BIT64(63))}},
    {"CR0 all allowed", BASE_64, OK, {V(host_cr0, 0xffffffff)}},
    {"CR0 least", BASE_64, OK, {V(host_cr0, 0x80000021)}},
    {"CR4.VMXE 0", BASE_64, BAD, {VCLR(host_cr4, CR4_VMXE)}},
    {"CR4 all allowed", BASE_64, OK, {V(host_cr4, 0x3727ff)}},
    {"CR4.SMXE", BASE_64, BAD, {VOR(host_cr4, CR4_SMXE)}},
    {"CR4 bit 63", BASE_64, BAD, {VOR(host_cr4, BIT64(63))}},
    {"CR4.CET without WP",
     BASE_64,
     BAD,
     {COR(cr4_fixed1, CR4_CET), VOR(host_cr4, CR4_CET), VCLR(host_cr0, CR0_WP)}},
    {"CR4.CET with WP", BASE_64, OK, {COR(cr4_fixed1, CR4_CET), VOR(host_cr4, CR4_CET)}},
    {"CR3 widest", BASE_64, OK, {V(host_cr3, BEYOND - 1)}},
    {"CR3 too wide", BASE_64, BAD, {V(host_cr3, BEYOND)}},
    {"CR3 bit 63", BASE_64, BAD, {VOR(host_cr3, BIT64(63))}},
    /* MSRs */
    {"SYSENTER_ESP highest low", BASE_64, OK, {V(host_ia32_sysenter_esp, CANONICAL_LOW_END)}},
    {"SYSENTER_ESP", BASE_64, BAD, {V(host_ia32_sysenter_esp, NON_CANONICAL)}},
    {"SYSENTER_EIP highest low", BASE_64, OK, {V(host_ia32_sysenter_eip, CANONICAL_LOW_END)}},
    {"SYSENTER_EIP", BASE_64, BAD, {V(host_ia32_sysenter_eip, NON_CANONICAL)}},
    {"SYSENTER_EIP with 57 bits", BASE_64, OK, {LA57, V(host_ia32_sysenter_eip, NON_CANONICAL)}},
    {"SYSENTER_EIP beyond 57 bits", BASE_64, BAD, {LA57, V(host_ia32_sysenter_eip, BIT64(56))}},
    {"PERF_GLOBAL_CTRL all", BASE_64, OK, {V(host_ia32_perf_global_ctrl, 0x70000000full)}},
    {"PERF_GLOBAL_CTRL bit 4", BASE_64, BAD, {V(host_ia32_perf_global_ctrl, BIT64(4))}},
    {"PERF_GLOBAL_CTRL not loaded",
     BASE_64,
     OK,
     {V(host_ia32_perf_global_ctrl, BIT64(4)), VCLR(EXIT, VM_EXIT_LOAD_PERF_GLOBAL_CTRL)}},
    {"PAT every type", BASE_64, OK, {V(host_ia32_pat, 0x0007060504010000)}},
    {"PAT type 2", BASE_64, BAD, {V(host_ia32_pat, 0x0007060504010002)}},
    {"PAT type 3", BASE_64, BAD, {V(host_ia32_pat, 0x0307060504010000)}},
    {"PAT type 8", BASE_64, BAD, {V(host_ia32_pat, 0x0007060804010000)}},
    {"PAT not loaded", BASE_64, OK, {V(host_ia32_pat, ~0ull), VCLR(EXIT, VM_EXIT_LOAD_IA32_PAT)}},
    {"EFER bit 1", BASE_64, BAD, {VOR(host_ia32_efer, BIT64(1))}},
    {"EFER bit 12", BASE_64, BAD, {VOR(host_ia32_efer, BIT64(12))}},
    {"EFER least", BASE_64, OK, {V(host_ia32_efer, EFER_LMA | EFER_LME)}},
    {"EFER.LMA 0", BASE_64, BAD, {VCLR(host_ia32_efer, EFER_LMA)}},
    {"EFER.LME 0", BASE_64, BAD, {VCLR(host_ia32_efer, EFER_LME)}},
    {"EFER.LMA and LME 0", BASE_64, BAD, {VCLR(host_ia32_efer, EFER_LMA | EFER_LME)}},
    {"EFER not loaded", BASE_64, OK, {V(host_ia32_efer, 0), VCLR(EXIT, VM_EXIT_LOAD_IA32_EFER)}},
    /* PKRS */
    {"PKRS", BASE_64, OK, {PKRS, V(host_ia32_pkrs, 0xffffffff)}},
    {"PKRS bit 32", BASE_64, BAD, {PKRS, V(host_ia32_pkrs, BIT64(32))}},
    {"PKRS bit 63", BASE_64, BAD, {PKRS, V(host_ia32_pkrs, BIT64(63))}},
    {"PKRS not loaded", BASE_64, OK, {V(host_ia32_pkrs, ~0ull)}},
    /* CET state */
    {"CET",
     BASE_64,
     OK,
     {CET, V(host_ia32_s_cet, CANONICAL_HIGH | 0x43f), V(host_ssp, CANONICAL_LOW_END & ~3ull),
      V(host_intr_ssp_table, CANONICAL_HIGH)}},
    {"S_CET bit 6", BASE_64, BAD, {CET, V(host_ia32_s_cet, BIT64(6))}},
    {"S_CET bit 9", BASE_64, BAD, {CET, V(host_ia32_s_cet, BIT64(9))}},
    {"S_CET suppress", BASE_64, OK, {CET, V(host_ia32_s_cet, BIT64(10))}},
    {"S_CET tracker", BASE_64, OK, {CET, V(host_ia32_s_cet, BIT64(11))}},
    {"S_CET suppress and tracker", BASE_64, BAD, {CET, V(host_ia32_s_cet, 0xc00)}},
    {"S_CET not canonical", BASE_64, BAD, {CET, V(host_ia32_s_cet, NON_CANONICAL)}},
    {"SSP bit 0", BASE_64, BAD, {CET, V(host_ssp, 1)}},
    {"SSP bit 1", BASE_64, BAD, {CET, V(host_ssp, 2)}},
    {"SSP bit 2", BASE_64, OK, {CET, V(host_ssp, 4)}},
    {"SSP not canonical", BASE_64, BAD, {CET, V(host_ssp, NON_CANONICAL)}},
    {"SSP table not canonical", BASE_64, BAD, {CET, V(host_intr_ssp_table, NON_CANONICAL)}},
    {"SSP canonical in five levels only",
     BASE_64,
     BAD,
     {CET, C(linear_bits, 57), V(host_ssp, NON_CANONICAL)}},
    {"SSP of five levels", BASE_64, OK, {CET, LA57, V(host_ssp, NON_CANONICAL)}},
    {"CET not loaded",
     BASE_64,
     OK,
     {V(host_ia32_s_cet, ~0ull), V(host_ssp, 1), V(host_intr_ssp_table, NON_CANONICAL)}},
    /* segments and tables */
    {"CS 0", BASE_64, BAD, {V(host_cs_selector, 0)}},
    {"TR 0", BASE_64, BAD, {V(host_tr_selector, 0)}},
    {"SS 0", BASE_64, OK, {V(host_ss_selector, 0)}},
    {"all selectors",
     BASE_64,
     OK,
     {V(host_es_selector, 0xfff8), V(host_ss_selector, 0xfff8), V(host_ds_selector, 0xfff8),
      V(host_fs_selector, 0xfff8), V(host_gs_selector, 0xfff8), V(host_tr_selector, 0xfff8)}},
#define SELECTOR(name)                                                                             \
    {#name " RPL 1", BASE_64, BAD, {V(host_##name##_selector, 0x11)}},                             \
        {#name " RPL 2", BASE_64, BAD, {V(host_##name##_selector, 0x12)}},                         \
        {#name " TI", BASE_64, BAD, {V(host_##name##_selector, 0x14)}},                            \
    {                                                                                              \
#name " 8", BASE_64, OK, { V(host_##name##_selector, 8) }                                  \
    }
    SELECTOR(es),
    SELECTOR(cs),
    SELECTOR(ss),
    SELECTOR(ds),
    SELECTOR(fs),
    SELECTOR(gs),
    SELECTOR(tr),
#define BASE_ROWS(name)                                                                            \
    {#name " base highest low", BASE_64, OK, {V(host_##name##_base, CANONICAL_LOW_END)}},          \
        {#name " base lowest high", BASE_64, OK, {V(host_##name##_base, CANONICAL_HIGH)}},         \
        {#name " base not canonical", BASE_64, BAD, {V(host_##name##_base, NON_CANONICAL)}},       \
    {                                                                                              \
#name " base below high", BASE_64, BAD, { V(host_##name##_base, CANONICAL_HIGH - 1) }      \
    }
    BASE_ROWS(fs),
    BASE_ROWS(gs),
    BASE_ROWS(gdtr),
    BASE_ROWS(idtr),
    BASE_ROWS(tr),
    /* address-space size */
    {"32-bit host of a 64-bit L1",
     BASE_PAE,
     BAD,
     {VCLR(EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE), VCLR(host_ia32_efer, EFER_LMA | EFER_LME),
      V(host_rip, 0), V(host_ss_selector, 8), VCLR(host_cr4, CR4_PCIDE)}},
    {"CR4.PAE 0", BASE_64, BAD, {VCLR(host_cr4, CR4_PAE)}},
    {"RIP highest low", BASE_64, OK, {V(host_rip, CANONICAL_LOW_END)}},
    {"RIP canonical in five levels only",
     BASE_64,
     BAD,
     {C(linear_bits, 57), V(host_rip, NON_CANONICAL)}},
    {"RIP of five levels", BASE_64, OK, {LA57, V(host_rip, NON_CANONICAL)}},
    {"GDTR base canonical in five levels only",
     BASE_64,
     BAD,
     {C(linear_bits, 57), V(host_gdtr_base, NON_CANONICAL)}},
    {"SYSENTER_ESP canonical in five levels only",
     BASE_64,
     BAD,
     {C(linear_bits, 57), V(host_ia32_sysenter_esp, NON_CANONICAL)}},
    {"RIP not canonical", BASE_64, BAD, {V(host_rip, NON_CANONICAL)}},
};

/* A 32-bit L1, made by these changes. */
#define HOST_32                                                                                    \
    VCLR(EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER), V(host_rip, 0xffffffff),    \
        V(host_ss_selector, 8), VCLR(host_cr4, CR4_PCIDE)

static const struct row rows_32[] = {
    {"CET of a 32-bit host", BASE_PAE, OK, {HOST_32, CET, V(host_ssp, 0xfffffffc)}},
    {"SSP of a 32-bit host, bit 32", BASE_PAE, BAD, {HOST_32, CET, V(host_ssp, BIT64(32))}},
    {"S_CET of a 32-bit host, bit 32",
     BASE_PAE,
     BAD,
     {HOST_32, CET, V(host_ia32_s_cet, BIT64(32))}},
    {"32-bit", BASE_PAE, OK, {HOST_32}},
    {"without PAE", BASE_PAE, OK, {HOST_32, VCLR(host_cr4, CR4_PAE)}},
    {"64-bit host", BASE_PAE, BAD, {}},
    {"64-bit guest", BASE_64, BAD, {HOST_32}},
    {"64-bit host and guest", BASE_64, BAD, {}},
    {"CR4.PCIDE", BASE_PAE, BAD, {HOST_32, VOR(host_cr4, CR4_PCIDE)}},
    {"RIP bit 32", BASE_PAE, BAD, {HOST_32, V(host_rip, BIT64(32))}},
    {"SS 0", BASE_PAE, BAD, {HOST_32, V(host_ss_selector, 0)}},
    {"EFER.LMA and LME 0",
     BASE_PAE,
     OK,
     {HOST_32, VOR(EXIT, VM_EXIT_LOAD_IA32_EFER), VCLR(host_ia32_efer, EFER_LMA | EFER_LME)}},
    {"EFER.LMA and LME", BASE_PAE, BAD, {HOST_32, VOR(EXIT, VM_EXIT_LOAD_IA32_EFER)}},
    {"EFER.LME",
     BASE_PAE,
     BAD,
     {HOST_32, VOR(EXIT, VM_EXIT_LOAD_IA32_EFER), V(host_ia32_efer, EFER_LME)}},
};

static void test_64(void **state)
{
    (void)state;
    l1_long_mode = true;
    rows_run(rows_64, ARRAY_SIZE(rows_64), outcome);
}

static void test_32(void **state)
{
    (void)state;
    l1_long_mode = false;
    rows_run(rows_32, ARRAY_SIZE(rows_32), outcome);
}

/* A valid host of 64 or 32 bits, with what matters to what L1 writes all the time. */
static bool make_host(struct vmcs12 *v, struct vmx_caps *caps)
{
    static const struct change host_32[] = {HOST_32};

    make_random(v, caps);
    if (random_below(2)) {
        caps->linear_bits = 57;
        caps->cr4_fixed1 = ~0ull;
        v->host_cr4 |= random_below(2) ? CR4_LA57 : 0;
    }
    for (u32 i = 0; random_below(2) && i < ARRAY_SIZE(host_32); i++)
        change_apply(&host_32[i], v, caps);
    v->host_fs_base = random_value(HOST_FS_BASE, 0);
    l1_long_mode = v->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE;
    return check_host_state(v, caps, l1_long_mode) == OK;
}

/* What L1 writes all the time, and its own mode: the check of its mode finds what the whole check
   finds. */
static void test_frequent(void **state)
{
    u32 valid = 0, outcomes[2] = {0};

    (void)state;
    while (valid < 20000) {
        struct vmcs12 v;
        struct vmx_caps caps;
        enum vm_instruction_error wanted;

        if (!make_host(&v, &caps))
            continue;
        valid++;
        assert_true(host_mode_valid(&v, l1_long_mode));
        if (random_below(8))
            change_frequent(&v);
        else
            l1_long_mode = !l1_long_mode;
        wanted = check_host_state(&v, &caps, l1_long_mode);
        assert_int_equal(host_mode_valid(&v, l1_long_mode), wanted == OK);
        outcomes[wanted != OK]++;
    }
    assert_true(outcomes[0] > 1000 && outcomes[1] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_64),
        cmocka_unit_test(test_32),
        cmocka_unit_test(test_frequent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
