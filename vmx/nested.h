/*
 * The VMX of one core as L1 sees it: VMXON state, current VMCS, and the cache of vmcs02s.
 */
#ifndef PLASTRON_VMX_NESTED_H
#define PLASTRON_VMX_NESTED_H

#include "types.h"
#include "vmcs12.h"
#include "../mm/ept02.h"
#include "../mm/overlay.h"
#include "../mm/watch.h"

#define VMCS02_SLOTS_OWN 4u  /* that a core has from the start */
#define VMCS02_SLOTS_MAX 64u /* and with pages that it was given since */
#define VMCS02_HINTS     256u
#define NO_ADDRESS       (~0ull)
#define STEP_PAGES       (OVERLAY_PAGES - 1) /* hidden ones that one instruction of L2 reaches */

/* A field of vmcs02 that L1 reads and writes there, and what L1 has in it. */
struct borrowed_field {
    u32 field;
    u64 value;
};

#define BORROWED_MAX 6 /* the event's three, CR4's read shadow, the debug controls' two */

/*
 * What an exit of L2 loads into vmcs01, but for GUEST_RSP. Not all of L1's state: what VM entry has
 * checked is as it was when L1 entered L2, the read shadows of CR0 and CR4 (their masked bits), the
 * activity state and the IA-32e mode control.
 */
#define L1_HOST_SEGMENT(X, segment)                                                                \
    X(GUEST_##segment##_SELECTOR)                                                                  \
    X(GUEST_##segment##_BASE)                                                                      \
    X(GUEST_##segment##_LIMIT)                                                                     \
    X(GUEST_##segment##_AR_BYTES)
#define L1_HOST_FIELDS(X)                                                                          \
    X(GUEST_CR0)                                                                                   \
    X(GUEST_CR3)                                                                                   \
    X(GUEST_CR4)                                                                                   \
    X(GUEST_DR7)                                                                                   \
    X(GUEST_IA32_DEBUGCTL)                                                                         \
    X(GUEST_IA32_PAT)                                                                              \
    X(GUEST_SYSENTER_CS)                                                                           \
    X(GUEST_SYSENTER_ESP)                                                                          \
    X(GUEST_SYSENTER_EIP)                                                                          \
    X(GUEST_RIP)                                                                                   \
    X(GUEST_RFLAGS)                                                                                \
    X(GUEST_PENDING_DBG_EXCEPTIONS)                                                                \
    X(GUEST_GDTR_BASE)                                                                             \
    X(GUEST_GDTR_LIMIT)                                                                            \
    X(GUEST_IDTR_BASE)                                                                             \
    X(GUEST_IDTR_LIMIT)                                                                            \
    X(GUEST_ES_SELECTOR)                                                                           \
    X(GUEST_ES_AR_BYTES)                                                                           \
    L1_HOST_SEGMENT(X, CS)                                                                         \
    L1_HOST_SEGMENT(X, SS)                                                                         \
    X(GUEST_DS_SELECTOR)                                                                           \
    X(GUEST_DS_AR_BYTES)                                                                           \
    X(GUEST_FS_SELECTOR)                                                                           \
    X(GUEST_FS_BASE)                                                                               \
    X(GUEST_FS_AR_BYTES)                                                                           \
    X(GUEST_GS_SELECTOR)                                                                           \
    X(GUEST_GS_BASE)                                                                               \
    X(GUEST_GS_AR_BYTES)                                                                           \
    X(GUEST_LDTR_SELECTOR)                                                                         \
    X(GUEST_LDTR_AR_BYTES)                                                                         \
    L1_HOST_SEGMENT(X, TR)

/* The same, of which nothing is left where these segments are unusable. */
#define L1_HOST_DATA_FIELDS(X)                                                                     \
    X(GUEST_ES_BASE)                                                                               \
    X(GUEST_ES_LIMIT)                                                                              \
    X(GUEST_DS_BASE)                                                                               \
    X(GUEST_DS_LIMIT)                                                                              \
    X(GUEST_FS_LIMIT)                                                                              \
    X(GUEST_GS_LIMIT)

struct l1_host {
#define X(field) u64 field##_value;
    L1_HOST_FIELDS(X)
    L1_HOST_DATA_FIELDS(X)
#undef X
    bool has_data_segments; /* ES, DS, FS or GS is usable */
};

/*
 * A vmcs12 that is active on this core, with the vmcs02 that runs it. vmcs12 is L0's private
 * copy, but for what lives in vmcs02 (vmx/direct.h): L1's memory gets it all back at VMCLEAR,
 * eviction or VMXOFF, as from a processor's cache.
 */
struct vmcs02 {
    u64 vmcs12_pa; /* where L1 has it; NO_ADDRESS: the slot is free */
    struct vmcs12 *vmcs12;
    u64 pa;            /* of the hardware vmcs02 */
    u64 msr_bitmap_pa; /* merged from L0's and L1's, or full of ones */
    struct watch msr_bitmap_watch;
    bool msr_bitmap_full;
    bool launched;            /* the hardware's launch state of vmcs02 */
    bool prepared;            /* the fields that never change stand in vmcs02 */
    bool controls_dirty;      /* L1 wrote a control field that is not looked at at each entry */
    bool checked;             /* controls and host state are valid, but for what L1 writes often */
    u32 checked_proc;         /* with these primary controls */
    bool plain_entry;         /* as checked, an entry has none of l2_enter.c's rare things to do */
    bool plain_exit;          /* nor has an exit those of l2_exit.c and l1_host.c */
    u32 basic_controls;       /* of these, what vmcs02 was made with */
    u64 efer, entry_controls; /* what vmcs02 has of these */
    bool guest_dirty;         /* L1 wrote guest state that is to be checked in full */
    bool host_dirty;          /* L1 wrote host state or controls: host is to be made anew */
    bool newer_pdptes;        /* vmcs02 has PDPTEs that vmcs12 has not */
    bool new_address; /* L2 had an EPT violation: vmcs02 has its address, vmcs12 L1's last one */
    bool timer_lent;  /* the preemption timer's value is given back, too */
    u64 timer;
    bool event_borrowed; /* the fields of the event are among these: */
    u32 borrowed_count;
    struct borrowed_field borrowed[BORROWED_MAX]; /* given back at the exit to L1 */
    u64 last_used;                                /* counts VMPTRLDs: the lowest is evicted */
    u64 ept_key;                                  /* that of vmcs12 as EPT_POINTER has it, if */
    u32 ept_root;                                 /* this is its root; 0: it is another one */
    struct l1_host *host;
    u64 written[2]; /* pages of L1's that the hardware writes to for vmcs02; 0: none */
};

/* Where a slot and its parts lie, but for the pages that the hardware uses. */
struct vmcs02_area {
    struct vmcs02 slot;
    struct vmcs12 vmcs12;
    struct l1_host host;
};

#define VMCS02_AREA_SIZE (PAGE_SIZE / 2)
_Static_assert(sizeof(struct vmcs02_area) <= VMCS02_AREA_SIZE, "a slot's area is half a page");

struct nested {
    bool vmxon;             /* L1 is in VMX operation */
    u64 vmxon_ptr;          /* physical address of its VMXON region */
    struct vmcs02 *current; /* NULL: no current VMCS */
    struct vmcs02 *slots[VMCS02_SLOTS_MAX];
    u32 slot_count;
    u8 slot_hints[VMCS02_HINTS]; /* by the address of a vmcs12: which slot may have it */
    u64 spare_pages[3];          /* given for another slot: for vmcs02, its area, its MSR bitmap */
    u32 spare_count;
    u64 use_count;
    u64 missing_key, missing, missing_access; /* what L1 was told by an EPT violation; 0: none */
    struct ept02_gap gap;                     /* where it is missing, if that is known */
    bool invept;                              /* executed since L2 ran last */
    u64 root_key;                             /* a slot's ept_key: the root's; 0: none */
    u32 root; /* of EPT02, which is not reused while it stands here; other cores read it */
    u64 overlay_key, overlay_epoch; /* of an L2 without EPT: what its overlay was built for */
    u64 overlay_pointer;
    struct overlay overlay;
    u64 vmread_bitmap_pa, vmwrite_bitmap_pa; /* merged from L0's and L1's, for L2 */
    u64 shadow_pa;  /* of the hardware shadow VMCS that L2 reads and writes without exits */
    u32 step_count; /* pages of hidden memory that L2 is stepping over: */
    struct overlay_page step[STEP_PAGES];
};

#endif
