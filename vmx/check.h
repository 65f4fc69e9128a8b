/*
 * The checks of a VM entry, SDM vol. 3, "VM Entries": every field of a vmcs12 against what is
 * offered to L1 (struct vmx_caps). Plain functions; the only memory they read is the virtual-APIC
 * page (VTPR), the region the VMCS link pointer names and the PDPTEs of a guest without EPT, each
 * word once. The vmcs12 must be L0's private copy: L1 could change its own one after the check.
 *
 * Left to the hardware, whose answer (exit reason 33) depends on the model and reaches L1
 * unchanged because vmcs02 holds vmcs12's values: reserved bits of GUEST_IA32_DEBUGCTL; bit 4
 * (enclave interruption) of the interruptibility state; the upper halves of IA32_S_CET and SSP;
 * RTM and bus-lock bits of the pending debug exceptions on processors without those; NMI injection
 * while blocking by STI.
 */
#ifndef PLASTRON_VMX_CHECK_H
#define PLASTRON_VMX_CHECK_H

#include "types.h"
#include "vmcs12.h"
#include "vmx.h"
#include "capabilities.h"
#include "x86.h"

/* VMXERR_NONE or VMXERR_ENTRY_INVALID_CONTROL_FIELD. */
enum vm_instruction_error check_controls(const struct vmcs12 *vmcs12, const struct vmx_caps *caps);

/* VMXERR_NONE or VMXERR_ENTRY_INVALID_HOST_STATE_FIELD. l1_long_mode: IA32_EFER.LMA of L1. */
enum vm_instruction_error check_host_state(const struct vmcs12 *vmcs12, const struct vmx_caps *caps,
                                           bool l1_long_mode);

/* The part of each that depends on what L1 writes all the time (direct_is_frequent()), on memory
   and on L1's mode: what is left if the rest has not changed since it was valid. */
enum vm_instruction_error check_frequent_controls(const struct vmcs12 *vmcs12,
                                                  const struct vmx_caps *caps);

static inline bool host_mode_valid(const struct vmcs12 *vmcs12, bool l1_long_mode)
{
    return (bool)(vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE) == l1_long_mode;
}

/*
 * True if the guest state is valid, with the PDPTEs to use in pdpte if guest_uses_pae (from the
 * vmcs12 with EPT, else from memory at its CR3). False: *qualification is that of exit reason 33.
 * current_vmcs is the address of the vmcs12 in L1's memory.
 */
bool check_guest_state(const struct vmcs12 *vmcs12, const struct vmx_caps *caps, u64 current_vmcs,
                       u64 pdpte[4], u64 *qualification);

/* Reads the four PDPTEs at cr3; false if one is present and has a reserved bit set. */
bool load_pdptes(u64 cr3, const struct vmx_caps *caps, u64 pdpte[4]);

/* An EPT pointer, as VM entry and INVEPT take it. */
bool eptp_valid(u64 eptp, const struct vmx_caps *caps);

/* The secondary controls; 0 while they are not activated. */
static inline u32 vmcs12_secondary(const struct vmcs12 *vmcs12)
{
    bool active = vmcs12->cpu_based_vm_exec_control & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;

    return active ? vmcs12->secondary_vm_exec_control : 0;
}

/* True if L2 uses PAE paging, so that it has PDPTEs. */
static inline bool guest_uses_pae(const struct vmcs12 *vmcs12)
{
    return (vmcs12->guest_cr0 & CR0_PG) && (vmcs12->guest_cr4 & CR4_PAE) &&
           !(vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE);
}

/* True if addr is below the limit for what a VMCS points to (IA32_VMX_BASIC[48]). */
static inline bool address_in_width(const struct vmx_caps *caps, u64 addr)
{
    u32 bits = caps->basic & VMX_BASIC_32BIT_ADDRESSES ? 32 : caps->physical_bits;

    return addr >> bits == 0;
}

static inline bool page_address_valid(const struct vmx_caps *caps, u64 addr)
{
    return !(addr & ~PAGE_MASK) && address_in_width(caps, addr);
}

/* 0 if addr is canonical: for several addresses, OR what it returns, and test once. */
static inline u64 not_canonical(u64 addr, u32 linear_bits)
{
    u64 high = (u64)((s64)addr >> (linear_bits - 1)); /* 0 or all ones, plus 1 is 1 or 0 */

    return (high + 1) >> 1;
}

/* True if every bit of fixed0 is set in value, and none outside fixed1. */
static inline bool fixed_bits_valid(u64 value, u64 fixed0, u64 fixed1)
{
    return (value & fixed0) == fixed0 && !(value & ~fixed1);
}

/* The same for a control word and its capability MSR. */
static inline bool controls_allowed(u32 value, u64 msr)
{
    return fixed_bits_valid(value, (u32)msr, msr >> 32);
}

/* IA32_PAT: eight bytes, each at most 7, and not 2 or 3 (bit 1 without bit 2). */
static inline bool pat_valid(u64 pat)
{
    return !(pat & 0xf8f8f8f8f8f8f8f8) && !(pat >> 1 & ~(pat >> 2) & 0x0101010101010101);
}

/* CET state to load, of host or guest, but for the upper halves of IA32_S_CET and SSP. */
static inline bool cet_valid(u64 s_cet, u64 ssp, u64 ssp_table, u32 linear_bits)
{
    return !(s_cet & CET_RESERVED) && (~s_cet & (CET_SUPPRESS | CET_TRACKER)) && !(ssp & 3) &&
           !not_canonical(ssp_table, linear_bits);
}

#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

#endif
