# SPDX-License-Identifier: Apache-2.0
"""The devices that guests are given, and how a stock Linux there comes to what is behind them."""

from __future__ import annotations

from typing import NamedTuple

#: Modules that guests need beyond those that they always have.
MODULES = (
    "ahci_platform", "ehci_platform", "xhci_plat_hcd", "ohci_platform",
    "sd_mod", "usb_storage", "uas", "usbhid", "hid_generic",
)  # fmt: skip


class Kind(NamedTuple):
    """``modules``: in the guest. ``disk``: its node there, or "" where none is behind it.

    ``reads``: how many make up a measurement.
    """

    name: str
    modules: tuple[str, ...]
    disk: str = "/dev/sda"
    reads: int = 2000


KINDS = {
    kind.name: kind
    for kind in (
        Kind("ahci", ("ahci_platform", "sd_mod")),
        Kind("ehci", ("ehci_platform", "usb_storage", "sd_mod"), reads=250),
        Kind("xhci", ("xhci_plat_hcd", "usb_storage", "sd_mod")),
        Kind("ohci", ("ohci_platform", "usbhid", "hid_generic"), ""),
        Kind("virtio", ("virtio_mmio", "virtio_blk"), "/dev/vda"),
    )
}

MIB = 1 << 20
#: What guests read, and where they write.
READ_SIZE, WRITE_SIZE, WRITE_AT = 8 * MIB, 2 * MIB, 32 * MIB


def script(kind: Kind, *, repeats: int = 1, patience: int = 30) -> str:
    """What a guest does, as its init's shell script.

    It waits for the device ``patience`` seconds, and at each mark for a line of input.

    Marks: ``mark ready`` (or ``mark nothing``), ``mark before``, ``mark after``, ``mark done``.
    Without ``repeats`` it looks for the device, and that is all.
    """
    look = f"[ -b {kind.disk} ]" if kind.disk else "grep -q Keyboard /proc/bus/input/devices"
    load = "; ".join(f"modprobe {name}" for name in kind.modules)
    lines = [
        load,
        f"n=0; until {look} || [ $n -gt {10 * patience} ]; do n=$((n+1)); sleep 0.1; done",
    ]
    lines += [f"{look} && echo mark ready || echo mark nothing; read x"]
    if kind.disk and repeats:
        disk = kind.disk
        lines += [
            f"echo md5 $(dd if={disk} bs=1M count={READ_SIZE // MIB} 2>/dev/null | md5sum)",
            f"dd if=/dev/urandom of=/tmp/w bs=1M count={WRITE_SIZE // MIB} 2>/dev/null",
            f"dd if=/tmp/w of={disk} bs=1M seek={WRITE_AT // MIB} oflag=direct 2>/dev/null",
            f"dd if={disk} of=/tmp/r bs=1M skip={WRITE_AT // MIB} count={WRITE_SIZE // MIB} "
            "iflag=direct 2>/dev/null",
            "cmp /tmp/w /tmp/r && echo written and read",
            "echo mark before; read x",
            # What it has to say it keeps for later: nothing but its reads is to be counted.
            f"t=; for i in $(seq {repeats}); do a=$(cut -f1 -d. /proc/uptime)$(cut -f2 -d. "
            f"/proc/uptime | cut -c1-2); dd if={disk} of=/dev/null bs=4k count={kind.reads} "
            "iflag=direct 2>/dev/null; b=$(cut -f1 -d. /proc/uptime)$(cut -f2 -d. /proc/uptime | "
            "cut -c1-2); t=$t,$((b-a)); done",
            "echo mark after; read x; echo centiseconds $t",
        ]
    lines += ["echo irq $(grep -e generic- -e hcd /proc/interrupts)", "echo mark done; read x"]
    return "; ".join([*lines, "poweroff -f"])
