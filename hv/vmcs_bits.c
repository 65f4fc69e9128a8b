#include "vmcs_bits.h"
#include "exit_words.h"
#include "names.h"
#include "vmcs_fields.h"
#include "vmx_features.h"

/* The names of one capability word: OF(A, B, text) is the text if A and B are the same word. */
#define SAME_PIN_PIN               ,
#define SAME_PROC_PROC             ,
#define SAME_PROC2_PROC2           ,
#define SAME_EXIT_EXIT             ,
#define SAME_ENTRY_ENTRY           ,
#define SAME_VMFUNC_VMFUNC         ,
#define SECOND(first, second, ...) second
#define SECOND_OF(...)             SECOND(__VA_ARGS__)
#define OF(a, b, text)             SECOND_OF(SAME_##a##_##b text, "", )

static NAMES(pin_bits) =
#define X(id, name, word, bit) OF(PIN, word, #bit " " name "\0")
    PLASTRON_FEATURES(X);
#undef X

static NAMES(proc_bits) =
#define X(id, name, word, bit) OF(PROC, word, #bit " " name "\0")
    PLASTRON_FEATURES(X)
#undef X
        "17 tertiary-controls\0";

static NAMES(proc2_bits) =
#define X(id, name, word, bit) OF(PROC2, word, #bit " " name "\0")
    PLASTRON_FEATURES(X)
#undef X
        "15 encls-exiting\0"
        "19 conceal-vmx-from-pt\0"
        "21 pasid-translation\0"
        "23 sub-page-permissions\0"
        "24 pt-guest-physical\0"
        "27 pconfig\0"
        "28 enclv-exiting\0"
        "30 bus-lock-detection\0"
        "31 instruction-timeout\0";

static NAMES(exit_bits) =
#define X(id, name, word, bit) OF(EXIT, word, #bit " " name "\0")
    PLASTRON_FEATURES(X)
#undef X
        "23 clear-bndcfgs\0"
        "24 conceal-vmx-from-pt\0"
        "25 clear-rtit-ctl\0"
        "26 clear-lbr-ctl\0"
        "31 secondary-exit-controls\0";

static NAMES(entry_bits) =
#define X(id, name, word, bit) OF(ENTRY, word, #bit " " name "\0")
    PLASTRON_FEATURES(X)
#undef X
        "10 entry-to-smm\0"
        "11 deactivate-dual-monitor\0"
        "16 load-bndcfgs\0"
        "17 conceal-vmx-from-pt\0"
        "18 load-rtit-ctl\0"
        "21 load-lbr-ctl\0"
        "23 load-fred\0";

static NAMES(vmfunc_bits) =
#define X(id, name, word, bit) OF(VMFUNC, word, #bit " " name "\0")
    PLASTRON_FEATURES(X);
#undef X

static NAMES(cr0_bits) = "0 PE\0"
                         "1 MP\0"
                         "2 EM\0"
                         "3 TS\0"
                         "4 ET\0"
                         "5 NE\0"
                         "16 WP\0"
                         "18 AM\0"
                         "29 NW\0"
                         "30 CD\0"
                         "31 PG\0";
static NAMES(cr4_bits) = "0 VME\0"
                         "1 PVI\0"
                         "2 TSD\0"
                         "3 DE\0"
                         "4 PSE\0"
                         "5 PAE\0"
                         "6 MCE\0"
                         "7 PGE\0"
                         "8 PCE\0"
                         "9 OSFXSR\0"
                         "10 OSXMMEXCPT\0"
                         "11 UMIP\0"
                         "12 LA57\0"
                         "13 VMXE\0"
                         "14 SMXE\0"
                         "16 FSGSBASE\0"
                         "17 PCIDE\0"
                         "18 OSXSAVE\0"
                         "19 KL\0"
                         "20 SMEP\0"
                         "21 SMAP\0"
                         "22 PKE\0"
                         "23 CET\0"
                         "24 PKS\0"
                         "25 UINTR\0"
                         "27 LASS\0"
                         "28 LAM_SUP\0"
                         "32 FRED\0";
static NAMES(efer_bits) = "0 SCE\0"
                          "8 LME\0"
                          "10 LMA\0"
                          "11 NXE\0";
static NAMES(debugctl_bits) = "0 LBR\0"
                              "1 BTF\0"
                              "2 bus lock\0"
                              "6 TR\0"
                              "7 BTS\0"
                              "8 BTINT\0"
                              "9 BTS_OFF_OS\0"
                              "10 BTS_OFF_USR\0"
                              "11 FREEZE_LBRS_ON_PMI\0"
                              "12 FREEZE_PERFMON_ON_PMI\0"
                              "13 ENABLE_UNCORE_PMI\0"
                              "14 FREEZE_WHILE_SMM\0"
                              "15 RTM_DEBUG\0";
NAMES(page_fault_bits) = "0 present\0"
                         "1 write\0"
                         "2 user\0"
                         "3 reserved bit\0"
                         "4 fetch\0"
                         "5 protection key\0"
                         "6 shadow stack\0"
                         "7 HLAT\0"
                         "15 SGX\0";
static NAMES(xss_bits) = "8 PT\0"
                         "10 PASID\0"
                         "11 CET_U\0"
                         "12 CET_S\0"
                         "13 HDC\0"
                         "14 UINTR\0"
                         "15 LBR\0"
                         "16 HWP\0";
static NAMES(blocking_bits) = "0 blocking by STI\0"
                              "1 blocking by MOV SS\0"
                              "2 blocking by SMI\0"
                              "3 blocking by NMI\0"
                              "4 enclave interruption\0";
static const struct {
    u16 field;
    u32 ones;
    const char *table;
} bit_fields[] = {
    {PIN_BASED_VM_EXEC_CONTROL, 0x16, pin_bits},
    {CPU_BASED_VM_EXEC_CONTROL, 0x04006172, proc_bits},
    {SECONDARY_VM_EXEC_CONTROL, 0, proc2_bits},
    {VM_EXIT_CONTROLS, 0x36dfb, exit_bits},
    {VM_ENTRY_CONTROLS, 0x11fb, entry_bits},
    {VM_FUNCTION_CONTROL, 0, vmfunc_bits},
    {XSS_EXIT_BITMAP, 0, xss_bits},
    {PAGE_FAULT_ERROR_CODE_MASK, 0, page_fault_bits},
    {PAGE_FAULT_ERROR_CODE_MATCH, 0, page_fault_bits},
    {GUEST_INTERRUPTIBILITY_INFO, 0, blocking_bits},
    {GUEST_PENDING_DBG_EXCEPTIONS, 0, debug_conditions},
    {GUEST_IA32_DEBUGCTL, 0, debugctl_bits},
    {GUEST_IA32_EFER, 0, efer_bits},
    {HOST_IA32_EFER, 0, efer_bits},
    {CR0_GUEST_HOST_MASK, 0, cr0_bits},
    {CR0_READ_SHADOW, 0, cr0_bits},
    {GUEST_CR0, 0, cr0_bits},
    {HOST_CR0, 0, cr0_bits},
    {CR4_GUEST_HOST_MASK, 0, cr4_bits},
    {CR4_READ_SHADOW, 0, cr4_bits},
    {GUEST_CR4, 0, cr4_bits},
    {HOST_CR4, 0, cr4_bits},
};

void bits_in_words(struct text *list, const char *table, u64 value, u64 ones)
{
    word_list_bits(list, table, value & ~ones);
    if (ones & ~value)
        word_list_add(list, "reserved %#lx clear", ones & ~value);
}

bool vmcs_bits(struct text *list, u32 field, u64 value)
{
    for (u32 i = 0; i < ARRAY_SIZE(bit_fields); i++) {
        if (bit_fields[i].field != field)
            continue;
        bits_in_words(list, bit_fields[i].table, value, bit_fields[i].ones);
        return true;
    }
    return false;
}
