/* Exits of L1 that need little: MSRs, XSETBV, INVD, EPT violations, triple fault. */
#include "exit.h"

#include "ept01_demand.h"
#include "hidden.h"
#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "msr.h"
#include "trap.h"
#include "vmcs.h"

bool emulate_rdmsr(struct cpu *cpu)
{
    u64 value;

    if (!msr_read((u32)cpu->gpr[RCX], &value))
        return false;
    cpu->gpr[RAX] = (u32)value;
    cpu->gpr[RDX] = value >> 32;
    skip_instruction();
    return true;
}

bool emulate_wrmsr(struct cpu *cpu)
{
    u64 value = cpu->gpr[RDX] << 32 | (u32)cpu->gpr[RAX];

    if (!msr_write((u32)cpu->gpr[RCX], value))
        return false;
    skip_instruction();
    return true;
}

void exit_rdmsr(struct cpu *cpu)
{
    if (!emulate_rdmsr(cpu))
        inject_gp();
}

void exit_wrmsr(struct cpu *cpu)
{
    if (!emulate_wrmsr(cpu))
        inject_gp();
}

/*
 * L0 uses no extended state, so L1's XCR0 may stay in the register. The privilege level is checked
 * here too: not every processor (Bochs) does so before the exit.
 */
void exit_xsetbv(struct cpu *cpu)
{
    u64 value = cpu->gpr[RDX] << 32 | (u32)cpu->gpr[RAX];

    if (!AR_DPL(vmread32(GUEST_SS_AR_BYTES)) && xsetbv_safe((u32)cpu->gpr[RCX], value))
        skip_instruction();
    else
        inject_gp();
}

/* INVD would throw away what L0 has in the caches. */
void exit_invd(struct cpu *cpu)
{
    (void)cpu;
    wbinvd();
    skip_instruction();
}

/* Also for an L2 whose L1 uses no EPT, and so runs on EPT01. */
void exit_ept_violation(struct cpu *cpu)
{
    u64 gpa = vmread(GUEST_PHYSICAL_ADDRESS);
    u64 qualification = vmread(EXIT_QUALIFICATION);

    reinject_interrupted_event(qualification & EPT_VIOLATION_NMI_UNBLOCKED);
    if ((qualification & EPT_VIOLATION_WRITE) && ept02_source_written(&l0.ept02, gpa))
        return;
    if (!ept01_demand(gpa))
        hidden_step(cpu, gpa, qualification & EPT_VIOLATION_WRITE);
}

/* What the bare machine does, it does now: a core without a usable IDT shuts down. */
void exit_triple_fault(struct cpu *cpu)
{
    const struct descriptor_table none = {0, 0};

    log_error("core %u: triple fault of L1, RIP %#lx; shutting the core down", cpu->index,
              vmread(GUEST_RIP));
    __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
    __builtin_unreachable();
}
