/*
 * A guest's linear addresses, followed to L1's physical ones: through the guest's paging, and
 * through EPT12 if it is an L2 that has one. For what runs on the guest's core; nothing is changed.
 */
#ifndef PLASTRON_HV_MONITOR_LINEAR_H
#define PLASTRON_HV_MONITOR_LINEAR_H

#include "guest.h"
#include "../../mm/inspect.h"

struct linear_space {
    u32 level;
    struct walk_context paging;
    bool has_ept;
    struct inspect_space physical; /* with EPT */
};

/* Those of a guest that exists, as they are now. */
void linear_find(struct cpu *cpu, u32 level, struct linear_space *space);

/* To the guest's own physical address: as inspect_linear(). */
void linear_walk(const struct linear_space *space, u64 linear, struct inspection *way);

/* From there to L1's: as inspect_ept12(), or without EPT the same address with all rights. */
void linear_leave_ept(const struct linear_space *space, u64 ngpa, struct inspection *way12);

/* Both. False if the address leads nowhere: why says so, "not mapped: not present at level 2". */
bool linear_to_gpa(const struct linear_space *space, u64 linear, u64 *gpa,
                   char why[INSPECT_WORDS_MAX]);

/* Why a way has ended, of the tables named. */
#define LINEAR_BY_PAGING ""
#define LINEAR_BY_EPT12  " by EPT12"
void linear_end_words(const char *tables, const struct inspection *way,
                      char why[INSPECT_WORDS_MAX]);

#endif
