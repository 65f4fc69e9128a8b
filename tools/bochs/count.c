#define _GNU_SOURCE
#include "count.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "patch.h"

#define MAX_CPUS    64
#define MAX_REASONS 128
#define MAX_FIELDS  0x8000
#define COM1        0x3f8
#define RAX         0
#define BX          3

// Instructions by their handlers in Bochs; some have two.
#define OPERATIONS(X)                                                                              \
    X(VMREAD, "vmread", "_ZN8BX_CPU_C11VMREAD_EqGqEP15bxInstruction_c")                            \
    X(VMWRITE, "vmwrite", "_ZN8BX_CPU_C12VMWRITE_GqEqEP15bxInstruction_c")                         \
    X(VMPTRLD, "vmptrld", "_ZN8BX_CPU_C7VMPTRLDEP15bxInstruction_c")                               \
    X(VMCLEAR, "vmclear", "_ZN8BX_CPU_C7VMCLEAREP15bxInstruction_c")                               \
    X(VMENTRY, "vmentry", "_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c")                              \
    X(INVEPT, "invept", "_ZN8BX_CPU_C6INVEPTEP15bxInstruction_c")                                  \
    X(INVVPID, "invvpid", "_ZN8BX_CPU_C7INVVPIDEP15bxInstruction_c")                               \
    X(RDMSR, "rdmsr", "_ZN8BX_CPU_C5RDMSREP15bxInstruction_c")                                     \
    X(WRMSR, "wrmsr", "_ZN8BX_CPU_C5WRMSREP15bxInstruction_c")                                     \
    X(CPUID, "cpuid", "_ZN8BX_CPU_C5CPUIDEP15bxInstruction_c")                                     \
    X(XSETBV, "xsetbv", "_ZN8BX_CPU_C6XSETBVEP15bxInstruction_c")                                  \
    X(XCHG, NULL, "_ZN8BX_CPU_C10XCHG_EwGwREP15bxInstruction_c")

enum operation {
    NONE,
#define X(id, name, handler) id,
    OPERATIONS(X)
#undef X
        OPERATION_COUNT
};

static const struct {
    const char *name, *handler;
} operations[OPERATION_COUNT] = {
#define X(id, name, handler) [id] = {name, handler},
    OPERATIONS(X)
#undef X
};

// Where an instruction executes: whether in VMX operation, and whether in the guest there, as two
// bytes of BX_CPU_C hold it.
enum { OUTSIDE = 0, ROOT = 1, GUEST = 0x101 };

struct counts {
    uint64_t outside, root, guest;
    uint64_t first_vmcs; // that it entered
    uint64_t exits[MAX_REASONS], exits_first[MAX_REASONS];
    uint64_t executed[OPERATION_COUNT];
    uint64_t fields[2][MAX_FIELDS]; // read, written
};

static struct counts *counts;
static FILE *file;
static const char *text;
static size_t text_seen;
static uint32_t in_vmx_offset, vmcs_offset;

// The handlers' operations, found by a few bits of their address, as every instruction asks.
#define BUCKETS 4096

static struct {
    const void *handler;
    enum operation operation;
} buckets[BUCKETS];

static unsigned bucket_of(const void *handler) { return (uintptr_t)handler / 16 % BUCKETS; }

static void write_numbers(const char *name, const uint64_t *numbers, unsigned count, const char *as)
{
    const char *comma = "";

    fprintf(file, ", \"%s\": {", name);
    for (unsigned i = 0; i < count; i++) {
        if (!numbers[i])
            continue;
        fprintf(file, "%s\"", comma);
        fprintf(file, as, i);
        fprintf(file, "\": %lu", numbers[i]);
        comma = ", ";
    }
    fprintf(file, "}");
}

static void write_cpu(const struct counts *c)
{
    fprintf(file, "{\"outside\": %lu, \"root\": %lu, \"guest\": %lu", c->outside, c->root,
            c->guest);
    for (unsigned i = 0; i < OPERATION_COUNT; i++)
        if (operations[i].name && c->executed[i])
            fprintf(file, ", \"%s\": %lu", operations[i].name, c->executed[i]);
    write_numbers("exits", c->exits, MAX_REASONS, "%u");
    write_numbers("exits_first", c->exits_first, MAX_REASONS, "%u");
    write_numbers("reads", c->fields[0], MAX_FIELDS, "0x%x");
    write_numbers("writes", c->fields[1], MAX_FIELDS, "0x%x");
    fprintf(file, "}");
}

static void write_mark(const char *mark, unsigned cpu)
{
    fprintf(file, "{\"mark\": %s, \"cpu\": %u, \"cpus\": [", mark, cpu);
    for (unsigned i = 0; i < patch_cpu_count() && i < MAX_CPUS; i++) {
        fprintf(file, i ? ", " : "");
        write_cpu(&counts[i]);
    }
    fprintf(file, "]}\n");
    fflush(file);
}

static void note_field(struct counts *c, const uint8_t *state, const uint8_t *instruction,
                       enum operation operation)
{
    bool write = operation == VMWRITE;
    // bxInstruction_c's operands: the register with the field comes first in VMWRITE.
    uint32_t encoding = *(const uint32_t *)(state + PATCH_GPR(instruction[write ? 0x24 : 0x25]));

    c->fields[write][encoding % MAX_FIELDS]++;
}

static void note_exchange(unsigned cpu, const uint8_t *state, const uint8_t *instruction)
{
    char number[16];

    if (instruction[0x24] != BX || instruction[0x25] != BX)
        return;
    snprintf(number, sizeof(number), "%u", *(const uint32_t *)(state + PATCH_GPR(RAX)));
    write_mark(number, cpu);
}

// The address of the current VMCS.
static uint64_t vmcs_of(const uint8_t *state) { return *(const uint64_t *)(state + vmcs_offset); }

static void note_operation(unsigned cpu, const uint8_t *state, const uint8_t *instruction,
                           enum operation operation, unsigned where)
{
    if (operation == XCHG)
        note_exchange(cpu, state, instruction);
    else if (where == ROOT)
        counts[cpu].executed[operation]++;
    else if (where == GUEST && (operation == VMREAD || operation == VMWRITE))
        note_field(&counts[cpu], state, instruction, operation);
    if (operation == VMENTRY && where == ROOT && !counts[cpu].first_vmcs)
        counts[cpu].first_vmcs = vmcs_of(state);
}

static void before_execution(unsigned cpu, const uint8_t *instruction)
{
    const uint8_t *state = patch_cpu(cpu);
    const void *handler = *(const void *const *)instruction;
    unsigned where = *(const uint16_t *)(state + in_vmx_offset);
    struct counts *c = &counts[cpu];

    c->outside += where == OUTSIDE;
    c->root += where == ROOT;
    c->guest += where == GUEST;
    if (buckets[bucket_of(handler)].handler == handler)
        note_operation(cpu, state, instruction, buckets[bucket_of(handler)].operation, where);
}

static void count_exit(unsigned cpu, uint32_t reason, uint64_t qualification)
{
    struct counts *c = &counts[cpu];
    uint32_t basic = (reason & 0xffff) % MAX_REASONS;

    (void)qualification;
    c->exits[basic]++;
    c->exits_first[basic] += vmcs_of(patch_cpu(cpu)) == c->first_vmcs;
}

static void port_written(uint16_t port, unsigned length, unsigned value)
{
    (void)length;
    if (port != COM1 || !text || !*text)
        return;
    text_seen = (char)value == text[text_seen] ? text_seen + 1 : (char)value == text[0];
    if (text[text_seen])
        return;
    text = NULL;
    write_mark("\"console\"", 0);
}

static void write_end(void) { write_mark("\"end\"", 0); }

// A run that is ended from outside is counted too.
static void on_terminate(int signal_number)
{
    (void)signal_number;
    write_end();
    _exit(1);
}

// VMWRITE begins by "cmpb $0, in_vmx(%rdi)"; in_vmx_guest is the byte behind it.
static void find_in_vmx(void)
{
    static const uint8_t compare[] = {0x80, 0xbf};
    const uint8_t *code = memmem(patch_symbol(operations[VMWRITE].handler), 32, compare, 2);
    const uint8_t *next = code ? memmem(code + 7, 64, compare, 2) : NULL;
    uint32_t offset = 0;

    if (code)
        memcpy(&in_vmx_offset, code + 2, 4);
    while (next && (memcpy(&offset, next + 2, 4), offset != in_vmx_offset + 1))
        next = memmem(next + 2, 64, compare, 2);
    if (!next)
        patch_fail("in_vmx's place in the CPU structure was not found");
}

// VMLAUNCH asks "cmpq $-1, current VMCS(%rbx)" before it looks at that.
static void find_vmcs(void)
{
    static const uint8_t compare[] = {0x48, 0x83, 0xbb};
    const uint8_t *code = memmem(patch_symbol(operations[VMENTRY].handler), 256, compare, 3);

    if (!code || code[7] != 0xff)
        patch_fail("the current VMCS's place in the CPU structure was not found");
    memcpy(&vmcs_offset, code + 3, 4);
}

static void find_handlers(void)
{
    for (unsigned i = NONE + 1; i < OPERATION_COUNT; i++) {
        const void *handler = patch_symbol(operations[i].handler);

        if (buckets[bucket_of(handler)].handler)
            patch_fail("two handlers in one bucket");
        buckets[bucket_of(handler)].handler = handler;
        buckets[bucket_of(handler)].operation = i;
    }
}

void count_init(void)
{
    const char *name = getenv("PLASTRON_COUNTS");

    if (!name)
        return;
    file = fopen(name, "w");
    counts = calloc(MAX_CPUS, sizeof(*counts));
    if (!file || !counts || !patch_rip)
        patch_fail("counting cannot begin");
    text = getenv("PLASTRON_COUNTS_TEXT");
    find_in_vmx();
    find_vmcs();
    find_handlers();
    patch_replace(patch_symbol("_Z25bx_instr_before_executionjP15bxInstruction_c"),
                  (void *)before_execution);
    patch_replace(patch_symbol("_Z15bx_instr_vmexitjjm"), (void *)count_exit);
    patch_replace(patch_symbol("_Z13bx_instr_outptjj"), (void *)port_written);
    atexit(write_end);
    signal(SIGTERM, on_terminate);
}
