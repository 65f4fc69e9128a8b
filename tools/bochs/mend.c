// Preloaded into Debian's Bochs 3.1: mends eight faults of that build.
//
// - 64-bit IDIV: long_idiv() breaks C's aliasing rule and the compiler dropped a store, so that
//   13/10 is 365. It is replaced only if it is seen to answer wrongly.
// - More than one CPU: the main loop does not set prev_rip = RIP after an exception or VM exit that
//   left through longjmp (the single-CPU loop does). A fault at the first instruction of a fault
//   handler then resumes at the old instruction. longjmp is interposed and does the assignment.
// - VM entry with external-interrupt exiting into a guest with RFLAGS.IF = 0 leaves interrupts
//   masked, as the mask is computed before the CPU counts as being in the guest. A guest that spins
//   with IF = 0 and never exits then stops the whole machine. VM entry's call of
//   VMenterInjectEvents(), which comes late enough, is led through a function that computes it
//   again.
// - A startup IPI that makes a guest exit does so from within the sender's instruction, and leaves
//   it through longjmp: of a broadcast only the first such CPU gets it. The APIC's call of
//   deliver_SIPI() is led through a function that catches this longjmp.
// - A physical interrupt that arrives while a virtual one is pending, but masked by RFLAGS.IF, gets
//   the virtual one delivered. HandleExtInterrupt()'s call that delivers it is led through a
//   function that asks whether it is masked.
// - An APIC that is switched off in IA32_APIC_BASE cannot be switched on again, as only 3-wire APIC
//   buses have it (SDM vol. 3, Enabling or Disabling the Local APIC): relocate_apic() ignores the
//   write. Its jump for this case is taken out.
// - An EPT violation, or what else is as transparent, during the delivery of an event saves RF = 1,
//   not the event's own image of it, as the delivery is forgotten before it is asked for. The call
//   of VMexitReadEFLAGS() is led through a function that asks the IDT-vectoring information.
// - An INIT that arrives while VMX root operation blocks it is forgotten, not kept until the next
//   VM entry or VMXOFF (SDM vol. 3, Restrictions on VMX Operation). deliver_INIT() is replaced.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include "count.h"
#include "patch.h"

#define EVENT_VIRTUAL_INTERRUPT (1U << 9) // BX_EVENT_PENDING_VMX_VIRTUAL_INTR
#define EVENT_INIT              (1U << 2) // BX_EVENT_INIT
#define WAIT_FOR_SIPI           3         // BX_ACTIVITY_STATE_WAIT_FOR_SIPI
#define IDT_VECTORING_INFO      0x4408
#define EXIT_EXCEPTION          0
#define EXIT_HLT                12 // saves RFLAGS as they are

struct bit128s {
    uint64_t lo;
    int64_t hi;
};

typedef void long_idiv_fn(struct bit128s *, int64_t *, const struct bit128s *, int64_t);
typedef void cpu_fn(void *);
typedef void sipi_fn(void *, unsigned);
typedef uint32_t eflags_fn(void *, uint32_t, uint32_t);
typedef uint32_t vmread_fn(void *, uint32_t);
typedef void (*longjmp_fn)(jmp_buf, int) __attribute__((noreturn));

static cpu_fn *mask_interrupts, *real_inject_events;
static cpu_fn *handle_interrupt, *real_deliver_virtual;
static uint32_t event_mask_offset;
static sipi_fn *real_deliver_sipi;
static eflags_fn *real_exit_eflags;
static vmread_fn *vmread;
static jmp_buf sipi_sender;
static volatile int delivering_sipi;
static longjmp_fn real_longjmp, real_longjmp_chk;

// A jump to a function of this library from where Bochs's own calls reach: within 2 GiB of them.
static const void *springboard(void *target)
{
    static uint8_t *next;

    if (!next) {
        uintptr_t bochs = (uintptr_t)patch_symbol("bx_cpu_count") & ~0xfffUL;

        next = mmap((void *)(bochs - (64UL << 20)), 0x1000, PROT_READ | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (next == MAP_FAILED)
            patch_fail("mmap");
    }
    patch_replace(next, target);
    next += 16;
    return next - 16;
}

// Leads the calls (or tail calls) of one function that stand in another to a third.
static void replace_calls(const char *caller, size_t size, void *from, void *to)
{
    uint8_t *code = patch_symbol(caller);
    const uint8_t *board = springboard(to);
    int found = 0;

    for (uint8_t *call = code; call + 5 <= code + size; call++) {
        ptrdiff_t reach = board - (call + 5);
        int32_t distance;

        memcpy(&distance, call + 1, 4);
        if ((*call != 0xe8 && *call != 0xe9) || call + 5 + distance != from)
            continue;
        distance = (int32_t)reach;
        if (distance != reach)
            patch_fail("no memory near Bochs's code");
        patch_write(call + 1, &distance, 4);
        found++;
    }
    if (!found)
        patch_fail(caller);
}

static void right_idiv(struct bit128s *quotient, int64_t *remainder, const struct bit128s *dividend,
                       int64_t divisor)
{
    __int128 n = (__int128)(((unsigned __int128)(uint64_t)dividend->hi << 64) | dividend->lo);
    unsigned __int128 q;

    // -2^127 / -1 does not fit; any answer that is out of IDIV's range will do.
    q = divisor == -1 ? -(unsigned __int128)n : (unsigned __int128)(n / divisor);
    *remainder = divisor == -1 ? 0 : (int64_t)(n % divisor);
    quotient->lo = (uint64_t)q;
    quotient->hi = (int64_t)(q >> 64);
}

static void mend_division(void)
{
    long_idiv_fn *divide = (long_idiv_fn *)patch_symbol("_Z9long_idivP7Bit128sPlPKS_l");
    struct bit128s dividend = {13, 0}, quotient = {0, 0};
    int64_t remainder = 0;

    divide(&quotient, &remainder, &dividend, 10);
    if (quotient.lo != 1 || quotient.hi != 0 || remainder != 3)
        patch_replace((void *)divide, (void *)right_idiv);
}

static void commit_rip(void)
{
    if (!patch_cpu(0))
        return;
    if (!patch_prev_rip) {
        if (patch_cpu_count() > 1)
            patch_fail("RIP's place in the CPU structure was not found: only one CPU is possible");
        return;
    }
    for (unsigned i = 0; i < patch_cpu_count(); i++)
        memcpy(patch_cpu(i) + patch_prev_rip, patch_cpu(i) + patch_rip, 8);
}

// The target of a startup IPI has exited from its guest: back to the sender.
static void return_to_sender(void)
{
    if (!delivering_sipi)
        return;
    delivering_sipi = 0;
    real_longjmp(sipi_sender, 1);
}

void longjmp(jmp_buf env, int value)
{
    return_to_sender();
    commit_rip();
    real_longjmp(env, value);
}

void __longjmp_chk(jmp_buf env, int value) __attribute__((noreturn));
void __longjmp_chk(jmp_buf env, int value)
{
    return_to_sender();
    commit_rip();
    real_longjmp_chk(env, value);
}

static void inject_events(void *cpu)
{
    mask_interrupts(cpu);
    real_inject_events(cpu);
}

static void mend_interrupt_mask(void)
{
    mask_interrupts = (cpu_fn *)patch_symbol("_ZN8BX_CPU_C25handleInterruptMaskChangeEv");
    real_inject_events = (cpu_fn *)patch_symbol("_ZN8BX_CPU_C19VMenterInjectEventsEv");
    replace_calls("_ZN8BX_CPU_C8VMLAUNCHEP15bxInstruction_c", 0x580, (void *)real_inject_events,
                  (void *)inject_events);
}

static void deliver_sipi(void *cpu, unsigned vector)
{
    if (!setjmp(sipi_sender)) {
        delivering_sipi = 1;
        real_deliver_sipi(cpu, vector);
    }
    delivering_sipi = 0;
}

static void mend_startup(void)
{
    real_deliver_sipi = (sipi_fn *)patch_symbol("_ZN8BX_CPU_C12deliver_SIPIEj");
    replace_calls("_ZN15bx_local_apic_c7deliverEhhh", 0x140, (void *)real_deliver_sipi,
                  (void *)deliver_sipi);
}

static uint32_t *event_word(void *cpu, uint32_t offset)
{
    return (uint32_t *)((uint8_t *)cpu + offset);
}

static void deliver_virtual(void *cpu)
{
    if (!(*event_word(cpu, event_mask_offset) & EVENT_VIRTUAL_INTERRUPT)) {
        real_deliver_virtual(cpu);
        return;
    }
    // Once more, for the physical one alone: it makes the guest exit, or is a posted interrupt's
    // notification. Both evaluate anew what is pending.
    *event_word(cpu, event_mask_offset - 4) &= ~EVENT_VIRTUAL_INTERRUPT;
    handle_interrupt(cpu);
}

// mask_interrupts() begins by loading event_mask: "mov offset(%rdi), %eax". The pending events come
// just before it in BX_CPU_C.
static void find_event_mask(void)
{
    static const uint8_t load[] = {0x8b, 0x87};
    const uint8_t *code = memmem((void *)mask_interrupts, 32, load, sizeof(load));

    if (!code)
        patch_fail("event_mask's place in the CPU structure was not found");
    memcpy(&event_mask_offset, code + sizeof(load), 4);
}

static void mend_virtual_interrupts(void)
{
    find_event_mask();
    real_deliver_virtual = (cpu_fn *)patch_symbol("_ZN8BX_CPU_C29VMX_Deliver_Virtual_InterruptEv");
    handle_interrupt = (cpu_fn *)patch_symbol("_ZN8BX_CPU_C18HandleExtInterruptEv");
    replace_calls("_ZN8BX_CPU_C18HandleExtInterruptEv", 0x140, (void *)real_deliver_virtual,
                  (void *)deliver_virtual);
}

// The jump: "testb $8, msr.apicbase+1(%rdi); je ignored". A build without it is left as it is.
static void mend_apic_switch(void)
{
    static const uint8_t jump[] = {0x08, 0x0f, 0x84}, nop[] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
    uint8_t *code = patch_symbol("_ZN8BX_CPU_C13relocate_apicEm");
    uint8_t *found = memmem(code, 64, jump, sizeof(jump));

    if (found && found[-6] == 0xf6 && found[-5] == 0x87)
        patch_write(found + 1, nop, sizeof(nop));
}

// A processor that waits for a SIPI is not changed by an INIT, nor afterwards.
static void deliver_init(void *cpu)
{
    if (*event_word(cpu, event_mask_offset - 8) == WAIT_FOR_SIPI)
        return;
    *event_word(cpu, event_mask_offset - 4) |= EVENT_INIT;
    *event_word(cpu, event_mask_offset + 4) = 1; // async_event
}

// deliver_SIPI() begins by "cmpl $3, activity_state(%rdi)", which comes just before the events.
static void mend_init(void)
{
    static const uint8_t compare[] = {0x83, 0xbf};
    const uint8_t *code = memmem((void *)real_deliver_sipi, 16, compare, sizeof(compare));
    uint32_t offset = 0;

    if (code)
        memcpy(&offset, code + sizeof(compare), 4);
    if (!code || offset != event_mask_offset - 8 || code[6] != WAIT_FOR_SIPI)
        patch_fail("activity_state's place in the CPU structure was not found");
    patch_replace(patch_symbol("_ZN8BX_CPU_C12deliver_INITEv"), (void *)deliver_init);
}

static uint32_t exit_eflags(void *cpu, uint32_t reason, uint32_t vector)
{
    int delivering = vmread(cpu, IDT_VECTORING_INFO) >> 31;

    if (delivering && reason != EXIT_EXCEPTION)
        reason = EXIT_HLT;
    return real_exit_eflags(cpu, reason, vector);
}

static void mend_exit_flags(void)
{
    real_exit_eflags = (eflags_fn *)patch_symbol("_ZN8BX_CPU_C16VMexitReadEFLAGSEjj");
    vmread = (vmread_fn *)patch_symbol("_ZN8BX_CPU_C8VMread32Ej");
    replace_calls("_ZN8BX_CPU_C20VMexitSaveGuestStateEjj", 0x100, (void *)real_exit_eflags,
                  (void *)exit_eflags);
}

static void __attribute__((constructor)) mend(void)
{
    patch_init();
    real_longjmp = (longjmp_fn)dlsym(RTLD_NEXT, "longjmp");
    real_longjmp_chk = (longjmp_fn)dlsym(RTLD_NEXT, "__longjmp_chk");
    mend_division();
    mend_interrupt_mask();
    mend_startup();
    mend_virtual_interrupts();
    mend_apic_switch();
    mend_init();
    mend_exit_flags();
    count_init();
}
