/*
 * vmcs12: the VMCS that L1 builds for L2, as it lies in L1's memory. The layout up to byte 920 is
 * the documented guest-visible ABI (vmcs12.tsv; every offset is asserted at build time). A
 * documented field never moves; later ones stand behind it. To L1 all but revision_id and abort
 * is opaque. Change VMCS12_REVISION whenever anything here changes.
 */
#ifndef PLASTRON_VMCS12_H
#define PLASTRON_VMCS12_H

#include "types.h"
#include "vmcs_fields.h"

#define VMCS12_REVISION 0x504c5306u /* "PLS", version 6 */
#define VMCS12_SHADOW   BIT(31)     /* the shadow-VMCS indicator, in the revision's word */

typedef u64 natural_width;

struct vmcs12 {
    u32 revision_id;
    u32 abort;        /* the VMX-abort indicator */
    u32 launch_state; /* set to 0 by VMCLEAR, to 1 by VMLAUNCH */
    u32 padding[7];
    u64 io_bitmap_a;
    u64 io_bitmap_b;
    u64 msr_bitmap;
    u64 vm_exit_msr_store_addr;
    u64 vm_exit_msr_load_addr;
    u64 vm_entry_msr_load_addr;
    u64 tsc_offset;
    u64 virtual_apic_page_addr;
    u64 apic_access_addr;
    u64 ept_pointer;
    u64 guest_physical_address;
    u64 vmcs_link_pointer;
    u64 guest_ia32_debugctl;
    u64 guest_ia32_pat;
    u64 guest_ia32_efer;
    u64 guest_pdptr0;
    u64 guest_pdptr1;
    u64 guest_pdptr2;
    u64 guest_pdptr3;
    u64 host_ia32_pat;
    u64 host_ia32_efer;
    u64 padding64[8];
    natural_width cr0_guest_host_mask;
    natural_width cr4_guest_host_mask;
    natural_width cr0_read_shadow;
    natural_width cr4_read_shadow;
    natural_width cr3_target_value0;
    natural_width cr3_target_value1;
    natural_width cr3_target_value2;
    natural_width cr3_target_value3;
    natural_width exit_qualification;
    natural_width guest_linear_address;
    natural_width guest_cr0;
    natural_width guest_cr3;
    natural_width guest_cr4;
    natural_width guest_es_base;
    natural_width guest_cs_base;
    natural_width guest_ss_base;
    natural_width guest_ds_base;
    natural_width guest_fs_base;
    natural_width guest_gs_base;
    natural_width guest_ldtr_base;
    natural_width guest_tr_base;
    natural_width guest_gdtr_base;
    natural_width guest_idtr_base;
    natural_width guest_dr7;
    natural_width guest_rsp;
    natural_width guest_rip;
    natural_width guest_rflags;
    natural_width guest_pending_dbg_exceptions;
    natural_width guest_sysenter_esp;
    natural_width guest_sysenter_eip;
    natural_width host_cr0;
    natural_width host_cr3;
    natural_width host_cr4;
    natural_width host_fs_base;
    natural_width host_gs_base;
    natural_width host_tr_base;
    natural_width host_gdtr_base;
    natural_width host_idtr_base;
    natural_width host_ia32_sysenter_esp;
    natural_width host_ia32_sysenter_eip;
    natural_width host_rsp;
    natural_width host_rip;
    natural_width paddingl[8];
    u32 pin_based_vm_exec_control;
    u32 cpu_based_vm_exec_control;
    u32 exception_bitmap;
    u32 page_fault_error_code_mask;
    u32 page_fault_error_code_match;
    u32 cr3_target_count;
    u32 vm_exit_controls;
    u32 vm_exit_msr_store_count;
    u32 vm_exit_msr_load_count;
    u32 vm_entry_controls;
    u32 vm_entry_msr_load_count;
    u32 vm_entry_intr_info_field;
    u32 vm_entry_exception_error_code;
    u32 vm_entry_instruction_len;
    u32 tpr_threshold;
    u32 secondary_vm_exec_control;
    u32 vm_instruction_error;
    u32 vm_exit_reason;
    u32 vm_exit_intr_info;
    u32 vm_exit_intr_error_code;
    u32 idt_vectoring_info_field;
    u32 idt_vectoring_error_code;
    u32 vm_exit_instruction_len;
    u32 vmx_instruction_info;
    u32 guest_es_limit;
    u32 guest_cs_limit;
    u32 guest_ss_limit;
    u32 guest_ds_limit;
    u32 guest_fs_limit;
    u32 guest_gs_limit;
    u32 guest_ldtr_limit;
    u32 guest_tr_limit;
    u32 guest_gdtr_limit;
    u32 guest_idtr_limit;
    u32 guest_es_ar_bytes;
    u32 guest_cs_ar_bytes;
    u32 guest_ss_ar_bytes;
    u32 guest_ds_ar_bytes;
    u32 guest_fs_ar_bytes;
    u32 guest_gs_ar_bytes;
    u32 guest_ldtr_ar_bytes;
    u32 guest_tr_ar_bytes;
    u32 guest_interruptibility_info;
    u32 guest_activity_state;
    u32 guest_sysenter_cs;
    u32 host_ia32_sysenter_cs;
    u32 padding32[8];
    u16 virtual_processor_id;
    u16 guest_es_selector;
    u16 guest_cs_selector;
    u16 guest_ss_selector;
    u16 guest_ds_selector;
    u16 guest_fs_selector;
    u16 guest_gs_selector;
    u16 guest_ldtr_selector;
    u16 guest_tr_selector;
    u16 host_es_selector;
    u16 host_cs_selector;
    u16 host_ss_selector;
    u16 host_ds_selector;
    u16 host_fs_selector;
    u16 host_gs_selector;
    u16 host_tr_selector;

    /* Behind the documented layout, from byte 920 on. */
    u64 exec_vmcs_pointer;
    u64 posted_intr_desc_addr;
    u64 eoi_exit_bitmap0;
    u64 eoi_exit_bitmap1;
    u64 eoi_exit_bitmap2;
    u64 eoi_exit_bitmap3;
    u64 xss_exit_bitmap;
    u64 tsc_multiplier;
    u64 guest_ia32_perf_global_ctrl;
    u64 host_ia32_perf_global_ctrl;
    u64 vmread_bitmap;
    u64 vmwrite_bitmap;
    natural_width io_rcx;
    natural_width io_rsi;
    natural_width io_rdi;
    natural_width io_rip;
    u32 ple_gap;
    u32 ple_window;
    u32 guest_smbase;
    u32 vmx_preemption_timer_value;
    u16 posted_intr_nv;
    u16 guest_intr_status;
    u16 guest_pml_index;
    u16 eptp_index;
    u64 pml_address;
    u64 ve_information_address;
    u64 vm_function_control;
    u64 eptp_list_address;
    natural_width guest_ia32_s_cet;
    natural_width guest_ssp;
    natural_width guest_intr_ssp_table;
    natural_width host_ia32_s_cet;
    natural_width host_ssp;
    natural_width host_intr_ssp_table;
    u64 guest_ia32_pkrs;
    u64 host_ia32_pkrs;
    u16 guest_uinv;
} __attribute__((packed, aligned(8)));

_Static_assert(sizeof(struct vmcs12) <= PAGE_SIZE, "a vmcs12 fits into its region");

#define VMCS12_REGION_SIZE 4096u

#endif
