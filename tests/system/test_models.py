"""Processors that lack something, and the boot media."""
from conftest import KVM_MODES, Boot


class TestIvyBridge:
    def test_without_vmcs_shadowing(self, boot: Boot) -> None:
        l1 = boot(emulator="bochs", model="corei7_ivy_bridge_3770k")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()


class TestPenryn:
    def test_without_ept_is_refused(self, boot: Boot) -> None:
        l1 = boot(emulator="bochs", model="core2_penryn_t9600", refusal="EPT")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()


class TestNoVmx:
    def test_without_vmx_is_refused(self, boot: Boot) -> None:
        l1 = boot(emulator="qemu-tcg", model="max,vendor=GenuineIntel", cpus=2, refusal="VMX")
        assert not l1.has_kvm
        assert l1.cpus_online == 2
        l1.poweroff()

    def test_stick_boots(self, boot: Boot) -> None:
        l1 = boot(emulator="qemu-tcg", model="max", usb=True, refusal="VMX|Intel")
        l1.poweroff()


class TestTigerLake:
    def test_with_cet(self, boot: Boot) -> None:
        """Linux tracks its own indirect branches there, and its KVM has CET state loaded."""
        l1 = boot(cpus=1, debian="sid", emulator="bochs", model="tigerlake")
        assert " ibt" in l1.run("grep -m1 ^flags /proc/cpuinfo")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()
