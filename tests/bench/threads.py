# SPDX-License-Identifier: Apache-2.0
"""What threads do to exits, by the clock: a second vCPU beside the first, and a busy Python thread.

Prints one line of JSON: exits per second. Reported, never judged: they waver, and depend on what
else the machine does.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from pykvm import Vcpu
from tests.kvm.machines import KNOCK, Machine

_EXITS = 10_000
#: With a busy thread beside it, a vCPU waits for the GIL after each exit.
_EXITS_BESIDE = 200
_ROUNDS = 5


def _exits(vcpu: Vcpu, count: int) -> None:
    run = vcpu.run
    for _ in range(count):
        run()


def _rate(bodies: list[Callable[[], None]], exits: int) -> float:
    """Exits per second of all threads together."""
    threads = [threading.Thread(target=body) for body in bodies]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return exits / (time.perf_counter() - started)


def _beside_a_busy_thread(vcpu: Vcpu) -> float:
    ended = threading.Event()

    def busy() -> None:
        while not ended.is_set():
            sum(range(100))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        return _rate([lambda: _exits(vcpu, _EXITS_BESIDE)], _EXITS_BESIDE)
    finally:
        ended.set()
        thread.join()


def rates() -> dict[str, float]:
    """Exits per second: of one vCPU, of two in two threads, of one beside a busy thread."""
    with ExitStack() as undo:
        one, two = (undo.enter_context(Machine(KNOCK)).vcpu for _ in range(2))
        found: dict[str, list[float]] = {
            "one vCPU": [],
            "two vCPUs": [],
            "beside a busy thread": [],
        }
        for _ in range(_ROUNDS):
            found["one vCPU"].append(_rate([lambda: _exits(one, _EXITS)], _EXITS))
            both: list[Callable[[], None]] = [
                lambda: _exits(one, _EXITS), lambda: _exits(two, _EXITS),
            ]  # fmt: skip
            found["two vCPUs"].append(_rate(both, 2 * _EXITS))
            found["beside a busy thread"].append(_beside_a_busy_thread(one))
    return {name: median(each) for name, each in found.items()}


if __name__ == "__main__":
    print(json.dumps(rates()))
