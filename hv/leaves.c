#include "leaves.h"

#include "l0.h"
#include "plastron_cpuid.h"

static struct cpuid_result signature(void)
{
    return (struct cpuid_result){CPUID_PLASTRON_LAST, CPUID_PLASTRON_EBX, CPUID_PLASTRON_ECX,
                                 CPUID_PLASTRON_EDX};
}

static struct cpuid_result features(void)
{
    return (struct cpuid_result){.eax = l0.boot.config.nested ? CPUID_FEATURE_NESTED : 0};
}

static struct cpuid_result exits(const struct cpu *cpu, u32 what)
{
    const u64 *counts = what & CPUID_EXITS_OF_L2 ? cpu->exits_l2 : cpu->exits_l1;
    u32 reason = what & ~CPUID_EXITS_OF_L2;
    u64 count = reason < EXIT_REASON_COUNT ? counts[reason] : 0;

    return (struct cpuid_result){.eax = (u32)count, .edx = (u32)(count >> 32)};
}

static struct cpuid_result shadow(u32 what)
{
    const struct ept02 *ept = &l0.ept02;

    if (what)
        return (struct cpuid_result){(u32)ept->tables, (u32)ept->reads, (u32)ept->changes,
                                     (u32)ept->protections};
    return (struct cpuid_result){ept->shadow.count, ept->shadow.in_use, ept->given,
                                 (u32)ept->reclaimed};
}

struct cpuid_result plastron_leaf(const struct cpu *cpu, u32 leaf, u32 subleaf)
{
    switch (leaf) {
    case CPUID_PLASTRON: return signature();
    case CPUID_PLASTRON_FEATURES: return features();
    case CPUID_PLASTRON_EXITS: return exits(cpu, subleaf);
    case CPUID_PLASTRON_SHADOW: return shadow(subleaf);
    default: return (struct cpuid_result){0};
    }
}
