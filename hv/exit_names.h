/* The names of the exit reasons, as VMX_EXIT_REASONS in include/vmx.h has them. */
#ifndef PLASTRON_HV_EXIT_NAMES_H
#define PLASTRON_HV_EXIT_NAMES_H

#include "types.h"

/* NULL for a basic exit reason that has none. */
const char *exit_reason_name(u32 reason);

#endif
