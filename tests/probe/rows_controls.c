/* VM-entry checks on the control fields, SDM vol. 3, 27.2.1. */
#include "guest_rows.h"

static const struct {
    const char *name;
    u32 field;
} words[] = {
    {"pin", PIN_BASED_VM_EXEC_CONTROL},   {"proc", CPU_BASED_VM_EXEC_CONTROL},
    {"proc2", SECONDARY_VM_EXEC_CONTROL}, {"exit", VM_EXIT_CONTROLS},
    {"entry", VM_ENTRY_CONTROLS},
};

/* Every bit that the capability MSRs fix, the other way. */
static void fixed_bit_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
        const struct control *caps = control_caps(words[i].field);

        for (u32 bit = 0; bit < 32; bit++) {
            bool must = caps->must & BIT(bit), may = caps->may & BIT(bit);

            if (!row(STATE_VMCS, "control.%s.bit %u", words[i].name, bit))
                continue;
            if (words[i].field == SECONDARY_VM_EXEC_CONTROL &&
                !row_needs(FEATURE_SECONDARY_CONTROLS))
                continue;
            row_uses(features_of(words[i].field, BIT(bit)));
            if (must != may) {
                row_skip_with(feature_name(words[i].field, bit));
                continue;
            }
            guest_setup(GUEST_64, 0);
            guest_code("nop");
            if (must)
                field_clear(words[i].field, BIT(bit));
            else
                field_set(words[i].field, BIT(bit));
            guest_run(true);
            say_exec();
            row_end();
        }
    }
}

/* Secondary controls count only if they are activated. */
static void inactive_secondary_rows(void)
{
    for (u32 bit = 0; bit < 32; bit++) {
        if (!row(STATE_VMCS, "control.proc2-inactive.bit %u", bit) ||
            !row_needs(FEATURE_SECONDARY_CONTROLS))
            continue;
        guest_setup(GUEST_64, 0);
        guest_code("nop");
        vm_write(SECONDARY_VM_EXEC_CONTROL, BIT(bit));
        field_clear(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
        guest_run(true);
        say_exec();
        row_end();
    }
}

#define USE_IO      PROC(CPU_BASED_USE_IO_BITMAPS)
#define USE_MSR     PROC(CPU_BASED_USE_MSR_BITMAPS)
#define TPR         PROC(CPU_BASED_TPR_SHADOW)
#define VTPR(value) FILL(PAGE_VIRTUAL_APIC, value)
#define VID         PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY), PIN(PIN_BASED_EXT_INTR_MASK), TPR

static const struct guest_row control_rows[] = {
    {.name = "nothing wrong", .code = "nop"},
    {.name = "cr3 targets 4", .code = "nop", .edits = {SET(CR3_TARGET_COUNT, 4)}},
    {.name = "cr3 targets 5", .code = "nop", .edits = {SET(CR3_TARGET_COUNT, 5)}},
    {.name = "cr3 targets 257", .code = "nop", .edits = {SET(CR3_TARGET_COUNT, 257)}},
    {.name = "cr3 targets max", .code = "nop", .edits = {SET(CR3_TARGET_COUNT, 0xffffffff)}},
    {.name = "io bitmap a misaligned", .code = "nop", .edits = {USE_IO, OR(IO_BITMAP_A, 1)}},
    {.name = "io bitmap a misaligned 800",
     .code = "nop",
     .edits = {USE_IO, OR(IO_BITMAP_A, 0x800)}},
    {.name = "io bitmap a beyond", .code = "nop", .edits = {USE_IO, BEYOND(IO_BITMAP_A)}},
    {.name = "io bitmap a bit 63", .code = "nop", .edits = {USE_IO, OR(IO_BITMAP_A, BIT64(63))}},
    {.name = "io bitmap b misaligned", .code = "nop", .edits = {USE_IO, OR(IO_BITMAP_B, 1)}},
    {.name = "io bitmap b beyond", .code = "nop", .edits = {USE_IO, BEYOND(IO_BITMAP_B)}},
    {.name = "io bitmaps unused",
     .code = "nop",
     .edits = {SET(IO_BITMAP_A, ~0ull), SET(IO_BITMAP_B, 1)}},
    {.name = "msr bitmap misaligned", .code = "nop", .edits = {USE_MSR, OR(MSR_BITMAP, 1)}},
    {.name = "msr bitmap misaligned 800", .code = "nop", .edits = {USE_MSR, OR(MSR_BITMAP, 0x800)}},
    {.name = "msr bitmap beyond", .code = "nop", .edits = {USE_MSR, BEYOND(MSR_BITMAP)}},
    {.name = "msr bitmap bit 63", .code = "nop", .edits = {USE_MSR, OR(MSR_BITMAP, BIT64(63))}},
    {.name = "msr bitmap unused", .code = "nop", .edits = {SET(MSR_BITMAP, ~0ull)}},
    {.name = "tpr shadow", .code = "nop", .edits = {TPR}},
    {.name = "virtual apic misaligned",
     .code = "nop",
     .edits = {TPR, OR(VIRTUAL_APIC_PAGE_ADDR, 0x10)}},
    {.name = "virtual apic beyond", .code = "nop", .edits = {TPR, BEYOND(VIRTUAL_APIC_PAGE_ADDR)}},
    {.name = "virtual apic bit 63",
     .code = "nop",
     .edits = {TPR, OR(VIRTUAL_APIC_PAGE_ADDR, BIT64(63))}},
    {.name = "virtual apic unused", .code = "nop", .edits = {SET(VIRTUAL_APIC_PAGE_ADDR, ~0ull)}},
    {.name = "tpr threshold 16", .code = "nop", .edits = {TPR, SET(TPR_THRESHOLD, 16)}},
    {.name = "tpr threshold bit 31", .code = "nop", .edits = {TPR, SET(TPR_THRESHOLD, BIT(31))}},
    {.name = "tpr threshold above vtpr",
     .code = "nop",
     .edits = {TPR, VTPR(0x30), SET(TPR_THRESHOLD, 4)}},
    {.name = "tpr threshold is vtpr",
     .code = "nop",
     .edits = {TPR, VTPR(0x3f), SET(TPR_THRESHOLD, 3)}},
    {.name = "tpr threshold unused", .code = "nop", .edits = {SET(TPR_THRESHOLD, ~0u)}},
    {.name = "x2apic without tpr shadow",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {.name = "x2apic with tpr shadow",
     .code = "nop",
     .edits = {TPR, PROC2(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {.name = "apic registers without tpr shadow",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_APIC_REGISTER_VIRT)}},
    {.name = "apic registers with tpr shadow",
     .code = "nop",
     .edits = {TPR, PROC2(SECONDARY_EXEC_APIC_REGISTER_VIRT)}},
    {.name = "vid without tpr shadow",
     .code = "nop",
     .edits = {PIN(PIN_BASED_EXT_INTR_MASK), PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)}},
    {.name = "vid without ext-int exiting",
     .code = "nop",
     .edits = {TPR, PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)}},
    {.name = "vid", .code = "nop", .edits = {VID, SET(GUEST_INTR_STATUS, 0)}},
    {.name = "nmi window without virtual nmis",
     .code = "nop",
     .edits = {PROC(CPU_BASED_VIRTUAL_NMI_PENDING)}},
    {.name = "nmi window with nmi exiting only",
     .code = "nop",
     .edits = {PROC(CPU_BASED_VIRTUAL_NMI_PENDING), PIN(PIN_BASED_NMI_EXITING)}},
    {.name = "virtual nmis without nmi exiting",
     .code = "nop",
     .edits = {PIN(PIN_BASED_VIRTUAL_NMIS)}},
    {.name = "virtual nmis",
     .code = "nop",
     .edits = {PIN(PIN_BASED_VIRTUAL_NMIS | PIN_BASED_NMI_EXITING)}},
    {.name = "apic access misaligned",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES), OR(APIC_ACCESS_ADDR, 4)}},
    {.name = "apic access beyond",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES), BEYOND(APIC_ACCESS_ADDR)}},
    {.name = "apic access unused", .code = "nop", .edits = {SET(APIC_ACCESS_ADDR, ~0ull)}},
    {.name = "apic access",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)}},
    {.name = "apic access with x2apic",
     .code = "nop",
     .edits = {TPR, PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES |
                          SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {.name = "vpid 0",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_VPID), SET(VIRTUAL_PROCESSOR_ID, 0)}},
    {.name = "vpid ffff",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_VPID), SET(VIRTUAL_PROCESSOR_ID, 0xffff)}},
    {.name = "vpid 0 unused", .code = "nop", .edits = {SET(VIRTUAL_PROCESSOR_ID, 0)}},
    {.name = "posted without vid",
     .code = "nop",
     .edits = {PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
               SET(POSTED_INTR_DESC_ADDR, 0)}},
    {.name = "posted without ack",
     .code = "nop",
     .edits = {VID, PIN(PIN_BASED_POSTED_INTR), SET(POSTED_INTR_DESC_ADDR, 0)}},
    {.name = "posted",
     .code = "nop",
     .edits = {VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
               SET(POSTED_INTR_DESC_ADDR, 0x1000), SET(POSTED_INTR_NV, 0xf2)}},
    {.name = "posted vector 100",
     .code = "nop",
     .edits = {VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
               SET(POSTED_INTR_DESC_ADDR, 0x1000), SET(POSTED_INTR_NV, 0x100)}},
    {.name = "posted misaligned",
     .code = "nop",
     .edits = {VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
               SET(POSTED_INTR_DESC_ADDR, 0x1020), SET(POSTED_INTR_NV, 0xf2)}},
    {.name = "posted beyond",
     .code = "nop",
     .edits = {VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
               SET(POSTED_INTR_DESC_ADDR, BIT64(55)), SET(POSTED_INTR_NV, 0xf2)}},
    {.name = "unrestricted without ept",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_UNRESTRICTED_GUEST)}},
    {.name = "mode-based execute without ept",
     .code = "nop",
     .edits = {PROC2(SECONDARY_EXEC_MODE_BASED_EPT_EXEC)}},
    {.name = "pml without ept", .code = "nop", .edits = {PROC2(SECONDARY_EXEC_ENABLE_PML)}},
    {.name = "save timer without timer",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_SAVE_PREEMPTION_TIMER)}},
    {.name = "ack without ext-int exiting",
     .code = "nop",
     .edits = {EXIT(VM_EXIT_ACK_INTR_ON_EXIT)}},
    {.name = "entry to smm", .code = "nop", .edits = {ENTRY(VM_ENTRY_SMM)}},
    {.name = "deactivate dual monitor",
     .code = "nop",
     .edits = {ENTRY(VM_ENTRY_DEACT_DUAL_MONITOR)}},
    {.name = "msr store misaligned",
     .code = "nop",
     .edits = {SET(VM_EXIT_MSR_STORE_COUNT, 1), OR(VM_EXIT_MSR_STORE_ADDR, 8)}},
    {.name = "msr store beyond",
     .code = "nop",
     .edits = {SET(VM_EXIT_MSR_STORE_COUNT, 1), BEYOND(VM_EXIT_MSR_STORE_ADDR)}},
    {.name = "msr store unused", .code = "nop", .edits = {SET(VM_EXIT_MSR_STORE_ADDR, ~0ull)}},
    {.name = "msr exit load misaligned",
     .code = "nop",
     .edits = {SET(VM_EXIT_MSR_LOAD_COUNT, 1), OR(VM_EXIT_MSR_LOAD_ADDR, 1)}},
    {.name = "msr exit load beyond",
     .code = "nop",
     .edits = {SET(VM_EXIT_MSR_LOAD_COUNT, 1), BEYOND(VM_EXIT_MSR_LOAD_ADDR)}},
    {.name = "msr exit load unused", .code = "nop", .edits = {SET(VM_EXIT_MSR_LOAD_ADDR, ~0ull)}},
    {.name = "msr entry load misaligned",
     .code = "nop",
     .edits = {SET(VM_ENTRY_MSR_LOAD_COUNT, 1), OR(VM_ENTRY_MSR_LOAD_ADDR, 4)}},
    {.name = "msr entry load beyond",
     .code = "nop",
     .edits = {SET(VM_ENTRY_MSR_LOAD_COUNT, 1), BEYOND(VM_ENTRY_MSR_LOAD_ADDR)}},
    {.name = "msr entry load unused", .code = "nop", .edits = {SET(VM_ENTRY_MSR_LOAD_ADDR, ~0ull)}},
    {.name = "exec vmcs pointer ignored",
     .code = "nop",
     .edits = {SET(EXECUTIVE_VMCS_POINTER, ~0ull)}},
    {.name = "host 32-bit",
     .code = "nop",
     .edits = {CLEAR(VM_EXIT_CONTROLS, VM_EXIT_HOST_ADDR_SPACE_SIZE)}},
    {.name = "host 32-bit guest 32-bit",
     .code = "nop",
     .modes = M32,
     .edits = {CLEAR(VM_EXIT_CONTROLS, VM_EXIT_HOST_ADDR_SPACE_SIZE)}},
};

static const struct guest_row ept_pointer_rows[] = {
    {.name = "eptp good", .code = "nop", .flags = EPT_ONLY},
    {.name = "eptp uncacheable",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {CLEAR(EPT_POINTER, 7)}},
    {.name = "eptp memory type 1",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {XOR(EPT_POINTER, 7)}},
    {.name = "eptp memory type 2",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {XOR(EPT_POINTER, 4)}},
    {.name = "eptp memory type 4",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {XOR(EPT_POINTER, 2)}},
    {.name = "eptp memory type 7", .code = "nop", .flags = EPT_ONLY, .edits = {OR(EPT_POINTER, 7)}},
    {.name = "eptp walk 0", .code = "nop", .flags = EPT_ONLY, .edits = {CLEAR(EPT_POINTER, 0x38)}},
    {.name = "eptp walk 2", .code = "nop", .flags = EPT_ONLY, .edits = {CLEAR(EPT_POINTER, 8)}},
    {.name = "eptp walk 5", .code = "nop", .flags = EPT_ONLY, .edits = {XOR(EPT_POINTER, 0x38)}},
    {.name = "eptp bit 7", .code = "nop", .flags = EPT_ONLY, .edits = {OR(EPT_POINTER, BIT(7))}},
    {.name = "eptp bit 8", .code = "nop", .flags = EPT_ONLY, .edits = {OR(EPT_POINTER, BIT(8))}},
    {.name = "eptp bit 11", .code = "nop", .flags = EPT_ONLY, .edits = {OR(EPT_POINTER, BIT(11))}},
    {.name = "eptp beyond", .code = "nop", .flags = EPT_ONLY, .edits = {BEYOND(EPT_POINTER)}},
    {.name = "eptp bit 52",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {OR(EPT_POINTER, BIT64(52))}},
    {.name = "eptp bit 63",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {OR(EPT_POINTER, BIT64(63))}},
    {.name = "eptp unused", .code = "nop", .flags = PLAIN_ONLY, .edits = {SET(EPT_POINTER, ~0ull)}},
    {.name = "unrestricted",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_UNRESTRICTED_GUEST)}},
    {.name = "pml misaligned",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_PML), SET(PML_ADDRESS, 0x1001)}},
    {.name = "pml beyond",
     .code = "nop",
     .flags = EPT_ONLY,
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_PML), SET(PML_ADDRESS, BIT64(55))}},
};

/* ---- physical addresses: every bit that must be zero in each */

static const struct {
    const char *name;
    u32 field;
    u32 aligned; /* so many low bits must be zero */
    struct edit edits[6];
} addresses[] = {
    {"io bitmap a", IO_BITMAP_A, 12, {USE_IO}},
    {"io bitmap b", IO_BITMAP_B, 12, {USE_IO}},
    {"msr bitmap", MSR_BITMAP, 12, {USE_MSR}},
    {"virtual apic", VIRTUAL_APIC_PAGE_ADDR, 12, {TPR}},
    {"apic access", APIC_ACCESS_ADDR, 12, {PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)}},
    {"posted",
     POSTED_INTR_DESC_ADDR,
     6,
     {VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT),
      SET(POSTED_INTR_DESC_ADDR, 0x100000)}},
    {"msr store", VM_EXIT_MSR_STORE_ADDR, 4, {SET(VM_EXIT_MSR_STORE_COUNT, 1)}},
    {"msr exit load", VM_EXIT_MSR_LOAD_ADDR, 4, {SET(VM_EXIT_MSR_LOAD_COUNT, 1)}},
    {"msr entry load", VM_ENTRY_MSR_LOAD_ADDR, 4, {SET(VM_ENTRY_MSR_LOAD_COUNT, 1)}},
};

/* Bad addresses only: what a good one does is for other rows. */
static void address_rows(void)
{
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(addresses); i++)
        for (u32 bit = 0; bit < 64; bit++) {
            struct guest_row what = {.name = name, .code = "nop", .flags = PLAIN_ONLY};

            if (bit >= addresses[i].aligned && bit < physical_bits)
                continue;
            memcpy(what.edits, addresses[i].edits, sizeof(addresses[i].edits));
            what.edits[ARRAY_SIZE(addresses[i].edits)] =
                (struct edit)OR(addresses[i].field, BIT64(bit));
            format_text(name, sizeof(name), "%s bit %u", addresses[i].name, bit);
            guest_rows("address", &what, 1);
        }
}

/* A list whose last byte lies beyond the physical addresses. */
static void list_end_rows(void)
{
    static const struct {
        const char *name;
        u32 address, count;
    } lists[] = {
        {"msr store", VM_EXIT_MSR_STORE_ADDR, VM_EXIT_MSR_STORE_COUNT},
        {"msr exit load", VM_EXIT_MSR_LOAD_ADDR, VM_EXIT_MSR_LOAD_COUNT},
        {"msr entry load", VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT},
    };
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(lists); i++) {
        struct guest_row what = {
            .name = name,
            .code = "nop",
            .flags = PLAIN_ONLY,
            .edits = {SET(lists[i].count, 2), SET(lists[i].address, BIT64(physical_bits) - 16)},
        };

        format_text(name, sizeof(name), "%s ends beyond", lists[i].name);
        guest_rows("address", &what, 1);
    }
}

/* ---- event injection: every type, vector class and bit. SDM vol. 3, 27.2.1.3 */

#define VALID     INTR_INFO_VALID_MASK
#define WITH_CODE INTR_INFO_DELIVER_CODE_MASK

static void inject_row(enum guest_mode mode, u32 info, u32 code, u32 length)
{
    if (!row(STATE_VMCS, "inject-check.%s.%x code %x length %u", guest_mode_names[mode], info, code,
             length) ||
        !mode_offered(mode, mode == GUEST_REAL ? WITH_EPT : 0))
        return;
    guest_setup(mode, mode == GUEST_REAL ? WITH_EPT : 0);
    guest_code("nop");
    field_set(GUEST_RFLAGS, RFLAGS_IF);
    vm_write(VM_ENTRY_INTR_INFO_FIELD, info);
    vm_write(VM_ENTRY_EXCEPTION_ERROR_CODE, code);
    vm_write(VM_ENTRY_INSTRUCTION_LEN, length);
    guest_run(true);
    say_exec();
    row_end();
}

static void inject_rows(void)
{
    static const u8 vectors[] = {0,  1,  2,  3,  4,  6,  7,  8,  9,  10,   11,  12,
                                 13, 14, 15, 17, 18, 20, 21, 31, 32, 0x80, 0xff};

    for (u32 type = 0; type < 8; type++)
        for (u32 i = 0; i < ARRAY_SIZE(vectors); i++) {
            u32 info = VALID | type << 8 | vectors[i];
            bool timer_of_its_own = type == 7 && vectors[i] == 0; /* MTF: see rows_events.c */

            if (timer_of_its_own)
                continue;
            inject_row(GUEST_64, info, 0, 1);
            inject_row(GUEST_64, info | WITH_CODE, 0, 1);
        }
    for (u32 bit = 12; bit < 31; bit++)
        inject_row(GUEST_64, VALID | INTR_TYPE_EXT_INTR | 0x80 | BIT(bit), 0, 0);
    for (u32 bit = 15; bit < 32; bit++)
        inject_row(GUEST_64, VALID | INTR_TYPE_EXCEPTION | WITH_CODE | VECTOR_GP, BIT(bit), 0);
    for (u32 length = 0; length <= 17; length++) {
        if (length != 1)
            inject_row(GUEST_64, VALID | INTR_TYPE_SOFT_INTR | 0x80, 0, length);
        if (length == 0 || length > 14)
            inject_row(GUEST_64, VALID | INTR_TYPE_SOFT_EXCEPTION | 3, 0, length);
    }
    inject_row(GUEST_64, VALID | INTR_TYPE_SOFT_INTR | 0x80, 0, 0xffffffff);
    inject_row(GUEST_64, 0x7fffffff, 0xffffffff, 0xffffffff);
    inject_row(GUEST_REAL, VALID | INTR_TYPE_EXCEPTION | VECTOR_GP, 0, 0);
    inject_row(GUEST_REAL, VALID | INTR_TYPE_EXCEPTION | WITH_CODE | VECTOR_GP, 0, 0);
    inject_row(GUEST_REAL, VALID | INTR_TYPE_SOFT_INTR | 0x21, 0, 2);
    inject_row(GUEST_REAL, VALID | INTR_TYPE_EXT_INTR | 0x21, 0, 2);
    inject_row(GUEST_V86, VALID | INTR_TYPE_EXCEPTION | WITH_CODE | VECTOR_GP, 0x10, 0);
    inject_row(GUEST_V86, VALID | INTR_TYPE_SOFT_INTR | 0x21, 0, 2);
    inject_row(GUEST_PAE, VALID | INTR_TYPE_EXCEPTION | WITH_CODE | VECTOR_PF, 2, 0);
    inject_row(GUEST_PAE, VALID | INTR_TYPE_SOFT_EXCEPTION | 4, 0, 1);
}

void rows_controls(void)
{
    fixed_bit_rows();
    inactive_secondary_rows();
    for (u32 i = 0; i < ARRAY_SIZE(control_rows); i++) {
        struct guest_row what = control_rows[i];

        what.flags |= PLAIN_ONLY;
        guest_rows("control", &what, 1);
    }
    guest_rows("control", ept_pointer_rows, ARRAY_SIZE(ept_pointer_rows));
    address_rows();
    list_end_rows();
    inject_rows();
}
