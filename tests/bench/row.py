# SPDX-License-Identifier: Apache-2.0
"""What a row of the bench is."""

from __future__ import annotations

from dataclasses import dataclass

#: The forms that pykvm answers for; the others are rivals, for interest.
OURS = ("pykvm", "bound")
RIVALS = ("standard", "ctypes")


@dataclass(frozen=True)
class Row:
    """One call in the forms that are compared.

    Each form is a statement over names that ``names.py`` yields, as a user would write it in a
    loop, and fails loudly: an error path is never what is timed.
    """

    name: str
    loop: str
    """The function of ``baseline.c``."""
    arguments: tuple[str, ...]
    pykvm: str
    """The public method."""
    bound: str = ""
    """The compiled function alone, looked up before (or a view of memory): no method beats it."""
    standard: str = ""
    """What one would write with the standard library alone."""
    ctypes: str = ""
    ceiling: float | None = None
    """How many times C's cost pykvm's may be."""
    bound_ceiling: float | None = None
    missed: tuple[tuple[str, str], ...] = ()
    """Forms whose ceiling is not reached, and where their instructions go."""
    wrapper: str = ""
    """The compiled function through which this row goes, and no other row."""
    wrapper_calls: int = 1
    """How often a statement goes through it."""
    arm64_only: bool = True
    calls: int = 1
    """How many a statement makes; costs are of one."""
    weight: int = 1
    """By how much fewer iterations it is measured: it takes so much longer than an ioctl."""
    rivals_once: bool = False
    """The rivals are so slow that one round has to do."""

    @property
    def statements(self) -> dict[str, str]:
        """The forms in Python, by their names in the results."""
        every = {name: getattr(self, name) for name in (*OURS, *RIVALS)}
        return {name: text for name, text in every.items() if text}

    @property
    def ceilings(self) -> dict[str, float]:
        """What was promised, by form."""
        promised = {"pykvm": self.ceiling, "bound": self.bound_ceiling}
        return {form: ceiling for form, ceiling in promised.items() if ceiling is not None}
