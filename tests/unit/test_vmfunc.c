/* VM functions of L2: EPTP switching, by a list in L1's memory that another core may be writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "hv/l0.h"
#include "vmx/l2.h"
#include "vmx/l2_exit.h"
#include "vmx/vmcs02.h"
#include "vmx/vmfunc.h"

#define LIST  0x6000ull
#define VALID (0x123000ull | EPTP_WALK_LENGTH_4 | MT_WB)

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

static struct cpu cpu;
static struct vmcs02 slot;
static struct vmcs12 vmcs12;
static u32 exits, loads;
static bool mtf;

bool fake_rdmsr(u32 msr, u64 *value)
{
    (void)msr;
    (void)value;
    return false;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    (void)msr;
    (void)value;
    return false;
}

void l2_exit_to_l1(struct cpu *core, u32 reason, u64 qualification)
{
    assert_ptr_equal(core, &cpu);
    assert_int_equal(qualification, 0);
    exits = reason;
}

bool l2_wants_mtf(const struct cpu *core)
{
    (void)core;
    return mtf;
}

void vmcs02_load_ept(struct cpu *core, const struct vmcs12 *loaded)
{
    (void)core;
    assert_ptr_equal(loaded, &vmcs12);
    loads++;
}

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    memset(&l0, 0, sizeof(l0));
    memset(&vmcs12, 0, sizeof(vmcs12));
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    l0.caps.physical_bits = 40;
    l0.caps.ept_vpid = EPT_CAP_4_LEVEL | EPT_CAP_WB;
    vmcs12.vm_function_control = 1;
    vmcs12.eptp_list_address = LIST;
    vmcs12.ept_pointer = VALID + PAGE_SIZE;
    slot.vmcs12 = &vmcs12;
    cpu.nested.current = &slot;
    cpu.gpr[RAX] = 0;
    cpu.gpr[RCX] = 5;
    fake_vmcs[GUEST_RIP] = 0x1000;
    fake_vmcs[VM_EXIT_INSTRUCTION_LEN] = 3;
    fake_put64(LIST + 5 * 8, VALID);
    exits = loads = 0;
    mtf = false;
    return 0;
}

static void want_switched(u64 eptp)
{
    assert_int_equal(vmcs12.ept_pointer, eptp);
    assert_int_equal(loads, 1);
    assert_int_equal(exits, 0);
    assert_int_equal(fake_vmcs[GUEST_RIP], 0x1003);
}

static void want_exit(void)
{
    assert_int_equal(vmcs12.ept_pointer, VALID + PAGE_SIZE);
    assert_int_equal(vmcs12.eptp_index, 0);
    assert_int_equal(loads, 0);
    assert_int_equal(exits, EXIT_REASON_VMFUNC);
    assert_int_equal(fake_vmcs[GUEST_RIP], 0x1000);
}

static void a_valid_EPTP_is_switched_to(void **state)
{
    (void)state;
    l2_vmfunc(&cpu);
    want_switched(VALID);
    assert_int_equal(vmcs12.eptp_index, 0); /* without #VE there is none */
    setup(state);
    l0.caps.offered |= 1ull << FEATURE_EPT_VIOLATION_VE;
    cpu.gpr[RAX] = BIT64(32); /* the instruction looks at EAX and ECX */
    cpu.gpr[RCX] = BIT64(32) | 511;
    fake_put64(LIST + 511 * 8, VALID);
    l2_vmfunc(&cpu);
    want_switched(VALID);
    assert_int_equal(vmcs12.eptp_index, 511);
}

static void all_else_exits(void **state)
{
    static const struct {
        u64 function, index, enabled, eptp;
    } rows[] = {
        {1, 5, 1, VALID},
        {0, 5, 2, VALID},
        {64, 5, ~0ull, VALID},
        {~0u, 5, ~0ull, VALID},
        {0, 512, 1, VALID},
        {0, ~0u, 1, VALID},
        {0, 5, 1, 0},
        {0, 5, 1, VALID | BIT64(40)},
        {0, 5, 1, VALID ^ MT_WB ^ 1},
        {0, 5, 1, VALID | BIT64(11)},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(state);
        cpu.gpr[RAX] = rows[i].function;
        cpu.gpr[RCX] = rows[i].index;
        vmcs12.vm_function_control = rows[i].enabled;
        fake_put64(LIST + 5 * 8, rows[i].eptp);
        l2_vmfunc(&cpu);
        want_exit();
    }
    setup(state);
    fake_phys_hide(LIST, PAGE_SIZE);
    l2_vmfunc(&cpu);
    want_exit();
}

static void spoil(u64 pa) { fake_put64(pa, ~0ull); }

/* What was checked is what is used. */
static void the_list_is_read_once(void **state)
{
    (void)state;
    fake_after_read = spoil;
    l2_vmfunc(&cpu);
    want_switched(VALID);
    assert_int_equal(fake_reads, 1);
    assert_int_equal(fake_bytes, 0);
}

static void the_step_flag_traps_behind_it(void **state)
{
    (void)state;
    mtf = true;
    l2_vmfunc(&cpu);
    assert_int_equal(exits, EXIT_REASON_MONITOR_TRAP_FLAG);
    assert_int_equal(fake_vmcs[GUEST_RIP], 0x1003);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_valid_EPTP_is_switched_to, setup),
        cmocka_unit_test_setup(all_else_exits, setup),
        cmocka_unit_test_setup(the_list_is_read_once, setup),
        cmocka_unit_test_setup(the_step_flag_traps_behind_it, setup),
    };

    return cmocka_run_group_tests_name("vmfunc", tests, NULL, NULL);
}
