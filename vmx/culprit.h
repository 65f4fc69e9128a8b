/*
 * Which field makes a VM entry fail. The checks of vmx/check.h say whether, as fast as they can;
 * this says why, in fields and bits, when it is known that it does.
 */
#ifndef PLASTRON_VMX_CULPRIT_H
#define PLASTRON_VMX_CULPRIT_H

#include "capabilities.h"
#include "types.h"
#include "vmcs12.h"
#include "vmx.h"

#define CULPRIT_FIELDS    4
#define CULPRIT_TEXT_SIZE 640 /* more than any text */

enum culprit_fault {
    CULPRIT_BITS,      /* these bits have the wrong value */
    CULPRIT_OFFERED,   /* of a control word: set but not offered, or clear and always 1 */
    CULPRIT_ADDRESS,   /* bits of a physical address that must be 0 */
    CULPRIT_CANONICAL, /* bits of a linear address */
    CULPRIT_VALUE,     /* is none of the valid values; another one differs in these bits */
    CULPRIT_MEMORY,    /* what is in memory at that address is not valid; the bits say nothing */
};

struct culprit_field {
    u64 value;
    u64 bits; /* if these change, this check passes */
    u32 encoding;
    u8 fault;    /* enum culprit_fault */
    bool joined; /* contradicts the next one: a change of either suffices */
};

struct culprit {
    enum vm_instruction_error error; /* of the VM-entry instruction; VMXERR_NONE: see guest */
    bool guest;                      /* the entry fails with exit reason 33 */
    u64 qualification;               /* its exit qualification */
    u32 count;
    struct culprit_field field[CULPRIT_FIELDS]; /* the SDM's first failing check first */
};

/*
 * Looks for what the checks of a VM entry find wrong in a vmcs12, SDM vol. 3, "VM Entries": in the
 * controls, if nothing there in the host state, if nothing there either in the guest state. caps,
 * l1_long_mode and current_vmcs are as in vmx/check.h; what they say of memory is read again.
 * Without a fault count is 0, which leaves what the hardware alone checks (see there). A hardware
 * VMCS can be looked at, too: in a vmcs12 filled from it, with the processor's own capabilities. If
 * its link pointer names L0's memory, that must be made ~0 for it: L0's memory reads as all ones
 * here.
 */
void culprit_find(const struct vmcs12 *vmcs12, const struct vmx_caps *caps, bool l1_long_mode,
                  u64 current_vmcs, struct culprit *out);

/*
 * What the entry does, and a line for each culprit, all ended by "\n". For an error that is not
 * found in fields (4, 5, 26) a caller fills in error alone. Writes at most size bytes, the final
 * zero included; returns the length of the whole text.
 */
size_t culprit_text(const struct culprit *culprit, char *to, size_t size);

#endif
