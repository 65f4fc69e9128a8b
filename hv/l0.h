/* What L0 is made of after start-up: the same for all cores, written by the boot core alone. */
#ifndef PLASTRON_HV_L0_H
#define PLASTRON_HV_L0_H

#include "boot_info.h"
#include "spinlock.h"
#include "types.h"
#include "../mm/ept01.h"
#include "../mm/ept02.h"
#include "../mm/memtype.h"
#include "../mm/pool.h"
#include "../vmx/capabilities.h"

/* Control words of vmcs01, and what vmcs02 has whatever L1 asks. */
struct l0_controls {
    u32 pin, proc, proc2, exit, entry;
};

struct l0 {
    struct boot_info boot;
    struct pool pool;
    u64 cr3; /* of L0's own page tables */
    struct mtrr_state mtrr;
    struct ept01 ept01;
    struct spinlock ept01_lock; /* held while ept01, mtrr or their pool change */
    u64 epoch;                  /* counts changes after which every core must INVEPT */
    u64 ept01_dropped_at;       /* the epoch that tables of EPT01 wait for to be reused */
    struct ept02 ept02;
    u64 ept01_pointer;    /* EPTP */
    struct vmx_caps hw;   /* the processor's capabilities */
    struct vmx_caps caps; /* what L1 is offered */
    struct l0_controls controls;
    u64 msr_bitmap01;                  /* physical address of vmcs01's */
    u64 vmread_bitmap, vmwrite_bitmap; /* of VMCS shadowing; 0 if the processor lacks it */
    u64 absent_fields; /* bitmap of the VMCS fields that do not exist for L1; physical address */
    u64 ones_page;     /* physical address of a page of ones: what hidden memory reads as */
    u64 sink_page;     /* of a page that takes what is written to hidden memory */
    bool has_vpid;
    bool has_shadowing;
    bool has_1g;
    bool observed;  /* the monitor or the recorder sees each exit: hv/observe.h */
    u64 hidden_cr4; /* CR4 bits that L1 may not set: features hidden from it */
};

extern struct l0 l0;

/* The VPID of L1: one that hypervisors, which count from 1, hardly use for their guests. */
#define VPID_L1 0xffffu

#endif
