/*
 * What docs/debugging.md looks into: three faults that an L1 can have. These rows are for somebody
 * at the monitor: they go on for ever, and print what they are about to do instead of an outcome.
 */
#include "ept_rows.h"

#define NAPS          3u
#define TSS_AVAILABLE 0x89u     /* access rights of a TSS that no LTR has marked busy */
#define L2_FAR        0x200000u /* guest-physical: the first page that EPT does not map */

static void tell(const char *text)
{
    say("%s", text);
    line_print("", row_name);
}

/* So that the console and the monitor are not flooded. */
static void rest(void)
{
    for (u32 i = 0; i < NAPS; i++)
        machine_nap();
}

static void entry_row(void)
{
    if (!row(STATE_VMCS, "demo.entry"))
        return;
    guest_setup(GUEST_64, 0);
    vm_write(GUEST_TR_AR_BYTES, TSS_AVAILABLE);
    tell("launches an L2 with one wrong field in its guest state, for ever");
    guest_run(true);
    say("VMLAUNCH ended with exit reason %lu", vm_read(VM_EXIT_REASON) & EXIT_REASON_BASIC_MASK);
    line_print("", row_name);
    for (;;) {
        rest();
        exec_code("vmlaunch");
    }
}

/* The fault: what leads to a new table gets the rights of the access that asked for it, which was a
   read. The page gets all rights each time. SDM vol. 3, "Exit Qualification for EPT Violations". */
static void answer_violation(void)
{
    u64 ngpa = vm_read(GUEST_PHYSICAL_ADDRESS);
    u64 *to_table = ept_pd() + (ngpa >> 21 & 0x1ff), *table = (u64 *)arena_page(PAGE_SCRATCH);

    if (!*to_table) {
        memset(table, 0, PAGE_SIZE);
        *to_table = (u64)table | (vm_read(EXIT_QUALIFICATION) & EPT_RWX);
    }
    table[ngpa >> 12 & 0x1ff] = arena_address(PAGE_SCRATCH2) | EPT_LEAF;
    flush_ept();
}

static void ept_row_for_ever(void)
{
    if (!row(STATE_VMCS, "demo.ept") || !row_needs(FEATURE_EPT))
        return;
    guest_setup(GUEST_64, WITH_EPT);
    guest_code("read and write spare");
    *guest_pte(L2_SPARE) = L2_FAR | PTE_P | PTE_W | PTE_A | PTE_D;
    tell("runs an L2 that reads a page and writes to it; EPT violations are answered, for ever");
    guest_run(true);
    while (vm_read(VM_EXIT_REASON) == EXIT_REASON_EPT_VIOLATION) {
        answer_violation();
        exec_code("vmresume");
    }
    say("L2 ended with exit reason %lu", vm_read(VM_EXIT_REASON) & EXIT_REASON_BASIC_MASK);
    row_end();
}

static void spin(void) { __asm__ volatile("cli\n1:\tjmp 1b"); }

static void hang_row(void)
{
    static volatile u32 ended;

    if (!row(STATE_OFF, "demo.hang"))
        return;
    tell("waits for a job that never ends");
    if (config.cpus > 1)
        other_do(spin);
    else
        spin();
    __asm__ volatile("sti" ::: "memory");
    while (!ended)
        __asm__ volatile("pause");
}

void rows_demo(void)
{
    entry_row();
    ept_row_for_ever();
    hang_row();
}
