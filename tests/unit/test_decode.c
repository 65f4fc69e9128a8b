/* Operand decoding and segmentation, each form against a plain recomputation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "vmx.h"
#include "vmx/decode.h"
#include "x86.h"

static const u64 gpr[16] = {
    0x0000000000001000, 0xfffffffffffff801, 0x00000001ffff0002, 0x8000000000000003,
    0x00007fffffffe004, 0x00000000fffffff5, 0xdeadbeefcafe0006, 0x0000000000000007,
    0x0123456789abcde8, 0xffff800000000009, 0x000000007ffffffa, 0x000000000000fffb,
    0x000000000001000c, 0xfffffffffffffffd, 0x00000000deadbeee, 0x000000000000000f,
};

static u32 info_make(u32 scaling, u32 reg1, u32 size, bool reg, u32 segment)
{
    return scaling | reg1 << 3 | size << 7 | (u32)reg << 10 | segment << 15;
}

static u64 cut(u64 value, u32 size)
{
    return size == 0 ? (u16)value : size == 1 ? (u32)value : value;
}

/* Every scaling, address size, base (or none), index (or none). */
static void test_offsets(void **state)
{
    static const u64 displacements[] = {0, 0x10, ~0ull, 0xffffffff80000000, 0x7fffffff, 0xffff};

    (void)state;
    for (u32 at = 0; at < 4 * 3 * 17 * 17 * ARRAY_SIZE(displacements); at++) {
        u32 scaling = at & 3, size = at / 4 % 3, base = at / 12 % 17, index = at / 204 % 17;
        u64 displacement = displacements[at / 3468];
        u32 info = info_make(scaling, 0, size, false, SEGMENT_DS);
        u64 wanted = displacement;

        info |= index == 16 ? BIT(22) | (at % 16) << 18 : index << 18;
        info |= base == 16 ? BIT(27) | (at % 16) << 23 : base << 23;
        if (base < 16)
            wanted += cut(gpr[base], size);
        if (index < 16)
            wanted += cut(gpr[index], size) * (1u << scaling);
        assert_int_equal(decode_operand(info, displacement, gpr).offset, cut(wanted, size));
    }
}

/* Registers, segments, and the bits that are undefined. */
static void test_parts(void **state)
{
    (void)state;
    for (u32 reg1 = 0; reg1 < 16; reg1++) {
        for (u32 reg2 = 0; reg2 < 16; reg2++) {
            for (u32 segment = 0; segment < 8; segment++) {
                u32 info = info_make(0, reg1, 2, segment & 1, segment) | reg2 << 28 | BIT(22) |
                           BIT(27) | BIT(2) | 0xfu << 11;
                struct vmx_operand operand = decode_operand(info, 0x1234, gpr);

                assert_int_equal(operand.is_register, segment & 1);
                assert_int_equal(operand.reg, reg1);
                assert_int_equal(operand.reg2, reg2);
                assert_int_equal(decode_is_register(info), segment & 1);
                assert_int_equal(decode_registers(info).reg, reg1);
                assert_int_equal(decode_registers(info).reg2, reg2);
                assert_true(decode_registers(info).is_register);
                assert_int_equal(operand.segment, segment < 6 ? segment : SEGMENT_DS);
                assert_int_equal(operand.offset, 0x1234);
            }
        }
    }
}

#define READ     false
#define WRITE    true
#define NO_FAULT 0xff

/* base, limit, access rights; mode, register, read or write, size, offset; linear or fault */
static const struct {
    const char *name;
    u64 base;
    u32 limit, ar;
    enum cpu_mode mode;
    u8 segment;
    bool write;
    u32 size;
    u64 offset;
    u8 fault;
    u64 linear;
} rows[] = {
    /* 64-bit mode */
    {"flat", 0, 0, 0x10000, MODE_64BIT, SEGMENT_DS, WRITE, 8, 0x1000, NO_FAULT, 0x1000},
    {"base of DS ignored", 5, 0, 0x10000, MODE_64BIT, SEGMENT_DS, READ, 8, 16, NO_FAULT, 16},
    {"base of ES ignored", 5, 0, 0x10000, MODE_64BIT, SEGMENT_ES, READ, 8, 16, NO_FAULT, 16},
    {"base of CS ignored", 5, 0, 0xa09b, MODE_64BIT, SEGMENT_CS, WRITE, 8, 16, NO_FAULT, 16},
    {"base of SS ignored", 5, 0, 0x10000, MODE_64BIT, SEGMENT_SS, READ, 8, 16, NO_FAULT, 16},
    {"FS", 0xffff800000000000, 0, 0x10000, MODE_64BIT, SEGMENT_FS, READ, 8, 16, NO_FAULT,
     0xffff800000000010},
    {"GS wraps", ~0xfull, 0, 0x10000, MODE_64BIT, SEGMENT_GS, READ, 8, 0x10, NO_FAULT, 0},
    {"GS makes it canonical", 0xffff000000000000, 0, 0x10000, MODE_64BIT, SEGMENT_GS, READ, 8,
     0x0000800000000000, NO_FAULT, 0xffff800000000000},
    {"FS makes it not canonical", 0x7ffffffffff0, 0, 0x10000, MODE_64BIT, SEGMENT_FS, READ, 8, 16,
     VECTOR_GP, 0},
    {"last low", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, 0x7ffffffffff8, NO_FAULT,
     0x7ffffffffff8},
    {"straddles low end", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, 0x7ffffffffff9, VECTOR_GP, 0},
    {"not canonical", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 1, 0x800000000000, VECTOR_GP, 0},
    {"not canonical, stack", 0, 0, 0, MODE_64BIT, SEGMENT_SS, READ, 1, 0x800000000000, VECTOR_SS,
     0},
    {"below high", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, 0xffff7fffffffffff, VECTOR_GP, 0},
    {"first high", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, 0xffff800000000000, NO_FAULT,
     0xffff800000000000},
    {"last of all", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, ~7ull, NO_FAULT, ~7ull},
    {"wraps to 0", 0, 0, 0, MODE_64BIT, SEGMENT_DS, READ, 8, ~3ull, NO_FAULT, ~3ull},
    /* protected mode, expand-up data */
    {"flat", 0, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, WRITE, 8, 0x1000, NO_FAULT, 0x1000},
    {"base", 0x1000, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, WRITE, 8, 0x10, NO_FAULT, 0x1010},
    {"linear wraps at 4 GiB", 0xfffff000, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0x1010,
     NO_FAULT, 0x10},
    {"end of limit", 0, 0xfff, 0x4093, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xff8, NO_FAULT, 0xff8},
    {"beyond limit", 0, 0xfff, 0x4093, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xff9, VECTOR_GP, 0},
    {"beyond limit, stack", 0, 0xfff, 0x4093, MODE_PROTECTED, SEGMENT_SS, READ, 8, 0xff9, VECTOR_SS,
     0},
    {"last byte of 4 GiB", 0, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfffffff8,
     NO_FAULT, 0xfffffff8},
    {"over 4 GiB", 0, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfffffff9, VECTOR_GP, 0},
    {"last byte of the limit", 0, 0xfff, 0x4093, MODE_PROTECTED, SEGMENT_DS, READ, 1, 0xfff,
     NO_FAULT, 0xfff},
    {"offset wraps", 0, ~0u, 0xc093, MODE_PROTECTED, SEGMENT_DS, READ, 8, ~0ull, VECTOR_GP, 0},
    {"null", 0, ~0u, 0x10000, MODE_PROTECTED, SEGMENT_ES, READ, 8, 0, VECTOR_GP, 0},
    {"null stack", 0, ~0u, 0x10000, MODE_PROTECTED, SEGMENT_SS, READ, 8, 0, VECTOR_SS, 0},
    /* types */
    {"read-only, read", 0, ~0u, 0xc091, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0, NO_FAULT, 0},
    {"read-only, written", 0, ~0u, 0xc091, MODE_PROTECTED, SEGMENT_DS, WRITE, 8, 0, VECTOR_GP, 0},
    {"read-only stack, written", 0, ~0u, 0xc091, MODE_PROTECTED, SEGMENT_SS, WRITE, 8, 0, VECTOR_GP,
     0},
    {"code, read", 0, ~0u, 0xc09b, MODE_PROTECTED, SEGMENT_CS, READ, 8, 0, NO_FAULT, 0},
    {"code, written", 0, ~0u, 0xc09b, MODE_PROTECTED, SEGMENT_CS, WRITE, 8, 0, VECTOR_GP, 0},
    {"execute-only, read", 0, ~0u, 0xc099, MODE_PROTECTED, SEGMENT_CS, READ, 8, 0, VECTOR_GP, 0},
    {"execute-only, written", 0, ~0u, 0xc099, MODE_PROTECTED, SEGMENT_CS, WRITE, 8, 0, VECTOR_GP,
     0},
    {"conforming is not expand-down", 0, 0xfff, 0x409f, MODE_PROTECTED, SEGMENT_CS, READ, 8, 0,
     NO_FAULT, 0},
    /* expand-down data */
    {"expand-down, above", 0, 0xfff, 0x4097, MODE_PROTECTED, SEGMENT_DS, WRITE, 8, 0x1000, NO_FAULT,
     0x1000},
    {"expand-down, at limit", 0, 0xfff, 0x4097, MODE_PROTECTED, SEGMENT_DS, WRITE, 8, 0xfff,
     VECTOR_GP, 0},
    {"expand-down, 0", 0, 0xfff, 0x4097, MODE_PROTECTED, SEGMENT_SS, WRITE, 8, 0, VECTOR_SS, 0},
    {"expand-down, end of 4 GiB", 0, 0xfff, 0x4097, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfffffff8,
     NO_FAULT, 0xfffffff8},
    {"expand-down, over 4 GiB", 0, 0xfff, 0x4097, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfffffffc,
     VECTOR_GP, 0},
    {"expand-down, end of 64 KiB", 0, 0xfff, 0x97, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfff8,
     NO_FAULT, 0xfff8},
    {"expand-down, over 64 KiB", 0, 0xfff, 0x97, MODE_PROTECTED, SEGMENT_DS, READ, 8, 0xfff9,
     VECTOR_GP, 0},
    /* real and virtual-8086 mode */
    {"real", 0xffff0, 0xffff, 0x93, MODE_REAL, SEGMENT_DS, WRITE, 8, 0xfff8, NO_FAULT, 0x10ffe8},
    {"real, over 64 KiB", 0, 0xffff, 0x93, MODE_REAL, SEGMENT_DS, READ, 8, 0xfff9, VECTOR_GP, 0},
    {"real, type ignored", 0, 0xffff, 0x9b, MODE_REAL, SEGMENT_CS, WRITE, 8, 0, NO_FAULT, 0},
    {"V86", 0x10, 0xffff, 0xf3, MODE_V86, SEGMENT_DS, WRITE, 8, 1, NO_FAULT, 0x11},
    {"V86, over 64 KiB", 0, 0xffff, 0xf3, MODE_V86, SEGMENT_SS, READ, 2, 0xffff, VECTOR_SS, 0},
};

static void test_segments(void **state)
{
    u32 wrong = 0;

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
        struct segment_state segment = {rows[i].base, rows[i].limit, rows[i].ar, 8};
        struct segment_access access = {.mode = rows[i].mode,
                                        .segment = rows[i].segment,
                                        .write = rows[i].write,
                                        .size = rows[i].size,
                                        .offset = rows[i].offset};
        u64 linear = 0;
        u8 vector = NO_FAULT;
        bool valid = segment_to_linear(&segment, &access, &linear, &vector);

        if (valid ? rows[i].fault != NO_FAULT || linear != rows[i].linear
                  : rows[i].fault != vector) {
            fprintf(stderr, "%s: row %u: %d, linear %#llx, vector %u\n", rows[i].name, i, valid,
                    (unsigned long long)linear, vector);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* 57-bit linear addresses. */
static void test_57_bits(void **state)
{
    struct segment_state segment = {0, 0, 0, 0};
    struct segment_access access = {.mode = MODE_64BIT,
                                    .segment = SEGMENT_DS,
                                    .cr4 = CR4_LA57,
                                    .size = 8,
                                    .offset = 0x800000000000};
    u64 linear;
    u8 vector;

    (void)state;
    assert_true(segment_to_linear(&segment, &access, &linear, &vector));
    access.offset = BIT64(56);
    assert_false(segment_to_linear(&segment, &access, &linear, &vector));
    access.offset = ~0ull << 56;
    assert_true(segment_to_linear(&segment, &access, &linear, &vector));
}

/* Linear-address masking. Outside it the bits must be those of a canonical address. */
static void test_masking(void **state)
{
    static const struct {
        const char *name;
        u64 cr3, cr4, offset;
        bool valid;
        u64 linear;
    } masks[] = {
        {"off, user", 0, 0, 0x1234000000001000, false, 0},
        {"off, supervisor", 0, 0, 0xff12800000001000, false, 0},
        {"U48", CR3_LAM_U48, 0, 0x7234000000001000, true, 0x1000},
        {"U48, sign", CR3_LAM_U48, 0, 0x7234800000001000, false, 0},
        {"U48 is not for supervisor pointers", CR3_LAM_U48, 0, 0x8234800000001000, false, 0},
        {"U48, five levels", CR3_LAM_U48, CR4_LA57, 0x7234000000001000, true, 0x1000},
        {"U48, five levels, sign", CR3_LAM_U48, CR4_LA57, 0x0000800000001000, false, 0},
        {"U57", CR3_LAM_U57, 0, 0x7e00000000001000, true, 0x1000},
        {"U57, beyond four levels", CR3_LAM_U57, 0, 0x7e00800000001000, false, 0},
        {"U57, five levels", CR3_LAM_U57, CR4_LA57, 0x7e34800000001000, true, 0x34800000001000},
        {"U57, sign", CR3_LAM_U57, CR4_LA57, 0x7f00000000001000, false, 0},
        {"U57 before U48", CR3_LAM_U57 | CR3_LAM_U48, 0, 0x7201000000001000, false, 0},
        {"SUP", 0, CR4_LAM_SUP, 0x8234ffffffffe000, true, 0xffffffffffffe000},
        {"SUP, sign", 0, CR4_LAM_SUP, 0x82347fffffffe000, false, 0},
        {"SUP, five levels", 0, CR4_LAM_SUP | CR4_LA57, 0x8334ffffffffe000, true,
         0xff34ffffffffe000},
        {"SUP is not for user pointers", 0, CR4_LAM_SUP, 0x7234000000001000, false, 0},
    };
    const struct segment_state segment = {0};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(masks); i++) {
        const struct segment_access access = {.mode = MODE_64BIT,
                                              .segment = SEGMENT_SS,
                                              .cr3 = masks[i].cr3,
                                              .cr4 = masks[i].cr4,
                                              .size = 8,
                                              .offset = masks[i].offset};
        u64 linear = 0;
        u8 vector = 0;
        bool valid = segment_to_linear(&segment, &access, &linear, &vector);

        if (valid != masks[i].valid || (valid && linear != masks[i].linear))
            fail_msg("%s: %d, linear %#llx", masks[i].name, valid, (unsigned long long)linear);
        if (!valid)
            assert_int_equal(vector, VECTOR_SS);
    }
}

/* Linear-address-space separation, of accesses at CPL 0: with CR4.SMAP, and until EFLAGS.AC. */
static void test_separation(void **state)
{
    const struct segment_state segment = {0};

    (void)state;
    for (u32 bits = 0; bits < 16; bits++) {
        const bool user = bits & 8, fault = (bits & 15) == (8 | 2 | 1);
        const struct segment_access access = {
            .mode = MODE_64BIT,
            .segment = SEGMENT_DS,
            .cr4 = (bits & 1 ? CR4_LASS : 0) | (bits & 2 ? CR4_SMAP : 0),
            .rflags = bits & 4 ? RFLAGS_AC : 0,
            .size = 8,
            .offset = user ? 0x1000 : 0xffff800000000000,
        };
        u64 linear;
        u8 vector = NO_FAULT;

        assert_int_equal(segment_to_linear(&segment, &access, &linear, &vector), !fault);
        if (fault)
            assert_int_equal(vector, VECTOR_GP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_segments), cmocka_unit_test(test_57_bits),
        cmocka_unit_test(test_masking),  cmocka_unit_test(test_separation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
