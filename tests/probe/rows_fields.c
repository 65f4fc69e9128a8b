/* VMCS fields: which exist, how wide they are, which can be written. */
#include "probe.h"

/* What a field exists with: a feature, or one of these. */
enum need {
#define X(id, name, word, bit) NEED_##id = FEATURE_##id,
    PLASTRON_FEATURES(X)
#undef X
        NEED_ALWAYS = FEATURE_COUNT,
    NEED_PAT,
    NEED_EFER,
};

static const struct {
    const char *name;
    u32 encoding;
    enum need need;
} fields[] = {
#define X(name, encoding, member, needs) {#name, encoding, NEED_##needs},
    VMCS12_FIELDS(X)
#undef X
};

/* Fields of features that have no name in vmx_features.h: a bit of the secondary controls each. */
static const struct {
    const char *name;
    u32 encoding;
    u32 bit;
} more_fields[] = {
    {"ENCLS_EXITING_BITMAP", 0x202e, SECONDARY_EXEC_ENCLS_EXITING},
    {"SPP_TABLE_POINTER", 0x2030, SECONDARY_EXEC_SPP},
    {"ENCLV_EXITING_BITMAP", 0x2036, SECONDARY_EXEC_ENCLV_EXITING},
};

/* The features of which any one makes a field exist; none: it always does. */
static feature_set needed_features(enum need need)
{
    switch (need) {
    case NEED_ALWAYS: return 0;
    case NEED_PAT: return FEATURE_BIT(FEATURE_SAVE_PAT) | FEATURE_BIT(FEATURE_ENTRY_LOAD_PAT);
    case NEED_EFER: return FEATURE_BIT(FEATURE_SAVE_EFER) | FEATURE_BIT(FEATURE_ENTRY_LOAD_EFER);
    default: return FEATURE_BIT((u32)need);
    }
}

static bool any_offered(feature_set needed)
{
    for (u32 i = 0; i < FEATURE_COUNT; i++)
        if (needed >> i & 1 && feature_offered(i))
            return true;
    return !needed;
}

/* The first of them, by which a row that needs it is known. */
static const char *first_name(feature_set needed)
{
    for (u32 i = 0; i < FEATURE_COUNT; i++)
        if (needed >> i & 1)
            return feature_names[i];
    return NULL;
}

bool field_at(u32 number, u32 *encoding)
{
    if (number >= ARRAY_SIZE(fields))
        return false;
    *encoding = any_offered(needed_features(fields[number].need)) ? fields[number].encoding : 0;
    return true;
}

static void say_access(const char *what, const char *code, u64 encoding, u64 value)
{
    exec_clear();
    exec.gpr[RAX] = encoding;
    exec.gpr[RDX] = value;
    exec_code(code);
    say("%s ", what);
    if (exec.end == EXEC_RETURNED && !(exec.rflags & (RFLAGS_CF | RFLAGS_ZF)))
        say("%lx; ", exec.gpr[RDX]);
    else {
        say_exec();
        say("; ");
    }
}

static bool can_write(u32 encoding)
{
    return VMCS_FIELD_TYPE(encoding) != VMCS_TYPE_READ_ONLY || vmx_misc & VMX_MISC_VMWRITE_ANY;
}

static void say_read_back(u32 encoding)
{
    static const u64 values[] = {0xfedcba9876543210, ~0ull, 0, 0x8000000080008000};

    for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
        say_access("write", "vmwrite", encoding, values[i]);
        say_access("read", "vmread", encoding, 0);
        if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64)
            say_access("high", "vmread", encoding | 1, 0);
    }
    if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64) {
        say_access("write high", "vmwrite", encoding | 1, 0xaaaaaaaa12345678);
        say_access("read", "vmread", encoding, 0);
        say_access("write", "vmwrite", encoding, 0x77);
        say_access("high", "vmread", encoding | 1, 0);
    } else {
        say_access("high", "vmread", encoding | 1, 0);
    }
}

static void field_row(const char *name, u32 encoding, bool offered, const char *needs,
                      feature_set features)
{
    bool wanted = row(STATE_VMCS, "fields.%s", name);

    row_uses(features);
    if (wanted && !offered) {
        row_skip(needs);
    } else if (wanted && !can_write(encoding)) {
        say_access("write", "vmwrite", encoding, 1);
        row_end();
    } else if (wanted) {
        say_read_back(encoding);
        row_end();
    }
    if (!needs || !row(STATE_VMCS, "fields-absent.%s", name))
        return;
    row_uses(features);
    if (offered) {
        row_skip_with(needs);
        return;
    }
    say_access("read", "vmread", encoding, 0);
    say_access("write", "vmwrite", encoding, 1);
    if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64)
        say_access("high", "vmread", encoding | 1, 0);
    row_end();
}

static bool is_known(u32 encoding)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].encoding == encoding)
            return true;
    for (u32 i = 0; i < ARRAY_SIZE(more_fields); i++)
        if (more_fields[i].encoding == encoding)
            return true;
    return false;
}

static bool reads(u64 encoding)
{
    exec_clear();
    exec.gpr[RAX] = encoding;
    exec_code("vmread");
    return !(exec.rflags & (RFLAGS_CF | RFLAGS_ZF));
}

/* Encodings that no list knows: those that exist all the same. */
static void unknown_rows(void)
{
    for (u32 width = 0; width < 4; width++)
        for (u32 type = 0; type < 4; type++) {
            if (!row(STATE_VMCS, "fields-unknown.width %u type %u", width, type))
                continue;
            for (u32 index = 0; index < 128; index++) {
                u32 encoding = width << 13 | type << 10 | index << 1;

                if (is_known(encoding))
                    continue;
                if (reads(encoding) || reads(encoding | 1))
                    say("%x ", encoding);
            }
            row_end();
        }
}

/* Bits of the encoding that must be zero. */
static void reserved_rows(void)
{
    for (u32 bit = 12; bit < 64; bit++) {
        if (bit == 13 || bit == 14 || !row(STATE_VMCS, "fields-reserved.bit %u", bit))
            continue;
        say_access("read", "vmread", GUEST_RIP | BIT64(bit), 0);
        say_access("write", "vmwrite", GUEST_RIP | BIT64(bit), 0);
        row_end();
    }
}

/* The highest index, as IA32_VMX_VMCS_ENUM tells, is that of a field that exists. */
static void enumeration_row(void)
{
    u64 highest = read_msr(MSR_IA32_VMX_VMCS_ENUM) >> 1 & 0x1ff;
    u64 found = 0;

    if (!row(STATE_VMCS, "fields.enumeration"))
        return;
    for (u32 kind = 0; kind < 16; kind++)
        for (u32 index = 0; index < 512; index++)
            if (index > found && reads((kind >> 2) << 13 | (kind & 3) << 10 | index << 1))
                found = index;
    say("%s", found <= highest ? "no field lies above the highest index" : "too low");
    row_end();
}

void rows_fields(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        feature_set needed = needed_features(fields[i].need);

        field_row(fields[i].name, fields[i].encoding, any_offered(needed), first_name(needed),
                  needed);
    }
    for (u32 i = 0; i < ARRAY_SIZE(more_fields); i++) {
        u32 bit = more_fields[i].bit;

        field_row(more_fields[i].name, more_fields[i].encoding, proc2_caps.may & bit,
                  feature_name(SECONDARY_VM_EXEC_CONTROL, (u32)__builtin_ctz(bit)),
                  features_of(SECONDARY_VM_EXEC_CONTROL, bit));
    }
    unknown_rows();
    reserved_rows();
    enumeration_row();
}
