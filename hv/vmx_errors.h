/* What a VM-instruction error number means. */
#ifndef PLASTRON_HV_VMX_ERRORS_H
#define PLASTRON_HV_VMX_ERRORS_H

#include "types.h"

/* SDM vol. 3, "VM Instruction Error Numbers", its text; "unknown error" for a number that is not
   there. */
const char *vm_instruction_error_text(u32 error);

#endif
