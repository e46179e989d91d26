# SPDX-License-Identifier: Apache-2.0
"""What there is to run: checks of the sources, and tests on hosts."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shlex
import sys

from tests.lab.shapes import BINDING_SHAPES, SPECIAL_SHAPES, TEST_SHAPES, Shape

PYTHON = (sys.executable, "-m")
_PYTEST = (*PYTHON, "pytest", "-p", "no:cacheprovider", "--color=no", "--durations=10")


@dataclasses.dataclass(frozen=True)
class Part:
    """One process. With ``is_tests`` it is pytest, and leaves a record."""

    name: str
    command: tuple[str, ...]
    is_tests: bool = False
    shape: Shape | None = None
    by_name: bool = False
    """Too slow for every day: it runs only where it is named."""

    @property
    def slug(self) -> str:
        """The name as a file's name."""
        return re.sub(r"[^\w.]+", "-", self.name).strip("-")


#: Fields of a shape whose option is given once for each of their values.
_REPEATED = {
    "machine_options": "--machine-option",
    "append": "--append",
    "modules": "--module",
    "packages": "--package",
    "devices": "--device",
    "disks": "--disk",
    "drives": "--drive",
}


def lab_words(shape: Shape) -> str:
    """The lab's options for a shape, as one word."""
    words: list[str] = []
    for field in dataclasses.fields(shape):
        value = getattr(shape, field.name)
        if value == field.default:
            continue
        if field.name in _REPEATED:
            words += [word for each in value for word in (_REPEATED[field.name], str(each))]
            continue
        words.append(f"--{field.name.replace('_', '-')}")
        words += [] if value is True else [str(value)]
    return shlex.join(words)


def _tests(name: str, *words: str, shape: Shape | None = None, by_name: bool = False) -> Part:
    return Part(name, (*_PYTEST, *words), is_tests=True, shape=shape, by_name=by_name)


def checks() -> list[Part]:
    """What needs no test to be run."""
    return [
        Part("lint", (*PYTHON, "ruff", "check")),
        Part("format", (*PYTHON, "ruff", "format", "--check")),
        Part("types", (*PYTHON, "mypy")),
    ]


def wheels() -> list[Part]:
    """The wheels, looked into and installed; and the arm64 tests on nothing but a wheel."""
    words = (*PYTHON, "tests.wheels")
    return [
        Part("wheels", (*words, "--into", "build/wheels")),
        Part("bare-venv", (*words, "--bare-venv"), is_tests=True, shape=Shape(), by_name=True),
    ]


def soak() -> list[Part]:
    """The race of level interrupts, long: 100,000 of them on each host."""
    words = ("tests/arm64/test_levelline.py", "--interrupts", "25000", "--host", "lab")
    hosts = (Shape(cold=True), Shape(cpu="cortex-a57", gic=2, kernel="6.1", cold=True))
    return [
        _tests(f"soak {shape}", *words, f"--lab={lab_words(shape)}", shape=shape, by_name=True)
        for shape in hosts
    ]


def migrate() -> list[Part]:
    """Machines that move with interrupts in flight, a hundred times, each time to a new process."""
    words = ("tests/arm64/test_migration.py", "-k", "new_processes", "--generations", "100")
    hosts = (Shape(cold=True), Shape(cpu="cortex-a57", gic=2, kernel="6.1", cold=True))
    return [
        _tests(
            f"migrate {shape}", *words, "--host", "lab", f"--lab={lab_words(shape)} --timeout 3600",
            shape=shape, by_name=True,
        )
        for shape in hosts
    ]  # fmt: skip


def bench() -> list[Part]:
    """The gate of counted instructions: it passes, and notices a row that was made dearer."""
    words = (*PYTHON, "tests.bench.check", "--prove", "get_one_reg")
    return [Part("bench-gate", words, by_name=True)]


def probed_hosts() -> list[Part]:
    """Reports of every kind of host, held against what QEMU was told and what a C program asks."""
    return [Part("hosts", (*PYTHON, "tests.hosts"), by_name=True)]


def devices() -> list[Part]:
    """Devices of a host in stock guests: the table, and one device given to guest after guest."""
    words = (*PYTHON, "tests.devices")
    return [
        Part("devices", words, by_name=True),
        Part("devices-soak", (*words, "soak", "devices-gicv3", "50"), by_name=True),
    ]


def kicks() -> list[Part]:
    """On this machine: 100,000 kicks against each kind of loop, and the C under sanitizers."""
    words = ("tests/kvm/test_kick.py", "tests/kvm/test_kick_loop.py", "--kicks", "100000")
    return [
        _tests("kicks", *words, "--host", "native", by_name=True),
        Part("sanitizers", (*PYTHON, "tests.sanitize"), by_name=True),
    ]


def hostile() -> list[Part]:
    """A million guests that break every rule, divided among the kinds of devices."""
    words = ("tests/unit/vmm/test_hostile.py", "--hostile-cases", "125000", "--host", "native")
    return [_tests("hostile", *words, by_name=True)]


def free_threaded() -> list[Part]:
    """pykvm built for a Python without a GIL, and what it does differently there."""
    return [Part("free-threaded", (*PYTHON, "tests.freethreaded"), by_name=True)]


def has_kvm() -> bool:
    """Whether this machine lets us open /dev/kvm.

    Asked without the binding: where that is broken, the tests have to say so.
    """
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def is_arm64_host() -> bool:
    """Whether this machine itself can run every tier."""
    return platform.machine() == "aarch64" and has_kvm()


def on_this_machine() -> list[Part]:
    """The tiers that can run here."""
    parts = [_tests("unit", "tests/unit", "--host", "native")]
    tiers = (["tests/kvm"] if has_kvm() else []) + (["tests/arm64"] if is_arm64_host() else [])
    if tiers:
        parts.append(_tests(f"this machine ({platform.machine()})", *tiers, "--host", "native"))
    return parts


_LINUX = "tests/arm64/vmm"
#: Guests that boot Linux take tens of seconds each, and each start of the VMM two: every host of
#: TEST_SHAPES has its share of them, by its number, and all of them only by name.
_LINUX_SHARES: dict[str, tuple[int, ...]] = {
    "test_flat.py": (0, 3),
    "test_endings.py": (4,),
    "test_examples_readme.py": (1,),
    "test_boot_linux.py::test_what_is_written_is_there_after_a_reset_and_on_the_host[1]": (3,),
    "test_boot_linux.py::test_what_is_written_is_there_after_a_reset_and_on_the_host[2]": (0,),
    "test_boot_linux.py::test_what_is_written_is_there_after_a_reset_and_on_the_host[4]": (2,),
    "test_network.py::test_pings_and_megabytes_both_ways[off]": (1,),
    "test_boot_linux.py::test_a_16550_a_virtio_console_and_a_reset_that_is_not_wanted": (2,),
    "test_boot_linux.py::test_a_suspended_system_wakes_by_its_clock": (2,),
    "test_network.py::test_vsock_echoes": (3,),
    "test_network.py::test_pings_and_megabytes_both_ways[on]": (4,),
    "test_cpu_features.py::test_programs_use_what_the_cpus_were_given": (5,),
    "test_cpu_features.py::test_programs_have_nothing_that_they_were_not_given": (5,),
}


def on_emulated_hosts() -> list[Part]:
    """The tiers that need a device, on each emulated host.

    It boots for them: minutes of tests gain nothing from a snapshot, and depend on one thing less.
    """
    others = ("-m", "not binding")
    return [
        _on(
            shape,
            str(shape),
            *_without_others_guests(number),
            *(() if shape in BINDING_SHAPES else others),
        )
        for number, shape in enumerate(TEST_SHAPES)
    ] + [
        _on(shape, f"{shape} for {name}", "--only-needing", name)
        for name, shape in SPECIAL_SHAPES.items()
    ]


def _without_others_guests(number: int) -> list[str]:
    others = [name for name, owners in _LINUX_SHARES.items() if number not in owners]
    return [word for name in others for word in ("--deselect", f"{_LINUX}/{name}")]


def linux_guests() -> list[Part]:
    """Every test that boots a Linux in the minimal VMM, on every host."""
    name = "vfio_group"  # the one property of such tests that only a special host has
    special = SPECIAL_SHAPES[name]

    def part(title: str, shape: Shape, *words: str) -> Part:
        host = ("--host", "lab", f"--lab={lab_words(shape)}")
        cold = dataclasses.replace(shape, cold=True)
        return _tests(f"vmm {title}", _LINUX, *host, *words, shape=cold, by_name=True)

    return [part(str(shape), shape) for shape in TEST_SHAPES] + [
        part(f"{special} for {name}", special, "--only-needing", name)
    ]


def debian() -> list[Part]:
    """A whole Debian in the minimal VMM, from its own init to a login."""
    return [Part("debian", (*PYTHON, "tests.debian"), by_name=True)]


def mutants() -> list[Part]:
    """Each test that proves a row, with the row's call made to do nothing: it must fail."""
    words = ("-m", "covers", "--mute")
    parts = [_on(shape, f"mutants {shape}", *words, by_name=True) for shape in TEST_SHAPES]
    return parts + [
        _on(shape, f"mutants {shape}", *words, "--only-needing", name, by_name=True)
        for name, shape in SPECIAL_SHAPES.items()
        if name != "vfio_group_unsafe"  # whose tests are about VFIO alone
    ]


def _on(shape: Shape, name: str, *words: str, by_name: bool = False) -> Part:
    shape = dataclasses.replace(shape, cold=True)
    words = ("tests/kvm", "tests/arm64", "--host", "lab", f"--lab={lab_words(shape)}", *words)
    return _tests(name, *words, shape=shape, by_name=by_name)
