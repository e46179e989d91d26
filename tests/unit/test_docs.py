# SPDX-License-Identifier: Apache-2.0
"""What is public is documented, in the one form that the design asks for."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

import pytest

import pykvm

_PACKAGE = Path(pykvm.__file__).parent
_MODULES = sorted(
    ".".join(path.relative_to(_PACKAGE).with_suffix("").parts)
    for path in _PACKAGE.rglob("*.py")
    if not path.stem.startswith("__")
)

#: The sections of the docstring of a method that is an ioctl, in order.
_SECTIONS = ("Capability:", "Args:", "Returns:", "Errors:", "Synchronization:", "Source:")
_ALWAYS = ("Capability:", "Synchronization:", "Source:")
#: Ioctls that have no way to fail on a good descriptor, and say so by having no ``Errors:``.
_CANNOT_FAIL = ("Kvm.get_api_version", "Kvm.get_vcpu_mmap_size", "VM.check_extension")


class Member(NamedTuple):
    """A public function, method or property."""

    name: str
    function: FunctionType

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def parameters(self) -> list[str]:
        return [name for name in inspect.signature(self.function).parameters if name != "self"]

    @property
    def is_ioctl(self) -> bool:
        return re.match(r"KVM_[A-Z_]+", self.doc) is not None


def _classes() -> Iterator[type]:
    for name in pykvm.__all__:
        thing = getattr(pykvm, name)
        if isinstance(thing, type):
            yield thing


def _members() -> Iterator[Member]:
    for name in pykvm.__all__:
        thing = getattr(pykvm, name)
        if isinstance(thing, FunctionType):
            yield Member(name, thing)
    for cls in _classes():
        for attribute in dir(cls):
            owner = next((owner for owner in cls.__mro__ if attribute in vars(owner)), type)
            if attribute.startswith("_") or not owner.__module__.startswith("pykvm."):
                continue
            function = member = vars(owner)[attribute]
            if isinstance(member, property):
                function = member.fget
            elif isinstance(member, (classmethod, staticmethod)):
                function = member.__func__
            if isinstance(function, FunctionType):
                yield Member(f"{cls.__name__}.{attribute}", function)


MEMBERS = {member.name: member for member in _members()}
IOCTLS = [name for name, member in MEMBERS.items() if member.is_ioctl]


def test_there_is_something_to_check() -> None:
    assert {"VM.irqfd", "Vcpu.run", "Kvm.create_vm", "reg_id", "EventFd.closed"} <= set(MEMBERS)
    assert {"VM.irqfd", "Vcpu.run", "Kvm.create_vm", "Vgic.init"} <= set(IOCTLS)


@pytest.mark.parametrize("cls", list(_classes()), ids=lambda cls: cls.__name__)
def test_classes(cls: type) -> None:
    assert cls.__doc__
    assert re.search(r"[.:]$", cls.__doc__.strip().splitlines()[0]), "its first line is a sentence"
    # What lives as long as a kernel object says who may use it at once.
    if hasattr(cls, "close") and cls not in (pykvm.VgicV2, pykvm.VgicV3):
        assert "Synchronization:" in cls.__doc__


@pytest.mark.parametrize("name", MEMBERS)
def test_methods(name: str) -> None:
    assert MEMBERS[name].doc, f"{name} has no docstring"
    assert MEMBERS[name].doc.splitlines()[0].rstrip().endswith((".", ","))


@pytest.mark.parametrize("name", IOCTLS)
def test_methods_that_are_an_ioctl(name: str) -> None:
    member = MEMBERS[name]
    lines = member.doc.splitlines()
    found = [word for line in lines for word in _SECTIONS if line.startswith(word)]
    assert found == [word for word in _SECTIONS if word in found], "in this order, each once"
    assert [word for word in _ALWAYS if word not in found] == []
    assert "Args:" in found or not member.parameters
    assert "Errors:" in found or name in _CANNOT_FAIL
    for parameter in member.parameters:
        assert f"``{parameter}``" in member.doc, f"{parameter} is not described"


def test_no_argument_is_called_irq() -> None:
    """A number says its space: ``intid`` or ``gsi``."""
    named = {name for name, member in MEMBERS.items() if "irq" in member.parameters}
    assert named == set()


@pytest.mark.parametrize("module", _MODULES)
def test_names_that_modules_promise(module: str) -> None:
    found = importlib.import_module(f"pykvm.{module}")
    assert found.__doc__
    assert [name for name in found.__all__ if not hasattr(found, name)] == []
    assert len(set(found.__all__)) == len(found.__all__)


def test_names_that_the_package_promises() -> None:
    assert [name for name in pykvm.__all__ if not hasattr(pykvm, name)] == []
    assert sorted(pykvm.__all__) == sorted(set(pykvm.__all__))


def _enums() -> list[type[IntEnum]]:
    modules = [importlib.import_module(f"pykvm.{module}") for module in _MODULES]
    things = [thing for module in modules for thing in vars(module).values()]
    return list({t for t in things if isinstance(t, type) and issubclass(t, IntEnum)})


def test_every_member_of_an_enumeration_is_described() -> None:
    """At run time, where the probe and ``help()`` find it."""
    enums = _enums()
    assert {"Cap", "DeviceType", "VcpuFeature", "SystemEventType"} <= {e.__name__ for e in enums}
    for enum in enums:
        words = [member.__doc__ or "" for member in enum]
        bare = [
            m.name for m in enum if not (m.__doc__ or "").endswith(".") or m.__doc__ == enum.__doc__
        ]
        assert bare == []
        assert len(set(words)) == len(words)


def test_a_described_member_is_its_number() -> None:
    assert pykvm.Cap(32) is pykvm.Cap["IRQFD"] is pykvm.Cap.IRQFD
    assert (pykvm.Cap.IRQFD, f"{pykvm.Cap.IRQFD}", pykvm.Cap.IRQFD + 1) == (32, "32", 33)
    assert pickle.loads(pickle.dumps(pykvm.Cap.IRQFD)) is pykvm.Cap.IRQFD  # noqa: S301 - our own
    with pytest.raises(ValueError, match="99999"):
        pykvm.Cap(99999)
