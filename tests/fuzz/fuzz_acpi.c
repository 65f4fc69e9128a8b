/* boot/acpi.c on tables whose own lengths are right: what is in them may be anything. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "boot/acpi.h"

#define HEADER       36
#define MADT_ENTRIES 44
#define FADT_SIZE    148
#define FADT_DSDT    40
#define FADT_X_DSDT  140

static void *exact(const void *from, size_t size)
{
    void *copy = malloc(size);

    memcpy(copy, from, size);
    return copy;
}

static u8 *make_table(const char *signature, const u8 *body, u32 body_size)
{
    u32 length = HEADER + body_size;
    u8 *table = calloc(1, length);

    memcpy(table, signature, 4);
    memcpy(table + 4, &length, 4);
    memcpy(table + HEADER, body, body_size);
    return table;
}

static u64 read(const u8 *from, u32 size)
{
    u64 value = 0;

    memcpy(&value, from, size);
    return value;
}

/* The sleep type of S5 in AML, or -1: a second reading of it, from the name on. */
static int s5_of(const u8 *aml, size_t size)
{
    const u8 *name = memmem(aml, size, "_S5_\x12", 5), *end = aml + size, *at;

    if (!name || name + 5 == end)
        return -1;
    at = name + 6;
    for (u32 more = name[5] >> 6; more && at < end; more--)
        at++;
    at++; /* the number of elements */
    if (at >= end)
        return -1;
    if (*at < 2)
        return *at;
    if (*at < 10 || *at > 12 || at + 1 == end)
        return -1;
    return at[1] & 7;
}

static void check_power(const struct power *power, const u8 *fadt, u32 fadt_size, const u8 *aml,
                        size_t aml_size)
{
    bool whole = fadt_size >= FADT_SIZE;
    u64 off = whole ? read(fadt + 64, 4) : 0, reset = whole ? read(fadt + 120, 8) : 0;
    int type = s5_of(aml, aml_size);

    if (!off || off > 0xffff || type < 0)
        DEMAND(!power->off_port && !power->off_value);
    else
        DEMAND(power->off_port == off && power->off_value == (type << 10 | 1 << 13));
    if (!reset || reset > 0xffff || !(fadt[113] & 4) || fadt[116] != 1)
        DEMAND(!power->reset_port && !power->reset_value);
    else
        DEMAND(power->reset_port == reset && power->reset_value == fadt[128]);
}

/* A FADT of the first bytes, as long as the very first says, and a DSDT of the others. */
static u8 *make_fadt(const u8 *data, size_t size, u32 *fadt_size, u8 **dsdt, size_t *aml_size)
{
    u32 body = size ? data[0] % (FADT_SIZE + 8 - HEADER) : 0, used = body < size ? body : (u32)size;
    u8 bytes[FADT_SIZE + 8] = {0}, *fadt;
    u64 where;

    memcpy(bytes, data, used);
    fadt = make_table("FACP", bytes, body);
    *fadt_size = HEADER + body;
    *aml_size = size - used;
    *dsdt = make_table("DSDT", data + used, (u32)*aml_size);
    where = (u64)*dsdt;
    if (*fadt_size >= FADT_DSDT + 4)
        memset(fadt + FADT_DSDT, 0, 4);
    if (*fadt_size >= FADT_SIZE)
        memcpy(fadt + FADT_X_DSDT, &where, 8);
    return fadt;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    u32 body = (u32)(in.end - in.at), fadt_size;
    u8 rsdp[36] = {0}, *madt, *root, *pointer, *dsdt;
    u64 tables[2], where;
    struct power power;
    size_t aml_size;
    u32 count;

    madt = make_table("APIC", in.at, body);
    /* Another table stands before it; only what is looked for counts. */
    tables[0] = (u64)make_fadt(data, size, &fadt_size, &dsdt, &aml_size);
    tables[1] = (u64)madt;
    root = make_table("XSDT", (const u8 *)tables, sizeof(tables));
    where = (u64)root;
    rsdp[15] = 2;
    memcpy(rsdp + 24, &where, sizeof(where));
    pointer = exact(rsdp, sizeof(rsdp));
    count = acpi_cpu_count((u64)pointer);
    DEMAND(count <= body / 8);
    DEMAND(HEADER + body >= MADT_ENTRIES || count == 0);
    power = acpi_power((u64)pointer);
    check_power(&power, (const u8 *)tables[0], fadt_size, dsdt + HEADER, aml_size);
    free(pointer);
    free(root);
    free((void *)tables[0]);
    free(dsdt);
    free(madt);
    return 0;
}
