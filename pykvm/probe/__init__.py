# SPDX-License-Identifier: Apache-2.0
"""What this host's KVM can do, and if not, why: asked and tried, not guessed.

:func:`collect` returns a :class:`Report` and prints nothing; it also works where there is no KVM.
Every :class:`Fact` in it is a value, a no, or a failure with its errno, and says which call it came
from::

    report = collect()
    report.facts["gicv3"].yes          # True where a VM can have a GICv3
    report.facts["ipa_bits"].value     # 48
    report.reason("sve")               # why not, and what to do
    report.to_json()                   # as SCHEMA_FILE describes it

Nothing on the host is changed, and no descriptor is left. It is not imported by ``import pykvm``.
"""

from __future__ import annotations

from pykvm.probe.about import ABOUT, GROUPS
from pykvm.probe.check import Check
from pykvm.probe.collecting import collect
from pykvm.probe.facts import Fact
from pykvm.probe.report import (
    SCHEMA,
    Capability,
    Field,
    Gap,
    Register,
    Report,
    Trial,
    UnreadableReport,
    schema,
)

__all__ = [
    "ABOUT",
    "GROUPS",
    "SCHEMA",
    "Capability",
    "Check",
    "Fact",
    "Field",
    "Gap",
    "Register",
    "Report",
    "Trial",
    "UnreadableReport",
    "collect",
    "schema",
]
