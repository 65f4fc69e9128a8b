/* How a debugger is attached: gdb. */
#include "command.h"
#include "say.h"

static bool run_gdb(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    say("Attach: gdb build/plastron.elf, then `target remote` with this port; its first packet\n"
        "takes the place of the prompt, `detach` gives it back. `info threads` lists each core's\n"
        "L0, L1 and L2; `monitor COMMAND` is what is typed here.\n");
    return true;
}

const struct command command_gdb = {
    .name = "gdb",
    .arguments = "",
    .summary = "how gdb is attached",
    .details = "",
    .place = ANY_CORE,
    .run = run_gdb,
};
