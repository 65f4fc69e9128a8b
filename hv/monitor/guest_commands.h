/* What the commands about guests have in common: which guest is meant, and the line of a field. */
#ifndef PLASTRON_HV_MONITOR_GUEST_COMMANDS_H
#define PLASTRON_HV_MONITOR_GUEST_COMMANDS_H

#include "command.h"
#include "guest.h"

/* "l1" and "l2": the choices of a command whose first argument is a level. */
extern const char *const level_choices[];

/* The level that a word names; 0: none. */
u32 level_of(const char *word);

/* The level that a command's only argument names, or without one that of the guest that the core
   runs. False: that is no level, or there are more arguments. */
bool parse_level(const struct cpu *cpu, const struct words *words, u32 *level);

/* The core has that guest, of level 1 or 2; if not, says so. */
bool demand_guest(const struct cpu *cpu, u32 level);

/* Says a line of a field: name, value, and what that says in words. Nothing if the core has no such
   VMCS, or that no such field. */
void say_field(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding);

#endif
