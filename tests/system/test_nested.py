"""Plastron on Plastron: the L1 of one is another, whose L1 is Linux with KVM: three levels of VMX."""
import re

import pytest

from conftest import KVM_MODES, L1, Boot


@pytest.fixture(autouse=True)
def _needs_plastron(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")


def hidden_regions(l1: L1) -> list[tuple[int, int]]:
    """Start and end of what each Plastron hides, the outer one's first."""
    log = l1.machine.log_path.read_text(errors="replace")
    found = re.findall(r"Plastron: (\d+) KiB at (0x[0-9a-f]+) are hidden", log)
    return [(int(base, 16), int(base, 16) + int(size) * 1024) for size, base in found]


class TestOneCore:
    def test_guest_of_kvm_on_two_plastrons(self, boot: Boot) -> None:
        l1 = boot(inner_conf="", slow=2)
        outer, inner = hidden_regions(l1)
        assert outer[1] <= inner[0] or inner[1] <= outer[0]
        for base, _ in (outer, inner):
            assert "0xFFFFFFFFFFFFFFFF" in l1.run(f"devmem {base:#x} 64")
        l1.kvmguest("hello", "real", "long", "paging", timeout=200)
        l1.poweroff()


@pytest.mark.full
class TestTwoCores:
    def test_guests_on_both_cores(self, boot: Boot) -> None:
        # Three levels of emulation take longer to handle an INIT than Linux waits by itself.
        l1 = boot(cpus=2, inner_conf="", slow=2, append="cpu_init_udelay=10000")
        assert l1.cpus_online == 2
        for cpu in range(2):
            l1.run(f"taskset {1 << cpu:x} kvmguest hello long", 200)
        l1.kvmguest("twovcpu", timeout=300)
        l1.reboot()
        assert l1.cpus_online == 2
        l1.kvmguest("hello", "long", timeout=200)
        l1.poweroff()


@pytest.mark.full
class TestMasked:
    """The inner one starts on less, or says what it lacks and lets Linux start under the outer one."""

    @pytest.mark.parametrize(
        "mask", ["vmcs-shadowing", "ept-accessed-dirty,pml,mode-based-execute", "vpid,ept-1g-pages"]
    )
    def test_inner_does_without(self, boot: Boot, mask: str) -> None:
        l1 = boot(conf=f"mask={mask}\n", inner_conf="", slow=2)
        l1.kvmguest("hello", "long", timeout=200)
        l1.poweroff()

    def test_inner_refuses(self, boot: Boot) -> None:
        l1 = boot(conf="mask=unrestricted-guest\n", inner_conf="", inner_refusal="unrestricted")
        l1.kvmguest(*KVM_MODES)
        l1.poweroff()
