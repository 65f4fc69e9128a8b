#include "observe.h"

#include "cpu.h"
#include "exit.h"
#include "inject.h"
#include "l0.h"
#include "panic.h"
#include "record.h"
#include "vmcs.h"
#include "monitor/io.h"
#include "monitor/monitor.h"
#include "monitor/timer.h"

/* reason: of the exit that has ended L2's turn; of none if it is no exit's. */
static void disarm(struct cpu *cpu, u32 reason)
{
    if (!cpu->observer.armed)
        return;
    cpu->observer.armed = false;
    if (timer_used())
        cpu->observer.own_exit = timer_disarm(cpu, reason);
}

void observe_disarm(struct cpu *cpu) { disarm(cpu, EXIT_REASON_COUNT); }

void observe_arm(struct cpu *cpu)
{
    if (!l0.observed)
        return;
    if (cpu->observer.step == STEP_RUNS)
        set_monitor_trap(true); /* of whichever guest it is that runs next */
    if (!cpu->in_l2)
        return;
    cpu->observer.armed = true;
    if (timer_used())
        timer_arm(cpu);
    if (monitor_is_on())
        io_arm(cpu);
}

/* True if the exit of L2 is neither L1's nor one that L0 has without the monitor: it is done. */
static bool take_l2_exit(struct cpu *cpu, u32 reason)
{
    if (reason == EXIT_REASON_PREEMPTION_TIMER)
        return cpu->observer.own_exit;
    return reason == EXIT_REASON_IO_INSTRUCTION && monitor_is_on() && io_is_own(cpu);
}

/* The recorder has better to remember than that the monitor has looked. */
static bool is_own_timer(const struct cpu *cpu, u32 reason)
{
    return reason == EXIT_REASON_PREEMPTION_TIMER && (!cpu->in_l2 || cpu->observer.own_exit);
}

static void count_kept(struct cpu *cpu, u32 reason)
{
    if (reason < ARRAY_SIZE(cpu->observer.kept))
        cpu->observer.kept[reason]++;
}

u64 exit_handle_observed(struct cpu *cpu)
{
    u32 reason = vmread32(VM_EXIT_REASON) & EXIT_REASON_BASIC_MASK;
    bool was_in_l2 = cpu->in_l2;
    struct record *record;
    u64 launched;

    if (__builtin_expect(panicking, 0))
        panic_stop_this_core();

    disarm(cpu, reason);
    record = is_own_timer(cpu, reason) ? NULL : record_begin(cpu, reason);
    if (monitor_is_on())
        monitor_look(cpu);
    if (was_in_l2 && take_l2_exit(cpu, reason))
        launched = exit_taken(cpu, reason);
    else
        launched = exit_handle(cpu);
    if (was_in_l2 && cpu->in_l2)
        count_kept(cpu, reason);
    if (record && !was_in_l2 && !cpu->in_l2)
        record_failure(cpu, reason, record->rip);
    record_end(cpu, record);
    if (monitor_is_on()) {
        monitor_look_after(cpu);
        launched = exit_prepare(cpu);
    }
    observe_arm(cpu);
    return launched;
}
