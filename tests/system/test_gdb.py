"""gdb at the monitor's port: L0, L1 and L2 of each core."""
import re
import subprocess
from pathlib import Path

import pytest

from conftest import BUSY_L2, KVM_MODES, TOP, Boot, L1

ELF = TOP / "build" / "plastron.elf"


@pytest.fixture(autouse=True)
def _needs_plastron(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")


def gdb(port: int, *commands: str, seconds: float = 150) -> str:
    """What gdb prints that connects, executes the commands, and detaches."""
    words = ["gdb", "-batch", "-nx", "-iex", "set pagination off", "-iex", "set confirm off",
             "-iex", "set remotetimeout 30", str(ELF)]
    for command in (f"target remote localhost:{port}", *commands, "detach"):
        words += ["-ex", command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds)
    assert "Detached" in done.stdout or "[Inferior 1 (Remote target) detached]" in done.stdout, (
        done.stdout + done.stderr)
    return done.stdout + done.stderr


def attached(boot: Boot, cpus: int) -> tuple[L1, int]:
    l1 = boot(cpus=cpus, conf="monitor=com2\n", monitor=True)
    assert l1.machine.monitor
    return l1, l1.machine.monitor.serve()


@pytest.mark.parametrize("cpus", (1, 2))
def test_gdb(boot: Boot, cpus: int) -> None:
    l1, port = attached(boot, cpus)
    l1.run(BUSY_L2)
    seen = gdb(
        port,
        "info threads",
        "thread 2",
        "info registers rip cr3 efer",
        "x/2i $pc",
        "stepi",
        "stepi",
        "thread 1",
        "info registers rip rsp",
        "bt",
        "x/4i exit_handle",
        "print cpu_count",
        "print/x l0.boot.magic",
        "monitor cpus",
        "monitor frobnicate",
    )
    assert len(re.findall(r"Thread \d+ \(core \d, L[01]", seen)) >= 2 * cpus, seen
    assert re.search(r"rip +0x[0-9a-f]+", seen)
    assert re.search(rf"\$\d+ = {cpus}\b", seen), seen
    assert "0x4e4f525453414c50" in seen
    assert "core 0  APIC ID 0" in seen
    assert "no such command: frobnicate" in seen
    assert re.search(r"#1 +0x[0-9a-f]+ in |#1 +", seen), seen
    l1.kvmguest("hello")
    seen = gdb(
        port,
        "thread 1",
        "break exit_cpuid",
        "continue",
        "bt",
        "print cpu->index",
        "info registers rip",
        "stepi",
        "stepi",
        "info registers rip",
        "finish",
        "delete",
        seconds=200,
    )
    assert re.search(r"Breakpoint 1, (0x[0-9a-f]+ in )?exit_cpuid", seen), seen
    assert re.search(r"exit_handle", seen), seen
    l1.run("kill %1; wait")
    l1.kvmguest(*KVM_MODES)
    l1.poweroff()


def test_l2_has_registers_and_memory(boot: Boot) -> None:
    l1, port = attached(boot, 1)
    l1.run(BUSY_L2)
    seen = gdb(port, "monitor watch HLT", "continue", "thread 3", "info registers rip cr3", "x/1xb $pc",
               "monitor watch off")
    assert re.search(r"0x[0-9a-f]+:\t0xf4", seen), f"no HLT before RIP in:\n{seen}"
    l1.run("kill %1; wait")
    l1.kvmguest("hello")
    l1.poweroff()
