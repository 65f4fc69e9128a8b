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

/* On the boot core, once the configuration is in l0.boot: finds the monitor's port, and decides
   whether exits are observed. False without memory; if no UART answers there is no monitor, and the
   log says so. */
bool monitor_init(void);

/* There is a monitor. */
bool monitor_is_on(void);

/* Somebody has typed within the last two seconds. */
bool monitor_is_busy(void);

/* At an exit, with the state of the guest that ran as the exit left it: does what other cores ask
   for, reads what was typed, ends a step, and stands still if all are to. */
void monitor_look(struct cpu *cpu);

/* Behind an exit's handling: the guest that runs next stands still here after a step. */
void monitor_look_after(struct cpu *cpu);

/* After a panic: on the core that has panicked, with the registers of the exception that led there
   or NULL, and on those that it has stopped. They return if there is no monitor. */
void monitor_post_mortem(const struct trap_frame *frame);
void monitor_serve_dead(struct cpu *cpu);

/* L0 has panicked: nothing runs any more. */
bool monitor_is_dead(void);

/* ---- For commands and the debugger ---- */

/* The index of the core that commands are about. */
u32 monitor_core(void);
void monitor_choose(u32 core);

/* What a line says, as if it had been typed. */
void monitor_execute(const char *line);

/* Runs a function on a core, and waits until it has. False, having said why, if that core runs
   without Plastron, waits for a SIPI, or does not begin within a second; after a panic also if it
   does not end within ten. */
bool monitor_run_on(u32 core, void (*run)(struct cpu *cpu, void *argument), void *argument);

/* Somebody has typed something, which is lost: a command that goes on for long ends. */
bool monitor_is_interrupted(void);

#define MONITOR_WATCHES_NOTHING (~0u)

/* Stops all cores when the guest of that level, 1 or 2, exits for that basic reason. */
struct monitor_watch {
    u32 reason;
    u32 level;
};
extern struct monitor_watch monitor_watch;

/* ---- Standing still ---- */

/* All cores are to stand still, from their next exit on; all go on; they are to, or do. */
void monitor_stop(void);
void monitor_go(void);
bool monitor_stands(void);

/* Waits until all cores stand still, a quarter of a second at most. */
void monitor_await_standing(void);

/* The core stands still, or is this one, or runs nothing that Plastron could stop. */
bool monitor_core_stands(const struct cpu *cpu);

/* What a core does that stands still, once: serves the others, and whoever types. */
void monitor_stand_a_while(struct cpu *cpu);

/* ---- Who has the monitor ---- */

/* All of the monitor is this core's, which waits for that, serving the others; and not any more. */
void monitor_own(struct cpu *cpu);
void monitor_disown(void);
bool monitor_is_owner(const struct cpu *cpu);

#endif
