/*
 * Shows, in L1, what Plastron counts: plastronctl stat. Needs no rights and no driver: CPUID tells
 * it (include/plastron_cpuid.h), each core its own exits.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plastron_cpuid.h"
#include "vmx.h"

static const char *const reasons[EXIT_REASON_COUNT] = {
#define X(id, number) [number] = #id,
    VMX_EXIT_REASONS(X)
#undef X
};

static bool is_plastron(void)
{
    uint32_t highest, b, c, d;

    __cpuid(CPUID_PLASTRON, highest, b, c, d);
    return b == CPUID_PLASTRON_EBX && c == CPUID_PLASTRON_ECX && d == CPUID_PLASTRON_EDX &&
           highest >= CPUID_PLASTRON_LAST;
}

static void show_shadow(void)
{
    uint32_t all, used, ept01, reclaims;
    uint32_t mirrored, reads, changes, protections;

    __cpuid_count(CPUID_PLASTRON_SHADOW, 0, all, used, ept01, reclaims);
    __cpuid_count(CPUID_PLASTRON_SHADOW, 1, mirrored, reads, changes, protections);
    printf("shadow: %u pages, %u in use, %u of them for L1's own tables, reclaimed %u times\n", all,
           used, ept01, reclaims);
    printf("shadow: %u tables mirrored, %u read again, %u of them changed, %u protected\n",
           mirrored, reads, changes, protections);
}

static void show_exits_of(int core, uint32_t level)
{
    for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++) {
        uint32_t low, b, c, high;
        uint64_t count;

        __cpuid_count(CPUID_PLASTRON_EXITS, reason | level, low, b, c, high);
        count = (uint64_t)high << 32 | low;
        if (count)
            printf("core %d %s %s %llu\n", core, level ? "L2" : "L1",
                   reasons[reason] ? reasons[reason] : "?", (unsigned long long)count);
    }
}

static bool show_exits(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        return false;
    show_exits_of(core, 0);
    show_exits_of(core, CPUID_EXITS_OF_L2);
    return true;
}

int main(int count, char **arguments)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_CONF);

    if (count != 2 || strcmp(arguments[1], "stat")) {
        fprintf(stderr, "usage: plastronctl stat\n"
                        "  shows each core's exits to Plastron by reason, and its shadow memory\n");
        return 2;
    }
    if (!is_plastron()) {
        fprintf(stderr, "plastronctl: this is not under Plastron, or under an older one\n");
        return 1;
    }
    for (int core = 0; core < cores; core++)
        if (!show_exits(core))
            fprintf(stderr, "plastronctl: core %d is offline or not ours\n", core);
    show_shadow();
    return 0;
}
