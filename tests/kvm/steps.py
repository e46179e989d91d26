# SPDX-License-Identifier: Apache-2.0
"""A thread that can be stopped before any bytecode of chosen functions.

So the orders in which two threads without a GIL may go through them can be played on any Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import CodeType, FrameType
from typing import Any

from tests.kvm.threads import Gate, Worker


class Stepped:
    """Runs ``body`` in a thread, up to the bytecode with this number (or its end) at first."""

    def __init__(
        self, body: Callable[[], object], codes: Collection[CodeType], stop: int | None = None
    ) -> None:
        self.steps = 0
        self._body = body
        self._codes = codes
        self._stop = stop
        self._gate = Gate()
        self._worker = Worker(self._run)
        if stop is not None:
            self._gate.wait()

    def _run(self) -> None:
        sys.settrace(self._trace)
        try:
            self._body()
        finally:
            sys.settrace(None)
            self._gate.arrive()

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code not in self._codes:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.steps += 1
            if self.steps == self._stop:
                self._gate.pass_through()
        return self._trace

    def finish(self) -> None:
        """Lets it go on to its end."""
        self._gate.open()
        self._worker.join()
