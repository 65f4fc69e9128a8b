#include "gdb_registers.h"

enum type { INTEGER, FLAGS, ADDRESS, CODE, X87 };

#define FLAGS_NAME "i386_eflags" /* defined in the description itself */

/*
 * By gdb's numbers: those of struct gdb_registers, then x87's, which gdb demands to be there. They
 * are never known, and 'g' ends before them.
 */
static const struct {
    char name[8];
    u8 size; /* in bytes */
    u8 type; /* enum type */
} table[] = {
    {"rax", 8, INTEGER},     {"rbx", 8, INTEGER},     {"rcx", 8, INTEGER},   {"rdx", 8, INTEGER},
    {"rsi", 8, INTEGER},     {"rdi", 8, INTEGER},     {"rbp", 8, ADDRESS},   {"rsp", 8, ADDRESS},
    {"r8", 8, INTEGER},      {"r9", 8, INTEGER},      {"r10", 8, INTEGER},   {"r11", 8, INTEGER},
    {"r12", 8, INTEGER},     {"r13", 8, INTEGER},     {"r14", 8, INTEGER},   {"r15", 8, INTEGER},
    {"rip", 8, CODE},        {"eflags", 4, FLAGS},    {"cs", 4, INTEGER},    {"ss", 4, INTEGER},
    {"ds", 4, INTEGER},      {"es", 4, INTEGER},      {"fs", 4, INTEGER},    {"gs", 4, INTEGER},
    {"fs_base", 8, ADDRESS}, {"gs_base", 8, ADDRESS}, {"cr0", 8, INTEGER},   {"cr2", 8, INTEGER},
    {"cr3", 8, INTEGER},     {"cr4", 8, INTEGER},     {"efer", 8, INTEGER},  {"st0", 10, X87},
    {"st1", 10, X87},        {"st2", 10, X87},        {"st3", 10, X87},      {"st4", 10, X87},
    {"st5", 10, X87},        {"st6", 10, X87},        {"st7", 10, X87},      {"fctrl", 4, INTEGER},
    {"fstat", 4, INTEGER},   {"ftag", 4, INTEGER},    {"fiseg", 4, INTEGER}, {"fioff", 4, INTEGER},
    {"foseg", 4, INTEGER},   {"fooff", 4, INTEGER},   {"fop", 4, INTEGER},
};

#define SYSTEM_FIRST   24 /* fs_base and what follows */
#define CONTROL_FIRST  26 /* cr0 and what follows */
#define X87_FIRST      ARRAY_SIZE(((struct gdb_registers *)0)->value)
#define REGISTER_COUNT ARRAY_SIZE(table)

static bool fetch(struct gdb *gdb, struct gdb_registers *registers)
{
    return gdb->backend->read_registers(gdb->chosen, registers);
}

static void append_register(struct gdb *gdb, const struct gdb_registers *registers, u64 number)
{
    bool known = number < X87_FIRST && !(registers->unknown & BIT64(number));
    u64 value = known ? registers->value[number] : 0;

    for (u32 i = 0; i < table[number].size; i++, value >>= 8) {
        if (known)
            gdb_append_byte(gdb, (u8)value);
        else
            gdb_print_to(gdb_append, gdb, "xx");
    }
}

enum gdb_answer gdb_read_registers(struct gdb *gdb)
{
    struct gdb_registers registers;

    if (!fetch(gdb, &registers))
        return ERROR;
    gdb->len = 0;
    for (u64 i = 0; i < X87_FIRST; i++)
        append_register(gdb, &registers, i);
    return BUILT;
}

enum gdb_answer gdb_read_register(struct gdb *gdb)
{
    struct gdb_registers registers;
    u64 number;

    if (!gdb_take_number(gdb, &number) || !gdb_at_end(gdb) || number >= REGISTER_COUNT ||
        !fetch(gdb, &registers))
        return ERROR;
    gdb->len = 0;
    append_register(gdb, &registers, number);
    return BUILT;
}

/* A register's new value. Those that are other than they were are kept in `which`. */
static bool take_register(struct gdb *gdb, struct gdb_registers *registers, u64 number, u64 *which)
{
    u64 value;

    if (!gdb_take_value(gdb, table[number].size, &value))
        return false;
    if (registers->value[number] != value)
        *which |= BIT64(number) & ~registers->unknown;
    registers->value[number] = value;
    return true;
}

static enum gdb_answer store(struct gdb *gdb, const struct gdb_registers *registers, u64 which)
{
    if (!gdb_at_end(gdb))
        return ERROR;
    return !which || gdb->backend->write_registers(gdb->chosen, registers, which) ? OK : ERROR;
}

/* gdb sends what it does not know, too: as it likes. */
enum gdb_answer gdb_write_registers(struct gdb *gdb)
{
    struct gdb_registers registers;
    u64 which = 0;

    if (!fetch(gdb, &registers))
        return ERROR;
    for (u64 i = 0; i < X87_FIRST; i++)
        if (!take_register(gdb, &registers, i, &which))
            return ERROR;
    return store(gdb, &registers, which);
}

enum gdb_answer gdb_write_register(struct gdb *gdb)
{
    struct gdb_registers registers;
    u64 which = 0, number;

    if (!gdb_take_number(gdb, &number) || number >= X87_FIRST || !gdb_take_text(gdb, "=") ||
        !fetch(gdb, &registers) || (registers.unknown & BIT64(number)) ||
        !take_register(gdb, &registers, number, &which))
        return ERROR;
    return store(gdb, &registers, which);
}

/* ---- The description, in XML: made anew for each part of it that gdb reads ---- */

/* The part of the text that was asked for. */
struct part {
    struct gdb *gdb;
    u64 skip; /* characters before it */
    u64 room; /* characters that still may be in it */
    bool more;
};

static void put_part(void *context, char c)
{
    struct part *part = context;

    if (part->skip) {
        part->skip--;
    } else if (part->room) {
        part->room--;
        gdb_append(part->gdb, c);
    } else {
        part->more = true;
    }
}

static void print_registers(struct part *part, u32 first, u32 end)
{
    static const char *const types[] = {[INTEGER] = "int",
                                        [FLAGS] = FLAGS_NAME,
                                        [ADDRESS] = "data_ptr",
                                        [CODE] = "code_ptr",
                                        [X87] = "i387_ext"};

    for (u32 i = first; i < end; i++)
        gdb_print_to(put_part, part, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\" type=\"%s\"/>",
                     table[i].name, table[i].size * 8u, i, types[table[i].type]);
}

static void print_flags(struct part *part)
{
    static const struct {
        char name[4];
        u8 bit;
    } flags[] = {
        {"CF", 0},  {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},  {"TF", 8},
        {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16}, {"VM", 17},
        {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21},
    };

    for (u32 i = 0; i < ARRAY_SIZE(flags); i++)
        gdb_print_to(put_part, part, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name,
                     flags[i].bit, flags[i].bit);
}

static void print_description(struct part *part)
{
    gdb_print_to(put_part, part,
                 "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
                 "<target version=\"1.0\"><architecture>i386:x86-64</architecture>"
                 "<feature name=\"org.gnu.gdb.i386.core\"><flags id=\"" FLAGS_NAME
                 "\" size=\"4\">");
    print_flags(part);
    gdb_print_to(put_part, part, "</flags>");
    print_registers(part, 0, SYSTEM_FIRST);
    print_registers(part, X87_FIRST, REGISTER_COUNT);
    gdb_print_to(put_part, part, "</feature><feature name=\"org.gnu.gdb.i386.segments\">");
    print_registers(part, SYSTEM_FIRST, CONTROL_FIRST);
    gdb_print_to(put_part, part, "</feature><feature name=\"org.plastron.control\">");
    print_registers(part, CONTROL_FIRST, X87_FIRST);
    gdb_print_to(put_part, part, "</feature></target>");
}

/* "target.xml:OFFSET,LENGTH" */
enum gdb_answer gdb_describe_registers(struct gdb *gdb)
{
    struct part part = {.gdb = gdb};

    if (!gdb_take_text(gdb, "target.xml:") || !gdb_take_range(gdb, &part.skip, &part.room) ||
        !gdb_at_end(gdb))
        return ERROR;
    if (part.room > GDB_PACKET_MAX - 1)
        part.room = GDB_PACKET_MAX - 1;
    gdb->len = 1;
    print_description(&part);
    gdb->buffer[0] = part.more ? 'm' : 'l';
    return BUILT;
}
