#include "chain.h"
#include "config_file.h"
#include "console.h"
#include "firmware.h"
#include "hv/format.h"
#include "lib.h"
#include "start.h"

static const char *const usual_paths[] = {
    "\\EFI\\plastron\\next.efi",
    "\\EFI\\Microsoft\\Boot\\bootmgfw.efi",
    "\\EFI\\debian\\shimx64.efi",
    "\\EFI\\debian\\grubx64.efi",
    "\\EFI\\ubuntu\\shimx64.efi",
    "\\EFI\\ubuntu\\grubx64.efi",
    "\\EFI\\fedora\\shimx64.efi",
    "\\EFI\\fedora\\grubx64.efi",
    "\\EFI\\centos\\shimx64.efi",
    "\\EFI\\opensuse\\shim.efi",
    "\\EFI\\opensuse\\grubx64.efi",
    "\\EFI\\arch\\grubx64.efi",
    "\\EFI\\systemd\\systemd-bootx64.efi",
    "\\EFI\\BOOT\\grubx64.efi",
    "\\EFI\\BOOT\\BOOTX64.EFI",
};

EFI_LOADED_IMAGE *chain_image(EFI_HANDLE handle)
{
    return firmware_protocol(handle, (EFI_GUID)LOADED_IMAGE_PROTOCOL);
}

/*
 * Compares two loaded images by their size and by the L0 inside, which no relocation changes:
 * the path says nothing, as a copy may lie under any name.
 */
static bool is_same_program(const EFI_LOADED_IMAGE *self, const EFI_LOADED_IMAGE *other)
{
    const char *other_l0 = (const char *)other->ImageBase + (l0_image - (char *)self->ImageBase);

    if (self->ImageSize != other->ImageSize)
        return false;
    for (size_t i = 0; l0_image + i < l0_image_end; i++) {
        if (l0_image[i] != other_l0[i])
            return false;
    }
    return true;
}

/* Compares what the two images read as their configuration. */
static bool is_same_config(const EFI_LOADED_IMAGE *one, const EFI_LOADED_IMAGE *other)
{
    char *one_text, *other_text;
    UINTN one_size, other_size;
    EFI_STATUS one_status = config_file_read(one, &one_text, &one_size);
    EFI_STATUS other_status = config_file_read(other, &other_text, &other_size);
    bool same = one_status == other_status && one_size == other_size &&
                (!one_text || memcmp(one_text, other_text, one_size) == 0);

    if (one_text)
        BS->FreePool(one_text);
    if (other_text)
        BS->FreePool(other_text);
    return same;
}

/*
 * Whether next would do what self, or a copy that led to self, has done already: it is the same
 * program, and has the same configuration, which names the image after it on the same volume.
 */
static bool is_loop(EFI_HANDLE self, const EFI_LOADED_IMAGE *next)
{
    const EFI_LOADED_IMAGE *program = chain_image(self);
    const EFI_LOADED_IMAGE *image = program;

    if (!is_same_program(program, next))
        return false;
    for (; image; image = chain_image(image->ParentHandle)) {
        if (is_same_program(program, image) && image->DeviceHandle == next->DeviceHandle &&
            is_same_config(image, next))
            return true;
    }
    return false;
}

static EFI_STATUS load(EFI_HANDLE self, const char *path, EFI_HANDLE *image)
{
    EFI_DEVICE_PATH *full = firmware_file_path(chain_image(self)->DeviceHandle, path);

    if (!full)
        return EFI_OUT_OF_RESOURCES;
    *image = NULL;

    EFI_STATUS status = BS->LoadImage(FALSE, self, full, NULL, 0, image);

    BS->FreePool(full);
    /* What Secure Boot refuses is loaded all the same. */
    if (status != EFI_SUCCESS && *image)
        BS->UnloadImage(*image);
    return status;
}

/* Like chain_load() for one path; EFI_NOT_FOUND if there is no such file. */
static EFI_STATUS try_path(EFI_HANDLE self, const char *path, EFI_HANDLE *next, char *reason,
                           size_t reason_size)
{
    EFI_STATUS status = load(self, path, next);

    if (status == EFI_NOT_FOUND) {
        format_string(reason, reason_size, "the next image %s is not on this partition", path);
    } else if (status == EFI_SECURITY_VIOLATION || status == EFI_ACCESS_DENIED) {
        format_string(reason, reason_size, "Secure Boot refuses the next image %s", path);
    } else if (status != EFI_SUCCESS) {
        format_string(reason, reason_size,
                      "the next image %s is not an EFI image that loads (EFI status 0x%llx)", path,
                      (unsigned long long)status);
    } else if (is_loop(self, chain_image(*next))) {
        BS->UnloadImage(*next);
        format_string(reason, reason_size,
                      "the next image %s is Plastron itself, with the same configuration", path);
        return EFI_ALREADY_STARTED;
    }
    return status;
}

bool chain_load(EFI_HANDLE self, const struct config *config, EFI_HANDLE *next, const char **path,
                char *reason, size_t reason_size)
{
    if (config->next[0]) {
        *path = config->next;
        return try_path(self, *path, next, reason, reason_size) == EFI_SUCCESS;
    }
    for (size_t i = 0; i < ARRAY_SIZE(usual_paths); i++) {
        *path = usual_paths[i];

        EFI_STATUS status = try_path(self, *path, next, reason, reason_size);

        if (status == EFI_SUCCESS)
            return true;
        if (status != EFI_NOT_FOUND && status != EFI_ALREADY_STARTED)
            say(LOG_WARN, "%s", reason);
    }
    format_string(reason, reason_size,
                  "there is no next image: plastron.conf has no next=, and this partition none of "
                  "the usual boot loaders");
    return false;
}

EFI_STATUS chain_start(EFI_HANDLE next) { return BS->StartImage(next, NULL, NULL); }
