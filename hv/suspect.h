/* Who is to blame for a panic, as far as that can be told: for hv/panic.c. */
#ifndef PLASTRON_HV_SUSPECT_H
#define PLASTRON_HV_SUSPECT_H

#include "panic.h"
#include "types.h"

#define SUSPECT_CODE_MAX 15 /* bytes of an instruction */

/*
 * An instruction that caused an exception in L0, and what it was about: "WRMSR of 0xc0000080, value
 * 0x500". code has so many bytes at RIP; frame has the registers. Writes at most size bytes, the
 * final zero included. Returns the length of the whole text, 0 if it is no instruction of which
 * more than its bytes could be said.
 */
size_t suspect_instruction(const u8 *code, size_t bytes, const struct trap_frame *frame, char *to,
                           size_t size);

/* Where a page fault's address lies: "address 0x10 is in page 0: a null pointer". frame has the
   stack pointer, ram_top is where the direct map ends. Writes and returns as above. */
size_t suspect_address(u64 address, const struct trap_frame *frame, u64 ram_top, char *to,
                       size_t size);

/* Prints what is likely to blame: for an exception its instruction and address, else, if a VM entry
   of L1 has failed, the fields of the current VMCS that its checks find wrong. */
void suspect_print(const struct trap_frame *frame);

#endif
