/*
 * What the libFuzzer harnesses share. A harness draws a case from the fuzzer's bytes, runs the
 * function under test, and aborts when what came out breaks a property or differs from a second
 * model that stands in the harness, written from the SDM and not from the code.
 */
#ifndef PLASTRON_TESTS_FUZZ_H
#define PLASTRON_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Stops with a message: what libFuzzer takes for a crash, and keeps the input of. */
#define DEMAND(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- the fuzzer's bytes, zeros when they are used up ---- */

struct input {
    const u8 *at, *end;
};

static inline u64 take(struct input *in, u32 size)
{
    u64 value = 0;

    for (u32 i = 0; i < size && in->at < in->end; i++)
        value |= (u64)*in->at++ << 8 * i;
    return value;
}

static inline u8 take8(struct input *in) { return (u8)take(in, 1); }
static inline u16 take16(struct input *in) { return (u16)take(in, 2); }
static inline u32 take32(struct input *in) { return (u32)take(in, 4); }
static inline u64 take64(struct input *in) { return take(in, 8); }
static inline bool is_empty(const struct input *in) { return in->at == in->end; }

/* A value of the interesting kind: few bits, all but few, or anything. */
static inline u64 take_value(struct input *in)
{
    u8 kind = take8(in);

    switch (kind & 7) {
    case 0: return 0;
    case 1: return ~0ull;
    case 2: return BIT64(kind >> 3);
    case 3: return BIT64(kind >> 3) << 32;
    case 4: return BIT64(32 + (kind >> 3)) - 1;
    case 5: return ~(BIT64(32 + (kind >> 3)) - 1);
    case 6: return take16(in);
    default: return take64(in);
    }
}

static inline u64 mix(u64 a, u64 b)
{
    u64 z = (a ^ b * 0x9e3779b97f4a7c15ull) + 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* ---- memory.c: mm/phys.h over a memory that holds something at every address ---- */

/* Forgets all writes; what is read follows from the seed. */
void memory_reset(u64 seed);
/* What an untouched, aligned 64-bit word holds; NULL: a number that follows from the seed. */
extern u64 (*memory_word)(u64 pa);
u64 memory_seed(void);
void memory_put(u64 pa, u64 value); /* an aligned word */
u64 memory_get(u64 pa);             /* not counted */
/* How often the function under test read and wrote the word, since the last reset. */
u32 memory_reads(u64 pa);
u32 memory_total_reads(void);
u32 memory_total_writes(void);
/* Calls back for each word that was written. */
void memory_written(void (*see)(u64 pa));

#endif
