#include "firmware.h"
#include "lib.h"

EFI_SYSTEM_TABLE *ST;
EFI_BOOT_SERVICES *BS;

/* A device path's node that names a file. Nodes of odd sizes may stand before it. */
struct file_node {
    EFI_DEVICE_PATH header;
    CHAR16 path[]; /* a zero at its end */
} __attribute__((packed));

#define FILE_NODE_SIZE(characters) (sizeof(struct file_node) + (characters) * sizeof(CHAR16))

void *firmware_protocol(EFI_HANDLE handle, EFI_GUID name)
{
    void *protocol;

    return BS->HandleProtocol(handle, &name, &protocol) == EFI_SUCCESS ? protocol : NULL;
}

u64 firmware_table(EFI_GUID name)
{
    for (UINTN i = 0; i < ST->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *table = &ST->ConfigurationTable[i];

        if (!memcmp(&table->VendorGuid, &name, sizeof(name)))
            return (uintptr_t)table->VendorTable;
    }
    return 0;
}

EFI_DEVICE_PATH *firmware_device_path(EFI_HANDLE handle)
{
    return firmware_protocol(handle, (EFI_GUID)DEVICE_PATH_PROTOCOL);
}

/* Bytes of the path's nodes, without the one that ends it; there may be no path. */
static size_t path_size(EFI_DEVICE_PATH *path)
{
    size_t size = 0;

    if (!path)
        return 0;
    while (!IsDevicePathEnd(path)) {
        size += (size_t)DevicePathNodeLength(path);
        path = NextDevicePathNode(path);
    }
    return size;
}

/* The zero at the end is one of them. */
static size_t count_characters(const char *text)
{
    size_t count = 1;

    while (*text++)
        count++;
    return count;
}

/* Writes a file's node and the one that ends the path. */
static void put_file_node(struct file_node *node, const char *path, size_t count)
{
    node->header.Type = MEDIA_DEVICE_PATH;
    node->header.SubType = MEDIA_FILEPATH_DP;
    SetDevicePathNodeLength(&node->header, FILE_NODE_SIZE(count));
    for (size_t i = 0; i < count; i++)
        node->path[i] = (CHAR16)path[i];
    SetDevicePathEndNode((EFI_DEVICE_PATH *)&node->path[count]);
}

EFI_DEVICE_PATH *firmware_file_path(EFI_HANDLE device, const char *path)
{
    EFI_DEVICE_PATH *device_path = firmware_device_path(device);
    size_t device_size = path_size(device_path), count = count_characters(path);
    void *full;

    if (BS->AllocatePool(EfiLoaderData,
                         device_size + FILE_NODE_SIZE(count) + sizeof(EFI_DEVICE_PATH),
                         &full) != EFI_SUCCESS)
        return NULL;
    if (device_path)
        memcpy(full, device_path, device_size);
    put_file_node((struct file_node *)((char *)full + device_size), path, count);
    return full;
}
