/*
 * For the tests of the checks that are made at each entry: what is valid stays so, or not, when
 * one of the fields changes that L1 writes all the time, by the real direct_is_frequent().
 */
#ifndef PLASTRON_TESTS_FREQUENT_H
#define PLASTRON_TESTS_FREQUENT_H

#include "random.h"
#include "test_check.h"

#include "hv/l0.h"
#include "vmx/direct.h"

/* For vmx/direct.c: no field is missing. */
struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

static const u16 all_fields[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

static u32 frequent_field(void)
{
    direct_init();
    for (;;) {
        u32 field = all_fields[random_below(ARRAY_SIZE(all_fields))];

        if (direct_is_frequent(field))
            return field;
    }
}

static u32 random_event(void)
{
    u32 info = (u32)(random_below(8) << 8 | random_below(40));

    if (random_below(4))
        info |= INTR_INFO_VALID_MASK;
    if (random_below(2))
        info |= INTR_INFO_DELIVER_CODE_MASK;
    return random_below(8) ? info : info | (u32)BIT64(12 + random_below(19));
}

/* A value that matters to a check. */
static u64 random_value(u32 field, u64 old)
{
    static const u64 addresses[] = {
        0,         CANONICAL_LOW_END, NON_CANONICAL, CANONICAL_HIGH, CANONICAL_HIGH - 1,
        BIT64(56), ~0ull << 56};

    switch (field) {
    case VM_ENTRY_INTR_INFO_FIELD: return random_event();
    case VM_ENTRY_EXCEPTION_ERROR_CODE: return random_u64() >> (32 + random_below(32));
    case VM_ENTRY_INSTRUCTION_LEN: return random_below(18);
    case TPR_THRESHOLD: return random_below(8) ? random_below(16) : random_below(64);
    case GUEST_CR0: return old ^ CR0_PE;
    default: break;
    }
    switch (random_below(3)) {
    case 0: return addresses[random_below(ARRAY_SIZE(addresses))];
    case 1: return old ^ BIT64(random_below(64));
    default: return random_u64();
    }
}

static void set_field(struct vmcs12 *v, u32 field, u64 value)
{
    vmcs12_set(v, field_lookup(field), false, value);
}

/* Primary controls that are not the same are checked in full, but for this one: see
   vmx/l2_enter.c. */
static void change_frequent(struct vmcs12 *v)
{
    u32 field = frequent_field();
    u64 old = vmcs12_get(v, field_lookup(field), false);

    if (field == CPU_BASED_VM_EXEC_CONTROL)
        set_field(v, field, old ^ CPU_BASED_VIRTUAL_INTR_PENDING);
    else
        set_field(v, field, random_value(field, old));
}

/* One of so many bits of a word. */
static u32 random_bit_of(u32 word)
{
    u32 bit;

    if (!word)
        return 0;
    do
        bit = BIT(random_below(32));
    while (!(word & bit));
    return bit;
}

static void flip_controls(u32 *word, u64 msr)
{
    for (u64 i = random_below(5); i > 0; i--)
        *word ^= random_bit_of((u32)(msr >> 32) & ~(u32)msr);
}

/* Any controls, and many of the other values that are checked; most are not valid. */
static void make_random(struct vmcs12 *v, struct vmx_caps *caps)
{
    base_make((enum base)random_below(BASE_V86 + 1), v, caps);
    if (random_below(2))
        caps->misc |= VMX_MISC_ZERO_LENGTH_INJECTION;
    if (random_below(4) == 0)
        caps->basic |= BIT64(56); /* any error code */
    flip_controls(&v->pin_based_vm_exec_control, caps->true_pin);
    flip_controls(&v->cpu_based_vm_exec_control, caps->true_proc);
    flip_controls(&v->secondary_vm_exec_control, caps->proc2);
    flip_controls(&v->vm_exit_controls, caps->true_exit);
    flip_controls(&v->vm_entry_controls, caps->true_entry);
    if (random_below(2))
        v->cpu_based_vm_exec_control |= CPU_BASED_TPR_SHADOW;
    v->vm_entry_intr_info_field = random_event();
    v->vm_entry_exception_error_code = (u32)random_below(3);
    v->vm_entry_instruction_len = (u32)random_below(16);
    v->tpr_threshold = (u32)random_below(16);
    memory_set(TEST_VAPIC + 0x80, random_u64());
}

#endif
