# SPDX-License-Identifier: Apache-2.0
"""A plugin for pytest: vCPUs are run as a free-threaded interpreter runs them, on any."""

from __future__ import annotations

from pykvm.vcpurun import VcpuRun, claimed


def pytest_configure() -> None:
    if not hasattr(VcpuRun.run, "__wrapped__"):
        setattr(VcpuRun, "run", claimed("KVM_RUN")(VcpuRun.run))  # noqa: B010
        method = claimed("complete_mmio")(VcpuRun.complete_mmio)
        setattr(VcpuRun, "complete_mmio", method)  # noqa: B010
