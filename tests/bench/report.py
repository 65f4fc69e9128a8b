"""The benchmark's figures: kept as JSON, as tables, as pictures, and judged."""
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rows
from measure import Counts, Row

Results = dict[str, Any]
TITLES = {"bare": "bare, one level", "plastron": "Plastron", "kvm": "KVM as L0"}
COLOURS = {"bare": "#9aa5b1", "plastron": "#2a7f62", "kvm": "#c8553d"}
COUNTED = ("exits", "vmread", "vmwrite", "vmptrld", "vmclear", "invept", "invvpid", "wrmsr", "rdmsr",
           "cpuid")


def _to_json(value: Any) -> Any:
    if isinstance(value, Row):
        return {"row": asdict(value)}
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    return value


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"row"}:
        return Row(**value["row"])
    return {int(key) if key.isdigit() and _is_row(item) else key: _from_json(item)
            for key, item in value.items()}


def _is_row(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"row"}


def save(path: Path, results: Results) -> None:
    path.write_text(json.dumps(_to_json(results), indent=1) + "\n")


def load(path: Path) -> Results:
    results: Results = _from_json(json.loads(path.read_text()))
    return results


def cycles(counts: Counts) -> int:
    """An estimate for what L0 does: rows.CYCLES, and one for each other instruction."""
    special = sum(counts.get(what, 0) for what in rows.CYCLES if what != "exits")
    known = sum(counts.get(what, 0) * each for what, each in rows.CYCLES.items())
    return round(known + counts.get("root", 0) - special)


def long_value(row: Row) -> float:
    """What a piece of work is measured by: instructions, or cycles where nobody counts them."""
    return row.counts.get("instructions", row.ticks)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _table(head: list[str], lines: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}",
            *(f"| {' | '.join(line)} |" for line in lines), ""]


def _ways_table(results: Results, group: rows.Group, value: Any, unit: str) -> list[str]:
    ways = results["ways"]
    lines = []
    for number, name in group.rows.items():
        found = {way: value(ways[way][number]) for way in ways if number in ways[way]}
        line = [name]
        for way in ways:
            ratio = f" ({found[way] / found['bare']:.2f}×)" if way != "bare" and found.get("bare") \
                and way in found else ""
            line.append(_number(found[way]) + ratio if way in found else "–")
        lines.append(line)
    return [f"### {group.title}, in {unit}", "", *_table(["", *(TITLES[way] for way in ways)], lines)]


def _counts_table(results: Results, way: str) -> list[str]:
    lines = []
    for group in (*rows.OPERATIONS, rows.TURNS):
        for number, name in group.rows.items():
            row = results["ways"][way].get(number)
            if row and row.counts.get("exits"):
                lines.append([f"{name}", *(f"{row.counts.get(what, 0):.1f}" for what in COUNTED),
                              _number(row.counts.get("root", 0)), _number(cycles(row.counts))])
    return [f"### What {TITLES[way]} executes for each operation, as the emulator counts it", "",
            *_table(["", *COUNTED, "all instructions", "cycles, estimated"], lines)]


def _exits_table(results: Results) -> list[str]:
    """L0's exits meanwhile, by reason."""
    names = header_names("vmx.h", r"X\((\w+), (\d+)\)")
    lines = []
    for group in rows.WORKS:
        for number, name in group.rows.items():
            row = results["ways"].get("plastron", {}).get(number)
            if not row:
                continue
            exits = {key.split(":")[1]: count for key, count in row.counts.items() if key.startswith("exits:")}
            most = sorted(exits.items(), key=lambda item: -item[1])
            lines.append([f"{'L2: ' if group is rows.L2_WORK else ''}{name}", _number(row.counts.get("exits", 0)),
                          ", ".join(f"{names.get(int(reason), reason)} {count:,.0f}" for reason, count in most)])
    return ["### Exits to Plastron during the work, L1's and L2's, by reason", "",
            *_table(["", "all", ""], lines)] if lines else []


def _cores_table(results: Results) -> list[str]:
    lines: list[list[str]] = []
    counts = sorted({int(count) for way in results["cores"].values() for count in way})
    for number in (*rows.KERNEL.rows, *rows.USER.rows, 9):
        for way, by_count in results["cores"].items():
            values = [by_count[str(count)].get(number) for count in counts]
            if any(values):
                lines.append([f"{rows.NAMES[number]}, {TITLES[way]}",
                              *(_number(row.counts.get("instructions", row.ticks)) if row else "–"
                                for row in values)])
    return ["### Operations on each of so many cores at once, in instructions of a core", "",
            *_table(["", *map(str, counts)], lines)]


def _footprint_table(results: Results) -> list[str]:
    lines = [[what, f"{value:,}"] for what, value in results.get("footprint", {}).items()]
    return ["### Footprint, in bytes", "", *_table(["", ""], lines)] if lines else []


def _fields_table(results: Results) -> list[str]:
    """The fields that L1 reads and writes most while a Linux boots as L2."""
    plastron = results["ways"].get("plastron", {}).get(rows.L2_BOOT, Row("", 0)).counts
    names = header_names("vmcs_fields.h", r"X\((\w+), (0x[0-9a-f]+),")
    lines = []
    fields = {key.split(":")[1] for key in plastron if key.startswith(("reads:", "writes:"))}
    total = {field: plastron.get(f"reads:{field}", 0) + plastron.get(f"writes:{field}", 0) for field in fields}
    for field in sorted(fields, key=lambda name: -total[name])[:24]:
        lines.append([names.get(int(field, 16), field), _number(plastron.get(f"reads:{field}", 0)),
                      _number(plastron.get(f"writes:{field}", 0))])
    return ["### VMREADs and VMWRITEs of L1's KVM while it boots a Linux", "",
            *_table(["field", "VMREAD", "VMWRITE"], lines)] if lines else []


def header_names(header: str, pattern: str) -> dict[int, str]:
    """What the X lists of a header call the numbers."""
    text = (Path(__file__).resolve().parents[2] / "include" / header).read_text()
    return {int(number, 0): name for name, number in re.findall(pattern, text)}


def tables(results: Results) -> str:
    v = results.get("versions", {})
    unit = "ticks" if v.get("emulator") == "bochs" else "cycles"
    lines = [f"Commit {v.get('commit')}, {v.get('model')}, {v.get('emulator')}; L1: Debian 12's "
             f"{v.get('kernel')}, mitigations=off; {v.get('compiler')}.", ""]
    for group in (*rows.OPERATIONS, rows.TURNS):
        lines += _ways_table(results, group, lambda row: row.ticks, f"{unit} each")
    for group in rows.WORKS:
        lines += _ways_table(results, group, long_value, "instructions of all levels")
    for way in ("plastron", "kvm"):
        if way in results["ways"] and unit == "ticks":
            lines += _counts_table(results, way)
    for way, found in results.get("without shadowing", {}).items():
        if way == "plastron":
            lines += ["### Without VMCS shadowing (Ivy Bridge), in ticks", "",
                      *_table(["", "Plastron", "L0's exits"], [
                          [rows.NAMES[n], _number(row.ticks), f"{row.counts.get('exits', 0):.1f}"]
                          for n, row in sorted(found.items()) if n in rows.NAMES and n != rows.BOOT])]
    if results.get("cores"):
        lines += _cores_table(results)
    lines += _exits_table(results) + _fields_table(results)
    lines += _footprint_table(results)
    return "\n".join(lines)


# --- pictures


def _bars(path: Path, results: Results, group: rows.Group, value: Any, unit: str) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    ways = [way for way in ("kvm", "plastron", "bare") if way in results["ways"]]
    numbers = [n for n in group.rows if any(n in results["ways"][way] for way in ways)]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.62 * len(numbers)))
    height = 0.8 / len(ways)
    for place, way in enumerate(ways):
        found = results["ways"][way]
        values = [value(found[n]) if n in found else 0 for n in numbers]
        at = [y - 0.4 + height * (place + 0.5) for y in range(len(numbers))]
        axes.barh(at, values, height, color=COLOURS[way], label=TITLES[way])
        for y, number, bar in zip(at, numbers, values):
            base = value(results["ways"]["bare"][number]) if number in results["ways"].get("bare", {}) else 0
            ratio = f"  {bar / base:.2f}×" if base and way != "bare" and bar else ""
            axes.text(bar, y, f" {_number(bar)}{ratio}", va="center", fontsize=7)
    axes.set_yticks(range(len(numbers)), [group.rows[n] for n in numbers], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(group.title, fontsize=11, loc="left")
    axes.margins(x=0.22)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize=8, frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _lines(path: Path, title: str, label: str, xs: list[int], series: dict[str, list[float]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5))
    for name, values in series.items():
        axes.plot(xs[: len(values)], values, marker="o", markersize=3, linewidth=1.2, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(xs, [str(x) for x in xs])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(directory: Path, results: Results) -> None:
    emulated = results.get("versions", {}).get("emulator") == "bochs"
    unit = "ticks (one for each instruction)" if emulated else "cycles of the TSC"
    operations = {"kernel": rows.KERNEL, "user": rows.USER, "memory": rows.MEMORY,
                  "instructions": rows.INSTRUCTIONS}
    for name, group in operations.items():
        _bars(directory / f"bench-{name}.svg", results, group, lambda row: row.ticks, unit)
    for name, group in {"l1-work": rows.WORK, "l2-work": rows.L2_WORK}.items():
        shown = rows.Group(group.title, {n: t for n, t in group.rows.items() if n != rows.IDLE})
        _bars(directory / f"bench-{name}.svg", results, shown,
              lambda row: long_value(row) / 1e6, "millions of instructions, of all levels")
    turns = {TITLES[way]: [float(found[n].ticks) for n in rows.TURNS.rows if n in found]
             for way, found in results["ways"].items()}
    _lines(directory / "bench-vcpus.svg", f"{rows.TURNS.title}: {unit}", "vCPUs", [1, 2, 4, 8, 16, 32, 64],
           turns)
    _draw_cores(directory, results)


def _draw_cores(directory: Path, results: Results) -> None:
    by_count = results.get("cores", {}).get("plastron", {})
    counts = sorted(map(int, by_count))
    if len(counts) < 2:
        return
    numbers = [n for n in (*rows.KERNEL.rows, *rows.USER.rows, 9) if n in by_count[str(counts[0])]]
    first = by_count[str(counts[0])]

    def cost(row: Row) -> float:
        return row.counts.get("root") or long_value(row)

    series = {rows.NAMES[n]: [cost(by_count[str(count)][n]) / cost(first[n])
                              for count in counts if n in by_count[str(count)]] for n in numbers}
    _lines(directory / "bench-cores.svg",
           "What L0 executes for an operation, on each core at once, against one core alone", "cores", counts,
           series)


# --- limits


def _judge_operations(results: Results) -> list[str]:
    plastron = results["ways"]["plastron"]
    wrong = [f"{rows.NAMES[n]}: {plastron[n].ticks} ticks, limit {limit}"
             for n, limit in rows.TICKS_MAX.items() if plastron[n].ticks > limit]
    for n in rows.TWO_EXITS:
        if round(plastron[n].counts["exits"], 1) != 2:
            wrong.append(f"{rows.NAMES[n]}: {plastron[n].counts['exits']:.2f} exits of L0, not 2")
    work = plastron[45].counts
    each = work["root"] / work["exits"]
    if each > rows.CPUID_MAX:
        wrong.append(f"L1's own CPUID: {each:.0f} ticks, limit {rows.CPUID_MAX}")
    return wrong


def _judge_work(results: Results) -> list[str]:
    bare, plastron = results["ways"]["bare"], results["ways"]["plastron"]
    wrong = []
    for n, name in rows.WORK.rows.items():
        growth = long_value(plastron[n]) / long_value(bare[n]) - 1
        if n != rows.IDLE and growth > rows.L1_GROWTH_MAX:
            wrong.append(f"{name}: {growth:.2%} more than bare, limit {rows.L1_GROWTH_MAX:.1%}")
    exits = plastron[rows.IDLE].counts.get("exits", 0)
    if exits > rows.IDLE_EXITS_MAX:
        wrong.append(f"10 s idle: {exits:.0f} exits, limit {rows.IDLE_EXITS_MAX}")
    boot = long_value(plastron[rows.L2_BOOT]) / long_value(bare[rows.L2_BOOT])
    if boot > rows.L2_BOOT_MAX:
        wrong.append(f"L2's boot: {boot:.3f} times the bare one's, limit {rows.L2_BOOT_MAX}")
    return wrong


def _judge_without_shadowing(results: Results) -> list[str]:
    found = results["without shadowing"]["plastron"]
    wrong = []
    for n in rows.TWO_EXITS:
        if n not in found:
            continue
        counts = found[n].counts
        accesses = counts.get("exits:23", 0) + counts.get("exits:25", 0)
        if round(counts["exits"] - accesses, 1) != 2:
            wrong.append(f"without VMCS shadowing: {rows.NAMES[n]}: {counts['exits']:.2f} exits, "
                         f"{accesses:.2f} of them by VMREAD and VMWRITE")
    for n, name in rows.INSTRUCTIONS.rows.items():
        if name.startswith(("vmread", "vmwrite")) and found[n].ticks > rows.ACCESS_MAX:
            wrong.append(f"without VMCS shadowing: {name}: {found[n].ticks} ticks, limit {rows.ACCESS_MAX}")
    return wrong


def _judge_footprint(results: Results) -> list[str]:
    found = results["footprint"]
    wrong = []
    if found["plastron.efi"] > rows.EFI_MAX:
        wrong.append(f"plastron.efi has {found['plastron.efi']} bytes, limit {rows.EFI_MAX}")
    for what, value in found.items():
        count = re.match(r"memory, (\d+) core", what)
        if count and value > rows.FIXED_MAX + int(count[1]) * rows.CORE_MAX:
            wrong.append(f"{what}: {value} bytes beside the shadow page tables, limit "
                         f"{rows.FIXED_MAX + int(count[1]) * rows.CORE_MAX}")
    if found.get("instructions added to the boot", 0) > rows.BOOT_MAX:
        wrong.append(f"the boot has {found['instructions added to the boot']} instructions more, "
                     f"limit {rows.BOOT_MAX}")
    return wrong


def _judge_growth(results: Results) -> list[str]:
    """Flat with the vCPUs, from two on (then there is a VMPTRLD), and with the cores."""
    turns = [results["ways"]["plastron"][n].ticks for n in rows.TURNS.rows][1:]
    wrong = []
    if max(turns) > min(turns) * (1 + rows.FLAT):
        wrong.append(f"a turn of a vCPU is not the same with 2 and with 64: {turns}")
    by_count = results.get("cores", {}).get("plastron", {})
    counts = sorted(map(int, by_count))
    for n in (*rows.KERNEL.rows, *rows.USER.rows):
        values = [by_count[str(count)][n].counts.get("root", 0) for count in counts if n in by_count[str(count)]]
        if values and max(values) > min(values) * (1 + rows.FLAT):
            wrong.append(f"{rows.NAMES[n]}: L0's instructions grow with the cores: "
                         f"{[round(value) for value in values]}")
    return wrong


def can_judge(results: Results) -> bool:
    """The limits are about counts, and about Plastron against the bare machine."""
    emulated = results.get("versions", {}).get("emulator") == "bochs"
    return emulated and {"bare", "plastron"} <= set(results["ways"])


def judge(results: Results) -> list[str]:
    """What is not as it should be, of results that can be judged."""
    return [*_judge_operations(results), *_judge_work(results), *_judge_without_shadowing(results),
            *_judge_footprint(results), *_judge_growth(results)]
