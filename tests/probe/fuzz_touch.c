/* A guest without paging that touches another's pages. */
#include "fuzz.h"

#define TOUCH_CODE 0x3f000u
#define HIGH_BASE  0x20000u

/* Pages 0 to 31 of the guest's memory, and 32 on: tables, stacks, code, and what is near. */
#define LOW_PAGES  0x8007deffu
#define HIGH_PAGES 0x80000003u

/* EBX: a bit for each page; EDI: the first one's address. */
static const u8 code[] = {
    0x0f, 0xbc, 0xc3,       /* again: bsf eax, ebx */
    0x74, 0x0f,             /* jz done */
    0x0f, 0xb3, 0xc3,       /* btr ebx, eax */
    0xc1, 0xe0, 0x0c,       /* shl eax, 12 */
    0x8b, 0x0c, 0x07,       /* mov ecx, [edi + eax] */
    0xf0, 0x01, 0x2c, 0x07, /* lock add [edi + eax], ebp */
    0xeb, 0xec,             /* jmp again */
    0x0f, 0x01, 0xc1,       /* done: vmcall */
};
#define DONE 20

static bool launched;
static u32 mode_based; /* the control as it is set for touching, a part of what an EPT means */

void fuzz_untouch_all(void)
{
    for (u32 i = 0; i < FUZZ_SLOTS; i++)
        fuzz_slots[i].touched = false;
}

void fuzz_touch_setup(void)
{
    launched = false;
    mode_based = 0;
    if (!feature_offered(FEATURE_UNRESTRICTED_GUEST))
        return;
    guest_area = guest_area_default;
    vm_clear(arena_address(PAGE_FUZZ_TOUCH));
    vm_load(arena_address(PAGE_FUZZ_TOUCH));
    guest_setup(GUEST_FLAT, WITH_EPT);
}

static bool run(void)
{
    exec_code(launched ? "vmresume" : "vmlaunch");
    launched |= exec.end == EXEC_EXITED;
    return exec.end == EXEC_EXITED;
}

/* A page that the EPT does not map, or not for writing, is passed over. */
static void touch_pages(u32 pages, u32 base)
{
    exec.gpr[RBX] = pages;
    exec.gpr[RDI] = base;
    exec.gpr[RBP] = 0;
    for (u32 i = 0; i < 64; i++) {
        vm_write(GUEST_RIP, TOUCH_CODE);
        if (!run() || vm_read(GUEST_RIP) == TOUCH_CODE || vm_read(GUEST_RIP) >= TOUCH_CODE + DONE)
            return;
    }
}

static void touch_by(u64 eptp)
{
    vm_write(EPT_POINTER, eptp);
    touch_pages(LOW_PAGES, 0);
    touch_pages(HIGH_PAGES, HIGH_BASE);
}

void fuzz_touch(void)
{
    u32 wanted = fuzz_slots[fuzz_slot].proc2 &
                 (SECONDARY_EXEC_MODE_BASED_EPT_EXEC | SECONDARY_EXEC_ENABLE_VMFUNC);
    struct exec registers = exec;
    u64 eptp;

    if (fuzz_slots[fuzz_slot].touched_mode != wanted)
        fuzz_slots[fuzz_slot].touched = false;
    if (fuzz_slots[fuzz_slot].touched || !(guest_flags & WITH_EPT) ||
        !feature_offered(FEATURE_UNRESTRICTED_GUEST))
        return;
    eptp = vm_read(EPT_POINTER);
    memcpy(guest_memory(TOUCH_CODE), code, sizeof(code));
    vm_load(arena_address(PAGE_FUZZ_TOUCH));
    if (mode_based != (wanted & SECONDARY_EXEC_MODE_BASED_EPT_EXEC))
        vm_write(SECONDARY_VM_EXEC_CONTROL,
                 vm_read(SECONDARY_VM_EXEC_CONTROL) ^ SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
    mode_based = wanted & SECONDARY_EXEC_MODE_BASED_EPT_EXEC;
    touch_by(eptp);
    if (fuzz_slots[fuzz_slot].proc2 & SECONDARY_EXEC_ENABLE_VMFUNC)
        touch_by(fuzz_other_eptp(eptp));
    vm_load(arena_address(PAGE_FUZZ_VMCS + fuzz_slot));
    exec = registers;
    fuzz_slots[fuzz_slot].touched = true;
    fuzz_slots[fuzz_slot].touched_mode = wanted;
}
