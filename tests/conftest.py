# SPDX-License-Identifier: Apache-2.0
"""What this project adds to pytest; each is described where it is."""

from __future__ import annotations

import gc

pytest_plugins = (
    "tests.plugin.tiers",
    "tests.plugin.needs",
    "tests.plugin.record",
    "tests.plugin.covers",
    "tests.plugin.host",
    "tests.plugin.slices",
)


def pytest_collection_finish() -> None:
    """What pytest has by now it keeps: the many collections that tests ask for need not look."""
    gc.collect()
    gc.freeze()
