/* VM entry: checks on the guest state. SDM vol. 3, "Checks on the Guest State Area". */
#include "check.h"

#include "../mm/phys.h"

/* Segments in registers, not copied from call to call: this runs at each VM entry. */
#define INLINE static inline __attribute__((always_inline))

#define SELECTOR_RPL    3u
#define SELECTOR_TI     4u
#define TABLE_LIMIT_MAX 0xffffu
#define V86_LIMIT       0xffffu
#define V86_AR          0xf3u /* present, DPL 3, read/write data, accessed */

#define LINK_POINTER_NONE (~0ull)
/* Segment types, as a set: data, code that can be read (all accessed); stack (read/write). */
#define TYPES_DATA  (BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(11) | BIT(15))
#define TYPES_STACK (BIT(3) | BIT(7))

#define DEBUGCTL_BTF BIT64(1)

#define PENDING_DBG_BREAKPOINTS 0xfull
#define PENDING_DBG_ENABLED     BIT64(12)
#define PENDING_DBG_BS          BIT64(14)

#define PDPTE_RESERVED 0x1e6ull /* bits 2:1 and 8:5 */
#define PAE_CR3_ADDR   0xffffffe0ull

/* What several sections ask for, drawn from the vmcs12 once. */
struct guest {
    const struct vmcs12 *vmcs12;
    const struct vmx_caps *caps;
    bool ia32e;        /* IA-32e mode guest */
    bool unrestricted; /* unrestricted guest */
    bool protected;    /* CR0.PE */
};

struct segment {
    u64 base;
    u32 limit;
    u32 ar;
    u16 selector;
};

#define SEGMENT(vmcs12, name)                                                                      \
    (struct segment)                                                                               \
    {                                                                                              \
        .base = (vmcs12)->guest_##name##_base, .limit = (vmcs12)->guest_##name##_limit,            \
        .ar = (vmcs12)->guest_##name##_ar_bytes, .selector = (vmcs12)->guest_##name##_selector     \
    }

/* SDM vol. 3, "Checks on Guest Control Registers, Debug Registers, and MSRs": CR0, CR3, CR4. */
static bool control_registers_valid(const struct guest *guest)
{
    const struct vmx_caps *caps = guest->caps;
    u64 cr0 = guest->vmcs12->guest_cr0;
    u64 cr4 = guest->vmcs12->guest_cr4;
    u64 unchecked = guest->unrestricted ? CR0_PE | CR0_PG : 0;

    if (!fixed_bits_valid(cr0, caps->cr0_fixed0 & ~unchecked, caps->cr0_fixed1) ||
        !fixed_bits_valid(cr4, caps->cr4_fixed0, caps->cr4_fixed1))
        return false;
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return false;
    if ((cr4 & CR4_CET) && !(cr0 & CR0_WP))
        return false;
    if (guest->ia32e && (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE)))
        return false;
    if (!guest->ia32e && (cr4 & CR4_PCIDE))
        return false;
    return !(guest->vmcs12->guest_cr3 & caps->cr3_reserved);
}

/* The same section: DR7 and MSRs, most of them only if the VM-entry controls load them. */
static bool msrs_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    u32 controls = vmcs12->vm_entry_controls;
    u32 linear_bits = guest->caps->linear_bits;

    if ((controls & VM_ENTRY_LOAD_DEBUG_CONTROLS) && vmcs12->guest_dr7 >> 32)
        return false;
    if ((controls & VM_ENTRY_LOAD_PERF_GLOBAL_CTRL) &&
        (vmcs12->guest_ia32_perf_global_ctrl & guest->caps->perf_global_reserved))
        return false;
    if ((controls & VM_ENTRY_LOAD_IA32_PAT) && !pat_valid(vmcs12->guest_ia32_pat))
        return false;
    if ((controls & VM_ENTRY_LOAD_UINV) && vmcs12->guest_uinv >> 8)
        return false;
    if ((controls & VM_ENTRY_LOAD_IA32_PKRS) && vmcs12->guest_ia32_pkrs >> 32)
        return false;
    return !(not_canonical(vmcs12->guest_sysenter_esp, linear_bits) |
             not_canonical(vmcs12->guest_sysenter_eip, linear_bits));
}

/* The same section, and that on SSP: CET state, if loaded. */
static bool cet_state_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;

    return !(vmcs12->vm_entry_controls & VM_ENTRY_LOAD_CET_STATE) ||
           cet_valid(vmcs12->guest_ia32_s_cet, vmcs12->guest_ssp, vmcs12->guest_intr_ssp_table,
                     guest->caps->linear_bits);
}

/* The same section: IA32_EFER, if loaded. */
static bool efer_valid(const struct guest *guest)
{
    u64 efer = guest->vmcs12->guest_ia32_efer;
    bool lma = efer & EFER_LMA;
    bool lme = efer & EFER_LME;

    if (!(guest->vmcs12->vm_entry_controls & VM_ENTRY_LOAD_IA32_EFER))
        return true;
    if ((efer & ~EFER_VALID) || lma != guest->ia32e)
        return false;
    return lma == lme || !(guest->vmcs12->guest_cr0 & CR0_PG);
}

/* A segment in virtual-8086 mode: all follows from its selector. */
INLINE bool v86_segment_valid(struct segment segment)
{
    return segment.base == (u64)segment.selector << 4 && segment.limit == V86_LIMIT &&
           segment.ar == V86_AR;
}

/* Access rights and limit that every usable segment has, of the descriptor type S asks for. */
INLINE bool descriptor_valid(struct segment segment, u32 s)
{
    if ((segment.ar & (AR_RESERVED_MASK | AR_S_MASK | AR_P_MASK)) != (s | AR_P_MASK))
        return false;
    return segment.ar & AR_G_MASK ? !(~segment.limit & 0xfff) : !(segment.limit >> 20);
}

INLINE bool usable(struct segment segment) { return !(segment.ar & AR_UNUSABLE_MASK); }

INLINE bool has_type(struct segment segment, u32 types)
{
    return types >> (segment.ar & AR_TYPE_MASK) & 1;
}

/* Code segment. Its unusable bit means nothing. */
static bool cs_valid(const struct guest *guest, struct segment cs, struct segment ss)
{
    if (!descriptor_valid(cs, AR_S_MASK) || cs.base >> 32)
        return false;
    if (guest->ia32e && (cs.ar & AR_L_MASK) && (cs.ar & AR_DB_MASK))
        return false;
    switch (cs.ar & AR_TYPE_MASK) {
    case 3: return guest->unrestricted && AR_DPL(cs.ar) == 0; /* data, as in real mode */
    case 9:
    case 11: return AR_DPL(cs.ar) == AR_DPL(ss.ar);
    case 13:
    case 15: return AR_DPL(cs.ar) <= AR_DPL(ss.ar); /* conforming */
    default: return false;
    }
}

/* Stack segment. Its DPL is the CPL, usable or not. */
static bool ss_valid(const struct guest *guest, struct segment ss, struct segment cs)
{
    u32 rpl = ss.selector & SELECTOR_RPL;

    if (!guest->unrestricted && (rpl != AR_DPL(ss.ar) || rpl != (cs.selector & SELECTOR_RPL)))
        return false;
    if (AR_DPL(ss.ar) != 0 && ((cs.ar & AR_TYPE_MASK) == 3 || !guest->protected))
        return false;
    if (!usable(ss))
        return true;
    return has_type(ss, TYPES_STACK) && descriptor_valid(ss, AR_S_MASK) && !(ss.base >> 32);
}

/* DS, ES, FS, GS but for their base. */
INLINE bool data_segment_valid(const struct guest *guest, struct segment segment)
{
    if (!usable(segment))
        return true;
    if (!descriptor_valid(segment, AR_S_MASK) || !has_type(segment, TYPES_DATA))
        return false;
    return guest->unrestricted || (segment.ar & AR_TYPE_MASK) > 11 ||
           AR_DPL(segment.ar) >= (segment.selector & SELECTOR_RPL);
}

/* DS and ES: a usable one has a 32-bit base. */
INLINE bool flat_segment_valid(const struct guest *guest, struct segment segment)
{
    return data_segment_valid(guest, segment) && !(usable(segment) && segment.base >> 32);
}

/* FS and GS: the base counts in 64-bit mode even if the segment is unusable. */
INLINE bool based_segment_valid(const struct guest *guest, struct segment segment)
{
    return data_segment_valid(guest, segment) &&
           !not_canonical(segment.base, guest->caps->linear_bits);
}

static bool tr_valid(const struct guest *guest, struct segment tr)
{
    u32 type = tr.ar & AR_TYPE_MASK;

    if (type != AR_TYPE_BUSY_32_TSS && (type != AR_TYPE_BUSY_16_TSS || guest->ia32e))
        return false;
    return usable(tr) && descriptor_valid(tr, 0) && !(tr.selector & SELECTOR_TI) &&
           !not_canonical(tr.base, guest->caps->linear_bits);
}

static bool ldtr_valid(const struct guest *guest, struct segment ldtr)
{
    if (!usable(ldtr))
        return true;
    return (ldtr.ar & AR_TYPE_MASK) == AR_TYPE_LDT && descriptor_valid(ldtr, 0) &&
           !(ldtr.selector & SELECTOR_TI) && !not_canonical(ldtr.base, guest->caps->linear_bits);
}

/* SDM vol. 3, "Checks on Guest Segment Registers". */
static bool segments_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    struct segment cs = SEGMENT(vmcs12, cs);
    struct segment ss = SEGMENT(vmcs12, ss);

    if (!tr_valid(guest, SEGMENT(vmcs12, tr)) || !ldtr_valid(guest, SEGMENT(vmcs12, ldtr)))
        return false;
    if (vmcs12->guest_rflags & RFLAGS_VM)
        return v86_segment_valid(cs) && v86_segment_valid(ss) &&
               v86_segment_valid(SEGMENT(vmcs12, ds)) && v86_segment_valid(SEGMENT(vmcs12, es)) &&
               v86_segment_valid(SEGMENT(vmcs12, fs)) && v86_segment_valid(SEGMENT(vmcs12, gs));
    return cs_valid(guest, cs, ss) && ss_valid(guest, ss, cs) &&
           flat_segment_valid(guest, SEGMENT(vmcs12, ds)) &&
           flat_segment_valid(guest, SEGMENT(vmcs12, es)) &&
           based_segment_valid(guest, SEGMENT(vmcs12, fs)) &&
           based_segment_valid(guest, SEGMENT(vmcs12, gs));
}

/* SDM vol. 3, "Checks on Guest Descriptor-Table Registers". */
static bool tables_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;

    return !(not_canonical(vmcs12->guest_gdtr_base, guest->caps->linear_bits) |
             not_canonical(vmcs12->guest_idtr_base, guest->caps->linear_bits)) &&
           (vmcs12->guest_gdtr_limit | vmcs12->guest_idtr_limit) <= TABLE_LIMIT_MAX;
}

/* The interruption information if its type is the one given, 0 (not valid) otherwise. */
static bool injects(const struct vmcs12 *vmcs12, u32 type)
{
    return (vmcs12->vm_entry_intr_info_field & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
           (INTR_INFO_VALID_MASK | type);
}

/* SDM vol. 3, "Checks on Guest RIP, RFLAGS, and SSP": in 64-bit mode the bits of RIP above the
   linear-address width are equal to each other, not necessarily to the highest one below. */
static bool rip_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    u64 high = vmcs12->guest_rip >> guest->caps->linear_bits;

    if (!guest->ia32e || !(vmcs12->guest_cs_ar_bytes & AR_L_MASK))
        return !(vmcs12->guest_rip >> 32);
    return high == 0 || high == ~0ull >> guest->caps->linear_bits;
}

/* The same section: RFLAGS. */
static bool rflags_valid(const struct guest *guest)
{
    u64 rflags = guest->vmcs12->guest_rflags;

    if ((rflags & RFLAGS_RESERVED_MASK) || !(rflags & RFLAGS_FIXED))
        return false;
    if ((rflags & RFLAGS_VM) && (guest->ia32e || !guest->protected))
        return false;
    return (rflags & RFLAGS_IF) || !injects(guest->vmcs12, INTR_TYPE_EXT_INTR);
}

/* SDM vol. 3, "Checks on Guest Non-Register State": the VMCS link pointer. */
static bool link_pointer_valid(const struct guest *guest, u64 current_vmcs)
{
    bool shadowing = vmcs12_secondary(guest->vmcs12) & SECONDARY_EXEC_SHADOW_VMCS;
    u64 link = guest->vmcs12->vmcs_link_pointer;

    if (link == LINK_POINTER_NONE)
        return true;
    if (!page_address_valid(guest->caps, link) || link == current_vmcs)
        return false;
    return phys_read32(link) == (VMCS12_REVISION | (shadowing ? VMCS12_SHADOW : 0));
}

/* Whether an event of that interruption information can be injected into an inactive guest. */
static bool activity_accepts_event(u32 activity, u32 info)
{
    u32 event = info & (INTR_INFO_INTR_TYPE_MASK | INTR_INFO_VECTOR_MASK);
    u32 type = info & INTR_INFO_INTR_TYPE_MASK;
    bool machine_check = event == (INTR_TYPE_EXCEPTION | VECTOR_MC);

    switch (activity) {
    case ACTIVITY_HLT:
        return type == INTR_TYPE_EXT_INTR || type == INTR_TYPE_NMI || machine_check ||
               event == (INTR_TYPE_EXCEPTION | VECTOR_DB) || event == INTR_TYPE_OTHER;
    case ACTIVITY_SHUTDOWN: return type == INTR_TYPE_NMI || machine_check;
    default: return false;
    }
}

/* The same section: activity state. */
static bool activity_valid(const struct guest *guest)
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    u32 activity = vmcs12->guest_activity_state;

    if (activity == ACTIVITY_ACTIVE)
        return true;
    if (activity > ACTIVITY_WAIT_FOR_SIPI || !(guest->caps->misc & VMX_MISC_HLT << (activity - 1)))
        return false;
    if (activity == ACTIVITY_HLT && AR_DPL(vmcs12->guest_ss_ar_bytes) != 0)
        return false;
    if (vmcs12->guest_interruptibility_info & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
        return false;
    return !(vmcs12->vm_entry_intr_info_field & INTR_INFO_VALID_MASK) ||
           activity_accepts_event(activity, vmcs12->vm_entry_intr_info_field);
}

/* The same section: interruptibility state. L1 is never in SMM here. */
static bool interruptibility_valid(const struct guest *guest)
{
    const u32 known = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI |
                      guest->caps->interruptibility;
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    u32 state = vmcs12->guest_interruptibility_info;
    bool sti = state & INTERRUPTIBILITY_STI;
    bool mov_ss = state & INTERRUPTIBILITY_MOV_SS;
    bool virtual_nmis = vmcs12->pin_based_vm_exec_control & PIN_BASED_VIRTUAL_NMIS;

    if ((state & ~known) || (sti && mov_ss) || (sti && !(vmcs12->guest_rflags & RFLAGS_IF)))
        return false;
    if ((state & INTERRUPTIBILITY_ENCLAVE) && mov_ss)
        return false;
    if (injects(vmcs12, INTR_TYPE_EXT_INTR) && (sti || mov_ss))
        return false;
    return !injects(vmcs12, INTR_TYPE_NMI) ||
           (!mov_ss && !(virtual_nmis && (state & INTERRUPTIBILITY_NMI)));
}

/* The same section: pending debug exceptions. A single step that waits must show as pending. */
static bool pending_debug_valid(const struct guest *guest)
{
    const u64 known =
        PENDING_DBG_BREAKPOINTS | PENDING_DBG_ENABLED | PENDING_DBG_BS | guest->caps->pending_debug;
    const u32 shadow = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;
    const struct vmcs12 *vmcs12 = guest->vmcs12;
    u64 pending = vmcs12->guest_pending_dbg_exceptions;
    bool stepping =
        (vmcs12->guest_rflags & RFLAGS_TF) && !(vmcs12->guest_ia32_debugctl & DEBUGCTL_BTF);

    if (pending & ~known)
        return false;
    if (((vmcs12->guest_interruptibility_info & shadow) ||
         vmcs12->guest_activity_state == ACTIVITY_HLT) &&
        (bool)(pending & PENDING_DBG_BS) != stepping)
        return false;
    if (!(pending & PENDING_DBG_RTM))
        return true;
    return pending == (PENDING_DBG_RTM | PENDING_DBG_ENABLED) &&
           !(vmcs12->guest_interruptibility_info & INTERRUPTIBILITY_MOV_SS);
}

static bool pdptes_valid(const u64 pdpte[4], const struct vmx_caps *caps)
{
    u64 reserved = PDPTE_RESERVED | ~0ull << caps->physical_bits;

    for (u32 i = 0; i < 4; i++) {
        if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
            return false;
    }
    return true;
}

bool load_pdptes(u64 cr3, const struct vmx_caps *caps, u64 pdpte[4])
{
    for (u32 i = 0; i < 4; i++)
        pdpte[i] = phys_read64((cr3 & PAE_CR3_ADDR) + i * sizeof(u64));
    return pdptes_valid(pdpte, caps);
}

/* SDM vol. 3, "Checks on Guest Page-Directory-Pointer-Table Entries". */
static bool guest_pdptes_valid(const struct guest *guest, u64 pdpte[4])
{
    const struct vmcs12 *vmcs12 = guest->vmcs12;

    if (!guest_uses_pae(vmcs12))
        return true;
    if (!(vmcs12_secondary(vmcs12) & SECONDARY_EXEC_ENABLE_EPT))
        return load_pdptes(vmcs12->guest_cr3, guest->caps, pdpte);
    pdpte[0] = vmcs12->guest_pdptr0;
    pdpte[1] = vmcs12->guest_pdptr1;
    pdpte[2] = vmcs12->guest_pdptr2;
    pdpte[3] = vmcs12->guest_pdptr3;
    return pdptes_valid(pdpte, guest->caps);
}

/* SDM vol. 3, "Checks on Guest Non-Register State", but for the link pointer. */
static bool non_register_state_valid(const struct guest *guest)
{
    return activity_valid(guest) && interruptibility_valid(guest) && pending_debug_valid(guest);
}

static struct guest guest_of(const struct vmcs12 *vmcs12, const struct vmx_caps *caps)
{
    return (struct guest){
        .vmcs12 = vmcs12,
        .caps = caps,
        .ia32e = vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE,
        .unrestricted = vmcs12_secondary(vmcs12) & SECONDARY_EXEC_UNRESTRICTED_GUEST,
        .protected = vmcs12->guest_cr0 & CR0_PE,
    };
}

bool check_guest_state(const struct vmcs12 *vmcs12, const struct vmx_caps *caps, u64 current_vmcs,
                       u64 pdpte[4], u64 *qualification)
{
    const struct guest guest = guest_of(vmcs12, caps);

    *qualification = ENTRY_FAIL_DEFAULT;
    if (!control_registers_valid(&guest) || !msrs_valid(&guest) || !efer_valid(&guest) ||
        !cet_state_valid(&guest) || !segments_valid(&guest) || !tables_valid(&guest) ||
        !rip_valid(&guest) || !rflags_valid(&guest))
        return false;
    *qualification = ENTRY_FAIL_VMCS_LINK_PTR;
    if (!link_pointer_valid(&guest, current_vmcs))
        return false;
    *qualification = ENTRY_FAIL_DEFAULT;
    if (!non_register_state_valid(&guest))
        return false;
    *qualification = ENTRY_FAIL_PDPTE;
    return guest_pdptes_valid(&guest, pdpte);
}
