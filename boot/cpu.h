/* Reading and preparing the core that runs this, whichever it is. */
#ifndef PLASTRON_BOOT_CPU_H
#define PLASTRON_BOOT_CPU_H

#include "checks.h"

/*
 * Reads what checks_pass() judges. Every MSR is read only after what precedes it says that it
 * exists (SDM volume 3, appendix A).
 */
void cpu_read_facts(struct cpu_facts *facts);

/* Switches VMX on in IA32_FEATURE_CONTROL and locks it, if the firmware left it unlocked. */
void cpu_unlock_vmx(void);

/* True if the core has 1-GByte pages. */
bool cpu_has_1g_pages(void);

u64 cpu_read_cr3(void);

/* The APIC id CPUID reports for this core: 32 bits of it where there is leaf 0BH. */
u32 cpu_apic_id(void);

#endif
