/* From a line to a command: words, names, help and completion. */
#ifndef PLASTRON_HV_MONITOR_COMMANDS_H
#define PLASTRON_HV_MONITOR_COMMANDS_H

#include "command.h"
#include "line.h"

/* All commands, in the order that help shows them in; ended by NULL. Defined in table.c. */
extern const struct command *const monitor_commands[];

extern const struct command command_help;

/* Does what a line says, or prints why not. A command of ANY_CORE is run at once, one of THIS_CORE
   is given to run_on_core, which runs it and prints the usage if that returns false. The words hold
   until the next call; one core at a time may call. */
void command_execute(const char *line,
                     void (*run_on_core)(const struct command *, const struct words *));

/* Prints the command's usage, a line. */
void command_usage(const struct command *command);

/* For the line editor (struct line): names of commands, then the choices of the command. */
void command_complete(const char *line_so_far, size_t cursor, struct completion *out);

#endif
