/* The other core: started by INIT and SIPI, it waits in HLT for jobs, one at a time. */
#include "probe.h"

#define APIC_SOFTWARE_ENABLE BIT(8)
#define ICR_ASSERT           0x4000u
#define ICR_ALL_BUT_SELF     (3u << 18)
#define STACK_SIZE           16384
#define PATIENCE             4000000u

/* At the end of the page that the core starts in; read by smp.asm. */
struct start_block {
    u16 gdt_limit;
    u32 gdt_base;
    u16 padding;
    u32 far32_offset;
    u16 far32_selector, padding2;
    u32 far64_offset;
    u16 far64_selector, padding3;
    u64 cr0, cr3, cr4, efer, stack, entry;
} __attribute__((packed));

#define BLOCK_OFFSET 0xf00
_Static_assert(offsetof(struct start_block, far32_offset) == 8, "smp.asm");
_Static_assert(offsetof(struct start_block, far64_offset) == 16, "smp.asm");
_Static_assert(offsetof(struct start_block, cr0) == 24, "smp.asm");
_Static_assert(offsetof(struct start_block, entry) == 64, "smp.asm");

extern const u8 start_page[], start_page_end[], start_page_32[], start_page_64[];
_Noreturn void other_main(void);

u64 low_page, other_nmis, other_starts;
static u8 other_stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile u32 alive, busy;
volatile bool other_called;
static void (*volatile current_job)(void);

bool wait_until(const volatile u32 *flag, u32 value)
{
    for (u32 i = 0; i < PATIENCE; i++) {
        if (*flag == value)
            return true;
        __asm__ volatile("pause");
    }
    return false;
}

void other_send(u32 icr) { apic_write(APIC_ICR_LOW, ICR_ASSERT | ICR_ALL_BUT_SELF | icr); }

_Noreturn void other_main(void)
{
    machine_load_tables(SEL_TSS_OTHER);
    apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | 0xff);
    other_called = false;
    other_starts++;
    alive = 1;
    for (;;) {
        __asm__ volatile("cli" ::: "memory");
        if (!other_called) {
            __asm__ volatile("sti; hlt" ::: "memory");
            continue;
        }
        other_called = false;
        current_job();
        busy = 0;
    }
}

static void fill_block(void)
{
    struct start_block *block = (struct start_block *)(low_page + BLOCK_OFFSET);

    memcpy((void *)low_page, start_page, (size_t)(start_page_end - start_page));
    *block = (struct start_block){
        .gdt_limit = 0x7f,
        .gdt_base = (u32)(u64)gdt,
        .far32_offset = (u32)low_page + (u32)(start_page_32 - start_page),
        .far32_selector = SEL_CODE32,
        .far64_offset = (u32)low_page + (u32)(start_page_64 - start_page),
        .far64_selector = SEL_CODE64,
        .cr0 = standard_cr0,
        .cr3 = probe_cr3,
        .cr4 = standard_cr4,
        .efer = standard_efer & ~EFER_LMA,
        .stack = (u64)other_stack + STACK_SIZE - 8,
        .entry = (u64)other_main,
    };
}

void other_sipi(void)
{
    alive = 0;
    busy = 0;
    other_send(ICR_SIPI | (u32)(low_page >> PAGE_SHIFT));
    if (!wait_until(&alive, 1))
        say("the other core does not start; ");
}

void other_start(void)
{
    fill_block();
    other_send(ICR_INIT);
    machine_nap();
    other_sipi();
}

void other_do(void (*job)(void))
{
    current_job = job;
    busy = 1;
    other_send(VECTOR_JOB);
}

/* A core that does not come back is started anew. */
bool other_wait(void)
{
    if (wait_until(&busy, 0))
        return true;
    other_start();
    return false;
}

void other_set_host(void)
{
    vm_write(HOST_TR_SELECTOR, SEL_TSS_OTHER);
    vm_write(HOST_TR_BASE, (u64)other_tss);
}
