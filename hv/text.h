/* A text that is put together piece by piece. Never longer than its room, and always ended by a
   zero. */
#ifndef PLASTRON_HV_TEXT_H
#define PLASTRON_HV_TEXT_H

#include "format.h"
#include "types.h"

struct text {
    char *to;
    size_t size; /* bytes of room, the final zero included */
    size_t len;  /* of the whole text, whether it has room or not */
};

/* An empty text; to is not NULL, even if size is 0. */
struct text text_at(char *to, size_t size);

/* Appends, by the formats of hv/format.h. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_v(struct text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
