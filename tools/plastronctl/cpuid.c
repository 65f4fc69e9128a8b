#include "plastronctl.h"

#include <cpuid.h>

struct registers machine_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct registers r;

    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}
