"""plastronctl in L1: what it says, and whether that is what the emulator has counted."""
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import KVM_MODES, LOGS, TOP, Boot, L1
from emu import Machine
import mkboot

CONTROL = TOP / "tools" / "plastronctl"
MARK_BEGIN, MARK_END = 1000, 1001  # of tests/system/marked_cpuid.c
# Leaf 0x40000002 is asked for all reasons of L1 and L2; each time that is one exit more of L1.
REASONS = {int(number): name for name, number in
           re.findall(r"X\((\w+), (\d+)\)", (TOP / "include" / "vmx.h").read_text())}
ASKED = 2 * (max(REASONS) + 1)
CPUID = 10
# Reason 10 of L1 is asked as the eleventh, and that CPUID counts itself.
CPUIDS_IN_ANSWER = CPUID + 1

Exits = dict[tuple[str, str], int]  # by level and reason


class Reading(NamedTuple):
    """What the emulator had counted of a CPU before and after plastronctl read that core."""

    before: Exits
    after: Exits

    @property
    def alone(self) -> bool:
        """No other exit happened meanwhile."""
        return difference(self.after, self.before) == {("L1", "CPUID"): ASKED}


@pytest.fixture(autouse=True)
def _needs_plastron(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")


def difference(to: Exits, since: Exits) -> Exits:
    result = {key: to.get(key, 0) - since.get(key, 0) for key in to.keys() | since.keys()}
    return {key: count for key, count in result.items() if count}


def said(core: dict[str, Any]) -> Exits:
    """A core's exits in plastronctl's JSON."""
    return {(level, name): count for level in ("L1", "L2") for name, count in core[level].items()}


def counted(cpu: dict[str, Any]) -> Exits:
    """A CPU's exits by the emulator's word: L1's are those of the VMCS that it entered first."""
    result: Exits = {}
    for number, count in cpu["exits"].items():
        of_l1 = cpu["exits_first"].get(number, 0)
        result["L1", REASONS[int(number)]] = of_l1
        result["L2", REASONS[int(number)]] = count - of_l1
    return {key: count for key, count in result.items() if count}


def initramfs(program: Path) -> bytes:
    """An initramfs that brings a program."""
    return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=program.parents[1],
                          input=f"bin\nbin/{program.name}\n".encode(), capture_output=True,
                          check=True).stdout


def marked_program(directory: Path) -> Path:
    """plastronctl, which tells the emulator when it reads."""
    program = directory / "bin" / "marked"
    program.parent.mkdir()
    sources = [path for path in CONTROL.glob("*.c") if path.name != "cpuid.c"]
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", f"-I{TOP}/include", "-o", program,
                    *sources, TOP / "tests" / "system" / "marked_cpuid.c"], check=True)
    subprocess.run(["strip", program], check=True)
    return program


class CountedL1:
    """Two cores of L1, whose exits the emulator counts."""

    def __init__(self, machine: Machine, counts: Path) -> None:
        self.l1 = L1(machine, [None], 2)
        self.counts = counts

    def readings(self, cpu: int) -> list[Reading]:
        """Of a core, all so far."""
        marks = [json.loads(line) for line in self.counts.read_text().splitlines()]
        found = {number: [counted(mark["cpus"][cpu]) for mark in marks
                          if mark["mark"] == number and mark["cpu"] == cpu]
                 for number in (MARK_BEGIN, MARK_END)}
        return [Reading(*pair) for pair in zip(found[MARK_BEGIN], found[MARK_END], strict=True)]

    def said_by(self, command: str, timeout: float = 120) -> list[dict[str, Any]]:
        """The objects that a command prints."""
        output = self.l1.run(f"{command} >/tmp/said && cat /tmp/said", timeout)
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    def start_busy_l2(self) -> None:
        """One on each core: one that drops and touches pages, and one that comes and goes."""
        self.l1.run("taskset 1 kvmguest -n 1000000000 churn >/tmp/l2-0 2>&1 & echo $! >/tmp/busy")
        loop = "while kvmguest real long paging timer; do :; done"
        self.l1.run(f"taskset 2 sh -c '{loop}' >/tmp/l2-1 2>&1 & echo $! >>/tmp/busy")
        self.l1.run("sleep 2")

    def stop_busy_l2(self) -> None:
        assert "FAIL" not in self.l1.run("cat /tmp/l2-0 /tmp/l2-1")
        self.l1.run("kill $(cat /tmp/busy); killall kvmguest")


@pytest.fixture(scope="class")
def counted_l1(request: pytest.FixtureRequest,
               tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountedL1]:
    if request.config.getoption("--emulator") != "bochs":
        pytest.skip("Bochs counts")
    directory = tmp_path_factory.mktemp("counted")
    l1 = mkboot.linux()
    unpacked = l1.files["EFI/plastron/initramfs"]
    assert isinstance(unpacked, bytes)
    l1.files["EFI/plastron/initramfs"] = unpacked + initramfs(marked_program(directory))
    image, counts = directory / "disk.img", directory / "counts"
    mkboot.make_boot(image, l1, Path(request.config.getoption("--plastron")), "mask=pml\n")
    LOGS.mkdir(parents=True, exist_ok=True)
    with Machine(image, cpus=2, emulator="bochs", counts=counts,
                 log_path=LOGS / "plastronctl.log") as machine:
        image.unlink()
        result = CountedL1(machine, counts)
        result.l1.await_boot()
        yield result


def assert_agree(exits: Exits, first: Exits, last: Exits) -> None:
    """Each count is between what the emulator had counted before and after."""
    wrong = {key: (first.get(key, 0), exits.get(key, 0), last.get(key, 0))
             for key in exits.keys() | first.keys() | last.keys()
             if not first.get(key, 0) <= exits.get(key, 0) <= last.get(key, 0)}
    assert not wrong, f"counted before, said, counted after: {wrong}"


class TestCounts:
    """The same machine for all: what is counted from its start agrees to the end."""

    def test_info(self, counted_l1: CountedL1) -> None:
        [info] = counted_l1.said_by("plastronctl info --json")
        assert info["cores"] == 2 and info["nested"]
        assert info["features"]["masked"] == ["pml"]
        assert "ept" in info["features"]["offered"]
        assert f"Plastron {info['version']}, 2 cores" in counted_l1.l1.run("plastronctl info")

    def check_stat(self, counted_l1: CountedL1) -> bool:
        """Whether a reading of both cores was exact; if something happened meanwhile it was no more than
        that."""
        [stat] = counted_l1.said_by("marked stat --json")
        assert [core["core"] for core in stat["cores"]] == [0, 1]
        exact = True
        for core in stat["cores"]:
            reading = counted_l1.readings(core["core"])[-1]
            assert_agree(said(core), reading.before, reading.after)
            if reading.alone:
                expected = {**reading.before}
                expected["L1", "CPUID"] += CPUIDS_IN_ANSWER
                assert said(core) == expected
            exact &= reading.alone
        return exact

    def test_stat(self, counted_l1: CountedL1) -> None:
        """Since Plastron's start, before there was any L2, after one, and when nothing runs."""
        assert any([self.check_stat(counted_l1) for _ in range(3)])
        counted_l1.l1.kvmguest(*KVM_MODES)
        assert any([self.check_stat(counted_l1) for _ in range(3)])

    def test_top_next_to_a_busy_l2(self, counted_l1: CountedL1) -> None:
        rounds = 8
        counted_l1.start_busy_l2()
        seen = [len(counted_l1.readings(cpu)) for cpu in range(2)]
        said_rounds = counted_l1.said_by(f"marked top --json -n {rounds}", 600)
        assert [top["round"] for top in said_rounds] == list(range(1, rounds + 1))
        for cpu in range(2):
            readings = counted_l1.readings(cpu)[seen[cpu]:]
            assert len(readings) == rounds + 1
            exact = 0
            for top, before, after in zip(said_rounds, readings, readings[1:]):
                core = top["cores"][cpu]
                assert core["core"] == cpu and 0.9 < core["seconds"] < 2
                exits = said(core)
                assert sum(count for (level, _), count in exits.items() if level == "L2") > 500
                assert_agree(exits, difference(after.before, before.after),
                             difference(after.after, before.before))
                if before.alone and after.alone:
                    assert exits == difference(after.before, before.before)
                    exact += 1
            print(f"core {cpu}: {exact} of {rounds} rounds exact")
            assert exact >= rounds // 4
        counted_l1.stop_busy_l2()

    def test_what_l1_gets_is_the_same_program(self, counted_l1: CountedL1) -> None:
        """The one without marks, between two readings of the one with them."""
        counted_l1.start_busy_l2()
        counted_l1.said_by("marked stat --json")
        said_rounds = counted_l1.said_by("plastronctl top --json -d 0.5 -n 3", 300)
        counted_l1.said_by("marked stat --json")
        for cpu in range(2):
            first, last = counted_l1.readings(cpu)[-2:]
            total: Exits = {}
            for top in said_rounds:
                total = difference(said(top["cores"][cpu]), {k: -v for k, v in total.items()})
            assert total["L2", "EPT_VIOLATION"] > 100
            assert_agree(total, {}, difference(last.after, first.before))
        counted_l1.stop_busy_l2()

    def test_core_offline(self, counted_l1: CountedL1) -> None:
        """It is named, and back again its counts have gone on."""
        online = "/sys/devices/system/cpu/cpu1/online"
        counted_l1.l1.run(f"echo 0 >{online}")
        text = counted_l1.l1.run("plastronctl stat")
        assert "plastronctl: core 1 is offline" in text and "core 1 L1" not in text
        [stat] = counted_l1.said_by("plastronctl stat --json")
        assert stat["unread"] == [1] and [core["core"] for core in stat["cores"]] == [0]
        counted_l1.l1.run(f"echo 1 >{online}")
        assert any([self.check_stat(counted_l1) for _ in range(3)])

    def test_text(self, counted_l1: CountedL1) -> None:
        text = counted_l1.l1.run("plastronctl stat")
        assert re.search(r"^core 1 L2 EPT_VIOLATION \d+\r$", text, re.MULTILINE)
        assert re.search(r"^shadow: \d+ pages, \d+ in use", text, re.MULTILINE)
        # The console is a terminal.
        text = counted_l1.l1.run("plastronctl top -n 1 -d 0.2; echo")
        assert "\x1b[H" in text and "\x1b[?25h" in text
        text = counted_l1.l1.run("plastronctl top -n 1 -d 0.2 >/tmp/top; cat /tmp/top")
        assert "most often\r\n" in text and "\x1b[K" not in text

    def test_usage(self, counted_l1: CountedL1) -> None:
        assert "usage: plastronctl" in counted_l1.l1.run("plastronctl nonsense; [ $? = 2 ]")
        assert "usage: plastronctl" in counted_l1.l1.run("plastronctl --help")

    def test_interrupted(self, counted_l1: CountedL1) -> None:
        """Ctrl-C ends top, which leaves the cursor as it was."""
        machine = counted_l1.l1.machine
        machine.sendline("plastronctl top; echo status=$?")
        machine.expect("most often", 60)
        machine.send("\x03")
        machine.expect(r"\x1b\[\?25h[^\n]*status=0", 60)
        machine.expect(r"L1# ", 30)

    def test_power_off(self, counted_l1: CountedL1) -> None:
        counted_l1.l1.poweroff()


class TestStatsOff:
    def test_stats_off(self, boot: Boot) -> None:
        l1 = boot(conf="stats=off\n")
        for command in ("info", "stat", "top", "stat --json"):
            text = l1.run(f"! plastronctl {command}")
            assert "stats=off" in text and "CPUID" not in text
        l1.kvmguest("hello")
        l1.poweroff()
