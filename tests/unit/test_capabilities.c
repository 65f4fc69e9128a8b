/* What L1 is offered on several processors, with every single feature masked; VMCS fields. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "vmx.h"
#include "vmx/capabilities.h"
#include "x86.h"

/* As read from Bochs' processors of these names. */
#define BOCHS_COMMON                                                                               \
    .basic = 0x00d810000000002b, .cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xffffffff,               \
    .cr4_fixed0 = 0x2000, .vmcs_enum = 0x54, .physical_bits = 40, .linear_bits = 48,               \
    .cr3_reserved = ~0ull << 40

enum { SKYLAKE, CANNON_LAKE, HASWELL, IVY_BRIDGE, PENRYN, EVERYTHING, OLDEST, CPU_COUNT };

static const struct vmx_caps cpus[CPU_COUNT] = {
    [SKYLAKE] = {BOCHS_COMMON, .pin = 0x000000ff00000016, .proc = 0xfff9fffe0401e172,
                 .exit = 0x407fffff00036dff, .entry = 0x0000ffff000011ff, .misc = 0x600401e0,
                 .cr4_fixed1 = 0x3727ff, .proc2 = 0x02577fff00000000,
                 .ept_vpid = 0x00000f0106734141, .vmfunc = 1, .true_pin = 0x000000ff00000016,
                 .true_proc = 0xfff9fffe04006172, .true_exit = 0x407fffff00036dfb,
                 .true_entry = 0x0000ffff000011fb},
    [CANNON_LAKE] = {BOCHS_COMMON, .pin = 0x0000007f00000016, .proc = 0xfff9fffe0401e172,
                     .exit = 0x407fffff00036dff, .entry = 0x0000ffff000011ff, .misc = 0x600401e0,
                     .cr4_fixed1 = 0x772fff, .proc2 = 0x02557cff00000000,
                     .ept_vpid = 0x00000f0106734141, .vmfunc = 1, .true_pin = 0x0000007f00000016,
                     .true_proc = 0xfff9fffe04006172, .true_exit = 0x407fffff00036dfb,
                     .true_entry = 0x0000ffff000011fb},
    [HASWELL] = {BOCHS_COMMON, .pin = 0x0000007f00000016, .proc = 0xfff9fffe0401e172,
                 .exit = 0x407fffff00036dff, .entry = 0x0000ffff000011ff, .misc = 0x200401e0,
                 .cr4_fixed1 = 0x1727ff, .proc2 = 0x00047fff00000000,
                 .ept_vpid = 0x00000f0106334141, .vmfunc = 1, .true_pin = 0x0000007f00000016,
                 .true_proc = 0xfff9fffe04006172, .true_exit = 0x407fffff00036dfb,
                 .true_entry = 0x0000ffff000011fb},
    [IVY_BRIDGE] = {BOCHS_COMMON, .pin = 0x0000007f00000016, .proc = 0xfff9fffe0401e172,
                    .exit = 0x407fffff00036dff, .entry = 0x0000ffff000011ff, .misc = 0x000401e0,
                    .cr4_fixed1 = 0x1727ff, .proc2 = 0x000008ff00000000,
                    .ept_vpid = 0x00000f0106114141, .true_pin = 0x0000007f00000016,
                    .true_proc = 0xfff9fffe04006172, .true_exit = 0x407fffff00036dfb,
                    .true_entry = 0x0000ffff000011fb},
    [PENRYN] = {BOCHS_COMMON, .pin = 0x0000003f00000016, .proc = 0xf7f9fffe0401e172,
                .exit = 0x4003ffff00036dff, .entry = 0x00003fff000011ff, .misc = 0x000401e0,
                .cr4_fixed1 = 0x427ff, .proc2 = 0x0000004100000000, .true_pin = 0x0000003f00000016,
                .true_proc = 0xf7f9fffe04006172, .true_exit = 0x4003ffff00036dfb,
                .true_entry = 0x00003fff000011fb},
    /* Every bit set that could be: what leaks shows. */
    [EVERYTHING] = {.basic = ~BIT64(31),
                    .pin = 0xffffffff00000016,
                    .proc = 0xffffffff0401e172,
                    .exit = 0xffffffff00036dff,
                    .entry = 0xffffffff000011ff,
                    .misc = ~0ull,
                    .cr0_fixed0 = 0x80000021,
                    .cr0_fixed1 = 0xffffffff,
                    .cr4_fixed0 = 0x2000,
                    .cr4_fixed1 = ~0ull,
                    .vmcs_enum = ~0ull,
                    .proc2 = 0xffffffff00000000,
                    .ept_vpid = ~0ull,
                    .vmfunc = ~0ull,
                    .true_pin = 0xffffffff00000000,
                    .true_proc = 0xffffffff00000000,
                    .true_exit = 0xffffffff00000000,
                    .true_entry = 0xffffffff00000000,
                    .physical_bits = 52,
                    .linear_bits = 57,
                    .cr3_reserved = ~0ull << 52,
                    .perf_global_reserved = ~0xfull},
    /* No true controls, no secondary ones. */
    [OLDEST] = {.basic = 0x001a040000000007,
                .pin = 0x0000001f00000016,
                .proc = 0x7781fffe0401e172,
                .exit = 0x0003ffff00036dff,
                .entry = 0x00003fff000011ff,
                .misc = 0x303c0,
                .cr0_fixed0 = 0x80000021,
                .cr0_fixed1 = 0xffffffff,
                .cr4_fixed0 = 0x2000,
                .cr4_fixed1 = 0x27ff,
                .vmcs_enum = 0x2c,
                .physical_bits = 36,
                .linear_bits = 48},
};

#define DEFAULT1_PIN   0x16u
#define DEFAULT1_PROC  0x0401e172u
#define DEFAULT1_EXIT  0x00036dffu
#define DEFAULT1_ENTRY 0x000011ffu

enum word { PIN, PROC, PROC2, EXIT, ENTRY, EPT_VPID, VMFUNC, WORD_COUNT };
static const struct {
    enum word word;
    u32 bit;
} features[FEATURE_COUNT] = {
#define X(id, name, word, bit) {word, bit},
    PLASTRON_FEATURES(X)
#undef X
};

/* The bits of a word that the table knows. */
static u64 known_bits(enum word word)
{
    u64 bits = 0;

    for (u32 i = 0; i < FEATURE_COUNT; i++)
        bits |= features[i].word == word ? BIT64(features[i].bit) : 0;
    return bits;
}

static feature_set hidden(enum feature feature) { return FEATURE_BIT(feature); }

/* The 1-settings L1 reads, by word. */
static u64 may(const struct vmx_caps *caps, enum word word)
{
    const u64 values[WORD_COUNT] = {
        [PIN] = caps->true_pin >> 32,     [PROC] = caps->true_proc >> 32,
        [PROC2] = caps->proc2 >> 32,      [EXIT] = caps->true_exit >> 32,
        [ENTRY] = caps->true_entry >> 32, [EPT_VPID] = caps->ept_vpid,
        [VMFUNC] = caps->vmfunc,
    };

    return values[word];
}

/* One pair of control MSRs: consistent with each other and within what the processor has. */
static void check_pair(u64 msr, u64 true_msr, u64 hw, u64 hw_true, u32 default1, u64 known)
{
    assert_int_equal((u32)msr, default1);
    assert_int_equal(msr >> 32, true_msr >> 32);
    assert_int_equal((u32)true_msr & ~default1, 0);         /* only default1 bits must be 1 */
    assert_int_equal((u32)true_msr & ~(true_msr >> 32), 0); /* what must be 1 may be 1 */
    assert_int_equal(msr >> 32 & ~(hw >> 32), 0);           /* nothing the processor lacks */
    assert_int_equal((u32)hw_true & ~(u32)true_msr, 0);     /* 0-settings the processor has */
    assert_int_equal(msr >> 32 & ~(known | default1), 0);   /* nothing the table lacks */
    assert_int_equal(default1 & ~(u32)true_msr & ~(u32)known, 0);
}

/* What holds on any processor with any mask. */
static void check_any(const struct vmx_caps *caps, const struct vmx_caps *hw, feature_set mask)
{
    bool has_true = hw->basic & VMX_BASIC_TRUE_CTLS;

    check_pair(caps->pin, caps->true_pin, hw->pin, has_true ? hw->true_pin : hw->pin, DEFAULT1_PIN,
               known_bits(PIN));
    check_pair(caps->proc, caps->true_proc, hw->proc, has_true ? hw->true_proc : hw->proc,
               DEFAULT1_PROC, known_bits(PROC));
    check_pair(caps->exit, caps->true_exit, hw->exit, has_true ? hw->true_exit : hw->exit,
               DEFAULT1_EXIT, known_bits(EXIT));
    check_pair(caps->entry, caps->true_entry, hw->entry, has_true ? hw->true_entry : hw->entry,
               DEFAULT1_ENTRY, known_bits(ENTRY));
    assert_int_equal((u32)caps->proc2, 0);
    assert_int_equal(caps->proc2 >> 32 & ~(known_bits(PROC2) & hw->proc2 >> 32), 0);
    assert_true((caps->offered & mask) == 0);
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        bool on = may(caps, features[i].word) >> features[i].bit & 1;
        const u32 default1[WORD_COUNT] = {[PIN] = DEFAULT1_PIN,
                                          [PROC] = DEFAULT1_PROC,
                                          [EXIT] = DEFAULT1_EXIT,
                                          [ENTRY] = DEFAULT1_ENTRY};

        if (!(default1[features[i].word] >> (features[i].bit & 31) & 1))
            assert_int_equal(on, caps_offer(caps, i));
    }
    assert_int_equal(caps->basic & VMX_BASIC_REVISION, VMCS12_REVISION);
    assert_int_equal(caps->basic >> VMX_BASIC_SIZE_SHIFT & 0x1fff, 4096);
    assert_int_equal(caps->basic >> VMX_BASIC_MEMORY_TYPE_SHIFT & 15, MT_WB);
    assert_false(caps->basic & VMX_BASIC_DUAL_MONITOR);
    assert_int_equal(caps->basic >> 57, 0);
    assert_int_equal((caps->basic ^ hw->basic) & (BIT64(48) | BIT64(54) | BIT64(55) | BIT64(56)),
                     0);
    assert_int_equal(caps->misc & ~hw->misc, 0);
    assert_int_equal(caps->misc & (VMX_MISC_PT | VMX_MISC_SMBASE | VMX_MISC_VMXOFF_SMI), 0);
    assert_int_equal(caps->misc >> 31, 0);
    assert_int_equal(caps->misc & 0x3e00, 0); /* reserved */
    assert_int_equal((caps->misc ^ hw->misc) & 0x6e0001ff, 0);
    assert_int_equal(caps->misc >> 16 & 0x1ff,
                     (hw->misc >> 16 & 0x1ff) < 4 ? hw->misc >> 16 & 0x1ff : 4);
    assert_int_equal(caps->cr0_fixed0, hw->cr0_fixed0);
    assert_int_equal(caps->cr0_fixed1, hw->cr0_fixed1);
    assert_int_equal(caps->cr4_fixed0, hw->cr4_fixed0);
    assert_int_equal(caps->cr4_fixed1, hw->cr4_fixed1 & ~HIDDEN_CR4);
    assert_int_equal(caps->physical_bits, hw->physical_bits);
    assert_int_equal(caps->linear_bits, hw->linear_bits);
    assert_int_equal(caps->cr3_reserved, hw->cr3_reserved);
    assert_int_equal(caps->perf_global_reserved, hw->perf_global_reserved);
    assert_int_equal(caps->vmfunc & ~known_bits(VMFUNC), 0);
    assert_int_equal((bool)(caps->ept_vpid & EPT_CAP_4_LEVEL), caps_offer(caps, FEATURE_EPT));
    assert_int_equal((bool)(caps->ept_vpid & EPT_CAP_INVEPT), caps_offer(caps, FEATURE_EPT));
    assert_int_equal((bool)(caps->ept_vpid & VPID_CAP_INVVPID), caps_offer(caps, FEATURE_VPID));
}

/* What a feature needs, told apart from the code's own table: two at most. */
static bool needs_met(const struct vmx_caps *caps, enum feature feature)
{
    bool secondary = caps_offer(caps, FEATURE_SECONDARY_CONTROLS);

    if (features[feature].word == PROC2 && !secondary)
        return false;
    switch (feature) {
    case FEATURE_VIRTUAL_NMIS: return caps_offer(caps, FEATURE_NMI_EXITING);
    case FEATURE_NMI_WINDOW: return caps_offer(caps, FEATURE_VIRTUAL_NMIS);
    case FEATURE_SAVE_PREEMPTION_TIMER: return caps_offer(caps, FEATURE_PREEMPTION_TIMER);
    case FEATURE_CLEAR_UINV: return caps_offer(caps, FEATURE_ENTRY_LOAD_UINV);
    case FEATURE_SAVE_PERF_GLOBAL: return caps_offer(caps, FEATURE_ENTRY_LOAD_PERF_GLOBAL);
    case FEATURE_X2APIC_MODE:
    case FEATURE_APIC_REGISTERS: return caps_offer(caps, FEATURE_TPR_SHADOW);
    case FEATURE_VIRTUAL_INTERRUPTS:
        return caps_offer(caps, FEATURE_TPR_SHADOW) && caps_offer(caps, FEATURE_EXT_INTR_EXITING);
    case FEATURE_POSTED_INTERRUPTS:
        return caps_offer(caps, FEATURE_VIRTUAL_INTERRUPTS) &&
               caps_offer(caps, FEATURE_ACK_INTR_ON_EXIT);
    case FEATURE_UNRESTRICTED_GUEST:
    case FEATURE_EPT_EXECUTE_ONLY:
    case FEATURE_EPT_UC:
    case FEATURE_EPT_5_LEVEL:
    case FEATURE_EPT_2M:
    case FEATURE_EPT_1G:
    case FEATURE_EPT_ACCESSED_DIRTY:
    case FEATURE_EPT_ADVANCED_EXIT_INFO: return caps_offer(caps, FEATURE_EPT);
    case FEATURE_EPTP_SWITCHING:
        return caps_offer(caps, FEATURE_VMFUNC) && caps_offer(caps, FEATURE_EPT);
    case FEATURE_EPT_VIOLATION_VE:
    case FEATURE_MODE_BASED_EXECUTE: return caps_offer(caps, FEATURE_EPT);
    case FEATURE_PML: return caps_offer(caps, FEATURE_EPT_ACCESSED_DIRTY);
    case FEATURE_INVVPID_ADDRESS:
    case FEATURE_INVVPID_RETAIN_GLOBALS: return caps_offer(caps, FEATURE_VPID);
    case FEATURE_TSC_SCALING: return caps_offer(caps, FEATURE_TSC_OFFSETTING);
    case FEATURE_GUEST_64BIT: return caps_offer(caps, FEATURE_HOST_64BIT);
    default: return true;
    }
}

static void check_needs(const struct vmx_caps *caps, const struct vmx_caps *unmasked,
                        feature_set mask)
{
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        bool wanted = caps_offer(unmasked, i) && !(mask >> i & 1) && needs_met(caps, i);

        assert_int_equal(caps_offer(caps, i), wanted);
    }
}

/* Every processor with nothing, each single feature, each pair and everything masked. */
static void test_masks(void **state)
{
    (void)state;
    for (u32 cpu = 0; cpu < CPU_COUNT; cpu++) {
        struct vmx_caps unmasked, caps;

        capabilities_compute(&unmasked, &cpus[cpu], 0);
        check_any(&unmasked, &cpus[cpu], 0);
        for (u32 i = 0; i < FEATURE_COUNT; i++) {
            for (u32 j = i; j < FEATURE_COUNT; j++) {
                feature_set mask = hidden(i) | hidden(j);

                capabilities_compute(&caps, &cpus[cpu], mask);
                check_any(&caps, &cpus[cpu], mask);
                check_needs(&caps, &unmasked, mask);
            }
        }
        capabilities_compute(&caps, &cpus[cpu], ~(feature_set)0);
        check_any(&caps, &cpus[cpu], ~(feature_set)0);
        assert_true(caps.offered == 0);
        assert_int_equal(caps.true_pin, (u64)DEFAULT1_PIN << 32 | DEFAULT1_PIN);
        assert_int_equal(caps.true_proc, (u64)DEFAULT1_PROC << 32 | DEFAULT1_PROC);
        assert_int_equal(caps.proc2, 0);
        assert_int_equal(caps.true_exit, (u64)DEFAULT1_EXIT << 32 | DEFAULT1_EXIT);
        assert_int_equal(caps.true_entry, (u64)DEFAULT1_ENTRY << 32 | DEFAULT1_ENTRY);
        assert_int_equal(caps.ept_vpid, 0);
    }
}

static void test_skylake(void **state)
{
    struct vmx_caps caps;

    (void)state;
    capabilities_compute(&caps, &cpus[SKYLAKE], 0);
    assert_int_equal(caps.basic, 0x00d8100000000000 | VMCS12_REVISION);
    assert_int_equal(caps.true_pin, 0x000000ff00000016);
    assert_int_equal(caps.pin, 0x000000ff00000016);
    assert_int_equal(caps.proc, 0xfff9fffe0401e172);
    assert_int_equal(caps.true_proc, 0xfff9fffe04006172);
    assert_int_equal(caps.exit, 0x407fffff00036dff);
    assert_int_equal(caps.true_exit, 0x407fffff00036dfb);
    assert_int_equal(caps.entry, 0x0000f3ff000011ff);
    assert_int_equal(caps.true_entry, 0x0000f3ff000011fb);
    assert_int_equal(caps.misc, 0x600401e0);
    assert_int_equal(caps.proc2 >> 32, 0x02577fff);
    assert_int_equal(caps.vmfunc, 1);
    assert_int_equal(caps.ept_vpid, 0x00000f0106734141);
    assert_int_equal(caps.vmcs_enum, 0x32); /* TSC_MULTIPLIER */
    assert_int_equal(caps.cr4_fixed1, 0x3727ff);
}

static void test_ivy_bridge(void **state)
{
    struct vmx_caps caps;

    (void)state;
    capabilities_compute(&caps, &cpus[IVY_BRIDGE], 0);
    assert_int_equal(caps.proc2 >> 32, 0x8ff);
    assert_int_equal(caps.ept_vpid, 0x00000f0106114141);
    assert_int_equal(caps.misc, 0x000401e0);
    assert_false(caps_offer(&caps, FEATURE_POSTED_INTERRUPTS));
    assert_int_equal(caps.vmcs_enum, 0x2e); /* VMX_PREEMPTION_TIMER_VALUE */
}

static void test_penryn(void **state)
{
    struct vmx_caps caps;

    (void)state;
    capabilities_compute(&caps, &cpus[PENRYN], 0);
    assert_int_equal(caps.ept_vpid, 0);
    assert_int_equal(caps.proc2 >> 32, 0x41);
    assert_false(caps_offer(&caps, FEATURE_PREEMPTION_TIMER));
    assert_int_equal(caps.vmcs_enum, 0x2a); /* GUEST_SYSENTER_CS */
}

/* No true MSRs: the checks, which use those, must find the old ones there. */
static void test_oldest(void **state)
{
    struct vmx_caps caps;

    (void)state;
    capabilities_compute(&caps, &cpus[OLDEST], 0);
    assert_int_equal(caps.pin, 0x0000001f00000016);
    assert_int_equal(caps.proc, 0x7781fffe0401e172);
    assert_int_equal(caps.true_pin, caps.pin);
    assert_int_equal(caps.true_proc, caps.proc);
    assert_int_equal(caps.true_exit, caps.exit);
    assert_int_equal(caps.true_entry, caps.entry);
    assert_int_equal(caps.proc2, 0);
    assert_false(caps.basic & VMX_BASIC_TRUE_CTLS);
    assert_false(field_exists(&caps, SECONDARY_VM_EXEC_CONTROL));
}

/* Without advanced exit information L0 could not do what this one needs; masked it is there. */
static void test_mode_based_execute(void **state)
{
    struct vmx_caps hw = cpus[SKYLAKE], caps;

    (void)state;
    capabilities_compute(&caps, &hw, FEATURE_BIT(FEATURE_EPT_ADVANCED_EXIT_INFO));
    assert_true(caps_offer(&caps, FEATURE_MODE_BASED_EXECUTE));
    hw.ept_vpid &= ~EPT_CAP_ADVANCED_EXIT_INFO;
    capabilities_compute(&caps, &hw, 0);
    assert_false(caps_offer(&caps, FEATURE_MODE_BASED_EXECUTE));
}

/* A masked default1 control keeps its 1-setting and loses its 0-setting. */
static void test_default1(void **state)
{
    static const struct {
        enum feature feature;
        u32 bit;
    } rows[] = {{FEATURE_CR3_LOAD_EXITING, 15},
                {FEATURE_CR3_STORE_EXITING, 16},
                {FEATURE_SAVE_DEBUG_CONTROLS, 2},
                {FEATURE_ENTRY_LOAD_DEBUG_CONTROLS, 2}};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vmx_caps caps;
        u64 msr;

        capabilities_compute(&caps, &cpus[SKYLAKE], hidden(rows[i].feature));
        msr = i < 2 ? caps.true_proc : i == 2 ? caps.true_exit : caps.true_entry;
        assert_true(msr >> rows[i].bit & 1);
        assert_true(msr >> (32 + rows[i].bit) & 1);
    }
}

/* Any error code, 32-bit addresses, MISC bits: only if the processor has them. */
static void test_everything(void **state)
{
    struct vmx_caps caps;

    (void)state;
    capabilities_compute(&caps, &cpus[EVERYTHING], 0);
    assert_true(caps.offered == FEATURE_BIT(FEATURE_COUNT) - 1);
    assert_int_equal(caps.basic >> 32, 0x01d91000);
    assert_int_equal(caps.misc, 0x6e0401ff);
    assert_int_equal(caps.true_pin, 0x000000ff00000016);
    assert_int_equal(caps.true_proc, 0xfff9fffe04006172);
    assert_int_equal(caps.true_exit, 0x787fffff00036dfb);
    assert_int_equal(caps.true_entry, 0x0058f3ff000011fb);
    assert_int_equal(caps.ept_vpid, 0x00000f01067341c1);
}

/* The fields, drawn from their list again. */
static const struct {
    u32 encoding, offset, size;
    const char *needs;
} wanted_fields[] = {
#define X(name, encoding, member, needs)                                                           \
    {encoding, offsetof(struct vmcs12, member), sizeof(((struct vmcs12 *)0)->member), #needs},
    VMCS12_FIELDS(X)
#undef X
};

static bool wanted_field(u32 encoding, u32 *at)
{
    for (u32 i = 0; i < ARRAY_SIZE(wanted_fields); i++) {
        bool wide = VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64;

        if (wanted_fields[i].encoding == (wide ? encoding & ~1u : encoding)) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* Every encoding of 16 bits, and each higher bit. */
static void test_lookup(void **state)
{
    (void)state;
    for (u32 encoding = 0; encoding < 0x10000; encoding++) {
        const struct field_info *field = field_lookup(encoding);
        u32 i = 0;

        if (!wanted_field(encoding, &i)) {
            assert_null(field);
            continue;
        }
        assert_non_null(field);
        assert_int_equal(field->offset, wanted_fields[i].offset);
        assert_int_equal(field->width, VMCS_FIELD_WIDTH(encoding));
        for (u32 bit = 16; bit < 32; bit++)
            assert_null(field_lookup(encoding | BIT(bit)));
    }
}

static enum feature feature_named(const char *id)
{
    static const char *const names[] = {
#define X(id, name, word, bit) #id,
        PLASTRON_FEATURES(X)
#undef X
    };

    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        if (!strcmp(names[i], id))
            return i;
    }
    fail();
    return 0;
}

static bool wanted_exists(u32 i, const struct vmx_caps *caps)
{
    const char *needs = wanted_fields[i].needs;

    if (!strcmp(needs, "ALWAYS"))
        return true;
    if (!strcmp(needs, "PAT"))
        return caps_offer(caps, FEATURE_SAVE_PAT) || caps_offer(caps, FEATURE_ENTRY_LOAD_PAT);
    if (!strcmp(needs, "EFER"))
        return caps_offer(caps, FEATURE_SAVE_EFER) || caps_offer(caps, FEATURE_ENTRY_LOAD_EFER);
    return caps_offer(caps, feature_named(needs));
}

/* Which fields exist, and VMCS_ENUM with them, with each pair of features masked. */
static void check_fields(const struct vmx_caps *hw)
{
    for (u32 one = 0; one < FEATURE_COUNT; one++) {
        for (u32 two = one; two < FEATURE_COUNT; two++) {
            struct vmx_caps caps;
            u32 highest = 0;

            capabilities_compute(&caps, hw, hidden(one) | hidden(two));
            for (u32 i = 0; i < ARRAY_SIZE(wanted_fields); i++) {
                u32 encoding = wanted_fields[i].encoding;
                bool exists = wanted_exists(i, &caps);

                assert_int_equal(field_exists(&caps, encoding), exists);
                if (VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64)
                    assert_int_equal(field_exists(&caps, encoding | 1), exists);
                if (exists && VMCS_FIELD_INDEX(encoding) > highest)
                    highest = VMCS_FIELD_INDEX(encoding);
            }
            assert_int_equal(caps.vmcs_enum, highest << 1);
        }
    }
}

static void test_exists(void **state)
{
    (void)state;
    check_fields(&cpus[SKYLAKE]);
    check_fields(&cpus[EVERYTHING]);
}

/* L1's SSP is loaded by an entry of L0's. */
static void test_cet(void **state)
{
    struct vmx_caps hw = cpus[EVERYTHING], caps;

    (void)state;
    capabilities_compute(&caps, &hw, hidden(FEATURE_ENTRY_LOAD_CET));
    assert_true(caps_offer(&caps, FEATURE_EXIT_LOAD_CET));
    hw.true_entry &= ~((u64)VM_ENTRY_LOAD_CET_STATE << 32);
    capabilities_compute(&caps, &hw, 0);
    assert_false(caps_offer(&caps, FEATURE_EXIT_LOAD_CET));
    assert_false(caps_offer(&caps, FEATURE_ENTRY_LOAD_CET));
}

/* A hypervisor below has left these out: one that every processor has, the one with the highest
   index, one that exists with a feature. */
static bool all_but_three(u32 encoding)
{
    return encoding != EXECUTIVE_VMCS_POINTER && encoding != TSC_MULTIPLIER &&
           encoding != GUEST_PDPTR0;
}

static void test_missing_fields(void **state)
{
    struct vmx_caps hw = cpus[SKYLAKE], all, caps;

    (void)state;
    capabilities_compute(&all, &hw, 0);
    capabilities_find_missing_fields(&hw, all_but_three);
    capabilities_compute(&caps, &hw, 0);
    for (u32 i = 0; i < ARRAY_SIZE(wanted_fields); i++) {
        u32 encoding = wanted_fields[i].encoding;

        assert_int_equal(field_exists(&caps, encoding),
                         field_exists(&all, encoding) && all_but_three(encoding));
    }
    assert_false(field_exists(&caps, TSC_MULTIPLIER | 1));
    assert_int_equal(caps.vmcs_enum, 0x2e); /* VMX_PREEMPTION_TIMER_VALUE */
}

/* VMCS shadowing needs a processor whose VMWRITE reaches all fields. */
static void test_shadowing(void **state)
{
    struct vmx_caps hw = cpus[SKYLAKE], caps;

    (void)state;
    capabilities_compute(&caps, &hw, 0);
    assert_true(caps_offer(&caps, FEATURE_VMCS_SHADOWING));
    assert_true(field_exists(&caps, VMREAD_BITMAP));
    hw.misc &= ~VMX_MISC_VMWRITE_ANY;
    capabilities_compute(&caps, &hw, 0);
    assert_false(caps_offer(&caps, FEATURE_VMCS_SHADOWING));
    assert_false(field_exists(&caps, VMWRITE_BITMAP));
}

/* Each field holds what is written, at its width, and touches no other byte. */
static void test_get_set(void **state)
{
    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(wanted_fields); i++) {
        const struct field_info *field = field_lookup(wanted_fields[i].encoding);
        u32 size = wanted_fields[i].size;
        u64 value = 0x1122334455667788;
        u64 kept = size == 8 ? value : value & (BIT64(8 * size % 64) - 1);
        struct vmcs12 v, expected;

        memset(&v, 0xa5, sizeof(v));
        expected = v;
        memcpy((u8 *)&expected + wanted_fields[i].offset, &kept, size);
        vmcs12_set(&v, field, false, value);
        assert_memory_equal(&v, &expected, sizeof(v));
        assert_int_equal(vmcs12_get(&v, field, false), kept);
        if (VMCS_FIELD_WIDTH(wanted_fields[i].encoding) != VMCS_WIDTH_64)
            continue;
        assert_int_equal(vmcs12_get(&v, field, true), 0x11223344);
        vmcs12_set(&v, field, true, 0xffffffff99aabbcc);
        assert_int_equal(vmcs12_get(&v, field, false), 0x99aabbcc55667788);
        kept = 0x99aabbcc55667788;
        memcpy((u8 *)&expected + wanted_fields[i].offset, &kept, size);
        assert_memory_equal(&v, &expected, sizeof(v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),          cmocka_unit_test(test_skylake),
        cmocka_unit_test(test_ivy_bridge),     cmocka_unit_test(test_penryn),
        cmocka_unit_test(test_oldest),         cmocka_unit_test(test_default1),
        cmocka_unit_test(test_everything),     cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_exists),         cmocka_unit_test(test_cet),
        cmocka_unit_test(test_missing_fields), cmocka_unit_test(test_shadowing),
        cmocka_unit_test(test_get_set),        cmocka_unit_test(test_mode_based_execute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
