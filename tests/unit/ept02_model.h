/*
 * What the tests of EPT02 share: a machine with EPT01, EPT02 and hidden memory as in production,
 * cores with an epoch each that the test advances, the processor's walk of an EPT as the SDM has
 * it, and an L2 that touches memory until it gets there.
 */
#ifndef PLASTRON_TESTS_EPT02_MODEL_H
#define PLASTRON_TESTS_EPT02_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "mm/ept02.h"
#include "mm/pool.h"
#include "fake_phys.h"
#include "x86.h"

#define BITS         40u
#define RAM_TOP      SIZE_1G
#define HIDDEN       0x4000000ull /* L0's memory: EPT01's tables, then EPT02's */
#define HIDDEN_SIZE  0x1000000ull
#define EPT02_START  (HIDDEN + SIZE_2M)
#define ROOM_PAGES   300u
#define TABLES12     0x1000000ull /* L1's tables */
#define DATA         0x2000000ull /* memory that holds no tables */
#define NGPA         0x123456789abcull
#define ALL          (EPT_RWX | EPT_EXEC_USER)
#define WB           ((u64)MT_WB << EPT_MEMORY_TYPE_SHIFT)
#define USED         (EPT_ACCESSED | EPT_DIRTY)
#define EPTP(table)  ((table) | EPTP_WALK_LENGTH_4 | MT_WB)
#define EPTP5(table) ((table) | EPTP_WALK_LENGTH_5 | MT_WB)

static struct ept02 ept;
static struct ept01 ept01;
static struct spinlock ept01_lock;
static struct pool ept01_pool;
static struct mtrr_state mtrrs = {.def_type = MTRR_DEF_TYPE_ENABLE | MT_WB};
static struct ept12_caps caps;
static struct ept12_log log;
static struct ept12_translation walk12; /* of the last fill */

/* ---- Cores ---- */

#define CORES 4u

static struct core {
    u64 epoch; /* passed */
    u64 key;   /* EPTP12 that the root is for */
    u32 root;
    struct ept02_gap gap;
    bool walks;
} cores[CORES];

static u64 epoch;
static u32 core_count;
static void (*on_new_epoch)(void); /* what other cores do as soon as there is one */
static __thread u32 self;

u64 cores_new_epoch(void)
{
    u64 new = __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);

    if (on_new_epoch)
        on_new_epoch();
    return new;
}

bool cores_passed(u64 wanted)
{
    for (u32 i = 0; i < core_count; i++)
        if (__atomic_load_n(&cores[i].walks, __ATOMIC_SEQ_CST) &&
            __atomic_load_n(&cores[i].epoch, __ATOMIC_SEQ_CST) < wanted)
            return false;
    return true;
}

bool cores_caught_up(u64 wanted)
{
    for (u32 i = 0; i < core_count; i++)
        if (i != self && __atomic_load_n(&cores[i].epoch, __ATOMIC_SEQ_CST) < wanted)
            return false;
    return true;
}

bool cores_use_root(u32 root)
{
    for (u32 i = 0; i < core_count; i++)
        if (__atomic_load_n(&cores[i].root, __ATOMIC_ACQUIRE) == root)
            return true;
    return false;
}

/* The core exits if it runs, and enters: it has invalidated all. */
static inline void catch_up(u32 core)
{
    u64 now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);

    __atomic_store_n(&cores[core].epoch, now, __ATOMIC_SEQ_CST);
}

static inline void all_catch_up(void)
{
    for (u32 i = 0; i < core_count; i++)
        catch_up(i);
}

static inline void set_walks(u32 core, bool walks)
{
    __atomic_store_n(&cores[core].walks, walks, __ATOMIC_SEQ_CST);
    catch_up(core);
}

/* ---- The machine ---- */

/* With about so many pages for tables of EPT02. */
static inline void start(u32 pages)
{
    const struct ept01_caps caps01 = {.physical_bits = BITS, .has_1g = true};
    u64 room = align_up(exposure_size(RAM_TOP), PAGE_SIZE);

    room += pages * (PAGE_SIZE + sizeof(struct shadow_page) + 8) + 2 * PAGE_SIZE;
    assert_true(EPT02_START + room <= HIDDEN + HIDDEN_SIZE);
    fake_phys_reset();
    fake_phys_hide(HIDDEN, HIDDEN_SIZE);
    memset(cores, 0, sizeof(cores));
    core_count = 1;
    epoch = 0;
    self = 0;
    on_new_epoch = NULL;
    log = (struct ept12_log){0};
    caps = (struct ept12_caps){
        .physical_bits = BITS, .execute_only = true, .has_1g = true, .has_2m = true};
    pool_init(&ept01_pool, HIDDEN, EPT02_START);
    assert_true(ept01_build(&ept01, &ept01_pool, &mtrrs, RAM_TOP, HIDDEN, HIDDEN_SIZE, &caps01));
    ept02_init(&ept, EPT02_START, EPT02_START + room, RAM_TOP, &caps, &ept01, &ept01_lock);
    assert_true(ept.shadow.count + 2 >= pages && ept.shadow.count <= pages + 2);
}

static inline int setup(void **state)
{
    (void)state;
    start(ROOM_PAGES);
    return 0;
}

/* ---- The processor's walk. SDM vol. 3, "The Extended Page Table Mechanism (EPT)" ---- */

enum verdict { ALLOWED, VIOLATION, MISCONFIGURED, HIDDEN_MEMORY, LOG_FULL, STUCK };

struct walked {
    enum verdict verdict; /* ALLOWED: there is a page */
    u64 address, rights;
    u32 type, level;
    bool ignore_pat, accessed, dirty; /* the first: all entries */
};

/* L1's memory. */
static inline u64 read12(u64 pa)
{
    if (pa >= FAKE_PHYS_SIZE || (pa >= HIDDEN && pa < HIDDEN + HIDDEN_SIZE))
        return ~0ull;
    return __atomic_load_n((const u64 *)pool_va(pa), __ATOMIC_ACQUIRE);
}

static inline u64 read02(u64 pa)
{
    return __atomic_load_n((const u64 *)pool_va(pa), __ATOMIC_ACQUIRE);
}

static inline u64 slot(u64 table, u64 ngpa, u32 level)
{
    return table + (ngpa >> (12 + 9 * (level - 1)) & 511) * 8;
}

static inline bool is_bad(u64 entry, u32 level, bool page)
{
    u64 beyond = 0x000fffffffffffffull & ~((1ull << BITS) - 1);
    u32 type = entry >> 3 & 7;

    if ((entry & 3) == 2 || (!(entry & 1) && !caps.execute_only) || (entry & beyond))
        return true;
    if (!page)
        return entry & 0xf8;
    return type == 2 || type == 3 || type == 7 ||
           (entry & ((1ull << (12 + 9 * (level - 1))) - 1) & ~0xfffull);
}

static inline struct walked processor_walk(u64 eptp, bool mode_based, u64 ngpa, u64 (*read)(u64 pa))
{
    u64 all = mode_based ? 0x407 : 7, table = eptp & 0x000ffffffffff000ull;
    struct walked w = {.verdict = ALLOWED, .rights = all, .accessed = true};

    for (w.level = (u32)(eptp >> 3 & 7) + 1;; w.level--) {
        u64 entry = read(slot(table, ngpa, w.level)), size = 1ull << (12 + 9 * (w.level - 1));
        bool page =
            w.level == 1 ||
            (entry & 0x80 && ((w.level == 2 && caps.has_2m) || (w.level == 3 && caps.has_1g)));

        if (!(entry & all))
            return (struct walked){.verdict = VIOLATION};
        if (is_bad(entry, w.level, page))
            return (struct walked){.verdict = MISCONFIGURED};
        w.rights &= entry;
        w.accessed &= entry >> 8 & 1;
        if (page) {
            w.address = (entry & 0x000ffffffffff000ull) | (ngpa & (size - 1));
            w.type = entry >> 3 & 7;
            w.ignore_pat = entry >> 6 & 1;
            w.dirty = entry >> 9 & 1;
            return w;
        }
        table = entry & 0x000ffffffffff000ull;
    }
}

static inline struct walked walk_of_ept12(u64 key, u64 ngpa)
{
    return processor_walk(key, key & EPT12_MODE_BASED, ngpa, read12);
}

/* Whatever is found in EPT02 is valid, and leads to L1's memory. */
static inline struct walked walk_of_ept02(u32 core, u64 ngpa)
{
    u64 key = cores[core].key;
    struct walked w = processor_walk(ept02_pointer(&ept, key, cores[core].root),
                                     key & EPT12_MODE_BASED, ngpa, read02);

    assert_true(w.verdict == ALLOWED || w.verdict == VIOLATION);
    if (w.verdict == ALLOWED) {
        u64 page = align_down(w.address, PAGE_SIZE);

        assert_false(ranges_overlap(page, PAGE_SIZE, HIDDEN, HIDDEN_SIZE));
        assert_int_equal(w.address >> BITS, 0);
    }
    return w;
}

static inline bool permits(const struct walked *w, u64 access)
{
    return w->verdict == ALLOWED && (w->rights & access) == access;
}

/* What EPT12 alone makes of an access. */
static inline enum verdict verdict_of_ept12(u64 key, u64 ngpa, u64 access)
{
    struct walked w = walk_of_ept12(key, ngpa);

    if (w.verdict != ALLOWED)
        return w.verdict;
    if (!permits(&w, access))
        return VIOLATION;
    return w.address >= HIDDEN && w.address < HIDDEN + HIDDEN_SIZE ? HIDDEN_MEMORY : ALLOWED;
}


/* ---- L2 ---- */

/* As before each VM entry. */
static inline void use(u32 core, u64 key)
{
    struct core *c = &cores[core];

    if (c->key == key && c->root && c->root != ept.empty)
        return;
    ept02_use_root(&ept, key, core, &c->root);
    c->key = key;
}

/* L1 enters L2 on the core; L2 exits to L1. */
static inline void enter_l2(u32 core, u64 key)
{
    self = core;
    set_walks(core, true);
    use(core, key);
    catch_up(core);
}

static inline void leave_l2(u32 core) { set_walks(core, false); }

static inline enum verdict fill(u32 core, u64 ngpa, u64 access)
{
    enum ept02_result result;

    result = ept02_fill(&ept, cores[core].root, cores[core].key, ngpa, access, &log, &walk12,
                        &cores[core].gap);
    switch (result) {
    case EPT02_FILLED: return ALLOWED;
    case EPT02_HIDDEN: return HIDDEN_MEMORY;
    case EPT02_VIOLATION: return VIOLATION;
    case EPT02_MISCONFIGURED: return MISCONFIGURED;
    case EPT02_LOG_FULL: return LOG_FULL;
    }
    return STUCK;
}

#define TRIES 40u

static inline enum verdict touch_with(u32 core, u64 ngpa, u64 access, void (*between)(void))
{
    self = core;
    for (u32 i = 0; i < TRIES; i++) {
        struct walked w;
        enum verdict verdict;

        use(core, cores[core].key);
        catch_up(core);
        w = walk_of_ept02(core, ngpa);
        if (permits(&w, access))
            return ALLOWED;
        verdict = fill(core, ngpa, access);
        if (between)
            between();
        catch_up(core);
        if (verdict != ALLOWED)
            return verdict;
    }
    return STUCK;
}

/* L2 on a core accesses memory, and comes back as long as there is hope. */
static inline enum verdict touch(u32 core, u64 ngpa, u64 access)
{
    return touch_with(core, ngpa, access, NULL);
}

static inline void sync_on(u32 core)
{
    self = core;
    ept02_sync(&ept);
    catch_up(core);
}

/* ---- L1's tables ---- */

static u64 next_table;

static inline u64 new_table(void)
{
    u64 table = next_table;

    next_table += PAGE_SIZE;
    assert_true(next_table <= DATA);
    return table;
}

/* Maps a page of a level below a root of four levels, through tables that all allow all. */
static inline u64 map12(u64 root, u64 ngpa, u32 page_level, u64 entry)
{
    u64 table = root;

    for (u32 level = 4; level > page_level; level--) {
        u64 at = slot(table, ngpa, level);

        if (!fake_get64(at))
            fake_put64(at, new_table() | ALL);
        table = fake_get64(at) & EPT_ADDR;
    }
    fake_put64(slot(table, ngpa, page_level), entry);
    return slot(table, ngpa, page_level);
}

/* ---- Every page is in one place ---- */

enum place { UNSEEN, FREE, UNLINKED, WAITING };

struct census {
    u8 place[ROOM_PAGES + 8];
    u32 links[ROOM_PAGES + 8];
    u32 own, free, small_exposed, large_exposed; /* own: no tables of EPT12's */
};

static inline void count_list(struct census *census, u32 first, enum place place)
{
    for (u32 i = first; i; i = shadow_page(&ept.shadow, i)->next) {
        assert_true(i < ept.shadow.untouched);
        assert_int_equal(census->place[i], UNSEEN);
        census->place[i] = (u8)place;
        census->free += place == FREE;
    }
}

static inline bool is_link02(u64 entry, u32 level) { return level > 1 && !(entry & EPT_LARGE); }

static inline void check_leaf(struct census *census, u64 entry, u32 level)
{
    u64 address = entry & EPT_ADDR, size = 1ull << (12 + 9 * (level - 1));

    assert_true(level <= 3);
    assert_false(ranges_overlap(address, size, HIDDEN, HIDDEN_SIZE));
    assert_int_equal(address >> BITS, 0);
    if (entry & EPT_WRITE) {
        census->small_exposed += level == 1 && address < FAKE_PHYS_SIZE;
        census->large_exposed += level > 1 && address < RAM_TOP;
    }
}

static inline void check_entries(struct census *census, u32 index)
{
    const struct shadow_page *page = shadow_page(&ept.shadow, index);
    u32 present = 0;

    for (u32 i = 0; i < 512; i++) {
        u64 entry = shadow_table(&ept.shadow, index)[i];
        u32 child = shadow_index(&ept.shadow, entry & EPT_ADDR);

        if (!entry)
            continue;
        present++;
        assert_true(entry & ALL);
        if (!is_link02(entry, page->level)) {
            check_leaf(census, entry, page->level);
            continue;
        }
        assert_true(child > 0 && child < ept.shadow.untouched);
        assert_int_equal(census->place[child], UNSEEN);
        assert_false(shadow_page(&ept.shadow, child)->retired);
        assert_int_equal(shadow_page(&ept.shadow, child)->level, page->level - 1);
        assert_int_equal(shadow_page(&ept.shadow, child)->role & ~SHADOW_DIRECT, page->role);
        census->links[child]++;
    }
    assert_int_equal(present, page->present);
}

static inline void check_live(struct census *census, u32 index)
{
    const struct shadow_page *page = shadow_page(&ept.shadow, index);
    bool direct = page->role & SHADOW_DIRECT;

    assert_false(page->retired);
    assert_int_equal(shadow_find(&ept.shadow, page->source, page->level, page->role, page->leaf),
                     index);
    check_entries(census, index);
    if (!direct && page->present)
        assert_true(page->stale || page->settled);
    if (page->protected)
        assert_false(ept01_is_writable(&ept01, page->source));
    else
        assert_false(page->settled);
}

static inline void check_retired(u32 index)
{
    const struct shadow_page *page = shadow_page(&ept.shadow, index);
    const u64 *table = shadow_table(&ept.shadow, index);

    assert_true(page->retired && !page->stale);
    assert_int_equal(page->present, 0);
    for (u32 i = 0; i < 512; i++)
        assert_int_equal(table[i], 0);
}

static inline void check_links(const struct census *census)
{
    for (u32 i = 1; i < ept.shadow.untouched; i++) {
        const struct shadow_page *page = shadow_page(&ept.shadow, i);

        if (census->place[i] != UNSEEN || !page->level)
            continue;
        assert_int_equal(page->links, census->links[i]);
        if (page->links == 1 && page->parent)
            assert_int_equal(shadow_table(&ept.shadow, page->parent)[page->parent_slot] & EPT_ADDR,
                             shadow_address(&ept.shadow, i));
    }
}

static inline void check_stale(const struct census *census)
{
    u32 before = 0, count = 0;

    for (u32 i = ept.shadow.stale; i; i = shadow_page(&ept.shadow, i)->stale_next) {
        const struct shadow_page *page = shadow_page(&ept.shadow, i);

        assert_true(++count < ept.shadow.untouched);
        assert_true(page->stale && page->level && census->place[i] == UNSEEN);
        assert_int_equal(page->stale_prev, before);
        assert_false(page->role & SHADOW_DIRECT);
        before = i;
    }
    for (u32 i = 1; i < ept.shadow.untouched; i++)
        count -= census->place[i] == UNSEEN && shadow_page(&ept.shadow, i)->stale;
    assert_int_equal(count, 0);
}

/* Tables of EPT01 that are EPT02's pages. */
static inline u32 tables_given_to_ept01(u64 table, u32 level)
{
    u32 count = table >= ept.shadow.base;

    for (u32 i = 0; level > 1 && i < 512; i++) {
        u64 entry = fake_get64(table + 8 * i);

        if ((entry & EPT_RWX) && !(entry & EPT_LARGE))
            count += tables_given_to_ept01(entry & EPT_ADDR, level - 1);
    }
    return count;
}

static inline u32 sum_of(const u8 *counts, u64 count)
{
    u32 sum = 0;

    for (u64 i = 0; i < count; i++)
        sum += counts[i];
    return sum;
}

/* All large pages; of the small ones those where the tests have any. */
static inline void check_exposure(const struct census *census, u32 written)
{
    u8 *const *counts = ept.exposure.counts;

    assert_int_equal(sum_of(counts[2], 1) + sum_of(counts[1], RAM_TOP / SIZE_2M),
                     census->large_exposed);
    assert_int_equal(sum_of(counts[0], FAKE_PHYS_SIZE / PAGE_SIZE),
                     census->small_exposed + written);
}

/* `taken` pages are overlays'; so many pages the processor writes to. */
static inline void check_pages(u32 taken, u32 written)
{
    const struct shadow *shadow = &ept.shadow;
    static struct census census;
    u32 retired = 0;

    census = (struct census){0};
    assert_true(shadow->untouched <= ROOM_PAGES + 8);
    count_list(&census, shadow->free, FREE);
    count_list(&census, shadow->unlinked, UNLINKED);
    count_list(&census, shadow->waiting, WAITING);
    for (u32 i = 1; i < shadow->untouched; i++) {
        if (census.place[i] == UNLINKED || census.place[i] == WAITING) {
            retired++;
            check_retired(i);
        } else if (census.place[i] == UNSEEN && shadow_page(shadow, i)->level) {
            check_live(&census, i);
        } else {
            census.own += census.place[i] == UNSEEN;
        }
    }
    check_links(&census);
    check_stale(&census);
    check_exposure(&census, written);
    assert_int_equal(shadow->in_use, shadow->untouched - 1 - census.free - retired);
    assert_int_equal(census.own, 1 + taken + tables_given_to_ept01(ept01.root, ept01.levels));
}

#endif
