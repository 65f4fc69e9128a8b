/*
 * What L1 is offered: the processor's capability MSRs, cut down to the features of
 * vmx_features.h. An allow-list: a bit no line of that table or no rule here names is never
 * offered. SDM vol. 3 appendix A. And the VMCS fields that exist with what is offered.
 */
#include "capabilities.h"

#include "vmx.h"
#include "x86.h"

#define VMX_BASIC_ANY_ERROR_CODE BIT64(56)
#define CR3_TARGETS_MAX          4u /* as many as struct vmcs12 has */

enum capability_word {
    WORD_PIN,
    WORD_PROC,
    WORD_PROC2,
    WORD_EXIT,
    WORD_ENTRY,
    WORD_EPT_VPID,
    WORD_VMFUNC,
};

struct feature_bit {
    u8 word; /* enum capability_word */
    u8 bit;
};

static const struct feature_bit feature_bits[FEATURE_COUNT] = {
#define X(id, name, word, bit) [FEATURE_##id] = {WORD_##word, bit},
    PLASTRON_FEATURES(X)
#undef X
};

/* Features that need others, besides the secondary controls, which need their activation. */
static const struct {
    u8 feature, needs;
} dependencies[] = {
    {FEATURE_VIRTUAL_NMIS, FEATURE_NMI_EXITING},
    {FEATURE_NMI_WINDOW, FEATURE_VIRTUAL_NMIS},
    {FEATURE_SAVE_PREEMPTION_TIMER, FEATURE_PREEMPTION_TIMER},
    {FEATURE_SAVE_PERF_GLOBAL, FEATURE_ENTRY_LOAD_PERF_GLOBAL},
    {FEATURE_CLEAR_UINV, FEATURE_ENTRY_LOAD_UINV},
    {FEATURE_X2APIC_MODE, FEATURE_TPR_SHADOW},
    {FEATURE_APIC_REGISTERS, FEATURE_TPR_SHADOW},
    {FEATURE_VIRTUAL_INTERRUPTS, FEATURE_TPR_SHADOW},
    {FEATURE_VIRTUAL_INTERRUPTS, FEATURE_EXT_INTR_EXITING},
    {FEATURE_POSTED_INTERRUPTS, FEATURE_VIRTUAL_INTERRUPTS},
    {FEATURE_POSTED_INTERRUPTS, FEATURE_ACK_INTR_ON_EXIT},
    {FEATURE_UNRESTRICTED_GUEST, FEATURE_EPT},
    {FEATURE_EPT_EXECUTE_ONLY, FEATURE_EPT},
    {FEATURE_EPT_UC, FEATURE_EPT},
    {FEATURE_EPT_5_LEVEL, FEATURE_EPT},
    {FEATURE_EPT_2M, FEATURE_EPT},
    {FEATURE_EPT_1G, FEATURE_EPT},
    {FEATURE_EPT_ACCESSED_DIRTY, FEATURE_EPT},
    {FEATURE_EPT_ADVANCED_EXIT_INFO, FEATURE_EPT},
    {FEATURE_PML, FEATURE_EPT_ACCESSED_DIRTY},
    {FEATURE_MODE_BASED_EXECUTE, FEATURE_EPT},
    {FEATURE_EPT_VIOLATION_VE, FEATURE_EPT},
    {FEATURE_EPTP_SWITCHING, FEATURE_VMFUNC},
    {FEATURE_EPTP_SWITCHING, FEATURE_EPT},
    {FEATURE_INVVPID_ADDRESS, FEATURE_VPID},
    {FEATURE_INVVPID_RETAIN_GLOBALS, FEATURE_VPID},
    {FEATURE_TSC_SCALING, FEATURE_TSC_OFFSETTING},
    {FEATURE_GUEST_64BIT, FEATURE_HOST_64BIT},
};

static bool has_true_controls(const struct vmx_caps *hw) { return hw->basic & VMX_BASIC_TRUE_CTLS; }

/* The processor's capability MSR for a word of controls: the true one if it has them. */
static u64 hw_controls(const struct vmx_caps *hw, enum capability_word word)
{
    bool has_true = has_true_controls(hw);

    switch (word) {
    case WORD_PIN: return has_true ? hw->true_pin : hw->pin;
    case WORD_PROC: return has_true ? hw->true_proc : hw->proc;
    case WORD_EXIT: return has_true ? hw->true_exit : hw->exit;
    case WORD_ENTRY: return has_true ? hw->true_entry : hw->entry;
    case WORD_PROC2: return hw->proc2;
    default: return hw->ept_vpid << 32; /* every bit may be 1 */
    }
}

static bool hw_has(const struct vmx_caps *hw, enum feature feature)
{
    struct feature_bit at = feature_bits[feature];

    /* L0 has to write every field of a shadow VMCS. */
    if (feature == FEATURE_VMCS_SHADOWING && !(hw->misc & VMX_MISC_VMWRITE_ANY))
        return false;
    /* By this alone L0 tells fetches from user-mode addresses from the others. */
    if (feature == FEATURE_MODE_BASED_EXECUTE && !(hw->ept_vpid & EPT_CAP_ADVANCED_EXIT_INFO))
        return false;
    /* L1's SSP is loaded by an entry: no instruction of L0's can do it. */
    if (feature == FEATURE_EXIT_LOAD_CET && !hw_has(hw, FEATURE_ENTRY_LOAD_CET))
        return false;
    if (at.word == WORD_EPT_VPID)
        return hw->ept_vpid >> at.bit & 1;
    if (at.word == WORD_VMFUNC)
        return hw->vmfunc >> at.bit & 1;
    return hw_controls(hw, at.word) >> (32 + at.bit) & 1;
}

/* Drops what needs something that is not offered, until nothing changes any more. */
static feature_set drop_unmet(feature_set offered)
{
    feature_set before;

    if (!(offered >> FEATURE_SECONDARY_CONTROLS & 1)) {
        for (u32 i = 0; i < FEATURE_COUNT; i++) {
            if (feature_bits[i].word == WORD_PROC2)
                offered &= ~FEATURE_BIT(i);
        }
    }
    do {
        before = offered;
        for (u32 i = 0; i < ARRAY_SIZE(dependencies); i++) {
            if (!(offered >> dependencies[i].needs & 1))
                offered &= ~FEATURE_BIT(dependencies[i].feature);
        }
    } while (offered != before);
    return offered;
}

static feature_set offered_features(const struct vmx_caps *hw, feature_set mask)
{
    feature_set offered = 0;

    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        if (hw_has(hw, i) && !(mask >> i & 1))
            offered |= FEATURE_BIT(i);
    }
    return drop_unmet(offered);
}

/* The bits of the offered features that live in that word. */
static u64 offered_bits(feature_set offered, enum capability_word word)
{
    u64 bits = 0;

    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        if (feature_bits[i].word == word && (offered >> i & 1))
            bits |= BIT64(feature_bits[i].bit);
    }
    return bits;
}

/*
 * A pair of control MSRs. The first has the default1 bits as must-be-one; the true one lets those
 * of them be 0 that are offered features and that the processor lets be 0.
 */
static void offer_controls(u64 *control, u64 *true_control, u64 hw, u64 hw_true, u64 features)
{
    u32 default1 = (u32)hw;
    u32 optional = default1 & (u32)features & ~(u32)hw_true;
    u64 may = (u32)features | default1;

    *control = may << 32 | default1;
    *true_control = may << 32 | (default1 & ~optional);
}

/* SDM vol. 3 A.1, "Basic VMX Information". */
static u64 offered_basic(u64 hw)
{
    const u64 as_hw = VMX_BASIC_32BIT_ADDRESSES | VMX_BASIC_INS_OUTS | VMX_BASIC_TRUE_CTLS |
                      VMX_BASIC_ANY_ERROR_CODE;

    return (hw & as_hw) | (u64)VMCS12_REGION_SIZE << VMX_BASIC_SIZE_SHIFT |
           (u64)MT_WB << VMX_BASIC_MEMORY_TYPE_SHIFT | VMCS12_REVISION;
}

/* SDM vol. 3 A.6, "Miscellaneous Data". */
static u64 offered_misc(u64 hw)
{
    const u64 as_hw = VMX_MISC_TIMER_RATE | VMX_MISC_EFER_LMA | VMX_MISC_HLT | VMX_MISC_SHUTDOWN |
                      VMX_MISC_WAIT_FOR_SIPI | VMX_MISC_MAX_MSR | VMX_MISC_VMWRITE_ANY |
                      VMX_MISC_ZERO_LENGTH_INJECTION;
    u64 targets = (hw & VMX_MISC_CR3_TARGETS) >> VMX_MISC_CR3_TARGETS_SHIFT;

    if (targets > CR3_TARGETS_MAX)
        targets = CR3_TARGETS_MAX;
    return (hw & as_hw) | targets << VMX_MISC_CR3_TARGETS_SHIFT;
}

/* SDM vol. 3 A.10, "VPID and EPT Capabilities". L0 carries out INVEPT and INVVPID itself. */
static u64 offered_ept_vpid(feature_set offered)
{
    u64 value = offered_bits(offered, WORD_EPT_VPID);

    if (offered >> FEATURE_EPT & 1)
        value |= EPT_CAP_4_LEVEL | EPT_CAP_WB | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE |
                 EPT_CAP_INVEPT_ALL;
    if (offered >> FEATURE_VPID & 1)
        value |= VPID_CAP_INVVPID | VPID_CAP_SINGLE | VPID_CAP_ALL;
    return value;
}

/* What a field needs, beside the features. */
enum { FEATURE_ALWAYS = FEATURE_COUNT, FEATURE_PAT, FEATURE_EFER, FIELD_NEEDS_COUNT };

_Static_assert(sizeof(((struct vmx_caps *)0)->missing_fields) * 8 == FIELD_COUNT,
               "a bit for each field");

static const struct field_info fields[FIELD_COUNT] = {
#define X(name, encoding, member, needs)                                                           \
    [FIELD_SLOT(encoding)] = {offsetof(struct vmcs12, member), VMCS_FIELD_WIDTH(encoding),         \
                              FEATURE_##needs},
    VMCS12_FIELDS(X)
#undef X
};

/* The features of which one must be offered; none: the field is always there. */
static const feature_set field_needs[FIELD_NEEDS_COUNT] = {
#define X(id, name, word, bit) [FEATURE_##id] = FEATURE_BIT(FEATURE_##id),
    PLASTRON_FEATURES(X)
#undef X
        [FEATURE_PAT] = FEATURE_BIT(FEATURE_SAVE_PAT) | FEATURE_BIT(FEATURE_ENTRY_LOAD_PAT),
    [FEATURE_EFER] = FEATURE_BIT(FEATURE_SAVE_EFER) | FEATURE_BIT(FEATURE_ENTRY_LOAD_EFER),
};

#define X(name, encoding, member, needs)                                                           \
    _Static_assert(VMCS_FIELD_INDEX(encoding) < FIELD_INDEX_MAX, #name " fits into the table");    \
    _Static_assert(sizeof(((struct vmcs12 *)0)->member) ==                                         \
                       (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_16   ? 2                          \
                        : VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_32 ? 4                          \
                                                                      : 8),                        \
                   #name " has its encoding's width");
VMCS12_FIELDS(X)
#undef X

const struct field_info *field_lookup(u32 encoding)
{
    const struct field_info *field;

    if ((encoding & VMCS_FIELD_RESERVED) || VMCS_FIELD_INDEX(encoding) >= FIELD_INDEX_MAX)
        return NULL;
    if (VMCS_FIELD_HIGH(encoding) && VMCS_FIELD_WIDTH(encoding) != VMCS_WIDTH_64)
        return NULL;
    field = &fields[FIELD_SLOT(encoding)];
    return field->offset ? field : NULL;
}

static bool is_missing(const struct vmx_caps *caps, const struct field_info *field)
{
    u64 at = (u64)(field - fields);

    return caps->missing_fields[at / 64] >> at % 64 & 1;
}

void capabilities_find_missing_fields(struct vmx_caps *hw, bool (*exists)(u32 encoding))
{
    static const u32 encodings[] = {
#define X(name, encoding, member, needs) encoding,
        VMCS12_FIELDS(X)
#undef X
    };

    for (u32 i = 0; i < ARRAY_SIZE(encodings); i++) {
        u32 at = FIELD_SLOT(encodings[i]);

        if (!exists(encodings[i]))
            hw->missing_fields[at / 64] |= BIT64(at % 64);
    }
}

/* Those that the processor lacks, or that need what is not offered. */
static void find_missing_fields(struct vmx_caps *caps, const struct vmx_caps *hw)
{
    for (u32 i = 0; i < FIELD_COUNT; i++) {
        feature_set needs = field_needs[fields[i].needs];

        if (is_missing(hw, &fields[i]) || (needs && !(caps->offered & needs)))
            caps->missing_fields[i / 64] |= BIT64(i % 64);
    }
}

const struct field_info *field_of_caps(const struct vmx_caps *caps, u64 encoding)
{
    const struct field_info *field = encoding >> 32 ? NULL : field_lookup((u32)encoding);

    return field && !is_missing(caps, field) ? field : NULL;
}

bool field_exists(const struct vmx_caps *caps, u32 encoding)
{
    return field_of_caps(caps, encoding);
}

typedef u16 __attribute__((aligned(1), may_alias)) field16;
typedef u32 __attribute__((aligned(1), may_alias)) field32;
typedef u64 __attribute__((aligned(1), may_alias)) field64;

u64 vmcs12_get(const struct vmcs12 *vmcs12, const struct field_info *field, bool high)
{
    const u8 *at = (const u8 *)vmcs12 + field->offset;

    switch (field->width) {
    case VMCS_WIDTH_16: return *(const field16 *)at;
    case VMCS_WIDTH_32: return *(const field32 *)at;
    default: return high ? *(const field32 *)(at + 4) : *(const field64 *)at;
    }
}

void vmcs12_set(struct vmcs12 *vmcs12, const struct field_info *field, bool high, u64 value)
{
    u8 *at = (u8 *)vmcs12 + field->offset;

    switch (field->width) {
    case VMCS_WIDTH_16: *(field16 *)at = (u16)value; return;
    case VMCS_WIDTH_32: *(field32 *)at = (u32)value; return;
    default:
        if (high)
            *(field32 *)(at + 4) = (u32)value;
        else
            *(field64 *)at = value;
    }
}

/* SDM vol. 3 A.9, "VMCS Enumeration": the highest index of a field that exists, in bits 9:1. */
static u64 offered_vmcs_enum(const struct vmx_caps *caps)
{
    u32 highest = 0;

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        u32 index = i % FIELD_INDEX_MAX;

        if (fields[i].offset && !is_missing(caps, &fields[i]) && index > highest)
            highest = index;
    }
    return highest << 1;
}

void capabilities_compute(struct vmx_caps *out, const struct vmx_caps *hw, feature_set mask)
{
    feature_set offered = offered_features(hw, mask);

    *out = (struct vmx_caps){
        .basic = offered_basic(hw->basic),
        .proc2 = offered_bits(offered, WORD_PROC2) << 32,
        .misc = offered_misc(hw->misc),
        .cr0_fixed0 = hw->cr0_fixed0,
        .cr0_fixed1 = hw->cr0_fixed1,
        .cr4_fixed0 = hw->cr4_fixed0,
        .cr4_fixed1 = hw->cr4_fixed1 & ~HIDDEN_CR4,
        .ept_vpid = offered_ept_vpid(offered),
        .vmfunc = offered_bits(offered, WORD_VMFUNC),
        .offered = offered,
        .physical_bits = hw->physical_bits,
        .linear_bits = hw->linear_bits,
        .cr3_reserved = hw->cr3_reserved,
        .perf_global_reserved = hw->perf_global_reserved,
        .interruptibility = hw->interruptibility,
        .pending_debug = hw->pending_debug,
    };
    find_missing_fields(out, hw);
    offer_controls(&out->pin, &out->true_pin, hw->pin, hw_controls(hw, WORD_PIN),
                   offered_bits(offered, WORD_PIN));
    offer_controls(&out->proc, &out->true_proc, hw->proc, hw_controls(hw, WORD_PROC),
                   offered_bits(offered, WORD_PROC));
    offer_controls(&out->exit, &out->true_exit, hw->exit, hw_controls(hw, WORD_EXIT),
                   offered_bits(offered, WORD_EXIT));
    offer_controls(&out->entry, &out->true_entry, hw->entry, hw_controls(hw, WORD_ENTRY),
                   offered_bits(offered, WORD_ENTRY));
    out->vmcs_enum = offered_vmcs_enum(out);
}
