#include "inspect.h"

#include "phys.h"
#include "pool.h"
#include "vmx.h"
#include "walk_entry.h"
#include "../hv/format.h"
#include "x86.h"

#define INDEX_BITS     9
#define INDEX_MASK     0x1ffull
#define PAGE_LEVEL_MAX 3u /* 1 GiB */
#define ALL_RIGHTS     (EPT_RWX | EPT_EXEC_USER)

static u32 level_shift(u32 level) { return PAGE_SHIFT + INDEX_BITS * (level - 1); }

static struct inspect_step *add_step(struct inspection *out, u32 level, u64 address, u64 pa)
{
    struct inspect_step *step = &out->step[out->count++];

    *step = (struct inspect_step){.address = address, .pa = pa, .level = (u8)level};
    return step;
}

static void set_page(struct inspect_step *step, u32 size_shift)
{
    step->kind = INSPECT_PAGE;
    step->size_shift = (u8)size_shift;
}

/* ---- EPT ---- */

static bool may_be_page(const struct inspect_step *step, const struct ept12_caps *caps)
{
    if (step->level == 1)
        return true;
    return (step->entry & EPT_LARGE) &&
           ((step->level == 2 && caps->has_2m) || (step->level == 3 && caps->has_1g));
}

/* Which rule an entry breaks that is misconfigured. SDM vol. 3, "EPT Misconfigurations". */
static u8 misconfiguration(const struct inspect_step *step, const struct ept12_caps *caps)
{
    u64 entry = step->entry;

    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return INSPECT_WRITE_ONLY;
    if (!(entry & EPT_READ) && !caps->execute_only)
        return INSPECT_EXECUTE_ONLY;
    if (may_be_page(step, caps) &&
        !memory_type_valid((entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT))
        return INSPECT_BAD_TYPE;
    return INSPECT_RESERVED;
}

/* The address is one of those that tables of so many levels are for. */
static bool is_covered(u64 gpa, u32 levels)
{
    return levels <= INSPECT_STEPS_MAX && !(gpa >> level_shift(levels + 1));
}

void inspect_ept12(u64 eptp12, u64 ngpa, const struct ept12_caps *caps, struct inspection *out)
{
    u64 known = EPT_RWX | (eptp12 & EPT12_MODE_BASED ? EPT_EXEC_USER : 0);
    u32 levels = ept12_levels(eptp12);
    struct ept12_translation walk;
    enum ept12_result result = ept12_walk(eptp12, ngpa, caps, &walk);
    struct inspect_step *last = NULL;

    *out = (struct inspection){.convertible = walk.convertible};
    if (!is_covered(ngpa, levels))
        return;
    for (u32 level = levels; level >= walk.level; level--) {
        u64 pa = walk.path[level - 1].pa;

        last = add_step(out, level, pa, pa);
        last->entry = walk.path[level - 1].entry;
        last->rights = last->entry & known;
    }
    if (result == EPT12_MISCONFIGURED) {
        last->kind = misconfiguration(last, caps);
    } else if (result != EPT12_TRANSLATED) {
        last->kind = INSPECT_ABSENT;
    } else {
        set_page(last, walk.size_shift);
        out->translated = true;
        out->address = ept12_address(&walk, ngpa);
        out->rights = walk.rights;
    }
}

/* The step that the entry of a table of L0's is; false if the walk does not go on there. */
static bool step_own(struct inspect_step *step, u64 start, u64 size)
{
    if (step->pa < start || step->pa - start >= size) {
        step->kind = INSPECT_STRAY;
        return false;
    }
    step->entry = __atomic_load_n((const u64 *)pool_va(step->pa), __ATOMIC_ACQUIRE);
    step->rights = step->entry & ALL_RIGHTS;
    if (!step->rights)
        step->kind = INSPECT_ABSENT;
    else if (step->level > PAGE_LEVEL_MAX && (step->entry & EPT_LARGE))
        step->kind = INSPECT_RESERVED;
    else if (step->level == 1 || (step->entry & EPT_LARGE))
        set_page(step, level_shift(step->level));
    return step->kind == INSPECT_TABLE;
}

void inspect_own_ept(u64 eptp, u64 gpa, u64 start, u64 size, struct inspection *out)
{
    u32 level = ept12_levels(eptp);
    u64 table = eptp & EPT_ADDR, in_page, rights = ALL_RIGHTS;
    struct inspect_step *step;

    *out = (struct inspection){.count = 0};
    if (!is_covered(gpa, level))
        return;
    for (;; level--) {
        u64 pa = table + (gpa >> level_shift(level) & INDEX_MASK) * sizeof(u64);
        bool goes_on;

        step = add_step(out, level, pa, pa);
        goes_on = step_own(step, start, size);
        rights &= step->rights;
        if (!goes_on)
            break;
        table = step->entry & EPT_ADDR;
    }
    if (step->kind != INSPECT_PAGE)
        return;
    in_page = BIT64(step->size_shift) - 1;
    out->translated = true;
    out->address = (step->entry & EPT_ADDR & ~in_page) | (gpa & in_page);
    out->rights = rights;
}

/* ---- linear addresses ---- */

/* Where L1 has an address of a table's; false if the processor could not read there. With accessed
   flags its reads count as writes. SDM vol. 3, "Accessed and Dirty Flags for EPT". */
static bool reach(const struct inspect_space *space, u64 address, u64 *pa)
{
    struct ept12_translation walk;
    u64 needed;

    *pa = address;
    if (!space)
        return true;
    needed = EPT_READ | (space->eptp12 & EPTP_AD ? EPT_WRITE : 0);
    if (ept12_walk(space->eptp12, address, space->caps, &walk) != EPT12_TRANSLATED ||
        (needed & ~walk.rights))
        return false;
    *pa = ept12_address(&walk, address);
    return true;
}

static void classify(const struct walk *walk, struct inspect_step *step)
{
    bool page = walk_maps_page(walk, step->entry);

    if (!(step->entry & PTE_P))
        step->kind = INSPECT_ABSENT;
    else if (step->entry & walk_reserved(walk, page))
        step->kind = INSPECT_RESERVED;
    else if (page && walk->mode == PAGING_32)
        set_page(step, PAGE_SHIFT + 10 * (walk->level - 1));
    else if (page)
        set_page(step, level_shift(walk->level));
}

/* What is allowed at all levels, and NX at any. */
static u64 join_rights(u64 upper, u64 lower)
{
    return (upper & lower & (PTE_W | PTE_U)) | ((upper | lower) & PTE_NX);
}

/* Goes down from a table of walk->level. */
static void descend(struct walk *walk, u64 table, const struct inspect_space *space,
                    struct inspection *out)
{
    u64 rights = PTE_W | PTE_U;
    struct inspect_step *step;

    for (;; walk->level--) {
        u64 address = walk_entry_address(walk, table), pa;
        bool reached = reach(space, address, &pa);

        step = add_step(out, walk->level, address, pa);
        if (!reached) {
            step->kind = INSPECT_UNREACHED;
            return;
        }
        phys_read(&step->entry, pa, walk->mode == PAGING_32 ? sizeof(u32) : sizeof(u64));
        step->rights = step->entry & (PTE_W | PTE_U | PTE_NX);
        classify(walk, step);
        rights = join_rights(rights, step->rights);
        if (step->kind != INSPECT_TABLE)
            break;
        table = walk_table(walk, step->entry);
    }
    if (step->kind != INSPECT_PAGE)
        return;
    out->translated = true;
    out->address = walk_page_address(walk, step->entry);
    out->rights = rights;
}

/* The upper bits are all as the highest is that the tables are for. */
static bool is_canonical(const struct walk *walk)
{
    u32 bits = walk->context->cr4 & CR4_LA57 ? 57 : 48;
    s64 upper = (s64)walk->linear >> (bits - 1);

    return walk->mode != PAGING_LONG || upper == 0 || upper == -1;
}

static bool step_pdpte(struct walk *walk, struct inspection *out, u64 *table)
{
    struct inspect_step *step = add_step(out, 3, INSPECT_REGISTER, INSPECT_REGISTER);

    step->entry = walk->context->pdpte[walk->linear >> 30 & 3];
    if (!(step->entry & PTE_P))
        step->kind = INSPECT_ABSENT;
    walk->level = 2;
    *table = walk_pdpte_table(walk, step->entry);
    return step->kind == INSPECT_TABLE;
}

void inspect_linear(const struct walk_context *context, u64 linear,
                    const struct inspect_space *space, struct inspection *out)
{
    struct walk walk = {.context = context, .mode = paging_mode(context), .linear = linear};
    u64 table;

    *out = (struct inspection){.count = 0};
    if (walk.mode != PAGING_LONG)
        walk.linear &= 0xffffffff;
    walk.reserved = walk_reserved_always(&walk);
    if (walk.mode == PAGING_NONE) {
        out->translated = true;
        out->address = walk.linear;
        out->rights = PTE_W | PTE_U;
        return;
    }
    if (!is_canonical(&walk))
        return;
    if (walk.mode != PAGING_PAE)
        table = walk_root(&walk);
    else if (!step_pdpte(&walk, out, &table))
        return;
    descend(&walk, table, space, out);
}

/* ---- words ---- */

static const char *const kind_words[] = {
    [INSPECT_TABLE] = "table",
    [INSPECT_PAGE] = "page",
    [INSPECT_ABSENT] = "not present",
    [INSPECT_RESERVED] = "reserved bits set",
    [INSPECT_WRITE_ONLY] = "misconfigured: write without read",
    [INSPECT_EXECUTE_ONLY] = "misconfigured: execute without read",
    [INSPECT_BAD_TYPE] = "misconfigured: bad memory type",
    [INSPECT_UNREACHED] = "EPT12 does not map the table",
    [INSPECT_STRAY] = "not a table of L0's",
};

static const char *const type_words[] = {" UC", " WC", " type 2", " type 3",
                                         " WT", " WP", " WB",     " UC-"};

/* By the size's shift less 12. */
static const char size_words[][4] = {
    [0] = " 4K",
    [9] = " 2M",
    [10] = " 4M",
    [18] = " 1G",
};

#define IN_TABLE  BIT(INSPECT_TABLE)
#define IN_PAGE   BIT(INSPECT_PAGE)
#define IN_ABSENT BIT(INSPECT_ABSENT)

struct flag {
    u64 bit;
    u32 kinds; /* of entries where it has a meaning */
    char word[16];
};

static const struct flag ept_flags[] = {
    {EPT_ACCESSED, IN_TABLE | IN_PAGE, "A"},
    {EPT_DIRTY, IN_PAGE, "D"},
    {EPT_IGNORE_PAT, IN_PAGE, "ignore-PAT"},
    {EPT_SUPPRESS_VE, IN_PAGE | IN_ABSENT, "suppress-#VE"},
};

static const struct flag linear_flags[] = {
    {PTE_A, IN_TABLE | IN_PAGE, "A"},     {PTE_D, IN_PAGE, "D"},
    {PTE_G, IN_PAGE, "global"},           {PTE_PWT, IN_TABLE | IN_PAGE, "PWT"},
    {PTE_PCD, IN_TABLE | IN_PAGE, "PCD"},
};

void inspect_ept_rights(u64 rights, char words[INSPECT_WORDS_MAX])
{
    format_string(words, INSPECT_WORDS_MAX, "%c%c%c%s", rights & EPT_READ ? 'r' : '-',
                  rights & EPT_WRITE ? 'w' : '-', rights & EPT_EXEC ? 'x' : '-',
                  rights & EPT_EXEC_USER ? "u" : "");
}

void inspect_linear_rights(u64 rights, char words[INSPECT_WORDS_MAX])
{
    format_string(words, INSPECT_WORDS_MAX, "r%c%c %s", rights & PTE_W ? 'w' : '-',
                  rights & PTE_NX ? '-' : 'x', rights & PTE_U ? "user" : "supervisor");
}

/* What an entry is, with a page's size and memory type, and what it says. */
static void put_words(const struct inspect_step *step, const char *rights, const char *type,
                      const struct flag *flags, u32 count, char *words)
{
    bool page = step->kind == INSPECT_PAGE;
    bool says = (page || step->kind == INSPECT_TABLE) && *rights;
    size_t len = format_string(words, INSPECT_WORDS_MAX, "%s%s%s%s%s", kind_words[step->kind],
                               page ? size_words[step->size_shift - PAGE_SHIFT] : "",
                               page ? type : "", says ? " " : "", says ? rights : "");

    for (u32 i = 0; i < count; i++)
        if ((step->entry & flags[i].bit) && (flags[i].kinds & BIT(step->kind)))
            len += format_string(words + len, INSPECT_WORDS_MAX - len, " %s", flags[i].word);
}

void inspect_ept_words(const struct inspect_step *step, char words[INSPECT_WORDS_MAX])
{
    char rights[INSPECT_WORDS_MAX];

    inspect_ept_rights(step->rights, rights);
    put_words(step, rights, type_words[(step->entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT],
              ept_flags, ARRAY_SIZE(ept_flags), words);
}

void inspect_linear_words(const struct inspect_step *step, char words[INSPECT_WORDS_MAX])
{
    char rights[INSPECT_WORDS_MAX] = "";

    if (step->address != INSPECT_REGISTER)
        inspect_linear_rights(step->rights, rights);
    put_words(step, rights, "", linear_flags, ARRAY_SIZE(linear_flags), words);
}

void inspect_end_words(const struct inspection *inspection, char words[INSPECT_WORDS_MAX])
{
    const struct inspect_step *last;

    if (!inspection->count) {
        format_string(words, INSPECT_WORDS_MAX, "the tables are not for that address");
        return;
    }
    last = &inspection->step[inspection->count - 1];
    format_string(words, INSPECT_WORDS_MAX, "%s at level %u", kind_words[last->kind], last->level);
}
