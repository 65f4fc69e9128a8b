// The mode operations: the ticks that each thing takes which exits.
#include <cpuid.h>
#include <stdio.h>
#include "guest.h"

#define ROUNDS 500

static volatile uint64_t guest_ticks_of[5];

#define GUEST_MEASURE(number, what)                                                                \
    do {                                                                                           \
        uint64_t start = __builtin_ia32_rdtsc();                                                   \
                                                                                                   \
        for (int i = 0; i < ROUNDS; i++)                                                           \
            what;                                                                                  \
        guest_ticks_of[number] = (__builtin_ia32_rdtsc() - start) / ROUNDS;                        \
    } while (0)

static inline void guest_cpuid(void)
{
    uint32_t a, b, c, d;

    __cpuid(0, a, b, c, d);
}

static inline void guest_vmcall(void)
{
    uint64_t number = ~0ULL; // no hypercall of KVM's

    __asm__ volatile("vmcall" : "+a"(number) : : "memory", "cc");
}

static inline void guest_port_in(void)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)PORT_ANSWER));
}

static void guest_operations(void)
{
    uint64_t type = guest_rdmsr(0x2ff);

    for (int round = 0; round < 2; round++) { // the first one warms up
        GUEST_MEASURE(0, guest_cpuid());
        GUEST_MEASURE(1, guest_wrmsr(0x2ff, guest_rdmsr(0x2ff)));
        GUEST_MEASURE(2, guest_vmcall());
        GUEST_MEASURE(3, guest_port_in());
        GUEST_MEASURE(4, (void)*(volatile uint32_t *)MMIO);
    }
    GUEST_CHECK(guest_rdmsr(0x2ff) == type);
    guest_print("L2: measured\n");
    guest_end(NULL);
}

static void report(void)
{
    static const char *const names[] = {"cpuid", "rdmsr+wrmsr", "vmcall", "port in", "mmio"};
    const uint64_t *ticks = in_guest(guest_ticks_of);

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        printf("kvmguest: %s takes %lu ticks\n", names[i], ticks[i]);
}

const struct mode operations_mode = {
    .name = "operations",
    BOOT16,
    .entry = guest_operations,
    .output = "L2: measured\n",
    .report = report,
};
