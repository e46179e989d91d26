# SPDX-License-Identifier: Apache-2.0
"""Every public call from where it cannot work: a forked child, and another architecture."""

from __future__ import annotations

import errno
import inspect
import re
from typing import Any

import pytest

import pykvm
from pykvm import KvmError, KvmUnsupportedError
from tests.kvm.calls import CALLS, Call
from tests.kvm.processes import forked
from tests.kvm.stage import Stage

pytestmark = pytest.mark.binding

#: Objects of the stage whose calls do not ask KVM about one VM: any process may make them.
_FREE = (
    "", "kvm", "memory", "eventfd", "irqfd", "line", "ioeventfd", "loading", "statistics",
    "guest_memfd",
)  # fmt: skip
#: They ask the kernel nothing.
_OWN = (
    "Vcpu.kvm_run", "VM.fileno", "Vcpu.fileno", "Device.fileno", "VcpuThread.fileno",
)  # fmt: skip
_ASKING: dict[str, list[Call]] = {}
for _call in CALLS:
    if _call.on not in _FREE and _call.closed and _call.name not in _OWN:
        _ASKING.setdefault(_call.on, []).append(_call)


def _is_arm64s(call: Call) -> bool:
    """Whether its documentation says so."""
    owner, _, attribute = call.name.partition(".")
    documented = inspect.getattr_static(getattr(pykvm, owner), attribute.rstrip("="))
    return re.search(r"\barm64\.$", inspect.getdoc(documented) or "", re.MULTILINE) is not None


def _on_objects() -> list[Any]:
    needs = {on: calls[0].needs for on, calls in _ASKING.items()}
    return [
        pytest.param(on, marks=[pytest.mark.needs(*names)] if names else [])
        for on, names in needs.items()
    ]


@pytest.mark.parametrize("on", _on_objects())
def test_a_forked_child_is_refused_each_call(on: str) -> None:
    with Stage() as stage:
        calls = [(call, call.valid(stage)) for call in _ASKING[on]]
        assert stage[on]

        def child() -> list[str]:
            return [
                f"{call.name}: {said}" for call, valid in calls if (said := _wrong(valid, call))
            ]

        def _wrong(valid: dict[str, Any], call: Call) -> str:
            try:
                return f"answered {call.made(stage, valid)!r}"
            except KvmUnsupportedError:
                return "" if _is_arm64s(call) else "is not arm64's"
            except KvmError as refusal:
                return "" if refusal.errno == errno.EIO else str(refusal)
            except Exception as other:
                return repr(other)

        assert forked(child) == []


_ARM64S = [pytest.param(call, id=call.name) for call in CALLS if call.on and _is_arm64s(call)]


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize("call", _ARM64S)
def test_another_architecture_is_told(call: Call) -> None:
    with Stage() as stage, pytest.raises(KvmUnsupportedError, match="Nothing was sent"):
        call.made(stage, call.valid(stage))
