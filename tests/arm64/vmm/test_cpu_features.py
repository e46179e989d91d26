# SPDX-License-Identifier: Apache-2.0
"""What a guest's CPUs can be given: counters count, vectors add, tags catch."""

from __future__ import annotations

import pytest

from tests.arm64.vmm.linux import linux

pytestmark = pytest.mark.needs("linux_guest")


@pytest.mark.needs("pmu", "sve", "mte")
def test_programs_use_what_the_cpus_were_given() -> None:
    script = "probe pmu && probe sve && probe mte && echo all work; echo all told; poweroff -f"
    with linux(script, "--pmu", "--sve", "--mte", "--cpus", "4") as guest:
        said = guest.until("all told")
        assert guest.end() == (0, "")
    assert "all work" in said
    assert "pmu: cycles " in said
    assert "sve: vectors of " in said
    assert "mte: a wrong tag is caught, code 9" in said


@pytest.mark.needs("sve", "mte")
def test_programs_have_nothing_that_they_were_not_given() -> None:
    with linux("probe sve; probe mte; echo all told; poweroff -f") as guest:
        said = guest.until("all told")
        assert guest.end() == (0, "")
    assert "probe: no SVE" in said
    assert "probe: no MTE" in said
