/* L1 after an exit of L2: vmcs12's host state becomes vmcs01's guest state. */
#ifndef PLASTRON_VMX_L1_HOST_H
#define PLASTRON_VMX_L1_HOST_H

#include "vmcs02.h"
#include "../hv/cpu.h"

/* What L1 takes over from L2 where vmcs12 loads nothing. */
struct l2_leftover {
    u64 efer, pat;
    bool nmi_blocked;         /* the exit leaves NMIs blocked */
    bool nmi_blocking_is_l2s; /* L2 ran without virtual NMIs: its blocking is the processor's */
};

/* Read from vmcs02. */
struct l2_leftover l1_host_read_leftover(const struct vmcs12 *vmcs12);

/* SDM vol. 3, "Loading Host State" and "Loading MSRs". vmcs01 is current. */
void l1_host_load(struct cpu *cpu, struct vmcs02 *slot, const struct l2_leftover *leftover);

/* SDM vol. 3, "VMX Aborts": the indicator in L1's memory, and the core shuts down. vmcs01 is
   current. */
void l1_host_abort(struct cpu *cpu, const struct vmcs02 *slot, enum vmx_abort indicator);

#endif
