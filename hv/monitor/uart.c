#include "uart.h"

#include "../spinlock.h"
#include "../../drivers/serial.h"

#define BUFFER_SIZE 256u /* a power of two */

struct buffer {
    u8 byte[BUFFER_SIZE];
    u32 first, end; /* both count on */
};

static struct {
    struct spinlock lock; /* of all but the port */
    u16 port;
    bool shared, taken;
    bool looped;            /* what comes in may be what L1 has sent to itself */
    bool fifo;              /* L1 has switched it on */
    u8 line_errors;         /* that L0's look at the line status has cleared: L1 is to see them */
    struct buffer typed;    /* for the monitor */
    struct buffer l1_input; /* for L1, of a shared one */
} uart;

/* What comes when it is full is lost, as in a UART. */
static void push(struct buffer *buffer, u8 byte)
{
    if (buffer->end - buffer->first < BUFFER_SIZE)
        buffer->byte[buffer->end++ % BUFFER_SIZE] = byte;
}

static bool is_empty(const struct buffer *buffer) { return buffer->first == buffer->end; }

static u8 pop(struct buffer *buffer)
{
    return is_empty(buffer) ? 0 : buffer->byte[buffer->first++ % BUFFER_SIZE];
}

#define SCRATCH 0x5a

/* One whose registers keep something: under another Plastron with a monitor there is one that does
   not. */
static bool is_there(u16 port)
{
    u8 before = serial_in(port, UART_SCR);
    bool kept;

    serial_out(port, UART_SCR, SCRATCH);
    kept = serial_in(port, UART_SCR) == SCRATCH;
    serial_out(port, UART_SCR, before);
    return kept;
}

bool uart_init(u16 port, u32 baud, bool shared)
{
    uart.shared = shared;
    uart.port = is_there(port) && serial_init(port, shared ? 0 : baud) ? port : 0;
    if (uart.port && !shared)
        serial_out(port, UART_IER, 0); /* the firmware's, whose interrupts L1 would get */
    return uart.port;
}

bool uart_has(u16 port, u32 count)
{
    return uart.port && ranges_overlap(port, count, uart.port, UART_PORTS);
}

/* The data register is the divisor's now. */
static bool latch_is_open(void) { return serial_in(uart.port, UART_LCR) & LCR_DLAB; }

static bool is_loop(void) { return uart.shared && (serial_in(uart.port, UART_MCR) & MCR_LOOP); }

/* What L1 sends to itself comes in as if it were typed: also what was on its way when L1 has ended
   the loop. */
static void follow_loop(u8 status)
{
    if (is_loop())
        uart.looped = true;
    else if ((status & (LSR_ALL_SENT | LSR_DATA_READY)) == LSR_ALL_SENT)
        uart.looped = false;
}

static void receive(u8 byte)
{
    if (!uart.shared)
        push(&uart.typed, byte);
    else if (byte == UART_ESCAPE && !uart.looped)
        uart.taken = !uart.taken;
    else
        push(uart.taken && !uart.looped ? &uart.typed : &uart.l1_input, byte);
}

/* Not for ever: a port that is none reads as all ones. */
static void receive_all(void)
{
    for (u32 i = 0; i < BUFFER_SIZE; i++) {
        u8 status = serial_in(uart.port, UART_LSR);

        follow_loop(status);
        if (!uart.taken || uart.looped)
            uart.line_errors |= status & LSR_ERRORS;
        if (!(status & LSR_DATA_READY))
            return;
        receive(serial_in(uart.port, UART_DATA));
    }
}

/* Whatever L1 has left the divisor's latch at. */
static void collect(void)
{
    u8 line_control = serial_begin(uart.port);

    receive_all();
    serial_end(uart.port, line_control);
}

bool uart_get(u8 *byte)
{
    bool got;

    if (!uart.port)
        return false;
    spin_lock(&uart.lock);
    collect();
    got = !is_empty(&uart.typed);
    *byte = pop(&uart.typed);
    spin_unlock(&uart.lock);
    return got;
}

/* A full FIFO's time at 115200 baud is 1.4 ms: while L0 waits to send, it reads. */
void uart_put(u8 byte)
{
    u8 line_control;

    if (!uart.port)
        return;
    spin_lock(&uart.lock);
    collect();
    if (!is_loop()) { /* or L1 would read it */
        line_control = serial_begin(uart.port);
        serial_put(uart.port, byte);
        serial_end(uart.port, line_control);
    }
    spin_unlock(&uart.lock);
}

#define LOCK_POLLS 1000000u /* more than a byte takes at 9600 baud */

bool uart_is_busy(void)
{
    for (u32 i = 0; i < LOCK_POLLS; i++)
        if (!__atomic_load_n(&uart.lock.taken, __ATOMIC_RELAXED))
            return false;
    return true;
}

bool uart_is_taken(void) { return uart.port && (!uart.shared || uart.taken); }

void uart_recover(void)
{
    if (!uart.port)
        return;
    uart.lock.taken = 0; /* its holder has been stopped */
    serial_recover(uart.port);
    uart.taken = true;
}

#define IER_RECEIVED 0x01
#define IIR_NONE     0x01
#define IIR_RECEIVED 0x04
#define IIR_FIFO_ON  0xc0
#define FCR_ENABLE   0x01
#define FCR_CLEAR_IN 0x02

static u8 guest_data(void)
{
    if (latch_is_open())
        return serial_in(uart.port, UART_DATA);
    collect();
    return pop(&uart.l1_input);
}

/* What L0 has read already interrupts still. */
static u8 guest_interrupt(void)
{
    collect();
    if (!is_empty(&uart.l1_input) && !latch_is_open() &&
        (serial_in(uart.port, UART_IER) & IER_RECEIVED))
        return (uart.fifo ? IIR_FIFO_ON : 0) | IIR_RECEIVED;
    return serial_in(uart.port, UART_FCR);
}

static u8 guest_line_status(void)
{
    u8 status;

    collect();
    status = serial_in(uart.port, UART_LSR) | uart.line_errors;
    uart.line_errors = 0;
    return is_empty(&uart.l1_input) ? status & (u8)~LSR_DATA_READY : status | LSR_DATA_READY;
}

static u8 guest_register(u16 reg)
{
    switch (reg) {
    case UART_DATA: return guest_data();
    case UART_FCR: return guest_interrupt();
    case UART_LSR: return guest_line_status();
    default: return serial_in(uart.port, reg);
    }
}

/* What is hidden is idle: the firmware may use it as a console, and goes on after it is hidden. To
   who looks for a UART its registers keep nothing: there is none. */
static u8 hidden_register(u16 reg)
{
    switch (reg) {
    case UART_FCR: return IIR_NONE;
    case UART_LSR: return LSR_ALL_SENT;
    default: return 0;
    }
}

u8 uart_guest_in(u16 port)
{
    u8 value;

    if (!uart.shared)
        return hidden_register((u16)(port - uart.port));
    spin_lock(&uart.lock);
    value = guest_register((u16)(port - uart.port));
    spin_unlock(&uart.lock);
    return value;
}

void uart_guest_out(u16 port, u8 value)
{
    u16 reg = (u16)(port - uart.port);

    if (!uart.shared)
        return;
    spin_lock(&uart.lock);
    /* What came in before belongs to the state before. */
    if (reg == UART_MCR || reg == UART_LCR)
        collect();
    if (reg == UART_FCR)
        uart.fifo = value & FCR_ENABLE;
    if (reg == UART_FCR && (value & FCR_CLEAR_IN))
        uart.l1_input.first = uart.l1_input.end;
    serial_out(uart.port, reg, value);
    spin_unlock(&uart.lock);
}
