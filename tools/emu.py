#!/usr/bin/python3
"""Runs a disk image on an emulated machine with VMX: Bochs, or QEMU with nested KVM.

As a module: `Machine` starts an emulator in a directory of its own, gives its first serial port to
pexpect, and ends it. As a program: attaches the terminal to the first serial port until the machine
powers off.
"""
import argparse
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("PLASTRON_CACHE", TOP / ".cache"))

EMULATORS = ("bochs", "qemu-kvm", "qemu-tcg")
DEFAULT_MODEL = {"bochs": "corei7_skylake_x", "qemu-kvm": "host,+vmx", "qemu-tcg": "max"}

# Bochs wants a disk's geometry; images are a whole number of these cylinders.
HEADS, SECTORS = 16, 63
CYLINDER = HEADS * SECTORS * 512

# What Bochs's log says when the guest ended the run: ACPI power-off, or "Shutdown" to port 0x8900.
BOCHS_CLEAN_END = re.compile(r"soft power off|shutdown requested", re.IGNORECASE)
# isa-debug-exit at port 0x8900 turns the first letter of "Shutdown" into this exit status.
QEMU_SHUTDOWN_STATUS = (ord("S") << 1) | 1

# Where something is counted, each run has the same date: 2026-01-01.
TIME_OF_COUNTS = 1767225600

ESCAPE = b"\x1d"  # Ctrl-]
PROMPT = b"L1# "


class EmulatorError(Exception):
    """The machine did not do what was expected of it."""


def choose_emulator() -> tuple[str, str]:
    """The best emulator for this host, and why."""
    if not re.search(r"^flags.*\bvmx\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
        return "bochs", "this host's processor shows no VMX"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "bochs", "/dev/kvm is not usable by this user"
    nested = Path("/sys/module/kvm_intel/parameters/nested")
    if not nested.exists() or nested.read_text().strip() not in ("Y", "1"):
        return "bochs", "nested VMX is switched off in kvm_intel (modprobe kvm_intel nested=1)"
    return "qemu-kvm", "VMX, /dev/kvm and nested VMX are all there"


def _listen() -> socket.socket:
    """A socket on some free port, at which the emulator connects a serial port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    return server


def _reader_of(port: socket.socket, log: Any) -> Any:
    """The pexpect object over a serial port, which writes what it reads to the log."""
    # Imported here: the terminal mode, `make run`, does without pexpect.
    from pexpect import fdpexpect

    reader = fdpexpect.fdspawn(port.fileno(), encoding="utf-8", codec_errors="replace")
    reader.logfile_read = _TextLog(log)
    return reader


class Terminal:
    """Somebody at a serial port, with a log of what comes out of it."""

    def __init__(self, port: socket.socket, log_path: Path) -> None:
        self.port = port
        self.log_path = log_path
        self._log = open(log_path, "wb", buffering=0)
        self._reader: Any = None

    @property
    def reader(self) -> Any:
        """The pexpect object over the port."""
        if self._reader is None:
            self._reader = _reader_of(self.port, self._log)
        return self._reader

    def expect(self, pattern: str | list[str], timeout: float = 60) -> "re.Match[str]":
        """Waits for a regular expression; the match, or an EmulatorError."""
        import pexpect

        try:
            self.reader.expect(pattern, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            shown = self.log_path.read_text(errors="replace").splitlines()[-25:]
            raise EmulatorError("\n".join([f"no {pattern!r} in {timeout} s on the monitor's port; "
                                           "its last lines:", *shown])) from None
        match: "re.Match[str]" = self.reader.match
        return match

    @property
    def before(self) -> str:
        """What came before the last match."""
        return str(self.reader.before)

    def swallow(self, seconds: float) -> None:
        """Reads what comes, to the log alone, for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.port], [], [], left)[0]:
                self._log.write(self.port.recv(65536))

    def send(self, data: bytes) -> None:
        """Types, not faster than the emulated UART takes it."""
        for start in range(0, len(data), 8):
            self.port.sendall(data[start : start + 8])
            time.sleep(0.005)

    def sendline(self, text: str = "") -> None:
        self.send(text.encode() + b"\r")

    def serve(self, port: int = 0) -> int:
        """Gives the serial port to whoever connects to a TCP port of this host, one at a time; its
        number. What is said while nobody is connected is kept in the log alone."""
        server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, args=(server,), daemon=True).start()
        return int(server.getsockname()[1])

    def _serve(self, server: socket.socket) -> None:
        """Until the machine ends, or close() is called."""
        client: socket.socket | None = None
        try:
            while True:
                readable, _, _ = select.select([self.port, client or server], [], [])
                if self.port in readable:
                    data = self.port.recv(4096)
                    if not data:
                        return
                    self._log.write(data)
                    client = self._give(client, data)
                if server in readable:
                    client = server.accept()[0]
                elif client in readable:
                    client = self._take(client)
        except (OSError, ValueError):
            pass  # the port, or its log, is closed
        finally:
            server.close()
            if client:
                client.close()

    @staticmethod
    def _give(client: socket.socket | None, data: bytes) -> socket.socket | None:
        """What the machine says, to the client; that, or None if it has gone."""
        if client:
            try:
                client.sendall(data)
            except OSError:
                client.close()
                return None
        return client

    def _take(self, client: socket.socket) -> socket.socket | None:
        """What the client types, to the machine; that, or None if it has gone."""
        try:
            typed = client.recv(4096)
        except OSError:
            typed = b""
        self.send(typed)
        if typed:
            return client
        client.close()
        return None

    def close(self) -> None:
        self.port.close()
        self._log.close()


class Machine:
    """One run of an emulator. Use it as a context manager, or call close()."""

    def __init__(
        self,
        image: Path | str,
        cpus: int = 1,
        model: str | None = None,
        memory: int = 1024,
        emulator: str | None = None,
        log_path: Path | str | None = None,
        usb: bool = False,
        counts: Path | str | None = None,
        counts_text: str = "",
        reset_on_triple_fault: bool = False,
        ips: int = 100_000_000,
        monitor: bool = False,
    ) -> None:
        self.image = Path(image).resolve()
        self.cpus = cpus
        self.emulator = emulator or choose_emulator()[0]
        self.model = model or DEFAULT_MODEL[self.emulator]
        self.memory = memory
        self.usb = usb
        self.counts = Path(counts).resolve() if counts else None
        self.counts_text = counts_text
        self.reset_on_triple_fault = reset_on_triple_fault
        self.ips = ips
        self.has_monitor = monitor
        self.monitor: Terminal | None = None  # the second serial port
        self.directory = Path(tempfile.mkdtemp(prefix="plastron-"))
        self.log_path = Path(log_path) if log_path else self.directory / "com1.txt"
        self.com2_path = self.directory / "com2.txt"
        self.emulator_log = self.directory / "emulator.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.console: socket.socket | None = None
        self._log: Any = None
        self._reader: Any = None

    # --- starting

    def start(self) -> "Machine":
        """Starts the emulator; returns once it has connected its first serial port."""
        # The emulator gets its own copy: runs don't see each other's writes, nor does the next one.
        self.disk = self.directory / "disk.img"
        subprocess.run(["cp", "--sparse=always", self.image, self.disk], check=True)
        for attempt in range(1, 6):
            if self._try_start():
                self._log = open(self.log_path, "wb", buffering=0)
                return self
            # Two Bochs started at once can want the same port for their displays.
            print(f"emu: {self.emulator} ended at once, trying again ({attempt})", file=sys.stderr)
            time.sleep(attempt)
        raise EmulatorError(f"{self.emulator} does not start:\n{self._emulator_tail()}")

    def _try_start(self) -> bool:
        # The emulator connects to us, so that no free port has to be guessed.
        with _listen() as first, _listen() as second:
            start = self._start_bochs if self.emulator == "bochs" else self._start_qemu
            self.process = start(first.getsockname()[1], second.getsockname()[1])
            self.console = self._accept(first)
            if self.console and self.has_monitor:
                port = self._accept(second)
                self.monitor = Terminal(port, self.directory / "com2.txt") if port else None
            if self.console and (self.monitor or not self.has_monitor):
                return self._survives_start()
        self._end_process()
        return False

    def _accept(self, server: socket.socket) -> socket.socket | None:
        """The emulator's connection to a serial port's socket; None if it ends before."""
        assert self.process
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                port = server.accept()[0]
            except TimeoutError:
                continue
            port.setblocking(True)
            return port
        return None

    def _survives_start(self) -> bool:
        """Whether the emulator is still alive once its console is quiet or speaking."""
        assert self.process and self.console
        readable, _, _ = select.select([self.console], [], [], 3)
        if readable and not self.console.recv(1, socket.MSG_PEEK):
            self.process.wait()
        if self.process.poll() is None:
            return True
        self.console.close()
        return False

    def _spawn(self, command: list[Any], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        output = open(self.directory / "emulator.out", "wb")
        # The emulator must not outlive this program, however it ends.
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            cwd=self.directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _start_bochs(self, port: int, port2: int) -> "subprocess.Popen[bytes]":
        tree = CACHE / "bochs" / "usr"
        libraries = tree / "lib" / "x86_64-linux-gnu"
        cylinders, rest = divmod(self.disk.stat().st_size, CYLINDER)
        com2 = f"mode=file, dev={self.com2_path}"
        if self.has_monitor:
            com2 = f"mode=socket-client, dev=127.0.0.1:{port2}"
        if rest:
            raise EmulatorError(f"{self.image}: its size is not a multiple of {CYLINDER} bytes")
        (self.directory / "bochsrc").write_text(
            f"""
plugin_ctrl: unmapped=1, biosdev=1, serial=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest={self.memory}, host={self.memory}
romimage: file={CACHE}/ovmf/usr/share/ovmf/OVMF.fd, address=0x0, options=none
fw_cfg: enabled=1
cpu: model={self.model}, count={self.cpus}, quantum=32, ips={self.ips}, cpuid_freq=ips, \
reset_on_triple_fault={int(self.reset_on_triple_fault)}, ignore_bad_msrs=1
vgaromimage: file={tree}/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={self.disk}, mode=flat, cylinders={cylinders}, \
heads={HEADS}, spt={SECTORS}
boot: disk
clock: sync=none, time0={TIME_OF_COUNTS if self.counts else "local"}, rtc_sync=0
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
com2: enabled=1, {com2}
log: {self.emulator_log}
panic: action=fatal
"""
        )
        environment = {
            "LTDL_LIBRARY_PATH": str(libraries / "bochs" / "plugins"),
            "BXSHARE": str(tree / "share" / "bochs"),
        }
        if self.counts:
            environment["PLASTRON_COUNTS"] = str(self.counts)
            environment["PLASTRON_COUNTS_TEXT"] = self.counts_text
        loader: list[Any] = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries]
        mended = ["--preload", CACHE / "mend.so", tree / "bin" / "bochs-bin"]
        return self._spawn([*loader, *mended, "-q", "-f", "bochsrc"], environment)

    def _start_qemu(self, port: int, port2: int) -> "subprocess.Popen[bytes]":
        firmware = CACHE / "ovmf" / "usr" / "share" / "OVMF"
        variables = self.directory / "vars.fd"
        shutil.copyfile(firmware / "OVMF_VARS.fd", variables)
        command: list[Any] = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-M", "q35"]
        command += ["-accel", "kvm" if self.emulator == "qemu-kvm" else "tcg"]
        command += ["-cpu", self.model, "-smp", self.cpus, "-m", self.memory]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware}/OVMF_CODE.fd"]
        command += ["-drive", f"if=pflash,format=raw,file={variables}"]
        command += ["-drive", f"if=none,id=disk,format=raw,file={self.disk}"]
        command += ["-device", "qemu-xhci", "-vga", "std"]
        command += ["-device", f"{'usb-storage' if self.usb else 'ide-hd'},drive=disk,bootindex=0"]
        command += ["-device", "isa-debug-exit,iobase=0x8900,iosize=1"]
        com2 = f"tcp:127.0.0.1:{port2}" if self.has_monitor else f"file:{self.com2_path}"
        command += ["-serial", f"tcp:127.0.0.1:{port}", "-serial", com2]
        return self._spawn([str(word) for word in command], {})

    # --- talking

    @property
    def reader(self) -> Any:
        """The pexpect object over the first serial port."""
        if self._reader is None:
            assert self.console
            self._reader = _reader_of(self.console, self._log)
        return self._reader

    def expect(self, pattern: str | list[str], timeout: float = 60) -> "re.Match[str]":
        """Waits for a regular expression on the console; the match, or an EmulatorError."""
        import pexpect

        try:
            self.reader.expect(pattern, timeout=timeout)
        except pexpect.TIMEOUT:
            raise EmulatorError(self._report(f"no {pattern!r} in {timeout} s")) from None
        except pexpect.EOF:
            raise EmulatorError(self._report(f"the machine ended before {pattern!r}")) from None
        match: "re.Match[str]" = self.reader.match
        return match

    @property
    def before(self) -> str:
        """What came before the last match."""
        return str(self.reader.before)

    def send(self, text: str) -> None:
        """Types a text, slowly: the emulated UART drops what comes faster than it is read."""
        assert self.console
        data = text.encode()
        for start in range(0, len(data), 8):
            self.console.sendall(data[start : start + 8])
            time.sleep(0.02)

    def sendline(self, text: str = "") -> None:
        self.send(text + "\r")

    # --- ending

    def wait_end(self, timeout: float = 60) -> int:
        """Waits for the machine to power off by itself: 0, or an EmulatorError."""
        import pexpect

        try:
            self.reader.expect(pexpect.EOF, timeout=timeout)
        except pexpect.TIMEOUT:
            raise EmulatorError(self._report(f"no power-off in {timeout} s")) from None
        if not self.ended_cleanly():
            raise EmulatorError(self._report("the emulator did not end by a power-off"))
        return 0

    def ended_cleanly(self) -> bool:
        """Whether the guest itself ended the run, once the console is closed."""
        assert self.process
        status = self.process.wait(30)
        if self.emulator == "bochs":
            return bool(BOCHS_CLEAN_END.search(self._read(self.emulator_log)))
        return status in (0, QEMU_SHUTDOWN_STATUS)

    def _end_process(self) -> None:
        if self.process and self.process.poll() is None:
            # Politely first: Bochs writes the exit counts at its exit.
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self, keep: bool = False) -> None:
        """Ends the emulator, if it still runs, and removes its directory."""
        self._end_process()
        if self.console:
            self.console.close()
        if self.monitor:
            self.monitor.close()
        if self._log:
            self._log.close()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Machine":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reporting

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text(errors="replace") if path.exists() else ""

    def _emulator_tail(self) -> str:
        log = self._read(self.emulator_log) + self._read(self.directory / "emulator.out")
        return "\n".join(log.splitlines()[-15:])

    def _report(self, what: str) -> str:
        console = "\n".join(self._read(self.log_path).splitlines()[-25:])
        return f"{what}\n--- console:\n{console}\n--- emulator:\n{self._emulator_tail()}"

    # --- the terminal

    def attach(self, timeout: float | None) -> bool:
        """Joins the terminal and the console until the machine ends: whether it ended cleanly."""
        assert self.console
        deadline = time.monotonic() + timeout if timeout else None
        # What is piped in waits for the shell's prompt: firmware and kernel would lose it.
        waiting, seen = not sys.stdin.isatty(), b""
        sources: list[Any] = [self.console] + ([] if waiting else [sys.stdin.buffer])
        while True:
            left = max(0.0, deadline - time.monotonic()) if deadline else None
            readable, _, _ = select.select(sources, [], [], left)
            if not readable:
                print(f"\nemu: no power-off in {timeout} s", file=sys.stderr)
                return False
            if self.console in readable:
                data = self._receive()
                if not data:
                    return self.ended_cleanly()
                self._log.write(data)
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                seen = (seen + data)[-len(data) - len(PROMPT) :]
                if waiting and PROMPT in seen:
                    sources.append(sys.stdin.buffer)
                    waiting = False
            if sys.stdin.buffer in readable:
                typed = os.read(sys.stdin.fileno(), 256)
                if ESCAPE in typed:
                    return False
                if not typed:
                    sources.remove(sys.stdin.buffer)
                self.send(typed.decode(errors="replace"))

    def _receive(self) -> bytes:
        assert self.console
        try:
            return self.console.recv(65536)
        except ConnectionResetError:
            return b""


class _TextLog:
    """What pexpect needs of a log: it writes text, the file takes bytes."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, text: str) -> None:
        self.file.write(text.encode())

    def flush(self) -> None:
        """Nothing to do: the file is not buffered."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="emu", description="Runs a disk image; Ctrl-] ends the run early."
    )
    parser.add_argument("--which", action="store_true", help="say which emulator is chosen and why")
    parser.add_argument("--image", help="the disk image; the run gets a copy of it")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--model", help="the emulator's name of the CPU model")
    parser.add_argument("--mem", type=int, default=1024, help="memory in MiB")
    parser.add_argument("--emulator", choices=EMULATORS, help="default: chosen by what the host has")
    parser.add_argument("--usb", action="store_true", help="the disk is a USB stick (QEMU only)")
    parser.add_argument("--log", help="also write the console to this file")
    parser.add_argument("--com2", help="write the second serial port to this file")
    parser.add_argument("--monitor", type=int, metavar="PORT",
                        help="give the second serial port to who connects to this TCP port")
    parser.add_argument("--counts",
                        help="write what is executed and exits to this file (Bochs only)")
    parser.add_argument("--timeout", type=float, help="give up after so many seconds")
    arguments = parser.parse_args()
    if not arguments.which and not arguments.image:
        parser.error("--image is needed")
    return arguments


def _run_attached(machine: Machine, timeout: float | None) -> bool:
    terminal = sys.stdin.isatty()
    saved = termios.tcgetattr(sys.stdin) if terminal else None
    try:
        if terminal:
            tty.setraw(sys.stdin)
        return machine.attach(timeout)
    finally:
        if saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)


def main() -> int:
    arguments = _arguments()
    name, reason = choose_emulator()
    if arguments.which:
        print(f"{name}: {reason}")
        return 0
    if not arguments.emulator:
        print(f"emu: {name}: {reason}; Ctrl-] ends the run early", file=sys.stderr)
    machine = Machine(
        arguments.image,
        arguments.cpus,
        arguments.model,
        arguments.mem,
        arguments.emulator or name,
        arguments.log,
        arguments.usb,
        arguments.counts,
        monitor=arguments.monitor is not None,
    )
    try:
        machine.start()
        if machine.monitor:
            port = machine.monitor.serve(arguments.monitor)
            print(f"emu: the monitor is at localhost:{port}: nc -C, or gdb's target remote",
                  file=sys.stderr)
        clean = _run_attached(machine, arguments.timeout)
        if not clean:
            print(f"emu: not a clean end\n{machine._emulator_tail()}", file=sys.stderr)
        if arguments.com2 and machine.com2_path.exists():
            shutil.copyfile(machine.com2_path, arguments.com2)
        return 0 if clean else 1
    except EmulatorError as error:
        print(f"emu: {error}", file=sys.stderr)
        return 1
    finally:
        machine.close()


if __name__ == "__main__":
    sys.exit(main())
