/* What the loader asks of the ACPI tables. Physical memory is mapped one to one. */
#ifndef PLASTRON_BOOT_ACPI_H
#define PLASTRON_BOOT_ACPI_H

#include "types.h"

/*
 * The processors that the MADT lists as enabled (ACPI specification, "Multiple APIC Description
 * Table"), 0 if there is no RSDP at that address or no MADT.
 */
u32 acpi_cpu_count(u64 rsdp);

#endif
