"""How large Plastron is, and what it takes of the machine."""
import re
from pathlib import Path

from typing import Any

from measure import RESULTS, run_name

HIDDEN = re.compile(r"Plastron: (\d+) KiB at \S+ are hidden from L1, (\d+) KiB of it for shadow")
BANNER = re.compile(r"Plastron \d\S*: (\d+) core")


def hidden_bytes(log: Path) -> tuple[int, int, int]:
    """Cores, bytes hidden from L1 but for the shadow page tables, and those of the tables, as the console
    says."""
    text = log.read_text(errors="replace")
    cores, hidden = BANNER.search(text), HIDDEN.search(text)
    if not cores or not hidden:
        raise SystemExit(f"bench: {log} does not say how much memory Plastron hides")
    total, shadow = int(hidden[1]) << 10, int(hidden[2]) << 10
    return int(cores[1]), total - shadow, shadow


def footprint(plastron: Path, parts: list[str], results: dict[str, Any]) -> dict[str, int]:
    """Of the runs that these results are from."""
    ways = results["ways"]
    result = {"plastron.efi": plastron.stat().st_size}
    if "plastron" in ways:
        log = RESULTS / f"{run_name('plastron', parts)}.log"
        _, result["memory, 1 core"], result["shadow page tables, 1 core"] = hidden_bytes(log)
    for count in sorted(map(int, results["cores"].get("plastron", {}))):
        cores, own, _ = hidden_bytes(RESULTS / f"{run_name('plastron', ['cores'], count)}.log")
        if cores > 1:
            result[f"memory, {cores} cores"] = own
    if "bare" in ways and "plastron" in ways and 39 in ways["bare"]:
        result["instructions added to the boot"] = int(
            ways["plastron"][39].counts["instructions"] - ways["bare"][39].counts["instructions"])
    return result
