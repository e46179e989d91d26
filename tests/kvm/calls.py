# SPDX-License-Identifier: Apache-2.0
"""Every public call, with arguments that are valid, and what kind each argument is of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import FunctionType, MappingProxyType
from typing import Any, NamedTuple

import pykvm
from pykvm import Cap, ClosedError, DeviceType, MsiRoute, SpiRoute, VcpuFeature
from tests.kvm.kinds import Anything, Buffer, Descriptor, Int, Kind, Other, Seconds, Several, Wrong
from tests.kvm.machines import DOORBELL_GPA, MEMORY_GPA, MEMORY_SIZE
from tests.kvm.stage import Stage, awaited

U31, U32, U64 = 2**31 - 1, 2**32 - 1, 2**64 - 1
#: Stands for an object of the stage as the valid value.
Staged = Callable[[Stage], Any]


class Call(NamedTuple):
    """One way to make a call.

    ``on`` names the object of the stage, and is empty for functions and constructors.
    ``arguments`` are (valid value, kind) by name. ``closed`` is what a closed object answers:
    ClosedError, or None where it just works. ``awaited`` is a coroutine, which may wait for ever.
    """

    name: str
    on: str
    arguments: Mapping[str, tuple[Any, Kind]] = MappingProxyType({})
    closed: type[Exception] | None = ClosedError
    awaited: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """What of a host the object needs."""
        v3 = ("vgicv3",)
        own = {"vgicv2": ("vgicv2",), "vgicv3": v3, "its": v3, "placed_its": v3, "vgic": ("arm64",)}
        return own.get(self.on, ())

    @property
    def is_property(self) -> bool:
        """Whether it shows a part of its object, which is not the caller's to close."""
        owner, _, attribute = self.name.partition(".")
        return isinstance(vars(getattr(pykvm, owner)).get(attribute), property)

    def valid(self, stage: Stage) -> dict[str, Any]:
        given = {name: value for name, (value, _) in self.arguments.items()}
        return {n: v(stage) if isinstance(v, FunctionType) else v for n, v in given.items()}

    def made(self, stage: Stage, arguments: dict[str, Any]) -> Any:
        """Makes the call."""
        owner, _, attribute = self.name.partition(".")
        if not attribute:
            return getattr(pykvm, owner)(**arguments)
        target = stage[self.on] if self.on else getattr(pykvm, owner)
        if attribute.endswith("="):
            return setattr(target, attribute[:-1], *arguments.values())
        found = getattr(target, attribute)
        if self.awaited:
            return awaited(found(**arguments))
        return found(**arguments) if callable(found) else found


_PATH = Other(
    *(Wrong(value, TypeError, "PathLike") for value in (None, 5, 5.0, [], object())),
    Wrong("a\0b", ValueError, "null"),
    Wrong("", pykvm.KvmError, "open(path='')"),
)
_MEMORY = Other(
    *(Wrong(v, TypeError, "memory") for v in (None, 5, b"", bytearray(MEMORY_SIZE), object()))
)
_REG = Other(
    *(Wrong(value, TypeError, "reg") for value in (None, 5.0, b"pc", [5], object(), True)),
    *(Wrong(value, ValueError, "reg") for value in (-1, 2**64, 2**70, "", "x31", "s3_8_c0_c0_0")),
    Wrong("s3_0_c99_c0_0", ValueError, "crn is 0x63"),
)
_RAW = Other(
    *(Wrong(value, TypeError, "argument") for value in (None, "x", b"", 1.5, [1], object(), True)),
    *(Wrong(value, ValueError, "argument") for value in (-1, 2**64)),
)
_ROUTES = Other(
    *(Wrong(value, TypeError, "route") for value in (None, 5, object(), [5], [(8, 40)], "ab")),
    *(Wrong([SpiRoute(gsi, 40)], ValueError, "gsi") for gsi in (-1, 4096, 2**70)),
    *(Wrong([SpiRoute(8, intid)], ValueError, "intid") for intid in (-1, 0, 31, 1020, 2**70)),
    *(Wrong([MsiRoute(8, gpa, 0, 0)], ValueError, "address") for gpa in (-1, 2**64)),
    *(Wrong([MsiRoute(8, 0, data, 0)], ValueError, "data") for data in (-1, 2**32)),
    *(Wrong([MsiRoute(8, 0, 0, devid)], ValueError, "devid") for devid in (-1, 2**32)),
    *(Wrong([SpiRoute(gsi, 40)], TypeError, "gsi") for gsi in ("8", 8.0, None, True)),  # type: ignore[arg-type]
    Wrong([SpiRoute(8, 40), SpiRoute(8, 41)], ValueError, "gsi 8 has two routes"),
)
_LEVEL = Other(*(Wrong(v, TypeError, "irqfd") for v in (None, 5, object(), True)))
_WANTS = Other(*(Wrong(v, TypeError, "wants") for v in (None, 5, object(), True)))
_SIZE = Int(1, 1 << 52)
_REQUEST = {"request": (0xAE03, Int(0, U32)), "argument": (3, _RAW)}
_ATTRIBUTE = {"group": (99, Int(0, U32)), "attr": (0, Int(0, U64))}
_LEVEL_IRQFD: Staged = lambda stage: stage["level"]  # noqa: E731
#: True and False, or a descriptor: a bool is right here.
_RESAMPLE = Descriptor(bools=True)
_OPEN_EVENTFD = (lambda stage: stage["eventfd"], Descriptor(none=True))
#: A core register of arm64, without a table of names; elsewhere the kernel refuses the id.
_X0 = 0x6030000000100000

CALLS: list[Call] = [
    Call("Kvm", "", {"path": ("/dev/kvm", _PATH)}),
    Call("Kvm.adopt", "", {"given": (lambda stage: stage["kvm"], Descriptor())}),
    Call("Kvm.adopt_vm", "kvm", {"given": (lambda stage: stage["vm"], Descriptor())}),
    Call("Kvm.check_extension", "kvm", {"cap": (Cap.IRQFD, Int(0, U32, bools=True))}),
    Call("Kvm.close", "kvm", closed=None),
    Call("Kvm.closed", "kvm", closed=None),
    Call("Kvm.create_vm", "kvm", {"ipa_bits": (0, Int(0, 255))}),
    Call("Kvm.fileno", "kvm"),
    Call("Kvm.get_api_version", "kvm"),
    Call("Kvm.get_vcpu_mmap_size", "kvm"),
    Call(
        "VM.add_memory",
        "vm",
        {
            "gpa": (MEMORY_GPA, Int(0, U64)),
            "memory": (lambda stage: stage["memory"], _MEMORY),
            "offset": (0, Int(0, MEMORY_SIZE)),
            "size": (MEMORY_SIZE, Int(1, MEMORY_SIZE, none=True)),
            "slot": (3, Int(0, 2**16 - 1, none=True)),
            "readonly": (False, Anything()),
        },
    ),
    Call("VM.arm_preferred_target", "vm"),
    Call("VM.check_extension", "vm", {"cap": (Cap.IRQFD, Int(0, U32))}),
    Call("VM.close", "vm", closed=None),
    Call("VM.closed", "vm", closed=None),
    Call("VM.create_device", "vm", {"type": (DeviceType.VFIO, Int(0, U32))}),
    Call("VM.create_vcpu", "vm", {"vcpu_id": (0, Int(0, U31))}),
    Call(
        "VM.create_vgic",
        "vm",
        {"version": (3, Int(2, 3, none=True)), "allow_implicit_init": (False, Anything())},
    ),
    Call("VM.fileno", "vm"),
    Call("VM.has_device", "vm", {"type": (DeviceType.VFIO, Int(0, U32))}),
    Call(
        "VM.ioeventfd",
        "vm",
        {
            "gpa": (DOORBELL_GPA, Int(0, U64)),
            "size": (4, Int(0, 8)),
            "datamatch": (7, Int(0, U32, none=True)),
            "eventfd": _OPEN_EVENTFD,
        },
    ),
    Call("VM.ioctl", "vm", _REQUEST),
    Call(
        "VM.irq_line",
        "wired",
        {
            "intid": (40, Int(32, 1019)),
            "level": (1, Int(0, 1, bools=True)),
            "vcpu_id": (None, Anything()),
        },
    ),
    Call(
        "VM.irq_line",
        "wired",
        {
            "intid": (20, Int(16, 31)),
            "level": (True, Int(0, 1, bools=True)),
            "vcpu_id": (0, Int(0, 4095, none=True)),
        },
    ),
    Call(
        "VM.irqfd",
        "wired",
        {
            "intid": (40, Int(32, 1019, none=True)),
            "eventfd": _OPEN_EVENTFD,
            "resample": (True, _RESAMPLE),
            "allow_unrouted": (False, Anything()),
        },
    ),
    Call(
        "VM.irqfd", "wired", {"gsi": (8, Int(0, U32, none=True)), "allow_unrouted": (1, Anything())}
    ),
    Call("VM.set_gsi_routing", "wired", {"routes": ([SpiRoute(8, 40)], _ROUTES)}),
    Call(
        "VM.signal_msi",
        "wired",
        {
            "address": (0x8090040, Int(0, U64)),
            "data": (0, Int(0, U32)),
            "devid": (8, Int(0, U32, none=True)),
        },
    ),
    Call("VM.create_its", "vm"),
    Call(
        "Vcpu.arm_vcpu_init",
        "vcpu",
        {
            "features": ([VcpuFeature.PSCI_0_2], Several(Int(0, 223))),
            "target": (5, Int(0, U32, none=True)),
        },
    ),
    Call("Vcpu.close", "vcpu", closed=None),
    Call("Vcpu.closed", "vcpu", closed=None),
    Call("Vcpu.fileno", "vcpu"),
    Call("Vcpu.get_one_reg", "vcpu", {"reg": (_X0, _REG)}),
    Call("Vcpu.get_reg_list", "vcpu"),
    Call("Vcpu.ioctl", "vcpu", _REQUEST),
    Call("Vcpu.kick", "vcpu"),
    Call("Vcpu.kvm_run", "vcpu"),
    Call("Vcpu.mmio_reply", "loading", {"value": (5, Buffer())}),
    Call("Vcpu.run", "running"),
    Call("Vcpu.set_one_reg", "vcpu", {"reg": (_X0, _REG), "value": (5, Int(0, U64))}),
    Call("EventFd", "", {"count": (5, Int(0, U32))}),
    Call("EventFd.adopt", "", {"given": (lambda stage: stage["eventfd"], Descriptor())}),
    Call("EventFd.close", "eventfd", closed=None),
    Call("EventFd.closed", "eventfd", closed=None),
    Call("EventFd.fileno", "eventfd"),
    Call("EventFd.poll", "eventfd", {"timeout": (0, Seconds())}),
    Call("EventFd.read", "eventfd"),
    Call("EventFd.readable", "eventfd", awaited=True),
    Call("EventFd.signal", "eventfd", {"count": (5, Int(1, 2**64 - 2))}),
    Call("EventFd.wait", "eventfd", {"timeout": (0, Seconds())}),
    Call("GuestMemory", "", {"size": (MEMORY_SIZE, _SIZE), "huge_pages": (False, Anything())}),
    Call("GuestMemory.close", "memory", closed=None),
    Call("GuestMemory.closed", "memory", closed=None),
    Call(
        "GuestMemory.file",
        "",
        {
            "given": (lambda stage: stage["file"], Descriptor()),
            "size": (MEMORY_SIZE, _SIZE),
            "offset": (0, Int(0, 1 << 52)),
            "private": (False, Anything()),
        },
    ),
    Call("GuestMemory.memfd", "", {"size": (MEMORY_SIZE, _SIZE), "hugetlb": (False, Anything())}),
    Call(
        "GuestMemory.read",
        "memory",
        {"offset": (0, Int(0, MEMORY_SIZE)), "size": (16, Int(0, MEMORY_SIZE))},
    ),
    Call("GuestMemory.size", "memory", closed=None),
    Call(
        "GuestMemory.view",
        "memory",
        {"offset": (0, Int(0, MEMORY_SIZE)), "size": (16, Int(0, MEMORY_SIZE, none=True))},
    ),
    Call(
        "GuestMemory.write",
        "memory",
        {"offset": (0, Int(0, MEMORY_SIZE)), "data": (b"bytes", Buffer())},
    ),
    Call("MemorySlot.close", "slot", closed=None),
    Call("MemorySlot.closed", "slot", closed=None),
    Call("Irqfd.close", "irqfd", closed=None),
    Call("Irqfd.closed", "irqfd", closed=None),
    Call("Irqfd.inject", "irqfd"),
    Call("Irqfd.resample", "irqfd", closed=None),
    Call("Irqfd.trigger", "irqfd", closed=None),
    Call("LevelLine", "", {"irqfd": (_LEVEL_IRQFD, _LEVEL), "wants": (bool, _WANTS)}),
    Call("LevelLine.ended", "line"),
    Call("LevelLine.ends", "line", closed=None),
    Call("LevelLine.fileno", "line"),
    Call("LevelLine.irqfd", "line", closed=None),
    Call("LevelLine.serve", "line", awaited=True),
    Call("LevelLine.up", "line", closed=None),
    Call("LevelLine.update", "line"),
    Call("LevelLine.wait", "line", {"timeout": (0, Seconds())}),
    Call("Ioeventfd.close", "ioeventfd", closed=None),
    Call("Ioeventfd.closed", "ioeventfd", closed=None),
    Call("Ioeventfd.eventfd", "ioeventfd", closed=None),
    Call("Device.close", "device", closed=None),
    Call("Device.closed", "device", closed=None),
    Call("Device.fileno", "device"),
    Call("Device.get_device_attr", "device", {**_ATTRIBUTE, "value": (bytes(4), Buffer())}),
    Call("Device.has_device_attr", "device", _ATTRIBUTE),
    Call("Device.ioctl", "device", _REQUEST),
    Call(
        "Device.set_device_attr", "device", {**_ATTRIBUTE, "value": (bytes(4), Buffer(none=True))}
    ),
    Call("Vgic.init", "vgic"),
    Call("Vgic.nr_irqs", "vgic"),
    Call("Vgic.nr_irqs=", "vgic", {"nr_irqs": (64, Int(0, U32))}),
    Call("Vgic.trigger_of", "vgic", {"intid": (40, Int(32, 1019))}),
    Call("VgicIts.addr", "its"),
    Call("VgicIts.addr=", "its", {"addr": (0x8080000, Int(0, U64))}),
    Call("VgicIts.doorbell", "placed_its"),
    Call("VgicIts.init", "its"),
    Call("VgicV2.cpu_addr", "vgicv2"),
    Call("VgicV2.cpu_addr=", "vgicv2", {"cpu_addr": (0x8010000, Int(0, U64))}),
    Call("VgicV2.dist_addr", "vgicv2"),
    Call("VgicV2.dist_addr=", "vgicv2", {"dist_addr": (0x8000000, Int(0, U64))}),
    Call(
        "VgicV3.add_redist_region",
        "vgicv3",
        {
            "gpa": (0x80A0000, Int(0, 2**52 - 1)),
            "count": (1, Int(1, 4095)),
            "index": (0, Int(0, 4095)),
        },
    ),
    Call("VgicV3.dist_addr", "vgicv3"),
    Call("VgicV3.dist_addr=", "vgicv3", {"dist_addr": (0x8000000, Int(0, U64))}),
    Call("VgicV3.maint_irq", "vgicv3"),
    Call("VgicV3.maint_irq=", "vgicv3", {"maint_irq": (25, Int(0, U32))}),
    Call("VgicV3.redist_addr", "vgicv3"),
    Call("VgicV3.redist_addr=", "vgicv3", {"redist_addr": (0x80A0000, Int(0, U64))}),
    Call("reg_id", "", {"reg": ("pc", _REG)}),
    Call("reg_name", "", {"reg": (_X0, Int(0, U64))}),
    Call("reg_size", "", {"reg": (_X0, Int(0, U64))}),
    Call("set_kick_signal", "", {"signum": (None, Int(1, 64))}),
    Call(
        "sysreg",
        "",
        {
            "op0": (3, Int(0, 3)),
            "op1": (0, Int(0, 7)),
            "crn": (0, Int(0, 15)),
            "crm": (0, Int(0, 15)),
            "op2": (5, Int(0, 7)),
        },
    ),
]


def public_calls() -> Iterator[tuple[str, set[str]]]:
    """Every public call of the package, and its arguments, found by looking."""
    exported = [getattr(pykvm, name) for name in pykvm.__all__]
    for thing in exported:
        if isinstance(thing, FunctionType):
            yield thing.__name__, set(inspect.signature(thing).parameters)
        if not isinstance(thing, type) or issubclass(thing, (Enum, Exception, tuple)):
            continue
        arguments = set(inspect.signature(thing).parameters)
        if not arguments & {"vm", "core", "vm_core"}:  # else only other objects construct it
            yield thing.__name__, arguments
        for name, owner, member in _members(thing):
            if owner is not thing and owner in exported:
                continue
            full = f"{thing.__name__}.{name}"
            if isinstance(member, property):
                yield full, set()
                if member.fset is not None:
                    yield f"{full}=", {name}
            elif isinstance(member, (FunctionType, classmethod)):
                yield full, set(inspect.signature(getattr(thing, name)).parameters) - {"self"}


def _members(thing: type) -> Iterator[tuple[str, type, object]]:
    """Name, defining class and definition of what a class has, with what it inherits."""
    for name in dir(thing):
        if not name.startswith("_"):
            owner = next(cls for cls in thing.__mro__ if name in vars(cls))
            yield name, owner, vars(owner)[name]
