/* The image that is started after Plastron: found, loaded, started. */
#ifndef PLASTRON_BOOT_CHAIN_H
#define PLASTRON_BOOT_CHAIN_H

#include "config.h"

#include <efi.h>

/* What the firmware knows of a loaded image. */
EFI_LOADED_IMAGE *chain_image(EFI_HANDLE handle);

/*
 * Loads config->next or, if that is empty, the first of the usual boot loaders that there is, from
 * the partition that self, this program's image, came from. Never a copy of this program that would
 * do again what self, or a copy that led to self, does. True with *next the loaded image and path
 * its path; else with a clause in reason.
 */
bool chain_load(EFI_HANDLE self, const struct config *config, EFI_HANDLE *next, const char **path,
                char *reason, size_t reason_size);

/* Starts it, and returns what it returned. */
EFI_STATUS chain_start(EFI_HANDLE next);

#endif
