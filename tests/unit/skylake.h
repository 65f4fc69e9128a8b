/* A processor for the unit tests: Bochs' corei7_skylake_x, by its IA32_VMX_* and CPUID. */
#ifndef PLASTRON_TESTS_SKYLAKE_H
#define PLASTRON_TESTS_SKYLAKE_H

#include "vmx.h"
#include "vmx/capabilities.h"

static const struct vmx_caps skylake = {
    .basic = 0x00d810000000002b,
    .pin = 0x000000ff00000016,
    .proc = 0xfff9fffe0401e172,
    .exit = 0x407fffff00036dff,
    .entry = 0x0000ffff000011ff,
    .misc = 0x600401e0,
    .cr0_fixed0 = 0x80000021,
    .cr0_fixed1 = 0xffffffff,
    .cr4_fixed0 = 0x2000,
    .cr4_fixed1 = 0x3727ff,
    .vmcs_enum = 0x54,
    .proc2 = 0x02577fff00000000,
    .ept_vpid = 0x00000f0106734141,
    .vmfunc = 1,
    .true_pin = 0x000000ff00000016,
    .true_proc = 0xfff9fffe04006172,
    .true_exit = 0x407fffff00036dfb,
    .true_entry = 0x0000ffff000011fb,
    .physical_bits = 40,
    .linear_bits = 48,
    .cr3_reserved = ~0ull << 40,
    .perf_global_reserved = ~0x70000000full,
    .pending_debug = PENDING_DBG_RTM,
};

#endif
