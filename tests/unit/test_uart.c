/* hv/monitor/uart.c: a UART that the monitor has to itself, and one that it shares with L1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "drivers/serial.h"
#include "hv/monitor/uart.h"

#define PORT 0x3f8
#define KEY  UART_ESCAPE

/* A 16550: a FIFO of what comes in, registers that keep what is written, and what was sent. */
static struct {
    u8 in[64];
    u32 first, end;
    u8 reg[UART_PORTS], divisor[2];
    u8 sent[512];
    u32 sent_count;
    u8 errors;
    bool absent, sending;
} device;

static bool latch(void) { return device.reg[UART_LCR] & LCR_DLAB; }

u8 serial_in(u16 port, u16 reg)
{
    u8 value;

    assert_int_equal(port, PORT);
    if (device.absent)
        return 0xff;
    switch (reg) {
    case UART_DATA:
        if (latch())
            return device.divisor[0];
        return device.first == device.end ? 0 : device.in[device.first++];
    case UART_FCR: return device.first == device.end ? 0xc1 : 0xc4;
    case UART_LSR:
        value = (u8)((device.sending ? 0x20 : 0x60) | device.errors | (device.first != device.end));
        device.errors = 0;
        return value;
    default: return device.reg[reg];
    }
}

void serial_out(u16 port, u16 reg, u8 value)
{
    assert_int_equal(port, PORT);
    if (reg <= UART_IER && latch())
        device.divisor[reg] = value;
    else if (reg == UART_DATA && (device.reg[UART_MCR] & MCR_LOOP))
        device.in[device.end++] = value;
    else if (reg == UART_DATA)
        device.sent[device.sent_count++] = value;
    else
        device.reg[reg] = value;
}

bool serial_init(u16 port, u32 baud)
{
    (void)baud;
    return serial_in(port, UART_LSR) != 0xff;
}

void serial_put(u16 port, u8 byte) { serial_out(port, UART_DATA, byte); }

u8 serial_begin(u16 port)
{
    u8 line_control = serial_in(port, UART_LCR);

    if (line_control & LCR_DLAB)
        serial_out(port, UART_LCR, line_control & (u8)~LCR_DLAB);
    return line_control;
}

void serial_end(u16 port, u8 line_control)
{
    if (line_control & LCR_DLAB)
        serial_out(port, UART_LCR, line_control);
}

void serial_recover(u16 port)
{
    (void)port;
    device.reg[UART_LCR] = 3;
    device.reg[UART_MCR] = 0xb;
}

static void type(const char *text)
{
    while (*text)
        device.in[device.end++] = (u8)*text++;
}

static void start(bool shared)
{
    u8 byte;

    while (uart_get(&byte))
        continue;
    memset(&device, 0, sizeof(device));
    assert_true(uart_init(PORT, 0, shared));
    while (shared && uart_is_taken()) {
        type("\x1e");
        uart_get(&byte);
    }
    uart_guest_out(PORT + UART_FCR, 7);
}

/* What the monitor gets, as text. */
static const char *monitor_gets(void)
{
    static char text[512];
    size_t length = 0;
    u8 byte;

    while (uart_get(&byte))
        text[length++] = (char)byte;
    text[length] = 0;
    return text;
}

static u8 in(u16 reg) { return uart_guest_in((u16)(PORT + reg)); }
static void out(u16 reg, u8 value) { uart_guest_out((u16)(PORT + reg), value); }

/* What L1 gets that polls. */
static const char *l1_gets(void)
{
    static char text[512];
    size_t length = 0;

    while (in(UART_LSR)&LSR_DATA_READY)
        text[length++] = (char)in(UART_DATA);
    text[length] = 0;
    return text;
}

static void hidden(void **state)
{
    (void)state;
    start(false);
    type("help\r");
    assert_int_equal(in(UART_LSR), 0x60);
    assert_int_equal(in(UART_FCR), 1);
    for (u16 reg = 0; reg < UART_PORTS; reg++) {
        out(reg, 0xff);
        if (reg != UART_LSR && reg != UART_FCR)
            assert_int_equal(in(reg), 0);
    }
    assert_int_equal(device.sent_count, 0);
    assert_int_equal(device.reg[UART_MCR], 0);
    assert_string_equal(monitor_gets(), "help\r");
    assert_true(uart_is_taken());
    assert_true(uart_has(PORT, 1));
    assert_true(uart_has(PORT + 7, 1));
    assert_true(uart_has(PORT - 1, 2));
    assert_false(uart_has(PORT - 1, 1));
    assert_false(uart_has(PORT + 8, 4));
}

static void absent(void **state)
{
    (void)state;
    start(false);
    device.absent = true;
    assert_false(uart_init(PORT, 0, false));
    assert_false(uart_has(PORT, 1));
    assert_false(uart_is_taken());
    uart_put('x');
    assert_string_equal(monitor_gets(), "");
}

static void shared_is_l1s(void **state)
{
    (void)state;
    start(true);
    type("ls\r");
    assert_string_equal(monitor_gets(), "");
    assert_false(uart_is_taken());
    assert_string_equal(l1_gets(), "ls\r");
    assert_int_equal(in(UART_LSR), 0x60);
}

/* The key goes to neither; what is typed behind it is the monitor's, and behind the next
   one L1's. */
static void escape(void **state)
{
    (void)state;
    start(true);
    type("ab\x1e"
         "cpus\r\x1e"
         "cd");
    assert_string_equal(l1_gets(), "abcd");
    assert_false(uart_is_taken());
    assert_string_equal(monitor_gets(), "cpus\r");
    type("\x1e");
    assert_string_equal(monitor_gets(), "");
    assert_true(uart_is_taken());
    type("x");
    assert_string_equal(l1_gets(), "");
    assert_string_equal(monitor_gets(), "x");
}

/* L1's handler of interrupts: it asks why before it looks at the line status. */
static void interrupts(void **state)
{
    (void)state;
    start(true);
    out(UART_IER, 1);
    assert_int_equal(in(UART_FCR)&0xf, 1);
    type("a");
    assert_string_equal(monitor_gets(), ""); /* L0's look takes it out of the UART */
    assert_int_equal(in(UART_FCR)&0xf, 4);
    assert_int_equal(in(UART_DATA), 'a');
    assert_int_equal(in(UART_FCR)&0xf, 1);
    out(UART_IER, 0);
    type("b");
    assert_int_equal(in(UART_FCR)&0xf, 1);
    assert_string_equal(l1_gets(), "b");
}

static void divisor(void **state)
{
    (void)state;
    start(true);
    type("a");
    out(UART_LCR, LCR_DLAB | 3);
    out(UART_DATA, 1);
    out(UART_IER, 0);
    assert_int_equal(in(UART_DATA), 1);
    assert_string_equal(monitor_gets(), ""); /* nor does L0 read the divisor for a character */
    out(UART_LCR, 3);
    assert_int_equal(device.divisor[0], 1);
    assert_string_equal(l1_gets(), "a");
}

/* L1 must not be able to type into the monitor. */
static void loop_back(void **state)
{
    static const char text[] = "\x1ereset\r";

    (void)state;
    for (u32 taken = 0; taken < 2; taken++) {
        start(true);
        if (taken)
            type("\x1e");
        assert_string_equal(monitor_gets(), "");
        out(UART_MCR, MCR_LOOP);
        for (u32 i = 0; text[i]; i++)
            out(UART_DATA, (u8)text[i]);
        out(UART_MCR, 0);
        assert_string_equal(monitor_gets(), "");
        assert_int_equal(uart_is_taken(), taken);
        assert_string_equal(l1_gets(), text);
    }
}

/* What L1 has sent comes in after it has ended the loop. */
static void loop_in_flight(void **state)
{
    (void)state;
    start(true);
    out(UART_MCR, MCR_LOOP);
    device.sending = true;
    assert_string_equal(monitor_gets(), "");
    out(UART_MCR, 0);
    assert_string_equal(monitor_gets(), "");
    type("\x1e");
    device.sending = false;
    assert_string_equal(monitor_gets(), "");
    assert_false(uart_is_taken());
    assert_string_equal(l1_gets(), "\x1e");
    type("\x1e");
    assert_string_equal(monitor_gets(), "");
    assert_true(uart_is_taken());
    /* Nor does L1 read what the monitor prints. */
    out(UART_MCR, MCR_LOOP);
    uart_put('x');
    assert_string_equal(l1_gets(), "");
}

/* An L1 that hangs while it sets the speed. */
static void latch_left_open(void **state)
{
    (void)state;
    start(true);
    out(UART_LCR, LCR_DLAB | 3);
    type("\x1e"
         "cpus\r");
    assert_string_equal(monitor_gets(), "cpus\r");
    assert_int_equal(device.reg[UART_LCR], LCR_DLAB | 3);
}

static void line_errors(void **state)
{
    (void)state;
    start(true);
    device.errors = 0x0a;
    assert_string_equal(monitor_gets(), "");
    assert_int_equal(in(UART_LSR), 0x6a);
    assert_int_equal(in(UART_LSR), 0x60);
}

static void fifo_cleared(void **state)
{
    (void)state;
    start(true);
    type("abc");
    assert_string_equal(monitor_gets(), "");
    out(UART_FCR, 3);
    assert_string_equal(l1_gets(), "");
}

static void sending(void **state)
{
    (void)state;
    start(true);
    out(UART_DATA, 'x');
    uart_put('y');
    type("in");
    uart_put('z');
    assert_memory_equal(device.sent, "xyz", 3);
    assert_string_equal(l1_gets(), "in");
    /* L0's text while L1 sets the speed: the divisor stays. */
    out(UART_LCR, LCR_DLAB | 3);
    assert_int_equal(device.reg[UART_LCR], LCR_DLAB | 3);
}

static void overflow(void **state)
{
    u32 count = 0;
    u8 byte;

    (void)state;
    start(false);
    for (u32 i = 0; i < 100; i++) {
        device.first = device.end = 0;
        type("0123456789");
        uart_put('.');
    }
    while (uart_get(&byte))
        count++;
    assert_int_equal(count, 256);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden),         cmocka_unit_test(absent),
        cmocka_unit_test(shared_is_l1s),  cmocka_unit_test(escape),
        cmocka_unit_test(interrupts),     cmocka_unit_test(divisor),
        cmocka_unit_test(loop_back),      cmocka_unit_test(line_errors),
        cmocka_unit_test(loop_in_flight), cmocka_unit_test(latch_left_open),
        cmocka_unit_test(fifo_cleared),   cmocka_unit_test(sending),
        cmocka_unit_test(overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
