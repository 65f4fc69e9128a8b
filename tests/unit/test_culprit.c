/*
 * Rows for vmx/culprit.c: each breaks a valid vmcs12 in one way and names the field that is to be
 * found, and its bits. That there is a fault at all is said by vmx/check_*.c, in every test.
 */
#include "random.h"
#include "test_check.h"

#include "hv/vmcs_names.h"
#include "vmx/culprit.h"

/* ---- What is common to all tests ---- */

static u64 get(const struct vmcs12 *v, u32 encoding)
{
    return vmcs12_get(v, field_lookup(encoding), false);
}

static void set(struct vmcs12 *v, u32 encoding, u64 value)
{
    vmcs12_set(v, field_lookup(encoding), false, value);
}

/* What the checks say: the error, or for guest state whether, and the qualification. */
struct verdict {
    enum vm_instruction_error error;
    bool guest;
    u64 qualification;
};

static struct verdict verdict_of(const struct vmcs12 *v, const struct vmx_caps *caps,
                                 bool l1_long_mode)
{
    struct verdict verdict = {check_controls(v, caps), false, 0};
    u64 pdpte[4];

    if (!verdict.error)
        verdict.error = check_host_state(v, caps, l1_long_mode);
    if (!verdict.error)
        verdict.guest =
            !check_guest_state(v, caps, TEST_CURRENT_VMCS, pdpte, &verdict.qualification);
    if (!verdict.guest)
        verdict.qualification = 0;
    return verdict;
}

static bool is_failure(const struct verdict *verdict) { return verdict->error || verdict->guest; }

/* Both say the same, and a fault comes with a field. False: nothing is wrong. */
static bool find(const struct vmcs12 *v, const struct vmx_caps *caps, bool l1_long_mode,
                 struct culprit *culprit)
{
    struct verdict wanted = verdict_of(v, caps, l1_long_mode);

    memset(culprit, 0xa5, sizeof(*culprit));
    culprit_find(v, caps, l1_long_mode, TEST_CURRENT_VMCS, culprit);
    assert_int_equal(culprit->error, wanted.error);
    assert_int_equal(culprit->guest, wanted.guest);
    assert_int_equal(culprit->qualification, wanted.qualification);
    assert_int_equal(!culprit->count, !is_failure(&wanted));
    assert_true(culprit->count <= CULPRIT_FIELDS);
    for (u32 i = 0; i < culprit->count; i++)
        assert_int_equal(culprit->field[i].value, get(v, culprit->field[i].encoding));
    return culprit->count;
}

/* How many fields the first fault names. */
static u32 first_length(const struct culprit *culprit)
{
    u32 length = 1;

    while (culprit->field[length - 1].joined)
        assert_true(++length <= culprit->count);
    return length;
}

/* ---- Rows ---- */

#define CONTROL VMXERR_ENTRY_INVALID_CONTROL_FIELD
#define HOST    VMXERR_ENTRY_INVALID_HOST_STATE_FIELD

struct fault {
    const char *name;
    enum base base;
    u32 field; /* among those of the first fault */
    u64 bits;
    u32 with; /* contradicts this field; 0: none */
    struct change changes[6];
};

#define IO        CPU_BASED_USE_IO_BITMAPS
#define TPR       VOR(PROC, CPU_BASED_TPR_SHADOW)
#define P2(name)  VOR(PROC2, SECONDARY_EXEC_##name)
#define NO_EPT    VCLR(PROC2, SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST)
#define ACK       VOR(EXIT, VM_EXIT_ACK_INTR_ON_EXIT)
#define POSTED    VOR(PIN, PIN_BASED_POSTED_INTR)
#define FUNCTIONS P2(ENABLE_VMFUNC)

#define PAGE_FAULTS(name, member, ...)                                                             \
    {#name " aligned", BASE_64, name, 0x801, 0, {VOR(member, 0x801), __VA_ARGS__}},                \
    {                                                                                              \
#name " wide", BASE_64, name, BEYOND, 0, { V(member, BEYOND), __VA_ARGS__ }                \
    }

#define AREA_FAULTS(name, member)                                                                  \
    {#name " aligned", BASE_64, name##_ADDR, 9, 0, {V(member##_count, 1), V(member##_addr, 9)}},   \
        {#name " wide", BASE_64, name##_ADDR,                                                      \
         BEYOND,        0,       {V(member##_count, 1), V(member##_addr, BEYOND)}},                \
        {#name " of too many", BASE_64,                                                            \
         name##_COUNT,         3,                                                                  \
         name##_ADDR,          {V(member##_count, 2), V(member##_addr, BEYOND - 16)}},             \
    {                                                                                              \
#name " that wraps", BASE_64, name##_ADDR, ~(BEYOND - 1), 0,                               \
        {                                                                                          \
            V(member##_count, 2), V(member##_addr, ~0xfull)                                        \
        }                                                                                          \
    }

#define SOFTWARE_FAULTS(type)                                                                      \
    {#type " code",                                                                                \
     BASE_64,                                                                                      \
     VM_ENTRY_INTR_INFO_FIELD,                                                                     \
     INTR_INFO_DELIVER_CODE_MASK,                                                                  \
     0,                                                                                            \
     {V(INFO, EVENT_EC(type, 3)), V(vm_entry_instruction_len, 1)}},                                \
        {#type " length",                                                                          \
         BASE_64,                                                                                  \
         VM_ENTRY_INSTRUCTION_LEN,                                                                 \
         0x10,                                                                                     \
         0,                                                                                        \
         {V(INFO, EVENT(type, 3)), V(vm_entry_instruction_len, 16)}},                              \
    {                                                                                              \
#type " length 0", BASE_64, VM_ENTRY_INSTRUCTION_LEN, 8, 0,                                \
        {                                                                                          \
            V(INFO, EVENT(type, 3)), CCLR(misc, VMX_MISC_ZERO_LENGTH_INJECTION)                    \
        }                                                                                          \
    }

static const struct fault control_faults[] = {
    {"pin must", BASE_64, PIN_BASED_VM_EXEC_CONTROL, 6, 0, {VCLR(PIN, 6)}},
    {"pin may", BASE_64, PIN_BASED_VM_EXEC_CONTROL, BIT(30), 0, {VOR(PIN, BIT(30))}},
    {"proc must", BASE_64, CPU_BASED_VM_EXEC_CONTROL, BIT(1), 0, {VCLR(PROC, BIT(1))}},
    {"proc may", BASE_64, CPU_BASED_VM_EXEC_CONTROL, BIT(0), 0, {VOR(PROC, BIT(0))}},
    {"proc2 may", BASE_64, SECONDARY_VM_EXEC_CONTROL, BIT(31), 0, {VOR(PROC2, BIT(31))}},
    {"exit must", BASE_64, VM_EXIT_CONTROLS, BIT(0), 0, {VCLR(EXIT, BIT(0))}},
    {"exit may", BASE_64, VM_EXIT_CONTROLS, BIT(31), 0, {VOR(EXIT, BIT(31))}},
    {"entry must", BASE_64, VM_ENTRY_CONTROLS, BIT(0), 0, {VCLR(ENTRY, BIT(0))}},
    {"entry may", BASE_64, VM_ENTRY_CONTROLS, BIT(31), 0, {VOR(ENTRY, BIT(31))}},
    {"entry to SMM",
     BASE_64,
     VM_ENTRY_CONTROLS,
     VM_ENTRY_SMM,
     0,
     {VOR(ENTRY, VM_ENTRY_SMM), COR(true_entry, (u64)VM_ENTRY_SMM << 32)}},
    {"CR3 targets", BASE_64, CR3_TARGET_COUNT, 1, 0, {V(cr3_target_count, 5)}},
    PAGE_FAULTS(IO_BITMAP_A, io_bitmap_a, VOR(PROC, IO)),
    PAGE_FAULTS(IO_BITMAP_B, io_bitmap_b, VOR(PROC, IO)),
    PAGE_FAULTS(MSR_BITMAP, msr_bitmap, VOR(PROC, CPU_BASED_USE_MSR_BITMAPS)),
    PAGE_FAULTS(VIRTUAL_APIC_PAGE_ADDR, virtual_apic_page_addr, TPR),
    PAGE_FAULTS(APIC_ACCESS_ADDR, apic_access_addr, P2(VIRTUALIZE_APIC_ACCESSES)),
    PAGE_FAULTS(PML_ADDRESS, pml_address, P2(ENABLE_PML)),
    PAGE_FAULTS(EPTP_LIST_ADDRESS, eptp_list_address, FUNCTIONS, V(vm_function_control, 1)),
    PAGE_FAULTS(VMREAD_BITMAP, vmread_bitmap, P2(SHADOW_VMCS)),
    PAGE_FAULTS(VMWRITE_BITMAP, vmwrite_bitmap, P2(SHADOW_VMCS)),
    PAGE_FAULTS(VE_INFORMATION_ADDRESS, ve_information_address, P2(EPT_VIOLATION_VE)),
    {"32-bit addresses",
     BASE_64,
     MSR_BITMAP,
     BIT64(32),
     0,
     {V(msr_bitmap, BIT64(32)), COR(basic, VMX_BASIC_32BIT_ADDRESSES)}},
    {"threshold above VTPR", BASE_64, TPR_THRESHOLD, 3, 0, {TPR, V(tpr_threshold, 6)}},
    {"threshold of 5 bits", BASE_64, TPR_THRESHOLD, 0x10, 0, {TPR, V(tpr_threshold, 0x11)}},
    {"virtual NMIs",
     BASE_64,
     PIN_BASED_VM_EXEC_CONTROL,
     PIN_BASED_VIRTUAL_NMIS,
     PIN_BASED_VM_EXEC_CONTROL,
     {VOR(PIN, PIN_BASED_VIRTUAL_NMIS), VCLR(PIN, PIN_BASED_NMI_EXITING)}},
    {"NMI window",
     BASE_64,
     CPU_BASED_VM_EXEC_CONTROL,
     CPU_BASED_VIRTUAL_NMI_PENDING,
     PIN_BASED_VM_EXEC_CONTROL,
     {VOR(PROC, CPU_BASED_VIRTUAL_NMI_PENDING)}},
    {"x2APIC mode without TPR shadow",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE,
     CPU_BASED_VM_EXEC_CONTROL,
     {P2(VIRTUALIZE_X2APIC_MODE)}},
    {"x2APIC mode and APIC accesses",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE,
     SECONDARY_VM_EXEC_CONTROL,
     {TPR, P2(VIRTUALIZE_X2APIC_MODE), P2(VIRTUALIZE_APIC_ACCESSES)}},
    {"APIC registers without TPR shadow",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_APIC_REGISTER_VIRT,
     CPU_BASED_VM_EXEC_CONTROL,
     {P2(APIC_REGISTER_VIRT)}},
    {"VID without TPR shadow",
     BASE_64,
     CPU_BASED_VM_EXEC_CONTROL,
     CPU_BASED_TPR_SHADOW,
     SECONDARY_VM_EXEC_CONTROL,
     {P2(VIRTUAL_INTR_DELIVERY)}},
    {"VID without external-interrupt exiting",
     BASE_64,
     PIN_BASED_VM_EXEC_CONTROL,
     PIN_BASED_EXT_INTR_MASK,
     SECONDARY_VM_EXEC_CONTROL,
     {TPR, P2(VIRTUAL_INTR_DELIVERY), VCLR(PIN, PIN_BASED_EXT_INTR_MASK)}},
    {"posted interrupts without VID",
     BASE_64,
     PIN_BASED_VM_EXEC_CONTROL,
     PIN_BASED_POSTED_INTR,
     SECONDARY_VM_EXEC_CONTROL,
     {TPR, POSTED, ACK}},
    {"posted interrupts without acknowledgement",
     BASE_64,
     VM_EXIT_CONTROLS,
     VM_EXIT_ACK_INTR_ON_EXIT,
     PIN_BASED_VM_EXEC_CONTROL,
     {TPR, POSTED, P2(VIRTUAL_INTR_DELIVERY)}},
    {"notification vector",
     BASE_64,
     POSTED_INTR_NV,
     0x100,
     0,
     {TPR, POSTED, P2(VIRTUAL_INTR_DELIVERY), ACK, V(posted_intr_nv, 0x1f0)}},
    {"descriptor aligned",
     BASE_64,
     POSTED_INTR_DESC_ADDR,
     0x3f,
     0,
     {TPR, POSTED, P2(VIRTUAL_INTR_DELIVERY), ACK, V(posted_intr_desc_addr, 0x7f)}},
    {"descriptor wide",
     BASE_64,
     POSTED_INTR_DESC_ADDR,
     BEYOND,
     0,
     {TPR, POSTED, P2(VIRTUAL_INTR_DELIVERY), ACK, V(posted_intr_desc_addr, BEYOND)}},
    {"VPID", BASE_64, VIRTUAL_PROCESSOR_ID, 8, 0, {V(virtual_processor_id, 0)}},
    {"EPTP type", BASE_64, EPT_POINTER, 2, 0, {V(ept_pointer, 0x401c)}},
    {"EPTP UC not offered",
     BASE_64,
     EPT_POINTER,
     6,
     0,
     {V(ept_pointer, 0x4018), CCLR(ept_vpid, EPT_CAP_UC)}},
    {"EPTP walk", BASE_64, EPT_POINTER, 0x08, 0, {V(ept_pointer, 0x4016)}},
    {"EPTP walk of 5", BASE_64, EPT_POINTER, 0x38, 0, {V(ept_pointer, 0x4026)}},
    {"EPTP walk of 6, 5 offered",
     BASE_64,
     EPT_POINTER,
     0x08,
     0,
     {V(ept_pointer, 0x402e), COR(ept_vpid, EPT_CAP_5_LEVEL)}},
    {"EPTP walk of 6", BASE_64, EPT_POINTER, 0x30, 0, {V(ept_pointer, 0x402e)}},
    {"EPTP type and walk", BASE_64, EPT_POINTER, 0x0a, 0, {V(ept_pointer, 0x4014)}},
    {"EPTP A/D",
     BASE_64,
     EPT_POINTER,
     EPTP_AD,
     0,
     {VOR(ept_pointer, EPTP_AD), CCLR(ept_vpid, EPT_CAP_AD)}},
    {"EPTP bit 7", BASE_64, EPT_POINTER, BIT(7), 0, {VOR(ept_pointer, BIT(7))}},
    {"EPTP reserved", BASE_64, EPT_POINTER, 0xf00, 0, {VOR(ept_pointer, 0xf00)}},
    {"EPTP wide", BASE_64, EPT_POINTER, BEYOND, 0, {VOR(ept_pointer, BEYOND)}},
    {"unrestricted guest without EPT",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_UNRESTRICTED_GUEST,
     SECONDARY_VM_EXEC_CONTROL,
     {VCLR(PROC2, SECONDARY_EXEC_ENABLE_EPT)}},
    {"mode-based execute without EPT",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_MODE_BASED_EPT_EXEC,
     SECONDARY_VM_EXEC_CONTROL,
     {NO_EPT, P2(MODE_BASED_EPT_EXEC)}},
    {"PML without EPT",
     BASE_64,
     SECONDARY_VM_EXEC_CONTROL,
     SECONDARY_EXEC_ENABLE_PML,
     SECONDARY_VM_EXEC_CONTROL,
     {NO_EPT, P2(ENABLE_PML)}},
    {"VM function", BASE_64, VM_FUNCTION_CONTROL, 6, 0, {FUNCTIONS, V(vm_function_control, 7)}},
    {"EPTP switching without EPT",
     BASE_64,
     VM_FUNCTION_CONTROL,
     1,
     SECONDARY_VM_EXEC_CONTROL,
     {NO_EPT, FUNCTIONS, V(vm_function_control, 1)}},
    {"TSC multiplier", BASE_64, TSC_MULTIPLIER, 8, 0, {P2(TSC_SCALING), V(tsc_multiplier, 0)}},
    {"timer saved but off",
     BASE_64,
     VM_EXIT_CONTROLS,
     VM_EXIT_SAVE_PREEMPTION_TIMER,
     PIN_BASED_VM_EXEC_CONTROL,
     {VOR(EXIT, VM_EXIT_SAVE_PREEMPTION_TIMER)}},
    AREA_FAULTS(VM_EXIT_MSR_STORE, vm_exit_msr_store),
    AREA_FAULTS(VM_EXIT_MSR_LOAD, vm_exit_msr_load),
    AREA_FAULTS(VM_ENTRY_MSR_LOAD, vm_entry_msr_load),
    {"event type", BASE_64, VM_ENTRY_INTR_INFO_FIELD, 0x100, 0, {V(INFO, EVENT(1u << 8, 2))}},
    {"NMI vector", BASE_64, VM_ENTRY_INTR_INFO_FIELD, 3, 0, {V(INFO, EVENT(INTR_TYPE_NMI, 1))}},
    {"NMI vector 130",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     0x80,
     0,
     {V(INFO, EVENT(INTR_TYPE_NMI, 0x82))}},
    {"#GP without code, restricted",
     BASE_64_RESTRICTED,
     VM_ENTRY_INTR_INFO_FIELD,
     INTR_INFO_DELIVER_CODE_MASK,
     0,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 13))}},
    {"exception vector",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     0x20,
     0,
     {V(INFO, EVENT(INTR_TYPE_EXCEPTION, 0x23))}},
    {"MTF vector", BASE_64, VM_ENTRY_INTR_INFO_FIELD, 7, 0, {V(INFO, EVENT(INTR_TYPE_OTHER, 7))}},
    {"MTF not offered",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     INTR_INFO_VALID_MASK,
     0,
     {V(INFO, EVENT(INTR_TYPE_OTHER, 0)), CCLR(true_proc, (u64)CPU_BASED_MONITOR_TRAP_FLAG << 32)}},
    {"event's reserved bits",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     0x40001000,
     0,
     {V(INFO, EVENT(INTR_TYPE_EXT_INTR, 32) | 0x40001000)}},
#define CODE_FAULT(text, event)                                                                    \
    {                                                                                              \
        text, BASE_64, VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_DELIVER_CODE_MASK, 0,                   \
        {                                                                                          \
            V(INFO, event)                                                                         \
        }                                                                                          \
    }
    CODE_FAULT("#GP without code", EVENT(INTR_TYPE_EXCEPTION, 13)),
    CODE_FAULT("#AC without code", EVENT(INTR_TYPE_EXCEPTION, 17)),
    CODE_FAULT("#UD with code", EVENT_EC(INTR_TYPE_EXCEPTION, 6)),
    CODE_FAULT("interrupt with code", EVENT_EC(INTR_TYPE_EXT_INTR, 32)),
    CODE_FAULT("NMI with code", EVENT_EC(INTR_TYPE_NMI, 2)),
    CODE_FAULT("MTF with code", EVENT_EC(INTR_TYPE_OTHER, 0)),
    {"#GP with code in real mode",
     BASE_REAL,
     GUEST_CR0,
     CR0_PE,
     VM_ENTRY_INTR_INFO_FIELD,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 13))}},
    {"error code",
     BASE_64,
     VM_ENTRY_EXCEPTION_ERROR_CODE,
     0x80010000,
     0,
     {V(INFO, EVENT_EC(INTR_TYPE_EXCEPTION, 14)), V(vm_entry_exception_error_code, 0x80010000)}},
    SOFTWARE_FAULTS(INTR_TYPE_SOFT_INTR),
    SOFTWARE_FAULTS(INTR_TYPE_PRIV_SW_EXCEPTION),
    SOFTWARE_FAULTS(INTR_TYPE_SOFT_EXCEPTION),
};

#define CANONICAL_FAULT(name, member, ...)                                                         \
    {                                                                                              \
#name " canonical", BASE_64, name, 0xffff000000000000, 0,                                  \
        {                                                                                          \
            V(member, NON_CANONICAL), __VA_ARGS__                                                  \
        }                                                                                          \
    }
#define HOST_SELECTOR_FAULT(name, member)                                                          \
    {                                                                                              \
#name " RPL and TI", BASE_64, HOST_##name##_SELECTOR, 7, 0,                                \
        {                                                                                          \
            VOR(host_##member##_selector, 7)                                                       \
        }                                                                                          \
    }
#define CET_FAULTS(LEVEL, level, on)                                                               \
    {#LEVEL " S_CET reserved",          BASE_64, LEVEL##_IA32_S_CET, 0x240, 0,                     \
     {on, V(level##_ia32_s_cet, 0x240)}},                                                          \
        {#LEVEL " S_CET tracker", BASE_64,                                                         \
         LEVEL##_IA32_S_CET,      CET_SUPPRESS,                                                    \
         LEVEL##_IA32_S_CET,      {on, V(level##_ia32_s_cet, CET_SUPPRESS | CET_TRACKER)}},        \
        {#LEVEL " SSP", BASE_64, LEVEL##_SSP, 2, 0, {on, V(level##_ssp, 6)}},                      \
        CANONICAL_FAULT(LEVEL##_INTR_SSP_TABLE, level##_intr_ssp_table, on)
#define EFER_RESERVED_FAULT(LEVEL, level)                                                          \
    {                                                                                              \
#LEVEL " EFER reserved", BASE_64, LEVEL##_IA32_EFER, 0x1000000000001202, 0,                \
        {                                                                                          \
            VOR(level##_ia32_efer, 0x1000000000001202)                                             \
        }                                                                                          \
    }
#define PAT_FAULT(LEVEL, level)                                                                    \
    {                                                                                              \
#LEVEL " PAT", BASE_64, LEVEL##_IA32_PAT, 0x0800000000020200, 0,                           \
        {                                                                                          \
            V(level##_ia32_pat, 0x0f00060400020300)                                                \
        }                                                                                          \
    }
#define PERF_FAULT(LEVEL, level)                                                                   \
    {                                                                                              \
#LEVEL " PERF_GLOBAL_CTRL", BASE_64, LEVEL##_IA32_PERF_GLOBAL_CTRL, 0x10, 0,               \
        {                                                                                          \
            V(level##_ia32_perf_global_ctrl, 0x11)                                                 \
        }                                                                                          \
    }
#define PKRS_FAULT(LEVEL, level, on)                                                               \
    {                                                                                              \
#LEVEL " PKRS", BASE_64, LEVEL##_IA32_PKRS, BIT64(40), 0,                                  \
        {                                                                                          \
            on, V(level##_ia32_pkrs, BIT64(40))                                                    \
        }                                                                                          \
    }
#define CR_FAULTS(LEVEL, level)                                                                    \
    {#LEVEL " CR0 must", BASE_64, LEVEL##_CR0, CR0_NE, 0, {VCLR(level##_cr0, CR0_NE)}},            \
        {#LEVEL " CR0 may", BASE_64, LEVEL##_CR0, BIT64(40), 0, {VOR(level##_cr0, BIT64(40))}},    \
        {#LEVEL " CR4 must", BASE_64, LEVEL##_CR4, CR4_VMXE, 0, {VCLR(level##_cr4, CR4_VMXE)}},    \
        {#LEVEL " CR4 may", BASE_64, LEVEL##_CR4, CR4_SMXE, 0, {VOR(level##_cr4, CR4_SMXE)}},      \
        {#LEVEL " CR3", BASE_64, LEVEL##_CR3, BEYOND, 0, {VOR(level##_cr3, BEYOND)}},              \
    {                                                                                              \
#LEVEL " CR4.CET without WP", BASE_64, LEVEL##_CR0, CR0_WP, LEVEL##_CR4,                   \
        {                                                                                          \
            COR(cr4_fixed1, CR4_CET), VOR(level##_cr4, CR4_CET), VCLR(level##_cr0, CR0_WP)         \
        }                                                                                          \
    }
#define EXIT_CET                                                                                   \
    VOR(EXIT, VM_EXIT_LOAD_CET_STATE), COR(true_exit, (u64)VM_EXIT_LOAD_CET_STATE << 32)
#define EXIT_PKRS                                                                                  \
    VOR(EXIT, VM_EXIT_LOAD_IA32_PKRS), COR(true_exit, (u64)VM_EXIT_LOAD_IA32_PKRS << 32)

static const struct fault host_faults[] = {
    CR_FAULTS(HOST, host),
    {"HOST CR0.PG", BASE_64, HOST_CR0, CR0_PG, 0, {VCLR(host_cr0, CR0_PG)}},
    CANONICAL_FAULT(HOST_IA32_SYSENTER_ESP, host_ia32_sysenter_esp),
    CANONICAL_FAULT(HOST_IA32_SYSENTER_EIP, host_ia32_sysenter_eip),
    PERF_FAULT(HOST, host),
    PAT_FAULT(HOST, host),
    EFER_RESERVED_FAULT(HOST, host),
    {"HOST EFER.LMA",
     BASE_64,
     HOST_IA32_EFER,
     EFER_LMA,
     VM_EXIT_CONTROLS,
     {VCLR(host_ia32_efer, EFER_LMA)}},
    {"HOST EFER.LME",
     BASE_64,
     HOST_IA32_EFER,
     EFER_LME,
     VM_EXIT_CONTROLS,
     {VCLR(host_ia32_efer, EFER_LME)}},
    CET_FAULTS(HOST, host, EXIT_CET),
    CANONICAL_FAULT(HOST_IA32_S_CET, host_ia32_s_cet, EXIT_CET),
    CANONICAL_FAULT(HOST_SSP, host_ssp, EXIT_CET),
    PKRS_FAULT(HOST, host, EXIT_PKRS),
    HOST_SELECTOR_FAULT(ES, es),
    HOST_SELECTOR_FAULT(CS, cs),
    HOST_SELECTOR_FAULT(SS, ss),
    HOST_SELECTOR_FAULT(DS, ds),
    HOST_SELECTOR_FAULT(FS, fs),
    HOST_SELECTOR_FAULT(GS, gs),
    HOST_SELECTOR_FAULT(TR, tr),
    {"HOST CS 0", BASE_64, HOST_CS_SELECTOR, 8, 0, {V(host_cs_selector, 0)}},
    {"HOST TR 0", BASE_64, HOST_TR_SELECTOR, 8, 0, {V(host_tr_selector, 0)}},
    CANONICAL_FAULT(HOST_FS_BASE, host_fs_base),
    CANONICAL_FAULT(HOST_GS_BASE, host_gs_base),
    CANONICAL_FAULT(HOST_GDTR_BASE, host_gdtr_base),
    CANONICAL_FAULT(HOST_IDTR_BASE, host_idtr_base),
    CANONICAL_FAULT(HOST_TR_BASE, host_tr_base),
    CANONICAL_FAULT(HOST_RIP, host_rip),
    CANONICAL_FAULT(HOST_RIP, host_rip, C(linear_bits, 57)),
    {"host of 5 levels",
     BASE_64,
     HOST_RIP,
     0xfe00000000000000,
     0,
     {V(host_rip, BIT64(56)), C(linear_bits, 57), COR(cr4_fixed1, CR4_LA57),
      VOR(host_cr4, CR4_LA57)}},
    {"HOST CR4.PAE", BASE_64, HOST_CR4, CR4_PAE, VM_EXIT_CONTROLS, {VCLR(host_cr4, CR4_PAE)}},
};

/* Of a 32-bit L1. */
#define HOST_32                                                                                    \
    VCLR(EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER), V(host_rip, 0xffffffff),    \
        V(host_ss_selector, 8), VCLR(host_cr4, CR4_PCIDE)

static const struct fault host_32_faults[] = {
    {"64-bit host",
     BASE_PAE,
     VM_EXIT_CONTROLS,
     VM_EXIT_HOST_ADDR_SPACE_SIZE,
     0,
     {VCLR(EXIT, VM_EXIT_LOAD_IA32_EFER), V(host_rip, 0xffffffff), V(host_ss_selector, 8),
      VCLR(host_cr4, CR4_PCIDE)}},
    {"64-bit guest", BASE_64, VM_ENTRY_CONTROLS, VM_ENTRY_IA32E_MODE, VM_EXIT_CONTROLS, {HOST_32}},
    {"32-bit HOST SS 0",
     BASE_PAE,
     HOST_SS_SELECTOR,
     8,
     VM_EXIT_CONTROLS,
     {HOST_32, V(host_ss_selector, 0)}},
    {"32-bit HOST RIP",
     BASE_PAE,
     HOST_RIP,
     BIT64(32),
     VM_EXIT_CONTROLS,
     {HOST_32, V(host_rip, BIT64(32))}},
    {"32-bit HOST CR4.PCIDE",
     BASE_PAE,
     HOST_CR4,
     CR4_PCIDE,
     VM_EXIT_CONTROLS,
     {HOST_32, VOR(host_cr4, CR4_PCIDE)}},
    {"32-bit HOST EFER.LMA",
     BASE_PAE,
     HOST_IA32_EFER,
     EFER_LMA,
     VM_EXIT_CONTROLS,
     {HOST_32, VOR(EXIT, VM_EXIT_LOAD_IA32_EFER), VCLR(host_ia32_efer, EFER_LME)}},
    {"32-bit HOST EFER.LME",
     BASE_PAE,
     HOST_IA32_EFER,
     EFER_LME,
     VM_EXIT_CONTROLS,
     {HOST_32, VOR(EXIT, VM_EXIT_LOAD_IA32_EFER), VCLR(host_ia32_efer, EFER_LMA)}},
};

static const struct fault host_32_cet_faults[] = {
    {"32-bit HOST S_CET",
     BASE_PAE,
     HOST_IA32_S_CET,
     BIT64(32),
     VM_EXIT_CONTROLS,
     {EXIT_CET, V(host_ia32_s_cet, BIT64(32))}},
    {"32-bit HOST SSP",
     BASE_PAE,
     HOST_SSP,
     BIT64(32),
     VM_EXIT_CONTROLS,
     {EXIT_CET, V(host_ssp, BIT64(32))}},
};

#define ENTRY_BIT(name) VOR(ENTRY, VM_ENTRY_##name), COR(true_entry, (u64)VM_ENTRY_##name << 32)
#define AR(name, x)     V(guest_##name##_ar_bytes, x)
#define SEL(name, x)    V(guest_##name##_selector, x)
#define LIMIT(name, x)  V(guest_##name##_limit, x)
#define ACTIVITY(x)     V(guest_activity_state, x)
#define SHADOW(x)       V(guest_interruptibility_info, x)
#define PENDING(x)      V(guest_pending_dbg_exceptions, x)
#define TF              VOR(guest_rflags, RFLAGS_TF)
#define BTF             V(guest_ia32_debugctl, 2)
#define EVENT_OF(t, n)  V(INFO, EVENT(INTR_TYPE_##t, n))
#define STI             INTERRUPTIBILITY_STI
#define MOV_SS          INTERRUPTIBILITY_MOV_SS
#define BS              BIT64(14)

/* What every descriptor must have. ar: of a valid one; s: the other S. */
#define DESCRIPTOR_FAULTS(NAME, name, ar)                                                            \
    {#NAME " S", BASE_64, GUEST_##NAME##_AR_BYTES,                                                   \
     AR_S_MASK,  0,       {AR(name, (ar) ^ AR_S_MASK), SEL(name, 0), LIMIT(name, 0xfff)}},           \
        {#NAME " P", BASE_64, GUEST_##NAME##_AR_BYTES,                                               \
         AR_P_MASK,  0,       {AR(name, (ar) ^ AR_P_MASK), SEL(name, 0), LIMIT(name, 0xfff)}},       \
        {#NAME " reserved",                                                                          \
         BASE_64,                                                                                    \
         GUEST_##NAME##_AR_BYTES,                                                                    \
         0x40020900,                                                                                 \
         0,                                                                                          \
         {AR(name, (ar) | 0x40020900), SEL(name, 0), LIMIT(name, 0xfff)}},                           \
        {#NAME " limit of pages", BASE_64,                                                           \
         GUEST_##NAME##_LIMIT,    0x800,                                                             \
         GUEST_##NAME##_AR_BYTES, {AR(name, (ar) | AR_G_MASK), LIMIT(name, 0xff7ff), SEL(name, 0)}}, \
        {#NAME " large limit of pages",                                                              \
         BASE_64,                                                                                    \
         GUEST_##NAME##_LIMIT,                                                                       \
         0x800,                                                                                      \
         0,                                                                                          \
         {AR(name, (ar) | AR_G_MASK), LIMIT(name, 0xfffff7ff), SEL(name, 0)}},                       \
        {#NAME " limit of bytes",                                                                    \
         BASE_64,                                                                                    \
         GUEST_##NAME##_AR_BYTES,                                                                    \
         AR_G_MASK,                                                                                  \
         GUEST_##NAME##_LIMIT,                                                                       \
         {AR(name, (ar) & ~AR_G_MASK), LIMIT(name, 0x100fff), SEL(name, 0)}},                        \
    {                                                                                                \
#NAME " odd limit of bytes", BASE_64, GUEST_##NAME##_LIMIT, 0x100000, 0,                     \
        {                                                                                            \
            AR(name, (ar) & ~AR_G_MASK), LIMIT(name, 0x100ff0), SEL(name, 0)                         \
        }                                                                                            \
    }
#define DATA_FAULTS(NAME, name)                                                                    \
    DESCRIPTOR_FAULTS(NAME, name, 0xc093),                                                         \
        {#NAME " type 2",                                                                          \
         BASE_64,                                                                                  \
         GUEST_##NAME##_AR_BYTES,                                                                  \
         1,                                                                                        \
         0,                                                                                        \
         {AR(name, 0xc092), SEL(name, 0), LIMIT(name, ~0u)}},                                      \
    {                                                                                              \
#NAME " DPL below RPL", BASE_64_RESTRICTED, GUEST_##NAME##_SELECTOR, 3,                    \
            GUEST_##NAME##_AR_BYTES,                                                               \
        {                                                                                          \
            AR(name, 0xc0b3), SEL(name, 2), LIMIT(name, ~0u)                                       \
        }                                                                                          \
    }
#define FLAT_FAULT(NAME, name)                                                                     \
    {                                                                                              \
#NAME " base", BASE_64, GUEST_##NAME##_BASE, 0x8000000100000000, 0,                        \
        {                                                                                          \
            V(guest_##name##_base, 0x8000000100000000), AR(name, 0xc093), LIMIT(name, 0xfff)       \
        }                                                                                          \
    }
#define V86_FAULTS(NAME, name)                                                                     \
    {#NAME " V86 base", BASE_V86,     GUEST_##NAME##_BASE,                                         \
     BIT64(32) | 1,     GUEST_RFLAGS, {VOR(guest_##name##_base, BIT64(32) | 1)}},                  \
        {#NAME " V86 selector",                                                                    \
         BASE_V86,                                                                                 \
         GUEST_##NAME##_SELECTOR,                                                                  \
         0x800,                                                                                    \
         GUEST_##NAME##_BASE,                                                                      \
         {VOR(guest_##name##_selector, 0x800), VCLR(guest_##name##_base, 0x8000)}},                \
        {#NAME " V86 limit",   BASE_V86, GUEST_##NAME##_LIMIT, 1, GUEST_RFLAGS,                    \
         {LIMIT(name, 0xfffe)}},                                                                   \
    {                                                                                              \
#NAME " V86 access rights", BASE_V86, GUEST_##NAME##_AR_BYTES, 0x60, GUEST_RFLAGS,         \
        {                                                                                          \
            AR(name, 0x93)                                                                         \
        }                                                                                          \
    }

static const struct fault guest_faults[] = {
    CR_FAULTS(GUEST, guest),
    {"CR0.PE, restricted",
     BASE_64_RESTRICTED,
     GUEST_CR0,
     CR0_PE,
     SECONDARY_VM_EXEC_CONTROL,
     {VCLR(guest_cr0, CR0_PE)}},
    {"CR0.PG, restricted",
     BASE_PAE_NO_EPT,
     GUEST_CR0,
     CR0_PG,
     SECONDARY_VM_EXEC_CONTROL,
     {VCLR(guest_cr0, CR0_PG)}},
    {"CR0.PG, no secondary controls",
     BASE_PAE_NO_EPT,
     GUEST_CR0,
     CR0_PG,
     CPU_BASED_VM_EXEC_CONTROL,
     {VCLR(guest_cr0, CR0_PG), VCLR(PROC, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS),
      VOR(PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST)}},
    {"CR0.PG without PE", BASE_REAL, GUEST_CR0, CR0_PG, GUEST_CR0, {VOR(guest_cr0, CR0_PG)}},
    {"CR0.PG of IA-32e mode",
     BASE_64,
     GUEST_CR0,
     CR0_PG,
     VM_ENTRY_CONTROLS,
     {VCLR(guest_cr0, CR0_PG), VCLR(ENTRY, VM_ENTRY_LOAD_IA32_EFER)}},
    {"CR4.PAE of IA-32e mode",
     BASE_64,
     GUEST_CR4,
     CR4_PAE,
     VM_ENTRY_CONTROLS,
     {VCLR(guest_cr4, CR4_PAE)}},
    {"CR4.PCIDE outside it",
     BASE_PAE,
     GUEST_CR4,
     CR4_PCIDE,
     VM_ENTRY_CONTROLS,
     {VOR(guest_cr4, CR4_PCIDE)}},
    {"DR7", BASE_64, GUEST_DR7, BIT64(40), 0, {VOR(guest_dr7, BIT64(40))}},
    CANONICAL_FAULT(GUEST_SYSENTER_ESP, guest_sysenter_esp),
    CANONICAL_FAULT(GUEST_SYSENTER_EIP, guest_sysenter_eip),
    PERF_FAULT(GUEST, guest),
    PAT_FAULT(GUEST, guest),
    EFER_RESERVED_FAULT(GUEST, guest),
    {"EFER.LMA of IA-32e mode",
     BASE_64,
     GUEST_IA32_EFER,
     EFER_LMA,
     VM_ENTRY_CONTROLS,
     {VCLR(guest_ia32_efer, EFER_LMA | EFER_LME), VCLR(guest_cr0, 0)}},
    {"EFER.LMA outside it",
     BASE_REAL,
     GUEST_IA32_EFER,
     EFER_LMA,
     VM_ENTRY_CONTROLS,
     {VOR(guest_ia32_efer, EFER_LMA)}},
    {"EFER.LME outside it",
     BASE_PAE,
     GUEST_IA32_EFER,
     EFER_LMA,
     GUEST_IA32_EFER,
     {VOR(guest_ia32_efer, EFER_LME)}},
    {"EFER.LMA without LME",
     BASE_64,
     GUEST_IA32_EFER,
     EFER_LMA,
     GUEST_IA32_EFER,
     {VCLR(guest_ia32_efer, EFER_LME)}},
    {"UINV", BASE_64, GUEST_UINV, 0x100, 0, {ENTRY_BIT(LOAD_UINV), V(guest_uinv, 0x1ff)}},
    CET_FAULTS(GUEST, guest, ENTRY_BIT(LOAD_CET_STATE)),
    PKRS_FAULT(GUEST, guest, ENTRY_BIT(LOAD_IA32_PKRS)),
    /* segments */
    {"TR TI", BASE_64, GUEST_TR_SELECTOR, 4, 0, {SEL(tr, 0x44)}},
    {"LDTR TI", BASE_64, GUEST_LDTR_SELECTOR, 4, 0, {SEL(ldtr, 0x54)}},
    CANONICAL_FAULT(GUEST_TR_BASE, guest_tr_base),
    CANONICAL_FAULT(GUEST_LDTR_BASE, guest_ldtr_base),
    CANONICAL_FAULT(GUEST_FS_BASE, guest_fs_base),
    CANONICAL_FAULT(GUEST_GS_BASE, guest_gs_base, AR(gs, AR_UNUSABLE_MASK)),
    {"CS base", BASE_64, GUEST_CS_BASE, BIT64(32), 0, {V(guest_cs_base, BIT64(32))}},
    FLAT_FAULT(SS, ss),
    FLAT_FAULT(DS, ds),
    FLAT_FAULT(ES, es),
    {"SS RPL is not CS RPL",
     BASE_64_RESTRICTED,
     GUEST_CS_SELECTOR,
     3,
     GUEST_SS_SELECTOR,
     {SEL(cs, 0x13)}},
    {"SS RPL is not DPL",
     BASE_64_RESTRICTED,
     GUEST_SS_AR_BYTES,
     0x60,
     GUEST_SS_SELECTOR,
     {SEL(ss, 0x1b), SEL(cs, 0x13)}},
    DATA_FAULTS(DS, ds),
    DATA_FAULTS(ES, es),
    DATA_FAULTS(FS, fs),
    DATA_FAULTS(GS, gs),
    DESCRIPTOR_FAULTS(SS, ss, 0xc093),
    DESCRIPTOR_FAULTS(CS, cs, 0xa09b),
    DESCRIPTOR_FAULTS(TR, tr, 0x8b),
    DESCRIPTOR_FAULTS(LDTR, ldtr, 0x82),
    V86_FAULTS(CS, cs),
    V86_FAULTS(SS, ss),
    V86_FAULTS(DS, ds),
    V86_FAULTS(ES, es),
    V86_FAULTS(FS, fs),
    V86_FAULTS(GS, gs),
    {"CS type 8", BASE_64, GUEST_CS_AR_BYTES, 1, 0, {AR(cs, 0xa098)}},
    {"CS type 5", BASE_64, GUEST_CS_AR_BYTES, 8, 0, {AR(cs, 0xa095)}},
    {"CS type 3, restricted",
     BASE_64_RESTRICTED,
     GUEST_CS_AR_BYTES,
     8,
     SECONDARY_VM_EXEC_CONTROL,
     {AR(cs, 0xa093)}},
    {"CS L and D", BASE_64, GUEST_CS_AR_BYTES, AR_L_MASK, GUEST_CS_AR_BYTES, {AR(cs, 0xe09b)}},
    {"CS type 3 DPL", BASE_64, GUEST_CS_AR_BYTES, 0x20, 0, {AR(cs, 0xa0b3)}},
    {"CS type 3, SS DPL",
     BASE_64,
     GUEST_SS_AR_BYTES,
     0x20,
     GUEST_CS_AR_BYTES,
     {AR(cs, 0xa093), AR(ss, 0xc0b3)}},
    {"CS DPL above CPL", BASE_64, GUEST_CS_AR_BYTES, 0x60, GUEST_SS_AR_BYTES, {AR(cs, 0xa0fb)}},
    {"CS DPL below CPL", BASE_64, GUEST_SS_AR_BYTES, 0x60, GUEST_CS_AR_BYTES, {AR(ss, 0xc0f3)}},
    {"conforming CS above CPL",
     BASE_64,
     GUEST_CS_AR_BYTES,
     0x20,
     GUEST_SS_AR_BYTES,
     {AR(cs, 0xa0bf)}},
    {"SS type 11", BASE_64, GUEST_SS_AR_BYTES, 8, 0, {AR(ss, 0xc09b)}},
    {"SS DPL in real mode",
     BASE_REAL,
     GUEST_SS_AR_BYTES,
     0x60,
     GUEST_CR0,
     {AR(ss, 0x10060), AR(cs, 0x9f)}},
    {"TR not busy", BASE_64, GUEST_TR_AR_BYTES, 2, 0, {AR(tr, 0x89)}},
    {"TR 16-bit", BASE_64, GUEST_TR_AR_BYTES, 8, VM_ENTRY_CONTROLS, {AR(tr, 0x83)}},
    {"TR unusable",
     BASE_64,
     GUEST_TR_AR_BYTES,
     AR_UNUSABLE_MASK,
     0,
     {VOR(guest_tr_ar_bytes, AR_UNUSABLE_MASK)}},
    {"LDTR type 3", BASE_64, GUEST_LDTR_AR_BYTES, 1, 0, {AR(ldtr, 0x83)}},
    /* descriptor tables, RIP, RFLAGS */
    CANONICAL_FAULT(GUEST_GDTR_BASE, guest_gdtr_base),
    CANONICAL_FAULT(GUEST_IDTR_BASE, guest_idtr_base),
    {"GDTR limit", BASE_64, GUEST_GDTR_LIMIT, 0x10000, 0, {LIMIT(gdtr, 0x1ffff)}},
    {"IDTR limit", BASE_64, GUEST_IDTR_LIMIT, 0x10000, 0, {LIMIT(idtr, 0x1ffff)}},
    {"RIP", BASE_64, GUEST_RIP, 0xfffe000000000000, 0, {V(guest_rip, 0xfffe800000000000)}},
    {"RIP in compatibility mode",
     BASE_64,
     GUEST_RIP,
     BIT64(32),
     GUEST_CS_AR_BYTES,
     {AR(cs, 0xc09b), V(guest_rip, BIT64(32))}},
    {"RIP of 32 bits",
     BASE_PAE,
     GUEST_RIP,
     BIT64(32),
     VM_ENTRY_CONTROLS,
     {V(guest_rip, BIT64(32))}},
    {"RFLAGS bit 1", BASE_64, GUEST_RFLAGS, 2, 0, {VCLR(guest_rflags, 2)}},
    {"RFLAGS reserved",
     BASE_64,
     GUEST_RFLAGS,
     RFLAGS_RESERVED_MASK,
     0,
     {VOR(guest_rflags, RFLAGS_RESERVED_MASK)}},
    {"RFLAGS.VM of IA-32e mode",
     BASE_V86,
     VM_ENTRY_CONTROLS,
     VM_ENTRY_IA32E_MODE,
     GUEST_RFLAGS,
     {VOR(ENTRY, VM_ENTRY_IA32E_MODE), V(guest_ia32_efer, EFER_LMA | EFER_LME)}},
    {"RFLAGS.VM without CR0.PE",
     BASE_V86,
     GUEST_CR0,
     CR0_PE,
     GUEST_RFLAGS,
     {P2(UNRESTRICTED_GUEST), VCLR(guest_cr0, CR0_PE | CR0_PG)}},
    {"interrupt without IF",
     BASE_64,
     GUEST_RFLAGS,
     RFLAGS_IF,
     VM_ENTRY_INTR_INFO_FIELD,
     {EVENT_OF(EXT_INTR, 32), VCLR(guest_rflags, RFLAGS_IF)}},
    /* non-register state */
    {"link aligned", BASE_64, VMCS_LINK_POINTER, 8, 0, {V(vmcs_link_pointer, TEST_LINK + 8)}},
    {"link wide", BASE_64, VMCS_LINK_POINTER, BEYOND, 0, {V(vmcs_link_pointer, BEYOND)}},
    {"link to itself", BASE_64, VMCS_LINK_POINTER, 0, 0, {V(vmcs_link_pointer, TEST_CURRENT_VMCS)}},
    {"link revision",
     BASE_64,
     VMCS_LINK_POINTER,
     0,
     0,
     {V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, VMCS12_REVISION + 1)}},
    {"link to no shadow VMCS",
     BASE_64,
     VMCS_LINK_POINTER,
     0,
     0,
     {V(vmcs_link_pointer, TEST_LINK), P2(SHADOW_VMCS)}},
    {"activity 5", BASE_64, GUEST_ACTIVITY_STATE, 4, 0, {ACTIVITY(5)}},
    {"HLT not offered",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     1,
     0,
     {ACTIVITY(ACTIVITY_HLT), CCLR(misc, VMX_MISC_HLT)}},
    {"shutdown not offered",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     2,
     0,
     {ACTIVITY(ACTIVITY_SHUTDOWN), CCLR(misc, VMX_MISC_SHUTDOWN)}},
    {"wait-for-SIPI not offered",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     3,
     0,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), CCLR(misc, VMX_MISC_WAIT_FOR_SIPI)}},
    {"HLT at CPL 3",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     1,
     GUEST_SS_AR_BYTES,
     {ACTIVITY(ACTIVITY_HLT), AR(cs, 0xa0fb), AR(ss, 0xc0f3)}},
    {"HLT with STI",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     STI,
     GUEST_ACTIVITY_STATE,
     {ACTIVITY(ACTIVITY_HLT), SHADOW(STI)}},
    {"shutdown with MOV SS",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     2,
     GUEST_INTERRUPTIBILITY_INFO,
     {ACTIVITY(ACTIVITY_SHUTDOWN), SHADOW(MOV_SS)}},
    {"wait-for-SIPI with STI",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     STI,
     GUEST_ACTIVITY_STATE,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), SHADOW(STI)}},
    {"HLT, #UD",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     INTR_INFO_VALID_MASK,
     GUEST_ACTIVITY_STATE,
     {ACTIVITY(ACTIVITY_HLT), EVENT_OF(EXCEPTION, 6)}},
    {"shutdown, interrupt",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     2,
     VM_ENTRY_INTR_INFO_FIELD,
     {ACTIVITY(ACTIVITY_SHUTDOWN), EVENT_OF(EXT_INTR, 18)}},
    {"wait-for-SIPI, NMI",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     3,
     VM_ENTRY_INTR_INFO_FIELD,
     {ACTIVITY(ACTIVITY_WAIT_FOR_SIPI), EVENT_OF(NMI, 2)}},
    {"blocking by SMI",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     INTERRUPTIBILITY_SMI | BIT(31),
     0,
     {SHADOW(INTERRUPTIBILITY_SMI | BIT(31))}},
    {"STI and MOV SS",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     STI,
     GUEST_INTERRUPTIBILITY_INFO,
     {SHADOW(STI | MOV_SS)}},
    {"STI without IF",
     BASE_64,
     GUEST_RFLAGS,
     RFLAGS_IF,
     GUEST_INTERRUPTIBILITY_INFO,
     {SHADOW(STI), VCLR(guest_rflags, RFLAGS_IF)}},
    {"enclave interruption and MOV SS",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     INTERRUPTIBILITY_ENCLAVE,
     GUEST_INTERRUPTIBILITY_INFO,
     {SHADOW(INTERRUPTIBILITY_ENCLAVE | MOV_SS), C(interruptibility, INTERRUPTIBILITY_ENCLAVE)}},
    {"interrupt after STI",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     STI,
     VM_ENTRY_INTR_INFO_FIELD,
     {EVENT_OF(EXT_INTR, 32), SHADOW(STI)}},
    {"interrupt after MOV SS",
     BASE_64,
     VM_ENTRY_INTR_INFO_FIELD,
     INTR_INFO_VALID_MASK,
     GUEST_INTERRUPTIBILITY_INFO,
     {EVENT_OF(EXT_INTR, 32), SHADOW(MOV_SS)}},
    {"NMI after MOV SS",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     MOV_SS,
     VM_ENTRY_INTR_INFO_FIELD,
     {EVENT_OF(NMI, 2), SHADOW(MOV_SS)}},
    {"virtual NMI while they are blocked",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     INTERRUPTIBILITY_NMI,
     PIN_BASED_VM_EXEC_CONTROL,
     {EVENT_OF(NMI, 2), SHADOW(INTERRUPTIBILITY_NMI), VOR(PIN, PIN_BASED_VIRTUAL_NMIS)}},
    {"pending reserved",
     BASE_64,
     GUEST_PENDING_DBG_EXCEPTIONS,
     0x800000000000afe0 | BIT64(4),
     0,
     {PENDING(0x800000000000afe0 | BIT64(4))}},
    {"pending RTM",
     BASE_64,
     GUEST_PENDING_DBG_EXCEPTIONS,
     BIT64(12) | BS | 1,
     0,
     {PENDING(PENDING_DBG_RTM | BS | 1)}},
    {"pending RTM after MOV SS",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     MOV_SS,
     GUEST_PENDING_DBG_EXCEPTIONS,
     {PENDING(PENDING_DBG_RTM | BIT64(12)), SHADOW(MOV_SS)}},
    {"step not pending",
     BASE_64,
     GUEST_PENDING_DBG_EXCEPTIONS,
     BS,
     GUEST_RFLAGS,
     {TF, SHADOW(STI)}},
    {"step pending without TF",
     BASE_64,
     GUEST_RFLAGS,
     RFLAGS_TF,
     GUEST_INTERRUPTIBILITY_INFO,
     {PENDING(BS), SHADOW(MOV_SS)}},
    {"step pending in HLT",
     BASE_64,
     GUEST_ACTIVITY_STATE,
     ACTIVITY_HLT,
     GUEST_PENDING_DBG_EXCEPTIONS,
     {PENDING(BS), ACTIVITY(ACTIVITY_HLT)}},
    {"step pending with BTF",
     BASE_64,
     GUEST_IA32_DEBUGCTL,
     2,
     GUEST_PENDING_DBG_EXCEPTIONS,
     {PENDING(BS), SHADOW(STI), TF, BTF}},
    {"step pending with BTF, no TF",
     BASE_64,
     GUEST_INTERRUPTIBILITY_INFO,
     STI,
     GUEST_PENDING_DBG_EXCEPTIONS,
     {PENDING(BS), SHADOW(STI), BTF}},
    {"PDPTE 0", BASE_PAE, GUEST_PDPTR0, 0x1e6, 0, {V(guest_pdptr0, 0x1ffff)}},
    {"PDPTE 1", BASE_PAE, GUEST_PDPTR1, BIT64(63), 0, {V(guest_pdptr1, BIT64(63) | 1)}},
    {"PDPTE 2", BASE_PAE, GUEST_PDPTR2, BEYOND, 0, {V(guest_pdptr2, BEYOND | 1)}},
    {"PDPTE 3", BASE_PAE, GUEST_PDPTR3, 2, 0, {V(guest_pdptr3, 3)}},
    {"PDPTE 3 in memory", BASE_PAE_NO_EPT, GUEST_CR3, 0, 0, {M(TEST_PAE_CR3 + 24, 3)}},
};

/* Both name the same fields and bits. */
static bool is_same_fault(const struct culprit *a, const struct culprit *b)
{
    u32 length = first_length(a);

    for (u32 i = 0; i < length; i++)
        if (a->field[i].encoding != b->field[i].encoding || a->field[i].bits != b->field[i].bits)
            return false;
    return length == first_length(b);
}

static const struct culprit_field *find_among(const struct culprit *culprit, u32 field)
{
    for (u32 i = 0; i < first_length(culprit); i++)
        if (culprit->field[i].encoding == field)
            return &culprit->field[i];
    return NULL;
}

/* The first fault is the one of the row, and the change of any of its fields takes it away. */
static bool row_holds(const struct fault *row, struct vmcs12 *v, const struct vmx_caps *caps,
                      bool l1_long_mode)
{
    struct culprit culprit, mended;
    const struct culprit_field *field;

    if (!find(v, caps, l1_long_mode, &culprit))
        return false;
    field = find_among(&culprit, row->field);
    if (!field || (row->bits && field->bits != row->bits) ||
        !row->bits != (field->fault == CULPRIT_MEMORY))
        return false;
    if (row->with ? first_length(&culprit) < 2 || !find_among(&culprit, row->with)
                  : first_length(&culprit) > 1)
        return false;
    for (u32 i = 0; field->fault != CULPRIT_MEMORY && i < first_length(&culprit); i++) {
        struct vmcs12 changed = *v;

        field = &culprit.field[i];
        set(&changed, field->encoding, field->value ^ field->bits);
        if (find(&changed, caps, l1_long_mode, &mended) && is_same_fault(&mended, &culprit))
            return false;
    }
    return true;
}

static void run(const struct fault *rows, u32 count, bool l1_long_mode,
                const struct change *changes, u32 change_count)
{
    u32 wrong = 0;

    for (u32 i = 0; i < count; i++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        struct culprit culprit;
        char text[CULPRIT_TEXT_SIZE];

        base_make(rows[i].base, &v, &caps);
        for (u32 j = 0; j < change_count; j++)
            change_apply(&changes[j], &v, &caps);
        for (u32 j = 0; j < ARRAY_SIZE(rows[i].changes); j++)
            change_apply(&rows[i].changes[j], &v, &caps);
        if (row_holds(&rows[i], &v, &caps, l1_long_mode))
            continue;
        wrong++;
        culprit_find(&v, &caps, l1_long_mode, TEST_CURRENT_VMCS, &culprit);
        culprit_text(&culprit, text, sizeof(text));
        fprintf(stderr, "%s (%s): %s\n", rows[i].name, base_names[rows[i].base], text);
    }
    assert_int_equal(wrong, 0);
}

static void test_controls(void **state)
{
    (void)state;
    run(control_faults, ARRAY_SIZE(control_faults), true, NULL, 0);
}

static void test_host(void **state)
{
    static const struct change host_32[] = {HOST_32};

    (void)state;
    run(host_faults, ARRAY_SIZE(host_faults), true, NULL, 0);
    run(host_32_faults, ARRAY_SIZE(host_32_faults), false, NULL, 0);
    run(host_32_cet_faults, ARRAY_SIZE(host_32_cet_faults), false, host_32, ARRAY_SIZE(host_32));
}

static void test_guest(void **state)
{
    (void)state;
    run(guest_faults, ARRAY_SIZE(guest_faults), true, NULL, 0);
}

static void test_valid(void **state)
{
    (void)state;
    for (enum base base = BASE_64; base <= BASE_V86; base++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        struct culprit culprit;

        base_make(base, &v, &caps);
        assert_false(find(&v, &caps, true, &culprit));
        caps.basic |= BIT64(56); /* any error code */
        v.INFO = EVENT(INTR_TYPE_EXCEPTION, 13);
        assert_false(find(&v, &caps, true, &culprit));
    }
}

/* The processor's own capabilities, of one that has no true MSRs. */
static void test_2006(void **state)
{
    struct vmcs12 v;
    struct vmx_caps caps;
    struct culprit culprit;

    (void)state;
    base_make(BASE_64, &v, &caps);
    caps.basic &= ~VMX_BASIC_TRUE_CTLS;
    caps.true_pin = caps.true_proc = caps.true_exit = caps.true_entry = 0;
    culprit_find(&v, &caps, true, TEST_CURRENT_VMCS, &culprit);
    assert_int_equal(culprit.error, CONTROL);
    assert_int_equal(culprit.field[0].encoding, CPU_BASED_VM_EXEC_CONTROL);
    assert_int_equal(culprit.field[0].bits, (u32)caps.proc & ~v.PROC);
}

/* ---- Several faults at once ---- */

static bool names(const struct culprit *culprit, u32 count, u32 field)
{
    for (u32 i = 0; i < count; i++)
        if (culprit->field[i].encoding == field)
            return true;
    return false;
}

static bool names_row(const struct culprit *culprit, u32 count, const struct fault *row)
{
    return names(culprit, count, row->field) || (row->with && names(culprit, count, row->with));
}

/* Every two rows of a table that break the same vmcs12 in different fields. One may take the other
   back, and four fields are no room for all that two say. */
static void run_pairs(const struct fault *rows, u32 count)
{
    u32 pairs = 0, both = 0;

    for (u32 i = 0; i < count; i++) {
        for (u32 j = 0; j < count; j++) {
            struct vmcs12 v;
            struct vmx_caps caps;
            struct culprit culprit;

            if (rows[i].base != rows[j].base || rows[i].field == rows[j].field)
                continue;
            base_make(rows[i].base, &v, &caps);
            for (u32 k = 0; k < ARRAY_SIZE(rows[i].changes); k++)
                change_apply(&rows[i].changes[k], &v, &caps);
            for (u32 k = 0; k < ARRAY_SIZE(rows[j].changes); k++)
                change_apply(&rows[j].changes[k], &v, &caps);
            if (!find(&v, &caps, true, &culprit))
                continue;
            pairs++;
            assert_true(names_row(&culprit, first_length(&culprit), &rows[i]) ||
                        names_row(&culprit, first_length(&culprit), &rows[j]));
            both += names_row(&culprit, culprit.count, &rows[i]) &&
                    names_row(&culprit, culprit.count, &rows[j]);
        }
    }
    print_message("%u pairs of faults, both named in %u\n", pairs, both);
    assert_true(pairs > 1000 && both * 100 > pairs * 95);
}

static void test_pairs(void **state)
{
    (void)state;
    run_pairs(control_faults, ARRAY_SIZE(control_faults));
    run_pairs(host_faults, ARRAY_SIZE(host_faults));
    run_pairs(guest_faults, ARRAY_SIZE(guest_faults));
}

static const u16 encodings[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

/* As a hypervisor's bug would: a bit, nothing at all, ones, another field's value, or anything. */
static u64 random_break(const struct vmcs12 *v, u64 old)
{
    switch (random_below(8)) {
    case 0: return 0;
    case 1: return ~0ull;
    case 2: return get(v, encodings[random_below(ARRAY_SIZE(encodings))]);
    case 3: return random_u64();
    case 4: return old + 1;
    case 5: return random_below(32);
    default: return old ^ BIT64(random_below(64));
    }
}

/* Controls and events that there are, so that more fields count. */
static void make_random(struct vmcs12 *v, struct vmx_caps *caps)
{
    static const u32 vectors[] = {0x80000020, 0x80000202, 0x80000b0d, 0x80000306, 0x80000403};

    base_make((enum base)random_below(BASE_V86 + 1), v, caps);
    if (random_below(2))
        v->PROC |= CPU_BASED_TPR_SHADOW;
    if (random_below(2) && (v->PROC2 & SECONDARY_EXEC_ENABLE_EPT))
        v->PROC2 |= SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_ENABLE_VMFUNC |
                    SECONDARY_EXEC_SHADOW_VMCS | SECONDARY_EXEC_EPT_VIOLATION_VE |
                    SECONDARY_EXEC_TSC_SCALING | SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
    if (random_below(2))
        v->vm_exit_msr_load_count = v->vm_entry_msr_load_count = 2;
    if (random_below(2)) {
        v->INFO = vectors[random_below(ARRAY_SIZE(vectors))];
        v->vm_entry_instruction_len = 2;
    }
    if (random_below(4) == 0)
        v->guest_activity_state = (u32)random_below(4);
    if (random_below(4) == 0)
        v->guest_interruptibility_info = (u32)random_below(4);
}

/* Whether the change of each field that the first fault names takes it away. */
static void check_mending(const struct vmcs12 *v, const struct vmx_caps *caps,
                          const struct culprit *culprit)
{
    struct culprit mended;

    for (u32 i = 0; i < first_length(culprit); i++) {
        const struct culprit_field *field = &culprit->field[i];
        struct vmcs12 changed = *v;

        if (field->fault == CULPRIT_MEMORY)
            continue;
        set(&changed, field->encoding, field->value ^ field->bits);
        if (find(&changed, caps, true, &mended))
            assert_false(is_same_fault(&mended, culprit));
    }
}

/* Changes what the first fault names last, until there is none, or one in memory; false if that has
   no end. */
static bool mend_all(struct vmcs12 *v, const struct vmx_caps *caps)
{
    struct culprit culprit;

    for (u32 steps = 0; steps < 64; steps++) {
        const struct culprit_field *field;

        if (!find(v, caps, true, &culprit))
            return true;
        field = &culprit.field[first_length(&culprit) - 1];
        if (field->fault == CULPRIT_MEMORY)
            return true;
        set(v, field->encoding, field->value ^ field->bits);
    }
    return false;
}

/* One to three fields are broken: the first fault names one of these. */
static void test_random(void **state)
{
    u32 failures = 0, right = 0, mended = 0;

    (void)state;
    while (failures < 50000) {
        struct vmcs12 v;
        struct vmx_caps caps;
        struct culprit culprit;
        u32 broken[3], count = 1 + (u32)random_below(ARRAY_SIZE(broken));
        bool found = false;

        make_random(&v, &caps);
        if (find(&v, &caps, true, &culprit))
            continue;
        for (u32 i = 0; i < count; i++) {
            broken[i] = encodings[random_below(ARRAY_SIZE(encodings))];
            set(&v, broken[i], random_break(&v, get(&v, broken[i])));
        }
        if (!find(&v, &caps, true, &culprit))
            continue;
        failures++;
        for (u32 i = 0; i < count; i++)
            found |= names(&culprit, first_length(&culprit), broken[i]);
        right += found;
        check_mending(&v, &caps, &culprit);
        mended += mend_all(&v, &caps);
    }
    print_message("%u random faults, the first one named right in %u, all mended in %u\n", failures,
                  right, mended);
    assert_true(right * 100 > failures * 99);
    assert_true(mended * 100 > failures * 99);
}

/* ---- Words ---- */

static void expect_text(const struct culprit *culprit, const char *wanted)
{
    char text[CULPRIT_TEXT_SIZE], part[CULPRIT_TEXT_SIZE];
    size_t len = culprit_text(culprit, text, sizeof(text));

    assert_string_equal(text, wanted);
    assert_int_equal(len, strlen(wanted));
    for (size_t size = 1; size <= len; size++) {
        memset(part, 'x', sizeof(part));
        assert_int_equal(culprit_text(culprit, part, size), len);
        assert_memory_equal(part, wanted, size - 1);
        assert_int_equal(part[size - 1], 0);
        assert_int_equal(part[size], 'x');
    }
    part[0] = 'x';
    assert_int_equal(culprit_text(culprit, part, 0), len);
    assert_int_equal(part[0], 'x');
}

struct words {
    const char *text;
    enum base base;
    struct change changes[6];
};

#define FAILS7  "VM entry fails: control fields (error 7)\n"
#define FAILS8  "VM entry fails: host state (error 8)\n"
#define FAILS33 "VM entry fails: guest state (exit reason 33, qualification 0)\n"

static const struct words words[] = {
    {"VM entry would succeed as far as the checks of the SDM go\n", BASE_64, {}},
    {FAILS33 "GUEST_RFLAGS 0x0: bit 1 must be 1\n", BASE_64, {V(guest_rflags, 0)}},
    {FAILS33 "GUEST_RFLAGS 0x8028: bit 1 must be 1, bits 0x8028 must be 0\n",
     BASE_64,
     {V(guest_rflags, 0x8028)}},
    {FAILS33 "VM_ENTRY_CONTROLS 0xf3ff bit 9 and GUEST_CR0 0x50033 bit 31 contradict each other\n",
     BASE_64,
     {VCLR(guest_cr0, CR0_PG), V(guest_ia32_efer, EFER_LMA)}},
    {FAILS33 "GUEST_CR0 0x80000020 bit 31 and bit 0 contradict each other\n",
     BASE_REAL,
     {VOR(guest_cr0, CR0_PG)}},
    {FAILS33 "GUEST_RFLAGS 0x20202 bit 17, GUEST_FS_BASE 0x0 bit 4 and GUEST_FS_SELECTOR 0x1 bit 0 "
             "contradict each other\n",
     BASE_V86,
     {V(guest_fs_base, 0)}},
    {FAILS33 "GUEST_TR_AR_BYTES 0x89 is not valid, 0x8b would be\n", BASE_64, {AR(tr, 0x89)}},
    {FAILS8 "HOST_TR_SELECTOR 0x0 is not valid, 0x8 would be\n"
            "HOST_RIP 0x800000000000 is not canonical\n",
     BASE_64,
     {V(host_rip, NON_CANONICAL), V(host_tr_selector, 0)}},
    {FAILS7 "PIN_BASED_VM_EXEC_CONTROL 0x4000001d: bit 1 must be 1, bit 30 not offered\n",
     BASE_64,
     {V(PIN, 0x4000001d)}},
    {FAILS7 "VM_EXIT_MSR_LOAD_ADDR 0x10000000008 is not aligned or beyond the physical addresses: "
            "bits 0x10000000008 must be 0\n",
     BASE_64,
     {V(vm_exit_msr_load_count, 1), V(vm_exit_msr_load_addr, BEYOND | 8)}},
    {"VM entry fails: guest state (exit reason 33, qualification 4)\n"
     "VMCS_LINK_POINTER 0x9000: what is there in memory is not valid\n",
     BASE_64,
     {V(vmcs_link_pointer, TEST_LINK), M(TEST_LINK, 0)}},
    {"VM entry fails: guest state (exit reason 33, qualification 2)\n"
     "GUEST_PDPTR0 0x11003: bit 1 must be 0\n",
     BASE_PAE,
     {V(guest_pdptr0, 0x11003)}},
};

static void test_words(void **state)
{
    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
        struct vmcs12 v;
        struct vmx_caps caps;
        struct culprit culprit;

        base_make(words[i].base, &v, &caps);
        for (u32 j = 0; j < ARRAY_SIZE(words[i].changes); j++)
            change_apply(&words[i].changes[j], &v, &caps);
        find(&v, &caps, true, &culprit);
        expect_text(&culprit, words[i].text);
    }
}

/* Errors that a caller knows. */
static void test_errors(void **state)
{
    static const struct {
        enum vm_instruction_error error;
        const char *text;
    } errors[] = {
        {VMXERR_VMLAUNCH_NONCLEAR_VMCS,
         "VMLAUNCH of a VMCS that is launched: VMCLEAR it first, or VMRESUME it (error 4)\n"},
        {VMXERR_VMRESUME_NONLAUNCHED_VMCS,
         "VMRESUME of a VMCS that is not launched: VMLAUNCH it (error 5)\n"},
        {VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS,
         "VM entry right behind MOV SS or POP SS: an instruction must stand between (error 26)\n"},
        {VMXERR_VMCLEAR_VMXON_POINTER, "the VMX instruction fails (error 3)\n"},
    };

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(errors); i++)
        expect_text(&(struct culprit){.error = errors[i].error}, errors[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),  cmocka_unit_test(test_controls),
        cmocka_unit_test(test_host),   cmocka_unit_test(test_guest),
        cmocka_unit_test(test_2006),   cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_random), cmocka_unit_test(test_words),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
