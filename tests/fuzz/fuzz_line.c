/*
 * hv/monitor/line.c and commands.c on any bytes: a terminal shows what the editor says it holds,
 * the editor does what a second one does, and each line runs what its words say.
 */
#include "fuzz.h"

#include <stdarg.h>

#include "hv/monitor/commands.h"
#include "hv/monitor/say.h"
#include "tests/unit/line_model.h"

#define PROMPT "> "

static struct line line;
static struct terminal terminal;
static struct model model;

static void put(char c) { terminal_put(&terminal, c); }

/* ---- Commands that look at their words ---- */

static char executed[LINE_LENGTH_MAX + 1]; /* the line */
static u32 runs, messages;

/* Whole lines of printable ASCII. */
void say(const char *format, ...)
{
    static bool in_line;
    char text[1024];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    DEMAND(length >= 0 && (size_t)length < sizeof(text));
    for (const char *at = text; *at; at++)
        DEMAND(*at == '\n' || (*at >= ' ' && *at <= '~'));
    messages += !in_line;
    if (length)
        in_line = text[length - 1] != '\n';
}

/* The words are those of the line: it, without its blanks, is what they make together. */
static void check_words(const struct words *words)
{
    const char *at = executed;

    DEMAND(words->count > 0 && words->count <= COMMAND_WORDS_MAX);
    for (u32 i = 0; i < COMMAND_WORDS_MAX; i++) {
        size_t length = strlen(words->word[i]);

        DEMAND((length > 0) == (i < words->count));
        at += strspn(at, " \t");
        DEMAND(length == strcspn(at, i < words->count ? " \t" : ""));
        DEMAND(!memcmp(at, words->word[i], length));
        at += length;
    }
    DEMAND(!at[strspn(at, " \t")]);
}

static bool run(struct cpu *cpu, const struct words *words)
{
    u64 number, again;
    char text[24];

    DEMAND(!cpu);
    check_words(words);
    if (parse_number(words->word[1], &number)) {
        snprintf(text, sizeof(text), "%#llx", (unsigned long long)number);
        DEMAND(parse_number(text, &again) && again == number);
        DEMAND(number == strtoull(words->word[1], NULL, words->word[1][1] < ':' ? 10 : 16));
    }
    DEMAND(strstr(executed, words->word[words->count - 1]));
    DEMAND(text_same(words->word[0], words->word[1]) ==
           !strcasecmp(words->word[0], words->word[1]));
    DEMAND(text_equal(words->word[0], words->word[1]) == !strcmp(words->word[0], words->word[1]));
    runs++;
    return words->count % 2;
}

static const char *const choices[] = {"01", "02", "12", "vmcs12", NULL};

#define COMMAND(id, command_name, where)                                                           \
    static const struct command id = {.name = command_name,                                        \
                                      .arguments = "",                                             \
                                      .summary = "",                                               \
                                      .details = "",                                               \
                                      .place = where,                                              \
                                      .run = run,                                                  \
                                      .choices = choices}

COMMAND(a, "a", ANY_CORE);
COMMAND(go, "go", ANY_CORE);
COMMAND(stat, "stat", THIS_CORE);
COMMAND(stop, "stop", THIS_CORE);
COMMAND(vmcs, "vmcs", THIS_CORE);
COMMAND(vmcs_all, "vmcs-all", ANY_CORE);

const struct command *const monitor_commands[] = {&a,    &go,   &command_help, &stat,
                                                  &stop, &vmcs, &vmcs_all,     NULL};

static void run_on_core(const struct command *command, const struct words *words)
{
    DEMAND(command->place == THIS_CORE);
    run(NULL, words);
}

/* A line runs one command, or one message or more say why not; a blank one does neither. */
static void execute(const char *text)
{
    bool blank = !text[strspn(text, " \t")];

    runs = messages = 0;
    strcpy(executed, text);
    command_execute(text, run_on_core);
    DEMAND(blank ? !runs && !messages : runs == 1 || (!runs && messages));
}

/* ---- Candidates, found by libc ---- */

static const char *const *names_for(const char *left)
{
    static const char *names[ARRAY_SIZE(monitor_commands)];
    char name[MODEL_ROOM], second[MODEL_ROOM];
    const struct command *found = NULL;
    u32 matches = 0, count = sscanf(left, "%128s %128s", name, second) < 1 ? 0 : 1;
    const char *behind = left + strspn(left, " ");

    for (u32 i = 0; i < ARRAY_SIZE(names) - 1; i++)
        names[i] = monitor_commands[i]->name;
    behind += strcspn(behind, " ");
    if (!count || !*behind)
        return names;
    behind += strspn(behind, " ");
    if (strchr(behind, ' '))
        return NULL;
    for (u32 i = 0; i < ARRAY_SIZE(names) - 1; i++) {
        if (strncmp(names[i], name, strlen(name)))
            continue;
        matches++;
        if (!found || strcmp(found->name, name))
            found = monitor_commands[i];
    }
    if (!found || (matches > 1 && strcmp(found->name, name)))
        return NULL;
    return found == &command_help ? names : found->choices;
}

static void start(void)
{
    terminal_reset(&terminal);
    memset(&model, 0, sizeof(model));
    memset(&line, 0xa5, sizeof(line));
    line_init(&line, put, PROMPT);
    line.complete = command_complete;
    model.names = names_for;
    line_prompt(&line);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    start();
    for (size_t i = 0; i < size; i++) {
        const char *done = line_feed(&line, data[i]);

        model_feed(&model, data[i]);
        DEMAND(!model_differs(&model, &line, done));
        DEMAND(terminal.bells == model.bells);
        if (done) {
            execute(done);
            line_prompt(&line);
            DEMAND(!strcmp(done, model.line));
        }
        DEMAND(!terminal_differs(&terminal, PROMPT, done ? "" : line.text, line.cursor));
    }
    return 0;
}
