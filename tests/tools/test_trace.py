"""tools/trace: from what hv/recorder.c wrote (build/unit/recorder sample) to text, JSON and pictures."""
import importlib.machinery
import importlib.util
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[2]
TRACE = TOP / "tools" / "trace"
RECORDER = TOP / "build" / "unit" / "recorder"
IMAGE = TOP / "build" / "plastron.elf"
RING_BYTES = 40 + 203 * 40
FILES = ("records.tsv", "trace.log", "memory.bin")


def _load_trace() -> Any:
    loader = importlib.machinery.SourceFileLoader("plastron_trace", str(TRACE))
    spec = importlib.util.spec_from_loader("plastron_trace", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["plastron_trace"] = module
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


trace = _load_trace()
names = trace.Names()


def run(*arguments: Any, data: bytes | None = None) -> str:
    """What the program prints; it must succeed and complain about nothing."""
    result = subprocess.run([TRACE, *map(str, arguments)], input=data, capture_output=True, timeout=120)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    return result.stdout.decode()


def fail(*arguments: Any, data: bytes = b"") -> str:
    """What the program says when it fails."""
    result = subprocess.run([TRACE, *map(str, arguments)], input=data, capture_output=True, timeout=120)
    assert result.returncode != 0
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    return result.stderr.decode()


def lines_of(text: str) -> list[str]:
    """The records' lines, without the times before them."""
    return [line[line.index("core ") :] for line in text.splitlines()]


class Sample:
    """What the recorder wrote."""

    def __init__(self, directory: Path) -> None:
        subprocess.run([RECORDER, "sample", directory], check=True, timeout=60)
        self.table, self.log, self.memory = (directory / name for name in FILES)
        self.lines = [line[line.index("core ") :] for line in self.log.read_text().splitlines()
                      if " tsc " in line and "no record" not in line]
        self.lines.sort(key=lambda line: (int(line.split()[3]), int(line.split()[1])))
        self.rows = [[int(number) for number in line.split("\t")]
                     for line in self.table.read_text().splitlines()]
        self.rows.sort(key=lambda row: (row[1], row[0]))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: Any) -> Sample:
    return Sample(tmp_path_factory.mktemp("sample"))


def without_texts(lines: list[str]) -> list[str]:
    return [line.partition(": ")[0] if " deviation " in line else line for line in lines]


# --- the round trip


def test_text_is_what_l0_printed(sample: Sample) -> None:
    assert len(sample.lines) == 2 * 203
    assert lines_of(run(sample.log)) == sample.lines
    assert lines_of(run("--text", sample.log)) == sample.lines


def test_text_of_the_rings_is_what_l0_printed(sample: Sample) -> None:
    assert without_texts(lines_of(run(sample.memory))) == without_texts(sample.lines)


def test_text_can_be_read_again(sample: Sample) -> None:
    once = run(sample.memory)
    assert run("-", data=once.encode()) == once


def fields(record: Any) -> list[int]:
    return [record.core, record.tsc, record.kind, record.reason, record.rip, record.qualification,
            record.address, record.ticks, record.flags]


def test_rings_hold_what_was_recorded(sample: Sample) -> None:
    records = trace.read_file(sample.memory, names, [])
    assert [fields(record) for record in records] == sample.rows


def test_lines_hold_what_was_recorded(sample: Sample) -> None:
    """But for the address of a deviation's text, and where an exit led that had not ended."""
    for record, row in zip(trace.read_file(sample.log, names, []), sample.rows, strict=True):
        found, wanted = fields(record), list(row)
        if record.kind == trace.DEVIATION:
            found[6] = wanted[6] = 0
        if record.kind == trace.EXIT and not record.ticks:
            wanted[8] &= ~trace.TO_L2
        assert found == wanted


def test_json_has_the_fields_by_name(sample: Sample) -> None:
    objects = json.loads(run("--json", sample.memory))
    assert len(objects) == len(sample.rows)
    for found, (core, tsc, kind, reason, rip, qualification, address, ticks, flags) in zip(objects, sample.rows):
        assert (found["core"], found["tsc"], found["kind"]) == (core, tsc, trace.KINDS[kind])
        assert int(found["rip"], 16) == rip
        if kind == trace.EXIT:
            assert found["reason"] == reason
            assert int(found["qualification"], 16) == qualification
            assert found["from"] == ("L2" if flags & 1 else "L1")
            assert found["finished"] == bool(ticks)
            assert found.get("ticks", 0) == ticks
            if ticks:
                assert found["to"] == ("L2" if flags & 2 else "L1")
            stands = [found[name] for name in ("address", "msr", "leaf", "vmcs12") if name in found]
            assert [int(text, 16) for text in stands] in ([address], [] if address == 0 else None)


def test_json_of_each_kind(sample: Sample) -> None:
    objects = json.loads(run("--json", sample.log))
    by_kind = {found["kind"]: found for found in reversed(objects)}
    assert set(by_kind) == set(trace.KINDS) - {"none"}
    assert by_kind["sipi"]["vector"] == 0x9A
    assert by_kind["abort"]["indicator"] == 4
    assert by_kind["hidden"] | {"tsc": 0, "core": 0} == {
        "core": 0, "tsc": 0, "kind": "hidden", "rip": "0x1", "from": "L1", "access": "write",
        "address": "0x3d600000"}
    assert by_kind["entry-failed"]["reason_name"] == "INVALID_STATE"
    assert by_kind["entry-failed"]["qualification"] == "0x4"
    assert by_kind["deviation"]["text"] == "the bit stays 0"
    failed = {(found["reason_name"], found["error"], found["error_text"], found["vmcs12"])
              for found in objects if found["kind"] == "vmfail"}
    assert failed == {("VMLAUNCH", 7, "VM entry with invalid control field(s)", "0x5000"),
                      ("VMPTRLD", 0, "VMfailInvalid", None), ("INVEPT", 99, "unknown", "0")}
    assert {found["leaf"] for found in objects if "leaf" in found} == {"0", "0x7"}
    assert {found["msr"] for found in objects if "msr" in found} == {"0x6e0"}
    assert any(found.get("ept02_fill") for found in objects)


def test_elf_core_is_a_dump_too(sample: Sample, tmp_path: Path) -> None:
    memory = sample.memory.read_bytes()
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 0, 64 + 56, 0, 0, len(memory), len(memory), 0)
    core = tmp_path / "core"
    core.write_bytes(header + segment + memory)
    assert run(core) == run(sample.memory)


def test_pipe_instead_of_a_file(sample: Sample) -> None:
    result = subprocess.run(["bash", "-c", f"{TRACE} <(cat {sample.memory})"], capture_output=True, timeout=60)
    assert result.stdout.decode() == run(sample.memory)


# --- logs

EXIT_LINE = "core 0 tsc 1000 L2 exit HLT passed to L1 rip 0x10 qualification 0 70 ticks"


def test_what_else_a_console_says_does_not_matter() -> None:
    log = f"[  1.0] core 3 of tsc\r\nL1# core 0\nPlastron: {EXIT_LINE}\r\n\0\xff core 0 tsc\n".encode("latin1")
    assert lines_of(run("-", data=log)) == [EXIT_LINE]


def test_a_line_that_came_twice_counts_once() -> None:
    assert lines_of(run("-", data=f"{EXIT_LINE}\n{EXIT_LINE}\n".encode())) == [EXIT_LINE]


def test_an_exit_that_was_printed_before_its_end_counts_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = "core 0 tsc 1000 L2 exit HLT rip 0x10 qualification 0 unfinished"
    log.write_text(f"{before}\n{EXIT_LINE}\n")
    assert lines_of(run(log)) == [EXIT_LINE]
    log.write_text(before)
    assert lines_of(run(log)) == [before]


def test_lines_are_sorted_by_time_and_times_are_relative(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"core {core} tsc {tsc} INIT rip 0\n" for core, tsc in ((0, 5000), (1, 2000), (0, 1000))))
    assert [line.split()[:2] for line in run(log).splitlines()] == [
        ["0", "+0"], ["1,000", "+0"], ["4,000", "+4,000"]]
    assert [line.split()[:2] for line in run(log, "--tsc-hz", "2e9").splitlines()] == [
        ["0.000us", "+0.000us"], ["0.500us", "+0.000us"], ["2.000us", "+2.000us"]]


@pytest.mark.parametrize("line", [
    "core 0 tsc 5 L2 exit HLT passed to L1 rip 0x10 qual",
    "core 0 tsc 5 L2 exit HLT passed to L1 rip 0x10 qualification 0 7",
    "core 0 tsc 5 L2 exit NONSENSE rip 0x10 qualification 0 7 ticks",
    "core 0 tsc 5 L2 exit HLT rip zebra qualification 0 7 ticks",
    "core 0 tsc 5 SIPI vector",
    "core 0 tsc 5 something else",
])
def test_a_line_that_is_cut_is_said(line: str) -> None:
    result = subprocess.run([TRACE, "-"], input=f"{line}\n{EXIT_LINE}\n".encode(), capture_output=True)
    assert lines_of(result.stdout.decode()) == [EXIT_LINE]
    assert f"1 lines begin as a record does and are none, the first: {line}" in result.stderr.decode()


def test_lines_that_are_broken_at_random_do_no_harm(sample: Sample) -> None:
    rng = random.Random(7)
    lines = sample.log.read_bytes().splitlines()
    reader = trace.Reader(names)
    for _ in range(20000):
        line = bytearray(rng.choice(lines))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(line))
            line[at : at + rng.randint(0, 3)] = rng.choice((b"", b"\xff", b"0", b" ", rng.randbytes(2)))
        for record in reader.read(bytes(line)):
            trace.line_of(record, names)
            json.dumps(trace.to_object(record, names))


def test_live_lines_come_at_once(tmp_path: Path) -> None:
    timeline = tmp_path / "timeline.json"
    with subprocess.Popen([TRACE, "-", "--text", "--chrome", timeline], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        for tsc in (1000, 2000):
            process.stdin.write(EXIT_LINE.replace("1000", str(tsc)).encode() + b"\r\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 20)[0], "nothing came"
            assert f"tsc {tsc} ".encode() in os.read(process.stdout.fileno(), 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert json.loads(timeline.read_text())["traceEvents"]


def test_live_json_is_a_list() -> None:
    assert len(json.loads(run("-", "--json", data=f"{EXIT_LINE}\nx\ncore 0 tsc 1 INIT rip 0\n".encode()))) == 2


def test_a_reader_that_has_enough_is_no_error(sample: Sample) -> None:
    result = subprocess.run(["bash", "-c", f"set -o pipefail; {TRACE} {sample.log} | head -1"], capture_output=True)
    assert result.stderr == b""


# --- errors


@pytest.mark.parametrize("data", [b"", b"nothing\n", bytes(100), b"PLASTRON-TRACE\0\0" + bytes(9000)])
def test_no_records(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    for said in (fail(file), fail("-", data=data)):
        assert "no records found" in said and "console log" in said and "dump of memory" in said


def test_no_file(tmp_path: Path) -> None:
    assert "No such file" in fail(tmp_path / "none")
    assert "Is a directory" in fail(tmp_path)


@pytest.mark.parametrize("options, said", [
    (["--text", "--json"], "choose one"),
    (["--tsc-hz", "0"], "ticks a second"),
    (["--tsc-hz", "x"], "invalid float"),
    (["--elf", "/nonexistent"], "No such file"),
    (["--elf", str(TOP / "Makefile")], "no ELF image"),
    (["--ring", "x"], "invalid"),
    (["--ring", "0x123"], "not a ring at each of these places"),
    (["--chrome", "/nonexistent/file"], "No such file"),
    (["--svg", "/nonexistent/file.svg"], "No such file"),
])
def test_wrong_options(sample: Sample, options: list[str], said: str) -> None:
    assert said in fail(*options, sample.memory)


def make_ring(core: int, records: list[bytes], written: int | None = None, behind: int = 0) -> bytes:
    """A ring of 203; behind: 1 if the core has counted a record and not yet moved on."""
    written = len(records) if written is None else written
    place = ((written - behind) % 203 - 203) * 40
    head = struct.pack("<16sIHHQq", b"PLASTRON-TRACE", core, 40, 203, written, place)
    return (head + b"".join(records)).ljust(RING_BYTES, b"\0")


def make_record(tsc: int, kind: int = trace.INIT) -> bytes:
    return struct.pack("<QQQQIHBB", tsc, 0, 0, 0, 0, 0, kind, 0)


def test_rings_that_are_empty(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(b"x" * 99 + make_ring(5, []))
    said = fail(file)
    assert "nothing has been recorded" in said and "core 5's ring at 0x63" in said


def test_two_rings_of_a_core(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(make_ring(0, [make_record(111)]) + make_ring(0, [make_record(222)]))
    said = fail(file)
    assert "--ring 0x0: " in said and f"--ring {RING_BYTES:#x}: " in said
    assert "tsc 222 " in run(file, "--ring", hex(RING_BYTES))
    assert "tsc 111 " in run(file, "--ring", "0")


def test_ring_of_a_core_that_stopped_while_it_wrote(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(make_ring(0, [make_record(111), make_record(222, kind=0)], written=2, behind=1))
    assert lines_of(run(file)) == ["core 0 tsc 111 INIT rip 0"]
    old = [make_record(1000 + number) for number in range(203)]
    file.write_bytes(make_ring(0, [make_record(222, kind=0), *old[1:]], written=204, behind=1))
    assert len(run(file).splitlines()) == 202


def test_ring_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    good = make_ring(0, [make_record(1)])
    for at, what in ((16, b"\xff\xff"), (20, b"\x30"), (22, b"\xff\xff"), (32, b"\x01")):
        file.write_bytes(good[:at] + what + good[at + len(what) :])
        assert "no records found" in fail(file)
    file.write_bytes(good[:-1])
    assert "no records found" in fail(file)


def test_dumps_of_noise_do_no_harm(sample: Sample, tmp_path: Path) -> None:
    rng = random.Random(5)
    memory = sample.memory.read_bytes()
    for _ in range(300):
        broken = bytearray(memory)
        for _ in range(rng.randint(1, 300)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        for ring in trace.find_rings(bytes(broken[: rng.randint(1, len(broken))])):
            for record in ring.records:
                trace.line_of(record, names)
                json.dumps(trace.to_object(record, names))
            trace.check_events(trace.chrome_events(trace.settle(ring.records), names, 1e9) if ring.records else [])


# --- with L0's image


def image_text() -> tuple[int, str]:
    """The address of a text of L0, found without the program's help."""
    wanted = b"deviation: L1 may not disable XD"
    headers = subprocess.run(["readelf", "-lW", IMAGE], check=True, capture_output=True, text=True).stdout
    at = IMAGE.read_bytes().index(wanted)
    for line in headers.splitlines():
        words = line.split()
        if words and words[0] == "LOAD":
            offset, address, size = (int(words[i], 16) for i in (1, 2, 4))
            if offset <= at < offset + size:
                return address + at - offset, wanted.decode()
    raise AssertionError("no such text")


def image_function(name: str) -> int:
    symbols = subprocess.run(["nm", IMAGE], check=True, capture_output=True, text=True).stdout
    return int(next(line.split()[0] for line in symbols.splitlines() if line.endswith(f" {name}")), 16)


def test_image_names_texts_and_addresses() -> None:
    address, text = image_text()
    function = image_function("exit_handle")
    log = f"core 0 tsc 5 deviation of L1 rip {function + 4:#x}: text at {address:#x}\n".encode()
    assert "text at" in run("-", data=log)
    found = run("-", "--elf", IMAGE, data=log)
    assert text.removeprefix("deviation: ") in found and "text at" not in found
    assert "[exit_handle+0x4]" in found
    found, = json.loads(run("-", "--elf", IMAGE, "--json", data=log))
    assert found["rip_place"] == "exit_handle+0x4"


def test_image_names_nothing_of_others() -> None:
    for rip in (0, 0x1000, 0xFFFFFFFF81000000, 2**64 - 1):
        log = f"core 0 tsc 5 deviation of L1 rip {rip:#x}: text at 0xffffffff81000000\n".encode()
        found = run("-", "--elf", IMAGE, data=log)
        assert "[" not in found and "text at 0xffffffff81000000" in found


# --- who ran when


class Plan:
    """Records of a core that does what it is told, by the ticks that each step takes."""

    def __init__(self, core: int = 0, start: int = 1_000_000) -> None:
        self.core, self.now = core, start
        self.lines: list[str] = []

    def exit(self, level: str, reason: str, outcome: str, ticks: int, extra: str = "") -> "Plan":
        self.lines.append(f"core {self.core} tsc {self.now} {level} exit {reason}{outcome} rip 0x10 "
                          f"qualification 0{extra} {ticks} ticks")
        self.now += ticks
        return self

    def runs(self, ticks: int) -> "Plan":
        self.now += ticks
        return self

    def enter(self, ticks: int) -> "Plan":
        return self.exit("L1", "VMRESUME", " enters L2", ticks, " vmcs12 0x1000")

    def passed_on(self, reason: str, ticks: int) -> "Plan":
        extra = {"CPUID": " leaf 0", "EPT_VIOLATION": " address 0x5000"}.get(reason, "")
        return self.exit("L2", reason, " passed to L1", ticks, extra)

    def filled(self, ticks: int) -> "Plan":
        return self.exit("L2", "EPT_VIOLATION", " handled by L0 (EPT02 fill)", ticks, " address 0x6000")

    def instruction(self, reason: str, ticks: int) -> "Plan":
        return self.exit("L1", reason, "", ticks)

    def records(self) -> list[Any]:
        reader = trace.Reader(names)
        found = trace.settle(list(reader.read("\n".join(self.lines).encode())))
        assert len(found) == len(self.lines) and not reader.unknown
        return found


def known_plan() -> Plan:
    plan = Plan().enter(900).runs(5000)
    plan.passed_on("CPUID", 700).runs(300).enter(800).runs(100)
    plan.filled(1500).runs(60)
    plan.passed_on("EPT_VIOLATION", 650).runs(400).instruction("VMREAD", 210).runs(100)
    plan.instruction("INVEPT", 990).runs(50).enter(850).runs(40)
    return plan.passed_on("CPUID", 720).runs(500).enter(820).runs(77).passed_on("HLT", 600)


def core_of(plan: Plan) -> Any:
    core, = trace.cores_of(plan.records(), names)
    return core


def test_round_trips_of_l2() -> None:
    assert [(trip.reason, trip.by_l0, trip.out, trip.l1, trip.others, trip.back)
            for trip in core_of(known_plan()).trips] == [
        ("CPUID", False, 700, 300, 0, 800),
        ("EPT_VIOLATION", True, 1500, 0, 0, 0),
        ("EPT_VIOLATION", False, 650, 550, 1200, 850),
        ("CPUID", False, 720, 500, 0, 820),
    ]


def test_means_by_reason() -> None:
    bars = trace.bars_of(core_of(known_plan()).trips, 1)
    assert [(bar.label, bar.count, bar.total, bar.parts) for bar in bars] == [
        ("CPUID", 2, 3840, {"out": 710, "l1": 400, "others": 0, "back": 810}),
        ("EPT_VIOLATION", 1, 3250, {"out": 650, "l1": 550, "others": 1200, "back": 850}),
        ("EPT_VIOLATION, EPT02 fill", 1, 1500, {"alone": 1500}),
    ]
    assert trace.bars_of(core_of(known_plan()).trips, 10)[0].parts["out"] == 71


def test_shares_are_all_the_time() -> None:
    plan = known_plan()
    core = core_of(plan)
    shares = trace.shares_of([core])
    assert shares == {"L2": 5000 + 100 + 60 + 40 + 77, "L1": 300 + 550 + 500,
                      "L0": 900 + 700 + 800 + 1500 + 650 + 1200 + 850 + 720 + 820 + 600}
    assert sum(shares.values()) == plan.now - 1_000_000
    for span, following in zip(core.runs, core.runs[1:]):
        assert span.end == following.start


def test_where_a_record_is_missing_nothing_is_said() -> None:
    plan = known_plan()
    del plan.lines[2]  # the VMRESUME that ends the first CPUID
    core = core_of(plan)
    assert [trip.reason for trip in core.trips] == ["EPT_VIOLATION", "EPT_VIOLATION", "CPUID"]
    assert sum(trace.shares_of([core]).values()) == plan.now - 1_000_000 - 300 - 800 - 100


def test_an_exit_that_is_not_finished_ends_what_is_known() -> None:
    plan = Plan().enter(900).runs(50).passed_on("HLT", 70).runs(30)
    plan.lines.append(f"core 0 tsc {plan.now} L1 exit VMREAD rip 0 qualification 0 unfinished")
    core = core_of(plan)
    assert not core.trips
    assert trace.shares_of([core]) == {"L2": 50, "L1": 30, "L0": 970}


def random_plan(rng: random.Random, core: int) -> Plan:
    plan = Plan(core, 10**9 + rng.randrange(10**6)).enter(rng.randint(1, 900))
    for _ in range(rng.randint(1, 60)):
        plan.runs(rng.choice((0, 1, rng.randint(0, 9000))))
        if rng.random() < 0.3:
            plan.filled(rng.randint(1, 2000))
            continue
        plan.passed_on(rng.choice(("CPUID", "HLT", "EPT_VIOLATION", "IO_INSTRUCTION")), rng.randint(1, 900))
        for _ in range(rng.choice((0, 0, 1, 5))):
            plan.runs(rng.choice((0, 3, 400))).instruction(rng.choice(("VMREAD", "VMWRITE")), rng.randint(1, 300))
        plan.runs(rng.choice((0, 1, 700))).enter(rng.randint(1, 900))
    return plan


# --- the timeline


def timeline(records: list[Any], hz: float = 1e9) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = trace.chrome_events(records, names, hz)
    assert trace.check_events(events) == []
    return events


def nested(events: list[dict[str, Any]]) -> None:
    """Each two durations of a thread, looked at on their own: not what the program does."""
    threads: dict[Any, list[tuple[int, int]]] = {}
    for event in events:
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            threads.setdefault((event["pid"], event["tid"]), []).append((start, start + round(event["dur"] * 1000)))
    for spans in threads.values():
        for i, (a, b) in enumerate(spans):
            assert a <= b
            for c, d in spans[i + 1 :]:
                assert b <= c or d <= a or (a <= c and d <= b) or (c <= a and b <= d)


def test_timeline_of_a_known_plan() -> None:
    events = timeline(known_plan().records())
    found = [(event["tid"], event["name"], event["ts"], event["dur"]) for event in events if event["ph"] == "X"]
    assert {event["pid"] for event in events} == {0}
    level = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
    assert (level["L0"], "VMRESUME", 0, 0.9) in found
    assert (level["L2"], "L2 runs", 0.9, 5.0) in found
    assert (level["L0"], "CPUID", 5.9, 0.7) in found
    assert (level["L1"], "handles CPUID", 6.6, 0.3) in found
    assert (level["L1"], "L1 runs", 6.6, 0.3) in found
    assert (level["L1"], "handles EPT_VIOLATION", 10.01, 1.75) in found
    assert sum(name == "L1 runs" for _, name, _, _ in found) == 1 + 3 + 1


def test_timeline_scales() -> None:
    events = timeline(known_plan().records(), hz=2e9)
    assert any(event["name"] == "L2 runs" and (event["ts"], event["dur"]) == (0.45, 2.5) for event in events)


@pytest.mark.parametrize("hz", [1e9, 2.4e9, 3.3333e9, 1e6, 7e11])
def test_timelines_of_random_plans_are_valid(hz: float) -> None:
    rng = random.Random(hz)
    for _ in range(40):
        plans = [random_plan(rng, core) for core in range(rng.randint(1, 4))]
        records = [record for plan in plans for record in plan.records()]
        if rng.random() < 0.5:
            records = rng.sample(records, rng.randint(1, len(records)))
        nested(timeline(trace.settle(records), hz))


def test_timeline_of_all_kinds(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    assert run("--chrome", file, sample.log) == ""
    found = json.loads(file.read_text())
    events = found["traceEvents"]
    nested(events)
    assert {event["ph"] for event in events} == {"X", "M", "i"}
    for event in events:
        assert {"ph", "ts", "pid", "tid", "name"} <= set(event)
        assert event["ph"] != "i" or event["s"] == "t"
    assert [event["args"]["name"] for event in events if event["name"] == "process_name"] == ["core 0", "core 1"]
    instants = {event["name"] for event in events if event["ph"] == "i"}
    assert {"INIT", "SIPI vector 0x9a", "VMX abort 4", "L1 VMLAUNCH failed: error 7", "L1 exit VMLAUNCH",
            "hidden memory written by L1", "entry of L2 failed: INVALID_STATE", "deviation of L1"} <= instants
    finished = [row for row in sample.rows if row[2] == trace.EXIT and row[7]]
    assert sum(event["ph"] == "X" and event["cat"] == "L0" for event in events) == len(finished)


def test_the_check_finds_mistakes() -> None:
    good = {"ph": "X", "name": "a", "pid": 0, "tid": 0, "ts": 1.0, "dur": 5.0}
    assert trace.check_events([good, good | {"ts": 2.0, "dur": 4.0}, good | {"ts": 6.0}]) == []
    for wrong in (good | {"dur": -1}, good | {"ts": 3.0}, good | {"ph": "Y"},
                  {"ph": "X", "name": "a", "pid": 0, "tid": 0, "ts": 9.0},
                  {key: value for key, value in good.items() if key != "tid"}):
        assert len(trace.check_events([good, wrong])) == 1, wrong


# --- the picture


def svg(path: Path) -> str:
    """The file's text, in which matplotlib names what it draws as comments."""
    assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("}svg")
    return path.read_text()


def test_picture(tmp_path: Path) -> None:
    log, picture = tmp_path / "log", tmp_path / "time.svg"
    log.write_text("\n".join([*known_plan().lines, *Plan(1, 2_000_000).enter(5).runs(5).filled(9).lines]))
    assert run("--svg", picture, log) == ""
    drawn = svg(picture)
    for text in ("Where the time between two L2 instructions went", "ticks of the time-stamp counter", "CPUID",
                 "EPT_VIOLATION, EPT02 fill", "L1 runs", "L0, by itself", "  1,920", "core 0", "core 1", "all cores"):
        assert f"<!-- {text}" in drawn or f"\n{text}" in drawn, text
    run("--svg", picture, "--tsc-hz", "1e9", log)
    assert "<!-- µs -->" in svg(picture) and "<!--   1.92 -->" in svg(picture)


def test_picture_of_one_long_exit(tmp_path: Path) -> None:
    log, picture = tmp_path / "log", tmp_path / "time.svg"
    plan = known_plan().runs(2_000_000).enter(700)
    log.write_text("\n".join(plan.lines))
    run("--svg", picture, log)
    assert "<!--   2,001,300 -->" in svg(picture)
    assert max(bar.length for bar in trace.bars_of(core_of(plan).trips, 1)) == 2_001_300


def test_picture_of_random_plans(tmp_path: Path) -> None:
    rng = random.Random(11)
    for i in range(4):
        log, picture = tmp_path / f"log{i}", tmp_path / f"time{i}.svg"
        log.write_text("\n".join(line for core in range(i + 1) for line in random_plan(rng, core).lines))
        run("--svg", picture, log)
        assert svg(picture)


def test_picture_without_exits_of_l2(tmp_path: Path) -> None:
    assert "no exit of L2" in fail("--svg", tmp_path / "x.svg", "-", data=b"core 0 tsc 5 INIT rip 0\n")
