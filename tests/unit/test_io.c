/*
 * hv/monitor/io.c: IN and OUT of L1 and L2 at the monitor's ports, at others, and at both at once,
 * against a model that goes byte by byte; and which of L2's exits are L1's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "hv/l0.h"
#include "hv/log.h"
#include "hv/monitor/io.h"
#include "hv/monitor/uart.h"
#include "vmx.h"
#include "vmx/l2.h"
#include "vmx/l2_exit.h"
#include "x86.h"

#define COM2   0x2f8u
#define RIP    0x401000u
#define LENGTH 2u
#define POOL   0x100000ull
#define PAGES  4ull
#define OWN    0x200000ull /* the core's page for a merged bitmap */
#define L1_A   0x300000ull
#define L1_B   0x301000ull
#define ONES   0x302000ull

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

static struct cpu cpu;
static struct vmcs02 slot;
static struct vmcs12 vmcs12;

/* ---- What io.c calls ---- */

static u8 outside[0x10000]; /* what IN reads, and OUT has written, at ports that are not L0's */
static u8 uart[UART_PORTS];
static u32 outside_count, uart_count; /* bytes accessed */
static u32 wide_accesses;             /* in one piece, elsewhere than at the monitor's ports */

static bool is_own(u32 port) { return port >= COM2 && port < COM2 + UART_PORTS; }

bool uart_has(u16 port, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (is_own(port + i))
            return true;
    return false;
}

u8 uart_guest_in(u16 port)
{
    assert_true(is_own(port));
    uart_count++;
    return uart[port - COM2];
}

void uart_guest_out(u16 port, u8 value)
{
    assert_true(is_own(port));
    uart_count++;
    uart[port - COM2] = value;
}

u8 fake_port_in(u16 port)
{
    assert_false(is_own(port));
    outside_count++;
    return outside[port];
}

u32 fake_port_in_wide(u16 port, u32 size)
{
    u32 value = 0;

    outside_count += size;
    wide_accesses++;
    for (u32 i = 0; i < size; i++)
        value |= (u32)outside[(port + i) & 0xffff] << 8 * i;
    return value;
}

void fake_port_out_wide(u16 port, u32 size, u32 value)
{
    outside_count += size;
    wide_accesses++;
    for (u32 i = 0; i < size; i++)
        outside[(port + i) & 0xffff] = (u8)(value >> 8 * i);
}

void fake_port_out(u16 port, u8 value)
{
    assert_false(is_own(port));
    outside_count++;
    outside[port] = value;
}

bool fake_rdmsr(u32 msr, u64 *value)
{
    (void)msr, (void)value;
    return false;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    (void)msr, (void)value;
    return false;
}

static u32 deviations;

void record_deviation(const char *text)
{
    (void)text;
    deviations++;
}

void log_print(u32 level, const char *format, ...) { (void)level, (void)format; }

static bool wants_mtf;
static u32 exits;

bool l2_wants_mtf(const struct cpu *core)
{
    assert_ptr_equal(core, &cpu);
    return wants_mtf;
}

void l2_exit_to_l1(struct cpu *core, u32 reason, u64 qualification)
{
    assert_ptr_equal(core, &cpu);
    assert_int_equal(reason, EXIT_REASON_MONITOR_TRAP_FLAG);
    assert_int_equal(qualification, 0);
    exits++;
}

/* A watch that looks each time; the page is still while the test says so. */
static u32 looks;

void epoch_pass(struct cpu *core) { (void)core; }

void watch_look(struct ept02 *ept, struct watch *watch, u64 pa)
{
    assert_ptr_equal(ept, &l0.ept02);
    watch->page = pa;
    looks++;
}

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    memset(&l0, 0, sizeof(l0));
    memset(&cpu, 0, sizeof(cpu));
    memset(&vmcs12, 0, sizeof(vmcs12));
    pool_init(&l0.pool, POOL, POOL + PAGES * PAGE_SIZE);
    l0.ones_page = ONES;
    memset(pool_va(ONES), 0xff, PAGE_SIZE);
    cpu.observer.io_bitmap_pa = OWN;
    cpu.nested.current = &slot;
    slot.vmcs12 = &vmcs12;
    vmcs12.io_bitmap_a = L1_A;
    vmcs12.io_bitmap_b = L1_B;
    wants_mtf = false;
    outside_count = uart_count = deviations = exits = looks = 0;
    vmwrite(GUEST_RIP, RIP);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED);
    vmwrite(VM_EXIT_INSTRUCTION_LEN, LENGTH);
    return 0;
}

/* ---- Accesses ---- */

#define IN       8u
#define STRING   0x10u
#define REPEATED 0x20u

static void qualify(u32 port, u32 size, u32 kind)
{
    vmwrite(GUEST_RIP, RIP);
    vmwrite(EXIT_QUALIFICATION, (u64)port << 16 | kind | (size - 1));
}

static void randomize(void)
{
    for (u32 i = 0; i < sizeof(outside); i++)
        outside[i] = (u8)fake_random();
    for (u32 i = 0; i < sizeof(uart); i++)
        uart[i] = (u8)fake_random();
    for (u32 i = 0; i < 16; i++)
        cpu.gpr[i] = fake_random();
}

static u8 *place(u32 port)
{
    port &= 0xffff;
    return is_own(port) ? &uart[port - COM2] : &outside[port];
}

static bool handled_by_l0(void)
{
    if (!io_is_own(&cpu))
        return false;
    io_by_l2(&cpu);
    return true;
}

/* The access is made as an exit of L1's or L2's, and compared with what each of its bytes gives. */
static void access_like_the_model(u32 port, u32 size, bool in, bool by_l2)
{
    u64 before[16], rax;
    u8 was_outside[sizeof(outside)], was_uart[sizeof(uart)];
    u32 own = 0;

    randomize();
    memcpy(before, cpu.gpr, sizeof(before));
    memcpy(was_outside, outside, sizeof(outside));
    memcpy(was_uart, uart, sizeof(uart));
    outside_count = uart_count = 0;
    qualify(port, size, in ? IN : 0);
    if (by_l2)
        assert_true(handled_by_l0());
    else
        exit_io(&cpu);
    rax = before[RAX];
    for (u32 i = 0; i < size; i++) {
        u8 *byte = place(port + i);

        own += is_own((port + i) & 0xffff);
        if (in)
            memcpy((u8 *)&rax + i, byte, 1);
        else
            assert_int_equal(*byte, (u8)(before[RAX] >> 8 * i));
    }
    if (in) {
        rax = size == 4 ? (u32)rax : rax;
        assert_memory_equal(was_outside, outside, sizeof(outside));
        assert_memory_equal(was_uart, uart, sizeof(uart));
    }
    before[RAX] = rax;
    assert_memory_equal(before, cpu.gpr, sizeof(before));
    assert_int_equal(uart_count, own);
    assert_int_equal(outside_count, size - own);
    assert_int_equal(vmread(GUEST_RIP), RIP + LENGTH);
    assert_int_equal(deviations, 0);
}

static void bytes_words_and_double_words(void **state)
{
    (void)state;
    for (u32 size = 1; size <= 4; size *= 2)
        for (u32 port = COM2 - 8; port <= COM2 + UART_PORTS + 8; port++)
            for (u32 in = 0; in < 2; in++) {
                access_like_the_model(port, size, in, false);
                if (uart_has((u16)port, size))
                    access_like_the_model(port, size, in, true);
            }
    access_like_the_model(0xffff, 1, true, false);
    access_like_the_model(0xfffe, 4, true, false);
    access_like_the_model(0, 4, false, false);
}

/* Blocking by STI ends, and a single step is pending, as behind any instruction. */
static void it_ends_as_an_instruction(void **state)
{
    (void)state;
    vmwrite(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
    qualify(COM2, 1, IN);
    exit_io(&cpu);
    assert_int_equal(vmread(GUEST_INTERRUPTIBILITY_INFO), 0);
    assert_int_equal(vmread(GUEST_PENDING_DBG_EXCEPTIONS), BIT64(14));
}

/* ---- Strings ---- */

#define ADDRESS_16 0u
#define ADDRESS_32 1u
#define ADDRESS_64 2u

static void strings_move_pointers_alone(void **state)
{
    static const struct {
        u32 kind, size, address_size;
        bool down;
        u64 rcx, pointer, rcx_after, pointer_after;
    } rows[] = {
        {0, 1, ADDRESS_64, false, 5, 0x1000, 5, 0x1001},
        {0, 4, ADDRESS_64, true, 5, 0x1000, 5, 0xffc},
        {0, 2, ADDRESS_64, false, 0, ~0ull, 0, 1},
        {REPEATED, 1, ADDRESS_64, false, 5, 0x1000, 0, 0x1005},
        {REPEATED, 4, ADDRESS_64, true, 3, 0x1000, 0, 0xff4},
        {REPEATED, 2, ADDRESS_64, false, 0x100000001, 0, 0, 0x200000002},
        {REPEATED, 1, ADDRESS_64, false, 0, 0x1000, 0, 0x1000},
        {0, 4, ADDRESS_32, false, 7, 0xfffffffe, 7, 2},
        {REPEATED, 4, ADDRESS_32, false, 0x500000002, 0x700001000, 0, 0x1008},
        {REPEATED, 1, ADDRESS_32, true, 2, 1, 0, 0xffffffff},
        {0, 1, ADDRESS_16, false, 0x77770003, 0x1234ffff, 0x77770003, 0x12340000},
        {REPEATED, 2, ADDRESS_16, false, 0x77770003, 0x1234fffe, 0x77770000, 0x12340004},
        {REPEATED, 4, ADDRESS_16, true, 1, 0xffff0000, 0, 0xfffffffc},
    };

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        for (u32 in = 0; in < 2; in++) {
            u64 wanted[16];

            randomize();
            cpu.gpr[RCX] = rows[i].rcx;
            cpu.gpr[in ? RDI : RSI] = rows[i].pointer;
            memcpy(wanted, cpu.gpr, sizeof(wanted));
            wanted[RCX] = rows[i].rcx_after;
            wanted[in ? RDI : RSI] = rows[i].pointer_after;
            l0.hw.basic = VMX_BASIC_INS_OUTS;
            vmwrite(VMX_INSTRUCTION_INFO, rows[i].address_size << 7);
            vmwrite(GUEST_RFLAGS, RFLAGS_FIXED | (rows[i].down ? RFLAGS_DF : 0));
            qualify(COM2, rows[i].size, STRING | rows[i].kind | (in ? IN : 0));
            exit_io(&cpu);
            assert_memory_equal(cpu.gpr, wanted, sizeof(wanted));
            assert_int_equal(vmread(GUEST_RIP), RIP + LENGTH);
        }
    assert_int_equal(outside_count + uart_count, 0);
    assert_int_equal(deviations, 2 * ARRAY_SIZE(rows));
}

/* ---- Whose exit of L2 it is ---- */

static void nothing_is_done(void)
{
    assert_int_equal(outside_count + uart_count + exits, 0);
    assert_int_equal(vmread(GUEST_RIP), RIP);
}

/* Elsewhere than at the monitor's ports, too, an exit that L1 does not want is none of its own: as
   where it has cleared a bit since. It is one access then. */
static void other_ports(void **state)
{
    (void)state;
    for (u32 port = 0; port < 0x10000; port++) {
        if (uart_has((u16)port, 4))
            continue;
        wide_accesses = 0;
        qualify(port, 4, IN);
        assert_true(handled_by_l0());
        assert_int_equal(wide_accesses, 1);
        vmwrite(GUEST_RIP, RIP);
    }
    /* With bitmaps an access that wraps exits whatever they say. */
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_USE_IO_BITMAPS;
    qualify(0xffff, 2, IN);
    assert_false(handled_by_l0());
}

static void unconditional_exits_are_l1s(void **state)
{
    (void)state;
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_UNCOND_IO_EXITING;
    qualify(COM2, 1, 0);
    assert_false(handled_by_l0());
    nothing_is_done();
    /* Bitmaps are instead of them. */
    vmcs12.cpu_based_vm_exec_control |= CPU_BASED_USE_IO_BITMAPS;
    assert_true(handled_by_l0());
}

static bool bit(u32 port)
{
    u64 byte = port < 0x8000 ? L1_A + port / 8 : L1_B + (port - 0x8000) / 8;

    return fake_get64(byte & ~7ull) >> (byte % 8 * 8 + port % 8) & 1;
}

/* Each bit of L1's bitmaps alone, and many at random: an access exits if one of its ports does. */
static void bitmaps_of_l1(void **state)
{
    (void)state;
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_USE_IO_BITMAPS;
    for (u32 i = 0; i < 100000; i++) {
        u32 size = 1u << fake_below(3), port = COM2 - 4 + (u32)fake_below(UART_PORTS + 8);
        bool wanted = false;

        fake_put64(L1_A + COM2 / 64 * 8, i < 64 ? BIT64(i) : fake_random() & fake_random());
        fake_put64(L1_A + COM2 / 64 * 8 + 8, i & 1 ? fake_random() & fake_random() : 0);
        for (u32 k = 0; k < size; k++)
            wanted |= bit(port + k);
        outside_count = uart_count = 0;
        qualify(port, size, fake_below(2) ? IN : 0);
        assert_int_equal(handled_by_l0(), !wanted);
        assert_int_equal(vmread(GUEST_RIP) == RIP, wanted);
        assert_int_equal(outside_count + uart_count, wanted ? 0 : size);
    }
}

/* L1's second bitmap has nothing to say of them. */
static void the_second_bitmap(void **state)
{
    (void)state;
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_USE_IO_BITMAPS;
    memset(pool_va(L1_B), 0xff, PAGE_SIZE);
    qualify(COM2, 4, IN);
    assert_true(handled_by_l0());
    assert_int_equal(uart_count, 4);
}

/* What L0 does in an instruction's place is one for L1's monitor trap flag, too. */
static void l1s_monitor_trap_flag(void **state)
{
    (void)state;
    wants_mtf = true;
    qualify(COM2, 1, 0);
    assert_true(handled_by_l0());
    assert_int_equal(exits, 1);
    assert_int_equal(uart_count, 1);
    assert_int_equal(vmread(GUEST_RIP), RIP + LENGTH);
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_UNCOND_IO_EXITING;
    qualify(COM2, 1, 0);
    assert_false(handled_by_l0());
    assert_int_equal(exits, 1);
}

/* ---- Bitmaps ---- */

static u64 word(u64 bitmap, u32 at) { return fake_get64(bitmap + at * 8); }

/* A bitmap is another one, and the monitor's ports in it. */
static void assert_bitmap(u64 bitmap, u64 other, bool own)
{
    for (u32 i = 0; i < PAGE_SIZE / 8; i++) {
        u64 wanted = other ? word(other, i) : 0;

        if (own && i == COM2 / 64)
            wanted |= 0xffull << COM2 % 64;
        assert_true(word(bitmap, i) == wanted);
    }
}

static void bitmaps_of_all_cores(void **state)
{
    u64 a, b;

    (void)state;
    assert_true(io_init_shared());
    io_start01();
    a = vmread(IO_BITMAP_A);
    b = vmread(IO_BITMAP_B);
    assert_int_not_equal(a, b);
    assert_bitmap(a, 0, true);
    assert_bitmap(b, 0, false);
    /* An L2 whose L1 wants no exits has the same; one whose L1 wants all has ones. */
    vmwrite(IO_BITMAP_A, 0);
    vmwrite(IO_BITMAP_B, 0);
    io_arm(&cpu);
    assert_int_equal(vmread(IO_BITMAP_A), a);
    assert_int_equal(vmread(IO_BITMAP_B), b);
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_UNCOND_IO_EXITING;
    io_arm(&cpu);
    assert_int_equal(vmread(IO_BITMAP_A), ONES);
    assert_int_equal(vmread(IO_BITMAP_B), ONES);
    assert_int_equal(looks, 0);
}

static void without_memory(void **state)
{
    (void)state;
    for (u64 pages = 0; pages < 3; pages++) {
        pool_init(&l0.pool, POOL, POOL + pages * PAGE_SIZE);
        assert_int_equal(io_init_shared(), pages == 2);
    }
}

static void l1s_bitmap_and_the_monitors_port(void **state)
{
    struct watch *watch = &cpu.observer.io_watch;

    (void)state;
    assert_true(io_init_shared());
    vmcs12.cpu_based_vm_exec_control = CPU_BASED_USE_IO_BITMAPS | CPU_BASED_UNCOND_IO_EXITING;
    vmwrite(IO_BITMAP_B, L1_B);
    for (u32 i = 0; i < PAGE_SIZE / 8; i++)
        fake_put64(L1_A + i * 8, fake_random());
    io_arm(&cpu);
    assert_int_equal(vmread(IO_BITMAP_A), OWN);
    assert_int_equal(vmread(IO_BITMAP_B), L1_B);
    assert_bitmap(OWN, L1_A, true);
    assert_int_equal(looks, 1);
    /* Read again each time, until L1 cannot write there without L0. */
    fake_put64(L1_A, ~fake_get64(L1_A));
    io_arm(&cpu);
    assert_bitmap(OWN, L1_A, true);
    watch->still = true;
    fake_bytes = 0;
    io_arm(&cpu);
    assert_int_equal(fake_bytes, 0);
    /* Another page of L1's. */
    vmcs12.io_bitmap_a = ONES;
    io_arm(&cpu);
    assert_bitmap(OWN, ONES, true);
    assert_int_equal(looks, 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_words_and_double_words, setup),
        cmocka_unit_test_setup(it_ends_as_an_instruction, setup),
        cmocka_unit_test_setup(strings_move_pointers_alone, setup),
        cmocka_unit_test_setup(other_ports, setup),
        cmocka_unit_test_setup(unconditional_exits_are_l1s, setup),
        cmocka_unit_test_setup(bitmaps_of_l1, setup),
        cmocka_unit_test_setup(the_second_bitmap, setup),
        cmocka_unit_test_setup(l1s_monitor_trap_flag, setup),
        cmocka_unit_test_setup(bitmaps_of_all_cores, setup),
        cmocka_unit_test_setup(without_memory, setup),
        cmocka_unit_test_setup(l1s_bitmap_and_the_monitors_port, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
