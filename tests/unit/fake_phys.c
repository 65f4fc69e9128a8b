/* Physical memory for the unit tests. */
#include "fake_phys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mm/phys.h"
#include "mm/pool.h"

void (*fake_after_read)(u64 pa);
void (*fake_before_set)(u64 pa);
u64 fake_reads, fake_sets, fake_bytes;

static u8 *memory;
static u64 hidden_base, hidden_size;
static u64 random_state;

void fake_phys_reset(void)
{
    if (memory)
        munmap(memory, FAKE_PHYS_SIZE);
    memory = mmap(NULL, FAKE_PHYS_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    hidden_base = hidden_size = 0;
    fake_after_read = NULL;
    fake_before_set = NULL;
    fake_reads = fake_sets = fake_bytes = 0;
    fake_seed(1);
}

void fake_phys_hide(u64 base, u64 size)
{
    hidden_base = base;
    hidden_size = size;
}

static u8 *at(u64 pa, u64 len)
{
    if (pa >= FAKE_PHYS_SIZE || len > FAKE_PHYS_SIZE - pa) {
        fprintf(stderr, "fake_phys: %#llx is not in it\n", (unsigned long long)pa);
        abort();
    }
    return memory + pa;
}

void *pool_va(u64 pa) { return at(pa, PAGE_SIZE - pa % PAGE_SIZE); }

u64 fake_get64(u64 pa)
{
    u64 value;

    memcpy(&value, at(pa, 8), 8);
    return value;
}

void fake_put64(u64 pa, u64 value) { memcpy(at(pa, 8), &value, 8); }

u32 fake_get32(u64 pa)
{
    u32 value;

    memcpy(&value, at(pa, 4), 4);
    return value;
}

void fake_put32(u64 pa, u32 value) { memcpy(at(pa, 4), &value, 4); }

bool phys_is_hidden(u64 pa, u64 len)
{
    return hidden_size && ranges_overlap(pa, len, hidden_base, hidden_size);
}

static bool is_there(u64 pa, u64 len)
{
    return pa < FAKE_PHYS_SIZE && len <= FAKE_PHYS_SIZE - pa && !phys_is_hidden(pa, len);
}

static void read_seen(u64 pa, u64 size)
{
    if (pa % size)
        abort(); /* the contract of mm/phys.h */
    __atomic_fetch_add(&fake_reads, 1, __ATOMIC_RELAXED);
    if (fake_after_read)
        fake_after_read(pa);
}

u64 phys_read64(u64 pa)
{
    u64 value = ~0ull;

    if (is_there(pa, 8))
        value = __atomic_load_n((const u64 *)(const void *)at(pa, 8), __ATOMIC_RELAXED);
    read_seen(pa, 8);
    return value;
}

const u64 *phys_table(u64 pa)
{
    if (pa % PAGE_SIZE)
        abort();
    return is_there(pa, PAGE_SIZE) ? (const u64 *)(const void *)at(pa, PAGE_SIZE) : NULL;
}

u32 phys_read32(u64 pa)
{
    u32 value = is_there(pa, 4) ? fake_get32(pa) : ~0u;

    read_seen(pa, 4);
    return value;
}

bool phys_set_bits64(u64 pa, u64 old, u64 set)
{
    if (fake_before_set)
        fake_before_set(pa);
    if (!is_there(pa, 8) || !__atomic_compare_exchange_n((u64 *)(void *)at(pa, 8), &old, old | set,
                                                         false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return false;
    __atomic_fetch_add(&fake_sets, 1, __ATOMIC_RELAXED);
    return true;
}

bool phys_set_flags(u64 pa, u64 old, u64 set) { return phys_set_bits64(pa, old, set); }

bool phys_set_bits32(u64 pa, u32 old, u32 set)
{
    if (fake_before_set)
        fake_before_set(pa);
    if (!is_there(pa, 4) || fake_get32(pa) != old)
        return false;
    fake_put32(pa, old | set);
    fake_sets++;
    return true;
}

void phys_read(void *to, u64 pa, u64 len)
{
    fake_bytes += len;
    for (u64 i = 0; i < len; i++)
        ((u8 *)to)[i] = is_there(pa + i, 1) ? *at(pa + i, 1) : 0xff;
}

void phys_write(u64 pa, const void *from, u64 len)
{
    fake_bytes += len;
    for (u64 i = 0; i < len; i++)
        if (is_there(pa + i, 1))
            *at(pa + i, 1) = ((const u8 *)from)[i];
}

void fake_seed(u64 seed) { random_state = seed; }

u64 fake_random(void)
{
    u64 z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}
