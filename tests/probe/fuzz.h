/*
 * What the parts of the fuzzer share. A block is a sequence of VM entries that follows from a seed
 * and the block's number alone. It has several VMCSs, more than Plastron caches, each with guest
 * memory of its own; L1 changes their fields and the guests' code, enters, looks at what came out,
 * and goes on from there.
 *
 * A guest must neither leave its memory nor depend on time: fuzz_contain() sees to that.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "probe.h"

#define FUZZ_SLOTS 6
/* Those with EPT, whose memory is in the 2 MiB at PAGE_FUZZ_2M; the others have none. */
#define FUZZ_EPT_SLOTS 4

enum fuzz_page {
    PAGE_FUZZ_VMCS = PAGE_FUZZ,
    PAGE_FUZZ_BAD_REVISION = PAGE_FUZZ_VMCS + FUZZ_SLOTS,
    PAGE_FUZZ_VE, /* #VE information */
    PAGE_FUZZ_EPTP_LIST,
    PAGE_FUZZ_EPT = PAGE_FUZZ_EPTP_LIST + 2,
    PAGE_FUZZ_PLAIN = PAGE_FUZZ_EPT + 8 * FUZZ_EPT_SLOTS,
};

struct fuzz_slot {
    bool built;                           /* it has a guest */
    bool launched;                        /* VMRESUME is due */
    bool controls_changed, stack_changed; /* and fuzz_contain() has not looked at them */
    u32 failures;                         /* entries that failed, one after the other */
    enum guest_mode mode;
    u32 flags;
};

extern struct fuzz_slot fuzz_slots[FUZZ_SLOTS];
extern u32 fuzz_slot; /* the current one */

/* ---- rows_fuzz.c ---- */

u64 fuzz_random(void);
u32 fuzz_below(u32 limit);
static inline bool fuzz_one_in(u32 n) { return fuzz_below(n) == 0; }
u64 fuzz_value(void); /* an interesting one */

/* ---- fuzz_code.c: what guests execute ---- */

/* Puts a random sequence of instructions at L2_CODE. */
void fuzz_make_code(void);
/* Registers to start it with. */
void fuzz_make_registers(void);
/* MSRs that a guest may read and write without harm. */
extern const u32 fuzz_msrs[];
extern const u32 fuzz_msr_count;

/* ---- fuzz_guest.c ---- */

#define FUZZ_MSR_LIST_MAX 3 /* entries of an MSR area */
#define FUZZ_PAT          0x0007040600070406ull

/* A new guest in the current slot. */
void fuzz_make_guest(void);
void fuzz_select(u32 slot);
bool fuzz_has_ept(void);         /* the current slot's guest */
u64 fuzz_other_eptp(u64 eptp);   /* the one that the guest may switch to */
void fuzz_make_structures(void); /* bitmaps, MSR areas, virtual-APIC page */
void fuzz_change_ept_entry(void);

/* ---- fuzz_state.c: changes of the VMCS ---- */

u32 fuzz_known_control(u32 field); /* a bit, at random */
/* What was changed since the last entry: software has to invalidate what may be cached. */
extern bool fuzz_paging_changed, fuzz_ept_changed;
/* Changes up to n fields at random; fuzz_undo() puts back what they were. */
void fuzz_change_fields(u32 n);
void fuzz_undo(void);
void fuzz_change_memory(void); /* code, bitmaps, MSR areas, EPT */

/* ---- fuzz_contain.c ---- */

/* Mends what would let the guest out, or make its result depend on time or on a known fault of the
   emulator; and invalidates what the processor may have cached of what was changed. */
void fuzz_contain(void);

/* ---- fuzz_outcome.c ---- */

extern u64 fuzz_hash;
extern bool fuzz_shown; /* print what is hashed */
void fuzz_note(const char *name, u64 value);
enum fuzz_end {
    FUZZ_EXITED,
    FUZZ_FAILED,   /* no guest ran */
    FUZZ_WATCHDOG, /* where the guest was stopped depends on what else took time */
};
enum fuzz_end fuzz_note_entry(void);
void fuzz_note_memory(void); /* of all guests */

#endif
