/* Translation of linear addresses through L1's paging structures, in every paging mode. */
#include "walk.h"

#include "phys.h"
#include "x86.h"

#define LEVELS_MAX  5
#define RETRIES_MAX 64

/* 32-bit paging: bits 20:13 of a 4-MiB page's entry are address bits 39:32 (PSE-36). */
#define PSE36_SHIFT 13
#define PSE36_HIGH  0xffull
#define PSE_ADDR    0xffc00000ull
#define PTE32_ADDR  0xfffff000ull
#define PSE36_BITS  40u

#define PTE_KEY_SHIFT 59
#define PTE_KEY       0xfull

enum paging_mode { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG };

/* One walk: what was read on the way, top level first. */
struct walk {
    const struct walk_context *context;
    enum paging_mode mode;
    u64 linear;
    u32 access;
    u32 level; /* of the entry read last; 1 is the lowest */
    u32 depth; /* entries read */
    u64 entry_pa[LEVELS_MAX];
    u64 entry[LEVELS_MAX];
    bool writable;   /* in all entries so far */
    bool user;       /* likewise */
    bool no_execute; /* in any */
    u32 key;         /* protection key of the page */
    u64 reserved;    /* bits that are in every entry, but with 32-bit paging */
    bool flags_set;  /* accessed in all entries so far, and dirty in that of a page to be written */
};

static enum paging_mode paging_mode(const struct walk_context *context)
{
    if (!(context->cr0 & CR0_PG))
        return PAGING_NONE;
    if (!(context->cr4 & CR4_PAE))
        return PAGING_32;
    return context->efer & EFER_LMA ? PAGING_LONG : PAGING_PAE;
}

static bool user_access(const struct walk *walk)
{
    if (walk->access & WALK_IMPLICIT)
        return false;
    return walk->context->cpl == 3 || (walk->access & WALK_USER);
}

/* NX is a right only in entries of 8 bytes and with EFER.NXE. */
static bool nx_enabled(const struct walk *walk)
{
    return walk->mode != PAGING_32 && (walk->context->efer & EFER_NXE);
}

/* Bits low to high, both included; none if low > high. */
static u64 bits(u32 low, u32 high)
{
    u64 below_high = high >= 63 ? ~0ull : BIT64(high + 1) - 1;

    return low > high ? 0 : below_high & ~(BIT64(low) - 1);
}

/* True if an entry of this level maps a page rather than naming a table. */
static bool maps_page(const struct walk *walk, u64 entry)
{
    if (walk->level == 1)
        return true;
    if (!(entry & PTE_PS))
        return false;
    if (walk->mode == PAGING_32)
        return walk->context->cr4 & CR4_PSE;
    return walk->level == 2 || (walk->level == 3 && walk->context->has_1g);
}

/* Those of every entry of 8 bytes: beyond the physical addresses, and NX where it is no right. */
static u64 reserved_always(const struct walk *walk)
{
    u64 reserved = bits(walk->context->physical_bits, walk->mode == PAGING_PAE ? 62 : 51);

    return nx_enabled(walk) ? reserved : reserved | PTE_NX;
}

/* Reserved bits of a present entry. SDM vol. 3, the formats of paging-structure entries. */
static u64 reserved_bits(const struct walk *walk, bool page)
{
    u32 physical_bits = walk->context->physical_bits;
    u64 reserved;

    if (walk->mode == PAGING_32) {
        if (!page || walk->level == 1)
            return 0;
        return bits((physical_bits < PSE36_BITS ? physical_bits : PSE36_BITS) - 19, 21);
    }
    reserved = walk->reserved;
    if (walk->level > 2 && !page)
        reserved |= PTE_PS; /* only reached with PS set where no page can be */
    if (page && walk->level > 1)
        reserved |= bits(13, 12 + 9 * (walk->level - 1) - 1); /* bit 12 is PAT */
    return reserved;
}

/* The table that the walk starts in, and its level, in walk->level. */
static u64 root_table(struct walk *walk)
{
    const struct walk_context *context = walk->context;
    u64 address = context->cr3 & bits(PAGE_SHIFT, context->physical_bits - 1);

    if (walk->mode == PAGING_32) {
        walk->level = 2;
        return context->cr3 & PTE32_ADDR;
    }
    walk->level = context->cr4 & CR4_LA57 ? 5 : 4;
    return address;
}

/* Reads the entry for the linear address in a table: once, all else works on the copy. */
static u64 read_entry(struct walk *walk, u64 table)
{
    bool narrow = walk->mode == PAGING_32;
    u32 index_bits = narrow ? 10 : 9;
    u64 index = walk->linear >> (PAGE_SHIFT + index_bits * (walk->level - 1));
    u64 pa, entry;

    index &= BIT64(index_bits) - 1;
    pa = table + index * (narrow ? sizeof(u32) : sizeof(u64));
    entry = narrow ? phys_read32(pa) : phys_read64(pa);
    walk->entry_pa[walk->depth] = pa;
    walk->entry[walk->depth] = entry;
    walk->depth++;
    return entry;
}

static u64 page_address(const struct walk *walk, u64 entry)
{
    u64 offset_bits = PAGE_SHIFT + 9 * (walk->level - 1);
    u64 frame = entry & PTE_ADDR;

    if (walk->mode == PAGING_32) {
        if (walk->level == 1)
            return (entry & PTE32_ADDR) | (walk->linear & ~PAGE_MASK);
        frame = (entry & PSE_ADDR) | (entry >> PSE36_SHIFT & PSE36_HIGH) << 32;
        return frame | (walk->linear & ~PSE_ADDR & 0xffffffff);
    }
    return align_down(frame, BIT64(offset_bits)) | (walk->linear & (BIT64(offset_bits) - 1));
}

/*
 * Goes down to the page. False with the error code's bits P and RSVD if there is no translation.
 */
static bool descend(struct walk *walk, u64 *pa, u32 *error_code)
{
    u64 table, entry;
    bool page;

    if (walk->mode == PAGING_PAE) {
        entry = walk->context->pdpte[walk->linear >> 30 & 3];
        if (!(entry & PTE_P)) {
            *error_code = 0;
            return false;
        }
        walk->level = 2;
        table = entry & bits(PAGE_SHIFT, walk->context->physical_bits - 1);
    } else {
        table = root_table(walk);
    }
    for (;; walk->level--) {
        entry = read_entry(walk, table);
        if (!(entry & PTE_P)) {
            *error_code = 0;
            return false;
        }
        page = maps_page(walk, entry);
        if (entry & reserved_bits(walk, page)) {
            *error_code = PF_PRESENT | PF_RESERVED;
            return false;
        }
        walk->writable = walk->writable && (entry & PTE_W);
        walk->user = walk->user && (entry & PTE_U);
        walk->no_execute = walk->no_execute || (nx_enabled(walk) && (entry & PTE_NX));
        walk->flags_set = walk->flags_set && (entry & PTE_A);
        if (page)
            break;
        table = entry & (walk->mode == PAGING_32 ? PTE32_ADDR : PTE_ADDR);
    }
    if ((walk->access & WALK_WRITE) && !(entry & PTE_D))
        walk->flags_set = false;
    walk->key = walk->mode == PAGING_LONG ? (u32)(entry >> PTE_KEY_SHIFT & PTE_KEY) : 0;
    *pa = page_address(walk, entry);
    return true;
}

/* True if the page's protection key forbids the access. SDM vol. 3, "Protection Keys". */
static bool key_forbids(const struct walk *walk)
{
    const struct walk_context *context = walk->context;
    u64 enable = walk->user ? CR4_PKE : CR4_PKS;
    u32 rights = (walk->user ? context->pkru : context->pkrs) >> 2 * walk->key;

    if (walk->mode != PAGING_LONG || !(context->cr4 & enable) || (walk->access & WALK_FETCH))
        return false;
    if (!walk->user && user_access(walk))
        return false; /* forbidden, but not by the key */
    if (rights & 1)
        return true;
    return (rights & 2) && (walk->access & WALK_WRITE) &&
           ((context->cr0 & CR0_WP) || user_access(walk));
}

/* True if the rights of the entries allow the access. SDM vol. 3, "Determination of Access
   Rights", and in its order. */
static bool rights_allow(const struct walk *walk)
{
    const struct walk_context *context = walk->context;
    bool by_user = user_access(walk);

    if (by_user && !walk->user)
        return false;
    if (walk->access & WALK_FETCH) {
        if (!by_user && walk->user && (context->cr4 & CR4_SMEP))
            return false;
        return !walk->no_execute;
    }
    if (!by_user && walk->user && (context->cr4 & CR4_SMAP) &&
        ((walk->access & WALK_IMPLICIT) || !(context->rflags & RFLAGS_AC)))
        return false;
    if ((walk->access & WALK_WRITE) && !walk->writable)
        return !by_user && !(context->cr0 & CR0_WP);
    return true;
}

/* The part of the error code that tells what the access was. */
static u32 access_error_code(const struct walk *walk)
{
    u32 error_code = 0;

    if (walk->access & WALK_WRITE)
        error_code |= PF_WRITE;
    if (user_access(walk))
        error_code |= PF_USER;
    if ((walk->access & WALK_FETCH) && (nx_enabled(walk) || (walk->context->cr4 & CR4_SMEP)))
        error_code |= PF_FETCH;
    return error_code;
}

/* Sets the accessed and dirty flags of the walk; false if an entry changed since it was read. */
static bool set_flags(const struct walk *walk)
{
    for (u32 i = 0; i < walk->depth; i++) {
        u64 entry = walk->entry[i];
        u64 missing = PTE_A;
        bool set;

        if (i == walk->depth - 1 && (walk->access & WALK_WRITE))
            missing |= PTE_D;
        missing &= ~entry;
        if (!missing)
            continue;
        if (walk->mode == PAGING_32)
            set = phys_set_bits32(walk->entry_pa[i], (u32)entry, (u32)missing);
        else
            set = phys_set_bits64(walk->entry_pa[i], entry, missing);
        if (!set)
            return false;
    }
    return true;
}

bool walk_linear(const struct walk_context *context, u64 linear, u32 access, u64 *pa,
                 u32 *error_code)
{
    enum paging_mode mode = paging_mode(context);

    if (mode != PAGING_LONG)
        linear &= 0xffffffff;
    if (mode == PAGING_NONE) {
        *pa = linear;
        return true;
    }
    /*
     * An entry that changed is walked again from the top, as the processor does. L1 cannot hold
     * L0 up with that for ever: the last attempt's translation, which the entries as they were
     * read did allow, is used with some flags not set.
     */
    for (u32 attempt = 1;; attempt++) {
        struct walk walk = {.context = context,
                            .mode = mode,
                            .linear = linear,
                            .access = access,
                            .writable = true,
                            .user = true,
                            .flags_set = true};

        walk.reserved = reserved_always(&walk);
        if (!descend(&walk, pa, error_code)) {
            *error_code |= access_error_code(&walk);
            return false;
        }
        if (key_forbids(&walk)) {
            *error_code = PF_PRESENT | PF_PROTECTION_KEY | access_error_code(&walk);
            return false;
        }
        if (!rights_allow(&walk)) {
            *error_code = PF_PRESENT | access_error_code(&walk);
            return false;
        }
        if (walk.flags_set || set_flags(&walk) || attempt == RETRIES_MAX)
            return true;
    }
}

/* A linear range of at most a page: the one or two physical pieces it is in. */
struct pieces {
    u64 pa[2];
    u32 len[2]; /* the second one may be 0 */
};

static bool translate_pieces(const struct walk_context *context, u64 linear, u32 len, u32 access,
                             struct pieces *pieces, struct walk_fault *fault)
{
    u32 to_page_end = (u32)(PAGE_SIZE - linear % PAGE_SIZE);

    pieces->pa[0] = 0;
    pieces->len[0] = len < to_page_end ? len : to_page_end;
    pieces->len[1] = len - pieces->len[0];
    fault->address = linear;
    for (u32 i = 0; i < 2 && pieces->len[i] != 0; i++) {
        if (i == 1)
            fault->address = linear + pieces->len[0];
        if (!(context->efer & EFER_LMA))
            fault->address &= 0xffffffff;
        if (!walk_linear(context, fault->address, access, &pieces->pa[i], &fault->error_code))
            return false;
    }
    return true;
}

bool walk_read(const struct walk_context *context, u64 linear, void *to, u32 len,
               struct walk_fault *fault)
{
    struct pieces pieces;

    if (!translate_pieces(context, linear, len, WALK_READ, &pieces, fault))
        return false;
    phys_read(to, pieces.pa[0], pieces.len[0]);
    if (pieces.len[1] != 0)
        phys_read((u8 *)to + pieces.len[0], pieces.pa[1], pieces.len[1]);
    return true;
}

bool walk_write(const struct walk_context *context, u64 linear, const void *from, u32 len,
                struct walk_fault *fault)
{
    struct pieces pieces;

    if (!translate_pieces(context, linear, len, WALK_WRITE, &pieces, fault))
        return false;
    phys_write(pieces.pa[0], from, pieces.len[0]);
    if (pieces.len[1] != 0)
        phys_write(pieces.pa[1], (const u8 *)from + pieces.len[0], pieces.len[1]);
    return true;
}
