# SPDX-License-Identifier: Apache-2.0
"""The coverage table as README.md shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.coverage.collect import Coverage, Proof, host_name
from tests.coverage.methods import method_of
from tests.coverage.rows import ROWS, SECTIONS, Row
from tests.lab.shapes import ALL_SHAPES

__all__ = ["BEGIN", "END", "block", "replaced"]

BEGIN = "<!-- made by `make coverage` -->"
END = "<!-- end -->"
#: Kernels in their order; the names of hosts begin with them.
_KERNELS = ("6.1", "6.12", "newest")
_HOSTS = {host_name(shape): chr(ord("A") + number) for number, shape in enumerate(ALL_SHAPES)}


def _lowest(hosts: Iterable[str]) -> str:
    kernels = {host.split()[0] for host in hosts}
    return next(kernel for kernel in _KERNELS if kernel in kernels)


def _letters(proofs: Sequence[Proof]) -> str:
    hosts = {host for proof in proofs for host in proof.hosts}
    return "".join(sorted(_HOSTS[host] for host in hosts))


def _test(proofs: Sequence[Proof]) -> str:
    """The test that proves it on most hosts, and how many more there are."""
    best = max(proofs, key=lambda proof: (len(proof.hosts), proof.test))
    path, _, name = best.test.partition("::")
    file = path.removeprefix("tests/")
    more = f" (+{len(proofs) - 1})" if len(proofs) > 1 else ""
    return f"[{name.partition('[')[0]}](tests/{file}){more}"


def _line(row: Row, proofs: Sequence[Proof]) -> str:
    hosts = [host for proof in proofs for host in proof.hosts]
    cells = [
        f"`{row.name}`" + ("*" if row.mark else ""),
        f"`{method_of(row)}`",
        _test(proofs) if proofs else "**none**",
        _lowest(hosts) if hosts else "",
        _letters(proofs),
        f"`{row.rust}`" if row.rust else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _section(section: str, coverage: Coverage) -> list[str]:
    rows = [row for row in ROWS.values() if row.section == section]
    lines = ["<details>", f"<summary>{SECTIONS[section]}: {len(rows)}</summary>", ""]
    lines += ["| | pykvm | proven by | from | on | kvm-ioctls |", "|---|---|---|---|---|---|"]
    lines += [_line(row, coverage.get(row.id, ())) for row in rows]
    marked = sorted({row.mark for row in rows if row.mark})
    lines += ["", *(f"\\* {mark}." for mark in marked)] if marked else []
    return [*lines, "", "</details>", ""]


def block(coverage: Coverage) -> str:
    """What stands between the two comments."""
    done = sum(bool(coverage.get(row)) for row in ROWS)
    rust = sum(bool(row.rust) for row in ROWS.values())
    lines = [
        BEGIN,
        f"{done} of {len(ROWS)} rows are proven; kvm-ioctls (Rust) has {rust} of them on aarch64, "
        "some in a raw form. Each row: the method, a test that saw its effect, the lowest kernel "
        "and the hosts where that test passed.",
        "",
        *(line for section in SECTIONS for line in _section(section, coverage)),
        "Hosts: " + ", ".join(f"{letter} {name}" for name, letter in _HOSTS.items()) + ".",
        END,
    ]
    return "\n".join(lines)


def replaced(readme: str, coverage: Coverage) -> str:
    """README.md with the table of today."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r}")
    return head + block(coverage) + tail
