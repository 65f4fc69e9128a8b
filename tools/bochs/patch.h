// Changes to Debian's Bochs while it runs, and what its CPUs look like in memory. Whatever is not
// as expected ends Bochs with a message: better no run than a wrong one.
#ifndef PATCH_H
#define PATCH_H

#include <stddef.h>
#include <stdint.h>

void patch_fail(const char *what) __attribute__((noreturn));

// An exported function or variable of Bochs, by its mangled name.
void *patch_symbol(const char *name);

// Writes over code.
void patch_write(void *at, const void *bytes, size_t size);

// Writes "jmp *target" over the first bytes of a function.
void patch_replace(void *function, void *target);

// BX_CPU_C: NULL before there are any, and of how many.
uint8_t *patch_cpu(unsigned index);
unsigned patch_cpu_count(void);

// Offsets in BX_CPU_C, 0 if they were not found. The general registers come before RIP.
extern uint32_t patch_rip, patch_prev_rip;
#define PATCH_GPR(number) (patch_rip - (16 - (number)) * 8)

// Once, before all else.
void patch_init(void);

#endif
