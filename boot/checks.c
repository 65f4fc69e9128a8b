#include "checks.h"
#include "hv/format.h"

#define VMX_BASIC_VMCS_SIZE(basic)   ((u32)((basic) >> 32) & 0x1fff)
#define VMX_BASIC_32BIT_ADDRESSES    BIT64(48)
#define VMX_BASIC_MEMORY_TYPE(basic) ((u32)((basic) >> 50) & 0xf)
#define MEMORY_TYPE_WB               6
#define TME_ACTIVATE_ENABLED         BIT64(1)

/* A bit that must be 1 in one of the VMX capability MSRs. */
struct requirement {
    size_t word;          /* offset in struct cpu_facts */
    const char *msr;      /* its name */
    const char *true_msr; /* its name if IA32_VMX_BASIC[55] = 1 */
    u32 bit;
    const char *what;
};

#define WORD(member, name, true_name)                                                              \
    .word = offsetof(struct cpu_facts, member), .msr = (name), .true_msr = (true_name)
#define PRIMARY       WORD(procbased_ctls, "IA32_VMX_PROCBASED_CTLS", "IA32_VMX_TRUE_PROCBASED_CTLS")
#define SECONDARY     WORD(procbased_ctls2, "IA32_VMX_PROCBASED_CTLS2", "IA32_VMX_PROCBASED_CTLS2")
#define EXIT          WORD(exit_ctls, "IA32_VMX_EXIT_CTLS", "IA32_VMX_TRUE_EXIT_CTLS")
#define ENTRY         WORD(entry_ctls, "IA32_VMX_ENTRY_CTLS", "IA32_VMX_TRUE_ENTRY_CTLS")
#define EPT_VPID      WORD(ept_vpid_cap, "IA32_VMX_EPT_VPID_CAP", "IA32_VMX_EPT_VPID_CAP")
#define MISC          WORD(vmx_misc, "IA32_VMX_MISC", "IA32_VMX_MISC")
#define MAY_BE_1(bit) (32 + (bit))

/* SDM volume 3, appendix A; the names of the controls are those of its chapter on the VMCS. */
static const struct requirement requirements[] = {
    {PRIMARY, MAY_BE_1(31), "the primary processor-based control \"activate secondary controls\""},
    {PRIMARY, MAY_BE_1(28), "the primary processor-based control \"use MSR bitmaps\""},
    {SECONDARY, MAY_BE_1(1), "EPT, the secondary processor-based control \"enable EPT\""},
    {SECONDARY, MAY_BE_1(7), "the secondary processor-based control \"unrestricted guest\""},
    {PRIMARY, MAY_BE_1(27), "the primary processor-based control \"monitor trap flag\""},
    {EPT_VPID, 6, "EPT with a page-walk length of 4"},
    {EPT_VPID, 14, "EPT paging structures of memory type WB"},
    {EPT_VPID, 16, "EPT with 2-MByte pages"},
    {EPT_VPID, 20, "the INVEPT instruction"},
    {EPT_VPID, 25, "single-context INVEPT"},
    {EPT_VPID, 26, "all-context INVEPT"},
    {EXIT, MAY_BE_1(9), "the VM-exit control \"host address-space size\""},
    {EXIT, MAY_BE_1(18), "the VM-exit control \"save IA32_PAT\""},
    {EXIT, MAY_BE_1(19), "the VM-exit control \"load IA32_PAT\""},
    {EXIT, MAY_BE_1(20), "the VM-exit control \"save IA32_EFER\""},
    {EXIT, MAY_BE_1(21), "the VM-exit control \"load IA32_EFER\""},
    {ENTRY, MAY_BE_1(9), "the VM-entry control \"IA-32e mode guest\""},
    {ENTRY, MAY_BE_1(14), "the VM-entry control \"load IA32_PAT\""},
    {ENTRY, MAY_BE_1(15), "the VM-entry control \"load IA32_EFER\""},
    {MISC, 6, "the activity state HLT"},
    {MISC, 8, "the activity state wait-for-SIPI"},
};

static bool is_intel(const struct cpu_facts *facts)
{
    static const char intel[] = "GenuineIntel";

    for (size_t i = 0; i < sizeof(intel); i++) {
        if (facts->vendor[i] != intel[i])
            return false;
    }
    return true;
}

/* Physical-address bits that name a key, if encryption is on: they make aliases of all memory. */
static u32 tme_key_bits(u64 tme_activate)
{
    return tme_activate & TME_ACTIVATE_ENABLED ? tme_activate >> 32 & 0xf : 0;
}

static bool check_processor(const struct cpu_facts *facts, char *reason)
{
    if (!is_intel(facts)) {
        format_string(reason, REASON_MAX, "the processor is not an Intel one (vendor \"%s\")",
                      facts->vendor);
        return false;
    }
    if (!(facts->cpuid_1_ecx & CPUID_1_ECX_VMX)) {
        format_string(reason, REASON_MAX, "the processor has no VMX (CPUID.1:ECX.VMX[5] = 0)");
        return false;
    }
    if (!(facts->cpuid_80000001_edx & CPUID_80000001_EDX_LM)) {
        format_string(reason, REASON_MAX,
                      "the processor has no 64-bit mode with 4-level paging "
                      "(CPUID.80000001H:EDX.LM[29] = 0)");
        return false;
    }
    if (!(facts->cpuid_80000001_edx & CPUID_80000001_EDX_NX)) {
        format_string(reason, REASON_MAX,
                      "the processor's execute-disable bit is off "
                      "(CPUID.80000001H:EDX.NX[20] = 0): switch it on in the firmware's setup");
        return false;
    }
    if (tme_key_bits(facts->tme_activate)) {
        format_string(reason, REASON_MAX,
                      "memory encryption with several keys (TME-MK) is on: "
                      "switch it off in the firmware's setup");
        return false;
    }
    if (facts->cr4 & CR4_LA57) {
        format_string(reason, REASON_MAX,
                      "the firmware runs with 5-level paging (CR4.LA57[12] = 1): "
                      "switch it off in the firmware's setup");
        return false;
    }
    return true;
}

static bool check_firmware_lock(const struct cpu_facts *facts, char *reason)
{
    u64 value = feature_control_for_vmx(facts->feature_control);

    if (value & FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX)
        return true;
    format_string(reason, REASON_MAX,
                  "VMX is locked off by the firmware (IA32_FEATURE_CONTROL = "
                  "0x%llx): switch on VT-x in the firmware's setup",
                  (unsigned long long)value);
    return false;
}

static bool check_basic(const struct cpu_facts *facts, char *reason)
{
    u64 basic = facts->vmx_basic;

    if (VMX_BASIC_MEMORY_TYPE(basic) != MEMORY_TYPE_WB) {
        format_string(reason, REASON_MAX,
                      "the processor wants VMCSs of memory type %u, not WB "
                      "(IA32_VMX_BASIC[53:50])",
                      VMX_BASIC_MEMORY_TYPE(basic));
        return false;
    }
    if (VMX_BASIC_VMCS_SIZE(basic) > PAGE_SIZE) {
        format_string(reason, REASON_MAX,
                      "the processor wants VMCSs of %u bytes, more than a page "
                      "(IA32_VMX_BASIC[44:32])",
                      VMX_BASIC_VMCS_SIZE(basic));
        return false;
    }
    if (basic & VMX_BASIC_32BIT_ADDRESSES) {
        format_string(reason, REASON_MAX,
                      "the processor limits VMX to 32-bit physical addresses "
                      "(IA32_VMX_BASIC[48] = 1)");
        return false;
    }
    return true;
}

static bool check_capabilities(const struct cpu_facts *facts, char *reason)
{
    for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
        const struct requirement *needed = &requirements[i];
        u64 word = *(const u64 *)((const char *)facts + needed->word);

        if (word & BIT64(needed->bit))
            continue;
        format_string(reason, REASON_MAX, "the processor lacks %s (%s[%u] = 0)", needed->what,
                      facts->vmx_basic & VMX_BASIC_TRUE_CTLS ? needed->true_msr : needed->msr,
                      needed->bit);
        return false;
    }
    return true;
}

static bool check_true_controls(const struct cpu_facts *facts, char *reason)
{
    if (facts->vmx_basic & VMX_BASIC_TRUE_CTLS)
        return true;
    format_string(reason, REASON_MAX,
                  "the processor lacks the true VMX capability MSRs (IA32_VMX_BASIC[55] = 0)");
    return false;
}

bool checks_pass(const struct cpu_facts *facts, char reason[REASON_MAX])
{
    return check_processor(facts, reason) && check_firmware_lock(facts, reason) &&
           check_basic(facts, reason) && check_capabilities(facts, reason) &&
           check_true_controls(facts, reason);
}

u64 feature_control_for_vmx(u64 value)
{
    if (value & FEATURE_CONTROL_LOCKED)
        return value;
    return value | FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX | FEATURE_CONTROL_LOCKED;
}
