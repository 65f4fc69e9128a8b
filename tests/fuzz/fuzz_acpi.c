/* boot/acpi.c on tables whose own lengths are right: what is in them may be anything. */
#include "fuzz.h"

#include "boot/acpi.h"

#define HEADER       36
#define MADT_ENTRIES 44

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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    u32 body = (u32)(in.end - in.at);
    u8 rsdp[36] = {0}, *madt, *root, *pointer;
    u64 tables[2], where;
    u32 count;

    madt = make_table("APIC", in.at, body);
    /* Another table stands before it; only what is looked for counts. */
    tables[0] = (u64)make_table("FACP", (const u8 *)"", 0);
    tables[1] = (u64)madt;
    root = make_table("XSDT", (const u8 *)tables, sizeof(tables));
    where = (u64)root;
    rsdp[15] = 2;
    memcpy(rsdp + 24, &where, sizeof(where));
    pointer = exact(rsdp, sizeof(rsdp));
    count = acpi_cpu_count((u64)pointer);
    DEMAND(count <= body / 8);
    DEMAND(HEADER + body >= MADT_ENTRIES || count == 0);
    free(pointer);
    free(root);
    free((void *)tables[0]);
    free(madt);
    return 0;
}
