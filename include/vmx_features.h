/*
 * Features of VMX that Plastron can offer to L1, one line each: identifier, the name that
 * `mask=` takes, the capability word the feature lives in, its bit there.
 *
 * A feature is offered when the processor has it, it is not masked, and what it depends on is
 * offered too (vmx/capabilities.c). What has no line here is never offered.
 */
#ifndef PLASTRON_VMX_FEATURES_H
#define PLASTRON_VMX_FEATURES_H

/* X(identifier, name, capability word, bit) */
#define PLASTRON_FEATURES(X)                                                                       \
    X(EXT_INTR_EXITING, "external-interrupt-exiting", PIN, 0)                                      \
    X(NMI_EXITING, "nmi-exiting", PIN, 3)                                                          \
    X(VIRTUAL_NMIS, "virtual-nmis", PIN, 5)                                                        \
    X(PREEMPTION_TIMER, "preemption-timer", PIN, 6)                                                \
    X(POSTED_INTERRUPTS, "posted-interrupts", PIN, 7)                                              \
    X(INTERRUPT_WINDOW, "interrupt-window", PROC, 2)                                               \
    X(TSC_OFFSETTING, "tsc-offsetting", PROC, 3)                                                   \
    X(HLT_EXITING, "hlt-exiting", PROC, 7)                                                         \
    X(INVLPG_EXITING, "invlpg-exiting", PROC, 9)                                                   \
    X(MWAIT_EXITING, "mwait-exiting", PROC, 10)                                                    \
    X(RDPMC_EXITING, "rdpmc-exiting", PROC, 11)                                                    \
    X(RDTSC_EXITING, "rdtsc-exiting", PROC, 12)                                                    \
    X(CR3_LOAD_EXITING, "cr3-load-exiting", PROC, 15)                                              \
    X(CR3_STORE_EXITING, "cr3-store-exiting", PROC, 16)                                            \
    X(CR8_LOAD_EXITING, "cr8-load-exiting", PROC, 19)                                              \
    X(CR8_STORE_EXITING, "cr8-store-exiting", PROC, 20)                                            \
    X(TPR_SHADOW, "tpr-shadow", PROC, 21)                                                          \
    X(NMI_WINDOW, "nmi-window", PROC, 22)                                                          \
    X(MOV_DR_EXITING, "mov-dr-exiting", PROC, 23)                                                  \
    X(UNCOND_IO_EXITING, "io-exiting", PROC, 24)                                                   \
    X(IO_BITMAPS, "io-bitmaps", PROC, 25)                                                          \
    X(MONITOR_TRAP_FLAG, "monitor-trap-flag", PROC, 27)                                            \
    X(MSR_BITMAPS, "msr-bitmaps", PROC, 28)                                                        \
    X(MONITOR_EXITING, "monitor-exiting", PROC, 29)                                                \
    X(PAUSE_EXITING, "pause-exiting", PROC, 30)                                                    \
    X(SECONDARY_CONTROLS, "secondary-controls", PROC, 31)                                          \
    X(APIC_ACCESSES, "apic-access-page", PROC2, 0)                                                 \
    X(EPT, "ept", PROC2, 1)                                                                        \
    X(DESCRIPTOR_TABLE_EXITING, "descriptor-table-exiting", PROC2, 2)                              \
    X(RDTSCP, "rdtscp", PROC2, 3)                                                                  \
    X(X2APIC_MODE, "x2apic-virtualization", PROC2, 4)                                              \
    X(VPID, "vpid", PROC2, 5)                                                                      \
    X(WBINVD_EXITING, "wbinvd-exiting", PROC2, 6)                                                  \
    X(UNRESTRICTED_GUEST, "unrestricted-guest", PROC2, 7)                                          \
    X(APIC_REGISTERS, "apic-register-virtualization", PROC2, 8)                                    \
    X(VIRTUAL_INTERRUPTS, "virtual-interrupt-delivery", PROC2, 9)                                  \
    X(PAUSE_LOOP_EXITING, "pause-loop-exiting", PROC2, 10)                                         \
    X(RDRAND_EXITING, "rdrand-exiting", PROC2, 11)                                                 \
    X(INVPCID, "invpcid", PROC2, 12)                                                               \
    X(VMFUNC, "vmfunc", PROC2, 13)                                                                 \
    X(VMCS_SHADOWING, "vmcs-shadowing", PROC2, 14)                                                 \
    X(RDSEED_EXITING, "rdseed-exiting", PROC2, 16)                                                 \
    X(PML, "pml", PROC2, 17)                                                                       \
    X(EPT_VIOLATION_VE, "ept-violation-ve", PROC2, 18)                                             \
    X(XSAVES, "xsaves", PROC2, 20)                                                                 \
    X(MODE_BASED_EXECUTE, "mode-based-execute", PROC2, 22)                                         \
    X(TSC_SCALING, "tsc-scaling", PROC2, 25)                                                       \
    X(USER_WAIT, "user-wait-and-pause", PROC2, 26)                                                 \
    X(SAVE_DEBUG_CONTROLS, "save-debug-controls", EXIT, 2)                                         \
    X(HOST_64BIT, "host-address-space-size", EXIT, 9)                                              \
    X(EXIT_LOAD_PERF_GLOBAL, "exit-load-perf-global-ctrl", EXIT, 12)                               \
    X(ACK_INTR_ON_EXIT, "acknowledge-interrupt-on-exit", EXIT, 15)                                 \
    X(SAVE_PAT, "save-pat", EXIT, 18)                                                              \
    X(EXIT_LOAD_PAT, "exit-load-pat", EXIT, 19)                                                    \
    X(SAVE_EFER, "save-efer", EXIT, 20)                                                            \
    X(EXIT_LOAD_EFER, "exit-load-efer", EXIT, 21)                                                  \
    X(SAVE_PREEMPTION_TIMER, "save-preemption-timer", EXIT, 22)                                    \
    X(CLEAR_UINV, "clear-uinv", EXIT, 27)                                                          \
    X(EXIT_LOAD_CET, "exit-load-cet-state", EXIT, 28)                                              \
    X(EXIT_LOAD_PKRS, "exit-load-pkrs", EXIT, 29)                                                  \
    X(SAVE_PERF_GLOBAL, "save-perf-global-ctrl", EXIT, 30)                                         \
    X(ENTRY_LOAD_DEBUG_CONTROLS, "load-debug-controls", ENTRY, 2)                                  \
    X(GUEST_64BIT, "ia32e-mode-guest", ENTRY, 9)                                                   \
    X(ENTRY_LOAD_PERF_GLOBAL, "entry-load-perf-global-ctrl", ENTRY, 13)                            \
    X(ENTRY_LOAD_PAT, "entry-load-pat", ENTRY, 14)                                                 \
    X(ENTRY_LOAD_EFER, "entry-load-efer", ENTRY, 15)                                               \
    X(ENTRY_LOAD_UINV, "entry-load-uinv", ENTRY, 19)                                               \
    X(ENTRY_LOAD_CET, "entry-load-cet-state", ENTRY, 20)                                           \
    X(ENTRY_LOAD_PKRS, "entry-load-pkrs", ENTRY, 22)                                               \
    X(EPT_EXECUTE_ONLY, "ept-execute-only", EPT_VPID, 0)                                           \
    X(EPT_5_LEVEL, "ept-5-level", EPT_VPID, 7)                                                     \
    X(EPT_UC, "ept-uncacheable", EPT_VPID, 8)                                                      \
    X(EPT_2M, "ept-2m-pages", EPT_VPID, 16)                                                        \
    X(EPT_1G, "ept-1g-pages", EPT_VPID, 17)                                                        \
    X(EPT_ACCESSED_DIRTY, "ept-accessed-dirty", EPT_VPID, 21)                                      \
    X(EPT_ADVANCED_EXIT_INFO, "ept-advanced-exit-information", EPT_VPID, 22)                       \
    X(INVVPID_ADDRESS, "invvpid-individual-address", EPT_VPID, 40)                                 \
    X(INVVPID_RETAIN_GLOBALS, "invvpid-retaining-globals", EPT_VPID, 43)                           \
    X(EPTP_SWITCHING, "eptp-switching", VMFUNC, 0)

enum feature {
#define X(id, name, word, bit) FEATURE_##id,
    PLASTRON_FEATURES(X)
#undef X
        FEATURE_COUNT
};

/* Bit n: enum feature n. */
typedef unsigned __int128 feature_set;

#define FEATURE_BIT(feature) ((feature_set)1 << (feature))

_Static_assert(FEATURE_COUNT <= 128, "every feature has a bit in a feature_set");

#endif
