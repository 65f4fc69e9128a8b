/*
 * Access to the current hardware VMCS, by fields that exist on every processor Plastron starts
 * on or whose existence the caller has checked: a failure is L0's own bug and panics with the
 * field's name.
 */
#ifndef PLASTRON_HV_VMCS_H
#define PLASTRON_HV_VMCS_H

#include "types.h"
#include "vmcs_fields.h"

_Noreturn void vmcs_access_failed(bool write, u64 field, u64 value, void *caller);

/* VMREAD without a panic, for dumps and optional fields. */
static inline bool vmread_try(u64 field, u64 *value)
{
    bool fail;

    __asm__ volatile("vmread %2, %1" : "=@ccbe"(fail), "=rm"(*value) : "r"(field));
    return !fail;
}

static inline bool vmwrite_try(u64 field, u64 value)
{
    bool fail;

    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(fail) : "rm"(value), "r"(field));
    return !fail;
}

static inline u64 vmread(enum vmcs_field field)
{
    u64 value;

    if (__builtin_expect(!vmread_try(field, &value), 0))
        vmcs_access_failed(false, field, 0, __builtin_return_address(0));
    return value;
}

static inline u32 vmread32(enum vmcs_field field) { return (u32)vmread(field); }

static inline void vmwrite(enum vmcs_field field, u64 value)
{
    if (__builtin_expect(!vmwrite_try(field, value), 0))
        vmcs_access_failed(true, field, value, __builtin_return_address(0));
}

/*
 * The same on the way of each exit, without looking whether it failed: for fields that every
 * processor has which Plastron starts on. With a current VMCS that cannot be.
 */
static inline u64 vmread_basic(enum vmcs_field field)
{
    u64 value;

    __asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((u64)field) : "cc");
    return value;
}

static inline void vmwrite_basic(enum vmcs_field field, u64 value)
{
    __asm__ volatile("vmwrite %0, %1" : : "rm"(value), "r"((u64)field) : "cc");
}

/* The PDPTE registers of a guest with PAE paging. */
static inline void vmcs_write_pdptes(const u64 pdpte[4])
{
    for (u32 i = 0; i < 4; i++)
        vmwrite(GUEST_PDPTR0 + 2 * i, pdpte[i]);
}

/* Replaces the bits of mask in a field by those of value. */
static inline void vmcs_change(enum vmcs_field field, u64 mask, u64 value)
{
    vmwrite(field, (vmread(field) & ~mask) | (value & mask));
}

#endif
