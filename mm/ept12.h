/*
 * L1's EPT for L2 (EPT12), walked in software as the processor would walk it. SDM vol. 3, "The
 * Extended Page Table Mechanism (EPT)".
 */
#ifndef PLASTRON_MM_EPT12_H
#define PLASTRON_MM_EPT12_H

#include "types.h"
#include "vmx.h"

/* What L1 was offered, which decides what is reserved. */
struct ept12_caps {
    u32 physical_bits; /* MAXPHYADDR */
    bool execute_only;
    bool has_1g;
    bool has_2m;
};

enum ept12_result {
    EPT12_TRANSLATED,
    EPT12_VIOLATION,     /* an entry is not present: exit reason 48 */
    EPT12_MISCONFIGURED, /* exit reason 49 */
    EPT12_CHANGED,       /* L1 has changed an entry since it was read */
    EPT12_LOG_FULL,      /* the log of page modifications is: exit reason 62 */
};

#define EPT12_LEVELS_MAX 5

/* In what is called EPTP12 here, a bit that EPTPs have not: the entries' bit 10 has a meaning. SDM
   vol. 3, "Mode-Based Execute Control". */
#define EPT12_MODE_BASED BIT64(8)

struct ept12_translation {
    u64 gpa;         /* TRANSLATED: first address of the page, in L1's physical addresses */
    u32 level;       /* of the entry read last: 1 to 3 is a page of 4K, 2M, 1G when TRANSLATED */
    u32 size_shift;  /* TRANSLATED: 12, 21 or 30 */
    u64 rights;      /* EPT_READ ..., and over all levels; 0 unless TRANSLATED */
    u32 memory_type; /* TRANSLATED: enum memory_type */
    bool ignore_pat;
    bool convertible; /* VIOLATION, or an access that is not among the rights: may be a #VE */
    struct {
        u64 pa, entry;
    } path[EPT12_LEVELS_MAX]; /* the entries as they were read, by level - 1 */
};

/* The page-walk length of EPTP12. */
u32 ept12_levels(u64 eptp12);

/*
 * Translates an address of L2. Each entry is read once; whatever L1 does to its tables at the
 * same time, the result is that of the entries as they were read. The EPTP's validity (VM entry
 * checks it) is the caller's; whether the access is among the rights too.
 */
enum ept12_result ept12_walk(u64 eptp12, u64 ngpa, const struct ept12_caps *caps,
                             struct ept12_translation *out);

/* Where L1 wants the pages logged that become dirty. SDM vol. 3, "Page-Modification Logging". */
struct ept12_log {
    bool enabled;
    u64 page;  /* address of the log */
    u16 index; /* of its next entry; counts down, and is not valid from 512 on */
};

/*
 * Sets the accessed flags of the entries that TRANSLATED an access to ngpa, and the dirty flag for
 * a write, if EPTP12 enables them. SDM vol. 3, "Accessed and Dirty Flags for EPT". TRANSLATED: they
 * are set. CHANGED: the access is to be tried again. LOG_FULL: nothing was set.
 */
enum ept12_result ept12_set_flags(u64 eptp12, u64 ngpa, bool write, struct ept12_log *log,
                                  struct ept12_translation *translation);

/* That has no flag left to set. */
bool ept12_has_flags(u64 eptp12, bool write, const struct ept12_translation *translation);

/* L1's physical address for an address in the page. */
static inline u64 ept12_address(const struct ept12_translation *translation, u64 ngpa)
{
    return translation->gpa | (ngpa & (BIT64(translation->size_shift) - 1));
}

/* An entry that is present, of a table of that level, maps a page, and is valid. */
bool ept12_is_page(u64 entry, u32 level, const struct ept12_caps *caps);

#endif
