/* The firmware, as the loader reaches it: its tables, and what lies behind its handles. */
#ifndef PLASTRON_BOOT_FIRMWARE_H
#define PLASTRON_BOOT_FIRMWARE_H

#include "types.h"

#include <efi.h>

/* Set before anything else is done. */
extern EFI_SYSTEM_TABLE *ST;
extern EFI_BOOT_SERVICES *BS;

/* The handle's protocol of that name; NULL if it has none. */
void *firmware_protocol(EFI_HANDLE handle, EFI_GUID name);

/* The physical address of the configuration table of that name; 0 if there is none. */
u64 firmware_table(EFI_GUID name);

/* The path of the handle's device; NULL if it has none. */
EFI_DEVICE_PATH *firmware_device_path(EFI_HANDLE handle);

/*
 * The path of a file, given its path from the root of the device's volume in ASCII. To be given to
 * BS->FreePool(); NULL if there is no memory.
 */
EFI_DEVICE_PATH *firmware_file_path(EFI_HANDLE device, const char *path);

#endif
