#include "vmfunc.h"

#include "check.h"
#include "l2.h"
#include "l2_exit.h"
#include "vmcs02.h"
#include "../hv/inject.h"
#include "../hv/l0.h"
#include "../hv/vmcs.h"
#include "../mm/phys.h"

#define EPTP_LIST_ENTRIES 512

/* SDM vol. 3, "EPTP Switching". False: a VM exit, and nothing has changed. */
static bool switch_eptp(struct vmcs12 *vmcs12, u32 index)
{
    u64 eptp;

    if (index >= EPTP_LIST_ENTRIES)
        return false;
    eptp = phys_read64(vmcs12->eptp_list_address + index * sizeof(eptp));
    if (!eptp_valid(eptp, &l0.caps))
        return false;
    vmcs12->ept_pointer = eptp;
    if (caps_offer(&l0.caps, FEATURE_EPT_VIOLATION_VE))
        vmcs12->eptp_index = (u16)index;
    return true;
}

static bool is_enabled(const struct vmcs12 *vmcs12, u32 function)
{
    return function < 64 && (vmcs12->vm_function_control >> function & 1);
}

void l2_vmfunc(struct cpu *cpu)
{
    struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;

    if (!is_enabled(vmcs12, (u32)cpu->gpr[RAX]) || !switch_eptp(vmcs12, (u32)cpu->gpr[RCX])) {
        l2_exit_to_l1(cpu, EXIT_REASON_VMFUNC, 0);
        return;
    }
    vmcs02_load_ept(cpu, vmcs12);
    skip_instruction();
    if (l2_wants_mtf(cpu))
        l2_exit_to_l1(cpu, EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}
