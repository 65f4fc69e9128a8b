"""The walk-throughs of docs/debugging.md: they show what they say, and the page has what they show."""
import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from typing import Any

import pytest

from conftest import LOGS, TOP

TOOL = TOP / "tools" / "walkthrough"
PAGE = TOP / "docs" / "debugging.md"
PROMPT_LINE = re.compile(r"^plastron \d+(?: stopped| panic)?>(?: (.*))?$", re.MULTILINE)


def _load_tool() -> Any:
    loader = importlib.machinery.SourceFileLoader("walkthrough", str(TOOL))
    spec = importlib.util.spec_from_loader("walkthrough", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["walkthrough"] = module
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


walkthrough = _load_tool()
NAMES = pytest.mark.parametrize("name", walkthrough.WALKS)


def transcript_of(page: str, name: str) -> str:
    found = re.search(rf"^```\n\$ tools/walkthrough {name}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found, f"{PAGE} has no transcript of {name}"
    return found[1]


def parts_of(transcript: str) -> list[tuple[str, str]]:
    """What was typed at each prompt, and what came behind it; comments are left out."""
    text = re.sub(r"^#.*\n", "", transcript, flags=re.MULTILINE)
    pieces = PROMPT_LINE.split(text)[1:]
    return [(typed or "", said.strip("\n")) for typed, said in zip(pieces[::2], pieces[1::2])]


def follow(name: str, transcript: str) -> None:
    """Every command of the walk, in its order, with what it is to show."""
    findings = walkthrough.Findings()
    parts = iter(parts_of(transcript))
    for step in walkthrough.WALKS[name].steps:
        typed, said = next(parts)
        assert typed == findings.filled(step.command)
        findings.demand(typed, step.shows, said)
        if step.then:
            typed, said = next(parts)
            assert typed == ""
            findings.demand(step.command, step.then, said)
    assert not list(parts), "more than the walk has"


def comments_of(transcript: str) -> list[str]:
    return re.findall(r"^# .*", transcript, re.MULTILINE)


@NAMES
def test_it_shows_what_it_says(request: pytest.FixtureRequest, name: str) -> None:
    if request.config.getoption("--bare"):
        pytest.skip("about Plastron")
    plastron, emulator = (request.config.getoption(option) for option in ("--plastron", "--emulator"))
    done = subprocess.run([TOOL, name, "--plastron", plastron, "--emulator", emulator],
                          capture_output=True, text=True, timeout=600)
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"walkthrough-{name}.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    follow(name, done.stdout)
    assert comments_of(done.stdout) == comments_of(transcript_of(PAGE.read_text(), name))


@NAMES
def test_the_page_has_what_it_shows(name: str) -> None:
    follow(name, transcript_of(PAGE.read_text(), name))


def test_a_step_that_does_not_show_it_fails() -> None:
    transcript = transcript_of(PAGE.read_text(), "entry")
    with pytest.raises(walkthrough.WalkError, match="check"):
        follow("entry", transcript.replace("0x8b would be", "0x8a would be"))


def test_the_page_has_each_command() -> None:
    table = (TOP / "hv" / "monitor" / "table.c").read_text()
    page = PAGE.read_text()
    commands = re.findall(r"^    X\((\w+)\)", table, re.MULTILINE)
    assert len(commands) > 20
    missing = [command for command in commands if not re.search(rf"^\| .*`{command}\b", page, re.MULTILINE)]
    assert not missing
