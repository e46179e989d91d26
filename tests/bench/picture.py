# SPDX-License-Identifier: Apache-2.0
"""The table as a picture, for the README: how many times C's cost each form takes, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from tests.bench.results import Result

__all__ = ["draw"]


class _Form(NamedTuple):
    key: str
    title: str
    colour: str
    radius: float


_FORMS = (
    _Form("ctypes", "ctypes", "#d97706", 4),
    _Form("standard", "standard library", "#9ca3af", 4),
    _Form("bound", "bound: no method between", "#60a5fa", 4),
    _Form("pykvm", "pykvm", "#1d4ed8", 5.5),
)
_LEFT, _COST, _PLOT, _PLOT_END = 24, 292, 320, 684
_COLUMNS = {"pykvm": 754, "bound": 810, "standard": 874, "ctypes": 936}
_HEADS = {"pykvm": "pykvm", "bound": "bound", "standard": "standard", "ctypes": "ctypes"}
_WIDTH, _ROW, _TOP = 960, 24, 118
_LEAST, _MOST = 0.35, 400.0
_TICKS = {0.5: "½", 1: "C", 2: "2×", 5: "5×", 10: "10×", 30: "30×", 100: "100×", 300: "300×"}
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2937 }
.title { font-size: 17px; font-weight: 600 }
.dim { fill: #6b7280 }
.small { font-size: 11.5px; fill: #6b7280 }
.number { text-anchor: end; font-variant-numeric: tabular-nums }
.middle { text-anchor: middle }
.strong { font-weight: 600; fill: #1d4ed8 }
"""


def _x(ratio: float) -> float:
    """Where a ratio lies on the scale, which is logarithmic; what is off it, at its end."""
    share = math.log(min(max(ratio, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return round(_PLOT + share * (_PLOT_END - _PLOT), 1)


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{style}">{escape(words)}</text>'


def _shown(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 99.5 else f"{ratio:.1f}" if ratio >= 9.95 else f"{ratio:.2f}"


def _scale(bottom: float) -> Iterator[str]:
    for ratio, words in _TICKS.items():
        x = _x(ratio)
        colour = "#9ca3af" if ratio == 1 else "#e5e7eb"
        yield f'<line x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{bottom}" stroke="{colour}"/>'
        yield _text(x, _TOP - 14, words, "small middle")


def _row(result: Result, y: float) -> Iterator[str]:
    middle = y - 4.5
    yield _text(_LEFT, y, result.name)
    yield _text(_COST, y, f"{result.costs['C']:,.0f}", "number dim")
    ours = _x(result.ratios["pykvm"])
    yield (
        f'<line x1="{_x(1)}" x2="{ours}" y1="{middle}" y2="{middle}" '
        f'stroke="#1d4ed8" stroke-width="5" stroke-opacity="0.25"/>'
    )
    for form in _FORMS:
        ratio = result.ratios.get(form.key)
        if ratio is None:
            yield _text(_COLUMNS[form.key], y, "–", "number small")
            continue
        yield f'<circle cx="{_x(ratio)}" cy="{middle}" r="{form.radius}" fill="{form.colour}"/>'
        style = "number strong" if form.key == "pykvm" else "number dim"
        yield _text(_COLUMNS[form.key], y, _shown(ratio), style)


def _legend() -> Iterator[str]:
    x = float(_LEFT)
    for form in reversed(_FORMS):
        yield f'<circle cx="{x + 5}" cy="56" r="{form.radius}" fill="{form.colour}"/>'
        yield _text(x + 16, 60.5, form.title, "small")
        x += 40 + 6.3 * len(form.title)


def draw(listed: Sequence[Result], versions: Mapping[str, Any]) -> str:
    """An SVG of a counted run."""
    bottom = _TOP + _ROW * len(listed)
    height = bottom + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="What calls cost over C">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" rx="10" fill="#ffffff" stroke="#e5e7eb"/>',
        _text(_LEFT, 34, "What a call costs, as a multiple of the same call in C", "title"),
        *_legend(),
        _text(_COST, _TOP - 14, "C, instructions", "small number"),
        *(_text(x, _TOP - 14, _HEADS[key], "small number") for key, x in _COLUMNS.items()),
        *_scale(bottom),
    ]
    for number, result in enumerate(listed):
        if number % 2 == 0:
            y = _TOP + _ROW * number
            parts.append(
                f'<rect x="12" y="{y}" width="{_WIDTH - 24}" height="{_ROW}" '
                f'fill="#6b7280" fill-opacity="0.06"/>'
            )
        parts += _row(result, _TOP + _ROW * number + 16.5)
    told = ", ".join(f"{name} {value}" for name, value in versions.items())
    parts += [_text(_LEFT, height - 16, f"Counted instructions, kernel included: {told}", "small")]
    return "\n".join([*parts, "</svg>"]) + "\n"
