/* What needs two cores: events that one sends the other's L2, and VMCSs and EPTs that both use. */
#include "guest_rows.h"

#define FLAG_A     0x3ff0u /* words of the guest's memory; see code.asm */
#define FLAG_B     0x3ff4u
#define SOON       3000u   /* rounds until a core is out of the instruction that it announced */
#define LATER      400000u /* and until it is in an L2 that can't announce anything */
#define ROUNDS     100u
#define VECTOR     0x55
#define OTHER_CODE L2_SPARE
#define NOTICE     0x66 /* the posted-interrupt notification vector */
#define POSTED     0x71

#define EXTERNAL       PIN(PIN_BASED_EXT_INTR_MASK)
#define ACK            EXIT(VM_EXIT_ACK_INTR_ON_EXIT)
#define NMI_EXIT       PIN(PIN_BASED_NMI_EXITING)
#define VIRTUAL_NMIS   PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)
#define IF_ON          OR(GUEST_RFLAGS, RFLAGS_IF)
#define ACTIVITY(what) SET(GUEST_ACTIVITY_STATE, ACTIVITY_##what)
#define WITH_ALL       (WITH_EPT | WITH_VPID)

static volatile u32 *flag(u32 gpa) { return (volatile u32 *)guest_memory(gpa); }

static void spin(u32 rounds)
{
    while (rounds--)
        __asm__ volatile("pause");
}

/* Ends what would otherwise never end. */
static void set_watchdog(void)
{
    if (!feature_offered(FEATURE_PREEMPTION_TIMER))
        return;
    field_set(PIN_BASED_VM_EXEC_CONTROL, PIN_BASED_PREEMPTION_TIMER);
    vm_write(VMX_PREEMPTION_TIMER_VALUE, 0x4000000);
}

static bool start(enum vmx_state state, const char *name, u32 flags)
{
    return row(state, "smp.%s%s", name, flags & WITH_EPT ? ".ept" : "") &&
           (!(flags & WITH_EPT) || mode_offered(GUEST_64, flags));
}

/* ---- events for the L2 of this core */

struct event {
    const char *name;
    const char *code; /* sets FLAG_A; NULL: it can't */
    u32 icr;
    struct edit edits[6];
    void (*prepare)(void);
    void (*finish)(void);
};

static const struct event *event;

static void send_event(void)
{
    if (event->code) {
        wait_until(flag(FLAG_A), 1);
        spin(SOON);
    } else {
        spin(LATER);
    }
    other_send(event->icr);
}

static void say_seen(void)
{
    nmi_unblock();
    apic_drain();
    say(" seen %lu nmis %lu", interrupts_seen, nmis_seen);
}

static u32 *virtual_register(u32 offset) { return (u32 *)(arena_page(PAGE_VIRTUAL_APIC) + offset); }

static u64 *posted(void) { return (u64 *)arena_page(PAGE_POSTED); }

static void prepare_posted(void)
{
    posted()[POSTED / 64] = BIT64(POSTED % 64);
    posted()[4] = 1;
    vm_write(POSTED_INTR_DESC_ADDR, arena_address(PAGE_POSTED));
    vm_write(POSTED_INTR_NV, NOTICE);
    vm_write(GUEST_INTR_STATUS, 0);
}

static void say_posted(void)
{
    u32 word = POSTED / 32 * 16;

    say(" irr %x isr %x pir %lx on %lx status %lx", *virtual_register(0x200 + word),
        *virtual_register(0x100 + word), posted()[POSTED / 64], posted()[4],
        vm_read(GUEST_INTR_STATUS));
    say_seen();
}

#define POSTING                                                                                    \
    PROC(CPU_BASED_TPR_SHADOW), PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY),                       \
        PIN(PIN_BASED_EXT_INTR_MASK | PIN_BASED_POSTED_INTR), ACK

static const struct event events[] = {
    {"interrupt exits", "signal and loop", VECTOR, {EXTERNAL}, NULL, say_seen},
    {"interrupt exits with ack", "signal and loop", VECTOR, {EXTERNAL, ACK}, NULL, say_seen},
    {"interrupt is delivered", "signal and loop", VECTOR, {IF_ON}, NULL, say_seen},
    {"interrupt exits from hlt", "signal and hlt", VECTOR, {EXTERNAL, IF_ON}, NULL, say_seen},
    {"interrupt exits from hlt without if", "signal and hlt", VECTOR, {EXTERNAL}, NULL, say_seen},
    {"interrupt is delivered in hlt", "signal and hlt", VECTOR, {IF_ON}, NULL, say_seen},
    {"interrupt exits from hlt at entry",
     NULL,
     VECTOR,
     {EXTERNAL, ACTIVITY(HLT), IF_ON},
     NULL,
     say_seen},
    {"nmi exits", "signal and loop", ICR_NMI, {NMI_EXIT}, NULL, say_seen},
    {"nmi exits, virtual nmis", "signal and loop", ICR_NMI, {VIRTUAL_NMIS}, NULL, say_seen},
    {"nmi is delivered", "signal and loop", ICR_NMI, {}, NULL, say_seen},
    {"nmi exits from hlt", "signal and hlt", ICR_NMI, {NMI_EXIT}, NULL, say_seen},
    {"nmi is delivered in hlt", "signal and hlt", ICR_NMI, {}, NULL, say_seen},
    {"nmi exits from shutdown", NULL, ICR_NMI, {NMI_EXIT, ACTIVITY(SHUTDOWN)}, NULL, say_seen},
    {"nmi is delivered in shutdown", NULL, ICR_NMI, {ACTIVITY(SHUTDOWN)}, NULL, say_seen},
    {"posted, delivered", "signal and loop", NOTICE, {POSTING, IF_ON}, prepare_posted, say_posted},
    {"posted, delivered in hlt",
     "signal and hlt",
     NOTICE,
     {POSTING, IF_ON},
     prepare_posted,
     say_posted},
    {"posted, another vector exits",
     "signal and loop",
     VECTOR,
     {POSTING, IF_ON},
     prepare_posted,
     say_posted},
};

static void event_row(const struct event *what, u32 flags)
{
    if (!start(STATE_VMCS, what->name, flags))
        return;
    guest_setup(GUEST_64, flags);
    for (u32 i = 0; i < ARRAY_SIZE(what->edits); i++)
        edit_apply(&what->edits[i]);
    if (!controls_offered())
        return;
    if (what->prepare)
        what->prepare();
    guest_touch();
    set_watchdog();
    guest_code(what->code ? what->code : "nop");
    event = what;
    other_do(send_event);
    guest_run(true);
    other_wait();
    say_exec();
    what->finish();
    row_end();
}

/* ---- events for the L2 of the other core */

/* Its VMCS, made here with the same guest memory; code goes to OTHER_CODE. */
static void make_other_vmcs(u32 flags, const char *code)
{
    const struct code *found = find_code(code, 64);

    *(u32 *)arena_page(PAGE_OTHER_VMCS) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    *(u32 *)arena_page(PAGE_OTHER_VMXON) = (u32)(vmx_basic & VMX_BASIC_REVISION);
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    vm_load(arena_address(PAGE_OTHER_VMCS));
    guest_setup(GUEST_64, flags);
    memcpy(guest_memory(OTHER_CODE), found->start, found->length);
    guest_entry = OTHER_CODE;
    vm_write(GUEST_RIP, OTHER_CODE);
}

static void put_other_vmcs(void)
{
    row_uses(features_in_use());
    vm_clear(arena_address(PAGE_OTHER_VMCS));
}

static void say_launch(u8 status)
{
    if (status)
        say_vmfail(status);
    else
        say_exit();
}

static void enter_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    vm_load(arena_address(PAGE_OTHER_VMCS));
    other_set_host();
    say_launch(guest_enter(true, 0));
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    __asm__ volatile("vmxoff" ::: "cc");
}

struct other_event {
    const char *name;
    const char *code; /* as above */
    u32 icr[2];       /* one after the other */
    struct edit edits[3];
};

#define SIPI(page) (ICR_SIPI | (page))

static const struct other_event other_events[] = {
    {"init exits", "g signal and loop", {ICR_INIT}, {}},
    {"init exits from hlt", "g signal and hlt", {ICR_INIT}, {}},
    {"init exits from shutdown", NULL, {ICR_INIT}, {ACTIVITY(SHUTDOWN)}},
    {"init wins over interrupt blocking",
     "g signal and loop",
     {ICR_INIT},
     {SET(GUEST_INTERRUPTIBILITY_INFO, INTERRUPTIBILITY_NMI)}},
    {"sipi is ignored when active", "g signal and loop", {SIPI(0x12), ICR_INIT}, {}},
    {"sipi is ignored in hlt", "g signal and hlt", {SIPI(0x12), ICR_INIT}, {}},
    {"sipi exits", NULL, {SIPI(0x9a)}, {ACTIVITY(WAIT_FOR_SIPI)}},
    {"sipi of page 0 exits", NULL, {SIPI(0)}, {ACTIVITY(WAIT_FOR_SIPI)}},
    {"init is blocked in wait for sipi", NULL, {ICR_INIT, SIPI(0x21)}, {ACTIVITY(WAIT_FOR_SIPI)}},
    {"nmi is blocked in wait for sipi",
     NULL,
     {ICR_NMI, SIPI(0x22)},
     {ACTIVITY(WAIT_FOR_SIPI), NMI_EXIT}},
    {"interrupt is blocked in wait for sipi",
     NULL,
     {VECTOR, SIPI(0x23)},
     {ACTIVITY(WAIT_FOR_SIPI), EXTERNAL}},
    {"interrupt is blocked in shutdown", NULL, {VECTOR, ICR_INIT}, {ACTIVITY(SHUTDOWN)}},
};

static void other_event_row(const struct other_event *what, u32 flags)
{
    if (!start(STATE_VMCS, what->name, flags))
        return;
    make_other_vmcs(flags, what->code ? what->code : "g nop");
    for (u32 i = 0; i < ARRAY_SIZE(what->edits); i++)
        edit_apply(&what->edits[i]);
    if (!controls_offered())
        return;
    put_other_vmcs();
    other_nmis = 0;
    other_do(enter_job);
    if (what->code) {
        wait_until(flag(FLAG_A), 1);
        spin(SOON);
    } else {
        spin(LATER);
    }
    for (u32 i = 0; i < ARRAY_SIZE(what->icr) && what->icr[i]; i++) {
        other_send(what->icr[i]);
        spin(SOON);
    }
    if (!other_wait())
        say("it stays in there");
    say(" nmis %lu", other_nmis);
    row_end();
}

/* ---- root operation blocks INIT; VMXOFF lets it in */

static volatile u32 in_root, may_leave;

static void root_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    in_root = 1;
    wait_until(&may_leave, 1);
    say("in root operation still; ");
    __asm__ volatile("vmxoff" ::: "cc");
}

static void root_init_row(void)
{
    u64 starts;

    if (!start(STATE_VMCS, "init waits for vmxoff", 0))
        return;
    make_other_vmcs(0, "g nop");
    put_other_vmcs();
    in_root = may_leave = 0;
    starts = other_starts;
    other_do(root_job);
    wait_until(&in_root, 1);
    other_send(ICR_INIT);
    spin(SOON);
    may_leave = 1;
    spin(LATER);
    other_sipi();
    say("started %lu times", other_starts - starts);
    row_end();
}

static void init_sipi_row(void)
{
    u64 starts = other_starts;

    if (!start(STATE_ROOT, "init and sipi outside of vmx operation", 0))
        return;
    for (u32 i = 0; i < 3; i++)
        other_start();
    say("started %lu times", other_starts - starts);
    row_end();
}

static void init_twice_row(void)
{
    u64 starts = other_starts;

    if (!start(STATE_ROOT, "init, init and sipi", 0))
        return;
    for (u32 i = 0; i < 2; i++) {
        other_send(ICR_INIT);
        spin(SOON);
        other_start();
    }
    say("started %lu times", other_starts - starts);
    row_end();
}

/* The MP protocol has a pause of 10 ms in between; much software has none. */
static void init_sipi_at_once_row(void)
{
    u64 starts = other_starts;

    if (!start(STATE_ROOT, "init and sipi at once", 0))
        return;
    for (u32 i = 0; i < 10; i++) {
        other_send(ICR_INIT);
        other_sipi();
    }
    say("started %lu times", other_starts - starts);
    row_end();
}

static void root_nmi_row(void)
{
    if (!start(STATE_VMCS, "nmi in root operation", 0))
        return;
    make_other_vmcs(0, "g nop");
    put_other_vmcs();
    in_root = may_leave = 0;
    other_nmis = 0;
    other_do(root_job);
    wait_until(&in_root, 1);
    other_send(ICR_NMI);
    spin(SOON);
    may_leave = 1;
    other_wait();
    say("nmis %lu", other_nmis);
    row_end();
}

/* ---- NMIs at any place of an exit */

#define NMIS_AT_EXITS 2000u

static volatile u32 over;

static void exit_job(void)
{
    u32 out[4];

    while (!over)
        cpuid(0, 0, out);
}

static void nmis_at_exits_row(void)
{
    u32 sent = 0;

    if (!start(STATE_VMCS, "nmis at any place of an exit", 0))
        return;
    other_nmis = 0;
    over = 0;
    other_do(exit_job);
    do
        other_send(ICR_NMI);
    while (wait_until((volatile u32 *)&other_nmis, ++sent) && sent < NMIS_AT_EXITS);
    over = 1;
    other_wait();
    say("sent %u, seen %lu", sent, other_nmis);
    row_end();
}

/* ---- both cores in L2s */

static void meeting_row(u32 flags)
{
    if (!start(STATE_VMCS, "two l2s meet", flags))
        return;
    make_other_vmcs(flags, "g signal b and wait for a");
    put_other_vmcs();
    vm_load(arena_address(PAGE_VMCS));
    guest_setup(GUEST_64, flags);
    guest_code("signal a and wait for b");
    memcpy(guest_memory(OTHER_CODE), find_code("g signal b and wait for a", 64)->start,
           find_code("g signal b and wait for a", 64)->length);
    set_watchdog();
    other_do(enter_job);
    guest_run(true);
    other_wait();
    say(" | ");
    say_exec();
    row_end();
}

static volatile u32 other_count;

static void many_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    for (other_count = 0; other_count < ROUNDS; other_count++) {
        vm_load(arena_address(PAGE_OTHER_VMCS));
        other_set_host();
        vm_write(GUEST_RIP, OTHER_CODE);
        if (guest_enter(true, 0) || vm_read(VM_EXIT_REASON) != EXIT_REASON_CPUID)
            break;
        vm_clear(arena_address(PAGE_OTHER_VMCS));
    }
    __asm__ volatile("vmxoff" ::: "cc");
}

static void many_row(u32 flags)
{
    u32 count;

    if (!start(STATE_VMCS, "both enter 100 times", flags))
        return;
    make_other_vmcs(flags, "g cpuid");
    put_other_vmcs();
    vm_load(arena_address(PAGE_VMCS));
    guest_setup(GUEST_64, flags);
    guest_code("cpuid");
    memcpy(guest_memory(OTHER_CODE), find_code("g cpuid", 64)->start, 2);
    other_do(many_job);
    for (count = 0; count < ROUNDS; count++) {
        guest_run(count == 0);
        if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != EXIT_REASON_CPUID)
            break;
    }
    other_wait();
    say("here %u there %u", count, other_count);
    row_end();
}

/* ---- a hundred events, each an exit */

static volatile u32 sent, taken;
static u32 storm_icr;

static void storm_job(void)
{
    for (sent = 0; sent < ROUNDS;) {
        if (!wait_until(&taken, sent) || !wait_until(flag(FLAG_A), 1))
            return;
        spin(100);
        *flag(FLAG_A) = 0;
        sent++;
        other_send(storm_icr);
    }
}

static void storm_row(const char *name, u32 icr, u32 pin, u32 reason, u32 flags)
{
    if (!start(STATE_VMCS, name, flags))
        return;
    guest_setup(GUEST_64, flags);
    field_set(PIN_BASED_VM_EXEC_CONTROL, pin);
    field_set(VM_EXIT_CONTROLS, VM_EXIT_ACK_INTR_ON_EXIT);
    if (!controls_offered())
        return;
    guest_code("signal and loop");
    storm_icr = icr;
    taken = 0;
    other_do(storm_job);
    while (taken < ROUNDS) {
        set_watchdog();
        vm_write(GUEST_RIP, guest_entry);
        guest_run(taken == 0);
        nmi_unblock();
        apic_write(APIC_EOI, 0);
        if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != reason)
            break;
        taken++;
    }
    other_wait();
    say("sent %u taken %u; ", sent, taken);
    say_exec();
    say_seen();
    row_end();
}

/* ---- VMCSs, EPTs and registers that both cores use */

static void foreign_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    vm_load(arena_address(PAGE_VMCS));
    say(" | there rsp %lx: ", vm_read(GUEST_RSP));
    other_set_host();
    vm_write(GUEST_RIP, vm_read(GUEST_RIP) + vm_read(VM_EXIT_INSTRUCTION_LEN));
    say_launch(guest_enter(true, 0));
    vm_write(GUEST_RSP, 0x2800);
    vm_clear(arena_address(PAGE_VMCS));
    __asm__ volatile("vmxoff" ::: "cc");
}

static void moving_row(u32 flags)
{
    if (!start(STATE_VMCS, "a vmcs moves there and back", flags))
        return;
    make_other_vmcs(flags, "g nop");
    put_other_vmcs();
    vm_load(arena_address(PAGE_VMCS));
    guest_setup(GUEST_64, flags);
    guest_code("cpuid twice");
    guest_run(true);
    say_exec();
    vm_clear(arena_address(PAGE_VMCS));
    other_do(foreign_job);
    other_wait();
    vm_load(arena_address(PAGE_VMCS));
    say(" | back rsp %lx: ", vm_read(GUEST_RSP));
    vm_write(HOST_TR_SELECTOR, SEL_TSS);
    vm_write(HOST_TR_BASE, (u64)tss);
    vm_write(HOST_RIP, (u64)vm_exit_entry);
    guest_skip();
    guest_run(true);
    say_exec();
    row_end();
}

static void ept_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    *ept_entry(L2_SPARE) = *ept_entry(L2_SPARE + PAGE_SIZE);
    flush_ept();
    __asm__ volatile("vmxoff" ::: "cc");
}

static void ept_row(void)
{
    if (!start(STATE_VMCS, "an ept changed there", WITH_ALL))
        return;
    make_other_vmcs(WITH_ALL, "g nop");
    put_other_vmcs();
    vm_load(arena_address(PAGE_VMCS));
    guest_setup(GUEST_64, WITH_ALL);
    guest_code("read spare twice");
    for (u32 at = 0; at < 2 * PAGE_SIZE; at += 4)
        *(u32 *)guest_memory(L2_SPARE + at) = at;
    guest_run(true);
    say("%lx %lx", exec.gpr[RAX], exec.gpr[RBX]);
    other_do(ept_job);
    other_wait();
    flush_ept();
    vm_write(GUEST_RIP, guest_entry);
    guest_run(false);
    say(" then %lx %lx ", exec.gpr[RAX], exec.gpr[RBX]);
    say_exec();
    row_end();
}

static u64 msrs_here[MSR_IA32_VMX_TRUE_ENTRY_CTLS - MSR_IA32_VMX_BASIC + 1];

static void compare_job(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(msrs_here); i++)
        if (read_msr(MSR_IA32_VMX_BASIC + i) != msrs_here[i])
            say("%x ", MSR_IA32_VMX_BASIC + i);
    say("feature control %lx boot processor %lu pat %lx mtrr default %lx",
        read_msr(MSR_IA32_FEATURE_CONTROL), read_msr(MSR_IA32_APIC_BASE) >> 8 & 1,
        read_msr(MSR_IA32_PAT), read_msr(MSR_IA32_MTRR_DEF_TYPE));
}

static void capability_row(void)
{
    if (!(vmx_basic & VMX_BASIC_TRUE_CTLS) || !start(STATE_OFF, "capabilities are the same", 0))
        return;
    for (u32 i = 0; i < ARRAY_SIZE(msrs_here); i++)
        msrs_here[i] = read_msr(MSR_IA32_VMX_BASIC + i);
    other_do(compare_job);
    other_wait();
    row_end();
}

static void apart_job(void)
{
    vm_on(arena_address(PAGE_OTHER_VMXON));
    say("there %p", (void *)vm_current());
    vm_load(arena_address(PAGE_OTHER_VMCS));
    say(" %p", (void *)vm_current());
    vm_write(GUEST_RSP, 0x1234);
    vm_clear(arena_address(PAGE_OTHER_VMCS));
    __asm__ volatile("vmxoff" ::: "cc");
}

static void apart_row(void)
{
    if (!start(STATE_VMCS, "current vmcss are apart", 0))
        return;
    make_other_vmcs(0, "g nop");
    put_other_vmcs();
    vm_load(arena_address(PAGE_VMCS));
    vm_write(GUEST_RSP, 0x5678);
    other_do(apart_job);
    other_wait();
    say(" here %p %lx", (void *)vm_current(), vm_read(GUEST_RSP));
    vm_load(arena_address(PAGE_OTHER_VMCS));
    say(" %lx", vm_read(GUEST_RSP));
    row_end();
}

static void shared_rows(u32 flags)
{
    meeting_row(flags);
    many_row(flags);
    storm_row("100 interrupts", VECTOR, PIN_BASED_EXT_INTR_MASK, EXIT_REASON_EXTERNAL_INTERRUPT,
              flags);
    storm_row("100 nmis", ICR_NMI, PIN_BASED_NMI_EXITING, EXIT_REASON_EXCEPTION_NMI, flags);
    moving_row(flags);
    for (u32 i = 0; i < ARRAY_SIZE(events); i++)
        event_row(&events[i], flags);
    for (u32 i = 0; i < ARRAY_SIZE(other_events); i++)
        other_event_row(&other_events[i], flags);
}

void rows_smp(void)
{
    capability_row();
    apart_row();
    root_nmi_row();
    nmis_at_exits_row();
    root_init_row();
    init_sipi_row();
    init_twice_row();
    init_sipi_at_once_row();
    shared_rows(0);
    shared_rows(WITH_ALL);
    ept_row();
}
