# SPDX-License-Identifier: Apache-2.0
"""The lab's command line."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab import linuxguest, processes, progress, store, terminal, tree
from tests.lab.errors import LAB_FAILED, Interrupted, LabError
from tests.lab.job import Job
from tests.lab.run import prepare, run
from tests.lab.shapes import ALL_SHAPES, NAMED_SHAPES, Shape


def _shape_options(parser: argparse.ArgumentParser) -> None:
    host = parser.add_argument_group("the emulated host")
    names = ", ".join(NAMED_SHAPES)
    host.add_argument("--shape", choices=NAMED_SHAPES, metavar="NAME", help=f"{names}, changed by:")
    host.add_argument("--kernel", metavar="X.Y|newest", help="6.12 by default")
    host.add_argument("--page-size", choices=("4k", "16k"))
    host.add_argument("--cpu", help="neoverse-n1 by default")
    host.add_argument("--gic", type=int, choices=(2, 3))
    host.add_argument("--smp", type=int, metavar="N", help="2 by default")
    host.add_argument("--memory", metavar="SIZE", help="2G by default")
    host.add_argument("--machine-option", action="append", default=[], metavar="NAME=VALUE")
    host.add_argument("--append", action="append", default=[], metavar="WORDS")
    host.add_argument("--module", action="append", default=[], metavar="NAME", help="load it")
    host.add_argument("--package", action="append", default=[], metavar="NAME", help="from Debian")
    host.add_argument("--disk", action="append", default=[], metavar="FILE", help="a raw image")
    host.add_argument("--device", action="append", default=[], metavar="QEMU-DEVICE")
    host.add_argument(
        "--drive", action="append", default=[], metavar="SIZE", help="for a --device: drive0, …"
    )
    host.add_argument("--qemu", metavar="distro|newest|PATH")
    host.add_argument("--cold", action="store_true", default=None, help="boot, take no snapshot")
    host.add_argument(
        "--icount", action="store_true", default=None, help="time is counted instructions"
    )


#: Options that are given once for each value, and the shape's field that has them all.
_SEVERAL = {
    "machine_option": "machine_options", "append": "append", "module": "modules",
    "package": "packages", "device": "devices", "drive": "drives",
}  # fmt: skip
_ONCE = ("kernel", "page_size", "cpu", "gic", "smp", "memory", "qemu", "icount", "cold")


def _shape(options: argparse.Namespace) -> Shape:
    """The named shape, or the default one, with what was given in place of it, or beside it."""
    base = NAMED_SHAPES[options.shape] if options.shape else Shape()
    given = {name: getattr(options, name) for name in _ONCE}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for option, field in _SEVERAL.items():
        changes[field] = (*getattr(base, field), *getattr(options, option))
    changes["disks"] = (*base.disks, *map(Path, options.disk))
    if options.icount:
        changes.setdefault("smp", 1)
    return replace(base, **changes)


def _files(options: argparse.Namespace) -> list[tuple[Path, str]]:
    files = [tree.parse_file(word) for word in options.file]
    return files + (linuxguest.files(options.guest, options.guest_module) if options.guest else [])


def _run(options: argparse.Namespace) -> int:
    files = _files(options)
    out = options.out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    job = Job(options.command, timeout=options.timeout, out=out)
    install = not options.no_install
    build = {"traced": options.traced, "slower": options.slower}
    return run(_shape(options), job, install=install, files=files, **build)


def _shell(options: argparse.Namespace) -> int:
    files = _files(options)
    job = terminal.shell_job(options.command or ["busybox", "ash"])
    return run(_shape(options), job, install=not options.no_install, files=files)


def _build(options: argparse.Namespace) -> int:
    for shape in ALL_SHAPES if options.all else [_shape(options)]:
        snapshot = prepare(shape, install=not options.no_install)
        progress.done()
        print(f"{shape}: {snapshot or 'ready; boots cold'}", flush=True)
    return 0


def _list(_options: argparse.Namespace) -> int:
    text = store.listing()
    progress.done()
    print(text)
    return 0


def _clean(_options: argparse.Namespace) -> int:
    store.clean()
    return 0


def _doctor(_options: argparse.Namespace) -> int:
    for package in store.missing_packages():
        print(package)
    return 0


def _job_options(parser: argparse.ArgumentParser) -> None:
    _shape_options(parser)
    job = parser.add_argument_group("the job")
    job.add_argument("--file", action="append", default=[], metavar="SRC:DST", help="bring a file")
    job.add_argument("--guest", metavar="X.Y|newest", help="bring a Linux for guests, in /guest")
    job.add_argument(
        "--guest-module", action="append", default=[], metavar="NAME", help="more modules for it"
    )
    job.add_argument("--no-install", action="store_true", help="leave pykvm out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.lab",
        description="An arm64 host with a real /dev/kvm, emulated. tests/lab/README.md tells more.",
    )
    actions = parser.add_subparsers(dest="action", required=True)

    runs = actions.add_parser("run", help="run a command on a host")
    _job_options(runs)
    runs.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
    runs.add_argument("--out", type=Path, metavar="DIR", help="where files in $OUT come back to")
    runs.add_argument("--traced", action="store_true", help="pykvm's test build: it records calls")
    runs.add_argument(
        "--slower", default="", metavar="NAME:N", help="a wrapper with N instructions more"
    )
    runs.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    runs.set_defaults(do=_run)

    shell = actions.add_parser("shell", help="an interactive shell on a host")
    _job_options(shell)
    shell.add_argument("command", nargs="*", metavar="COMMAND", help="instead of a shell, after --")
    shell.set_defaults(do=_shell)

    build = actions.add_parser("build", help="fetch and build what a host needs, ahead of time")
    _shape_options(build)
    build.add_argument("--all", action="store_true", help="for every host of the test suite")
    build.add_argument("--no-install", action="store_true", help="leave pykvm out")
    build.set_defaults(do=_build)

    lists = actions.add_parser("list", help="kernels, hosts of the test suite, and what is cached")
    lists.set_defaults(do=_list)
    clean = actions.add_parser("clean", help="remove the cache")
    clean.set_defaults(do=_clean)
    doctor = actions.add_parser("doctor", help="name missing Debian packages, one per line")
    doctor.set_defaults(do=_doctor)
    return parser


def main() -> int:
    """Carry out one command line."""
    processes.take_signals()
    try:
        options = _parser().parse_args()
        status: int = options.do(options)
        return status
    except LabError as error:
        progress.done()
        print(f"lab: {error}", file=sys.stderr)
        return LAB_FAILED
    except BrokenPipeError:
        # Whoever read our stdout has had enough; leave as quietly as others do.
        return 128 + signal.SIGPIPE
    except Interrupted as error:
        return 128 + error.signum
    finally:
        progress.done()
        processes.end_all()
