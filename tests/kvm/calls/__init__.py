# SPDX-License-Identifier: Apache-2.0
"""Every public call, with arguments that are valid, and what kind each argument is of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from types import FunctionType

import pykvm
from tests.kvm.calls import devices, enable, events, functions, memory, system, vcpu, vgic, vm
from tests.kvm.calls.table import Call

__all__ = ["CALLS", "Call", "public_calls"]

CALLS: list[Call] = [
    call
    for module in (system, vm, enable, vcpu, memory, events, devices, vgic, functions)
    for call in module.CALLS
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
            bases = [base for base in thing.__mro__[1:] if base in exported]
            if any(issubclass(base, owner) for base in bases):
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
