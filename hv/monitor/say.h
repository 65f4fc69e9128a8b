/* What the monitor prints, by the formats of hv/format.h. */
#ifndef PLASTRON_HV_MONITOR_SAY_H
#define PLASTRON_HV_MONITOR_SAY_H

/* Prints on the monitor's port at once; "\n" ends a line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
