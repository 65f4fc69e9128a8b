/* The walk of L1's EPT for L2, and EPT02's entries, against a plain model of the SDM's rules. */
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
#define NGPA                 0x123456789abcull
#define PAGE_GPA             0x2340000000ull /* aligned to 1 GiB */

static struct ept12_caps caps;
static u64 ngpa;
static u32 levels;

static int setup(void **state)
{
    (void)state;
    fake_phys_reset();
    caps = (struct ept12_caps){
        .physical_bits = 40, .execute_only = true, .has_1g = true, .has_2m = true};
    ngpa = NGPA;
    levels = 4;
    return 0;
}

static u64 slot(u32 level)
{
    return TABLE(level, levels) + (ngpa >> (12 + 9 * (level - 1)) & 0x1ff) * 8;
}

static u64 eptp(void) { return levels == 5 ? EPTP5 : EPTP4; }

/* Tables that lead to a page of this level; its entry is the caller's. */
static void build(u32 page_level, u64 entry)
{
    for (u32 level = levels; level > page_level; level--)
        fake_put64(slot(level), TABLE(level - 1, levels) | EPT_RWX);
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
    bool r = e & 1, w = e & 2, x = e & 4;
    u32 type = e >> 3 & 7;

    *page = level == 1 || (level == 2 && caps.has_2m && (e >> 7 & 1)) ||
            (level == 3 && caps.has_1g && (e >> 7 & 1));
    if (!r && !w && !x)
        return EPT12_VIOLATION;
    if (!r && w)
        return EPT12_MISCONFIGURED;
    if (!caps.execute_only && !r && x)
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
}

/* One entry of each level, with every combination of its low 12 bits and of each other bit. */
static void every_entry_matches_the_model(void **state)
{
    (void)state;
    for (levels = 4; levels <= 5; levels++) {
        for (u32 i = 0; i < levels * 8 * 4096 * 3; i++) {
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
            assert_int_equal(t.rights, entry & 7);
            assert_int_equal(t.gpa, entry & EPT_ADDR);
            assert_int_equal(t.memory_type, low >> 3 & 7);
            assert_int_equal(t.ignore_pat, low >> 6 & 1);
        }
    }
}

static void rights_are_the_and_of_all_levels(void **state)
{
    (void)state;
    for (u32 i = 0; i < 8 * 8 * 8 * 8; i++) {
        const u64 bits[] = {i & 7, i >> 3 & 7, i >> 6 & 7, i >> 9 & 7}; /* level 1 first */
        enum ept12_result want = EPT12_TRANSLATED;
        struct ept12_translation t;

        build(1, PAGE_GPA | MT_WB << 3);
        for (u32 level = 4; level >= 1; level--) {
            u64 rwx = bits[level - 1];

            fake_put64(slot(level), (fake_get64(slot(level)) & ~7ull) | rwx);
            if (want == EPT12_TRANSLATED && rwx == 0)
                want = EPT12_VIOLATION;
            if (want == EPT12_TRANSLATED && (rwx & 3) == 2)
                want = EPT12_MISCONFIGURED;
        }
        assert_int_equal(ept12_walk(eptp(), ngpa, &caps, &t), want);
        assert_int_equal(t.rights,
                         want == EPT12_TRANSLATED ? bits[0] & bits[1] & bits[2] & bits[3] : 0);
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

/* ---- Composition ---- */

/* Every right, size, type and flag of both sides. */
static void composition_matches_the_model(void **state)
{
    static const u32 memory_types[] = {MT_UC, MT_WC, MT_WT, MT_WP, MT_WB};

    (void)state;
    for (u32 i = 0; i < 8 * 3 * 5 * 2 * 3 * 8 * 3 * 5; i++) {
        u32 n = i, rights12, rights01, level12, level01, max_level, want_level;
        struct ept12_translation t = {0};
        u64 entry01, leaf = 0, size, want, target, rights;
        u32 level = 0;
        bool done;

#define TAKE(count)                                                                                \
    (n % (count));                                                                                 \
    n /= (count)
        rights12 = TAKE(8);
        level12 = 1 + TAKE(3);
        t.memory_type = memory_types[n % 5];
        n /= 5;
        t.ignore_pat = TAKE(2);
        level01 = 1 + TAKE(3);
        rights01 = TAKE(8);
        max_level = 1 + TAKE(3);
#undef TAKE
        t.level = level12;
        t.size_shift = 12 + 9 * (level12 - 1);
        t.rights = rights12;
        t.gpa = PAGE_GPA;
        target = ept12_address(&t, ngpa);
        entry01 = align_down(target, BIT64(12 + 9 * (level01 - 1))) | rights01 |
                  (u64)memory_types[n % 5] << 3 | (level01 > 1 ? EPT_LARGE : 0);
        rights = rights12 & rights01;
        done = ept_compose(&t, ngpa, entry01, level01, max_level, &leaf, &level);
        assert_int_equal(done, rights != 0);
        if (!done)
            continue;
        want_level = level12 < level01 ? level12 : level01;
        want_level = want_level < max_level ? want_level : max_level;
        assert_int_equal(level, want_level);
        size = BIT64(12 + 9 * (level - 1));
        want = rights | (u64)t.memory_type << 3 | (t.ignore_pat ? BIT64(6) : 0) |
               (level > 1 ? BIT64(7) : 0);
        want |= target / size * size;
        assert_int_equal(leaf, want);
        /* The page lies within both pages that it comes from. */
        assert_int_equal((leaf & EPT_ADDR) >> t.size_shift, PAGE_GPA >> t.size_shift);
        assert_int_equal((leaf & EPT_ADDR) + (ngpa & (size - 1)), target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_page_size_translates, setup),
        cmocka_unit_test_setup(addresses_beyond_the_tables_are_violations, setup),
        cmocka_unit_test_setup(every_entry_matches_the_model, setup),
        cmocka_unit_test_setup(rights_are_the_and_of_all_levels, setup),
        cmocka_unit_test_setup(tables_in_hidden_memory_are_misconfigured, setup),
        cmocka_unit_test_setup(entries_are_read_once_whatever_L1_does, setup),
        cmocka_unit_test_setup(composition_matches_the_model, setup),
    };

    return cmocka_run_group_tests_name("ept12", tests, NULL, NULL);
}
