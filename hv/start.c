#include "start.h"

#include "cpu.h"
#include "insn.h"
#include "l0.h"
#include "lib.h"
#include "hidden.h"
#include "log.h"
#include "panic.h"
#include "plastron_version.h"
#include "recorder.h"
#include "segments.h"
#include "trap.h"
#include "vmcs01.h"
#include "x86.h"
#include "monitor/monitor.h"
#include "../mm/paging.h"
#include "../vmx/slots.h"
#include "../vmx/vmcs02.h"

struct l0 l0;
struct cpu *cpus[MAX_CPUS];
u32 cpu_count;

/* Linker symbols: the bounds of the image's segments. */
extern u8 __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[],
    __data_end[], __symbols_start[], __symbols_end[];

extern _Noreturn void vm_launch(u64 stack_top);

#include "vmcs12_abi.h"

_Static_assert(sizeof(struct cpu) <= PAGE_SIZE, "a core's structure is one page");
_Static_assert(offsetof(struct cpu, self) == 0 && offsetof(struct cpu, gpr) == 8 &&
                   offsetof(struct cpu, stack_top) == 136 &&
                   offsetof(struct cpu, nmi_pending) == 144,
               "hv/offsets.inc");
_Static_assert(offsetof(struct l0_call, cpu) == 8 && offsetof(struct l0_call, resume_rip) == 16 &&
                   offsetof(struct l0_call, resume_rsp) == 24 &&
                   offsetof(struct l0_call, resume_rflags) == 32,
               "hv/entry.asm");

/* Pages of a core: its structure, stack, IST stacks, VMXON region, vmcs01, bitmaps for VMREAD and
   VMWRITE, a shadow VMCS, an I/O bitmap, the flight recorder's ring, and for each vmcs02 slot the
   VMCS, its MSR bitmap, and its area. */
enum {
    CPU_PAGES = 1 + CPU_STACK_SIZE / PAGE_SIZE + IST_COUNT + 2 + 2 + 1 + 1 +
                RECORDER_SIZE / PAGE_SIZE + 2 * VMCS02_SLOTS_OWN +
                VMCS02_SLOTS_OWN * VMCS02_AREA_SIZE / PAGE_SIZE,
};
_Static_assert(L0_BYTES_PER_CPU >= CPU_PAGES * PAGE_SIZE, "what the loader reserves is enough");

/* IA32_PERF_GLOBAL_CTRL has a bit for each counter. SDM vol. 2, "CPUID", leaf 0AH. */
static u64 perf_global_reserved(void)
{
    struct cpuid_result leaf = cpuid(0xa, 0);
    u32 general = leaf.eax >> 8 & 0xff;
    u32 fixed = leaf.edx & 0x1f;

    if ((leaf.eax & 0xff) < 2)
        return ~0ull;
    return ~((BIT64(general) - 1) | (BIT64(fixed) - 1) << 32);
}

#define LEAF7_EBX_SGX      BIT(2)
#define LEAF7_EBX_RTM      BIT(11)
#define LEAF7_ECX_BUS_LOCK BIT(24)
#define LEAF7_1_EAX_LAM    BIT(26)

/* SDM vol. 3, "Checks on Guest Non-Register State": bits that are reserved without a feature. */
static void read_non_register_bits(struct vmx_caps *caps)
{
    struct cpuid_result leaf7 = cpuid(7, 0);

    if (leaf7.ebx & LEAF7_EBX_SGX)
        caps->interruptibility |= INTERRUPTIBILITY_ENCLAVE;
    if (leaf7.ebx & LEAF7_EBX_RTM)
        caps->pending_debug |= PENDING_DBG_RTM;
    if (leaf7.ecx & LEAF7_ECX_BUS_LOCK)
        caps->pending_debug |= PENDING_DBG_BUS_LOCK;
}

static void read_capabilities(struct vmx_caps *caps)
{
    memset(caps, 0, sizeof(*caps));
    caps->basic = rdmsr(MSR_IA32_VMX_BASIC);
    caps->pin = rdmsr(MSR_IA32_VMX_PINBASED_CTLS);
    caps->proc = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS);
    caps->exit = rdmsr(MSR_IA32_VMX_EXIT_CTLS);
    caps->entry = rdmsr(MSR_IA32_VMX_ENTRY_CTLS);
    caps->true_pin = rdmsr(MSR_IA32_VMX_TRUE_PINBASED_CTLS);
    caps->true_proc = rdmsr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
    caps->true_exit = rdmsr(MSR_IA32_VMX_TRUE_EXIT_CTLS);
    caps->true_entry = rdmsr(MSR_IA32_VMX_TRUE_ENTRY_CTLS);
    caps->proc2 = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
    caps->misc = rdmsr(MSR_IA32_VMX_MISC);
    caps->cr0_fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
    caps->vmcs_enum = rdmsr(MSR_IA32_VMX_VMCS_ENUM);
    caps->ept_vpid = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
    if (caps->proc2 >> 32 & SECONDARY_EXEC_ENABLE_VMFUNC)
        caps->vmfunc = rdmsr(MSR_IA32_VMX_VMFUNC);
    caps->physical_bits = cpuid(0x80000008, 0).eax & 0xff;
    caps->linear_bits = cpuid(0x80000008, 0).eax >> 8 & 0xff;
    caps->cr3_reserved = ~0ull << caps->physical_bits;
    if (cpuid(7, 1).eax & LEAF7_1_EAX_LAM)
        caps->cr3_reserved &= ~(CR3_LAM_U48 | CR3_LAM_U57);
    caps->perf_global_reserved = perf_global_reserved();
    read_non_register_bits(caps);
}

static bool may_be_one(u64 capability, u32 bit) { return (u32)(capability >> 32) & bit; }

static void read_mtrrs(struct mtrr_state *mtrr)
{
    u64 *slot;

    memset(mtrr, 0, sizeof(*mtrr));
    if (!(cpuid(1, 0).edx & BIT(12)))
        return; /* no MTRRs: an all-zero state is "disabled", all memory UC */
    mtrr->cap = rdmsr(MSR_IA32_MTRRCAP);
    for (u32 msr = MSR_IA32_MTRR_PHYSBASE0; msr <= MSR_IA32_MTRR_DEF_TYPE; msr++) {
        slot = memtype_msr(mtrr, msr);
        if (slot)
            *slot = rdmsr(msr);
    }
}

static struct paging page_tables;

static bool build_page_tables(void)
{
    const struct boot_info *boot = &l0.boot;
    const struct paging_segment segments[] = {
        {(u64)__text_start, (u64)__text_end, boot->region_base, false, true},
        {(u64)__rodata_start, (u64)__rodata_end,
         boot->region_base + ((u64)__rodata_start - L0_VIRT_BASE), false, false},
        {(u64)__data_start, (u64)__data_end, boot->region_base + ((u64)__data_start - L0_VIRT_BASE),
         true, false},
        {(u64)__symbols_start, (u64)__symbols_end,
         boot->region_base + ((u64)__symbols_start - L0_VIRT_BASE), false, false},
    };

    const struct paging_layout layout = {segments, ARRAY_SIZE(segments), boot->ram_top, l0.has_1g};

    if (!paging_build(&page_tables, &l0.pool, &layout))
        return false;
    l0.cr3 = page_tables.root;
    return true;
}

static bool prepare_cpu(u32 index)
{
    const struct boot_info *boot = &l0.boot;
    u64 pa = pool_alloc_contiguous(&l0.pool, CPU_PAGES);
    struct cpu *cpu;
    u8 *areas;
    u64 guard;

    if (!pa)
        return false;
    cpu = pool_va(pa);
    cpu->self = cpu;
    cpu->index = index;
    cpu->apic_id = boot->apic_id[index];
    pa += PAGE_SIZE;
    /* L0 never touches a VMXON region again, so it is the stack's guard page. */
    cpu->vmxon_pa = guard = pa;
    vmcs_init_region(pa, false);
    pa += PAGE_SIZE;
    pa += CPU_STACK_SIZE;
    cpu->stack_top = (u64)pool_va(pa);
    for (u32 i = 0; i < IST_COUNT; i++) {
        pa += CPU_IST_STACK_SIZE;
        segments_set_ist(&cpu->descriptors, IST_NMI + i, (u64)pool_va(pa));
    }
    segments_init(&cpu->descriptors);
    cpu->vmcs01_pa = pa;
    cpu->nested.vmread_bitmap_pa = pa + PAGE_SIZE;
    cpu->nested.vmwrite_bitmap_pa = pa + 2 * PAGE_SIZE;
    cpu->nested.shadow_pa = pa + 3 * PAGE_SIZE;
    vmcs_init_region(cpu->vmcs01_pa, false);
    vmcs_init_region(cpu->nested.shadow_pa, true);
    pa += 4 * PAGE_SIZE;
    cpu->observer.io_bitmap_pa = pa;
    pa += PAGE_SIZE;
    cpu->recorder = pool_va(pa);
    recorder_init(cpu->recorder, index);
    pa += RECORDER_SIZE;
    areas = pool_va(pa);
    pa += VMCS02_SLOTS_OWN * VMCS02_AREA_SIZE;
    for (u32 i = 0; i < VMCS02_SLOTS_OWN; i++) {
        vmcs_init_region(pa, l0.has_shadowing);
        slots_add(cpu, (struct vmcs02_area *)(areas + i * VMCS02_AREA_SIZE), pa, pa + PAGE_SIZE);
        pa += 2 * PAGE_SIZE;
    }
    cpus[index] = cpu;
    return paging_unmap_page(&page_tables, (u64)pool_va(guard));
}

static bool valid_boot_info(const struct boot_info *boot)
{
    return boot->magic == BOOT_INFO_MAGIC && boot->cpu_count && boot->cpu_count <= MAX_CPUS &&
           boot->image_size + boot->shadow_bytes < boot->region_size &&
           boot->region_base + boot->region_size <= boot->ram_top;
}

static void fill_ones_page(u64 pa) { memset(pool_va(pa), 0xff, PAGE_SIZE); }

enum l0_error start_shared(const struct l0_call *call)
{
    const struct boot_info *boot = (const struct boot_info *)(L0_DIRECT_BASE + call->boot_info);

    if (!valid_boot_info(boot))
        return L0_BAD_BOOT_INFO;
    l0.boot = *boot;
    cpu_count = boot->cpu_count;
    log_init(boot->config.console_port, boot->config.console_baud, boot->config.log_level);
    pool_init(&l0.pool, boot->region_base + boot->image_size,
              boot->region_base + boot->region_size - boot->shadow_bytes);

    read_capabilities(&l0.hw);
    l0.has_1g = cpuid(0x80000001, 0).edx & BIT(26);
    l0.has_vpid = may_be_one(l0.hw.proc2, SECONDARY_EXEC_ENABLE_VPID) &&
                  (l0.hw.ept_vpid & VPID_CAP_SINGLE) && (l0.hw.ept_vpid & VPID_CAP_ALL);
    l0.has_shadowing =
        may_be_one(l0.hw.proc2, SECONDARY_EXEC_SHADOW_VMCS) && (l0.hw.misc & VMX_MISC_VMWRITE_ANY);

    if (!build_page_tables())
        return L0_NO_MEMORY;
    for (u32 i = 0; i < cpu_count; i++)
        if (!prepare_cpu(i))
            return L0_NO_MEMORY;
    read_mtrrs(&l0.mtrr);
    l0.ones_page = pool_alloc(&l0.pool);
    l0.sink_page = pool_alloc(&l0.pool);
    if (!l0.ones_page || !l0.sink_page)
        return L0_NO_MEMORY;
    fill_ones_page(l0.ones_page);
    fill_ones_page(l0.sink_page);
    if (!hidden_init() || !monitor_init() || !vmcs01_init_shared())
        return L0_NO_MEMORY;
    trap_init_table();
    return L0_OK;
}

u64 start_stack(const struct l0_call *call)
{
    return call->cpu < cpu_count && cpus[call->cpu] ? cpus[call->cpu]->stack_top : 0;
}

static u64 host_cr4(u64 cr4)
{
    cr4 |= CR4_PAE | CR4_VMXE | CR4_MCE;
    if (cpuid(1, 0).ecx & BIT(26))
        cr4 |= CR4_OSXSAVE; /* for XSETBV on behalf of L1 */
    return cr4 & ~(CR4_PCIDE | CR4_SMAP | CR4_SMEP | CR4_CET | CR4_PKS | CR4_PKE);
}

/* The names that the banner gives; the rest is in `features`. */
static void print_banner(void)
{
    log_raw("Plastron " PLASTRON_VERSION ": %u core%s, EPT 2M%s, %s%s%snested VMX %s\n", cpu_count,
            cpu_count > 1 ? "s" : "", l0.has_1g ? " 1G" : "", l0.has_vpid ? "VPID, " : "",
            l0.has_shadowing ? "VMCS shadowing, " : "",
            caps_offer(&l0.caps, FEATURE_UNRESTRICTED_GUEST) ? "unrestricted guest, " : "",
            l0.boot.config.nested ? "on" : "off");
    log_info("%lu KiB at %#lx are hidden from L1, %lu KiB of it for shadow page tables",
             l0.boot.region_size / 1024, l0.boot.region_base, l0.boot.shadow_bytes / 1024);
}

/* A region must be cleared before it is first used. SDM vol. 3, "Initializing VMCS Data". */
static void clear_vmcs_regions(const struct cpu *cpu)
{
    vmcs_clear(cpu->vmcs01_pa);
    if (l0.has_shadowing)
        vmcs_clear(cpu->nested.shadow_pa);
    for (u32 i = 0; i < cpu->nested.slot_count; i++)
        vmcs_clear(cpu->nested.slots[i]->pa);
}

static u32 cores_started;

/* With what L1 is offered. */
static void init_ept02(void)
{
    const struct ept12_caps caps = {
        .physical_bits = l0.hw.physical_bits,
        .execute_only = caps_offer(&l0.caps, FEATURE_EPT_EXECUTE_ONLY),
        .has_1g = caps_offer(&l0.caps, FEATURE_EPT_1G),
        .has_2m = caps_offer(&l0.caps, FEATURE_EPT_2M),
    };
    u64 end = l0.boot.region_base + l0.boot.region_size;

    ept02_init(&l0.ept02, end - l0.boot.shadow_bytes, end, l0.boot.ram_top, &caps, &l0.ept01,
               &l0.ept01_lock);
}

enum l0_error start_cpu(const struct l0_call *loader_call)
{
    struct l0_call call = *loader_call; /* the loader's memory is not mapped any more below */
    struct cpu *cpu = cpus[call.cpu];
    u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_IA32_EFER);
    struct segments segments;

    segments_capture(&segments);
    wrmsr(MSR_IA32_EFER, efer | EFER_NXE);
    write_cr3(l0.cr3);
    write_cr0(cr0 | CR0_NE | CR0_WP | CR0_MP);
    write_cr4(host_cr4(cr4));
    if (!vmxon(cpu->vmxon_pa)) {
        write_cr4(cr4);
        write_cr0(cr0);
        write_cr3(cr3);
        wrmsr(MSR_IA32_EFER, efer);
        return L0_VMXON_FAILED;
    }
    segments_load(&cpu->descriptors);
    wrmsr(MSR_IA32_GS_BASE, (u64)cpu);
    trap_load();
    clear_vmcs_regions(cpu);
    if (!vmptrld(cpu->vmcs01_pa))
        panic("cannot load vmcs01");
    if (call.cpu == 0) {
        vmcs01_compute_offer();
        init_ept02();
    }
    /* What another core's run left in translation caches, from before a warm restart, is gone. */
    invept(INVEPT_ALL_CONTEXT, 0);
    vmcs01_init(cpu, &call, &segments, cr0, cr4, efer);
    wrmsr(MSR_IA32_DEBUGCTL, 0);
    read_mtrrs(&cpu->mtrr);
    __atomic_store_n(&cpu->started, true, __ATOMIC_SEQ_CST);
    if (__atomic_add_fetch(&cores_started, 1, __ATOMIC_SEQ_CST) == cpu_count)
        print_banner();
    vm_launch(cpu->stack_top);
}
