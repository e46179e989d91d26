# SPDX-License-Identifier: Apache-2.0
"""Capabilities about vCPUs, devices and interrupts: what each answers, and what holds then."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from guests import layout, words

from pykvm import VM, Cap, Kvm, KvmError, SystemEvent, Vgic
from tests.arm64.conftest import PATIENCE, refused
from tests.arm64.execute import loaded
from tests.arm64.spis import INTID, Tiny, arrives, ready, started

#: KVM_SET_GSI_ROUTING, for tables that pykvm would not send.
SET_GSI_ROUTING = 0x4008AE6A
#: KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: which lines of a vCPU are up.
LEVEL_INFO = 7
PPI = 20
EXIT_ARM_NISV = 28


@pytest.fixture
def wired(vm: VM, vgic: Vgic) -> VM:
    """A VM that takes irqfds."""
    vgic.init()
    return vm


@pytest.mark.covers("cap NR_VCPUS")
def test_as_many_vcpus_are_advisable_as_the_host_has_cpus(vm: VM) -> None:
    online = os.sysconf("SC_NPROCESSORS_ONLN")
    assert vm.check_extension(Cap.NR_VCPUS) == min(online, vm.check_extension(Cap.MAX_VCPUS))


@pytest.mark.covers("cap MAX_VCPUS")
def test_as_many_vcpus_as_promised_and_no_more(vm: VM) -> None:
    most = vm.check_extension(Cap.MAX_VCPUS)
    assert most
    for number in range(most):
        vm.create_vcpu(number).close()
    with refused(errno.EINVAL, "KVM_CREATE_VCPU"):
        vm.create_vcpu(most)


@pytest.mark.covers("cap MAX_VCPU_ID")
def test_the_last_number_of_a_vcpu(vm: VM) -> None:
    numbers = vm.check_extension(Cap.MAX_VCPU_ID)
    assert vm.create_vcpu(numbers - 1).vcpu_id == numbers - 1
    with refused(errno.EINVAL, "KVM_CREATE_VCPU"):
        vm.create_vcpu(numbers)


@pytest.mark.covers("vm KVM_CHECK_EXTENSION", "cap CHECK_EXTENSION_VM")
def test_a_vm_answers_for_itself(vm: VM, vgic: Vgic) -> None:
    assert vm.check_extension(Cap.CHECK_EXTENSION_VM) == 1
    # The host is asked about a question of a VM's and cannot know; each VM answers by its GIC.
    with Kvm() as kvm, pytest.raises(KvmError, match="EINVAL"):
        kvm.check_extension(Cap.MSI_DEVID)
    assert vm.check_extension(Cap.MSI_DEVID) == 0
    most = vm.check_extension(Cap.MAX_VCPUS)
    assert most == 8 if vgic.version == 2 else most > 8


@pytest.mark.covers("cap DEVICE_CTRL")
def test_devices_have_attributes(vgic: Vgic, vm: VM) -> None:
    assert vm.check_extension(Cap.DEVICE_CTRL) == 1
    vgic.nr_irqs = 96
    assert vgic.nr_irqs == 96


@pytest.mark.covers("vm KVM_ENABLE_CAP", "cap ENABLE_CAP_VM")
def test_what_was_enabled_takes_effect(tiny: Tiny) -> None:
    load_and_add = 0xF8408401  # ldr x1, [x0], #8, which no exit could describe
    machine = loaded(tiny, load_and_add, x=(layout.ECHO_GPA,))
    assert machine.vm.check_extension(Cap.ENABLE_CAP_VM) == 1
    with refused(errno.ENOSYS, "KVM_RUN"):
        machine.run()
    machine.vm.enable_cap(Cap.ARM_NISV_TO_USER)
    assert not isinstance(machine.vcpus[0].run(), SystemEvent)
    with machine.vcpus[0].kvm_run as page:
        assert int.from_bytes(page[8:12], "little") == EXIT_ARM_NISV


@pytest.mark.covers("cap IRQ_ROUTING")
def test_the_last_gsi_that_a_table_can_have(wired: VM) -> None:
    gsis = wired.check_extension(Cap.IRQ_ROUTING)
    assert gsis == 4096
    wired.ioctl(SET_GSI_ROUTING, _table(gsis - 1))
    for wrong in (_table(gsis), _table(0, count=gsis + 1)):
        with pytest.raises(KvmError) as caught:
            wired.ioctl(SET_GSI_ROUTING, wrong)
        assert caught.value.errno == errno.EINVAL


def _table(gsi: int, *, count: int = 1) -> bytearray:
    """Routes of ``gsi`` to pin 8, so many."""
    route = struct.pack("=4I2I24x", gsi, 1, 0, 0, 0, 8)
    return bytearray(struct.pack("=2I", count, 0) + route * count)


@pytest.mark.covers("cap IRQFD", "cap IRQFD_RESAMPLE")
def test_an_eventfd_raises_a_line_and_another_tells_of_its_end(tiny: Tiny) -> None:
    machine = started(tiny, trigger="level", ack_device=True)
    asked = [machine.vm.check_extension(cap) for cap in (Cap.IRQFD, Cap.IRQFD_RESAMPLE)]
    assert asked == [1, 1]
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    assert irqfd.resample is not None
    with machine.running(lambda exit: None):
        ready(machine)
        irqfd.inject()
        assert irqfd.resample.wait(PATIENCE) == 1
        assert arrives(machine, 1)


@pytest.mark.covers("cap IOEVENTFD", "cap IOEVENTFD_ANY_LENGTH")
def test_stores_become_signals_of_any_length_too(tiny: Tiny) -> None:
    store_byte, store_word = 0x39000020, 0xB9000020  # strb w0, [x1] and str w0, [x1]
    machine = loaded(tiny, store_byte, words.str_(0, 2), store_word, x=(1, *2 * [layout.ECHO_GPA]))
    machine.set_registers({"x4": layout.DOORBELL_GPA})
    assert machine.vm.check_extension(Cap.IOEVENTFD) == 1
    assert machine.vm.check_extension(Cap.IOEVENTFD_ANY_LENGTH) == 1
    any_length = machine.vm.ioeventfd(layout.ECHO_GPA, 0)
    eight = machine.vm.ioeventfd(layout.DOORBELL_GPA, 8)
    assert isinstance(machine.run(), SystemEvent), "no store left the guest"
    assert (any_length.eventfd.read(), eight.eventfd.read()) == (2, 1)


@pytest.mark.needs("its")
@pytest.mark.covers("cap MSI_DEVID")
def test_messages_name_their_device_once_there_is_an_its(vm: VM, vgic: Vgic) -> None:
    assert vm.check_extension(Cap.MSI_DEVID) == 0
    its = vm.create_its()
    its.addr = layout.ITS_GPA
    its.init()
    assert vm.check_extension(Cap.MSI_DEVID) == 1
    vgic.init()
    with refused(errno.EINVAL, "KVM_SIGNAL_MSI"):
        vm.signal_msi(its.doorbell, 0)
    with refused(errno.EBUSY, "KVM_SIGNAL_MSI"):  # the ITS takes it, and the guest has it off
        vm.signal_msi(its.doorbell, 0, devid=8)


@pytest.mark.needs("vgicv3", "ppis_by_vcpu_id")
@pytest.mark.covers("cap ARM_IRQ_LINE_LAYOUT_2")
def test_lines_of_vcpus_above_255(vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_IRQ_LINE_LAYOUT_2) == 1
    numbers = (0, 300, 300 - 256)
    for number in numbers:
        vm.create_vcpu(number).arm_vcpu_init()
    vgic = vm.create_vgic(3)
    vgic.init()
    vm.irq_line(PPI, 1, vcpu_id=300)
    assert [_lines(vgic, number) for number in numbers] == [0, 1 << PPI, 0]
    vm.irq_line(PPI, 0, vcpu_id=300)
    assert _lines(vgic, 300) == 0


def _lines(vgic: Vgic, vcpu_id: int) -> int:
    """The lines of a vCPU's private interrupts that are up."""
    affinity = vcpu_id >> 4 << 8 | vcpu_id & 15
    return int.from_bytes(vgic.get_device_attr(LEVEL_INFO, affinity << 32, bytes(4)), "little")
