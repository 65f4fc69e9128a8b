#include "commands.h"

#include "lib.h"
#include "say.h"

#define QUOTE_MAX 40

/* ---- Texts ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

bool text_equal(const char *a, const char *b)
{
    size_t shared = text_shared(a, b);

    return a[shared] == b[shared];
}

bool text_same(const char *a, const char *b)
{
    for (; *a && lower(*a) == lower(*b); a++)
        b++;
    return lower(*a) == lower(*b);
}

static u32 digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (u32)(c - '0');
    c = lower(c);
    return c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10 : 16;
}

bool parse_number(const char *text, u64 *number)
{
    u32 base = 10;
    u64 sum = 0;

    if (text[0] == '0' && lower(text[1]) == 'x') {
        base = 16;
        text += 2;
    }
    if (!*text)
        return false;
    for (; *text; text++) {
        u32 digit = digit_value(*text);

        if (digit >= base || sum > (~0ull - digit) / base)
            return false;
        sum = sum * base + digit;
    }
    *number = sum;
    return true;
}

struct quote {
    char text[QUOTE_MAX + 1];
};

/* What was typed, as messages show it. */
static struct quote quoted(const char *text)
{
    struct quote quote;
    size_t length = 0;

    for (; text[length] && length < QUOTE_MAX; length++)
        quote.text[length] = text[length] >= ' ' && text[length] <= '~' ? text[length] : '?';
    quote.text[length] = 0;
    if (text[length])
        memcpy(quote.text + QUOTE_MAX - 3, "...", 3);
    return quote;
}

/* ---- Lines ---- */

static char word_text[LINE_LENGTH_MAX + 1];
static struct words words;

/* Cuts a line into words. False, and the error printed: it is too long, or has too many. */
static bool cut(const char *line)
{
    size_t length = text_shared(line, line);

    memset(&words, 0, sizeof(words));
    if (length > LINE_LENGTH_MAX) {
        say("more than %u characters: %s\n", LINE_LENGTH_MAX, quoted(line).text);
        return false;
    }
    memcpy(word_text, line, length + 1);
    for (char *at = word_text; *at; at++) {
        if (is_blank(*at)) {
            *at = 0;
            continue;
        }
        if (at > word_text && at[-1])
            continue;
        if (words.count == COMMAND_WORDS_MAX) {
            say("more than %u words, from here on: %s\n", COMMAND_WORDS_MAX, quoted(at).text);
            return false;
        }
        words.word[words.count++] = at;
    }
    for (u32 i = words.count; i < COMMAND_WORDS_MAX; i++)
        words.word[i] = "";
    return true;
}

/* ---- Commands ---- */

/* The word, of that length, is the name, or its beginning. */
static bool is_meant(const struct command *command, const char *word, size_t length)
{
    return text_shared(word, command->name) >= length && !(command->whole && command->name[length]);
}

/* Finds the command that a word, which need not end there, names or begins. Returns the last of
   them, and how many there are: 1 if it is its name. */
static const struct command *find(const char *word, size_t length, u32 *count)
{
    const struct command *found = NULL;

    *count = 0;
    for (const struct command *const *at = monitor_commands; *at; at++) {
        if (!is_meant(*at, word, length))
            continue;
        found = *at;
        ++*count;
        if (!found->name[length]) {
            *count = 1;
            break;
        }
    }
    return found;
}

static void say_candidates(const char *word, size_t length)
{
    const char *before = "";

    say("ambiguous command: %s may be ", quoted(word).text);
    for (const struct command *const *at = monitor_commands; *at; at++) {
        if (!is_meant(*at, word, length))
            continue;
        say("%s%s", before, (*at)->name);
        before = ", ";
    }
    say("\n");
}

/* NULL, and the error printed, if it is none, or not one. */
static const struct command *find_or_say(const char *word)
{
    size_t length = text_shared(word, word);
    u32 count;
    const struct command *command = find(word, length, &count);

    if (count == 1)
        return command;
    if (count)
        say_candidates(word, length);
    else
        say("no such command: %s; try \"help\"\n", quoted(word).text);
    return NULL;
}

void command_usage(const struct command *command)
{
    say("usage: %s%s%s\n", command->name, *command->arguments ? " " : "", command->arguments);
}

void command_execute(const char *line,
                     void (*run_on_core)(const struct command *, const struct words *))
{
    const struct command *command;

    if (!cut(line) || !words.count)
        return;
    command = find_or_say(words.word[0]);
    if (!command)
        return;
    if (command->place == THIS_CORE)
        run_on_core(command, &words);
    else if (!command->run(NULL, &words))
        command_usage(command);
}

/* ---- Help ---- */

static size_t head_length(const struct command *command)
{
    return text_shared(command->name, command->name) + 1 +
           text_shared(command->arguments, command->arguments);
}

static void say_all(void)
{
    size_t width = 0;

    for (const struct command *const *at = monitor_commands; *at; at++)
        width = head_length(*at) > width ? head_length(*at) : width;
    for (const struct command *const *at = monitor_commands; *at; at++)
        say("%s %s%*s  %s\n", (*at)->name, (*at)->arguments, (int)(width - head_length(*at)), "",
            (*at)->summary);
}

static bool help(struct cpu *cpu, const struct words *asked)
{
    const struct command *command;

    (void)cpu;
    if (asked->count > 2)
        return false;
    if (asked->count < 2) {
        say_all();
        return true;
    }
    command = find_or_say(asked->word[1]);
    if (command) {
        command_usage(command);
        say("%s\n%s", command->summary, command->details);
    }
    return true;
}

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "all commands, or one of them in detail",
    .details = "",
    .place = ANY_CORE,
    .run = help,
};

/* ---- Completion ---- */

static void offer_names(struct completion *out)
{
    for (const struct command *const *at = monitor_commands; *at; at++)
        completion_offer(out, (*at)->name);
}

static void offer_choices(const struct command *command, struct completion *out)
{
    if (command == &command_help)
        offer_names(out);
    for (const char *const *at = command->choices; at && *at; at++)
        completion_offer(out, *at);
}

/* Over all blanks, or over all that are none. */
static const char *skip(const char *at, const char *end, bool blanks)
{
    while (at < end && is_blank(*at) == blanks)
        at++;
    return at;
}

void command_complete(const char *line_so_far, size_t cursor, struct completion *out)
{
    const char *end = line_so_far + cursor;
    const char *name = skip(line_so_far, end, true), *name_end = skip(name, end, false);
    const char *second = skip(name_end, end, true);
    const struct command *command;
    u32 count;

    if (name_end == end) {
        offer_names(out);
        return;
    }
    command = find(name, (size_t)(name_end - name), &count);
    if (count == 1 && skip(second, end, false) == end)
        offer_choices(command, out);
}
