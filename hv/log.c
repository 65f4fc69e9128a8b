#include "log.h"
#include "format.h"
#include "log_ring.h"
#include "panic.h"
#include "monitor/say.h"
#include "../drivers/serial.h"

static struct log_ring ring;
static u16 console_port; /* 0: no console */
static u32 console_level;
static volatile u32 lock; /* guards ring and console, so that lines of cores do not mix */

void log_init(u16 port, u32 baud, u32 level)
{
    console_port = port && serial_init(port, baud) ? port : 0;
    console_level = level;
}

/* Gives up when a core panics: the holder may be stopped for good. */
static void log_lock(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) && !panicking)
        __builtin_ia32_pause();
}

static void log_unlock(void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }

static void console_put(char c)
{
    if (!console_port)
        return;
    if (c == '\n')
        serial_put(console_port, '\r');
    serial_put(console_port, (u8)c);
}

static void put_ring(void *context, char c)
{
    (void)context;
    log_ring_put(&ring, c);
}

static void put_both(void *context, char c)
{
    put_ring(context, c);
    console_put(c);
}

void log_print(u32 level, const char *format, ...)
{
    bool printed = console_port && level <= console_level;
    format_put *put = printed ? put_both : put_ring;
    u8 line_control = 0;
    va_list args;

    va_start(args, format);
    log_lock();
    if (printed)
        line_control = serial_begin(console_port);
    for (const char *at = "Plastron: "; *at; at++)
        put(NULL, *at);
    format_to(put, NULL, format, args);
    put(NULL, '\n');
    if (printed)
        serial_end(console_port, line_control);
    log_unlock();
    va_end(args);
}

void log_raw(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_to(put_both, NULL, format, args);
    va_end(args);
}

u64 log_enter_panic(void)
{
    if (console_port)
        serial_recover(console_port);
    return ring.written;
}

void log_show(u32 lines)
{
    u64 end = ring.written;

    for (u64 at = log_ring_lines(&ring, end, lines); at < end; at++)
        say("%c", log_ring_at(&ring, at));
}

void log_replay(u64 end, u32 lines)
{
    for (u64 at = log_ring_lines(&ring, end, lines); at < end; at++)
        console_put(log_ring_at(&ring, at));
}
