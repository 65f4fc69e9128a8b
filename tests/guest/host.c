// kvmguest [-n OPERATIONS] [-m MIB] [-c VCPUS] [-l] MODE...
//
// Each mode runs a guest that checks itself and ends in "kvmguest: PASS mode", or in
// "kvmguest: FAIL mode: reason". This file is the host side over /dev/kvm.
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "guest.h"

static const struct mode *const modes[] = {
    &hello_mode, &real_mode,  &long_mode,  &paging_mode,     &timer_mode, &twovcpu_mode,
    &churn_mode, &dirty_mode, &touch_mode, &operations_mode, &ipi_mode,   &switch_mode,
};

#define POOL_MIB_MAX ((MMIO - POOL) >> 20)
#define MODES        (sizeof(modes) / sizeof(*modes))

extern const char __executable_start[], _end[]; // the image

const struct mode *mode;
int vm;
bool guest_large_pages;
uint32_t guest_vcpus = 1;
static int given_option; // one of those that not all modes take
static int kvm;
static uint8_t *ram;
static char output[256];
static size_t output_length;
static uint32_t device[1024];
static int vcpus[VCPUS];
static struct kvm_run *runs[VCPUS];

void fail(const char *format, ...)
{
    va_list arguments;

    printf("kvmguest: FAIL %s: ", mode->name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

int must(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(errno));
    return result;
}

void *in_guest(const volatile void *address) { return ram + (uintptr_t)address; }

// What the guest said at its end: nothing, a check's text in its image, or a number of real16's.
static void fail_check(uint32_t check)
{
    const char *text = (const char *)(uintptr_t)check;

    if (text >= __executable_start && text < _end)
        fail("the guest's check at %s", text);
    fail("the guest's check %u", check);
}

void finish(uint32_t check)
{
    fwrite(output, 1, output_length, stdout);
    if (check)
        fail_check(check);
    if (strcmp(output, mode->output))
        fail("its output is not '%.*s'", (int)strlen(mode->output) - 1, mode->output);
    if (mode->report)
        mode->report();
    printf("kvmguest: PASS %s\n", mode->name);
    fflush(stdout);
    _exit(0);
}

static void port_exit(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    uint32_t word;

    if (run->io.direction == KVM_EXIT_IO_IN) {
        memset(data, run->io.port == PORT_ANSWER ? ANSWER : 0xff, run->io.size * run->io.count);
        return;
    }
    switch (run->io.port) {
    case PORT_CONSOLE:
        for (uint32_t i = 0; i < run->io.count && output_length < sizeof(output) - 1; i++)
            output[output_length++] = (char)data[i];
        return;
    case PORT_END:
        memcpy(&word, data, sizeof(word));
        finish(word);
        return;
    case PORT_BATCH:
        memcpy(&word, data, sizeof(word));
        batch_exit(word);
        return;
    case PORT_NOTHING: return;
    default: fail("output to port 0x%x", run->io.port);
    }
}

static void mmio_exit(struct kvm_run *run)
{
    uint64_t at = run->mmio.phys_addr - MMIO;
    uint32_t value;

    if (at >= sizeof(device) || run->mmio.len != 4)
        fail("access to address 0x%llx", run->mmio.phys_addr);
    if (run->mmio.is_write) {
        memcpy(&device[at / 4], run->mmio.data, 4);
        return;
    }
    value = ~device[at / 4];
    memcpy(run->mmio.data, &value, 4);
}

static void unexpected_exit(int vcpu, struct kvm_run *run)
{
    struct kvm_regs regs;

    must(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
    switch (run->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        fail("VM entry failed, hardware reason 0x%llx, rip 0x%llx",
             run->fail_entry.hardware_entry_failure_reason, regs.rip);
    case KVM_EXIT_INTERNAL_ERROR:
        fail("internal error %u of KVM, data 0x%llx 0x%llx, rip 0x%llx", run->internal.suberror,
             run->internal.data[0], run->internal.data[1], regs.rip);
    default: fail("exit %u, rip 0x%llx, rsp 0x%llx", run->exit_reason, regs.rip, regs.rsp);
    }
}

void run_once(uint32_t vcpu)
{
    struct kvm_run *run = runs[vcpu];

    while (ioctl(vcpus[vcpu], KVM_RUN, 0) < 0)
        if (errno != EINTR && errno != EAGAIN)
            fail("KVM_RUN: %s", strerror(errno));
    switch (run->exit_reason) {
    case KVM_EXIT_IO: port_exit(run); break;
    case KVM_EXIT_MMIO: mmio_exit(run); break;
    default: unexpected_exit(vcpus[vcpu], run);
    }
}

static void *run_vcpu(void *argument)
{
    for (;;)
        run_once((uint32_t)(uintptr_t)argument);
    return NULL;
}

static void set_cpuid(int vcpu)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid;

    cpuid.head.nent = 255;
    must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    for (uint32_t i = 0; i < cpuid.head.nent; i++) {
        if (cpuid.entries[i].function == SIGNATURE_LEAF)
            cpuid.entries[i].ebx = SIGNATURE;
        // No hypervisor features: a paravirtual signature without them would be a lie.
        if (cpuid.entries[i].function == SIGNATURE_LEAF + 1)
            cpuid.entries[i].eax = 0;
        // The in-kernel APIC has it, though it is not among the supported ones.
        if (cpuid.entries[i].function == 1)
            cpuid.entries[i].ecx |= 1 << 24; // TSC deadline timer
    }
    must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

static void make_vcpu(unsigned id)
{
    int vcpu = vcpus[id] = must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
    int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_mp_state runs_at_once = {KVM_MP_STATE_RUNNABLE};
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = 0, .rflags = 2};

    runs[id] = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (runs[id] == MAP_FAILED)
        fail("mmap of kvm_run: %s", strerror(errno));
    set_cpuid(vcpu);
    if (id && !mode->drive)
        return; // waits for its startup IPI
    must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs.base = BOOT_CODE;
    sregs.cs.selector = BOOT_CODE >> 4;
    must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
    must(ioctl(vcpu, KVM_SET_MP_STATE, &runs_at_once), "KVM_SET_MP_STATE");
}

// Long mode's identity map of 4 GiB in 2 MiB pages.
static void make_tables(void)
{
    uint64_t *pml4 = (uint64_t *)(ram + TABLES), *pdpt = pml4 + 512, *directories = pdpt + 512;

    pml4[0] = (TABLES + 0x1000) | 3;
    for (uint64_t i = 0; i < 4; i++)
        pdpt[i] = (TABLES + 0x2000 + i * 0x1000) | 3;
    for (uint64_t i = 0; i < 4 * 512; i++)
        directories[i] = i << 21 | 0x83;
}

static void make_memory(void)
{
    struct mailbox mailbox = {.entry = {(uint64_t)mode->entry}};
    struct kvm_userspace_memory_region region = {.memory_size = RAM_SIZE};

    for (int i = 1; i < VCPUS; i++)
        mailbox.entry[i] = (uint64_t)mode->second;
    ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        fail("mmap of the guest's memory: %s", strerror(errno));
    region.userspace_addr = (uint64_t)ram;
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    make_tables();
    memcpy(ram + (uintptr_t)__executable_start, __executable_start,
           (size_t)(_end - __executable_start));
    memcpy(ram + BOOT_CODE, mode->code, (size_t)(mode->code_end - mode->code));
    memcpy(ram + MAILBOX, &mailbox, sizeof(mailbox));
}

static void make_vm(void)
{
    uint64_t identity_map = 0xfffbc000;

    kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
    vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    // Real mode on a CPU without unrestricted guest needs these two.
    must(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
    must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
    must(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    make_memory();
    if (mode->prepare)
        mode->prepare();
}

static void run_mode(void)
{
    pthread_t thread;

    if (mode->vcpus)
        guest_vcpus = mode->vcpus;
    make_vm();
    for (uint32_t i = 0; i < guest_vcpus; i++)
        make_vcpu(i);
    if (mode->drive)
        mode->drive();
    for (uint32_t i = 1; i < guest_vcpus; i++)
        if (pthread_create(&thread, NULL, run_vcpu, (void *)(uintptr_t)i))
            fail("pthread_create");
    run_vcpu(NULL);
}

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < MODES; i++)
        if (!strcmp(modes[i]->name, name))
            return modes[i];
    return NULL;
}

// Each mode has a process of its own: whether it passed.
static bool try_mode(const char *name)
{
    int status;
    pid_t child;

    mode = find_mode(name);
    if (!mode) {
        fprintf(stderr, "kvmguest: no mode '%s'\n", name);
        return false;
    }
    if (given_option && !mode->takes_options) {
        printf("kvmguest: FAIL %s: it takes no -%c\n", name, given_option);
        return false;
    }
    fflush(stdout);
    child = fork();
    if (!child)
        run_mode();
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        printf("kvmguest: FAIL %s: %s\n", name, strerror(errno));
        return false;
    }
    if (WIFSIGNALED(status))
        printf("kvmguest: FAIL %s: signal %d\n", name, WTERMSIG(status));
    return status == 0;
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: kvmguest [-n OPERATIONS] [-m MIB] [-c VCPUS] [-l] MODE...; modes:");
    for (size_t i = 0; i < MODES; i++)
        fprintf(stderr, " %s", modes[i]->name);
    fprintf(stderr,
            "\n"
            "  -n OPERATIONS  of churn, on both vCPUs together\n"
            "  -m MIB         of memory that touch touches, 1 to %lu, else %lu\n"
            "  -c VCPUS       that touch it, or that are switched, 1 to %d, else 1\n"
            "  -l             touch's memory is in large pages, and each is touched once\n",
            POOL_MIB_MAX, POOL_PAGES * 4096UL >> 20, VCPUS);
    exit(2);
}

static uint64_t number_of(int option, uint64_t most)
{
    char *end;
    uint64_t number = strtoull(optarg, &end, 0);

    if (end == optarg || *end || number < 1 || number > most) {
        fprintf(stderr, "kvmguest: -%c takes a number from 1 to %lu, not '%s'\n", option, most,
                optarg);
        exit(2);
    }
    return number;
}

static void take_option(int option)
{
    switch (option) {
    case 'n': operations = strtoull(optarg, NULL, 0) / 2; return;
    case 'm': guest_pool_pages = number_of(option, POOL_MIB_MAX) << 20 >> 12; break;
    case 'c': guest_vcpus = (uint32_t)number_of(option, VCPUS); break;
    case 'l': guest_large_pages = true; break;
    default: usage();
    }
    given_option = option;
}

int main(int count, char **arguments)
{
    int option, failed = 0;

    while ((option = getopt(count, arguments, "+n:m:c:l")) != -1)
        take_option(option);
    if (optind == count)
        usage();
    for (int i = optind; i < count; i++)
        failed += !try_mode(arguments[i]);
    printf("kvmguest: %d passed, %d failed\n", count - optind - failed, failed);
    return failed != 0;
}
