# SPDX-License-Identifier: Apache-2.0
"""Where a run leaves what it proved, and where the table stands."""

from __future__ import annotations

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
KEPT = TOP / "build/tests/proven"
README = TOP / "README.md"
