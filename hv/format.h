/*
 * A subset of printf: %d %i %u %x %X %p %c %s %%, the lengths hh h l ll z, width, precision for
 * %s, both also as *, and the flags 0 - #. What it does not know is printed as it stands.
 * No state, no dependencies: it works in a panic and in the host build.
 */
#ifndef PLASTRON_HV_FORMAT_H
#define PLASTRON_HV_FORMAT_H

#include <stdarg.h>
#include "types.h"

typedef void format_put(void *context, char c);

/* Hands the text on character by character. */
void format_to(format_put *put, void *context, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Writes at most size bytes, the final zero included; returns the length the whole text has. */
size_t format_string(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t format_string_v(char *to, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
