/* EPT02: what mm/ept02.h promises, one by one. */
#include "ept02_model.h"

#define ROOT TABLES12
#define KEY  EPTP(ROOT)

static int begin(void **state)
{
    next_table = ROOT + PAGE_SIZE;
    return setup(state);
}

/* L1 writes to memory: by way of L0 if EPT01 has it so. */
static bool write12(u64 pa, u64 value)
{
    bool asked = !ept01_is_writable(&ept01, pa);

    assert_int_equal(ept02_source_written(&ept, pa), asked);
    assert_true(ept01_is_writable(&ept01, pa));
    fake_put64(pa, value);
    return asked;
}

/* The page of EPT02 that mirrors a table of EPT12. */
static struct shadow_page *page_of(u64 source)
{
    u32 index = shadow_first(&ept.shadow, source);

    assert_true(index);
    return shadow_page(&ept.shadow, index);
}

/* Where the entry of a level stands that leads to ngpa. */
static u64 entry_at(u64 ngpa, u32 level)
{
    u64 table = ROOT;

    for (u32 above = 4; above > level; above--)
        table = fake_get64(slot(table, ngpa, above)) & EPT_ADDR;
    return slot(table, ngpa, level);
}

static u64 table_of(u64 at) { return align_down(at, PAGE_SIZE); }

static void assert_reaches(u64 ngpa, u64 address)
{
    struct walked w = walk_of_ept02(0, ngpa);

    assert_int_equal(w.verdict, ALLOWED);
    assert_int_equal(w.address, address);
}

static void assert_absent(u64 ngpa) { assert_int_equal(walk_of_ept02(0, ngpa).verdict, VIOLATION); }

/* ---- Pages ---- */

static void each_page_size_is_kept(void **state)
{
    static const u64 size[] = {0, PAGE_SIZE, SIZE_2M, SIZE_1G};

    for (u32 level = 1; level <= 3; level++) {
        u64 ngpa = align_down(NGPA, size[level]);

        begin(state);
        map12(ROOT, ngpa, level, 5 * SIZE_1G | EPT_RWX | WB | (level > 1 ? EPT_LARGE : 0));
        enter_l2(0, KEY);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(walk_of_ept02(0, NGPA).level, level);
        assert_reaches(ngpa, 5 * SIZE_1G);
        assert_reaches(ngpa + size[level] - 1, 5 * SIZE_1G + size[level] - 1);
        assert_absent(ngpa + size[level]);
        assert_absent(ngpa - 1);
        check_pages(0, 0);
    }
}

static void five_levels_are_walked(void **state)
{
    u64 ngpa = BIT64(56) | NGPA, top = new_table();

    (void)state;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    fake_put64(slot(top, ngpa, 5), ROOT | EPT_RWX);
    enter_l2(0, EPTP5(top));
    assert_int_equal(touch(0, ngpa, EPT_WRITE), ALLOWED);
    assert_reaches(ngpa, DATA | (NGPA & 0xfff));
    assert_int_equal(touch(0, ngpa ^ BIT64(50), EPT_READ), VIOLATION);
    check_pages(0, 0);
}

/* The aligned eight, and of these what EPT12 maps. */
static void pages_around_are_filled_along(void **state)
{
    u64 at, ngpa = align_down(NGPA, 8 * PAGE_SIZE);

    (void)state;
    at = map12(ROOT, ngpa, 1, 0);
    for (u32 i = 0; i < 16; i++)
        fake_put64(at + 8 * i, (DATA + i * PAGE_SIZE) | EPT_RWX | WB);
    fake_put64(at + 8 * 1, 0);
    fake_put64(at + 8 * 2, HIDDEN | EPT_RWX | WB);
    fake_put64(at + 8 * 3, DATA | EPT_WRITE | WB);                /* not valid */
    fake_put64(at + 8 * 4, DATA | EPT_RWX | 7 << 3);              /* not valid */
    fake_put64(at + 8 * 5, DATA | BIT64(BITS) | EPT_RWX | WB);    /* not valid */
    fake_put64(at + 8 * 6, (DATA + 0x6000) | EPT_EXEC_USER | WB); /* not present */
    enter_l2(0, KEY);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    for (u32 i = 0; i < 16; i++) {
        if (i == 0 || i == 7)
            assert_reaches(ngpa + i * PAGE_SIZE, DATA + i * PAGE_SIZE);
        else
            assert_absent(ngpa + i * PAGE_SIZE);
    }
    assert_int_equal(touch(0, ngpa + 2 * PAGE_SIZE, EPT_READ), HIDDEN_MEMORY);
    assert_int_equal(touch(0, ngpa + 3 * PAGE_SIZE, EPT_READ), MISCONFIGURED);
    assert_int_equal(touch(0, ngpa + 6 * PAGE_SIZE, EPT_READ), VIOLATION);
    check_pages(0, 0);
}

/* A table among large pages, and an execute-only page that the processor would not take. */
static void what_is_no_valid_page_is_not_filled_along(void **state)
{
    u64 at, ngpa = align_down(NGPA, 8 * SIZE_2M);

    (void)state;
    ept.caps.execute_only = caps.execute_only = false;
    at = map12(ROOT, ngpa, 2, SIZE_1G | EPT_RWX | WB | EPT_LARGE);
    fake_put64(at + 8, new_table() | EPT_RWX);
    fake_put64(at + 16, SIZE_1G | EPT_EXEC | WB | EPT_LARGE);
    fake_put64(at + 24, (SIZE_1G + PAGE_SIZE) | EPT_RWX | WB | EPT_LARGE);
    fake_put64(at + 32, align_down(HIDDEN, SIZE_2M) | EPT_RWX | WB | EPT_LARGE);
    fake_put64(at + 40, (SIZE_1G + SIZE_2M) | EPT_READ | WB | EPT_LARGE);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    for (u32 i = 1; i < 5; i++)
        assert_absent(ngpa + i * SIZE_2M);
    assert_reaches(ngpa + 5 * SIZE_2M, SIZE_1G + SIZE_2M);
    assert_int_equal(touch(0, ngpa + 2 * SIZE_2M, EPT_EXEC), MISCONFIGURED);
    check_pages(0, 0);
}

/* L1 would see that they are used, which they are not. */
static void unused_pages_are_not_filled_along(void **state)
{
    u64 at, ngpa = align_down(NGPA, 8 * PAGE_SIZE);

    (void)state;
    at = map12(ROOT, ngpa, 1, 0);
    for (u32 i = 0; i < 8; i++)
        fake_put64(at + 8 * i, (DATA + i * PAGE_SIZE) | EPT_RWX | WB | (u64)(i & 3) << 8);
    enter_l2(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    for (u32 i = 1; i < 8; i++) {
        struct walked w = walk_of_ept02(0, ngpa + i * PAGE_SIZE);

        assert_int_equal(w.verdict, i & 1 ? ALLOWED : VIOLATION);
        if (i & 1)
            assert_int_equal(permits(&w, EPT_WRITE), (i & 3) == 3);
        assert_int_equal(fake_get64(at + 8 * i) >> 8 & 3, i & 3);
    }
    check_pages(0, 0);
}

/* ---- Accessed and dirty flags ---- */

static void the_first_write_to_a_clean_page_exits(void **state)
{
    for (u32 level = 1; level <= 3; level++) {
        u64 at, ngpa = align_down(NGPA, SIZE_1G);

        begin(state);
        at = map12(ROOT, ngpa, level, SIZE_1G | EPT_RWX | WB | (level > 1 ? EPT_LARGE : 0));
        enter_l2(0, KEY | EPTP_AD);
        assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
        assert_int_equal(fake_get64(at) & USED, EPT_ACCESSED);
        assert_int_equal(walk_of_ept02(0, ngpa).rights, EPT_READ | EPT_EXEC);
        assert_int_equal(touch(0, ngpa, EPT_READ | EPT_WRITE), ALLOWED);
        assert_int_equal(fake_get64(at) & USED, USED);
        for (u32 above = 4; above > level; above--)
            assert_int_equal(fake_get64(entry_at(ngpa, above)) & USED, EPT_ACCESSED);
        assert_int_equal(walk_of_ept02(0, ngpa).rights, EPT_RWX);
        check_pages(0, 0);
    }
}

/* L1 clears flags, and says so: it sees them set again by the next access. */
static void cleared_flags_are_set_again(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, NGPA, EPT_READ | EPT_WRITE), ALLOWED);
    write12(at, fake_get64(at) & ~EPT_DIRTY);
    sync_on(0);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(fake_get64(at) & USED, EPT_ACCESSED);
    assert_int_equal(touch(0, NGPA, EPT_READ | EPT_WRITE), ALLOWED);
    assert_int_equal(fake_get64(at) & USED, USED);
    for (u32 level = 1; level <= 4; level++) {
        u64 entry12 = entry_at(NGPA, level);

        write12(entry12, fake_get64(entry12) & ~EPT_ACCESSED);
        sync_on(0);
        assert_absent(NGPA);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_true(fake_get64(entry12) & EPT_ACCESSED);
    }
    check_pages(0, 0);
}

/* What L0 sets in EPT12 itself is no change of L1's. */
static void flags_that_L0_sets_drop_nothing(void **state)
{
    u64 ngpa = align_down(NGPA, SIZE_2M);

    (void)state;
    for (u32 i = 0; i < 64; i++)
        map12(ROOT, ngpa + i * PAGE_SIZE, 1, (DATA + i * PAGE_SIZE) | EPT_RWX | WB);
    enter_l2(0, KEY | EPTP_AD);
    for (u32 i = 0; i < 64; i++)
        assert_int_equal(touch(0, ngpa + i * PAGE_SIZE, i & 1 ? EPT_WRITE : EPT_READ), ALLOWED);
    sync_on(0);
    assert_int_equal(ept.changes, 0);
    for (u32 i = 0; i < 64; i++)
        assert_reaches(ngpa + i * PAGE_SIZE, DATA + i * PAGE_SIZE);
}

static void a_full_log_is_told(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    log = (struct ept12_log){.enabled = true, .page = DATA + SIZE_2M, .index = 0};
    enter_l2(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
    assert_int_equal(log.index, 0xffff);
    assert_int_equal(fake_get64(log.page), align_down(NGPA, PAGE_SIZE));
    write12(at, fake_get64(at) & ~USED);
    sync_on(0);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), LOG_FULL);
    assert_int_equal(fake_get64(at) & USED, 0);
    assert_absent(NGPA);
    log.index = 511;
    assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
    assert_int_equal(log.index, 510);
}

/* Before L2 touches it: no flag is set for it, and nothing is refused. */
static void prefilling_is_not_to_be_seen(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    ept02_prefill(&ept, cores[0].root, KEY, NGPA, EPT_WRITE, &cores[0].gap);
    assert_reaches(NGPA, DATA | (NGPA & 0xfff));
    ept02_prefill(&ept, cores[0].root, KEY, NGPA ^ BIT64(47), EPT_READ, &cores[0].gap);
    assert_absent(NGPA ^ BIT64(47));
    leave_l2(0);
    enter_l2(0, KEY | EPTP_AD);
    ept02_prefill(&ept, cores[0].root, KEY | EPTP_AD, NGPA, EPT_READ, &cores[0].gap);
    assert_absent(NGPA);
    assert_int_equal(fake_get64(at) & USED, 0);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    ept02_prefill(&ept, cores[0].root, KEY | EPTP_AD, NGPA, EPT_WRITE, &cores[0].gap);
    assert_int_equal(fake_get64(at) & USED, EPT_ACCESSED);
    assert_false(walk_of_ept02(0, NGPA).rights & EPT_WRITE);
    write12(entry_at(NGPA, 3), fake_get64(entry_at(NGPA, 3)) & ~EPT_ACCESSED);
    sync_on(0);
    ept02_prefill(&ept, cores[0].root, KEY | EPTP_AD, NGPA, EPT_READ, &cores[0].gap);
    assert_absent(NGPA);
    check_pages(0, 0);
}

static void mend(u64 access)
{
    ept02_prefill(&ept, cores[self].root, cores[self].key, NGPA, access, &cores[self].gap);
}

/* With nothing read but EPT12's last entry: the way there is known. */
static void mend_shortly(u64 access)
{
    u64 reads = fake_reads;

    mend(access);
    assert_int_equal(fake_reads, reads);
    assert_false(walk_of_ept02(self, NGPA).verdict);
}

/* What L1 was told of by an EPT violation, it mends; the way to the table is known. */
static void gaps_are_filled(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, 0);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION); /* and the tables are not there yet */
    map12(ROOT, NGPA + PAGE_SIZE, 1, DATA | EPT_RWX | WB);
    assert_int_equal(touch(0, NGPA + PAGE_SIZE, EPT_READ), ALLOWED);
    assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION);
    assert_int_equal(walk12.level, 1);
    mend(EPT_READ); /* it is still one */
    assert_absent(NGPA);
    write12(at, DATA | EPT_READ | WB);
    mend(EPT_WRITE);
    assert_absent(NGPA);
    write12(at, DATA | EPT_WRITE | WB); /* misconfigured */
    mend(EPT_WRITE);
    assert_absent(NGPA);
    write12(at, HIDDEN | EPT_RWX | WB);
    mend(EPT_READ);
    assert_absent(NGPA);
    write12(at, DATA | EPT_RWX | WB);
    mend_shortly(EPT_WRITE);
    assert_reaches(NGPA, DATA | (NGPA & 0xfff));
    check_pages(0, 0);
}

/* What is known of the way to a table is for all its addresses, until something changes there: what
   the exit has left in the processor's caches of the way, L1 need not invalidate. */
static void the_way_to_a_gap_changes(void **state)
{
    u64 pd = TABLES12 + 64 * PAGE_SIZE, other = pd + PAGE_SIZE;

    (void)state;
    map12(ROOT, NGPA, 1, 0);
    map12(ROOT, NGPA + 2 * PAGE_SIZE, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA + 2 * PAGE_SIZE, EPT_READ), ALLOWED);
    assert_int_equal(touch(0, NGPA + PAGE_SIZE, EPT_READ), VIOLATION);
    fake_reads = 0;
    assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION);
    assert_int_equal(fake_reads, 0);
    write12(other + (NGPA >> 12 & 511) * 8, (DATA + SIZE_2M) | EPT_RWX | WB);
    write12(entry_at(NGPA, 1), DATA | EPT_RWX | WB);
    write12(entry_at(NGPA, 2), other | EPT_RWX);
    mend(EPT_READ);
    assert_reaches(NGPA, (DATA + SIZE_2M) | (NGPA & 0xfff));
    check_pages(0, 0);
    write12(entry_at(NGPA, 2), 0);
    sync_on(0);
    write12(entry_at(NGPA, 3), fake_get64(entry_at(NGPA, 3)) & ~EPT_RWX);
    assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION);
    assert_int_equal(walk12.level, 3);
    check_pages(0, 0);
}

/* EPT12 has a table where the page began that EPT02 divides around hidden memory, and the same
   rights: with mode-based execute control they look alike. */
static void a_divided_page_is_no_way_to_a_gap(void **state)
{
    u64 key = KEY | EPT12_MODE_BASED, ngpa = 5 * SIZE_1G, at, source, page, slot;

    (void)state;
    source = align_down(HIDDEN, SIZE_1G);
    page = source | EPT_RWX | EPT_EXEC_USER | WB | EPT_LARGE;
    at = map12(ROOT, ngpa, 3, page);
    slot = ngpa + 40 * SIZE_2M;
    enter_l2(0, key);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    write12(at, source | EPT_RWX | EPT_EXEC_USER);
    assert_int_equal(touch(0, slot, EPT_READ), VIOLATION);
    write12(source + 40 * 8, DATA | EPT_RWX | EPT_EXEC_USER | WB | EPT_LARGE);
    ept02_prefill(&ept, cores[0].root, key, slot, EPT_READ, &cores[0].gap);
    write12(at, page);
    sync_on(0);
    assert_int_equal(touch(0, slot, EPT_READ), ALLOWED);
    assert_reaches(slot, source + 40 * SIZE_2M);
    check_pages(0, 0);
}

/* The flags that the access would set are there, or L2's touch has to set them. */
static void gaps_with_flags(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, 0);
    map12(ROOT, NGPA + PAGE_SIZE, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, NGPA + PAGE_SIZE, EPT_READ), ALLOWED);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), VIOLATION);
    write12(at, DATA | EPT_RWX | WB);
    mend(EPT_READ);
    assert_absent(NGPA);
    write12(at, DATA | EPT_RWX | WB | EPT_ACCESSED);
    mend(EPT_WRITE);
    assert_absent(NGPA);
    mend_shortly(EPT_READ);
    assert_false(walk_of_ept02(0, NGPA).rights & EPT_WRITE);
    check_pages(0, 0);
}

/* ---- Hidden memory, and what EPT12 does not allow ---- */

static void a_large_page_around_hidden_memory_is_divided(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, 0, 3, EPT_RWX | EPT_LARGE | WB | EPT_IGNORE_PAT);
    enter_l2(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, DATA, EPT_READ), ALLOWED);
    assert_int_equal(walk_of_ept02(0, DATA).level, 2);
    assert_true(walk_of_ept02(0, DATA).ignore_pat);
    assert_reaches(DATA + SIZE_2M - 1, DATA + SIZE_2M - 1);
    assert_false(walk_of_ept02(0, DATA).rights & EPT_WRITE);
    assert_int_equal(touch(0, DATA, EPT_WRITE), ALLOWED);
    assert_int_equal(fake_get64(at) & USED, USED);
    for (u64 ngpa = 0; ngpa < SIZE_1G; ngpa += SIZE_2M) {
        bool hidden = ngpa >= HIDDEN && ngpa < HIDDEN + HIDDEN_SIZE;

        assert_int_equal(touch(0, ngpa + 0x1234, EPT_WRITE), hidden ? HIDDEN_MEMORY : ALLOWED);
        if (hidden)
            assert_absent(ngpa);
        else
            assert_reaches(ngpa, ngpa);
    }
    check_pages(0, 0);
    write12(at, EPT_READ | EPT_LARGE | WB | USED);
    sync_on(0);
    assert_absent(DATA);
    assert_int_equal(touch(0, DATA, EPT_READ), ALLOWED);
    assert_int_equal(touch(0, DATA, EPT_WRITE), VIOLATION);
    check_pages(0, 0);
}

/* A page that stays as it is does not bring back what is divided, and a table can be there, too. */
static void a_table_where_a_divided_page_begins(void **state)
{
    u64 hidden_page;

    (void)state;
    hidden_page = map12(ROOT, 0, 3, EPT_RWX | EPT_LARGE | WB); /* at 0: */
    fake_put64(slot(ROOT, BIT64(39), 4), 0 | EPT_RWX);         /* a table at address 0 */
    fake_put64(0, DATA | EPT_RWX);
    fake_put64(slot(DATA, 0, 2), SIZE_1G | EPT_RWX | EPT_LARGE | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, DATA, EPT_READ), ALLOWED);
    assert_int_equal(touch(0, BIT64(39), EPT_READ), ALLOWED);
    for (u32 i = 0; i < 4; i++)
        sync_on(0);
    assert_reaches(DATA, DATA);
    assert_reaches(BIT64(39), SIZE_1G);
    check_pages(0, 0);
    write12(0, 0);
    write12(hidden_page, 0);
    sync_on(0);
    assert_absent(DATA);
    assert_absent(BIT64(39));
    check_pages(0, 0);
}

static void what_EPT12_does_not_allow_is_told(void **state)
{
    (void)state;
    map12(ROOT, NGPA, 1, DATA | EPT_READ | WB);
    map12(ROOT, NGPA + PAGE_SIZE, 1, DATA | EPT_WRITE | WB);
    map12(ROOT, NGPA + 2 * PAGE_SIZE, 1, HIDDEN | EPT_READ | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_WRITE), VIOLATION);
    assert_int_equal(walk12.rights, EPT_READ);
    assert_int_equal(walk12.level, 1);
    assert_int_equal(touch(0, NGPA ^ BIT64(47), EPT_READ), VIOLATION);
    assert_int_equal(walk12.rights, 0);
    assert_int_equal(walk12.level, 4);
    assert_int_equal(touch(0, NGPA + PAGE_SIZE, EPT_READ), MISCONFIGURED);
    assert_int_equal(touch(0, NGPA + 2 * PAGE_SIZE, EPT_READ), HIDDEN_MEMORY);
    assert_int_equal(touch(0, NGPA + 2 * PAGE_SIZE, EPT_WRITE), VIOLATION);
    check_pages(0, 0);
}

/* ---- Shared tables ---- */

static void trees_share_tables(void **state)
{
    u64 other = new_table(), tables;
    struct walked w;

    (void)state;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    fake_put64(slot(other, NGPA, 4), fake_get64(slot(ROOT, NGPA, 4)));
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    tables = ept.tables;
    core_count = 2;
    enter_l2(1, EPTP(other));
    assert_int_equal(fill(1, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(ept.tables, tables + 1); /* the root */
    w = walk_of_ept02(1, NGPA);
    assert_true(permits(&w, EPT_WRITE));
    check_pages(0, 0);
}

static void roles_share_nothing(void **state)
{
    u64 tables;

    (void)state;
    map12(ROOT, NGPA, 1, DATA | ALL | WB);
    for (u32 i = 0; i < 4; i++) {
        u64 key = KEY | (i & 1 ? EPTP_AD : 0) | (i & 2 ? EPT12_MODE_BASED : 0);

        tables = ept.tables;
        enter_l2(0, key);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(ept.tables, tables + 4);
    }
    check_pages(0, 0);
}

static u64 pointers_seen;
static u32 pointer_count;

static void see_pointer(u64 pointer)
{
    pointers_seen |=
        BIT64(shadow_page(&ept.shadow, shadow_index(&ept.shadow, pointer & EPT_ADDR))->role);
    pointer_count++;
    assert_int_equal(pointer & ~EPT_ADDR, EPTP_WALK_LENGTH_4 | MT_WB);
}

/* All roots of an EPTP, for INVEPT. */
static void the_roots_of_an_EPTP_are_found(void **state)
{
    (void)state;
    for (u32 i = 0; i < 4; i++)
        use(0, KEY | (i & 1 ? EPTP_AD : 0) | (i & 2 ? EPT12_MODE_BASED : 0));
    pointers_seen = pointer_count = 0;
    ept02_each_pointer(&ept, KEY, see_pointer);
    assert_int_equal(pointers_seen, 15);
    assert_int_equal(pointer_count, 4);
    ept02_each_pointer(&ept, EPTP(ROOT + PAGE_SIZE), see_pointer);
    assert_int_equal(pointer_count, 4);
}

/* A table that names itself is one of each level, and a page. */
static void a_table_may_name_itself(void **state)
{
    for (u32 flags = 0; flags < 2; flags++) {
        begin(state);
        fake_put64(ROOT, ROOT | EPT_RWX);
        fake_put64(ROOT + 8, DATA | EPT_RWX); /* a page at level 1, a table at others */
        enter_l2(0, KEY | (flags ? EPTP_AD : 0));
        assert_int_equal(touch(0, 0x123, EPT_READ), ALLOWED);
        assert_int_equal(touch(0, PAGE_SIZE, EPT_READ), ALLOWED);
        assert_reaches(0x123, ROOT + 0x123);
        assert_reaches(PAGE_SIZE, DATA);
        check_pages(0, 0);
        fake_put64(DATA, DATA | EPT_READ); /* and so is this one, in parts */
        assert_int_equal(touch(0, BIT64(39), EPT_READ), ALLOWED);
        assert_int_equal(touch(0, BIT64(30), EPT_READ), ALLOWED);
        assert_int_equal(touch(0, BIT64(21), EPT_READ), ALLOWED);
        check_pages(0, 0);
        write12(ROOT, 0);
        sync_on(0);
        assert_absent(0x123);
        check_pages(0, 0);
    }
}

/* ---- L1 changes EPT12 ---- */

/* With INVEPT after each change, and without: then what is new is seen when L2 faults. */
static void a_table_becomes_a_page_and_a_table_again(void **state)
{
    for (u32 told = 0; told < 2; told++) {
        u64 ngpa = align_down(NGPA, SIZE_2M), pd, link;

        begin(state);
        map12(ROOT, ngpa, 1, DATA | EPT_RWX | WB);
        pd = entry_at(ngpa, 2);
        link = fake_get64(pd);
        enter_l2(0, KEY);
        for (u32 i = 0; i < 3; i++) {
            write12(pd, link);
            if (told)
                sync_on(0);
            assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
            if (told)
                assert_reaches(ngpa, DATA);
            check_pages(0, 0);
            write12(pd, SIZE_1G | EPT_RWX | EPT_LARGE | WB);
            if (told) {
                sync_on(0);
                assert_absent(ngpa);
            }
            assert_int_equal(touch(0, ngpa + PAGE_SIZE, EPT_READ), ALLOWED);
            assert_reaches(ngpa + PAGE_SIZE, SIZE_1G + PAGE_SIZE);
            check_pages(0, 0);
        }
    }
}

/* All that an entry of any level led to is gone, and nothing else. */
static void only_what_has_changed_is_dropped(void **state)
{
    for (u32 level = 2; level <= 4; level++) {
        u64 at, entry;

        begin(state);
        map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
        map12(ROOT, NGPA ^ BIT64(47), 1, (DATA + PAGE_SIZE) | EPT_RWX | WB);
        enter_l2(0, KEY);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(touch(0, NGPA ^ BIT64(47), EPT_READ), ALLOWED);
        at = entry_at(NGPA, level);
        entry = fake_get64(at);
        write12(at, 0);
        sync_on(0);
        assert_absent(NGPA);
        assert_reaches(NGPA ^ BIT64(47), (DATA + PAGE_SIZE) | (NGPA & 0xfff));
        assert_int_equal(ept.changes, 1);
        check_pages(0, 0);
        write12(at, entry);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        check_pages(0, 0);
    }
}

/* More rights need no INVEPT: L2 faults once, and has them. */
static void added_rights_are_found_by_a_fault(void **state)
{
    for (u32 level = 1; level <= 4; level++) {
        u64 at;

        begin(state);
        map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
        at = entry_at(NGPA, level);
        fake_put64(at, fake_get64(at) & ~EPT_WRITE);
        enter_l2(0, KEY);
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(touch(0, NGPA, EPT_WRITE), VIOLATION);
        write12(at, fake_get64(at) | EPT_WRITE);
        assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
        check_pages(0, 0);
    }
}

/* Taking rights away at one level, with INVEPT. */
static void rights_that_are_gone_are_gone(void **state)
{
    for (u32 level = 1; level <= 4; level++) {
        u64 at;

        begin(state);
        map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
        at = entry_at(NGPA, level);
        enter_l2(0, KEY);
        assert_int_equal(touch(0, NGPA, EPT_WRITE), ALLOWED);
        write12(at, fake_get64(at) & ~EPT_WRITE);
        sync_on(0);
        assert_int_equal(touch(0, NGPA, EPT_WRITE), VIOLATION);
        assert_int_equal(touch(0, NGPA, EPT_EXEC), ALLOWED);
        check_pages(0, 0);
    }
}

static u64 changing_at;
static u32 changing_after; /* so many reads of it */

/* Another core changes the entry as soon as it has been read, and invalidates. */
static void change_and_sync(u64 pa)
{
    if (pa != changing_at || changing_after--)
        return;
    fake_after_read = NULL;
    write12(pa, 0);
    sync_on(1);
    self = 0;
}

static void a_change_during_a_fill_is_seen(void **state)
{
    for (u32 level = 1; level <= 4; level++)
        for (u32 i = 0; i < 4; i++) {
            bool known = i & 1;
            enum verdict result;

            if (i >= 2 && (!known || level == 1))
                continue; /* the second read is under a lock */
            begin(state);
            core_count = 2;
            map12(ROOT, NGPA, 1, DATA | EPT_READ | WB);
            enter_l2(0, KEY);
            if (known) {
                assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
                write12(entry_at(NGPA, 1), DATA | EPT_RWX | WB);
            }
            changing_at = entry_at(NGPA, level);
            changing_after = i / 2;
            fake_after_read = change_and_sync;
            result = fill(0, NGPA, EPT_READ);
            assert_true(result == ALLOWED || (!fake_after_read && result == VIOLATION));
            if (fake_after_read) { /* that many reads it did not take */
                fake_after_read = NULL;
                write12(changing_at, 0);
                sync_on(0);
            }
            assert_absent(NGPA);
            assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION);
            check_pages(0, 0);
        }
}

/* A core that comes to an EPTP for the first time has nothing cached: it sees all changes. */
static void a_new_core_needs_no_INVEPT(void **state)
{
    u64 at;

    (void)state;
    core_count = 2;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    write12(at, (DATA + PAGE_SIZE) | EPT_RWX | WB);
    assert_reaches(NGPA, DATA | (NGPA & 0xfff));
    enter_l2(1, KEY);
    assert_int_equal(touch(1, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(walk_of_ept02(1, NGPA).address, (DATA + PAGE_SIZE) | (NGPA & 0xfff));
}

/* ---- Protection ---- */

static bool is_protected(u64 pa) { return !ept01_is_writable(&ept01, pa); }

static u64 reads_of_a_sync(void)
{
    u64 before = ept.reads;

    sync_on(0);
    return ept.reads - before;
}

static void quiet_tables_are_not_read_again(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    map12(ROOT, NGPA ^ (8 * PAGE_SIZE), 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_false(is_protected(at));
    assert_int_equal(reads_of_a_sync(), 4);
    assert_true(is_protected(at) && is_protected(ROOT));
    assert_false(is_protected(next_table));
    assert_int_equal(reads_of_a_sync(), 0);
    assert_int_equal(ept.protections, 4);
    /* Nor are they when more of them is filled. */
    assert_int_equal(touch(0, NGPA ^ (8 * PAGE_SIZE), EPT_READ), ALLOWED);
    assert_int_equal(reads_of_a_sync(), 0);
    check_pages(0, 0);
}

static void a_written_table_is_read_again(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_true(write12(at, (DATA + PAGE_SIZE) | EPT_RWX | WB));
    assert_false(is_protected(at));
    assert_false(write12(at, (DATA + 2 * PAGE_SIZE) | EPT_RWX | WB)); /* the next one is free */
    assert_int_equal(reads_of_a_sync(), 1);
    assert_absent(NGPA);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_reaches(NGPA, (DATA + 2 * PAGE_SIZE) | (NGPA & 0xfff));
    check_pages(0, 0);
}

static u32 syncs_to_protect(u64 at)
{
    u32 syncs = 0;

    while (!is_protected(at)) {
        sync_on(0);
        assert_true(++syncs <= 16);
    }
    return syncs;
}

/* The more often it is written to, the longer it stays unprotected; but not for ever. */
static void patience_grows(void **state)
{
    static const u32 wanted[] = {1, 2, 4, 8, 16, 16, 16};
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    for (u32 round = 0; round < ARRAY_SIZE(wanted); round++) {
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(syncs_to_protect(at), wanted[round]);
        assert_true(write12(at, fake_get64(at)));
    }
    check_pages(0, 0);
}

static void a_change_ends_the_quiet(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    for (u32 i = 0; i < 2; i++) {
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        syncs_to_protect(at);
        write12(at, fake_get64(at));
    }
    for (u32 i = 0; i < 20; i++) {
        assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
        for (u32 quiet = 0; quiet < 3; quiet++)
            sync_on(0);
        write12(at, (DATA + (1 + (i & 1)) * PAGE_SIZE) | EPT_RWX | WB);
        sync_on(0);
        assert_false(is_protected(at));
    }
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(syncs_to_protect(at), 4);
}

static void what_was_not_protected_is_not_written_to(void **state)
{
    (void)state;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_false(ept02_source_written(&ept, DATA));
    assert_false(ept02_source_written(&ept, HIDDEN));
    assert_false(ept02_source_written(&ept, BIT64(52)));
    assert_true(is_protected(ROOT));
}

/* A core that has not invalidated since may write to it as if it were not protected. */
static void protection_counts_when_all_cores_know(void **state)
{
    u64 at;

    (void)state;
    core_count = 3;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_true(is_protected(at));
    catch_up(1);
    assert_int_equal(reads_of_a_sync(), 4);
    fake_put64(at, (DATA + PAGE_SIZE) | EPT_RWX | WB); /* core 2 does */
    assert_int_equal(reads_of_a_sync(), 4);
    assert_absent(NGPA);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    fake_put64(at, (DATA + 2 * PAGE_SIZE) | EPT_RWX | WB); /* and again, */
    catch_up(2);                                           /* then not any more */
    assert_int_equal(reads_of_a_sync(), 4);
    assert_absent(NGPA);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_int_equal(reads_of_a_sync(), 0);
    assert_reaches(NGPA, (DATA + 2 * PAGE_SIZE) | (NGPA & 0xfff));
    check_pages(0, 0);
}

static u64 racing_at;

static void write_and_catch_up(void)
{
    if (cores[1].epoch)
        return;
    fake_put64(racing_at, (DATA + PAGE_SIZE) | EPT_RWX | WB);
    catch_up(1);
}

/* It writes after the table was read, and invalidates as soon as it is told to. */
static void a_write_before_the_last_core_knows_is_seen(void **state)
{
    (void)state;
    core_count = 2;
    racing_at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    on_new_epoch = write_and_catch_up;
    sync_on(0);
    on_new_epoch = NULL;
    assert_true(is_protected(racing_at));
    sync_on(0); /* the other core's INVEPT */
    assert_absent(NGPA);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_reaches(NGPA, (DATA + PAGE_SIZE) | (NGPA & 0xfff));
}

/* ---- L2, and the processor for it, write to tables of EPT12 ---- */

static void a_table_that_L2_can_write_to_is_read_each_time(void **state)
{
    u64 at, ngpa = align_down(NGPA, 8 * PAGE_SIZE), pt;

    (void)state;
    at = map12(ROOT, ngpa, 1, DATA | EPT_RWX | WB);
    pt = table_of(at);
    map12(ROOT, ngpa + 16 * PAGE_SIZE, 1, pt | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    for (u32 i = 0; i < 3; i++)
        sync_on(0);
    assert_true(is_protected(at)); /* L2 has not used that page yet */
    assert_int_equal(reads_of_a_sync(), 0);
    assert_int_equal(touch(0, ngpa + 16 * PAGE_SIZE, EPT_WRITE), ALLOWED);
    assert_false(is_protected(at));
    check_pages(0, 0);
    for (u32 i = 0; i < 40; i++)
        sync_on(0);
    assert_false(is_protected(at));
    assert_true(is_protected(ROOT));
    fake_put64(at, (DATA + PAGE_SIZE) | EPT_RWX | WB);
    assert_int_equal(reads_of_a_sync(), 1);
    assert_absent(ngpa);
    check_pages(0, 0);
}

static void reading_a_table_does_not_expose_it(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, 0);
    fake_put64(at, table_of(at) | EPT_READ | EPT_EXEC | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_true(is_protected(at));
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    assert_true(is_protected(at));
}

/* All of the protected tables in it. */
static void a_large_page_may_hold_tables(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    map12(ROOT, 0, 2, TABLES12 | EPT_RWX | EPT_LARGE | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    sync_on(0);
    assert_true(is_protected(at) && is_protected(ROOT));
    assert_int_equal(touch(0, 0, EPT_WRITE), ALLOWED);
    assert_false(is_protected(at) || is_protected(ROOT));
    for (u32 i = 0; i < 20; i++)
        sync_on(0);
    assert_false(is_protected(at) || is_protected(ROOT));
    check_pages(0, 0);
}

static void the_processor_may_write_to_a_table(void **state)
{
    u64 at, written = 0;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    assert_true(is_protected(at));
    ept02_set_written(&ept, &written, table_of(at));
    assert_int_equal(written, table_of(at));
    assert_false(is_protected(at));
    for (u32 i = 0; i < 20; i++)
        sync_on(0);
    assert_false(is_protected(at));
    check_pages(0, 1);
    ept02_set_written(&ept, &written, table_of(at));
    check_pages(0, 1);
    ept02_set_written(&ept, &written, 0);
    check_pages(0, 0);
    for (u32 i = 0; i < 20; i++)
        sync_on(0);
    assert_true(is_protected(at));
}

/* A page of another role cannot be protected as L2 begins to be able to write to the source: who
   relies on its protection is told of that by what follows. */
static void protection_is_not_lost_to_another_role(void **state)
{
    u64 at;

    (void)state;
    at = map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    sync_on(0);
    sync_on(0);
    assert_true(is_protected(at));
    use(0, KEY | EPTP_AD);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    exposure_add(&ept.exposure, table_of(at) | EPT_WRITE, 1); /* another core, in its fill */
    sync_on(0);
    assert_true(is_protected(at) || !page_of(table_of(at))->settled);
    check_pages(0, 1);
}

/* ---- Pages run out ---- */

/* Protecting these takes pages, to divide EPT01's: they must not be all. */
static void tables_everywhere_leave_room(void **state)
{
    u64 top = new_table();

    (void)state;
    start(24);
    core_count = 2;
    enter_l2(0, KEY);
    for (u32 i = 0; i < 200; i++) {
        u64 ngpa = (u64)i << 21, table = HIDDEN + HIDDEN_SIZE + (i % 24) * SIZE_2M;

        table += i / 24 * PAGE_SIZE;
        map12(ROOT, ngpa, 2, table | EPT_RWX);
        fake_put64(table, DATA | EPT_RWX | WB);
        assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
        sync_on(0);
        catch_up(1);
    }
    check_pages(0, 0);
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    fake_put64(slot(top, 0, 5), ROOT | EPT_RWX);
    enter_l2(1, EPTP5(top));
    for (u32 i = 0; i < 20; i++) {
        assert_int_equal(touch_with(1, NGPA, EPT_READ, all_catch_up), ALLOWED);
        assert_int_equal(touch_with(0, i * SIZE_2M, EPT_READ, all_catch_up), ALLOWED);
    }
    check_pages(0, 0);
}

/* The roots that cores use are there whatever else needs pages. */
static void a_root_in_use_stays(void **state)
{
    u32 root;

    (void)state;
    start(40);
    core_count = 2;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(0, KEY);
    root = cores[0].root;
    core_count = 2;
    for (u32 i = 0; i < 300; i++) {
        u64 table = DATA + i * PAGE_SIZE;

        fake_put64(slot(table, NGPA, 4), fake_get64(slot(ROOT, NGPA, 4)));
        enter_l2(1, EPTP(table));
        catch_up(0);
        assert_int_equal(touch(1, NGPA, EPT_READ), ALLOWED);
        assert_int_equal(cores[0].root, root);
        assert_int_equal(shadow_find(&ept.shadow, ROOT, 4, 0, 0), root);
    }
    assert_true(ept.reclaimed > 0);
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    check_pages(0, 0);
}

/* It may be a table below another root, too. */
static void a_root_that_is_unlinked_stays(void **state)
{
    u64 top = new_table();

    (void)state;
    core_count = 2;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    fake_put64(slot(top, NGPA, 5), ROOT | EPT_RWX);
    enter_l2(0, EPTP5(top));
    assert_int_equal(touch(0, NGPA, EPT_READ), ALLOWED);
    enter_l2(1, KEY);
    assert_int_equal(walk_of_ept02(1, NGPA).verdict, ALLOWED);
    write12(slot(top, NGPA, 5), 0);
    sync_on(0);
    assert_absent(NGPA);
    assert_int_equal(walk_of_ept02(1, NGPA).verdict, ALLOWED);
    check_pages(0, 0);
    use(1, EPTP(top)); /* nobody needs it now */
    assert_int_equal(touch(0, NGPA, EPT_READ), VIOLATION);
    check_pages(0, 0);
}

/* Tables that several entries name are not known to be free for one. */
static void shared_tables_are_reclaimed_too(void **state)
{
    (void)state;
    start(24);
    for (u32 i = 0; i < 100; i++) {
        u64 ngpa = (u64)i << 21;

        map12(ROOT, ngpa, 1, (DATA + i * PAGE_SIZE) | EPT_RWX | WB);
        map12(ROOT, ngpa | BIT64(30), 2, table_of(entry_at(ngpa, 1)) | EPT_RWX);
    }
    enter_l2(0, KEY);
    for (u32 i = 0; i < 100; i++) {
        u64 ngpa = (u64)i << 21;

        assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
        assert_int_equal(touch(0, ngpa | BIT64(30), EPT_READ), ALLOWED);
        check_pages(0, 0);
    }
}

/* Tables with nothing but large pages; the only one that can go by itself is always the newest. */
static void tables_of_large_pages_are_reclaimed_too(void **state)
{
    (void)state;
    start(24);
    enter_l2(0, KEY);
    for (u32 i = 0; i < 100; i++) {
        u64 ngpa = (u64)i << 39;

        map12(ROOT, ngpa, 2, SIZE_1G | EPT_RWX | EPT_LARGE | WB);
        assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
        check_pages(0, 0);
    }
}

/* At which L2 exits at once, until there is a page. */
static void for_want_of_pages_a_root_is_empty(void **state)
{
    u32 taken = 0;

    (void)state;
    core_count = 2;
    map12(ROOT, NGPA, 1, DATA | EPT_RWX | WB);
    enter_l2(1, KEY);
    self = 0;
    while (ept02_take_table(&ept))
        taken++;
    enter_l2(0, EPTP(DATA));
    assert_int_equal(cores[0].root, ept.empty);
    assert_absent(NGPA);
    assert_int_equal(fill(0, NGPA, EPT_READ), VIOLATION);
    check_pages(taken, 0);
}

static void taken_tables_are_zero(void **state)
{
    (void)state;
    for (u32 i = 0; i < 10; i++) {
        u64 pa = ept02_take_table(&ept);

        assert_true(pa);
        for (u32 n = 0; n < 512; n++)
            assert_int_equal(fake_get64(pa + 8 * n), 0);
        memset(pool_va(pa), 0xff, PAGE_SIZE);
    }
    check_pages(10, 0);
}

/* They are zero, and cores get an eighth of all at most. */
static void pages_are_given_to_cores(void **state)
{
    u32 given = 0;
    u64 pa;

    (void)state;
    while ((pa = ept02_give_page(&ept))) {
        for (u32 n = 0; n < 512; n++)
            assert_int_equal(fake_get64(pa + 8 * n), 0);
        memset(pool_va(pa), 0xff, PAGE_SIZE);
        given++;
    }
    assert_int_equal(given, ept.shadow.count / 8);
    check_pages(given, 0);
    while (ept02_take_table(&ept))
        given++;
    assert_int_equal(ept02_give_page(&ept), 0);
    check_pages(given, 0);
}

/* ---- Every combination ---- */

static u64 rights_bits(u32 n) { return (n & 7) | (n & 8 ? EPT_EXEC_USER : 0); }

/* An access, and what comes of it in EPT12 and in EPT02, against the processor's walk of EPT12. */
static void check_access(u64 key, u64 ngpa, u64 access, u64 leaf_at)
{
    u64 before = fake_get64(leaf_at), flags = key & EPTP_AD ? EPT_ACCESSED : 0;
    enum verdict want = verdict_of_ept12(key, ngpa, access), got = touch(0, ngpa, access);
    struct walked w12 = walk_of_ept12(key, ngpa), w02 = walk_of_ept02(0, ngpa);

    if (got != want)
        fail_msg("entry %#llx key %#llx access %#llx: %d, expected %d", (unsigned long long)before,
                 (unsigned long long)key, (unsigned long long)access, (int)got, (int)want);
    if (flags && access & EPT_WRITE)
        flags |= EPT_DIRTY;
    if (want == ALLOWED || want == HIDDEN_MEMORY) {
        assert_int_equal(fake_get64(leaf_at), before | flags);
        assert_true(w12.accessed || !flags);
    } else {
        assert_int_equal(fake_get64(leaf_at), before);
    }
    if (want != ALLOWED)
        return;
    assert_int_equal(w02.address, w12.address);
    assert_int_equal(w02.type, w12.type);
    assert_int_equal(w02.ignore_pat, w12.ignore_pat);
    assert_int_equal(w02.rights, w12.rights & ~(flags && !w12.dirty ? EPT_WRITE : 0));
}

/* L2 has used the page by a valid entry before, so that there is something to drop. */
static void use_then_change(u64 ngpa, u64 at, u64 valid, u64 entry)
{
    write12(at, valid);
    sync_on(0);
    assert_int_equal(touch(0, ngpa, EPT_READ), ALLOWED);
    write12(at, entry);
    sync_on(0);
}

static u64 key_of(u32 role)
{
    return KEY | (role & 1 ? EPTP_AD : 0) | (role & 2 ? EPT12_MODE_BASED : 0);
}

static const u64 accesses[] = {EPT_READ, EPT_WRITE, EPT_READ | EPT_WRITE, EPT_EXEC, EPT_EXEC_USER};

static u32 access_count(u64 key) { return key & EPT12_MODE_BASED ? 5 : 4; }

/* Rights, types, ignore-PAT, flags of a page of each size, for each role. */
static void every_page_is_composed_as_it_should(void **state)
{
    (void)state;
    for (u32 role = 0; role < 4; role++)
        for (u32 level = 1; level <= 3; level++) {
            u64 key = key_of(role), at = map12(ROOT, level << 30, level, 0);

            enter_l2(0, key);
            for (u32 i = 0; i < 16 * 8 * 2 * 4 * 2; i++) {
                u64 entry = rights_bits(i & 15) | (u64)(i >> 4 & 7) << 3 |
                            (i >> 7 & 1 ? EPT_IGNORE_PAT : 0) | (u64)(i >> 8 & 3) << 8;

                ept.caps.execute_only = caps.execute_only = i >> 10;
                entry |= SIZE_1G | (level > 1 ? EPT_LARGE : 0) | EPT_SUPPRESS_VE;
                for (u32 a = i & 1; a < access_count(key); a += 2) {
                    u64 valid = SIZE_1G | ALL | USED | WB | (level > 1 ? EPT_LARGE : 0);

                    use_then_change(level << 30, at, valid, entry);
                    check_access(key, level << 30, accesses[a], at);
                }
            }
        }
    check_pages(0, 0);
}

/* Rights, the bits that must be zero, and flags of the entries of each level above a page. */
static void every_table_is_composed_as_it_should(void **state)
{
    (void)state;
    for (u32 role = 0; role < 4; role++) {
        u64 key = key_of(role), table = ROOT, leaf_at = map12(ROOT, NGPA, 1, DATA | ALL | WB);

        enter_l2(0, key);
        for (u32 level = 4; level > 1; level--) {
            u64 at = slot(table, NGPA, level), link = fake_get64(at) & EPT_ADDR;

            for (u32 i = 0; i < 16 * 8 * 2; i++) {
                u64 entry = link | rights_bits(i & 15) | (i >> 4 & 1 ? EPT_ACCESSED : 0) |
                            (i >> 5 & 1 ? EPT_MEMORY_TYPE : 0) | (i >> 6 & 1 ? BIT64(BITS) : 0);

                ept.caps.execute_only = caps.execute_only = i >> 7;
                for (u32 a = 0; a < access_count(key); a++) {
                    use_then_change(NGPA, at, link | ALL | EPT_ACCESSED, entry);
                    check_access(key, NGPA, accesses[a], leaf_at);
                }
            }
            write12(at, link | ALL);
            table = link;
        }
    }
    check_pages(0, 0);
}

/* Rights of two levels at once. */
static void rights_of_all_levels_count(void **state)
{
    u64 at = map12(ROOT, NGPA, 1, 0), pd_at = entry_at(NGPA, 2);

    (void)state;
    for (u32 i = 0; i < 4 * 256; i++) {
        u64 key = key_of(i >> 8);

        use(0, key);
        write12(at, DATA | WB | rights_bits(i & 15));
        write12(pd_at, table_of(at) | rights_bits(i >> 4 & 15));
        sync_on(0);
        for (u32 a = 0; a < access_count(key); a++)
            check_access(key, NGPA, accesses[a], at);
    }
    check_pages(0, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_page_size_is_kept),
        TEST(five_levels_are_walked),
        TEST(pages_around_are_filled_along),
        TEST(what_is_no_valid_page_is_not_filled_along),
        TEST(unused_pages_are_not_filled_along),
        TEST(the_first_write_to_a_clean_page_exits),
        TEST(cleared_flags_are_set_again),
        TEST(flags_that_L0_sets_drop_nothing),
        TEST(a_full_log_is_told),
        TEST(prefilling_is_not_to_be_seen),
        TEST(a_large_page_around_hidden_memory_is_divided),
        TEST(a_table_where_a_divided_page_begins),
        TEST(gaps_are_filled),
        TEST(the_way_to_a_gap_changes),
        TEST(a_divided_page_is_no_way_to_a_gap),
        TEST(gaps_with_flags),
        TEST(what_EPT12_does_not_allow_is_told),
        TEST(trees_share_tables),
        TEST(roles_share_nothing),
        TEST(the_roots_of_an_EPTP_are_found),
        TEST(a_table_may_name_itself),
        TEST(a_table_becomes_a_page_and_a_table_again),
        TEST(only_what_has_changed_is_dropped),
        TEST(added_rights_are_found_by_a_fault),
        TEST(rights_that_are_gone_are_gone),
        TEST(a_change_during_a_fill_is_seen),
        TEST(a_new_core_needs_no_INVEPT),
        TEST(quiet_tables_are_not_read_again),
        TEST(a_written_table_is_read_again),
        TEST(patience_grows),
        TEST(a_change_ends_the_quiet),
        TEST(what_was_not_protected_is_not_written_to),
        TEST(protection_counts_when_all_cores_know),
        TEST(a_write_before_the_last_core_knows_is_seen),
        TEST(a_table_that_L2_can_write_to_is_read_each_time),
        TEST(reading_a_table_does_not_expose_it),
        TEST(a_large_page_may_hold_tables),
        TEST(the_processor_may_write_to_a_table),
        TEST(protection_is_not_lost_to_another_role),
        TEST(tables_everywhere_leave_room),
        TEST(a_root_in_use_stays),
        TEST(a_root_that_is_unlinked_stays),
        TEST(shared_tables_are_reclaimed_too),
        TEST(tables_of_large_pages_are_reclaimed_too),
        TEST(for_want_of_pages_a_root_is_empty),
        TEST(taken_tables_are_zero),
        TEST(pages_are_given_to_cores),
        TEST(every_page_is_composed_as_it_should),
        TEST(every_table_is_composed_as_it_should),
        TEST(rights_of_all_levels_count),
    };

    return cmocka_run_group_tests_name("ept02", tests, NULL, NULL);
}
