/* gdb at the monitor's port: its sessions, and what it asks of L0 (hv/monitor/gdb.h). */
#ifndef PLASTRON_HV_MONITOR_DEBUGGER_H
#define PLASTRON_HV_MONITOR_DEBUGGER_H

#include "gdb.h"
#include "../cpu.h"
#include "../panic.h"

/* A session goes on. */
bool debugger_is_on(void);

/* Begins one. What comes in from then on is for debugger_feed(), gdb's first byte included. */
void debugger_start(void);

/* Takes a byte, and answers when it ends a packet. gdb's detaching ends the session, and so does a
   CR between packets, of which gdb sends none: breakpoints are taken out; with a detach the cores
   go on. */
void debugger_feed(u8 byte);

/* A format_put of hv/format.h, whose context is not used: what the monitor prints goes to gdb. */
void debugger_print(void *context, char c);

/* All cores are to stand still because of that level, 0 to 2, of this core: gdb, if there is one,
   is told so, with a signal of hv/monitor/gdb.h. */
void debugger_stopped(struct cpu *cpu, u32 level, u32 signal, bool at_breakpoint);

/* An exception in L0, of any vector. True if it was a breakpoint or a step of gdb's, and is over:
   L0 goes on as the frame says. */
bool debugger_trap(struct trap_frame *frame);

/* This core has panicked, where the frame says; NULL if no exception led there. */
void debugger_note_panic(const struct trap_frame *frame);

#endif
