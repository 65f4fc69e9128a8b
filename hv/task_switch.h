/*
 * A task switch as the processor makes it outside IA-32e mode: SDM vol. 3, "Task Management".
 * Plain functions over struct task_state and L1's memory, reached through L1's paging.
 *
 * What the processor has checked before the VM exit ("Treatment of Task Switches") is checked
 * again but for the privilege of the gate or descriptor: memory may have changed meanwhile.
 */
#ifndef PLASTRON_HV_TASK_SWITCH_H
#define PLASTRON_HV_TASK_SWITCH_H

#include "segments.h"
#include "types.h"
#include "../mm/walk.h"
#include "../vmx/capabilities.h"

/* Exit qualification of a task switch: the selector and what tried it. */
#define TASK_SWITCH_SELECTOR     0xffffull
#define TASK_SWITCH_SOURCE_SHIFT 30
enum task_switch_source { TASK_SWITCH_CALL, TASK_SWITCH_IRET, TASK_SWITCH_JMP, TASK_SWITCH_GATE };

struct task_switch {
    u16 selector; /* of the new TSS */
    enum task_switch_source source;
    u32 event;      /* IDT-vectoring information with TASK_SWITCH_GATE, else 0 */
    u32 error_code; /* that the event has, by INTR_INFO_DELIVER_CODE_MASK */
    const struct vmx_caps *caps;
};

/* The task's registers, hidden parts of the segments included. */
struct task_state {
    u32 gpr[8]; /* by register number, as the TSS has them */
    u32 eip;    /* before the switch: what the old task continues at */
    u32 eflags;
    u64 dr7;
    struct segment segment[SEG_COUNT];
    struct descriptor_table gdtr;
    struct walk_context paging; /* CR0, CR3, CR4, PDPTEs */
};

struct task_fault {
    u32 vector;
    u32 error_code;
    u64 address; /* of a #PF */
};

struct task_result {
    bool switched;   /* else the state is unchanged: a fault is the old task's */
    bool faulted;    /* fault is due: before the first instruction of the new task if switched */
    bool debug_trap; /* the T flag of the new TSS: #DB with DR6.BT */
    struct task_fault fault;
};

/* The state becomes the new task's; memory is changed as by the processor. */
struct task_result task_switch(const struct task_switch *request, struct task_state *state);

/* The vector due for a fault during the delivery of an event (0: none): the fault's own or #DF.
   SDM vol. 3, "Interrupt 8 - Double Fault Exception". */
#define VECTOR_SHUTDOWN 256u
u32 combined_vector(u32 event, u32 vector);

/* True if the event, by its interruption type, is that of an instruction, which EIP is then
   behind. */
bool event_is_software(u32 event);

#endif
