/*
 * vmx/culprit.c states the rules of a VM entry a second time: on vmcs12s that differ from a valid
 * one in what the fuzzer says, it finds something wrong where and only where vmx/check.h does, and
 * what it says would mend it takes that fault away.
 */
#include "fuzz.h"

#include "../unit/test_check.h"
#include "vmx/culprit.h"

static struct vmcs12 v;
static struct vmx_caps caps;
static bool l1_long_mode;

static const u16 encodings[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

static u64 get(u32 encoding) { return vmcs12_get(&v, field_lookup(encoding), false); }

static void change(struct input *in)
{
    u32 encoding = encodings[take8(in) % ARRAY_SIZE(encodings)];
    u64 old = get(encoding), kind = take8(in), value = take_value(in);

    if (kind & 1)
        value = old ^ BIT64(value % 64);
    vmcs12_set(&v, field_lookup(encoding), false, value);
}

static void change_caps(u8 kind)
{
    caps.misc ^= kind & 1 ? VMX_MISC_HLT | VMX_MISC_ZERO_LENGTH_INJECTION : 0;
    caps.misc ^= kind & 2 ? VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_FOR_SIPI : 0;
    caps.ept_vpid ^= kind & 4 ? EPT_CAP_UC | EPT_CAP_5_LEVEL | BIT64(23) : 0;
    caps.ept_vpid ^= kind & 8 ? EPT_CAP_AD : 0;
    caps.basic ^= kind & 16 ? BIT64(56) : 0; /* any error code */
    caps.basic ^= kind & 32 ? VMX_BASIC_32BIT_ADDRESSES : 0;
    if (kind & 64) {
        caps.true_entry = caps.true_entry | ~0ull << 32;
        caps.true_exit = caps.true_exit | ~0ull << 32;
        caps.proc2 |= ~0ull << 32;
        caps.cr4_fixed1 |= CR4_CET | CR4_LA57;
        caps.interruptibility = INTERRUPTIBILITY_ENCLAVE;
        caps.pending_debug |= PENDING_DBG_BUS_LOCK;
    }
    if (kind & 128)
        caps.linear_bits = 57;
}

static void check_verdict(const struct culprit *culprit)
{
    u64 pdpte[4], qualification = 0;
    enum vm_instruction_error error = check_controls(&v, &caps);
    bool guest = false;

    if (!error)
        error = check_host_state(&v, &caps, l1_long_mode);
    if (!error)
        guest = !check_guest_state(&v, &caps, TEST_CURRENT_VMCS, pdpte, &qualification);
    DEMAND(culprit->error == error);
    DEMAND(culprit->guest == guest);
    DEMAND(!guest || culprit->qualification == qualification);
    DEMAND(!culprit->count == (!error && !guest));
}

/* Both begin with the same fault: of the same fields and bits. */
static bool is_same_fault(const struct culprit *a, const struct culprit *b)
{
    for (u32 i = 0; i < a->count && i < b->count; i++) {
        const struct culprit_field *x = &a->field[i], *y = &b->field[i];

        if (x->encoding != y->encoding || x->bits != y->bits || x->joined != y->joined)
            return false;
        if (!x->joined)
            return true;
    }
    return false;
}

/* Changes the bits that the first fault names, unless it is in memory: then it is gone. */
static void mend(const struct culprit *culprit)
{
    const struct culprit_field *first = &culprit->field[0];
    struct culprit mended;

    DEMAND(first->value == get(first->encoding));
    if (first->fault == CULPRIT_MEMORY)
        return;
    DEMAND(first->bits);
    vmcs12_set(&v, field_lookup(first->encoding), false, first->value ^ first->bits);
    culprit_find(&v, &caps, l1_long_mode, TEST_CURRENT_VMCS, &mended);
    check_verdict(&mended);
    DEMAND(!is_same_fault(culprit, &mended));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    struct culprit culprit;
    char text[CULPRIT_TEXT_SIZE];

    base_make(take8(&in) % (BASE_V86 + 1), &v, &caps);
    l1_long_mode = take8(&in) % 16 != 0;
    change_caps(take8(&in));
    while (!is_empty(&in))
        change(&in);
    culprit_find(&v, &caps, l1_long_mode, TEST_CURRENT_VMCS, &culprit);
    check_verdict(&culprit);
    DEMAND(culprit.count <= CULPRIT_FIELDS);
    DEMAND(culprit_text(&culprit, text, sizeof(text)) == strlen(text));
    if (culprit.count)
        mend(&culprit);
    return 0;
}
