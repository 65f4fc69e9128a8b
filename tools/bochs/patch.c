#define _GNU_SOURCE
#include "patch.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

uint32_t patch_rip, patch_prev_rip;

static uint8_t ***cpus; // &bx_cpu_array: the array itself is allocated later
static const uint8_t *cpu_count;

void patch_fail(const char *what)
{
    fprintf(stderr, "mend: %s\n", what);
    _exit(3);
}

void *patch_symbol(const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);

    if (!address)
        patch_fail(name);
    return address;
}

void patch_write(void *at, const void *bytes, size_t size)
{
    uintptr_t page = (uintptr_t)at & ~0xfffUL;
    size_t length = ((uintptr_t)at + size - 1 - page) / 0x1000 * 0x1000 + 0x1000;

    if (mprotect((void *)page, length, PROT_READ | PROT_WRITE | PROT_EXEC))
        patch_fail("mprotect");
    memcpy(at, bytes, size);
    if (mprotect((void *)page, length, PROT_READ | PROT_EXEC))
        patch_fail("mprotect");
}

void patch_replace(void *function, void *target)
{
    uint8_t jump[14] = {0xff, 0x25, 0, 0, 0, 0};

    memcpy(jump + 6, &target, sizeof(target));
    patch_write(function, jump, sizeof(jump));
}

uint8_t *patch_cpu(unsigned index) { return cpus && *cpus ? (*cpus)[index] : NULL; }

unsigned patch_cpu_count(void) { return *cpu_count; }

// RIP and prev_rip stand in an instruction's handler, as the commit "mov RIP(%rbx), %rax; mov %rax,
// prev_rip(%rbx)" that every one of them ends with.
static void find_rip_offsets(void)
{
    const uint8_t *code = patch_symbol("_ZN8BX_CPU_C11IDIV_RAXEqREP15bxInstruction_c");
    static const uint8_t load[] = {0x48, 0x8b, 0x83}, store[] = {0x48, 0x89, 0x83};

    for (int i = 0; i < 512; i++) {
        if (memcmp(code + i, load, 3) || memcmp(code + i + 7, store, 3))
            continue;
        memcpy(&patch_rip, code + i + 3, 4);
        memcpy(&patch_prev_rip, code + i + 10, 4);
        return;
    }
}

void patch_init(void)
{
    find_rip_offsets();
    cpu_count = patch_symbol("bx_cpu_count");
    cpus = patch_symbol("bx_cpu_array");
}
