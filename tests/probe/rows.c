/* The frame around a row: a fresh machine before it, one line after it. */
#include "probe.h"

u64 row_count, skip_count;
char row_name[96];
static feature_set used;

static void leave_vmx(void)
{
    /* May fail or fault: the row before may have left VMX in any state. */
    if (read_cr4() & CR4_VMXE) {
        exec_clear();
        exec_code("vmxoff");
    }
}

static void make_region(u32 page)
{
    memset(arena_page(page), 0, PAGE_SIZE);
    *(u32 *)arena_page(page) = (u32)(vmx_basic & VMX_BASIC_REVISION);
}

static bool enter_vmx(enum vmx_state state)
{
    make_region(PAGE_VMXON);
    make_region(PAGE_VMCS);
    make_region(PAGE_VMCS2);
    if (state == STATE_OFF)
        return true;
    if (vm_on(arena_address(PAGE_VMXON)))
        return false;
    if (state == STATE_ROOT)
        return true;
    return !vm_clear(arena_address(PAGE_VMCS2)) && !vm_clear(arena_address(PAGE_VMCS)) &&
           !vm_load(arena_address(PAGE_VMCS));
}

bool row(enum vmx_state state, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_text_list(row_name, sizeof(row_name), format, arguments);
    va_end(arguments);
    line_clear();
    used = 0;
    if (!config_wants(row_name))
        return false;
    leave_vmx();
    machine_fresh();
    exec_clear();
    if (!enter_vmx(state)) {
        say("no VMX: VMXON, VMCLEAR or VMPTRLD failed");
        row_end();
        return false;
    }
    return true;
}

void row_uses(feature_set features) { used |= features; }

/* As one hexadecimal number in braces: bit n is the feature of the n-th "feature" line. */
static void say_features(void)
{
    u64 low = (u64)used, high = (u64)(used >> 64);

    if (high)
        say(" {%lx.%lx}", high, low);
    else if (low)
        say(" {%lx}", low);
}

static void print(const char *prefix)
{
    say_features();
    line_print(prefix, row_name);
}

void row_end(void)
{
    row_count++;
    print("row ");
}

static void skip(const char *format, const char *what)
{
    line_clear();
    say(format, what);
    skip_count++;
    print("skip ");
}

void row_skip(const char *needs) { skip("needs %s", needs); }

void row_skip_with(const char *name) { skip("needs a processor without %s", name); }
