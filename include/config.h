/*
 * plastron.conf, parsed: what the user can choose. Filled by boot/config.c, read by L0.
 * Defaults are those of config_default().
 */
#ifndef PLASTRON_CONFIG_H
#define PLASTRON_CONFIG_H

#include "vmx_features.h"
#include "types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Bounds of `shadow`, in MiB. */
#define CONFIG_SHADOW_MIN 2
#define CONFIG_SHADOW_MAX 65536

#define CONFIG_MONITOR_RATE_MAX 1000

#define CONFIG_PATH_MAX 260 /* characters, the final zero included */

struct config {
    u16 console_port;      /* I/O port of a 16550 UART; 0: no console */
    u32 console_baud;      /* bits a second; 0: leave the UART's speed as the firmware set it */
    u32 log_level;         /* enum log_level: what is less urgent is not printed */
    bool nested;           /* offer VMX to L1 */
    bool cpuid_hypervisor; /* set CPUID.1:ECX[31] for L1; else as the processor has it */
    feature_set mask;      /* what is hidden from L1 */
    u32 shadow;            /* MiB for the shadow page tables of L2; 0: by the machine's memory */
    u16 monitor_port;      /* I/O port of the monitor's UART; 0: no monitor */
    u32 monitor_rate;      /* how often a second the monitor looks at it */
    bool trace;            /* the flight recorder notes each exit, too */
    bool stats;            /* L1 may read what L0 counts */
    char next[CONFIG_PATH_MAX]; /* EFI path of the image to start, "" for the default search */
};

#endif
