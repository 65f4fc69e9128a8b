/*
 * hv/suspect.c: who is to blame for a panic. Rows of instructions as L0 has them, of addresses,
 * and of what the processor leaves of a VM entry that it refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"
#include <cmocka.h>

#include "boot_info.h"
#include "hv/format.h"
#include "hv/l0.h"
#include "hv/log.h"
#include "hv/suspect.h"
#include "vmx.h"
#include "vmx/culprit.h"
#include "x86.h"

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

/* L0's text: linker.ld has its end behind its start. */
extern const u8 __text_start[], __text_end[];
__asm__(".section .rodata\n.global __text_start, __text_end\n"
        "__text_start: .fill 64, 1, 0x90\n__text_end:\n.previous");

static char printed[4096];
static size_t printed_len;

void log_raw(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printed_len +=
        format_string_v(printed + printed_len, sizeof(printed) - printed_len, format, args);
    va_end(args);
    assert_true(printed_len < sizeof(printed));
}

/* ---- Instructions ---- */

#define RAMS (64 * SIZE_1G)

static const struct trap_frame frame = {
    .rax = 0xffffffff00000d01,
    .rcx = 0x1c0000080,
    .rdx = 0x7777777700000005,
    .rsi = 0x1111,
    .rdi = 0x2222,
    .rsp = L0_DIRECT_BASE + 0x10000,
};

struct instruction {
    u8 code[SUSPECT_CODE_MAX];
    u8 bytes; /* 0: as many as there can be */
    const char *text;
};

static const struct instruction instructions[] = {
    {{0x0f, 0x30}, 0, "WRMSR of 0xc0000080, value 0x500000d01"},
    {{0x0f, 0x30}, 2, "WRMSR of 0xc0000080, value 0x500000d01"},
    {{0x0f, 0x32}, 0, "RDMSR of 0xc0000080"},
    {{0x0f, 0x20, 0xe0}, 3, "MOV from CR4"},
    {{0x0f, 0x22, 0xc0}, 0, "MOV to CR0"},
    {{0x0f, 0x22, 0xdf}, 0, "MOV to CR3"},
    {{0x0f, 0x21, 0xf8}, 0, "MOV from DR7"},
    {{0x0f, 0x23, 0xf3}, 0, "MOV to DR6"},
    {{0x41, 0x0f, 0x22, 0xe1}, 0, "MOV to CR4"},
    {{0x0f, 0x78, 0xd0}, 0, "VMREAD: no VMX operation, or a field's operand in memory"},
    {{0x0f, 0x79, 0xd0}, 0, "VMWRITE: no VMX operation, or a field's operand in memory"},
    {{0x0f, 0x0b}, 2, "UD2: the compiler has proved that it is never reached"},
    {{0x0f, 0xc7, 0x37}, 0, "VMPTRLD"},
    {{0x0f, 0xc7, 0x74, 0x24, 0x08}, 0, "VMPTRLD"},
    {{0x66, 0x0f, 0xc7, 0x37}, 0, "VMCLEAR"},
    {{0x66, 0x41, 0x0f, 0xc7, 0x37}, 0, "VMCLEAR"},
    {{0xf3, 0x0f, 0xc7, 0x37}, 0, "VMXON"},
    {{0x0f, 0x01, 0xc2}, 0, "VMLAUNCH"},
    {{0x0f, 0x01, 0xc3}, 3, "VMRESUME"},
    {{0x0f, 0x01, 0xc4}, 0, "VMXOFF"},
    {{0x0f, 0x01, 0xd1}, 0, "XSETBV of 3221225600, value 0x500000d01"},
    {{0xf3, 0xa4}, 0, "a copy of 7516192896 more units from 0x1111 to 0x2222"},
    {{0xf3, 0x48, 0xa5}, 0, "a copy of 7516192896 more units from 0x1111 to 0x2222"},
    {{0xf3, 0xaa}, 2, "a fill of 7516192896 more units at 0x2222"},
    {{0xf3, 0x48, 0xab}, 0, "a fill of 7516192896 more units at 0x2222"},
    /* Nothing more than its bytes could be said. */
    {{0x0f, 0x01, 0xd0}, 0, NULL},             /* XGETBV */
    {{0x0f, 0x01, 0x15}, 0, NULL},             /* LGDT */
    {{0x0f, 0xc7, 0x0f}, 0, NULL},             /* CMPXCHG8B */
    {{0x48, 0x0f, 0xc7, 0x0f}, 0, NULL},       /* CMPXCHG16B */
    {{0xf0, 0x48, 0x0f, 0xc7, 0x0f}, 0, NULL}, /* LOCK CMPXCHG16B */
    {{0x0f, 0xc7, 0x3f}, 0, NULL},             /* VMPTRST */
    {{0x0f, 0xc7, 0xf0}, 0, NULL},             /* RDRAND */
    {{0x0f, 0xc7, 0xf8}, 0, NULL},             /* RDSEED */
    {{0x0f, 0x05}, 0, NULL},
    {{0x48, 0xa5}, 0, NULL}, /* MOVS without REP */
    {{0x66, 0xf3}, 2, NULL},
    {{0x48, 0x8b, 0x00}, 0, NULL},
    {{0xcc}, 0, NULL},
    {{0x90}, 0, NULL},
    /* Cut by the end of L0's text. */
    {{0}, 0xff, NULL},
    {{0x0f}, 1, NULL},
    {{0x41}, 1, NULL},
    {{0xf3}, 1, NULL},
    {{0x0f, 0x22}, 2, NULL},
    {{0x0f, 0x20}, 2, NULL},
    {{0x0f, 0x01}, 2, NULL},
    {{0x66, 0x0f, 0xc7}, 3, NULL},
};

/* Of the bytes nothing behind the last one is read: they are the end of a block of their own. */
static void tell(const struct instruction *row, char *text, size_t size, size_t *length)
{
    size_t bytes = row->bytes == 0xff ? 0 : row->bytes ? row->bytes : SUSPECT_CODE_MAX;
    u8 *code = malloc(bytes ? bytes : 1);

    assert_non_null(code);
    memcpy(code, row->code, bytes);
    *length = suspect_instruction(bytes ? code : code + 1, bytes, &frame, text, size);
    free(code);
}

static void instructions_by_their_bytes(void **state)
{
    char text[96];
    size_t length;

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(instructions); i++) {
        strcpy(text, "untouched");
        tell(&instructions[i], text, sizeof(text), &length);
        if (!instructions[i].text) {
            assert_int_equal(length, 0);
            continue;
        }
        assert_string_equal(text, instructions[i].text);
        assert_int_equal(length, strlen(text));
    }
}

static void a_text_that_has_no_room(void **state)
{
    const char *whole = instructions[0].text;
    size_t length;

    (void)state;
    for (size_t size = 0; size <= strlen(whole) + 1; size++) {
        char *text = malloc(size + 1);

        assert_non_null(text);
        text[size] = '@';
        tell(&instructions[0], text, size, &length);
        assert_int_equal(length, strlen(whole));
        assert_int_equal(text[size], '@');
        if (size) {
            assert_int_equal(strlen(text), size - 1);
            assert_memory_equal(text, whole, size - 1);
        }
        free(text);
    }
}

/* Any bytes, of any number. */
static void random_bytes(void **state)
{
    struct instruction row;
    char text[96];
    size_t length;

    (void)state;
    srand(1);
    for (u32 i = 0; i < 300000; i++) {
        for (u32 k = 0; k < sizeof(row.code); k++)
            row.code[k] = (u8)(rand() >> 8);
        if (rand() % 2)
            row.code[rand() % 3] = 0x0f;
        row.bytes = (u8)(rand() % (SUSPECT_CODE_MAX + 1));
        row.bytes = row.bytes ? row.bytes : 0xff;
        tell(&row, text, sizeof(text), &length);
        assert_true(length < sizeof(text));
    }
}

/* ---- Addresses ---- */

#define STACK (L0_DIRECT_BASE + 0x10000)

static const struct {
    u64 address;
    const char *text;
} addresses[] = {
    {0, "address 0 is in page 0: a null pointer"},
    {0x10, "address 0x10 is in page 0: a null pointer"},
    {0xfff, "address 0xfff is in page 0: a null pointer"},
    {0x7fffffffffff,
     "address 0x7fffffffffff is nothing of L0's: a guest's address, or not a pointer"},
    {0x1000, "address 0x1000 is nothing of L0's: a guest's address, or not a pointer"},
    {0xffff888000000000, "address 0xffff888000000000 is physical 0x88000000000, behind all memory"},
    {STACK - 1,
     "address 0xffff80000000ffff is next to the stack pointer: the stack has overflowed"},
    {STACK - 0x1fff,
     "address 0xffff80000000e001 is next to the stack pointer: the stack has overflowed"},
    {STACK - 0x2000, "address 0xffff80000000e000 is physical 0xe000"},
    {STACK, "address 0xffff800000010000 is next to the stack pointer: the stack has overflowed"},
    {STACK + 0xfff,
     "address 0xffff800000010fff is next to the stack pointer: the stack has overflowed"},
    {STACK + 0x1000, "address 0xffff800000011000 is physical 0x11000"},
    {L0_DIRECT_BASE, "address 0xffff800000000000 is physical 0"},
    {L0_DIRECT_BASE - 1,
     "address 0xffff7fffffffffff is nothing of L0's: a guest's address, or not a pointer"},
    {L0_DIRECT_BASE + RAMS - 1, "address 0xffff800fffffffff is physical 0xfffffffff"},
    {L0_DIRECT_BASE + RAMS,
     "address 0xffff801000000000 is physical 0x1000000000, behind all memory"},
    {L0_VIRT_BASE - 1, "address 0xffffffff7fffffff is physical 0x7fff7fffffff, behind all memory"},
    {L0_VIRT_BASE, "address 0xffffffff80000000 is in L0's image: a write to what is read-only, or "
                   "behind its end"},
    {~0ull,
     "address 0xffffffffffffffff is in L0's image: a write to what is read-only, or behind its "
     "end"},
};

static void where_an_address_lies(void **state)
{
    char text[128];

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
        size_t length = suspect_address(addresses[i].address, &frame, RAMS, text, sizeof(text));

        assert_string_equal(text, addresses[i].text);
        assert_int_equal(length, strlen(text));
        assert_true(length < 96 || addresses[i].address >= L0_VIRT_BASE);
    }
}

/* ---- What is printed ---- */

static u32 found;

/* It gets each field of the VMCS, but for the link pointer, whose memory is L0's own. */
void culprit_find(const struct vmcs12 *vmcs12, const struct vmx_caps *caps, bool l1_long_mode,
                  u64 current_vmcs, struct culprit *out)
{
    (void)current_vmcs;
    assert_ptr_equal(caps, &l0.hw);
    assert_true(l1_long_mode);
#define X(name, encoding, member, needs)                                                           \
    if (name != VMCS_LINK_POINTER)                                                                 \
        assert_true(vmcs12->member == (__typeof__(vmcs12->member))fake_vmcs[encoding]);
    VMCS12_FIELDS(X)
#undef X
    assert_true(vmcs12->vmcs_link_pointer == ~0ull);
    out->count = found;
}

size_t culprit_text(const struct culprit *culprit, char *to, size_t size)
{
    assert_int_equal(culprit->count, found);
    return format_string(to, size, "VM entry fails\nGUEST_CR0 0x1\n");
}

static const char *print(const struct trap_frame *where)
{
    printed_len = 0;
    printed[0] = 0;
    suspect_print(where);
    return printed;
}

static void the_instruction_of_an_exception(void **state)
{
    struct trap_frame trap = frame;

    (void)state;
    l0.boot.ram_top = RAMS;
    trap.vector = VECTOR_UD;
    trap.rip = (u64)__text_start;
    assert_string_equal(print(&trap),
                        "likely culprit: the instruction at RIP: 90 90 90 90 90 90 90 "
                        "90 90 90 90 90 90 90 90\n");
    trap.rip = (u64)__text_end - 2;
    assert_string_equal(print(&trap), "likely culprit: the instruction at RIP: 90 90\n");
    trap.vector = VECTOR_PF;
    fake_cr2 = 0x18;
    assert_string_equal(print(&trap), "likely culprit: the instruction at RIP: 90 90\n"
                                      "  address 0x18 is in page 0: a null pointer\n");
    trap.rip = (u64)__text_end;
    assert_non_null(strstr(print(&trap), "a jump or return to 0x"));
    trap.rip = (u64)__text_start - 1;
    assert_non_null(strstr(print(&trap), ", which is no code of L0's\n"));
    trap.rip = 0;
    assert_string_equal(print(&trap),
                        "likely culprit: a jump or return to 0, which is no code of L0's\n");
}

/* What a panic without an exception finds in the VMCS. */
static void the_fields_of_a_failed_entry(void **state)
{
    static const struct {
        u64 error, reason;
        bool failed;
    } rows[] = {
        {0, 0, false},
        {0, EXIT_REASON_CPUID, false},
        {VMXERR_VMLAUNCH_NONCLEAR_VMCS, 0, false},
        {VMXERR_ENTRY_INVALID_CONTROL_FIELD, EXIT_REASON_CPUID, true},
        {VMXERR_ENTRY_INVALID_HOST_STATE_FIELD, EXIT_REASON_CPUID, true},
        {0, VMX_EXIT_REASONS_FAILED_VMENTRY | EXIT_REASON_INVALID_STATE, true},
    };

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(fake_vmcs); i++)
        fake_vmcs[i] = i * 0x9e3779b97f4a7c15;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        fake_vmcs[VM_INSTRUCTION_ERROR] = rows[i].error;
        fake_vmcs[VM_EXIT_REASON] = rows[i].reason;
        found = 1;
        assert_string_equal(print(NULL), rows[i].failed ? "likely culprit, in the current VMCS: "
                                                          "VM entry fails\nGUEST_CR0 0x1\n"
                                                        : "");
        found = 0;
        assert_string_equal(
            print(NULL), rows[i].failed
                             ? "likely culprit: none of the fields, by the checks of vmx/check.h\n"
                             : "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_by_their_bytes),
        cmocka_unit_test(a_text_that_has_no_room),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(where_an_address_lies),
        cmocka_unit_test(the_instruction_of_an_exception),
        cmocka_unit_test(the_fields_of_a_failed_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
