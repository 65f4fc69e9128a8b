/*
 * VM entries of an L1 that does anything with its VMCSs, on two cores: each ends as the whole of
 * the checks has it, and vmcs02 is what it would be if it was made anew. What L0 keeps from one
 * entry to the next is not to be seen, nor what it does to vmcs02 between two exits that L1 has.
 */
#include "test_check.h"

#include "hv/epoch.h"
#include "hv/exit.h"
#include "hv/hidden.h"
#include "hv/inject.h"
#include "hv/l0.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/vmcs01.h"
#include "vmx/direct.h"
#include "vmx/ept_violation.h"
#include "vmx/instructions.h"
#include "vmx/l1_host.h"
#include "vmx/l2.h"
#include "vmx/l2_exit.h"
#include "vmx/msr_list.h"
#include "vmx/operand.h"
#include "vmx/route.h"
#include "vmx/shadow12.h"
#include "vmx/slots.h"
#include "vmx/vmcs02.h"
#include "vmx/vmfunc.h"

#define CORES     2u
#define REGIONS   6u /* more than slots */
#define REGION(i) (0x100000ull + (i)*PAGE_SIZE)
#define SLOTS     (VMCS02_SLOTS_OWN + 1) /* the last one from a page that is given */
#define HARDWARE  (CORES * (1 + SLOTS))
#define NO_REGION (~0u)
#define UNDO_MAX  64u

struct l0 l0;
u64 fake_vmcs[0x8000], fake_cr2, fake_cr4;

/* ---- The processor: its VMCSs, of which one is in fake_vmcs ---- */

static const u16 fields[] = {
#define X(name, encoding, member, needs) encoding,
    VMCS12_FIELDS(X)
#undef X
};

static u64 hardware[HARDWARE][ARRAY_SIZE(fields)];
static u32 loaded = NO_REGION;
static struct {
    u32 revision; /* the first word of the region */
    u32 revision_when_active;
    bool active, launched;
} header[HARDWARE];

static u32 index_of(u32 field)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i] == field)
            return i;
    fail();
    return 0;
}

static void unload(void)
{
    for (u32 i = 0; loaded != NO_REGION && i < ARRAY_SIZE(fields); i++)
        hardware[loaded][i] = fake_vmcs[fields[i]];
}

static bool is_hardware(u64 pa) { return pa >= PAGE_SIZE && pa <= HARDWARE * PAGE_SIZE; }

static u32 hardware_at(u64 pa)
{
    assert_true(is_hardware(pa));
    return (u32)(pa / PAGE_SIZE - 1);
}

/* The first word of an active one must not be changed. */
static void assert_not_corrupted(u32 region)
{
    if (header[region].active)
        assert_int_equal(header[region].revision, header[region].revision_when_active);
}

static void make_active(u32 region)
{
    assert_not_corrupted(region);
    header[region].active = true;
    header[region].revision_when_active = header[region].revision;
}

bool fake_vmptrld(u64 pa)
{
    unload();
    loaded = hardware_at(pa);
    make_active(loaded);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        fake_vmcs[fields[i]] = hardware[loaded][i];
    return true;
}

bool fake_vmclear(u64 pa)
{
    u32 region = hardware_at(pa);

    assert_not_corrupted(region);
    header[region].active = header[region].launched = false;
    if (loaded == region) {
        unload();
        loaded = NO_REGION;
    }
    return true;
}

/* VMLAUNCH or VMRESUME of vmcs02. */
static void enter_vmcs02(const struct cpu *core)
{
    assert_true(core->in_l2);
    assert_int_equal(loaded, hardware_at(core->nested.current->pa));
    assert_not_corrupted(loaded);
    assert_false(header[loaded].revision & VMCS_SHADOW);
    assert_int_equal(header[loaded].launched, l2_launched(core));
    header[loaded].launched = true;
}

bool fake_rdmsr(u32 msr, u64 *value)
{
    (void)msr;
    *value = 0;
    return true;
}

bool fake_wrmsr(u32 msr, u64 value)
{
    (void)msr;
    (void)value;
    return true;
}

/* ---- L1's memory: the VMCS regions ---- */

static struct vmcs12 regions[REGIONS];
static u64 page[PAGE_SIZE / sizeof(u64)];

static u8 *region_at(u64 pa)
{
    if (pa < REGION(0) || pa >= REGION(REGIONS))
        return NULL;
    return (u8 *)&regions[(pa - REGION(0)) / PAGE_SIZE] + pa % PAGE_SIZE;
}

void phys_read(void *to, u64 pa, u64 len)
{
    memset(to, 0xff, len);
    if (region_at(pa) && pa % PAGE_SIZE + len <= sizeof(struct vmcs12))
        memcpy(to, region_at(pa), len);
}

void phys_write(u64 pa, const void *from, u64 len)
{
    assert_non_null(region_at(pa));
    memcpy(region_at(pa), from, len);
}

bool phys_is_hidden(u64 pa, u64 len)
{
    (void)pa;
    (void)len;
    return false;
}

static struct vmcs02_area areas[CORES][SLOTS];

#define AREA_PA(core) ((1000 + (core)) * PAGE_SIZE)

void *pool_va(u64 pa)
{
    for (u32 i = 0; i < CORES; i++)
        if (pa == AREA_PA(i))
            return &areas[i][SLOTS - 1];
    return is_hardware(pa) ? (void *)&header[hardware_at(pa)] : page;
}

/* ---- The rest of L0 ---- */

static struct cpu cores[CORES];
static u32 failed_with; /* a VM-instruction error, or an exit reason above */

void panic(const char *format, ...)
{
    fail_msg("%s", format);
    __builtin_unreachable();
}

void vm_fail(struct cpu *cpu, enum vm_instruction_error error)
{
    assert_int_equal(loaded, hardware_at(cpu->vmcs01_pa));
    cpu->nested.current->vmcs12->vm_instruction_error = error;
    failed_with = error;
}

void log_print(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

static struct l2_leftover last_leftover;

struct l2_leftover l1_host_read_leftover(const struct vmcs12 *vmcs12)
{
    (void)vmcs12;
    return (struct l2_leftover){.efer = vmread(GUEST_IA32_EFER), .pat = vmread(GUEST_IA32_PAT)};
}

void l1_host_load(struct cpu *cpu, struct vmcs02 *slot, const struct l2_leftover *leftover)
{
    (void)slot;
    last_leftover = *leftover;
    assert_false(cpu->in_l2);
    assert_int_equal(loaded, hardware_at(cpu->vmcs01_pa));
}

void l1_host_abort(struct cpu *cpu, const struct vmcs02 *slot, enum vmx_abort indicator)
{
    (void)cpu;
    (void)slot;
    (void)indicator;
    fail();
}

void exit_ept_violation(struct cpu *cpu)
{
    (void)cpu;
    reinject_interrupted_event(0);
}

bool emulate_rdmsr(struct cpu *cpu)
{
    (void)cpu;
    return false; /* #GP */
}

bool emulate_wrmsr(struct cpu *cpu)
{
    (void)cpu;
    return false;
}

bool route_msr_to_l1(const struct vmcs12 *vmcs12, const u8 *own, u32 msr, bool write)
{
    (void)vmcs12;
    (void)own;
    (void)msr;
    (void)write;
    return false;
}

bool route_cr_to_l1(const struct vmcs12 *vmcs12, u64 qualification, u64 value)
{
    (void)vmcs12;
    (void)qualification;
    (void)value;
    return true;
}

bool init_was_kick(struct cpu *cpu)
{
    (void)cpu;
    return false;
}

struct vmx_operand operand_decode_field(struct cpu *cpu)
{
    (void)cpu;
    return (struct vmx_operand){.reg = 0};
}

u64 operand_register(const struct cpu *cpu, const struct vmx_operand *operand, u32 reg)
{
    (void)cpu;
    (void)operand;
    return reg;
}

void vm_finish(u64 flags) { (void)flags; }
void l2_vmfunc(struct cpu *cpu) { (void)cpu; }
void hidden_step_end(struct cpu *cpu) { (void)cpu; }

void hidden_step_l2(struct cpu *cpu, u64 ngpa, bool write)
{
    (void)cpu;
    (void)ngpa;
    (void)write;
}

static enum ept02_result filled; /* how L2's next EPT violation ends */

enum ept02_result ept02_fill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 rights,
                             struct ept12_log *log, struct ept12_translation *walk,
                             struct ept02_gap *gap)
{
    (void)ept;
    (void)root;
    (void)eptp12;
    (void)ngpa;
    (void)rights;
    if (log->enabled)
        log->index--;
    *walk = (struct ept12_translation){.rights = 0};
    (void)gap;
    return filled;
}

static struct cpu *cpu; /* on which L1 runs */
static u32 prefills;

void ept02_prefill(struct ept02 *ept, u32 root, u64 eptp12, u64 ngpa, u64 rights,
                   struct ept02_gap *gap)
{
    (void)gap;
    (void)ept;
    (void)root;
    (void)eptp12;
    (void)ngpa;
    (void)rights;
    assert_true(cpu->walks_ept02); /* or tables are reused under it */
    prefills++;
}

void vmcs01_flush_translations(void) {}
void vmcs_init_host(struct cpu *cpu) { (void)cpu; }
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

void epoch_set_walking(struct cpu *cpu, bool walks) { cpu->walks_ept02 = walks; }

static bool area_fails; /* the MSR area of the next entry has a value that cannot be loaded */

u64 msr_list_load(u64 pa, u32 count)
{
    (void)pa;
    if (!area_fails)
        return 0;
    vmwrite(GUEST_SYSENTER_CS, 0x1234);
    vmwrite(GUEST_SYSENTER_EIP, 0x5678);
    vmwrite(GUEST_IA32_EFER, vmread(GUEST_IA32_EFER) ^ EFER_SCE);
    return count;
}

bool msr_list_store(u64 pa, u32 count)
{
    (void)pa;
    (void)count;
    return true;
}

void shadow12_load(struct cpu *cpu, const struct vmcs02 *slot)
{
    (void)cpu;
    (void)slot;
}

void shadow12_store(struct cpu *cpu, const struct vmcs02 *slot)
{
    (void)cpu;
    (void)slot;
}

bool shadow12_exits_to_l1(const struct vmcs12 *vmcs12, u64 encoding, bool write)
{
    (void)vmcs12;
    (void)encoding;
    (void)write;
    return true;
}

u64 shadow12_link(const struct cpu *core, const struct vmcs02 *slot)
{
    (void)core;
    bool linked = vmcs12_secondary(slot->vmcs12) & SECONDARY_EXEC_SHADOW_VMCS;

    return linked ? slot->vmcs12->vmcs_link_pointer : NO_ADDRESS;
}

void ept02_sync(struct ept02 *ept) { (void)ept; }
u64 ept02_take_table(struct ept02 *ept) { return (u64)!ept; }

void ept02_use_root(struct ept02 *ept, u64 eptp12, u32 core, u32 *user)
{
    (void)ept;
    (void)eptp12;
    (void)core;
    *user = 1;
}

u64 ept02_pointer(const struct ept02 *ept, u64 eptp12, u32 root)
{
    (void)ept;
    (void)root;
    return eptp12;
}

void ept02_set_written(struct ept02 *ept, u64 *written, u64 pa)
{
    (void)ept;
    *written = pa;
}

void ept02_each_pointer(struct ept02 *ept, u64 eptp, void (*flush)(u64 pointer))
{
    (void)ept;
    flush(eptp);
}

void record_entry_failed(const struct cpu *core, u32 reason, u64 qualification)
{
    (void)core;
    (void)reason;
    (void)qualification;
}

void watch_look(struct ept02 *ept, struct watch *watch, u64 pa)
{
    (void)ept;
    (void)watch;
    (void)pa;
}

bool ept01_lookup(const struct ept01 *ept, u64 gpa, u64 *entry, u32 *level)
{
    (void)ept;
    *entry = gpa | EPT_RWX;
    *level = 1;
    return true;
}

u64 overlay_build(struct overlay *overlay, u64 root, u32 levels, const struct overlay_page *pages,
                  u32 count, u64 (*alloc)(void))
{
    (void)overlay;
    (void)levels;
    (void)alloc;
    return count ? pages[0].gpa & EPT_ADDR : root;
}

/* ---- L1, and what its VMCSs contain for certain ---- */

static struct vmcs12 truth[REGIONS];
static u32 owner[REGIONS]; /* the core on which it is active, or NO_REGION */
static u32 current[CORES]; /* region */
static u32 given[CORES];   /* pages, so far */

static struct undo {
    u32 field;
    u64 old;
} undo[REGIONS][UNDO_MAX];
static u32 undos[REGIONS];

static u64 random_state;

static u64 random_u64(void)
{
    u64 z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static u32 random_below(u32 bound) { return (u32)(random_u64() % bound); }

/* A core gets what one slot needs, sooner or later. */
u64 ept02_give_page(struct ept02 *ept)
{
    const u64 pages[] = {cpu->vmcs01_pa + SLOTS * PAGE_SIZE, AREA_PA(cpu->index), PAGE_SIZE * 2000};
    u32 *count = &given[cpu->index];

    (void)ept;
    return random_below(4) && *count < ARRAY_SIZE(pages) ? pages[(*count)++] : 0;
}

static u64 get(const struct vmcs12 *v, u32 field)
{
    return vmcs12_get(v, field_lookup(field), VMCS_FIELD_HIGH(field));
}

static void set(struct vmcs12 *v, u32 field, u64 value)
{
    vmcs12_set(v, field_lookup(field), VMCS_FIELD_HIGH(field), value);
}

static u8 vmread_bitmap[PAGE_SIZE], vmwrite_bitmap[PAGE_SIZE];

/* Where the processor finds L1's shadow VMCS, in VMX non-root operation. */
static u64 *shadowed(u32 field)
{
    u64 link;

    assert_int_equal(loaded, hardware_at(cpu->vmcs01_pa));
    assert_true(vmread(SECONDARY_VM_EXEC_CONTROL) & SECONDARY_EXEC_SHADOW_VMCS);
    link = vmread(VMCS_LINK_POINTER);
    assert_int_equal(link, cpu->nested.current->pa);
    make_active(hardware_at(link));
    assert_true(header[hardware_at(link)].revision & VMCS_SHADOW);
    return &hardware[hardware_at(link)][index_of(field)];
}

static bool exits(const u8 *bitmap, u32 field)
{
    return !l0.has_shadowing || (bitmap[field / 8] >> field % 8 & 1);
}

static u64 vmread_by_L1(u32 field)
{
    if (!exits(vmread_bitmap, field))
        return *shadowed(field);
    return slots_read_field(cpu, cpu->nested.current, field, field_lookup(field));
}

static void vmwrite_by_L1(u32 field, u64 value)
{
    set(&truth[current[cpu->index]], field, value);
    if (!exits(vmwrite_bitmap, field))
        *shadowed(field) = get(&truth[current[cpu->index]], field); /* of its width */
    else
        slots_write_field(cpu, cpu->nested.current, field, field_lookup(field), value);
}

static u32 random_field(void)
{
    for (;;) {
        u32 field = fields[random_below(ARRAY_SIZE(fields))];

        if (field_exists(&l0.caps, field))
            return field;
    }
}

static u64 random_change(u32 field, u64 old)
{
    static const u32 pin[] = {
        PIN_BASED_NMI_EXITING,
        PIN_BASED_VIRTUAL_NMIS,
        PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS,
        PIN_BASED_PREEMPTION_TIMER,
    };
    static const u32 primary[] = {
        CPU_BASED_VIRTUAL_INTR_PENDING, CPU_BASED_USE_IO_BITMAPS,
        CPU_BASED_USE_MSR_BITMAPS,      CPU_BASED_TPR_SHADOW,
        CPU_BASED_HLT_EXITING,          CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
        CPU_BASED_VIRTUAL_NMI_PENDING,
    };

    switch (field) {
    case VM_ENTRY_INTR_INFO_FIELD:
        if (random_below(2))
            return random_below(2) ? INTR_INFO_VALID_MASK | random_below(2048) : 0;
        return INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | VECTOR_GP |
               (random_below(2) ? INTR_INFO_DELIVER_CODE_MASK : 0);
    case TPR_THRESHOLD: return random_below(16);
    case GUEST_CR0: return old ^ (random_below(2) ? CR0_PE : BIT64(random_below(64)));
    case PIN_BASED_VM_EXEC_CONTROL: return old ^ pin[random_below(ARRAY_SIZE(pin))];
    case CPU_BASED_VM_EXEC_CONTROL: return old ^ primary[random_below(ARRAY_SIZE(primary))];
    case VM_ENTRY_CONTROLS:
        return old ^ (random_below(2) ? VM_ENTRY_LOAD_DEBUG_CONTROLS : BIT64(random_below(32)));
    case VM_EXIT_CONTROLS:
        return old ^ (random_below(2) ? VM_EXIT_SAVE_DEBUG_CONTROLS : BIT64(random_below(32)));
    case CR4_READ_SHADOW: return old ^ (random_below(2) ? CR4_SMXE : BIT64(random_below(64)));
    case VMCS_LINK_POINTER: return random_below(4) ? NO_ADDRESS : TEST_LINK;
    case VM_ENTRY_MSR_LOAD_COUNT: return random_below(2);
    default: return random_below(8) ? old ^ BIT64(random_below(64)) : random_u64();
    }
}

static void change_something(u32 region)
{
    static const u16 often[] = {
        PIN_BASED_VM_EXEC_CONTROL,
        CPU_BASED_VM_EXEC_CONTROL,
        SECONDARY_VM_EXEC_CONTROL,
        VM_EXIT_CONTROLS,
        VM_ENTRY_CONTROLS,
        VM_ENTRY_INTR_INFO_FIELD,
        GUEST_CR0,
        CR4_READ_SHADOW,
        VM_ENTRY_MSR_LOAD_COUNT,
    };
    u32 field = random_below(2) ? often[random_below(ARRAY_SIZE(often))] : random_field();
    u64 value;

    if (VMCS_FIELD_WIDTH(field) == VMCS_WIDTH_64 && random_below(4) == 0)
        field |= 1;
    value = random_change(field, get(&truth[region], field));
    if (undos[region] < UNDO_MAX)
        undo[region][undos[region]++] = (struct undo){field, get(&truth[region], field)};
    vmwrite_by_L1(field, value);
}

static bool long_mode(void) { return vmread(GUEST_IA32_EFER) & EFER_LMA; }

/* What an entry comes to; 0: L2 runs. */
static u32 wanted_of(u32 region, u64 *qualification)
{
    const struct vmcs12 *v = &truth[region];
    u64 pdpte[4];
    enum vm_instruction_error error = check_controls(v, &l0.caps);

    if (!error)
        error = check_host_state(v, &l0.caps, long_mode());
    if (error)
        return error;
    if (!check_guest_state(v, &l0.caps, REGION(region), pdpte, qualification))
        return EXIT_REASON_INVALID_STATE | VMX_EXIT_REASONS_FAILED_VMENTRY;
    return 0;
}

static void repair(u32 region)
{
    u64 qualification;

    while (undos[region] && wanted_of(region, &qualification)) {
        const struct undo *last = &undo[region][--undos[region]];

        vmwrite_by_L1(last->field, last->old);
    }
}

static void forget_core(u32 core)
{
    current[core] = NO_REGION;
    for (u32 i = 0; i < REGIONS; i++)
        if (owner[i] == core)
            owner[i] = NO_REGION;
}

static void assert_same(const struct vmcs12 *v, u32 region)
{
    assert_int_equal(v->launch_state, truth[region].launch_state);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (get(v, fields[i]) != get(&truth[region], fields[i]))
            fail_msg("field %#x of region %u: %#lx, not %#lx", fields[i], region, get(v, fields[i]),
                     get(&truth[region], fields[i]));
}

static void run_on(u32 core)
{
    cpu = &cores[core];
    vmcs_switch(cpu->vmcs01_pa);
}

static void clear(u32 region)
{
    u32 before = cpu->index;

    if (owner[region] != NO_REGION)
        run_on(owner[region]);
    slots_clear(cpu, REGION(region));
    truth[region].launch_state = 0;
    if (current[cpu->index] == region)
        current[cpu->index] = NO_REGION;
    owner[region] = NO_REGION;
    assert_same(&regions[region], region);
    run_on(before);
}

static void make_current(u32 region)
{
    if (owner[region] != cpu->index)
        clear(region);
    slots_make_current(cpu, REGION(region), VMCS12_REVISION);
    owner[region] = cpu->index;
    current[cpu->index] = region;
}

static void leave_vmx(void)
{
    slots_flush_all(cpu);
    for (u32 i = 0; i < REGIONS; i++)
        if (owner[i] == cpu->index)
            assert_same(&regions[i], i);
    forget_core(cpu->index);
    slots_show_current(cpu);
}

/* ---- L2 ---- */

static u32 hardware_refuses(u64 *qualification)
{
    struct vmcs12 seen = {.revision_id = VMCS12_REVISION};
    u64 pdpte[4];

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        set(&seen, fields[i], fake_vmcs[fields[i]]);
    seen.vmcs_link_pointer = NO_ADDRESS;
    return check_guest_state(&seen, &l0.hw, 0, pdpte, qualification) ? 0
                                                                     : EXIT_REASON_INVALID_STATE;
}

/* Fields of guest state that vmcs02 has as they are in vmcs12. */
static bool is_plain_guest(u32 field)
{
    switch (field) {
    case VMCS_LINK_POINTER:
    case GUEST_IA32_DEBUGCTL:
    case GUEST_IA32_PAT:
    case GUEST_IA32_EFER:
    case GUEST_IA32_PERF_GLOBAL_CTRL:
    case GUEST_PDPTR0:
    case GUEST_PDPTR1:
    case GUEST_PDPTR2:
    case GUEST_PDPTR3:
    case GUEST_DR7:
    case GUEST_SMBASE:
    case GUEST_INTR_STATUS:
    case VMX_PREEMPTION_TIMER_VALUE: return false;
    default: return VMCS_FIELD_TYPE(field) == VMCS_TYPE_GUEST && field_exists(&l0.caps, field);
    }
}

/* What the entry controls say is loaded, or else inherited. */
static void assert_inherited(const struct vmcs12 *v, const struct l1_state *l1)
{
    u32 entry = v->vm_entry_controls;
    bool debug = entry & VM_ENTRY_LOAD_DEBUG_CONTROLS;

    assert_int_equal(fake_vmcs[GUEST_DR7], debug ? v->guest_dr7 : l1->dr7);
    assert_int_equal(fake_vmcs[GUEST_IA32_DEBUGCTL], debug ? v->guest_ia32_debugctl : l1->debugctl);
    assert_int_equal(fake_vmcs[GUEST_IA32_PAT],
                     entry & VM_ENTRY_LOAD_IA32_PAT ? v->guest_ia32_pat : l1->pat);
    if (entry & VM_ENTRY_LOAD_IA32_EFER)
        assert_int_equal(fake_vmcs[GUEST_IA32_EFER], v->guest_ia32_efer);
    else
        assert_int_equal((bool)(fake_vmcs[GUEST_IA32_EFER] & EFER_LMA),
                         (bool)(entry & VM_ENTRY_IA32E_MODE));
    assert_int_equal(fake_vmcs[VM_ENTRY_CONTROLS] & VM_ENTRY_IA32E_MODE,
                     entry & VM_ENTRY_IA32E_MODE);
}

static void assert_vmcs02(u32 region, const struct l1_state *l1)
{
    struct vmcs02 *slot = cpu->nested.current;
    u64 before[ARRAY_SIZE(fields)], pdpte[4];
    struct vmcs02 saved;

    for (u32 i = 0; i < 4; i++)
        pdpte[i] = fake_vmcs[GUEST_PDPTR0 + 2 * i];
    if (guest_uses_pae(&truth[region]) &&
        (vmcs12_secondary(&truth[region]) & SECONDARY_EXEC_ENABLE_EPT))
        assert_int_equal(pdpte[0], truth[region].guest_pdptr0);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        before[i] = fake_vmcs[fields[i]];
        if (is_plain_guest(fields[i]) && before[i] != get(&truth[region], fields[i]))
            fail_msg("guest field %#x: %#lx, not %#lx", fields[i], before[i],
                     get(&truth[region], fields[i]));
    }
    assert_inherited(&truth[region], l1);
    assert_int_equal(fake_vmcs[CR4_READ_SHADOW],
                     truth[region].cr4_read_shadow &
                         ~(l0.hidden_cr4 & ~truth[region].cr4_guest_host_mask));
    /* The controls once more, all of them. */
    saved = *slot;
    slot->borrowed_count = 0;
    slot->controls_dirty = true;
    vmcs02_load(cpu, slot, l1, pdpte);
    *slot = saved;
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (fake_vmcs[fields[i]] != before[i])
            fail_msg("field %#x: %#lx, made anew %#lx", fields[i], before[i], fake_vmcs[fields[i]]);
}

/* The control follows at the exit: IA32_VMX_MISC[5]. */
static void change_mode(void)
{
    fake_vmcs[GUEST_IA32_EFER] ^= EFER_LMA | EFER_LME;
    fake_vmcs[VM_ENTRY_CONTROLS] &= ~(u64)VM_ENTRY_IA32E_MODE;
    if (fake_vmcs[GUEST_IA32_EFER] & EFER_LMA)
        fake_vmcs[VM_ENTRY_CONTROLS] |= VM_ENTRY_IA32E_MODE;
    fake_vmcs[GUEST_RIP] = 0x1000;
    fake_vmcs[GUEST_CR4] &= ~CR4_PCIDE;
    for (u32 i = 0; i < 4; i++)
        fake_vmcs[GUEST_PDPTR0 + 2 * i] = (u64)random_below(16) << 12 | 1;
}

static void run_l2(void)
{
    fake_vmcs[GUEST_RIP] = random_below(0x10000);
    fake_vmcs[GUEST_RSP] = random_below(0x10000);
    fake_vmcs[GUEST_CR3] = (u64)random_below(0x10000) << 12;
    fake_vmcs[GUEST_FS_BASE] = random_below(0x10000);
    fake_vmcs[GUEST_GDTR_LIMIT] = random_below(0x10000);
    if (fake_vmcs[PIN_BASED_VM_EXEC_CONTROL] & PIN_BASED_PREEMPTION_TIMER)
        fake_vmcs[VMX_PREEMPTION_TIMER_VALUE] = random_below(0x10000);
    fake_vmcs[GUEST_INTERRUPTIBILITY_INFO] = 0;
    fake_vmcs[GUEST_IA32_PAT] = 0x0606060606060606;
    fake_vmcs[GUEST_DR7] = 0x400 | random_below(256);
    fake_vmcs[GUEST_IA32_DEBUGCTL] = random_below(4);
    if ((fake_vmcs[GUEST_CR0] & CR0_PG) && (fake_vmcs[GUEST_CR4] & CR4_PAE) && !random_below(8))
        change_mode();
}

/* SDM vol. 3, "Saving Guest State". */
static void save_truth(struct vmcs12 *v)
{
    u32 exit = v->vm_exit_controls;

    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (is_plain_guest(fields[i]))
            set(v, fields[i], fake_vmcs[fields[i]]);
    v->vm_entry_controls &= ~VM_ENTRY_IA32E_MODE;
    if (fake_vmcs[GUEST_IA32_EFER] & EFER_LMA)
        v->vm_entry_controls |= VM_ENTRY_IA32E_MODE;
    if (exit & VM_EXIT_SAVE_IA32_EFER)
        v->guest_ia32_efer = fake_vmcs[GUEST_IA32_EFER];
    if (exit & VM_EXIT_SAVE_IA32_PAT)
        v->guest_ia32_pat = fake_vmcs[GUEST_IA32_PAT];
    if (exit & VM_EXIT_SAVE_DEBUG_CONTROLS) {
        v->guest_dr7 = fake_vmcs[GUEST_DR7];
        v->guest_ia32_debugctl = fake_vmcs[GUEST_IA32_DEBUGCTL];
    }
    if (exit & VM_EXIT_SAVE_PERF_GLOBAL_CTRL)
        v->guest_ia32_perf_global_ctrl = 0;
    if (exit & VM_EXIT_SAVE_PREEMPTION_TIMER)
        v->vmx_preemption_timer_value = (u32)fake_vmcs[VMX_PREEMPTION_TIMER_VALUE];
    if (vmcs12_secondary(v) & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        v->guest_intr_status = (u16)fake_vmcs[GUEST_INTR_STATUS];
    if (vmcs12_secondary(v) & SECONDARY_EXEC_SHADOW_VMCS)
        v->vm_instruction_error = (u32)fake_vmcs[VM_INSTRUCTION_ERROR];
    if ((vmcs12_secondary(v) & SECONDARY_EXEC_ENABLE_EPT) && guest_uses_pae(v)) {
        v->guest_pdptr0 = fake_vmcs[GUEST_PDPTR0];
        v->guest_pdptr1 = fake_vmcs[GUEST_PDPTR1];
        v->guest_pdptr2 = fake_vmcs[GUEST_PDPTR2];
        v->guest_pdptr3 = fake_vmcs[GUEST_PDPTR3];
    }
    v->vm_entry_intr_info_field &= ~INTR_INFO_VALID_MASK;
    v->launch_state = 1;
}

static u32 random_event(void)
{
    return random_below(2) ? INTR_INFO_VALID_MASK | random_below(256) : 0;
}

/* What the processor leaves at an exit. */
static void exit_vmcs02(u32 reason)
{
    fake_vmcs[VM_ENTRY_INTR_INFO_FIELD] &= ~INTR_INFO_VALID_MASK;
    fake_vmcs[VM_EXIT_REASON] = reason;
    fake_vmcs[EXIT_QUALIFICATION] = 1;
    fake_vmcs[VM_EXIT_INTR_INFO] = random_event();
    fake_vmcs[VM_EXIT_INTR_ERROR_CODE] = random_below(256);
    fake_vmcs[IDT_VECTORING_INFO_FIELD] = random_event();
    fake_vmcs[IDT_VECTORING_ERROR_CODE] = random_below(256);
    fake_vmcs[VM_EXIT_INSTRUCTION_LEN] = random_below(16);
    fake_vmcs[VMX_INSTRUCTION_INFO] = random_below(256);
    fake_vmcs[GUEST_LINEAR_ADDRESS] = random_u64();
    if (reason == EXIT_REASON_EPT_VIOLATION)
        fake_vmcs[GUEST_PHYSICAL_ADDRESS] = random_below(1u << 30);
}

static void save_information(struct vmcs12 *v)
{
    v->vm_exit_reason = (u32)fake_vmcs[VM_EXIT_REASON];
    v->exit_qualification = fake_vmcs[EXIT_QUALIFICATION];
    v->vm_exit_intr_info = (u32)fake_vmcs[VM_EXIT_INTR_INFO];
    v->vm_exit_intr_error_code = (u32)fake_vmcs[VM_EXIT_INTR_ERROR_CODE];
    v->idt_vectoring_info_field = (u32)fake_vmcs[IDT_VECTORING_INFO_FIELD];
    v->idt_vectoring_error_code = (u32)fake_vmcs[IDT_VECTORING_ERROR_CODE];
    v->vm_exit_instruction_len = (u32)fake_vmcs[VM_EXIT_INSTRUCTION_LEN];
    v->vmx_instruction_info = (u32)fake_vmcs[VMX_INSTRUCTION_INFO];
    v->guest_linear_address = fake_vmcs[GUEST_LINEAR_ADDRESS];
}

/* An exit for an event, which the processor had not. */
static void save_event(struct vmcs12 *v, u32 reason, u32 intr_info)
{
    save_information(v);
    v->vm_exit_reason = reason;
    v->exit_qualification = 0;
    v->vm_exit_intr_info = intr_info;
    v->vm_exit_intr_error_code = 0;
    v->idt_vectoring_info_field = 0;
}

/* #GP that L0 has to give to L2: L1 may have it. */
static bool fault_in_l2(struct vmcs12 *v)
{
    exit_vmcs02(EXIT_REASON_MSR_READ);
    run_l2();
    if (v->exception_bitmap & BIT(VECTOR_GP)) {
        fake_vmcs[GUEST_RFLAGS] |= RFLAGS_RF;
        save_truth(v);
        save_event(v, EXIT_REASON_EXCEPTION_NMI,
                   INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | INTR_INFO_DELIVER_CODE_MASK |
                       VECTOR_GP);
    }
    l2_exit(cpu, EXIT_REASON_MSR_READ);
    assert_int_equal(cpu->in_l2, !(v->exception_bitmap & BIT(VECTOR_GP)));
    return !cpu->in_l2;
}

static bool l2_has_ept(const struct vmcs12 *v)
{
    return vmcs12_secondary(v) & SECONDARY_EXEC_ENABLE_EPT;
}

static void violation_for_l0(struct vmcs12 *v)
{
    exit_vmcs02(EXIT_REASON_EPT_VIOLATION);
    run_l2();
    if (l2_has_ept(v) && (vmcs12_secondary(v) & SECONDARY_EXEC_ENABLE_PML))
        v->guest_pml_index--;
    filled = EPT02_FILLED;
    l2_exit(cpu, EXIT_REASON_EPT_VIOLATION);
    assert_true(cpu->in_l2);
}

/* An NMI or INIT has waited for L2. True: L1 has the exit. */
static bool event_for_l2(struct vmcs12 *v)
{
    bool init = random_below(2);

    if (fake_vmcs[VM_ENTRY_INTR_INFO_FIELD] & INTR_INFO_VALID_MASK) {
        if (!l2_nmi_exits(cpu))
            inject_waiting_nmi(cpu);
        assert_true(cpu->in_l2);
        set_monitor_trap(l2_wants_mtf(cpu));
        cpu->step = 0;
        return false;
    }
    if (fake_vmcs[GUEST_INTERRUPTIBILITY_INFO] ||
        fake_vmcs[GUEST_ACTIVITY_STATE] == ACTIVITY_WAIT_FOR_SIPI)
        return false;
    if (!init && !(v->pin_based_vm_exec_control & PIN_BASED_NMI_EXITING)) {
        assert_false(l2_nmi_exits(cpu));
        inject_waiting_nmi(cpu);
        return false;
    }
    save_truth(v);
    save_event(v, init ? EXIT_REASON_INIT : EXIT_REASON_EXCEPTION_NMI,
               init ? 0 : INTR_INFO_VALID_MASK | INTR_TYPE_NMI | VECTOR_NMI);
    if (init)
        l2_pending_init(cpu);
    else
        assert_true(l2_nmi_exits(cpu));
    return true;
}

/* As L1 has it. */
static void last_exit(struct vmcs12 *v)
{
    static const u16 reasons[] = {EXIT_REASON_CPUID, EXIT_REASON_EXCEPTION_NMI,
                                  EXIT_REASON_EPT_VIOLATION, EXIT_REASON_PML_FULL};
    u32 wanted = reasons[random_below(l2_has_ept(v) ? 4 : 2)];
    u32 reason = wanted == EXIT_REASON_PML_FULL ? EXIT_REASON_EPT_VIOLATION : wanted;

    exit_vmcs02(reason);
    run_l2();
    filled = wanted == EXIT_REASON_PML_FULL ? EPT02_LOG_FULL : EPT02_VIOLATION;
    save_truth(v);
    save_information(v);
    v->vm_exit_reason = wanted;
    if (wanted == EXIT_REASON_PML_FULL)
        v->exit_qualification = 0;
    if (wanted == EXIT_REASON_EPT_VIOLATION)
        v->guest_physical_address = fake_vmcs[GUEST_PHYSICAL_ADDRESS];
    if (reason == EXIT_REASON_EPT_VIOLATION && (vmcs12_secondary(v) & SECONDARY_EXEC_ENABLE_PML))
        v->guest_pml_index--;
    l2_exit(cpu, reason | (random_below(2) ? BIT(27) : 0));
}

/* L2 until L1 has an exit; the processor has entered it once. */
static void run_until_exit(struct vmcs12 *v)
{
    for (u32 i = random_below(4); i; i--) {
        enter_vmcs02(cpu);
        if (random_below(3) == 0) {
            if (fault_in_l2(v))
                return;
        } else {
            violation_for_l0(v);
        }
        if (random_below(4) == 0 && event_for_l2(v))
            return;
    }
    enter_vmcs02(cpu);
    last_exit(v);
}

/* L1 looks at all it is offered. */
static void assert_seen_by_L1(const struct vmcs12 *v)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        if (field_exists(&l0.caps, fields[i]) && vmread_by_L1(fields[i]) != get(v, fields[i]))
            fail_msg("field %#x: %#lx, not %#lx", fields[i], vmread_by_L1(fields[i]),
                     get(v, fields[i]));
}

static u32 outcomes[3]; /* L2 has run, invalid guest state, VMfail */

static void enter(u32 region)
{
    struct vmcs12 *v = &truth[region];
    struct l1_state l1;
    u64 wanted_qualification = 0, qualification = 0;
    u32 wanted;

    fake_vmcs[GUEST_IA32_PAT] = random_below(2) ? 0 : 0x0004000400040004;
    l1 = vmcs02_read_l1_state(v);
    wanted = wanted_of(region, &wanted_qualification);
    area_fails = v->vm_entry_msr_load_count && random_below(2);
    if (!wanted && area_fails) {
        wanted = EXIT_REASON_MSR_LOAD_FAIL | VMX_EXIT_REASONS_FAILED_VMENTRY;
        wanted_qualification = v->vm_entry_msr_load_count;
    }
    failed_with = 0;
    l2_enter(cpu, !v->launch_state);
    if (cpu->in_l2 && hardware_refuses(&qualification)) {
        fake_vmcs[EXIT_QUALIFICATION] = qualification;
        l2_exit(cpu, EXIT_REASON_INVALID_STATE | VMX_EXIT_REASONS_FAILED_VMENTRY);
    }
    assert_int_equal(loaded, hardware_at(cpu->in_l2 ? cpu->nested.current->pa : cpu->vmcs01_pa));
    if (!cpu->in_l2 && !failed_with)
        failed_with = (u32)vmread_by_L1(VM_EXIT_REASON);
    if (failed_with != wanted)
        fail_msg("an entry: %#x, not %#x", failed_with, wanted);
    if (wanted & VMX_EXIT_REASONS_FAILED_VMENTRY) {
        outcomes[1]++;
        v->vm_exit_reason = wanted;
        v->exit_qualification = wanted_qualification;
    } else if (wanted) {
        outcomes[2]++;
        v->vm_instruction_error = wanted;
    } else {
        outcomes[0]++;
        assert_vmcs02(region, &l1);
        if (random_below(8) || !event_for_l2(v))
            run_until_exit(v);
        assert_false(cpu->in_l2);
    }
    if (random_below(8) == 0)
        assert_seen_by_L1(v);
}

/* ---- The whole ---- */

static void make_host_32(struct vmcs12 *v)
{
    v->vm_exit_controls &= ~(VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER);
    v->host_rip = 0x1000;
    v->host_ss_selector = 8;
    v->host_cr4 &= ~CR4_PCIDE;
}

static void make_machine(bool shadowing)
{
    static const enum base bases[] = {BASE_64, BASE_PAE, BASE_REAL, BASE_64_RESTRICTED};

    memset(&l0, 0, sizeof(l0));
    memset(cores, 0, sizeof(cores));
    memset(hardware, 0, sizeof(hardware));
    memset(header, 0, sizeof(header));
    memset(vmread_bitmap, 0xff, sizeof(vmread_bitmap));
    memset(vmwrite_bitmap, 0xff, sizeof(vmwrite_bitmap));
    memset(undos, 0, sizeof(undos));
    loaded = NO_REGION;
    l0.hw = skylake;
    l0.has_shadowing = shadowing;
    l0.hidden_cr4 = HIDDEN_CR4;
    l0.controls.entry =
        VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER;
    for (u32 i = 0; i < REGIONS; i++) {
        base_make(bases[i % ARRAY_SIZE(bases)], &truth[i], &l0.caps);
        if (i == 1 || i == 4)
            make_host_32(&truth[i]);
        regions[i] = truth[i];
        owner[i] = NO_REGION;
    }
    direct_init();
    direct_fill_bitmaps(vmread_bitmap, vmwrite_bitmap);
    for (u32 i = 0; i < CORES; i++) {
        u64 pa = (1 + i * (1 + SLOTS)) * PAGE_SIZE;

        cores[i] = (struct cpu){.index = i};
        cores[i].vmcs01_pa = pa;
        cores[i].nested.vmxon = true;
        current[i] = NO_REGION;
        for (u32 j = 0; j < VMCS02_SLOTS_OWN; j++) {
            vmcs_init_region(pa + (1 + j) * PAGE_SIZE, shadowing);
            slots_add(&cores[i], &areas[i][j], pa + (1 + j) * PAGE_SIZE, 0);
        }
        given[i] = 0;
        run_on(i);
        fake_vmcs[GUEST_IA32_EFER] = EFER_LMA | EFER_LME | EFER_NXE;
        fake_vmcs[GUEST_DR7] = 0x400;
    }
}

static void step(void)
{
    u32 region, random = random_below(100);

    if (random < 2)
        run_on(random_below(CORES));
    region = current[cpu->index];
    if (region == NO_REGION || random < 6) {
        make_current(random_below(REGIONS));
    } else if (random < 8) {
        clear(random_below(REGIONS));
    } else if (random < 9) {
        leave_vmx();
    } else if (random < 10) {
        fake_vmcs[GUEST_IA32_EFER] ^= EFER_LMA | EFER_LME;
    } else if (random < 50) {
        change_something(region);
    } else if (random < 60) {
        u32 field = random_field();

        assert_int_equal(vmread_by_L1(field), get(&truth[region], field));
    } else {
        if (random < 90)
            repair(region);
        enter(region);
    }
}

static void run(bool shadowing)
{
    memset(outcomes, 0, sizeof(outcomes));
    prefills = 0;
    for (u32 round = 0; round < 40; round++) {
        random_state = round;
        make_machine(shadowing);
        for (u32 i = 0; i < 3000; i++)
            step();
    }
    for (u32 i = 0; i < 3; i++)
        assert_true(outcomes[i] > 1000);
    assert_true(prefills > 100);
}

static void with_shadowing(void **state)
{
    (void)state;
    run(true);
}

static void without_shadowing(void **state)
{
    (void)state;
    run(false);
}

static void make_current_and_enter(void)
{
    make_machine(true);
    run_on(0);
    make_current(0);
    enter(0);
    assert_int_equal(failed_with, 0);
}

static void assert_guest_state_refused(void)
{
    assert_false(cpu->in_l2);
    assert_int_equal(vmread_by_L1(VM_EXIT_REASON),
                     EXIT_REASON_INVALID_STATE | VMX_EXIT_REASONS_FAILED_VMENTRY);
}

#define BAD_PAT (~0ull)

/* An INIT that waits exits from L2 before the processor has seen L2's state. */
static void an_init_does_not_hide_bad_guest_state(void **state)
{
    (void)state;
    for (u32 round = 0; round < 20; round++) {
        random_state = round;
        make_current_and_enter();
        vmwrite_by_L1(GUEST_RFLAGS, 0);
        cpu->init_pending = true;
        l2_enter(cpu, false);
        assert_guest_state_refused();
        assert_true(cpu->init_pending);
    }
}

/* A field that is not valid is written while the control that loads it is off; then the control is
   switched on, and the field counts without being written once more. */
static void load_later(u32 control, u32 field, u64 value)
{
    make_machine(true);
    run_on(0);
    make_current(0);
    vmwrite_by_L1(VM_ENTRY_CONTROLS, truth[0].vm_entry_controls & ~control);
    vmwrite_by_L1(field, value);
    enter(0);
    assert_int_equal(failed_with, 0);
    vmwrite_by_L1(VM_ENTRY_CONTROLS, truth[0].vm_entry_controls | control);
}

static void a_performance_counter_control_that_was_not_loaded(void **state)
{
    (void)state;
    for (u32 round = 0; round < 20; round++) {
        random_state = round;
        load_later(VM_ENTRY_LOAD_PERF_GLOBAL_CTRL, GUEST_IA32_PERF_GLOBAL_CTRL, BIT64(63));
        enter(0);
        assert_int_equal(failed_with, EXIT_REASON_INVALID_STATE | VMX_EXIT_REASONS_FAILED_VMENTRY);
    }
}

static void a_pat_that_was_not_loaded(void **state)
{
    (void)state;
    for (u32 round = 0; round < 20; round++) {
        random_state = round;
        load_later(VM_ENTRY_LOAD_IA32_PAT, GUEST_IA32_PAT, BAD_PAT);
        cpu->init_pending = round & 1;
        l2_enter(cpu, false);
        assert_guest_state_refused();
        assert_int_not_equal(last_leftover.pat, BAD_PAT);
        cpu->init_pending = false;
    }
}

/* CET state is loaded at one entry alone: also if L2 exits before it. */
static void cet_state_that_was_not_loaded(void **state)
{
    (void)state;
    for (u32 round = 0; round < 3; round++) {
        make_machine(true);
        l0.caps.true_entry |= (u64)VM_ENTRY_LOAD_CET_STATE << 32;
        run_on(0);
        make_current(0);
        vmwrite_by_L1(VM_ENTRY_CONTROLS, truth[0].vm_entry_controls | VM_ENTRY_LOAD_CET_STATE);
        if (round == 2)
            vmwrite_by_L1(PIN_BASED_VM_EXEC_CONTROL,
                          truth[0].pin_based_vm_exec_control | PIN_BASED_NMI_EXITING);
        cpu->init_pending = round == 0;
        l2_enter(cpu, true);
        assert_int_equal(cpu->in_l2, round != 0);
        if (round == 1)
            l2_entry_vmfail(cpu, VMXERR_ENTRY_INVALID_CONTROL_FIELD);
        if (round == 2)
            l2_nmi_exits(cpu);
        assert_false(cpu->in_l2);
        assert_false(cpu->loads_cet);
        vmcs_switch(cpu->nested.current->pa);
        assert_false(fake_vmcs[VM_ENTRY_CONTROLS] & VM_ENTRY_LOAD_CET_STATE);
        vmcs_switch(cpu->vmcs01_pa);
    }
}

/* L0 has put it into vmcs02, but the processor refuses the entry: it is not lost. */
static void an_nmi_for_an_entry_that_is_refused(void **state)
{
    (void)state;
    for (u32 round = 0; round < 20; round++) {
        random_state = round;
        make_machine(true);
        run_on(0);
        make_current(0);
        vmwrite_by_L1(PIN_BASED_VM_EXEC_CONTROL,
                      truth[0].pin_based_vm_exec_control &
                          ~(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS));
        vmwrite_by_L1(CPU_BASED_VM_EXEC_CONTROL,
                      truth[0].cpu_based_vm_exec_control & ~CPU_BASED_VIRTUAL_NMI_PENDING);
        vmwrite_by_L1(VM_ENTRY_INTR_INFO_FIELD, 0);
        if (round & 1) {
            vmwrite_by_L1(VM_ENTRY_MSR_LOAD_ADDR, 0x5000);
            vmwrite_by_L1(VM_ENTRY_MSR_LOAD_COUNT, 1);
        }
        l2_enter(cpu, !truth[0].launch_state);
        assert_true(cpu->in_l2);
        cpu->nmi_waiting = true;
        assert_false(l2_nmi_exits(cpu));
        inject_waiting_nmi(cpu);
        assert_false(cpu->nmi_waiting);
        l2_exit(cpu, EXIT_REASON_INVALID_STATE | VMX_EXIT_REASONS_FAILED_VMENTRY);
        assert_true(cpu->nmi_waiting);
        assert_int_equal(vmread_by_L1(VM_ENTRY_INTR_INFO_FIELD), 0);
    }
}

/* A core that waits for a SIPI does not count as one that walks EPT02. */
static void no_gap_is_filled_while_waiting_for_a_sipi(void **state)
{
    static const u64 activities[] = {ACTIVITY_ACTIVE, ACTIVITY_WAIT_FOR_SIPI};

    (void)state;
    for (u32 i = 0; i < ARRAY_SIZE(activities); i++) {
        random_state = 1;
        make_machine(true);
        run_on(0);
        make_current(0);
        vmwrite_by_L1(VM_ENTRY_INTR_INFO_FIELD, 0);
        l2_enter(cpu, !truth[0].launch_state);
        assert_true(cpu->in_l2 && cpu->nested.root_key);
        filled = EPT02_VIOLATION;
        l2_exit(cpu, EXIT_REASON_EPT_VIOLATION);
        vmwrite_by_L1(GUEST_ACTIVITY_STATE, activities[i]);
        prefills = 0;
        l2_enter(cpu, false);
        assert_true(cpu->in_l2);
        assert_int_equal(prefills, activities[i] == ACTIVITY_ACTIVE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_init_does_not_hide_bad_guest_state),
        cmocka_unit_test(a_pat_that_was_not_loaded),
        cmocka_unit_test(cet_state_that_was_not_loaded),
        cmocka_unit_test(an_nmi_for_an_entry_that_is_refused),
        cmocka_unit_test(no_gap_is_filled_while_waiting_for_a_sipi),
        cmocka_unit_test(with_shadowing),
        cmocka_unit_test(without_shadowing),
        cmocka_unit_test(a_performance_counter_control_that_was_not_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
