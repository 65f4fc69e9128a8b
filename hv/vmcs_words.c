#include "vmcs_words.h"
#include "exit_words.h"
#include "names.h"
#include "vmcs_bits.h"
#include "vmcs_fields.h"
#include "vmx.h"
#include "vmx_errors.h"
#include "x86.h"

/* A value, and where it was read. */
struct reading {
    u32 field;
    u64 value;
    const struct vmcs_context *context;
};

static NAMES(rflags_bits) = "0 CF\0"
                            "2 PF\0"
                            "4 AF\0"
                            "6 ZF\0"
                            "7 SF\0"
                            "8 TF\0"
                            "9 IF\0"
                            "10 DF\0"
                            "11 OF\0"
                            "14 NT\0"
                            "16 RF\0"
                            "17 VM\0"
                            "18 AC\0"
                            "19 VIF\0"
                            "20 VIP\0"
                            "21 ID\0";
static NAMES(dr7_bits) = "0 L0\0"
                         "1 G0\0"
                         "2 L1\0"
                         "3 G1\0"
                         "4 L2\0"
                         "5 G2\0"
                         "6 L3\0"
                         "7 G3\0"
                         "8 LE\0"
                         "9 GE\0"
                         "11 RTM\0"
                         "13 GD\0";
static NAMES(s_cet_bits) = "0 SH_STK_EN\0"
                           "1 WR_SHSTK_EN\0"
                           "2 ENDBR_EN\0"
                           "3 LEG_IW_EN\0"
                           "4 NO_TRACK_EN\0"
                           "5 SUPPRESS_DIS\0"
                           "10 SUPPRESS\0"
                           "11 TRACKER\0";
static NAMES(reason_bits) = "25 shadow stack busy\0"
                            "26 bus lock\0"
                            "27 in an enclave\0"
                            "28 pending MTF\0"
                            "29 from VMX root\0"
                            "31 VM-entry failure\0";
static NAMES(code_bits) = "0 accessed\0"
                          "1 readable\0"
                          "2 conforming\0";
static NAMES(data_bits) = "0 accessed\0"
                          "1 writable\0"
                          "2 expand-down\0";
static NAMES(segment_bits) = "7 present\0"
                             "12 AVL\0"
                             "13 64-bit\0"
                             "14 32-bit\0"
                             "15 4K granularity\0";
static NAMES(system_segments) = "1 available 16-bit TSS\0"
                                "2 LDT\0"
                                "3 busy 16-bit TSS\0"
                                "9 available TSS\0"
                                "11 busy TSS\0";
static NAMES(activity_states) = "0 active\0"
                                "1 HLT\0"
                                "2 shutdown\0"
                                "3 wait-for-SIPI\0";
static NAMES(event_types) = "0 external interrupt\0"
                            "2 NMI\0"
                            "3 exception\0"
                            "4 software interrupt\0"
                            "5 privileged software exception\0"
                            "6 software exception\0"
                            "7 other event\0";
static NAMES(exit_event_bits) = "12 NMI unblocked\0";
static NAMES(memory_types) = "0 UC\0"
                             "1 WC\0"
                             "4 WT\0"
                             "5 WP\0"
                             "6 WB\0"
                             "7 UC-\0";
static NAMES(eptp_types) = "0 UC\0"
                           "6 WB\0";
static NAMES(eptp_bits) = "6 A/D flags\0"
                          "7 shadow stacks\0";
static NAMES(breakpoint_types) = "0 execute\0"
                                 "1 write\0"
                                 "2 I/O\0"
                                 "3 access\0";
static NAMES(control_protection_codes) = "1 near RET\0"
                                         "2 far RET or IRET\0"
                                         "3 ENDBRANCH\0"
                                         "4 RSTORSSP\0"
                                         "5 SETSSBSY\0";

static void vpid(struct text *list, const struct reading *reading)
{
    if (reading->value == 0)
        word_list_add(list, "none");
}

static void link_pointer(struct text *list, const struct reading *reading)
{
    if (reading->value == ~0ull)
        word_list_add(list, "none");
}

static void interrupt_status(struct text *list, const struct reading *reading)
{
    word_list_add(list, "RVI %#lx, SVI %#lx", reading->value & 0xff, reading->value >> 8);
}

static void tsc_offset(struct text *list, const struct reading *reading)
{
    if (reading->value >> 63)
        word_list_add(list, "-%#lx", 0 - reading->value);
}

/* A number with 48 fractional bits. */
static void tsc_multiplier(struct text *list, const struct reading *reading)
{
    u64 thousandths = (reading->value & (BIT64(48) - 1)) * 1000 >> 48;

    word_list_add(list, "times %lu.%03lu", reading->value >> 48, thousandths);
}

static void ept_pointer(struct text *list, const struct reading *reading)
{
    u64 value = reading->value, table = value & EPT_ADDR, type = value & EPTP_MEMORY_TYPE;
    u64 length = value & EPTP_WALK_LENGTH;

    if (value == 0) {
        word_list_add(list, "none");
        return;
    }
    word_list_add(list, "table at %#lx, %u levels", table, (u32)(length >> 3) + 1);
    word_list_name(list, eptp_types, "type", type);
    word_list_bits(list, eptp_bits, value - table - type - length);
}

static void pat(struct text *list, const struct reading *reading)
{
    for (u32 entry = 0; entry < 8; entry++)
        word_list_name(list, memory_types, "type", reading->value >> entry * 8 & 0xff);
}

static void s_cet(struct text *list, const struct reading *reading)
{
    u64 bitmap = reading->value & PAGE_MASK;

    word_list_bits(list, s_cet_bits, reading->value - bitmap);
    if (bitmap)
        word_list_add(list, "bitmap at %#lx", bitmap);
}

static void rflags(struct text *list, const struct reading *reading)
{
    u64 iopl = reading->value >> 12 & 3;

    bits_in_words(list, rflags_bits, reading->value & ~(3ull << 12), RFLAGS_FIXED);
    if (iopl)
        word_list_add(list, "IOPL %lu", iopl);
}

/* The conditions are those of enabled breakpoints. SDM vol. 3, "Debug Control Register (DR7)". */
static void dr7(struct text *list, const struct reading *reading)
{
    u64 value = reading->value, conditions = 0xffff0000;

    bits_in_words(list, dr7_bits, value & ~conditions, BIT(10));
    for (u32 i = 0; i < 4; i++) {
        u64 condition = value >> (16 + 4 * i) & 15;

        if (value >> 2 * i & 3)
            word_list_add(list, "DR%u %s %c", i, name_of(breakpoint_types, condition & 3),
                          "1284"[condition >> 2]);
    }
}

/* NULL if there is none. It has three characters, and more may follow. */
static const char *mnemonic(u32 vector)
{
    const char *name = exception_name(vector);

    return name[0] == '#' || vector == VECTOR_NMI ? name : NULL;
}

static void exception_bitmap(struct text *list, const struct reading *reading)
{
    for (u32 vector = 0; vector < 32; vector++) {
        const char *name = mnemonic(vector);

        if (!(reading->value >> vector & 1))
            continue;
        if (name)
            word_list_add(list, "%.3s", name);
        else
            word_list_add(list, "vector %#x", vector);
    }
}

static void eoi_bitmap(struct text *list, const struct reading *reading)
{
    u32 first = (reading->field - EOI_EXIT_BITMAP0) / 2 * 64;

    for (u32 bit = 0; bit < 64; bit++)
        if (reading->value >> bit & 1)
            word_list_add(list, "%#x", first + bit);
}

static bool is_exception(u32 type)
{
    return type == INTR_TYPE_EXCEPTION || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
           type == INTR_TYPE_SOFT_EXCEPTION;
}

static void event_vector(struct text *list, u32 type, u32 vector)
{
    const char *name = is_exception(type) ? mnemonic(vector) : NULL;

    if (name)
        text_add(list, " %.3s (%u)", name, vector);
    else if (type != INTR_TYPE_NMI || vector != VECTOR_NMI)
        text_add(list, " vector %#x", vector);
}

/* Bit 12 is another in each of the three fields: reserved, undefined, or defined. */
static void event(struct text *list, const struct reading *reading)
{
    u32 info = (u32)reading->value, type = info & INTR_INFO_INTR_TYPE_MASK;
    u32 rest = info & ~(INTR_INFO_VECTOR_MASK | INTR_INFO_INTR_TYPE_MASK |
                        INTR_INFO_DELIVER_CODE_MASK | INTR_INFO_VALID_MASK);

    if (!(info & INTR_INFO_VALID_MASK)) {
        word_list_add(list, "none");
        return;
    }
    word_list_name(list, event_types, "type", type >> 8);
    event_vector(list, type, info & INTR_INFO_VECTOR_MASK);
    if (info & INTR_INFO_DELIVER_CODE_MASK)
        text_add(list, " with error code");
    if (reading->field == IDT_VECTORING_INFO_FIELD)
        rest &= ~INTR_INFO_NMI_UNBLOCKED;
    word_list_bits(list, reading->field == VM_EXIT_INTR_INFO ? exit_event_bits : "", rest);
}

/* The information that the error code belongs to. */
static u32 info_of_error_code(const struct reading *reading)
{
    switch (reading->field) {
    case VM_ENTRY_EXCEPTION_ERROR_CODE: return reading->context->entry_intr_info;
    case VM_EXIT_INTR_ERROR_CODE: return reading->context->exit_intr_info;
    default: return reading->context->idt_vectoring_info;
    }
}

/* SDM vol. 3, "Error Code" of the chapter on interrupts and exceptions. */
static void selector_error(struct text *list, u64 code)
{
    if (code & BIT64(1))
        word_list_add(list, "IDT vector %#lx", code >> 3 & 0x1fff);
    else if (code & 0xfffc)
        word_list_add(list, "%s selector %#lx", code & BIT64(2) ? "LDT" : "GDT", code & 0xfff8);
    if (code & BIT64(0))
        word_list_add(list, "external event");
}

static void error_code(struct text *list, const struct reading *reading)
{
    u32 info = info_of_error_code(reading);
    u64 code = reading->value;

    if (!(info & INTR_INFO_VALID_MASK) || !(info & INTR_INFO_DELIVER_CODE_MASK))
        return;
    switch (info & INTR_INFO_VECTOR_MASK) {
    case VECTOR_PF: word_list_bits(list, page_fault_bits, code); break;
    case VECTOR_CP: word_list_name(list, control_protection_codes, "code", code); break;
    default: selector_error(list, code);
    }
}

static void exit_reason(struct text *list, const struct reading *reading)
{
    word_list_add(list, "%s", exit_reason_name(reading->value & EXIT_REASON_BASIC_MASK));
    word_list_bits(list, reason_bits, reading->value & ~(u64)EXIT_REASON_BASIC_MASK);
}

static void instruction_error(struct text *list, const struct reading *reading)
{
    const char *text = vm_instruction_error_text((u32)reading->value);

    if (text)
        word_list_add(list, "%s", text);
}

static void segment_type(struct text *list, u64 rights)
{
    if (!(rights & AR_S_MASK)) {
        word_list_name(list, system_segments, "type", rights & AR_TYPE_MASK);
        return;
    }
    word_list_add(list, rights & AR_TYPE_CODE_MASK ? "code" : "data");
    word_list_bits(list, rights & AR_TYPE_CODE_MASK ? code_bits : data_bits, rights & 7);
    if (!(rights & (AR_L_MASK | AR_DB_MASK)))
        word_list_add(list, "16-bit");
}

static void access_rights(struct text *list, const struct reading *reading)
{
    u64 rights = reading->value, type_and_dpl = 0x7f;

    if (rights & AR_UNUSABLE_MASK)
        word_list_add(list, "unusable");
    else
        segment_type(list, rights);
    word_list_add(list, "DPL %lu", AR_DPL(rights));
    if (rights & AR_UNUSABLE_MASK)
        return;
    if (!(rights & AR_P_MASK))
        word_list_add(list, "not present");
    word_list_bits(list, segment_bits, rights & ~type_and_dpl);
}

static void activity_state(struct text *list, const struct reading *reading)
{
    word_list_name(list, activity_states, "state", reading->value);
}

static void qualification(struct text *list, const struct reading *reading)
{
    exit_qualification_words(list, reading->value, reading->context);
}

static void instruction_info(struct text *list, const struct reading *reading)
{
    instruction_info_words(list, reading->value, reading->context);
}

static const struct {
    u16 first, last; /* fields */
    void (*words)(struct text *list, const struct reading *reading);
} fields[] = {
    {VIRTUAL_PROCESSOR_ID, VIRTUAL_PROCESSOR_ID, vpid},
    {GUEST_INTR_STATUS, GUEST_INTR_STATUS, interrupt_status},
    {TSC_OFFSET, TSC_OFFSET, tsc_offset},
    {TSC_MULTIPLIER, TSC_MULTIPLIER, tsc_multiplier},
    {EPT_POINTER, EPT_POINTER, ept_pointer},
    {EOI_EXIT_BITMAP0, EOI_EXIT_BITMAP3, eoi_bitmap},
    {VMCS_LINK_POINTER, VMCS_LINK_POINTER, link_pointer},
    {GUEST_IA32_PAT, GUEST_IA32_PAT, pat},
    {HOST_IA32_PAT, HOST_IA32_PAT, pat},
    {EXCEPTION_BITMAP, EXCEPTION_BITMAP, exception_bitmap},
    {VM_ENTRY_INTR_INFO_FIELD, VM_ENTRY_INTR_INFO_FIELD, event},
    {VM_EXIT_INTR_INFO, VM_EXIT_INTR_INFO, event},
    {IDT_VECTORING_INFO_FIELD, IDT_VECTORING_INFO_FIELD, event},
    {VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_EXCEPTION_ERROR_CODE, error_code},
    {VM_EXIT_INTR_ERROR_CODE, VM_EXIT_INTR_ERROR_CODE, error_code},
    {IDT_VECTORING_ERROR_CODE, IDT_VECTORING_ERROR_CODE, error_code},
    {VM_INSTRUCTION_ERROR, VM_INSTRUCTION_ERROR, instruction_error},
    {VM_EXIT_REASON, VM_EXIT_REASON, exit_reason},
    {EXIT_QUALIFICATION, EXIT_QUALIFICATION, qualification},
    {VMX_INSTRUCTION_INFO, VMX_INSTRUCTION_INFO, instruction_info},
    {GUEST_ES_AR_BYTES, GUEST_TR_AR_BYTES, access_rights},
    {GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_STATE, activity_state},
    {GUEST_DR7, GUEST_DR7, dr7},
    {GUEST_RFLAGS, GUEST_RFLAGS, rflags},
    {GUEST_IA32_S_CET, GUEST_IA32_S_CET, s_cet},
    {HOST_IA32_S_CET, HOST_IA32_S_CET, s_cet},
};

static u64 cut_to_width(u32 field, u64 value)
{
    switch (VMCS_FIELD_WIDTH(field)) {
    case VMCS_WIDTH_16: return (u16)value;
    case VMCS_WIDTH_32: return (u32)value;
    default: return value;
    }
}

size_t vmcs_words(u32 encoding, u64 value, const struct vmcs_context *context, char *to,
                  size_t size)
{
    struct text list = text_at(to, size);
    struct reading reading = {encoding, cut_to_width(encoding, value), context};

    if (VMCS_FIELD_HIGH(encoding) || vmcs_bits(&list, encoding, reading.value))
        return list.len;
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (encoding >= fields[i].first && encoding <= fields[i].last)
            fields[i].words(&list, &reading);
    return list.len;
}
