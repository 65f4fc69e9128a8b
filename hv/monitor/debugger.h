/* gdb at the monitor's port: its sessions, and what it asks of L0 (hv/monitor/gdb.h). */
#ifndef PLASTRON_HV_MONITOR_DEBUGGER_H
#define PLASTRON_HV_MONITOR_DEBUGGER_H

#include "gdb.h"
#include "../cpu.h"
#include "../panic.h"

/* A session goes on. */
bool debugger_is_on(void);

/* Begins one: what comes in goes to debugger_feed(). A CR where gdb sends none ends it, too. */
void debugger_start(void);
void debugger_feed(u8 byte);

/* A format_put: what the monitor prints goes to gdb. */
void debugger_print(void *context, char c);

/* Cores stand still because of that level of a core; with a signal of hv/monitor/gdb.h. */
void debugger_stopped(struct cpu *cpu, u32 level, u32 signal, bool at_breakpoint);

/* An exception in L0: true if it was a breakpoint or a step of gdb's, and L0 goes on. */
bool debugger_trap(struct trap_frame *frame);

/* The registers of L0 where it has panicked, or NULL if no exception led there. */
void debugger_note_panic(const struct trap_frame *frame);

#endif
