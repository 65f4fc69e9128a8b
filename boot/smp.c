#include "smp.h"
#include "acpi.h"
#include "cpu.h"
#include "firmware.h"
#include "hv/format.h"

#define PROCESSOR_AS_BSP  BIT(0)
#define PROCESSOR_ENABLED BIT(1)

struct processor_information {
    UINT64 processor_id; /* APIC id */
    UINT32 status;
    UINT32 package, core, thread;
    UINT32 extended[6]; /* newer firmware may write it */
};

typedef VOID(EFIAPI *ap_procedure)(VOID *argument);

typedef struct mp_services mp_services;

/* Only what is called here has its full type. */
struct mp_services {
    EFI_STATUS(EFIAPI *get_number_of_processors)
    (mp_services *this, UINTN *count, UINTN *enabled_count);
    EFI_STATUS(EFIAPI *get_processor_info)
    (mp_services *this, UINTN number, struct processor_information *information);
    EFI_STATUS(EFIAPI *startup_all_aps)
    (mp_services *this, ap_procedure procedure, BOOLEAN one_by_one, EFI_EVENT event,
     UINTN microseconds, VOID *argument, UINTN **failed);
    VOID *startup_this_ap;
    VOID *switch_bsp;
    VOID *enable_disable_ap;
    EFI_STATUS(EFIAPI *who_am_i)(mp_services *this, UINTN *number);
};

static EFI_GUID mp_services_guid = {
    0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

static mp_services *services;         /* NULL: only the boot processor is there */
static u32 other_count;               /* cores besides the boot processor */
static u32 index_by_number[MAX_CPUS]; /* our index of a core by the number the firmware gives it */

static bool init_single(struct smp *smp, u64 rsdp, char *reason, size_t reason_size)
{
    u32 listed = acpi_cpu_count(rsdp);

    if (listed != 1) {
        format_string(
            reason, reason_size,
            "the firmware has no MP services to start the other processors with (its ACPI "
            "tables list %u)",
            listed);
        return false;
    }
    smp->cpu_count = 1;
    smp->apic_id[0] = cpu_apic_id();
    return true;
}

/* Numbers the enabled processors: the boot processor 0, the others in the firmware's order. */
static bool number_processors(struct smp *smp, UINTN count)
{
    u32 next = 1;

    for (UINTN number = 0; number < count; number++) {
        struct processor_information information;

        if (services->get_processor_info(services, number, &information) != EFI_SUCCESS)
            return false;
        if (!(information.status & PROCESSOR_ENABLED))
            continue;

        u32 index = information.status & PROCESSOR_AS_BSP ? 0 : next++;

        index_by_number[number] = index;
        smp->apic_id[index] = (u32)information.processor_id;
    }
    smp->cpu_count = next;
    other_count = next - 1;
    return true;
}

bool smp_init(struct smp *smp, u64 rsdp, char *reason, size_t reason_size)
{
    void *protocol;
    UINTN count, enabled;

    *smp = (struct smp){0};
    if (BS->LocateProtocol(&mp_services_guid, NULL, &protocol) != EFI_SUCCESS)
        return init_single(smp, rsdp, reason, reason_size);
    services = protocol;
    if (services->get_number_of_processors(services, &count, &enabled) != EFI_SUCCESS) {
        format_string(reason, reason_size, "the firmware's MP services do not work");
        return false;
    }
    if (count > MAX_CPUS) {
        format_string(reason, reason_size, "the machine has %llu processors, more than %u",
                      (unsigned long long)count, MAX_CPUS);
        return false;
    }
    if (!number_processors(smp, count)) {
        format_string(reason, reason_size, "the firmware's MP services do not tell the processors");
        return false;
    }
    return true;
}

static VOID EFIAPI run_on_this_core(VOID *argument)
{
    smp_function *function = (smp_function *)(uintptr_t)argument;
    UINTN number;

    if (services->who_am_i(services, &number) == EFI_SUCCESS && number < MAX_CPUS)
        function(index_by_number[number]);
}

bool smp_run_on_others(smp_function *function)
{
    if (!other_count)
        return true;
    return services->startup_all_aps(services, run_on_this_core, FALSE, NULL, 0,
                                     (VOID *)(uintptr_t)function, NULL) == EFI_SUCCESS;
}
