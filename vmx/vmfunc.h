/* VM functions, which L2 calls by VMFUNC. SDM vol. 3, "VM Functions". */
#ifndef PLASTRON_VMX_VMFUNC_H
#define PLASTRON_VMX_VMFUNC_H

#include "../hv/cpu.h"

/* L2 executed VMFUNC, with a function that exists, enabled by L1 or not; vmcs02 is current. */
void l2_vmfunc(struct cpu *cpu);

#endif
