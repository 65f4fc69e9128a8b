#include "clock.h"
#include "firmware.h"

#define MICROSECONDS 10000u

u64 clock_tsc_hz(void)
{
    u64 start = __builtin_ia32_rdtsc();

    BS->Stall(MICROSECONDS);
    return (__builtin_ia32_rdtsc() - start) * (1000000u / MICROSECONDS);
}
