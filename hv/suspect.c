#include "suspect.h"

#include "format.h"
#include "insn.h"
#include "l0.h"
#include "log.h"
#include "vmcs.h"
#include "x86.h"
#include "../vmx/culprit.h"

#define NEAR_STACK (2 * PAGE_SIZE) /* below a stack: its guard page and a frame beyond it */

/* ---- Instructions ---- */

static u64 msr_value(const struct trap_frame *f) { return f->rdx << 32 | (u32)f->rax; }

#define TEXT(...) return format_string(to, size, __VA_ARGS__)

/* Of those that have a ModR/M byte, or another one in its place. */
static size_t with_modrm(u8 opcode, u8 modrm, u8 prefix, const struct trap_frame *f, char *to,
                         size_t size)
{
    u32 reg = modrm >> 3 & 7;

    switch (opcode << 8 | modrm) {
    case 0x01c2: TEXT("VMLAUNCH");
    case 0x01c3: TEXT("VMRESUME");
    case 0x01c4: TEXT("VMXOFF");
    case 0x01d1: TEXT("XSETBV of %u, value %#lx", (u32)f->rcx, msr_value(f));
    }
    switch (opcode) {
    case 0x20: TEXT("MOV from CR%u", reg);
    case 0x22: TEXT("MOV to CR%u", reg);
    case 0x21: TEXT("MOV from DR%u", reg);
    case 0x23: TEXT("MOV to DR%u", reg);
    case 0x78: TEXT("VMREAD: no VMX operation, or a field's operand in memory");
    case 0x79: TEXT("VMWRITE: no VMX operation, or a field's operand in memory");
    case 0xc7: break;
    default: return 0;
    }
    if (reg != 6 || modrm >> 6 == 3) /* CMPXCHG8B, RDRAND and others */
        return 0;
    TEXT("%s", prefix == 0x66 ? "VMCLEAR" : prefix == 0xf3 ? "VMXON" : "VMPTRLD");
}

/* Of the two-byte opcodes. SDM vol. 2 appendix A, "Opcode Map". */
static size_t two_bytes(const u8 *code, size_t bytes, u8 prefix, const struct trap_frame *f,
                        char *to, size_t size)
{
    switch (code[1]) {
    case 0x30: TEXT("WRMSR of %#x, value %#lx", (u32)f->rcx, msr_value(f));
    case 0x32: TEXT("RDMSR of %#x", (u32)f->rcx);
    case 0x0b: TEXT("UD2: the compiler has proved that it is never reached");
    default: return bytes > 2 ? with_modrm(code[1], code[2], prefix, f, to, size) : 0;
    }
}

size_t suspect_instruction(const u8 *code, size_t bytes, const struct trap_frame *f, char *to,
                           size_t size)
{
    u8 prefix = 0;

    while (bytes && (*code == 0x66 || *code == 0xf3 || *code == 0xf2 || (*code & 0xf0) == 0x40)) {
        prefix = (*code & 0xf0) == 0x40 ? prefix : *code;
        code++;
        bytes--;
    }
    if (prefix == 0xf3 && bytes && (*code == 0xa4 || *code == 0xa5))
        TEXT("a copy of %lu more units from %#lx to %#lx", f->rcx, f->rsi, f->rdi);
    if (prefix == 0xf3 && bytes && (*code == 0xaa || *code == 0xab))
        TEXT("a fill of %lu more units at %#lx", f->rcx, f->rdi);
    if (bytes < 2 || *code != 0x0f)
        return 0;
    return two_bytes(code, bytes, prefix, f, to, size);
}

/* ---- Addresses ---- */

size_t suspect_address(u64 address, const struct trap_frame *frame, u64 ram_top, char *to,
                       size_t size)
{
    u64 below = frame->rsp - address, physical = address - L0_DIRECT_BASE;

    if (address < PAGE_SIZE)
        TEXT("address %#lx is in page 0: a null pointer", address);
    if (below < NEAR_STACK || address - frame->rsp < PAGE_SIZE)
        TEXT("address %#lx is next to the stack pointer: the stack has overflowed", address);
    if (address >= L0_VIRT_BASE)
        TEXT("address %#lx is in L0's image: a write to what is read-only, or behind its end",
             address);
    if (address >= L0_DIRECT_BASE && physical >= ram_top)
        TEXT("address %#lx is physical %#lx, behind all memory", address, physical);
    if (address >= L0_DIRECT_BASE)
        TEXT("address %#lx is physical %#lx", address, physical);
    TEXT("address %#lx is nothing of L0's: a guest's address, or not a pointer", address);
}

/* ---- VM entries ---- */

static struct vmcs12 copy; /* too large for a stack */

static void copy_current_vmcs(void)
{
    u64 value;

#define X(name, encoding, member, needs)                                                           \
    value = 0;                                                                                     \
    vmread_try(encoding, &value);                                                                  \
    copy.member = (__typeof__(copy.member))value;
    VMCS12_FIELDS(X)
#undef X
    copy.vmcs_link_pointer = ~0ull; /* L0's own memory, which the checks cannot read */
}

static void print_entry(void)
{
    char text[CULPRIT_TEXT_SIZE];
    struct culprit culprit;

    copy_current_vmcs();
    culprit_find(&copy, &l0.hw, true, 0, &culprit);
    if (!culprit.count) {
        log_raw("likely culprit: none of the fields, by the checks of vmx/check.h\n");
        return;
    }
    culprit_text(&culprit, text, sizeof(text));
    log_raw("likely culprit, in the current VMCS: %s", text);
}

/* The current VMCS is that of an entry that has failed; no VMREAD fails that has a current VMCS. */
static bool entry_has_failed(void)
{
    u64 error = 0, reason = 0;

    if (!vmread_try(VM_INSTRUCTION_ERROR, &error) || !vmread_try(VM_EXIT_REASON, &reason))
        return false;
    return error == VMXERR_ENTRY_INVALID_CONTROL_FIELD ||
           error == VMXERR_ENTRY_INVALID_HOST_STATE_FIELD ||
           (reason & VMX_EXIT_REASONS_FAILED_VMENTRY);
}

extern const u8 __text_start[], __text_end[];

static void print_trap(const struct trap_frame *frame)
{
    char text[96];
    u64 left = (u64)__text_end - frame->rip;
    size_t bytes = left < SUSPECT_CODE_MAX ? left : SUSPECT_CODE_MAX;

    if (frame->rip < (u64)__text_start || frame->rip >= (u64)__text_end) {
        log_raw("likely culprit: a jump or return to %#lx, which is no code of L0's\n", frame->rip);
        return;
    }
    log_raw("likely culprit: the instruction at RIP:");
    for (size_t i = 0; i < bytes; i++)
        log_raw(" %02x", ((const u8 *)frame->rip)[i]);
    if (suspect_instruction((const u8 *)frame->rip, bytes, frame, text, sizeof(text)))
        log_raw("\n  %s", text);
    if (frame->vector == VECTOR_PF) {
        suspect_address(read_cr2(), frame, l0.boot.ram_top, text, sizeof(text));
        log_raw("\n  %s", text);
    }
    log_raw("\n");
}

void suspect_print(const struct trap_frame *frame)
{
    if (frame)
        print_trap(frame);
    else if (entry_has_failed())
        print_entry();
}
