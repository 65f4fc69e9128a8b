/* Rows for vmx/check_controls.c: each changes a valid vmcs12 and names the outcome. */
#include "frequent.h"

#define OK  VMXERR_NONE
#define BAD VMXERR_ENTRY_INVALID_CONTROL_FIELD

static s32 outcome(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    return (s32)check_controls(v, caps);
}

#define IO            CPU_BASED_USE_IO_BITMAPS
#define MSRS          CPU_BASED_USE_MSR_BITMAPS
#define TPR           VOR(PROC, CPU_BASED_TPR_SHADOW)
#define APIC_PAGE     VOR(PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
#define X2APIC        VOR(PROC2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
#define REGISTERS     VOR(PROC2, SECONDARY_EXEC_APIC_REGISTER_VIRT)
#define VID           VOR(PROC2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
#define POSTED        VOR(PIN, PIN_BASED_POSTED_INTR)
#define ACK           VOR(EXIT, VM_EXIT_ACK_INTR_ON_EXIT)
#define SHADOWING     VOR(PROC2, SECONDARY_EXEC_SHADOW_VMCS)
#define FUNCTIONS     VOR(PROC2, SECONDARY_EXEC_ENABLE_VMFUNC)
#define SECONDARY_OFF VCLR(PROC, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)

/* A page address behind a control: rows for each way it can be. */
#define PAGE_ROWS(member, off, ...)                                                                \
    {#member " last page", BASE_64, OK, {V(member, LAST_PAGE), __VA_ARGS__}},                      \
        {#member " page 0", BASE_64, off, {V(member, 0), __VA_ARGS__}},                            \
        {#member " bit 0", BASE_64, BAD, {VOR(member, 1), __VA_ARGS__}},                           \
        {#member " bit 11", BASE_64, BAD, {VOR(member, 0x800), __VA_ARGS__}},                      \
        {#member " too wide", BASE_64, BAD, {V(member, BEYOND), __VA_ARGS__}},                     \
        {#member " bit 63", BASE_64, BAD, {VOR(member, BIT64(63)), __VA_ARGS__}},                  \
        {#member " 32 bits",                                                                       \
         BASE_64,                                                                                  \
         OK,                                                                                       \
         {V(member, 0xfffff000), COR(basic, VMX_BASIC_32BIT_ADDRESSES), __VA_ARGS__}},             \
    {                                                                                              \
#member " above 32 bits", BASE_64, BAD,                                                    \
        {                                                                                          \
            V(member, BIT64(32)), COR(basic, VMX_BASIC_32BIT_ADDRESSES), __VA_ARGS__               \
        }                                                                                          \
    }

/* An MSR area. */
#define AREA_ROWS(count, addr)                                                                     \
    {#addr " unused", BASE_64, OK, {V(count, 0), V(addr, ~0ull)}},                                 \
        {#addr " one entry", BASE_64, OK, {V(count, 1), V(addr, 0x10)}},                           \
        {#addr " last entry", BASE_64, OK, {V(count, 1), V(addr, BEYOND - 16)}},                   \
        {#addr " second entry too wide", BASE_64, BAD, {V(count, 2), V(addr, BEYOND - 16)}},       \
        {#addr " two last entries", BASE_64, OK, {V(count, 2), V(addr, BEYOND - 32)}},             \
        {#addr " 512 last entries", BASE_64, OK, {V(count, 512), V(addr, BEYOND - 8192)}},         \
        {#addr " 513 entries", BASE_64, BAD, {V(count, 513), V(addr, BEYOND - 8192)}},             \
        {#addr " 2^32-1 entries", BASE_64, OK, {V(count, 0xffffffff), V(addr, 0)}},                \
        {#addr " 2^28 entries too wide",                                                           \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {V(count, 0x10000000), V(addr, BEYOND - 0xfffffff0)}},                                    \
        {#addr " bit 0", BASE_64, BAD, {V(count, 1), V(addr, 1)}},                                 \
        {#addr " bit 3", BASE_64, BAD, {V(count, 1), V(addr, 8)}},                                 \
        {#addr " too wide", BASE_64, BAD, {V(count, 1), V(addr, BEYOND)}},                         \
    {                                                                                              \
#addr " wraps", BASE_64, BAD, { V(count, 2), V(addr, ~0xfull) }                            \
    }

static const struct row rows[] = {
    {"unchanged", BASE_64, OK, {}},
    {"unchanged", BASE_64_RESTRICTED, OK, {}},
    {"unchanged", BASE_PAE, OK, {}},
    {"unchanged", BASE_PAE_NO_EPT, OK, {}},
    {"unchanged", BASE_REAL, OK, {}},
    {"unchanged", BASE_V86, OK, {}},
    /* CR3 targets */
    {"4 CR3 targets", BASE_64, OK, {V(cr3_target_count, 4)}},
    {"5 CR3 targets", BASE_64, BAD, {V(cr3_target_count, 5)}},
    {"2^32-1 CR3 targets", BASE_64, BAD, {V(cr3_target_count, ~0u)}},
    /* bitmaps */
    PAGE_ROWS(io_bitmap_a, OK, VOR(PROC, IO)),
    PAGE_ROWS(io_bitmap_b, OK, VOR(PROC, IO)),
    PAGE_ROWS(msr_bitmap, OK, VOR(PROC, MSRS)),
    PAGE_ROWS(vmread_bitmap, OK, SHADOWING),
    PAGE_ROWS(vmwrite_bitmap, OK, SHADOWING),
    {"VMREAD and VMWRITE bitmaps unused",
     BASE_64,
     OK,
     {V(vmread_bitmap, ~0ull), V(vmwrite_bitmap, 1)}},
    {"VMREAD bitmap, secondary controls off",
     BASE_64_RESTRICTED,
     OK,
     {V(vmread_bitmap, 1), SHADOWING, SECONDARY_OFF}},
    {"I/O bitmaps unused", BASE_64, OK, {V(io_bitmap_a, 1), V(io_bitmap_b, ~0ull), VCLR(PROC, IO)}},
    {"MSR bitmap unused", BASE_64, OK, {V(msr_bitmap, ~0ull), VCLR(PROC, MSRS)}},
    /* NMIs */
    {"virtual NMIs", BASE_64, OK, {VOR(PIN, PIN_BASED_VIRTUAL_NMIS)}},
    {"virtual NMIs without NMI exiting",
     BASE_64,
     BAD,
     {VOR(PIN, PIN_BASED_VIRTUAL_NMIS), VCLR(PIN, PIN_BASED_NMI_EXITING)}},
    {"neither", BASE_64, OK, {VCLR(PIN, PIN_BASED_NMI_EXITING)}},
    {"NMI window",
     BASE_64,
     OK,
     {VOR(PIN, PIN_BASED_VIRTUAL_NMIS), VOR(PROC, CPU_BASED_VIRTUAL_NMI_PENDING)}},
    {"NMI window without virtual NMIs", BASE_64, BAD, {VOR(PROC, CPU_BASED_VIRTUAL_NMI_PENDING)}},
    /* virtual-APIC page and TPR threshold */
    PAGE_ROWS(apic_access_addr, OK, APIC_PAGE),
    {"APIC-access page unused", BASE_64, OK, {V(apic_access_addr, ~0ull)}},
    {"APIC-access page, secondary controls off",
     BASE_64_RESTRICTED,
     OK,
     {V(apic_access_addr, ~0ull), APIC_PAGE, SECONDARY_OFF}},
    {"TPR shadow", BASE_64, OK, {TPR}},
    {"virtual-APIC page unused", BASE_64, OK, {V(virtual_apic_page_addr, ~0ull)}},
    {"virtual-APIC page last", BASE_64, OK, {TPR, V(virtual_apic_page_addr, LAST_PAGE)}},
    {"virtual-APIC page bit 0", BASE_64, BAD, {TPR, VOR(virtual_apic_page_addr, 1)}},
    {"virtual-APIC page bit 11", BASE_64, BAD, {TPR, VOR(virtual_apic_page_addr, 0x800)}},
    {"virtual-APIC page too wide", BASE_64, BAD, {TPR, V(virtual_apic_page_addr, BEYOND)}},
    {"threshold 5 of 5", BASE_64, OK, {TPR, V(tpr_threshold, 5)}},
    {"threshold 6 of 5", BASE_64, BAD, {TPR, V(tpr_threshold, 6)}},
    {"threshold 15 of 15", BASE_64, OK, {TPR, V(tpr_threshold, 15), M(TEST_VAPIC + 0x80, 0xf0)}},
    {"threshold 1 of 0", BASE_64, BAD, {TPR, V(tpr_threshold, 1), M(TEST_VAPIC + 0x80, 0xff0f)}},
    {"threshold 16", BASE_64, BAD, {TPR, V(tpr_threshold, 16)}},
    {"threshold bit 31", BASE_64, BAD, {TPR, V(tpr_threshold, BIT(31))}},
    {"threshold without TPR shadow", BASE_64, OK, {V(tpr_threshold, ~0u)}},
    {"threshold with APIC-access page", BASE_64, OK, {TPR, V(tpr_threshold, 15), APIC_PAGE}},
    {"threshold 16 with APIC-access page", BASE_64, BAD, {TPR, V(tpr_threshold, 16), APIC_PAGE}},
    {"threshold with VID", BASE_64, OK, {TPR, V(tpr_threshold, ~0u), VID}},
    {"threshold, VID not activated",
     BASE_64_RESTRICTED,
     BAD,
     {TPR, V(tpr_threshold, ~0u), VID, SECONDARY_OFF}},
    /* the rest of APIC virtualization */
    {"x2APIC mode", BASE_64, OK, {TPR, X2APIC}},
    {"x2APIC mode without TPR shadow", BASE_64, BAD, {X2APIC}},
    {"x2APIC mode with APIC-access page", BASE_64, BAD, {TPR, X2APIC, APIC_PAGE}},
    {"APIC registers", BASE_64, OK, {TPR, REGISTERS}},
    {"APIC registers without TPR shadow", BASE_64, BAD, {REGISTERS}},
    {"VID", BASE_64, OK, {TPR, VID}},
    {"VID without TPR shadow", BASE_64, BAD, {VID}},
    {"VID without external-interrupt exiting",
     BASE_64,
     BAD,
     {TPR, VID, VCLR(PIN, PIN_BASED_EXT_INTR_MASK)}},
    {"no external-interrupt exiting", BASE_64, OK, {VCLR(PIN, PIN_BASED_EXT_INTR_MASK)}},
    {"no TPR shadow, none activated", BASE_64_RESTRICTED, OK, {X2APIC, VID, SECONDARY_OFF}},
    {"posted interrupts", BASE_64, OK, {TPR, VID, POSTED, ACK}},
    {"posted interrupts without VID", BASE_64, BAD, {TPR, POSTED, ACK}},
    {"posted interrupts without acknowledgement", BASE_64, BAD, {TPR, VID, POSTED}},
    {"notification vector 255", BASE_64, OK, {TPR, VID, POSTED, ACK, V(posted_intr_nv, 255)}},
    {"notification vector 256", BASE_64, BAD, {TPR, VID, POSTED, ACK, V(posted_intr_nv, 256)}},
    {"descriptor bit 0", BASE_64, BAD, {TPR, VID, POSTED, ACK, V(posted_intr_desc_addr, 1)}},
    {"descriptor bit 5", BASE_64, BAD, {TPR, VID, POSTED, ACK, V(posted_intr_desc_addr, 0x20)}},
    {"descriptor last",
     BASE_64,
     OK,
     {TPR, VID, POSTED, ACK, V(posted_intr_desc_addr, BEYOND - 64)}},
    {"descriptor too wide",
     BASE_64,
     BAD,
     {TPR, VID, POSTED, ACK, V(posted_intr_desc_addr, BEYOND)}},
    {"posted fields unused",
     BASE_64,
     OK,
     {V(posted_intr_desc_addr, ~0ull), V(posted_intr_nv, 0xffff)}},
    /* EPT, VPID, unrestricted guest */
    {"VPID 0", BASE_64, BAD, {V(virtual_processor_id, 0)}},
    {"VPID 0xffff", BASE_64, OK, {V(virtual_processor_id, 0xffff)}},
    {"VPID 0 unused",
     BASE_64,
     OK,
     {V(virtual_processor_id, 0), VCLR(PROC2, SECONDARY_EXEC_ENABLE_VPID)}},
    {"EPTP UC", BASE_64, OK, {V(ept_pointer, 0x4018)}},
    {"EPTP UC not offered", BASE_64, BAD, {V(ept_pointer, 0x4018), CCLR(ept_vpid, EPT_CAP_UC)}},
    {"EPTP WB not offered", BASE_64, BAD, {CCLR(ept_vpid, EPT_CAP_WB)}},
    {"EPTP walk of 4 not offered", BASE_64, BAD, {CCLR(ept_vpid, EPT_CAP_4_LEVEL)}},
    {"EPTP WC", BASE_64, BAD, {V(ept_pointer, 0x4019)}},
    {"EPTP type 4", BASE_64, BAD, {V(ept_pointer, 0x401c)}},
    {"EPTP type 5", BASE_64, BAD, {V(ept_pointer, 0x401d)}},
    {"EPTP type 7", BASE_64, BAD, {V(ept_pointer, 0x401f)}},
    {"EPTP walk of 1", BASE_64, BAD, {V(ept_pointer, 0x4006)}},
    {"EPTP walk of 3", BASE_64, BAD, {V(ept_pointer, 0x4016)}},
    {"EPTP walk of 5", BASE_64, BAD, {V(ept_pointer, 0x4026)}},
    {"EPTP walk of 5 offered",
     BASE_64,
     OK,
     {V(ept_pointer, 0x4026), COR(ept_vpid, EPT_CAP_5_LEVEL)}},
    {"EPTP walk of 4, 5 offered", BASE_64, OK, {COR(ept_vpid, EPT_CAP_5_LEVEL)}},
    {"EPTP walk of 6", BASE_64, BAD, {V(ept_pointer, 0x402e), COR(ept_vpid, EPT_CAP_5_LEVEL)}},
    {"EPTP A/D", BASE_64, OK, {VOR(ept_pointer, EPTP_AD)}},
    {"EPTP A/D not offered", BASE_64, BAD, {VOR(ept_pointer, EPTP_AD), CCLR(ept_vpid, EPT_CAP_AD)}},
    {"EPTP bit 7", BASE_64, BAD, {VOR(ept_pointer, BIT64(7))}},
    {"EPTP bit 7 offered", BASE_64, OK, {VOR(ept_pointer, BIT64(7)), COR(ept_vpid, BIT64(23))}},
    {"EPTP bit 8", BASE_64, BAD, {VOR(ept_pointer, BIT64(8))}},
    {"EPTP bit 11", BASE_64, BAD, {VOR(ept_pointer, BIT64(11))}},
    {"EPTP last page", BASE_64, OK, {V(ept_pointer, LAST_PAGE | 0x1e)}},
    {"EPTP too wide", BASE_64, BAD, {V(ept_pointer, BEYOND | 0x1e)}},
    {"EPTP bit 63", BASE_64, BAD, {VOR(ept_pointer, BIT64(63))}},
    {"EPTP unused", BASE_PAE_NO_EPT, OK, {V(ept_pointer, ~0ull)}},
    {"unrestricted guest without EPT", BASE_64, BAD, {VCLR(PROC2, SECONDARY_EXEC_ENABLE_EPT)}},
    {"unrestricted guest not activated",
     BASE_64,
     OK,
     {VCLR(PROC2, SECONDARY_EXEC_ENABLE_EPT), SECONDARY_OFF}},
    {"mode-based execute", BASE_64, OK, {VOR(PROC2, SECONDARY_EXEC_MODE_BASED_EPT_EXEC)}},
    {"mode-based execute without EPT",
     BASE_PAE_NO_EPT,
     BAD,
     {VOR(PROC2, SECONDARY_EXEC_MODE_BASED_EPT_EXEC)}},
    /* page-modification logging */
    PAGE_ROWS(pml_address, OK, VOR(PROC2, SECONDARY_EXEC_ENABLE_PML)),
    {"PML unused", BASE_64, OK, {V(pml_address, ~0ull)}},
    {"PML without EPT", BASE_PAE_NO_EPT, BAD, {VOR(PROC2, SECONDARY_EXEC_ENABLE_PML)}},
    {"PML not offered",
     BASE_64,
     BAD,
     {VOR(PROC2, SECONDARY_EXEC_ENABLE_PML), CCLR(proc2, (u64)SECONDARY_EXEC_ENABLE_PML << 32)}},
    /* virtualization exceptions */
    PAGE_ROWS(ve_information_address, OK, VOR(PROC2, SECONDARY_EXEC_EPT_VIOLATION_VE)),
    {"#VE information unused", BASE_64, OK, {V(ve_information_address, ~0ull)}},
    {"#VE without EPT", BASE_PAE_NO_EPT, OK, {VOR(PROC2, SECONDARY_EXEC_EPT_VIOLATION_VE)}},
    /* VM functions */
    {"VM functions", BASE_64, OK, {FUNCTIONS}},
    {"EPTP switching without EPT", BASE_PAE_NO_EPT, BAD, {FUNCTIONS, V(vm_function_control, 1)}},
    {"no function without EPT", BASE_PAE_NO_EPT, OK, {FUNCTIONS}},
    {"VM function 1", BASE_64, BAD, {FUNCTIONS, V(vm_function_control, 2)}},
    {"VM function 63", BASE_64, BAD, {FUNCTIONS, V(vm_function_control, BIT64(63))}},
    {"VM functions unused",
     BASE_64,
     OK,
     {V(vm_function_control, ~0ull), V(eptp_list_address, ~0ull)}},
    {"EPTP switching not offered",
     BASE_64,
     BAD,
     {FUNCTIONS, V(vm_function_control, 1), CCLR(vmfunc, 1)}},
    {"EPTP list unused", BASE_64, OK, {FUNCTIONS, V(eptp_list_address, ~0ull)}},
    PAGE_ROWS(eptp_list_address, OK, FUNCTIONS, V(vm_function_control, 1)),
    /* other secondary controls */
    {"reserved secondary control not activated", BASE_64, OK, {V(PROC2, ~0u), SECONDARY_OFF}},
    {"TSC scaling", BASE_64, OK, {VOR(PROC2, SECONDARY_EXEC_TSC_SCALING)}},
    {"TSC multiplier 0",
     BASE_64,
     BAD,
     {VOR(PROC2, SECONDARY_EXEC_TSC_SCALING), V(tsc_multiplier, 0)}},
    {"TSC multiplier 0 unused", BASE_64, OK, {V(tsc_multiplier, 0)}},
    /* VM-exit controls */
    {"timer saved",
     BASE_64,
     OK,
     {VOR(EXIT, VM_EXIT_SAVE_PREEMPTION_TIMER), VOR(PIN, PIN_BASED_PREEMPTION_TIMER)}},
    {"timer saved but off", BASE_64, BAD, {VOR(EXIT, VM_EXIT_SAVE_PREEMPTION_TIMER)}},
    {"timer not saved", BASE_64, OK, {VOR(PIN, PIN_BASED_PREEMPTION_TIMER)}},
    AREA_ROWS(vm_exit_msr_store_count, vm_exit_msr_store_addr),
    AREA_ROWS(vm_exit_msr_load_count, vm_exit_msr_load_addr),
    /* VM-entry controls */
    AREA_ROWS(vm_entry_msr_load_count, vm_entry_msr_load_addr),
    {"entry to SMM", BASE_64, BAD, {VOR(ENTRY, VM_ENTRY_SMM)}},
    {"entry to SMM allowed by the word",
     BASE_64,
     BAD,
     {VOR(ENTRY, VM_ENTRY_SMM), COR(true_entry, (u64)VM_ENTRY_SMM << 32)}},
    {"dual monitor",
     BASE_64,
     BAD,
     {VOR(ENTRY, VM_ENTRY_DEACT_DUAL_MONITOR),
      COR(true_entry, (u64)VM_ENTRY_DEACT_DUAL_MONITOR << 32)}},
    /* event injection */
    {"not valid", BASE_64, OK, {V(INFO, 0x7fffffff), V(vm_entry_exception_error_code, ~0u)}},
    {"interrupt 0", BASE_64, OK, {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 0))}},
    {"interrupt 255", BASE_64, OK, {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 255))}},
    {"interrupt with error code", BASE_64, BAD, {V(INFO, EVENT_EC(INTR_TYPE_EXT_INTR, 13))}},
    {"reserved type", BASE_64, BAD, {V(INFO, EVENT(1u << 8, 2))}},
    {"NMI", BASE_64, OK, {V(INFO, EVENT(INTR_TYPE_NMI, 2))}},
    {"NMI 1", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_NMI, 1))}},
    {"NMI 3", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_NMI, 3))}},
    {"NMI with error code", BASE_64, BAD, {V(INFO, EVENT_EC(INTR_TYPE_NMI, 2))}},
    {"exception 31", BASE_64, OK, {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 31))}},
    {"exception 32", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 32))}},
    {"exception 45", BASE_64, BAD, {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 45))}},
    {"exception 255", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 255))}},
    {"MTF", BASE_64, OK, {V(INFO, EVENT(INTR_TYPE_OTHER, 0))}},
    {"MTF with error code", BASE_64, BAD, {V(INFO, EVENT_EC(INTR_TYPE_OTHER, 0))}},
    {"other event 1", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_OTHER, 1))}},
    {"MTF not offered",
     BASE_64,
     BAD,
     {V(INFO, EVENT(INTR_TYPE_OTHER, 0)), CCLR(true_proc, (u64)CPU_BASED_MONITOR_TRAP_FLAG << 32)}},
    {"reserved bit 12", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 32) | BIT(12))}},
    {"reserved bit 13", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 6) | BIT(13))}},
    {"reserved bit 30", BASE_64, BAD, {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 32) | BIT(30))}},
    {"error code of 16 bits",
     BASE_64,
     OK,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 14)), V(vm_entry_exception_error_code, 0xffff)}},
    {"error code bit 16",
     BASE_64,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 14)), V(vm_entry_exception_error_code, BIT(16))}},
    {"error code bit 31",
     BASE_64,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 14)), V(vm_entry_exception_error_code, BIT(31))}},
    {"error code unused",
     BASE_64,
     OK,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 6)), V(vm_entry_exception_error_code, ~0u)}},
    {"#GP in real mode", BASE_REAL, OK, {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 13))}},
    {"#GP with error code in real mode",
     BASE_REAL,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 13))}},
    {"#UD with error code in real mode",
     BASE_REAL,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 6))}},
    {"#GP with CR0.PE 0, restricted",
     BASE_64_RESTRICTED,
     BAD,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 13)), VCLR(guest_cr0, CR0_PE)}},
    {"#GP, any error code",
     BASE_64,
     OK,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 13)), COR(basic, BIT64(56))}},
    {"#UD with error code, any error code",
     BASE_64,
     OK,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 6)), COR(basic, BIT64(56))}},
    {"real mode, any error code",
     BASE_REAL,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 13)), COR(basic, BIT64(56))}},
    {"software interrupt with error code, any error code",
     BASE_64,
     BAD,
     {V(INFO, EVENT_EC(INTR_TYPE_SOFT_INTR, 13)), COR(basic, BIT64(56))}},
#define SOFTWARE_ROWS(type, vector)                                                                \
    {#type " length 1",                                                                            \
     BASE_64,                                                                                      \
     OK,                                                                                           \
     {V(INFO, EVENT(type, vector)), V(vm_entry_instruction_len, 1)}},                              \
        {#type " length 15",                                                                       \
         BASE_64,                                                                                  \
         OK,                                                                                       \
         {V(INFO, EVENT(type, vector)), V(vm_entry_instruction_len, 15)}},                         \
        {#type " length 16",                                                                       \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {V(INFO, EVENT(type, vector)), V(vm_entry_instruction_len, 16)}},                         \
        {#type " length 2^31",                                                                     \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {V(INFO, EVENT(type, vector)), V(vm_entry_instruction_len, BIT(31))}},                    \
        {#type " length 0", BASE_64, OK, {V(INFO, EVENT(type, vector))}},                          \
        {#type " length 0 not offered",                                                            \
         BASE_64,                                                                                  \
         BAD,                                                                                      \
         {V(INFO, EVENT(type, vector)), CCLR(misc, VMX_MISC_ZERO_LENGTH_INJECTION)}},              \
    {                                                                                              \
#type " with error code", BASE_64, BAD,                                                    \
        {                                                                                          \
            V(INFO, EVENT_EC(type, 13)), V(vm_entry_instruction_len, 1)                            \
        }                                                                                          \
    }
    SOFTWARE_ROWS(INTR_TYPE_SOFT_INTR, 0x80),
    SOFTWARE_ROWS(INTR_TYPE_PRIV_SW_EXCEPTION, 1),
    SOFTWARE_ROWS(INTR_TYPE_SOFT_EXCEPTION, 3),
    {"length of an interrupt",
     BASE_64,
     OK,
     {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 32)), V(vm_entry_instruction_len, 16)}},
    {"length of an exception",
     BASE_64,
     OK,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 6)), V(vm_entry_instruction_len, ~0u)}},
};

static void test_rows(void **state)
{
    (void)state;
    rows_run(rows, ARRAY_SIZE(rows), outcome);
}

/* Every exception vector, with and without an error code. */
static void test_error_codes(void **state)
{
    static const u8 with_code[] = {8, 10, 11, 12, 13, 14, 17};

    (void)state;
    for (u32 vector = 0; vector < 32; vector++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        bool wants_code = memchr(with_code, (int)vector, sizeof(with_code)) != NULL;

        base_make(BASE_64, &v, &caps);
        v.INFO = EVENT(INTR_TYPE_EXCEPTION, vector);
        assert_int_equal(check_controls(&v, &caps), wants_code ? BAD : OK);
        v.INFO |= INTR_INFO_DELIVER_CODE_MASK;
        assert_int_equal(check_controls(&v, &caps), wants_code ? OK : BAD);
    }
}

/* Flips each bit of a control word: only what its MSR allows may pass this word's check. */
static void word_flip(u64 offset, u64 msr)
{
    for (u32 bit = 0; bit < 32; bit++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        u32 word;

        base_make(BASE_64, &v, &caps);
        memcpy(&word, (u8 *)&v + offset, sizeof(word));
        word ^= BIT(bit);
        memcpy((u8 *)&v + offset, &word, sizeof(word));
        if (!controls_allowed(word, msr))
            assert_int_equal(check_controls(&v, &caps), BAD);
        if (word & BIT(bit) ? !(msr >> 32 & BIT(bit)) : (bool)(msr & BIT(bit)))
            assert_int_equal(check_controls(&v, &caps), BAD);
    }
}

static void test_words(void **state)
{
    struct vmcs12 v;
    struct vmx_caps caps;

    (void)state;
    base_make(BASE_64, &v, &caps);
    word_flip(offsetof(struct vmcs12, PIN), caps.true_pin);
    word_flip(offsetof(struct vmcs12, PROC), caps.true_proc);
    word_flip(offsetof(struct vmcs12, PROC2), caps.proc2);
    word_flip(offsetof(struct vmcs12, EXIT), caps.true_exit);
    word_flip(offsetof(struct vmcs12, ENTRY), caps.true_entry);
}

/* The virtual-APIC page is read at most once, and only if the threshold is compared. */
static void test_reads(void **state)
{
    struct vmcs12 v;
    struct vmx_caps caps;

    (void)state;
    base_make(BASE_64, &v, &caps);
    assert_int_equal(check_controls(&v, &caps), OK);
    assert_int_equal(test_memory_reads, 0);
    v.PROC |= CPU_BASED_TPR_SHADOW;
    assert_int_equal(check_controls(&v, &caps), OK);
    assert_int_equal(test_memory_reads, 0);
    v.tpr_threshold = 5;
    assert_int_equal(check_controls(&v, &caps), OK);
    assert_int_equal(test_memory_reads, 1);
    v.PROC2 |= SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
    assert_int_equal(check_controls(&v, &caps), OK);
    assert_int_equal(test_memory_reads, 1);
}

/* What L1 writes all the time, and the virtual-APIC page: the check of these finds what the whole
   check finds. */
static void test_frequent(void **state)
{
    u32 valid = 0, outcomes[2] = {0};

    (void)state;
    while (valid < 20000) {
        struct vmcs12 v;
        struct vmx_caps caps;
        enum vm_instruction_error wanted;

        make_random(&v, &caps);
        wanted = check_controls(&v, &caps);
        if (wanted != OK)
            continue;
        valid++;
        assert_int_equal(check_frequent_controls(&v, &caps), OK);
        if (random_below(4))
            change_frequent(&v);
        else
            memory_set(TEST_VAPIC + 0x80, random_u64());
        wanted = check_controls(&v, &caps);
        assert_int_equal(check_frequent_controls(&v, &caps), wanted);
        outcomes[wanted != OK]++;
    }
    assert_true(outcomes[0] > 1000 && outcomes[1] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_error_codes),
        cmocka_unit_test(test_words),    cmocka_unit_test(test_reads),
        cmocka_unit_test(test_frequent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
