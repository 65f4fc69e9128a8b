// A small guest (L2) and its host side over /dev/kvm: kvmguest [-n OPERATIONS] MODE...
//
// Each mode runs a guest that checks itself and ends in "kvmguest: PASS mode", or in
// "kvmguest: FAIL mode: reason". The program is static and not position-independent: its whole
// image is copied into the guest's memory at the addresses it has in the host, so that the guest's
// 64-bit code is C in this file. It must use nothing of libc: functions of the guest start with
// "guest_".
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// --- what both sides know

#define RAM_SIZE      (16 << 20)
#define MAILBOX       0x7000UL   // struct mailbox
#define BOOT_CODE     0x8000UL   // boot16 or real16; the startup IPI's vector is this page
#define TABLES        0x10000UL  // PML4, PDPT, four page directories
#define STACKS        0x20000UL  // 16 KiB for each vCPU, growing down
#define WINDOW_TABLES 0x800000UL // the tables of the paging test's window
#define FRAMES        0xa00000UL // the pages it maps there
#define WINDOW        0x8000000000UL
#define POOL          0x40000000UL // memory of its own slot, which the host side plays with
#define POOL_PAGES    4096
#define MMIO          0xd0000000UL
#define APIC          0xfee00000UL

#define PORT_CONSOLE   0xe9
#define PORT_END       0xf4 // 0: passed; else the line whose check failed
#define PORT_ANSWER    0x600
#define PORT_BATCH     0x604 // a vCPU asks for its next batch
#define ANSWER         0x5a
#define SIGNATURE_LEAF 0x40000000
#define SIGNATURE      0x7473616c // what the host side puts into that leaf's EBX

#define BATCH      64
#define PAGE_WORDS 512

// What a vCPU is to do with a page of the pool: all its words have the value; a writer adds one.
struct task {
    uint32_t page;
    uint32_t write;
    uint64_t value;
};

struct mailbox {
    uint64_t entry[2];
    uint32_t started; // how many vCPUs took a number
};

_Static_assert(offsetof(struct mailbox, started) == 16, "boot16 relies on it");

// boot16 takes a vCPU from real mode to protected mode, to long mode, and to mailbox.entry[its
// number]; real16 is the real-mode test. Both run at CS = BOOT_CODE >> 4.
extern const char boot16[], boot16_end[], real16[], real16_end[];
__asm__(".pushsection .rodata\n"
        ".code16\n"
        "boot16:\n"
        "    cli\n"
        "    mov %cs, %ax\n"
        "    mov %ax, %ds\n"
        "    lgdtl (gdt_pointer - boot16)\n"
        "    mov %cr0, %eax\n"
        "    or $1, %eax\n"
        "    mov %eax, %cr0\n"
        "    ljmpl $0x08, $(0x8000 + boot32 - boot16)\n"
        ".code32\n"
        "boot32:\n"
        "    mov $0x10, %eax\n"
        "    mov %eax, %ds\n"
        "    mov %eax, %es\n"
        "    mov %eax, %ss\n"
        "    mov $0x620, %eax\n" // PAE, OSFXSR, OSXMMEXCPT
        "    mov %eax, %cr4\n"
        "    mov $0x10000, %eax\n"
        "    mov %eax, %cr3\n"
        "    mov $0xc0000080, %ecx\n"
        "    rdmsr\n"
        "    or $0x900, %eax\n" // LME, NXE
        "    wrmsr\n"
        "    mov $0x80010033, %eax\n" // PG, WP, NE, ET, MP, PE
        "    mov %eax, %cr0\n"
        "    ljmp $0x18, $(0x8000 + boot64 - boot16)\n"
        ".code64\n"
        "boot64:\n"
        "    mov $1, %eax\n"
        "    lock xadd %eax, 0x7010\n"
        "    mov %eax, %ecx\n"
        "    shl $14, %ecx\n"
        "    lea 0x24000(%rcx), %rsp\n"
        "    call *0x7000(,%rax,8)\n"
        "1:  hlt\n"
        "    jmp 1b\n"
        ".balign 8\n"
        "gdt:\n"
        "    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
        "gdt_pointer:\n"
        "    .word 31\n"
        "    .long 0x8000 + gdt - boot16\n"
        "boot16_end:\n"

        ".code16\n"
        ".macro end_unless condition, number\n"
        "    mov $\\number, %eax\n"
        "    j\\condition 1f\n"
        "    mov $0xf4, %dx\n"
        "    out %eax, %dx\n"
        "1:\n"
        ".endm\n"
        "real16:\n"
        "    xor %ax, %ax\n"
        "    mov %ax, %ds\n"
        "    mov %ax, %ss\n"
        "    mov $0x7000, %sp\n"
        // A software interrupt through the vector table.
        "    movw $(real_interrupt - real16), 0x42 * 4\n"
        "    movw %cs, 0x42 * 4 + 2\n"
        "    xor %ebx, %ebx\n"
        "    int $0x42\n"
        "    cmp $1, %ebx\n"
        "    end_unless e, 1\n"
        // A fault: the handler steps over the 2 bytes of the DIV.
        "    movw $(real_divide - real16), 0\n"
        "    movw %cs, 2\n"
        "    xor %ecx, %ecx\n"
        "    div %cl\n"
        "    cmp $0x101, %ebx\n"
        "    end_unless e, 2\n"
        // A copy between segments, to 64 KiB and above.
        "    mov $0x1000, %ax\n"
        "    mov %ax, %es\n"
        "    mov $0x8000, %si\n"
        "    xor %di, %di\n"
        "    mov $64, %cx\n"
        "    cld\n"
        "    rep movsb\n"
        "    mov $0x8000, %si\n"
        "    xor %di, %di\n"
        "    mov $64, %cx\n"
        "    repe cmpsb\n"
        "    end_unless e, 3\n"
        // A far call, and port input.
        "    lcall $0x800, $(real_far - real16)\n"
        "    cmp $0x5a, %al\n"
        "    end_unless e, 4\n"
        "    mov $0x40000000, %eax\n"
        "    cpuid\n"
        "    cmp $0x7473616c, %ebx\n"
        "    end_unless e, 5\n"
        // String output.
        "    push %cs\n"
        "    pop %ds\n"
        "    mov $(real_text - real16), %si\n"
        "    mov $(real_text_end - real_text), %cx\n"
        "    mov $0xe9, %dx\n"
        "    rep outsb\n"
        "    xor %eax, %eax\n"
        "    mov $0xf4, %dx\n"
        "    out %eax, %dx\n"
        "    hlt\n"
        "real_interrupt:\n"
        "    inc %ebx\n"
        "    iret\n"
        "real_divide:\n"
        "    add $0x100, %ebx\n"
        "    push %bp\n"
        "    mov %sp, %bp\n"
        "    addw $2, 2(%bp)\n"
        "    pop %bp\n"
        "    iret\n"
        "real_far:\n"
        "    mov $0x600, %dx\n"
        "    in %dx, %al\n"
        "    lret\n"
        "real_text:\n"
        "    .ascii \"Hello from L2 in real mode\\n\"\n"
        "real_text_end:\n"
        "real16_end:\n"
        ".code64\n"
        ".popsection\n");

// --- the guest

struct interrupt_frame {
    uint64_t ip, cs, flags, sp, ss;
};

#define HANDLER __attribute__((interrupt, target("general-regs-only")))

static volatile uint64_t guest_faults, guest_fault_address, guest_fault_error;
static volatile uint64_t *guest_fault_fix; // the entry that the page fault handler makes right
static uint64_t guest_fault_value;
static volatile uint32_t guest_ticks, guest_pings[2];
static volatile uint32_t guest_shared, guest_second_ready;
static struct task guest_tasks[2][BATCH]; // the host side fills them
static volatile uint32_t guest_batch[2];  // tasks in it; 0: there are no more
static volatile uint32_t guest_finished;
static volatile uint64_t guest_ticks_taken[2];
static struct {
    uint64_t low, high;
} guest_idt[256];

static inline void guest_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t guest_in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void guest_end(uint32_t line)
{
    __asm__ volatile("outl %0, %1" ::"a"(line), "Nd"((uint16_t)PORT_END));
    for (;;)
        __asm__ volatile("hlt");
}

#define GUEST_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            guest_end(__LINE__);                                                                   \
    } while (0)

static void guest_print(const char *text)
{
    for (; *text; text++)
        guest_out8(PORT_CONSOLE, (uint8_t)*text);
}

static inline uint64_t guest_rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void guest_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void guest_gate(unsigned vector, void *handler)
{
    uint64_t address = (uint64_t)handler;

    guest_idt[vector].low =
        (address & 0xffff) | 0x18 << 16 | 0x8eULL << 40 | (address >> 16 & 0xffff) << 48;
    guest_idt[vector].high = address >> 32;
}

static void guest_load_idt(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        void *base;
    } pointer = {sizeof(guest_idt) - 1, guest_idt};

    __asm__ volatile("lidt %0" ::"m"(pointer));
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

HANDLER static void guest_on_page_fault(struct interrupt_frame *frame, uint64_t error)
{
    uint64_t address;

    (void)frame;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    guest_fault_address = address;
    guest_fault_error = error;
    guest_faults++;
    if (!guest_fault_fix)
        guest_end(__LINE__);
    *guest_fault_fix = guest_fault_value;
    guest_fault_fix = NULL;
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static void guest_hello(void)
{
    guest_print("Hello from L2\n");
    guest_end(0);
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
    guest_end(0);
}

#define PTE_RW       3UL // present, writable
#define PTE_ACCESSED 0x20UL
#define PTE_DIRTY    0x40UL
#define WINDOW_PAGES 512

// Maps the window's first 2 MiB through a page table of its own; the table.
static volatile uint64_t *guest_map_window(uint64_t tables)
{
    volatile uint64_t *pml4 = (volatile uint64_t *)TABLES;
    volatile uint64_t *pdpt = (volatile uint64_t *)tables, *directory = pdpt + 512;
    volatile uint64_t *table = directory + 512;

    for (int i = 0; i < 3 * 512; i++)
        pdpt[i] = 0;
    pdpt[0] = (uint64_t)directory | PTE_RW;
    directory[0] = (uint64_t)table | PTE_RW;
    pml4[WINDOW >> 39] = tables | PTE_RW;
    return table;
}

static inline void guest_flush(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline void guest_flush_all(void)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0\n mov %0, %%cr3" : "=r"(cr3)::"memory");
}

static void guest_check_churn(volatile uint64_t *table)
{
    for (uint64_t i = 0; i < WINDOW_PAGES; i++)
        *(volatile uint64_t *)(FRAMES + i * 4096) = i + 1000;
    for (uint64_t round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
            uint64_t frame = (i * 7 + round * 13) % WINDOW_PAGES, at = WINDOW + i * 4096;

            table[i] = (FRAMES + frame * 4096) | PTE_RW;
            if (round & 1)
                guest_flush(at);
        }
        if (!(round & 1))
            guest_flush_all();
        for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
            uint64_t frame = (i * 7 + round * 13) % WINDOW_PAGES;

            GUEST_CHECK(*(volatile uint64_t *)(WINDOW + i * 4096) == frame + 1000);
        }
    }
}

static void guest_check_accessed_dirty(volatile uint64_t *table)
{
    table[0] = FRAMES | PTE_RW;
    guest_flush(WINDOW);
    (void)*(volatile uint64_t *)WINDOW;
    GUEST_CHECK((table[0] & (PTE_ACCESSED | PTE_DIRTY)) == PTE_ACCESSED);
    *(volatile uint64_t *)WINDOW = 1;
    GUEST_CHECK((table[0] & (PTE_ACCESSED | PTE_DIRTY)) == (PTE_ACCESSED | PTE_DIRTY));
}

// An access that faults once, with this error code; the handler sets the entry and it succeeds.
static void guest_check_fault(volatile uint64_t *entry, uint64_t before, uint64_t error, int write)
{
    uint64_t at = WINDOW + 5 * 4096 + 0x123;

    *entry = before;
    guest_flush(at);
    guest_faults = 0;
    guest_fault_value = (FRAMES + 5 * 4096) | PTE_RW;
    guest_fault_fix = entry;
    if (write)
        *(volatile uint8_t *)at = 77;
    else
        (void)*(volatile uint8_t *)at;
    GUEST_CHECK(guest_faults == 1);
    GUEST_CHECK(guest_fault_address == at);
    GUEST_CHECK(guest_fault_error == error);
    if (write)
        GUEST_CHECK(*(volatile uint8_t *)(FRAMES + 5 * 4096 + 0x123) == 77);
}

static void guest_paging(void)
{
    volatile uint64_t *table = guest_map_window(WINDOW_TABLES);

    guest_gate(14, guest_on_page_fault);
    guest_load_idt();
    guest_check_churn(table);
    guest_check_accessed_dirty(table);
    guest_check_fault(&table[5], 0, 0, 0);
    guest_check_fault(&table[5], 0, 2, 1);
    guest_check_fault(&table[5], (FRAMES + 5 * 4096) | 1, 3, 1);
    guest_check_fault(&table[5], (FRAMES + 5 * 4096) | PTE_RW | 1UL << 51, 9, 0);

    // A second set of tables, the first one's page table among what it replaces.
    table = guest_map_window(WINDOW_TABLES + 0x10000);
    guest_flush_all();
    guest_check_churn(table);
    guest_print("L2: page tables are right\n");
    guest_end(0);
}

static inline void guest_apic_write(unsigned reg, uint32_t value)
{
    *(volatile uint32_t *)(APIC + reg) = value;
}

HANDLER static void guest_on_tick(struct interrupt_frame *frame)
{
    (void)frame;
    guest_ticks++;
    guest_apic_write(0xb0, 0);
}

// Halts until a counter that an interrupt handler raises has reached a value.
static void guest_wait(volatile uint32_t *counter, uint32_t value)
{
    for (;;) {
        __asm__ volatile("cli");
        if (*counter >= value)
            break;
        __asm__ volatile("sti\n hlt" ::: "memory");
    }
    __asm__ volatile("sti");
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
    guest_end(0);
}

#define PING_VECTOR   0x41
#define PINGS         200
#define SHARED_ROUNDS 20000

static uint32_t guest_apic_id(void) { return *(volatile uint32_t *)(APIC + 0x20) >> 24; }

HANDLER static void guest_on_ping(struct interrupt_frame *frame)
{
    (void)frame;
    guest_pings[guest_apic_id()]++;
    guest_apic_write(0xb0, 0);
}

static void guest_send(uint32_t destination, uint32_t command)
{
    guest_apic_write(0x310, destination << 24);
    guest_apic_write(0x300, command);
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
    guest_send(1, 0x4500);                   // INIT
    guest_send(1, 0x4600 | BOOT_CODE >> 12); // startup
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
    guest_end(0);
}

static void guest_do_task(const struct task *task)
{
    volatile uint64_t *words = (volatile uint64_t *)(POOL + task->page * 4096UL);

    for (int i = 0; i < PAGE_WORDS; i++)
        GUEST_CHECK(words[i] == task->value);
    for (int i = 0; task->write && i < PAGE_WORDS; i++)
        words[i] = task->value + 1;
}

static void guest_do_tasks(uint32_t vcpu)
{
    for (;;) {
        __asm__ volatile("outl %0, %1" ::"a"(vcpu), "d"((uint16_t)PORT_BATCH) : "memory");
        if (!guest_batch[vcpu])
            break;
        for (uint32_t i = 0; i < guest_batch[vcpu]; i++)
            guest_do_task(&guest_tasks[vcpu][i]);
    }
    __atomic_fetch_add(&guest_finished, 1, __ATOMIC_SEQ_CST);
}

static void guest_churn_second(void) { guest_do_tasks(1); }

static void guest_churn(void)
{
    guest_apic_write(0xf0, 0x1ff);
    guest_send(1, 0x4500);
    guest_send(1, 0x4600 | BOOT_CODE >> 12);
    guest_do_tasks(0);
    while (__atomic_load_n(&guest_finished, __ATOMIC_SEQ_CST) != 2)
        __asm__ volatile("pause");
    guest_print("L2: every byte was right\n");
    guest_end(0);
}

// The ticks that touching a page of the pool takes, for the first time and again.
static void guest_touch(void)
{
    for (int round = 0; round < 2; round++) {
        uint64_t start = __builtin_ia32_rdtsc();

        for (uint64_t page = 0; page < POOL_PAGES; page++)
            *(volatile uint64_t *)(POOL + page * 4096) = page;
        guest_ticks_taken[round] = __builtin_ia32_rdtsc() - start;
    }
    guest_print("L2: touched\n");
    guest_end(0);
}

static void guest_dirty(void)
{
    guest_do_tasks(0);
    guest_print("L2: done\n");
    guest_end(0);
}

// --- the host side

#define BOOT16 .code = boot16, .code_end = boot16_end

struct mode {
    const char *name;
    const char *code, *code_end;
    void (*entry)(void), (*second)(void);
    const char *output;
    void (*prepare)(void), (*report)(void);
    uint32_t (*next_batch)(uint32_t vcpu, struct task *tasks); // fills BATCH of them at most
};

static void make_pool(void);
static void populate_pool(void);
static void report_ticks(void);
static uint32_t churn(uint32_t vcpu, struct task *tasks);
static uint32_t log_dirty(uint32_t vcpu, struct task *tasks);

static const struct mode modes[] = {
    {.name = "hello", BOOT16, .entry = guest_hello, .output = "Hello from L2\n"},
    {.name = "real",
     .code = real16,
     .code_end = real16_end,
     .output = "Hello from L2 in real mode\n"},
    {.name = "long", BOOT16, .entry = guest_long, .output = "Hello from L2 in long mode\n"},
    {.name = "paging", BOOT16, .entry = guest_paging, .output = "L2: page tables are right\n"},
    {.name = "timer", BOOT16, .entry = guest_timer, .output = "L2: timer interrupts arrive\n"},
    {.name = "twovcpu",
     BOOT16,
     .entry = guest_twovcpu,
     .second = guest_second,
     .output = "L2: two vCPUs exchange interrupts\n"},
    {.name = "churn",
     BOOT16,
     .entry = guest_churn,
     .second = guest_churn_second,
     .output = "L2: every byte was right\n",
     .prepare = make_pool,
     .next_batch = churn},
    {.name = "dirty",
     BOOT16,
     .entry = guest_dirty,
     .output = "L2: done\n",
     .prepare = make_pool,
     .next_batch = log_dirty},
    {.name = "touch",
     BOOT16,
     .entry = guest_touch,
     .output = "L2: touched\n",
     .prepare = populate_pool,
     .report = report_ticks},
};

static const struct mode *mode;
static char output[256];
static size_t output_length;
static uint32_t device[1024];
static uint8_t *ram, *pool;
static int kvm, vm;
static uint64_t operations = 20000; // of churn, for each vCPU

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
    va_list arguments;

    printf("kvmguest: FAIL %s: ", mode->name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

static int must(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(errno));
    return result;
}

static void finish(uint32_t line)
{
    fwrite(output, 1, output_length, stdout);
    if (line)
        fail("the check in line %u of the guest", line);
    if (strcmp(output, mode->output))
        fail("its output is not '%.*s'", (int)strlen(mode->output) - 1, mode->output);
    if (mode->report)
        mode->report();
    printf("kvmguest: PASS %s\n", mode->name);
    fflush(stdout);
    _exit(0);
}

// --- the pool: memory that the host side changes under the guest

static void set_pool(uint32_t flags)
{
    struct kvm_userspace_memory_region region = {
        .slot = 1,
        .flags = flags,
        .guest_phys_addr = POOL,
        .memory_size = POOL_PAGES * 4096UL,
        .userspace_addr = (uint64_t)pool,
    };

    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

// Aligned to 2 MiB, for large pages.
static void make_pool(void)
{
    size_t large = 2 << 20;
    uint8_t *at = mmap(NULL, POOL_PAGES * 4096UL + large, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        fail("mmap of the pool: %s", strerror(errno));
    pool = (uint8_t *)(((uintptr_t)at + large - 1) & ~(large - 1));
    madvise(pool, POOL_PAGES * 4096UL, MADV_MERGEABLE); // a kernel may be without
    set_pool(0);
}

// In 4-KiB pages, all there: what is left to do at a touch is the EPT's.
static void populate_pool(void)
{
    make_pool();
    madvise(pool, POOL_PAGES * 4096UL, MADV_NOHUGEPAGE); // a kernel may be without
    for (uint64_t page = 0; page < POOL_PAGES; page++)
        pool[page * 4096] = 1;
}

static void report_ticks(void)
{
    const uint64_t *ticks = (uint64_t *)(ram + (uintptr_t)guest_ticks_taken);

    printf("kvmguest: a page takes %lu ticks at the first touch, %lu later\n",
           ticks[0] / POOL_PAGES, ticks[1] / POOL_PAGES);
}

static uint64_t *page_at(uint32_t page) { return (uint64_t *)(pool + page * 4096UL); }

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void fill(uint32_t page, uint64_t value)
{
    for (int i = 0; i < PAGE_WORDS; i++)
        page_at(page)[i] = value;
}

// --- churn: random changes of the guest's memory, which checks what it finds

#define LARGE_FIRST (POOL_PAGES / 2) // from here on a vCPU has 512 pages in a row, else every other
#define LARGE_PAGES 512

static struct {
    uint64_t random, done, batches;
    uint32_t count; // tasks of the last batch, which the guest has done
} churners[2] = {{.random = 88172645463325252}, {.random = 362436069362436069}};

static uint64_t contents[POOL_PAGES], batch_of[POOL_PAGES];

static uint32_t own_page(uint32_t vcpu)
{
    uint32_t page = (uint32_t)(next_random(&churners[vcpu].random) >> 16) % POOL_PAGES;

    if (page < LARGE_FIRST)
        return (page & ~1u) | vcpu;
    return (page & ~(2u * LARGE_PAGES - 1)) | vcpu * LARGE_PAGES | (page & (LARGE_PAGES - 1));
}

static void drop(uint32_t page, uint32_t pages)
{
    must(madvise(page_at(page), pages * 4096UL, MADV_DONTNEED), "MADV_DONTNEED");
    memset(&contents[page], 0, pages * sizeof(*contents));
}

// Half of the pages have one of few contents, for them to be merged.
static void rewrite(uint32_t vcpu, uint32_t page)
{
    uint64_t value = next_random(&churners[vcpu].random);

    contents[page] = value >> 32 & 1 ? value : value & 3;
    fill(page, contents[page]);
}

static void replace(uint32_t vcpu, uint32_t page)
{
    if (mmap(page_at(page), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED)
        fail("mmap of a page: %s", strerror(errno));
    rewrite(vcpu, page);
}

static void protect(uint32_t page)
{
    must(mprotect(page_at(page), 4096, PROT_READ), "mprotect");
    must(mprotect(page_at(page), 4096, PROT_READ | PROT_WRITE), "mprotect");
}

// Only between batches: no page of the chunk may be in one.
static void drop_large(uint32_t page)
{
    page &= ~(LARGE_PAGES - 1u);
    madvise(page_at(page), LARGE_PAGES * 4096UL, MADV_HUGEPAGE); // a kernel may be without
    drop(page, LARGE_PAGES);
}

static void change_page(uint32_t vcpu, uint32_t page)
{
    switch (next_random(&churners[vcpu].random) >> 16 & 7) {
    case 0:
    case 1: drop(page, 1); break;
    case 2:
    case 3: rewrite(vcpu, page); break;
    case 4: replace(vcpu, page); break;
    case 5: protect(page); break;
    default: break;
    }
}

// What the guest wrote is there.
static void check_batch(uint32_t vcpu, const struct task *tasks)
{
    for (uint32_t i = 0; i < churners[vcpu].count; i++) {
        uint64_t value = tasks[i].value + tasks[i].write;

        for (int word = 0; word < PAGE_WORDS; word++)
            if (page_at(tasks[i].page)[word] != value)
                fail("page %u, word %d: %#lx, not %#lx", tasks[i].page, word,
                     page_at(tasks[i].page)[word], value);
        contents[tasks[i].page] = value;
    }
}

static void change_chunk(uint32_t vcpu)
{
    uint32_t page = own_page(vcpu);

    if (page >= LARGE_FIRST)
        drop_large(page);
}

static uint32_t churn(uint32_t vcpu, struct task *tasks)
{
    uint64_t batch = ++churners[vcpu].batches;
    uint32_t count = 0;

    check_batch(vcpu, tasks);
    if (vcpu == 0 && batch % 32 == 0)
        set_pool(batch % 64 ? KVM_MEM_LOG_DIRTY_PAGES : 0);
    if (batch % 16 == 0)
        change_chunk(vcpu);
    while (count < BATCH && churners[vcpu].done < operations) {
        uint32_t page = own_page(vcpu);

        churners[vcpu].done++;
        if (batch_of[page] == batch)
            continue;
        batch_of[page] = batch;
        change_page(vcpu, page);
        tasks[count++] = (struct task){
            page, (uint32_t)(next_random(&churners[vcpu].random) >> 20 & 1), contents[page]};
    }
    churners[vcpu].count = count;
    return count;
}

// --- dirty: KVM's log has just the pages that the guest wrote

#define DIRTY_ROUNDS 60
#define FRAME_BUFFER 24 // pages

static uint64_t written[POOL_PAGES / 64];

static void check_log(void)
{
    static uint64_t bitmap[POOL_PAGES / 64];
    struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};

    must(ioctl(vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
    for (uint32_t page = 0; page < POOL_PAGES; page++) {
        uint64_t bit = 1ULL << page % 64;

        if ((bitmap[page / 64] & bit) != (written[page / 64] & bit))
            fail("page %u is %sin the log", page, bitmap[page / 64] & bit ? "" : "not ");
    }
    memset(written, 0, sizeof(written));
}

// A frame buffer: the same pages each time. A migration: pages from all over, most of them read
// only.
static uint32_t log_dirty(uint32_t vcpu, struct task *tasks)
{
    static uint64_t random = 88172645463325252;
    static uint32_t round;
    uint32_t count = round & 1 ? FRAME_BUFFER : BATCH;

    (void)vcpu;
    if (!round)
        set_pool(KVM_MEM_LOG_DIRTY_PAGES);
    else
        check_log();
    if (round++ == DIRTY_ROUNDS)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = round & 1 ? (uint32_t)(next_random(&random) >> 16) % POOL_PAGES : i;
        uint32_t write = round & 1 ? next_random(&random) >> 20 & 1 : 1;

        tasks[i] = (struct task){page, write, contents[page]};
        contents[page] += write;
        if (write)
            written[page / 64] |= 1ULL << page % 64;
    }
    return count;
}

static void batch_exit(uint32_t vcpu)
{
    struct task *tasks = (struct task *)(ram + (uintptr_t)guest_tasks[vcpu & 1]);
    volatile uint32_t *count = (uint32_t *)(ram + (uintptr_t)&guest_batch[vcpu & 1]);

    if (!mode->next_batch || vcpu > 1)
        fail("a batch for vCPU %u", vcpu);
    *count = mode->next_batch(vcpu, tasks);
}

static void port_exit(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    uint32_t line;

    if (run->io.direction == KVM_EXIT_IO_IN) {
        memset(data, run->io.port == PORT_ANSWER ? ANSWER : 0xff, run->io.size * run->io.count);
        return;
    }
    switch (run->io.port) {
    case PORT_CONSOLE:
        for (uint32_t i = 0; i < run->io.count && output_length < sizeof(output) - 1; i++)
            output[output_length++] = (char)data[i];
        return;
    case PORT_END:
        memcpy(&line, data, sizeof(line));
        finish(line);
        return;
    case PORT_BATCH:
        memcpy(&line, data, sizeof(line));
        batch_exit(line);
        return;
    default: fail("output to port 0x%x", run->io.port);
    }
}

static void mmio_exit(struct kvm_run *run)
{
    uint64_t at = run->mmio.phys_addr - MMIO;
    uint32_t value;

    if (at >= sizeof(device) || run->mmio.len != 4)
        fail("access to address 0x%llx", run->mmio.phys_addr);
    if (run->mmio.is_write) {
        memcpy(&device[at / 4], run->mmio.data, 4);
        return;
    }
    value = ~device[at / 4];
    memcpy(run->mmio.data, &value, 4);
}

static void unexpected_exit(int vcpu, struct kvm_run *run)
{
    struct kvm_regs regs;

    must(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        fail("VM entry failed, hardware reason 0x%llx, rip 0x%llx",
             run->fail_entry.hardware_entry_failure_reason, regs.rip);
    case KVM_EXIT_INTERNAL_ERROR:
        fail("internal error %u of KVM, data 0x%llx 0x%llx, rip 0x%llx", run->internal.suberror,
             run->internal.data[0], run->internal.data[1], regs.rip);
    default: fail("exit %u, rip 0x%llx, rsp 0x%llx", run->exit_reason, regs.rip, regs.rsp);
    }
}

static void *run_vcpu(void *argument)
{
    int vcpu = (int)(intptr_t)argument;
    int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

    if (run == MAP_FAILED)
        fail("mmap of kvm_run: %s", strerror(errno));
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            fail("KVM_RUN: %s", strerror(errno));
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO: port_exit(run); break;
        case KVM_EXIT_MMIO: mmio_exit(run); break;
        default: unexpected_exit(vcpu, run);
        }
    }
    return NULL;
}

static void set_cpuid(int vcpu)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid;

    cpuid.head.nent = 255;
    must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    for (uint32_t i = 0; i < cpuid.head.nent; i++) {
        if (cpuid.entries[i].function == SIGNATURE_LEAF)
            cpuid.entries[i].ebx = SIGNATURE;
        // No hypervisor features: a paravirtual signature without them would be a lie.
        if (cpuid.entries[i].function == SIGNATURE_LEAF + 1)
            cpuid.entries[i].eax = 0;
        // The in-kernel APIC has it, though it is not among the supported ones.
        if (cpuid.entries[i].function == 1)
            cpuid.entries[i].ecx |= 1 << 24; // TSC deadline timer
    }
    must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

static int make_vcpu(unsigned id)
{
    int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = 0, .rflags = 2};

    set_cpuid(vcpu);
    if (id)
        return vcpu; // waits for its startup IPI
    must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs.base = BOOT_CODE;
    sregs.cs.selector = BOOT_CODE >> 4;
    must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
    return vcpu;
}

// Long mode's identity map of 4 GiB in 2 MiB pages.
static void make_tables(void)
{
    uint64_t *pml4 = (uint64_t *)(ram + TABLES), *pdpt = pml4 + 512, *directories = pdpt + 512;

    pml4[0] = (TABLES + 0x1000) | 3;
    for (uint64_t i = 0; i < 4; i++)
        pdpt[i] = (TABLES + 0x2000 + i * 0x1000) | 3;
    for (uint64_t i = 0; i < 4 * 512; i++)
        directories[i] = i << 21 | 0x83;
}

static void make_memory(void)
{
    extern const char __executable_start[], _end[];
    struct mailbox mailbox = {{(uint64_t)mode->entry, (uint64_t)mode->second}, 0};
    struct kvm_userspace_memory_region region = {.memory_size = RAM_SIZE};

    ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        fail("mmap of the guest's memory: %s", strerror(errno));
    region.userspace_addr = (uint64_t)ram;
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    make_tables();
    memcpy(ram + (uintptr_t)__executable_start, __executable_start,
           (size_t)(_end - __executable_start));
    memcpy(ram + BOOT_CODE, mode->code, (size_t)(mode->code_end - mode->code));
    memcpy(ram + MAILBOX, &mailbox, sizeof(mailbox));
}

static void make_vm(void)
{
    uint64_t identity_map = 0xfffbc000;

    kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
    vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    // Real mode on a CPU without unrestricted guest needs these two.
    must(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
    must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
    must(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    make_memory();
    if (mode->prepare)
        mode->prepare();
}

static void run_mode(void)
{
    pthread_t thread;
    int first, second;

    make_vm();
    first = make_vcpu(0);
    if (mode->second) {
        second = make_vcpu(1);
        if (pthread_create(&thread, NULL, run_vcpu, (void *)(intptr_t)second))
            fail("pthread_create");
    }
    run_vcpu((void *)(intptr_t)first);
}

// Each mode has a process of its own: whether it passed.
static int try_mode(const char *name)
{
    int status;
    pid_t child;

    for (mode = modes; strcmp(mode->name, name); mode++) {
        if (mode == &modes[sizeof(modes) / sizeof(*modes) - 1]) {
            fprintf(stderr, "kvmguest: no mode '%s'\n", name);
            return 0;
        }
    }
    fflush(stdout);
    child = fork();
    if (!child)
        run_mode();
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        printf("kvmguest: FAIL %s: %s\n", name, strerror(errno));
        return 0;
    }
    if (WIFSIGNALED(status))
        printf("kvmguest: FAIL %s: signal %d\n", name, WTERMSIG(status));
    return status == 0;
}

int main(int count, char **arguments)
{
    int failed = 0;

    if (count > 2 && !strcmp(arguments[1], "-n")) {
        operations = strtoull(arguments[2], NULL, 0) / 2;
        arguments += 2;
        count -= 2;
    }
    if (count < 2) {
        fprintf(stderr, "usage: kvmguest [-n OPERATIONS] MODE...; modes:");
        for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
            fprintf(stderr, " %s", modes[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    for (int i = 1; i < count; i++)
        failed += !try_mode(arguments[i]);
    printf("kvmguest: %d passed, %d failed\n", count - 1 - failed, failed);
    return failed != 0;
}
