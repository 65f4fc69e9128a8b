/*
 * boot/elf.c and boot/paging.c: L0's image is loaded only from a sound file, and lies where the
 * page tables say. Also boot/acpi.c.
 */
#include "../../boot/acpi.h"
#include "../../boot/elf.h"
#include "../../boot/paging.h"
#include "../../include/boot_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Offsets of the ELF64 format. */
#define ELF_TYPE      16
#define ELF_MACHINE   18
#define ELF_ENTRY     24
#define ELF_PHOFF     32
#define ELF_PHENTSIZE 54
#define ELF_PHNUM     56
#define PH(n)         (64 + 56 * (n))
#define PH_TYPE       0
#define PH_OFFSET     8
#define PH_VADDR      16
#define PH_FILESZ     32
#define PH_MEMSZ      40

#define FILE_SIZE   512
#define TEXT_OFFSET 256
#define TEXT_SIZE   64
#define DATA_OFFSET 320
#define DATA_SIZE   16
#define DATA_MEMORY 0x2801

static void put(char *file, size_t at, u64 value, size_t size) { memcpy(file + at, &value, size); }

static void put_segment(char *file, u32 n, u64 offset, u64 address, u64 file_size, u64 memory_size)
{
    put(file, PH(n) + PH_TYPE, 1, 4);
    put(file, PH(n) + PH_OFFSET, offset, 8);
    put(file, PH(n) + PH_VADDR, address, 8);
    put(file, PH(n) + PH_FILESZ, file_size, 8);
    put(file, PH(n) + PH_MEMSZ, memory_size, 8);
}

/* Text at the base, data with bss one page up, and a PT_GNU_STACK that does not count. */
static char *sound_file(void)
{
    char *file = test_calloc(1, FILE_SIZE);

    memcpy(file, "\177ELF\2\1\1", 7);
    put(file, ELF_TYPE, 2, 2);
    put(file, ELF_MACHINE, 62, 2);
    put(file, ELF_ENTRY, L0_VIRT_BASE + 8, 8);
    put(file, ELF_PHOFF, 64, 8);
    put(file, ELF_PHENTSIZE, 56, 2);
    put(file, ELF_PHNUM, 3, 2);
    put_segment(file, 0, TEXT_OFFSET, L0_VIRT_BASE, TEXT_SIZE, TEXT_SIZE);
    put_segment(file, 1, DATA_OFFSET, L0_VIRT_BASE + PAGE_SIZE, DATA_SIZE, DATA_MEMORY);
    put(file, PH(2) + PH_TYPE, 0x6474e551, 4);
    memset(file + TEXT_OFFSET, 'T', TEXT_SIZE);
    memset(file + DATA_OFFSET, 'D', DATA_SIZE);
    return file;
}

static void test_elf_sound(void **state)
{
    (void)state;
    char *file = sound_file();
    struct elf_layout layout;

    assert_true(elf_read(file, FILE_SIZE, &layout));
    assert_int_equal(layout.entry, L0_VIRT_BASE + 8);
    assert_int_equal(layout.image_size, 4 * PAGE_SIZE);

    char *memory = test_malloc(layout.image_size);

    memset(memory, 0xff, layout.image_size);
    elf_load(file, memory, layout.image_size);
    for (size_t i = 0; i < layout.image_size; i++) {
        char wanted = i < TEXT_SIZE ? 'T' : '\0';

        if (i >= PAGE_SIZE && i < PAGE_SIZE + DATA_SIZE)
            wanted = 'D';
        assert_int_equal(memory[i], wanted);
    }
    test_free(memory);
    test_free(file);
}

static void test_elf_damaged(void **state)
{
    (void)state;
    static const struct {
        size_t at, size;
        u64 value;
    } damages[] = {
        {0, 1, 0},
        {4, 1, 1},           /* 32-bit */
        {5, 1, 2},           /* big endian */
        {ELF_TYPE, 2, 3},    /* position-independent */
        {ELF_MACHINE, 2, 3}, /* i386 */
        {ELF_PHENTSIZE, 2, 32},
        {ELF_PHOFF, 8, 63},
        {ELF_PHOFF, 8, FILE_SIZE - 8},
        {ELF_PHOFF, 8, UINT64_MAX - 7},
        {ELF_PHNUM, 2, 0xffff},
        {ELF_PHNUM, 2, 0},
        {ELF_ENTRY, 8, L0_VIRT_BASE + TEXT_SIZE},
        {ELF_ENTRY, 8, L0_VIRT_BASE - 1},
        {ELF_ENTRY, 8, L0_VIRT_BASE + PAGE_SIZE + DATA_SIZE}, /* in the bss */
        {PH(0) + PH_OFFSET, 8, FILE_SIZE - TEXT_SIZE + 1},
        {PH(0) + PH_OFFSET, 8, UINT64_MAX},
        {PH(0) + PH_FILESZ, 8, TEXT_SIZE + 1}, /* more than the memory */
        {PH(1) + PH_FILESZ, 8, UINT64_MAX},
        {PH(1) + PH_VADDR, 8, L0_VIRT_BASE - PAGE_SIZE},
        {PH(1) + PH_VADDR, 8, L0_VIRT_BASE + SIZE_1G - 0x2800},
        {PH(1) + PH_VADDR, 8, UINT64_MAX},
        {PH(1) + PH_MEMSZ, 8, SIZE_1G},
        {PH(1) + PH_MEMSZ, 8, UINT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        char *file = sound_file();
        struct elf_layout layout;

        put(file, damages[i].at, damages[i].value, damages[i].size);
        assert_false(elf_read(file, FILE_SIZE, &layout));
        test_free(file);
    }
}

/* A file cut anywhere is refused, or what it lost was never needed. */
static void test_elf_cut(void **state)
{
    (void)state;
    for (size_t size = 0; size <= FILE_SIZE; size++) {
        char *file = sound_file();
        char *cut = aligned_alloc(8, align_up(size + 1, 8));
        struct elf_layout layout;

        assert_non_null(cut);
        memcpy(cut, file, size);
        assert_int_equal(elf_read(cut, size, &layout), size >= DATA_OFFSET + DATA_SIZE);
        free(cut);
        test_free(file);
    }
}

#define TABLES_PHYSICAL 0x5000000ull
#define ENTRY_ADDRESS   0x000ffffffffff000ull

/* What a linear address translates to, UINT64_MAX if it is not mapped writable. */
static u64 translate(const u64 *tables, u64 pml4, u64 linear)
{
    u64 table = pml4;

    for (u32 shift = 39;; shift -= 9) {
        u64 entry = tables[(table - TABLES_PHYSICAL) / 8 + (linear >> shift & 511)];
        u64 offset_mask = BIT64(shift) - 1;

        if ((entry & 3) != 3)
            return UINT64_MAX;
        if (entry & 0x80)
            return (entry & ENTRY_ADDRESS & ~offset_mask) | (linear & offset_mask);
        assert_true(shift > 21);
        table = entry & ENTRY_ADDRESS;
    }
}

static void check_tables(const struct paging_request *request)
{
    u64 pages = paging_page_count(request);
    u64 *tables = test_malloc(pages * PAGE_SIZE);

    memset(tables, 0xff, pages * PAGE_SIZE);
    paging_build(request, tables, TABLES_PHYSICAL);
    for (u32 cpu = 0; cpu < request->cpu_count; cpu++) {
        u64 pml4 = TABLES_PHYSICAL + cpu * PAGE_SIZE;

        for (u64 at = 0; at < request->image_size; at += PAGE_SIZE)
            assert_int_equal(translate(tables, pml4, L0_VIRT_BASE + at), request->region_base + at);
        assert_int_equal(
            translate(tables, pml4, L0_VIRT_BASE + align_up(request->image_size, SIZE_2M)),
            UINT64_MAX);
        for (u64 at = 0x1234; at < request->ram_top; at += SIZE_2M)
            assert_int_equal(translate(tables, pml4, L0_DIRECT_BASE + at), at);
        assert_int_equal(translate(tables, pml4, L0_DIRECT_BASE + request->ram_top), UINT64_MAX);
        assert_int_equal(translate(tables, pml4, 0), UINT64_MAX);
    }
    test_free(tables);
}

static void test_paging(void **state)
{
    (void)state;
    for (u32 has_1g_pages = 0; has_1g_pages <= 1; has_1g_pages++) {
        struct paging_request request = {.region_base = 0x7fe00000,
                                         .image_size = 0x3000,
                                         .ram_top = 4 * SIZE_1G,
                                         .cpu_count = 1,
                                         .has_1g_pages = has_1g_pages};

        check_tables(&request);
        request.image_size = SIZE_2M + PAGE_SIZE;
        request.ram_top = 513 * SIZE_1G;
        request.cpu_count = 3;
        check_tables(&request);
    }
}

static void test_paging_lower_half(void **state)
{
    (void)state;
    u64 current[PAGE_TABLE_ENTRIES], pml4[PAGE_TABLE_ENTRIES];

    for (u32 i = 0; i < PAGE_TABLE_ENTRIES; i++) {
        current[i] = 1000 + i;
        pml4[i] = 2000 + i;
    }
    paging_copy_lower_half(pml4, current);
    for (u32 i = 0; i < PAGE_TABLE_ENTRIES; i++)
        assert_int_equal(pml4[i], i < 256 ? 1000 + i : 2000 + i);
}

/* ACPI tables with four enabled processors of six, x2APIC ones among them. */
static void test_acpi(void **state)
{
    (void)state;
    static u8 madt[44 + 8 * 4 + 12 + 16 * 2] = "APIC";
    static u8 other[36] = "FACP";
    static u8 root[36 + 2 * 8] = "XSDT";
    static u8 rsdp[36] = "RSD PTR ";
    static const u8 flags[] = {1, 0, 1, 3};
    u64 address;
    u8 *entry = madt + 44;

    madt[4] = sizeof(madt);
    for (u32 i = 0; i < 4; i++, entry += 8) {
        entry[1] = 8;
        entry[4] = flags[i];
    }
    entry[0] = 1; /* an I/O APIC */
    entry[1] = 12;
    entry[4] = 1;
    for (entry += 12; entry < madt + sizeof(madt); entry += 16) {
        entry[0] = 9;
        entry[1] = 16;
    }
    entry[-16 + 8] = 1;
    other[4] = sizeof(other);
    root[4] = sizeof(root);
    address = (uintptr_t)other;
    memcpy(root + 36, &address, 8);
    address = (uintptr_t)madt;
    memcpy(root + 44, &address, 8);
    address = (uintptr_t)root;
    memcpy(rsdp + 24, &address, 8);
    rsdp[15] = 2;

    assert_int_equal(acpi_cpu_count((uintptr_t)rsdp), 4);
    madt[45] = 0; /* an entry without length must not hang the walk */
    assert_int_equal(acpi_cpu_count((uintptr_t)rsdp), 0);
    root[4] = 36 + 8;
    assert_int_equal(acpi_cpu_count((uintptr_t)rsdp), 0);
    assert_int_equal(acpi_cpu_count(0), 0);
}

/* ---- acpi_power() ---- */

#define ACPI_HEADER   36
#define FADT_SIZE     148
#define FADT_DSDT     40
#define FADT_PM1A_CNT 64
#define FADT_FLAGS    112
#define FADT_RESET    116 /* the address's space, and 4 bytes behind it the address */
#define FADT_RESET_BY 128
#define FADT_X_DSDT   140
#define HAS_RESET     0x400
#define S5(...)       8, '_', 'S', '5', '_', __VA_ARGS__
#define OFF(type)     ((type) << 10 | 0x2000)
#define NO_OFF        0

/* A table that is as long as it says; what lies behind it is not to be read. */
static u8 *acpi_table(const char *signature, const void *body, u32 size)
{
    u32 length = ACPI_HEADER + size;
    u8 *table = calloc(1, length);

    assert_non_null(table);
    memcpy(table, signature, 4);
    memcpy(table + 4, &length, 4);
    if (size)
        memcpy(table + ACPI_HEADER, body, size);
    return table;
}

static u8 *sound_fadt(const u8 *dsdt)
{
    u8 *fadt = acpi_table("FACP", (const u8[FADT_SIZE - ACPI_HEADER]){0}, FADT_SIZE - ACPI_HEADER);
    u64 address = (uintptr_t)dsdt;

    memcpy(fadt + FADT_PM1A_CNT, &(u32){0x604}, 4);
    memcpy(fadt + FADT_FLAGS, &(u32){HAS_RESET}, 4);
    fadt[FADT_RESET] = 1;
    memcpy(fadt + FADT_RESET + 4, &(u64){0xcf9}, 8);
    fadt[FADT_RESET_BY] = 6;
    memcpy(fadt + FADT_X_DSDT, &address, 8);
    return fadt;
}

/* What is found from an RSDP on that leads to a table of processors, and this one. */
static struct power power_of(const u8 *fadt)
{
    u8 rsdp[ACPI_HEADER] = "RSD PTR ", *madt = acpi_table("APIC", NULL, 0), *root;
    u64 tables[] = {(uintptr_t)madt, (uintptr_t)fadt}, address;
    struct power power;

    root = acpi_table("XSDT", tables, sizeof(tables));
    address = (uintptr_t)root;
    memcpy(rsdp + 24, &address, 8);
    rsdp[15] = 2;
    power = acpi_power((uintptr_t)rsdp);
    free(root);
    free(madt);
    return power;
}

static struct power power_of_aml(const u8 *aml, u32 size)
{
    u8 *dsdt = acpi_table("DSDT", aml, size), *fadt = sound_fadt(dsdt);
    struct power power = power_of(fadt);

    assert_int_equal(power.reset_port, 0xcf9);
    assert_int_equal(power.reset_value, 6);
    assert_int_equal(power.off_port, power.off_value ? 0x604 : 0);
    free(fadt);
    free(dsdt);
    return power;
}

/* Each way to write the sleep type: ACPI specification, "ACPI Machine Language (AML)". */
static void test_acpi_s5(void **state)
{
    static const struct {
        u8 aml[24];
        u8 size, needed; /* up to where the type is known */
        u16 off_value;
    } rows[] = {
        {{S5(0x12, 6, 4, 0, 0, 0, 0)}, 12, 9, OFF(0)},
        {{S5(0x12, 6, 4, 1, 1, 0, 0)}, 12, 9, OFF(1)},
        {{S5(0x12, 10, 4, 10, 7, 10, 7, 0, 0)}, 14, 10, OFF(7)},
        {{S5(0x12, 10, 4, 10, 5, 10, 4, 0, 0)}, 14, 10, OFF(5)},
        {{S5(0x12, 12, 4, 11, 6, 0, 11, 6, 0, 0, 0)}, 16, 10, OFF(6)},
        {{S5(0x12, 12, 2, 12, 3, 0, 0, 0, 12, 3, 0, 0, 0)}, 18, 10, OFF(3)},
        {{S5(0x12, 0x41, 0, 4, 10, 5, 0, 0, 0)}, 14, 11, OFF(5)}, /* a length of 2 bytes */
        {{S5(0x12, 0x81, 0, 0, 4, 1, 0, 0, 0)}, 14, 11, OFF(1)},
        {{S5(0x12, 0xc1, 0, 0, 0, 4, 10, 2, 0, 0, 0)}, 16, 13, OFF(2)},
        {{'_', 'S', '5', S5(0x12, 10, 4, 10, 5, 0, 0)}, 15, 13, OFF(5)},
        {{'_', 'S', '3', '_', 0x12, 6, 4, 1, 1, 0, 0, S5(0x12, 6, 4, 10, 5)}, 21, 21, OFF(5)},
        {{S5(0x12, 6, 4, 10, 0xfd)}, 10, 10, OFF(5)},  /* there are 3 bits of it */
        {{S5(0x13, 6, 4, 1, 1, 0, 0)}, 12, 0, NO_OFF}, /* a package whose size is not known */
        {{S5(0x12, 10, 4, 'S', 'L', 'P', '5', 0, 0)}, 14, 0, NO_OFF}, /* an object's name */
        {{S5(0x12, 10, 4, 13, 'x', 0, 0, 0)}, 13, 0, NO_OFF},         /* a text */
        {{'_', 'S', '4', '_', 0x12, 6, 4, 1, 1, 0, 0}, 11, 0, NO_OFF},
        {{'_', 'S', '5', '_', 0x14, 6, 4, 1, 1, 0, 0}, 11, 0, NO_OFF}, /* a method */
        {{0}, 0, 0, NO_OFF},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (u32 size = 0; size <= rows[i].size; size++) {
            u16 wanted = size >= rows[i].needed ? rows[i].off_value : NO_OFF;

            assert_int_equal(power_of_aml(rows[i].aml, size).off_value, wanted);
        }
}

static void test_acpi_fadt(void **state)
{
    static const struct {
        u32 at, size;
        u64 value;
        u16 off_port, reset_port;
    } rows[] = {
        {0, 0, 0, 0x604, 0xcf9},
        {FADT_PM1A_CNT, 4, 0, 0, 0xcf9},
        {FADT_PM1A_CNT, 4, 0xffff, 0xffff, 0xcf9},
        {FADT_PM1A_CNT, 4, 0x10000, 0, 0xcf9},
        {FADT_X_DSDT, 8, 0, 0, 0xcf9},
        {FADT_FLAGS, 4, (u32)~HAS_RESET, 0x604, 0},
        {FADT_RESET, 1, 0, 0x604, 0}, /* in memory */
        {FADT_RESET, 1, 2, 0x604, 0}, /* in PCI's configuration space */
        {FADT_RESET + 4, 8, 0, 0x604, 0},
        {FADT_RESET + 4, 8, 0x64, 0x604, 0x64},
        {FADT_RESET + 4, 8, 0x10000, 0x604, 0},
        {FADT_RESET + 4, 8, 0xfed0000000000cf9, 0x604, 0},
        {4, 4, FADT_SIZE - 1, 0, 0},
        {4, 4, 116, 0, 0}, /* ACPI 1.0's */
        {4, 4, ACPI_HEADER, 0, 0},
        {4, 4, 0, 0, 0},
        {0, 4, 0x5f434146, 0, 0}, /* another table */
    };
    static const u8 aml[] = {S5(0x12, 6, 4, 1, 1, 0, 0)};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        u8 *dsdt = acpi_table("DSDT", aml, sizeof(aml)), *fadt = sound_fadt(dsdt);
        struct power power;

        memcpy(fadt + rows[i].at, &rows[i].value, rows[i].size);
        power = power_of(fadt);
        assert_int_equal(power.off_port, rows[i].off_port);
        assert_int_equal(power.off_value, rows[i].off_port ? OFF(1) : 0);
        assert_int_equal(power.reset_port, rows[i].reset_port);
        assert_int_equal(power.reset_value, rows[i].reset_port ? 6 : 0);
        free(fadt);
        free(dsdt);
    }
    assert_int_equal(acpi_power(0).off_port, 0);
}

/* A FADT that ends early; and a DSDT whose length is less than that of its header. */
static void test_acpi_cut(void **state)
{
    u8 *dsdt = acpi_table("DSDT", (const u8[]){S5(0x12, 6, 4, 1, 1, 0, 0)}, 12);
    u8 *whole = sound_fadt(dsdt);

    (void)state;
    for (u32 size = ACPI_HEADER; size <= FADT_SIZE; size++) {
        u8 *fadt = acpi_table("FACP", whole + ACPI_HEADER, size - ACPI_HEADER);

        assert_int_equal(power_of(fadt).off_port, size == FADT_SIZE ? 0x604 : 0);
        free(fadt);
    }
    for (u32 length = 0; length <= ACPI_HEADER; length++) {
        memcpy(dsdt + 4, &length, 4);
        assert_int_equal(power_of(whole).off_port, 0);
    }
    free(whole);
    free(dsdt);
}

/* Tables of ACPI 1.0, whose addresses have 32 bits. */
static void test_acpi_below_4g(void **state)
{
    u8 *low = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
                   -1, 0);
    u8 *rsdp = low, *root = low + 64, *fadt = low + 128, *dsdt = low + 512;
    u8 *made = sound_fadt(NULL);
    u32 address, length = ACPI_HEADER + 4;

    (void)state;
    assert_true(low != MAP_FAILED);
    memcpy(fadt, made, FADT_SIZE);
    free(made);
    made = acpi_table("DSDT", (const u8[]){S5(0x12, 6, 4, 10, 5)}, 10);
    memcpy(dsdt, made, ACPI_HEADER + 10);
    free(made);
    address = (u32)(uintptr_t)root;
    memcpy(rsdp + 16, &address, 4);
    memcpy(root + 4, &length, 4);
    address = (u32)(uintptr_t)fadt;
    memcpy(root + ACPI_HEADER, &address, 4);
    address = (u32)(uintptr_t)dsdt;
    memcpy(fadt + FADT_DSDT, &address, 4);
    assert_int_equal(acpi_power((uintptr_t)rsdp).off_value, OFF(5));
    munmap(low, PAGE_SIZE);
}

/* 2 MiB for all, the image in it, and 96 KiB a core; more only for tables without 1-GiB pages. */
static void test_own_bytes(void **state)
{
    const u64 image = 220 << 10, gib = SIZE_1G;

    (void)state;
    assert_int_equal(l0_own_bytes(image, 4 * gib, 0, 1), (2 << 20) + (96 << 10));
    assert_int_equal(l0_own_bytes(image, 4 * gib, 0, 8), (2 << 20) + 8 * (96 << 10));
    assert_int_equal(l0_own_bytes(image, 4096 * gib, 0, 1), (2 << 20) + (96 << 10));
    assert_int_equal(l0_own_bytes(image, 64 * gib, 2, 1), (2 << 20) + (96 << 10));
    assert_int_equal(l0_own_bytes(image, 1024 * gib, 2, 1),
                     image + 1024 * 2 * PAGE_SIZE + L0_BYTES_OTHER + (96 << 10));
    assert_true(l0_own_bytes(3 << 20, 4 * gib, 0, 1) > 3 << 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elf_sound),         cmocka_unit_test(test_elf_damaged),
        cmocka_unit_test(test_elf_cut),           cmocka_unit_test(test_paging),
        cmocka_unit_test(test_paging_lower_half), cmocka_unit_test(test_acpi),
        cmocka_unit_test(test_acpi_s5),           cmocka_unit_test(test_acpi_fadt),
        cmocka_unit_test(test_acpi_cut),          cmocka_unit_test(test_acpi_below_4g),
        cmocka_unit_test(test_own_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
