/* EPT12 that one core changes while the other's L2 runs on it: L2 sees what L1 gave it, or ones for
   L0's memory. These make sense under Plastron alone. */
#include "ept_rows.h"

#define ROUNDS     400u
#define ROUNDS_MAX 8000u /* if one of what L2 may see was never seen: how both cores meet is chance */
#define PLAIN  0x11111111u

static u64 target; /* the start of L0's memory */
static u64 *entry; /* what changes, there and back */
static u64 values[3];
static volatile bool over;

/* The other core's. */
static void change_job(void)
{
    bool on = !vm_on(arena_address(PAGE_OTHER_VMXON));

    for (u32 i = 0; !over; i++) {
        *(volatile u64 *)entry = values[i % ARRAY_SIZE(values)];
        if (on && i % 16 == 0)
            flush_ept();
    }
    if (on)
        __asm__ volatile("vmxoff" ::: "cc");
}

/* The guest counts in EBX what it must not see, in ESI and EDI what it may. */
static void race(void)
{
    u64 wrong = 0, plain = 0, ones = 0;

    over = false;
    other_do(change_job);
    for (u32 i = 0; i < ROUNDS || (i < ROUNDS_MAX && !(plain && ones)); i++) {
        flush_ept();
        vm_write(GUEST_RIP, guest_entry);
        exec.gpr[RBX] = exec.gpr[RSI] = exec.gpr[RDI] = 0;
        guest_run(i == 0);
        wrong += exec.gpr[RBX];
        plain += exec.gpr[RSI];
        ones += exec.gpr[RDI];
    }
    over = true;
    other_wait();
    say("wrong %lu, %s, %s", wrong, plain ? "L1's seen" : "L1's never seen",
        ones ? "ones seen" : "ones never seen");
    row_end();
}

static bool start(const char *name)
{
    if (!row(STATE_VMCS, "race.%s", name) || !row_needs(FEATURE_EPT))
        return false;
    guest_setup(GUEST_64, WITH_EPT | WITH_VPID);
    guest_code("race");
    *(u32 *)arena_page(PAGE_OTHER_VMXON) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    for (u32 at = 0; at < PAGE_SIZE; at += 4) {
        *(u32 *)guest_memory(L2_SPARE + at) = PLAIN;
        *(u32 *)(arena_page(PAGE_SCRATCH) + at) = PLAIN;
    }
    return true;
}

static void change(u64 *changed, u64 first, u64 second, u64 third)
{
    entry = changed;
    values[0] = first;
    values[1] = second;
    values[2] = third;
    race();
}

void rows_race(void)
{
    u64 *large, rights = EPT_RWX | EPT_WB_BITS;

    if (!hidden_count)
        return;
    target = hidden_base[hidden_count - 1];
    if (start("leaf"))
        change(SPARE_ENTRY, *SPARE_ENTRY, target | rights, 0);
    if (start("leaf, read-only between"))
        change(SPARE_ENTRY, *SPARE_ENTRY, (target | rights) & ~EPT_WRITE,
               *SPARE_ENTRY & ~EPT_WRITE);
    if (start("2m leaf")) {
        large = ept_large_page(2);
        change(large, *large, target | rights | EPT_LARGE, 0);
    }
    if (start("table or 2m leaf")) {
        const u64 *table = (const u64 *)arena_page(PAGE_EPT_PT);
        u64 page = table[arena_address(PAGE_SCRATCH) / PAGE_SIZE % 512] & EPT_ADDR;

        large = ept_large_page(2);
        memset((void *)page, (int)PLAIN, PAGE_SIZE);
        change(large, *large, target | rights | EPT_LARGE, (u64)table | EPT_RWX);
    }
    if (start("table in l0 or 2m leaf")) {
        large = ept_large_page(2);
        change(large, *large, target | EPT_RWX, 0);
    }
    if (start("1g leaf around l0")) {
        large = ept_large_page(3);
        *guest_pte(L2_SPARE) = (SIZE_1G + (target & (SIZE_1G - 1))) | PTE_P | PTE_W | PTE_A | PTE_D;
        *large = (target & ~(SIZE_1G - 1)) | rights | EPT_LARGE;
        change(large, *large, *large & ~EPT_WRITE, 0);
    }
}
