// The modes timer and twovcpu: interrupts of the APIC's timer, and between vCPUs.
#include "guest.h"

static volatile uint32_t guest_ticks, guest_pings[2];
static volatile uint32_t guest_shared, guest_second_ready;

HANDLER static void guest_on_tick(struct interrupt_frame *frame)
{
    (void)frame;
    guest_ticks++;
    guest_apic_write(0xb0, 0);
}

#define TIMER_VECTOR 0x40

static void guest_check_deadline_timer(void)
{
    guest_apic_write(0x320, TIMER_VECTOR | 2 << 17);
    for (uint32_t i = 1; i <= 10; i++) {
        guest_ticks = 0;
        guest_wrmsr(0x6e0, __builtin_ia32_rdtsc() + 200000);
        guest_wait(&guest_ticks, 1);
    }
}

static void guest_timer(void)
{
    guest_gate(TIMER_VECTOR, guest_on_tick);
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    guest_apic_write(0x3e0, 0xb);                    // divide by 1
    guest_apic_write(0x320, TIMER_VECTOR | 1 << 17); // periodic
    guest_apic_write(0x380, 5000000);                // 5 ms
    guest_wait(&guest_ticks, 50);
    // KVM uses the preemption timer only while the guest runs.
    while (guest_ticks < 70)
        __asm__ volatile("nop");
    guest_apic_write(0x380, 0);
    guest_check_deadline_timer();
    guest_print("L2: timer interrupts arrive\n");
    guest_end(NULL);
}

#define PING_VECTOR   0x41
#define PINGS         200
#define SHARED_ROUNDS 20000

HANDLER static void guest_on_ping(struct interrupt_frame *frame)
{
    (void)frame;
    guest_pings[guest_apic_id()]++;
    guest_apic_write(0xb0, 0);
}

static void guest_add_shared(void)
{
    for (int i = 0; i < SHARED_ROUNDS; i++)
        __atomic_fetch_add(&guest_shared, 1, __ATOMIC_SEQ_CST);
}

static void guest_second(void)
{
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    guest_second_ready = 1;
    for (uint32_t i = 1; i <= PINGS; i++) {
        guest_wait(&guest_pings[1], i);
        guest_send(0, PING_VECTOR);
    }
    guest_add_shared();
}

static void guest_twovcpu(void)
{
    guest_gate(PING_VECTOR, guest_on_ping);
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    guest_start(1);
    // An interrupt sent before the other one's APIC is on would be lost.
    while (!guest_second_ready)
        __asm__ volatile("pause");
    for (uint32_t i = 1; i <= PINGS; i++) {
        guest_send(1, PING_VECTOR);
        guest_wait(&guest_pings[0], i);
    }
    guest_add_shared();
    while (__atomic_load_n(&guest_shared, __ATOMIC_SEQ_CST) != 2 * SHARED_ROUNDS)
        __asm__ volatile("pause");
    guest_print("L2: two vCPUs exchange interrupts\n");
    guest_end(NULL);
}

const struct mode timer_mode = {
    .name = "timer", BOOT16, .entry = guest_timer, .output = "L2: timer interrupts arrive\n"};

const struct mode twovcpu_mode = {
    .name = "twovcpu",
    BOOT16,
    .entry = guest_twovcpu,
    .second = guest_second,
    .vcpus = 2,
    .output = "L2: two vCPUs exchange interrupts\n",
};
