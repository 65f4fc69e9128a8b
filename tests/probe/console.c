/* The transcript on com1, by polling; what a row says is collected and printed as one line. */
#include "probe.h"

#define UART                   0x3f8
#define UART_FIFO_CONTROL      2
#define UART_FIFO_SIZE         16
#define UART_LINE_STATUS       5
#define UART_TRANSMITTER_EMPTY BIT(5)
#define UART_TRANSMITTER_IDLE  BIT(6)

#define POWER_PORT 0x8900

static char line[8192];
static size_t line_length;

static bool may_sleep;
static u32 room;

void console_sleeps(void)
{
    port_write(UART + UART_FIFO_CONTROL, 7);
    may_sleep = true;
}

static void put_char(char c)
{
    if (room == 0) {
        while (!(port_read(UART + UART_LINE_STATUS) & UART_TRANSMITTER_EMPTY))
            if (may_sleep)
                machine_nap();
        room = may_sleep ? UART_FIFO_SIZE : 1;
    }
    room--;
    port_write(UART, (u8)c);
}

void console_put(const char *text)
{
    while (*text)
        put_char(*text++);
}

struct sink {
    char *out;
    size_t size, used;
};

static void sink_char(struct sink *sink, char c)
{
    if (sink->used + 1 < sink->size)
        sink->out[sink->used++] = c;
}

static void sink_text(struct sink *sink, const char *text)
{
    while (*text)
        sink_char(sink, *text++);
}

static void sink_number(struct sink *sink, u64 value, u32 base)
{
    char digits[24];
    u32 count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        sink_char(sink, digits[--count]);
}

/* Addresses that may differ from run to run are printed by where they lie in their block. */
static void sink_address(struct sink *sink, u64 value)
{
    if (value - (u64)arena < ARENA_SIZE) {
        sink_text(sink, "A+");
        value -= (u64)arena;
    } else if (value - WINDOW_BASE < WINDOW_PAGES * PAGE_SIZE) {
        sink_text(sink, "W+");
        value -= WINDOW_BASE;
    }
    sink_number(sink, value, 16);
}

static void sink_format(struct sink *sink, const char *format, va_list arguments)
{
    for (; *format; format++) {
        bool is_long = false;

        if (*format != '%') {
            sink_char(sink, *format);
            continue;
        }
        format++;
        if (*format == 'l') {
            is_long = true;
            format++;
        }
        switch (*format) {
        case 's': sink_text(sink, va_arg(arguments, const char *)); break;
        case 'c': sink_char(sink, (char)va_arg(arguments, int)); break;
        case 'p': sink_address(sink, (u64)va_arg(arguments, void *)); break;
        case 'd':
        case 'u':
        case 'x':
            sink_number(sink, is_long ? va_arg(arguments, u64) : va_arg(arguments, u32),
                        *format == 'x' ? 16 : 10);
            break;
        default: sink_char(sink, *format); break;
        }
    }
    sink->out[sink->used] = 0;
}

void say(const char *format, ...)
{
    struct sink sink = {.out = line, .size = sizeof(line), .used = line_length};
    va_list arguments;

    va_start(arguments, format);
    sink_format(&sink, format, arguments);
    va_end(arguments);
    line_length = sink.used;
}

void format_text_list(char *out, size_t size, const char *format, va_list arguments)
{
    struct sink sink = {.out = out, .size = size};

    sink_format(&sink, format, arguments);
}

void format_text(char *out, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_text_list(out, size, format, arguments);
    va_end(arguments);
}

void line_clear(void)
{
    line_length = 0;
    line[0] = 0;
}

const char *line_text(void) { return line; }

void line_print(const char *prefix, const char *name)
{
    console_put(prefix);
    console_put(name);
    if (line_length) {
        console_put(": ");
        console_put(line);
    }
    console_put("\r\n");
    line_clear();
}

/* Ends the emulator: Bochs wants the whole word, QEMU's isa-debug-exit its first letter. */
void power_off(void)
{
    static const char word[] = "Shutdown";

    while (!(port_read(UART + UART_LINE_STATUS) & UART_TRANSMITTER_IDLE))
        ;
    for (size_t i = 0; word[i]; i++)
        port_write(POWER_PORT, (u8)word[i]);
    for (;;)
        __asm__ volatile("cli; hlt");
}
