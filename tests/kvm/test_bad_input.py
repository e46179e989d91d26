# SPDX-License-Identifier: Apache-2.0
"""Every public call with wrong values for each argument, and on closed objects.

The table is in calls.py. Whatever is wrong: an exception that names what, no descriptor or mapping
left behind, and the object as good as before.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

from pykvm import KvmError, LevelLine
from pykvm._native import ffi
from tests.kvm.calls import CALLS, Call, public_calls
from tests.kvm.footprint import unchanged
from tests.kvm.stage import Stage

pytestmark = pytest.mark.binding


def _rows() -> list[Any]:
    names: list[str] = []
    rows: list[Any] = []
    for call in CALLS:
        names.append(call.name)
        again = names.count(call.name)
        marks = [pytest.mark.needs(*call.needs)] if call.needs else []
        name = call.name if again == 1 else f"{call.name} {again}"
        rows.append(pytest.param(call, id=name, marks=marks))
    return rows


every_call = pytest.mark.parametrize("call", _rows())


def test_the_table_has_every_public_call_and_argument() -> None:
    there = dict(public_calls())
    table: dict[str, set[str]] = {}
    for call in CALLS:
        table.setdefault(call.name, set()).update(call.arguments)
    assert table == there


@every_call
def test_wrong_arguments(call: Call) -> None:
    complaints = []
    with Stage() as stage:
        valid = call.valid(stage)
        _ = call.on and stage[call.on]
        with unchanged(collected=True):
            for name, (_, kind) in call.arguments.items():
                for value, error, word in kind.wrong(name):
                    complaint = _refusal(call, stage, {**valid, name: value}, error, word)
                    if complaint:
                        complaints.append(f"{name}={value!r}: {complaint}")
    assert not complaints, "\n" + "\n".join(complaints)


def _refusal(
    call: Call, stage: Stage, arguments: dict[str, object], error: type[Exception], word: str
) -> str:
    """What is wrong with how the call refuses these arguments, or nothing."""
    try:
        call.made(stage, arguments)
    except error as refusal:
        return "" if word in str(refusal) else f"{word!r} is not in {refusal!s}"
    except Exception as other:
        return f"{other!r}, not {error.__name__}"
    return "was accepted"


@every_call
def test_valid_arguments_after_wrong_ones(call: Call) -> None:
    """The object is as good as before; numbers may come in any form that Python takes for one."""
    if call.name == "set_kick_signal":
        return  # for good in a process: test_signals.py
    for right in _right_arguments(call):
        with unchanged(collected=True), Stage() as stage:
            valid = call.valid(stage)
            _ = call.on and stage[call.on]
            for wrong_name, (_, wrong_kind) in call.arguments.items():
                first = next(wrong_kind.wrong(wrong_name), None)
                if first:
                    with pytest.raises(first.error):
                        call.made(stage, {**valid, wrong_name: first.value})
            made = _made_or_refused(call, stage, {**valid, **right})
            if isinstance(made, memoryview):
                made.release()
            elif hasattr(made, "close") and not call.is_property:
                made.close()


def _right_arguments(call: Call) -> list[dict[str, object]]:
    """None, then every argument in its first other form, then in its second, …"""
    forms = {name: kind.right(value) for name, (value, kind) in call.arguments.items()}
    most = max(map(len, forms.values()), default=0)
    return [{}] + [
        {name: right[turn] for name, right in forms.items() if turn < len(right)}
        for turn in range(most)
    ]


def _made_or_refused(call: Call, stage: Stage, arguments: dict[str, object]) -> object:
    """The result. The kernel may refuse what this machine has not: an error of its own."""
    try:
        made = call.made(stage, arguments)
    except KvmError:
        return None
    for value in made if isinstance(made, (list, tuple)) else [made]:
        assert not isinstance(value, ffi.CData), "a cffi reference does not keep its owner alive"
    return made


@every_call
def test_on_a_closed_object(call: Call) -> None:
    if not call.on:
        return
    with Stage() as stage:
        valid = call.valid(stage)
        subject = stage[call.on]
        (subject.irqfd if isinstance(subject, LevelLine) else subject).close()
        gc.collect()
        with unchanged(collected=True):
            if call.closed is None:
                call.made(stage, valid)
            else:
                with pytest.raises(call.closed, match="is closed"):
                    call.made(stage, valid)
            assert "closed" in repr(subject)
