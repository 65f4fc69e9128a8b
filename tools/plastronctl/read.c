#include "plastronctl.h"

#include <stdlib.h>
#include <string.h>

enum plastron plastron_find(void)
{
    struct registers r = machine_cpuid(CPUID_PLASTRON, 0);

    if (r.ebx != CPUID_PLASTRON_EBX || r.ecx != CPUID_PLASTRON_ECX || r.edx != CPUID_PLASTRON_EDX)
        return PLASTRON_NONE;
    if (r.eax == CPUID_PLASTRON)
        return PLASTRON_HIDES;
    return r.eax < CPUID_PLASTRON_LAST ? PLASTRON_OLDER : PLASTRON_ANSWERS;
}

static uint64_t number_of(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

static feature_set read_features(uint32_t which)
{
    struct registers r = machine_cpuid(CPUID_PLASTRON_VMX, which);

    return (feature_set)number_of(r.ecx, r.edx) << 64 | number_of(r.eax, r.ebx);
}

void read_info(struct info *info)
{
    struct registers version = machine_cpuid(CPUID_PLASTRON_VERSION, 0);

    *info = (struct info){
        .major = version.eax,
        .minor = version.ebx,
        .patch = version.ecx,
        .cores = version.edx,
        .nested = machine_cpuid(CPUID_PLASTRON_FEATURES, 0).eax & CPUID_FEATURE_NESTED,
        .offered = read_features(CPUID_VMX_OFFERED),
        .masked = read_features(CPUID_VMX_MASKED),
        .missing = read_features(CPUID_VMX_MISSING),
    };
}

/* ---- what is counted ---- */

static uint64_t read_exits(enum level level, uint32_t reason)
{
    uint32_t subleaf = level == LEVEL_L2 ? reason | CPUID_EXITS_OF_L2 : reason;
    struct registers r = machine_cpuid(CPUID_PLASTRON_EXITS, subleaf);

    return number_of(r.eax, r.edx);
}

static void read_counters(struct core *core)
{
    struct registers hidden = machine_cpuid(CPUID_PLASTRON_HIDDEN, 0);

    core->hidden_reads = number_of(hidden.eax, hidden.ebx);
    core->hidden_writes = number_of(hidden.ecx, hidden.edx);
    core->time = machine_now();
    for (enum level level = 0; level < LEVELS; level++)
        for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
            core->exits[level][reason] = read_exits(level, reason);
}

/* What was read elsewhere, as the core went offline meanwhile, is not the core's. */
static void read_core(struct core *core, uint32_t number)
{
    *core = (struct core){.number = number};
    if (!machine_enter_core(number))
        return;
    read_counters(core);
    if (machine_is_on_core(number))
        core->read = true;
    else
        *core = (struct core){.number = number};
}

static void add(struct core *sum, const struct core *core)
{
    for (enum level level = 0; level < LEVELS; level++)
        for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
            sum->exits[level][reason] += core->exits[level][reason];
    sum->hidden_reads += core->hidden_reads;
    sum->hidden_writes += core->hidden_writes;
    sum->time += core->time;
}

static void sum_up(struct reading *reading)
{
    uint32_t read = 0;

    reading->all = (struct core){.number = 0};
    for (uint32_t i = 0; i < reading->info.cores; i++) {
        if (!reading->cores[i].read)
            continue;
        add(&reading->all, &reading->cores[i]);
        read++;
    }
    reading->all.read = read;
    if (read)
        reading->all.time /= read;
}

bool reading_init(struct reading *reading, const struct info *info)
{
    *reading = (struct reading){.info = *info};
    reading->cores = calloc(info->cores, sizeof(*reading->cores));
    return reading->cores;
}

void reading_free(struct reading *reading) { free(reading->cores); }

void reading_take(struct reading *reading)
{
    for (uint32_t i = 0; i < reading->info.cores; i++)
        read_core(&reading->cores[i], i);
    machine_leave_core();
    reading->shadow_pages = machine_cpuid(CPUID_PLASTRON_SHADOW, CPUID_SHADOW_PAGES);
    reading->shadow_tables = machine_cpuid(CPUID_PLASTRON_SHADOW, CPUID_SHADOW_TABLES);
    sum_up(reading);
}

static void core_between(struct core *between, const struct core *from, const struct core *to)
{
    *between = (struct core){.number = to->number};
    if (!from->read || !to->read)
        return;
    *between = *to;
    between->time -= from->time;
    between->hidden_reads -= from->hidden_reads;
    between->hidden_writes -= from->hidden_writes;
    for (enum level level = 0; level < LEVELS; level++)
        for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
            between->exits[level][reason] -= from->exits[level][reason];
}

void reading_between(struct reading *between, const struct reading *from, const struct reading *to)
{
    for (uint32_t i = 0; i < to->info.cores; i++)
        core_between(&between->cores[i], &from->cores[i], &to->cores[i]);
    between->shadow_pages = to->shadow_pages;
    between->shadow_tables = to->shadow_tables;
    sum_up(between);
}

uint64_t core_exits(const struct core *core, enum level level)
{
    uint64_t sum = 0;

    for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
        sum += core->exits[level][reason];
    return sum;
}

uint64_t core_handled_by_l0(const struct core *core)
{
    const uint64_t *l1 = core->exits[LEVEL_L1];
    uint64_t entries = l1[EXIT_REASON_VMLAUNCH] + l1[EXIT_REASON_VMRESUME];
    uint64_t exits = core_exits(core, LEVEL_L2);

    return exits > entries ? exits - entries : 0;
}
