/* Random VMCSs for the fuzzer. */
#include "fuzz.h"

#define HOST_CR0_FREE (CR0_MP | CR0_TS | CR0_WP | CR0_AM)
#define HOST_CR4_FREE 0x58full /* VME, PVI, TSD, DE, PGE, PCE, OSXMMEXCPT */

/* How a field may be changed without leaving the probe's control. */
enum change {
    FLIP,     /* any bit */
    FLIP32,   /* any of the low 32 bits */
    FLIP17,   /* any of the low 17 bits */
    FLIP16,   /* any of the low 16 bits */
    CONTROL,  /* a bit of a control word that is known */
    VALUE,    /* an interesting value */
    CODE,     /* an address within the guest's code */
    ADDRESS,  /* the low 12 bits and what lies beyond any physical address */
    RIGHTS,   /* a bit of access rights */
    FAILING,  /* a host field: only what makes the entry fail */
    LINEAR,   /* a host field: a canonical address */
    SELECTOR, /* a host selector that is not used */
    HOST0,    /* bits of the host's CR0, CR4 and EFER that change nothing for the probe */
    HOST4,
    HOST_EFER_SCE,
    HOST_TYPES, /* of IA32_PAT */
    EVENT,      /* interruption information */
    ACTIVITY,
    VPID,
    ROOT, /* of the guest's paging structures */
    LINK,
    FUNCTIONS,
    HOST_CS, /* 16 bits: Bochs loads no more into IA32_SYSENTER_CS, SDM vol. 3, 28.5.1 */
    COUNT,   /* of an MSR area */
    PERF,    /* IA32_PERF_GLOBAL_CTRL */
};

static const struct target {
    u32 field;
    enum change change;
} targets[] = {
    {PIN_BASED_VM_EXEC_CONTROL, CONTROL},
    {CPU_BASED_VM_EXEC_CONTROL, CONTROL},
    {CPU_BASED_VM_EXEC_CONTROL, CONTROL},
    {CPU_BASED_VM_EXEC_CONTROL, CONTROL},
    {SECONDARY_VM_EXEC_CONTROL, CONTROL},
    {SECONDARY_VM_EXEC_CONTROL, CONTROL},
    {VM_EXIT_CONTROLS, CONTROL},
    {VM_ENTRY_CONTROLS, CONTROL},
    {EXCEPTION_BITMAP, FLIP32},
    {EXCEPTION_BITMAP, VALUE},
    {PAGE_FAULT_ERROR_CODE_MASK, VALUE},
    {PAGE_FAULT_ERROR_CODE_MATCH, VALUE},
    {CR3_TARGET_COUNT, COUNT},
    {CR3_TARGET_VALUE0, ROOT},
    {CR3_TARGET_VALUE1, ROOT},
    {CR3_TARGET_VALUE2, ROOT},
    {CR3_TARGET_VALUE3, ROOT},
    {VM_ENTRY_INTR_INFO_FIELD, EVENT},
    {VM_ENTRY_INTR_INFO_FIELD, EVENT},
    {VM_ENTRY_INTR_INFO_FIELD, EVENT},
    {VM_ENTRY_EXCEPTION_ERROR_CODE, FLIP16},
    {VM_ENTRY_EXCEPTION_ERROR_CODE, VALUE},
    {VM_ENTRY_INSTRUCTION_LEN, VALUE},
    {TPR_THRESHOLD, FLIP16},
    {TPR_THRESHOLD, VALUE},
    {IO_BITMAP_A, ADDRESS},
    {IO_BITMAP_B, ADDRESS},
    {MSR_BITMAP, ADDRESS},
    {VIRTUAL_APIC_PAGE_ADDR, ADDRESS},
    {APIC_ACCESS_ADDR, ADDRESS},
    {POSTED_INTR_DESC_ADDR, ADDRESS},
    {POSTED_INTR_NV, VALUE},
    {EPT_POINTER, ADDRESS},
    {VM_EXIT_MSR_STORE_ADDR, ADDRESS},
    {VM_EXIT_MSR_LOAD_ADDR, ADDRESS},
    {VM_ENTRY_MSR_LOAD_ADDR, ADDRESS},
    {VM_EXIT_MSR_STORE_COUNT, COUNT},
    {VM_EXIT_MSR_LOAD_COUNT, COUNT},
    {VM_ENTRY_MSR_LOAD_COUNT, COUNT},
    {EXECUTIVE_VMCS_POINTER, VALUE},
    {TSC_OFFSET, VALUE},
    {TSC_MULTIPLIER, VALUE},
    {EOI_EXIT_BITMAP0, FLIP},
    {EOI_EXIT_BITMAP1, FLIP},
    {EOI_EXIT_BITMAP2, FLIP},
    {EOI_EXIT_BITMAP3, FLIP},
    {XSS_EXIT_BITMAP, FLIP},
    {VIRTUAL_PROCESSOR_ID, VPID},
    {CR0_GUEST_HOST_MASK, FLIP},
    {CR4_GUEST_HOST_MASK, FLIP},
    {CR0_GUEST_HOST_MASK, VALUE},
    {CR4_GUEST_HOST_MASK, VALUE},
    {CR0_READ_SHADOW, FLIP},
    {CR4_READ_SHADOW, FLIP},
    {GUEST_CR0, FLIP},
    {GUEST_CR0, FLIP32},
    {GUEST_CR4, FLIP},
    {GUEST_CR4, FLIP32},
    {GUEST_CR3, ADDRESS},
    {GUEST_CR3, ROOT},
    {GUEST_DR7, FLIP},
    {GUEST_DR7, FLIP32},
    {GUEST_RSP, VALUE},
    {GUEST_RIP, VALUE},
    {GUEST_RIP, CODE},
    {GUEST_RIP, CODE},
    {GUEST_RFLAGS, FLIP},
    {GUEST_RFLAGS, FLIP32},
    {GUEST_RFLAGS, FLIP17},
    {GUEST_RFLAGS, FLIP17},
    {GUEST_SYSENTER_CS, VALUE},
    {GUEST_SYSENTER_ESP, VALUE},
    {GUEST_SYSENTER_EIP, VALUE},
    {GUEST_GDTR_BASE, VALUE},
    {GUEST_IDTR_BASE, VALUE},
    {GUEST_GDTR_LIMIT, FLIP32},
    {GUEST_IDTR_LIMIT, FLIP32},
    {GUEST_INTERRUPTIBILITY_INFO, FLIP32},
    {GUEST_INTERRUPTIBILITY_INFO, FLIP17},
    {GUEST_ACTIVITY_STATE, ACTIVITY},
    {GUEST_PENDING_DBG_EXCEPTIONS, FLIP17},
    {GUEST_IA32_DEBUGCTL, FLIP},
    {GUEST_IA32_DEBUGCTL, FLIP17},
    {GUEST_IA32_EFER, FLIP},
    {GUEST_IA32_PAT, FLIP},
    {GUEST_IA32_PERF_GLOBAL_CTRL, PERF},
    {GUEST_PDPTR0, FLIP},
    {GUEST_PDPTR1, FLIP},
    {GUEST_PDPTR2, FLIP},
    {GUEST_PDPTR3, FLIP},
    {GUEST_INTR_STATUS, VALUE},
    {GUEST_SMBASE, VALUE},
    {VMCS_LINK_POINTER, VALUE},
    {VMCS_LINK_POINTER, LINK},
    {VMREAD_BITMAP, ADDRESS},
    {VMWRITE_BITMAP, ADDRESS},
    {PML_ADDRESS, ADDRESS},
    {VE_INFORMATION_ADDRESS, ADDRESS},
    {EPTP_INDEX, VALUE},
    {EPTP_LIST_ADDRESS, ADDRESS},
    {VM_FUNCTION_CONTROL, FUNCTIONS},
    {GUEST_ES_SELECTOR, FLIP16},
    {GUEST_ES_BASE, VALUE},
    {GUEST_ES_LIMIT, FLIP32},
    {GUEST_ES_AR_BYTES, RIGHTS},
    {GUEST_CS_SELECTOR, FLIP16},
    {GUEST_CS_BASE, VALUE},
    {GUEST_CS_LIMIT, FLIP32},
    {GUEST_CS_AR_BYTES, RIGHTS},
    {GUEST_SS_SELECTOR, FLIP16},
    {GUEST_SS_BASE, VALUE},
    {GUEST_SS_LIMIT, FLIP32},
    {GUEST_SS_AR_BYTES, RIGHTS},
    {GUEST_DS_SELECTOR, FLIP16},
    {GUEST_DS_BASE, VALUE},
    {GUEST_DS_LIMIT, FLIP32},
    {GUEST_DS_AR_BYTES, RIGHTS},
    {GUEST_FS_SELECTOR, FLIP16},
    {GUEST_FS_BASE, VALUE},
    {GUEST_FS_LIMIT, FLIP32},
    {GUEST_FS_AR_BYTES, RIGHTS},
    {GUEST_GS_SELECTOR, FLIP16},
    {GUEST_GS_BASE, VALUE},
    {GUEST_GS_LIMIT, FLIP32},
    {GUEST_GS_AR_BYTES, RIGHTS},
    {GUEST_LDTR_SELECTOR, FLIP16},
    {GUEST_LDTR_BASE, VALUE},
    {GUEST_LDTR_LIMIT, FLIP32},
    {GUEST_LDTR_AR_BYTES, RIGHTS},
    {GUEST_TR_SELECTOR, FLIP16},
    {GUEST_TR_BASE, VALUE},
    {GUEST_TR_LIMIT, FLIP32},
    {GUEST_TR_AR_BYTES, RIGHTS},
    {HOST_CR0, FAILING},
    {HOST_CR4, FAILING},
    {HOST_CR3, FAILING},
    {HOST_CR0, HOST0},
    {HOST_CR4, HOST4},
    {HOST_CS_SELECTOR, FAILING},
    {HOST_TR_SELECTOR, FAILING},
    {HOST_ES_SELECTOR, SELECTOR},
    {HOST_DS_SELECTOR, SELECTOR},
    {HOST_FS_SELECTOR, SELECTOR},
    {HOST_GS_SELECTOR, SELECTOR},
    {HOST_FS_BASE, FAILING},
    {HOST_FS_BASE, LINEAR},
    {HOST_GS_BASE, LINEAR},
    {HOST_IA32_SYSENTER_CS, HOST_CS},
    {HOST_IA32_SYSENTER_ESP, LINEAR},
    {HOST_IA32_SYSENTER_EIP, LINEAR},
    {HOST_RSP, VALUE},
    {HOST_GDTR_BASE, FAILING},
    {HOST_RIP, FAILING},
    {HOST_IA32_PAT, HOST_TYPES},
    {HOST_IA32_EFER, HOST_EFER_SCE},
    {HOST_IA32_PERF_GLOBAL_CTRL, PERF},
};

/* What was there before fuzz_change_fields(). */
static struct {
    u32 field;
    u64 value;
} undo[8];
static u32 undo_count;
/* Software has to invalidate what the processor may have cached. */
bool fuzz_paging_changed, fuzz_ept_changed;

bool fuzz_has_ept(void) { return fuzz_slots[fuzz_slot].flags & WITH_EPT; }

static u64 root_address(void)
{
    u32 root = fuzz_one_in(2) ? L2_ROOT : L2_ROOT_B;

    return fuzz_has_ept() ? root : (u64)guest_memory(root);
}

/* Exceptions that have an error code. */
#define WITH_ERROR_CODE 0x00027d00u

static u64 random_event(void)
{
    u32 vector = fuzz_below(32);

    switch (fuzz_below(12)) {
    case 0: return fuzz_random() & 0xffffffff;
    case 1: return INTR_INFO_VALID_MASK | INTR_TYPE_NMI | VECTOR_NMI;
    case 2: return INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | fuzz_below(256);
    case 3:
    case 4: return INTR_INFO_VALID_MASK | INTR_TYPE_SOFT_INTR | fuzz_below(256);
    case 5: return INTR_INFO_VALID_MASK | INTR_TYPE_PRIV_SW_EXCEPTION | VECTOR_DB;
    case 6: return INTR_INFO_VALID_MASK | INTR_TYPE_SOFT_EXCEPTION | (3 + fuzz_below(2));
    case 7: return INTR_INFO_VALID_MASK | INTR_TYPE_OTHER | fuzz_one_in(8);
    default:
        return INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | vector |
               (WITH_ERROR_CODE >> vector & 1 ? INTR_INFO_DELIVER_CODE_MASK : 0);
    }
}

u32 fuzz_known_control(u32 field)
{
    u32 known = known_controls(field);
    u32 bit = fuzz_below(32);

    while (known && !(known >> bit & 1))
        bit = (bit + 1) % 32;
    return BIT(bit);
}

static u64 changed(u32 field, u64 value, enum change change)
{
    static const u32 activities[] = {0, 0, 1, 1, 2, 4, 0x80000000};

    switch (change) {
    case FLIP: return value ^ BIT64(fuzz_below(64));
    case FLIP32: return value ^ BIT64(fuzz_below(32));
    case FLIP17: return value ^ BIT64(fuzz_below(17));
    case FLIP16: return value ^ BIT64(fuzz_below(16));
    case CONTROL: return value ^ fuzz_known_control(field);
    case VALUE: return fuzz_value();
    case CODE: return guest_entry + fuzz_below(64);
    case ADDRESS:
        return value ^ (fuzz_one_in(2) ? BIT64(fuzz_below(12)) : BIT64(52 + fuzz_below(12)));
    case RIGHTS: return value ^ BIT64(fuzz_below(18));
    case FAILING: return value ^ BIT64(48 + fuzz_below(15));
    case LINEAR: return (u64)((s64)(fuzz_value() << 16) >> 16);
    case SELECTOR: return fuzz_one_in(2) ? 0 : SEL_DATA;
    case HOST0: return value ^ (fuzz_random() & HOST_CR0_FREE);
    case HOST4: return value ^ (fuzz_random() & HOST_CR4_FREE);
    case HOST_EFER_SCE: return value ^ EFER_SCE;
    case HOST_TYPES: return fuzz_one_in(2) ? FUZZ_PAT : 0x0606060606060606;
    case EVENT: return random_event();
    case ACTIVITY: return activities[fuzz_below(ARRAY_SIZE(activities))];
    case VPID: return fuzz_below(4) * 0x100 + (fuzz_one_in(8) ? 0 : fuzz_slot + 1);
    case ROOT: return root_address();
    case LINK: return fuzz_one_in(4) ? ~0ull : arena_address(PAGE_SHADOW_VMCS);
    case FUNCTIONS: return fuzz_one_in(8) ? BIT64(fuzz_below(64)) : fuzz_below(2);
    case HOST_CS: return fuzz_value() & 0xffff;
    case COUNT: return fuzz_below(FUZZ_MSR_LIST_MAX + 1);
    case PERF: return fuzz_random() & 0x700000003;
    }
    return value;
}

static bool field_is_paging(u32 field)
{
    switch (field) {
    case GUEST_CR0:
    case GUEST_CR3:
    case GUEST_CR4:
    case GUEST_IA32_EFER:
    case EPT_POINTER:
    case VIRTUAL_PROCESSOR_ID:
    case APIC_ACCESS_ADDR:
    case SECONDARY_VM_EXEC_CONTROL:
    case CPU_BASED_VM_EXEC_CONTROL:
    case VM_ENTRY_CONTROLS:
    case GUEST_PDPTR0:
    case GUEST_PDPTR1:
    case GUEST_PDPTR2:
    case GUEST_PDPTR3: return true;
    default: return false;
    }
}

static bool field_is_control(u32 field)
{
    return field == PIN_BASED_VM_EXEC_CONTROL || field == CPU_BASED_VM_EXEC_CONTROL ||
           field == SECONDARY_VM_EXEC_CONTROL || field == VM_EXIT_CONTROLS ||
           field == VM_ENTRY_CONTROLS;
}

static void write_field(u32 field, u64 value)
{
    vm_write(field, value);
    if (field_is_control(field))
        fuzz_slots[fuzz_slot].controls_changed = true;
    if (field_is_paging(field))
        fuzz_paging_changed = true;
    if (field == EPT_POINTER)
        fuzz_ept_changed = true;
    if (field == GUEST_SS_SELECTOR || field == GUEST_SS_BASE || field == GUEST_SS_LIMIT ||
        field == GUEST_SS_AR_BYTES || field == GUEST_CS_AR_BYTES || field == VM_ENTRY_CONTROLS)
        fuzz_slots[fuzz_slot].stack_changed = true;
}

void fuzz_change_fields(u32 n)
{
    undo_count = 0;
    for (u32 i = 0; i < n; i++) {
        const struct target *target = &targets[fuzz_below(ARRAY_SIZE(targets))];
        u64 value = vm_read(target->field);

        undo[undo_count].field = target->field;
        undo[undo_count++].value = value;
        value = changed(target->field, value, target->change);
        if (fuzz_shown && target->change == FAILING)
            say(" %x^=%lx", target->field, value ^ undo[undo_count - 1].value);
        else if (fuzz_shown)
            say(" %x:=%p", target->field, (void *)value);
        write_field(target->field, value);
    }
}

void fuzz_undo(void)
{
    while (undo_count) {
        undo_count--;
        write_field(undo[undo_count].field, undo[undo_count].value);
    }
}

void fuzz_change_memory(void)
{
    switch (fuzz_below(4)) {
    case 0: fuzz_make_structures(); break;
    case 1:
        if (fuzz_has_ept()) {
            fuzz_change_ept_entry();
            fuzz_ept_changed = true;
        }
        break;
    default: fuzz_make_code(); break;
    }
}
