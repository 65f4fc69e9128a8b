/*
 * Translations to be looked at: the way down the tables entry by entry, as the processor would go
 * it, and what the entries say, in words. Nothing is changed: no accessed or dirty flag is set, no
 * shadow page table is filled, no lock is taken. Whatever other cores do to the tables meanwhile,
 * each entry is read once, and the walk ends.
 */
#ifndef PLASTRON_MM_INSPECT_H
#define PLASTRON_MM_INSPECT_H

#include "ept12.h"
#include "types.h"
#include "walk.h"

#define INSPECT_STEPS_MAX 5

/* What an entry is for a walk, which ends with the first that is not a table. */
enum inspect_kind {
    INSPECT_TABLE,
    INSPECT_PAGE,
    INSPECT_ABSENT,       /* not present */
    INSPECT_RESERVED,     /* has reserved bits set */
    INSPECT_WRITE_ONLY,   /* misconfigured: EPT entries need the right to read for that to write, */
    INSPECT_EXECUTE_ONLY, /* and for that to execute if the processor asks for it */
    INSPECT_BAD_TYPE,     /* misconfigured: there is no such memory type */
    INSPECT_UNREACHED,    /* not read: EPT12 does not let the processor read it */
    INSPECT_STRAY,        /* not read: it would lie outside L0's tables */
};

#define INSPECT_REGISTER (~0ull) /* for an address: the entry is a PDPTE register */

struct inspect_step {
    u64 address; /* of the entry: as the guest has it, L2-physical for an L2 with EPT */
    u64 pa;      /* the same in physical memory; with UNREACHED as address */
    u64 entry;
    u64 rights;    /* that it gives: as in struct inspection */
    u8 level;      /* 1 is the lowest */
    u8 kind;       /* enum inspect_kind */
    u8 size_shift; /* PAGE: 12, 21, 22 or 30 */
};

struct inspection {
    u32 count; /* steps, the top level first; 0: no paging, or beyond what the tables are for */
    struct inspect_step step[INSPECT_STEPS_MAX];
    bool translated;
    bool convertible; /* EPT12: an access that it does not allow may be a #VE */
    /* Of what is translated: */
    u64 address; /* where it leads */
    u64 rights;  /* over all levels: EPT_READ ... EPT_EXEC_USER; or PTE_W, PTE_U, PTE_NX */
};

/* Through EPT12, whose caps are as ept12_walk() takes them. */
void inspect_ept12(u64 eptp12, u64 ngpa, const struct ept12_caps *caps, struct inspection *out);

/*
 * Through EPT01 or EPT02, from a hardware's EPTP: tables of L0's own, which lie in
 * [start, start + size). A table may be given to another use of that memory meanwhile: what is read
 * there can be wrong then.
 */
void inspect_own_ept(u64 eptp, u64 gpa, u64 start, u64 size, struct inspection *out);

/* EPT12 as an L2's tables are reached through it. */
struct inspect_space {
    u64 eptp12;
    const struct ept12_caps *caps;
};

/* A linear address through a guest's tables, in any paging mode; of an L2 with EPT those are in
 *space, else it is NULL. The tables are not for an address that is not canonical. */
void inspect_linear(const struct walk_context *context, u64 linear,
                    const struct inspect_space *space, struct inspection *out);

/* How a translation that there is not ends: "not present at level 2". */
#define INSPECT_WORDS_MAX 80
void inspect_end_words(const struct inspection *inspection, char words[INSPECT_WORDS_MAX]);

/* What an entry is and says, in words: "page 2M rwx WB A D ignore-PAT". */
void inspect_ept_words(const struct inspect_step *step, char words[INSPECT_WORDS_MAX]);
void inspect_linear_words(const struct inspect_step *step, char words[INSPECT_WORDS_MAX]);

/* Rights as in struct inspection: "rwx"; those to execute in user mode are an extra "u". */
void inspect_ept_rights(u64 rights, char words[INSPECT_WORDS_MAX]);
void inspect_linear_rights(u64 rights, char words[INSPECT_WORDS_MAX]);

#endif
