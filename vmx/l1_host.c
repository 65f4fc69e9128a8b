#include "l1_host.h"

#include "check.h"
#include "msr_list.h"
#include "../hv/exit.h"
#include "../hv/insn.h"
#include "../hv/l0.h"
#include "../hv/log.h"
#include "../hv/record.h"
#include "../hv/trap.h"
#include "../hv/vmcs.h"
#include "../hv/vmcs01.h"
#include "../mm/phys.h"

#define HOST_CODE64_AR 0xa09bu
#define HOST_CODE32_AR 0xc09bu
#define HOST_DATA_AR   0xc093u
#define HOST_TSS_AR    0x8bu
#define FLAT_LIMIT     0xffffffffu
#define TSS_LIMIT      0x67u
#define DR7_INITIAL    0x400u

static bool host_is_64bit(const struct vmcs12 *vmcs12)
{
    return vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE;
}

struct l2_leftover l1_host_read_leftover(const struct vmcs12 *vmcs12)
{
    u32 exit = vmcs12->vm_exit_controls;
    struct l2_leftover leftover = {.efer = 0};

    if (!(exit & VM_EXIT_LOAD_IA32_EFER))
        leftover.efer = vmread(GUEST_IA32_EFER);
    if (!(exit & VM_EXIT_LOAD_IA32_PAT))
        leftover.pat = vmread(GUEST_IA32_PAT);
    if (!(vmcs12->pin_based_vm_exec_control & PIN_BASED_VIRTUAL_NMIS)) {
        leftover.nmi_blocking_is_l2s = true;
        leftover.nmi_blocked = vmread(GUEST_INTERRUPTIBILITY_INFO) & INTERRUPTIBILITY_NMI;
    }
    return leftover;
}

/* SDM vol. 3, "Loading Host Segment and Descriptor-Table Registers". */
#define SET_SEGMENT(host, segment, selector, base, limit, ar)                                      \
    ((host)->GUEST_##segment##_SELECTOR_value = (selector),                                        \
     (host)->GUEST_##segment##_BASE_value = (base),                                                \
     (host)->GUEST_##segment##_LIMIT_value = (limit),                                              \
     (host)->GUEST_##segment##_AR_BYTES_value = (ar))
#define SET_DATA_SEGMENT(host, segment, selector, base)                                            \
    SET_SEGMENT(host, segment, selector, base, FLAT_LIMIT,                                         \
                (selector) ? HOST_DATA_AR : AR_UNUSABLE_MASK)

static void make_segments(struct l1_host *host, const struct vmcs12 *vmcs12)
{
    SET_SEGMENT(host, CS, vmcs12->host_cs_selector, 0, FLAT_LIMIT,
                host_is_64bit(vmcs12) ? HOST_CODE64_AR : HOST_CODE32_AR);
    SET_DATA_SEGMENT(host, SS, vmcs12->host_ss_selector, 0);
    SET_DATA_SEGMENT(host, DS, vmcs12->host_ds_selector, 0);
    SET_DATA_SEGMENT(host, ES, vmcs12->host_es_selector, 0);
    SET_DATA_SEGMENT(host, FS, vmcs12->host_fs_selector, vmcs12->host_fs_base);
    SET_DATA_SEGMENT(host, GS, vmcs12->host_gs_selector, vmcs12->host_gs_base);
    SET_SEGMENT(host, TR, vmcs12->host_tr_selector, vmcs12->host_tr_base, TSS_LIMIT, HOST_TSS_AR);
    host->GUEST_LDTR_SELECTOR_value = 0;
    host->GUEST_LDTR_AR_BYTES_value = AR_UNUSABLE_MASK;
    host->has_data_segments = vmcs12->host_es_selector || vmcs12->host_ds_selector ||
                              vmcs12->host_fs_selector || vmcs12->host_gs_selector;
    host->GUEST_GDTR_BASE_value = vmcs12->host_gdtr_base;
    host->GUEST_GDTR_LIMIT_value = 0xffff;
    host->GUEST_IDTR_BASE_value = vmcs12->host_idtr_base;
    host->GUEST_IDTR_LIMIT_value = 0xffff;
}

/* SDM vol. 3, "Loading Host Control Registers, Debug Registers, MSRs". */
static void make_control_registers(struct l1_host *host, const struct vmcs12 *vmcs12)
{
    u64 cr4 = vmcs12->host_cr4;

    if (host_is_64bit(vmcs12))
        cr4 |= CR4_PAE;
    else
        cr4 &= ~CR4_PCIDE;
    host->GUEST_CR0_value = vmcs12->host_cr0 | CR0_ET;
    host->GUEST_CR3_value = vmcs12->host_cr3;
    host->GUEST_CR4_value = cr4;
    host->GUEST_DR7_value = DR7_INITIAL;
    host->GUEST_IA32_DEBUGCTL_value = 0;
    host->GUEST_IA32_PAT_value = vmcs12->host_ia32_pat;
    host->GUEST_SYSENTER_CS_value = vmcs12->host_ia32_sysenter_cs;
    host->GUEST_SYSENTER_ESP_value = vmcs12->host_ia32_sysenter_esp;
    host->GUEST_SYSENTER_EIP_value = vmcs12->host_ia32_sysenter_eip;
}

/* SDM vol. 3, "Loading Host RIP, RSP, RFLAGS, and SSP". */
static void make_run_state(struct l1_host *host, const struct vmcs12 *vmcs12)
{
    host->GUEST_RIP_value = vmcs12->host_rip;
    host->GUEST_RFLAGS_value = RFLAGS_FIXED;
    host->GUEST_PENDING_DBG_EXCEPTIONS_value = 0;
}

/* Not inlined: the compiler would take the values through registers, and then load_host()'s. */
static __attribute__((noinline)) void make_host(struct vmcs02 *slot)
{
    make_segments(slot->host, slot->vmcs12);
    make_control_registers(slot->host, slot->vmcs12);
    make_run_state(slot->host, slot->vmcs12);
    slot->host_dirty = false;
}

static void load_host(const struct l1_host *host)
{
#define X(field) vmwrite_basic(field, host->field##_value);
    L1_HOST_FIELDS(X)
    if (host->has_data_segments) {
        L1_HOST_DATA_FIELDS(X)
    }
#undef X
}

static void clear_uinv(void)
{
    u64 value;

    if (rdmsr_safe(MSR_IA32_UINTR_MISC, &value))
        wrmsr_safe(MSR_IA32_UINTR_MISC, value & ~UINTR_MISC_UINV);
}

static void load_msrs(const struct vmcs12 *vmcs12, const struct l2_leftover *leftover)
{
    u32 exit = vmcs12->vm_exit_controls;
    u64 mode = host_is_64bit(vmcs12) ? EFER_LMA | EFER_LME : 0;

    if (exit & VM_EXIT_LOAD_IA32_EFER)
        vmwrite_basic(GUEST_IA32_EFER, vmcs12->host_ia32_efer);
    else
        vmwrite_basic(GUEST_IA32_EFER, (leftover->efer & ~(EFER_LMA | EFER_LME)) | mode);
    if (!(exit & VM_EXIT_LOAD_IA32_PAT))
        vmwrite_basic(GUEST_IA32_PAT, leftover->pat);
}

static void load_rare_msrs(const struct vmcs12 *vmcs12)
{
    u32 exit = vmcs12->vm_exit_controls;

    if (exit & VM_EXIT_LOAD_PERF_GLOBAL_CTRL)
        wrmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, vmcs12->host_ia32_perf_global_ctrl);
    if (exit & VM_EXIT_CLEAR_UINV)
        clear_uinv();
    if (exit & VM_EXIT_LOAD_IA32_PKRS)
        wrmsr_safe(MSR_IA32_PKRS, vmcs12->host_ia32_pkrs);
}

/* The same section, and "Loading Host RIP, RSP, RFLAGS, and SSP". */
static void load_cet(struct cpu *cpu, const struct vmcs12 *vmcs12)
{
    if (!(vmcs12->vm_exit_controls & VM_EXIT_LOAD_CET_STATE))
        return;
    vmwrite(GUEST_IA32_S_CET, vmcs12->host_ia32_s_cet);
    vmwrite(GUEST_SSP, vmcs12->host_ssp);
    vmwrite(GUEST_INTR_SSP_TABLE, vmcs12->host_intr_ssp_table);
    vmcs_load_cet_once(cpu);
}

static void load_nmi_blocking(const struct l2_leftover *leftover)
{
    u64 now = vmread_basic(GUEST_INTERRUPTIBILITY_INFO);
    u64 blocking = leftover->nmi_blocking_is_l2s ? 0 : now & INTERRUPTIBILITY_NMI;

    if (leftover->nmi_blocked)
        blocking = INTERRUPTIBILITY_NMI;
    if (blocking != now)
        vmwrite_basic(GUEST_INTERRUPTIBILITY_INFO, blocking);
}

/* A 32-bit host with PAE paging. SDM vol. 3, "Checking and Loading Host Page-Directory-Pointer-
   Table Entries". */
static bool load_host_pdptes(const struct vmcs12 *vmcs12)
{
    u64 pdpte[4];

    if (host_is_64bit(vmcs12) || !(vmcs12->host_cr4 & CR4_PAE) || !(vmcs12->host_cr0 & CR0_PG))
        return true;
    if (!load_pdptes(vmcs12->host_cr3, &l0.caps, pdpte))
        return false;
    vmcs_write_pdptes(pdpte);
    return true;
}

/* Without VPIDs for L2, exits and entries empty L1's translation caches too. */
static void flush_translations(const struct vmcs12 *vmcs12)
{
    if (!vmcs02_has_own_vpid(vmcs12))
        vmcs01_flush_translations();
}

void l1_host_load(struct cpu *cpu, struct vmcs02 *slot, const struct l2_leftover *leftover)
{
    const struct vmcs12 *vmcs12 = slot->vmcs12;

    if (slot->host_dirty)
        make_host(slot);
    load_host(slot->host);
    vmwrite_basic(GUEST_RSP, vmcs12->host_rsp);
    load_msrs(vmcs12, leftover);
    load_nmi_blocking(leftover);
    if (slot->plain_exit)
        return;
    load_rare_msrs(vmcs12);
    load_cet(cpu, vmcs12);
    flush_translations(vmcs12);
    if (!load_host_pdptes(vmcs12))
        l1_host_abort(cpu, slot, VMX_ABORT_LOAD_HOST_PDPTE_FAIL);
    else if (msr_list_load(vmcs12->vm_exit_msr_load_addr, vmcs12->vm_exit_msr_load_count))
        l1_host_abort(cpu, slot, VMX_ABORT_LOAD_HOST_MSR_FAIL);
}

void l1_host_abort(struct cpu *cpu, const struct vmcs02 *slot, enum vmx_abort indicator)
{
    u32 value = indicator;

    record_abort(cpu, value);
    log_warn_once("core %u: VMX abort %u, L1 has shut the core down", cpu->index, value);
    slot->vmcs12->abort = value;
    phys_write(slot->vmcs12_pa + offsetof(struct vmcs12, abort), &value, sizeof(value));
    /* L1's state may be half loaded: what of it a VM entry would refuse is made valid. */
    vmcs_change(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS, 0);
    vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
    if (indicator == VMX_ABORT_LOAD_HOST_PDPTE_FAIL)
        for (u32 i = 0; i < 4; i++)
            vmwrite(GUEST_PDPTR0 + 2 * i, 0);
    if (!(l0.hw.misc & VMX_MISC_SHUTDOWN))
        exit_triple_fault(cpu);
    vmwrite(GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
}
