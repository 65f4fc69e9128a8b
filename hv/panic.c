/*
 * The end of L0. Whatever is touched here may be what is broken: no lock is taken, no address is
 * followed unchecked, every wait is bounded, and a second failure prints one line and halts.
 */
#include "panic.h"
#include "cpu.h"
#include "format.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "log_ring.h"
#include "names.h"
#include "plastron_version.h"
#include "record.h"
#include "recorder.h"
#include "suspect.h"
#include "symbols.h"
#include "trap.h"
#include "vmcs_dump.h"
#include "x86.h"
#include "monitor/monitor.h"
#include "../drivers/lapic.h"

#define BACKTRACE_MAX   32
#define REPLAY_LINES    20
#define EVENTS_A_CORE   16
#define STOP_WAIT_TICKS 50000000ull /* of the time-stamp counter: some 20 ms */

/* SDM vol. 3, "Machine-Check MSRs". */
#define MSR_IA32_MCG_STATUS 0x17a
#define MSR_IA32_MC0_STATUS 0x401
#define MSR_IA32_MC0_ADDR   0x402
#define MSR_IA32_MC0_MISC   0x403
#define MC_BANK_MSRS        4
#define MC_STATUS_VALID     BIT64(63)

/* The panicking core's APIC ID + 1. */
volatile u32 panicking;
static u32 depth; /* of panics on that core */
static volatile u8 stopped[MAX_CPUS];
static volatile u32 stopped_count;

void panic_nmi(void); /* hv/trap.asm */

/* By CPUID rather than struct cpu: valid from the first instruction on. */
static u32 core_apic_id(void)
{
    struct cpuid_result topology;

    if (cpuid(0, 0).eax >= 0xb) {
        topology = cpuid(0xb, 0);
        if (topology.ebx)
            return topology.edx;
    }
    return cpuid(1, 0).ebx >> 24;
}

/* This core's, or NULL as long as GS base does not point to one. */
static struct cpu *find_cpu(void)
{
    u64 base = 0;

    rdmsr_safe(MSR_IA32_GS_BASE, &base);
    for (u32 i = 0; i < MAX_CPUS; i++)
        if (base && (u64)cpus[i] == base)
            return cpus[i];
    return NULL;
}

static _Noreturn void halt(void)
{
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

_Noreturn void panic_stop_this_core(void)
{
    struct cpu *cpu = find_cpu();

    /* Both the INIT and the NMI may lead here. */
    if (cpu && cpu->index < MAX_CPUS && !stopped[cpu->index]) {
        stopped[cpu->index] = 1;
        __atomic_add_fetch(&stopped_count, 1, __ATOMIC_RELEASE);
        monitor_serve_dead(cpu);
    }
    halt();
}

/* A core that has stopped serves the monitor, and goes on with that. */
void panic_nmi(void)
{
    const struct cpu *cpu = find_cpu();

    if (panicking != core_apic_id() + 1 && !(cpu && stopped[cpu->index]))
        panic_stop_this_core();
}

static void await_others(void)
{
    u64 start = rdtsc();

    while (stopped_count + 1 < cpu_count && rdtsc() - start < STOP_WAIT_TICKS)
        pause();
}

/*
 * An INIT makes a core in guest mode exit; it comes first, so that the guest sees no NMI. An NMI
 * stops a core that is in L0, which blocks INIT. A core that waits for a SIPI takes neither, and is
 * stopped when the SIPI comes.
 */
static void stop_others(void)
{
    lapic_send_others(LAPIC_INIT);
    await_others();
    if (stopped_count + 1 >= cpu_count)
        return;
    lapic_send_others(LAPIC_NMI);
    await_others();
}

/* lookup: a byte of the instruction that is meant, at or just before the address. */
static void print_address(const char *what, u64 address, u64 lookup)
{
    u64 offset = 0;
    const char *name = symbol_find(lookup, &offset);

    if (name)
        log_raw("  %s %016lx %s+%#lx\n", what, address, name, offset + (address - lookup));
    else
        log_raw("  %s %016lx ?\n", what, address);
}

static bool in_stack(u64 address, u64 top, u64 size)
{
    return top > size && address >= top - size && address < top && top - address >= 16;
}

/* The stack pointers of the TSS: SDM vol. 3, "64-Bit TSS Format". */
static u64 ist_top(const struct cpu *cpu, u32 ist)
{
    u32 word = 9 + (ist - 1) * 2;

    return (u64)cpu->descriptors.tss[word + 1] << 32 | cpu->descriptors.tss[word];
}

/* Two words at the address may be read: they lie in one of this core's stacks. */
static bool frame_valid(const struct cpu *cpu, u64 address)
{
    u64 own = (u64)__builtin_frame_address(0);

    if (address % 8)
        return false;
    if (!cpu) /* the stack is unknown, but its current page is there */
        return in_stack(address, align_down(own, PAGE_SIZE) + PAGE_SIZE, PAGE_SIZE);
    if (in_stack(address, cpu->stack_top, CPU_STACK_SIZE))
        return true;
    for (u32 ist = 1; ist <= IST_COUNT; ist++)
        if (in_stack(address, ist_top(cpu, ist), CPU_IST_STACK_SIZE))
            return true;
    return false;
}

static void print_backtrace(const struct cpu *cpu, const struct trap_frame *frame, u64 rbp)
{
    log_raw("backtrace:\n");
    if (frame)
        print_address("at  ", frame->rip, frame->rip);
    for (u32 i = 0; i < BACKTRACE_MAX && frame_valid(cpu, rbp); i++) {
        const u64 *link = (const u64 *)rbp;

        if (link[1] < L0_VIRT_BASE) /* the guest's, behind the exit stub */
            return;
        /* Looked up one byte before: a call that never returns may end its function. */
        print_address("from", link[1], link[1] - 1);
        rbp = link[0];
    }
}

static void print_registers(const struct trap_frame *r)
{
    log_raw("rax %016lx rcx %016lx rdx %016lx rbx %016lx\n", r->rax, r->rcx, r->rdx, r->rbx);
    log_raw("rsp %016lx rbp %016lx rsi %016lx rdi %016lx\n", r->rsp, r->rbp, r->rsi, r->rdi);
    log_raw("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", r->r8, r->r9, r->r10, r->r11);
    log_raw("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", r->r12, r->r13, r->r14, r->r15);
    log_raw("rip %016lx rflags %08lx cs %04lx ss %04lx vector %lu error code %lx\n", r->rip,
            r->rflags, r->cs, r->ss, r->vector, r->error_code);
}

static void print_control_registers(void)
{
    u64 efer = 0, gs_base = 0;

    rdmsr_safe(MSR_IA32_EFER, &efer);
    rdmsr_safe(MSR_IA32_GS_BASE, &gs_base);
    log_raw("cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx\n", read_cr0(), read_cr2(), read_cr3(),
            read_cr4());
    log_raw("efer %lx gs_base %016lx\n", efer, gs_base);
}

static void print_guest_registers(const struct cpu *cpu)
{
    const u64 *r = cpu->gpr;

    log_raw("%s's registers (rip, rsp, rflags: in the VMCS):\n", cpu->in_l2 ? "L2" : "L1");
    log_raw("rax %016lx rcx %016lx rdx %016lx rbx %016lx\n", r[RAX], r[RCX], r[RDX], r[RBX]);
    log_raw("    %16s rbp %016lx rsi %016lx rdi %016lx\n", "", r[RBP], r[RSI], r[RDI]);
    log_raw("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", r[R8], r[R9], r[R10], r[R11]);
    log_raw("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", r[R12], r[R13], r[R14], r[R15]);
}

static void print_machine_check(void)
{
    u64 cap = 0, status = 0, bank_status, addr, misc;

    rdmsr_safe(MSR_IA32_MCG_CAP, &cap);
    rdmsr_safe(MSR_IA32_MCG_STATUS, &status);
    log_raw("machine check: MCG_CAP %lx MCG_STATUS %lx\n", cap, status);
    for (u32 bank = 0; bank < (cap & 0xff); bank++) {
        bank_status = addr = misc = 0;
        if (!rdmsr_safe(MSR_IA32_MC0_STATUS + bank * MC_BANK_MSRS, &bank_status) ||
            !(bank_status & MC_STATUS_VALID))
            continue;
        rdmsr_safe(MSR_IA32_MC0_ADDR + bank * MC_BANK_MSRS, &addr);
        rdmsr_safe(MSR_IA32_MC0_MISC + bank * MC_BANK_MSRS, &misc);
        log_raw("  bank %u: STATUS %016lx ADDR %016lx MISC %016lx\n", bank, bank_status, addr,
                misc);
    }
}

static void print_exits_of(u32 index, const char *level, const u64 *counts)
{
    char text[160];
    size_t len = 0;

    for (u32 reason = 0; reason < EXIT_REASON_COUNT; reason++) {
        if (!counts[reason])
            continue;
        if (len > 80) {
            log_raw("core %u: exits of %s:%s\n", index, level, text);
            len = 0;
        }
        len += format_string(text + len, sizeof(text) - len, " %s %lu", exit_reason_name(reason),
                             counts[reason]);
    }
    if (len)
        log_raw("core %u: exits of %s:%s\n", index, level, text);
}

static void print_exits(void)
{
    for (u32 i = 0; i < MAX_CPUS; i++) {
        if (!cpus[i])
            continue;
        print_exits_of(i, "L1", cpus[i]->exits_l1);
        print_exits_of(i, "L2", cpus[i]->exits_l2);
    }
}

static void print_line(const char *text) { log_raw("%s\n", text); }

static void print_recorders(void)
{
    if (!l0.observed) {
        log_raw("the flight recorder is off (trace=on or monitor= in plastron.conf)\n");
        return;
    }
    log_raw("the flight recorder's last events:\n");
    for (u32 i = 0; i < MAX_CPUS; i++)
        if (cpus[i] && cpus[i]->recorder)
            recorder_print(cpus[i]->recorder, EVENTS_A_CORE, record_text_of, print_line);
}

static void print_core(const struct cpu *cpu)
{
    if (cpu)
        log_raw("core %u (APIC ID %u), %s ran last; %u of %u other cores stopped\n", cpu->index,
                core_apic_id(), cpu->in_l2 ? "L2" : "L1", stopped_count, cpu_count - 1);
    else
        log_raw("APIC ID %u, before its core was set up\n", core_apic_id());
}

/* Returns on the first core that panics, on its first panic. */
static void claim(const char *reason, u64 rip)
{
    u32 self = core_apic_id() + 1, nobody = 0;

    if (__atomic_compare_exchange_n(&panicking, &nobody, self, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
        depth = 1;
        return;
    }
    if (nobody != self)
        panic_stop_this_core();
    if (++depth == 2) {
        log_raw("\nPlastron: panic in panic: %s at %016lx\n", reason, rip);
        log_raw("Plastron: machine stopped: switch off or reset\n");
    }
    halt();
}

static _Noreturn void stop_machine(const char *reason, const struct trap_frame *frame, u64 rbp)
{
    struct cpu *cpu = find_cpu();
    u64 log_end = log_enter_panic();

    stop_others();
    log_raw("\nPlastron: PANIC: %s\n", reason);
    log_raw("Plastron " PLASTRON_VERSION "\n");
    print_core(cpu);
    if (cpu)
        suspect_print(frame);
    if (frame)
        print_registers(frame);
    print_control_registers();
    if (frame && frame->vector == VECTOR_MC)
        print_machine_check();
    print_backtrace(cpu, frame, rbp);
    if (cpu)
        print_guest_registers(cpu);
    vmcs_dump();
    print_exits();
    print_recorders();
    log_raw("the log before:\n");
    log_replay(log_end, REPLAY_LINES);
    log_raw("Plastron: machine stopped: switch off or reset\n");
    if (cpu)
        monitor_post_mortem(frame);
    halt();
}

_Noreturn void panic(const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    format_string_v(reason, sizeof(reason), format, args);
    va_end(args);
    claim(reason, (u64)__builtin_return_address(0));
    stop_machine(reason, NULL, (u64)__builtin_frame_address(0));
}

static const char *trap_name(u64 vector)
{
    if (vector == TRAP_UNEXPECTED_INTERRUPT)
        return "unexpected interrupt";
    return exception_name(vector);
}

_Noreturn void panic_trap(const struct trap_frame *frame)
{
    char reason[64];

    format_string(reason, sizeof(reason), "%s in L0", trap_name(frame->vector));
    claim(reason, frame->rip);
    stop_machine(reason, frame, frame->rbp);
}
