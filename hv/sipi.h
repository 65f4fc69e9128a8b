/* SIPIs that the boot core sends right behind an INIT. */
#ifndef PLASTRON_HV_SIPI_H
#define PLASTRON_HV_SIPI_H

#include "cpu.h"

/* On a core that has got an INIT and is about to wait for a SIPI: whether one has come, and is
   lost, already, and with what vector. If not, the caller must enter the wait without delay. */
bool sipi_lost(struct cpu *cpu, u8 *vector);

/* On the boot core, when another core made it exit: answers those who ask. */
void sipi_answer(void);

#endif
