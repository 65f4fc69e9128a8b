/* Putting L0 under the running machine. */
#ifndef PLASTRON_BOOT_START_H
#define PLASTRON_BOOT_START_H

#include "checks.h"
#include "smp.h"

/* L0's ELF image, compressed (boot/lz4.h), inside plastron.efi (boot/l0_image.asm); and its size in
   bytes without that. */
extern const char l0_image[];
extern const char l0_image_end[];
extern const u64 l0_image_size;

/*
 * Checks every core. False if one cannot run L0, with a clause in reason that names what it
 * lacks.
 */
bool start_check(const struct smp *smp, char reason[REASON_MAX]);

/*
 * Reserves L0's memory, loads L0 there and starts it on every core; on return the machine is L1.
 * False if L0 did not start on the boot processor, with a clause in reason that says why; the
 * memory is free again and no other core was touched. Another core on which L0 does not start goes
 * on without it, and is named by a message.
 */
bool start_l0(const struct smp *smp, const struct config *config, u64 acpi_rsdp,
              char reason[REASON_MAX]);

#endif
