/* Architectural constants outside VMX: control registers, MSRs, CPUID, vectors. SDM vol. 3/4. */
#ifndef PLASTRON_X86_H
#define PLASTRON_X86_H

#include "types.h"

#define CR0_PE BIT64(0)
#define CR0_MP BIT64(1)
#define CR0_EM BIT64(2)
#define CR0_TS BIT64(3)
#define CR0_ET BIT64(4)
#define CR0_NE BIT64(5)
#define CR0_WP BIT64(16)
#define CR0_AM BIT64(18)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)

#define CR3_LAM_U57 BIT64(61)
#define CR3_LAM_U48 BIT64(62)

#define CR4_TSD      BIT64(2)
#define CR4_PSE      BIT64(4)
#define CR4_PAE      BIT64(5)
#define CR4_MCE      BIT64(6)
#define CR4_PGE      BIT64(7)
#define CR4_OSFXSR   BIT64(9)
#define CR4_UMIP     BIT64(11)
#define CR4_LA57     BIT64(12)
#define CR4_VMXE     BIT64(13)
#define CR4_SMXE     BIT64(14)
#define CR4_FSGSBASE BIT64(16)
#define CR4_PCIDE    BIT64(17)
#define CR4_OSXSAVE  BIT64(18)
#define CR4_SMEP     BIT64(20)
#define CR4_SMAP     BIT64(21)
#define CR4_PKE      BIT64(22)
#define CR4_CET      BIT64(23)
#define CR4_PKS      BIT64(24)
#define CR4_LASS     BIT64(27)
#define CR4_LAM_SUP  BIT64(28)
#define CR4_FRED     BIT64(32)

#define EFER_SCE BIT64(0)
#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)

#define RFLAGS_FIXED         BIT64(1)
#define RFLAGS_CF            BIT64(0)
#define RFLAGS_PF            BIT64(2)
#define RFLAGS_AF            BIT64(4)
#define RFLAGS_ZF            BIT64(6)
#define RFLAGS_SF            BIT64(7)
#define RFLAGS_TF            BIT64(8)
#define RFLAGS_IF            BIT64(9)
#define RFLAGS_DF            BIT64(10)
#define RFLAGS_OF            BIT64(11)
#define RFLAGS_RF            BIT64(16)
#define RFLAGS_VM            BIT64(17)
#define RFLAGS_AC            BIT64(18)
#define RFLAGS_RESERVED_MASK 0xffffffffffc08028ull

#define VECTOR_DE  0
#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_BP  3
#define VECTOR_OF  4
#define VECTOR_UD  6
#define VECTOR_DF  8
#define VECTOR_TS  10
#define VECTOR_NP  11
#define VECTOR_SS  12
#define VECTOR_GP  13
#define VECTOR_PF  14
#define VECTOR_AC  17
#define VECTOR_MC  18
#define VECTOR_VE  20
#define VECTOR_CP  21

#define PF_PRESENT        BIT(0)
#define PF_WRITE          BIT(1)
#define PF_USER           BIT(2)
#define PF_RESERVED       BIT(3)
#define PF_FETCH          BIT(4)
#define PF_PROTECTION_KEY BIT(5)

/* Paging-structure entries (4-level and PAE). */
#define PTE_P    BIT64(0)
#define PTE_W    BIT64(1)
#define PTE_U    BIT64(2)
#define PTE_PWT  BIT64(3)
#define PTE_PCD  BIT64(4)
#define PTE_A    BIT64(5)
#define PTE_D    BIT64(6)
#define PTE_PS   BIT64(7)
#define PTE_G    BIT64(8)
#define PTE_NX   BIT64(63)
#define PTE_ADDR 0x000ffffffffff000ull

#define MSR_KVM_WALL_CLOCK                0x11 /* of a hypervisor below */
#define MSR_KVM_SYSTEM_TIME               0x12
#define MSR_IA32_TSC                      0x10
#define MSR_IA32_APIC_BASE                0x1b
#define APIC_BASE_BSP                     BIT64(8)
#define APIC_BASE_X2APIC                  BIT64(10)
#define APIC_BASE_ENABLE                  BIT64(11)
#define MSR_IA32_FEATURE_CONTROL          0x3a
#define FEATURE_CONTROL_LOCKED            BIT64(0)
#define FEATURE_CONTROL_VMXON_IN_SMX      BIT64(1)
#define FEATURE_CONTROL_VMXON_ENABLED     BIT64(2)
#define MSR_MEMORY_CTRL                   0x33
#define MEMORY_CTRL_UC_LOCK_DISABLE       BIT64(28)
#define MSR_IA32_BIOS_UPDT_TRIG           0x79
#define MSR_IA32_BIOS_SIGN_ID             0x8b
#define MSR_IA32_SMM_MONITOR_CTL          0x9b
#define MSR_IA32_CORE_CAPABILITIES        0xcf
#define CORE_CAPABILITIES_UC_LOCK_DISABLE BIT64(4)
#define MSR_IA32_MTRRCAP                  0xfe
#define MTRRCAP_COUNT                     0xffull
#define MTRRCAP_FIXED                     BIT64(8)
#define MTRRCAP_WC                        BIT64(10)
#define MSR_IA32_SYSENTER_CS              0x174
#define MSR_IA32_SYSENTER_ESP             0x175
#define MSR_IA32_SYSENTER_EIP             0x176
#define MSR_IA32_MCG_CAP                  0x179
#define MSR_IA32_MISC_ENABLE              0x1a0
#define MISC_ENABLE_PEBS_UNAVAILABLE      BIT64(12)
#define MISC_ENABLE_XD_DISABLE            BIT64(34)
#define MSR_IA32_DEBUGCTL                 0x1d9
#define MSR_IA32_SMRR_PHYSBASE            0x1f2
#define MSR_IA32_SMRR_PHYSMASK            0x1f3
#define MSR_IA32_MTRR_PHYSBASE0           0x200
#define MSR_IA32_MTRR_PHYSMASK0           0x201
#define MTRR_PHYSMASK_VALID               BIT64(11)
#define MSR_IA32_MTRR_FIX64K_00000        0x250
#define MSR_IA32_MTRR_FIX16K_80000        0x258
#define MSR_IA32_MTRR_FIX16K_A0000        0x259
#define MSR_IA32_MTRR_FIX4K_C0000         0x268
#define MSR_IA32_MTRR_FIX4K_F8000         0x26f
#define MSR_IA32_PAT                      0x277
#define MSR_IA32_MTRR_DEF_TYPE            0x2ff
#define MTRR_DEF_TYPE_TYPE                0xffull
#define MTRR_DEF_TYPE_FIXED               BIT64(10)
#define MTRR_DEF_TYPE_ENABLE              BIT64(11)
#define MSR_IA32_PERF_GLOBAL_CTRL         0x38f
#define MSR_IA32_PEBS_ENABLE              0x3f1
#define MSR_IA32_PEBS_BASE                0x3f4
#define MSR_IA32_PEBS_INDEX               0x3f5
#define MSR_IA32_VMX_BASIC                0x480
#define MSR_IA32_VMX_PINBASED_CTLS        0x481
#define MSR_IA32_VMX_PROCBASED_CTLS       0x482
#define MSR_IA32_VMX_EXIT_CTLS            0x483
#define MSR_IA32_VMX_ENTRY_CTLS           0x484
#define MSR_IA32_VMX_MISC                 0x485
#define MSR_IA32_VMX_CR0_FIXED0           0x486
#define MSR_IA32_VMX_CR0_FIXED1           0x487
#define MSR_IA32_VMX_CR4_FIXED0           0x488
#define MSR_IA32_VMX_CR4_FIXED1           0x489
#define MSR_IA32_VMX_VMCS_ENUM            0x48a
#define MSR_IA32_VMX_PROCBASED_CTLS2      0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP         0x48c
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS   0x48d
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS  0x48e
#define MSR_IA32_VMX_TRUE_EXIT_CTLS       0x48f
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS      0x490
#define MSR_IA32_VMX_VMFUNC               0x491
#define MSR_IA32_VMX_PROCBASED_CTLS3      0x492
#define MSR_IA32_VMX_EXIT_CTLS2           0x493
#define MSR_IA32_RTIT_OUTPUT_BASE         0x560
#define MSR_IA32_RTIT_ADDR3_B             0x587
#define MSR_IA32_S_CET                    0x6a2
#define CET_RESERVED                      0x3c0ull
#define CET_SUPPRESS                      BIT64(10)
#define CET_TRACKER                       BIT64(11)
#define MSR_IA32_INTERRUPT_SSP_TABLE      0x6a8
#define MSR_IA32_PKRS                     0x6e1
#define MSR_X2APIC_FIRST                  0x800
#define MSR_X2APIC_LAST                   0x8ff
#define MSR_IA32_TME_CAPABILITY           0x981
#define MSR_IA32_TME_ACTIVATE             0x982
#define MSR_IA32_UINTR_MISC               0x988
#define UINTR_MISC_UINV_SHIFT             32
#define UINTR_MISC_UINV                   (0xffull << 32)
#define MSR_IA32_BNDCFGS                  0xd90
#define MSR_IA32_XSS                      0xda0
#define MSR_IA32_HW_FEEDBACK_PTR          0x17d0
#define MSR_IA32_HW_FEEDBACK_CONFIG       0x17d1
#define MSR_IA32_LBR_CTL                  0x14ce
#define MSR_IA32_LBR_DEPTH                0x14cf
#define MSR_IA32_EFER                     0xc0000080
#define MSR_IA32_STAR                     0xc0000081
#define MSR_IA32_LSTAR                    0xc0000082
#define MSR_IA32_FMASK                    0xc0000084
#define MSR_IA32_FS_BASE                  0xc0000100
#define MSR_IA32_GS_BASE                  0xc0000101
#define MSR_IA32_KERNEL_GS_BASE           0xc0000102

/* Memory types, as in MTRRs, PAT and EPT. SDM vol. 3, "Memory Cache Control". */
enum memory_type { MT_UC = 0, MT_WC = 1, MT_WT = 4, MT_WP = 5, MT_WB = 6, MT_UC_MINUS = 7 };

static inline bool memory_type_valid(u64 type)
{
    return type == MT_UC || type == MT_WC || type == MT_WT || type == MT_WP || type == MT_WB;
}

#endif
