/*
 * The VMX capability MSRs that L1 reads: computed once from the processor's and the mask, and
 * used by every check of what L1 puts into a vmcs12. SDM vol. 3 appendix A.
 */
#ifndef PLASTRON_VMX_CAPABILITIES_H
#define PLASTRON_VMX_CAPABILITIES_H

#include "types.h"
#include "vmcs12.h"
#include "vmx_features.h"
#include "x86.h"

/* Low half of a control MSR: bits that must be 1; high half: bits that may be 1. */
struct vmx_caps {
    u64 basic;
    u64 pin, proc, exit, entry;                     /* the MSRs of 2006 */
    u64 true_pin, true_proc, true_exit, true_entry; /* the true ones */
    u64 proc2;
    u64 misc;
    u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    u64 vmcs_enum;
    u64 ept_vpid;
    u64 vmfunc;
    feature_set offered;
    u32 physical_bits;        /* MAXPHYADDR */
    u32 linear_bits;          /* 48 or 57 */
    u64 cr3_reserved;         /* bits that MOV to CR3 refuses in 64-bit mode */
    u64 perf_global_reserved; /* bits that WRMSR to IA32_PERF_GLOBAL_CTRL refuses */
    /* Of the guest's non-register state, what not every processor has. */
    u32 interruptibility;  /* INTERRUPTIBILITY_ENCLAVE */
    u64 pending_debug;     /* PENDING_DBG_BUS_LOCK, PENDING_DBG_RTM */
    u64 missing_fields[8]; /* VMCS fields that are not there: a bit for each of our table */
};

/* CR4 bits that L1 may not set: their features are hidden from it. */
#define HIDDEN_CR4 (CR4_SMXE | CR4_FRED)

static inline bool caps_offer(const struct vmx_caps *caps, enum feature feature)
{
    return caps->offered >> feature & 1;
}

/*
 * What L1 is offered on a processor whose own MSRs (and CPUID numbers) are hw, less those in
 * mask. Masking a default1 control (CR3-load exiting, save debug controls, ...) takes
 * away its 0-setting: software that knows no true MSRs relies on the 1-setting.
 */
void capabilities_compute(struct vmx_caps *out, const struct vmx_caps *hw, feature_set mask);

/* Notes in hw which fields the processor lacks although the SDM has them always, or with a feature:
   a hypervisor below may have left them out. exists: whether it has a field. */
void capabilities_find_missing_fields(struct vmx_caps *hw, bool (*exists)(u32 encoding));

/* Numbers of the VMCS fields for tables: by [width][type][index]. */
#define FIELD_INDEX_MAX 32u
#define FIELD_COUNT     (16 * FIELD_INDEX_MAX)
#define FIELD_SLOT(encoding)                                                                       \
    (VMCS_FIELD_WIDTH(encoding) << 7 | VMCS_FIELD_TYPE(encoding) << 5 | VMCS_FIELD_INDEX(encoding))

/* Where a VMCS field lies in struct vmcs12, and what it exists with. */
struct field_info {
    u16 offset;
    u8 width; /* enum vmcs_width */
    u8 needs; /* enum feature, or one of capabilities.c's own */
};

/* NULL if no processor of ours has the field. High-half encodings find their 64-bit field. */
const struct field_info *field_lookup(u32 encoding);

/* The same of those that L1 is offered. */
const struct field_info *field_of_caps(const struct vmx_caps *caps, u64 encoding);
bool field_exists(const struct vmx_caps *caps, u32 encoding);

/* What VMREAD returns, and what VMWRITE stores, at the field's own width. high: the encoding was
   that of the upper half of a 64-bit field (VMCS_FIELD_HIGH). */
u64 vmcs12_get(const struct vmcs12 *vmcs12, const struct field_info *field, bool high);
void vmcs12_set(struct vmcs12 *vmcs12, const struct field_info *field, bool high, u64 value);

#endif
