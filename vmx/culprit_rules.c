/*
 * SDM vol. 3, "VM Entries". vmx/check_*.c have the same rules, made to be fast, and for that silent
 * about the field. A copy of them that can be traced is larger than these tables with all that
 * reads them, and leaves to be guessed which bits are meant. The tests and a fuzzer hold the two
 * together.
 */
#include "culprit_rules.h"

#include "capabilities.h"
#include "vmx.h"
#include "x86.h"

#define COUNT(...)   (sizeof((struct rule[]){__VA_ARGS__}) / sizeof(struct rule))
#define LOWEST(mask) __builtin_ctzll(mask)
#define RANGE(mask)  (LOWEST(mask) | __builtin_popcountll(mask) << 8) /* of adjacent bits */
#define CAPS(member) offsetof(struct vmx_caps, member)
#define ABOVE(bit)   (~0ull << (bit))
#define HIGH_HALF    ABOVE(32)

/* Gates. What a gate looks at may be a macro of two arguments. */
#define GATE(field, op, detail, ...) {field, COUNT(__VA_ARGS__), op, detail}, __VA_ARGS__
#define GATE_SET(field, mask, ...)   GATE(field, IF_SET, LOWEST(mask), __VA_ARGS__)
#define GATE_CLEAR(field, mask, ...) GATE(field, IF_CLEAR, LOWEST(mask), __VA_ARGS__)
#define WHEN(...)                    GATE_SET(__VA_ARGS__)
#define UNLESS(...)                  GATE_CLEAR(__VA_ARGS__)
#define EQUALS(field, value, ...)    GATE(field, IF_EQUAL, value, __VA_ARGS__)
#define INJECTS(type, ...)           GATE(INFO, IF_INJECTS, (type) >> 8, __VA_ARGS__)
#define HAS(member, mask, ...)       GATE(CAPS(member), IF_HAS, LOWEST(mask), __VA_ARGS__)
#define LACKS(member, mask, ...)     GATE(CAPS(member), IF_LACKS, LOWEST(mask), __VA_ARGS__)

/* Rules. ONE and ZERO are demanded by the gate. */
#define RULE(field, op, argument)                                                                  \
    {                                                                                              \
        field, argument, op, 0                                                                     \
    }
#define ONES(field, mask)  RULE(field, ALL_ONES, RANGE(mask))
#define ZEROS(field, mask) RULE(field, ALL_ZEROS, RANGE(mask))
#define ONE(field, mask)   RULE(field, ALL_ONES | RULE_WITH_GATE, RANGE(mask))
#define ZERO(field, mask)  RULE(field, ALL_ZEROS | RULE_WITH_GATE, RANGE(mask))
#define PAGE(field)        RULE(field, ALIGNED, PAGE_SHIFT)
#define CANONICAL(field)   RULE(field, IS_CANONICAL, 0)
#define NONZERO(field)     RULE(field, NOT_0, 0)
#define EACH(set, field, op, argument)                                                             \
    {                                                                                              \
        GUEST_ES_##field, argument, op, set                                                        \
    }

#define PIN    PIN_BASED_VM_EXEC_CONTROL
#define PROC   CPU_BASED_VM_EXEC_CONTROL
#define PROC2  SECONDARY_VM_EXEC_CONTROL
#define EXIT   VM_EXIT_CONTROLS
#define ENTRY  VM_ENTRY_CONTROLS
#define INFO   VM_ENTRY_INTR_INFO_FIELD
#define LENGTH VM_ENTRY_INSTRUCTION_LEN

/* Bits that gates look at. */
#define IA32E        ENTRY, VM_ENTRY_IA32E_MODE
#define HOST_64      EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE
#define UNRESTRICTED PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST
#define PROTECTED    GUEST_CR0, CR0_PE
#define PAGING       GUEST_CR0, CR0_PG
#define V86          GUEST_RFLAGS, RFLAGS_VM
#define CODE64       GUEST_CS_AR_BYTES, AR_L_MASK
#define ACTIVITY     GUEST_ACTIVITY_STATE

#define HAS_EPT    ONE(PROC2, SECONDARY_EXEC_ENABLE_EPT)
#define TPR_SHADOW ONE(PROC, CPU_BASED_TPR_SHADOW)

#define VMX_BASIC_ANY_ERROR_CODE        BIT64(56)
#define EPT_CAP_SUPERVISOR_SHADOW_STACK BIT64(23)
#define EPTP_SUPERVISOR_SHADOW_STACK    BIT64(7)
#define MONITOR_TRAPS                   ((u64)CPU_BASED_MONITOR_TRAP_FLAG << 32)

/* SDM vol. 3, "Extended-Page-Table Pointer (EPTP)"; all that have EPT have WB and four levels. */
#define EPTP_RULE(lowest, set)                                                                     \
    {                                                                                              \
        EPT_POINTER, set, ONE_OF, lowest                                                           \
    }
#define EPTP_RULES                                                                                 \
    LACKS(ept_vpid, EPT_CAP_UC, EPTP_RULE(0, BIT(MT_WB))),                                         \
        HAS(ept_vpid, EPT_CAP_UC, EPTP_RULE(0, BIT(MT_UC) | BIT(MT_WB))),                          \
        LACKS(ept_vpid, EPT_CAP_5_LEVEL, EPTP_RULE(3, BIT(3))),                                    \
        HAS(ept_vpid, EPT_CAP_5_LEVEL, EPTP_RULE(3, BIT(3) | BIT(4))),                             \
        LACKS(ept_vpid, EPT_CAP_AD, ZEROS(EPT_POINTER, EPTP_AD)),                                  \
        LACKS(ept_vpid, EPT_CAP_SUPERVISOR_SHADOW_STACK,                                           \
              ZEROS(EPT_POINTER, EPTP_SUPERVISOR_SHADOW_STACK)),                                   \
        ZEROS(EPT_POINTER, 0xf00), RULE(EPT_POINTER, ALIGNED, 0)

/* "VM-Entry Control Fields": the event to inject. */
#define NO_ERROR_CODE ZEROS(INFO, INTR_INFO_DELIVER_CODE_MASK)
#define INSTRUCTION(type)                                                                          \
    INJECTS(type, NO_ERROR_CODE, ZEROS(LENGTH, ABOVE(4)),                                          \
            LACKS(misc, VMX_MISC_ZERO_LENGTH_INJECTION, NONZERO(LENGTH)))
#define EVENT_RULES                                                                                \
    INJECTS(INTR_TYPE_EXT_INTR, NO_ERROR_CODE), INJECTS(1u << 8, ZEROS(INFO, BIT64(8))),           \
        INJECTS(INTR_TYPE_NMI, ZEROS(INFO, 1), ONES(INFO, VECTOR_NMI), ZEROS(INFO, 0xfc),          \
                NO_ERROR_CODE),                                                                    \
        INJECTS(INTR_TYPE_EXCEPTION, ZEROS(INFO, 0xe0),                                            \
                WHEN(UNRESTRICTED, UNLESS(PROTECTED, ZERO(INFO, INTR_INFO_DELIVER_CODE_MASK)),     \
                     WHEN(PROTECTED,                                                               \
                          LACKS(basic, VMX_BASIC_ANY_ERROR_CODE, RULE(INFO, ERROR_CODE, 0)))),     \
                UNLESS(UNRESTRICTED,                                                               \
                       LACKS(basic, VMX_BASIC_ANY_ERROR_CODE, RULE(INFO, ERROR_CODE, 0)))),        \
        INSTRUCTION(INTR_TYPE_SOFT_INTR), INSTRUCTION(INTR_TYPE_PRIV_SW_EXCEPTION),                \
        INSTRUCTION(INTR_TYPE_SOFT_EXCEPTION),                                                     \
        INJECTS(INTR_TYPE_OTHER, ZEROS(INFO, INTR_INFO_VECTOR_MASK), NO_ERROR_CODE,                \
                LACKS(true_proc, MONITOR_TRAPS, ZEROS(INFO, INTR_INFO_VALID_MASK))),               \
        ZEROS(INFO, 0x7ffff000),                                                                   \
        WHEN(INFO, INTR_INFO_DELIVER_CODE_MASK, ZEROS(VM_ENTRY_EXCEPTION_ERROR_CODE, 0xffff0000))

/* SDM vol. 3, "Checks on VMX Controls". */
static const struct rule controls[] = {
    RULE(PIN, CONTROL, CAPS(true_pin)),
    RULE(PROC, CONTROL, CAPS(true_proc)),
    RULE(PROC2, CONTROL, CAPS(proc2)),
    RULE(CR3_TARGET_COUNT, CR3_TARGETS, 0),
    WHEN(PROC, CPU_BASED_USE_IO_BITMAPS, PAGE(IO_BITMAP_A), PAGE(IO_BITMAP_B)),
    WHEN(PROC, CPU_BASED_USE_MSR_BITMAPS, PAGE(MSR_BITMAP)),
    WHEN(PROC, CPU_BASED_TPR_SHADOW, PAGE(VIRTUAL_APIC_PAGE_ADDR),
         UNLESS(PROC2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, ZEROS(TPR_THRESHOLD, ABOVE(4)),
                UNLESS(PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
                       RULE(TPR_THRESHOLD, THRESHOLD, 0)))),
    WHEN(PIN, PIN_BASED_VIRTUAL_NMIS, ONE(PIN, PIN_BASED_NMI_EXITING)),
    WHEN(PROC, CPU_BASED_VIRTUAL_NMI_PENDING, ONE(PIN, PIN_BASED_VIRTUAL_NMIS)),
    WHEN(PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, PAGE(APIC_ACCESS_ADDR)),
    WHEN(PROC2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, TPR_SHADOW,
         ZERO(PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)),
    WHEN(PROC2, SECONDARY_EXEC_APIC_REGISTER_VIRT, TPR_SHADOW),
    WHEN(PROC2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, TPR_SHADOW,
         ONE(PIN, PIN_BASED_EXT_INTR_MASK)),
    WHEN(PIN, PIN_BASED_POSTED_INTR, ONE(PROC2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY),
         ONE(EXIT, VM_EXIT_ACK_INTR_ON_EXIT), ZEROS(POSTED_INTR_NV, ABOVE(8)),
         RULE(POSTED_INTR_DESC_ADDR, ALIGNED, 6)),
    WHEN(PROC2, SECONDARY_EXEC_ENABLE_VPID, NONZERO(VIRTUAL_PROCESSOR_ID)),
    WHEN(PROC2, SECONDARY_EXEC_ENABLE_EPT, EPTP_RULES),
    WHEN(PROC2, SECONDARY_EXEC_ENABLE_PML, HAS_EPT, PAGE(PML_ADDRESS)),
    WHEN(PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST, HAS_EPT),
    WHEN(PROC2, SECONDARY_EXEC_MODE_BASED_EPT_EXEC, HAS_EPT),
    {VM_FUNCTION_CONTROL, 0, KNOWN, CAPS(vmfunc)},
    WHEN(VM_FUNCTION_CONTROL, VMFUNC_EPTP_SWITCHING, HAS_EPT, PAGE(EPTP_LIST_ADDRESS)),
    WHEN(PROC2, SECONDARY_EXEC_SHADOW_VMCS, PAGE(VMREAD_BITMAP), PAGE(VMWRITE_BITMAP)),
    WHEN(PROC2, SECONDARY_EXEC_EPT_VIOLATION_VE, PAGE(VE_INFORMATION_ADDRESS)),
    WHEN(PROC2, SECONDARY_EXEC_TSC_SCALING, NONZERO(TSC_MULTIPLIER)),
    RULE(EXIT, CONTROL, CAPS(true_exit)),
    WHEN(EXIT, VM_EXIT_SAVE_PREEMPTION_TIMER, ONE(PIN, PIN_BASED_PREEMPTION_TIMER)),
    RULE(VM_EXIT_MSR_STORE_ADDR, AREA, VM_EXIT_MSR_STORE_COUNT),
    RULE(VM_EXIT_MSR_LOAD_ADDR, AREA, VM_EXIT_MSR_LOAD_COUNT),
    RULE(ENTRY, CONTROL, CAPS(true_entry)),
    ZEROS(ENTRY, VM_ENTRY_SMM | VM_ENTRY_DEACT_DUAL_MONITOR),
    EVENT_RULES,
    RULE(VM_ENTRY_MSR_LOAD_ADDR, AREA, VM_ENTRY_MSR_LOAD_COUNT),
};

/* CET state to load, of host or guest, but for the upper halves of IA32_S_CET and SSP. */
#define CET_RULES(level)                                                                           \
    ZEROS(level##_IA32_S_CET, CET_RESERVED),                                                       \
        WHEN(level##_IA32_S_CET, CET_SUPPRESS, ZERO(level##_IA32_S_CET, CET_TRACKER)),             \
        ZEROS(level##_SSP, 3), CANONICAL(level##_INTR_SSP_TABLE)

#define EFER_RESERVED(efer) ZEROS(efer, 0xfe), ZEROS(efer, BIT64(9)), ZEROS(efer, ABOVE(12))

#define SELECTOR(name) ZEROS(HOST_##name##_SELECTOR, 7)

/* SDM vol. 3, "Checks on the Host State". */
static const struct rule host[] = {
    RULE(HOST_CR0, FIXED, CAPS(cr0_fixed0)),
    RULE(HOST_CR4, FIXED, CAPS(cr4_fixed0)),
    WHEN(HOST_CR4, CR4_CET, ONE(HOST_CR0, CR0_WP)),
    RULE(HOST_CR3, RESERVED, CAPS(cr3_reserved)),
    CANONICAL(HOST_IA32_SYSENTER_ESP),
    CANONICAL(HOST_IA32_SYSENTER_EIP),
    WHEN(EXIT, VM_EXIT_LOAD_PERF_GLOBAL_CTRL,
         RULE(HOST_IA32_PERF_GLOBAL_CTRL, RESERVED, CAPS(perf_global_reserved))),
    WHEN(EXIT, VM_EXIT_LOAD_IA32_PAT, RULE(HOST_IA32_PAT, PAT, 0)),
    WHEN(EXIT, VM_EXIT_LOAD_IA32_EFER, EFER_RESERVED(HOST_IA32_EFER),
         WHEN(HOST_64, ONE(HOST_IA32_EFER, EFER_LMA), ONE(HOST_IA32_EFER, EFER_LME)),
         UNLESS(HOST_64, ZERO(HOST_IA32_EFER, EFER_LMA), ZERO(HOST_IA32_EFER, EFER_LME))),
    WHEN(EXIT, VM_EXIT_LOAD_CET_STATE, CET_RULES(HOST), CANONICAL(HOST_IA32_S_CET),
         CANONICAL(HOST_SSP),
         UNLESS(HOST_64, ZERO(HOST_IA32_S_CET, HIGH_HALF), ZERO(HOST_SSP, HIGH_HALF))),
    WHEN(EXIT, VM_EXIT_LOAD_IA32_PKRS, ZEROS(HOST_IA32_PKRS, HIGH_HALF)),
    SELECTOR(ES),
    SELECTOR(CS),
    SELECTOR(SS),
    SELECTOR(DS),
    SELECTOR(FS),
    SELECTOR(GS),
    SELECTOR(TR),
    NONZERO(HOST_CS_SELECTOR),
    NONZERO(HOST_TR_SELECTOR),
    UNLESS(HOST_64, RULE(HOST_SS_SELECTOR, NOT_0 | RULE_WITH_GATE, 0)),
    CANONICAL(HOST_FS_BASE),
    CANONICAL(HOST_GS_BASE),
    CANONICAL(HOST_GDTR_BASE),
    CANONICAL(HOST_IDTR_BASE),
    CANONICAL(HOST_TR_BASE),
    RULE(EXIT, HOST_MODE, 0),
    WHEN(HOST_64, ONE(HOST_CR4, CR4_PAE), CANONICAL(HOST_RIP)),
    UNLESS(HOST_64, ZERO(ENTRY, VM_ENTRY_IA32E_MODE), ZERO(HOST_CR4, CR4_PCIDE),
           ZERO(HOST_RIP, HIGH_HALF)),
};

/* Segments by the order of their fields. */
#define CS    BIT(1)
#define SS    BIT(2)
#define LDTR  BIT(6)
#define TR    BIT(7)
#define ES_DS (BIT(0) | BIT(3))
#define FS_GS (BIT(4) | BIT(5))
#define DATA  (ES_DS | FS_GS)

#define AR_CODE        BIT(3) /* of a type with S: not data */
#define AR_CONFORMING  BIT(2)
#define AR_32          BIT(3) /* of a TSS */
#define AR_DPL_MASK    (3u << AR_DPL_SHIFT)
#define CODE_TYPES     (BIT(9) | BIT(11) | BIT(13) | BIT(15))
#define REAL_MODE_CODE BIT(3)
#define DATA_TYPES     (BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(11) | BIT(15))
#define STACK_TYPES    (BIT(3) | BIT(7))
#define TSS_TYPES      (BIT(AR_TYPE_BUSY_16_TSS) | BIT(AR_TYPE_BUSY_32_TSS))
#define V86_LIMIT      0xffffu
#define V86_AR         0xf3u

/* Access rights and limit of every descriptor; s: what S must be. */
#define DESCRIPTOR(set, usable, s)                                                                 \
    EACH(set, AR_BYTES, (s) | (usable), RANGE(AR_S_MASK)),                                         \
        EACH(set, AR_BYTES, ALL_ONES | (usable), RANGE(AR_P_MASK)),                                \
        EACH(set, AR_BYTES, ALL_ZEROS | (usable), RANGE(0xf00)),                                   \
        EACH(set, AR_BYTES, ALL_ZEROS | (usable), RANGE(0xfffe0000)),                              \
        EACH(set, LIMIT, LIMIT | (usable), 0)

#define DPL_0 RULE(GUEST_SS_AR_BYTES, ALL_ZEROS | RULE_WITH_GATE, RANGE(AR_DPL_MASK))

/* SDM vol. 3, "Checks on Guest Segment Registers". */
#define V86_RULES                                                                                  \
    EACH(CS | SS | DATA, BASE, V86_BASE, 0),                                                       \
        EACH(CS | SS | DATA, LIMIT, EQUAL | RULE_WITH_GATE, V86_LIMIT),                            \
        EACH(CS | SS | DATA, AR_BYTES, EQUAL | RULE_WITH_GATE, V86_AR)
#define RESTRICTED_RULES                                                                           \
    RULE(GUEST_SS_SELECTOR, SAME_LEVEL, GUEST_CS_SELECTOR), ONE(GUEST_CS_AR_BYTES, AR_CODE),       \
        RULE(GUEST_SS_AR_BYTES, SAME_LEVEL, GUEST_SS_SELECTOR),                                    \
        EACH(DATA, AR_BYTES, NOT_BELOW | RULE_USABLE, GUEST_ES_SELECTOR)
#define SEGMENT_RULES                                                                              \
    EACH(FS_GS, BASE, IS_CANONICAL, 0), EACH(CS, BASE, ALL_ZEROS, RANGE(HIGH_HALF)),               \
        EACH(SS | ES_DS, BASE, ALL_ZEROS | RULE_USABLE, RANGE(HIGH_HALF)),                         \
        EACH(CS, AR_BYTES, TYPE, CODE_TYPES | REAL_MODE_CODE),                                     \
        EACH(SS, AR_BYTES, TYPE | RULE_USABLE, STACK_TYPES),                                       \
        EACH(DATA, AR_BYTES, TYPE | RULE_USABLE, DATA_TYPES),                                      \
        UNLESS(UNRESTRICTED, RESTRICTED_RULES),                                                    \
        UNLESS(GUEST_CS_AR_BYTES, AR_CODE, ZEROS(GUEST_CS_AR_BYTES, AR_DPL_MASK), DPL_0),          \
        WHEN(GUEST_CS_AR_BYTES, AR_CODE,                                                           \
             UNLESS(GUEST_CS_AR_BYTES, AR_CONFORMING,                                              \
                    RULE(GUEST_CS_AR_BYTES, SAME_LEVEL, GUEST_SS_AR_BYTES)),                       \
             WHEN(GUEST_CS_AR_BYTES, AR_CONFORMING,                                                \
                  RULE(GUEST_SS_AR_BYTES, NOT_BELOW, GUEST_CS_AR_BYTES))),                         \
        UNLESS(PROTECTED, DPL_0), DESCRIPTOR(CS, 0, ALL_ONES),                                     \
        DESCRIPTOR(SS | DATA, RULE_USABLE, ALL_ONES),                                              \
        WHEN(IA32E, WHEN(CODE64, ZERO(GUEST_CS_AR_BYTES, AR_DB_MASK)))
#define SYSTEM_SEGMENT_RULES                                                                       \
    EACH(TR, SELECTOR, ALL_ZEROS, RANGE(4)),                                                       \
        EACH(LDTR, SELECTOR, ALL_ZEROS | RULE_USABLE, RANGE(4)), EACH(TR, BASE, IS_CANONICAL, 0),  \
        EACH(LDTR, BASE, IS_CANONICAL | RULE_USABLE, 0), EACH(TR, AR_BYTES, TYPE, TSS_TYPES),      \
        WHEN(IA32E, ONE(GUEST_TR_AR_BYTES, AR_32)), DESCRIPTOR(TR, 0, ALL_ZEROS),                  \
        ZEROS(GUEST_TR_AR_BYTES, AR_UNUSABLE_MASK),                                                \
        EACH(LDTR, AR_BYTES, TYPE | RULE_USABLE, BIT(AR_TYPE_LDT)),                                \
        DESCRIPTOR(LDTR, RULE_USABLE, ALL_ZEROS)

/* SDM vol. 3, "Checks on Guest Non-Register State". */
#define SHADOW        GUEST_INTERRUPTIBILITY_INFO
#define STI_OR_MOV_SS (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define DEBUG         GUEST_PENDING_DBG_EXCEPTIONS
#define INACTIVE(state, offered)                                                                   \
    EQUALS(ACTIVITY, state, LACKS(misc, offered, ZEROS(ACTIVITY, 3)), ZERO(SHADOW, STI_OR_MOV_SS), \
           RULE(INFO, TAKEN | RULE_WITH_GATE, state))
#define ACTIVITY_RULES                                                                             \
    ZEROS(ACTIVITY, ABOVE(2)), EQUALS(ACTIVITY, ACTIVITY_HLT, DPL_0),                              \
        INACTIVE(ACTIVITY_HLT, VMX_MISC_HLT), INACTIVE(ACTIVITY_SHUTDOWN, VMX_MISC_SHUTDOWN),      \
        INACTIVE(ACTIVITY_WAIT_FOR_SIPI, VMX_MISC_WAIT_FOR_SIPI)
#define SHADOW_RULES                                                                               \
    {SHADOW, STI_OR_MOV_SS | INTERRUPTIBILITY_NMI, KNOWN, CAPS(interruptibility)},                 \
        WHEN(SHADOW, INTERRUPTIBILITY_STI, ZERO(SHADOW, INTERRUPTIBILITY_MOV_SS),                  \
             ONE(GUEST_RFLAGS, RFLAGS_IF)),                                                        \
        WHEN(SHADOW, INTERRUPTIBILITY_ENCLAVE, ZERO(SHADOW, INTERRUPTIBILITY_MOV_SS)),             \
        INJECTS(INTR_TYPE_EXT_INTR, ZERO(SHADOW, STI_OR_MOV_SS)),                                  \
        INJECTS(INTR_TYPE_NMI, ZERO(SHADOW, INTERRUPTIBILITY_MOV_SS),                              \
                WHEN(PIN, PIN_BASED_VIRTUAL_NMIS, ZERO(SHADOW, INTERRUPTIBILITY_NMI)))
#define DEBUG_RULES                                                                                \
    RULE(DEBUG, SINGLE_STEP, 0), {DEBUG, 0x500f, KNOWN, CAPS(pending_debug)},                      \
        WHEN(DEBUG, PENDING_DBG_RTM, ZEROS(DEBUG, 0xfff), ONES(DEBUG, BIT64(12)),                  \
             ZEROS(DEBUG, BIT64(14)), ZERO(SHADOW, INTERRUPTIBILITY_MOV_SS))

#define PDPTES 0xf /* as a set */

/* SDM vol. 3, "Checks on the Guest State Area". */
static const struct rule guest[] = {
    RULE(GUEST_CR0, FIXED, CAPS(cr0_fixed0)), /* but for PE and PG, which every processor wants */
    UNLESS(UNRESTRICTED, ONE(GUEST_CR0, CR0_PE), ONE(GUEST_CR0, CR0_PG)),
    WHEN(PAGING, ONE(GUEST_CR0, CR0_PE)),
    RULE(GUEST_CR4, FIXED, CAPS(cr4_fixed0)),
    WHEN(GUEST_CR4, CR4_CET, ONE(GUEST_CR0, CR0_WP)),
    WHEN(IA32E, ONE(GUEST_CR0, CR0_PG), ONE(GUEST_CR4, CR4_PAE)),
    UNLESS(IA32E, ZERO(GUEST_CR4, CR4_PCIDE)),
    RULE(GUEST_CR3, RESERVED, CAPS(cr3_reserved)),
    WHEN(ENTRY, VM_ENTRY_LOAD_DEBUG_CONTROLS, ZEROS(GUEST_DR7, HIGH_HALF)),
    CANONICAL(GUEST_SYSENTER_ESP),
    CANONICAL(GUEST_SYSENTER_EIP),
    WHEN(ENTRY, VM_ENTRY_LOAD_PERF_GLOBAL_CTRL,
         RULE(GUEST_IA32_PERF_GLOBAL_CTRL, RESERVED, CAPS(perf_global_reserved))),
    WHEN(ENTRY, VM_ENTRY_LOAD_IA32_PAT, RULE(GUEST_IA32_PAT, PAT, 0)),
    WHEN(ENTRY, VM_ENTRY_LOAD_IA32_EFER, EFER_RESERVED(GUEST_IA32_EFER),
         WHEN(IA32E, ONE(GUEST_IA32_EFER, EFER_LMA)),
         UNLESS(IA32E, ZERO(GUEST_IA32_EFER, EFER_LMA)),
         WHEN(PAGING, WHEN(GUEST_IA32_EFER, EFER_LMA, ONE(GUEST_IA32_EFER, EFER_LME)),
              UNLESS(GUEST_IA32_EFER, EFER_LMA, ZERO(GUEST_IA32_EFER, EFER_LME)))),
    WHEN(ENTRY, VM_ENTRY_LOAD_UINV, ZEROS(GUEST_UINV, ABOVE(8))),
    WHEN(ENTRY, VM_ENTRY_LOAD_CET_STATE, CET_RULES(GUEST)),
    WHEN(ENTRY, VM_ENTRY_LOAD_IA32_PKRS, ZEROS(GUEST_IA32_PKRS, HIGH_HALF)),
    SYSTEM_SEGMENT_RULES,
    WHEN(V86, V86_RULES),
    UNLESS(V86, SEGMENT_RULES),
    CANONICAL(GUEST_GDTR_BASE),
    CANONICAL(GUEST_IDTR_BASE),
    ZEROS(GUEST_GDTR_LIMIT, ABOVE(16)),
    ZEROS(GUEST_IDTR_LIMIT, ABOVE(16)),
    UNLESS(IA32E, ZERO(GUEST_RIP, HIGH_HALF)),
    WHEN(IA32E, UNLESS(CODE64, ZERO(GUEST_RIP, HIGH_HALF)),
         WHEN(CODE64, RULE(GUEST_RIP, RIP_CANONICAL, 0))),
    ONES(GUEST_RFLAGS, RFLAGS_FIXED),
    ZEROS(GUEST_RFLAGS, BIT64(3)),
    ZEROS(GUEST_RFLAGS, BIT64(5)),
    ZEROS(GUEST_RFLAGS, BIT64(15)),
    ZEROS(GUEST_RFLAGS, ABOVE(22)),
    WHEN(V86, ZERO(ENTRY, VM_ENTRY_IA32E_MODE), ONE(GUEST_CR0, CR0_PE)),
    INJECTS(INTR_TYPE_EXT_INTR, ONE(GUEST_RFLAGS, RFLAGS_IF)),
    PAGE(VMCS_LINK_POINTER),
    RULE(VMCS_LINK_POINTER, LINK, 0),
    ACTIVITY_RULES,
    SHADOW_RULES,
    DEBUG_RULES,
    UNLESS(IA32E, WHEN(PAGING, WHEN(GUEST_CR4, CR4_PAE, {GUEST_PDPTR0, 0, PDPTE, PDPTES}))),
};

const struct rules control_rules = {controls, ARRAY_SIZE(controls)};
const struct rules host_rules = {host, ARRAY_SIZE(host)};
const struct rules guest_rules = {guest, ARRAY_SIZE(guest)};
