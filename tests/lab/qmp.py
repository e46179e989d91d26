# SPDX-License-Identifier: Apache-2.0
"""QEMU's control socket."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from tests.lab.errors import LabError


class Qmp:
    """Speaks QMP over a connected socket."""

    def __init__(self, connection: socket.socket, limit: float) -> None:
        self._socket = connection
        self._socket.settimeout(limit)
        self._pending = b""
        if "QMP" not in self._read():
            raise LabError("QEMU's control socket did not greet.")
        self.do("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise LabError("QEMU did not answer on its control socket.") from None
            except OSError:
                data = b""
            if not data:
                raise LabError("QEMU ended.")
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, command: str, **arguments: Any) -> Any:
        """Carry out one command; events in between are dropped."""
        words = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(words).encode() + b"\n")
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error'].get('desc')}")

    def migrated(self, limit: float) -> None:
        """Wait until a migration is over."""
        deadline = time.monotonic() + limit
        while True:
            told = self.do("query-migrate")
            if told.get("status") == "completed":
                return
            if told.get("status") in ("failed", "cancelled"):
                raise LabError(
                    f"QEMU's snapshot failed: {told.get('error-desc', 'no reason given')}"
                )
            if time.monotonic() > deadline:
                raise LabError("QEMU's snapshot did not get done in time.")
            time.sleep(0.01)
