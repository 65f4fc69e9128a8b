/* VM entry: checks on the VMX controls. SDM vol. 3, "Checks on VMX Controls". */
#include "check.h"

#include "../mm/phys.h"

#define VAPIC_TPR           0x80u
#define MSR_ENTRY_SIZE      16u
#define INSTRUCTION_LEN_MAX 15u
#define INTR_INFO_RESERVED  0x7ffff000u

/* The vectors that push an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define ERROR_CODE_VECTORS                                                                         \
    (BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) |          \
     BIT(VECTOR_PF) | BIT(VECTOR_AC))

#define VMX_BASIC_ANY_ERROR_CODE        BIT64(56)
#define EPT_CAP_SUPERVISOR_SHADOW_STACK BIT64(23)
#define EPTP_SUPERVISOR_SHADOW_STACK    BIT64(7)
#define EPTP_RESERVED                   0xf00ull

/* "VM-Execution Control Fields": allowed 0- and 1-settings, CR3 targets. */
static bool execution_words_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u64 cr3_targets = (caps->misc & VMX_MISC_CR3_TARGETS) >> VMX_MISC_CR3_TARGETS_SHIFT;

    return controls_allowed(vmcs12->pin_based_vm_exec_control, caps->true_pin) &&
           controls_allowed(vmcs12->cpu_based_vm_exec_control, caps->true_proc) &&
           controls_allowed(vmcs12_secondary(vmcs12), caps->proc2) &&
           vmcs12->cr3_target_count <= cr3_targets;
}

/* "VM-Execution Control Fields": I/O, MSR, VMREAD and VMWRITE bitmaps. */
static bool bitmaps_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 proc = vmcs12->cpu_based_vm_exec_control;

    if ((proc & CPU_BASED_USE_IO_BITMAPS) && (!page_address_valid(caps, vmcs12->io_bitmap_a) ||
                                              !page_address_valid(caps, vmcs12->io_bitmap_b)))
        return false;
    if ((proc & CPU_BASED_USE_MSR_BITMAPS) && !page_address_valid(caps, vmcs12->msr_bitmap))
        return false;
    return !(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_SHADOW_VMCS) ||
           (page_address_valid(caps, vmcs12->vmread_bitmap) &&
            page_address_valid(caps, vmcs12->vmwrite_bitmap));
}

/* "VM-Execution Control Fields": virtual-APIC page and TPR threshold, with a TPR shadow. */
static bool tpr_shadow_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    return !(vmcs12->cpu_based_vm_exec_control & CPU_BASED_TPR_SHADOW) ||
           page_address_valid(caps, vmcs12->virtual_apic_page_addr);
}

static bool tpr_threshold_valid(const struct vmcs12 *vmcs12)
{
    u32 proc2, vtpr;

    if (vmcs12->tpr_threshold == 0 || !(vmcs12->cpu_based_vm_exec_control & CPU_BASED_TPR_SHADOW))
        return true;
    proc2 = vmcs12_secondary(vmcs12);
    if (proc2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        return true;
    if (vmcs12->tpr_threshold & ~0xfu)
        return false;
    if (proc2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
        return true;
    vtpr = phys_read32(vmcs12->virtual_apic_page_addr + VAPIC_TPR);
    return vmcs12->tpr_threshold <= (vtpr >> 4 & 0xf);
}

/* "VM-Execution Control Fields": the parts of APIC virtualization and what they need. */
static bool apic_virtualization_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    const u32 need_tpr_shadow = SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |
                                SECONDARY_EXEC_APIC_REGISTER_VIRT |
                                SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
    u32 proc2 = vmcs12_secondary(vmcs12);

    if (!(vmcs12->cpu_based_vm_exec_control & CPU_BASED_TPR_SHADOW) && (proc2 & need_tpr_shadow))
        return false;
    if (proc2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) {
        if (proc2 & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
            return false;
        if (!page_address_valid(caps, vmcs12->apic_access_addr))
            return false;
    }
    return !(proc2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) ||
           (vmcs12->pin_based_vm_exec_control & PIN_BASED_EXT_INTR_MASK);
}

/* "VM-Execution Control Fields": posted interrupts. */
static bool posted_interrupts_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    if (!(vmcs12->pin_based_vm_exec_control & PIN_BASED_POSTED_INTR))
        return true;
    return (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) &&
           (vmcs12->vm_exit_controls & VM_EXIT_ACK_INTR_ON_EXIT) &&
           vmcs12->posted_intr_nv <= 0xff && !(vmcs12->posted_intr_desc_addr & 0x3f) &&
           address_in_width(caps, vmcs12->posted_intr_desc_addr);
}

/* "VM-Execution Control Fields": virtual NMIs need NMI exiting, their window needs them. */
static bool nmi_controls_valid(const struct vmcs12 *vmcs12)
{
    u32 pin = vmcs12->pin_based_vm_exec_control;

    if ((pin & PIN_BASED_VIRTUAL_NMIS) && !(pin & PIN_BASED_NMI_EXITING))
        return false;
    return (pin & PIN_BASED_VIRTUAL_NMIS) ||
           !(vmcs12->cpu_based_vm_exec_control & CPU_BASED_VIRTUAL_NMI_PENDING);
}

/* SDM vol. 3, "Extended-Page-Table Pointer (EPTP)". */
bool eptp_valid(u64 eptp, const struct vmx_caps *caps)
{
    u64 type = eptp & EPTP_MEMORY_TYPE;
    u64 walk = eptp & EPTP_WALK_LENGTH;

    if (!(type == MT_WB && (caps->ept_vpid & EPT_CAP_WB)) &&
        !(type == MT_UC && (caps->ept_vpid & EPT_CAP_UC)))
        return false;
    if (!(walk == EPTP_WALK_LENGTH_4 && (caps->ept_vpid & EPT_CAP_4_LEVEL)) &&
        !(walk == EPTP_WALK_LENGTH_5 && (caps->ept_vpid & EPT_CAP_5_LEVEL)))
        return false;
    if ((eptp & EPTP_AD) && !(caps->ept_vpid & EPT_CAP_AD))
        return false;
    if ((eptp & EPTP_SUPERVISOR_SHADOW_STACK) &&
        !(caps->ept_vpid & EPT_CAP_SUPERVISOR_SHADOW_STACK))
        return false;
    return !(eptp & EPTP_RESERVED) && address_in_width(caps, eptp);
}

/* "VM-Execution Control Fields": EPT and what needs it, VPID. */
static bool translation_controls_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 proc2 = vmcs12_secondary(vmcs12);

    if ((proc2 & SECONDARY_EXEC_ENABLE_VPID) && vmcs12->virtual_processor_id == 0)
        return false;
    if (proc2 & SECONDARY_EXEC_ENABLE_EPT)
        return eptp_valid(vmcs12->ept_pointer, caps);
    return !(proc2 & (SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_MODE_BASED_EPT_EXEC));
}

/* "VM-Execution Control Fields": page-modification logging. */
static bool pml_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 proc2 = vmcs12_secondary(vmcs12);

    return !(proc2 & SECONDARY_EXEC_ENABLE_PML) ||
           ((proc2 & SECONDARY_EXEC_ENABLE_EPT) && page_address_valid(caps, vmcs12->pml_address));
}

/* "VM-Execution Control Fields": the virtualization-exception information area. */
static bool virtualization_exceptions_valid(const struct vmcs12 *vmcs12,
                                            const struct vmx_caps *caps)
{
    return !(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_EPT_VIOLATION_VE) ||
           page_address_valid(caps, vmcs12->ve_information_address);
}

/* "VM-Execution Control Fields": VM functions, and the list of the one there is. */
static bool vm_functions_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 proc2 = vmcs12_secondary(vmcs12);

    if (!(proc2 & SECONDARY_EXEC_ENABLE_VMFUNC))
        return true;
    if (vmcs12->vm_function_control & ~caps->vmfunc)
        return false;
    return !(vmcs12->vm_function_control & VMFUNC_EPTP_SWITCHING) ||
           ((proc2 & SECONDARY_EXEC_ENABLE_EPT) &&
            page_address_valid(caps, vmcs12->eptp_list_address));
}

/* "VM-Execution Control Fields": a multiplier of 0 is no clock. */
static bool tsc_scaling_valid(const struct vmcs12 *vmcs12)
{
    return !(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_TSC_SCALING) || vmcs12->tsc_multiplier != 0;
}

/* An MSR-store or MSR-load area; one of no entries has no address. */
static bool msr_area_valid(const struct vmx_caps *caps, u32 count, u64 addr)
{
    u64 last = addr + (u64)count * MSR_ENTRY_SIZE - 1;

    if (count == 0)
        return true;
    return !(addr & (MSR_ENTRY_SIZE - 1)) && address_in_width(caps, addr) &&
           address_in_width(caps, last);
}

/* "VM-Exit Control Fields" */
static bool exit_controls_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    if (!controls_allowed(vmcs12->vm_exit_controls, caps->true_exit))
        return false;
    if ((vmcs12->vm_exit_controls & VM_EXIT_SAVE_PREEMPTION_TIMER) &&
        !(vmcs12->pin_based_vm_exec_control & PIN_BASED_PREEMPTION_TIMER))
        return false;
    return msr_area_valid(caps, vmcs12->vm_exit_msr_store_count, vmcs12->vm_exit_msr_store_addr) &&
           msr_area_valid(caps, vmcs12->vm_exit_msr_load_count, vmcs12->vm_exit_msr_load_addr);
}

/* "VM-Entry Control Fields": whether the type exists, and has such a vector. */
static bool event_vector_valid(u32 info, const struct vmx_caps *caps)
{
    u32 vector = info & INTR_INFO_VECTOR_MASK;

    switch (info & INTR_INFO_INTR_TYPE_MASK) {
    case INTR_TYPE_EXT_INTR:
    case INTR_TYPE_SOFT_INTR:
    case INTR_TYPE_PRIV_SW_EXCEPTION:
    case INTR_TYPE_SOFT_EXCEPTION: return true;
    case INTR_TYPE_NMI: return vector == VECTOR_NMI;
    case INTR_TYPE_EXCEPTION: return vector < 32;
    case INTR_TYPE_OTHER:
        return vector == 0 && (caps->true_proc >> 32 & CPU_BASED_MONITOR_TRAP_FLAG);
    default: return false;
    }
}

/* "VM-Entry Control Fields": whether an error code must, may or must not be delivered. */
static bool event_error_code_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 info = vmcs12->vm_entry_intr_info_field;
    bool deliver = info & INTR_INFO_DELIVER_CODE_MASK;
    bool exception = (info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_EXCEPTION;
    bool real_mode = (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_UNRESTRICTED_GUEST) &&
                     !(vmcs12->guest_cr0 & CR0_PE);

    if (deliver && (vmcs12->vm_entry_exception_error_code & 0xffff0000u))
        return false;
    if (!exception || real_mode)
        return !deliver;
    if (caps->basic & VMX_BASIC_ANY_ERROR_CODE)
        return true;
    return deliver == (bool)(ERROR_CODE_VECTORS >> (info & 31) & 1);
}

/* "VM-Entry Control Fields": events that an instruction causes have that instruction's length. */
static bool event_length_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 length = vmcs12->vm_entry_instruction_len;

    switch (vmcs12->vm_entry_intr_info_field & INTR_INFO_INTR_TYPE_MASK) {
    case INTR_TYPE_SOFT_INTR:
    case INTR_TYPE_PRIV_SW_EXCEPTION:
    case INTR_TYPE_SOFT_EXCEPTION:
        return length <= INSTRUCTION_LEN_MAX &&
               (length > 0 || (caps->misc & VMX_MISC_ZERO_LENGTH_INJECTION));
    default: return true;
    }
}

/* "VM-Entry Control Fields": the event to inject. */
static bool event_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 info = vmcs12->vm_entry_intr_info_field;

    if (!(info & INTR_INFO_VALID_MASK))
        return true;
    return !(info & INTR_INFO_RESERVED) && event_vector_valid(info, caps) &&
           event_error_code_valid(vmcs12, caps) && event_length_valid(vmcs12, caps);
}

/* "VM-Entry Control Fields". L1 is never in SMM here, so that the two SMM controls must be 0. */
static bool entry_controls_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    return controls_allowed(vmcs12->vm_entry_controls, caps->true_entry) &&
           !(vmcs12->vm_entry_controls & (VM_ENTRY_SMM | VM_ENTRY_DEACT_DUAL_MONITOR)) &&
           msr_area_valid(caps, vmcs12->vm_entry_msr_load_count, vmcs12->vm_entry_msr_load_addr);
}

static enum vm_instruction_error result(bool valid)
{
    return valid ? VMXERR_NONE : VMXERR_ENTRY_INVALID_CONTROL_FIELD;
}

enum vm_instruction_error check_frequent_controls(const struct vmcs12 *vmcs12,
                                                  const struct vmx_caps *caps)
{
    return result(event_valid(vmcs12, caps) && tpr_threshold_valid(vmcs12));
}

enum vm_instruction_error check_controls(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    bool valid = execution_words_valid(vmcs12, caps) && bitmaps_valid(vmcs12, caps) &&
                 tpr_shadow_valid(vmcs12, caps) && apic_virtualization_valid(vmcs12, caps) &&
                 posted_interrupts_valid(vmcs12, caps) && nmi_controls_valid(vmcs12) &&
                 translation_controls_valid(vmcs12, caps) && pml_valid(vmcs12, caps) &&
                 virtualization_exceptions_valid(vmcs12, caps) &&
                 vm_functions_valid(vmcs12, caps) && tsc_scaling_valid(vmcs12) &&
                 exit_controls_valid(vmcs12, caps) && entry_controls_valid(vmcs12, caps);

    return valid ? check_frequent_controls(vmcs12, caps) : result(false);
}
