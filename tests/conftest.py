# SPDX-License-Identifier: Apache-2.0
"""What this project adds to pytest; each is described where it is."""

from __future__ import annotations

pytest_plugins = (
    "tests.plugin.needs",
    "tests.plugin.record",
    "tests.plugin.covers",
    "tests.plugin.host",
    "tests.plugin.slices",
)
