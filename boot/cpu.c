#include "cpu.h"

#include <cpuid.h>

#define MSR_IA32_FEATURE_CONTROL         0x3a
#define MSR_IA32_VMX_BASIC               0x480
#define MSR_IA32_TME_ACTIVATE            0x982
#define MSR_IA32_VMX_PROCBASED_CTLS      0x482
#define MSR_IA32_VMX_EXIT_CTLS           0x483
#define MSR_IA32_VMX_ENTRY_CTLS          0x484
#define MSR_IA32_VMX_MISC                0x485
#define MSR_IA32_VMX_PROCBASED_CTLS2     0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP        0x48c
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48e
#define MSR_IA32_VMX_TRUE_EXIT_CTLS      0x48f
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS     0x490

#define CPUID_FEATURES          0x7
#define CPUID_TOPOLOGY          0xb
#define CPUID_EXTENDED_FEATURES 0x80000001

struct cpuid {
    u32 eax, ebx, ecx, edx;
};

static struct cpuid cpuid(u32 leaf)
{
    struct cpuid regs;

    __cpuid_count(leaf, 0, regs.eax, regs.ebx, regs.ecx, regs.edx);
    return regs;
}

static u64 read_msr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static void write_msr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static u64 read_cr4(void)
{
    u64 value;

    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static u32 extended_features(void)
{
    if (cpuid(0x80000000).eax < CPUID_EXTENDED_FEATURES)
        return 0;
    return cpuid(CPUID_EXTENDED_FEATURES).edx;
}

static u64 read_tme_activate(void)
{
    if (cpuid(0).eax < CPUID_FEATURES || !(cpuid(CPUID_FEATURES).ecx & CPUID_7_ECX_TME))
        return 0;
    return read_msr(MSR_IA32_TME_ACTIVATE);
}

static void read_vendor(char vendor[13])
{
    struct cpuid regs = cpuid(0);

    __builtin_memcpy(vendor, &regs.ebx, 4);
    __builtin_memcpy(vendor + 4, &regs.edx, 4);
    __builtin_memcpy(vendor + 8, &regs.ecx, 4);
    vendor[12] = '\0';
}

static void read_vmx_capabilities(struct cpu_facts *facts)
{
    facts->vmx_basic = read_msr(MSR_IA32_VMX_BASIC);
    facts->vmx_misc = read_msr(MSR_IA32_VMX_MISC);
    if (facts->vmx_basic & VMX_BASIC_TRUE_CTLS) {
        facts->procbased_ctls = read_msr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
        facts->exit_ctls = read_msr(MSR_IA32_VMX_TRUE_EXIT_CTLS);
        facts->entry_ctls = read_msr(MSR_IA32_VMX_TRUE_ENTRY_CTLS);
    } else {
        facts->procbased_ctls = read_msr(MSR_IA32_VMX_PROCBASED_CTLS);
        facts->exit_ctls = read_msr(MSR_IA32_VMX_EXIT_CTLS);
        facts->entry_ctls = read_msr(MSR_IA32_VMX_ENTRY_CTLS);
    }
    if (facts->procbased_ctls & PROCBASED_MAY_ACTIVATE_SECONDARY_CONTROLS)
        facts->procbased_ctls2 = read_msr(MSR_IA32_VMX_PROCBASED_CTLS2);
    if (facts->procbased_ctls2 & (PROCBASED2_MAY_ENABLE_EPT | PROCBASED2_MAY_ENABLE_VPID))
        facts->ept_vpid_cap = read_msr(MSR_IA32_VMX_EPT_VPID_CAP);
}

void cpu_read_facts(struct cpu_facts *facts)
{
    *facts = (struct cpu_facts){.cpuid_1_ecx = cpuid(1).ecx};
    read_vendor(facts->vendor);
    facts->cpuid_80000001_edx = extended_features();
    facts->tme_activate = read_tme_activate();
    facts->cr4 = read_cr4();
    if (facts->cpuid_1_ecx & CPUID_1_ECX_VMX) {
        facts->feature_control = read_msr(MSR_IA32_FEATURE_CONTROL);
        read_vmx_capabilities(facts);
    }
    facts->read = true;
}

void cpu_unlock_vmx(void)
{
    u64 value = read_msr(MSR_IA32_FEATURE_CONTROL);
    u64 wanted = feature_control_for_vmx(value);

    if (wanted != value)
        write_msr(MSR_IA32_FEATURE_CONTROL, wanted);
}

bool cpu_has_1g_pages(void) { return extended_features() & CPUID_80000001_EDX_PAGE1GB; }

u64 cpu_read_cr3(void)
{
    u64 value;

    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

u32 cpu_apic_id(void)
{
    if (cpuid(0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY).ebx)
        return cpuid(CPUID_TOPOLOGY).edx;
    return cpuid(1).ebx >> 24;
}
