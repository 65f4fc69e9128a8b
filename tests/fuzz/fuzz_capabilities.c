/* vmx/capabilities.c: whatever the processor's capability MSRs say, what L1 is offered holds. */
#include "fuzz.h"

#include "vmx.h"
#include "vmx/capabilities.h"

/* Offered controls: allowed-0 within allowed-1, nothing that the processor refuses either way. */
static void check_words(u64 offered, u64 offered_true, u64 hw, u64 hw_true, bool has_true)
{
    u32 must = (u32)offered, may = (u32)(offered >> 32);
    u32 true_must = (u32)offered_true, true_may = (u32)(offered_true >> 32);
    u64 real = has_true ? hw_true : hw;

    DEMAND(!(must & ~may));
    DEMAND(!(true_must & ~true_may));
    DEMAND(may == true_may);
    DEMAND(!(true_must & ~must));        /* the true MSR only lets more be 0 */
    DEMAND(!(may & ~(u32)(real >> 32))); /* 1 is allowed only where the processor allows it */
    DEMAND(!((u32)real & ~true_must));   /* and 0 likewise */
}

static u64 take_controls(struct input *in)
{
    u64 must = take32(in), may = take32(in);

    return must | (may | must) << 32;
}

/* Of a pair, the true MSR has fewer bits that must be 1. */
static void take_pair(struct input *in, u64 *control, u64 *true_control)
{
    *control = take_controls(in);
    *true_control = *control & ~(u64)take32(in);
}

static struct vmx_caps take_hardware(struct input *in)
{
    struct vmx_caps hw = {
        .basic = take64(in),
        .proc2 = (u64)take32(in) << 32,
        .misc = take64(in),
        .cr0_fixed0 = take32(in),
        .cr4_fixed0 = take32(in),
        .ept_vpid = take64(in),
        .vmfunc = take64(in),
        .physical_bits = 36 + take8(in) % 17,
        .linear_bits = take8(in) & 1 ? 57 : 48,
    };

    hw.cr0_fixed1 = hw.cr0_fixed0 | take32(in);
    hw.cr4_fixed1 = hw.cr4_fixed0 | take64(in);
    hw.cr3_reserved = ~0ull << hw.physical_bits;
    take_pair(in, &hw.pin, &hw.true_pin);
    take_pair(in, &hw.proc, &hw.true_proc);
    take_pair(in, &hw.exit, &hw.true_exit);
    take_pair(in, &hw.entry, &hw.true_entry);
    return hw;
}

static bool offers(const struct vmx_caps *caps, enum feature feature)
{
    return caps->offered >> feature & 1;
}

/* What SDM vol. 3, "Checks on VMX Controls", would refuse alone is not offered alone. */
static void check_dependencies(const struct vmx_caps *caps)
{
    static const struct {
        enum feature feature, needs;
    } pairs[] = {
        {FEATURE_VIRTUAL_NMIS, FEATURE_NMI_EXITING},
        {FEATURE_NMI_WINDOW, FEATURE_VIRTUAL_NMIS},
        {FEATURE_X2APIC_MODE, FEATURE_TPR_SHADOW},
        {FEATURE_APIC_REGISTERS, FEATURE_TPR_SHADOW},
        {FEATURE_VIRTUAL_INTERRUPTS, FEATURE_TPR_SHADOW},
        {FEATURE_VIRTUAL_INTERRUPTS, FEATURE_EXT_INTR_EXITING},
        {FEATURE_POSTED_INTERRUPTS, FEATURE_VIRTUAL_INTERRUPTS},
        {FEATURE_POSTED_INTERRUPTS, FEATURE_ACK_INTR_ON_EXIT},
        {FEATURE_UNRESTRICTED_GUEST, FEATURE_EPT},
        {FEATURE_SAVE_PREEMPTION_TIMER, FEATURE_PREEMPTION_TIMER},
        {FEATURE_SAVE_PERF_GLOBAL, FEATURE_ENTRY_LOAD_PERF_GLOBAL},
        {FEATURE_CLEAR_UINV, FEATURE_ENTRY_LOAD_UINV},
        {FEATURE_PML, FEATURE_EPT},
        {FEATURE_EPTP_SWITCHING, FEATURE_EPT},
        {FEATURE_EPTP_SWITCHING, FEATURE_VMFUNC},
        {FEATURE_MODE_BASED_EXECUTE, FEATURE_EPT},
        {FEATURE_EPT, FEATURE_SECONDARY_CONTROLS},
        {FEATURE_VPID, FEATURE_SECONDARY_CONTROLS},
    };

    for (u32 i = 0; i < ARRAY_SIZE(pairs); i++)
        DEMAND(!offers(caps, pairs[i].feature) || offers(caps, pairs[i].needs));
    DEMAND(offers(caps, FEATURE_SECONDARY_CONTROLS) || caps->proc2 == 0);
    DEMAND(!(caps->proc2 & 0xffffffff));
    DEMAND(!(caps->ept_vpid & 0xffffffff) == !offers(caps, FEATURE_EPT));
    DEMAND(!(caps->ept_vpid >> 32) == !offers(caps, FEATURE_VPID));
}

/* Each field that exists lies within vmcs12 and below what IA32_VMX_VMCS_ENUM says. */
static void check_fields(const struct vmx_caps *caps, struct input *in)
{
    for (u32 i = 0; i < 64; i++) {
        u32 encoding = i & 1 ? take16(in) : take32(in);
        const struct field_info *field = field_lookup(encoding);

        DEMAND(field || !field_exists(caps, encoding));
        if (!field)
            continue;
        DEMAND(!(encoding & 0xffff9000));
        DEMAND(field->offset >= 8 && field->offset + 8u <= sizeof(struct vmcs12));
        if (field_exists(caps, encoding))
            DEMAND((encoding >> 1 & 0x1ff) <= (caps->vmcs_enum >> 1 & 0x1ff));
    }
}

/* VMWRITE then VMREAD gives what was written at the field's width, and changes nothing else. */
static void check_field_access(struct input *in)
{
    u32 encoding = take16(in) & 0x6fff;
    const struct field_info *field = field_lookup(encoding);
    static const u64 masks[] = {0xffff, ~0ull, 0xffffffff, ~0ull};
    static const u32 sizes[] = {2, 8, 4, 8};
    struct vmcs12 before, after;
    u64 value = take64(in), mask;
    u32 start, size;

    if (!field)
        return;
    memset(&before, take8(in), sizeof(before));
    after = before;
    mask = encoding & 1 ? 0xffffffff : masks[encoding >> 13];
    vmcs12_set(&after, field, encoding & 1, value);
    DEMAND(vmcs12_get(&after, field, encoding & 1) == (value & mask));
    start = field->offset + (encoding & 1 ? 4 : 0);
    size = encoding & 1 ? 4 : sizes[encoding >> 13];
    memcpy((u8 *)&after + start, (u8 *)&before + start, size);
    DEMAND(!memcmp(&before, &after, sizeof(before)));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    struct vmx_caps hw = take_hardware(&in), caps, again;
    bool has_true = hw.basic >> 55 & 1;
    feature_set mask = (feature_set)take64(&in) << 64 | take64(&in);

    if (take8(&in) & 1)
        mask = 0;
    memset(&caps, 0xa5, sizeof(caps));
    capabilities_compute(&caps, &hw, mask);
    check_words(caps.pin, caps.true_pin, hw.pin, hw.true_pin, has_true);
    check_words(caps.proc, caps.true_proc, hw.proc, hw.true_proc, has_true);
    check_words(caps.exit, caps.true_exit, hw.exit, hw.true_exit, has_true);
    check_words(caps.entry, caps.true_entry, hw.entry, hw.true_entry, has_true);
    DEMAND(!(caps.proc2 >> 32 & ~(hw.proc2 >> 32)));
    DEMAND((caps.basic & 0x7fffffff) == VMCS12_REVISION && !(caps.basic & BIT64(31)));
    DEMAND(!(caps.cr4_fixed1 & ~hw.cr4_fixed1) && !(hw.cr4_fixed0 & ~caps.cr4_fixed0));
    DEMAND(!(caps.vmfunc & ~hw.vmfunc) && !(caps.ept_vpid & 0x00400081 & ~hw.ept_vpid));
    DEMAND(!(caps.offered & mask));
    check_dependencies(&caps);
    check_fields(&caps, &in);
    check_field_access(&in);
    /* What is offered without a mask, taken for a processor, is offered again: Plastron on
     * Plastron. */
    capabilities_compute(&caps, &hw, 0);
    capabilities_compute(&again, &caps, 0);
    DEMAND(again.offered == caps.offered);
    DEMAND(again.pin == caps.pin && again.proc == caps.proc && again.exit == caps.exit);
    DEMAND(again.entry == caps.entry && again.proc2 == caps.proc2);
    DEMAND(again.vmcs_enum == caps.vmcs_enum && again.ept_vpid == caps.ept_vpid);
    return 0;
}
