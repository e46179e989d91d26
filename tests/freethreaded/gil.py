# SPDX-License-Identifier: Apache-2.0
"""A plugin for pytest: the tests run without a GIL, from the first to the last."""

from __future__ import annotations

import sys

import pytest

from pykvm import _kvm


def has_gil() -> bool:
    """Whether this interpreter has one now: a module that asks for it gets it at its import."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def pytest_configure() -> None:
    if has_gil():
        raise pytest.UsageError(f"{sys.executable} runs {_kvm.__name__} with a GIL")


def pytest_sessionfinish() -> None:
    if has_gil():
        pytest.exit("something that the tests imported brought the GIL back", returncode=1)
