#include "model_entry.h"

/* Each says when a rule is broken. */
#define RULE(broken)                                                                               \
    if (broken)                                                                                    \
    return false

static bool bit(u64 value, u32 n) { return value >> n & 1; }

static bool canonical(u64 address, u32 width)
{
    for (u32 i = width; i < 64; i++)
        if (bit(address, i) != bit(address, width - 1))
            return false;
    return true;
}

static bool allowed(u32 word, u64 capability)
{
    for (u32 i = 0; i < 32; i++) {
        RULE(bit(capability, i) && !bit(word, i));
        RULE(!bit(capability, 32 + i) && bit(word, i));
    }
    return true;
}

/* Addresses are limited to 32 bits by IA32_VMX_BASIC[48]. */
static u32 width(const struct vmx_caps *caps)
{
    return bit(caps->basic, 48) ? 32 : caps->physical_bits;
}

static bool in_width(u64 address, const struct vmx_caps *caps)
{
    for (u32 i = width(caps); i < 64; i++)
        RULE(bit(address, i));
    return true;
}

static bool page(u64 address, const struct vmx_caps *caps)
{
    return address % 4096 == 0 && in_width(address, caps);
}

static u32 proc2_of(const struct vmcs12 *v)
{
    return bit(v->cpu_based_vm_exec_control, 31) ? v->secondary_vm_exec_control : 0;
}

static bool msr_area(u32 count, u64 address, const struct vmx_caps *caps)
{
    if (count == 0)
        return true;
    RULE(address % 16);
    RULE(!in_width(address, caps));
    RULE(!in_width(address + 16ull * count - 1, caps));
    return true;
}

static bool eptp(u64 value, const struct vmx_caps *caps)
{
    u64 type = value & 7, levels = (value >> 3 & 7) + 1;

    RULE(type != 0 && type != 6);
    RULE(type == 0 && !bit(caps->ept_vpid, 8));
    RULE(type == 6 && !bit(caps->ept_vpid, 14));
    RULE(levels != 4 && levels != 5);
    RULE(levels == 4 && !bit(caps->ept_vpid, 6));
    RULE(levels == 5 && !bit(caps->ept_vpid, 7));
    RULE(bit(value, 6) && !bit(caps->ept_vpid, 21));
    RULE(bit(value, 7) && !bit(caps->ept_vpid, 23));
    RULE(value >> 8 & 15);
    return in_width(value, caps);
}

/* "VM-Execution Control Fields". */
static bool execution(const struct vmcs12 *v, const struct vmx_caps *caps,
                      const struct model_memory *memory)
{
    u32 pin = v->pin_based_vm_exec_control, proc = v->cpu_based_vm_exec_control;
    u32 proc2 = proc2_of(v);

    RULE(!allowed(pin, caps->true_pin));
    RULE(!allowed(proc, caps->true_proc));
    RULE(bit(proc, 31) && !allowed(proc2, caps->proc2));
    RULE(v->cr3_target_count > (caps->misc >> 16 & 0x1ff));
    RULE(bit(proc, 25) && !page(v->io_bitmap_a, caps));
    RULE(bit(proc, 25) && !page(v->io_bitmap_b, caps));
    RULE(bit(proc, 28) && !page(v->msr_bitmap, caps));
    RULE(bit(proc, 21) && !page(v->virtual_apic_page_addr, caps));
    RULE(bit(proc, 21) && !bit(proc2, 9) && v->tpr_threshold >> 4);
    RULE(bit(proc, 21) && !bit(proc2, 9) && !bit(proc2, 0) &&
         (v->tpr_threshold & 15) > (memory->vtpr >> 4 & 15));
    RULE(bit(pin, 5) && !bit(pin, 3));
    RULE(bit(proc, 22) && !bit(pin, 5));
    RULE(bit(proc2, 0) && !page(v->apic_access_addr, caps));
    RULE(!bit(proc, 21) && (bit(proc2, 4) || bit(proc2, 8) || bit(proc2, 9)));
    RULE(bit(proc2, 4) && bit(proc2, 0));
    RULE(bit(proc2, 9) && !bit(pin, 0));
    RULE(bit(pin, 7) && !bit(proc2, 9));
    RULE(bit(pin, 7) && !bit(v->vm_exit_controls, 15));
    RULE(bit(pin, 7) && v->posted_intr_nv > 255);
    RULE(bit(pin, 7) &&
         (v->posted_intr_desc_addr % 64 || !in_width(v->posted_intr_desc_addr, caps)));
    RULE(bit(proc2, 5) && v->virtual_processor_id == 0);
    RULE(bit(proc2, 1) && !eptp(v->ept_pointer, caps));
    RULE(bit(proc2, 7) && !bit(proc2, 1));
    RULE(bit(proc2, 17) && (!bit(proc2, 1) || !page(v->pml_address, caps)));
    RULE(bit(proc2, 14) && (!page(v->vmread_bitmap, caps) || !page(v->vmwrite_bitmap, caps)));
    RULE(bit(proc2, 22) && !bit(proc2, 1));
    RULE(bit(proc2, 18) && !page(v->ve_information_address, caps));
    if (bit(proc2, 13)) {
        for (u32 i = 0; i < 64; i++)
            RULE(bit(v->vm_function_control, i) && !bit(caps->vmfunc, i));
        RULE(bit(v->vm_function_control, 0) &&
             (!bit(proc2, 1) || !page(v->eptp_list_address, caps)));
    }
    RULE(bit(proc2, 25) && v->tsc_multiplier == 0);
    return true;
}

/* "VM-Exit Control Fields". */
static bool exit(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    RULE(!allowed(v->vm_exit_controls, caps->true_exit));
    RULE(!bit(v->pin_based_vm_exec_control, 6) && bit(v->vm_exit_controls, 22));
    RULE(!msr_area(v->vm_exit_msr_store_count, v->vm_exit_msr_store_addr, caps));
    RULE(!msr_area(v->vm_exit_msr_load_count, v->vm_exit_msr_load_addr, caps));
    return true;
}

static bool has_error_code(u32 vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* "VM-Entry Control Fields". */
static bool entry(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    u32 info = v->vm_entry_intr_info_field, type = info >> 8 & 7, vector = info & 0xff;
    bool code = bit(info, 11), protected = bit(v->guest_cr0, 0) || !bit(proc2_of(v), 7);

    RULE(!allowed(v->vm_entry_controls, caps->true_entry));
    RULE(bit(v->vm_entry_controls, 10) || bit(v->vm_entry_controls, 11));
    RULE(!msr_area(v->vm_entry_msr_load_count, v->vm_entry_msr_load_addr, caps));
    if (!bit(info, 31))
        return true;
    RULE(type == 1);
    RULE(type == 7 && !bit(caps->true_proc, 32 + 27));
    RULE(type == 2 && vector != 2);
    RULE(type == 3 && vector > 31);
    RULE(type == 7 && vector != 0);
    RULE(code && !(type == 3 && protected));
    RULE(!bit(caps->basic, 56) && type == 3 && protected && has_error_code(vector) != code);
    RULE(info >> 12 & 0x7ffff);
    RULE(code && v->vm_entry_exception_error_code >> 16);
    if (type >= 4 && type <= 6) {
        RULE(v->vm_entry_instruction_len > 15);
        RULE(v->vm_entry_instruction_len == 0 && !bit(caps->misc, 30));
    }
    return true;
}

bool model_controls_valid(const struct vmcs12 *v, const struct vmx_caps *caps,
                          const struct model_memory *memory)
{
    return execution(v, caps, memory) && exit(v, caps) && entry(v, caps);
}

static bool pat(u64 value)
{
    for (u32 i = 0; i < 64; i += 8) {
        u64 type = value >> i & 0xff;

        RULE(type != 0 && type != 1 && type != 4 && type != 5 && type != 6 && type != 7);
    }
    return true;
}

/* No reserved bit is set; 0, 8, 10, 11 are not reserved. */
static bool efer_bits(u64 value) { return !(value & ~0xd01ull); }

static bool fixed(u64 value, u64 fixed0, u64 fixed1)
{
    for (u32 i = 0; i < 64; i++) {
        RULE(bit(fixed0, i) && !bit(value, i));
        RULE(!bit(fixed1, i) && bit(value, i));
    }
    return true;
}

static bool cet(u64 control, u64 ssp)
{
    for (u32 i = 6; i < 10; i++)
        RULE(bit(control, i));
    RULE(bit(control, 10) && bit(control, 11));
    return ssp % 4 == 0;
}

bool model_host_valid(const struct vmcs12 *v, const struct vmx_caps *caps, bool l1_long_mode)
{
    const u16 selectors[] = {v->host_es_selector, v->host_cs_selector, v->host_ss_selector,
                             v->host_ds_selector, v->host_fs_selector, v->host_gs_selector,
                             v->host_tr_selector};
    const u64 linear[] = {
        v->host_ia32_sysenter_esp, v->host_ia32_sysenter_eip, v->host_fs_base, v->host_gs_base,
        v->host_gdtr_base,         v->host_idtr_base,         v->host_tr_base};
    bool wide = bit(v->vm_exit_controls, 9);
    u32 bits = bit(v->host_cr4, 12) ? caps->linear_bits : 48;

    /* "Checks on Host Control Registers, MSRs, and SSP". */
    RULE(!fixed(v->host_cr0, caps->cr0_fixed0, caps->cr0_fixed1));
    RULE(!fixed(v->host_cr4, caps->cr4_fixed0, caps->cr4_fixed1));
    RULE(bit(v->host_cr4, 23) && !bit(v->host_cr0, 16));
    RULE(v->host_cr3 & caps->cr3_reserved);
    RULE(bit(v->vm_exit_controls, 12) &&
         v->host_ia32_perf_global_ctrl & caps->perf_global_reserved);
    RULE(bit(v->vm_exit_controls, 19) && !pat(v->host_ia32_pat));
    if (bit(v->vm_exit_controls, 21)) {
        RULE(!efer_bits(v->host_ia32_efer));
        RULE(bit(v->host_ia32_efer, 10) != wide || bit(v->host_ia32_efer, 8) != wide);
    }
    RULE(bit(v->vm_exit_controls, 29) && v->host_ia32_pkrs >> 32);
    if (bit(v->vm_exit_controls, 28)) {
        RULE(!cet(v->host_ia32_s_cet, v->host_ssp));
        RULE(!canonical(v->host_intr_ssp_table, bits));
        RULE(!canonical(v->host_ia32_s_cet, bits));
        RULE(!canonical(v->host_ssp, bits));
        RULE(!wide && (v->host_ia32_s_cet >> 32 || v->host_ssp >> 32));
    }
    /* "Checks on Host Segment and Descriptor-Table Registers". */
    for (u32 i = 0; i < ARRAY_SIZE(selectors); i++)
        RULE(selectors[i] & 7);
    RULE(v->host_cs_selector == 0);
    RULE(v->host_tr_selector == 0);
    RULE(v->host_ss_selector == 0 && !wide);
    for (u32 i = 0; i < ARRAY_SIZE(linear); i++)
        RULE(!canonical(linear[i], bits));
    /* "Checks Related to Address-Space Size". */
    RULE(!l1_long_mode && bit(v->vm_entry_controls, 9));
    RULE(!l1_long_mode && wide);
    RULE(l1_long_mode && !wide);
    RULE(!wide && bit(v->vm_entry_controls, 9));
    RULE(!wide && bit(v->host_cr4, 17));
    RULE(!wide && v->host_rip >> 32);
    RULE(wide && !bit(v->host_cr4, 5));
    RULE(wide && !canonical(v->host_rip, bits));
    return true;
}

/* ---- guest state ---- */

/* "Checks on Guest Control Registers, Debug Registers, and MSRs". */
static bool registers(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    bool ia32e = bit(v->vm_entry_controls, 9), unrestricted = bit(proc2_of(v), 7);
    u64 fixed0 = caps->cr0_fixed0;

    if (unrestricted)
        fixed0 &= ~0x80000001ull;
    RULE(!fixed(v->guest_cr0, fixed0, caps->cr0_fixed1));
    RULE(bit(v->guest_cr0, 31) && !bit(v->guest_cr0, 0));
    RULE(!fixed(v->guest_cr4, caps->cr4_fixed0, caps->cr4_fixed1));
    RULE(bit(v->guest_cr4, 23) && !bit(v->guest_cr0, 16));
    RULE(ia32e && !(bit(v->guest_cr0, 31) && bit(v->guest_cr4, 5)));
    RULE(!ia32e && bit(v->guest_cr4, 17));
    RULE(v->guest_cr3 & caps->cr3_reserved);
    RULE(bit(v->vm_entry_controls, 2) && v->guest_dr7 >> 32);
    RULE(!canonical(v->guest_sysenter_esp, caps->linear_bits));
    RULE(!canonical(v->guest_sysenter_eip, caps->linear_bits));
    RULE(bit(v->vm_entry_controls, 13) &&
         v->guest_ia32_perf_global_ctrl & caps->perf_global_reserved);
    RULE(bit(v->vm_entry_controls, 14) && !pat(v->guest_ia32_pat));
    if (bit(v->vm_entry_controls, 15)) {
        RULE(!efer_bits(v->guest_ia32_efer));
        RULE(bit(v->guest_ia32_efer, 10) != ia32e);
        RULE(bit(v->guest_cr0, 31) && bit(v->guest_ia32_efer, 10) != bit(v->guest_ia32_efer, 8));
    }
    RULE(bit(v->vm_entry_controls, 19) && v->guest_uinv >= 256);
    RULE(bit(v->vm_entry_controls, 22) && v->guest_ia32_pkrs >> 32);
    RULE(bit(v->vm_entry_controls, 20) && !cet(v->guest_ia32_s_cet, v->guest_ssp));
    RULE(bit(v->vm_entry_controls, 20) && !canonical(v->guest_intr_ssp_table, caps->linear_bits));
    return true;
}

struct model_segment {
    u16 selector;
    u64 base;
    u32 limit, ar;
};

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

static void read_segments(const struct vmcs12 *v, struct model_segment s[8])
{
#define READ(n, name)                                                                              \
    s[n] = (struct model_segment){v->guest_##name##_selector, v->guest_##name##_base,              \
                                  v->guest_##name##_limit, v->guest_##name##_ar_bytes}
    READ(ES, es);
    READ(CS, cs);
    READ(SS, ss);
    READ(DS, ds);
    READ(FS, fs);
    READ(GS, gs);
    READ(LDTR, ldtr);
    READ(TR, tr);
#undef READ
}

static bool usable(const struct model_segment *s) { return !bit(s->ar, 16); }
static u32 type_of(const struct model_segment *s) { return s->ar & 15; }
static u32 dpl(const struct model_segment *s) { return s->ar >> 5 & 3; }

static bool limit_and_granularity(const struct model_segment *s)
{
    RULE((s->limit & 0xfff) != 0xfff && bit(s->ar, 15));
    RULE(s->limit >> 20 && !bit(s->ar, 15));
    return true;
}

/* "Checks on Guest Segment Registers". */
static bool segments(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    struct model_segment s[8];
    bool ia32e = bit(v->vm_entry_controls, 9), unrestricted = bit(proc2_of(v), 7);
    bool v86 = bit(v->guest_rflags, 17);

    read_segments(v, s);
    /* Selectors. */
    RULE(bit(s[TR].selector, 2));
    RULE(usable(&s[LDTR]) && bit(s[LDTR].selector, 2));
    RULE(!v86 && !unrestricted && (s[SS].selector & 3) != (s[CS].selector & 3));
    /* Base addresses. */
    for (u32 i = ES; i <= GS; i++)
        RULE(v86 && s[i].base != (u64)s[i].selector * 16);
    RULE(!canonical(s[TR].base, caps->linear_bits));
    RULE(!canonical(s[FS].base, caps->linear_bits));
    RULE(!canonical(s[GS].base, caps->linear_bits));
    RULE(usable(&s[LDTR]) && !canonical(s[LDTR].base, caps->linear_bits));
    RULE(s[CS].base >> 32);
    RULE(usable(&s[SS]) && s[SS].base >> 32);
    RULE(usable(&s[DS]) && s[DS].base >> 32);
    RULE(usable(&s[ES]) && s[ES].base >> 32);
    /* Limits and access rights in virtual-8086 mode. */
    for (u32 i = ES; i <= GS; i++)
        RULE(v86 && (s[i].limit != 0xffff || s[i].ar != 0xf3));
    for (u32 i = ES; !v86 && i <= GS; i++) {
        u32 type = type_of(&s[i]);

        if (i != CS && !usable(&s[i]))
            continue;
        if (i == CS) {
            RULE(type != 9 && type != 11 && type != 13 && type != 15 &&
                 !(type == 3 && unrestricted));
        } else if (i == SS) {
            RULE(type != 3 && type != 7);
        } else {
            RULE(!bit(type, 0));
            RULE(bit(type, 3) && !bit(type, 1));
        }
        RULE(!bit(s[i].ar, 4));
        RULE(!bit(s[i].ar, 7));
        RULE(s[i].ar >> 8 & 15);
        RULE(s[i].ar >> 17);
        RULE(!limit_and_granularity(&s[i]));
        if (i != CS && i != SS && !unrestricted && type <= 11)
            RULE(dpl(&s[i]) < (s[i].selector & 3));
    }
    if (!v86) {
        u32 type = type_of(&s[CS]);

        /* DPL */
        RULE(type == 3 && dpl(&s[CS]) != 0);
        RULE((type == 9 || type == 11) && dpl(&s[CS]) != dpl(&s[SS]));
        RULE((type == 13 || type == 15) && dpl(&s[CS]) > dpl(&s[SS]));
        RULE(!unrestricted && dpl(&s[SS]) != (s[SS].selector & 3));
        RULE((type == 3 || !bit(v->guest_cr0, 0)) && dpl(&s[SS]) != 0);
        RULE(bit(s[CS].ar, 14) && ia32e && bit(s[CS].ar, 13));
    }
    /* TR */
    RULE(ia32e && type_of(&s[TR]) != 11);
    RULE(!ia32e && type_of(&s[TR]) != 11 && type_of(&s[TR]) != 3);
    RULE(bit(s[TR].ar, 4) || !bit(s[TR].ar, 7) || s[TR].ar >> 8 & 15 || !usable(&s[TR]));
    RULE(s[TR].ar >> 17);
    RULE(!limit_and_granularity(&s[TR]));
    /* LDTR */
    if (usable(&s[LDTR])) {
        RULE(type_of(&s[LDTR]) != 2);
        RULE(bit(s[LDTR].ar, 4) || !bit(s[LDTR].ar, 7) || s[LDTR].ar >> 8 & 15);
        RULE(s[LDTR].ar >> 17);
        RULE(!limit_and_granularity(&s[LDTR]));
    }
    /* "Checks on Guest Descriptor-Table Registers". */
    RULE(!canonical(v->guest_gdtr_base, caps->linear_bits));
    RULE(!canonical(v->guest_idtr_base, caps->linear_bits));
    RULE(v->guest_gdtr_limit >> 16 || v->guest_idtr_limit >> 16);
    return true;
}

/* "Checks on Guest RIP, RFLAGS, and SSP". */
static bool rip_and_rflags(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    bool ia32e = bit(v->vm_entry_controls, 9), wide = ia32e && bit(v->guest_cs_ar_bytes, 13);
    u32 info = v->vm_entry_intr_info_field;
    u64 rflags = v->guest_rflags;

    RULE(!wide && v->guest_rip >> 32);
    for (u32 i = caps->linear_bits; wide && i < 64; i++)
        RULE(bit(v->guest_rip, i) != bit(v->guest_rip, 63));
    RULE(rflags >> 22 || bit(rflags, 15) || bit(rflags, 5) || bit(rflags, 3) || !bit(rflags, 1));
    RULE(bit(rflags, 17) && (ia32e || !bit(v->guest_cr0, 0)));
    RULE(bit(info, 31) && (info >> 8 & 7) == 0 && !bit(rflags, 9));
    return true;
}

/* "Checks on Guest Non-Register State", but for the link pointer. */
static bool non_register(const struct vmcs12 *v, const struct vmx_caps *caps)
{
    u32 info = v->vm_entry_intr_info_field, state = v->guest_interruptibility_info;
    u32 type = info >> 8 & 7, vector = info & 0xff, activity = v->guest_activity_state;
    bool valid = bit(info, 31), sti = bit(state, 0), mov_ss = bit(state, 1);
    u64 pending = v->guest_pending_dbg_exceptions;

    /* Activity state. */
    RULE(activity > 3);
    RULE(activity && !bit(caps->misc, 5 + activity));
    RULE(activity == 1 && (v->guest_ss_ar_bytes >> 5 & 3) != 0);
    RULE(activity && (sti || mov_ss));
    RULE(activity == 1 && valid &&
         !(type == 0 || type == 2 || (type == 3 && (vector == 1 || vector == 18)) ||
           (type == 7 && vector == 0)));
    RULE(activity == 2 && valid && !(type == 2 || (type == 3 && vector == 18)));
    RULE(activity == 3 && valid);
    /* Interruptibility state. */
    RULE(state >> 5);
    RULE(bit(state, 4) && !bit(caps->interruptibility, 4));
    RULE(sti && mov_ss);
    RULE(sti && !bit(v->guest_rflags, 9));
    RULE(valid && type == 0 && (sti || mov_ss));
    RULE(valid && type == 2 && mov_ss);
    RULE(bit(state, 2)); /* blocking by SMI: not in SMM here */
    RULE(bit(v->pin_based_vm_exec_control, 5) && valid && type == 2 && bit(state, 3));
    RULE(bit(state, 4) && mov_ss);
    /* Pending debug exceptions: bits 3:0, 11 (bus lock), 12, 14, 16 (RTM). */
    RULE(pending & ~0x1580full);
    RULE(bit(pending, 11) && !bit(caps->pending_debug, 11));
    RULE(bit(pending, 16) && !bit(caps->pending_debug, 16));
    if (sti || mov_ss || activity == 1) {
        bool stepping = bit(v->guest_rflags, 8) && !bit(v->guest_ia32_debugctl, 1);

        RULE(stepping && !bit(pending, 14));
        RULE(!stepping && bit(pending, 14));
    }
    if (bit(pending, 16)) {
        RULE(pending != (BIT(16) | BIT(12)));
        RULE(mov_ss);
    }
    return true;
}

static bool link_pointer(const struct vmcs12 *v, const struct vmx_caps *caps, u64 current,
                         const struct model_memory *memory)
{
    if (v->vmcs_link_pointer == ~0ull)
        return true;
    RULE(!page(v->vmcs_link_pointer, caps));
    RULE(v->vmcs_link_pointer == current);
    RULE((memory->revision & 0x7fffffff) != VMCS12_REVISION);
    RULE(bit(memory->revision, 31) != bit(proc2_of(v), 14)); /* a shadow VMCS with shadowing */
    return true;
}

/* "Checks on Guest Page-Directory-Pointer-Table Entries". */
static bool pdptes(const struct vmcs12 *v, const struct vmx_caps *caps,
                   const struct model_memory *memory)
{
    const u64 in_vmcs[] = {v->guest_pdptr0, v->guest_pdptr1, v->guest_pdptr2, v->guest_pdptr3};
    bool ept = bit(proc2_of(v), 1);

    if (!bit(v->guest_cr0, 31) || !bit(v->guest_cr4, 5) || bit(v->vm_entry_controls, 9))
        return true;
    for (u32 i = 0; i < 4; i++) {
        u64 entry = ept ? in_vmcs[i] : memory->pdpte[i];

        if (!bit(entry, 0))
            continue;
        RULE(entry >> 1 & 3);
        RULE(entry >> 5 & 15);
        for (u32 j = caps->physical_bits; j < 64; j++)
            RULE(bit(entry, j));
    }
    return true;
}

u32 model_guest_failures(const struct vmcs12 *v, const struct vmx_caps *caps, u64 current_vmcs,
                         const struct model_memory *memory)
{
    u32 failures = 0;

    if (!registers(v, caps) || !segments(v, caps) || !rip_and_rflags(v, caps) ||
        !non_register(v, caps))
        failures |= BIT(ENTRY_FAIL_DEFAULT);
    if (!link_pointer(v, caps, current_vmcs, memory))
        failures |= BIT(ENTRY_FAIL_VMCS_LINK_PTR);
    if (!pdptes(v, caps, memory))
        failures |= BIT(ENTRY_FAIL_PDPTE);
    return failures;
}
