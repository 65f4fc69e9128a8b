/* How fast the time-stamp counter goes. */
#ifndef PLASTRON_BOOT_CLOCK_H
#define PLASTRON_BOOT_CLOCK_H

#include "types.h"

/* Ticks a second, measured against the firmware's clock for a hundredth of one. */
u64 clock_tsc_hz(void);

#endif
