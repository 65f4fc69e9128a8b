/* The machine itself, as any L1 sees it: registers, MSRs and instructions that an L0 may touch. */
#include "probe.h"

static void say_result(void)
{
    if (exec.end == EXEC_FAULTED)
        say_fault();
    else
        say("ok");
}

/* ---- CPUID */

static void say_cpuid(u32 leaf, u32 subleaf, const u32 masks[4])
{
    u32 out[4];

    cpuid(leaf, subleaf, out);
    say("%x %x %x %x", out[0] & masks[0], out[1] & masks[1], out[2] & masks[2], out[3] & masks[3]);
}

/* Leaves that hold what differs from one moment or processor to the next are masked. */
static const struct {
    u32 leaf, subleaf;
    u32 masks[4];
} leaves[] = {
    {0, 0, {~0u, ~0u, ~0u, ~0u}},          {1, 0, {~0u, 0x00ffffff, ~0u, ~0u}},
    {2, 0, {~0u, ~0u, ~0u, ~0u}},          {3, 0, {~0u, ~0u, ~0u, ~0u}},
    {4, 0, {~0u, ~0u, ~0u, ~0u}},          {4, 1, {~0u, ~0u, ~0u, ~0u}},
    {4, 2, {~0u, ~0u, ~0u, ~0u}},          {4, 3, {~0u, ~0u, ~0u, ~0u}},
    {4, 4, {~0u, ~0u, ~0u, ~0u}},          {5, 0, {~0u, ~0u, ~0u, ~0u}},
    {6, 0, {~0u, ~0u, ~0u, ~0u}},          {7, 0, {~0u, ~0u, ~0u, ~0u}},
    {7, 1, {~0u, ~0u, ~0u, ~0u}},          {9, 0, {~0u, ~0u, ~0u, ~0u}},
    {0xa, 0, {~0u, ~0u, ~0u, ~0u}},        {0xb, 0, {~0u, ~0u, ~0u, 0}},
    {0xb, 1, {~0u, ~0u, ~0u, 0}},          {0xb, 2, {~0u, ~0u, ~0u, 0}},
    {0xd, 0, {~0u, ~0u, ~0u, ~0u}},        {0xd, 1, {~0u, ~0u, ~0u, ~0u}},
    {0xd, 2, {~0u, ~0u, ~0u, ~0u}},        {0x14, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x15, 0, {~0u, ~0u, ~0u, ~0u}},       {0x16, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x17, 0, {~0u, ~0u, ~0u, ~0u}},       {0x18, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x7fffffff, 0, {~0u, ~0u, ~0u, ~0u}}, {0x80000000, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x80000001, 0, {~0u, ~0u, ~0u, ~0u}}, {0x80000002, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x80000003, 0, {~0u, ~0u, ~0u, ~0u}}, {0x80000004, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x80000006, 0, {~0u, ~0u, ~0u, ~0u}}, {0x80000007, 0, {~0u, ~0u, ~0u, ~0u}},
    {0x80000008, 0, {~0u, ~0u, ~0u, ~0u}}, {0x80000009, 0, {~0u, ~0u, ~0u, ~0u}},
    {0xffffffff, 0, {~0u, ~0u, ~0u, ~0u}},
};

static void cpuid_rows(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (!row(STATE_OFF, "cpuid.%x %x", leaves[i].leaf, leaves[i].subleaf))
            continue;
        say_cpuid(leaves[i].leaf, leaves[i].subleaf, leaves[i].masks);
        row_end();
    }
    if (row(STATE_OFF, "cpuid.high halves are zero")) {
        exec_code("cpuid");
        say("%lx %lx %lx %lx", exec.gpr[RAX] >> 32, exec.gpr[RBX] >> 32, exec.gpr[RCX] >> 32,
            exec.gpr[RDX] >> 32);
        row_end();
    }
    if (row(STATE_OFF, "cpuid.flags stay")) {
        exec.gpr[RAX] = 0;
        exec.rflags = 0xcd7; /* all but TF and IF */
        exec_code("cpuid");
        say("%lx", exec.rflags);
        row_end();
    }
    if (row(STATE_OFF, "cpuid.cpl3")) {
        exec.gpr[RAX] = 0;
        exec_user("user cpuid");
        say_result();
        say(" %lx", exec.gpr[RAX]);
        row_end();
    }
    if (row(STATE_OFF, "cpuid.osxsave follows cr4")) {
        u32 out[4];

        write_cr4(standard_cr4 | CR4_OSXSAVE);
        cpuid(1, 0, out);
        say("%u", out[2] >> 27 & 1);
        write_cr4(standard_cr4);
        cpuid(1, 0, out);
        say(" %u", out[2] >> 27 & 1);
        row_end();
    }
}

/* ---- control registers */

static void register_row(const char *group, const char *code, u64 value, const char *read_back)
{
    if (!row(STATE_OFF, "%s.%s %lx", group, code, value))
        return;
    exec.gpr[RAX] = value;
    exec_code(code);
    say_result();
    exec.gpr[RAX] = 0;
    exec_code(read_back);
    say(" now %lx", exec.gpr[RAX]);
    row_end();
}

static void cr_rows(void)
{
    for (u32 bit = 0; bit < 64; bit++) {
        register_row("machine-cr", "mov cr0, rax", standard_cr0 ^ BIT64(bit), "mov rax, cr0");
        /* SMAP would be too much for the probe: exec runs code in user pages, too. */
        register_row("machine-cr", "mov cr4, rax", standard_cr4 ^ BIT64(bit), "mov rax, cr4");
    }
    register_row("machine-cr", "mov cr0, rax", standard_cr0 | CR0_NW | CR0_CD, "mov rax, cr0");
    for (u64 value = 0; value < 18; value++)
        register_row("machine-cr", "mov cr8, rax", value, "mov rax, cr8");
    register_row("machine-cr", "mov dr7, rax", 0x700, "mov rax, dr7");
    register_row("machine-cr", "mov dr7, rax", 0x100000400, "mov rax, dr7");
    register_row("machine-cr", "mov dr6, rax", 0xffff0ff0, "mov rax, dr6");
    register_row("machine-cr", "mov dr6, rax", 0x1ffff0ff0, "mov rax, dr6");
    if (row(STATE_OFF, "machine-cr.beyond cr3")) {
        exec.gpr[RAX] = probe_cr3 | BIT64(physical_bits);
        exec_code("mov cr3, rax");
        say_result();
        row_end();
    }
}

/* In VMX operation some bits can't change. */
static void vmx_cr_rows(void)
{
    static const struct {
        const char *name;
        const char *code;
        u64 off, on;
    } cases[] = {
        {"cr0.ne off", "mov cr0, rax", CR0_NE, 0},
        {"cr0.pg off", "mov cr0, rax", CR0_PG, 0},
        {"cr0.pe off", "mov cr0, rax", CR0_PE, 0},
        {"cr0.pg and pe off", "mov cr0, rax", CR0_PG | CR0_PE, 0},
        {"cr0.ts on", "mov cr0, rax", 0, CR0_TS},
        {"cr0.wp off", "mov cr0, rax", CR0_WP, 0},
        {"cr4.vmxe off", "mov cr4, rax", CR4_VMXE, 0},
        {"cr4.pge on", "mov cr4, rax", 0, CR4_PGE},
        {"cr4.smxe on", "mov cr4, rax", 0, CR4_SMXE},
        {"cr4.la57 on", "mov cr4, rax", 0, CR4_LA57},
        {"cr4.pae off", "mov cr4, rax", CR4_PAE, 0},
    };

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_cr0 = cases[i].code[6] == '0';

        if (!row(STATE_ROOT, "vmx-cr.%s", cases[i].name))
            continue;
        exec.gpr[RAX] = ((is_cr0 ? standard_cr0 : standard_cr4) & ~cases[i].off) | cases[i].on;
        exec_code(cases[i].code);
        say_result();
        say(" now %lx", is_cr0 ? read_cr0() : read_cr4());
        row_end();
    }
    if (row(STATE_OFF, "vmx-cr.ne off before vmxon, on after")) {
        write_cr0(standard_cr0 & ~CR0_NE);
        say("%lx", read_cr0());
        write_cr0(standard_cr0);
        say(" %lx", read_cr0());
        row_end();
    }
    if (row(STATE_OFF, "vmx-cr.vmxe off and on")) {
        write_cr4(standard_cr4 & ~CR4_VMXE);
        say("%lx", read_cr4());
        write_cr4(standard_cr4);
        say(" %lx", read_cr4());
        row_end();
    }
}

static void lmsw_rows(void)
{
    static const u16 values[] = {0x31, 0x30, 0x3f, 0x0, 0xffff, 0x39};

    for (u32 i = 0; i < ARRAY_SIZE(values); i++)
        register_row("machine-cr", "lmsw ax", values[i], "mov rax, cr0");
    if (row(STATE_OFF, "machine-cr.clts")) {
        write_cr0(standard_cr0 | CR0_TS);
        exec_code("clts");
        say_result();
        say(" now %lx", read_cr0());
        row_end();
    }
    if (row(STATE_OFF, "machine-cr.smsw rax")) {
        exec_code("smsw rax");
        say("%lx", exec.gpr[RAX]);
        row_end();
    }
}

/* ---- MSRs */

static void say_msr_read(u32 msr)
{
    exec_clear();
    exec.gpr[RCX] = msr;
    exec_code("rdmsr");
    if (exec.end == EXEC_FAULTED)
        say_fault();
    else
        say("%lx", exec.gpr[RDX] << 32 | exec.gpr[RAX]);
}

static void try_msr_write(u32 msr, u64 value)
{
    exec_clear();
    exec.gpr[RCX] = msr;
    exec.gpr[RAX] = (u32)value;
    exec.gpr[RDX] = value >> 32;
    exec_code("wrmsr");
    say_result();
}

static void read_rows(void)
{
    static const u32 msrs[] = {
        0x0,        0x1,        0x17,       0x1b,       0x3a,       0x3b,       0x79,
        0x8b,       0xfe,       0x174,      0x175,      0x176,      0x179,      0x17a,
        0x1a0,      0x1d9,      0x200,      0x201,      0x20f,      0x210,      0x250,
        0x258,      0x26f,      0x277,      0x2ff,      0x38f,      0x400,      0x6e0,
        0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
        0xc0000102, 0xc0000103, 0x800,      0x808,      0x8ff,      0xda0,      0xd90,
        0x48,       0x10a,
    };

    for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
        if (row(STATE_OFF, "machine-msr.read %x", msrs[i])) {
            say_msr_read(msrs[i]);
            row_end();
        }
    if (row(STATE_OFF, "machine-msr.read cpl3")) {
        exec.gpr[RCX] = MSR_IA32_EFER;
        exec_user("user rdmsr");
        say_result();
        row_end();
    }
    if (row(STATE_OFF, "machine-msr.high half of rcx")) {
        exec.gpr[RCX] = 0x1234567800000000 | MSR_IA32_PAT;
        exec_code("rdmsr");
        say_result();
        say(" %lx %lx", exec.gpr[RAX], exec.gpr[RDX]);
        row_end();
    }
}

/* What must agree whatever is offered. */
static void capability_rows(void)
{
    if (row(STATE_OFF, "machine-msr.vmx basic")) {
        u64 basic = read_msr(MSR_IA32_VMX_BASIC);

        say("bit 31 %lu size %u type %lu 32-bit %lu", basic >> 31 & 1,
            (basic >> 32 & 0x1fff) > 0 && (basic >> 32 & 0x1fff) <= 4096,
            basic >> VMX_BASIC_MEMORY_TYPE_SHIFT & 0xf, basic >> 48 & 1);
        row_end();
    }
    if (row(STATE_OFF, "machine-msr.vmx cr0 fixed")) {
        say_msr_read(MSR_IA32_VMX_CR0_FIXED0);
        say(" ");
        say_msr_read(MSR_IA32_VMX_CR0_FIXED1);
        row_end();
    }
    if (row(STATE_OFF, "machine-msr.vmx cr4 fixed")) {
        say_msr_read(MSR_IA32_VMX_CR4_FIXED0);
        say(" ");
        say_msr_read(MSR_IA32_VMX_CR4_FIXED1);
        row_end();
    }
    for (u32 msr = MSR_IA32_VMX_PINBASED_CTLS; msr <= MSR_IA32_VMX_ENTRY_CTLS; msr++) {
        u64 value, exact;

        if (!row(STATE_OFF, "machine-msr.vmx controls %x", msr))
            continue;
        value = read_msr(msr);
        exact = vmx_basic & VMX_BASIC_TRUE_CTLS
                    ? read_msr(msr - MSR_IA32_VMX_PINBASED_CTLS + MSR_IA32_VMX_TRUE_PINBASED_CTLS)
                    : value;
        say("must %x, must be may %u, same may %u", (u32)value, !((u32)value & ~(u32)(value >> 32)),
            value >> 32 == exact >> 32);
        row_end();
    }
    if (row(STATE_OFF, "machine-msr.vmx misc")) {
        say("rate %lu activity %lx cr3 targets %lu", vmx_misc & (u64)VMX_MISC_TIMER_RATE,
            vmx_misc >> 6 & 7, vmx_misc >> VMX_MISC_CR3_TARGETS_SHIFT & 0x1ff);
        row_end();
    }
}

static void write_row(const char *name, u32 msr, u64 value)
{
    u64 before;
    bool written;

    if (!row(STATE_OFF, "machine-msr.write %x %s", msr, name))
        return;
    exec.gpr[RCX] = msr;
    exec_code("rdmsr");
    before = exec.gpr[RDX] << 32 | (u32)exec.gpr[RAX];
    try_msr_write(msr, value);
    written = exec.end == EXEC_RETURNED;
    say(" now ");
    say_msr_read(msr);
    if (written)
        write_msr(msr, before);
    row_end();
}

static void write_rows(void)
{
    u32 variable = (u32)(read_msr(MSR_IA32_MTRRCAP) & MTRRCAP_COUNT);
    u32 last = MSR_IA32_MTRR_PHYSBASE0 + 2 * (variable - 1);
    u64 addresses = BIT64(physical_bits) - 1;

    /* A pair that is not in use: its mask's valid bit is off. */
    write_row("type 6", last, 0x12345000 | 6);
    write_row("type 0", last, 0x12345000);
    write_row("type 2", last, 0x12345000 | 2);
    write_row("type 3", last, 0x12345000 | 3);
    write_row("type 7", last, 0x12345000 | 7);
    write_row("type 80", last, 0x12345000 | 0x80);
    write_row("bit 8", last, 0x12345100 | 6);
    write_row("bit 11", last, 0x12345800 | 6);
    write_row("bit 63", last, BIT64(63) | 6);
    write_row("mask", last + 1, addresses & 0xfffff00000);
    write_row("mask bit 0", last + 1, 1);
    write_row("mask bit 10", last + 1, BIT64(10));
    write_row("mask bit 63", last + 1, BIT64(63));
    write_row("good", MSR_IA32_MTRR_FIX64K_00000, 0x0606060606060606);
    write_row("mixed", MSR_IA32_MTRR_FIX4K_F8000, 0x0504010006050401);
    write_row("bad in byte 0", MSR_IA32_MTRR_FIX16K_80000, 0x0606060606060602);
    write_row("bad in byte 7", MSR_IA32_MTRR_FIX16K_80000, 0x0306060606060606);
    write_row("same", MSR_IA32_MTRR_DEF_TYPE, read_msr(MSR_IA32_MTRR_DEF_TYPE));
    write_row("type 2", MSR_IA32_MTRR_DEF_TYPE, 0xc02);
    write_row("bit 8", MSR_IA32_MTRR_DEF_TYPE, 0xd06);
    write_row("bit 12", MSR_IA32_MTRR_DEF_TYPE, 0x1c06);
    write_row("bit 63", MSR_IA32_MTRR_DEF_TYPE, BIT64(63) | 0xc06);
    write_row("read-only", MSR_IA32_MTRRCAP, 0x508);
    write_row("good", MSR_IA32_PAT, 0x0001040506070001);
    write_row("type 2", MSR_IA32_PAT, 2);
    write_row("type 3", MSR_IA32_PAT, 3ull << 56);
    write_row("same", MSR_IA32_EFER, standard_efer);
    write_row("without nxe", MSR_IA32_EFER, standard_efer & ~EFER_NXE);
    write_row("lma off", MSR_IA32_EFER, standard_efer & ~EFER_LMA);
    write_row("lme off", MSR_IA32_EFER, standard_efer & ~EFER_LME);
    write_row("bit 1", MSR_IA32_EFER, standard_efer | 2);
    write_row("bit 63", MSR_IA32_EFER, standard_efer | BIT64(63));
    write_row("5", MSR_IA32_FEATURE_CONTROL, 5);
    write_row("0", MSR_IA32_FEATURE_CONTROL, 0);
    write_row("7", MSR_IA32_FEATURE_CONTROL, 7);
    write_row("canonical", MSR_IA32_FS_BASE, 0xffff800000000000);
    write_row("not canonical", MSR_IA32_FS_BASE, 0x0000800000000000);
    write_row("not canonical", MSR_IA32_LSTAR, 0x0000800000000000);
    write_row("not canonical", MSR_IA32_KERNEL_GS_BASE, 0x8000000000000000);
    write_row("not canonical", MSR_IA32_SYSENTER_ESP, 0x0000800000000000);
    write_row("value", MSR_IA32_SYSENTER_CS, 0x12345678);
    write_row("value", MSR_IA32_STAR, 0x123456789abcdef0);
    write_row("value", MSR_IA32_KERNEL_GS_BASE, 0x123456789abc);
    write_row("zero", MSR_IA32_DEBUGCTL, 0);
    write_row("bit 2", MSR_IA32_DEBUGCTL, 4);
    write_row("reserved", MSR_IA32_APIC_BASE, 0xfee00900 | BIT64(52));
    write_row("bit 0", MSR_IA32_APIC_BASE, 0xfee00901);
    write_row("x2apic without enable", MSR_IA32_APIC_BASE, 0xfee00500);
    if (row(STATE_OFF, "machine-msr.write cpl3")) {
        exec.gpr[RCX] = MSR_IA32_STAR;
        exec_user("user wrmsr");
        say_result();
        row_end();
    }
}

/* ---- XSETBV and XGETBV */

static void xsetbv_rows(void)
{
    static const struct {
        u64 index, value;
    } cases[] = {{0, 1},         {0, 3},   {0, 7},    {0, 0},    {0, 2},
                 {0, 5},         {0, 6},   {0, 0xe7}, {0, 0x67}, {0, BIT64(63) | 1},
                 {0, 0x10},      {0, 0x8}, {0, 0x18}, {1, 1},    {2, 1},
                 {0xffffffff, 1}};

    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        if (!row(STATE_OFF, "xsetbv.%lx %lx", cases[i].index, cases[i].value))
            continue;
        write_cr4(standard_cr4 | CR4_OSXSAVE);
        exec.gpr[RCX] = cases[i].index;
        exec.gpr[RAX] = (u32)cases[i].value;
        exec.gpr[RDX] = cases[i].value >> 32;
        exec_code("xsetbv");
        say_result();
        exec.gpr[RCX] = 0;
        exec_code("xgetbv");
        say(" now %lx", exec.gpr[RDX] << 32 | exec.gpr[RAX]);
        exec.gpr[RCX] = 0;
        exec.gpr[RAX] = 1;
        exec.gpr[RDX] = 0;
        exec_code("xsetbv");
        row_end();
    }
    if (row(STATE_OFF, "xsetbv.no osxsave")) {
        exec.gpr[RCX] = 0;
        exec_code("xsetbv");
        say_result();
        row_end();
    }
    if (row(STATE_OFF, "xsetbv.cpl3")) {
        write_cr4(standard_cr4 | CR4_OSXSAVE);
        exec.gpr[RCX] = 0;
        exec.gpr[RAX] = 1;
        exec.gpr[RDX] = 0;
        exec_user("user xsetbv");
        say_result();
        row_end();
    }
}

/* ---- other instructions, and what must survive those that an L0 handles */

static void instruction_row(const char *code)
{
    if (!row(STATE_OFF, "machine.%s", code))
        return;
    exec.gpr[RCX] = arena_address(PAGE_SCRATCH);
    exec.gpr[RAX] = 0;
    exec_code(code);
    say_result();
    row_end();
}

static void debug_rows(void)
{
    static const char *const codes[] = {"single step cpuid", "single step vmread",
                                        "single step rdmsr", "breakpoint cpuid"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
        u64 dr6;

        if (!row(STATE_VMCS, "machine.%s", codes[i]))
            continue;
        __asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
        exec.gpr[RAX] = GUEST_RIP;
        exec.gpr[RCX] = MSR_IA32_PAT;
        exec_code(codes[i]);
        __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
        say_result();
        say(" dr6 %lx", dr6);
        __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ull));
        row_end();
    }
}

/* An interrupt that waits for STI is taken behind the instruction after it, whatever that is. */
static void sti_rows(void)
{
    static const char *const codes[] = {"sti nop", "sti cpuid nop", "sti vmread nop"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++) {
        if (!row(STATE_VMCS, "machine.%s", codes[i]))
            continue;
        apic_self_ipi(0x51);
        exec.gpr[RAX] = GUEST_RIP;
        exec_code(codes[i]);
        say_result();
        say(" seen %lu vector %lx", interrupts_seen, last_interrupt);
        row_end();
    }
}

/* Each NMI is taken before the next is sent. */
static void nmi_row(void)
{
    if (!row(STATE_VMCS, "machine.ten nmis to self"))
        return;
    for (u32 i = 0; i < 10; i++) {
        apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
        apic_write(APIC_ICR_LOW, 0x4400);
        nmi_unblock();
    }
    say("seen %lu", nmis_seen);
    row_end();
}

static void user_rows(void)
{
    static const char *const codes[] = {"user invd", "user hlt", "user mov cr0"};

    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        if (row(STATE_OFF, "machine.%s", codes[i])) {
            exec_user(codes[i]);
            say_result();
            row_end();
        }
}

/* The rows of a machine that need no VMX. */
static void plain_rows(void)
{
    static const char *const codes[] = {"invd",         "wbinvd",  "getsec", "rsm",
                                        "mov ss cpuid", "monitor", "invlpg", "ud2",
                                        "int3",         "vmcall",  "vmfunc"};

    cpuid_rows();
    cr_rows();
    lmsw_rows();
    read_rows();
    write_rows();
    xsetbv_rows();
    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        instruction_row(codes[i]);
}

/* Every MSR and instruction of VMX, where there is none. */
void rows_no_vmx(void)
{
    static const char *const codes[] = {"vmxon",   "vmxoff",   "vmclear",  "vmptrld",
                                        "vmptrst", "vmlaunch", "vmresume", "vmread",
                                        "vmwrite", "invept",   "invvpid"};

    plain_rows();
    for (u32 msr = MSR_IA32_VMX_BASIC; msr <= MSR_IA32_VMX_EXIT_CTLS2; msr++) {
        if (row(STATE_OFF, "no-vmx.read %x", msr)) {
            say_msr_read(msr);
            row_end();
        }
        if (row(STATE_OFF, "no-vmx.write %x", msr)) {
            try_msr_write(msr, 0);
            row_end();
        }
    }
    for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
        instruction_row(codes[i]);
}

void rows_machine(void)
{
    plain_rows();
    vmx_cr_rows();
    capability_rows();
    debug_rows();
    sti_rows();
    nmi_row();
    user_rows();
}
