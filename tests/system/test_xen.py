"""Xen as L1, with Debian's Linux as its dom0: its hardware-virtualized guests are L2s."""
import re

import pytest

from conftest import L1, Boot


def boot_xen(boot: Boot, cpus: int) -> L1:
    l1 = boot(cpus=cpus, xen=True, slow=2)
    log = l1.machine.log_path.read_text(errors="replace")
    assert re.search(r"\(XEN\) HVM: VMX enabled", log)
    assert re.search(r"\(XEN\) HVM: Hardware Assisted Paging \(HAP\) detected", log)
    assert f"(XEN) Brought up {cpus} CPUs" in log
    l1.run("startxen", 120)
    return l1


def boot_guest(l1: L1) -> None:
    """A Linux in a PVH guest, up to its user space, and its end."""
    output = l1.run("xenguest", 300)
    assert "L2: user space, 2 CPUs online" in output, output
    assert "reboot: Restarting system" in output, output


class TestXen:
    def test_dom0_and_pvh_guest(self, boot: Boot) -> None:
        l1 = boot_xen(boot, 1)
        boot_guest(l1)
        l1.poweroff()


@pytest.mark.full
class TestXenTwoCores:
    def test_dom0_and_pvh_guests(self, boot: Boot) -> None:
        l1 = boot_xen(boot, 2)
        assert l1.cpus_online == 2
        boot_guest(l1)
        boot_guest(l1)
        l1.poweroff()
