#!/usr/bin/python3
"""Makes a disk image: GPT with one FAT32 EFI System Partition, bootable as a USB stick.

Needs no root and mounts nothing. Files are given as DESTINATION=SOURCE, the destination being the
path in the partition: tools/mkimage stick.img EFI/BOOT/BOOTX64.EFI=build/plastron.efi
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from emu import CYLINDER

MIB = 1 << 20
PARTITION_START = MIB
# FAT32 needs 65525 clusters at least; the image is sparse. 4 KiB clusters keep the cluster chains
# short that the firmware walks.
CLUSTER_SECTORS = 8
SMALLEST_PARTITION = 272 * MIB

Source = Path | bytes


def _run(*command: object) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "MTOOLS_SKIP_CHECK": "1", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"mkimage: {command[0]} failed:\n{done.stdout}")


def _stage(files: dict[str, Source], directory: Path) -> int:
    """Lays the files out under a directory; their size in bytes."""
    size = 0
    for destination, source in files.items():
        path = directory / destination.replace("\\", "/").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            shutil.copyfile(source, path)
        size += path.stat().st_size + MIB // 8
    return size


def make_image(image: Path, files: dict[str, Source]) -> None:
    """Makes the image of these files, by path in the partition."""
    with tempfile.TemporaryDirectory() as name:
        staged = Path(name)
        content = _stage(files, staged)
        partition = max(SMALLEST_PARTITION, content + content // 16 + 16 * MIB)
        cylinders = -(-(PARTITION_START + partition + MIB) // CYLINDER)
        new = image.with_name(image.name + ".new")
        new.unlink(missing_ok=True)
        with open(new, "wb") as file:
            file.truncate(cylinders * CYLINDER)
        # The partition ends a MiB before the disk's end, which holds the second partition table.
        sectors = (cylinders * CYLINDER - PARTITION_START - MIB) // 512
        first = PARTITION_START // 512
        last = first + sectors - 1
        _run("sgdisk", "-n", f"1:{first}:{last}", "-t", "1:ef00", "-c", "1:PLASTRON", new)
        at = f"{new}@@{PARTITION_START}"
        _run("mformat", "-i", at, "-F", "-v", "PLASTRON", "-T", sectors, "-c", CLUSTER_SECTORS,
             "-h", 16, "-s", 63, "-H", first)
        for entry in sorted(staged.iterdir()):
            _run("mcopy", "-s", "-i", at, entry, "::")
        new.replace(image)


def _parse_file(argument: str) -> tuple[str, Path]:
    destination, separator, source = argument.partition("=")
    if not separator or not Path(source).is_file():
        raise SystemExit(f"mkimage: '{argument}': not of the form DESTINATION=FILE")
    return destination, Path(source)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mkimage", description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("files", nargs="+", metavar="DESTINATION=FILE")
    arguments = parser.parse_args()
    make_image(arguments.image, dict(_parse_file(file) for file in arguments.files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
