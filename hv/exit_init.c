/* INIT and SIPI of L1's cores, as often as L1 likes. SDM vol. 3, "VMX Operation: Blocking of
   INIT", table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
#include "exit.h"

#include "insn.h"
#include "l0.h"
#include "lib.h"
#include "record.h"
#include "sipi.h"
#include "vmcs.h"
#include "vmcs01.h"
#include "x86.h"
#include "../drivers/lapic.h"

#define RESET_CS_SELECTOR 0xf000
#define RESET_CS_BASE     0xffff0000ull
#define RESET_RIP         0xfff0
#define DR6_INITIAL       0xffff0ff0ull
#define DR7_INITIAL       0x400ull
#define REAL_MODE_DATA_AR 0x93u
#define REAL_MODE_CODE_AR 0x9bu
#define REAL_MODE_LIMIT   0xffffu

static void load_segment(u32 index, u16 selector, u64 base, u32 ar)
{
    vmwrite(GUEST_ES_SELECTOR + 2 * index, selector);
    vmwrite(GUEST_ES_BASE + 2 * index, base);
    vmwrite(GUEST_ES_LIMIT + 2 * index, REAL_MODE_LIMIT);
    vmwrite(GUEST_ES_AR_BYTES + 2 * index, ar);
}

static void init_segments(void)
{
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        load_segment(i, 0, 0, REAL_MODE_DATA_AR);
    load_segment(SEG_CS, RESET_CS_SELECTOR, RESET_CS_BASE, REAL_MODE_CODE_AR);
    load_segment(SEG_LDTR, 0, 0, AR_P_MASK | AR_TYPE_LDT);
    load_segment(SEG_TR, 0, 0, AR_P_MASK | AR_TYPE_BUSY_32_TSS);
    vmwrite(GUEST_GDTR_BASE, 0);
    vmwrite(GUEST_GDTR_LIMIT, REAL_MODE_LIMIT);
    vmwrite(GUEST_IDTR_BASE, 0);
    vmwrite(GUEST_IDTR_LIMIT, REAL_MODE_LIMIT);
}

static void init_control_registers(void)
{
    /* CD and NW are not changed by INIT, and not by VM exits: the register has L1's. */
    u64 cr0 = CR0_ET | (read_cr0() & (CR0_CD | CR0_NW));

    vmwrite(CR0_READ_SHADOW, cr0);
    vmwrite(GUEST_CR0, cr0 | (l0.hw.cr0_fixed0 & ~(CR0_PE | CR0_PG)));
    write_cr2(0);
    vmwrite(GUEST_CR3, 0);
    vmwrite(CR4_READ_SHADOW, 0);
    vmwrite(GUEST_CR4, l0.hw.cr4_fixed0);
    vmwrite(GUEST_IA32_EFER, 0);
    vmcs_change(VM_ENTRY_CONTROLS, VM_ENTRY_IA32E_MODE, 0);
    vmcs01_flush_translations();
}

static void init_debug_registers(void)
{
    write_dr03_zero();
    write_dr6(DR6_INITIAL);
    vmwrite(GUEST_DR7, DR7_INITIAL);
}

static void init_registers(struct cpu *cpu)
{
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[RDX] = cpuid(1, 0).eax; /* family, model, stepping */
    vmwrite(GUEST_RSP, 0);
    vmwrite(GUEST_RIP, RESET_RIP);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED);
}

static void reset_state(struct cpu *cpu)
{
    init_registers(cpu);
    init_segments();
    init_control_registers();
    init_debug_registers();
    vmcs01_set_cr_masks(false);
    lapic_init_reset();
}

/*
 * A processor that is not the boot processor waits for a SIPI at once: the SIPI may be on its way,
 * and is lost if it comes earlier. Its state is reset when it has come; until then nobody sees it.
 */
void init_reset(struct cpu *cpu)
{
    bool boot_processor = rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP;

    record_init(cpu);
    cpu->init_pending = false;
    cpu->nmi_waiting = false;
    cpu->nmi_pending = 0;
    if (boot_processor)
        reset_state(cpu);
    vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
    vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
    vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
    vmwrite(GUEST_ACTIVITY_STATE, boot_processor ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI);
    __atomic_store_n(&cpu->waits_for_sipi, !boot_processor, __ATOMIC_RELEASE);
}

/* A core in guest mode may not exit for long: an INIT makes it. */
void init_kick(struct cpu *other)
{
    if (!__atomic_exchange_n(&other->kicked, true, __ATOMIC_ACQ_REL) &&
        !lapic_send(other->apic_id, LAPIC_INIT))
        __atomic_store_n(&other->kicked, false, __ATOMIC_RELEASE);
}

bool init_was_kick(struct cpu *cpu)
{
    if (!__atomic_exchange_n(&cpu->kicked, false, __ATOMIC_ACQ_REL))
        return false;
    if (cpu == cpus[0])
        sipi_answer();
    return true;
}

/*
 * Whether the INIT came before the SIPI: a core that waits for SIPI in VMX non-root operation keeps
 * it pending, while L1's, outside of VMX operation, is not changed by it.
 */
static bool init_is_stale(struct cpu *cpu)
{
    bool stale = cpu->sipi_taken && !vmread(GUEST_RIP) && !(vmread(GUEST_CR0) & CR0_PE);

    cpu->sipi_taken = false;
    return stale;
}

static void start_at(struct cpu *cpu, u64 vector)
{
    record_sipi(cpu, vector);
    __atomic_store_n(&cpu->waits_for_sipi, false, __ATOMIC_RELEASE);
    reset_state(cpu);
    vmwrite(GUEST_CS_SELECTOR, vector << 8);
    vmwrite(GUEST_CS_BASE, vector << 12);
    vmwrite(GUEST_RIP, 0);
    vmwrite(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
}

/* VMX root operation blocks INIT: L1 gets it when it leaves that. */
void exit_init(struct cpu *cpu)
{
    u8 vector;

    if (init_was_kick(cpu) || init_is_stale(cpu))
        return;
    if (cpu->nested.vmxon) {
        cpu->init_pending = true;
        return;
    }
    init_reset(cpu);
    if (cpu->waits_for_sipi && sipi_lost(cpu, &vector))
        start_at(cpu, vector);
}

void exit_sipi(struct cpu *cpu)
{
    cpu->sipi_taken = true;
    start_at(cpu, vmread(EXIT_QUALIFICATION) & 0xff);
}
