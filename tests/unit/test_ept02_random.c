/* EPT02 under an L1 that does anything, with pages enough and too few, and on cores at once. */
#include "ept02_model.h"
#include "pool_faults.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- An L1 with a few tables, which it fills with anything ---- */

#define TABLES 10u

static const u16 indices[] = {0, 1, 2, 3, 8, 511}; /* where it does */

static u64 touched[32];                /* addresses of L2's */
static u64 since[TABLES];              /* the epoch from which on it is protected; 0: it is not */
static bool synced;                    /* EPT12 is as it was at the last sync */
static u64 retired_at[ROOM_PAGES + 8]; /* the first epoch after that; 0: it is in use, or free */
static u64 last_epoch;                 /* of the last look at these */
static u64 written;
static u32 compared; /* translations */

/* Some in the same 2 MiB. */
static u64 table12(u32 i) { return TABLES12 + i / 3 * SIZE_2M + i % 3 * PAGE_SIZE; }

static u64 random_table(void) { return table12((u32)fake_below(TABLES)); }

static u64 random_slot(void)
{
    return random_table() + indices[fake_below(ARRAY_SIZE(indices))] * sizeof(u64);
}

/* One that L2 has touched lately, or any. */
static u64 random_ngpa(void)
{
    u64 ngpa = fake_below(PAGE_SIZE);

    if (fake_below(3))
        return touched[fake_below(ARRAY_SIZE(touched))];

    for (u32 level = 1; level <= 5; level++)
        ngpa |= (u64)indices[fake_below(ARRAY_SIZE(indices))] << (12 + 9 * (level - 1));
    return ngpa;
}

static u64 random_bits(void)
{
    u64 rights = fake_below(16);

    rights = fake_below(6) ? ALL : (rights & 7) | (rights & 8 ? EPT_EXEC_USER : 0);
    return rights | (fake_below(6) ? EPT_ACCESSED : 0) | (fake_below(2) ? EPT_DIRTY : 0) |
           (fake_below(2) ? EPT_SUPPRESS_VE : 0);
}

static u64 random_attributes(void)
{
    static const u8 types[] = {MT_WB, MT_WB, MT_WB, MT_WB, MT_WB, MT_UC, MT_WT, 7};

    return (u64)types[fake_below(8)] << 3 | (fake_below(4) ? 0 : EPT_IGNORE_PAT);
}

/* Some hidden, some tables, some beyond the memory. */
static u64 random_large_page(void)
{
    static const u64 places[] = {0, HIDDEN, TABLES12, DATA, SIZE_1G, 3 * SIZE_1G};

    return places[fake_below(ARRAY_SIZE(places))] | EPT_LARGE;
}

static u64 random_small_page(void)
{
    static const u64 places[] = {HIDDEN, TABLES12, DATA, DATA, SIZE_1G, BIT64(BITS)};

    return places[fake_below(ARRAY_SIZE(places))] + fake_below(4) * PAGE_SIZE;
}

static u64 random_entry(void)
{
    switch (fake_below(20)) {
    case 0: return 0;
    case 1: return fake_below(2) ? fake_random() : 0;
    case 2:
    case 3: return random_large_page() | random_bits() | random_attributes();
    case 4:
    case 5:
    case 6: return random_small_page() | random_bits() | random_attributes();
    default: return random_table() | random_bits();
    }
}

static u64 random_key(void)
{
    u64 table = table12((u32)fake_below(3));

    return (fake_below(4) ? EPTP(table) : EPTP5(table)) | (fake_below(2) ? EPTP_AD : 0) |
           (fake_below(4) ? 0 : EPT12_MODE_BASED);
}

/* ---- Writes to the tables ---- */

static u64 since_of(u64 pa)
{
    for (u32 i = 0; i < TABLES; i++)
        if (table12(i) == align_down(pa, PAGE_SIZE))
            return since[i];
    return 0;
}

static void put12(u64 pa, u64 value)
{
    fake_put64(pa, value);
    synced = false;
}

/* A core that has not invalidated since the page was protected writes as before. */
static bool writes_straight(u32 core, u64 pa)
{
    return ept01_is_writable(&ept01, pa) || cores[core].epoch < since_of(pa);
}

static void write12(u32 core, u64 pa, u64 value)
{
    self = core;
    if (!writes_straight(core, pa)) {
        assert_true(ept02_source_written(&ept, pa));
        assert_true(ept01_is_writable(&ept01, pa));
        catch_up(core);
    }
    put12(pa, value);
}

/* L2 writes to a table, if it has it among its memory. */
static void write_from_l2(u32 core)
{
    u64 ngpa = align_down(random_ngpa(), 8);
    struct walked w;

    if (!cores[core].walks)
        return;
    w = walk_of_ept02(core, ngpa);
    if (permits(&w, EPT_WRITE) && w.address >= TABLES12 && w.address < DATA)
        put12(w.address, random_entry());
}

/* While one core protects a table, another one that does not know yet writes and then knows. */
static void race(void)
{
    u32 core = (u32)fake_below(core_count);
    u64 pa = random_slot();

    if (core == self || fake_below(2) || cores[core].walks || !writes_straight(core, pa))
        return;
    put12(pa, random_entry());
    catch_up(core);
}

/* ---- What holds after each step ---- */

static void note_protection(void)
{
    for (u32 i = 0; i < TABLES; i++) {
        u64 at = ~0ull;

        if (ept01_is_writable(&ept01, table12(i))) {
            since[i] = 0;
            continue;
        }
        for (u32 n = shadow_first(&ept.shadow, table12(i)); n;
             n = shadow_next(&ept.shadow, n, table12(i))) {
            const struct shadow_page *page = shadow_page(&ept.shadow, n);

            if (page->protected && page->protected_at < at)
                at = page->protected_at;
        }
        if (!since[i]) /* 1: by a page that is gone */
            since[i] = at == ~0ull ? 1 : at;
    }
}

/* A retired page is one no more only when all cores that walk have passed an epoch begun since. */
static void check_reuse(void)
{
    for (u32 i = 1; i < ept.shadow.untouched; i++) {
        bool waits = false;

        for (u32 n = ept.shadow.unlinked; n; n = shadow_page(&ept.shadow, n)->next)
            waits |= n == i;
        for (u32 n = ept.shadow.waiting; n; n = shadow_page(&ept.shadow, n)->next)
            waits |= n == i;
        if (waits && !retired_at[i])
            retired_at[i] = last_epoch + 1;
        if (waits || !retired_at[i])
            continue;
        for (u32 core = 0; core < core_count; core++)
            assert_true(!cores[core].walks || cores[core].epoch >= retired_at[i]);
        retired_at[i] = 0;
    }
    last_epoch = epoch;
}

static void forget_retired(void)
{
    memset(retired_at, 0, sizeof(retired_at));
    last_epoch = 0;
}

/* What the EPTP's levels translate. */
static u64 within(u64 key, u64 ngpa) { return ngpa & (BIT64(12 + 9 * ((key >> 3 & 7) + 1)) - 1); }

/* All that EPT02 translates, EPT12 does now: the same page, and no more rights. */
static void check_translation(u32 core, u64 ngpa)
{
    u64 key = cores[core].key;
    struct walked w02 = walk_of_ept02(core, ngpa), w12;

    if (w02.verdict != ALLOWED)
        return;
    compared++;
    w12 = walk_of_ept12(key, ngpa);
    assert_int_equal(w12.verdict, ALLOWED);
    assert_int_equal(w02.address, w12.address);
    assert_int_equal(w02.type, w12.type);
    assert_int_equal(w02.ignore_pat, w12.ignore_pat);
    assert_int_equal(w02.rights & ~w12.rights, 0);
    if (key & EPTP_AD) {
        assert_true(w12.accessed);
        assert_true(w12.dirty || !(w02.rights & EPT_WRITE));
    }
}

static void check_translations(void)
{
    for (u32 core = 0; core < core_count; core++)
        for (u32 i = 0; cores[core].root && i < 40; i++)
            check_translation(core, within(cores[core].key, random_ngpa()));
}

/* The outcome is EPT12's; or if that has changed since the last sync, any. */
static void touch_anywhere(u32 core)
{
    static const u64 accesses[] = {EPT_READ, EPT_WRITE, EPT_EXEC, EPT_READ | EPT_WRITE};
    u64 access = accesses[fake_below(4)], key = cores[core].key;
    u64 ngpa = within(key, random_ngpa());
    enum verdict want = verdict_of_ept12(key, ngpa, access), got;

    touched[fake_below(ARRAY_SIZE(touched))] = ngpa;
    got = touch_with(core, ngpa, access, all_catch_up);
    assert_int_not_equal(got, STUCK);
    if (synced) /* then EPT12 has not changed meanwhile, either */
        assert_int_equal(got, want);
}

static void sync_anywhere(u32 core)
{
    synced = true;
    sync_on(core);
    note_protection();
    if (!synced) /* somebody wrote to EPT12 meanwhile */
        return;
    check_translations();
}

static void enter_anywhere(u32 core)
{
    if (cores[core].walks && fake_below(2))
        leave_l2(core);
    else
        enter_l2(core, random_key());
}

static void step(void)
{
    u32 core = (u32)fake_below(core_count);

    self = core;
    switch (fake_below(16)) {
    case 0: enter_anywhere(core); break;
    case 1: catch_up(core); break;
    case 2: write_from_l2(core); break;
    case 3: ept02_set_written(&ept, &written, fake_below(4) ? 0 : random_table()); break;
    case 4: write12(core, random_slot(), random_entry()); break;
    case 5:
    case 6: sync_anywhere(core); break;
    default:
        for (u32 i = 0; cores[core].walks && i < 6; i++)
            touch_anywhere(core);
    }
    note_protection();
    check_reuse();
}

static void begin(u32 pages, u64 seed)
{
    pool_fails = NULL;
    start(pages);
    fake_seed(seed);
    core_count = 1 + (u32)(seed & 3);
    on_new_epoch = race;
    synced = false;
    written = 0;
    memset(since, 0, sizeof(since));
    forget_retired();
    for (u32 i = 0; i < 20 * TABLES; i++)
        fake_put64(random_slot(), random_entry());
}

static void run(u32 pages, u64 seed, u32 steps, bool (*fails)(void))
{
    begin(pages, seed);
    pool_fails = fails;
    for (u32 i = 0; i < steps; i++) {
        step();
        if (i % 4 == 0)
            check_pages(0, written ? 1 : 0);
    }
}

static void EPT02_follows_any_EPT12(void **state)
{
    (void)state;
    compared = 0;
    for (u64 seed = 0; seed < 12; seed++)
        run(250, seed, 400, NULL);

    assert_true(compared > 3000);
}

static void it_does_so_with_few_pages(void **state)
{
    (void)state;
    for (u64 seed = 0; seed < 16; seed++)
        run(40 + (u32)seed, 100 + seed, 300, NULL);
}

/* Not too many in a row: each failure makes L0 look for pages, which L2 was using. */
static bool fails_at_random(void) { return fake_below(5) == 0; }

static bool fails_periodically(void) { return pool_asked % 6 == 0; }

static void it_does_so_when_pages_are_refused(void **state)
{
    (void)state;
    pool_failed = 0;
    for (u64 seed = 0; seed < 12; seed++)
        run(seed & 2 ? 44 : 250, 200 + seed, 300, seed & 1 ? fails_at_random : fails_periodically);
    pool_fails = NULL;
    assert_true(pool_failed > 200);
}

/* ---- Too many EPTPs ---- */

#define LOWER (TABLES12 + 3 * PAGE_SIZE) /* the tables below all roots */

static u64 root12(u32 i) { return DATA + i * PAGE_SIZE; }

/* 3000 roots above the same tables. */
static void make_roots(void)
{
    for (u32 i = 0; i < 3000; i++)
        fake_put64(slot(root12(i), NGPA, 4), LOWER | EPT_RWX);
    fake_put64(slot(LOWER, NGPA, 3), (LOWER + PAGE_SIZE) | EPT_RWX);
    fake_put64(slot(LOWER + PAGE_SIZE, NGPA, 2), (LOWER + 2 * PAGE_SIZE) | EPT_RWX);
    fake_put64(slot(LOWER + 2 * PAGE_SIZE, NGPA, 1), SIZE_1G | EPT_RWX | WB);
}

static void thousands_of_EPTPs_find_room(void **state)
{
    (void)state;
    start(24);
    core_count = 3;
    make_roots();
    forget_retired();
    for (u32 i = 0; i < 3000; i++) {
        u32 core = i % core_count;

        enter_l2(core, EPTP(root12(i)) | (i & 8 ? EPTP_AD : 0));
        assert_int_equal(touch_with(core, NGPA, EPT_READ, all_catch_up), ALLOWED);
        check_reuse();
        if (i % 16 == 0)
            check_pages(0, 0);
        if (i % 32 == 0)
            sync_on(core);
    }
}

/* Pages wait for a core that walks and does not exit; with its exit all goes on. */
static void pages_wait_for_the_last_core(void **state)
{
    u32 stuck = 0;

    (void)state;
    start(24);
    core_count = 2;
    make_roots();
    forget_retired();
    enter_l2(1, EPTP(root12(2999)));
    for (u32 i = 0; i < 300; i++) {
        enter_l2(0, EPTP(root12(i)));
        if (touch_with(0, NGPA, EPT_READ, check_reuse) == STUCK) {
            stuck++;
            check_reuse();
            catch_up(1);
            assert_int_equal(touch_with(0, NGPA, EPT_READ, all_catch_up), ALLOWED);
        }
        check_reuse();
    }
    assert_true(stuck > 5);
    check_pages(0, 0);
    leave_l2(1);
    for (u32 i = 0; i < 300; i++) { /* nor for one that does not walk */
        enter_l2(0, EPTP(root12(i)));
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        check_reuse();
    }
}

/* ---- Cores at once ---- */

#define THREADS    4u
#define OPERATIONS 3000u /* of each core; the environment's STRESS may say how many in all */
#define PAGES12    64u   /* that are mapped, a multiple of THREADS */

static u64 places[PAGES12];   /* of the entries of EPT12 that map them */
static u64 versions[PAGES12]; /* that all cores have been told of */
static u32 operations;
static bool go;

/* The page of a version: no other page ever lies there. */
static u64 page_of(u32 page, u64 version) { return BIT64(36) | (u64)page << 28 | version << 12; }

static u64 ngpa_of(u32 page)
{
    return (u64)(page / 16) << 30 | (page / 4 % 4) << 21 | (page % 4) << 12;
}

/* Tables of two trees that share those of the lower levels. */
static void make_shared_tables(void)
{
    u64 next = DATA;

    for (u32 i = 0; i < PAGES12; i++) {
        u64 table = TABLES12;

        for (u32 level = 4; level > 1; level--) {
            u64 at = slot(table, ngpa_of(i), level);

            if (!fake_get64(at)) {
                fake_put64(at, next | ALL);
                next += PAGE_SIZE;
            }
            table = fake_get64(at) & EPT_ADDR;
        }
        places[i] = slot(table, ngpa_of(i), 1);
        versions[i] = 1;
        fake_put64(places[i], page_of(i, 1) | EPT_RWX | WB);
    }
    memcpy(pool_va(TABLES12 + PAGE_SIZE), pool_va(TABLES12), PAGE_SIZE);
}

static void store12(u64 pa, u64 value)
{
    if (!ept01_is_writable(&ept01, pa))
        ept02_source_written(&ept, pa);
    __atomic_store_n((u64 *)pool_va(pa), value, __ATOMIC_SEQ_CST);
}

/* L1 moves a page, invalidates, and tells the others. */
static void move_page(u32 page)
{
    u64 version = versions[page] + 1;

    store12(places[page], page_of(page, version) | EPT_RWX | WB);
    catch_up(self);
    ept02_sync(&ept);
    catch_up(self);
    __atomic_store_n(&versions[page], version, __ATOMIC_SEQ_CST);
}

/* A table goes and comes: all below it with it. */
static void shake_tree(u64 random)
{
    u64 at = slot(TABLES12 + (random & 1) * PAGE_SIZE, 0, 4), entry = fake_get64(at);

    store12(at, 0);
    ept02_sync(&ept);
    catch_up(self);
    store12(at, entry);
    catch_up(self);
}

/* What L2 finds is no older than what L1 has told of before. */
static void look_at(u32 page)
{
    u64 told = __atomic_load_n(&versions[page], __ATOMIC_SEQ_CST);
    struct walked w;

    use(self, cores[self].key);
    catch_up(self);
    w = walk_of_ept02(self, ngpa_of(page));
    if (w.verdict != ALLOWED) {
        enum verdict verdict = VIOLATION;
        struct ept12_translation walk;

        if (ept02_fill(&ept, cores[self].root, cores[self].key, ngpa_of(page), EPT_READ,
                       &(struct ept12_log){0}, &walk, &cores[self].gap) == EPT02_FILLED)
            verdict = ALLOWED;
        else /* if L1 has filled it by now */
            ept02_prefill(&ept, cores[self].root, cores[self].key, ngpa_of(page), EPT_READ,
                          &cores[self].gap);
        catch_up(self);
        assert_true(verdict == ALLOWED || verdict == VIOLATION);
        w = walk_of_ept02(self, ngpa_of(page));
    }
    if (w.verdict != ALLOWED)
        return;
    assert_int_equal(w.address >> 28, page_of(page, 0) >> 28);
    assert_true((w.address >> 12 & 0xffff) >= told);
}

static void *run_core(void *argument)
{
    u64 random = 1 + (u64)argument;

    self = (u32)(u64)argument;
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        ;
    for (u32 i = 0; i < operations; i++) {
        u32 page;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        page = (u32)(random >> 33) % PAGES12;
        if (i % 16 == 0)
            enter_l2(self, (EPTP(TABLES12 + (random >> 40 & 1) * PAGE_SIZE)) |
                               (random >> 41 & 1 ? EPTP_AD : 0));
        if (i % 16 == 15)
            leave_l2(self);
        else if (i % 16 == 8)
            move_page(page - page % THREADS + self);
        else if (self == 0 && i % 64 == 3)
            shake_tree(random >> 42);
        else
            look_at(page);
    }
    leave_l2(self);
    return NULL;
}

static void run_cores(u32 pages)
{
    const char *stress = getenv("STRESS");
    pthread_t threads[THREADS];

    operations = stress ? (u32)(strtoul(stress, NULL, 0) / THREADS) : OPERATIONS;
    start(pages);
    core_count = THREADS;
    make_shared_tables();
    go = false;
    for (u64 i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_core, (void *)i), 0);
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    for (u32 i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    all_catch_up();
    check_pages(0, 0);
    sync_on(0);
    for (u32 i = 0; i < PAGES12; i++) {
        cores[0].walks = true;
        assert_int_equal(touch(0, ngpa_of(i), EPT_READ), ALLOWED);
        assert_int_equal(walk_of_ept02(0, ngpa_of(i)).address, page_of(i, versions[i]));
    }
    check_pages(0, 0);
}

static void cores_fill_and_change_at_once(void **state)
{
    (void)state;
    run_cores(200);
}

static void cores_compete_for_few_pages(void **state)
{
    (void)state;
    run_cores(36);
    assert_true(ept.reclaimed > 0);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(EPT02_follows_any_EPT12, setup),
        cmocka_unit_test_setup(it_does_so_with_few_pages, setup),
        cmocka_unit_test_setup(it_does_so_when_pages_are_refused, setup),
        cmocka_unit_test_setup(thousands_of_EPTPs_find_room, setup),
        cmocka_unit_test_setup(pages_wait_for_the_last_core, setup),
        cmocka_unit_test_setup(cores_fill_and_change_at_once, setup),
        cmocka_unit_test_setup(cores_compete_for_few_pages, setup),
    };

    if (count > 1)
        cmocka_set_test_filter(arguments[1]);
    return cmocka_run_group_tests_name("ept02_random", tests, NULL, NULL);
}
