# SPDX-License-Identifier: Apache-2.0
"""For pytest: tests that say what they require of this host's KVM, and skip with the reason.

::

    @pytest.mark.requires_kvm("gicv3", "ipa_bits >= 44")
    def test_a_machine(): ...

What is required is what ``pykvm probe --require`` takes. The host is asked once, when the first
such test is about to run. A name that does not exist is an error, not a skip. ``kvm_report`` is the
whole :class:`~pykvm.probe.Report`, for tests that look closer.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.probe import Report
    from pykvm.probe.require import Requirement

__all__ = [
    "kvm_report",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
]

_MARK = "requires_kvm"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARK}(*expressions): skip, with the reason, where this host's KVM does not meet these "
        f"(as pykvm probe --require takes them)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reads every expression, so that a wrong one is found wherever the tests run."""
    for item in items:
        _required(item)


def pytest_runtest_setup(item: pytest.Item) -> None:
    unmet = [
        reason
        for requirement in _required(item)
        for reason in requirement.unmet(_report(selftest=_needs_selftest(requirement.names)))
    ]
    if unmet:
        pytest.skip("KVM: " + " ".join(dict.fromkeys(unmet)))


@pytest.fixture(scope="session")
def kvm_report() -> Report:
    """What this host's KVM can do."""
    return _report(selftest=False)


def _required(item: pytest.Item) -> list[Requirement]:
    marks = list(item.iter_markers(_MARK))
    if not marks:
        return []
    from pykvm.probe.require import Requirement, RequirementError

    found = []
    for mark in marks:
        if mark.kwargs or not mark.args:
            raise pytest.UsageError(f"{item.nodeid}: {_MARK} takes one or more expressions")
        for expression in mark.args:
            try:
                found.append(Requirement.parse(str(expression)))
            except RequirementError as wrong:
                raise pytest.UsageError(
                    f"{item.nodeid}: {_MARK}({expression!r}): {wrong}"
                ) from None
    return found


def _needs_selftest(names: Iterable[str]) -> bool:
    return any(name.startswith("selftest_") for name in names)


@cache
def _report(*, selftest: bool) -> Report:
    from pykvm.probe import collect

    return collect(selftest=selftest)
