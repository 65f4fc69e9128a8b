/* Rows that run a guest: a table of these is run by guest_rows(). */
#ifndef GUEST_ROWS_H
#define GUEST_ROWS_H

#include "probe.h"

#define M64       BIT(GUEST_64)
#define M32       BIT(GUEST_PAE)
#define REAL      BIT(GUEST_REAL)
#define V86       BIT(GUEST_V86)
#define USER64    BIT(GUEST_64_USER)
#define USER32    BIT(GUEST_32_USER)
#define ALL_MODES (BIT(GUEST_MODES) - 1)
#define LEGACY    (BIT(GUEST_COMPAT) | BIT(GUEST_PAE) | BIT(GUEST_32) | BIT(GUEST_FLAT))

#define NO_REGISTERS BIT(0) /* registers hold what differs from run to run */
#define EPT_ONLY     BIT(1)
#define PLAIN_ONLY   BIT(2)
/*
 * The guest touches all its memory first, so that an L0 has filled its tables in: for events whose
 * delivery Bochs does not put into the IDT-vectoring information when an EPT violation interrupts
 * it.
 */
#define TOUCHED BIT(3)

struct guest_row {
    const char *name; /* NULL: the code's */
    const char *code; /* NULL: the row's */
    u32 modes;        /* 0: M64 */
    u32 flags;
    u32 steps; /* exits to follow; 0: one */
    struct edit edits[9];
    u32 show[4]; /* fields to print at the end */
    void (*prepare)(void);
    void (*finish)(void);
};

void guest_touch(void); /* the guest touches all its memory; its VMCS is clear again after that */
void guest_rows(const char *group, const struct guest_row *rows, u32 count);
/* Runs on from exit to exit, each said, instructions skipped; ends at VMCALL or after so many. */
void guest_follow(u32 steps);

#endif
