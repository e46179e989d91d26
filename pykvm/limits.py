# SPDX-License-Identifier: Apache-2.0
"""How much a VM can have on this host: from capabilities where they tell, else by trial."""

from __future__ import annotations

from typing import Any

from pykvm.caps import Cap
from pykvm.device import DeviceType
from pykvm.errors import KvmError
from pykvm.kvm import Kvm
from pykvm.routing import FIRST_SPI
from pykvm.vgic import Vgic
from pykvm.vm import VM

__all__ = ["gics", "ipa_bits", "limits", "small_vm"]

#: Width of guest physical addresses where the kernel is not asked for another one, and the only
#: one of hosts without the capability.
_DEFAULT_IPA_BITS = 40
#: What GICD_TYPER can express, in the steps in which a GIC grows.
_NR_IRQS = range(1024, 32, -32)
_LIMITS = {
    "vcpus_advised": Cap.NR_VCPUS,
    "vcpus": Cap.MAX_VCPUS,
    "vcpu_ids": Cap.MAX_VCPU_ID,
    "memory_slots": Cap.NR_MEMSLOTS,
    "routing_entries": Cap.IRQ_ROUTING,
}


def ipa_bits(kvm: Kvm) -> int:
    """Width of the widest guest physical addresses, on arm64."""
    return kvm.check_extension(Cap.ARM_VM_IPA_SIZE) or _DEFAULT_IPA_BITS


def small_vm(kvm: Kvm) -> VM:
    """A VM also where the host cannot do the default's 40 bits of addresses."""
    bits = kvm.check_extension(Cap.ARM_VM_IPA_SIZE)
    return kvm.create_vm(ipa_bits=bits if bits < _DEFAULT_IPA_BITS else 0)


def limits(vm: VM) -> dict[str, int]:
    """What a VM says of its limits before it has a GIC."""
    return {name: vm.check_extension(cap) for name, cap in _LIMITS.items()}


def gics(kvm: Kvm, vm: VM) -> list[dict[str, Any]]:
    """The GICs that a VM can have, each with what a trial found."""
    kinds = ((2, DeviceType.ARM_VGIC_V2), (3, DeviceType.ARM_VGIC_V3))
    return [_gic(kvm, version) for version, kind in kinds if vm.has_device(kind)]


def _gic(kvm: Kvm, version: int) -> dict[str, Any]:
    with small_vm(kvm) as vm, vm.create_vcpu(0), vm.create_vgic(version) as vgic:
        nr_irqs = _most_irqs(vgic)
        vgic.init()
        return {
            "version": version,
            "vcpus": vm.check_extension(Cap.MAX_VCPUS),
            "nr_irqs": nr_irqs,
            "spis": nr_irqs - FIRST_SPI,
            "irqfd": _takes_irqfd(vm, resample=False),
            "resample": _takes_irqfd(vm, resample=True),
        }


def _most_irqs(vgic: Vgic) -> int:
    """The largest size that the kernel takes; the GIC has it now."""
    for nr_irqs in _NR_IRQS:
        try:
            vgic.nr_irqs = nr_irqs
        except KvmError:
            continue
        return nr_irqs
    return vgic.nr_irqs


def _takes_irqfd(vm: VM, *, resample: bool) -> bool:
    try:
        vm.irqfd(intid=FIRST_SPI, resample=resample).close()
    except KvmError:
        return False
    return True
