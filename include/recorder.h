/*
 * The flight recorder: per core a ring of the last events, in L0's memory. Written through
 * hv/recorder.h; read by the monitor, by a panic, and from a dump of memory by tools/trace, which
 * finds each ring by its magic string. The next record goes to record[written % RECORDER_RECORDS].
 */
#ifndef PLASTRON_RECORDER_H
#define PLASTRON_RECORDER_H

#include "types.h"

enum record_kind {
    RECORD_NONE,         /* not complete: a reader passes it over */
    RECORD_EXIT,         /* a VM exit, from its start to the VM entry behind it */
    RECORD_VMFAIL,       /* a VMX instruction of L1 failed: reason is its exit's, qualification the
                            VM-instruction error, 0 for VMfailInvalid; address: that of the current
                            vmcs12, ~0 if there is none */
    RECORD_ENTRY_FAILED, /* of L2, with exit reason 33 or 34 and the qualification; address: the
                            vmcs12's */
    RECORD_ABORT,        /* VMX abort: qualification is the indicator */
    RECORD_INIT,         /* L1's core was reset */
    RECORD_SIPI,         /* and started: qualification is the vector */
    RECORD_HIDDEN,       /* access to hidden memory at address */
    RECORD_DEVIATION,    /* L1 ran into a deviation from the SDM: address is that of L0's text */
    RECORD_KINDS
};

/* Flags. */
#define RECORD_FROM_L2 0x01u /* L2 ran before */
#define RECORD_TO_L2   0x02u /* L2 runs next: with FROM_L2, the exit was L0's own */
#define RECORD_WRITE   0x04u /* HIDDEN: a write */

struct record {
    u64 tsc;           /* at the exit, or the event; ticks of the time-stamp counter */
    u64 rip;           /* of the guest */
    u64 qualification; /* EXIT: the exit qualification */
    u64 address;       /* EXIT: the guest-physical address of an EPT violation or misconfiguration,
                          ECX of RDMSR and WRMSR, EAX of CPUID, the vmcs12's of L1's VMLAUNCH and
                          VMRESUME; else 0 */
    union {
        struct {
            u32 ticks;  /* EXIT: in L0; 0: it is still there; ~0: so many or more */
            u16 reason; /* basic exit reason */
            u8 kind;    /* enum record_kind, written last */
            u8 flags;
        };
        u64 end; /* all of these, for a reader on another core */
    };
};

#define RECORDER_MAGIC   "PLASTRON-TRACE"
#define RECORDER_SIZE    (2 * PAGE_SIZE)
#define RECORDER_RECORDS ((RECORDER_SIZE - 40) / sizeof(struct record))

struct recorder {
    char magic[16];
    u32 core;
    u16 record_size; /* bytes */
    u16 records;     /* of the ring */
    u64 written;     /* since the start */
    s64 next;        /* where the next record goes: bytes from the ring's end, negative */
    struct record record[RECORDER_RECORDS];
};

_Static_assert(sizeof(struct record) == 40, "tools/trace reads it");
_Static_assert(offsetof(struct recorder, record) == 40, "tools/trace reads it");
_Static_assert(sizeof(struct recorder) <= RECORDER_SIZE, "a ring is two pages");

#endif
