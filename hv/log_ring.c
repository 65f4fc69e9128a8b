#include "log_ring.h"
#include "lib.h"

void log_ring_put(struct log_ring *ring, char c)
{
    if (ring->written == 0) {
        memcpy(ring->magic, LOG_RING_MAGIC, sizeof(LOG_RING_MAGIC));
        ring->size = LOG_RING_SIZE;
    }
    ring->text[ring->written % LOG_RING_SIZE] = c;
    ring->written++;
}

u64 log_ring_lines(const struct log_ring *ring, u64 end, u32 lines)
{
    u64 oldest = ring->written > LOG_RING_SIZE ? ring->written - LOG_RING_SIZE : 0;
    u64 start = end;

    while (start > oldest) {
        /* A newline right at the end closes the last line rather than opening one. */
        if (start != end && log_ring_at(ring, start - 1) == '\n' && --lines == 0)
            break;
        start--;
    }
    return start;
}
