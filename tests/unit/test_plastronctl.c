/*
 * tools/plastronctl over the leaves that hv/leaves.c gives, on three made-up cores: command lines,
 * text, JSON, which Python's parser reads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/l0.h"
#include "hv/leaves.h"
#include "plastron_version.h"
#include "skylake.h"
#include "tools/plastronctl/plastronctl.h"

#define CORES 3

struct l0 l0;
u32 cpu_count;

/* The machine. */
static struct cpu cores[CORES];
static bool is_plastron, is_older;
static bool offline[CORES], goes_offline[CORES];
static u32 current; /* core */
static bool entered;
static double now;
static int sleeps_left;   /* until a signal; -1: there is none */
static u32 columns, rows; /* of the terminal; 0: none */

struct registers machine_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r = {0};

    cores[current].exits_l1[EXIT_REASON_CPUID]++;
    if (is_plastron)
        r = plastron_leaf(&cores[current], leaf, subleaf);
    if (is_older && leaf == CPUID_PLASTRON)
        r.eax = CPUID_PLASTRON_SHADOW;
    return (struct registers){r.eax, r.ebx, r.ecx, r.edx};
}

bool machine_enter_core(uint32_t core)
{
    assert_in_range(core, 0, CORES - 1);
    entered = true;
    if (offline[core])
        return false;
    current = core;
    return true;
}

bool machine_is_on_core(uint32_t core)
{
    assert_int_equal(core, current);
    return !goes_offline[core];
}

void machine_leave_core(void)
{
    current = 0;
    entered = false;
}

double machine_now(void) { return now; }

void machine_catch_signals(void) {}

/* A second's exits: core n's, n + 1 times as many. */
bool machine_sleep_until(double time)
{
    assert_false(entered);
    assert_true(time >= now);
    if (!sleeps_left)
        return false;
    sleeps_left -= sleeps_left > 0;
    for (u64 i = 0; i < CORES; i++) {
        cores[i].exits_l2[EXIT_REASON_CPUID] += 1000 * (i + 1);
        cores[i].exits_l2[EXIT_REASON_EPT_VIOLATION] += 10 * (i + 1);
        cores[i].exits_l1[EXIT_REASON_VMRESUME] += 1000 * (i + 1);
        cores[i].hidden_reads += i;
    }
    now = time;
    return true;
}

bool machine_terminal(FILE *file, uint32_t *width, uint32_t *height)
{
    (void)file;
    if (!columns)
        return false;
    *width = columns;
    *height = rows;
    return true;
}

/* ---- running it ---- */

static char *out, *errors;

static int teardown(void **state)
{
    (void)state;
    free(out);
    free(errors);
    out = errors = NULL;
    return 0;
}

/* With one string of arguments; what it says is in out and errors. */
static int run(const char *line)
{
    char words[256], *arguments[16] = {"plastronctl"};
    size_t out_size, errors_size;
    FILE *out_file, *errors_file;
    int count = 1, status;

    teardown(NULL);
    out_file = open_memstream(&out, &out_size);
    errors_file = open_memstream(&errors, &errors_size);
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        arguments[count++] = word;
    status = plastronctl(count, arguments, out_file, errors_file);
    fclose(out_file);
    fclose(errors_file);
    return status;
}

static void assert_says(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("'%s' is not in:\n%s", wanted, text);
}

static void assert_silent_about(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted))
        fail_msg("'%s' is in:\n%s", unwanted, text);
}

/* Each line of out is an object d, of which Python finds the expression true; n counts lines. */
static void assert_json(const char *expression)
{
    char command[1024];
    FILE *python;

    snprintf(command, sizeof(command),
             "/usr/bin/python3 -c 'import json, sys\n"
             "lines = [json.loads(line) for line in sys.stdin]\n"
             "d = lines[0]\n"
             "n = len(lines)\n"
             "sys.exit(not (%s))'",
             expression);
    python = popen(command, "w");
    assert_non_null(python);
    fputs(out, python);
    if (pclose(python))
        fail_msg("not so: %s\n%s", expression, out);
}

static void offer(feature_set mask)
{
    l0.hw = skylake;
    l0.boot.config.mask = mask;
    capabilities_compute(&l0.caps, &l0.hw, mask);
}

static int setup(void **state)
{
    (void)state;
    memset(&l0, 0, sizeof(l0));
    memset(cores, 0, sizeof(cores));
    memset(offline, 0, sizeof(offline));
    memset(goes_offline, 0, sizeof(goes_offline));
    l0.boot.config.stats = l0.boot.config.nested = is_plastron = true;
    is_older = false;
    cpu_count = CORES;
    current = columns = rows = 0;
    sleeps_left = -1;
    now = 1000;
    offer(0);
    l0.ept02.shadow.count = 1280;
    l0.ept02.shadow.in_use = 77;
    l0.ept02.given = 5;
    l0.ept02.reclaimed = 3;
    l0.ept02.tables = 11;
    l0.ept02.reads = 22;
    l0.ept02.changes = 33;
    l0.ept02.protections = 44;
    return 0;
}

/* ---- command lines ---- */

static void wrong_command_lines(void **state)
{
    static const char *const wrong[] = {
        "",           "nonsense",   "stat stat",
        "--nonsense", "stat -n 3",  "info -d 1",
        "top -n",     "top -n 0",   "top -n -1",
        "top -n x",   "top -n 3x",  "top -d",
        "top -d 0",   "top -d nan", "top -d -1",
        "top -d 1e9", "top -d 1s",  "top -n 99999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        if (run(wrong[i]) != 2)
            fail_msg("'%s' is taken", wrong[i]);
        assert_says(errors, "usage: plastronctl");
        assert_string_equal(out, "");
    }
    run("nonsense");
    assert_says(errors, "plastronctl: there is no command 'nonsense'");
    run("top -n 3x");
    assert_says(errors, "-n takes a number from 1 on, not '3x'");
    run("top -d 1s");
    assert_says(errors, "-d takes 0.01 to 86400 seconds, not '1s'");
}

static void help_and_version_need_no_plastron(void **state)
{
    (void)state;
    is_plastron = false;
    assert_int_equal(run("--help"), 0);
    assert_says(out, "usage: plastronctl");
    assert_int_equal(run("--version"), 0);
    assert_string_equal(out, "plastronctl " PLASTRON_VERSION "\n");
    assert_string_equal(errors, "");
}

static void options_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run("stat --json"), 0);
    assert_json("n == 1");
    assert_int_equal(run("--json -n 2 top -d 0.5"), 0);
    assert_json("n == 2");
}

/* ---- what can be in the way ---- */

static void without_plastron(void **state)
{
    static const char *const lines[] = {"info", "stat", "top", "stat --json"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        is_plastron = false;
        assert_int_equal(run(lines[i]), 1);
        assert_string_equal(errors, "plastronctl: this does not run under Plastron\n");
        assert_string_equal(out, "");
        is_plastron = true;
        l0.boot.config.stats = false;
        assert_int_equal(run(lines[i]), 1);
        assert_says(errors, "stats=off");
        assert_string_equal(out, "");
        l0.boot.config.stats = true;
    }
    is_older = true;
    assert_int_equal(run("stat"), 1);
    assert_says(errors, "older than this program");
}

static void output_that_cannot_be_written(void **state)
{
    char *arguments[] = {"plastronctl", "stat", NULL};
    FILE *full = fopen("/dev/full", "w");
    size_t size;
    FILE *errors_file = open_memstream(&errors, &size);

    (void)state;
    assert_non_null(full);
    assert_int_equal(plastronctl(2, arguments, full, errors_file), 1);
    fclose(full);
    fclose(errors_file);
    assert_says(errors, "cannot be written");
}

/* ---- info ---- */

/* As JSON has them. */
static const char *const feature_names[] = {
#define X(id, name, word, bit) "\"" name "\"",
    PLASTRON_FEATURES(X)
#undef X
};

static void info(void **state)
{
    (void)state;
    offer(FEATURE_BIT(FEATURE_EPT));
    assert_int_equal(run("info"), 0);
    assert_says(out, "Plastron " PLASTRON_VERSION ", 3 cores\n");
    assert_says(out, "nested VMX: on\n");
    assert_says(out, "masked by the configuration: 1\n  ept\n");
    assert_string_equal(errors, "");
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        assert_in_range(strlen(line), 1, 80);
}

static void info_json(void **state)
{
    (void)state;
    offer(FEATURE_BIT(FEATURE_EPT));
    assert_int_equal(run("info --json"), 0);
    assert_json("n == 1 and d[\"version\"] == \"" PLASTRON_VERSION "\" and d[\"cores\"] == 3 "
                "and d[\"nested\"] is True");
    assert_json("d[\"features\"][\"masked\"] == [\"ept\"]");
    assert_json("\"unrestricted-guest\" in d[\"features\"][\"withheld\"]");
    assert_json("\"hlt-exiting\" in d[\"features\"][\"offered\"]");
    assert_json("\"ept-5-level\" in d[\"features\"][\"missing\"]");
    assert_json("len(set(sum(d[\"features\"].values(), []))) == "
                "sum(map(len, d[\"features\"].values()))");
    for (int i = 0; i < FEATURE_COUNT; i++)
        assert_says(out, feature_names[i]);
}

static void info_without_nesting(void **state)
{
    (void)state;
    l0.boot.config.nested = false;
    assert_int_equal(run("info"), 0);
    assert_says(out, "nested VMX: off: L1 has no VMX\n");
    assert_says(out, "offered to L1: 0\n");
    run("info --json");
    assert_json("d[\"nested\"] is False and d[\"features\"][\"offered\"] == [] and "
                "\"ept\" in d[\"features\"][\"withheld\"]");
}

/* ---- stat ---- */

static void stat_text(void **state)
{
    (void)state;
    cores[1].exits_l2[EXIT_REASON_CPUID] = 0x123456789;
    cores[2].exits_l2[EXIT_REASON_CPUID] = 1;
    cores[2].exits_l2[35] = 4; /* a reason without a name */
    cores[1].exits_l1[EXIT_REASON_VMLAUNCH] = 1;
    cores[1].exits_l1[EXIT_REASON_VMRESUME] = 0x123456700;
    cores[1].hidden_reads = 8;
    cores[1].hidden_writes = 9;
    assert_int_equal(run("stat"), 0);
    assert_says(out, "core 1 L2 CPUID 4886718345\n");
    assert_says(out, "core 1 L2 all 4886718345\n");
    assert_says(out, "core 1 L2 handled by L0 alone 136\n");
    assert_says(out, "core 1 hidden memory: 8 reads, 9 writes\n");
    assert_says(out, "core 2 L2 35 4\n");
    assert_says(out, "core 2 L2 all 5\n");
    assert_says(out, "core 0 L2 all 0\n");
    assert_silent_about(out, "core 0 L2 CPUID");
    assert_says(out, "all cores L2 CPUID 4886718346\n");
    assert_says(out, "all cores hidden memory: 8 reads, 9 writes\n");
    assert_says(out, "shadow: 1280 pages, 77 in use, 5 of them L1's own tables; 3 reclaims\n");
    assert_says(out, "shadow: 11 tables mirrored, 22 read again, 33 changed, 44 protected\n");
    assert_string_equal(errors, "");
}

static void stat_json(void **state)
{
    (void)state;
    cores[1].exits_l2[EXIT_REASON_CPUID] = 0x123456789;
    cores[2].exits_l2[35] = 4;
    cores[2].hidden_writes = 9;
    assert_int_equal(run("stat --json"), 0);
    assert_json("n == 1 and [c[\"core\"] for c in d[\"cores\"]] == [0, 1, 2]");
    assert_json("d[\"cores\"][1][\"L2\"] == {\"CPUID\": 0x123456789}");
    assert_json("d[\"cores\"][2][\"L2\"] == {\"35\": 4}");
    assert_json("d[\"cores\"][2][\"hidden_writes\"] == 9 == d[\"all\"][\"hidden_writes\"]");
    assert_json("d[\"all\"][\"L2\"] == {\"CPUID\": 0x123456789, \"35\": 4}");
    assert_json("d[\"unread\"] == [] and \"round\" not in d and \"seconds\" not in d[\"all\"]");
    assert_json("d[\"shadow\"] == {\"pages\": 1280, \"in_use\": 77, \"of_L1\": 5, "
                "\"reclaims\": 3, \"mirrored\": 11, \"read\": 22, \"changed\": 33, "
                "\"protected\": 44}");
}

/* No entry of L1's can be more than an exit of L2: some fail. */
static void failed_entries_are_not_handled_exits(void **state)
{
    (void)state;
    cores[0].exits_l1[EXIT_REASON_VMLAUNCH] = 7;
    cores[0].exits_l2[EXIT_REASON_HLT] = 5;
    run("stat");
    assert_says(out, "core 0 L2 handled by L0 alone 0\n");
}

static void cores_that_cannot_be_read(void **state)
{
    (void)state;
    offline[0] = goes_offline[2] = true;
    cores[2].exits_l2[EXIT_REASON_HLT] = 5;
    assert_int_equal(run("stat"), 0);
    assert_string_equal(errors,
                        "plastronctl: core 0 is offline, or not this process's to run on\n"
                        "plastronctl: core 2 is offline, or not this process's to run on\n");
    assert_silent_about(out, "core 0");
    assert_silent_about(out, "core 2");
    assert_silent_about(out, "HLT");
    assert_false(entered);
    run("stat --json");
    assert_json("d[\"unread\"] == [0, 2] and [c[\"core\"] for c in d[\"cores\"]] == [1]");
}

/* ---- top ---- */

static void top_text(void **state)
{
    (void)state;
    assert_int_equal(run("top -n 2 -d 2"), 0);
    assert_says(out, "3 cores: exits a second, over 2.0 s\n");
    assert_says(out, "   0        572        505          5  L1 VMRESUME 500, L2 CPUID 500, "
                     "L1 CPUID 72, L2 EPT_VIOLATION 5\n");
    assert_says(out, "   2       1570       1515         15  L1 VMRESUME 1500, L2 CPUID 1500, "
                     "L1 CPUID 70, L2 EPT_VIOLATION 15\n");
    assert_says(out, " all       3212       3030         30  L1 VMRESUME 3000,");
    assert_says(out, "\n\nPlastron");
    assert_silent_about(out, "\033");
    assert_true(fabs(now - 1004) < 0.001);
}

static void top_json(void **state)
{
    (void)state;
    assert_int_equal(run("top -n 3 -d 2 --json"), 0);
    assert_json("n == 3 and [line[\"round\"] for line in lines] == [1, 2, 3]");
    assert_json("all(line[\"cores\"][2][\"L2\"] == {\"CPUID\": 3000, \"EPT_VIOLATION\": 30} "
                "for line in lines)");
    assert_json("all(c[\"seconds\"] == 2 for line in lines for c in line[\"cores\"])");
    assert_json("all(c[\"handled_by_L0\"] == 10 * (c[\"core\"] + 1) "
                "for line in lines for c in line[\"cores\"])");
    assert_json("lines[2][\"all\"][\"L2\"] == {\"CPUID\": 6000, \"EPT_VIOLATION\": 60} and "
                "lines[2][\"all\"][\"hidden_reads\"] == 3 and lines[2][\"all\"][\"seconds\"] == 2");
}

static void top_ends_by_a_signal(void **state)
{
    (void)state;
    sleeps_left = 4;
    assert_int_equal(run("top --json"), 0);
    assert_json("n == 4");
}

static void top_on_a_core_that_goes(void **state)
{
    (void)state;
    offline[1] = true;
    assert_int_equal(run("top -n 1"), 0);
    assert_says(out, "   1  offline, or not this process's to run on\n");
    run("top -n 1 --json");
    assert_json("d[\"unread\"] == [1]");
}

static void top_on_a_terminal(void **state)
{
    (void)state;
    columns = 60;
    rows = 24;
    assert_int_equal(run("top -n 2"), 0);
    assert_says(out, "\033[?25l\033[HPlastron");
    assert_says(out, "L1 VMRESUME 1000\033[K\n");
    assert_int_equal(strcmp(out + strlen(out) - 6, "\033[?25h"), 0);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
        char *end = strstr(line, "\033[K");

        if (end)
            assert_in_range(end - line, 0, 60 + 13);
    }
}

static void top_on_a_small_terminal(void **state)
{
    (void)state;
    columns = 80;
    rows = 7; /* room for one core */
    assert_int_equal(run("top -n 1"), 0);
    assert_says(out, "\n   0 ");
    assert_silent_about(out, "\n   1 ");
    assert_says(out, "  and 2 cores more\033[K\n all ");
    rows = 1;
    columns = 1;
    assert_int_equal(run("top -n 1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(wrong_command_lines),
        TEST(help_and_version_need_no_plastron),
        TEST(options_stand_anywhere),
        TEST(without_plastron),
        TEST(output_that_cannot_be_written),
        TEST(info),
        TEST(info_json),
        TEST(info_without_nesting),
        TEST(stat_text),
        TEST(stat_json),
        TEST(failed_entries_are_not_handled_exits),
        TEST(cores_that_cannot_be_read),
        TEST(top_text),
        TEST(top_json),
        TEST(top_ends_by_a_signal),
        TEST(top_on_a_core_that_goes),
        TEST(top_on_a_terminal),
        TEST(top_on_a_small_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
