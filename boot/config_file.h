/* The file that configures an image of Plastron: found and read. */
#ifndef PLASTRON_BOOT_CONFIG_FILE_H
#define PLASTRON_BOOT_CONFIG_FILE_H

#include <efi.h>

#define CONFIG_FILE_NAME "plastron.conf"
#define CONFIG_FILE_MAX  (16 * 1024)

/*
 * Reads the configuration of image, a loaded one: plastron.conf in the directory that the image
 * came from, or else \EFI\plastron\plastron.conf on the same volume. *text gets what the caller is
 * to give to BS->FreePool(), *size its length; EFI_NOT_FOUND if there is neither,
 * EFI_BAD_BUFFER_SIZE if it is longer than CONFIG_FILE_MAX: then *text is NULL.
 */
EFI_STATUS config_file_read(const EFI_LOADED_IMAGE *image, char **text, UINTN *size);

#endif
