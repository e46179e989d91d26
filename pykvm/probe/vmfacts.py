# SPDX-License-Identifier: Apache-2.0
"""What VMs can have on this host, vCPUs and GICs apart: by trial, else by capability."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from functools import partial

from pykvm.caps import Cap
from pykvm.device import DeviceType
from pykvm.kvm import Kvm
from pykvm.memory import GuestMemory
from pykvm.probe.facts import Fact, Value, asked, taken
from pykvm.probe.machines import DEFAULT_IPA_BITS, is_arm64, one_vcpu, small_vm
from pykvm.probe.report import Capability
from pykvm.probe.since import SINCE
from pykvm.vm import VM

__all__ = ["capabilities", "vm_facts"]

#: As many numbers are asked; what is not in Cap is reported where it answers.
_NUMBERS = 401
_IPA_SIZES = range(32, 53)
_GPA = 1 << 28

#: A number.
_BY_CAPABILITY = {
    "vcpus": Cap.MAX_VCPUS,
    "vcpus_advised": Cap.NR_VCPUS,
    "vcpu_ids": Cap.MAX_VCPU_ID,
    "irq_routes": Cap.IRQ_ROUTING,
}
#: A yes or a no.
_TRUTH_BY_CAPABILITY = {
    "ioeventfd": Cap.IOEVENTFD,
    "ioeventfd_any_length": Cap.IOEVENTFD_ANY_LENGTH,
    "coalesced_mmio": Cap.COALESCED_MMIO,
    "guest_debug": Cap.SET_GUEST_DEBUG,
}
_BY_ARM64_CAPABILITY = {
    "user_irq": Cap.ARM_USER_IRQ,
    "breakpoints": Cap.GUEST_DEBUG_HW_BPS,
    "watchpoints": Cap.GUEST_DEBUG_HW_WPS,
}
_TRUTH_BY_ARM64_CAPABILITY = {
    "serror_esr": Cap.ARM_INJECT_SERROR_ESR,
    "ptp": Cap.PTP_KVM,
    "cacheable_device_memory": Cap.ARM_CACHEABLE_PFNMAP_SUPPORTED,
}


def capabilities(kvm: Kvm, vm: VM | None, unasked: Fact) -> tuple[Capability, ...]:
    """What the system and a fresh VM answer; ``unasked`` is the answer where there is no VM."""
    found = []
    names = {int(cap): cap for cap in Cap}
    for number in range(_NUMBERS):
        source = f"KVM_CHECK_EXTENSION({number})"
        system = asked(f"{source} of /dev/kvm", partial(kvm.check_extension, number), no=())
        own = unasked
        if vm is not None:
            own = asked(f"{source} of a VM", partial(vm.check_extension, number), no=())
        cap = names.get(number)
        if cap is not None:
            name, meaning = f"KVM_CAP_{cap.name}", cap.__doc__ or ""
            found.append(Capability(number, name, system, own, meaning, SINCE[cap]))
        elif system.yes or own.yes:
            meaning = "Newer than this pykvm, or another architecture's."
            found.append(Capability(number, None, system, own, meaning, None))
    return tuple(found)


def vm_facts(kvm: Kvm, vm: VM) -> dict[str, Fact]:
    """Facts of all groups that a VM tells; ``vm`` is a fresh one, and stays so."""

    def capability(cap: Cap) -> Fact:
        return asked(f"KVM_CHECK_EXTENSION({cap.name})", lambda: vm.check_extension(cap), no=())

    def truth(cap: Cap) -> Fact:
        fact = capability(cap)
        return Fact.of(True, fact.source) if fact.yes else fact

    found = {name: capability(cap) for name, cap in _BY_CAPABILITY.items()}
    found |= {name: truth(cap) for name, cap in _TRUTH_BY_CAPABILITY.items()}
    found |= {
        "memory_slots": _in_vm(kvm, "KVM_SET_USER_MEMORY_REGION of the last slot", _last_slot),
        "readonly_memory": _in_vm(
            kvm, "KVM_SET_USER_MEMORY_REGION read-only", _slot(readonly=True)
        ),
        "guest_memfd": _in_vm(kvm, "KVM_CREATE_GUEST_MEMFD and its slot", _guest_memfd),
        "dirty_log": _in_vm(kvm, "KVM_SET_USER_MEMORY_REGION logged", _slot(log_dirty=True)),
        "dirty_log_clear": _enabled(kvm, Cap.MANUAL_DIRTY_LOG_PROTECT2, 1),
        "dirty_ring": _in_vm(kvm, "KVM_ENABLE_CAP(DIRTY_LOG_RING_ACQ_REL)", _largest_ring),
        "statistics_vm": _in_vm(kvm, "KVM_GET_STATS_FD of a VM", _statistics),
        "statistics_vcpu": asked("KVM_GET_STATS_FD of a vCPU", lambda: _vcpu_statistics(kvm)),
        "vfio": asked("KVM_CREATE_DEVICE(VFIO)", lambda: _makes(kvm, DeviceType.VFIO)),
    }
    if not is_arm64():
        return found
    found |= {name: capability(cap) for name, cap in _BY_ARM64_CAPABILITY.items()}
    found |= {name: truth(cap) for name, cap in _TRUTH_BY_ARM64_CAPABILITY.items()}
    sizes = capability(Cap.ARM_SUPPORTED_BLOCK_SIZES)
    blocks = tuple(1 << bit for bit in range(64) if _int(sizes) >> bit & 1)
    return found | {
        "ipa_bits": Fact.of(
            _int(capability(Cap.ARM_VM_IPA_SIZE)) or DEFAULT_IPA_BITS,
            "KVM_CHECK_EXTENSION(ARM_VM_IPA_SIZE)",
        ),
        "ipa_sizes": asked("KVM_CREATE_VM of each width", lambda: _ipa_sizes(kvm)),
        "block_sizes": sizes if not blocks else Fact.of(blocks, sizes.source),
        "dirty_ring_bitmap": _in_vm(
            kvm, "KVM_ENABLE_CAP(DIRTY_LOG_RING_WITH_BITMAP)", _ring_with_bitmap
        ),
        "eager_split": _enabled(kvm, Cap.ARM_EAGER_SPLIT_CHUNK_SIZE, *blocks[:1]),
        "counter_offset": _in_vm(kvm, "KVM_ARM_SET_COUNTER_OFFSET", _counter_offset),
        "writable_id_registers": _in_vm(
            kvm, "KVM_ARM_GET_REG_WRITABLE_MASKS", lambda vm: len(vm.arm_get_reg_writable_masks())
        ),
        "writable_implementation": _enabled(kvm, Cap.ARM_WRITABLE_IMP_ID_REGS),
        "mte": _enabled(kvm, Cap.ARM_MTE),
        "system_suspend": _enabled(kvm, Cap.ARM_SYSTEM_SUSPEND),
        "nisv_to_user": _enabled(kvm, Cap.ARM_NISV_TO_USER),
        "memory_errors_to_user": _enabled(kvm, Cap.ARM_SEA_TO_USER),
        "smccc_filter": _in_vm(
            kvm, "KVM_HAS_DEVICE_ATTR(SMCCC_FILTER) of a VM", VM.has_smccc_filter
        ),
        "vm_attributes": _in_vm(
            kvm, "KVM_HAS_DEVICE_ATTR of a VM",
            lambda vm: ("smccc_filter",) if vm.has_smccc_filter() else (),
        ),
    }  # fmt: skip


def _int(fact: Fact) -> int:
    return fact.value if isinstance(fact.value, int) else 0


def _in_vm(kvm: Kvm, source: str, trial: Callable[[VM], Value]) -> Fact:
    """What a trial with a VM of its own finds."""

    def made() -> Value:
        with small_vm(kvm) as vm:
            return trial(vm)

    return asked(source, made)


def _enabled(kvm: Kvm, cap: Cap, *words: int) -> Fact:
    def trial(vm: VM) -> bool:
        vm.enable_cap(cap, words)
        return True

    return _in_vm(kvm, f"KVM_ENABLE_CAP({cap.name})", trial)


def _slot(**options: bool) -> Callable[[VM], bool]:
    def trial(vm: VM) -> bool:
        with GuestMemory(mmap.PAGESIZE) as memory, vm.add_memory(_GPA, memory, **options):
            return True

    return trial


def _last_slot(vm: VM) -> int:
    count = vm.check_extension(Cap.NR_MEMSLOTS)
    with GuestMemory(mmap.PAGESIZE) as memory, vm.add_memory(_GPA, memory, slot=count - 1):
        return count


def _guest_memfd(vm: VM) -> bool:
    with vm.create_guest_memfd(mmap.PAGESIZE) as file, vm.add_guest_memfd(_GPA, file):
        return True


def _largest_ring(vm: VM) -> int:
    if size := vm.check_extension(Cap.DIRTY_LOG_RING_ACQ_REL):
        vm.enable_dirty_log_ring(size)
    return size


def _ring_with_bitmap(vm: VM) -> bool:
    if not _largest_ring(vm):
        return False
    vm.enable_dirty_log_ring_with_bitmap()
    return True


def _counter_offset(vm: VM) -> bool:
    vm.arm_set_counter_offset(0)
    return True


def _statistics(vm: VM) -> tuple[str, ...]:
    with vm.get_stats_fd() as statistics:
        return tuple(statistics.read())


def _vcpu_statistics(kvm: Kvm) -> tuple[str, ...]:
    with one_vcpu(kvm) as (_, vcpu), vcpu.get_stats_fd() as statistics:
        return tuple(statistics.read())


def _makes(kvm: Kvm, kind: DeviceType) -> bool:
    with small_vm(kvm) as vm, vm.create_device(kind):
        return True


def _ipa_sizes(kvm: Kvm) -> tuple[int, ...]:
    def made(bits: int) -> None:
        kvm.create_vm(ipa_bits=bits).close()

    return tuple(bits for bits in _IPA_SIZES if taken(made, bits))
