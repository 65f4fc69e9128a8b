/*
 * VMCS fields, SDM vol. 3 appendix B: X(NAME, encoding, member of struct vmcs12, what it exists
 * with). The last column is a feature of vmx_features.h, or ALWAYS, PAT or EFER (either of save and
 * load): a field exists for L1 only when that is offered.
 */
#ifndef PLASTRON_VMCS_FIELDS_H
#define PLASTRON_VMCS_FIELDS_H

#define VMCS12_FIELDS(X)                                                                           \
    X(VIRTUAL_PROCESSOR_ID, 0x0000, virtual_processor_id, VPID)                                    \
    X(POSTED_INTR_NV, 0x0002, posted_intr_nv, POSTED_INTERRUPTS)                                   \
    X(EPTP_INDEX, 0x0004, eptp_index, EPT_VIOLATION_VE)                                            \
    X(GUEST_ES_SELECTOR, 0x0800, guest_es_selector, ALWAYS)                                        \
    X(GUEST_CS_SELECTOR, 0x0802, guest_cs_selector, ALWAYS)                                        \
    X(GUEST_SS_SELECTOR, 0x0804, guest_ss_selector, ALWAYS)                                        \
    X(GUEST_DS_SELECTOR, 0x0806, guest_ds_selector, ALWAYS)                                        \
    X(GUEST_FS_SELECTOR, 0x0808, guest_fs_selector, ALWAYS)                                        \
    X(GUEST_GS_SELECTOR, 0x080a, guest_gs_selector, ALWAYS)                                        \
    X(GUEST_LDTR_SELECTOR, 0x080c, guest_ldtr_selector, ALWAYS)                                    \
    X(GUEST_TR_SELECTOR, 0x080e, guest_tr_selector, ALWAYS)                                        \
    X(GUEST_INTR_STATUS, 0x0810, guest_intr_status, VIRTUAL_INTERRUPTS)                            \
    X(GUEST_PML_INDEX, 0x0812, guest_pml_index, PML)                                               \
    X(GUEST_UINV, 0x0814, guest_uinv, ENTRY_LOAD_UINV)                                             \
    X(HOST_ES_SELECTOR, 0x0c00, host_es_selector, ALWAYS)                                          \
    X(HOST_CS_SELECTOR, 0x0c02, host_cs_selector, ALWAYS)                                          \
    X(HOST_SS_SELECTOR, 0x0c04, host_ss_selector, ALWAYS)                                          \
    X(HOST_DS_SELECTOR, 0x0c06, host_ds_selector, ALWAYS)                                          \
    X(HOST_FS_SELECTOR, 0x0c08, host_fs_selector, ALWAYS)                                          \
    X(HOST_GS_SELECTOR, 0x0c0a, host_gs_selector, ALWAYS)                                          \
    X(HOST_TR_SELECTOR, 0x0c0c, host_tr_selector, ALWAYS)                                          \
    X(IO_BITMAP_A, 0x2000, io_bitmap_a, IO_BITMAPS)                                                \
    X(IO_BITMAP_B, 0x2002, io_bitmap_b, IO_BITMAPS)                                                \
    X(MSR_BITMAP, 0x2004, msr_bitmap, MSR_BITMAPS)                                                 \
    X(VM_EXIT_MSR_STORE_ADDR, 0x2006, vm_exit_msr_store_addr, ALWAYS)                              \
    X(VM_EXIT_MSR_LOAD_ADDR, 0x2008, vm_exit_msr_load_addr, ALWAYS)                                \
    X(VM_ENTRY_MSR_LOAD_ADDR, 0x200a, vm_entry_msr_load_addr, ALWAYS)                              \
    X(EXECUTIVE_VMCS_POINTER, 0x200c, exec_vmcs_pointer, ALWAYS)                                   \
    X(PML_ADDRESS, 0x200e, pml_address, PML)                                                       \
    X(TSC_OFFSET, 0x2010, tsc_offset, ALWAYS)                                                      \
    X(VIRTUAL_APIC_PAGE_ADDR, 0x2012, virtual_apic_page_addr, TPR_SHADOW)                          \
    X(APIC_ACCESS_ADDR, 0x2014, apic_access_addr, APIC_ACCESSES)                                   \
    X(POSTED_INTR_DESC_ADDR, 0x2016, posted_intr_desc_addr, POSTED_INTERRUPTS)                     \
    X(VM_FUNCTION_CONTROL, 0x2018, vm_function_control, VMFUNC)                                    \
    X(EPT_POINTER, 0x201a, ept_pointer, EPT)                                                       \
    X(EOI_EXIT_BITMAP0, 0x201c, eoi_exit_bitmap0, VIRTUAL_INTERRUPTS)                              \
    X(EOI_EXIT_BITMAP1, 0x201e, eoi_exit_bitmap1, VIRTUAL_INTERRUPTS)                              \
    X(EOI_EXIT_BITMAP2, 0x2020, eoi_exit_bitmap2, VIRTUAL_INTERRUPTS)                              \
    X(EOI_EXIT_BITMAP3, 0x2022, eoi_exit_bitmap3, VIRTUAL_INTERRUPTS)                              \
    X(EPTP_LIST_ADDRESS, 0x2024, eptp_list_address, EPTP_SWITCHING)                                \
    X(VMREAD_BITMAP, 0x2026, vmread_bitmap, VMCS_SHADOWING)                                        \
    X(VMWRITE_BITMAP, 0x2028, vmwrite_bitmap, VMCS_SHADOWING)                                      \
    X(VE_INFORMATION_ADDRESS, 0x202a, ve_information_address, EPT_VIOLATION_VE)                    \
    X(XSS_EXIT_BITMAP, 0x202c, xss_exit_bitmap, XSAVES)                                            \
    X(TSC_MULTIPLIER, 0x2032, tsc_multiplier, TSC_SCALING)                                         \
    X(GUEST_PHYSICAL_ADDRESS, 0x2400, guest_physical_address, EPT)                                 \
    X(VMCS_LINK_POINTER, 0x2800, vmcs_link_pointer, ALWAYS)                                        \
    X(GUEST_IA32_DEBUGCTL, 0x2802, guest_ia32_debugctl, ALWAYS)                                    \
    X(GUEST_IA32_PAT, 0x2804, guest_ia32_pat, PAT)                                                 \
    X(GUEST_IA32_EFER, 0x2806, guest_ia32_efer, EFER)                                              \
    X(GUEST_IA32_PERF_GLOBAL_CTRL, 0x2808, guest_ia32_perf_global_ctrl, ENTRY_LOAD_PERF_GLOBAL)    \
    X(GUEST_PDPTR0, 0x280a, guest_pdptr0, EPT)                                                     \
    X(GUEST_PDPTR1, 0x280c, guest_pdptr1, EPT)                                                     \
    X(GUEST_PDPTR2, 0x280e, guest_pdptr2, EPT)                                                     \
    X(GUEST_PDPTR3, 0x2810, guest_pdptr3, EPT)                                                     \
    X(GUEST_IA32_PKRS, 0x2818, guest_ia32_pkrs, ENTRY_LOAD_PKRS)                                   \
    X(HOST_IA32_PAT, 0x2c00, host_ia32_pat, EXIT_LOAD_PAT)                                         \
    X(HOST_IA32_EFER, 0x2c02, host_ia32_efer, EXIT_LOAD_EFER)                                      \
    X(HOST_IA32_PERF_GLOBAL_CTRL, 0x2c04, host_ia32_perf_global_ctrl, EXIT_LOAD_PERF_GLOBAL)       \
    X(HOST_IA32_PKRS, 0x2c06, host_ia32_pkrs, EXIT_LOAD_PKRS)                                      \
    X(PIN_BASED_VM_EXEC_CONTROL, 0x4000, pin_based_vm_exec_control, ALWAYS)                        \
    X(CPU_BASED_VM_EXEC_CONTROL, 0x4002, cpu_based_vm_exec_control, ALWAYS)                        \
    X(EXCEPTION_BITMAP, 0x4004, exception_bitmap, ALWAYS)                                          \
    X(PAGE_FAULT_ERROR_CODE_MASK, 0x4006, page_fault_error_code_mask, ALWAYS)                      \
    X(PAGE_FAULT_ERROR_CODE_MATCH, 0x4008, page_fault_error_code_match, ALWAYS)                    \
    X(CR3_TARGET_COUNT, 0x400a, cr3_target_count, ALWAYS)                                          \
    X(VM_EXIT_CONTROLS, 0x400c, vm_exit_controls, ALWAYS)                                          \
    X(VM_EXIT_MSR_STORE_COUNT, 0x400e, vm_exit_msr_store_count, ALWAYS)                            \
    X(VM_EXIT_MSR_LOAD_COUNT, 0x4010, vm_exit_msr_load_count, ALWAYS)                              \
    X(VM_ENTRY_CONTROLS, 0x4012, vm_entry_controls, ALWAYS)                                        \
    X(VM_ENTRY_MSR_LOAD_COUNT, 0x4014, vm_entry_msr_load_count, ALWAYS)                            \
    X(VM_ENTRY_INTR_INFO_FIELD, 0x4016, vm_entry_intr_info_field, ALWAYS)                          \
    X(VM_ENTRY_EXCEPTION_ERROR_CODE, 0x4018, vm_entry_exception_error_code, ALWAYS)                \
    X(VM_ENTRY_INSTRUCTION_LEN, 0x401a, vm_entry_instruction_len, ALWAYS)                          \
    X(TPR_THRESHOLD, 0x401c, tpr_threshold, TPR_SHADOW)                                            \
    X(SECONDARY_VM_EXEC_CONTROL, 0x401e, secondary_vm_exec_control, SECONDARY_CONTROLS)            \
    X(PLE_GAP, 0x4020, ple_gap, PAUSE_LOOP_EXITING)                                                \
    X(PLE_WINDOW, 0x4022, ple_window, PAUSE_LOOP_EXITING)                                          \
    X(VM_INSTRUCTION_ERROR, 0x4400, vm_instruction_error, ALWAYS)                                  \
    X(VM_EXIT_REASON, 0x4402, vm_exit_reason, ALWAYS)                                              \
    X(VM_EXIT_INTR_INFO, 0x4404, vm_exit_intr_info, ALWAYS)                                        \
    X(VM_EXIT_INTR_ERROR_CODE, 0x4406, vm_exit_intr_error_code, ALWAYS)                            \
    X(IDT_VECTORING_INFO_FIELD, 0x4408, idt_vectoring_info_field, ALWAYS)                          \
    X(IDT_VECTORING_ERROR_CODE, 0x440a, idt_vectoring_error_code, ALWAYS)                          \
    X(VM_EXIT_INSTRUCTION_LEN, 0x440c, vm_exit_instruction_len, ALWAYS)                            \
    X(VMX_INSTRUCTION_INFO, 0x440e, vmx_instruction_info, ALWAYS)                                  \
    X(GUEST_ES_LIMIT, 0x4800, guest_es_limit, ALWAYS)                                              \
    X(GUEST_CS_LIMIT, 0x4802, guest_cs_limit, ALWAYS)                                              \
    X(GUEST_SS_LIMIT, 0x4804, guest_ss_limit, ALWAYS)                                              \
    X(GUEST_DS_LIMIT, 0x4806, guest_ds_limit, ALWAYS)                                              \
    X(GUEST_FS_LIMIT, 0x4808, guest_fs_limit, ALWAYS)                                              \
    X(GUEST_GS_LIMIT, 0x480a, guest_gs_limit, ALWAYS)                                              \
    X(GUEST_LDTR_LIMIT, 0x480c, guest_ldtr_limit, ALWAYS)                                          \
    X(GUEST_TR_LIMIT, 0x480e, guest_tr_limit, ALWAYS)                                              \
    X(GUEST_GDTR_LIMIT, 0x4810, guest_gdtr_limit, ALWAYS)                                          \
    X(GUEST_IDTR_LIMIT, 0x4812, guest_idtr_limit, ALWAYS)                                          \
    X(GUEST_ES_AR_BYTES, 0x4814, guest_es_ar_bytes, ALWAYS)                                        \
    X(GUEST_CS_AR_BYTES, 0x4816, guest_cs_ar_bytes, ALWAYS)                                        \
    X(GUEST_SS_AR_BYTES, 0x4818, guest_ss_ar_bytes, ALWAYS)                                        \
    X(GUEST_DS_AR_BYTES, 0x481a, guest_ds_ar_bytes, ALWAYS)                                        \
    X(GUEST_FS_AR_BYTES, 0x481c, guest_fs_ar_bytes, ALWAYS)                                        \
    X(GUEST_GS_AR_BYTES, 0x481e, guest_gs_ar_bytes, ALWAYS)                                        \
    X(GUEST_LDTR_AR_BYTES, 0x4820, guest_ldtr_ar_bytes, ALWAYS)                                    \
    X(GUEST_TR_AR_BYTES, 0x4822, guest_tr_ar_bytes, ALWAYS)                                        \
    X(GUEST_INTERRUPTIBILITY_INFO, 0x4824, guest_interruptibility_info, ALWAYS)                    \
    X(GUEST_ACTIVITY_STATE, 0x4826, guest_activity_state, ALWAYS)                                  \
    X(GUEST_SMBASE, 0x4828, guest_smbase, ALWAYS)                                                  \
    X(GUEST_SYSENTER_CS, 0x482a, guest_sysenter_cs, ALWAYS)                                        \
    X(VMX_PREEMPTION_TIMER_VALUE, 0x482e, vmx_preemption_timer_value, PREEMPTION_TIMER)            \
    X(HOST_IA32_SYSENTER_CS, 0x4c00, host_ia32_sysenter_cs, ALWAYS)                                \
    X(CR0_GUEST_HOST_MASK, 0x6000, cr0_guest_host_mask, ALWAYS)                                    \
    X(CR4_GUEST_HOST_MASK, 0x6002, cr4_guest_host_mask, ALWAYS)                                    \
    X(CR0_READ_SHADOW, 0x6004, cr0_read_shadow, ALWAYS)                                            \
    X(CR4_READ_SHADOW, 0x6006, cr4_read_shadow, ALWAYS)                                            \
    X(CR3_TARGET_VALUE0, 0x6008, cr3_target_value0, ALWAYS)                                        \
    X(CR3_TARGET_VALUE1, 0x600a, cr3_target_value1, ALWAYS)                                        \
    X(CR3_TARGET_VALUE2, 0x600c, cr3_target_value2, ALWAYS)                                        \
    X(CR3_TARGET_VALUE3, 0x600e, cr3_target_value3, ALWAYS)                                        \
    X(EXIT_QUALIFICATION, 0x6400, exit_qualification, ALWAYS)                                      \
    X(IO_RCX, 0x6402, io_rcx, ALWAYS)                                                              \
    X(IO_RSI, 0x6404, io_rsi, ALWAYS)                                                              \
    X(IO_RDI, 0x6406, io_rdi, ALWAYS)                                                              \
    X(IO_RIP, 0x6408, io_rip, ALWAYS)                                                              \
    X(GUEST_LINEAR_ADDRESS, 0x640a, guest_linear_address, ALWAYS)                                  \
    X(GUEST_CR0, 0x6800, guest_cr0, ALWAYS)                                                        \
    X(GUEST_CR3, 0x6802, guest_cr3, ALWAYS)                                                        \
    X(GUEST_CR4, 0x6804, guest_cr4, ALWAYS)                                                        \
    X(GUEST_ES_BASE, 0x6806, guest_es_base, ALWAYS)                                                \
    X(GUEST_CS_BASE, 0x6808, guest_cs_base, ALWAYS)                                                \
    X(GUEST_SS_BASE, 0x680a, guest_ss_base, ALWAYS)                                                \
    X(GUEST_DS_BASE, 0x680c, guest_ds_base, ALWAYS)                                                \
    X(GUEST_FS_BASE, 0x680e, guest_fs_base, ALWAYS)                                                \
    X(GUEST_GS_BASE, 0x6810, guest_gs_base, ALWAYS)                                                \
    X(GUEST_LDTR_BASE, 0x6812, guest_ldtr_base, ALWAYS)                                            \
    X(GUEST_TR_BASE, 0x6814, guest_tr_base, ALWAYS)                                                \
    X(GUEST_GDTR_BASE, 0x6816, guest_gdtr_base, ALWAYS)                                            \
    X(GUEST_IDTR_BASE, 0x6818, guest_idtr_base, ALWAYS)                                            \
    X(GUEST_DR7, 0x681a, guest_dr7, ALWAYS)                                                        \
    X(GUEST_RSP, 0x681c, guest_rsp, ALWAYS)                                                        \
    X(GUEST_RIP, 0x681e, guest_rip, ALWAYS)                                                        \
    X(GUEST_RFLAGS, 0x6820, guest_rflags, ALWAYS)                                                  \
    X(GUEST_PENDING_DBG_EXCEPTIONS, 0x6822, guest_pending_dbg_exceptions, ALWAYS)                  \
    X(GUEST_SYSENTER_ESP, 0x6824, guest_sysenter_esp, ALWAYS)                                      \
    X(GUEST_SYSENTER_EIP, 0x6826, guest_sysenter_eip, ALWAYS)                                      \
    X(GUEST_IA32_S_CET, 0x6828, guest_ia32_s_cet, ENTRY_LOAD_CET)                                  \
    X(GUEST_SSP, 0x682a, guest_ssp, ENTRY_LOAD_CET)                                                \
    X(GUEST_INTR_SSP_TABLE, 0x682c, guest_intr_ssp_table, ENTRY_LOAD_CET)                          \
    X(HOST_CR0, 0x6c00, host_cr0, ALWAYS)                                                          \
    X(HOST_CR3, 0x6c02, host_cr3, ALWAYS)                                                          \
    X(HOST_CR4, 0x6c04, host_cr4, ALWAYS)                                                          \
    X(HOST_FS_BASE, 0x6c06, host_fs_base, ALWAYS)                                                  \
    X(HOST_GS_BASE, 0x6c08, host_gs_base, ALWAYS)                                                  \
    X(HOST_TR_BASE, 0x6c0a, host_tr_base, ALWAYS)                                                  \
    X(HOST_GDTR_BASE, 0x6c0c, host_gdtr_base, ALWAYS)                                              \
    X(HOST_IDTR_BASE, 0x6c0e, host_idtr_base, ALWAYS)                                              \
    X(HOST_IA32_SYSENTER_ESP, 0x6c10, host_ia32_sysenter_esp, ALWAYS)                              \
    X(HOST_IA32_SYSENTER_EIP, 0x6c12, host_ia32_sysenter_eip, ALWAYS)                              \
    X(HOST_RSP, 0x6c14, host_rsp, ALWAYS)                                                          \
    X(HOST_RIP, 0x6c16, host_rip, ALWAYS)                                                          \
    X(HOST_IA32_S_CET, 0x6c18, host_ia32_s_cet, EXIT_LOAD_CET)                                     \
    X(HOST_SSP, 0x6c1a, host_ssp, EXIT_LOAD_CET)                                                   \
    X(HOST_INTR_SSP_TABLE, 0x6c1c, host_intr_ssp_table, EXIT_LOAD_CET)

/* Fields that L0 uses in its own VMCSs and never offers to L1. */
#define VMCS_L0_FIELDS(X) X(PCONFIG_EXITING_BITMAP, 0x203e)

enum vmcs_field {
#define X(name, encoding, member, needs) name = encoding,
    VMCS12_FIELDS(X)
#undef X
#define X(name, encoding) name = encoding,
        VMCS_L0_FIELDS(X)
#undef X
};

/* The parts of an encoding, SDM vol. 3 appendix B. */
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
enum vmcs_type { VMCS_TYPE_CONTROL, VMCS_TYPE_READ_ONLY, VMCS_TYPE_GUEST, VMCS_TYPE_HOST };

#define VMCS_FIELD_HIGH(encoding)  (1 & (encoding))
#define VMCS_FIELD_INDEX(encoding) (((encoding) >> 1) & 0x1ff)
#define VMCS_FIELD_TYPE(encoding)  (((encoding) >> 10) & 3)
#define VMCS_FIELD_WIDTH(encoding) (((encoding) >> 13) & 3)
#define VMCS_FIELD_RESERVED        0xffff9000u

#endif
