# SPDX-License-Identifier: Apache-2.0
"""A guest in one of the two VMMs: it is started, heard, and its host's CPU time looked at."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

GUEST = Path("/guest")
OURS = Path(__file__).resolve().parents[2] / "examples" / "boot_linux.py"
_LIMIT = 600


class Vmm(NamedTuple):
    """One of the two; ``tell_stages`` has it say how long it took before the guest ran."""

    name: str
    tell_stages: tuple[str, ...]
    two_cpus: tuple[str, ...]

    def command(self, script: str, disk: Path) -> list[str]:
        words = f'quiet guest.run="{script}"'
        image, initrd = str(GUEST / "Image"), str(GUEST / "initrd")
        if self.name == "pykvm":
            return [
                sys.executable, str(OURS), image, "--initrd", initrd, "--memory", "256M",
                "--disk", str(disk), "--append", words,
            ]  # fmt: skip
        return [
            "qemu-system-aarch64", "-machine", "virt,accel=kvm,gic-version=host", "-cpu", "host",
            "-m", "256M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", image, "-initrd", initrd, "-append", words,
            "-drive", f"file={disk},format=raw,if=none,id=d,cache=writeback",
            "-device", "virtio-blk-device,drive=d", "-global", "virtio-mmio.force-legacy=false",
        ]  # fmt: skip


VMMS = {
    "QEMU": Vmm("QEMU", (), ("-smp", "2")),
    "pykvm": Vmm("pykvm", ("--stats", "stages"), ("--cpus", "2")),
}


class Run:
    """From start to end; ``with`` ends it."""

    def __init__(self, vmm: Vmm, script: str, disk: Path, *more: str) -> None:
        self._name = vmm.name
        self._said, self._heard = "", 0
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            [*vmm.command(script, disk), *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def until(self, words: str) -> float:
        """Waits until the guest has printed this in a line; seconds since the start of the VMM."""
        self._wait_for(re.escape(words) + r"\s")
        return time.monotonic() - self._start

    def measured(self, what: str) -> list[int]:
        """The numbers that ``measure`` has printed, next."""
        numbers = self._wait_for(rf"measure: {what}((?: \d+)+)\r?\n")[1]
        return [int(number) for number in numbers.split()]

    def _wait_for(self, pattern: str) -> re.Match[str]:
        end = time.monotonic() + _LIMIT
        while not (found := re.search(pattern, self._said[self._heard :])):
            if not self._hear(end - time.monotonic()):
                raise SystemExit(f"{self._name}: no {pattern!r}; last: {self._said[-500:]!r}")
        self._heard += found.end()
        return found

    def _hear(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0.0, seconds))[0]:
            return False
        data = os.read(self._process.stdout.fileno(), 1 << 16)
        self._said += data.decode("ascii", "replace")
        return bool(data)

    def finish(self) -> None:
        """Waits for its end."""
        while self._hear(_LIMIT):
            pass
        if status := self._process.wait(_LIMIT):
            raise SystemExit(f"{self._name}: exit status {status}")

    def stages(self) -> dict[str, float]:
        """What it has told of itself, before the guest ran."""
        assert self._process.stderr is not None
        told = self._process.stderr.read().decode()
        found = re.findall(r"^ *([\d.]+) s  (.+)$", told, re.MULTILINE)
        return {name: float(seconds) for seconds, name in found if name != "guest"}

    def cpu_use(self, seconds: float) -> float:
        """Of the host's CPUs, from now on: 1 is a whole one."""
        before = self._cpu_time()
        time.sleep(seconds)
        return (self._cpu_time() - before) / seconds

    def _cpu_time(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
