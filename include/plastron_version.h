/* Plastron's version: what it prints, what CPUID tells of it, and what plastronctl was made for. */
#ifndef PLASTRON_PLASTRON_VERSION_H
#define PLASTRON_PLASTRON_VERSION_H

#define PLASTRON_VERSION_MAJOR 0
#define PLASTRON_VERSION_MINOR 1
#define PLASTRON_VERSION_PATCH 0

#define PLASTRON_TEXT_OF(number) #number
#define PLASTRON_TEXT(number)    PLASTRON_TEXT_OF(number)
#define PLASTRON_VERSION                                                                           \
    PLASTRON_TEXT(PLASTRON_VERSION_MAJOR)                                                          \
    "." PLASTRON_TEXT(PLASTRON_VERSION_MINOR) "." PLASTRON_TEXT(PLASTRON_VERSION_PATCH)

#endif
