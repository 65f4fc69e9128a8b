/*
 * VM exits that end in a VMX abort: the processor shuts down, and the row that says so is the last
 * thing heard of L1. The word abort=N in probe.cfg chooses the abort; tests/probe/run looks for it
 * in what L0 reports.
 */
#include "guest_rows.h"

void rows_abort(u64 indicator)
{
    struct vmx_msr_entry bad = {.index = MSR_IA32_FS_BASE, .reserved = 1};

    if (!row(STATE_VMCS, "abort.%lu", indicator))
        return;
    guest_setup(GUEST_64, 0);
    guest_code("nop");
    if (indicator == VMX_ABORT_SAVE_GUEST_MSR_FAIL) {
        memcpy(arena_page(PAGE_MSR_EXIT_STORE), &bad, sizeof(bad));
        vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
    } else {
        memcpy(arena_page(PAGE_MSR_EXIT_LOAD), &bad, sizeof(bad));
        vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
    }
    console_put("probe: nothing may follow\r\n");
    guest_run(true);
    say_exec();
    row_end();
}
