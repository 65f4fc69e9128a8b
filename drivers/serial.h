/* A 16550 UART, polled. It may be missing, and L1 may use the same one: nothing here waits long. */
#ifndef PLASTRON_DRIVERS_SERIAL_H
#define PLASTRON_DRIVERS_SERIAL_H

#include "types.h"

/* Sets 8 data bits, no parity and that speed; baud 0 leaves the UART as the firmware set it.
   False if no UART answers at the port. */
bool serial_init(u16 port, u32 baud);

/* Waits, not for ever, until the UART takes a byte; one that it never takes is dropped. */
void serial_put(u16 port, u8 byte);

/* True if a byte has come, which serial_get then returns. */
bool serial_ready(u16 port);
u8 serial_get(u16 port);

/* Makes the UART print again whatever state L1 left it in; the speed stays. For panic. */
void serial_recover(u16 port);

#endif
