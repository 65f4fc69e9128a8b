#include "vmx_errors.h"

#define ERROR_MAX 28

/* One behind the other, from 1 to ERROR_MAX. Empty: the SDM has none of this number, or it belongs
   to the dual-monitor treatment of SMIs, which L1 is not offered. */
static const char texts[] = "VMCALL executed in VMX root operation\0"
                            "VMCLEAR with invalid physical address\0"
                            "VMCLEAR with VMXON pointer\0"
                            "VMLAUNCH with non-clear VMCS\0"
                            "VMRESUME with non-launched VMCS\0"
                            "VMRESUME after VMXOFF\0"
                            "VM entry with invalid control field(s)\0"
                            "VM entry with invalid host-state field(s)\0"
                            "VMPTRLD with invalid physical address\0"
                            "VMPTRLD with VMXON pointer\0"
                            "VMPTRLD with incorrect VMCS revision identifier\0"
                            "VMREAD/VMWRITE from/to unsupported VMCS component\0"
                            "VMWRITE to read-only VMCS component\0"
                            "\0"
                            "VMXON executed in VMX root operation\0"
                            "\0\0\0\0\0\0\0\0\0\0"
                            "VM entry with events blocked by MOV SS\0"
                            "\0"
                            "Invalid operand to INVEPT/INVVPID\0";

const char *vm_instruction_error_text(u32 error)
{
    const char *text = texts;

    if (!error || error > ERROR_MAX)
        return NULL;
    while (--error)
        while (*text++)
            ;
    return *text ? text : NULL;
}
