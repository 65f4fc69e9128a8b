/*
 * The machine's cores, through the firmware's MP services (UEFI Platform Initialization
 * Specification, volume 2, "EFI MP Services Protocol"). Cores are numbered from 0, the boot
 * processor, without gaps; those the firmware has disabled do not count.
 */
#ifndef PLASTRON_BOOT_SMP_H
#define PLASTRON_BOOT_SMP_H

#include "boot_info.h"
#include "types.h"

struct smp {
    u32 cpu_count;
    u32 apic_id[MAX_CPUS];
};

/* What runs on a core. It may use no EFI service but those allowed to application processors. */
typedef void smp_function(u32 cpu);

/*
 * Finds the cores. Without MP services only the boot processor can be reached, which will do if
 * the ACPI tables at rsdp list no other. False if not every core can be reached, with a clause
 * in reason that says why.
 */
bool smp_init(struct smp *smp, u64 rsdp, char *reason, size_t reason_size);

/*
 * Runs the function on every core but the boot processor, at the same time, and waits for all.
 * False if the firmware refused; some of the cores may have run it all the same.
 */
bool smp_run_on_others(smp_function *function);

#endif
