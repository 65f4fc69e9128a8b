/* hv/format.c against the C library's printf, and hv/log_ring.c. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../hv/format.h"
#include "../../hv/log_ring.h"

/* A macro, so that the compiler checks each format against its arguments. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours[200], libc[200];                                                                 \
        size_t len = format_string(ours, sizeof(ours), __VA_ARGS__);                               \
        int libc_len = snprintf(libc, sizeof(libc), __VA_ARGS__);                                  \
        assert_string_equal(ours, libc);                                                           \
        assert_int_equal(len, libc_len);                                                           \
    } while (0)

static void numbers(void **state)
{
    (void)state;
    SAME("%d %i %d", 0, -1, INT_MIN);
    SAME("%ld %lld", LONG_MIN, LLONG_MAX);
    SAME("%u %lu %llu", UINT_MAX, ULONG_MAX, ULLONG_MAX);
    SAME("%x %X %lx %llx", 0xbeefu, 0xbeefu, 0xfedcba9876543210ul, 0x1ull);
    SAME("%#x %#lx %#X %#x", 0x12u, 0xffffffff80000000ul, 0xau, 0u);
    SAME("%zu %hu", (size_t)77, (unsigned short)7);
}

static void widths(void **state)
{
    (void)state;
    SAME("%016lx|%08x|%#018lx", 0x1234ul, 0xdeadbeefu, 0xabcul);
    SAME("%5d|%-5d|%05d|%5d", 42, 42, -42, 1234567);
    SAME("%*d|%*d|%-*u", 6, 1, -6, 2, 4, 3u);
    SAME("%1x|%020lu", 0x123u, ULONG_MAX);
}

static void text(void **state)
{
    (void)state;
    SAME("plain");
    SAME("%s|%10s|%-10s|%.3s|%.*s|%6.2s", "abc", "right", "left", "truncated", 2, "xyz", "ab");
    SAME("%c|%3c|%-3c|", 'a', 'b', 'c');
    SAME("100%% %s", "");
    SAME("%p", (void *)0x1000);
}

static void unterminated_text_is_not_read_beyond_its_precision(void **state)
{
    char four[4] = {'a', 'b', 'c', 'd'}, to[16];

    (void)state;
    format_string(to, sizeof(to), "%.4s", four);
    assert_string_equal(to, "abcd");
}

static void null_text(void **state)
{
    const char *volatile null = NULL; /* volatile: the compiler would warn of it */
    char to[16];

    (void)state;
    format_string(to, sizeof(to), "<%s>", null);
    assert_string_equal(to, "<(null)>");
}

static void small_target(void **state)
{
    char to[4] = {'x', 'x', 'x', 'x'};

    (void)state;
    assert_int_equal(format_string(to, sizeof(to), "%s", "abcdef"), 6);
    assert_string_equal(to, "abc");
    assert_int_equal(format_string(to, 1, "%d", 12), 2);
    assert_string_equal(to, "");
    assert_int_equal(format_string(NULL, 0, "%d", 12), 2);
}

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
static void unknown_conversions_stand_as_written(void **state)
{
    const char *volatile formats[] = {"%y", "%", "50%", "%08", "%l", "a%5!b"};
    char to[32];

    (void)state;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        format_string(to, sizeof(to), formats[i]);
        assert_string_equal(to, formats[i]);
    }
}

static struct log_ring ring;

static void ring_clear(void) { memset(&ring, 0, sizeof(ring)); }

static void ring_write(const char *from)
{
    while (*from)
        log_ring_put(&ring, *from++);
}

static void ring_head(void **state)
{
    (void)state;
    ring_clear();
    ring_write("x");
    assert_string_equal(ring.magic, LOG_RING_MAGIC);
    assert_int_equal(ring.size, LOG_RING_SIZE);
    assert_int_equal(ring.written, 1);
}

static void ring_last_lines(void **state)
{
    (void)state;
    ring_clear();
    assert_int_equal(log_ring_lines(&ring, 0, 20), 0);
    ring_write("one\ntwo\nthree\n");
    assert_int_equal(log_ring_lines(&ring, ring.written, 1), 8);
    assert_int_equal(log_ring_lines(&ring, ring.written, 2), 4);
    assert_int_equal(log_ring_lines(&ring, ring.written, 3), 0);
    assert_int_equal(log_ring_lines(&ring, ring.written, 20), 0);
    ring_write("unfinished");
    assert_int_equal(log_ring_lines(&ring, ring.written, 1), 14);
    assert_int_equal(log_ring_lines(&ring, 8, 1), 4); /* an end before what came later */
}

static void ring_wraps(void **state)
{
    u64 start;

    (void)state;
    ring_clear();
    for (int i = 0; i < 10000; i++) {
        char line[32];

        snprintf(line, sizeof(line), "line %06d\n", i);
        ring_write(line);
    }
    start = log_ring_lines(&ring, ring.written, 2);
    assert_int_equal(ring.written - start, 24);
    assert_int_equal(log_ring_at(&ring, start), 'l');
    assert_int_equal(log_ring_at(&ring, start + 10), '8');
    assert_int_equal(log_ring_lines(&ring, ring.written, 1000000), ring.written - LOG_RING_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(widths),
        cmocka_unit_test(text),
        cmocka_unit_test(unterminated_text_is_not_read_beyond_its_precision),
        cmocka_unit_test(null_text),
        cmocka_unit_test(small_target),
        cmocka_unit_test(unknown_conversions_stand_as_written),
        cmocka_unit_test(ring_head),
        cmocka_unit_test(ring_last_lines),
        cmocka_unit_test(ring_wraps),
    };

    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
