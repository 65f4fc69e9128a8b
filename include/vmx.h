/*
 * VMX as the SDM defines it (vol. 3, chapters on VMX, and appendices A to C): control bits,
 * exit reasons, interruption formats, instruction errors. Field encodings: vmcs_fields.h.
 */
#ifndef PLASTRON_VMX_H
#define PLASTRON_VMX_H

#include "types.h"

/* Pin-based VM-execution controls. */
#define PIN_BASED_EXT_INTR_MASK    BIT(0)
#define PIN_BASED_NMI_EXITING      BIT(3)
#define PIN_BASED_VIRTUAL_NMIS     BIT(5)
#define PIN_BASED_PREEMPTION_TIMER BIT(6)
#define PIN_BASED_POSTED_INTR      BIT(7)

/* Primary processor-based VM-execution controls. */
#define CPU_BASED_VIRTUAL_INTR_PENDING        BIT(2)
#define CPU_BASED_USE_TSC_OFFSETING           BIT(3)
#define CPU_BASED_HLT_EXITING                 BIT(7)
#define CPU_BASED_INVLPG_EXITING              BIT(9)
#define CPU_BASED_MWAIT_EXITING               BIT(10)
#define CPU_BASED_RDPMC_EXITING               BIT(11)
#define CPU_BASED_RDTSC_EXITING               BIT(12)
#define CPU_BASED_CR3_LOAD_EXITING            BIT(15)
#define CPU_BASED_CR3_STORE_EXITING           BIT(16)
#define CPU_BASED_ACTIVATE_TERTIARY_CONTROLS  BIT(17)
#define CPU_BASED_CR8_LOAD_EXITING            BIT(19)
#define CPU_BASED_CR8_STORE_EXITING           BIT(20)
#define CPU_BASED_TPR_SHADOW                  BIT(21)
#define CPU_BASED_VIRTUAL_NMI_PENDING         BIT(22)
#define CPU_BASED_MOV_DR_EXITING              BIT(23)
#define CPU_BASED_UNCOND_IO_EXITING           BIT(24)
#define CPU_BASED_USE_IO_BITMAPS              BIT(25)
#define CPU_BASED_MONITOR_TRAP_FLAG           BIT(27)
#define CPU_BASED_USE_MSR_BITMAPS             BIT(28)
#define CPU_BASED_MONITOR_EXITING             BIT(29)
#define CPU_BASED_PAUSE_EXITING               BIT(30)
#define CPU_BASED_ACTIVATE_SECONDARY_CONTROLS BIT(31)

/* Secondary processor-based VM-execution controls. */
#define SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES BIT(0)
#define SECONDARY_EXEC_ENABLE_EPT               BIT(1)
#define SECONDARY_EXEC_DESCRIPTOR_TABLE_EXITING BIT(2)
#define SECONDARY_EXEC_ENABLE_RDTSCP            BIT(3)
#define SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE   BIT(4)
#define SECONDARY_EXEC_ENABLE_VPID              BIT(5)
#define SECONDARY_EXEC_WBINVD_EXITING           BIT(6)
#define SECONDARY_EXEC_UNRESTRICTED_GUEST       BIT(7)
#define SECONDARY_EXEC_APIC_REGISTER_VIRT       BIT(8)
#define SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY    BIT(9)
#define SECONDARY_EXEC_PAUSE_LOOP_EXITING       BIT(10)
#define SECONDARY_EXEC_RDRAND_EXITING           BIT(11)
#define SECONDARY_EXEC_ENABLE_INVPCID           BIT(12)
#define SECONDARY_EXEC_ENABLE_VMFUNC            BIT(13)
#define SECONDARY_EXEC_SHADOW_VMCS              BIT(14)
#define SECONDARY_EXEC_ENCLS_EXITING            BIT(15)
#define SECONDARY_EXEC_RDSEED_EXITING           BIT(16)
#define SECONDARY_EXEC_ENABLE_PML               BIT(17)
#define SECONDARY_EXEC_EPT_VIOLATION_VE         BIT(18)
#define SECONDARY_EXEC_PT_CONCEAL_VMX           BIT(19)
#define SECONDARY_EXEC_XSAVES                   BIT(20)
#define SECONDARY_EXEC_MODE_BASED_EPT_EXEC      BIT(22)
#define SECONDARY_EXEC_SPP                      BIT(23)
#define SECONDARY_EXEC_PT_USE_GPA               BIT(24)
#define SECONDARY_EXEC_TSC_SCALING              BIT(25)
#define SECONDARY_EXEC_USER_WAIT_PAUSE          BIT(26)
#define SECONDARY_EXEC_PCONFIG                  BIT(27)
#define SECONDARY_EXEC_ENCLV_EXITING            BIT(28)

/* VM-exit controls. */
#define VM_EXIT_SAVE_DEBUG_CONTROLS   BIT(2)
#define VM_EXIT_HOST_ADDR_SPACE_SIZE  BIT(9)
#define VM_EXIT_LOAD_PERF_GLOBAL_CTRL BIT(12)
#define VM_EXIT_ACK_INTR_ON_EXIT      BIT(15)
#define VM_EXIT_SAVE_IA32_PAT         BIT(18)
#define VM_EXIT_LOAD_IA32_PAT         BIT(19)
#define VM_EXIT_SAVE_IA32_EFER        BIT(20)
#define VM_EXIT_LOAD_IA32_EFER        BIT(21)
#define VM_EXIT_SAVE_PREEMPTION_TIMER BIT(22)
#define VM_EXIT_CLEAR_BNDCFGS         BIT(23)
#define VM_EXIT_CLEAR_UINV            BIT(27)
#define VM_EXIT_LOAD_CET_STATE        BIT(28)
#define VM_EXIT_LOAD_IA32_PKRS        BIT(29)
#define VM_EXIT_SAVE_PERF_GLOBAL_CTRL BIT(30)

/* VM-entry controls. */
#define VM_ENTRY_LOAD_DEBUG_CONTROLS   BIT(2)
#define VM_ENTRY_IA32E_MODE            BIT(9)
#define VM_ENTRY_SMM                   BIT(10)
#define VM_ENTRY_DEACT_DUAL_MONITOR    BIT(11)
#define VM_ENTRY_LOAD_PERF_GLOBAL_CTRL BIT(13)
#define VM_ENTRY_LOAD_IA32_PAT         BIT(14)
#define VM_ENTRY_LOAD_IA32_EFER        BIT(15)
#define VM_ENTRY_LOAD_BNDCFGS          BIT(16)
#define VM_ENTRY_LOAD_UINV             BIT(19)
#define VM_ENTRY_LOAD_CET_STATE        BIT(20)
#define VM_ENTRY_LOAD_IA32_PKRS        BIT(22)

/* Exit reasons, SDM vol. 3 appendix C. X(identifier, number) */
#define VMX_EXIT_REASONS(X)                                                                        \
    X(EXCEPTION_NMI, 0)                                                                            \
    X(EXTERNAL_INTERRUPT, 1)                                                                       \
    X(TRIPLE_FAULT, 2)                                                                             \
    X(INIT, 3)                                                                                     \
    X(SIPI, 4)                                                                                     \
    X(IO_SMI, 5)                                                                                   \
    X(OTHER_SMI, 6)                                                                                \
    X(PENDING_INTERRUPT, 7)                                                                        \
    X(NMI_WINDOW, 8)                                                                               \
    X(TASK_SWITCH, 9)                                                                              \
    X(CPUID, 10)                                                                                   \
    X(GETSEC, 11)                                                                                  \
    X(HLT, 12)                                                                                     \
    X(INVD, 13)                                                                                    \
    X(INVLPG, 14)                                                                                  \
    X(RDPMC, 15)                                                                                   \
    X(RDTSC, 16)                                                                                   \
    X(RSM, 17)                                                                                     \
    X(VMCALL, 18)                                                                                  \
    X(VMCLEAR, 19)                                                                                 \
    X(VMLAUNCH, 20)                                                                                \
    X(VMPTRLD, 21)                                                                                 \
    X(VMPTRST, 22)                                                                                 \
    X(VMREAD, 23)                                                                                  \
    X(VMRESUME, 24)                                                                                \
    X(VMWRITE, 25)                                                                                 \
    X(VMOFF, 26)                                                                                   \
    X(VMON, 27)                                                                                    \
    X(CR_ACCESS, 28)                                                                               \
    X(DR_ACCESS, 29)                                                                               \
    X(IO_INSTRUCTION, 30)                                                                          \
    X(MSR_READ, 31)                                                                                \
    X(MSR_WRITE, 32)                                                                               \
    X(INVALID_STATE, 33)                                                                           \
    X(MSR_LOAD_FAIL, 34)                                                                           \
    X(MWAIT_INSTRUCTION, 36)                                                                       \
    X(MONITOR_TRAP_FLAG, 37)                                                                       \
    X(MONITOR_INSTRUCTION, 39)                                                                     \
    X(PAUSE_INSTRUCTION, 40)                                                                       \
    X(MCE_DURING_ENTRY, 41)                                                                        \
    X(TPR_BELOW_THRESHOLD, 43)                                                                     \
    X(APIC_ACCESS, 44)                                                                             \
    X(EOI_INDUCED, 45)                                                                             \
    X(GDTR_IDTR, 46)                                                                               \
    X(LDTR_TR, 47)                                                                                 \
    X(EPT_VIOLATION, 48)                                                                           \
    X(EPT_MISCONFIG, 49)                                                                           \
    X(INVEPT, 50)                                                                                  \
    X(RDTSCP, 51)                                                                                  \
    X(PREEMPTION_TIMER, 52)                                                                        \
    X(INVVPID, 53)                                                                                 \
    X(WBINVD, 54)                                                                                  \
    X(XSETBV, 55)                                                                                  \
    X(APIC_WRITE, 56)                                                                              \
    X(RDRAND, 57)                                                                                  \
    X(INVPCID, 58)                                                                                 \
    X(VMFUNC, 59)                                                                                  \
    X(ENCLS, 60)                                                                                   \
    X(RDSEED, 61)                                                                                  \
    X(PML_FULL, 62)                                                                                \
    X(XSAVES, 63)                                                                                  \
    X(XRSTORS, 64)                                                                                 \
    X(PCONFIG, 65)                                                                                 \
    X(SPP, 66)                                                                                     \
    X(UMWAIT, 67)                                                                                  \
    X(TPAUSE, 68)                                                                                  \
    X(LOADIWKEY, 69)

enum exit_reason {
#define X(id, number) EXIT_REASON_##id = number,
    VMX_EXIT_REASONS(X)
#undef X
        EXIT_REASON_COUNT
};

#define VMX_EXIT_REASONS_FAILED_VMENTRY BIT(31)
#define EXIT_REASON_BASIC_MASK          0xffffu

/* Interruption information: VM-entry, VM-exit and IDT-vectoring. */
#define INTR_INFO_VECTOR_MASK       0xffu
#define INTR_INFO_INTR_TYPE_MASK    0x700u
#define INTR_INFO_DELIVER_CODE_MASK BIT(11)
#define INTR_INFO_NMI_UNBLOCKED     BIT(12) /* exit information only */
#define INTR_INFO_VALID_MASK        BIT(31)
#define INTR_TYPE_EXT_INTR          (0u << 8)
#define INTR_TYPE_NMI               (2u << 8)
#define INTR_TYPE_EXCEPTION         (3u << 8)
#define INTR_TYPE_SOFT_INTR         (4u << 8)
#define INTR_TYPE_PRIV_SW_EXCEPTION (5u << 8)
#define INTR_TYPE_SOFT_EXCEPTION    (6u << 8)
#define INTR_TYPE_OTHER             (7u << 8)

#define INTERRUPTIBILITY_STI     BIT(0)
#define INTERRUPTIBILITY_MOV_SS  BIT(1)
#define INTERRUPTIBILITY_SMI     BIT(2)
#define INTERRUPTIBILITY_NMI     BIT(3)
#define INTERRUPTIBILITY_ENCLAVE BIT(4)

/* Pending debug exceptions that not every processor has, SDM vol. 3, "Guest Non-Register State" */
#define PENDING_DBG_BUS_LOCK BIT64(11)
#define PENDING_DBG_RTM      BIT64(16)

#define ACTIVITY_ACTIVE        0u
#define ACTIVITY_HLT           1u
#define ACTIVITY_SHUTDOWN      2u
#define ACTIVITY_WAIT_FOR_SIPI 3u

/* Segment access rights. */
#define AR_TYPE_MASK             0x0fu
#define AR_TYPE_ACCESSED_MASK    BIT(0)
#define AR_TYPE_READABLE_MASK    BIT(1)
#define AR_TYPE_WRITEABLE_MASK   BIT(1)
#define AR_TYPE_EXPAND_DOWN_MASK BIT(2)
#define AR_TYPE_CONFORMING_MASK  BIT(2)
#define AR_TYPE_CODE_MASK        BIT(3)
#define AR_TYPE_BUSY_64_TSS      11u
#define AR_TYPE_BUSY_32_TSS      11u
#define AR_TYPE_BUSY_16_TSS      3u
#define AR_TYPE_LDT              2u
#define AR_S_MASK                BIT(4)
#define AR_DPL_SHIFT             5
#define AR_DPL(ar)               (((ar) >> AR_DPL_SHIFT) & 3)
#define AR_P_MASK                BIT(7)
#define AR_L_MASK                BIT(13)
#define AR_DB_MASK               BIT(14)
#define AR_G_MASK                BIT(15)
#define AR_UNUSABLE_MASK         BIT(16)
#define AR_RESERVED_MASK         0xfffe0f00u

/* VM-instruction error numbers, SDM vol. 3, "VM Instruction Error Numbers". */
enum vm_instruction_error {
    VMXERR_NONE = 0,
    VMXERR_VMCALL_IN_ROOT = 1,
    VMXERR_VMCLEAR_INVALID_ADDRESS = 2,
    VMXERR_VMCLEAR_VMXON_POINTER = 3,
    VMXERR_VMLAUNCH_NONCLEAR_VMCS = 4,
    VMXERR_VMRESUME_NONLAUNCHED_VMCS = 5,
    VMXERR_VMRESUME_AFTER_VMXOFF = 6,
    VMXERR_ENTRY_INVALID_CONTROL_FIELD = 7,
    VMXERR_ENTRY_INVALID_HOST_STATE_FIELD = 8,
    VMXERR_VMPTRLD_INVALID_ADDRESS = 9,
    VMXERR_VMPTRLD_VMXON_POINTER = 10,
    VMXERR_VMPTRLD_INCORRECT_REVISION = 11,
    VMXERR_UNSUPPORTED_VMCS_COMPONENT = 12,
    VMXERR_VMWRITE_READ_ONLY_COMPONENT = 13,
    VMXERR_VMXON_IN_ROOT = 15,
    VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS = 26,
    VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID = 28,
};

/* Exit qualification of exit reason 33. */
enum entry_failure {
    ENTRY_FAIL_DEFAULT = 0,
    ENTRY_FAIL_PDPTE = 2,
    ENTRY_FAIL_NMI = 3,
    ENTRY_FAIL_VMCS_LINK_PTR = 4,
};

/* VMX-abort indicators. */
enum vmx_abort {
    VMX_ABORT_SAVE_GUEST_MSR_FAIL = 1,
    VMX_ABORT_LOAD_HOST_PDPTE_FAIL = 2,
    VMX_ABORT_VMCS_CORRUPTED = 3,
    VMX_ABORT_LOAD_HOST_MSR_FAIL = 4,
    VMX_ABORT_MACHINE_CHECK = 5,
    VMX_ABORT_LOAD_HOST_NOT_64 = 6,
};

/* MSR-load and MSR-store area entry. */
struct vmx_msr_entry {
    u32 index;
    u32 reserved;
    u64 value;
};

/* The shadow-VMCS indicator, in the first word of a VMCS region, with the revision. */
#define VMCS_SHADOW BIT(31)

/* IA32_VMX_BASIC */
#define VMX_BASIC_REVISION          0x7fffffffull
#define VMX_BASIC_SIZE_SHIFT        32
#define VMX_BASIC_32BIT_ADDRESSES   BIT64(48)
#define VMX_BASIC_DUAL_MONITOR      BIT64(49)
#define VMX_BASIC_MEMORY_TYPE_SHIFT 50
#define VMX_BASIC_INS_OUTS          BIT64(54)
#define VMX_BASIC_TRUE_CTLS         BIT64(55)

/* IA32_VMX_MISC */
#define VMX_MISC_TIMER_RATE            0x1full
#define VMX_MISC_EFER_LMA              BIT64(5)
#define VMX_MISC_HLT                   BIT64(6)
#define VMX_MISC_SHUTDOWN              BIT64(7)
#define VMX_MISC_WAIT_FOR_SIPI         BIT64(8)
#define VMX_MISC_PT                    BIT64(14)
#define VMX_MISC_SMBASE                BIT64(15)
#define VMX_MISC_CR3_TARGETS_SHIFT     16
#define VMX_MISC_CR3_TARGETS           (0x1ffull << 16)
#define VMX_MISC_MAX_MSR_SHIFT         25
#define VMX_MISC_MAX_MSR               (7ull << 25)
#define VMX_MISC_VMXOFF_SMI            BIT64(28)
#define VMX_MISC_VMWRITE_ANY           BIT64(29)
#define VMX_MISC_ZERO_LENGTH_INJECTION BIT64(30)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_EXECUTE_ONLY       BIT64(0)
#define EPT_CAP_4_LEVEL            BIT64(6)
#define EPT_CAP_5_LEVEL            BIT64(7)
#define EPT_CAP_UC                 BIT64(8)
#define EPT_CAP_WB                 BIT64(14)
#define EPT_CAP_2M                 BIT64(16)
#define EPT_CAP_1G                 BIT64(17)
#define EPT_CAP_INVEPT             BIT64(20)
#define EPT_CAP_AD                 BIT64(21)
#define EPT_CAP_ADVANCED_EXIT_INFO BIT64(22)
#define EPT_CAP_INVEPT_SINGLE      BIT64(25)
#define EPT_CAP_INVEPT_ALL         BIT64(26)
#define VPID_CAP_INVVPID           BIT64(32)
#define VPID_CAP_ADDRESS           BIT64(40)
#define VPID_CAP_SINGLE            BIT64(41)
#define VPID_CAP_ALL               BIT64(42)
#define VPID_CAP_RETAIN_GLOBALS    BIT64(43)

/* EPT pointer and entries. SDM vol. 3, "The Extended Page Table Mechanism". */
#define EPTP_MEMORY_TYPE      7ull
#define EPTP_WALK_LENGTH      (7ull << 3)
#define EPTP_WALK_LENGTH_4    (3ull << 3)
#define EPTP_WALK_LENGTH_5    (4ull << 3)
#define EPTP_AD               BIT64(6)
#define EPT_READ              BIT64(0)
#define EPT_WRITE             BIT64(1)
#define EPT_EXEC              BIT64(2)
#define EPT_RWX               7ull
#define EPT_MEMORY_TYPE_SHIFT 3
#define EPT_MEMORY_TYPE       (7ull << 3)
#define EPT_IGNORE_PAT        BIT64(6)
#define EPT_LARGE             BIT64(7)
#define EPT_ACCESSED          BIT64(8)
#define EPT_DIRTY             BIT64(9)
#define EPT_EXEC_USER         BIT64(10) /* with mode-based execute control */
#define EPT_SUPPRESS_VE       BIT64(63)
#define EPT_ADDR              0x000ffffffffff000ull

/* IA32_VMX_VMFUNC and the VM-function controls. */
#define VMFUNC_EPTP_SWITCHING BIT64(0)

#define INVEPT_SINGLE_CONTEXT            1u
#define INVEPT_ALL_CONTEXT               2u
#define INVVPID_INDIVIDUAL_ADDRESS       0u
#define INVVPID_SINGLE_CONTEXT           1u
#define INVVPID_ALL_CONTEXT              2u
#define INVVPID_SINGLE_RETAINING_GLOBALS 3u

/* Exit qualification of an EPT violation. */
#define EPT_VIOLATION_READ          BIT64(0)
#define EPT_VIOLATION_WRITE         BIT64(1)
#define EPT_VIOLATION_FETCH         BIT64(2)
#define EPT_VIOLATION_READABLE      BIT64(3)
#define EPT_VIOLATION_WRITABLE      BIT64(4)
#define EPT_VIOLATION_EXECUTABLE    BIT64(5)
#define EPT_VIOLATION_RWX_SHIFT     3
#define EPT_VIOLATION_EXEC_USER     BIT64(6)
#define EPT_VIOLATION_LINEAR_VALID  BIT64(7)
#define EPT_VIOLATION_TRANSLATED    BIT64(8)
#define EPT_VIOLATION_USER          BIT64(9)
#define EPT_VIOLATION_ADVANCED      (7ull << 9) /* advanced VM-exit information */
#define EPT_VIOLATION_NMI_UNBLOCKED BIT64(12)
#define EPT_VIOLATION_SHADOW_STACK  BIT64(13)

/* Exit qualification of a control-register access. */
#define CONTROL_REG_ACCESS_NUM  0xfull
#define CONTROL_REG_ACCESS_TYPE 0x30ull
#define CONTROL_REG_ACCESS_REG  0xf00ull
#define LMSW_SOURCE_DATA_SHIFT  16
enum cr_access_type { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

#endif
