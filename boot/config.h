/*
 * Parser of plastron.conf: no EFI, no allocation, safe on any bytes.
 *
 * The file is lines of `key=value`, ended by LF or CR LF. Blanks round key and value do not count,
 * nor do empty lines, a UTF-8 byte order mark at the start, and what follows a `#` that stands at
 * the start of a line or behind a blank.
 *
 *   key      accepted values                                                default
 *   next     EFI path from the partition's root; / serves as \; or empty    empty: default search
 *   console  com1, com2, com3, com4, a port (1 to 65528 or 0x1 to 0xfff8), none        com1
 *   baud     9600, 19200, 38400, 57600, 115200                                         115200
 *   log      error, warn, info, debug                                                  info
 *   nested   on, off                                                                   on
 *   cpuid    native, hypervisor                                                        native
 *   mask     names of PLASTRON_FEATURES, separated by commas; or none                  none
 *   shadow   2 to 65536, auto                                                          auto
 *   monitor  none, com1, com2, com3, com4                                              none
 *   monitor_rate  1 to 1000                                                            100
 *   trace    on, off                                                                   off
 *   stats    on, off                                                                   on
 */
#ifndef PLASTRON_BOOT_CONFIG_H
#define PLASTRON_BOOT_CONFIG_H

/* The structure itself: the header of the same name that L0 shares. */
#include "../include/config.h"

#define CONFIG_LINE_MAX    2048 /* bytes in a line, its end not counted; longer ones are ignored */
#define CONFIG_WARNING_MAX 2048 /* characters in a warning, the final zero included */

/* Gets each warning as one line of printable ASCII text without its end. */
typedef void config_warning(void *context, const char *text);

/* Sets every key to its default. */
void config_default(struct config *config);

/*
 * Fills config from the size bytes at text; name is the file's name, for the warnings. A line
 * that cannot be used gives exactly one warning, which names file, line and the accepted values:
 * an unknown key is passed over, a bad value leaves the key's default. A key that appears again
 * overrides the earlier line, with a warning. warn may be NULL. Never fails.
 */
void config_parse(struct config *config, const char *name, const void *text, size_t size,
                  config_warning *warn, void *context);

#endif
