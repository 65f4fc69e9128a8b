#include "guest.h"

#include "x86.h"
#include "../insn.h"
#include "../l0.h"
#include "../vmcs.h"
#include "../../mm/phys.h"
#include "../../vmx/check.h"
#include "../../vmx/direct.h"
#include "../../vmx/vmcs02.h"

#define PDPTES     4u
#define CR3_PDPTES 0xffffffe0ull /* where it has them */

/* Which VMCS is current is asked of the processor: a breakpoint in L0 may lie where L0 is between
   two, and after a panic nothing else is certain. */
static bool read_of(u64 pa, u32 encoding, u64 *value)
{
    u64 before = vmptrst();
    bool exists;

    if (before == pa)
        return vmread_try(encoding, value);
    if (!vmptrld(pa))
        return false;
    exists = vmread_try(encoding, value);
    /* Not active any more, as vmcs02_leave() leaves it. */
    if (*(const u32 *)pool_va(pa) & VMCS_SHADOW)
        vmclear(pa);
    if (before != NO_ADDRESS)
        vmptrld(before);
    return exists;
}

static bool read01(const struct cpu *cpu, u32 encoding, u64 *value)
{
    return read_of(cpu->vmcs01_pa, encoding, value);
}

static bool read02(const struct cpu *cpu, u32 encoding, u64 *value)
{
    return read_of(cpu->nested.current->pa, encoding, value);
}

/* What L1 has in a field that lives in vmcs02, where L0 may need it for another value. */
static u64 not_borrowed(const struct vmcs02 *slot, u32 encoding)
{
    u64 value = 0;

    for (u32 i = 0; i < slot->borrowed_count; i++)
        if (slot->borrowed[i].field == encoding)
            return slot->borrowed[i].value;
    if (encoding == VMX_PREEMPTION_TIMER_VALUE && slot->timer_lent)
        return slot->timer;
    read_of(slot->pa, encoding, &value);
    return value;
}

/* While L1 runs: vmcs02 has the value, and struct vmcs12 not. */
static bool is_in_vmcs02(const struct vmcs02 *slot, u32 encoding)
{
    bool is_pdpte = encoding >= GUEST_PDPTR0 && encoding <= GUEST_PDPTR3 + 1;

    return direct_has(encoding) || (is_pdpte && slot->newer_pdptes);
}

static bool read12(struct cpu *cpu, u32 encoding, u64 *value)
{
    const struct field_info *field = field_of_caps(&l0.caps, encoding);
    struct vmcs02 *slot = cpu->nested.current;

    if (!field)
        return false;
    if (!cpu->in_l2 && is_in_vmcs02(slot, encoding))
        return read02(cpu, encoding, value);
    if (cpu->in_l2 && direct_has(encoding))
        *value = not_borrowed(slot, encoding);
    else
        *value = vmcs12_get(slot->vmcs12, field, VMCS_FIELD_HIGH(encoding));
    return true;
}

bool guest_vmcs_read(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding, u64 *value)
{
    if (vmcs == GUEST_VMCS01)
        return read01(cpu, encoding, value);
    if (!cpu->nested.current)
        return false;
    return vmcs == GUEST_VMCS12 ? read12(cpu, encoding, value) : read02(cpu, encoding, value);
}

static u64 field_or_0(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding)
{
    u64 value = 0;

    return guest_vmcs_read(cpu, vmcs, encoding, &value) ? value : 0;
}

u64 l2_field(struct cpu *cpu, u32 encoding) { return field_or_0(cpu, GUEST_VMCS12, encoding); }

/* As the next VM entry loads it. SDM vol. 3, "Loading Guest Control Registers, Debug Registers, and
   MSRs". */
static u64 next_efer(struct cpu *cpu)
{
    u32 entry = cpu->nested.current->vmcs12->vm_entry_controls;
    u64 efer;

    if (entry & VM_ENTRY_LOAD_IA32_EFER)
        return l2_field(cpu, GUEST_IA32_EFER);
    efer = field_or_0(cpu, GUEST_VMCS01, GUEST_IA32_EFER) & ~EFER_LMA;
    if (l2_field(cpu, GUEST_CR0) & CR0_PG)
        efer &= ~EFER_LME;
    return entry & VM_ENTRY_IA32E_MODE ? efer | EFER_LMA | EFER_LME : efer;
}

u64 guest_field(struct cpu *cpu, u32 level, u32 encoding)
{
    u32 type = VMCS_FIELD_TYPE(encoding);
    bool is_state = type == VMCS_TYPE_GUEST || type == VMCS_TYPE_READ_ONLY;

    if (level == 1)
        return field_or_0(cpu, GUEST_VMCS01, encoding);
    if (!guest_exists(cpu, level))
        return 0;
    if (cpu->in_l2 && is_state)
        return field_or_0(cpu, GUEST_VMCS02, encoding);
    return encoding == GUEST_IA32_EFER ? next_efer(cpu) : l2_field(cpu, encoding);
}

bool guest_ept12(const struct cpu *cpu, u32 level, struct inspect_space *ept12)
{
    u32 secondary = cpu->nested.current ? vmcs12_secondary(cpu->nested.current->vmcs12) : 0;

    if (level != 2 || !(secondary & SECONDARY_EXEC_ENABLE_EPT))
        return false;
    ept12->caps = &l0.ept02.caps;
    ept12->eptp12 = cpu->nested.current->vmcs12->ept_pointer |
                    (secondary & SECONDARY_EXEC_MODE_BASED_EPT_EXEC ? EPT12_MODE_BASED : 0);
    return true;
}

/* The registers, or for an L2 whose next VM entry loads them from memory, what is there. */
static void fill_pdptes(struct cpu *cpu, u32 level, struct walk_context *context)
{
    struct inspect_space ept12;
    bool in_memory = level == 2 && !cpu->in_l2 && !guest_ept12(cpu, level, &ept12);

    if (in_memory)
        phys_read(context->pdpte, context->cr3 & CR3_PDPTES, sizeof(context->pdpte));
    for (u32 i = 0; !in_memory && i < PDPTES; i++)
        context->pdpte[i] = guest_field(cpu, level, GUEST_PDPTR0 + 2 * i);
}

struct walk_context guest_paging(struct cpu *cpu, u32 level)
{
    struct walk_context context = {
        .cr0 = guest_field(cpu, level, GUEST_CR0),
        .cr3 = guest_field(cpu, level, GUEST_CR3),
        .cr4 = guest_field(cpu, level, GUEST_CR4),
        .efer = guest_field(cpu, level, GUEST_IA32_EFER),
        .rflags = guest_field(cpu, level, GUEST_RFLAGS),
        .physical_bits = l0.hw.physical_bits,
        .has_1g = l0.has_1g,
        .cpl = AR_DPL((u32)guest_field(cpu, level, GUEST_SS_AR_BYTES)),
    };

    if ((context.cr0 & CR0_PG) && (context.cr4 & CR4_PAE) && !(context.efer & EFER_LMA))
        fill_pdptes(cpu, level, &context);
    return context;
}
