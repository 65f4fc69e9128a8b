// The mode touch: the ticks that touching a page of the pool takes, for the first time and again.
#include <stdio.h>
#include <sys/mman.h>
#include "guest.h"

static volatile uint64_t guest_ticks_taken[VCPUS][2];

static uint64_t guest_step(void)
{
    return guest_large_pages ? 512 : 1;
} // from one page to the next

static void guest_touch_pages(uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end; page += guest_step())
        *(volatile uint64_t *)(POOL + page * 4096) = page;
}

static uint32_t guest_row(int round)
{
    return (guest_large_pages ? ROW_TOUCH_LARGE : ROW_TOUCH) + (uint32_t)round;
}

// Each vCPU touches all pages and starts at a place of its own.
static void guest_touch_all(uint32_t vcpu)
{
    uint64_t first = vcpu * guest_pool_pages / guest_vcpus;

    for (int round = 0; round < 2; round++) {
        uint64_t start;

        guest_meet();
        mark_begin(guest_row(round));
        start = __builtin_ia32_rdtsc();
        guest_touch_pages(first, guest_pool_pages);
        guest_touch_pages(0, first);
        guest_ticks_taken[vcpu][round] = __builtin_ia32_rdtsc() - start;
        mark_end(guest_row(round));
    }
    guest_meet();
}

// boot16 numbers the vCPUs as they come: which one this is, its APIC knows.
static void guest_touch_second(void) { guest_touch_all(guest_apic_id()); }

static void guest_touch(void)
{
    guest_apic_write(0xf0, 0x1ff);
    for (uint32_t vcpu = 1; vcpu < guest_vcpus; vcpu++)
        guest_start(vcpu);
    guest_touch_all(0);
    guest_print("L2: touched\n");
    guest_end(NULL);
}

// All there: what is left to do at a touch is the EPT's.
static void populate_pool(void)
{
    make_pool();
    if (guest_large_pages)
        must(madvise(pool, guest_pool_pages * 4096, MADV_HUGEPAGE), "MADV_HUGEPAGE");
    else
        madvise(pool, guest_pool_pages * 4096, MADV_NOHUGEPAGE); // a kernel may be without
    for (uint64_t page = 0; page < guest_pool_pages; page++)
        pool[page * 4096] = 1;
}

static void report_ticks(void)
{
    uint64_t(*ticks)[2] = in_guest(guest_ticks_taken);
    uint64_t touched = guest_pool_pages / guest_step();

    for (uint32_t vcpu = 0; vcpu < guest_vcpus; vcpu++)
        printf("kvmguest: vCPU %u: a page takes %lu ticks at the first touch, %lu later\n", vcpu,
               ticks[vcpu][0] / touched, ticks[vcpu][1] / touched);
    for (int round = 0; round < 2 && guest_vcpus == 1; round++) {
        ticks[0][round] /= touched;
        report_row(guest_row(round), round ? "page touched again" : "page touched first",
                   &ticks[0][round], 1, (uint32_t)touched);
    }
}

const struct mode touch_mode = {
    .name = "touch",
    BOOT16,
    .entry = guest_touch,
    .second = guest_touch_second,
    .takes_options = true,
    .output = "L2: touched\n",
    .prepare = populate_pool,
    .report = report_ticks,
};
