/* The probe's own GDT, IDT, TSS, page tables and local APIC, made after the firmware has gone. */
#include "probe.h"

#define IST_SIZE            8192
#define APIC_BASE_ADDRESS   0xfffffff000ull
#define APIC_BROADCAST_SELF (1u << 18)
#define APIC_MASKED         BIT(16)
#define APIC_X2_MSR         0x800
#define APIC_TIMER_COUNT    0x380
#define APIC_TIMER_DIVIDE   0x3e0
#define APIC_DIVIDE_BY_1    0xb
#define NAP_COUNT           20000

u8 *arena;
u64 standard_cr0, standard_cr4, standard_efer, probe_cr3;
u32 physical_bits;
u64 gdt[16] __attribute__((aligned(16)));
u8 tss[104] __attribute__((aligned(16)));
static struct {
    u64 low, high;
} idt[256] __attribute__((aligned(16)));
static u8 ist[2][IST_SIZE] __attribute__((aligned(16)));
u8 other_tss[104] __attribute__((aligned(16)));
static u8 other_ist[2][IST_SIZE] __attribute__((aligned(16)));
static u64 *window_table, *window_pd;
static u64 *arena_tables;
static u64 standard_pat, standard_debugctl;

static bool has_vmx(void)
{
    u32 leaf[4];

    cpuid(1, 0, leaf);
    return leaf[2] & BIT(5);
}

struct descriptor_pointer {
    u16 limit;
    u64 base;
} __attribute__((packed));

extern u8 trap_entries[];
void load_tables(const void *gdtr, const void *idtr, u64 tr);

static void set_tss_descriptor(u32 selector, u64 base)
{
    gdt[selector / 8] = 0x0000890000000000 | (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
                        (base >> 24 & 0xff) << 56;
    gdt[selector / 8 + 1] = base >> 32;
}

static void set_gdt(void)
{

    gdt[SEL_CODE64 / 8] = 0x00af9b000000ffff;
    gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
    gdt[SEL_CODE32 / 8] = 0x00cf9b000000ffff;
    gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffff;
    gdt[SEL_USER_CODE64 / 8] = 0x00affb000000ffff;
    gdt[SEL_USER_CODE32 / 8] = 0x00cffb000000ffff;
    set_tss_descriptor(SEL_TSS, (u64)tss);
    set_tss_descriptor(SEL_TSS_OTHER, (u64)other_tss);
}

/* The stacks of a core: for all vectors but NMI, and for that. */
static void set_stacks(u8 *of, u8 stacks[2][IST_SIZE])
{
    u64 first = (u64)stacks[0] + IST_SIZE, second = (u64)stacks[1] + IST_SIZE;

    memcpy(of + 4, &first, 8);
    memcpy(of + 0x24, &first, 8);
    memcpy(of + 0x2c, &second, 8);
}

static void set_idt(void)
{
    set_stacks(tss, ist);
    set_stacks(other_tss, other_ist);
    for (u64 vector = 0; vector < ARRAY_SIZE(idt); vector++) {
        u64 entry = (u64)trap_entries + 16 * vector;
        u64 which = vector == VECTOR_NMI ? 2 : 1;
        u64 dpl = vector >= 0x40 ? 3 : 0;

        idt[vector].low = (entry & 0xffff) | (u64)SEL_CODE64 << 16 | which << 32 | 0x8eull << 40 |
                          dpl << 45 | (entry >> 16 & 0xffff) << 48;
        idt[vector].high = entry >> 32;
    }
}

static u64 *new_table(u32 *used)
{
    u64 *table = (u64 *)arena_page(PAGE_TABLES + (*used)++);

    memset(table, 0, PAGE_SIZE);
    return table;
}

/*
 * One to one, in 2 MiB pages for the supervisor; the arena in 4 KiB pages, so that rows can change
 * single pages; the window, whose pages are the arena's PAGE_WINDOW_DATA.
 */
static void set_paging(u64 top)
{
    u32 used = 0;
    u64 *pml4 = new_table(&used);
    u64 *pdpt = new_table(&used);
    u64 *window_pdpt = new_table(&used);

    window_pd = new_table(&used);
    window_table = new_table(&used);
    arena_tables = (u64 *)arena_page(PAGE_TABLES + used);
    used += ARENA_PAGES / 512;
    for (u64 i = 0; i < ARENA_PAGES; i++)
        arena_tables[i] = ((u64)arena + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
    arena_tables[PAGE_USER_CODE] |= PTE_U;
    arena_tables[PAGE_USER_STACK] |= PTE_U;

    pml4[0] = (u64)pdpt | PTE_P | PTE_W | PTE_U | PTE_A;
    for (u64 gib = 0; gib * SIZE_1G < top; gib++) {
        u64 *pd = new_table(&used);

        pdpt[gib] = (u64)pd | PTE_P | PTE_W | PTE_U | PTE_A;
        for (u64 i = 0; i < 512; i++) {
            u64 address = gib * SIZE_1G + i * SIZE_2M;

            if (address - (u64)arena < ARENA_SIZE)
                pd[i] = (u64)&arena_tables[(address - (u64)arena) / PAGE_SIZE] | PTE_P | PTE_W |
                        PTE_U | PTE_A;
            else
                pd[i] = address | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS;
        }
    }
    pml4[WINDOW_BASE >> 39 & 0x1ff] = (u64)window_pdpt | PTE_P | PTE_W | PTE_U | PTE_A;
    window_pdpt[WINDOW_BASE >> 30 & 0x1ff] = (u64)window_pd | PTE_P | PTE_W | PTE_U | PTE_A;
    window_pd[WINDOW_BASE >> 21 & 0x1ff] = (u64)window_table | PTE_P | PTE_W | PTE_U | PTE_A;
    probe_cr3 = (u64)pml4;
}

void window_point(u32 page, u64 physical, u64 entry_flags)
{
    window_table[page] = physical | entry_flags;
    write_cr3(probe_cr3);
}

void window_set(u32 page, u64 entry_flags)
{
    window_point(page, arena_address(PAGE_WINDOW_DATA + page), entry_flags);
}

/* The window's page table is somewhere else, until machine_fresh(). */
void window_table_at(u64 physical)
{
    window_pd[WINDOW_BASE >> 21 & 0x1ff] = physical | PTE_P | PTE_W | PTE_U | PTE_A;
    write_cr3(probe_cr3);
}

static bool apic_is_x2(void) { return read_msr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC; }

static volatile u32 *apic_register(u32 reg)
{
    return (volatile u32 *)((read_msr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS) + reg);
}

u32 apic_read(u32 reg)
{
    if (apic_is_x2())
        return (u32)read_msr(APIC_X2_MSR + reg / 16);
    return *apic_register(reg);
}

void apic_write(u32 reg, u32 value)
{
    if (apic_is_x2())
        write_msr(APIC_X2_MSR + reg / 16, value);
    else
        *apic_register(reg) = value;
}

void apic_self_ipi(u8 vector) { apic_write(APIC_ICR_LOW, APIC_BROADCAST_SELF | vector); }

/* Takes what is pending, and ends what a VM exit acknowledged without anybody ending it. */
void apic_drain(void)
{
    apic_write(APIC_TPR, 0);
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
    for (u32 i = 0; i < 8; i++)
        while (apic_read(APIC_ISR + 16 * i))
            apic_write(APIC_EOI, 0);
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

void machine_nap(void)
{
    apic_write(APIC_TPR, 0);
    apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, VECTOR_NAP);
    apic_write(APIC_TIMER_COUNT, NAP_COUNT);
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    apic_write(APIC_LVT_TIMER, APIC_MASKED | VECTOR_NAP);
}

static void set_interrupts_off(void)
{
    port_write(0x21, 0xff);
    port_write(0xa1, 0xff);
    for (u32 reg = APIC_LVT_TIMER; reg <= 0x370; reg += 16)
        apic_write(reg, APIC_MASKED | 0xff);
}

void machine_load_tables(u32 tr)
{
    struct descriptor_pointer gdtr = {sizeof(gdt) - 1, (u64)gdt};
    struct descriptor_pointer idtr = {sizeof(idt) - 1, (u64)idt};

    gdt[tr / 8] &= ~(2ull << 40); /* not busy */
    load_tables(&gdtr, &idtr, tr);
}

void machine_start(u64 memory_top)
{
    u32 leaf[4];

    __asm__ volatile("cli");
    cpuid(0x80000008, 0, leaf);
    physical_bits = leaf[0] & 0xff;
    set_gdt();
    set_idt();
    set_paging(memory_top);
    standard_efer = read_msr(MSR_IA32_EFER) | EFER_NXE | EFER_SCE;
    standard_pat = read_msr(MSR_IA32_PAT);
    standard_debugctl = read_msr(MSR_IA32_DEBUGCTL);
    write_msr(MSR_IA32_EFER, standard_efer);
    standard_cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    standard_cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | (has_vmx() ? CR4_VMXE : 0);
    write_cr3(probe_cr3);
    write_cr0(standard_cr0);
    write_cr4(standard_cr4);
    machine_load_tables(SEL_TSS);
    set_interrupts_off();
}

void machine_fresh(void)
{
    write_cr0(standard_cr0);
    write_cr4(standard_cr4);
    write_cr3(probe_cr3);
    write_msr(MSR_IA32_EFER, standard_efer);
    write_msr(MSR_IA32_PAT, standard_pat);
    write_msr(MSR_IA32_DEBUGCTL, standard_debugctl);
    write_msr(MSR_IA32_FS_BASE, 0);
    write_msr(MSR_IA32_GS_BASE, 0);
    machine_load_tables(SEL_TSS);
    apic_drain();
    nmi_unblock();
    nmis_seen = 0;
    interrupts_seen = 0;
    last_interrupt = 0;
    window_table_at((u64)window_table);
    for (u32 i = 0; i < WINDOW_PAGES; i++) {
        memset(arena_page(PAGE_WINDOW_DATA + i), 0, PAGE_SIZE);
        window_set(i, PTE_P | PTE_W | PTE_A | PTE_D);
    }
}

u64 idt_address(void) { return (u64)idt; }

u64 window_bits(u32 page) { return window_table[page] & ~PTE_ADDR; }
