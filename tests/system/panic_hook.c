/*
 * A Plastron that breaks on demand, for the test of its panic: linked in place of exit_vmcall
 * (make HOOK=...), so VMCALL by L1, at any privilege, is a bug of L0. RAX says which.
 */
#include "../../hv/cpu.h"
#include "../../hv/panic.h"
#include "../../hv/vmcs.h"

void __wrap_exit_vmcall(struct cpu *cpu);

static void read_unmapped_memory(void)
{
    volatile u64 *nothing = (volatile u64 *)0x123456000;

    *nothing;
}

void __wrap_exit_vmcall(struct cpu *cpu)
{
    switch (cpu->gpr[RAX]) {
    case 1: panic("forced by VMCALL"); break;
    case 2: read_unmapped_memory(); break;
    case 3: vmwrite(0x6ffe, 0); break; /* no such field */
    default: break;
    }
}
