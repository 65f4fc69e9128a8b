/* The CPUID leaves of a hypervisor, by which L1 sees what L0 counts: include/plastron_cpuid.h. */
#ifndef PLASTRON_HV_LEAVES_H
#define PLASTRON_HV_LEAVES_H

#include "cpu.h"
#include "insn.h"
#include "types.h"

/* What a leaf from CPUID_PLASTRON on says on a core; all 0 for one behind the highest, and for a
   subleaf that is not there. */
struct cpuid_result plastron_leaf(const struct cpu *cpu, u32 leaf, u32 subleaf);

#endif
