/* What the loader makes of the firmware's handles, paths and tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "types.h"
#include <cmocka.h>

#include "boot/firmware.h"
#include "lib.h"

#define WITH_PATH    ((EFI_HANDLE)1)
#define WITHOUT_PATH ((EFI_HANDLE)2)

/* Two instances, of a node of 6 bytes and one of 9: the end of an instance is not the path's. */
static u8 device_path[] = {1, 1, 6, 0, 0xaa, 0xbb, 0x7f, 1,    4,    0, 2, 1,
                           9, 0, 1, 2, 3,    4,    5,    0x7f, 0xff, 4, 0};

#define DEVICE_PATH_SIZE (sizeof(device_path) - sizeof(EFI_DEVICE_PATH))

static bool has_memory;

static EFI_STATUS EFIAPI handle_protocol(EFI_HANDLE handle, EFI_GUID *name, VOID **protocol)
{
    EFI_GUID known = DEVICE_PATH_PROTOCOL;

    if (handle != WITH_PATH || memcmp(name, &known, sizeof(known)))
        return EFI_UNSUPPORTED;
    *protocol = device_path;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI allocate_pool(EFI_MEMORY_TYPE type, UINTN size, VOID **buffer)
{
    assert_int_equal(type, EfiLoaderData);
    /* Just the size: the sanitizer sees what is written behind. */
    *buffer = has_memory ? malloc(size) : NULL;
    return *buffer ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static EFI_BOOT_SERVICES services = {.HandleProtocol = handle_protocol,
                                     .AllocatePool = allocate_pool};
static EFI_SYSTEM_TABLE system_table;

static int set_up(void **state)
{
    (void)state;
    ST = &system_table;
    BS = &services;
    has_memory = true;
    return 0;
}

static void test_protocols(void **state)
{
    (void)state;
    assert_ptr_equal(firmware_protocol(WITH_PATH, (EFI_GUID)DEVICE_PATH_PROTOCOL), device_path);
    assert_ptr_equal(firmware_device_path(WITH_PATH), device_path);
    assert_null(firmware_device_path(WITHOUT_PATH));
    assert_null(firmware_protocol(WITH_PATH, (EFI_GUID)LOADED_IMAGE_PROTOCOL));
}

static void test_tables(void **state)
{
    EFI_CONFIGURATION_TABLE tables[] = {{ACPI_TABLE_GUID, (void *)0x1000},
                                        {ACPI_20_TABLE_GUID, (void *)0x2000}};

    (void)state;
    system_table.ConfigurationTable = tables;
    system_table.NumberOfTableEntries = 2;
    assert_int_equal(firmware_table((EFI_GUID)ACPI_20_TABLE_GUID), 0x2000);
    assert_int_equal(firmware_table((EFI_GUID)ACPI_TABLE_GUID), 0x1000);
    system_table.NumberOfTableEntries = 1;
    assert_int_equal(firmware_table((EFI_GUID)ACPI_20_TABLE_GUID), 0);
}

/* \ab's node: 4 bytes, 4 characters of 2 bytes; and the end of the path. */
static const u8 file_nodes[] = {4, 4, 12, 0, '\\', 0, 'a', 0, 'b', 0, 0, 0, 0x7f, 0xff, 4, 0};

static void test_file_path(void **state)
{
    u8 *path = (u8 *)firmware_file_path(WITH_PATH, "\\ab");

    (void)state;
    assert_memory_equal(path, device_path, DEVICE_PATH_SIZE);
    assert_memory_equal(path + DEVICE_PATH_SIZE, file_nodes, sizeof(file_nodes));
    free(path);
}

/* The firmware then looks for a file system that has it. */
static void test_file_path_without_device(void **state)
{
    u8 *path = (u8 *)firmware_file_path(WITHOUT_PATH, "\\ab");

    (void)state;
    assert_memory_equal(path, file_nodes, sizeof(file_nodes));
    free(path);
}

static void test_no_memory(void **state)
{
    (void)state;
    has_memory = false;
    assert_null(firmware_file_path(WITH_PATH, "\\ab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_protocols, set_up),
        cmocka_unit_test_setup(test_tables, set_up),
        cmocka_unit_test_setup(test_file_path, set_up),
        cmocka_unit_test_setup(test_file_path_without_device, set_up),
        cmocka_unit_test_setup(test_no_memory, set_up),
    };

    return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
