#include "task_switch.h"

#include "lib.h"
#include "vmx.h"
#include "x86.h"
#include "../mm/phys.h"
#include "../vmx/check.h"
#include "../vmx/decode.h"

#define SELECTOR_RPL   3u
#define SELECTOR_TI    4u
#define SELECTOR_INDEX 0xfff8u
#define ERROR_CODE_EXT BIT(0)

/* Descriptor types of a TSS, with AR_S_MASK clear. */
#define TSS_TYPE        (AR_S_MASK | 7u)
#define TSS_AVAILABLE   1u
#define TSS_BUSY        BIT(1)
#define TSS_32          BIT(3)
#define DESCRIPTOR_TYPE 5u /* byte of type, S, DPL, P */
#define DESCRIPTOR_AR   0xf0ffu
#define LOCK_ATTEMPTS   64 /* L1's other cores cannot hold L0 up for ever */

#define EFLAGS_NT   BIT(14)
#define EFLAGS_LOAD 0x3f7fd5u /* all that exist but bit 1 */
#define DR7_LOCAL   0x155u    /* L0 to L3, LE */

#define CODE_PLACEHOLDER_AR 0xc09bu
#define V86_AR              0xf3u
#define TSS_32_CET_LIMIT    107u
#define TSS_TRAP            BIT(0)

/* SDM vol. 3, "32-Bit Task-State Segment Format". Segments in the order of enum segment_index. */
struct tss_32 {
    u16 link, reserved_link;
    u32 stacks[6];
    u32 cr3, eip, eflags, gpr[8];
    struct {
        u16 selector, reserved;
    } segment[6];
    u16 ldt, reserved_ldt;
    u16 trap, io_map;
};
_Static_assert(sizeof(struct tss_32) == 104, "the SDM's layout");

/* "16-Bit Task-State Segment Format". */
struct tss_16 {
    u16 link, stacks[6];
    u16 ip, flags, gpr[8];
    u16 segment[4];
    u16 ldt;
};
_Static_assert(sizeof(struct tss_16) == 44, "the SDM's layout");

/* Where the state saved into the old TSS ends. */
#define TSS_32_SAVED_END (offsetof(struct tss_32, segment[5]) + sizeof(u32))
#define TSS_16_SAVED_END offsetof(struct tss_16, ldt)

/* What a TSS of either kind holds of the new task. */
struct task_image {
    u32 cr3, eip, eflags, gpr[8];
    u16 segment[6], ldt;
    bool trap;
};

struct descriptor {
    u64 linear, base;
    u32 limit, ar;
};

/* A task switch on its way. */
struct switching {
    const struct task_switch *request;
    struct task_state *state;
    struct task_fault *fault;
    u32 external; /* EXT of the error codes */
    struct descriptor tss;
    struct task_image image;
    u64 pdpte[4];
    u32 cr3;
};

static bool nests(const struct switching *s)
{
    return s->request->source == TASK_SWITCH_CALL || s->request->source == TASK_SWITCH_GATE;
}

static bool returns(const struct switching *s) { return s->request->source == TASK_SWITCH_IRET; }

static bool is_32(u32 tss_ar) { return tss_ar & TSS_32; }

/* ---- faults */

static bool fail(struct switching *s, u32 vector, u32 selector)
{
    *s->fault = (struct task_fault){
        .vector = vector,
        .error_code = (selector & (SELECTOR_INDEX | SELECTOR_TI)) | s->external,
    };
    return false;
}

static bool fail_page(struct switching *s, const struct walk_fault *fault)
{
    *s->fault = (struct task_fault){
        .vector = VECTOR_PF, .error_code = fault->error_code, .address = fault->address};
    return false;
}

static u32 event_type(u32 event) { return event & INTR_INFO_INTR_TYPE_MASK; }

bool event_is_software(u32 event)
{
    u32 type = event_type(event);

    return (event & INTR_INFO_VALID_MASK) &&
           (type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_PRIV_SW_EXCEPTION ||
            type == INTR_TYPE_SOFT_EXCEPTION);
}

/* SDM vol. 3, "Error Code": not during INT n, INT3 and INTO; INT1 is not among them. */
static u32 external_bit(u32 event)
{
    u32 type = event_type(event);

    if (!(event & INTR_INFO_VALID_MASK) || type == INTR_TYPE_SOFT_INTR ||
        type == INTR_TYPE_SOFT_EXCEPTION)
        return 0;
    return ERROR_CODE_EXT;
}

static bool contributory(u32 vector)
{
    return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP) ||
           vector == VECTOR_CP;
}

u32 combined_vector(u32 event, u32 vector)
{
    u32 first = event & INTR_INFO_VECTOR_MASK;

    if (!(event & INTR_INFO_VALID_MASK) || event_type(event) != INTR_TYPE_EXCEPTION)
        return vector;
    if (first == VECTOR_DF && (contributory(vector) || vector == VECTOR_PF))
        return VECTOR_SHUTDOWN;
    if (contributory(first) && contributory(vector))
        return VECTOR_DF;
    if (first == VECTOR_PF && (contributory(vector) || vector == VECTOR_PF))
        return VECTOR_DF;
    return vector;
}

/* ---- memory: the TSSs and the descriptor tables, by implicit supervisor-mode accesses */

/* The same rights as WALK_IMPLICIT gives, for walk_read and walk_write. */
static struct walk_context supervisor(const struct task_state *state)
{
    struct walk_context context = state->paging;

    context.cpl = 0;
    context.rflags &= ~RFLAGS_AC;
    return context;
}

static bool read_system(struct switching *s, u64 linear, void *to, size_t len)
{
    const struct walk_context context = supervisor(s->state);
    struct walk_fault fault;

    return walk_read(&context, linear, to, (u32)len, &fault) || fail_page(s, &fault);
}

static bool write_system(struct switching *s, u64 linear, const void *from, size_t len)
{
    const struct walk_context context = supervisor(s->state);
    struct walk_fault fault;

    return walk_write(&context, linear, from, (u32)len, &fault) || fail_page(s, &fault);
}

/* The #PF that an access to all those bytes, less than a page, would cause, before it is made. */
static bool probe(struct switching *s, u64 linear, size_t len, u32 access)
{
    const u64 last = linear + len - 1;
    struct walk_fault fault = {.address = (u32)linear};
    u64 pa;

    if (!walk_linear(&s->state->paging, linear, access | WALK_IMPLICIT, &pa, &fault.error_code))
        return fail_page(s, &fault);
    fault.address = (u32)(last & PAGE_MASK);
    if (align_down(linear, PAGE_SIZE) == align_down(last, PAGE_SIZE) ||
        walk_linear(&s->state->paging, last, access | WALK_IMPLICIT, &pa, &fault.error_code))
        return true;
    return fail_page(s, &fault);
}

/* ---- descriptors */

static struct descriptor parse_descriptor(u64 linear, u64 raw)
{
    struct descriptor descriptor = {
        .linear = linear,
        .base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
        .limit = (u32)((raw & 0xffff) | (raw >> 32 & 0xf0000)),
        .ar = (u32)(raw >> 40) & DESCRIPTOR_AR,
    };

    if (descriptor.ar & AR_G_MASK)
        descriptor.limit = descriptor.limit << 12 | 0xfff;
    return descriptor;
}

/* False: the selector is null or outside its table. */
static bool descriptor_linear(const struct task_state *state, u32 selector, u64 *linear)
{
    const struct segment *ldtr = &state->segment[SEG_LDTR];
    u32 offset = selector & SELECTOR_INDEX;

    *linear = ((selector & SELECTOR_TI ? ldtr->base : state->gdtr.base) + offset) & 0xffffffff;
    if (selector & SELECTOR_TI)
        return !(ldtr->ar & AR_UNUSABLE_MASK) && offset + 7 <= ldtr->limit;
    return offset != 0 && offset + 7 <= state->gdtr.limit;
}

/* What is not there is a fault of that vector. */
static bool read_descriptor(struct switching *s, u32 selector, u32 vector,
                            struct descriptor *descriptor)
{
    u64 linear, raw;

    if (!descriptor_linear(s->state, selector, &linear))
        return fail(s, vector, selector);
    if (!read_system(s, linear, &raw, sizeof(raw)))
        return false;
    *descriptor = parse_descriptor(linear, raw);
    return true;
}

/*
 * Sets a flag of the descriptor's type, and tells whether it was set: in one locked access, as
 * other cores may change the descriptor, or take the task. SDM vol. 3, "Automatic Locking".
 */
static bool set_type_flag(struct switching *s, u64 linear, u32 flag, bool *was_set)
{
    struct walk_fault fault = {.address = (u32)(linear + DESCRIPTOR_TYPE)};
    u64 pa, word;

    if (!walk_linear(&s->state->paging, fault.address, WALK_WRITE | WALK_IMPLICIT, &pa,
                     &fault.error_code))
        return fail_page(s, &fault);
    word = align_down(pa, sizeof(u32));
    flag <<= 8 * (pa - word);
    for (u32 attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        u32 old = phys_read32(word);

        *was_set = old & flag;
        if (*was_set || phys_set_bits32(word, old, flag))
            break;
    }
    return true;
}

static struct segment segment_from(u16 selector, const struct descriptor *descriptor)
{
    return (struct segment){.selector = selector,
                            .limit = descriptor->limit,
                            .ar = descriptor->ar,
                            .base = descriptor->base};
}

/* ---- before the commit point: faults are the old task's */

/* SDM vol. 3, "Exception Conditions Checked During a Task Switch", up to where registers are
   loaded; type before P, as vol. 2 has it in CALL, INT, IRET and JMP. */
static bool find_new_tss(struct switching *s)
{
    const u16 selector = s->request->selector;
    const u32 bad_selector = returns(s) ? VECTOR_TS : VECTOR_GP;
    const u32 type = returns(s) ? TSS_AVAILABLE | TSS_BUSY : TSS_AVAILABLE;
    bool cet = s->state->paging.cr4 & CR4_CET;
    u32 limit;

    if (selector & SELECTOR_TI)
        return fail(s, bad_selector, selector);
    if (!read_descriptor(s, selector, bad_selector, &s->tss))
        return false;
    if ((s->tss.ar & TSS_TYPE) != type)
        return fail(s, bad_selector, selector);
    if (!(s->tss.ar & AR_P_MASK))
        return fail(s, VECTOR_NP, selector);
    limit = is_32(s->tss.ar) ? sizeof(struct tss_32) - 1 : sizeof(struct tss_16) - 1;
    if (cet)
        limit = TSS_32_CET_LIMIT;
    if (s->tss.limit < limit || (cet && !is_32(s->tss.ar)))
        return fail(s, VECTOR_TS, selector);
    return true;
}

static u64 old_descriptor(const struct switching *s)
{
    u32 offset = s->state->segment[SEG_TR].selector & SELECTOR_INDEX;

    return (s->state->gdtr.base + offset) & 0xffffffff;
}

static bool probe_old_tss(struct switching *s)
{
    const struct segment *tr = &s->state->segment[SEG_TR];
    u64 from = is_32(tr->ar) ? offsetof(struct tss_32, eip) : offsetof(struct tss_16, ip);
    u64 end = is_32(tr->ar) ? TSS_32_SAVED_END : TSS_16_SAVED_END;

    if (tr->limit < end - 1)
        return fail(s, VECTOR_TS, tr->selector);
    if (!nests(s) && !probe(s, old_descriptor(s) + DESCRIPTOR_TYPE, 1, WALK_WRITE))
        return false;
    return probe(s, tr->base + from, end - from, WALK_WRITE);
}

static bool probe_new_tss(struct switching *s)
{
    u64 len = is_32(s->tss.ar) ? sizeof(struct tss_32) : sizeof(struct tss_16);

    if (!returns(s) && !probe(s, s->tss.linear + DESCRIPTOR_TYPE, 1, WALK_WRITE))
        return false;
    if (nests(s) && !probe(s, s->tss.base, sizeof(u16), WALK_WRITE))
        return false;
    return probe(s, s->tss.base, len, WALK_READ);
}

static bool uses_pae(const struct walk_context *paging)
{
    return (paging->cr4 & CR4_PAE) && !(paging->efer & EFER_LMA);
}

/* An IRET finds the busy flag set. Anyone else must not: the other core that took the task since
   its descriptor was read has it. */
static bool take_new_task(struct switching *s)
{
    bool was_set;

    if (returns(s))
        return true;
    return set_type_flag(s, s->tss.linear, TSS_BUSY, &was_set) &&
           (!was_set || fail(s, VECTOR_GP, s->request->selector));
}

/* CR3 is in 32-bit TSSs only, and loaded with paging only; a fault for its PDPTEs is still the
   old task's. SDM vol. 3, "PDPTE Registers". */
static bool read_new_cr3(struct switching *s)
{
    const struct walk_context *paging = &s->state->paging;

    s->cr3 = (u32)paging->cr3;
    memcpy(s->pdpte, paging->pdpte, sizeof(s->pdpte));
    if (!is_32(s->tss.ar) || !(paging->cr0 & CR0_PG))
        return true;
    if (!read_system(s, s->tss.base + offsetof(struct tss_32, cr3), &s->cr3, sizeof(s->cr3)))
        return false;
    if (s->cr3 == paging->cr3 || !uses_pae(paging))
        return true;
    return load_pdptes(s->cr3, s->request->caps, s->pdpte) || fail(s, VECTOR_GP, 0);
}

static bool clear_old_busy(struct switching *s)
{
    u64 linear = old_descriptor(s) + DESCRIPTOR_TYPE;
    u8 type;

    if (nests(s) || (!returns(s) && old_descriptor(s) == s->tss.linear))
        return true;
    if (!read_system(s, linear, &type, sizeof(type)))
        return false;
    type &= (u8)~TSS_BUSY;
    return write_system(s, linear, &type, sizeof(type));
}

static bool save_to_16(struct switching *s, u32 eflags)
{
    const struct task_state *state = s->state;
    const u64 base = state->segment[SEG_TR].base;
    struct tss_16 tss = {.ip = (u16)state->eip, .flags = (u16)eflags};

    for (u32 i = 0; i < ARRAY_SIZE(tss.gpr); i++)
        tss.gpr[i] = (u16)state->gpr[i];
    for (u32 i = 0; i < ARRAY_SIZE(tss.segment); i++)
        tss.segment[i] = state->segment[i].selector;
    return write_system(s, base + offsetof(struct tss_16, ip), &tss.ip,
                        TSS_16_SAVED_END - offsetof(struct tss_16, ip));
}

/* The words above the selectors are reserved, and stay as they are. */
static bool save_to_32(struct switching *s, u32 eflags)
{
    const struct task_state *state = s->state;
    const u64 base = state->segment[SEG_TR].base;
    struct tss_32 tss = {.eip = state->eip, .eflags = eflags};

    memcpy(tss.gpr, state->gpr, sizeof(tss.gpr));
    if (!write_system(s, base + offsetof(struct tss_32, eip), &tss.eip,
                      offsetof(struct tss_32, segment) - offsetof(struct tss_32, eip)))
        return false;
    for (u32 i = 0; i < ARRAY_SIZE(tss.segment); i++)
        if (!write_system(s, base + offsetof(struct tss_32, segment) + i * sizeof(u32),
                          &state->segment[i].selector, sizeof(u16)))
            return false;
    return true;
}

static bool save_old_task(struct switching *s)
{
    u32 eflags = s->state->eflags;

    if (returns(s))
        eflags &= ~EFLAGS_NT;
    return is_32(s->state->segment[SEG_TR].ar) ? save_to_32(s, eflags) : save_to_16(s, eflags);
}

/* Nothing is known of the upper halves of the registers in a 16-bit TSS; Bochs's ones. */
static bool read_from_16(struct switching *s)
{
    struct task_image *image = &s->image;
    struct tss_16 tss;

    if (!read_system(s, s->tss.base, &tss, sizeof(tss)))
        return false;
    *image = (struct task_image){.eip = tss.ip, .eflags = tss.flags, .ldt = tss.ldt};
    for (u32 i = 0; i < ARRAY_SIZE(tss.gpr); i++)
        image->gpr[i] = 0xffff0000u | tss.gpr[i];
    memcpy(image->segment, tss.segment, sizeof(tss.segment));
    return true;
}

static bool read_from_32(struct switching *s)
{
    struct task_image *image = &s->image;
    struct tss_32 tss;

    if (!read_system(s, s->tss.base, &tss, sizeof(tss)))
        return false;
    *image = (struct task_image){
        .eip = tss.eip, .eflags = tss.eflags, .ldt = tss.ldt, .trap = tss.trap & TSS_TRAP};
    memcpy(image->gpr, tss.gpr, sizeof(image->gpr));
    for (u32 i = 0; i < ARRAY_SIZE(tss.segment); i++)
        image->segment[i] = tss.segment[i].selector;
    return true;
}

static bool read_new_task(struct switching *s)
{
    return is_32(s->tss.ar) ? read_from_32(s) : read_from_16(s);
}

static bool write_link(struct switching *s)
{
    const u16 *link = &s->state->segment[SEG_TR].selector;

    return !nests(s) || write_system(s, s->tss.base, link, sizeof(*link));
}

/* All that can fail with the old task intact: the probes come before the first change. */
static bool leave_old_task(struct switching *s)
{
    return find_new_tss(s) && probe_old_tss(s) && probe_new_tss(s) && read_new_cr3(s) &&
           take_new_task(s) && clear_old_busy(s) && save_old_task(s) && read_new_task(s) &&
           write_link(s);
}

/* ---- the commit point */

static void load_v86_segment(struct segment *segment, u16 selector)
{
    *segment = (struct segment){
        .selector = selector, .limit = 0xffff, .ar = V86_AR, .base = (u64)selector << 4};
}

/*
 * The selectors, before their descriptors. Should the stack segment turn out bad, the fault is
 * taken at CPL 3, so that its handler has the stack of a more privileged level to run on; the SDM
 * leaves that state open, this is what Bochs does. VM entry wants a code segment that is usable.
 */
static void load_selectors(struct switching *s)
{
    struct task_state *state = s->state;
    bool v86 = state->eflags & RFLAGS_VM;

    for (u32 i = SEG_ES; i <= SEG_GS; i++) {
        if (v86)
            load_v86_segment(&state->segment[i], s->image.segment[i]);
        else
            state->segment[i] =
                (struct segment){.selector = s->image.segment[i], .ar = AR_UNUSABLE_MASK};
    }
    state->segment[SEG_LDTR] = (struct segment){.selector = s->image.ldt, .ar = AR_UNUSABLE_MASK};
    state->paging.cpl = 3;
    if (v86)
        return;
    state->segment[SEG_SS].ar |= 3u << AR_DPL_SHIFT;
    state->segment[SEG_CS].ar = CODE_PLACEHOLDER_AR | 3u << AR_DPL_SHIFT;
    state->segment[SEG_CS].limit = 0xffffffff;
}

static void commit(struct switching *s)
{
    struct task_state *state = s->state;

    state->segment[SEG_TR] = segment_from(s->request->selector, &s->tss);
    state->segment[SEG_TR].ar |= TSS_BUSY;
    state->paging.cr0 |= CR0_TS;
    state->paging.cr3 = s->cr3;
    memcpy(state->paging.pdpte, s->pdpte, sizeof(s->pdpte));
    state->dr7 &= ~(u64)DR7_LOCAL;
    memcpy(state->gpr, s->image.gpr, sizeof(state->gpr));
    state->eip = s->image.eip;
    state->eflags = (s->image.eflags & EFLAGS_LOAD) | (u32)RFLAGS_FIXED;
    if (nests(s))
        state->eflags |= EFLAGS_NT;
    state->paging.rflags = state->eflags;
    load_selectors(s);
}

/*
 * ---- in the new task: segments, in the order of the SDM's table of exception conditions; but P of
 * the LDT is checked before the LDT is read, and a bad code selector is found where its DPL is.
 */

static bool is_null(u32 selector) { return !(selector & ~SELECTOR_RPL); }

static bool is_code(u32 ar) { return (ar & AR_S_MASK) && (ar & AR_TYPE_CODE_MASK); }

static bool load_ldtr(struct switching *s)
{
    u16 selector = s->image.ldt;
    struct descriptor ldt;

    if (selector & SELECTOR_TI)
        return fail(s, VECTOR_TS, selector);
    if (is_null(selector))
        return true;
    if (!read_descriptor(s, selector, VECTOR_TS, &ldt))
        return false;
    if ((ldt.ar & (AR_S_MASK | AR_TYPE_MASK)) != AR_TYPE_LDT || !(ldt.ar & AR_P_MASK))
        return fail(s, VECTOR_TS, selector);
    s->state->segment[SEG_LDTR] = segment_from(selector, &ldt);
    return true;
}

/* A segment register gets its hidden part, and the descriptor its accessed flag. */
static bool load_segment(struct switching *s, enum segment_index n, struct descriptor *descriptor)
{
    bool was_set;

    if (!(descriptor->ar & AR_TYPE_ACCESSED_MASK) &&
        !set_type_flag(s, descriptor->linear, AR_TYPE_ACCESSED_MASK, &was_set))
        return false;
    descriptor->ar |= AR_TYPE_ACCESSED_MASK;
    s->state->segment[n] = segment_from(s->image.segment[n], descriptor);
    return true;
}

static bool read_code(struct switching *s, struct descriptor *code)
{
    const u32 selector = s->image.segment[SEG_CS];
    const u32 rpl = selector & SELECTOR_RPL;

    if (!read_descriptor(s, selector, VECTOR_TS, code))
        return false;
    if (!is_code(code->ar) || AR_DPL(code->ar) > rpl)
        return fail(s, VECTOR_TS, selector);
    if (!(code->ar & AR_TYPE_CONFORMING_MASK) && AR_DPL(code->ar) != rpl)
        return fail(s, VECTOR_TS, selector);
    return true;
}

static bool read_stack(struct switching *s, struct descriptor *stack)
{
    const u32 selector = s->image.segment[SEG_SS];

    if (!read_descriptor(s, selector, VECTOR_TS, stack))
        return false;
    if (!(stack->ar & AR_S_MASK) || is_code(stack->ar) || !(stack->ar & AR_TYPE_WRITEABLE_MASK))
        return fail(s, VECTOR_TS, selector);
    if (!(stack->ar & AR_P_MASK))
        return fail(s, VECTOR_SS, selector);
    if (AR_DPL(stack->ar) != (s->image.segment[SEG_CS] & SELECTOR_RPL))
        return fail(s, VECTOR_TS, selector);
    return true;
}

/* CPL is the code selector's RPL. Both registers are loaded, or neither. */
static bool load_code_and_stack(struct switching *s)
{
    const u32 cs = s->image.segment[SEG_CS], ss = s->image.segment[SEG_SS];
    struct segment *loaded = s->state->segment;
    struct segment placeholder = loaded[SEG_SS];
    struct descriptor code, stack;

    if (!read_code(s, &code) || !read_stack(s, &stack))
        return false;
    if (!(code.ar & AR_P_MASK))
        return fail(s, VECTOR_NP, cs);
    if (AR_DPL(stack.ar) != (ss & SELECTOR_RPL))
        return fail(s, VECTOR_TS, ss);
    if (!load_segment(s, SEG_SS, &stack))
        return false;
    if (!load_segment(s, SEG_CS, &code)) {
        loaded[SEG_SS] = placeholder;
        return false;
    }
    s->state->paging.cpl = cs & SELECTOR_RPL;
    return true;
}

static bool load_data_segment(struct switching *s, enum segment_index n)
{
    const u32 selector = s->image.segment[n];
    u32 cpl = s->state->paging.cpl, rpl = selector & SELECTOR_RPL, dpl;
    struct descriptor data;

    if (is_null(selector))
        return true;
    if (!read_descriptor(s, selector, VECTOR_TS, &data))
        return false;
    if (!(data.ar & AR_S_MASK) || (is_code(data.ar) && !(data.ar & AR_TYPE_READABLE_MASK)))
        return fail(s, VECTOR_TS, selector);
    if (!(data.ar & AR_P_MASK))
        return fail(s, VECTOR_NP, selector);
    dpl = AR_DPL(data.ar);
    if (!(is_code(data.ar) && (data.ar & AR_TYPE_CONFORMING_MASK)) && (rpl > dpl || cpl > dpl))
        return fail(s, VECTOR_TS, selector);
    return load_segment(s, n, &data);
}

static bool load_segments(struct switching *s)
{
    if (!load_ldtr(s))
        return false;
    if (s->state->eflags & RFLAGS_VM)
        return true;
    return load_code_and_stack(s) && load_data_segment(s, SEG_DS) && load_data_segment(s, SEG_ES) &&
           load_data_segment(s, SEG_FS) && load_data_segment(s, SEG_GS);
}

/* ---- what an event's delivery ends with: SDM vol. 2, "INT n", TASK-GATE */

static bool stack_linear(const struct task_state *state, u32 offset, u32 size, u64 *linear)
{
    const struct segment *ss = &state->segment[SEG_SS];
    const struct segment_state stack = {.base = ss->base, .limit = ss->limit, .ar = ss->ar};
    const struct segment_access access = {
        .mode = state->eflags & RFLAGS_VM ? MODE_V86 : MODE_PROTECTED,
        .segment = SEGMENT_SS,
        .write = true,
        .size = size,
        .offset = offset,
    };
    u8 vector;

    return segment_to_linear(&stack, &access, linear, &vector);
}

/* With the size of the new TSS, on the new stack, at the new CPL. */
static bool push_error_code(struct switching *s)
{
    struct task_state *state = s->state;
    const u32 mask = state->segment[SEG_SS].ar & AR_DB_MASK ? 0xffffffff : 0xffff;
    const u32 size = is_32(s->tss.ar) ? sizeof(u32) : sizeof(u16);
    u32 *esp = &state->gpr[4];
    u32 offset = (*esp - size) & mask;
    struct walk_fault fault;
    u64 linear;

    if (!(s->request->event & INTR_INFO_DELIVER_CODE_MASK))
        return true;
    if (!stack_linear(state, offset, size, &linear))
        return fail(s, VECTOR_SS, 0);
    if (!walk_write(&state->paging, linear, &s->request->error_code, size, &fault))
        return fail_page(s, &fault);
    *esp = (*esp & ~mask) | offset;
    return true;
}

static bool check_eip(struct switching *s)
{
    return s->state->eip <= s->state->segment[SEG_CS].limit || fail(s, VECTOR_GP, 0);
}

struct task_result task_switch(const struct task_switch *request, struct task_state *state)
{
    struct task_result result = {.switched = false};
    struct switching s = {
        .request = request,
        .state = state,
        .fault = &result.fault,
        .external = external_bit(request->event),
    };

    result.faulted = !leave_old_task(&s);
    if (result.faulted)
        return result;
    commit(&s);
    result.switched = true;
    result.faulted = !load_segments(&s) || !push_error_code(&s) || !check_eip(&s);
    result.debug_trap = !result.faulted && s.image.trap;
    return result;
}
