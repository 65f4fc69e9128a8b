#include "culprit.h"

#include "check.h"
#include "culprit_rules.h"
#include "lib.h"
#include "../mm/phys.h"

#define LINK_POINTER_NONE  (~0ull)
#define SELECTOR_RPL       3u
#define VAPIC_TPR          0x80u
#define DEBUGCTL_BTF       BIT64(1)
#define PENDING_DBG_BS     BIT64(14)
#define PDPTE_RESERVED     0x1e6ull /* bits 2:1 and 8:5 */
#define PAE_CR3_ADDR       0xffffffe0ull
#define ERROR_CODE_VECTORS 0x27d00u /* #DF, #TS, #NP, #SS, #GP, #PF, #AC */
#define AR_CONFORMING      (AR_TYPE_CODE_MASK | AR_TYPE_CONFORMING_MASK)
#define ABOVE(bit)         (~0ull << (bit))

struct search {
    const struct vmcs12 *vmcs12;
    const struct vmx_caps *caps;
    u64 current_vmcs;
    bool l1_long_mode;
    u32 suspects; /* of the rule that is looked at, behind those of the rules before */
    struct culprit *out;
};

/* ---- What the rules look at ---- */

static u64 field(const struct search *s, u32 encoding)
{
    return vmcs12_get(s->vmcs12, field_lookup(encoding), false);
}

/* As the checks see it: 0 where nothing of the field counts. */
static u64 get(const struct search *s, u32 encoding)
{
    u64 value = field(s, encoding);
    u32 secondary = vmcs12_secondary(s->vmcs12);

    switch (encoding) {
    case SECONDARY_VM_EXEC_CONTROL: return secondary;
    case VM_FUNCTION_CONTROL: return secondary & SECONDARY_EXEC_ENABLE_VMFUNC ? value : 0;
    case VM_ENTRY_INTR_INFO_FIELD: return value & INTR_INFO_VALID_MASK ? value : 0;
    case VMCS_LINK_POINTER: return value == LINK_POINTER_NONE ? 0 : value;
    default: return value;
    }
}

static u64 caps_word(const struct search *s, size_t at)
{
    u64 word;

    memcpy(&word, (const u8 *)s->caps + at, sizeof(word));
    return word;
}

static bool pdptes_in_memory(const struct search *s)
{
    return !(vmcs12_secondary(s->vmcs12) & SECONDARY_EXEC_ENABLE_EPT);
}

/* ---- What is found ---- */

/* What one rule finds wrong: one field, or several that contradict each other. A field whose change
   does not help, without bits, is none of them. */
static void suspect(struct search *s, u32 encoding, u64 bits)
{
    struct culprit *out = s->out;
    u32 at = out->count + s->suspects;

    if (!bits)
        return;
    s->suspects++;
    if (at >= CULPRIT_FIELDS)
        return;
    /* A secondary control that is 0 because none counts. */
    if (encoding == SECONDARY_VM_EXEC_CONTROL &&
        !(s->vmcs12->cpu_based_vm_exec_control & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)) {
        encoding = CPU_BASED_VM_EXEC_CONTROL;
        bits = CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
    }
    out->field[at] = (struct culprit_field){field(s, encoding), bits, encoding, CULPRIT_BITS, true};
}

/* Whether the last of what was found is of this field alone, and wrong in the same way. */
static bool continues(const struct culprit *out, u32 encoding, enum culprit_fault fault)
{
    const struct culprit_field *last;

    if (!out->count)
        return false;
    last = &out->field[out->count - 1];
    if (out->count > 1 && last[-1].joined)
        return false;
    return last->encoding == encoding && last->fault == fault;
}

/* What there is no room for is left out. */
static void conclude(struct search *s, enum culprit_fault fault)
{
    struct culprit *out = s->out;
    struct culprit_field *first = &out->field[out->count];
    u32 suspects = s->suspects;

    s->suspects = 0;
    if (!suspects || out->count + suspects > CULPRIT_FIELDS)
        return;
    first[suspects - 1].joined = false;
    first->fault = (u8)fault;
    if (suspects == 1 && continues(out, first->encoding, fault))
        first[-1].bits |= first->bits;
    else
        out->count += suspects;
}

static void conflict(struct search *s, u32 a, u64 a_bits, u32 b, u64 b_bits)
{
    suspect(s, a, a_bits);
    suspect(s, b, b_bits);
    conclude(s, CULPRIT_BITS);
}

/* ---- Rules of one field: the bits that would have to change ---- */

static u64 range(u32 argument) { return ~0ull >> (64 - (argument >> 8)) << (argument & 0xff); }

static u64 outside(u64 value, u64 ones, u64 allowed)
{
    return (~value & ones) | (value & ~allowed);
}

/* CR0.PE and PG of a guest have rules of their own. */
static u64 fixed_bits(const struct search *s, u32 encoding, u64 value, size_t at)
{
    u64 ones = caps_word(s, at) & ~(encoding == GUEST_CR0 ? CR0_PE | CR0_PG : 0);

    return outside(value, ones, caps_word(s, at + sizeof(u64)));
}

/* A processor of 2006 has no true capability MSRs. */
static u64 control_bits(const struct search *s, u64 value, size_t at)
{
    u64 msr;

    if (at < offsetof(struct vmx_caps, proc2) && !(s->caps->basic & VMX_BASIC_TRUE_CTLS))
        at -= offsetof(struct vmx_caps, true_pin) - offsetof(struct vmx_caps, pin);
    msr = caps_word(s, at);
    return outside(value, (u32)msr, msr >> 32);
}

static u64 address_bits(const struct search *s, u64 value, u32 low)
{
    u32 width = s->caps->basic & VMX_BASIC_32BIT_ADDRESSES ? 32 : s->caps->physical_bits;

    return value & ~(ABOVE(low) & ~ABOVE(width));
}

static u64 canonical_bits(const struct search *s, u32 encoding, u64 value)
{
    bool host = VMCS_FIELD_TYPE(encoding) == VMCS_TYPE_HOST;
    u32 above = 64 - (host && !(s->vmcs12->host_cr4 & CR4_LA57) ? 48 : s->caps->linear_bits);

    return value ^ (u64)((s64)(value << above) >> above);
}

/* The bits above the linear-address width are equal to each other, no more. */
static u64 rip_bits(const struct search *s, u64 value)
{
    u64 above = ABOVE(s->caps->linear_bits);

    return (value & above) == above ? 0 : value & above;
}

static u64 pat_bits(u64 value)
{
    return (value & 0xf8f8f8f8f8f8f8f8) | (value & ~(value >> 1) & 0x0202020202020202);
}

static u32 count_ones(u32 bits)
{
    u32 count = 0;

    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* To the closest number of the set. */
static u64 bits_to_one_of(u64 value, u32 mask, u32 set)
{
    u32 best = ~0u;

    for (u32 i = 16; i-- > 0;) {
        u32 bits = (i ^ (u32)value) & mask;

        if ((set >> i & 1) && count_ones(bits) < count_ones(best))
            best = bits;
    }
    return best;
}

static u64 bits_to(u64 value, u64 max) { return value > max ? value ^ max : 0; }

static u64 threshold_bits(const struct search *s, u64 value)
{
    u64 page = s->vmcs12->virtual_apic_page_addr;

    if (address_bits(s, page, PAGE_SHIFT))
        return 0;
    return bits_to(value, phys_read32(page + VAPIC_TPR) >> 4 & 0xf);
}

static u64 error_code_bits(u64 info)
{
    bool deliver = info & INTR_INFO_DELIVER_CODE_MASK;

    return deliver == (ERROR_CODE_VECTORS >> (info & 31) & 1) ? 0 : INTR_INFO_DELIVER_CODE_MASK;
}

static bool is_taken(u32 activity, u32 info)
{
    u32 type = info & INTR_INFO_INTR_TYPE_MASK;
    u32 event = type | (info & INTR_INFO_VECTOR_MASK);

    if (type == INTR_TYPE_NMI || event == (INTR_TYPE_EXCEPTION | VECTOR_MC))
        return activity != ACTIVITY_WAIT_FOR_SIPI;
    return activity == ACTIVITY_HLT &&
           (type == INTR_TYPE_EXT_INTR || event == (INTR_TYPE_EXCEPTION | VECTOR_DB) ||
            event == INTR_TYPE_OTHER);
}

static u64 pdpte_bits(const struct search *s, u32 encoding, u64 value)
{
    u64 entry = (s->vmcs12->guest_cr3 & PAE_CR3_ADDR) + (encoding - GUEST_PDPTR0) / 2 * sizeof(u64);

    if (pdptes_in_memory(s))
        value = phys_read64(entry);
    return value & PTE_P ? value & (PDPTE_RESERVED | ABOVE(s->caps->physical_bits)) : 0;
}

/* Of an address that is valid. */
static u64 link_bits(const struct search *s, u64 link)
{
    bool shadow = vmcs12_secondary(s->vmcs12) & SECONDARY_EXEC_SHADOW_VMCS;
    u32 revision = (u32)(s->caps->basic & VMX_BASIC_REVISION) | (shadow ? VMCS_SHADOW : 0);

    if (link == LINK_POINTER_NONE || address_bits(s, link, PAGE_SHIFT))
        return 0;
    return link == s->current_vmcs || phys_read32(link) != revision ? ~link : 0;
}

/* Not part of its caller, which would be larger for it. */
static __attribute__((noinline)) u64 wrong_bits(const struct search *s, const struct rule *rule,
                                                u32 encoding)
{
    u64 value = get(s, encoding);
    u32 op = rule->op & RULE_OP, argument = rule->argument;

    switch (op) {
    case ALL_ONES:
    case ALL_ZEROS: return (op == ALL_ONES ? ~value : value) & range(argument);
    case EQUAL: return value ^ argument;
    case FIXED: return fixed_bits(s, encoding, value, argument);
    case RESERVED: return value & caps_word(s, argument);
    case KNOWN: return value & ~(caps_word(s, rule->detail) | argument);
    case ERROR_CODE: return error_code_bits(value);
    case TAKEN: return value && !is_taken(argument, (u32)value) ? INTR_INFO_VALID_MASK : 0;
    case HOST_MODE:
        return host_mode_valid(s->vmcs12, s->l1_long_mode) ? 0 : VM_EXIT_HOST_ADDR_SPACE_SIZE;
    case CONTROL: return control_bits(s, value, argument);
    case ALIGNED: return address_bits(s, value, argument);
    case IS_CANONICAL: return canonical_bits(s, encoding, value);
    case RIP_CANONICAL: return rip_bits(s, value);
    case NOT_0: return value ? 0 : BIT(3);
    case PAT: return pat_bits(value);
    case TYPE: return bits_to_one_of(value, AR_TYPE_MASK, argument);
    case ONE_OF: return bits_to_one_of(value >> rule->detail, 7, argument) << rule->detail;
    case CR3_TARGETS:
        return bits_to(value, (s->caps->misc & VMX_MISC_CR3_TARGETS) >> VMX_MISC_CR3_TARGETS_SHIFT);
    case THRESHOLD: return threshold_bits(s, value);
    case PDPTE: return pdpte_bits(s, encoding, value);
    default: return link_bits(s, s->vmcs12->vmcs_link_pointer);
    }
}

/* The order of the rules is that of the faults they find. */
static enum culprit_fault fault_of(u32 op)
{
    return (op >= CONTROL) + (op >= ALIGNED) + (op >= IS_CANONICAL) + (op >= NOT_0) + (op >= LINK);
}

/* ---- Rules of several fields ---- */

static void look_at_area(struct search *s, u32 address, u32 count)
{
    u64 start = get(s, address), entries = get(s, count);
    u64 last = start + entries * sizeof(struct vmx_msr_entry) - 1;
    u64 bits = address_bits(s, start, 4);

    if (!entries)
        return;
    suspect(s, address, bits);
    if (!bits && address_bits(s, last, 0)) {
        suspect(s, address, start);
        suspect(s, count, entries ^ 1);
    }
    conclude(s, bits ? CULPRIT_ADDRESS : CULPRIT_BITS);
}

/* Where a field has its privilege level. */
static u32 level_shift(u32 encoding)
{
    return VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_32 ? AR_DPL_SHIFT : 0;
}

static u64 level(const struct search *s, u32 encoding)
{
    return get(s, encoding) >> level_shift(encoding) & SELECTOR_RPL;
}

static void look_at_levels(struct search *s, const struct rule *rule, u32 a, u32 b)
{
    u64 level_a = level(s, a), level_b = level(s, b), bits = level_a ^ level_b;
    bool any = rule->detail && (get(s, a) & AR_CONFORMING) == AR_CONFORMING;

    if ((rule->op & RULE_OP) == SAME_LEVEL || (!any && level_a < level_b))
        conflict(s, a, bits << level_shift(a), b, bits << level_shift(b));
}

/* The base follows from the selector. */
static void look_at_v86_base(struct search *s, u32 base)
{
    u32 selector = base - GUEST_ES_BASE + GUEST_ES_SELECTOR;
    u64 bits = get(s, base) ^ get(s, selector) << 4;

    if (bits)
        suspect(s, GUEST_RFLAGS, RFLAGS_VM);
    suspect(s, base, bits);
    suspect(s, selector, bits & ~0xffff0ull ? 0 : bits >> 4);
    conclude(s, CULPRIT_BITS);
}

/* The granularity says which bits of the limit are all ones, or all zeros. */
static void look_at_limit(struct search *s, u32 encoding)
{
    u32 ar = encoding - GUEST_ES_LIMIT + GUEST_ES_AR_BYTES;
    u64 limit = get(s, encoding), low = ~limit & 0xfff, high = limit & ABOVE(20);
    bool pages = get(s, ar) & AR_G_MASK;
    u64 bits = pages ? low : high, other = pages ? high : low;

    if (bits)
        conflict(s, encoding, bits, ar, other ? 0 : AR_G_MASK);
}

/* One that waits must show as pending. */
static void look_at_single_step(struct search *s)
{
    const struct vmcs12 *vmcs12 = s->vmcs12;
    u64 shadow =
        vmcs12->guest_interruptibility_info & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    bool halted = vmcs12->guest_activity_state == ACTIVITY_HLT;
    bool trap = vmcs12->guest_rflags & RFLAGS_TF;
    u64 branches = vmcs12->guest_ia32_debugctl & DEBUGCTL_BTF;
    bool pending = vmcs12->guest_pending_dbg_exceptions & PENDING_DBG_BS;

    if ((!shadow && !halted) || pending == (trap && !branches))
        return;
    suspect(s, GUEST_PENDING_DBG_EXCEPTIONS, PENDING_DBG_BS);
    suspect(s, GUEST_RFLAGS, branches ? 0 : RFLAGS_TF);
    suspect(s, GUEST_IA32_DEBUGCTL, trap ? branches : 0);
    conflict(s, GUEST_INTERRUPTIBILITY_INFO, shadow, GUEST_ACTIVITY_STATE, halted);
}

/* ---- The search ---- */

static u64 gate_bits(const struct rule *gate)
{
    switch (gate->op) {
    case IF_EQUAL: return gate->detail;
    case IF_INJECTS: return INTR_INFO_VALID_MASK;
    default: return BIT64(gate->detail);
    }
}

static void look_at_field(struct search *s, const struct rule *rule, const struct rule *gate,
                          u32 encoding)
{
    u64 bits = wrong_bits(s, rule, encoding);
    u32 op = rule->op & RULE_OP;

    if (bits && (rule->op & RULE_WITH_GATE))
        suspect(s, gate->field, gate_bits(gate));
    if (op == PDPTE && !pdptes_in_memory(s))
        op = ALL_ZEROS;
    suspect(s, op == PDPTE ? GUEST_CR3 : encoding, bits);
    conclude(s, fault_of(op));
}

static void look_at(struct search *s, const struct rule *rule, const struct rule *gate,
                    u32 encoding)
{
    u32 other = rule->argument + encoding - rule->field;

    switch (rule->op & RULE_OP) {
    case AREA: look_at_area(s, encoding, other); break;
    case SAME_LEVEL:
    case NOT_BELOW: look_at_levels(s, rule, encoding, other); break;
    case V86_BASE: look_at_v86_base(s, encoding); break;
    case LIMIT: look_at_limit(s, encoding); break;
    case SINGLE_STEP: look_at_single_step(s); break;
    default: look_at_field(s, rule, gate, encoding);
    }
}

static bool usable(const struct search *s, u32 segment)
{
    return !(get(s, GUEST_ES_AR_BYTES + 2 * segment) & AR_UNUSABLE_MASK);
}

/* What it needs of the stack is not to be apply()'s, which calls itself. */
static __attribute__((noinline)) void look(struct search *s, const struct rule *rule,
                                           const struct rule *gate)
{
    u32 op = rule->op & RULE_OP;
    u32 set = rule->detail && op != KNOWN && op != ONE_OF ? rule->detail : 1;

    for (u32 i = 0; set >> i; i++)
        if ((set >> i & 1) && (!(rule->op & RULE_USABLE) || usable(s, i)))
            look_at(s, rule, gate, rule->field + 2 * i);
}

static bool is_open(const struct search *s, const struct rule *gate)
{
    bool of_caps = gate->op >= IF_HAS;
    u64 value = of_caps ? caps_word(s, gate->field) : get(s, gate->field);

    switch (gate->op) {
    case IF_EQUAL: return value == gate->detail;
    case IF_INJECTS: return value && (value & INTR_INFO_INTR_TYPE_MASK) >> 8 == gate->detail;
    default: return (value >> gate->detail & 1) == (gate->op == IF_SET || gate->op == IF_HAS);
    }
}

/* Calls itself for the rules behind a gate: as deep as these nest, four gates. */
static void apply(struct search *s, const struct rule *rule, u32 count, const struct rule *gate)
{
    for (const struct rule *end = rule + count; rule < end; rule++) {
        if (rule->op > IF_LACKS) {
            look(s, rule, gate);
            continue;
        }
        if (is_open(s, rule))
            apply(s, rule + 1, rule->argument, rule);
        rule += rule->argument;
    }
}

/* What finds nothing leaves no trace. */
static bool finds(struct search *s, const struct rules *rules)
{
    apply(s, rules->rule, rules->count, NULL);
    return s->out->count;
}

static u64 qualification_of(const struct culprit_field *first)
{
    bool is_pdpte = first->encoding >= GUEST_PDPTR0 && first->encoding <= GUEST_PDPTR3;

    if (first->encoding == VMCS_LINK_POINTER)
        return ENTRY_FAIL_VMCS_LINK_PTR;
    return is_pdpte || first->fault == CULPRIT_MEMORY ? ENTRY_FAIL_PDPTE : ENTRY_FAIL_DEFAULT;
}

void culprit_find(const struct vmcs12 *vmcs12, const struct vmx_caps *caps, bool l1_long_mode,
                  u64 current_vmcs, struct culprit *out)
{
    struct search s = {vmcs12, caps, current_vmcs, l1_long_mode, 0, out};

    *out = (struct culprit){.error = VMXERR_NONE};
    if (finds(&s, &control_rules)) {
        out->error = VMXERR_ENTRY_INVALID_CONTROL_FIELD;
    } else if (finds(&s, &host_rules)) {
        out->error = VMXERR_ENTRY_INVALID_HOST_STATE_FIELD;
    } else if (finds(&s, &guest_rules)) {
        out->guest = true;
        out->qualification = qualification_of(&out->field[0]);
    }
}
