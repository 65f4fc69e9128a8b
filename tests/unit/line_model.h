/*
 * What the tests of the line editor share: a terminal that shows what the editor sends, and a
 * second editor, written from the description and not from the code, with the text before and
 * behind the cursor in two strings.
 */
#ifndef PLASTRON_TESTS_LINE_MODEL_H
#define PLASTRON_TESTS_LINE_MODEL_H

#include <stdio.h>
#include <string.h>

#include "hv/monitor/line.h"

/* ---- A terminal ---- */

#define TERMINAL_ROWS 40

struct terminal {
    char row[TERMINAL_ROWS][LINE_COLUMNS];
    u32 y, x;
    u32 bells, bytes;
    u32 escape;        /* bytes of a sequence that have come */
    const char *fault; /* the first thing that it should not have got */
};

static inline void terminal_reset(struct terminal *t)
{
    memset(t, 0, sizeof(*t));
    memset(t->row, ' ', sizeof(t->row));
}

static void terminal_escape(struct terminal *t, char c)
{
    static const char erase_to_end[] = "\033[K";

    if (c != erase_to_end[t->escape])
        t->fault = "an escape sequence that is not known";
    if (++t->escape < 3)
        return;
    t->escape = 0;
    memset(&t->row[t->y][t->x], ' ', LINE_COLUMNS - t->x);
}

static void terminal_next_row(struct terminal *t)
{
    if (++t->y < TERMINAL_ROWS)
        return;
    t->y--;
    memmove(t->row[0], t->row[1], sizeof(t->row) - sizeof(t->row[0]));
    memset(t->row[t->y], ' ', LINE_COLUMNS);
}

static void terminal_print(struct terminal *t, char c)
{
    if (c < ' ' || c > '~')
        t->fault = "a byte that is not printable";
    else if (t->x == LINE_COLUMNS - 1)
        t->fault = "a character in the last column";
    else
        t->row[t->y][t->x++] = c;
}

static inline void terminal_put(struct terminal *t, char c)
{
    t->bytes++;
    if (t->escape || c == '\033') {
        terminal_escape(t, c);
        return;
    }
    switch (c) {
    case '\a': t->bells++; break;
    case '\r': t->x = 0; break;
    case '\n': terminal_next_row(t); break;
    case '\b':
        if (!t->x)
            t->fault = "a backspace in column 0";
        else
            t->x--;
        break;
    default: terminal_print(t, c);
    }
}

/* The length of a row without the blanks at its end. */
static inline u32 terminal_row_length(const struct terminal *t, u32 y)
{
    u32 length = LINE_COLUMNS;

    while (length && t->row[y][length - 1] == ' ')
        length--;
    return length;
}

/*
 * NULL if the terminal's row shows a prompt, and such a part of the text behind it that its cursor
 * stands in the right place and the rest of the row is filled; else what is wrong.
 */
static inline const char *terminal_differs(const struct terminal *t, const char *prompt,
                                           const char *text, size_t cursor)
{
    size_t column = strlen(prompt), width = LINE_COLUMNS - 3 - column, first, count;
    char wanted[LINE_COLUMNS + 1];

    if (t->fault)
        return t->fault;
    if (t->escape)
        return "an escape sequence was not ended";
    if (t->x < column || t->x - column > cursor)
        return "the cursor stands in a wrong column";
    first = cursor - (t->x - column);
    if (first && !strlen(text + first))
        return "nothing of the text is shown";
    count = strlen(text + first) < width ? strlen(text + first) : width;
    snprintf(wanted, sizeof(wanted), "%s%.*s%*s", prompt, (int)count, text + first,
             (int)(LINE_COLUMNS - column - count), "");
    return memcmp(wanted, t->row[t->y], LINE_COLUMNS) ? "the row shows something else" : NULL;
}

/* ---- A second editor ---- */

#define MODEL_ROOM (LINE_LENGTH_MAX + 1)

struct model {
    /* Gives the names that may stand behind a text; ended by NULL, or NULL. */
    const char *const *(*names)(const char *left);
    char left[MODEL_ROOM], right[MODEL_ROOM];
    char lines[LINE_HISTORY][MODEL_ROOM]; /* the oldest first */
    char present[MODEL_ROOM];
    u32 count, back;
    char pending[8]; /* an escape sequence that is not complete; cut after 6 bytes */
    bool after_cr, after_tab;
    u32 bells;
    bool finished;
    char line[MODEL_ROOM]; /* the one that was finished */
};

static void model_set(struct model *m, const char *text)
{
    memmove(m->left, text, strlen(text) + 1);
    m->right[0] = 0;
}

static void model_text(const struct model *m, char text[MODEL_ROOM])
{
    strcat(strcpy(text, m->left), m->right);
}

static bool model_insert(struct model *m, const char *text, size_t count)
{
    if (strlen(m->left) + strlen(m->right) + count > LINE_LENGTH_MAX) {
        m->bells++;
        return false;
    }
    strncat(m->left, text, count);
    return true;
}

static void model_chop(char *text)
{
    if (*text)
        text[strlen(text) - 1] = 0;
}

/* The last character of one string, or the first of the other, goes to the other side. */
static void model_move_left(struct model *m)
{
    size_t length = strlen(m->left);

    if (!length)
        return;
    memmove(m->right + 1, m->right, strlen(m->right) + 1);
    m->right[0] = m->left[length - 1];
    model_chop(m->left);
}

static void model_delete(struct model *m)
{
    if (m->right[0])
        memmove(m->right, m->right + 1, strlen(m->right));
}

static void model_move_right(struct model *m)
{
    if (m->right[0]) {
        strncat(m->left, m->right, 1);
        model_delete(m);
    }
}

static void model_delete_word(struct model *m)
{
    while (*m->left && m->left[strlen(m->left) - 1] == ' ')
        model_chop(m->left);
    while (*m->left && m->left[strlen(m->left) - 1] != ' ')
        model_chop(m->left);
}

static void model_older(struct model *m)
{
    if (m->back == m->count)
        return;
    if (!m->back++)
        model_text(m, m->present);
    model_set(m, m->lines[m->count - m->back]);
}

static void model_newer(struct model *m)
{
    if (m->back)
        model_set(m, --m->back ? m->lines[m->count - m->back] : m->present);
}

static void model_finish(struct model *m)
{
    model_text(m, m->line);
    m->finished = true;
    m->back = 0;
    model_set(m, "");
    if (!m->line[0] || (m->count && !strcmp(m->lines[m->count - 1], m->line)))
        return;
    if (m->count == LINE_HISTORY)
        memmove(m->lines[0], m->lines[1], sizeof(m->lines) - sizeof(m->lines[0]));
    else
        m->count++;
    strcpy(m->lines[m->count - 1], m->line);
}

static void model_tab(struct model *m, bool again)
{
    const char *const *names = m->names ? m->names(m->left) : NULL;
    const char *blank = strrchr(m->left, ' '), *word = blank ? blank + 1 : m->left;
    const char *found = NULL;
    size_t length = strlen(word), common = 0;
    u32 count = 0;

    for (; names && *names; names++) {
        if (strncmp(*names, word, length))
            continue;
        if (!count++) {
            found = *names;
            common = strlen(found);
        }
        while (strncmp(found, *names, common))
            common--;
    }
    m->after_tab = count > 1;
    if (again || !m->names)
        return;
    m->bells += count != 1;
    if (count && model_insert(m, found + length, common - length) && count == 1 && !m->right[0])
        model_insert(m, " ", 1);
}

static void model_act(struct model *m, u8 key, bool after_tab)
{
    char c = (char)key;

    switch (key) {
    case 0x01:
        while (*m->left)
            model_move_left(m);
        break;
    case 0x02: model_move_left(m); break;
    case 0x03:
        model_set(m, "");
        m->back = 0;
        break;
    case 0x04: model_delete(m); break;
    case 0x05:
        while (*m->right)
            model_move_right(m);
        break;
    case 0x06: model_move_right(m); break;
    case 0x08:
    case 0x7f: model_chop(m->left); break;
    case 0x09: model_tab(m, after_tab); break;
    case 0x0a:
    case 0x0d: model_finish(m); break;
    case 0x0b: m->right[0] = 0; break;
    case 0x0e: model_newer(m); break;
    case 0x10: model_older(m); break;
    case 0x15: m->left[0] = 0; break;
    case 0x17: model_delete_word(m); break;
    default:
        if (key >= ' ' && key <= '~')
            model_insert(m, &c, 1);
    }
}

/* The key of a complete sequence, without its ESC; 0 for none. */
static u8 model_sequence(const char *sequence)
{
    static const struct {
        const char *text;
        u8 key;
    } known[] = {{"A", 0x10}, {"B", 0x0e},  {"C", 0x06},  {"D", 0x02}, {"H", 0x01},
                 {"F", 0x05}, {"1~", 0x01}, {"3~", 0x04}, {"4~", 0x05}};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (!strcmp(sequence + 1, known[i].text))
            return known[i].key;
    }
    return 0;
}

/* A byte below 0x20 ends a sequence, and acts. A sequence is ESC and one byte; with "[" or "O" as
   that byte it goes on to one of '@' to 0xff that is not another "[". */
static void model_pending(struct model *m, u8 byte, bool after_tab)
{
    size_t length = strlen(m->pending);

    if (byte == 0x1b || byte < 0x20) {
        strcpy(m->pending, byte == 0x1b ? "\033" : "");
        if (byte != 0x1b)
            model_act(m, byte, after_tab);
        return;
    }
    if (length < 6) {
        m->pending[length] = (char)byte;
        m->pending[length + 1] = 0;
    }
    if (length == 1 && (byte == '[' || byte == 'O'))
        return;
    if (length > 1 && (byte < '@' || byte == '['))
        return;
    if (length > 1)
        model_act(m, model_sequence(m->pending + 1), after_tab);
    m->pending[0] = 0;
}

/* True if that finished a line. */
static inline bool model_feed(struct model *m, u8 byte)
{
    bool after_cr = m->after_cr, after_tab = m->after_tab;

    m->after_cr = byte == '\r';
    m->after_tab = m->finished = false;
    if (byte == '\n' && after_cr)
        return false;
    if (m->pending[0] || byte == 0x1b)
        model_pending(m, byte, after_tab);
    else
        model_act(m, byte, after_tab);
    return m->finished;
}

/* NULL if the editor, whose line was finished or not, and the model agree, else what is wrong. */
static inline const char *model_differs(const struct model *m, const struct line *line,
                                        const char *finished)
{
    char text[MODEL_ROOM];

    if (m->finished != !!finished)
        return "only one of the two has finished a line";
    if (finished && strcmp(finished, m->line))
        return "the finished line is another one";
    model_text(m, text);
    if (line->length != strlen(text) || line->cursor != strlen(m->left))
        return "the length or the cursor is another one";
    if (!finished && strcmp(line->text, text))
        return "the text is another one";
    return NULL;
}

#endif
