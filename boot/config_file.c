#include "config_file.h"
#include "config.h"
#include "firmware.h"

#define DEFAULT_PATH L"\\EFI\\plastron\\" CONFIG_FILE_NAME

static size_t length_of(const CHAR16 *path)
{
    size_t length = 0;

    while (path[length])
        length++;
    return length;
}

/* Appends up to size characters of text to the path; false if it is too long. */
static bool append(CHAR16 path[CONFIG_PATH_MAX], const CHAR16 *text, size_t size)
{
    size_t length = length_of(path);

    for (size_t i = 0; i < size && text[i]; i++) {
        if (length == CONFIG_PATH_MAX - 1)
            return false;
        path[length++] = text[i];
        path[length] = 0;
    }
    return true;
}

static bool needs_separator(const CHAR16 *path, const CHAR16 *rest)
{
    size_t length = length_of(path);

    return length && path[length - 1] != '\\' && rest[0] != '\\';
}

/* The path of the file that the image came from, on its volume; false if it came from none. */
static bool image_path(const EFI_LOADED_IMAGE *image, CHAR16 path[CONFIG_PATH_MAX])
{
    EFI_DEVICE_PATH *node = image->FilePath;

    path[0] = 0;
    for (; node && !IsDevicePathEnd(node); node = NextDevicePathNode(node)) {
        const FILEPATH_DEVICE_PATH *file = (const FILEPATH_DEVICE_PATH *)node;
        size_t size = DevicePathNodeLength(node) - SIZE_OF_FILEPATH_DEVICE_PATH;

        if (DevicePathType(node) != MEDIA_DEVICE_PATH ||
            DevicePathSubType(node) != MEDIA_FILEPATH_DP ||
            (needs_separator(path, file->PathName) && !append(path, L"\\", 1)) ||
            !append(path, file->PathName, size / sizeof(CHAR16)))
            return false;
    }
    return path[0];
}

/* plastron.conf in the image's directory. */
static bool path_beside(const EFI_LOADED_IMAGE *image, CHAR16 path[CONFIG_PATH_MAX])
{
    static const CHAR16 name[] = L"" CONFIG_FILE_NAME;
    size_t directory;

    if (!image_path(image, path))
        return false;
    for (directory = length_of(path); directory && path[directory - 1] != '\\'; directory--)
        ;
    path[directory] = 0;
    return append(path, name, ARRAY_SIZE(name));
}

static EFI_FILE *open_root(const EFI_LOADED_IMAGE *image)
{
    EFI_FILE_IO_INTERFACE *volume =
        firmware_protocol(image->DeviceHandle, (EFI_GUID)SIMPLE_FILE_SYSTEM_PROTOCOL);
    EFI_FILE *root;

    return volume && volume->OpenVolume(volume, &root) == EFI_SUCCESS ? root : NULL;
}

/* NULL if the volume has none, or the image came from where there are no files. */
static EFI_FILE *open_config(const EFI_LOADED_IMAGE *image)
{
    CHAR16 path[CONFIG_PATH_MAX];
    EFI_FILE *root = open_root(image);
    EFI_FILE *file;

    if (!root)
        return NULL;

    EFI_STATUS status = EFI_NOT_FOUND;

    if (path_beside(image, path))
        status = root->Open(root, &file, path, EFI_FILE_MODE_READ, 0);
    if (status != EFI_SUCCESS)
        status = root->Open(root, &file, DEFAULT_PATH, EFI_FILE_MODE_READ, 0);
    root->Close(root);
    return status == EFI_SUCCESS ? file : NULL;
}

static EFI_STATUS read_text(EFI_FILE *file, char *text, UINTN *size)
{
    EFI_STATUS status;

    *size = CONFIG_FILE_MAX + 1;
    status = file->Read(file, size, text);
    return status == EFI_SUCCESS && *size > CONFIG_FILE_MAX ? EFI_BAD_BUFFER_SIZE : status;
}

EFI_STATUS config_file_read(const EFI_LOADED_IMAGE *image, char **text, UINTN *size)
{
    EFI_FILE *file = open_config(image);
    void *buffer = NULL;
    EFI_STATUS status;

    *size = 0;
    *text = NULL;
    if (!file)
        return EFI_NOT_FOUND;
    status = BS->AllocatePool(EfiLoaderData, CONFIG_FILE_MAX + 1, &buffer);
    if (status == EFI_SUCCESS)
        status = read_text(file, buffer, size);
    file->Close(file);
    if (status == EFI_SUCCESS)
        *text = buffer;
    else if (buffer)
        BS->FreePool(buffer);
    return status;
}
