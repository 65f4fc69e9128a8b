/* Copies of pages of L1's: made anew until L1 cannot write there without L0 any more. */
#include "ept02_model.h"

#include <pthread.h>

#include "mm/phys.h"

#define ROOT         TABLES12
#define KEY          EPTP(ROOT)
#define PAGE         (DATA + 5 * PAGE_SIZE) /* what is watched */
#define LOOKS_ENOUGH 17u                    /* to be protected, and one more */

static struct watch watch, other;
static u64 copy[PAGE_SIZE / sizeof(u64)];

static int begin(void **state)
{
    next_table = ROOT + PAGE_SIZE;
    watch = other = (struct watch){0};
    memset(copy, 0, sizeof(copy));
    return setup(state);
}

/* A VM entry of L1's on a core. */
static bool look_on(u32 core, struct watch *at, u64 pa)
{
    bool changed;

    self = core;
    changed = watch_changed(&ept, at, pa);
    if (changed)
        phys_read(copy, pa, PAGE_SIZE);
    catch_up(core);
    return changed;
}

static bool look(void) { return look_on(0, &watch, PAGE); }

/* L1 writes to memory: by way of L0 if EPT01 has it so. */
static bool write1(u64 pa, u64 value)
{
    bool asked = !ept01_is_writable(&ept01, pa);

    assert_int_equal(ept02_source_written(&ept, pa), asked);
    assert_true(ept01_is_writable(&ept01, pa));
    fake_put64(pa, value);
    return asked;
}

static bool is_protected(u64 pa) { return !ept01_is_writable(&ept01, pa); }

static u32 looks_until_protected(void)
{
    u32 looks = 0;

    while (!is_protected(PAGE)) {
        assert_true(look());
        assert_true(++looks <= 16);
    }
    return looks;
}

static void assert_never_still(u64 pa)
{
    for (u32 i = 0; i < 3 * LOOKS_ENOUGH; i++) {
        assert_true(look_on(0, &watch, pa));
        assert_false(is_protected(pa));
    }
    assert_false(watch.still);
}

static void assert_becomes_still(u64 pa)
{
    u32 looks = 0;

    while (look_on(0, &watch, pa))
        assert_true(++looks <= LOOKS_ENOUGH);
    assert_true(is_protected(pa));
}

static u32 listed(void)
{
    u32 count = 0;

    for (const struct watch *at = ept.watches; at; at = at->next)
        assert_true(++count <= 2);
    return count;
}

/* ---- L1 leaves it alone, or does not ---- */

static void a_quiet_page_is_copied_once(void **state)
{
    (void)state;
    fake_put64(PAGE + 8, 1);
    assert_true(look());
    assert_int_equal(copy[1], 1);
    for (u32 i = 0; i < 3; i++)
        assert_false(look());
    assert_true(is_protected(PAGE));
    assert_false(is_protected(PAGE - PAGE_SIZE) || is_protected(PAGE + PAGE_SIZE));
}

/* The more often it is written to, the longer it is copied; but not for ever. */
static void patience_grows(void **state)
{
    static const u32 wanted[] = {1, 2, 4, 8, 16, 16, 16};

    (void)state;
    for (u32 round = 0; round < ARRAY_SIZE(wanted); round++) {
        assert_int_equal(looks_until_protected(), wanted[round]);
        assert_false(look());
        assert_true(write1(PAGE + 8 * round, round + 1));
        assert_false(write1(PAGE + 8 * round, round + 2)); /* the next one is free */
        assert_true(look());
        assert_int_equal(copy[round], round + 2);
        watch.quiet = 0; /* as if it had not been asked */
    }
    check_pages(0, 0);
}

static void copies_go_on_until_all_cores_know(void **state)
{
    (void)state;
    core_count = 3;
    assert_true(look());
    assert_true(is_protected(PAGE));
    fake_put64(PAGE, 1); /* core 2: it has not heard of it */
    assert_true(look());
    assert_int_equal(copy[0], 1);
    catch_up(1);
    fake_put64(PAGE, 2);
    assert_true(look());
    fake_put64(PAGE, 3);
    catch_up(2);
    assert_true(look());
    assert_int_equal(copy[0], 3);
    assert_false(look());
    assert_int_equal(epoch, 1);
}

static void write_and_catch_up(void)
{
    fake_put64(PAGE, 5);
    catch_up(1);
}

/* It writes as the page is being protected, and invalidates as soon as it is told to. */
static void a_last_write_is_copied(void **state)
{
    (void)state;
    core_count = 2;
    on_new_epoch = write_and_catch_up;
    look();
    on_new_epoch = NULL;
    while (look())
        ;
    assert_int_equal(copy[0], 5);
}

/* Before all cores know, too. */
static void a_write_ends_a_protection_that_has_begun(void **state)
{
    (void)state;
    core_count = 2;
    assert_true(look());
    assert_true(is_protected(PAGE));
    assert_true(write1(PAGE, 1));
    catch_up(1);
    assert_true(look());
    assert_false(is_protected(PAGE)); /* it takes two now */
    assert_true(look());
    assert_true(is_protected(PAGE));
    assert_true(look());
    catch_up(1);
    assert_true(look());
    assert_false(look());
}

/* What L0 writes for L1, as phys_write() does it. */
static void a_write_of_L0_counts(void **state)
{
    u64 value = 7;

    (void)state;
    while (look())
        ;
    assert_true(ept02_source_written(&ept, PAGE + 16));
    phys_write(PAGE + 16, &value, sizeof(value));
    assert_true(look());
    assert_int_equal(copy[2], 7);
}

/* ---- More than one page ---- */

static void another_page_is_another_start(void **state)
{
    u64 next = PAGE + PAGE_SIZE;

    (void)state;
    for (u32 i = 0; i < 3; i++) {
        looks_until_protected();
        write1(PAGE, i);
    }
    fake_put64(next, 9);
    assert_true(look_on(0, &watch, next));
    assert_int_equal(copy[0], 9);
    assert_true(is_protected(next)); /* without the patience for the other one */
    assert_false(look_on(0, &watch, next));
    assert_false(write1(PAGE, 10));
    assert_false(look_on(0, &watch, next));
    assert_true(look());
    assert_int_equal(copy[0], 10);
    assert_false(look());
    assert_true(write1(next, 11)); /* it is protected still, for nobody */
    assert_false(look());
    assert_int_equal(listed(), 1);
}

/* Page 0 is a page like any other. */
static void the_first_page_is_watched_too(void **state)
{
    (void)state;
    assert_true(look_on(0, &watch, 0));
    assert_int_equal(listed(), 1);
    assert_false(look_on(0, &watch, 0));
    assert_true(write1(8, 1));
    assert_true(look_on(0, &watch, 0));
    assert_int_equal(copy[1], 1);
    assert_true(look());
    assert_true(look_on(0, &watch, 0));
    assert_true(look());
    assert_true(look_on(0, &other, 0));
    assert_int_equal(listed(), 2);
    write1(PAGE, 1);
    assert_true(look());
}

static void two_cores_watch_one_page(void **state)
{
    (void)state;
    core_count = 2;
    assert_true(look_on(0, &watch, PAGE));
    assert_true(look_on(1, &other, PAGE));
    assert_true(look_on(0, &watch, PAGE));
    assert_true(look_on(1, &other, PAGE));
    assert_false(look_on(0, &watch, PAGE) || look_on(1, &other, PAGE));
    assert_true(write1(PAGE, 1));
    assert_true(look_on(0, &watch, PAGE));
    assert_int_equal(copy[0], 1);
    assert_true(look_on(0, &watch, PAGE)); /* protected again */
    assert_true(is_protected(PAGE));
    assert_true(look_on(1, &other, PAGE));
    assert_true(look_on(1, &other, PAGE));
    assert_true(look_on(0, &watch, PAGE));
    assert_false(look_on(0, &watch, PAGE));
    assert_true(look_on(1, &other, PAGE));
    assert_false(look_on(1, &other, PAGE));
    assert_true(look_on(1, &other, DATA)); /* one leaves */
    assert_true(write1(PAGE, 2));
    assert_true(look_on(0, &watch, PAGE));
    assert_int_equal(listed(), 2);
}

/* ---- L2, and the processor for it, write to the page ---- */

static void map_page(u64 ngpa, u64 rights)
{
    map12(ROOT, ngpa, 1, PAGE | rights | WB);
    enter_l2(0, KEY);
}

static void a_page_that_L2_can_write_to_is_copied(void **state)
{
    u64 at;

    (void)state;
    map_page(NGPA, EPT_RWX);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
    at = epoch;
    assert_never_still(PAGE);
    assert_int_equal(epoch, at); /* the other cores are left alone */
    write1(map12(ROOT, NGPA, 1, 0), 0);
    sync_on(0);
    assert_becomes_still(PAGE);
    check_pages(0, 0);
}

static void a_page_that_L2_begins_to_write_to_is_copied(void **state)
{
    (void)state;
    map_page(NGPA, EPT_RWX);
    assert_becomes_still(PAGE);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
    fake_put64(PAGE, 1);
    assert_true(look());
    assert_int_equal(copy[0], 1);
    assert_never_still(PAGE);
    check_pages(0, 0);
}

static void a_large_page_of_L2s_counts(void **state)
{
    (void)state;
    map12(ROOT, 0, 2, align_down(PAGE, SIZE_2M) | EPT_RWX | EPT_LARGE | WB);
    enter_l2(0, KEY);
    assert_becomes_still(PAGE);
    assert_int_equal(touch(0, 0, EPT_WRITE), ALLOWED);
    assert_never_still(PAGE);
}

/* What is filled along would need it: it is left out. */
static void pages_around_do_not_end_it(void **state)
{
    (void)state;
    map_page(NGPA, EPT_RWX);
    map12(ROOT, NGPA ^ PAGE_SIZE, 1, DATA | EPT_RWX | WB);
    assert_becomes_still(PAGE);
    assert_int_equal(touch(0, NGPA ^ PAGE_SIZE, EPT_WRITE), ALLOWED);
    assert_false(look());
}

static void a_page_that_L2_reads_is_still(void **state)
{
    (void)state;
    map_page(NGPA, EPT_READ);
    assert_becomes_still(PAGE);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_false(look());
}

static void a_page_that_the_processor_writes_to_is_copied(void **state)
{
    u64 written = 0;

    (void)state;
    assert_becomes_still(PAGE);
    ept02_set_written(&ept, &written, PAGE);
    assert_never_still(PAGE);
    ept02_set_written(&ept, &written, 0);
    assert_becomes_still(PAGE);
}

/* ---- Other uses of the page ---- */

static void a_page_may_be_a_table_too(void **state)
{
    u64 at, table;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    table = align_down(at, PAGE_SIZE);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_true(is_protected(table));
    assert_true(look_on(0, &watch, table));
    assert_false(look_on(0, &watch, table));
    assert_true(shadow_page(&ept.shadow, shadow_first(&ept.shadow, table))->settled);
    assert_true(write1(at, (DATA + PAGE_SIZE) | EPT_RWX | WB));
    assert_false(shadow_page(&ept.shadow, shadow_first(&ept.shadow, table))->protected);
    assert_true(look_on(0, &watch, table));
    assert_int_equal(copy[(at - table) / 8], (DATA + PAGE_SIZE) | EPT_RWX | WB);
    sync_on(0);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(walk_of_ept02(0, NGPA).address, (DATA + PAGE_SIZE) | (NGPA & 0xfff));
    assert_becomes_still(table);
    check_pages(0, 0);
}

static void what_is_no_memory_of_L1s_is_copied(void **state)
{
    static const u64 pages[] = {HIDDEN, HIDDEN + HIDDEN_SIZE - PAGE_SIZE, RAM_TOP,
                                RAM_TOP + 5 * PAGE_SIZE, BIT64(BITS) - PAGE_SIZE};
    u32 in_use;

    (void)state;
    assert_int_equal(ept01_map_on_demand(&ept01, RAM_TOP), EPT01_MAPPED);
    assert_int_equal(ept01_map_on_demand(&ept01, BIT64(BITS) - PAGE_SIZE), EPT01_MAPPED);
    in_use = ept.shadow.in_use;
    for (u32 i = 0; i < ARRAY_SIZE(pages); i++) {
        assert_never_still(pages[i]);
        assert_int_equal(copy[0], ~0ull);
    }
    assert_int_equal(ept.shadow.in_use, in_use); /* EPT01 may drop its tables there */
    assert_int_equal(epoch, 0);
}

static void without_a_page_for_EPT01_it_is_copied(void **state)
{
    u64 table, taken = 0;
    u32 count = 0;

    (void)state;
    while ((table = ept02_take_table(&ept))) {
        taken = table;
        count++;
    }
    assert_never_still(PAGE);
    check_pages(count, 0);
    shadow_give(&ept.shadow, shadow_index(&ept.shadow, taken));
    assert_becomes_still(PAGE);
    check_pages(count - 1, 0);
}

/* ---- Cores at once ---- */

#define WORDS  8u
#define WRITES 1200u

static u64 done[WORDS]; /* the last value that L1 has written, for certain */
static bool writer_ends;
static u32 missed, looks[2], spared[2];

static u64 *word_of(u32 i) { return &((u64 *)pool_va(PAGE))[i * 61]; }

/* L1 does other things, while each copier looks a few times. */
static void pause_writing(u32 count)
{
    for (u32 i = 0; i < 2; i++) {
        u32 first = __atomic_load_n(&looks[i], __ATOMIC_SEQ_CST);

        while (__atomic_load_n(&looks[i], __ATOMIC_SEQ_CST) - first < count)
            catch_up(self);
    }
}

/* A core of L1's. What it has found in EPT01 it uses until it invalidates. */
static void write_as_L1(u64 value)
{
    static bool cached;
    u32 word = (u32)(value % WORDS);

    if (value % 3 == 0) {
        cached = false;
        catch_up(self);
    }
    while (!cached && !ept01_is_writable(&ept01, PAGE)) {
        ept02_source_written(&ept, PAGE);
        catch_up(self);
    }
    cached = true;
    __atomic_store_n(word_of(word), value, __ATOMIC_SEQ_CST);
    __atomic_store_n(&done[word], value, __ATOMIC_SEQ_CST);
    if (value % 16)
        return;
    cached = false;
    pause_writing((u32)(value / 16 % (2 * LOOKS_ENOUGH)));
}

static void *run_writer(void *argument)
{
    (void)argument;
    self = 1;
    for (u64 value = 1; value <= WRITES; value++)
        write_as_L1(value);
    catch_up(self);
    __atomic_store_n(&writer_ends, true, __ATOMIC_SEQ_CST);
    return NULL;
}

struct copier {
    struct watch *watch;
    u32 core;
    u64 words[WORDS];
};

/* What was written before an entry is in its copy. */
static void copy_once(struct copier *c)
{
    u64 before[WORDS];
    bool changed;

    for (u32 i = 0; i < WORDS; i++)
        before[i] = __atomic_load_n(&done[i], __ATOMIC_SEQ_CST);
    changed = watch_changed(&ept, c->watch, PAGE);
    for (u32 i = 0; changed && i < WORDS; i++)
        c->words[i] = __atomic_load_n(word_of(i), __ATOMIC_SEQ_CST);
    for (u32 i = 0; i < WORDS; i++)
        if (c->words[i] < before[i])
            __atomic_fetch_add(&missed, 1, __ATOMIC_RELAXED);
    spared[c->core / 2] += !changed;
    __atomic_fetch_add(&looks[c->core / 2], 1, __ATOMIC_SEQ_CST);
    catch_up(c->core);
}

static void *run_copier(void *argument)
{
    struct copier *c = argument;

    self = c->core;
    while (!__atomic_load_n(&writer_ends, __ATOMIC_SEQ_CST))
        copy_once(c);
    return NULL;
}

static void writes_and_copies_at_once(void **state)
{
    struct copier copiers[2] = {{.watch = &watch, .core = 0}, {.watch = &other, .core = 2}};
    pthread_t threads[3];

    (void)state;
    core_count = 3;
    assert_int_equal(pthread_create(&threads[0], NULL, run_copier, &copiers[0]), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_copier, &copiers[1]), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, run_writer, NULL), 0);
    for (u32 i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(missed, 0);
    assert_true(spared[0] > 0 && spared[1] > 0);
    for (u32 i = 0; i < 2 * LOOKS_ENOUGH; i++) {
        self = copiers[i % 2].core;
        copy_once(&copiers[i % 2]);
        all_catch_up();
    }
    assert_true(watch.still && other.still);
    assert_int_equal(missed, 0);
    for (u32 i = 0; i < WORDS; i++) {
        assert_int_equal(copiers[0].words[i], *word_of(i));
        assert_int_equal(copiers[1].words[i], *word_of(i));
    }
    self = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_quiet_page_is_copied_once, begin),
        cmocka_unit_test_setup(patience_grows, begin),
        cmocka_unit_test_setup(copies_go_on_until_all_cores_know, begin),
        cmocka_unit_test_setup(a_last_write_is_copied, begin),
        cmocka_unit_test_setup(a_write_ends_a_protection_that_has_begun, begin),
        cmocka_unit_test_setup(a_write_of_L0_counts, begin),
        cmocka_unit_test_setup(another_page_is_another_start, begin),
        cmocka_unit_test_setup(the_first_page_is_watched_too, begin),
        cmocka_unit_test_setup(two_cores_watch_one_page, begin),
        cmocka_unit_test_setup(a_page_that_L2_can_write_to_is_copied, begin),
        cmocka_unit_test_setup(a_page_that_L2_begins_to_write_to_is_copied, begin),
        cmocka_unit_test_setup(a_large_page_of_L2s_counts, begin),
        cmocka_unit_test_setup(pages_around_do_not_end_it, begin),
        cmocka_unit_test_setup(a_page_that_L2_reads_is_still, begin),
        cmocka_unit_test_setup(a_page_that_the_processor_writes_to_is_copied, begin),
        cmocka_unit_test_setup(a_page_may_be_a_table_too, begin),
        cmocka_unit_test_setup(what_is_no_memory_of_L1s_is_copied, begin),
        cmocka_unit_test_setup(without_a_page_for_EPT01_it_is_copied, begin),
        cmocka_unit_test_setup(writes_and_copies_at_once, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
