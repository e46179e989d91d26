# SPDX-License-Identifier: Apache-2.0
"""What the host can do, found by trying it, with the binding itself.

A test that needs one of these says ``@pytest.mark.needs("vgicv2")``. A new property is one line in
``PROPERTIES``. A trial answers False only for the refusal that means "this host cannot"; any other
exception is a fault, comes out, and fails the tests that asked.
"""

from __future__ import annotations

import errno
import mmap
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pykvm import VM, Cap, DeviceType, Kvm, KvmError, VcpuFeature

#: A kernel and a first file system for guests; the lab brings them for the tests that want them.
GUEST = Path("/guest/Image")
_NO_KVM = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENODEV, errno.ENXIO)
#: ENOENT: a bit that this kernel does not know.
_NO_FEATURE = (errno.EINVAL, errno.ENODEV, errno.ENOENT)


class Property(NamedTuple):
    """Something that some hosts have and others lack."""

    meaning: str
    trial: Callable[[], bool]


@contextmanager
def _vm() -> Iterator[VM]:
    with Kvm() as kvm, kvm.create_vm() as vm:
        yield vm


def _opens_kvm() -> bool:
    try:
        Kvm().close()
    except KvmError as refusal:
        if refusal.errno not in _NO_KVM:
            raise
        return False
    return True


def _is_arm64() -> bool:
    return platform.machine() == "aarch64"


def _has_arm64_kvm() -> bool:
    return _is_arm64() and _opens_kvm()


def _makes(*devices: DeviceType) -> bool:
    """Whether a VM can have all of these devices."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm:
        for device in devices:
            try:
                vm.create_device(device).close()
            except KvmError as refusal:
                if refusal.errno != errno.ENODEV:
                    raise
                return False
    return True


def _gives(*features: VcpuFeature) -> bool:
    """Whether a vCPU can have all of these features."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm, vm.create_vcpu(0) as vcpu:
        try:
            vcpu.arm_vcpu_init(features)
        except KvmError as refusal:
            if refusal.errno not in _NO_FEATURE:
                raise
            return False
    return True


def _has_vcpu_attr(group: int, attr: int, *features: VcpuFeature) -> bool:
    """Whether a vCPU with these features has an attribute."""
    if not _gives(*features):
        return False
    with _vm() as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init(features)
        return vcpu.has_device_attr(group, attr)


def _answers(cap: Cap) -> bool:
    """Whether a VM of this host has the capability."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm:
        return vm.check_extension(cap) > 0


def _filters_hypercalls() -> bool:
    if not _has_arm64_kvm():
        return False
    with _vm() as vm:
        return vm.has_smccc_filter()


def _has_psci(version: int) -> bool:
    """Whether vCPUs have this version of PSCI, or a newer one; the register is KVM's own."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        return vcpu.get_one_reg(0x6030_0000_0014_0000) >= version


def _finds_vcpus_by_number() -> bool:
    """Whether a PPI's vCPU is the one of that number. Before 6.7 it was the n-th that was made."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm, vm.create_vcpu(1), vm.create_vgic() as vgic:
        vgic.init()
        try:
            vm.irq_line(16, 0, vcpu_id=1)
        except KvmError as refusal:
            if refusal.errno != errno.EINVAL:
                raise
            return False
    return True


def _has_sve_256() -> bool:
    if not _gives(VcpuFeature.SVE):
        return False
    with _vm() as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.SVE])
        return 256 in vcpu.sve_lengths_bits


def _does(call: Callable[[VM], object]) -> bool:
    """Whether a fresh VM takes this call, on whatever machine: an older kernel does not know it."""
    if not _opens_kvm():
        return False
    with _vm() as vm:
        try:
            call(vm)
        except KvmError as refusal:
            if refusal.errno not in (errno.EINVAL, errno.ENOTTY):
                raise
            return False
    return True


def _knows(call: Callable[[VM], object]) -> bool:
    """Whether a fresh VM of an arm64 machine takes this call."""
    return _is_arm64() and _does(call)


def _judges_cacheable_frames() -> bool:
    """Whether KVM has an opinion on cacheable memory of devices, and some can be shown to it."""
    from tests.perfbuffer import is_of_frames

    if not _has_arm64_kvm():
        return False
    with Kvm() as kvm:
        try:
            kvm.check_extension(Cap.ARM_CACHEABLE_PFNMAP_SUPPORTED)
        except KvmError as refusal:
            if refusal.errno != errno.EINVAL:
                raise
            return is_of_frames()  # it is a question about a VM
    return False


def _has_vfio_group() -> bool:
    from tests.vfio import group

    return group() is not None


def _has_its() -> bool:
    """Whether the host's own interrupt controller tells by whom a message was sent."""
    return any(Path("/sys/firmware/devicetree/base").glob("**/its@*")) or any(
        Path("/sys/firmware/devicetree/base").glob("**/msi-controller@*")
    )


def _has_no_iommu() -> bool:
    pci = Path("/sys/bus/pci/devices")
    return any(pci.glob("*")) and not any(Path("/sys/class/iommu").glob("*"))


def _can_set(register: str) -> bool:
    """Whether a vCPU's register takes another value than the host's: here bit 13 is changed."""
    if not _has_arm64_kvm():
        return False
    with _vm() as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init()
        value = vcpu.get_one_reg(register)
        try:
            vcpu.set_one_reg(register, value ^ 1 << 13)
        except KvmError as refusal:
            if refusal.errno != errno.EINVAL:
                raise
            return False
    return True


def _may_use(node: str) -> bool:
    return os.access(node, os.R_OK | os.W_OK)


def _has_arm64_assembler() -> bool:
    from guests.build import toolchain_prefix  # found by pytest only, and only tests ask for this

    return toolchain_prefix() is not None


_POINTER_AUTHENTICATION = (VcpuFeature.PTRAUTH_ADDRESS, VcpuFeature.PTRAUTH_GENERIC)

PROPERTIES = {
    "kvm": Property("/dev/kvm can be opened", _opens_kvm),
    "arm64": Property("the machine is arm64", _is_arm64),
    "lab": Property("it is a host of the lab", lambda: "PYKVM_LAB" in os.environ),
    "x86_64": Property("the machine is x86_64", lambda: platform.machine() == "x86_64"),
    "vgicv2": Property("VMs can have a GICv2", lambda: _makes(DeviceType.ARM_VGIC_V2)),
    "vgicv3": Property("VMs can have a GICv3", lambda: _makes(DeviceType.ARM_VGIC_V3)),
    "its": Property(
        "VMs can have an interrupt translation service",
        lambda: _makes(DeviceType.ARM_VGIC_V3, DeviceType.ARM_VGIC_ITS),
    ),
    "ppis_by_vcpu_id": Property("a PPI goes to the vCPU of that number", _finds_vcpus_by_number),
    "vfio_group": Property("VFIO has a device that tests may take", _has_vfio_group),
    "vfio_group_unsafe": Property(
        "VFIO has one, and its messages could become any of the host's interrupts",
        lambda: _has_vfio_group() and not _has_its(),
    ),
    "no_iommu": Property("PCI devices reach all memory", _has_no_iommu),
    "sve": Property("vCPUs can have SVE", lambda: _gives(VcpuFeature.SVE)),
    "sve_256": Property("scalable vectors can have 256 bits", _has_sve_256),
    "pmu": Property("vCPUs can have a PMU", lambda: _gives(VcpuFeature.PMU_V3)),
    "ptrauth": Property("vCPUs can sign pointers", lambda: _gives(*_POINTER_AUTHENTICATION)),
    "aarch32": Property("guest kernels can be AArch32", lambda: _gives(VcpuFeature.EL1_32BIT)),
    "el2": Property("guests can be hypervisors", lambda: _gives(VcpuFeature.HAS_EL2)),
    "ras": Property("SErrors can carry a syndrome", lambda: _answers(Cap.ARM_INJECT_SERROR_ESR)),
    "stolen_time": Property("guests can be told their stolen time", lambda: _has_vcpu_attr(2, 0)),
    "el2_timers": Property("EL2's timers have interrupts", lambda: _has_vcpu_attr(1, 2)),
    "pmu_nr_counters": Property(
        "guests can be given fewer counters",
        lambda: _has_vcpu_attr(0, 4, VcpuFeature.PMU_V3),
    ),
    "pmu_strict": Property(
        "no PMU is chosen by itself where a vCPU says so",
        lambda: _gives(VcpuFeature.PMU_V3, VcpuFeature.PMU_V3_STRICT),
    ),
    "smccc_filter": Property("hypercalls can be filtered", _filters_hypercalls),
    "counter_offset": Property(
        "guests' counters can be offset", lambda: _answers(Cap.COUNTER_OFFSET)
    ),
    "psci_1_3": Property("guests have PSCI 1.3", lambda: _has_psci(0x1_0003)),
    "el2_e2h0": Property(
        "guests can be hypervisors without VHE",
        lambda: _gives(VcpuFeature.HAS_EL2, VcpuFeature.HAS_EL2_E2H0),
    ),
    "own_caches": Property("guests can be told of other caches", lambda: _can_set("ccsidr0")),
    "mte": Property("guests can have memory tags", lambda: _knows(VM.enable_arm_mte)),
    "reg_masks": Property(
        "ID registers can be changed", lambda: _knows(VM.arm_get_reg_writable_masks)
    ),
    "imp_id_regs": Property(
        "guests can be told of another implementation",
        lambda: _knows(VM.enable_arm_writable_imp_id_regs),
    ),
    "cacheable_frames": Property(
        "KVM says whether it takes cacheable device memory, and the process can have some",
        _judges_cacheable_frames,
    ),
    "dirty_ring": Property(
        "vCPUs can have dirty rings", lambda: _does(lambda vm: vm.enable_dirty_log_ring(1 << 16))
    ),
    "guest_memfd": Property(
        "VMs can have a guest_memfd that the host shares",
        lambda: _does(lambda vm: vm.create_guest_memfd(1 << 16).close()),
    ),
    "eager_split": Property(
        "huge pages can be split ahead of dirty logging",
        lambda: _knows(lambda vm: vm.enable_arm_eager_split_chunk_size(0)),
    ),
    "linux_guest": Property("a Linux for guests lies in /guest", lambda: GUEST.exists()),
    "tap": Property("network interfaces can be made", lambda: _may_use("/dev/net/tun")),
    "vhost": Property(
        "the kernel can serve virtio queues",
        lambda: _may_use("/dev/vhost-net") and _may_use("/dev/vhost-vsock"),
    ),
    "arm64_assembler": Property("tiny guests can be assembled here", _has_arm64_assembler),
    "pages_4k": Property("the host's pages are 4 KiB", lambda: mmap.PAGESIZE == 4 << 10),
    "pages_16k": Property("the host's pages are 16 KiB", lambda: mmap.PAGESIZE == 16 << 10),
    "pages_64k": Property("the host's pages are 64 KiB", lambda: mmap.PAGESIZE == 64 << 10),
}


@cache
def holds(name: str) -> bool:
    """Whether this host has the property. Tried once in a process."""
    return PROPERTIES[name].trial()
