/*
 * The monitor: a debugger's prompt on a serial port. Whichever core finds something typed reads it
 * and executes the command; what concerns another core is done by that one, at its next exit. Cores
 * run on, or stand still together, in L0. After a panic they stand still for good, and the prompt
 * stays.
 */
#ifndef PLASTRON_HV_MONITOR_MONITOR_H
#define PLASTRON_HV_MONITOR_MONITOR_H

#include "command.h"
#include "../cpu.h"
#include "../panic.h"

/* With the configuration, on the boot core: false without memory. */
bool monitor_init(void);

/* There is a monitor. */
bool monitor_is_on(void);

/* Somebody has typed lately. */
bool monitor_is_busy(void);

/* At an exit, with the state of the guest that ran as the exit left it. */
void monitor_look(struct cpu *cpu);

/* Behind an exit's handling: the guest that runs next stands still here after a step. */
void monitor_look_after(struct cpu *cpu);

/* After a panic: on the core that has panicked, and on those that it has stopped. With no monitor
   they return. */
void monitor_post_mortem(const struct trap_frame *frame);
void monitor_serve_dead(struct cpu *cpu);

/* ---- For commands ---- */

/* The core that commands are about: cpus[monitor_core()]. */
u32 monitor_core(void);
void monitor_choose(u32 core);

/* Runs a function on a core, and waits. False, having said why, if that core does not come. */
bool monitor_run_on(u32 core, void (*run)(struct cpu *cpu, void *argument), void *argument);

/* All cores stand still, or go on. */
void monitor_stop(void);
void monitor_go(void);
bool monitor_stands(void);

/* Somebody has typed something: a command that goes on for long ends. */
bool monitor_is_interrupted(void);

#define MONITOR_WATCHES_NOTHING (~0u)

/* Stops all cores when the guest of that level, 1 or 2, exits for that basic reason. */
struct monitor_watch {
    u32 reason;
    u32 level;
};
extern struct monitor_watch monitor_watch;

/* Waits, not for ever, until all cores stand still. */
void monitor_await_standing(void);
bool monitor_core_stands(const struct cpu *cpu);

/* All of the monitor is this core's, which waits for that; and not any more. */
void monitor_own(struct cpu *cpu);
void monitor_disown(void);
bool monitor_is_owner(const struct cpu *cpu);

/* What a core does that stands still, once. */
void monitor_stand_a_while(struct cpu *cpu);

/* L0 has panicked: nothing runs any more. */
bool monitor_is_dead(void);

/* What a line says, as if it had been typed. */
void monitor_execute(const char *line);

#endif
