/* The cores, and the state of their guests: cpus, cpu, regs, events, dr, mp. */
#include "guest_commands.h"
#include "monitor.h"
#include "say.h"
#include "../insn.h"
#include "../vmcs.h"
#include "../../drivers/lapic.h"

/* ---- cpus ---- */

static const char *core_state(const struct cpu *cpu)
{
    if (!__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE))
        return "without Plastron";
    if (__atomic_load_n(&cpu->waits_for_sipi, __ATOMIC_ACQUIRE))
        return "waits for SIPI";
    if (cpu == this_cpu())
        return "has the monitor";
    return __atomic_load_n(&cpu->observer.stands, __ATOMIC_ACQUIRE) || monitor_is_dead()
               ? "stands still"
               : "runs";
}

static bool run_cpus(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    for (u32 i = 0; i < cpu_count; i++) {
        const struct cpu *cpu = cpus[i];
        const struct vmcs02 *current = __atomic_load_n(&cpu->nested.current, __ATOMIC_RELAXED);

        say("%c core %u  APIC ID %u  %s, %s ran last, VMX operation %s",
            i == monitor_core() ? '*' : ' ', i, cpu->apic_id, core_state(cpu),
            cpu->in_l2 ? "L2" : "L1", cpu->nested.vmxon ? "on" : "off");
        if (current)
            say(", current VMCS %#lx", current->vmcs12_pa);
        say("\n");
    }
    return true;
}

const struct command command_cpus = {
    .name = "cpus",
    .arguments = "",
    .summary = "the cores, and what each does",
    .details = "The core that commands are about has a star: `cpu` chooses another one.\n",
    .place = ANY_CORE,
    .run = run_cpus,
};

/* ---- cpu ---- */

static bool run_cpu(struct cpu *none, const struct words *words)
{
    u64 core;

    (void)none;
    if (words->count != 2 || !parse_number(words->word[1], &core))
        return false;
    if (core < cpu_count)
        monitor_choose((u32)core);
    else
        say("there is no core %lu: the last one is %u\n", core, cpu_count - 1);
    return true;
}

const struct command command_cpu = {
    .name = "cpu",
    .arguments = "CORE",
    .summary = "chooses the core that commands are about",
    .details = "The prompt shows it. `cpus` lists them.\n",
    .place = ANY_CORE,
    .run = run_cpu,
};

/* ---- regs ---- */

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static void say_gprs(const struct cpu *cpu)
{
    for (u32 i = 0; i < 16; i++)
        if (i != RSP)
            say("  %-3s %016lx%s", gpr_names[i], cpu->gpr[i], i % 4 == 3 ? "\n" : "");
        else
            say("  %20s", "");
}

static void say_segment(struct cpu *cpu, u32 level, u32 index, const char *name)
{
    say("  %-4s %04lx  base %016lx  limit %08lx  rights %05lx\n", name,
        guest_field(cpu, level, GUEST_ES_SELECTOR + 2 * index),
        guest_field(cpu, level, GUEST_ES_BASE + 2 * index),
        guest_field(cpu, level, GUEST_ES_LIMIT + 2 * index),
        guest_field(cpu, level, GUEST_ES_AR_BYTES + 2 * index));
}

static bool run_regs(struct cpu *cpu, const struct words *words)
{
    static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    u32 level;

    if (!parse_level(cpu, words, &level))
        return false;
    if (!demand_guest(cpu, level))
        return true;
    say("L%u on core %u\n", level, cpu->index);
    say("  rip %016lx  rsp %016lx  rflags %08lx\n", guest_field(cpu, level, GUEST_RIP),
        guest_field(cpu, level, GUEST_RSP), guest_field(cpu, level, GUEST_RFLAGS));
    if (level == guest_running(cpu))
        say_gprs(cpu);
    else
        say("  the other registers are L%u's, which runs\n", guest_running(cpu));
    say("  cr0 %lx  cr2 %lx  cr3 %lx  cr4 %lx  efer %lx\n", guest_field(cpu, level, GUEST_CR0),
        read_cr2(), guest_field(cpu, level, GUEST_CR3), guest_field(cpu, level, GUEST_CR4),
        guest_field(cpu, level, GUEST_IA32_EFER));
    for (u32 i = 0; i < ARRAY_SIZE(segments); i++)
        say_segment(cpu, level, i, segments[i]);
    say("  gdtr base %016lx  limit %04lx\n", guest_field(cpu, level, GUEST_GDTR_BASE),
        guest_field(cpu, level, GUEST_GDTR_LIMIT));
    say("  idtr base %016lx  limit %04lx\n", guest_field(cpu, level, GUEST_IDTR_BASE),
        guest_field(cpu, level, GUEST_IDTR_LIMIT));
    return true;
}

const struct command command_regs = {
    .name = "regs",
    .arguments = "[l1|l2]",
    .summary = "registers of a guest",
    .details = "Without a level: those of the guest that the core runs. CR2 is the core's.\n",
    .place = THIS_CORE,
    .run = run_regs,
    .choices = level_choices,
};

/* ---- events ---- */

static enum guest_vmcs vmcs_of(u32 level) { return level == 1 ? GUEST_VMCS01 : GUEST_VMCS02; }

static void say_waiting_interrupt(void)
{
    u32 vector = lapic_waiting_vector();

    if (vector)
        say("  interrupt in the local APIC: vector %#x waits\n", vector);
    else
        say("  interrupt in the local APIC: none\n");
}

static bool run_events(struct cpu *cpu, const struct words *words)
{
    static const u32 fields[] = {VM_ENTRY_INTR_INFO_FIELD,    VM_ENTRY_EXCEPTION_ERROR_CODE,
                                 VM_EXIT_INTR_INFO,           VM_EXIT_INTR_ERROR_CODE,
                                 IDT_VECTORING_INFO_FIELD,    IDT_VECTORING_ERROR_CODE,
                                 GUEST_INTERRUPTIBILITY_INFO, GUEST_PENDING_DBG_EXCEPTIONS,
                                 GUEST_ACTIVITY_STATE,        GUEST_RFLAGS,
                                 GUEST_INTR_STATUS,           EXCEPTION_BITMAP};
    u32 level;

    if (!parse_level(cpu, words, &level))
        return false;
    if (!demand_guest(cpu, level))
        return true;
    say("L%u on core %u\n", level, cpu->index);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        say_field(cpu, vmcs_of(level), fields[i]);
    say_waiting_interrupt();
    say("  NMI for the guest that runs: %s\n",
        cpu->nmi_waiting || cpu->nmi_pending ? "waits" : "none");
    say("  INIT that VMX operation blocks: %s\n", cpu->init_pending ? "waits" : "none");
    return true;
}

const struct command command_events = {
    .name = "events",
    .arguments = "[l1|l2]",
    .summary = "events that wait, are injected, or were interrupted",
    .details = "VM_ENTRY_INTR_INFO_FIELD: what the next VM entry injects; VM_EXIT_INTR_INFO and\n"
               "IDT_VECTORING_INFO_FIELD: what the last exit was for, and interrupted.\n",
    .place = THIS_CORE,
    .run = run_events,
    .choices = level_choices,
};

/* ---- dr ---- */

#define DEBUG_REGISTER(n)                                                                          \
    static u64 read_dr##n(void)                                                                    \
    {                                                                                              \
        u64 value;                                                                                 \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                                      \
        return value;                                                                              \
    }
DEBUG_REGISTER(0)
DEBUG_REGISTER(1)
DEBUG_REGISTER(2)
DEBUG_REGISTER(3)

static bool run_dr(struct cpu *cpu, const struct words *words)
{
    u32 level = guest_running(cpu);

    if (words->count != 1)
        return false;
    say("L%u on core %u\n  dr0 %016lx  dr1 %016lx\n  dr2 %016lx  dr3 %016lx\n  dr6 %016lx\n", level,
        cpu->index, read_dr0(), read_dr1(), read_dr2(), read_dr3(), read_dr6());
    say_field(cpu, vmcs_of(level), GUEST_DR7);
    say_field(cpu, vmcs_of(level), GUEST_IA32_DEBUGCTL);
    return true;
}

const struct command command_dr = {
    .name = "dr",
    .arguments = "",
    .summary = "debug registers of the guest that the core runs",
    .details = "",
    .place = THIS_CORE,
    .run = run_dr,
};

/* ---- mp ---- */

static const char *activity_name(u64 state)
{
    static const char *const names[] = {"runnable", "halted", "shutdown", "waits for SIPI"};

    return state < ARRAY_SIZE(names) ? names[state] : "unknown activity state";
}

static void say_mp(struct cpu *cpu, void *argument)
{
    (void)argument;
    say("core %u: L1 %s", cpu->index, activity_name(guest_field(cpu, 1, GUEST_ACTIVITY_STATE)));
    if (guest_exists(cpu, 2))
        say(", L2 %s%s", activity_name(guest_field(cpu, 2, GUEST_ACTIVITY_STATE)),
            cpu->in_l2 ? "" : " (L1 runs)");
    if (cpu->init_pending)
        say(", an INIT waits");
    say("\n");
}

static bool run_mp(struct cpu *none, const struct words *words)
{
    (void)none;
    if (words->count != 1)
        return false;
    for (u32 i = 0; i < cpu_count; i++)
        monitor_run_on(i, say_mp, NULL);
    return true;
}

const struct command command_mp = {
    .name = "mp",
    .arguments = "",
    .summary = "runnable, halted, shutdown or waiting for SIPI: each core's L1 and L2",
    .details = "",
    .place = ANY_CORE,
    .run = run_mp,
};
