/* What a command of the monitor is, and what commands read their arguments with. */
#ifndef PLASTRON_HV_MONITOR_COMMAND_H
#define PLASTRON_HV_MONITOR_COMMAND_H

#include "types.h"

struct cpu;

#define COMMAND_WORDS_MAX 8 /* the command's name included */

/* A line cut into words; word[0] is the command's name. Words from count on are "". */
struct words {
    u32 count;
    const char *word[COMMAND_WORDS_MAX];
};

enum command_place {
    ANY_CORE,  /* on the core that has the monitor: cpu is NULL */
    THIS_CORE, /* on the core that was chosen by `cpu`, while its guest stands still; current is
                  vmcs01 while L1 runs, vmcs02 while L2 does */
};

struct command {
    const char *name;
    const char *arguments; /* for the usage: "01|12|02 [PATTERN]", or "" */
    const char *summary;   /* one line */
    const char *details;   /* lines for `help NAME`, each ended by "\n"; or "" */
    enum command_place place;
    /* Prints what it has to say, errors included. False: the arguments make no sense to it, and the
       usage is shown. */
    bool (*run)(struct cpu *cpu, const struct words *words);
    /* What the first argument may be, for completion; ended by NULL. NULL: nothing to complete. */
    const char *const *choices;
    bool whole; /* only its whole name is meant by it: what cannot be undone */
};

/* ---- For the commands ---- */

/* A number of an argument: decimal, or hexadecimal with 0x. False if it is none, or has more than
   64 bits. */
bool parse_number(const char *text, u64 *number);

/* Texts are equal: in their case too; whatever the case of letters. */
bool text_equal(const char *a, const char *b);
bool text_same(const char *a, const char *b);

#endif
