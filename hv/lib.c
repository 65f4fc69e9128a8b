/* The C library functions that compilers may call of their own accord, and L0 with them. */
#include "lib.h"
#include "types.h"

void *memset(void *to, int value, size_t len)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
    void *at = to;

    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
    return to;
}

static void copy_down(void *to, const void *from, size_t len)
{
    u8 *last = (u8 *)to + len - 1;
    const u8 *from_last = (const u8 *)from + len - 1;

    __asm__ volatile("std\n\trep movsb\n\tcld"
                     : "+D"(last), "+S"(from_last), "+c"(len)
                     :
                     : "memory", "cc");
}

void *memmove(void *to, const void *from, size_t len)
{
    /* One comparison for "to lies inside [from, from + len)": below from it wraps. */
    if ((uintptr_t)to - (uintptr_t)from >= len)
        return memcpy(to, from, len);
    copy_down(to, from, len);
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const u8 *left = a, *right = b;

    for (size_t i = 0; i < len; i++)
        if (left[i] != right[i])
            return left[i] - right[i];
    return 0;
}
