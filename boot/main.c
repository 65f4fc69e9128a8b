/* plastron.efi: from the firmware to L0 and on to the next image. */
#include "chain.h"
#include "config.h"
#include "console.h"
#include "start.h"

#include <efi.h>
#include <efilib.h>

#define CONFIG_FILE     L"\\EFI\\plastron\\plastron.conf"
#define CONFIG_NAME     "plastron.conf"
#define CONFIG_FILE_MAX (16 * 1024)

/*
 * Opens the configuration on the volume that the image came from; NULL if it has none, or
 * came from where there are no files.
 */
static EFI_FILE *open_config(EFI_HANDLE self)
{
    void *protocol;
    EFI_FILE *root, *file;

    if (BS->HandleProtocol(self, &LoadedImageProtocol, &protocol) != EFI_SUCCESS)
        return NULL;

    EFI_LOADED_IMAGE *image = protocol;

    if (BS->HandleProtocol(image->DeviceHandle, &FileSystemProtocol, &protocol) != EFI_SUCCESS)
        return NULL;

    EFI_FILE_IO_INTERFACE *volume = protocol;

    if (volume->OpenVolume(volume, &root) != EFI_SUCCESS)
        return NULL;

    EFI_STATUS status = root->Open(root, &file, CONFIG_FILE, EFI_FILE_MODE_READ, 0);

    root->Close(root);
    return status == EFI_SUCCESS ? file : NULL;
}

static void print_warning(void *context, const char *text)
{
    (void)context;
    say(LOG_WARN, "%s", text);
}

/* The console is known only when the file has been read: its warnings come in a second reading. */
static void parse_config(struct config *config, const char *text, size_t size)
{
    config_parse(config, CONFIG_NAME, text, size, NULL, NULL);
    console_configure(config);
    config_parse(config, CONFIG_NAME, text, size, print_warning, NULL);
}

static void read_config(EFI_HANDLE self, struct config *config)
{
    static char text[CONFIG_FILE_MAX + 1];
    EFI_FILE *file = open_config(self);
    UINTN size = sizeof(text);

    if (!file) {
        console_configure(config);
        say(LOG_INFO, "no \\EFI\\plastron\\plastron.conf: defaults are used");
        return;
    }

    EFI_STATUS status = file->Read(file, &size, text);

    file->Close(file);
    if (status == EFI_SUCCESS && size <= CONFIG_FILE_MAX) {
        parse_config(config, text, size);
        return;
    }
    console_configure(config);
    say(LOG_WARN, "%s: %s; defaults are used", CONFIG_NAME,
        status == EFI_SUCCESS ? "longer than 16 KiB" : "cannot be read");
}

static u64 find_acpi_rsdp(void)
{
    EFI_GUID acpi_2 = ACPI_20_TABLE_GUID;
    EFI_GUID acpi_1 = ACPI_TABLE_GUID;
    void *rsdp;

    if (LibGetSystemConfigurationTable(&acpi_2, &rsdp) == EFI_SUCCESS ||
        LibGetSystemConfigurationTable(&acpi_1, &rsdp) == EFI_SUCCESS)
        return (uintptr_t)rsdp;
    return 0;
}

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *system_table)
{
    static struct config config;
    static struct smp smp;
    char reason[REASON_MAX], no_next[REASON_MAX + CONFIG_PATH_MAX];
    const char *path;
    EFI_HANDLE next;

    InitializeLib(self, system_table);
    config_default(&config);
    read_config(self, &config);

    u64 rsdp = find_acpi_rsdp();
    bool can_start = smp_init(&smp, rsdp, reason, sizeof(reason)) && start_check(&smp, reason);
    bool has_next = chain_load(self, &config, &next, &path, no_next, sizeof(no_next));

    if (can_start && has_next)
        can_start = start_l0(&smp, &config, rsdp, reason);
    if (!can_start)
        say(LOG_ERROR, "not started: %s", reason);
    else if (!has_next)
        say(LOG_ERROR, "not started: %s", no_next);
    if (!has_next) {
        if (!can_start)
            say(LOG_ERROR, "%s", no_next);
        return EFI_NOT_FOUND;
    }

    say(LOG_DEBUG, "starting %s", path);

    EFI_STATUS status = chain_start(next);

    say(LOG_WARN, "%s has returned (EFI status 0x%llx)", path, (unsigned long long)status);
    return status;
}
