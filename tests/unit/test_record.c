/* hv/record.c: what goes into the flight recorder, for each kind of exit and event, and when
   nothing does. */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "types.h"
#include <cmocka.h>

#include "hv/l0.h"
#include "hv/record.h"
#include "hv/recorder.h"
#include "vmx.h"
#include "x86.h"

#define TSC           0x123456789ull
#define RIP           0xffffffff81234567ull
#define QUALIFICATION 0x5aa5ull
#define GPA           0xfee00030ull
#define VMCS12        0x77000ull
#define RAX_VALUE     0xaaaa00000000000bull
#define RCX_VALUE     0xbbbb0000c0000080ull

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

/* L0's texts. */
extern const char __rodata_start[], __rodata_end[];
__asm__(".section .rodata\n.global __rodata_start, __rodata_end\n"
        "__rodata_start: .fill 64, 1, 0x41\n__rodata_end:\n.previous");

static struct cpu cpu;
static struct vmcs02 slot;
static struct vmcs12 vmcs12;
static struct recorder ring;
static u64 now;

u64 fake_rdtsc(void) { return now; }

void log_print(u32 level, const char *format, ...) { (void)level, (void)format; }

static int setup(void **state)
{
    (void)state;
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    memset(&cpu, 0, sizeof(cpu));
    cpu.self = &cpu;
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu), 0);
    recorder_init(&ring, 0);
    cpu.recorder = &ring;
    slot.vmcs12 = &vmcs12;
    slot.vmcs12_pa = VMCS12;
    cpu.nested.current = &slot;
    cpu.gpr[RAX] = RAX_VALUE;
    cpu.gpr[RCX] = RCX_VALUE;
    vmwrite(GUEST_RIP, RIP);
    vmwrite(EXIT_QUALIFICATION, QUALIFICATION);
    vmwrite(GUEST_PHYSICAL_ADDRESS, GPA);
    now = TSC;
    recording = l0.observed = true;
    return 0;
}

/* The one record that there is. */
static void assert_recorded(const struct record *wanted)
{
    const struct record *record = &ring.record[0];

    assert_int_equal(ring.written, 1);
    assert_int_equal(record->kind, wanted->kind);
    assert_int_equal(record->flags, wanted->flags);
    assert_int_equal(record->reason, wanted->reason);
    assert_int_equal(record->ticks, wanted->ticks);
    assert_int_equal(record->tsc, TSC);
    assert_int_equal(record->rip, RIP);
    assert_int_equal(record->qualification, wanted->qualification);
    assert_int_equal(record->address, wanted->address);
}

/* ---- Exits ---- */

/* The address that stands for an exit of L1's, and of L2's. */
static u64 address_of(u32 reason, bool in_l2)
{
    switch (reason) {
    case 10: return 0xb;
    case 20:
    case 24: return in_l2 ? 0 : VMCS12;
    case 31:
    case 32: return 0xc0000080;
    case 48:
    case 49: return GPA;
    default: return 0;
    }
}

static void each_exit_reason(void **state)
{
    for (u32 reason = 0; reason < EXIT_REASON_COUNT; reason++)
        for (u32 in_l2 = 0; in_l2 < 2; in_l2++) {
            struct record *record;

            setup(state);
            cpu.in_l2 = in_l2;
            record = record_begin(&cpu, reason | (reason & 1 ? 0 : BIT(27)));
            assert_ptr_equal(record, &ring.record[0]);
            assert_recorded(&(struct record){.kind = RECORD_EXIT,
                                             .reason = (u16)reason,
                                             .flags = in_l2 ? RECORD_FROM_L2 : 0,
                                             .qualification = QUALIFICATION,
                                             .address = address_of(reason, in_l2)});
        }
}

static void an_entry_that_failed_is_its_basic_reason(void **state)
{
    (void)state;
    cpu.in_l2 = true;
    record_begin(&cpu, VMX_EXIT_REASONS_FAILED_VMENTRY | EXIT_REASON_INVALID_STATE);
    assert_int_equal(ring.record[0].reason, EXIT_REASON_INVALID_STATE);
}

static void without_a_current_vmcs(void **state)
{
    (void)state;
    cpu.nested.current = NULL;
    record_begin(&cpu, EXIT_REASON_VMLAUNCH);
    assert_int_equal(ring.record[0].address, ~0ull);
}

static void ticks_and_who_runs_next(void **state)
{
    static const struct {
        u64 ticks;
        u32 wanted;
    } rows[] = {{1, 1}, {1500, 1500}, {0xffffffff, ~0u}, {0x100000000, ~0u}, {~0ull - TSC, ~0u}};

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        for (u32 turn = 0; turn < 4; turn++) {
            struct record *record;

            setup(state);
            cpu.in_l2 = turn & RECORD_FROM_L2;
            record = record_begin(&cpu, EXIT_REASON_CPUID);
            assert_int_equal(record->ticks, 0);
            now += rows[i].ticks;
            cpu.in_l2 = turn & RECORD_TO_L2;
            record_end(&cpu, record);
            assert_recorded(&(struct record){.kind = RECORD_EXIT,
                                             .reason = EXIT_REASON_CPUID,
                                             .flags = (u8)turn,
                                             .ticks = rows[i].wanted,
                                             .qualification = QUALIFICATION,
                                             .address = 0xb});
        }
}

static void exits_that_are_not_recorded(void **state)
{
    (void)state;
    recording = false;
    assert_null(record_begin(&cpu, EXIT_REASON_CPUID));
    record_end(&cpu, NULL);
    assert_int_equal(ring.written, 0);
}

/* ---- What is rare ---- */

static void failed_instructions(void **state)
{
    static const struct {
        u32 reason;
        u64 flags;
        bool moved, recorded;
        u32 error;
    } rows[] = {
        {EXIT_REASON_VMLAUNCH, RFLAGS_ZF, true, true, 7},
        {EXIT_REASON_VMLAUNCH, RFLAGS_CF, true, true, 0},
        {EXIT_REASON_VMLAUNCH, 0, true, false, 0},
        {EXIT_REASON_VMLAUNCH, RFLAGS_ZF, false, false, 0}, /* a fault */
        {EXIT_REASON_VMCALL, RFLAGS_CF, true, true, 0},
        {EXIT_REASON_VMCLEAR, RFLAGS_ZF, true, true, 2},
        {EXIT_REASON_VMPTRLD, RFLAGS_ZF, true, true, 9},
        {EXIT_REASON_VMPTRST, RFLAGS_CF, true, true, 0},
        {EXIT_REASON_VMREAD, RFLAGS_ZF, true, true, 12},
        {EXIT_REASON_VMRESUME, RFLAGS_ZF, true, true, 5},
        {EXIT_REASON_VMWRITE, RFLAGS_ZF | RFLAGS_DF, true, true, 13},
        {EXIT_REASON_VMOFF, RFLAGS_CF, true, true, 0},
        {EXIT_REASON_VMON, RFLAGS_ZF, true, true, 15},
        {EXIT_REASON_INVEPT, RFLAGS_ZF, true, true, 28},
        {EXIT_REASON_INVVPID, RFLAGS_ZF, true, true, 28},
        /* Flags that the instruction has not changed. */
        {EXIT_REASON_CPUID, RFLAGS_ZF, true, false, 0},
        {EXIT_REASON_RDTSC, RFLAGS_CF, true, false, 0},
        {EXIT_REASON_CR_ACCESS, RFLAGS_CF, true, false, 0},
        {EXIT_REASON_MSR_WRITE, RFLAGS_ZF, true, false, 0},
        {EXIT_REASON_XSETBV, RFLAGS_ZF, true, false, 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(state);
        vmwrite(GUEST_RIP, rows[i].moved ? RIP + 3 : RIP);
        vmwrite(GUEST_RFLAGS, RFLAGS_FIXED | rows[i].flags);
        vmwrite(VM_EXIT_REASON, rows[i].reason);
        vmcs12.vm_instruction_error = rows[i].error;
        record_failure(&cpu, rows[i].reason, RIP);
        if (rows[i].recorded)
            assert_recorded(&(struct record){.kind = RECORD_VMFAIL,
                                             .reason = (u16)rows[i].reason,
                                             .qualification = rows[i].error,
                                             .address = VMCS12});
        else
            assert_int_equal(ring.written, 0);
    }
}

static void an_invalid_failure_without_a_vmcs(void **state)
{
    (void)state;
    cpu.nested.current = NULL;
    vmwrite(GUEST_RIP, RIP + 3);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_CF);
    vmwrite(VM_EXIT_REASON, EXIT_REASON_VMREAD);
    record_failure(&cpu, EXIT_REASON_VMREAD, RIP);
    assert_recorded(
        &(struct record){.kind = RECORD_VMFAIL, .reason = EXIT_REASON_VMREAD, .address = ~0ull});
}

/* gdb may have set RIP and RFLAGS while the core stood at the exit. */
static void no_error_without_a_vmcs(void **state)
{
    (void)state;
    cpu.nested.current = NULL;
    vmwrite(GUEST_RIP, RIP + 3);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_ZF);
    record_failure(&cpu, EXIT_REASON_VMREAD, RIP);
    assert_int_equal(ring.written, 0);
}

static void entry_failed(void)
{
    record_entry_failed(&cpu, VMX_EXIT_REASONS_FAILED_VMENTRY | EXIT_REASON_MSR_LOAD_FAIL, 3);
}

static void aborted(void) { record_abort(&cpu, 4); }
static void init(void) { record_init(&cpu); }
static void sipi(void) { record_sipi(&cpu, 0x9a); }
static void hidden_read(void) { record_hidden(&cpu, 0x3d600000, false); }
static void hidden_write(void) { record_hidden(&cpu, 0x3d600008, true); }
static void deviated(void) { record_deviation(__rodata_start); }

/* Whether exits are recorded or not, but only where they are observed. */
static void what_is_rare(void **state)
{
    const struct {
        void (*happens)(void);
        struct record wanted;
    } rows[] = {
        {entry_failed,
         {.kind = RECORD_ENTRY_FAILED,
          .reason = EXIT_REASON_MSR_LOAD_FAIL,
          .qualification = 3,
          .address = VMCS12}},
        {aborted, {.kind = RECORD_ABORT, .reason = EXIT_REASON_VMLAUNCH, .qualification = 4}},
        {init, {.kind = RECORD_INIT, .reason = EXIT_REASON_VMLAUNCH}},
        {sipi, {.kind = RECORD_SIPI, .reason = EXIT_REASON_VMLAUNCH, .qualification = 0x9a}},
        {hidden_read,
         {.kind = RECORD_HIDDEN, .reason = EXIT_REASON_VMLAUNCH, .address = 0x3d600000}},
        {hidden_write,
         {.kind = RECORD_HIDDEN,
          .reason = EXIT_REASON_VMLAUNCH,
          .flags = RECORD_WRITE,
          .address = 0x3d600008}},
        {deviated,
         {.kind = RECORD_DEVIATION,
          .reason = EXIT_REASON_VMLAUNCH,
          .address = (u64)__rodata_start}},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        for (u32 in_l2 = 0; in_l2 < 2; in_l2++) {
            struct record wanted = rows[i].wanted;

            setup(state);
            vmwrite(VM_EXIT_REASON, EXIT_REASON_VMLAUNCH);
            recording = false;
            cpu.in_l2 = in_l2;
            wanted.flags |= in_l2 ? RECORD_FROM_L2 : 0;
            rows[i].happens();
            assert_recorded(&wanted);
            l0.observed = false;
            rows[i].happens();
            assert_int_equal(ring.written, 1);
        }
}

static void texts_are_l0s(void **state)
{
    (void)state;
    assert_ptr_equal(record_text_of((u64)__rodata_start), __rodata_start);
    assert_ptr_equal(record_text_of((u64)__rodata_end - 1), __rodata_end - 1);
    assert_null(record_text_of((u64)__rodata_end));
    assert_null(record_text_of((u64)__rodata_start - 1));
    assert_null(record_text_of(0));
    assert_null(record_text_of(~0ull));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_exit_reason),
        cmocka_unit_test_setup(an_entry_that_failed_is_its_basic_reason, setup),
        cmocka_unit_test_setup(without_a_current_vmcs, setup),
        cmocka_unit_test(ticks_and_who_runs_next),
        cmocka_unit_test_setup(exits_that_are_not_recorded, setup),
        cmocka_unit_test(failed_instructions),
        cmocka_unit_test_setup(an_invalid_failure_without_a_vmcs, setup),
        cmocka_unit_test_setup(no_error_without_a_vmcs, setup),
        cmocka_unit_test(what_is_rare),
        cmocka_unit_test(texts_are_l0s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
