#include "linear.h"

#include "../format.h"

void linear_find(struct cpu *cpu, u32 level, struct linear_space *space)
{
    space->level = level;
    space->paging = guest_paging(cpu, level);
    space->has_ept = guest_ept12(cpu, level, &space->physical);
}

void linear_walk(const struct linear_space *space, u64 linear, struct inspection *way)
{
    inspect_linear(&space->paging, linear, space->has_ept ? &space->physical : NULL, way);
}

void linear_leave_ept(const struct linear_space *space, u64 ngpa, struct inspection *way12)
{
    if (space->has_ept)
        inspect_ept12(space->physical.eptp12, ngpa, space->physical.caps, way12);
    else
        *way12 = (struct inspection){.translated = true, .address = ngpa, .rights = EPT_RWX};
}

void linear_end_words(const char *tables, const struct inspection *way, char why[INSPECT_WORDS_MAX])
{
    char words[INSPECT_WORDS_MAX];

    inspect_end_words(way, words);
    format_string(why, INSPECT_WORDS_MAX, "not mapped%s: %s", tables, words);
}

bool linear_to_gpa(const struct linear_space *space, u64 linear, u64 *gpa,
                   char why[INSPECT_WORDS_MAX])
{
    struct inspection way, way12;

    linear_walk(space, linear, &way);
    if (!way.translated) {
        linear_end_words(LINEAR_BY_PAGING, &way, why);
        return false;
    }
    linear_leave_ept(space, way.address, &way12);
    if (!way12.translated)
        linear_end_words(LINEAR_BY_EPT12, &way12, why);
    *gpa = way12.address;
    return way12.translated;
}
