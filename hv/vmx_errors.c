#include "vmx_errors.h"
#include "names.h"

static NAMES(texts) = "1 VMCALL executed in VMX root operation\0"
                      "2 VMCLEAR with invalid physical address\0"
                      "3 VMCLEAR with VMXON pointer\0"
                      "4 VMLAUNCH with non-clear VMCS\0"
                      "5 VMRESUME with non-launched VMCS\0"
                      "6 VMRESUME after VMXOFF\0"
                      "7 VM entry with invalid control field(s)\0"
                      "8 VM entry with invalid host-state field(s)\0"
                      "9 VMPTRLD with invalid physical address\0"
                      "10 VMPTRLD with VMXON pointer\0"
                      "11 VMPTRLD with incorrect VMCS revision identifier\0"
                      "12 VMREAD/VMWRITE from/to unsupported VMCS component\0"
                      "13 VMWRITE to read-only VMCS component\0"
                      "15 VMXON executed in VMX root operation\0"
                      "16 VM entry with invalid executive-VMCS pointer\0"
                      "17 VM entry with non-launched executive VMCS\0"
                      "18 VM entry with executive-VMCS pointer not VMXON pointer\0"
                      "19 VMCALL with non-clear VMCS\0"
                      "20 VMCALL with invalid VM-exit control fields\0"
                      "22 VMCALL with incorrect MSEG revision identifier\0"
                      "23 VMXOFF under dual-monitor treatment of SMIs and SMM\0"
                      "24 VMCALL with invalid SMM-monitor features\0"
                      "25 VM entry with invalid VM-execution control fields in executive VMCS\0"
                      "26 VM entry with events blocked by MOV SS\0"
                      "28 Invalid operand to INVEPT/INVVPID\0";

const char *vm_instruction_error_text(u32 error)
{
    const char *text = name_of(texts, error);

    return text ? text : "unknown error";
}
