/*
 * A line editor for a terminal on a serial line: the bytes that were typed go in, what the terminal
 * is to show goes out, and finished lines come back. It takes one row of a terminal of LINE_COLUMNS
 * columns or more: a longer line scrolls sideways. What it sends is printable ASCII, \a, \b, \r, \n
 * and ESC [ K.
 *
 * Keys: arrows, Home, End, Delete, Backspace, Tab; Ctrl-A, E, B, F to move; Ctrl-D, K, U, W to
 * delete; Ctrl-P, N for the lines before; Ctrl-C drops the line, Ctrl-L shows it again. Other
 * control bytes, other escape sequences and bytes from 0x80 on do nothing.
 */
#ifndef PLASTRON_HV_MONITOR_LINE_H
#define PLASTRON_HV_MONITOR_LINE_H

#include "types.h"

#define LINE_LENGTH_MAX 128u /* characters of a line */
#define LINE_PROMPT_MAX 40u  /* characters of a prompt; of a longer one the rest is not shown */
#define LINE_HISTORY    16u
#define LINE_COLUMNS    80u

struct completion;

struct line {
    /* To be set after line_init: offers, with completion_offer, what may stand in the place of the
       word that ends at the cursor. line_so_far is the whole line. NULL: Tab does nothing. */
    void (*complete)(const char *line_so_far, size_t cursor, struct completion *out);

    /* To be read only. */
    u32 length, cursor;
    char text[LINE_LENGTH_MAX + 1];

    /* The editor's own. */
    void (*put)(char c);
    const char *prompt;
    u32 first; /* the character that stands behind the prompt */
    u32 at;    /* the character that the terminal's cursor stands on */
    u32 shown; /* the terminal shows the characters before this one */
    u8 sequence;
    u8 parameter;    /* of the sequence: 0, or the one byte of it */
    bool after_cr;   /* the byte before was a CR */
    bool after_tab;  /* the byte before was a Tab, and there were several candidates */
    u8 next;         /* where in the history this line goes */
    u8 stored, back; /* lines in the history; how many lines back the user went */
    /* A ring; the place of the next line keeps the present one while the user looks at others. */
    char history[LINE_HISTORY + 1][LINE_LENGTH_MAX + 1];
};

/* What the callback gives back; it only hands it on to completion_offer. */
struct completion {
    struct line *line;
    const char *word; /* what is to be completed, and its length */
    size_t length;
    const char *found; /* a candidate; all have the first common characters of it */
    size_t common;
    u32 count;
    bool list;  /* print the candidates */
    u32 column; /* where the next one goes */
};

/* An empty line and an empty history. Nothing is sent yet. The prompt is plain text, and must
   stay. */
void line_init(struct line *line, void (*put)(char c), const char *prompt);

/* Another prompt: to be followed by line_prompt. */
void line_set_prompt(struct line *line, const char *prompt);

/* Shows the prompt and what is typed so far. The terminal's cursor must stand in column 0 of an
   empty row. To be called at the start, after a finished line, and after anything else has been
   printed. */
void line_prompt(struct line *line);

/* Takes a byte from the terminal. Returns NULL, or the line that it finished, which is valid until
   the next call. The terminal's cursor then stands on a new row, without a prompt. */
const char *line_feed(struct line *line, u8 byte);

/* name is a candidate, if it begins with the word. It must stay until line_feed returns. */
void completion_offer(struct completion *out, const char *name);

/* How many characters the texts have in common at their beginning; of a text and itself: its
 * length. */
size_t text_shared(const char *a, const char *b);

#endif
