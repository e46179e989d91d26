# SPDX-License-Identifier: Apache-2.0
"""Debian packages of any architecture and suite: apt resolves and verifies, in a state of our own.

The machine's own apt and dpkg state is neither read (but for the mirror's name) nor changed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.lab import cache, progress
from tests.lab.errors import LabError
from tests.lab.processes import run
from tests.lab.sources import archive

# What was resolved is used for this long before the indexes are asked again.
FRESH_SECONDS = 24 * 3600
_NEEDS = {
    "bookworm-backports": ("bookworm", "bookworm-backports"),
    "trixie-backports": ("trixie", "trixie-backports"),
}
_CONF = """\
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Get::List-Cleanup "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::GzipIndexes "true";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Debug::NoLocking "true";
Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache-{suite}";
Dir::Etc::sourcelist "{home}/{suite}.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""


T = TypeVar("T")


class Vanished(LabError):
    """The archive has moved on: a version that the index names cannot be had any more."""


@dataclass(frozen=True, order=True)
class Package:
    """One package at one version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}={self.version}"


class Suite:
    """One suite of the archive for one architecture."""

    def __init__(self, name: str, arch: str = "arm64") -> None:
        self.name = name
        self.arch = arch
        self._home = cache.root() / "apt" / arch
        self._lock = f"apt.{arch}"
        self._stamp = self._home / f"{name}.refreshed"

    def _apt(self, tool: str, *words: str, purpose: str, cwd: Path | None = None) -> str:
        return run(
            [tool, *words],
            purpose,
            cwd=cwd,
            env={"APT_CONFIG": str(self._home / f"{self.name}.conf")},
        )

    def _write_configuration(self) -> None:
        for folder in ("state/lists/partial", f"cache-{self.name}/archives/partial"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        (self._home / "status").touch()
        source = archive()
        suites = _NEEDS.get(self.name, (self.name,))
        (self._home / f"{self.name}.list").write_text("".join(map(source.source_line, suites)))
        (self._home / f"{self.name}.conf").write_text(
            _CONF.format(arch=self.arch, home=self._home, suite=self.name)
        )

    def _is_fresh(self) -> bool:
        try:
            return time.time() - self._stamp.stat().st_mtime < FRESH_SECONDS
        except OSError:
            return False

    def refresh(self) -> None:
        """Fetch and verify the suite's indexes."""
        progress.say(f"fetching the package index of {self.name} ({self.arch})")
        with cache.lock(self._lock):
            self._write_configuration()
            self._apt(
                "apt-get", "update", "--error-on=any", purpose=f"fetching {self.name}'s index"
            )
            self._stamp.touch()

    def _ensure_index(self) -> None:
        if self._is_fresh():
            return
        try:
            self.refresh()
        except LabError:
            # Off line, an old index still names what is in the cache.
            if not self._stamp.exists():
                raise

    def names(self, prefix: str) -> list[str]:
        """Names of all packages that start so."""
        self._ensure_index()
        with cache.lock(self._lock):
            listed = self._apt("apt-cache", "pkgnames", prefix, purpose=f"listing {prefix}*")
        return sorted(listed.split())

    def candidate(self, name: str) -> tuple[Package, list[str]]:
        """A package as it would be installed, and what it depends on directly."""
        self._ensure_index()
        with cache.lock(self._lock):
            shown = self._apt(
                *("apt-cache", "show", "--no-all-versions", name),
                purpose=f"looking for {name} in Debian {self.name} ({self.arch})",
            )
        fields = dict(re.findall(r"^(Version|Depends): (.*)$", shown, re.MULTILINE))
        depends = [word.split()[0] for word in fields.get("Depends", "").split(",") if word]
        return Package(name, fields["Version"]), depends

    def unchanged_since(self, memory: Path) -> bool:
        """Whether the index is still the one that a remembered answer came from."""
        self._ensure_index()
        return memory.stat().st_mtime >= self._stamp.stat().st_mtime

    def remembered(self, question: str, resolve: Callable[[], list[Package]]) -> list[Package]:
        """An answer of apt's, kept until the index is fetched again: asking takes seconds."""
        memory = cache.root() / "apt" / f"{cache.digest(question, self.name, self.arch)}.json"
        self._ensure_index()
        if memory.exists() and self.unchanged_since(memory):
            return [Package(*each) for each in json.loads(memory.read_text())]
        found = resolve()
        cache.write(memory, json.dumps([(each.name, each.version) for each in found]))
        return found

    def closure(self, names: Sequence[str]) -> list[Package]:
        """The packages and all that they depend on, at today's versions."""

        def resolve() -> list[Package]:
            with cache.lock(self._lock):
                told = self._apt(
                    "apt-get",
                    *("install", "-s", "-t", self.name, *names),
                    purpose=f"resolving {' '.join(names)} in Debian {self.name} ({self.arch})",
                )
            found = re.findall(r"^Inst (\S+) \((\S+) ", told, re.MULTILINE)
            return sorted(Package(name, version) for name, version in found)

        return self.remembered(" ".join(names), resolve)

    def unpack(self, packages: Sequence[Package], into: Path) -> None:
        """Download packages and lay their files out under `into`."""
        with cache.workdir() as work:
            what = packages[0].name if len(packages) == 1 else f"{len(packages)} packages"
            progress.say(f"fetching {what} from Debian {self.name} ({self.arch})")
            try:
                with cache.lock(self._lock):
                    self._apt(
                        "apt-get",
                        "download",
                        *map(str, packages),
                        purpose=f"fetching {what}",
                        cwd=work,
                    )
            except LabError as error:
                if re.search(r"\b404\b|was not found|Can't find a source", str(error)):
                    raise Vanished(str(error)) from None
                raise
            progress.say(f"unpacking {what}")
            for deb in sorted(work.glob("*.deb")):
                run(["dpkg", "-x", deb, into], f"unpacking {deb.name}")

    def current(self, get: Callable[[], T]) -> T:
        """Do what resolves and fetches; once more with new indexes if a version has vanished."""
        try:
            return get()
        except Vanished:
            self.refresh()
            return get()


def native_architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"], "asking for this machine's architecture").strip()
