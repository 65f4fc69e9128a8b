// Preloaded into Debian's Bochs 3.1: mends three faults of that build, and counts VM exits.
//
// - 64-bit IDIV: long_idiv() breaks C's aliasing rule and the compiler dropped a store, so that
//   13/10 is 365. It is replaced only if it is seen to answer wrongly.
// - More than one CPU: the main loop does not set prev_rip = RIP after an exception or VM exit that
//   left through longjmp (the single-CPU loop does). A fault at the first instruction of a fault
//   handler then resumes at the old instruction. longjmp is interposed and does the assignment.
// - VM entry with external-interrupt exiting into a guest with RFLAGS.IF = 0 leaves interrupts
//   masked, as the mask is computed before the CPU counts as being in the guest. A guest that spins
//   with IF = 0 and never exits then stops the whole machine. VM entry's call of
//   VMenterInjectEvents(), which comes late enough, is led through a function that computes it
//   again.
// - bx_instr_vmexit() is an empty function that the build calls: replaced by a counter whose totals
//   go to the file named by PLASTRON_EXITS, as lines "cpu reason count".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_CPUS    64
#define MAX_REASONS 128

struct bit128s {
    uint64_t lo;
    int64_t hi;
};

typedef void long_idiv_fn(struct bit128s *, int64_t *, const struct bit128s *, int64_t);
typedef void cpu_fn(void *);
typedef void (*longjmp_fn)(jmp_buf, int) __attribute__((noreturn));

static cpu_fn *mask_interrupts, *real_inject_events;
static longjmp_fn real_longjmp, real_longjmp_chk;
static uint8_t ***cpus; // &bx_cpu_array: the array itself is allocated later
static const uint8_t *cpu_count;
static uint32_t rip_offset, prev_rip_offset;
static uint64_t exits[MAX_CPUS][MAX_REASONS];

static void fail(const char *what)
{
    fprintf(stderr, "mend: %s\n", what);
    _exit(3);
}

static void *bochs_symbol(const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);

    if (!address)
        fail(name);
    return address;
}

static void write_code(void *at, const void *bytes, size_t size)
{
    void *page = (void *)((uintptr_t)at & ~0xfffUL);

    if (mprotect(page, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC))
        fail("mprotect");
    memcpy(at, bytes, size);
    if (mprotect(page, 0x2000, PROT_READ | PROT_EXEC))
        fail("mprotect");
}

// Writes "jmp *target" over the first bytes of a function.
static void replace(void *function, void *target)
{
    uint8_t jump[14] = {0xff, 0x25, 0, 0, 0, 0};

    memcpy(jump + 6, &target, sizeof(target));
    write_code(function, jump, sizeof(jump));
}

// Leads the calls of one function that stand in another to a third.
static int replace_calls(uint8_t *code, size_t size, const void *from, const void *to)
{
    int found = 0;

    for (uint8_t *call = code; call + 5 <= code + size; call++) {
        int32_t distance;

        memcpy(&distance, call + 1, 4);
        if (*call != 0xe8 || call + 5 + distance != from)
            continue;
        distance = (int32_t)((const uint8_t *)to - (call + 5));
        write_code(call + 1, &distance, 4);
        found++;
    }
    return found;
}

static void right_idiv(struct bit128s *quotient, int64_t *remainder, const struct bit128s *dividend,
                       int64_t divisor)
{
    __int128 n = (__int128)(((unsigned __int128)(uint64_t)dividend->hi << 64) | dividend->lo);
    unsigned __int128 q;

    // -2^127 / -1 does not fit; any answer that is out of IDIV's range will do.
    q = divisor == -1 ? -(unsigned __int128)n : (unsigned __int128)(n / divisor);
    *remainder = divisor == -1 ? 0 : (int64_t)(n % divisor);
    quotient->lo = (uint64_t)q;
    quotient->hi = (int64_t)(q >> 64);
}

static void mend_division(void)
{
    long_idiv_fn *divide = (long_idiv_fn *)bochs_symbol("_Z9long_idivP7Bit128sPlPKS_l");
    struct bit128s dividend = {13, 0}, quotient = {0, 0};
    int64_t remainder = 0;

    divide(&quotient, &remainder, &dividend, 10);
    if (quotient.lo != 1 || quotient.hi != 0 || remainder != 3)
        replace((void *)divide, (void *)right_idiv);
}

// The offsets of RIP and prev_rip in BX_CPU_C stand in an instruction's handler, as the commit
// "mov RIP(%rbx), %rax; mov %rax, prev_rip(%rbx)" that every one of them ends with.
static int find_rip_offsets(void)
{
    const uint8_t *code = bochs_symbol("_ZN8BX_CPU_C11IDIV_RAXEqREP15bxInstruction_c");
    static const uint8_t load[] = {0x48, 0x8b, 0x83}, store[] = {0x48, 0x89, 0x83};

    for (int i = 0; i < 512; i++) {
        if (memcmp(code + i, load, 3) || memcmp(code + i + 7, store, 3))
            continue;
        memcpy(&rip_offset, code + i + 3, 4);
        memcpy(&prev_rip_offset, code + i + 10, 4);
        return 1;
    }
    return 0;
}

static void commit_rip(void)
{
    if (!cpus || !*cpus)
        return;
    if (!prev_rip_offset) {
        if (*cpu_count > 1)
            fail("RIP's place in the CPU structure was not found: only one CPU is possible");
        return;
    }
    for (unsigned i = 0; i < *cpu_count; i++)
        memcpy((*cpus)[i] + prev_rip_offset, (*cpus)[i] + rip_offset, 8);
}

void longjmp(jmp_buf env, int value)
{
    commit_rip();
    real_longjmp(env, value);
}

void __longjmp_chk(jmp_buf env, int value) __attribute__((noreturn));
void __longjmp_chk(jmp_buf env, int value)
{
    commit_rip();
    real_longjmp_chk(env, value);
}

static void inject_events(void *cpu)
{
    mask_interrupts(cpu);
    real_inject_events(cpu);
}

static void mend_interrupt_mask(void)
{
    // A function for Bochs's debugger, which this build lacks: near enough to be called, and just
    // large enough for a jump to this library.
    void *springboard = bochs_symbol("_Z20bx_instr_debug_promtv");

    mask_interrupts = (cpu_fn *)bochs_symbol("_ZN8BX_CPU_C25handleInterruptMaskChangeEv");
    real_inject_events = (cpu_fn *)bochs_symbol("_ZN8BX_CPU_C19VMenterInjectEventsEv");
    replace(springboard, (void *)inject_events);
    if (!replace_calls(bochs_symbol("_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c"), 0x580,
                       (void *)real_inject_events, springboard))
        fail("VM entry's call of VMenterInjectEvents was not found");
}

static void count_exit(unsigned cpu, uint32_t reason, uint64_t qualification)
{
    (void)qualification;
    exits[cpu % MAX_CPUS][(reason & 0xffff) % MAX_REASONS]++;
}

static void write_exits(void)
{
    FILE *file = fopen(getenv("PLASTRON_EXITS"), "w");

    if (!file)
        return;
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
        for (unsigned reason = 0; reason < MAX_REASONS; reason++) {
            if (exits[cpu][reason])
                fprintf(file, "%u %u %lu\n", cpu, reason, exits[cpu][reason]);
        }
    }
    fclose(file);
}

// A run that is ended from outside is counted too.
static void on_terminate(int signal_number)
{
    (void)signal_number;
    write_exits();
    _exit(1);
}

static void __attribute__((constructor)) mend(void)
{
    real_longjmp = (longjmp_fn)dlsym(RTLD_NEXT, "longjmp");
    real_longjmp_chk = (longjmp_fn)dlsym(RTLD_NEXT, "__longjmp_chk");
    mend_division();
    mend_interrupt_mask();
    find_rip_offsets();
    cpu_count = bochs_symbol("bx_cpu_count");
    cpus = bochs_symbol("bx_cpu_array");
    if (getenv("PLASTRON_EXITS")) {
        replace(bochs_symbol("_Z15bx_instr_vmexitjjm"), (void *)count_exit);
        atexit(write_exits);
        signal(SIGTERM, on_terminate);
    }
}
