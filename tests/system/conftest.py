"""Machines for the system tests: Linux or Xen as L1, under Plastron or, with --bare, without it."""
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))

from emu import EMULATORS, EmulatorError, Machine, choose_emulator  # noqa: E402
import mkboot  # noqa: E402

LOGS = TOP / "build" / "system"
BANNER = r"Plastron \d+\.\d+\.\d+: (\d+) cores?\b[^\r\n]*"
REFUSED = r"Plastron: not started: ([^\r\n]*)[\r\n]"
PROMPT = r"L1# (\x1b\[6n)?"
# From 3 CPUs on the firmware's parked processors slow Bochs down: see EMULATOR.md.
BOOT_SECONDS = {1: 150, 2: 200, 4: 600, 8: 1800}
# In L1's shell: L2s that come and go, until job 1 is ended.
BUSY_L2 = "while :; do kvmguest timer long paging; done >/dev/null 2>&1 & true"
KVM_MODES = ("hello", "real", "long", "paging", "timer", "twovcpu")


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--bare", action="store_true", help="without Plastron, for comparison")
    parser.addoption("--all", action="store_true", help="the long tests too")
    parser.addoption("--plastron", default=str(TOP / "build" / "plastron.efi"))
    parser.addoption("--emulator", choices=EMULATORS, default=choose_emulator()[0])


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    if not config.getoption("--all"):
        long = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_sessionstart(session: Any) -> None:
    plastron = Path(session.config.getoption("--plastron"))
    if not session.config.getoption("--bare") and not plastron.is_file():
        raise pytest.UsageError(f"{plastron} is not there: build it, or run with --bare")


def pytest_unconfigure(config: Any) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None:
        return
    failed = len(reporter.stats.get("failed", [])) + len(reporter.stats.get("error", []))
    print(f"{len(reporter.stats.get('passed', []))} passed, {failed} failed")


class L1:
    """A running machine with L1's shell."""

    def __init__(self, machine: Machine, plastrons: list[str | None], slow: int) -> None:
        """`plastrons`: for each one, the outer one first, why it refuses to start, or None."""
        self.machine = machine
        self.cpus = machine.cpus
        self.plastrons = plastrons
        self.slow = slow

    def await_boot(self) -> None:
        """Waits for what each Plastron says, then for L1's shell."""
        seconds = self.slow * (BOOT_SECONDS[self.cpus] if self.machine.emulator == "bochs" else 120)
        self.firmware_part = ""
        for refusal in self.plastrons:
            if refusal:
                reason = self.machine.expect(REFUSED, seconds).group(1)
                assert re.search(refusal, reason), f"refused because of: {reason}"
            else:
                assert int(self.machine.expect(BANNER, seconds).group(1)) == self.cpus
                self.firmware_part += self.machine.before
        self.cpus_online = int(self.machine.expect(r"L1: Linux \S+, (\d+) CPUs", seconds).group(1))
        self.has_kvm = "loaded" in self.machine.expect(
            r"L1: (kvm-intel loaded|no KVM)", seconds
        ).group(1)
        self.machine.expect(PROMPT, seconds)

    def run(self, command: str, timeout: float = 60) -> str:
        """Runs a command in L1's shell, which must succeed; its output."""
        # The echo of the command has no digit where its status will stand.
        self.machine.sendline(f"{command}; echo status=$?")
        status = self.machine.expect(r"\nstatus=(\d+)\r*\n", timeout).group(1)
        output = self.machine.before
        self.machine.expect(PROMPT, 30)
        assert status == "0", f"{command}: status {status}:\n{output}"
        return output

    def kvmguest(self, *modes: str, timeout: float = 120) -> None:
        """Runs the small guest in these modes."""
        output = self.run(f"kvmguest {' '.join(modes)}", timeout)
        for mode in modes:
            assert f"kvmguest: PASS {mode}\r" in output, output

    def reboot(self) -> None:
        self.machine.sendline("reboot")
        self.await_boot()

    def poweroff(self) -> None:
        self.machine.sendline("poweroff")
        assert self.machine.wait_end(60) == 0


Boot = Callable[..., L1]


def _l1_of(wanted: dict[str, Any], cpus: int) -> mkboot.L1:
    """The L1 that is wanted: Linux, or Xen with a Linux as its dom0."""
    append = wanted.pop("append", "") + (" idle=halt" if cpus > 2 else "")
    if wanted.pop("xen", False):
        return mkboot.xen(f"{mkboot.DOM0_CMDLINE} {append}".strip())
    return mkboot.linux(
        wanted.pop("debian", "12"),
        f"{mkboot.CMDLINE} {append}".strip(),
        wanted.pop("qemu", False),
        *wanted.pop("added", ()),
    )


def _start(config: Any, directory: Path, name: str, **wanted: Any) -> L1:
    cpus = wanted.pop("cpus", 1)
    bare = config.getoption("--bare")
    plastron = wanted.pop("plastron", Path(config.getoption("--plastron")))
    inner_conf = wanted.pop("inner_conf", None)
    plastrons = [wanted.pop("refusal", None)]
    if inner_conf is not None:
        plastrons.append(wanted.pop("inner_refusal", None))
    if wanted.pop("silent", False) or bare:
        plastrons = []
    slow = wanted.pop("slow", 1)
    image = directory / "disk.img"
    LOGS.mkdir(parents=True, exist_ok=True)
    mkboot.make_boot(
        image,
        _l1_of(wanted, cpus),
        plastron=None if bare else plastron,
        conf=wanted.pop("conf", ""),
        inner_conf=inner_conf,
    )
    machine = Machine(
        image,
        cpus=cpus,
        emulator=wanted.pop("emulator", config.getoption("--emulator")),
        log_path=LOGS / f"{name}.log",
        **wanted,
    )
    try:
        machine.start()
        image.unlink()
        l1 = L1(machine, plastrons, slow)
        l1.await_boot()
    except BaseException:
        machine.close()
        raise
    return l1


def _file_name(node: str) -> str:
    return re.sub(r"[^\w=.-]+", "-", node).strip("-")


@pytest.fixture
def boot(request: Any, tmp_path: Path) -> Iterator[Boot]:
    """Boots a machine for one test, which must power it off."""
    running: list[L1] = []

    def start(**wanted: Any) -> L1:
        running.append(_start(request.config, tmp_path, _file_name(request.node.name), **wanted))
        return running[-1]

    yield start
    for l1 in running:
        l1.machine.close()


class SharedMachine:
    """One machine for the tests of a class; one that a failed test leaves is not used again."""

    def __init__(self, start: Callable[[], L1]) -> None:
        self._start = start
        self._l1: L1 | None = None

    def get(self) -> L1:
        if self._l1 is None:
            self._l1 = self._start()
        return self._l1

    def discard(self) -> None:
        if self._l1:
            self._l1.machine.close()
            self._l1 = None


@pytest.fixture(scope="class")
def shared_machine(request: Any, tmp_path_factory: Any) -> Iterator[SharedMachine]:
    count = 0

    def start() -> L1:
        nonlocal count
        count += 1
        name = f"{request.node.name}-{count}"
        directory = tmp_path_factory.mktemp(name)
        return _start(request.config, directory, name, **request.cls.machine)

    shared = SharedMachine(start)
    yield shared
    shared.discard()


@pytest.fixture
def l1(request: Any, shared_machine: SharedMachine) -> Iterator[L1]:
    """The machine that the tests of a class share; the class says which in `machine`."""
    yield shared_machine.get()
    if getattr(request.node, "failed", False):
        shared_machine.discard()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Iterator[None]:
    outcome: Any = yield
    if outcome.get_result().failed:
        item.failed = True
