#include "record.h"

#include "insn.h"
#include "l0.h"
#include "recorder.h"
#include "vmcs.h"
#include "x86.h"

bool recording;

extern const char __rodata_start[], __rodata_end[];

const char *record_text_of(u64 address)
{
    bool ours = address >= (u64)__rodata_start && address < (u64)__rodata_end;

    return ours ? (const char *)address : NULL;
}

static u64 vmcs12_address(const struct cpu *cpu)
{
    return cpu->nested.current ? cpu->nested.current->vmcs12_pa : NO_ADDRESS;
}

/* What tells most about an exit, besides its qualification. */
static u64 address_of_exit(const struct cpu *cpu, u32 reason)
{
    switch (reason) {
    case EXIT_REASON_EPT_VIOLATION:
    case EXIT_REASON_EPT_MISCONFIG: return vmread(GUEST_PHYSICAL_ADDRESS);
    case EXIT_REASON_MSR_READ:
    case EXIT_REASON_MSR_WRITE: return (u32)cpu->gpr[RCX];
    case EXIT_REASON_CPUID: return (u32)cpu->gpr[RAX];
    case EXIT_REASON_VMLAUNCH:
    case EXIT_REASON_VMRESUME: return cpu->in_l2 ? 0 : vmcs12_address(cpu);
    default: return 0;
    }
}

struct record *record_begin(struct cpu *cpu, u32 reason)
{
    u64 tsc = rdtsc();
    struct record *record;

    if (!recording)
        return NULL;
    reason &= EXIT_REASON_BASIC_MASK;
    record = recorder_next(cpu->recorder);
    record->tsc = tsc;
    record->rip = vmread(GUEST_RIP);
    record->qualification = vmread(EXIT_QUALIFICATION);
    record->address = address_of_exit(cpu, reason);
    record->ticks = 0;
    record->reason = (u16)reason;
    record->flags = cpu->in_l2 ? RECORD_FROM_L2 : 0;
    record_close(record, RECORD_EXIT);
    return record;
}

void record_end(const struct cpu *cpu, struct record *record)
{
    u64 ticks;

    if (!record)
        return;
    ticks = rdtsc() - record->tsc;
    if (cpu->in_l2)
        record->flags |= RECORD_TO_L2;
    record->ticks = ticks > ~0u ? ~0u : (u32)ticks;
}

/* What is filled in by all. */
static struct record *begin_rare(const struct cpu *cpu)
{
    struct record *record = recorder_next(cpu->recorder);

    record->tsc = rdtsc();
    record->rip = vmread(GUEST_RIP);
    record->qualification = record->address = 0;
    record->ticks = 0;
    record->reason = (u16)vmread(VM_EXIT_REASON);
    record->flags = cpu->in_l2 ? RECORD_FROM_L2 : 0;
    return record;
}

static bool is_vmx_instruction(u32 reason)
{
    return (reason >= EXIT_REASON_VMCALL && reason <= EXIT_REASON_VMON) ||
           reason == EXIT_REASON_INVEPT || reason == EXIT_REASON_INVVPID;
}

/* By what the instruction has left in RFLAGS, if it was executed at all. SDM vol. 3, "Conventions"
   of the VMX instruction reference. */
void record_failure(const struct cpu *cpu, u32 reason, u64 rip_before)
{
    struct record *record;
    u64 flags;

    if (!is_vmx_instruction(reason) || vmread(GUEST_RIP) == rip_before)
        return;
    flags = vmread(GUEST_RFLAGS) & (RFLAGS_CF | RFLAGS_ZF);
    /* A debugger may have set both, where there is no VMCS to have the error. */
    if (!flags || ((flags & RFLAGS_ZF) && !cpu->nested.current))
        return;
    record = begin_rare(cpu);
    record->rip = rip_before;
    record->qualification =
        flags & RFLAGS_ZF ? cpu->nested.current->vmcs12->vm_instruction_error : VMXERR_NONE;
    record->address = vmcs12_address(cpu);
    record_close(record, RECORD_VMFAIL);
}

void record_entry_failed(const struct cpu *cpu, u32 reason, u64 qualification)
{
    struct record *record;

    if (!l0.observed)
        return;
    record = begin_rare(cpu);
    record->reason = (u16)reason;
    record->qualification = qualification;
    record->address = vmcs12_address(cpu);
    record_close(record, RECORD_ENTRY_FAILED);
}

void record_abort(const struct cpu *cpu, u32 indicator)
{
    struct record *record;

    if (!l0.observed)
        return;
    record = begin_rare(cpu);
    record->qualification = indicator;
    record_close(record, RECORD_ABORT);
}

void record_init(const struct cpu *cpu)
{
    if (l0.observed)
        record_close(begin_rare(cpu), RECORD_INIT);
}

void record_sipi(const struct cpu *cpu, u64 vector)
{
    struct record *record;

    if (!l0.observed)
        return;
    record = begin_rare(cpu);
    record->qualification = vector;
    record_close(record, RECORD_SIPI);
}

void record_hidden(const struct cpu *cpu, u64 gpa, bool write)
{
    struct record *record;

    if (!l0.observed)
        return;
    record = begin_rare(cpu);
    record->address = gpa;
    record->flags |= write ? RECORD_WRITE : 0;
    record_close(record, RECORD_HIDDEN);
}

void record_deviation(const char *text)
{
    struct record *record;

    if (!l0.observed)
        return;
    record = begin_rare(this_cpu());
    record->address = (u64)text;
    record_close(record, RECORD_DEVIATION);
}
