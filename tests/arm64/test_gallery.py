# SPDX-License-Identifier: Apache-2.0
"""The README shows what misuse is told, word for word, on every host."""

from __future__ import annotations

from pathlib import Path

from tests.arm64.gallery import HEADING, gallery

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_gallery_is_what_pykvm_says() -> None:
    text = README.read_text(encoding="utf-8")
    shown = HEADING + text.partition(HEADING)[2].partition("\n## ")[0].rstrip() + "\n"
    assert shown == gallery(), "python3 -m tests.lab run -- python3 -m tests.arm64.gallery"
