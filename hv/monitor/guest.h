/*
 * The guests of a core, for commands that run on it (THIS_CORE): L1, and L2 if the core has a
 * current vmcs12, whether L2 runs at the moment or L1 does. Nothing here changes what a guest can
 * see; the VMCS that was current is so again afterwards.
 */
#ifndef PLASTRON_HV_MONITOR_GUEST_H
#define PLASTRON_HV_MONITOR_GUEST_H

#include "types.h"
#include "../cpu.h"
#include "../../mm/inspect.h"
#include "../../mm/walk.h"

/* The guest that the core runs: 1 or 2. */
static inline u32 guest_running(const struct cpu *cpu) { return cpu->in_l2 ? 2 : 1; }

/* The core has that guest, of level 1 or 2. */
static inline bool guest_exists(const struct cpu *cpu, u32 level)
{
    return level == 1 || (level == 2 && cpu->nested.current);
}

enum guest_vmcs {
    GUEST_VMCS01,
    GUEST_VMCS12, /* the current one, as L1's VMREAD has it or would have it if L2 exited now */
    GUEST_VMCS02, /* that of the current vmcs12 */
};

/* One field of a VMCS, by its encoding; false if the core has no such VMCS, or that no such field:
   of vmcs12 those are fields that L1 is not offered. */
bool guest_vmcs_read(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding, u64 *value);

/*
 * A field of a guest that exists, at its own width; 0 if there is no such field. Of L1 vmcs01's. Of
 * L2 what it has while it runs, and what it would have at the next VM entry while L1 runs; host
 * state and controls are always vmcs12's.
 */
u64 guest_field(struct cpu *cpu, u32 level, u32 encoding);

/* A field of the current vmcs12, which exists: as GUEST_VMCS12 above; 0 if there is no such
   field. */
u64 l2_field(struct cpu *cpu, u32 encoding);

/* How a guest that exists translates linear addresses: all but PKRU and PKRS, which are 0. An L2
   without EPT that does not run and uses PAE paging has the PDPTEs that are in memory now. */
struct walk_context guest_paging(struct cpu *cpu, u32 level);

/* The current vmcs12's EPT, its EPTP with EPT12_MODE_BASED (mm/ept12.h) if it is read so; false for
   L1, for an L2 without EPT, and if there is no vmcs12. */
bool guest_ept12(const struct cpu *cpu, u32 level, struct inspect_space *ept12);

#endif
