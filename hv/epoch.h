/*
 * What cores cache of EPT01 and EPT02, and when they have forgotten it. Whoever takes something
 * away from these begins a new epoch; each core invalidates all before its next VM entry, and has
 * then passed that epoch. What cores must agree on for L2's EPTs is in mm/ept02.h.
 */
#ifndef PLASTRON_HV_EPOCH_H
#define PLASTRON_HV_EPOCH_H

#include "cpu.h"
#include "l0.h"
#include "types.h"

void epoch_pass(struct cpu *cpu);

/* Before a VM entry. A core that begins to walk EPT02 has said so before. */
static inline void epoch_catch_up(struct cpu *cpu)
{
    if (__builtin_expect(cpu->epoch != __atomic_load_n(&l0.epoch, __ATOMIC_SEQ_CST), 0))
        epoch_pass(cpu);
}

/* All cores have passed the epoch, and none runs on copies of EPT01's entries. Those that have not
   are made to exit. */
bool epoch_passed_by_all(u64 epoch);

/* This core walks EPT02, by hardware or in L0, from now on; or no more. */
void epoch_set_walking(struct cpu *cpu, bool walks);

#endif
