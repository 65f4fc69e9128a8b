#include "gdb_packet.h"

#define PRINTED_MAX 256 /* characters in a packet of output */

static const char digits[] = "0123456789abcdef";

/* ---- Bytes out ---- */

static void put_summed(struct gdb *gdb, char c)
{
    gdb->sum_out = (u8)(gdb->sum_out + (u8)c);
    gdb->backend->put((u8)c);
}

static void put_start(struct gdb *gdb)
{
    gdb->backend->put('$');
    gdb->sum_out = 0;
}

static void put_end(struct gdb *gdb)
{
    u8 sum = gdb->sum_out;

    gdb->backend->put('#');
    gdb->backend->put((u8)digits[sum >> 4]);
    gdb->backend->put((u8)digits[sum & 15]);
}

void gdb_send(struct gdb *gdb)
{
    put_start(gdb);
    for (u32 i = 0; i < gdb->len; i++)
        put_summed(gdb, (char)gdb->buffer[i]);
    put_end(gdb);
    gdb->answered = true;
}

void gdb_end_print(struct gdb *gdb)
{
    if (gdb->printed)
        put_end(gdb);
    gdb->printed = 0;
}

void gdb_print(void *context, char c)
{
    struct gdb *gdb = context;

    if (!gdb->waiting)
        return;
    if (!gdb->printed) {
        put_start(gdb);
        put_summed(gdb, 'O');
    }
    put_summed(gdb, digits[(u8)c >> 4]);
    put_summed(gdb, digits[c & 15]);
    if (++gdb->printed == PRINTED_MAX || c == '\n')
        gdb_end_print(gdb);
}

/* ---- The answer ---- */

void gdb_append(void *context, char c)
{
    struct gdb *gdb = context;

    if (gdb->len < GDB_PACKET_MAX)
        gdb->buffer[gdb->len++] = (u8)c;
}

void gdb_append_byte(struct gdb *gdb, u8 byte)
{
    gdb_append(gdb, digits[byte >> 4]);
    gdb_append(gdb, digits[byte & 15]);
}

void gdb_print_to(format_put *put, void *context, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_to(put, context, format, args);
    va_end(args);
}

enum gdb_answer gdb_build(struct gdb *gdb, const char *format, ...)
{
    va_list args;

    gdb->len = 0;
    va_start(args, format);
    format_to(gdb_append, gdb, format, args);
    va_end(args);
    return BUILT;
}

/* ---- The packet: a zero, which is no digit, stands behind its end ---- */

bool gdb_take_text(struct gdb *gdb, const char *text)
{
    u32 at = gdb->at;

    for (; *text && *text != '$'; text++, at++)
        if (at == gdb->len || gdb->buffer[at] != (u8)*text)
            return false;
    if (*text == '$' && at != gdb->len)
        return false;
    gdb->at = at;
    return true;
}

u32 gdb_digit(u8 c)
{
    u32 letter = (c | 0x20u) - 'a';

    if (c >= '0' && c <= '9')
        return c - '0';
    return letter < 6 ? letter + 10 : 16;
}

bool gdb_take_number(struct gdb *gdb, u64 *number)
{
    u32 first = gdb->at, digit;
    u64 value = 0;

    while ((digit = gdb_digit(gdb->buffer[gdb->at])) < 16) {
        if (value >> 60)
            return false;
        value = value << 4 | digit;
        gdb->at++;
    }
    *number = value;
    return gdb->at != first;
}

bool gdb_take_byte(struct gdb *gdb, u8 *byte)
{
    const u8 *text = &gdb->buffer[gdb->at];
    u32 high = gdb_digit(text[0]), low;

    if (high > 15)
        return false;
    low = gdb_digit(text[1]);
    if (low > 15)
        return false;
    *byte = (u8)(high << 4 | low);
    gdb->at += 2;
    return true;
}

bool gdb_take_value(struct gdb *gdb, u32 size, u64 *value)
{
    u8 byte;

    *value = 0;
    for (u32 i = 0; i < size; i++) {
        if (!gdb_take_byte(gdb, &byte))
            return false;
        *value |= (u64)byte << 8 * i;
    }
    return true;
}

bool gdb_take_bytes(struct gdb *gdb, u32 *count)
{
    for (*count = 0; !gdb_at_end(gdb); ++*count)
        if (!gdb_take_byte(gdb, &gdb->buffer[*count]))
            return false;
    return true;
}

bool gdb_take_range(struct gdb *gdb, u64 *address, u64 *len)
{
    return gdb_take_number(gdb, address) && gdb_take_text(gdb, ",") && gdb_take_number(gdb, len) &&
           (*len == 0 || *address + (*len - 1) >= *address);
}
