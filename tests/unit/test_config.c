/* boot/config.c: plastron.conf, as rows of text and what must come of it. */
#include "../../boot/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL_WARNINGS_MAX (64 * 1024)
#define DESCRIPTION_MAX  (CONFIG_PATH_MAX + 2048)

#define KEYS                                                                                       \
    "next, console, baud, log, nested, cpuid, mask, shadow, monitor, "                             \
    "monitor_rate, trace, stats"
#define UNKNOWN(line, key) "c:" #line ": unknown key \"" key "\"; accepted: " KEYS "\n"
#define BAD(line, key, value, accepted, standard)                                                  \
    "c:" #line ": " key "=\"" value "\" is not accepted; accepted: " accepted                      \
    "; the default is used: " standard "\n"
#define BAD_NEXT(value)                                                                            \
    BAD(1, "next", value,                                                                          \
        "a path like \\EFI\\debian\\shimx64.efi, ASCII, up to 259 characters, or nothing",         \
        "the default search")
#define BAD_CONSOLE(value)                                                                         \
    BAD(1, "console", value, "com1, com2, com3, com4, none, a port from 1 to 0xfff8", "com1")
#define BAD_BAUD(value)    BAD(1, "baud", value, "9600, 19200, 38400, 57600, 115200", "115200")
#define BAD_LOG(value)     BAD(1, "log", value, "error, warn, info, debug", "info")
#define BAD_NESTED(value)  BAD(1, "nested", value, "on, off", "on")
#define BAD_CPUID(value)   BAD(1, "cpuid", value, "native, hypervisor", "native")
#define BAD_SHADOW(value)  BAD(1, "shadow", value, "auto, a number of MiB from 2 to 65536", "auto")
#define BAD_MONITOR(value) BAD(1, "monitor", value, "none, com1, com2, com3, com4", "none")
#define BAD_RATE(value)    BAD(1, "monitor_rate", value, "a number from 1 to 1000", "100")

static const struct row {
    const char *text;
    const char *wanted; /* what differs from the defaults, as describe() says it */
    const char *warnings;
} rows[] = {
    /* Each key, each kind of value. */
    {"", "", ""},
    {"next=\\EFI\\debian\\shimx64.efi", "next=\\EFI\\debian\\shimx64.efi", ""},
    {"next=/EFI/a b/g#1.efi", "next=\\EFI\\a b\\g#1.efi", ""},
    {"next=\\a=b", "next=\\a=b", ""},
    {"next=", "", ""},
    {"next=EFI\\x", "", BAD_NEXT("EFI\\x")},
    {"next=\\\xc3\xa4", "", BAD_NEXT("\\??")},
    {"console=com1", "", ""},
    {"console=com2", "console=0x2f8", ""},
    {"console=com3", "console=0x3e8", ""},
    {"console=com4", "console=0x2e8", ""},
    {"console=none", "console=0x0", ""},
    {"console=0x2F8", "console=0x2f8", ""},
    {"console=760", "console=0x2f8", ""},
    {"console=0xfff8", "console=0xfff8", ""},
    {"console=65528", "console=0xfff8", ""},
    {"console=0xfff9", "", BAD_CONSOLE("0xfff9")},
    {"console=0", "", BAD_CONSOLE("0")},
    {"console=0x", "", BAD_CONSOLE("0x")},
    {"console=0xg", "", BAD_CONSOLE("0xg")},
    {"console=3f8", "", BAD_CONSOLE("3f8")},
    {"console=-1", "", BAD_CONSOLE("-1")},
    {"console=99999999999999999999", "", BAD_CONSOLE("99999999999999999999")},
    {"console=com5", "", BAD_CONSOLE("com5")},
    {"console=", "", BAD_CONSOLE("")},
    {"baud=9600", "baud=9600", ""},
    {"baud=57600", "baud=57600", ""},
    {"baud=1200", "", BAD_BAUD("1200")},
    {"log=error", "log=error", ""},
    {"log=debug", "log=debug", ""},
    {"log=Debug", "", BAD_LOG("Debug")},
    {"log=debu", "", BAD_LOG("debu")},
    {"log=debugs", "", BAD_LOG("debugs")},
    {"nested=off", "nested=off", ""},
    {"nested=no", "", BAD_NESTED("no")},
    {"cpuid=hypervisor", "cpuid=hypervisor", ""},
    {"cpuid=native", "", ""},
    {"cpuid=1", "", BAD_CPUID("1")},
    {"mask=", "", ""},
    {"mask=none", "", ""},
    {"mask=ept", "mask=ept", ""},
    {"mask= vpid , xsaves,vpid", "mask=vpid,xsaves", ""},
    {"shadow=auto", "", ""},
    {"shadow=2", "shadow=2", ""},
    {"shadow=65536", "shadow=65536", ""},
    {"shadow=1", "", BAD_SHADOW("1")},
    {"shadow=65537", "", BAD_SHADOW("65537")},
    {"shadow=99999999999999999999", "", BAD_SHADOW("99999999999999999999")},
    {"shadow=0x10", "", BAD_SHADOW("0x10")},
    {"shadow=", "", BAD_SHADOW("")},
    {"shadow=-2", "", BAD_SHADOW("-2")},
    {"monitor=none", "", ""},
    {"monitor=com1", "monitor=0x3f8", ""},
    {"monitor=com2", "monitor=0x2f8", ""},
    {"monitor=0x2f8", "", BAD_MONITOR("0x2f8")},
    {"monitor=", "", BAD_MONITOR("")},
    {"monitor_rate=1", "rate=1", ""},
    {"monitor_rate=1000", "rate=1000", ""},
    {"monitor_rate=0", "", BAD_RATE("0")},
    {"monitor_rate=1001", "", BAD_RATE("1001")},
    {"monitor_rate=", "", BAD_RATE("")},
    {"trace=on", "trace=1", ""},
    {"trace=off", "", ""},
    {"trace=yes", "", BAD(1, "trace", "yes", "on, off", "off")},
    {"stats=off", "stats=0", ""},
    {"stats=on", "", ""},
    {"stats=", "", BAD(1, "stats", "", "on, off", "on")},

    /* Blanks, line ends, comments, byte order mark. */
    {" \t log \t= \tdebug \t", "log=debug", ""},
    {"\xef\xbb\xbflog=debug\r\nnested=off\r\n", "log=debug nested=off", ""},
    {"\xef\xbb\xbf", "", ""},
    {"\n\r\n  \n# a=b\n  # c\nlog=warn # not debug\n", "log=warn", ""},
    {"log=warn#x", "", BAD_LOG("warn#x")},
    {"log=\rdebug", "", BAD_LOG("?debug")},

    /* Lines that are none, keys that are none. */
    {"\n\nlog", "", "c:3: line ignored: no = in \"log\"; accepted: key=value\n"},
    {"=", "", UNKNOWN(1, "")},
    {"foo=1\nlog=error\nLOG=info", "log=error", UNKNOWN(1, "foo") UNKNOWN(3, "LOG")},
    {"a23456789012345678901234567890123456789x=1", "",
     UNKNOWN(1, "a23456789012345678901234567890123456789x")},
    {"a234567890123456789012345678901234567890x=1", "",
     UNKNOWN(1, "a234567890123456789012345678901234567...")},

    /* Duplicates: the last one wins. */
    {"log=debug\n\nlog=warn\nlog=error", "log=error",
     "c:3: log overrides line 1\nc:4: log overrides line 3\n"},
    {"baud=9600\nbaud=1", "", BAD(2, "baud", "1", "9600, 19200, 38400, 57600, 115200", "115200")},
};

struct warnings {
    size_t length;
    char text[ALL_WARNINGS_MAX];
};

static void collect(void *context, const char *text)
{
    struct warnings *warnings = context;

    assert_true(strlen(text) < CONFIG_WARNING_MAX);
    assert_true(warnings->length + strlen(text) + 2 <= sizeof(warnings->text));
    warnings->length += (size_t)sprintf(warnings->text + warnings->length, "%s\n", text);
}

/* Parses a copy that ends where the text ends, so that the sanitizer sees any step beyond. */
static struct warnings *parse(struct config *config, const void *text, size_t size)
{
    struct warnings *warnings = test_calloc(1, sizeof(*warnings));
    char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    config_parse(config, "c", copy, size, collect, warnings);
    free(copy);
    return warnings;
}

/* What of a configuration differs from the defaults, in the file's own words. */
static const char *describe(const struct config *config, char *text)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const features[] = {
#define X(id, name, word, bit) name,
        PLASTRON_FEATURES(X)
#undef X
    };
    char *at = text;

    *at = '\0';
    if (config->next[0])
        at += sprintf(at, " next=%s", config->next);
    if (config->console_port != 0x3f8)
        at += sprintf(at, " console=0x%x", config->console_port);
    if (config->console_baud != 115200)
        at += sprintf(at, " baud=%u", config->console_baud);
    if (config->log_level != LOG_INFO)
        at += sprintf(at, " log=%s", levels[config->log_level]);
    if (!config->nested)
        at += sprintf(at, " nested=off");
    if (config->cpuid_hypervisor)
        at += sprintf(at, " cpuid=hypervisor");
    if (config->shadow)
        at += sprintf(at, " shadow=%u", config->shadow);
    if (config->monitor_port)
        at += sprintf(at, " monitor=%#x", config->monitor_port);
    if (config->monitor_rate != 100)
        at += sprintf(at, " rate=%u", config->monitor_rate);
    if (config->trace)
        at += sprintf(at, " trace=%d", config->trace);
    if (!config->stats)
        at += sprintf(at, " stats=%d", config->stats);
    for (u32 i = 0; i < FEATURE_COUNT; i++) {
        if (config->mask & FEATURE_BIT(i))
            at += sprintf(at, "%s%s",
                          config->mask & (FEATURE_BIT(i) - 1) ? "," : " mask=", features[i]);
    }
    return *text ? text + 1 : text;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct config config;
        char description[DESCRIPTION_MAX];
        struct warnings *warnings = parse(&config, rows[i].text, strlen(rows[i].text));

        assert_string_equal(warnings->text, rows[i].warnings);
        assert_string_equal(describe(&config, description), rows[i].wanted);
        test_free(warnings);
    }
}

/* Every name that features.h has is accepted, and sets its bit and no other. */
static void test_every_feature(void **state)
{
    (void)state;
    static const char *const lines[] = {
#define X(id, name, word, bit) "mask=" name,
        PLASTRON_FEATURES(X)
#undef X
    };

    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        struct config config;
        struct warnings *warnings = parse(&config, lines[i], strlen(lines[i]));

        assert_string_equal(warnings->text, "");
        assert_true(config.mask == FEATURE_BIT(i));
        test_free(warnings);
    }
}

/* A bad mask gives one warning, which holds all names and is not cut. */
static void test_bad_masks(void **state)
{
    (void)state;
    static const char *const values[] = {"foo", "ept,foo", "ept,", ",ept", "ept,,vpid", "none,ept"};
    static const char wanted_end[] = "; accepted: "
#define X(id, name, word, bit) name ", "
        PLASTRON_FEATURES(X)
#undef X
            "none, several separated by commas; the default is used: none\n";

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        char line[64], wanted[CONFIG_WARNING_MAX];
        struct config config;
        struct warnings *warnings;

        sprintf(line, "mask=%s", values[i]);
        sprintf(wanted, "c:1: mask=\"%s\" is not accepted%s", values[i], wanted_end);
        warnings = parse(&config, line, strlen(line));
        assert_string_equal(warnings->text, wanted);
        assert_true(config.mask == 0);
        test_free(warnings);
    }
}

static void test_path_length(void **state)
{
    (void)state;
    char line[5 + CONFIG_PATH_MAX];
    struct config config;
    struct warnings *warnings;

    memset(line, 'x', sizeof(line));
    memcpy(line, "next=\\", 6);
    warnings = parse(&config, line, sizeof(line) - 1);
    assert_string_equal(warnings->text, "");
    assert_int_equal(strlen(config.next), CONFIG_PATH_MAX - 1);
    test_free(warnings);

    warnings = parse(&config, line, sizeof(line));
    assert_string_equal(warnings->text, BAD_NEXT("\\xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."));
    assert_string_equal(config.next, "");
    test_free(warnings);
}

static void test_line_length(void **state)
{
    (void)state;
    char text[CONFIG_LINE_MAX + 16];
    struct config config;
    struct warnings *warnings;

    memset(text, ' ', sizeof(text));
    memcpy(text, "log=debug", 9);
    warnings = parse(&config, text, CONFIG_LINE_MAX);
    assert_string_equal(warnings->text, "");
    assert_int_equal(config.log_level, LOG_DEBUG);
    test_free(warnings);

    memcpy(text + CONFIG_LINE_MAX + 1, "\nnested=off", 11);
    warnings = parse(&config, text, CONFIG_LINE_MAX + 12);
    assert_string_equal(warnings->text, "c:1: line ignored: longer than 2048 bytes\n");
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.nested);
    test_free(warnings);
}

static void test_zero_bytes(void **state)
{
    (void)state;
    static const char text[] = "log=debug\0\nnested=off\n\0";
    struct config config;
    struct warnings *warnings = parse(&config, text, sizeof(text) - 1);

    assert_string_equal(warnings->text,
                        "c:1: line ignored: it holds a zero byte (accepted: ASCII text)\n"
                        "c:3: line ignored: it holds a zero byte (accepted: ASCII text)\n");
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.nested);
    test_free(warnings);
}

static void test_without_callback(void **state)
{
    (void)state;
    struct config config;

    config_parse(&config, "c", "foo\nlog=debug\nlog=x\nmask=y", 26, NULL, NULL);
    assert_int_equal(config.log_level, LOG_INFO);
}

/* Any bytes, made of pieces that reach deep into the parser: no crash, no path without end. */
static void test_random_bytes(void **state)
{
    (void)state;
    static const char *const pieces[] = {"next=",        "console=", "mask=", "log=", "=",   "\n",
                                         "\r\n",         "#",        " ",     ",",    "ept", "0x",
                                         "\xef\xbb\xbf", "\\EFI\\x", "65535"};
    u32 random = 1;

    for (u32 round = 0; round < 20000; round++) {
        char text[200];
        size_t size = 0;
        struct config config;
        struct warnings *warnings;

        while (size < sizeof(text) - 10 && (random >> 8) % 40) {
            random = random * 1664525 + 1013904223;
            if (random >> 31) {
                text[size++] = (char)(random >> 16);
            } else {
                const char *piece = pieces[(random >> 16) % ARRAY_SIZE(pieces)];

                memcpy(text + size, piece, strlen(piece));
                size += strlen(piece);
            }
        }
        random = random * 1664525 + 1013904223;
        warnings = parse(&config, text, size);
        assert_non_null(memchr(config.next, '\0', sizeof(config.next)));
        assert_true(config.log_level <= LOG_DEBUG);
        assert_true(config.console_baud >= 9600);
        for (const char *at = warnings->text; *at; at++)
            assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
        test_free(warnings);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_feature),
        cmocka_unit_test(test_bad_masks),
        cmocka_unit_test(test_path_length),
        cmocka_unit_test(test_line_length),
        cmocka_unit_test(test_zero_bytes),
        cmocka_unit_test(test_without_callback),
        cmocka_unit_test(test_random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
