/* EPT violations of L2: what EPT02 lacks is filled in, what EPT12 forbids is L1's to know. */
#ifndef PLASTRON_VMX_EPT_VIOLATION_H
#define PLASTRON_VMX_EPT_VIOLATION_H

#include "../hv/cpu.h"

/* L2 had one; vmcs02 is current. */
void l2_ept_violation(struct cpu *cpu);

/* L1 enters L2, perhaps after it has mended the EPT violation that it had last: L2 need not have it
   again in EPT02. */
void l2_fill_missing(struct cpu *cpu);

#endif
