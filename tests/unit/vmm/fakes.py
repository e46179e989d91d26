# SPDX-License-Identifier: Apache-2.0
"""Interrupt lines for device models without a VM."""

from __future__ import annotations


class FakeLevel:
    level = False

    def set_level(self, level: bool) -> None:
        self.level = level


class FakeEdge:
    signals = 0

    def signal(self) -> None:
        self.signals += 1
