# SPDX-License-Identifier: Apache-2.0
"""Puts a report together, whatever the host refuses."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from pykvm import __version__
from pykvm.errors import KvmError
from pykvm.kvm import Kvm
from pykvm.probe.about import ABOUT
from pykvm.probe.check import Check
from pykvm.probe.facts import Fact, asked
from pykvm.probe.gicfacts import interrupt_facts
from pykvm.probe.hostfacts import host_facts
from pykvm.probe.machines import is_arm64, one_vcpu, small_vm
from pykvm.probe.missing import refused, unopened, whole_gaps
from pykvm.probe.report import SCHEMA, Capability, Gap, Register, Report, Trial
from pykvm.probe.selftest import impossible, run_selftest
from pykvm.probe.vcpufacts import feature_trials, registers, vcpu_facts
from pykvm.probe.vmfacts import capabilities, vm_facts

__all__ = ["collect"]

_T = TypeVar("_T")


def collect(path: str = "/dev/kvm", *, selftest: bool = False) -> Report:
    """Everything that can be found out about the host at ``path``, as an ordinary user.

    It never fails for want of KVM, nor when the kernel refuses a call: what could not be asked is a
    fact that failed, ``gaps`` says what is missing as a whole, and the facts have every name in
    :data:`ABOUT`. ``selftest`` also starts tiny guests that take interrupts, for some seconds.

    VMs are made and closed, and what was opened is closed; nothing on the host is changed.
    """
    probe = _Probe(path)
    try:
        kvm = Kvm(path)
    except (OSError, ImportError, ValueError) as failure:
        probe.cannot_open(failure)
        checks = impossible("There is no KVM that can be used.") if selftest else None
        return probe.report(checks)
    with kvm:
        probe.ask(kvm)
        checks = run_selftest(kvm) if selftest else None
    return probe.report(checks)


class _Probe:
    """A report while it grows."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.facts = host_facts(path)
        self.capabilities: tuple[Capability, ...] = ()
        self.trials: tuple[Trial, ...] = ()
        self.registers: tuple[Register, ...] = ()
        self.gaps: list[Gap] = []
        #: What a fact is that nobody could ask for.
        self.unasked = Fact.no("the machine is no arm64")

    def cannot_open(self, failure: Exception) -> None:
        source = f"open {self.path}"
        if isinstance(failure, ImportError):
            self.unasked = Fact.failed("import pykvm._kvm", errno.ENOEXEC)
        else:
            number = failure.errno if isinstance(failure, OSError) else errno.EINVAL
            self.unasked = Fact.failed(source, number or errno.EIO)
        self.facts["kvm"] = self.unasked
        self.gaps += unopened(self.path, failure)

    def ask(self, kvm: Kvm) -> None:
        self.facts["kvm"] = Fact.of(True, f"open {self.path}")
        self.facts["api_version"] = asked("KVM_GET_API_VERSION", kvm.get_api_version)
        self.facts["vcpu_mmap_size"] = asked("KVM_GET_VCPU_MMAP_SIZE", kvm.get_vcpu_mmap_size)
        if is_arm64():
            self.facts["entered_at"] = Fact.of("EL2", "KVM, which needs it")
        try:
            with small_vm(kvm) as vm:
                self.facts["vm"] = Fact.of(True, "KVM_CREATE_VM")
                self.capabilities = capabilities(kvm, vm, self.unasked)
                self._facts_of(lambda: vm_facts(kvm, vm))
        except OSError as refusal:
            self._no_vm(kvm, refusal)
            return
        self.facts["vcpu"] = asked("KVM_CREATE_VCPU, KVM_ARM_VCPU_INIT", lambda: _vcpu(kvm), no=())
        self._facts_of(lambda: interrupt_facts(kvm))
        self._facts_of(lambda: vcpu_facts(kvm))
        if self.facts["kvm_mode"].value == "vhe" and self.facts["el2"].yes:
            self.facts["kvm_mode"] = Fact.of("nested", self.facts["el2"].source)
        self.trials = self._or(lambda: feature_trials(kvm), ())
        if "registers" in self.facts:
            self.registers = self._or(lambda: registers(kvm, self.facts), ())
        self.gaps += whole_gaps(self.facts)

    def _no_vm(self, kvm: Kvm, refusal: OSError) -> None:
        self.unasked = self.facts["vm"] = Fact.failed("KVM_CREATE_VM", refusal.errno)
        self.capabilities = self._or(lambda: capabilities(kvm, None, self.unasked), ())
        self.gaps.append(refused(refusal))

    def _facts_of(self, section: Callable[[], dict[str, Fact]]) -> None:
        """Adds a section's facts. One that breaks off as a whole leaves its own unasked."""
        nothing: dict[str, Fact] = {}
        self.facts |= self._or(section, nothing)

    def _or(self, section: Callable[[], _T], nothing: _T) -> _T:
        try:
            return section()
        except OSError as refusal:
            source = refusal.ioctl if isinstance(refusal, KvmError) else "the kernel"
            self.unasked = Fact.failed(source, refusal.errno)
            self.gaps.append(refused(refusal))
            return nothing

    def report(self, selftest: tuple[Check, ...] | None) -> Report:
        for check in selftest or ():
            self.facts[f"selftest_{check.name}"] = check.fact
        facts = {name: self.facts.get(name, _untried(name) or self.unasked) for name in ABOUT}
        return Report(
            SCHEMA, __version__, facts, self.capabilities, self.trials, self.registers,
            tuple(dict.fromkeys(self.gaps)), selftest,
        )  # fmt: skip


def _vcpu(kvm: Kvm) -> bool:
    with one_vcpu(kvm):
        return True


def _untried(name: str) -> Fact | None:
    return Fact.no("not tried: --selftest does") if name.startswith("selftest_") else None
