/* Model-specific registers, as a guest reads them: msr. */
#include "command.h"
#include "guest.h"
#include "say.h"
#include "x86.h"
#include "../l0.h"
#include "../msr.h"
#include "../trap.h"
#include "../../vmx/bitmaps.h"
#include "../../vmx/check.h"

static const struct {
    const char *name;
    u32 msr;
    u32 field; /* of the VMCS where a guest's value is while L0 runs; 0: in the register */
} known[] = {
    {"tsc", MSR_IA32_TSC, 0},
    {"apic_base", MSR_IA32_APIC_BASE, 0},
    {"feature_control", MSR_IA32_FEATURE_CONTROL, 0},
    {"sysenter_cs", MSR_IA32_SYSENTER_CS, GUEST_SYSENTER_CS},
    {"sysenter_esp", MSR_IA32_SYSENTER_ESP, GUEST_SYSENTER_ESP},
    {"sysenter_eip", MSR_IA32_SYSENTER_EIP, GUEST_SYSENTER_EIP},
    {"debugctl", MSR_IA32_DEBUGCTL, GUEST_IA32_DEBUGCTL},
    {"pat", MSR_IA32_PAT, GUEST_IA32_PAT},
    {"efer", MSR_IA32_EFER, GUEST_IA32_EFER},
    {"star", MSR_IA32_STAR, 0},
    {"lstar", MSR_IA32_LSTAR, 0},
    {"fmask", MSR_IA32_FMASK, 0},
    {"fs_base", MSR_IA32_FS_BASE, GUEST_FS_BASE},
    {"gs_base", MSR_IA32_GS_BASE, GUEST_GS_BASE},
    {"kernel_gs_base", MSR_IA32_KERNEL_GS_BASE, 0},
    {"misc_enable", MSR_IA32_MISC_ENABLE, 0},
    {"xss", MSR_IA32_XSS, 0},
};

static bool find_msr(const char *text, u32 *msr)
{
    u64 number;

    for (u32 i = 0; i < ARRAY_SIZE(known); i++) {
        if (!text_equal(text, known[i].name))
            continue;
        *msr = known[i].msr;
        return true;
    }
    if (!parse_number(text, &number) || number > ~0u)
        return false;
    *msr = (u32)number;
    return true;
}

static u32 field_of(u32 msr)
{
    for (u32 i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].msr == msr)
            return known[i].field;
    return 0;
}

#define LOW_MSRS 0x2000u /* the first part of an MSR bitmap: SDM vol. 3, "MSR-Bitmap Address" */

/* Where L0 answers instead of the processor. */
static bool is_l0s(u32 msr) { return msr < LOW_MSRS && bitmap_test(pool_va(l0.msr_bitmap01), msr); }

/* SDM vol. 3, "Time-Stamp Counter Offsetting" and "TSC Scaling". */
static u64 l2_tsc(struct cpu *cpu, u64 tsc)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;

    if (!(vmcs12->cpu_based_vm_exec_control & CPU_BASED_USE_TSC_OFFSETING))
        return tsc;
    if (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_TSC_SCALING)
        tsc = (u64)((unsigned __int128)tsc * l2_field(cpu, TSC_MULTIPLIER) >> 48);
    return tsc + l2_field(cpu, TSC_OFFSET);
}

static bool run_msr(struct cpu *cpu, const struct words *words)
{
    u64 value;
    u32 msr;

    if (words->count != 2 || !find_msr(words->word[1], &msr))
        return false;
    if (field_of(msr))
        value = guest_field(cpu, guest_running(cpu), field_of(msr));
    else if (!(is_l0s(msr) ? msr_read(msr, &value) : rdmsr_safe(msr, &value))) {
        say("core %u: RDMSR of %#x is #GP(0)\n", cpu->index, msr);
        return true;
    }
    if (msr == MSR_IA32_TSC && guest_running(cpu) == 2)
        value = l2_tsc(cpu, value);
    say("core %u: L%u's MSR %#x is %#lx%s\n", cpu->index, guest_running(cpu), msr, value,
        field_of(msr) ? ""
        : is_l0s(msr) ? ", by L0"
                      : "");
    return true;
}

const struct command command_msr = {
    .name = "msr",
    .arguments = "NUMBER|NAME",
    .summary = "a model-specific register, as the guest that the core runs reads it",
    .details =
        "Names: efer, pat, debugctl, fs_base, gs_base, kernel_gs_base, star, lstar, fmask,\n"
        "sysenter_cs, sysenter_esp, sysenter_eip, apic_base, feature_control, misc_enable, tsc,\n"
        "xss. What L1 has L2's RDMSR exit for is not asked of L1.\n",
    .place = THIS_CORE,
    .run = run_msr,
};
