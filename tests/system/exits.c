/*
 * Makes L1 exit to L0 from user space:
 *   exits vmcall N   VMCALL with RAX = N, for tests/system/panic_hook.c
 *   exits cpuid N    CPUID, N times
 */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void vmcall(unsigned long number)
{
    __asm__ volatile("vmcall" : "+a"(number) : : "memory", "cc");
}

static void cpuid(unsigned long count)
{
    unsigned eax, ebx, ecx, edx;

    while (count--)
        __cpuid(0, eax, ebx, ecx, edx);
}

int main(int argc, char **argv)
{
    unsigned long number = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;

    if (argc == 3 && strcmp(argv[1], "vmcall") == 0)
        vmcall(number);
    else if (argc == 3 && strcmp(argv[1], "cpuid") == 0)
        cpuid(number);
    else
        return fprintf(stderr, "usage: exits vmcall|cpuid N\n"), 2;
    return 0;
}
