/*
 * The log's ring in memory, and what only a panic asks of the log. In a memory dump the ring is
 * found by its magic string, followed by its size and the count of bytes written so far; the
 * next byte goes to text[written % size].
 */
#ifndef PLASTRON_HV_LOG_RING_H
#define PLASTRON_HV_LOG_RING_H

#include "types.h"

#define LOG_RING_MAGIC "PLASTRON-LOG-RING"
#define LOG_RING_SIZE  65536u

struct log_ring {
    char magic[24];
    u64 size;
    u64 written;
    char text[LOG_RING_SIZE];
};

/* The ring may start as zeros (.bss): the first byte completes its head. */
void log_ring_put(struct log_ring *ring, char c);

/* Where the last so many whole lines before position end begin, or the oldest text still there. */
u64 log_ring_lines(const struct log_ring *ring, u64 end, u32 lines);

static inline char log_ring_at(const struct log_ring *ring, u64 position)
{
    return ring->text[position % LOG_RING_SIZE];
}

/* hv/log.c: makes the console print whatever L1 did to it, and returns the ring's end. */
u64 log_enter_panic(void);

/* hv/log.c: shows the ring's last lines in the monitor. */
void log_show(u32 lines);

/* hv/log.c: prints the ring's last lines before position end again, on the console alone. */
void log_replay(u64 end, u32 lines);

#endif
