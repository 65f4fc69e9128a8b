/*
 * The monitor's time: the VMX-preemption timer of whichever VMCS runs. That of vmcs01 is L0's
 * alone. That of vmcs02 is L1's, who reads and writes its value there: L0 has its own in it only
 * while L2 runs, the earlier one of both. SDM vol. 3, "VMX-Preemption Timer".
 */
#ifndef PLASTRON_HV_MONITOR_TIMER_H
#define PLASTRON_HV_MONITOR_TIMER_H

#include "../cpu.h"

/* vmcs01 uses the timer: the processor has it, and the monitor is on. */
bool timer_used(void);

/* The period of looks at the port, in ticks of the time-stamp counter. fast: somebody is typing. */
u64 timer_period(bool fast);

/* vmcs01, which is current, is to exit after a period. */
void timer_start01(void);

/* Before an entry of L2: vmcs02, which is current, is to exit after what is left of the period, or
   of L1's time. */
void timer_arm(struct cpu *cpu);

/* After its exit for that reason, or EXIT_REASON_COUNT if the entry failed: L1's value is in vmcs02
   again. True if the exit is one by the timer, and L0's alone. */
bool timer_disarm(struct cpu *cpu, u32 reason);

#endif
