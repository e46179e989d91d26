# SPDX-License-Identifier: Apache-2.0
"""Calls on statistics, and the calls that make them."""

from __future__ import annotations

from tests.kvm.calls.table import Call

CALLS: list[Call] = [
    Call("Statistics.close", "statistics", closed=None),
    Call("Statistics.closed", "statistics", closed=None),
    Call("Statistics.fileno", "statistics"),
    Call("Statistics.read", "statistics"),
    Call("VM.get_stats_fd", "vm"),
    Call("Vcpu.get_stats_fd", "vcpu"),
]
