/*
 * The processor for the unit tests of what L0 does in VMX root operation: included before all else
 * (see the Makefile), in the place of hv/vmcs.h, hv/insn.h and hv/trap.h. Fields, MSRs and control
 * registers are what the test puts there.
 */
#ifndef PLASTRON_TESTS_FAKE_VMCS_H
#define PLASTRON_TESTS_FAKE_VMCS_H

#define PLASTRON_HV_VMCS_H
#define PLASTRON_HV_INSN_H
#define PLASTRON_HV_TRAP_H

#include "types.h"
#include "vmcs_fields.h"

extern u64 fake_vmcs[0x8000]; /* by encoding */
extern u64 fake_cr2, fake_cr4;

/* False: #GP. */
bool fake_rdmsr(u32 msr, u64 *value);
bool fake_wrmsr(u32 msr, u64 value);

u64 fake_rdtsc(void);

/* IN and OUT of a byte, and of 1, 2 or 4. */
u8 fake_port_in(u16 port);
void fake_port_out(u16 port, u8 value);
u32 fake_port_in_wide(u16 port, u32 size);
void fake_port_out_wide(u16 port, u32 size, u32 value);

bool fake_vmclear(u64 pa);
bool fake_vmptrld(u64 pa);
u64 fake_vmptrst(void);

static inline u64 vmread(enum vmcs_field field)
{
    return VMCS_FIELD_HIGH(field) ? fake_vmcs[field - 1] >> 32 : fake_vmcs[field];
}

static inline u32 vmread32(enum vmcs_field field) { return (u32)fake_vmcs[field]; }

static inline void vmwrite(enum vmcs_field field, u64 value)
{
    if (VMCS_FIELD_HIGH(field))
        fake_vmcs[field - 1] = value << 32 | (u32)fake_vmcs[field - 1];
    else if (VMCS_FIELD_WIDTH(field) == VMCS_WIDTH_16)
        fake_vmcs[field] = (u16)value;
    else if (VMCS_FIELD_WIDTH(field) == VMCS_WIDTH_32)
        fake_vmcs[field] = (u32)value;
    else
        fake_vmcs[field] = value;
}

static inline bool vmread_try(u64 field, u64 *value)
{
    *value = vmread((enum vmcs_field)field);
    return true;
}

static inline u64 vmread_basic(enum vmcs_field field) { return vmread(field); }
static inline void vmwrite_basic(enum vmcs_field field, u64 value) { vmwrite(field, value); }

static inline void vmcs_change(enum vmcs_field field, u64 mask, u64 value)
{
    vmwrite(field, (vmread(field) & ~mask) | (value & mask));
}

static inline bool vmclear(u64 pa) { return fake_vmclear(pa); }
static inline u64 vmptrst(void) { return fake_vmptrst(); }
static inline bool vmptrld(u64 pa) { return fake_vmptrld(pa); }

static inline bool invept(u64 type, u64 eptp)
{
    (void)type;
    (void)eptp;
    return true;
}

static inline void vmcs_write_pdptes(const u64 pdpte[4])
{
    for (u32 i = 0; i < 4; i++)
        vmwrite((enum vmcs_field)(GUEST_PDPTR0 + 2 * i), pdpte[i]);
}

static inline u64 rdtsc(void) { return fake_rdtsc(); }
static inline u32 port_in_wide(u16 port, u32 size) { return fake_port_in_wide(port, size); }
static inline void port_out_wide(u16 port, u32 size, u32 value)
{
    fake_port_out_wide(port, size, value);
}
static inline u8 port_in(u16 port) { return fake_port_in(port); }
static inline void port_out(u16 port, u8 value) { fake_port_out(port, value); }

static inline u64 read_cr2(void) { return fake_cr2; }
static inline void write_cr2(u64 value) { fake_cr2 = value; }
static inline u64 read_cr4(void) { return fake_cr4; }
static inline void write_cr4(u64 value) { fake_cr4 = value; }

static inline bool rdmsr_safe(u32 msr, u64 *value) { return fake_rdmsr(msr, value); }
static inline bool wrmsr_safe(u32 msr, u64 value) { return fake_wrmsr(msr, value); }
static inline void wrmsr(u32 msr, u64 value) { fake_wrmsr(msr, value); }

static inline u64 rdmsr(u32 msr)
{
    u64 value = 0;

    fake_rdmsr(msr, &value);
    return value;
}

#endif
