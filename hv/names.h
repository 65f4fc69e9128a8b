/* Names of numbers. */
#ifndef PLASTRON_HV_NAMES_H
#define PLASTRON_HV_NAMES_H

#include "types.h"

/* A table of names is one string, which needs no pointers: "NUMBER NAME\0" for each name, the
   number in decimal; the literal's own last zero ends it. Unasked, the compiler would align it
   to 32. */
#define NAMES(table) const char table[] __attribute__((aligned(1)))

/* NULL if the number has no name. */
const char *name_of(const char *table, u64 number);

/* Of a basic exit reason, without EXIT_REASON_; if there is none NULL, or "unknown". SDM vol. 3,
   "VMX Basic Exit Reasons". */
const char *exit_reason_find(u32 basic);
const char *exit_reason_name(u32 basic);

/* Of a vector: "#PF page fault", or "NMI"; "reserved exception" if it has none. SDM vol. 3,
   "Exception and Interrupt Vectors". */
const char *exception_name(u64 vector);

#endif
