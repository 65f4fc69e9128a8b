#include "timer.h"

#include "monitor.h"
#include "../l0.h"
#include "../vmcs.h"
#include "../../vmx/vmcs02.h"

#define FAST 10 /* times the configured rate, while somebody is typing */

bool timer_used(void) { return l0.controls.pin & PIN_BASED_PREEMPTION_TIMER; }

u64 timer_period(bool fast)
{
    u64 rate = (u64)l0.boot.config.monitor_rate * (fast ? FAST : 1);

    return l0.boot.tsc_hz / rate;
}

/* In the timer's own ticks: those of the time-stamp counter, divided. SDM vol. 3 appendix A.6. */
static u32 period(void)
{
    u64 ticks = timer_period(monitor_is_busy()) >> (l0.hw.misc & VMX_MISC_TIMER_RATE);

    if (ticks > ~0u)
        return ~0u;
    return ticks ? (u32)ticks : 1;
}

void timer_start01(void) { vmwrite(VMX_PREEMPTION_TIMER_VALUE, period()); }

static bool l1_uses_timer(const struct cpu *cpu)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;

    return vmcs12->pin_based_vm_exec_control & PIN_BASED_PREEMPTION_TIMER;
}

void timer_arm(struct cpu *cpu)
{
    struct observer *o = &cpu->observer;

    if (!o->timer_left)
        o->timer_left = period();
    o->timer_l1 = vmread32(VMX_PREEMPTION_TIMER_VALUE);
    o->timer_loaded = o->timer_left;
    if (l1_uses_timer(cpu) && o->timer_l1 <= o->timer_left)
        o->timer_loaded = o->timer_l1;
    vmwrite(VMX_PREEMPTION_TIMER_VALUE, o->timer_loaded);
}

/* One that has expired is 0: a processor that was entered with 0 may have left another value. */
static u32 value_left(u32 reason)
{
    return reason == EXIT_REASON_PREEMPTION_TIMER ? 0 : vmread32(VMX_PREEMPTION_TIMER_VALUE);
}

bool timer_disarm(struct cpu *cpu, u32 reason)
{
    struct observer *o = &cpu->observer;
    u32 used = o->timer_loaded - value_left(reason);
    bool l1_uses = l1_uses_timer(cpu);

    o->timer_left -= used;
    vmwrite(VMX_PREEMPTION_TIMER_VALUE, l1_uses ? o->timer_l1 - used : o->timer_l1);
    return reason == EXIT_REASON_PREEMPTION_TIMER && !(l1_uses && o->timer_l1 == o->timer_loaded);
}
