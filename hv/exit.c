#include "exit.h"

#include "epoch.h"
#include "hidden.h"
#include "inject.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "observe.h"
#include "panic.h"
#include "record.h"
#include "vmcs.h"
#include "vmcs01.h"
#include "monitor/io.h"
#include "monitor/timer.h"
#include "../vmx/instructions.h"
#include "../vmx/l2.h"

typedef void (*exit_handler)(struct cpu *);

static void exit_undefined(struct cpu *cpu)
{
    (void)cpu;
    inject_ud();
}

/* What the monitor trap flag was set for has been ended by exit_handle. */
static void exit_monitor_trap(struct cpu *cpu) { (void)cpu; }

/* The monitor has looked. */
static void exit_preemption_timer(struct cpu *cpu)
{
    (void)cpu;
    timer_start01();
}

/* Nothing that L1 does leads to it. */
static void exit_impossible(struct cpu *cpu)
{
    panic("core %u: exit %#x of L1, qualification %#lx", cpu->index, vmread32(VM_EXIT_REASON),
          vmread(EXIT_QUALIFICATION));
}

static const exit_handler handlers[EXIT_REASON_COUNT] = {
    [EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
    [EXIT_REASON_INIT] = exit_init,
    [EXIT_REASON_SIPI] = exit_sipi,
    [EXIT_REASON_TASK_SWITCH] = exit_task_switch,
    [EXIT_REASON_CPUID] = exit_cpuid,
    [EXIT_REASON_GETSEC] = exit_undefined,
    [EXIT_REASON_INVD] = exit_invd,
    [EXIT_REASON_VMCALL] = exit_vmcall,
    [EXIT_REASON_VMCLEAR] = exit_vmclear,
    [EXIT_REASON_VMLAUNCH] = exit_vmlaunch,
    [EXIT_REASON_VMPTRLD] = exit_vmptrld,
    [EXIT_REASON_VMPTRST] = exit_vmptrst,
    [EXIT_REASON_VMREAD] = exit_vmread,
    [EXIT_REASON_VMRESUME] = exit_vmresume,
    [EXIT_REASON_VMWRITE] = exit_vmwrite,
    [EXIT_REASON_VMOFF] = exit_vmxoff,
    [EXIT_REASON_VMON] = exit_vmxon,
    [EXIT_REASON_CR_ACCESS] = exit_cr_access,
    [EXIT_REASON_IO_INSTRUCTION] = exit_io,
    [EXIT_REASON_MSR_READ] = exit_rdmsr,
    [EXIT_REASON_MSR_WRITE] = exit_wrmsr,
    [EXIT_REASON_MONITOR_TRAP_FLAG] = exit_monitor_trap,
    [EXIT_REASON_EPT_VIOLATION] = exit_ept_violation,
    [EXIT_REASON_EPT_MISCONFIG] = exit_impossible,
    [EXIT_REASON_INVEPT] = exit_invept,
    [EXIT_REASON_PREEMPTION_TIMER] = exit_preemption_timer,
    [EXIT_REASON_INVVPID] = exit_invvpid,
    [EXIT_REASON_XSETBV] = exit_xsetbv,
    [EXIT_REASON_VMFUNC] = exit_undefined,
};

static void deliver_waiting_nmi(struct cpu *cpu)
{
    if (!cpu->in_l2 || !l2_nmi_exits(cpu))
        inject_waiting_nmi(cpu);
}

static void handle_l1(struct cpu *cpu, u32 reason)
{
    u32 basic = reason & EXIT_REASON_BASIC_MASK;

    if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
        exit_impossible(cpu);
    /* An instruction newer than this code, which exits whatever the controls say. */
    if (basic >= ARRAY_SIZE(handlers) || !handlers[basic]) {
        deviation("exit %u of L1 is not known and becomes #UD", basic);
        inject_ud();
        return;
    }
    cpu->exits_l1[basic]++;
    handlers[basic](cpu);
}

/* The last steps before a VM entry. */
static inline __attribute__((always_inline)) u64 prepare_resume(struct cpu *cpu)
{
    epoch_catch_up(cpu);
    if (__builtin_expect(cpu->nmi_pending != 0, 0)) {
        cpu->nmi_pending = 0;
        cpu->nmi_waiting = true;
    }
    if (__builtin_expect(cpu->nmi_waiting, 0))
        deliver_waiting_nmi(cpu);
    return cpu->in_l2 ? l2_launched(cpu) : cpu->launched01;
}

static inline __attribute__((always_inline)) void end_steps(struct cpu *cpu, u32 reason)
{
    /* An instruction of L2 may reach more than one page of hidden memory. */
    if ((cpu->step & STEP_HIDDEN) &&
        !(cpu->nested.step_count && reason == EXIT_REASON_EPT_VIOLATION))
        hidden_step_end(cpu);
    if (cpu->step & STEP_EVENT) {
        cpu->step &= ~STEP_EVENT;
        set_monitor_trap(cpu->step || (cpu->in_l2 && l2_wants_mtf(cpu)));
    }
}

/* Not to be copied into exit_handle_observed(): this one is to stay as fast as it is. */
__attribute__((noinline)) u64 exit_handle(struct cpu *cpu)
{
    u32 reason = vmread32(VM_EXIT_REASON);

    if (__builtin_expect(panicking, 0))
        panic_stop_this_core();
    if (__builtin_expect(cpu->loads_cet, 0))
        vmcs_cet_loaded(cpu);
    if (__builtin_expect(cpu->step, 0))
        end_steps(cpu, reason);
    if (cpu->in_l2) {
        l2_exit(cpu, reason);
    } else {
        cpu->launched01 = true;
        handle_l1(cpu, reason);
    }
    return prepare_resume(cpu);
}

u64 exit_prepare(struct cpu *cpu) { return prepare_resume(cpu); }

u64 exit_taken(struct cpu *cpu, u32 reason)
{
    if (cpu->loads_cet)
        vmcs_cet_loaded(cpu);
    if (cpu->step)
        end_steps(cpu, reason);
    cpu->exits_l2[reason]++;
    cpu->nested.current->launched = true;
    if (reason == EXIT_REASON_IO_INSTRUCTION)
        io_by_l2(cpu);
    return prepare_resume(cpu);
}

u64 exit_nmi(struct cpu *cpu)
{
    u64 launched;

    observe_disarm(cpu);
    launched = prepare_resume(cpu);
    observe_arm(cpu);
    return launched;
}

u64 exit_entry_failed(struct cpu *cpu)
{
    u64 error = vmread(VM_INSTRUCTION_ERROR), launched;

    if (!cpu->in_l2)
        panic("VM entry of L1 failed with VM-instruction error %lu", error);
    observe_disarm(cpu);
    l2_entry_vmfail(cpu, error);
    launched = prepare_resume(cpu);
    observe_arm(cpu);
    return launched;
}
