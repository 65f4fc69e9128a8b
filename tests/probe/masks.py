"""Runs with features masked: which, and what L1 must then find.

The features are masked in a few runs, so that each is masked in one of them and, where nothing that
it depends on is masked with it, offered in another.
"""
import re
from collections.abc import Iterator
from pathlib import Path

from transcript import Transcript

TOP = Path(__file__).resolve().parent.parent.parent
FEATURE = re.compile(r'^ *X\((\w+), "([^"]+)", (\w+), (\d+)\)', re.MULTILINE)
DEPENDENCY = re.compile(r"\{FEATURE_(\w+), FEATURE_(\w+)\}")

# The rows that these runs print.
ROWS = ["fields.", "fields-absent.", "control.pin.", "control.proc.", "control.proc2.",
        "control.exit.", "control.entry.", "machine-msr.vmx"]
ABSENT = "read VMfailValid 12; write VMfailValid 12;"

Features = dict[str, tuple[str, str, int]]


def features() -> Features:
    """By name: identifier, capability word and bit, in the order of the table."""
    table = (TOP / "include" / "vmx_features.h").read_text()
    return {name: (ident, word, int(bit)) for ident, name, word, bit in FEATURE.findall(table)}


def dependencies(known: Features) -> list[tuple[str, str]]:
    """(feature, what it needs), by name."""
    by_ident = {ident: name for name, (ident, _, _) in known.items()}
    source = (TOP / "vmx" / "capabilities.c").read_text()
    found = [(by_ident[feature], by_ident[needs]) for feature, needs in DEPENDENCY.findall(source)]
    secondary = by_ident["SECONDARY_CONTROLS"]
    return found + [(name, secondary) for name, (_, word, _) in known.items() if word == "PROC2"]


def groups() -> dict[str, list[str]]:
    """The features of each run. Those that others need are masked one run, the rest another."""
    known = features()
    needed = {needs for _, needs in dependencies(known)}
    names = [name for name in known if name not in needed]
    return {"leaves-even": names[::2], "leaves-odd": names[1::2],
            "roots": [name for name in known if name in needed and name != "secondary-controls"],
            "secondary": ["secondary-controls"]}


def configurations() -> Iterator[tuple[str, str]]:
    """(name of the run, line of plastron.conf)"""
    for name, masked in groups().items():
        yield name, "mask=" + ",".join(masked)


def wanted_features(whole: Transcript, masked: list[str]) -> dict[str, bool]:
    offered = {name: on == "yes" and name not in masked for name, on in whole.features.items()}
    needs = dependencies(features())
    while True:
        dropped = [name for name, need in needs if offered[name] and not offered[need]]
        if not dropped:
            return offered
        offered.update(dict.fromkeys(dropped, False))


def checks(run: str, whole: Transcript, found: Transcript) -> Iterator[tuple[str, str, str]]:
    """(name, wanted, found) of everything that the masked run must have printed. A control that may
    not be 0 without its feature is hidden by being fixed."""
    for name, offered in wanted_features(whole, groups()[run]).items():
        yield (f"mask.{run}.{name}", "offered" if offered else "hidden",
               "offered" if found.features.get(name) == "yes" else "hidden")
    for name, row in found.rows.items():
        before = whole.rows.get(name)
        if before is None or row.kind == "skip" or row.same(before):
            continue
        if name.startswith("fields-absent."):
            yield f"mask.{run}.{name}", ABSENT, row.text[: len(ABSENT)]
        elif name.startswith("control."):
            yield f"mask.{run}.{name}", "VMfailValid 7", row.text
