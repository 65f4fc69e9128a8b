/*
 * What L1 can ask Plastron by CPUID, from any privilege level. Nothing can be set, and nothing
 * tells an address of L0. docs/plastronctl.8 describes it for those who program it: a leaf that is
 * there stays as it is, others go behind it.
 *
 * What a leaf or its subleaf (ECX) does not name is 0, as is every leaf but the signature where the
 * configuration says stats=off.
 */
#ifndef PLASTRON_PLASTRON_CPUID_H
#define PLASTRON_PLASTRON_CPUID_H

/* EAX: the highest of these leaves; EBX, ECX, EDX: "PlastronVMM\0". */
#define CPUID_PLASTRON     0x40000000u
#define CPUID_PLASTRON_EBX 0x73616c50u
#define CPUID_PLASTRON_ECX 0x6e6f7274u
#define CPUID_PLASTRON_EDX 0x004d4d56u

/* EAX: what L1 has. */
#define CPUID_PLASTRON_FEATURES 0x40000001u
#define CPUID_FEATURE_NESTED    (1u << 0) /* VMX */

/* EDX:EAX: exits of this core to L0 so far, for the basic exit reason in ECX; with the flag those
   of L2, else of L1. The CPUID that asks is one of them. */
#define CPUID_PLASTRON_EXITS 0x40000002u
#define CPUID_EXITS_OF_L2    (1u << 16)

/* The memory for shadow page tables, which all cores share. */
#define CPUID_PLASTRON_SHADOW 0x40000003u
/* In pages of 4 KiB. EAX: all; EBX: in use; ECX: of these, tables of L1's own EPT; EDX: how often
   pages had to be reclaimed. */
#define CPUID_SHADOW_PAGES 0u
/* How often so far, modulo 2^32. EAX: a table of L1's was mirrored; EBX: one was read again; ECX:
   of these, found changed; EDX: one was write-protected. */
#define CPUID_SHADOW_TABLES 1u

/* EAX, EBX, ECX: major, minor, patch; EDX: cores. */
#define CPUID_PLASTRON_VERSION 0x40000004u

/* Accesses of this core to L0's memory so far. EBX:EAX: reads; EDX:ECX: writes. */
#define CPUID_PLASTRON_HIDDEN 0x40000005u

/* EDX:ECX:EBX:EAX: a bit for each feature of VMX, numbered by enum feature of this version. */
#define CPUID_PLASTRON_VMX 0x40000006u
#define CPUID_VMX_OFFERED  0u /* L1 has it */
#define CPUID_VMX_MASKED   1u /* the configuration names it in mask= */
#define CPUID_VMX_MISSING  2u /* the processor lacks it, or something that it needs */

#define CPUID_PLASTRON_LAST CPUID_PLASTRON_VMX

#endif
