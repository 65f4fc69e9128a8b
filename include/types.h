/* Explicitly sized types, for L0, the loader and the host build alike. */
#ifndef PLASTRON_TYPES_H
#define PLASTRON_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define PAGE_SHIFT 12
#define PAGE_SIZE  0x1000ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define SIZE_2M    0x200000ull
#define SIZE_1G    0x40000000ull

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)        (1u << (n))
#define BIT64(n)      (1ull << (n))

static inline u64 align_down(u64 value, u64 size) { return value & ~(size - 1); }
static inline u64 align_up(u64 value, u64 size) { return (value + size - 1) & ~(size - 1); }

/* True if [addr, addr + len) and [start, start + size) share a byte; no sum may wrap. */
static inline bool ranges_overlap(u64 addr, u64 len, u64 start, u64 size)
{
    return addr < start + size && start < addr + len;
}

#endif
