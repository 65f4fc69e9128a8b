#!/usr/bin/python3
"""Makes the disk image that boots an L1: under Plastron, or bare for comparison.

Under Plastron: plastron.efi is the boot loader and starts GRUB, which starts Debian's Linux, or it
starts Xen, which starts Debian's Linux as its dom0. Bare (no --plastron): GRUB or Xen is the boot
loader. The two images are else the same. With --inner a second Plastron stands between the first and
GRUB or Xen.
"""
import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from emu import CACHE
from mkimage import Source, make_image

GUESTS = CACHE / "guests"
DEBIANS = ("12", "13", "sid")
# APICv is faulty in Bochs when interrupts flow; the self-tests of Linux's ciphers take as long as the
# rest of its boot.
CMDLINE = "console=ttyS0 quiet cryptomgr.notests kvm_intel.enable_apicv=0"
DOM0_CMDLINE = "console=hvc0 quiet cryptomgr.notests rodata=off"
GRUB_CFG = """\
linux /EFI/plastron/vmlinuz {cmdline}
initrd /EFI/plastron/initramfs
boot
"""
XEN_CFG = """\
[global]
default=xen
[xen]
options=console=com1 com1=115200,8n1 dom0_mem=320M,max:320M apicv=0
kernel=\\EFI\\plastron\\vmlinuz {cmdline}
ramdisk=\\EFI\\plastron\\initramfs
"""
Files = dict[str, Source]


class L1(NamedTuple):
    """What is booted: an EFI program and the files that it wants."""

    program: Path
    files: Files


def _initramfs(*names: str) -> bytes:
    """One initramfs of several: Linux unpacks one after the other."""
    return b"".join((GUESTS / f"initramfs-{name}").read_bytes() for name in names)


def linux(debian: str = "12", cmdline: str = CMDLINE, qemu: bool = False, *added: str) -> L1:
    """GRUB and Linux; `qemu` adds what Linux needs to boot another one as L2. More to add: "l3", what
    that needs to have a guest, too; "bench", and "l0" for a Linux that boots an L1 with it."""
    added = (*(("l2", "qemu") if qemu else ()), *added)
    files: Files = {
        "EFI/plastron/grub.cfg": GRUB_CFG.format(cmdline=cmdline).encode(),
        "EFI/plastron/vmlinuz": GUESTS / f"vmlinuz-{debian}",
        "EFI/plastron/initramfs": _initramfs("l1", debian, *added),
    }
    return L1(GUESTS / "grub.efi", files)


def xen(cmdline: str = DOM0_CMDLINE) -> L1:
    """Xen, its dom0, and what that needs to boot a Linux as L2."""
    # Xen looks for its own name with this ending: as Plastron's next image, and as the boot loader.
    cfg = XEN_CFG.format(cmdline=cmdline).encode()
    files: Files = {
        "EFI/plastron/next.cfg": cfg,
        "EFI/BOOT/BOOTX64.cfg": cfg,
        "EFI/plastron/vmlinuz": GUESTS / "vmlinuz-dom0",
        "EFI/plastron/initramfs": _initramfs("l1", "l2", "xen"),
    }
    return L1(GUESTS / "xen.efi", files)


def plastron_files(plastron: Path, conf: str, inner_conf: str | None) -> Files:
    """Plastron, and with inner_conf a second one that the first one starts."""
    if inner_conf is None:
        inner: Files = {}
    else:
        conf += "next=\\EFI\\inner\\plastron.efi\n"
        inner = {
            "EFI/inner/plastron.efi": plastron,
            "EFI/inner/plastron.conf": inner_conf.encode(),
        }
    return {
        "EFI/BOOT/BOOTX64.EFI": plastron,
        "EFI/plastron/plastron.conf": conf.encode(),
        **inner,
    }


def make_boot(
    image: Path,
    l1: L1,
    plastron: Path | None = None,
    conf: str = "",
    inner_conf: str | None = None,
) -> None:
    """Makes the image of an L1, under Plastron or bare."""
    if plastron:
        files = {"EFI/plastron/next.efi": l1.program, **plastron_files(plastron, conf, inner_conf)}
    else:
        files = {"EFI/BOOT/BOOTX64.EFI": l1.program}
    make_image(image, {**files, **l1.files})


def main() -> int:
    parser = argparse.ArgumentParser(prog="mkboot", description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--plastron", type=Path, help="plastron.efi; without it the image is bare")
    parser.add_argument("--conf", type=Path, help="plastron.conf; default: an empty one")
    parser.add_argument("--inner", action="store_true", help="a second Plastron on the first one")
    parser.add_argument("--debian", choices=DEBIANS, default="12", help="L1's kernel")
    parser.add_argument("--xen", action="store_true", help="L1 is Xen, with a Linux as its dom0")
    parser.add_argument("--cmdline", help=f"Linux's command line; default: {CMDLINE}")
    parser.add_argument("--append", default="", help="added to it")
    parser.add_argument("--qemu", action="store_true", help="with QEMU and a kernel for an L2 Linux")
    arguments = parser.parse_args()
    cmdline = arguments.cmdline or (DOM0_CMDLINE if arguments.xen else CMDLINE)
    cmdline = f"{cmdline} {arguments.append}".strip()
    if arguments.xen:
        l1 = xen(cmdline)
    else:
        l1 = linux(arguments.debian, cmdline, arguments.qemu)
    make_boot(
        arguments.image,
        l1,
        arguments.plastron,
        arguments.conf.read_text() if arguments.conf else "",
        "" if arguments.inner else None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
