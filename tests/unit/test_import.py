# SPDX-License-Identifier: Apache-2.0
"""What ``import pykvm`` costs, and what is left of the package without its compiled module."""

from __future__ import annotations

import pytest

from tests.kvm.processes import python

#: Slow to import, and not needed to run a guest.
_HEAVY = (
    "rich", "dataclasses", "inspect", "asyncio", "typing_extensions", "subprocess", "socket",
    "json",
)  # fmt: skip

_WITHOUT = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "pykvm._kvm":
            raise ImportError("no such module today")
sys.meta_path.insert(0, Block())
import pykvm, os
"""


def test_import_is_light() -> None:
    said = python(
        "import sys; before = set(sys.modules); import pykvm\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = said.split()
    assert "pykvm" in loaded
    assert [name for name in loaded if name in _HEAVY] == []


def test_the_probe_waits_until_it_is_asked_for() -> None:
    loaded = "print(*sorted(m for m in sys.modules if m.startswith(('pykvm.probe', 'rich.'))))\n"
    assert python(f"import sys, pykvm\n{loaded}").split() == []
    said = python(f"import sys; from pykvm.probe import collect; collect('/no')\n{loaded}").split()
    assert "pykvm.probe.report" in said
    assert "rich.console" not in said


def test_the_table_of_system_registers_waits_for_the_first_name() -> None:
    loaded = "print('pykvm.sysregs' in sys.modules)\n"
    said = python(f"import sys, pykvm\n{loaded}pykvm.reg_id('midr_el1')\n{loaded}")
    assert said.split() == ["False", "True"]


def test_importing_touches_nothing() -> None:
    """No signal is claimed, no device opened, before somebody asks."""
    assert python(
        "import os, signal\n"
        "state = lambda: (os.listdir('/proc/self/fd'),"
        " [signal.getsignal(n) for n in signal.valid_signals()],"
        " [line for line in open('/proc/self/status') if line.startswith('Sig')])\n"
        "before = state(); import pykvm; print(state() == before)"
    ).split() == ["True"]


@pytest.mark.parametrize(
    "call",
    [
        "pykvm.Kvm()",
        "pykvm.Kvm('/dev/null')",
        "pykvm.Kvm.adopt(0)",
        "pykvm.EventFd()",
        "pykvm.EventFd.adopt(0)",
        "pykvm.GuestMemory(1 << 20)",
        "pykvm.reg_id('pc')",
        "pykvm.sysreg(3, 0, 0, 0, 0)",
        "pykvm.reg_size(5)",
        "pykvm.reg_family(5)",
        "pykvm.set_kick_signal(10)",
    ],
)
def test_without_the_compiled_module(call: str) -> None:
    said = python(
        f"{_WITHOUT}before = os.listdir('/proc/self/fd')\n"
        f"try:\n {call}\n"
        "except ImportError as e:\n print(e)\n"
        "assert os.listdir('/proc/self/fd') == before\n",
        "-W",
        "error",
    )
    assert said.startswith("pykvm's compiled module did not load on Linux ")
    assert "no such module today" in said
    assert "pip install" in said


def test_the_command_without_the_compiled_module() -> None:
    said = python(
        f"{_WITHOUT}import pykvm.cli\nprint(pykvm.cli.main(['probe'])); print(pykvm.Cap.IRQFD)"
    )
    assert "No VMs here. pykvm's compiled module did not load." in " ".join(said.split())
    assert "no such module today" in said
    assert said.split()[-2:] == ["0", "32"]
