/* Start-up of L0 on a core. */
#ifndef PLASTRON_HV_START_H
#define PLASTRON_HV_START_H

#include "boot_info.h"

/* Builds what all cores share: page tables, EPT01, capabilities, each core's memory. Called by
   the boot core on the loader's stack and page table. */
enum l0_error start_shared(const struct l0_call *call);

/* The top of the stack that start_cpu is to run on, 0 if the call names no prepared core. */
u64 start_stack(const struct l0_call *call);

/* Takes the calling core into VMX operation, launches L1 where the call says, and returns only
   if that fails, with everything as it was. */
enum l0_error start_cpu(const struct l0_call *call);

#endif
