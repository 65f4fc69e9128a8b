"""What the probe printed, and the comparison of two such transcripts, row by row."""
import re
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

LAST_LINE = re.compile(r"^probe: \d+ rows\r?$", re.MULTILINE)


class ProbeError(Exception):
    """A run did not come to its end."""


@dataclass(frozen=True)
class Row:
    """One line: "row" or "skip", what came out, and the features that it exercised."""

    kind: str
    text: str
    features: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.text if self.kind == "row" else f"skip: {self.text}"

    def same(self, other: "Row | None") -> bool:
        return other is not None and (self.kind, self.text) == (other.kind, other.text)

    @property
    def needed(self) -> str | None:
        """The feature, by name, for whose presence or absence the row was skipped."""
        match = re.fullmatch(r"needs (?:a processor without )?(.+)", self.text)
        return match[1] if self.kind == "skip" and match else None


class Transcript:
    """The rows, capability MSRs and features of one run."""

    LINE = re.compile(r"^(row|skip|msr|feature) (.*?)(?:: (.*))?$")
    USED = re.compile(r" ?\{(?:([0-9a-f]+)\.)?([0-9a-f]+)\}$")

    def __init__(self, text: str) -> None:
        self.rows: dict[str, Row] = {}
        self.msrs: dict[str, str] = {}
        self.features: dict[str, str] = {}  # "yes", "no", or "fixed": always on
        for line in text.splitlines():
            match = self.LINE.match(line.rstrip("\r"))
            if match:
                self._add(match[1], match[2], match[3] or "")

    def _add(self, kind: str, name: str, text: str) -> None:
        if kind == "msr":
            self.msrs[name] = text
        elif kind == "feature":
            self.features[name] = text
        elif name in self.rows:
            raise ProbeError(f"two rows are named '{name}'")
        else:
            used = self.USED.search(text)
            if used:
                text = text[: used.start()]
            self.rows[name] = Row(kind, text, self._features_of(used))

    def _features_of(self, used: "re.Match[str] | None") -> frozenset[str]:
        if not used:
            return frozenset()
        bits = int(used[1] or "0", 16) << 64 | int(used[2], 16)
        return frozenset(name for bit, name in enumerate(self.features) if bits >> bit & 1)


@dataclass
class Exception_:
    """A line of exceptions.txt."""

    row: str
    bare: str
    plastron: str
    mask: "re.Pattern[str] | None"
    reason: str
    group: str

    def allows(self, name: str, bare: str, plastron: str) -> bool:
        if not fnmatchcase(name, self.row):
            return False
        if self.mask:
            return self.mask.sub("", bare) == self.mask.sub("", plastron)
        return fnmatchcase(bare, self.bare) and fnmatchcase(plastron, self.plastron)


class Exceptions:
    """exceptions.txt, which says itself how it is written."""

    OUTCOME = re.compile(r"(.+?) => (.+?) => (.+?) # (.+)")
    MASKED = re.compile(r"(.+?) ~ (.+?) # (.+)")
    GROUP = re.compile(r"# ---- (.+)")

    def __init__(self, path: Path) -> None:
        self.lines: list[Exception_] = []
        group = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := self.GROUP.fullmatch(line):
                group = match[1]
            elif not line.strip() or line.startswith("#"):
                continue
            elif match := self.OUTCOME.fullmatch(line):
                self.lines.append(Exception_(match[1], match[2], match[3], None, match[4], group))
            elif match := self.MASKED.fullmatch(line):
                self.lines.append(Exception_(match[1], "", "", re.compile(match[2]), match[3], group))
            else:
                raise SystemExit(f"{path}:{number}: neither of the forms that the file describes")

    def find(self, name: str, bare: str, plastron: str) -> int | None:
        """The number of the line by which a row may come out so."""
        for number, line in enumerate(self.lines):
            if line.allows(name, bare, plastron):
                return number
        return None


def read_reasons(path: Path) -> dict[str, str]:
    """A file of lines NAME # REASON, as not_offered.txt and groups.txt."""
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, reason = line.partition(" # ")
        if not separator:
            raise SystemExit(f"{path}:{number}: it should be NAME # REASON")
        found[name.strip()] = reason.strip()
    return found


KINDS = ("equal", "excepted", "hidden", "different")


@dataclass
class Comparison:
    """How the rows of a bare run and of one under Plastron compare."""

    counts: Counter[str] = field(default_factory=Counter)
    by_feature: dict[str, Counter[str]] = field(default_factory=dict)
    by_group: dict[str, Counter[str]] = field(default_factory=dict)
    exceptions: Counter[int] = field(default_factory=Counter)
    hidden: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, features: frozenset[str], kind: str) -> None:
        self.counts[kind] += 1
        self.by_group.setdefault(name.partition(".")[0], Counter())[kind] += 1
        for feature in features:
            self.by_feature.setdefault(feature, Counter())[kind] += 1


def shown(row: Row | None) -> str:
    return "(no such row)" if row is None else str(row)


def compare(bare: Transcript, plastron: Transcript, exceptions: Exceptions,
            not_offered: dict[str, str]) -> Comparison:
    result = Comparison()
    for name in {**bare.rows, **plastron.rows}:
        left, right = bare.rows.get(name), plastron.rows.get(name)
        features = frozenset().union(*(row.features for row in (left, right) if row))
        if left and left.same(right):
            if left.kind == "row":
                result.add(name, features, "equal")
            continue
        needed = {row.needed for row in (left, right) if row} & set(not_offered)
        number = exceptions.find(name, shown(left), shown(right)) if left and right else None
        if left and right and needed:
            result.add(name, features, "hidden")
            result.hidden.update(needed)
        elif number is not None:
            result.add(name, features, "excepted")
            result.exceptions[number] += 1
        else:
            result.add(name, features, "different")
            result.failures.append((name, shown(left), shown(right)))
    return result
