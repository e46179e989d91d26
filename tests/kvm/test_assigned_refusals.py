# SPDX-License-Identifier: Apache-2.0
"""Why a device cannot be given to a guest, each reason provoked; and what is said to do helps."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from minivmm.endings import BadInput
from minivmm.vfio.assign import kind_of
from minivmm.vfio.device import VfioDevice
from minivmm.vfio.dma import Container
from minivmm.vfio.host import HostDevice

from pykvm import GuestMemory, KvmError
from tests.kvm.footprint import unchanged
from tests.kvm.processes import forked
from tests.kvm.threads import Worker
from tests.vfio import bind, bound, find, trust_guests

needs_group = pytest.mark.needs("vfio_group")
NOBODY = 65534
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    with unchanged():
        yield


@pytest.fixture
def edu() -> HostDevice:
    trust_guests()
    return HostDevice(bound("edu"))


def as_root(message: str) -> None:
    """Does what a message says."""
    command = re.search("[Aa]s root: (.*)$", message)
    assert command, message
    subprocess.run(["sh", "-c", command[1]], check=True)


def opens(host: HostDevice) -> bool:
    with closing(Container()) as container:
        os.close(container.open_device(host))
    return True


def refusal_of(call: Callable[[], object]) -> str:
    """What it says, in a forked child, which cannot raise through."""
    try:
        call()
    except KvmError as refusal:
        return str(refusal)
    return ""


@pytest.mark.needs("no_iommu")
def test_no_iommu_group() -> None:
    host = HostDevice(min(path.name for path in Path("/sys/bus/pci/devices").iterdir()))
    with pytest.raises(BadInput, match=f"{host.address}: it has no IOMMU group, for no IOMMU"):
        host.check_bound()


@needs_group
def test_no_driver() -> None:
    address = find("edu")
    assert address
    assert bind(address, "")
    with pytest.raises(BadInput, match="it has no driver, and it must be bound") as caught:
        HostDevice(address).check_bound()
    as_root(str(caught.value))
    HostDevice(address).check_bound()


def sharing() -> tuple[HostDevice, HostDevice]:
    """Two devices of one group: one that nobody drives, and one that virtio's driver has."""
    shared = HostDevice(bound("sdhci"))
    paths = Path(f"/sys/kernel/iommu_groups/{shared.group}/devices").glob("*")
    others = [HostDevice(path.name) for path in paths]
    [other] = [each for each in others if each.ids == (0x1AF4, 0x1005)]
    assert bind(other.address, "virtio-pci")
    return shared, other


@needs_group
def test_a_driver_of_the_hosts() -> None:
    _, other = sharing()
    with pytest.raises(BadInput, match="the host's driver virtio-pci has it, and it") as caught:
        other.check_bound()
    as_root(str(caught.value))
    other.check_bound()
    assert bind(other.address, "virtio-pci")


@needs_group
def test_a_group_that_is_not_viable() -> None:
    trust_guests()
    shared, other = sharing()
    words = rf"not viable.*{other.address} \(virtio-pci\)"
    with closing(Container()) as container, pytest.raises(BadInput, match=words):
        container.open_device(shared)
    assert bind(other.address)
    assert opens(shared)
    assert bind(other.address, "virtio-pci")


@needs_group
def test_a_group_that_somebody_else_has(edu: HostDevice) -> None:
    with closing(Container()) as first, closing(Container()) as second:
        os.close(first.open_device(edu))
        words = rf"open\(node='/dev/vfio/\d+'\).*EBUSY.* this one has {os.getpid()} \(python3?\)"
        with pytest.raises(KvmError, match=words):
            second.open_device(edu)
    assert opens(edu)


@needs_group
def test_whoever_unbinds_it_waits_until_it_is_closed(edu: HostDevice) -> None:
    def waits() -> bool:
        stacks = Path("/proc/self/task").glob("*/stack")
        return any("vfio_unregister_group_dev" in stack.read_text() for stack in stacks)

    with closing(Container()) as container:
        with closing(VfioDevice(container.open_device(edu))) as device:
            unbinding = Worker(lambda: bind(edu.address, ""))
            while not waits():
                assert unbinding.alive
                unbinding.let_go_on()
            assert device.read_config(0, 4) == 0x11E8_1234
        unbinding.join()
    assert edu.driver is None
    assert bind(edu.address)
    assert opens(edu)


@needs_group
def test_no_permission(edu: HostDevice) -> None:
    node = Path(f"/dev/vfio/{edu.group}")

    def child() -> str:
        os.setuid(NOBODY)
        with closing(Container()) as container:
            return refusal_of(lambda: os.close(container.open_device(edu)))

    said = forked(child)
    assert f"open(node='{node}'): Permission denied [EACCES]" in said
    assert f"as root: chown {NOBODY} {node}" in said
    as_root(said)
    assert forked(child) == ""
    os.chown(node, 0, 0)


@needs_group
def test_memory_that_may_not_be_locked(edu: HostDevice) -> None:
    """As much as the message says is enough."""
    node = Path(f"/dev/vfio/{edu.group}")
    os.chown(node, NOBODY, 0)

    def child(limit_kib: int) -> str:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit_kib << 10,) * 2)
        os.setuid(NOBODY)
        with closing(Container()) as container, GuestMemory(2 * MIB) as memory:
            os.close(container.open_device(edu))
            return refusal_of(lambda: container.map(1 << 30, memory))

    said = forked(lambda: child(64))
    assert re.search(r"VFIO_IOMMU_MAP_DMA\(iova='0x40000000', size=0x200000\): .* \[ENOMEM\]", said)
    assert "2048 KiB here, and this process may lock 64 KiB (RLIMIT_MEMLOCK)" in said
    enough = re.search(r"Raise it to (\d+) KiB", said)
    assert enough
    assert forked(lambda: child(int(enough[1]))) == ""
    os.chown(node, 0, 0)


@needs_group
def test_addresses_that_the_iommu_keeps_for_itself(edu: HostDevice) -> None:
    window = next(span for span, kind in edu.reserved() if "msi" in kind)
    with closing(Container()) as container, GuestMemory(MIB) as memory:
        os.close(container.open_device(edu))
        for gpa in (window.start, window.start - MIB // 2, window.stop - MIB // 2):
            with pytest.raises(BadInput, match=r"overlaps 0x8000000-0x80fffff, where .* messages"):
                container.map(gpa, memory)
        for gpa in (window.start - MIB, window.stop):
            container.map(gpa, memory)
        with pytest.raises(BadInput, match=r"this host's IOMMU translates 0x0-0x\w+, .* only"):
            container.map(1 << 52, memory)


@needs_group
def test_a_device_that_needs_pci(edu: HostDevice) -> None:
    with pytest.raises(BadInput, match=r"class 00ff00\. The guest has no PCI; .* AHCI"):
        kind_of(edu)


@pytest.mark.needs("vfio_group_unsafe")
def test_messages_that_are_not_kept_apart(edu: HostDevice) -> None:
    trust_guests(trusted=False)
    words = r"VFIO_SET_IOMMU\(iommu='type1v2'\).*EPERM"
    with closing(Container()) as container, pytest.raises(KvmError, match=words) as caught:
        container.open_device(edu)
    as_root(str(caught.value))
    assert opens(edu)
