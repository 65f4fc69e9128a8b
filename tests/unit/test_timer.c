/* hv/monitor/timer.c: one preemption timer for two. A model runs L2 for random times, and asks
   whether each of the two has had its exits when they were due, and whether L1 sees its own value
   alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "hv/l0.h"
#include "hv/monitor/monitor.h"
#include "hv/monitor/timer.h"

#define HZ     1000000u
#define RATE   100u
#define PERIOD (HZ / RATE)

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

static struct cpu cpu;
static struct vmcs02 slot;
static struct vmcs12 vmcs12;
static bool busy;

bool monitor_is_busy(void) { return busy; }

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

static void start(bool l1_uses, u32 value)
{
    memset(&cpu, 0, sizeof(cpu));
    memset(&vmcs12, 0, sizeof(vmcs12));
    slot.vmcs12 = &vmcs12;
    cpu.nested.current = &slot;
    cpu.in_l2 = true;
    vmcs12.pin_based_vm_exec_control = l1_uses ? PIN_BASED_PREEMPTION_TIMER : 0;
    fake_vmcs[VMX_PREEMPTION_TIMER_VALUE] = value;
    busy = false;
    l0.boot.tsc_hz = HZ;
    l0.boot.config.monitor_rate = RATE;
    l0.hw.misc = 0;
    l0.controls.pin = PIN_BASED_PREEMPTION_TIMER;
}

/* The processor runs L2 for so many ticks of the timer, or until that expires: then true. */
static bool run(u32 ticks)
{
    u64 *timer = &fake_vmcs[VMX_PREEMPTION_TIMER_VALUE];

    if (ticks >= *timer) {
        *timer = 0;
        return true;
    }
    *timer -= ticks;
    return false;
}

static void periods(void **state)
{
    (void)state;
    start(false, 0);
    assert_true(timer_used());
    timer_start01();
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], PERIOD);
    busy = true;
    timer_start01();
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], PERIOD / 10);
    busy = false;
    l0.hw.misc = 5; /* the timer counts every 32 ticks */
    timer_start01();
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], PERIOD >> 5);
    l0.boot.tsc_hz = 1;
    timer_start01();
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], 1);
    l0.boot.tsc_hz = ~0ull;
    timer_start01();
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], ~0u);
    l0.controls.pin = 0;
    assert_false(timer_used());
}

/* L1 does not use the timer: what it has written there stays. */
static void l1_has_no_timer(void **state)
{
    u32 expired = 0;

    (void)state;
    start(false, 77);
    for (u32 i = 0; i < 10 * PERIOD / 100; i++) {
        bool expires;

        timer_arm(&cpu);
        expires = run(100);
        assert_int_equal(
            timer_disarm(&cpu, expires ? EXIT_REASON_PREEMPTION_TIMER : EXIT_REASON_CPUID),
            expires);
        assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], 77);
        expired += expires;
    }
    assert_int_equal(expired, 10);
}

static void l1s_comes_first(void **state)
{
    (void)state;
    start(true, 100);
    timer_arm(&cpu);
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], 100);
    assert_true(run(100));
    assert_false(timer_disarm(&cpu, EXIT_REASON_PREEMPTION_TIMER));
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], 0);
    /* An entry with 0 exits at once, and that is L1's, too. */
    timer_arm(&cpu);
    assert_true(run(0));
    assert_false(timer_disarm(&cpu, EXIT_REASON_PREEMPTION_TIMER));
}

static void both_at_once(void **state)
{
    (void)state;
    start(true, PERIOD);
    timer_arm(&cpu);
    assert_true(run(PERIOD));
    assert_false(timer_disarm(&cpu, EXIT_REASON_PREEMPTION_TIMER));
    fake_vmcs[VMX_PREEMPTION_TIMER_VALUE] = 3 * PERIOD;
    timer_arm(&cpu);
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], PERIOD);
}

/* A VM entry that failed has not counted. */
static void nothing_ran(void **state)
{
    (void)state;
    start(true, 3 * PERIOD);
    timer_arm(&cpu);
    assert_false(timer_disarm(&cpu, EXIT_REASON_COUNT));
    assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], 3 * PERIOD);
}

static void random_turns(void **state)
{
    u32 l1 = 0, since_own = 0;
    bool uses = false;

    (void)state;
    srand(1);
    start(false, 0);
    for (u32 i = 0; i < 1000000; i++) {
        u32 ticks = (u32)rand() % (PERIOD / 4), left, used;
        bool expires, own;

        if (rand() % 8 == 0) {
            uses = rand() % 2;
            l1 = (u32)rand() % (3 * PERIOD);
            vmcs12.pin_based_vm_exec_control = uses ? PIN_BASED_PREEMPTION_TIMER : 0;
            fake_vmcs[VMX_PREEMPTION_TIMER_VALUE] = l1;
        }
        timer_arm(&cpu);
        left = (u32)fake_vmcs[VMX_PREEMPTION_TIMER_VALUE];
        expires = run(ticks);
        used = left - (u32)fake_vmcs[VMX_PREEMPTION_TIMER_VALUE];
        own = timer_disarm(&cpu, expires ? EXIT_REASON_PREEMPTION_TIMER : EXIT_REASON_CPUID);
        since_own += used;
        if (uses)
            l1 -= used;
        assert_int_equal(fake_vmcs[VMX_PREEMPTION_TIMER_VALUE], l1);
        assert_true(since_own <= PERIOD);
        if (expires)
            assert_int_equal(own, !(uses && l1 == 0));
        if (since_own == PERIOD)
            since_own = 0;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(periods),         cmocka_unit_test(l1_has_no_timer),
        cmocka_unit_test(l1s_comes_first), cmocka_unit_test(both_at_once),
        cmocka_unit_test(nothing_ran),     cmocka_unit_test(random_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
