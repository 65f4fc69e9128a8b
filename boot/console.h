/*
 * The loader's messages: on the EFI console and, by polling, on the 16550 UART that the
 * configuration names. Where the EFI console itself already shows up on that UART the UART is not
 * written to as well, so that no line comes twice.
 */
#ifndef PLASTRON_BOOT_CONSOLE_H
#define PLASTRON_BOOT_CONSOLE_H

#include "config.h"

/* Sets up the UART and the log level; until then say() writes to the EFI console alone. */
void console_configure(const struct config *config);

/*
 * Prints a line "Plastron: <text>", the text cut at CONFIG_WARNING_MAX - 1 characters, unless the
 * log level leaves it out.
 */
void say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
