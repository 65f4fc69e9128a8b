/*
 * One core: all that L0 knows of it. Reached by GS base while L0 runs. Grouped by who may touch:
 * a core writes only its own, but for the fields marked shared.
 */
#ifndef PLASTRON_HV_CPU_H
#define PLASTRON_HV_CPU_H

#include "boot_info.h"
#include "observe.h"
#include "segments.h"
#include "types.h"
#include "../mm/memtype.h"
#include "vmx.h"
#include "../vmx/nested.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

#define CPU_STACK_SIZE     0x2000ull
#define CPU_IST_STACK_SIZE 0x1000ull
enum { IST_NMI = 1, IST_MACHINE_CHECK = 2, IST_DOUBLE_FAULT = 3, IST_COUNT = 3 };

/* L0's reasons to run one instruction of the guest and exit. */
#define STEP_EVENT  BIT(0) /* an NMI or INIT can be given to the guest after it */
#define STEP_HIDDEN BIT(1) /* it reaches hidden memory: hv/hidden.h */

struct cpu {
    /* For assembly: offsets are asserted in start.c. */
    struct cpu *self;
    u64 gpr[16];              /* the guest's registers while L0 runs; RSP's is in the VMCS */
    u64 stack_top;            /* of the stack that VM exits run on */
    volatile u64 nmi_pending; /* an NMI came while L0 ran; it is L1's (or L2's) */

    u32 index;
    u32 apic_id;

    /* vmcs01 and L1. */
    u64 vmxon_pa, vmcs01_pa;
    bool launched01;
    bool in_l2;       /* vmcs02 is current, L2 ran last */
    bool nmi_waiting; /* nmi_pending, taken over but not injected yet */
    bool loads_cet;   /* the next entry loads CET state */
    u32 step;         /* why the monitor trap flag is on: STEP_* */

    /* Shared. */
    u64 epoch;           /* l0.epoch of this core's last INVEPT of all contexts */
    bool walks_ept02;    /* hv/epoch.h */
    bool kicked;         /* another core's L0 sent an INIT to make this one exit */
    bool started;        /* in VMX operation */
    bool waits_for_sipi; /* runs nothing, and blocks INIT */
    bool steps_on_ept01; /* runs on an EPT with copies of EPT01's entries: hv/hidden.c */
    bool init_pending;   /* an INIT came while L1's VMX operation blocks it */
    bool sipi_taken;     /* since the last INIT */
    u32 sipi_question;   /* to the boot core: hv/sipi.c */

    struct mtrr_state mtrr; /* as L1 sees them; the hardware's stay as the firmware set them */

    struct nested nested;
    struct observer observer;
    struct recorder *recorder;

    /* Counters; read by other cores. */
    u64 exits_l1[EXIT_REASON_COUNT];
    u64 exits_l2[EXIT_REASON_COUNT];
    u64 hidden_reads, hidden_writes;

    struct gdt_tss descriptors __attribute__((aligned(16)));
};

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;

    __asm__("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* By index, cpu_count of them; NULL before the core has been prepared. */
extern struct cpu *cpus[MAX_CPUS];
extern u32 cpu_count;

#endif
