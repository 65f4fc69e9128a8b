/* Runs code with a net under it: it may return, fault, or leave by a VM exit. */
#include "probe.h"

struct trap_frame {
    u64 gpr[16];
    u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct exec exec;
u64 interrupts_seen, last_interrupt, nmis_seen, shadow_stack_after;

_Static_assert(offsetof(struct exec, rflags) == 128, "stubs.asm");
_Static_assert(offsetof(struct exec, entry) == 136, "stubs.asm");
_Static_assert(offsetof(struct exec, stack) == 144, "stubs.asm");
_Static_assert(offsetof(struct exec, end) == 152, "stubs.asm");
_Static_assert(offsetof(struct exec, cs) == 160, "stubs.asm");
_Static_assert(offsetof(struct exec, ss) == 168, "stubs.asm");
_Static_assert(EXEC_RETURNED == 0 && EXEC_EXITED == 2, "stubs.asm");

/* The code that runs below CPL 0 or in compatibility mode ends with this. */
#define VECTOR_FINISHED        0x41
#define VECTOR_UNBLOCK_NMI     0x42
#define VECTOR_FIRST_INTERRUPT 0x20

void exec_enter(void);
void exec_enter_far(void);
void exec_unwind(void);
void trap(struct trap_frame *frame);

extern const struct code code_table[];
extern const u64 code_count;

const struct code *find_code(const char *name, u64 bits)
{
    for (u64 i = 0; i < code_count; i++)
        if (code_table[i].bits == bits && text_equal(code_table[i].name, name))
            return &code_table[i];
    console_put("probe: no code named ");
    console_put(name);
    console_put("\r\n");
    power_off();
}

static void unexpected(const struct trap_frame *frame)
{
    line_clear();
    say("unexpected vector %lu error %lx cr2 %lx rip %lx (code+%lx) rsp %lx in row %s",
        frame->vector, frame->error, read_cr2(), frame->rip, frame->rip - exec.code, frame->rsp,
        row_name);
    line_print("probe", "");
    power_off();
}

static void caught(struct trap_frame *frame)
{
    for (u32 i = 0; i < ARRAY_SIZE(exec.gpr); i++)
        exec.gpr[i] = frame->gpr[i];
    exec.gpr[RSP] = frame->rsp;
    exec.rflags = frame->rflags;
    exec.rip = frame->rip;
    exec.cs = frame->cs;
    exec.ss = frame->ss;
    exec.vector = frame->vector;
    exec.error = frame->error;
    exec.cr2 = frame->vector == VECTOR_PF ? read_cr2() : 0;
    exec.end = frame->vector == VECTOR_FINISHED ? EXEC_RETURNED : EXEC_FAULTED;
    frame->rip = (u64)exec_unwind;
    frame->cs = SEL_CODE64;
    frame->ss = SEL_DATA;
    frame->rsp = exec.stack;
    frame->rflags = RFLAGS_FIXED;
}

/* What the other core takes: nothing but events that the rows send it. */
static void other_trap(const struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI)
        other_nmis++;
    else if (frame->vector == VECTOR_UNBLOCK_NMI)
        return;
    else if (frame->vector < VECTOR_FIRST_INTERRUPT)
        unexpected(frame);
    else
        apic_write(APIC_EOI, 0);
    /* A job begins with its interrupt, so that none is left pending. */
    if (frame->vector == VECTOR_JOB)
        other_called = true;
}

static u16 task_register(void)
{
    u16 selector;

    __asm__ volatile("str %0" : "=r"(selector));
    return selector;
}

void trap(struct trap_frame *frame)
{
    if (task_register() == SEL_TSS_OTHER) {
        other_trap(frame);
        return;
    }
    if (frame->vector == VECTOR_NMI) {
        nmis_seen++;
    } else if (frame->vector == VECTOR_UNBLOCK_NMI) {
        /* The IRET is all that is wanted. */
    } else if (frame->vector >= VECTOR_FIRST_INTERRUPT && frame->vector != VECTOR_FINISHED) {
        if (frame->vector != VECTOR_NAP) {
            interrupts_seen++;
            last_interrupt = frame->vector;
        }
        apic_write(APIC_EOI, 0);
    } else if (exec.armed) {
        caught(frame);
    } else {
        unexpected(frame);
    }
}

void nmi_unblock(void) { __asm__ volatile("int $0x42" ::: "memory"); }

void exec_clear(void)
{
    memset(&exec, 0, sizeof(exec));
    for (u64 i = 0; i < ARRAY_SIZE(exec.gpr); i++)
        exec.gpr[i] = 0x5a00000000000000 | (0x1111111111ull * (i + 1));
    exec.rflags = RFLAGS_FIXED;
}

static void place(const char *name, u64 bits, u32 page)
{
    const struct code *code = find_code(name, bits);

    memcpy(arena_page(page), code->start, code->length);
    exec.code = arena_address(page);
    exec.code_length = code->length;
    exec.entry = exec.code;
}

static void enter(void (*how)(void))
{
    exec.armed = 1;
    how();
    exec.armed = 0;
}

void exec_code(const char *name)
{
    place(name, 64, PAGE_CODE);
    enter(exec_enter);
}

static void exec_far(const char *name, u32 page, u64 cs, u64 ss, u64 stack)
{
    place(name, cs == SEL_USER_CODE64 ? 64 : 32, page);
    exec.cs = cs;
    exec.ss = ss;
    exec.gpr[RSP] = stack;
    enter(exec_enter_far);
}

void exec_user(const char *name)
{
    exec_far(name, PAGE_USER_CODE, SEL_USER_CODE64, SEL_USER_DATA,
             arena_address(PAGE_USER_STACK) + PAGE_SIZE);
}

void exec_user32(const char *name)
{
    exec_far(name, PAGE_USER_CODE, SEL_USER_CODE32, SEL_USER_DATA,
             arena_address(PAGE_USER_STACK) + PAGE_SIZE);
}

void exec_compat(const char *name)
{
    exec_far(name, PAGE_CODE, SEL_CODE32, SEL_DATA, arena_address(PAGE_STACK32) + PAGE_SIZE);
}
