#include "start.h"
#include "acpi.h"
#include "console.h"
#include "cpu.h"
#include "elf.h"
#include "hv/format.h"
#include "clock.h"
#include "lz4.h"
#include "memory.h"
#include "paging.h"
#include "vmx.h"

#define CR3_ADDRESS 0x000ffffffffff000ull
#define MIB(bytes)  ((unsigned long long)((bytes) >> 20))

/* What the core's slot says before the core has called L0. */
#define NOT_CALLED UINT64_MAX

/* boot/enter.asm */
u64 enter_l0(struct l0_call *call, u64 entry, u64 cr3);

/* boot/enter.asm has these offsets. */
_Static_assert(offsetof(struct l0_call, resume_rip) == 16, "boot/enter.asm");
_Static_assert(offsetof(struct l0_call, resume_rsp) == 24, "boot/enter.asm");
_Static_assert(offsetof(struct l0_call, resume_rflags) == 32, "boot/enter.asm");
_Static_assert(offsetof(struct l0_call, resume_cr3) == 40, "boot/enter.asm");

/* Written by the boot processor, read by all cores, which each write their own slots. */
static struct boot_info info;
static u64 entry_point;
static u64 *pml4_tables;        /* one page per core */
static struct cpu_facts *facts; /* of each core */
static u64 results[MAX_CPUS];   /* enum l0_error, or NOT_CALLED */

static void read_facts_on_core(u32 cpu) { cpu_read_facts(&facts[cpu]); }

static bool check_core(const struct smp *smp, u32 cpu, char reason[REASON_MAX])
{
    char cause[REASON_MAX] = "it does not answer the firmware's MP services";

    if (facts[cpu].read && checks_pass(&facts[cpu], cause))
        return true;
    if (cpu == 0)
        format_string(reason, REASON_MAX, "%s", cause);
    else
        format_string(reason, REASON_MAX, "core %u (APIC id %u): %s", cpu, smp->apic_id[cpu],
                      cause);
    return false;
}

#define PAGES(bytes) (align_up(bytes, PAGE_SIZE) / PAGE_SIZE)

static bool allocate_facts(u32 cpu_count)
{
    facts = (struct cpu_facts *)memory_allocate(PAGES(cpu_count * sizeof(*facts)));
    for (u32 cpu = 0; facts && cpu < cpu_count; cpu++)
        facts[cpu].read = false;
    return facts;
}

bool start_check(const struct smp *smp, char reason[REASON_MAX])
{
    if (!allocate_facts(smp->cpu_count)) {
        format_string(reason, REASON_MAX, "there is no memory to look at the cores in");
        return false;
    }
    read_facts_on_core(0);
    if (!check_core(smp, 0, reason))
        return false;
    if (!smp_run_on_others(read_facts_on_core)) {
        format_string(reason, REASON_MAX,
                      "the firmware's MP services do not start the other cores");
        return false;
    }
    for (u32 cpu = 1; cpu < smp->cpu_count; cpu++) {
        if (!check_core(smp, cpu, reason))
            return false;
    }
    return true;
}

static void start_on_core(u32 cpu)
{
    struct l0_call call = {.boot_info = (uintptr_t)&info, .cpu = cpu};
    u64 *pml4 = pml4_tables + cpu * PAGE_TABLE_ENTRIES;

    cpu_unlock_vmx();
    paging_copy_lower_half(pml4, (const u64 *)(cpu_read_cr3() & CR3_ADDRESS));
    results[cpu] = enter_l0(&call, entry_point, (uintptr_t)pml4);
}

static const char *result_name(u64 result)
{
    switch (result) {
    case L0_NO_MEMORY: return "its memory does not suffice";
    case L0_VMXON_FAILED: return "VMXON failed";
    case L0_BAD_BOOT_INFO: return "it does not accept the loader's boot_info";
    case NOT_CALLED: return "the core was not reached";
    default: return "unknown error";
    }
}

/* Starts L0 on all cores, given that it, its boot_info and the page tables are in place. */
static bool launch(const struct smp *smp, char reason[REASON_MAX])
{
    for (u32 cpu = 0; cpu < smp->cpu_count; cpu++)
        results[cpu] = NOT_CALLED;
    start_on_core(0);
    if (results[0] != L0_OK) {
        format_string(reason, REASON_MAX, "L0 could not start: %s", result_name(results[0]));
        return false;
    }
    if (!smp_run_on_others(start_on_core))
        say(LOG_ERROR, "the firmware's MP services failed while L0 was started");
    for (u32 cpu = 1; cpu < smp->cpu_count; cpu++) {
        if (results[cpu] != L0_OK)
            say(LOG_ERROR, "core %u (APIC id %u) runs without Plastron: %s", cpu, smp->apic_id[cpu],
                result_name(results[cpu]));
    }
    return true;
}

/* Launches on page tables that exist no longer than that. */
static bool launch_on_own_tables(const struct smp *smp, char reason[REASON_MAX])
{
    struct paging_request request = {.region_base = info.region_base,
                                     .image_size = info.image_size,
                                     .ram_top = info.ram_top,
                                     .cpu_count = smp->cpu_count,
                                     .has_1g_pages = cpu_has_1g_pages()};
    u64 pages = paging_page_count(&request);
    u64 tables = memory_allocate(pages);

    if (!tables) {
        format_string(reason, REASON_MAX, "not enough memory: no %llu KiB for page tables",
                      (unsigned long long)(pages * PAGE_SIZE >> 10));
        return false;
    }
    pml4_tables = (u64 *)tables;
    paging_build(&request, pml4_tables, tables);

    bool launched = launch(smp, reason);

    memory_free(tables, pages * PAGE_SIZE);
    return launched;
}

static void fill_boot_info(const struct smp *smp, const struct config *config, u64 acpi_rsdp)
{
    info.magic = BOOT_INFO_MAGIC;
    info.acpi_rsdp = acpi_rsdp;
    info.cpu_count = smp->cpu_count;
    for (u32 cpu = 0; cpu < smp->cpu_count; cpu++)
        info.apic_id[cpu] = smp->apic_id[cpu];
    info.config = *config;
    if (!config->monitor_port)
        return;
    info.tsc_hz = clock_tsc_hz();
    info.power = acpi_power(acpi_rsdp);
}

static void free_image(const void *image)
{
    memory_free((uintptr_t)image, align_up(l0_image_size, PAGE_SIZE));
}

/* L0's image as it was before it was compressed, and its layout; NULL if it is damaged, or memory
   is lacking. */
static const void *unpack_image(struct elf_layout *layout)
{
    size_t packed = (size_t)(l0_image_end - l0_image);
    u8 *image = (u8 *)memory_allocate(PAGES(l0_image_size));

    if (!image)
        return NULL;
    if (lz4_decompress((const u8 *)l0_image, packed, image, l0_image_size) == l0_image_size &&
        elf_read(image, l0_image_size, layout))
        return image;
    free_image(image);
    return NULL;
}

/* L0's page tables and EPT01 have a table for each GiB that they have no 1-GiB page for. */
static u32 table_pages_per_gib(void)
{
    return !cpu_has_1g_pages() + !(facts[0].ept_vpid_cap & EPT_CAP_1G);
}

/* How much memory L0 takes, in info. */
static void plan_region(const struct smp *smp, const struct config *config,
                        const struct memory_summary *memory)
{
    u64 own = l0_own_bytes(info.image_size, memory->ram_top, table_pages_per_gib(), smp->cpu_count);
    u64 shadow =
        l0_shadow_bytes(config->shadow, memory->ram_bytes, memory->ram_top, smp->cpu_count);

    info.ram_top = memory->ram_top;
    info.low_ram_top = memory->low_ram_top;
    info.region_size = align_up(own + shadow, SIZE_2M);
    info.shadow_bytes = info.region_size - own;
}

/* Gives L0 its memory and its image; info is complete then. */
static bool load_image(const struct smp *smp, const struct config *config, const void *image,
                       const struct elf_layout *layout, char reason[REASON_MAX])
{
    struct memory_summary memory;
    u64 largest;

    if (!memory_summarize(&memory)) {
        format_string(reason, REASON_MAX, "the firmware does not give out its memory map");
        return false;
    }
    entry_point = layout->entry;
    info.image_size = layout->image_size;
    plan_region(smp, config, &memory);
    info.region_base = memory_reserve(info.region_size, &largest);
    if (!info.region_base) {
        format_string(
            reason, REASON_MAX,
            "not enough memory: %llu MiB are needed in one piece, the largest free one has "
            "%llu MiB",
            MIB(info.region_size), MIB(largest));
        return false;
    }
    elf_load(image, (void *)info.region_base, info.image_size);
    return true;
}

bool start_l0(const struct smp *smp, const struct config *config, u64 acpi_rsdp,
              char reason[REASON_MAX])
{
    struct elf_layout layout;
    const void *image = unpack_image(&layout);
    bool loaded;

    if (!image) {
        format_string(reason, REASON_MAX,
                      "the L0 image inside plastron.efi is damaged, or memory is lacking");
        return false;
    }
    loaded = load_image(smp, config, image, &layout, reason);
    free_image(image);
    if (!loaded)
        return false;
    fill_boot_info(smp, config, acpi_rsdp);
    say(LOG_DEBUG, "L0 at 0x%llx, %llu MiB, %u core(s)", (unsigned long long)info.region_base,
        MIB(info.region_size), smp->cpu_count);

    if (launch_on_own_tables(smp, reason))
        return true;
    memory_free(info.region_base, info.region_size);
    return false;
}
