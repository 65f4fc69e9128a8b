/*
 * The VMX of one core as L1 sees it: VMXON state, current VMCS, and the cache of vmcs02s.
 */
#ifndef PLASTRON_VMX_NESTED_H
#define PLASTRON_VMX_NESTED_H

#include "types.h"
#include "vmcs12.h"
#include "../mm/overlay.h"
#include "../mm/watch.h"

#define VMCS02_SLOTS 4
#define NO_ADDRESS   (~0ull)
#define STEP_PAGES   (OVERLAY_PAGES - 1) /* hidden ones that one instruction of L2 reaches */

/* A field of vmcs02 that L1 reads and writes there, and what L1 has in it. */
struct borrowed_field {
    u32 field;
    u64 value;
};

#define BORROWED_MAX 5 /* the event's three, the preemption timer, CR4's read shadow */

/*
 * A vmcs12 that is active on this core, with the vmcs02 that runs it. vmcs12 is L0's private
 * copy, but for what lives in vmcs02 (vmx/direct.h): L1's memory gets it all back at VMCLEAR,
 * eviction or VMXOFF, as from a processor's cache.
 */
struct vmcs02 {
    u64 vmcs12_pa; /* where L1 has it; NO_ADDRESS: the slot is free */
    struct vmcs12 *vmcs12;
    u64 pa;            /* of the hardware vmcs02 */
    u64 shadow_pa;     /* of the hardware shadow VMCS that L2 reads without exits */
    u64 msr_bitmap_pa; /* merged from L0's and L1's, or full of ones */
    struct watch msr_bitmap_watch;
    bool msr_bitmap_full;
    bool launched;       /* the hardware's launch state of vmcs02 */
    bool prepared;       /* the fields that never change stand in vmcs02 */
    bool controls_dirty; /* L1 wrote a control field that is not looked at at each entry */
    bool checked;        /* controls and host state are valid, but for what L1 writes often */
    u32 checked_proc;    /* with these primary controls */
    u32 basic_controls;  /* of these, what vmcs02 was made with */
    bool guest_dirty;    /* L1 wrote guest state that is to be checked in full */
    bool newer_pdptes;   /* vmcs02 has PDPTEs that vmcs12 has not */
    bool new_address;    /* L2 had an EPT violation: vmcs02 has its address, vmcs12 L1's last one */
    bool event_borrowed; /* the fields of the event are among these: */
    u32 borrowed_count;
    struct borrowed_field borrowed[BORROWED_MAX]; /* given back at the exit to L1 */
    u64 last_used;                                /* counts VMPTRLDs: the lowest is evicted */
    u64 written[2]; /* pages of L1's that the hardware writes to for vmcs02; 0: none */
};

struct nested {
    bool vmxon;             /* L1 is in VMX operation */
    u64 vmxon_ptr;          /* physical address of its VMXON region */
    struct vmcs02 *current; /* NULL: no current VMCS */
    struct vmcs02 slots[VMCS02_SLOTS];
    u64 use_count;
    u64 missing_key, missing, missing_access; /* what L1 was told by an EPT violation; 0: none */
    u32 missing_table;                        /* of EPT02, where it is missing; 0: not known */
    u64 missing_epoch;                        /* l0.epoch, as long as missing_table counts */
    bool invept;                              /* executed since L2 ran last */
    u64 root_key;                             /* vmcs02_ept_key() of the root; 0: none */
    u32 root; /* of EPT02, which is not reused while it stands here; other cores read it */
    u64 overlay_key, overlay_epoch; /* of an L2 without EPT: what its overlay was built for */
    u64 overlay_pointer;
    struct overlay overlay;
    u64 vmread_bitmap_pa, vmwrite_bitmap_pa; /* merged from L0's and L1's, for L2 */
    u32 step_count;                          /* pages of hidden memory that L2 is stepping over: */
    struct overlay_page step[STEP_PAGES];
};

#endif
