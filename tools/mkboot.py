#!/usr/bin/python3
"""Makes the disk image that boots Debian's Linux as L1: under Plastron, or bare for comparison.

Under Plastron: plastron.efi is the boot loader and starts GRUB, which starts Linux.
Bare (no --plastron): GRUB is the boot loader. The two images are else the same.
"""
import argparse
import sys
from pathlib import Path

from emu import CACHE
from mkimage import Source, make_image

GUESTS = CACHE / "guests"
# APICv is faulty in Bochs when interrupts flow; the self-tests of Linux's ciphers take as long as the
# rest of its boot.
CMDLINE = "console=ttyS0 quiet cryptomgr.notests kvm_intel.enable_apicv=0"
GRUB_CFG = """\
linux /EFI/plastron/vmlinuz {cmdline}
initrd {initrds}
boot
"""


def make_boot(
    image: Path,
    plastron: Path | None = None,
    conf: str = "",
    debian: int = 12,
    cmdline: str = CMDLINE,
    qemu: bool = False,
    extra: dict[str, Source] | None = None,
) -> None:
    """Makes the image; `qemu` adds what L1 needs to boot a Linux as L2."""
    initrds = [f"initramfs-{debian}"] + (["initramfs-qemu"] if qemu else [])
    grub_cfg = GRUB_CFG.format(
        cmdline=cmdline, initrds=" ".join(f"/EFI/plastron/{name}" for name in initrds)
    )
    files: dict[str, Source] = {
        "EFI/plastron/grub.cfg": grub_cfg.encode(),
        "EFI/plastron/vmlinuz": GUESTS / f"vmlinuz-{debian}",
    }
    files.update({f"EFI/plastron/{name}": GUESTS / name for name in initrds})
    if plastron:
        files["EFI/BOOT/BOOTX64.EFI"] = plastron
        files["EFI/plastron/plastron.conf"] = conf.encode()
        files["EFI/plastron/next.efi"] = GUESTS / "grub.efi"
    else:
        files["EFI/BOOT/BOOTX64.EFI"] = GUESTS / "grub.efi"
    make_image(image, {**files, **(extra or {})})


def main() -> int:
    parser = argparse.ArgumentParser(prog="mkboot", description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--plastron", type=Path, help="plastron.efi; without it the image is bare")
    parser.add_argument("--conf", type=Path, help="plastron.conf; default: an empty one")
    parser.add_argument("--debian", type=int, choices=(12, 13), default=12, help="L1's kernel")
    parser.add_argument("--cmdline", default=CMDLINE, help=f"default: {CMDLINE}")
    parser.add_argument("--append", default="", help="added to the kernel command line")
    parser.add_argument("--qemu", action="store_true", help="with QEMU and a kernel for an L2 Linux")
    arguments = parser.parse_args()
    make_boot(
        arguments.image,
        arguments.plastron,
        arguments.conf.read_text() if arguments.conf else "",
        arguments.debian,
        f"{arguments.cmdline} {arguments.append}".strip(),
        arguments.qemu,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
