/*
 * The checks of a VM entry once more, for the harness: each rule of SDM vol. 3, "Checks on VMX
 * Controls and Host-State Area" and "Checking and Loading Guest State", as one line that says when
 * it is broken. Written from the SDM, in its order, and without regard to speed.
 */
#ifndef PLASTRON_TESTS_MODEL_ENTRY_H
#define PLASTRON_TESTS_MODEL_ENTRY_H

#include "vmx/check.h"

/* What the rules read of memory. */
struct model_memory {
    u32 vtpr;     /* at the virtual-APIC page's 80H */
    u32 revision; /* at the VMCS link pointer */
    u64 pdpte[4]; /* at CR3 */
};

bool model_controls_valid(const struct vmcs12 *v, const struct vmx_caps *caps,
                          const struct model_memory *memory);
bool model_host_valid(const struct vmcs12 *v, const struct vmx_caps *caps, bool l1_long_mode);
/* What exit reason 33 may give as its qualification: a bit for each. 0: the state is valid. */
u32 model_guest_failures(const struct vmcs12 *v, const struct vmx_caps *caps, u64 current_vmcs,
                         const struct model_memory *memory);

#endif
