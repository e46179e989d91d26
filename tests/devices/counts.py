# SPDX-License-Identifier: Apache-2.0
"""What the host's kernel counts of an assigned device, while a guest drives it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_TRACING, _IRQS = Path("/sys/kernel/tracing"), Path("/sys/kernel/irq")
#: perf_event_open(2): arm64's number, the type of tracepoints, and its flag for close-on-exec.
_PERF_EVENT_OPEN, _TRACEPOINT, _CLOEXEC = 241, 2, 8
_SET_FILTER = 0x40082406


class Tracepoint:
    """How often the kernel has come by one of its tracepoints, where ``only`` holds."""

    def __init__(self, name: str, only: str = "") -> None:
        number = int((tracing() / "events" / name / "id").read_text())
        attr = struct.pack("=IIQ", _TRACEPOINT, 128, number).ljust(128, b"\0")
        self._fds: list[int] = []
        for cpu in range(os.cpu_count() or 1):
            fd = ctypes.CDLL(None, use_errno=True).syscall(
                _PERF_EVENT_OPEN, attr, -1, cpu, -1, _CLOEXEC
            )
            if fd < 0:
                raise OSError(ctypes.get_errno(), f"perf_event_open of {name}")
            self._fds.append(fd)
            if only:
                fcntl.ioctl(fd, _SET_FILTER, only.encode() + b"\0")

    @property
    def count(self) -> int:
        return sum(struct.unpack("Q", os.read(fd, 8))[0] for fd in self._fds)

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


class Counts:
    """Of one device: ``intid`` is its interrupt in the guest, ``registers`` where it has them."""

    def __init__(self, address: str, intid: int, registers: range) -> None:
        self._address = address
        gpas = f"gpa >= {registers.start:#x} && gpa < {registers.stop:#x}"
        self._points = {
            "raised": Tracepoint("kvm/vgic_update_irq_pending", f"irq == {intid} && level == 1"),
            "acknowledged": Tracepoint("kvm/kvm_ack_irq", f"pin == {intid - 32}"),
            "register exits": Tracepoint("kvm/kvm_mmio", gpas),
            "exits to userspace": Tracepoint("kvm/kvm_userspace_exit"),
        }
        self._before = _host_interrupts()

    def _host_interrupts(self) -> int:
        """Those of the device's line that this host has taken since the start."""
        return sum(
            count - self._before.get(number, 0)
            for number, count in _host_interrupts().items()
            if f"({self._address})" in (_IRQS / number / "actions").read_text()
        )

    def now(self) -> Mapping[str, int]:
        found = {name: point.count for name, point in self._points.items()}
        return {"host": self._host_interrupts(), **found}

    def __enter__(self) -> Counts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for point in self._points.values():
            point.close()


def _host_interrupts() -> dict[str, int]:
    """By number. A line that nobody has asked for keeps its count."""
    return {
        path.name: sum(map(int, (path / "per_cpu_count").read_text().split(",")))
        for path in _IRQS.iterdir()
    }


class OutsideKvmRun:
    """How long a process's vCPUs are outside of KVM_RUN: in its own code, or asleep there."""

    _KVM_RUN = "ae80"

    def __init__(self, pid: int) -> None:
        self._folder = tracing() / "instances" / "outside-kvm-run"
        self._folder.mkdir()
        tasks = " ".join(path.name for path in Path(f"/proc/{pid}/task").iterdir())
        (self._folder / "set_event_pid").write_text(tasks)
        for name in ("sys_enter", "sys_exit"):
            event = self._folder / "events" / "raw_syscalls" / name
            (event / "filter").write_text("id == 29")  # ioctl(2), by arm64's number
            (event / "enable").write_text("1")

    def seconds(self) -> float:
        """Ends the measurement."""
        (self._folder / "tracing_on").write_text("0")
        text = (self._folder / "trace").read_text(encoding="utf-8")
        self._folder.rmdir()
        left: dict[str, float] = {}
        inside: set[str] = set()
        total = 0.0
        for task, moment, what in re.findall(r"-(\d+) .*? (\d+\.\d+): (sys_\w+: NR 29.*)", text):
            if what.startswith("sys_enter") and f" {self._KVM_RUN}," in what:
                total += float(moment) - left.pop(task, float(moment))
                inside.add(task)
            elif what.startswith("sys_exit") and task in inside:
                left[task] = float(moment)
                inside.discard(task)
        return total


def tracing() -> Path:
    """The kernel's tracing files."""
    if not (_TRACING / "events").exists():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", _TRACING], check=True)
    return _TRACING
