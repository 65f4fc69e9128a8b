#include "vmcs02.h"

#include "bitmaps.h"
#include "capabilities.h"
#include "check.h"
#include "direct.h"
#include "lib.h"
#include "shadow12.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/msr.h"
#include "../hv/panic.h"
#include "../hv/trap.h"
#include "../hv/vmcs.h"
#include "../hv/vmcs01.h"
#include "../mm/ept02.h"
#include "../mm/phys.h"

/* In struct vmcs02, of what is in the VMCS: no such values are ever wanted. */
#define UNKNOWN (~0ull)

/* Controls that vmcs02 takes as they are, and the feature they exist with. */
static const u16 plain_controls[] = {
    PAGE_FAULT_ERROR_CODE_MASK,
    PAGE_FAULT_ERROR_CODE_MATCH,
    CR3_TARGET_COUNT,
    CR0_GUEST_HOST_MASK,
    PLE_GAP,
    PLE_WINDOW,
    EOI_EXIT_BITMAP0,
    EOI_EXIT_BITMAP1,
    EOI_EXIT_BITMAP2,
    EOI_EXIT_BITMAP3,
    POSTED_INTR_NV,
    XSS_EXIT_BITMAP,
    TSC_MULTIPLIER,
    APIC_ACCESS_ADDR,
    VIRTUAL_PROCESSOR_ID,
};

void vmcs_switch(u64 pa)
{
    if (!vmptrld(pa))
        panic("VMPTRLD of L0's own VMCS at %#lx failed", pa);
}

void vmcs_init_region(u64 pa, bool shadow)
{
    *(u32 *)pool_va(pa) = (u32)(l0.hw.basic & VMX_BASIC_REVISION) | (shadow ? VMCS_SHADOW : 0);
}

void vmcs_clear(u64 pa)
{
    if (!vmclear(pa))
        panic("VMCLEAR of L0's own VMCS at %#lx failed", pa);
}

/* The indicator may be changed while the VMCS is not active. SDM vol. 3, "VMCS Types: Ordinary and
   Shadow". */
void vmcs02_enter(struct vmcs02 *slot)
{
    if (l0.has_shadowing) {
        u32 *revision = pool_va(slot->pa);

        vmcs_clear(slot->pa);
        *revision &= ~VMCS_SHADOW;
        slot->launched = false;
    }
    vmcs_switch(slot->pa);
}

void vmcs02_leave(const struct cpu *cpu, const struct vmcs02 *slot)
{
    if (l0.has_shadowing) {
        u32 *revision = pool_va(slot->pa);

        vmcs_clear(slot->pa);
        *revision |= VMCS_SHADOW;
    }
    vmcs_switch(cpu->vmcs01_pa);
}

static void borrow(struct vmcs02 *slot, u32 field)
{
    slot->borrowed[slot->borrowed_count++] = (struct borrowed_field){field, vmread(field)};
}

void vmcs02_borrow_event(struct vmcs02 *slot)
{
    bool waits = vmread(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK;

    if (slot->event_borrowed || waits)
        return;
    slot->event_borrowed = true;
    borrow(slot, VM_ENTRY_INTR_INFO_FIELD);
    borrow(slot, VM_ENTRY_EXCEPTION_ERROR_CODE);
    borrow(slot, VM_ENTRY_INSTRUCTION_LEN);
}

void vmcs02_give_back_borrowed(struct vmcs02 *slot)
{
    while (slot->borrowed_count) {
        const struct borrowed_field *last = &slot->borrowed[--slot->borrowed_count];

        vmwrite(last->field, last->value);
    }
    slot->event_borrowed = false;
}

struct l1_state vmcs02_read_l1_state(const struct vmcs12 *vmcs12)
{
    u32 entry = vmcs12->vm_entry_controls;
    struct l1_state l1 = {.efer = vmread_basic(GUEST_IA32_EFER)};

    if (!(entry & VM_ENTRY_LOAD_IA32_PAT))
        l1.pat = vmread(GUEST_IA32_PAT);
    if (!(entry & VM_ENTRY_LOAD_DEBUG_CONTROLS)) {
        l1.debugctl = vmread(GUEST_IA32_DEBUGCTL);
        l1.dr7 = vmread(GUEST_DR7);
    }
    return l1;
}

static u64 field_get(const struct vmcs12 *vmcs12, u32 field)
{
    return vmcs12_get(vmcs12, field_lookup(field), false);
}

static void copy_in(const struct vmcs12 *vmcs12, const u16 *fields, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (field_exists(&l0.caps, fields[i]))
            vmwrite(fields[i], field_get(vmcs12, fields[i]));
}

#define POSTED_INTR_DESC_SIZE 64u

/* A page of L1's that the hardware is to read, or to write. What is hidden from L1 reads as ones
   and takes no writes. */
static u64 page_to_read(u64 pa) { return phys_is_hidden(pa, PAGE_SIZE) ? l0.ones_page : pa; }
static u64 to_write(u64 pa, u64 size) { return phys_is_hidden(pa, size) ? l0.sink_page : pa; }

static void load_addresses(struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    u32 proc = vmcs12->cpu_based_vm_exec_control;
    u64 apic = 0, posted = 0;

    if (proc & CPU_BASED_USE_IO_BITMAPS) {
        vmwrite(IO_BITMAP_A, page_to_read(vmcs12->io_bitmap_a));
        vmwrite(IO_BITMAP_B, page_to_read(vmcs12->io_bitmap_b));
    }
    if (proc & CPU_BASED_TPR_SHADOW) {
        apic = to_write(vmcs12->virtual_apic_page_addr, PAGE_SIZE);
        vmwrite(VIRTUAL_APIC_PAGE_ADDR, apic);
    }
    if (vmcs12->pin_based_vm_exec_control & PIN_BASED_POSTED_INTR) {
        posted = to_write(vmcs12->posted_intr_desc_addr, POSTED_INTR_DESC_SIZE);
        vmwrite(POSTED_INTR_DESC_ADDR, posted);
    }
    ept02_set_written(&l0.ept02, &slot->written[0], apic);
    ept02_set_written(&l0.ept02, &slot->written[1], align_down(posted, PAGE_SIZE));
}

/* Secondary controls whose work L0 does when it fills EPT02 in: vmx/ept_violation.c. */
#define EMULATED_SECONDARY (SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_EPT_VIOLATION_VE)

/* vmcs02's control words but for the primary one, which changes all the time. */
static void load_control_words(const struct vmcs12 *vmcs12)
{
    const struct l0_controls *own = &l0.controls;
    u32 pin = vmcs12->pin_based_vm_exec_control;
    u32 secondary = vmcs12_secondary(vmcs12) & ~EMULATED_SECONDARY;
    u32 exit = own->exit | (vmcs12->vm_exit_controls & VM_EXIT_ACK_INTR_ON_EXIT);

    /* An exit that L0 handles must not lose what is left of the timer. */
    if (pin & PIN_BASED_PREEMPTION_TIMER)
        exit |= VM_EXIT_SAVE_PREEMPTION_TIMER;
    vmwrite(PIN_BASED_VM_EXEC_CONTROL, pin | own->pin);
    vmwrite(SECONDARY_VM_EXEC_CONTROL, secondary | SECONDARY_EXEC_ENABLE_EPT);
    vmwrite(VM_EXIT_CONTROLS, exit);
}

static void load_controls(struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    u64 hidden = l0.hidden_cr4 & ~vmcs12->cr4_guest_host_mask;

    load_control_words(vmcs12);
    load_addresses(slot);
    copy_in(vmcs12, plain_controls, ARRAY_SIZE(plain_controls));
    /* A processor need not have more of these fields than it has CR3 targets. */
    for (u32 i = 0; i < vmcs12->cr3_target_count; i++)
        vmwrite(CR3_TARGET_VALUE0 + 2 * i, field_get(vmcs12, CR3_TARGET_VALUE0 + 2 * i));
    vmwrite(CR4_GUEST_HOST_MASK, vmcs12->cr4_guest_host_mask | hidden);
    vmwrite(TSC_OFFSET, vmcs12->tsc_offset);
    slot->ept_root = 0;
    slot->controls_dirty = false;
}

/* L0 makes no use of PKRS and UINV: without the controls L2 finds L1's in the registers. */
#define VMCS12_ENTRY_CONTROLS (VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_UINV | VM_ENTRY_LOAD_IA32_PKRS)

static u64 inherited_efer(const struct vmcs12 *vmcs12, const struct l1_state *l1)
{
    u64 efer = l1->efer & ~EFER_LMA;

    if (vmread(GUEST_CR0) & CR0_PG)
        efer &= ~EFER_LME;
    if (vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE)
        efer |= EFER_LMA | EFER_LME;
    return efer;
}

/* vmcs12 has its own debug controls again when L2 has left, or L2's: keep_debug_controls(). */
static void borrow_debug_controls(struct vmcs02 *slot, const struct l1_state *l1)
{
    borrow(slot, GUEST_DR7);
    borrow(slot, GUEST_IA32_DEBUGCTL);
    if (slot->vmcs12->vm_entry_controls & VM_ENTRY_LOAD_DEBUG_CONTROLS)
        return;
    vmwrite(GUEST_DR7, l1->dr7);
    vmwrite(GUEST_IA32_DEBUGCTL, l1->debugctl);
}

static void keep_debug_controls(struct vmcs02 *slot)
{
    for (u32 i = 0; i < slot->borrowed_count; i++) {
        struct borrowed_field *borrowed = &slot->borrowed[i];

        if (borrowed->field == GUEST_DR7 || borrowed->field == GUEST_IA32_DEBUGCTL)
            borrowed->value = vmread(borrowed->field);
    }
}

/* SDM vol. 3, "Loading Guest Control Registers, Debug Registers, and MSRs". */
static void load_inherited(struct cpu *cpu, struct vmcs02 *slot, const struct l1_state *l1)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    u32 entry = vmcs12->vm_entry_controls;

    u64 efer =
        entry & VM_ENTRY_LOAD_IA32_EFER ? vmcs12->guest_ia32_efer : inherited_efer(vmcs12, l1);
    u64 controls = l0.controls.entry | (entry & VMCS12_ENTRY_CONTROLS);

    if (efer != slot->efer)
        vmwrite_basic(GUEST_IA32_EFER, slot->efer = efer);
    if (controls != slot->entry_controls)
        vmwrite_basic(VM_ENTRY_CONTROLS, slot->entry_controls = controls);
    vmwrite_basic(GUEST_IA32_PAT,
                  entry & VM_ENTRY_LOAD_IA32_PAT ? vmcs12->guest_ia32_pat : l1->pat);
    if (!(entry & VM_ENTRY_LOAD_DEBUG_CONTROLS) ||
        !(vmcs12->vm_exit_controls & VM_EXIT_SAVE_DEBUG_CONTROLS))
        borrow_debug_controls(slot, l1);
    if (entry & VM_ENTRY_LOAD_CET_STATE)
        vmcs_load_cet_once(cpu);
}

/* In a key of an L2 without EPT; as an EPTP it would have an invalid memory type. */
#define KEY_IDENTITY 1ull

/*
 * The APIC-access page works with 4-KiB translations only (SDM vol. 3, "Issues Pertaining to Page
 * Size and TLB Management"), so an L2 without EPT that has one gets a tree of its own.
 */
static u64 ept_key(const struct vmcs12 *vmcs12)
{
    u32 secondary = vmcs12_secondary(vmcs12);

    if (secondary & SECONDARY_EXEC_ENABLE_EPT)
        return vmcs12->ept_pointer |
               (secondary & SECONDARY_EXEC_MODE_BASED_EPT_EXEC ? EPT12_MODE_BASED : 0);
    if (secondary & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
        return vmcs12->apic_access_addr | KEY_IDENTITY;
    return 0;
}

static bool is_identity(u64 key) { return (key & EPTP_MEMORY_TYPE) == KEY_IDENTITY; }

bool vmcs02_is_eptp12(u64 key) { return key && !is_identity(key); }

/* The root for a key is looked up when the key changes. */
static u32 use_root(struct cpu *cpu, u64 key)
{
    struct nested *nested = &cpu->nested;

    if (nested->root_key != key) {
        ept02_use_root(&l0.ept02, key, cpu->index, &nested->root);
        nested->root_key = nested->root == l0.ept02.empty ? 0 : key;
    }
    return nested->root;
}

static void flush_pointer(u64 pointer) { invept(INVEPT_SINGLE_CONTEXT, pointer); }

void vmcs02_flush_eptp12(u64 eptp12) { ept02_each_pointer(&l0.ept02, eptp12, flush_pointer); }

static u64 take_table(void) { return ept02_take_table(&l0.ept02); }

/* EPT01's page for an address in a 4-KiB page of its own. */
static struct overlay_page page_of_ept01(u64 gpa)
{
    u64 entry = 0;
    u32 level = 1;

    if (ept01_lookup(&l0.ept01, gpa, &entry, &level))
        entry = (entry & ~(EPT_ADDR | EPT_LARGE)) | align_down(gpa, PAGE_SIZE);
    return (struct overlay_page){gpa, entry};
}

/* The EPT that has the pages of a step over hidden memory, too, and those of an L2 without EPT. */
static u64 overlay_pointer(struct cpu *cpu, u64 key, u64 base)
{
    struct nested *nested = &cpu->nested;
    struct overlay_page pages[OVERLAY_PAGES];
    u32 count = 0;
    u64 root;

    if (is_identity(key))
        pages[count++] = page_of_ept01(key & EPT_ADDR);
    for (u32 i = 0; i < nested->step_count; i++)
        pages[count++] = nested->step[i];
    root = overlay_build(&nested->overlay, base & EPT_ADDR,
                         (u32)((base & EPTP_WALK_LENGTH) >> 3) + 1, pages, count, take_table);
    if (!root)
        root = ept02_pointer(&l0.ept02, 0, l0.ept02.empty) & EPT_ADDR;
    nested->overlay_pointer = root | (base & ~EPT_ADDR);
    invept(INVEPT_SINGLE_CONTEXT, nested->overlay_pointer);
    return nested->overlay_pointer;
}

/* It stays while it stands for the same, and EPT01 has not changed. */
static u64 identity_pointer(struct cpu *cpu, u64 key)
{
    struct nested *nested = &cpu->nested;

    if (nested->overlay_key != key || nested->overlay_epoch != l0.epoch) {
        nested->overlay_epoch = l0.epoch;
        overlay_pointer(cpu, key, l0.ept01_pointer);
        nested->overlay_key = key;
    }
    return nested->overlay_pointer;
}

void vmcs02_load_ept(struct cpu *cpu, const struct vmcs12 *vmcs12)
{
    struct vmcs02 *slot = cpu->nested.current;
    u64 key = ept_key(vmcs12), pointer = l0.ept01_pointer;

    slot->ept_key = key;
    slot->ept_root = 0;
    if (vmcs02_is_eptp12(key)) {
        slot->ept_root = use_root(cpu, key);
        pointer = ept02_pointer(&l0.ept02, key, slot->ept_root);
    }
    if (__builtin_expect(cpu->nested.step_count, 0)) {
        pointer = overlay_pointer(cpu, key, pointer);
        cpu->nested.overlay_key = 0;
        slot->ept_root = 0;
    } else if (is_identity(key)) {
        pointer = identity_pointer(cpu, key);
    }
    vmwrite(EPT_POINTER, pointer);
}

/* EPT_POINTER is that of the key still: controls and roots have not changed. */
static bool ept_is_loaded(const struct nested *nested, const struct vmcs02 *slot)
{
    return slot->ept_root && slot->ept_root == nested->root && slot->ept_key == nested->root_key;
}

void vmcs02_reload_ept(struct cpu *cpu, const struct vmcs12 *vmcs12)
{
    cpu->nested.overlay_key = 0;
    vmcs02_load_ept(cpu, vmcs12);
}

/* The union of what L0 and L1 want to intercept; all of it if L1 uses no bitmap. */
static void load_msr_bitmap(struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    bool used = vmcs12->cpu_based_vm_exec_control & CPU_BASED_USE_MSR_BITMAPS;

    if (used && (watch_changed(&l0.ept02, &slot->msr_bitmap_watch, vmcs12->msr_bitmap) ||
                 slot->msr_bitmap_full)) {
        phys_read(pool_va(slot->msr_bitmap_pa), vmcs12->msr_bitmap, PAGE_SIZE);
        bitmap_merge(pool_va(slot->msr_bitmap_pa), pool_va(l0.msr_bitmap01));
        slot->msr_bitmap_full = false;
    } else if (!used && !slot->msr_bitmap_full) {
        memset(pool_va(slot->msr_bitmap_pa), 0xff, PAGE_SIZE);
        slot->msr_bitmap_full = true;
    }
}

/* Without the exit control that saves it, the timer's value stays L1's. */
static void lend_timer(struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!(vmcs12->pin_based_vm_exec_control & PIN_BASED_PREEMPTION_TIMER) ||
        (vmcs12->vm_exit_controls & VM_EXIT_SAVE_PREEMPTION_TIMER))
        return;
    slot->timer = vmread(VMX_PREEMPTION_TIMER_VALUE);
    slot->timer_lent = true;
}

/* Bits that L1 gives to L2, and L0 does not: L2 reads them as 0. */
static void hide_cr4(struct vmcs02 *slot)
{
    u64 hidden = l0.hidden_cr4 & ~slot->vmcs12->cr4_guest_host_mask;

    if (!hidden || !(vmread(CR4_READ_SHADOW) & hidden))
        return;
    borrow(slot, CR4_READ_SHADOW);
    vmcs_change(CR4_READ_SHADOW, hidden, 0);
}

static void load_hot(struct cpu *cpu, struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;
    u32 secondary = vmcs12_secondary(vmcs12);

    vmwrite_basic(CPU_BASED_VM_EXEC_CONTROL, vmcs12->cpu_based_vm_exec_control | l0.controls.proc);
    lend_timer(slot);
    hide_cr4(slot);
    if (secondary & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        vmwrite(GUEST_INTR_STATUS, vmcs12->guest_intr_status);
    /* Where a VMREAD or VMWRITE of L2 may leave its error number. */
    if (secondary & SECONDARY_EXEC_SHADOW_VMCS)
        vmwrite(VM_INSTRUCTION_ERROR, vmcs12->vm_instruction_error);
    if (!ept_is_loaded(&cpu->nested, slot))
        vmcs02_load_ept(cpu, vmcs12);
}

void vmcs02_forget(struct vmcs02 *slot)
{
    slot->controls_dirty = true;
    slot->guest_dirty = true;
    slot->efer = slot->entry_controls = UNKNOWN;
}

/* The fields of a vmcs02 that are the same for every vmcs12. */
static void prepare(struct cpu *cpu, struct vmcs02 *slot)
{
    vmcs_init_host(cpu);
    vmwrite(MSR_BITMAP, slot->msr_bitmap_pa);
    if (caps_offer(&l0.caps, FEATURE_VMCS_SHADOWING)) {
        vmwrite(VMREAD_BITMAP, cpu->nested.vmread_bitmap_pa);
        vmwrite(VMWRITE_BITMAP, cpu->nested.vmwrite_bitmap_pa);
    }
    /* Each function exits, to vmx/vmfunc.c. */
    if (field_exists(&l0.caps, VM_FUNCTION_CONTROL))
        vmwrite(VM_FUNCTION_CONTROL, 0);
    vmcs02_forget(slot);
    slot->prepared = true;
}

void vmcs02_take(struct cpu *cpu, struct vmcs02 *slot)
{
    vmcs_switch(slot->pa);
    if (!slot->prepared)
        prepare(cpu, slot);
    direct_load(slot->vmcs12);
    vmcs02_leave(cpu, slot);
}

/* Addresses and other controls in vmcs02 depend on these primary controls, which L1 writes often.
 */
#define BASIC_CONTROLS                                                                             \
    (CPU_BASED_USE_IO_BITMAPS | CPU_BASED_TPR_SHADOW | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)

static void note_controls(struct vmcs02 *slot)
{
    u32 basic = slot->vmcs12->cpu_based_vm_exec_control & BASIC_CONTROLS;

    if (basic == slot->basic_controls)
        return;
    slot->controls_dirty = true;
    slot->basic_controls = basic;
}

void vmcs02_load(struct cpu *cpu, struct vmcs02 *slot, const struct l1_state *l1,
                 const u64 pdpte[4])
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    note_controls(slot);
    if (!slot->plain_entry)
        shadow12_load(cpu, slot);
    if (slot->controls_dirty || slot->guest_dirty) {
        vmwrite(VMCS_LINK_POINTER, shadow12_link(cpu, slot));
        if (slot->controls_dirty)
            load_controls(slot);
        slot->guest_dirty = false;
    }
    load_inherited(cpu, slot, l1);
    load_hot(cpu, slot);
    if (vmcs02_uses_pae(vmcs12))
        vmcs_write_pdptes(pdpte);
    load_msr_bitmap(slot);
}

void vmcs02_save_pdptes(struct vmcs02 *slot)
{
    struct vmcs12 *vmcs12 = slot->vmcs12;

    if (!slot->newer_pdptes)
        return;
    vmcs12->guest_pdptr0 = vmread(GUEST_PDPTR0);
    vmcs12->guest_pdptr1 = vmread(GUEST_PDPTR1);
    vmcs12->guest_pdptr2 = vmread(GUEST_PDPTR2);
    vmcs12->guest_pdptr3 = vmread(GUEST_PDPTR3);
    slot->newer_pdptes = false;
}

void vmcs02_save_guest(struct vmcs02 *slot)
{
    direct_save(slot->vmcs12);
    vmcs02_save_pdptes(slot);
}

static void save_by_controls(struct vmcs12 *vmcs12)
{
    u32 exit = vmcs12->vm_exit_controls;

    if (exit & VM_EXIT_SAVE_IA32_EFER)
        vmcs12->guest_ia32_efer = vmread(GUEST_IA32_EFER);
    if (exit & VM_EXIT_SAVE_IA32_PAT)
        vmcs12->guest_ia32_pat = vmread(GUEST_IA32_PAT);
    if (exit & VM_EXIT_SAVE_PERF_GLOBAL_CTRL)
        rdmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, &vmcs12->guest_ia32_perf_global_ctrl);
    if (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        vmcs12->guest_intr_status = (u16)vmread(GUEST_INTR_STATUS);
    if (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_SHADOW_VMCS)
        vmcs12->vm_instruction_error = vmread32(VM_INSTRUCTION_ERROR);
}

/* The entry control that says what mode L2 is in. */
static void save_mode(struct vmcs02 *slot)
{
    u32 *entry = &slot->vmcs12->vm_entry_controls;
    bool wide;

    slot->efer = vmread_basic(GUEST_IA32_EFER);
    wide = slot->efer & EFER_LMA;
    if (wide != (bool)(slot->entry_controls & VM_ENTRY_IA32E_MODE))
        slot->entry_controls = UNKNOWN;
    if (wide == (bool)(*entry & VM_ENTRY_IA32E_MODE) || !(l0.caps.misc & VMX_MISC_EFER_LMA))
        return;
    *entry ^= VM_ENTRY_IA32E_MODE;
    slot->checked = false;
}

/* SDM vol. 3, "Saving Control Registers, Debug Registers, and MSRs". */
void vmcs02_save(struct vmcs02 *slot)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    if (slot->borrowed_count && (vmcs12->vm_exit_controls & VM_EXIT_SAVE_DEBUG_CONTROLS))
        keep_debug_controls(slot);
    if (!slot->plain_exit)
        save_by_controls(slot->vmcs12);
    save_mode(slot);
    /* As L2 left: what L1 writes to vmcs12 from now on does not matter. */
    slot->newer_pdptes =
        vmcs02_uses_pae(vmcs12) && (vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_EPT);
}
