/* Time in L2: TSC offset and scaling, the preemption timer in every state, PAUSE loops, MWAIT. */
#include "guest_rows.h"

#define MSR_TSC    0x10u
#define OFFSETTING PROC(CPU_BASED_USE_TSC_OFFSETING)
#define SCALING    PROC2(SECONDARY_EXEC_TSC_SCALING)
#define RDTSCP_ON  PROC2(SECONDARY_EXEC_ENABLE_RDTSCP)
#define BITMAPS    PROC(CPU_BASED_USE_MSR_BITMAPS)
#define SCALE_ONE  BIT64(48)

static u64 read_tsc(void)
{
    u32 low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

/* ---- what L2 reads, between what it could have read before and after. SDM vol. 3, 26.3 */

static u64 tsc_before;

static void note_tsc(void) { tsc_before = read_tsc(); }

static bool control_on(u32 field, u32 bit)
{
    return control_caps(field)->may & bit && vm_read(field) & bit;
}

static u64 guest_tsc(u64 tsc)
{
    u32 proc = CPU_BASED_VM_EXEC_CONTROL, proc2 = SECONDARY_VM_EXEC_CONTROL;

    if (!control_on(proc, CPU_BASED_USE_TSC_OFFSETING))
        return tsc;
    if (control_on(proc, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) &&
        control_on(proc2, SECONDARY_EXEC_TSC_SCALING))
        tsc = (u64)((unsigned __int128)tsc * vm_read(TSC_MULTIPLIER) >> 48);
    return tsc + vm_read(TSC_OFFSET);
}

static void say_tsc(void)
{
    u64 value = exec.gpr[RDX] << 32 | (u32)exec.gpr[RAX];
    u64 first = guest_tsc(tsc_before), last = guest_tsc(read_tsc());

    say(value - first <= last - first ? " in time" : " out of time");
}

struct tsc_case {
    const char *name;
    struct edit edits[4];
};

static const struct tsc_case tsc_cases[] = {
    {"plain", {}},
    {"offset unused", {SET(TSC_OFFSET, BIT64(44))}},
    {"offset 0", {OFFSETTING, SET(TSC_OFFSET, 0)}},
    {"offset 2^44", {OFFSETTING, SET(TSC_OFFSET, BIT64(44))}},
    {"offset -2^44", {OFFSETTING, SET(TSC_OFFSET, -BIT64(44))}},
    {"offset -1", {OFFSETTING, SET(TSC_OFFSET, ~0ull)}},
    {"offset 2^63", {OFFSETTING, SET(TSC_OFFSET, BIT64(63))}},
    {"scaling without offsetting", {SCALING, SET(TSC_MULTIPLIER, 2 * SCALE_ONE)}},
    {"scale 1", {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, SCALE_ONE)}},
    {"scale 2", {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, 2 * SCALE_ONE)}},
    {"scale 1/2", {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, SCALE_ONE / 2)}},
    {"scale 0", {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, 0)}},
    {"scale max", {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, ~0ull)}},
    {"scale 3 and offset",
     {OFFSETTING, SCALING, SET(TSC_MULTIPLIER, 3 * SCALE_ONE), SET(TSC_OFFSET, -BIT64(40))}},
};

static void tsc_rows(void)
{
    static const struct {
        const char *code;
        struct edit edit;
    } readers[] = {{"rdtsc", {0}}, {"rdtscp", RDTSCP_ON}, {"rdmsr", BITMAPS}};
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(tsc_cases); i++)
        for (u32 j = 0; j < ARRAY_SIZE(readers); j++) {
            struct guest_row what = {
                .name = name,
                .code = readers[j].code,
                .modes = M64 | M32 | REAL,
                .flags = NO_REGISTERS,
                .prepare = note_tsc,
                .finish = say_tsc,
            };

            if (tsc_cases[i].edits[0].where == SECONDARY_VM_EXEC_CONTROL ||
                tsc_cases[i].edits[1].where == SECONDARY_VM_EXEC_CONTROL)
                what.modes &= ~REAL;
            memcpy(what.edits, tsc_cases[i].edits, sizeof(tsc_cases[i].edits));
            what.edits[5] = readers[j].edit;
            what.edits[6] = (struct edit)REG(RCX, MSR_TSC);
            format_text(name, sizeof(name), "%s, %s", tsc_cases[i].name, readers[j].code);
            guest_rows("tsc", &what, 1);
        }
}

/* WRMSR in L2 writes the processor's counter, whatever the offset. */
static void say_written(void)
{
    u64 now = read_tsc();

    say(now - BIT64(50) < BIT64(32) ? " written" : " not written");
    write_msr(MSR_TSC, tsc_before);
}

static const struct guest_row written_rows[] = {
    {.name = "written",
     .code = "wrmsr",
     .flags = NO_REGISTERS,
     .edits = {BITMAPS, REG(RCX, MSR_TSC), REG(RAX, 0), REG(RDX, 1 << 18)},
     .prepare = note_tsc,
     .finish = say_written},
    {.name = "written under an offset",
     .code = "wrmsr",
     .flags = NO_REGISTERS,
     .edits = {BITMAPS, OFFSETTING, SET(TSC_OFFSET, BIT64(44)), REG(RCX, MSR_TSC), REG(RAX, 0),
               REG(RDX, 1 << 18)},
     .prepare = note_tsc,
     .finish = say_written},
};

/* ---- the preemption timer */

#define TIMER(value)    PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, value)
#define SAVED           EXIT(VM_EXIT_SAVE_PREEMPTION_TIMER)
#define ACTIVITY(state) SET(GUEST_ACTIVITY_STATE, ACTIVITY_##state)
#define IF_ON           OR(GUEST_RFLAGS, RFLAGS_IF)

static void say_timer_fell(void)
{
    say(vm_read(VMX_PREEMPTION_TIMER_VALUE) < 0x7fffffff ? " fell" : " the same");
}

static const struct guest_row timer_rows[] = {
    {.name = "falls and is saved",
     .code = "nops",
     .edits = {TIMER(0x7fffffff), SAVED},
     .finish = say_timer_fell},
    {.name = "is saved by a fault's exit",
     .code = "ud2",
     .edits = {TIMER(0x7fffffff), SAVED, SET(EXCEPTION_BITMAP, BIT(VECTOR_UD))},
     .finish = say_timer_fell},
    {.name = "is not saved",
     .code = "nops",
     .edits = {TIMER(0x7fffffff)},
     .finish = say_timer_fell},
    {.name = "1",
     .code = "loop",
     .flags = TOUCHED | NO_REGISTERS,
     .edits = {TIMER(1), SAVED},
     .show = {VMX_PREEMPTION_TIMER_VALUE}},
    {.name = "ends hlt with if",
     .code = "nop",
     .edits = {TIMER(3000), ACTIVITY(HLT), IF_ON, SAVED},
     .show = {VMX_PREEMPTION_TIMER_VALUE}},
    {.name = "ends hlt without if", .code = "nop", .edits = {TIMER(3000), ACTIVITY(HLT)}},
    {.name = "ends shutdown", .code = "nop", .edits = {TIMER(3000), ACTIVITY(SHUTDOWN)}},
    {.name = "zero in hlt", .code = "nop", .edits = {TIMER(0), ACTIVITY(HLT)}},
    {.name = "zero in shutdown", .code = "nop", .edits = {TIMER(0), ACTIVITY(SHUTDOWN)}},
    {.name = "ends hlt of the guest", .code = "hlt", .edits = {TIMER(5000)}, .flags = TOUCHED},
    {.name = "zero, failed entry",
     .code = "nop",
     .edits = {TIMER(0), SAVED, SET(GUEST_RFLAGS, 0)},
     .show = {VMX_PREEMPTION_TIMER_VALUE}},
    {.name = "zero, nmi blocked",
     .code = "nop",
     .edits = {TIMER(0), SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
    {.name = "zero, tpr below threshold",
     .code = "nop",
     .edits = {TIMER(0), PROC(CPU_BASED_TPR_SHADOW), SET(TPR_THRESHOLD, 4),
               PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)}},
    {.name = "zero, pending mtf",
     .code = "nop",
     .edits = {TIMER(0), SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_OTHER)}},
};

/* ---- PAUSE loops, SDM vol. 3, 26.1.3 */

#define PLE              PROC2(SECONDARY_EXEC_PAUSE_LOOP_EXITING)
#define GAP(gap, window) SET(PLE_GAP, gap), SET(PLE_WINDOW, window)

static const struct guest_row pause_rows[] = {
    {.name = "window passed", .edits = {PLE, GAP(100, 100)}},
    {.name = "window not reached", .edits = {PLE, GAP(100, 1000000)}},
    {.name = "gaps too large", .edits = {PLE, GAP(0, 100)}},
    {.name = "window 0", .edits = {PLE, GAP(100, 0)}},
    {.name = "gap and window 0", .edits = {PLE, GAP(0, 0)}},
    {.name = "gap and window max", .edits = {PLE, GAP(0xffffffff, 0xffffffff)}},
    {.name = "gap max", .edits = {PLE, GAP(0xffffffff, 100)}},
    {.name = "user", .modes = USER64, .edits = {PLE, GAP(100, 100)}},
    {.name = "pause exiting wins",
     .edits = {PLE, GAP(100, 1000000), PROC(CPU_BASED_PAUSE_EXITING)}},
    {.name = "pause exiting, user",
     .modes = USER64,
     .edits = {PLE, GAP(100, 100), PROC(CPU_BASED_PAUSE_EXITING)}},
    {.name = "control off", .edits = {GAP(100, 100)}},
};

static void pause_loop_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(pause_rows); i++) {
        struct guest_row what = pause_rows[i];

        /* CPL 3 can't touch the guest's memory for the row. */
        what.code = "pause loop";
        what.flags = what.modes == USER64 ? NO_REGISTERS | PLAIN_ONLY : NO_REGISTERS | TOUCHED;
        if (!feature_offered(FEATURE_PAUSE_LOOP_EXITING) &&
            what.edits[0].where != SECONDARY_VM_EXEC_CONTROL)
            continue;
        guest_rows("pause-loop", &what, 1);
    }
}

/* ---- MONITOR and MWAIT that do not exit */

static void send_interrupt(void) { apic_self_ipi(0x55); }

static void say_seen(void)
{
    apic_drain();
    say(" seen %lu", interrupts_seen);
}

static const struct guest_row mwait_rows[] = {
    {.name = "ended by the timer", .flags = TOUCHED | NO_REGISTERS, .edits = {TIMER(5000)}},
    {.name = "ended by a pending interrupt's exit",
     .flags = TOUCHED | NO_REGISTERS,
     .edits = {TIMER(50000), PIN(PIN_BASED_EXT_INTR_MASK)},
     .prepare = send_interrupt,
     .finish = say_seen},
    {.name = "mwait exiting",
     .flags = NO_REGISTERS,
     .steps = 2,
     .edits = {PROC(CPU_BASED_MWAIT_EXITING)}},
    {.name = "both exiting",
     .flags = NO_REGISTERS,
     .steps = 3,
     .edits = {PROC(CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING)}},
    {.name = "monitor exiting, user",
     .modes = USER64,
     .flags = NO_REGISTERS,
     .edits = {PROC(CPU_BASED_MONITOR_EXITING)}},
};

static void mwait_all_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(mwait_rows); i++) {
        struct guest_row what = mwait_rows[i];

        what.code = "monitor-mwait";
        guest_rows("mwait", &what, 1);
    }
}

void rows_time(void)
{
    tsc_rows();
    guest_rows("tsc", written_rows, ARRAY_SIZE(written_rows));
    guest_rows("timer", timer_rows, ARRAY_SIZE(timer_rows));
    pause_loop_rows();
    mwait_all_rows();
}
