/* The LZ4 block format, decompressed: lz4_Block_format.md of the LZ4 project. No EFI. */
#ifndef PLASTRON_BOOT_LZ4_H
#define PLASTRON_BOOT_LZ4_H

#include "types.h"

/*
 * Decompresses the size bytes of one block at from to at most capacity bytes at to. The number of
 * bytes that came out; 0 if the block is damaged, or they do not fit.
 */
size_t lz4_decompress(const u8 *from, size_t size, u8 *to, size_t capacity);

#endif
