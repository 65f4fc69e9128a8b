#include "line.h"

#include "lib.h"

#define CTRL(letter) ((letter)&0x1f)
#define ESC          0x1b
#define DEL          0x7f

/* Where in an escape sequence the next byte stands; after ESC and [ or O it is in one. */
enum { PLAIN, AFTER_ESC, IN_SEQUENCE };

#define SEVERAL 0xff /* a parameter that no known key has */

size_t text_shared(const char *a, const char *b)
{
    size_t count = 0;

    while (a[count] && a[count] == b[count])
        count++;
    return count;
}

static size_t length_of(const char *text) { return text_shared(text, text); }

static void put_text(const struct line *line, const char *text, size_t length)
{
    while (length--)
        line->put(*text++);
}

static void put_string(const struct line *line, const char *text)
{
    put_text(line, text, length_of(text));
}

static void new_row(const struct line *line) { put_string(line, "\r\n"); }

/* ---- The screen ---- */

static u32 prompt_length(const struct line *line)
{
    size_t length = length_of(line->prompt);

    return length < LINE_PROMPT_MAX ? (u32)length : LINE_PROMPT_MAX;
}

/* Behind it there is room for a ^C and the cursor: behind its last column a terminal goes on in the
   next row. */
static u32 window_width(const struct line *line) { return LINE_COLUMNS - 3 - prompt_length(line); }

static void put_prompt(struct line *line)
{
    put_text(line, line->prompt, prompt_length(line));
    line->at = line->first;
}

static void put_prompt_again(struct line *line)
{
    line->put('\r');
    put_prompt(line);
}

/* Brings the terminal's cursor to a character of the window, printing what stands between. */
static void go(struct line *line, u32 to)
{
    if (line->at > to && line->at - to > to - line->first + prompt_length(line) + 1)
        put_prompt_again(line);
    for (; line->at > to; line->at--)
        line->put('\b');
    for (; line->at < to; line->at++)
        line->put(line->text[line->at]);
}

/* Chooses the window anew, with the cursor in its middle or further to the left. */
static void scroll(struct line *line)
{
    u32 width = window_width(line);

    line->first = line->cursor > width ? line->cursor - width / 2 : 0;
    put_prompt_again(line);
    line->shown = LINE_LENGTH_MAX + 1; /* anything may stand there */
}

/* Shows where the cursor is now, and the text, which has changed from a character on. */
static void show(struct line *line, u32 changed)
{
    u32 width = window_width(line), end;

    if (changed < line->first || (line->first && line->cursor <= line->first) ||
        line->cursor > line->first + width) {
        scroll(line);
        changed = line->first;
    }
    end = line->first + width < line->length ? line->first + width : line->length;
    if (changed < end || line->shown > end) {
        go(line, changed);
        go(line, end);
    }
    if (line->shown > end)
        put_string(line, "\033[K");
    line->shown = end;
    go(line, line->cursor);
}

void line_prompt(struct line *line)
{
    put_prompt(line);
    line->shown = line->first;
    show(line, line->first);
}

/* ---- Editing ---- */

static void move(struct line *line, u32 to)
{
    line->cursor = to;
    show(line, line->length);
}

/* The zero at the end of the text moves with it. False, with a bell: there is no room. */
static bool insert(struct line *line, const char *text, size_t count)
{
    char *to = line->text + line->cursor;
    u32 changed = line->cursor;

    if (line->length + count > LINE_LENGTH_MAX) {
        line->put('\a');
        return false;
    }
    memmove(to + count, to, line->length - line->cursor + 1);
    memcpy(to, text, count);
    line->length += (u32)count;
    line->cursor += (u32)count;
    show(line, changed);
    return true;
}

/* The characters of [from, to) go. */
static void erase(struct line *line, u32 from, u32 to)
{
    if (from == to)
        return;
    memmove(line->text + from, line->text + to, line->length - to + 1);
    line->length -= to - from;
    line->cursor = from;
    show(line, from);
}

/* Where the word begins that ends at a character. */
static u32 word_start(const struct line *line, u32 end)
{
    while (end && line->text[end - 1] != ' ')
        end--;
    return end;
}

static void delete_word(struct line *line)
{
    u32 end = line->cursor;

    while (end && line->text[end - 1] == ' ')
        end--;
    erase(line, word_start(line, end), line->cursor);
}

/* ---- History ---- */

/* The line so many lines back; 0 is the present one. */
static char *history_line(struct line *line, u32 back)
{
    return line->history[(line->next + LINE_HISTORY + 1 - back) % (LINE_HISTORY + 1)];
}

/* Nothing happens at either end: 0 - 1 is beyond them, too. */
static void recall(struct line *line, u32 back)
{
    if (back > line->stored)
        return;
    if (!line->back)
        memcpy(history_line(line, 0), line->text, sizeof(line->text));
    line->back = (u8)back;
    memcpy(line->text, history_line(line, back), sizeof(line->text));
    line->length = line->cursor = (u32)length_of(line->text);
    show(line, 0);
}

static void remember(struct line *line)
{
    size_t size = line->length + 1;

    if (!line->length || !memcmp(history_line(line, 1), line->text, size))
        return;
    memcpy(history_line(line, 0), line->text, size);
    line->next = (u8)((line->next + 1) % (LINE_HISTORY + 1));
    if (line->stored < LINE_HISTORY)
        line->stored++;
}

/* ---- Completion ---- */

static void list_candidate(struct completion *out, const char *name)
{
    u32 length = (u32)length_of(name);

    if (out->column + 2 + length >= LINE_COLUMNS) {
        new_row(out->line);
        out->column = 0;
    }
    if (out->column) {
        put_string(out->line, "  ");
        out->column += 2;
    }
    put_string(out->line, name);
    out->column += length;
}

void completion_offer(struct completion *out, const char *name)
{
    size_t shared;

    if (text_shared(out->word, name) < out->length)
        return;
    if (out->list)
        list_candidate(out, name);
    if (!out->count++)
        out->found = name;
    shared = text_shared(out->found, name);
    if (shared < out->common)
        out->common = shared;
}

/* The first Tab inserts what all candidates have in common, the next one lists them. */
static void tab(struct line *line, bool again)
{
    u32 start = word_start(line, line->cursor);
    struct completion out = {.line = line,
                             .word = line->text + start,
                             .length = line->cursor - start,
                             .common = LINE_LENGTH_MAX + 1,
                             .list = again};

    if (!line->complete)
        return;
    if (again)
        new_row(line);
    line->complete(line->text, line->cursor, &out);
    line->after_tab = out.count > 1;
    if (again) {
        new_row(line);
        line_prompt(line);
        return;
    }
    if (out.count != 1)
        line->put('\a');
    if (out.count && insert(line, out.found + out.length, out.common - out.length) &&
        out.count == 1 && line->cursor == line->length)
        insert(line, " ", 1);
}

/* ---- Bytes ---- */

/* What keys send after ESC [ or ESC O: the letter, or the digit before a ~; and the control byte
   that does the same. */
static const char sequences[] = "A\x10" /* up */
                                "B\x0e" /* down */
                                "C\x06" /* right */
                                "D\x02" /* left */
                                "F\x05" /* End */
                                "H\x01" /* Home */
                                "1\x01"
                                "3\x04" /* Delete */
                                "4\x05";

static u8 sequence_key(u8 letter)
{
    for (const char *at = sequences; *at; at += 2) {
        if ((u8)at[0] == letter)
            return (u8)at[1];
    }
    return 0;
}

/* Takes escape sequences apart. Returns the byte to act on, 0 for none. */
static u8 decode(struct line *line, u8 byte)
{
    u8 before = line->sequence, parameter = line->parameter;

    line->sequence = PLAIN;
    line->parameter = 0;
    if (byte == ESC) {
        line->sequence = AFTER_ESC;
        return 0;
    }
    /* Control bytes do what they do in the midst of a sequence, too: Ctrl-C always helps. */
    if (before == PLAIN || byte < ' ')
        return byte;
    if (before == AFTER_ESC) {
        line->sequence = byte == '[' || byte == 'O' ? IN_SEQUENCE : PLAIN;
        return 0;
    }
    /* A letter ends it, but for the "[[" of the function keys of Linux's console. */
    if (byte < '@' || byte == '[') {
        line->sequence = IN_SEQUENCE;
        line->parameter = parameter ? SEVERAL : byte;
        return 0;
    }
    if (byte == '~')
        return sequence_key(parameter);
    return parameter ? 0 : sequence_key(byte);
}

static void forget(struct line *line)
{
    line->length = line->cursor = line->first = 0;
    line->back = 0;
}

static void drop_line(struct line *line)
{
    put_string(line, "^C\r\n");
    line->text[0] = 0;
    forget(line);
    line_prompt(line);
}

static void show_again(struct line *line)
{
    new_row(line);
    line_prompt(line);
}

static void control(struct line *line, u8 byte, bool after_tab)
{
    u32 cursor = line->cursor, length = line->length;
    u32 left = cursor ? cursor - 1 : 0, right = cursor < length ? cursor + 1 : length;

    switch (byte) {
    case CTRL('A'): move(line, 0); break;
    case CTRL('B'): move(line, left); break;
    case CTRL('C'): drop_line(line); break;
    case CTRL('D'): erase(line, cursor, right); break;
    case CTRL('E'): move(line, length); break;
    case CTRL('F'): move(line, right); break;
    case DEL:
    case '\b': erase(line, left, cursor); break;
    case '\t': tab(line, after_tab); break;
    case CTRL('K'): erase(line, cursor, length); break;
    case CTRL('L'): show_again(line); break;
    case CTRL('N'): recall(line, line->back - 1u); break;
    case CTRL('P'): recall(line, line->back + 1u); break;
    case CTRL('U'): erase(line, 0, cursor); break;
    case CTRL('W'): delete_word(line); break;
    }
}

static const char *finish(struct line *line)
{
    new_row(line);
    remember(line);
    forget(line);
    return line->text;
}

const char *line_feed(struct line *line, u8 byte)
{
    bool after_cr = line->after_cr, after_tab = line->after_tab;
    char c;

    line->after_cr = byte == '\r';
    line->after_tab = false;
    line->text[line->length] = 0; /* the finished line, if the last byte ended one */
    if (after_cr && byte == '\n')
        return NULL;
    byte = decode(line, byte);
    if (byte == '\r' || byte == '\n')
        return finish(line);
    c = (char)byte;
    if (byte >= ' ' && byte < DEL)
        insert(line, &c, 1);
    else
        control(line, byte, after_tab);
    return NULL;
}

/* ---- Set-up ---- */

void line_set_prompt(struct line *line, const char *prompt) { line->prompt = prompt; }

void line_init(struct line *line, void (*put)(char c), const char *prompt)
{
    memset(line, 0, sizeof(*line));
    line->put = put;
    line->prompt = prompt;
}
