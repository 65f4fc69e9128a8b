#include "shadow_vmcs.h"

#include "capabilities.h"
#include "vmcs02.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/panic.h"
#include "../hv/vmcs.h"

/* What KVM and Xen read and write in every exit, and exists on every processor with shadowing. */
#define WRITTEN(X)                                                                                 \
    HOT_GUEST(X)                                                                                   \
    X(CPU_BASED_VM_EXEC_CONTROL, cpu_based_vm_exec_control)                                        \
    X(EXCEPTION_BITMAP, exception_bitmap)                                                          \
    X(VM_ENTRY_INTR_INFO_FIELD, vm_entry_intr_info_field)                                          \
    X(VM_ENTRY_EXCEPTION_ERROR_CODE, vm_entry_exception_error_code)                                \
    X(VM_ENTRY_INSTRUCTION_LEN, vm_entry_instruction_len)                                          \
    X(CR0_READ_SHADOW, cr0_read_shadow)                                                            \
    X(CR4_READ_SHADOW, cr4_read_shadow)                                                            \
    X(HOST_FS_BASE, host_fs_base)                                                                  \
    X(HOST_GS_BASE, host_gs_base)

#define ONLY_READ(X)                                                                               \
    X(VM_EXIT_REASON, vm_exit_reason)                                                              \
    X(EXIT_QUALIFICATION, exit_qualification)                                                      \
    X(VM_EXIT_INTR_INFO, vm_exit_intr_info)                                                        \
    X(VM_EXIT_INTR_ERROR_CODE, vm_exit_intr_error_code)                                            \
    X(IDT_VECTORING_INFO_FIELD, idt_vectoring_info_field)                                          \
    X(IDT_VECTORING_ERROR_CODE, idt_vectoring_error_code)                                          \
    X(VM_EXIT_INSTRUCTION_LEN, vm_exit_instruction_len)                                            \
    X(VMX_INSTRUCTION_INFO, vmx_instruction_info)                                                  \
    X(GUEST_LINEAR_ADDRESS, guest_linear_address)                                                  \
    X(GUEST_PHYSICAL_ADDRESS, guest_physical_address)                                              \
    X(GUEST_CS_AR_BYTES, guest_cs_ar_bytes)                                                        \
    X(GUEST_SS_AR_BYTES, guest_ss_ar_bytes)

/* Which of the others exist: TPR_THRESHOLD, VMX_PREEMPTION_TIMER_VALUE, and GUEST_PML_INDEX, which
   is only read. */
static bool has_tpr_threshold, has_timer, has_pml_index;

static void clear_bit(u8 *bitmap, u32 bit) { bitmap[bit / 8] &= (u8)~BIT(bit % 8); }

/* True if L1 is offered the field: it need not exit for that any more. */
static bool let(u32 field, u8 *vmread_bitmap, u8 *vmwrite_bitmap)
{
    if (!field_exists(&l0.caps, field))
        return false;
    clear_bit(vmread_bitmap, field);
    if (vmwrite_bitmap)
        clear_bit(vmwrite_bitmap, field);
    return true;
}

void shadow_vmcs_init(u8 *vmread_bitmap, u8 *vmwrite_bitmap)
{
#define X(field, member) let(field, vmread_bitmap, vmwrite_bitmap);
    WRITTEN(X)
#undef X
#define X(field, member) let(field, vmread_bitmap, NULL);
    ONLY_READ(X)
#undef X
    has_tpr_threshold = let(TPR_THRESHOLD, vmread_bitmap, vmwrite_bitmap);
    has_timer = let(VMX_PREEMPTION_TIMER_VALUE, vmread_bitmap, vmwrite_bitmap);
    has_pml_index = let(GUEST_PML_INDEX, vmread_bitmap, NULL);
}

bool shadow_vmcs_writes(u32 encoding)
{
    switch (encoding & ~1u) {
#define X(field, member) case field:
        WRITTEN(X)
#undef X
    case TPR_THRESHOLD:
    case VMX_PREEMPTION_TIMER_VALUE: return true;
    default: return false;
    }
}

bool shadow_vmcs_has(u32 encoding)
{
    switch (encoding & ~1u) {
#define X(field, member) case field:
        ONLY_READ(X)
#undef X
    case GUEST_PML_INDEX: return true;
    default: return shadow_vmcs_writes(encoding);
    }
}

/* VMREAD and VMWRITE by L1 see the region's data, which a VMCLEAR brings there. */
static void leave_shadow(const struct cpu *cpu, const struct vmcs02 *slot)
{
    if (!vmclear(slot->shadow_pa))
        panic("VMCLEAR of a shadow VMCS failed");
    vmcs_switch(cpu->vmcs01_pa);
}

void shadow_vmcs_load(struct cpu *cpu, const struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!l0.has_shadowing)
        return;
    vmcs_switch(slot->shadow_pa);
#define X(field, member) vmwrite_basic(field, vmcs12->member);
    WRITTEN(X)
    ONLY_READ(X)
#undef X
    if (has_tpr_threshold)
        vmwrite(TPR_THRESHOLD, vmcs12->tpr_threshold);
    if (has_timer)
        vmwrite(VMX_PREEMPTION_TIMER_VALUE, vmcs12->vmx_preemption_timer_value);
    if (has_pml_index)
        vmwrite(GUEST_PML_INDEX, vmcs12->guest_pml_index);
    leave_shadow(cpu, slot);
}

void shadow_vmcs_store(struct cpu *cpu, const struct vmcs02 *slot)
{
    struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!l0.has_shadowing)
        return;
    vmcs_switch(slot->shadow_pa);
#define X(field, member) vmcs12->member = (__typeof__(vmcs12->member))vmread_basic(field);
    WRITTEN(X)
#undef X
    if (has_tpr_threshold)
        vmcs12->tpr_threshold = vmread32(TPR_THRESHOLD);
    if (has_timer)
        vmcs12->vmx_preemption_timer_value = vmread32(VMX_PREEMPTION_TIMER_VALUE);
    leave_shadow(cpu, slot);
}
