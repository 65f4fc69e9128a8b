/* A text (hv/text.h) that is a list of items: "this, that, the other". */
#ifndef PLASTRON_HV_WORD_LIST_H
#define PLASTRON_HV_WORD_LIST_H

#include "text.h"

/* One more item, by the formats of hv/format.h; text_add() adds to the last one. */
void word_list_add(struct text *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An item: the number's name of the table (hv/names.h), or, if it has none, "WHAT NUMBER". */
void word_list_name(struct text *list, const char *table, const char *what, u64 number);

/* An item for each bit that is set, from bit 0 on: its name of the table, or "bit N". */
void word_list_bits(struct text *list, const char *table, u64 bits);

#endif
