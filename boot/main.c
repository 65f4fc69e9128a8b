/* plastron.efi: from the firmware to L0 and on to the next image. */
#include "chain.h"
#include "config.h"
#include "config_file.h"
#include "console.h"
#include "firmware.h"
#include "start.h"

static void print_warning(void *context, const char *text)
{
    (void)context;
    say(LOG_WARN, "%s", text);
}

/* The console is known only when the file has been read: its warnings come in a second reading. */
static void parse_config(struct config *config, const char *text, size_t size)
{
    config_parse(config, CONFIG_FILE_NAME, text, size, NULL, NULL);
    console_configure(config);
    config_parse(config, CONFIG_FILE_NAME, text, size, print_warning, NULL);
}

static void read_config(EFI_HANDLE self, struct config *config)
{
    char *text;
    UINTN size;
    EFI_STATUS status = config_file_read(chain_image(self), &text, &size);

    if (status == EFI_SUCCESS) {
        parse_config(config, text, size);
        BS->FreePool(text);
        return;
    }
    console_configure(config);
    if (status == EFI_NOT_FOUND)
        say(LOG_INFO, "no " CONFIG_FILE_NAME ": defaults are used");
    else
        say(LOG_WARN, CONFIG_FILE_NAME ": %s; defaults are used",
            status == EFI_BAD_BUFFER_SIZE ? "longer than 16 KiB" : "cannot be read");
}

static u64 find_acpi_rsdp(void)
{
    u64 rsdp = firmware_table((EFI_GUID)ACPI_20_TABLE_GUID);

    return rsdp ? rsdp : firmware_table((EFI_GUID)ACPI_TABLE_GUID);
}

EFI_STATUS efi_main(EFI_HANDLE self)
{
    static struct config config;
    static struct smp smp;
    char reason[REASON_MAX], no_next[REASON_MAX + CONFIG_PATH_MAX];
    const char *path;
    EFI_HANDLE next;

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
