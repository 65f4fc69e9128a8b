"""Plastron itself: its configuration, its memory, its panic."""
import re
from pathlib import Path

import pytest

from conftest import KVM_MODES, LOGS, REFUSED, TOP, Boot, L1
from emu import Machine
from mkboot import linux, make_boot

PANIC_BUILD = TOP / "build" / "panic" / "plastron.efi"


@pytest.fixture(autouse=True)
def _needs_plastron(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")


class TestConfiguration:
    def test_nested_off(self, boot: Boot) -> None:
        l1 = boot(conf="nested=off\n")
        assert not l1.has_kvm
        assert l1.run("grep -cw vmx /proc/cpuinfo || true").strip().endswith("0")
        l1.poweroff()

    def test_bad_lines_and_masked_features(self, boot: Boot) -> None:
        l1 = boot(conf="colour=green\nlog=loud\nmask=ept,vpid\ncpuid=hypervisor\n")
        assert re.search(r"plastron\.conf:1: .*colour.*accepted", l1.firmware_part)
        assert re.search(r"plastron\.conf:2: .*loud.*error, warn, info, debug", l1.firmware_part)
        for parameter in ("ept", "vpid", "unrestricted_guest"):
            shown = l1.run(f"cat /sys/module/kvm_intel/parameters/{parameter}")
            assert shown.split()[-1] == "N", parameter
        assert l1.run("grep -cw hypervisor /proc/cpuinfo").strip().endswith("1")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()

    def test_silent(self, boot: Boot) -> None:
        l1 = boot(conf="console=none\n", silent=True)
        l1.kvmguest("hello")
        l1.poweroff()


class TestNextImage:
    """One line says what is wrong with it, and the firmware goes on: its boot manager comes up."""

    def refusals(
        self, request: pytest.FixtureRequest, tmp_path: Path, conf: str, inner_conf: str | None = None
    ) -> str:
        image = tmp_path / "disk.img"
        plastron = Path(request.config.getoption("--plastron"))
        make_boot(image, linux(), plastron, conf, inner_conf)
        with Machine(image, cpus=1, emulator=request.config.getoption("--emulator"),
                     log_path=LOGS / f"{request.node.name}.log") as machine:
            reason: str = machine.expect(REFUSED, 60).group(1)
            machine.expect("BdsDxe: (failed|loading|starting)|Shell|UEFI", 60)
        return reason

    def test_missing(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        reason = self.refusals(request, tmp_path, "next=\\EFI\\nothing\\here.efi\n")
        assert "here.efi" in reason

    def test_plastron_itself(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        reason = self.refusals(request, tmp_path, "next=\\EFI\\BOOT\\BOOTX64.EFI\n")
        assert "BOOTX64.EFI is Plastron itself" in reason

    def test_loop_of_two(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """The inner one, whose configuration is another one, would start the outer one again."""
        reason = self.refusals(
            request, tmp_path, "", inner_conf="next=\\EFI\\BOOT\\BOOTX64.EFI\n"
        )
        assert "BOOTX64.EFI is Plastron itself" in reason


class TestHiddenMemory:
    machine = {"cpus": 2, "conf": "log=info\n"}

    def hidden_base(self, l1: L1) -> int:
        log = l1.machine.log_path.read_text(errors="replace")
        match = re.search(r"KiB at (0x[0-9a-f]+) are hidden", log)
        assert match
        return int(match.group(1), 16)

    def test_reads_ones(self, l1: L1) -> None:
        base = self.hidden_base(l1)
        for offset in (0, 8, 0x1000, 0x1FFFF8, 0x200000, 0x5FFFF8):
            output = l1.run(f"devmem {base + offset:#x} 64")
            assert "0xFFFFFFFFFFFFFFFF" in output, hex(base + offset)
        assert "read hidden memory" in l1.machine.log_path.read_text(errors="replace")

    def test_drops_writes(self, l1: L1) -> None:
        base = self.hidden_base(l1)
        for offset in (0, 0x100000):
            l1.run(f"devmem {base + offset:#x} 32 0x12345678")
            assert "0xFFFFFFFF" in l1.run(f"devmem {base + offset:#x} 32")
        assert "wrote hidden memory" in l1.machine.log_path.read_text(errors="replace")

    def test_unharmed(self, l1: L1) -> None:
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()


class TestNmi:
    def test_nmis_that_hit_l0_reach_l1(self, boot: Boot) -> None:
        """Linux asks a core for a backtrace by NMI, and waits for it, while that core keeps L0 busy."""
        l1 = boot(cpus=2)
        l1.run("taskset 2 exits cpuid 1000000000 & echo $! >/tmp/pid")
        before = self.nmis(l1, 1)
        rounds = 5  # each takes a second on the console, and that next to a core that exits
        ask = f"for i in $(seq {rounds}); do echo l >/proc/sysrq-trigger; done"
        l1.run(f"taskset 1 sh -c '{ask}'", 400)
        assert "exits" in l1.run("cat /proc/$(cat /tmp/pid)/comm"), "the core was not busy any more"
        assert self.nmis(l1, 1) == before + rounds
        l1.run("kill $(cat /tmp/pid)")
        l1.kvmguest("hello", "timer")
        l1.poweroff()

    def nmis(self, l1: L1, cpu: int) -> int:
        line = re.search(r"NMI: *(\d+) *(\d+)", l1.run("grep NMI: /proc/interrupts"))
        assert line
        return int(line.group(1 + cpu))


class TestPanic:
    def panic_of(self, boot: Boot, number: int) -> str:
        l1 = boot(cpus=2, plastron=PANIC_BUILD)
        l1.machine.sendline(f"taskset 2 exits vmcall {number}")
        l1.machine.expect("Plastron: PANIC: ", 60)
        l1.machine.expect("machine stopped[^\r\n]*", 60)
        return l1.machine.before

    def test_panic_tells_what_where_and_with_which_vmcs(self, boot: Boot) -> None:
        dump = self.panic_of(boot, 1)
        assert dump.startswith("forced by VMCALL")
        assert re.search(r"core 1\b", dump)
        assert re.search(r"__wrap_exit_vmcall\+0x", dump)
        assert re.search(r"exit_handle\+0x", dump)
        for field in ("GUEST_RIP", "GUEST_CR3", "VM_EXIT_REASON", "HOST_RSP"):
            assert field in dump
        assert "1 of 1 other cores stopped" in dump
        assert "CPUID" in dump

    def test_fault_in_l0(self, boot: Boot) -> None:
        dump = self.panic_of(boot, 2)
        assert "#PF" in dump
        assert "0x123456000" in dump or "0000000123456000" in dump
        assert re.search(r"read_unmapped_memory|__wrap_exit_vmcall", dump)

    def test_failed_vmwrite_names_the_field(self, boot: Boot) -> None:
        dump = self.panic_of(boot, 3)
        assert dump.startswith("VMWRITE of")
        assert "0x6ffe" in dump
