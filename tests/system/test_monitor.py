"""The monitor: every command in every situation, and what it must not disturb."""
import json
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import BUSY_L2, KVM_MODES, LOGS, TOP, Boot, L1
from emu import Machine
from mkimage import make_image

PANIC_BUILD = TOP / "build" / "panic" / "plastron.efi"
PROMPT = r"plastron \d+( stopped| panic)?> "
NOISE = 1_000_000
CORES = pytest.mark.parametrize("cpus", (1, 2))


@pytest.fixture(autouse=True)
def _needs_plastron(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")


class Monitor:
    """Somebody at the monitor's prompt."""

    def __init__(self, machine: Machine) -> None:
        assert machine.monitor
        self.port = machine.monitor
        self.port.sendline()
        self.port.expect(PROMPT + r"(\r\n)+" + PROMPT, 30)

    def ask(self, command: str, wanted: str = "", seconds: float = 30) -> str:
        """What the command says, which must have the pattern in it."""
        self.port.sendline(command)
        self.port.expect(re.escape(command) + r"\r\n", seconds)
        self.port.expect(PROMPT, seconds)
        said = self.port.before
        assert re.search(wanted, said), f"{command}: no {wanted!r} in:\n{said}"
        return said

    def answers_badly(self, command: str, wanted: str) -> list[str]:
        """The complaint about an answer without the pattern, if it is."""
        said = self.ask(command)
        return [] if re.search(wanted, said) else [f"{command}: no {wanted!r} in:\n{said}"]

    def choose(self, core: int) -> None:
        self.port.sendline(f"cpu {core}")
        self.port.expect(rf"plastron {core}[^>]*> ", 30)

    def rip(self) -> str:
        found = re.search(r"rip ([0-9a-f]{16})", self.ask("regs"))
        assert found
        return "0x" + found.group(1)

    def awaits(self, announcement: str, seconds: float = 60) -> "re.Match[str]":
        """What is said while nobody has asked, and the prompt behind it."""
        match = self.port.expect(announcement, seconds)
        self.port.expect(PROMPT, seconds)
        return match

    def step(self) -> str:
        """Which guest has executed an instruction, or is to have it executed."""
        self.port.sendline("step")
        return self.awaits(r"core \d+: stepped: (L[12]) at RIP 0x").group(1)


# What is asked, and what must be in the answer. LEVEL is the guest that runs or may run.
QUESTIONS = (
    ("help", r"poweroff +switches the machine off"),
    ("help ept", r"usage: ept ADDRESS"),
    ("cpus", r"core 0  APIC ID 0"),
    ("regs", r"L[12] on core \d+\r\n  rip [0-9a-f]{16}"),
    ("regs l1", r"cr3 [0-9a-f]+ "),
    ("regs l2", r"L2 on core \d|has no L2"),
    ("events", r"VM_ENTRY_INTR_INFO_FIELD +(0|0x[0-9a-f]+)  "),
    ("events l2", r"GUEST_INTERRUPTIBILITY_INFO|has no L2"),
    ("dr", r"dr6 [0-9a-f]{16}"),
    ("mp", r"core 0: L1 (runnable|halted)"),
    ("vmcs 01 guest_rip", r"GUEST_RIP +0x[0-9a-f]+"),
    ("vmcs 01 vm_exit_controls", r"host-address-space-size, .*save-preemption-timer"),
    ("vmcs 12 rip", r"GUEST_RIP|has no L2"),
    ("vmcs 02 pin", r"preemption-timer|has no L2"),
    ("vmcs 01 nothing_like_it", r"no field has"),
    ("vmcs12 list", r"\d+ known"),
    ("check", r"VM entry"),
    ("ept 0x1000", r"EPT(01|12)\r\n"),
    ("ept 0x1000 l1", r"page 4K WB rwx"),
    ("mem p 0x1000 32", r"0000000000001000  ([0-9a-f]{2} ){16}"),
    ("mem l1 0x123456789000", r"not mapped"),
    ("msr efer", r"MSR 0xc0000080 is (0|0x[0-9a-f]+)\b"),
    ("msr 0x2ff", r"MSR 0x2ff is 0x[0-9a-f]+, by L0"),
    ("msr 0x12345", r"#GP|MSR 0x12345 is 0"),
    ("exits", r"L1 CPUID +\d+"),
    ("exits 0", r"L1 PREEMPTION_TIMER +\d+"),
    ("features", r"offered to L1:"),
    ("shadow", r"budget +\d+ pages"),
    ("log 300", r"nested VMX on"),
    ("trace 3", r"core 0 tsc \d+ "),
    ("trace off", ""),
    ("trace on", ""),
    ("watch GETSEC", "stop when L2 exits with GETSEC"),
    ("watch l1 12", "stop when L1 exits with HLT"),
    ("watch off", ""),
    ("gdb", "target remote"),
)

# What makes no sense, and gets an error.
WRONG = (
    ("frobnicate", "no such command"),
    ("s", "ambiguous command"),
    ("powerof", "no such command"),
    ("rese", "no such command"),
    ("cpu", "usage: cpu CORE"),
    ("cpu 99", "there is no core 99"),
    ("cpu -1", "usage"),
    ("regs l3", "usage"),
    ("vmcs 03", "usage"),
    ("ept", "usage"),
    ("ept nowhere", "usage"),
    ("mem p 0x1000 100000", "4096|usage"),
    ("msr nothing", "usage"),
    ("watch SOMETHING", "no such exit reason"),
    ("trace 0", "usage"),
    ("log 99999999999999999999", "usage"),
    ("exits 99", "usage"),
    ("help nothing", "no such command"),
    ("a b c d e f g h i j k", "more than 8 words"),
)


def interrogate(monitor: Monitor, cpus: int) -> None:
    """Every command that changes nothing, on each core."""
    wrong = []
    for core in range(cpus):
        monitor.choose(core)
        for question, wanted in QUESTIONS:
            wrong += monitor.answers_badly(question, wanted)
        rip = monitor.rip()
        monitor.ask(f"translate {rip}", "page|not mapped")
        monitor.ask(f"mem {'l1' if 'L1 on' in monitor.ask('regs') else 'l2'} {rip} 16", "[0-9a-f]{16}")
    for question, wanted in WRONG:
        wrong += monitor.answers_badly(question, wanted)
    monitor.choose(0)
    assert not wrong, "\n".join(wrong)


def stop_and_go(monitor: Monitor, cpus: int) -> None:
    """Cores that stand still do; each executes one instruction when it is to, and goes on."""
    monitor.ask("step", "`stop` first")
    monitor.ask("stop")
    if cpus > 1:
        monitor.ask("cpus", "stands still")
    for core in range(cpus):
        monitor.choose(core)
        before = monitor.rip()
        assert monitor.rip() == before, "a core that stands still goes on"
        for _ in range(3):
            monitor.step()
    monitor.choose(0)
    monitor.ask("go")


def monitored(boot: Boot, cpus: int, **wanted: object) -> tuple[L1, Monitor]:
    wanted.setdefault("conf", "monitor=com2\n")
    l1 = boot(cpus=cpus, monitor=True, **wanted)
    return l1, Monitor(l1.machine)


@CORES
def test_l1_idle(boot: Boot, cpus: int) -> None:
    l1, monitor = monitored(boot, cpus)
    interrogate(monitor, cpus)
    stop_and_go(monitor, cpus)
    monitor.ask("nmi", "core 0 gets an NMI")
    l1.machine.expect("NMI received for unknown reason", 30)
    l1.machine.expect("continue", 30)
    l1.machine.sendline()
    l1.kvmguest(*KVM_MODES)
    l1.poweroff()


@CORES
def test_l2_running(boot: Boot, cpus: int) -> None:
    l1, monitor = monitored(boot, cpus)
    l1.run(BUSY_L2)
    interrogate(monitor, cpus)
    stop_and_go(monitor, cpus)
    monitor.ask("watch HLT", "stop when L2 exits with HLT")
    monitor.awaits(r"core (\d+): L2's exit HLT at RIP (0x[0-9a-f]+)")
    stopped = monitor.ask("cpus", "L2 ran last")
    core = re.search(r"core (\d+) [^\r]*L2 ran last", stopped)
    assert core
    monitor.choose(int(core.group(1)))
    monitor.ask("vmcs 02 vm_exit_reason", "VM_EXIT_REASON +0xc  HLT")
    monitor.ask("regs", "L2 on core")
    monitor.ask("events", "L2 on core")
    monitor.ask("vmcs12 list", "launched, current")
    monitor.ask("check", "would succeed")
    monitor.ask(f"translate {monitor.rip()}", "page")
    monitor.ask(f"ept {monitor.rip()}", "EPT12")
    assert monitor.step() == "L1", "the exit is L1's"
    monitor.ask("watch PREEMPTION_TIMER")
    monitor.ask("go")
    monitor.awaits(r"core (\d+): L2's exit PREEMPTION_TIMER")
    monitor.ask("watch off")
    for _ in range(5):
        monitor.step()
    monitor.ask("go")
    monitor.choose(0)
    assert re.search(r"L2 EPT_VIOLATION +\d+ .*\d+ L1's, \d+ L0's", monitor.ask("exits"))
    l1.run("kill %1; wait")
    l1.kvmguest(*KVM_MODES)
    l1.poweroff()


@CORES
def test_post_mortem(boot: Boot, cpus: int) -> None:
    l1, monitor = monitored(boot, cpus, plastron=PANIC_BUILD)
    l1.machine.sendline(f"taskset {1 << (cpus - 1):x} exits vmcall 1")
    l1.machine.expect("Plastron: PANIC: forced by VMCALL", 60)
    l1.machine.expect("the flight recorder's last events:", 60)
    l1.machine.expect(r"L1 exit VMCALL [^\r]* unfinished", 60)
    l1.machine.expect("machine stopped", 60)
    monitor.awaits(f"has panicked on core {cpus - 1}")
    interrogate(monitor, cpus)
    for command in ("stop", "go", "step", "nmi"):
        monitor.ask(command, "nothing goes on any more")
    monitor.ask("log 200", "PANIC: forced by VMCALL")
    monitor.port.sendline("poweroff")
    assert l1.machine.wait_end(60) == 0


def test_reset(boot: Boot) -> None:
    l1, monitor = monitored(boot, 1)
    monitor.port.sendline("reset")
    l1.await_boot()
    Monitor(l1.machine).ask("cpus", "core 0")
    l1.poweroff()


@CORES
def test_shared_with_l1(boot: Boot, cpus: int) -> None:
    """On com1: Ctrl-^ changes hands; L1 loses nothing, and is not typed at."""
    l1 = boot(cpus=cpus, conf="monitor=com1\n")
    port = l1.machine
    for _ in range(3):
        port.send("\x1e")
        port.expect(r"the monitor; `help` lists its commands, Ctrl-\^ goes back to L1", 30)
        port.expect(PROMPT, 30)
        port.sendline("cpus")
        port.expect(r"core 0  APIC ID 0", 30)
        port.expect(PROMPT, 30)
        port.send("\x1e")
        port.expect("L1 again", 30)
        port.sendline()
        port.expect("L1# ", 30)
        assert "0123456789" * 5 in l1.run(f"echo {'0123456789' * 5}")
    l1.kvmguest(*KVM_MODES)
    l1.poweroff()


def noise(rng: random.Random, count: int) -> bytes:
    """Bytes of all kinds: any, text, line ends, and pieces of what has a meaning here."""
    pieces: tuple[Callable[[], bytes], ...] = (
        lambda: rng.randbytes(16),
        lambda: bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz 0123456789x", k=12)) + b"\r",
        lambda: rng.choice((b"mem p ", b"vmcs 02 ", b"ept ", b"regs ", b"trace ", b"help ",
                            b"\x1b[A", b"\x1b[", b"\t", b"\x7f", b"\x03",
                            b"+$", b"+$qSupported:x#00", b"#00")),
    )
    data = b"".join(rng.choice(pieces)() for _ in range(count // 8))
    for harmful in (b"reset", b"poweroff"):
        data = data.replace(harmful, b"")
    return data[:count]


def test_random_bytes(boot: Boot) -> None:
    """The prompt lives, and so does L1. A slow processor next to a port as fast as ever."""
    l1, monitor = monitored(boot, 2, ips=10_000_000, slow=2)
    sender = threading.Thread(target=monitor.port.port.sendall, args=(noise(random.Random(1), NOISE),))
    sender.start()
    said = -1
    while sender.is_alive() or said != monitor.port.log_path.stat().st_size:
        said = monitor.port.log_path.stat().st_size
        monitor.port.swallow(10)
    sender.join()
    # Whatever it was in, an end of gdb's packet and a new line end that.
    monitor.port.send(b"#00\r\x03\rcpu 0\rwatch off\rtrace on\rgo\r")
    monitor.port.sendline("log 1000")
    monitor.port.expect(r"nested VMX on", 120)
    monitor.ask("cpus", "core 1")
    l1.kvmguest(*KVM_MODES)
    l1.poweroff()


@CORES
def test_l1_hangs(cpus: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A core of L1 that loops with interrupts off: tests/probe/rows_demo.c."""
    image = tmp_path / "disk.img"
    make_image(image, {
        "probe.cfg": f"cpus={cpus} demo only=demo.hang".encode(),
        "EFI/BOOT/BOOTX64.EFI": Path(request.config.getoption("--plastron")),
        "EFI/plastron/plastron.conf": b"monitor=com2\n",
        "EFI/plastron/next.efi": TOP / "build" / "probe.efi",
    })
    with Machine(image, cpus=cpus, emulator=request.config.getoption("--emulator"), monitor=True,
                 log_path=LOGS / f"{request.node.name}.log") as machine:
        machine.expect("demo.hang", 120)
        monitor = Monitor(machine)
        interrogate(monitor, cpus)
        monitor.choose(cpus - 1)
        monitor.ask("vmcs 01 rflags", r"GUEST_RFLAGS +0x[0-9a-f]+(?!.*\bIF\b)")
        stop_and_go(monitor, cpus)
        monitor.port.sendline("poweroff")
        assert machine.wait_end(60) == 0


def test_idle_monitor_costs_little(boot: Boot, tmp_path: Path) -> None:
    """Next to a busy L1, of which it takes less than a thousandth: by the emulator's count."""
    counts = tmp_path / "counts"
    l1 = boot(cpus=1, monitor=True, conf="monitor=com2\n", counts=counts)
    l1.run("exits mark 1; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exits mark 2", 200)
    l1.poweroff()
    marks = {entry["mark"]: entry["cpus"][0]
             for entry in map(json.loads, counts.read_text().splitlines())}
    before, after = marks[1], marks[2]
    root, guest = (after[where] - before[where] for where in ("root", "guest"))
    looks = after["exits"].get("52", 0) - before["exits"].get("52", 0)
    assert looks > 20, "the monitor has not looked"
    print(f"{looks} looks, {root} instructions of L0, {guest} of L1: {root / guest:.5%}")
    assert root < guest / 1000
