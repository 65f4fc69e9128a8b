/* Exceptions, interrupts, NMIs, injection, blocking and windows, timers and traps of L2. */
#include "guest_rows.h"

#define BITMAP(bits)          SET(EXCEPTION_BITMAP, bits)
#define ALL_EXCEPTIONS        BITMAP(0xffffffff)
#define IF_ON                 OR(GUEST_RFLAGS, RFLAGS_IF)
#define TF_ON                 OR(GUEST_RFLAGS, RFLAGS_TF)
#define ABSENT                MEMORY(L2_PT + 8 * 0x30, 0)
#define INJECT(info)          SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | (info))
#define INJECT_LENGTH(length) SET(VM_ENTRY_INSTRUCTION_LEN, length)
#define INJECT_CODE(code)     SET(VM_ENTRY_EXCEPTION_ERROR_CODE, code)
#define CODE                  INTR_INFO_DELIVER_CODE_MASK
#define NMI                   (INTR_TYPE_NMI | VECTOR_NMI)
#define BLOCK(bits)           SET(GUEST_INTERRUPTIBILITY_INFO, bits)

/*
 * What the processor pushed: the topmost words of the guest's stack. With EPT an L0 may have to
 * fill in the stack's page first, and after that exit Bochs pushes RF set (it saves RF = 1 for
 * every EPT violation; SDM vol. 3, 28.3.3, wants the event's own image during delivery): so RF is
 * compared without EPT only.
 */
static void say_stack(void)
{
    u64 rsp = vm_read(GUEST_RSP);
    bool is_64 =
        guest_mode == GUEST_64 || guest_mode == GUEST_64_USER || guest_mode == GUEST_COMPAT;
    u32 size = is_64 ? 8 : guest_mode == GUEST_REAL ? 2 : 4;

    say(" rsp %lx:", rsp);
    if (rsp < L2_STACK_TOP - 0x100 || rsp > L2_STACK_TOP)
        return;
    for (u64 at = rsp; at < L2_STACK_TOP && at < rsp + 8ull * size; at += size) {
        u64 word = 0;

        memcpy(&word, guest_memory((u32)at), size);
        if (guest_flags & WITH_EPT)
            word &= ~(u64)RFLAGS_RF;
        say(" %lx", word);
    }
}

/* ---- exceptions, first delivered by the guest's IDT, then all of them leaving */

struct exception_case {
    const char *code;
    u32 modes;
    struct edit edits[4];
};

static const struct exception_case exceptions[] = {
    {"ud2", ALL_MODES, {}},
    {"int3", ALL_MODES & ~V86, {}},
    {"int1", ALL_MODES, {}},
    {"int 3 in two bytes", M64 | M32 | REAL, {}},
    {"int 0x30", ALL_MODES & ~V86, {}},
    {"into", LEGACY | USER32 | REAL, {}},
    {"bound", LEGACY | USER32, {}},
    {"divide by zero", ALL_MODES, {}},
    {"general protection", M64 | USER64, {}},
    {"stack fault", M64 | USER64, {}},
    {"load bad selector", M64 | USER64, {}},
    {"load not-present", M64 | USER64, {MEMORY(L2_GDT + 0x6c, 0x00cf1300)}},
    {"load not-present ss", M64, {MEMORY(L2_GDT + 0x6c, 0x00cf1300)}},
    {"alignment check", USER64, {OR(GUEST_CR0, CR0_AM), OR(GUEST_RFLAGS, RFLAGS_AC)}},
    {"fpu", ALL_MODES, {OR(GUEST_CR0, CR0_TS)}},
    {"fpu error", M64, {}},
    {"single step", M64 | USER64, {}},
    {"data breakpoint", M64, {}},
    {"code breakpoint", M64, {}},
    {"read absent", M64 | USER64 | M32 | USER32, {ABSENT}},
    {"write absent", M64 | USER64 | M32 | USER32, {ABSENT}},
    {"fetch absent", M64 | USER64 | M32, {ABSENT}},
    {"rmw absent", M64, {ABSENT}},
    {"push absent", M64, {ABSENT}},
    {"call absent", M64, {ABSENT}},
    {"movsb", M64, {ABSENT}},
    {"cross into absent", M64, {MEMORY(L2_PT + 8 * 3, 0)}},
    {"write cross into absent", M64, {MEMORY(L2_PT + 8 * 3, 0)}},
    {"two breakpoints", M64, {}},
    {"mov ss under breakpoint", M64, {}},
    {"popf tf cpuid", M64, {}},
    {"popf tf mov ss cpuid", M64, {}},
};

static void exception_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(exceptions); i++) {
        struct guest_row what = {.code = exceptions[i].code,
                                 .modes = exceptions[i].modes,
                                 .flags = NO_REGISTERS,
                                 .finish = say_stack};

        memcpy(what.edits, exceptions[i].edits, sizeof(exceptions[i].edits));
        guest_rows("exception", &what, 1);
        what.edits[4] = (struct edit)ALL_EXCEPTIONS;
        guest_rows("exception-exit", &what, 1);
    }
}

/* The error-code mask and match against the bitmap's bit 14. SDM vol. 3, 26.2. */
static void page_fault_rows(void)
{
    static const u32 masks[] = {0, 1, 2, 0x10, 0xffffffff};
    static const u32 matches[] = {0, 1, 2, 3, 0x10, 0xffffffff};
    static const char *const codes[] = {"read absent", "write absent", "fetch absent"};

    for (u32 code = 0; code < ARRAY_SIZE(codes); code++)
        for (u32 bit = 0; bit < 2; bit++)
            for (u32 i = 0; i < ARRAY_SIZE(masks); i++)
                for (u32 j = 0; j < ARRAY_SIZE(matches); j++) {
                    char name[64];
                    struct guest_row what = {
                        .name = name,
                        .code = codes[code],
                        .flags = PLAIN_ONLY | NO_REGISTERS,
                        .edits = {BITMAP(bit << VECTOR_PF), ABSENT,
                                  SET(PAGE_FAULT_ERROR_CODE_MASK, masks[i]),
                                  SET(PAGE_FAULT_ERROR_CODE_MATCH, matches[j])},
                    };

                    format_text(name, sizeof(name), "%s bit %u mask %x match %x", codes[code], bit,
                                masks[i], matches[j]);
                    guest_rows("page-fault", &what, 1);
                }
}

/* ---- a second event while the first is delivered */

#define IDT64(vector) (L2_IDT + 16 * (vector))

static const struct guest_row nested_rows[] = {
    {.name = "ud with an absent gate",
     .code = "ud2",
     .edits = {MEMORY(IDT64(6) + 4, 0x6e00)},
     .finish = say_stack},
    {.name = "ud with an absent gate, np exits",
     .code = "ud2",
     .edits = {MEMORY(IDT64(6) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "int with an absent gate",
     .code = "int 0x30",
     .edits = {MEMORY(IDT64(0x30) + 4, 0x6e00)},
     .finish = say_stack},
    {.name = "int with an absent gate, np exits",
     .code = "int 0x30",
     .edits = {MEMORY(IDT64(0x30) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "int3 with an absent gate, np exits",
     .code = "int3",
     .edits = {MEMORY(IDT64(3) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "int1 with an absent gate, np exits",
     .code = "int1",
     .edits = {MEMORY(IDT64(1) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "int beyond the limit",
     .code = "int 0x30",
     .edits = {SET(GUEST_IDTR_LIMIT, 0x2ff)},
     .finish = say_stack},
    {.name = "int beyond the limit, gp exits",
     .code = "int 0x30",
     .edits = {SET(GUEST_IDTR_LIMIT, 0x2ff), BITMAP(BIT(13))}},
    {.name = "gp gate absent, df",
     .code = "general protection",
     .edits = {MEMORY(IDT64(13) + 4, 0x6e00)},
     .finish = say_stack,
     .flags = NO_REGISTERS},
    {.name = "gp gate absent, df exits",
     .code = "general protection",
     .edits = {MEMORY(IDT64(13) + 4, 0x6e00), BITMAP(BIT(8))},
     .flags = NO_REGISTERS},
    {.name = "gp gate absent, np exits",
     .code = "general protection",
     .edits = {MEMORY(IDT64(13) + 4, 0x6e00), BITMAP(BIT(11))},
     .flags = NO_REGISTERS},
    {.name = "triple fault",
     .code = "ud2",
     .modes = M64 | M32 | REAL | USER64,
     .edits = {SET(GUEST_IDTR_LIMIT, 0)}},
    {.name = "triple fault with gp exits",
     .code = "ud2",
     .modes = M64 | M32,
     .edits = {SET(GUEST_IDTR_LIMIT, 0), BITMAP(BIT(13))}},
    {.name = "triple fault with df exits",
     .code = "ud2",
     .modes = M64 | M32,
     .edits = {SET(GUEST_IDTR_LIMIT, 0), BITMAP(BIT(8))}},
    {.name = "idt page absent", .code = "ud2", .edits = {MEMORY(L2_PT + 8 * 6, 0)}},
    {.name = "idt page absent, pf exits",
     .code = "ud2",
     .edits = {MEMORY(L2_PT + 8 * 6, 0), BITMAP(BIT(14))}},
    {.name = "idt page absent, df exits",
     .code = "ud2",
     .edits = {MEMORY(L2_PT + 8 * 6, 0), BITMAP(BIT(8))}},
    {.name = "stack page absent, pf exits",
     .code = "int 0x30",
     .edits = {MEMORY(L2_PT + 8 * 2, 0), BITMAP(BIT(14))}},
    {.name = "stack page absent, soft int",
     .code = "int 0x30",
     .edits = {MEMORY(L2_PT + 8 * 2, 0)}},
    {.name = "pf in pf, pf exits",
     .code = "read absent",
     .edits = {ABSENT, MEMORY(L2_PT + 8 * 6, 0), BITMAP(BIT(14))}},
    {.name = "injected gp, gate absent, np exits",
     .code = "nop",
     .edits = {INJECT(INTR_TYPE_EXCEPTION | CODE | 13), INJECT_CODE(0x18),
               MEMORY(IDT64(13) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "injected interrupt, gate absent, np exits",
     .code = "nop",
     .edits = {IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50), MEMORY(IDT64(0x50) + 4, 0x6e00),
               BITMAP(BIT(11))}},
    {.name = "injected nmi, gate absent, np exits",
     .code = "nop",
     .edits = {INJECT(NMI), MEMORY(IDT64(2) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "injected soft int, gate absent, np exits",
     .code = "nop",
     .edits = {INJECT(INTR_TYPE_SOFT_INTR | 0x30), INJECT_LENGTH(2),
               MEMORY(IDT64(0x30) + 4, 0x6e00), BITMAP(BIT(11))}},
    {.name = "injected int3, gate absent, np exits",
     .code = "nop",
     .edits = {INJECT(INTR_TYPE_SOFT_EXCEPTION | 3), INJECT_LENGTH(1), MEMORY(IDT64(3) + 4, 0x6e00),
               BITMAP(BIT(11))}},
    {.name = "injected int1, gate absent, np exits",
     .code = "nop",
     .edits = {INJECT(INTR_TYPE_PRIV_SW_EXCEPTION | 1), INJECT_LENGTH(1),
               MEMORY(IDT64(1) + 4, 0x6e00), BITMAP(BIT(11))}},
};

/* ---- injection that succeeds: what the guest's handler finds on its stack */

static const struct guest_row injection_rows[] = {
    {.name = "interrupt",
     .code = "nop",
     .modes = ALL_MODES & ~V86,
     .edits = {IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50)},
     .finish = say_stack},
    {.name = "nmi", .code = "nop", .modes = ALL_MODES, .edits = {INJECT(NMI)}, .finish = say_stack},
    {.name = "nmi with virtual nmis",
     .code = "nop",
     .edits = {INJECT(NMI), PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)},
     .finish = say_stack},
    {.name = "ud",
     .code = "nop",
     .modes = ALL_MODES,
     .edits = {INJECT(INTR_TYPE_EXCEPTION | 6)},
     .finish = say_stack},
    {.name = "gp",
     .code = "nop",
     .modes = ALL_MODES & ~REAL,
     .edits = {INJECT(INTR_TYPE_EXCEPTION | CODE | 13), INJECT_CODE(0x1234)},
     .finish = say_stack},
    {.name = "pf",
     .code = "nop",
     .modes = ALL_MODES & ~REAL,
     .edits = {INJECT(INTR_TYPE_EXCEPTION | CODE | 14), INJECT_CODE(7)},
     .finish = say_stack},
    {.name = "df",
     .code = "nop",
     .edits = {INJECT(INTR_TYPE_EXCEPTION | CODE | 8), INJECT_CODE(0)},
     .finish = say_stack},
    {.name = "db", .code = "nop", .edits = {INJECT(INTR_TYPE_EXCEPTION | 1)}, .finish = say_stack},
    {.name = "soft int",
     .code = "nop",
     .modes = ALL_MODES & ~V86,
     .edits = {INJECT(INTR_TYPE_SOFT_INTR | 0x30), INJECT_LENGTH(2)},
     .finish = say_stack},
    {.name = "int3",
     .code = "nop",
     .modes = ALL_MODES & ~V86,
     .edits = {INJECT(INTR_TYPE_SOFT_EXCEPTION | 3), INJECT_LENGTH(1)},
     .finish = say_stack},
    {.name = "into",
     .code = "nop",
     .modes = M32,
     .edits = {INJECT(INTR_TYPE_SOFT_EXCEPTION | 4), INJECT_LENGTH(1)},
     .finish = say_stack},
    {.name = "int1",
     .code = "nop",
     .modes = M64 | M32 | REAL,
     .edits = {INJECT(INTR_TYPE_PRIV_SW_EXCEPTION | 1), INJECT_LENGTH(1)},
     .finish = say_stack},
    {.name = "soft int of dpl 0 gate from user",
     .code = "nop",
     .modes = USER64,
     .edits = {INJECT(INTR_TYPE_SOFT_INTR | 0x30), INJECT_LENGTH(2),
               MEMORY(IDT64(0x30) + 4, 0x8e00 + 0x10000)},
     .finish = say_stack},
    {.name = "gp, exceptions exit",
     .code = "nop",
     .edits = {ALL_EXCEPTIONS, INJECT(INTR_TYPE_EXCEPTION | CODE | 13), INJECT_CODE(0x18)},
     .finish = say_stack},
    {.name = "nmi, nmis exit",
     .code = "nop",
     .edits = {PIN(PIN_BASED_NMI_EXITING), INJECT(NMI)},
     .finish = say_stack},
    {.name = "interrupt, interrupts exit",
     .code = "nop",
     .edits = {PIN(PIN_BASED_EXT_INTR_MASK), IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50)},
     .finish = say_stack},
    {.name = "with rf",
     .code = "nop",
     .edits = {OR(GUEST_RFLAGS, RFLAGS_RF), INJECT(INTR_TYPE_EXCEPTION | 6)},
     .finish = say_stack},
    {.name = "soft int with tf",
     .code = "nop",
     .edits = {TF_ON, INJECT(INTR_TYPE_SOFT_INTR | 0x30), INJECT_LENGTH(2)},
     .finish = say_stack},
    {.name = "interrupt with tf",
     .code = "nop",
     .edits = {TF_ON, IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x30)},
     .finish = say_stack},
    {.name = "valid bit is cleared by the exit",
     .code = "nop",
     .edits = {IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50)},
     .show = {VM_ENTRY_INTR_INFO_FIELD, VM_ENTRY_EXCEPTION_ERROR_CODE}},
};

/* ---- interrupts from outside */

#define VECTOR 0x55

static void send_interrupt(void) { apic_self_ipi(VECTOR); }

static bool bit_of(u32 reg) { return apic_read(reg + 16 * (VECTOR / 32)) >> VECTOR % 32 & 1; }

static void say_interrupt(void)
{
    say(" irr %u isr %u", bit_of(APIC_IRR), bit_of(APIC_ISR));
    apic_drain();
    say(" seen %lu", interrupts_seen);
}

#define EXTERNAL PIN(PIN_BASED_EXT_INTR_MASK)
#define ACK      EXIT(VM_EXIT_ACK_INTR_ON_EXIT)
/* Ends what an emulator would never end. */
#define WATCHDOG   PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, 10000)
#define END_AT_800 MEMORY(0x1800, 0xf4c1010f) /* VMCALL, HLT */
#define HALTED     SET(GUEST_ACTIVITY_STATE, ACTIVITY_HLT)

static const struct guest_row interrupt_rows[] = {
    {.name = "exit",
     .code = "nop",
     .modes = ALL_MODES,
     .edits = {EXTERNAL},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit with if",
     .code = "nop",
     .edits = {EXTERNAL, IF_ON},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit with ack",
     .code = "nop",
     .modes = ALL_MODES,
     .edits = {EXTERNAL, ACK},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "delivered",
     .code = "nop",
     .modes = ALL_MODES & ~V86,
     .edits = {IF_ON},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "masked",
     .code = "nop",
     .modes = ALL_MODES,
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit from hlt",
     .code = "nop",
     .edits = {EXTERNAL, IF_ON, HALTED},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit from hlt with ack",
     .code = "nop",
     .edits = {EXTERNAL, ACK, IF_ON, HALTED},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit from hlt without if",
     .code = "nop",
     .edits = {EXTERNAL, HALTED, WATCHDOG},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "delivered from hlt",
     .code = "nop",
     .edits = {HALTED, IF_ON},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit, sti blocking",
     .code = "nops",
     .edits = {EXTERNAL, IF_ON, BLOCK(1)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit, mov-ss blocking",
     .code = "nops",
     .edits = {EXTERNAL, BLOCK(2)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "delivered, sti blocking",
     .code = "nops",
     .edits = {IF_ON, BLOCK(1)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "delivered, mov-ss blocking",
     .code = "nops",
     .edits = {IF_ON, BLOCK(2)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "delivered after sti",
     .code = "sti nops",
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit before sti",
     .code = "sti nops",
     .edits = {EXTERNAL},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "sti cli", .code = "sti cli", .prepare = send_interrupt, .finish = say_interrupt},
    {.name = "exit and injection",
     .code = "nop",
     .edits = {EXTERNAL, INJECT(INTR_TYPE_EXCEPTION | 6)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "exit and injected interrupt",
     .code = "nop",
     .edits = {EXTERNAL, IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50)},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "from the guest, exit",
     .code = "interrupt to self",
     .edits = {EXTERNAL},
     .finish = say_interrupt},
    {.name = "from the guest, exit with ack",
     .code = "interrupt to self",
     .edits = {EXTERNAL, ACK},
     .finish = say_interrupt},
    {.name = "from the guest, masked", .code = "interrupt to self", .finish = say_interrupt},
    {.name = "from the guest, sti", .code = "interrupt to self sti", .finish = say_interrupt},
    {.name = "exit, then the rest",
     .code = "nop",
     .steps = 2,
     .edits = {EXTERNAL, ACK},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "window with if",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON}},
    {.name = "window without if", .code = "nops", .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "window, sti blocking",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, BLOCK(1)}},
    {.name = "window, mov-ss blocking",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, BLOCK(2)}},
    {.name = "window after sti",
     .code = "sti nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "window after sti, cli",
     .code = "sti cli",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "window from hlt",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, HALTED, WATCHDOG}},
    {.name = "window and injection",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, INJECT(INTR_TYPE_EXCEPTION | 6)}},
    {.name = "window and pending debug",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, TF_ON,
               SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)}},
    {.name = "window and interrupt exit",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON, EXTERNAL},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "window and interrupt",
     .code = "nops",
     .edits = {PROC(CPU_BASED_VIRTUAL_INTR_PENDING), IF_ON},
     .prepare = send_interrupt,
     .finish = say_interrupt},
};

/* ---- NMIs: the guest sends them to the processor it runs on */

#define NMI_EXIT     PIN(PIN_BASED_NMI_EXITING)
#define VIRTUAL_NMIS PIN(PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)
#define NMI_WINDOW   PROC(CPU_BASED_VIRTUAL_NMI_PENDING)

static void say_nmis(void)
{
    nmi_unblock();
    say(" seen %lu", nmis_seen);
}

static const struct guest_row nmi_rows[] = {
    {.name = "exit",
     .code = "nmi to self",
     .edits = {NMI_EXIT},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "exit with virtual nmis",
     .code = "nmi to self",
     .edits = {VIRTUAL_NMIS},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "delivered", .code = "nmi to self", .flags = NO_REGISTERS, .finish = say_stack},
    {.name = "twice", .code = "nmi twice", .flags = NO_REGISTERS, .finish = say_stack},
    {.name = "twice, exit",
     .code = "nmi twice",
     .edits = {NMI_EXIT},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "blocked",
     .code = "nmi to self",
     .edits = {BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "blocked, exit",
     .code = "nmi to self",
     .edits = {NMI_EXIT, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "virtually blocked, exit",
     .code = "nmi to self",
     .edits = {VIRTUAL_NMIS, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "window", .code = "nops", .edits = {VIRTUAL_NMIS, NMI_WINDOW}, .finish = say_nmis},
    {.name = "window, blocked",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, BLOCK(8)},
     .finish = say_nmis},
    {.name = "window, mov-ss blocking",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, BLOCK(2)},
     .finish = say_nmis},
    {.name = "window, sti blocking",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, IF_ON, BLOCK(1)},
     .finish = say_nmis},
    {.name = "window, blocked until iret",
     .code = "iret in nmi",
     .edits = {END_AT_800, VIRTUAL_NMIS, NMI_WINDOW, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "window and injected nmi",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, INJECT(NMI)},
     .finish = say_nmis},
    {.name = "window from hlt",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, HALTED, WATCHDOG},
     .finish = say_nmis},
    {.name = "both windows",
     .code = "nops",
     .edits = {VIRTUAL_NMIS, NMI_WINDOW, IF_ON, PROC(CPU_BASED_VIRTUAL_INTR_PENDING)},
     .finish = say_nmis},
    {.name = "iret unblocks",
     .code = "iret in nmi",
     .edits = {END_AT_800, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "iret unblocks, virtual nmis",
     .code = "iret in nmi",
     .edits = {END_AT_800, VIRTUAL_NMIS, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "iret leaves blocked, nmi exiting only",
     .code = "iret in nmi",
     .edits = {END_AT_800, NMI_EXIT, BLOCK(8)},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
    {.name = "iret faults, stack absent, virtual nmis",
     .code = "iret in nmi",
     .edits = {END_AT_800, VIRTUAL_NMIS, BLOCK(8), MEMORY(L2_GDT + 0x1c, 0), BITMAP(BIT(13))},
     .flags = NO_REGISTERS,
     .finish = say_nmis},
};

/* ---- preemption timer, monitor trap flag, debug traps */

#define TIMER(value) PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, value)
#define MTF          PROC(CPU_BASED_MONITOR_TRAP_FLAG)

static const struct guest_row trap_rows[] = {
    {.name = "timer zero", .code = "nop", .modes = ALL_MODES, .edits = {TIMER(0)}},
    {.name = "timer zero, saved",
     .code = "nop",
     .edits = {TIMER(0), EXIT(VM_EXIT_SAVE_PREEMPTION_TIMER)},
     .show = {VMX_PREEMPTION_TIMER_VALUE}},
    {.name = "timer large",
     .code = "nop",
     .edits = {TIMER(0x7fffffff)},
     .show = {VMX_PREEMPTION_TIMER_VALUE}},
    {.name = "timer ends a loop", .code = "loop", .edits = {TIMER(20000)}, .flags = NO_REGISTERS},
    {.name = "timer zero and injection",
     .code = "nop",
     .edits = {TIMER(0), INJECT(INTR_TYPE_EXCEPTION | 6)}},
    {.name = "timer zero and pending debug",
     .code = "nop",
     .edits = {TIMER(0), TF_ON, SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)}},
    {.name = "timer zero and window",
     .code = "nop",
     .edits = {TIMER(0), IF_ON, PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "timer zero and interrupt",
     .code = "nop",
     .edits = {TIMER(0), IF_ON, EXTERNAL},
     .prepare = send_interrupt,
     .finish = say_interrupt},
    {.name = "timer zero and nmi window",
     .code = "nop",
     .edits = {TIMER(0), VIRTUAL_NMIS, NMI_WINDOW}},
    {.name = "timer zero and mov-ss blocking", .code = "nop", .edits = {TIMER(0), BLOCK(2)}},
    {.name = "timer zero and sti blocking", .code = "nop", .edits = {TIMER(0), IF_ON, BLOCK(1)}},
    {.name = "timer zero and mtf", .code = "nop", .edits = {TIMER(0), MTF}},
    {.name = "mtf", .code = "nops", .modes = ALL_MODES, .steps = 3, .edits = {MTF}},
    {.name = "mtf and cpuid", .code = "cpuid", .steps = 3, .edits = {MTF}},
    {.name = "mtf and ud", .code = "ud2", .edits = {MTF}},
    {.name = "mtf and int", .code = "int 0x30", .edits = {MTF}},
    {.name = "mtf and injected exception",
     .code = "nop",
     .edits = {MTF, INJECT(INTR_TYPE_EXCEPTION | 6)}},
    {.name = "mtf and injected interrupt",
     .code = "nop",
     .edits = {MTF, IF_ON, INJECT(INTR_TYPE_EXT_INTR | 0x50)}},
    {.name = "mtf and mov-ss blocking", .code = "nops", .edits = {MTF, BLOCK(2)}},
    {.name = "mtf and pending debug",
     .code = "nops",
     .edits = {MTF, TF_ON, SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)}},
    {.name = "mtf and rep",
     .code = "movs to spare",
     .steps = 7,
     .edits = {MTF},
     .flags = NO_REGISTERS},
    {.name = "mtf and single step", .code = "nops", .steps = 2, .edits = {MTF, TF_ON}},
    {.name = "mtf and mov ss", .code = "mov ss cpuid", .steps = 3, .edits = {MTF}},
    {.name = "mtf and triple fault", .code = "ud2", .edits = {MTF, SET(GUEST_IDTR_LIMIT, 0)}},
    {.name = "pending mtf injected", .code = "nops", .edits = {INJECT(INTR_TYPE_OTHER)}},
    {.name = "pending mtf injected, mtf on",
     .code = "nops",
     .edits = {MTF, INJECT(INTR_TYPE_OTHER)}},
    {.name = "pending mtf injected, vector 1",
     .code = "nops",
     .edits = {INJECT(INTR_TYPE_OTHER | 1)}},
    {.name = "cpuid after mov ss", .code = "mov ss cpuid", .modes = M64 | M32 | REAL, .steps = 2},
    {.name = "cpuid after sti", .code = "sti cpuid", .modes = M64 | M32 | REAL, .steps = 2},
    {.name = "hlt after sti", .code = "sti hlt", .edits = {PROC(CPU_BASED_HLT_EXITING)}},
    {.name = "hlt after mov ss",
     .code = "mov ss hlt",
     .edits = {PROC(CPU_BASED_HLT_EXITING)},
     .flags = NO_REGISTERS},
    {.name = "single step cpuid", .code = "popf tf cpuid", .steps = 2, .flags = NO_REGISTERS},
    {.name = "single step, mov ss, cpuid",
     .code = "popf tf mov ss cpuid",
     .steps = 2,
     .flags = NO_REGISTERS},
    {.name = "data breakpoint on mov ss, cpuid",
     .code = "mov ss under breakpoint",
     .steps = 2,
     .flags = NO_REGISTERS},
    {.name = "two breakpoints, db exits",
     .code = "two breakpoints",
     .edits = {BITMAP(2)},
     .flags = NO_REGISTERS},
    {.name = "single step, db exits", .code = "nops", .edits = {TF_ON, BITMAP(2)}},
    {.name = "pending bs, db exits",
     .code = "nops",
     .edits = {TF_ON, BITMAP(2), SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)}},
    {.name = "pending b0 enabled, db exits",
     .code = "nops",
     .edits = {BITMAP(2), SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x1001)}},
    {.name = "pending b0 enabled, injection",
     .code = "nops",
     .edits = {BITMAP(2), SET(GUEST_PENDING_DBG_EXCEPTIONS, 0x1001),
               INJECT(INTR_TYPE_EXCEPTION | 6)}},
    {.name = "iret to user, cpuid",
     .code = "iret to user cpuid",
     .flags = NO_REGISTERS,
     .edits = {END_AT_800}},
};

void rows_events(void)
{
    exception_rows();
    page_fault_rows();
    guest_rows("nested", nested_rows, ARRAY_SIZE(nested_rows));
    guest_rows("inject", injection_rows, ARRAY_SIZE(injection_rows));
    guest_rows("interrupt", interrupt_rows, ARRAY_SIZE(interrupt_rows));
    guest_rows("nmi", nmi_rows, ARRAY_SIZE(nmi_rows));
    guest_rows("trap", trap_rows, ARRAY_SIZE(trap_rows));
}
