/*
 * The probe: an EFI program that is a small hypervisor. It runs rows, each of which sets a fresh
 * machine up, does one thing to it, and prints what came out in one line. Bare and under
 * Plastron the lines must be equal, so only what is architectural and deterministic is printed.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdarg.h>

#include "types.h"
#include "vmcs_fields.h"
#include "vmx.h"
#include "vmx_features.h"
#include "x86.h"

/* ---- console.c: the transcript ---- */

void console_put(const char *text);
void console_sleeps(void); /* from now on it may halt while the UART is busy */
/* %s %c %d %u %x with l; %p prints an address relative to the arena or the window. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
__attribute__((format(printf, 3, 4))) void format_text(char *out, size_t size, const char *format,
                                                       ...);
void format_text_list(char *out, size_t size, const char *format, va_list arguments);
void line_clear(void);
const char *line_text(void);
void line_print(const char *prefix, const char *name);
_Noreturn void power_off(void);

/* ---- lib.c ---- */

void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);
size_t text_length(const char *text);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *prefix);

/* ---- config.c: what \probe.cfg on the probe's own volume asks for ---- */

struct config_words {
    char text[1024];
    const char *only[16]; /* run only rows whose names start with one of these */
    u32 only_count;
    bool attack;    /* the rows that attack L0 instead of the ordinary ones */
    bool bench;     /* what things cost instead */
    bool demo;      /* the faults of docs/debugging.md instead, which do not end */
    u64 churn;      /* how many operations race.churn has */
    u64 abort;      /* the row that ends in this VMX abort instead of the ordinary ones */
    u64 cpus;       /* how many cores the machine has */
    u64 fuzz;       /* so many entries with random state, printed as hashes of blocks */
    u64 single[16]; /* blocks of those, printed entry by entry */
    u32 single_count;
    u64 seed;
};

extern struct config_words config;
void config_parse(void);
bool config_wants(const char *row);

/* ---- machine.c: the probe's own machine state, and memory ---- */

#define SEL_CODE64      0x08
#define SEL_DATA        0x10
#define SEL_CODE32      0x18
#define SEL_USER_DATA   0x23
#define SEL_USER_CODE64 0x2b
#define SEL_USER_CODE32 0x33
#define SEL_TSS         0x40
#define SEL_TSS_OTHER   0x50 /* the other core's */

/* Pages of the arena: one block of memory, the offsets in it are the same in every run. */
enum arena_page {
    PAGE_VMXON,
    PAGE_VMCS,
    PAGE_VMCS2,
    PAGE_MSR_BITMAP,
    PAGE_IO_BITMAP_A,
    PAGE_IO_BITMAP_B,
    PAGE_VIRTUAL_APIC,
    PAGE_APIC_ACCESS,
    PAGE_MSR_ENTRY_LOAD,
    PAGE_MSR_EXIT_STORE,
    PAGE_MSR_EXIT_LOAD,
    PAGE_VMREAD_BITMAP,
    PAGE_VMWRITE_BITMAP,
    PAGE_POSTED,
    PAGE_SHADOW_VMCS,
    PAGE_EPT_PML4,
    PAGE_EPT_PDPT,
    PAGE_EPT_PD,
    PAGE_EPT_PT,
    PAGE_EPT2_PML4,
    PAGE_EPT2_PDPT,
    PAGE_EPT2_PD,
    PAGE_EPT2_PT,
    PAGE_CODE,      /* where exec() runs code */
    PAGE_USER_CODE, /* the same, reachable from CPL 3 */
    PAGE_USER_STACK,
    PAGE_STACK32, /* for compatibility mode */
    PAGE_SCRATCH,
    PAGE_SCRATCH2,
    PAGE_PML,
    PAGE_VE,
    PAGE_EPTP_LIST,
    PAGE_OTHER_VMXON, /* of the other core */
    PAGE_OTHER_VMCS,
    PAGE_WINDOW_DATA, /* the window's pages lie here, 8 of them */
    PAGE_GUEST = PAGE_WINDOW_DATA + 8,
    PAGE_TABLES = PAGE_GUEST + 128, /* the probe's own paging structures */
    PAGE_FUZZ = 512,                /* the fuzzer's, see fuzz.h */
    PAGE_FUZZ_2M = 1024,            /* an aligned 2 MiB of it */
    ARENA_PAGES = 2048,
};

#define ARENA_SIZE   (ARENA_PAGES * PAGE_SIZE)
#define WINDOW_BASE  0x10000000000ull /* a virtual address; its pages' entries are the rows' */
#define WINDOW_PAGES 8

extern u8 *arena;
static inline u8 *arena_page(u32 page) { return arena + page * PAGE_SIZE; }
static inline u64 arena_address(u32 page) { return (u64)arena + page * PAGE_SIZE; }

void machine_start(u64 memory_top);
void machine_fresh(void); /* standard control registers, page tables, no pending interrupts */
void window_set(u32 page, u64 entry_flags);
void window_point(u32 page, u64 physical, u64 entry_flags);
u64 window_bits(u32 page); /* the entry, without the address */
void window_table_at(u64 physical);

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
#define APIC_ID        0x20
#define APIC_TPR       0x80
#define APIC_EOI       0xb0
#define APIC_SPURIOUS  0xf0
#define APIC_ISR       0x100
#define APIC_IRR       0x200
#define APIC_ICR_LOW   0x300
#define APIC_ICR_HIGH  0x310
#define APIC_LVT_TIMER 0x320
void apic_self_ipi(u8 vector);
void apic_drain(void);
void machine_nap(void); /* halts for a short time: an emulator skips it */
#define VECTOR_NAP 0xf0

extern u64 standard_cr0, standard_cr4, standard_efer, probe_cr3;
extern u32 physical_bits;
extern u64 gdt[];
extern u8 tss[], other_tss[];
void machine_load_tables(u32 tr);
u64 idt_address(void);

static inline u64 read_cr0(void)
{
    u64 value;
    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static inline u64 read_cr2(void)
{
    u64 value;
    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

static inline u64 read_cr3(void)
{
    u64 value;
    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static inline u64 read_cr4(void)
{
    u64 value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr0(u64 value)
{
    __asm__ volatile("mov %0, %%cr0" ::"r"(value) : "memory");
}
static inline void write_cr3(u64 value)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}
static inline void write_cr4(u64 value)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(value) : "memory");
}

static inline u64 read_msr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static inline void write_msr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

static inline u8 port_read(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void port_write(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

/* ---- exec.c: running code with a net under it ---- */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum exec_end {
    EXEC_RETURNED, /* the code ran to its end */
    EXEC_FAULTED,  /* an exception: vector, error, cr2, rip */
    EXEC_EXITED,   /* a VM exit */
};

/* Also read by stubs.asm: the offsets are asserted in exec.c. */
struct exec {
    u64 gpr[16]; /* in and out; RSP is ignored unless in far mode */
    u64 rflags;  /* in and out */
    u64 entry;   /* address of the code */
    u64 stack;   /* the probe's stack during the run */
    u64 end;     /* enum exec_end */
    u64 cs, ss;  /* far mode */
    u64 vector, error, cr2, rip;
    u64 armed;
    u64 code; /* start of the code, for offsets */
    u64 code_length;
};

extern struct exec exec;

struct code {
    const char *name;
    const u8 *start;
    u64 length;
    u64 bits;
};

const struct code *find_code(const char *name, u64 bits);
void exec_clear(void); /* recognisable values in all registers */
void exec_code(const char *name);
void exec_user(const char *name);   /* 64-bit mode, CPL 3 */
void exec_compat(const char *name); /* compatibility mode, CPL 0 */
void exec_user32(const char *name); /* compatibility mode, CPL 3 */
extern u64 interrupts_seen;         /* external interrupts that reached the probe */
extern u64 last_interrupt;
extern u64 nmis_seen;
void vm_exit_entry(void);           /* HOST_RIP of every VMCS of this core */
void vm_exit_on_shadow_stack(void); /* the same, with a call around CPUID on it first */
extern u64 shadow_stack_after;      /* SSP after that call */
void nmi_unblock(void);             /* an IRET ends what a VM exit or an NMI blocked */

/* ---- smp.c: the other core, if there is one ---- */

extern u64 low_page;      /* below 1 MiB: where the other core starts */
extern u64 other_nmis;    /* NMIs that reached the other core outside of VMX non-root operation */
extern u64 other_starts;  /* how often it came out of a SIPI */
void other_start(void);   /* INIT and SIPI; it then waits in HLT */
void other_sipi(void);    /* starts it once it waits for that */
void other_send(u32 icr); /* an interrupt command to all cores but this one */
void other_do(void (*job)(void)); /* begins a job there */
bool other_wait(void);            /* until the job has ended; false if it does not */
bool wait_until(const volatile u32 *flag, u32 value); /* false if it does not come about */
u8 guest_enter(bool launch, u64 rbx); /* the current VMCS, with its RBX; VMfail's flags, 0: exit */
void other_set_host(void); /* on the other core: the rest of the current VMCS's host state */
extern volatile bool other_called;
#define VECTOR_JOB 0xf1
#define ICR_NMI    0x400u
#define ICR_INIT   0x4500u
#define ICR_SIPI   0x600u

/* ---- vmx_ops.c ---- */

struct control {
    u32 must; /* bits that must be one */
    u32 may;  /* bits that may be one */
};

extern struct control pin_caps, proc_caps, proc2_caps, exit_caps, entry_caps;
extern u64 vmx_basic, vmx_misc, ept_vpid_cap, vmfunc_cap;
bool vmx_read_capabilities(void);
void vmx_print_capabilities(void); /* a line for each capability MSR and for each feature */
extern const char *const feature_names[FEATURE_COUNT];
bool feature_offered(enum feature feature);
feature_set features_of(u32 field, u32 bits); /* the features with these bits of a control word */
feature_set features_in_use(void);            /* what the current VMCS's control words switch on */
const char *feature_name(u32 field, u32 bit);
const struct control *control_caps(u32 field);
u32 known_controls(u32 field); /* bits of the features by name, and those that must be one */

static inline u8 vm_write(u64 field, u64 value)
{
    bool carry, zero;
    __asm__ volatile("vmwrite %3, %2" : "=@ccc"(carry), "=@ccz"(zero) : "r"(field), "r"(value));
    return (u8)(carry | zero << 1);
}

static inline u64 vm_read(u64 field)
{
    u64 value = 0;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    return value;
}

static inline u8 vm_on(u64 address)
{
    bool carry, zero;
    __asm__ volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(address));
    return (u8)(carry | zero << 1);
}

static inline u8 vm_clear(u64 address)
{
    bool carry, zero;
    __asm__ volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(address) : "memory");
    return (u8)(carry | zero << 1);
}

static inline u8 vm_load(u64 address)
{
    bool carry, zero;
    __asm__ volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(address) : "memory");
    return (u8)(carry | zero << 1);
}

static inline u64 vm_current(void)
{
    u64 address = 0;
    __asm__ volatile("vmptrst %0" : "=m"(address)::"cc");
    return address;
}

struct invept_operand {
    u64 eptp, reserved;
};

void flush_ept(void);
void flush_vpid(void);

/* ---- rows.c: the frame around a row ---- */

enum vmx_state {
    STATE_OFF,  /* CR4.VMXE set, not in VMX operation */
    STATE_ROOT, /* VMX operation, no current VMCS */
    STATE_VMCS, /* a cleared VMCS is current; PAGE_VMCS2 holds another, cleared too */
};

/* Starts a row in a fresh machine; false if it is not wanted. */
__attribute__((format(printf, 2, 3))) bool row(enum vmx_state state, const char *format, ...);
void row_end(void);                   /* prints what was said */
void row_skip(const char *needs);     /* prints the row as skipped */
void row_skip_with(const char *name); /* prints it as skipped: a processor without NAME is needed */
bool row_needs(enum feature feature); /* false, and the row ended as skipped, if it isn't offered */
void row_uses(feature_set features);  /* what the row exercises, printed behind it */
extern u64 row_count, skip_count;
extern char row_name[96];

/* ---- outcome.c: what came out, in words ---- */

void say_exec(void); /* how the code ended: VMsucceed, VMfail, exception, exit */
void say_fault(void);
void say_flags(u64 rflags);
void say_exit(void); /* everything of the last VM exit that is defined for its reason */
void say_changed_registers(const struct exec *before);
void say_vmfail(u8 status);
/* What is defined of the exit information for a basic reason. */
u32 instruction_info_defined(u32 reason, u32 info);
bool length_defined(u32 reason);
bool guest_linear_defined(u32 reason, u64 qualification);
u64 defined_qualification(u32 reason);

/* ---- guest.c: an L2 ---- */

enum guest_mode {
    GUEST_64,
    GUEST_COMPAT, /* a 32-bit code segment under IA-32e mode */
    GUEST_PAE,
    GUEST_32,   /* 32-bit paging */
    GUEST_FLAT, /* protected mode without paging: unrestricted guest */
    GUEST_REAL, /* unrestricted guest */
    GUEST_V86,
    GUEST_64_USER, /* CPL 3 */
    GUEST_32_USER, /* CPL 3, PAE paging */
    GUEST_MODES,
};

#define WITH_EPT  BIT(0)
#define WITH_VPID BIT(1)

/* Guest-physical and guest-virtual layout; all guest RAM is mapped one to one. */
#define L2_PAGES          64u
#define L2_CODE           0x1000u
#define L2_STACK_TOP      0x2f00u
#define L2_DATA           0x3000u
#define L2_GDT            0x5000u
#define L2_IDT            0x6000u
#define L2_TSS            0x7000u
#define L2_ROOT           0x9000u
#define L2_PT             0xc000u
#define L2_PD             0xb000u
#define L2_PDPT           0xa000u
#define L2_ROOT_B         0xe000u /* a second root with the same content */
#define L2_HANDLERS       0x10000u
#define L2_HANDLER_SIZE   16u
#define L2_TSS2           0x11000u
#define L2_USER_STACK_TOP 0x12f00u
#define L2_SPARE          0x20000u  /* 16 pages for rows */
#define L2_APIC           0x1ff000u /* the local APIC */

#define L2_SEL_CODE      0x08
#define L2_SEL_DATA      0x10
#define L2_SEL_KERNEL    0x18 /* CPL 0 code, 64-bit under IA-32e mode */
#define L2_SEL_USER_CODE 0x23
#define L2_SEL_USER_DATA 0x2b
#define L2_SEL_TSS       0x30
#define L2_SEL_TSS2      0x40
#define L2_SEL_LDT       0x48
#define L2_SEL_TASK_GATE 0x50

/* Where the guest's memory and its two EPTs, of 4 pages each, lie: pages of the arena. */
struct guest_area {
    u32 memory, ept, ept2;
};

extern const struct guest_area guest_area_default;
extern struct guest_area guest_area;
extern u32 guest_flags;
extern enum guest_mode guest_mode;
extern u64 guest_entry; /* the guest RIP that offsets are counted from */
extern const char *const guest_mode_names[GUEST_MODES];

u8 *guest_memory(u32 gpa);
void guest_setup(enum guest_mode mode, u32 flags);
void guest_code(const char *name);
u64 *guest_pte(u32 gva);
u64 *ept_entry(u32 gpa);
u64 *ept2_entry(u32 gpa);
void guest_run(bool launch); /* VMLAUNCH or VMRESUME with the registers in exec */
void guest_skip(void);       /* moves RIP past the instruction that exited */

void field_set(u32 field, u64 bits);
void field_clear(u32 field, u64 bits);

/* One change to a guest that guest_setup() made. */
enum edit_what {
    EDIT_NONE,
    EDIT_OR,       /* bits of a field; secondary controls are activated too */
    EDIT_CLEAR,    /* bits of a field */
    EDIT_SET,      /* a field */
    EDIT_XOR,      /* bits of a field */
    EDIT_BEYOND,   /* sets the first bit of a field that no physical address has */
    EDIT_BIT,      /* a bit of a page of the arena */
    EDIT_FLIP,     /* the same, the other way */
    EDIT_FILL,     /* each byte of a page of the arena */
    EDIT_MEMORY,   /* four bytes of the guest's memory */
    EDIT_REGISTER, /* a general register at entry */
};

struct edit {
    enum edit_what what;
    u32 where;
    u64 value;
};

#define PIN(bits)                                                                                  \
    {                                                                                              \
        EDIT_OR, PIN_BASED_VM_EXEC_CONTROL, bits                                                   \
    }
#define PROC(bits)                                                                                 \
    {                                                                                              \
        EDIT_OR, CPU_BASED_VM_EXEC_CONTROL, bits                                                   \
    }
#define PROC2(bits)                                                                                \
    {                                                                                              \
        EDIT_OR, SECONDARY_VM_EXEC_CONTROL, bits                                                   \
    }
#define EXIT(bits)                                                                                 \
    {                                                                                              \
        EDIT_OR, VM_EXIT_CONTROLS, bits                                                            \
    }
#define ENTRY(bits)                                                                                \
    {                                                                                              \
        EDIT_OR, VM_ENTRY_CONTROLS, bits                                                           \
    }
#define OR(field, bits)                                                                            \
    {                                                                                              \
        EDIT_OR, field, bits                                                                       \
    }
#define CLEAR(field, bits)                                                                         \
    {                                                                                              \
        EDIT_CLEAR, field, bits                                                                    \
    }
#define SET(field, value)                                                                          \
    {                                                                                              \
        EDIT_SET, field, value                                                                     \
    }
#define XOR(field, bits)                                                                           \
    {                                                                                              \
        EDIT_XOR, field, bits                                                                      \
    }
#define BEYOND(field)                                                                              \
    {                                                                                              \
        EDIT_BEYOND, field, 0                                                                      \
    }
#define PAGE_BIT(page, bit)                                                                        \
    {                                                                                              \
        EDIT_BIT, page, bit                                                                        \
    }
#define FILL(page, byte)                                                                           \
    {                                                                                              \
        EDIT_FILL, page, byte                                                                      \
    }
#define MEMORY(gpa, value)                                                                         \
    {                                                                                              \
        EDIT_MEMORY, gpa, value                                                                    \
    }
#define REG(name, value)                                                                           \
    {                                                                                              \
        EDIT_REGISTER, name, value                                                                 \
    }

void edit_apply(const struct edit *edit);
/* False, and the row ended as skipped, if a control that is set isn't offered. */
bool controls_offered(void);
bool mode_offered(enum guest_mode mode, u32 flags);

/* Fields by number: false behind the last; the encoding is 0 if the field does not exist. */
bool field_at(u32 number, u32 *encoding);

/* ---- the rows ---- */

void rows_instructions(void);
void rows_fields(void);
void rows_controls(void);
void rows_host_state(void);
void rows_guest_state(void);
void rows_guest_segments(void);
void rows_msr_lists(void);
void rows_exits(void);
void rows_vmx_exits(void);
void rows_events(void);
void rows_ept(void);
void rows_ept_ad(void);
void rows_pml(void);
void rows_mbec(void);
void rows_ve(void);
void rows_vmfunc(void);
void rows_apic(void);
void rows_shadowing(void);
void rows_cet(void);
void rows_pkrs(void);
void rows_wait(void);
void rows_uinv(void);
void rows_machine(void);
void rows_attack(void);
void rows_race(void);
void rows_churn(void);
void rows_bench(void);
void rows_demo(void);
void rows_smp(void);
void rows_time(void);
void rows_untouched(void);
void rows_again(void);
void rows_no_vmx(void);         /* on a processor that has none, or is not to show it */
void rows_abort(u64 indicator); /* an enum vmx_abort */
void rows_fuzz(void);

/* The EFI memory map's regions that could be L0's: reserved, 2-MiB-aligned, 2 MiB at least. */
#define HIDDEN_MAX 8
extern u64 hidden_base[HIDDEN_MAX], hidden_size[HIDDEN_MAX];
extern u32 hidden_count;

/* The largest region of RAM that nobody uses. */
extern u64 free_base, free_size;

#endif
