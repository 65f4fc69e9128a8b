/*
 * L0's functions by address. The table is made by tools/mksymbols from the linked image and
 * linked in by a second pass; the first pass links an empty one.
 */
#ifndef PLASTRON_HV_SYMBOLS_H
#define PLASTRON_HV_SYMBOLS_H

#include "types.h"

struct symbol {
    u32 offset; /* from L0_VIRT_BASE */
    u32 name;   /* index into symbol_names; an empty name ends the code before it */
};

/* Ascending by offset. */
extern const u32 symbol_count;
extern const struct symbol symbol_table[];
extern const char symbol_names[];

/* The function that holds the address, and how far behind its start; NULL if none does. */
const char *symbol_find(u64 address, u64 *offset);

#endif
