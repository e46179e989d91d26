# SPDX-License-Identifier: Apache-2.0
"""One run of pytest on an emulated host, and what it says, test by test, while it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.devices.kinds import MODULES as DRIVERS
from tests.plugin.record import read

LAB = (sys.executable, "-m", "tests.lab", "run")
# Enough for every test there is, on a slow and busy machine; `--lab='--timeout N'` changes it.
_TIMEOUT_SECONDS = 1500
# Longer than any honest test. What every thread does comes into the log, then the host is ended.
_STUCK_SECONDS = 240
SILENT_SECONDS = 300
#: How the log tells it.
WENT_SILENT = "after a silence"
_LOG_LINES = 240  # of what a host says of a death, too
# Tests that boot a Linux of their own: it has to come along.
_GUEST_TESTS = "tests/arm64/vmm/"
# However this process ends, the lab is told, and ends its host.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")
# The record goes to the lab's stdout, and everything else that pytest prints to its stderr.
_PYTEST = ("sh", "-c", 'exec python3 -m pytest "$@" 3>&1 1>&2', "sh")


class Ended(NamedTuple):
    """How a run came to its end, for a person to read; ``trouble`` is empty for a good end."""

    trouble: str
    log: str


class LabRun:
    """Runs the tests ``nodeids`` of the tree ``top`` on the host that ``lab_words`` describe.

    ``lab`` is the command that takes these words, then ``--`` and what to run there.
    """

    def __init__(
        self,
        nodeids: Sequence[str],
        lab_words: Sequence[str],
        pytest_words: Sequence[str],
        *,
        lab: Sequence[str],
        top: Path,
    ) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="pykvm-tests-"))
        items = self._scratch / "items.json"
        items.write_text(json.dumps(list(nodeids)), encoding="utf-8")
        files = dict.fromkeys(nodeid.partition("::")[0] for nodeid in nodeids)
        self._log = open(self._scratch / "log", "w+b")
        there = ["--host", "native", "--items", str(items), "--record", "/dev/fd/3"]
        there += ["--continue-on-collection-errors", "-p", "no:cacheprovider"]
        there += ["-o", f"faulthandler_timeout={_STUCK_SECONDS}", *pytest_words, *files]
        words = ["--traced", "--timeout", str(_TIMEOUT_SECONDS), "--file", f"{items}:{items}"]
        if any(file.startswith(_GUEST_TESTS) for file in files):
            words += ["--guest", "6.12", "--module", "tun"]
            words += ["--module", "vhost_net", "--module", "vhost_vsock"]
        if any("vmm/test_assigned" in file for file in files):
            words += [word for name in DRIVERS for word in ("--guest-module", name)]
        words += lab_words
        self._process = subprocess.Popen(
            [*_ENDS_WITH_US, *lab, *words, "--", *_PYTEST, *there],
            cwd=top,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._ended: Ended | None = None

    def events(self) -> Iterator[dict[str, Any]]:
        """The record of the run, as it comes. Ends with the run."""
        assert self._process.stdout is not None
        finished = False
        heard: float | None = None  # the way there may be long: it is the lab that limits that
        silent = ""
        for event in read(self._process.stdout.fileno()):
            if event is not None:
                heard = time.monotonic()
                finished = event["event"] == "end"
                yield event
            elif heard is not None and time.monotonic() - heard > SILENT_SECONDS and not silent:
                silent = f" {WENT_SILENT} of {SILENT_SECONDS} s, on our request"
                self._process.terminate()
        status = self._process.wait()
        # 1 is pytest's word for "tests failed": their reports tell.
        if finished and status in (0, 1):
            trouble = ""
        elif finished:
            trouble = f"the run on the emulated host was complete, but ended with status {status}"
        else:
            trouble = f"the run on the emulated host broke off with status {status}{silent}"
        self._ended = Ended(trouble, self._log_end())

    @property
    def ended(self) -> Ended:
        """How it ended. Only after the last event."""
        assert self._ended is not None
        return self._ended

    def _log_end(self) -> str:
        self._log.flush()
        lines = (self._scratch / "log").read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    def stop(self) -> None:
        """Ends the run, if it goes on, and removes what it left. May be called again."""
        if self._process.poll() is None:
            self._process.terminate()  # the lab ends its host in an orderly way
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if not self._log.closed:
            self._log.close()
            for name in ("items.json", "log"):
                (self._scratch / name).unlink()
            self._scratch.rmdir()
