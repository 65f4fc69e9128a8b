#include "word_list.h"
#include "format.h"
#include "names.h"

struct word_list word_list_at(char *to, size_t size)
{
    if (size)
        to[0] = 0;
    return (struct word_list){.to = to, .size = size};
}

static void append(struct word_list *list, const char *format, va_list args)
{
    size_t at = list->len < list->size ? list->len : list->size;

    list->len += format_string_v(list->to + at, list->size - at, format, args);
}

void word_list_more(struct word_list *list, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    append(list, format, args);
    va_end(args);
}

void word_list_add(struct word_list *list, const char *format, ...)
{
    va_list args;

    if (list->len)
        word_list_more(list, ", ");
    va_start(args, format);
    append(list, format, args);
    va_end(args);
}

void word_list_name(struct word_list *list, const char *table, const char *what, u64 number)
{
    const char *name = name_of(table, number);

    if (name)
        word_list_add(list, "%s", name);
    else
        word_list_add(list, "%s %lu", what, number);
}

void word_list_bits(struct word_list *list, const char *table, u64 bits)
{
    for (u32 bit = 0; bit < 64; bit++)
        if (bits >> bit & 1)
            word_list_name(list, table, "bit", bit);
}
