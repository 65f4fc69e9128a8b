/* What keeps a guest of the fuzzer where it belongs, and its results independent of time. */
#include "fuzz.h"

#define WATCHDOG     300000 /* ticks of the preemption timer */
#define DEBUGCTL_BTF BIT64(1)
#define PENDING_BS   BIT64(14)

struct controls {
    u32 pin, proc, proc2, exit, entry;
};

static struct controls read_controls(void)
{
    return (struct controls){
        .pin = (u32)vm_read(PIN_BASED_VM_EXEC_CONTROL),
        .proc = (u32)vm_read(CPU_BASED_VM_EXEC_CONTROL),
        .proc2 = (u32)vm_read(SECONDARY_VM_EXEC_CONTROL),
        .exit = (u32)vm_read(VM_EXIT_CONTROLS),
        .entry = (u32)vm_read(VM_ENTRY_CONTROLS),
    };
}

static void write_changed(const struct controls *old, const struct controls *new)
{
    if (new->pin != old->pin)
        vm_write(PIN_BASED_VM_EXEC_CONTROL, new->pin);
    if (new->proc != old->proc)
        vm_write(CPU_BASED_VM_EXEC_CONTROL, new->proc);
    if (new->proc2 != old->proc2)
        vm_write(SECONDARY_VM_EXEC_CONTROL, new->proc2);
    if (new->exit != old->exit)
        vm_write(VM_EXIT_CONTROLS, new->exit);
    if (new->entry != old->entry)
        vm_write(VM_ENTRY_CONTROLS, new->entry);
}

/* What a control needs, so that an entry is about something else now and then. */
static void meet_needs(struct controls *c)
{
    if (c->proc & CPU_BASED_VIRTUAL_NMI_PENDING)
        c->pin |= PIN_BASED_VIRTUAL_NMIS;
    if (c->pin & PIN_BASED_VIRTUAL_NMIS)
        c->pin |= PIN_BASED_NMI_EXITING;
    if (!(c->proc & CPU_BASED_TPR_SHADOW))
        c->proc2 &= ~(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE | SECONDARY_EXEC_APIC_REGISTER_VIRT |
                      SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
    if (c->proc2 & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
        c->proc2 &= ~SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
    if (c->proc2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        c->pin |= PIN_BASED_EXT_INTR_MASK;
    if (c->pin & PIN_BASED_POSTED_INTR)
        c->exit |= VM_EXIT_ACK_INTR_ON_EXIT;
    if (!fuzz_has_ept())
        c->proc2 &= ~(SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_MODE_BASED_EPT_EXEC |
                      SECONDARY_EXEC_ENABLE_VMFUNC);
    if (guest_mode == GUEST_REAL || guest_mode == GUEST_FLAT)
        c->proc2 |= SECONDARY_EXEC_UNRESTRICTED_GUEST;
    else if (!fuzz_has_ept())
        c->proc2 &= ~SECONDARY_EXEC_UNRESTRICTED_GUEST;
}

/* Without EPT only the guest's own paging structures lead to its memory, and only in its mode. */
static void contain_paging(struct controls *c)
{
    u64 cr4 = vm_read(GUEST_CR4), paging = CR4_PSE | CR4_PAE | CR4_LA57;
    u64 wanted = guest_mode == GUEST_32 ? 0 : CR4_PAE;

    if ((cr4 & paging) != wanted)
        vm_write(GUEST_CR4, (cr4 & ~paging) | wanted);
    c->entry &= ~VM_ENTRY_IA32E_MODE;
    if (guest_mode == GUEST_64 || guest_mode == GUEST_COMPAT || guest_mode == GUEST_64_USER)
        c->entry |= VM_ENTRY_IA32E_MODE;
}

static void contain_controls(void)
{
    struct controls old = read_controls(), c = old;

    c.pin |= PIN_BASED_PREEMPTION_TIMER;
    c.proc |= CPU_BASED_RDTSC_EXITING | CPU_BASED_RDPMC_EXITING | CPU_BASED_MWAIT_EXITING;
    c.proc2 &= ~SECONDARY_EXEC_PAUSE_LOOP_EXITING; /* it measures time */
    if (!(c.proc & CPU_BASED_USE_IO_BITMAPS))
        c.proc |= CPU_BASED_UNCOND_IO_EXITING;
    if (fuzz_has_ept()) {
        c.proc |= CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
        c.proc2 |= SECONDARY_EXEC_ENABLE_EPT;
    } else {
        c.proc |= CPU_BASED_CR3_LOAD_EXITING;
        c.proc2 &= ~SECONDARY_EXEC_ENABLE_EPT;
    }
    if (feature_offered(FEATURE_RDRAND_EXITING))
        c.proc2 |= SECONDARY_EXEC_RDRAND_EXITING;
    if (feature_offered(FEATURE_RDSEED_EXITING))
        c.proc2 |= SECONDARY_EXEC_RDSEED_EXITING;
    if (!fuzz_one_in(12))
        meet_needs(&c);
    /* Known fault: posted interrupts without virtual-interrupt delivery are not refused. */
    if (!(c.proc2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY) ||
        !(c.proc & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
        c.pin &= ~PIN_BASED_POSTED_INTR;
    /* Known fault: IA-32e mode without paging is not refused. */
    if (!(vm_read(GUEST_CR0) & CR0_PG))
        c.entry &= ~VM_ENTRY_IA32E_MODE;
    if (!fuzz_has_ept())
        contain_paging(&c);
    write_changed(&old, &c);
}

/* Known fault: a log that is full ends accesses that have no flag to set. It never is. */
static void contain_log(void)
{
    u64 index = feature_offered(FEATURE_PML) ? vm_read(GUEST_PML_INDEX) : 256;

    if (index < 256 || index > 511)
        vm_write(GUEST_PML_INDEX, 256 + fuzz_below(256));
}

static void set_flat_stack(u64 access)
{
    vm_write(GUEST_SS_AR_BYTES, 0xc093 | (access & 0x60));
    vm_write(GUEST_SS_LIMIT, 0xffffffff);
    vm_write(GUEST_SS_BASE, 0);
}

/*
 * Bochs checks SS of a 64-bit guest only where its selector's RPL is not 0. And its SYSRET makes SS
 * usable, but leaves base and limit as they were (SDM vol. 2: 0 and 0xfffff, in pages): the next
 * entry, which may be an L0's, refuses them.
 */
static void avoid_unchecked_stack(void)
{
    u64 access = vm_read(GUEST_SS_AR_BYTES), type = access & 0xf;

    if (!fuzz_slots[fuzz_slot].stack_changed)
        return;
    fuzz_slots[fuzz_slot].stack_changed = false;
    if (access & AR_UNUSABLE_MASK) {
        vm_write(GUEST_SS_AR_BYTES, AR_UNUSABLE_MASK | (access & 0x60));
        vm_write(GUEST_SS_LIMIT, 0);
        vm_write(GUEST_SS_BASE, 0);
        return;
    }
    if (!(vm_read(GUEST_CS_AR_BYTES) & BIT(13)) || vm_read(GUEST_SS_SELECTOR) & 3)
        return;
    if ((type != 3 && type != 7) || (access & ~0xd06full) != 0x90 ||
        vm_read(GUEST_SS_LIMIT) != 0xffffffff || vm_read(GUEST_SS_BASE) >> 32)
        set_flat_stack(access);
}

/* Emulator faults that exceptions.txt has rows for: none of them may be what an entry is about. */
static void avoid_known_faults(void)
{
    u64 rip = vm_read(GUEST_RIP), rflags = vm_read(GUEST_RFLAGS);
    u64 pending = vm_read(GUEST_PENDING_DBG_EXCEPTIONS);
    u64 blocking = vm_read(GUEST_INTERRUPTIBILITY_INFO), activity = vm_read(GUEST_ACTIVITY_STATE);
    u64 info = vm_read(VM_ENTRY_INTR_INFO_FIELD);

    /* RIP's bits 63:N */
    if (rip >> 48 && rip >> 48 != 0xffff)
        vm_write(GUEST_RIP, guest_entry);
    /* Any event is let into HLT. */
    if (activity && info & INTR_INFO_VALID_MASK)
        vm_write(VM_ENTRY_INTR_INFO_FIELD, 0);
    /* Whether a pending MTF VM exit that is injected comes before an EPT violation is a matter of
       when the emulator's time slice ends. */
    if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_OTHER && !(info & INTR_INFO_VECTOR_MASK))
        vm_write(VM_ENTRY_INTR_INFO_FIELD, 0);
    /* BS is not compared with TF and BTF. */
    if (blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) || activity == ACTIVITY_HLT) {
        bool stepping = rflags & RFLAGS_TF && !(vm_read(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);

        if ((pending & PENDING_BS ? true : false) != stepping)
            vm_write(GUEST_PENDING_DBG_EXCEPTIONS, pending ^ PENDING_BS);
    }
    /* Nor can anybody say when a guest that waits for a SIPI ends. */
    if (activity == ACTIVITY_WAIT_FOR_SIPI)
        vm_write(GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
}

void fuzz_contain(void)
{
    /* Reading them takes L0's time. What else they depend on is the guest's paging. */
    if (fuzz_slots[fuzz_slot].controls_changed || !fuzz_has_ept() || !(vm_read(GUEST_CR0) & CR0_PG))
        contain_controls();
    fuzz_slots[fuzz_slot].controls_changed = false;
    contain_log();
    avoid_unchecked_stack();
    avoid_known_faults();
    vm_write(VMX_PREEMPTION_TIMER_VALUE, WATCHDOG >> (vmx_misc & VMX_MISC_TIMER_RATE));
    if (fuzz_ept_changed)
        flush_ept();
    if (fuzz_ept_changed || fuzz_paging_changed)
        flush_vpid();
    fuzz_ept_changed = fuzz_paging_changed = false;
}
