#include "vmcs01.h"

#include "insn.h"
#include "l0.h"
#include "lib.h"
#include "msr.h"
#include "trap.h"
#include "vmcs.h"
#include "x86.h"
#include "log.h"
#include "monitor/io.h"
#include "monitor/monitor.h"
#include "monitor/timer.h"
#include "../vmx/direct.h"
#include "../vmx/shadow12.h"

extern u8 vm_exit[], vm_exit_observed[];

#define HOST_PAT 0x0007040600070406ull /* the power-on value: entry 0 is WB */

/* What L0 must have, and what it takes if the processor offers it, so that L1 finds the
   instructions behind those bits as they are on the bare machine. */
#define PROC_MUST  (CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define PROC2_MUST (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST)
#define PROC2_MAY                                                                                  \
    (SECONDARY_EXEC_ENABLE_RDTSCP | SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_XSAVES |        \
     SECONDARY_EXEC_USER_WAIT_PAUSE | SECONDARY_EXEC_PCONFIG)
#define EXIT_MUST                                                                                  \
    (VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_SAVE_IA32_PAT |          \
     VM_EXIT_LOAD_IA32_PAT | VM_EXIT_SAVE_IA32_EFER | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY_MUST (VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

/* A control word: wanted bits, the capability's must-be-one bits added, the ones that it does
   not allow taken away. SDM vol. 3 appendix A. */
static u32 control_word(u64 capability, u32 wanted)
{
    return (wanted | (u32)capability) & (u32)(capability >> 32);
}

static void compute_controls(struct l0_controls *c)
{
    c->pin = control_word(l0.hw.true_pin, 0);
    c->proc = control_word(l0.hw.true_proc, PROC_MUST);
    c->proc2 = control_word(l0.hw.proc2, PROC2_MUST | PROC2_MAY |
                                             (l0.has_vpid ? SECONDARY_EXEC_ENABLE_VPID : 0));
    c->exit = control_word(l0.hw.true_exit, EXIT_MUST);
    c->entry = control_word(l0.hw.true_entry, ENTRY_MUST);
}

/* The monitor's: the timer, if the processor has it with its saving, and exits at its port. */
static void add_monitor_controls(struct l0_controls *c)
{
    u32 pin = control_word(l0.hw.true_pin, PIN_BASED_PREEMPTION_TIMER);
    u32 exit = control_word(l0.hw.true_exit, VM_EXIT_SAVE_PREEMPTION_TIMER);

    if ((pin & PIN_BASED_PREEMPTION_TIMER) && (exit & VM_EXIT_SAVE_PREEMPTION_TIMER)) {
        c->pin |= PIN_BASED_PREEMPTION_TIMER;
        c->exit |= VM_EXIT_SAVE_PREEMPTION_TIMER;
    } else {
        log_warn("monitor: the processor has no VMX-preemption timer: it looks at exits alone");
    }
    c->proc |= CPU_BASED_USE_IO_BITMAPS;
}

/* VMCS shadowing: 1 bits exit. */
static bool alloc_shadow_bitmaps(void)
{
    l0.vmread_bitmap = pool_alloc(&l0.pool);
    l0.vmwrite_bitmap = pool_alloc(&l0.pool);
    l0.absent_fields = pool_alloc(&l0.pool);
    if (!l0.vmread_bitmap || !l0.vmwrite_bitmap || !l0.absent_fields)
        return false;
    memset(pool_va(l0.vmread_bitmap), 0xff, PAGE_SIZE);
    memset(pool_va(l0.vmwrite_bitmap), 0xff, PAGE_SIZE);
    memset(pool_va(l0.absent_fields), 0xff, PAGE_SIZE);
    return true;
}

static bool processor_has_field(u32 encoding)
{
    u64 value;

    return vmread_try(encoding, &value);
}

void vmcs01_compute_offer(void)
{
    capabilities_find_missing_fields(&l0.hw, processor_has_field);
    capabilities_compute(&l0.caps, &l0.hw, l0.boot.config.mask);
    direct_init();
    if (!l0.has_shadowing)
        return;
    direct_fill_bitmaps(pool_va(l0.vmread_bitmap), pool_va(l0.vmwrite_bitmap));
    shadow12_init(pool_va(l0.absent_fields));
}

bool vmcs01_init_shared(void)
{
    compute_controls(&l0.controls);
    if (monitor_is_on())
        add_monitor_controls(&l0.controls);
    l0.hidden_cr4 = HIDDEN_CR4;
    l0.msr_bitmap01 = pool_alloc(&l0.pool);
    if (!l0.msr_bitmap01)
        return false;
    msr_fill_bitmap(pool_va(l0.msr_bitmap01));
    return !l0.has_shadowing || alloc_shadow_bitmaps();
}

void vmcs_init_host(struct cpu *cpu)
{
    vmwrite(HOST_CR0, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
    vmwrite(HOST_CR3, l0.cr3);
    vmwrite(HOST_CR4, read_cr4());
    vmwrite(HOST_IA32_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    vmwrite(HOST_IA32_PAT, HOST_PAT);
    vmwrite(HOST_ES_SELECTOR, L0_DATA_SELECTOR);
    vmwrite(HOST_CS_SELECTOR, L0_CODE_SELECTOR);
    vmwrite(HOST_SS_SELECTOR, L0_DATA_SELECTOR);
    vmwrite(HOST_DS_SELECTOR, L0_DATA_SELECTOR);
    vmwrite(HOST_FS_SELECTOR, 0);
    vmwrite(HOST_GS_SELECTOR, 0);
    vmwrite(HOST_TR_SELECTOR, L0_TSS_SELECTOR);
    vmwrite(HOST_FS_BASE, 0);
    vmwrite(HOST_GS_BASE, (u64)cpu);
    vmwrite(HOST_TR_BASE, (u64)cpu->descriptors.tss);
    vmwrite(HOST_GDTR_BASE, (u64)cpu->descriptors.gdt);
    vmwrite(HOST_IDTR_BASE, trap_table_base());
    vmwrite(HOST_IA32_SYSENTER_CS, 0);
    vmwrite(HOST_IA32_SYSENTER_ESP, 0);
    vmwrite(HOST_IA32_SYSENTER_EIP, 0);
    vmwrite(HOST_RIP, (u64)(l0.observed ? vm_exit_observed : vm_exit));
    vmwrite(CR3_TARGET_COUNT, 0);
    vmwrite(VM_EXIT_MSR_STORE_COUNT, 0);
    vmwrite(VM_EXIT_MSR_LOAD_COUNT, 0);
    vmwrite(VM_ENTRY_MSR_LOAD_COUNT, 0);
    if (l0.controls.proc2 & SECONDARY_EXEC_XSAVES)
        vmwrite(XSS_EXIT_BITMAP, 0);
    if (l0.controls.proc2 & SECONDARY_EXEC_PCONFIG)
        vmwrite(PCONFIG_EXITING_BITMAP, 0);
}

static void init_controls(void)
{
    const struct l0_controls *c = &l0.controls;

    vmwrite(PIN_BASED_VM_EXEC_CONTROL, c->pin);
    vmwrite(CPU_BASED_VM_EXEC_CONTROL, c->proc);
    vmwrite(SECONDARY_VM_EXEC_CONTROL, c->proc2);
    vmwrite(VM_EXIT_CONTROLS, c->exit);
    vmwrite(VM_ENTRY_CONTROLS, c->entry | VM_ENTRY_IA32E_MODE);
    vmwrite(EXCEPTION_BITMAP, 0);
    vmwrite(PAGE_FAULT_ERROR_CODE_MASK, 0);
    vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
    vmwrite(TSC_OFFSET, 0);
    vmwrite(MSR_BITMAP, l0.msr_bitmap01);
    vmwrite(EPT_POINTER, l0.ept01_pointer);
    vmwrite(VMCS_LINK_POINTER, NO_ADDRESS);
    if (timer_used())
        timer_start01();
    if (monitor_is_on())
        io_start01();
    if (l0.has_vpid)
        vmwrite(VIRTUAL_PROCESSOR_ID, VPID_L1);
    if (l0.has_shadowing) {
        vmwrite(VMREAD_BITMAP, l0.vmread_bitmap);
        vmwrite(VMWRITE_BITMAP, l0.vmwrite_bitmap);
    }
}

void vmcs_load_cet_once(struct cpu *cpu)
{
    vmcs_change(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_CET_STATE, VM_ENTRY_LOAD_CET_STATE);
    cpu->loads_cet = true;
}

void vmcs_cet_loaded(struct cpu *cpu)
{
    vmcs_change(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_CET_STATE, 0);
    cpu->loads_cet = false;
}

void vmcs01_flush_translations(void)
{
    if (l0.has_vpid)
        invvpid(INVVPID_SINGLE_CONTEXT, VPID_L1, 0);
}

void vmcs01_write_segments(const struct segment segment[SEG_COUNT])
{
    for (u32 i = 0; i < SEG_COUNT; i++) {
        const struct segment *s = &segment[i];

        vmwrite(GUEST_ES_SELECTOR + 2 * i, s->selector);
        vmwrite(GUEST_ES_BASE + 2 * i, s->base);
        vmwrite(GUEST_ES_LIMIT + 2 * i, s->limit);
        vmwrite(GUEST_ES_AR_BYTES + 2 * i, s->ar);
    }
}

static void init_segments(const struct segments *segments)
{
    vmcs01_write_segments(segments->segment);
    vmwrite(GUEST_GDTR_BASE, segments->gdtr.base);
    vmwrite(GUEST_GDTR_LIMIT, segments->gdtr.limit);
    vmwrite(GUEST_IDTR_BASE, segments->idtr.base);
    vmwrite(GUEST_IDTR_LIMIT, segments->idtr.limit);
}

u64 vmcs01_cr0(void)
{
    u64 mask = vmread(CR0_GUEST_HOST_MASK);

    return (vmread(GUEST_CR0) & ~mask) | (vmread(CR0_READ_SHADOW) & mask);
}

u64 vmcs01_cr4(void)
{
    u64 mask = vmread(CR4_GUEST_HOST_MASK);

    return (vmread(GUEST_CR4) & ~mask) | (vmread(CR4_READ_SHADOW) & mask);
}

void vmcs01_set_cr_masks(bool vmxon)
{
    u64 cr0_mask = l0.hw.cr0_fixed0 & ~(CR0_PE | CR0_PG);

    if (vmxon)
        cr0_mask |= CR0_PE | CR0_PG;
    /* Bits that L1 changed while they were its own: the shadow has to show them now. */
    vmwrite(CR0_READ_SHADOW, vmcs01_cr0());
    vmwrite(CR0_GUEST_HOST_MASK, cr0_mask | ~l0.hw.cr0_fixed1);
    vmwrite(CR4_GUEST_HOST_MASK, l0.hw.cr4_fixed0 | l0.hidden_cr4);
}

void vmcs01_init(struct cpu *cpu, const struct l0_call *call, const struct segments *segments,
                 u64 cr0, u64 cr4, u64 efer)
{
    vmcs_init_host(cpu);
    init_controls();
    init_segments(segments);
    vmwrite(CR0_GUEST_HOST_MASK, ~0ull);
    vmwrite(CR0_READ_SHADOW, cr0);
    vmcs01_set_cr_masks(false);
    vmwrite(CR4_READ_SHADOW, cr4);
    vmwrite(GUEST_CR0, cr0 | (l0.hw.cr0_fixed0 & ~(CR0_PE | CR0_PG)));
    vmwrite(GUEST_CR3, call->resume_cr3);
    vmwrite(GUEST_CR4, cr4 | l0.hw.cr4_fixed0);
    vmwrite(GUEST_IA32_EFER, efer);
    vmwrite(GUEST_IA32_PAT, rdmsr(MSR_IA32_PAT));
    vmwrite(GUEST_IA32_DEBUGCTL, rdmsr(MSR_IA32_DEBUGCTL));
    vmwrite(GUEST_SYSENTER_CS, rdmsr(MSR_IA32_SYSENTER_CS));
    vmwrite(GUEST_SYSENTER_ESP, rdmsr(MSR_IA32_SYSENTER_ESP));
    vmwrite(GUEST_SYSENTER_EIP, rdmsr(MSR_IA32_SYSENTER_EIP));
    vmwrite(GUEST_DR7, read_dr7());
    vmwrite(GUEST_RIP, call->resume_rip);
    vmwrite(GUEST_RSP, call->resume_rsp);
    vmwrite(GUEST_RFLAGS, call->resume_rflags);
    vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
    vmwrite(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
    vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
}
