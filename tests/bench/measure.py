"""Runs the benchmark's L1 on one machine, and gathers what it says and what the emulator counted."""
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tools"))

import mkboot  # noqa: E402
import mkimage  # noqa: E402
from emu import CACHE, Machine, choose_emulator  # noqa: E402

RESULTS = TOP / "build" / "bench"
PLASTRON = TOP / "build" / "plastron.efi"
PROBE = TOP / "build" / "probe.efi"
MODEL = "corei7_skylake_x"
WAYS = ("bare", "plastron", "kvm")
# What Linux does against the faults of processors differs with the model, and is not what is measured.
CMDLINE = mkboot.CMDLINE + " mitigations=off nokaslr"
LOADER_SAYS = "Welcome to GRUB!"
ROW = re.compile(r"row (\d+): (.+?) takes (\d+) ticks, (\d+) in a batch")

Counts = dict[str, float]


@dataclass
class Row:
    """What one operation takes: ticks as L1 or L2 saw them, and what the emulator counted meanwhile."""

    name: str
    ticks: int
    operations: int = 1
    counts: Counts = field(default_factory=dict)  # of the median batch
    least: Counts = field(default_factory=dict)   # of the shortest one


def _flat(cpu: dict[str, Any]) -> Counts:
    """One CPU's counters; exits by reason and accesses to fields with the kind before the number."""
    result: Counts = {}
    for key, value in cpu.items():
        if isinstance(value, dict):
            result[f"{key}"] = sum(value.values())
            result |= {f"{key}:{number}": count for number, count in value.items()}
        else:
            result[key] = value
    result["instructions"] = result["outside"] + result["root"] + result["guest"]
    return result


def _difference(before: list[Counts], after: list[Counts]) -> Counts:
    result: Counts = {}
    for old, new in zip(before, after):
        for key, value in new.items():
            result[key] = result.get(key, 0) + value - old.get(key, 0)
    return {key: value for key, value in result.items() if value}


def read_marks(path: Path, cores_apart: bool = False) -> dict[int, list[Counts]]:
    """For each row what was counted between its begin and its end, batch by batch: of all CPUs, or of
    the one that it ran on. Row 39 is what was before the boot loader, row 40 from there to user space."""
    begun: dict[tuple[int, int], list[Counts]] = {}
    rows: dict[int, list[Counts]] = {}
    for line in path.read_text().splitlines():
        mark = json.loads(line)
        cpus = [_flat(cpu) for cpu in mark["cpus"]]
        if mark["mark"] == "end":
            continue
        if mark["mark"] == "console":
            rows[39] = [_difference([{}] * len(cpus), cpus)]
            mark["mark"] = 80
        number = mark["mark"]
        cpu = mark["cpu"] if cores_apart else 0
        if cores_apart:
            cpus = [cpus[cpu]]
        if number % 2 == 0:
            begun[number // 2, cpu] = cpus
        elif (number // 2, cpu) in begun:
            before = begun.pop((number // 2, cpu))
            rows.setdefault(number // 2, []).append(_difference(before, cpus))
    return rows



def _each(batch: Counts, operations: int) -> Counts:
    return {key: value / operations for key, value in batch.items()}


def _gather(text: str, marks: dict[int, list[Counts]]) -> dict[int, Row]:
    rows = {}
    for number, name, ticks, operations in ROW.findall(text):
        rows[int(number)] = Row(name, int(ticks), int(operations))
    for number, batches in marks.items():
        row = rows.setdefault(number, Row("", 0))
        batches = sorted(batches, key=lambda batch: batch["instructions"])
        row.counts = _each(batches[len(batches) // 2], row.operations)
        row.least = _each(batches[0], row.operations)
        row.ticks = row.ticks or int(row.counts["instructions"])
    return rows


def _initramfs_of(files: dict[str, Path]) -> bytes:
    """An initramfs that brings these files."""
    with tempfile.TemporaryDirectory() as directory:
        for name, source in files.items():
            target = Path(directory) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        names = "\n".join(str(path.relative_to(directory)) for path in Path(directory).rglob("*"))
        return subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=directory,
                              input=names.encode(), capture_output=True, check=True).stdout


def probe_image(way: str, path: Path, plastron: Path) -> None:
    """The probe, that measures each VMX instruction, as L1."""
    files: mkboot.Files = {"probe.cfg": b"cpus=1 bench"}
    if way == "plastron":
        files |= {"EFI/BOOT/BOOTX64.EFI": plastron, "EFI/plastron/next.efi": PROBE}
    else:
        files["EFI/BOOT/BOOTX64.EFI"] = PROBE
    mkimage.make_image(path, files)
    if way != "kvm":
        return
    l0 = mkboot.linux("12", f"{CMDLINE} plastron.test=l2,probe", True, "bench")
    firmware = CACHE / "ovmf" / "usr" / "share" / "ovmf" / "OVMF.fd"
    extra = _initramfs_of({"boot/probe.img": path, "boot/OVMF.fd": firmware})
    initramfs = l0.files["EFI/plastron/initramfs"]
    assert isinstance(initramfs, bytes)
    l0.files["EFI/plastron/initramfs"] = initramfs + extra
    mkboot.make_boot(path, l0)


def image_of(way: str, parts: list[str], path: Path, plastron: Path, cpus: int) -> None:
    if parts == ["probe"]:
        probe_image(way, path, plastron)
        return
    words = ",".join(parts)
    idle = " idle=halt" if cpus > 2 else ""
    if way == "kvm":
        l1 = mkboot.linux("12", f"{CMDLINE} plastron.test=l2,l1,{words}", True, "bench", "l0")
    else:
        l1 = mkboot.linux("12", f"{CMDLINE}{idle} plastron.test=bench,{words}", True, "bench")
    mkboot.make_boot(path, l1, plastron if way == "plastron" else None)


def run_name(way: str, parts: list[str], cpus: int = 1, model: str = MODEL) -> str:
    """What the files of a run are called in RESULTS."""
    return f"{way}-{cpus}-{model}-{'-'.join(parts)}"


def measure(way: str, parts: list[str], cpus: int = 1, model: str = MODEL, plastron: Path = PLASTRON,
            timeout: float = 3000, emulator: str = "") -> dict[int, Row]:
    """Boots L1 bare, under Plastron, or in QEMU under another Linux's KVM; the rows of these parts."""
    emulator = emulator or choose_emulator()[0]
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = run_name(way, parts, cpus, model)
    counts = RESULTS / f"{name}.counts" if emulator == "bochs" else None
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "disk.img"
        image_of(way, parts, image, plastron, cpus)
        machine = Machine(image, cpus, model if emulator == "bochs" else None,
                          2560 if way == "kvm" else 1024, emulator,
                          log_path=RESULTS / f"{name}.log", counts=counts, counts_text=LOADER_SAYS)
        with machine:
            if parts == ["probe"]:
                machine.expect("probe: end", timeout)
            else:
                machine.wait_end(timeout)
    text = (RESULTS / f"{name}.log").read_text(errors="replace")
    marks = read_marks(counts, cpus > 1) if counts else {}
    rows = _gather(text, marks)
    if not rows or "FAIL" in text:
        raise SystemExit(f"bench: {way}: no rows, or failures, in {RESULTS / name}.log")
    return rows
