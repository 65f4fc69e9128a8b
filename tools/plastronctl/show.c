#include "plastronctl.h"

#include <string.h>

static const char *const reasons[EXIT_REASON_COUNT] = {
#define X(id, number) [number] = #id,
    VMX_EXIT_REASONS(X)
#undef X
};

static const char *const levels[LEVELS] = {"L1", "L2"};

const char *reason_name(uint32_t reason)
{
    static char number[16];

    if (reason < EXIT_REASON_COUNT && reasons[reason])
        return reasons[reason];
    snprintf(number, sizeof(number), "%u", reason);
    return number;
}

/* ---- info ---- */

static const char *const features[FEATURE_COUNT] = {
#define X(id, name, word, bit) [FEATURE_##id] = name,
    PLASTRON_FEATURES(X)
#undef X
};

enum state { OFFERED, MASKED, WITHHELD, MISSING, STATES };

static const struct {
    const char *key, *text;
} states[STATES] = {
    [OFFERED] = {"offered", "offered to L1"},
    [MASKED] = {"masked", "masked by the configuration"},
    [WITHHELD] = {"withheld", "withheld, as something that they need is"},
    [MISSING] = {"missing", "not in this processor, or they need something that is not"},
};

static enum state state_of(const struct info *info, int feature)
{
    if (info->missing >> feature & 1)
        return MISSING;
    if (info->masked >> feature & 1)
        return MASKED;
    return info->offered >> feature & 1 ? OFFERED : WITHHELD;
}

static int count_of(const struct info *info, enum state state)
{
    int count = 0;

    for (int i = 0; i < FEATURE_COUNT; i++)
        count += state_of(info, i) == state;
    return count;
}

/* Of at most 80 characters a line. */
static void show_features(FILE *out, const struct info *info, enum state state)
{
    size_t column = 0;

    fprintf(out, "%s: %d\n", states[state].text, count_of(info, state));
    for (int i = 0; i < FEATURE_COUNT; i++) {
        if (state_of(info, i) != state)
            continue;
        if (column && column + 1 + strlen(features[i]) > 80) {
            fprintf(out, "\n");
            column = 0;
        }
        column += (size_t)fprintf(out, column ? " %s" : "  %s", features[i]);
    }
    if (column)
        fprintf(out, "\n");
}

void show_info(FILE *out, const struct info *info)
{
    fprintf(out, "Plastron %u.%u.%u, %u core%s\n", info->major, info->minor, info->patch,
            info->cores, info->cores == 1 ? "" : "s");
    fprintf(out, "nested VMX: %s\n", info->nested ? "on" : "off: L1 has no VMX");
    fprintf(out, "features of VMX\n");
    for (enum state state = 0; state < STATES; state++)
        show_features(out, info, state);
}

static void show_features_json(FILE *out, const struct info *info, enum state state)
{
    const char *comma = "";

    fprintf(out, "\"%s\": [", states[state].key);
    for (int i = 0; i < FEATURE_COUNT; i++) {
        if (state_of(info, i) != state)
            continue;
        fprintf(out, "%s\"%s\"", comma, features[i]);
        comma = ", ";
    }
    fprintf(out, "]");
}

static void show_version_json(FILE *out, const struct info *info)
{
    fprintf(out, "\"version\": \"%u.%u.%u\"", info->major, info->minor, info->patch);
}

void show_info_json(FILE *out, const struct info *info)
{
    fprintf(out, "{");
    show_version_json(out, info);
    fprintf(out, ", \"cores\": %u, \"nested\": %s, \"features\": {", info->cores,
            info->nested ? "true" : "false");
    for (enum state state = 0; state < STATES; state++) {
        fprintf(out, state ? ", " : "");
        show_features_json(out, info, state);
    }
    fprintf(out, "}}\n");
}

/* ---- what is counted ---- */

static void show_core(FILE *out, const char *name, const struct core *core)
{
    for (enum level level = 0; level < LEVELS; level++) {
        for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
            if (core->exits[level][reason])
                fprintf(out, "%s %s %s %lu\n", name, levels[level], reason_name(reason),
                        core->exits[level][reason]);
        fprintf(out, "%s %s all %lu\n", name, levels[level], core_exits(core, level));
    }
    fprintf(out, "%s L2 handled by L0 alone %lu\n", name, core_handled_by_l0(core));
    fprintf(out, "%s hidden memory: %lu reads, %lu writes\n", name, core->hidden_reads,
            core->hidden_writes);
}

void shadow_texts(const struct reading *reading, char pages[128], char tables[128])
{
    const struct registers *p = &reading->shadow_pages, *t = &reading->shadow_tables;

    snprintf(pages, 128, "shadow: %u pages, %u in use, %u of them L1's own tables; %u reclaims",
             p->eax, p->ebx, p->ecx, p->edx);
    snprintf(tables, 128, "shadow: %u tables mirrored, %u read again, %u changed, %u protected",
             t->eax, t->ebx, t->ecx, t->edx);
}

void show_reading(FILE *out, const struct reading *reading)
{
    char name[32], pages[128], tables[128];

    for (uint32_t i = 0; i < reading->info.cores; i++) {
        if (!reading->cores[i].read)
            continue;
        snprintf(name, sizeof(name), "core %u", i);
        show_core(out, name, &reading->cores[i]);
    }
    show_core(out, "all cores", &reading->all);
    shadow_texts(reading, pages, tables);
    fprintf(out, "%s\n%s\n", pages, tables);
}

static void show_exits_json(FILE *out, const uint64_t *exits)
{
    const char *comma = "";

    fprintf(out, "{");
    for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++) {
        if (!exits[reason])
            continue;
        fprintf(out, "%s\"%s\": %lu", comma, reason_name(reason), exits[reason]);
        comma = ", ";
    }
    fprintf(out, "}");
}

/* The members of an object. */
static void show_core_json(FILE *out, const struct core *core, bool with_time)
{
    if (with_time)
        fprintf(out, "\"seconds\": %.6f, ", core->time);
    for (enum level level = 0; level < LEVELS; level++) {
        fprintf(out, "\"%s\": ", levels[level]);
        show_exits_json(out, core->exits[level]);
        fprintf(out, ", ");
    }
    fprintf(out, "\"handled_by_L0\": %lu, \"hidden_reads\": %lu, \"hidden_writes\": %lu",
            core_handled_by_l0(core), core->hidden_reads, core->hidden_writes);
}

static void show_cores_json(FILE *out, const struct reading *reading, bool with_time)
{
    const char *comma = "";

    fprintf(out, "\"cores\": [");
    for (uint32_t i = 0; i < reading->info.cores; i++) {
        if (!reading->cores[i].read)
            continue;
        fprintf(out, "%s{\"core\": %u, ", comma, i);
        show_core_json(out, &reading->cores[i], with_time);
        fprintf(out, "}");
        comma = ", ";
    }
    fprintf(out, "]");
}

static void show_unread_json(FILE *out, const struct reading *reading)
{
    const char *comma = "";

    fprintf(out, "\"unread\": [");
    for (uint32_t i = 0; i < reading->info.cores; i++) {
        if (reading->cores[i].read)
            continue;
        fprintf(out, "%s%u", comma, i);
        comma = ", ";
    }
    fprintf(out, "]");
}

static void show_shadow_json(FILE *out, const struct reading *reading)
{
    const struct registers *p = &reading->shadow_pages, *t = &reading->shadow_tables;

    fprintf(out, "\"shadow\": {\"pages\": %u, \"in_use\": %u, \"of_L1\": %u, \"reclaims\": %u, ",
            p->eax, p->ebx, p->ecx, p->edx);
    fprintf(out, "\"mirrored\": %u, \"read\": %u, \"changed\": %u, \"protected\": %u}", t->eax,
            t->ebx, t->ecx, t->edx);
}

void show_reading_json(FILE *out, const struct reading *reading, uint64_t round)
{
    fprintf(out, "{");
    show_version_json(out, &reading->info);
    if (round)
        fprintf(out, ", \"round\": %lu", round);
    fprintf(out, ", ");
    show_cores_json(out, reading, round);
    fprintf(out, ", ");
    show_unread_json(out, reading);
    fprintf(out, ", \"all\": {");
    show_core_json(out, &reading->all, round);
    fprintf(out, "}, ");
    show_shadow_json(out, reading);
    fprintf(out, "}\n");
}
