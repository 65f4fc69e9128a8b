/*
 * Exceptions and NMIs that arrive while L0 runs. An exception at an instruction that has a fix-up
 * continues there; an NMI is noted in cpu->nmi_pending and never lost; all else is a panic.
 */
#ifndef PLASTRON_HV_TRAP_H
#define PLASTRON_HV_TRAP_H

#include "types.h"

#define TRAP_UNEXPECTED_INTERRUPT 256 /* trap_frame.vector of any interrupt from 32 on */

/* Builds the interrupt descriptor table that all cores share. */
void trap_init_table(void);

/* Loads it on this core. GS base must already point to the core's struct cpu. */
void trap_load(void);

/* For HOST_IDTR_BASE. */
u64 trap_table_base(void);

/*
 * In inline assembly: if the instruction at label `fault` raises an exception, go on at `fixup`.
 * Registers and flags are then as they were at the fault.
 */
#define TRAP_FIXUP(fault, fixup)                                                                   \
    "\n\t.pushsection .extable, \"a\"\n\t.quad " fault ", " fixup "\n\t.popsection\n"

/* False instead of #GP; *value is written only on success. */
static inline bool rdmsr_safe(u32 msr, u64 *value)
{
    u32 low = 0, high = 0, done = 0;

    __asm__ volatile("1: rdmsr\n\tmovl $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&r"(done), "+a"(low), "+d"(high)
                     : "c"(msr)
                     : "memory");
    if (done)
        *value = (u64)high << 32 | low;
    return done;
}

static inline bool wrmsr_safe(u32 msr, u64 value)
{
    u32 done = 0;

    __asm__ volatile("1: wrmsr\n\tmovl $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&r"(done)
                     : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
                     : "memory");
    return done;
}

/* False instead of #GP or #UD. */
static inline bool xsetbv_safe(u32 index, u64 value)
{
    u32 done = 0;

    __asm__ volatile("1: xsetbv\n\tmovl $1, %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&r"(done)
                     : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
                     : "memory");
    return done;
}

#endif
