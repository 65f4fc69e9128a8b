/*
 * Linear addresses of L1 (or L2, with its state): translated by L0 for its own accesses on
 * their behalf, such as the memory operands of VMX instructions, with the rights, the faults
 * and the accessed and dirty flags that the processor would show. SDM vol. 3, "Paging".
 *
 * Segmentation and canonicality are the caller's; so is the #PF. Shadow-stack accesses are not
 * modelled: L0 makes none for L1.
 */
#ifndef PLASTRON_MM_WALK_H
#define PLASTRON_MM_WALK_H

#include "types.h"

struct walk_context {
    u64 cr0, cr3, cr4, efer, rflags;
    u64 pdpte[4];      /* with PAE paging: the registers, as in the VMCS; not read from memory */
    u32 pkru;          /* used with CR4.PKE */
    u32 pkrs;          /* IA32_PKRS, used with CR4.PKS */
    u32 physical_bits; /* MAXPHYADDR */
    bool has_1g;       /* 1-GiB pages, CPUID.80000001H:EDX[26] */
    u32 cpl;
};

/* Kinds of access; a data read has no flag. A fetch is not a write. */
#define WALK_READ  0u
#define WALK_WRITE BIT(0)
#define WALK_FETCH BIT(1)
#define WALK_USER  BIT(2) /* user-mode access whatever CPL says; it is one anyhow at CPL 3 */
#define WALK_IMPLICIT                                                                              \
    BIT(3) /* supervisor-mode access whatever CPL says, as to a descriptor                         \
              table: SMAP holds even with EFLAGS.AC */

struct walk_fault {
    u64 address;    /* for CR2 */
    u32 error_code; /* PF_* */
};

/*
 * Translates one address. True: *pa, and accessed and dirty flags are set. False: *error_code of
 * the #PF, and no flag was set. Without CR0.PG each linear address is the physical one.
 */
bool walk_linear(const struct walk_context *context, u64 linear, u32 access, u64 *pa,
                 u32 *error_code);

/*
 * Copies len bytes, at most PAGE_SIZE, from or to linear addresses, as explicit data accesses at
 * the context's CPL. False: *fault, and no byte was copied;
 * of a range that crosses pages the first page's flags may be set then.
 */
bool walk_read(const struct walk_context *context, u64 linear, void *to, u32 len,
               struct walk_fault *fault);
bool walk_write(const struct walk_context *context, u64 linear, const void *from, u32 len,
                struct walk_fault *fault);

#endif
