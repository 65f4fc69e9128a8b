/* The end of the machine: reset, poweroff. */
#include "command.h"
#include "say.h"
#include "../insn.h"
#include "../l0.h"

/* What resets a PC whose FADT does not say it: the chipset's reset control register, and the
   keyboard controller. */
#define CHIPSET_PORT   0xcf9
#define CHIPSET_RESET  0x06
#define KEYBOARD_PORT  0x64
#define KEYBOARD_RESET 0xfe

static bool run_reset(struct cpu *none, const struct words *words)
{
    const struct power *power = &l0.boot.power;

    (void)none;
    if (words->count != 1)
        return false;
    say("the machine is reset\n");
    if (power->reset_port)
        port_out(power->reset_port, power->reset_value);
    port_out(CHIPSET_PORT, CHIPSET_RESET);
    port_out(KEYBOARD_PORT, KEYBOARD_RESET);
    return true;
}

const struct command command_reset = {
    .name = "reset",
    .arguments = "",
    .summary = "resets the machine",
    .details = "At once: L1 is not asked. The name is not to be cut short.\n",
    .place = ANY_CORE,
    .run = run_reset,
    .whole = true,
};

static bool run_poweroff(struct cpu *none, const struct words *words)
{
    const struct power *power = &l0.boot.power;

    (void)none;
    if (words->count != 1)
        return false;
    if (!power->off_port) {
        say("the ACPI tables do not say how this machine is switched off: use `reset`\n");
        return true;
    }
    say("the machine is switched off\n");
    port_out16(power->off_port, power->off_value);
    return true;
}

const struct command command_poweroff = {
    .name = "poweroff",
    .arguments = "",
    .summary = "switches the machine off",
    .details = "At once: L1 is not asked. The name is not to be cut short.\n",
    .place = ANY_CORE,
    .run = run_poweroff,
    .whole = true,
};
