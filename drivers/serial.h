/* A 16550 UART, polled. It may be missing, and L1 may use the same one: nothing here waits long. */
#ifndef PLASTRON_DRIVERS_SERIAL_H
#define PLASTRON_DRIVERS_SERIAL_H

#include "types.h"

/* Registers. National Semiconductor PC16550D data sheet, table 2. */
#define UART_DATA 0 /* divisor's low byte while LCR_DLAB is set */
#define UART_IER  1 /* divisor's high byte while LCR_DLAB is set */
#define UART_FCR  2 /* interrupt identification when read */
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_SCR  7 /* of no use to the UART */

#define LCR_DLAB       0x80
#define MCR_LOOP       0x10
#define LSR_DATA_READY 0x01
#define LSR_ERRORS     0x1e
#define LSR_ALL_SENT   0x60 /* the holding and the shift register are empty */

/* Sets 8 data bits, no parity and that speed; baud 0 leaves the UART as the firmware set it.
   False if no UART answers at the port. */
bool serial_init(u16 port, u32 baud);

/* Waits, not for ever, until the UART takes a byte; one that it never takes is dropped. */
void serial_put(u16 port, u8 byte);

/* Around what L0 prints while L1 may be setting the UART's speed: bytes would change that. What
   serial_begin returns is for serial_end. */
u8 serial_begin(u16 port);
void serial_end(u16 port, u8 line_control);

/* A register of the UART at the port, UART_DATA to UART_SCR: as it is, whatever state the UART is
 * in. */
u8 serial_in(u16 port, u16 reg);
void serial_out(u16 port, u16 reg, u8 value);

/* Makes the UART print again whatever state L1 left it in; the speed stays. For panic. */
void serial_recover(u16 port);

#endif
