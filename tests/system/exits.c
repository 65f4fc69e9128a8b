/*
 * Makes L1 exit to L0 from user space:
 *   exits vmcall N   VMCALL with RAX = N, for tests/system/panic_hook.c
 *   exits cpuid N    CPUID, N times
 *   exits mark N     none: a mark in the emulator's counts (tools/bochs/count.h)
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

static void mark(unsigned number) { __asm__ volatile("xchg %%bx, %%bx" : : "a"(number)); }

int main(int argc, char **argv)
{
    unsigned long number = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;

    if (argc == 3 && strcmp(argv[1], "vmcall") == 0)
        vmcall(number);
    else if (argc == 3 && strcmp(argv[1], "cpuid") == 0)
        cpuid(number);
    else if (argc == 3 && strcmp(argv[1], "mark") == 0)
        mark((unsigned)number);
    else
        return fprintf(stderr, "usage: exits vmcall|cpuid|mark N\n"), 2;
    return 0;
}
