/* mm/memtype.c: ranges against their pages, and those against the MTRRs taken one by one. */
#include "fuzz.h"

#include "mm/memtype.h"
#include "x86.h"

static struct mtrr_state take_state(struct input *in)
{
    struct mtrr_state state = {
        .cap = (take8(in) % (MTRR_VARIABLE_MAX + 1)) | MTRRCAP_FIXED | MTRRCAP_WC,
        .def_type = (take16(in) & 0xc07),
    };

    if (!memory_type_valid(state.def_type & 0xff))
        state.def_type &= ~0xffull;
    for (u32 i = 0; i < MTRR_FIXED_COUNT; i++) {
        u64 types = take64(in);

        for (u32 j = 0; j < 8; j++) {
            u64 type = types >> 8 * j & 7;

            state.fixed[i] |= (memory_type_valid(type) ? type : 6) << 8 * j;
        }
    }
    for (u32 i = 0; i < MTRR_VARIABLE_MAX; i++) {
        u64 type = take8(in) & 7;

        state.base[i] = (take64(in) & 0xfffffff000ull) | (memory_type_valid(type) ? type : 0);
        state.mask[i] = (take_value(in) & 0xfffffff000ull) | (take8(in) & 1 ? BIT64(11) : 0);
    }
    return state;
}

/* SDM vol. 3, "Fixed Range MTRRs". */
static int fixed_type(const struct mtrr_state *state, u64 pa)
{
    u64 reg, byte;

    if (pa < 0x80000) {
        reg = 0;
        byte = pa / 0x10000;
    } else if (pa < 0xc0000) {
        reg = 1 + (pa - 0x80000) / 0x20000;
        byte = (pa - 0x80000) / 0x4000 % 8;
    } else {
        reg = 3 + (pa - 0xc0000) / 0x8000;
        byte = (pa - 0xc0000) / 0x1000 % 8;
    }
    return (int)(state->fixed[reg] >> 8 * byte & 0xff);
}

/* SDM vol. 3, "MTRR Precedences". Combinations that are not defined: -1. */
static int page_type(const struct mtrr_state *state, u64 pa)
{
    bool types[8] = {false};
    u32 count = 0, only = 0;

    if (!(state->def_type & MTRR_DEF_TYPE_ENABLE))
        return MT_UC;
    if (pa < 0x100000 && (state->def_type & MTRR_DEF_TYPE_FIXED))
        return fixed_type(state, pa);
    for (u32 i = 0; i < (state->cap & MTRRCAP_COUNT); i++) {
        u64 mask = state->mask[i] & PAGE_MASK;

        if (state->mask[i] & BIT64(11) && (pa & mask) == (state->base[i] & mask))
            types[state->base[i] & 7] = true;
    }
    for (u32 i = 0; i < 8; i++)
        if (types[i]) {
            count++;
            only = i;
        }
    if (!count)
        return (int)(state->def_type & 0xff);
    if (types[MT_UC])
        return MT_UC;
    if (count == 1)
        return (int)only;
    return count == 2 && types[MT_WB] && types[MT_WT] ? MT_WT : -1;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    u64 pa = take_value(&in) & 0xfffffff000ull;
    u32 shift = 12 + take8(&in) % 8;
    struct mtrr_state state = take_state(&in);
    u64 start = align_down(pa, BIT64(shift)), pages = BIT64(shift) / PAGE_SIZE;
    int type = memtype_range(&state, start, BIT64(shift));
    int page = memtype_range(&state, pa, PAGE_SIZE), wanted = page_type(&state, pa);

    DEMAND(page != MEMTYPE_MIXED && memory_type_valid((u64)page));
    if (wanted >= 0)
        DEMAND(page == wanted);
    /* A range has a type only if each of its pages has it. */
    for (u64 i = 0; type != MEMTYPE_MIXED && i < pages; i++)
        DEMAND(memtype_range(&state, start + i * PAGE_SIZE, PAGE_SIZE) == type);
    return 0;
}
