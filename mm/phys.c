#include "phys.h"

#include "lib.h"
#include "pool.h"
#include "../hv/l0.h"

/* The part of [pa, pa + len) from pa on that lies in one page. */
static u64 part_in_page(u64 pa, u64 len)
{
    u64 rest = PAGE_SIZE - (pa & ~PAGE_MASK);

    return len < rest ? len : rest;
}

bool phys_is_hidden(u64 pa, u64 len)
{
    return ranges_overlap(pa, len, l0.boot.region_base, l0.boot.region_size);
}

/* Where L0 reaches a range within a page, NULL if L1 has no memory there. A device must not be
   touched as memory is: the local APIC, for one, breaks at accesses of other than 32 bits. */
static void *reach(u64 pa, u64 len)
{
    bool device = pa >= l0.boot.low_ram_top && pa < 4 * SIZE_1G;

    if (device || pa >= l0.boot.ram_top || phys_is_hidden(pa, len))
        return NULL;
    return pool_va(pa);
}

u64 phys_read64(u64 pa)
{
    const u64 *word = reach(pa, sizeof(*word));

    return word ? __atomic_load_n(word, __ATOMIC_RELAXED) : ~0ull;
}

const u64 *phys_table(u64 pa) { return reach(pa, PAGE_SIZE); }

u32 phys_read32(u64 pa)
{
    const u32 *word = reach(pa, sizeof(*word));

    return word ? __atomic_load_n(word, __ATOMIC_RELAXED) : ~0u;
}

/* The same for a write that L1 or L2 makes: EPT02 may mirror what is there. */
static void *reach_to_write(u64 pa, u64 len)
{
    void *to = reach(pa, len);

    if (to)
        ept02_source_written(&l0.ept02, pa);
    return to;
}

bool phys_set_flags(u64 pa, u64 old, u64 bits)
{
    u64 *word = reach(pa, sizeof(*word));

    return word && __atomic_compare_exchange_n(word, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST);
}

bool phys_set_bits64(u64 pa, u64 old, u64 bits)
{
    return reach_to_write(pa, sizeof(u64)) && phys_set_flags(pa, old, bits);
}

bool phys_set_bits32(u64 pa, u32 old, u32 bits)
{
    u32 *word = reach_to_write(pa, sizeof(*word));

    return word && __atomic_compare_exchange_n(word, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST);
}

/*
 * An aligned word is accessed in one piece, as the processor does for L1, whose other cores look
 * on: SDM vol. 3, "Guaranteed Atomic Operations".
 */
#define READ_WORD(type)                                                                            \
    case sizeof(type): {                                                                           \
        type word = __atomic_load_n((const type *)from, __ATOMIC_RELAXED);                         \
        __builtin_memcpy(to, &word, sizeof(word));                                                 \
        return;                                                                                    \
    }
#define WRITE_WORD(type)                                                                           \
    case sizeof(type): {                                                                           \
        type word;                                                                                 \
        __builtin_memcpy(&word, from, sizeof(word));                                               \
        __atomic_store_n((type *)to, word, __ATOMIC_RELAXED);                                      \
        return;                                                                                    \
    }

/* len, or 0 if a word of that size would not be aligned. */
static u64 word_size(const void *at, u64 len) { return (uintptr_t)at & (len - 1) ? 0 : len; }

static void read_bytes(void *to, const void *from, u64 len)
{
    switch (word_size(from, len)) {
        READ_WORD(u64)
        READ_WORD(u32)
        READ_WORD(u16)
    default: memcpy(to, from, len);
    }
}

static void write_bytes(void *to, const void *from, u64 len)
{
    switch (word_size(to, len)) {
        WRITE_WORD(u64)
        WRITE_WORD(u32)
        WRITE_WORD(u16)
    default: memcpy(to, from, len);
    }
}

void phys_read(void *to, u64 pa, u64 len)
{
    u8 *out = to;

    while (len) {
        u64 part = part_in_page(pa, len);
        const void *from = reach(pa, part);

        if (from)
            read_bytes(out, from, part);
        else
            memset(out, 0xff, part);
        out += part;
        pa += part;
        len -= part;
    }
}

void phys_write(u64 pa, const void *from, u64 len)
{
    const u8 *in = from;

    while (len) {
        u64 part = part_in_page(pa, len);
        void *to = reach_to_write(pa, part);

        if (to)
            write_bytes(to, in, part);
        in += part;
        pa += part;
        len -= part;
    }
}
