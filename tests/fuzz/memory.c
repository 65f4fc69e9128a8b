/* Physical memory for the harnesses: sparse, with something at every address. */
#include "fuzz.h"

#include "mm/phys.h"

#define WORDS 4096 /* that one case may touch; a power of two */

static struct word {
    u64 pa, value;
    u32 epoch; /* of the case that touched it */
    u32 reads;
    bool written;
} words[WORDS];
static u32 epoch, used, total_reads, total_writes;
static u64 seed;

u64 (*memory_word)(u64 pa);

void memory_reset(u64 new_seed)
{
    epoch++;
    used = total_reads = total_writes = 0;
    seed = new_seed;
}

u64 memory_seed(void) { return seed; }

static struct word *find(u64 pa)
{
    u64 at = mix(pa, 1) % WORDS;

    while (words[at].epoch == epoch && words[at].pa != pa)
        at = (at + 1) % WORDS;
    if (words[at].epoch != epoch) {
        DEMAND(++used < WORDS);
        words[at] = (struct word){
            .pa = pa, .epoch = epoch, .value = memory_word ? memory_word(pa) : mix(seed, pa)};
    }
    return &words[at];
}

void memory_put(u64 pa, u64 value) { find(pa)->value = value; }
u64 memory_get(u64 pa) { return find(pa)->value; }
u32 memory_reads(u64 pa) { return find(pa & ~7ull)->reads; }
u32 memory_total_reads(void) { return total_reads; }
u32 memory_total_writes(void) { return total_writes; }

void memory_written(void (*see)(u64 pa))
{
    for (u32 i = 0; i < WORDS; i++)
        if (words[i].epoch == epoch && words[i].written)
            see(words[i].pa);
}

static struct word *read_word(u64 pa)
{
    struct word *word = find(pa & ~7ull);

    word->reads++;
    total_reads++;
    return word;
}

u64 phys_read64(u64 pa)
{
    DEMAND(pa % 8 == 0);
    return read_word(pa)->value;
}

u32 phys_read32(u64 pa)
{
    DEMAND(pa % 4 == 0);
    return (u32)(read_word(pa)->value >> 8 * (pa % 8));
}

static void set(struct word *word, u64 value)
{
    word->value = value;
    word->written = true;
    total_writes++;
}

bool phys_set_bits64(u64 pa, u64 old, u64 bits)
{
    struct word *word = find(pa);

    DEMAND(pa % 8 == 0);
    if (word->value != old)
        return false;
    set(word, old | bits);
    return true;
}

bool phys_set_flags(u64 pa, u64 old, u64 bits) { return phys_set_bits64(pa, old, bits); }

bool phys_set_bits32(u64 pa, u32 old, u32 bits)
{
    struct word *word = find(pa & ~7ull);
    u32 shift = 8 * (pa % 8);

    DEMAND(pa % 4 == 0);
    if ((u32)(word->value >> shift) != old)
        return false;
    set(word, word->value | (u64)bits << shift);
    return true;
}

void phys_read(void *to, u64 pa, u64 len)
{
    for (u64 i = 0; i < len; i++)
        ((u8 *)to)[i] = (u8)(read_word((pa + i) & ~7ull)->value >> 8 * ((pa + i) % 8));
}

void phys_write(u64 pa, const void *from, u64 len)
{
    for (u64 i = 0; i < len; i++) {
        struct word *word = find((pa + i) & ~7ull);
        u32 shift = 8 * ((pa + i) % 8);

        set(word, (word->value & ~(0xffull << shift)) | (u64)((const u8 *)from)[i] << shift);
    }
}

bool phys_is_hidden(u64 pa, u64 len)
{
    (void)pa;
    (void)len;
    return false;
}
