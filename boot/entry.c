/*
 * Where the firmware enters. A file of its own, as the compiler takes what is relocated for
 * constants, which it could read early if it saw both.
 */
#include "firmware.h"

#define WORDS_IN_MAP 63 /* of a bit each, above the lowest, which is 1 */

EFI_STATUS efi_main(EFI_HANDLE self); /* boot/main.c */
EFI_STATUS EFIAPI loader_entry(EFI_HANDLE self, EFI_SYSTEM_TABLE *system_table);

/* boot/loader.ld */
extern char image_start[];
extern const u64 relocations[], relocations_end[];

static void relocate_mapped(u64 *word, u64 map)
{
    for (; map; map >>= 1, word++)
        if (map & 1)
            *word += (uintptr_t)image_start;
}

/*
 * Adds to each pointer in the data where the image lies. The linker has listed them as DT_RELR (the
 * generic ELF ABI, "Relocation"): an address, or which of the words behind it have one, too.
 */
static void relocate(void)
{
    u64 *next = NULL;

    for (const u64 *entry = relocations; entry < relocations_end; entry++) {
        if (*entry & 1) {
            relocate_mapped(next, *entry >> 1);
            next += WORDS_IN_MAP;
        } else {
            next = (u64 *)(image_start + *entry);
            *next++ += (uintptr_t)image_start;
        }
    }
}

EFI_STATUS EFIAPI loader_entry(EFI_HANDLE self, EFI_SYSTEM_TABLE *system_table)
{
    relocate();
    ST = system_table;
    BS = system_table->BootServices;
    return efi_main(self);
}
