"""The stub of hv/monitor/gdb.h, asked by gdb itself, with L0's image and symbols."""
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

TOP = Path(__file__).resolve().parents[2]
IMAGE = TOP / "build" / "plastron.elf"
SERVER = TOP / "build" / "tools" / "gdb_server"
SECONDS = 60
PROMPT = r"\(gdb\) "

pytestmark = pytest.mark.skipif(not shutil.which("gdb"), reason="there is no gdb")


class Server:
    """tests/tools/gdb_server.c, and what it reports."""

    def __init__(self, noise: int = 0) -> None:
        self.process = subprocess.Popen([SERVER, IMAGE, str(noise)], stdout=subprocess.PIPE,
                                        text=True)
        self.port = int(self.line().split()[1])

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def stop(self) -> list[str]:
        """Ends it; the lines that were not yet read. A sanitizer would have ended it before."""
        assert self.process.poll() is None
        self.process.terminate()
        return self.process.communicate(timeout=SECONDS)[0].splitlines()


@pytest.fixture(scope="session", autouse=True)
def build() -> None:
    subprocess.run(["make", "-s", IMAGE.relative_to(TOP), SERVER.relative_to(TOP)], cwd=TOP,
                   check=True)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start_one(noise: int = 0) -> Server:
        servers.append(Server(noise))
        return servers[-1]

    yield start_one
    for server in servers:
        server.process.kill()
        server.process.communicate()


def gdb(server: Server, *commands: str, before: tuple[str, ...] = ()) -> str:
    """What gdb prints for the commands, once it is attached."""
    words = ["gdb", "-batch", "-nx", str(IMAGE)]
    for command in (*before, f"target remote 127.0.0.1:{server.port}", *commands):
        words += ["-ex", command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS)
    assert done.returncode == 0, done.stdout
    return done.stdout


def spawn(server: Server) -> pexpect.spawn:
    words = ["-q", "-nx", "-ex", "set pagination off", "-ex", "set confirm off", str(IMAGE)]
    session = pexpect.spawn("gdb", words, timeout=SECONDS, encoding="utf-8",
                            env={**os.environ, "TERM": "dumb"})
    session.expect(PROMPT)
    ask(session, f"target remote 127.0.0.1:{server.port}")
    return session


def ask(session: pexpect.spawn, command: str) -> str:
    session.sendline(command)
    session.expect(PROMPT)
    return session.before


def address_of(symbol: str) -> int:
    table = subprocess.run(["nm", IMAGE], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^([0-9a-f]+) \w {symbol}$", table, re.MULTILINE)
    assert found, symbol
    return int(found[1], 16)


def test_threads_and_registers(start: Callable[..., Server]) -> None:
    server = start()
    output = gdb(server, "info threads", "thread 2", "info registers rip", "x/4i $pc", "thread 3",
                 "info registers rbx eflags cs", "detach")
    threads = re.findall(r"^[* ] +(\d+) +Thread \1 \((core \d, L\d[^)]*)\)", output, re.MULTILINE)
    assert threads == [("1", "core 0, L0"), ("2", "core 0, L1: runs KVM"), ("3", "core 0, L2"),
                       ("4", "core 1, L0"), ("5", "core 1, L1: runs KVM")]
    assert re.search(r"^  1 .* l0_start \(\) at hv/entry\.asm:\d+$", output, re.MULTILINE)
    assert re.search(r"^rip +0x102000 +0x102000$", output, re.MULTILINE)
    assert re.search(r"^=> 0x102000:\tnop$", output, re.MULTILINE)
    assert re.search(r"^rbx +0x1000301 ", output, re.MULTILINE)
    assert re.search(r"^eflags +0x246 +\[ PF ZF IF \]$", output, re.MULTILINE)
    assert re.search(r"^cs +0x1000312 ", output, re.MULTILINE)
    assert "[Inferior 1 (Remote target) detached]" in output
    assert server.stop() == ["detached"]


def test_what_is_unknown(start: Callable[..., Server]) -> None:
    output = gdb(start(), "thread 2", "info all-registers")
    values = dict(re.findall(r"^(\w+) +(\S+)", output, re.MULTILINE))
    for name in ("rax", "cr2", "st0", "st7", "fctrl", "fop"):
        assert values[name] == "<unavailable>", name
    for number, name in enumerate(("fs_base", "gs_base", "cr0", "cr2", "cr3", "cr4", "efer"), 0x18):
        assert name == "cr2" or values[name] == hex(0x1000200 + number), name
    assert values["gs"] == "0x1000217"


def test_symbols_and_breakpoints(start: Callable[..., Server]) -> None:
    server = start()
    entry = address_of("l0_start")
    output = gdb(server, "thread 1", "x/i $pc", "break exit_handle", "stepi", "info registers rip",
                 "continue", "continue", "detach")
    assert re.search(rf"^=> {entry:#x} <l0_start>:\t", output, re.MULTILINE)
    assert re.search(r"^Breakpoint 1 at 0x[0-9a-f]+: file ", output, re.MULTILINE)
    assert re.search(rf"^rip +{entry + 1:#x} ", output, re.MULTILINE)
    assert len(re.findall(r"^Thread 1 hit Breakpoint 1, .*exit_handle \(cpu=", output,
                          re.MULTILINE)) == 2
    assert output.count("core 0 runs\n") == 2
    # The second time gdb steps over the breakpoint first, with all other threads standing still.
    assert server.stop() == ["resume 1 step others", "resume 1 run others", "resume 1 step",
                             "resume 1 run others", "detached"]


def test_refused_breakpoint(start: Callable[..., Server]) -> None:
    session = spawn(start())
    ask(session, "break *0x102000")
    assert "Cannot insert breakpoint 1" in ask(session, "continue")
    ask(session, "delete")
    ask(session, "hbreak exit_handle")
    assert "Cannot insert hardware breakpoint" in ask(session, "continue")
    session.close(force=True)


def test_writing(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(bytes(range(256)) * 12)
    saved = tmp_path / "saved"
    server = start()
    output = gdb(server, "thread 2", "set var $rbx = 0x123456789abcdef0", "set var $cs = 0x33",
                 "print/x $rbx", "print/x $cs", "set var *(int *)0x100004 = 0x11223344",
                 "x/2xw 0x100004", f"restore {data} binary 0x101000",
                 f"dump binary memory {saved} 0x101000 0x101c00", "flushregs", "print/x $rbx",
                 "x/w 0x90000", "x/2xb 0x10ffff", "detach")
    assert re.findall(r"^\$\d+ = (\S+)$", output, re.MULTILINE) == [
        "0x123456789abcdef0", "0x33", "0x123456789abcdef0"]
    assert re.search(r"^0x100004:\t0x11223344\t0x90909090$", output, re.MULTILINE)
    assert saved.read_bytes() == data.read_bytes()
    assert "Cannot access memory at address 0x90000" in output
    assert "Cannot access memory at address 0x110000" in output


def test_monitor(start: Callable[..., Server]) -> None:
    output = gdb(start(), "monitor help", "monitor regs 1", "monitor long")
    assert "help            the commands\nregs [CORE]     the registers\n" in output
    assert "unknown command: regs 1\n" in output
    assert " ".join(map(str, range(100, 200))) + "\n" in output
    assert " ".join(map(str, range(400, 500))) + "\n" in output


def test_interrupt(start: Callable[..., Server]) -> None:
    server = start()
    session = spawn(server)
    session.sendline("continue")
    session.expect("core 0 runs")
    session.sendintr()
    session.expect(r'Thread 2 received signal SIGINT')
    session.expect(PROMPT)
    assert "Thread 2" in ask(session, "thread")
    session.sendline("quit")
    session.expect("detached")
    session.expect(pexpect.EOF)
    assert server.stop() == ["resume 2 run others", "detached"]


def test_locked_scheduler(start: Callable[..., Server]) -> None:
    server = start()
    gdb(server, "set scheduler-locking on", "thread 4", "stepi 2", "detach")
    assert server.stop() == ["resume 4 step", "resume 4 step", "detached"]


@pytest.mark.parametrize("running", [False, True])
def test_a_gdb_that_dies(start: Callable[..., Server], running: bool) -> None:
    """The next one finds all as it should be, though nobody said good-bye."""
    server = start()
    session = spawn(server)
    if running:
        session.sendline("continue")
        session.expect("core 0 runs")
    session.kill(signal.SIGKILL)
    session.close()
    output = gdb(server, "info registers rip", "detach")
    assert re.search(r"^rip +0x102000 ", output, re.MULTILINE)
    assert server.stop()[-1] == "detached"


def test_with_acknowledgements(start: Callable[..., Server]) -> None:
    output = gdb(start(), "info threads", "monitor long", "thread 1", "stepi", "detach",
                 before=("set remote noack-packet off",))
    assert output.count("core 0, L1: runs KVM") == 1
    assert " 499\n" in output and "detached" in output


@pytest.mark.parametrize("noise", [3, 5])
def test_noise(start: Callable[..., Server], noise: int) -> None:
    """Every so many packets are damaged in either direction, and sent again. Not the last one: who has
    detached feeds the stub no more."""
    output = gdb(start(noise), "info threads", "thread 1", "break exit_handle", "stepi", "continue",
                 "monitor quiet", "detach",
                 before=("set remote noack-packet off", "set remotetimeout 5"))
    assert output.count("core 0, L1: runs KVM") == 1
    assert "Thread 1 hit Breakpoint 1" in output
    damaged = re.search(r"^damaged (\d+) (\d+)$", output, re.MULTILINE)
    assert damaged and int(damaged[1]) > 10 and int(damaged[2]) > 10
    assert "detached" in output
