/* VM functions: VMFUNC and EPTP switching. SDM vol. 3, "VM Functions". */
#include "ept_rows.h"

#define EPTP_LIST   ((u64 *)arena_page(PAGE_EPTP_LIST))
#define FIRST_WORD  0x11
#define SECOND_WORD 0x22

static const enum guest_mode all_modes[] = {GUEST_64,  GUEST_COMPAT,  GUEST_PAE,
                                            GUEST_32,  GUEST_FLAT,    GUEST_REAL,
                                            GUEST_V86, GUEST_64_USER, GUEST_32_USER};

static u64 second_eptp(void) { return arena_address(PAGE_EPT2_PML4) | EPTP_WALK_LENGTH_4 | MT_WB; }

/* Entry 0 of the list is the EPTP that the guest starts with, entry 1 shows it another page at
   L2_SPARE, and all others are invalid. */
static bool start(enum guest_mode mode, const char *name, const char *code)
{
    if (!ept_row("vmfunc", mode, name, code) || !row_needs(FEATURE_EPTP_SWITCHING))
        return false;
    *(u32 *)guest_memory(L2_SPARE + 0x10) = FIRST_WORD;
    *(u32 *)guest_memory(L2_SPARE + 0x1010) = SECOND_WORD;
    *ept2_entry(L2_SPARE) = *ept_entry(L2_SPARE + 0x1000);
    memset(EPTP_LIST, 0, PAGE_SIZE);
    EPTP_LIST[0] = vm_read(EPT_POINTER);
    EPTP_LIST[1] = second_eptp();
    EPTP_LIST[511] = second_eptp();
    field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
    vm_write(VM_FUNCTION_CONTROL, VMFUNC_EPTP_SWITCHING);
    vm_write(EPTP_LIST_ADDRESS, arena_address(PAGE_EPTP_LIST));
    if (feature_offered(FEATURE_EPT_VIOLATION_VE))
        vm_write(EPTP_INDEX, 0x1234);
    exec.gpr[RAX] = 0;
    exec.gpr[RCX] = 1;
    return true;
}

static void say_pointer(void)
{
    u64 eptp = vm_read(EPT_POINTER);

    say(" rax=%lx", exec.gpr[RAX]);
    if (eptp == second_eptp())
        say(" second eptp");
    else if (eptp != (arena_address(PAGE_EPT_PML4) | EPTP_WALK_LENGTH_4 | MT_WB))
        say(" eptp with %lx", (u64)((eptp ^ second_eptp()) & ~EPT_ADDR));
    if (feature_offered(FEATURE_EPT_VIOLATION_VE))
        say(" index %lx", vm_read(EPTP_INDEX));
}

static void finish_after(u32 steps)
{
    if (!controls_offered())
        return;
    guest_follow(steps);
    say_pointer();
    row_end();
}

static void finish(void) { finish_after(1); }

static bool has_read_spare(enum guest_mode mode) { return mode != GUEST_REAL && mode != GUEST_V86; }

static void mode_rows(void)
{
    for (u32 m = 0; m < ARRAY_SIZE(all_modes); m++) {
        if (has_read_spare(all_modes[m])) {
            if (start(all_modes[m], "switch", "vmfunc, read spare"))
                finish();
            if (start(all_modes[m], "switch", "vmfunc, write spare"))
                finish();
        }
        if (start(all_modes[m], "switch", "vmfunc"))
            finish();
        if (start(all_modes[m], "control off", "vmfunc")) {
            field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
            finish();
        }
        if (start(all_modes[m], "control off, ud intercepted", "vmfunc")) {
            field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
            vm_write(EXCEPTION_BITMAP, BIT(VECTOR_UD));
            finish();
        }
        if (start(all_modes[m], "not enabled", "vmfunc")) {
            vm_write(VM_FUNCTION_CONTROL, 0);
            finish();
        }
        if (start(all_modes[m], "index 512", "vmfunc")) {
            exec.gpr[RCX] = 512;
            finish();
        }
    }
    if (start(GUEST_64, "switch", "vmfunc to and fro")) {
        guest_follow(1);
        say_pointer();
        say(" %lx %lx %lx %lx", exec.gpr[R8], exec.gpr[R9], exec.gpr[R10], exec.gpr[R11]);
        row_end();
    }
    if (start(GUEST_64, "prefix", "vmfunc 66"))
        finish();
    if (start(GUEST_64, "prefix", "vmfunc f3"))
        finish();
    if (start(GUEST_64, "prefix", "vmfunc lock"))
        finish();
}

static void register_rows(void)
{
    static const u64 functions[] = {
        1, 2, 31, 32, 62, 63, 64, 0xffffffff, 0x100000000ull, 0xffffffff00000001ull};
    static const u64 indices[] = {0,
                                  1,
                                  2,
                                  510,
                                  511,
                                  512,
                                  513,
                                  0x10000,
                                  0x80000000,
                                  0xffffffff,
                                  0x100000000ull,
                                  0xffffffff00000001ull};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(functions); i++)
        for (u32 enabled = 0; enabled < 2; enabled++) {
            format_text(name, sizeof(name), "eax %lx, function 0 %s", functions[i],
                        enabled ? "on" : "off");
            if (start(GUEST_64, name, "vmfunc, read spare")) {
                vm_write(VM_FUNCTION_CONTROL, enabled);
                exec.gpr[RAX] = functions[i];
                finish();
            }
        }
    for (u32 i = 0; i < ARRAY_SIZE(indices); i++) {
        format_text(name, sizeof(name), "ecx %lx", indices[i]);
        if (start(GUEST_64, name, "vmfunc, read spare")) {
            exec.gpr[RCX] = indices[i];
            finish();
        }
    }
}

/* What a VM entry would not take, VMFUNC does not either. */
static void eptp_rows(void)
{
    static const struct {
        const char *name;
        u64 flip;
    } eptps[] = {{"type uc", 6},       {"type 1", 7},       {"type 2", 4},
                 {"type 4", 2},        {"type 7", 1},       {"walk 1", 3 << 3},
                 {"walk 3", 1 << 3},   {"walk 5", 7 << 3},  {"accessed and dirty flags", EPTP_AD},
                 {"bit 7", BIT(7)},    {"bit 8", BIT(8)},   {"bit 9", BIT(9)},
                 {"bit 10", BIT(10)},  {"bit 11", BIT(11)}, {"bit 52", BIT64(52)},
                 {"bit 63", BIT64(63)}};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(eptps); i++) {
        format_text(name, sizeof(name), "eptp %s", eptps[i].name);
        if (start(GUEST_64, name, "vmfunc, read spare")) {
            EPTP_LIST[1] ^= eptps[i].flip;
            finish();
        }
    }
    if (start(GUEST_64, "eptp beyond", "vmfunc, read spare")) {
        EPTP_LIST[1] |= BIT64(physical_bits);
        finish();
    }
    if (start(GUEST_64, "eptp corrected after the exit", "vmfunc, read spare")) {
        EPTP_LIST[1] |= BIT64(8);
        guest_follow(1);
        EPTP_LIST[1] = second_eptp();
        exec.gpr[RAX] = 0;
        guest_again();
        say_pointer();
        row_end();
    }
}

/* After the switch the other tables are what counts. */
static void tables_rows(void)
{
    if (start(GUEST_64, "code absent in the second", "vmfunc")) {
        *ept2_entry(L2_CODE) = 0;
        finish();
    }
    if (start(GUEST_64, "page absent in the second", "vmfunc, read spare")) {
        *ept2_entry(L2_SPARE) = 0;
        finish();
    }
    if (start(GUEST_64, "page read-only in the second", "vmfunc, write spare")) {
        *ept2_entry(L2_SPARE) &= ~EPT_WRITE;
        finish();
    }
    if (start(GUEST_64, "misconfigured in the second", "vmfunc, read spare")) {
        *ept2_entry(L2_SPARE) &= ~EPT_READ;
        finish();
    }
    if (start(GUEST_64, "resumed with the second", "vmfunc, read spare")) {
        guest_follow(1);
        say_pointer();
        guest_code("read spare");
        guest_again();
        say_pointer();
        vm_write(EPT_POINTER, EPTP_LIST[0]);
        guest_again();
        say_pointer();
        row_end();
    }
    if (start(GUEST_64, "flags in the second", "vmfunc, write spare") &&
        row_needs(FEATURE_EPT_ACCESSED_DIRTY)) {
        EPTP_LIST[1] |= EPTP_AD;
        guest_follow(1);
        say_pointer();
        say(" first");
        say_ept_flags();
        say(" second spare %lx code %lx", *ept2_entry(L2_SPARE) >> 8 & 3,
            *ept2_entry(L2_CODE) >> 8 & 3);
        row_end();
    }
    if (start(GUEST_64, "ve in the second", "vmfunc, read spare") &&
        row_needs(FEATURE_EPT_VIOLATION_VE)) {
        memset(arena_page(PAGE_VE), 0, PAGE_SIZE);
        field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_EPT_VIOLATION_VE);
        vm_write(VE_INFORMATION_ADDRESS, arena_address(PAGE_VE));
        *ept2_entry(L2_SPARE) = 0;
        guest_follow(1);
        say_pointer();
        say(" ve %x index %x", *(u32 *)arena_page(PAGE_VE), *(u16 *)(arena_page(PAGE_VE) + 32));
        row_end();
    }
    if (start(GUEST_PAE, "pdptes stay", "vmfunc, read spare")) {
        *ept2_entry(L2_ROOT) = 0;
        finish();
    }
}

/* What else an instruction does at its end. */
static void end_rows(void)
{
    if (start(GUEST_64, "blocking by sti", "sti, vmfunc"))
        finish();
    if (start(GUEST_64, "blocking by sti, then exit", "sti, vmfunc")) {
        exec.gpr[RCX] = 600;
        finish();
    }
    if (start(GUEST_64, "single step", "vmfunc")) {
        field_set(GUEST_RFLAGS, RFLAGS_TF);
        finish();
    }
    if (start(GUEST_64, "single step, then exit", "vmfunc")) {
        field_set(GUEST_RFLAGS, RFLAGS_TF);
        exec.gpr[RCX] = 600;
        finish();
    }
    if (start(GUEST_64, "monitor trap flag", "vmfunc")) {
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_MONITOR_TRAP_FLAG);
        finish_after(2);
    }
    if (start(GUEST_64, "monitor trap flag, then exit", "vmfunc")) {
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_MONITOR_TRAP_FLAG);
        exec.gpr[RCX] = 600;
        finish();
    }
    if (start(GUEST_64, "arithmetic flags stay", "vmfunc")) {
        field_set(GUEST_RFLAGS,
                  RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF);
        finish();
    }
}

static void control_rows(void)
{
    static const struct {
        const char *name;
        struct edit edit;
    } edits[] = {{"list bit 0", OR(EPTP_LIST_ADDRESS, 1)},
                 {"list bit 11", OR(EPTP_LIST_ADDRESS, 0x800)},
                 {"list beyond", BEYOND(EPTP_LIST_ADDRESS)},
                 {"list bit 63", OR(EPTP_LIST_ADDRESS, BIT64(63))}};
    char name[48];

    for (u32 i = 0; i < ARRAY_SIZE(edits); i++) {
        if (start(GUEST_64, edits[i].name, "vmfunc")) {
            edit_apply(&edits[i].edit);
            finish();
        }
        format_text(name, sizeof(name), "%s, not used", edits[i].name);
        if (start(GUEST_64, name, "vmfunc")) {
            edit_apply(&edits[i].edit);
            vm_write(VM_FUNCTION_CONTROL, 0);
            finish();
        }
    }
    for (u32 bit = 1; bit < 64; bit++) {
        format_text(name, sizeof(name), "function %u", bit);
        if (start(GUEST_64, name, "vmfunc")) {
            vm_write(VM_FUNCTION_CONTROL, BIT64(bit));
            finish();
        }
    }
    if (start(GUEST_64, "functions not activated", "nop")) {
        field_clear(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
        vm_write(VM_FUNCTION_CONTROL, ~0ull);
        vm_write(EPTP_LIST_ADDRESS, ~0ull);
        finish();
    }
    for (u32 enabled = 0; enabled < 2; enabled++)
        if (start(GUEST_64, enabled ? "without ept" : "without ept, no function", "vmfunc")) {
            guest_setup(GUEST_64, 0);
            guest_code("vmfunc");
            field_set(SECONDARY_VM_EXEC_CONTROL, SECONDARY_EXEC_ENABLE_VMFUNC);
            vm_write(VM_FUNCTION_CONTROL, enabled);
            finish();
        }
}

static void capability_row(void)
{
    if (!row(STATE_OFF, "vmfunc.capability"))
        return;
    exec.gpr[RCX] = MSR_IA32_VMX_VMFUNC;
    exec_code("rdmsr");
    if (exec.end == EXEC_FAULTED)
        say_fault();
    else
        say("%lx", exec.gpr[RDX] << 32 | (u32)exec.gpr[RAX]);
    row_end();
}

void rows_vmfunc(void)
{
    capability_row();
    mode_rows();
    register_rows();
    eptp_rows();
    tables_rows();
    end_rows();
    control_rows();
}
