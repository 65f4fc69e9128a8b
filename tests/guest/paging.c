// The mode paging: the guest's own page tables, their accessed and dirty bits, and page faults.
#include "guest.h"

static volatile uint64_t guest_faults, guest_fault_address, guest_fault_error;
static volatile uint64_t *guest_fault_fix; // the entry that the page fault handler makes right
static uint64_t guest_fault_value;

HANDLER static void guest_on_page_fault(struct interrupt_frame *frame, uint64_t error)
{
    uint64_t address;

    (void)frame;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    guest_fault_address = address;
    guest_fault_error = error;
    guest_faults++;
    if (!guest_fault_fix)
        guest_end(HERE);
    *guest_fault_fix = guest_fault_value;
    guest_fault_fix = NULL;
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

#define PTE_RW       3UL // present, writable
#define PTE_ACCESSED 0x20UL
#define PTE_DIRTY    0x40UL
#define WINDOW_PAGES 512

// Maps the window's first 2 MiB through a page table of its own; the table.
static volatile uint64_t *guest_map_window(uint64_t tables)
{
    volatile uint64_t *pml4 = (volatile uint64_t *)TABLES;
    volatile uint64_t *pdpt = (volatile uint64_t *)tables, *directory = pdpt + 512;
    volatile uint64_t *table = directory + 512;

    for (int i = 0; i < 3 * 512; i++)
        pdpt[i] = 0;
    pdpt[0] = (uint64_t)directory | PTE_RW;
    directory[0] = (uint64_t)table | PTE_RW;
    pml4[WINDOW >> 39] = tables | PTE_RW;
    return table;
}

static inline void guest_flush(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline void guest_flush_all(void)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0\n mov %0, %%cr3" : "=r"(cr3)::"memory");
}

static void guest_check_churn(volatile uint64_t *table)
{
    for (uint64_t i = 0; i < WINDOW_PAGES; i++)
        *(volatile uint64_t *)(FRAMES + i * 4096) = i + 1000;
    for (uint64_t round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
            uint64_t frame = (i * 7 + round * 13) % WINDOW_PAGES, at = WINDOW + i * 4096;

            table[i] = (FRAMES + frame * 4096) | PTE_RW;
            if (round & 1)
                guest_flush(at);
        }
        if (!(round & 1))
            guest_flush_all();
        for (uint64_t i = 0; i < WINDOW_PAGES; i++) {
            uint64_t frame = (i * 7 + round * 13) % WINDOW_PAGES;

            GUEST_CHECK(*(volatile uint64_t *)(WINDOW + i * 4096) == frame + 1000);
        }
    }
}

static void guest_check_accessed_dirty(volatile uint64_t *table)
{
    table[0] = FRAMES | PTE_RW;
    guest_flush(WINDOW);
    (void)*(volatile uint64_t *)WINDOW;
    GUEST_CHECK((table[0] & (PTE_ACCESSED | PTE_DIRTY)) == PTE_ACCESSED);
    *(volatile uint64_t *)WINDOW = 1;
    GUEST_CHECK((table[0] & (PTE_ACCESSED | PTE_DIRTY)) == (PTE_ACCESSED | PTE_DIRTY));
}

// An access that faults once, with this error code; the handler sets the entry and it succeeds.
static void guest_check_fault(volatile uint64_t *entry, uint64_t before, uint64_t error, int write)
{
    uint64_t at = WINDOW + 5 * 4096 + 0x123;

    *entry = before;
    guest_flush(at);
    guest_faults = 0;
    guest_fault_value = (FRAMES + 5 * 4096) | PTE_RW;
    guest_fault_fix = entry;
    if (write)
        *(volatile uint8_t *)at = 77;
    else
        (void)*(volatile uint8_t *)at;
    GUEST_CHECK(guest_faults == 1);
    GUEST_CHECK(guest_fault_address == at);
    GUEST_CHECK(guest_fault_error == error);
    if (write)
        GUEST_CHECK(*(volatile uint8_t *)(FRAMES + 5 * 4096 + 0x123) == 77);
}

static void guest_paging(void)
{
    volatile uint64_t *table = guest_map_window(WINDOW_TABLES);

    guest_gate(14, guest_on_page_fault);
    guest_load_idt();
    guest_check_churn(table);
    guest_check_accessed_dirty(table);
    guest_check_fault(&table[5], 0, 0, 0);
    guest_check_fault(&table[5], 0, 2, 1);
    guest_check_fault(&table[5], (FRAMES + 5 * 4096) | 1, 3, 1);
    guest_check_fault(&table[5], (FRAMES + 5 * 4096) | PTE_RW | 1UL << 51, 9, 0);

    // A second set of tables, the first one's page table among what it replaces.
    table = guest_map_window(WINDOW_TABLES + 0x10000);
    guest_flush_all();
    guest_check_churn(table);
    guest_print("L2: page tables are right\n");
    guest_end(NULL);
}

const struct mode paging_mode = {
    .name = "paging", BOOT16, .entry = guest_paging, .output = "L2: page tables are right\n"};
