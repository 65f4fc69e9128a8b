/* Random numbers for the unit tests, the same in each run. */
#ifndef PLASTRON_TESTS_RANDOM_H
#define PLASTRON_TESTS_RANDOM_H

#include "types.h"

static u64 random_state = 1;

static u64 random_u64(void)
{
    u64 z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static u64 random_below(u64 bound) { return random_u64() % bound; }

#endif
