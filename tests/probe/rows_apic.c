/* The local APIC of L2: TPR shadow, APIC-access page, register virtualization, virtual interrupts.
 */
#include "guest_rows.h"

#define EPT_WB_BITS (6ull << EPT_MEMORY_TYPE_SHIFT)
#define REGISTERS   64
#define VTPR        0x80
#define VISR        0x100
#define VIRR        0x200

static u32 *virtual_register(u32 offset)
{
    return (u32 *)(arena_page(PAGE_VIRTUAL_APIC) + (offset & 0xffc));
}

/* A value in each register that tells which one it is; an idle task and no interrupts. */
static void fill_virtual_apic(void)
{
    for (u32 i = 0; i < REGISTERS; i++)
        *virtual_register(16 * i) = 0x01010000 | 16 * i;
    *virtual_register(VTPR) = 0;
    for (u32 i = 0; i < 8; i++) {
        *virtual_register(VISR + 16 * i) = 0;
        *virtual_register(VIRR + 16 * i) = 0;
    }
}

/* Guest-virtual L2_APIC leads to the APIC-access page. */
static void map_access_page(void)
{
    if (guest_flags & WITH_EPT)
        *ept_entry(L2_APIC) = arena_address(PAGE_APIC_ACCESS) | EPT_RWX | EPT_WB_BITS;
    else
        *guest_pte(L2_APIC) = arena_address(PAGE_APIC_ACCESS) | PTE_P | PTE_W | PTE_A | PTE_D;
    for (u32 i = 0; i < PAGE_SIZE; i += 4)
        *(u32 *)(arena_page(PAGE_APIC_ACCESS) + i) = 0xacce0000 | i;
}

static void prepare(void)
{
    fill_virtual_apic();
    map_access_page();
}

static void say_status(void)
{
    say(" vtpr %x", *virtual_register(VTPR));
    if (vm_read(CPU_BASED_VM_EXEC_CONTROL) & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS &&
        vm_read(SECONDARY_VM_EXEC_CONTROL) & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
        say(" status %lx", vm_read(GUEST_INTR_STATUS));
}

/* Virtual interrupt registers that are not empty. */
static void say_virtual_interrupts(void)
{
    say_status();
    for (u32 i = 0; i < 8; i++) {
        if (*virtual_register(VIRR + 16 * i))
            say(" irr%u %x", i, *virtual_register(VIRR + 16 * i));
        if (*virtual_register(VISR + 16 * i))
            say(" isr%u %x", i, *virtual_register(VISR + 16 * i));
    }
}

#define TPR              PROC(CPU_BASED_TPR_SHADOW)
#define ACCESS           PROC2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
#define REGISTER_VIRT    PROC2(SECONDARY_EXEC_APIC_REGISTER_VIRT)
#define VID              PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY), PIN(PIN_BASED_EXT_INTR_MASK)
#define X2APIC           PROC2(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
#define THRESHOLD(value) SET(TPR_THRESHOLD, value)
#define BITMAPS          PROC(CPU_BASED_USE_MSR_BITMAPS)
#define IF_ON            OR(GUEST_RFLAGS, RFLAGS_IF)

/* ---- every register, under every set of controls */

static const struct {
    const char *name;
    struct edit edits[4];
} control_sets[] = {
    {"access", {ACCESS}},
    {"access, tpr", {ACCESS, TPR}},
    {"access, tpr, registers", {ACCESS, TPR, REGISTER_VIRT}},
    {"access, tpr, registers, vid",
     {ACCESS, TPR, PROC2(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY),
      PIN(PIN_BASED_EXT_INTR_MASK)}},
    {"access, tpr, vid", {ACCESS, TPR, VID}},
};

static u32 current_offset;

static void say_register(void)
{
    say(" register %x", *virtual_register(current_offset));
    say_status();
}

static void register_row(u32 set, const char *code, u32 offset)
{
    char name[64];
    struct guest_row what = {
        .name = name,
        .code = code,
        .prepare = prepare,
        .finish = say_register,
    };

    current_offset = offset;
    memcpy(what.edits, control_sets[set].edits, sizeof(control_sets[set].edits));
    what.edits[5] = (struct edit)REG(RBX, offset);
    what.edits[6] = (struct edit)REG(RAX, 0x5a5a0000);
    format_text(name, sizeof(name), "%s.%s %x", control_sets[set].name, code, offset);
    guest_rows("apic", &what, 1);
}

static void register_rows(void)
{
    static const u16 between[] = {0x24,  0x28,  0x81,  0x84,  0x88,  0x8c, 0xb4,
                                  0x304, 0x30c, 0x314, 0x400, 0x7f0, 0xffc};
    static const char *const codes[] = {"apic read", "apic write"};

    for (u32 set = 0; set < ARRAY_SIZE(control_sets); set++)
        for (u32 j = 0; j < ARRAY_SIZE(codes); j++) {
            for (u32 i = 0; i < REGISTERS; i++)
                register_row(set, codes[j], 16 * i);
            for (u32 i = 0; i < ARRAY_SIZE(between); i++)
                register_row(set, codes[j], between[i]);
        }
}

/* ---- other ways to reach the page */

static void form_rows(void)
{
    static const char *const codes[] = {"apic read 64", "apic write byte", "apic read byte",
                                        "apic rmw",     "apic push",       "apic stack int"};
    static const u16 offsets[] = {0x80, 0x300, 0xffc};
    char name[64];

    for (u32 set = 0; set < 4; set++)
        for (u32 i = 0; i < ARRAY_SIZE(codes); i++)
            for (u32 j = 0; j < ARRAY_SIZE(offsets); j++) {
                struct guest_row what = {
                    .name = name,
                    .code = codes[i],
                    .flags = NO_REGISTERS,
                    .prepare = prepare,
                    .finish = say_register,
                };

                current_offset = offsets[j];
                memcpy(what.edits, control_sets[set].edits, sizeof(control_sets[set].edits));
                what.edits[5] = (struct edit)REG(RBX, offsets[j]);
                what.edits[6] = (struct edit)REG(RAX, 0x5a5a0000);
                format_text(name, sizeof(name), "%s.%s %x", control_sets[set].name, codes[i],
                            offsets[j]);
                guest_rows("apic-form", &what, 1);
            }
}

/* ---- CR8 and the threshold */

static const struct guest_row tpr_rows[] = {
    {.name = "cr8 written and read",
     .code = "cr8 write and read",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, REG(RAX, 5)}},
    {.name = "cr8 reserved bits",
     .code = "cr8 write and read",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, REG(RAX, 0x15)}},
    {.name = "cr8 below threshold",
     .code = "cr8 write and read",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, THRESHOLD(0), REG(RAX, 2)}},
    {.name = "cr8 load exiting wins",
     .code = "cr8 write and read",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, PROC(CPU_BASED_CR8_LOAD_EXITING), REG(RAX, 2)}},
    {.name = "cr8 store exiting wins",
     .code = "cr8 write and read",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, PROC(CPU_BASED_CR8_STORE_EXITING), REG(RAX, 2)}},
    {.name = "no shadow", .code = "cr8 write and read", .edits = {REG(RAX, 3)}},
};

/* VTPR starts above the threshold and falls below it. */
static void prepare_high_tpr(void)
{
    prepare();
    *virtual_register(VTPR) = 0xf0;
}

static const struct guest_row threshold_rows[] = {
    {.name = "cr8 falls below",
     .code = "cr8 write and read",
     .prepare = prepare_high_tpr,
     .finish = say_status,
     .edits = {TPR, THRESHOLD(8), REG(RAX, 5)}},
    {.name = "cr8 reaches",
     .code = "cr8 write and read",
     .prepare = prepare_high_tpr,
     .finish = say_status,
     .edits = {TPR, THRESHOLD(8), REG(RAX, 8)}},
    {.name = "write falls below",
     .code = "apic write",
     .prepare = prepare_high_tpr,
     .finish = say_status,
     .edits = {TPR, ACCESS, THRESHOLD(8), REG(RBX, VTPR), REG(RAX, 0x50)}},
    {.name = "write reaches",
     .code = "apic write",
     .prepare = prepare_high_tpr,
     .finish = say_status,
     .edits = {TPR, ACCESS, THRESHOLD(8), REG(RBX, VTPR), REG(RAX, 0x8f)}},
    {.name = "entry below, apic accesses",
     .code = "nop",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, ACCESS, THRESHOLD(8)}},
    {.name = "entry below, injection",
     .code = "nop",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, ACCESS, THRESHOLD(8),
               SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | 6)}},
    {.name = "entry below, hlt",
     .code = "nop",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, ACCESS, THRESHOLD(8), SET(GUEST_ACTIVITY_STATE, 1),
               PIN(PIN_BASED_PREEMPTION_TIMER), SET(VMX_PREEMPTION_TIMER_VALUE, 10000)}},
    {.name = "wrmsr falls below",
     .code = "wrmsr",
     .prepare = prepare_high_tpr,
     .finish = say_status,
     .edits = {TPR, X2APIC, BITMAPS, THRESHOLD(8), REG(RCX, 0x808), REG(RAX, 0x50), REG(RDX, 0)}},
};

/* ---- x2APIC mode: MSRs 800H to 8FFH */

static const struct {
    const char *name;
    struct edit edits[3];
} x2apic_sets[] = {
    {"x2apic", {X2APIC}},
    {"x2apic, tpr", {X2APIC, TPR}},
    {"x2apic, tpr, registers",
     {TPR, PROC2(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {"x2apic, tpr, vid",
     {TPR, PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE),
      PIN(PIN_BASED_EXT_INTR_MASK)}},
};

static void x2apic_row(u32 set, const char *code, u32 msr)
{
    char name[64];
    struct guest_row what = {
        .name = name,
        .code = code,
        .prepare = prepare,
        .finish = say_register,
    };

    current_offset = (msr & 0xffu) * 16;
    memcpy(what.edits, x2apic_sets[set].edits, sizeof(x2apic_sets[set].edits));
    what.edits[3] = (struct edit)BITMAPS;
    what.edits[4] = (struct edit)REG(RCX, msr);
    what.edits[5] = (struct edit)REG(RAX, 0x51);
    what.edits[6] = (struct edit)REG(RDX, 0);
    format_text(name, sizeof(name), "%s.%s %x", x2apic_sets[set].name, code, msr);
    guest_rows("x2apic", &what, 1);
}

/* The first set is not allowed: one row tells. */
static void x2apic_rows(void)
{
    x2apic_row(0, "rdmsr", 0x808);
    for (u32 set = 1; set < ARRAY_SIZE(x2apic_sets); set++) {
        for (u32 msr = 0x800; msr <= 0x840; msr++) {
            x2apic_row(set, "rdmsr", msr);
            x2apic_row(set, "wrmsr", msr);
        }
        x2apic_row(set, "rdmsr", 0x8ff);
        x2apic_row(set, "wrmsr", 0x8ff);
    }
}

/* Bits of the value that are reserved in the register. */
static const struct guest_row x2apic_value_rows[] = {
    {.name = "tpr above 255",
     .code = "wrmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, X2APIC, BITMAPS, REG(RCX, 0x808), REG(RAX, 0x100), REG(RDX, 0)}},
    {.name = "tpr high half",
     .code = "wrmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, X2APIC, BITMAPS, REG(RCX, 0x808), REG(RAX, 0), REG(RDX, 1)}},
    {.name = "eoi not zero",
     .code = "wrmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, PIN(PIN_BASED_EXT_INTR_MASK), BITMAPS, REG(RCX, 0x80b), REG(RAX, 1),
               REG(RDX, 0),
               PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
                     SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {.name = "self ipi above 255",
     .code = "wrmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, PIN(PIN_BASED_EXT_INTR_MASK), BITMAPS, REG(RCX, 0x83f), REG(RAX, 0x151),
               REG(RDX, 0),
               PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
                     SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)}},
    {.name = "bitmap wins",
     .code = "wrmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, X2APIC, BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, 8 * 2048 + 0x808), REG(RCX, 0x808),
               REG(RAX, 0x51), REG(RDX, 0)}},
    {.name = "bitmap wins, read",
     .code = "rdmsr",
     .prepare = prepare,
     .finish = say_status,
     .edits = {TPR, X2APIC, BITMAPS, PAGE_BIT(PAGE_MSR_BITMAP, 0x808), REG(RCX, 0x808)}},
};

/* ---- virtual-interrupt delivery */

#define VECTOR   0x61
#define SELF_IPI (1u << 18 | VECTOR)

static void request(u32 vector) { *virtual_register(VIRR + vector / 32 * 16) |= BIT(vector % 32); }

static void in_service(u32 vector)
{
    *virtual_register(VISR + vector / 32 * 16) |= BIT(vector % 32);
}

static void prepare_request(void)
{
    prepare();
    request(VECTOR);
    vm_write(GUEST_INTR_STATUS, VECTOR);
}

static void prepare_two_requests(void)
{
    prepare_request();
    request(0x41);
}

static void prepare_masked_request(void)
{
    prepare_request();
    *virtual_register(VTPR) = 0x70;
}

static void prepare_in_service(void)
{
    prepare();
    in_service(VECTOR);
    in_service(0x41);
    vm_write(GUEST_INTR_STATUS, VECTOR << 8);
}

/* The EOI of one lets the next through: PPR falls. */
static void prepare_eoi_then_delivery(void)
{
    prepare_in_service();
    request(0x51);
    vm_write(GUEST_INTR_STATUS, VECTOR << 8 | 0x51);
}

static void prepare_same_class(void)
{
    prepare();
    in_service(0x60);
    request(VECTOR);
    vm_write(GUEST_INTR_STATUS, 0x60 << 8 | VECTOR);
}

#define ALL_VIRTUAL                                                                                \
    PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_APIC_REGISTER_VIRT |               \
          SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES),                                                \
        PIN(PIN_BASED_EXT_INTR_MASK), TPR

static const struct guest_row virtual_rows[] = {
    {.name = "delivered",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON}},
    {.name = "masked by if",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID}},
    {.name = "delivered after sti",
     .code = "sti nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID}},
    {.name = "masked by vtpr",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_masked_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON}},
    {.name = "unmasked by cr8",
     .code = "mov cr8, rax",
     .flags = TOUCHED,
     .prepare = prepare_masked_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, REG(RAX, 0)}},
    {.name = "two, the higher first",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_two_requests,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON}},
    {.name = "delivered from hlt",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, SET(GUEST_ACTIVITY_STATE, 1), PIN(PIN_BASED_PREEMPTION_TIMER),
               SET(VMX_PREEMPTION_TIMER_VALUE, 10000)}},
    {.name = "and injection",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON,
               SET(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXCEPTION | 6)}},
    {.name = "and interrupt window",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, PROC(CPU_BASED_VIRTUAL_INTR_PENDING)}},
    {.name = "sti blocking",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, SET(GUEST_INTERRUPTIBILITY_INFO, 1)}},
    {.name = "mov-ss blocking",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, SET(GUEST_INTERRUPTIBILITY_INFO, 2)}},
    {.name = "eoi",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare_in_service,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0xb0), REG(RAX, 0)}},
    {.name = "eoi exits",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare_in_service,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0xb0), REG(RAX, 0),
               SET(EOI_EXIT_BITMAP1, BIT64(VECTOR - 64))}},
    {.name = "eoi of another does not exit",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare_in_service,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0xb0), REG(RAX, 0), SET(EOI_EXIT_BITMAP1, 2)}},
    {.name = "eoi by msr",
     .code = "wrmsr",
     .flags = TOUCHED,
     .prepare = prepare_in_service,
     .finish = say_virtual_interrupts,
     .edits = {TPR,
               PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE),
               PIN(PIN_BASED_EXT_INTR_MASK), BITMAPS, REG(RCX, 0x80b), REG(RAX, 0), REG(RDX, 0)}},
    {.name = "eoi lets the next through",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare_eoi_then_delivery,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, IF_ON, REG(RBX, 0xb0), REG(RAX, 0)}},
    {.name = "eoi with nothing in service",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0xb0), REG(RAX, 0)}},
    {.name = "of the class in service waits",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_same_class,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON}},
    {.name = "nmi blocking does not matter",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, SET(GUEST_INTERRUPTIBILITY_INFO, 8)}},
    {.name = "in shutdown",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, SET(GUEST_ACTIVITY_STATE, 2), PIN(PIN_BASED_PREEMPTION_TIMER),
               SET(VMX_PREEMPTION_TIMER_VALUE, 10000)}},
    {.name = "and timer zero",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, PIN(PIN_BASED_PREEMPTION_TIMER),
               SET(VMX_PREEMPTION_TIMER_VALUE, 0)}},
    {.name = "and mtf",
     .code = "nops",
     .flags = TOUCHED,
     .prepare = prepare_request,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, IF_ON, PROC(CPU_BASED_MONITOR_TRAP_FLAG)}},
    {.name = "threshold is not looked at",
     .code = "mov cr8, rax",
     .flags = TOUCHED,
     .prepare = prepare_high_tpr,
     .finish = say_virtual_interrupts,
     .edits = {TPR, VID, THRESHOLD(8), REG(RAX, 0)}},
    {.name = "self ipi",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0x300), REG(RAX, SELF_IPI)}},
    {.name = "self ipi with if",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, IF_ON, REG(RBX, 0x300), REG(RAX, SELF_IPI)}},
    {.name = "self ipi of vector 8",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0x300), REG(RAX, 1u << 18 | 8)}},
    {.name = "ipi to others",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0x300), REG(RAX, 3u << 18 | VECTOR)}},
    {.name = "nmi to self",
     .code = "apic write",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {ALL_VIRTUAL, REG(RBX, 0x300), REG(RAX, 1u << 18 | 0x400)}},
    {.name = "self ipi by msr",
     .code = "wrmsr",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {TPR,
               PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE),
               PIN(PIN_BASED_EXT_INTR_MASK), BITMAPS, REG(RCX, 0x83f), REG(RAX, VECTOR),
               REG(RDX, 0)}},
    {.name = "self ipi by msr, vector 8",
     .code = "wrmsr",
     .flags = TOUCHED,
     .prepare = prepare,
     .finish = say_virtual_interrupts,
     .edits = {TPR,
               PROC2(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE),
               PIN(PIN_BASED_EXT_INTR_MASK), BITMAPS, REG(RCX, 0x83f), REG(RAX, 8), REG(RDX, 0)}},
};

/* ---- posted interrupts: the guest sends itself the notification vector */

#define NOTIFICATION  0x55 /* as "interrupt to self" sends it */
#define POSTED_VECTOR 0x71

static u64 *posted(void) { return (u64 *)arena_page(PAGE_POSTED); }

static void prepare_posted(void)
{
    fill_virtual_apic();
    posted()[POSTED_VECTOR / 64] = BIT64(POSTED_VECTOR % 64);
    posted()[4] = 1;
    vm_write(POSTED_INTR_DESC_ADDR, arena_address(PAGE_POSTED));
    vm_write(POSTED_INTR_NV, NOTIFICATION);
    vm_write(GUEST_INTR_STATUS, 0);
}

static void say_posted(void)
{
    say_virtual_interrupts();
    say(" pir %lx on %lx", posted()[POSTED_VECTOR / 64], posted()[4]);
    apic_drain();
    say(" seen %lu", interrupts_seen);
}

#define POSTED TPR, VID, PIN(PIN_BASED_POSTED_INTR), EXIT(VM_EXIT_ACK_INTR_ON_EXIT)

static const struct guest_row posted_rows[] = {
    {.name = "processed",
     .code = "interrupt to self",
     .flags = TOUCHED,
     .prepare = prepare_posted,
     .finish = say_posted,
     .edits = {POSTED}},
    {.name = "delivered",
     .code = "interrupt to self sti",
     .flags = TOUCHED,
     .prepare = prepare_posted,
     .finish = say_posted,
     .edits = {POSTED}},
    {.name = "delivered with if",
     .code = "interrupt to self",
     .flags = TOUCHED,
     .prepare = prepare_posted,
     .finish = say_posted,
     .edits = {POSTED, IF_ON}},
};

static void other_vector(void)
{
    prepare_posted();
    vm_write(POSTED_INTR_NV, NOTIFICATION + 1);
}

static const struct guest_row not_posted_rows[] = {
    {.name = "another vector exits",
     .code = "interrupt to self",
     .flags = TOUCHED,
     .prepare = other_vector,
     .finish = say_posted,
     .edits = {POSTED}},
};

void rows_apic(void)
{
    guest_rows("tpr", tpr_rows, ARRAY_SIZE(tpr_rows));
    guest_rows("tpr", threshold_rows, ARRAY_SIZE(threshold_rows));
    register_rows();
    form_rows();
    x2apic_rows();
    guest_rows("x2apic", x2apic_value_rows, ARRAY_SIZE(x2apic_value_rows));
    guest_rows("virtual-interrupt", virtual_rows, ARRAY_SIZE(virtual_rows));
    guest_rows("posted", posted_rows, ARRAY_SIZE(posted_rows));
    guest_rows("posted", not_posted_rows, ARRAY_SIZE(not_posted_rows));
}
