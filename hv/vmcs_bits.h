/* VMCS fields that are but bits, in words: controls, control registers, masks. Pure functions. */
#ifndef PLASTRON_HV_VMCS_BITS_H
#define PLASTRON_HV_VMCS_BITS_H

#include "word_list.h"

/* Bits of a page fault's error code, for word_list_bits. */
extern const char page_fault_bits[];

/* The names of the bits that are set. ones: reserved bits that are always 1, of which only a
   missing one is said. */
void bits_in_words(struct text *list, const char *table, u64 value, u64 ones);

/* The bits that are set in such a field; false if the field is another. */
bool vmcs_bits(struct text *list, u32 field, u64 value);

#endif
