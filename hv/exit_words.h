/* What an exit of L1 or L2 was about, in words: the fields that mean something else for each exit
   reason. Pure functions; context is of the same VMCS. */
#ifndef PLASTRON_HV_EXIT_WORDS_H
#define PLASTRON_HV_EXIT_WORDS_H

#include "vmcs_words.h"
#include "word_list.h"

/* The bits of pending debug exceptions that the exit qualification of #DB has too, for
   word_list_bits. */
extern const char debug_conditions[];

/* SDM vol. 3, "Basic VM-Exit Information". */
void exit_qualification_words(struct text *list, u64 qualification,
                              const struct vmcs_context *context);

/* SDM vol. 3, "Information for VM Exits Due to Instruction Execution". */
void instruction_info_words(struct text *list, u64 info, const struct vmcs_context *context);

#endif
