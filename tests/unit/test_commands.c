/* hv/monitor/commands.c: lines and what they say and run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "line_model.h"
#include "hv/monitor/commands.h"
#include "hv/monitor/say.h"

#define TEN     "0123456789"
#define FORTY   TEN TEN TEN TEN
#define HUNDRED FORTY FORTY TEN TEN

/* ---- What was said and run ---- */

static char said[8192];
static char ran[1024]; /* "name(word,word)" of each; "@" before it if it was for a core */
static u32 runs;

void say(const char *format, ...)
{
    size_t length = strlen(said);
    va_list args;
    int count;

    va_start(args, format);
    count = vsnprintf(said + length, sizeof(said) - length, format, args);
    va_end(args);
    assert_true(count >= 0 && (size_t)count < sizeof(said) - length);
}

static void record(const char *where, const struct words *words)
{
    char *at = ran + strlen(ran);

    assert_in_range(words->count, 1, COMMAND_WORDS_MAX);
    at += sprintf(at, "%s%s(", where, words->word[0]);
    for (u32 i = 1; i < words->count; i++)
        at += sprintf(at, "%s%s", i > 1 ? "," : "", words->word[i]);
    strcpy(at, ")");
    for (u32 i = 0; i < words->count; i++)
        assert_true(words->word[i][0] && !strpbrk(words->word[i], " \t"));
    for (u32 i = words->count; i < COMMAND_WORDS_MAX; i++)
        assert_string_equal(words->word[i], "");
    runs++;
}

static bool run_any(struct cpu *cpu, const struct words *words)
{
    assert_null(cpu);
    record("", words);
    return true;
}

static bool run_false(struct cpu *cpu, const struct words *words)
{
    run_any(cpu, words);
    return false;
}

static bool run_never(struct cpu *cpu, const struct words *words)
{
    (void)cpu;
    (void)words;
    fail();
    return true;
}

static const char *const vmcs_choices[] = {"01", "02", "12", NULL};
static const char *const log_choices[] = {"debug", "error", "info", NULL};

static const struct command go = {.name = "go",
                                  .arguments = "",
                                  .summary = "lets the guest go on",
                                  .details = "",
                                  .place = ANY_CORE,
                                  .run = run_any};
static const struct command log_level = {.name = "log",
                                         .arguments = "LEVEL",
                                         .summary = "what is logged",
                                         .details = "",
                                         .place = ANY_CORE,
                                         .run = run_false,
                                         .choices = log_choices};
static const struct command stat = {.name = "stat",
                                    .arguments = "",
                                    .summary = "exits by reason",
                                    .details = "",
                                    .place = ANY_CORE,
                                    .run = run_any};
static const struct command stop = {.name = "stop",
                                    .arguments = "",
                                    .summary = "stops the guest",
                                    .details = "",
                                    .place = THIS_CORE,
                                    .run = run_never};
static const struct command vmcs = {.name = "vmcs",
                                    .arguments = "01|12|02 [PATTERN]",
                                    .summary = "fields of a VMCS",
                                    .details = "PATTERN is a part of the name.\n02 needs an L2.\n",
                                    .place = THIS_CORE,
                                    .run = run_never,
                                    .choices = vmcs_choices};
static const struct command vmcs_all = {.name = "vmcs-all",
                                        .arguments = "",
                                        .summary = "all of them",
                                        .details = "",
                                        .place = THIS_CORE,
                                        .run = run_never};
static const struct command vmcs_dump = {.name = "vmcs-dump",
                                         .arguments = "",
                                         .summary = "all as they stand",
                                         .details = "",
                                         .place = ANY_CORE,
                                         .run = run_any};

/* A name stands before and after others that begin with it. */
const struct command *const monitor_commands[] = {&command_help, &go,   &log_level, &stat, &stop,
                                                  &vmcs_all,     &vmcs, &vmcs_dump, NULL};

static void run_on_core(const struct command *command, const struct words *words)
{
    assert_int_equal(command->place, THIS_CORE);
    assert_memory_equal(command->name, words->word[0], strlen(words->word[0]));
    record("@", words);
}

static void execute(const char *text)
{
    said[0] = ran[0] = '\0';
    command_execute(text, run_on_core);
}

/* ---- Lines ---- */

static const struct row {
    const char *text, *ran, *said;
} rows[] = {
    /* Words. */
    {"", "", ""},
    {" \t ", "", ""},
    {"go", "go()", ""},
    {"  go\t", "go()", ""},
    {"go a", "go(a)", ""},
    {"\tgo  a \t b  ", "go(a,b)", ""},
    {"go 1 2 3 4 5 6 7", "go(1,2,3,4,5,6,7)", ""},
    {"go 1 2 3 4 5 6 7  ", "go(1,2,3,4,5,6,7)", ""},
    {"go 1 2 3 4 5 6 7 eight", "", "more than 8 words, from here on: eight\n"},
    {"go 1 2 3 4 5 6 7 eight 9", "", "more than 8 words, from here on: eight 9\n"},
    {"none 1 2 3 4 5 6 7 \x01\xff", "", "more than 8 words, from here on: ??\n"},
    {"go " HUNDRED TEN TEN "01234", "go(" HUNDRED TEN TEN "01234)", ""},
    {"go " HUNDRED TEN TEN "012345", "",
     "more than 128 characters: go 0123456789012345678901234567890123...\n"},

    /* Names. */
    {"vmcs 01 rip", "@vmcs(01,rip)", ""},
    {"vmcs-all", "@vmcs-all()", ""},
    {"vmcs-a x", "@vmcs-a(x)", ""},
    {"sta", "sta()", ""},
    {"sto", "@sto()", ""},
    {"g", "g()", ""},
    {"s", "", "ambiguous command: s may be stat, stop\n"},
    {"st 1 2", "", "ambiguous command: st may be stat, stop\n"},
    {"v", "", "ambiguous command: v may be vmcs-all, vmcs, vmcs-dump\n"},
    {"vmc 01", "", "ambiguous command: vmc may be vmcs-all, vmcs, vmcs-dump\n"},
    {"stats", "", "no such command: stats; try \"help\"\n"},
    {"GO", "", "no such command: GO; try \"help\"\n"},
    {"x go", "", "no such command: x; try \"help\"\n"},
    {"?", "", "no such command: ?; try \"help\"\n"},
    {"a\x1b[2Jb\x7f\x80", "", "no such command: a?[2Jb??; try \"help\"\n"},
    {"%s%n", "", "no such command: %s%n; try \"help\"\n"},
    {FORTY, "", "no such command: " FORTY "; try \"help\"\n"},
    {FORTY "x", "", "no such command: " TEN TEN TEN "0123456...; try \"help\"\n"},

    /* Usage. */
    {"log", "log()", "usage: log LEVEL\n"},
    {"l a b", "l(a,b)", "usage: log LEVEL\n"},

    /* Help. */
    {"help", "",
     "help [COMMAND]           all commands, or one of them in detail\n"
     "go                       lets the guest go on\n"
     "log LEVEL                what is logged\n"
     "stat                     exits by reason\n"
     "stop                     stops the guest\n"
     "vmcs-all                 all of them\n"
     "vmcs 01|12|02 [PATTERN]  fields of a VMCS\n"
     "vmcs-dump                all as they stand\n"},
    {"help vmcs", "",
     "usage: vmcs 01|12|02 [PATTERN]\nfields of a VMCS\nPATTERN is a part of the name.\n"
     "02 needs an L2.\n"},
    {"h g", "", "usage: go\nlets the guest go on\n"},
    {"help help", "", "usage: help [COMMAND]\nall commands, or one of them in detail\n"},
    {"help s", "", "ambiguous command: s may be stat, stop\n"},
    {"help x\x01", "", "no such command: x?; try \"help\"\n"},
    {"help go stop", "", "usage: help [COMMAND]\n"},
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        /* A copy of just the size, so that the sanitizer sees a read beyond the end. */
        char *copy = strdup(rows[i].text);

        execute(copy);
        free(copy);
        assert_string_equal(ran, rows[i].ran);
        assert_string_equal(said, rows[i].said);
    }
}

static const struct words *kept;

static void keep(const struct command *command, const struct words *words)
{
    (void)command;
    kept = words;
}

static void words_hold_until_the_next_line(void **state)
{
    char text[] = "vmcs 01 rip";

    (void)state;
    command_execute(text, keep);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(kept->count, 3);
    assert_string_equal(kept->word[2], "rip");
}

/* ---- Texts ---- */

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool good;
        u64 number;
    } numbers[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"0010", true, 10},
        {"18446744073709551615", true, ~0ull},
        {"000000000000000000000000018446744073709551615", true, ~0ull},
        {"0x0", true, 0},
        {"0xfedcba9876543210", true, 0xfedcba9876543210},
        {"0XFEDCBA9876543210", true, 0xfedcba9876543210},
        {"0xffffffffffffffff", true, ~0ull},
        {"0x00000000000000000000001", true, 1},
        {"", false, 0},
        {"0x", false, 0},
        {"x", false, 0},
        {"x1", false, 0},
        {"00x1", false, 0},
        {"1x", false, 0},
        {"1 ", false, 0},
        {" 1", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"1.", false, 0},
        {"a", false, 0},
        {"0xg", false, 0},
        {"0x1G", false, 0},
        {"0x:", false, 0},
        {"0x@", false, 0},
        {"0x`", false, 0},
        {"1/", false, 0},
        {"1\xb1", false, 0},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"36893488147419103232", false, 0},
        {"99999999999999999999999999999999999999", false, 0},
        {"0x10000000000000000", false, 0},
        {"0xfffffffffffffffff", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        u64 number = 0x5a5a;

        assert_int_equal(parse_number(numbers[i].text, &number), numbers[i].good);
        assert_true(number == (numbers[i].good ? numbers[i].number : 0x5a5a));
    }
}

static void texts(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal, same;
    } texts[] = {
        {"", "", true, true},
        {"a", "", false, false},
        {"", "a", false, false},
        {"rip", "rip", true, true},
        {"rip", "ri", false, false},
        {"ri", "rip", false, false},
        {"rip", "RIP", false, true},
        {"Guest_RIP", "gUEST_rip", false, true},
        {"GUEST_RIP", "GUEST_RAP", false, false},
        {"A", "a", false, true},
        {"Z", "z", false, true},
        {"a@", "A`", false, false},
        {"[", "{", false, false},
        {"\xc3\xa4", "\xc3\xa4", true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(text_equal(texts[i].a, texts[i].b), texts[i].equal);
        assert_int_equal(text_same(texts[i].a, texts[i].b), texts[i].same);
    }
}

/* ---- With the line editor ---- */

#define PROMPT "> "

static struct line line;
static struct terminal terminal;

static void put(char c) { terminal_put(&terminal, c); }

static void start(void)
{
    terminal_reset(&terminal);
    line_init(&line, put, PROMPT);
    line.complete = command_complete;
    line_prompt(&line);
}

static void type(const char *keys)
{
    for (; *keys; keys++) {
        const char *done = line_feed(&line, (u8)*keys);

        if (done) {
            execute(done);
            line_prompt(&line);
        }
    }
    assert_null(terminal.fault);
}

static void completion(void **state)
{
    static const struct {
        const char *keys, *text;
        u32 bells;
    } completions[] = {
        {"h\t", "help ", 0},
        {"\t", "", 1},
        {"x\t", "x", 1},
        {"st\t", "st", 1},
        {"sta\t", "stat ", 0},
        {"  sta\t", "  stat ", 0},
        {"v\t", "vmcs", 1},
        {"vmcs-\t", "vmcs-", 1},
        {"vmcs-d\t", "vmcs-dump ", 0},
        {"sto x\x01\x06\x06\x06\t", "stop x", 0},

        /* Choices. */
        {"vmcs \t", "vmcs ", 1},
        {"vmcs 1\t", "vmcs 12 ", 0},
        {"vmcs   1\t", "vmcs   12 ", 0},
        {" vmcs 0\t", " vmcs 0", 1},
        {"vmcs 3\t", "vmcs 3", 1},
        {"vmcs 01 0\t", "vmcs 01 0", 1},
        {"vmcs 01 1\t", "vmcs 01 1", 1},
        {"vmcs 01 \t", "vmcs 01 ", 1},
        {"vmcs 1 rip\x02\x02\x02\x02\t", "vmcs 12 rip", 0},
        {"log d\t", "log debug ", 0},
        {"lo d\t", "lo debug ", 0},
        {"stat x\t", "stat x", 1},
        {"sta d\t", "sta d", 1},
        {"vmc 1\t", "vmc 1", 1},
        {"none d\t", "none d", 1},
        {"help v\t", "help vmcs", 1},
        {"help l\t", "help log ", 0},
        {"h l\t", "h log ", 0},
        {"help log d\t", "help log d", 1},

        /* All at once. */
        {"he\tsto\t", "help stop ", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(completions); i++) {
        start();
        type(completions[i].keys);
        assert_string_equal(line.text, completions[i].text);
        assert_int_equal(terminal.bells, completions[i].bells);
    }
}

static void completion_lists(void **state)
{
    (void)state;
    start();
    type("vmcs \t\t");
    assert_memory_equal(terminal.row[1], "01  02  12  ", 12);
    type("\x15\t\t");
    assert_memory_equal(terminal.row[3], "help  go  log  stat  stop  vmcs-all  vmcs  vmcs-dump  ",
                        54);
}

/* ---- Any bytes ---- */

/* What a line must run and how what it says must begin, by libc. */
static void expect(const char *text, char *wanted_ran, char *wanted_said)
{
    char copy[LINE_LENGTH_MAX + 1], *word[LINE_LENGTH_MAX];
    const struct command *found = NULL;
    u32 count = 0, matches = 0;

    *wanted_ran = *wanted_said = 0;
    strcpy(copy, text);
    for (char *at = strtok(copy, " \t"); at; at = strtok(NULL, " \t"))
        word[count++] = at;
    if (!count)
        return;
    if (count > COMMAND_WORDS_MAX) {
        strcpy(wanted_said, "more than 8 words, from here on: ");
        return;
    }
    for (const struct command *const *at = monitor_commands; *at; at++) {
        if (strncmp((*at)->name, word[0], strlen(word[0])))
            continue;
        matches++;
        if (!found || strcmp(found->name, word[0]))
            found = *at;
    }
    if (!matches)
        strcpy(wanted_said, "no such command: ");
    else if (matches > 1 && strcmp(found->name, word[0]))
        strcpy(wanted_said, "ambiguous command: ");
    else if (found != &command_help) {
        wanted_ran += sprintf(wanted_ran, "%s%s(", found->place == THIS_CORE ? "@" : "", word[0]);
        for (u32 i = 1; i < count; i++)
            wanted_ran += sprintf(wanted_ran, "%s%s", i > 1 ? "," : "", word[i]);
        strcpy(wanted_ran, ")");
        strcpy(wanted_said, found == &log_level ? "usage: log LEVEL\n" : "");
    }
}

static void check_said(const char *wanted)
{
    assert_memory_equal(said, wanted, strlen(wanted));
    for (const char *at = said; *at; at++)
        assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
    assert_true(!*said || said[strlen(said) - 1] == '\n');
}

static u32 seed;

static u32 below(u32 count)
{
    seed = seed * 1664525 + 1013904223;
    return (u32)((u64)seed * count >> 32);
}

static u8 any(void) { return (u8)below(256); }

/* Names and their pieces, with printable bytes and keys between. */
static u8 mostly_printable(void)
{
    static const char *const pieces[] = {
        "vmcs 1",     "vmcs-all", "help ",   "st", "log ", "go", "  ",   "\t",  "a b c d",
        "\x15vmcs 0", "\x15g",    "\x15log", "\r", "\r",   "\r", "\x17", "\x10"};
    static const char *at = "";

    if (!*at && below(3))
        at = pieces[below(ARRAY_SIZE(pieces))];
    if (*at)
        return (u8)*at++;
    return below(20) ? (u8)(' ' + below(95)) : any();
}

static u8 mostly_escapes(void)
{
    static const char parts[] = "\033\033\033[[[OABCDFHABCDFH134~~~; gostav\r\t";

    return below(2) ? (u8)parts[below(sizeof(parts) - 1)] : mostly_printable();
}

static void feed_noise(u8 (*next)(void), u32 count, u32 *executed)
{
    static char wanted_ran[1024], wanted_said[64];

    for (u32 i = 0; i < count; i++) {
        const char *done = line_feed(&line, next());

        if (!done) {
            assert_null(terminal_differs(&terminal, PROMPT, line.text, line.cursor));
            continue;
        }
        assert_true(strlen(done) <= LINE_LENGTH_MAX);
        expect(done, wanted_ran, wanted_said);
        execute(done);
        if (strncmp(done, "help", 4))
            assert_string_equal(ran, wanted_ran);
        check_said(wanted_said);
        ++*executed;
        line_prompt(&line);
    }
}

static void a_sane_command_works_after_a_million_bytes(void **state)
{
    static u8 (*const mixes[])(void) = {any, mostly_printable, mostly_escapes};

    (void)state;
    start();
    seed = 1;
    for (size_t i = 0; i < ARRAY_SIZE(mixes); i++) {
        u32 executed = 0, runs_before = runs;

        feed_noise(mixes[i], 400000, &executed);
        assert_true(executed > 1000);
        assert_true(mixes[i] == any || runs > runs_before + 100);
        type("\x03vmcs 02 rip\r");
        assert_string_equal(ran, "@vmcs(02,rip)");
        assert_string_equal(said, "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(words_hold_until_the_next_line),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(completion),
        cmocka_unit_test(completion_lists),
        cmocka_unit_test(a_sane_command_works_after_a_million_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
