/*
 * The checks of a VM entry against a second set of them, model_entry.c, on vmcs12s that differ from
 * a valid one in what the fuzzer says; and that each looks only at what is its own.
 */
#include "fuzz.h"

#include "model_entry.h"
#include "../unit/test_check.h"

static struct vmcs12 v;
static struct vmx_caps caps;

/* A change of any field, or of what the processor offers. */
static void change(struct input *in)
{
    u8 kind = take8(in);
    u16 at = take16(in);
    u64 value = take_value(in), old = 0;
    u32 size = 1u << (kind & 3);
    u8 *start = (u8 *)&v;
    size_t whole = sizeof(v);

    if ((kind & 0xf0) == 0xf0) {
        start = (u8 *)&caps;
        whole = offsetof(struct vmx_caps, offered);
    } else {
        /* Fields are where the SDM's encodings say. */
        const struct field_info *field = field_lookup(at & 0x6ffe);
        static const u32 sizes[] = {2, 8, 4, 8};

        if (field) {
            at = field->offset;
            size = sizes[field->width];
        }
    }
    at = (u16)(at % (whole - 7));
    memcpy(&old, start + at, size);
    switch (kind >> 2 & 3) {
    case 0: old = value; break;
    case 1: old |= value; break;
    case 2: old &= ~value; break;
    default: old ^= BIT64(value % (8 * size)); break;
    }
    memcpy(start + at, &old, size);
}

/* Bits that no capability may have the other way round. */
static void mend_caps(void)
{
    u64 *controls[] = {&caps.pin,      &caps.proc,      &caps.exit,      &caps.entry,
                       &caps.true_pin, &caps.true_proc, &caps.true_exit, &caps.true_entry};

    for (u32 i = 0; i < ARRAY_SIZE(controls); i++)
        *controls[i] |= *controls[i] << 32;
    caps.proc2 &= ~0xffffffffull;
    caps.physical_bits = 36 + caps.physical_bits % 17;
    caps.linear_bits = caps.linear_bits == 57 ? 57 : 48;
    caps.interruptibility &= INTERRUPTIBILITY_ENCLAVE;
    caps.pending_debug &= PENDING_DBG_BUS_LOCK | PENDING_DBG_RTM;
    caps.cr0_fixed1 |= caps.cr0_fixed0;
    caps.cr4_fixed1 |= caps.cr4_fixed0;
}

static struct model_memory memory_of(void)
{
    struct model_memory memory = {
        .vtpr = phys_read32(v.virtual_apic_page_addr + 0x80),
        .revision = phys_read32(v.vmcs_link_pointer),
    };

    for (u32 i = 0; i < 4; i++)
        memory.pdpte[i] = phys_read64((v.guest_cr3 & 0xffffffe0) + 8 * i);
    test_memory_reads = 0;
    return memory;
}

static bool guest_valid(const struct vmcs12 *which, u64 *qualification)
{
    u64 pdpte[4];

    *qualification = 99;
    return check_guest_state(which, &caps, TEST_CURRENT_VMCS, pdpte, qualification);
}

static const u16 encodings[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

/* All fields of a type hold something else: what does not look at them says the same. */
static struct vmcs12 without(enum vmcs_type type, u64 seed)
{
    struct vmcs12 other = v;

    for (u32 i = 0; i < ARRAY_SIZE(encodings); i++)
        if (VMCS_FIELD_TYPE(encodings[i]) == type)
            vmcs12_set(&other, field_lookup(encodings[i]), false, mix(seed, i));
    return other;
}

static void check_independence(u64 seed, bool l1_long_mode)
{
    struct vmcs12 host = without(VMCS_TYPE_HOST, seed), guest = without(VMCS_TYPE_GUEST, seed);
    struct vmcs12 information = without(VMCS_TYPE_READ_ONLY, seed);
    u64 qualification, other;
    bool valid = guest_valid(&v, &qualification);

    DEMAND(check_controls(&host, &caps) == check_controls(&v, &caps));
    DEMAND(guest_valid(&host, &other) == valid && other == qualification);
    guest.guest_cr0 = v.guest_cr0; /* whether an exception has an error code */
    DEMAND(check_controls(&guest, &caps) == check_controls(&v, &caps));
    DEMAND(check_host_state(&guest, &caps, l1_long_mode) ==
           check_host_state(&v, &caps, l1_long_mode));
    DEMAND(check_controls(&information, &caps) == check_controls(&v, &caps));
    DEMAND(check_host_state(&information, &caps, l1_long_mode) ==
           check_host_state(&v, &caps, l1_long_mode));
    DEMAND(guest_valid(&information, &other) == valid && other == qualification);
}

static void check_guest(const struct model_memory *memory)
{
    u32 failures = model_guest_failures(&v, &caps, TEST_CURRENT_VMCS, memory);
    u64 qualification;

    test_memory_reads = 0;
    if (guest_valid(&v, &qualification))
        DEMAND(failures == 0);
    else
        DEMAND(qualification < 32 && failures >> qualification & 1);
    DEMAND(test_memory_reads <= 5);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    bool l1_long_mode;
    struct vmcs12 before;
    struct model_memory memory;
    u64 seed;

    base_make(take8(&in) % (BASE_V86 + 1), &v, &caps);
    l1_long_mode = take8(&in) % 16 != 0;
    seed = take64(&in);
    for (u32 i = take8(&in) % 8; i; i--)
        change(&in);
    mend_caps();
    before = v;
    memory = memory_of();
    DEMAND((check_controls(&v, &caps) == VMXERR_NONE) == model_controls_valid(&v, &caps, &memory));
    DEMAND(check_controls(&v, &caps) == VMXERR_NONE ||
           check_controls(&v, &caps) == VMXERR_ENTRY_INVALID_CONTROL_FIELD);
    DEMAND(test_memory_reads <= 3); /* one a call: VTPR */
    test_memory_reads = 0;
    DEMAND((check_host_state(&v, &caps, l1_long_mode) == VMXERR_NONE) ==
           model_host_valid(&v, &caps, l1_long_mode));
    DEMAND(check_host_state(&v, &caps, l1_long_mode) == VMXERR_NONE ||
           check_host_state(&v, &caps, l1_long_mode) == VMXERR_ENTRY_INVALID_HOST_STATE_FIELD);
    DEMAND(test_memory_reads == 0);
    check_guest(&memory);
    check_independence(seed, l1_long_mode);
    DEMAND(!memcmp(&v, &before, sizeof(v)));
    return 0;
}
