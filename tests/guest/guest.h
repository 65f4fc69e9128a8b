// What the files of kvmguest share: a small guest (L2) and its host side over /dev/kvm.
//
// The program is static and not position-independent: its whole image is copied into the guest's
// memory at the addresses it has in the host, so that the guest's 64-bit code is C in these files.
// It must use nothing of libc: functions and data of the guest start with "guest_". What the host
// side writes to such data before the copy, the options among it, the guest finds there.
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- what both sides know

#define VCPUS         64 // at most
#define RAM_SIZE      (16 << 20)
#define MAILBOX       0x7000UL   // struct mailbox
#define BOOT_CODE     0x8000UL   // boot16 or real16; the startup IPI's vector is this page
#define TABLES        0x10000UL  // PML4, PDPT, four page directories
#define STACKS        0x20000UL  // 16 KiB for each vCPU, growing down
#define WINDOW_TABLES 0x800000UL // the tables of the paging test's window
#define FRAMES        0xa00000UL // the pages it maps there
#define WINDOW        0x8000000000UL
#define POOL          0x40000000UL // memory of its own slot, which the host side plays with
#define POOL_PAGES    4096         // unless -m says otherwise
#define MMIO          0xd0000000UL // ends the pool
#define APIC          0xfee00000UL

#define PORT_CONSOLE   0xe9
#define PORT_END       0xf4 // 0: passed; else the failed check: address of its text, or a number
#define PORT_ANSWER    0x600
#define PORT_BATCH     0x604 // a vCPU asks for its next batch
#define PORT_NOTHING   0x608
#define ANSWER         0x5a
#define SIGNATURE_LEAF 0x40000000
#define SIGNATURE      0x7473616c // what the host side puts into that leaf's EBX

// What is measured: the rows' numbers are the same everywhere, and those of tests/bench/work.c
// others.
enum row {
    ROW_CPUID = 1,
    ROW_MSR,
    ROW_VMCALL,
    ROW_MOV_CR,
    ROW_PORT_IN,
    ROW_PORT_OUT,
    ROW_MMIO,
    ROW_INTERRUPT,
    ROW_DROP,
    ROW_TIMER,
    ROW_IPI,
    ROW_TOUCH,
    ROW_TOUCH_AGAIN,
    ROW_TOUCH_LARGE,
    ROW_TOUCH_LARGE_AGAIN,
    ROW_SWITCH, // and up to 6 more: of 2, 4 ... 64 vCPUs
    ROWS = ROW_SWITCH + 7
};

struct mailbox {
    uint64_t entry[VCPUS];
    uint32_t started; // how many vCPUs took a number
};

extern uint64_t guest_pool_pages; // option -m
extern uint32_t guest_vcpus;      // option -c, or what the mode wants
extern bool guest_large_pages;    // option -l

// ---- lib.c: the guest's helpers

struct interrupt_frame {
    uint64_t ip, cs, flags, sp, ss;
};

#define HANDLER __attribute__((interrupt, target("general-regs-only")))

// Bochs counts what is done between the two marks of a row: tools/bochs/count.h. Elsewhere they do
// nothing.
static inline void mark(uint32_t number)
{
    __asm__ volatile("xchg %%bx, %%bx" ::"a"(number) : "memory");
}

static inline void mark_begin(uint32_t row) { mark(2 * row); }
static inline void mark_end(uint32_t row) { mark(2 * row + 1); }

_Noreturn void guest_end(const char *failed); // NULL: passed
void guest_print(const char *text);
void guest_gate(unsigned vector, void *handler);
void guest_load_idt(void);
void guest_send(uint32_t destination, uint32_t command); // an interrupt, through the APIC
void guest_start(uint32_t vcpu);
void guest_meet(void); // waits for all vCPUs to come here
// Halts until a counter that an interrupt handler raises has reached a value.
void guest_wait(const volatile uint32_t *counter, uint32_t value);

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
#define HERE            __FILE_NAME__ ":" TEXT(__LINE__)

#define GUEST_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            guest_end(HERE);                                                                       \
    } while (0)

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

static inline void guest_apic_write(unsigned reg, uint32_t value)
{
    *(volatile uint32_t *)(APIC + reg) = value;
}

static inline uint32_t guest_apic_id(void) { return *(volatile uint32_t *)(APIC + 0x20) >> 24; }

// ---- boot.c: takes a vCPU to long mode and its entry

extern const char boot16[], boot16_end[];

#define BOOT16 .code = boot16, .code_end = boot16_end

// ---- host.c: the virtual machine, and what the files of the modes need of it

struct task;

struct mode {
    const char *name;
    const char *code, *code_end;
    void (*entry)(void), (*second)(void); // of the first vCPU, and of each other one
    uint32_t vcpus;                       // 0: one, or as many as -c says
    bool takes_options;                   // -m, -c and -l
    const char *output;                   // what the guest prints
    void (*prepare)(void), (*report)(void);
    void (*drive)(void); // one thread runs all vCPUs, which need no startup IPI
    uint32_t (*next_batch)(uint32_t vcpu, struct task *tasks); // see pool.c
};

// Each in the file of its subject.
extern const struct mode hello_mode, real_mode, long_mode, paging_mode, timer_mode, twovcpu_mode,
    churn_mode, dirty_mode, touch_mode, operations_mode, ipi_mode, switch_mode;

extern const struct mode *mode; // the one that runs
extern int vm;

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int must(int result, const char *what);       // fails with errno's text if the result is negative
void *in_guest(const volatile void *address); // where the guest has what the host has here
void run_once(uint32_t vcpu);                 // for drive(): until it exits to here
_Noreturn void finish(uint32_t check);        // as if the guest had ended with this

// ---- operations.c: a row's line, of the median of its batches' ticks

void report_row(uint32_t row, const char *name, uint64_t *taken, size_t batches,
                uint32_t operations);

// ---- pool.c: memory that the host side changes under the guest

extern uint8_t *pool;
extern uint64_t operations; // option -n: of churn, for each vCPU

void make_pool(void);
void batch_exit(uint32_t vcpu); // the guest asks for its next batch

#endif
