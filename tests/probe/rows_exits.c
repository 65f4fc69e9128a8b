/* L2 executes an instruction: whether it leaves, and with what exit information. */
#include "guest_rows.h"

/* ---- instructions that leave always or by one control */

static const struct guest_row instruction_rows[] = {
    {.code = "nop", .modes = ALL_MODES},
    {.code = "vmcall", .modes = ALL_MODES},
    {.code = "cpuid", .modes = ALL_MODES, .steps = 2, .edits = {REG(RAX, 0), REG(RCX, 0)}},
    {.code = "hlt", .modes = ALL_MODES, .steps = 2, .edits = {PROC(CPU_BASED_HLT_EXITING)}},
    {.code = "invd", .modes = ALL_MODES, .steps = 2},
    {.code = "wbinvd", .modes = ALL_MODES},
    {.name = "wbinvd exiting",
     .code = "wbinvd",
     .modes = ALL_MODES,
     .steps = 2,
     .edits = {PROC2(SECONDARY_EXEC_WBINVD_EXITING)}},
    {.code = "pause", .modes = M64 | REAL},
    {.name = "pause exiting",
     .code = "pause",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_PAUSE_EXITING)}},
    {.code = "rdtsc", .modes = ALL_MODES, .flags = NO_REGISTERS},
    {.name = "rdtsc exiting",
     .code = "rdtsc",
     .modes = ALL_MODES,
     .steps = 2,
     .edits = {PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "rdtsc cr4.tsd",
     .code = "rdtsc",
     .modes = USER64 | USER32 | M64,
     .flags = NO_REGISTERS,
     .edits = {OR(GUEST_CR4, 4)}},
    {.name = "rdtsc cr4.tsd exiting",
     .code = "rdtsc",
     .modes = USER64 | USER32 | M64,
     .edits = {OR(GUEST_CR4, 4), PROC(CPU_BASED_RDTSC_EXITING)}},
    {.code = "rdtscp", .modes = ALL_MODES},
    {.name = "rdtscp enabled",
     .code = "rdtscp",
     .modes = ALL_MODES,
     .flags = NO_REGISTERS,
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_RDTSCP)}},
    {.name = "rdtscp exiting",
     .code = "rdtscp",
     .modes = ALL_MODES,
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_RDTSCP), PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "rdtscp disabled exiting", .code = "rdtscp", .edits = {PROC(CPU_BASED_RDTSC_EXITING)}},
    {.name = "rdpmc exiting",
     .code = "rdpmc",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_RDPMC_EXITING)}},
    {.code = "invlpg", .modes = ALL_MODES},
    {.name = "invlpg exiting",
     .code = "invlpg",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_INVLPG_EXITING)}},
    {.name = "invlpg exiting rbx",
     .code = "invlpg rbx",
     .edits = {PROC(CPU_BASED_INVLPG_EXITING), REG(RBX, 0x123450000), REG(RCX, 4)}},
    {.name = "invlpg exiting gs",
     .code = "invlpg gs",
     .edits = {PROC(CPU_BASED_INVLPG_EXITING), SET(GUEST_GS_BASE, 0x7f0000000000)}},
    {.name = "invlpg exiting non-canonical",
     .code = "invlpg rbx",
     .edits = {PROC(CPU_BASED_INVLPG_EXITING), REG(RBX, 0x0000800000000000), REG(RCX, 0)}},
    {.name = "invlpg non-canonical",
     .code = "invlpg rbx",
     .edits = {REG(RBX, 0x0000800000000000), REG(RCX, 0)}},
    {.name = "monitor", .modes = M64 | M32 | REAL | USER64, .edits = {REG(RCX, 0), REG(RDX, 0)}},
    {.name = "monitor exiting",
     .code = "monitor",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_MONITOR_EXITING), REG(RCX, 0), REG(RDX, 0)}},
    {.name = "mwait exiting",
     .code = "mwait",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_MWAIT_EXITING), REG(RCX, 0), REG(RAX, 0)}},
    {.name = "mwait exiting armed",
     .code = "monitor-mwait",
     .edits = {PROC(CPU_BASED_MWAIT_EXITING)}},
    {.code = "getsec", .modes = M64 | M32 | REAL | USER64},
    {.code = "rsm", .modes = M64 | M32 | REAL | USER64},
    {.code = "vmfunc"},
    {.code = "xsetbv", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}, .steps = 2},
    {.name = "xsetbv zero", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
    {.name = "xsetbv index", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
    {.name = "xsetbv no osxsave", .code = "xsetbv"},
    {.name = "xsetbv user",
     .code = "xsetbv",
     .modes = USER64,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
    {.code = "xgetbv", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
    {.name = "rdrand exiting rax",
     .code = "rdrand rax",
     .edits = {PROC2(SECONDARY_EXEC_RDRAND_EXITING)}},
    {.name = "rdrand exiting ecx",
     .code = "rdrand ecx",
     .edits = {PROC2(SECONDARY_EXEC_RDRAND_EXITING)}},
    {.name = "rdrand exiting r13w",
     .code = "rdrand r13w",
     .edits = {PROC2(SECONDARY_EXEC_RDRAND_EXITING)}},
    {.name = "rdrand exiting eax",
     .code = "rdrand eax",
     .modes = LEGACY | USER32,
     .edits = {PROC2(SECONDARY_EXEC_RDRAND_EXITING)}},
    {.name = "rdseed exiting rax",
     .code = "rdseed rax",
     .edits = {PROC2(SECONDARY_EXEC_RDSEED_EXITING)}},
    {.name = "rdseed exiting ebx",
     .code = "rdseed ebx",
     .edits = {PROC2(SECONDARY_EXEC_RDSEED_EXITING)}},
    {.name = "rdseed exiting r9w",
     .code = "rdseed r9w",
     .edits = {PROC2(SECONDARY_EXEC_RDSEED_EXITING)}},
    {.name = "rdseed exiting edx",
     .code = "rdseed edx",
     .modes = LEGACY,
     .edits = {PROC2(SECONDARY_EXEC_RDSEED_EXITING)}},
    {.code = "xsaves", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
    {.name = "xsaves exiting",
     .code = "xsaves",
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES),
               SET(XSS_EXIT_BITMAP, ~0ull), REG(RAX, ~0ull), REG(RDX, ~0ull)}},
    {.name = "xsaves enabled",
     .code = "xsaves",
     .flags = NO_REGISTERS,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES), SET(XSS_EXIT_BITMAP, 0)}},
    {.name = "xsaves exiting, nothing asked for",
     .code = "xsaves",
     .flags = NO_REGISTERS,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES),
               SET(XSS_EXIT_BITMAP, ~0ull), REG(RAX, 0), REG(RDX, 0)}},
    {.name = "xsaves user",
     .code = "xsaves",
     .modes = USER64,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES),
               SET(XSS_EXIT_BITMAP, ~0ull), REG(RAX, ~0ull), REG(RDX, ~0ull)}},
    {.name = "xrstors enabled",
     .code = "xrstors",
     .flags = NO_REGISTERS,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES), SET(XSS_EXIT_BITMAP, 0)}},
    {.name = "xrstors exiting",
     .code = "xrstors",
     .flags = NO_REGISTERS,
     .edits = {OR(GUEST_CR4, CR4_OSXSAVE), PROC2(SECONDARY_EXEC_XSAVES),
               SET(XSS_EXIT_BITMAP, ~0ull), REG(RAX, ~0ull), REG(RDX, ~0ull)}},
    {.name = "xrstors disabled", .code = "xrstors", .edits = {OR(GUEST_CR4, CR4_OSXSAVE)}},
};

/* ---- MSRs */

#define READ_LOW(msr)   (msr)
#define READ_HIGH(msr)  (8 * 1024 + (msr)-0xc0000000)
#define WRITE_LOW(msr)  (8 * 2048 + (msr))
#define WRITE_HIGH(msr) (8 * 3072 + (msr)-0xc0000000)
#define BITMAPS         PROC(CPU_BASED_USE_MSR_BITMAPS)

static const struct guest_row msr_rows[] = {
    {.name = "rdmsr no bitmap",
     .code = "rdmsr",
     .modes = ALL_MODES,
     .steps = 2,
     .edits = {REG(RCX, 0x10)}},
    {.name = "wrmsr no bitmap",
     .code = "wrmsr",
     .modes = ALL_MODES,
     .steps = 2,
     .edits = {REG(RCX, 0x10)}},
    {.name = "rdmsr unknown no bitmap", .code = "rdmsr", .edits = {REG(RCX, 0x40000000)}},
    {.name = "rdmsr clear bitmap",
     .code = "rdmsr",
     .modes = ALL_MODES,
     .edits = {BITMAPS, REG(RCX, MSR_IA32_SYSENTER_CS), SET(GUEST_SYSENTER_CS, 0x1234)}},
    {.name = "wrmsr clear bitmap",
     .code = "wrmsr",
     .modes = ALL_MODES,
     .edits = {BITMAPS, REG(RCX, MSR_IA32_SYSENTER_CS), REG(RAX, 0x5678), REG(RDX, 0)},
     .show = {GUEST_SYSENTER_CS}},
    {.name = "rdmsr bit read",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_LOW(0x174)), REG(RCX, 0x174)}},
    {.name = "wrmsr bit read",
     .code = "wrmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_LOW(0x174)), REG(RCX, 0x174), REG(RAX, 8),
               REG(RDX, 0)}},
    {.name = "rdmsr bit write",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, WRITE_LOW(0x174)), REG(RCX, 0x174)}},
    {.name = "wrmsr bit write",
     .code = "wrmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, WRITE_LOW(0x174)), REG(RCX, 0x174), REG(RAX, 8),
               REG(RDX, 0)}},
    {.name = "rdmsr high bit read",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_HIGH(0xc0000081)), REG(RCX, 0xc0000081)}},
    {.name = "wrmsr high bit write",
     .code = "wrmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, WRITE_HIGH(0xc0000102)), REG(RCX, 0xc0000102),
               REG(RAX, 0), REG(RDX, 0)}},
    {.name = "rdmsr neighbours",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_LOW(0x173)),
               PAGE_BIT(PAGE_MSR_BITMAP, READ_LOW(0x175)), REG(RCX, 0x174)}},
    {.name = "rdmsr 1fff",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_LOW(0x1fff)), REG(RCX, 0x1fff)}},
    {.name = "rdmsr 2000", .code = "rdmsr", .edits = {BITMAPS, REG(RCX, 0x2000)}},
    {.name = "rdmsr bfffffff", .code = "rdmsr", .edits = {BITMAPS, REG(RCX, 0xbfffffff)}},
    {.name = "rdmsr c0001fff",
     .code = "rdmsr",
     .edits = {BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, READ_HIGH(0xc0001fff)), REG(RCX, 0xc0001fff)}},
    {.name = "rdmsr c0002000", .code = "rdmsr", .edits = {BITMAPS, REG(RCX, 0xc0002000)}},
    {.name = "wrmsr 2000", .code = "wrmsr", .edits = {BITMAPS, REG(RCX, 0x2000)}},
    {.name = "wrmsr ffffffff", .code = "wrmsr", .edits = {BITMAPS, REG(RCX, 0xffffffff)}},
    {.name = "rdmsr rcx high half",
     .code = "rdmsr",
     .edits = {BITMAPS, REG(RCX, 0x1234567800000174), SET(GUEST_SYSENTER_CS, 0x77)}},
    {.name = "rdmsr full bitmap",
     .code = "rdmsr",
     .modes = ALL_MODES,
     .edits = {BITMAPS, FILL(PAGE_MSR_BITMAP, 0xff), REG(RCX, 0x1b)}},
    {.name = "wrmsr full bitmap",
     .code = "wrmsr",
     .modes = ALL_MODES,
     .edits = {BITMAPS, FILL(PAGE_MSR_BITMAP, 0xff), REG(RCX, 0x1b)}},
    {.name = "rdmsr efer",
     .code = "rdmsr",
     .modes = M64 | M32,
     .edits = {BITMAPS, REG(RCX, MSR_IA32_EFER)}},
    {.name = "rdmsr fs base",
     .code = "rdmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_FS_BASE), SET(GUEST_FS_BASE, 0x7fff12345678)}},
    {.name = "wrmsr gs base",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_GS_BASE), REG(RAX, 0x1000), REG(RDX, 0x10)},
     .show = {GUEST_GS_BASE}},
    {.name = "wrmsr fs base non-canonical",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_FS_BASE), REG(RAX, 0), REG(RDX, 0x8000)}},
    {.name = "wrmsr sysenter esp",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_SYSENTER_ESP), REG(RAX, 0x1111), REG(RDX, 0x22)},
     .show = {GUEST_SYSENTER_ESP}},
    {.name = "wrmsr debugctl",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_DEBUGCTL), REG(RAX, 0), REG(RDX, 0)},
     .show = {GUEST_IA32_DEBUGCTL}},
    {.name = "rdmsr vmx basic",
     .code = "rdmsr",
     .flags = NO_REGISTERS,
     .edits = {BITMAPS, REG(RCX, MSR_IA32_VMX_BASIC)}},
    {.name = "rdmsr feature control",
     .code = "rdmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_FEATURE_CONTROL)}},
    {.name = "wrmsr feature control",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_FEATURE_CONTROL), REG(RAX, 5), REG(RDX, 0)}},
    {.name = "rdmsr mtrr default",
     .code = "rdmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_MTRR_DEF_TYPE)}},
    {.name = "rdmsr apic base", .code = "rdmsr", .edits = {BITMAPS, REG(RCX, MSR_IA32_APIC_BASE)}},
    {.name = "wrmsr pat bad",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_PAT), REG(RAX, 2), REG(RDX, 0)}},
    {.name = "wrmsr efer reserved",
     .code = "wrmsr",
     .edits = {BITMAPS, REG(RCX, MSR_IA32_EFER), REG(RAX, 0x80000), REG(RDX, 0)}},
};

/* MSRs at the edges of the bitmap's ranges: their own bit alone, and all others but it. */
static void msr_edge_rows(void)
{
    static const u32 msrs[] = {0,          1,          0x1ffe,     0x1fff,     0x2000,
                               0x40000000, 0xbfffffff, 0xc0000000, 0xc0000080, 0xc0001fff,
                               0xc0002000, 0xfffffffe, 0xffffffff};
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
        for (u32 write = 0; write < 2; write++)
            for (u32 own = 0; own < 2; own++) {
                u32 at = (msrs[i] & 0x1fff) + (msrs[i] >> 31 ? 8 * 1024 : 0) + write * 8 * 2048;
                struct guest_row what = {
                    .name = name,
                    .code = write ? "wrmsr" : "rdmsr",
                    .flags = PLAIN_ONLY | NO_REGISTERS,
                    .edits = {BITMAPS,
                              FILL(PAGE_MSR_BITMAP, own ? 0 : 0xff),
                              {EDIT_FLIP, PAGE_MSR_BITMAP, at},
                              REG(RCX, msrs[i]),
                              REG(RAX, 0),
                              REG(RDX, 0)},
                };

                /* Outside of the ranges no bit counts. WRMSR to 0 and 1 would be machine checks'.
                 */
                if (write && !own && msrs[i] < 2)
                    continue;
                format_text(name, sizeof(name), "edge %s %x, %s", what.code, msrs[i],
                            own ? "its bit" : "all other bits");
                guest_rows("msr", &what, 1);
            }
}

/* ---- ports */

#define IO_BITMAPS PROC(CPU_BASED_USE_IO_BITMAPS)
#define UNCOND     PROC(CPU_BASED_UNCOND_IO_EXITING)
#define PORT_BIT(port)                                                                             \
    PAGE_BIT((port) < 0x8000 ? PAGE_IO_BITMAP_A : PAGE_IO_BITMAP_B, (port)&0x7fff)

static const struct guest_row port_rows[] = {
    {.code = "in al, imm", .modes = M64 | REAL | V86 | USER64},
    {.name = "uncond in al, imm",
     .code = "in al, imm",
     .modes = ALL_MODES,
     .steps = 2,
     .edits = {UNCOND}},
    {.name = "uncond in ax, imm",
     .code = "in ax, imm",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND}},
    {.name = "uncond in eax, imm",
     .code = "in eax, imm",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND}},
    {.name = "uncond in al, dx",
     .code = "in al, dx",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x5a5a)}},
    {.name = "uncond in ax, dx",
     .code = "in ax, dx",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x5a5a)}},
    {.name = "uncond in eax, dx",
     .code = "in eax, dx",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0xffff)}},
    {.name = "uncond out imm, al", .code = "out imm, al", .modes = ALL_MODES, .edits = {UNCOND}},
    {.name = "uncond out imm, ax",
     .code = "out imm, ax",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND}},
    {.name = "uncond out imm, eax",
     .code = "out imm, eax",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND}},
    {.name = "uncond out dx, al",
     .code = "out dx, al",
     .modes = ALL_MODES,
     .edits = {UNCOND, REG(RDX, 0x12340080)}},
    {.name = "uncond out dx, ax",
     .code = "out dx, ax",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80)}},
    {.name = "uncond out dx, eax",
     .code = "out dx, eax",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80)}},
    {.name = "bitmaps clear", .code = "in al, imm", .modes = M64 | REAL, .edits = {IO_BITMAPS}},
    {.name = "bitmaps win over uncond", .code = "in al, imm", .edits = {IO_BITMAPS, UNCOND}},
    {.name = "bitmap this port",
     .code = "in al, imm",
     .modes = ALL_MODES,
     .edits = {IO_BITMAPS, PORT_BIT(0x80)}},
    {.name = "bitmap below", .code = "in al, imm", .edits = {IO_BITMAPS, PORT_BIT(0x7f)}},
    {.name = "bitmap above, byte", .code = "in al, imm", .edits = {IO_BITMAPS, PORT_BIT(0x81)}},
    {.name = "bitmap above, word", .code = "in ax, imm", .edits = {IO_BITMAPS, PORT_BIT(0x81)}},
    {.name = "bitmap above 2, word", .code = "in ax, imm", .edits = {IO_BITMAPS, PORT_BIT(0x82)}},
    {.name = "bitmap above 3, dword", .code = "in eax, imm", .edits = {IO_BITMAPS, PORT_BIT(0x83)}},
    {.name = "bitmap above 4, dword", .code = "in eax, imm", .edits = {IO_BITMAPS, PORT_BIT(0x84)}},
    {.name = "bitmap out word", .code = "out imm, ax", .edits = {IO_BITMAPS, PORT_BIT(0x81)}},
    {.name = "bitmap b",
     .code = "in al, dx",
     .edits = {IO_BITMAPS, PORT_BIT(0x8123), REG(RDX, 0x8123)}},
    {.name = "bitmap straddle a and b",
     .code = "in ax, dx",
     .edits = {IO_BITMAPS, PORT_BIT(0x8000), REG(RDX, 0x7fff)}},
    {.name = "bitmap straddle, only a",
     .code = "in ax, dx",
     .edits = {IO_BITMAPS, PORT_BIT(0x7fff), REG(RDX, 0x7fff)}},
    {.name = "bitmap last port",
     .code = "in al, dx",
     .edits = {IO_BITMAPS, PORT_BIT(0xffff), REG(RDX, 0xffff)}},
    {.name = "bitmap wrap word", .code = "in ax, dx", .edits = {IO_BITMAPS, REG(RDX, 0xffff)}},
    {.name = "bitmap wrap dword", .code = "in eax, dx", .edits = {IO_BITMAPS, REG(RDX, 0xfffd)}},
    {.name = "bitmap no wrap dword", .code = "in eax, dx", .edits = {IO_BITMAPS, REG(RDX, 0xfffc)}},
    {.name = "uncond insb",
     .code = "insb",
     .modes = ALL_MODES,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010)}},
    {.name = "uncond insw",
     .code = "insw",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010)}},
    {.name = "uncond insd",
     .code = "insd",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010)}},
    {.name = "uncond outsb",
     .code = "outsb",
     .modes = ALL_MODES,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3020)}},
    {.name = "uncond outsw",
     .code = "outsw",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3020)}},
    {.name = "uncond outsd",
     .code = "outsd",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3020)}},
    {.name = "uncond rep insb",
     .code = "rep insb",
     .modes = ALL_MODES,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010), REG(RCX, 5)}},
    {.name = "uncond rep insd",
     .code = "rep insd",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010), REG(RCX, 5)}},
    {.name = "uncond rep outsb",
     .code = "rep outsb",
     .modes = ALL_MODES,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010), REG(RCX, 5)}},
    {.name = "uncond rep outsw",
     .code = "rep outsw",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010), REG(RCX, 5)}},
    {.name = "uncond rep outsd df",
     .code = "rep outsd",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010), REG(RCX, 5), OR(GUEST_RFLAGS, RFLAGS_DF)}},
    {.name = "uncond rep outsb zero",
     .code = "rep outsb",
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010), REG(RCX, 0)}},
    {.name = "uncond outsb fs",
     .code = "outsb fs",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010), SET(GUEST_FS_BASE, 0x40)}},
    {.name = "uncond outsb gs",
     .code = "outsb gs",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "uncond outsb es",
     .code = "outsb es",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "uncond outsb ss",
     .code = "outsb ss",
     .modes = M64 | REAL | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "uncond outsb cs",
     .code = "outsb cs",
     .modes = M64 | M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x1000)}},
    {.name = "uncond insb a32",
     .code = "insb a32",
     .modes = M64 | REAL,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010)}},
    {.name = "uncond outsb a32",
     .code = "outsb a32",
     .modes = M64 | REAL,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "uncond insb a16",
     .code = "insb a16",
     .modes = M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RDI, 0x3010)}},
    {.name = "uncond outsb a16",
     .code = "outsb a16",
     .modes = M32,
     .edits = {UNCOND, REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "bitmap outsb",
     .code = "outsb",
     .edits = {IO_BITMAPS, PORT_BIT(0x80), REG(RDX, 0x80), REG(RSI, 0x3010)}},
    {.name = "user iopl 3",
     .code = "in al, imm",
     .modes = USER64 | USER32,
     .edits = {UNCOND, OR(GUEST_RFLAGS, 3 << 12)}},
    {.name = "user iopl 0", .code = "in al, imm", .modes = USER64 | USER32, .edits = {UNCOND}},
};

/* Every width at every edge of the bitmaps, each neighbouring port's bit set alone. */
static void port_edge_rows(void)
{
    static const char *const codes[] = {"in al, dx", "in ax, dx", "in eax, dx"};
    static const u32 ports[] = {0,      0x7ffc, 0x7ffd, 0x7ffe, 0x7fff, 0x8000,
                                0x8001, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff};
    char name[64];

    for (u32 width = 0; width < ARRAY_SIZE(codes); width++)
        for (u32 i = 0; i < ARRAY_SIZE(ports); i++)
            for (u32 offset = 0; offset < 6; offset++) {
                u32 bit = (ports[i] + offset - 1) & 0xffff;
                struct guest_row what = {
                    .name = name,
                    .code = codes[width],
                    .flags = PLAIN_ONLY | NO_REGISTERS,
                    .edits = {IO_BITMAPS, PORT_BIT(bit), REG(RDX, ports[i])},
                };

                format_text(name, sizeof(name), "edge %s %x, bit %x", codes[width], ports[i], bit);
                guest_rows("port", &what, 1);
            }
}

/* ---- control registers */

#define CR0_MASK(bits) OR(CR0_GUEST_HOST_MASK, bits)
#define CR4_MASK(bits) OR(CR4_GUEST_HOST_MASK, bits)
#define KERNEL_MODES   (ALL_MODES & ~(V86 | USER64 | USER32))

static const struct guest_row cr_rows[] = {
    {.code = "mov xax, cr0",
     .modes = ALL_MODES,
     .edits = {SET(CR0_READ_SHADOW, 0x12345678), REG(RAX, 0)}},
    {.name = "mov xax, cr0 masked",
     .code = "mov xax, cr0",
     .modes = KERNEL_MODES,
     .edits = {CR0_MASK(0xf0f0fff0), SET(CR0_READ_SHADOW, 0x12345678)}},
    {.name = "mov xax, cr0 all masked",
     .code = "mov xax, cr0",
     .edits = {CR0_MASK(~0ull), SET(CR0_READ_SHADOW, 0x8765432112345678)}},
    {.name = "mov xax, cr4 masked",
     .code = "mov xax, cr4",
     .modes = KERNEL_MODES,
     .edits = {CR4_MASK(0xff00ff0f), SET(CR4_READ_SHADOW, 0x12345678)}},
    {.name = "mov xax, cr4 all masked",
     .code = "mov xax, cr4",
     .edits = {CR4_MASK(~0ull), SET(CR4_READ_SHADOW, 0x8765432112345678)}},
    {.code = "mov xax, cr4", .modes = KERNEL_MODES, .edits = {SET(CR4_READ_SHADOW, ~0ull)}},
    {.code = "smsw ax",
     .modes = ALL_MODES,
     .edits = {CR0_MASK(0xffff), SET(CR0_READ_SHADOW, 0x1234)}},
    {.code = "smsw eax",
     .modes = M64 | M32 | REAL,
     .edits = {CR0_MASK(~0ull), SET(CR0_READ_SHADOW, 0x9abc1234)}},
    {.code = "smsw rax", .edits = {CR0_MASK(~0ull), SET(CR0_READ_SHADOW, 0x876543219abc1234)}},
    {.name = "cr0 equal to shadow",
     .code = "mov cr0, cr0",
     .modes = KERNEL_MODES,
     .edits = {CR0_MASK(~0ull)},
     .show = {GUEST_CR0}},
    {.name = "cr4 equal to shadow",
     .code = "mov cr4, cr4",
     .modes = KERNEL_MODES,
     .edits = {CR4_MASK(~0ull)},
     .show = {GUEST_CR4}},
    {.name = "cr0 differs from shadow",
     .code = "mov cr0, xax",
     .modes = ALL_MODES,
     .edits = {CR0_MASK(CR0_TS), XOR(CR0_READ_SHADOW, CR0_TS), REG(RAX, 0x80000031)},
     .steps = 2,
     .show = {GUEST_CR0}},
    {.name = "cr4 differs from shadow",
     .code = "mov cr4, xax",
     .modes = ALL_MODES,
     .edits = {CR4_MASK(CR4_PSE), XOR(CR4_READ_SHADOW, CR4_PSE), REG(RAX, 0x2220)},
     .steps = 2,
     .show = {GUEST_CR4}},
    {.name = "cr0 other bit differs",
     .code = "mov cr0, xax",
     .edits = {CR0_MASK(CR0_MP), REG(RAX, 0x80000039)},
     .show = {GUEST_CR0}},
    {.name = "cr3 load", .code = "mov cr3, cr3", .modes = ALL_MODES},
    {.name = "cr3 load exiting",
     .code = "mov cr3, xax",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), REG(RAX, 0x9000)}},
    {.name = "cr3 store exiting",
     .code = "mov xax, cr3",
     .modes = ALL_MODES,
     .edits = {PROC(CPU_BASED_CR3_STORE_EXITING)}},
    {.name = "cr3 store", .code = "mov xax, cr3", .modes = ALL_MODES},
    {.name = "cr3 target 0 hit",
     .code = "mov cr3, xax",
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 1),
               SET(CR3_TARGET_VALUE0, L2_ROOT_B), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3}},
    {.name = "cr3 target 0 miss",
     .code = "mov cr3, xax",
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 1),
               SET(CR3_TARGET_VALUE0, L2_ROOT_B), REG(RAX, L2_ROOT)},
     .show = {GUEST_CR3}},
    {.name = "cr3 target 3 hit",
     .code = "mov cr3, xax",
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 4),
               SET(CR3_TARGET_VALUE3, L2_ROOT_B), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3}},
    {.name = "cr3 target 3 not counted",
     .code = "mov cr3, xax",
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 3),
               SET(CR3_TARGET_VALUE3, L2_ROOT_B), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3}},
    {.name = "cr3 target with low bits",
     .code = "mov cr3, xax",
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 1),
               SET(CR3_TARGET_VALUE0, L2_ROOT_B | 0x18), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3}},
    {.name = "cr3 target pae",
     .code = "mov cr3, xax",
     .modes = M32,
     .flags = EPT_ONLY,
     .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING), SET(CR3_TARGET_COUNT, 1),
               SET(CR3_TARGET_VALUE0, L2_ROOT_B), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3, GUEST_PDPTR0, GUEST_PDPTR1}},
    {.name = "cr3 load pae ept",
     .code = "mov cr3, xax",
     .modes = M32,
     .flags = EPT_ONLY,
     .edits = {REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3, GUEST_PDPTR0, GUEST_PDPTR1}},
    {.name = "cr3 load pae bad pdpte",
     .code = "mov cr3, xax",
     .modes = M32,
     .flags = EPT_ONLY,
     .edits = {MEMORY(L2_ROOT_B + 8, 0x1e7), REG(RAX, L2_ROOT_B)},
     .show = {GUEST_CR3, GUEST_PDPTR0, GUEST_PDPTR1}},
    {.name = "cr3 beyond maxphyaddr",
     .code = "mov cr3, xax",
     .edits = {REG(RAX, BIT64(52))},
     .show = {GUEST_CR3}},
    {.code = "mov cr2, xax", .modes = KERNEL_MODES, .edits = {REG(RAX, 0x12345)}},
    {.name = "cr8 load", .code = "mov cr8, rax", .edits = {REG(RAX, 0)}},
    {.name = "cr8 load reserved", .code = "mov cr8, rax", .edits = {REG(RAX, 16)}},
    {.name = "cr8 load exiting reserved",
     .code = "mov cr8, rax",
     .edits = {PROC(CPU_BASED_CR8_LOAD_EXITING), REG(RAX, 16)}},
    {.name = "cr8 user",
     .code = "mov cr8, rax",
     .modes = USER64,
     .edits = {PROC(CPU_BASED_CR8_LOAD_EXITING), REG(RAX, 0)}},
    {.name = "clts", .modes = KERNEL_MODES, .edits = {OR(GUEST_CR0, CR0_TS)}, .show = {GUEST_CR0}},
    {.name = "clts mask shadow 1",
     .code = "clts",
     .modes = ALL_MODES,
     .edits = {OR(GUEST_CR0, CR0_TS), CR0_MASK(CR0_TS), OR(CR0_READ_SHADOW, CR0_TS)},
     .show = {GUEST_CR0},
     .steps = 2},
    {.name = "clts mask shadow 0",
     .code = "clts",
     .modes = KERNEL_MODES,
     .edits = {OR(GUEST_CR0, CR0_TS), CR0_MASK(CR0_TS)},
     .show = {GUEST_CR0}},
    {.name = "lmsw",
     .code = "lmsw ax",
     .modes = KERNEL_MODES & ~REAL,
     .edits = {REG(RAX, 0xfff9)},
     .show = {GUEST_CR0}},
    {.name = "lmsw real",
     .code = "lmsw ax",
     .modes = REAL,
     .edits = {REG(RAX, 0xfff8)},
     .show = {GUEST_CR0}},
    {.name = "lmsw can't clear pe",
     .code = "lmsw ax",
     .modes = M64 | M32,
     .edits = {REG(RAX, 0)},
     .show = {GUEST_CR0}},
    {.name = "lmsw exit",
     .code = "lmsw ax",
     .modes = ALL_MODES,
     .edits = {CR0_MASK(0xf), SET(CR0_READ_SHADOW, 0), REG(RAX, 0xabcd)},
     .steps = 2},
    {.name = "lmsw same as shadow",
     .code = "lmsw ax",
     .edits = {CR0_MASK(0xe), SET(CR0_READ_SHADOW, 0xa), REG(RAX, 0xb)},
     .show = {GUEST_CR0}},
    {.name = "lmsw pe mask shadow 1 to 0",
     .code = "lmsw ax",
     .edits = {CR0_MASK(1), SET(CR0_READ_SHADOW, 1), REG(RAX, 0)},
     .show = {GUEST_CR0}},
    {.name = "lmsw pe mask shadow 0 to 1",
     .code = "lmsw ax",
     .edits = {CR0_MASK(1), SET(CR0_READ_SHADOW, 0), REG(RAX, 1)},
     .show = {GUEST_CR0}},
    {.name = "lmsw mask outside",
     .code = "lmsw ax",
     .edits = {CR0_MASK(0xfffffff0), REG(RAX, 0xfff1)},
     .show = {GUEST_CR0}},
    {.name = "lmsw mem exit",
     .code = "lmsw mem",
     .modes = M64 | M32 | REAL,
     .edits = {CR0_MASK(0xe), SET(CR0_READ_SHADOW, 0), MEMORY(0x3000, 0xffff)}},
    {.name = "cr0 clear pe with pg",
     .code = "cr0 flip bit 0",
     .modes = M64 | M32,
     .show = {GUEST_CR0}},
};

static void cr_register_rows(void)
{
    static const char *const registers[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                            "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const forms[][2] = {
        {"mov cr0, ", ""}, {"mov cr3, ", ""}, {"mov cr4, ", ""},
        {"mov cr8, ", ""}, {"mov ", ", cr3"}, {"mov ", ", cr8"},
    };
    char code[32];

    for (u32 i = 0; i < ARRAY_SIZE(registers); i++)
        for (u32 form = 0; form < ARRAY_SIZE(forms); form++) {
            struct guest_row what = {
                .code = code,
                .flags = PLAIN_ONLY,
                .edits = {PROC(CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING |
                               CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING),
                          CR0_MASK(~0ull), CR4_MASK(~0ull), SET(CR0_READ_SHADOW, 0),
                          SET(CR4_READ_SHADOW, 0)},
            };

            format_text(code, sizeof(code), "%s%s%s", forms[form][0], registers[i], forms[form][1]);
            guest_rows("cr", &what, 1);
        }
}

/* Each bit of CR0 and CR4 flipped by L2: without a mask, with the bit masked. */
static void cr_bit_rows(void)
{
    char code[32], name[48];

    for (u32 cr = 0; cr <= 4; cr += 4)
        for (u32 bit = 0; bit < 32; bit++)
            for (u32 masked = 0; masked < 2; masked++) {
                struct guest_row what = {
                    .name = name,
                    .code = code,
                    .modes = M64 | M32,
                    .show = {cr ? GUEST_CR4 : GUEST_CR0},
                };

                format_text(code, sizeof(code), "cr%u flip bit %u", cr, bit);
                format_text(name, sizeof(name), "%s%s", code, masked ? " masked" : "");
                if (masked)
                    what.edits[0] =
                        (struct edit)OR(cr ? CR4_GUEST_HOST_MASK : CR0_GUEST_HOST_MASK, BIT64(bit));
                guest_rows("cr", &what, 1);
            }
}

/* ---- debug registers */

static void dr_rows(void)
{
    static const char *const names[] = {"dr0", "dr1", "dr2", "dr3", "dr6", "dr7"};
    char code[32], name[48];

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        for (u32 store = 0; store < 2; store++) {
            struct guest_row what = {
                .name = name,
                .code = code,
                .modes = ALL_MODES,
                .edits = {PROC(CPU_BASED_MOV_DR_EXITING), REG(RAX, 0x400)},
            };

            if (store)
                format_text(code, sizeof(code), "mov xax, %s", names[i]);
            else
                format_text(code, sizeof(code), "mov %s, xax", names[i]);
            format_text(name, sizeof(name), "%s exiting", code);
            guest_rows("dr", &what, 1);
        }
}

static void dr_register_rows(void)
{
    static const char *const registers[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                            "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    char code[32];

    for (u32 i = 0; i < ARRAY_SIZE(registers); i++)
        for (u32 store = 0; store < 2; store++) {
            struct guest_row what = {
                .code = code, .flags = PLAIN_ONLY, .edits = {PROC(CPU_BASED_MOV_DR_EXITING)}};

            if (store)
                format_text(code, sizeof(code), "mov %s, dr1", registers[i]);
            else
                format_text(code, sizeof(code), "mov dr1, %s", registers[i]);
            guest_rows("dr", &what, 1);
        }
}

static const struct guest_row dr_more_rows[] = {
    {.name = "mov dr7, r12 exiting",
     .code = "mov dr7, r12",
     .edits = {PROC(CPU_BASED_MOV_DR_EXITING)}},
    {.name = "mov r15, dr6 exiting",
     .code = "mov r15, dr6",
     .edits = {PROC(CPU_BASED_MOV_DR_EXITING)}},
    {.name = "mov dr4 exiting", .code = "mov dr4, rax", .edits = {PROC(CPU_BASED_MOV_DR_EXITING)}},
    {.name = "mov dr5 exiting, cr4.de",
     .code = "mov dr5, rax",
     .edits = {PROC(CPU_BASED_MOV_DR_EXITING), OR(GUEST_CR4, 8)}},
    {.name = "mov dr4, cr4.de", .code = "mov dr4, rax", .edits = {OR(GUEST_CR4, 8)}},
    {.name = "general detect exiting",
     .code = "mov xax, dr7",
     .edits = {PROC(CPU_BASED_MOV_DR_EXITING), SET(GUEST_DR7, 0x2400), SET(EXCEPTION_BITMAP, 2)}},
    {.name = "general detect",
     .code = "mov xax, dr7",
     .edits = {SET(GUEST_DR7, 0x2400), SET(EXCEPTION_BITMAP, 2)}},
    {.name = "dr7 load", .code = "mov dr7, xax", .edits = {REG(RAX, 0x700)}, .show = {GUEST_DR7}},
    {.name = "dr7 load high half",
     .code = "mov dr7, xax",
     .edits = {REG(RAX, 0x100000400)},
     .show = {GUEST_DR7}},
    {.name = "dr6 load high half", .code = "mov dr6, xax", .edits = {REG(RAX, 0x100000000)}},
    {.name = "dr7 store",
     .code = "mov xax, dr7",
     .modes = M64 | M32,
     .edits = {SET(GUEST_DR7, 0x400)}},
};

/* ---- descriptor tables */

static void table_rows(void)
{
    static const char *const names[] = {"sgdt", "sidt", "lgdt", "lidt",
                                        "sldt", "str",  "lldt", "ltr"};
    static const struct {
        const char *suffix;
        u32 modes;
    } forms[] = {
        {"", M64 | USER64 | LEGACY | USER32},
        {" sib", M64},
        {" fs", M64},
        {" a32", M64},
        {" rip", M64},
        {" bx", M32},
        {" gs", M32},
    };
    char code[32];

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        for (u32 form = 0; form < ARRAY_SIZE(forms); form++) {
            struct guest_row what = {
                .code = code,
                .modes = forms[form].modes,
                .flags = form ? PLAIN_ONLY : 0,
                .edits = {PROC2(SECONDARY_EXEC_DESCRIPTOR_TABLE_EXITING)},
            };

            format_text(code, sizeof(code), "%s%s", names[i], forms[form].suffix);
            guest_rows("table-exiting", &what, 1);
        }
}

#define TABLE_EXITING PROC2(SECONDARY_EXEC_DESCRIPTOR_TABLE_EXITING)

static const struct guest_row table_more_rows[] = {
    {.name = "exiting real sgdt", .code = "sgdt", .modes = REAL | V86, .edits = {TABLE_EXITING}},
    {.name = "exiting real lidt", .code = "lidt", .modes = REAL | V86, .edits = {TABLE_EXITING}},
    {.name = "exiting lgdt o32", .code = "lgdt o32", .modes = M32 | REAL, .edits = {TABLE_EXITING}},
    {.name = "exiting sgdt o16", .code = "sgdt o16", .modes = M32 | REAL, .edits = {TABLE_EXITING}},
    {.name = "exiting sldt eax", .code = "sldt eax", .modes = M64 | M32, .edits = {TABLE_EXITING}},
    {.name = "exiting str r10", .code = "str r10", .edits = {TABLE_EXITING}},
    {.name = "exiting str ecx", .code = "str ecx", .modes = M32, .edits = {TABLE_EXITING}},
    {.name = "exiting lldt ax", .code = "lldt ax", .modes = M64 | M32, .edits = {TABLE_EXITING}},
    {.name = "exiting ltr bx", .code = "ltr bx", .modes = M64 | M32, .edits = {TABLE_EXITING}},
    {.name = "exiting umip sgdt user",
     .code = "sgdt",
     .modes = USER64,
     .edits = {TABLE_EXITING, OR(GUEST_CR4, CR4_UMIP)}},
    {.name = "lgdt",
     .modes = M64 | M32 | REAL,
     .edits = {MEMORY(0x3000, 0x5000007f), MEMORY(0x3004, 0)},
     .show = {GUEST_GDTR_BASE, GUEST_GDTR_LIMIT}},
    {.name = "lidt",
     .modes = M64 | M32 | REAL,
     .edits = {MEMORY(0x3000, 0x60001234), MEMORY(0x3004, 0)},
     .show = {GUEST_IDTR_BASE, GUEST_IDTR_LIMIT}},
    {.name = "ltr",
     .code = "ltr bx",
     .modes = M32,
     .edits = {REG(RBX, L2_SEL_TSS2)},
     .show = {GUEST_TR_SELECTOR, GUEST_TR_AR_BYTES, GUEST_TR_BASE}},
    {.name = "lldt",
     .code = "lldt ax",
     .modes = M64 | M32,
     .edits = {REG(RAX, L2_SEL_LDT)},
     .show = {GUEST_LDTR_SELECTOR, GUEST_LDTR_AR_BYTES, GUEST_LDTR_BASE, GUEST_LDTR_LIMIT}},
    {.name = "sldt",
     .code = "sldt eax",
     .modes = M64 | M32,
     .edits = {SET(GUEST_LDTR_SELECTOR, 0x48)}},
    {.name = "str", .code = "str r10", .edits = {SET(GUEST_TR_SELECTOR, 0x38)}},
};

/* ---- task switches: L1 is told, the processor does nothing of it */

static const struct guest_row task_rows[] = {
    {.code = "jmp tss", .modes = LEGACY},
    {.code = "jmp tss", .name = "jmp tss 64"},
    {.code = "call tss", .modes = LEGACY},
    {.code = "jmp task gate", .modes = LEGACY},
    {.code = "call task gate", .modes = LEGACY},
    {.name = "jmp busy tss",
     .code = "jmp tss",
     .modes = M32,
     .edits = {MEMORY(L2_GDT + 0x44, 0x8b01)}},
    {.name = "jmp absent tss",
     .code = "jmp tss",
     .modes = M32,
     .edits = {MEMORY(L2_GDT + 0x44, 0x0901)}},
    {.name = "jmp short tss",
     .code = "jmp tss",
     .modes = M32,
     .edits = {MEMORY(L2_GDT + 0x40, 0x10000010)}},
    {.name = "iret nt", .modes = M32, .edits = {MEMORY(L2_GDT + 0x44, 0x8b01)}},
    {.name = "iret nt not busy", .code = "iret nt", .modes = M32},
    {.name = "int through task gate",
     .code = "int 0x30",
     .modes = M32,
     .edits = {MEMORY(L2_IDT + 8 * 0x30, 0x400000), MEMORY(L2_IDT + 8 * 0x30 + 4, 0xe500)}},
    {.name = "int3 through task gate",
     .code = "int3",
     .modes = M32,
     .edits = {MEMORY(L2_IDT + 8 * 3, 0x400000), MEMORY(L2_IDT + 8 * 3 + 4, 0xe500)}},
    {.name = "ud through task gate",
     .code = "ud2",
     .modes = M32,
     .edits = {MEMORY(L2_IDT + 8 * 6, 0x400000), MEMORY(L2_IDT + 8 * 6 + 4, 0xe500)}},
    {.name = "gp through task gate",
     .code = "rdmsr",
     .modes = M32,
     .edits = {PROC(CPU_BASED_USE_MSR_BITMAPS), REG(RCX, 0x1ffe), MEMORY(L2_IDT + 8 * 13, 0x400000),
               MEMORY(L2_IDT + 8 * 13 + 4, 0xe500)}},
    {.name = "pf through task gate",
     .code = "read absent",
     .modes = M32,
     .edits = {MEMORY(L2_PT + 8 * 0x30, 0), MEMORY(L2_IDT + 8 * 14, 0x400000),
               MEMORY(L2_IDT + 8 * 14 + 4, 0xe500)}},
};

void rows_exits(void)
{
    guest_rows("exit", instruction_rows, ARRAY_SIZE(instruction_rows));
    guest_rows("msr", msr_rows, ARRAY_SIZE(msr_rows));
    msr_edge_rows();
    guest_rows("port", port_rows, ARRAY_SIZE(port_rows));
    port_edge_rows();
    guest_rows("cr", cr_rows, ARRAY_SIZE(cr_rows));
    cr_register_rows();
    cr_bit_rows();
    dr_rows();
    dr_register_rows();
    guest_rows("dr", dr_more_rows, ARRAY_SIZE(dr_more_rows));
    table_rows();
    guest_rows("table", table_more_rows, ARRAY_SIZE(table_more_rows));
    guest_rows("task", task_rows, ARRAY_SIZE(task_rows));
}

/* ---- VMX instructions in L2 */

static void vmx_form_rows(void)
{
    static const char *const names[] = {"vmxon",      "vmclear",     "vmptrld", "vmptrst",
                                        "vmread-mem", "vmwrite-mem", "invept",  "invvpid"};
    static const struct {
        const char *suffix;
        u32 modes;
    } forms[] = {
        {"", ALL_MODES},      {" base", M64}, {" base r12", M64}, {" sib", M64 | M32},
        {" index-only", M64}, {" fs", M64},   {" gs", M64},       {" ss", M64},
        {" a32", M64 | REAL}, {" rip", M64},  {" a16", M32},
    };
    char code[32];

    for (u32 i = 0; i < ARRAY_SIZE(names); i++)
        for (u32 form = 0; form < ARRAY_SIZE(forms); form++) {
            struct guest_row what = {
                .code = code, .modes = forms[form].modes, .flags = form ? PLAIN_ONLY : 0};

            /* In real mode there is EPT or nothing. */
            if (what.modes & REAL)
                what.flags = 0;
            format_text(code, sizeof(code), "%s%s", names[i], forms[form].suffix);
            guest_rows("vmx", &what, 1);
        }
}

static void invpcid_rows(void)
{
    static const char *const forms[] = {"",    " base", " base r12", " sib", " index-only",
                                        " fs", " gs",   " ss",       " a32", " rip"};
    char code[32];

    for (u32 form = 0; form < ARRAY_SIZE(forms); form++) {
        struct guest_row what = {
            .code = code,
            .edits = {PROC(CPU_BASED_INVLPG_EXITING), PROC2(SECONDARY_EXEC_ENABLE_INVPCID)},
        };

        format_text(code, sizeof(code), "invpcid%s", forms[form]);
        guest_rows("exiting", &what, 1);
    }
}

static const struct guest_row vmx_rows[] = {
    {.code = "vmlaunch", .modes = ALL_MODES},
    {.code = "vmresume", .modes = ALL_MODES},
    {.code = "vmxoff", .modes = ALL_MODES},
    {.code = "vmread rax rbx", .modes = ALL_MODES & ~USER64},
    {.code = "vmread r8 r15"},
    {.code = "vmwrite rcx rdx", .modes = ALL_MODES & ~USER64},
    {.code = "vmwrite rsp r9"},
    {.name = "vmread user", .code = "vmread rax rbx", .modes = USER64},
    {.name = "invpcid disabled", .code = "invpcid", .edits = {PROC(CPU_BASED_INVLPG_EXITING)}},
    {.name = "invpcid bad type",
     .code = "invpcid",
     .edits = {PROC2(SECONDARY_EXEC_ENABLE_INVPCID), REG(RSI, 9)}},
};

void rows_vmx_exits(void)
{
    vmx_form_rows();
    guest_rows("vmx", vmx_rows, ARRAY_SIZE(vmx_rows));
    invpcid_rows();
}
