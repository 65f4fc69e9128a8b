/* EPT01 above what start-up mapped: pages are mapped when they are first touched. */
#ifndef PLASTRON_HV_EPT01_DEMAND_H
#define PLASTRON_HV_EPT01_DEMAND_H

#include "cpu.h"
#include "types.h"

/*
 * Maps the page around gpa for L1, so that the instruction can be run again; if the tables have
 * run out, what was mapped so is forgotten first, and running it again may take a few tries.
 * False: there is nothing at gpa for L1, the memory is L0's.
 */
bool ept01_demand(struct cpu *cpu, u64 gpa);

/* Before a VM entry: if tables of EPT01 have changed, this core's translations go. */
void ept01_catch_up(struct cpu *cpu);

#endif
