/* mm/walk.c against a second walk of the paging structures, written from the SDM's tables. */
#include "fuzz.h"

#include "mm/walk.h"
#include "x86.h"

/* Entries that lead somewhere more often than not. */
static u64 entry_at(u64 pa)
{
    u64 random = mix(memory_seed(), pa);
    u64 kind = random >> 56;
    u64 entry = random & 0x8000000ffffff000ull;

    if (kind & 1)
        entry &= ~(BIT64(30) - 1) | BIT64(12);
    if (!(kind & 6))
        entry &= ~BIT64(63);
    if ((kind & 0x18) == 0x18)
        return random;
    return entry | (random >> 40 & 0xfe) | (kind & 0xe0 ? 1 : 0) | ((kind & 0x18) == 8 ? 0x67 : 0) |
           (random & 0x7800000000000000ull);
}

enum { MODE_NONE, MODE_32, MODE_PAE, MODE_4, MODE_5 };

struct result {
    bool ok;
    u32 error;
    u64 pa;
};

static u32 mode_of(const struct walk_context *c)
{
    if (!(c->cr0 & CR0_PG))
        return MODE_NONE;
    if (!(c->cr4 & CR4_PAE))
        return MODE_32;
    if (!(c->efer & EFER_LMA))
        return MODE_PAE;
    return c->cr4 & CR4_LA57 ? MODE_5 : MODE_4;
}

/* One entry of the walk: its reserved bits. SDM vol. 3, the tables of entry formats. */
static u64 reserved(const struct walk_context *c, u32 mode, u32 level, u64 entry, bool leaf)
{
    u64 bits = 0;
    u32 m = c->physical_bits;

    if (mode == MODE_32) {
        if (level != 2 || !leaf)
            return 0;
        if (m > 40)
            m = 40;
        for (u32 i = m - 19; i <= 21; i++)
            bits |= BIT64(i); /* bits 20:13 are address bits 39:32; 21 is reserved */
        return entry & bits;
    }
    for (u32 i = m; i <= (mode == MODE_PAE ? 62 : 51); i++)
        bits |= BIT64(i);
    if (!(c->efer & EFER_NXE))
        bits |= BIT64(63);
    if (level == 5 || level == 4)
        bits |= BIT64(7);
    if (level == 3 && !c->has_1g)
        bits |= BIT64(7);
    if (leaf && level == 2)
        bits |= 0x1fe000; /* 20:13 */
    if (leaf && level == 3)
        bits |= 0x3fffe000; /* 29:13 */
    return entry & bits;
}

static u32 base_error(const struct walk_context *c, u32 mode, u32 access, bool user)
{
    bool nx = mode != MODE_32 && c->efer & EFER_NXE;
    bool fetch = access & WALK_FETCH && (nx || c->cr4 & CR4_SMEP);

    return (access & WALK_WRITE ? 2 : 0) | (user ? 4 : 0) | (fetch ? 16 : 0);
}

/* SDM vol. 3, "Determination of Access Rights" and "Protection Keys". */
static u32 denied(const struct walk_context *c, u32 mode, u32 access, bool user_mode,
                  bool user_page, bool writable, bool xd, u32 key)
{
    bool wp = c->cr0 & CR0_WP, write = access & WALK_WRITE, fetch = access & WALK_FETCH;
    bool ac = c->rflags & RFLAGS_AC && !(access & WALK_IMPLICIT);

    if (!fetch && mode >= MODE_4 && user_page == (user_page && c->cr4 & CR4_PKE) &&
        (user_page ? c->cr4 & CR4_PKE : c->cr4 & CR4_PKS) && !(user_mode && !user_page)) {
        u32 rights = (user_page ? c->pkru : c->pkrs) >> (2 * key);

        if (rights & 1 || (rights & 2 && write && (user_mode || wp)))
            return 1 | 32;
    }
    if (user_mode && !user_page)
        return 1;
    if (fetch && ((xd && mode != MODE_32) || (!user_mode && user_page && c->cr4 & CR4_SMEP)))
        return 1;
    if (!fetch && !user_mode && user_page && c->cr4 & CR4_SMAP && !ac)
        return 1;
    if (write && !writable && (user_mode || wp))
        return 1;
    return 0;
}

static struct result model_walk(const struct walk_context *c, u64 linear, u32 access)
{
    u32 mode = mode_of(c), level = mode == MODE_32 || mode == MODE_PAE ? 2 : mode == MODE_5 ? 5 : 4;
    bool user_mode = !(access & WALK_IMPLICIT) && (c->cpl == 3 || access & WALK_USER);
    bool writable = true, user_page = true, xd = false;
    u64 limit = (BIT64(c->physical_bits) - 1) & ~0xfffull, table = c->cr3 & limit;
    u32 base;

    if (mode < MODE_4)
        linear = (u32)linear;
    if (mode == MODE_NONE)
        return (struct result){true, 0, linear};
    base = base_error(c, mode, access, user_mode);
    if (mode == MODE_32)
        table = c->cr3 & 0xfffff000;
    if (mode == MODE_PAE) {
        if (!(c->pdpte[linear >> 30] & 1))
            return (struct result){false, base, 0};
        table = c->pdpte[linear >> 30] & limit;
    }
    for (;; level--) {
        u32 shift = mode == MODE_32 ? (level == 2 ? 22 : 12) : 12 + 9 * (level - 1);
        u64 index = linear >> shift & (mode == MODE_32 ? 1023 : 511);
        u64 at = table + index * (mode == MODE_32 ? 4 : 8);
        u64 entry = memory_get(at & ~7ull);
        bool leaf;
        u32 error;

        if (mode == MODE_32)
            entry = (u32)(entry >> 8 * (at & 4));
        if (!(entry & 1))
            return (struct result){false, base, 0};
        leaf = level == 1 ||
               (level == 2 && entry & 0x80 && (mode != MODE_32 || c->cr4 & CR4_PSE)) ||
               (level == 3 && entry & 0x80 && c->has_1g);
        if (reserved(c, mode, level, entry, leaf))
            return (struct result){false, base | 1 | 8, 0};
        writable &= entry >> 1 & 1;
        user_page &= entry >> 2 & 1;
        xd |= entry >> 63 && c->efer & EFER_NXE;
        if (!leaf) {
            table = entry & (mode == MODE_32 ? 0xfffff000 : 0x000ffffffffff000ull);
            continue;
        }
        error = denied(c, mode, access, user_mode, user_page, writable, xd, entry >> 59 & 15);
        if (error)
            return (struct result){false, base | error, 0};
        if (mode == MODE_32 && level == 2)
            return (struct result){
                true, 0, (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff)};
        return (struct result){true, 0,
                               (entry & 0x000fffffffffffffull & ~(BIT64(shift) - 1)) |
                                   (linear & (BIT64(shift) - 1))};
    }
}

static struct walk_context take_context(struct input *in)
{
    u32 kinds = take16(in), modes = take16(in);
    struct walk_context c = {
        .cr0 = CR0_PE | (kinds & 1 ? CR0_WP : 0) | (kinds & 0xe ? CR0_PG : 0),
        .cr3 = take64(in) & 0x0000000ffffff000ull,
        .cr4 = (modes & 3 ? CR4_PAE : 0) | (kinds & 0x10 ? CR4_PSE : 0) |
               (kinds & 0x20 ? CR4_SMEP : 0) | (kinds & 0x40 ? CR4_SMAP : 0) |
               (kinds & 0x80 ? CR4_PKE : 0) | (kinds & 0x100 ? CR4_PKS : 0) |
               (modes & 4 ? CR4_LA57 : 0),
        .efer = ((modes & 3) > 1 ? EFER_LMA | EFER_LME : 0) | (kinds & 0x200 ? EFER_NXE : 0),
        .rflags = kinds & 0x400 ? RFLAGS_AC : 0,
        .physical_bits = 36 + (modes >> 3 & 15),
        .has_1g = kinds & 0x800,
        .cpl = kinds & 0x1000 ? 3 : 0,
        .pkru = take32(in),
        .pkrs = take32(in),
    };

    for (u32 i = 0; i < 4; i++)
        c.pdpte[i] = take64(in) & 0x0000000ffffff001ull;
    return c;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const u32 kinds[] = {WALK_READ,
                                WALK_WRITE,
                                WALK_FETCH,
                                WALK_USER,
                                WALK_USER | WALK_WRITE,
                                WALK_IMPLICIT,
                                WALK_IMPLICIT | WALK_WRITE,
                                WALK_USER | WALK_FETCH};
    struct input in = {data, data + size};
    struct walk_context context = take_context(&in);
    u32 access = kinds[take8(&in) % ARRAY_SIZE(kinds)], error = 0;
    u64 linear = take64(&in), pa = 0;
    struct result wanted;
    bool ok;

    memory_word = entry_at;
    memory_reset(take64(&in));
    while (in.end - in.at > 16) { /* entries on the way, by hand */
        u64 at = take64(&in) & 0x0000000ffffffff8ull;

        memory_put(at, take64(&in));
    }
    wanted = model_walk(&context, linear, access);
    ok = walk_linear(&context, linear, access, &pa, &error);
    DEMAND(ok == wanted.ok);
    /* Once a level; again only where a flag that was set is in the entry of another level, too. */
    DEMAND(memory_total_reads() <= 5 * 6);
    if (ok) {
        DEMAND(pa == wanted.pa);
        /* Flags only, and never more often than entries. */
        DEMAND(memory_total_writes() <= 5);
        wanted = model_walk(&context, linear, access);
        DEMAND(wanted.ok && wanted.pa == pa);
    } else {
        DEMAND(error == wanted.error);
        DEMAND(memory_total_writes() == 0);
    }
    return 0;
}
