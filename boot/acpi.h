/* What the loader asks of the ACPI tables. Physical memory is mapped one to one. */
#ifndef PLASTRON_BOOT_ACPI_H
#define PLASTRON_BOOT_ACPI_H

#include "boot_info.h"
#include "types.h"

/*
 * The processors that the MADT lists as enabled (ACPI specification, "Multiple APIC Description
 * Table"), 0 if there is no RSDP at that address or no MADT.
 */
u32 acpi_cpu_count(u64 rsdp);

/* How the machine is switched off and reset, as far as the FADT and the DSDT say so: ports are 0
   for what they do not. */
struct power acpi_power(u64 rsdp);

#endif
