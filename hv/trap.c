#include "trap.h"
#include "cpu.h"
#include "panic.h"
#include "x86.h"
#include "monitor/debugger.h"

#define CODE_SELECTOR   0x08
#define GATE_INTERRUPT  0x8e /* present, DPL 0, 64-bit interrupt gate */
#define GATE_COUNT      256
#define EXCEPTION_COUNT 32

/* SDM vol. 3, "64-Bit IDT Gate Descriptors". */
struct gate {
    u16 offset_low;
    u16 selector;
    u8 ist;
    u8 type;
    u16 offset_middle;
    u32 offset_high;
    u32 reserved;
};

_Static_assert(sizeof(struct gate) == 16, "a gate is 16 bytes");

struct fixup {
    u64 fault_rip, fixup_rip;
};

/* linker.ld */
extern const struct fixup __extable_start[], __extable_end[];

/* hv/trap.asm */
extern const u64 trap_stubs[EXCEPTION_COUNT];
extern const char trap_unexpected[];
void trap_handle(struct trap_frame *frame);

static struct gate table[GATE_COUNT] __attribute__((aligned(PAGE_SIZE)));

static u8 vector_ist(u32 vector)
{
    switch (vector) {
    case VECTOR_NMI: return IST_NMI;
    case VECTOR_DF: return IST_DOUBLE_FAULT;
    case VECTOR_MC: return IST_MACHINE_CHECK;
    default: return 0;
    }
}

static struct gate make_gate(u64 stub, u8 ist)
{
    return (struct gate){
        .offset_low = (u16)stub,
        .selector = CODE_SELECTOR,
        .ist = ist,
        .type = GATE_INTERRUPT,
        .offset_middle = (u16)(stub >> 16),
        .offset_high = (u32)(stub >> 32),
    };
}

void trap_init_table(void)
{
    for (u32 vector = 0; vector < EXCEPTION_COUNT; vector++)
        table[vector] = make_gate(trap_stubs[vector], vector_ist(vector));
    for (u32 vector = EXCEPTION_COUNT; vector < GATE_COUNT; vector++)
        table[vector] = make_gate((u64)trap_unexpected, 0);
}

u64 trap_table_base(void) { return (u64)table; }

void trap_load(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) idtr = {sizeof(table) - 1, trap_table_base()};

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

/* #DB and #BP are traps, #DF and #MC are aborts: their RIP does not tell what failed. */
static bool vector_may_be_fixed(u64 vector)
{
    return vector < EXCEPTION_COUNT && vector != VECTOR_DB && vector != VECTOR_BP &&
           vector != VECTOR_DF && vector != VECTOR_MC;
}

static bool fix_up(struct trap_frame *frame)
{
    for (const struct fixup *fixup = __extable_start; fixup < __extable_end; fixup++) {
        if (fixup->fault_rip == frame->rip) {
            frame->rip = fixup->fixup_rip;
            return true;
        }
    }
    return false;
}

void trap_handle(struct trap_frame *frame)
{
    if (vector_may_be_fixed(frame->vector) && fix_up(frame))
        return;
    if (debugger_trap(frame))
        return;
    panic_trap(frame);
}
