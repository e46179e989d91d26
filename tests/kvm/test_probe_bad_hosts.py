# SPDX-License-Identifier: Apache-2.0
"""The probe where something forbids it to ask: a clear line, a status, nothing left behind."""

from __future__ import annotations

import errno
import io
import os
import resource
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress

import pytest

from pykvm.cli import main
from pykvm.probe import Report, collect
from tests.kvm.footprint import descriptors
from tests.kvm.processes import forked
from tests.kvm.seccomp import deny

pytestmark = pytest.mark.binding

#: Each ioctl that every host serves, and a fact that cannot be told without it.
NEUTRAL = {
    "KVM_GET_API_VERSION": (0xAE00, "kvm"),
    "KVM_CREATE_VM": (0xAE01, "vm"),
    "KVM_CHECK_EXTENSION": (0xAE03, "ioeventfd"),
    "KVM_GET_VCPU_MMAP_SIZE": (0xAE04, "vm"),
    "KVM_CREATE_VCPU": (0xAE41, "vcpu"),
    "KVM_SET_USER_MEMORY_REGION": (0x4020AE46, "dirty_log"),
    "KVM_ENABLE_CAP": (0x4068AEA3, "dirty_log_clear"),
    "KVM_CREATE_DEVICE": (0xC00CAEE0, "vfio"),
    "KVM_GET_STATS_FD": (0xAECE, "statistics_vm"),
}
ARM64 = {
    "KVM_ARM_VCPU_INIT": (0x4020AEAE, "sve"),
    "KVM_GET_ONE_REG": (0x4010AEAB, "aarch32_el0"),
    "KVM_RUN": (0xAE80, "pmu_events"),
}


def told_under(confine: Callable[[], None], *, selftest: bool = False) -> Report:
    """What the probe tells a process that is confined so; it leaves no descriptor there."""

    def child() -> str:
        confine()
        before = descriptors()
        told = collect(selftest=selftest).to_json()
        assert descriptors() == before
        return told

    return Report.from_json(forked(child))


def command_under(confine: Callable[[], None], *words: str) -> tuple[int, str, str]:
    """Status and output of the command in a process that is confined so."""

    def child() -> tuple[int, str, str]:
        confine()
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            status = main(["probe", *words])
        return status, out.getvalue(), err.getvalue()

    status, out, err = forked(child)
    return status, out, err


def judge(told: Report, fact: str, error: str) -> None:
    assert (told.facts[fact].state, told.facts[fact].errno) == ("failed", error), told.facts[fact]
    why, remedy = told.reason(fact)
    assert why
    assert "ioctls of /dev/kvm" in remedy


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=("EPERM", "ENOSYS"))
@pytest.mark.parametrize("ioctl", NEUTRAL)
@pytest.mark.needs("x86_64")
def test_a_sandbox_that_denies_one_ioctl(ioctl: str, error: int) -> None:
    request, fact = NEUTRAL[ioctl]

    def confine() -> None:
        deny(request, error)
        if request == 0x4020AE46:
            deny(0x40A0AE49, error)  # the newer form of the same

    judge(told_under(confine), fact, errno.errorcode[error])


@pytest.mark.parametrize("ioctl", ARM64)
@pytest.mark.needs("vgicv3", "pmu")
def test_a_sandbox_that_denies_one_ioctl_of_arm64(ioctl: str) -> None:
    request, fact = ARM64[ioctl]
    judge(told_under(lambda: deny(request, errno.EPERM)), fact, "EPERM")


def test_a_sandbox_that_denies_them_all() -> None:
    told = told_under(lambda: deny(None, errno.EPERM), selftest=True)
    judge(told, "kvm", "EPERM")
    assert told.gaps
    for part in told.selftest or ():
        assert part.result == "impossible"


@pytest.mark.needs("vgicv3")
def test_the_selftest_in_a_sandbox() -> None:
    told = told_under(lambda: deny(0x4020AE76, errno.EPERM), selftest=True)
    for part in told.selftest or ():
        assert (part.result, part.failure) == ("failed", "refused")
        assert "KVM_IRQFD" in part.why


@pytest.mark.parametrize("request_", [0xAE01, None])
def test_the_command_in_a_sandbox(request_: int | None) -> None:
    def confine() -> None:
        deny(request_, errno.EPERM)

    status, out, err = command_under(confine)
    assert (status, err) == (0, "")
    assert "sandbox" in " ".join(out.split())
    status, out, err = command_under(confine, "--require", "vm")
    assert (status, out) == (1, "")
    assert err.startswith("pykvm: not met: vm")
    assert err.count("\n") == 1


@pytest.mark.needs("x86_64")
@pytest.mark.parametrize("limit", [1, 3, 5])
def test_a_process_with_few_descriptors(limit: int) -> None:
    """As many as are open, and a few: whatever cannot be made fails as what it is."""

    def confine() -> None:
        most = len(descriptors()) + 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        taken = []
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for number in taken[len(taken) - limit :]:
            os.close(number)

    told = told_under(confine)
    failed = {fact.errno for fact in told.facts.values() if fact.state == "failed"}
    assert failed <= {"EMFILE"}
    assert failed
