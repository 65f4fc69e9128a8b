// The modes that measure what exits of L2 cost, each thing a row: operations, ipi, switch.
//
// A row is measured in batches, and the median batch tells: no timer's interrupt of L1 is in it.
// Begin and end of each are marked for the emulator, which counts more than ticks then.
#include <cpuid.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "guest.h"

#define BATCHES           32
#define OPERATIONS        16 // in a batch
#define VECTOR            0x42
#define CR0_AM            (1 << 18) // which KVM intercepts, and which does nothing at CPL 0
#define DEADLINE          200000    // ticks until the timer's interrupt
#define MSR_TSC_DEADLINE  0x6e0
#define MSR_MTRR_DEF_TYPE 0x2ff

static volatile uint64_t guest_taken[ROWS][BATCHES];
static volatile uint32_t guest_interrupts[2];
static volatile uint64_t guest_deadline, guest_latency;

// ---- what is measured

static void guest_cpuid(void)
{
    uint32_t a, b, c, d;

    __cpuid(0, a, b, c, d);
}

static void guest_msr(void) { guest_wrmsr(MSR_MTRR_DEF_TYPE, guest_rdmsr(MSR_MTRR_DEF_TYPE)); }

static void guest_vmcall(void)
{
    uint64_t number = ~0ULL; // no hypercall of KVM's

    __asm__ volatile("vmcall" : "+a"(number) : : "memory", "cc");
}

static void guest_mov_cr(void)
{
    uint64_t cr0;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 ^ CR0_AM));
}

static void guest_port_in(void)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)PORT_ANSWER));
}

static void guest_port_out(void)
{
    __asm__ volatile("outb %0, %1" ::"a"((uint8_t)0), "Nd"((uint16_t)PORT_NOTHING));
}

static void guest_mmio(void) { (void)*(volatile uint32_t *)MMIO; }

HANDLER static void guest_on_interrupt(struct interrupt_frame *frame)
{
    (void)frame;
    guest_latency = __builtin_ia32_rdtsc() - guest_deadline;
    guest_interrupts[guest_vcpus > 1 ? guest_apic_id() : 0]++;
    guest_apic_write(0xb0, 0);
}

static void guest_interrupt(void)
{
    uint32_t before = guest_interrupts[0];

    guest_apic_write(0x300, VECTOR | 1 << 18); // to itself
    while (guest_interrupts[0] == before)
        ;
}

// The first page of the pool goes, and comes back.
static void guest_drop(void)
{
    __asm__ volatile("outl %0, %1" ::"a"(0), "d"((uint16_t)PORT_BATCH) : "memory");
    *(volatile uint64_t *)POOL = 1;
}

static const struct {
    uint32_t row;
    void (*what)(void);
} guest_measured[] = {
    {ROW_CPUID, guest_cpuid},     {ROW_MSR, guest_msr},
    {ROW_VMCALL, guest_vmcall},   {ROW_MOV_CR, guest_mov_cr},
    {ROW_PORT_IN, guest_port_in}, {ROW_PORT_OUT, guest_port_out},
    {ROW_MMIO, guest_mmio},       {ROW_INTERRUPT, guest_interrupt},
    {ROW_DROP, guest_drop},
};

static void guest_measure(uint32_t row, void (*what)(void))
{
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start;

        mark_begin(row);
        start = __builtin_ia32_rdtsc();
        for (int i = 0; i < OPERATIONS; i++)
            what();
        guest_taken[row][batch] = (__builtin_ia32_rdtsc() - start) / OPERATIONS;
        mark_end(row);
    }
}

// From the deadline to the handler, in a halted vCPU.
static void guest_measure_timer(void)
{
    guest_apic_write(0x320, VECTOR | 2 << 17);
    for (int batch = 0; batch < BATCHES; batch++) {
        uint32_t before = guest_interrupts[0];

        mark_begin(ROW_TIMER);
        guest_deadline = __builtin_ia32_rdtsc() + DEADLINE;
        guest_wrmsr(MSR_TSC_DEADLINE, guest_deadline);
        guest_wait(&guest_interrupts[0], before + 1);
        guest_taken[ROW_TIMER][batch] = guest_latency;
        mark_end(ROW_TIMER);
    }
}

static void guest_operations(void)
{
    guest_gate(VECTOR, guest_on_interrupt);
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    __asm__ volatile("sti");
    for (size_t i = 0; i < sizeof(guest_measured) / sizeof(*guest_measured); i++)
        guest_measure(guest_measured[i].row, guest_measured[i].what);
    guest_measure_timer();
    guest_print("L2: measured\n");
    guest_end(NULL);
}

// ---- ipi: there and back between two vCPUs that halt

static volatile uint32_t guest_second_ready;

static void guest_ping(void)
{
    uint32_t before = guest_interrupts[0];

    guest_send(1, VECTOR);
    guest_wait(&guest_interrupts[0], before + 1);
}

static void guest_answer(void)
{
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    guest_second_ready = 1;
    for (uint32_t i = 1;; i++) {
        guest_wait(&guest_interrupts[1], i);
        guest_send(0, VECTOR);
    }
}

static void guest_ipi(void)
{
    guest_gate(VECTOR, guest_on_interrupt);
    guest_load_idt();
    guest_apic_write(0xf0, 0x1ff);
    guest_start(1);
    // An interrupt sent before the other one's APIC is on would be lost.
    while (!guest_second_ready)
        __asm__ volatile("pause");
    guest_measure(ROW_IPI, guest_ping);
    guest_print("L2: measured\n");
    guest_end(NULL);
}

// ---- the host side

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void report_row(uint32_t row, const char *name, uint64_t *taken, size_t batches,
                uint32_t operations)
{
    qsort(taken, batches, sizeof(*taken), compare);
    printf("kvmguest: row %u: %s takes %lu ticks, %u in a batch\n", row, name, taken[batches / 2],
           operations);
}

static const char *const row_names[ROWS] = {
    [ROW_CPUID] = "cpuid",
    [ROW_MSR] = "rdmsr and wrmsr",
    [ROW_VMCALL] = "vmcall",
    [ROW_MOV_CR] = "mov to cr0",
    [ROW_PORT_IN] = "port in",
    [ROW_PORT_OUT] = "port out",
    [ROW_MMIO] = "mmio read",
    [ROW_INTERRUPT] = "interrupt to itself",
    [ROW_DROP] = "page dropped and touched",
    [ROW_TIMER] = "timer's interrupt in hlt",
    [ROW_IPI] = "ipi there and back",
};

static void report(void)
{
    for (uint32_t row = 0; row < ROWS; row++) {
        uint64_t *taken = in_guest(guest_taken[row]);

        if (row_names[row] && taken[0])
            report_row(row, row_names[row], taken, BATCHES, row == ROW_TIMER ? 1 : OPERATIONS);
    }
}

static uint32_t drop_page(uint32_t vcpu, struct task *tasks)
{
    (void)vcpu;
    (void)tasks;
    must(madvise(pool, 4096, MADV_DONTNEED), "MADV_DONTNEED");
    *(volatile uint8_t *)pool = 1;
    return 0;
}

const struct mode operations_mode = {
    .name = "operations",
    BOOT16,
    .entry = guest_operations,
    .output = "L2: measured\n",
    .prepare = make_pool,
    .report = report,
    .next_batch = drop_page,
};

const struct mode ipi_mode = {
    .name = "ipi",
    BOOT16,
    .entry = guest_ipi,
    .second = guest_answer,
    .vcpus = 2,
    .output = "L2: measured\n",
    .report = report,
};

// ---- switch: one thread that runs its vCPUs in turn, each until it exits to the host side

static void guest_exit_always(void)
{
    for (;;)
        guest_port_out();
}

static void drive_switch(void)
{
    static uint64_t taken[BATCHES];
    uint32_t row = ROW_SWITCH + (uint32_t)__builtin_ctz(guest_vcpus), turns = 64 / guest_vcpus;

    if (guest_vcpus & (guest_vcpus - 1))
        fail("-c takes a power of two");
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start;

        mark_begin(row);
        start = __builtin_ia32_rdtsc();
        for (uint32_t i = 0; i < turns * guest_vcpus; i++)
            run_once(i % guest_vcpus);
        taken[batch] = (__builtin_ia32_rdtsc() - start) / 64;
        mark_end(row);
    }
    report_row(row, "turn of a vCPU", taken, BATCHES, 64);
    finish(0);
}

const struct mode switch_mode = {
    .name = "switch",
    BOOT16,
    .entry = guest_exit_always,
    .second = guest_exit_always,
    .takes_options = true,
    .output = "",
    .drive = drive_switch,
};
