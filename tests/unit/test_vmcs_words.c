/* The words of VMCS fields: hv/vmcs_words.c and what it is made of, hv/vmcs_names.c, hv/names.c. */
#define _GNU_SOURCE /* FNM_CASEFOLD */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmcs_fields.h"
#include "vmx.h"
#include "vmx_features.h"
#include "hv/names.h"
#include "hv/vmcs_names.h"
#include "hv/vmcs_words.h"
#include "hv/vmx_errors.h"
#include "hv/word_list.h"
#include "vmx/decode.h"

#define RANDOM_ROUNDS 200
#define VALID         0x80000000u

struct row {
    u32 field;
    u64 value;
    const char *words;
    struct vmcs_context context;
};

static u64 random_state = 1;

static u64 random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void check_row(const struct row *row)
{
    char text[VMCS_WORDS_MAX];
    size_t len = vmcs_words(row->field, row->value, &row->context, text, sizeof(text));

    if (strcmp(text, row->words))
        fail_msg("%s %#lx: \"%s\" and not \"%s\"", vmcs_field_name(row->field), row->value, text,
                 row->words);
    assert_int_equal(len, strlen(text));
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i]);
}

static void controls(void **state)
{
    static const struct row rows[] = {
        {PIN_BASED_VM_EXEC_CONTROL, 0x16, "", {0}},
        {PIN_BASED_VM_EXEC_CONTROL,
         0x3f,
         "external-interrupt-exiting, nmi-exiting, virtual-nmis",
         {0}},
        {PIN_BASED_VM_EXEC_CONTROL, 0x80000116, "bit 8, bit 31", {0}},
        {PIN_BASED_VM_EXEC_CONTROL, 1, "external-interrupt-exiting, reserved 0x16 clear", {0}},
        {CPU_BASED_VM_EXEC_CONTROL, 0x0401e172, "cr3-load-exiting, cr3-store-exiting", {0}},
        {CPU_BASED_VM_EXEC_CONTROL, 0x84026172, "tertiary-controls, secondary-controls", {0}},
        {CPU_BASED_VM_EXEC_CONTROL, 0x84006072, "secondary-controls, reserved 0x100 clear", {0}},
        {SECONDARY_VM_EXEC_CONTROL, 0, "", {0}},
        {SECONDARY_VM_EXEC_CONTROL, 0x8022, "ept, vpid, encls-exiting", {0}},
        {SECONDARY_VM_EXEC_CONTROL, 0xa0000002, "ept, bit 29, instruction-timeout", {0}},
        {VM_EXIT_CONTROLS, 0x36dfb, "", {0}},
        {VM_EXIT_CONTROLS, 0x00036fff, "save-debug-controls, host-address-space-size", {0}},
        {VM_EXIT_CONTROLS, 0x200, "host-address-space-size, reserved 0x36dfb clear", {0}},
        {VM_ENTRY_CONTROLS, 0x93ff, "load-debug-controls, ia32e-mode-guest, entry-load-efer", {0}},
        {VM_ENTRY_CONTROLS, 0x1dfb, "entry-to-smm, deactivate-dual-monitor", {0}},
        {VM_FUNCTION_CONTROL, 1, "eptp-switching", {0}},
        {VM_FUNCTION_CONTROL, BIT64(63), "bit 63", {0}},
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

enum { NO_FIELD = -1 };
#define FIELD_PIN      PIN_BASED_VM_EXEC_CONTROL
#define FIELD_PROC     CPU_BASED_VM_EXEC_CONTROL
#define FIELD_PROC2    SECONDARY_VM_EXEC_CONTROL
#define FIELD_EXIT     VM_EXIT_CONTROLS
#define FIELD_ENTRY    VM_ENTRY_CONTROLS
#define FIELD_VMFUNC   VM_FUNCTION_CONTROL
#define FIELD_EPT_VPID NO_FIELD

static u32 reserved_ones(int field)
{
    switch (field) {
    case PIN_BASED_VM_EXEC_CONTROL: return 0x16;
    case CPU_BASED_VM_EXEC_CONTROL: return 0x04006172;
    case VM_EXIT_CONTROLS: return 0x36dfb;
    case VM_ENTRY_CONTROLS: return 0x11fb;
    default: return 0;
    }
}

/* Each feature of a control word is said, alone, by the name that mask= takes. */
static void every_feature(void **state)
{
    static const struct {
        int field;
        u32 bit;
        const char *name;
    } features[] = {
#define X(id, name, word, bit) {FIELD_##word, bit, name},
        PLASTRON_FEATURES(X)
#undef X
    };
    u32 checked = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        struct row row = {(u32)features[i].field,
                          reserved_ones(features[i].field) | BIT64(features[i].bit),
                          features[i].name,
                          {0}};

        if (features[i].field == NO_FIELD)
            continue;
        check_row(&row);
        checked++;
    }
    assert_true(checked > 60);
}

static void events(void **state)
{
    static const struct row rows[] = {
        {VM_ENTRY_INTR_INFO_FIELD, 0, "none", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, 0x7fffffff, "none", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x20, "external interrupt vector 0x20", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x202, "NMI", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x203, "NMI vector 0x3", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0xb0e, "exception #PF (14) with error code", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x306, "exception #UD (6)", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x309, "exception vector 0x9", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x480, "software interrupt vector 0x80", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x501, "privileged software exception #DB (1)", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x603, "software exception #BP (3)", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x700, "other event vector 0", {0}},
        {VM_ENTRY_INTR_INFO_FIELD, VALID | 0x110, "type 1 vector 0x10", {0}},
        {VM_ENTRY_INTR_INFO_FIELD,
         VALID | 0x41020,
         "external interrupt vector 0x20, bit 12, bit 18",
         {0}},
        {VM_EXIT_INTR_INFO,
         VALID | 0x1b0d,
         "exception #GP (13) with error code, NMI unblocked",
         {0}},
        {IDT_VECTORING_INFO_FIELD, VALID | 0x1b0d, "exception #GP (13) with error code", {0}},
        {IDT_VECTORING_INFO_FIELD, 0, "none", {0}},
        {VM_ENTRY_INTR_INFO_FIELD,
         1ull << 32 | VALID | 0x20,
         "external interrupt vector 0x20",
         {0}}, /* a 32-bit field */
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

/* An error code is understood by the information of its own event. */
static void error_codes(void **state)
{
    static const struct row rows[] = {
        {VM_EXIT_INTR_ERROR_CODE, 7, "", {.exit_intr_info = 0}},
        {VM_EXIT_INTR_ERROR_CODE, 7, "", {.exit_intr_info = VALID | 0x30e}},
        {VM_EXIT_INTR_ERROR_CODE, 7, "", {.exit_intr_info = 0xb0e}},
        {VM_EXIT_INTR_ERROR_CODE, 7, "present, write, user", {.exit_intr_info = VALID | 0xb0e}},
        {VM_EXIT_INTR_ERROR_CODE,
         0x8018,
         "reserved bit, fetch, SGX",
         {.exit_intr_info = VALID | 0xb0e}},
        {VM_ENTRY_EXCEPTION_ERROR_CODE, 2, "write", {.entry_intr_info = VALID | 0xb0e}},
        {IDT_VECTORING_ERROR_CODE, 4, "user", {.idt_vectoring_info = VALID | 0xb0e}},
        {IDT_VECTORING_ERROR_CODE, 4, "", {.exit_intr_info = VALID | 0xb0e}},
        {VM_EXIT_INTR_ERROR_CODE, 0, "", {.exit_intr_info = VALID | 0xb0d}},
        {VM_EXIT_INTR_ERROR_CODE, 0x18, "GDT selector 0x18", {.exit_intr_info = VALID | 0xb0d}},
        {VM_EXIT_INTR_ERROR_CODE,
         0x1d,
         "LDT selector 0x18, external event",
         {.exit_intr_info = VALID | 0xb0b}},
        {VM_EXIT_INTR_ERROR_CODE,
         0x103,
         "IDT vector 0x20, external event",
         {.exit_intr_info = VALID | 0xb0d}},
        {VM_EXIT_INTR_ERROR_CODE, 1, "external event", {.exit_intr_info = VALID | 0xb0d}},
        {VM_EXIT_INTR_ERROR_CODE, 3, "ENDBRANCH", {.exit_intr_info = VALID | 0xb15}},
        {VM_EXIT_INTR_ERROR_CODE, 9, "code 9", {.exit_intr_info = VALID | 0xb15}},
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

static void reasons_and_errors(void **state)
{
    static const struct row rows[] = {
        {VM_EXIT_REASON, 48, "EPT_VIOLATION", {0}},
        {VM_EXIT_REASON, 0x80000021, "INVALID_STATE, VM-entry failure", {0}},
        {VM_EXIT_REASON, 35, "unknown", {0}},
        {VM_EXIT_REASON, 0xffff, "unknown", {0}},
        {VM_EXIT_REASON,
         0x3e01000a,
         "CPUID, bit 16, shadow stack busy, bus lock, in an enclave, pending MTF, from VMX root",
         {0}},
        {VM_INSTRUCTION_ERROR, 0, "", {0}},
        {VM_INSTRUCTION_ERROR, 7, "VM entry with invalid control field(s)", {0}},
        {VM_INSTRUCTION_ERROR, 14, "", {0}},
        {VM_INSTRUCTION_ERROR, 12, "VMREAD/VMWRITE from/to unsupported VMCS component", {0}},
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

#define QUALIFICATION(reason, value, words)                                                        \
    {                                                                                              \
        EXIT_QUALIFICATION, value, words, { .exit_reason = EXIT_REASON_##reason }                  \
    }
#define QUALIFICATION_OF(reason, value, words, info)                                               \
    {                                                                                              \
        EXIT_QUALIFICATION, value, words,                                                          \
        {                                                                                          \
            .exit_reason = EXIT_REASON_##reason, .instruction_info = info                          \
        }                                                                                          \
    }
#define SIZE_16 (0u << 7) /* of addresses */
#define SIZE_32 (1u << 7)
#define SIZE_64 (2u << 7)
#define EXCEPTION(vector, value, words)                                                            \
    {                                                                                              \
        EXIT_QUALIFICATION, value, words, { .exit_intr_info = VALID | 0x300 | (vector) }           \
    }

static void qualifications(void **state)
{
    static const struct row rows[] = {
        EXCEPTION(1, 0, ""),
        EXCEPTION(1, 0x4001, "B0, BS"),
        EXCEPTION(1, 0x1280a, "BD, B1, B3, bus lock, RTM"),
        EXCEPTION(14, 0xffff800000001000, "linear address 0xffff800000001000"),
        EXCEPTION(13, 0x1000, ""),
        QUALIFICATION(SIPI, 0x9a, "vector 0x9a"),
        QUALIFICATION(TASK_SWITCH, 0x28, "CALL, selector 0x28"),
        QUALIFICATION(TASK_SWITCH, 0x40000030, "IRET, selector 0x30"),
        QUALIFICATION(TASK_SWITCH, 0x80000030, "JMP, selector 0x30"),
        QUALIFICATION(TASK_SWITCH, 0xc0000030, "task gate, selector 0x30"),
        QUALIFICATION(INVLPG, 0x7000, "linear address 0x7000"),
        QUALIFICATION(CR_ACCESS, 0x004, "MOV to CR4 from RAX"),
        QUALIFICATION(CR_ACCESS, 0xf13, "MOV from CR3 to R15"),
        QUALIFICATION(CR_ACCESS, 0x508, "MOV to CR8 from RBP"),
        QUALIFICATION(CR_ACCESS, 0x020, "CLTS"),
        QUALIFICATION(CR_ACCESS, 0x00090030, "LMSW 0x9 from a register"),
        QUALIFICATION(CR_ACCESS, 0xfff10070, "LMSW 0xfff1 from memory"),
        QUALIFICATION(DR_ACCESS, 0x307, "MOV to DR7 from RBX"),
        QUALIFICATION(DR_ACCESS, 0x816, "MOV from DR6 to R8"),
        QUALIFICATION(IO_INSTRUCTION, 0x00600048, "IN, port 0x60 (immediate), size 1"),
        QUALIFICATION(IO_INSTRUCTION, 0x03f80001, "OUT, port 0x3f8 (DX), size 2"),
        QUALIFICATION(IO_INSTRUCTION, 0x01f0003b, "REP INS, port 0x1f0 (DX), size 4"),
        QUALIFICATION(IO_INSTRUCTION, 0x01f00030, "REP OUTS, port 0x1f0 (DX), size 1"),
        QUALIFICATION(INVALID_STATE, 0, ""),
        QUALIFICATION(INVALID_STATE, 2, "PDPTEs"),
        QUALIFICATION(INVALID_STATE, 3, "NMI while STI blocks"),
        QUALIFICATION(INVALID_STATE, 4, "VMCS link pointer"),
        QUALIFICATION(INVALID_STATE, 5, "cause 5"),
        QUALIFICATION(INVALID_STATE | VALID, 4, "VMCS link pointer"),
        QUALIFICATION(MSR_LOAD_FAIL, 3, "MSR-load entry 0x3"),
        QUALIFICATION(MWAIT_INSTRUCTION, 0, ""),
        QUALIFICATION(MWAIT_INSTRUCTION, 1, "monitor armed"),
        QUALIFICATION(APIC_ACCESS, 0x0b0, "linear read, offset 0xb0"),
        QUALIFICATION(APIC_ACCESS, 0x1300, "linear write, offset 0x300"),
        QUALIFICATION(APIC_ACCESS, 0x2000, "linear fetch, offset 0"),
        QUALIFICATION(APIC_ACCESS, 0x3fff, "linear event delivery, offset 0xfff"),
        QUALIFICATION(APIC_ACCESS, 0xa010, "physical event delivery, offset 0x10"),
        QUALIFICATION(APIC_ACCESS, 0x1f010, "physical instruction, offset 0x10, asynchronous"),
        QUALIFICATION(APIC_ACCESS, 0x9010, "type 9, offset 0x10"),
        QUALIFICATION(EOI_INDUCED, 0x31, "vector 0x31"),
        QUALIFICATION(EPT_VIOLATION, 0x182,
                      "write, linear address valid, translation, entry not present"),
        QUALIFICATION(EPT_VIOLATION, 0x1aa,
                      "write, entry readable, entry executable, linear address valid, translation"),
        QUALIFICATION(EPT_VIOLATION, 0x089,
                      "read, entry readable, linear address valid, page walk"),
        QUALIFICATION(EPT_VIOLATION, 0x11c, "fetch, entry readable, entry writable"),
        QUALIFICATION(EPT_VIOLATION, 0x044, "fetch, entry user-executable"),
        QUALIFICATION(EPT_VIOLATION, 0x1fe0a,
                      "write, entry readable, user-mode address, writable page, "
                      "execute-disable page, NMI unblocked, shadow stack, "
                      "supervisor shadow-stack page, guest paging verified, asynchronous"),
        QUALIFICATION(EPT_VIOLATION, 0x20009, "read, entry readable, bit 17"),
        QUALIFICATION(EPT_MISCONFIG, 0, ""),
        QUALIFICATION(APIC_WRITE, 0x300, "offset 0x300"),
        QUALIFICATION(PML_FULL, 0, ""),
        QUALIFICATION(PML_FULL, 0x1000, "NMI unblocked"),
        QUALIFICATION(SPP, 0x1800, "misconfiguration, NMI unblocked"),
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

static void displacements(void **state)
{
    static const struct row rows[] = {
        QUALIFICATION_OF(VMPTRLD, 0x10, "displacement 0x10", SIZE_64),
        QUALIFICATION_OF(VMPTRLD, -0x10ull, "displacement -0x10", SIZE_64),
        QUALIFICATION_OF(VMCLEAR, BIT64(63), "displacement -0x8000000000000000", SIZE_64),
        QUALIFICATION_OF(INVEPT, 0, "", SIZE_64),
        QUALIFICATION_OF(INVEPT, 0xabcdfffffff0, "displacement -0x10", SIZE_32),
        QUALIFICATION_OF(INVVPID, 0x12348000, "displacement -0x8000", SIZE_16),
        QUALIFICATION_OF(VMREAD, 0x10, "displacement 0x10", SIZE_64),
        QUALIFICATION_OF(VMREAD, 0x10, "", SIZE_64 | BIT(10)), /* a register */
        QUALIFICATION_OF(LDTR_TR, 0x10, "", SIZE_64 | BIT(10)),
        QUALIFICATION_OF(GDTR_IDTR, 0x10, "displacement 0x10", SIZE_64 | BIT(10)),
        QUALIFICATION_OF(XRSTORS, 0x10, "displacement 0x10", SIZE_64 | BIT(10)),
        QUALIFICATION_OF(RDRAND, 0x10, "", SIZE_64),
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

#define INFO(reason, value, words)                                                                 \
    {                                                                                              \
        VMX_INSTRUCTION_INFO, value, words, { .exit_reason = EXIT_REASON_##reason }                \
    }
#define INFO_OF_IO(qualification, value, words)                                                    \
    {                                                                                              \
        VMX_INSTRUCTION_INFO, value, words,                                                        \
        {                                                                                          \
            .exit_reason = EXIT_REASON_IO_INSTRUCTION, .exit_qualification = qualification         \
        }                                                                                          \
    }
#define DS         (3u << 15)
#define NO_INDEX   BIT(22)
#define NO_BASE    BIT(27)
#define INDEX(reg) ((u32)(reg) << 18)
#define BASE(reg)  ((u32)(reg) << 23)
#define REG2(reg)  ((u32)(reg) << 28)

static void instruction_information(void **state)
{
    static const struct row rows[] = {
        INFO(VMPTRLD, DS | SIZE_64 | BASE(3) | NO_INDEX, "DS:[RBX+displacement], 64-bit addresses"),
        INFO(VMPTRLD, DS | SIZE_64 | NO_BASE | NO_INDEX, "DS:[displacement], 64-bit addresses"),
        INFO(VMON, SIZE_32 | BASE(15) | INDEX(1) | 2,
             "ES:[R15+RCX*4+displacement], 32-bit addresses"),
        INFO(VMCLEAR, 4u << 15 | SIZE_16 | NO_BASE | INDEX(6),
             "FS:[RSI*1+displacement], 16-bit addresses"),
        INFO(INVEPT, DS | SIZE_64 | BASE(0) | NO_INDEX | REG2(9),
             "DS:[RAX+displacement], 64-bit addresses, register 2 R9"),
        INFO(VMREAD, BIT(10) | 7 << 3 | REG2(2), "register RDI, register 2 RDX"),
        INFO(VMWRITE, DS | SIZE_64 | BASE(4) | NO_INDEX | REG2(15),
             "DS:[RSP+displacement], 64-bit addresses, register 2 R15"),
        INFO(GDTR_IDTR, DS | SIZE_64 | BASE(0) | NO_INDEX | BIT(12) | BIT(11) | REG2(3),
             "LIDT, DS:[RAX+displacement], 64-bit addresses, 32-bit operand"),
        INFO(GDTR_IDTR, DS | SIZE_32 | BASE(0) | NO_INDEX,
             "SGDT, DS:[RAX+displacement], 32-bit addresses, 16-bit operand"),
        INFO(LDTR_TR, BIT(10) | 1 << 3 | REG2(2), "LLDT, register RCX"),
        INFO(LDTR_TR, DS | SIZE_64 | BASE(0) | NO_INDEX | REG2(1),
             "STR, DS:[RAX+displacement], 64-bit addresses"),
        INFO(RDRAND, 8 << 3 | 2 << 11, "register R8, 64-bit operand"),
        INFO(RDSEED, 0, "register RAX, 16-bit operand"),
        INFO(UMWAIT, 1 << 3 | 1 << 11, "register RCX, 32-bit operand"),
        INFO(CPUID, ~0u, ""),
        INFO_OF_IO(0x03f80000, DS | SIZE_64, ""),
        INFO_OF_IO(0x03f80010, DS | SIZE_64, "segment DS, 64-bit addresses"),
        INFO_OF_IO(0x03f80018, DS | SIZE_16, "16-bit addresses"),
        INFO_OF_IO(0x03f80010, 7u << 15 | SIZE_32, "segment ?, 32-bit addresses"),
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

/* L0 emulates by vmx/decode.c: what is said is what it does. */
static void operands_as_decoded(void **state)
{
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    static const char *const segments[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    u64 gpr[16] = {0};

    (void)state;
    for (u32 i = 0; i < 10000; i++) {
        u32 info = (u32)random64();
        struct vmx_operand operand = decode_operand(info, 0, gpr);
        struct vmcs_context context = {.exit_reason = EXIT_REASON_VMREAD};
        char text[VMCS_WORDS_MAX], wanted[32];

        vmcs_words(VMX_INSTRUCTION_INFO, info, &context, text, sizeof(text));
        snprintf(wanted, sizeof(wanted), ", register 2 %s", names[operand.reg2]);
        assert_string_equal(text + strlen(text) - strlen(wanted), wanted);
        if (operand.is_register)
            snprintf(wanted, sizeof(wanted), "register %s,", names[operand.reg]);
        else if ((info >> 15 & 7) < ARRAY_SIZE(segments)) /* else there is none */
            snprintf(wanted, sizeof(wanted), "%s:[", segments[operand.segment]);
        else
            continue;
        assert_memory_equal(text, wanted, strlen(wanted));
    }
}

/* Other exit reasons have neither qualification nor instruction information. */
static void reasons_without_words(void **state)
{
    static const u8 with_qualification[] = {0,  4,  9,  14, 19, 21, 22, 23, 25, 27,
                                            28, 29, 30, 33, 34, 36, 44, 45, 46, 47,
                                            48, 50, 53, 56, 58, 62, 63, 64, 66};
    static const u8 with_info[] = {19, 21, 22, 23, 25, 27, 30, 46, 47,
                                   50, 53, 57, 58, 61, 63, 64, 67, 68};

    (void)state;
    for (u32 reason = 0; reason <= 0xffff; reason++) {
        struct vmcs_context context = {
            .exit_reason = reason, .exit_qualification = 0x10, .exit_intr_info = VALID | 0xb0e};
        bool qualification =
            reason < 256 && memchr(with_qualification, (int)reason, sizeof(with_qualification));
        bool info = reason < 256 && memchr(with_info, (int)reason, sizeof(with_info));
        char text[VMCS_WORDS_MAX];

        assert_int_equal(vmcs_words(EXIT_QUALIFICATION, 0x1803, &context, text, sizeof(text)) > 0,
                         qualification);
        assert_int_equal(vmcs_words(VMX_INSTRUCTION_INFO, 0, &context, text, sizeof(text)) > 0,
                         info);
    }
}

static void segments(void **state)
{
    static const struct row rows[] = {
        {GUEST_CS_AR_BYTES,
         0xa09b,
         "code, accessed, readable, DPL 0, present, 64-bit, 4K granularity",
         {0}},
        {GUEST_CS_AR_BYTES,
         0xc0fd,
         "code, accessed, conforming, DPL 3, present, 32-bit, 4K granularity",
         {0}},
        {GUEST_SS_AR_BYTES, 0x93, "data, accessed, writable, 16-bit, DPL 0, present", {0}},
        {GUEST_DS_AR_BYTES,
         0xc0f5,
         "data, accessed, expand-down, DPL 3, present, 32-bit, 4K granularity",
         {0}},
        {GUEST_ES_AR_BYTES, 0x4011, "data, accessed, DPL 0, not present, 32-bit", {0}},
        {GUEST_FS_AR_BYTES, 0x10000, "unusable, DPL 0", {0}},
        {GUEST_SS_AR_BYTES, 0x1c0f3, "unusable, DPL 3", {0}},
        {GUEST_TR_AR_BYTES, 0x8b, "busy TSS, DPL 0, present", {0}},
        {GUEST_TR_AR_BYTES, 0x83, "busy 16-bit TSS, DPL 0, present", {0}},
        {GUEST_LDTR_AR_BYTES, 0x82, "LDT, DPL 0, present", {0}},
        {GUEST_TR_AR_BYTES, 0x8e, "type 14, DPL 0, present", {0}},
        {GUEST_GS_AR_BYTES,
         0xfffef09b,
         "code, accessed, readable, DPL 0, present, AVL, 64-bit, 32-bit, 4K granularity, bit 17, "
         "bit 18, bit 19, bit 20, bit 21, bit 22, bit 23, bit 24, bit 25, bit 26, bit 27, bit 28, "
         "bit 29, bit 30, bit 31",
         {0}},
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

static void registers(void **state)
{
    static const struct row rows[] = {
        {GUEST_CR0, 0x80050033, "PE, MP, ET, NE, WP, AM, PG", {0}},
        {HOST_CR0, 0x60000010, "ET, NW, CD", {0}},
        {CR0_GUEST_HOST_MASK, ~0ull << 63, "bit 63", {0}},
        {CR0_READ_SHADOW, 8, "TS", {0}},
        {GUEST_CR4,
         0x3726f8,
         "DE, PSE, PAE, MCE, PGE, OSFXSR, OSXMMEXCPT, VMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP",
         {0}},
        {HOST_CR4, BIT64(32) | BIT64(15), "bit 15, FRED", {0}},
        {CR4_GUEST_HOST_MASK, 0x2000, "VMXE", {0}},
        {CR4_READ_SHADOW, 0, "", {0}},
        {GUEST_IA32_EFER, 0xd01, "SCE, LME, LMA, NXE", {0}},
        {HOST_IA32_EFER, 0x1000, "bit 12", {0}},
        {GUEST_RFLAGS, 0x246, "PF, ZF, IF", {0}},
        {GUEST_RFLAGS, 0x3000, "reserved 0x2 clear, IOPL 3", {0}},
        {GUEST_RFLAGS, 0x211002, "RF, ID, IOPL 1", {0}},
        {GUEST_DR7, 0x400, "", {0}},
        {GUEST_DR7, 0xffff0400, "", {0}},
        {GUEST_DR7, 0x000d0402, "G0, DR0 write 4", {0}},
        {GUEST_DR7,
         0xb9702755,
         "L0, L1, L2, L3, LE, GE, GD, DR0 execute 1, DR1 access 2, DR2 write 8, DR3 access 8",
         {0}},
        {GUEST_IA32_DEBUGCTL, 0x1003, "LBR, BTF, FREEZE_PERFMON_ON_PMI", {0}},
        {GUEST_IA32_PAT, 0x0007040600070406, "WB, WT, UC-, UC, WB, WT, UC-, UC", {0}},
        {HOST_IA32_PAT, 0x0501020300000000, "UC, UC, UC, UC, type 3, type 2, WC, WP", {0}},
        {GUEST_IA32_S_CET, 0x15, "SH_STK_EN, ENDBR_EN, NO_TRACK_EN", {0}},
        {HOST_IA32_S_CET,
         0x7fff00001c40,
         "bit 6, SUPPRESS, TRACKER, bitmap at 0x7fff00001000",
         {0}},
        {GUEST_RIP, 0x1000, "", {0}},
        {GUEST_CR3, 0x1000, "", {0}},
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

static void other_fields(void **state)
{
    static const struct row rows[] = {
        {GUEST_ACTIVITY_STATE, 0, "active", {0}},
        {GUEST_ACTIVITY_STATE, 3, "wait-for-SIPI", {0}},
        {GUEST_ACTIVITY_STATE, 4, "state 4", {0}},
        {GUEST_INTERRUPTIBILITY_INFO, 0, "", {0}},
        {GUEST_INTERRUPTIBILITY_INFO, 0x29, "blocking by STI, blocking by NMI, bit 5", {0}},
        {GUEST_PENDING_DBG_EXCEPTIONS, 0x7001, "B0, enabled breakpoint, bit 13, BS", {0}},
        {EXCEPTION_BITMAP, 0x60042, "#DB, #UD, #AC, #MC", {0}},
        {EXCEPTION_BITMAP, 0x80008604, "NMI, vector 0x9, #TS, vector 0xf, vector 0x1f", {0}},
        {PAGE_FAULT_ERROR_CODE_MASK, 0x11, "present, fetch", {0}},
        {PAGE_FAULT_ERROR_CODE_MATCH, 0x62, "write, protection key, shadow stack", {0}},
        {EPT_POINTER, 0, "none", {0}},
        {EPT_POINTER, 0x12345601e, "table at 0x123456000, 4 levels, WB", {0}},
        {EPT_POINTER, 0x123456460, "table at 0x123456000, 5 levels, UC, A/D flags, bit 10", {0}},
        {EPT_POINTER, BIT64(63) | 0x80019, "table at 0x80000, 4 levels, type 1, bit 63", {0}},
        {VIRTUAL_PROCESSOR_ID, 0, "none", {0}},
        {VIRTUAL_PROCESSOR_ID, 0x10000, "none", {0}}, /* a 16-bit field */
        {VIRTUAL_PROCESSOR_ID, 1, "", {0}},
        {VMCS_LINK_POINTER, ~0ull, "none", {0}},
        {VMCS_LINK_POINTER, 0x1000, "", {0}},
        {GUEST_INTR_STATUS, 0x5130, "RVI 0x30, SVI 0x51", {0}},
        {TSC_OFFSET, 0x1000, "", {0}},
        {TSC_OFFSET, -0x1000ull, "-0x1000", {0}},
        {TSC_MULTIPLIER, BIT64(48), "times 1.000", {0}},
        {TSC_MULTIPLIER, 5ull << 46, "times 1.250", {0}},
        {TSC_MULTIPLIER, ~0ull, "times 65535.999", {0}},
        {EOI_EXIT_BITMAP0, BIT64(33) | BIT64(63), "0x21, 0x3f", {0}},
        {EOI_EXIT_BITMAP1, 1, "0x40", {0}},
        {EOI_EXIT_BITMAP2, 2, "0x81", {0}},
        {EOI_EXIT_BITMAP3, BIT64(63), "0xff", {0}},
        {XSS_EXIT_BITMAP, 0x1900, "PT, CET_U, CET_S", {0}},
        {0xffff, 1, "", {0}},
        {0x12000 | VM_EXIT_REASON, 1, "", {0}},
        {GUEST_IA32_EFER | 1, 1, "", {0}}, /* the high half of a field */
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows));
}

/* ---- Any value at all ---- */

static void check_text(const char *text, size_t len)
{
    assert_true(len < VMCS_WORDS_MAX);
    assert_int_equal(strlen(text), len);
    for (size_t i = 0; i < len; i++)
        assert_true(text[i] >= ' ' && text[i] <= '~');
    assert_null(strstr(text, "(null)"));
    assert_null(strstr(text, ", ,"));
    assert_true(len == 0 || (text[0] != ',' && text[0] != ' ' && text[len - 1] != ' '));
}

/* A buffer of each size holds as much of the text as it has room for, and nothing behind it. */
static void check_sizes(const struct row *row, const char *text, size_t len)
{
    for (size_t size = 0; size <= 64; size++) {
        char *to = malloc(size);
        size_t kept = len < size ? len : size - 1;

        assert_non_null(to);
        assert_int_equal(vmcs_words(row->field, row->value, &row->context, to, size), len);
        if (size) {
            assert_memory_equal(to, text, kept);
            assert_int_equal(to[kept], 0);
        }
        free(to);
    }
}

static void check_any(const struct row *row)
{
    char text[VMCS_WORDS_MAX + 1];
    size_t len;

    memset(text, 'x', sizeof(text));
    len = vmcs_words(row->field, row->value, &row->context, text, VMCS_WORDS_MAX);
    assert_int_equal(text[VMCS_WORDS_MAX], 'x');
    check_text(text, len);
    check_sizes(row, text, len);
}

/* Few bits set, few clear, or half of them. */
static u64 random_value(void)
{
    switch (random64() % 4) {
    case 0: return random64() & random64() & random64();
    case 1: return random64() | random64() | random64();
    case 2: return random64() % 256;
    default: return random64();
    }
}

static struct vmcs_context random_context(void)
{
    return (struct vmcs_context){.exit_qualification = random_value(),
                                 .exit_reason = (u32)(random64() % (EXIT_REASON_COUNT + 2)),
                                 .instruction_info = (u32)random_value(),
                                 .entry_intr_info = (u32)random_value(),
                                 .exit_intr_info = (u32)random_value(),
                                 .idt_vectoring_info = (u32)random_value()};
}

static void any_value_of_every_field(void **state)
{
    (void)state;
    for (u32 i = 0; i < vmcs_field_count; i++) {
        struct row row = {.field = vmcs_fields[i].encoding, .value = ~0ull};

        check_any(&row);
        row.value = 0;
        check_any(&row);
        for (u32 round = 0; round < RANDOM_ROUNDS; round++) {
            row.value = random_value();
            row.context = random_context();
            check_any(&row);
        }
    }
}

static void any_value_of_every_reason(void **state)
{
    (void)state;
    for (u32 reason = 0; reason <= EXIT_REASON_COUNT; reason++)
        for (u32 round = 0; round < 2 * RANDOM_ROUNDS; round++) {
            struct row row = {round % 2 ? EXIT_QUALIFICATION : VMX_INSTRUCTION_INFO, random_value(),
                              NULL, random_context()};

            row.context.exit_reason = reason;
            check_any(&row);
        }
}

static void any_encoding(void **state)
{
    (void)state;
    for (u32 encoding = 0; encoding < 0x8000; encoding++) {
        struct vmcs_context context = random_context();
        char text[VMCS_WORDS_MAX];

        check_text(text, vmcs_words(encoding, random_value(), &context, text, sizeof(text)));
        if (!strcmp(vmcs_field_name(encoding), "unknown field"))
            assert_string_equal(text, "");
    }
}

/* ---- Names ---- */

static void every_field_has_its_name(void **state)
{
    static const struct {
        const char *name;
        u32 encoding;
    } wanted[] = {
#define X(name, encoding, member, needs) {#name, encoding},
        VMCS12_FIELDS(X)
#undef X
#define X(name, encoding) {#name, encoding},
            VMCS_L0_FIELDS(X)
#undef X
    };

    (void)state;
    assert_int_equal(vmcs_field_count, ARRAY_SIZE(wanted));
    for (u32 i = 0; i < vmcs_field_count; i++) {
        assert_string_equal(vmcs_field_name(wanted[i].encoding), wanted[i].name);
        assert_string_equal(vmcs_fields[i].name, wanted[i].name);
        assert_int_equal(vmcs_fields[i].encoding, wanted[i].encoding);
    }
    assert_string_equal(vmcs_field_name(GUEST_ES_SELECTOR + 1), "unknown field");
    assert_string_equal(vmcs_field_name(0x10000), "unknown field");
    assert_string_equal(vmcs_field_name(~0ull), "unknown field");
}

static void exit_reasons(void **state)
{
    static const char *const wanted[] = {
#define X(id, number) [number] = #id,
        VMX_EXIT_REASONS(X)
#undef X
    };

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(wanted); i++)
        assert_string_equal(exit_reason_name(i), wanted[i] ? wanted[i] : "unknown");
    assert_string_equal(exit_reason_name(~0u), "unknown");
}

static void exceptions(void **state)
{
    (void)state;
    assert_string_equal(exception_name(0), "#DE divide error");
    assert_string_equal(exception_name(2), "NMI");
    assert_string_equal(exception_name(14), "#PF page fault");
    assert_string_equal(exception_name(15), "reserved exception");
    assert_string_equal(exception_name(21), "#CP control protection");
    assert_string_equal(exception_name(22), "reserved exception");
    assert_string_equal(exception_name(BIT64(32) + 14), "reserved exception");
}

static void instruction_errors(void **state)
{
    (void)state;
    assert_string_equal(vm_instruction_error_text(1), "VMCALL executed in VMX root operation");
    assert_string_equal(vm_instruction_error_text(28), "Invalid operand to INVEPT/INVVPID");
    assert_string_equal(vm_instruction_error_text(26), "VM entry with events blocked by MOV SS");
    assert_null(vm_instruction_error_text(0));
    assert_null(vm_instruction_error_text(14));
    assert_null(vm_instruction_error_text(~0u));
}

static void names_of_numbers(void **state)
{
    static NAMES(table) = "0 zero\0"
                          "10 ten and more\0"
                          "4294967296 many\0";

    (void)state;
    assert_string_equal(name_of(table, 0), "zero");
    assert_string_equal(name_of(table, 10), "ten and more");
    assert_string_equal(name_of(table, BIT64(32)), "many");
    assert_null(name_of(table, 1));
    assert_null(name_of("", 0));
}

static void list_of_words(void **state)
{
    char text[32];
    struct text list = text_at(text, sizeof(text));

    (void)state;
    assert_string_equal(text, "");
    word_list_add(&list, "one");
    text_add(&list, " %u", 1);
    word_list_add(&list, "two");
    word_list_bits(&list, "3 three\0", 0x18);
    assert_string_equal(text, "one 1, two, three, bit 4");
    assert_int_equal(list.len, strlen(text));
}

/* ---- Patterns ---- */

static void patterns(void **state)
{
    static const struct {
        const char *name, *pattern;
        bool matches;
    } rows[] = {
        {"GUEST_CS_BASE", "", true},
        {"GUEST_CS_BASE", "*", true},
        {"GUEST_CS_BASE", "guest_cs", true},
        {"GUEST_CS_BASE", "cs_base", true},
        {"GUEST_CS_BASE", "cs_base_", false},
        {"GUEST_CS_BASE", "GUEST_CS_BASE", true},
        {"GUEST_CS_BASE", "guest*base", true},
        {"GUEST_CS_BASE", "base*guest", false},
        {"GUEST_CS_BASE", "g**e", true},
        {"GUEST_CS_BASE", "*s_*s*", true},
        {"GUEST_CS_BASE", "s_*s_*s_", false},
        {"GUEST_CS_BASE", "guest cs", false},
        {"HOST_CR0", "cr0", true},
        {"HOST_CR0", "cr@", false},
        {"", "", true},
        {"", "*", true},
        {"", "a", false},
        {"AAB", "ab", true},
        {"@", "`", false}, /* next to the letters, and none */
        {"[", "{", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (text_pattern(rows[i].name, rows[i].pattern) != rows[i].matches)
            fail_msg("%s, %s", rows[i].name, rows[i].pattern);
}

static void random_text(char *text, u32 max_len, const char *letters)
{
    u32 len = (u32)(random64() % max_len);

    for (u32 i = 0; i < len; i++)
        text[i] = letters[random64() % strlen(letters)];
    text[len] = 0;
}

static void patterns_as_the_c_library_has_them(void **state)
{
    u32 matched = 0;

    (void)state;
    for (u32 i = 0; i < 200000; i++) {
        char name[16], pattern[8], around[16];
        bool wanted;

        random_text(name, sizeof(name), "abAB_");
        random_text(pattern, sizeof(pattern), "ab_B*");
        snprintf(around, sizeof(around), "*%s*", pattern);
        wanted = fnmatch(around, name, FNM_CASEFOLD) == 0;
        if (text_pattern(name, pattern) != wanted)
            fail_msg("%s, %s", name, pattern);
        matched += wanted;
    }
    assert_true(matched > 20000 && matched < 180000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controls),
        cmocka_unit_test(every_feature),
        cmocka_unit_test(events),
        cmocka_unit_test(error_codes),
        cmocka_unit_test(reasons_and_errors),
        cmocka_unit_test(qualifications),
        cmocka_unit_test(displacements),
        cmocka_unit_test(instruction_information),
        cmocka_unit_test(operands_as_decoded),
        cmocka_unit_test(reasons_without_words),
        cmocka_unit_test(segments),
        cmocka_unit_test(registers),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(any_value_of_every_field),
        cmocka_unit_test(any_value_of_every_reason),
        cmocka_unit_test(any_encoding),
        cmocka_unit_test(every_field_has_its_name),
        cmocka_unit_test(exit_reasons),
        cmocka_unit_test(exceptions),
        cmocka_unit_test(instruction_errors),
        cmocka_unit_test(names_of_numbers),
        cmocka_unit_test(list_of_words),
        cmocka_unit_test(patterns),
        cmocka_unit_test(patterns_as_the_c_library_has_them),
    };

    return cmocka_run_group_tests_name("vmcs_words", tests, NULL, NULL);
}
