#include "breakpoints.h"

#include "x86.h"
#include "../insn.h"

#define BREAKPOINTS_MAX 16u
#define NOWHERE         0

extern const u8 __text_start[], __text_end[];

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

static bool in_text(u64 address)
{
    return address >= (u64)__text_start && address < (u64)__text_end;
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

    if (!in_text(address))
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
