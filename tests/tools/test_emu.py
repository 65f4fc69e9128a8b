"""tools/emu.py: the monitor's port, given to whoever connects, one at a time."""
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from emu import EmulatorError, Terminal  # noqa: E402


class Served:
    """A machine whose serial port is served."""

    def __init__(self, log_path: Path) -> None:
        self.machine, port = socket.socketpair()
        self.machine.settimeout(10)
        self.log_path = log_path
        self.terminal = Terminal(port, log_path)
        self.port = self.terminal.serve()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def awaits(self, logged: bytes) -> None:
        deadline = time.monotonic() + 10
        while not self.log_path.read_bytes().endswith(logged):
            assert time.monotonic() < deadline, self.log_path.read_bytes()
            time.sleep(0.01)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "com2.txt")
    yield served
    served.machine.close()
    served.terminal.close()


def receive(port: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = port.recv(count - len(data))
        assert part, f"closed after {data!r}"
        data += part
    return data


def test_both_ways(served: Served) -> None:
    client = served.connect()
    client.sendall(b"cpus\r" * 20)
    assert receive(served.machine, 100) == b"cpus\r" * 20
    served.machine.sendall(b"* core 0\r\n")
    assert receive(client, 10) == b"* core 0\r\n"
    served.awaits(b"* core 0\r\n")
    client.close()


def test_a_key_while_much_is_said(served: Served) -> None:
    client = served.connect()
    served.machine.setblocking(False)
    for _ in range(2000):
        try:
            served.machine.send(b"trace " * 100)
        except BlockingIOError:
            client.recv(65536)
        client.sendall(b"k")
    served.machine.setblocking(True)
    served.machine.settimeout(10)
    assert receive(served.machine, 1) == b"k"
    client.close()


def test_nobody_is_there(served: Served) -> None:
    served.machine.sendall(b"said to nobody")
    served.awaits(b"said to nobody")
    client = served.connect()
    served.machine.sendall(b"said to somebody")
    assert receive(client, 16) == b"said to somebody"
    client.close()


def test_one_after_the_other(served: Served) -> None:
    for number in range(3):
        client = served.connect()
        client.sendall(b"%d" % number)
        assert receive(served.machine, 1) == b"%d" % number
        client.close()


def test_one_that_leaves_while_it_is_told_something(served: Served) -> None:
    client = served.connect()
    client.sendall(b"x")
    assert receive(served.machine, 1) == b"x"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    for _ in range(50):
        served.machine.sendall(b"more ")
        time.sleep(0.001)
    served.awaits(b"more " * 50)
    client = served.connect()
    client.sendall(b"y")
    assert receive(served.machine, 1) == b"y"
    client.close()


def test_the_machine_ends(served: Served) -> None:
    client = served.connect()
    client.sendall(b"x")
    assert receive(served.machine, 1) == b"x"
    served.machine.close()
    assert client.recv(1) == b""
    client.close()
    deadline = time.monotonic() + 10
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            served.connect().close()


def test_expect(tmp_path: Path) -> None:
    machine, port = socket.socketpair()
    terminal = Terminal(port, tmp_path / "com2.txt")
    machine.sendall(b"one two three")
    assert terminal.expect("t(w)o", 10).group(1) == "w"
    assert terminal.before == "one "
    with pytest.raises(EmulatorError, match="one two three"):
        terminal.expect("four", 0.2)
    terminal.sendline("word")
    assert receive(machine, 5) == b"word\r"
    terminal.close()
    machine.close()
