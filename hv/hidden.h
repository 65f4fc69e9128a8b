/*
 * L0's memory as L1 and L2 find it: not there. Reads give all ones, writes are dropped, both are
 * counted. The instruction that reaches it runs by itself (monitor trap flag) on an EPT that has
 * a page of ones in place of each hidden page, or, if it writes, a page that takes what it writes
 * and is made all ones again; so no instruction needs to be decoded.
 */
#ifndef PLASTRON_HV_HIDDEN_H
#define PLASTRON_HV_HIDDEN_H

#include "cpu.h"
#include "types.h"

/* Builds EPT01 and the EPTs for stepping from l0.pool; false without memory. */
bool hidden_init(void);

/* The guest of the current VMCS, which runs on EPT01, reached hidden memory. */
void hidden_step(struct cpu *cpu, u64 gpa, bool write);

/* The same for L2 on an EPT02, at its address ngpa; vmcs02_load_ept() is the caller's. */
void hidden_step_l2(struct cpu *cpu, u64 ngpa, bool write);

/* The instruction is over, or another event came first: all as before. */
void hidden_step_end(struct cpu *cpu);

#endif
