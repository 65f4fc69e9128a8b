/*
 * vmcs02: the VMCS that runs L2. Its controls are what L1 wants and what L0 needs, its guest
 * state is vmcs12's, its host state is L0's. All functions work on the current hardware VMCS,
 * which must be the slot's vmcs02 if not said otherwise.
 */
#ifndef PLASTRON_VMX_VMCS02_H
#define PLASTRON_VMX_VMCS02_H

#include "../hv/cpu.h"

/* Guest fields copied at each entry and exit. */
#define HOT_GUEST(X)                                                                               \
    X(GUEST_RIP, guest_rip)                                                                        \
    X(GUEST_RSP, guest_rsp)                                                                        \
    X(GUEST_RFLAGS, guest_rflags)                                                                  \
    X(GUEST_CR0, guest_cr0)                                                                        \
    X(GUEST_CR3, guest_cr3)                                                                        \
    X(GUEST_CR4, guest_cr4)                                                                        \
    X(GUEST_INTERRUPTIBILITY_INFO, guest_interruptibility_info)                                    \
    X(GUEST_ACTIVITY_STATE, guest_activity_state)                                                  \
    X(GUEST_PENDING_DBG_EXCEPTIONS, guest_pending_dbg_exceptions)

/* State of L1 that L2 inherits where vmcs12 does not load it. Read from vmcs01. */
struct l1_state {
    u64 efer, pat, debugctl, dr7;
};

/* Makes a VMCS current; its address is L0's own, so failure is a panic. */
void vmcs_switch(u64 pa);

struct l1_state vmcs02_read_l1_state(void);

/* Everything that a VM entry of L1 puts into vmcs02; pdpte is used with PAE paging of L2. */
void vmcs02_load(struct cpu *cpu, struct vmcs02 *slot, const struct l1_state *l1,
                 const u64 pdpte[4]);

/* At an exit to L1: guest state and exit information into vmcs12. The rarely read guest fields
   follow when they are asked for. */
void vmcs02_save(struct vmcs02 *slot);
void vmcs02_save_rare_guest(struct vmcs02 *slot);

/* EPTP12 as EPT02 is known by, see mm/ept02.h; 0: L2 has no EPT, and EPT01's mappings. */
u64 vmcs02_eptp12(const struct vmcs12 *vmcs12);

/* What the processor caches of the EPT02s of an EPTP12 goes. */
void vmcs02_flush_eptp12(u64 eptp12);

/* Gives L2 its EPT; after an EPT violation the second. */
void vmcs02_load_ept(struct cpu *cpu, const struct vmcs12 *vmcs12);
void vmcs02_reload_ept(struct cpu *cpu, const struct vmcs12 *vmcs12);

#endif
