/*
 * The contract between a loader and L0.
 *
 * The loader reserves one contiguous, 2-MiB-aligned region of RAM, loads L0's ELF segments to
 * its start (link address L0_VIRT_BASE is region_base) and calls L0's ELF entry point on each core,
 * the boot processor (index 0) first and alone, the others then in any order or together, in
 * 64-bit mode, interrupts off, on a page table that maps
 *   - what the loader's own code needs, as it was (lower half),
 *   - [L0_VIRT_BASE, + image_size) to the region, writable and executable,
 *   - [L0_DIRECT_BASE, + ram_top) to physical memory from 0 on, writable.
 * L0 builds its own tables at once; the loader's are not used after the call.
 * L0 knows nothing of EFI.
 */
#ifndef PLASTRON_BOOT_INFO_H
#define PLASTRON_BOOT_INFO_H

#include "config.h"
#include "types.h"

#define L0_VIRT_BASE   0xffffffff80000000ull
#define L0_DIRECT_BASE 0xffff800000000000ull

#define MAX_CPUS        256
#define BOOT_INFO_MAGIC 0x4e4f525453414c50ull /* "PLASTRON" */

/* How the machine is switched off, and reset: I/O ports, 0 if that is not known. ACPI
   specification, "Fixed ACPI Description Table (FADT)". */
struct power {
    u16 off_port;  /* PM1a_CNT_BLK */
    u16 off_value; /* SLP_TYPa of \_S5 and SLP_EN */
    u16 reset_port;
    u8 reset_value;
};

struct boot_info {
    u64 magic;
    u64 region_base; /* physical address of the memory that is L0's alone, 2-MiB-aligned */
    u64 region_size; /* bytes, a multiple of PAGE_SIZE; see l0_own_bytes() */
    u64 image_size;  /* bytes at region_base taken by L0's segments, page-aligned; rest is free */
    u64 ram_top;     /* first physical address above all RAM, at least 4 GiB, 1-GiB-aligned */
    u64 low_ram_top; /* the end of the RAM below 4 GiB: what lies from there to 4 GiB is devices */
    u64 acpi_rsdp;   /* physical address, 0 if unknown */
    u64 tsc_hz; /* ticks of the time-stamp counter a second; 0: not measured, as no monitor asks */
    struct power power;
    u64 shadow_bytes; /* of the region's end, for the shadow page tables of L2; page-aligned */
    u32 cpu_count;    /* cores that will call L0 */
    u32 reserved;
    u32 apic_id[MAX_CPUS]; /* of each core, by the index it passes */
    struct config config;
};

/*
 * What a core passes to L0's entry point (in RDI, a lower-half address valid in the loader's
 * mapping). L0 launches L1 so that it continues at resume_rip with resume_rsp and the control
 * registers, descriptor tables, segments and MSRs the core has at the call, but CR3 =
 * resume_cr3, and RAX = 0. If L0 cannot start on this core it goes there without VMX, CR3 as it
 * was at the call, with RAX = an enum l0_error.
 */
struct l0_call {
    u64 boot_info; /* physical address, below ram_top; L0 copies it */
    u64 cpu;       /* index, 0 to cpu_count - 1 */
    u64 resume_rip;
    u64 resume_rsp;
    u64 resume_rflags;
    u64 resume_cr3;
};

enum l0_error {
    L0_OK,
    L0_NO_MEMORY,     /* region too small for what L0 needs */
    L0_VMXON_FAILED,  /* VMXON refused */
    L0_BAD_BOOT_INFO, /* 3: hv/entry.asm */
};

/* Memory of L0's own, in bytes: its image and what all cores share, and for each core. */
#define L0_BYTES_SHARED  (2 * 1024 * 1024ull)
#define L0_BYTES_PER_CPU (96 * 1024ull)

/* Of L0_BYTES_SHARED, what is neither image nor page tables for a GiB each. */
#define L0_BYTES_OTHER (1024 * 1024ull)

/* What a core needs at least of the shadow page tables, for one instruction of L2. */
#define L0_SHADOW_PER_CPU_MIN (512 * 1024ull)

/*
 * Shadow page tables: so many MiB, or with 0 1/128 of the RAM, 1 GiB at most; and a byte for each
 * page of L1's to count what L2 can write to: mm/exposure.h.
 */
static inline u64 l0_shadow_bytes(u32 mib, u64 ram_bytes, u64 ram_top, u32 cpus)
{
    u64 bytes = mib ? mib * (SIZE_1G / 1024) : ram_bytes / 128;

    if (!mib && bytes > SIZE_1G)
        bytes = SIZE_1G;
    if (bytes < cpus * L0_SHADOW_PER_CPU_MIN + SIZE_2M)
        bytes = cpus * L0_SHADOW_PER_CPU_MIN + SIZE_2M;
    return align_up(bytes + ram_top / PAGE_SIZE + ram_top / SIZE_2M + ram_top / SIZE_1G, PAGE_SIZE);
}

/* All but the shadow page tables. */
static inline u64 l0_own_bytes(u64 image_size, u64 ram_top, u32 table_pages_per_gib, u32 cpus)
{
    u64 tables = ram_top / SIZE_1G * table_pages_per_gib * PAGE_SIZE;
    u64 shared = image_size + tables + L0_BYTES_OTHER;

    if (shared < L0_BYTES_SHARED)
        shared = L0_BYTES_SHARED;
    return shared + cpus * L0_BYTES_PER_CPU;
}

#endif
