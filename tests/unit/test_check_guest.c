/* Rows for vmx/check_guest.c: each changes a valid vmcs12 and names the outcome. */
#include "test_check.h"

#define OK  (-1)
#define BAD ENTRY_FAIL_DEFAULT

static s32 outcome(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    u64 qualification = 99;
    u64 pdpte[4];
    bool valid = check_guest_state(v, caps, TEST_CURRENT_VMCS, pdpte, &qualification);

    return valid ? OK : (s32)qualification;
}

#define STI                  INTERRUPTIBILITY_STI
#define MOV_SS               INTERRUPTIBILITY_MOV_SS
#define SHADOW(x)            V(guest_interruptibility_info, x)
#define ACTIVITY(x)          V(guest_activity_state, x)
#define PENDING(x)           V(guest_pending_dbg_exceptions, x)
#define AR(name, x)          V(guest_##name##_ar_bytes, x)
#define SEL(name, x)         V(guest_##name##_selector, x)
#define BASE(name, x)        V(guest_##name##_base, x)
#define LIMIT(name, x)       V(guest_##name##_limit, x)
#define CET                  VOR(vm_entry_controls, VM_ENTRY_LOAD_CET_STATE)
#define PKRS                 VOR(vm_entry_controls, VM_ENTRY_LOAD_IA32_PKRS)
#define UINV                 VOR(vm_entry_controls, VM_ENTRY_LOAD_UINV)
#define SHADOWING            VOR(secondary_vm_exec_control, SECONDARY_EXEC_SHADOW_VMCS)
#define TF                   VOR(guest_rflags, RFLAGS_TF)
#define INJECT(type, vector) V(INFO, EVENT(type, vector))

static const struct row control_rows[] = {
    {"unchanged", BASE_64, OK, {}},
    {"unchanged", BASE_64_RESTRICTED, OK, {}},
    {"unchanged", BASE_PAE, OK, {}},
    {"unchanged", BASE_PAE_NO_EPT, OK, {}},
    {"unchanged", BASE_REAL, OK, {}},
    {"unchanged", BASE_V86, OK, {}},
    /* CR0 */
    {"CR0.NE 0", BASE_64, BAD, {VCLR(guest_cr0, CR0_NE)}},
    {"CR0 bit 32", BASE_64, BAD, {VOR(guest_cr0, BIT64(32))}},
    {"CR0 all", BASE_64, OK, {V(guest_cr0, 0xffffffff)}},
    {"CR0.PE 0, restricted", BASE_64_RESTRICTED, BAD, {VCLR(guest_cr0, CR0_PE)}},
    {"CR0.PG 0, restricted PAE", BASE_PAE_NO_EPT, BAD, {VCLR(guest_cr0, CR0_PG)}},
    {"CR0.PG 0", BASE_PAE, OK, {VCLR(guest_cr0, CR0_PG)}},
    {"CR0.PE 0, PG 1", BASE_PAE, BAD, {VCLR(guest_cr0, CR0_PE)}},
    {"CR0.PE 0, PG 1, real", BASE_REAL, BAD, {VOR(guest_cr0, CR0_PG)}},
    {"CR0.PG 0, IA-32e",
     BASE_64,
     BAD,
     {VCLR(guest_cr0, CR0_PG), VCLR(ENTRY, VM_ENTRY_LOAD_IA32_EFER)}},
    {"CR0.NE 0, real", BASE_REAL, BAD, {VCLR(guest_cr0, CR0_NE)}},
    /* CR4 */
    {"CR4.VMXE 0", BASE_64, BAD, {VCLR(guest_cr4, CR4_VMXE)}},
    {"CR4.SMXE", BASE_64, BAD, {VOR(guest_cr4, CR4_SMXE)}},
    {"CR4 all", BASE_64, OK, {V(guest_cr4, 0x3727ff)}},
    {"CR4 bit 63", BASE_64, BAD, {VOR(guest_cr4, BIT64(63))}},
    {"CR4.PAE 0, IA-32e", BASE_64, BAD, {VCLR(guest_cr4, CR4_PAE)}},
    {"CR4.PAE 0", BASE_PAE, OK, {VCLR(guest_cr4, CR4_PAE)}},
    {"CR4.PCIDE outside IA-32e", BASE_PAE, BAD, {VOR(guest_cr4, CR4_PCIDE)}},
    {"CR4.PCIDE 0", BASE_64, OK, {VCLR(guest_cr4, CR4_PCIDE)}},
    {"CR4.CET without WP",
     BASE_64,
     BAD,
     {COR(cr4_fixed1, CR4_CET), VOR(guest_cr4, CR4_CET), VCLR(guest_cr0, CR0_WP)}},
    {"CR4.CET with WP", BASE_64, OK, {COR(cr4_fixed1, CR4_CET), VOR(guest_cr4, CR4_CET)}},
    /* CR3 */
    {"CR3 widest", BASE_64, OK, {V(guest_cr3, BEYOND - 1)}},
    {"CR3 too wide", BASE_64, BAD, {V(guest_cr3, BEYOND)}},
    {"CR3 bit 63", BASE_64, BAD, {VOR(guest_cr3, BIT64(63))}},
    {"CR3 too wide, PAE", BASE_PAE, BAD, {VOR(guest_cr3, BEYOND)}},
    /* DR7 and MSRs */
    {"DR7 low half", BASE_64, OK, {V(guest_dr7, 0xffffffff)}},
    {"DR7 bit 32", BASE_64, BAD, {V(guest_dr7, BIT64(32))}},
    {"DR7 not loaded",
     BASE_64,
     OK,
     {V(guest_dr7, ~0ull), VCLR(ENTRY, VM_ENTRY_LOAD_DEBUG_CONTROLS)}},
    {"DEBUGCTL is the hardware's", BASE_64, OK, {V(guest_ia32_debugctl, ~0ull)}},
    {"SYSENTER_ESP highest low", BASE_64, OK, {V(guest_sysenter_esp, CANONICAL_LOW_END)}},
    {"SYSENTER_ESP", BASE_64, BAD, {V(guest_sysenter_esp, NON_CANONICAL)}},
    {"SYSENTER_EIP lowest high", BASE_64, OK, {V(guest_sysenter_eip, CANONICAL_HIGH)}},
    {"SYSENTER_EIP", BASE_64, BAD, {V(guest_sysenter_eip, CANONICAL_HIGH - 1)}},
    {"SYSENTER_EIP, real", BASE_REAL, BAD, {V(guest_sysenter_eip, NON_CANONICAL)}},
    {"SYSENTER_EIP with 57 bits",
     BASE_64,
     OK,
     {V(guest_sysenter_eip, NON_CANONICAL), C(linear_bits, 57)}},
    {"PERF_GLOBAL_CTRL all", BASE_64, OK, {V(guest_ia32_perf_global_ctrl, 0x70000000full)}},
    {"PERF_GLOBAL_CTRL bit 4", BASE_64, BAD, {V(guest_ia32_perf_global_ctrl, BIT64(4))}},
    {"PERF_GLOBAL_CTRL not loaded",
     BASE_64,
     OK,
     {V(guest_ia32_perf_global_ctrl, BIT64(4)), VCLR(ENTRY, VM_ENTRY_LOAD_PERF_GLOBAL_CTRL)}},
    {"PAT every type", BASE_64, OK, {V(guest_ia32_pat, 0x0007060504010000)}},
    {"PAT type 2", BASE_64, BAD, {V(guest_ia32_pat, 0x0000000000000002)}},
    {"PAT type 3", BASE_64, BAD, {V(guest_ia32_pat, 0x0000000300000000)}},
    {"PAT type 8", BASE_64, BAD, {V(guest_ia32_pat, 0x0800000000000000)}},
    {"PAT not loaded",
     BASE_64,
     OK,
     {V(guest_ia32_pat, ~0ull), VCLR(ENTRY, VM_ENTRY_LOAD_IA32_PAT)}},
    {"EFER bit 1", BASE_64, BAD, {VOR(guest_ia32_efer, BIT64(1))}},
    {"EFER bit 12", BASE_64, BAD, {VOR(guest_ia32_efer, BIT64(12))}},
    {"EFER bit 63", BASE_64, BAD, {VOR(guest_ia32_efer, BIT64(63))}},
    {"EFER least", BASE_64, OK, {V(guest_ia32_efer, EFER_LMA | EFER_LME)}},
    {"EFER.LMA 0, IA-32e", BASE_64, BAD, {VCLR(guest_ia32_efer, EFER_LMA)}},
    {"EFER.LME 0, IA-32e", BASE_64, BAD, {VCLR(guest_ia32_efer, EFER_LME)}},
    {"EFER.LMA and LME, PAE", BASE_PAE, BAD, {VOR(guest_ia32_efer, EFER_LMA | EFER_LME)}},
    {"EFER.LME, PAE", BASE_PAE, BAD, {VOR(guest_ia32_efer, EFER_LME)}},
    {"EFER.LME without paging", BASE_REAL, OK, {VOR(guest_ia32_efer, EFER_LME)}},
    {"EFER.LMA without paging", BASE_REAL, BAD, {VOR(guest_ia32_efer, EFER_LMA)}},
    {"EFER not loaded", BASE_64, OK, {V(guest_ia32_efer, 0), VCLR(ENTRY, VM_ENTRY_LOAD_IA32_EFER)}},
    /* descriptor tables */
    {"GDTR base", BASE_64, BAD, {BASE(gdtr, NON_CANONICAL)}},
    {"GDTR base highest low", BASE_64, OK, {BASE(gdtr, CANONICAL_LOW_END)}},
    {"GDTR limit widest", BASE_64, OK, {LIMIT(gdtr, 0xffff)}},
    {"GDTR limit bit 16", BASE_64, BAD, {LIMIT(gdtr, 0x10000)}},
    {"GDTR limit bit 31", BASE_REAL, BAD, {LIMIT(gdtr, BIT(31))}},
    {"IDTR base", BASE_64, BAD, {BASE(idtr, CANONICAL_HIGH - 1)}},
    {"IDTR base lowest high", BASE_64, OK, {BASE(idtr, CANONICAL_HIGH)}},
    {"IDTR limit widest", BASE_64, OK, {LIMIT(idtr, 0xffff)}},
    {"IDTR limit bit 16", BASE_64, BAD, {LIMIT(idtr, 0x10000)}},
    /* RIP */
    {"RIP highest low", BASE_64, OK, {V(guest_rip, CANONICAL_LOW_END)}},
    {"RIP bit 47 alone", BASE_64, OK, {V(guest_rip, NON_CANONICAL)}},
    {"RIP high bits, bit 47 clear", BASE_64, OK, {V(guest_rip, 0xffff000000000000)}},
    {"RIP bit 48", BASE_64, BAD, {V(guest_rip, BIT64(48))}},
    {"RIP bit 63", BASE_64, BAD, {V(guest_rip, BIT64(63))}},
    {"RIP bit 48 clear", BASE_64, BAD, {V(guest_rip, 0xfffe800000000000)}},
    {"RIP bit 56 with 57 bits", BASE_64, OK, {V(guest_rip, BIT64(56)), C(linear_bits, 57)}},
    {"RIP bit 57 with 57 bits", BASE_64, BAD, {V(guest_rip, BIT64(57)), C(linear_bits, 57)}},
    {"RIP bit 32, compatibility mode", BASE_64, BAD, {AR(cs, 0xc09b), V(guest_rip, BIT64(32))}},
    {"RIP, compatibility mode", BASE_64, OK, {AR(cs, 0xc09b), V(guest_rip, 0xffffffff)}},
    {"RIP bit 32, PAE", BASE_PAE, BAD, {V(guest_rip, BIT64(32))}},
    {"RIP bit 32, PAE with CS.L", BASE_PAE, BAD, {AR(cs, 0xa09b), V(guest_rip, BIT64(32))}},
    {"RIP bit 32, real", BASE_REAL, BAD, {V(guest_rip, BIT64(32))}},
    {"RIP bit 31, real", BASE_REAL, OK, {V(guest_rip, BIT64(31))}},
    /* RFLAGS */
    {"RFLAGS bit 1 0", BASE_64, BAD, {VCLR(guest_rflags, BIT64(1))}},
    {"RFLAGS bit 3", BASE_64, BAD, {VOR(guest_rflags, BIT64(3))}},
    {"RFLAGS bit 5", BASE_64, BAD, {VOR(guest_rflags, BIT64(5))}},
    {"RFLAGS bit 15", BASE_64, BAD, {VOR(guest_rflags, BIT64(15))}},
    {"RFLAGS bit 22", BASE_64, BAD, {VOR(guest_rflags, BIT64(22))}},
    {"RFLAGS bit 63", BASE_64, BAD, {VOR(guest_rflags, BIT64(63))}},
    {"RFLAGS all but VM", BASE_64, OK, {V(guest_rflags, 0x3d7fd7)}},
    {"RFLAGS least", BASE_64, OK, {V(guest_rflags, 2)}},
    {"RFLAGS.VM, IA-32e", BASE_64, BAD, {VOR(guest_rflags, RFLAGS_VM)}},
    {"RFLAGS.VM, IA-32e, segments right",
     BASE_V86,
     BAD,
     {VOR(ENTRY, VM_ENTRY_IA32E_MODE), V(guest_ia32_efer, EFER_LMA | EFER_LME)}},
    {"RFLAGS.VM, CR0.PE 0",
     BASE_V86,
     BAD,
     {VOR(PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST), VCLR(guest_cr0, CR0_PE | CR0_PG)}},
    {"RFLAGS.VM, CR0.PG 0",
     BASE_V86,
     OK,
     {VOR(PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST), VCLR(guest_cr0, CR0_PG)}},
    {"interrupt with IF", BASE_64, OK, {INJECT(INTR_TYPE_EXT_INTR, 32)}},
    {"interrupt without IF",
     BASE_64,
     BAD,
     {INJECT(INTR_TYPE_EXT_INTR, 32), VCLR(guest_rflags, RFLAGS_IF)}},
    {"no interrupt without IF", BASE_64, OK, {V(INFO, 32), VCLR(guest_rflags, RFLAGS_IF)}},
    {"software interrupt without IF",
     BASE_64,
     OK,
     {INJECT(INTR_TYPE_SOFT_INTR, 32), VCLR(guest_rflags, RFLAGS_IF)}},
};

/* A usable data segment of any register: what all of them have in common. limit 4 GiB - 1, G. */
#define SEGMENT_ROWS(name)                                                                         \
    {#name " S 0", BASE_64, BAD, {AR(name, 0xc083), SEL(name, 0)}},                                \
        {#name " P 0", BASE_64, BAD, {AR(name, 0xc013), SEL(name, 0)}},                            \
        {#name " bit 8", BASE_64, BAD, {AR(name, 0xc193), SEL(name, 0)}},                          \
        {#name " bit 9", BASE_64, BAD, {AR(name, 0xc293), SEL(name, 0)}},                          \
        {#name " bit 11", BASE_64, BAD, {AR(name, 0xc893), SEL(name, 0)}},                         \
        {#name " bit 17", BASE_64, BAD, {AR(name, 0x2c093), SEL(name, 0)}},                        \
        {#name " bit 31", BASE_64, BAD, {AR(name, 0x8000c093), SEL(name, 0)}},                     \
        {#name " AVL", BASE_64, OK, {AR(name, 0xd093), LIMIT(name, ~0u), SEL(name, 0)}},           \
        {#name " L", BASE_64, OK, {AR(name, 0xf093), LIMIT(name, ~0u), SEL(name, 0)}},             \
        {#name " G, limit bits 11:0",                                                              \
         BASE_64,                                                                                  \
         OK,                                                                                       \
         {AR(name, 0xc093), LIMIT(name, 0xfff), SEL(name, 0)}},                                    \
        {#name " G, limit bit 0 clear",                                                            \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {AR(name, 0xc093), LIMIT(name, 0xfffffffe), SEL(name, 0)}},                               \
        {#name " G, limit bit 11 clear",                                                           \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {AR(name, 0xc093), LIMIT(name, 0xfffff7ff), SEL(name, 0)}},                               \
        {#name " no G, limit 0", BASE_64, OK, {AR(name, 0x4093), LIMIT(name, 0), SEL(name, 0)}},   \
        {#name " no G, limit 1 MiB",                                                               \
         BASE_64,                                                                                  \
         OK,                                                                                       \
         {AR(name, 0x4093), LIMIT(name, 0xfffff), SEL(name, 0)}},                                  \
        {#name " no G, limit bit 20",                                                              \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {AR(name, 0x4093), LIMIT(name, 0x1fffff), SEL(name, 0)}},                                 \
        {#name " no G, limit bit 31",                                                              \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {AR(name, 0x4093), LIMIT(name, 0x800fffff), SEL(name, 0)}},                               \
        {#name " unusable", BASE_64, OK, {AR(name, 0x1ff9f), SEL(name, 0), LIMIT(name, 0x12345)}}, \
    {                                                                                              \
#name " 64-bit unusable with reserved bits", BASE_64, OK,                                  \
        {                                                                                          \
            AR(name, 0xffff0f1f), SEL(name, 0)                                                     \
        }                                                                                          \
    }

/* Types that a segment register may and may not have. */
#define TYPE_ROW(name, type, wanted)                                                               \
    {                                                                                              \
#name " type " #type, BASE_64, wanted,                                                     \
        {                                                                                          \
            AR(name, 0xc090 | type), LIMIT(name, ~0u), SEL(name, 0)                                \
        }                                                                                          \
    }
#define DATA_TYPE_ROWS(name)                                                                       \
    TYPE_ROW(name, 0, BAD), TYPE_ROW(name, 1, OK), TYPE_ROW(name, 2, BAD), TYPE_ROW(name, 3, OK),  \
        TYPE_ROW(name, 4, BAD), TYPE_ROW(name, 5, OK), TYPE_ROW(name, 6, BAD),                     \
        TYPE_ROW(name, 7, OK), TYPE_ROW(name, 8, BAD), TYPE_ROW(name, 9, BAD),                     \
        TYPE_ROW(name, 10, BAD), TYPE_ROW(name, 11, OK), TYPE_ROW(name, 12, BAD),                  \
        TYPE_ROW(name, 13, BAD), TYPE_ROW(name, 14, BAD), TYPE_ROW(name, 15, OK)

/* DPL against RPL, of restricted guests only. 0xf3: DPL 3; 0xd3: DPL 2. */
#define PRIVILEGE_ROWS(name)                                                                       \
    {#name " DPL 3 of RPL 3",                                                                      \
     BASE_64_RESTRICTED,                                                                           \
     OK,                                                                                           \
     {AR(name, 0xc0f3), LIMIT(name, ~0u), SEL(name, 3)}},                                          \
        {#name " DPL 2 of RPL 3",                                                                  \
         BASE_64_RESTRICTED,                                                                       \
         BAD,                                                                                      \
         {AR(name, 0xc0d3), LIMIT(name, ~0u), SEL(name, 3)}},                                      \
        {#name " DPL 2 of RPL 1",                                                                  \
         BASE_64_RESTRICTED,                                                                       \
         OK,                                                                                       \
         {AR(name, 0xc0d3), LIMIT(name, ~0u), SEL(name, 1)}},                                      \
        {#name " DPL 2 of RPL 3, unusable",                                                        \
         BASE_64_RESTRICTED,                                                                       \
         OK,                                                                                       \
         {AR(name, 0x1c0d3), SEL(name, 3)}},                                                       \
        {#name " DPL 2 of RPL 3, unrestricted",                                                    \
         BASE_64,                                                                                  \
         OK,                                                                                       \
         {AR(name, 0xc0d3), LIMIT(name, ~0u), SEL(name, 3)}},                                      \
        {#name " code, DPL 2 of RPL 3",                                                            \
         BASE_64_RESTRICTED,                                                                       \
         BAD,                                                                                      \
         {AR(name, 0xc0db), LIMIT(name, ~0u), SEL(name, 3)}},                                      \
    {                                                                                              \
#name " conforming, DPL 2 of RPL 3", BASE_64_RESTRICTED, OK,                               \
        {                                                                                          \
            AR(name, 0xc0df), LIMIT(name, ~0u), SEL(name, 3)                                       \
        }                                                                                          \
    }

#define FLAT_BASE_ROWS(name)                                                                       \
    {#name " base 32 bits",                                                                        \
     BASE_64,                                                                                      \
     OK,                                                                                           \
     {AR(name, 0xc093), LIMIT(name, ~0u), SEL(name, 0), BASE(name, 0xffffffff)}},                  \
        {#name " base bit 32",                                                                     \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {AR(name, 0xc093), LIMIT(name, ~0u), SEL(name, 0), BASE(name, BIT64(32))}},               \
    {                                                                                              \
#name " base bit 63", BASE_64, BAD,                                                        \
        {                                                                                          \
            AR(name, 0xc093), LIMIT(name, ~0u), SEL(name, 0), BASE(name, BIT64(63))                \
        }                                                                                          \
    }
#define UNUSABLE_BASE_ROWS(name)                                                                   \
    {                                                                                              \
#name " base, unusable", BASE_64, OK,                                                      \
        {                                                                                          \
            AR(name, 0x10000), SEL(name, 0), BASE(name, ~0ull / 2)                                 \
        }                                                                                          \
    }
#define CANONICAL_BASE_ROWS(name, ...)                                                             \
    {#name " base highest low", BASE_64, OK, {BASE(name, CANONICAL_LOW_END), __VA_ARGS__}},        \
        {#name " base lowest high", BASE_64, OK, {BASE(name, CANONICAL_HIGH), __VA_ARGS__}},       \
        {#name " base not canonical", BASE_64, BAD, {BASE(name, NON_CANONICAL), __VA_ARGS__}},     \
    {                                                                                              \
#name " base below high", BASE_64, BAD, { BASE(name, CANONICAL_HIGH - 1), __VA_ARGS__ }    \
    }

/* Each register of a virtual-8086 guest. */
#define V86_ROWS(name)                                                                             \
    {#name " V86 base + 1", BASE_V86, BAD, {VOR(guest_##name##_base, 1)}},                         \
        {#name " V86 base of another selector", BASE_V86, BAD, {SEL(name, 0x1234)}},               \
        {#name " V86 base and selector", BASE_V86, OK, {SEL(name, 0x1234), BASE(name, 0x12340)}},  \
        {#name " V86 base bit 32", BASE_V86, BAD, {VOR(guest_##name##_base, BIT64(32))}},          \
        {#name " V86 limit", BASE_V86, BAD, {LIMIT(name, 0xfffe)}},                                \
        {#name " V86 limit", BASE_V86, BAD, {LIMIT(name, 0x1ffff)}},                               \
        {#name " V86 DPL 0", BASE_V86, BAD, {AR(name, 0x93)}},                                     \
        {#name " V86 type 1", BASE_V86, BAD, {AR(name, 0xf1)}},                                    \
        {#name " V86 S 0", BASE_V86, BAD, {AR(name, 0xe3)}},                                       \
        {#name " V86 P 0", BASE_V86, BAD, {AR(name, 0x73)}},                                       \
        {#name " V86 D", BASE_V86, BAD, {AR(name, 0x40f3)}},                                       \
        {#name " V86 G", BASE_V86, BAD, {AR(name, 0x80f3)}},                                       \
    {                                                                                              \
#name " V86 unusable", BASE_V86, BAD, { AR(name, 0x100f3) }                                \
    }

static const struct row segment_rows[] = {
    SEGMENT_ROWS(ss),
    SEGMENT_ROWS(ds),
    SEGMENT_ROWS(es),
    SEGMENT_ROWS(fs),
    SEGMENT_ROWS(gs),
    DATA_TYPE_ROWS(ds),
    DATA_TYPE_ROWS(es),
    DATA_TYPE_ROWS(fs),
    DATA_TYPE_ROWS(gs),
    PRIVILEGE_ROWS(ds),
    PRIVILEGE_ROWS(es),
    PRIVILEGE_ROWS(fs),
    PRIVILEGE_ROWS(gs),
    FLAT_BASE_ROWS(ss),
    FLAT_BASE_ROWS(ds),
    FLAT_BASE_ROWS(es),
    UNUSABLE_BASE_ROWS(ss),
    UNUSABLE_BASE_ROWS(ds),
    UNUSABLE_BASE_ROWS(es),
    CANONICAL_BASE_ROWS(fs, AR(fs, 0x10000)),
    CANONICAL_BASE_ROWS(gs, AR(gs, 0x10000)),
    CANONICAL_BASE_ROWS(fs, AR(fs, 0xc093)),
    CANONICAL_BASE_ROWS(tr, AR(tr, 0x8b)),
    CANONICAL_BASE_ROWS(ldtr, AR(ldtr, 0x82)),
    {"LDTR base, unusable", BASE_64, OK, {BASE(ldtr, NON_CANONICAL), AR(ldtr, 0x10000)}},
    V86_ROWS(cs),
    V86_ROWS(ss),
    V86_ROWS(ds),
    V86_ROWS(es),
    V86_ROWS(fs),
    V86_ROWS(gs),
    /* CS */
    {"CS S 0", BASE_64, BAD, {AR(cs, 0xa08b)}},
    {"CS P 0", BASE_64, BAD, {AR(cs, 0xa01b)}},
    {"CS bit 8", BASE_64, BAD, {AR(cs, 0xa19b)}},
    {"CS bit 11", BASE_64, BAD, {AR(cs, 0xa89b)}},
    {"CS bit 17", BASE_64, BAD, {AR(cs, 0x2a09b)}},
    {"CS bit 31", BASE_64, BAD, {AR(cs, 0x8000a09b)}},
    {"CS unusable bit", BASE_64, OK, {AR(cs, 0x1a09b)}},
    {"CS unusable bit, P 0", BASE_64, BAD, {AR(cs, 0x1a01b)}},
    {"CS AVL", BASE_64, OK, {AR(cs, 0xb09b)}},
    {"CS G 0", BASE_64, BAD, {AR(cs, 0x209b)}},
    {"CS G 0, limit 1 MiB", BASE_64, OK, {AR(cs, 0x209b), LIMIT(cs, 0xfffff)}},
    {"CS G, limit bit 0 clear", BASE_64, BAD, {LIMIT(cs, 0xfffffffe)}},
    {"CS base 32 bits", BASE_64, OK, {BASE(cs, 0xffffffff)}},
    {"CS base bit 32", BASE_64, BAD, {BASE(cs, BIT64(32))}},
    {"CS base bit 63", BASE_PAE, BAD, {BASE(cs, BIT64(63))}},
    {"CS L and D, IA-32e", BASE_64, BAD, {AR(cs, 0xe09b)}},
    {"CS L and D, PAE", BASE_PAE, OK, {AR(cs, 0xe09b)}},
    {"CS D, IA-32e", BASE_64, OK, {AR(cs, 0xc09b), V(guest_rip, 0)}},
#define CS_TYPE(type, wanted)                                                                      \
    {                                                                                              \
        "CS type " #type, BASE_64_RESTRICTED, wanted, { AR(cs, 0xa090 | type) }                    \
    }
    CS_TYPE(0, BAD),
    CS_TYPE(1, BAD),
    CS_TYPE(2, BAD),
    CS_TYPE(3, BAD),
    CS_TYPE(4, BAD),
    CS_TYPE(5, BAD),
    CS_TYPE(6, BAD),
    CS_TYPE(7, BAD),
    CS_TYPE(8, BAD),
    CS_TYPE(9, OK),
    CS_TYPE(10, BAD),
    CS_TYPE(11, OK),
    CS_TYPE(12, BAD),
    CS_TYPE(13, OK),
    CS_TYPE(14, BAD),
    CS_TYPE(15, OK),
    {"CS type 3, unrestricted", BASE_64, OK, {AR(cs, 0xa093)}},
    {"CS type 1, unrestricted", BASE_64, BAD, {AR(cs, 0xa091)}},
    {"CS type 3 DPL 1", BASE_64, BAD, {AR(cs, 0xa0b3)}},
    {"CS type 3 DPL 0, SS DPL 1", BASE_64, BAD, {AR(cs, 0xa093), AR(ss, 0xc0b3)}},
    {"CS type 11 DPL 0, SS DPL 3", BASE_64, BAD, {AR(ss, 0xc0f3)}},
    {"CS type 11 DPL 3, SS DPL 3", BASE_64, OK, {AR(cs, 0xa0fb), AR(ss, 0xc0f3)}},
    {"CS type 9 DPL 3, SS DPL 0", BASE_64, BAD, {AR(cs, 0xa0f9)}},
    {"CS type 13 DPL 0, SS DPL 3", BASE_64, OK, {AR(cs, 0xa09d), AR(ss, 0xc0f3)}},
    {"CS type 15 DPL 3, SS DPL 3", BASE_64, OK, {AR(cs, 0xa0ff), AR(ss, 0xc0f3)}},
    {"CS type 15 DPL 1, SS DPL 0", BASE_64, BAD, {AR(cs, 0xa0bf)}},
    {"CS type 11, real", BASE_REAL, OK, {AR(cs, 0x9b)}},
    {"CS DPL 3, real", BASE_REAL, BAD, {AR(cs, 0xfb), AR(ss, 0xf3)}},
    /* SS */
    TYPE_ROW(ss, 0, BAD),
    TYPE_ROW(ss, 1, BAD),
    TYPE_ROW(ss, 2, BAD),
    TYPE_ROW(ss, 3, OK),
    TYPE_ROW(ss, 4, BAD),
    TYPE_ROW(ss, 5, BAD),
    TYPE_ROW(ss, 6, BAD),
    TYPE_ROW(ss, 7, OK),
    TYPE_ROW(ss, 8, BAD),
    TYPE_ROW(ss, 11, BAD),
    TYPE_ROW(ss, 15, BAD),
    {"SS type, unusable", BASE_64, OK, {AR(ss, 0x1000b)}},
    {"SS RPL is not DPL, restricted", BASE_64_RESTRICTED, BAD, {SEL(ss, 0x1b), SEL(cs, 0x13)}},
    {"SS RPL is not DPL", BASE_64, OK, {SEL(ss, 0x1b), SEL(cs, 0x13)}},
    {"SS RPL is not CS RPL, restricted", BASE_64_RESTRICTED, BAD, {SEL(cs, 0x13)}},
    {"SS RPL is not CS RPL", BASE_64, OK, {SEL(cs, 0x13)}},
    {"CPL 3, restricted",
     BASE_64_RESTRICTED,
     OK,
     {SEL(ss, 0x1b), SEL(cs, 0x13), AR(ss, 0xc0f3), AR(cs, 0xa0fb)}},
    {"SS unusable, RPL is not DPL, restricted",
     BASE_64_RESTRICTED,
     BAD,
     {SEL(ss, 0), AR(ss, 0x10060), AR(cs, 0xa0fb)}},
    {"SS unusable, DPL 3 with real mode", BASE_REAL, BAD, {AR(ss, 0x10060)}},
    {"SS DPL 3, real", BASE_REAL, BAD, {AR(ss, 0xf3)}},
    {"SS DPL 1, conforming CS, real", BASE_REAL, BAD, {AR(ss, 0xb3), AR(cs, 0x9f)}},
    /* TR */
    {"TR unusable", BASE_64, BAD, {VOR(guest_tr_ar_bytes, AR_UNUSABLE_MASK)}},
    {"TR TI", BASE_64, BAD, {SEL(tr, 0x44)}},
    {"TR RPL", BASE_64, OK, {SEL(tr, 0x43)}},
    {"TR selector 0", BASE_64, OK, {SEL(tr, 0)}},
    {"TR S", BASE_64, BAD, {AR(tr, 0x9b)}},
    {"TR P 0", BASE_64, BAD, {AR(tr, 0x0b)}},
    {"TR bit 8", BASE_64, BAD, {AR(tr, 0x18b)}},
    {"TR bit 17", BASE_64, BAD, {AR(tr, 0x2008b)}},
    {"TR 16-bit, IA-32e", BASE_64, BAD, {AR(tr, 0x83)}},
    {"TR 16-bit, PAE", BASE_PAE, OK, {AR(tr, 0x83)}},
    {"TR 16-bit, real", BASE_REAL, OK, {AR(tr, 0x83)}},
    {"TR 16-bit, V86", BASE_V86, OK, {AR(tr, 0x83)}},
    {"TR not busy", BASE_64, BAD, {AR(tr, 0x89)}},
    {"TR not busy, PAE", BASE_PAE, BAD, {AR(tr, 0x81)}},
    {"TR type 15", BASE_PAE, BAD, {AR(tr, 0x8f)}},
    {"TR G, limit 0x67", BASE_64, BAD, {AR(tr, 0x808b)}},
    {"TR G, limit 0xfff", BASE_64, OK, {AR(tr, 0x808b), LIMIT(tr, 0xfff)}},
    {"TR limit bit 20", BASE_64, BAD, {LIMIT(tr, 0x1fffff)}},
    {"TR unusable, V86", BASE_V86, BAD, {AR(tr, 0x10000)}},
    /* LDTR */
    {"LDTR unusable", BASE_64, OK, {AR(ldtr, 0x1ffff), SEL(ldtr, 0xffff), LIMIT(ldtr, ~0u)}},
    {"LDTR TI", BASE_64, BAD, {SEL(ldtr, 0x54)}},
    {"LDTR RPL", BASE_64, OK, {SEL(ldtr, 0x53)}},
    {"LDTR S", BASE_64, BAD, {AR(ldtr, 0x92)}},
    {"LDTR P 0", BASE_64, BAD, {AR(ldtr, 0x02)}},
    {"LDTR type 3", BASE_64, BAD, {AR(ldtr, 0x83)}},
    {"LDTR type 0", BASE_PAE, BAD, {AR(ldtr, 0x80)}},
    {"LDTR bit 11", BASE_64, BAD, {AR(ldtr, 0x882)}},
    {"LDTR bit 17", BASE_64, BAD, {AR(ldtr, 0x20082)}},
    {"LDTR G", BASE_64, OK, {AR(ldtr, 0x8082), LIMIT(ldtr, 0xffff)}},
    {"LDTR G, limit bit 0 clear", BASE_64, BAD, {AR(ldtr, 0x8082), LIMIT(ldtr, 0xfffe)}},
    {"LDTR limit bit 20", BASE_64, BAD, {LIMIT(ldtr, BIT(20))}},
    {"LDTR bad, V86", BASE_V86, BAD, {AR(ldtr, 0x83)}},
};

#define LINK  ENTRY_FAIL_VMCS_LINK_PTR
#define PDPTE ENTRY_FAIL_PDPTE
#define BS    BIT64(14)
#define RTM   BIT64(16)

static const struct row state_rows[] = {
    /* activity */
    {"HLT", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT)}},
    {"shutdown", BASE_64, OK, {ACTIVITY(ACTIVITY_SHUTDOWN)}},
    {"wait-for-SIPI", BASE_64, OK, {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI)}},
    {"activity 4", BASE_64, BAD, {ACTIVITY(4)}},
    {"activity 2^32-1", BASE_64, BAD, {ACTIVITY(~0u)}},
    {"HLT not offered", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), CCLR(misc, VMX_MISC_HLT)}},
    {"shutdown not offered",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_SHUTDOWN), CCLR(misc, VMX_MISC_SHUTDOWN)}},
    {"wait-for-SIPI not offered",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), CCLR(misc, VMX_MISC_WAIT_FOR_SIPI)}},
    {"HLT at CPL 3", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), AR(cs, 0xa0fb), AR(ss, 0xc0f3)}},
    {"HLT in V86", BASE_V86, BAD, {ACTIVITY(ACTIVITY_HLT)}},
    {"shutdown at CPL 3",
     BASE_64,
     OK,
     {ACTIVITY(ACTIVITY_SHUTDOWN), AR(cs, 0xa0fb), AR(ss, 0xc0f3)}},
    {"HLT with STI", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), SHADOW(STI)}},
    {"shutdown with MOV SS", BASE_64, BAD, {ACTIVITY(ACTIVITY_SHUTDOWN), SHADOW(MOV_SS)}},
    {"HLT with blocking by NMI",
     BASE_64,
     OK,
     {ACTIVITY(ACTIVITY_HLT), SHADOW(INTERRUPTIBILITY_NMI)}},
    {"HLT, interrupt", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_EXT_INTR, 32)}},
    {"HLT, NMI", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_NMI, 2)}},
    {"HLT, #DB", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_EXCEPTION, 1)}},
    {"HLT, #MC", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_EXCEPTION, 18)}},
    {"HLT, MTF", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_OTHER, 0)}},
    {"HLT, #UD", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_EXCEPTION, 6)}},
    {"HLT, software interrupt",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_SOFT_INTR, 1)}},
    {"HLT, INT1", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_PRIV_SW_EXCEPTION, 1)}},
    {"HLT, INT3", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), INJECT(INTR_TYPE_SOFT_EXCEPTION, 3)}},
    {"HLT, not valid", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), V(INFO, 0x606)}},
    {"shutdown, NMI", BASE_64, OK, {ACTIVITY(ACTIVITY_SHUTDOWN), INJECT(INTR_TYPE_NMI, 2)}},
    {"shutdown, #MC", BASE_64, OK, {ACTIVITY(ACTIVITY_SHUTDOWN), INJECT(INTR_TYPE_EXCEPTION, 18)}},
    {"shutdown, #DB", BASE_64, BAD, {ACTIVITY(ACTIVITY_SHUTDOWN), INJECT(INTR_TYPE_EXCEPTION, 1)}},
    {"shutdown, interrupt",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_SHUTDOWN), INJECT(INTR_TYPE_EXT_INTR, 18)}},
    {"shutdown, MTF", BASE_64, BAD, {ACTIVITY(ACTIVITY_SHUTDOWN), INJECT(INTR_TYPE_OTHER, 0)}},
    {"wait-for-SIPI, NMI",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), INJECT(INTR_TYPE_NMI, 2)}},
    {"wait-for-SIPI, #MC",
     BASE_64,
     BAD,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), INJECT(INTR_TYPE_EXCEPTION, 18)}},
    /* interruptibility */
    {"STI", BASE_64, OK, {SHADOW(STI)}},
    {"MOV SS", BASE_64, OK, {SHADOW(MOV_SS)}},
    {"STI and MOV SS", BASE_64, BAD, {SHADOW(STI | MOV_SS)}},
    {"STI without IF", BASE_64, BAD, {SHADOW(STI), VCLR(guest_rflags, RFLAGS_IF)}},
    {"MOV SS without IF", BASE_64, OK, {SHADOW(MOV_SS), VCLR(guest_rflags, RFLAGS_IF)}},
    {"SMI", BASE_64, BAD, {SHADOW(INTERRUPTIBILITY_SMI)}},
    {"blocking by NMI", BASE_64, OK, {SHADOW(INTERRUPTIBILITY_NMI)}},
    {"bit 4 without SGX", BASE_64, BAD, {SHADOW(BIT(4))}},
    {"bit 4 with SGX", BASE_64, OK, {SHADOW(BIT(4)), C(interruptibility, BIT(4))}},
    {"bit 4 with MOV SS", BASE_64, BAD, {SHADOW(BIT(4) | MOV_SS), C(interruptibility, BIT(4))}},
    {"bit 5", BASE_64, BAD, {SHADOW(BIT(5))}},
    {"bit 31", BASE_64, BAD, {SHADOW(BIT(31))}},
    {"interrupt with STI", BASE_64, BAD, {SHADOW(STI), INJECT(INTR_TYPE_EXT_INTR, 32)}},
    {"interrupt with MOV SS", BASE_64, BAD, {SHADOW(MOV_SS), INJECT(INTR_TYPE_EXT_INTR, 32)}},
    {"interrupt with blocking by NMI",
     BASE_64,
     OK,
     {SHADOW(INTERRUPTIBILITY_NMI), INJECT(INTR_TYPE_EXT_INTR, 32)}},
    {"exception with STI", BASE_64, OK, {SHADOW(STI), INJECT(INTR_TYPE_EXCEPTION, 6)}},
    {"NMI with STI is the hardware's", BASE_64, OK, {SHADOW(STI), INJECT(INTR_TYPE_NMI, 2)}},
    {"NMI with MOV SS", BASE_64, BAD, {SHADOW(MOV_SS), INJECT(INTR_TYPE_NMI, 2)}},
    {"NMI with blocking by NMI",
     BASE_64,
     OK,
     {SHADOW(INTERRUPTIBILITY_NMI), INJECT(INTR_TYPE_NMI, 2)}},
    {"NMI with blocking by virtual NMI",
     BASE_64,
     BAD,
     {SHADOW(INTERRUPTIBILITY_NMI), INJECT(INTR_TYPE_NMI, 2), VOR(PIN, PIN_BASED_VIRTUAL_NMIS)}},
    {"NMI with virtual NMIs",
     BASE_64,
     OK,
     {INJECT(INTR_TYPE_NMI, 2), VOR(PIN, PIN_BASED_VIRTUAL_NMIS)}},
    {"no NMI with blocking by virtual NMI",
     BASE_64,
     OK,
     {SHADOW(INTERRUPTIBILITY_NMI), V(INFO, 0x202), VOR(PIN, PIN_BASED_VIRTUAL_NMIS)}},
    /* pending debug exceptions */
    {"pending breakpoints", BASE_64, OK, {PENDING(0x100f)}},
    {"pending bit 4", BASE_64, BAD, {PENDING(BIT64(4))}},
    {"pending bit 10", BASE_64, BAD, {PENDING(BIT64(10))}},
    {"pending bit 11 without bus-lock detection", BASE_64, BAD, {PENDING(BIT64(11))}},
    {"pending bit 11 with it", BASE_64, OK, {PENDING(BIT64(11)), C(pending_debug, BIT64(11))}},
    {"pending bit 13", BASE_64, BAD, {PENDING(BIT64(13))}},
    {"pending bit 15", BASE_64, BAD, {PENDING(BIT64(15))}},
    {"pending bit 17", BASE_64, BAD, {PENDING(BIT64(17))}},
    {"pending bit 63", BASE_64, BAD, {PENDING(BIT64(63))}},
    {"pending BS, active", BASE_64, OK, {PENDING(BS)}},
    {"TF, active", BASE_64, OK, {TF}},
    {"STI, TF, BS", BASE_64, OK, {SHADOW(STI), TF, PENDING(BS)}},
    {"STI, TF, no BS", BASE_64, BAD, {SHADOW(STI), TF}},
    {"STI, no TF, BS", BASE_64, BAD, {SHADOW(STI), PENDING(BS)}},
    {"STI, TF and BTF, BS",
     BASE_64,
     BAD,
     {SHADOW(STI), TF, V(guest_ia32_debugctl, 2), PENDING(BS)}},
    {"STI, TF and BTF, no BS", BASE_64, OK, {SHADOW(STI), TF, V(guest_ia32_debugctl, 2)}},
    {"MOV SS, TF, no BS", BASE_64, BAD, {SHADOW(MOV_SS), TF}},
    {"MOV SS, TF, BS", BASE_64, OK, {SHADOW(MOV_SS), TF, PENDING(BS)}},
    {"HLT, TF, no BS", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), TF}},
    {"HLT, TF, BS", BASE_64, OK, {ACTIVITY(ACTIVITY_HLT), TF, PENDING(BS)}},
    {"HLT, no TF, BS", BASE_64, BAD, {ACTIVITY(ACTIVITY_HLT), PENDING(BS)}},
    {"shutdown, TF, no BS", BASE_64, OK, {ACTIVITY(ACTIVITY_SHUTDOWN), TF}},
    {"RTM", BASE_64, OK, {PENDING(RTM | BIT64(12))}},
    {"RTM without RTM", BASE_64, BAD, {PENDING(RTM | BIT64(12)), C(pending_debug, 0)}},
    {"RTM without bit 12", BASE_64, BAD, {PENDING(RTM)}},
    {"RTM with a breakpoint", BASE_64, BAD, {PENDING(RTM | BIT64(12) | 1)}},
    {"RTM with bit 11", BASE_64, BAD, {PENDING(RTM | BIT64(12) | BIT64(11))}},
    {"RTM with BS", BASE_64, BAD, {PENDING(RTM | BIT64(12) | BS)}},
    {"RTM with MOV SS", BASE_64, BAD, {PENDING(RTM | BIT64(12)), SHADOW(MOV_SS)}},
    {"RTM with STI", BASE_64, OK, {PENDING(RTM | BIT64(12)), SHADOW(STI)}},
    /* PKRS */
    {"PKRS", BASE_64, OK, {PKRS, V(guest_ia32_pkrs, 0xffffffff)}},
    {"PKRS bit 32", BASE_64, BAD, {PKRS, V(guest_ia32_pkrs, BIT64(32))}},
    {"PKRS bit 63", BASE_64, BAD, {PKRS, V(guest_ia32_pkrs, BIT64(63))}},
    {"PKRS not loaded", BASE_64, OK, {V(guest_ia32_pkrs, ~0ull)}},
    /* UINV */
    {"UINV", BASE_64, OK, {UINV, V(guest_uinv, 0xff)}},
    {"UINV bit 8", BASE_64, BAD, {UINV, V(guest_uinv, 0x100)}},
    {"UINV bit 15", BASE_64, BAD, {UINV, V(guest_uinv, 0x8000)}},
    {"UINV not loaded", BASE_64, OK, {V(guest_uinv, 0xffff)}},
    /* CET state */
    {"CET", BASE_64, OK, {CET, V(guest_ia32_s_cet, 0x43f), V(guest_ssp, 0xfffffffc)}},
    {"S_CET bit 6", BASE_64, BAD, {CET, V(guest_ia32_s_cet, BIT64(6))}},
    {"S_CET bit 9", BASE_64, BAD, {CET, V(guest_ia32_s_cet, BIT64(9))}},
    {"S_CET suppress", BASE_64, OK, {CET, V(guest_ia32_s_cet, BIT64(10))}},
    {"S_CET tracker", BASE_64, OK, {CET, V(guest_ia32_s_cet, BIT64(11))}},
    {"S_CET suppress and tracker", BASE_64, BAD, {CET, V(guest_ia32_s_cet, 0xc04)}},
    {"SSP bit 0", BASE_64, BAD, {CET, V(guest_ssp, 1)}},
    {"SSP bit 1", BASE_64, BAD, {CET, V(guest_ssp, 2)}},
    {"SSP table", BASE_64, OK, {CET, V(guest_intr_ssp_table, CANONICAL_HIGH)}},
    {"SSP table not canonical", BASE_64, BAD, {CET, V(guest_intr_ssp_table, NON_CANONICAL)}},
    {"CET not loaded",
     BASE_64,
     OK,
     {V(guest_ia32_s_cet, ~0ull), V(guest_ssp, 3), V(guest_intr_ssp_table, NON_CANONICAL)}},
    /* VMCS link pointer */
    {"link", BASE_64, OK, {V(vmcs_link_pointer, TEST_LINK)}},
    {"link to the current VMCS", BASE_64, LINK, {V(vmcs_link_pointer, TEST_CURRENT_VMCS)}},
    {"link bit 0", BASE_64, LINK, {V(vmcs_link_pointer, TEST_LINK | 1)}},
    {"link bit 11", BASE_64, LINK, {V(vmcs_link_pointer, TEST_LINK | 0x800)}},
    {"link too wide", BASE_64, LINK, {V(vmcs_link_pointer, BEYOND), M(BEYOND, VMCS12_REVISION)}},
    {"link to the last page",
     BASE_64,
     OK,
     {V(vmcs_link_pointer, LAST_PAGE), M(LAST_PAGE, VMCS12_REVISION)}},
    {"link -2", BASE_64, LINK, {V(vmcs_link_pointer, ~1ull)}},
    {"link of 32 bits of ones", BASE_64, LINK, {V(vmcs_link_pointer, 0xffffffff)}},
    {"link to another revision",
     BASE_64,
     LINK,
     {V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, VMCS12_REVISION + 1)}},
    {"link to a shadow VMCS",
     BASE_64,
     LINK,
     {V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, VMCS12_REVISION | BIT(31))}},
    {"link to hidden memory", BASE_64, LINK, {V(vmcs_link_pointer, 0xd000)}},
    {"shadowing, link to a shadow VMCS",
     BASE_64,
     OK,
     {SHADOWING, V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, VMCS12_REVISION | BIT(31))}},
    {"shadowing, link to an ordinary VMCS",
     BASE_64,
     LINK,
     {SHADOWING, V(vmcs_link_pointer, TEST_LINK)}},
    {"shadowing, link to another revision",
     BASE_64,
     LINK,
     {SHADOWING, V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, (VMCS12_REVISION + 1) | BIT(31))}},
    {"shadowing, link to the current VMCS",
     BASE_64,
     LINK,
     {SHADOWING, V(vmcs_link_pointer, TEST_CURRENT_VMCS),
      M(TEST_CURRENT_VMCS, VMCS12_REVISION | BIT(31))}},
    {"shadowing, link to hidden memory", BASE_64, LINK, {SHADOWING, V(vmcs_link_pointer, 0xd000)}},
    {"shadowing, no link", BASE_64, OK, {SHADOWING}},
    {"shadowing off with the secondary controls, link to a shadow VMCS",
     BASE_64_RESTRICTED,
     LINK,
     {SHADOWING, VCLR(cpu_based_vm_exec_control, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS),
      V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, VMCS12_REVISION | BIT(31))}},
    {"link and a register", BASE_64, BAD, {V(vmcs_link_pointer, 1), V(guest_rflags, 0)}},
    {"link and PDPTE", BASE_PAE, LINK, {V(vmcs_link_pointer, 1), V(guest_pdptr0, 3)}},
    /* PDPTEs */
    {"PDPTE 0 bit 1", BASE_PAE, PDPTE, {V(guest_pdptr0, 3)}},
    {"PDPTE 0 bit 2", BASE_PAE, PDPTE, {V(guest_pdptr0, 5)}},
    {"PDPTE 0 bit 5", BASE_PAE, PDPTE, {V(guest_pdptr0, 0x21)}},
    {"PDPTE 0 bit 8", BASE_PAE, PDPTE, {V(guest_pdptr0, 0x101)}},
    {"PDPTE 1 too wide", BASE_PAE, PDPTE, {V(guest_pdptr1, BEYOND | 1)}},
    {"PDPTE 2 bit 63", BASE_PAE, PDPTE, {V(guest_pdptr2, BIT64(63) | 1)}},
    {"PDPTE 3 bit 1", BASE_PAE, PDPTE, {V(guest_pdptr3, 3)}},
    {"PDPTE 3 all ignored bits", BASE_PAE, OK, {V(guest_pdptr3, LAST_PAGE | 0xe19)}},
    {"PDPTEs without PAE", BASE_PAE, OK, {V(guest_pdptr0, ~0ull), VCLR(guest_cr4, CR4_PAE)}},
    {"PDPTEs without paging", BASE_PAE, OK, {V(guest_pdptr0, ~0ull), VCLR(guest_cr0, CR0_PG)}},
    {"PDPTEs of a 64-bit guest", BASE_64, OK, {V(guest_pdptr0, ~0ull)}},
    {"PDPTE fields without EPT", BASE_PAE_NO_EPT, OK, {V(guest_pdptr0, ~0ull)}},
    {"PDPTE in memory, bit 1", BASE_PAE_NO_EPT, PDPTE, {M(TEST_PAE_CR3, 3)}},
    {"PDPTE 3 in memory too wide", BASE_PAE_NO_EPT, PDPTE, {M(TEST_PAE_CR3 + 24, BEYOND | 1)}},
    {"PDPTE in memory, bit 1, EPT", BASE_PAE, OK, {M(TEST_PAE_CR3, 3)}},
    {"PDPTEs at CR3 bits 4:0", BASE_PAE_NO_EPT, OK, {VOR(guest_cr3, 0x1f)}},
    {"PDPTEs at CR3 above 4 GiB", BASE_PAE_NO_EPT, OK, {VOR(guest_cr3, BIT64(32))}},
    {"PDPTEs in hidden memory", BASE_PAE_NO_EPT, PDPTE, {V(guest_cr3, 0xf000)}},
    {"PDPTEs and activity", BASE_PAE, BAD, {V(guest_pdptr0, 3), ACTIVITY(4)}},
};

static void test_registers(void **state)
{
    (void)state;
    rows_run(control_rows, ARRAY_SIZE(control_rows), outcome);
}

static void test_segments(void **state)
{
    (void)state;
    rows_run(segment_rows, ARRAY_SIZE(segment_rows), outcome);
}

static void test_non_register(void **state)
{
    (void)state;
    rows_run(state_rows, ARRAY_SIZE(state_rows), outcome);
}

/* The caller gets the PDPTEs that were checked, each read once. */
static void test_pdptes(void **state)
{
    static const enum base bases[] = {BASE_PAE, BASE_PAE_NO_EPT};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(bases); i++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        u64 pdpte[4] = {0};
        u64 qualification;

        base_make(bases[i], &v, &caps);
        assert_true(guest_uses_pae(&v));
        assert_true(check_guest_state(&v, &caps, TEST_CURRENT_VMCS, pdpte, &qualification));
        assert_int_equal(pdpte[0], 0x11001);
        assert_int_equal(pdpte[1], 0);
        assert_int_equal(pdpte[2], LAST_PAGE | 0xe19);
        assert_int_equal(pdpte[3], ~1ull);
        assert_int_equal(test_memory_reads, bases[i] == BASE_PAE ? 0 : 4);
    }
}

/* Every bit of every byte flipped, in every base: nothing but a verdict may come of it. */
static void test_no_surprise(void **state)
{
    (void)state;
    for (enum base base = BASE_64; base <= BASE_V86; base++) {
        for (u32 bit = 0; bit < 8 * sizeof(struct vmcs12); bit++) {
            struct vmcs12 v;
            struct vmx_caps caps;
            s32 got;

            base_make(base, &v, &caps);
            ((u8 *)&v)[bit / 8] ^= (u8)BIT(bit % 8);
            (void)check_controls(&v, &caps);
            (void)check_host_state(&v, &caps, true);
            got = outcome(&v, &caps);
            assert_true(got == OK || got == BAD || got == LINK || got == PDPTE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),    cmocka_unit_test(test_segments),
        cmocka_unit_test(test_non_register), cmocka_unit_test(test_pdptes),
        cmocka_unit_test(test_no_surprise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
