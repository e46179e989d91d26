# SPDX-License-Identifier: Apache-2.0
"""The command line of ``boot_linux.py``."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import NamedTuple, NoReturn

from minivmm.endings import BadInput
from minivmm.layout import MIB, UART
from minivmm.vfio import Wanted
from pykvm import VcpuFeature

_UNITS = {"": MIB, "K": 1 << 10, "M": MIB, "G": 1 << 30}
#: What can be given by name; the rest has an option of its own, or is always there.
FEATURES = [
    feature.name for feature in VcpuFeature
    if feature not in (VcpuFeature.POWER_OFF, VcpuFeature.PSCI_0_2, VcpuFeature.EL1_32BIT)
]  # fmt: skip
_STATUSES = """\
exit status:
  0    the guest switched itself off
  1    the guest crashed: it did what neither KVM nor any device here can serve
  2    something given here cannot work, or a disk took no flush at the end; stderr says what,
       in one line
  3    the guest asked for a reset, and --no-reboot was given
  4    Ctrl-A x
  129, 130, 143  SIGHUP, SIGINT, SIGTERM; disks are flushed

Ctrl-A x quits, Ctrl-A Ctrl-A sends one to the guest. Everything else is the guest's, Ctrl-C too.
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. By itself, it loads shutil and all its packers to know that."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size(1).columns
        except OSError:
            width = 80
        super().__init__(prog, width=width - 2)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(message)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = _Parser(
        prog="boot_linux.py",
        description="Boots an arm64 Linux, as distributions ship it, in a VM of KVM.",
        epilog=_STATUSES,
        formatter_class=_Help,
    )
    option = parser.add_argument
    option("kernel", type=Path, help="an arm64 Image; plain, gzipped or EFI zboot")
    option("--initrd", type=Path, metavar="FILE", help="the first file system, as it is")
    option("--append", default="", metavar="WORDS", help="the kernel's command line, exactly so")
    option(
        "--flat",
        action="store_true",
        help="KERNEL is a raw program, started at RAM + 0x80000 with the MMU off, x0 = tree",
    )
    option("--dtb-dump", type=Path, metavar="FILE", help="also write the device tree to FILE")
    option(
        "--memory",
        type=_size,
        default=256 * MIB,
        metavar="SIZE",
        help="of the guest, in MiB or with a unit, as 2G (256M)",
    )
    option("--cpus", type=int, default=1, metavar="N", help="how many (1)")
    option(
        "--gic",
        choices=("2", "3", "its"),
        default=None,
        help="GICv2, GICv3, GICv3 with ITS (default: the most that the host has)",
    )

    cpu = parser.add_argument_group("what its CPUs have")
    cpu.add_argument("--pmu", action="store_true", help="performance counters")
    cpu.add_argument("--sve", action="store_true", help="scalable vectors")
    cpu.add_argument("--mte", action="store_true", help="memory tags")
    cpu.add_argument(
        "--cpu-feature",
        type=_feature,
        action="append",
        default=[],
        metavar="NAME",
        help=f"one of {', '.join(FEATURES)}",
    )

    devices = parser.add_argument_group("virtio devices")
    devices.add_argument(
        "--disk",
        type=_disk,
        action="append",
        default=[],
        metavar="FILE[,ro]",
        help="a raw image, whole sectors of 512 bytes: /dev/vda, then /dev/vdb",
    )
    devices.add_argument(
        "--tap",
        action="append",
        default=[],
        metavar="NAME",
        help="a network card whose other end is this interface",
    )
    devices.add_argument(
        "--vhost",
        choices=("on", "off"),
        help="whether the kernel moves its packets (default: if it can)",
    )
    devices.add_argument(
        "--vsock",
        type=int,
        metavar="CID",
        help="AF_VSOCK sockets with this host; the guest's address, from 3 on",
    )
    devices.add_argument("--rng", action="store_true", help="random numbers from this host")

    real = parser.add_argument_group("devices of this host")
    real.add_argument(
        "--device",
        type=_device,
        action="append",
        default=[],
        metavar="ADDRESS[,HOW]",
        help="a PCI device, as 0000:00:02.0, that is bound to vfio-pci: an AHCI, EHCI, xHCI or "
        "OHCI controller. HOW: direct, or trap, where each access to its registers leaves the "
        "guest (default: direct, unless this kernel would lose its interrupts' ends)",
    )

    serial = parser.add_argument_group("the console")
    serial.add_argument("--uart", choices=("pl011", "16550"), default="pl011", help="(pl011)")
    serial.add_argument(
        "--console",
        choices=("uart", "virtio"),
        default="uart",
        help="where what is typed goes: to the UART, or to a virtio console (console=hvc0)",
    )
    serial.add_argument(
        "--uart-address",
        type=_address,
        default=UART,
        metavar="GPA",
        help=f"where the guest finds it ({UART:#x})",
    )

    end = parser.add_argument_group("running")
    end.add_argument("--no-reboot", action="store_true", help="a reset ends the program, with 3")
    end.add_argument(
        "--strict",
        action="store_true",
        help="a load or store where no device is ends the guest; without it, loads "
        "give zero and stores vanish",
    )
    end.add_argument(
        "--stats",
        nargs="?",
        const="end",
        choices=("end", "live", "stages"),
        help="what left the guest, interrupts, requests and how long each stage took, on "
        "stderr: at the end, or live each second as well; or the stages alone, which costs "
        "the guest nothing",
    )
    options = parser.parse_args(words)
    options.features = list(options.cpu_feature)
    options.features += [VcpuFeature.PMU_V3] * options.pmu + [VcpuFeature.SVE] * options.sve
    if options.cpus < 1:
        raise BadInput(f"--cpus {options.cpus}: a guest has at least one CPU")
    if options.memory % (2 * MIB) or not 2 * MIB <= options.memory <= 1 << 40:
        raise BadInput(f"--memory: {options.memory} bytes; give a multiple of 2 MiB, up to 1 TiB")
    if options.vsock is not None and not 3 <= options.vsock < 2**32 - 1:
        raise BadInput(f"--vsock {options.vsock}: a guest's address is 3 or more")
    if options.stats in ("end", "live"):
        from importlib.util import find_spec  # not loaded for guests that nobody counts

        if find_spec("rich") is None:
            raise BadInput(
                f"--stats {options.stats} shows tables by the package rich, which is missing"
            )
    addresses = [wanted.address for wanted in options.device]
    for address in set(addresses):
        if addresses.count(address) > 1:
            raise BadInput(f"--device {address}: given twice")
    if options.uart_address % 0x1000:
        raise BadInput(f"--uart-address {options.uart_address:#x} is no multiple of 0x1000")
    if not 0 <= options.uart_address < 1 << 40:  # what every VM has
        raise BadInput(f"--uart-address {options.uart_address:#x} is not below 0x10000000000")
    return options


class DiskWords(NamedTuple):
    path: Path
    read_only: bool


def _disk(text: str) -> DiskWords:
    path, comma, access = text.rpartition(",")
    if comma and access in ("ro", "rw"):
        return DiskWords(Path(path), access == "ro")
    return DiskWords(Path(text), False)


def _device(text: str) -> Wanted:
    address, comma, how = text.partition(",")
    if comma and how not in ("direct", "trap"):
        raise argparse.ArgumentTypeError(f"{text!r}: give ADDRESS, ADDRESS,direct or ADDRESS,trap")
    return Wanted(address, how or "auto")


def _feature(text: str) -> VcpuFeature:
    name = text.upper().replace("-", "_")
    if name not in FEATURES:
        raise argparse.ArgumentTypeError(f"{text!r}: there are {', '.join(FEATURES)}")
    return VcpuFeature[name]


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)i?B?", text, re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give MiB, or a unit as in 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; give it as 0x9000000") from None
