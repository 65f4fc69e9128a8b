#include "text.h"

struct text text_at(char *to, size_t size)
{
    if (size)
        to[0] = 0;
    return (struct text){.to = to, .size = size};
}

void text_add_v(struct text *text, const char *format, va_list args)
{
    size_t at = text->len < text->size ? text->len : text->size;

    text->len += format_string_v(text->to + at, text->size - at, format, args);
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_add_v(text, format, args);
    va_end(args);
}
