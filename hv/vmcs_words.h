/* What the value of a VMCS field says, in words. Pure functions. */
#ifndef PLASTRON_HV_VMCS_WORDS_H
#define PLASTRON_HV_VMCS_WORDS_H

#include "types.h"

#define VMCS_WORDS_MAX 768 /* room for any text, the final zero included */

/* Fields of the same VMCS that others are understood by. */
struct vmcs_context {
    u64 exit_qualification;
    u32 exit_reason, instruction_info;
    u32 entry_intr_info, exit_intr_info, idt_vectoring_info;
};

/*
 * Writes one line without its end, at most size bytes, the final zero included; to is not NULL,
 * even if size is 0. "" if there is nothing to say beyond the number, or no such field. Bits of the
 * value beyond the field's width are ignored. Returns the length that the whole text has.
 */
size_t vmcs_words(u32 encoding, u64 value, const struct vmcs_context *context, char *to,
                  size_t size);

#endif
