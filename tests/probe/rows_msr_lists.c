/* MSR-load and MSR-store areas, SDM vol. 3, 27.4, 28.4 and 28.6. */
#include "guest_rows.h"

#define ENTRY_AREA ((struct vmx_msr_entry *)arena_page(PAGE_MSR_ENTRY_LOAD))
#define STORE_AREA ((struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_STORE))
#define EXIT_AREA  ((struct vmx_msr_entry *)arena_page(PAGE_MSR_EXIT_LOAD))

static const struct {
    const char *name;
    struct vmx_msr_entry entry;
} entry_cases[] = {
    {"kernel gs base", {MSR_IA32_KERNEL_GS_BASE, 0, 0x1234567890ab}},
    {"star", {MSR_IA32_STAR, 0, 0x123456789abcdef0}},
    {"lstar", {MSR_IA32_LSTAR, 0, 0xffff800000001234}},
    {"fmask", {MSR_IA32_FMASK, 0, 0x47700}},
    {"sysenter eip", {MSR_IA32_SYSENTER_EIP, 0, 0x4321}},
    {"pat", {MSR_IA32_PAT, 0, 0x0007040600070406}},
    {"efer same", {MSR_IA32_EFER, 0, EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE}},
    {"lstar not canonical", {MSR_IA32_LSTAR, 0, 0x0000800000000000}},
    {"kernel gs base not canonical", {MSR_IA32_KERNEL_GS_BASE, 0, 0x8000000000000000}},
    {"fs base", {MSR_IA32_FS_BASE, 0, 0}},
    {"gs base", {MSR_IA32_GS_BASE, 0, 0}},
    {"reserved word", {MSR_IA32_STAR, 1, 0}},
    {"reserved word high", {MSR_IA32_STAR, BIT(31), 0}},
    {"pat bad", {MSR_IA32_PAT, 0, 2}},
    {"efer reserved", {MSR_IA32_EFER, 0, 0x80000d01}},
    {"x2apic tpr", {0x808, 0, 0}},
    {"x2apic last", {0x8ff, 0, 0}},
    {"feature control", {MSR_IA32_FEATURE_CONTROL, 0, 5}},
    {"microcode update", {MSR_IA32_BIOS_UPDT_TRIG, 0, 0}},
    {"debugctl", {MSR_IA32_DEBUGCTL, 0, 0}},
};

static void restore_msrs(void)
{
    write_msr(MSR_IA32_KERNEL_GS_BASE, 0);
    write_msr(MSR_IA32_STAR, 0);
    write_msr(MSR_IA32_LSTAR, 0);
    write_msr(MSR_IA32_FMASK, 0);
}

static bool start(const char *name)
{
    if (!row(STATE_VMCS, "msr-list.%s", name))
        return false;
    restore_msrs();
    guest_setup(GUEST_64, 0);
    guest_code("nop");
    return true;
}

static void finish(void)
{
    guest_run(true);
    say_exec();
    row_end();
}

static void entry_rows(void)
{
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(entry_cases); i++)
        for (u32 position = 0; position < 3; position += 2) {
            format_text(name, sizeof(name), "entry load %u %s", position + 1, entry_cases[i].name);
            if (!start(name))
                continue;
            for (u32 j = 0; j < position; j++)
                ENTRY_AREA[j] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, j};
            ENTRY_AREA[position] = entry_cases[i].entry;
            vm_write(VM_ENTRY_MSR_LOAD_COUNT, position + 1);
            guest_run(true);
            say_exec();
            if (entry_cases[i].entry.index == MSR_IA32_STAR ||
                entry_cases[i].entry.index == MSR_IA32_KERNEL_GS_BASE)
                say(" msr %lx", read_msr(entry_cases[i].entry.index));
            row_end();
        }
}

/* Each reserved bit of an entry. */
static void reserved_rows(void)
{
    char name[64];

    for (u32 bit = 0; bit < 32; bit++) {
        format_text(name, sizeof(name), "reserved bit %u", bit);
        if (!start(name))
            continue;
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, BIT(bit), 0};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
        finish();
    }
}

static void seen_rows(void)
{
    if (start("entry load seen by the guest")) {
        guest_code("rdmsr");
        exec.gpr[RCX] = MSR_IA32_KERNEL_GS_BASE;
        field_set(CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x123400005678};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
        guest_run(true);
        say_exec();
        say(" rax=%lx rdx=%lx", exec.gpr[RAX], exec.gpr[RDX]);
        row_end();
    }
    if (start("exit store and load")) {
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x1111};
        ENTRY_AREA[1] = (struct vmx_msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x2222};
        STORE_AREA[0] = (struct vmx_msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, ~0ull};
        STORE_AREA[1] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, ~0ull};
        STORE_AREA[2] = (struct vmx_msr_entry){MSR_IA32_LSTAR, 0, ~0ull};
        EXIT_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x3333};
        EXIT_AREA[1] = (struct vmx_msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0x4444};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 2);
        vm_write(VM_EXIT_MSR_STORE_COUNT, 3);
        vm_write(VM_EXIT_MSR_LOAD_COUNT, 2);
        guest_run(true);
        say_exec();
        say(" stored %lx %lx %lx loaded %lx %lx", STORE_AREA[0].value, STORE_AREA[1].value,
            STORE_AREA[2].value, read_msr(MSR_IA32_STAR), read_msr(MSR_IA32_KERNEL_GS_BASE));
        row_end();
    }
    if (start("same msr twice")) {
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 1};
        ENTRY_AREA[1] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 2};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 2);
        guest_run(true);
        say_exec();
        say(" %lx", read_msr(MSR_IA32_STAR));
        row_end();
    }
    if (start("100 entries")) {
        for (u32 i = 0; i < 100; i++) {
            ENTRY_AREA[i] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, i};
            STORE_AREA[i] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0};
        }
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 100);
        vm_write(VM_EXIT_MSR_STORE_COUNT, 100);
        guest_run(true);
        say_exec();
        say(" %lx %lx %lx", read_msr(MSR_IA32_STAR), STORE_AREA[0].value, STORE_AREA[99].value);
        row_end();
    }
    if (start("100 entries, the last bad")) {
        for (u32 i = 0; i < 100; i++)
            ENTRY_AREA[i] =
                (struct vmx_msr_entry){i == 99 ? MSR_IA32_FS_BASE : MSR_IA32_STAR, 0, i};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 100);
        guest_run(true);
        say_exec();
        say(" %lx", read_msr(MSR_IA32_STAR));
        row_end();
    }
    if (start("area across pages")) {
        struct vmx_msr_entry *area = (struct vmx_msr_entry *)(arena_page(PAGE_SCRATCH2) - 16);

        area[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0xabc};
        area[1] = (struct vmx_msr_entry){MSR_IA32_KERNEL_GS_BASE, 0, 0xdef};
        vm_write(VM_ENTRY_MSR_LOAD_ADDR, (u64)area);
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 2);
        guest_run(true);
        say_exec();
        say(" %lx %lx", read_msr(MSR_IA32_STAR), read_msr(MSR_IA32_KERNEL_GS_BASE));
        row_end();
    }
    if (start("failed entry loads the exit list and stores nothing")) {
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_FS_BASE, 0, 0};
        STORE_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x5555};
        EXIT_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x6666};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
        vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
        vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
        guest_run(true);
        say_exec();
        say(" stored %lx loaded %lx", STORE_AREA[0].value, read_msr(MSR_IA32_STAR));
        row_end();
    }
    if (start("bad guest state loads the exit list and stores nothing")) {
        STORE_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x5555};
        EXIT_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x6666};
        vm_write(VM_EXIT_MSR_STORE_COUNT, 1);
        vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
        vm_write(GUEST_RFLAGS, 0);
        guest_run(true);
        say_exec();
        say(" stored %lx loaded %lx", STORE_AREA[0].value, read_msr(MSR_IA32_STAR));
        row_end();
    }
    if (start("bad host state loads nothing")) {
        EXIT_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x6666};
        vm_write(VM_EXIT_MSR_LOAD_COUNT, 1);
        vm_write(HOST_CR4, 0);
        guest_run(true);
        say_exec();
        say(" loaded %lx", read_msr(MSR_IA32_STAR));
        row_end();
    }
    if (start("guest state is checked before the list")) {
        ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_FS_BASE, 0, 0};
        vm_write(VM_ENTRY_MSR_LOAD_COUNT, 1);
        vm_write(GUEST_RFLAGS, 0);
        finish();
    }
    restore_msrs();
}

/* Guest state that not every processor refuses; of what else it was to load, L1 sees nothing then.
 */
static void refused_rows(void)
{
    static const struct {
        const char *name;
        struct edit edit;
    } states[] = {
        {"enclave interruption", SET(GUEST_INTERRUPTIBILITY_INFO, BIT(4))},
        {"pending bus lock", SET(GUEST_PENDING_DBG_EXCEPTIONS, BIT(11))},
        {"pending rtm", SET(GUEST_PENDING_DBG_EXCEPTIONS, BIT(16) | BIT(12))},
    };
    char name[64];

    for (u32 i = 0; i < ARRAY_SIZE(states); i++)
        for (u32 count = 0; count < 2; count++) {
            format_text(name, sizeof(name), "%s, %u to load", states[i].name, count);
            if (!start(name))
                continue;
            ENTRY_AREA[0] = (struct vmx_msr_entry){MSR_IA32_STAR, 0, 0x7777};
            vm_write(VM_ENTRY_MSR_LOAD_COUNT, count);
            field_set(VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_IA32_EFER);
            vm_write(GUEST_IA32_EFER, EFER_LMA | EFER_LME);
            edit_apply(&states[i].edit);
            guest_run(true);
            say_exec();
            say(" star %lx efer %lx", read_msr(MSR_IA32_STAR), read_msr(MSR_IA32_EFER));
            row_end();
        }
    restore_msrs();
}

void rows_msr_lists(void)
{
    entry_rows();
    reserved_rows();
    seen_rows();
    refused_rows();
}
