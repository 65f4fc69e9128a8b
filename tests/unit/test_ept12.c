/* The walk of L1's EPT for L2, against a plain model of the SDM's rules. */
#include <setjmp.h>
#include <stdarg.h>

#include "types.h"
#include <cmocka.h>

#include "mm/ept12.h"
#include "fake_phys.h"
#include "x86.h"

#define ROOT                 0x10000ull
#define TABLE(level, levels) (ROOT + ((levels) - (level)) * PAGE_SIZE)
#define EPTP4                (ROOT | 3 << 3 | MT_WB)
#define EPTP5                (ROOT | 4 << 3 | MT_WB)
#define LOG                  0x20000ull
#define NGPA                 0x123456789abcull
#define PAGE_GPA             0x2340000000ull /* aligned to 1 GiB */

static struct ept12_caps caps;
static u64 ngpa;
static struct ept12_log log;
static u32 levels;
static u64 role; /* 0 or EPT12_MODE_BASED */

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    caps = (struct ept12_caps){
        .physical_bits = 40, .execute_only = true, .has_1g = true, .has_2m = true};
    ngpa = NGPA;
    levels = 4;
    role = 0;
    log = (struct ept12_log){0};
    return 0;
}

static u64 slot(u32 level)
{
    return TABLE(level, levels) + (ngpa >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
}

static u64 eptp(void) { return (levels == 5 ? EPTP5 : EPTP4) | role; }

static u64 all_rights(void) { return EPT_RWX | (role ? EPT_EXEC_USER : 0); }

/* Tables that lead to a page of this level; its entry is the caller's. */
static void build(u32 page_level, u64 entry)
{
    for (u32 level = levels; level > page_level; level--)
        fake_put64(slot(level), TABLE(level - 1, levels) | all_rights());
    fake_put64(slot(page_level), entry);
}

static void each_page_size_translates(void **state)
{
    (void)state;
    for (levels = 4; levels <= 5; levels++) {
        ngpa = levels == 5 ? 0x1ab3456789abcull : NGPA;
        for (u32 level = 1; level <= 3; level++) {
            struct ept12_translation t;
            u32 shift = 12 + 9 * (level - 1);

            build(level, PAGE_GPA | EPT_RWX | MT_WT << 3 | EPT_IGNORE_PAT | EPT_SUPPRESS_VE |
                             (level > 1 ? EPT_LARGE : 0));
            fake_reads = 0;
            assert_int_equal(ept12_walk(eptp(), ngpa, &caps, &t), EPT12_TRANSLATED);
            assert_int_equal(t.gpa, PAGE_GPA);
            assert_int_equal(t.size_shift, shift);
            assert_int_equal(t.level, level);
            assert_int_equal(t.rights, EPT_RWX);
            assert_int_equal(t.memory_type, MT_WT);
            assert_true(t.ignore_pat);
            assert_int_equal(ept12_address(&t, ngpa), PAGE_GPA | (ngpa & (BIT64(shift) - 1)));
            assert_int_equal(fake_reads, levels - level + 1);
        }
    }
}

static void addresses_beyond_the_tables_are_violations(void **state)
{
    struct ept12_translation t;

    (void)state;
    build(1, PAGE_GPA | EPT_RWX);
    assert_int_equal(ept12_walk(EPTP4, NGPA | BIT64(48), &caps, &t), EPT12_VIOLATION);
    assert_int_equal(t.rights, 0);
    assert_int_equal(ept12_walk(EPTP5, NGPA | BIT64(57), &caps, &t), EPT12_VIOLATION);
    assert_int_equal(ept12_walk(ROOT | 7 << 3, NGPA, &caps, &t), EPT12_VIOLATION);
    assert_int_equal(fake_reads, 0);
}

/* "EPT Misconfigurations" and the formats of the entries, as a list. */
static enum ept12_result model(u64 e, u32 level, bool *page)
{
    bool r = e & 1, w = e & 2, x = e & 4, user = role && (e & EPT_EXEC_USER);
    u32 type = e >> 3 & 7;

    *page = level == 1 || (level == 2 && caps.has_2m && (e >> 7 & 1)) ||
            (level == 3 && caps.has_1g && (e >> 7 & 1));
    if (!r && !w && !x && !user)
        return EPT12_VIOLATION;
    if (!r && w)
        return EPT12_MISCONFIGURED;
    if (!caps.execute_only && !r && (x || user))
        return EPT12_MISCONFIGURED;
    for (u32 n = caps.physical_bits; n < 52; n++)
        if (e >> n & 1)
            return EPT12_MISCONFIGURED;
    if (!*page && (e & 0xf8))
        return EPT12_MISCONFIGURED;
    if (*page && level == 2 && (e & 0x1ff000))
        return EPT12_MISCONFIGURED;
    if (*page && level == 3 && (e & 0x3ffff000))
        return EPT12_MISCONFIGURED;
    if (*page && (type == 2 || type == 3 || type == 7))
        return EPT12_MISCONFIGURED;
    return EPT12_TRANSLATED;
}

static void set_caps(u32 variant)
{
    caps.execute_only = variant & 1;
    caps.has_1g = variant & 2;
    caps.has_2m = variant & 4;
    role = variant & 8 ? EPT12_MODE_BASED : 0;
}

/* One entry of each level, with every combination of its low 12 bits and of each other bit. */
static void every_entry_matches_the_model(void **state)
{
    (void)state;
    for (levels = 4; levels <= 5; levels++) {
        for (u32 i = 0; i < levels * 16 * 4096 * 3; i++) {
            u32 level = i % levels + 1, low = i / levels % 4096, high = i / levels / 4096 % 3;
            u64 entry = low | (high ? BIT64(12 + fake_below(52)) : 0);
            struct ept12_translation t;
            enum ept12_result want, got;
            bool page;

            set_caps(i / levels / 4096 / 3);
            if (high == 2)
                entry |= BIT64(12 + fake_below(52));
            build(level, entry);
            want = model(entry, level, &page);
            if (want != EPT12_VIOLATION)
                assert_int_equal(ept12_is_page(entry, level, &caps),
                                 page && want == EPT12_TRANSLATED);
            fake_reads = 0;
            got = ept12_walk(eptp(), ngpa, &caps, &t);
            if (want == EPT12_TRANSLATED && !page) {
                assert_true(fake_reads > levels - level + 1); /* went on, to whatever is there */
                continue;
            }
            if (got != want)
                fail_msg("level %u entry %#llx caps %u: %d, expected %d", level,
                         (unsigned long long)entry, i / levels / 4096 / 3, (int)got, (int)want);
            assert_int_equal(t.level, level);
            if (want != EPT12_TRANSLATED) {
                assert_int_equal(t.rights, 0);
                continue;
            }
            assert_int_equal(t.rights, entry & all_rights());
            assert_int_equal(t.gpa, entry & EPT_ADDR);
            assert_int_equal(t.memory_type, low >> 3 & 7);
            assert_int_equal(t.ignore_pat, low >> 6 & 1);
        }
    }
}

static void rights_are_the_and_of_all_levels(void **state)
{
    (void)state;
    for (u32 i = 0; i < 16 * 16 * 16 * 16 * 2; i++) {
        u64 bits[4]; /* level 1 first */
        enum ept12_result want = EPT12_TRANSLATED;
        struct ept12_translation t;

        role = i >> 16 ? EPT12_MODE_BASED : 0;
        build(1, PAGE_GPA | MT_WB << 3);
        for (u32 level = 4; level >= 1; level--) {
            u32 n = i >> 4 * (level - 1) & 15;
            u64 entry = (n & 7) | (n & 8 ? EPT_EXEC_USER : 0);

            bits[level - 1] = entry & all_rights();
            fake_put64(slot(level), (fake_get64(slot(level)) & ~(EPT_RWX | EPT_EXEC_USER)) | entry);
            if (want == EPT12_TRANSLATED && bits[level - 1] == 0)
                want = EPT12_VIOLATION;
            if (want == EPT12_TRANSLATED && (bits[level - 1] & 3) == 2)
                want = EPT12_MISCONFIGURED;
        }
        assert_int_equal(ept12_walk(eptp(), ngpa, &caps, &t), want);
        assert_int_equal(t.rights,
                         want == EPT12_TRANSLATED ? bits[0] & bits[1] & bits[2] & bits[3] : 0);
    }
}

/* Suppress #VE counts in the entry that ends the walk, at each level, present or not. */
static void the_last_entry_says_what_is_convertible(void **state)
{
    (void)state;
    for (u32 end = 1; end <= 4; end++)
        for (u32 bits = 0; bits < 16; bits++)
            for (u32 present = 0; present < 2; present++) {
                u64 entry = present ? PAGE_GPA | EPT_READ | EPT_LARGE : 0;
                struct ept12_translation t;

                if (present && end == 4)
                    continue;
                build(end, entry);
                for (u32 level = end; level <= 4; level++)
                    if (bits >> (level - 1) & 1)
                        fake_put64(slot(level), fake_get64(slot(level)) | EPT_SUPPRESS_VE);
                assert_int_equal(ept12_walk(EPTP4, ngpa, &caps, &t),
                                 present ? EPT12_TRANSLATED : EPT12_VIOLATION);
                assert_int_equal(t.convertible, !(bits >> (end - 1) & 1));
            }
}

static void tables_in_hidden_memory_are_misconfigured(void **state)
{
    (void)state;
    for (u32 level = 1; level <= 4; level++) {
        struct ept12_translation t;

        build(1, PAGE_GPA | EPT_RWX | MT_WB << 3);
        fake_phys_hide(TABLE(level, levels), PAGE_SIZE);
        assert_int_equal(ept12_walk(eptp(), ngpa, &caps, &t), EPT12_MISCONFIGURED);
        assert_int_equal(t.level, level);
        fake_phys_hide(0, 0);
    }
}

/* ---- L1 changes its tables at the same time ---- */

static u64 seen[16], seen_entry[16]; /* addresses, and what stood there */
static u32 seen_count;

static void rewrite_what_was_read(u64 pa)
{
    for (u32 i = 0; i < seen_count; i++)
        assert_true(seen[i] != pa); /* no entry twice */
    assert_true(seen_count < ARRAY_SIZE(seen));
    seen[seen_count] = pa;
    seen_entry[seen_count++] = pa < FAKE_PHYS_SIZE ? fake_get64(pa) : ~0ull;
    if (pa < FAKE_PHYS_SIZE)
        fake_put64(pa, fake_random());
}

static u64 random_entry(u32 level)
{
    u64 entry = fake_below(4) ? EPT_RWX : fake_below(8);

    if (level == 1 || (level < 4 && fake_below(4) == 0)) {
        u64 size = BIT64(12 + 9 * (level - 1));

        entry |= align_down(fake_random() & 0xffffffffff, size) | fake_below(8) << 3;
        entry |= level > 1 ? EPT_LARGE : 0;
    } else {
        entry |= TABLE(level - 1, 4);
    }
    return fake_below(16) ? entry : entry ^ BIT64(fake_below(64));
}

static void entries_are_read_once_whatever_L1_does(void **state)
{
    u32 translated = 0;

    (void)state;
    for (u32 round = 0; round < 50000; round++) {
        struct ept12_translation t;
        enum ept12_result got, want = EPT12_TRANSLATED;
        u64 rights = EPT_RWX;
        bool page = false;

        ngpa = fake_random() & 0xffffffffffff;
        for (u32 level = 1; level <= 4; level++)
            fake_put64(slot(level), random_entry(level));
        seen_count = 0;
        fake_after_read = rewrite_what_was_read;
        got = ept12_walk(EPTP4, ngpa, &caps, &t);
        fake_after_read = NULL;
        /* The result is what the model says of the entries as they were read. */
        for (u32 i = 0; i < seen_count && want == EPT12_TRANSLATED; i++) {
            want = model(seen_entry[i], 4 - i, &page);
            rights &= seen_entry[i];
            assert_int_equal(page && want == EPT12_TRANSLATED,
                             i == seen_count - 1 && got == EPT12_TRANSLATED);
        }
        assert_int_equal(got, want);
        if (got == EPT12_TRANSLATED) {
            translated++;
            assert_int_equal(t.rights, rights);
            assert_int_equal(t.gpa >> caps.physical_bits, 0);
            assert_int_equal(t.gpa & (BIT64(t.size_shift) - 1), 0);
        }
    }
    assert_true(translated > 5000);
}

/* ---- Accessed and dirty flags ---- */

static u64 flags_at(u32 level) { return fake_get64(slot(level)) & (EPT_ACCESSED | EPT_DIRTY); }

/* Pages of each size, flags set before in each way, reads and writes. */
static void flags_are_set_as_the_SDM_says(void **state)
{
    (void)state;
    for (levels = 4; levels <= 5; levels++) {
        ngpa = levels == 5 ? 0x1ab3456789abcull : NGPA;
        for (u32 i = 0; i < 3 * 2 * 2 * 4 * 2; i++) {
            u32 page_level = 1 + i % 3;
            bool write = i / 3 % 2, enabled = i / 6 % 2, tables_accessed = i / 48;
            u64 before = (u64)(i / 12 % 4) << 8;
            u64 key = eptp() | (enabled ? EPTP_AD : 0);
            struct ept12_translation t;
            u32 sets = 0;

            build(page_level, PAGE_GPA | EPT_RWX | before | (page_level > 1 ? EPT_LARGE : 0));
            for (u32 level = levels; tables_accessed && level > page_level; level--)
                fake_put64(slot(level), fake_get64(slot(level)) | EPT_ACCESSED);
            assert_int_equal(ept12_walk(key, ngpa, &caps, &t), EPT12_TRANSLATED);
            fake_sets = 0;
            assert_int_equal(ept12_set_flags(key, ngpa, write, &log, &t), EPT12_TRANSLATED);
            for (u32 level = levels; level > page_level; level--) {
                bool accessed = enabled || tables_accessed;

                assert_int_equal(flags_at(level), accessed ? EPT_ACCESSED : 0);
                sets += enabled && !tables_accessed;
            }
            if (enabled) {
                u64 want = before | EPT_ACCESSED | (write ? EPT_DIRTY : 0);

                assert_int_equal(flags_at(page_level), want);
                sets += want != before;
            } else {
                assert_int_equal(flags_at(page_level), before);
            }
            assert_int_equal(fake_sets, sets); /* nothing is written that is there already */
            assert_int_equal(ept12_set_flags(key, ngpa, write, &log, &t), EPT12_TRANSLATED);
            assert_int_equal(fake_sets, sets);
        }
    }
}

static u64 changed_pa;

static void change_one_entry(u64 pa)
{
    if (pa == changed_pa)
        fake_put64(pa, fake_get64(pa) ^ EPT_WRITE);
}

/* L1 takes a right away between the walk and the flag: the flag is not set on the new entry. */
static void a_changed_entry_gets_no_flag(void **state)
{
    (void)state;
    for (u32 level = 1; level <= 4; level++) {
        struct ept12_translation t;

        build(1, PAGE_GPA | EPT_RWX | MT_WB << 3);
        assert_int_equal(ept12_walk(EPTP4 | EPTP_AD, ngpa, &caps, &t), EPT12_TRANSLATED);
        changed_pa = slot(level);
        fake_before_set = change_one_entry;
        assert_int_equal(ept12_set_flags(EPTP4 | EPTP_AD, ngpa, true, &log, &t), EPT12_CHANGED);
        fake_before_set = NULL;
        for (u32 other = 1; other <= 4; other++)
            assert_int_equal(flags_at(other), other > level ? EPT_ACCESSED : 0);
    }
}

/* Every index around both ends, reads and writes, clean pages and dirty ones. */
static void what_becomes_dirty_is_logged(void **state)
{
    static const u16 indices[] = {0, 1, 2, 510, 511, 512, 513, 0x7fff, 0x8000, 0xffff};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(indices) * 3 * 2 * 3; i++) {
        u16 index = indices[i % ARRAY_SIZE(indices)];
        u32 n = i / ARRAY_SIZE(indices), preset = n % 3;
        bool write = n / 3 % 2;
        u32 page_level = 1 + n / 6;
        /* No flags, all but the dirty one, all. */
        u64 table = preset ? EPT_ACCESSED : 0;
        u64 leaf = preset == 2 ? EPT_ACCESSED | EPT_DIRTY : table;
        bool due = preset == 0 || (preset == 1 && write);
        bool dirtied = write && preset < 2;
        struct ept12_translation t;

        build(page_level, PAGE_GPA | EPT_RWX | leaf | (page_level > 1 ? EPT_LARGE : 0));
        for (u32 level = levels; level > page_level; level--)
            fake_put64(slot(level), fake_get64(slot(level)) | table);
        log = (struct ept12_log){.enabled = true, .page = LOG, .index = index};
        for (u32 at = 0; at < 512; at++)
            fake_put64(LOG + at * 8, 0x77);
        assert_int_equal(ept12_walk(EPTP4 | EPTP_AD, ngpa, &caps, &t), EPT12_TRANSLATED);
        fake_sets = 0;
        if (due && index > 511) {
            assert_int_equal(ept12_set_flags(EPTP4 | EPTP_AD, ngpa, write, &log, &t),
                             EPT12_LOG_FULL);
            assert_int_equal(fake_sets, 0);
            assert_int_equal(log.index, index);
            continue;
        }
        assert_int_equal(ept12_set_flags(EPTP4 | EPTP_AD, ngpa, write, &log, &t), EPT12_TRANSLATED);
        assert_int_equal(flags_at(page_level),
                         EPT_ACCESSED | (write || preset == 2 ? EPT_DIRTY : 0));
        assert_int_equal(log.index, (u16)(index - dirtied));
        for (u32 at = 0; at < 512; at++)
            assert_int_equal(fake_get64(LOG + at * 8),
                             dirtied && at == index ? ngpa & ~0xfffull : 0x77);
    }
}

/* Without accessed and dirty flags there is no log, and with the control off neither. */
static void nothing_else_is_logged(void **state)
{
    struct ept12_translation t;

    (void)state;
    build(1, PAGE_GPA | EPT_RWX | MT_WB << 3);
    log = (struct ept12_log){.enabled = true, .page = LOG, .index = 0xffff};
    assert_int_equal(ept12_walk(EPTP4, ngpa, &caps, &t), EPT12_TRANSLATED);
    assert_int_equal(ept12_set_flags(EPTP4, ngpa, true, &log, &t), EPT12_TRANSLATED);
    assert_int_equal(flags_at(1), 0);
    log = (struct ept12_log){.page = LOG, .index = 7};
    assert_int_equal(ept12_set_flags(EPTP4 | EPTP_AD, ngpa, true, &log, &t), EPT12_TRANSLATED);
    assert_int_equal(flags_at(1), EPT_ACCESSED | EPT_DIRTY);
    assert_int_equal(log.index, 7);
    assert_int_equal(fake_get64(LOG + 7 * 8), 0);
}

/* The flag is L1's to see, a log out of its reach is not: nothing is written there. */
static void a_hidden_log_stays_as_it_is(void **state)
{
    struct ept12_translation t;

    (void)state;
    build(1, PAGE_GPA | EPT_RWX | MT_WB << 3);
    fake_phys_hide(LOG, PAGE_SIZE);
    log = (struct ept12_log){.enabled = true, .page = LOG, .index = 511};
    assert_int_equal(ept12_walk(EPTP4 | EPTP_AD, ngpa, &caps, &t), EPT12_TRANSLATED);
    assert_int_equal(ept12_set_flags(EPTP4 | EPTP_AD, ngpa, true, &log, &t), EPT12_TRANSLATED);
    assert_int_equal(log.index, 510);
    assert_int_equal(fake_get64(LOG + 511 * 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_page_size_translates, setup),
        cmocka_unit_test_setup(addresses_beyond_the_tables_are_violations, setup),
        cmocka_unit_test_setup(every_entry_matches_the_model, setup),
        cmocka_unit_test_setup(rights_are_the_and_of_all_levels, setup),
        cmocka_unit_test_setup(the_last_entry_says_what_is_convertible, setup),
        cmocka_unit_test_setup(tables_in_hidden_memory_are_misconfigured, setup),
        cmocka_unit_test_setup(entries_are_read_once_whatever_L1_does, setup),
        cmocka_unit_test_setup(flags_are_set_as_the_SDM_says, setup),
        cmocka_unit_test_setup(a_changed_entry_gets_no_flag, setup),
        cmocka_unit_test_setup(what_becomes_dirty_is_logged, setup),
        cmocka_unit_test_setup(nothing_else_is_logged, setup),
        cmocka_unit_test_setup(a_hidden_log_stays_as_it_is, setup),
    };

    return cmocka_run_group_tests_name("ept12", tests, NULL, NULL);
}
