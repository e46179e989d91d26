# SPDX-License-Identifier: Apache-2.0
"""What one run of pytest came to, from its record (``tests/plugin/record.py``)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.lab.shapes import Shape
from tests.plugin.needs import property_in

# pytest's: all passed; some failed. Everything else means that it did not do its work.
_DONE = (0, 1)


class Tally:
    """Counts while the record comes in; :meth:`problems` judges at the end."""

    def __init__(self) -> None:
        self.host: dict[str, Any] = {}
        self.collected: list[str] = []
        self.results: dict[str, str] = {}
        """What became of each test: passed, failed or skipped."""
        self.missed: dict[str, str] = {}
        """For each skipped test, the property that the host lacks."""
        self.proven: dict[str, list[str]] = {}
        """For each test that proved rows of the interface, these rows."""
        self.unnoticed: list[tuple[str, str]] = []
        """Rows whose call did nothing, each with a test that passed all the same."""
        self.noticed = 0
        self.running = ""
        self._faults: list[str] = []
        self._ended = False

    def take(self, event: dict[str, Any]) -> None:
        """Counts one event."""
        match event["event"]:
            case "host":
                self.host = event["host"]
            case "collected":
                self.collected = event["items"]
            case "start":
                self.running = event["nodeid"]
            case "report":
                self._take_report(event["report"])
            case "covers":
                self.proven[event["nodeid"]] = event["rows"]
            case "muted" if event["noticed"]:
                self.noticed += 1
            case "muted":
                self.unnoticed.append((event["row"], event["nodeid"]))
            case "finish":
                self.running = ""
            case "end":
                self._ended = True

    def _take_report(self, report: dict[str, Any]) -> None:
        nodeid, outcome = report["nodeid"], report["outcome"]
        if report["$report_type"] == "CollectReport":
            self._faults.append(f"{nodeid} could not be collected")
        elif outcome == "failed" or self.results.get(nodeid) == "failed":
            self.results[nodeid] = "failed"
        elif outcome == "skipped":
            self.results[nodeid] = "skipped"
            reason = report["longrepr"][2] if isinstance(report["longrepr"], list) else "no reason"
            if name := property_in(reason):
                self.missed[nodeid] = name
            else:
                self._faults.append(f"{nodeid} was skipped for no property of the host: {reason}")
        elif report["when"] == "call":
            self.results[nodeid] = "passed"

    @property
    def counts(self) -> Counter[str]:
        """How many tests passed, failed and were skipped."""
        return Counter(self.results.values())

    @property
    def ran(self) -> set[str]:
        """The tests that were really run."""
        return {nodeid for nodeid, result in self.results.items() if result != "skipped"}

    def problems(self, status: int | None, shape: Shape | None) -> list[str]:
        """All that is wrong with the run but for tests that failed.

        ``status``: how it exited; None where it was never started. ``shape``: the host asked for.
        """
        found = list(self._faults)
        if self.running:
            found.append(f"it ended inside {self.running}")
        elif not self._ended:
            found.append("it ended before its time")
        if status not in _DONE:
            found.append(f"it ended with status {status}")
        if status == 1 and not found and not self.counts["failed"]:
            found.append("it ended with status 1, although no test failed")
        found += [f"{nodeid} passes where {row} does nothing" for row, nodeid in self.unnoticed]
        lost = [nodeid for nodeid in self.collected if nodeid not in self.results]
        if lost:
            found.append(f"{len(lost)} collected tests have no result, the first is {lost[0]}")
        if not self.ran:
            found.append("it ran no test")
        elif shape is not None:
            found += self._other_than(shape)
        return found

    def _other_than(self, shape: Shape) -> list[str]:
        """Where the host was not the one that was asked for."""
        found = []
        kernel, page_size = str(self.host.get("kernel")), self.host.get("page_size")
        if self.host.get("machine") != "aarch64":
            found.append(f"the host was no arm64 machine: {self.host}")
        if shape.kernel != "newest" and not kernel.startswith(f"{shape.kernel}."):
            found.append(f"the host's kernel was {kernel}, not {shape.kernel}")
        if page_size != int(shape.page_size.removesuffix("k")) << 10:
            found.append(f"the host's pages had {page_size} bytes, not {shape.page_size}")
        return found
