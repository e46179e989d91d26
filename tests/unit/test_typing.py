# SPDX-License-Identifier: Apache-2.0
"""What users' type checkers see: every public name with its type, and nothing of cffi's.

tests/typing uses each of them; that it passes mypy --strict is the part `types` of the runner.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pykvm
from tests.kvm.calls import public_calls
from tests.unit.test_docs import MEMBERS

_PROGRAMS = [*Path(__file__).parents[1].glob("typing/*.py")]


def _used() -> set[str]:
    """The names that the programs call, read or set."""
    found = set()
    for program in _PROGRAMS:
        for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found.add(f"{node.attr}=" if isinstance(node.ctx, ast.Store) else node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
    return found


def test_every_public_call_is_in_a_program() -> None:
    used = _used()
    missing = [name for name, _ in public_calls() if name.rpartition(".")[2] not in used]
    assert missing == []


@pytest.mark.parametrize("name", MEMBERS)
def test_types_are_told_and_are_pythons(name: str) -> None:
    signature = inspect.signature(MEMBERS[name].function)
    told = [parameter.annotation for parameter in signature.parameters.values()]
    told = [*told[name.count(".") :], signature.return_annotation]
    for annotation in told:
        assert annotation is not inspect.Signature.empty
        assert not re.search(r"\b(Any|CData|object|cffi|ffi)\b", str(annotation)), annotation


def test_the_marker_for_type_checkers_is_there() -> None:
    assert (Path(pykvm.__file__).parent / "py.typed").exists()
