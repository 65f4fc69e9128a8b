/* The commands, in the order that `help` lists them. */
#include "commands.h"

#define COMMANDS(X)                                                                                \
    X(help)                                                                                        \
    X(cpus)                                                                                        \
    X(cpu)                                                                                         \
    X(regs)                                                                                        \
    X(events)                                                                                      \
    X(dr)                                                                                          \
    X(mp)                                                                                          \
    X(vmcs)                                                                                        \
    X(vmcs12)                                                                                      \
    X(check)                                                                                       \
    X(ept)                                                                                         \
    X(translate)                                                                                   \
    X(mem)                                                                                         \
    X(msr)                                                                                         \
    X(exits)                                                                                       \
    X(features)                                                                                    \
    X(shadow)                                                                                      \
    X(log)                                                                                         \
    X(trace)                                                                                       \
    X(watch)                                                                                       \
    X(stop)                                                                                        \
    X(go)                                                                                          \
    X(step)                                                                                        \
    X(nmi)                                                                                         \
    X(gdb)                                                                                         \
    X(reset)                                                                                       \
    X(poweroff)

#define X(name) extern const struct command command_##name;
COMMANDS(X)
#undef X

#define X(name) &command_##name,
const struct command *const monitor_commands[] = {COMMANDS(X) NULL};
#undef X
