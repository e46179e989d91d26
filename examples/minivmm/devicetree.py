# SPDX-License-Identifier: Apache-2.0
"""What the guest is told of its machine: the device tree.

One function for each kind of thing, in the words of the kernel's own bindings
(Documentation/devicetree/bindings). The tree is put together by the package ``fdt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import fdt

from minivmm import layout
from minivmm.gic import Gic
from minivmm.layout import KIB

if TYPE_CHECKING:
    from minivmm.vfio.assign import Assigned

Value = str | Sequence[str] | int | Sequence[int] | bytes | bool

_GIC, _CLOCK, _MSI = 1, 2, 3  # phandles: how one node names another
_SPI, _PPI = 0, 1
_EDGE, _LEVEL, _LEVEL_LOW = 1, 4, 8
_FIRST_SPI, _FIRST_PPI = 32, 16


class Board(NamedTuple):
    """Everything that the tree tells."""

    ram: range
    affinities: Sequence[int]
    gic: Gic
    uart: str = "pl011"
    uart_address: int = layout.UART
    has_rtc: bool = True
    has_pmu: bool = False
    virtio_slots: Sequence[int] = ()
    assigned: Sequence[Assigned] = ()
    command_line: str = ""
    initrd: range | None = None
    seed: bytes = b""


def build(board: Board) -> bytes:
    """The flattened tree, as it lies in the guest's memory."""
    root = _node(
        "/",
        {
            "compatible": "linux,dummy-virt",
            "model": "pykvm minivmm",
            "#address-cells": 2,
            "#size-cells": 2,
            "interrupt-parent": _GIC,
            "dma-coherent": True,
        },
        _chosen(board),
        _memory(board.ram),
        _cpus(board.affinities),
        _psci(),
        _timer(len(board.affinities) if board.gic.version == 2 else 0),
        _gic_v3(board.gic) if board.gic.version == 3 else _gic_v2(),
        _clock(),
        _uart(board.uart, board.uart_address),
        *([_rtc()] if board.has_rtc else []),
        *([_pmu()] if board.has_pmu else []),
        *(_virtio(slot) for slot in board.virtio_slots),
        *map(_assigned, board.assigned),
    )
    tree = fdt.FDT()
    tree.header.version, tree.header.last_comp_version = 17, 16
    tree.root = root
    return bytes(tree.to_dtb())


def _chosen(board: Board) -> fdt.Node:
    told: dict[str, Value] = {"stdout-path": _uart_path(board.uart, board.uart_address)}
    # As bytes: the command line goes in exactly as it was given.
    told["bootargs"] = board.command_line.encode("utf-8", "surrogateescape") + b"\0"
    if board.initrd:
        told["linux,initrd-start"] = _cells64(board.initrd.start)
        told["linux,initrd-end"] = _cells64(board.initrd.stop)
    if board.seed:
        told["rng-seed"] = board.seed
    return _node("chosen", told)


def _memory(ram: range) -> fdt.Node:
    where = _region(ram.start, len(ram))
    return _node(f"memory@{ram.start:x}", {"device_type": "memory", "reg": where})


def _cpus(affinities: Sequence[int]) -> fdt.Node:
    cpus = [
        _node(
            f"cpu@{affinity:x}",
            {
                "device_type": "cpu",
                "compatible": "arm,armv8",
                "reg": affinity,
                "enable-method": "psci",
            },
        )
        for affinity in affinities
    ]
    return _node("cpus", {"#address-cells": 1, "#size-cells": 0}, *cpus)


def _psci() -> fdt.Node:
    return _node("psci", {"compatible": ["arm,psci-1.0", "arm,psci-0.2"], "method": "hvc"})


def _timer(gic_v2_cpus: int) -> fdt.Node:
    # A GICv2's cells also name the CPUs that a private interrupt has.
    cpus = ((1 << gic_v2_cpus) - 1) << 8
    lines = [(_PPI, intid - _FIRST_PPI, _LEVEL_LOW | cpus) for intid in layout.TIMER_INTIDS]
    return _node(
        "timer",
        {
            "compatible": "arm,armv8-timer",
            "interrupts": [cell for line in lines for cell in line],
            "always-on": True,
        },
    )


def _gic_v2() -> fdt.Node:
    return _node(
        f"interrupt-controller@{layout.GICD:x}",
        {
            "compatible": "arm,cortex-a15-gic",
            "reg": [*_region(layout.GICD, 4 * KIB), *_region(layout.GICC, 8 * KIB)],
            "interrupt-controller": True,
            "#interrupt-cells": 3,
            "#address-cells": 0,
            "phandle": _GIC,
        },
    )


def _gic_v3(gic: Gic) -> fdt.Node:
    told: dict[str, Value] = {
        "compatible": "arm,gic-v3",
        "reg": [
            *_region(layout.GICD, 64 * KIB),
            *(
                cell
                for address, count in gic.redistributors
                for cell in _region(address, count * layout.GICR_SIZE)
            ),
        ],
        "#redistributor-regions": len(gic.redistributors),
        "interrupt-controller": True,
        "#interrupt-cells": 3,
        "phandle": _GIC,
    }
    name = f"interrupt-controller@{layout.GICD:x}"
    if not gic.has_its:
        return _node(name, {**told, "#address-cells": 0})
    its = _node(
        f"msi-controller@{layout.ITS:x}",
        {
            "compatible": "arm,gic-v3-its",
            "reg": _region(layout.ITS, layout.ITS_SIZE),
            "msi-controller": True,
            "#msi-cells": 1,
            "phandle": _MSI,
        },
    )
    return _node(name, {**told, "#address-cells": 2, "#size-cells": 2, "ranges": True}, its)


def _clock() -> fdt.Node:
    """What PrimeCell devices count by: a 24 MHz clock that never stops."""
    return _node(
        "apb-pclk",
        {
            "compatible": "fixed-clock",
            "#clock-cells": 0,
            "clock-frequency": 24_000_000,
            "phandle": _CLOCK,
        },
    )


def _uart_path(kind: str, address: int) -> str:
    return f"/serial@{address:x}"


def _uart(kind: str, address: int) -> fdt.Node:
    told: dict[str, Value] = {
        "reg": _region(address, layout.UART_SIZE),
        "interrupts": _spi(layout.UART_INTID, _LEVEL),
    }
    if kind == "pl011":
        told["compatible"] = ["arm,pl011", "arm,primecell"]
        told["clocks"] = [_CLOCK, _CLOCK]
        told["clock-names"] = ["uartclk", "apb_pclk"]
    else:
        told["compatible"] = "ns16550a"
        told["clock-frequency"] = 1_843_200
    return _node(_uart_path(kind, address)[1:], told)


def _rtc() -> fdt.Node:
    return _node(
        f"rtc@{layout.RTC:x}",
        {
            "compatible": ["arm,pl031", "arm,primecell"],
            "reg": _region(layout.RTC, layout.RTC_SIZE),
            "interrupts": _spi(layout.RTC_INTID, _LEVEL),
            "clocks": _CLOCK,
            "clock-names": "apb_pclk",
        },
    )


def _pmu() -> fdt.Node:
    line = (_PPI, layout.PMU_INTID - _FIRST_PPI, _LEVEL)
    return _node("pmu", {"compatible": "arm,armv8-pmuv3", "interrupts": line})


def _virtio(slot: int) -> fdt.Node:
    address = layout.VIRTIO + slot * layout.VIRTIO_SIZE
    return _node(
        f"virtio_mmio@{address:x}",
        {
            "compatible": "virtio,mmio",
            "reg": _region(address, layout.VIRTIO_SIZE),
            "interrupts": _spi(layout.VIRTIO_INTID + slot, _EDGE),
            "dma-coherent": True,
        },
    )


def _assigned(device: Assigned) -> fdt.Node:
    return _node(
        f"{device.kind.compatible}@{device.gpa:x}",
        {
            "compatible": device.kind.compatible,
            "reg": _region(device.gpa, device.size),
            "interrupts": _spi(device.intid, _LEVEL if device.level else _EDGE),
            "dma-coherent": True,
        },
    )


def _spi(intid: int, trigger: int) -> tuple[int, int, int]:
    return _SPI, intid - _FIRST_SPI, trigger


def _cells64(number: int) -> tuple[int, int]:
    return number >> 32, number & 0xFFFF_FFFF


def _region(address: int, size: int) -> tuple[int, ...]:
    return *_cells64(address), *_cells64(size)


def _node(name: str, properties: dict[str, Value], *children: fdt.Node) -> fdt.Node:
    node = fdt.Node(name)
    for key, value in properties.items():
        node.append(_property(key, value))
    for child in children:
        node.append(child)
    return node


def _property(name: str, value: Value) -> fdt.Property:
    if value is True:
        return fdt.Property(name)
    if isinstance(value, bytes):
        return fdt.PropBytes(name, data=value)
    if isinstance(value, str):
        return fdt.PropStrings(name, value)
    if isinstance(value, int):
        return fdt.PropWords(name, value)
    kind = fdt.PropStrings if isinstance(value[0], str) else fdt.PropWords
    return kind(name, *value)
