// The modes hello and long: printing, and long mode's CPUID, MSRs, ports, devices, faults and FPU.
#include <cpuid.h>
#include "guest.h"

static volatile uint64_t guest_faults, guest_fault_error;

static inline uint8_t guest_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

// Faults of RDMSR and UD2, both of two bytes.
HANDLER static void guest_on_fault_with_code(struct interrupt_frame *frame, uint64_t error)
{
    guest_fault_error = error;
    guest_faults++;
    frame->ip += 2;
}

HANDLER static void guest_on_fault(struct interrupt_frame *frame)
{
    guest_faults++;
    frame->ip += 2;
}

static void guest_hello(void)
{
    guest_print("Hello from L2\n");
    guest_end(NULL);
}

static void guest_check_msrs(void)
{
    guest_wrmsr(0xc0000102, 0x123456789abcUL); // KERNEL_GS_BASE, which KVM does not intercept
    GUEST_CHECK(guest_rdmsr(0xc0000102) == 0x123456789abcUL);
    guest_wrmsr(0x2ff, 0x806); // MTRR_DEF_TYPE, which it does
    GUEST_CHECK(guest_rdmsr(0x2ff) == 0x806);
    guest_wrmsr(0x277, 0x0007040600070406UL); // PAT
    GUEST_CHECK(guest_rdmsr(0x277) == 0x0007040600070406UL);

    guest_faults = 0;
    guest_rdmsr(0x12345678);
    GUEST_CHECK(guest_faults == 1 && guest_fault_error == 0);
}

static void guest_check_mmio(void)
{
    volatile uint32_t *device = (volatile uint32_t *)MMIO;

    for (uint32_t i = 1; i <= 16; i++) {
        device[i] = i * 0x01010101;
        GUEST_CHECK(device[i] == ~(i * 0x01010101));
    }
}

static void guest_long(void)
{
    uint32_t a, b, c, d;
    volatile double third = 1.0;

    guest_gate(6, guest_on_fault);
    guest_gate(13, guest_on_fault_with_code);
    guest_load_idt();
    for (int i = 0; i < 100; i++) {
        __cpuid(SIGNATURE_LEAF, a, b, c, d);
        GUEST_CHECK(b == SIGNATURE);
        GUEST_CHECK(guest_in8(PORT_ANSWER) == ANSWER);
    }
    guest_check_msrs();
    guest_check_mmio();

    guest_faults = 0;
    __asm__ volatile("ud2");
    GUEST_CHECK(guest_faults == 1);

    // The FPU's registers survive exits.
    third /= 3.0;
    __asm__ volatile("movsd %0, %%xmm7" ::"m"(third));
    __cpuid(0, a, b, c, d);
    double after;
    __asm__ volatile("movsd %%xmm7, %0" : "=m"(after));
    GUEST_CHECK(after == third);
    guest_print("Hello from L2 in long mode\n");
    guest_end(NULL);
}

const struct mode hello_mode = {
    .name = "hello", BOOT16, .entry = guest_hello, .output = "Hello from L2\n"};

const struct mode long_mode = {
    .name = "long", BOOT16, .entry = guest_long, .output = "Hello from L2 in long mode\n"};
