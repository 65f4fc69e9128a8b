/* vmcall N: executes VMCALL with RAX = N, for tests/system/panic_hook.c. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    unsigned long number = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;

    __asm__ volatile("vmcall" : "+a"(number) : : "memory", "cc");
    return 0;
}
