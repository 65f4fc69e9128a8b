#include "vmcs_names.h"
#include "vmcs_fields.h"

const struct vmcs_field_name vmcs_fields[] = {
#define X(name, encoding, member, needs) {#name, encoding},
    VMCS12_FIELDS(X)
#undef X
#define X(name, encoding) {#name, encoding},
        VMCS_L0_FIELDS(X)
#undef X
};

const u32 vmcs_field_count = ARRAY_SIZE(vmcs_fields);

#define X(name, ...)                                                                               \
    _Static_assert(sizeof(#name) <= VMCS_FIELD_NAME_MAX, "the name and its zero have room");
VMCS12_FIELDS(X)
VMCS_L0_FIELDS(X)
#undef X

const char *vmcs_field_name(u64 encoding)
{
    for (u32 i = 0; i < vmcs_field_count; i++)
        if (vmcs_fields[i].encoding == encoding)
            return vmcs_fields[i].name;
    return "unknown field";
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

/* The length of the pattern up to its end or its next "*". */
static size_t piece_length(const char *pattern)
{
    size_t len = 0;

    while (pattern[len] && pattern[len] != '*')
        len++;
    return len;
}

static bool starts_with(const char *text, const char *piece, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(text[i]) != lower(piece[i]))
            return false;
    return true;
}

/* The first place each piece can have leaves the most text to those behind it. */
bool text_pattern(const char *name, const char *pattern)
{
    for (;;) {
        size_t len = piece_length(pattern);

        while (!starts_with(name, pattern, len))
            if (!*name++)
                return false;
        if (!pattern[len])
            return true;
        name += len;
        pattern += len + 1;
    }
}
