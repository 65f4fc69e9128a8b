#include "culprit.h"

#include "../hv/text.h"
#include "../hv/vmcs_names.h"

static const struct {
    const char *text;
    u32 error;
} verdicts[] = {
    {"VM entry would succeed as far as the checks of the SDM go", VMXERR_NONE},
    {"VMLAUNCH of a VMCS that is launched: VMCLEAR it first, or VMRESUME it",
     VMXERR_VMLAUNCH_NONCLEAR_VMCS},
    {"VMRESUME of a VMCS that is not launched: VMLAUNCH it", VMXERR_VMRESUME_NONLAUNCHED_VMCS},
    {"VM entry right behind MOV SS or POP SS: an instruction must stand between",
     VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS},
    {"VM entry fails: control fields", VMXERR_ENTRY_INVALID_CONTROL_FIELD},
    {"VM entry fails: host state", VMXERR_ENTRY_INVALID_HOST_STATE_FIELD},
    {"the VMX instruction fails", ~0u}, /* any other */
};

static void put_verdict(struct text *text, const struct culprit *culprit)
{
    u32 i = 0;

    if (culprit->guest) {
        text_add(text, "VM entry fails: guest state (exit reason 33, qualification %lu)",
                 culprit->qualification);
        return;
    }
    while (i < ARRAY_SIZE(verdicts) - 1 && verdicts[i].error != culprit->error)
        i++;
    text_add(text, "%s", verdicts[i].text);
    if (culprit->error)
        text_add(text, " (error %u)", culprit->error);
}

/* The bits, if there are any, and what is to be said of them. */
static void put_bits(struct text *text, u64 bits, const char *words)
{
    if (bits & (bits - 1))
        text_add(text, " bits %#lx%s", bits, words);
    else if (bits)
        text_add(text, " bit %d%s", __builtin_ctzll(bits), words);
}

static void put_fault(struct text *text, const struct culprit_field *field)
{
    static const char *const formats[] = {
        [CULPRIT_BITS] = ":",
        [CULPRIT_OFFERED] = ":",
        [CULPRIT_ADDRESS] = " is not aligned or beyond the physical addresses:",
        [CULPRIT_CANONICAL] = " is not canonical",
        [CULPRIT_VALUE] = " is not valid, %#lx would be",
        [CULPRIT_MEMORY] = ": what is there in memory is not valid",
    };
    u64 set = field->value & field->bits, clear = ~field->value & field->bits;

    text_add(text, formats[field->fault], field->value ^ field->bits);
    if (field->fault > CULPRIT_ADDRESS)
        return;
    put_bits(text, clear, set ? " must be 1," : " must be 1");
    put_bits(text, set, field->fault == CULPRIT_OFFERED ? " not offered" : " must be 0");
}

/* Those that are joined stand in one line. joined: to the one before. */
static void put_field(struct text *text, const struct culprit_field *field, bool joined)
{
    text_add(text, !joined ? "\n" : field->joined ? "," : " and");
    if (!joined || field->encoding != field[-1].encoding)
        text_add(text, joined ? " %s 0x%lx" : "%s 0x%lx", vmcs_field_name(field->encoding),
                 field->value);
    if (!joined && !field->joined) {
        put_fault(text, field);
        return;
    }
    put_bits(text, field->bits, field->joined ? "" : " contradict each other");
}

size_t culprit_text(const struct culprit *culprit, char *to, size_t size)
{
    struct text text = text_at(to, size);

    put_verdict(&text, culprit);
    for (u32 i = 0; i < culprit->count; i++)
        put_field(&text, &culprit->field[i], i && culprit->field[i - 1].joined);
    text_add(&text, "\n");
    return text.len;
}
