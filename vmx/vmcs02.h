/*
 * vmcs02: the VMCS that runs L2. Its controls are what L1 wants and what L0 needs, its guest
 * state is vmcs12's, its host state is L0's. All functions work on the current hardware VMCS,
 * which must be the slot's vmcs02 if not said otherwise.
 */
#ifndef PLASTRON_VMX_VMCS02_H
#define PLASTRON_VMX_VMCS02_H

#include "x86.h"
#include "check.h"
#include "../hv/cpu.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"

/* State of L1 that L2 inherits where vmcs12 does not load it. */
struct l1_state {
    u64 efer, pat, debugctl, dr7;
};

/* The start of a region for VMXON or a VMCS: the revision id. SDM vol. 3, "Format of the VMCS
   Region". */
void vmcs_init_region(u64 pa, bool shadow);

/* Makes a VMCS current, or clears it; its address is L0's own, so failure is a panic. */
void vmcs_switch(u64 pa);
void vmcs_clear(u64 pa);

/* The slot has a vmcs12: vmcs02 gets the fields that live there. vmcs01 is current before and
   after. */
void vmcs02_take(struct cpu *cpu, struct vmcs02 *slot);

/* From vmcs01 to vmcs02, to run L2, and from any other VMCS back to vmcs01. While L1 runs vmcs02 is
   a shadow VMCS, if the processor has such, and at any time not to be run. */
void vmcs02_enter(struct vmcs02 *slot);
void vmcs02_leave(const struct cpu *cpu, const struct vmcs02 *slot);

/* What of L1's state vmcs12 does not load, and IA32_EFER; vmcs01 is current. */
struct l1_state vmcs02_read_l1_state(const struct vmcs12 *vmcs12);

/* Everything that a VM entry of L1 puts into vmcs02 but for what is there already; pdpte is used
   with PAE paging of L2. */
void vmcs02_load(struct cpu *cpu, struct vmcs02 *slot, const struct l1_state *l1,
                 const u64 pdpte[4]);

/* What the processor caches of L2's translations is apart from L1's. */
static inline bool vmcs02_has_own_vpid(const struct vmcs12 *vmcs12)
{
    return (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_VPID) &&
           vmcs12->virtual_processor_id != VPID_L1;
}

/* L2 uses PAE paging, so that it has PDPTEs. */
static inline bool vmcs02_uses_pae(const struct vmcs12 *vmcs12)
{
    return !(vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE) && (vmread(GUEST_CR0) & CR0_PG) &&
           (vmread(GUEST_CR4) & CR4_PAE);
}

/* L0 may inject an event of its own into L2, if none waits for its delivery. */
void vmcs02_borrow_event(struct vmcs02 *slot);

/* L2's turn is over: L1 finds its own values in the fields that vmcs02 needed for others. */
void vmcs02_give_back_borrowed(struct vmcs02 *slot);
static inline void vmcs02_give_back(struct vmcs02 *slot)
{
    if (slot->timer_lent)
        vmwrite(VMX_PREEMPTION_TIMER_VALUE, slot->timer);
    slot->timer_lent = false;
    if (slot->borrowed_count)
        vmcs02_give_back_borrowed(slot);
}

/* vmcs02 may hold what vmcs12 does not: all of it is loaded again next time. */
void vmcs02_forget(struct vmcs02 *slot);

/* At an exit to L1: what of L2's state does not stay in vmcs02. */
void vmcs02_save(struct vmcs02 *slot);

/* All of L2's state into vmcs12, or of it the PDPTEs. */
void vmcs02_save_guest(struct vmcs02 *slot);
void vmcs02_save_pdptes(struct vmcs02 *slot);

/* The slot's ept_key is an EPTP12 as EPT02 is known by, see mm/ept02.h. If not, L2 has no EPT, and
   EPT01's mappings. */
bool vmcs02_is_eptp12(u64 key);

/* What the processor caches of the EPT02s of an EPTP12 goes. */
void vmcs02_flush_eptp12(u64 eptp12);

/* Gives L2 its EPT; after an EPT violation the second. */
void vmcs02_load_ept(struct cpu *cpu, const struct vmcs12 *vmcs12);
void vmcs02_reload_ept(struct cpu *cpu, const struct vmcs12 *vmcs12);

#endif
