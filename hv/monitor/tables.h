/* What commands have in common. */
#ifndef PLASTRON_HV_MONITOR_TABLES_H
#define PLASTRON_HV_MONITOR_TABLES_H

#include "command.h"
#include "guest.h"
#include "../vmcs_words.h"

/* "l1" and "l2". */
extern const char *const level_choices[];

/* The level that the one argument names, or without one that of the guest which runs; false if it
   names none. */
bool parse_level(struct cpu *cpu, const struct words *words, u32 *level);

/* The core has that guest; if not, says so. */
bool demand_guest(struct cpu *cpu, u32 level);

/* A line of a field, if the core has it: name, value, words. */
void say_field(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding);

/* What the words are drawn from besides. */
void read_context(struct cpu *cpu, enum guest_vmcs vmcs, struct vmcs_context *context);

#endif
