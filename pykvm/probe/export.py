# SPDX-License-Identifier: Apache-2.0
"""What was shown as a picture or a page, for bug reports; it fetches nothing from a network."""

from __future__ import annotations

import re

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

__all__ = ["exported"]

#: rich names a font on a server; where it is not installed, any other monospaced one will do.
_FONT_FACES = re.compile(r"@font-face\s*\{[^}]*\}\s*")


def exported(console: Console, kind: str, *, title: str = "pykvm probe") -> str:
    """What a recording console has printed so far, as "svg" or "html"."""
    if kind == "svg":
        return _FONT_FACES.sub("", console.export_svg(title=title, clear=False))
    return console.export_html(theme=SVG_EXPORT_THEME, clear=False, inline_styles=True)
