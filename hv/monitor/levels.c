#include "levels.h"

#include "guest.h"
#include "linear.h"
#include "monitor.h"
#include "x86.h"
#include "../insn.h"
#include "../trap.h"
#include "../vmcs.h"
#include "../../mm/phys.h"

struct trap_frame *l0_frames[MAX_CPUS];

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

#define GENERAL         (BIT64(16) - 1) /* RAX to R15 */
#define GENERAL_AND_RIP (BIT64(18) - 1) /* RIP and RFLAGS, too */

/* By enum gpr: the register's place in struct gdb_registers. */
#define PLACE(name) offsetof(struct gdb_registers, name) / sizeof(u64)
static const u8 gpr_place[16] = {
    [RAX] = PLACE(rax), [RCX] = PLACE(rcx), [RDX] = PLACE(rdx), [RBX] = PLACE(rbx),
    [RSP] = PLACE(rsp), [RBP] = PLACE(rbp), [RSI] = PLACE(rsi), [RDI] = PLACE(rdi),
    [R8] = PLACE(r8),   [R9] = PLACE(r9),   [R10] = PLACE(r10), [R11] = PLACE(r11),
    [R12] = PLACE(r12), [R13] = PLACE(r13), [R14] = PLACE(r14), [R15] = PLACE(r15),
};

static void read_frame(const struct trap_frame *f, struct gdb_registers *to)
{
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
    };
}

/* Of a core that stands still, by what it has noted. */
static void read_noted(const struct observer *observer, struct gdb_registers *to)
{
    *to = (struct gdb_registers){
        .rbp = observer->stands_rbp,
        .rsp = observer->stands_rsp,
        .rip = observer->stands_rip,
        .eflags = RFLAGS_FIXED,
        .cs = L0_CODE_SELECTOR,
        .ss = L0_DATA_SELECTOR,
        .unknown = GENERAL & ~(GDB_REGISTER(rsp) | GDB_REGISTER(rbp)),
    };
}

static void read_l0(const struct cpu *cpu, struct gdb_registers *to)
{
    const struct trap_frame *frame = l0_frames[cpu->index];

    if (frame)
        read_frame(frame, to);
    else
        read_noted(&cpu->observer, to);
    to->gs_base = (u64)cpu;
    to->cr0 = read_cr0();
    to->cr2 = read_cr2();
    to->cr3 = read_cr3();
    to->cr4 = read_cr4();
    to->unknown |= GDB_REGISTER(efer) | GDB_REGISTER(fs_base);
}

static void read_guest(struct cpu *cpu, u32 level, struct gdb_registers *to)
{
    *to = (struct gdb_registers){.unknown = 0};
    for (u32 i = 0; i < ARRAY_SIZE(gpr_place); i++)
        to->value[gpr_place[i]] = cpu->gpr[i];
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
        to->unknown = GENERAL & ~GDB_REGISTER(rsp);
}

static void read_registers(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    if (job->level)
        read_guest(cpu, job->level, job->to);
    else
        read_l0(cpu, job->to);
}

bool level_read_registers(u32 thread, struct gdb_registers *to)
{
    struct job job = {.to = to};

    return run_job(thread, read_registers, &job);
}

static bool write_l0(const struct cpu *cpu, const struct gdb_registers *from)
{
    struct trap_frame *f = l0_frames[cpu->index];

    if (!f)
        return false;
    f->rax = from->rax;
    f->rbx = from->rbx;
    f->rcx = from->rcx;
    f->rdx = from->rdx;
    f->rsi = from->rsi;
    f->rdi = from->rdi;
    f->rbp = from->rbp;
    f->rsp = from->rsp;
    f->r8 = from->r8;
    f->r9 = from->r9;
    f->r10 = from->r10;
    f->r11 = from->r11;
    f->r12 = from->r12;
    f->r13 = from->r13;
    f->r14 = from->r14;
    f->r15 = from->r15;
    f->rip = from->rip;
    return true;
}

/* The VMCS of the guest that runs is current, if L0 does not stand in the middle of its work. What
   its flags may be is the processor's to check. */
static bool write_guest(struct cpu *cpu, u32 level, const struct gdb_registers *from)
{
    if (l0_frames[cpu->index] || level != guest_running(cpu))
        return false;
    for (u32 i = 0; i < ARRAY_SIZE(gpr_place); i++)
        cpu->gpr[i] = from->value[gpr_place[i]];
    vmwrite(GUEST_RSP, from->rsp);
    vmwrite(GUEST_RIP, from->rip);
    vmwrite(GUEST_RFLAGS, (from->eflags & ~RFLAGS_RESERVED_MASK) | RFLAGS_FIXED);
    return true;
}

static void write_registers(struct cpu *cpu, void *argument)
{
    struct job *job = argument;
    struct gdb_registers all;

    job->to = &all;
    read_registers(cpu, job);
    for (u32 i = 0; i < ARRAY_SIZE(all.value); i++)
        if (job->which >> i & 1)
            all.value[i] = job->from->value[i];
    job->succeeded = !(job->which & ~GENERAL_AND_RIP) && !(job->which & all.unknown) &&
                     (job->level ? write_guest(cpu, job->level, &all) : write_l0(cpu, &all));
}

bool level_write_registers(u32 thread, const struct gdb_registers *from, u64 which)
{
    struct job job = {.from = from, .which = which};

    return run_job(thread, write_registers, &job) && job.succeeded;
}

/* ---- Memory ---- */

bool l0_read_byte(u64 address, u8 *byte)
{
    u8 done = 0, value = 0;

    __asm__ volatile("1: movb (%2), %1\n\tmovb $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&q"(done), "+&q"(value)
                     : "r"(address)
                     : "memory");
    *byte = value;
    return done;
}

/* False if it cannot be written, too. */
static bool l0_write_byte(u64 address, u8 byte)
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

static bool read_byte(struct cpu *cpu, u32 level, u64 address, u8 *byte)
{
    u64 pa;

    if (!level)
        return l0_read_byte(address, byte);
    if (!guest_reach(cpu, level, address, &pa))
        return false;
    phys_read(byte, pa, 1);
    return true;
}

static bool write_byte(struct cpu *cpu, u32 level, u64 address, u8 byte)
{
    u64 pa;

    if (!level)
        return l0_write_byte(address, byte);
    if (!guest_reach(cpu, level, address, &pa))
        return false;
    phys_write(pa, &byte, 1);
    return true;
}

static void read_memory(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    while (job->done < job->len &&
           read_byte(cpu, job->level, job->address + job->done, &job->bytes[job->done]))
        job->done++;
}

u64 level_read_memory(u32 thread, u64 address, void *to, u64 len)
{
    struct job job = {.address = address, .bytes = to, .len = len};

    run_job(thread, read_memory, &job);
    return job.done;
}

static void write_memory(struct cpu *cpu, void *argument)
{
    struct job *job = argument;

    while (job->done < job->len &&
           write_byte(cpu, job->level, job->address + job->done, job->source[job->done]))
        job->done++;
}

u64 level_write_memory(u32 thread, u64 address, const void *from, u64 len)
{
    struct job job = {.address = address, .source = from, .len = len};

    run_job(thread, write_memory, &job);
    return job.done;
}
