#include "io.h"

#include "uart.h"
#include "../epoch.h"
#include "../inject.h"
#include "../insn.h"
#include "../l0.h"
#include "../record.h"
#include "../vmcs.h"
#include "../../mm/phys.h"
#include "../../vmx/l2.h"
#include "../../vmx/l2_exit.h"

/* Exit qualification. SDM vol. 3, "Exit Qualification for I/O Instructions". */
#define IO_SIZE_MASK  7u /* bytes - 1 */
#define IO_IN         BIT(3)
#define IO_STRING     BIT(4)
#define IO_REPEATED   BIT(5)
#define IO_PORT_SHIFT 16

#define BITMAP_PORTS 0x8000u /* of the first bitmap: all serial ports lie there */
#define PORTS        0x10000u

static u64 bitmap_a, bitmap_b; /* vmcs01's */

static void add_own_ports(u8 *bitmap)
{
    for (u32 port = 0; port < BITMAP_PORTS; port++)
        if (uart_has((u16)port, 1))
            bitmap[port / 8] |= (u8)BIT(port % 8);
}

bool io_init_shared(void)
{
    bitmap_a = pool_alloc(&l0.pool);
    bitmap_b = pool_alloc(&l0.pool);
    if (!bitmap_a || !bitmap_b)
        return false;
    add_own_ports(pool_va(bitmap_a));
    return true;
}

void io_start01(void)
{
    vmwrite(IO_BITMAP_A, bitmap_a);
    vmwrite(IO_BITMAP_B, bitmap_b);
}

/* L1's bitmap and L0's ports. */
static u64 merged_bitmap(struct cpu *cpu, u64 source)
{
    struct observer *o = &cpu->observer;

    if (watch_changed(&l0.ept02, &o->io_watch, source)) {
        phys_read(pool_va(o->io_bitmap_pa), source, PAGE_SIZE);
        add_own_ports(pool_va(o->io_bitmap_pa));
    }
    return o->io_bitmap_pa;
}

void io_arm(struct cpu *cpu)
{
    const struct vmcs12 *vmcs12 = cpu->nested.current->vmcs12;
    u32 proc = vmcs12->cpu_based_vm_exec_control;

    if (proc & CPU_BASED_USE_IO_BITMAPS) {
        vmwrite(IO_BITMAP_A, merged_bitmap(cpu, vmcs12->io_bitmap_a));
        epoch_catch_up(cpu); /* the page may have been write-protected just now */
        return;
    }
    vmwrite(IO_BITMAP_A, proc & CPU_BASED_UNCOND_IO_EXITING ? l0.ones_page : bitmap_a);
    vmwrite(IO_BITMAP_B, proc & CPU_BASED_UNCOND_IO_EXITING ? l0.ones_page : bitmap_b);
}

struct access {
    u16 port;
    u32 size;
    bool in, string, repeated;
};

static struct access decode(u64 qualification)
{
    return (struct access){
        .port = (u16)(qualification >> IO_PORT_SHIFT),
        .size = (qualification & IO_SIZE_MASK) + 1,
        .in = qualification & IO_IN,
        .string = qualification & IO_STRING,
        .repeated = qualification & IO_REPEATED,
    };
}

static u8 byte_in(u16 port) { return uart_has(port, 1) ? uart_guest_in(port) : port_in(port); }

static void byte_out(u16 port, u8 value)
{
    if (uart_has(port, 1))
        uart_guest_out(port, value);
    else
        port_out(port, value);
}

/* An access to more than one port is one to each: a 16550 has registers of a byte. The value, or
   its bytes that are read. */
static u32 access_bytes(const struct access *access, u32 value)
{
    for (u32 i = 0; i < access->size; i++) {
        u16 port = (u16)(access->port + i);

        if (access->in)
            value = (value & ~(0xffu << 8 * i)) | (u32)byte_in(port) << 8 * i;
        else
            byte_out(port, (u8)(value >> 8 * i));
    }
    return value;
}

/* Another device's registers may be wider. */
static u32 access_elsewhere(const struct access *access, u32 value)
{
    u32 kept = access->size == 4 ? 0 : value & ~0u << 8 * access->size;

    if (access->in)
        return kept | port_in_wide(access->port, access->size);
    port_out_wide(access->port, access->size, value);
    return value;
}

static void do_access(struct cpu *cpu, const struct access *access)
{
    u64 *rax = &cpu->gpr[RAX];
    u32 value = (u32)*rax;

    if (uart_has(access->port, access->size))
        value = access_bytes(access, value);
    else
        value = access_elsewhere(access, value);
    if (access->in)
        *rax = access->size == 4 ? value : (*rax & ~0xffffffffull) | value;
}

#define RFLAGS_DF_STEP(rflags, size) ((rflags)&RFLAGS_DF ? 0 - (u64)(size) : (u64)(size))

/* The low 16, 32 or 64 bits are the register as an instruction of that address size sees it. */
static void add_to(u64 *reg, u64 mask, u64 value)
{
    u64 sum = (*reg & mask) + value;

    *reg = mask == 0xffff ? (*reg & ~mask) | (sum & mask) : sum & mask;
}

/* By the address size, which not every processor tells; then it is taken to be the code's own. SDM vol.
   3, "VM-Exit Instruction Information" for INS and OUTS. */
static u64 address_mask(void)
{
    static const u64 masks[4] = {0xffff, 0xffffffff, ~0ull, ~0ull};
    u64 code = vmread(GUEST_CS_AR_BYTES);

    if (l0.hw.basic & VMX_BASIC_INS_OUTS)
        return masks[vmread32(VMX_INSTRUCTION_INFO) >> 7 & 3];
    return code & AR_L_MASK ? ~0ull : code & AR_DB_MASK ? 0xffffffff : 0xffff;
}

/* INS and OUTS move nothing: nobody uses them at a serial port. */
static void skip_string(struct cpu *cpu, const struct access *access)
{
    u64 mask = address_mask();
    u64 count = access->repeated ? cpu->gpr[RCX] & mask : 1;

    deviation("INS or OUTS at the monitor's port %#x moves no data", access->port);
    add_to(&cpu->gpr[access->in ? RDI : RSI], mask,
           count * RFLAGS_DF_STEP(vmread(GUEST_RFLAGS), access->size));
    if (access->repeated)
        add_to(&cpu->gpr[RCX], mask, 0 - count);
}

static void emulate(struct cpu *cpu, const struct access *access)
{
    if (access->string)
        skip_string(cpu, access);
    else
        do_access(cpu, access);
    skip_instruction();
}

void exit_io(struct cpu *cpu)
{
    const struct access access = decode(vmread(EXIT_QUALIFICATION));

    emulate(cpu, &access);
}

/* The access is one that L1 wants to exit, as at the entry; what it has changed since in its
   bitmaps may or may not count. SDM vol. 3, "Instructions That Cause VM Exits Conditionally". */
static bool l1_wants(const struct vmcs12 *vmcs12, const struct access *access)
{
    u32 proc = vmcs12->cpu_based_vm_exec_control;
    u8 byte;

    if (!(proc & CPU_BASED_USE_IO_BITMAPS))
        return proc & CPU_BASED_UNCOND_IO_EXITING;
    for (u32 port = access->port; port < access->port + access->size; port++) {
        if (port >= PORTS)
            return true; /* it wraps: exits whatever the bitmaps say */
        phys_read(&byte,
                  port < BITMAP_PORTS ? vmcs12->io_bitmap_a + port / 8
                                      : vmcs12->io_bitmap_b + (port - BITMAP_PORTS) / 8,
                  1);
        if (byte >> port % 8 & 1)
            return true;
    }
    return false;
}

bool io_is_own(const struct cpu *cpu)
{
    const struct access access = decode(vmread(EXIT_QUALIFICATION));

    return !l1_wants(cpu->nested.current->vmcs12, &access);
}

void io_by_l2(struct cpu *cpu)
{
    const struct access access = decode(vmread(EXIT_QUALIFICATION));

    emulate(cpu, &access);
    if (l2_wants_mtf(cpu))
        l2_exit_to_l1(cpu, EXIT_REASON_MONITOR_TRAP_FLAG, 0);
}
