#include "debugger.h"

#include "guest.h"
#include "linear.h"
#include "monitor.h"
#include "say.h"
#include "uart.h"
#include "x86.h"
#include "../format.h"
#include "../insn.h"
#include "../l0.h"
#include "../trap.h"
#include "../vmcs.h"
#include "../../mm/phys.h"

#define BREAKPOINTS_MAX 16u
#define INT3            0xcc
#define DR6_BS          BIT64(14)
#define NO_BREAKPOINT   0

extern const u8 __text_start[], __text_end[];

static struct gdb gdb;
static bool on;

/* 0 in address: free. */
static struct {
    u64 address;
    u8 replaced;
} breakpoints[BREAKPOINTS_MAX];

/* Where exceptions of L0 stand, by core; NULL: none does. And whether it is to execute one
   instruction from there. */
static struct trap_frame *frames[MAX_CPUS];
static bool steps[MAX_CPUS];

bool debugger_is_on(void) { return on; }

void debugger_print(void *context, char c)
{
    (void)context;
    gdb_print(&gdb, c);
}

/* ---- What gdb asks of a core is done there ---- */

struct job {
    u32 level;
    struct gdb_registers *to;
    const struct gdb_registers *from;
    u64 which;
    u64 address;
    u8 *bytes;
    const u8 *source;
    u64 len;
    u64 done;
    bool succeeded;
};

static bool run_job(u32 thread, void (*run)(struct cpu *, void *), struct job *job)
{
    job->level = gdb_thread_level(thread);
    return monitor_run_on(gdb_thread_core(thread), run, job);
}

/* ---- Registers ---- */

/* Those of a trap frame, and of struct cpu, in the order of struct gdb_registers. */
static void read_l0(const struct cpu *cpu, struct gdb_registers *to)
{
    const struct trap_frame *f = frames[cpu->index];

    to->cr0 = read_cr0();
    to->cr2 = read_cr2();
    to->cr3 = read_cr3();
    to->cr4 = read_cr4();
    to->gs_base = (u64)cpu;
    to->unknown = GDB_REGISTER(efer) | GDB_REGISTER(fs_base);
    if (f) {
        *to = (struct gdb_registers){
            .rax = f->rax,
            .rbx = f->rbx,
            .rcx = f->rcx,
            .rdx = f->rdx,
            .rsi = f->rsi,
            .rdi = f->rdi,
            .rbp = f->rbp,
            .rsp = f->rsp,
            .r8 = f->r8,
            .r9 = f->r9,
            .r10 = f->r10,
            .r11 = f->r11,
            .r12 = f->r12,
            .r13 = f->r13,
            .r14 = f->r14,
            .r15 = f->r15,
            .rip = f->rip,
            .eflags = f->rflags,
            .cs = f->cs,
            .ss = f->ss,
            .gs_base = to->gs_base,
            .cr0 = to->cr0,
            .cr2 = to->cr2,
            .cr3 = to->cr3,
            .cr4 = to->cr4,
            .unknown = to->unknown,
        };
        return;
    }
    for (u32 i = 0; i < 16; i++)
        to->unknown |= BIT64(i);
    to->unknown &= ~(GDB_REGISTER(rsp) | GDB_REGISTER(rbp));
    to->rsp = cpu->observer.stands_rsp;
    to->rbp = cpu->observer.stands_rbp;
    to->rip = cpu->observer.stands_rip;
    to->cs = L0_CODE_SELECTOR;
    to->ss = L0_DATA_SELECTOR;
    to->eflags = RFLAGS_FIXED;
}

/* In the order of enum gpr. */
static u64 *gpr_place(struct gdb_registers *r, u32 gpr)
{
    u64 *const place[16] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
                            &r->r8,  &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15};

    return place[gpr];
}

static void read_guest(struct cpu *cpu, u32 level, struct gdb_registers *to)
{
    for (u32 i = 0; i < 16; i++)
        *gpr_place(to, i) = cpu->gpr[i];
    to->rsp = guest_field(cpu, level, GUEST_RSP);
    to->rip = guest_field(cpu, level, GUEST_RIP);
    to->eflags = guest_field(cpu, level, GUEST_RFLAGS);
    to->es = guest_field(cpu, level, GUEST_ES_SELECTOR);
    to->cs = guest_field(cpu, level, GUEST_CS_SELECTOR);
    to->ss = guest_field(cpu, level, GUEST_SS_SELECTOR);
    to->ds = guest_field(cpu, level, GUEST_DS_SELECTOR);
    to->fs = guest_field(cpu, level, GUEST_FS_SELECTOR);
    to->gs = guest_field(cpu, level, GUEST_GS_SELECTOR);
    to->fs_base = guest_field(cpu, level, GUEST_FS_BASE);
    to->gs_base = guest_field(cpu, level, GUEST_GS_BASE);
    to->cr0 = guest_field(cpu, level, GUEST_CR0);
    to->cr2 = read_cr2();
    to->cr3 = guest_field(cpu, level, GUEST_CR3);
    to->cr4 = guest_field(cpu, level, GUEST_CR4);
    to->efer = guest_field(cpu, level, GUEST_IA32_EFER);
    /* The general registers are those of the guest that runs. */
    if (level != guest_running(cpu))
        to->unknown = (BIT64(16) - 1) & ~GDB_REGISTER(rsp);
}

static void read_registers_there(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    *job->to = (struct gdb_registers){.unknown = 0};
    if (job->level)
        read_guest(cpu, job->level, job->to);
    else
        read_l0(cpu, job->to);
}

static bool read_registers(u32 thread, struct gdb_registers *to)
{
    struct job job = {.to = to};

    return run_job(thread, read_registers_there, &job);
}

#define GENERAL_AND_RIP (BIT64(18) - 1) /* RAX to R15, RIP, EFLAGS */

static bool write_l0(struct cpu *cpu, const struct gdb_registers *from)
{
    struct trap_frame *f = frames[cpu->index];

    if (!f)
        return false;
    f->rax = from->rax, f->rbx = from->rbx, f->rcx = from->rcx, f->rdx = from->rdx;
    f->rsi = from->rsi, f->rdi = from->rdi, f->rbp = from->rbp, f->rsp = from->rsp;
    f->r8 = from->r8, f->r9 = from->r9, f->r10 = from->r10, f->r11 = from->r11;
    f->r12 = from->r12, f->r13 = from->r13, f->r14 = from->r14, f->r15 = from->r15;
    f->rip = from->rip;
    return true;
}

/* The VMCS of the guest that runs is current. What its flags may be is the processor's to check. */
static bool write_guest(struct cpu *cpu, u32 level, struct gdb_registers *from)
{
    if (level != guest_running(cpu))
        return false;
    for (u32 i = 0; i < 16; i++)
        cpu->gpr[i] = *gpr_place(from, i);
    vmwrite(GUEST_RSP, from->rsp);
    vmwrite(GUEST_RIP, from->rip);
    vmwrite(GUEST_RFLAGS, (from->eflags & ~RFLAGS_RESERVED_MASK) | RFLAGS_FIXED);
    return true;
}

static void write_registers_there(struct cpu *cpu, void *argument)
{
    struct job *job = argument;
    struct gdb_registers all;

    job->to = &all;
    read_registers_there(cpu, job);
    for (u32 i = 0; i < ARRAY_SIZE(all.value); i++)
        if (job->which >> i & 1)
            all.value[i] = job->from->value[i];
    job->succeeded = !(job->which & ~GENERAL_AND_RIP) && !(job->which & all.unknown) &&
                     (job->level ? write_guest(cpu, job->level, &all) : write_l0(cpu, &all));
}

static bool write_registers(u32 thread, const struct gdb_registers *from, u64 which)
{
    struct job job = {.from = from, .which = which};

    return run_job(thread, write_registers_there, &job) && job.succeeded;
}

/* ---- Memory ---- */

/* A byte at an address of L0's; false if nothing is mapped there, or it cannot be written. */
static bool l0_byte_in(u64 address, u8 *byte)
{
    u8 done = 0, value = 0;

    __asm__ volatile("1: movb (%2), %1\n\tmovb $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&q"(done), "+&q"(value)
                     : "r"(address)
                     : "memory");
    *byte = value;
    return done;
}

static bool l0_byte_out(u64 address, u8 byte)
{
    u8 done = 0;

    __asm__ volatile("1: movb %1, (%2)\n\tmovb $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&q"(done)
                     : "q"(byte), "r"(address)
                     : "memory");
    return done;
}

/* A guest's linear address in physical memory; false if it leads nowhere. */
static bool guest_reach(struct cpu *cpu, u32 level, u64 linear, u64 *pa)
{
    char why[INSPECT_WORDS_MAX];
    struct linear_space space;

    linear_find(cpu, level, &space);
    return linear_to_gpa(&space, linear, pa, why) && !phys_is_hidden(*pa, 1);
}

static bool byte_in(struct cpu *cpu, u32 level, u64 address, u8 *byte)
{
    u64 pa;

    if (!level)
        return l0_byte_in(address, byte);
    if (!guest_reach(cpu, level, address, &pa))
        return false;
    phys_read(byte, pa, 1);
    return true;
}

static bool byte_out(struct cpu *cpu, u32 level, u64 address, u8 byte)
{
    u64 pa;

    if (!level)
        return l0_byte_out(address, byte);
    if (!guest_reach(cpu, level, address, &pa))
        return false;
    phys_write(pa, &byte, 1);
    return true;
}

static void read_memory_there(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    while (job->done < job->len &&
           byte_in(cpu, job->level, job->address + job->done, &job->bytes[job->done]))
        job->done++;
}

static u64 read_memory(u32 thread, u64 address, void *to, u64 len)
{
    struct job job = {.address = address, .bytes = to, .len = len};

    run_job(thread, read_memory_there, &job);
    return job.done;
}

static void write_memory_there(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    while (job->done < job->len &&
           byte_out(cpu, job->level, job->address + job->done, job->source[job->done]))
        job->done++;
}

static u64 write_memory(u32 thread, u64 address, const void *from, u64 len)
{
    struct job job = {.address = address, .source = from, .len = len};

    run_job(thread, write_memory_there, &job);
    return job.done;
}

/* ---- Breakpoints in L0 ---- */

/* L0's text is read-only, wherever it is mapped. The other cores stand still, and execute what
   serializes before they come here. */
static void write_text(u64 address, u8 byte)
{
    u64 cr0 = read_cr0();

    write_cr0(cr0 & ~CR0_WP);
    *(volatile u8 *)address = byte;
    write_cr0(cr0);
}

static bool in_text(u64 address)
{
    return address >= (u64)__text_start && address < (u64)__text_end;
}

/* Index + 1 of the breakpoint at an address, 0 if there is none. */
static u32 find_breakpoint(u64 address)
{
    for (u32 i = 0; i < BREAKPOINTS_MAX; i++)
        if (breakpoints[i].address == address)
            return i + 1;
    return 0;
}

static bool set_breakpoint(u64 address)
{
    u32 free = find_breakpoint(NO_BREAKPOINT);

    if (!in_text(address))
        return false;
    if (find_breakpoint(address))
        return true;
    if (!free)
        return false;
    breakpoints[free - 1].address = address;
    breakpoints[free - 1].replaced = *(const u8 *)address;
    write_text(address, INT3);
    return true;
}

static bool clear_breakpoint(u64 address)
{
    u32 found = find_breakpoint(address);

    if (!address || !found)
        return true;
    write_text(address, breakpoints[found - 1].replaced);
    breakpoints[found - 1].address = NO_BREAKPOINT;
    return true;
}

static void clear_all_breakpoints(void)
{
    for (u32 i = 0; i < BREAKPOINTS_MAX; i++)
        clear_breakpoint(breakpoints[i].address);
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
        if (frames[cpu->index] || gdb_thread_level(thread) != guest_running(cpu))
            return false;
        __atomic_store_n(&cpu->observer.step, STEP_WANTED, __ATOMIC_RELEASE);
        return true;
    }
    if (!frames[cpu->index])
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
        .read_registers = read_registers,
        .write_registers = write_registers,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .set_breakpoint = set_breakpoint,
        .clear_breakpoint = clear_breakpoint,
        .resume = resume,
    };

    all.cores = cpu_count;
    return &all;
}

/* ---- Sessions ---- */

static u32 thread_that_stands(const struct cpu *cpu)
{
    return gdb_thread(cpu->index, frames[cpu->index] ? 0 : guest_running(cpu));
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
        clear_all_breakpoints();
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
        clear_all_breakpoints();
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
    frames[this_cpu()->index] = &copy;
}

/* ---- Exceptions of L0 ---- */

/* Stands still in the exception, until the step or the rest is to go on. */
static void stand_in_trap(struct cpu *cpu, struct trap_frame *frame, bool at_breakpoint)
{
    frames[cpu->index] = frame;
    monitor_stop();
    __atomic_store_n(&cpu->observer.stands, true, __ATOMIC_RELEASE);
    debugger_stopped(cpu, 0, GDB_SIGTRAP, at_breakpoint);
    while (monitor_stands() && !__atomic_load_n(&steps[cpu->index], __ATOMIC_ACQUIRE))
        monitor_stand_a_while(cpu);
    __atomic_store_n(&cpu->observer.stands, false, __ATOMIC_RELEASE);
    frames[cpu->index] = NULL;
    if (steps[cpu->index])
        frame->rflags |= RFLAGS_TF;
}

static bool hit_breakpoint(struct cpu *cpu, struct trap_frame *frame)
{
    u64 address = frame->rip - 1;
    u8 now;

    if (find_breakpoint(address)) {
        frame->rip = address;
        if (monitor_is_owner(cpu))
            clear_breakpoint(address); /* in the monitor itself, which would ask itself */
        else
            stand_in_trap(cpu, frame, true);
        return true;
    }
    /* Another core came here first, and gdb has taken the breakpoint away meanwhile. */
    if (!l0_byte_in(address, &now) || now == INT3)
        return false;
    frame->rip = address;
    return true;
}

bool debugger_trap(struct trap_frame *frame)
{
    struct cpu *cpu;

    if (!on || monitor_is_dead())
        return false;
    cpu = this_cpu();
    if (frame->vector == VECTOR_BP)
        return hit_breakpoint(cpu, frame);
    if (frame->vector != VECTOR_DB || !steps[cpu->index])
        return false;
    steps[cpu->index] = false;
    write_dr6(read_dr6() & ~DR6_BS);
    frame->rflags &= ~RFLAGS_TF;
    stand_in_trap(cpu, frame, false);
    return true;
}

/* ---- gdb ---- */

static bool run_gdb(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    say("Attach: gdb build/plastron.elf, then `target remote` with this port; its first packet\n"
        "takes the place of the prompt, `detach` gives it back. `info threads` lists each core's\n"
        "L0, L1 and L2; `monitor COMMAND` is what is typed here.\n");
    return true;
}

const struct command command_gdb = {
    .name = "gdb",
    .arguments = "",
    .summary = "how gdb is attached",
    .details = "",
    .place = ANY_CORE,
    .run = run_gdb,
};
