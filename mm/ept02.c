#include "ept02.h"

#include "phys.h"
#include "pool.h"
#include "vmx.h"

#define ENTRIES      512u
#define INDEX_BITS   9
#define NEIGHBOURS   8u /* entries that are filled at once, aligned */
#define RECLAIM      32 /* pages at a time */
#define PATIENCE_MAX 4
#define GIVEN_PART   4 /* of all pages EPT01 gets one in so many at most, */
#define LENT_PART    8 /* and cores for their vmcs02s */

/* One of these: an entry is present. Bit 10 is ignored without mode-based execute control. */
#define ALL_RIGHTS (EPT_RWX | EPT_EXEC_USER)
/* What the processor changes in an entry of EPT02. */
#define FLAGS (EPT_ACCESSED | EPT_DIRTY)
/* What a page's entry says of the page. */
#define ATTRIBUTES (EPT_MEMORY_TYPE | EPT_IGNORE_PAT)

static u32 level_shift(u32 level) { return PAGE_SHIFT + INDEX_BITS * (level - 1); }

static u32 table_index(u64 ngpa, u32 level) { return ngpa >> level_shift(level) & (ENTRIES - 1); }

static u64 load(const u64 *entry) { return __atomic_load_n(entry, __ATOMIC_ACQUIRE); }
static void store(u64 *entry, u64 value) { __atomic_store_n(entry, value, __ATOMIC_RELEASE); }

static bool is_link(u64 entry, u32 level)
{
    return level > 1 && (entry & ALL_RIGHTS) && !(entry & EPT_LARGE);
}

static struct shadow_page *page_of(const struct ept02 *ept, u32 index)
{
    return shadow_page(&ept->shadow, index);
}

static u32 child_of(const struct ept02 *ept, u64 entry)
{
    return shadow_index(&ept->shadow, entry & EPT_ADDR);
}

static u32 role_of(u64 eptp12)
{
    return (eptp12 & EPTP_AD ? SHADOW_ACCESSED_DIRTY : 0) |
           (eptp12 & EPT12_MODE_BASED ? SHADOW_MODE_BASED : 0);
}

static u64 rights_of(u64 entry12, u32 role)
{
    return entry12 & (EPT_RWX | (role & SHADOW_MODE_BASED ? EPT_EXEC_USER : 0));
}

/* ---- what EPT02 has for an entry of EPT12 ---- */

static bool is_unused(u64 entry12, u32 role)
{
    return (role & SHADOW_ACCESSED_DIRTY) && !(entry12 & EPT_ACCESSED);
}

/* A page: with accessed and dirty flags the first write exits, for L0 to set the latter. */
static u64 mirror_page(u64 entry12, u32 role)
{
    u64 rights = rights_of(entry12, role);

    if (is_unused(entry12, role))
        return 0;
    if ((role & SHADOW_ACCESSED_DIRTY) && !(entry12 & EPT_DIRTY))
        rights &= ~EPT_WRITE;
    return (entry12 & (EPT_ADDR | ATTRIBUTES | EPT_LARGE)) | rights;
}

/* What the table that divides a large page of EPT12 is known by. */
static u64 direct_leaf(u64 entry12, u32 role)
{
    return mirror_page(entry12, role) & (ATTRIBUTES | EPT_LARGE | ALL_RIGHTS);
}

static bool link_mirrors(const struct ept02 *ept, u64 entry, u64 entry12, u32 role)
{
    const struct shadow_page *child = page_of(ept, child_of(ept, entry));

    if (child->source != (entry12 & EPT_ADDR) || is_unused(entry12, role))
        return false;
    if (child->role & SHADOW_DIRECT)
        return (entry12 & EPT_LARGE) && child->leaf == direct_leaf(entry12, role);
    return !(entry12 & (ATTRIBUTES | EPT_LARGE)) &&
           (entry & ALL_RIGHTS) == rights_of(entry12, role);
}

/* An entry that is present says what EPT12's says now. */
static bool mirrors(const struct ept02 *ept, u64 entry, u64 entry12, const struct shadow_page *page)
{
    if (is_link(entry, page->level))
        return link_mirrors(ept, entry, entry12, page->role);
    return ((entry ^ mirror_page(entry12, page->role)) & ~FLAGS) == 0;
}

/* ---- entries; the table's lock is held ---- */

/* The entry is a page's, or nothing. */
static void drop_page(struct ept02 *ept, struct shadow_page *page, u64 *entry)
{
    u64 old = load(entry);

    store(entry, 0);
    exposure_remove(&ept->exposure, old, page->level);
    page->present = (u16)(page->present - !!old);
}

/* ---- links; the lock is held ---- */

static void drop_entries(struct ept02 *ept, u32 index);

/* What cores have kept of the way to a table does not count any more. */
static void forget_gaps(struct ept02 *ept)
{
    __atomic_add_fetch(&ept->unlinked, 1, __ATOMIC_SEQ_CST);
}

/* Who has come to the page by a link that is gone now adds nothing to it. */
static void retire(struct ept02 *ept, u32 index)
{
    forget_gaps(ept);
    page_of(ept, index)->retired = true;
    drop_entries(ept, index);
    shadow_retire(&ept->shadow, index);
}

static void unlink(struct ept02 *ept, u32 index)
{
    struct shadow_page *page = page_of(ept, index);

    forget_gaps(ept);
    page->parent = 0;
    if (--page->links == 0 && !cores_use_root(index))
        retire(ept, index);
}

/* The table's lock is held, too. */
static void drop_entry(struct ept02 *ept, struct shadow_page *page, u64 *entry)
{
    u64 old = load(entry);

    if (!is_link(old, page->level)) {
        drop_page(ept, page, entry);
        return;
    }
    store(entry, 0);
    page->present--;
    page->tables--;
    unlink(ept, child_of(ept, old));
}

static void drop_entries(struct ept02 *ept, u32 index)
{
    struct shadow_page *page = page_of(ept, index);
    u64 *table = shadow_table(&ept->shadow, index);

    spin_lock(&page->lock);
    for (u32 i = 0; page->present && i < ENTRIES; i++)
        if (load(&table[i]))
            drop_entry(ept, page, &table[i]);
    spin_unlock(&page->lock);
}

static void set_link(struct ept02 *ept, u32 parent, u32 slot, u32 child, u64 rights)
{
    struct shadow_page *page = page_of(ept, parent), *below = page_of(ept, child);
    u64 *entry = &shadow_table(&ept->shadow, parent)[slot];
    u64 old;

    spin_lock(&page->lock);
    old = load(entry);
    below->links++;
    if (!is_link(old, page->level)) {
        drop_page(ept, page, entry);
        page->present++;
        page->tables++;
    }
    store(entry, shadow_address(&ept->shadow, child) | rights);
    if (is_link(old, page->level))
        unlink(ept, child_of(ept, old));
    below->parent = below->links == 1 ? parent : 0;
    below->parent_slot = (u16)slot;
    spin_unlock(&page->lock);
}

/* ---- pages to reuse; the lock is held ---- */

static bool is_root(const struct shadow_page *page) { return !page->links; }

/* The only entry that links the page. */
static u64 *entry_of(struct ept02 *ept, u32 index)
{
    const struct shadow_page *page = page_of(ept, index);
    u64 *entry;

    if (page->links != 1 || !page->parent)
        return NULL;
    entry = &shadow_table(&ept->shadow, page->parent)[page->parent_slot];
    return child_of(ept, load(entry)) == index ? entry : NULL;
}

static bool evict(struct ept02 *ept, u32 index)
{
    struct shadow_page *page = page_of(ept, index), *parent;
    u64 *entry;

    if (!page->level || page->retired)
        return false;
    if (page->used) {
        page->used = false;
        return false;
    }
    if (is_root(page)) {
        if (cores_use_root(index))
            return false;
        retire(ept, index);
        return true;
    }
    entry = entry_of(ept, index);
    if (!entry || page->tables)
        return false;
    parent = page_of(ept, page->parent);
    spin_lock(&parent->lock);
    drop_entry(ept, parent, entry);
    spin_unlock(&parent->lock);
    return true;
}

/* Each page is looked at twice at most: once to find it used. */
static u32 evict_some(struct ept02 *ept)
{
    u32 used = ept->shadow.untouched, evicted = 0;

    for (u32 i = 0; evicted < RECLAIM && i < 2 * used; i++) {
        if (++ept->hand >= used)
            ept->hand = 1;
        evicted += evict(ept, ept->hand);
    }
    return evicted;
}

/* All that the roots link. */
static void empty_roots(struct ept02 *ept)
{
    for (u32 i = 1; i < ept->shadow.untouched; i++) {
        const struct shadow_page *page = page_of(ept, i);

        if (page->level && !page->retired && is_root(page))
            drop_entries(ept, i);
    }
}

/* Makes pages free, if not at once then as soon as the cores have exited. */
static void reclaim(struct ept02 *ept)
{
    struct shadow *shadow = &ept->shadow;

    if (shadow->waiting) {
        if (!cores_passed(shadow->waiting_epoch))
            return;
        shadow_free_waiting(shadow);
        if (shadow->free)
            return;
    }
    /* Few can go by themselves; these may be those that a fill has just made. */
    if (!shadow->unlinked && evict_some(ept) < RECLAIM)
        empty_roots(ept);
    ept->reclaimed++;
    shadow_start_waiting(shadow, cores_new_epoch());
    cores_passed(shadow->waiting_epoch);
}

/* ---- tables; the lock is held ---- */

static u32 find_or_make(struct ept02 *ept, u64 source, u32 level, u32 role, u64 leaf)
{
    u32 index = shadow_find(&ept->shadow, source, level, role, leaf);

    if (index)
        return index;
    index = shadow_new(&ept->shadow, source, level, role, leaf);
    if (!index) {
        reclaim(ept);
        return 0;
    }
    ept->tables++;
    if (!(role & SHADOW_DIRECT))
        shadow_set_stale(&ept->shadow, index, true);
    return index;
}

/* ---- a fill ---- */

struct fill {
    struct ept02 *ept;
    const struct ept12_translation *walk;
    u64 ngpa;
    u32 role;
};

static u64 entry12_of(const struct fill *fill, u32 level)
{
    return fill->walk->path[level - 1].entry;
}

/* What was read on the way still stands there; flags may have been added. */
static bool is_current(const struct fill *fill, u32 level)
{
    u64 now = phys_read64(fill->walk->path[level - 1].pa), entry12 = entry12_of(fill, level);

    return ((now ^ entry12) & ~FLAGS) == 0 && !(entry12 & ~now & FLAGS);
}

/* A page that is not in the list of those to be read again, and not protected, goes there. */
static inline void lock_page(struct ept02 *ept, u32 index, struct shadow_page *page)
{
    for (;;) {
        spin_lock(&page->lock);
        if (page->stale || page->settled || page->retired || (page->role & SHADOW_DIRECT))
            return;
        spin_unlock(&page->lock);
        spin_lock(&ept->lock);
        if (!page->retired && !page->settled)
            shadow_set_stale(&ept->shadow, index, true);
        spin_unlock(&ept->lock);
    }
}

/* The table that the entry of a level names, linked; 0: L2 has to try again. */
static u32 link_table(const struct fill *fill, u32 parent, u32 level, bool divide)
{
    struct ept02 *ept = fill->ept;
    u64 entry12 = entry12_of(fill, level);
    u32 role = fill->role | (divide ? SHADOW_DIRECT : 0);
    u64 rights = divide ? ALL_RIGHTS : rights_of(entry12, fill->role);
    u64 leaf = divide ? direct_leaf(entry12, fill->role) : 0;
    u32 child = 0;

    spin_lock(&ept->lock);
    if (!page_of(ept, parent)->retired && is_current(fill, level))
        child = find_or_make(ept, entry12 & EPT_ADDR, level - 1, role, leaf);
    if (child) {
        set_link(ept, parent, table_index(fill->ngpa, level), child, rights);
        if (!page_of(ept, parent)->settled)
            shadow_set_stale(&ept->shadow, parent, true);
    }
    spin_unlock(&ept->lock);
    return child;
}

static u32 next_table(const struct fill *fill, u32 parent, u32 level, bool divide)
{
    u64 entry = load(&shadow_table(&fill->ept->shadow, parent)[table_index(fill->ngpa, level)]);

    if (is_link(entry, level) &&
        link_mirrors(fill->ept, entry, entry12_of(fill, level), fill->role))
        return child_of(fill->ept, entry);
    return link_table(fill, parent, level, divide);
}

/* What EPT02 may have for an entry of EPT12 that nobody has asked for. */
static u64 mirror_neighbour(const struct fill *fill, u64 entry12, u32 level)
{
    u64 size = BIT64(level_shift(level));

    if (!rights_of(entry12, fill->role) || !ept12_is_page(entry12, level, &fill->ept->caps) ||
        phys_is_hidden(entry12 & EPT_ADDR, size))
        return 0;
    return mirror_page(entry12, fill->role);
}

/* The table is locked. False: it has not been added, because L2 could write to a page that counts
   as unchanged while L1 does not write to it. */
static bool add_page(struct ept02 *ept, struct shadow_page *page, u64 *entry, u64 value)
{
    u64 old = load(entry);

    if (exposure_add(&ept->exposure, value, page->level)) {
        exposure_remove(&ept->exposure, value, page->level);
        return false;
    }
    store(entry, value);
    if (old)
        exposure_remove(&ept->exposure, old, page->level);
    else
        page->present++;
    return true;
}

static void unprotect_all(struct ept02 *ept, u64 entry, u32 level)
{
    u64 end = (entry & EPT_ADDR) + BIT64(level_shift(level));

    for (u64 gpa = entry & EPT_ADDR; gpa < end; gpa += PAGE_SIZE)
        if (exposure_hits_guard(&ept->exposure, gpa | EPT_WRITE, 1))
            ept02_source_written(ept, gpa);
}

/* The table is locked. */
static void fill_neighbours(const struct fill *fill, struct shadow_page *page, u64 *table)
{
    u32 first = table_index(fill->ngpa, page->level) & ~(NEIGHBOURS - 1);

    for (u32 i = first; i < first + NEIGHBOURS; i++) {
        u64 entry = load(&table[i])
                        ? 0
                        : mirror_neighbour(fill, phys_read64(page->source + 8 * i), page->level);

        if (entry)
            add_page(fill->ept, page, &table[i], entry);
    }
}

/* L1 has put a page where a table was. */
static void drop_link(struct ept02 *ept, struct shadow_page *page, u64 *entry)
{
    spin_lock(&ept->lock);
    spin_lock(&page->lock);
    if (!page->retired && is_link(load(entry), page->level))
        drop_entry(ept, page, entry);
    spin_unlock(&page->lock);
    spin_unlock(&ept->lock);
}

/* What the fill is about goes into the table; L2 has to try again if it cannot now. */
static void fill_page(const struct fill *fill, u32 index, u64 value)
{
    struct ept02 *ept = fill->ept;
    struct shadow_page *page = page_of(ept, index);
    u64 *table = shadow_table(&ept->shadow, index);
    u64 *entry = &table[table_index(fill->ngpa, page->level)];
    bool direct = page->role & SHADOW_DIRECT, added = true, link = false;

    lock_page(ept, index, page);
    page->used = true;
    link = is_link(load(entry), page->level);
    if (!page->retired && !link && (direct || is_current(fill, page->level))) {
        added = add_page(ept, page, entry, value);
        if (!direct)
            fill_neighbours(fill, page, table);
    }
    spin_unlock(&page->lock);
    if (link)
        drop_link(ept, page, entry);
    if (!added)
        unprotect_all(ept, value, page->level);
}

static void fill_tables(const struct fill *fill, u32 root, u32 levels)
{
    const struct ept12_translation *walk = fill->walk;
    u32 table = root;

    for (u32 level = levels; table && level > walk->level; level--)
        table = next_table(fill, table, level, false);
    if (table && phys_is_hidden(walk->gpa, BIT64(walk->size_shift))) {
        table = next_table(fill, table, walk->level, true);
        if (table)
            fill_page(fill, table,
                      align_down(ept12_address(walk, fill->ngpa), SIZE_2M) |
                          page_of(fill->ept, table)->leaf);
    } else if (table) {
        fill_page(fill, table, mirror_page(entry12_of(fill, walk->level), fill->role));
    }
}

/* ---- gaps: EPT02's tables down to the last one are there, and as EPT12's are now ---- */

/* Each level covers what the next address bits of L2 are for. */
static bool is_covered(u64 eptp12, u64 ngpa)
{
    return !(ngpa >> level_shift(ept12_levels(eptp12) + 1));
}

static u64 entry12_at(const struct ept02_gap *gap, u64 ngpa)
{
    return load(&gap->table12[table_index(ngpa, gap->level)]);
}

static u64 *entry_at(const struct ept02_gap *gap, u64 ngpa)
{
    return &gap->table[table_index(ngpa, gap->level)];
}

/* The core has come this way, and would again: nothing was taken away, and EPT12 is the same. */
static bool leads_to(const struct ept02 *ept, u32 root, u64 ngpa, const struct ept02_gap *gap)
{
    u64 mask = gap->mask;
    u32 links = gap->links;

    if (gap->root != root || ngpa >> gap->shift != gap->prefix ||
        gap->unlinked != __atomic_load_n(&ept->unlinked, __ATOMIC_SEQ_CST))
        return false;
    for (u32 i = 0; i < links; i++)
        if ((load(gap->link[i].entry12) & mask) != gap->link[i].value)
            return false;
    return gap->level == 1 || !is_link(load(entry_at(gap, ngpa)), gap->level);
}

/*
 * Goes down from the root's table as long as an entry of EPT12 is the link that EPT02's entry is;
 * it then has the rights of that, and no bit that is reserved. Not so a page of EPT12 that EPT02
 * divides. False: L1 has no memory where EPT12 has a table.
 */
static bool go_down(const struct ept02 *ept, u32 root, u64 ngpa, struct ept02_gap *gap)
{
    u32 role = page_of(ept, root)->role, table = root;
    u64 accessed = role & SHADOW_ACCESSED_DIRTY ? EPT_ACCESSED : 0;

    *gap = (struct ept02_gap){.unlinked = __atomic_load_n(&ept->unlinked, __ATOMIC_SEQ_CST),
                              .mask = EPT_ADDR | ATTRIBUTES | EPT_LARGE | accessed |
                                      rights_of(~0ull, role)};
    for (;;) {
        struct shadow_page *page = page_of(ept, table);
        u32 index = table_index(ngpa, page->level);
        u64 entry, value;

        gap->index = table;
        gap->page = page;
        gap->table = shadow_table(&ept->shadow, table);
        entry = load(&gap->table[index]);
        gap->level = page->level;
        gap->table12 = phys_table(page->source);
        if (!gap->table12)
            return false;
        if (!is_link(entry, page->level))
            break;
        table = child_of(ept, entry);
        value = page_of(ept, table)->source | (entry & ALL_RIGHTS) | accessed;
        if (page_of(ept, table)->role != role || (load(&gap->table12[index]) & gap->mask) != value)
            break;
        gap->link[gap->links].entry12 = &gap->table12[index];
        gap->link[gap->links++].value = value;
    }
    gap->root = root;
    gap->size = BIT64(level_shift(gap->level));
    gap->shift = level_shift(gap->level + 1);
    gap->prefix = ngpa >> gap->shift;
    gap->address = EPT_ADDR & (BIT64(ept->caps.physical_bits) - gap->size);
    return true;
}

static bool find_gap(const struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, struct ept02_gap *gap)
{
    return leads_to(ept, root, ngpa, gap) ||
           (root != ept->empty && is_covered(eptp12, ngpa) && go_down(ept, root, ngpa, gap));
}

/* What has been found valid is, with another address too. */
static bool is_page(const struct ept02 *ept, struct ept02_gap *gap, u64 entry12)
{
    if (!((entry12 ^ gap->valid) & ~gap->address))
        return true;
    if (!ept12_is_page(entry12, gap->level, &ept->caps))
        return false;
    gap->valid = entry12;
    return true;
}

/* What EPT02 may have for an entry of EPT12 that allows the access and has the flags that it sets.
 */
static u64 mirror_filled(const struct ept02 *ept, struct ept02_gap *gap, u64 entry12, u64 access)
{
    u64 value = mirror_page(entry12, gap->page->role);

    if ((access & ~value) || !is_page(ept, gap, entry12) ||
        phys_is_hidden(entry12 & EPT_ADDR, gap->size))
        return 0;
    return value;
}

/* L1 has filled the gap, with what L2's access allows to map. The core walks EPT02 already: no
   table on the way is used for another meanwhile. */
static bool fill_gap(struct ept02 *ept, struct ept02_gap *gap, u64 ngpa, u64 access)
{
    struct shadow_page *page = gap->page;
    u64 *entry = entry_at(gap, ngpa);
    bool added = false;
    u64 value;

    lock_page(ept, gap->index, page);
    page->used = true;
    value = mirror_filled(ept, gap, entry12_at(gap, ngpa), access);
    if (value && !page->retired && !load(entry))
        added = add_page(ept, page, entry, value);
    spin_unlock(&page->lock);
    return added;
}

/* ---- accesses ---- */

/* What EPT12 says of an access; if it allows it, with all that the access brings about there. */
static enum ept12_result access_ept12(const struct ept02 *ept, u64 eptp12, u64 ngpa, u64 access,
                                      struct ept12_log *log, struct ept12_translation *walk)
{
    enum ept12_result result = ept12_walk(eptp12, ngpa, &ept->caps, walk);

    if (result != EPT12_TRANSLATED)
        return result;
    if (access & ~walk->rights)
        return EPT12_VIOLATION;
    return ept12_set_flags(eptp12, ngpa, access & EPT_WRITE, log, walk);
}

static enum ept02_result fill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access,
                              struct ept12_log *log, struct ept12_translation *walk)
{
    const struct fill fill = {ept, walk, ngpa, role_of(eptp12)};

    switch (access_ept12(ept, eptp12, ngpa, access, log, walk)) {
    case EPT12_TRANSLATED: break;
    case EPT12_VIOLATION: return EPT02_VIOLATION;
    case EPT12_MISCONFIGURED: return EPT02_MISCONFIGURED;
    case EPT12_LOG_FULL: return EPT02_LOG_FULL;
    case EPT12_CHANGED: return EPT02_FILLED;
    }
    if (phys_is_hidden(align_down(ept12_address(walk, ngpa), PAGE_SIZE), PAGE_SIZE))
        return EPT02_HIDDEN;
    if (root != ept->empty)
        fill_tables(&fill, root, ept12_levels(eptp12));
    return EPT02_FILLED;
}

enum ept02_result ept02_fill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access,
                             struct ept12_log *log, struct ept12_translation *walk,
                             struct ept02_gap *gap)
{
    if (find_gap(ept, root, eptp12, ngpa, gap)) {
        u64 entry12 = entry12_at(gap, ngpa);

        if (!(entry12 & gap->mask & ALL_RIGHTS)) {
            walk->level = gap->level;
            walk->rights = 0;
            walk->convertible = !(entry12 & EPT_SUPPRESS_VE);
            return EPT02_VIOLATION;
        }
    }
    return fill(ept, root, eptp12, ngpa, access, log, walk);
}

static void prefill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access)
{
    struct ept12_translation walk;
    const struct fill fill = {ept, &walk, ngpa, role_of(eptp12)};

    if (root == ept->empty || ept12_walk(eptp12, ngpa, &ept->caps, &walk) != EPT12_TRANSLATED ||
        (access & ~walk.rights) || !ept12_has_flags(eptp12, access & EPT_WRITE, &walk) ||
        phys_is_hidden(align_down(ept12_address(&walk, ngpa), PAGE_SIZE), PAGE_SIZE))
        return;
    fill_tables(&fill, root, ept12_levels(eptp12));
}

void ept02_prefill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 access,
                   struct ept02_gap *gap)
{
    if (!leads_to(ept, root, ngpa, gap) || !fill_gap(ept, gap, ngpa, access))
        prefill(ept, root, eptp12, ngpa, access);
}

/* ---- roots ---- */

void ept02_init(struct ept02 *ept, u64 start, u64 end, u64 ram_top, const struct ept12_caps *caps,
                struct ept01 *ept01, struct spinlock *ept01_lock)
{
    *ept = (struct ept02){.caps = *caps, .ept01 = ept01, .ept01_lock = ept01_lock};
    exposure_init(&ept->exposure, ram_top, pool_va(start));
    shadow_init(&ept->shadow, align_up(start + exposure_size(ram_top), PAGE_SIZE), end);
    ept->empty = shadow_take(&ept->shadow);
}

/* True if it had not before. */
static bool mark_user(struct shadow_page *root, u32 core)
{
    u64 bit = BIT64(core % 64), *word = &root->users[core / 64];
    bool is_new = !(*word & bit);

    *word |= bit;
    return is_new;
}

void ept02_use_root(struct ept02 *ept, u64 eptp12, u32 core, u32 *user)
{
    bool is_new;
    u32 root;

    spin_lock(&ept->lock);
    root = find_or_make(ept, eptp12 & EPT_ADDR, ept12_levels(eptp12), role_of(eptp12), 0);
    if (!root)
        root = ept->empty;
    page_of(ept, root)->used = true;
    is_new = mark_user(page_of(ept, root), core);
    __atomic_store_n(user, root, __ATOMIC_RELEASE);
    spin_unlock(&ept->lock);
    if (is_new)
        ept02_sync(ept);
}

u64 ept02_pointer(const struct ept02 *ept, u64 eptp12, u32 root)
{
    return shadow_address(&ept->shadow, root) | MT_WB | (eptp12 & (EPTP_WALK_LENGTH | EPTP_AD));
}

u64 ept02_take_table(struct ept02 *ept)
{
    u32 index;

    spin_lock(&ept->lock);
    index = shadow_take(&ept->shadow);
    if (!index)
        reclaim(ept);
    spin_unlock(&ept->lock);
    return index ? shadow_address(&ept->shadow, index) : 0;
}

u64 ept02_give_page(struct ept02 *ept)
{
    u32 index = 0;

    spin_lock(&ept->lock);
    if (ept->lent < ept->shadow.count / LENT_PART)
        index = shadow_take(&ept->shadow);
    if (index)
        ept->lent++;
    spin_unlock(&ept->lock);
    return index ? shadow_address(&ept->shadow, index) : 0;
}

void ept02_each_pointer(struct ept02 *ept, u64 eptp, void (*flush)(u64 pointer))
{
    u64 source = eptp & EPT_ADDR;

    spin_lock(&ept->lock);
    for (u32 i = shadow_first(&ept->shadow, source); i; i = shadow_next(&ept->shadow, i, source))
        flush(ept02_pointer(ept, eptp, i));
    spin_unlock(&ept->lock);
}

/* ---- reading again ---- */

/* False if EPT01 does not map the page for good, there is no memory for the tables that it takes,
   or L2 can write to it; then all stays, as other pages may rely on it. EPT01's lock is held. */
static bool forbid_writes(struct ept02 *ept, u64 gpa)
{
    u64 entry = 0;
    u32 level;

    if (gpa >= ept->exposure.top)
        return false;
    while (ept01_lookup(ept->ept01, gpa, &entry, &level) && level > 1) {
        u32 table = ept->given < ept->shadow.count / GIVEN_PART ? shadow_take(&ept->shadow) : 0;

        if (!table)
            return false;
        ept->given++;
        ept01_split(ept->ept01, gpa, shadow_address(&ept->shadow, table));
    }
    if (gpa >= ept->exposure.top || !ept01_set_writable(ept->ept01, gpa, false))
        return false;
    /* add_page() counts first and then looks here: one of the two sees the other. */
    exposure_guard(&ept->exposure, gpa, true);
    if (!exposure_any(&ept->exposure, gpa))
        return true;
    if (entry & EPT_WRITE) {
        exposure_guard(&ept->exposure, gpa, false);
        ept01_set_writable(ept->ept01, gpa, true);
    }
    return false;
}

bool ept02_forbid_writes(struct ept02 *ept, u64 gpa)
{
    bool done;

    spin_lock(ept->ept01_lock);
    done = forbid_writes(ept, gpa);
    spin_unlock(ept->ept01_lock);
    return done;
}

/* Drops what L1 has changed; true if there was any. */
static bool read_again(struct ept02 *ept, struct shadow_page *page, u64 *table)
{
    u16 before = page->present;

    for (u32 i = 0, left = page->present; left && i < ENTRIES; i++) {
        u64 entry = load(&table[i]);

        if (!entry)
            continue;
        left--;
        if (!mirrors(ept, entry, phys_read64(page->source + 8 * i), page))
            drop_entry(ept, page, &table[i]);
    }
    return page->present != before;
}

/* Protecting it was of no use, or not possible: it takes longer until the next time. */
static void be_patient(struct shadow_page *page)
{
    page->quiet = 0;
    if (page->patience < PATIENCE_MAX)
        page->patience++;
}

/* Protects a table that has not changed for a while. */
static void protect(struct ept02 *ept, struct shadow_page *page, u64 *table)
{
    if (++page->quiet < 1u << page->patience)
        return;
    if (!ept02_forbid_writes(ept, page->source)) {
        be_patient(page);
        return;
    }
    ept->protections++;
    page->protected = true;
    page->protected_at = cores_new_epoch();
    /* Without other cores; or these have been quick, and may have written until then. */
    page->settled = cores_caught_up(page->protected_at);
    if (page->settled)
        ept->changes += read_again(ept, page, table);
}

static void sync_page(struct ept02 *ept, u32 index)
{
    struct shadow_page *page = page_of(ept, index);
    u64 *table = shadow_table(&ept->shadow, index);
    /* Asked before the table is read: who has caught up cannot change it any more. */
    bool settled = page->protected && cores_caught_up(page->protected_at);
    bool changed;

    spin_lock(&page->lock);
    ept->reads++;
    changed = read_again(ept, page, table);
    ept->changes += changed;
    page->settled = settled;
    if (changed)
        page->quiet = 0;
    else if (!page->protected && page->present)
        protect(ept, page, table);
    if (page->settled || !page->present)
        shadow_set_stale(&ept->shadow, index, false);
    spin_unlock(&page->lock);
}

static void sync_all(struct ept02 *ept)
{
    u32 next;

    for (u32 index = ept->shadow.stale; index; index = next) {
        next = page_of(ept, index)->stale_next;
        sync_page(ept, index);
    }
}

/* Who waited for a run that began later than it asked needs none of its own. */
void ept02_sync(struct ept02 *ept)
{
    u64 request = __atomic_add_fetch(&ept->syncs_asked, 1, __ATOMIC_SEQ_CST);

    spin_lock(&ept->lock);
    if (ept->syncs_done < request) {
        ept->syncs_done = __atomic_load_n(&ept->syncs_asked, __ATOMIC_SEQ_CST);
        sync_all(ept);
    }
    spin_unlock(&ept->lock);
}

static void unprotect(struct ept02 *ept, u32 index)
{
    struct shadow_page *page = page_of(ept, index);

    spin_lock(&page->lock);
    if (page->protected)
        be_patient(page);
    page->protected = page->settled = false;
    if (page->present)
        shadow_set_stale(&ept->shadow, index, true);
    spin_unlock(&page->lock);
}

bool ept02_source_written(struct ept02 *ept, u64 pa)
{
    u64 source = align_down(pa, PAGE_SIZE);

    if (ept01_is_writable(ept->ept01, source))
        return false;
    spin_lock(&ept->lock);
    for (u32 i = shadow_first(&ept->shadow, source); i; i = shadow_next(&ept->shadow, i, source))
        if (!(page_of(ept, i)->role & SHADOW_DIRECT))
            unprotect(ept, i);
    watch_written(ept->watches, source);
    spin_lock(ept->ept01_lock);
    ept01_set_writable(ept->ept01, source, true);
    exposure_guard(&ept->exposure, source, false);
    spin_unlock(ept->ept01_lock);
    spin_unlock(&ept->lock);
    return true;
}

void ept02_set_written(struct ept02 *ept, u64 *page, u64 pa)
{
    if (*page == pa)
        return;
    if (pa) {
        exposure_add(&ept->exposure, pa | EPT_WRITE, 1);
        ept02_source_written(ept, pa);
    }
    if (*page)
        exposure_remove(&ept->exposure, *page | EPT_WRITE, 1);
    *page = pa;
}
