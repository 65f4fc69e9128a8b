// The guest's helpers. They run without libc.
#include "guest.h"

static struct {
    uint64_t low, high;
} guest_idt[256];

static uint32_t guest_met;

void guest_end(const char *failed)
{
    __asm__ volatile("outl %0, %1" ::"a"((uint32_t)(uintptr_t)failed), "Nd"((uint16_t)PORT_END));
    for (;;)
        __asm__ volatile("hlt");
}

static inline void guest_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

void guest_print(const char *text)
{
    for (; *text; text++)
        guest_out8(PORT_CONSOLE, (uint8_t)*text);
}

void guest_gate(unsigned vector, void *handler)
{
    uint64_t address = (uint64_t)handler;

    guest_idt[vector].low =
        (address & 0xffff) | 0x18 << 16 | 0x8eULL << 40 | (address >> 16 & 0xffff) << 48;
    guest_idt[vector].high = address >> 32;
}

void guest_load_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        void *base;
    } pointer = {sizeof(guest_idt) - 1, guest_idt};

    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void guest_send(uint32_t destination, uint32_t command)
{
    guest_apic_write(0x310, destination << 24);
    guest_apic_write(0x300, command);
}

void guest_start(uint32_t vcpu)
{
    guest_send(vcpu, 0x4500);                   // INIT
    guest_send(vcpu, 0x4600 | BOOT_CODE >> 12); // startup
}

void guest_wait(const volatile uint32_t *counter, uint32_t value)
{
    for (;;) {
        __asm__ volatile("cli");
        if (*counter >= value)
            break;
        __asm__ volatile("sti\n hlt" ::: "memory");
    }
    __asm__ volatile("sti");
}

void guest_meet(void)
{
    uint32_t come = __atomic_fetch_add(&guest_met, 1, __ATOMIC_SEQ_CST);
    uint32_t all = (come / guest_vcpus + 1) * guest_vcpus;

    while (__atomic_load_n(&guest_met, __ATOMIC_SEQ_CST) < all)
        __asm__ volatile("pause");
}
