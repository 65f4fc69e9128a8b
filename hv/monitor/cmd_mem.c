/* Memory as a guest has it: mem. */
#include "guest_commands.h"
#include "linear.h"
#include "say.h"
#include "../l0.h"
#include "../../mm/phys.h"

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

    if (!mem->is_linear || linear_to_gpa(&mem->space, address, &pa, why_not))
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
        linear_find(cpu, level, &mem.space);
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
