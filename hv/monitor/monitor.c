#include "monitor.h"

#include "commands.h"
#include "debugger.h"
#include "io.h"
#include "line.h"
#include "plastron_version.h"
#include "say.h"
#include "timer.h"
#include "uart.h"
#include "../exit.h"
#include "../format.h"
#include "../inject.h"
#include "../insn.h"
#include "../l0.h"
#include "../log.h"
#include "../names.h"
#include "../record.h"
#include "../vmcs.h"
#include "../../vmx/l2.h"

#define COM1_PORT    0x3f8 /* shared with L1, which has its console there */
#define BYTES_A_LOOK 64u   /* so that a core that is flooded goes on */
#define DEAD_SECONDS 10u
#define BUSY_SECONDS 2u
#define STAND_PART   4u /* of a second that cores are waited for */

static struct {
    bool on;
    bool dead;      /* L0 has panicked */
    bool stopped;   /* the cores are to stand still */
    bool shown;     /* the prompt, on a shared port */
    u32 owner;      /* the core that has all of the following: its index + 1 */
    u32 core;       /* that commands are about */
    u32 hello;      /* bytes of gdb_hello seen */
    u64 last_typed; /* a value of the time-stamp counter */
    struct line line;
    char prompt[LINE_PROMPT_MAX];
} monitor;

struct monitor_watch monitor_watch = {.reason = MONITOR_WATCHES_NOTHING};

bool monitor_is_on(void) { return monitor.on; }

bool monitor_is_dead(void) { return monitor.dead; }

bool monitor_stands(void) { return __atomic_load_n(&monitor.stopped, __ATOMIC_ACQUIRE); }

u32 monitor_core(void) { return monitor.core; }

bool monitor_is_busy(void) { return rdtsc() - monitor.last_typed < BUSY_SECONDS * l0.boot.tsc_hz; }

/* ---- The terminal ---- */

static void put(char c)
{
    if (c == '\n')
        uart_put('\r');
    uart_put((u8)c);
}

/* The line editor's: it ends its lines itself. */
static void put_raw(char c) { uart_put((u8)c); }

static void put_formatted(void *context, char c)
{
    (void)context;
    put(c);
}

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_to(debugger_is_on() ? debugger_print : put_formatted, NULL, format, args);
    va_end(args);
}

static void show_prompt(void)
{
    if (debugger_is_on())
        return;
    format_string(monitor.prompt, sizeof(monitor.prompt), "plastron %u%s> ", monitor.core,
                  monitor.dead      ? " panic"
                  : monitor.stopped ? " stopped"
                                    : "");
    line_set_prompt(&monitor.line, monitor.prompt);
    line_prompt(&monitor.line);
}

void monitor_choose(u32 core) { monitor.core = core; }

/* ---- Who has the monitor ---- */

static bool try_own(const struct cpu *cpu)
{
    u32 nobody = 0;

    return __atomic_compare_exchange_n(&monitor.owner, &nobody, cpu->index + 1, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void monitor_disown(void) { __atomic_store_n(&monitor.owner, 0, __ATOMIC_RELEASE); }

bool monitor_is_owner(const struct cpu *cpu)
{
    return __atomic_load_n(&monitor.owner, __ATOMIC_RELAXED) == cpu->index + 1;
}

/* ---- Requests to other cores ---- */

static bool change_request(struct request *request, u32 from, u32 to)
{
    return __atomic_compare_exchange_n(&request->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void serve(struct cpu *cpu)
{
    struct request *request = &cpu->observer.request;

    if (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) != REQUEST_PENDING ||
        !change_request(request, REQUEST_PENDING, REQUEST_RUNNING))
        return;
    request->run(cpu, request->argument);
    __atomic_store_n(&request->state, REQUEST_DONE, __ATOMIC_RELEASE);
}

void monitor_own(struct cpu *cpu)
{
    while (!try_own(cpu)) {
        serve(cpu);
        pause();
    }
}

/* False if the core does not begin within a second. What it has begun, it ends. */
static bool wait_for(struct request *request)
{
    u64 start = rdtsc();

    while (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) != REQUEST_DONE) {
        if (rdtsc() - start > l0.boot.tsc_hz &&
            change_request(request, REQUEST_PENDING, REQUEST_NONE))
            return false;
        /* It has met with an exception, and nothing goes on there. */
        if (monitor.dead && rdtsc() - start > DEAD_SECONDS * l0.boot.tsc_hz)
            return false;
        pause();
    }
    __atomic_store_n(&request->state, REQUEST_NONE, __ATOMIC_RELAXED);
    return true;
}

static bool can_be_asked(const struct cpu *cpu)
{
    if (!__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE)) {
        say("core %u runs without Plastron\n", cpu->index);
        return false;
    }
    if (__atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE)) {
        say("core %u waits for a SIPI: it runs nothing, and does not answer\n", cpu->index);
        return false;
    }
    return true;
}

bool monitor_run_on(u32 core, void (*run)(struct cpu *cpu, void *argument), void *argument)
{
    struct cpu *cpu = cpus[core];
    struct request *request = &cpu->observer.request;

    if (cpu == this_cpu()) {
        run(cpu, argument);
        return true;
    }
    if (!can_be_asked(cpu))
        return false;
    request->run = run;
    request->argument = argument;
    __atomic_store_n(&request->state, REQUEST_PENDING, __ATOMIC_RELEASE);
    if (!monitor.dead)
        init_kick(cpu);
    if (wait_for(request))
        return true;
    say("core %u does not answer: it may be in L0, or in a state that no interrupt ends\n", core);
    return false;
}

/* ---- Standing still ---- */

static void kick_others(const struct cpu *self)
{
    for (u32 i = 0; i < cpu_count; i++)
        if (cpus[i] != self && __atomic_load_n(&cpus[i]->started, __ATOMIC_ACQUIRE) &&
            !__atomic_load_n(&cpus[i]->waits_for_sipi, __ATOMIC_ACQUIRE))
            init_kick(cpus[i]);
}

void monitor_stop(void)
{
    if (monitor_stands())
        return;
    __atomic_store_n(&monitor.stopped, true, __ATOMIC_SEQ_CST);
    kick_others(this_cpu());
}

void monitor_go(void) { __atomic_store_n(&monitor.stopped, false, __ATOMIC_SEQ_CST); }

static void read_typed(struct cpu *cpu);

void monitor_stand_a_while(struct cpu *cpu)
{
    serve(cpu);
    read_typed(cpu);
    pause();
}

bool monitor_core_stands(const struct cpu *cpu)
{
    return cpu == this_cpu() || __atomic_load_n(&cpu->observer.stands, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE) ||
           !__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE);
}

void monitor_await_standing(void)
{
    u64 start = rdtsc();

    for (u32 i = 0; i < cpu_count; i++)
        while (!monitor_core_stands(cpus[i]) && rdtsc() - start < l0.boot.tsc_hz / STAND_PART)
            pause();
}

/* What a debugger sees of L0 on this core. */
#define NOTE_PLACE(observer)                                                                       \
    __asm__ volatile("lea (%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"                           \
                     : "=&r"((observer)->stands_rip), "=&r"((observer)->stands_rsp),               \
                       "=&r"((observer)->stands_rbp))

static __attribute__((noinline)) void stand_still(struct cpu *cpu)
{
    struct observer *o = &cpu->observer;

    NOTE_PLACE(o);
    __atomic_store_n(&o->stands, true, __ATOMIC_RELEASE);
    while (monitor_stands() && __atomic_load_n(&o->step, __ATOMIC_ACQUIRE) != STEP_WANTED) {
        monitor_stand_a_while(cpu);
        if (panicking)
            panic_stop_this_core();
    }
    __atomic_store_n(&o->stands, false, __ATOMIC_RELEASE);
}

/* ---- What is typed ---- */

struct call {
    const struct command *command;
    const struct words *words;
    bool understood;
};

static void run_call(struct cpu *cpu, void *argument)
{
    struct call *call = argument;

    call->understood = call->command->run(cpu, call->words);
}

static void run_on_chosen(const struct command *command, const struct words *words)
{
    struct call call = {command, words, true};

    monitor_run_on(monitor.core, run_call, &call);
    if (!call.understood)
        command_usage(command);
}

void monitor_execute(const char *line) { command_execute(line, run_on_chosen); }

static void edit(u8 byte)
{
    const char *line = line_feed(&monitor.line, byte);

    if (!line)
        return;
    monitor_execute(line);
    show_prompt();
}

static void feed_debugger(u8 byte)
{
    debugger_feed(byte);
    if (!debugger_is_on())
        show_prompt();
}

/* How gdb begins: it acknowledges nothing, and asks. An echo would be an answer to it. */
static const char gdb_hello[] = "$qSupported";

/* True if the byte is the next one of that, at the beginning of a line. */
static bool is_hello(u8 byte)
{
    if (monitor.line.length || byte != (u8)gdb_hello[monitor.hello])
        return false;
    if (gdb_hello[++monitor.hello])
        return true;
    monitor.hello = 0;
    debugger_start();
    for (const char *at = gdb_hello; *at; at++)
        debugger_feed((u8)*at);
    return true;
}

static void take_byte(u8 byte)
{
    u32 seen = monitor.hello;

    if (debugger_is_on()) {
        feed_debugger(byte);
        return;
    }
    if (is_hello(byte) || (byte == '+' && monitor.line.length + seen == 0))
        return;
    monitor.hello = 0;
    for (u32 i = 0; i < seen; i++)
        edit((u8)gdb_hello[i]);
    edit(byte);
}

static void greet(void)
{
    say("\nPlastron " PLASTRON_VERSION ": the monitor; `help` lists its commands%s\n",
        l0.boot.config.monitor_port == COM1_PORT ? ", Ctrl-^ goes back to L1" : "");
    show_prompt();
}

/* A shared port changes hands by the escape key. */
static void follow_escape(void)
{
    if (uart_is_taken() == monitor.shown)
        return;
    monitor.shown = !monitor.shown;
    if (monitor.shown)
        greet();
    else
        say("\nPlastron: L1 again\n");
}

static void read_typed(struct cpu *cpu)
{
    u8 byte;

    if (!try_own(cpu))
        return;
    for (u32 i = 0; i < BYTES_A_LOOK && uart_get(&byte); i++) {
        monitor.last_typed = rdtsc();
        follow_escape();
        take_byte(byte);
    }
    follow_escape();
    monitor_disown();
}

bool monitor_is_interrupted(void)
{
    u8 byte;

    return uart_get(&byte);
}

/* Text that comes while nobody has asked: on a line of its own, and the prompt again. */
static __attribute__((format(printf, 2, 3))) void announce(struct cpu *cpu, const char *format, ...)
{
    va_list args;

    if (!uart_is_taken() || debugger_is_on())
        return;
    monitor_own(cpu);
    put('\n');
    va_start(args, format);
    format_to(put_formatted, NULL, format, args);
    va_end(args);
    put('\n');
    show_prompt();
    monitor_disown();
}

/* ---- At exits ---- */

static bool is_watched(const struct cpu *cpu, u32 reason)
{
    if (!cpu->in_l2 && reason == EXIT_REASON_TRIPLE_FAULT)
        return uart_is_taken();
    return reason == monitor_watch.reason && monitor_watch.level == (cpu->in_l2 ? 2u : 1u);
}

static void tell_place(struct cpu *cpu, const char *why, const char *what)
{
    announce(cpu, "core %u: %s %s at RIP %#lx", cpu->index, why, what, vmread(GUEST_RIP));
    debugger_stopped(cpu, cpu->in_l2 ? 2 : 1, GDB_SIGTRAP, false);
}

/* An exit that L0 itself has made is no end of a step: the guest may not have come to run. */
static bool ends_step(const struct cpu *cpu, u32 reason)
{
    if (reason == EXIT_REASON_PREEMPTION_TIMER)
        return cpu->in_l2 && !cpu->observer.own_exit;
    return reason != EXIT_REASON_INIT || !__atomic_load_n(&cpu->kicked, __ATOMIC_ACQUIRE);
}

static void look_at_step(struct cpu *cpu, u32 reason)
{
    if (cpu->observer.step != STEP_RUNS || !ends_step(cpu, reason))
        return;
    cpu->observer.step = STEP_ENDS;
    set_monitor_trap(cpu->step || (cpu->in_l2 && l2_wants_mtf(cpu)));
}

void monitor_look(struct cpu *cpu)
{
    u32 reason = vmread32(VM_EXIT_REASON) & EXIT_REASON_BASIC_MASK;
    u64 now = rdtsc();

    serve(cpu);
    look_at_step(cpu, reason);
    if (ends_step(cpu, reason) && is_watched(cpu, reason)) {
        monitor_stop();
        tell_place(cpu, cpu->in_l2 ? "L2's exit" : "L1's exit", exit_reason_name(reason));
    }
    /* Whatever L1 does to the time-stamp counter. */
    if (now - cpu->observer.last_look >= timer_period(monitor_is_busy())) {
        read_typed(cpu);
        cpu->observer.last_look = now;
    }
    if (monitor_stands() && cpu->observer.step == STEP_NOT)
        stand_still(cpu);
}

void monitor_look_after(struct cpu *cpu)
{
    struct observer *o = &cpu->observer;

    if (o->step == STEP_ENDS) {
        o->step = STEP_NOT;
        tell_place(cpu, "stepped:", cpu->in_l2 ? "L2" : "L1");
        stand_still(cpu);
    }
    /* What was asked while this exit was another's kick, which is over. */
    serve(cpu);
    if (monitor_stands() && o->step == STEP_NOT)
        stand_still(cpu);
    if (o->step != STEP_NOT)
        o->step = STEP_RUNS;
}

/* ---- Start and end ---- */

bool monitor_init(void)
{
    u16 port = l0.boot.config.monitor_port;

    l0.observed = recording = l0.boot.config.trace || port;
    if (!port)
        return true;
    if (!uart_init(port, l0.boot.config.console_baud, port == COM1_PORT)) {
        log_error("no monitor: no UART answers at port %#x (monitor= in plastron.conf)", port);
        return true;
    }
    monitor.on = true;
    line_init(&monitor.line, put_raw, "");
    monitor.line.complete = command_complete;
    log_info("the monitor is on port %#x%s", port,
             port == COM1_PORT ? ", behind Ctrl-^" : ", which L1 does not see");
    follow_escape();
    return io_init_shared();
}

void monitor_post_mortem(const struct trap_frame *frame)
{
    struct cpu *cpu = this_cpu();

    if (!monitor.on)
        return;
    debugger_note_panic(frame);
    monitor.dead = true;
    monitor.stopped = true;
    monitor.core = cpu->index;
    monitor_disown();
    uart_recover();
    say("\nPlastron has panicked on core %u: `log 200` shows the dump\n", cpu->index);
    debugger_stopped(cpu, 0, GDB_SIGABRT, false);
    monitor.shown = true;
    show_prompt();
    for (;;) {
        read_typed(cpu);
        pause();
    }
}

void monitor_serve_dead(struct cpu *cpu)
{
    NOTE_PLACE(&cpu->observer);
    while (monitor.on) {
        serve(cpu);
        pause();
    }
}
