/*
 * The flight recorder of a core (include/recorder.h): only the core itself writes, anybody may read
 * meanwhile. A writer takes a slot, fills all but its kind, and closes it with the kind:
 *
 *     struct record *record = recorder_next(recorder);
 *     record->tsc = rdtsc(); ...
 *     record_close(record, RECORD_INIT);
 *
 * An exit's slot may be closed at its start with 0 ticks, so that a panic shows it, and gets its
 * final flags, then its ticks, before the VM entry. Other records may come in between.
 */
#ifndef PLASTRON_HV_RECORDER_H
#define PLASTRON_HV_RECORDER_H

#include "../include/recorder.h"

/* Longest line of record_text(), its end included; a deviation's text may be longer and is cut. */
#define RECORD_TEXT_MAX 256

/* The text of L0's at the address, or NULL if none can be there. */
typedef const char *recorder_text_of(u64 address);

/* An empty ring, for the core of that index. */
void recorder_init(struct recorder *recorder, u32 core);

/* The order of stores is the program's for another core too: SDM vol. 3, "Memory Ordering in P6 and
   More Recent Processor Families". Only the compiler has to keep it. */
static inline void recorder_order(void) { __asm__ volatile("" ::: "memory"); }

/* The slot of the next record, open: no reader takes it before it is closed. */
static inline struct record *recorder_next(struct recorder *recorder)
{
    s64 next = recorder->next;
    struct record *record = (struct record *)((char *)(recorder + 1) + next);

    record->kind = RECORD_NONE;
    recorder_order();
    recorder->written++;
    next += (s64)sizeof(*record);
    if (__builtin_expect(next == 0, 0))
        next = -(s64)sizeof(recorder->record);
    recorder->next = next;
    recorder_order();
    return record;
}

/* All else of the record has been filled. */
static inline void record_close(struct record *record, enum record_kind kind)
{
    recorder_order();
    record->kind = (u8)kind;
}

/* One line, without its end: what tools/trace reads, and a reader too. Writes at most size bytes,
   the final zero included; returns the length that the whole line has, 0 for a record that is not
   complete. text_of finds the text of a deviation. */
size_t record_text(const struct record *record, u32 core, recorder_text_of *text_of, char *to,
                   size_t size);

/* Hands out the last so many records as such lines, the oldest first; fewer where some are not
   complete, or are written over meanwhile. */
void recorder_print(const struct recorder *recorder, u32 last, recorder_text_of *text_of,
                    void (*line)(const char *text));

#endif
