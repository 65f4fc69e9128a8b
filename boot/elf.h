/* L0's ELF image: a static ELF64 executable linked at L0_VIRT_BASE. No EFI. */
#ifndef PLASTRON_BOOT_ELF_H
#define PLASTRON_BOOT_ELF_H

#include "types.h"

struct elf_layout {
    u64 entry;      /* linear address of the entry point */
    u64 image_size; /* bytes from L0_VIRT_BASE to the end of the last segment, page-aligned */
};

/*
 * Checks the size bytes at file, a multiple of 8 in address, and finds out what memory the image
 * needs. False if it is not such an ELF, a segment lies outside the file or outside
 * [L0_VIRT_BASE, + 1 GiB), or the entry point is in no segment's file part.
 */
bool elf_read(const void *file, size_t size, struct elf_layout *layout);

/*
 * Copies the segments of a file that elf_read() accepted to memory, image_size bytes that stand
 * for L0_VIRT_BASE, and zeroes the rest of them.
 */
void elf_load(const void *file, void *memory, u64 image_size);

#endif
