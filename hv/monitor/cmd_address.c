/* What addresses lead to: the commands ept, translate and mem. */
#include "guest_commands.h"
#include "say.h"
#include "x86.h"
#include "../format.h"
#include "../l0.h"
#include "../../mm/ept02.h"
#include "../../mm/inspect.h"
#include "../../mm/phys.h"
#include "../../vmx/check.h"

/* EPT12 of an L2 that has one. */
static bool find_space(const struct cpu *cpu, u32 level, struct inspect_space *space)
{
    space->caps = &l0.ept02.caps;
    return level == 2 && guest_eptp12(cpu, &space->eptp12);
}

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
    u32 level = find_space(cpu, 2, &space) ? 2 : 1;
    u64 address;

    if (words->count < 2 || words->count > 3 || !parse_number(words->word[1], &address))
        return false;
    if (words->count == 3 && !(level = level_of(words->word[2])))
        return false;
    if (!demand_guest(cpu, level))
        return true;
    if (find_space(cpu, level, &space)) {
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

/* ---- linear addresses ---- */

/* Where a guest has its linear addresses. */
struct linear_space {
    u32 level;
    struct walk_context paging;
    bool has_ept;
    struct inspect_space physical; /* with EPT */
};

static void find_linear(struct cpu *cpu, u32 level, struct linear_space *space)
{
    space->level = level;
    space->paging = guest_paging(cpu, level);
    space->has_ept = find_space(cpu, level, &space->physical);
}

static void walk(const struct linear_space *space, u64 linear, struct inspection *way)
{
    inspect_linear(&space->paging, linear, space->has_ept ? &space->physical : NULL, way);
}

/* To L1's physical addresses, by EPT12 if there is one; as inspect_ept12(). */
static void leave_ept(const struct linear_space *space, u64 ngpa, struct inspection *way)
{
    if (space->has_ept)
        inspect_ept12(space->physical.eptp12, ngpa, space->physical.caps, way);
    else
        *way = (struct inspection){.translated = true, .address = ngpa, .rights = EPT_RWX};
}

static void put_end(const char *tables, const struct inspection *way, char why[INSPECT_WORDS_MAX])
{
    char words[INSPECT_WORDS_MAX];

    inspect_end_words(way, words);
    format_string(why, INSPECT_WORDS_MAX, "not mapped%s: %s", tables, words);
}

static const char by_ept12[] = " by EPT12";

/* The same for a linear address; false: why not. */
static bool leave_linear(const struct linear_space *space, u64 linear, u64 *gpa,
                         char why[INSPECT_WORDS_MAX])
{
    struct inspection way, way12;

    walk(space, linear, &way);
    if (!way.translated) {
        put_end("", &way, why);
        return false;
    }
    leave_ept(space, way.address, &way12);
    if (!way12.translated)
        put_end(by_ept12, &way12, why);
    *gpa = way12.address;
    return way12.translated;
}

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

    put_end(tables, way, why);
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
    leave_ept(space, way->address, &way12);
    if (!way12.translated) {
        say_end(by_ept12, &way12);
        return;
    }
    inspect_ept_rights(way12.rights, words);
    say_physical(1, way12.address, words);
}

static void translate(const struct linear_space *space, u64 linear)
{
    struct inspection way;

    say("L%u, %s, CR3 %#lx\n", space->level, mode_name(&space->paging), space->paging.cr3);
    walk(space, linear, &way);
    for (u32 i = 0; i < way.count; i++)
        say_linear_step(space, &way.step[i]);
    if (way.translated)
        say_translated(space, &way);
    else
        say_end("", &way);
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
    find_linear(cpu, level, &space);
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

/* ---- mem ---- */

#define MEM_DEFAULT 64u
#define MEM_MAX     4096u
#define MEM_LINE    16u

struct mem {
    bool is_linear;
    u32 unit; /* bytes */
    u64 address, count;
    struct linear_space space;
};

/* Why L0 does not read there, as mm/phys.h has it; NULL if it does. */
static const char *not_read(u64 pa)
{
    if (pa >= l0.boot.ram_top)
        return "no memory";
    if (pa >= l0.boot.low_ram_top && pa < 4 * SIZE_1G)
        return "device memory is not read";
    return phys_is_hidden(align_down(pa, PAGE_SIZE), PAGE_SIZE) ? "hidden: L0's own memory" : NULL;
}

/* Says a unit in hexadecimal, puts its bytes as text. */
static void say_unit(u64 pa, u32 unit, char *text)
{
    u64 value = 0;

    phys_read(&value, pa, unit);
    say(" %0*lx", 2 * unit, value);
    for (u32 i = 0; i < unit; i++, value >>= 8) {
        u8 byte = (u8)value;

        text[i] = byte >= ' ' && byte < 0x7f ? (char)byte : '.';
    }
}

/* At most MEM_LINE bytes within a page. */
static void say_line(u64 address, u64 pa, u32 len, u32 unit)
{
    u32 missing = (MEM_LINE - len) / unit * (2 * unit + 1);
    char text[MEM_LINE + 1] = {0};

    say("%016lx ", address);
    for (u32 i = 0; i < len; i += unit)
        say_unit(pa + i, unit, &text[i]);
    say("%*s  %s\n", missing, "", text);
}

static void dump_page(const struct mem *mem, u64 address, u64 len)
{
    char why_not[INSPECT_WORDS_MAX];
    const char *why = why_not;
    u64 pa = address;

    if (!mem->is_linear || leave_linear(&mem->space, address, &pa, why_not))
        why = not_read(pa);
    if (why) {
        say("%016lx  %s\n", address, why);
        return;
    }
    while (len) {
        u64 rest = MEM_LINE - address % MEM_LINE, part = len < rest ? len : rest;

        say_line(address, pa, (u32)part, mem->unit);
        address += part;
        pa += part;
        len -= part;
    }
}

static void dump(const struct mem *mem)
{
    u64 address = align_down(mem->address, mem->unit), left = align_up(mem->count, mem->unit);

    while (left) {
        u64 rest = PAGE_SIZE - address % PAGE_SIZE, part = left < rest ? left : rest;

        dump_page(mem, address, part);
        address += part;
        left -= part;
    }
}

/* The size of a unit by its letter, 0 if it is none. */
static u32 unit_of(const char *word)
{
    static const char *const units[] = {"b", "w", "d", "q"};

    for (u32 i = 0; i < ARRAY_SIZE(units); i++)
        if (text_equal(word, units[i]))
            return BIT(i);
    return 0;
}

/* ADDRESS [COUNT] [b|w|d|q], from a word on. */
static bool parse_range(const struct words *words, u32 at, struct mem *mem)
{
    u32 unit;

    mem->count = MEM_DEFAULT;
    mem->unit = 1;
    if (at >= words->count || !parse_number(words->word[at++], &mem->address))
        return false;
    if (at < words->count && parse_number(words->word[at], &mem->count))
        at++;
    unit = at < words->count ? unit_of(words->word[at]) : 0;
    if (unit) {
        mem->unit = unit;
        at++;
    }
    return at == words->count && mem->count && mem->count <= MEM_MAX;
}

static bool run_mem(struct cpu *cpu, const struct words *words)
{
    u32 level = level_of(words->word[1]);
    bool named = level || text_equal(words->word[1], "p");
    struct mem mem = {.is_linear = level};

    if (!parse_range(words, named ? 2 : 1, &mem))
        return false;
    if (mem.is_linear) {
        if (!demand_guest(cpu, level))
            return true;
        find_linear(cpu, level, &mem.space);
    }
    dump(&mem);
    return true;
}

static const char *const spaces[] = {"p", "l1", "l2", NULL};

const struct command command_mem = {
    .name = "mem",
    .arguments = "[p|l1|l2] ADDRESS [COUNT] [b|w|d|q]",
    .summary = "memory, by a physical address of L1 or a linear one of L1 or L2",
    .details =
        "COUNT bytes, 64 if not given, at most 4096, in units of 1, 2, 4 or 8 bytes. p, the\n"
        "default: physical as L1 sees it. Devices are not read.\n",
    .place = THIS_CORE,
    .run = run_mem,
    .choices = spaces,
};
