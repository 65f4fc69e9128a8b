/*
 * What the tests of the VM-entry checks share: valid vmcs12s of several kinds, rows that change
 * them, and a tiny guest memory. A row is a base, up to six changes, and the wanted outcome.
 */
#ifndef PLASTRON_TEST_CHECK_H
#define PLASTRON_TEST_CHECK_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "mm/phys.h"
#include "skylake.h"
#include "vmx/check.h"

/* Guest memory: words the rows set; all else reads as all ones, as hidden memory does. */
static struct {
    u64 pa, value;
} test_memory[16];
static u32 test_memory_used;
static u32 test_memory_reads;

static void memory_set(u64 pa, u64 value)
{
    assert_true(test_memory_used < ARRAY_SIZE(test_memory));
    test_memory[test_memory_used].pa = pa;
    test_memory[test_memory_used++].value = value;
}

u64 phys_read64(u64 pa)
{
    test_memory_reads++;
    for (u32 i = test_memory_used; i-- > 0;) { /* the latest setting counts */
        if (test_memory[i].pa == pa)
            return test_memory[i].value;
    }
    return ~0ull;
}

u32 phys_read32(u64 pa) { return (u32)phys_read64(pa); }

#define TEST_CURRENT_VMCS 0x7000ull
#define TEST_VAPIC        0x8000ull
#define TEST_LINK         0x9000ull
#define TEST_PAE_CR3      0xa020ull
#define LAST_PAGE         0xfffffff000ull  /* of 40 physical bits */
#define BEYOND            0x10000000000ull /* the first address that is too wide */
#define NON_CANONICAL     0x800000000000ull
#define CANONICAL_LOW_END 0x7fffffffffffull
#define CANONICAL_HIGH    0xffff800000000000ull

enum base { BASE_64, BASE_64_RESTRICTED, BASE_PAE, BASE_PAE_NO_EPT, BASE_REAL, BASE_V86 };
static const char *const base_names[] = {
    "64-bit", "64-bit restricted", "PAE", "PAE without EPT", "real", "V86"};

#define SET_SEGMENT(v, name, sel, b, l, a)                                                         \
    ((v)->guest_##name##_selector = (sel), (v)->guest_##name##_base = (b),                         \
     (v)->guest_##name##_limit = (l), (v)->guest_##name##_ar_bytes = (a))

static void base_controls(struct vmcs12 *v)
{
    v->revision_id = VMCS12_REVISION;
    v->pin_based_vm_exec_control = 0x16 | PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING;
    v->cpu_based_vm_exec_control = 0x04006172 | CPU_BASED_HLT_EXITING | CPU_BASED_USE_IO_BITMAPS |
                                   CPU_BASED_USE_MSR_BITMAPS |
                                   CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
    v->secondary_vm_exec_control = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID |
                                   SECONDARY_EXEC_ENABLE_RDTSCP | SECONDARY_EXEC_UNRESTRICTED_GUEST;
    v->vm_exit_controls = 0x36dfb | VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_PAT |
                          VM_EXIT_LOAD_IA32_EFER | VM_EXIT_LOAD_PERF_GLOBAL_CTRL;
    v->vm_entry_controls = 0x11fb | VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT |
                           VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_PERF_GLOBAL_CTRL;
    v->io_bitmap_a = 0x1000;
    v->io_bitmap_b = 0x2000;
    v->msr_bitmap = 0x3000;
    v->virtual_processor_id = 1;
    v->ept_pointer = 0x4000 | EPTP_WALK_LENGTH_4 | MT_WB;
    v->virtual_apic_page_addr = TEST_VAPIC;
    v->apic_access_addr = 0xb000;
    v->posted_intr_desc_addr = 0xc040;
    v->tsc_multiplier = 1;
}

static void base_host(struct vmcs12 *v)
{
    v->host_cr0 = 0x80050033;
    v->host_cr3 = 0x5000;
    v->host_cr4 = CR4_VMXE | CR4_PAE | CR4_PCIDE;
    v->host_cs_selector = 0x10;
    v->host_tr_selector = 0x40;
    v->host_fs_base = 0x1000;
    v->host_gs_base = CANONICAL_HIGH;
    v->host_gdtr_base = CANONICAL_HIGH;
    v->host_idtr_base = CANONICAL_HIGH;
    v->host_tr_base = CANONICAL_HIGH;
    v->host_rip = CANONICAL_HIGH;
    v->host_ia32_pat = 0x0007040600070406;
    v->host_ia32_efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}

static void base_guest_64(struct vmcs12 *v)
{
    v->vm_entry_controls |= VM_ENTRY_IA32E_MODE;
    v->guest_cr0 = 0x80050033;
    v->guest_cr3 = 0x6000;
    v->guest_cr4 = CR4_VMXE | CR4_PAE | CR4_PCIDE;
    v->guest_ia32_efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    v->guest_ia32_pat = 0x0007040600070406;
    v->guest_dr7 = 0x400;
    v->guest_rip = CANONICAL_HIGH;
    v->guest_rsp = CANONICAL_HIGH;
    v->guest_rflags = RFLAGS_FIXED | RFLAGS_IF;
    v->vmcs_link_pointer = ~0ull;
    v->guest_gdtr_base = CANONICAL_HIGH;
    v->guest_gdtr_limit = 0x7f;
    v->guest_idtr_base = CANONICAL_HIGH;
    v->guest_idtr_limit = 0xfff;
    v->guest_sysenter_eip = CANONICAL_HIGH;
    SET_SEGMENT(v, cs, 0x10, 0, 0xffffffff, 0xa09b);
    SET_SEGMENT(v, ss, 0x18, 0, 0xffffffff, 0xc093);
    SET_SEGMENT(v, ds, 0x18, 0, 0xffffffff, 0xc093);
    SET_SEGMENT(v, es, 0, 0, 0, AR_UNUSABLE_MASK);
    SET_SEGMENT(v, fs, 0x2b, CANONICAL_HIGH, 0xffffffff, 0xc0f3);
    SET_SEGMENT(v, gs, 0, CANONICAL_HIGH, 0, AR_UNUSABLE_MASK);
    SET_SEGMENT(v, tr, 0x40, CANONICAL_HIGH, 0x67, 0x8b);
    SET_SEGMENT(v, ldtr, 0x50, CANONICAL_HIGH, 0xffff, 0x82);
}

static void base_guest_pae(struct vmcs12 *v)
{
    base_guest_64(v);
    v->vm_entry_controls &= ~VM_ENTRY_IA32E_MODE;
    v->guest_cr3 = TEST_PAE_CR3;
    v->guest_cr4 = CR4_VMXE | CR4_PAE;
    v->guest_ia32_efer = EFER_NXE;
    v->guest_rip = 0xfffffff0;
    v->guest_rsp = 0xfffffff0;
    v->guest_pdptr0 = 0x11001;
    v->guest_pdptr1 = 0;
    v->guest_pdptr2 = LAST_PAGE | 0xe19;
    v->guest_pdptr3 = ~1ull; /* not present: all else is ignored */
    SET_SEGMENT(v, cs, 0x10, 0xffffffff, 0xffffffff, 0xc09b);
    memory_set(TEST_PAE_CR3 + 0, 0x11001);
    memory_set(TEST_PAE_CR3 + 8, 0);
    memory_set(TEST_PAE_CR3 + 16, LAST_PAGE | 0xe19);
    memory_set(TEST_PAE_CR3 + 24, ~1ull);
}

static void base_guest_real(struct vmcs12 *v)
{
    base_guest_pae(v);
    v->guest_cr0 = 0x20;
    v->guest_cr4 = CR4_VMXE;
    v->guest_rip = 0xfff0;
    SET_SEGMENT(v, cs, 0xf000, 0xffff0000, 0xffff, 0x93);
    SET_SEGMENT(v, ss, 3, 0x30, 0xffff, 0x93);
    SET_SEGMENT(v, ds, 0xffff, 0xffff0, 0xffff, 0x93);
    SET_SEGMENT(v, es, 0, 0, 0xffff, 0x93);
    SET_SEGMENT(v, fs, 0, 0, 0xffff, 0x93);
    SET_SEGMENT(v, gs, 0, 0, 0xffff, 0x93);
}

static void base_guest_v86(struct vmcs12 *v)
{
    base_guest_pae(v);
    v->guest_rflags |= RFLAGS_VM;
    SET_SEGMENT(v, cs, 0xf000, 0xf0000, 0xffff, 0xf3);
    SET_SEGMENT(v, ss, 0x1000, 0x10000, 0xffff, 0xf3);
    SET_SEGMENT(v, ds, 0xffff, 0xffff0, 0xffff, 0xf3);
    SET_SEGMENT(v, es, 0, 0, 0xffff, 0xf3);
    SET_SEGMENT(v, fs, 1, 0x10, 0xffff, 0xf3);
    SET_SEGMENT(v, gs, 2, 0x20, 0xffff, 0xf3);
}

static void base_make(enum base base, struct vmcs12 *v, struct vmx_caps *caps)
{
    memset(v, 0, sizeof(*v));
    test_memory_used = 0;
    test_memory_reads = 0;
    memory_set(TEST_VAPIC + 0x80, 0xffffff50); /* VTPR: class 5 */
    memory_set(TEST_CURRENT_VMCS, VMCS12_REVISION);
    memory_set(TEST_LINK, VMCS12_REVISION);
    capabilities_compute(caps, &skylake, 0);
    base_controls(v);
    base_host(v);
    switch (base) {
    case BASE_64: base_guest_64(v); break;
    case BASE_64_RESTRICTED: base_guest_64(v); break;
    case BASE_PAE: base_guest_pae(v); break;
    case BASE_PAE_NO_EPT: base_guest_pae(v); break;
    case BASE_REAL: base_guest_real(v); break;
    case BASE_V86: base_guest_v86(v); break;
    }
    if (base == BASE_64_RESTRICTED || base == BASE_PAE_NO_EPT || base == BASE_V86)
        v->secondary_vm_exec_control &= ~SECONDARY_EXEC_UNRESTRICTED_GUEST;
    if (base == BASE_64_RESTRICTED) {
        v->guest_fs_selector = 0x2b;
        v->guest_gs_selector = 3;
    }
    if (base == BASE_PAE_NO_EPT)
        v->secondary_vm_exec_control &= ~SECONDARY_EXEC_ENABLE_EPT;
}

enum change_op { CHANGE_NONE, CHANGE_SET, CHANGE_OR, CHANGE_CLEAR };
enum change_target { TARGET_VMCS, TARGET_CAPS, TARGET_MEMORY };

struct change {
    enum change_op op;
    enum change_target target;
    u64 where, size, value;
};

#define MEMBER(type, member) offsetof(type, member), sizeof(((type *)0)->member)
/* Set, set bits, clear bits of a vmcs12 field; the same of the capabilities; set a memory word. */
#define V(member, value)                                                                           \
    {                                                                                              \
        CHANGE_SET, TARGET_VMCS, MEMBER(struct vmcs12, member), value                              \
    }
#define VOR(member, value)                                                                         \
    {                                                                                              \
        CHANGE_OR, TARGET_VMCS, MEMBER(struct vmcs12, member), value                               \
    }
#define VCLR(member, value)                                                                        \
    {                                                                                              \
        CHANGE_CLEAR, TARGET_VMCS, MEMBER(struct vmcs12, member), value                            \
    }
#define C(member, value)                                                                           \
    {                                                                                              \
        CHANGE_SET, TARGET_CAPS, MEMBER(struct vmx_caps, member), value                            \
    }
#define COR(member, value)                                                                         \
    {                                                                                              \
        CHANGE_OR, TARGET_CAPS, MEMBER(struct vmx_caps, member), value                             \
    }
#define CCLR(member, value)                                                                        \
    {                                                                                              \
        CHANGE_CLEAR, TARGET_CAPS, MEMBER(struct vmx_caps, member), value                          \
    }
#define M(pa, value)                                                                               \
    {                                                                                              \
        CHANGE_SET, TARGET_MEMORY, pa, 8, value                                                    \
    }

/* Short names of what rows change most. */
#define PIN   pin_based_vm_exec_control
#define PROC  cpu_based_vm_exec_control
#define PROC2 secondary_vm_exec_control
#define EXIT  vm_exit_controls
#define ENTRY vm_entry_controls
#define INFO  vm_entry_intr_info_field

#define EVENT(type, vector)    (INTR_INFO_VALID_MASK | (type) | (vector))
#define EVENT_EC(type, vector) (EVENT(type, vector) | INTR_INFO_DELIVER_CODE_MASK)

struct row {
    const char *name;
    enum base base;
    s32 wanted; /* the error number; for guest state the qualification or VALID */
    struct change changes[6];
};

static void change_apply(const struct change *change, struct vmcs12 *v, struct vmx_caps *caps)
{
    u8 *at = change->target == TARGET_VMCS ? (u8 *)v : (u8 *)caps;
    u64 value = 0;

    if (change->op == CHANGE_NONE)
        return;
    if (change->target == TARGET_MEMORY) {
        memory_set(change->where, change->value);
        return;
    }
    memcpy(&value, at + change->where, change->size);
    if (change->op == CHANGE_SET)
        value = change->value;
    else if (change->op == CHANGE_OR)
        value |= change->value;
    else
        value &= ~change->value;
    memcpy(at + change->where, &value, change->size);
}

/* Runs rows; outcome() names what the check says of one. Reports every row that differs. */
static inline void rows_run(const struct row *rows, u32 count,
                            s32 (*outcome)(const struct vmcs12 *, const struct vmx_caps *))
{
    u32 wrong = 0;

    for (u32 i = 0; i < count; i++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        s32 got;

        base_make(rows[i].base, &v, &caps);
        for (u32 j = 0; j < ARRAY_SIZE(rows[i].changes); j++)
            change_apply(&rows[i].changes[j], &v, &caps);
        got = outcome(&v, &caps);
        if (got != rows[i].wanted) {
            wrong++;
            fprintf(stderr, "%s (%s): wanted %d, got %d\n", rows[i].name, base_names[rows[i].base],
                    rows[i].wanted, got);
        }
    }
    assert_int_equal(wrong, 0);
}

#endif
