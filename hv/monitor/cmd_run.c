/* How cores run: stop, go, step, watch, nmi. */
#include "guest_commands.h"
#include "monitor.h"
#include "say.h"
#include "../names.h"

/* The panic has stopped everything for good. */
static bool refuse_dead(void)
{
    if (monitor_is_dead())
        say("L0 has panicked: nothing goes on any more; `reset` starts the machine again\n");
    return monitor_is_dead();
}

/* ---- stop and go ---- */

static void say_who_runs(void)
{
    monitor_await_standing();
    for (u32 i = 0; i < cpu_count; i++)
        if (!monitor_core_stands(cpus[i]))
            say("core %u does not stand still yet\n", i);
}

static bool run_stop(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    if (refuse_dead())
        return true;
    monitor_stop();
    say_who_runs();
    return true;
}

const struct command command_stop = {
    .name = "stop",
    .arguments = "",
    .summary = "all cores stand still, until `go`",
    .details = "The time-stamp counter and the devices go on meanwhile.\n",
    .place = ANY_CORE,
    .run = run_stop,
};

static bool run_go(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    if (!refuse_dead())
        monitor_go();
    return true;
}

const struct command command_go = {
    .name = "go",
    .arguments = "",
    .summary = "all cores go on",
    .details = "",
    .place = ANY_CORE,
    .run = run_go,
};

/* ---- step ---- */

static bool run_step(struct cpu *none, const struct words *words)
{
    struct cpu *cpu = cpus[monitor_core()];

    (void)none;
    if (words->count != 1)
        return false;
    if (refuse_dead())
        return true;
    if (!monitor_stands())
        say("the cores run: `stop` first\n");
    else if (__atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE))
        say("core %u waits for a SIPI: it executes nothing\n", cpu->index);
    else if (__atomic_load_n(&cpu->observer.step, __ATOMIC_ACQUIRE) != STEP_NOT)
        say("core %u has not ended its last step: it may be halted\n", cpu->index);
    else
        __atomic_store_n(&cpu->observer.step, STEP_WANTED, __ATOMIC_RELEASE);
    return true;
}

const struct command command_step = {
    .name = "step",
    .arguments = "",
    .summary = "the guest that the core runs executes one instruction",
    .details =
        "By the monitor trap flag; the other cores stand still. An instruction that exits is done\n"
        "by L0, or ends at L1's handler.\n",
    .place = ANY_CORE,
    .run = run_step,
};

/* ---- watch ---- */

static bool find_reason(const char *text, u32 *reason)
{
    u64 number;

    if (parse_number(text, &number)) {
        *reason = (u32)number;
        return number < EXIT_REASON_COUNT;
    }
    for (*reason = 0; *reason < EXIT_REASON_COUNT; ++*reason) {
        const char *name = exit_reason_find(*reason);

        if (name && text_same(text, name))
            return true;
    }
    return false;
}

static bool run_watch(struct cpu *none, const struct words *words)
{
    u32 named = level_of(words->word[1]), level = named ? named : 2;
    u32 at = named ? 2 : 1, reason;

    (void)none;
    if (words->count == 2 && text_equal(words->word[1], "off")) {
        monitor_watch.reason = MONITOR_WATCHES_NOTHING;
        return true;
    }
    if (words->count != at + 1)
        return false;
    if (!find_reason(words->word[at], &reason)) {
        say("no such exit reason: %s; they are numbers, or names as `exits` has them\n",
            words->word[at]);
        return true;
    }
    monitor_watch.level = level;
    __atomic_store_n(&monitor_watch.reason, reason, __ATOMIC_RELEASE);
    say("all cores stop when L%u exits with %s\n", level, exit_reason_name(reason));
    return true;
}

static const char *const watch_choices[] = {
    "off",           "l1",        "l2",        "EPT_VIOLATION", "CPUID",
    "EXCEPTION_NMI", "CR_ACCESS", "MSR_WRITE", "TRIPLE_FAULT",  NULL};

const struct command command_watch = {
    .name = "watch",
    .arguments = "[l1|l2] REASON | off",
    .summary = "stops all cores when L2 (or L1) exits so",
    .details =
        "Before anybody has handled the exit: `vmcs 02` has all that the processor says of it.\n"
        "`go` handles it, and goes on to the next one. L1's triple fault stops without it, but "
        "where\n"
        "L1 has the port.\n",
    .place = ANY_CORE,
    .run = run_watch,
    .choices = watch_choices,
};

/* ---- nmi ---- */

static bool run_nmi(struct cpu *cpu, const struct words *words)
{
    if (words->count != 1)
        return false;
    if (refuse_dead())
        return true;
    cpu->nmi_waiting = true;
    say("core %u gets an NMI\n", cpu->index);
    return true;
}

const struct command command_nmi = {
    .name = "nmi",
    .arguments = "",
    .summary = "gives the core an NMI",
    .details =
        "It is the guest's that runs, or an exit to L1, as if a device had sent it. Linux as L1\n"
        "says `Uhhuh. NMI received for unknown reason`.\n",
    .place = THIS_CORE,
    .run = run_nmi,
};
