#include "debugger.h"

#include "breakpoints.h"
#include "guest.h"
#include "levels.h"
#include "monitor.h"
#include "uart.h"
#include "x86.h"
#include "../format.h"
#include "../insn.h"

#define DR6_BS BIT64(14)

static struct gdb gdb;
static bool on;

/* L0 is to execute one instruction from its exception on: by core. */
static bool steps[MAX_CPUS];

bool debugger_is_on(void) { return on; }

void debugger_print(void *context, char c)
{
    (void)context;
    gdb_print(&gdb, c);
}

/* ---- Running ---- */

static bool thread_alive(u32 thread)
{
    u32 core = gdb_thread_core(thread);

    if (core >= cpu_count || !cpus[core]->started || cpus[core]->waits_for_sipi)
        return false;
    return gdb_thread_level(thread) != 2 ||
           __atomic_load_n(&cpus[core]->nested.current, __ATOMIC_RELAXED);
}

static const char *describe(u32 thread)
{
    static char text[64];
    const struct cpu *cpu = cpus[gdb_thread_core(thread)];
    u32 level = gdb_thread_level(thread);

    format_string(text, sizeof(text), "core %u, L%u%s", cpu->index, level,
                  !level                        ? ""
                  : level == guest_running(cpu) ? ", runs"
                                                : ", waits");
    return text;
}

/* The machine is all stopped but for what steps: `others` would run on only while it does. */
static bool resume(u32 thread, bool step, bool others)
{
    struct cpu *cpu = cpus[gdb_thread_core(thread)];

    (void)others;
    if (monitor_is_dead())
        return false;
    if (!step) {
        monitor_go();
        return true;
    }
    if (gdb_thread_level(thread)) {
        if (l0_frames[cpu->index] || gdb_thread_level(thread) != guest_running(cpu))
            return false;
        __atomic_store_n(&cpu->observer.step, STEP_WANTED, __ATOMIC_RELEASE);
        return true;
    }
    if (!l0_frames[cpu->index])
        return false;
    __atomic_store_n(&steps[cpu->index], true, __ATOMIC_RELEASE);
    return true;
}

static void put(u8 byte) { uart_put(byte); }

static const struct gdb_backend *backend(void)
{
    static struct gdb_backend all = {
        .put = put,
        .thread_alive = thread_alive,
        .describe = describe,
        .command = monitor_execute,
        .read_registers = level_read_registers,
        .write_registers = level_write_registers,
        .read_memory = level_read_memory,
        .write_memory = level_write_memory,
        .set_breakpoint = breakpoint_set,
        .clear_breakpoint = breakpoint_clear,
        .resume = resume,
    };

    all.cores = cpu_count;
    return &all;
}

/* ---- Sessions ---- */

static u32 thread_that_stands(const struct cpu *cpu)
{
    return gdb_thread(cpu->index, l0_frames[cpu->index] ? 0 : guest_running(cpu));
}

void debugger_start(void)
{
    gdb_attach(&gdb, backend());
    on = true;
    if (monitor_stands())
        gdb_stopped(&gdb, thread_that_stands(cpus[monitor_core()]), GDB_SIGTRAP, false);
}

/* gdb sends no CR of its own: somebody is at a terminal. */
static bool is_terminal(u8 byte) { return byte == '\r' && gdb_between_packets(&gdb); }

void debugger_feed(u8 byte)
{
    if (is_terminal(byte)) {
        breakpoints_clear_all();
        on = false;
        return;
    }
    switch (gdb_feed(&gdb, byte)) {
    case GDB_INTERRUPT:
        monitor_stop();
        monitor_await_standing();
        gdb_stopped(&gdb, thread_that_stands(cpus[monitor_core()]), GDB_SIGINT, false);
        break;
    case GDB_DETACHED:
        breakpoints_clear_all();
        on = false;
        if (!monitor_is_dead())
            monitor_go();
        break;
    case GDB_RESUMED:
    case GDB_NOTHING: break;
    }
}

void debugger_stopped(struct cpu *cpu, u32 level, u32 signal, bool at_breakpoint)
{
    if (!on)
        return;
    monitor_own(cpu);
    monitor_await_standing();
    gdb_stopped(&gdb, gdb_thread(cpu->index, level), signal, at_breakpoint);
    monitor_disown();
}

void debugger_note_panic(const struct trap_frame *frame)
{
    static struct trap_frame copy;

    if (!frame)
        return;
    copy = *frame;
    l0_frames[this_cpu()->index] = &copy;
}

/* ---- Exceptions of L0 ---- */

/* Stands still in the exception, until the step or the rest is to go on. */
static void stand_in_trap(struct cpu *cpu, struct trap_frame *frame, bool at_breakpoint)
{
    steps[cpu->index] = false;
    frame->rflags &= ~RFLAGS_TF;
    l0_frames[cpu->index] = frame;
    monitor_stop();
    __atomic_store_n(&cpu->observer.stands, true, __ATOMIC_RELEASE);
    debugger_stopped(cpu, 0, GDB_SIGTRAP, at_breakpoint);
    while (monitor_stands() && !__atomic_load_n(&steps[cpu->index], __ATOMIC_ACQUIRE))
        monitor_stand_a_while(cpu);
    __atomic_store_n(&cpu->observer.stands, false, __ATOMIC_RELEASE);
    l0_frames[cpu->index] = NULL;
    if (steps[cpu->index])
        frame->rflags |= RFLAGS_TF;
}

/* In what the monitor itself runs, for which it would wait; or in a panic's dump. */
static bool must_not_stand(const struct cpu *cpu)
{
    return monitor_is_owner(cpu) || l0_frames[cpu->index] || panicking || uart_is_busy() ||
           __atomic_load_n(&cpu->observer.request.state, __ATOMIC_RELAXED) == REQUEST_RUNNING;
}

static bool hit_breakpoint(struct cpu *cpu, struct trap_frame *frame)
{
    u64 address = frame->rip - 1;
    u8 now;

    if (breakpoint_is_at(address)) {
        frame->rip = address;
        if (must_not_stand(cpu))
            breakpoint_clear(address);
        else
            stand_in_trap(cpu, frame, true);
        return true;
    }
    /* Another core came here first, and gdb has taken the breakpoint away meanwhile. */
    if (!l0_read_byte(address, &now) || now == INT3)
        return false;
    frame->rip = address;
    return true;
}

bool debugger_trap(struct trap_frame *frame)
{
    struct cpu *cpu;

    if (!monitor_is_on())
        return false;
    cpu = this_cpu();
    if (frame->vector == VECTOR_BP)
        return hit_breakpoint(cpu, frame);
    if (frame->vector != VECTOR_DB || !steps[cpu->index])
        return false;
    write_dr6(read_dr6() & ~DR6_BS);
    steps[cpu->index] = false;
    frame->rflags &= ~RFLAGS_TF;
    /* The session may have ended meanwhile. */
    if (on)
        stand_in_trap(cpu, frame, false);
    return true;
}
