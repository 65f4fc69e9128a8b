#include "breakpoints.h"

#include "command.h"
#include "x86.h"
#include "../insn.h"
#include "../symbols.h"

#define BREAKPOINTS_MAX 16u
#define NOWHERE         0

extern const u8 __text_start[], __text_end[];

/* hv/exit.asm, before whose first instruction there is no stack, and hv/trap.asm. */
extern const u8 vm_exit_observed[], exit_text_end[], trap_text_start[], trap_text_end[];

/* What a breakpoint runs itself, and would enter again. */
static const char *const own_functions[] = {"trap_handle", "debugger_trap", "breakpoint_is_at",
                                            "breakpoint_clear", "write_text"};

/* NOWHERE: free. */
static struct {
    u64 address;
    u8 replaced;
} breakpoints[BREAKPOINTS_MAX];

/* L0's text is read-only, wherever it is mapped. The other cores stand still, and execute what
   serializes before they come here. */
static void write_text(u64 address, u8 byte)
{
    u64 cr0 = read_cr0();

    write_cr0(cr0 & ~CR0_WP);
    *(volatile u8 *)address = byte;
    write_cr0(cr0);
}

static bool is_in(u64 address, const u8 *start, const u8 *end)
{
    return address >= (u64)start && address < (u64)end;
}

static bool is_own(u64 address)
{
    u64 offset;
    const char *name = symbol_find(address, &offset);

    for (u32 i = 0; name && i < ARRAY_SIZE(own_functions); i++)
        if (text_equal(name, own_functions[i]))
            return true;
    return false;
}

static bool may_be_set(u64 address)
{
    return is_in(address, __text_start, __text_end) &&
           !is_in(address, vm_exit_observed, exit_text_end) &&
           !is_in(address, trap_text_start, trap_text_end) && !is_own(address);
}

/* Index + 1 of the breakpoint at an address, 0 if there is none. */
static u32 find(u64 address)
{
    for (u32 i = 0; i < BREAKPOINTS_MAX; i++)
        if (breakpoints[i].address == address)
            return i + 1;
    return 0;
}

bool breakpoint_is_at(u64 address) { return address != NOWHERE && find(address); }

bool breakpoint_set(u64 address)
{
    u32 free = find(NOWHERE);

    if (!may_be_set(address))
        return false;
    if (find(address))
        return true;
    if (!free)
        return false;
    breakpoints[free - 1].address = address;
    breakpoints[free - 1].replaced = *(const u8 *)address;
    write_text(address, INT3);
    return true;
}

bool breakpoint_clear(u64 address)
{
    u32 found = find(address);

    if (address == NOWHERE || !found)
        return true;
    write_text(address, breakpoints[found - 1].replaced);
    breakpoints[found - 1].address = NOWHERE;
    return true;
}

void breakpoints_clear_all(void)
{
    for (u32 i = 0; i < BREAKPOINTS_MAX; i++)
        breakpoint_clear(breakpoints[i].address);
}
