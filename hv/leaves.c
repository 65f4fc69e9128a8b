#include "leaves.h"

#include "l0.h"
#include "plastron_cpuid.h"
#include "plastron_version.h"

static u32 highest(void) { return l0.boot.config.stats ? CPUID_PLASTRON_LAST : CPUID_PLASTRON; }

static struct cpuid_result signature(void)
{
    return (struct cpuid_result){highest(), CPUID_PLASTRON_EBX, CPUID_PLASTRON_ECX,
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

    switch (what) {
    case CPUID_SHADOW_PAGES:
        return (struct cpuid_result){ept->shadow.count, ept->shadow.in_use, ept->given,
                                     (u32)ept->reclaimed};
    case CPUID_SHADOW_TABLES:
        return (struct cpuid_result){(u32)ept->tables, (u32)ept->reads, (u32)ept->changes,
                                     (u32)ept->protections};
    default: return (struct cpuid_result){0};
    }
}

static struct cpuid_result version(void)
{
    return (struct cpuid_result){PLASTRON_VERSION_MAJOR, PLASTRON_VERSION_MINOR,
                                 PLASTRON_VERSION_PATCH, cpu_count};
}

static struct cpuid_result hidden(const struct cpu *cpu)
{
    return (struct cpuid_result){(u32)cpu->hidden_reads, (u32)(cpu->hidden_reads >> 32),
                                 (u32)cpu->hidden_writes, (u32)(cpu->hidden_writes >> 32)};
}

/* What L1 would not be offered whatever the configuration says. */
static feature_set missing_features(void)
{
    struct vmx_caps most;

    capabilities_compute(&most, &l0.hw, 0);
    return ~most.offered & ~(feature_set)0 >> (128 - FEATURE_COUNT);
}

static struct cpuid_result vmx(u32 which)
{
    feature_set set = 0;

    if (which == CPUID_VMX_OFFERED && l0.boot.config.nested)
        set = l0.caps.offered;
    else if (which == CPUID_VMX_MASKED)
        set = l0.boot.config.mask;
    else if (which == CPUID_VMX_MISSING)
        set = missing_features();
    return (struct cpuid_result){(u32)set, (u32)(set >> 32), (u32)(set >> 64), (u32)(set >> 96)};
}

/* Small, where what calls it is fast. */
__attribute__((noinline)) struct cpuid_result plastron_leaf(const struct cpu *cpu, u32 leaf,
                                                            u32 subleaf)
{
    if (leaf > highest())
        return (struct cpuid_result){0};
    switch (leaf) {
    case CPUID_PLASTRON: return signature();
    case CPUID_PLASTRON_FEATURES: return features();
    case CPUID_PLASTRON_EXITS: return exits(cpu, subleaf);
    case CPUID_PLASTRON_SHADOW: return shadow(subleaf);
    case CPUID_PLASTRON_VERSION: return version();
    case CPUID_PLASTRON_HIDDEN: return hidden(cpu);
    case CPUID_PLASTRON_VMX: return vmx(subleaf);
    default: return (struct cpuid_result){0};
    }
}
