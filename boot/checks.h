/*
 * What a core must have for L0 to run on it, as plain functions over the values read from it
 * (boot/cpu.c reads them).
 */
#ifndef PLASTRON_BOOT_CHECKS_H
#define PLASTRON_BOOT_CHECKS_H

#include "types.h"

#define CPUID_1_ECX_VMX            BIT(5)
#define CPUID_7_ECX_TME            BIT(13)
#define CPUID_80000001_EDX_NX      BIT(20)
#define CPUID_80000001_EDX_PAGE1GB BIT(26)
#define CPUID_80000001_EDX_LM      BIT(29)
#define CR4_LA57                   BIT64(12)

#define FEATURE_CONTROL_LOCKED                    BIT64(0)
#define FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX BIT64(2)

#define VMX_BASIC_TRUE_CTLS BIT64(55)

/*
 * Bits of the capability MSRs on which the reading of other MSRs depends. The high half of a
 * control MSR has the bits that may be 1 (SDM volume 3, appendix A).
 */
#define PROCBASED_MAY_ACTIVATE_SECONDARY_CONTROLS BIT64(63)
#define PROCBASED2_MAY_ENABLE_EPT                 BIT64(33)
#define PROCBASED2_MAY_ENABLE_VPID                BIT64(37)

#define REASON_MAX 256 /* characters in a reason, the final zero included */

/* Registers of one core; what the core does not have is 0. */
struct cpu_facts {
    bool read; /* the core has filled this in */
    char vendor[13];
    u32 cpuid_1_ecx;
    u32 cpuid_80000001_edx;
    u64 cr4;
    u64 tme_activate;    /* IA32_TME_ACTIVATE */
    u64 feature_control; /* IA32_FEATURE_CONTROL */
    u64 vmx_basic;       /* IA32_VMX_BASIC */
    u64 vmx_misc;        /* IA32_VMX_MISC */
    /* IA32_VMX_TRUE_*_CTLS if IA32_VMX_BASIC has them, else IA32_VMX_*_CTLS */
    u64 procbased_ctls;
    u64 exit_ctls;
    u64 entry_ctls;
    u64 procbased_ctls2; /* IA32_VMX_PROCBASED_CTLS2 */
    u64 ept_vpid_cap;    /* IA32_VMX_EPT_VPID_CAP */
};

/*
 * True if L0 can run on the core. Else reason gets a clause that names the first thing missing,
 * with the register that says so.
 */
bool checks_pass(const struct cpu_facts *facts, char reason[REASON_MAX]);

/*
 * The value IA32_FEATURE_CONTROL needs before VMXON: a locked one as it is, an unlocked one with
 * VMX outside SMX switched on and locked (SDM volume 3, "Enabling and Entering VMX Operation").
 */
u64 feature_control_for_vmx(u64 value);

#endif
