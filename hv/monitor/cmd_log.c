/* What has happened: log, trace. */
#include "monitor.h"
#include "say.h"
#include "../log_ring.h"
#include "../record.h"
#include "../recorder.h"

#define LOG_LINES   20u
#define TRACE_LINES 20u

static bool optional_number(const struct words *words, u64 standard, u64 *number)
{
    *number = standard;
    return words->count == 1 || (words->count == 2 && parse_number(words->word[1], number));
}

/* ---- log ---- */

static bool run_log(struct cpu *none, const struct words *words)
{
    u64 lines;

    (void)none;
    if (!optional_number(words, LOG_LINES, &lines) || !lines || lines > ~0u)
        return false;
    log_show((u32)lines);
    return true;
}

const struct command command_log = {
    .name = "log",
    .arguments = "[LINES]",
    .summary = "the last lines of L0's log",
    .details =
        "20 if not said otherwise. What is not urgent enough for the console is there, too, and a\n"
        "panic's dump.\n",
    .place = ANY_CORE,
    .run = run_log,
};

/* ---- trace ---- */

static void say_line(const char *text) { say("%s\n", text); }

static void show_last(u32 last)
{
    for (u32 i = 0; i < cpu_count; i++)
        recorder_print(cpus[i]->recorder, last, record_text_of, say_line);
}

/* What comes, until something is typed. The core that shows it does not run meanwhile, nor does
   what the others do wait for it: they may be faster. */
static void follow(void)
{
    static u64 seen[MAX_CPUS];

    for (u32 i = 0; i < cpu_count; i++)
        seen[i] = __atomic_load_n(&cpus[i]->recorder->written, __ATOMIC_ACQUIRE);
    while (!monitor_is_interrupted()) {
        for (u32 i = 0; i < cpu_count; i++) {
            u64 written = __atomic_load_n(&cpus[i]->recorder->written, __ATOMIC_ACQUIRE);

            if (written == seen[i])
                continue;
            recorder_print(cpus[i]->recorder, (u32)(written - seen[i]), record_text_of, say_line);
            seen[i] = written;
        }
    }
}

static bool run_trace(struct cpu *none, const struct words *words)
{
    u64 last;

    (void)none;
    if (text_equal(words->word[1], "on") || text_equal(words->word[1], "off")) {
        recording = text_equal(words->word[1], "on");
    } else if (text_equal(words->word[1], "follow")) {
        follow();
    } else if (optional_number(words, TRACE_LINES, &last) && last && last <= ~0u) {
        show_last((u32)last);
    } else {
        return false;
    }
    return true;
}

static const char *const trace_choices[] = {"on", "off", "follow", NULL};

const struct command command_trace = {
    .name = "trace",
    .arguments = "[EVENTS] | on | off | follow",
    .summary = "the flight recorder: each core's last events",
    .details =
        "20 of each core if not said otherwise. tools/trace makes JSON and pictures of the lines.\n"
        "off: exits are not recorded any more, only what is rare. follow: what comes, until a key\n"
        "is pressed.\n",
    .place = ANY_CORE,
    .run = run_trace,
    .choices = trace_choices,
};
