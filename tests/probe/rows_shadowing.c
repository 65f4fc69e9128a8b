/* VMCS shadowing for L2: VMREAD and VMWRITE in VMX non-root operation. SDM vol. 3, "VMCS Types:
   Ordinary and Shadow" and "Changes to Instruction Behavior in VMX Non-Root Operation". */
#include "guest_rows.h"

#define SHADOW BIT(31) /* of the first word of a shadow VMCS */
/* A value for each field that tells which one it is, at any width. */
#define FIELD_VALUE(encoding) (0x0101010100000000ull * (encoding) + (encoding))

static const struct {
    const char *name;
    u32 encoding;
} fields[] = {
#define X(name, encoding, member, needs) {#name, encoding},
    VMCS12_FIELDS(X)
#undef X
};

static bool exists(u32 encoding)
{
    u64 value;
    bool carry, zero;

    __asm__ volatile("vmread %3, %0"
                     : "=r"(value), "=@ccc"(carry), "=@ccz"(zero)
                     : "r"((u64)encoding));
    return !carry && !zero;
}

static void clear_and_load(u32 page)
{
    vm_clear(arena_address(page));
    vm_load(arena_address(page));
}

static void make_shadow(void)
{
    memset(arena_page(PAGE_SHADOW_VMCS), 0, PAGE_SIZE);
    *(u32 *)arena_page(PAGE_SHADOW_VMCS) = (u32)(vmx_basic & VMX_BASIC_REVISION) | SHADOW;
    clear_and_load(PAGE_SHADOW_VMCS);
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        vm_write(fields[i].encoding, FIELD_VALUE(fields[i].encoding));
    vm_clear(arena_address(PAGE_SHADOW_VMCS));
    vm_load(arena_address(PAGE_VMCS));
}

/* No field exits yet. */
static void start(enum guest_mode mode, u32 flags)
{
    make_shadow();
    guest_setup(mode, flags);
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS);
    vm_write(VMCS_LINK_POINTER, arena_address(PAGE_SHADOW_VMCS));
}

static bool shadowing_row(const char *name)
{
    return row(STATE_VMCS, "shadowing.%s", name) && row_needs(FEATURE_VMCS_SHADOWING);
}

static void put_bit(u32 page, u32 bit, bool exits)
{
    u8 *byte = arena_page(page) + bit / 8;

    *byte = (u8)((*byte & ~BIT(bit % 8)) | (u32)exits << bit % 8);
}

/* ---- L2 executes one instruction */

static bool launched;

static void run(const char *code)
{
    guest_code(code);
    vm_write(GUEST_RIP, guest_entry);
    vm_write(GUEST_RFLAGS, RFLAGS_FIXED);
    guest_run(!launched);
    launched = true;
}

/* The exit is the VMCALL behind the instruction, or something to tell of. */
static void say_end(void)
{
    u64 flags = vm_read(GUEST_RFLAGS) & ~RFLAGS_FIXED;

    if (exec.end != EXEC_EXITED || vm_read(VM_EXIT_REASON) != EXIT_REASON_VMCALL ||
        vm_read(GUEST_RIP) != guest_entry + 3)
        say_exec();
    else if (flags)
        say("fl %lx", flags);
    else
        say("ok");
}

static void l2_read(const char *what, u64 encoding)
{
    exec_clear();
    exec.gpr[RBX] = encoding;
    run("vmread rax rbx");
    say("%s ", what);
    say_end();
    say(" %lx; ", exec.gpr[RAX]);
}

static void l2_write(const char *what, u64 encoding, u64 value)
{
    exec_clear();
    exec.gpr[RCX] = encoding;
    exec.gpr[RDX] = value;
    run("vmwrite rcx rdx");
    say("%s ", what);
    say_end();
    say("; ");
}

/* What L1 finds. */
static void say_shadow(const char *what, u32 encoding)
{
    clear_and_load(PAGE_SHADOW_VMCS);
    say("%s %lx; ", what, vm_read(encoding));
    vm_clear(arena_address(PAGE_SHADOW_VMCS));
    vm_load(arena_address(PAGE_VMCS));
}

static bool is_64bit(u32 encoding) { return VMCS_FIELD_WIDTH(encoding) == VMCS_WIDTH_64; }

static void field_row(const char *name, u32 encoding, enum guest_mode mode)
{
    char text[64];

    format_text(text, sizeof(text), "%s.%s", name, guest_mode_names[mode]);
    if (!shadowing_row(text))
        return;
    if (!exists(encoding)) {
        row_skip("a feature that has this field");
        return;
    }
    start(mode, 0);
    launched = false;
    l2_read("read", encoding);
    l2_write("write", encoding, 0xfedcba9876543210);
    l2_read("read", encoding);
    l2_read("high", encoding | 1);
    l2_write("write high", encoding | 1, 0xaaaaaaaa12345678);
    say_shadow("l1 reads", encoding);
    put_bit(PAGE_VMREAD_BITMAP, encoding, true);
    l2_read("exiting", encoding);
    l2_read("high", encoding | 1);
    l2_write("write", encoding, 0x33);
    if (is_64bit(encoding)) {
        put_bit(PAGE_VMREAD_BITMAP, encoding, false);
        put_bit(PAGE_VMREAD_BITMAP, encoding | 1, true);
        l2_read("high exits, read", encoding);
        l2_read("high", encoding | 1);
    }
    memset(arena_page(PAGE_VMREAD_BITMAP), 0xff, PAGE_SIZE);
    put_bit(PAGE_VMREAD_BITMAP, encoding, false);
    put_bit(PAGE_VMWRITE_BITMAP, encoding, true);
    l2_write("exiting", encoding, 0x44);
    l2_read("read", encoding);
    memset(arena_page(PAGE_VMWRITE_BITMAP), 0xff, PAGE_SIZE);
    put_bit(PAGE_VMWRITE_BITMAP, encoding | 1, false);
    l2_write("only the high half lets through", encoding | 1, 0x99);
    put_bit(PAGE_VMWRITE_BITMAP, encoding | 1, true);
    put_bit(PAGE_VMWRITE_BITMAP, encoding, false);
    l2_write("only this field lets through", encoding, 0x1234567890abcdef);
    say_shadow("l1 reads", encoding);
    row_end();
}

/* ---- encodings that no field has */

static const u64 absent[] = {
    0x1e,
    0x3e,
    0x7e,
    0x03fe,
    0x0001,
    0x0801,
    0x1000,
    0x1802,
    0x0c10,
    0x23fe,
    0x2bfe,
    0x2ffe,
    0x3000,
    0x4001,
    0x4403,
    0x4ffe,
    0x5000,
    0x601a,
    0x6001,
    0x681f,
    0x6ffe,
    0x7000,
    0x77fe,
    0x7ffe,
    0x7fff,
    0x8000,
    0x9000,
    0xc000,
    0x1681e,
    0x10000,
    BIT(31),
    BIT64(32),
    BIT64(32) + GUEST_RIP,
    BIT64(63),
    BIT64(63) + GUEST_RIP,
    ~0ull,
};

static void absent_rows(enum guest_mode mode)
{
    char text[64];

    for (u32 i = 0; i < ARRAY_SIZE(absent); i++) {
        format_text(text, sizeof(text), "absent %lx.%s", absent[i], guest_mode_names[mode]);
        if (!shadowing_row(text))
            continue;
        start(mode, 0);
        launched = false;
        vm_write(VM_INSTRUCTION_ERROR, 77);
        l2_read("read", absent[i]);
        say("error %lu; ", vm_read(VM_INSTRUCTION_ERROR));
        l2_write("write", absent[i], 5);
        say("error %lu; ", vm_read(VM_INSTRUCTION_ERROR));
        say_shadow("in the shadow", VM_INSTRUCTION_ERROR);
        memset(arena_page(PAGE_VMREAD_BITMAP), 0xff, PAGE_SIZE);
        memset(arena_page(PAGE_VMWRITE_BITMAP), 0xff, PAGE_SIZE);
        l2_read("read", absent[i]);
        l2_write("write", absent[i], 5);
        row_end();
    }
}

/* Fields that exist elsewhere. */
static void without_row(const char *name, u32 encoding)
{
    char text[64];

    format_text(text, sizeof(text), "without %s", name);
    if (!shadowing_row(text))
        return;
    if (exists(encoding)) {
        row_skip("a processor without this field");
        return;
    }
    start(GUEST_64, 0);
    launched = false;
    l2_read("read", encoding);
    say("error %lu; ", vm_read(VM_INSTRUCTION_ERROR));
    l2_write("write", encoding, 5);
    l2_read("high", encoding | 1);
    put_bit(PAGE_VMREAD_BITMAP, encoding, true);
    l2_read("exiting", encoding);
    row_end();
}

/* ---- the same by the tables of guest rows: operands, privilege, events, no link pointer */

static void prepare(void)
{
    make_shadow();
    if (vm_read(VMCS_LINK_POINTER) == ~0ull)
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_SHADOW_VMCS));
    else
        vm_write(VMCS_LINK_POINTER, ~0ull);
}

static void say_both_errors(void)
{
    say(" error %lu; ", vm_read(VM_INSTRUCTION_ERROR));
    say_shadow("in the shadow", VM_INSTRUCTION_ERROR);
}

static void say_memory(void) { say(" memory %lx", *(u64 *)guest_memory(L2_DATA)); }

static void say_shadow_rip(void) { say_shadow("; l1 reads", GUEST_RIP); }

#define ON          PROC2(SECONDARY_EXEC_SHADOW_VMCS)
#define UNLINKED    SET(VMCS_LINK_POINTER, 0) /* prepare() turns it round */
#define ERROR(n)    SET(VM_INSTRUCTION_ERROR, n)
#define TRAP        OR(GUEST_RFLAGS, RFLAGS_TF)
#define MTF         PROC(CPU_BASED_MONITOR_TRAP_FLAG)
#define NO_FIELD    0x3e
#define READ_OF(f)  REG(RBX, f)
#define WRITE_OF(f) REG(RCX, f), REG(RDX, 0x5555)

static const struct guest_row rows_of_modes[] = {
    {.name = "read",
     .code = "vmread rax rbx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, READ_OF(GUEST_RIP)}},
    {.name = "write",
     .code = "vmwrite rcx rdx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, WRITE_OF(GUEST_RIP)},
     .finish = say_shadow_rip},
    {.name = "read exits",
     .code = "vmread rax rbx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, READ_OF(GUEST_RIP), PAGE_BIT(PAGE_VMREAD_BITMAP, GUEST_RIP)}},
    {.name = "write exits",
     .code = "vmwrite rcx rdx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, WRITE_OF(GUEST_RIP), PAGE_BIT(PAGE_VMWRITE_BITMAP, GUEST_RIP)}},
    {.name = "read of no field",
     .code = "vmread rax rbx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, READ_OF(NO_FIELD), ERROR(88)},
     .finish = say_both_errors},
    {.name = "write of no field",
     .code = "vmwrite rcx rdx",
     .modes = ALL_MODES,
     .prepare = prepare,
     .edits = {ON, WRITE_OF(NO_FIELD), ERROR(88)},
     .finish = say_both_errors},
    {.name = "read of no field exits",
     .code = "vmread rax rbx",
     .modes = M64 | USER64 | M32,
     .prepare = prepare,
     .edits = {ON, READ_OF(NO_FIELD), PAGE_BIT(PAGE_VMREAD_BITMAP, NO_FIELD)}},
    {.name = "read beyond exits",
     .code = "vmread rax rbx",
     .modes = M64 | USER64 | M32 | USER32,
     .prepare = prepare,
     .edits = {ON, READ_OF(0x10000)}},
    {.name = "write beyond exits",
     .code = "vmwrite rcx rdx",
     .modes = M64 | USER64 | M32 | USER32,
     .prepare = prepare,
     .edits = {ON, WRITE_OF(0x8000)}},
    {.name = "unlinked read",
     .code = "vmread rax rbx",
     .modes = M64 | USER64 | M32,
     .prepare = prepare,
     .edits = {ON, UNLINKED, READ_OF(GUEST_RIP), ERROR(88)},
     .show = {VM_INSTRUCTION_ERROR}},
    {.name = "unlinked write",
     .code = "vmwrite rcx rdx",
     .modes = M64 | USER64 | M32,
     .prepare = prepare,
     .edits = {ON, UNLINKED, WRITE_OF(GUEST_RIP)},
     .finish = say_shadow_rip},
    {.name = "unlinked read of no field",
     .code = "vmread rax rbx",
     .modes = M64 | USER64 | M32,
     .prepare = prepare,
     .edits = {ON, UNLINKED, READ_OF(NO_FIELD), ERROR(88)},
     .show = {VM_INSTRUCTION_ERROR}},
    {.name = "unlinked write of no field",
     .code = "vmwrite rcx rdx",
     .modes = M64 | USER64 | M32,
     .prepare = prepare,
     .edits = {ON, UNLINKED, WRITE_OF(NO_FIELD), ERROR(88)},
     .show = {VM_INSTRUCTION_ERROR}},
    {.name = "unlinked read exits",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, UNLINKED, READ_OF(GUEST_RIP), PAGE_BIT(PAGE_VMREAD_BITMAP, GUEST_RIP)}},
    {.name = "read mtf",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, MTF, READ_OF(GUEST_RIP)}},
    {.name = "read of no field mtf",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, MTF, READ_OF(NO_FIELD)}},
    {.name = "write of no field mtf",
     .code = "vmwrite rcx rdx",
     .prepare = prepare,
     .edits = {ON, MTF, WRITE_OF(NO_FIELD)}},
    {.name = "read tf",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, TRAP, READ_OF(GUEST_RIP)}},
    {.name = "read of no field tf",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, TRAP, READ_OF(NO_FIELD)}},
    {.name = "write of no field tf",
     .code = "vmwrite rcx rdx",
     .prepare = prepare,
     .edits = {ON, TRAP, WRITE_OF(NO_FIELD)}},
    {.name = "read of no field user gp exits",
     .code = "vmread rax rbx",
     .modes = USER64,
     .prepare = prepare,
     .edits = {ON, READ_OF(NO_FIELD), OR(EXCEPTION_BITMAP, BIT(VECTOR_GP))}},
    {.name = "vmread r8 r15", .prepare = prepare, .edits = {ON, REG(R15, GUEST_RSP)}},
    {.name = "vmwrite rsp r9",
     .prepare = prepare,
     .edits = {ON, SET(GUEST_RSP, GUEST_RIP)},
     .finish = say_shadow_rip},
    {.name = "inactive secondary controls",
     .code = "vmread rax rbx",
     .prepare = prepare,
     .edits = {ON, READ_OF(GUEST_RIP), UNLINKED,
               CLEAR(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)}},
};

static void memory_rows(void)
{
    static const struct {
        const char *suffix;
        u32 modes;
        u32 base;
        u64 value;
    } forms[] = {
        {"", M64 | M32, RAX, 0}, {" base", M64, RCX, L2_DATA},  {" sib", M64, RAX, 0x1dcc - 8 * 1},
        {" rip", M64, RAX, 0},   {" base", M64, RCX, 0x100000}, {" base", M64, RCX, BIT64(47)},
    };
    char code[32], name[64];

    for (u32 i = 0; i < ARRAY_SIZE(forms); i++) {
        struct guest_row what = {
            .name = name,
            .code = code,
            .modes = forms[i].modes,
            .prepare = prepare,
            .finish = say_memory,
            .edits = {ON, REG(RDX, GUEST_RSP), REG(R11, GUEST_RSP), REG(RBP, GUEST_RSP),
                      MEMORY(L2_DATA, 0x11223344), REG(R9, 1)},
        };

        what.edits[6] = (struct edit){EDIT_REGISTER, forms[i].base, forms[i].value};
        for (u32 write = 0; write < 2; write++) {
            format_text(code, sizeof(code), "%s%s", write ? "vmwrite-mem" : "vmread-mem",
                        forms[i].suffix);
            format_text(name, sizeof(name), "%s %lx", code, forms[i].value);
            guest_rows("shadowing", &what, 1);
        }
    }
}

/* ---- VM entry: the bitmaps' addresses, the link pointer */

static const struct guest_row control_rows[] = {
    {.name = "vmread bitmap misaligned", .code = "nop", .edits = {ON, OR(VMREAD_BITMAP, 1)}},
    {.name = "vmread bitmap misaligned 800",
     .code = "nop",
     .edits = {ON, OR(VMREAD_BITMAP, 0x800)}},
    {.name = "vmread bitmap beyond", .code = "nop", .edits = {ON, BEYOND(VMREAD_BITMAP)}},
    {.name = "vmread bitmap bit 63", .code = "nop", .edits = {ON, OR(VMREAD_BITMAP, BIT64(63))}},
    {.name = "vmwrite bitmap misaligned", .code = "nop", .edits = {ON, OR(VMWRITE_BITMAP, 1)}},
    {.name = "vmwrite bitmap misaligned 800",
     .code = "nop",
     .edits = {ON, OR(VMWRITE_BITMAP, 0x800)}},
    {.name = "vmwrite bitmap beyond", .code = "nop", .edits = {ON, BEYOND(VMWRITE_BITMAP)}},
    {.name = "vmwrite bitmap bit 63", .code = "nop", .edits = {ON, OR(VMWRITE_BITMAP, BIT64(63))}},
    {.name = "bitmaps unused",
     .code = "nop",
     .edits = {SET(VMREAD_BITMAP, ~0ull), SET(VMWRITE_BITMAP, 1)}},
    {.name = "bitmaps at zero",
     .code = "nop",
     .edits = {ON, SET(VMREAD_BITMAP, 0), SET(VMWRITE_BITMAP, 0)}},
};

static const struct {
    const char *name;
    u32 page;
    u32 change; /* xor-ed into the first word of the page */
    u64 add;
} links[] = {
    {"to a shadow vmcs", PAGE_SHADOW_VMCS, 0, 0},
    {"to an ordinary vmcs", PAGE_VMCS2, 0, 0},
    {"to the current vmcs", PAGE_VMCS, 0, 0},
    {"to the current vmcs as a shadow", PAGE_VMCS, SHADOW, 0},
    {"to the vmxon region", PAGE_VMXON, 0, 0},
    {"to the vmxon region as a shadow", PAGE_VMXON, SHADOW, 0},
    {"to data", PAGE_SCRATCH, 0, 0},
    {"to ones", PAGE_SCRATCH2, ~0u, 0},
    {"to another revision", PAGE_SHADOW_VMCS, 1, 0},
    {"to revision bit 30", PAGE_SHADOW_VMCS, BIT(30), 0},
    {"misaligned", PAGE_SHADOW_VMCS, 0, 8},
    {"misaligned 800", PAGE_SHADOW_VMCS, 0, 0x800},
    {"bit 63", PAGE_SHADOW_VMCS, 0, BIT64(63)},
    {"bit 52", PAGE_SHADOW_VMCS, 0, BIT64(52)},
};

static void link_row(u32 i, bool shadowing)
{
    char text[64];

    format_text(text, sizeof(text), "link %s%s", links[i].name, shadowing ? "" : ", control 0");
    if (!shadowing_row(text))
        return;
    start(GUEST_64, 0);
    if (!shadowing)
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS);
    vm_write(VMCS_LINK_POINTER, arena_address(links[i].page) + links[i].add);
    memset(arena_page(PAGE_SCRATCH2), 0, PAGE_SIZE);
    *(u32 *)arena_page(links[i].page) ^= links[i].change;
    guest_code("nop");
    guest_run(true);
    say_exec();
    *(u32 *)arena_page(links[i].page) ^= links[i].change;
    row_end();
}

/* ---- a shadow VMCS that is current */

static void say_fields(void)
{
    static const u32 some[] = {GUEST_RIP,        GUEST_ES_SELECTOR, HOST_RSP,
                               VM_EXIT_REASON,   EXCEPTION_BITMAP,  VMREAD_BITMAP,
                               GUEST_CS_AR_BYTES};

    for (u32 i = 0; i < ARRAY_SIZE(some); i++)
        say("%lx ", vm_read(some[i]));
}

static void current_rows(void)
{
    static const char *const codes[] = {"vmlaunch", "vmresume", "mov-ss vmlaunch",
                                        "mov-ss vmresume"};

    if (shadowing_row("current")) {
        make_shadow();
        exec.gpr[RCX] = (u64) & (u64){arena_address(PAGE_SHADOW_VMCS)};
        exec_code("vmptrld");
        say_exec();
        say(" current %p: ", (void *)vm_current());
        say_fields();
        vm_write(GUEST_RIP, 0x1234);
        vm_write(GUEST_ES_SELECTOR, 0x5678);
        vm_load(arena_address(PAGE_VMCS2));
        vm_load(arena_address(PAGE_SHADOW_VMCS));
        say_fields();
        say("clear %u ", vm_clear(arena_address(PAGE_SHADOW_VMCS)));
        say("current %p", (void *)vm_current());
        row_end();
    }
    for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
        char text[64];

        format_text(text, sizeof(text), "%s of a shadow vmcs", codes[i]);
        if (!shadowing_row(text))
            continue;
        make_shadow();
        vm_load(arena_address(PAGE_SHADOW_VMCS));
        exec_code(codes[i]);
        say_exec();
        row_end();
    }
}

/* ---- what changes between entries */

static void sequence_rows(void)
{
    if (shadowing_row("l1 writes between entries")) {
        start(GUEST_64, 0);
        launched = false;
        l2_write("write", GUEST_RSP, 0x77);
        clear_and_load(PAGE_SHADOW_VMCS);
        say("l1 reads %lx; ", vm_read(GUEST_RSP));
        vm_write(GUEST_RSP, 0x88);
        vm_write(HOST_RIP, 0x99);
        vm_clear(arena_address(PAGE_SHADOW_VMCS));
        vm_load(arena_address(PAGE_VMCS));
        l2_read("read", GUEST_RSP);
        l2_read("read", HOST_RIP);
        row_end();
    }
    if (shadowing_row("not cleared by l1")) {
        start(GUEST_64, 0);
        launched = false;
        vm_load(arena_address(PAGE_SHADOW_VMCS));
        vm_write(GUEST_RSP, 0x88);
        vm_write(HOST_RIP, 0x99);
        vm_load(arena_address(PAGE_VMCS));
        l2_read("read", GUEST_RSP);
        l2_read("read", HOST_RIP);
        l2_write("write", HOST_RIP, 0xaa);
        vm_load(arena_address(PAGE_SHADOW_VMCS));
        say("l1 reads %lx %lx", vm_read(GUEST_RSP), vm_read(HOST_RIP));
        row_end();
    }
    if (shadowing_row("switched off and on")) {
        start(GUEST_64, 0);
        launched = false;
        l2_read("on", GUEST_RSP);
        vm_write(VMCS_LINK_POINTER, ~0ull);
        l2_read("unlinked", GUEST_RSP);
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS);
        l2_read("off", GUEST_RSP);
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_VMCS2));
        l2_read("ordinary link", GUEST_RSP);
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_SHADOW_VMCS));
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_SHADOW_VMCS);
        l2_read("on", GUEST_RSP);
        field_clear(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
        vm_write(VMCS_LINK_POINTER, ~0ull);
        l2_read("no secondary controls", GUEST_RSP);
        row_end();
    }
    if (shadowing_row("another shadow vmcs")) {
        start(GUEST_64, 0);
        launched = false;
        l2_write("write", GUEST_RSP, 0x77);
        *(u32 *)arena_page(PAGE_VMCS2) |= SHADOW;
        vm_load(arena_address(PAGE_VMCS2));
        vm_write(GUEST_RSP, 0x11);
        vm_clear(arena_address(PAGE_VMCS2));
        vm_load(arena_address(PAGE_VMCS));
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_VMCS2));
        l2_read("read", GUEST_RSP);
        l2_write("write", GUEST_RSP, 0x22);
        vm_write(VMCS_LINK_POINTER, arena_address(PAGE_SHADOW_VMCS));
        l2_read("read", GUEST_RSP);
        row_end();
    }
    if (shadowing_row("l1's own vmread goes on")) {
        start(GUEST_64, 0);
        launched = false;
        l2_write("write", GUEST_RSP, 0x77);
        say("%lx %lx ", vm_read(GUEST_RSP), vm_read(VM_EXIT_REASON));
        vm_write(GUEST_CR3, vm_read(GUEST_CR3));
        l2_read("read", GUEST_RSP);
        say("%lx %lx", vm_read(GUEST_RSP), vm_read(VM_EXIT_REASON));
        row_end();
    }
}

void rows_shadowing(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
        field_row(fields[i].name, fields[i].encoding, GUEST_64);
        if (fields[i].encoding % 16 == 0)
            field_row(fields[i].name, fields[i].encoding, GUEST_PAE);
    }
    for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
        without_row(fields[i].name, fields[i].encoding);
    absent_rows(GUEST_64);
    absent_rows(GUEST_PAE);
    guest_rows("shadowing", rows_of_modes, ARRAY_SIZE(rows_of_modes));
    memory_rows();
    guest_rows("shadowing", control_rows, ARRAY_SIZE(control_rows));
    for (u32 i = 0; i < ARRAY_SIZE(links); i++) {
        link_row(i, true);
        link_row(i, false);
    }
    current_rows();
    sequence_rows();
}
