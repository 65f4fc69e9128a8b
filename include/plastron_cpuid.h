/* What L1 can ask Plastron by CPUID, from any privilege level. Nothing can be set. */
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
   of L2, else of L1. */
#define CPUID_PLASTRON_EXITS 0x40000002u
#define CPUID_EXITS_OF_L2    (1u << 16)

/* The memory for shadow page tables, in pages of 4 KiB. EAX: all; EBX: in use; ECX: of these,
   tables of L1's own EPT; EDX: how often pages had to be reclaimed. */
#define CPUID_PLASTRON_SHADOW 0x40000003u

#define CPUID_PLASTRON_LAST CPUID_PLASTRON_SHADOW

#endif
