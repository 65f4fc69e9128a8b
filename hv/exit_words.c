#include "exit_words.h"
#include "names.h"
#include "vmx.h"
#include "x86.h"

/* What the VM-exit instruction information has, for an exit reason. */
enum {
    INFO_MEMORY = BIT(0),    /* a memory operand */
    INFO_EITHER = BIT(1),    /* that or register Reg1, as bit 10 says */
    INFO_REGISTER = BIT(2),  /* register Reg1 */
    INFO_REGISTER2 = BIT(3), /* register Reg2 */
    INFO_SIZE = BIT(4),      /* an operand size */
    INFO_GDTR_IDTR = BIT(5), /* which instruction */
    INFO_LDTR_TR = BIT(6),   /* which instruction */
};

static const u8 info_parts[EXIT_REASON_COUNT] = {
    [EXIT_REASON_VMCLEAR] = INFO_MEMORY,
    [EXIT_REASON_VMPTRLD] = INFO_MEMORY,
    [EXIT_REASON_VMPTRST] = INFO_MEMORY,
    [EXIT_REASON_VMON] = INFO_MEMORY,
    [EXIT_REASON_XSAVES] = INFO_MEMORY,
    [EXIT_REASON_XRSTORS] = INFO_MEMORY,
    [EXIT_REASON_VMREAD] = INFO_MEMORY | INFO_EITHER | INFO_REGISTER2,
    [EXIT_REASON_VMWRITE] = INFO_MEMORY | INFO_EITHER | INFO_REGISTER2,
    [EXIT_REASON_INVEPT] = INFO_MEMORY | INFO_REGISTER2,
    [EXIT_REASON_INVVPID] = INFO_MEMORY | INFO_REGISTER2,
    [EXIT_REASON_INVPCID] = INFO_MEMORY | INFO_REGISTER2,
    [EXIT_REASON_GDTR_IDTR] = INFO_MEMORY | INFO_SIZE | INFO_GDTR_IDTR,
    [EXIT_REASON_LDTR_TR] = INFO_MEMORY | INFO_EITHER | INFO_LDTR_TR,
    [EXIT_REASON_RDRAND] = INFO_REGISTER | INFO_SIZE,
    [EXIT_REASON_RDSEED] = INFO_REGISTER | INFO_SIZE,
    [EXIT_REASON_UMWAIT] = INFO_REGISTER | INFO_SIZE,
    [EXIT_REASON_TPAUSE] = INFO_REGISTER | INFO_SIZE,
};

static const char registers[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                      "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
static const char segments[8][3] = {"ES", "CS", "SS", "DS", "FS", "GS", "?", "?"};
static const char table_instructions[8][5] = {"SGDT", "SIDT", "LGDT", "LIDT",
                                              "SLDT", "STR",  "LLDT", "LTR"};

/* Exit reasons whose qualification is but a number. */
static NAMES(plain_numbers) = "4 vector\0"
                              "14 linear address\0"
                              "34 MSR-load entry\0"
                              "45 vector\0"
                              "56 offset\0";
static NAMES(task_switch_sources) = "0 CALL\0"
                                    "1 IRET\0"
                                    "2 JMP\0"
                                    "3 task gate\0";
static NAMES(apic_accesses) = "0 linear read\0"
                              "1 linear write\0"
                              "2 linear fetch\0"
                              "3 linear event delivery\0"
                              "4 linear monitoring\0"
                              "10 physical event delivery\0"
                              "11 physical monitoring or trace\0"
                              "15 physical instruction\0";
static NAMES(entry_failures) = "2 PDPTEs\0"
                               "3 NMI while STI blocks\0"
                               "4 VMCS link pointer\0";
static NAMES(ept_violation_bits) = "0 read\0"
                                   "1 write\0"
                                   "2 fetch\0"
                                   "3 entry readable\0"
                                   "4 entry writable\0"
                                   "5 entry executable\0"
                                   "6 entry user-executable\0"
                                   "7 linear address valid\0"
                                   "8 translation\0"
                                   "9 user-mode address\0"
                                   "10 writable page\0"
                                   "11 execute-disable page\0"
                                   "12 NMI unblocked\0"
                                   "13 shadow stack\0"
                                   "14 supervisor shadow-stack page\0"
                                   "15 guest paging verified\0"
                                   "16 asynchronous\0"
                                   "62 entry not present\0"
                                   "63 page walk\0";
/* Of MWAIT, of SPP, and of SPP and a full page-modification log. */
static NAMES(rare_bits) = "0 monitor armed\0"
                          "11 misconfiguration\0"
                          "12 NMI unblocked\0";
NAMES(debug_conditions) = "0 B0\0"
                          "1 B1\0"
                          "2 B2\0"
                          "3 B3\0"
                          "11 bus lock\0"
                          "12 enabled breakpoint\0"
                          "14 BS\0"
                          "16 RTM\0";

static u32 basic_reason(const struct vmcs_context *context)
{
    return context->exit_reason & EXIT_REASON_BASIC_MASK;
}

static u32 parts_of(const struct vmcs_context *context)
{
    u32 reason = basic_reason(context);

    return reason < EXIT_REASON_COUNT ? info_parts[reason] : 0;
}

static bool has_register(u32 info, u32 parts)
{
    return parts & INFO_REGISTER || (parts & INFO_EITHER && info & BIT(10));
}

static bool has_memory(u32 info, u32 parts)
{
    return parts & INFO_MEMORY && !has_register(info, parts);
}

static void exception(struct text *list, u64 qualification, const struct vmcs_context *context)
{
    u32 vector = context->exit_intr_info & INTR_INFO_VECTOR_MASK;

    if (vector == VECTOR_PF)
        word_list_add(list, "linear address %#lx", qualification);
    if (vector != VECTOR_DB)
        return;
    if (qualification & BIT64(13))
        word_list_add(list, "BD");
    word_list_bits(list, debug_conditions, qualification & ~BIT64(13));
}

static void task_switch(struct text *list, u64 qualification)
{
    word_list_name(list, task_switch_sources, "source", qualification >> 30 & 3);
    word_list_add(list, "selector %#lx", qualification & 0xffff);
}

/* MOV to or from a control or debug register. */
static void move(struct text *list, const char *kind, u64 number, bool from, u64 qualification)
{
    const char *reg = registers[(qualification & CONTROL_REG_ACCESS_REG) >> 8];

    word_list_add(list, "MOV %s %s%lu %s %s", from ? "from" : "to", kind, number,
                  from ? "to" : "from", reg);
}

static void cr_access(struct text *list, u64 qualification)
{
    u64 type = (qualification & CONTROL_REG_ACCESS_TYPE) >> 4;

    if (type <= CR_MOV_FROM)
        move(list, "CR", qualification & CONTROL_REG_ACCESS_NUM, type == CR_MOV_FROM,
             qualification);
    else if (type == CR_CLTS)
        word_list_add(list, "CLTS");
    else
        word_list_add(list, "LMSW %#lx from %s", qualification >> LMSW_SOURCE_DATA_SHIFT & 0xffff,
                      qualification & BIT64(6) ? "memory" : "a register");
}

static void dr_access(struct text *list, u64 qualification)
{
    move(list, "DR", qualification & 7, qualification & BIT64(4), qualification);
}

static void io_instruction(struct text *list, u64 qualification)
{
    word_list_add(list, "%s%s%s, port %#lx %s, size %lu", qualification & BIT64(5) ? "REP " : "",
                  qualification & BIT64(3) ? "IN" : "OUT", qualification & BIT64(4) ? "S" : "",
                  qualification >> 16 & 0xffff, qualification & BIT64(6) ? "(immediate)" : "(DX)",
                  (qualification & 7) + 1);
}

static void invalid_state(struct text *list, u64 qualification)
{
    if (qualification != ENTRY_FAIL_DEFAULT)
        word_list_name(list, entry_failures, "cause", qualification);
}

static void apic_access(struct text *list, u64 qualification)
{
    word_list_name(list, apic_accesses, "type", qualification >> 12 & 15);
    word_list_add(list, "offset %#lx", qualification & 0xfff);
    if (qualification & BIT64(16))
        word_list_add(list, "asynchronous");
}

/* What a bit that is 0 means, too, has names as bits that do not exist. */
static void ept_violation(struct text *list, u64 qualification)
{
    u64 entry = EPT_RWX << EPT_VIOLATION_RWX_SHIFT | EPT_VIOLATION_EXEC_USER;

    if (!(qualification & entry))
        qualification |= BIT64(62);
    if (!(qualification & EPT_VIOLATION_LINEAR_VALID))
        qualification &= ~EPT_VIOLATION_TRANSLATED;
    else if (!(qualification & EPT_VIOLATION_TRANSLATED))
        qualification |= BIT64(63);
    word_list_bits(list, ept_violation_bits, qualification);
}

/* Bits beyond the address size are undefined. */
static void displacement(struct text *list, u64 qualification, u32 info)
{
    u32 size = info >> 7 & 7, unused = size < 2 ? 64 - (16u << size) : 0;
    s64 number = (s64)(qualification << unused) >> unused;

    if (number)
        word_list_add(list, "displacement %s%#lx", number < 0 ? "-" : "",
                      number < 0 ? 0 - (u64)number : (u64)number);
}

void exit_qualification_words(struct text *list, u64 qualification,
                              const struct vmcs_context *context)
{
    const char *number = name_of(plain_numbers, basic_reason(context));

    if (number)
        word_list_add(list, "%s %#lx", number, qualification);
    if (has_memory(context->instruction_info, parts_of(context)))
        displacement(list, qualification, context->instruction_info);
    switch (basic_reason(context)) {
    case EXIT_REASON_EXCEPTION_NMI: exception(list, qualification, context); break;
    case EXIT_REASON_TASK_SWITCH: task_switch(list, qualification); break;
    case EXIT_REASON_CR_ACCESS: cr_access(list, qualification); break;
    case EXIT_REASON_DR_ACCESS: dr_access(list, qualification); break;
    case EXIT_REASON_IO_INSTRUCTION: io_instruction(list, qualification); break;
    case EXIT_REASON_INVALID_STATE: invalid_state(list, qualification); break;
    case EXIT_REASON_APIC_ACCESS: apic_access(list, qualification); break;
    case EXIT_REASON_EPT_VIOLATION: ept_violation(list, qualification); break;
    case EXIT_REASON_MWAIT_INSTRUCTION:
    case EXIT_REASON_PML_FULL:
    case EXIT_REASON_SPP: word_list_bits(list, rare_bits, qualification); break;
    }
}

static u32 address_size(u32 info) { return 16u << (info >> 7 & 7); }

static const char *segment_name(u32 info) { return segments[info >> 15 & 7]; }

static void memory_operand(struct text *list, u32 info)
{
    word_list_add(list, "%s:[", segment_name(info));
    if (!(info & BIT(27)))
        text_add(list, "%s+", registers[info >> 23 & 15]);
    if (!(info & BIT(22)))
        text_add(list, "%s*%u+", registers[info >> 18 & 15], 1u << (info & 3));
    text_add(list, "displacement], %u-bit addresses", address_size(info));
}

/* Only INS and OUTS have the information, and INS no choice of the segment. */
static void string_io(struct text *list, u32 info, u64 qualification)
{
    if (!(qualification & BIT64(4)))
        return;
    if (!(qualification & BIT64(3)))
        word_list_add(list, "segment %s", segment_name(info));
    word_list_add(list, "%u-bit addresses", address_size(info));
}

void instruction_info_words(struct text *list, u64 value, const struct vmcs_context *context)
{
    u32 info = (u32)value, parts = parts_of(context), size = info >> 11 & 3;

    if (parts & INFO_GDTR_IDTR)
        size &= 1;
    if (parts & (INFO_GDTR_IDTR | INFO_LDTR_TR))
        word_list_add(list, "%s",
                      table_instructions[(info >> 28 & 3) + (parts & INFO_LDTR_TR ? 4 : 0)]);
    if (has_register(info, parts))
        word_list_add(list, "register %s", registers[info >> 3 & 15]);
    if (has_memory(info, parts))
        memory_operand(list, info);
    if (parts & INFO_REGISTER2)
        word_list_add(list, "register 2 %s", registers[info >> 28]);
    if (parts & INFO_SIZE)
        word_list_add(list, "%u-bit operand", 16u << size);
    if (basic_reason(context) == EXIT_REASON_IO_INSTRUCTION)
        string_io(list, info, context->exit_qualification);
}
