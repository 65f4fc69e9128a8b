#include "instructions.h"

#include "capabilities.h"
#include "check.h"
#include "l2.h"
#include "operand.h"
#include "slots.h"
#include "vmcs02.h"
#include "../hv/exit.h"
#include "../hv/inject.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"
#include "../hv/vmcs01.h"
#include "../mm/phys.h"

#define RFLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

void vm_finish(u64 flags) { skip_instruction_with_flags(RFLAGS_ARITHMETIC, flags); }

/* VMsucceed and VMfailInvalid. */
static void vm_succeed(void) { vm_finish(0); }

static void vm_fail_invalid(void) { vm_finish(RFLAGS_CF); }

void vm_fail(struct cpu *cpu, enum vm_instruction_error error)
{
    if (!cpu->nested.current) {
        vm_fail_invalid();
        return;
    }
    cpu->nested.current->vmcs12->vm_instruction_error = error;
    vm_finish(RFLAGS_ZF);
}

/* Either succeeds or fails with the number. */
static void vm_result(struct cpu *cpu, enum vm_instruction_error error)
{
    if (error == VMXERR_NONE)
        vm_succeed();
    else
        vm_fail(cpu, error);
}

static u32 cpl(void) { return AR_DPL(vmread32(GUEST_SS_AR_BYTES)); }

/* What all but VMXON check first; the mode was checked by the processor before the exit. */
static bool may_execute(const struct cpu *cpu)
{
    if (!cpu->nested.vmxon) {
        inject_ud();
        return false;
    }
    if (cpl()) {
        inject_gp();
        return false;
    }
    return true;
}

/* The 64-bit memory operand of VMXON, VMPTRLD and VMCLEAR. */
static bool read_pointer(struct cpu *cpu, u64 *pointer)
{
    struct vmx_operand operand = operand_decode(cpu);

    return operand_read(&operand, pointer, sizeof(*pointer));
}

void exit_vmxon(struct cpu *cpu)
{
    u64 cr0, pointer;

    if (!(vmcs01_cr4() & CR4_VMXE)) {
        inject_ud();
        return;
    }
    cr0 = vmcs01_cr0();
    if (cpl() || (!cpu->nested.vmxon &&
                  (!fixed_bits_valid(cr0, l0.caps.cr0_fixed0, l0.caps.cr0_fixed1) ||
                   !(rdmsr(MSR_IA32_FEATURE_CONTROL) & FEATURE_CONTROL_VMXON_ENABLED)))) {
        inject_gp();
        return;
    }
    if (cpu->nested.vmxon) {
        vm_fail(cpu, VMXERR_VMXON_IN_ROOT);
        return;
    }
    if (!read_pointer(cpu, &pointer))
        return;
    if (!page_address_valid(&l0.caps, pointer) || phys_read32(pointer) != VMCS12_REVISION) {
        vm_fail_invalid();
        return;
    }
    cpu->nested.vmxon = true;
    cpu->nested.vmxon_ptr = pointer;
    cpu->nested.current = NULL;
    vmcs01_set_cr_masks(cpu->nested.vmxon);
    slots_show_current(cpu);
    vm_succeed();
}

void exit_vmxoff(struct cpu *cpu)
{
    if (!may_execute(cpu))
        return;
    slots_flush_all(cpu);
    cpu->nested.vmxon = false;
    vmcs01_set_cr_masks(cpu->nested.vmxon);
    slots_show_current(cpu);
    vm_succeed();
    if (cpu->init_pending)
        init_reset(cpu);
}

void exit_vmclear(struct cpu *cpu)
{
    u64 pointer;

    if (!may_execute(cpu) || !read_pointer(cpu, &pointer))
        return;
    if (!page_address_valid(&l0.caps, pointer)) {
        vm_fail(cpu, VMXERR_VMCLEAR_INVALID_ADDRESS);
    } else if (pointer == cpu->nested.vmxon_ptr) {
        vm_fail(cpu, VMXERR_VMCLEAR_VMXON_POINTER);
    } else {
        slots_clear(cpu, pointer);
        vm_succeed();
    }
}

static bool vmptrld_revision_valid(u32 revision)
{
    if (caps_offer(&l0.caps, FEATURE_VMCS_SHADOWING))
        revision &= ~VMCS12_SHADOW;
    return revision == VMCS12_REVISION;
}

void exit_vmptrld(struct cpu *cpu)
{
    u64 pointer;
    u32 revision;

    if (!may_execute(cpu) || !read_pointer(cpu, &pointer))
        return;
    if (!page_address_valid(&l0.caps, pointer)) {
        vm_fail(cpu, VMXERR_VMPTRLD_INVALID_ADDRESS);
        return;
    }
    if (pointer == cpu->nested.vmxon_ptr) {
        vm_fail(cpu, VMXERR_VMPTRLD_VMXON_POINTER);
        return;
    }
    revision = phys_read32(pointer);
    if (!vmptrld_revision_valid(revision)) {
        vm_fail(cpu, VMXERR_VMPTRLD_INCORRECT_REVISION);
        return;
    }
    slots_make_current(cpu, pointer, revision);
    vm_succeed();
}

void exit_vmptrst(struct cpu *cpu)
{
    u64 pointer;
    struct vmx_operand operand;

    if (!may_execute(cpu))
        return;
    pointer = cpu->nested.current ? cpu->nested.current->vmcs12_pa : NO_ADDRESS;
    operand = operand_decode(cpu);
    if (operand_write(&operand, &pointer, sizeof(pointer)))
        vm_succeed();
}

static void set_register(struct cpu *cpu, const struct vmx_operand *operand, u64 value)
{
    if (!operand->is_wide)
        value = (u32)value;
    if (operand->reg == RSP)
        vmwrite(GUEST_RSP, value);
    else
        cpu->gpr[operand->reg] = value;
}

static u32 operand_size(const struct vmx_operand *operand) { return operand->is_wide ? 8 : 4; }

void exit_vmread(struct cpu *cpu)
{
    struct vmcs02 *slot = cpu->nested.current;
    const struct field_info *field;
    struct vmx_operand operand;
    u64 encoding, value;

    if (!may_execute(cpu))
        return;
    if (!slot) {
        vm_fail_invalid();
        return;
    }
    operand = operand_decode_field(cpu);
    encoding = operand_register(cpu, &operand, operand.reg2);
    field = field_of_caps(&l0.caps, encoding);
    if (!field) {
        vm_fail(cpu, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
        return;
    }
    value = slots_read_field(cpu, slot, (u32)encoding, field);
    if (operand.is_register)
        set_register(cpu, &operand, value);
    else if (!operand_write(&operand, &value, operand_size(&operand)))
        return;
    vm_succeed();
}

void exit_vmwrite(struct cpu *cpu)
{
    struct vmcs02 *slot = cpu->nested.current;
    const struct field_info *field;
    struct vmx_operand operand;
    u64 encoding, value = 0;

    if (!may_execute(cpu))
        return;
    if (!slot) {
        vm_fail_invalid();
        return;
    }
    operand = operand_decode_field(cpu);
    if (operand.is_register)
        value = operand_register(cpu, &operand, operand.reg);
    else if (!operand_read(&operand, &value, operand_size(&operand)))
        return;
    encoding = operand_register(cpu, &operand, operand.reg2);
    field = field_of_caps(&l0.caps, encoding);
    if (!field) {
        vm_fail(cpu, VMXERR_UNSUPPORTED_VMCS_COMPONENT);
        return;
    }
    if (VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_READ_ONLY &&
        !(l0.caps.misc & VMX_MISC_VMWRITE_ANY)) {
        vm_fail(cpu, VMXERR_VMWRITE_READ_ONLY_COMPONENT);
        return;
    }
    slots_write_field(cpu, slot, (u32)encoding, field, value);
    vm_succeed();
}

/* SDM vol. 3, "Basic VM-Entry Checks": there must be a current VMCS, and not a shadow VMCS. */
static void enter(struct cpu *cpu, bool launch)
{
    const struct vmcs02 *slot = cpu->nested.current;

    if (!may_execute(cpu))
        return;
    if (!slot || slot->vmcs12->revision_id & VMCS12_SHADOW)
        vm_fail_invalid();
    else
        l2_enter(cpu, launch);
}

void exit_vmlaunch(struct cpu *cpu) { enter(cpu, true); }
void exit_vmresume(struct cpu *cpu) { enter(cpu, false); }

/* The one VMX instruction that exits in every mode. */
void exit_vmcall(struct cpu *cpu)
{
    bool compatibility = (vmread(GUEST_IA32_EFER) & EFER_LMA) && !l1_in_64bit_code();

    if (compatibility || (vmread(GUEST_RFLAGS) & RFLAGS_VM))
        inject_ud();
    else if (may_execute(cpu))
        vm_fail(cpu, VMXERR_VMCALL_IN_ROOT); /* there is no dual-monitor treatment of SMIs */
}

/* The descriptor's upper half is reserved and, as on the processor, not checked. */
static enum vm_instruction_error do_invept(struct cpu *cpu, u64 type,
                                           const struct inv_descriptor *d)
{
    if (type != INVEPT_ALL_CONTEXT && !eptp_valid(d->context, &l0.caps))
        return VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID;
    cpu->nested.invept = true;
    if (type == INVEPT_ALL_CONTEXT)
        invept(INVEPT_ALL_CONTEXT, 0);
    else
        vmcs02_flush_eptp12(d->context);
    return VMXERR_NONE;
}

static bool invept_type_offered(u64 type)
{
    return type == INVEPT_SINGLE_CONTEXT || type == INVEPT_ALL_CONTEXT;
}

/* L2's VPIDs are the hardware's. */
static enum vm_instruction_error do_invvpid(struct cpu *cpu, u64 type,
                                            const struct inv_descriptor *d)
{
    (void)cpu;
    if (d->context >> 16 || (type != INVVPID_ALL_CONTEXT && !d->context) ||
        (type == INVVPID_INDIVIDUAL_ADDRESS && not_canonical(d->address, l0.caps.linear_bits)))
        return VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID;
    invvpid(type, (u16)d->context, d->address);
    return VMXERR_NONE;
}

static bool invvpid_type_offered(u64 type)
{
    switch (type) {
    case INVVPID_SINGLE_CONTEXT:
    case INVVPID_ALL_CONTEXT: return true;
    case INVVPID_INDIVIDUAL_ADDRESS: return caps_offer(&l0.caps, FEATURE_INVVPID_ADDRESS);
    case INVVPID_SINGLE_RETAINING_GLOBALS:
        return caps_offer(&l0.caps, FEATURE_INVVPID_RETAIN_GLOBALS);
    default: return false;
    }
}

struct invalidation {
    enum feature feature; /* without which the instruction is #UD */
    bool (*type_offered)(u64 type);
    enum vm_instruction_error (*execute)(struct cpu *, u64 type, const struct inv_descriptor *);
};

/* INVEPT and INVVPID: the type is checked before the descriptor is read. */
static void invalidate(struct cpu *cpu, const struct invalidation *instruction)
{
    struct vmx_operand operand;
    struct inv_descriptor descriptor;
    u64 type;

    if (cpu->nested.vmxon && !caps_offer(&l0.caps, instruction->feature)) {
        inject_ud();
        return;
    }
    if (!may_execute(cpu))
        return;
    operand = operand_decode(cpu);
    type = operand_register(cpu, &operand, operand.reg2);
    if (!instruction->type_offered(type))
        vm_fail(cpu, VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID);
    else if (operand_read(&operand, &descriptor, sizeof(descriptor)))
        vm_result(cpu, instruction->execute(cpu, type, &descriptor));
}

void exit_invept(struct cpu *cpu)
{
    static const struct invalidation invept = {FEATURE_EPT, invept_type_offered, do_invept};

    invalidate(cpu, &invept);
}

void exit_invvpid(struct cpu *cpu)
{
    static const struct invalidation invvpid = {FEATURE_VPID, invvpid_type_offered, do_invvpid};

    invalidate(cpu, &invvpid);
}
