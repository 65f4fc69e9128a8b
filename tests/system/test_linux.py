"""Linux with KVM as L1, its guests as L2: what must work on a machine with everything."""
import pytest

from conftest import KVM_MODES, L1, Boot


class TestFourCores:
    def test_four_cores(self, boot: Boot) -> None:
        l1 = boot(cpus=4)
        assert l1.cpus_online == 4
        for cpu in range(4):
            l1.run(f"taskset {1 << cpu:x} kvmguest hello", 120)
        l1.kvmguest("twovcpu", timeout=300)
        l1.poweroff()


@pytest.mark.full
class TestEightCores:
    def test_eight_cores(self, boot: Boot) -> None:
        l1 = boot(cpus=8)
        assert l1.cpus_online == 8
        for cpu in range(8):
            l1.run(f"taskset {1 << cpu:x} kvmguest hello", 600)
        l1.poweroff()


class TestRun:
    def test_scenario_of_make_run(self, boot: Boot) -> None:
        l1 = boot(cpus=2, qemu=True)
        assert l1.cpus_online == 2
        output = l1.run("demo", 300)
        assert "kvmguest: PASS hello" in output
        assert "L2: user space, 2 CPUs online" in output
        assert l1.run("echo a shell answers").strip().endswith("a shell answers")
        l1.poweroff()


class TestThirdLevel:
    def test_guest_of_kvm_on_kvm(self, boot: Boot) -> None:
        """KVM under KVM under Plastron: L3."""
        l1 = boot(qemu=True, added=("l3",))
        output = l1.run("l2 kvm hello long paging", 900)
        assert "kvmguest: 3 passed, 0 failed" in output, output
        l1.poweroff()


@pytest.mark.full
class TestTwoLinuxGuests:
    def test_two_linux_guests_at_once(self, boot: Boot) -> None:
        l1 = boot(cpus=2, qemu=True)
        output = l1.run("l2 </dev/null >/tmp/a & l2 </dev/null >/tmp/b; wait; cat /tmp/a /tmp/b", 600)
        assert output.count("L2: user space, 2 CPUs online") == 2
        l1.poweroff()


class TestTwoCores:
    machine = {"cpus": 2}

    def test_two_cores(self, l1: L1) -> None:
        assert l1.cpus_online == 2
        l1.kvmguest(*KVM_MODES)

    @pytest.mark.parametrize(
        "parameter",
        [
            "ept=0",
            "vpid=0",
            "unrestricted_guest=0",
            "enable_shadow_vmcs=0",
            "flexpriority=0",
            "preemption_timer=1",
            "eptad=0",
        ],
    )
    def test_kvm_parameter(self, l1: L1, parameter: str) -> None:
        l1.run(f"loadkvm {parameter}")
        name, value = parameter.split("=")
        shown = l1.run(f"cat /sys/module/kvm_intel/parameters/{name}").split()[-1]
        assert shown == {"0": "N", "1": "Y"}[value]
        l1.kvmguest(*KVM_MODES)

    def test_two_guests_at_once(self, l1: L1) -> None:
        l1.run("loadkvm")
        modes = "paging timer long twovcpu"
        output = l1.run(
            f"(taskset 1 kvmguest {modes} >/tmp/a) & (taskset 2 kvmguest {modes} >/tmp/b);"
            " wait; cat /tmp/a /tmp/b",
            180,
        )
        assert output.count("kvmguest: 4 passed, 0 failed") == 2, output

    def test_reboot(self, l1: L1) -> None:
        l1.reboot()
        assert l1.cpus_online == 2
        l1.kvmguest("hello", "long")

    def test_poweroff(self, l1: L1) -> None:
        l1.poweroff()


class TestOneCore:
    def test_one_core(self, boot: Boot) -> None:
        l1 = boot(cpus=1)
        assert l1.cpus_online == 1
        l1.kvmguest(*KVM_MODES)
        l1.reboot()
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()


class TestDebian13:
    def test_debian_13(self, boot: Boot) -> None:
        l1 = boot(cpus=2, debian="13")
        assert l1.run("uname -r").strip().split("\n")[-1].startswith("6.12")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()


class TestDebianSid:
    def test_debian_unstable(self, boot: Boot) -> None:
        l1 = boot(cpus=2, debian="sid")
        release = l1.run("uname -r").strip().split("\n")[-1]
        assert tuple(map(int, release.split(".")[:2])) > (6, 12), release
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()
