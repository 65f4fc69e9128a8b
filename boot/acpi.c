#include "acpi.h"

struct rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt;
    u32 length;
    u64 xsdt;
} __attribute__((packed));

struct table {
    u32 signature;
    u32 length;
    u8 rest[28];
} __attribute__((packed));

struct madt_entry {
    u8 type;
    u8 length;
} __attribute__((packed));

struct madt_local_apic {
    struct madt_entry entry;
    u8 processor;
    u8 apic_id;
    u32 flags;
} __attribute__((packed));

struct madt_local_x2apic {
    struct madt_entry entry;
    u16 reserved;
    u32 x2apic_id;
    u32 flags;
    u32 processor;
} __attribute__((packed));

#define MADT_SIGNATURE    0x43495041 /* "APIC" */
#define MADT_ENTRIES      44         /* offset of the first entry */
#define MADT_LOCAL_APIC   0
#define MADT_LOCAL_X2APIC 9
#define MADT_ENABLED      BIT(0)

_Static_assert(sizeof(struct table) == 36, "ACPI table header");

static const void *physical(u64 address) { return (const void *)(uintptr_t)address; }

static bool is_enabled_cpu(const struct madt_entry *entry)
{
    if (entry->type == MADT_LOCAL_APIC && entry->length >= sizeof(struct madt_local_apic))
        return ((const struct madt_local_apic *)entry)->flags & MADT_ENABLED;
    if (entry->type == MADT_LOCAL_X2APIC && entry->length >= sizeof(struct madt_local_x2apic))
        return ((const struct madt_local_x2apic *)entry)->flags & MADT_ENABLED;
    return false;
}

static u32 count_in_madt(const struct table *madt)
{
    const char *start = (const char *)madt;
    u32 offset = MADT_ENTRIES;
    u32 count = 0;

    while (offset + sizeof(struct madt_entry) <= madt->length) {
        const struct madt_entry *entry = (const struct madt_entry *)(start + offset);

        if (entry->length < sizeof(*entry) || entry->length > madt->length - offset)
            break;
        if (is_enabled_cpu(entry))
            count++;
        offset += entry->length;
    }
    return count;
}

u32 acpi_cpu_count(u64 address)
{
    const struct rsdp *rsdp = physical(address);

    if (!rsdp)
        return 0;

    bool has_xsdt = rsdp->revision >= 2 && rsdp->xsdt;
    const struct table *root = physical(has_xsdt ? rsdp->xsdt : rsdp->rsdt);
    u32 entry_size = has_xsdt ? sizeof(u64) : sizeof(u32);

    if (!root)
        return 0;
    for (u32 offset = sizeof(*root); offset + entry_size <= root->length; offset += entry_size) {
        u64 entry = 0;

        __builtin_memcpy(&entry, (const char *)root + offset, entry_size);

        const struct table *table = physical(entry);

        if (table && table->signature == MADT_SIGNATURE)
            return count_in_madt(table);
    }
    return 0;
}
