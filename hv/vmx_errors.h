/* Why a VMX instruction failed: SDM vol. 3, "VM Instruction Error Numbers". */
#ifndef PLASTRON_HV_VMX_ERRORS_H
#define PLASTRON_HV_VMX_ERRORS_H

#include "types.h"

/* The SDM's words for a VM-instruction error that L1 can get, or NULL for another number. */
const char *vm_instruction_error_text(u32 error);

#endif
