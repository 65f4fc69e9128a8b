/* CPUID: what the processor says, but for what is hidden from L1 and what L0's CR4 changes. */
#include "exit.h"

#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "leaves.h"
#include "plastron_cpuid.h"
#include "vmcs.h"
#include "x86.h"

#define LAST_HYPERVISOR_LEAF 0x4000ffffu

#define LEAF1_ECX_VMX               BIT(5)
#define LEAF1_ECX_SMX               BIT(6)
#define LEAF1_ECX_OSXSAVE           BIT(27)
#define LEAF1_ECX_HYPERVISOR        BIT(31)
#define LEAF6_EAX_FEEDBACK          BIT(19)
#define LEAF6_EAX_THREAD_DIRECTOR   BIT(23)
#define LEAF7_EBX_PT                BIT(25)
#define LEAF7_ECX_OSPKE             BIT(4)
#define LEAF7_1_EAX_FRED            BIT(17)
#define LEAF7_1_EAX_MSRLIST         BIT(27)
#define LEAF7_1_ECX_MSR_IMM         BIT(5)
#define LEAF7_1_EDX_USER_MSR        BIT(15)
#define LEAF7_1_EDX_CET_SSS         BIT(18)
#define LEAF7_2_EDX_UC_LOCK_DISABLE BIT(6)
#define LEAF7_EDX_ARCH_LBR          BIT(19)
#define LEAF_PT                     0x14u
#define LEAF_ARCH_LBR               0x1cu
#define LEAF_ARCH_PERFMON           0x23u
#define LEAF23_EAX_ARCH_PEBS        (3u << 4)

/* The bits that follow CR4 show L0's CR4 in VMX root operation: L1's has its own. */
static u32 follow_cr4(u32 word, u32 bit, u64 cr4_bit)
{
    return vmread(GUEST_CR4) & cr4_bit ? word | bit : word & ~bit;
}

static void filter_leaf_1(struct cpuid_result *r)
{
    r->ecx &= ~LEAF1_ECX_SMX;
    if (!l0.boot.config.nested)
        r->ecx &= ~LEAF1_ECX_VMX;
    if (l0.boot.config.cpuid_hypervisor)
        r->ecx |= LEAF1_ECX_HYPERVISOR;
    r->ecx = follow_cr4(r->ecx, LEAF1_ECX_OSXSAVE, CR4_OSXSAVE);
}

static void filter_leaf_7(struct cpuid_result *r, u32 subleaf)
{
    if (subleaf == 0) {
        r->ebx &= ~LEAF7_EBX_PT; /* would write to physical addresses */
        r->ecx = follow_cr4(r->ecx, LEAF7_ECX_OSPKE, CR4_PKE);
        r->edx &= ~LEAF7_EDX_ARCH_LBR; /* would go on in L0 */
    } else if (subleaf == 1) {
        /* Instructions that need VM-execution controls which L0 does not use. */
        r->eax &= ~(LEAF7_1_EAX_FRED | LEAF7_1_EAX_MSRLIST);
        r->ecx &= ~LEAF7_1_ECX_MSR_IMM;
        r->edx &= ~LEAF7_1_EDX_USER_MSR;
        r->edx &= ~LEAF7_1_EDX_CET_SSS; /* L0 fills EPT02 in while an event of L2 is delivered */
    } else if (subleaf == 2) {
        r->edx &= ~LEAF7_2_EDX_UC_LOCK_DISABLE;
    }
}

static struct cpuid_result l1_cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_result r = cpuid(leaf, subleaf);

    switch (leaf) {
    case 1: filter_leaf_1(&r); break;
    case 6: r.eax &= ~(LEAF6_EAX_FEEDBACK | LEAF6_EAX_THREAD_DIRECTOR); break;
    case 7: filter_leaf_7(&r, subleaf); break;
    case LEAF_PT:
    case LEAF_ARCH_LBR:
        /* Beyond the highest leaf the processor answers with that one's data. */
        if (leaf <= cpuid(0, 0).eax)
            r = (struct cpuid_result){0};
        break;
    case LEAF_ARCH_PERFMON:
        if (subleaf == 0)
            r.eax &= ~LEAF23_EAX_ARCH_PEBS;
        break;
    }
    return r;
}

static void answer(struct cpu *cpu, struct cpuid_result r)
{
    cpu->gpr[RAX] = r.eax;
    cpu->gpr[RBX] = r.ebx;
    cpu->gpr[RCX] = r.ecx;
    cpu->gpr[RDX] = r.edx;
    skip_instruction();
}

/* Apart, so that the other leaves do not save registers for it. */
static __attribute__((noinline, cold)) void exit_plastron_leaf(struct cpu *cpu)
{
    answer(cpu, plastron_leaf(cpu, (u32)cpu->gpr[RAX], (u32)cpu->gpr[RCX]));
}

void exit_cpuid(struct cpu *cpu)
{
    u32 leaf = (u32)cpu->gpr[RAX];

    if (leaf >= CPUID_PLASTRON && leaf <= LAST_HYPERVISOR_LEAF)
        exit_plastron_leaf(cpu);
    else
        answer(cpu, l1_cpuid(leaf, (u32)cpu->gpr[RCX]));
}
