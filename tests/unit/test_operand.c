/*
 * Memory operands of L1's VMX instructions, from its registers in the VMCS to the bytes, or to the
 * exception that is injected: the rules themselves are the walk's and the decoder's, and tested
 * there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "hv/l0.h"
#include "mm/pool.h"
#include "vmx.h"
#include "vmx/operand.h"
#include "x86.h"

#define ROOT  0x10000ull  /* the table of the highest level in memory; the others follow */
#define AT    0x205000ull /* linear and physical, with a page table of 4 KiB pages for it */
#define ALLOW (PTE_P | PTE_W)

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;
static u64 pkrs;

bool fake_rdmsr(u32 msr, u64 *value)
{
    *value = pkrs;
    return msr == MSR_IA32_PKRS;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    (void)msr;
    (void)value;
    return false;
}

/* ---- L1, in each mode */

enum mode { NONE, BITS_32, PSE, PAE, LEVELS_4, LEVELS_5, MODES };

static enum mode mode;
static u64 leaf; /* where the entry for AT is; the next page's follows */

static bool is_wide(void) { return mode >= PAE; }
static bool is_long(void) { return mode >= LEVELS_4; }

static void set_leaf(u32 page, u64 flags)
{
    u64 entry = (AT + page * PAGE_SIZE) | flags;

    if (mode == PSE)
        fake_put32(leaf, (u32)(flags | PTE_PS)); /* 4 MiB, the same for both */
    else if (is_wide())
        fake_put64(leaf + page * 8, entry);
    else
        fake_put32(leaf + page * 4, (u32)entry);
}

/* Tables that lead to AT, and allow all but user-mode accesses. */
static void make_tables(void)
{
    u64 table = ROOT;

    for (u32 level = mode == LEVELS_5 ? 5 : 4; is_long() && level > 2; level--, table += PAGE_SIZE)
        fake_put64(table, (table + PAGE_SIZE) | ALLOW | PTE_U);
    if (is_wide())
        fake_put64(table + 8, (table + PAGE_SIZE) | ALLOW | PTE_U);
    else if (mode == BITS_32)
        fake_put32(table, (u32)((table + PAGE_SIZE) | ALLOW | PTE_U));
    leaf = table + PAGE_SIZE + (AT >> 12 & (is_wide() ? 0x1ff : 0x3ff)) * (is_wide() ? 8 : 4);
    if (mode == PSE)
        leaf = table;
    set_leaf(0, ALLOW);
    set_leaf(1, ALLOW);
}

static void use(enum mode new_mode)
{
    mode = new_mode;
    fake_phys_reset();
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    fake_cr2 = 0;
    pkrs = 0;
    l0.hw.physical_bits = 40;
    l0.has_1g = true;
    fake_vmcs[GUEST_CR0] = CR0_PE | CR0_WP | (mode == NONE ? 0 : CR0_PG);
    fake_vmcs[GUEST_CR3] = mode == PAE ? 0xfffe0 : ROOT;
    fake_vmcs[GUEST_PDPTR0] = ROOT | PTE_P;
    fake_vmcs[GUEST_CR4] =
        (mode == PSE ? CR4_PSE : 0) | (is_wide() ? CR4_PAE : 0) | (mode == LEVELS_5 ? CR4_LA57 : 0);
    fake_vmcs[GUEST_IA32_EFER] = EFER_NXE | (is_long() ? EFER_LME | EFER_LMA : 0);
    fake_vmcs[GUEST_RFLAGS] = RFLAGS_FIXED;
    for (u32 i = SEGMENT_ES; i <= SEGMENT_GS; i++) {
        fake_vmcs[GUEST_ES_LIMIT + 2 * i] = 0xffffffff;
        fake_vmcs[GUEST_ES_AR_BYTES + 2 * i] = 0xc093;
    }
    fake_vmcs[GUEST_CS_AR_BYTES] = is_long() ? 0xa09b : 0xc09b;
    if (mode != NONE)
        make_tables();
}

#define FOR_EACH_MODE for (u32 m = 0; m < MODES && (use(m), true); m++)

static bool no_event(void) { return !(fake_vmcs[VM_ENTRY_INTR_INFO_FIELD] & INTR_INFO_VALID_MASK); }

static bool has_fault(u32 vector, u32 error_code)
{
    bool had = fake_vmcs[VM_ENTRY_INTR_INFO_FIELD] == (INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION |
                                                       INTR_INFO_DELIVER_CODE_MASK | vector) &&
               fake_vmcs[VM_ENTRY_EXCEPTION_ERROR_CODE] == error_code &&
               (fake_vmcs[GUEST_RFLAGS] & RFLAGS_RF);

    fake_vmcs[VM_ENTRY_INTR_INFO_FIELD] = 0;
    return had;
}

static struct vmx_operand at(u8 segment, u64 offset)
{
    return (struct vmx_operand){.segment = segment, .is_wide = is_long(), .offset = offset};
}

static bool reads(u8 segment, u64 offset)
{
    const struct vmx_operand operand = at(segment, offset);
    u64 value;

    return operand_read(&operand, &value, sizeof(value));
}

static bool writes(u8 segment, u64 offset)
{
    const struct vmx_operand operand = at(segment, offset);
    u64 value = 0x1122334455667788;

    return operand_write(&operand, &value, sizeof(value));
}

/* ---- */

static void operands_are_read_and_written(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        const struct vmx_operand operand = at(SEGMENT_DS, AT + 8);
        u64 value = 0x1122334455667788;

        /* 4-MiB pages lead to the same place: they begin at 0. */
        assert_true(operand_write(&operand, &value, sizeof(value)));
        assert_int_equal(fake_get64(AT + 8), value);
        fake_put64(AT + 8, 0xabcd);
        assert_true(operand_read(&operand, &value, sizeof(value)));
        assert_int_equal(value, 0xabcd);
        assert_true(no_event());
    }
}

/* CR0.WP, SMAP with EFLAGS.AC, and reserved bits: what the registers say reaches the walk. */
static void page_faults_are_injected(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        if (mode == NONE)
            continue;
        set_leaf(0, 0);
        assert_false(reads(SEGMENT_DS, AT + 8));
        assert_true(has_fault(VECTOR_PF, 0));
        assert_int_equal(fake_cr2, AT + 8);
        set_leaf(0, PTE_P);
        assert_false(writes(SEGMENT_DS, AT + 16));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_WRITE));
        assert_int_equal(fake_cr2, AT + 16);
        fake_vmcs[GUEST_CR0] &= ~CR0_WP;
        assert_true(writes(SEGMENT_DS, AT + 16));
        set_leaf(0, ALLOW | PTE_U);
        assert_true(reads(SEGMENT_DS, AT));
        fake_vmcs[GUEST_CR4] |= CR4_SMAP | CR4_SMEP;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT));
        fake_vmcs[GUEST_RFLAGS] |= RFLAGS_AC;
        assert_true(reads(SEGMENT_DS, AT));
        if (!is_wide())
            continue;
        set_leaf(0, ALLOW | BIT64(40)); /* l0.hw.physical_bits */
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_RESERVED));
        set_leaf(0, ALLOW | PTE_NX);
        assert_true(reads(SEGMENT_DS, AT));
        fake_vmcs[GUEST_IA32_EFER] &= ~EFER_NXE;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_RESERVED));
    }
}

/* The second page's fault is at its first byte, and the first page stays as it was. */
static void the_second_page_faults(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        if (mode == NONE || mode == PSE)
            continue;
        set_leaf(1, PTE_P);
        assert_false(writes(SEGMENT_DS, AT + 0xffc));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_WRITE));
        assert_int_equal(fake_cr2, AT + 0x1000);
        assert_int_equal(fake_get32(AT + 0xffc), 0);
        assert_true(reads(SEGMENT_DS, AT + 0xffc));
        assert_true(no_event());
    }
}

/* PAE paging uses the registers, not what is at CR3; a PDPTE that is not present faults. */
static void pdptes_are_the_registers(void **state)
{
    (void)state;
    use(PAE);
    fake_put64(0xfffe0, 0);
    assert_true(reads(SEGMENT_DS, AT));
    fake_vmcs[GUEST_PDPTR0] = 0;
    fake_vmcs[GUEST_PDPTR0 + 2 * 2] = ROOT | PTE_P;
    assert_false(reads(SEGMENT_DS, AT));
    assert_true(has_fault(VECTOR_PF, 0));
    assert_true(reads(SEGMENT_DS, AT + 2 * SIZE_1G));
}

static void supervisor_keys_are_L1s(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        if (!is_long())
            continue;
        set_leaf(0, ALLOW | 5ull << 59);
        pkrs = 1 << 10; /* no access by key 5 */
        assert_true(reads(SEGMENT_DS, AT));
        fake_vmcs[GUEST_CR4] |= CR4_PKS;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_PROTECTION_KEY));
        pkrs = 2 << 10; /* no writes */
        assert_true(reads(SEGMENT_DS, AT));
        assert_false(writes(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, PF_PRESENT | PF_WRITE | PF_PROTECTION_KEY));
    }
}

static void segments_come_before_pages(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        const u64 bad = is_long() ? BIT64(62) : 0x3000;

        if (mode != NONE) {
            set_leaf(0, 0);
            set_leaf(1, 0);
        }
        for (u32 i = SEGMENT_ES; i <= SEGMENT_GS; i++) {
            fake_vmcs[GUEST_ES_LIMIT + 2 * i] = 0x2fff;
            assert_false(reads((u8)i, bad));
            assert_true(has_fault(i == SEGMENT_SS ? VECTOR_SS : VECTOR_GP, 0));
            fake_vmcs[GUEST_ES_LIMIT + 2 * i] = 0xffffffff;
        }
        fake_vmcs[GUEST_FS_BASE] = AT;
        if (mode != NONE) {
            assert_false(reads(SEGMENT_FS, 0x10));
            assert_true(has_fault(VECTOR_PF, 0));
            assert_int_equal(fake_cr2, AT + 0x10);
        }
        if (is_long())
            continue;
        fake_vmcs[GUEST_DS_AR_BYTES] = 0xc091; /* read-only */
        assert_false(writes(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_GP, 0));
        fake_vmcs[GUEST_DS_AR_BYTES] = AR_UNUSABLE_MASK;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_GP, 0));
    }
}

/* Five levels make more addresses canonical; LAM and LASS are taken from CR3 and CR4. */
static void linear_addresses_follow_the_control_registers(void **state)
{
    (void)state;
    FOR_EACH_MODE
    {
        if (!is_long())
            continue;
        assert_false(reads(SEGMENT_DS, BIT64(50) | AT));
        assert_true(has_fault(mode == LEVELS_5 ? VECTOR_PF : VECTOR_GP, 0));
        assert_false(reads(SEGMENT_SS, BIT64(60) | AT));
        assert_true(has_fault(VECTOR_SS, 0));
        fake_vmcs[GUEST_CR3] |= CR3_LAM_U57;
        assert_true(reads(SEGMENT_SS, BIT64(60) | AT));
        set_leaf(0, 0);
        assert_false(reads(SEGMENT_SS, BIT64(60) | AT));
        assert_true(has_fault(VECTOR_PF, 0));
        assert_int_equal(fake_cr2, AT);
        fake_vmcs[GUEST_CR4] |= CR4_LASS | CR4_SMAP;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_GP, 0));
        fake_vmcs[GUEST_RFLAGS] |= RFLAGS_AC;
        assert_false(reads(SEGMENT_DS, AT));
        assert_true(has_fault(VECTOR_PF, 0));
    }
}

/* RSP is in the VMCS; registers are as wide as the mode. */
static void registers_are_L1s(void **state)
{
    static struct cpu cpu;
    const u32 info = 2u << 7 | 3u << 15 | 4u << 23 | BIT(22) | 4u << 28; /* [RSP + displacement] */

    (void)state;
    FOR_EACH_MODE
    {
        struct vmx_operand operand;

        fake_vmcs[GUEST_RSP] = 0xffff800000001000;
        fake_vmcs[EXIT_QUALIFICATION] = 0x10;
        fake_vmcs[VMX_INSTRUCTION_INFO] = is_long() ? info : info ^ 3u << 7;
        cpu.gpr[RSP] = 0xdead;
        cpu.gpr[RBX] = 0x123456789a;
        operand = operand_decode(&cpu);
        assert_int_equal(operand.offset, is_long() ? 0xffff800000001010 : 0x1010);
        assert_int_equal(operand.reg2, RSP);
        assert_int_equal(operand_register(&cpu, &operand, RSP),
                         is_long() ? 0xffff800000001000 : 0x1000);
        assert_int_equal(operand_register(&cpu, &operand, RBX),
                         is_long() ? 0x123456789a : 0x3456789a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_read_and_written),
        cmocka_unit_test(page_faults_are_injected),
        cmocka_unit_test(the_second_page_faults),
        cmocka_unit_test(pdptes_are_the_registers),
        cmocka_unit_test(supervisor_keys_are_L1s),
        cmocka_unit_test(segments_come_before_pages),
        cmocka_unit_test(linear_addresses_follow_the_control_registers),
        cmocka_unit_test(registers_are_L1s),
    };

    return cmocka_run_group_tests_name("operand", tests, NULL, NULL);
}
