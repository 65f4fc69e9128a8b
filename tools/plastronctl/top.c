#include "plastronctl.h"

#include <stdarg.h>
#include <string.h>

#define REASONS_MAX  5 /* where no terminal's width says how many */
#define COLUMNS_MAX  256
#define COLUMNS_TEXT 200 /* of a line that goes to no terminal */
#define ROWS_FIXED   6   /* of the screen, besides the cores' */

/* ---- lines, to a terminal's screen or not ---- */

struct screen {
    FILE *out;
    bool is_terminal;
    uint32_t columns, rows;
};

static struct screen open_screen(FILE *out)
{
    struct screen screen = {.out = out, .columns = COLUMNS_TEXT};

    screen.is_terminal = machine_terminal(out, &screen.columns, &screen.rows);
    if (screen.columns > COLUMNS_MAX)
        screen.columns = COLUMNS_MAX;
    return screen;
}

/* Cut where the screen ends; what was there before is gone. */
static void __attribute__((format(printf, 2, 3)))
put_line(const struct screen *screen, const char *format, ...)
{
    char line[COLUMNS_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, screen->columns, format, arguments);
    va_end(arguments);
    fprintf(screen->out, screen->is_terminal ? "%s\033[K\n" : "%s\n", line);
}

/* ---- what a core does ---- */

struct rate {
    uint32_t which; /* level * EXIT_REASON_COUNT + reason */
    uint64_t count;
};

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* The most frequent one that comes behind `last`: those with the same count come in their order. */
static struct rate next_reason(const struct core *core, const struct rate *last)
{
    struct rate best = {.count = 0};

    for (uint32_t i = 0; i < LEVELS * EXIT_REASON_COUNT; i++) {
        uint64_t count = core->exits[i / EXIT_REASON_COUNT][i % EXIT_REASON_COUNT];
        bool behind = count < last->count || (count == last->count && i > last->which);

        if (behind && count > best.count)
            best = (struct rate){i, count};
    }
    return best;
}

/* As many as have room, REASONS_MAX at most where there is no terminal. */
static void leading_reasons(const struct screen *screen, const struct core *core, size_t used,
                            char text[COLUMNS_MAX])
{
    struct rate rate = {.count = UINT64_MAX};
    size_t length = 0;
    char one[64];

    text[0] = '\0';
    for (int i = 0; screen->is_terminal || i < REASONS_MAX; i++) {
        int size;

        rate = next_reason(core, &rate);
        if (!rate.count)
            return;
        size = snprintf(
            one, sizeof(one), "%sL%u %s %.0f", i ? ", " : "", rate.which / EXIT_REASON_COUNT + 1,
            reason_name(rate.which % EXIT_REASON_COUNT), per_second(rate.count, core->time));
        if (used + length + (size_t)size >= screen->columns)
            return;
        memcpy(text + length, one, (size_t)size + 1);
        length += (size_t)size;
    }
}

static void put_core(const struct screen *screen, const char *name, const struct core *core)
{
    char numbers[COLUMNS_MAX], text[COLUMNS_MAX];
    int used = snprintf(numbers, sizeof(numbers), "%4s %10.0f %10.0f %10.0f", name,
                        per_second(core_exits(core, LEVEL_L1), core->time),
                        per_second(core_exits(core, LEVEL_L2), core->time),
                        per_second(core_handled_by_l0(core), core->time));

    leading_reasons(screen, core, (size_t)used + 2, text);
    put_line(screen, "%s  %s", numbers, text);
}

/* As many cores as the screen has room for. */
static void put_cores(const struct screen *screen, const struct reading *reading)
{
    uint32_t room = UINT32_MAX, left = 0;
    char name[16];

    if (screen->is_terminal)
        room = screen->rows > ROWS_FIXED ? screen->rows - ROWS_FIXED : 0;
    for (uint32_t i = 0; i < reading->info.cores; i++) {
        snprintf(name, sizeof(name), "%u", i);
        if (left || !room)
            left++;
        else if (reading->cores[i].read)
            put_core(screen, name, &reading->cores[i]);
        else
            put_line(screen, "%4s  offline, or not this process's to run on", name);
        room -= room && room != UINT32_MAX;
    }
    if (left)
        put_line(screen, "  and %u cores more", left);
}

static void put_round(FILE *out, const struct reading *reading)
{
    struct screen screen = open_screen(out);
    const struct info *info = &reading->info;
    char pages[128], tables[128];

    if (screen.is_terminal)
        fprintf(out, "\033[H");
    put_line(&screen, "Plastron %u.%u.%u, %u cores: exits a second, over %.1f s", info->major,
             info->minor, info->patch, info->cores, reading->all.time);
    put_line(&screen, "%4s %10s %10s %10s  %s", "core", "of L1", "of L2", "by L0", "most often");
    put_cores(&screen, reading);
    put_core(&screen, "all", &reading->all);
    shadow_texts(reading, pages, tables);
    put_line(&screen, "%s", pages);
    put_line(&screen, "%s", tables);
    fprintf(out, screen.is_terminal ? "\033[J" : "\n");
}

/* ---- rounds ---- */

static void show_round(FILE *out, const struct reading *between, uint64_t round, bool json)
{
    if (json)
        show_reading_json(out, between, round);
    else
        put_round(out, between);
    fflush(out);
}

static void run_rounds(FILE *out, const struct top *top, struct reading readings[2],
                       struct reading *between)
{
    double next = machine_now();

    reading_take(&readings[0]);
    for (uint64_t round = 1; !top->rounds || round <= top->rounds; round++) {
        next += top->delay;
        if (next < machine_now())
            next = machine_now();
        if (!machine_sleep_until(next))
            return;
        reading_take(&readings[round % 2]);
        reading_between(between, &readings[(round - 1) % 2], &readings[round % 2]);
        show_round(out, between, round, top->json);
    }
}

static void run_on_screen(FILE *out, const struct top *top, struct reading readings[2],
                          struct reading *between)
{
    static const char hide_cursor[] = "\033[H\033[2J\033[?25l", show_cursor[] = "\033[?25h";
    bool full = open_screen(out).is_terminal && !top->json;

    machine_catch_signals();
    if (full)
        fprintf(out, "%s", hide_cursor);
    fflush(out);
    run_rounds(out, top, readings, between);
    if (full)
        fprintf(out, "%s", show_cursor);
}

bool top_run(FILE *out, const struct info *info, const struct top *top)
{
    struct reading readings[3] = {0};
    bool ready = true;

    for (int i = 0; i < 3; i++)
        ready = ready && reading_init(&readings[i], info);
    if (ready)
        run_on_screen(out, top, readings, &readings[2]);
    for (int i = 0; i < 3; i++)
        reading_free(&readings[i]);
    return ready;
}
