/*
 * The monitor's UART, and what L1 sees of it. One that is the monitor's alone is hidden: L1 finds
 * none there. One that is shared is L1's, but that L0 reads first what is typed: the escape key
 * gives what follows to the monitor, and back to L1. A plain 16550 as L1 knows it, else.
 */
#ifndef PLASTRON_HV_MONITOR_UART_H
#define PLASTRON_HV_MONITOR_UART_H

#include "types.h"

#define UART_PORTS  8
#define UART_ESCAPE 0x1e /* Ctrl-^ */

/* The monitor's port, and its speed in bits a second; shared: with L1, and the speed stays. False
   if no UART answers there: then all that follows finds none. */
bool uart_init(u16 port, u32 baud, bool shared);

/* Any of count ports from port on is the monitor's. */
bool uart_has(u16 port, u32 count);

/* The next byte for the monitor; false if there is none. */
bool uart_get(u8 *byte);

/* Sends a byte; if the UART never takes it, it is lost. What is typed is read meanwhile. */
void uart_put(u8 byte);

/* Some core is in one of these for longer than it takes: this one, which was interrupted there. */
bool uart_is_busy(void);

/* What is typed is for the monitor now: always, but on a shared port. */
bool uart_is_taken(void);

/* L0 needs it, whatever L1 did to it: after a panic. */
void uart_recover(void);

/* L1's, or L2's, IN and OUT of one byte at one of its ports. */
u8 uart_guest_in(u16 port);
void uart_guest_out(u16 port, u8 value);

#endif
