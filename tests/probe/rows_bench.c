/* What VMX instructions and entries cost, in ticks: measured, not compared. */
#include "ept_rows.h"

#define ROUNDS    200u
#define FIRST_ROW 60u  /* of tests/bench/rows.py */
#define TABLES    512u /* of EPT: 1 GiB in pages of 4 KiB */

static u64 ticks(void) { return __builtin_ia32_rdtsc(); }

static u64 average(void (*what)(void))
{
    u64 start = ticks();

    for (u32 i = 0; i < ROUNDS; i++)
        what();
    return (ticks() - start) / ROUNDS;
}

/* Where the emulator counts: tools/bochs/count.h. */
static void mark(u32 number) { __asm__ volatile("xchg %%bx, %%bx" : : "a"(number) : "memory"); }

static void nothing(void) {}
static void read_often(void) { vm_read(GUEST_RIP); }
static void read_information(void) { vm_read(VM_EXIT_REASON); }
static void read_seldom(void) { vm_read(GUEST_ES_BASE); }
static void read_rare(void) { vm_read(HOST_CR3); }
static void write_often(void) { vm_write(GUEST_RIP, guest_entry); }
static void write_seldom(void) { vm_write(GUEST_ES_BASE, 0); }
static void write_rare(void) { vm_write(CR3_TARGET_COUNT, 0); }
static void load_current(void) { vm_load(arena_address(PAGE_VMCS)); }
static void store_current(void) { vm_current(); }

/* Two that stay active: a processor keeps both. */
static void load_another(void)
{
    static bool other;

    other = !other;
    vm_load(arena_address(other ? PAGE_OTHER_VMCS : PAGE_VMCS));
}

static void clear_and_load(void)
{
    vm_clear(arena_address(PAGE_VMCS));
    vm_load(arena_address(PAGE_VMCS));
}

static void leave_and_come_back(void)
{
    __asm__ volatile("vmxoff" : : : "cc");
    vm_on(arena_address(PAGE_VMXON));
}

/* VMfail: the VMCS is launched. */
static void launch_in_vain(void) { __asm__ volatile("vmlaunch" : : : "cc", "memory"); }
static void call_in_vain(void) { __asm__ volatile("vmcall" : : : "cc", "memory"); }

static void enter(void)
{
    vm_write(GUEST_RIP, guest_entry);
    guest_run(false);
}

static void flush_and_enter(void)
{
    flush_ept();
    enter();
}

static void run_guest_once(void)
{
    guest_code("cpuid");
    vm_write(GUEST_RIP, guest_entry);
    guest_run(true);
}

static void say_ticks(u32 number, const char *name, void (*what)(void))
{
    u64 taken;

    if (!row(STATE_VMCS, "bench.%s", name))
        return;
    *(u32 *)arena_page(PAGE_OTHER_VMCS) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    guest_setup(GUEST_64, WITH_EPT | WITH_VPID);
    run_guest_once();
    average(what);
    mark(2 * number);
    taken = average(what);
    mark(2 * number + 1);
    say("row %u: %s takes %lu ticks, %u in a batch", number, name, taken - average(nothing),
        ROUNDS);
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    row_end();
}

#define NOTHING (8 * SIZE_1G) /* an address where there is no memory, nor L0's */

/* Guest-virtual addresses from 1 GiB on, in EPT's pages of that level: all of them one page of RAM,
   or a large one where nothing is. */
static void map_gib(u32 level)
{
    u64 *directory = (u64 *)free_base, *table = directory + 512;

    ept_gib(level == 3 ? NOTHING | EPT_LEAF | EPT_LARGE : (u64)directory | EPT_RWX);
    for (u32 i = 0; i < TABLES; i++)
        directory[i] =
            level == 2 ? NOTHING | EPT_LEAF | EPT_LARGE : (u64)(table + i * 512) | EPT_RWX;
    for (u32 i = 0; level == 1 && i < TABLES * 512; i++)
        table[i] = arena_address(PAGE_SCRATCH) | EPT_LEAF;
}

static void touch_gib(bool launch)
{
    guest_code("touch 1 gib");
    vm_write(GUEST_RIP, guest_entry);
    guest_run(launch);
    say("%s, ", vm_read(VM_EXIT_REASON) == EXIT_REASON_VMCALL ? "touched" : "NOT TOUCHED");
}

/* What EPT02 needs for 1 GiB besides what it has for the rest of the guest. */
static void shadow_row(const char *pages, u32 level)
{
    u64 before;

    if (!row(STATE_VMCS, "bench.shadow tables, 1 gib in %s pages", pages) ||
        !row_needs(FEATURE_EPT) || free_size < (TABLES + 1) * PAGE_SIZE)
        return;
    guest_setup(GUEST_64, WITH_EPT | WITH_VPID);
    guest_code("cpuid");
    guest_run(true);
    before = shadow_in_use();
    map_gib(level);
    touch_gib(false);
    say("%lu pages of 4 kib", shadow_in_use() - before);
    row_end();
}

/* An entry and exit alone, and with an INVEPT that has nothing to tell. */
static void invept_row(const char *name, bool gib)
{
    u64 alone, flushed;

    if (!row(STATE_VMCS, "bench.%s", name) || !row_needs(FEATURE_EPT))
        return;
    guest_setup(GUEST_64, WITH_EPT | WITH_VPID);
    if (gib && free_size >= (TABLES + 1) * PAGE_SIZE) {
        map_gib(1);
        touch_gib(true);
    }
    guest_code("cpuid");
    vm_write(GUEST_RIP, guest_entry);
    guest_run(!gib);
    for (u32 i = 0; i < ROUNDS; i++)
        flush_and_enter();
    alone = average(enter);
    flushed = average(flush_and_enter);
    say("entry and exit %lu, with invept %lu, difference %lu", alone, flushed, flushed - alone);
    row_end();
}

void rows_bench(void)
{
    static const struct {
        const char *name;
        void (*what)(void);
    } rows[] = {
        {"vmread of guest rip", read_often},
        {"vmread of the exit reason", read_information},
        {"vmread of es base", read_seldom},
        {"vmread of host cr3", read_rare},
        {"vmwrite of guest rip", write_often},
        {"vmwrite of es base", write_seldom},
        {"vmwrite of the cr3-target count", write_rare},
        {"vmptrld of the current vmcs", load_current},
        {"vmptrld of two in turn", load_another},
        {"vmptrst", store_current},
        {"vmclear and vmptrld", clear_and_load},
        {"vmxoff and vmxon", leave_and_come_back},
        {"vmlaunch that fails", launch_in_vain},
        {"vmcall that fails", call_in_vain},
        {"invept", flush_ept},
        {"invvpid", flush_vpid},
        {"vmresume and cpuid in l2", enter},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        say_ticks(FIRST_ROW + i, rows[i].name, rows[i].what);
    invept_row("invept, little mapped", false);
    invept_row("invept, 1 gib in 4-kib pages", true);
    shadow_row("4-kib", 1);
    shadow_row("2-mib", 2);
    shadow_row("1-gib", 3);
}
