/* What a VM-instruction error number means. */
#ifndef PLASTRON_HV_VMX_ERRORS_H
#define PLASTRON_HV_VMX_ERRORS_H

#include "types.h"

/* The text of SDM vol. 3, "VM Instruction Error Numbers"; NULL for a number that is not there. */
const char *vm_instruction_error_text(u32 error);

#endif
