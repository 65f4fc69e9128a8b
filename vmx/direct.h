/*
 * The fields of a vmcs12 that live in its vmcs02 as long as the vmcs12 is active, and not in
 * struct vmcs12: with VMCS shadowing L1 reads and writes them there itself, as vmcs01's link
 * pointer names vmcs02 while L1 runs. SDM vol. 3, "VMCS Shadowing".
 */
#ifndef PLASTRON_VMX_DIRECT_H
#define PLASTRON_VMX_DIRECT_H

#include "capabilities.h"
#include "types.h"
#include "vmcs12.h"

/* What hypervisors write in many exits; L1 writes them without an exit. */
#define DIRECT_OFTEN(X)                                                                            \
    X(GUEST_RIP, guest_rip)                                                                        \
    X(GUEST_RSP, guest_rsp)                                                                        \
    X(GUEST_RFLAGS, guest_rflags)                                                                  \
    X(GUEST_CR0, guest_cr0)                                                                        \
    X(GUEST_CR3, guest_cr3)                                                                        \
    X(GUEST_CR4, guest_cr4)                                                                        \
    X(GUEST_INTERRUPTIBILITY_INFO, guest_interruptibility_info)                                    \
    X(GUEST_ACTIVITY_STATE, guest_activity_state)                                                  \
    X(GUEST_PENDING_DBG_EXCEPTIONS, guest_pending_dbg_exceptions)                                  \
    X(EXCEPTION_BITMAP, exception_bitmap)                                                          \
    X(VM_ENTRY_INTR_INFO_FIELD, vm_entry_intr_info_field)                                          \
    X(VM_ENTRY_EXCEPTION_ERROR_CODE, vm_entry_exception_error_code)                                \
    X(VM_ENTRY_INSTRUCTION_LEN, vm_entry_instruction_len)                                          \
    X(CR0_READ_SHADOW, cr0_read_shadow)                                                            \
    X(CR4_READ_SHADOW, cr4_read_shadow)                                                            \
    X(TPR_THRESHOLD, tpr_threshold)                                                                \
    X(VMX_PREEMPTION_TIMER_VALUE, vmx_preemption_timer_value)                                      \
    X(HOST_RSP, host_rsp) /* of no use to L0, nor checked by VM entry */

/* L1 writes them with an exit: what they hold is checked at the next entry. */
#define DIRECT_SELDOM(X)                                                                           \
    X(GUEST_ES_SELECTOR, guest_es_selector)                                                        \
    X(GUEST_CS_SELECTOR, guest_cs_selector)                                                        \
    X(GUEST_SS_SELECTOR, guest_ss_selector)                                                        \
    X(GUEST_DS_SELECTOR, guest_ds_selector)                                                        \
    X(GUEST_FS_SELECTOR, guest_fs_selector)                                                        \
    X(GUEST_GS_SELECTOR, guest_gs_selector)                                                        \
    X(GUEST_LDTR_SELECTOR, guest_ldtr_selector)                                                    \
    X(GUEST_TR_SELECTOR, guest_tr_selector)                                                        \
    X(GUEST_ES_LIMIT, guest_es_limit)                                                              \
    X(GUEST_CS_LIMIT, guest_cs_limit)                                                              \
    X(GUEST_SS_LIMIT, guest_ss_limit)                                                              \
    X(GUEST_DS_LIMIT, guest_ds_limit)                                                              \
    X(GUEST_FS_LIMIT, guest_fs_limit)                                                              \
    X(GUEST_GS_LIMIT, guest_gs_limit)                                                              \
    X(GUEST_LDTR_LIMIT, guest_ldtr_limit)                                                          \
    X(GUEST_TR_LIMIT, guest_tr_limit)                                                              \
    X(GUEST_GDTR_LIMIT, guest_gdtr_limit)                                                          \
    X(GUEST_IDTR_LIMIT, guest_idtr_limit)                                                          \
    X(GUEST_ES_AR_BYTES, guest_es_ar_bytes)                                                        \
    X(GUEST_CS_AR_BYTES, guest_cs_ar_bytes)                                                        \
    X(GUEST_SS_AR_BYTES, guest_ss_ar_bytes)                                                        \
    X(GUEST_DS_AR_BYTES, guest_ds_ar_bytes)                                                        \
    X(GUEST_FS_AR_BYTES, guest_fs_ar_bytes)                                                        \
    X(GUEST_GS_AR_BYTES, guest_gs_ar_bytes)                                                        \
    X(GUEST_LDTR_AR_BYTES, guest_ldtr_ar_bytes)                                                    \
    X(GUEST_TR_AR_BYTES, guest_tr_ar_bytes)                                                        \
    X(GUEST_ES_BASE, guest_es_base)                                                                \
    X(GUEST_CS_BASE, guest_cs_base)                                                                \
    X(GUEST_SS_BASE, guest_ss_base)                                                                \
    X(GUEST_DS_BASE, guest_ds_base)                                                                \
    X(GUEST_FS_BASE, guest_fs_base)                                                                \
    X(GUEST_GS_BASE, guest_gs_base)                                                                \
    X(GUEST_LDTR_BASE, guest_ldtr_base)                                                            \
    X(GUEST_TR_BASE, guest_tr_base)                                                                \
    X(GUEST_GDTR_BASE, guest_gdtr_base)                                                            \
    X(GUEST_IDTR_BASE, guest_idtr_base)                                                            \
    X(GUEST_SYSENTER_CS, guest_sysenter_cs)                                                        \
    X(GUEST_SYSENTER_ESP, guest_sysenter_esp)                                                      \
    X(GUEST_SYSENTER_EIP, guest_sysenter_eip)                                                      \
    X(GUEST_DR7, guest_dr7)                                                                        \
    X(GUEST_IA32_DEBUGCTL, guest_ia32_debugctl)                                                    \
    X(GUEST_IA32_S_CET, guest_ia32_s_cet)                                                          \
    X(GUEST_SSP, guest_ssp)                                                                        \
    X(GUEST_INTR_SSP_TABLE, guest_intr_ssp_table)                                                  \
    X(GUEST_IA32_PKRS, guest_ia32_pkrs)                                                            \
    X(GUEST_UINV, guest_uinv)                                                                      \
    X(GUEST_PML_INDEX, guest_pml_index)

/* What each exit leaves. Without VMCS shadowing it is in struct vmcs12: not every such processor
   lets L0 write it. */
#define DIRECT_INFORMATION(X)                                                                      \
    X(VM_EXIT_REASON, vm_exit_reason)                                                              \
    X(EXIT_QUALIFICATION, exit_qualification)                                                      \
    X(VM_EXIT_INTR_INFO, vm_exit_intr_info)                                                        \
    X(VM_EXIT_INTR_ERROR_CODE, vm_exit_intr_error_code)                                            \
    X(IDT_VECTORING_INFO_FIELD, idt_vectoring_info_field)                                          \
    X(IDT_VECTORING_ERROR_CODE, idt_vectoring_error_code)                                          \
    X(VM_EXIT_INSTRUCTION_LEN, vm_exit_instruction_len)                                            \
    X(VMX_INSTRUCTION_INFO, vmx_instruction_info)                                                  \
    X(GUEST_LINEAR_ADDRESS, guest_linear_address)

/* The same for EPT violations, of which L0 has its own: struct vmcs12 keeps what L1 is to see. */
#define DIRECT_ADDRESS(X) X(GUEST_PHYSICAL_ADDRESS, guest_physical_address)

#define DIRECT_FIELDS(X) DIRECT_OFTEN(X) DIRECT_SELDOM(X) DIRECT_INFORMATION(X) DIRECT_ADDRESS(X)

/* When it is known which fields L1 is offered. */
void direct_init(void);

/* Clears the bits of the fields that L1 reads or writes without an exit; all ones before. */
void direct_fill_bitmaps(u8 *vmread_bitmap, u8 *vmwrite_bitmap);

/* By FIELD_SLOT. */
#define DIRECT_LIVES_THERE BIT(0)
#define DIRECT_IS_FREQUENT BIT(1)
extern u8 direct_kind[FIELD_COUNT];

/* Whether the field lives in vmcs02. */
static inline bool direct_has(u32 encoding)
{
    return direct_kind[FIELD_SLOT(encoding)] & DIRECT_LIVES_THERE;
}

/* Whether L1 writes the field often: the checks of every entry look at it. */
static inline bool direct_is_frequent(u32 encoding)
{
    return direct_kind[FIELD_SLOT(encoding)] & DIRECT_IS_FREQUENT;
}

/* All direct fields, from struct vmcs12 to the current VMCS, and back. */
void direct_load(const struct vmcs12 *vmcs12);
void direct_save(struct vmcs12 *vmcs12);

#endif
