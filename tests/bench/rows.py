"""What the benchmark's rows are, what they may cost, and what a processor needs for VMX instructions."""
from typing import NamedTuple


class Group(NamedTuple):
    title: str
    rows: dict[int, str]


# By the numbers of tests/guest/guest.h, tests/bench/l1, tests/bench/l2 and tests/probe/rows_bench.c.
BOOT, L2_BOOT, IDLE = 40, 47, 46
KERNEL = Group("L2's exits, handled in L1's kernel", {
    1: "cpuid", 2: "rdmsr and wrmsr", 3: "vmcall", 4: "mov to cr0", 8: "interrupt to itself",
    10: "timer's interrupt in hlt", 11: "ipi there and back"})
USER = Group("L2's exits, handled in L1's user space", {
    5: "port in", 6: "port out", 7: "mmio read"})
MEMORY = Group("L2's memory", {
    12: "4-KiB page touched first", 13: "4-KiB page touched again",
    14: "2-MiB page touched first", 15: "2-MiB page touched again",
    9: "page dropped by L1 and touched"})
TURNS = Group("A turn of one of so many vCPUs on one core", {
    16: "1 vCPU", 17: "2 vCPUs", 18: "4 vCPUs", 19: "8 vCPUs", 20: "16 vCPUs", 21: "32 vCPUs",
    22: "64 vCPUs"})
INSTRUCTIONS = Group("VMX instructions of L1", {
    60: "vmread of GUEST_RIP", 61: "vmread of VM_EXIT_REASON", 62: "vmread of GUEST_ES_BASE",
    63: "vmread of HOST_CR3", 64: "vmwrite of GUEST_RIP", 65: "vmwrite of GUEST_ES_BASE",
    66: "vmwrite of CR3_TARGET_COUNT", 67: "vmptrld of the current VMCS",
    68: "vmptrld of two in turn", 69: "vmptrst", 70: "vmclear and vmptrld", 71: "vmxoff and vmxon",
    72: "vmlaunch that fails", 73: "vmcall that fails", 74: "invept", 75: "invvpid",
    76: "the probe's entry, with six vmreads"})
WORK = Group("L1's own work", {
    BOOT: "boot loader to user space, KVM loaded", 41: "system calls", 42: "pipe ping-pong",
    43: "memory streaming", 44: "files in memory", 45: "compile", IDLE: "10 s idle"})
L2_WORK = Group("L2's work", {
    L2_BOOT: "QEMU and L2's kernel to user space", 52: "pipe ping-pong", 54: "files in memory",
    55: "compile"})

OPERATIONS = (KERNEL, USER, MEMORY, INSTRUCTIONS)  # an operation is short: ticks for each
WORKS = (WORK, L2_WORK)  # these are long: instructions of all levels in all
NAMES = {number: name for group in (*OPERATIONS, TURNS, *WORKS) for number, name in group.rows.items()}

# Limits, corei7_skylake_x, one core: ticks under Plastron.
TICKS_MAX = {1: 1900, 2: 4700, 5: 4100, 12: 4800}
# L0's exits for one exit of L2 that L1 handles by one.
TWO_EXITS = (1, 3, 4, 5, 6, 7, 12)
L1_GROWTH_MAX = 0.003  # L1's work, against the bare machine
L2_BOOT_MAX = 1.15     # times the instructions of the bare machine
IDLE_EXITS_MAX = 10
ACCESS_MAX = 350       # ticks of L1's VMREAD or VMWRITE where they exit
CPUID_MAX = 200        # ticks of L1's CPUID
EFI_MAX = 160 * 1024
FIXED_MAX, CORE_MAX = 2 << 20, 96 << 10
BOOT_MAX = 20_000_000  # instructions that Plastron adds to the boot
FLAT = 0.05            # growth with cores and vCPUs

# Cycles that VMX instructions and the like take on a processor, for an estimate. Published: a bare VM
# exit and entry by CPUID, 632 on a Core i7-6700K (github.com/yulyugin/vmlatency); VMREAD, about 30
# (a Linux patch on KVM, message 20200502043234.12481-3-sean.j.christopherson@intel.com); CPUID, 276 for a leaf
# of the extended state on Skylake-SP (Linux commit 1201f22); WRMSR, 144 for IA32_SYSENTER_ESP on
# Kaby Lake (github.com/AlessandroSangiuliano/Uros/issues/348). Assumed, as nothing was found: VMWRITE as
# VMREAD, the rest in the hundreds, RDMSR 40. Any other instruction counts as one cycle.
CYCLES = {"exits": 632, "vmread": 30, "vmwrite": 30, "vmptrld": 150, "vmclear": 150, "invept": 300,
          "invvpid": 300, "rdmsr": 40, "wrmsr": 144, "cpuid": 276}
