# SPDX-License-Identifier: Apache-2.0
"""``@pytest.mark.needs(NAME, ...)``: a test for hosts with a property (``tests/properties.py``).

It is the only way to skip. A skip for another reason, and an expected failure, count as failures:
they would hide a test from every host at once, and nobody would look again.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.plugin.tiers import TIERS, tier_of
from tests.properties import PROPERTIES, holds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pykvm").addoption(
        "--only-needing", metavar="NAME", help="run only tests that need this property of a host"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"needs(*names): properties that the host must have: {', '.join(PROPERTIES)}"
    )


def _needed(item: pytest.Item) -> list[str]:
    """The properties that a test needs, the most general first."""
    names = list(TIERS[tier_of(item)])
    for marker in reversed(list(item.iter_markers("needs"))):
        names += marker.args
    return names


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name in _needed(item):
            if name not in PROPERTIES:
                raise pytest.UsageError(
                    f"{item.nodeid} needs {name!r}, which is no property of a host: there are "
                    f"{', '.join(PROPERTIES)}. tests/properties.py is where a new one goes."
                )
        for marker in item.iter_markers("needs"):
            if marker.kwargs or not marker.args:
                raise pytest.UsageError(f"{item.nodeid}: needs() takes names, at least one")
    wanted = config.getoption("only_needing")
    if wanted is not None:
        chosen = [item for item in items if _needs_of_its_kind(item, wanted)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _needs_of_its_kind(item: pytest.Item, name: str) -> bool:
    """Whether a test needs this property, or a special case of it: el2_e2h0 is one of el2."""
    return any(each == name or each.startswith(f"{name}_") for each in _needed(item))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in _needed(item):
        try:
            held = holds(name)
        except Exception as fault:
            pytest.fail(
                f"cannot tell whether this host has {name!r}, because trying it went wrong: "
                f"{type(fault).__name__}: {fault}",
                pytrace=False,
            )
        if not held:
            pytest.skip(f"needs {name}")


def property_in(reason: str) -> str | None:
    """The property that a skip's reason names; None for any other reason."""
    name = reason.removeprefix("Skipped: needs ")
    return name if name != reason and name in PROPERTIES else None


def _is_allowed(report: pytest.TestReport | pytest.CollectReport) -> bool:
    if hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return False
    name = property_in(report.longrepr[2])
    return name is not None and not holds(name)


def _refuse_other_skips(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or _is_allowed(report):
        return
    if hasattr(report, "wasxfail"):
        what = f"expected to fail: {report.wasxfail or 'no reason given'}"
        del report.wasxfail
    elif isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        what = f"{path}:{line}: {reason}"
    else:
        what = str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = (
        f"{what}\n"
        f"A test may be skipped only where the host lacks what it needs: mark it with "
        f'@pytest.mark.needs("NAME"); tests/properties.py has the names.'
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_other_skips(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_other_skips(report)
    return report
