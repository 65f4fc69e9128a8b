/* The local APIC of this core, in xAPIC or x2APIC mode. SDM vol. 3, "Advanced Programmable
   Interrupt Controller (APIC)". */
#ifndef PLASTRON_DRIVERS_LAPIC_H
#define PLASTRON_DRIVERS_LAPIC_H

#include "types.h"

/* Interprocessor interrupts: delivery modes of the ICR. Waits, within bounds, for the one before.
   False if the APIC cannot send to that ID, or is out of reach. */
#define LAPIC_NMI    0x400u
#define LAPIC_INIT   0x500u
#define LAPIC_SIPI   0x600u
#define LAPIC_MODE   0x700u
#define LAPIC_VECTOR 0xffu
bool lapic_send_others(u32 mode);
bool lapic_send(u32 apic_id, u32 mode);

/* Mode and vector of what this core sent last, if it went to the given other core (and not to a
   logical destination), else 0. */
u32 lapic_last_command(u32 apic_id);

/* The vector of the interrupt with the highest priority that waits to be delivered; 0: none. SDM
   vol. 3, "Interrupt Acceptance for Fixed Interrupts". */
u32 lapic_waiting_vector(void);

/* The state after INIT, as far as software can make it: the ID and the mode stay. SDM vol. 3,
   "Local APIC State After an INIT Reset". */
void lapic_init_reset(void);

#endif
