# SPDX-License-Identifier: Apache-2.0
"""A thread that can be stopped before any bytecode of chosen functions.

So the orders in which two threads without a GIL may go through them can be played on any Python.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
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
        try:
            with watched(self._codes, self._step):
                self._body()
        finally:
            self._gate.arrive()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._stop:
            self._gate.pass_through()

    def finish(self) -> None:
        """Lets it go on to its end."""
        self._gate.open()
        self._worker.join()


if sys.version_info >= (3, 12):
    _TOOL = 4  # one that nobody has by convention
    _steps: dict[int, tuple[Collection[CodeType], Callable[[], None]]] = {}
    _changing = threading.Lock()

    def _on_instruction(code: CodeType, _offset: int) -> None:
        codes, step = _steps.get(threading.get_ident(), ((), None))
        if step and code in codes:
            step()

    @contextmanager
    def watched(codes: Collection[CodeType], step: Callable[[], None]) -> Iterator[None]:
        """Calls ``step`` before each bytecode of these in this thread."""
        monitoring = sys.monitoring
        event = monitoring.events.INSTRUCTION
        with _changing:
            if not _steps:
                monitoring.use_tool_id(_TOOL, __name__)
                monitoring.register_callback(_TOOL, event, _on_instruction)
            _steps[threading.get_ident()] = codes, step
            for code in codes:
                monitoring.set_local_events(_TOOL, code, event)
        try:
            yield
        finally:
            with _changing:
                del _steps[threading.get_ident()]
                if not _steps:
                    for code in codes:
                        monitoring.set_local_events(_TOOL, code, 0)
                    monitoring.free_tool_id(_TOOL)

else:

    @contextmanager
    def watched(codes: Collection[CodeType], step: Callable[[], None]) -> Iterator[None]:
        """Calls ``step`` before each bytecode of these in this thread."""

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_code not in codes:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if event == "opcode":
                step()
            return trace

        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(None)
