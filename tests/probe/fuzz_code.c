/* Random instructions for a guest of the fuzzer. */
#include "fuzz.h"

#define CODE_SIZE 512
#define OPS_MAX   10

enum {
    MODRM = BIT(0),  /* a ModRM byte, register or memory */
    MEMORY = BIT(1), /* the same, memory only */
    REG = BIT(2),    /* the same, register only */
    IMM8 = BIT(3),
    PORT = BIT(4), /* an immediate port */
    MSR = BIT(5),  /* ECX is an MSR's number, EDX:EAX a value */
    DX = BIT(6),   /* DX is a port */
    LONG = BIT(7),
    LEGACY = BIT(8),
    REP = BIT(9),
    HAS_DIGIT = BIT(10), /* ModRM's reg field is part of the opcode */
};
#define DIGIT_SHIFT 12
#define DIGIT(n)    (HAS_DIGIT | (n) << DIGIT_SHIFT)

static const struct op {
    u8 length;
    u8 bytes[3];
    u16 flags;
} ops[] = {
    {1, {0x90}, 0},
    {2, {0x0f, 0xa2}, 0},                       /* CPUID */
    {1, {0xf4}, 0},                             /* HLT */
    {2, {0x0f, 0x08}, 0},                       /* INVD */
    {2, {0x0f, 0x09}, 0},                       /* WBINVD */
    {2, {0xf3, 0x90}, 0},                       /* PAUSE */
    {2, {0x0f, 0x0b}, 0},                       /* UD2 */
    {1, {0xcc}, 0},                             /* INT3 */
    {1, {0xf1}, 0},                             /* INT1 */
    {1, {0xcd}, IMM8},                          /* INT */
    {1, {0xce}, LEGACY},                        /* INTO */
    {1, {0x62}, LEGACY | MEMORY},               /* BOUND */
    {1, {0xd4}, LEGACY | IMM8},                 /* AAM */
    {2, {0x0f, 0x06}, 0},                       /* CLTS */
    {1, {0xfa}, 0},                             /* CLI */
    {1, {0xfb}, 0},                             /* STI */
    {1, {0x9c}, 0},                             /* PUSHF */
    {1, {0x9d}, 0},                             /* POPF */
    {1, {0xcf}, 0},                             /* IRET */
    {1, {0xc3}, 0},                             /* RET */
    {1, {0xcb}, 0},                             /* RET far */
    {2, {0xeb, 0x02}, 0},                       /* JMP */
    {2, {0x74, 0x03}, 0},                       /* JZ */
    {2, {0x0f, 0x01}, MEMORY | DIGIT(0)},       /* SGDT */
    {2, {0x0f, 0x01}, MEMORY | DIGIT(1)},       /* SIDT */
    {2, {0x0f, 0x01}, MEMORY | DIGIT(2)},       /* LGDT */
    {2, {0x0f, 0x01}, MEMORY | DIGIT(3)},       /* LIDT */
    {2, {0x0f, 0x01}, MODRM | DIGIT(4)},        /* SMSW */
    {2, {0x0f, 0x01}, MODRM | DIGIT(6)},        /* LMSW */
    {2, {0x0f, 0x01}, MEMORY | DIGIT(7)},       /* INVLPG */
    {2, {0x0f, 0x00}, MODRM | DIGIT(0)},        /* SLDT */
    {2, {0x0f, 0x00}, MODRM | DIGIT(1)},        /* STR */
    {2, {0x0f, 0x00}, MODRM | DIGIT(2)},        /* LLDT */
    {2, {0x0f, 0x00}, MODRM | DIGIT(3)},        /* LTR */
    {2, {0x0f, 0x00}, MODRM | DIGIT(4)},        /* VERR */
    {2, {0x0f, 0x02}, MODRM},                   /* LAR */
    {2, {0x0f, 0x20}, REG},                     /* MOV from CR */
    {2, {0x0f, 0x22}, REG},                     /* MOV to CR */
    {2, {0x0f, 0x22}, REG},                     /* MOV to CR */
    {2, {0x0f, 0x21}, REG},                     /* MOV from DR */
    {2, {0x0f, 0x23}, REG},                     /* MOV to DR */
    {1, {0xe4}, PORT},                          /* IN AL */
    {1, {0xe5}, PORT},                          /* IN EAX */
    {1, {0xe6}, PORT},                          /* OUT AL */
    {1, {0xe7}, PORT},                          /* OUT EAX */
    {1, {0xec}, DX},                            /* IN AL, DX */
    {1, {0xed}, DX},                            /* IN EAX, DX */
    {1, {0xee}, DX},                            /* OUT DX, AL */
    {1, {0xef}, DX},                            /* OUT DX, EAX */
    {1, {0x6c}, DX | REP},                      /* INSB */
    {1, {0x6d}, DX | REP},                      /* INSD */
    {1, {0x6e}, DX | REP},                      /* OUTSB */
    {1, {0x6f}, DX | REP},                      /* OUTSD */
    {2, {0x0f, 0x32}, MSR},                     /* RDMSR */
    {2, {0x0f, 0x30}, MSR},                     /* WRMSR */
    {2, {0x0f, 0x31}, 0},                       /* RDTSC */
    {3, {0x0f, 0x01, 0xf9}, 0},                 /* RDTSCP */
    {2, {0x0f, 0x33}, 0},                       /* RDPMC */
    {3, {0x0f, 0x01, 0xd0}, 0},                 /* XGETBV */
    {3, {0x0f, 0x01, 0xd1}, 0},                 /* XSETBV */
    {3, {0x0f, 0x01, 0xc8}, 0},                 /* MONITOR */
    {3, {0x0f, 0x01, 0xc9}, 0},                 /* MWAIT */
    {2, {0x0f, 0x37}, 0},                       /* GETSEC */
    {2, {0x0f, 0xaa}, 0},                       /* RSM */
    {3, {0x0f, 0x01, 0xc1}, 0},                 /* VMCALL */
    {3, {0x0f, 0x01, 0xc2}, 0},                 /* VMLAUNCH */
    {3, {0x0f, 0x01, 0xc3}, 0},                 /* VMRESUME */
    {3, {0x0f, 0x01, 0xc4}, 0},                 /* VMXOFF */
    {3, {0x0f, 0x01, 0xd4}, 0},                 /* VMFUNC */
    {3, {0xf3, 0x0f, 0xc7}, MEMORY | DIGIT(6)}, /* VMXON */
    {3, {0x66, 0x0f, 0xc7}, MEMORY | DIGIT(6)}, /* VMCLEAR */
    {2, {0x0f, 0xc7}, MEMORY | DIGIT(6)},       /* VMPTRLD */
    {2, {0x0f, 0xc7}, MEMORY | DIGIT(7)},       /* VMPTRST */
    {2, {0x0f, 0x78}, MODRM},                   /* VMREAD */
    {2, {0x0f, 0x79}, MODRM},                   /* VMWRITE */
    {3, {0x66, 0x0f, 0x38}, MEMORY | DIGIT(0)}, /* INVEPT: see make_op() */
    {1, {0x01}, MODRM},                         /* ADD */
    {1, {0x88}, MODRM},                         /* MOV to memory, 8 bits */
    {1, {0x89}, MODRM},                         /* MOV to memory */
    {1, {0x8b}, MODRM},                         /* MOV from memory */
    {1, {0x8b}, MEMORY},                        /* the same */
    {1, {0x87}, MEMORY},                        /* XCHG */
    {1, {0xff}, MODRM | DIGIT(6)},              /* PUSH */
    {1, {0x8f}, MODRM | DIGIT(0)},              /* POP */
    {1, {0xff}, MODRM | DIGIT(2)},              /* CALL */
    {1, {0xff}, MEMORY | DIGIT(5)},             /* JMP far */
    {1, {0xf7}, MODRM | DIGIT(6)},              /* DIV */
    {1, {0x8e}, MODRM},                         /* MOV to a segment register */
    {1, {0x8c}, MODRM},                         /* MOV from one */
    {2, {0x0f, 0xb2}, MEMORY},                  /* LSS */
    {1, {0x17}, LEGACY},                        /* POP SS */
    {2, {0x0f, 0xa1}, 0},                       /* POP FS */
    {1, {0xa4}, REP},                           /* MOVSB */
    {1, {0xa5}, REP},                           /* MOVSD */
    {1, {0xaa}, REP},                           /* STOSB */
    {1, {0xac}, REP},                           /* LODSB */
    {2, {0x0f, 0xc7}, MEMORY | DIGIT(1)},       /* CMPXCHG8B */
    {2, {0xd9, 0xe8}, 0},                       /* FLD1 */
    {1, {0x9b}, 0},                             /* FWAIT */
    {2, {0x0f, 0x58}, REG},                     /* ADDPS */
    {2, {0x0f, 0x34}, 0},                       /* SYSENTER */
    {2, {0x0f, 0x35}, 0},                       /* SYSEXIT */
    {2, {0x0f, 0x05}, 0},                       /* SYSCALL */
    {2, {0x0f, 0x07}, LONG},                    /* SYSRET */
    {3, {0x0f, 0x01, 0xf8}, LONG},              /* SWAPGS */
    {2, {0x0f, 0xae}, MEMORY | DIGIT(7)},       /* CLFLUSH */
    {2, {0x0f, 0xc7}, MEMORY | DIGIT(5)},       /* XSAVES */
    {2, {0x0f, 0xc7}, MEMORY | DIGIT(3)},       /* XRSTORS */
};

/* Ports that do nothing, some of them next to others or to the end. */
static const u16 ports[] = {0x80, 0x80, 0x80, 0xed, 0x7fff, 0x7ffe, 0x8000, 0xffff, 0xfffe, 0x7e};

const u32 fuzz_msrs[] = {
    MSR_IA32_SYSENTER_CS,    MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
    MSR_IA32_STAR,           MSR_IA32_LSTAR,        MSR_IA32_FMASK,
    MSR_IA32_KERNEL_GS_BASE, MSR_IA32_FS_BASE,      MSR_IA32_GS_BASE,
    MSR_IA32_EFER,           MSR_IA32_PAT,          0xc0000083, /* CSTAR */
};
const u32 fuzz_msr_count = ARRAY_SIZE(fuzz_msrs);

/* Where memory operands point to. */
static const u32 places[] = {
    L2_DATA,         L2_DATA + 0x10,    L2_DATA + 0xffc,
    L2_SPARE,        L2_SPARE + 0x1010, L2_SPARE + 0xffe,
    L2_STACK_TOP,    L2_GDT + 0x18,     L2_IDT,
    L2_TSS,          L2_CODE + 0x80,    L2_PAGES << 12,
    0x3fffe,         0x50000,           L2_APIC + 0x80,
    L2_APIC + 0x300, L2_APIC + 0xb0,    L2_APIC + 0x20,
    L2_APIC,         L2_APIC + 0xffc,   0,
    0xfffe,          L2_USER_STACK_TOP, 0xfffffffe,
};

static u8 *at, *end;
static u64 bits; /* of the code */

static void put(u64 value, u32 size)
{
    for (u32 i = 0; i < size && at < end; i++)
        *at++ = (u8)(value >> 8 * i);
}

static u32 place(void) { return places[fuzz_below(ARRAY_SIZE(places))]; }

/* ModRM and what follows it, in the form of 16-bit addresses. */
static void put_memory16(u32 reg)
{
    u32 kind = fuzz_below(3);

    if (kind == 0) {
        put(reg << 3 | 6, 1);
        put(place(), 2);
        return;
    }
    put(kind << 6 | reg << 3 | fuzz_below(8), 1);
    put(kind == 1 ? fuzz_below(256) : place(), kind);
}

static void put_memory(u32 reg)
{
    u32 base = fuzz_below(8);

    if (bits == 16) {
        put_memory16(reg);
        return;
    }
    switch (fuzz_below(4)) {
    case 0: /* absolute */
        put(reg << 3 | 4, 1);
        put(0x25, 1);
        put(place(), 4);
        break;
    case 1: /* a base and 8 bits */
        put(1 << 6 | reg << 3 | base, 1);
        if (base == 4)
            put(fuzz_below(256), 1);
        put(fuzz_below(256), 1);
        break;
    case 2: /* a base and 32 bits */
        put(2 << 6 | reg << 3 | base, 1);
        if (base == 4)
            put(fuzz_below(256), 1);
        put(place(), 4);
        break;
    default: /* RIP-relative, or absolute too */
        put(reg << 3 | 5, 1);
        put(bits == 64 ? place() - L2_CODE : place(), 4);
        break;
    }
}

static void put_register(u32 reg) { put(3 << 6 | reg << 3 | fuzz_below(8), 1); }

static void put_modrm(const struct op *op)
{
    u32 reg = op->flags & HAS_DIGIT ? op->flags >> DIGIT_SHIFT : fuzz_below(8);

    if (op->flags & REG || (op->flags & MODRM && fuzz_one_in(2)))
        put_register(reg);
    else
        put_memory(reg);
}

static void put_move_immediate(u32 reg, u32 value)
{
    if (bits == 16)
        put(0x66, 1);
    put(0xb8 | reg, 1);
    put(value, 4);
}

static u32 random_msr(void)
{
    static const u32 others[] = {0x1234,     0x1fff, 0x2000, 0xc0001fff, 0xc0002000,
                                 0x40000000, 0x808,  0x80b,  0x83f};

    if (fuzz_one_in(4))
        return others[fuzz_below(ARRAY_SIZE(others))];
    return fuzz_msrs[fuzz_below(fuzz_msr_count)];
}

static void put_prefixes(const struct op *op)
{
    static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

    if (op->flags & REP && fuzz_one_in(2))
        put(0xf3, 1);
    if (fuzz_one_in(8))
        put(segments[fuzz_below(ARRAY_SIZE(segments))], 1);
    if (fuzz_one_in(12))
        put(0x66, 1);
    /* Known fault: 64-bit code's REP STOS and MOVS with 32-bit addresses end Bochs (faststring.cc).
     */
    if (fuzz_one_in(12) && (bits == 16 || !(op->flags & REP)))
        put(0x67, 1);
    if (fuzz_one_in(24))
        put(0xf0, 1);
}

/* Few times, and not into the code: what is executed then depends on when a time slice ends. */
static void put_string_operands(void)
{
    static const u32 targets[] = {L2_DATA, L2_DATA + 0xffc, L2_SPARE + 0xffe, L2_APIC + 0x80};

    put_move_immediate(RCX, fuzz_below(16));
    put_move_immediate(RDI, targets[fuzz_below(ARRAY_SIZE(targets))]);
}

static void put_op(const struct op *op)
{
    u32 skip = 0;

    if (op->flags & MSR) {
        put_move_immediate(RCX, random_msr());
        put_move_immediate(RDX, fuzz_one_in(2) ? 0 : (u32)fuzz_value());
    }
    if (op->flags & DX)
        put_move_immediate(RDX, ports[fuzz_below(ARRAY_SIZE(ports))]);
    if (op->flags & REP)
        put_string_operands();
    put_prefixes(op);
    /* A mandatory prefix comes before REX. */
    if (op->length == 3 && op->bytes[0] != 0x0f)
        put(op->bytes[skip++], 1);
    if (bits == 64 && fuzz_one_in(3))
        put(0x40 | fuzz_below(16), 1);
    for (; skip < op->length; skip++)
        put(op->bytes[skip], 1);
    if (op->bytes[1] == 0x0f && op->bytes[2] == 0x38) {
        put(0x80 + fuzz_below(3), 1); /* INVEPT, INVVPID, INVPCID */
        put_memory(fuzz_below(8));
    } else if (op->flags & (MODRM | MEMORY | REG)) {
        put_modrm(op);
    }
    if (op->flags & IMM8)
        put(fuzz_below(256), 1);
    if (op->flags & PORT)
        put(ports[fuzz_below(4)], 1);
}

static const u8 *vmcalls(void)
{
    static const u8 vmcall[] = {0x0f, 0x01, 0xc1};
    static u8 filler[CODE_SIZE];

    if (!filler[0])
        for (u32 i = 0; i < CODE_SIZE; i++)
            filler[i] = vmcall[i % sizeof(vmcall)];
    return filler;
}

void fuzz_make_code(void)
{
    u32 count = fuzz_below(OPS_MAX);
    u8 *start = guest_memory(L2_CODE);

    bits = guest_mode == GUEST_64 || guest_mode == GUEST_64_USER ? 64
           : guest_mode == GUEST_REAL || guest_mode == GUEST_V86 ? 16
                                                                 : 32;
    at = start;
    end = start + CODE_SIZE;
    while (count) {
        const struct op *op = &ops[fuzz_below(ARRAY_SIZE(ops))];

        if (op->flags & (bits == 64 ? LEGACY : LONG))
            continue;
        put_op(op);
        count--;
    }
    memcpy(at, vmcalls(), (size_t)(end - at));
}

void fuzz_make_registers(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(exec.gpr); i++) {
        switch (fuzz_below(4)) {
        case 0: exec.gpr[i] = place(); break;
        case 1: exec.gpr[i] = fuzz_below(32); break;
        default: exec.gpr[i] = fuzz_value(); break;
        }
    }
    exec.gpr[RCX] = fuzz_below(16);
}
