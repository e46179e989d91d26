# SPDX-License-Identifier: Apache-2.0
"""Boots a host and brings its report back."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fdt
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from pykvm.probe import Report, schema
from tests.hosts.expected import Host
from tests.lab import emulators
from tests.lab.machine import BootFiles, arguments
from tests.lab.shapes import Shape
from tests.lab.tree import TOP
from tests.runner.parts import lab_words

__all__ = ["make_report"]

_INSIDE = "pykvm probe --json --selftest > $OUT/report.json && /capabilities > $OUT/capabilities"


def make_report(host: Host, folder: Path, program: Path) -> tuple[Report, str]:
    """The report, which is as its schema says, and what ``program`` printed on the host."""
    place = folder / re.sub(r"[^\w.]+", "-", host.name)
    place.mkdir(exist_ok=True)
    shape = without_vgic(host.shape, place) if host.without_vgic else host.shape
    lab = [sys.executable, "-m", "tests.lab", "run", *shlex.split(lab_words(shape))]
    lab += ["--file", f"{program}:/capabilities", "--out", str(place), "--", "sh", "-c", _INSIDE]
    subprocess.run(lab, cwd=TOP, stdin=subprocess.DEVNULL, check=True)
    text = (place / "report.json").read_text("utf-8")
    if wrong := best_match(Draft202012Validator(schema()).iter_errors(json.loads(text))):
        sys.exit(f"{host.name}: the report is not as its schema says: {wrong.message}")
    return Report.from_json(text), (place / "capabilities").read_text("ascii")


def without_vgic(shape: Shape, folder: Path) -> Shape:
    """The shape with a device tree whose GIC has no maintenance interrupt.

    By that interrupt KVM would hear of its virtual GIC; without, it has none.
    """
    tree = folder / "host.dtb"
    dump = replace(shape, machine_options=(*shape.machine_options, f"dumpdtb={tree}"))
    words = arguments(dump, BootFiles(Path("/dev/null"), None), None)
    without_kernel = [w for w in words if w not in ("-kernel", "/dev/null")]
    append = without_kernel.index("-append")
    del without_kernel[append : append + 2]
    emulator = emulators.find(shape.qemu)
    subprocess.run([*emulator.words, *without_kernel], check=True, capture_output=True)
    parsed = fdt.parse_dtb(tree.read_bytes())
    (gic,) = (node for node in parsed.root.nodes if node.name.startswith("intc@"))
    gic.remove_property("interrupts")
    tree.write_bytes(parsed.to_dtb(version=17))
    return replace(shape, machine_options=(*shape.machine_options, f"dtb={tree}"))
