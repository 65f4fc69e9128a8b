/* VM-entry checks on the guest's segment registers, SDM vol. 3, 27.3.1.2. */
#include "guest_rows.h"

static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

enum part { SELECTOR, LIMIT, ACCESS, BASE };

static u32 field_of(u32 segment, enum part part)
{
    static const u32 first[] = {GUEST_ES_SELECTOR, GUEST_ES_LIMIT, GUEST_ES_AR_BYTES,
                                GUEST_ES_BASE};

    return first[part] + 2 * segment;
}

static bool start(enum guest_mode mode, u32 segment, const char *what, u64 value)
{
    u32 flags = mode == GUEST_REAL || mode == GUEST_FLAT ? WITH_EPT : 0;

    if (!row(STATE_VMCS, "segment.%s.%s %s %lx", guest_mode_names[mode], names[segment], what,
             value) ||
        !mode_offered(mode, flags))
        return false;
    guest_setup(mode, flags);
    guest_code("nop");
    return true;
}

static void finish(void)
{
    guest_run(true);
    say_exec();
    row_end();
}

static void access_rows(enum guest_mode mode, u32 segment)
{
    for (u32 bit = 0; bit < 32; bit++) {
        if (!start(mode, segment, "access flip", BIT(bit)))
            continue;
        vm_write(field_of(segment, ACCESS), vm_read(field_of(segment, ACCESS)) ^ BIT(bit));
        finish();
    }
    for (u32 type = 0; type < 16; type++) {
        if (!start(mode, segment, "type", type))
            continue;
        field_clear(field_of(segment, ACCESS), AR_TYPE_MASK | AR_UNUSABLE_MASK);
        field_set(field_of(segment, ACCESS), type | AR_P_MASK);
        finish();
    }
    for (u32 dpl = 0; dpl < 4; dpl++) {
        if (!start(mode, segment, "dpl", dpl))
            continue;
        field_clear(field_of(segment, ACCESS), 3 << AR_DPL_SHIFT);
        field_set(field_of(segment, ACCESS), dpl << AR_DPL_SHIFT);
        finish();
    }
}

static void value_rows(enum guest_mode mode, u32 segment)
{
    static const u64 selectors[] = {0, 1, 2, 3, 4, 7, 0xfff8, 0xffff};
    static const u64 limits[] = {0, 0xfff, 0x1000, 0xfffff, 0x100000, 0xfffffffe, 0xffffffff};
    static const u64 bases[] = {0x10,
                                0xfff0,
                                0x100000000,
                                0x7fffffffffff,
                                0x0000800000000000,
                                0xffff800000000000,
                                0xffffffffffffffff};

    for (u32 i = 0; i < ARRAY_SIZE(selectors); i++)
        if (start(mode, segment, "selector", selectors[i])) {
            vm_write(field_of(segment, SELECTOR), selectors[i]);
            finish();
        }
    for (u32 i = 0; i < ARRAY_SIZE(limits); i++)
        if (start(mode, segment, "limit", limits[i])) {
            vm_write(field_of(segment, LIMIT), limits[i]);
            finish();
        }
    for (u32 i = 0; i < ARRAY_SIZE(limits); i++)
        if (start(mode, segment, "limit, granularity flipped", limits[i])) {
            vm_write(field_of(segment, LIMIT), limits[i]);
            vm_write(field_of(segment, ACCESS), vm_read(field_of(segment, ACCESS)) ^ AR_G_MASK);
            finish();
        }
    for (u32 i = 0; i < ARRAY_SIZE(bases); i++)
        if (start(mode, segment, "base", bases[i])) {
            vm_write(field_of(segment, BASE), bases[i]);
            finish();
        }
}

static void unusable_rows(enum guest_mode mode, u32 segment)
{
    if (start(mode, segment, "unusable, all else wrong", 0)) {
        vm_write(field_of(segment, ACCESS), AR_UNUSABLE_MASK | 0xefff);
        vm_write(field_of(segment, LIMIT), 0x12345);
        vm_write(field_of(segment, BASE), 0xffff800000000000);
        vm_write(field_of(segment, SELECTOR), 0xffff);
        finish();
    }
    if (start(mode, segment, "usable ldt-like", 0x82)) {
        vm_write(field_of(segment, ACCESS), 0x82);
        vm_write(field_of(segment, LIMIT), 0xff);
        finish();
    }
}

/* SS and CS with all combinations of DPL, RPL and type. */
static void privilege_rows(enum guest_mode mode)
{
    for (u32 type = 9; type < 16; type += 2)
        for (u32 cs_dpl = 0; cs_dpl < 4; cs_dpl++)
            for (u32 ss_dpl = 0; ss_dpl < 4; ss_dpl++)
                for (u32 rpl = 0; rpl < 4; rpl += 3) {
                    if (!row(STATE_VMCS, "segment.%s.privilege type %u cs %u ss %u rpl %u",
                             guest_mode_names[mode], type, cs_dpl, ss_dpl, rpl) ||
                        !mode_offered(mode, 0))
                        continue;
                    guest_setup(mode, 0);
                    guest_code("nop");
                    field_clear(GUEST_CS_AR_BYTES, 0x6f);
                    field_set(GUEST_CS_AR_BYTES, type | cs_dpl << AR_DPL_SHIFT);
                    field_clear(GUEST_SS_AR_BYTES, 0x60);
                    field_set(GUEST_SS_AR_BYTES, ss_dpl << AR_DPL_SHIFT);
                    vm_write(GUEST_SS_SELECTOR, L2_SEL_DATA | rpl);
                    vm_write(GUEST_CS_SELECTOR, L2_SEL_CODE | rpl);
                    finish();
                }
}

void rows_guest_segments(void)
{
    static const enum guest_mode modes[] = {GUEST_64, GUEST_PAE, GUEST_V86, GUEST_REAL};

    for (u32 i = 0; i < ARRAY_SIZE(modes); i++)
        for (u32 segment = 0; segment < ARRAY_SIZE(names); segment++) {
            access_rows(modes[i], segment);
            value_rows(modes[i], segment);
            unusable_rows(modes[i], segment);
        }
    privilege_rows(GUEST_64);
    privilege_rows(GUEST_PAE);
}
