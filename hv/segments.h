/* L0's own segments: a GDT and a TSS for each core, and what a core's segments were before. */
#ifndef PLASTRON_HV_SEGMENTS_H
#define PLASTRON_HV_SEGMENTS_H

#include "types.h"

#define L0_CODE_SELECTOR 0x08
#define L0_DATA_SELECTOR 0x10
#define L0_TSS_SELECTOR  0x18

struct gdt_tss {
    u64 gdt[6]; /* null, code, data, TSS in two slots, padding */
    u32 tss[26];
};

struct descriptor_table {
    u16 limit;
    u64 base;
} __attribute__((packed));

struct segment {
    u16 selector;
    u32 limit; /* bytes - 1 */
    u32 ar;    /* as in the VMCS */
    u64 base;
};

/* In VMCS order: the fields of segment n stand 2n behind those of ES. */
enum segment_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct segments {
    struct segment segment[SEG_COUNT];
    struct descriptor_table gdtr, idtr;
};

/* Fills the core's GDT and TSS; the IST stacks' tops are given apart. */
void segments_init(struct gdt_tss *tables);
void segments_set_ist(struct gdt_tss *tables, u32 ist, u64 stack_top);

/* Loads them: GDTR, CS, SS, data segments, TR. */
void segments_load(struct gdt_tss *tables);

/* Reads the calling core's segments as a VMCS wants them; its GDT must be mapped. */
void segments_capture(struct segments *out);

#endif
