/*
 * Walks that change nothing: against mm/walk.c, mm/ept12.c, mm/ept01.c and the processor's walk of
 * an EPT as ept02_model.h has it, on tables as they should be and on random ones; and the words.
 */
#include <pthread.h>

#include "ept02_model.h"

#include "mm/inspect.h"
#include "mm/walk.h"
#include "mm/walk_entry.h"

#define ROUNDS 8000u

/* ---- Nothing is changed ---- */

static u8 before[16 * PAGE_SIZE];
static u64 watched;

static void watch(u64 pa)
{
    watched = pa;
    memcpy(before, pool_va(pa), sizeof(before));
    fake_reads = fake_sets = fake_bytes = 0;
}

static void assert_unchanged(void)
{
    assert_memory_equal(before, pool_va(watched), sizeof(before));
    assert_int_equal(fake_sets, 0);
}

static u32 kinds[INSPECT_STRAY + 1]; /* that walks have ended with */

/* Each has, but for those given. */
static void assert_all_kinds(u32 without)
{
    for (u32 kind = INSPECT_PAGE; kind < ARRAY_SIZE(kinds); kind++)
        assert_int_equal(!kinds[kind], !!(without & BIT(kind)));
    memset(kinds, 0, sizeof(kinds));
}

/* What holds of every walk: levels go down by one, tables lead on, and the last one does not. */
static void assert_shape(const struct inspection *way)
{
    assert_in_range(way->count, 0, INSPECT_STEPS_MAX);
    for (u32 i = 0; i < way->count; i++) {
        assert_int_equal(way->step[i].level, way->step[0].level - i);
        assert_int_equal(way->step[i].kind == INSPECT_TABLE, i + 1 < way->count);
    }
    if (!way->count)
        return;
    assert_int_equal(way->translated, way->step[way->count - 1].kind == INSPECT_PAGE);
    kinds[way->step[way->count - 1].kind]++;
}

static const struct inspect_step *last_of(const struct inspection *way)
{
    assert_true(way->count);
    return &way->step[way->count - 1];
}

/* ---- EPT12 ---- */

/* A random entry that leads to one of 16 tables, more often than not. */
static u64 random_ept_entry(u64 tables)
{
    u64 random = fake_random(), entry = random & 0x80000000000007ffull;

    if (random >> 12 & 7)
        entry &= ~(EPT_MEMORY_TYPE | EPT_IGNORE_PAT | EPT_LARGE);
    if (random >> 15 & 3)
        entry |= EPT_READ;
    if (!(random >> 17 & 7))
        return entry | (random & EPT_ADDR);
    return entry | (tables + (random >> 32 & 15) * PAGE_SIZE);
}

static void fill_tables(u64 tables)
{
    for (u64 pa = tables; pa < tables + 16 * PAGE_SIZE; pa += 8)
        fake_put64(pa, random_ept_entry(tables));
}

static bool breaks(const struct inspect_step *step)
{
    bool page = step->level == 1 ||
                ((step->entry & EPT_LARGE) &&
                 ((step->level == 2 && caps.has_2m) || (step->level == 3 && caps.has_1g)));

    switch (step->kind) {
    case INSPECT_WRITE_ONLY: return (step->entry & 3) == 2;
    case INSPECT_EXECUTE_ONLY: return !(step->entry & EPT_READ) && !caps.execute_only;
    case INSPECT_BAD_TYPE: return page && !memory_type_valid(step->entry >> 3 & 7);
    case INSPECT_RESERVED:
        return is_bad(step->entry & ~(page ? EPT_MEMORY_TYPE : 0), step->level, page);
    default: return false;
    }
}

static void check_ept12(u64 key, u64 ngpa)
{
    struct walked model = walk_of_ept12(key, ngpa);
    struct ept12_translation walk;
    struct inspection way;
    enum ept12_result result = ept12_walk(key, ngpa, &caps, &walk);
    const struct inspect_step *last;

    watch(TABLES12);
    inspect_ept12(key, ngpa, &caps, &way);
    assert_unchanged();
    assert_shape(&way);
    assert_int_equal(fake_reads, way.count);
    last = last_of(&way);
    assert_int_equal(last->level, walk.level);
    assert_int_equal(way.convertible, !(last->entry & EPT_SUPPRESS_VE));
    for (u32 i = 0; i < way.count; i++) {
        assert_int_equal(way.step[i].entry, walk.path[way.step[i].level - 1].entry);
        assert_int_equal(way.step[i].pa, walk.path[way.step[i].level - 1].pa);
    }
    if (result == EPT12_TRANSLATED) {
        assert_int_equal(way.address, model.address);
        assert_int_equal(way.rights, model.rights);
        assert_int_equal(last->size_shift, walk.size_shift);
    } else if (result == EPT12_VIOLATION) {
        assert_int_equal(model.verdict, VIOLATION);
        assert_int_equal(last->kind, INSPECT_ABSENT);
    } else {
        assert_int_equal(model.verdict, MISCONFIGURED);
        assert_true(breaks(last));
    }
}

static void ept12_is_walked_as_the_processor_does(void **state)
{
    (void)state;
    for (u32 round = 0; round < ROUNDS; round++) {
        u64 key = (round & 1 ? EPTP5(TABLES12) : EPTP(TABLES12)) |
                  (round & 2 ? EPT12_MODE_BASED : 0) | (round & 4 ? EPTP_AD : 0);

        if (round % 64 == 0)
            fill_tables(TABLES12);
        caps.execute_only = round & 8;
        caps.has_1g = round & 16;
        caps.has_2m = round & 32;
        check_ept12(key, fake_random() & (round & 1 ? BIT64(57) - 1 : BIT64(48) - 1));
    }
    assert_all_kinds(BIT(INSPECT_UNREACHED) | BIT(INSPECT_STRAY));
}

static void ept12_has_no_entry_for_addresses_beyond(void **state)
{
    struct inspection way;

    (void)state;
    fill_tables(TABLES12);
    watch(TABLES12);
    inspect_ept12(EPTP(TABLES12), BIT64(48), &caps, &way);
    assert_int_equal(way.count, 0);
    assert_false(way.translated || way.convertible);
    inspect_ept12(EPTP5(TABLES12), BIT64(57), &caps, &way);
    assert_int_equal(way.count, 0);
    inspect_ept12(EPTP(TABLES12) | EPTP_WALK_LENGTH, 0, &caps, &way);
    assert_int_equal(way.count, 0);
    assert_int_equal(fake_reads, 0);
}

/* L1 changes each entry as soon as it has been read. */
static u64 seen[INSPECT_STEPS_MAX];
static u32 seen_count;

static void change_behind(u64 pa)
{
    seen[seen_count++] = pa;
    if (pa < FAKE_PHYS_SIZE)
        fake_put64(pa, fake_random());
}

static void what_changes_meanwhile_is_read_once(void **state)
{
    (void)state;
    for (u32 round = 0; round < ROUNDS / 10; round++) {
        struct inspection way, again;
        u64 ngpa = fake_random() & (BIT64(48) - 1);

        fill_tables(TABLES12);
        inspect_ept12(EPTP(TABLES12), ngpa, &caps, &again);
        seen_count = 0;
        fake_after_read = change_behind;
        inspect_ept12(EPTP(TABLES12), ngpa, &caps, &way);
        fake_after_read = NULL;
        assert_shape(&way);
        assert_int_equal(seen_count, way.count);
        for (u32 i = 0; i < way.count; i++)
            assert_int_equal(seen[i], way.step[i].pa);
        /* The same table may be on the way twice. */
        assert_int_equal(way.step[0].entry, again.step[0].entry);
    }
}

/* ---- EPT01 and EPT02 ---- */

static void ept01_is_walked_to_what_it_maps(void **state)
{
    (void)state;
    for (u32 round = 0; round < ROUNDS; round++) {
        u64 gpa = fake_random() & (BIT64(round & 1 ? 31 : 40) - 1), entry;
        struct inspection way;
        u32 level;
        bool mapped;

        if (round & 2)
            gpa = HIDDEN - SIZE_2M + (gpa & (8 * SIZE_2M - 1));
        mapped = ept01_lookup(&ept01, gpa, &entry, &level);
        inspect_own_ept(ept01_eptp(&ept01), gpa, HIDDEN, HIDDEN_SIZE, &way);
        assert_shape(&way);
        assert_int_equal(way.translated, mapped);
        assert_int_equal(last_of(&way)->level, level);
        assert_int_equal(last_of(&way)->entry, entry);
        if (!mapped) {
            assert_int_equal(last_of(&way)->kind, INSPECT_ABSENT);
            continue;
        }
        assert_int_equal(way.address, gpa);
        assert_int_equal(way.rights, EPT_RWX);
        assert_int_equal(last_of(&way)->size_shift, 12 + 9 * (level - 1));
    }
    inspect_own_ept(ept01_eptp(&ept01), BIT64(48), HIDDEN, HIDDEN_SIZE, &(struct inspection){0});
}

static void inspect_ept02(u64 ngpa, struct inspection *way)
{
    inspect_own_ept(ept02_pointer(&ept, cores[0].key, cores[0].root), ngpa, ept.shadow.base,
                    ept.shadow.count * PAGE_SIZE, way);
}

static void check_ept02(u64 ngpa)
{
    struct walked model = walk_of_ept02(0, ngpa);
    struct inspection way;

    inspect_ept02(ngpa, &way);
    assert_shape(&way);
    assert_int_equal(way.translated, model.verdict == ALLOWED);
    if (!way.translated)
        return;
    assert_int_equal(way.address, model.address);
    assert_int_equal(way.rights, model.rights);
    assert_int_equal(last_of(&way)->level, model.level);
}

/* An L2 that touches what EPT12 maps; and what it has not touched. */
static void ept02_is_walked_as_far_as_it_is_filled(void **state)
{
    static const u64 size[] = {0, PAGE_SIZE, SIZE_2M, SIZE_1G};
    struct inspection way;

    (void)state;
    next_table = TABLES12 + PAGE_SIZE;
    for (u32 i = 0; i < 64; i++) {
        u32 level = i % 3 + 1;
        u64 ngpa = align_down((u64)i * 5 * SIZE_1G + i * SIZE_2M, size[level]);

        map12(TABLES12, ngpa, level,
              align_down(DATA + i * SIZE_2M, size[level]) | (level > 1 ? EPT_LARGE : 0) |
                  (i & 4 ? EPT_RWX : EPT_READ) | (i & 8 ? EPT_EXEC_USER : 0) | WB);
    }
    enter_l2(0, EPTP(TABLES12) | EPTP_AD | EPT12_MODE_BASED);
    inspect_ept02(0, &way);
    assert_int_equal(way.count, 1);
    assert_int_equal(last_of(&way)->kind, INSPECT_ABSENT);
    for (u32 i = 0; i < 64; i++) {
        u64 ngpa = (u64)i * 5 * SIZE_1G + i * SIZE_2M;

        touch(0, ngpa, i & 16 ? EPT_WRITE : EPT_READ);
        check_ept02(ngpa);
        check_ept02(ngpa + SIZE_1G);
    }
}

/* An entry, as every walk of L0's takes it. */
static void check_own_step(const struct inspect_step *step, u64 start, u64 size)
{
    bool page = step->level == 1 || (step->entry & EPT_LARGE);
    char words[INSPECT_WORDS_MAX];

    inspect_ept_words(step, words);
    if (step->pa < start || step->pa >= start + size)
        assert_int_equal(step->kind, INSPECT_STRAY);
    else if (!(step->entry & ALL))
        assert_int_equal(step->kind, INSPECT_ABSENT);
    else if (page)
        assert_int_equal(step->kind, step->level > 3 ? INSPECT_RESERVED : INSPECT_PAGE);
    else
        assert_int_equal(step->kind, INSPECT_TABLE);
}

static void check_own(const struct inspection *way, u64 gpa, u64 start, u64 size)
{
    u64 rights = ALL, offset;

    for (u32 i = 0; i < way->count; i++) {
        check_own_step(&way->step[i], start, size);
        rights &= way->step[i].entry;
    }
    if (!way->translated)
        return;
    offset = BIT64(12 + 9 * (last_of(way)->level - 1)) - 1;
    assert_int_equal(way->address & offset, gpa & offset);
    assert_int_equal(way->address & ~offset, last_of(way)->entry & EPT_ADDR & ~offset);
    assert_int_equal(way->rights, rights);
}

/* Whatever stands there, only the tables' own memory is read. */
static void own_tables_of_garbage_lead_nowhere(void **state)
{
    u64 start = TABLES12, size = 12 * PAGE_SIZE;

    (void)state;
    for (u32 round = 0; round < ROUNDS; round++) {
        struct inspection way;
        u64 eptp = round % 5 ? start | (fake_random() & 0x3f) : fake_random();
        u64 gpa = fake_random() >> (round & 31);

        if (round % 64 == 0)
            fill_tables(TABLES12);
        watch(TABLES12);
        inspect_own_ept(eptp, gpa, start, size, &way);
        assert_unchanged();
        assert_shape(&way);
        check_own(&way, gpa, start, size);
    }
    assert_all_kinds((u32) ~(BIT(INSPECT_PAGE) | BIT(INSPECT_ABSENT) | BIT(INSPECT_STRAY) |
                             BIT(INSPECT_RESERVED)));
}

/* Another core takes tables away and uses them again. */
static bool stop;

static void *change_ept02(void *unused)
{
    (void)unused;
    for (u32 i = 0; i < 20000; i++) {
        u64 ngpa = (u64)(i * 7 % 300) * SIZE_1G;

        touch(0, ngpa, EPT_READ);
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    return NULL;
}

static void ept02_may_change_meanwhile(void **state)
{
    pthread_t thread;
    u64 pointer, found = 0;

    (void)state;
    start(40);
    next_table = TABLES12 + PAGE_SIZE;
    for (u64 i = 0; i < 300; i++)
        map12(TABLES12, i * SIZE_1G, 1, DATA | EPT_RWX | WB);
    enter_l2(0, EPTP(TABLES12));
    pointer = ept02_pointer(&ept, cores[0].key, cores[0].root);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, change_ept02, NULL), 0);
    for (u64 i = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); i++) {
        struct inspection way;

        inspect_own_ept(pointer, i % 300 * SIZE_1G, ept.shadow.base, ept.shadow.count * PAGE_SIZE,
                        &way);
        assert_shape(&way);
        found += way.translated;
    }
    pthread_join(thread, NULL);
    assert_true(found && ept.reclaimed);
}

/* ---- Linear addresses ---- */

#define LINEAR_TABLES 16u
#define HOME          0ull /* where the tables are, as their entries have it */

enum mode { MODE_NONE, MODE_32, MODE_PAE, MODE_4, MODE_5, MODES };

static struct walk_context random_context(enum mode mode)
{
    static const u32 widths[] = {32, 36, 40, 46, 52};
    u64 random = fake_random();
    struct walk_context context = {
        .cr0 = CR0_PE | (mode == MODE_NONE ? 0 : CR0_PG),
        .cr3 = HOME + (random & 15) * PAGE_SIZE + (random >> 4 & 0x18),
        .cr4 = (mode > MODE_32 ? CR4_PAE : 0) | (mode == MODE_5 ? CR4_LA57 : 0) |
               (random >> 8 & 1 ? CR4_PSE : 0),
        .efer = (mode >= MODE_4 ? EFER_LMA | EFER_LME : 0) | (random >> 9 & 1 ? EFER_NXE : 0),
        .physical_bits = widths[(random >> 10 & 0xff) % ARRAY_SIZE(widths)],
        .has_1g = random >> 20 & 1,
    };

    for (u32 i = 0; i < 4; i++)
        context.pdpte[i] = (fake_random() & 15) * PAGE_SIZE | (random >> (30 + i) & 1);
    return context;
}

static u64 random_entry(void)
{
    u64 random = fake_random(), entry = random & 0xf7f;

    if (random >> 12 & 7)
        entry |= PTE_P;
    if (!(random >> 15 & 3))
        entry |= PTE_PS;
    if (!(random >> 17 & 3))
        entry |= PTE_NX;
    if (!(random >> 19 & 15))
        return entry | (random & 0x7ffffffffffff000ull);
    return entry | (random >> 24 & 15) * PAGE_SIZE;
}

static void fill_linear_tables(bool narrow)
{
    for (u64 pa = HOME; pa < HOME + LINEAR_TABLES * PAGE_SIZE; pa += narrow ? 4 : 8) {
        if (narrow)
            fake_put32(pa, (u32)random_entry());
        else
            fake_put64(pa, random_entry());
    }
}

static u64 random_linear(enum mode mode)
{
    u32 bits = mode == MODE_5 ? 57 : 48;

    return mode >= MODE_4 ? (u64)((s64)(fake_random() << (64 - bits)) >> (64 - bits))
                          : fake_random();
}

/* Whether mm/walk.c allows an access; it sets flags, which are put back. */
static bool allows(struct walk_context context, u64 linear, u32 access, u64 *pa, u32 *error)
{
    bool allowed = walk_linear(&context, linear, access, pa, error);

    memcpy(pool_va(watched), before, sizeof(before));
    return allowed;
}

static void check_rights(const struct walk_context *context, u64 linear, u64 rights)
{
    struct walk_context protected = *context;
    u32 error;
    u64 pa;

    protected.cr0 |= CR0_WP;
    assert_int_equal(allows(*context, linear, WALK_READ | WALK_USER, &pa, &error),
                     !!(rights & PTE_U));
    assert_int_equal(allows(protected, linear, WALK_WRITE, &pa, &error), !!(rights & PTE_W));
    assert_int_equal(allows(*context, linear, WALK_FETCH, &pa, &error), !(rights & PTE_NX));
}

static void check_linear(enum mode mode)
{
    struct walk_context context = random_context(mode);
    u64 linear = random_linear(mode), pa = 0;
    struct inspection way;
    u32 error = 0;
    bool allowed;

    watch(HOME);
    inspect_linear(&context, linear, NULL, &way);
    assert_unchanged();
    assert_shape(&way);
    assert_int_equal(fake_bytes, (way.count - (mode == MODE_PAE)) * (mode == MODE_32 ? 4 : 8));
    allowed = allows(context, linear, WALK_READ, &pa, &error);
    assert_int_equal(way.translated, allowed);
    for (u32 i = 0; i < way.count; i++)
        assert_int_equal(way.step[i].address, way.step[i].pa);
    if (allowed) {
        u32 bits = mode == MODE_32 ? 10 : 9;

        assert_int_equal(way.address, pa);
        if (mode != MODE_NONE)
            assert_int_equal(last_of(&way)->size_shift, 12 + bits * (last_of(&way)->level - 1));
        check_rights(&context, linear, way.rights);
    } else {
        assert_int_equal(last_of(&way)->kind,
                         error & PF_RESERVED ? INSPECT_RESERVED : INSPECT_ABSENT);
    }
}

static void linear_addresses_lead_where_mm_walk_goes(void **state)
{
    (void)state;
    for (enum mode mode = MODE_NONE; mode < MODES; mode++) {
        for (u32 round = 0; round < ROUNDS; round++) {
            if (round % 64 == 0)
                fill_linear_tables(mode == MODE_32);
            check_linear(mode);
        }
        if (mode != MODE_NONE)
            assert_all_kinds(
                (u32) ~(BIT(INSPECT_PAGE) | BIT(INSPECT_ABSENT) | BIT(INSPECT_RESERVED)));
    }
}

static void addresses_that_are_not_canonical_have_no_entry(void **state)
{
    static const u64 bad4[] = {BIT64(47), BIT64(48), ~BIT64(63), 0xffff7fffffffffff};
    static const u64 good4[] = {BIT64(47) - 1, 0xffff800000000000};
    struct walk_context context = random_context(MODE_4);
    struct inspection way;

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(bad4); i++) {
        inspect_linear(&context, bad4[i], NULL, &way);
        assert_int_equal(way.count, 0);
        assert_false(way.translated);
    }
    for (u32 i = 0; i < ARRAY_SIZE(good4); i++) {
        inspect_linear(&context, good4[i], NULL, &way);
        assert_true(way.count);
    }
    context.cr4 |= CR4_LA57;
    inspect_linear(&context, BIT64(48), NULL, &way);
    assert_true(way.count);
    inspect_linear(&context, BIT64(56), NULL, &way);
    assert_int_equal(way.count, 0);
}

/* ---- An L2's tables, at other addresses of L1's ---- */

#define AWAY 0x100000ull

static u32 place[LINEAR_TABLES]; /* AWAY + so many pages is where EPT12 has the table */

static u64 away(u64 address)
{
    return AWAY + place[address / PAGE_SIZE] * PAGE_SIZE + address % PAGE_SIZE;
}

static void shuffle(u64 rights)
{
    next_table = TABLES12 + PAGE_SIZE;
    for (u32 i = 0; i < LINEAR_TABLES; i++)
        place[i] = i;
    for (u32 i = LINEAR_TABLES - 1; i > 0; i--) {
        u32 j = (u32)fake_below(i + 1), other = place[j];

        place[j] = place[i];
        place[i] = other;
    }
    for (u32 i = 0; i < LINEAR_TABLES; i++)
        map12(TABLES12, i * PAGE_SIZE, 1, away(i * PAGE_SIZE) | rights | WB);
}

static void move_away(void)
{
    for (u64 address = 0; address < LINEAR_TABLES * PAGE_SIZE; address += 8) {
        fake_put64(away(address), fake_get64(address));
        fake_put64(address, 0);
    }
}

/* As without EPT, but for the places, up to a table that EPT12 does not map. */
static void assert_same_way(const struct inspection *way, const struct inspection *flat)
{
    for (u32 i = 0; i < way->count; i++) {
        const struct inspect_step *step = &way->step[i];

        assert_int_equal(step->address, flat->step[i].address);
        if (step->address == INSPECT_REGISTER) {
            assert_int_equal(step->pa, INSPECT_REGISTER);
        } else if (step->address >= LINEAR_TABLES * PAGE_SIZE) {
            assert_int_equal(step->kind, INSPECT_UNREACHED);
            assert_false(way->translated);
            return;
        } else {
            assert_int_equal(step->pa, away(step->address));
        }
        assert_int_equal(step->entry, flat->step[i].entry);
        assert_int_equal(step->kind, flat->step[i].kind);
    }
    assert_int_equal(way->count, flat->count);
    assert_int_equal(way->translated, flat->translated);
    assert_int_equal(way->address, flat->address);
    assert_int_equal(way->rights, flat->rights);
}

static void tables_of_l2_are_found_through_ept12(void **state)
{
    const struct inspect_space space = {EPTP(TABLES12), &caps};

    (void)state;
    for (u32 round = 0; round < 400; round++) {
        enum mode mode = (enum mode)(round % MODES);
        struct walk_context context[32];
        struct inspection flat[32], way;
        u64 linear[32];

        fill_linear_tables(mode == MODE_32);
        shuffle(EPT_READ);
        for (u32 i = 0; i < 32; i++) {
            context[i] = random_context(mode);
            linear[i] = random_linear(mode);
            inspect_linear(&context[i], linear[i], NULL, &flat[i]);
        }
        move_away();
        for (u32 i = 0; i < 32; i++) {
            watch(AWAY);
            inspect_linear(&context[i], linear[i], &space, &way);
            assert_unchanged();
            assert_shape(&way);
            assert_same_way(&way, &flat[i]);
        }
    }
}

/* With accessed and dirty flags of EPT12, reading a table counts as a write. */
static void tables_of_l2_need_rights_of_ept12(void **state)
{
    struct inspect_space space = {EPTP(TABLES12), &caps};
    struct walk_context context = random_context(MODE_4);
    struct inspection way;

    (void)state;
    shuffle(EPT_READ);
    inspect_linear(&context, 0, &space, &way);
    assert_int_equal(last_of(&way)->kind, INSPECT_ABSENT);
    space.eptp12 |= EPTP_AD;
    inspect_linear(&context, 0, &space, &way);
    assert_int_equal(last_of(&way)->kind, INSPECT_UNREACHED);
    shuffle(EPT_READ | EPT_WRITE);
    inspect_linear(&context, 0, &space, &way);
    assert_int_equal(last_of(&way)->kind, INSPECT_ABSENT);
    space.eptp12 &= ~EPTP_AD;
    shuffle(EPT_EXEC);
    inspect_linear(&context, 0, &space, &way);
    assert_int_equal(last_of(&way)->kind, INSPECT_UNREACHED);
    assert_int_equal(way.count, 1);
}

/* ---- Words ---- */

static void assert_ept_words(u32 level, u64 entry, u64 role, const char *wanted)
{
    char words[INSPECT_WORDS_MAX];
    struct inspection way;

    next_table = TABLES12 + PAGE_SIZE;
    memset(pool_va(TABLES12), 0, 8 * PAGE_SIZE);
    map12(TABLES12, NGPA, level, entry);
    inspect_ept12(EPTP(TABLES12) | role, NGPA, &caps, &way);
    inspect_ept_words(&way.step[4 - level], words);
    assert_string_equal(words, wanted);
}

static void ept_entries_have_words(void **state)
{
    u64 table = TABLES12 + 8 * PAGE_SIZE;

    (void)state;
    assert_ept_words(1, DATA | EPT_RWX | WB, 0, "page 4K WB rwx");
    assert_ept_words(1, DATA | EPT_READ | EPT_EXEC_USER | WB, 0, "page 4K WB r--");
    assert_ept_words(1, DATA | EPT_READ | EPT_EXEC_USER | WB, EPT12_MODE_BASED, "page 4K WB r--u");
    assert_ept_words(1, DATA | EPT_EXEC | MT_WC << 3 | EPT_IGNORE_PAT, 0,
                     "page 4K WC --x ignore-PAT");
    assert_ept_words(2, SIZE_1G | 3 | MT_UC << 3 | EPT_LARGE | USED, 0, "page 2M UC rw- A D");
    assert_ept_words(3, SIZE_1G | 5 | MT_WT << 3 | EPT_LARGE | EPT_SUPPRESS_VE, 0,
                     "page 1G WT r-x suppress-#VE");
    assert_ept_words(1, DATA | EPT_READ | MT_WP << 3, 0, "page 4K WP r--");
    assert_ept_words(2, table | EPT_RWX | EPT_ACCESSED | EPT_DIRTY, 0, "table rwx A");
    assert_ept_words(3, EPT_SUPPRESS_VE | WB | USED, 0, "not present suppress-#VE");
    assert_ept_words(1, 0, 0, "not present");
    assert_ept_words(1, DATA | EPT_WRITE | WB, 0, "misconfigured: write without read");
    assert_ept_words(1, DATA | EPT_READ | 7 << 3, 0, "misconfigured: bad memory type");
    assert_ept_words(2, table | EPT_READ | WB, 0, "reserved bits set");
    assert_ept_words(1, BIT64(BITS) | EPT_READ, 0, "reserved bits set");
    assert_ept_words(2, PAGE_SIZE | EPT_READ | EPT_LARGE | WB, 0, "reserved bits set");
    caps.has_2m = false;
    assert_ept_words(2, SIZE_1G | EPT_READ | EPT_LARGE | WB, 0, "reserved bits set");
    caps.execute_only = false;
    assert_ept_words(1, DATA | EPT_EXEC | WB, 0, "misconfigured: execute without read");
}

static void assert_linear_words(struct inspect_step step, const char *wanted)
{
    char words[INSPECT_WORDS_MAX];

    inspect_linear_words(&step, words);
    assert_string_equal(words, wanted);
}

static void linear_entries_have_words(void **state)
{
    const u64 all = PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_A | PTE_D | PTE_G;

    (void)state;
    assert_linear_words(
        (struct inspect_step){
            .kind = INSPECT_PAGE, .entry = all, .rights = PTE_W | PTE_U, .size_shift = 12},
        "page 4K rwx user A D global PWT PCD");
    assert_linear_words(
        (struct inspect_step){.kind = INSPECT_TABLE, .entry = all, .rights = PTE_NX},
        "table r-- supervisor A PWT PCD");
    assert_linear_words(
        (struct inspect_step){
            .kind = INSPECT_PAGE, .entry = PTE_P, .rights = PTE_U, .size_shift = 22},
        "page 4M r-x user");
    assert_linear_words(
        (struct inspect_step){.kind = INSPECT_TABLE, .entry = PTE_P, .address = INSPECT_REGISTER},
        "table");
    assert_linear_words((struct inspect_step){.kind = INSPECT_ABSENT, .entry = ~PTE_P},
                        "not present");
    assert_linear_words((struct inspect_step){.kind = INSPECT_UNREACHED},
                        "EPT12 does not map the table");
}

static void ends_have_words(void **state)
{
    struct inspection way = {.count = 0};
    char words[INSPECT_WORDS_MAX];

    (void)state;
    inspect_end_words(&way, words);
    assert_string_equal(words, "the tables are not for that address");
    way.count = 2;
    way.step[1] = (struct inspect_step){.kind = INSPECT_ABSENT, .level = 3};
    inspect_end_words(&way, words);
    assert_string_equal(words, "not present at level 3");
}

/* The longest of all. */
static void words_have_room(void **state)
{
    struct inspect_step step = {.entry = ~0ull, .rights = ~0ull, .size_shift = 30};
    char words[INSPECT_WORDS_MAX];

    (void)state;
    for (u8 kind = 0; kind <= INSPECT_STRAY; kind++) {
        step.kind = kind;
        inspect_ept_words(&step, words);
        assert_true(strlen(words) < INSPECT_WORDS_MAX - sizeof(" at level 5"));
        inspect_linear_words(&step, words);
        assert_true(strlen(words) < INSPECT_WORDS_MAX - sizeof(" at level 5"));
    }
}

static int begin(void **state)
{
    memset(kinds, 0, sizeof(kinds));
    return setup(state);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ept12_is_walked_as_the_processor_does),
        TEST(ept12_has_no_entry_for_addresses_beyond),
        TEST(what_changes_meanwhile_is_read_once),
        TEST(ept01_is_walked_to_what_it_maps),
        TEST(ept02_is_walked_as_far_as_it_is_filled),
        TEST(own_tables_of_garbage_lead_nowhere),
        TEST(ept02_may_change_meanwhile),
        TEST(linear_addresses_lead_where_mm_walk_goes),
        TEST(addresses_that_are_not_canonical_have_no_entry),
        TEST(tables_of_l2_are_found_through_ept12),
        TEST(tables_of_l2_need_rights_of_ept12),
        TEST(ept_entries_have_words),
        TEST(linear_entries_have_words),
        TEST(ends_have_words),
        TEST(words_have_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
