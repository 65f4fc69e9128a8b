/* Polled 16550 UART. Registers: National Semiconductor PC16550D data sheet, table 2. */
#include "serial.h"

#include "../hv/insn.h"

#define FCR_ENABLE            0x01
#define LCR_8N1               0x03
#define MCR_DTR               0x01
#define MCR_RTS               0x02
#define MCR_OUT2              0x08 /* gates the interrupt line on a PC */
#define LSR_TRANSMITTER_EMPTY 0x20
#define LSR_ABSENT            0xff /* what an empty port reads; bit 7 never stands with all the others */

#define UART_CLOCK 115200u

/* A port read takes about 1 us: enough for a full FIFO at 300 bits a second. */
#define PUT_POLLS 500000u

static inline u16 uart(u16 port, u16 reg) { return (u16)(port + reg); }

u8 serial_in(u16 port, u16 reg) { return port_in(uart(port, reg)); }

void serial_out(u16 port, u16 reg, u8 value) { port_out(uart(port, reg), value); }

/* A UART that has stalled once is not waited for again until it has been seen to move. */
static bool stalled;

static bool wait_transmitter(u16 port)
{
    u32 polls = stalled ? 1 : PUT_POLLS;

    while (polls--) {
        if (port_in(uart(port, UART_LSR)) & LSR_TRANSMITTER_EMPTY) {
            stalled = false;
            return true;
        }
        __builtin_ia32_pause();
    }
    stalled = true;
    return false;
}

static void set_speed(u16 port, u32 baud)
{
    u32 divisor = UART_CLOCK / baud;

    if (divisor == 0)
        divisor = 1;
    if (divisor > 0xffff)
        divisor = 0xffff;
    port_out(uart(port, UART_LCR), LCR_DLAB | LCR_8N1);
    port_out(uart(port, UART_DATA), (u8)divisor);
    port_out(uart(port, UART_IER), (u8)(divisor >> 8));
    port_out(uart(port, UART_LCR), LCR_8N1);
}

bool serial_init(u16 port, u32 baud)
{
    if (port_in(uart(port, UART_LSR)) == LSR_ABSENT)
        return false;
    if (baud == 0)
        return true;
    wait_transmitter(port); /* the firmware's last byte must leave at the old speed */
    set_speed(port, baud);
    port_out(uart(port, UART_FCR), FCR_ENABLE);
    port_out(uart(port, UART_MCR), MCR_DTR | MCR_RTS | MCR_OUT2);
    return true;
}

void serial_put(u16 port, u8 byte)
{
    if (wait_transmitter(port))
        port_out(uart(port, UART_DATA), byte);
}

u8 serial_begin(u16 port)
{
    u8 line_control = port_in(uart(port, UART_LCR));

    if (line_control & LCR_DLAB)
        port_out(uart(port, UART_LCR), (u8)(line_control & ~LCR_DLAB));
    return line_control;
}

void serial_end(u16 port, u8 line_control)
{
    if (line_control & LCR_DLAB)
        port_out(uart(port, UART_LCR), line_control);
}

void serial_recover(u16 port)
{
    port_out(uart(port, UART_LCR), LCR_8N1); /* L1 may have been stopped with DLAB set */
    port_out(uart(port, UART_IER), 0);
    port_out(uart(port, UART_MCR), MCR_DTR | MCR_RTS | MCR_OUT2); /* no loop-back */
    stalled = false;
}
