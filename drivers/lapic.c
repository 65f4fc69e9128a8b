#include "lapic.h"

#include "x86.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/trap.h"

#define APIC_TPR           0x80
#define APIC_EOI           0xb0
#define APIC_LDR           0xd0
#define APIC_DFR           0xe0
#define APIC_SVR           0xf0
#define APIC_ISR           0x100
#define APIC_IRR           0x200
#define APIC_ESR           0x280
#define APIC_ICR_LOW       0x300
#define APIC_ICR_HIGH      0x310
#define APIC_LVT_TIMER     0x320
#define APIC_LVT_ERROR     0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_DIVIDE  0x3e0
#define APIC_SVR_RESET     0xffu
#define LVT_MASKED         BIT(16)
#define MSR_X2APIC_ICR     0x830
#define ICR_PENDING        BIT(12)
#define ICR_ASSERT         BIT(14)
#define ICR_LOGICAL        BIT(11)
#define ICR_SHORTHAND      (3u << 18)
#define ICR_SELF           (1u << 18)
#define ICR_ALL_BUT_SELF   (3u << 18)
#define ICR_POLLS          1000000u
#define XAPIC_BROADCAST    0xffu
#define X2APIC_BROADCAST   0xffffffffu

static bool in_x2apic_mode(void) { return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC; }

static volatile u32 *xapic_register(u32 reg)
{
    u64 base = rdmsr(MSR_IA32_APIC_BASE);

    if (!(base & APIC_BASE_ENABLE) || (base & PTE_ADDR) >= l0.boot.ram_top)
        return NULL;
    return (volatile u32 *)pool_va((base & PTE_ADDR) + reg);
}

/* Registers by their offset in the xAPIC's page. Nothing happens, and 0 is read, if the APIC is
   switched off or lies where L0 cannot reach it. */
static u32 lapic_read(u32 reg)
{
    volatile u32 *word;
    u64 value = 0;

    if (in_x2apic_mode()) {
        rdmsr_safe(MSR_X2APIC_FIRST + reg / 16, &value);
        return (u32)value;
    }
    word = xapic_register(reg);
    return word ? *word : 0;
}

static void lapic_write(u32 reg, u32 value)
{
    volatile u32 *word;

    if (in_x2apic_mode()) {
        wrmsr_safe(MSR_X2APIC_FIRST + reg / 16, value);
        return;
    }
    word = xapic_register(reg);
    if (word)
        *word = value;
}

u32 lapic_waiting_vector(void)
{
    for (u32 i = 8; i-- > 0;) {
        u32 waiting = lapic_read(APIC_IRR + 16 * i);

        if (waiting)
            return 32 * i + 31 - (u32)__builtin_clz(waiting);
    }
    return 0;
}

/* Each EOI ends the interrupt in service with the highest priority. */
static void end_interrupts_in_service(void)
{
    for (u32 i = 0; i < 8; i++) {
        u32 in_service = lapic_read(APIC_ISR + 16 * i);

        for (; in_service; in_service &= in_service - 1)
            lapic_write(APIC_EOI, 0);
    }
}

void lapic_init_reset(void)
{
    end_interrupts_in_service();
    lapic_write(APIC_TIMER_INITIAL, 0);
    lapic_write(APIC_TIMER_DIVIDE, 0);
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
        lapic_write(lvt, LVT_MASKED);
    lapic_write(APIC_TPR, 0);
    lapic_write(APIC_ESR, 0);
    if (!in_x2apic_mode()) {
        lapic_write(APIC_LDR, 0);
        lapic_write(APIC_DFR, 0xffffffff);
    }
    lapic_write(APIC_SVR, APIC_SVR_RESET);
}

/* L1 may be about to write the low half itself: its high half is put back. */
static bool send_xapic(u32 apic_id, u32 command)
{
    u32 high = lapic_read(APIC_ICR_HIGH);

    if (!xapic_register(APIC_ICR_LOW) || apic_id > 0xff)
        return false;
    for (u32 polls = 0; polls < ICR_POLLS && (lapic_read(APIC_ICR_LOW) & ICR_PENDING); polls++)
        pause();
    lapic_write(APIC_ICR_HIGH, apic_id << 24);
    lapic_write(APIC_ICR_LOW, command);
    lapic_write(APIC_ICR_HIGH, high);
    return true;
}

bool lapic_send(u32 apic_id, u32 mode)
{
    if (in_x2apic_mode())
        return wrmsr_safe(MSR_X2APIC_ICR, (u64)apic_id << 32 | ICR_ASSERT | mode);
    return send_xapic(apic_id, ICR_ASSERT | mode);
}

/* The ICR as in x2APIC mode, with 32 bits of destination. */
static u64 command_register(void)
{
    u64 icr = 0;
    u32 destination;

    if (in_x2apic_mode()) {
        rdmsr_safe(MSR_X2APIC_ICR, &icr);
        return icr;
    }
    destination = lapic_read(APIC_ICR_HIGH) >> 24;
    if (destination == XAPIC_BROADCAST)
        destination = X2APIC_BROADCAST;
    return (u64)destination << 32 | lapic_read(APIC_ICR_LOW);
}

static bool reaches(u64 icr, u32 apic_id)
{
    u32 destination = (u32)(icr >> 32);

    if (icr & ICR_SHORTHAND)
        return (icr & ICR_SHORTHAND) != ICR_SELF;
    return !(icr & ICR_LOGICAL) && (destination == apic_id || destination == X2APIC_BROADCAST);
}

u32 lapic_last_command(u32 apic_id)
{
    u64 icr = command_register();

    return reaches(icr, apic_id) ? icr & (LAPIC_MODE | LAPIC_VECTOR) : 0;
}

bool lapic_send_others(u32 mode) { return lapic_send(0, ICR_ALL_BUT_SELF | mode); }
