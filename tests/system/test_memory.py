"""L2's memory, which L1 changes under it: KVM with every kind of EPT, and without."""
import re

import pytest

from conftest import L1

OPERATIONS = 6000


def churn(l1: L1) -> None:
    """L1 changes L2's memory at random, on both cores; L2 looks at every byte."""
    output = l1.run(f"kvmguest -n {OPERATIONS} churn", 900)
    assert "kvmguest: 1 passed, 0 failed" in output, output


def churn_and_log(l1: L1) -> None:
    """And KVM's dirty log has just the pages that L2 wrote."""
    churn(l1)
    l1.kvmguest("dirty", timeout=900)


class TestMemory:
    machine = {"cpus": 2}

    @pytest.mark.parametrize("parameters", ["", "ept=0", "eptad=0", "pml=0", "vpid=0"])
    def test_kvm_intel(self, l1: L1, parameters: str) -> None:
        l1.run(f"loadkvm {parameters}")
        churn_and_log(l1)

    @pytest.mark.parametrize("parameters", ["tdp_mmu=0", "nx_huge_pages=force"])
    def test_kvm(self, l1: L1, parameters: str) -> None:
        l1.run(f"loadkvm kvm.{parameters}")
        churn_and_log(l1)

    @pytest.mark.parametrize("pages", ["always", "never"])
    def test_large_pages(self, l1: L1, pages: str) -> None:
        l1.run(f"echo {pages} >/sys/kernel/mm/transparent_hugepage/enabled; loadkvm")
        churn_and_log(l1)

    def test_same_page_merging(self, l1: L1) -> None:
        ksm = "/sys/kernel/mm/ksm"
        l1.run(f"loadkvm; echo 1000 >{ksm}/pages_to_scan; echo 1 >{ksm}/sleep_millisecs")
        l1.run(f"echo 1 >{ksm}/run")
        churn(l1)
        l1.run(f"echo 2 >{ksm}/run")


class TestFewShadowPages:
    machine = {"cpus": 2, "conf": "shadow=2\n"}

    def test_churn(self, l1: L1) -> None:
        churn_and_log(l1)
        shadow = re.search(r"shadow: (\d+) pages, (\d+) in use", l1.run("plastronctl stat"))
        # With two cores 3 MiB are the least. What L0 hides is a multiple of 2 MiB: the rest is budget too.
        assert shadow and int(shadow[2]) <= int(shadow[1]) < 1280, shadow
