/* What the processor offers of VMX, by the capability MSRs. */
#include "probe.h"

struct control pin_caps, proc_caps, proc2_caps, exit_caps, entry_caps;
u64 vmx_basic, vmx_misc, ept_vpid_cap, vmfunc_cap;

enum capability_word {
    WORD_PIN,
    WORD_PROC,
    WORD_PROC2,
    WORD_EXIT,
    WORD_ENTRY,
    WORD_EPT_VPID,
    WORD_VMFUNC,
};

static const struct {
    enum capability_word word;
    u32 bit;
} features[] = {
#define X(id, name, word, bit) {WORD_##word, bit},
    PLASTRON_FEATURES(X)
#undef X
};

const char *const feature_names[FEATURE_COUNT] = {
#define X(id, name, word, bit) name,
    PLASTRON_FEATURES(X)
#undef X
};

static struct control read_control(u32 msr)
{
    u64 value = read_msr(msr);

    return (struct control){.must = (u32)value, .may = (u32)(value >> 32)};
}

/* False if there is no VMX here. */
bool vmx_read_capabilities(void)
{
    u32 leaf[4];
    u32 true_offset;

    cpuid(1, 0, leaf);
    if (!(leaf[2] & BIT(5)))
        return false;
    vmx_basic = read_msr(MSR_IA32_VMX_BASIC);
    vmx_misc = read_msr(MSR_IA32_VMX_MISC);
    true_offset = vmx_basic & VMX_BASIC_TRUE_CTLS
                      ? MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS
                      : 0;
    pin_caps = read_control(MSR_IA32_VMX_PINBASED_CTLS + true_offset);
    proc_caps = read_control(MSR_IA32_VMX_PROCBASED_CTLS + true_offset);
    exit_caps = read_control(MSR_IA32_VMX_EXIT_CTLS + true_offset);
    entry_caps = read_control(MSR_IA32_VMX_ENTRY_CTLS + true_offset);
    if (proc_caps.may & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
        proc2_caps = read_control(MSR_IA32_VMX_PROCBASED_CTLS2);
    if (proc2_caps.may & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
        ept_vpid_cap = read_msr(MSR_IA32_VMX_EPT_VPID_CAP);
    if (proc2_caps.may & SECONDARY_EXEC_ENABLE_VMFUNC)
        vmfunc_cap = read_msr(MSR_IA32_VMX_VMFUNC);
    return true;
}

static u64 word_bits(enum capability_word word)
{
    switch (word) {
    case WORD_PIN: return pin_caps.may;
    case WORD_PROC: return proc_caps.may;
    case WORD_PROC2: return proc2_caps.may;
    case WORD_EXIT: return exit_caps.may;
    case WORD_ENTRY: return entry_caps.may;
    case WORD_EPT_VPID: return ept_vpid_cap;
    case WORD_VMFUNC: return vmfunc_cap;
    }
    return 0;
}

static const struct {
    u32 field;
    enum capability_word word;
    const struct control *caps;
    const char *name;
} control_words[] = {
    {PIN_BASED_VM_EXEC_CONTROL, WORD_PIN, &pin_caps, "pin"},
    {CPU_BASED_VM_EXEC_CONTROL, WORD_PROC, &proc_caps, "proc"},
    {SECONDARY_VM_EXEC_CONTROL, WORD_PROC2, &proc2_caps, "proc2"},
    {VM_EXIT_CONTROLS, WORD_EXIT, &exit_caps, "exit"},
    {VM_ENTRY_CONTROLS, WORD_ENTRY, &entry_caps, "entry"},
};

/* "fixed": the control can't be 0. */
static const char *offer(enum feature feature)
{
    if (!feature_offered(feature))
        return "no";
    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++)
        if (control_words[i].word == features[feature].word &&
            control_words[i].caps->must >> features[feature].bit & 1)
            return "fixed";
    return "yes";
}

static void print_msr(u32 msr)
{
    char name[16];

    format_text(name, sizeof(name), "%x", msr);
    exec_clear();
    exec.gpr[RCX] = msr;
    exec_code("rdmsr");
    line_clear();
    if (exec.end == EXEC_FAULTED)
        say_fault();
    else
        say("%lx", exec.gpr[RDX] << 32 | exec.gpr[RAX]);
    line_print("msr ", name);
}

void vmx_print_capabilities(void)
{
    for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_VMFUNC; msr++)
        print_msr(msr);
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        line_clear();
        say("%s", offer(i));
        line_print("feature ", feature_names[i]);
    }
}

bool feature_offered(enum feature feature)
{
    return word_bits(features[feature].word) >> features[feature].bit & 1;
}

const struct control *control_caps(u32 field)
{
    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++)
        if (control_words[i].field == field)
            return control_words[i].caps;
    return NULL;
}

feature_set features_of(u32 field, u32 bits)
{
    feature_set found = 0;

    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++) {
        if (control_words[i].field != field)
            continue;
        for (u32 f = 0; f < FEATURE_COUNT; f++)
            if (features[f].word == control_words[i].word && bits >> features[f].bit & 1)
                found |= FEATURE_BIT(f);
    }
    return found;
}

feature_set features_in_use(void)
{
    feature_set found = 0;

    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++)
        if (control_words[i].caps->may)
            found |= features_of(control_words[i].field, (u32)vm_read(control_words[i].field) &
                                                             ~control_words[i].caps->must);
    return found;
}

u32 known_controls(u32 field)
{
    u32 known = 0;

    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++) {
        if (control_words[i].field != field)
            continue;
        known = control_words[i].caps->must;
        for (u32 f = 0; f < FEATURE_COUNT; f++)
            if (features[f].word == control_words[i].word)
                known |= BIT(features[f].bit);
    }
    return known;
}

/* The name of a control bit: the feature's if it has one, else word and bit. */
const char *feature_name(u32 field, u32 bit)
{
    static char text[32];

    for (u32 i = 0; i < ARRAY_SIZE(control_words); i++) {
        if (control_words[i].field != field)
            continue;
        for (u32 f = 0; f < FEATURE_COUNT; f++)
            if (features[f].word == control_words[i].word && features[f].bit == bit)
                return feature_names[f];
        format_text(text, sizeof(text), "%s bit %u", control_words[i].name, bit);
        return text;
    }
    return "?";
}

bool row_needs(enum feature feature)
{
    row_uses(FEATURE_BIT(feature));
    if (feature_offered(feature))
        return true;
    row_skip(feature_names[feature]);
    return false;
}

void flush_ept(void)
{
    struct invept_operand operand = {0, 0};
    u64 type = INVEPT_ALL_CONTEXT;

    if (ept_vpid_cap & EPT_CAP_INVEPT_ALL)
        __asm__ volatile("invept %1, %0" ::"r"(type), "m"(operand) : "memory", "cc");
}

void flush_vpid(void)
{
    struct invept_operand operand = {0, 0};
    u64 type = INVVPID_ALL_CONTEXT;

    if (ept_vpid_cap & VPID_CAP_ALL)
        __asm__ volatile("invvpid %1, %0" ::"r"(type), "m"(operand) : "memory", "cc");
}
