# SPDX-License-Identifier: Apache-2.0
"""Interrupts of VMs on this host, by trial."""

from __future__ import annotations

from functools import partial

from pykvm.caps import Cap
from pykvm.device import DeviceType
from pykvm.errors import KvmError
from pykvm.kvm import Kvm
from pykvm.probe.facts import Fact, asked
from pykvm.probe.machines import is_arm64, small_vm
from pykvm.routing import FIRST_SPI
from pykvm.vgic import Vgic
from pykvm.vm import VM

__all__ = ["interrupt_facts"]

#: What GICD_TYPER can express, in the steps in which a GIC grows.
_NR_IRQS = range(1024, 32, -32)


def interrupt_facts(kvm: Kvm) -> dict[str, Fact]:
    """Facts of GICs, irqfds and MSIs."""
    if not is_arm64():
        return _by_capability(kvm)
    found = {
        f"gicv{version}": asked(f"KVM_CREATE_DEVICE({kind.name})", partial(_makes, kvm, kind))
        for version, kind in (
            (2, DeviceType.ARM_VGIC_V2),
            (3, DeviceType.ARM_VGIC_V3),
            (5, DeviceType.ARM_VGIC_V5),
        )
    }
    versions = [version for version in (3, 2) if found[f"gicv{version}"].yes]
    for version in (2, 3):
        source = f"KVM_CREATE_VCPU of the last number, with a GICv{version}"
        found[f"gicv{version}_vcpus"] = (
            asked(source, partial(_vcpus, kvm, version)) if version in versions else Fact.no(source)
        )
    if found["gicv3"].yes:
        found["its"] = asked("KVM_CREATE_DEVICE(ARM_VGIC_ITS)", lambda: _makes_its(kvm))
    else:
        found["its"] = Fact.no("KVM_CREATE_DEVICE(ARM_VGIC_V3)")
    if not versions:
        none = Fact.no("KVM_CREATE_DEVICE of each GIC")
        return {**found, **dict.fromkeys(("spis", "irqfd", "irqfd_resample", "msi"), none)}
    version = versions[0]
    return {
        **found,
        "spis": asked("KVM_SET_DEVICE_ATTR(NR_IRQS)", lambda: _spis(kvm, version)),
        "irqfd": asked("KVM_IRQFD", lambda: _takes_irqfd(kvm, version, resample=False)),
        "irqfd_resample": asked(
            "KVM_IRQFD with RESAMPLE", lambda: _takes_irqfd(kvm, version, resample=True)
        ),
        "msi": asked(
            "KVM_CHECK_EXTENSION(SIGNAL_MSI), with an ITS",
            lambda: found["its"].yes and bool(kvm.check_extension(Cap.SIGNAL_MSI)),
        ),
    }


def _by_capability(kvm: Kvm) -> dict[str, Fact]:
    caps = {"irqfd": Cap.IRQFD, "irqfd_resample": Cap.IRQFD_RESAMPLE, "msi": Cap.SIGNAL_MSI}
    return {
        name: asked(f"KVM_CHECK_EXTENSION({cap.name})", partial(_answers, kvm, cap), no=())
        for name, cap in caps.items()
    }


def _answers(kvm: Kvm, cap: Cap) -> bool:
    return bool(kvm.check_extension(cap))


def _makes(kvm: Kvm, kind: DeviceType) -> bool:
    with small_vm(kvm) as vm, vm.create_device(kind):
        return True


def _makes_its(kvm: Kvm) -> bool:
    with small_vm(kvm) as vm, vm.create_vgic(3), vm.create_its():
        return True


def _vcpus(kvm: Kvm, version: int) -> int:
    with small_vm(kvm) as vm, vm.create_vgic(version):
        count = vm.check_extension(Cap.MAX_VCPUS)
        vm.create_vcpu(count - 1).close()
        return count


def _spis(kvm: Kvm, version: int) -> int:
    with small_vm(kvm) as vm, vm.create_vcpu(0), vm.create_vgic(version) as vgic:
        return _most_irqs(vgic) - FIRST_SPI


def _most_irqs(vgic: Vgic) -> int:
    """The largest size that the kernel takes; the GIC has it now."""
    for nr_irqs in _NR_IRQS:
        try:
            vgic.nr_irqs = nr_irqs
        except KvmError:
            continue
        return nr_irqs
    return vgic.nr_irqs


def _takes_irqfd(kvm: Kvm, version: int, *, resample: bool) -> bool:
    with small_vm(kvm) as vm, vm.create_vcpu(0), _initialised(vm, version):
        vm.irqfd(intid=FIRST_SPI, resample=resample).close()
        return True


def _initialised(vm: VM, version: int) -> Vgic:
    vgic = vm.create_vgic(version)
    vgic.init()
    return vgic
