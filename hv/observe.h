/*
 * Each VM exit seen by the monitor and the flight recorder: exit_handle() with something before it
 * and after it. HOST_RIP chooses it when L0 starts, so that without them an exit costs what it
 * costs.
 */
#ifndef PLASTRON_HV_OBSERVE_H
#define PLASTRON_HV_OBSERVE_H

#include "recorder.h"
#include "types.h"
#include "vmx.h"
#include "../mm/watch.h"

struct cpu;

/* What a core is asked by the core that has the monitor. */
enum request_state { REQUEST_NONE, REQUEST_PENDING, REQUEST_RUNNING, REQUEST_DONE };

struct request {
    u32 state; /* enum request_state; shared */
    void (*run)(struct cpu *cpu, void *argument);
    void *argument;
};

enum step_state { STEP_NOT, STEP_WANTED, STEP_RUNS, STEP_ENDS };

/* Of a core, its own but for what is marked shared. */
struct observer {
    bool armed;    /* the current VMCS has what L0 needs there while the guest runs */
    bool own_exit; /* this exit is not the guest's hypervisor's: hv/exit.c passes it on to nobody */
    bool stands;   /* shared: in L0 until the monitor lets it go */
    u32 step;      /* shared: enum step_state, of one instruction */
    u64 last_look; /* at the monitor's port: a value of the time-stamp counter */

    /* The preemption timer of vmcs02, in its own ticks: hv/monitor/timer.h. */
    u32 timer_left, timer_l1, timer_loaded;

    /* vmcs02's first I/O bitmap: L1's, and the monitor's port in it. */
    u64 io_bitmap_pa;
    struct watch io_watch;

    struct request request;

    u64 kept[EXIT_REASON_COUNT]; /* exits of L2 behind which L2 went on; read by other cores */

    /* Where L0's code stands still, for a debugger. */
    u64 stands_rip, stands_rsp, stands_rbp;
};

/* From hv/exit.asm, in the place of exit_handle() of hv/exit.h. */
u64 exit_handle_observed(struct cpu *cpu);

/* What the current VMCS has only while its guest runs is taken out of it, and put in again. Nothing
   happens if exits are not observed. */
void observe_disarm(struct cpu *cpu);
void observe_arm(struct cpu *cpu);

#endif
