/* hv/task_switch.c: any tables and task state segments; what is not switched stays as it was. */
#include "fuzz.h"

#include "hv/task_switch.h"
#include "vmx.h"
#include "x86.h"

#define GDT 0x10000u
#define LDT 0x11000u
#define OLD 0x20000u
#define NEW 0x21000u

static u64 descriptor(u64 base, u64 limit, u64 access, u64 flags)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 0xf) << 48 |
           flags << 52 | (base >> 24 & 0xff) << 56;
}

static void put_tables(void)
{
    static const u8 types[] = {0x9a, 0x92, 0x8b, 0x89, 0x82, 0xfa, 0xf2, 0x9e,
                               0x90, 0x98, 0x81, 0x83, 0x1a, 0x12, 0x85, 0x00};

    for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
        bool system = !(types[i] & 0x10);
        u64 base = types[i] == 0x82 ? LDT : i & 1 ? NEW : OLD;

        memory_put(GDT + 8 + 8 * i, system ? descriptor(base, 0x67, types[i], 0)
                                           : descriptor(0, 0xfffff, types[i], 0xc));
    }
}

static void put16(u64 pa, u16 value)
{
    u64 at = pa & ~7ull, shift = 8 * (pa % 8);

    memory_put(at, (memory_get(at) & ~(0xffffull << shift)) | (u64)value << shift);
}

static void put_tss(struct input *in)
{
    static const u8 selectors[] = {0x48, 0x4c, 0x50, 0x54, 0x58, 0x5c, 0x60};

    for (u32 i = 0; i < ARRAY_SIZE(selectors); i++) {
        u8 kind = take8(in);

        put16(NEW + selectors[i], kind & 0x80 ? take16(in) : kind & 0x7f);
    }
    put16(NEW + 0x24, take16(in));
    put16(NEW + 0x26, take8(in) & 7);
    if (take8(in) & 1)
        put16(NEW + 0x64, take16(in));
}

static struct task_state take_state(struct input *in)
{
    struct task_state state = {
        .eip = take32(in),
        .eflags = 2 | (take32(in) & 0x3f7fd5),
        .dr7 = 0x400 | take16(in),
        .gdtr = {.limit = take8(in) & 1 ? 0x87 : take16(in), .base = GDT},
    };
    u8 kinds = take8(in);

    for (u32 i = 0; i < 8; i++)
        state.gpr[i] = take32(in);
    for (u32 i = 0; i < SEG_COUNT; i++)
        state.segment[i] =
            (struct segment){.selector = 0x10, .limit = 0xffffffff, .ar = 0xc093, .base = 0};
    state.segment[SEG_CS].ar = 0xc09b;
    state.segment[SEG_TR] = (struct segment){
        .selector = 0x18, .limit = 0x67, .ar = kinds & 1 ? 0x83 : 0x8b, .base = OLD};
    state.segment[SEG_LDTR] = (struct segment){
        .selector = 0x28, .limit = 0x2f, .ar = kinds & 2 ? 0x10082 : 0x82, .base = LDT};
    state.paging = (struct walk_context){
        .cr0 = CR0_PE | CR0_NE | (kinds & 4 ? CR0_TS : 0),
        .cr4 = kinds & 8 ? CR4_PAE : 0,
        .physical_bits = 36,
    };
    if (kinds & 0x10) {
        state.paging.cr0 |= CR0_PG | CR0_WP;
        state.paging.cr3 = 0x30000;
    }
    return state;
}

/* Without paging a switch writes its own two segments and the descriptor table. */
static void see_write(u64 pa)
{
    DEMAND((pa >= GDT && pa < GDT + 0x10000) || (pa >= OLD - 8 && pa < OLD + 0x70) ||
           (pa >= NEW - 8 && pa < NEW + 0x70));
}

static void check_switched(const struct task_state *state, const struct task_switch *request)
{
    DEMAND(state->paging.cr0 & CR0_TS);
    DEMAND(state->eflags & 2);
    DEMAND(!(state->dr7 & 0x155));
    DEMAND((state->segment[SEG_TR].selector & ~3) == (request->selector & ~3));
    DEMAND((state->segment[SEG_TR].ar & 0x9f) == 0x83 ||
           (state->segment[SEG_TR].ar & 0x9f) == 0x8b);
    DEMAND(request->source == TASK_SWITCH_JMP || request->source == TASK_SWITCH_IRET ||
           state->eflags & 0x4000);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    struct vmx_caps caps = {.physical_bits = 36, .linear_bits = 48};
    u8 kinds = take8(&in);
    struct task_switch request = {
        .selector = kinds & 0x80   ? take16(&in)
                    : kinds & 0x40 ? 0x80
                                   : 0x20,
        .source = kinds & 3,
        .caps = &caps,
    };
    struct task_state state, before;
    struct task_result result;
    bool paging, edited = false;

    memory_word = NULL;
    memory_reset(take64(&in));
    if (request.source == TASK_SWITCH_GATE) {
        request.event = INTR_INFO_VALID_MASK | (take32(&in) & 0xfff);
        request.error_code = take16(&in);
    }
    state = take_state(&in);
    put_tables();
    put_tss(&in);
    if (state.paging.cr0 & CR0_PG) /* one to one, as far as needed */
        for (u32 i = 0; i < 512; i++)
            memory_put(0x30000 + 8 * i, 0);
    while (in.end - in.at > 12) {
        u64 pa = take32(&in) & 0x3fff8;

        memory_put(pa, take64(&in));
        edited = true;
    }
    edited |= state.gdtr.limit > 0x87; /* descriptors of any kind */
    before = state;
    paging = state.paging.cr0 & CR0_PG;
    result = task_switch(&request, &state);
    DEMAND(result.switched || result.faulted);
    if (!result.switched)
        DEMAND(!memcmp(&state, &before, sizeof(state)) && !result.debug_trap);
    if (result.faulted)
        DEMAND(result.fault.vector == VECTOR_TS || result.fault.vector == VECTOR_NP ||
               result.fault.vector == VECTOR_SS || result.fault.vector == VECTOR_GP ||
               result.fault.vector == VECTOR_PF);
    if (result.switched)
        check_switched(&state, &request);
    if (!paging && !edited && !(request.event & INTR_INFO_DELIVER_CODE_MASK))
        memory_written(see_write);
    return 0;
}
