#include "word_list.h"

#include "names.h"

void word_list_add(struct text *list, const char *format, ...)
{
    va_list args;

    if (list->len)
        text_add(list, ", ");
    va_start(args, format);
    text_add_v(list, format, args);
    va_end(args);
}

void word_list_name(struct text *list, const char *table, const char *what, u64 number)
{
    const char *name = name_of(table, number);

    if (name)
        word_list_add(list, "%s", name);
    else
        word_list_add(list, "%s %lu", what, number);
}

void word_list_bits(struct text *list, const char *table, u64 bits)
{
    for (u32 bit = 0; bit < 64; bit++)
        if (bits >> bit & 1)
            word_list_name(list, table, "bit", bit);
}
