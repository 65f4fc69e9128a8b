/*
 * Task switches: a world of a few tasks in physical memory, without paging but where a test says
 * so. Rows give what one descriptor or selector is changed to, and the fault that is due.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "hv/task_switch.h"
#include "mm/phys.h"
#include "vmx.h"
#include "vmx/check.h"
#include "x86.h"

#define GDT   0x10000u
#define LDT   0x11000u
#define OLD   0x20000u /* TSSs */
#define NEW   0x21000u
#define ROOT  0x30000u /* page directory, or PDPT */
#define ROOT2 0x40000u

enum {
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_OLD = 0x18,
    SEL_NEW = 0x20,
    SEL_LDT = 0x28,
    SEL_CODE3 = 0x30 | 3,
    SEL_DATA3 = 0x38 | 3,
    SEL_CONFORMING = 0x40,
    SEL_READ_ONLY = 0x48,
    SEL_EXECUTE_ONLY = 0x50,
    SEL_ABSENT_CODE = 0x58,
    SEL_ABSENT_DATA = 0x60,
    SEL_STACK_16 = 0x68,
    SEL_SMALL = 0x70,
    SEL_IN_LDT = 0x04,
    SEL_BEYOND = 0x78,
};
#define GDT_LIMIT 0x77

#define FLAT(ar)           (0x00cf00000000ffffull | (u64)(ar) << 40)
#define SYSTEM(base, l, t) ((u64)(base) << 16 | (u64)(l) | (u64)(t) << 40)

#define EFLAGS_NT 0x4000u
#define INT_GP                                                                                     \
    (INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK | VECTOR_GP)
#define INT_DE  (INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | VECTOR_DE)
#define INT_EXT (INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | 0x40u)
#define INT_N   (INTR_INFO_VALID_MASK | INTR_TYPE_SOFT_INTR | 0x40u)
#define INT_1   (INTR_INFO_VALID_MASK | INTR_TYPE_PRIV_SW_EXCEPTION | VECTOR_DB)
#define INT_3   (INTR_INFO_VALID_MASK | INTR_TYPE_SOFT_EXCEPTION | VECTOR_BP)

static struct task_state state, before;
static struct task_switch request;
static struct task_result result;
static struct vmx_caps caps;

static void put8(u64 pa, u8 value) { phys_write(pa, &value, 1); }
static void put16(u64 pa, u16 value) { phys_write(pa, &value, 2); }

static u8 get8(u64 pa)
{
    u8 value;

    phys_read(&value, pa, 1);
    return value;
}

static u16 get16(u64 pa)
{
    u16 value;

    phys_read(&value, pa, 2);
    return value;
}

static void make_gdt(void)
{
    static const struct {
        u32 selector;
        u64 raw;
    } rows[] = {
        {SEL_CODE, FLAT(0x9a)},
        {SEL_DATA, FLAT(0x92)},
        {SEL_OLD, SYSTEM(OLD, 0x67, 0x8b)},
        {SEL_NEW, SYSTEM(NEW, 0x67, 0x89)},
        {SEL_LDT, SYSTEM(LDT, 0x0f, 0x82)},
        {SEL_CODE3, FLAT(0xfa)},
        {SEL_DATA3, FLAT(0xf2)},
        {SEL_CONFORMING, FLAT(0x9e)},
        {SEL_READ_ONLY, FLAT(0x90)},
        {SEL_EXECUTE_ONLY, FLAT(0x98)},
        {SEL_ABSENT_CODE, FLAT(0x1a)},
        {SEL_ABSENT_DATA, FLAT(0x12)},
        {SEL_STACK_16, SYSTEM(0x50000, 0xffff, 0x92)},
        {SEL_SMALL, SYSTEM(0, 0xfff, 0x9a) | 0x0040000000000000},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        fake_put64(GDT + (rows[i].selector & ~7u), rows[i].raw);
    fake_put64(LDT, SYSTEM(0x60000, 0xfff, 0xf3) | 0x0040000000000000);
}

/* The new task: EIP 0x1234, registers 0xa0 to 0xa7 but ESP 0x9000. */
static void make_tss_32(u32 base)
{
    for (u32 i = 0; i < 0x68; i += 4)
        fake_put32(base + i, 0xdead0000);
    fake_put32(base + 0x1c, ROOT2);
    fake_put32(base + 0x20, 0x1234);
    fake_put32(base + 0x24, 0x00000246);
    for (u32 i = 0; i < 8; i++)
        fake_put32(base + 0x28 + 4 * i, i == 4 ? 0x9000 : 0x111100a0 + i);
    for (u32 i = 0; i < 6; i++)
        put16(base + 0x48 + 4 * i, i == SEG_CS ? SEL_CODE : SEL_DATA);
    put16(base + 0x60, SEL_LDT);
    put16(base + 0x64, 0);
}

static void make_tss_16(u32 base)
{
    put16(base + 0x0e, 0x1234);
    put16(base + 0x10, 0x0246);
    for (u32 i = 0; i < 8; i++)
        put16(base + 0x12 + 2 * i, (u16)(i == 4 ? 0x9000 : 0xa0 + i));
    for (u32 i = 0; i < 4; i++)
        put16(base + 0x22 + 2 * i, i == SEG_CS ? SEL_CODE : SEL_DATA);
    put16(base + 0x2a, SEL_LDT);
}

static void use_16(void)
{
    fake_put64(GDT + SEL_NEW, SYSTEM(NEW, 0x2b, 0x81));
    make_tss_16(NEW);
}

static void make_state(void)
{
    memset(&state, 0, sizeof(state));
    for (u32 i = 0; i < 8; i++)
        state.gpr[i] = 0x22220000 + i;
    state.eip = 0x77770005;
    state.eflags = 0x202;
    state.dr7 = 0x7ff;
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        state.segment[i] = (struct segment){
            .selector = (u16)(0x100 + i), .limit = ~0u, .ar = i == SEG_CS ? 0xc09b : 0xc093};
    state.segment[SEG_LDTR] = (struct segment){.ar = AR_UNUSABLE_MASK};
    state.segment[SEG_TR] =
        (struct segment){.selector = SEL_OLD, .limit = 0x67, .ar = 0x8b, .base = OLD};
    state.gdtr = (struct descriptor_table){.base = GDT, .limit = GDT_LIMIT};
    state.paging = (struct walk_context){
        .cr0 = CR0_PE | CR0_ET | CR0_NE, .cr3 = ROOT, .rflags = state.eflags, .physical_bits = 40};
}

static int setup(void **unused)
{
    (void)unused;
    fake_phys_reset();
    memset(&caps, 0, sizeof(caps));
    caps.physical_bits = 40;
    caps.linear_bits = 48;
    make_gdt();
    make_tss_32(NEW);
    make_state();
    memset(&request, 0, sizeof(request));
    request.selector = SEL_NEW;
    request.caps = &caps;
    return 0;
}

static void go(enum task_switch_source source, u32 event)
{
    request.source = source;
    request.event = event;
    if (source == TASK_SWITCH_IRET)
        put8(GDT + SEL_NEW + 5, get8(GDT + SEL_NEW + 5) | 2);
    before = state;
    result = task_switch(&request, &state);
}

static void want_done(void)
{
    assert_true(result.switched);
    assert_false(result.faulted);
}

static void want_fault(bool switched, u32 vector, u32 error_code)
{
    assert_int_equal(result.switched, switched);
    assert_true(result.faulted);
    assert_false(result.debug_trap);
    assert_int_equal(result.fault.vector, vector);
    assert_int_equal(result.fault.error_code, error_code);
    if (!switched)
        assert_memory_equal(&state, &before, sizeof(state));
}

static void want_old_saved_32(u32 eflags)
{
    assert_int_equal(fake_get32(OLD + 0x20), before.eip);
    assert_int_equal(fake_get32(OLD + 0x24), eflags);
    for (u32 i = 0; i < 8; i++)
        assert_int_equal(fake_get32(OLD + 0x28 + 4 * i), before.gpr[i]);
    for (u32 i = 0; i < 6; i++)
        assert_int_equal(fake_get32(OLD + 0x48 + 4 * i), 0x55550100 + i);
    assert_int_equal(fake_get32(OLD + 0x1c), 0x55555555); /* static fields stay */
    assert_int_equal(fake_get32(OLD + 0x60), 0x55555555);
}

static void fill_old(void)
{
    for (u32 i = 0; i < 0x68; i += 4)
        fake_put32(OLD + i, 0x55555555);
}

static void want_new_state(u32 high, u32 eflags)
{
    for (u32 i = 0; i < 8; i++)
        assert_int_equal(state.gpr[i], i == 4 ? (high & 0xffff0000 ? high | 0x9000 : 0x9000)
                                              : (high ? high : 0x11110000) + 0xa0 + i);
    assert_int_equal(state.eip, 0x1234);
    assert_int_equal(state.eflags, eflags);
    assert_int_equal(state.dr7, 0x7ff & ~0x155);
    assert_true(state.paging.cr0 & CR0_TS);
    assert_int_equal(state.segment[SEG_CS].selector, SEL_CODE);
    assert_int_equal(state.segment[SEG_CS].ar, 0xc09b);
    assert_int_equal(state.segment[SEG_SS].ar, 0xc093);
    assert_int_equal(state.segment[SEG_SS].limit, 0xffffffff);
    assert_int_equal(state.segment[SEG_LDTR].base, LDT);
    assert_int_equal(state.segment[SEG_LDTR].ar, 0x82);
    assert_int_equal(state.segment[SEG_TR].selector, SEL_NEW);
    assert_int_equal(state.segment[SEG_TR].base, NEW);
    assert_int_equal(get8(GDT + SEL_CODE + 5), 0x9b); /* accessed */
    assert_int_equal(get8(GDT + SEL_DATA + 5), 0x93);
}

static void a_jump_leaves_the_old_task_available(void **unused)
{
    (void)unused;
    fill_old();
    go(TASK_SWITCH_JMP, 0);
    want_done();
    want_old_saved_32(0x202);
    want_new_state(0, 0x246);
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x89);
    assert_int_equal(get8(GDT + SEL_NEW + 5), 0x8b);
    assert_int_equal(state.segment[SEG_TR].ar, 0x8b);
    assert_int_equal(fake_get32(NEW), 0xdead0000); /* no link */
    assert_int_equal(state.paging.cr3, ROOT);      /* not without paging */
    assert_false(result.debug_trap);
}

static void a_call_nests(void **unused)
{
    (void)unused;
    fill_old();
    go(TASK_SWITCH_CALL, 0);
    want_done();
    want_old_saved_32(0x202);
    want_new_state(0, 0x246 | EFLAGS_NT);
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x8b);
    assert_int_equal(get8(GDT + SEL_NEW + 5), 0x8b);
    assert_int_equal(fake_get32(NEW), 0xdead0000 | SEL_OLD);
}

static void an_iret_returns(void **unused)
{
    (void)unused;
    fill_old();
    state.eflags |= EFLAGS_NT;
    go(TASK_SWITCH_IRET, 0);
    want_done();
    want_old_saved_32(0x202); /* NT is cleared in it */
    want_new_state(0, 0x246);
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x89);
    assert_int_equal(get8(GDT + SEL_NEW + 5), 0x8b);
    assert_int_equal(fake_get32(NEW), 0xdead0000);
}

static void an_iret_keeps_nt_of_the_new_task(void **unused)
{
    (void)unused;
    fake_put32(NEW + 0x24, 0xffffffff & ~(u32)RFLAGS_VM);
    go(TASK_SWITCH_IRET, 0);
    want_done();
    assert_int_equal(state.eflags, 0x3d7fd7); /* reserved bits are not loaded */
}

/* The saved state is what is loaded again. */
static void an_iret_to_itself(void **unused)
{
    (void)unused;
    make_tss_32(OLD);
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        state.segment[i].selector = i == SEG_CS ? SEL_CODE : SEL_DATA;
    request.selector = SEL_OLD;
    go(TASK_SWITCH_IRET, 0);
    want_done();
    assert_int_equal(state.eip, before.eip);
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x89);
    assert_int_equal(state.segment[SEG_TR].ar, 0x8b);
}

static void to_16_bit(void **unused)
{
    (void)unused;
    use_16();
    go(TASK_SWITCH_CALL, 0);
    want_done();
    want_new_state(0xffff0000, 0x246 | EFLAGS_NT);
    assert_int_equal(state.segment[SEG_FS].selector, 0);
    assert_int_equal(state.segment[SEG_GS].ar, AR_UNUSABLE_MASK);
    assert_int_equal(state.segment[SEG_TR].ar, 0x83);
    assert_int_equal(get16(NEW), SEL_OLD);
}

static void from_16_bit(void **unused)
{
    (void)unused;
    fill_old();
    state.segment[SEG_TR].ar = 0x83;
    state.segment[SEG_TR].limit = 0x2b;
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(get16(OLD + 0x0c), 0x5555);
    assert_int_equal(get16(OLD + 0x0e), 0x0005);
    assert_int_equal(get16(OLD + 0x10), 0x0202);
    for (u32 i = 0; i < 8; i++)
        assert_int_equal(get16(OLD + 0x12 + 2 * i), i);
    for (u32 i = 0; i < 4; i++)
        assert_int_equal(get16(OLD + 0x22 + 2 * i), 0x100 + i);
    assert_int_equal(get16(OLD + 0x2a), 0x5555);
}

/* ---- faults of the old task */

#define KEEP 0xffffffffffffffffull

static const struct old_row {
    const char *name;
    enum task_switch_source source;
    u32 event;
    u32 selector;
    u64 descriptor; /* of the new TSS */
    u32 tr_limit;
    u32 vector, error_code;
} old_rows[] = {
    {"in the LDT", TASK_SWITCH_JMP, 0, 0x24, KEEP, 0x67, VECTOR_GP, 0x24},
    {"in the LDT, IRET", TASK_SWITCH_IRET, 0, 0x24, KEEP, 0x67, VECTOR_TS, 0x24},
    {"null", TASK_SWITCH_CALL, 0, 3, KEEP, 0x67, VECTOR_GP, 0},
    {"beyond", TASK_SWITCH_JMP, 0, SEL_BEYOND, KEEP, 0x67, VECTOR_GP, SEL_BEYOND},
    {"beyond, gate", TASK_SWITCH_GATE, INT_EXT, SEL_BEYOND, KEEP, 0x67, VECTOR_GP, SEL_BEYOND | 1},
    {"beyond, IRET", TASK_SWITCH_IRET, 0, SEL_BEYOND, KEEP, 0x67, VECTOR_TS, SEL_BEYOND},
    {"busy", TASK_SWITCH_JMP, 0, SEL_NEW, SYSTEM(NEW, 0x67, 0x8b), 0x67, VECTOR_GP, SEL_NEW},
    {"busy and absent", TASK_SWITCH_GATE, INT_N, SEL_NEW, SYSTEM(NEW, 0x67, 0x0b), 0x67, VECTOR_GP,
     SEL_NEW},
    {"no TSS, IRET", TASK_SWITCH_IRET, 0, SEL_CODE, KEEP, 0x67, VECTOR_TS, SEL_CODE},
    {"not busy, IRET", TASK_SWITCH_IRET, 0, SEL_NEW | 0x40, KEEP, 0x67, VECTOR_TS, SEL_NEW | 0x40},
    {"data", TASK_SWITCH_JMP, 0, SEL_NEW, FLAT(0x91), 0x67, VECTOR_GP, SEL_NEW},
    {"absent", TASK_SWITCH_CALL, 0, SEL_NEW | 3, SYSTEM(NEW, 0x67, 0x09), 0x67, VECTOR_NP, SEL_NEW},
    {"absent, gate", TASK_SWITCH_GATE, INT_DE, SEL_NEW, SYSTEM(NEW, 0x67, 0x09), 0x67, VECTOR_NP,
     SEL_NEW | 1},
    {"short", TASK_SWITCH_JMP, 0, SEL_NEW, SYSTEM(NEW, 0x66, 0x89), 0x67, VECTOR_TS, SEL_NEW},
    {"short 16", TASK_SWITCH_JMP, 0, SEL_NEW, SYSTEM(NEW, 0x2a, 0x81), 0x67, VECTOR_TS, SEL_NEW},
    {"short, INT1", TASK_SWITCH_GATE, INT_1, SEL_NEW, SYSTEM(NEW, 0x2b, 0x89), 0x67, VECTOR_TS,
     SEL_NEW | 1},
    {"short, INT3", TASK_SWITCH_GATE, INT_3, SEL_NEW, SYSTEM(NEW, 0x2b, 0x89), 0x67, VECTOR_TS,
     SEL_NEW},
    {"old one short", TASK_SWITCH_JMP, 0, SEL_NEW, KEEP, 0x5e, VECTOR_TS, SEL_OLD},
};

static void faults_of_the_old_task(void **unused)
{
    for (u32 i = 0; i < ARRAY_SIZE(old_rows); i++) {
        const struct old_row *row = &old_rows[i];

        setup(unused);
        fill_old();
        if (row->descriptor != KEEP)
            fake_put64(GDT + SEL_NEW, row->descriptor);
        request.selector = (u16)row->selector;
        if (row->source == TASK_SWITCH_IRET && row->selector == (SEL_NEW | 0x40)) {
            fake_put64(GDT + (SEL_NEW | 0x40), SYSTEM(NEW, 0x67, 0x89));
        }
        state.segment[SEG_TR].limit = row->tr_limit;
        go(row->source, row->event);
        if (!result.faulted || result.fault.vector != row->vector)
            fprintf(stderr, "%s\n", row->name);
        want_fault(false, row->vector, row->error_code);
        assert_int_equal(fake_get32(OLD + 0x20), 0x55555555);
        assert_int_equal(get8(GDT + SEL_OLD + 5), 0x8b);
        assert_int_equal(fake_get32(NEW), 0xdead0000);
    }
}

static void cet_wants_a_longer_tss(void **unused)
{
    (void)unused;
    state.paging.cr4 = CR4_CET;
    go(TASK_SWITCH_JMP, 0);
    want_fault(false, VECTOR_TS, SEL_NEW);
    fake_put64(GDT + SEL_NEW, SYSTEM(NEW, 107, 0x89));
    go(TASK_SWITCH_JMP, 0);
    want_done();
}

/* ---- faults of the new task */

static const struct new_row {
    const char *name;
    u32 offset; /* in the new TSS */
    u32 value;
    u32 vector, error_code;
} new_rows[] = {
    {"LDT in the LDT", 0x60, SEL_LDT | 4, VECTOR_TS, SEL_LDT | 4},
    {"LDT is data", 0x60, SEL_DATA, VECTOR_TS, SEL_DATA},
    {"LDT beyond", 0x60, SEL_BEYOND, VECTOR_TS, SEL_BEYOND},
    {"CS null", 0x4c, 0, VECTOR_TS, 0},
    {"CS beyond", 0x4c, SEL_BEYOND, VECTOR_TS, SEL_BEYOND},
    {"CS data", 0x4c, SEL_DATA, VECTOR_TS, SEL_DATA},
    {"CS DPL below RPL", 0x4c, SEL_CODE | 3, VECTOR_TS, SEL_CODE},
    {"CS DPL above RPL", 0x4c, SEL_CODE3 & ~3, VECTOR_TS, SEL_CODE3 & ~3},
    {"CS conforming, stack's DPL", 0x4c, SEL_CONFORMING | 3, VECTOR_TS, SEL_DATA},
    {"CS absent", 0x4c, SEL_ABSENT_CODE, VECTOR_NP, SEL_ABSENT_CODE},
    {"SS null", 0x50, 0, VECTOR_TS, 0},
    {"SS code", 0x50, SEL_CODE, VECTOR_TS, SEL_CODE},
    {"SS read-only", 0x50, SEL_READ_ONLY, VECTOR_TS, SEL_READ_ONLY},
    {"SS absent", 0x50, SEL_ABSENT_DATA, VECTOR_SS, SEL_ABSENT_DATA},
    {"SS DPL", 0x50, SEL_DATA3, VECTOR_TS, SEL_DATA3 & ~3},
    {"SS RPL", 0x50, SEL_DATA | 1, VECTOR_TS, SEL_DATA},
    {"DS beyond", 0x54, SEL_BEYOND, VECTOR_TS, SEL_BEYOND},
    {"DS beyond the LDT", 0x54, 0x14, VECTOR_TS, 0x14},
    {"ES execute-only", 0x48, SEL_EXECUTE_ONLY, VECTOR_TS, SEL_EXECUTE_ONLY},
    {"FS system", 0x58, SEL_LDT, VECTOR_TS, SEL_LDT},
    {"GS absent", 0x5c, SEL_ABSENT_DATA, VECTOR_NP, SEL_ABSENT_DATA},
    {"DS RPL", 0x54, SEL_DATA | 3, VECTOR_TS, SEL_DATA},
    {"DS system and absent", 0x54, SEL_OLD, VECTOR_TS, SEL_OLD},
};

static bool enters(void);

static void faults_of_the_new_task(void **unused)
{
    static const u32 events[] = {0, INT_EXT, INT_DE, INT_N};

    for (u32 i = 0; i < ARRAY_SIZE(new_rows) * ARRAY_SIZE(events); i++) {
        const struct new_row *row = &new_rows[i / ARRAY_SIZE(events)];
        u32 event = events[i % ARRAY_SIZE(events)];
        u32 external = event == INT_EXT || event == INT_DE;

        setup(unused);
        put16(NEW + row->offset, (u16)row->value);
        put16(NEW + 0x64, 1); /* T: not with a fault */
        go(event ? TASK_SWITCH_GATE : TASK_SWITCH_CALL, event);
        if (!result.faulted || result.fault.vector != row->vector)
            fprintf(stderr, "%s\n", row->name);
        want_fault(true, row->vector, row->error_code | external);
        assert_int_equal(state.eip, 0x1234);
        assert_int_equal(get8(GDT + SEL_NEW + 5), 0x8b);
        for (u32 n = SEG_ES; n <= SEG_GS; n++)
            assert_int_equal(state.segment[n].selector, get16(NEW + 0x48 + 4 * n));
        if (row->offset == 0x50)
            assert_int_equal(AR_DPL(state.segment[SEG_SS].ar), 3);
        assert_true(enters());
    }
}

static void segments_of_other_kinds(void **unused)
{
    (void)unused;
    put16(NEW + 0x48, 0);
    put16(NEW + 0x54, SEL_IN_LDT | 3);
    put16(NEW + 0x58, SEL_CONFORMING);
    put16(NEW + 0x5c, SEL_CODE3);
    put16(NEW + 0x4c, SEL_CODE3);
    put16(NEW + 0x50, SEL_DATA3);
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(state.segment[SEG_ES].ar, AR_UNUSABLE_MASK);
    assert_int_equal(state.segment[SEG_DS].base, 0x60000);
    assert_int_equal(state.segment[SEG_DS].limit, 0xfff);
    assert_int_equal(state.segment[SEG_FS].ar, 0xc09f);
    assert_int_equal(state.paging.cpl, 3);
    assert_true(enters());
}

static void a_data_segment_above_cpl(void **unused)
{
    (void)unused;
    put16(NEW + 0x4c, SEL_CODE3);
    put16(NEW + 0x50, SEL_DATA3);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_TS, SEL_DATA); /* RPL 0 does not help */
}

static void a_task_without_ldt(void **unused)
{
    (void)unused;
    put16(NEW + 0x60, 0);
    put16(NEW + 0x54, SEL_IN_LDT);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_TS, SEL_IN_LDT);
    assert_true(state.segment[SEG_LDTR].ar & AR_UNUSABLE_MASK);
}

static void a_v86_task(void **unused)
{
    (void)unused;
    fake_put32(NEW + 0x24, (u32)RFLAGS_VM | 0x3202);
    put16(NEW + 0x4c, 0x1000);
    put16(NEW + 0x50, 0xffff);
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(state.segment[SEG_CS].base, 0x10000);
    assert_int_equal(state.segment[SEG_SS].base, 0xffff0);
    assert_int_equal(state.segment[SEG_SS].ar, 0xf3);
    assert_int_equal(state.paging.cpl, 3);
    assert_true(enters());
    setup(unused);
    fake_put32(NEW + 0x24, (u32)RFLAGS_VM | 0x3202);
    put16(NEW + 0x60, SEL_DATA);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_TS, SEL_DATA);
    assert_true(enters());
}

/* ---- error code, EIP, T */

static void an_error_code_is_pushed(void **unused)
{
    (void)unused;
    request.error_code = 0x1357;
    go(TASK_SWITCH_GATE, INT_GP);
    want_done();
    assert_int_equal(state.gpr[4], 0x8ffc);
    assert_int_equal(fake_get32(0x8ffc), 0x1357);
    setup(unused);
    use_16();
    request.error_code = 0x1357;
    fake_put32(0x8ffc, 0x55555555);
    go(TASK_SWITCH_GATE, INT_GP);
    want_done();
    assert_int_equal(state.gpr[4], 0xffff8ffe); /* a flat stack */
    setup(unused);
    put16(NEW + 0x50, SEL_STACK_16);
    fake_put32(NEW + 0x38, 0x12340000);
    request.error_code = 0x1357;
    go(TASK_SWITCH_GATE, INT_GP);
    want_done();
    assert_int_equal(state.gpr[4], 0x1234fffc);
    assert_int_equal(fake_get32(0x5fffc), 0x1357);
}

static void an_error_code_beyond_the_stack(void **unused)
{
    (void)unused;
    put16(NEW + 0x50, SEL_STACK_16);
    fake_put32(NEW + 0x38, 2);
    go(TASK_SWITCH_GATE, INT_GP);
    want_fault(true, VECTOR_SS, 1);
    assert_int_equal(state.gpr[4], 2);
}

static void eip_beyond_the_code(void **unused)
{
    (void)unused;
    put16(NEW + 0x4c, SEL_SMALL);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_GP, 0);
    setup(unused);
    put16(NEW + 0x4c, SEL_SMALL);
    go(TASK_SWITCH_GATE, INT_EXT);
    want_fault(true, VECTOR_GP, 1);
    setup(unused);
    put16(NEW + 0x4c, SEL_SMALL);
    fake_put32(NEW + 0x20, 0xfff);
    go(TASK_SWITCH_JMP, 0);
    want_done();
}

static void the_t_flag_traps(void **unused)
{
    (void)unused;
    put16(NEW + 0x64, 1);
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_true(result.debug_trap);
}

static void events_combine(void **unused)
{
    static const struct {
        u32 event, vector, wanted;
    } rows[] = {
        {0, VECTOR_TS, VECTOR_TS},
        {INT_EXT, VECTOR_TS, VECTOR_TS},
        {INT_N, VECTOR_GP, VECTOR_GP},
        {INT_1, VECTOR_PF, VECTOR_PF},
        {INT_3, VECTOR_NP, VECTOR_NP},
        {INT_GP, VECTOR_TS, VECTOR_DF},
        {INT_GP, VECTOR_PF, VECTOR_PF},
        {INT_DE, VECTOR_NP, VECTOR_DF},
        {INT_GP - VECTOR_GP + VECTOR_PF, VECTOR_PF, VECTOR_DF},
        {INT_GP - VECTOR_GP + VECTOR_PF, VECTOR_SS, VECTOR_DF},
        {INT_GP - VECTOR_GP + VECTOR_DF, VECTOR_TS, VECTOR_SHUTDOWN},
        {INT_GP - VECTOR_GP + VECTOR_DF, VECTOR_PF, VECTOR_SHUTDOWN},
        {INT_DE + VECTOR_UD, VECTOR_TS, VECTOR_TS},
        {INTR_INFO_VALID_MASK | INTR_TYPE_NMI | VECTOR_NMI, VECTOR_TS, VECTOR_TS},
    };

    (void)unused;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(combined_vector(rows[i].event, rows[i].vector), rows[i].wanted);
    assert_true(event_is_software(INT_N) && event_is_software(INT_1) && event_is_software(INT_3));
    assert_false(event_is_software(INT_EXT) || event_is_software(INT_DE) || event_is_software(0));
}

/* ---- with paging */

/* The first 4 MiB mapped to themselves, by a directory and one table. */
static void map_32(u32 directory)
{
    fake_put32(directory, (directory + 0x1000) | 7);
    for (u32 i = 0; i < 1024; i++)
        fake_put32(directory + 0x1000 + 4 * i, i << 12 | 7);
}

static void set_page(u32 directory, u32 linear, u32 flags)
{
    fake_put32(directory + 0x1000 + (linear >> 12) * 4, linear | flags);
}

static void use_paging(void)
{
    map_32(ROOT);
    map_32(ROOT2);
    state.paging.cr0 |= CR0_PG | CR0_WP;
}

static void paging_changes_with_the_task(void **unused)
{
    (void)unused;
    use_paging();
    set_page(ROOT2, LDT & ~0xfffu, 0);
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(state.paging.cr3, ROOT2);
    setup(unused);
    use_paging();
    use_16();
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(state.paging.cr3, ROOT);
}

static void page_faults_of_the_old_task(void **unused)
{
    static const struct {
        enum task_switch_source source;
        u32 page, flags, address, error_code;
    } rows[] = {
        {TASK_SWITCH_JMP, GDT, 0, GDT + SEL_NEW, 0},
        {TASK_SWITCH_JMP, GDT, 5, GDT + SEL_OLD + 5, 3},
        {TASK_SWITCH_CALL, GDT, 5, GDT + SEL_NEW + 5, 3},
        {TASK_SWITCH_JMP, OLD, 5, OLD + 0x20, 3},
        {TASK_SWITCH_JMP, OLD, 0, OLD + 0x20, 2},
        {TASK_SWITCH_JMP, NEW, 0, NEW, 0},
        {TASK_SWITCH_CALL, NEW, 5, NEW, 3},
    };

    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        setup(unused);
        fill_old();
        use_paging();
        state.paging.cpl = 3; /* yet no user-mode access */
        set_page(ROOT, rows[i].page, rows[i].flags);
        go(rows[i].source, 0);
        want_fault(false, VECTOR_PF, rows[i].error_code);
        assert_int_equal(result.fault.address, rows[i].address);
        assert_int_equal(fake_get32(OLD + 0x20), 0x55555555);
        assert_int_equal(get8(GDT + SEL_OLD + 5), 0x8b);
    }
    setup(unused);
    use_paging();
    set_page(ROOT, NEW, 5);
    go(TASK_SWITCH_JMP, 0); /* writes nothing to it */
    want_done();
}

static void a_tss_across_pages(void **unused)
{
    (void)unused;
    use_paging();
    make_tss_32(NEW + 0xfc0);
    fake_put64(GDT + SEL_NEW, SYSTEM(NEW + 0xfc0, 0x67, 0x89));
    go(TASK_SWITCH_CALL, 0);
    want_done();
    setup(unused);
    use_paging();
    fake_put64(GDT + SEL_NEW, SYSTEM(NEW + 0xfc0, 0x67, 0x89));
    set_page(ROOT, NEW + 0x1000, 0);
    go(TASK_SWITCH_CALL, 0);
    want_fault(false, VECTOR_PF, 0);
    assert_int_equal(result.fault.address, NEW + 0x1000);
}

static void page_faults_of_the_new_task(void **unused)
{
    (void)unused;
    use_paging();
    set_page(ROOT2, GDT, 0);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_PF, 0);
    assert_int_equal(result.fault.address, GDT + SEL_LDT);
    assert_int_equal(state.paging.cr3, ROOT2);
    setup(unused);
    use_paging();
    set_page(ROOT2, GDT, 5); /* no place for the accessed flag */
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_PF, 3);
    assert_int_equal(result.fault.address, GDT + SEL_DATA + 5);
    setup(unused);
    use_paging();
    put16(NEW + 0x4c, SEL_CODE3);
    put16(NEW + 0x50, SEL_DATA3);
    for (u32 i = 0x48; i < 0x60; i += 4)
        put16(NEW + i, i == 0x4c ? SEL_CODE3 : SEL_DATA3);
    set_page(ROOT2, 0x8000, 3); /* the stack: supervisor's */
    go(TASK_SWITCH_GATE, INT_GP);
    want_fault(true, VECTOR_PF, 7);
    assert_int_equal(result.fault.address, 0x8ffc);
}

/* CS's accessed flag can't be written: SS is not loaded either. */
static void code_and_stack_come_together(void **unused)
{
    (void)unused;
    use_paging();
    fake_put64(LDT, FLAT(0x9a));
    put16(NEW + 0x4c, SEL_IN_LDT);
    set_page(ROOT2, LDT, 5);
    go(TASK_SWITCH_JMP, 0);
    want_fault(true, VECTOR_PF, 3);
    assert_int_equal(result.fault.address, LDT + 5);
    assert_true(state.segment[SEG_SS].ar & AR_UNUSABLE_MASK);
    assert_true(enters());
}

/* The push is the new task's own access: its AC counts. */
static void smap_and_the_push(void **unused)
{
    for (u32 ac = 0; ac < 2; ac++) {
        setup(unused);
        use_paging();
        state.paging.cr4 |= CR4_SMAP;
        for (u32 page = 0x10000; page < 0x30000; page += 0x1000) {
            set_page(ROOT, page, 3);
            set_page(ROOT2, page, 3);
        }
        fake_put32(NEW + 0x24, ac ? (u32)(RFLAGS_AC | RFLAGS_FIXED) : (u32)RFLAGS_FIXED);
        go(TASK_SWITCH_GATE, INT_GP);
        if (ac)
            want_done();
        else
            want_fault(true, VECTOR_PF, 3);
    }
}

/* ---- another core of L1, that changes descriptors: SDM vol. 3, "Automatic Locking" */

static u32 race_at; /* the address of the byte of the type */
static u8 race_type;

static void write_the_type(u64 pa)
{
    if (pa == align_down(race_at, 4))
        put8(race_at, race_type);
}

/* It takes the task at the last moment. */
static void a_task_is_entered_once(void **unused)
{
    (void)unused;
    fill_old();
    race_at = GDT + SEL_NEW + 5;
    race_type = 0x8b;
    fake_before_set = write_the_type;
    go(TASK_SWITCH_JMP, 0);
    want_fault(false, VECTOR_GP, SEL_NEW);
    assert_int_equal(fake_get32(OLD + 0x20), 0x55555555);
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x8b);
}

/* Nor does the accessed flag undo what it writes to the rest of the byte. */
static void flags_of_descriptors_change_nothing_else(void **unused)
{
    (void)unused;
    race_at = GDT + SEL_DATA + 5;
    race_type = 0xf2;
    fake_before_set = write_the_type;
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(get8(race_at), 0xf3);
}

/* At any address, in a word of its own or not. */
static void descriptors_need_no_alignment(void **unused)
{
    for (u32 offset = 1; offset < 8; offset++) {
        setup(unused);
        for (u32 i = GDT_LIMIT + 1; i > 0; i--)
            put8(GDT + offset + i - 1, get8(GDT + i - 1));
        state.gdtr.base += offset;
        go(TASK_SWITCH_JMP, 0);
        want_done();
        assert_int_equal(get8(GDT + offset + SEL_NEW + 5), 0x8b);
        assert_int_equal(get8(GDT + offset + SEL_OLD + 5), 0x89);
        assert_int_equal(get8(GDT + offset + SEL_CODE + 5), 0x9b);
        assert_int_equal(get8(GDT + offset + SEL_CODE + 6), 0xcf);
    }
}

/* With its own TSS marked available a task jumps to itself, and is busy after it. */
static void a_jump_to_itself(void **unused)
{
    (void)unused;
    make_tss_32(OLD);
    put8(GDT + SEL_OLD + 5, 0x89);
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        state.segment[i].selector = i == SEG_CS ? SEL_CODE : SEL_DATA;
    request.selector = SEL_OLD;
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(get8(GDT + SEL_OLD + 5), 0x8b);
    assert_int_equal(state.eip, before.eip);
}

static void smap_holds_with_ac(void **unused)
{
    (void)unused;
    use_paging();
    state.paging.cr4 |= CR4_SMAP;
    state.paging.rflags |= RFLAGS_AC;
    go(TASK_SWITCH_JMP, 0);
    want_fault(false, VECTOR_PF, 1);
}

static void use_pae(u32 root)
{
    fake_put64(root, (root + 0x1000) | PTE_P);
    fake_put64(root + 0x1000, PTE_P | PTE_W | PTE_U | PTE_PS);
}

static void pdptes_change_with_the_task(void **unused)
{
    (void)unused;
    use_pae(ROOT);
    use_pae(ROOT2);
    state.paging.cr0 |= CR0_PG;
    state.paging.cr4 |= CR4_PAE;
    state.paging.pdpte[0] = (ROOT + 0x1000) | PTE_P;
    fake_put64(ROOT2 + 8, PTE_P | 2); /* reserved */
    go(TASK_SWITCH_GATE, INT_EXT);
    want_fault(false, VECTOR_GP, 1);
    fake_put64(ROOT2 + 8, 0xff000);
    go(TASK_SWITCH_GATE, INT_EXT);
    want_done();
    assert_int_equal(state.paging.pdpte[0], (ROOT2 + 0x1000) | PTE_P);
    assert_int_equal(state.paging.pdpte[1], 0xff000);
}

static void the_same_cr3_loads_no_pdptes(void **unused)
{
    (void)unused;
    use_pae(ROOT);
    state.paging.cr0 |= CR0_PG;
    state.paging.cr4 |= CR4_PAE;
    state.paging.pdpte[0] = (ROOT + 0x1000) | PTE_P;
    fake_put64(ROOT + 8, PTE_P | 2);
    fake_put32(NEW + 0x1c, ROOT);
    go(TASK_SWITCH_JMP, 0);
    want_done();
    assert_int_equal(state.paging.pdpte[1], 0);
}

/* ---- whatever L1 does: the state passes the checks of VM entry */

#define SEGMENT_TO(v, name, n)                                                                     \
    ((v).guest_##name##_selector = state.segment[n].selector,                                      \
     (v).guest_##name##_base = state.segment[n].base,                                              \
     (v).guest_##name##_limit = state.segment[n].limit,                                            \
     (v).guest_##name##_ar_bytes = state.segment[n].ar)

static bool enters(void)
{
    struct vmcs12 v;
    u64 pdpte[4], qualification;

    memset(&v, 0, sizeof(v));
    caps.cr0_fixed1 = caps.cr4_fixed1 = 0xffffffff;
    caps.cr3_reserved = ~0ull << 40;
    v.cpu_based_vm_exec_control = CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
    v.secondary_vm_exec_control = SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_ENABLE_EPT;
    v.vmcs_link_pointer = ~0ull;
    v.guest_cr0 = state.paging.cr0;
    v.guest_cr3 = state.paging.cr3;
    v.guest_cr4 = state.paging.cr4;
    v.guest_rip = state.eip;
    v.guest_rflags = state.eflags;
    SEGMENT_TO(v, es, SEG_ES);
    SEGMENT_TO(v, cs, SEG_CS);
    SEGMENT_TO(v, ss, SEG_SS);
    SEGMENT_TO(v, ds, SEG_DS);
    SEGMENT_TO(v, fs, SEG_FS);
    SEGMENT_TO(v, gs, SEG_GS);
    SEGMENT_TO(v, ldtr, SEG_LDTR);
    SEGMENT_TO(v, tr, SEG_TR);
    return check_guest_state(&v, &caps, 0x7000, pdpte, &qualification);
}

static void random_tss(void)
{
    bool small = fake_below(4) == 0;

    if (small)
        use_16();
    for (u32 n = fake_below(4) ? (u32)fake_below(3) : 0x60; n > 0; n--)
        put16(NEW + fake_below(small ? 0x2c : 0x68), (u16)fake_random());
    for (u32 n = (u32)fake_below(4); n > 0; n--)
        put16(NEW + (small ? 0x22 + 2 * fake_below(5) : 0x48 + 4 * fake_below(7)),
              (u16)(fake_below(0x80)));
    for (u32 n = (u32)fake_below(3); n > 0; n--)
        fake_put64(GDT + 8 * fake_below(15), fake_random() | (fake_below(2) ? BIT64(47) : 0));
    for (u32 n = (u32)fake_below(4); n > 0; n--)
        put8(GDT + 8 * fake_below(15) + 5, (u8)fake_random());
}

static void whatever_is_there_it_enters(void **unused)
{
    u32 switched = 0, faulted_later = 0;

    setup(unused);
    for (u32 i = 0; i < 300000; i++) {
        static const u32 events[] = {INT_GP, INT_DE, INT_EXT, INT_N, INT_1, INT_3};

        make_gdt();
        make_tss_32(NEW);
        make_state();
        random_tss();
        go((enum task_switch_source)fake_below(4), events[fake_below(ARRAY_SIZE(events))]);
        if (!result.switched) {
            assert_true(result.faulted);
            assert_memory_equal(&state, &before, sizeof(state));
            continue;
        }
        switched++;
        faulted_later += result.faulted;
        if (!enters())
            fail_msg("step %u", i);
        if (result.faulted)
            assert_int_equal(result.fault.error_code >> 16, 0);
    }
    assert_true(switched > 50000 && faulted_later > 10000 && switched - faulted_later > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_jump_leaves_the_old_task_available, setup),
        cmocka_unit_test_setup(a_call_nests, setup),
        cmocka_unit_test_setup(an_iret_returns, setup),
        cmocka_unit_test_setup(an_iret_keeps_nt_of_the_new_task, setup),
        cmocka_unit_test_setup(an_iret_to_itself, setup),
        cmocka_unit_test_setup(to_16_bit, setup),
        cmocka_unit_test_setup(from_16_bit, setup),
        cmocka_unit_test_setup(faults_of_the_old_task, setup),
        cmocka_unit_test_setup(cet_wants_a_longer_tss, setup),
        cmocka_unit_test_setup(faults_of_the_new_task, setup),
        cmocka_unit_test_setup(segments_of_other_kinds, setup),
        cmocka_unit_test_setup(a_data_segment_above_cpl, setup),
        cmocka_unit_test_setup(a_task_without_ldt, setup),
        cmocka_unit_test_setup(a_v86_task, setup),
        cmocka_unit_test_setup(an_error_code_is_pushed, setup),
        cmocka_unit_test_setup(an_error_code_beyond_the_stack, setup),
        cmocka_unit_test_setup(eip_beyond_the_code, setup),
        cmocka_unit_test_setup(the_t_flag_traps, setup),
        cmocka_unit_test_setup(events_combine, setup),
        cmocka_unit_test_setup(paging_changes_with_the_task, setup),
        cmocka_unit_test_setup(page_faults_of_the_old_task, setup),
        cmocka_unit_test_setup(a_tss_across_pages, setup),
        cmocka_unit_test_setup(page_faults_of_the_new_task, setup),
        cmocka_unit_test_setup(code_and_stack_come_together, setup),
        cmocka_unit_test_setup(smap_and_the_push, setup),
        cmocka_unit_test_setup(smap_holds_with_ac, setup),
        cmocka_unit_test_setup(a_task_is_entered_once, setup),
        cmocka_unit_test_setup(flags_of_descriptors_change_nothing_else, setup),
        cmocka_unit_test_setup(descriptors_need_no_alignment, setup),
        cmocka_unit_test_setup(a_jump_to_itself, setup),
        cmocka_unit_test_setup(pdptes_change_with_the_task, setup),
        cmocka_unit_test_setup(the_same_cr3_loads_no_pdptes, setup),
        cmocka_unit_test_setup(whatever_is_there_it_enters, setup),
    };

    return cmocka_run_group_tests_name("task_switch", tests, NULL, NULL);
}
