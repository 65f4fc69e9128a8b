#include "vmcs_dump.h"
#include "format.h"
#include "log.h"
#include "panic.h"
#include "trap.h"
#include "vmcs.h"
#include "vmcs_names.h"

#define LINE_COLUMNS 118
#define TAB_COLUMNS  20

struct line {
    char text[LINE_COLUMNS + 1];
    size_t len;
};

/* False if the field does not exist, there is no current VMCS, or VMX is off (#UD). */
static bool field_read(u64 encoding, u64 *value)
{
    u64 read = 0;
    u8 done = 0;

    __asm__ volatile("1: vmread %2, %1\n\tseta %0\n2:" TRAP_FIXUP("1b", "2b")
                     : "+&q"(done), "+&r"(read)
                     : "r"(encoding)
                     : "cc", "memory");
    *value = read;
    return done;
}

static u64 current_vmcs(void)
{
    u64 pa = ~0ull; /* as VMPTRST stores it if there is none */

    __asm__ volatile("1: vmptrst %0\n2:" TRAP_FIXUP("1b", "2b") : "+m"(pa) : : "cc");
    return pa;
}

static void line_flush(struct line *line)
{
    if (line->len) {
        line->text[line->len] = 0;
        log_raw("%s\n", line->text);
    }
    line->len = 0;
}

static void line_add(struct line *line, const char *name, u64 value)
{
    char cell[64];
    size_t len = format_string(cell, sizeof(cell), "%s %lx", name, value);
    size_t tab = line->len ? (line->len / TAB_COLUMNS + 1) * TAB_COLUMNS : 2;

    if (tab + len > LINE_COLUMNS) {
        line_flush(line);
        tab = 2;
    }
    while (line->len < tab)
        line->text[line->len++] = ' ';
    for (size_t i = 0; i < len; i++)
        line->text[line->len++] = cell[i];
}

void vmcs_dump(void)
{
    struct line line = {.len = 0};
    u64 pa = current_vmcs(), value;

    if (pa == ~0ull) {
        log_raw("no current VMCS\n");
        return;
    }
    log_raw("current VMCS at %#lx:\n", pa);
    for (u32 i = 0; i < vmcs_field_count; i++)
        if (field_read(vmcs_fields[i].encoding, &value))
            line_add(&line, vmcs_fields[i].name, value);
    line_flush(&line);
}

void vmcs_access_failed(bool write, u64 field, u64 value, void *caller)
{
    panic("%s of %s (%#lx) failed, value %#lx, called from %#lx", write ? "VMWRITE" : "VMREAD",
          vmcs_field_name(field), field, value, (u64)caller);
}
