#include "memory.h"
#include "firmware.h"

/* Entries by which the map may grow between asking for its size and reading it. */
#define MAP_GROWTH 8

struct memory_map {
    char *entries;
    UINTN size;
    UINTN stride; /* bytes from one entry to the next, which may be more than the struct has */
};

static bool map_read(struct memory_map *map)
{
    UINTN key;
    UINT32 version;
    void *buffer;

    map->size = 0;
    if (BS->GetMemoryMap(&map->size, NULL, &key, &map->stride, &version) != EFI_BUFFER_TOO_SMALL)
        return false;
    map->size += MAP_GROWTH * map->stride;
    if (BS->AllocatePool(EfiLoaderData, map->size, &buffer) != EFI_SUCCESS)
        return false;
    map->entries = buffer;
    if (BS->GetMemoryMap(&map->size, buffer, &key, &map->stride, &version) == EFI_SUCCESS)
        return true;
    BS->FreePool(buffer);
    return false;
}

static const EFI_MEMORY_DESCRIPTOR *map_entry(const struct memory_map *map, UINTN offset)
{
    return (const EFI_MEMORY_DESCRIPTOR *)(map->entries + offset);
}

static bool is_usable_ram(const EFI_MEMORY_DESCRIPTOR *entry)
{
    switch (entry->Type) {
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiRuntimeServicesCode:
    case EfiRuntimeServicesData:
    case EfiConventionalMemory:
    case EfiACPIReclaimMemory:
    case EfiACPIMemoryNVS: return true;
    default: return false;
    }
}

/*
 * Also what is reserved and can be cached: carved out of RAM, where MMIO that the firmware calls
 * reserved cannot be. The latter may lie anywhere, and would make the direct map huge.
 */
static bool is_ram(const EFI_MEMORY_DESCRIPTOR *entry)
{
    if (is_usable_ram(entry))
        return true;
    return entry->Type != EfiMemoryMappedIO && entry->Type != EfiMemoryMappedIOPortSpace &&
           entry->Attribute & EFI_MEMORY_WB;
}

bool memory_summarize(struct memory_summary *summary)
{
    struct memory_map map;

    if (!map_read(&map))
        return false;
    *summary = (struct memory_summary){.ram_top = 4 * SIZE_1G};
    for (UINTN offset = 0; offset < map.size; offset += map.stride) {
        const EFI_MEMORY_DESCRIPTOR *entry = map_entry(&map, offset);
        u64 bytes = entry->NumberOfPages * PAGE_SIZE;
        u64 end = align_up(entry->PhysicalStart + bytes, SIZE_1G);

        if (is_usable_ram(entry))
            summary->ram_bytes += bytes;
        if (is_ram(entry) && end > summary->ram_top)
            summary->ram_top = end;
        end = entry->PhysicalStart + bytes;
        if (is_usable_ram(entry) && end <= 4 * SIZE_1G && end > summary->low_ram_top)
            summary->low_ram_top = end;
    }
    BS->FreePool(map.entries);
    return true;
}

/* Where in the map a region of that size fits highest, 0 if nowhere. */
static u64 find_place(const struct memory_map *map, u64 size, u64 *largest)
{
    u64 place = 0;

    *largest = 0;
    for (UINTN offset = 0; offset < map->size; offset += map->stride) {
        const EFI_MEMORY_DESCRIPTOR *entry = map_entry(map, offset);

        if (entry->Type != EfiConventionalMemory)
            continue;

        u64 start = align_up(entry->PhysicalStart, SIZE_2M);
        u64 end = align_down(entry->PhysicalStart + entry->NumberOfPages * PAGE_SIZE, SIZE_2M);

        if (start >= end || !start)
            continue;
        if (end - start > *largest)
            *largest = end - start;
        if (end - start >= size && end - size > place)
            place = end - size;
    }
    return place;
}

u64 memory_reserve(u64 size, u64 *largest)
{
    struct memory_map map;

    *largest = 0;
    if (!map_read(&map))
        return 0;

    EFI_PHYSICAL_ADDRESS place = find_place(&map, size, largest);

    BS->FreePool(map.entries);
    if (!place || BS->AllocatePages(AllocateAddress, EfiReservedMemoryType, size / PAGE_SIZE,
                                    &place) != EFI_SUCCESS)
        return 0;
    return place;
}

u64 memory_allocate(u64 page_count)
{
    EFI_PHYSICAL_ADDRESS address;

    if (BS->AllocatePages(AllocateAnyPages, EfiLoaderData, page_count, &address) != EFI_SUCCESS)
        return 0;
    return address;
}

void memory_free(u64 address, u64 bytes) { BS->FreePages(address, bytes / PAGE_SIZE); }
