/* EPT01 above what start-up mapped: pages are mapped when they are first touched. */
#ifndef PLASTRON_HV_EPT01_DEMAND_H
#define PLASTRON_HV_EPT01_DEMAND_H

#include "types.h"

/*
 * Maps the page around gpa for L1, so that the instruction can be run again; if the tables have
 * run out, what was mapped so is forgotten first, and running it again may take a few tries.
 * False: there is nothing at gpa for L1, the memory is L0's.
 */
bool ept01_demand(u64 gpa);

#endif
