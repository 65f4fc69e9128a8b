#include "shadow_vmcs.h"

#include "capabilities.h"
#include "vmcs02.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/panic.h"
#include "../hv/vmcs.h"

/* What KVM and Xen read and write in every exit. */
static const u16 written[] = {
    GUEST_RIP,
    GUEST_RSP,
    GUEST_RFLAGS,
    GUEST_CR0,
    GUEST_CR3,
    GUEST_CR4,
    GUEST_INTERRUPTIBILITY_INFO,
    GUEST_ACTIVITY_STATE,
    GUEST_PENDING_DBG_EXCEPTIONS,
    CPU_BASED_VM_EXEC_CONTROL,
    EXCEPTION_BITMAP,
    VM_ENTRY_INTR_INFO_FIELD,
    VM_ENTRY_EXCEPTION_ERROR_CODE,
    VM_ENTRY_INSTRUCTION_LEN,
    TPR_THRESHOLD,
    VMX_PREEMPTION_TIMER_VALUE,
    CR0_READ_SHADOW,
    CR4_READ_SHADOW,
    HOST_FS_BASE,
    HOST_GS_BASE,
};

static const u16 only_read[] = {
    VM_EXIT_REASON,          EXIT_QUALIFICATION,       VM_EXIT_INTR_INFO,
    VM_EXIT_INTR_ERROR_CODE, IDT_VECTORING_INFO_FIELD, IDT_VECTORING_ERROR_CODE,
    VM_EXIT_INSTRUCTION_LEN, VMX_INSTRUCTION_INFO,     GUEST_LINEAR_ADDRESS,
    GUEST_PHYSICAL_ADDRESS,  GUEST_CS_AR_BYTES,        GUEST_SS_AR_BYTES,
    GUEST_PML_INDEX,
};

/* Those of them that exist: first the ones that are written. */
static struct shadow_field {
    u16 encoding;
    const struct field_info *info;
} shadowed[ARRAY_SIZE(written) + ARRAY_SIZE(only_read)];
static u32 written_count, shadowed_count;

static void clear_bit(u8 *bitmap, u32 bit) { bitmap[bit / 8] &= (u8)~BIT(bit % 8); }

static void add_fields(const u16 *fields, u32 count, u8 *bitmap)
{
    for (u32 i = 0; i < count; i++)
        if (field_exists(&l0.caps, fields[i])) {
            clear_bit(bitmap, fields[i]);
            shadowed[shadowed_count++] = (struct shadow_field){fields[i], field_lookup(fields[i])};
        }
}

void shadow_vmcs_init(u8 *vmread_bitmap, u8 *vmwrite_bitmap)
{
    add_fields(written, ARRAY_SIZE(written), vmwrite_bitmap);
    written_count = shadowed_count;
    add_fields(only_read, ARRAY_SIZE(only_read), vmread_bitmap);
    for (u32 i = 0; i < written_count; i++)
        clear_bit(vmread_bitmap, shadowed[i].encoding);
}

bool shadow_vmcs_has(u32 encoding)
{
    for (u32 i = 0; i < shadowed_count; i++)
        if (shadowed[i].encoding == (encoding & ~1u))
            return true;
    return false;
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
    if (!l0.has_shadowing)
        return;
    vmcs_switch(slot->shadow_pa);
    for (u32 i = 0; i < shadowed_count; i++)
        vmwrite(shadowed[i].encoding, vmcs12_get(slot->vmcs12, shadowed[i].info, false));
    leave_shadow(cpu, slot);
}

void shadow_vmcs_store(struct cpu *cpu, struct vmcs02 *slot)
{
    u32 control = slot->vmcs12->cpu_based_vm_exec_control;

    if (!l0.has_shadowing)
        return;
    vmcs_switch(slot->shadow_pa);
    for (u32 i = 0; i < written_count; i++)
        vmcs12_set(slot->vmcs12, shadowed[i].info, false, vmread(shadowed[i].encoding));
    leave_shadow(cpu, slot);
    /* Addresses and other controls in vmcs02 depend on these. */
    if ((control ^ slot->vmcs12->cpu_based_vm_exec_control) &
        (CPU_BASED_USE_IO_BITMAPS | CPU_BASED_TPR_SHADOW | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
        slot->controls_dirty = true;
}
