/*
 * Translation of linear addresses in every paging mode, against a plain model of the SDM's
 * rules. A "shape" is a paging mode with a page size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "fake_phys.h"
#include "mm/pool.h"
#include "mm/walk.h"
#include "x86.h"

#define ROOT        0x10000ull /* tables at ROOT, ROOT + 1 page, ... down the levels */
#define LINEAR_LONG 0x00ab6789abcdef58ull
#define LINEAR_32   0x89abcf58ull

enum mode { MODE_32, MODE_PAE, MODE_4, MODE_5 };

struct shape {
    const char *name;
    enum mode mode;
    u32 top;   /* level of the first entry that is read from memory */
    u32 level; /* of the entry that maps the page */
    u32 shift; /* of the page size */
};

static const struct shape shapes[] = {
    {"32-bit, 4K", MODE_32, 2, 1, 12}, {"32-bit, 4M", MODE_32, 2, 2, 22},
    {"PAE, 4K", MODE_PAE, 2, 1, 12},   {"PAE, 2M", MODE_PAE, 2, 2, 21},
    {"4-level, 4K", MODE_4, 4, 1, 12}, {"4-level, 2M", MODE_4, 4, 2, 21},
    {"4-level, 1G", MODE_4, 4, 3, 30}, {"5-level, 4K", MODE_5, 5, 1, 12},
    {"5-level, 2M", MODE_5, 5, 2, 21}, {"5-level, 1G", MODE_5, 5, 3, 30},
};

static struct walk_context context;
static const struct shape *shape;
static u64 linear;

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    return 0;
}

static u64 slot(u32 level)
{
    u64 table = ROOT + (shape->top - level) * PAGE_SIZE;
    u32 width = shape->mode == MODE_32 ? 10 : 9;
    u64 index = linear >> (12 + width * (level - 1)) & (BIT64(width) - 1);

    return table + index * (shape->mode == MODE_32 ? 4 : 8);
}

static u64 get(u32 level)
{
    return shape->mode == MODE_32 ? fake_get32(slot(level)) : fake_get64(slot(level));
}

static void put(u32 level, u64 entry)
{
    if (shape->mode == MODE_32)
        fake_put32(slot(level), (u32)entry);
    else
        fake_put64(slot(level), entry);
}

/* Where the shape's page is: with address bits above 32 wherever the format has them. */
static u64 page_base(void)
{
    if (shape->mode == MODE_32)
        return shape->level == 1 ? 0x56789000 : 0x3512400000;
    return 0x3540000000 | (0x12345000 & ~(BIT64(shape->shift) - 1));
}

static u64 leaf_address(void)
{
    if (shape->mode == MODE_32 && shape->level == 2)
        return 0x12400000 | 0x35 << 13; /* PSE-36 */
    return page_base();
}

/* Tables for the shape's page; flags for all levels, present and everything allowed. */
static void build(void)
{
    for (u32 level = shape->top; level >= shape->level; level--) {
        u64 entry = PTE_P | PTE_W | PTE_U;

        if (level > shape->level)
            entry |= ROOT + (shape->top - level + 1) * PAGE_SIZE;
        else
            entry |= leaf_address() | (level > 1 ? PTE_PS : 0);
        put(level, entry);
    }
}

static void use(const struct shape *new_shape)
{
    shape = new_shape;
    linear = shape->mode >= MODE_4 ? LINEAR_LONG : LINEAR_32;
    if (shape->mode == MODE_4)
        linear &= 0x00007fffffffffff;
    context = (struct walk_context){
        .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = ROOT | 0x18, .physical_bits = 40, .has_1g = true};
    context.cr4 = shape->mode == MODE_32 ? CR4_PSE : CR4_PAE;
    context.efer = shape->mode >= MODE_4 ? EFER_LME | EFER_LMA | EFER_NXE : EFER_NXE;
    if (shape->mode == MODE_PAE) {
        context.cr3 = 0xfffe0;
        context.pdpte[linear >> 30] = ROOT | PTE_P | PTE_PWT;
    }
    if (shape->mode == MODE_5)
        context.cr4 |= CR4_LA57;
    build();
}

#define FOR_EACH_SHAPE(i) for (u32 i = 0; i < ARRAY_SIZE(shapes) && (use(&shapes[i]), true); i++)

static void no_paging_is_the_identity(void **state)
{
    struct walk_context none = {.cr0 = CR0_PE | CR0_WP,
                                .cr4 = CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_PKE,
                                .pkru = ~0u,
                                .physical_bits = 40,
                                .cpl = 3};
    struct walk_fault fault;
    u8 out[8];
    u64 pa;
    u32 error;

    (void)state;
    assert_true(walk_linear(&none, 0x12345678, WALK_WRITE, &pa, &error));
    assert_int_equal(pa, 0x12345678);
    assert_true(walk_linear(&none, 0x112345678, WALK_READ, &pa, &error));
    assert_int_equal(pa, 0x12345678);
    assert_true(walk_write(&none, 0x100200ffcull, "abcdefgh", 8, &fault));
    assert_true(walk_read(&none, 0x200ffc, out, 8, &fault));
    assert_memory_equal(out, "abcdefgh", 8);
    assert_int_equal(fake_get32(0x201000), 0x68676665);
}

static void every_shape_translates(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 pa = 0;
        u32 error;

        assert_true(walk_linear(&context, linear, WALK_READ, &pa, &error));
        assert_int_equal(pa, page_base() | (linear & (BIT64(shape->shift) - 1)));
        /* Each entry is read once. */
        assert_int_equal(fake_reads, shape->top - shape->level + 1);
        fake_reads = 0;
    }
}

/* Bit 7 of a directory entry means nothing with CR4.PSE clear. */
static void pse_off_ignores_the_size_bit(void **state)
{
    u64 pa;
    u32 error;

    (void)state;
    use(&shapes[0]);
    context.cr4 = 0;
    put(2, get(2) | PTE_PS);
    assert_true(walk_linear(&context, linear, WALK_READ, &pa, &error));
    assert_int_equal(pa, page_base() | (linear & 0xfff));
}

/* High halves of linear addresses are cut off where they do not exist. */
static void linear_addresses_are_32_bits_outside_long_mode(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 pa, pa_high;
        u32 error;

        if (shape->mode >= MODE_4)
            continue;
        assert_true(walk_linear(&context, linear, WALK_READ, &pa, &error));
        assert_true(
            walk_linear(&context, linear | 0xffffffff00000000, WALK_READ, &pa_high, &error));
        assert_int_equal(pa, pa_high);
    }
}

/* ---- Rights ---- */

struct rights {
    bool w, u, x; /* of the page: over all levels */
    u32 key;
};

static bool bit(u64 value, u64 mask) { return (value & mask) != 0; }

/* The SDM's access rights as a list of what is prohibited; ~0u: allowed, else the error code. */
static u32 model(const struct rights *page, u32 access)
{
    bool wp = bit(context.cr0, CR0_WP), long_mode = bit(context.efer, EFER_LMA);
    bool write = bit(access, WALK_WRITE), fetch = bit(access, WALK_FETCH);
    bool user = (context.cpl == 3 || bit(access, WALK_USER)) && !bit(access, WALK_IMPLICIT);
    bool nxe = bit(context.efer, EFER_NXE) && shape->mode != MODE_32;
    bool bad = false, pk = false;

    if (user && !page->u)
        bad = true;
    if (!user && page->u && fetch && bit(context.cr4, CR4_SMEP))
        bad = true;
    if (!user && page->u && !fetch && bit(context.cr4, CR4_SMAP))
        if (bit(access, WALK_IMPLICIT) || !bit(context.rflags, RFLAGS_AC))
            bad = true;
    if (fetch && nxe && !page->x)
        bad = true;
    if (write && !page->w && (user || wp))
        bad = true;
    if (long_mode && !fetch && page->u && bit(context.cr4, CR4_PKE)) {
        pk = pk || bit(context.pkru, BIT(2 * page->key));
        pk = pk || (bit(context.pkru, BIT(2 * page->key + 1)) && write && (user || wp));
    }
    if (long_mode && !fetch && !page->u && !user && bit(context.cr4, CR4_PKS)) {
        pk = pk || bit(context.pkrs, BIT(2 * page->key));
        pk = pk || (bit(context.pkrs, BIT(2 * page->key + 1)) && write && wp);
    }
    if (!bad && !pk)
        return ~0u;
    return 1u | (write ? 2u : 0) | (user ? 4u : 0) |
           (fetch && (nxe || bit(context.cr4, CR4_SMEP)) ? 0x10u : 0) | (pk ? 0x20u : 0);
}

static void check(const struct rights *page, u32 access)
{
    u32 want = model(page, access), error = ~0u;
    u64 pa;
    bool done = walk_linear(&context, linear, access, &pa, &error);

    if (done != (want == ~0u) || (!done && error != want))
        fail_msg("%s: w%d u%d x%d key %u, cpl %u access %#x cr0 %#llx cr4 %#llx efer %#llx: "
                 "%s %#x, expected %#x",
                 shape->name, page->w, page->u, page->x, page->key, context.cpl, access,
                 (unsigned long long)context.cr0, (unsigned long long)context.cr4,
                 (unsigned long long)context.efer, done ? "allowed" : "fault", error, want);
}

static const u32 accesses[] = {
    WALK_READ,
    WALK_WRITE,
    WALK_FETCH,
    WALK_READ | WALK_USER,
    WALK_WRITE | WALK_USER,
    WALK_FETCH | WALK_USER,
    WALK_READ | WALK_IMPLICIT,
    WALK_WRITE | WALK_IMPLICIT,
};

static u64 rights_entry(u64 entry, u32 bits)
{
    entry &= ~(PTE_W | PTE_U | PTE_NX);
    return entry | (bits & 1 ? PTE_W : 0) | (bits & 2 ? PTE_U : 0) | (bits & 4 ? PTE_NX : 0);
}

/* Each right in the top and in the last entry, each control bit, each access, each CPL. */
static void rights_match_the_model(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 cr4 = context.cr4, efer = context.efer & ~EFER_NXE;
        u64 top = get(shape->top), leaf = get(shape->level);

        for (u32 controls = 0; controls < 64; controls++) {
            bool nxe = controls & 16;

            context.cr0 = CR0_PE | CR0_PG | (controls & 1 ? CR0_WP : 0);
            context.cr4 = cr4 | (controls & 2 ? CR4_SMEP : 0) | (controls & 4 ? CR4_SMAP : 0);
            context.rflags = controls & 8 ? RFLAGS_AC : 0;
            context.efer = efer | (nxe ? EFER_NXE : 0);
            context.cpl = controls & 32 ? 3 : 0;
            for (u32 bits = 0; bits < 64; bits++) {
                bool same = shape->top == shape->level;
                u32 upper = same ? bits & 7 : bits >> 3, lower = bits & 7;
                struct rights page = {
                    .w = upper & lower & 1, .u = upper & lower & 2, .x = !((upper | lower) & 4)};

                if (shape->mode != MODE_32 && !nxe && !page.x)
                    continue; /* reserved then */
                put(shape->top, rights_entry(top, upper));
                put(shape->level, rights_entry(leaf, lower));
                for (u32 a = 0; a < ARRAY_SIZE(accesses); a++)
                    check(&page, accesses[a]);
            }
        }
    }
}

/* A right that is missing at one level alone, whichever that is. */
static void rights_of_each_level_count(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        context.cr4 |= CR4_SMEP | CR4_SMAP;
        for (u32 level = shape->level; level <= shape->top; level++)
            for (u32 lost = 0; lost < (shape->mode == MODE_32 ? 4u : 8u); lost++) {
                const struct rights page = {.w = !(lost & 1), .u = !(lost & 2), .x = !(lost & 4)};
                u64 entry = get(level);

                put(level, rights_entry(entry, lost ^ 3));
                for (context.cpl = 0; context.cpl < 4; context.cpl += 3)
                    for (u32 a = 0; a < ARRAY_SIZE(accesses); a++)
                        check(&page, accesses[a]);
                put(level, entry);
            }
    }
}

/* With CR4.CET a page of a shadow stack, not writable but dirty, is read as any other, and no
   ordinary write reaches it: PF_SS stays clear. */
static void shadow_stacks_take_no_writes(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        struct rights page = {.u = true, .x = true};

        context.cr4 |= CR4_CET;
        for (u32 user = 0; user < 2; user++) {
            page.u = user;
            put(shape->level, rights_entry(get(shape->level), user << 1) | PTE_D);
            for (context.cpl = 0; context.cpl < 4; context.cpl += 3)
                for (u32 a = 0; a < ARRAY_SIZE(accesses); a++)
                    check(&page, accesses[a]);
        }
    }
}

/* Control bits that belong to other modes, and what CR3 holds besides the address. */
static void bits_of_other_modes_change_nothing(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 pa;
        u32 error;

        if (shape->mode != MODE_32)
            context.cr4 |= CR4_PSE;
        if (shape->mode < MODE_4)
            context.cr4 |= CR4_LA57;
        else
            context.cr3 |= CR3_LAM_U48 | CR3_LAM_U57 | 0xfff; /* a PCID, if any */
        context.cr4 |= CR4_PGE | CR4_PCIDE;
        assert_true(walk_linear(&context, linear, WALK_WRITE, &pa, &error));
        assert_int_equal(pa, page_base() | (linear & (BIT64(shape->shift) - 1)));
    }
}

/* CPL 1 and 2 are supervisor. */
static void rings_1_and_2_are_supervisor(void **state)
{
    struct rights page = {.w = true, .x = true};

    (void)state;
    FOR_EACH_SHAPE(i)
    {
        put(shape->level, get(shape->level) & ~PTE_U);
        for (context.cpl = 0; context.cpl < 4; context.cpl++)
            check(&page, WALK_WRITE);
    }
}

static void protection_keys_match_the_model(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 cr4 = context.cr4, leaf = get(shape->level) & ~(PTE_U | PTE_W);

        if (shape->mode == MODE_PAE || shape->mode == MODE_32)
            continue;
        for (u32 key = 0; key < 16; key++) {
            for (u32 bits = 0; bits < 512; bits++) {
                struct rights page = {.w = bits & 1, .u = bits & 2, .x = true, .key = key};

                put(shape->level,
                    leaf | (bits & 1 ? PTE_W : 0) | (bits & 2 ? PTE_U : 0) | (u64)key << 59);
                context.cr4 = cr4 | (bits & 4 ? CR4_PKE : 0) | (bits & 8 ? CR4_PKS : 0);
                context.cr0 = CR0_PE | CR0_PG | (bits & 16 ? CR0_WP : 0);
                context.cpl = bits & 32 ? 3 : 0;
                context.pkru = (u32)((bits >> 6 & 3) << 2 * key);
                context.pkrs = (u32)((bits >> 7 & 3) << 2 * key);
                if (bits & 256) { /* every other key forbidden */
                    context.pkru |= ~(3u << 2 * key);
                    context.pkrs |= ~(3u << 2 * key);
                }
                for (u32 a = 0; a < ARRAY_SIZE(accesses); a++)
                    check(&page, accesses[a]);
            }
        }
    }
}

/* Protection keys are a matter of long mode: bits 62:59 of a PAE entry are reserved. */
static void protection_keys_need_long_mode(void **state)
{
    struct rights page = {.w = true, .u = true, .x = true};

    (void)state;
    FOR_EACH_SHAPE(i)
    {
        if (shape->mode >= MODE_4)
            continue;
        context.cr4 |= CR4_PKE | CR4_PKS;
        context.pkru = context.pkrs = ~0u;
        check(&page, WALK_WRITE);
    }
}

/* ---- Faults without a translation ---- */

static u32 fault_of(u32 access)
{
    u32 error = ~0u;
    u64 pa;

    return walk_linear(&context, linear, access, &pa, &error) ? ~0u : error;
}

static void not_present_at_each_level(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        for (u32 level = shape->level; level <= shape->top; level++) {
            u64 entry = get(level);

            put(level, ~PTE_P); /* reserved bits do not matter then */
            context.cpl = 0;
            assert_int_equal(fault_of(WALK_READ), 0);
            assert_int_equal(fault_of(WALK_WRITE), PF_WRITE);
            assert_int_equal(fault_of(WALK_FETCH), shape->mode == MODE_32 ? 0 : PF_FETCH);
            context.cpl = 3;
            assert_int_equal(fault_of(WALK_WRITE), PF_WRITE | PF_USER);
            assert_int_equal(fault_of(WALK_READ | WALK_IMPLICIT), 0);
            put(level, entry);
        }
        if (shape->mode == MODE_PAE) {
            context.pdpte[linear >> 30] &= ~PTE_P;
            assert_int_equal(fault_of(WALK_READ), PF_USER);
        }
    }
}

/* The bits that are reserved, from the tables of the SDM's chapter on paging, row by row. */
static bool model_reserved(u32 level, u32 n, u64 entry)
{
    u32 m = context.physical_bits;
    bool nxe = bit(context.efer, EFER_NXE), large = bit(entry, PTE_PS);

    if (shape->mode == MODE_32) {
        if (level == 2 && large) /* M-20 bits are used, the rest up to 21 reserved */
            return n <= 21 && n >= (m >= 40 ? 21u : m - 19);
        return false;
    }
    if (n == 63)
        return !nxe;
    if (n >= 52)
        return shape->mode == MODE_PAE;
    if (n >= m)
        return true;
    if (level >= 4)
        return n == 7;
    if (level == 3 && large)
        return !context.has_1g ? n == 7 : n >= 13 && n <= 29;
    if (level == 2 && large)
        return n >= 13 && n <= 20;
    return false;
}

static void reserved_bits_at_each_level(void **state)
{
    static const u32 widths[] = {39, 40, 46, 52};

    (void)state;
    FOR_EACH_SHAPE(i)
    {
        for (u32 variant = 0; variant < 4 * ARRAY_SIZE(widths); variant++) {
            context.physical_bits = widths[variant / 4];
            context.has_1g = (variant & 1) || shape->level == 3;
            context.efer = (context.efer & ~EFER_NXE) | (variant & 2 ? EFER_NXE : 0);
            for (u32 level = shape->level; level <= shape->top; level++) {
                u64 entry = get(level);

                for (u32 n = 1; n < (shape->mode == MODE_32 ? 32u : 64u); n++) {
                    u64 changed = entry | BIT64(n);
                    bool reserved = model_reserved(level, n, changed);
                    u32 error = ~0u;
                    u64 pa;

                    /* What makes another page or table of it is not this test's. */
                    if (n == 7 && level > 1 && !reserved)
                        continue;
                    if (n >= 27 && n < 52 && level > shape->level && !reserved)
                        continue; /* a table beyond memory: all ones */
                    put(level, changed);
                    if (reserved != (fault_of(WALK_READ) == (PF_PRESENT | PF_RESERVED)))
                        fail_msg("%s: level %u bit %u, width %u: expected %s", shape->name, level,
                                 n, context.physical_bits, reserved ? "a fault" : "none");
                    if (reserved)
                        assert_false(walk_linear(&context, linear, WALK_WRITE, &pa, &error));
                    put(level, entry);
                }
            }
        }
    }
}

static void a_1g_page_needs_the_feature(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        context.has_1g = false;
        assert_int_equal(fault_of(WALK_READ), shape->level == 3 ? PF_PRESENT | PF_RESERVED : ~0u);
    }
}

/* PSE-36 with address bits that the processor has not. */
static void pse36_is_as_wide_as_the_processor(void **state)
{
    u64 pa;

    (void)state;
    use(&shapes[1]);
    for (context.physical_bits = 36; context.physical_bits <= 52; context.physical_bits++) {
        u32 width = context.physical_bits < 40 ? context.physical_bits : 40;

        for (u32 n = 13; n <= 21; n++) {
            u32 error = 0;
            bool done;

            put(2, 0x12400000 | BIT64(n) | PTE_PS | PTE_P);
            done = walk_linear(&context, linear, WALK_READ, &pa, &error);
            assert_int_equal(done, n - 13 + 32 < width);
            if (done)
                assert_int_equal(pa, 0x12400000 | BIT64(n - 13 + 32) | (linear & 0x3fffff));
            else
                assert_int_equal(error, PF_PRESENT | PF_RESERVED);
        }
    }
}

/* Tables in L0's memory read as all ones: a fault or an address, never what is there. */
static void hidden_tables_show_nothing(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        fake_phys_hide(ROOT, 8 * PAGE_SIZE);
        if (shape->mode == MODE_32)
            fault_of(WALK_WRITE);
        else
            assert_int_equal(fault_of(WALK_WRITE), PF_PRESENT | PF_RESERVED | PF_WRITE);
        assert_int_equal(fake_sets, 0);
        fake_phys_hide(0, 0);
    }
}

/* ---- Accessed and dirty ---- */

static void flags_are_set_as_by_the_processor(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        assert_int_equal(fault_of(WALK_READ), ~0u);
        for (u32 level = shape->level; level <= shape->top; level++) {
            assert_true(get(level) & PTE_A);
            assert_false(get(level) & PTE_D);
        }
        fake_sets = 0;
        assert_int_equal(fault_of(WALK_READ), ~0u);
        assert_int_equal(fake_sets, 0); /* nothing left to set */
        assert_int_equal(fault_of(WALK_WRITE), ~0u);
        for (u32 level = shape->level; level <= shape->top; level++)
            assert_int_equal(bit(get(level), PTE_D), level == shape->level);
        assert_int_equal(fake_sets, 1);
        build();
        fake_sets = 0;
        put(shape->level, get(shape->level) & ~(PTE_W | PTE_U));
        assert_int_not_equal(fault_of(WALK_WRITE), ~0u);
        context.cpl = 3;
        assert_int_not_equal(fault_of(WALK_READ), ~0u);
        assert_int_equal(fake_sets, 0); /* none on a fault */
    }
}

static u32 races;

/* L1 takes the write right away between L0's reading the entry and setting the flag. */
static void take_write_right(u64 pa)
{
    if (pa == slot(shape->level) && races++ == 0)
        put(shape->level, get(shape->level) & ~PTE_W);
}

static void toggle_ignored_bit(u64 pa)
{
    (void)pa;
    races++;
    put(shape->level, get(shape->level) ^ BIT64(10)); /* bit 10 is ignored */
}

static void a_changed_entry_is_walked_again(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        races = 0;
        fake_before_set = take_write_right;
        assert_int_equal(fault_of(WALK_WRITE), PF_PRESENT | PF_WRITE);
        assert_false(get(shape->level) & PTE_D);
        fake_before_set = NULL;
    }
}

static void a_race_without_end_ends(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(i)
    {
        u64 pa = 0;
        u32 error;

        races = 0;
        fake_before_set = toggle_ignored_bit;
        assert_true(walk_linear(&context, linear, WALK_WRITE, &pa, &error));
        assert_int_equal(pa, page_base() | (linear & (BIT64(shape->shift) - 1)));
        assert_in_range(races, 2, 1000);
        fake_before_set = NULL;
    }
}

/* A table that maps itself: one entry is read at two levels. */
static void recursive_tables_work(void **state)
{
    u64 pa;
    u32 error;

    (void)state;
    use(&shapes[4]);
    linear = (0xfeull << 39) | (0xfeull << 30) | (0xfeull << 21) | (0xfeull << 12);
    fake_put64(ROOT + 0xfe * 8, ROOT | PTE_P | PTE_W);
    assert_true(walk_linear(&context, linear | 0x123, WALK_WRITE, &pa, &error));
    assert_int_equal(pa, ROOT | 0x123);
    assert_int_equal(fake_get64(ROOT + 0xfe * 8), ROOT | PTE_P | PTE_W | PTE_A | PTE_D);
}

/* ---- Reading and writing ---- */

#define DATA_A 0x200000ull
#define DATA_B 0x300000ull

/* Two pages next to each other in linear addresses, apart in physical ones. */
static void build_two_pages(void)
{
    linear = align_down(linear, SIZE_2M) | 0x7000;
    build();
    put(1, DATA_A | PTE_P | PTE_W);
    linear += PAGE_SIZE;
    put(1, DATA_B | PTE_P | PTE_W);
    linear -= PAGE_SIZE;
}

static void copies_cross_pages(void **state)
{
    struct walk_fault fault;
    u8 in[64], out[64];

    (void)state;
    for (u32 i = 0; i < sizeof(in); i++)
        in[i] = (u8)(i + 1);
    FOR_EACH_SHAPE(s)
    {
        if (shape->level != 1)
            continue;
        build_two_pages();
        for (u32 len = 1; len <= sizeof(in); len++) {
            for (u32 offset = 0x1000 - len; offset <= 0x1000; offset++) {
                memset(pool_va(DATA_A), 0, PAGE_SIZE);
                memset(pool_va(DATA_B), 0, PAGE_SIZE);
                memset(out, 0, sizeof(out));
                assert_true(walk_write(&context, linear + offset, in, len, &fault));
                assert_true(walk_read(&context, linear + offset, out, len, &fault));
                assert_memory_equal(in, out, len);
                for (u32 i = 0; i < len; i++) {
                    u64 at =
                        offset + i < 0x1000 ? DATA_A + offset + i : DATA_B + offset + i - 0x1000;
                    assert_int_equal(*((u8 *)pool_va(align_down(at, PAGE_SIZE)) + at % PAGE_SIZE),
                                     in[i]);
                }
            }
        }
        assert_true(walk_write(&context, linear, in, 0, &fault));
    }
}

static void a_fault_on_either_page_writes_nothing(void **state)
{
    u8 in[16];
    struct walk_fault fault;

    (void)state;
    memset(in, 0x77, sizeof(in));
    FOR_EACH_SHAPE(s)
    {
        u64 first;

        if (shape->level != 1)
            continue;
        build_two_pages();
        memset(pool_va(DATA_A), 0, PAGE_SIZE);
        memset(pool_va(DATA_B), 0, PAGE_SIZE);
        first = get(1);
        linear += PAGE_SIZE;
        put(1, DATA_B | PTE_P);
        linear -= PAGE_SIZE;
        assert_false(walk_write(&context, linear + 0xff8, in, 16, &fault));
        assert_int_equal(fault.address, linear + 0x1000);
        assert_int_equal(fault.error_code, PF_PRESENT | PF_WRITE);
        assert_int_equal(fake_get64(DATA_A + 0xff8), 0);
        put(1, first & ~PTE_P);
        assert_false(walk_read(&context, linear + 0xffc, in, 8, &fault));
        assert_int_equal(fault.address, linear + 0xffc);
        assert_int_equal(fault.error_code, 0);
        assert_int_equal(fake_get64(DATA_B), 0);
        context.cpl = 3;
        assert_false(walk_write(&context, linear + 0xffc, in, 8, &fault));
        assert_int_equal(fault.error_code, PF_WRITE | PF_USER);
    }
}

/* Each cause on either of two pages: the fault is at the first byte of the operand in that page,
   the first page's comes first, and neither page is read or written. */
static void faults_of_each_page(void **state)
{
    static const struct {
        const char *name;
        u64 clear, set;
        bool write, user, wide; /* wide: for entries of 8 bytes */
        u32 error_code;
    } causes[] = {
        {"absent, read", PTE_P, 0, false, false, false, 0},
        {"absent, written", PTE_P, 0, true, false, false, PF_WRITE},
        {"absent, user", PTE_P, 0, true, true, false, PF_WRITE | PF_USER},
        {"read-only", PTE_W, 0, true, false, false, PF_PRESENT | PF_WRITE},
        {"read-only, user", PTE_W, 0, true, true, false, PF_PRESENT | PF_WRITE | PF_USER},
        {"supervisor's", PTE_U, 0, false, true, false, PF_PRESENT | PF_USER},
        {"user's, SMAP", 0, PTE_U, false, false, false, PF_PRESENT},
        {"reserved", 0, BIT64(45), false, false, true, PF_PRESENT | PF_RESERVED},
        {"reserved, user", 0, BIT64(45), true, true, true,
         PF_PRESENT | PF_RESERVED | PF_WRITE | PF_USER},
    };
    u8 bytes[16];

    (void)state;
    memset(bytes, 0x77, sizeof(bytes));
    FOR_EACH_SHAPE(s)
    {
        u64 start;

        if (shape->level != 1)
            continue;
        build_two_pages();
        start = linear;
        memset(pool_va(DATA_A), 0, PAGE_SIZE);
        memset(pool_va(DATA_B), 0, PAGE_SIZE);
        for (u32 i = 0; i < 3 * ARRAY_SIZE(causes); i++) {
            u32 n = i / 3, pages = 1 + i % 3; /* bits: the first, the second page */
            u64 right = causes[n].user ? PTE_U : 0, entry[2];
            struct walk_fault fault = {0};
            bool done;

            if (causes[n].wide && shape->mode == MODE_32)
                continue;
            context.cpl = causes[n].user ? 3 : 0;
            context.cr4 |= CR4_SMAP;
            for (u32 page = 0; page < 2; page++) {
                linear = start + page * PAGE_SIZE;
                entry[page] = (page ? DATA_B : DATA_A) | PTE_P | PTE_W | right;
                if (pages & (1 << page))
                    entry[page] = (entry[page] & ~causes[n].clear) | causes[n].set;
                put(1, entry[page]);
            }
            linear = start;
            fake_bytes = 0;
            done = causes[n].write ? walk_write(&context, linear + 0xff9, bytes, 16, &fault)
                                   : walk_read(&context, linear + 0xff9, bytes, 16, &fault);
            if (done || fault.address != linear + (pages & 1 ? 0xff9 : 0x1000) ||
                fault.error_code != causes[n].error_code || fake_bytes)
                fail_msg("%s: %s, pages %u: %d at %#llx, %#x", shape->name, causes[n].name, pages,
                         done, (unsigned long long)fault.address, fault.error_code);
            assert_false(fake_get64(DATA_A + 0xff8) | fake_get64(DATA_B));
        }
    }
}

/* What L1 may change meanwhile: each entry once, each byte once. */
static void all_is_read_once(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(s)
    {
        struct walk_fault fault;
        u8 bytes[16];

        if (shape->level != 1)
            continue;
        build_two_pages();
        for (u32 offset = 0xfe0; offset <= 0x1000; offset++) {
            u32 pages = offset < 0x1000 && offset + 16 > 0x1000 ? 2 : 1;

            fake_reads = fake_bytes = 0;
            assert_true(walk_read(&context, linear + offset, bytes, 16, &fault));
            assert_int_equal(fake_reads, pages * shape->top);
            assert_int_equal(fake_bytes, 16);
            fake_reads = fake_bytes = 0;
            assert_true(walk_write(&context, linear + offset, bytes, 16, &fault));
            assert_int_equal(fake_reads, pages * shape->top);
            assert_int_equal(fake_bytes, 16);
        }
    }
}

/* Outside long mode a range wraps at 4 GiB. */
static void ranges_wrap_at_4g_outside_long_mode(void **state)
{
    struct walk_fault fault;
    u8 out[8];

    (void)state;
    FOR_EACH_SHAPE(s)
    {
        if (shape->mode >= MODE_4 || shape->level != 1)
            continue;
        for (u32 i = 0; i < 4; i++)
            context.pdpte[i] = ROOT | PTE_P;
        linear = 0xfffff000;
        build();
        put(1, DATA_A | PTE_P);
        linear = 0;
        build();
        put(1, DATA_B | PTE_P);
        fake_put32(DATA_A + 0xffc, 0x11223344);
        fake_put32(DATA_B, 0x55667788);
        assert_true(walk_read(&context, 0xfffffffc, out, 8, &fault));
        assert_memory_equal(out, "\x44\x33\x22\x11\x88\x77\x66\x55", 8);
        put(1, 0);
        assert_false(walk_read(&context, 0xfffffffc, out, 8, &fault));
        assert_int_equal(fault.address, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_paging_is_the_identity, setup),
        cmocka_unit_test_setup(every_shape_translates, setup),
        cmocka_unit_test_setup(pse_off_ignores_the_size_bit, setup),
        cmocka_unit_test_setup(linear_addresses_are_32_bits_outside_long_mode, setup),
        cmocka_unit_test_setup(rights_match_the_model, setup),
        cmocka_unit_test_setup(rights_of_each_level_count, setup),
        cmocka_unit_test_setup(shadow_stacks_take_no_writes, setup),
        cmocka_unit_test_setup(bits_of_other_modes_change_nothing, setup),
        cmocka_unit_test_setup(rings_1_and_2_are_supervisor, setup),
        cmocka_unit_test_setup(protection_keys_match_the_model, setup),
        cmocka_unit_test_setup(protection_keys_need_long_mode, setup),
        cmocka_unit_test_setup(not_present_at_each_level, setup),
        cmocka_unit_test_setup(reserved_bits_at_each_level, setup),
        cmocka_unit_test_setup(a_1g_page_needs_the_feature, setup),
        cmocka_unit_test_setup(pse36_is_as_wide_as_the_processor, setup),
        cmocka_unit_test_setup(hidden_tables_show_nothing, setup),
        cmocka_unit_test_setup(flags_are_set_as_by_the_processor, setup),
        cmocka_unit_test_setup(a_changed_entry_is_walked_again, setup),
        cmocka_unit_test_setup(a_race_without_end_ends, setup),
        cmocka_unit_test_setup(recursive_tables_work, setup),
        cmocka_unit_test_setup(copies_cross_pages, setup),
        cmocka_unit_test_setup(a_fault_on_either_page_writes_nothing, setup),
        cmocka_unit_test_setup(faults_of_each_page, setup),
        cmocka_unit_test_setup(all_is_read_once, setup),
        cmocka_unit_test_setup(ranges_wrap_at_4g_outside_long_mode, setup),
    };

    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
