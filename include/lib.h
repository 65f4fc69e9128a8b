/* The part of the C library that L0 has (hv/lib.c); the host build takes libc's. */
#ifndef PLASTRON_LIB_H
#define PLASTRON_LIB_H

#include <stddef.h>

void *memset(void *to, int value, size_t len);
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif
