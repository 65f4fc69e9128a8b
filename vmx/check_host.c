/* VM entry: checks on the host state. SDM vol. 3, "Checks on the Host State". */
#include "check.h"

#define SELECTOR_RPL_TI 7u

/*
 * Canonical is what the host's paging mode takes for it: vmcs01's next entry loads these values,
 * and must not fail on a processor that asks for no less than that mode does.
 */
static u32 linear_bits(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    return vmcs12->host_cr4 & CR4_LA57 ? caps->linear_bits : 48;
}

/* SDM vol. 3, "Checks on Host Control Registers, MSRs, and SSP". */
static bool host_registers_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 bits = linear_bits(vmcs12, caps);

    return fixed_bits_valid(vmcs12->host_cr0, caps->cr0_fixed0, caps->cr0_fixed1) &&
           fixed_bits_valid(vmcs12->host_cr4, caps->cr4_fixed0, caps->cr4_fixed1) &&
           (!(vmcs12->host_cr4 & CR4_CET) || (vmcs12->host_cr0 & CR0_WP)) &&
           !(vmcs12->host_cr3 & caps->cr3_reserved) &&
           !(not_canonical(vmcs12->host_ia32_sysenter_esp, bits) |
             not_canonical(vmcs12->host_ia32_sysenter_eip, bits) |
             not_canonical(vmcs12->host_fs_base, bits) | not_canonical(vmcs12->host_gs_base, bits));
}

/* The same section: MSRs that the VM-exit controls load. */
static bool host_msrs_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 controls = vmcs12->vm_exit_controls;
    u64 efer = vmcs12->host_ia32_efer;
    u64 mode = controls & VM_EXIT_HOST_ADDR_SPACE_SIZE ? EFER_LMA | EFER_LME : 0;

    if ((controls & VM_EXIT_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs12->host_ia32_perf_global_ctrl & caps->perf_global_reserved))
        return false;
    if ((controls & VM_EXIT_LOAD_IA32_PAT) && !pat_valid(vmcs12->host_ia32_pat))
        return false;
    if ((controls & VM_EXIT_LOAD_IA32_PKRS) && vmcs12->host_ia32_pkrs >> 32)
        return false;
    return !(controls & VM_EXIT_LOAD_IA32_EFER) ||
           (!(efer & ~EFER_VALID) && (efer & (EFER_LMA | EFER_LME)) == mode);
}

/* The same section, and "Checks Related to Address-Space Size": CET state, if loaded. */
static bool host_cet_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 bits = linear_bits(vmcs12, caps);
    u64 s_cet = vmcs12->host_ia32_s_cet, ssp = vmcs12->host_ssp;

    if (!(vmcs12->vm_exit_controls & VM_EXIT_LOAD_CET_STATE))
        return true;
    if (!(vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE) && (s_cet | ssp) >> 32)
        return false;
    return cet_valid(s_cet, ssp, vmcs12->host_intr_ssp_table, bits) &&
           !(not_canonical(s_cet, bits) | not_canonical(ssp, bits));
}

/* SDM vol. 3, "Checks on Host Segment and Descriptor-Table Registers". */
static bool host_segments_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    u32 selectors = vmcs12->host_es_selector | vmcs12->host_cs_selector | vmcs12->host_ss_selector |
                    vmcs12->host_ds_selector | vmcs12->host_fs_selector | vmcs12->host_gs_selector |
                    vmcs12->host_tr_selector;
    u32 bits = linear_bits(vmcs12, caps);

    if (selectors & SELECTOR_RPL_TI)
        return false;
    if (vmcs12->host_cs_selector == 0 || vmcs12->host_tr_selector == 0)
        return false;
    if (vmcs12->host_ss_selector == 0 && !(vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE))
        return false;
    return !(not_canonical(vmcs12->host_gdtr_base, bits) |
             not_canonical(vmcs12->host_idtr_base, bits) |
             not_canonical(vmcs12->host_tr_base, bits));
}

/* SDM vol. 3, "Checks Related to Address-Space Size". */
static bool host_address_space_valid(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    bool host_64bit = vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE;

    if (host_64bit)
        return (vmcs12->host_cr4 & CR4_PAE) &&
               !not_canonical(vmcs12->host_rip, linear_bits(vmcs12, caps));
    return !(vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE) && !(vmcs12->host_cr4 & CR4_PCIDE) &&
           !(vmcs12->host_rip >> 32);
}

static enum vm_instruction_error result(bool valid)
{
    return valid ? VMXERR_NONE : VMXERR_ENTRY_INVALID_HOST_STATE_FIELD;
}

enum vm_instruction_error check_host_state(const struct vmcs12 *vmcs12, const struct vmx_caps *caps,
                                           bool l1_long_mode)
{
    bool valid = host_registers_valid(vmcs12, caps) && host_msrs_valid(vmcs12, caps) &&
                 host_cet_valid(vmcs12, caps) && host_segments_valid(vmcs12, caps) &&
                 host_address_space_valid(vmcs12, caps);

    return result(valid && host_mode_valid(vmcs12, l1_long_mode));
}
