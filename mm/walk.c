/* Translation of linear addresses through L1's paging structures, in every paging mode. */
#include "walk.h"

#include "phys.h"
#include "walk_entry.h"
#include "x86.h"

#define RETRIES_MAX 64

#define PTE_KEY_SHIFT 59
#define PTE_KEY       0xfull

static bool user_access(const struct walk *walk)
{
    if (walk->access & WALK_IMPLICIT)
        return false;
    return walk->context->cpl == 3 || (walk->access & WALK_USER);
}

/* Reads the entry for the linear address in a table: once, all else works on the copy. */
static u64 read_entry(struct walk *walk, u64 table)
{
    u64 pa = walk_entry_address(walk, table);
    u64 entry = walk->mode == PAGING_32 ? phys_read32(pa) : phys_read64(pa);

    walk->entry_pa[walk->depth] = pa;
    walk->entry[walk->depth] = entry;
    walk->depth++;
    return entry;
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
        table = walk_pdpte_table(walk, entry);
    } else {
        table = walk_root(walk);
    }
    for (;; walk->level--) {
        entry = read_entry(walk, table);
        if (!(entry & PTE_P)) {
            *error_code = 0;
            return false;
        }
        page = walk_maps_page(walk, entry);
        if (entry & walk_reserved(walk, page)) {
            *error_code = PF_PRESENT | PF_RESERVED;
            return false;
        }
        walk->writable = walk->writable && (entry & PTE_W);
        walk->user = walk->user && (entry & PTE_U);
        walk->no_execute = walk->no_execute || (walk_has_nx(walk) && (entry & PTE_NX));
        walk->flags_set = walk->flags_set && (entry & PTE_A);
        if (page)
            break;
        table = walk_table(walk, entry);
    }
    if ((walk->access & WALK_WRITE) && !(entry & PTE_D))
        walk->flags_set = false;
    walk->key = walk->mode == PAGING_LONG ? (u32)(entry >> PTE_KEY_SHIFT & PTE_KEY) : 0;
    *pa = walk_page_address(walk, entry);
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
    if ((walk->access & WALK_FETCH) && (walk_has_nx(walk) || (walk->context->cr4 & CR4_SMEP)))
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

        walk.reserved = walk_reserved_always(&walk);
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
