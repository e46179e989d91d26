# SPDX-License-Identifier: Apache-2.0
"""One running QEMU: its command line, its sockets, its end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import processes
from tests.lab.emulators import Emulator
from tests.lab.errors import LabError
from tests.lab.frames import PORT
from tests.lab.qmp import Qmp
from tests.lab.shapes import Shape

# Two stalls of 15 s were seen in machines of this kind, and a loaded machine is ten times slower.
PATIENCE_SECONDS = 300.0
_CONSOLE_LINES = 40


@dataclass(frozen=True)
class BootFiles:
    """What QEMU loads: kernel and first file system."""

    image: Path
    archive: Path | None


@dataclass(frozen=True)
class Memory:
    """The file that holds the host's memory; a restored host does not write to it."""

    path: Path
    shared: bool


def arguments(
    shape: Shape, files: BootFiles, memory: Memory | None, drives: Sequence[Path] = ()
) -> list[str]:
    """QEMU's command line for a shape, but for the sockets and the console.

    ``drives``: the files behind the shape's drives.
    """
    machine = [f"virt,virtualization=on,gic-version={shape.gic}", *shape.machine_options]
    kernel = ["console=ttyAMA0", "quiet", "panic=-1"]
    words: list[str] = []
    if memory is not None:
        machine.append("memory-backend=ram")
        share = "on" if memory.shared else "off"
        words += ["-object", f"memory-backend-file,id=ram,size={shape.memory_bytes},"
                  f"mem-path={_escaped(memory.path)},share={share}"]  # fmt: skip
    if shape.icount:
        # The seed and the device tree's random numbers would make every boot another one.
        machine.append("dtb-randomness=off")
        words += ["-seed", "1", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
        words += ["-rtc", "clock=vm,base=2026-01-01"]
        kernel += ["nokaslr", "norandmaps"]
        # On a bus whose driver is a module: until that is loaded, nothing outside is heard.
        words += ["-device", "virtio-serial-device"]
    else:
        words += ["-accel", "tcg,thread=multi", "-device", "virtio-serial-pci"]
    for number, disk in enumerate(shape.disks):
        access = "off" if os.access(disk, os.W_OK) else "on"
        words += [
            "-drive",
            f"file={_escaped(disk)},format=raw,if=none,id=disk{number},readonly={access}",
        ]
        words += ["-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]
    for number, drive in enumerate(drives):
        words += ["-drive", f"file={_escaped(drive)},format=raw,if=none,id=drive{number}"]
    for device in shape.devices:
        words += ["-device", device]
    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", ",".join(machine), "-cpu", shape.cpu_words),
        *("-smp", str(shape.smp), "-m", str(shape.memory_bytes >> 20)),
        *("-kernel", str(files.image), *(["-initrd", str(files.archive)] if files.archive else [])),
        *("-append", " ".join([*kernel, *shape.append])),
        *words,
    ]


def _escaped(path: Path) -> str:
    # QEMU's own option syntax: a comma in a value is doubled.
    return str(path.absolute()).replace(",", ",,")


class Machine:
    """A QEMU process. `with` ends it."""

    def __init__(
        self, emulator: Emulator, words: list[str], work: Path, *, incoming: bool = False
    ) -> None:
        self._console = work / "console"
        self.port, port_end = socket.socketpair()
        control, control_end = socket.socketpair()
        with port_end, control_end:
            sockets = [
                *("-chardev", f"socket,id=lab,fd={port_end.fileno()}"),
                *("-device", f"virtserialport,chardev=lab,name={PORT}"),
                *("-chardev", f"socket,id=control,fd={control_end.fileno()}"),
                *("-mon", "chardev=control,mode=control"),
                *("-chardev", f"file,id=console,path={_escaped(self._console)}"),
                *("-serial", "chardev:console"),
            ]
            with open(work / "qemu.log", "wb") as log:
                self._log = Path(log.name)
                self._process = processes.spawn(
                    [
                        *emulator.words,
                        *words,
                        *sockets,
                        *(["-incoming", "defer"] if incoming else []),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(port_end.fileno(), control_end.fileno()),
                )
        try:
            self.control = Qmp(control, PATIENCE_SECONDS)
        except BaseException as error:
            self.end()
            if isinstance(error, LabError):
                raise self.failure(str(error)) from None
            raise

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill QEMU."""
        processes.end(self._process)
        self.port.close()

    def quit(self) -> None:
        """Let QEMU flush its disks and end."""
        with contextlib.suppress(LabError):
            self.control.do("quit")
            self._process.wait(10)

    def failure(self, what: str) -> LabError:
        """An error that shows QEMU's own words and the end of the console."""
        text = [what]
        for title, path in (("QEMU said", self._log), ("the host's console", self._console)):
            with contextlib.suppress(OSError):
                lines = path.read_text(errors="replace").strip().splitlines()[-_CONSOLE_LINES:]
                if lines:
                    text += [f"--- {title}:", *lines]
        return LabError("\n".join(text))
