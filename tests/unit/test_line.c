/* hv/monitor/line.c: rows of keys and what a terminal then shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "line_model.h"

#define PROMPT "> "
#define ESC    "\033"

/* So many characters. */
#define TEN     "0123456789"
#define SIXTY   TEN TEN TEN TEN TEN TEN
#define HUNDRED SIXTY TEN TEN TEN TEN
#define FULL    HUNDRED TEN TEN "01234567"
#define BACK10  "\b\b\b\b\b\b\b\b\b\b"

static struct line line;
static struct terminal terminal;
static char sent[4096], finished[4096];
static size_t sent_length;

static void put(char c)
{
    terminal_put(&terminal, c);
    if (sent_length < sizeof(sent) - 1)
        sent[sent_length++] = c;
    sent[sent_length] = 0;
}

/* Forgets what was sent before. */
static void mark(void)
{
    sent_length = 0;
    sent[0] = 0;
}

static const char *const *names_of_rows(const char *left)
{
    static const char *const names[] = {"go", "stat", "stop", "start", "vmcs", "vmcs-dump", NULL};

    (void)left;
    return names;
}

static const char *const *(*names)(const char *left);

static void complete(const char *so_far, size_t cursor, struct completion *out)
{
    char left[MODEL_ROOM];

    assert_true(strlen(so_far) >= cursor);
    snprintf(left, sizeof(left), "%.*s", (int)cursor, so_far);
    for (const char *const *at = names(left); at && *at; at++)
        completion_offer(out, *at);
}

static void start(void)
{
    /* The editor sets all that it reads. */
    memset(&line, 0xa5, sizeof(line));
    terminal_reset(&terminal);
    mark();
    finished[0] = 0;
    line_init(&line, put, PROMPT);
    assert_int_equal(sent_length, 0);
    names = names_of_rows;
    line.complete = complete;
    line_prompt(&line);
}

/* What the user of the monitor sees: a new prompt behind each finished line. */
static void type(const char *keys)
{
    for (; *keys; keys++) {
        const char *done = line_feed(&line, (u8)*keys);

        if (!done)
            continue;
        strcat(strcat(finished, done), ";");
        line_prompt(&line);
        assert_memory_equal(done, finished + strlen(finished) - strlen(done) - 1, strlen(done));
    }
    assert_null(terminal.fault);
}

/* The terminal's row, with a "|" where the cursor stands. */
static const char *row_with_cursor(void)
{
    static char text[LINE_COLUMNS + 2];
    const char *row = terminal.row[terminal.y];
    u32 length = terminal_row_length(&terminal, terminal.y);

    if (length < terminal.x)
        length = terminal.x;
    snprintf(text, sizeof(text), "%.*s|%.*s", (int)terminal.x, row, (int)(length - terminal.x),
             row + terminal.x);
    return text;
}

static const char *screen(void)
{
    static char text[TERMINAL_ROWS * (LINE_COLUMNS + 1) + 1];
    char *at = text;

    for (u32 y = 0; y < terminal.y; y++)
        at += sprintf(at, "%.*s\n", (int)terminal_row_length(&terminal, y), terminal.row[y]);
    strcpy(at, row_with_cursor());
    return text;
}

/* ---- Editing ---- */

static const struct row {
    const char *keys;
    const char *shown;
    const char *finished;
    u32 bells;
} rows[] = {
    {"", "> |", "", 0},
    {"stat", "> stat|", "", 0},
    {" ~!", ">  ~!|", "", 0},

    /* Moving. */
    {"stat\x02", "> sta|t", "", 0},
    {"stat\x02\x02s", "> sts|at", "", 0},
    {"stat\x02\x02\x02\x02\x02\x02x", "> x|stat", "", 0},
    {"stat\x02\x02\x06x", "> stax|t", "", 0},
    {"stat\x06\x06x", "> statx|", "", 0},
    {"stat\x01x", "> x|stat", "", 0},
    {"stat\x01\x05x", "> statx|", "", 0},
    {"stat" ESC "[D" ESC "[Dx", "> stx|at", "", 0},
    {"stat" ESC "[D" ESC "[D" ESC "[Cx", "> stax|t", "", 0},
    {"stat" ESC "OD" ESC "OD" ESC "OCx", "> stax|t", "", 0},
    {"stat" ESC "[Hx" ESC "[Fy", "> xstaty|", "", 0},
    {"stat" ESC "[1~x" ESC "[4~y", "> xstaty|", "", 0},
    {"stat" ESC "OHx" ESC "OFy", "> xstaty|", "", 0},

    /* Deleting. */
    {"stat\b", "> sta|", "", 0},
    {"stat\x7f\x7f", "> st|", "", 0},
    {"st\b\b\b\bx", "> x|", "", 0},
    {"stat\x02\x02\b", "> s|at", "", 0},
    {"stat\x01\b", "> |stat", "", 0},
    {"stat\x01\x04", "> |tat", "", 0},
    {"stat\x04", "> stat|", "", 0},
    {"\x04", "> |", "", 0},
    {"stat\x02" ESC "[3~", "> sta|", "", 0},
    {"stat" ESC "[3~", "> stat|", "", 0},
    {ESC "[3~", "> |", "", 0},
    {"stat\x02\x02\x0b", "> st|", "", 0},
    {"stat\x0b", "> stat|", "", 0},
    {"stat\x02\x02\x15", "> |at", "", 0},
    {"stat\x15", "> |", "", 0},
    {"\x15", "> |", "", 0},
    {"vmcs 02 rip\x17", "> vmcs 02 |", "", 0},
    {"vmcs 02 rip\x17\x17", "> vmcs |", "", 0},
    {"vmcs 02 rip\x17\x17\x17\x17", "> |", "", 0},
    {"vmcs  02  \x17", "> vmcs  |", "", 0},
    {"vmcs 02\x02\x17", "> vmcs |2", "", 0},
    {"  \x17", "> |", "", 0},

    /* Lines end. */
    {"stat\r", "> |", "stat;", 0},
    {"stat\n", "> |", "stat;", 0},
    {"stat\r\n", "> |", "stat;", 0},
    {"a\r\nb\rc\nd\n\re", "> e|", "a;b;c;d;;", 0},
    {"\r\r\n\n\n", "> |", ";;;;", 0},
    {"a\r\x01\nb", "> b|", "a;;", 0},
    {"stat\x02\x02\rx", "> x|", "stat;", 0},

    /* Dropped, shown again. */
    {"stat\x03", "> |", "", 0},
    {"stat\x03go\r", "> |", "go;", 0},
    {"\x03", "> |", "", 0},
    {"stat\x02\x02\x0c", "> st|at", "", 0},
    {"stat\x02\x02\x0cx\r", "> |", "stxat;", 0},

    /* What does nothing. */
    {"a\x07\x0f\x11\x12\x13\x14\x16\x18\x19\x1a\x1c\x1d\x1e\x1f"
     "b",
     "> ab|", "", 0},
    {"a\x80\xff\xc3\xa4\x9b"
     "1b",
     "> a1b|", "", 0},
    {"a" ESC "[5~" ESC "[6~" ESC "[2~" ESC "[15~b", "> ab|", "", 0},
    {"a" ESC "[1;5D" ESC "[1;2H" ESC "[?25h" ESC "[11H" ESC "[33~b", "> ab|", "", 0},
    {"a" ESC "[Z" ESC "OP" ESC "[~" ESC "x" ESC "\x7f" ESC "[[A" ESC "\xc3\xa4"
     "b",
     "> ab|", "", 0},
    {"a" ESC "[0000000000000000000000000000000000000D" ESC "[     Db", "> ab|", "", 0},
    {"ac" ESC "[Z" ESC "[Db", "> ab|c", "", 0},
    {"ac" ESC ESC ESC "[Db", "> ab|c", "", 0},
    {"ac" ESC "[" ESC "[Db", "> ab|c", "", 0},

    /* Control bytes act within a sequence. */
    {"stat" ESC "\r", "> |", "stat;", 0},
    {"stat" ESC "[\r", "> |", "stat;", 0},
    {"stat" ESC "[1\x03"
     "b",
     "> b|", "", 0},
    {"stat" ESC "O\x01"
     "D",
     "> D|stat", "", 0},
};

static void editing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        start();
        type(rows[i].keys);
        assert_string_equal(row_with_cursor(), rows[i].shown);
        assert_string_equal(finished, rows[i].finished);
        assert_int_equal(terminal.bells, rows[i].bells);
    }
}

static void a_zero_byte_does_nothing(void **state)
{
    (void)state;
    start();
    type("a");
    assert_null(line_feed(&line, 0));
    type(ESC "[");
    assert_null(line_feed(&line, 0));
    type("b");
    assert_string_equal(row_with_cursor(), "> ab|");
}

static void screens(void **state)
{
    (void)state;
    start();
    type("stat\rgo\x03"
         "stop\x02\x0cx\x02\r\n\rz");
    assert_string_equal(screen(), "> stat\n> go^C\n> stop\n> stoxp\n>\n> z|");
    assert_string_equal(finished, "stat;stoxp;;");
}

/* ---- What is sent: 115200 baud are 11 characters in a millisecond ---- */

static const struct cost_row {
    const char *before, *keys, *sent;
} cost_rows[] = {
    {"", "s", "s"},
    {"stat", " ", " "},
    {"stat", " 12", " 12"},
    {"stat", "\b", "\b" ESC "[K"},
    {"stat", "\r", "\r\n> "},
    {"stat\x02\x02", "\r", "\r\n> "},
    {HUNDRED, "\r", "\r\n> "},
    {"stat", "\x02", "\b"},
    {"stat\x02", "\x06", "t"},
    {"stat", "\x05", ""},
    {"stat", "\x06", ""},
    {"stat\x01", "\x02\b\x15\x17", ""},
    {"stat\x02", "x", "xt\b"},
    {"stat\x02", "\b", "\bt" ESC "[K\b"},
    {"stat\x02\x02", "\x0b", ESC "[K"},
    {"stat", "\x15", "\r> " ESC "[K"},
    {"stat", "\x01", "\r> "},
    {"stat\x01", "\x05", "stat"},
    {SIXTY, "\x01", "\r> "},
    {"", "\x10\x0e\x04\t\x0b", "\a"},
    {"go\r", "\x10", "go"},
    {"go\r", "s\x10", "s\bgo"},
    {"go\r", "stat\x10", "stat\r> go" ESC "[K"},
    {"", "go\x03", "go^C\r\n> "},
    {"go", "\x0c", "\r\n> go"},
    {"go\x02", "\x0c", "\r\n> go\b"},
    {"", "g\t", "go "},
    {FULL, "x", "\a"},
    {FULL, "\x80" ESC "[5~\x07", ""},
};

static void costs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cost_rows); i++) {
        start();
        type(cost_rows[i].before);
        mark();
        type(cost_rows[i].keys);
        assert_string_equal(sent, cost_rows[i].sent);
    }
}

/* ---- Long lines ---- */

static void a_line_has_128_characters(void **state)
{
    (void)state;
    start();
    type(FULL);
    assert_int_equal(line.length, 128);
    assert_int_equal(terminal.bells, 0);
    type("abc");
    assert_int_equal(terminal.bells, 3);
    type("\x02\x02x");
    assert_int_equal(terminal.bells, 4);
    type("\bx\r");
    assert_int_equal(terminal.bells, 4);
    assert_string_equal(finished, HUNDRED TEN TEN "01234x67;");
}

static void a_long_line_scrolls(void **state)
{
    (void)state;
    start();
    type(SIXTY TEN "01234");
    assert_string_equal(row_with_cursor(), PROMPT SIXTY TEN "01234|");
    type("5");
    assert_string_equal(row_with_cursor(), PROMPT "9" TEN TEN TEN "012345|");
    type("\b\b");
    assert_string_equal(row_with_cursor(), PROMPT "9" TEN TEN TEN "0123|");
    /* What stands before the window comes back when the cursor reaches its left end. */
    type(BACK10 BACK10 BACK10 "\b\b\b\b");
    assert_string_equal(row_with_cursor(), PROMPT "9|");
    type("\b");
    assert_string_equal(row_with_cursor(), PROMPT TEN TEN TEN "012345678|");
    type("9" TEN TEN "abc " SIXTY "\x17");
    assert_string_equal(row_with_cursor(), PROMPT SIXTY "abc |");
    type("\x01");
    assert_string_equal(row_with_cursor(), PROMPT "|" SIXTY "abc");
    type("\r");
    assert_string_equal(finished, SIXTY "abc ;");
    /* In the last column it may end in, a line is dropped without a step to the next row. */
    type(SIXTY TEN "01234\x03");
    assert_string_equal(screen(), PROMPT SIXTY "abc\n" PROMPT SIXTY TEN "01234^C\n" PROMPT "|");
}

/* Of all that is typed at the end, two characters bring the row anew. */
static void a_long_line_costs_little(void **state)
{
    u32 dear = 0, sum = 0;

    (void)state;
    start();
    for (size_t i = 0; i < LINE_LENGTH_MAX; i++) {
        mark();
        type((char[]){FULL[i], 0});
        dear += sent_length != 1;
        sum += (u32)sent_length;
    }
    assert_int_equal(dear, 2);
    assert_true(sum < 2 * LINE_LENGTH_MAX + 20);
    mark();
    type("\x02");
    assert_string_equal(sent, "\b");
}

static void a_prompt_of_any_length(void **state)
{
    static const char *const prompts[] = {"", "L0 cpu 12 in L2> ",
                                          "a prompt that has exactly 40 characters> ",
                                          "a prompt that has more than 40 characters, really> "};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(prompts); i++) {
        char shown[LINE_PROMPT_MAX + 1];

        start();
        snprintf(shown, sizeof(shown), "%s", prompts[i]);
        type("\r");
        line_set_prompt(&line, prompts[i]);
        put('\r');
        line_prompt(&line);
        type(SIXTY);
        assert_null(terminal_differs(&terminal, shown, line.text, line.cursor));
        type("\x01x\x05y\x02\x02");
        assert_null(terminal_differs(&terminal, shown, line.text, line.cursor));
        type("\r");
        assert_string_equal(finished, ";x" SIXTY "y;");
    }
}

static void what_is_typed_survives_other_output(void **state)
{
    (void)state;
    start();
    type("go on\x02\x02");
    for (const char *at = "\r\ncpu 1: L2 exit\r\n"; *at; at++)
        put(*at);
    line_prompt(&line);
    type("x");
    assert_string_equal(screen(), "> go on\ncpu 1: L2 exit\n> go x|on");

    type("\x15\x0b" SIXTY TEN TEN "\x02");
    put('\r');
    put('\n');
    line_prompt(&line);
    assert_string_equal(row_with_cursor(), PROMPT "9" TEN TEN TEN "012345678|9");
}

/* ---- History ---- */

static const struct row history_rows[] = {
    {"\x10", "> |", "", 0},
    {"\x0e", "> |", "", 0},
    {"a\rb\rc\r\x10", "> c|", "a;b;c;", 0},
    {"a\rb\rc\r\x10\x10", "> b|", "a;b;c;", 0},
    {"a\rb\rc\r\x10\x10\x10\x10\x10", "> a|", "a;b;c;", 0},
    {"a\rb\rc\r\x10\x10\x10\x0e", "> b|", "a;b;c;", 0},
    {"a\rb\rc\r\x10\x10\x0e\x0e", "> |", "a;b;c;", 0},
    {"a\rb\r" ESC "[A" ESC "[A" ESC "[Bx", "> bx|", "a;b;", 0},
    {"a\rb\r" ESC "OA" ESC "OA" ESC "OBx", "> bx|", "a;b;", 0},
    /* The line that was begun is kept. */
    {"a\rb\rstat\x02\x10\x10\x0e\x0e", "> stat|", "a;b;", 0},
    {"a\rstat\x10\x0e\x0e\x0e", "> stat|", "a;", 0},
    {"stat\x10", "> stat|", "", 0},
    {"stat\x0e", "> stat|", "", 0},
    /* A line of the history can be changed and is then a new one. */
    {"a\rb\r\x10\x10x\r\x10", "> ax|", "a;b;ax;", 0},
    {"a\rb\r\x10\x10x\r\x10\x10\x10", "> a|", "a;b;ax;", 0},
    {"a\rb\r\x10\x10x\x0e\x10", "> a|", "a;b;", 0},
    {"a\rb\r\x10\x10\r\x10\x10", "> b|", "a;b;a;", 0},
    /* None twice in a row, no empty ones. */
    {"a\rb\rb\rb\r\x10\x10", "> a|", "a;b;b;b;", 0},
    {"a\rb\ra\r\x10\x10\x10", "> a|", "a;b;a;", 0},
    {"a\r\r\r\x10", "> a|", "a;;;", 0},
    {"ab\ra\r\x10\x10", "> ab|", "ab;a;", 0},
    {"a\rab\r\x10\x10", "> a|", "a;ab;", 0},
    {"a\r\x10\r\x10\x10", "> a|", "a;a;", 0},
    /* A line that was dropped is not in it; after it the search begins anew. */
    {"a\rb\x03\x10", "> a|", "a;", 0},
    {"a\rb\rc\r\x10\x10\x03\x10", "> c|", "a;b;c;", 0},
    {"a\rb\rc\r\x10\x10\r\x10", "> b|", "a;b;c;b;", 0},
};

static void history(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(history_rows); i++) {
        start();
        type(history_rows[i].keys);
        assert_string_equal(row_with_cursor(), history_rows[i].shown);
        assert_string_equal(finished, history_rows[i].finished);
        assert_int_equal(terminal.bells, 0);
    }
}

static void history_keeps_16_lines(void **state)
{
    char text[16];

    (void)state;
    start();
    for (u32 count = 1; count <= 40; count++) {
        sprintf(text, "line %u\r", count);
        type(text);
        type("draft");
        for (u32 back = 0; back < 20; back++)
            type("\x10");
        sprintf(text, "> line %u|", count > 16 ? count - 15 : 1);
        assert_string_equal(row_with_cursor(), text);
        for (u32 back = 0; back < 20; back++)
            type("\x0e");
        assert_string_equal(row_with_cursor(), "> draft|");
        type("\x15");
    }
}

static void history_of_long_lines(void **state)
{
    (void)state;
    start();
    type("go\r" FULL "\rstat\x10");
    assert_null(terminal_differs(&terminal, PROMPT, FULL, 128));
    type("\x10");
    assert_string_equal(row_with_cursor(), "> go|");
    type("\x0e");
    assert_null(terminal_differs(&terminal, PROMPT, FULL, 128));
    type("\x0e");
    assert_string_equal(row_with_cursor(), "> stat|");
    type("\x10\r");
    assert_string_equal(finished, "go;" FULL ";" FULL ";");
}

/* ---- Completion ---- */

#define LIST "go  stat  stop  start  vmcs  vmcs-dump"

/* These show the whole screen. */
static const struct row completion_rows[] = {
    /* One candidate: it is inserted, at the end of the line with a blank. */
    {"g\t", "> go |", "", 0},
    {"go\t", "> go |", "", 0},
    {"  g\t", ">   go |", "", 0},
    {"go sto\t", "> go stop |", "", 0},
    {"gx\x02\t", "> go|x", "", 0},
    {"g 02\x01\x06\t", "> go| 02", "", 0},
    {"go 02\x01\x06\x06\t", "> go| 02", "", 0},
    {"vmcs-\t", "> vmcs-dump |", "", 0},
    {"g\t\r", "> go\n> |", "go ;", 0},
    /* None. */
    {"x\t", "> x|", "", 1},
    {"x\t\t", "> x|", "", 2},
    {"GO\t", "> GO|", "", 1},
    {"gone\t", "> gone|", "", 1},
    /* Several: the first Tab inserts what they have in common, */
    {"\t", "> |", "", 1},
    {"go \t", "> go |", "", 1},
    {"g\x02\t", "> |g", "", 1},
    {"v\t", "> vmcs|", "", 1},
    {"vmcs\t", "> vmcs|", "", 1},
    {"s\t", "> st|", "", 1},
    {"s\ta\t", "> sta|", "", 2},
    {"stop\x02\x02\t", "> st|op", "", 1},
    /* the next ones list them. */
    {"\t\t", ">\n" LIST "\n> |", "", 1},
    {"s\t\t", "> st\nstat  stop  start\n> st|", "", 1},
    {"s\t\t\t", "> st\nstat  stop  start\n> st\nstat  stop  start\n> st|", "", 1},
    {"s\t\ta\t", "> st\nstat  stop  start\n> sta|", "", 2},
    {"s\ta\t\t", "> sta\nstat  start\n> sta|", "", 2},
    {"s 1\x01\x06\t\tx", "> st 1\nstat  stop  start\n> stx| 1", "", 1},
    /* With another key between them it is a first one again. */
    {"s\t\x06\t", "> st|", "", 2},
    {"s\t\x80\t", "> st|", "", 2},
    {"s\t\x03s\t", "> st^C\n> st|", "", 2},
    {"s\t\r\t", "> st\n> |", "st;", 2},
};

static void completion(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(completion_rows); i++) {
        start();
        type(completion_rows[i].keys);
        assert_string_equal(screen(), completion_rows[i].shown);
        assert_string_equal(finished, completion_rows[i].finished);
        assert_int_equal(terminal.bells, completion_rows[i].bells);
    }
}

static void without_a_callback_tab_does_nothing(void **state)
{
    (void)state;
    start();
    line.complete = NULL;
    type("g\t\t\to\r");
    assert_string_equal(screen(), "> go\n> |");
    assert_int_equal(terminal.bells, 0);
}

static void completion_in_a_full_line(void **state)
{
    (void)state;
    start();
    type(HUNDRED TEN TEN "0123 st");
    assert_int_equal(line.length, 127);
    type("a\t");
    assert_int_equal(terminal.bells, 1); /* nothing in common beyond "sta" */
    type("\b\b\bgo\t");
    assert_int_equal(terminal.bells, 1);
    type("\b\b\bx g\t");
    assert_int_equal(terminal.bells, 2); /* the o has no room */
    type("\r");
    assert_string_equal(finished, HUNDRED TEN TEN "0123 x g;");
}

static const char *const *many_names(const char *left)
{
    static char text[60][16];
    static const char *names[61];

    (void)left;
    for (int i = 0; i < 60; i++) {
        sprintf(text[i], "n%.*s%d", i % 10, "abcdefghij", i);
        names[i] = text[i];
    }
    return names;
}

/* A list of names goes on in the next row, between two names, before it reaches the last column. */
static void a_long_list_has_rows(void **state)
{
    char all[1024] = "", shown[1024] = "";

    (void)state;
    start();
    names = many_names;
    type("n\t\t");
    for (const char *const *at = names(""); *at; at++)
        strcat(strcat(all, *at), " ");
    for (u32 y = 1; y < terminal.y; y++) {
        u32 length = terminal_row_length(&terminal, y);

        assert_true(length > 0 && (y + 1 == terminal.y || length > 60));
        for (u32 x = 0; x < length; x++) {
            if (terminal.row[y][x] != ' ' || terminal.row[y][x + 1] != ' ')
                strncat(shown, &terminal.row[y][x], 1);
        }
        strcat(shown, " ");
    }
    assert_string_equal(shown, all);
    assert_string_equal(row_with_cursor(), "> n|");
}

/* ---- Any bytes, and the second editor ---- */

static u32 seed;

static u32 below(u32 count)
{
    seed = seed * 1664525 + 1013904223;
    return (u32)((u64)seed * count >> 32);
}

static u8 any(void) { return (u8)below(256); }

static u8 mostly_printable(void)
{
    static const char words[] = "  gostavmcs-dump";

    switch (below(32)) {
    case 0: return any();
    case 1: return (u8)below(32);
    case 2: return '\t';
    default: return below(4) ? (u8)words[below(sizeof(words) - 1)] : (u8)(' ' + below(95));
    }
}

static u8 mostly_escapes(void)
{
    static const char parts[] = "\033\033\033\033[[[[OABCDFHABCDFH134~~~;x \r\x03";

    return below(8) ? (u8)parts[below(sizeof(parts) - 1)] : mostly_printable();
}

/* Few lines end, so that lines grow long and are edited. */
static u8 mostly_keys(void)
{
    static const char keys[] =
        "\x01\x02\x02\x02\x02\x05\x06\x06\x06\x04\b\x7f\x0b\x0e\x0e\x10\x10\x15"
        "\x17\t\t\t\x0c\x03";

    if (!below(300))
        return below(2) ? '\r' : '\n';
    return below(6) ? (u8)(below(4) ? 'a' + below(26) : ' ') : (u8)keys[below(sizeof(keys) - 1)];
}

static void compare(u8 (*next)(void), u32 count)
{
    static struct model model;
    u32 lines = 0, longest = 0;

    start();
    memset(&model, 0, sizeof(model));
    model.names = names_of_rows;
    for (u32 i = 0; i < count; i++) {
        u8 byte = next();
        const char *done = line_feed(&line, byte);

        model_feed(&model, byte);
        assert_null(model_differs(&model, &line, done));
        assert_int_equal(terminal.bells, model.bells);
        assert_true(line.length <= LINE_LENGTH_MAX);
        if (done) {
            lines++;
            line_prompt(&line);
            assert_string_equal(done, model.line);
            continue;
        }
        assert_null(terminal_differs(&terminal, PROMPT, line.text, line.cursor));
        longest = line.length > longest ? line.length : longest;
    }
    /* The mix reached what it is for. */
    assert_true(lines > count / 1000 && longest > 20);
    type("\x03go\x02x\r");
    assert_string_equal(finished, "gxo;");
}

static void random_bytes(void **state)
{
    (void)state;
    seed = 1;
    compare(any, 400000);
    compare(mostly_printable, 400000);
    compare(mostly_escapes, 400000);
    compare(mostly_keys, 800000);
}

static void it_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct line) < 3 * 1024);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(editing),
        cmocka_unit_test(a_zero_byte_does_nothing),
        cmocka_unit_test(screens),
        cmocka_unit_test(costs),
        cmocka_unit_test(a_line_has_128_characters),
        cmocka_unit_test(a_long_line_scrolls),
        cmocka_unit_test(a_long_line_costs_little),
        cmocka_unit_test(a_prompt_of_any_length),
        cmocka_unit_test(what_is_typed_survives_other_output),
        cmocka_unit_test(history),
        cmocka_unit_test(history_keeps_16_lines),
        cmocka_unit_test(history_of_long_lines),
        cmocka_unit_test(completion),
        cmocka_unit_test(without_a_callback_tab_does_nothing),
        cmocka_unit_test(completion_in_a_full_line),
        cmocka_unit_test(a_long_list_has_rows),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(it_is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
