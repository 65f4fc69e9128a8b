#include "segments.h"

#include "cpu.h"
#include "insn.h"
#include "x86.h"

#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_DATA   0x00cf93000000ffffull
#define TSS_LIMIT  (104 - 1)
#define TSS_IST1   9 /* in 32-bit words */

void segments_init(struct gdt_tss *tables)
{
    u64 base = (u64)tables->tss;

    tables->gdt[1] = GDT_CODE64;
    tables->gdt[2] = GDT_DATA;
    tables->gdt[3] =
        TSS_LIMIT | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    tables->gdt[4] = base >> 32;
    tables->tss[25] = 104u << 16; /* no I/O bitmap */
}

void segments_set_ist(struct gdt_tss *tables, u32 ist, u64 stack_top)
{
    tables->tss[TSS_IST1 + 2 * (ist - 1)] = (u32)stack_top;
    tables->tss[TSS_IST1 + 2 * (ist - 1) + 1] = (u32)(stack_top >> 32);
}

void segments_load(struct gdt_tss *tables)
{
    struct descriptor_table gdtr = {sizeof(tables->gdt) - 1, (u64)tables->gdt};

    tables->gdt[3] &= ~(2ull << 40); /* not busy: LTR refuses a busy TSS */
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %2, %%ds\n\t"
                     "mov %2, %%es\n\t"
                     "mov %2, %%ss\n\t"
                     "mov %3, %%fs\n\t"
                     "mov %3, %%gs\n\t"
                     "ltr %4"
                     :
                     : "m"(gdtr), "i"(L0_CODE_SELECTOR), "r"(L0_DATA_SELECTOR), "r"(0),
                       "r"((u16)L0_TSS_SELECTOR)
                     : "rax", "memory");
}

/* The base that a descriptor gives; 16 bytes for a system segment in 64-bit mode. */
static u64 descriptor_base(const struct descriptor_table *gdtr, u16 selector, bool system)
{
    const u64 *descriptor = (const u64 *)(gdtr->base + (selector & ~7u));
    u64 base = (descriptor[0] >> 16 & 0xffffff) | (descriptor[0] >> 56) << 24;

    return system ? base | descriptor[1] << 32 : base;
}

static void capture_segment(struct segment *out, const struct descriptor_table *gdtr, u16 selector,
                            bool system)
{
    u32 rights, limit;

    out->selector = selector;
    out->base = 0;
    out->limit = 0;
    out->ar = AR_UNUSABLE_MASK;
    if (!(selector & ~3u) || selector & 4)
        return;
    __asm__("lar %1, %0" : "=r"(rights) : "r"((u32)selector) : "cc");
    __asm__("lsl %1, %0" : "=r"(limit) : "r"((u32)selector) : "cc");
    out->ar = rights >> 8 & 0xf0ff;
    out->limit = limit;
    out->base = descriptor_base(gdtr, selector, system);
}

#define READ_SELECTOR(name)                                                                        \
    ({                                                                                             \
        u16 selector;                                                                              \
        __asm__("mov %%" #name ", %0" : "=r"(selector));                                           \
        selector;                                                                                  \
    })

void segments_capture(struct segments *out)
{
    struct segment *segment = out->segment;
    u16 ldtr, tr;

    __asm__("sgdt %0" : "=m"(out->gdtr));
    __asm__("sidt %0" : "=m"(out->idtr));
    __asm__("sldt %0" : "=r"(ldtr));
    __asm__("str %0" : "=r"(tr));
    capture_segment(&segment[SEG_ES], &out->gdtr, READ_SELECTOR(es), false);
    capture_segment(&segment[SEG_CS], &out->gdtr, READ_SELECTOR(cs), false);
    capture_segment(&segment[SEG_SS], &out->gdtr, READ_SELECTOR(ss), false);
    capture_segment(&segment[SEG_DS], &out->gdtr, READ_SELECTOR(ds), false);
    capture_segment(&segment[SEG_FS], &out->gdtr, READ_SELECTOR(fs), false);
    capture_segment(&segment[SEG_GS], &out->gdtr, READ_SELECTOR(gs), false);
    capture_segment(&segment[SEG_LDTR], &out->gdtr, ldtr, true);
    capture_segment(&segment[SEG_TR], &out->gdtr, tr, true);
    segment[SEG_FS].base = rdmsr(MSR_IA32_FS_BASE);
    segment[SEG_GS].base = rdmsr(MSR_IA32_GS_BASE);
    /* Firmware may run without a task; VM entry wants a busy TSS all the same. */
    if (segment[SEG_TR].ar & AR_UNUSABLE_MASK) {
        segment[SEG_TR].ar = AR_P_MASK | AR_TYPE_BUSY_64_TSS;
        segment[SEG_TR].limit = TSS_LIMIT;
    }
}
