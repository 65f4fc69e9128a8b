/* boot/checks.c: a complete core passes; each thing taken away is named. */
#include "../../boot/checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CONTROL(bit) BIT64(32 + (bit))

/* What L0 needs and nothing else. */
static const struct cpu_facts complete = {
    .read = true,
    .vendor = "GenuineIntel",
    .cpuid_1_ecx = CPUID_1_ECX_VMX,
    .cpuid_80000001_edx = CPUID_80000001_EDX_LM | CPUID_80000001_EDX_NX,
    .feature_control = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX,
    .vmx_basic = VMX_BASIC_TRUE_CTLS | 6ull << 50 | 0x1000ull << 32 | 1,
    .vmx_misc = BIT64(6) | BIT64(8),
    .procbased_ctls = CONTROL(31) | CONTROL(28) | CONTROL(27),
    .procbased_ctls2 = CONTROL(1) | CONTROL(7),
    .ept_vpid_cap = BIT64(6) | BIT64(14) | BIT64(16) | BIT64(20) | BIT64(25) | BIT64(26),
    .exit_ctls = CONTROL(9) | CONTROL(18) | CONTROL(19) | CONTROL(20) | CONTROL(21),
    .entry_ctls = CONTROL(9) | CONTROL(14) | CONTROL(15),
};

#define WORD(member) offsetof(struct cpu_facts, member)

/* Bits taken out of a 64-bit word of a complete core, and the sentence that says so. */
static const struct row {
    size_t word;
    u64 removed;
    const char *reason;
} rows[] = {
    {WORD(feature_control), FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX,
     "VMX is locked off by the firmware (IA32_FEATURE_CONTROL = 0x1): switch on VT-x in the "
     "firmware's setup"},
    {WORD(vmx_basic), 6ull << 50,
     "the processor wants VMCSs of memory type 0, not WB (IA32_VMX_BASIC[53:50])"},
    {WORD(procbased_ctls), CONTROL(31),
     "the processor lacks the primary processor-based control \"activate secondary controls\" "
     "(IA32_VMX_TRUE_PROCBASED_CTLS[63] = 0)"},
    {WORD(procbased_ctls), CONTROL(28),
     "the processor lacks the primary processor-based control \"use MSR bitmaps\" "
     "(IA32_VMX_TRUE_PROCBASED_CTLS[60] = 0)"},
    {WORD(procbased_ctls), CONTROL(27),
     "the processor lacks the primary processor-based control \"monitor trap flag\" "
     "(IA32_VMX_TRUE_PROCBASED_CTLS[59] = 0)"},
    {WORD(vmx_basic), VMX_BASIC_TRUE_CTLS,
     "the processor lacks the true VMX capability MSRs (IA32_VMX_BASIC[55] = 0)"},
    {WORD(procbased_ctls2), CONTROL(1),
     "the processor lacks EPT, the secondary processor-based control \"enable EPT\" "
     "(IA32_VMX_PROCBASED_CTLS2[33] = 0)"},
    {WORD(procbased_ctls2), CONTROL(7),
     "the processor lacks the secondary processor-based control \"unrestricted guest\" "
     "(IA32_VMX_PROCBASED_CTLS2[39] = 0)"},
    {WORD(ept_vpid_cap), BIT64(6),
     "the processor lacks EPT with a page-walk length of 4 (IA32_VMX_EPT_VPID_CAP[6] = 0)"},
    {WORD(ept_vpid_cap), BIT64(14),
     "the processor lacks EPT paging structures of memory type WB "
     "(IA32_VMX_EPT_VPID_CAP[14] = 0)"},
    {WORD(ept_vpid_cap), BIT64(16),
     "the processor lacks EPT with 2-MByte pages (IA32_VMX_EPT_VPID_CAP[16] = 0)"},
    {WORD(ept_vpid_cap), BIT64(20),
     "the processor lacks the INVEPT instruction (IA32_VMX_EPT_VPID_CAP[20] = 0)"},
    {WORD(ept_vpid_cap), BIT64(25),
     "the processor lacks single-context INVEPT (IA32_VMX_EPT_VPID_CAP[25] = 0)"},
    {WORD(ept_vpid_cap), BIT64(26),
     "the processor lacks all-context INVEPT (IA32_VMX_EPT_VPID_CAP[26] = 0)"},
    {WORD(exit_ctls), CONTROL(9),
     "the processor lacks the VM-exit control \"host address-space size\" "
     "(IA32_VMX_TRUE_EXIT_CTLS[41] = 0)"},
    {WORD(exit_ctls), CONTROL(18),
     "the processor lacks the VM-exit control \"save IA32_PAT\" (IA32_VMX_TRUE_EXIT_CTLS[50] = "
     "0)"},
    {WORD(exit_ctls), CONTROL(19),
     "the processor lacks the VM-exit control \"load IA32_PAT\" (IA32_VMX_TRUE_EXIT_CTLS[51] = "
     "0)"},
    {WORD(exit_ctls), CONTROL(20),
     "the processor lacks the VM-exit control \"save IA32_EFER\" (IA32_VMX_TRUE_EXIT_CTLS[52] = "
     "0)"},
    {WORD(exit_ctls), CONTROL(21),
     "the processor lacks the VM-exit control \"load IA32_EFER\" (IA32_VMX_TRUE_EXIT_CTLS[53] = "
     "0)"},
    {WORD(entry_ctls), CONTROL(9),
     "the processor lacks the VM-entry control \"IA-32e mode guest\" "
     "(IA32_VMX_TRUE_ENTRY_CTLS[41] = 0)"},
    {WORD(entry_ctls), CONTROL(14),
     "the processor lacks the VM-entry control \"load IA32_PAT\" (IA32_VMX_TRUE_ENTRY_CTLS[46] = "
     "0)"},
    {WORD(entry_ctls), CONTROL(15),
     "the processor lacks the VM-entry control \"load IA32_EFER\" (IA32_VMX_TRUE_ENTRY_CTLS[47] "
     "= 0)"},
    {WORD(vmx_misc), BIT64(6), "the processor lacks the activity state HLT (IA32_VMX_MISC[6] = 0)"},
    {WORD(vmx_misc), BIT64(8),
     "the processor lacks the activity state wait-for-SIPI (IA32_VMX_MISC[8] = 0)"},
};

static void assert_refused(const struct cpu_facts *facts, const char *wanted)
{
    char reason[REASON_MAX] = "";

    assert_false(checks_pass(facts, reason));
    assert_string_equal(reason, wanted);
}

static void test_complete(void **state)
{
    (void)state;
    struct cpu_facts facts = complete;
    char reason[REASON_MAX] = "";

    assert_true(checks_pass(&facts, reason));
    facts.feature_control = 0;
    assert_true(checks_pass(&facts, reason));
    assert_string_equal(reason, "");
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cpu_facts facts = complete;

        *(u64 *)((char *)&facts + rows[i].word) &= ~rows[i].removed;
        assert_refused(&facts, rows[i].reason);
    }
}

static void test_processor(void **state)
{
    (void)state;
    struct cpu_facts facts = complete;
    char reason[REASON_MAX];

    strcpy(facts.vendor, "AuthenticAMD");
    assert_refused(&facts, "the processor is not an Intel one (vendor \"AuthenticAMD\")");
    strcpy(facts.vendor, "GenuineInte");
    assert_refused(&facts, "the processor is not an Intel one (vendor \"GenuineInte\")");

    facts = complete;
    facts.cpuid_1_ecx = 0;
    assert_refused(&facts, "the processor has no VMX (CPUID.1:ECX.VMX[5] = 0)");

    facts = complete;
    facts.tme_activate = 2 | 4ull << 32;
    assert_refused(&facts,
                   "memory encryption with several keys (TME-MK) is on: switch it off in the "
                   "firmware's setup");
    facts.tme_activate = 4ull << 32; /* not active */
    assert_true(checks_pass(&facts, reason));

    facts = complete;
    facts.cpuid_80000001_edx &= ~CPUID_80000001_EDX_NX;
    assert_refused(&facts,
                   "the processor's execute-disable bit is off (CPUID.80000001H:EDX.NX[20] = "
                   "0): switch it on in the firmware's setup");
    facts.cpuid_80000001_edx = 0;
    assert_refused(&facts, "the processor has no 64-bit mode with 4-level paging "
                           "(CPUID.80000001H:EDX.LM[29] = 0)");

    facts = complete;
    facts.cr4 = CR4_LA57;
    assert_refused(&facts, "the firmware runs with 5-level paging (CR4.LA57[12] = 1): switch it "
                           "off in the firmware's setup");
}

static void test_basic(void **state)
{
    (void)state;
    struct cpu_facts facts = complete;

    facts.vmx_basic += 1ull << 32;
    assert_refused(&facts, "the processor wants VMCSs of 4097 bytes, more than a page "
                           "(IA32_VMX_BASIC[44:32])");
    facts = complete;
    facts.vmx_basic |= BIT64(48);
    assert_refused(&facts, "the processor limits VMX to 32-bit physical addresses "
                           "(IA32_VMX_BASIC[48] = 1)");
}

/* Without IA32_VMX_BASIC[55] the names are those of the MSRs that were read. */
static void test_names_without_true_msrs(void **state)
{
    (void)state;
    struct cpu_facts facts = complete;

    facts.vmx_basic &= ~VMX_BASIC_TRUE_CTLS;
    facts.exit_ctls = 0;
    assert_refused(&facts, "the processor lacks the VM-exit control \"host address-space size\" "
                           "(IA32_VMX_EXIT_CTLS[41] = 0)");
}

/* Of several things missing the most basic one is named. */
static void test_order(void **state)
{
    (void)state;
    struct cpu_facts facts = {.read = true, .vendor = "GenuineIntel"};

    assert_refused(&facts, "the processor has no VMX (CPUID.1:ECX.VMX[5] = 0)");
    facts = complete;
    facts.procbased_ctls2 = 0;
    facts.ept_vpid_cap = 0;
    facts.entry_ctls = 0;
    assert_refused(&facts,
                   "the processor lacks EPT, the secondary processor-based control \"enable EPT\" "
                   "(IA32_VMX_PROCBASED_CTLS2[33] = 0)");
}

static void test_feature_control(void **state)
{
    (void)state;
    assert_int_equal(feature_control_for_vmx(0), 5);
    assert_int_equal(feature_control_for_vmx(BIT64(17) | BIT64(2)), BIT64(17) | 5);
    assert_int_equal(feature_control_for_vmx(1), 1);
    assert_int_equal(feature_control_for_vmx(5), 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_processor),       cmocka_unit_test(test_basic),
        cmocka_unit_test(test_order),           cmocka_unit_test(test_names_without_true_msrs),
        cmocka_unit_test(test_feature_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
