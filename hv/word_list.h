/* A line of text that is put together as "this, that, the other". Never longer than its room, and
   always ended by a zero. */
#ifndef PLASTRON_HV_WORD_LIST_H
#define PLASTRON_HV_WORD_LIST_H

#include "types.h"

struct word_list {
    char *to;
    size_t size; /* bytes of room, the final zero included */
    size_t len;  /* of the whole text, whether it has room or not */
};

/* An empty list; to is not NULL, even if size is 0. */
struct word_list word_list_at(char *to, size_t size);

/* One more item of the list, and more of the last item, by the formats of hv/format.h. */
void word_list_add(struct word_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void word_list_more(struct word_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An item: the number's name of the table (hv/names.h), or, if it has none, "WHAT NUMBER". */
void word_list_name(struct word_list *list, const char *table, const char *what, u64 number);

/* An item for each bit that is set, from bit 0 on: its name of the table, or "bit N". */
void word_list_bits(struct word_list *list, const char *table, u64 bits);

#endif
