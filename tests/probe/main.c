/* EFI entry: takes memory, reads \probe.cfg, ends the boot services, runs the rows. */
#include <efi.h>

#include "probe.h"

/* Below 4 GiB, for compatibility mode; aligned to the 2 MiB that its page tables take over. */
#define ARENA_FIRST (32 * 0x100000ull)
#define ARENA_LAST  (2048 * 0x100000ull)

u64 hidden_base[HIDDEN_MAX], hidden_size[HIDDEN_MAX];
u32 hidden_count;
u64 free_base, free_size;

static u8 memory_map[64 * 1024] __attribute__((aligned(8)));

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static void read_config(EFI_BOOT_SERVICES *services, EFI_HANDLE image)
{
    EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *volume;
    EFI_FILE_PROTOCOL *root, *file;
    UINTN size = sizeof(config.text) - 1;

    if (services->HandleProtocol(image, &image_guid, (void **)&loaded) != EFI_SUCCESS ||
        services->HandleProtocol(loaded->DeviceHandle, &volume_guid, (void **)&volume) !=
            EFI_SUCCESS ||
        volume->OpenVolume(volume, &root) != EFI_SUCCESS)
        return;
    if (root->Open(root, &file, (CHAR16 *)L"probe.cfg", EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return;
    if (file->Read(file, &size, config.text) == EFI_SUCCESS)
        config.text[size] = 0;
    file->Close(file);
}

/* The same address in every run if possible: what a guest executes by accident is then the same. */
static bool take_arena(EFI_BOOT_SERVICES *services)
{
    EFI_PHYSICAL_ADDRESS address;

    for (address = ARENA_FIRST; address < ARENA_LAST; address += ARENA_SIZE)
        if (services->AllocatePages(AllocateAddress, EfiLoaderData, ARENA_PAGES, &address) ==
            EFI_SUCCESS) {
            arena = (u8 *)address;
            memset(arena, 0, ARENA_SIZE);
            return true;
        }
    return false;
}

/* The page where the other core comes out of its SIPI. */
static bool take_low_page(EFI_BOOT_SERVICES *services)
{
    EFI_PHYSICAL_ADDRESS address = 0x9efff;

    if (services->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &address) != EFI_SUCCESS)
        return false;
    low_page = address;
    return true;
}

static void note_hidden(const EFI_MEMORY_DESCRIPTOR *region)
{
    u64 size = region->NumberOfPages * PAGE_SIZE;

    if (region->Type != EfiReservedMemoryType || size < SIZE_2M ||
        region->PhysicalStart % SIZE_2M || hidden_count == HIDDEN_MAX)
        return;
    hidden_base[hidden_count] = region->PhysicalStart;
    hidden_size[hidden_count++] = size;
}

static void note_free(const EFI_MEMORY_DESCRIPTOR *region)
{
    u64 size = region->NumberOfPages * PAGE_SIZE;

    if (region->Type == EfiConventionalMemory && size > free_size) {
        free_base = region->PhysicalStart;
        free_size = size;
    }
}

/* The end of what has to be mapped: RAM, and the devices below 4 GiB. */
static u64 read_map(UINTN size, UINTN descriptor_size)
{
    u64 top = 4 * SIZE_1G;

    for (UINTN at = 0; at < size; at += descriptor_size) {
        const EFI_MEMORY_DESCRIPTOR *region = (const void *)(memory_map + at);
        u64 end = region->PhysicalStart + region->NumberOfPages * PAGE_SIZE;

        note_hidden(region);
        note_free(region);
        if (region->Type == EfiConventionalMemory && end > top)
            top = end;
    }
    return align_up(top, SIZE_1G);
}

static void run_rows(void)
{
    if (config.bench) {
        rows_bench();
        return;
    }
    if (config.demo) {
        rows_demo();
        return;
    }
    if (config.attack) {
        rows_attack();
        if (config.cpus > 1) {
            rows_race();
            rows_churn();
        }
        return;
    }
    if (config.abort) {
        rows_abort(config.abort);
        return;
    }
    rows_machine();
    rows_instructions();
    rows_fields();
    rows_controls();
    rows_host_state();
    rows_guest_state();
    rows_guest_segments();
    rows_msr_lists();
    rows_exits();
    rows_vmx_exits();
    rows_events();
    rows_ept();
    rows_ept_ad();
    rows_pml();
    rows_mbec();
    rows_ve();
    rows_vmfunc();
    rows_apic();
    rows_shadowing();
    rows_cet();
    rows_pkrs();
    rows_wait();
    rows_uinv();
    rows_time();
    rows_untouched();
    rows_again();
    if (config.cpus > 1)
        rows_smp();
    rows_fuzz();
}

static void run(void)
{
    if (!vmx_read_capabilities()) {
        rows_no_vmx();
        return;
    }
    vmx_print_capabilities();
    if (config.cpus > 1)
        other_start();
    run_rows();
}

static _Noreturn void finish(void)
{
    line_clear();
    say("%lu rows", row_count);
    line_print("probe: end\r\nprobe", "");
    power_off();
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_BOOT_SERVICES *services = system->BootServices;
    UINTN size = sizeof(memory_map), key, descriptor_size;
    UINT32 version;

    console_put("\r\nprobe: start\r\n");
    read_config(services, image);
    config_parse();
    if (!take_arena(services) || !take_low_page(services)) {
        console_put("probe: no memory\r\n");
        power_off();
    }
    if (services->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)memory_map, &key, &descriptor_size,
                               &version) != EFI_SUCCESS ||
        services->ExitBootServices(image, key) != EFI_SUCCESS) {
        console_put("probe: the boot services do not end\r\n");
        power_off();
    }
    machine_start(read_map(size, descriptor_size));
    console_sleeps();
    run();
    finish();
}
