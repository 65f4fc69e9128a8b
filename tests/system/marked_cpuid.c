/*
 * For tools/plastronctl, in the place of its cpuid.c: before plastronctl reads the first of a
 * core's counters, and after it has read the last, the emulator is to write down its own
 * (tools/bochs/count.h).
 */
#include "../../tools/plastronctl/plastronctl.h"

#include <cpuid.h>

#define MARK_BEGIN 1000
#define MARK_END   1001

static void mark(uint32_t number)
{
    __asm__ volatile("xchg %%bx, %%bx" : : "a"(number) : "memory");
}

struct registers machine_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct registers r;

    if (leaf == CPUID_PLASTRON_EXITS && subleaf == 0)
        mark(MARK_BEGIN);
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    if (leaf == CPUID_PLASTRON_EXITS && subleaf == (CPUID_EXITS_OF_L2 | (EXIT_REASON_COUNT - 1)))
        mark(MARK_END);
    return r;
}
