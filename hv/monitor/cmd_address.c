/* What addresses lead to, entry by entry: ept, translate. */
#include "guest_commands.h"
#include "linear.h"
#include "say.h"
#include "x86.h"
#include "../l0.h"
#include "../../mm/ept02.h"
#include "../../mm/phys.h"
#include "../../vmx/check.h"

static const char *hidden_note(u64 pa, u64 len)
{
    return phys_is_hidden(pa, len) ? ", in hidden memory" : "";
}

/* ---- ept ---- */

static void say_physical(u32 level, u64 address, const char *rights)
{
    say("L%u-physical %#lx  %s\n", level, address, rights);
}

static void say_ept(const char *name, const struct inspection *way, bool own)
{
    char words[INSPECT_WORDS_MAX];

    say("%s\n", name);
    for (u32 i = 0; i < way->count; i++) {
        const struct inspect_step *step = &way->step[i];

        inspect_ept_words(step, words);
        say("  %u  0x%012lx  0x%016lx  %s%s\n", step->level, step->pa, step->entry, words,
            own ? "" : hidden_note(step->pa, sizeof(u64)));
    }
    if (!way->count)
        say("  the tables are not for that address\n");
}

static void show_ept01(u64 gpa, struct inspection *way)
{
    inspect_own_ept(l0.ept01_pointer, gpa, l0.boot.region_base, l0.boot.region_size, way);
    say_ept("EPT01", way, true);
}

/* By the root that the core runs L2 on; nothing is translated if that is another EPTP's. */
static void show_ept02(const struct cpu *cpu, u64 eptp12, u64 ngpa, struct inspection *way)
{
    const struct shadow *shadow = &l0.ept02.shadow;

    *way = (struct inspection){.count = 0};
    if (cpu->nested.root_key != eptp12) {
        say("EPT02: none on this core for that EPTP, until the next VM entry\n");
        return;
    }
    inspect_own_ept(ept02_pointer(&l0.ept02, eptp12, cpu->nested.root), ngpa, shadow->base,
                    shadow->count * PAGE_SIZE, way);
    say_ept("EPT02", way, true);
}

static void show_ept12(const struct inspect_space *space, u64 ngpa, struct inspection *way)
{
    u64 eptp = space->eptp12 & ~EPT12_MODE_BASED;
    char words[INSPECT_WORDS_MAX];

    inspect_ept12(space->eptp12, ngpa, space->caps, way);
    if (!eptp_valid(eptp, &l0.caps))
        say("a VM entry would fail: EPTP %#lx is not valid\n", eptp);
    say_ept("EPT12", way, false);
    if (!way->translated)
        return;
    inspect_ept_rights(way->rights, words);
    say_physical(1, way->address, words);
}

static const char hidden[] = "hidden memory: reads as ones, writes are dropped";

static bool is_hidden(u64 gpa)
{
    return (gpa >> l0.ept01.address_bits) || phys_is_hidden(align_down(gpa, PAGE_SIZE), PAGE_SIZE);
}

static const char *outcome01(u64 gpa, const struct inspection *way01, u64 right)
{
    if (is_hidden(gpa))
        return hidden;
    if (!way01->translated)
        return "EPT01 not filled yet: L0 fills it";
    return way01->rights & right ? "allowed" : "write-protected: L0 allows it";
}

struct ways {
    struct inspection way12, way02;
    bool has_ve;
};

static const char *forbidden(const struct ways *ways)
{
    const struct inspection *way12 = &ways->way12;

    if (way12->count && !way12->translated && way12->step[way12->count - 1].kind != INSPECT_ABSENT)
        return "EPT misconfiguration for L1";
    return ways->has_ve && way12->convertible ? "#VE in L2, or EPT violation for L1"
                                              : "EPT violation for L1";
}

/* EPT02 may give more than EPT12 does now: L1 has not said yet that it has changed it. */
static const char *outcome02(const struct ways *ways, u64 right)
{
    const struct inspection *way12 = &ways->way12, *way02 = &ways->way02;
    bool allows = way12->translated && (way12->rights & right);
    bool filled = way02->translated && (way02->rights & right);

    if (filled && (!allows || way02->address != way12->address))
        return "allowed, as EPT12 was before L1 changed it without INVEPT";
    if (!allows)
        return forbidden(ways);
    if (is_hidden(way12->address))
        return hidden;
    return filled ? "allowed" : "EPT02 not filled yet: L0 fills it";
}

static const struct {
    u64 right;
    const char *name;
} accesses[] = {
    {EPT_READ, "read"}, {EPT_WRITE, "write"}, {EPT_EXEC, "fetch"}, {EPT_EXEC_USER, "user fetch"}};

#define ACCESSES_01 3u /* those that there are without mode-based execute control */

static void ept_of_l1(u64 gpa)
{
    struct inspection way01;

    show_ept01(gpa, &way01);
    for (u32 i = 0; i < ACCESSES_01; i++)
        say("%s: %s\n", accesses[i].name, outcome01(gpa, &way01, accesses[i].right));
}

static void ept_of_l2(struct cpu *cpu, const struct inspect_space *space, u64 ngpa)
{
    u32 count = space->eptp12 & EPT12_MODE_BASED ? ARRAY_SIZE(accesses) : ACCESSES_01;
    u32 secondary = vmcs12_secondary(cpu->nested.current->vmcs12);
    struct ways ways = {.has_ve = secondary & SECONDARY_EXEC_EPT_VIOLATION_VE};
    struct inspection way01;

    show_ept12(space, ngpa, &ways.way12);
    show_ept02(cpu, space->eptp12, ngpa, &ways.way02);
    if (ways.way12.translated)
        show_ept01(ways.way12.address, &way01);
    for (u32 i = 0; i < count; i++)
        say("%s: %s\n", accesses[i].name, outcome02(&ways, accesses[i].right));
}

static bool run_ept(struct cpu *cpu, const struct words *words)
{
    struct inspect_space space;
    u32 level = guest_ept12(cpu, 2, &space) ? 2 : 1;
    u64 address;

    if (words->count < 2 || words->count > 3 || !parse_number(words->word[1], &address))
        return false;
    if (words->count == 3 && !(level = level_of(words->word[2])))
        return false;
    if (!demand_guest(cpu, level))
        return true;
    if (guest_ept12(cpu, level, &space)) {
        ept_of_l2(cpu, &space, address);
        return true;
    }
    if (level == 2)
        say("L2 has no EPT: its physical addresses are L1's\n");
    ept_of_l1(address);
    return true;
}

const struct command command_ept = {
    .name = "ept",
    .arguments = "ADDRESS [l1|l2]",
    .summary = "a physical address of L2 or L1 through EPT12, EPT02 and EPT01",
    .details =
        "Entry by entry: level, address, value, what it says. ADDRESS is L2-physical if this\n"
        "core's vmcs12 uses EPT, or with l1 L1-physical. The last lines say what an access\n"
        "would give now.\n",
    .place = THIS_CORE,
    .run = run_ept,
};

/* ---- translate ---- */

static const char *mode_name(const struct walk_context *paging)
{
    if (!(paging->cr0 & CR0_PG))
        return "no paging";
    if (!(paging->cr4 & CR4_PAE))
        return "32-bit paging";
    if (!(paging->efer & EFER_LMA))
        return "PAE paging";
    return paging->cr4 & CR4_LA57 ? "5-level paging" : "4-level paging";
}

static void say_linear_step(const struct linear_space *space, const struct inspect_step *step)
{
    char words[INSPECT_WORDS_MAX];

    inspect_linear_words(step, words);
    say("  %u  ", step->level);
    if (step->address == INSPECT_REGISTER)
        say("PDPTE register");
    else
        say("0x%012lx", step->address);
    if (step->kind == INSPECT_UNREACHED) {
        say("  %s\n", words);
        return;
    }
    if (space->has_ept && step->pa != INSPECT_REGISTER)
        say(" -> 0x%012lx", step->pa);
    say("  0x%016lx  %s%s\n", step->entry, words, hidden_note(step->pa, sizeof(u32)));
}

static void say_end(const char *tables, const struct inspection *way)
{
    char why[INSPECT_WORDS_MAX];

    linear_end_words(tables, way, why);
    say("%s\n", why);
}

static void say_translated(const struct linear_space *space, const struct inspection *way)
{
    char words[INSPECT_WORDS_MAX];
    struct inspection way12;

    inspect_linear_rights(way->rights, words);
    say_physical(space->level, way->address, words);
    if (!space->has_ept)
        return;
    linear_leave_ept(space, way->address, &way12);
    if (!way12.translated) {
        say_end(LINEAR_BY_EPT12, &way12);
        return;
    }
    inspect_ept_rights(way12.rights, words);
    say_physical(1, way12.address, words);
}

static void translate(const struct linear_space *space, u64 linear)
{
    struct inspection way;

    say("L%u, %s, CR3 %#lx\n", space->level, mode_name(&space->paging), space->paging.cr3);
    linear_walk(space, linear, &way);
    for (u32 i = 0; i < way.count; i++)
        say_linear_step(space, &way.step[i]);
    if (way.translated)
        say_translated(space, &way);
    else
        say_end(LINEAR_BY_PAGING, &way);
}

static bool run_translate(struct cpu *cpu, const struct words *words)
{
    u32 named = level_of(words->word[1]), level = named ? named : guest_running(cpu);
    u32 at = named ? 2 : 1;
    struct linear_space space;
    u64 linear;

    if (words->count != at + 1 || !parse_number(words->word[at], &linear))
        return false;
    if (!demand_guest(cpu, level))
        return true;
    linear_find(cpu, level, &space);
    translate(&space, linear);
    return true;
}

const struct command command_translate = {
    .name = "translate",
    .arguments = "[l1|l2] ADDRESS",
    .summary = "a linear address of L1 or L2 through every level of its tables",
    .details =
        "Of the guest that runs, if none is named. Each entry: level, address (of L2's also\n"
        "L1's address for it, by EPT12), value, what it says.\n",
    .place = THIS_CORE,
    .run = run_translate,
    .choices = level_choices,
};
