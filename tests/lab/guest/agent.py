# SPDX-License-Identifier: Apache-2.0
"""The lab's agent in the emulated host, its process 1: unpacks a job, runs it, reports.

It is started before a snapshot is taken, so that a restored host has it waiting in a read.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from tests.lab.frames import CHUNK, Kind
from tests.lab.guest import deaths
from tests.lab.guest.command import Command
from tests.lab.guest.wire import Channel, FileStream, OutStream, open_port

_RNDADDENTROPY = 0x40085203
_RNDRESEEDCRNG = 0x5207
_KVM_CREATE_VM = 0xAE01
_OUT = Path("/out")
_JOB = Path("/lab/job")


def unpack(stream: Any) -> None:
    """Lay the job's files out. They are the user's own: nothing in them is filtered."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        archive.extractall("/", filter="fully_trusted")


def restart_timers() -> None:
    """Make every CPU program its timer.

    QEMU's snapshots leave out the timers of EL2, which a VHE kernel ticks by: the next event that a
    CPU counted on at the snapshot never comes, and the kernel programs nothing that is later than
    it. A timer that ends in the distant past is earlier than anything: it is programmed, fires at
    once, and its interrupt finds all the others.
    """
    if sys.version_info < (3, 13):
        raise RuntimeError("the emulated host's Python is expected to be 3.13 or newer")
    cpus = os.sched_getaffinity(0)
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        timer = os.timerfd_create(time.CLOCK_MONOTONIC)
        os.timerfd_settime_ns(timer, flags=os.TFD_TIMER_ABSTIME, initial=1)
        os.read(timer, 8)
        os.close(timer)
    os.sched_setaffinity(0, cpus)


def runs_in_el2() -> bool:
    """Whether the kernel itself does (VHE), by what KVM has said of it."""
    with open("/dev/kmsg", "rb", 0) as log:
        os.set_blocking(log.fileno(), False)
        while True:
            try:
                line = os.read(log.fileno(), 8192)
            except BrokenPipeError:  # what came next was overwritten
                continue
            except BlockingIOError:  # the end: there is no KVM
                return False
            if b"kvm [1]" in line and b"mode initialized" in line:
                return re.search(rb"\bVHE", line) is not None


def hold_vm() -> None:
    """Keep a VM until the host ends, so that none of the command's is ever the first or the last.

    With these, the kernel rewrites the places in its scheduler that tell KVM of a switch (a static
    key). While one CPU does that, QEMU before 8.1 may translate the old code for another, and keep
    it: a vCPU's thread then leaves the CPU behind KVM's back. With VHE it comes home with the
    guest's TPIDR_EL0 and so without its thread-local storage: a death that not even a signal's
    handler can tell of. Or the guest goes on with the system registers that KVM saw last, from
    long before, and stands still. So there is only one CPU meanwhile.

    Without VHE the guest's registers do not outlive KVM_RUN, and nothing is held: there Linux 6.1
    on a Cortex-A57 comes to a guest that never leaves, some hundred VMs beside a held one later.
    """
    if not runs_in_el2():
        return
    others = sorted(os.sched_getaffinity(0))[1:]
    switches = [Path(f"/sys/devices/system/cpu/cpu{cpu}/online") for cpu in others]
    for switch in switches:
        switch.write_text("0")
    with contextlib.suppress(OSError), open("/dev/kvm", "r+b", 0) as kvm:
        fcntl.ioctl(kvm, _KVM_CREATE_VM, 0)  # a descriptor, close-on-exec as all of KVM's
    for switch in switches:
        switch.write_text("1")


def freshen(job: dict[str, Any]) -> None:
    """Give the host the time of day and a seed of its own: hosts of one snapshot share all else."""
    if "time" in job:
        time.clock_settime(time.CLOCK_REALTIME, job["time"])
    seed = bytes.fromhex(job.get("entropy", ""))
    if seed:
        with open("/dev/urandom", "wb", buffering=0) as pool:
            told = struct.pack("ii", len(seed) * 8, len(seed)) + seed
            fcntl.ioctl(pool, _RNDADDENTROPY, told)
            fcntl.ioctl(pool, _RNDRESEEDCRNG)


def send_out(channel: Channel) -> None:
    """Send back what the command left in $OUT."""
    if any(_OUT.iterdir()):
        with tarfile.open(fileobj=OutStream(channel), mode="w|", bufsize=CHUNK) as archive:
            archive.add(_OUT, arcname=".")
    channel.send(Kind.OUT)


def send_deaths(channel: Channel) -> None:
    """Say what the command and its children died of, where it was a fault."""
    with contextlib.suppress(FileNotFoundError), open(deaths.REPORT, "rb") as report:
        while data := report.read(CHUNK):
            channel.send(Kind.STDERR, data)


def main() -> None:
    """Serve one job: one that came in the boot archive, or else one that the lab sends."""
    if _JOB.exists():
        # What has another pace than this host's own instructions waits for the command's end.
        job = json.loads((_JOB / "job.json").read_text())
        freshen(job)
        with open(_JOB / "files.tar", "rb") as files:
            unpack(files)
        status = Command(job, None, Path("/run")).wait()
        subprocess.run(["insmod", "/lab/virtio_mmio.ko"], check=True)
        channel = open_port()
        for name, kind in (("stdout", Kind.STDOUT), ("stderr", Kind.STDERR)):
            with open(f"/run/{name}", "rb") as stream:
                while data := stream.read(CHUNK):
                    channel.send(kind, data)
    else:
        channel = open_port()
        hold_vm()
        channel.send(Kind.READY, json.dumps({"kvm": Path("/dev/kvm").exists()}).encode())
        # Here it sleeps when a snapshot is taken, and here it wakes in a restored host.
        select.select([channel.descriptor], [], [])
        restart_timers()
        arriving = FileStream(channel)
        unpack(io.BufferedReader(arriving, CHUNK))
        arriving.drain()
        kind, data = channel.next()
        if kind is not Kind.JOB:
            raise RuntimeError(f"a {kind.name} frame instead of a job")
        job = json.loads(data)
        freshen(job)
        command = Command(job, channel, None)
        channel.send(Kind.STARTED)
        status = command.serve()
    if status:
        send_deaths(channel)
    os.sync()
    if job["out"]:
        send_out(channel)
    channel.send(Kind.EXIT, json.dumps({"status": status}).encode())
    signal.pause()
