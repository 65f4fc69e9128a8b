/* Privileged instructions, one inline function each. */
#ifndef PLASTRON_HV_INSN_H
#define PLASTRON_HV_INSN_H

#include "types.h"

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

struct cpuid_result {
    u32 eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_result r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

#define CONTROL_REGISTER(name)                                                                     \
    static inline u64 read_##name(void)                                                            \
    {                                                                                              \
        u64 value;                                                                                 \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                     \
        return value;                                                                              \
    }                                                                                              \
    static inline void write_##name(u64 value)                                                     \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                            \
    }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)
#undef CONTROL_REGISTER

static inline void write_dr03_zero(void)
{
    __asm__ volatile("mov %0, %%dr0; mov %0, %%dr1; mov %0, %%dr2; mov %0, %%dr3" : : "r"(0ull));
}

static inline void wbinvd(void) { __asm__ volatile("wbinvd" : : : "memory"); }
static inline u64 rdtsc(void) { return __builtin_ia32_rdtsc(); }

static inline void pause(void) { __asm__ volatile("pause"); }

/* IN and OUT of a byte, and OUT of a word. */
static inline u8 port_in(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void port_out(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

/* The same of 1, 2 or 4 bytes. */
static inline u32 port_in_wide(u16 port, u32 size)
{
    u32 value;

    if (size == 1)
        return port_in(port);
    if (size == 2)
        __asm__ volatile("xor %0, %0\n\tinw %1, %w0" : "=a"(value) : "Nd"(port) : "cc");
    else
        __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void port_out_wide(u16 port, u32 size, u32 value)
{
    if (size == 1)
        port_out(port, (u8)value);
    else if (size == 2)
        port_out16(port, (u16)value);
    else
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

/* VMX instructions; true on success. SDM vol. 3, "VMX Instruction Reference". */
static inline bool vmxon(u64 pa)
{
    bool fail;

    __asm__ volatile("vmxon %1" : "=@ccbe"(fail) : "m"(pa) : "memory");
    return !fail;
}

static inline bool vmclear(u64 pa)
{
    bool fail;

    __asm__ volatile("vmclear %1" : "=@ccbe"(fail) : "m"(pa) : "memory");
    return !fail;
}

static inline bool vmptrld(u64 pa)
{
    bool fail;

    __asm__ volatile("vmptrld %1" : "=@ccbe"(fail) : "m"(pa) : "memory");
    return !fail;
}

/* The current VMCS; all ones if there is none. */
static inline u64 vmptrst(void)
{
    u64 pa;

    __asm__ volatile("vmptrst %0" : "=m"(pa) : : "cc", "memory");
    return pa;
}

struct inv_descriptor {
    u64 context; /* EPTP, or VPID in bits 15:0 */
    u64 address;
};

static inline bool invept(u64 type, u64 eptp)
{
    struct inv_descriptor d = {eptp, 0};
    bool fail;

    __asm__ volatile("invept %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
    return !fail;
}

static inline bool invvpid(u64 type, u16 vpid, u64 address)
{
    struct inv_descriptor d = {vpid, address};
    bool fail;

    __asm__ volatile("invvpid %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
    return !fail;
}

#endif
