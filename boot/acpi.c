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

struct generic_address {
    u8 space;
    u8 rest[3];
    u64 address;
} __attribute__((packed));

struct fadt {
    struct table header;
    u32 facs;
    u32 dsdt;
    u8 before_pm1a[20];
    u32 pm1a_cnt_blk;
    u8 before_flags[44];
    u32 flags;
    struct generic_address reset;
    u8 reset_value;
    u8 before_dsdt[11];
    u64 x_dsdt;
} __attribute__((packed));

_Static_assert(offsetof(struct fadt, pm1a_cnt_blk) == 64 && offsetof(struct fadt, flags) == 112 &&
                   offsetof(struct fadt, reset_value) == 128 &&
                   offsetof(struct fadt, x_dsdt) == 140,
               "ACPI specification, \"Fixed ACPI Description Table (FADT)\"");

#define FADT_SIGNATURE 0x50434146 /* "FACP" */
#define FADT_HAS_RESET BIT(10)
#define ACPI_SPACE_IO  1

#define SLP_TYP_SHIFT 10
#define SLP_TYP_MASK  7u
#define SLP_EN        BIT(13)

#define AML_ONE     0x01 /* itself, as 0x00 is */
#define AML_BYTE    0x0a /* a byte follows, a word, a double word */
#define AML_WORD    0x0b
#define AML_DWORD   0x0c
#define AML_PACKAGE 0x12

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

/* The first table with that signature, or NULL. */
static const struct table *find_table(u64 address, u32 signature)
{
    const struct rsdp *rsdp = physical(address);

    if (!rsdp)
        return NULL;

    bool has_xsdt = rsdp->revision >= 2 && rsdp->xsdt;
    const struct table *root = physical(has_xsdt ? rsdp->xsdt : rsdp->rsdt);
    u32 entry_size = has_xsdt ? sizeof(u64) : sizeof(u32);

    if (!root)
        return NULL;
    for (u32 offset = sizeof(*root); offset + entry_size <= root->length; offset += entry_size) {
        u64 entry = 0;

        __builtin_memcpy(&entry, (const char *)root + offset, entry_size);

        const struct table *table = physical(entry);

        if (table && table->signature == signature)
            return table;
    }
    return NULL;
}

u32 acpi_cpu_count(u64 address)
{
    const struct table *madt = find_table(address, MADT_SIGNATURE);

    return madt ? count_in_madt(madt) : 0;
}

/* What AML says of S5: Name (_S5, Package {SLP_TYPa, ...}). ACPI specification, "AML Grammar
   Definition" and "_Sx (System States)". */
static const u8 s5_name[] = {'_', 'S', '5', '_', AML_PACKAGE};

/* The constant that begins at `at`, its low byte. False if it is none, or beyond the end. */
static bool constant(const u8 *at, const u8 *end, u8 *value)
{
    bool is_prefix = *at == AML_BYTE || *at == AML_WORD || *at == AML_DWORD;

    if (*at > AML_ONE && (!is_prefix || end - at < 2))
        return false;
    *value = is_prefix ? at[1] : *at;
    return true;
}

/* The first element of the package whose contents begin at `at`: its length, the number of
   elements, these. */
static bool first_element(const u8 *at, const u8 *end, u8 *value)
{
    u32 before = 1 + (*at >> 6) + 1; /* the length has bytes behind its first one */

    return end - at > before && constant(at + before, end, value);
}

/* SLP_TYPa. */
static bool find_s5(const struct table *dsdt, u8 *value)
{
    const u8 *at = (const u8 *)dsdt + sizeof(*dsdt);
    const u8 *end = (const u8 *)dsdt + dsdt->length;

    for (; dsdt->length > sizeof(*dsdt) && end - at > (ptrdiff_t)sizeof(s5_name); at++)
        if (!__builtin_memcmp(at, s5_name, sizeof(s5_name)))
            return first_element(at + sizeof(s5_name), end, value);
    return false;
}

static bool is_port(u64 address) { return address && address < 0x10000; }

struct power acpi_power(u64 address)
{
    const struct fadt *fadt = (const struct fadt *)find_table(address, FADT_SIGNATURE);
    struct power power = {.off_port = 0};
    const struct table *dsdt;
    u8 type;

    if (!fadt || fadt->header.length < sizeof(struct fadt))
        return power;
    dsdt = physical(fadt->x_dsdt ? fadt->x_dsdt : fadt->dsdt);
    if (dsdt && is_port(fadt->pm1a_cnt_blk) && find_s5(dsdt, &type)) {
        power.off_port = (u16)fadt->pm1a_cnt_blk;
        power.off_value = (u16)((type & SLP_TYP_MASK) << SLP_TYP_SHIFT | SLP_EN);
    }
    if ((fadt->flags & FADT_HAS_RESET) && fadt->reset.space == ACPI_SPACE_IO &&
        is_port(fadt->reset.address)) {
        power.reset_port = (u16)fadt->reset.address;
        power.reset_value = fadt->reset_value;
    }
    return power;
}
